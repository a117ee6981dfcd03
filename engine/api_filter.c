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
#include "engine/api_impl.h"

enum { EVENT_LETTERS_MAX = 1000 };

struct reading {
    struct backend *b;
    const json_t *object;
    enum api_filter_of of;
    int64_t now_ms;
    struct arena *a;
    struct api_filter *out;
    const char *target;
    struct err *err;
};
enum { NARROWING_N = 12 }; /* the first so many of them say which rows, the rest how */
static const char *const MEMBERS[] = {"subscription", "id",      "event_id", "type",  "cause",
                                      "status",       "outcome", "state",    "since", "until",
                                      "min_attempts", "job",     "all",      "limit", "cursor",
                                      "order",        "payload", NULL};

static const json_t *member(const struct reading *r, const char *name)
{
    const json_t *v = json_object_get(r->object, name);
    return json_is_null(v) ? NULL : v;
}

static enum err_code bad(struct reading *r, const char *name, const char *what)
{
    r->target = name;
    return fail(r->err, ERR_INVALID, "%s: %s", name, what);
}

/* One value, or the i-th of an array; NULL: not a string. */
static const char *text_at(const json_t *v, size_t i)
{
    return json_string_value(json_is_array(v) ? json_array_get(v, i) : v);
}

static size_t values_n(const json_t *v)
{
    return json_is_array(v) ? json_array_size(v) : 1;
}

static enum err_code read_subs(struct reading *r)
{
    const json_t *v = member(r, "subscription");
    if (!v)
        return OK;
    size_t n = values_n(v);
    int64_t *nums = arena_alloc(r->a, (n + 1) * sizeof *nums);
    r->out->live = arena_alloc(r->a, (n + 1) * sizeof *nums);
    if (!nums || !r->out->live)
        return fail(r->err, ERR_NOMEM, "no memory for a filter");
    if (n == 0 || n > API_FILTER_SUBS_MAX)
        return bad(r, "subscription", "1 to 1000 names or ids");
    for (size_t i = 0; i < n; i++) {
        const char *ref = text_at(v, i);
        struct subscription s;
        if (!ref)
            return bad(r, "subscription", "not a name or an id");
        enum err_code rc = r->b->ops->sub_get(r->b, ref, r->a, &s, r->err);
        r->target = "subscription";
        if (rc == ERR_NOT_FOUND)
            return fail(r->err, rc, "no subscription '%.80s'", ref);
        if (rc != OK)
            return rc;
        nums[i] = s.num;
        if (s.state == SUB_DELETED)
            r->out->deleted = true;
        else
            r->out->live[r->out->live_n++] = s.num;
    }
    r->out->f.subs = nums;
    r->out->f.subs_n = n;
    return OK;
}

struct nums {
    int64_t *list;
    size_t n, room;
};

static bool nums_add(struct nums *x, int64_t num)
{
    if (x->n == x->room) {
        size_t room = x->room ? x->room * 2 : 64;
        int64_t *more = reallocarray(x->list, room, sizeof *more);
        if (!more)
            return false;
        x->list = more;
        x->room = room;
    }
    x->list[x->n++] = num;
    return true;
}

/* An event's id stands for all its dead letters (or deliveries). */
static enum err_code add_of_event(struct reading *r, const char *id, struct nums *x)
{
    struct filter f = {.event_id = id, .limit = EVENT_LETTERS_MAX, .with_expired = true};
    struct dead_letter *letters = NULL;
    struct delivery *deliveries = NULL;
    struct arena mem;
    size_t n = 0;
    bool room = true;
    arena_init(&mem);
    enum err_code rc = r->of == API_FILTER_DEAD
                           ? r->b->ops->dead_list(r->b, &f, &mem, &letters, &n, r->err)
                           : r->b->ops->delivery_list(r->b, &f, &mem, &deliveries, &n, r->err);
    for (size_t i = 0; rc == OK && i < n; i++)
        room = room && nums_add(x, letters ? letters[i].delivery.num : deliveries[i].num);
    arena_fini(&mem);
    return rc == OK && !room ? fail(r->err, ERR_NOMEM, "no memory for ids") : rc;
}

