/* cli/cli.c: what every command gets (cli.h): flags, the configuration, exit codes, questions. */
#include "cli/cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/out.h"

const char *cli_flag(const struct cli *cli, enum flag_id id)
{
    return cli->args->values[id];
}

bool cli_screen(const struct cli *cli)
{
    const char *term = getenv("TERM");

    return cli->out_tty && term != NULL && *term && strcmp(term, "dumb") != 0;
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
        if (code != NULL && strcmp(code, "count_differs") == 0)
            return CLI_USAGE; /* what was confirmed is not what is there */
        if (code != NULL && strcmp(code, "ambiguous") == 0)
            return CLI_USAGE;
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

static int conf_refused(struct cli *cli, const struct buf *problems)
{
    if (problems->len > 0 && out_is_json(cli))
        out_fail(cli, CLI_CONFIG, "config", "%s", problems->data);
    else if (problems->len > 0)
        fputs(problems->data, stderr);
    else
        out_fail(cli, CLI_CONFIG, "config", "cannot read the configuration %s", cli->config_file);
    bool unread = access(cli->config_file, R_OK) != 0, denied = unread && errno == EACCES;

    if (denied)
        out_note("run webhookctl as root or as a member of webhookd's group");
    else if (unread && cli_flag(cli, FLAG_CONFIG) == NULL)
        out_note("name another one with -c FILE or WEBHOOKD_CONFIG");
    return denied ? CLI_DENIED : CLI_CONFIG;
}

/* past: mistakes are let pass where the socket is known. */
static int conf_get(struct cli *cli, bool past)
{
    struct buf problems;
    int rc = 0, mistakes = 0;

    buf_init(&problems, (size_t)1 << 20);
    if (conf_load(&cli->conf, cli->config_file, &problems) != OK) {
        char *path = past ? conf_socket(cli->config_file) : NULL;

        cli->conf = NULL;
        for (const char *p = problems.data; p != NULL && *p; p++)
            mistakes += *p == '\n';
        cli->socket = path != NULL ? path : cli->socket;
        if (path != NULL)
            out_note("%s has %d mistake%s, which a start or a reload would refuse: webhookctl "
                     "config check",
                     cli->config_file, mistakes, mistakes == 1 ? "" : "s");
        else
            rc = conf_refused(cli, &problems);
    }
    buf_fini(&problems);
    return rc;
}

int cli_conf(struct cli *cli)
{
    return cli->conf != NULL ? 0 : conf_get(cli, false);
}

int cli_socket(struct cli *cli)
{
    int rc = cli->socket != NULL || cli->conf != NULL ? 0 : conf_get(cli, true);

    if (rc == 0 && cli->socket == NULL && (cli->socket = strdup(cli->conf->listen_socket)) == NULL)
        rc = out_fail(cli, CLI_INTERNAL, "internal", "out of memory");
    return rc;
}

void cli_reads_stdin(void)
{
    if (isatty(STDIN_FILENO) == 1)
        out_note("reading standard input; ^D ends it");
}

enum err_code cli_read_file(const char *path, size_t cap_bytes, struct buf *out, struct err *err)
{
    if (strcmp(path, "-") == 0)
        cli_reads_stdin();
    return text_read_file(path, cap_bytes, out, err);
}

const char *cli_no_asking(const struct cli *cli)
{
    return cli_flag(cli, FLAG_NO_INPUT) != NULL ? "--no-input was given"
           : isatty(STDIN_FILENO) == 1          ? "standard error is not a terminal"
                                                : "standard input is not a terminal";
}

static volatile sig_atomic_t ended; /* by ^C and the like, while somebody is asked */

static void on_signal(int signum)
{
    ended = signum;
}

/* Asks for one line; NULL: there is none. The signal is let in only while nothing is read yet: between a look at `ended`
 * and a read it would be lost. A terminal hands over whole lines. */
static char *line_read(const char *question, char *out, size_t room)
{
    struct sigaction act = {.sa_handler = on_signal}, before;
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    sigset_t interrupt, outside;

    ended = 0;
    sigemptyset(&act.sa_mask);
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, &outside);
    sigaction(SIGINT, &act, &before);
    fputs(question, stderr);
    fflush(stderr);
    while (!ended && ppoll(&in, 1, NULL, &outside) < 0 && errno == EINTR)
        ;
    char *line = ended ? NULL : fgets(out, (int)room, stdin);

    sigaction(SIGINT, &before, NULL);
    sigprocmask(SIG_SETMASK, &outside, NULL);
    return line;
}

int cli_ask(const struct cli *cli, const char *question, char *out, size_t room)
{
    if (line_read(question, out, room) != NULL) {
        out[strcspn(out, "\r\n")] = '\0';
        return 0;
    }
    fputc('\n', stderr); /* the question's line is not over */
    return ended ? out_fail(cli, CLI_INTERRUPTED, "interrupted", "interrupted; nothing was changed")
                 : out_fail(cli, CLI_USAGE, "usage", "no answer; nothing was changed");
}

int cli_confirm(const struct cli *cli, const char *question)
{
    char answer[16];

    if (cli_flag(cli, FLAG_YES) != NULL || cli_flag(cli, FLAG_DRY_RUN) != NULL)
        return 0;
    if (!cli->in_tty)
        return out_fail(cli, CLI_USAGE, "usage", "refusing without --yes: %s", cli_no_asking(cli));
    int rc = cli_ask(cli, question, answer, sizeof answer);

    if (rc != 0)
        return rc;
    if ((strcmp(answer, "y") == 0 || strcmp(answer, "Y") == 0 || strcmp(answer, "yes") == 0))
        return 0;
    return out_fail(cli, CLI_USAGE, "usage", "nothing was changed");
}
