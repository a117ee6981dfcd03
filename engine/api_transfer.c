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

#include "base/clock.h"
#include "engine/api_import.h"

enum {
    LINES_MAX = 1024,
    PAGE_LINES = 256,
    TURN_LINES = 16, /* of them, until the clock is looked at */
    PAGE_BYTES = 4 << 20,
    ERRORS_MAX = 50,
};

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

/* The letters behind f's cursor, which goes along; *over: there are no more. */
static enum err_code export_some(struct api_call *c, struct filter *f, const char *contains,
                                 bool *over)
{
    struct arena mem;
    struct dead_letter *rows = NULL;
    size_t n = 0, done = 0;
    arena_init(&mem);
    enum err_code rc = c->ops->dead_list(c->b, f, &mem, &rows, &n, c->err);
    while (rc == OK && done < n && c->resp->body.len < PAGE_BYTES)
        rc = export_one(c, rows[done++].delivery.num, contains);
    if (rc == OK && done > 0) {
        f->after_ms = rows[done - 1].died_ms;
        f->after_num = rows[done - 1].delivery.num;
    }
    *over = done == n && n < f->limit;
    arena_fini(&mem);
    return rc;
}

/* A page ends with its turn: while events come in nobody's processor is busy with it for long, neither
 * the reader's nor that of who asked. */
enum err_code h_dead_export(struct api_call *c)
{
    struct api_filter f;
    int64_t until_us = clock_mono_us() + c->api->slice_us;
    bool over = false, bounded = c->api->slice_us > 0;
    enum err_code rc = api_filter_of_call(c, c->query, API_FILTER_LOOK, &f);
    size_t left = f.f.limit < PAGE_LINES ? f.f.limit : PAGE_LINES;
    while (rc == OK && !over && left > 0 && c->resp->body.len < PAGE_BYTES) {
        f.f.limit = left < TURN_LINES ? left : TURN_LINES;
        left -= f.f.limit;
        rc = export_some(c, &f.f, f.contains, &over);
        if (bounded && clock_mono_us() > until_us)
            break;
    }
    if (rc != OK)
        return rc;
    if (!over)
        api_cursor_write(c->resp->next_cursor, f.f.after_ms, f.f.after_num);
    c->resp->content_type = "application/x-ndjson";
    c->resp->status = 200;
    return OK;
}

/* Whoever is about to export says so: the set is large, the pages are many, the entry is one. */
enum err_code h_export_begin(struct api_call *c)
{
    static const char *const names[] = {"filter", "selected", "file", "note", NULL};
    const char *file = NULL, *note = NULL;
    struct api_filter f;
    struct buf detail, filter;
    double selected = 0;
    enum err_code rc = api_members(c, c->body, names);
    if (rc == OK)
        rc = api_member_number(c, "selected", 0, 1e15, &selected);
    if (rc == OK)
        rc = api_member_text(c, "file", &file);
    if (rc == OK)
        rc = api_member_note(c, &note);
    if (rc == OK)
        rc = api_filter_of_call(c, json_object_get(c->body, "filter"), API_FILTER_LOOK, &f);
    if (rc != OK)
        return rc;
    buf_init(&filter, 1 << 20);
    buf_init(&detail, 1 << 21);
    api_filter_write(&f, NULL, &filter);
    put_open(&detail, NULL, '{');
    put_int(&detail, "selected", (int64_t)selected);
    put_str(&detail, "file", file);
    put_str(&detail, "note", note);
    put_touched_by(c, &detail, filter.data);
    put_raw(&detail, "filter", filter.data, filter.len);
    buf_addc(&detail, '}');
    rc = filter.failed || detail.failed ? fail(c->err, ERR_NOMEM, "no memory for the audit log")
                                        : api_audit(c, "dead_letter.export", NULL, detail.data);
    buf_adds(&c->resp->body, "{}");
    c->resp->status = 200;
    buf_fini(&filter);
    buf_fini(&detail);
    return rc;
}

/* ---- in ---- */

