/* engine/message.h: what one attempt says: its body and its headers, made from an event and a
 * subscription by the subscription's profile. For the sending and for `dlq show`, which must not
 * differ. */
#ifndef ENGINE_MESSAGE_H
#define ENGINE_MESSAGE_H

#include "policy/profile.h"
#include "store/model.h"

struct message_attempt {
    int n;              /* from 1 */
    int64_t sent_ms;    /* wall */
    uint8_t random[32]; /* fresh for each attempt */
    bool mask;          /* for display: no signature, no token */
};

/* Appends to body and headers (policy/profile.h says how). The secrets that are valid at sent_ms
 * sign. ERR_INVALID: this subscription's messages cannot be made at all; ERR_NOMEM. */
enum err_code message_render(const struct profile *p, const struct event_rec *e,
                             const struct subscription *s, const struct message_attempt *attempt,
                             struct buf *body, struct buf *headers, struct err *err);

#endif
