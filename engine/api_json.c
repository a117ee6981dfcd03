/* engine/api_json.c: how each object is written. The order of members is fixed: an exported letter
 * is compared byte by byte.
 *
 * Written by hand into a buffer, not as a jansson tree: a payload goes out as the very bytes that
 * came in, and no tree would keep them. Nothing is parsed here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "engine/api_impl.h"
#include "policy/sign.h"

/* ---- members ---- */

void put_name(struct buf *b, const char *name)
{
    char last = b->len > 0 ? b->data[b->len - 1] : '{';
    if (last != '{' && last != '[')
        buf_addc(b, ',');
    if (name)
        buf_addf(b, "\"%s\":", name);
}

void put_open(struct buf *b, const char *name, char bracket)
{
    put_name(b, name);
    buf_addc(b, bracket);
}

void put_str(struct buf *b, const char *name, const char *value)
{
    put_name(b, name);
    buf_add_json(b, value);
}

void put_int(struct buf *b, const char *name, int64_t value)
{
    put_name(b, name);
    buf_addf(b, "%lld", (long long)value);
}

void put_int_or_null(struct buf *b, const char *name, int64_t value)
{
    if (value)
        put_int(b, name, value);
    else
        put_null(b, name);
}

void put_bool(struct buf *b, const char *name, bool value)
{
    put_name(b, name);
    buf_adds(b, value ? "true" : "false");
}

void put_null(struct buf *b, const char *name)
{
    put_name(b, name);
    buf_adds(b, "null");
}

void put_real(struct buf *b, const char *name, double value)
{
    put_name(b, name);
    if (value > 0)
        buf_addf(b, "%.10g", value);
    else
        buf_adds(b, "null");
}

void put_number(struct buf *b, const char *name, double value)
{
    put_name(b, name);
    buf_addf(b, "%.10g", value);
}

void put_time(struct buf *b, const char *name, int64_t ms)
{
    char text[TEXT_TIME_MAX];
    put_str(b, name, ms ? text_time(text, ms) : NULL);
}

void put_id(struct buf *b, const char *name, const char *prefix, int64_t num)
{
    char text[ID_TEXT_MAX];
    put_str(b, name, num ? id_text(text, prefix, num) : NULL);
}

/* Exact to the microsecond and without an exponent, so that it can be read back. */
void put_seconds(struct buf *b, const char *name, int64_t us)
{
    if (us < 0) {
        put_null(b, name);
        return;
    }
    put_name(b, name);
    buf_addf(b, "%lld.%06lld", (long long)(us / 1000000), (long long)(us % 1000000));
    for (int zeros = 0; zeros < 5 && b->len > 0 && b->data[b->len - 1] == '0'; zeros++)
        b->data[--b->len] = '\0';
}

void put_raw(struct buf *b, const char *name, const char *bytes, size_t n)
{
    put_name(b, name);
    buf_add(b, bytes, n);
}

void put_sha256(struct buf *b, const char *name, const void *bytes, size_t n)
{
    uint8_t digest[32];
    char text[65];
    if (!bytes) {
        put_null(b, name);
        return;
    }
    sign_sha256(bytes, n, digest);
    text_hex(text, digest, sizeof digest);
    put_str(b, name, text);
}

void put_bytes(struct buf *b, const char *name, const void *bytes, size_t n)
{
    if (!bytes) {
        put_null(b, name);
        return;
    }
    if (text_is_utf8(bytes, n) && !memchr(bytes, 0, n)) {
        struct buf text; /* rows promise no NUL behind their bytes */
        buf_init(&text, n);
        buf_add(&text, bytes, n);
        b->failed = b->failed || text.failed;
        put_str(b, name, text.data ? text.data : "");
        buf_fini(&text);
        return;
    }
    if (b->len > 0 && b->data[b->len - 1] != '{')
        buf_addc(b, ',');
    buf_addf(b, "\"%s_base64\":\"", name);
    text_base64(b, bytes, n);
    buf_addc(b, '"');
}

void api_cursor_write(char out[64], int64_t ms, int64_t num)
{
    (void)snprintf(out, 64, "%lld.%lld", (long long)ms, (long long)num);
}

