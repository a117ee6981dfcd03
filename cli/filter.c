/* cli/filter.c: the filter flags; see filter.h. The one place where they are judged: a value that is
 * not legal is said with its flag, what is legal and the nearest word, before anything is asked. */
#include "cli/filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/ids.h"
#include "cli/out.h"
#include "cli/shell.h"

#define IDS_FILE_MAX_BYTES ((size_t)16 << 20)
#define VALUES_MAX 64 /* of one flag */
#define FILTER_WORDS                                                                               \
    (FLAG_BIT(FLAG_SUBSCRIPTION) | FLAG_BIT(FLAG_EVENT) | FLAG_BIT(FLAG_TYPE) |                    \
     FLAG_BIT(FLAG_CAUSE) | FLAG_BIT(FLAG_STATUS) | FLAG_BIT(FLAG_OUTCOME) |                       \
     FLAG_BIT(FLAG_SINCE) | FLAG_BIT(FLAG_UNTIL) | FLAG_BIT(FLAG_MIN_ATTEMPTS) |                   \
     FLAG_BIT(FLAG_MAX_ATTEMPTS) | FLAG_BIT(FLAG_CONTAINS) | FLAG_BIT(FLAG_JOB))

/* "--cause" may be said as --cause A --cause B or --cause A,B: any of them. */
static int filter_bad_value(struct cli *cli, enum flag_id flag, const char *value, const char *why)
{
    return out_fail(cli, CLI_USAGE, "usage", "--%s %s: %s", flags_table[flag].name, value, why);
}

static int filter_bad(struct cli *cli, enum flag_id flag, const char *why)
{
    return filter_bad_value(cli, flag, cli_flag(cli, flag), why);
}

/* words: "a b c". */
static bool is_one_of(const char *words, const char *value)
{
    char word[32];
    bool found = false;

    for (size_t n = 0; args_word(words, n, word, sizeof word); n++)
        found = found || strcmp(word, value) == 0;
    return found;
}

static bool is_status(const char *text)
{
    return strlen(text) == 3 && text[0] >= '1' && text[0] <= '5' &&
           (strcmp(text + 1, "xx") == 0 || strspn(text, "0123456789") == 3);
}

static bool is_pattern(const char *text)
{
    char plain[130];
    size_t n = strlen(text);
    bool star = n > 2 && strcmp(text + n - 2, ".*") == 0;

    if (n >= sizeof plain)
        return false;
    text_copy(plain, n - (star ? 2 : 0) + 1, text);
    return strcmp(text, "*") == 0 || id_is_type(plain);
}

static bool is_ref(const char *text)
{
    return *text != '\0';
}

static const struct {
    enum flag_id flag;
    const char *member;
    bool (*legal)(const char *value); /* NULL: the flag's closed list */
    const char *what;
} value_flags[] = {
    {FLAG_SUBSCRIPTION, "subscription", is_ref, "not a name or an id"},
    {FLAG_EVENT, "event_id", id_is_event_id, "not the id of an event"},
    {FLAG_TYPE, "type", is_pattern, "not a type like order.executed, 'order.*' or '*'"},
    {FLAG_CAUSE, "cause", NULL, NULL},
    {FLAG_STATUS, "status", is_status, "not a status like 503, or a class like 5xx"},
    {FLAG_OUTCOME, "outcome", NULL, NULL},
    {FLAG_STATE, "state", NULL, NULL},
    {FLAG_SUB_STATE, "state", NULL, NULL},
    {FLAG_JOB_STATE, "state", NULL, NULL},
    {FLAG_JOB_KIND, "kind", NULL, NULL},
    {FLAG_PARTNER, "partner", is_ref, "not a name or an id"},
};

static int value_check(struct cli *cli, size_t i, const char *value)
{
    enum flag_id flag = value_flags[i].flag;
    char near[TEXT_NEAR_MAX], why[512];

    if (value_flags[i].legal != NULL)
        return value_flags[i].legal(value)
                   ? 0
                   : filter_bad_value(cli, flag, value, value_flags[i].what);
    if (is_one_of(flags_table[flag].words, value))
        return 0;
    snprintf(why, sizeof why, "not one of %s%s", flags_table[flag].words,
             args_near(near, value, flags_table[flag].words));
    return filter_bad_value(cli, flag, value, why);
}

