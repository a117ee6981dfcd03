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

/* ---- a member's value; absent: *out stays. Texts are copied into the arena ---- */
enum err_code filter_read_text(struct filter_reading *r, const char *name, const char **out);
enum err_code filter_read_number(struct filter_reading *r, const char *name, int64_t max,
                                 int64_t *out);
/* RFC 3339, or how long ago; never 0, which would mean: open. */
enum err_code filter_read_when(struct filter_reading *r, const char *name, int64_t *out);
/* 1 to max of them. */
enum err_code filter_read_texts(struct filter_reading *r, const char *name, size_t max,
                                const char *const **out, size_t *out_n);
/* Words of a closed list, whose value is its place there: word_of(0) to word_of(values - 1), NULL
 * where a value has no word. *out: their FILTER_BITs. */
enum { FILTER_SET_MAX = 32 };
typedef const char *filter_word(int value);
enum err_code filter_read_set(struct filter_reading *r, const char *name, filter_word *word_of,
                              int values, unsigned *out);

/* ---- what has a file of its own ---- */
/* "id": numbers of deliveries; an event's id stands for all its dead letters (or deliveries). */
enum err_code filter_read_ids(struct filter_reading *r);
/* "subscription": names, ids, and beginnings of names, 'acme*', which stand for all that there are. */
enum err_code filter_read_subs(struct filter_reading *r);

#endif
