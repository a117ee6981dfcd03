/* engine/api_import.c: one line of an export, read back member by member; see api_import.h. The
 * line may have been edited by anybody, so each member has its type, its range and its length. */
#include "engine/api_import.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "engine/intake_judge.h"

enum { TEXT_MAX = 65536, ATTEMPTS_MAX = 10000, DAY_MS = 86400000 };

struct line {
    struct arena *mem;
    struct err *err;
    const char *where; /* "event." and the like, for messages */
    bool failed;       /* the first mistake is in err; reading goes on and changes nothing */
};

static void bad(struct line *x, const char *name, const char *what)
{
    if (!x->failed)
        fail(x->err, ERR_INVALID, "%s%s: %s", x->where, name, what);
    x->failed = true;
}

static const json_t *get(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    return json_is_null(v) ? NULL : v;
}

static const char *text(struct line *x, const json_t *o, const char *name)
{
    const json_t *v = get(o, name);
    if (!v)
        return NULL;
    if (!json_is_string(v) || json_string_length(v) > TEXT_MAX) {
        bad(x, name, json_is_string(v) ? "too long" : "not a string");
        return NULL;
    }
    char *copy = arena_copy(x->mem, json_string_value(v));
    if (!copy)
        bad(x, name, "no memory");
    return copy;
}

static int64_t integer(struct line *x, const json_t *o, const char *name, int64_t max)
{
    const json_t *v = get(o, name);
    int64_t n = json_integer_value(v);
    if (v && (!json_is_integer(v) || n < 0 || n > max)) {
        bad(x, name, "not a whole number in range");
        return 0;
    }
    return n;
}

static int64_t when(struct line *x, const json_t *o, const char *name, bool required)
{
    const json_t *v = get(o, name);
    int64_t ms = 0;
    if (!v && !required)
        return 0;
    if (!json_is_string(v) || !text_parse_time(json_string_value(v), &ms) || ms <= 0) {
        bad(x, name, "not an RFC 3339 time");
        return 0;
    }
    return ms;
}

static int64_t id(struct line *x, const json_t *o, const char *name, const char *prefix,
                  bool required)
{
    const json_t *v = get(o, name);
    int64_t num = 0;
    if (!v && !required)
        return 0;
    if (!json_is_string(v) || !id_parse(json_string_value(v), prefix, &num) || num <= 0) {
        bad(x, name, "not an id of its kind");
        return 0;
    }
    return num;
}

static int64_t seconds(struct line *x, const json_t *o, const char *name, int64_t max_us)
{
    const json_t *v = get(o, name);
    if (!v)
        return -1;
    double us = json_number_value(v) * 1e6;
    if (!json_is_number(v) || !isfinite(us) || us < 0 || us > (double)max_us) {
        bad(x, name, "not a number of seconds");
        return 0;
    }
    return llround(us);
}

/* name, or name_base64. */
static void *bytes(struct line *x, const json_t *o, const char *name, size_t *n)
{
    char coded[48];
    const json_t *v = get(o, name);
    (void)snprintf(coded, sizeof coded, "%s_base64", name);
    const json_t *base64 = get(o, coded);
    void *out = NULL;
    if (json_is_string(v)) {
        *n = json_string_length(v);
        out = arena_bytes(x->mem, json_string_value(v), *n);
    } else if (json_is_string(base64)) {
        struct buf raw;
        buf_init(&raw, json_string_length(base64) + 1);
        if (!text_base64_decode(&raw, json_string_value(base64), json_string_length(base64)))
            bad(x, coded, "not base64");
        *n = raw.len;
        out = arena_bytes(x->mem, raw.data ? raw.data : "", raw.len);
        buf_fini(&raw);
    } else if (v || base64) {
        bad(x, name, "not a string");
        return NULL;
    } else {
        return NULL;
    }
    if (!out)
        bad(x, name, "no memory");
    return out;
}

