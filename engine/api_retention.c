/* engine/api_retention.c: what is kept for how long, how much of it there is, and how much would go
 * now. */
#include <string.h>

#include "base/text.h"
#include "engine/api_impl.h"
#include "engine/sweep.h"

enum { BUDGET_US = 80 * 1000 }; /* for each rule; the list reader has others to serve */

static const struct rule {
    enum retain_what what;
    const char *name, *key; /* key NULL: not the configuration's to say */
} rules[] = {
    {RETAIN_DELIVERED, "delivered", "retention.delivered"},
    {RETAIN_ATTEMPTS, "attempts", "retention.attempts"},
    {RETAIN_DEAD, "dead_letters", "dead_letter.retention"},
    {RETAIN_PURGED, "purged", "dead_letter.purge_grace"},
    {RETAIN_AUDIT, "audit", "retention.audit"},
    {RETAIN_SEEN, "remembered_ids", "retention.dedupe"},
    {RETAIN_SECRETS, "expired_secrets", NULL},
    {RETAIN_TRAFFIC, "traffic", NULL},
};

enum err_code h_retention_get(struct api_call *c)
{
    struct buf *b = &c->resp->body;
    enum err_code rc = OK;

    buf_adds(b, "{\"items\":[");
    for (size_t i = 0; rc == OK && i < sizeof rules / sizeof *rules; i++) {
        struct retain_look look;
        int64_t keep_ms = retention_of(c->api->conf, rules[i].what);

        rc = c->ops->retain_look(c->b, rules[i].what,
                                 c->now_ms - retention_before(c->api->conf, rules[i].what),
                                 BUDGET_US, &look, c->err);
        if (rc != OK)
            return rc;
        put_open(b, NULL, '{');
        put_str(b, "rule", rules[i].name);
        put_str(b, "key", rules[i].key);
        put_int_or_null(b, "keep_seconds", keep_ms / 1000);
        put_int(b, "rows", look.rows);
        put_bool(b, "rows_exact", !look.rows_more);
        put_int(b, "due", look.due);
        put_bool(b, "due_exact", !look.due_more);
        put_time(b, "oldest", look.oldest_ms);
        buf_addc(b, '}');
    }
    buf_adds(b, "],\"next_cursor\":null}");
    c->resp->status = 200;
    return rc;
}
