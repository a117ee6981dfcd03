/* store/model.c: the memory of one answer (arena) and the names of the closed lists.
 *
 * The names are the product's words (DESIGN "Words"): the same in SQL, JSON, CLI and metrics. */
#include "store/model.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"

#define ARENA_BLOCK_BYTES 4096
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct arena_block {
    struct arena_block *next;
    size_t room, used;
    alignas(max_align_t) unsigned char bytes[];
};

void arena_init(struct arena *a)
{
    a->blocks = NULL;
}

void arena_fini(struct arena *a)
{
    while (a->blocks != NULL) {
        struct arena_block *next = a->blocks->next;
        free(a->blocks);
        a->blocks = next;
    }
}

static struct arena_block *block_new(struct arena *a, size_t n)
{
    size_t room = n > ARENA_BLOCK_BYTES ? n : ARENA_BLOCK_BYTES;
    struct arena_block *b = malloc(sizeof(*b) + room);
    if (b == NULL)
        return NULL;
    b->room = room;
    b->used = 0;
    /* A large allocation goes behind the current block, whose rest stays usable. */
    if (a->blocks != NULL && n > ARENA_BLOCK_BYTES) {
        b->next = a->blocks->next;
        a->blocks->next = b;
    } else {
        b->next = a->blocks;
        a->blocks = b;
    }
    return b;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > SIZE_MAX / 2)
        return NULL;
    size_t step = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct arena_block *b = a->blocks;
    if (b == NULL || b->room - b->used < step)
        b = block_new(a, step);
    if (b == NULL)
        return NULL;
    void *p = b->bytes + b->used;
    b->used += step;
    memset(p, 0, n);
    return p;
}

void *arena_bytes(struct arena *a, const void *bytes, size_t n)
{
    if (bytes == NULL && n > 0)
        return NULL;
    unsigned char *p = n < SIZE_MAX / 2 ? arena_alloc(a, n + 1) : NULL;
    if (p != NULL && n > 0)
        memcpy(p, bytes, n);
    return p;
}

