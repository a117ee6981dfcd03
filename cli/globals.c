/* cli/globals.c: the flags that every command takes, and the terminals that the program stands
 * between: standard output and standard error are judged apart. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"
#include "cli/out.h"

#define CALL_TIMEOUT_MS 10000
#define CALL_TIMEOUT_MAX_MS INT64_C(86400000)

void globals_terminals(struct cli *cli)
{
    cli->out_tty = isatty(STDOUT_FILENO) == 1;
    cli->err_tty = isatty(STDERR_FILENO) == 1;
    /* a question goes to standard error: nobody would see it in a file */
    cli->in_tty = isatty(STDIN_FILENO) == 1 && cli->err_tty;
    cli->headers = true;
    cli->timeout_ms = CALL_TIMEOUT_MS;
}

static int word_read(const struct cli *cli, enum flag_id flag, const char *text,
                     const char *const *words, size_t *out)
{
    for (size_t i = 0; words[i]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i;
            return 0;
        }
    }
    char near[TEXT_NEAR_MAX];

    return out_fail(cli, CLI_USAGE, "usage", "--%s %s: not one of %s%s", flags_table[flag].name,
                    text, flags_table[flag].words, text_did_you_mean(near, text, words));
}

/* -o, --json and -q say the same thing: the last of them holds. */
static int format_read(struct cli *cli)
{
    static const char *const words[] = {"table", "json", "jsonl", "id", NULL};
    const struct args *a = cli->args;
    size_t format = OUT_TABLE;
    int rc = 0;

    for (size_t i = 0; i < a->given_n && rc == 0; i++) {
        if (a->given[i].flag == FLAG_OUTPUT)
            rc = word_read(cli, FLAG_OUTPUT, a->given[i].value, words, &format);
        else if (a->given[i].flag == FLAG_JSON)
            format = OUT_JSON;
        else if (a->given[i].flag == FLAG_QUIET)
            format = OUT_ID;
    }
    cli->format = (enum out_format)format;
    return rc;
}

static int color_read(struct cli *cli)
{
    static const char *const words[] = {"auto", "always", "never", NULL};
    const char *text = cli_flag(cli, FLAG_COLOR), *term = getenv("TERM");
    const char *none = getenv("NO_COLOR");
    bool dull = (none != NULL && *none) || term == NULL || !*term || strcmp(term, "dumb") == 0;
    size_t when = 0;
    int rc = text ? word_read(cli, FLAG_COLOR, text, words, &when) : 0;

    cli->out_color = when == 1 || (when == 0 && cli->out_tty && !dull);
    cli->err_color = when == 1 || (when == 0 && cli->err_tty && !dull);
    return rc;
}

static int timeout_read(struct cli *cli)
{
    const char *text = cli_flag(cli, FLAG_CALL_TIMEOUT);

    if (text == NULL)
        return 0;
    if (!text_parse_duration(text, &cli->timeout_ms) || cli->timeout_ms < 1 ||
        cli->timeout_ms > CALL_TIMEOUT_MAX_MS)
        return out_fail(cli, CLI_USAGE, "usage", "--timeout %s: not a duration like 500ms or 30s",
                        text);
    return 0;
}

void globals_format(struct cli *cli)
{
    for (size_t i = 0; i < cli->args->given_n; i++) {
        const struct args_given *g = &cli->args->given[i];

        if (g->flag == FLAG_JSON || (g->flag == FLAG_OUTPUT && strncmp(g->value, "json", 4) == 0))
            cli->format = OUT_JSON;
    }
}

int globals_read(struct cli *cli)
{
    int rc = format_read(cli);

    if (rc == 0)
        rc = color_read(cli);
    if (rc == 0)
        rc = timeout_read(cli);
    if (rc == 0 && cli_flag(cli, FLAG_UTC) != NULL && cli_flag(cli, FLAG_LOCAL) != NULL)
        rc = out_fail(cli, CLI_USAGE, "usage", "--utc and --local exclude each other");
    cli->times = cli_flag(cli, FLAG_UTC)     ? OUT_TIMES_UTC
                 : cli_flag(cli, FLAG_LOCAL) ? OUT_TIMES_LOCAL
                                             : OUT_TIMES_AUTO;
    cli->in_tty = cli->in_tty && cli_flag(cli, FLAG_NO_INPUT) == NULL;
    cli->headers = cli_flag(cli, FLAG_NO_HEADERS) == NULL;
    cli->columns = cli_flag(cli, FLAG_COLUMNS);
    cli->verbose = cli_flag(cli, FLAG_VERBOSE) != NULL;
    return rc;
}
