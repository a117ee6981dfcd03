/* engine/api_kind.h: an id says by its beginning what it is the id of. Who gives one where another
 * kind is wanted is told so, with the command that takes it. */
#ifndef ENGINE_API_KIND_H
#define ENGINE_API_KIND_H

#include <stdbool.h>

enum api_kind {
    API_KIND_LETTER,  /* one dead letter */
    API_KIND_LETTERS, /* a set of them, that flags may choose too */
    API_KIND_DELIVERY,
    API_KIND_DELIVERIES,
    API_KIND_EVENT,
    API_KIND_SUBSCRIPTION,
    API_KIND_JOB,
    API_KIND_PARTNER,
    API_KIND_REJECT,
};
enum { API_KIND_TEXT_MAX = 512 };

/* "'job_…' is a job, not a dead letter: webhookctl job show job_…" and what else helps; false: ref is
 * of that kind, or of none by its form. Short ids count. */
bool api_kind_text(char out[API_KIND_TEXT_MAX], enum api_kind wanted, const char *ref);
/* The same of a thing that ref is known to name: "sub", "evt", "par". */
void api_kind_says(char out[API_KIND_TEXT_MAX], enum api_kind wanted, const char *prefix,
                   const char *ref);
const char *api_kind_noun(enum api_kind kind); /* "dead letter" */

#endif
