/* engine/intake.c: the one door for events: judged, remembered, routed.
 *
 * An event comes as a row, a request or a command; what is wrong with it is said in words that the
 * producer can act on, and nothing is stored. What is right gets its id (the producer's own, or
 * one derived from outbox, sequence and content, so that a row that is read twice is one event),
 * a keyed digest against which later arrivals of the id are compared, and one delivery for each
 * subscription of its partner whose patterns match.
 *
 * Routing reads a table of its own, loaded from the store when first needed: routes sorted by
 * partner, so that an event looks only at its partner's subscriptions, without an allocation and
 * without a query. Paused and disabled subscriptions are routed to as well: they hold. */
#include "engine/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/dice.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/intake_judge.h"
#include "policy/sign.h"
#include "policy/route.h"

#define CONTENT_MAX ((size_t)1 << 31) /* SQLite's own limit for a row is half of it */
#define PAGE 500
#define UNROUTED_LOG_EVERY_MS 60000

struct route {
    int64_t partner, sub;
    const char *patterns;
    bool ordered;
};
struct tenant {
    int64_t num;
    const char *name;
    size_t first, n; /* its routes */
};

struct intake {
    const struct keyring *keys;
    struct id_source ids;
    bool primed, loaded;
    int64_t rollbacks;  /* of the backend, when routes were loaded */
    struct arena names; /* the strings of routes and tenants */
    struct route *routes;
    size_t routes_n;
    struct tenant *tenants; /* sorted by name */
    size_t tenants_n;
    int64_t *subs; /* scratch of one event, routes_n of each */
    bool *ordered;
    struct buf content; /* scratch: what the digest covers */
    int64_t unrouted_logged_ms;
};

/* What judging found out on the way. */
struct judged {
    int64_t partner;          /* 0: every partner */
    const char *partner_name; /* "*" then */
    size_t first, n;          /* routes to look at */
    uint8_t content[32];
};

struct intake *intake_new(const struct keyring *keys)
{
    struct intake *in = calloc(1, sizeof *in);
    if (!in)
        return NULL;
    in->keys = keys;
    arena_init(&in->names);
    buf_init(&in->content, CONTENT_MAX);
    in->unrouted_logged_ms = -UNROUTED_LOG_EVERY_MS;
    return in;
}

void intake_forget_routes(struct intake *in)
{
    free(in->routes);
    free(in->tenants);
    free(in->subs);
    free(in->ordered);
    in->routes = NULL;
    in->tenants = NULL;
    in->subs = NULL;
    in->ordered = NULL;
    in->routes_n = in->tenants_n = 0;
    in->loaded = false;
    arena_fini(&in->names);
    arena_init(&in->names);
}

void intake_free(struct intake *in)
{
    if (!in)
        return;
    intake_forget_routes(in);
    arena_fini(&in->names);
    buf_fini(&in->content);
    free(in);
}

struct id_source *intake_ids(struct intake *in)
{
    return &in->ids;
}

enum err_code intake_prime(struct intake *in, struct backend *b, struct err *err)
{
    if (in->primed)
        return OK;
    int64_t last = 0;
    enum err_code code = b->ops->max_num(b, &last, err);
    if (code != OK)
        return code;
    if (last > in->ids.last)
        in->ids.last = last;
    in->primed = true;
    return OK;
}

/* ---- the table of routes ---- */

static int by_partner(const void *a, const void *b)
{
    const struct route *x = a, *y = b;
    if (x->partner != y->partner)
        return x->partner < y->partner ? -1 : 1;
    return (x->sub > y->sub) - (x->sub < y->sub);
}

