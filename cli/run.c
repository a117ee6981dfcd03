/* cli/run.c: webhookctl from argv to exit status: parse, look at the terminals, run the row. */
#include "cli/cli.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "cli/client.h"
#include "cli/help.h"
#include "cli/out.h"

#define STANDARD_CONFIG "/etc/webhookd/webhookd.conf"

static int run_row(struct cli *cli)
{
    const struct args *a = cli->args;
    const char *file = cli_flag(cli, FLAG_CONFIG);

    if (cli_flag(cli, FLAG_VERSION) != NULL && a->command == NULL)
        return cmd_version(cli);
    if (cli_flag(cli, FLAG_HELP) != NULL) {
        help_print(stdout, a->command ? a->command->words : a->group);
        return CLI_OK;
    }
    if (a->command == NULL) {
        help_print(stderr, a->group);
        return CLI_USAGE;
    }
    int rc = globals_read(cli);

    if (rc != 0)
        return rc;
    if (file == NULL)
        file = getenv("WEBHOOKD_CONFIG");
    cli->config_file = file && *file ? file : STANDARD_CONFIG;
    rc = a->command->run(cli);
    return rc == 0 ? *cli->refused : rc;
}

int cli_run(int argc, char **argv)
{
    struct args args;
    int refused = 0;
    struct cli cli = {.args = &args, .refused = &refused};
    struct buf why;

    /* A reader that goes away (head) ends us without a word, also where somebody ignored the signal. */
    signal(SIGPIPE, SIG_DFL);
    /* Only how wide characters are; numbers keep their point. */
    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
        setlocale(LC_CTYPE, "");
    globals_terminals(&cli);
    /* What a handler in this process would tell the daemon's log is in its answer. */
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR);
    buf_init(&why, 4096);
    int rc = args_parse(&args, argc, argv, &why);

    if (rc != 0)
        globals_format(&cli);
    if (rc != 0)
        out_fail(&cli, rc, "usage", "%s", why.data ? why.data : "wrong usage");
    else
        rc = run_row(&cli);
    buf_fini(&why);
    args_fini(&args);
    client_free(cli.client);
    conf_free(cli.conf);
    free(cli.socket);
    int lost = out_flush();

    /* an answer that nobody got is none */
    if (lost != 0 && (rc == CLI_OK || rc == CLI_NO || rc == CLI_PARTIAL || rc == CLI_INTERRUPTED))
        rc = out_fail(&cli, CLI_IO, "io", "standard output: %s",
                      lost > 0 ? errno_text(lost) : "it could not all be written");
    return rc;
}
