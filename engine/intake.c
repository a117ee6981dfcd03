/* engine/intake.c: the one door for events: judged, remembered, routed.
 *
 * An event comes as a row, a request or a command; what is wrong with it is said in words that the
 * producer can act on, and nothing is stored. What is right gets its id (the producer's own, or
 * one derived from outbox, sequence and content, so that a row that is read twice is one event),
 * a keyed digest against which later arrivals of the id are compared, and one delivery for each
 * subscription of its partner whose patterns match.
 *
 * Who wants it is looked up in routes.c. */
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
#include "engine/routes.h"
#include "policy/sign.h"

#define CONTENT_MAX ((size_t)1 << 31) /* SQLite's own limit for a row is half of it */
#define UNROUTED_LOG_EVERY_MS 60000

struct intake {
    const struct keyring *keys;
    struct id_source ids;
    bool primed;
    struct routes routes;
    struct buf content; /* scratch: what the digest covers */
    int64_t unrouted_logged_ms;
};

/* What judging found out on the way. */
struct judged {
    int64_t partner;           /* 0: every partner */
    const char *partner_name;  /* "*" then */
    struct routes_range range; /* where its routes are */
    uint8_t content[32];
};

struct intake *intake_new(const struct keyring *keys)
{
    struct intake *in = calloc(1, sizeof *in);
    if (!in)
        return NULL;
    in->keys = keys;
    routes_init(&in->routes);
    buf_init(&in->content, CONTENT_MAX);
    in->unrouted_logged_ms = -UNROUTED_LOG_EVERY_MS;
    return in;
}

void intake_free(struct intake *in)
{
    if (!in)
        return;
    routes_fini(&in->routes);
    buf_fini(&in->content);
    free(in);
}

void intake_forget_routes(struct intake *in)
{
    routes_forget(&in->routes);
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

/* A partner that the table does not know may have come with the same transaction: the store is
 * asked once more before the event is refused. */
static enum err_code judge_partner(struct intake *in, struct backend *b, const char *ref,
                                   struct judged *j, struct err *err)
{
    struct routes *routes = &in->routes;
    enum err_code code = routes_load(routes, b, err);
    if (code != OK)
        return code;
    if (ref && !strcmp(ref, "*")) {
        *j = (struct judged){.partner_name = "*", .range = routes_all(routes)};
        return OK;
    }
    int64_t num = 0;
    if (!ref || (!id_is_name(ref) && !id_parse(ref, "par", &num)))
        return fail(err, ERR_INVALID,
                    "partner: '%.64s' is not a partner's name, id or '*': use one of "
                    "`webhookctl partner list`",
                    ref ? ref : "");
    const struct tenant *t = routes_tenant(routes, ref);
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
        routes_forget(routes);
        code = routes_load(routes, b, err);
        if (code != OK)
            return code;
        t = routes_tenant(routes, ref);
        if (!t)
            return fail(err, ERR_INTERNAL, "partner %.64s is stored but not listed", ref);
    }
    *j = (struct judged){.partner = t->num, .partner_name = t->name, .range = t->range};
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
    return b->ops->event_put(b, rec, in->routes.subs, in->routes.ordered, n, first, digest,
                             seen_until_ms, put, err);
}

/* In a line only the store knows whose turn it is. */
static void wake_lanes(const struct intake *in, struct changes *ch, const struct event_rec *e,
                       size_t n, int64_t first)
{
    int64_t now = e->accepted_ms;
    for (size_t i = 0; i < n; i++) {
        struct delivery d = {.num = first + (int64_t)i,
                             .event = e->num,
                             .sub = in->routes.subs[i],
                             .state = DELIVERY_PENDING,
                             .budget_since_ms = now,
                             .due_ms = e->deliver_after_ms > now ? e->deliver_after_ms : now,
                             .created_ms = now};
        if (d.due_ms > now || (in->routes.ordered[i] && e->ordering_key))
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
    size_t n = routes_match(&in->routes, j->range, ev->type);
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

enum err_code intake_preview(struct intake *in, struct backend *b, const struct intake_event *ev,
                             const struct intake_limits *limits, const int64_t **subs, size_t *n,
                             struct err *err)
{
    struct judged j = {0};
    enum err_code code = intake_prime(in, b, err);
    if (code == OK)
        code = intake_judge(ev, limits, err);
    if (code == OK)
        code = judge_partner(in, b, ev->partner, &j, err);
    if (code != OK)
        return code;
    *n = routes_match(&in->routes, j.range, ev->type);
    *subs = in->routes.subs;
    return OK;
}
