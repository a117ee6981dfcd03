/* engine/outbox.h: the outbox source: takes rows out of producers' SQLite databases, in order, once
 * (DESIGN "The outbox").
 *
 * One thread serves all configured outboxes in turn: watch (inotify on the WAL with a backing-off
 * re-check), doorbell (unix datagram), slow poll. A batch of at most 256 rows is read (every read
 * reset at once), the producer's WAL is synced, and the rows are submitted to the store's writer
 * together with the new mark and the taken (seq, digest)s; the next batch follows its commit.
 * Trimming deletes exactly the rows that were taken. */
#ifndef ENGINE_OUTBOX_H
#define ENGINE_OUTBOX_H

#include "base/err.h"
#include "engine/changes.h"
#include "engine/intake.h"
#include "policy/conf.h"
#include "store/store.h"

struct outbox_source;
/* What operators see of one. */
struct outbox_state {
    char name[256];
    char error[256];  /* why it cannot be read, "": it can */
    int64_t since_ms; /* of the error; wall */
    int64_t taken_ms; /* when rows were taken last; 0: not since the start */
    bool disk_low;    /* rows wait until the store's disk has room */
};
/* Runs on the loop thread after each commit; ch is the callee's to apply, not to keep. */
typedef void outbox_changes_fn(void *arg, const struct changes *ch);

/* Missing files and tables of configured outboxes are made (0660 in a 2770 folder); a missing
 * permission is ERR_DENIED with what is missing and the fix. conf, store, intake outlive it. */
enum err_code outbox_source_new(struct outbox_source **out, const struct conf *conf,
                                struct store *store, struct intake *intake,
                                outbox_changes_fn *changed, void *arg, struct err *err);
void outbox_source_start(struct outbox_source *s);
/* For the three below NULL is fine: a signal can come before there is a source. */
/* No new batch; the one under way commits. Idempotent; call before store_close. */
void outbox_source_stop(struct outbox_source *s);
/* Takes over the reloadable keys. */
void outbox_source_configure(struct outbox_source *s, const struct conf *conf);
void outbox_source_free(struct outbox_source *s);
/* Copies, in the order of the configuration; the caller frees. NULL: none, or no memory. */
struct outbox_state *outbox_source_look(struct outbox_source *s, size_t *n);

/* For webhookctl (no daemon needed). */
enum err_code outbox_init(const char *file, const char *table, bool wal, bool *created,
                          struct err *err); /* may be repeated */
/* Appends one line per finding to report ("ok: …", "warning: …", "error: … fix: …"); ERR_INVALID
 * where an error is among them. */
enum err_code outbox_check(const char *file, const char *table, struct buf *report,
                           struct err *err);
/* What init would meet; nothing is changed. */
enum err_code outbox_exists(const char *file, const char *table, bool *exists, struct err *err);

#endif
