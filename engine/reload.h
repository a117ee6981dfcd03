/* engine/reload.h: the configuration's file, read anew and judged as the successor of what runs.
 *
 * Reading blocks: SIGHUP does it on the loop (a file of a megabyte at most), POST /config/reload on
 * the store's thread. Taking it over is the engine's, on the loop. */
#ifndef ENGINE_RELOAD_H
#define ENGINE_RELOAD_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "policy/conf.h"

struct reload {
    struct conf *next;   /* NULL: it cannot be taken over, see problems */
    bool restart;        /* then: nothing is wrong with it, but only a start can take it over */
    struct buf problems; /* one line each */
};
struct reload *reload_read(const struct conf *now, const char *file); /* NULL: no memory */
void reload_free(struct reload *r);                                   /* NULL is fine */

/* Reads what the configuration only names: with a wrong ca_file every attempt would fail at TLS. */
enum err_code reload_ca_file(const struct conf *conf, struct err *err);

#endif