static enum outcome outcome(struct line *x, const json_t *o, const char *name, bool required)
{
    enum outcome out = OUTCOME_SUCCESS;
    const json_t *v = get(o, name);
    if ((v || required) && (!json_is_string(v) || !outcome_parse(json_string_value(v), &out)))
        bad(x, name, "not an outcome");
    return out;
}

/* ---- parts ---- */

static void read_attempt(struct line *x, const json_t *o, struct attempt *a)
{
    const int64_t most = INT32_MAX;
    a->n = (int)integer(x, o, "n", 1000000);
    a->started_ms = when(x, o, "started_at", false);
    a->outcome = outcome(x, o, "outcome", true);
    a->status = (int)integer(x, o, "status", 999);
    a->duration_us = seconds(x, o, "duration_seconds", (int64_t)DAY_MS * 1000);
    a->dns_us = (int32_t)seconds(x, o, "dns_seconds", most);
    a->connect_us = (int32_t)seconds(x, o, "connect_seconds", most);
    a->tls_us = (int32_t)seconds(x, o, "tls_seconds", most);
    a->wait_us = (int32_t)seconds(x, o, "wait_seconds", most);
    a->transfer_us = (int32_t)seconds(x, o, "transfer_seconds", most);
    a->address = text(x, o, "address");
    a->error = text(x, o, "error");
    a->response_head = text(x, o, "response_head");
    a->response_body = bytes(x, o, "response_body", &a->response_body_bytes);
    a->response_truncated = json_is_true(get(o, "response_truncated"));
    a->next_ms = when(x, o, "next_attempt_at", false);
    a->job = id(x, o, "job", "job", false);
}

static void read_attempts(struct line *x, const json_t *list, int made, int64_t delivery,
                          struct attempt **out, size_t *out_n)
{
    size_t n = json_array_size(list);
    x->where = "";
    if (!json_is_array(list) || n > ATTEMPTS_MAX) {
        bad(x, "attempts", "not an array of at most 10000");
        return;
    }
    struct attempt *rows = arena_alloc(x->mem, (n + 1) * sizeof *rows);
    if (!rows) {
        bad(x, "attempts", "no memory");
        return;
    }
    x->where = "attempts.";
    for (size_t i = 0; i < n && !x->failed; i++) {
        const json_t *o = json_array_get(list, i);
        rows[i].delivery = delivery;
        if (!json_is_object(o))
            bad(x, "n", "not an object");
        read_attempt(x, o, &rows[i]);
        if (rows[i].n < 1 || rows[i].n > made || (i > 0 && rows[i].n <= rows[i - 1].n))
            bad(x, "n", "not ascending between 1 and attempts_made");
    }
    *out = rows;
    *out_n = n;
}

static void read_event(struct line *x, const json_t *o, struct event_rec *e)
{
    x->where = "event.";
    if (!json_is_object(o))
        bad(x, "id", "missing");
    e->id = text(x, o, "id");
    e->type = text(x, o, "type");
    e->partner_name = text(x, o, "partner");
    e->ordering_key = text(x, o, "ordering_key");
    e->correlation_id = text(x, o, "correlation_id");
    e->source = text(x, o, "source");
    e->version = text(x, o, "version");
    e->attributes = text(x, o, "attributes");
    e->outbox = text(x, o, "outbox");
    e->seq = integer(x, o, "seq", INT64_MAX);
    e->created_ms = when(x, o, "created_at", true);
    e->accepted_ms = when(x, o, "accepted_at", true);
    e->deliver_after_ms = when(x, o, "deliver_after", false);
    e->expires_ms = when(x, o, "expires_at", false);
    e->payload = bytes(x, o, "payload", &e->payload_bytes);
}

