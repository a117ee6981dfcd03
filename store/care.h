/* store/care.h: what an operator does with the store's file as a whole: looks at it, checks it, copies
 * it. On a read-only connection of its own, beside the daemon or without it: it takes no lock that
 * the daemon wants, and changes nothing.
 *
 * Blocking; one thread. A snapshot is held for as long as a check or a backup takes: meanwhile the
 * log of a store that is written to cannot begin anew, and grows. */
#ifndef STORE_CARE_H
#define STORE_CARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct care;
struct keyring; /* store/seal.h */

enum { CARE_TABLES_MAX = 48 };

struct care_info {
    int64_t file_bytes, log_bytes; /* the log's file: it stays as large as it was, up to 64 MiB */
    int64_t schema, schema_known;  /* of the file; of this program */
    int64_t page_bytes, pages, free_pages;
    const char *library; /* "SQLite 3.40.1" */
    char journal[16];
    struct care_table {
        char name[64];
        int64_t
            rows; /* of subscriptions: those that are not deleted, and nobody's but their partner's */
        bool more; /* at least: counting took too long */
    } tables[CARE_TABLES_MAX];
    size_t tables_n;
};

enum care_verdict { CARE_SOUND, CARE_BAD, CARE_UNSEEN };
struct care_finding {
    const char *check;
    enum care_verdict verdict;
    const char *detail, *fix; /* fix NULL where it is sound */
};
typedef void care_found_fn(void *arg, const struct care_finding *f);
/* done of total (pages, or steps); false: stop, nothing is kept (ERR_BUSY). */
typedef bool care_progress_fn(void *arg, int64_t done, int64_t total);

struct care_check {
    bool quick;                 /* leaves out the slow half: indexes against tables, old seals */
    const struct keyring *keys; /* NULL: sealed rows are not looked at */
    care_found_fn *found;       /* once for each check */
    care_progress_fn *progress;
    void *arg;
};

/* ERR_NOT_FOUND, ERR_DENIED, ERR_IO; ERR_INVALID: no store of ours, or one that has no file. */
enum err_code care_open(struct care **out, const char *url, struct err *err);
void care_close(struct care *c); /* NULL is fine */

/* Rows are counted for at most budget_ms in all. */
enum err_code care_info(struct care *c, int64_t budget_ms, struct care_info *out, struct err *err);
/* Does the ring hold every key that secrets are sealed with? ERR_DENIED: it does not. */
enum err_code care_keys_fit(struct care *c, const struct keyring *keys, struct err *err);
/* When its newest event was accepted, by the clock of then; 0: there is none. */
enum err_code care_newest(struct care *c, int64_t *ms, struct err *err);
enum err_code care_schema(struct care *c, struct buf *out, struct err *err);
/* *bad: how many checks found something. */
enum err_code care_check(struct care *c, const struct care_check *how, int *bad, struct err *err);
/* The whole store as of now into a new file (mode 0600), which is not synced yet; a file that is
 * there is written over. On failure what is there is no backup. ERR_FULL: the disk is. */
enum err_code care_backup(struct care *c, const char *file, care_progress_fn *progress, void *arg,
                          struct err *err);

#endif