static enum err_code bad_id(struct reading *r, const char *id)
{
    r->target = "id";
    return fail(r->err, ERR_INVALID,
                "id: '%.80s' is not the id of a delivery (dlv_…) or of an event", id);
}

static enum err_code collect_ids(struct reading *r, const json_t *v, struct nums *x)
{
    for (size_t i = 0; i < values_n(v); i++) {
        const char *id = text_at(v, i);
        int64_t num;
        enum err_code rc = OK;
        if (id && id_parse(id, "dlv", &num))
            rc = nums_add(x, num) ? OK : fail(r->err, ERR_NOMEM, "no memory for ids");
        else if (id && id_is_event_id(id))
            rc = add_of_event(r, id, x);
        else
            rc = bad_id(r, id ? id : "");
        if (rc == OK && x->n > API_FILTER_IDS_MAX)
            rc = bad(r, "id", "more than 10000 ids: use other filters, or several calls");
        if (rc != OK)
            return rc;
    }
    return OK;
}

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static enum err_code read_ids(struct reading *r)
{
    const json_t *v = member(r, "id");
    struct nums x = {0};
    if (!v)
        return OK;
    enum err_code rc = collect_ids(r, v, &x);
    /* Ids that match nothing must not become "no filter": 0 is nobody's number. */
    if (rc == OK && x.n == 0 && !nums_add(&x, 0))
        rc = fail(r->err, ERR_NOMEM, "no memory for ids");
    if (rc == OK) {
        qsort(x.list, x.n, sizeof *x.list, by_value);
        size_t kept = 1;
        for (size_t i = 1; i < x.n; i++)
            if (x.list[i] != x.list[kept - 1])
                x.list[kept++] = x.list[i];
        r->out->f.ids = arena_bytes(r->a, x.list, kept * sizeof *x.list);
        r->out->f.ids_n = kept;
        r->out->ids = true;
        if (!r->out->f.ids)
            rc = fail(r->err, ERR_NOMEM, "no memory for ids");
    }
    free(x.list);
    return rc;
}

static enum err_code read_text(struct reading *r, const char *name, const char **out)
{
    const json_t *v = member(r, name);
    if (!v)
        return OK;
    if (!json_is_string(v))
        return bad(r, name, "not one string");
    *out = arena_copy(r->a, json_string_value(v));
    return *out ? OK : fail(r->err, ERR_NOMEM, "no memory for a filter");
}

static enum err_code read_number(struct reading *r, const char *name, int64_t max, int64_t *out)
{
    const json_t *v = member(r, name);
    const char *text = json_string_value(v);
    if (!v)
        return OK;
    char *end = NULL;
    long long n = text ? strtoll(text, &end, 10) : json_integer_value(v);
    if ((text && (end == text || *end)) || (!text && !json_is_integer(v)) || n < 0 || n > max)
        return bad(r, name, "not a whole number in range");
    *out = n;
    return OK;
}

static enum err_code read_when(struct reading *r, const char *name, int64_t *out)
{
    const json_t *v = member(r, name);
    if (!v)
        return OK;
    if (api_time_of(v, out) ||
        (json_is_string(v) && text_parse_when(json_string_value(v), r->now_ms, out))) {
        if (*out <= 0)
            *out = 1; /* 0 would mean: open */
        return OK;
    }
    return bad(r, name, "not a time: RFC 3339, or 2h, 3d (ago), today, now");
}

static enum err_code read_status(struct reading *r)
{
    const json_t *v = member(r, "status");
    char text[16] = "";
    if (!v)
        return OK;
    if (json_is_integer(v))
        (void)snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
    else if (json_is_string(v))
        text_copy(text, sizeof text, json_string_value(v));
    if (strlen(text) != 3 || text[0] < '1' || text[0] > '5')
        return bad(r, "status", "not a status like 503, or a class like 5xx");
    struct filter *f = &r->out->f;
    if (!strcmp(text + 1, "xx")) {
        f->status_min = (text[0] - '0') * 100;
        f->status_max = f->status_min + 99;
        return OK;
    }
    if (strspn(text, "0123456789") != 3)
        return bad(r, "status", "not a status like 503, or a class like 5xx");
    f->status_min = f->status_max = (int)strtol(text, NULL, 10);
    return OK;
}

