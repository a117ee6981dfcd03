/* engine/api_look.c: dead letters looked at: lists, counts, groups.
 *
 * The store answers all of it from an index, but for "contains": payloads are sealed, so that one
 * letter after the other is opened. Such a look is bounded: a page may hold less than its limit, and
 * a count or a summary only what was seen, and still have a next_cursor. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "engine/api_impl.h"
#include "store/dead_groups.h"

enum { OPENED_MAX = 4096, OPENING_MAX_US = 200 * 1000 };

bool letter_contains(const struct dead_letter *l, const char *text)
{
    return !text || (l->event.payload &&
                     memmem(l->event.payload, l->event.payload_bytes, text, strlen(text)));
}

/* ---- a bounded look into payloads ---- */

struct look {
    struct api_call *c;
    const char *contains;
    void (*visit)(void *arg, const struct dead_letter *l);
    void *arg;
    size_t left; /* letters that may still match */
    int64_t until_us;
    size_t opened;
    int64_t last_ms, last_num; /* looked at so far */
};

static bool look_ends(const struct look *k)
{
    return k->left == 0 || k->opened >= OPENED_MAX || clock_mono_us() > k->until_us;
}

static enum err_code look_one(struct look *k, const struct dead_letter *row)
{
    struct api_call *c = k->c;
    struct arena mem;
    struct dead_letter l;
    arena_init(&mem);
    enum err_code rc = c->ops->dead_get(c->b, row->delivery.num, &mem, &l, c->err);
    k->opened++;
    k->last_ms = row->died_ms;
    k->last_num = row->delivery.num;
    if (rc == OK && letter_contains(&l, k->contains)) {
        k->visit(k->arg, row);
        k->left--;
    }
    arena_fini(&mem);
    /* one that does not open holds no text that anybody could find */
    return rc == ERR_CORRUPT || rc == ERR_DENIED || rc == ERR_NOT_FOUND ? OK : rc;
}

/* *more: there are letters behind the last one. */
static enum err_code look_through(struct look *k, const struct api_filter *f, bool *more)
{
    struct filter page = f->f;
    struct dead_letter *rows = NULL;
    size_t n = 0, i;
    enum err_code rc = OK;
    page.limit = API_SLICE;
    k->until_us = clock_mono_us() + OPENING_MAX_US;
    do {
        struct arena mem;
        arena_init(&mem);
        rc = k->c->ops->dead_list(k->c->b, &page, &mem, &rows, &n, k->c->err);
        for (i = 0; rc == OK && i < n && !look_ends(k); i++)
            rc = look_one(k, &rows[i]);
        arena_fini(&mem);
        page.after_ms = k->last_ms;
        page.after_num = k->last_num;
        *more = i < n || n == page.limit;
    } while (rc == OK && *more && i == n && !look_ends(k));
    return rc;
}

/* ---- list ---- */

static void list_visit(void *arg, const struct dead_letter *l)
{
    struct api_call *c = arg;
    render_letter(&c->resp->body, l);
    buf_addc(&c->resp->body, '}');
}

enum err_code h_dead_list(struct api_call *c)
{
    struct api_filter f;
    struct dead_letter *rows = NULL;
    struct look k = {.c = c, .visit = list_visit, .arg = c};
    size_t n = 0;
    bool more = false;
    enum err_code rc = api_filter_of_call(c, c->query, API_FILTER_LOOK, &f);
    if (rc != OK)
        return rc;
    put_open(&c->resp->body, NULL, '{');
    put_open(&c->resp->body, "items", '[');
    if (f.contains) {
        k.contains = f.contains;
        k.left = f.f.limit;
        rc = look_through(&k, &f, &more);
    } else {
        rc = c->ops->dead_list(c->b, &f.f, c->mem, &rows, &n, c->err);
        for (size_t i = 0; rc == OK && i < n; i++)
            list_visit(c, &rows[i]);
        more = n == f.f.limit;
        k.last_ms = n ? rows[n - 1].died_ms : 0;
        k.last_num = n ? rows[n - 1].delivery.num : 0;
    }
    if (rc != OK)
        return rc;
    buf_addc(&c->resp->body, ']');
    put_cursor(c, more, k.last_ms, k.last_num);
    if (f.f.after_num == 0) /* said once, with the first page */
        rc = put_unmatched(c, &f, API_FILTER_DEAD);
    buf_addc(&c->resp->body, '}');
    c->resp->status = 200;
    return rc;
}

/* ---- count ---- */

static void count_visit(void *arg, const struct dead_letter *l)
{
    struct dead_sums *s = arg;
    s->count++;
    s->payload_bytes += (int64_t)l->event.payload_bytes;
    if (l->arrival >= s->arrivals)
        s->arrivals = l->arrival + 1;
}

