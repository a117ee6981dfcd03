/* engine/intake_judge.h: what an event must look like, member by member. Pure. */
#ifndef ENGINE_INTAKE_JUDGE_H
#define ENGINE_INTAKE_JUDGE_H

#include "engine/intake.h"

/* OK, or ERR_INVALID with where, what, what to do. The partner is judged by intake itself, which
 * knows the names. */
enum err_code intake_judge(const struct intake_event *ev, const struct intake_limits *limits,
                           struct err *err);

#endif
