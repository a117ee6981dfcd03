/* engine/api_events.c: events come in (POST); partners, whose they are. (Looks: api_event_look.c.)
 *
 * An array is one request: all of its events are accepted, or none. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "engine/api_impl.h"

/* The outbox's names for data and id are as good. */
static const char *const EVENT_MEMBERS[] = {"type",       "data",          "payload",
                                            "id",         "event_id",      "partner",
                                            "attributes", "ordering_key",  "correlation_id",
                                            "source",     "version",       "created_at",
                                            "expires_at", "deliver_after", NULL};

/* ---- POST /events ---- */

struct incoming {
    struct api_call *c;
    json_t *rest; /* everything but data and attributes */
    char where[16];
    char target[48];
};

static const char *target(struct incoming *in, const char *member)
{
    (void)snprintf(in->target, sizeof in->target, "%s%s", in->where, member);
    return in->target;
}

static enum err_code read_text(struct incoming *in, const char *name, const char **out)
{
    const json_t *v = json_object_get(in->rest, name);
    if (!v || json_is_null(v))
        return OK;
    if (!json_is_string(v))
        return api_refuse(in->c, 422, "invalid_event", target(in, name), "%s: not a string", name);
    *out = json_string_value(v);
    return OK;
}

static enum err_code read_time(struct incoming *in, const char *name, int64_t *out)
{
    const json_t *v = json_object_get(in->rest, name);
    if (!v || json_is_null(v) || api_time_of(v, out))
        return OK;
    return api_refuse(in->c, 422, "invalid_event", target(in, name),
                      "%s: not a time: RFC 3339, or milliseconds since 1970", name);
}

/* The scan left null in the place of what it cut out, and did not see a name with escapes. */
static bool is_left(const json_t *rest, const char *name)
{
    const json_t *v = json_object_get(rest, name);
    return v && !json_is_null(v);
}

static enum err_code parse_rest(struct incoming *in, const struct scanned *s)
{
    json_error_t why;
    struct api_call *c = in->c;
    if (s->data_seen > 1 || s->attributes_seen > 1 || s->rest.failed)
        return api_refuse(c, 422, "invalid_event",
                          target(in, s->data_seen > 1 ? "data" : "attributes"),
                          "a member stands twice in one event");
    in->rest = json_loadb(s->rest.data, s->rest.len, JSON_REJECT_DUPLICATES, &why);
    if (!in->rest)
        return api_refuse(c, 422, "invalid_event", target(in, ""), "a member is not acceptable: %s",
                          why.text);
    enum err_code rc = api_members(c, in->rest, EVENT_MEMBERS);
    if (rc != OK)
        return rc;
    if (is_left(in->rest, "data") || is_left(in->rest, "payload"))
        return api_refuse(c, 422, "invalid_event", target(in, "data"),
                          "data: spell the name without escapes");
    if (!s->data_seen)
        return api_refuse(c, 422, "invalid_event", target(in, "data"),
                          "data: missing: give JSON, for instance {}, under the name \"data\"");
    if (is_left(in->rest, "id") && is_left(in->rest, "event_id"))
        return api_refuse(c, 422, "invalid_event", target(in, "event_id"),
                          "event_id: the same as id: give one of them");
    if (!s->attributes_seen && json_object_get(in->rest, "attributes"))
        return api_refuse(c, 422, "invalid_event", target(in, "attributes"),
                          "attributes: spell the name without escapes");
    return OK;
}