enum err_code h_dead_count(struct api_call *c)
{
    struct api_filter f;
    struct dead_sums s = {.arrivals = 1};
    bool more = false;
    struct look k = {.c = c, .visit = count_visit, .arg = &s, .left = SIZE_MAX};
    enum err_code rc = api_filter_of_call(c, c->query, API_FILTER_LOOK, &f);
    if (rc != OK)
        return rc;
    k.contains = f.contains;
    if (f.contains)
        rc = look_through(&k, &f, &more);
    else
        rc = c->ops->dead_count(c->b, &f.f, &s, c->err);
    if (rc != OK)
        return rc;
    put_open(&c->resp->body, NULL, '{');
    put_int(&c->resp->body, "count", s.count);
    put_int(&c->resp->body, "payload_bytes", s.payload_bytes);
    put_time(&c->resp->body, "as_of", c->now_ms);
    put_int(&c->resp->body, "arrived_before", s.arrivals);
    put_cursor(c, more, k.last_ms, k.last_num);
    rc = put_unmatched(c, &f, API_FILTER_DEAD);
    buf_addc(&c->resp->body, '}');
    c->resp->status = 200;
    return rc;
}

/* ---- summary ---- */

static const struct {
    const char *word;
    unsigned bit;
} BY[] = {{"subscription", DEAD_BY_SUBSCRIPTION},
          {"cause", DEAD_BY_CAUSE},
          {"status", DEAD_BY_STATUS},
          {"type", DEAD_BY_TYPE}};
enum { BY_N = sizeof BY / sizeof BY[0] };

/* "by": names, separated by commas or repeated; it is no filter, and goes. */
static enum err_code read_by(struct api_call *c, unsigned *by)
{
    json_t *v = json_object_get(c->query, "by");
    char word[32];
    *by = v ? 0 : DEAD_BY_SUBSCRIPTION | DEAD_BY_CAUSE | DEAD_BY_STATUS;
    for (size_t i = 0; v && i < (json_is_array(v) ? json_array_size(v) : 1); i++) {
        const char *at = json_string_value(json_is_array(v) ? json_array_get(v, i) : v);
        while (at && *at) {
            size_t n = strcspn(at, ","), k = 0;
            text_copy(word, n + 1 < sizeof word ? n + 1 : sizeof word, at);
            while (k < BY_N && strcmp(BY[k].word, word) != 0)
                k++;
            if (k == BY_N)
                return api_refuse(c, 422, "invalid_filter", "by",
                                  "by: '%s' is not one of subscription, cause, status, type", word);
            *by |= BY[k].bit;
            at += n + (at[n] == ',');
        }
    }
    if (*by == 0)
        return api_refuse(c, 422, "invalid_filter", "by",
                          "by: one or more of subscription, cause, status, type");
    json_object_del(c->query, "by");
    return OK;
}

static void group_visit(void *arg, const struct dead_letter *l)
{
    const char *type = l->event.type ? l->event.type : "";
    struct dead_facts f = {.num = l->delivery.num,
                           .sub = l->sub_num,
                           .died_ms = l->died_ms,
                           .expires_ms = l->event.expires_ms,
                           .cause = l->delivery.cause,
                           .attempts = l->delivery.attempts,
                           .last_status = l->delivery.last_status,
                           .last_outcome = l->delivery.last_outcome,
                           .payload_bytes = (int64_t)l->event.payload_bytes,
                           .type = type,
                           .type_n = strlen(type)};
    dead_grouping_add(arg, &f);
}

/* The groups of a look into payloads; their letters' names are those of the examples. */
static enum err_code look_groups(struct api_call *c, const struct api_filter *f, unsigned by,
                                 struct look *k, bool *more, struct dead_group **groups, size_t *n)
{
    struct dead_grouping g;
    dead_grouping_init(&g, by, c->now_ms, c->mem);
    k->visit = group_visit;
    k->arg = &g;
    enum err_code rc = look_through(k, f, more);
    struct dead_group *all = NULL;
    size_t all_n = 0;
    if (rc != OK) {
        (void)dead_grouping_take(&g, &all, &all_n, NULL);
        return rc;
    }
    rc = dead_grouping_take(&g, &all, &all_n, c->err);
    for (size_t i = 0; rc == OK && (by & DEAD_BY_SUBSCRIPTION) && i < all_n; i++) {
        struct filter one = {.ids = &all[i].example, .ids_n = 1, .limit = 1, .with_expired = true};
        struct dead_letter *row = NULL;
        size_t found = 0;
        rc = c->ops->dead_list(c->b, &one, c->mem, &row, &found, c->err);
        if (rc == OK && found)
            all[i].sub_name = row->sub_name;
    }
    *groups = all;
    *n = all_n;
    return rc;
}

