/* engine/api_transfer.c: dead letters out, as JSON Lines in a fixed order, and in again. What an
 * export line says is all that an import needs: export, purge, import, export gives the same bytes.
 * When a letter ends (retention) is not in it: an imported one is kept from its import on.
 *
 *   {"v":1,"kind":"dead_letter","delivery":"dlv_…","cause",…,"event":{…},"subscription":{…},
 *    "attempts":[…]}
 *
 * Import reads what anybody may have edited: each line is judged by itself, a bad one is told with
 * its number and does not keep the others out. */
#include <string.h>

#include "engine/api_import.h"

enum { LINES_MAX = 256, PAGE_BYTES = 4 << 20, ERRORS_MAX = 50 };

/* ---- out ---- */

static void put_event(struct buf *b, const struct event_rec *e)
{
    put_open(b, "event", '{');
    put_str(b, "id", e->id);
    put_str(b, "type", e->type);
    put_str(b, "partner", e->partner_name);
    put_str(b, "ordering_key", e->ordering_key);
    put_str(b, "correlation_id", e->correlation_id);
    put_str(b, "source", e->source);
    put_str(b, "version", e->version);
    put_str(b, "attributes", e->attributes);
    put_str(b, "outbox", e->outbox);
    put_int(b, "seq", e->seq);
    put_time(b, "created_at", e->created_ms);
    put_time(b, "accepted_at", e->accepted_ms);
    put_time(b, "deliver_after", e->deliver_after_ms);
    put_time(b, "expires_at", e->expires_ms);
    put_bytes(b, "payload", e->payload ? e->payload : "", e->payload ? e->payload_bytes : 0);
    buf_addc(b, '}');
}

static void put_line(struct buf *b, const struct dead_letter *l, const struct attempt *attempts,
                     size_t n)
{
    const struct delivery *d = &l->delivery;
    buf_adds(b, "{");
    put_int(b, "v", 1);
    put_str(b, "kind", "dead_letter");
    put_id(b, "delivery", "dlv", d->num);
    put_str(b, "cause", cause_name(d->cause));
    put_time(b, "died_at", l->died_ms);
    put_time(b, "created_at", d->created_ms);
    put_int(b, "attempts_made", d->attempts);
    put_int_or_null(b, "last_status", d->last_status);
    put_str(b, "last_outcome", d->attempts > 0 ? outcome_name(d->last_outcome) : NULL);
    put_id(b, "job", "job", d->job);
    put_str(b, "note", l->note);
    put_event(b, &l->event);
    put_open(b, "subscription", '{');
    put_id(b, "id", "sub", l->sub_num);
    put_str(b, "name", l->sub_name);
    put_str(b, "url", l->sub_url);
    buf_addc(b, '}');
    put_open(b, "attempts", '[');
    for (size_t i = 0; i < n; i++)
        render_attempt(b, &attempts[i]);
    buf_adds(b, "]}\n");
}

static enum err_code export_one(struct api_call *c, int64_t num, const char *contains)
{
    struct arena mem;
    struct dead_letter l;
    struct attempt *attempts = NULL;
    size_t n = 0;
    arena_init(&mem);
    enum err_code rc = c->ops->dead_get(c->b, num, &mem, &l, c->err);
    if (rc == OK)
        rc = c->ops->attempt_list(c->b, num, &mem, &attempts, &n, c->err);
    if (rc == OK && letter_contains(&l, contains))
        put_line(&c->resp->body, &l, attempts, n);
    arena_fini(&mem);
    return rc;
}

enum err_code h_dead_export(struct api_call *c)
{
    struct api_filter f;
    struct dead_letter *rows = NULL;
    size_t n = 0, done = 0;
    enum err_code rc = api_filter_of_call(c, c->query, API_FILTER_LOOK, &f);
    if (rc == OK && f.f.limit > LINES_MAX)
        f.f.limit = LINES_MAX;
    if (rc == OK)
        rc = c->ops->dead_list(c->b, &f.f, c->mem, &rows, &n, c->err);
    while (rc == OK && done < n && c->resp->body.len < PAGE_BYTES)
        rc = export_one(c, rows[done++].delivery.num, f.contains);
    if (rc != OK)
        return rc;
    if (done < n || n == f.f.limit)
        api_cursor_write(c->resp->next_cursor, rows[done - 1].died_ms, rows[done - 1].delivery.num);
    c->resp->content_type = "application/x-ndjson";
    c->resp->status = 200;
    return OK;
}

/* ---- in ---- */

struct import {
    bool dry_run;
    int64_t line, imported, skipped;
    int64_t unbound;   /* of the imported: no subscription of that id or name is here */
    struct buf errors; /* the items of "errors" */
    int errors_n;
};

static void import_error(struct import *im, const char *why)
{
    if (im->errors_n++ >= ERRORS_MAX)
        return;
    if (im->errors.len > 0)
        buf_addc(&im->errors, ',');
    buf_addf(&im->errors, "{\"line\":%lld,\"message\":", (long long)im->line);
    buf_add_json(&im->errors, why);
    buf_addc(&im->errors, '}');
}

