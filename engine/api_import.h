/* engine/api_import.h: what an import is made of: one line of an export, read back and judged; what the
 * audit log is told. */
#ifndef ENGINE_API_IMPORT_H
#define ENGINE_API_IMPORT_H

#include "engine/api_impl.h"

/* Pure but for the memory. Everything of *l and of *attempts lies in mem; expires_ms is left 0, numbers of partner and event
 * are not known. ERR_INVALID: the text says which member is wrong and how. */
enum err_code import_parse(const char *line, size_t n, int64_t now_ms, struct arena *mem,
                           struct dead_letter *l, struct attempt **attempts, size_t *attempts_n,
                           struct err *err);

/* ---- api_import_told.c ---- */
enum { IMPORT_TOUCHED_MAX = 64, IMPORT_FILE_MAX = 255 };
struct import_told {
    int64_t audit;                      /* its entry; 0: there is none yet */
    int64_t imported, skipped, refused; /* in the requests before this one */
    const char *file;                   /* its name, or NULL */
    int64_t subs[IMPORT_TOUCHED_MAX];
    int subs_n; /* < 0: too many */
};
/* ?audit= and ?file= of the request. */
enum err_code import_told_read(struct api_call *c, struct import_told *t);
/* A letter of that subscription came in. */
void import_told_sub(struct import_told *t, int64_t sub);
/* What this request has done so far, on the writer, in the transaction that did it. */
enum err_code import_told_put(struct api_call *c, struct import_told *t, int64_t imported,
                              int64_t skipped, int64_t refused);

#endif