/* ---- copies in a block ---- */
static size_t text_bytes(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

static const char *move_text(char **at, const char *text)
{
    size_t n = text_bytes(text);
    if (n == 0)
        return NULL;
    char *copy = memcpy(*at, text, n);
    *at += n;
    return copy;
}

void *subscription_copy(const struct subscription *from, struct subscription *to)
{
    struct subscription own = *from;
    const char **texts[] = {&own.name,  &own.partner_name, &own.url,    &own.patterns, &own.profile,
                            &own.retry, &own.state_cause,  &own.bearer, &own.headers};
    size_t bytes = from->secrets_n * sizeof *own.secrets;

    for (size_t i = 0; i < COUNT(texts); i++)
        bytes += text_bytes(*texts[i]);
    for (size_t i = 0; i < from->secrets_n; i++)
        bytes += text_bytes(from->secrets[i].value);
    struct secret *block = malloc(bytes + 1); /* a row may have nothing to point to */
    if (block == NULL)
        return NULL;
    char *at = (char *)(block + from->secrets_n);
    own.secrets = block;
    for (size_t i = 0; i < COUNT(texts); i++)
        *texts[i] = move_text(&at, *texts[i]);
    for (size_t i = 0; i < from->secrets_n; i++) {
        block[i] = from->secrets[i];
        block[i].value = move_text(&at, from->secrets[i].value);
    }
    *to = own;
    return block;
}

/* ---- a claimed delivery ---- */
size_t claimed_size(size_t text_n, size_t payload_bytes)
{
    return sizeof(struct claimed) + text_n + payload_bytes + 1;
}

/* Up to this size it costs more to free it early than to keep it. */
enum { PAYLOAD_WITHIN_BYTES = 2048 };

struct claimed *claimed_alloc(size_t text_n, size_t payload_bytes)
{
    bool within = payload_bytes <= PAYLOAD_WITHIN_BYTES;
    struct claimed *c = malloc(sizeof(*c) + text_n + (within ? payload_bytes + 1 : 0));
    char *payload = within ? NULL : span_new(payload_bytes + 1);
    if (c == NULL || (!within && payload == NULL)) {
        free(c);
        span_free(payload, payload_bytes + 1);
        return NULL;
    }
    memset(c, 0, sizeof(*c));
    c->payload = payload;
    c->event.payload = within ? (char *)(c + 1) + text_n : payload;
    c->event.payload_bytes = payload_bytes;
    c->bytes = claimed_size(text_n, payload_bytes);
    claimed_payload(c)[payload_bytes] = '\0';
    return c;
}

char *claimed_payload(struct claimed *c)
{
    return (char *)(uintptr_t)c->event.payload; /* ours, whichever block it is in */
}

void claimed_drop_payload(struct claimed *c)
{
    if (c->payload == NULL)
        return;
    span_free(c->payload, c->event.payload_bytes + 1);
    c->bytes -= c->event.payload_bytes + 1;
    c->event.payload = c->payload = NULL;
    c->event.payload_bytes = 0;
}

void claimed_free(struct claimed *c)
{
    if (c == NULL)
        return;
    claimed_drop_payload(c);
    free(c);
}

struct claimed *claimed_new(const struct delivery *d, const struct event_rec *from)
{
    size_t n = text_bytes(from->id) + text_bytes(from->type) + text_bytes(from->ordering_key) +
               text_bytes(from->correlation_id) + text_bytes(from->source) +
               text_bytes(from->version) + text_bytes(from->attributes);
    struct claimed *c = claimed_alloc(n, from->payload_bytes);
    if (c == NULL)
        return NULL;
    char *at = (char *)(c + 1);
    struct event_rec *e = &c->event;
    c->delivery = (struct delivery){.num = d->num,
                                    .event = d->event,
                                    .sub = d->sub,
                                    .state = d->state,
                                    .attempts = d->attempts,
                                    .budget_start = d->budget_start,
                                    .budget_since_ms = d->budget_since_ms,
                                    .due_ms = d->due_ms,
                                    .budget_max = d->budget_max,
                                    .trial = d->trial,
                                    .job = d->job,
                                    .original = d->original};
    e->num = from->num;
    e->expires_ms = from->expires_ms;
    e->created_ms = from->created_ms;
    c->delivery.event_id = e->id = move_text(&at, from->id);
    c->delivery.type = e->type = move_text(&at, from->type);
    c->delivery.ordering_key = e->ordering_key = move_text(&at, from->ordering_key);
    e->correlation_id = move_text(&at, from->correlation_id);
    e->source = move_text(&at, from->source);
    e->version = move_text(&at, from->version);
    e->attributes = move_text(&at, from->attributes);
    if (from->payload_bytes > 0)
        memcpy(claimed_payload(c), from->payload, from->payload_bytes);
    return c;
}

char *arena_copy(struct arena *a, const char *text)
{
    return text == NULL ? NULL : arena_bytes(a, text, strlen(text));
}

/* ---- names ---- */
static const char *const STATE_NAMES[] = {
    [DELIVERY_PENDING] = "pending",     [DELIVERY_IN_FLIGHT] = "in_flight",
    [DELIVERY_RETRYING] = "retrying",   [DELIVERY_HELD] = "held",
    [DELIVERY_DELIVERED] = "delivered", [DELIVERY_DEAD] = "dead",
    [DELIVERY_DISCARDED] = "discarded",
};
static const char *const OUTCOME_NAMES[] = {
    [OUTCOME_SUCCESS] = "success",   [OUTCOME_HTTP_3XX] = "http_3xx",
    [OUTCOME_HTTP_4XX] = "http_4xx", [OUTCOME_HTTP_429] = "http_429",
    [OUTCOME_HTTP_5XX] = "http_5xx", [OUTCOME_TIMEOUT] = "timeout",
    [OUTCOME_DNS] = "dns",           [OUTCOME_CONNECT] = "connect",
    [OUTCOME_TLS] = "tls",           [OUTCOME_RESET] = "reset",
    [OUTCOME_BLOCKED] = "blocked",   [OUTCOME_INTERNAL] = "internal",
};
static const char *const CAUSE_NAMES[] = {
    [CAUSE_NONE] = NULL,
    [CAUSE_RETRIES_EXHAUSTED] = "retries_exhausted",
    [CAUSE_PERMANENT_FAILURE] = "permanent_failure",
    [CAUSE_GONE] = "gone",
    [CAUSE_INVALID_ENDPOINT] = "invalid_endpoint",
    [CAUSE_ENDPOINT_DOWN] = "endpoint_down",
    [CAUSE_EXPIRED] = "expired",
    [CAUSE_SUBSCRIPTION_DELETED] = "subscription_deleted",
    [CAUSE_OPERATOR] = "operator",
};
static const char *const DEED_NAMES[] = {"replayed",  "resent",   "purged", "restored",
                                         "discarded", "imported", "copied"};
static const char *const SUB_STATE_NAMES[] = {
    [SUB_ACTIVE] = "active",
    [SUB_PAUSED] = "paused",
    [SUB_DISABLED] = "disabled",
    [SUB_DELETED] = "deleted",
};
static const char *const JOB_STATE_NAMES[] = {
    [JOB_ACTIVE] = "active",       [JOB_PAUSED] = "paused",   [JOB_DONE] = "done",
    [JOB_CANCELLED] = "cancelled", [JOB_STOPPED] = "stopped",
};
static const char *const JOB_REASON_NAMES[] = {
    [JOB_REASON_NONE] = NULL,
    [JOB_REASON_PAUSED] = "subscription_paused",
    [JOB_REASON_DISABLED] = "subscription_disabled",
    [JOB_REASON_DELETED] = "subscription_deleted",
    [JOB_REASON_CANARY] = "canary_failed",
    [JOB_REASON_FAILURES] = "too_many_failures",
};
static const char *const JOB_KIND_NAMES[] = {
    [JOB_REPLAY] = "replay",   [JOB_SUBSCRIPTION_DELETE] = "subscription_delete",
    [JOB_PURGE] = "purge",     [JOB_RESTORE] = "restore",
    [JOB_DISCARD] = "discard", [JOB_RESEND] = "resend",
};
_Static_assert(COUNT(STATE_NAMES) == DELIVERY_STATES, "a name for every state");
_Static_assert(COUNT(OUTCOME_NAMES) == OUTCOMES, "a name for every outcome");
_Static_assert(COUNT(CAUSE_NAMES) == CAUSES, "a name for every cause");
_Static_assert(COUNT(SUB_STATE_NAMES) == SUB_STATES, "a name for every state");
_Static_assert(COUNT(JOB_STATE_NAMES) == JOB_STATES, "a name for every state");
_Static_assert(COUNT(JOB_REASON_NAMES) == JOB_REASONS, "a name for every reason");
_Static_assert(COUNT(JOB_KIND_NAMES) == JOB_KINDS, "a name for every kind");

static const char *name_of(const char *const *names, size_t n, int value)
{
    return value >= 0 && (size_t)value < n ? names[value] : NULL;
}

static int value_of(const char *const *names, size_t n, const char *word)
{
    for (size_t i = 0; word != NULL && i < n; i++)
        if (names[i] != NULL && strcmp(names[i], word) == 0)
            return (int)i;
    return -1;
}

const char *delivery_state_name(enum delivery_state s)
{
    return name_of(STATE_NAMES, COUNT(STATE_NAMES), (int)s);
}

static int64_t less(int64_t n, int64_t by)
{
    return n > by ? n - by : 0;
}

void deliveries_in_flight(int64_t counts[DELIVERY_STATES], int64_t n, int64_t retrying)
{
    counts[DELIVERY_RETRYING] = less(counts[DELIVERY_RETRYING], retrying);
    counts[DELIVERY_PENDING] = less(counts[DELIVERY_PENDING], n - retrying);
    counts[DELIVERY_IN_FLIGHT] = n;
}

bool delivery_state_parse(const char *word, enum delivery_state *out)
{
    int v = value_of(STATE_NAMES, COUNT(STATE_NAMES), word);
    if (v < 0)
        return false;
    *out = (enum delivery_state)v;
    return true;
}

const char *outcome_name(enum outcome o)
{
    return name_of(OUTCOME_NAMES, COUNT(OUTCOME_NAMES), (int)o);
}

bool outcome_parse(const char *word, enum outcome *out)
{
    int v = value_of(OUTCOME_NAMES, COUNT(OUTCOME_NAMES), word);
    if (v < 0)
        return false;
    *out = (enum outcome)v;
    return true;
}

const char *cause_name(enum cause c)
{
    return name_of(CAUSE_NAMES, COUNT(CAUSE_NAMES), (int)c);
}

bool cause_parse(const char *word, enum cause *out)
{
    int v = value_of(CAUSE_NAMES, COUNT(CAUSE_NAMES), word);
    if (v < 0)
        return false;
    *out = (enum cause)v;
    return true;
}

const char *deed_kind_name(enum deed_kind k)
{
    return name_of(DEED_NAMES, COUNT(DEED_NAMES), (int)k);
}

const char *sub_state_name(enum sub_state s)
{
    return name_of(SUB_STATE_NAMES, COUNT(SUB_STATE_NAMES), (int)s);
}

const char *job_state_name(enum job_state s)
{
    return name_of(JOB_STATE_NAMES, COUNT(JOB_STATE_NAMES), (int)s);
}

bool job_state_parse(const char *word, enum job_state *out)
{
    int v = value_of(JOB_STATE_NAMES, COUNT(JOB_STATE_NAMES), word);
    if (v < 0)
        return false;
    *out = (enum job_state)v;
    return true;
}

const char *job_reason_name(enum job_reason r)
{
    return name_of(JOB_REASON_NAMES, COUNT(JOB_REASON_NAMES), (int)r);
}

const char *job_kind_name(enum job_kind k)
{
    return name_of(JOB_KIND_NAMES, COUNT(JOB_KIND_NAMES), (int)k);
}

bool job_kind_parse(const char *word, enum job_kind *out)
{
    int v = value_of(JOB_KIND_NAMES, COUNT(JOB_KIND_NAMES), word);
    if (v < 0)
        return false;
    *out = (enum job_kind)v;
    return true;
}
