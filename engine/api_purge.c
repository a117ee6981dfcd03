/* engine/api_purge.c: dead letters are purged, and restored while that can be. Both are jobs
 * (engine/job_purge.c); here they are asked for. (What a purge would do: api_purge_look.c.)
 *
 * Whoever purges says how many, and the set is what was counted: what comes in later has a later
 * arrival (struct dead_sums) and is not in it. It is fixed by whoever says arrived_before, as a
 * preview gave it (and perhaps exported what it names since), else now. A million are counted on the
 * list reader; whatever left the set before the job came to it counts as left out. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "engine/api_impl.h"

struct purge {
    struct api_filter f;
    const char *note;
    bool dry_run, fixed; /* fixed: the caller knows the set from a look before */
    struct dead_sums sums;
    struct on_sub *subs; /* whose letters they are; subs_n 0: of too many to tell */
    size_t subs_n;
};

/* 0: what is purged is erased at once. */
static int64_t recoverable_until(const struct api_call *c)
{
    int64_t grace_ms = c->api->conf->purge_grace_ms;
    return grace_ms > 0 ? c->now_ms + grace_ms : 0;
}

enum err_code api_member_note(struct api_call *c, const char **note)
{
    enum err_code rc = api_member_text(c, "note", note);
    if (rc == OK && *note && strlen(*note) > API_NOTE_MAX)
        rc = api_refuse(c, 422, "invalid_member", "note", "note: longer than %d bytes",
                        API_NOTE_MAX);
    return rc;
}

static enum err_code purge_read(struct api_call *c, struct purge *p)
{
    static const char *const names[] = {"filter", "confirm", "note", "dry_run", NULL};
    enum err_code rc = api_members(c, c->body, names);
    if (rc == OK)
        rc = api_member_note(c, &p->note);
    if (rc == OK)
        rc = api_member_dry_run(c, &p->dry_run);
    if (rc == OK)
        rc = api_filter_of_call(c, json_object_get(c->body, "filter"), API_FILTER_DEAD, &p->f);
    if (rc != OK)
        return rc;
    if (!p->f.narrows && !p->f.all)
        return api_refuse(c, 422, "filter_required", "filter",
                          "filter: empty: give ids or a filter, or \"all\": true");
    if (p->f.paged)
        return api_refuse(c, 422, "invalid_filter", "filter",
                          "filter: limit and cursor are for lists");
    p->fixed = p->f.f.arrived_before != 0;
    return OK;
}

static enum err_code purge_confirm(struct api_call *c, const struct purge *p)
{
    const json_t *confirm = json_object_get(c->body, "confirm");
    if (!confirm)
        return api_refuse(c, 422, "confirm_required", "confirm",
                          "confirm: give the number of letters that are to be purged");
    if (!json_is_integer(confirm))
        return api_refuse(c, 422, "invalid_member", "confirm", "confirm: not a number");
    int64_t n = json_integer_value(confirm);
    if (p->fixed ? p->sums.count > n : p->sums.count != n) /* fixed: some may have left it */
        return api_refuse(c, 409, "count_differs", "confirm",
                          "%lld dead letters match, not %lld; nothing was changed",
                          (long long)p->sums.count, (long long)n);
    return OK;
}

enum err_code api_job_make(struct api_call *c, struct job *j, const char *action)
{
    char id[ID_TEXT_MAX];
    struct buf detail;
    j->num = api_new_num(c);
    j->actor = c->req->actor ? c->req->actor : "unknown";
    j->created_ms = c->now_ms;
    enum err_code rc = c->ops->job_put(c->b, j, c->err);
    if (rc != OK)
        return rc;
    buf_init(&detail, 1 << 20);
    put_open(&detail, NULL, '{');
    put_int(&detail, "selected", j->selected);
    put_str(&detail, "note", j->note);
    put_touched_by(c, &detail, j->filter);
    put_raw(&detail, "filter", j->filter, strlen(j->filter));
    buf_addc(&detail, '}');
    rc = detail.failed ? fail(c->err, ERR_NOMEM, "no memory for the audit log")
                       : api_audit(c, action, id_text(id, "job", j->num), detail.data);
    buf_fini(&detail);
    return rc;
}

enum err_code api_job_made(struct api_call *c, const struct job *j)
{
    c->resp->changes.jobs = true;
    return job_answer(c, j, 202);
}

static void answer_preview(struct api_call *c, int64_t count, int64_t bytes, int64_t until_ms)
{
    struct buf *b = &c->resp->body;
    put_open(b, NULL, '{');
    put_int(b, "count", count);
    put_int(b, "payload_bytes", bytes);
    put_time(b, "recoverable_until", until_ms);
    buf_addc(b, '}');
    c->resp->status = 200;
}

/* Zeroed memory for what the first half finds. */
static enum err_code find_new(struct api_call *c, size_t n, void **out)
{
    *out = arena_alloc(c->mem, n);
    if (!*out)
        return fail(c->err, ERR_NOMEM, "no memory for a purge");
    memset(*out, 0, n);
    return OK;
}

