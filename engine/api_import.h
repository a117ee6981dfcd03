/* engine/api_import.h: one line of an export, read back and judged. Pure but for the memory. */
#ifndef ENGINE_API_IMPORT_H
#define ENGINE_API_IMPORT_H

#include "engine/api_impl.h"

/* Everything of *l and of *attempts lies in mem; expires_ms is left 0, numbers of partner and event
 * are not known. ERR_INVALID: the text says which member is wrong and how. */
enum err_code import_parse(const char *line, size_t n, int64_t now_ms, struct arena *mem,
                           struct dead_letter *l, struct attempt **attempts, size_t *attempts_n,
                           struct err *err);

#endif
