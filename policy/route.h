/* policy/route.h: event patterns. "*" matches every type; "a.*" every type that begins with "a."
 * (further dots included); else the exact type. */
#ifndef POLICY_ROUTE_H
#define POLICY_ROUTE_H

#include <stdbool.h>
#include <stddef.h>

/* patterns: comma-separated, blanks around them allowed. */
bool route_matches(const char *patterns, const char *type);
/* NULL: legal; else why not (a constant string). At most 100 patterns. */
const char *route_problem(const char *patterns);

#endif
