/* base/heap.c: a binary min-heap of pointers; each node knows its place, so that it can be moved or
 * removed. */
#include "base/heap.h"

#include <stdlib.h>

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_fini(struct heap *h)
{
    free(h->nodes);
    *h = (struct heap){0};
}

static void place(struct heap *h, struct heap_node *node, size_t i)
{
    h->nodes[i] = node;
    node->at = i + 1;
}

static void sift_up(struct heap *h, struct heap_node *node, size_t i)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (h->nodes[parent]->key <= node->key)
            break;
        place(h, h->nodes[parent], i);
        i = parent;
    }
    place(h, node, i);
}

static void sift_down(struct heap *h, struct heap_node *node, size_t i)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && h->nodes[child + 1]->key < h->nodes[child]->key)
            child++;
        if (node->key <= h->nodes[child]->key)
            break;
        place(h, h->nodes[child], i);
        i = child;
    }
    place(h, node, i);
}

/* The node at i may be too small or too large for its place. */
static void settle(struct heap *h, struct heap_node *node, size_t i)
{
    if (i > 0 && h->nodes[(i - 1) / 2]->key > node->key)
        sift_up(h, node, i);
    else
        sift_down(h, node, i);
}

bool heap_put(struct heap *h, struct heap_node *node, int64_t key)
{
    if (node->at) {
        node->key = key;
        settle(h, node, node->at - 1);
        return true;
    }
    if (h->n == h->room) {
        size_t room = h->room ? h->room * 2 : 16;
        struct heap_node **nodes = reallocarray(h->nodes, room, sizeof(struct heap_node *));
        if (!nodes)
            return false;
        h->nodes = nodes;
        h->room = room;
    }
    node->key = key;
    sift_up(h, node, h->n++);
    return true;
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    if (!node->at)
        return;
    size_t i = node->at - 1;
    struct heap_node *last = h->nodes[--h->n];
    node->at = 0;
    if (last != node)
        settle(h, last, i);
}

struct heap_node *heap_top(const struct heap *h)
{
    return h->n ? h->nodes[0] : NULL;
}