static int by_name(const void *a, const void *b)
{
    const struct tenant *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static enum err_code load_tenants(struct intake *in, struct backend *b, struct err *err)
{
    int64_t after = 0;
    for (;;) {
        struct partner *page = NULL;
        size_t n = 0;
        enum err_code code = b->ops->partner_list(b, after, PAGE, &in->names, &page, &n, err);
        if (code != OK || !n)
            return code;
        struct tenant *more = reallocarray(in->tenants, in->tenants_n + n, sizeof *more);
        if (!more)
            return fail(err, ERR_NOMEM, "no memory for %zu partners", in->tenants_n + n);
        in->tenants = more;
        for (size_t i = 0; i < n; i++)
            more[in->tenants_n++] = (struct tenant){.num = page[i].num, .name = page[i].name};
        after = page[n - 1].num;
        if (n < PAGE)
            return OK;
    }
}

static enum err_code load_subs(struct intake *in, struct backend *b, struct err *err)
{
    int64_t after = 0;
    for (;;) {
        struct subscription *page = NULL;
        size_t n = 0;
        enum err_code code = b->ops->sub_list(b, after, PAGE, false, &in->names, &page, &n, err);
        if (code != OK || !n)
            return code;
        struct route *more = reallocarray(in->routes, in->routes_n + n, sizeof *more);
        if (!more)
            return fail(err, ERR_NOMEM, "no memory for %zu routes", in->routes_n + n);
        in->routes = more;
        for (size_t i = 0; i < n; i++)
            if (page[i].state != SUB_DELETED)
                more[in->routes_n++] = (struct route){.partner = page[i].partner,
                                                      .sub = page[i].num,
                                                      .patterns = page[i].patterns,
                                                      .ordered = page[i].ordered};
        after = page[n - 1].num;
        if (n < PAGE)
            return OK;
    }
}

static void index_tenants(struct intake *in)
{
    for (size_t i = 0; i < in->tenants_n; i++) {
        struct tenant *t = &in->tenants[i];
        size_t low = 0, high = in->routes_n;
        while (low < high) {
            size_t mid = low + (high - low) / 2;
            if (in->routes[mid].partner < t->num)
                low = mid + 1;
            else
                high = mid;
        }
        t->first = low;
        while (low < in->routes_n && in->routes[low].partner == t->num)
            low++;
        t->n = low - t->first;
    }
}

static enum err_code load_routes(struct intake *in, struct backend *b, struct err *err)
{
    if (in->loaded && in->rollbacks == b->rollbacks)
        return OK;
    intake_forget_routes(in);
    enum err_code code = load_tenants(in, b, err);
    if (code == OK)
        code = load_subs(in, b, err);
    if (code == OK) {
        in->subs = calloc(in->routes_n + 1, sizeof *in->subs);
        in->ordered = calloc(in->routes_n + 1, sizeof *in->ordered);
        if (!in->subs || !in->ordered)
            code = fail(err, ERR_NOMEM, "no memory for %zu routes", in->routes_n);
    }
    if (code != OK) {
        intake_forget_routes(in);
        return code;
    }
    if (in->routes_n)
        qsort(in->routes, in->routes_n, sizeof *in->routes, by_partner);
    if (in->tenants_n)
        qsort(in->tenants, in->tenants_n, sizeof *in->tenants, by_name);
    index_tenants(in);
    in->loaded = true;
    in->rollbacks = b->rollbacks;
    return OK;
}

static const struct tenant *tenant_find(const struct intake *in, const char *ref)
{
    if (!in->tenants_n)
        return NULL;
    struct tenant key = {.name = ref};
    const struct tenant *t =
        bsearch(&key, in->tenants, in->tenants_n, sizeof *in->tenants, by_name);
    int64_t num = 0;
    if (t || !id_parse(ref, "par", &num))
        return t;
    for (size_t i = 0; i < in->tenants_n; i++)
        if (in->tenants[i].num == num)
            return &in->tenants[i];
    return NULL;
}

/* A partner that the table does not know may have come with the same transaction: the store is
 * asked once more before the event is refused. */
static enum err_code judge_partner(struct intake *in, struct backend *b, const char *ref,
                                   struct judged *j, struct err *err)
{
    enum err_code code = load_routes(in, b, err);
    if (code != OK)
        return code;
    if (ref && !strcmp(ref, "*")) {
        *j = (struct judged){.partner_name = "*", .n = in->routes_n};
        return OK;
    }
    int64_t num = 0;
    if (!ref || (!id_is_name(ref) && !id_parse(ref, "par", &num)))
        return fail(err, ERR_INVALID,
                    "partner: '%.64s' is not a partner's name, id or '*': use one of "
                    "`webhookctl partner list`",
                    ref ? ref : "");
    const struct tenant *t = tenant_find(in, ref);
    if (!t) {
        struct arena gone;
        arena_init(&gone);
        struct partner found = {0};
        code = b->ops->partner_get(b, ref, &gone, &found, err);
        arena_fini(&gone);
        if (code == ERR_NOT_FOUND)
            return fail(err, ERR_INVALID,
                        "partner: '%.64s' is unknown: add it with `webhookctl partner add %.64s`",
                        ref, ref);
        if (code != OK)
            return code;
        intake_forget_routes(in);
        code = load_routes(in, b, err);
        if (code != OK)
            return code;
        t = tenant_find(in, ref);
        if (!t)
            return fail(err, ERR_INTERNAL, "partner %.64s is stored but not listed", ref);
    }
    *j = (struct judged){.partner = t->num, .partner_name = t->name, .first = t->first, .n = t->n};
    return OK;
}

/* ---- what an event is, as bytes ---- */

/* Length first, so that no two different events give the same bytes. */
static void add_field(struct buf *b, const void *bytes, size_t n)
{
    if (!bytes) {
        buf_addc(b, '-');
        return;
    }
    buf_addf(b, "%zu:", n);
    buf_add(b, bytes, n);
}

static void add_text(struct buf *b, const char *text)
{
    add_field(b, text, text ? strlen(text) : 0);
}

/* Times stay out: a producer that sends an event again with the same id sends it later, and
 * `--expires-in 1h` then means another hour. (They are in the derived id: a seq that is issued
 * again for the same content is another event.) */
static enum err_code digest_content(struct intake *in, const struct intake_event *ev,
                                    struct judged *j, struct err *err)
{
    struct buf *b = &in->content;
    buf_clear(b);
    add_text(b, ev->type);
    add_text(b, j->partner_name);
    add_text(b, ev->ordering_key);
    add_text(b, ev->correlation_id);
    add_text(b, ev->source);
    add_text(b, ev->version);
    add_text(b, ev->attributes);
    add_field(b, ev->payload, ev->payload_bytes);
    if (b->failed)
        return fail(err, ERR_NOMEM, "no memory for an event of %zu bytes", ev->payload_bytes);
    sign_sha256(b->data, b->len, j->content);
    return OK;
}

/* "evt_" and 130 bits. */
static void id_of_bits(const uint8_t bits[17], char out[129])
{
    memcpy(out, "evt_", 4);
    id_base32(out + 4, bits, 26);
}

static enum err_code derive_id(struct intake *in, const struct intake_event *ev,
                               const struct judged *j, char out[129], struct err *err)
{
    if (ev->id) {
        text_copy(out, 129, ev->id);
        return OK;
    }
    uint8_t bits[32];
    if (!ev->seq) {
        dice_bytes(bits, sizeof bits);
    } else {
        struct buf *b = &in->content;
        buf_clear(b);
        add_text(b, ev->outbox);
        buf_addf(b, "%lld,%lld,%lld,%lld,", (long long)ev->seq, (long long)ev->created_ms,
                 (long long)ev->deliver_after_ms, (long long)ev->expires_ms);
        add_field(b, j->content, sizeof j->content);
        if (b->failed)
            return fail(err, ERR_NOMEM, "no memory for an id");
        sign_sha256(b->data, b->len, bits);
    }
    id_of_bits(bits, out);
    return OK;
}

/* ---- accepting ---- */

static size_t match(struct intake *in, const struct judged *j, const char *type)
{
    size_t n = 0;
    for (size_t i = j->first; i < j->first + j->n; i++) {
        const struct route *r = &in->routes[i];
        if (!route_matches(r->patterns, type))
            continue;
        in->subs[n] = r->sub;
        in->ordered[n++] = r->ordered;
    }
    return n;
}

/* An event that matches nobody is legal, and often a typing mistake: said once a minute. */
static void log_unrouted(struct intake *in, const struct intake_event *ev, const char *id)
{
    int64_t now = clock_mono_ms();
    if (now - in->unrouted_logged_ms < UNROUTED_LOG_EVERY_MS)
        return;
    in->unrouted_logged_ms = now;
    log_warn("event_unrouted", "event=%s type=%s partner=%s outbox=%s hint=%s", id, ev->type,
             ev->partner, ev->outbox,
             "no subscription matches; further ones of this minute are "
             "only counted");
}

static const char *present(const char *text)
{
    return text && *text ? text : NULL;
}

static enum err_code put_event(struct intake *in, struct backend *b, const struct event_rec *rec,
                               size_t n, int64_t first, const struct judged *j,
                               int64_t seen_until_ms, struct event_put_result *put, struct err *err)
{
    uint8_t digest[32];
    seal_digest(in->keys, rec->id, strlen(rec->id), digest);
    seal_digest(in->keys, j->content, sizeof j->content, digest + 16);
    return b->ops->event_put(b, rec, in->subs, in->ordered, n, first, digest, seen_until_ms, put,
                             err);
}

/* In a line only the store knows whose turn it is. */
static void wake_lanes(const struct intake *in, struct changes *ch, const struct event_rec *e,
                       size_t n, int64_t first)
{
    int64_t now = e->accepted_ms;
    for (size_t i = 0; i < n; i++) {
        struct delivery d = {.num = first + (int64_t)i,
                             .event = e->num,
                             .sub = in->subs[i],
                             .state = DELIVERY_PENDING,
                             .budget_since_ms = now,
                             .due_ms = e->deliver_after_ms > now ? e->deliver_after_ms : now,
                             .created_ms = now};
        if (d.due_ms > now || (in->ordered[i] && e->ordering_key))
            changes_wake(ch, d.sub, d.due_ms);
        else
            changes_row(ch, &d, e);
    }
}

static enum err_code store_event(struct intake *in, struct backend *b,
                                 const struct intake_event *ev, const struct judged *j,
                                 const struct intake_limits *limits, struct changes *ch,
                                 struct intake_result *out, struct err *err)
{
    int64_t now = clock_store_ms();
    struct event_rec rec = {.num = id_next(&in->ids, now),
                            .id = out->id,
                            .partner = j->partner,
                            .partner_name = j->partner_name,
                            .type = ev->type,
                            .payload = ev->payload,
                            .payload_bytes = ev->payload_bytes,
                            .ordering_key = ev->ordering_key,
                            .correlation_id = ev->correlation_id,
                            .source = ev->source,
                            .version = ev->version,
                            .attributes = ev->attributes,
                            .deliver_after_ms = ev->deliver_after_ms,
                            .expires_ms = ev->expires_ms,
                            .created_ms = ev->created_ms ? ev->created_ms : now,
                            .accepted_ms = now,
                            .outbox = ev->outbox,
                            .seq = ev->seq};
    size_t n = match(in, j, ev->type);
    int64_t first = id_next(&in->ids, now);
    if (n)
        in->ids.last = first + (int64_t)n - 1;
    struct event_put_result put = {0};
    enum err_code code = put_event(in, b, &rec, n, first, j, now + limits->dedupe_ms, &put, err);
    if (code == OK && put.kind == EVENT_DUPLICATE && !ev->id && ev->numbers_reused) {
        uint8_t bits[17];
        dice_bytes(bits, sizeof bits);
        id_of_bits(bits, out->id);
        code = put_event(in, b, &rec, n, first, j, now + limits->dedupe_ms, &put, err);
    }
    if (code != OK)
        return code;
    if (put.kind == EVENT_CONFLICT)
        return fail(err, ERR_EXISTS,
                    "event_id: '%s' was seen with other content: use a new id for a new event",
                    out->id);
    out->num = put.kind == EVENT_NEW ? rec.num : put.num;
    out->duplicate = put.kind == EVENT_DUPLICATE;
    out->matched = out->duplicate ? 0 : n;
    if (out->duplicate) {
        ch->duplicates++;
        return OK;
    }
    ch->accepted++;
    wake_lanes(in, ch, &rec, n, first);
    if (!n) {
        ch->unrouted++;
        log_unrouted(in, ev, out->id);
    }
    return OK;
}

enum err_code intake_accept(struct intake *in, struct backend *b, const struct intake_event *given,
                            const struct intake_limits *limits, struct changes *ch,
                            struct intake_result *out, struct err *err)
{
    struct intake_event ev = *given;
    ev.ordering_key = present(ev.ordering_key);
    ev.correlation_id = present(ev.correlation_id);
    ev.source = present(ev.source);
    ev.version = present(ev.version);
    ev.attributes = present(ev.attributes);

    struct judged j = {0};
    struct intake_result result = {0};
    enum err_code code = intake_prime(in, b, err);
    if (code == OK)
        code = intake_judge(&ev, limits, err);
    if (code == OK)
        code = judge_partner(in, b, ev.partner, &j, err);
    if (code == OK)
        code = digest_content(in, &ev, &j, err);
    if (code == OK)
        code = derive_id(in, &ev, &j, result.id, err);
    if (code == OK)
        code = store_event(in, b, &ev, &j, limits, ch, &result, err);
    /* One huge payload must not stay allocated for ever. */
    if (in->content.room > ((size_t)1 << 20))
        buf_fini(&in->content), buf_init(&in->content, CONTENT_MAX);
    if (code == OK)
        *out = result;
    return code;
}
