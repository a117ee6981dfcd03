/* engine/egress_pause.h: the kill switch: while egress is paused nothing is sent to anybody. It is a
 * row of the store's meta, so that it survives whatever ends the daemon, and can be set without one.
 *
 *   webhookctl egress pause ─▶ store ─commit─▶ changes ─▶ scheduler (starts and claims nothing)
 *
 * What is in flight ends as it ends. Intake goes on. Nothing burns an attempt, no replay queues
 * letters, and an open breaker's max_hold does not count: it begins anew with the resume, since the
 * pause kept its probes from saying that the endpoint is back. An event's own expiry holds: what
 * expires is dead, cause expired, paused or not. */
#ifndef ENGINE_EGRESS_PAUSE_H
#define ENGINE_EGRESS_PAUSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/backend.h"

enum { EGRESS_NOTE_MAX = 1000 };

struct egress_pause {
    bool paused;
    int64_t since_ms;     /* of this state; 0: nobody ever paused */
    int64_t resume_at_ms; /* it ends by itself; 0: it does not, or it is not paused */
    char actor[160];      /* who brought this state about */
    char note[EGRESS_NOTE_MAX + 1];
};

/* Within a transaction. Not paused where nothing was ever written. */
enum err_code egress_pause_read(struct backend *b, struct egress_pause *out, struct err *err);
enum err_code egress_pause_write(struct backend *b, const struct egress_pause *p, struct err *err);

#endif
