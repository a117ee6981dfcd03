/* cli/main.c: webhookctl's entry; everything else is run.c's. */
#include <signal.h>

#include "base/process.h"
#include "cli/cli.h"

int main(int argc, char **argv)
{
    process_hold_standard();
    process_hide_memory();          /* with the daemon stopped it opens the store itself */
    (void)signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of write, not a death */
    return cli_run(argc, argv);
}