static enum err_code read_event(struct incoming *in, const struct scanned *s,
                                struct intake_event *ev)
{
    struct {
        const char *name;
        const char **to;
    } texts[] = {{"type", &ev->type},
                 {"id", &ev->id},
                 {"event_id", &ev->id},
                 {"partner", &ev->partner},
                 {"ordering_key", &ev->ordering_key},
                 {"correlation_id", &ev->correlation_id},
                 {"source", &ev->source},
                 {"version", &ev->version}};
    *ev = (struct intake_event){.partner = "default",
                                .source = "webhookd",
                                .version = "1.0",
                                .outbox = "api",
                                .payload = s->data,
                                .payload_bytes = s->data_n};
    enum err_code rc = OK;
    for (size_t i = 0; rc == OK && i < sizeof texts / sizeof texts[0]; i++)
        rc = read_text(in, texts[i].name, texts[i].to);
    if (rc == OK)
        rc = read_time(in, "created_at", &ev->created_ms);
    if (rc == OK)
        rc = read_time(in, "deliver_after", &ev->deliver_after_ms);
    if (rc == OK)
        rc = read_time(in, "expires_at", &ev->expires_ms);
    if (rc == OK && s->attributes && s->attributes_n > 0 && s->attributes[0] != 'n') {
        ev->attributes = arena_bytes(in->c->mem, s->attributes, s->attributes_n);
        if (!ev->attributes)
            rc = fail(in->c->err, ERR_NOMEM, "no memory for an event");
    }
    return rc;
}

/* Intake names its own members first ("event_id: …"); the api's are two words different. */
static enum err_code refused_by_intake(struct incoming *in, enum err_code rc)
{
    struct api_call *c = in->c;
    char text[sizeof c->err->text], member[32] = "";
    if (rc != ERR_EXISTS && rc != ERR_INVALID)
        return rc;
    text_copy(text, sizeof text, c->err->text);
    size_t n = strcspn(text, ":");
    if (n < sizeof member)
        text_copy(member, n + 1, text);
    const char *name = !strcmp(member, "payload")    ? "data"
                       : !strcmp(member, "event_id") ? "id"
                                                     : member;
    if (rc == ERR_EXISTS)
        return api_refuse(c, 409, "id_conflict", target(in, "id"), "%s%s", name, text + n);
    return api_refuse(c, 422, "invalid_event", target(in, name), "%s%s", name, text + n);
}

/* Who would get it, as {"matched","subscriptions":[{"id","name","state","url"}]}. */
static enum err_code preview_one(struct api_call *c, const struct intake_event *ev,
                                 const struct intake_limits *limits)
{
    struct buf *b = &c->resp->body;
    const int64_t *subs = NULL;
    size_t n = 0;
    struct event_rec known;
    enum err_code rc = intake_preview(c->api->intake, c->b, ev, limits, &subs, &n, c->err);
    if (rc != OK)
        return rc;
    rc = ev->id ? c->ops->event_get(c->b, ev->id, false, c->mem, &known, c->err) : ERR_NOT_FOUND;
    if (rc != OK && rc != ERR_NOT_FOUND)
        return rc;
    put_open(b, NULL, '{');
    put_str(b, "id", ev->id);
    put_bool(b, "id_known", rc == OK);
    put_int(b, "matched", (int64_t)n);
    put_open(b, "subscriptions", '[');
    rc = OK;
    for (size_t i = 0; rc == OK && i < n; i++) {
        struct subscription s;
        rc = c->ops->sub_get_num(c->b, subs[i], c->mem, &s, c->err);
        if (rc != OK)
            break;
        put_open(b, NULL, '{');
        put_id(b, "id", "sub", s.num);
        put_str(b, "name", s.name);
        put_str(b, "state", sub_state_name(s.state));
        put_str(b, "url", s.url);
        buf_addc(b, '}');
    }
    buf_adds(b, "]}");
    return rc;
}

static enum err_code accept_one(struct api_call *c, const struct scanned *s, const char *where)
{
    struct incoming in = {.c = c};
    struct intake_event ev;
    struct intake_result result;
    int64_t most = c->api->conf->max_payload_bytes;
    struct intake_limits limits = {most, c->api->conf->retain_dedupe_ms};
    text_copy(in.where, sizeof in.where, where);
    if (most > 0 && s->data_n > (uint64_t)most)
        return api_refuse(c, 413, "payload_too_large", target(&in, "data"),
                          "data: %zu bytes, more than api.max_payload_bytes (%lld)", s->data_n,
                          (long long)most);
    enum err_code rc = parse_rest(&in, s);
    if (rc == OK)
        rc = read_event(&in, s, &ev);
    if (rc == OK) {
        rc = c->dry_run ? preview_one(c, &ev, &limits)
                        : intake_accept(c->api->intake, c->b, &ev, &limits, &c->resp->changes,
                                        &result, c->err);
        if (rc != OK && !c->refused)
            rc = refused_by_intake(&in, rc);
    }
    if (rc == OK && !c->dry_run)
        render_accepted(&c->resp->body, &result);
    json_decref(in.rest);
    return rc;
}