/* What a replay has selected, and not sent yet, is not taken away from under it. */
static enum err_code purge_free(struct api_call *c, const struct purge *p, int64_t any)
{
    struct subscription s = {0};
    for (size_t i = 0; i < p->subs_n; i++)
        if (p->subs[i].job) {
            enum err_code rc = c->ops->sub_get_num(c->b, p->subs[i].sub, c->mem, &s, c->err);
            return job_in_the_way(c, p->subs[i].job, rc == OK ? s.name : NULL);
        }
    return p->subs_n == 0 && p->sums.count > 0 && any ? job_in_the_way(c, any, NULL) : OK;
}

static enum err_code purge_write(struct api_call *c)
{
    const struct purge *p = c->found;
    struct buf filter;
    int64_t any = 0;
    enum err_code rc = replays_on(c, p->subs, p->subs_n, &any); /* one may have begun since */
    if (rc == OK)
        rc = purge_free(c, p, any);
    if (rc != OK)
        return rc;
    buf_init(&filter, 1 << 20);
    api_filter_write(&p->f, NULL, &filter);
    struct job j = {.kind = JOB_PURGE,
                    .state = JOB_ACTIVE,
                    .filter = filter.data,
                    .note = p->note,
                    .selected = p->sums.count,
                    .until_ms = recoverable_until(c)};
    rc = filter.failed ? fail(c->err, ERR_NOMEM, "no memory for a filter")
                       : api_job_make(c, &j, "dead_letter.purge");
    if (rc == OK)
        rc = api_job_made(c, &j);
    buf_fini(&filter);
    return rc;
}

enum err_code h_dead_purge(struct api_call *c)
{
    void *room = NULL;
    int64_t any = 0;
    enum err_code rc = find_new(c, sizeof(struct purge), &room);
    struct purge *p = room;
    if (rc == OK)
        rc = purge_read(c, p);
    if (rc == OK && p->dry_run && json_object_get(c->body, "confirm")) {
        rc = c->ops->dead_count(c->b, &p->f.f, &p->sums, c->err);
        rc = rc == OK ? purge_confirm(c, p) : rc;
    }
    if (rc == OK && p->dry_run)
        return purge_look(c, &p->f, recoverable_until(c));
    if (rc == OK)
        rc = purge_count(c, &p->f.f, &p->sums, &p->subs, &p->subs_n, &any);
    if (rc == OK)
        rc = purge_free(c, p, any);
    if (rc == OK)
        rc = purge_confirm(c, p);
    if (rc == OK && !p->fixed)
        p->f.f.arrived_before = p->sums.arrivals;
    c->then = purge_write;
    c->found = p;
    return rc;
}

/* One letter, at once: the job is over when it is answered, and can be restored like any other. */
enum err_code h_dead_delete(struct api_call *c)
{
    struct dead_letter l;
    struct settled out = {0};
    char id[ID_TEXT_MAX], filter[64 + ID_TEXT_MAX];
    enum err_code rc = letter_of_ref(c, &l);
    struct on_sub on = {.sub = rc == OK ? l.sub_num : 0};
    struct purge one = {.subs = &on, .subs_n = 1};
    int64_t any;
    if (rc == OK)
        rc = replays_on(c, &on, 1, &any);
    if (rc == OK)
        rc = purge_free(c, &one, any);
    if (rc != OK)
        return rc;
    snprintf(filter, sizeof filter, "{\"id\":[\"%s\"]}", id_text(id, "dlv", l.delivery.num));
    struct job j = {.kind = JOB_PURGE,
                    .state = JOB_DONE,
                    .filter = filter,
                    .selected = 1,
                    .done = 1,
                    .walked = true,
                    .started_ms = c->now_ms,
                    .finished_ms = c->now_ms,
                    .until_ms = recoverable_until(c)};
    rc = api_job_make(c, &j, "dead_letter.purge");
    if (rc == OK)
        rc = c->ops->dead_purge(c->b, l.delivery.num, j.num, j.until_ms, c->now_ms, &out, c->err);
    if (rc == OK)
        rc = api_deed(c, l.delivery.num, DEED_PURGED);
    if (rc != OK)
        return rc;
    c->resp->changes.discarded++;
    if (out.next_due_ms)
        changes_wake(&c->resp->changes, l.sub_num, out.next_due_ms);
    rc = api_job_made(c, &j);
    c->resp->status = 200;
    return rc;
}

/* ---- restore ---- */

static enum err_code purge_of_ref(struct api_call *c, const char *ref, struct job *out)
{
    int64_t num;
    enum err_code rc = ERR_NOT_FOUND;
    if (id_parse(ref, "job", &num))
        rc = c->ops->job_get(c->b, num, c->mem, out, c->err);
    if (rc == ERR_NOT_FOUND)
        return api_refuse(c, 404, "not_found", "job", "%s",
                          api_nobody(c->b, API_KIND_JOB, ref, c->mem));
    if (rc != OK)
        return rc;
    if (out->kind != JOB_PURGE)
        return api_refuse(c, 422, "invalid_member", "job", "%.64s is a %s, not a purge", ref,
                          job_kind_name(out->kind));
    if (out->state == JOB_ACTIVE || out->state == JOB_PAUSED)
        return api_refuse(c, 409, "job_active", "job",
                          "%.64s is still purging: wait for it, or cancel it first: webhookctl job "
                          "cancel %.64s",
                          ref, ref);
    return OK;
}

