/* cli/client_log.c: see client_log.h. */
#include "cli/client_log.h"

#include <stdlib.h>
#include <string.h>

#include "cli/out.h"

#define SHOWN_MAX_BYTES 2000

/* Members that hold what must not be shown (G8), whatever object they stand in. */
static bool is_secret(const char *name)
{
    return strcmp(name, "secret") == 0 || strcmp(name, "bearer") == 0;
}

static void mask(json_t *value)
{
    const char *name;
    json_t *member;
    size_t i;
    void *next;

    json_object_foreach_safe(value, next, name, member)
    {
        if (is_secret(name) && json_is_string(member))
            json_object_set_new(value, name, json_string("***"));
        /* of a subscription's own headers the names are told, never the values */
        else if (strcmp(name, "headers") == 0 && json_is_object(member))
            json_object_set_new(value, name, json_string("***"));
        else
            mask(member);
    }
    json_array_foreach(value, i, member) mask(member);
}

static void body_log(char sign, const void *bytes, size_t n)
{
    json_t *json = n > 0 ? json_loadb(bytes, n, JSON_ALLOW_NUL, NULL) : NULL;

    if (n == 0)
        return;
    if (json == NULL) {
        out_note("%c (%zu bytes that are no JSON document)", sign, n);
        return;
    }
    mask(json);
    char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15));
    size_t whole = text ? strlen(text) : 0;

    out_note("%c %.*s%s", sign, SHOWN_MAX_BYTES, text ? text : "",
             whole > SHOWN_MAX_BYTES ? "…" : "");
    free(text);
    json_decref(json);
}

void client_log_request(const struct cli *cli, const struct client_request *r)
{
    if (!cli->verbose)
        return;
    out_note("> %s %s%s%s", r->method, r->path, r->query ? "?" : "", r->query ? r->query : "");
    body_log('>', r->body, r->body_bytes);
}

void client_log_answer(const struct cli *cli, const struct answer *a, int64_t ms)
{
    if (!cli->verbose)
        return;
    out_note("< %d, %zu bytes in %lld ms%s", a->status, a->raw.len, (long long)ms,
             a->in_process ? " (no webhookd: in this process, on the store itself)" : "");
    body_log('<', a->raw.data, a->raw.len);
}
