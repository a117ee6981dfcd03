/* engine/api_filter_impl.h: what the api_filter*.c files share. Not for others. */
#ifndef ENGINE_API_FILTER_IMPL_H
#define ENGINE_API_FILTER_IMPL_H

#include "engine/api_impl.h"

struct filter_reading {
    struct backend *b;
    const json_t *object;
    enum api_filter_of of;
    bool look; /* "contains" is allowed */
    int64_t now_ms;
    struct arena *a;
    struct api_filter *out;
    const char *target; /* the member at fault */
    struct err *err;
};
/* NULL: absent or null. */
const json_t *filter_member(const struct filter_reading *r, const char *name);
/* One value, or the i-th of an array; NULL: not a string. */
const char *filter_text_at(const json_t *v, size_t i);
size_t filter_values_n(const json_t *v);
enum err_code filter_bad(struct filter_reading *r, const char *name, const char *what);
/* "id": numbers of deliveries; an event's id stands for all its dead letters (or deliveries). */
enum err_code filter_read_ids(struct filter_reading *r);
/* "subscription": names, ids, and beginnings of names, 'acme*', which stand for all that there are. */
enum err_code filter_read_subs(struct filter_reading *r);

#endif
