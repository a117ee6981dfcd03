/* policy/conf_diff.c: two configurations beside each other, and what may change under a running
 * daemon.
 *
 * Values are compared as the text that `config show` writes: what looks the same is the same. */
#include "policy/conf_table.h"

#include <stdio.h>
#include <string.h>

struct diff {
    conf_diff_fn *fn;
    void *arg;
    size_t n;
};

static void tell(struct diff *d, const char *key, const char *now, const char *next,
                 bool reloadable)
{
    d->n++;
    d->fn(d->arg, key, now, next, reloadable);
}

/* All rows of one owner, in two of its objects. where: "outbox[0]"; NULL for the root. */
static void objects(struct diff *d, enum conf_owner owner, const char *where, const void *now,
                    const void *next)
{
    for (size_t i = 0; i < conf_keys_n; i++) {
        const struct conf_key *k = &conf_keys[i];
        struct buf a, b;
        char key[128];

        if (k->owner != owner || k->type == CONF_RESERVED)
            continue;
        buf_init(&a, 1 << 16);
        buf_init(&b, 1 << 16);
        conf_value_text(k, now, false, &a);
        conf_value_text(k, next, false, &b);
        bool same = !a.failed && !b.failed && a.len == b.len &&
                    (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
        if (where == NULL)
            snprintf(key, sizeof key, "%s", k->name);
        else
            snprintf(key, sizeof key, "%s.%s", where, conf_key_leaf(k));
        if (!same)
            tell(d, key, a.data != NULL ? a.data : "", b.data != NULL ? b.data : "", k->reloadable);
        buf_fini(&a);
        buf_fini(&b);
    }
}

static void outboxes(struct diff *d, const struct conf *now, const struct conf *next)
{
    size_t n = now->outbox_n > next->outbox_n ? now->outbox_n : next->outbox_n;
    char where[32];

    for (size_t i = 0; i < n; i++) {
        snprintf(where, sizeof where, "outbox[%zu]", i);
        if (i < now->outbox_n && i < next->outbox_n)
            objects(d, CONF_OF_OUTBOX, where, &now->outbox[i], &next->outbox[i]);
        else
            tell(d, where, i < now->outbox_n ? now->outbox[i].url : NULL,
                 i < next->outbox_n ? next->outbox[i].url : NULL, false);
    }
}

static void policies(struct diff *d, const struct conf *now, const struct conf *next)
{
    char where[96];

    for (size_t i = 0; i < now->retry_n; i++) {
        const struct retry_policy *other = conf_retry(next, now->retry[i].name);

        snprintf(where, sizeof where, "retry.%s", now->retry[i].name);
        if (other != NULL)
            objects(d, CONF_OF_RETRY, where, &now->retry[i], other);
        else
            tell(d, where, "defined", NULL, true);
    }
    for (size_t i = 0; i < next->retry_n; i++) {
        snprintf(where, sizeof where, "retry.%s", next->retry[i].name);
        if (conf_retry(now, next->retry[i].name) == NULL)
            tell(d, where, NULL, "defined", true);
    }
}

size_t conf_diff(const struct conf *now, const struct conf *next, conf_diff_fn *fn, void *arg)
{
    struct diff d = {.fn = fn, .arg = arg};

    objects(&d, CONF_OF_ROOT, NULL, now, next);
    outboxes(&d, now, next);
    policies(&d, now, next);
    return d.n;
}

/* ---- reload ---- */
struct reload {
    struct buf *problems;
    bool fine, counted;
};

static void reload_row(void *arg, const char *key, const char *now, const char *next,
                       bool reloadable)
{
    struct reload *r = arg;

    if (reloadable)
        return;
    r->fine = false;
    if (now != NULL && next != NULL)
        buf_addf(r->problems,
                 "error: %s cannot change while running (it is %s, the file says %s): restart "
                 "webhookd\n",
                 key, now, next);
    else if (!r->counted)
        buf_adds(r->problems, "error: outboxes cannot be added or removed while running: restart "
                              "webhookd\n");
    r->counted = r->counted || now == NULL || next == NULL;
}

bool conf_reload_check(const struct conf *now, const struct conf *next, struct buf *problems)
{
    struct reload r = {.problems = problems, .fine = true};

    conf_diff(now, next, reload_row, &r);
    return r.fine;
}
