/* store/dead_groups.h: dead letters in groups, counted as they are read: what both backends do with
 * the rows that a filter leaves.
 *
 * Memory is that of the groups, not of the letters; more than DEAD_GROUPS_MAX of them are refused. */
#ifndef STORE_DEAD_GROUPS_H
#define STORE_DEAD_GROUPS_H

#include "base/err.h"
#include "store/model.h"

#define DEAD_GROUPS_MAX 10000

/* Of one letter, what a group is told by and adds up. */
struct dead_facts {
    int64_t num, sub, died_ms, expires_ms; /* expires_ms: the event's own, 0: none */
    enum cause cause;
    int attempts, last_status;
    enum outcome last_outcome;
    int64_t payload_bytes; /* < 0: a delivery whose payload is gone */
    int64_t arrival;       /* of a dead letter */
    const char *type;
    size_t type_n;
};

struct dead_grouping {
    unsigned by;
    int64_t now_ms;
    struct arena *a;
    struct dead_group *groups;
    size_t n, room;
    uint32_t *slots; /* by hash: number of a group plus 1, 0: free */
    size_t slots_n;  /* a power of two */
    enum { DEAD_GROUPING_OK, DEAD_GROUPING_NOMEM, DEAD_GROUPING_TOO_MANY } trouble;
};
/* by: DEAD_BY_… bits. Types are copied into a. */
void dead_grouping_init(struct dead_grouping *g, unsigned by, int64_t now_ms, struct arena *a);
void dead_grouping_add(struct dead_grouping *g, const struct dead_facts *f);
/* The groups, copied into the arena: the largest first, then in the order of what tells them apart.
 * ERR_INVALID: too many. Without a letter there is no group. Frees g in every case. */
enum err_code dead_grouping_take(struct dead_grouping *g, struct dead_group **out, size_t *n,
                                 struct err *err);

#endif
