/* store/backend_memory_job.c: jobs, and their parts by subscription. */
#include "store/backend_memory.h"

/* ---- jobs ---- */
enum err_code mem_job_put(struct backend *b, const struct job *j, struct err *err)
{
    (void)err;
    mem_put(mem_db(b), MEM_JOB, mem_num(j->num), j);
    return OK;
}

enum err_code mem_job_update(struct backend *b, const struct job *j, struct err *err)
{
    const struct job *old = mem_get(mem_db(b), MEM_JOB, mem_num(j->num));
    if (old == NULL)
        return fail(err, ERR_NOT_FOUND, "no such job");
    struct job new = *j;
    new.kind = old->kind;
    new.created_ms = old->created_ms;
    new.until_ms = old->until_ms;
    mem_put(mem_db(b), MEM_JOB, mem_num(j->num), &new);
    return OK;
}

enum err_code mem_job_get(struct backend *b, int64_t num, struct arena *a, struct job *out,
                          struct err *err)
{
    const struct job *j = mem_get(mem_db(b), MEM_JOB, mem_num(num));
    if (j == NULL)
        return fail(err, ERR_NOT_FOUND, "no such job");
    mem_read(&mem_layouts[MEM_JOB], j, out, a);
    return OK;
}

static bool in_mask(unsigned mask, int value)
{
    return mask == 0 || (mask & FILTER_BIT(value)) != 0;
}

enum err_code mem_job_list(struct backend *b, const struct job_filter *f, struct arena *a,
                           struct job **out, size_t *n, struct err *err)
{
    int64_t at = f->after_num;
    void *rows = NULL;
    size_t found = 0, one = 1;
    (void)err;
    while (one == 1 && found < f->limit) {
        void *row;
        mem_list_down(mem_db(b), MEM_JOB, at, 1, NULL, a, &row, &one);
        const struct job *j = row;
        if (one == 0)
            break;
        at = j->num;
        if (in_mask(f->states, (int)j->state) && in_mask(f->kinds, (int)j->kind))
            *(struct job *)mem_push(a, &rows, &found, sizeof(*j)) = *j;
    }
    *out = rows;
    *n = found;
    return OK;
}

/* ---- parts ---- */
static struct mem_key part_key(int64_t job, int64_t sub)
{
    return (struct mem_key){.a = job, .b = sub};
}

enum err_code mem_part_put(struct backend *b, const struct job_part *p, struct err *err)
{
    (void)err;
    mem_put(mem_db(b), MEM_PART, part_key(p->job, p->sub), p);
    return OK;
}

enum err_code mem_part_update(struct backend *b, const struct job_part *p, struct err *err)
{
    const struct job_part *old = mem_get(mem_db(b), MEM_PART, part_key(p->job, p->sub));
    if (old == NULL)
        return fail(err, ERR_NOT_FOUND, "no such part of a job");
    struct job_part new = *p;
    new.recent = old->recent;
    new.counts.tried = old->counts.tried;
    new.counts.failed = old->counts.failed;
    new.counts.delivered = old->counts.delivered;
    new.counts.dead_again = old->counts.dead_again;
    new.counts.discarded = old->counts.discarded;
    mem_put(mem_db(b), MEM_PART, part_key(p->job, p->sub), &new);
    return OK;
}

