/* cli/filter.c: the filter flags; see filter.h. */
#include "cli/filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/out.h"
#include "store/model.h"

#define IDS_FILE_MAX_BYTES ((size_t)16 << 20)
#define QUERY_IDS_MAX 200 /* the daemon takes a head of 16 KiB */

static int filter_bad(struct cli *cli, enum flag_id flag, const char *why)
{
    return out_fail(cli, CLI_USAGE, "usage", "--%s %s: %s", flags_table[flag].name,
                    cli_flag(cli, flag), why);
}

static int filter_word(struct cli *cli, enum flag_id flag)
{
    char near[TEXT_NEAR_MAX];

    return out_fail(cli, CLI_USAGE, "usage", "--%s %s: not one of %s%s", flags_table[flag].name,
                    cli_flag(cli, flag), flags_table[flag].words,
                    args_near(near, cli_flag(cli, flag), flags_table[flag].words));
}

static void filter_text(struct filter_flags *f, const char *member, const char *value)
{
    json_object_set_new(f->json, member, json_string(value));
    client_query(&f->query, member, value);
    f->any = true;
}

static bool ids_add(struct filter_flags *f, const char *id)
{
    if (f->ids_n == f->ids_room) {
        size_t room = f->ids_room ? f->ids_room * 2 : 64;
        const char **more = realloc(f->ids, room * sizeof *more);

        if (more == NULL)
            return false;
        f->ids = more;
        f->ids_room = room;
    }
    f->ids[f->ids_n++] = id;
    return true;
}

static int ids_read(struct cli *cli, struct filter_flags *f)
{
    const char *file = cli_flag(cli, FLAG_IDS_FROM);
    struct err err = {OK, ""};
    bool room = true;

    for (size_t i = 0; i < cli->args->words_n; i++)
        room = room && ids_add(f, cli->args->words[i]);
    if (file != NULL && text_read_file(file, IDS_FILE_MAX_BYTES, &f->ids_text, &err) != OK)
        return out_fail(cli, CLI_NO_INPUT, "not_found", "%s", err.text);
    for (char *at = f->ids_text.data; at != NULL && *at;) {
        at += strspn(at, " \t\r\n,");
        size_t n = strcspn(at, " \t\r\n,");
        bool last = at[n] == '\0';

        if (n > 0)
            room = room && ids_add(f, at);
        at[n] = '\0';
        at += n + !last;
    }
    if (!room)
        return out_fail(cli, CLI_INTERNAL, "internal", "out of memory");
    if (f->ids_n > 0 || file != NULL) {
        json_t *ids = json_array();

        for (size_t i = 0; i < f->ids_n; i++)
            json_array_append_new(ids, json_string(f->ids[i]));
        json_object_set_new(f->json, "id", ids);
        f->any = f->by_ids = true;
    }
    return 0;
}

static void subscriptions_read(struct cli *cli, struct filter_flags *f)
{
    json_t *all = json_array();
    char name[128];

    for (size_t i = 0; i < cli->args->given_n; i++) {
        const char *at = cli->args->given[i].value;

        if (cli->args->given[i].flag != FLAG_SUBSCRIPTION)
            continue;
        while (*at) {
            size_t n = strcspn(at, ",");

            if (n > 0) {
                text_copy(name, n + 1 < sizeof name ? n + 1 : sizeof name, at);
                json_array_append_new(all, json_string(name));
                client_query(&f->query, "subscription", name);
            }
            at += n + (at[n] == ',');
        }
    }
    if (json_array_size(all) > 0) {
        json_object_set_new(f->json, "subscription", all);
        f->any = true;
    } else {
        json_decref(all);
    }
}

/* Operators' times are judged here, where "2h" means two hours before now. */
static int time_read(struct cli *cli, struct filter_flags *f, enum flag_id flag)
{
    const char *text = cli_flag(cli, flag);
    char out[TEXT_TIME_MAX];
    int64_t ms;

    if (text == NULL)
        return 0;
    if (!text_parse_when(text, clock_wall_ms(), &ms))
        return filter_bad(cli, flag, "not a time: 2h, 3d (ago), today, or 2026-11-22T05:07:00Z");
    filter_text(f, flags_table[flag].name, text_time(out, ms));
    return 0;
}