static void put_group(struct buf *b, const struct dead_group *g, unsigned by,
                      const struct subscription *s)
{
    put_open(b, NULL, '{');
    put_str(b, "subscription", s ? s->name : g->sub_name);
    put_id(b, "subscription_id", "sub", g->sub);
    put_str(b, "cause", cause_name(g->cause));
    put_int_or_null(b, "last_status", g->last_status);
    put_str(b, "last_outcome", g->tried ? outcome_name(g->last_outcome) : NULL);
    put_str(b, "type", g->type);
    put_int(b, "count", g->count);
    put_int(b, "payload_bytes", g->payload_bytes);
    put_int(b, "expired", g->expired);
    put_time(b, "first_died_at", g->first_ms);
    put_time(b, "last_died_at", g->last_ms);
    put_id(b, "example", "dlv", g->example);
    put_str(b, "subscription_state",
            s && s->state != SUB_DELETED ? sub_state_name(s->state) : NULL);
    if (by & DEAD_BY_SUBSCRIPTION)
        render_subscription_now(b, s);
    else
        put_null(b, "subscription_now");
    buf_addc(b, '}');
}

/* Groups of one subscription mostly come several times: each is looked up once. */
struct known {
    struct subscription *subs;
    size_t n;
};

static enum err_code known_sub(struct api_call *c, struct known *k, int64_t num,
                               const struct subscription **out)
{
    *out = NULL;
    for (size_t i = 0; i < k->n; i++)
        if (k->subs[i].num == num)
            *out = &k->subs[i];
    if (*out || num == 0)
        return OK;
    struct subscription *s = &k->subs[k->n];
    enum err_code rc = c->ops->sub_get_num(c->b, num, c->mem, s, c->err);
    if (rc == OK) {
        k->n++;
        *out = s;
    }
    return rc == ERR_NOT_FOUND ? OK : rc;
}

static enum err_code put_groups(struct api_call *c, const struct dead_group *groups, size_t n,
                                unsigned by)
{
    struct known known = {.subs = arena_alloc(c->mem, (n + 1) * sizeof *known.subs)};
    enum err_code rc = known.subs ? OK : fail(c->err, ERR_NOMEM, "no memory for a summary");
    put_open(&c->resp->body, "items", '[');
    for (size_t i = 0; rc == OK && i < n; i++) {
        const struct subscription *s = NULL;
        rc = known_sub(c, &known, groups[i].sub, &s);
        put_group(&c->resp->body, &groups[i], by, s);
    }
    buf_addc(&c->resp->body, ']');
    return rc;
}

/* Of all groups, those that are not shown included. */
static void put_totals(struct buf *b, const struct dead_group *groups, size_t n)
{
    int64_t total = 0, bytes = 0, first = 0, last = 0;
    for (size_t i = 0; i < n; i++) {
        total += groups[i].count;
        bytes += groups[i].payload_bytes;
        first = first == 0 || groups[i].first_ms < first ? groups[i].first_ms : first;
        last = groups[i].last_ms > last ? groups[i].last_ms : last;
    }
    put_int(b, "total", total);
    put_int(b, "payload_bytes", bytes);
    put_int(b, "groups", (int64_t)n);
    put_time(b, "first_died_at", first);
    put_time(b, "last_died_at", last);
}

enum err_code h_dead_summary(struct api_call *c)
{
    struct api_filter f;
    struct dead_group *groups = NULL;
    struct look k = {.c = c, .left = SIZE_MAX};
    struct buf *b = &c->resp->body;
    size_t n = 0;
    unsigned by;
    bool more = false;
    enum err_code rc = read_by(c, &by);
    if (rc == OK)
        rc = api_filter_of_call(c, c->query, API_FILTER_LOOK, &f);
    if (rc != OK)
        return rc;
    k.contains = f.contains;
    rc = f.contains ? look_groups(c, &f, by, &k, &more, &groups, &n)
                    : c->ops->dead_groups(c->b, &f.f, by, c->mem, &groups, &n, c->err);
    if (rc == ERR_INVALID)
        return api_refuse(c, 422, "invalid_filter", "by", "%s", c->err->text);
    if (rc != OK)
        return rc;
    put_open(b, NULL, '{');
    put_totals(b, groups, n);
    put_open(b, "by", '[');
    for (size_t i = 0; i < BY_N; i++)
        if (by & BY[i].bit)
            put_str(b, NULL, BY[i].word);
    buf_addc(b, ']');
    rc = put_groups(c, groups, f.limited && f.f.limit < n ? f.f.limit : n, by);
    put_cursor(c, more, k.last_ms, k.last_num);
    if (rc == OK)
        rc = put_unmatched(c, &f, API_FILTER_DEAD);
    buf_addc(b, '}');
    c->resp->status = 200;
    return rc;
}
