/* cli/filter_values.c: flags whose value is a number, a rate or a span of time; see filter.h. What is
 * refused is said with the legal units, and with what was meant, where that can be guessed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "cli/filter.h"
#include "cli/out.h"
#include "engine/api.h"

/* "10min" is 10m, "2 hours" 2h, a bare number minutes, or seconds where one waits; false: no guess. */
static bool span_meant(enum flag_id flag, const char *text, char out[32])
{
    static const struct {
        const char *said, *unit;
    } units[] = {{"sec", "s"},  {"secs", "s"},   {"second", "s"},  {"seconds", "s"}, {"min", "m"},
                 {"mins", "m"}, {"minute", "m"}, {"minutes", "m"}, {"hr", "h"},      {"hrs", "h"},
                 {"hour", "h"}, {"hours", "h"},  {"day", "d"},     {"days", "d"},    {"s", "s"},
                 {"m", "m"},    {"h", "h"},      {"d", "d"},       {"", "m"}};
    char *end;
    long n = strtol(text + (*text == '-'), &end, 10), weeks = 1;
    char word[16];

    if (end == text || n <= 0 || n > 100000)
        return false;
    end += strspn(end, " ");
    text_copy(word, sizeof word, end);
    word[strcspn(word, " ")] = '\0'; /* "2 hours ago" */
    if (strcasecmp(word, "w") == 0 || strcasecmp(word, "week") == 0 ||
        strcasecmp(word, "weeks") == 0) {
        weeks = 7;
        text_copy(word, sizeof word, "d");
    }
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcasecmp(word, units[i].said) == 0) {
            bool quick = !*word && (flag == FLAG_WATCH || flag == FLAG_INTERVAL ||
                                    flag == FLAG_WAIT || flag == FLAG_CALL_TIMEOUT);

            (void)snprintf(out, 32, "%ld%s", n * weeks, quick ? "s" : units[i].unit);
            return true;
        }
    }
    return false;
}

int filter_span_bad(struct cli *cli, enum flag_id flag, const char *what)
{
    const char *text = cli_flag(cli, flag);
    char meant[32];
    bool some = span_meant(flag, text, meant);

    return out_fail(cli, CLI_USAGE, "usage", "--%s %s: %s%s%s%s", flags_table[flag].name, text,
                    what, some ? "; did you mean " : "", some ? meant : "", some ? "?" : "");
}

static int filter_bad(struct cli *cli, enum flag_id flag, const char *why)
{
    return out_fail(cli, CLI_USAGE, "usage", "--%s %s: %s", flags_table[flag].name,
                    cli_flag(cli, flag), why);
}

int filter_limit(struct cli *cli, size_t standard, size_t *out)
{
    const char *text = cli_flag(cli, FLAG_LIMIT);

    if (text == NULL) {
        *out = cli_flag(cli, FLAG_ALL) ? SIZE_MAX : standard;
        return 0;
    }
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end || n < 1)
        return filter_bad(cli, FLAG_LIMIT, "not a number from 1 on");
    *out = (size_t)n;
    return 0;
}

int filter_rate(struct cli *cli, double *out)
{
    const char *text = cli_flag(cli, FLAG_RATE);

    *out = 0;
    struct buf typed;

    if (text == NULL)
        return 0;
    buf_init(&typed, 4096);
    buf_addf(&typed, "--rate %s", text);
    int rc = filter_rate_of(cli, typed.data ? typed.data : "--rate", text, out);

    buf_fini(&typed);
    return rc;
}

int filter_rate_of(struct cli *cli, const char *typed, const char *text, double *out)
{
    char *end, meant[48] = "";
    double rate = strtod(text, &end);

    if (end != text && (strcmp(end, "/m") == 0 || strcmp(end, "/min") == 0) && rate > 0)
        (void)snprintf(meant, sizeof meant, "; did you mean %.3g/s?", rate / 60);
    if (end == text || (*end && strcmp(end, "/s") != 0) || isnan(rate) || rate <= 0)
        return out_fail(cli, CLI_USAGE, "usage",
                        "%s: not a rate; give a number a second, as in 20/s or 0.5/s%s", typed,
                        meant);
    if (rate > API_RATE_MAX_PER_S || rate < API_RATE_MIN_PER_S)
        return out_fail(cli, CLI_USAGE, "usage", "%s: %s", typed,
                        rate < 1 ? "at least 0.001/s, one in a thousand seconds"
                                 : "at most 1000000/s");
    *out = rate;
    return 0;
}

int filter_for(struct cli *cli, int64_t max_ms, int64_t *out_ms)
{
    const char *text = cli_flag(cli, FLAG_FOR);
    char most[32];
    int rc = filter_duration(cli, FLAG_FOR, out_ms);

    if (rc != 0 || text == NULL)
        return rc;
    if (*out_ms < API_FOR_MIN_MS)
        return filter_bad(cli, FLAG_FOR,
                          "longer than nothing; without --for it lasts until somebody ends it");
    if (*out_ms <= max_ms)
        return 0;
    text_duration(most, sizeof most, max_ms);
    return out_fail(cli, CLI_USAGE, "usage", "--for %s: at most %s", text, most);
}

int filter_duration(struct cli *cli, enum flag_id flag, int64_t *out_ms)
{
    const char *text = cli_flag(cli, flag);

    if (text == NULL || text_parse_duration(text, out_ms))
        return 0;
    return filter_span_bad(cli, flag, "not a duration: 500ms, 10s, 5m, 24h, 30d");
}