/* One line: what was read of it, then what became of it. */
struct import_line {
    int64_t number;
    struct dead_letter letter;
    struct attempt *attempts;
    size_t attempts_n;
    int64_t bound;   /* the subscription of that id or name here */
    bool unbound;    /* there is none */
    const char *why; /* it is refused; NULL: it is not */
};
struct import {
    bool dry_run;
    struct import_line *lines;
    size_t n, at; /* at: the next one that is put */
    int64_t imported, skipped, unbound, refused;
    struct subscription sub; /* that the line before was for */
    const char *sub_name;
    int64_t sub_num;
    bool sub_known;
    struct import_told told;
};

static enum err_code no_memory(struct api_call *c)
{
    return fail(c->err, ERR_NOMEM, "no memory for an import");
}

static enum err_code refuse(struct api_call *c, struct import *im, struct import_line *l,
                            const char *why)
{
    im->refused++;
    l->why = arena_copy(c->mem, why);
    return l->why ? OK : no_memory(c);
}

static bool same(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* The subscription by its id, where it is known here; else the store binds it by name. Most lines are
 * for the same one as the line before. */
static enum err_code sub_find(struct api_call *c, struct import *im, const struct dead_letter *l)
{
    enum err_code rc = ERR_NOT_FOUND;
    if (im->sub_known && im->sub_num == l->sub_num && same(im->sub_name, l->sub_name))
        return OK;
    im->sub = (struct subscription){.state = SUB_DELETED};
    im->sub_num = l->sub_num;
    im->sub_name = l->sub_name;
    if (l->sub_num)
        rc = c->ops->sub_get_num(c->b, l->sub_num, c->mem, &im->sub, c->err);
    if (rc == ERR_NOT_FOUND && l->sub_name)
        rc = c->ops->sub_get(c->b, l->sub_name, c->mem, &im->sub, c->err);
    im->sub_known = rc == OK || rc == ERR_NOT_FOUND;
    return im->sub_known ? OK : rc;
}

static enum err_code bind(struct api_call *c, struct import *im, struct import_line *l)
{
    struct dead_letter *letter = &l->letter;
    enum err_code rc = sub_find(c, im, letter);
    bool by_id = im->sub.num && im->sub.num == letter->sub_num;
    l->unbound = !by_id && im->sub.state == SUB_DELETED;
    l->bound = l->unbound ? 0 : im->sub.num;
    if (!by_id)
        letter->sub_num = letter->delivery.sub = 0;
    return rc;
}

/* What dead_import would say, as far as one can see without doing it. */
static enum err_code import_look(struct api_call *c, const struct dead_letter *l, struct err *why)
{
    struct delivery d;
    enum err_code rc = c->ops->delivery_get(c->b, l->delivery.num, c->mem, &d, why);
    if (rc != OK)
        return rc == ERR_NOT_FOUND ? OK : rc;
    bool same_event = !strcmp(d.event_id, l->event.id);
    if (d.state == DELIVERY_DEAD && same_event)
        return d.sub ? fail(why, ERR_EXISTS, "it is here already") : OK;
    if (d.state == DELIVERY_DISCARDED && same_event)
        return OK;
    return fail(why, ERR_INVALID, "its number is that of another delivery, which is %s",
                delivery_state_name(d.state));
}

static enum err_code import_one(struct api_call *c, struct import *im, struct import_line *l)
{
    struct err why = {0};
    enum err_code rc =
        im->dry_run ? import_look(c, &l->letter, &why)
                    : c->ops->dead_import(c->b, &l->letter, l->attempts, l->attempts_n, &why);
    if (rc == OK && !im->dry_run)
        rc = api_deed(c, l->letter.delivery.num, DEED_IMPORTED);
    if (rc == ERR_INVALID)
        return refuse(c, im, l, why.text);
    if (rc != OK && rc != ERR_EXISTS)
        return why.code ? fail(c->err, rc, "%s", why.text) : rc;
    if (rc == OK && l->bound != 0)
        import_told_sub(&im->told, l->bound);
    im->imported += rc == OK;
    im->skipped += rc == ERR_EXISTS;
    im->unbound += rc == OK && l->unbound;
    return OK;
}

static enum err_code import_answer(struct api_call *c, const struct import *im)
{
    struct buf *b = &c->resp->body;
    int shown = 0;
    put_open(b, NULL, '{');
    put_int(b, "imported", im->imported);
    put_int(b, "skipped", im->skipped);
    put_int(b, "unbound", im->unbound);
    put_int(b, "refused", im->refused);
    put_id(b, "audit", "aud", im->told.audit);
    put_open(b, "errors", '[');
    for (size_t i = 0; i < im->n && shown < ERRORS_MAX; i++) {
        if (!im->lines[i].why)
            continue;
        put_open(b, NULL, '{');
        put_int(b, "line", im->lines[i].number);
        put_str(b, "message", im->lines[i].why);
        buf_addc(b, '}');
        shown++;
    }
    buf_adds(b, "]}");
    c->resp->status = 200;
    return OK;
}

/* As many as a turn is long enough for; the rest in the next one. */
static enum err_code import_some(struct api_call *c)
{
    struct import *im = c->found;
    int64_t until_us = clock_mono_us() + c->api->slice_us;
    bool bounded = c->api->slice_us > 0;
    enum err_code rc = OK;
    size_t from = im->at;
    while (rc == OK && im->at < im->n &&
           (im->at == from || !(bounded && clock_mono_us() > until_us))) {
        struct import_line *l = &im->lines[im->at++];
        if (!l->why)
            rc = import_one(c, im, l);
    }
    if (rc == OK)
        rc = import_told_put(c, &im->told, im->imported, im->skipped, im->refused);
    if (rc == OK && im->at < im->n) {
        c->then = import_some;
        c->b->lags = true; /* the answer comes later */
        return OK;
    }
    return rc == OK ? import_answer(c, im) : rc;
}

/* ---- read, on the list reader ---- */

static enum err_code line_read(struct api_call *c, struct import *im, const char *line, size_t n)
{
    struct import_line *l = &im->lines[im->n++];
    struct err why = {0};
    enum err_code rc =
        import_parse(line, n, c->now_ms, c->mem, &l->letter, &l->attempts, &l->attempts_n, &why);
    if (rc == ERR_INVALID)
        return refuse(c, im, l, why.text);
    if (rc != OK)
        return fail(c->err, rc, "%s", why.text);
    l->letter.expires_ms = c->now_ms + c->api->conf->dead_retention_ms;
    return bind(c, im, l);
}

static enum err_code lines_read(struct api_call *c, struct import *im)
{
    const char *at = c->req->body, *end = at ? at + c->req->body_bytes : at;
    int64_t number = 0;
    enum err_code rc = OK;
    while (rc == OK && at && at < end) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((next ? next : end) - at);
        if (n > 0 && at[n - 1] == '\r')
            n--;
        if (++number > LINES_MAX)
            return api_refuse(c, 413, "too_many", NULL, "more than %d lines: send them in parts",
                              LINES_MAX);
        im->lines[im->n].number = number;
        if (n > 0)
            rc = line_read(c, im, at, n);
        at = next ? next + 1 : end;
    }
    return rc;
}

/* Two halves: all lines are read and judged first, off the writer, which then only writes. */
enum err_code h_dead_import(struct api_call *c)
{
    struct import *im = arena_alloc(c->mem, sizeof *im);
    struct import_line *lines = arena_alloc(c->mem, (LINES_MAX + 1) * sizeof *lines);
    if (!im || !lines)
        return no_memory(c);
    memset(lines, 0, (LINES_MAX + 1) * sizeof *lines);
    *im = (struct import){.dry_run = c->dry_run, .lines = lines};
    c->found = im;
    enum err_code rc = import_told_read(c, &im->told);
    if (rc == OK)
        rc = lines_read(c, im);
    if (rc == OK && im->dry_run) {
        while (rc == OK && im->at < im->n) {
            struct import_line *l = &lines[im->at++];
            rc = l->why ? OK : import_one(c, im, l);
        }
        return rc == OK ? import_answer(c, im) : rc;
    }
    c->then = import_some;
    return rc;
}
