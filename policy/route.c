/* policy/route.c: event patterns: a list of exact types, "prefix.*" and "*". Without allocation: a
 * list is walked where it stands. */
#include "policy/route.h"

#include <string.h>

#include "base/id.h"

#define PATTERNS_MAX 100
#define PATTERN_MAX_BYTES 130 /* 128 of a type, ".*" */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The piece before the next comma, without its blanks; moves *list behind the comma, or to NULL at
 * the end. */
static struct route_piece next_piece(const char **list)
{
    struct route_piece p = {*list, strcspn(*list, ",")};
    *list = p.at[p.n] == ',' ? p.at + p.n + 1 : NULL;
    while (p.n > 0 && is_blank(p.at[0]))
        p.at++, p.n--;
    while (p.n > 0 && is_blank(p.at[p.n - 1]))
        p.n--;
    return p;
}

static bool piece_matches(struct route_piece p, const char *type, size_t type_n)
{
    if (p.n == 0)
        return false;
    if (p.n == 1 && p.at[0] == '*')
        return true;
    if (p.at[p.n - 1] == '*') /* "a.*": all before the star, the dot included */
        return p.n - 1 <= type_n && memcmp(p.at, type, p.n - 1) == 0;
    return p.n == type_n && memcmp(p.at, type, type_n) == 0;
}

bool route_piece(const char **list, struct route_piece *out)
{
    if (*list == NULL)
        return false;
    *out = next_piece(list);
    return true;
}

/* The type itself, "a.b.*" for each of its dots from the last to the first, "*". */
bool route_pattern(const char *type, size_t i, char out[ROUTE_PATTERN_ROOM])
{
    size_t n = strlen(type), dots = 0;
    if (n > PATTERN_MAX_BYTES - 2)
        return false;
    while (dots < i && n > 0)
        dots += type[--n] == '.';
    if (i > dots + 1)
        return false;
    if (i > 0 && i == dots) /* the dot belongs to it */
        n++;
    memcpy(out, type, n);
    if (i > 0)
        out[n++] = '*';
    out[n] = '\0';
    return true;
}

bool route_matches(const char *patterns, const char *type)
{
    size_t type_n = strlen(type);
    while (patterns)
        if (piece_matches(next_piece(&patterns), type, type_n))
            return true;
    return false;
}

static const char *piece_problem(struct route_piece p)
{
    char text[PATTERN_MAX_BYTES + 1];
    if (p.n == 0)
        return "an event pattern is empty";
    if (p.n == 1 && p.at[0] == '*')
        return NULL;
    if (p.n > PATTERN_MAX_BYTES)
        return "an event pattern is longer than 128 characters";
    memcpy(text, p.at, p.n);
    text[p.n] = '\0';
    if (p.n > 2 && strcmp(text + p.n - 2, ".*") == 0)
        text[p.n - 2] = '\0';
    else if (strchr(text, '*'))
        return "in an event pattern * stands alone or at the end after a dot: * or order.*";
    return id_is_type(text) ? NULL
                            : "an event pattern may hold letters, digits, _ . and -, at most 128";
}

const char *route_problem(const char *patterns)
{
    size_t n = 0;
    while (patterns) {
        if (++n > PATTERNS_MAX)
            return "more than 100 event patterns";
        const char *why = piece_problem(next_piece(&patterns));
        if (why)
            return why;
    }
    return n ? NULL : "an event pattern is empty";
}
