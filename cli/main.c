/* cli/main.c: webhookctl's entry; everything else is run.c's. */
#include "base/process.h"
#include "cli/cli.h"

int main(int argc, char **argv)
{
    process_hold_standard();
    process_hide_memory(); /* with the daemon stopped it opens the store itself */
    return cli_run(argc, argv);
}
