/* engine/api_filter_subs.c: subscriptions in a filter: by name, by id, or many by 'acme*'. */
#include <string.h>

#include "base/text.h"
#include "engine/api_filter_impl.h"

enum { LOOKED_AT = 1000 };

struct chosen {
    int64_t *nums;
    size_t n;
};

static enum err_code choose(struct filter_reading *r, struct chosen *x, int64_t num,
                            enum sub_state state)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->nums[i] == num)
            return OK;
    if (x->n == API_FILTER_SUBS_MAX)
        return filter_bad(r, "subscription", "more than 1000 subscriptions");
    x->nums[x->n++] = num;
    if (state == SUB_DELETED)
        r->out->deleted = true;
    else
        r->out->live[r->out->live_n++] = num;
    return OK;
}

/* 'acme*': those that are there now. */
static enum err_code choose_like(struct filter_reading *r, struct chosen *x, const char *ref)
{
    struct subscription *subs = NULL;
    size_t begins = strlen(ref) - 1, n = LOOKED_AT;
    int64_t after = 0;
    bool any = false;
    enum err_code rc = OK;
    while (rc == OK && n == LOOKED_AT) {
        rc = r->b->ops->sub_list(r->b, after, LOOKED_AT, false, r->a, &subs, &n, r->err);
        for (size_t i = 0; rc == OK && i < n; i++) {
            after = subs[i].num;
            if (!subs[i].name || subs[i].state == SUB_DELETED || subs[i].job != 0 ||
                strncmp(subs[i].name, ref, begins) != 0)
                continue;
            any = true;
            rc = choose(r, x, subs[i].num, subs[i].state);
        }
    }
    r->target = "subscription";
    return rc == OK && !any
               ? fail(r->err, ERR_NOT_FOUND, "no subscription begins with '%.*s'%s",
                      (int)(begins < 80 ? begins : 80), ref, api_near_sub(r->b, ref, r->a))
               : rc;
}

static enum err_code choose_ref(struct filter_reading *r, struct chosen *x, const char *ref)
{
    struct subscription s;
    size_t len = strlen(ref);
    if (len > 0 && ref[len - 1] == '*')
        return choose_like(r, x, ref);
    enum err_code rc = r->b->ops->sub_get(r->b, ref, r->a, &s, r->err);
    r->target = "subscription";
    if (rc == ERR_NOT_FOUND)
        return fail(r->err, rc, "%s", api_nobody(r->b, API_KIND_SUBSCRIPTION, ref, r->a));
    return rc == OK ? choose(r, x, s.num, s.state) : rc;
}

enum err_code filter_read_subs(struct filter_reading *r)
{
    const json_t *v = filter_member(r, "subscription");
    struct chosen x = {0};
    enum err_code rc = OK;
    if (!v)
        return OK;
    size_t n = filter_values_n(v);
    x.nums = arena_alloc(r->a, API_FILTER_SUBS_MAX * sizeof *x.nums);
    r->out->live = arena_alloc(r->a, API_FILTER_SUBS_MAX * sizeof *x.nums);
    if (!x.nums || !r->out->live)
        return fail(r->err, ERR_NOMEM, "no memory for a filter");
    if (n == 0 || n > API_FILTER_SUBS_MAX)
        return filter_bad(r, "subscription", "1 to 1000 names or ids");
    for (size_t i = 0; rc == OK && i < n; i++) {
        const char *ref = filter_text_at(v, i);
        if (!ref)
            return filter_bad(r, "subscription", "not a name or an id");
        rc = choose_ref(r, &x, ref);
    }
    r->out->f.subs = x.nums;
    r->out->f.subs_n = x.n;
    return rc;
}
