/* engine/api_filter.c: the one parser of filters. A query string has become an object of strings
 * before it comes here, so a number may be "3" as well as 3.
 *
 * What is resolved here stays resolved: a job's filter holds ids of subscriptions and points in
 * time, so that a rename or a restart in the middle of a replay changes nothing. */
#include "engine/api_filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/text.h"
#include "engine/api_filter_impl.h"

enum { EVENT_IDS_MAX = 100, TYPES_MAX = 64, STATUSES_MAX = 32 };
enum { CONTAINS_MAX_BYTES = 4096 };

enum { NARROWING_N = 14 }; /* the first so many of them say which rows, the rest how */
static const char *const MEMBERS[] = {
    "subscription", "id",    "event_id", "type",  "cause",        "status",         "outcome",
    "state",        "since", "until",    "job",   "min_attempts", "max_attempts",   "contains",
    "all",          "limit", "cursor",   "order", "payload",      "arrived_before", NULL};

static bool status_of(const char *text, struct status_range *out)
{
    if (strlen(text) != 3 || text[0] < '1' || text[0] > '5')
        return false;
    if (!strcmp(text + 1, "xx")) {
        out->min = (text[0] - '0') * 100;
        out->max = out->min + 99;
        return true;
    }
    out->min = out->max = (int)strtol(text, NULL, 10);
    return strspn(text, "0123456789") == 3;
}

static enum err_code read_statuses(struct filter_reading *r)
{
    const json_t *v = filter_member(r, "status");
    if (!v)
        return OK;
    size_t n = filter_values_n(v);
    struct status_range *all = arena_alloc(r->a, (n + 1) * sizeof *all);
    if (!all)
        return fail(r->err, ERR_NOMEM, "no memory for a filter");
    if (n == 0 || n > STATUSES_MAX)
        return filter_bad(r, "status", "give 1 to 32 values");
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;
        char text[16] = "";
        if (json_is_integer(one))
            (void)snprintf(text, sizeof text, "%lld", (long long)json_integer_value(one));
        else if (json_is_string(one))
            text_copy(text, sizeof text, json_string_value(one));
        if (!status_of(text, &all[i]))
            return filter_bad(r, "status", "not a status like 503, or a class like 5xx");
    }
    r->out->f.statuses = all;
    r->out->f.statuses_n = n;
    return OK;
}

static const char *cause_word(int i)
{
    return cause_name((enum cause)i);
}

static const char *outcome_word(int i)
{
    return outcome_name((enum outcome)i);
}

static const char *state_word(int i)
{
    return delivery_state_name((enum delivery_state)i);
}

static enum err_code read_words(struct filter_reading *r)
{
    struct filter *f = &r->out->f;
    const char *job = NULL;
    enum err_code rc = filter_read_set(r, "cause", cause_word, CAUSES, &f->causes);
    if (rc == OK)
        rc = filter_read_set(r, "outcome", outcome_word, OUTCOMES, &f->outcomes);
    if (rc == OK)
        rc = filter_read_set(r, "state", state_word, DELIVERY_STATES, &f->states);
    if (rc == OK)
        rc = filter_read_text(r, "job", &job);
    if (rc == OK && job && !id_parse(job, "job", &f->job)) {
        const char *other = api_other(r->b, API_KIND_JOB, job, r->a);
        return filter_bad(r, "job", other ? other : "not the id of a job (job_…)");
    }
    return rc;
}

static bool is_pattern(const char *type)
{
    size_t n = strlen(type);
    bool star = n > 2 && !strcmp(type + n - 2, ".*");
    char plain[130] = "";
    if (n < sizeof plain)
        text_copy(plain, n - (star ? 2 : 0) + 1, type);
    return !strcmp(type, "*") || id_is_type(plain);
}

/* A delivery's id stands for its event, as an event's stands for its deliveries elsewhere. */
static enum err_code read_events(struct filter_reading *r)
{
    struct filter *f = &r->out->f;
    enum err_code rc =
        filter_read_texts(r, "event_id", EVENT_IDS_MAX, &f->event_ids, &f->event_ids_n);
    const char **ids = (const char **)(uintptr_t)f->event_ids; /* made by that */
    struct err ignored = {OK, ""};
    struct event_rec e;
    struct delivery d;
    int64_t num;
    for (size_t i = 0; rc == OK && i < f->event_ids_n; i++)
        if (id_parse(ids[i], "dlv", &num) &&
            r->b->ops->event_get(r->b, ids[i], false, r->a, &e, &ignored) == ERR_NOT_FOUND &&
            r->b->ops->delivery_get(r->b, num, r->a, &d, &ignored) == OK)
            ids[i] = d.event_id;
    return rc;
}

static enum err_code read_types(struct filter_reading *r)
{
    struct filter *f = &r->out->f;
    enum err_code rc = filter_read_texts(r, "type", TYPES_MAX, &f->types, &f->types_n);
    for (size_t i = 0; rc == OK && i < f->types_n; i++)
        if (!is_pattern(f->types[i]))
            rc = filter_bad(r, "type", "not a type, 'name.*' or '*'");
    return rc;
}

static enum err_code read_attempts(struct filter_reading *r)
{
    struct filter *f = &r->out->f;
    int64_t least = 0, most = -1;
    enum err_code rc = filter_read_number(r, "min_attempts", 1000000, &least);
    if (rc == OK)
        rc = filter_read_number(r, "max_attempts", 1000000, &most);
    f->min_attempts = (int)least;
    f->max_attempts = most < 0 ? 0 : (int)most;
    f->max_attempts_set = most >= 0;
    return rc;
}

