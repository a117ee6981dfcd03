/* engine/api_filter.h: the one parser of filters: from a query string, from the member "filter" of
 * a request, and from the filter that a job keeps. Every spelling is the CLI's.
 *
 * Names become numbers here; what is unknown is said by name. */
#ifndef ENGINE_API_FILTER_H
#define ENGINE_API_FILTER_H

#include <stdint.h>

#include "base/err.h"
#include "store/backend.h"

#define API_FILTER_IDS_MAX 10000
#define API_FILTER_SUBS_MAX 1000

/* json: an object as a job keeps it (or as an operator sends it), of dead letters.
 * Strings and arrays of *out lie in a. limit is 100 unless given, and with_expired is set: an event's expiry hides no dead letter.
 * ERR_INVALID: a member is wrong; ERR_NOT_FOUND: a subscription is unknown. */
enum err_code api_filter_json(struct backend *b, const char *json, int64_t now_ms, struct arena *a,
                              struct filter *out, struct err *err);
/* The same of deliveries: an event's id stands for all of them, whatever state they are in. */
enum err_code api_filter_json_deliveries(struct backend *b, const char *json, int64_t now_ms,
                                         struct arena *a, struct filter *out, struct err *err);

#endif