/* The subscription by its id, where it is known here; else the store binds it by name. */
static enum err_code bind(struct api_call *c, struct arena *mem, struct dead_letter *l,
                          bool *unbound)
{
    struct subscription s = {0};
    enum err_code rc = ERR_NOT_FOUND;
    if (l->sub_num)
        rc = c->ops->sub_get_num(c->b, l->sub_num, mem, &s, c->err);
    if (rc != ERR_NOT_FOUND)
        return rc;
    l->sub_num = l->delivery.sub = 0;
    if (l->sub_name)
        rc = c->ops->sub_get(c->b, l->sub_name, mem, &s, c->err);
    *unbound = rc == ERR_NOT_FOUND || s.state == SUB_DELETED;
    return rc == ERR_NOT_FOUND ? OK : rc;
}

/* What dead_import would say, as far as one can see without doing it. */
static enum err_code import_look(struct api_call *c, struct arena *mem, const struct dead_letter *l,
                                 struct err *why)
{
    struct delivery d;
    enum err_code rc = c->ops->delivery_get(c->b, l->delivery.num, mem, &d, why);
    if (rc != OK)
        return rc == ERR_NOT_FOUND ? OK : rc;
    bool same = !strcmp(d.event_id, l->event.id);
    if (d.state == DELIVERY_DEAD && same)
        return d.sub ? fail(why, ERR_EXISTS, "it is here already") : OK;
    if (d.state == DELIVERY_DISCARDED && same)
        return OK;
    return fail(why, ERR_INVALID, "its number is that of another delivery, which is %s",
                delivery_state_name(d.state));
}

static enum err_code import_line(struct api_call *c, struct import *im, const char *line, size_t n)
{
    struct arena mem;
    struct dead_letter l;
    struct attempt *attempts = NULL;
    size_t attempts_n = 0;
    bool unbound = false;
    struct err why = {0};
    arena_init(&mem);
    enum err_code rc = import_parse(line, n, c->now_ms, &mem, &l, &attempts, &attempts_n, &why);
    if (rc == OK) {
        l.expires_ms = c->now_ms + c->api->conf->dead_retention_ms;
        rc = bind(c, &mem, &l, &unbound);
        if (rc == OK)
            rc = im->dry_run ? import_look(c, &mem, &l, &why)
                             : c->ops->dead_import(c->b, &l, attempts, attempts_n, &why);
        if (rc == OK && !im->dry_run)
            rc = api_deed(c, l.delivery.num, DEED_IMPORTED);
    }
    arena_fini(&mem);
    if (rc == OK) {
        im->imported++;
        im->unbound += unbound;
    } else if (rc == ERR_EXISTS) {
        im->skipped++;
    } else if (rc == ERR_INVALID) {
        import_error(im, why.text);
    } else {
        return why.code ? fail(c->err, rc, "%s", why.text) : rc;
    }
    return OK;
}

static enum err_code import_audit(struct api_call *c, const struct import *im)
{
    struct buf detail;
    if (!im->imported || im->dry_run)
        return OK;
    buf_init(&detail, 256);
    put_open(&detail, NULL, '{');
    put_int(&detail, "imported", im->imported);
    put_int(&detail, "skipped", im->skipped);
    put_int(&detail, "refused", im->errors_n);
    buf_addc(&detail, '}');
    enum err_code rc = detail.failed ? fail(c->err, ERR_NOMEM, "no memory for the audit log")
                                     : api_audit(c, "dead_letter.import", NULL, detail.data);
    buf_fini(&detail);
    return rc;
}

static enum err_code import_lines(struct api_call *c, struct import *im)
{
    const char *at = c->req->body, *end = at ? at + c->req->body_bytes : at;
    enum err_code rc = OK;
    while (rc == OK && at && at < end) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((next ? next : end) - at);
        if (n > 0 && at[n - 1] == '\r')
            n--;
        im->line++;
        if (im->line > LINES_MAX)
            return api_refuse(c, 413, "too_many", NULL, "more than %d lines: send them in parts",
                              LINES_MAX);
        if (n > 0)
            rc = import_line(c, im, at, n);
        at = next ? next + 1 : end;
    }
    return rc;
}

enum err_code h_dead_import(struct api_call *c)
{
    struct import im = {.dry_run = api_param_true(c, "dry_run")};
    struct buf *b = &c->resp->body;
    buf_init(&im.errors, 1 << 20);
    enum err_code rc = import_lines(c, &im);
    if (rc == OK)
        rc = import_audit(c, &im);
    if (rc == OK) {
        put_open(b, NULL, '{');
        put_int(b, "imported", im.imported);
        put_int(b, "skipped", im.skipped);
        put_int(b, "unbound", im.unbound);
        put_int(b, "refused", im.errors_n);
        put_open(b, "errors", '[');
        buf_adds(b, im.errors.data ? im.errors.data : "");
        buf_adds(b, "]}");
        c->resp->status = 200;
    }
    buf_fini(&im.errors);
    return rc;
}
