/* engine/api_trial.c: one synthetic event to one subscription, which an operator sends to see what its
 * endpoint says.
 *
 * It is signed and sent like any other, but once, before what else is due, and as a trial: nothing of
 * it is counted as traffic, and where it fails no dead letter is left. It goes out whatever holds the
 * subscription's deliveries (engine/lane.h), so that an endpoint can be tried before traffic flows to it.
 * Only the kill switch holds: while egress is paused nobody is sent anything. Whoever asked follows
 * the delivery; where no daemon runs it waits in the store for the next one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dice.h"
#include "base/text.h"
#include "engine/api_impl.h"
#include "engine/egress_pause.h"
#include "engine/intake_judge.h"

#define TRIAL_TYPE "webhookd.test"

static enum err_code can_be_sent(struct api_call *c)
{
    struct egress_pause p;
    enum err_code rc = egress_pause_read(c->b, &p, c->err);
    if (rc == OK && p.paused)
        return api_refuse(
            c, 409, "wrong_state", NULL,
            "egress is paused, by %s%s%s: nothing is sent to anybody, a test neither. "
            "First: webhookctl egress resume",
            p.actor, p.note[0] ? ": " : "", p.note);
    return rc;
}

static enum err_code trial_event(struct api_call *c, struct event_rec *e, char id[64])
{
    static const char *const names[] = {"type", "data", NULL};
    uint8_t random[12];
    char hex[2 * sizeof random + 1];
    struct intake_limits limits = {.max_payload_bytes = c->api->conf->max_payload_bytes};
    const json_t *data = json_object_get(c->body, "data");
    enum err_code rc = api_members(c, c->body, names);
    e->type = TRIAL_TYPE;
    if (rc == OK)
        rc = api_member_text(c, "type", &e->type);
    if (rc != OK)
        return rc;
    char *text = data ? json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    e->payload = arena_copy(c->mem, text ? text : "{\"test\":true}");
    free(text);
    if (!e->payload)
        return fail(c->err, ERR_NOMEM, "no memory for a test");
    e->payload_bytes = strlen(e->payload);
    dice_bytes(random, sizeof random);
    text_hex(hex, random, sizeof random);
    snprintf(id, 64, "test_%s", hex);
    e->id = id;
    struct intake_event ev = {.id = e->id,
                              .type = e->type,
                              .payload = e->payload,
                              .payload_bytes = e->payload_bytes,
                              .created_ms = c->now_ms};
    struct err why = {0};
    if (intake_judge(&ev, &limits, &why) != OK)
        return api_refuse(c, 422, "invalid_member", NULL, "%s", why.text);
    return OK;
}

static enum err_code trial_put(struct api_call *c, const struct subscription *s,
                               struct event_rec *e, int64_t *delivery)
{
    struct event_put_result put;
    uint8_t digest[32];
    bool ordered = false;
    e->num = api_new_num(c);
    e->partner = s->partner;
    e->created_ms = e->accepted_ms = c->now_ms;
    e->source = "webhookd";
    e->outbox = "test";
    *delivery = api_new_num(c);
    dice_bytes(digest, sizeof digest); /* nobody sends the same again */
    enum err_code rc = c->ops->event_put(c->b, e, &s->num, &ordered, 1, *delivery, digest,
                                         c->now_ms, &put, c->err);
    if (rc == OK)
        rc = c->ops->trial(c->b, *delivery, 1, c->err);
    return rc;
}

enum err_code h_subs_test(struct api_call *c)
{
    struct subscription s;
    struct event_rec e = {0};
    struct delivery d;
    char id[64], name[ID_TEXT_MAX];
    int64_t delivery = 0;
    enum err_code rc = sub_live_of_ref(c, &s);
    if (rc == OK)
        rc = can_be_sent(c);
    if (rc == OK)
        rc = trial_event(c, &e, id);
    if (rc == OK)
        rc = trial_put(c, &s, &e, &delivery);
    if (rc == OK)
        rc = api_audit(c, "subscription.test", id_text(name, "sub", s.num), NULL);
    if (rc == OK)
        rc = c->ops->delivery_get(c->b, delivery, c->mem, &d, c->err);
    if (rc != OK)
        return rc;
    changes_wake(&c->resp->changes, s.num, TRIAL_DUE_MS);
    render_delivery_item(&c->resp->body, &d);
    c->resp->status = 202;
    return OK;
}