bool api_cursor_read(const char *text, int64_t *ms, int64_t *num)
{
    char *end;
    if (!text || *text < '0' || *text > '9')
        return false;
    long long a = strtoll(text, &end, 10);
    if (*end != '.' || end[1] < '0' || end[1] > '9')
        return false;
    long long b = strtoll(end + 1, &end, 10);
    if (*end || a < 0 || b < 0)
        return false;
    *ms = a;
    *num = b;
    return true;
}

void put_list_begin(struct api_call *c)
{
    put_open(&c->resp->body, NULL, '{');
    put_open(&c->resp->body, "items", '[');
}

void put_cursor(struct api_call *c, bool more, int64_t ms, int64_t num)
{
    char cursor[64];
    if (more)
        api_cursor_write(cursor, ms, num);
    put_str(&c->resp->body, "next_cursor", more ? cursor : NULL);
}

enum err_code put_list_end(struct api_call *c, bool more, int64_t ms, int64_t num)
{
    struct buf *b = &c->resp->body;
    buf_addc(b, ']');
    put_cursor(c, more, ms, num);
    buf_adds(b, "}");
    c->resp->status = 200;
    return OK;
}

/* ---- objects ---- */

static void put_patterns(struct buf *b, const char *patterns)
{
    put_open(b, "events", '[');
    while (patterns && *patterns) {
        char one[160];
        patterns += strspn(patterns, " ,");
        size_t n = strcspn(patterns, ",");
        size_t kept = n;
        while (kept > 0 && patterns[kept - 1] == ' ')
            kept--;
        if (kept > 0)
            put_str(b, NULL, text_copy(one, kept < sizeof one ? kept + 1 : sizeof one, patterns));
        patterns += n;
    }
    buf_addc(b, ']');
}

static void put_header_names(struct buf *b, const char *headers)
{
    json_t *object = headers ? json_loads(headers, 0, NULL) : NULL;
    put_open(b, "headers", '[');
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it))
        put_str(b, NULL, json_object_iter_key(it));
    buf_addc(b, ']');
    json_decref(object);
}

