/* engine/message.c: rows of the store as profile_render()'s input; see message.h. */
#include "engine/message.h"

enum {
    KEYS_MAX = 8
}; /* an overlap has two; a partner that rotates every hour has its newest here */

/* What is shown of the past was not signed with what came later. (Not asked where it is sent: a clock
 * may have been set back since.) */
static bool signs(const struct secret *k, const struct message_attempt *attempt)
{
    bool later = attempt->mask && k->created_ms > attempt->sent_ms;
    return !later && (k->expires_ms == 0 || k->expires_ms > attempt->sent_ms);
}

enum err_code message_render(const struct profile *p, const struct event_rec *e,
                             const struct subscription *s, const struct message_attempt *attempt,
                             struct buf *body, struct buf *headers, struct err *err)
{
    struct profile_event event = {.id = e->id,
                                  .type = e->type,
                                  .payload = e->payload,
                                  .payload_bytes = e->payload_bytes,
                                  .correlation_id = e->correlation_id,
                                  .source = e->source,
                                  .version = e->version,
                                  .attributes = e->attributes,
                                  .created_ms = e->created_ms};
    struct profile_key keys[KEYS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < s->secrets_n && n < KEYS_MAX; i++)
        if (signs(&s->secrets[i], attempt))
            keys[n++].value = s->secrets[i].value;
    struct profile_input in = {.event = &event,
                               .keys = keys,
                               .keys_n = n,
                               .bearer = s->bearer,
                               .headers = s->headers,
                               .user_agent = "webhookd/" WEBHOOKD_VERSION,
                               .attempt = attempt->n,
                               .now_wall_ms = attempt->sent_ms,
                               .random = attempt->random,
                               .mask = attempt->mask};
    return profile_render(p, &in, body, headers, err);
}
