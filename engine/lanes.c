/* engine/lanes.c: the table of lanes: loading subscriptions, all at start and one after each
 * change.
 *
 * A row is read after the commit that changed it, so what arrives is never older than the change;
 * until it is there its lane starts nothing. One row is read on the claim reader, so that a pause
 * does not stand behind somebody's long list. What cannot be read is asked for again until it can.
 * The earliest due time comes after it, by an index seek. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "engine/scheduler_impl.h"

enum { PAGE = 256 };

struct heads {
    struct scheduler *scheduler;
    size_t n;
    int64_t subs[PAGE], due_ms[PAGE];
};

struct load { /* one page of subscriptions, or one of them */
    struct scheduler *scheduler;
    int64_t only; /* 0: a page after `after` */
    int64_t after;
    bool more; /* another page comes after this one */
    struct arena arena;
    struct subscription *rows;
    size_t n;
    struct heads *heads; /* of the lanes that it makes */
    struct load *next;   /* in scheduler->unread */
};

/* Of the first lane that is not below sub. */
static size_t position(const struct scheduler *s, int64_t sub)
{
    size_t low = 0, high = s->lanes_n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (s->lanes[mid]->sub < sub)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct lane *lanes_find(const struct scheduler *s, int64_t sub)
{
    size_t at = position(s, sub);

    return at < s->lanes_n && s->lanes[at]->sub == sub ? s->lanes[at] : NULL;
}

static struct lane *lanes_add(struct scheduler *s, int64_t sub)
{
    if (s->lanes_n == s->lanes_room) {
        size_t room = s->lanes_room == 0 ? 64 : s->lanes_room * 2;
        struct lane **more = realloc(s->lanes, room * sizeof(struct lane *));

        if (more == NULL)
            return NULL;
        s->lanes = more;
        s->lanes_room = room;
    }
    struct lane *l = lane_new(s, sub);
    if (l == NULL)
        return NULL;
    size_t at = s->lanes_n;
    while (at > 0 && s->lanes[at - 1]->sub > sub) /* numbers grow with time: mostly the last */
        at--;
    memmove(s->lanes + at + 1, s->lanes + at, (s->lanes_n - at) * sizeof(struct lane *));
    s->lanes[at] = l;
    s->lanes_n++;
    return l;
}

static void lanes_remove(struct scheduler *s, struct lane *l)
{
    heap_remove(&s->heap, &l->wake);
    scheduler_line_leave(s, l);
    if (!s->draining) /* later there is no transport any more */
        transport_forget_lane(s->parts.transport, l->sub);
    size_t i = position(s, l->sub);
    memmove(s->lanes + i, s->lanes + i + 1, (s->lanes_n - i - 1) * sizeof(struct lane *));
    s->lanes_n--;
    owners_forget(s->parts.owners, l->sub, s->parts.part);
    lane_free(l);
}

void lanes_check_retry(const struct lane *l)
{
    if (l->row.retry != NULL && strcmp(l->row.retry, l->retry->name) != 0)
        log_warn("sub_retry_unknown", "sub=%s retry=%s effect=%s", l->row.name, l->row.retry,
                 "no such policy in the configuration: the default one is followed");
}

static void queue_drop(struct scheduler *s, struct lane *l, bool trials)
{
    for (struct task *t = l->queue.first, *next; t != NULL; t = next) {
        next = t->next;
        if (task_is_first(t) && !trials)
            continue;
        lane_saw_due(l, t->row->delivery.due_ms);
        scheduler_forget(s, l, &l->queue, t);
    }
}

void lanes_drop_queue(struct scheduler *s, struct lane *l)
{
    queue_drop(s, l, true);
}

void lanes_hold_queue(struct scheduler *s, struct lane *l)
{
    queue_drop(s, l, false);
}

static void queue_forget(struct scheduler *s, struct lane *l, int64_t delivery)
{
    for (struct task *t = l->queue.first; t != NULL; t = t->next)
        if (t->row->delivery.num == delivery) {
            scheduler_forget(s, l, &l->queue, t);
            return;
        }
}

static void hold(struct scheduler *s, const struct delivery_key *k)
{
    struct lane *l = lanes_find(s, k->sub);

    if (l == NULL)
        return; /* its claims will leave it out */
    queue_forget(s, l, k->num);
    /* A claim that is out may bring it, however long it is out. */
    if (l->claiming && !lane_ghost_add(l, k->num, INT64_MAX))
        log_error("out_of_memory", "at=lanes");
}

void lanes_hold(struct scheduler *s, const struct delivery_key *keys, size_t n)
{
    for (size_t i = 0; i < s->held_n; i++) {
        struct lane *l = lanes_find(s, s->held[i].sub);

        if (l == NULL || (i > 0 && s->held[i - 1].sub == l->sub))
            continue;
        lane_saw_due(l, CHANGES_DUE_BEFORE);
        scheduler_touch(s, l);
    }
    s->held_n = n;
    if (n > 0)
        memcpy(s->held, keys, n * sizeof *keys);
    for (size_t i = 0; i < n; i++)
        hold(s, &keys[i]);
}

/* ---- first due times ---- */
static enum err_code heads_work(struct backend *b, void *arg, struct err *err)
{
    struct heads *h = arg;

    return b->ops->heads(b, h->subs, h->n, h->due_ms, err);
}

static void maybe_ready(struct scheduler *s)
{
    if (s->told_ready || !s->loaded || s->heads_out > 0)
        return;
    s->told_ready = true;
    if (s->parts.ready != NULL)
        s->parts.ready(s->parts.arg);
}

static void heads_done(void *arg, const struct err *err, int64_t generation)
{
    struct heads *h = arg;
    struct scheduler *s = h->scheduler;

    (void)generation;
    s->heads_out--;
    for (size_t i = 0; i < h->n; i++) {
        struct lane *l = lanes_find(s, h->subs[i]);

        if (l == NULL)
            continue;
        /* Where the read failed, a claim finds out. */
        lane_saw_due(l, err->code == OK ? h->due_ms[i] : CHANGES_DUE_BEFORE);
        scheduler_touch(s, l);
    }
    if (err->code != OK)
        log_error("store_error", "op=heads code=%s error=%s", err_code_name(err->code), err->text);
    free(h);
    maybe_ready(s);
    if (s->heads_out == 0 && s->heads_again) {
        s->heads_again = false;
        lanes_ask_heads(s);
    }
}

static void heads_submit(struct scheduler *s, struct heads *h)
{
    s->heads_out++;
    if (store_submit(s->parts.store, STORE_CLAIM, 0, heads_work, heads_done, h) == OK)
        return;
    struct err busy;
    (void)fail(&busy, ERR_BUSY, "queue full");
    heads_done(h, &busy, 0);
}

/* ---- rows ---- */
/* False: no memory. The row is the caller's, secrets and all. */
static bool row_arrived(struct scheduler *s, const struct subscription *row, struct heads *heads)
{
    struct lane *l = lanes_find(s, row->num);
    /* A page that was read before its lane went may still show it: nobody has that one any more. */
    bool over = l == NULL && owners_find(s->parts.owners, row->num) != s->parts.part;

    if (row->state == SUB_DELETED || over) {
        if (l == NULL) {
            owners_forget(s->parts.owners, row->num, s->parts.part);
            return true;
        }
        lanes_drop_queue(s, l);
        l->row.state = SUB_DELETED;
        if (l->busy.n == 0 && !l->claiming && !l->loading)
            lanes_remove(s, l);
        return true;
    }
    if (l == NULL)
        l = lanes_add(s, row->num);
    enum lane_news news = l != NULL ? lane_load(l, s->conf, row, clock_store_ms()) : LANE_NO_MEMORY;
    if (news == LANE_NO_MEMORY)
        return false;
    if (news != LANE_SAME)
        traffic_begins_anew(l->traffic);
    if (news == LANE_MOVED && !s->draining)
        transport_forget_lane(s->parts.transport, l->sub);
    lanes_check_retry(l);
    if (l->row.state != SUB_ACTIVE)
        lanes_hold_queue(s, l);
    /* The change itself may have made deliveries ready: keys go on that on_dead: block held. */
    heads->subs[heads->n++] = l->sub;
    scheduler_touch(s, l);
    return true;
}

/* A page has everybody's: ours move to its front. */
static void load_keep_ours(struct load *load)
{
    const struct scheduler *s = load->scheduler;
    size_t kept = 0;

    load->more = load->n == PAGE;
    if (load->n > 0)
        load->after = load->rows[load->n - 1].num;
    for (size_t i = 0; i < load->n; i++) {
        if (owners_of(s->parts.owners, load->rows[i].num) == s->parts.part)
            load->rows[kept++] = load->rows[i];
        else
            lane_wipe_secrets(&load->rows[i]);
    }
    load->n = kept;
}

static enum err_code load_work(struct backend *b, void *arg, struct err *err)
{
    struct load *load = arg;

    enum err_code rc;

    if (load->only == 0) {
        rc = b->ops->sub_list(b, load->after, PAGE, true, &load->arena, &load->rows, &load->n, err);
        if (rc == OK)
            load_keep_ours(load);
        return rc;
    }
    load->rows = arena_alloc(&load->arena, sizeof *load->rows);
    if (load->rows == NULL)
        return fail(err, ERR_NOMEM, "subscription: out of memory");
    rc = b->ops->sub_get_num(b, load->only, &load->arena, load->rows, err);
    load->n = rc == OK ? 1 : 0;
    if (rc == ERR_CORRUPT && err != NULL)
        rc = err->code = ERR_DENIED; /* one subscription that does not open is not a broken store */
    return rc;
}

static void load_done(void *arg, const struct err *err, int64_t generation);

static void load_free(struct load *load)
{
    for (size_t i = 0; i < load->n; i++)
        lane_wipe_secrets(&load->rows[i]); /* the page is ours too */
    arena_fini(&load->arena);
    free(load->heads);
    free(load);
}

/* Without its row a lane would go on as it was before the change, or not at all. */
static void load_keep(struct load *load)
{
    load->next = load->scheduler->unread;
    load->scheduler->unread = load;
    scheduler_try_again(load->scheduler, 1000);
}

static void load_submit(struct load *load)
{
    enum store_thread reader = load->only != 0 ? STORE_CLAIM : STORE_LIST;

    load->n = 0;
    if (store_submit(load->scheduler->parts.store, reader, 0, load_work, load_done, load) != OK)
        load_keep(load);
}

static struct load *load_new(struct scheduler *s, int64_t only, int64_t after)
{
    struct load *load = calloc(1, sizeof *load);
    struct heads *heads = calloc(1, sizeof *heads);

    if (load == NULL || heads == NULL) {
        log_error("out_of_memory", "at=lanes");
        free(load);
        free(heads);
        return NULL;
    }
    heads->scheduler = s;
    *load = (struct load){.scheduler = s, .only = only, .after = after, .heads = heads};
    arena_init(&load->arena);
    return load;
}

static void load_begin(struct scheduler *s, int64_t only, int64_t after)
{
    struct load *load = load_new(s, only, after);

    if (load != NULL)
        load_submit(load);
}

void lanes_load_again(struct scheduler *s)
{
    struct load *load = s->unread;

    s->unread = NULL;
    while (load != NULL) {
        struct load *next = load->next;

        load_submit(load);
        load = next;
    }
}

void lanes_forget_loads(struct scheduler *s)
{
    while (s->unread != NULL) {
        struct load *next = s->unread->next;

        load_free(s->unread);
        s->unread = next;
    }
}

static void rows_arrived(struct load *load)
{
    struct scheduler *s = load->scheduler;

    for (size_t i = 0; i < load->n; i++) {
        if (row_arrived(s, &load->rows[i], load->heads))
            continue;
        struct load *alone = load_new(s, load->rows[i].num, 0);
        if (alone != NULL)
            load_keep(alone);
    }
}

static void load_done(void *arg, const struct err *err, int64_t generation)
{
    struct load *load = arg;
    struct scheduler *s = load->scheduler;
    struct heads *heads = load->heads;
    int64_t only = load->only;
    struct lane *l = only != 0 ? lanes_find(s, only) : NULL;
    bool again = l != NULL && l->load_again;

    (void)generation;
    if (err->code != OK && err->code != ERR_NOT_FOUND) {
        log_error("store_error", "op=load code=%s error=%s", err_code_name(err->code), err->text);
        load_keep(load);
        return;
    }
    if (l != NULL)
        l->loading = l->load_again = false;
    rows_arrived(load); /* l may be gone after it */
    bool more = only == 0 && load->more;
    bool all = only == 0 && !more;
    int64_t last = load->after;
    load->heads = NULL;
    load_free(load);
    if (all)
        s->loaded = true;
    if (heads->n > 0 || all)
        heads_submit(s, heads);
    else
        free(heads);
    if (more)
        load_begin(s, 0, last);
    if (again)
        lanes_reload(s, only);
    scheduler_kick(s);
}

void lanes_ask_heads(struct scheduler *s)
{
    if (s->heads_out > 0) { /* a sweep frees slice after slice: one round of seeks at a time */
        s->heads_again = true;
        return;
    }
    for (size_t at = 0; at < s->lanes_n;) {
        struct heads *h = calloc(1, sizeof *h);

        if (h == NULL)
            return;
        h->scheduler = s;
        for (; at < s->lanes_n && h->n < PAGE; at++)
            h->subs[h->n++] = s->lanes[at]->sub;
        heads_submit(s, h);
    }
}

void lanes_load_all(struct scheduler *s)
{
    load_begin(s, 0, 0);
}

void lanes_reload(struct scheduler *s, int64_t sub)
{
    struct lane *l = lanes_find(s, sub);

    if (l != NULL && l->loading) {
        l->load_again = true;
        return;
    }
    if (l != NULL) {
        l->loading = true;
        scheduler_touch(s, l);
    }
    load_begin(s, sub, 0);
}
