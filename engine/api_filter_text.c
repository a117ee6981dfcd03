/* engine/api_filter_text.c: filters as text: what a job keeps of one, and back. */
#include <stdio.h>

#include "base/id.h"
#include "engine/api_filter_impl.h"

static enum err_code read_text(struct backend *b, const char *json, enum api_filter_of of,
                               int64_t now_ms, struct arena *a, struct filter *out, struct err *err)
{
    json_error_t why;
    struct api_filter f;
    json_t *object = json_loads(json ? json : "{}", 0, &why);
    if (!object)
        return fail(err, ERR_INVALID, "a filter that is not JSON: %s", why.text);
    enum err_code rc = api_filter_read(b, object, of, now_ms, a, &f, NULL, err);
    if (rc == OK)
        *out = f.f;
    json_decref(object);
    return rc;
}

enum err_code api_filter_json(struct backend *b, const char *json, int64_t now_ms, struct arena *a,
                              struct filter *out, struct err *err)
{
    return read_text(b, json, API_FILTER_DEAD, now_ms, a, out, err);
}

enum err_code api_filter_json_deliveries(struct backend *b, const char *json, int64_t now_ms,
                                         struct arena *a, struct filter *out, struct err *err)
{
    return read_text(b, json, API_FILTER_DELIVERIES, now_ms, a, out, err);
}

static void write_ids(struct buf *out, const char *name, const char *prefix, const int64_t *nums,
                      size_t n)
{
    if (n == 0)
        return;
    put_open(out, name, '[');
    for (size_t i = 0; i < n; i++)
        put_id(out, NULL, prefix, nums[i]);
    buf_addc(out, ']');
}

/* One value stands alone, as it was mostly given. */
static void write_texts(struct buf *out, const char *name, const char *const *texts, size_t n)
{
    if (n == 1)
        put_str(out, name, texts[0]);
    if (n <= 1)
        return;
    put_open(out, name, '[');
    for (size_t i = 0; i < n; i++)
        put_str(out, NULL, texts[i]);
    buf_addc(out, ']');
}

static const char *cause_word(unsigned value)
{
    return value < CAUSES ? cause_name((enum cause)value) : NULL;
}

static const char *outcome_word(unsigned value)
{
    return value < OUTCOMES ? outcome_name((enum outcome)value) : NULL;
}

static const char *state_word(unsigned value)
{
    return value < DELIVERY_STATES ? delivery_state_name((enum delivery_state)value) : NULL;
}

static void write_set(struct buf *out, const char *name, unsigned set,
                      const char *(*word_of)(unsigned))
{
    const char *words[32];
    size_t n = 0;
    for (unsigned value = 0; value < 32; value++)
        if ((set & FILTER_BIT(value)) && word_of(value))
            words[n++] = word_of(value);
    write_texts(out, name, words, n);
}

static void write_statuses(struct buf *out, const struct filter *f)
{
    char texts[32][16];
    const char *words[32];
    size_t n = f->statuses_n < 32 ? f->statuses_n : 32;
    for (size_t i = 0; i < n; i++) {
        const struct status_range *s = &f->statuses[i];
        bool one = s->min == s->max;
        (void)snprintf(texts[i], sizeof texts[i], "%d%s", one ? s->min : s->min / 100,
                       one ? "" : "xx");
        words[i] = texts[i];
    }
    write_texts(out, "status", words, n);
}

void api_filter_write(const struct api_filter *filter, const char *name, struct buf *out)
{
    const struct filter *f = &filter->f;
    put_open(out, name, '{');
    write_ids(out, "subscription", "sub", f->subs, f->subs_n);
    write_ids(out, "id", "dlv", f->ids, f->ids_n);
    write_texts(out, "event_id", f->event_ids, f->event_ids_n);
    write_texts(out, "type", f->types, f->types_n);
    write_set(out, "cause", f->causes, cause_word);
    write_statuses(out, f);
    write_set(out, "outcome", f->outcomes, outcome_word);
    write_set(out, "state", f->states, state_word);
    if (f->job)
        put_id(out, "job", "job", f->job);
    if (f->since_ms)
        put_time(out, "since", f->since_ms);
    if (f->until_ms)
        put_time(out, "until", f->until_ms);
    if (f->min_attempts)
        put_int(out, "min_attempts", f->min_attempts);
    if (f->max_attempts_set)
        put_int(out, "max_attempts", f->max_attempts);
    if (f->arrived_before)
        put_int(out, "arrived_before", f->arrived_before);
    if (filter->all)
        put_bool(out, "all", true);
    buf_addc(out, '}');
}
