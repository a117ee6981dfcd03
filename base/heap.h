/* base/heap.h: an intrusive binary min-heap of timed things (lanes by wake-up time).
 *
 * The element embeds a heap_node; the heap keeps pointers to nodes, never owns them. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key; /* smallest first */
    size_t at;   /* position + 1; 0: not in a heap */
};
struct heap {
    struct heap_node **nodes;
    size_t n, room;
};

void heap_init(struct heap *h);
void heap_fini(struct heap *h);
bool heap_put(struct heap *h, struct heap_node *node,
              int64_t key);                               /* inserts or moves; false: no memory */
void heap_remove(struct heap *h, struct heap_node *node); /* no-op where not in it */
struct heap_node *heap_top(const struct heap *h);         /* NULL: empty */

#endif