static void put_secrets(struct buf *b, const struct subscription *s, int64_t now_ms)
{
    put_open(b, "secrets", '[');
    for (size_t i = 0; i < s->secrets_n; i++) {
        const struct secret *k = &s->secrets[i];
        if (k->expires_ms && k->expires_ms <= now_ms)
            continue;
        put_open(b, NULL, '{');
        put_id(b, "key_id", "key", k->num);
        put_time(b, "created_at", k->created_ms);
        put_time(b, "expires_at", k->expires_ms);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
}

/* failing_since is what judges: null where the endpoint does not fail. */
void put_health(struct buf *b, const struct subscription *s)
{
    const struct health *h = &s->health;
    bool failed = h->last_failure_ms != 0;
    put_time(b, "last_success_at", h->last_success_ms);
    put_time(b, "last_failure_at", h->last_failure_ms);
    put_int_or_null(b, "last_failure_status", h->last_failure_status);
    put_str(b, "last_failure_outcome", failed ? outcome_name(h->last_failure_outcome) : NULL);
    put_time(b, "failing_since", sub_failing_since(s));
}

static void put_counts(struct buf *b, const int64_t counts[DELIVERY_STATES])
{
    put_open(b, "counts", '{');
    for (int i = 0; i < DELIVERY_STATES; i++)
        if (i != DELIVERY_IN_FLIGHT)
            put_int(b, delivery_state_name((enum delivery_state)i), counts[i]);
    buf_addc(b, '}');
}

/* Leaves the object open: whoever looks at it is told more. */
void render_subscription(struct buf *b, const struct subscription *s, int64_t now_ms,
                         const char *secret)
{
    put_open(b, NULL, '{');
    put_id(b, "id", "sub", s->num);
    put_str(b, "name", s->name);
    put_str(b, "partner", s->partner_name);
    put_str(b, "url", s->url);
    put_patterns(b, s->patterns);
    put_str(b, "profile", s->profile);
    put_str(b, "retry", s->retry);
    put_str(b, "state", sub_state_name(s->state));
    put_str(b, "state_cause", s->state_cause);
    put_time(b, "state_since", s->state_since_ms);
    put_time(b, "resume_at", s->resume_at_ms);
    put_str(b, "ordering", s->ordered ? "key" : "none");
    put_str(b, "on_dead", s->on_dead_block ? "block" : "skip");
    put_real(b, "rate_per_second", s->rate_per_s);
    put_int_or_null(b, "concurrency", s->concurrency);
    if (s->timeout_ms > 0)
        put_seconds(b, "timeout_seconds", s->timeout_ms * 1000);
    else
        put_null(b, "timeout_seconds");
    put_bool(b, "bearer", s->bearer != NULL);
    put_header_names(b, s->headers);
    put_secrets(b, s, now_ms);
    put_time(b, "broken_since", s->broken_since_ms);
    put_health(b, s);
    put_int(b, "revision", s->revision);
    put_id(b, "job", "job", s->job);
    put_time(b, "created_at", s->created_ms);
    put_time(b, "updated_at", s->updated_ms);
    put_counts(b, s->counts);
    if (secret)
        put_str(b, "secret", secret);
}

void render_accepted(struct buf *b, const struct intake_result *r)
{
    put_open(b, NULL, '{');
    put_str(b, "id", r->id);
    put_bool(b, "duplicate", r->duplicate);
    put_int(b, "matched", (int64_t)r->matched);
    buf_addc(b, '}');
}

/* Leaves the object open: payload or deliveries may follow. */
void render_event(struct buf *b, const char *name, const struct event_rec *e)
{
    put_open(b, name, '{');
    put_str(b, "id", e->id);
    put_str(b, "type", e->type);
    put_str(b, "partner", e->partner_name ? e->partner_name : e->partner ? NULL : "*");
    put_str(b, "ordering_key", e->ordering_key);
    put_str(b, "correlation_id", e->correlation_id);
    put_str(b, "source", e->source);
    put_str(b, "version", e->version);
    if (e->attributes && !text_json_problem(e->attributes, strlen(e->attributes), NULL))
        put_raw(b, "attributes", e->attributes, strlen(e->attributes));
    else
        put_null(b, "attributes");
    put_str(b, "outbox", e->outbox);
    put_time(b, "created_at", e->created_ms);
    put_time(b, "accepted_at", e->accepted_ms);
    put_time(b, "deliver_after", e->deliver_after_ms);
    put_time(b, "expires_at", e->expires_ms);
    put_int(b, "payload_bytes", (int64_t)e->payload_bytes);
}

void render_payload(struct buf *b, const struct event_rec *e)
{
    size_t at = 0;
    if (!e->payload) {
        put_null(b, "payload");
    } else if (!text_json_problem(e->payload, e->payload_bytes, &at)) {
        put_raw(b, "payload", e->payload, e->payload_bytes);
    } else {
        buf_adds(b, ",\"payload_base64\":\"");
        text_base64(b, e->payload, e->payload_bytes);
        buf_addc(b, '"');
    }
}

static bool delivery_is_open(const struct delivery *d)
{
    return d->state == DELIVERY_PENDING || d->state == DELIVERY_RETRYING ||
           d->state == DELIVERY_HELD;
}

void render_delivery(struct buf *b, const char *name, const struct delivery *d)
{
    put_open(b, name, '{');
    put_id(b, "id", "dlv", d->num);
    put_str(b, "event_id", d->event_id);
    put_str(b, "subscription", d->sub_name);
    put_id(b, "subscription_id", "sub", d->sub);
    put_str(b, "type", d->type);
    put_str(b, "state", delivery_state_name(d->state));
    put_str(b, "cause", cause_name(d->cause));
    put_int(b, "attempts", d->attempts);
    put_int_or_null(b, "last_status", d->last_status);
    put_str(b, "last_outcome", d->attempts > 0 ? outcome_name(d->last_outcome) : NULL);
    put_time(b, "next_attempt_at", delivery_is_open(d) ? d->due_ms : 0);
    put_time(b, "created_at", d->created_ms);
    put_time(b, "finished_at", d->finished_ms);
    put_str(b, "ordering_key", d->ordering_key);
    put_id(b, "job", "job", d->job);
    put_bool(b, "trial", d->trial);
    put_id(b, "original", "dlv", d->original);
}

void render_delivery_item(struct buf *b, const struct delivery *d)
{
    render_delivery(b, NULL, d);
    buf_addc(b, '}');
}

static void put_attempt_facts(struct buf *b, const struct attempt *a)
{
    put_int(b, "n", a->n);
    put_time(b, "started_at", a->started_ms);
    put_str(b, "outcome", outcome_name(a->outcome));
    put_int_or_null(b, "status", a->status);
    put_seconds(b, "duration_seconds", a->duration_us);
    put_seconds(b, "dns_seconds", a->dns_us);
    put_seconds(b, "connect_seconds", a->connect_us);
    put_seconds(b, "tls_seconds", a->tls_us);
    put_seconds(b, "wait_seconds", a->wait_us);
    put_seconds(b, "transfer_seconds", a->transfer_us);
    put_str(b, "address", a->address);
    put_str(b, "error", a->error);
}

static void put_attempt_cause(struct buf *b, const struct attempt *a)
{
    put_time(b, "next_attempt_at", a->next_ms);
    put_str(b, "trigger", a->job ? "replay" : "schedule");
    put_id(b, "job", "job", a->job);
    buf_addc(b, '}');
}

/* Also a part of the export: api_import.c reads every member back. */
void render_attempt(struct buf *b, const struct attempt *a)
{
    put_open(b, NULL, '{');
    put_attempt_facts(b, a);
    put_str(b, "response_head", a->response_head);
    put_bytes(b, "response_body", a->response_body, a->response_body_bytes);
    put_bool(b, "response_truncated", a->response_truncated);
    put_attempt_cause(b, a);
}

void render_attempt_found(struct buf *b, const struct attempt_found *x)
{
    char delivery[ID_TEXT_MAX], id[ID_TEXT_MAX + 12];
    id_text(delivery, "dlv", x->attempt.delivery);
    (void)snprintf(id, sizeof id, "%s/%d", delivery, x->attempt.n);
    put_open(b, NULL, '{');
    put_str(b, "id", id);
    put_str(b, "delivery", delivery);
    put_str(b, "event_id", x->event_id);
    put_str(b, "type", x->type);
    put_str(b, "subscription", x->sub_name);
    put_id(b, "subscription_id", "sub", x->sub);
    put_attempt_facts(b, &x->attempt);
    put_attempt_cause(b, &x->attempt);
}

/* Leaves the object open: dlq show adds to it. */
void render_letter(struct buf *b, const struct dead_letter *l)
{
    const struct delivery *d = &l->delivery;
    put_open(b, NULL, '{');
    put_id(b, "id", "dlv", d->num);
    put_str(b, "event_id", l->event.id ? l->event.id : d->event_id);
    put_str(b, "subscription", l->sub_name);
    put_id(b, "subscription_id", "sub", l->sub_num);
    put_str(b, "type", l->event.type ? l->event.type : d->type);
    put_str(b, "cause", cause_name(d->cause));
    put_int(b, "attempts", d->attempts);
    put_int_or_null(b, "last_status", d->last_status);
    put_str(b, "last_outcome", d->attempts > 0 ? outcome_name(d->last_outcome) : NULL);
    put_time(b, "died_at", l->died_ms);
    put_time(b, "created_at", l->event.created_ms ? l->event.created_ms : d->created_ms);
    put_time(b, "expires_at", l->expires_ms);
    put_str(b, "ordering_key", l->event.ordering_key);
    put_int(b, "payload_bytes", (int64_t)l->event.payload_bytes);
    put_str(b, "note", l->note);
}

void put_sub_now(struct buf *b, const struct subscription *s)
{
    static const struct subscription nobody;
    bool known = s && s->state != SUB_DELETED;
    put_str(b, "state", s ? sub_state_name(s->state) : NULL);
    put_str(b, "state_cause", known ? s->state_cause : NULL);
    put_time(b, "state_since", s ? s->state_since_ms : 0);
    put_time(b, "resume_at", known ? s->resume_at_ms : 0);
    put_time(b, "broken_since", known ? s->broken_since_ms : 0);
    put_str(b, "url", s ? s->url : NULL);
    put_health(b, known ? s : &nobody);
}

void render_subscription_now(struct buf *b, const struct subscription *s)
{
    put_open(b, "subscription_now", '{');
    put_sub_now(b, s);
    buf_addc(b, '}');
}
