/* store/backend_memory.c: the store in memory: the tests' reference, and the simulation's store.
 *
 * "memory:NAME": whoever opens the same name in this process shares the data, which go when the
 * last handle closes. The list of names is the one mutable thing here that is not behind a handle;
 * it has to be found by name alone. A mutex is held from begin to commit or rollback: nobody sees
 * half a transaction, and there is one at a time. */
#include "store/backend_memory.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

static struct {
    pthread_mutex_t lock; /* guards `first`, and name, handles and written of each */
    struct mem_db *first;
} names = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct mem_db *db_find(const char *name)
{
    struct mem_db *db = names.first;
    while (db != NULL && strcmp(db->name, name) != 0)
        db = db->next;
    return db;
}

static struct mem_db *db_new(const char *name)
{
    struct mem_db *db = mem_alloc(sizeof(*db));
    struct partner everybody = {.num = 1, .name = "default", .created_ms = clock_store_ms()};
    db->name = strdup(name);
    if (db->name == NULL || pthread_mutex_init(&db->lock, NULL) != 0)
        abort();
    mem_put(db, MEM_PARTNER, mem_num(everybody.num), &everybody);
    mem_forget(db);
    db->next = names.first;
    names.first = db;
    return db;
}

static void db_free(struct mem_db *db)
{
    struct mem_db **link = &names.first;
    while (*link != db)
        link = &(*link)->next;
    *link = db->next;
    for (int t = 0; t < MEM_TABLES; t++) {
        for (const struct mem_node *i = db->tables[t].head[0]; i != NULL; i = i->next[0])
            free(i->row);
        mem_set_fini(&db->tables[t]);
    }
    for (const struct mem_node *i = db->indexes[MEM_COUNTS].head[0]; i != NULL; i = i->next[0])
        free(i->row);
    for (int x = 0; x < MEM_INDEXES; x++)
        mem_set_fini(&db->indexes[x]);
    pthread_mutex_destroy(&db->lock);
    free(db->journal);
    free(db->name);
    free(db);
}

static enum err_code mem_open(struct backend **out, const char *target, enum backend_mode mode,
                              const struct keyring *keys, struct err *err)
{
    enum err_code code = OK;
    (void)keys; /* nothing here outlives the process */
    pthread_mutex_lock(&names.lock);
    struct mem_db *db = db_find(target);
    if (db == NULL && mode == BACKEND_READER)
        code = fail(err, ERR_INTERNAL, "the store %s has no writer yet", target);
    else if (db != NULL && mode == BACKEND_WRITER && db->written)
        code = fail(err, ERR_BUSY, "the store %s is in use: one writer per store", target);
    else if (db == NULL)
        db = db_new(target);
    if (code == OK) {
        struct mem *m = mem_alloc(sizeof(*m));
        m->base.ops = &backend_memory;
        m->db = db;
        m->mode = mode;
        db->handles++;
        if (mode == BACKEND_WRITER)
            db->written = true;
        *out = &m->base;
    }
    pthread_mutex_unlock(&names.lock);
    return code;
}

static void mem_close(struct backend *b)
{
    if (b == NULL)
        return;
    struct mem *m = (struct mem *)(void *)b;
    pthread_mutex_lock(&names.lock);
    if (m->mode == BACKEND_WRITER)
        m->db->written = false;
    if (--m->db->handles == 0)
        db_free(m->db);
    pthread_mutex_unlock(&names.lock);
    free(m);
}

/* ---- transactions ---- */
static enum err_code mem_begin(struct backend *b, struct err *err)
{
    (void)err;
    pthread_mutex_lock(&mem_db(b)->lock);
    return OK;
}

static enum err_code mem_commit(struct backend *b, struct err *err)
{
    (void)err;
    mem_forget(mem_db(b));
    pthread_mutex_unlock(&mem_db(b)->lock);
    return OK;
}

static void mem_rollback(struct backend *b)
{
    b->rollbacks++;
    mem_undo(mem_db(b), 0);
    pthread_mutex_unlock(&mem_db(b)->lock);
}

static enum err_code mem_mark(struct backend *b, struct err *err)
{
    (void)err;
    ((struct mem *)(void *)b)->mark = mem_db(b)->journal_n;
    return OK;
}

