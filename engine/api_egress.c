/* engine/api_egress.c: the kill switch, looked at and thrown; see engine/egress_pause.h. */
#include <string.h>

#include "base/text.h"
#include "engine/api_impl.h"
#include "engine/egress_pause.h"

void render_egress(struct buf *b, const char *name, const struct egress_pause *p, int64_t waiting)
{
    put_open(b, name, '{');
    put_bool(b, "paused", p->paused);
    put_time(b, "since", p->since_ms);
    put_time(b, "resume_at", p->resume_at_ms);
    put_str(b, "actor", p->actor[0] ? p->actor : NULL);
    put_str(b, "note", p->note[0] ? p->note : NULL);
    put_int(b, "waiting", waiting);
    buf_addc(b, '}');
}

static enum err_code answer(struct api_call *c, const struct egress_pause *p)
{
    int64_t counts[DELIVERY_STATES] = {0}, rejects = 0;
    enum err_code rc = c->ops->counts(c->b, counts, &rejects, c->err);
    if (rc != OK)
        return rc;
    render_egress(&c->resp->body, NULL, p, counts[DELIVERY_PENDING] + counts[DELIVERY_RETRYING]);
    c->resp->status = 200;
    return OK;
}

enum err_code h_egress_get(struct api_call *c)
{
    struct egress_pause p;
    enum err_code rc = egress_pause_read(c->b, &p, c->err);
    return rc == OK ? answer(c, &p) : rc;
}

static enum err_code read_note(struct api_call *c, struct egress_pause *p)
{
    const char *note = NULL;
    enum err_code rc = api_member_text(c, "note", &note);
    if (rc == OK && note && strlen(note) > EGRESS_NOTE_MAX)
        rc = api_refuse(c, 422, "invalid_member", "note", "note: longer than %d bytes",
                        EGRESS_NOTE_MAX);
    text_copy(p->note, sizeof p->note, note ? note : "");
    return rc;
}

static enum err_code put_switch(struct api_call *c, const struct egress_pause *p,
                                const char *action)
{
    struct buf detail;
    enum err_code rc = egress_pause_write(c->b, p, c->err);
    if (rc != OK)
        return rc;
    buf_init(&detail, 16384);
    put_open(&detail, NULL, '{');
    put_str(&detail, "note", p->note[0] ? p->note : NULL);
    put_time(&detail, "resume_at", p->resume_at_ms);
    buf_addc(&detail, '}');
    rc = detail.failed ? fail(c->err, ERR_NOMEM, "no memory for the audit log")
                       : api_audit(c, action, "egress", detail.data);
    buf_fini(&detail);
    c->resp->changes.egress =
        (struct change_egress){.told = true, .paused = p->paused, .resume_at_ms = p->resume_at_ms};
    return rc;
}

/* A second pause takes the first one's place: another end, the same beginning, and the first one's note
 * where it has none itself. The same again changes nothing. */
enum err_code h_egress_pause(struct api_call *c)
{
    static const char *const names[] = {"note", "for_seconds", NULL};
    struct egress_pause before, p = {.paused = true};
    double for_s = 0;
    enum err_code rc = api_members(c, c->body, names);
    if (rc == OK)
        rc = api_member_number(c, "for_seconds", API_FOR_MIN_MS / 1000.0,
                               (double)API_FOR_MAX_MS / 1000.0, &for_s);
    if (rc == OK)
        rc = read_note(c, &p);
    if (rc == OK)
        rc = egress_pause_read(c->b, &before, c->err);
    if (rc != OK)
        return rc;
    if (before.paused && !p.note[0] && for_s <= 0 && before.resume_at_ms == 0)
        return answer(c, &before);
    if (before.paused && !p.note[0])
        text_copy(p.note, sizeof p.note, before.note);
    p.since_ms = before.paused ? before.since_ms : c->now_ms;
    p.resume_at_ms = for_s > 0 ? c->now_ms + (int64_t)(for_s * 1000) : 0;
    text_copy(p.actor, sizeof p.actor, c->req->actor ? c->req->actor : "unknown");
    rc = put_switch(c, &p, "egress.pause");
    return rc == OK ? answer(c, &p) : rc;
}

enum err_code h_egress_resume(struct api_call *c)
{
    static const char *const names[] = {"note", NULL};
    struct egress_pause before, p = {.since_ms = c->now_ms};
    enum err_code rc = api_members(c, c->body, names);
    if (rc == OK)
        rc = read_note(c, &p);
    if (rc == OK)
        rc = egress_pause_read(c->b, &before, c->err);
    if (rc != OK)
        return rc;
    if (!before.paused) /* the same again changes nothing */
        return answer(c, &before);
    text_copy(p.actor, sizeof p.actor, c->req->actor ? c->req->actor : "unknown");
    rc = put_switch(c, &p, "egress.resume");
    return rc == OK ? answer(c, &p) : rc;
}
