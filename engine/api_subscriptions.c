/* engine/api_subscriptions.c: partners' endpoints: made, looked at, changed, paused, deleted; and
 * their secrets, which leave this house once, in the answer that made them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/dice.h"
#include "base/text.h"
#include "base/url.h"
#include "engine/api_impl.h"
#include "policy/profile.h"
#include "policy/sign.h"

enum { NAME_TRIES = 1000, OVERLAP_STANDARD_S = 86400, OVERLAP_MAX_S = 90 * 86400 };
static const char *const CREATE_MEMBERS[] = {
    "url",     "events",          "name",        "partner",         "profile",  "secret",  "bearer",
    "headers", "rate_per_second", "concurrency", "timeout_seconds", "ordering", "on_dead", "retry",
    NULL};
static const char *const PATCH_MEMBERS[] = {
    "url",         "events",          "name",     "profile", "bearer", "headers", "rate_per_second",
    "concurrency", "timeout_seconds", "ordering", "on_dead", "retry",  NULL};

enum err_code sub_of_ref(struct api_call *c, struct subscription *s)
{
    enum err_code rc = c->ops->sub_get(c->b, c->ref, c->mem, s, c->err);
    int64_t num;
    if (rc == OK && s->state == SUB_DELETED && !id_parse(c->ref, "sub", &num))
        rc = ERR_NOT_FOUND; /* by its name it is gone; by its id it can still be looked at */
    return rc == ERR_NOT_FOUND ? api_refuse(c, 404, "not_found", NULL, "%s",
                                            api_nobody(c->b, API_KIND_SUBSCRIPTION, c->ref, c->mem))
                               : rc;
}

static enum err_code is_own(struct api_call *c, const struct subscription *s)
{
    char id[ID_TEXT_MAX];
    if (s->job == 0)
        return OK;
    id_text(id, "job", s->job);
    return api_refuse(c, 409, "wrong_state", NULL,
                      "%s is %s's, which sends its copies by it and deletes it when it is over: "
                      "webhookctl job show %s, or cancel the job (webhookctl job cancel %s)",
                      s->name, id, id, id);
}

enum err_code sub_live_of_ref(struct api_call *c, struct subscription *s)
{
    enum err_code rc = sub_of_ref(c, s);
    if (rc == OK && s->state == SUB_DELETED)
        return api_refuse(c, 404, "not_found", NULL, "subscription %.80s is deleted", c->ref);
    return rc == OK ? is_own(c, s) : rc;
}

/* The row as it is in the store now becomes the answer; the lane and intake hear of the change. A secret
 * that is undone again is not shown. */
static enum err_code changed(struct api_call *c, int64_t num, int status, const char *secret)
{
    struct subscription s;
    enum err_code rc = c->ops->sub_get_num(c->b, num, c->mem, &s, c->err);
    if (rc != OK)
        return rc;
    render_subscription(&c->resp->body, &s, c->now_ms, c->dry_run ? NULL : secret);
    if (secret && c->dry_run)
        put_null(&c->resp->body, "secret");
    buf_addc(&c->resp->body, '}');
    c->resp->status = status;
    changes_sub(&c->resp->changes, num);
    intake_forget_routes(c->api->intake);
    return OK;
}

static enum err_code audit_sub(struct api_call *c, const char *action, int64_t num,
                               const struct buf *detail)
{
    char id[ID_TEXT_MAX];
    if (detail && detail->failed)
        return fail(c->err, ERR_NOMEM, "no memory for the audit log");
    return api_audit(c, action, id_text(id, "sub", num), detail ? detail->data : NULL);
}

/* ---- secrets ---- */

static enum err_code secret_judge(struct api_call *c, const char *profile, const char **given)
{
    enum err_code rc = api_member_text(c, "secret", given);
    const struct profile *p = profile_find(profile);
    const char *problem = *given && p ? profile_secret_problem(p, *given) : NULL;
    if (rc == OK && problem)
        rc = api_refuse(c, 422, "invalid_secret", "secret", "secret: %s", problem);
    return rc;
}

static enum err_code secret_put(struct api_call *c, int64_t sub, const char *given, char made[64],
                                int64_t *num)
{
    struct secret k = {.num = api_new_num(c), .value = given, .created_ms = c->now_ms};
    if (!given) {
        uint8_t random[32];
        dice_bytes(random, sizeof random);
        profile_secret_new(made, random);
        sign_wipe(random, sizeof random);
        k.value = made;
    }
    *num = k.num;
    return c->ops->secret_put(c->b, sub, &k, c->err);
}