enum err_code mem_part_list(struct backend *b, int64_t job, bool active_only, int64_t after_sub,
                            size_t limit, struct arena *a, struct job_part **out, size_t *n,
                            struct err *err)
{
    struct mem_db *db = mem_db(b);
    void *rows = NULL;
    size_t rows_n = 0;
    (void)err;
    for (const struct mem_node *i = mem_from(db, MEM_PART, part_key(job, after_sub + 1));
         i != NULL && i->key.a == job && rows_n < limit; i = i->next[0]) {
        const struct job_part *row = i->row;
        const struct subscription *s = mem_get(db, MEM_SUB, mem_num(row->sub));
        if (active_only && row->state != JOB_ACTIVE)
            continue;
        struct job_part *p = mem_push(a, &rows, &rows_n, sizeof(*p));
        *p = *row;
        p->sub_state = s != NULL ? s->state : SUB_DELETED;
        p->source = s != NULL && s->source != 0 ? s->source : row->sub;
        const struct subscription *source = mem_get(db, MEM_SUB, mem_num(p->source));
        p->sub_name = source != NULL ? arena_copy(a, source->name) : NULL;
        p->sub_url = s != NULL ? arena_copy(a, s->url) : NULL;
        p->sub_cause = s != NULL ? arena_copy(a, s->state_cause) : NULL;
        p->sub_concurrency = s != NULL ? s->concurrency : 0;
        p->sub_broken_since_ms = s != NULL ? s->broken_since_ms : 0;
        p->sub_rate_per_s = s != NULL ? s->rate_per_s : 0;
    }
    *out = rows;
    *n = rows_n;
    return OK;
}

enum err_code mem_part_move(struct backend *b, int64_t job, enum job_state from, enum job_state to,
                            struct err *err)
{
    struct mem_db *db = mem_db(b);
    int64_t sub = 0;
    (void)err;
    for (const struct mem_node *i;
         (i = mem_from(db, MEM_PART, part_key(job, sub))) != NULL && i->key.a == job;) {
        struct job_part p = *(const struct job_part *)i->row;
        sub = p.sub + 1;
        if (p.state != from)
            continue;
        p.state = to;
        if (to == JOB_ACTIVE) {
            p.reason = JOB_REASON_NONE;
            p.base_tried = p.counts.tried;
            p.base_failed = p.counts.failed;
            p.canary_tried = -1;
        }
        mem_put(db, MEM_PART, part_key(job, p.sub), &p);
    }
    return OK;
}

enum err_code mem_part_active(struct backend *b, int64_t sub, int64_t *job, struct err *err)
{
    (void)err;
    *job = 0;
    for (const struct mem_node *i = mem_from(mem_db(b), MEM_PART, part_key(INT64_MIN, 0));
         i != NULL && *job == 0; i = i->next[0]) {
        const struct job_part *p = i->row;
        if (p->sub == sub && p->state == JOB_ACTIVE)
            *job = p->job;
    }
    return OK;
}

enum err_code mem_part_sums(struct backend *b, int64_t job, struct job_counts *out, struct err *err)
{
    struct job_counts sums = {0};
    (void)err;
    for (const struct mem_node *i = mem_from(mem_db(b), MEM_PART, part_key(job, INT64_MIN));
         i != NULL && i->key.a == job; i = i->next[0]) {
        const struct job_counts *c = &((const struct job_part *)i->row)->counts;
        sums.selected += c->selected;
        sums.excluded += c->excluded;
        sums.queued += c->queued;
        sums.gone += c->gone;
        sums.tried += c->tried;
        sums.failed += c->failed;
        sums.delivered += c->delivered;
        sums.dead_again += c->dead_again;
        sums.discarded += c->discarded;
    }
    *out = sums;
    return OK;
}

void mem_part_count(struct mem_db *db, const struct delivery *d, enum part_turn turn)
{
    const struct job_part *row =
        d->job != 0 ? mem_get(db, MEM_PART, part_key(d->job, d->sub)) : NULL;
    bool first = d->attempts == d->budget_start;
    if (row == NULL || (!first && turn == PART_GOES_ON))
        return;
    struct job_part p = *row;
    p.counts.tried += first;
    p.counts.failed += first && turn != PART_DELIVERED;
    if (first && turn != PART_DISCARDED)
        p.recent = p.recent << 1 | (turn != PART_DELIVERED);
    p.counts.delivered += turn == PART_DELIVERED;
    p.counts.dead_again += turn == PART_DEAD;
    p.counts.discarded += turn == PART_DISCARDED;
    mem_put(db, MEM_PART, part_key(p.job, p.sub), &p);
}
