/* cli/run.c: webhookctl from argv to exit status: parse, look at the terminals, run the row. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/help.h"
#include "cli/out.h"

#define STANDARD_CONFIG "/etc/webhookd/webhookd.conf"

const char *cli_flag(const struct cli *cli, enum flag_id id)
{
    return cli->args->values[id];
}

int cli_exit_of_status(int status, const char *code, int on_invalid)
{
    if (status >= 200 && status < 300)
        return CLI_OK;
    switch (status) {
    case 400:
    case 413:
    case 422:
        return on_invalid;
    case 401:
    case 403:
        return CLI_DENIED;
    case 404:
        return CLI_NOT_FOUND;
    case 409:
        return code != NULL && strcmp(code, "job_active") == 0 ? CLI_LATER : CLI_NO;
    case 429:
    case 503:
        return CLI_LATER;
    case 507:
        return CLI_CANNOT_CREATE;
    default:
        return CLI_INTERNAL;
    }
}

int cli_conf(struct cli *cli)
{
    struct buf problems;
    bool denied = false;

    if (cli->conf != NULL)
        return 0;
    buf_init(&problems, (size_t)1 << 20);
    enum err_code rc = conf_load(&cli->conf, cli->config_file, &problems);

    if (rc != OK) {
        if (problems.len > 0)
            fputs(problems.data, stderr);
        else
            out_fail(cli, CLI_CONFIG, "config", "cannot read the configuration %s",
                     cli->config_file);
        denied = access(cli->config_file, R_OK) != 0 && errno == EACCES;
        if (denied)
            out_note("run webhookctl as root or as a member of webhookd's group");
        else if (cli_flag(cli, FLAG_CONFIG) == NULL && access(cli->config_file, R_OK) != 0)
            out_note("name another one with -c FILE or WEBHOOKD_CONFIG");
        cli->conf = NULL;
    }
    buf_fini(&problems);
    return rc == OK ? 0 : denied ? CLI_DENIED : CLI_CONFIG;
}

bool cli_ask(const char *question, char *out, size_t room)
{
    fputs(question, stderr);
    fflush(stderr);
    if (fgets(out, (int)room, stdin) == NULL)
        return false;
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

int cli_confirm(const struct cli *cli, const char *question)
{
    char answer[16];

    if (cli_flag(cli, FLAG_YES) != NULL)
        return 0;
    if (!cli->in_tty)
        return out_fail(cli, CLI_USAGE, "usage",
                        "refusing without --yes: standard input is not a terminal");
    if (cli_ask(question, answer, sizeof answer) &&
        (strcmp(answer, "y") == 0 || strcmp(answer, "Y") == 0 || strcmp(answer, "yes") == 0))
        return 0;
    return out_fail(cli, CLI_USAGE, "usage", "nothing was changed");
}

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
