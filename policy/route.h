/* policy/route.h: event patterns. "*" matches every type; "a.*" every type that begins with "a."
 * (further dots included); else the exact type. */
#ifndef POLICY_ROUTE_H
#define POLICY_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

/* patterns: comma-separated, blanks around them allowed. */
bool route_matches(const char *patterns, const char *type);
/* The pieces of a list, for who keeps an index of them; false: there are no more. *list moves. */
struct route_piece {
    const char *at;
    size_t n;
};
bool route_piece(const char **list, struct route_piece *out);
/* The patterns that match a type, i from 0, longest first; false: there are no more. */
enum { ROUTE_PATTERN_ROOM = 132 };
bool route_pattern(const char *type, size_t i, char out[ROUTE_PATTERN_ROOM]);
/* NULL: legal; else why not (a constant string). At most 100 patterns. */
const char *route_problem(const char *patterns);

#endif