/* One value stands alone, several in an array. */
static void json_add(json_t *object, const char *member, const char *value)
{
    json_t *old = json_object_get(object, member);

    if (old == NULL) {
        json_object_set_new(object, member, json_string(value));
    } else if (json_is_array(old)) {
        json_array_append_new(old, json_string(value));
    } else {
        json_t *both = json_array();

        json_array_append(both, old);
        json_array_append_new(both, json_string(value));
        json_object_set_new(object, member, both);
    }
}

void filter_text(struct filter_flags *f, const char *member, const char *value)
{
    json_add(f->json, member, value);
    client_query(&f->query, member, value);
    f->any = true;
}

/* The values of one flag, each said or separated by commas. */
static int values_read(struct cli *cli, struct filter_flags *f, size_t i)
{
    char value[160], whole[IDS_MAX];
    size_t n = 0;
    int rc = 0;

    for (size_t g = 0; rc == 0 && g < cli->args->given_n; g++) {
        const char *at = cli->args->given[g].value;

        if (cli->args->given[g].flag != value_flags[i].flag)
            continue;
        if (*at == '\0')
            return filter_bad_value(cli, value_flags[i].flag, "''", "empty");
        while (rc == 0 && *at) {
            size_t len = strcspn(at, ",");

            text_copy(value, len + 1 < sizeof value ? len + 1 : sizeof value, at);
            at += len + (at[len] == ',');
            if (len == 0)
                continue;
            if (++n > VALUES_MAX)
                return filter_bad_value(cli, value_flags[i].flag, value,
                                        "too many values: 64 at most");
            const char *prefix = value_flags[i].flag == FLAG_SUBSCRIPTION ? "sub"
                                 : value_flags[i].flag == FLAG_EVENT      ? "dlv"
                                                                          : NULL;

            if (prefix != NULL) {
                rc = ids_whole(cli, prefix, value, whole);
                if (rc == 0 && *whole)
                    text_copy(value, sizeof value, whole);
            }
            if (rc == 0)
                rc = value_check(cli, i, value);
            if (rc == 0)
                filter_text(f, value_flags[i].member, value);
        }
    }
    return rc;
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

/* Each once: several attempts may be of one delivery. The id must live as long as f. */
static bool ids_take(struct filter_flags *f, json_t *taken, const char *id)
{
    if (json_object_get(taken, id) != NULL)
        return true;
    return json_object_set_new_nocheck(taken, id, json_true()) == 0 && ids_add(f, id);
}

static int ids_of_line(struct cli *cli, struct filter_flags *f, json_t *taken)
{
    bool room = true;

    for (size_t i = 0; i < cli->args->words_n; i++) {
        int rc = ids_whole(cli, "dlv", cli->args->words[i], f->whole);

        if (rc != 0)
            return rc;
        const char *id = *f->whole ? arena_copy(&f->mem, f->whole) : cli->args->words[i];

        room = room && id != NULL && ids_take(f, taken, id);
    }
    return room ? 0 : out_fail(cli, CLI_INTERNAL, "internal", "out of memory");
}

static int not_ids(struct cli *cli, const char *file, size_t line, const char *what)
{
    return out_fail(cli, CLI_DATA, "invalid",
                    "%s:%zu: %s; give ids of deliveries (dlv_…) or of events, one a line",
                    strcmp(file, "-") == 0 ? "standard input" : file, line, what);
}

/* The word at *at, which is moved behind it. */
static int ids_word(struct cli *cli, struct filter_flags *f, json_t *taken, const char *file,
                    size_t line, char **at)
{
    char *id = *at, what[128];
    size_t n = strcspn(id, " \t\r,");

    *at += n + (id[n] != '\0');
    id[n] = '\0';
    if (ids_of_attempt(id, f->whole))
        id[strlen(f->whole)] = '\0';
    if (!id_is_event_id(id)) {
        snprintf(what, sizeof what, "'%.80s' is no id", id);
        return not_ids(cli, file, line, what);
    }
    return ids_take(f, taken, id) ? 0 : out_fail(cli, CLI_INTERNAL, "internal", "out of memory");
}

static int ids_of_file(struct cli *cli, struct filter_flags *f, json_t *taken, const char *file)
{
    struct err err = {OK, ""};
    size_t line = 1;
    int rc = 0;

    if (cli_read_file(file, IDS_FILE_MAX_BYTES, &f->ids_text, &err) != OK)
        return out_fail(cli, CLI_NO_INPUT, "not_found", "%s", err.text);
    for (char *at = f->ids_text.data, *end = at + f->ids_text.len; at != NULL && at < end; line++) {
        char *newline = memchr(at, '\n', (size_t)(end - at));
        char *next = newline != NULL ? newline + 1 : end;

        if (newline != NULL)
            *newline = '\0';
        if (memchr(at, '\0', (size_t)(next - at - (newline != NULL))) != NULL ||
            !text_is_utf8(at, strlen(at)))
            return not_ids(cli, file, line, "bytes that are no text");
        while (rc == 0 && *(at += strspn(at, " \t\r,")) != '\0')
            rc = ids_word(cli, f, taken, file, line, &at);
        if (rc != 0)
            return rc;
        at = next;
    }
    return 0;
}

static int ids_read(struct cli *cli, struct filter_flags *f)
{
    const char *file = cli_flag(cli, FLAG_IDS_FROM);
    json_t *taken = json_object();
    int rc = ids_of_line(cli, f, taken);

    if (rc == 0 && file != NULL)
        rc = ids_of_file(cli, f, taken, file);
    json_decref(taken);
    if (rc != 0)
        return rc;
    if (f->ids_n > 0 || file != NULL) {
        json_t *ids = json_array();

        for (size_t i = 0; i < f->ids_n; i++)
            json_array_append_new(ids, json_string(f->ids[i]));
        json_object_set_new(f->json, "id", ids);
        f->any = f->by_ids = true;
        f->named_n = f->ids_n;
    }
    return 0;
}

/* Operators' times are judged here, where "2h" means two hours before now. */
static int time_read(struct cli *cli, struct filter_flags *f, enum flag_id flag, int64_t *out_ms)
{
    const char *text = cli_flag(cli, flag);
    char out[TEXT_TIME_MAX];

    if (text == NULL)
        return 0;
    if (!text_parse_when(text, clock_wall_ms(), out_ms))
        return filter_span_bad(cli, flag,
                               "not a time: 30s, 10m, 2h, 3d (ago), 18:55, today, yesterday, "
                               "2026-11-22, 2026-11-22T05:07:00Z (without Z or an offset: the "
                               "time of your zone)");
    filter_text(f, flags_table[flag].name, text_time(out, *out_ms));
    return 0;
}

static int times_read(struct cli *cli, struct filter_flags *f)
{
    int rc = time_read(cli, f, FLAG_SINCE, &f->since_ms);

    if (rc == 0)
        rc = time_read(cli, f, FLAG_UNTIL, &f->until_ms);
    if (rc == 0 && f->until_ms != 0 && f->since_ms >= f->until_ms)
        rc = filter_bad(cli, FLAG_SINCE, "not before --until: nothing can match");
    return rc;
}

static int attempts_read(struct cli *cli, struct filter_flags *f, enum flag_id flag,
                         const char *member)
{
    const char *text = cli_flag(cli, flag);
    char *end;

    if (text == NULL)
        return 0;
    long n = strtol(text, &end, 10);

    if (end == text || *end || n < 0 || n > 1000000)
        return filter_bad(cli, flag, "not a number of attempts, 0 to 1000000");
    json_object_set_new(f->json, member, json_integer(n));
    client_query(&f->query, member, text);
    f->any = true;
    return 0;
}

static int contains_read(struct cli *cli, struct filter_flags *f)
{
    const char *text = cli_flag(cli, FLAG_CONTAINS);

    if (text == NULL)
        return 0;
    if (*text == '\0' || strlen(text) > 4096 || !text_is_utf8(text, strlen(text)))
        return filter_bad(cli, FLAG_CONTAINS, "give 1 to 4096 bytes of UTF-8 text");
    filter_text(f, "contains", text);
    f->contains = true;
    return 0;
}

void filter_order(struct filter_flags *f, const char *order)
{
    f->order = order;
    client_query(&f->query, "order", order);
}

/* Which end comes first: of a list, and of what --limit takes for a job, which has it as a member of
 * its own and not in the filter. */
static int order_read(struct cli *cli, struct filter_flags *f)
{
    const char *text = cli_flag(cli, FLAG_ORDER);

    if (text == NULL)
        return 0;
    if (!is_one_of(flags_table[FLAG_ORDER].words, text))
        return filter_bad(cli, FLAG_ORDER, "not oldest or newest");
    filter_order(f, text);
    return 0;
}

/* From now on it is these ids. */
int filter_name(struct filter_flags *f, json_t *ids)
{
    json_t *id;
    size_t i;

    buf_clear(&f->query);
    if (f->order != NULL)
        filter_order(f, f->order);
    f->ids_n = 0;
    json_array_foreach(ids, i, id)
    {
        if (!ids_add(f, arena_copy(&f->mem, json_string_value(id))))
            return out_fail(f->cli, CLI_INTERNAL, "internal", "out of memory");
    }
    json_object_clear(f->json);
    json_object_set(f->json, "id", ids);
    f->by_ids = true;
    f->contains = false;
    return 0;
}

static bool changes_something(const struct cli *cli)
{
    return (cli->args->command->flags & FLAG_BIT(FLAG_DRY_RUN)) != 0;
}

/* An id of another kind is told as such by who knows them. */
static bool is_no_job(const char *text)
{
    int64_t num;

    return (strncmp(text, "job_", 4) == 0 || strchr(text, '_') == NULL) &&
           !id_parse(text, "job", &num);
}

int filter_flags_read(struct cli *cli, struct filter_flags *f)
{
    int rc = 0;

    memset(f, 0, sizeof *f);
    f->cli = cli;
    f->json = json_object();
    f->unmatched = json_object();
    arena_init(&f->mem);
    buf_init(&f->query, (size_t)256 << 10);
    buf_init(&f->ids_text, IDS_FILE_MAX_BYTES + 1);
    for (size_t i = 0; rc == 0 && i < sizeof value_flags / sizeof *value_flags; i++)
        rc = values_read(cli, f, i);
    if (rc == 0 && cli_flag(cli, FLAG_JOB) != NULL) {
        char whole[IDS_MAX];

        rc = ids_whole(cli, "job", cli_flag(cli, FLAG_JOB), whole);
        if (rc == 0 && !*whole && is_no_job(cli_flag(cli, FLAG_JOB)))
            rc = filter_bad(cli, FLAG_JOB,
                            "not the id of a job; which there are: webhookctl job list");
        filter_text(f, "job", *whole ? whole : cli_flag(cli, FLAG_JOB));
    }
    if (rc == 0)
        rc = times_read(cli, f);
    if (rc == 0)
        rc = attempts_read(cli, f, FLAG_MIN_ATTEMPTS, "min_attempts");
    if (rc == 0)
        rc = attempts_read(cli, f, FLAG_MAX_ATTEMPTS, "max_attempts");
    if (rc == 0)
        rc = contains_read(cli, f);
    if (rc == 0)
        rc = ids_read(cli, f);
    if (rc == 0)
        rc = order_read(cli, f);
    if (rc == 0 && cli_flag(cli, FLAG_ALL) != NULL) {
        if (!f->any)
            json_object_set_new(f->json, "all", json_true());
        f->any = true;
    }
    /* Payloads are sealed: a job cannot look into them slice by slice, so the set is fixed now. */
    if (rc == 0 && f->contains && changes_something(cli))
        rc = filter_to_ids(cli, f, FILTER_IDS_MAX + 1);
    return rc;
}

void filter_words(const struct cli *cli, flag_mask without, struct buf *out)
{
    const struct args *a = cli->args;

    for (size_t i = 0; i < a->given_n; i++) {
        enum flag_id id = a->given[i].flag;

        if ((FILTER_WORDS & ~without & FLAG_BIT(id)) == 0)
            continue;
        buf_addf(out, " --%s ", flags_table[id].name);
        shell_word(out, a->given[i].value);
    }
}

void filter_answered(const struct filter_flags *f, const json_t *answer)
{
    size_t i;
    json_t *id;

    if (f == NULL)
        return;
    json_array_foreach(json_object_get(answer, "unmatched"), i, id)
        json_object_set_new(f->unmatched, json_string_value(id), json_true());
}

void filter_flags_fini(struct filter_flags *f)
{
    json_decref(f->json);
    json_decref(f->unmatched);
    arena_fini(&f->mem);
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

void filter_arrived(struct filter_flags *f, int64_t before)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)before);
    json_object_set_new(f->json, "arrived_before", json_integer(before));
    client_query(&f->query, "arrived_before", text);
}

bool filter_query(const struct filter_flags *f, size_t *from, struct buf *out)
{
    size_t parts = f->by_ids ? f->ids_n : 1; /* without ids: one query, at once */

    if (*from >= parts)
        return false;
    if (f->query.len > 0)
        buf_adds(out, f->query.data);
    for (size_t n = 0; *from < f->ids_n && n < FILTER_QUERY_IDS; n++)
        client_query(out, "id", f->ids[(*from)++]);
    if (!f->by_ids)
        *from = parts;
    return true;
}