static enum err_code read_words(struct reading *r)
{
    struct filter *f = &r->out->f;
    const char *cause = NULL, *outcome = NULL, *state = NULL, *job = NULL;
    enum outcome o;
    enum delivery_state s;
    enum err_code rc = read_text(r, "cause", &cause);
    if (rc == OK)
        rc = read_text(r, "outcome", &outcome);
    if (rc == OK)
        rc = read_text(r, "state", &state);
    if (rc == OK)
        rc = read_text(r, "job", &job);
    if (rc != OK)
        return rc;
    if (cause && !cause_parse(cause, &f->cause))
        return bad(r, "cause",
                   "not one of retries_exhausted, permanent_failure, gone, invalid_endpoint, "
                   "endpoint_down, expired, subscription_deleted, operator");
    if (outcome && !outcome_parse(outcome, &o))
        return bad(r, "outcome",
                   "not one of success, http_3xx, http_4xx, http_429, http_5xx, timeout, dns, "
                   "connect, tls, reset, blocked, internal");
    if (state && !delivery_state_parse(state, &s))
        return bad(r, "state",
                   "not one of pending, in_flight, retrying, held, delivered, dead, discarded");
    if (job && !id_parse(job, "job", &f->job))
        return bad(r, "job", "not the id of a job (job_…)");
    if (outcome) {
        f->outcome = (int)o;
        f->outcome_set = true;
    }
    if (state) {
        f->state = (int)s;
        f->state_set = true;
    }
    return OK;
}

static enum err_code read_type(struct reading *r)
{
    enum err_code rc = read_text(r, "type", &r->out->f.type);
    const char *type = r->out->f.type;
    if (rc != OK || !type || !strcmp(type, "*"))
        return rc;
    size_t n = strlen(type);
    bool star = n > 2 && !strcmp(type + n - 2, ".*");
    char plain[130] = "";
    if (n < sizeof plain)
        text_copy(plain, n - (star ? 2 : 0) + 1, type);
    return id_is_type(plain) ? OK : bad(r, "type", "not a type, 'name.*' or '*'");
}

static enum err_code read_page(struct reading *r)
{
    struct filter *f = &r->out->f;
    const char *cursor = NULL, *order = NULL;
    int64_t limit = API_PAGE_STANDARD;
    enum err_code rc = read_number(r, "limit", API_PAGE_MAX, &limit);
    if (rc == OK && limit == 0)
        rc = bad(r, "limit", "not a number from 1 to 1000");
    if (rc == OK)
        rc = read_text(r, "cursor", &cursor);
    if (rc == OK)
        rc = read_text(r, "order", &order);
    if (rc != OK)
        return rc;
    f->limit = (size_t)limit;
    if (cursor && !api_cursor_read(cursor, &f->after_ms, &f->after_num))
        return bad(r, "cursor", "not one that a list has given");
    /* Dead letters are read as they happened; of the rest people want the latest. */
    f->newest_first = r->of != API_FILTER_DEAD;
    if (order && !strcmp(order, "oldest"))
        f->newest_first = false;
    else if (order && !strcmp(order, "newest"))
        f->newest_first = true;
    else if (order)
        return bad(r, "order", "not oldest or newest");
    r->out->paged = cursor || member(r, "limit");
    return OK;
}