static enum err_code mem_undo_to_mark(struct backend *b, struct err *err)
{
    (void)err;
    mem_undo(mem_db(b), ((struct mem *)(void *)b)->mark);
    return OK;
}

static enum err_code mem_keep(struct backend *b, struct err *err)
{
    (void)b, (void)err;
    return OK;
}

static void mem_checkpoint(struct backend *b)
{
    (void)b;
}

static int64_t mem_file_bytes(struct backend *b)
{
    (void)b;
    return 0;
}

const struct backend_ops backend_memory = {
    .scheme = "memory",
    .open = mem_open,
    .close = mem_close,
    .begin = mem_begin,
    .commit = mem_commit,
    .rollback = mem_rollback,
    .mark = mem_mark,
    .undo = mem_undo_to_mark,
    .keep = mem_keep,
    .checkpoint = mem_checkpoint,
    .file_bytes = mem_file_bytes,
    .log_bytes = NULL,
    .partner_put = mem_partner_put,
    .partner_get = mem_partner_get,
    .partner_list = mem_partner_list,
    .sub_put = mem_sub_put,
    .sub_update = mem_sub_update,
    .sub_get = mem_sub_get,
    .sub_get_num = mem_sub_get_num,
    .sub_list = mem_sub_list,
    .secret_put = mem_secret_put,
    .secret_expire = mem_secret_expire,
    .event_put = mem_event_put,
    .event_get = mem_event_get,
    .event_list = mem_event_list,
    .delivery_list = mem_delivery_list,
    .delivery_get = mem_delivery_get,
    .event_states = mem_event_states,
    .event_types = mem_event_types,
    .event_ids = mem_event_ids,
    .delivery_walk = mem_delivery_walk,
    .line_head = mem_line_head,
    .attempt_list = mem_attempt_list,
    .attempt_find = mem_attempt_find,
    .claim = mem_claim,
    .heads = mem_heads,
    .settle = mem_settle,
    .trial = mem_trial,
    .discard = mem_discard,
    .attempt_late = mem_attempt_late,
    .kill = mem_kill,
    .kill_expired = mem_kill_expired,
    .next_expiry = mem_next_expiry,
    .bring_back = mem_bring_back,
    .traffic_add = mem_traffic_add,
    .traffic_sum = mem_traffic_sum,
    .traffic_minutes = mem_traffic_minutes,
    .health_clear = mem_health_clear,
    .due_count = mem_due_count,
    .ready_before = mem_ready_before,
    .dead_list = mem_dead_list,
    .dead_count = mem_dead_count,
    .dead_walk = mem_dead_walk,
    .dead_groups = mem_dead_groups,
    .dead_get = mem_dead_get,
    .dead_replay = mem_dead_replay,
    .over_walk = mem_over_walk,
    .over_groups = mem_over_groups,
    .over_resend = mem_over_resend,
    .delivery_copy = mem_delivery_copy,
    .dead_purge = mem_dead_purge,
    .purged_list = mem_purged_list,
    .purged_count = mem_purged_count,
    .dead_restore = mem_dead_restore,
    .dead_import = mem_dead_import,
    .dead_note = mem_dead_note,
    .deed_put = mem_deed_put,
    .deed_list = mem_deed_list,
    .job_put = mem_job_put,
    .job_update = mem_job_update,
    .job_get = mem_job_get,
    .job_list = mem_job_list,
    .part_put = mem_part_put,
    .part_update = mem_part_update,
    .part_list = mem_part_list,
    .part_move = mem_part_move,
    .part_active = mem_part_active,
    .part_sums = mem_part_sums,
    .outbox_mark = mem_outbox_mark,
    .outbox_set_mark = mem_outbox_set_mark,
    .taken_put = mem_taken_put,
    .taken_list = mem_taken_list,
    .taken_delete = mem_taken_delete,
    .reject_put = mem_reject_put,
    .reject_get = mem_reject_get,
    .reject_list = mem_reject_list,
    .reject_delete = mem_reject_delete,
    .audit_put = mem_audit_put,
    .audit_update = mem_audit_update,
    .audit_list = mem_audit_list,
    .meta_get = mem_meta_get,
    .meta_set = mem_meta_set,
    .counts = mem_counts,
    .retain = mem_retain,
    .retain_look = mem_retain_look,
    .max_num = mem_max_num,
};