/* What intake would say of it: no import brings in what could not have come in itself. */
static void judge_event(struct line *x, const struct event_rec *e)
{
    struct intake_limits limits = {0};
    struct intake_event ev = {.id = e->id ? e->id : "",
                              .type = e->type,
                              .payload = e->payload,
                              .payload_bytes = e->payload_bytes,
                              .ordering_key = e->ordering_key,
                              .correlation_id = e->correlation_id,
                              .source = e->source,
                              .version = e->version,
                              .attributes = e->attributes,
                              .deliver_after_ms = e->deliver_after_ms,
                              .expires_ms = e->expires_ms,
                              .created_ms = e->created_ms};
    if (x->failed)
        return;
    if (intake_judge(&ev, &limits, x->err) != OK)
        x->failed = true;
    else if (e->partner_name && strcmp(e->partner_name, "*") != 0 && !id_is_name(e->partner_name))
        bad(x, "partner", "not a partner's name");
}

static void read_subscription(struct line *x, const json_t *o, struct dead_letter *l)
{
    x->where = "subscription.";
    if (!json_is_object(o))
        bad(x, "name", "missing");
    l->sub_num = id(x, o, "id", "sub", false);
    l->sub_name = text(x, o, "name");
    l->sub_url = text(x, o, "url");
    if (l->sub_name && !id_is_name(l->sub_name))
        bad(x, "name", "not a subscription's name");
    for (const char *p = l->sub_url; p && *p; p++)
        if (*p <= 0x20 || *p >= 0x7f) {
            bad(x, "url", "not a URL");
            break;
        }
}

static void read_letter(struct line *x, const json_t *o, int64_t now_ms, struct dead_letter *l)
{
    struct delivery *d = &l->delivery;
    const json_t *kind = get(o, "kind"), *cause = get(o, "cause");
    x->where = "";
    if (json_integer_value(get(o, "v")) != 1)
        bad(x, "v", "not 1: written by another version");
    if (!json_is_string(kind) || strcmp(json_string_value(kind), "dead_letter") != 0)
        bad(x, "kind", "not dead_letter");
    d->num = id(x, o, "delivery", "dlv", true);
    if (!json_is_string(cause) || !cause_parse(json_string_value(cause), &d->cause))
        bad(x, "cause", "not a cause of death");
    l->died_ms = when(x, o, "died_at", true);
    if (l->died_ms > now_ms + DAY_MS)
        bad(x, "died_at", "in the future");
    d->created_ms = when(x, o, "created_at", true);
    d->attempts = (int)integer(x, o, "attempts_made", 1000000);
    d->last_status = (int)integer(x, o, "last_status", 999);
    d->last_outcome = outcome(x, o, "last_outcome", d->attempts > 0);
    d->job = id(x, o, "job", "job", false);
    l->note = text(x, o, "note");
    d->state = DELIVERY_DEAD;
    d->budget_since_ms = d->created_ms;
    d->finished_ms = d->due_ms = l->died_ms;
}

enum err_code import_parse(const char *raw, size_t n, int64_t now_ms, struct arena *mem,
                           struct dead_letter *l, struct attempt **attempts, size_t *attempts_n,
                           struct err *err)
{
    json_error_t why;
    struct line x = {mem, err, "", false};
    json_t *o = json_loadb(raw, n, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(o)) {
        enum err_code rc = fail(err, ERR_INVALID, "not a JSON object: %s", o ? "" : why.text);
        json_decref(o);
        return rc;
    }
    *l = (struct dead_letter){0};
    read_letter(&x, o, now_ms, l);
    read_event(&x, get(o, "event"), &l->event);
    judge_event(&x, &l->event);
    read_subscription(&x, get(o, "subscription"), l);
    read_attempts(&x, get(o, "attempts"), l->delivery.attempts, l->delivery.num, attempts,
                  attempts_n);
    l->delivery.event_id = l->event.id;
    l->delivery.type = l->event.type;
    l->delivery.ordering_key = l->event.ordering_key;
    l->delivery.sub = l->sub_num;
    l->delivery.sub_name = l->sub_name;
    json_decref(o);
    return x.failed ? ERR_INVALID : OK;
}