/* ---- creation ---- */

static enum err_code partner_of(struct api_call *c, struct subscription *s)
{
    const char *ref = "default";
    struct partner p;
    enum err_code rc = api_member_text(c, "partner", &ref);
    if (rc == OK)
        rc = c->ops->partner_get(c->b, ref, c->mem, &p, c->err);
    if (rc == ERR_NOT_FOUND && !c->refused)
        return api_refuse(c, 404, "not_found", "partner", "%s; webhookctl partner add adds one",
                          api_nobody(c->b, API_KIND_PARTNER, ref, c->mem));
    if (rc == OK)
        s->partner = p.num;
    return rc;
}

static enum err_code name_is_free(struct api_call *c, const char *name, bool *is_free)
{
    struct arena mem;
    struct subscription other;
    arena_init(&mem);
    enum err_code rc = c->ops->sub_get(c->b, name, &mem, &other, c->err);
    *is_free = rc == ERR_NOT_FOUND || (rc == OK && other.state == SUB_DELETED);
    arena_fini(&mem);
    return rc == ERR_NOT_FOUND ? OK : rc;
}

/* hooks.acme.example, hooks.acme.example-2, … */
static enum err_code name_of_host(struct api_call *c, struct subscription *s)
{
    char base[56], name[72];
    struct url u = {0};
    if (url_parse(s->url, &u, c->err) != OK)
        return ERR_INVALID;
    text_copy(base, sizeof base, u.host);
    url_fini(&u);
    for (char *p = base; *p; p++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789.-", *p))
            *p = '-';
    (void)snprintf(name, sizeof name, "%s%s", id_is_name(base) ? "" : "sub", base);
    for (int i = 2; i < NAME_TRIES; i++) {
        bool is_free = false;
        enum err_code rc = name_is_free(c, name, &is_free);
        if (rc != OK)
            return rc;
        if (is_free) {
            s->name = arena_copy(c->mem, name);
            return s->name ? OK : fail(c->err, ERR_NOMEM, "no memory for a name");
        }
        (void)snprintf(name, sizeof name, "%s%s-%d", id_is_name(base) ? "" : "sub", base, i);
    }
    return api_refuse(c, 409, "name_taken", "name", "name: give one, those of the host are taken");
}

static enum err_code name_taken(struct api_call *c, const char *name)
{
    return api_refuse(c, 409, "name_taken", "name", "a subscription '%s' exists already", name);
}

enum err_code h_subs_post(struct api_call *c)
{
    struct subscription s = {.num = api_new_num(c),
                             .profile = c->api->conf->profile,
                             .state = SUB_ACTIVE,
                             .state_since_ms = c->now_ms,
                             .created_ms = c->now_ms,
                             .updated_ms = c->now_ms,
                             .revision = 1};
    const char *secret = NULL;
    char made[64];
    struct buf detail;
    int64_t key;
    enum err_code rc = api_members(c, c->body, CREATE_MEMBERS);
    if (rc == OK)
        rc = sub_input(c, &s, true);
    if (rc == OK)
        rc = secret_judge(c, s.profile, &secret);
    if (rc == OK)
        rc = partner_of(c, &s);
    if (rc == OK && !s.name)
        rc = name_of_host(c, &s);
    if (rc == OK) {
        rc = c->ops->sub_put(c->b, &s, c->err);
        if (rc == ERR_EXISTS)
            rc = name_taken(c, s.name);
    }
    if (rc == OK)
        rc = secret_put(c, s.num, secret, made, &key);
    if (rc != OK)
        return rc;
    buf_init(&detail, 65536);
    put_open(&detail, NULL, '{');
    put_str(&detail, "name", s.name);
    put_str(&detail, "url", s.url);
    put_str(&detail, "events", s.patterns);
    put_str(&detail, "profile", s.profile);
    buf_addc(&detail, '}');
    rc = audit_sub(c, "subscription.create", s.num, &detail);
    buf_fini(&detail);
    if (rc == OK)
        rc = changed(c, s.num, 201, secret ? secret : made);
    sign_wipe(made, sizeof made);
    return rc;
}

/* ---- changing ---- */

static enum err_code store_sub(struct api_call *c, struct subscription *s)
{
    s->updated_ms = c->now_ms;
    enum err_code rc = c->ops->sub_update(c->b, s, c->err);
    return rc == ERR_EXISTS ? name_taken(c, s->name) : rc;
}

/* Which members were changed; of the sealed ones and secrets only the name. */
static void detail_of_patch(struct api_call *c, struct buf *detail)
{
    put_open(detail, NULL, '{');
    for (void *it = json_object_iter(c->body); it; it = json_object_iter_next(c->body, it)) {
        const char *key = json_object_iter_key(it);
        bool sealed = !strcmp(key, "bearer") || !strcmp(key, "headers");
        char *text = sealed ? NULL : json_dumps(json_object_iter_value(it), JSON_ENCODE_ANY);
        put_raw(detail, key, text ? text : "\"***\"", text ? strlen(text) : 5);
        free(text);
    }
    buf_addc(detail, '}');
}

enum err_code h_subs_patch(struct api_call *c)
{
    struct subscription s;
    struct buf detail;
    enum err_code rc = sub_live_of_ref(c, &s);
    if (rc == OK)
        rc = api_members(c, c->body, PATCH_MEMBERS);
    if (rc == OK)
        rc = sub_input(c, &s, false);
    if (rc == OK)
        rc = sub_profile_secrets(c, &s);
    if (rc == OK && json_object_get(c->body, "url")) {
        s.broken_since_ms = 0; /* that was another endpoint's trouble */
        rc = c->ops->health_clear(c->b, s.num, c->err);
    }
    if (rc == OK)
        rc = store_sub(c, &s);
    if (rc != OK)
        return rc;
    buf_init(&detail, 131072);
    detail_of_patch(c, &detail);
    rc = audit_sub(c, "subscription.update", s.num, &detail);
    buf_fini(&detail);
    return rc == OK ? changed(c, s.num, 200, NULL) : rc;
}

/* What it has open is killed by the job runner, slice by slice. */
enum err_code h_subs_delete(struct api_call *c)
{
    struct subscription s;
    enum err_code rc = sub_live_of_ref(c, &s);
    if (rc != OK)
        return rc;
    s.state = SUB_DELETED;
    s.state_cause = "operator";
    s.state_since_ms = c->now_ms;
    s.resume_at_ms = 0;
    struct job job = {.num = api_new_num(c),
                      .kind = JOB_SUBSCRIPTION_DELETE,
                      .state = JOB_ACTIVE,
                      .actor = c->req->actor ? c->req->actor : "unknown",
                      .sub = s.num,
                      .created_ms = c->now_ms};
    rc = store_sub(c, &s);
    if (rc == OK)
        rc = c->ops->job_put(c->b, &job, c->err);
    if (rc == OK)
        rc = audit_sub(c, "subscription.delete", s.num, NULL);
    c->resp->changes.jobs = true;
    return rc == OK ? changed(c, s.num, 200, NULL) : rc;
}

enum err_code h_subs_rotate(struct api_call *c)
{
    static const char *const names[] = {"overlap_seconds", "secret", "note", NULL};
    struct subscription s;
    struct buf detail;
    const char *secret = NULL;
    char made[64];
    double overlap_s = OVERLAP_STANDARD_S;
    int64_t key = 0;
    enum err_code rc = sub_live_of_ref(c, &s);
    if (rc == OK)
        rc = api_members(c, c->body, names);
    if (rc == OK)
        rc = api_member_number(c, "overlap_seconds", 0, OVERLAP_MAX_S, &overlap_s);
    if (rc == OK)
        rc = secret_judge(c, s.profile, &secret);
    if (rc == OK)
        rc = secret_put(c, s.num, secret, made, &key);
    if (rc == OK)
        rc = c->ops->secret_expire(c->b, s.num, key, c->now_ms + (int64_t)(overlap_s * 1000),
                                   c->err);
    if (rc == OK)
        rc = store_sub(c, &s);
    if (rc != OK)
        return rc;
    buf_init(&detail, 256);
    put_open(&detail, NULL, '{');
    put_id(&detail, "key_id", "key", key);
    put_int(&detail, "overlap_seconds", (int64_t)overlap_s);
    buf_addc(&detail, '}');
    rc = audit_sub(c, "subscription.rotate_secret", s.num, &detail);
    buf_fini(&detail);
    if (rc == OK)
        rc = changed(c, s.num, 200, secret ? secret : made);
    sign_wipe(made, sizeof made);
    return rc;
}

/* ---- states ----
 *            pause                  disable
 *   ACTIVE ─────────▶ PAUSED   ACTIVE, PAUSED ─────────▶ DISABLED
 *          ◀─────────                 ACTIVE ◀───────────
 *            resume                            enable
 * The same again changes nothing but its end and its note; what is not drawn is refused. */
static enum err_code move(struct api_call *c, struct subscription *s, enum sub_state to,
                          int64_t resume_at_ms, const char *action)
{
    const char *note = NULL;
    struct buf detail;
    enum err_code rc = api_member_text(c, "note", &note);
    if (rc == OK && note && strlen(note) > 1000)
        rc = api_refuse(c, 422, "invalid_member", "note", "note: longer than 1000 bytes");
    if (rc != OK)
        return rc;
    if (s->state == to && s->resume_at_ms == resume_at_ms && !note)
        return changed(c, s->num, 200, NULL);
    if (s->state == to && !note) /* why it was so before is why it is so on */
        rc = sub_state_note(c, s, action, &note);
    bool enabled = to == SUB_ACTIVE && s->state == SUB_DISABLED;
    if (s->state != to)
        s->state_since_ms = c->now_ms;
    s->state = to;
    s->state_cause = to == SUB_ACTIVE ? NULL : "operator";
    s->resume_at_ms = resume_at_ms;
    if (to == SUB_ACTIVE)
        s->broken_since_ms = 0; /* it is tried at once */
    if (enabled) /* who enables it vouches for the endpoint. A pause mends nothing: it goes on failing */
        rc = rc == OK ? c->ops->health_clear(c->b, s->num, c->err) : rc;
    if (rc == OK)
        rc = store_sub(c, s);
    if (rc != OK)
        return rc;
    buf_init(&detail, 16384);
    put_open(&detail, NULL, '{');
    put_str(&detail, "note", note);
    put_time(&detail, "resume_at", resume_at_ms);
    buf_addc(&detail, '}');
    rc = audit_sub(c, action, s->num, &detail);
    buf_fini(&detail);
    return rc == OK ? changed(c, s->num, 200, NULL) : rc;
}

static enum err_code wrong_state(struct api_call *c, const struct subscription *s,
                                 const char *what_to_do)
{
    return api_refuse(c, 409, "wrong_state", NULL, "subscription %s is %s: %s", s->name,
                      sub_state_name(s->state), what_to_do);
}

static const char *const MOVE_MEMBERS[] = {"note", "for_seconds", NULL};

enum err_code h_subs_pause(struct api_call *c)
{
    struct subscription s;
    double for_s = 0;
    enum err_code rc = sub_live_of_ref(c, &s);
    if (rc == OK)
        rc = api_members(c, c->body, MOVE_MEMBERS);
    if (rc == OK)
        rc = api_member_number(c, "for_seconds", API_FOR_MIN_MS / 1000.0,
                               (double)API_FOR_MAX_MS / 1000.0, &for_s);
    if (rc == OK && s.state == SUB_DISABLED)
        rc = wrong_state(c, &s, "it holds its deliveries already; enable it first");
    if (rc != OK)
        return rc;
    return move(c, &s, SUB_PAUSED, for_s > 0 ? c->now_ms + (int64_t)(for_s * 1000) : 0,
                "subscription.pause");
}

enum err_code h_subs_resume(struct api_call *c)
{
    struct subscription s;
    enum err_code rc = sub_live_of_ref(c, &s);
    if (rc == OK)
        rc = api_members(c, c->body, MOVE_MEMBERS);
    if (rc == OK && s.state == SUB_DISABLED)
        rc = wrong_state(c, &s, "enable it");
    return rc == OK ? move(c, &s, SUB_ACTIVE, 0, "subscription.resume") : rc;
}

enum err_code h_subs_enable(struct api_call *c)
{
    struct subscription s;
    enum err_code rc = sub_live_of_ref(c, &s);
    if (rc == OK)
        rc = api_members(c, c->body, MOVE_MEMBERS);
    if (rc == OK && s.state == SUB_PAUSED)
        rc = wrong_state(c, &s, "resume it");
    return rc == OK ? move(c, &s, SUB_ACTIVE, 0, "subscription.enable") : rc;
}

enum err_code h_subs_disable(struct api_call *c)
{
    struct subscription s;
    enum err_code rc = sub_live_of_ref(c, &s);
    if (rc == OK)
        rc = api_members(c, c->body, MOVE_MEMBERS);
    return rc == OK ? move(c, &s, SUB_DISABLED, 0, "subscription.disable") : rc;
}
