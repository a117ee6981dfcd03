/* base/span.c: small ones are malloc's, and all of them where a sanitizer watches over its own blocks. */
#include "base/span.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/sanitized.h"

enum { MAPPED_BYTES = 128 * 1024 };

static bool is_mapped(size_t n)
{
    return n >= MAPPED_BYTES && !SANITIZED;
}

static void *map(size_t n)
{
    void *span = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return span == MAP_FAILED ? NULL : span;
}

void *span_new(size_t n)
{
    return is_mapped(n) ? map(n) : malloc(n);
}

void *span_resize(void *span, size_t n, size_t to)
{
    if (span != NULL && is_mapped(n) && is_mapped(to)) {
        void *moved = mremap(span, n, to, MREMAP_MAYMOVE);

        return moved == MAP_FAILED ? NULL : moved;
    }
    if (!is_mapped(to) && (span == NULL || !is_mapped(n)))
        return realloc(span, to);
    void *other = span_new(to);
    if (other != NULL && span != NULL) {
        memcpy(other, span, n < to ? n : to);
        span_free(span, n);
    }
    return other;
}

void span_free(void *span, size_t n)
{
    if (span != NULL && is_mapped(n))
        (void)munmap(span, n);
    else
        free(span);
}