/* Of letters: as a count or a preview gave it. */
static enum err_code read_arrived_before(struct filter_reading *r)
{
    if (r->of != API_FILTER_DEAD && filter_member(r, "arrived_before"))
        return filter_bad(r, "arrived_before", "only dead letters have it");
    return filter_read_number(r, "arrived_before", INT64_MAX, &r->out->f.arrived_before);
}

static enum err_code read_page(struct filter_reading *r)
{
    struct filter *f = &r->out->f;
    const char *cursor = NULL, *order = NULL;
    int64_t limit = API_PAGE_STANDARD;
    enum err_code rc = filter_read_number(r, "limit", API_PAGE_MAX, &limit);
    if (rc == OK && limit == 0)
        rc = filter_bad(r, "limit", "not a number from 1 to 1000");
    if (rc == OK)
        rc = filter_read_text(r, "cursor", &cursor);
    if (rc == OK)
        rc = filter_read_text(r, "order", &order);
    if (rc != OK)
        return rc;
    f->limit = (size_t)limit;
    if (cursor && !api_cursor_read(cursor, &f->after_ms, &f->after_num))
        return filter_bad(r, "cursor", "not one that a list has given");
    /* Dead letters are read as they happened; of the rest people want the latest. */
    f->newest_first = r->of != API_FILTER_DEAD;
    if (order && !strcmp(order, "oldest"))
        f->newest_first = false;
    else if (order && !strcmp(order, "newest"))
        f->newest_first = true;
    else if (order)
        return filter_bad(r, "order", "not oldest or newest");
    r->out->limited = filter_member(r, "limit") != NULL;
    r->out->paged = cursor || r->out->limited;
    return OK;
}

static enum err_code read_members(struct filter_reading *r)
{
    json_t *o = (json_t *)(uintptr_t)r->object; /* jansson's iterator wants it without const */
    for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
        const char *key = json_object_iter_key(it);
        size_t i = 0;
        while (MEMBERS[i] && strcmp(MEMBERS[i], key) != 0)
            i++;
        if (!MEMBERS[i]) {
            char near[TEXT_NEAR_MAX];
            r->target = "filter";
            return fail(r->err, ERR_INVALID, "unknown filter '%.64s'%s", key,
                        text_did_you_mean(near, key, MEMBERS));
        }
        if (i < NARROWING_N && !json_is_null(json_object_iter_value(it)))
            r->out->narrows = true;
    }
    const json_t *all = filter_member(r, "all");
    const char *text = json_string_value(all);
    r->out->all = json_is_true(all) || (text && (!strcmp(text, "true") || !strcmp(text, "1")));
    return OK;
}

static enum err_code read_contains(struct filter_reading *r)
{
    const char *text = NULL;
    enum err_code rc = filter_read_text(r, "contains", &text);
    if (rc != OK || !text)
        return rc;
    if (!r->look)
        return filter_bad(
            r, "contains",
            "only lists of events and of deliveries, and lists, counts, summaries and "
            "exports of dead letters can look into payloads: name the ids instead");
    if (!*text || strlen(text) > CONTAINS_MAX_BYTES)
        return filter_bad(r, "contains", "give 1 to 4096 bytes of the payload");
    r->out->contains = text;
    return OK;
}

enum err_code api_filter_read(struct backend *b, const json_t *object, enum api_filter_of of,
                              int64_t now_ms, struct arena *a, struct api_filter *out,
                              const char **target, struct err *err)
{
    struct filter_reading r = {.b = b,
                               .object = object,
                               .of = of == API_FILTER_LOOK              ? API_FILTER_DEAD
                                     : of == API_FILTER_LOOK_DELIVERIES ? API_FILTER_DELIVERIES
                                                                        : of,
                               .look = of == API_FILTER_LOOK || of == API_FILTER_EVENTS ||
                                       of == API_FILTER_LOOK_DELIVERIES,
                               .now_ms = now_ms,
                               .a = a,
                               .out = out,
                               .err = err};
    *out = (struct api_filter){.f.with_expired = true};
    enum err_code rc = OK;
    if (!json_is_object(object))
        rc = filter_bad(&r, "filter", "not a JSON object");
    if (rc == OK)
        rc = read_members(&r);
    if (rc == OK)
        rc = read_page(&r);
    if (rc == OK)
        rc = filter_read_subs(&r);
    if (rc == OK)
        rc = filter_read_ids(&r);
    if (rc == OK)
        rc = read_events(&r);
    if (rc == OK)
        rc = read_types(&r);
    if (rc == OK)
        rc = read_words(&r);
    if (rc == OK)
        rc = read_statuses(&r);
    if (rc == OK)
        rc = filter_read_when(&r, "since", &out->f.since_ms);
    if (rc == OK)
        rc = filter_read_when(&r, "until", &out->f.until_ms);
    if (rc == OK)
        rc = read_attempts(&r);
    if (rc == OK)
        rc = read_arrived_before(&r);
    if (rc == OK)
        rc = read_contains(&r);
    if (rc != OK && target)
        *target = r.target;
    return rc;
}

enum err_code api_filter_of_call(struct api_call *c, const json_t *object, enum api_filter_of of,
                                 struct api_filter *out)
{
    const char *target = NULL;
    enum err_code rc = api_filter_read(c->b, object, of, c->now_ms, c->mem, out, &target, c->err);
    char text[sizeof c->err->text];
    if (rc != ERR_INVALID && rc != ERR_NOT_FOUND)
        return rc;
    text_copy(text, sizeof text, c->err->text);
    return rc == ERR_INVALID ? api_refuse(c, 422, "invalid_filter", target, "%s", text)
                             : api_refuse(c, 404, "not_found", target, "%s", text);
}
