/* engine/http_guard.c: a byte-wise scanner over one request head. */
#include "engine/http_guard.h"

#include <string.h>

void http_guard_init(struct http_guard *g)
{
    memset(g, 0, sizeof *g);
}

static const char *line_over(struct http_guard *g)
{
    if (!g->cr)
        return "a line of the head ends in a bare LF";
    if (g->line_bytes == 2) { /* CR and LF alone */
        if (g->head_bytes > 2)
            g->over = true;
        return g->lengths > 0 && g->encodings > 0 ? "Content-Length beside Transfer-Encoding"
                                                  : NULL;
    }
    g->line_bytes = 0;
    g->name_n = 0;
    g->in_name = true;
    return NULL;
}

static const char *name_over(struct http_guard *g)
{
    g->in_name = false;
    if (g->name_n == 14 && memcmp(g->name, "content-length", 14) == 0 && ++g->lengths > 1)
        return "two Content-Length headers";
    if (g->name_n == 17 && memcmp(g->name, "transfer-encoding", 17) == 0 && ++g->encodings > 1)
        return "two Transfer-Encoding headers";
    return NULL;
}

static const char *one(struct http_guard *g, char c)
{
    g->head_bytes++;
    g->line_bytes++;
    if (c == '\n')
        return line_over(g);
    if (g->cr)
        return "a bare CR in the head";
    if (c == '\0')
        return "a NUL in the head";
    if (c == '\r')
        return NULL;
    if (!g->in_name)
        return NULL;
    if (c == ':')
        return name_over(g);
    if (g->line_bytes == 1 && (c == ' ' || c == '\t'))
        return "a folded header line";
    if (c == ' ' || c == '\t')
        return "a blank in a header's name";
    if (g->name_n < sizeof g->name)
        g->name[g->name_n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    return NULL;
}

const char *http_guard_feed(struct http_guard *g, const void *bytes, size_t n)
{
    const char *p = bytes;

    for (size_t i = 0; i < n && !g->over; i++) {
        const char *why = one(g, p[i]);

        if (why != NULL)
            return why;
        g->cr = p[i] == '\r';
    }
    return NULL;
}