static int words_read(struct cli *cli, struct filter_flags *f)
{
    const char *cause = cli_flag(cli, FLAG_CAUSE), *outcome = cli_flag(cli, FLAG_OUTCOME);
    const char *least = cli_flag(cli, FLAG_MIN_ATTEMPTS);
    enum cause cause_value;
    enum outcome outcome_value;

    if (cause != NULL) {
        if (!cause_parse(cause, &cause_value))
            return filter_word(cli, FLAG_CAUSE);
        filter_text(f, "cause", cause);
    }
    if (outcome != NULL) {
        if (!outcome_parse(outcome, &outcome_value))
            return filter_word(cli, FLAG_OUTCOME);
        filter_text(f, "outcome", outcome);
    }
    if (least != NULL) {
        char *end;
        long n = strtol(least, &end, 10);

        if (end == least || *end || n < 0 || n > 1000000)
            return filter_bad(cli, FLAG_MIN_ATTEMPTS, "not a number");
        json_object_set_new(f->json, "min_attempts", json_integer(n));
        client_query(&f->query, "min_attempts", least);
        f->any = true;
    }
    return 0;
}

int filter_flags_read(struct cli *cli, struct filter_flags *f)
{
    static const struct {
        enum flag_id flag;
        const char *member;
    } plain[] = {
        {FLAG_EVENT, "event_id"}, {FLAG_TYPE, "type"},       {FLAG_STATUS, "status"},
        {FLAG_STATE, "state"},    {FLAG_PARTNER, "partner"}, {FLAG_JOB, "job"},
    };

    memset(f, 0, sizeof *f);
    f->json = json_object();
    buf_init(&f->query, (size_t)64 << 10);
    buf_init(&f->ids_text, IDS_FILE_MAX_BYTES + 1);
    subscriptions_read(cli, f);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (cli_flag(cli, plain[i].flag) != NULL)
            filter_text(f, plain[i].member, cli_flag(cli, plain[i].flag));
    }
    int rc = words_read(cli, f);

    if (rc == 0)
        rc = time_read(cli, f, FLAG_SINCE);
    if (rc == 0)
        rc = time_read(cli, f, FLAG_UNTIL);
    if (rc == 0)
        rc = ids_read(cli, f);
    if (rc == 0 && cli_flag(cli, FLAG_ALL) != NULL) {
        if (!f->any)
            json_object_set_new(f->json, "all", json_true());
        f->any = true;
    }
    return rc;
}

void filter_flags_fini(struct filter_flags *f)
{
    json_decref(f->json);
    buf_fini(&f->query);
    buf_fini(&f->ids_text);
    free(f->ids);
}

void filter_until(struct filter_flags *f, int64_t ms)
{
    char text[TEXT_TIME_MAX];
    bool any = f->any;

    if (json_object_get(f->json, "until") == NULL)
        filter_text(f, "until", text_time(text, ms));
    f->any = any;
}

bool filter_query(const struct filter_flags *f, size_t *from, struct buf *out)
{
    size_t parts = f->by_ids ? f->ids_n : 1; /* without ids: one query, at once */

    if (*from >= parts)
        return false;
    if (f->query.len > 0)
        buf_adds(out, f->query.data);
    for (size_t n = 0; *from < f->ids_n && n < QUERY_IDS_MAX; n++)
        client_query(out, "id", f->ids[(*from)++]);
    if (!f->by_ids)
        *from = parts;
    return true;
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
    return text == NULL ? 0 : filter_rate_of(cli, text, out);
}

int filter_rate_of(struct cli *cli, const char *text, double *out)
{
    char *end;
    double rate = strtod(text, &end);

    if (end == text || (*end && strcmp(end, "/s") != 0) || !isfinite(rate) || rate <= 0)
        return out_fail(cli, CLI_USAGE, "usage", "--rate %s: not a rate: 20/s", text);
    *out = rate;
    return 0;
}

int filter_duration(struct cli *cli, enum flag_id flag, int64_t *out_ms)
{
    const char *text = cli_flag(cli, flag);

    if (text == NULL || text_parse_duration(text, out_ms))
        return 0;
    return filter_bad(cli, flag, "not a duration: 500ms, 10s, 5m, 24h, 30d");
}
