/* cli/main.c: webhookctl's entry; everything else is run.c's. */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_run(argc, argv);
}
