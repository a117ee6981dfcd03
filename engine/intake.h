/* engine/intake.h: the one door for events, whatever way they come (outbox row, HTTP, CLI): judged,
 * remembered, routed.
 *
 * A struct intake belongs to the thread that writes (the store thread; or webhookctl with the
 * daemon stopped). It keeps a table of the subscriptions' partners and patterns, read from the
 * store when first needed, after intake_forget_routes(), and after a transaction was rolled back in
 * which it may have read a subscription that is not there. */
#ifndef ENGINE_INTAKE_H
#define ENGINE_INTAKE_H

#include "base/err.h"
#include "base/id.h"
#include "engine/changes.h"
#include "store/backend.h"
#include "store/seal.h"

struct intake;
struct intake *intake_new(const struct keyring *keys); /* keys outlive it; NULL: no memory */
void intake_free(struct intake *in);
void intake_forget_routes(
    struct intake *in); /* a subscription or partner changed, or a savepoint was undone */
struct id_source *intake_ids(
    struct intake *in); /* numbers for everything that this thread creates; primed from max_num */
enum err_code intake_prime(struct intake *in, struct backend *b,
                           struct err *err); /* once, before ids are used */

struct intake_event {
    const char
        *id; /* NULL: derived from outbox, seq and content: "evt_…", the same for the same row */
    const char *partner; /* name, "par_…" or "*" */
    const char *type;
    const void *payload;
    size_t payload_bytes;
    const char *ordering_key, *correlation_id, *source, *version, *attributes;
    int64_t deliver_after_ms, expires_ms, created_ms; /* created 0: now */
    const char *outbox;                               /* or "api", "cli" */
    int64_t seq;                                      /* 0: none; then an id is random */
    bool numbers_reused; /* the outbox gives a seq again (no AUTOINCREMENT): the caller vouches that
                            this row is not one that was taken, so where the derived id is known
                            the event gets a random one instead of being dropped */
};
struct intake_limits {
    int64_t max_payload_bytes, dedupe_ms;
};
struct intake_result {
    char id[129];
    int64_t num;
    bool duplicate; /* the same event was accepted before: nothing stored */
    size_t matched;
};
/* On the writing thread, in a transaction. ERR_INVALID with where, what, what to do: nothing is
 * stored (the caller makes a reject or a 4xx of it). Judges: type, id, JSON, size, partner,
 * ms-not-seconds of the times (1973..2200), attributes a JSON object. ERR_EXISTS: the id was seen
 * with other content. Wakes are added to ch. */
enum err_code intake_accept(struct intake *in, struct backend *b, const struct intake_event *ev,
                            const struct intake_limits *limits, struct changes *ch,
                            struct intake_result *out, struct err *err);
/* The same judgement without storing anything: whom it would go to, as numbers of subscriptions
 * that stay as they are until the next call; *n of them. */
enum err_code intake_preview(struct intake *in, struct backend *b, const struct intake_event *ev,
                             const struct intake_limits *limits, const int64_t **subs, size_t *n,
                             struct err *err);

#endif
