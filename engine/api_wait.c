/* engine/api_wait.c: what an open delivery waits for: its time, another event of the same key, an
 * operator, its endpoint. In words of a closed list, which the schema of a trace's entry names. */
#include "base/text.h"
#include "engine/api_stats.h"
#include "engine/egress_pause.h"

bool delivery_goes_on(const struct delivery *d)
{
    return d->state == DELIVERY_PENDING || d->state == DELIVERY_RETRYING ||
           d->state == DELIVERY_HELD || d->state == DELIVERY_IN_FLIGHT;
}

static enum err_code behind_whom(struct api_call *c, const struct delivery *d,
                                 struct delivery_wait *w)
{
    struct delivery head;
    int64_t num = 0;
    enum err_code rc = c->ops->line_head(c->b, d->num, &num, c->err);
    if (rc != OK || num == 0 || num == d->num)
        return rc;
    rc = c->ops->delivery_get(c->b, num, c->mem, &head, c->err);
    if (rc == ERR_NOT_FOUND)
        return OK;
    if (rc == OK) {
        w->reason = head.state == DELIVERY_DEAD ? "blocked_key" : "ordering_key";
        (void)text_copy(w->behind, sizeof w->behind, head.event_id ? head.event_id : "");
    }
    return rc;
}

enum err_code delivery_waits(struct api_call *c, const struct egress_pause *egress,
                             const struct delivery *d, struct delivery_wait *w)
{
    struct subscription s = {0};
    *w = (struct delivery_wait){.reason = NULL};
    if (d->state == DELIVERY_IN_FLIGHT) {
        w->reason = "in_flight";
        return OK;
    }
    enum err_code rc = c->ops->sub_get_num(c->b, d->sub, c->mem, &s, c->err);
    if (rc == ERR_NOT_FOUND)
        s.state = SUB_DELETED;
    else if (rc != OK)
        return rc;
    w->state_note = s.state != SUB_ACTIVE ? s.state_cause : NULL;
    if (s.state != SUB_ACTIVE) {
        w->reason = s.state == SUB_PAUSED     ? "subscription_paused"
                    : s.state == SUB_DISABLED ? "subscription_disabled"
                                              : "subscription_deleted";
        w->until_ms = s.resume_at_ms;
        return OK;
    }
    rc = behind_whom(c, d, w);
    if (rc != OK || w->reason)
        return rc;
    if (egress->paused) {
        w->reason = "egress_paused";
        w->until_ms = egress->resume_at_ms;
        w->state_note = egress->note[0] ? egress->note : NULL;
    } else if (s.broken_since_ms) {
        w->reason = "endpoint_down";
        w->until_ms = stats_probe_ms(c->api->live, s.num);
    } else if (!c->api->live) {
        w->reason = "no_daemon";
    } else {
        w->until_ms = d->due_ms;
        w->reason = d->due_ms <= c->now_ms          ? "due"
                    : d->state == DELIVERY_RETRYING ? "retry"
                                                    : "deliver_after";
    }
    return OK;
}