enum err_code h_events_post(struct api_call *c)
{
    const char *body = c->req->body ? c->req->body : "";
    size_t n = c->req->body_bytes, at = 0;
    bool array = false;
    const char *problem = text_json_problem(body, n, &at);
    if (problem)
        return api_refuse(c, 400, "invalid_json", NULL, "the body is not JSON: %s at byte %zu",
                          problem, at);
    struct scanned *list = arena_alloc(c->mem, API_SLICE * sizeof *list);
    if (!list)
        return fail(c->err, ERR_NOMEM, "no memory for events");
    int found = scan_events(body, n, list, API_SLICE, &array);
    enum err_code rc = OK;
    if (found == -1 || (array && found == 0))
        rc = api_refuse(c, 422, "invalid_event", NULL,
                        "the body is neither an event (an object) nor an array of events");
    else if (found == -2)
        rc = api_refuse(c, 413, "too_many", NULL, "more than %d events: send them in parts",
                        API_SLICE);
    if (rc == OK && array)
        put_list_begin(c);
    for (int i = 0; rc == OK && i < found; i++) {
        char where[16] = "";
        if (array)
            (void)snprintf(where, sizeof where, "[%d].", i);
        rc = accept_one(c, &list[i], where);
    }
    if (rc == OK) {
        buf_adds(&c->resp->body, array ? "]}" : "");
        c->resp->status = 202;
    }
    for (int i = 0; i < API_SLICE; i++)
        buf_fini(&list[i].rest);
    return rc;
}

/* ---- partners ---- */

static void render_partner(struct buf *b, const struct partner *p)
{
    put_open(b, NULL, '{');
    put_id(b, "id", "par", p->num);
    put_str(b, "name", p->name);
    put_time(b, "created_at", p->created_ms);
    buf_addc(b, '}');
}

enum err_code h_partners_post(struct api_call *c)
{
    static const char *const names[] = {"name", NULL};
    const char *name = NULL;
    char id[ID_TEXT_MAX], detail[128];
    int64_t num;
    enum err_code rc = api_members(c, c->body, names);
    if (rc == OK)
        rc = api_member_text(c, "name", &name);
    if (rc == OK && (!name || !id_is_name(name) || id_parse(name, "par", &num)))
        rc = api_refuse(c, 422, "invalid_member", "name",
                        "name: 1 to 64 of A-Z a-z 0-9 _ . -, the first a letter or digit");
    if (rc != OK)
        return rc;
    struct partner p = {.num = api_new_num(c), .name = name, .created_ms = c->now_ms};
    rc = c->ops->partner_put(c->b, &p, c->err);
    if (rc == ERR_EXISTS)
        return api_refuse(c, 409, "name_taken", "name", "partner '%s' exists already", name);
    (void)snprintf(detail, sizeof detail, "{\"name\":\"%s\"}", name);
    if (rc == OK)
        rc = api_audit(c, "partner.create", id_text(id, "par", p.num), detail);
    if (rc != OK)
        return rc;
    intake_forget_routes(c->api->intake);
    render_partner(&c->resp->body, &p);
    c->resp->status = 201;
    return OK;
}

enum err_code h_partners_list(struct api_call *c)
{
    struct api_page page;
    struct partner *rows = NULL;
    size_t n = 0;
    enum err_code rc = api_page_read(c, &page);
    if (rc == OK)
        rc = c->ops->partner_list(c->b, page.after_num, page.limit, c->mem, &rows, &n, c->err);
    if (rc != OK)
        return rc;
    put_list_begin(c);
    for (size_t i = 0; i < n; i++)
        render_partner(&c->resp->body, &rows[i]);
    return put_list_end(c, n == page.limit, 0, n ? rows[n - 1].num : 0);
}