static enum err_code read_members(struct reading *r)
{
    json_t *o = (json_t *)(uintptr_t)r->object; /* jansson's iterator wants it without const */
    for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it)) {
        const char *key = json_object_iter_key(it);
        size_t i = 0;
        while (MEMBERS[i] && strcmp(MEMBERS[i], key) != 0)
            i++;
        if (!MEMBERS[i]) {
            const char *near = text_nearest(key, MEMBERS);
            r->target = "filter";
            return fail(r->err, ERR_INVALID, "unknown filter '%.64s'%s%s%s", key,
                        near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        if (i < NARROWING_N && !json_is_null(json_object_iter_value(it)))
            r->out->narrows = true;
    }
    const json_t *all = member(r, "all");
    const char *text = json_string_value(all);
    r->out->all = json_is_true(all) || (text && (!strcmp(text, "true") || !strcmp(text, "1")));
    return OK;
}

enum err_code api_filter_read(struct backend *b, const json_t *object, enum api_filter_of of,
                              int64_t now_ms, struct arena *a, struct api_filter *out,
                              const char **target, struct err *err)
{
    struct reading r = {b, object, of, now_ms, a, out, NULL, err};
    int64_t least = 0;
    *out = (struct api_filter){.f.with_expired = true};
    enum err_code rc = OK;
    if (!json_is_object(object))
        rc = bad(&r, "filter", "not a JSON object");
    if (rc == OK)
        rc = read_members(&r);
    if (rc == OK)
        rc = read_page(&r);
    if (rc == OK)
        rc = read_subs(&r);
    if (rc == OK)
        rc = read_ids(&r);
    if (rc == OK)
        rc = read_text(&r, "event_id", &out->f.event_id);
    if (rc == OK)
        rc = read_type(&r);
    if (rc == OK)
        rc = read_words(&r);
    if (rc == OK)
        rc = read_status(&r);
    if (rc == OK)
        rc = read_when(&r, "since", &out->f.since_ms);
    if (rc == OK)
        rc = read_when(&r, "until", &out->f.until_ms);
    if (rc == OK)
        rc = read_number(&r, "min_attempts", 1000000, &least);
    out->f.min_attempts = (int)least;
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

enum err_code api_filter_json(struct backend *b, const char *json, int64_t now_ms, struct arena *a,
                              struct filter *out, struct err *err)
{
    json_error_t why;
    struct api_filter f;
    json_t *object = json_loads(json ? json : "{}", 0, &why);
    if (!object)
        return fail(err, ERR_INVALID, "a filter that is not JSON: %s", why.text);
    enum err_code rc = api_filter_read(b, object, API_FILTER_DEAD, now_ms, a, &f, NULL, err);
    if (rc == OK)
        *out = f.f;
    json_decref(object);
    return rc;
}

static void write_ids(struct buf *out, const char *name, const char *prefix, const int64_t *nums,
                      size_t n)
{
    if (n == 0)
        return;
    put_open(out, name, '[');
    for (size_t i = 0; i < n; i++)
        put_id(out, NULL, prefix, nums[i]);
    buf_addc(out, ']');
}

void api_filter_write(const struct api_filter *filter, const char *name, struct buf *out)
{
    const struct filter *f = &filter->f;
    char text[16];
    put_open(out, name, '{');
    write_ids(out, "subscription", "sub", f->subs, f->subs_n);
    write_ids(out, "id", "dlv", f->ids, f->ids_n);
    if (f->event_id)
        put_str(out, "event_id", f->event_id);
    if (f->type)
        put_str(out, "type", f->type);
    if (f->cause != CAUSE_NONE)
        put_str(out, "cause", cause_name(f->cause));
    if (f->status_min) {
        (void)snprintf(text, sizeof text, "%d%s",
                       f->status_min == f->status_max ? f->status_min : f->status_min / 100,
                       f->status_min == f->status_max ? "" : "xx");
        put_str(out, "status", text);
    }
    if (f->outcome_set)
        put_str(out, "outcome", outcome_name((enum outcome)f->outcome));
    if (f->job)
        put_id(out, "job", "job", f->job);
    if (f->since_ms)
        put_time(out, "since", f->since_ms);
    if (f->until_ms)
        put_time(out, "until", f->until_ms);
    if (f->min_attempts)
        put_int(out, "min_attempts", f->min_attempts);
    if (filter->all)
        put_bool(out, "all", true);
    buf_addc(out, '}');
}