static enum err_code nothing_left(struct api_call *c, const struct job *purge)
{
    char id[ID_TEXT_MAX], until[TEXT_TIME_MAX];
    id_text(id, "job", purge->num);
    if (purge->until_ms == 0)
        return api_refuse(c, 409, "grace_over", "job",
                          "%s erased what it purged at once: dead_letter.purge_grace was 0", id);
    if (purge->until_ms <= c->now_ms)
        return api_refuse(c, 409, "grace_over", "job",
                          "what %s purged could be restored until %s; it is erased", id,
                          text_time(until, purge->until_ms));
    return api_refuse(c, 409, "nothing_left", "job",
                      "nothing that %s purged is left to restore: it is back already (restored, "
                      "imported or sent again)",
                      id);
}

struct restore {
    const char *ref, *note; /* ref: the purge's */
    bool dry_run;
    int64_t count, payload_bytes;
};

static enum err_code restore_read(struct api_call *c, struct restore *r)
{
    static const char *const names[] = {"job", "note", "dry_run", NULL};
    enum err_code rc = api_members(c, c->body, names);
    if (rc == OK)
        rc = api_member_text(c, "job", &r->ref);
    if (rc == OK)
        rc = api_member_note(c, &r->note);
    if (rc == OK)
        rc = api_member_dry_run(c, &r->dry_run);
    if (rc == OK && !r->ref)
        rc = api_refuse(c, 422, "invalid_member", "job", "job: missing: whose purge?");
    return rc;
}

/* The purge may go on again, or its grace be over, since its letters were counted. */
static enum err_code restore_write(struct api_call *c)
{
    const struct restore *r = c->found;
    struct job purge,
        j = {.kind = JOB_RESTORE, .state = JOB_ACTIVE, .note = r->note, .selected = r->count};
    char id[ID_TEXT_MAX], filter[64 + ID_TEXT_MAX];
    enum err_code rc = purge_of_ref(c, r->ref, &purge);
    if (rc == OK && purge.until_ms <= c->now_ms)
        rc = nothing_left(c, &purge);
    if (rc != OK)
        return rc;
    snprintf(filter, sizeof filter, "{\"job\":\"%s\"}", id_text(id, "job", purge.num));
    j.filter = filter;
    rc = api_job_make(c, &j, "dead_letter.restore");
    if (rc == OK)
        rc = api_job_made(c, &j);
    return rc;
}

enum err_code h_dead_restore(struct api_call *c)
{
    struct job purge;
    void *room = NULL;
    enum err_code rc = find_new(c, sizeof(struct restore), &room);
    struct restore *r = room;
    if (rc == OK)
        rc = restore_read(c, r);
    if (rc == OK)
        rc = purge_of_ref(c, r->ref, &purge);
    if (rc == OK)
        rc = c->ops->purged_count(c->b, purge.num, c->now_ms, &r->count, &r->payload_bytes, c->err);
    if (rc == OK && r->count == 0)
        rc = nothing_left(c, &purge);
    if (rc == OK && r->dry_run)
        answer_preview(c, r->count, r->payload_bytes, purge.until_ms);
    else
        c->then = restore_write;
    c->found = r;
    return rc;
}

/* ---- a note on one letter ---- */

enum err_code h_dead_patch(struct api_call *c)
{
    static const char *const names[] = {"note", NULL};
    struct dead_letter l;
    char id[ID_TEXT_MAX];
    struct buf detail;
    enum err_code rc = api_members(c, c->body, names);
    const char *note = NULL;
    if (rc == OK)
        rc = api_member_note(c, &note);
    if (rc == OK && !json_object_get(c->body, "note"))
        rc = api_refuse(c, 422, "invalid_member", "note", "note: missing (null takes it away)");
    if (rc == OK)
        rc = letter_of_ref(c, &l);
    if (rc != OK)
        return rc;
    if (note && !*note)
        note = NULL;
    buf_init(&detail, 16384);
    put_open(&detail, NULL, '{');
    put_str(&detail, "note", note);
    put_touched(&detail, &l.sub_num, 1);
    buf_addc(&detail, '}');
    rc = c->ops->dead_note(c->b, l.delivery.num, note, c->err);
    if (rc == OK)
        rc = detail.failed ? fail(c->err, ERR_NOMEM, "no memory for the audit log")
                           : api_audit(c, "dead_letter.note", id_text(id, "dlv", l.delivery.num),
                                       detail.data);
    buf_fini(&detail);
    if (rc != OK)
        return rc;
    l.note = note;
    render_letter(&c->resp->body, &l);
    buf_addc(&c->resp->body, '}');
    c->resp->status = 200;
    return OK;
}
