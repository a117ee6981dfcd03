/* cli/run.c: webhookctl from argv to exit status: parse, look at the terminals, run the row. */
#include "cli/cli.h"

#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/help.h"
#include "cli/out.h"

#define STANDARD_CONFIG "/etc/webhookd/webhookd.conf"

static int format_read(struct cli *cli)
{
    static const char *const words[] = {"table", "json", "jsonl", "id", NULL};
    const char *text = cli_flag(cli, FLAG_OUTPUT);

    if (text == NULL)
        return 0;
    for (size_t i = 0; words[i]; i++) {
        if (strcmp(text, words[i]) == 0) {
            cli->format = (enum out_format)i;
            return 0;
        }
    }
    const char *near = text_nearest(text, words);

    return out_fail(cli, CLI_USAGE, "usage", "-o %s: not table, json, jsonl or id%s%s%s", text,
                    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int run_row(struct cli *cli)
{
    const struct args *a = cli->args;
    const char *file = cli_flag(cli, FLAG_CONFIG);

    if (cli_flag(cli, FLAG_VERSION) != NULL && a->command == NULL) {
        printf("webhookctl %s (git %s)\n", WEBHOOKD_VERSION, WEBHOOKD_GIT);
        return CLI_OK;
    }
    if (cli_flag(cli, FLAG_HELP) != NULL) {
        help_print(stdout, a->command ? a->command->words : a->group);
        return CLI_OK;
    }
    if (a->command == NULL) {
        help_print(stderr, a->group);
        return CLI_USAGE;
    }
    int rc = format_read(cli);

    if (rc != 0)
        return rc;
    if (file == NULL)
        file = getenv("WEBHOOKD_CONFIG");
    cli->config_file = file && *file ? file : STANDARD_CONFIG;
    return a->command->run(cli);
}

int cli_run(int argc, char **argv)
{
    struct args args;
    struct cli cli = {.args = &args};
    struct buf why;

    /* Only how wide characters are; numbers keep their point. */
    if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
        setlocale(LC_CTYPE, "");
    cli.in_tty = isatty(STDIN_FILENO) == 1;
    cli.out_tty = isatty(STDOUT_FILENO) == 1;
    cli.err_tty = isatty(STDERR_FILENO) == 1;
    /* What a handler in this process would tell the daemon's log is in its answer. */
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR);
    buf_init(&why, 4096);
    int rc = args_parse(&args, argc, argv, &why);

    if (rc != 0)
        out_fail(&cli, rc, "usage", "%s", why.data ? why.data : "wrong usage");
    else
        rc = run_row(&cli);
    buf_fini(&why);
    args_fini(&args);
    client_free(cli.client);
    conf_free(cli.conf);
    if ((fflush(stdout) != 0 || ferror(stdout)) && rc == 0)
        rc = out_fail(&cli, CLI_IO, "io", "standard output: %s", errno_text(errno));
    return rc;
}
