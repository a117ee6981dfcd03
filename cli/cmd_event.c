/* cli/cmd_event.c: events: emit, list, show. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/cmd_event.h"
#include "cli/cmd_show.h"
#include "cli/follow.h"
#include "cli/list.h"

/* The payload's bytes, verbatim: JSON of any size of number, hence no jansson on its way. */
int event_data_read(struct cli *cli, struct buf *out)
{
    const char *data = cli_flag(cli, FLAG_DATA);
    struct err err = {OK, ""};
    size_t at;

    if (data == NULL) {
        buf_adds(out, "{}");
        return 0;
    }
    if (*data != '@' && strcmp(data, "-") != 0)
        buf_adds(out, data);
    else if (cli_read_file(*data == '@' ? data + 1 : data, EVENT_DATA_MAX_BYTES, out, &err) != OK)
        return err.code == ERR_INVALID
                   ? out_fail(cli, CLI_DATA, "invalid", "--data: %s", err.text)
                   : out_fail(cli, CLI_NO_INPUT, "not_found", "--data: %s", err.text);
    if (out->failed)
        return out_fail(cli, CLI_DATA, "invalid", "--data: larger than 8 MiB");
    const char *problem = text_json_problem(out->data ? out->data : "", out->len, &at);

    if (problem == NULL)
        return 0;
    return out_fail(cli, CLI_DATA, "invalid", "--data is not JSON: %s at byte %zu%s", problem, at,
                    *data == '@' || *data == '-' ? "" : " (a file is written --data @FILE)");
}

static void member(struct buf *out, const char *name, const char *value)
{
    if (value == NULL)
        return;
    buf_addf(out, ",\"%s\":", name);
    buf_add_json(out, value);
}

static int emit_body(struct cli *cli, struct buf *out)
{
    struct buf data;
    char expires[TEXT_TIME_MAX];
    int64_t in_ms = 0;
    int rc = filter_duration(cli, FLAG_EXPIRES_IN, &in_ms);

    buf_init(&data, EVENT_DATA_MAX_BYTES + 1);
    if (rc == 0 && cli_flag(cli, FLAG_TYPE) == NULL)
        rc = out_fail(cli, CLI_USAGE, "usage", "event emit needs --type TYPE");
    if (rc == 0)
        rc = event_data_read(cli, &data);
    if (rc == 0) {
        buf_adds(out, "{\"type\":");
        buf_add_json(out, cli_flag(cli, FLAG_TYPE));
        member(out, "id", cli_flag(cli, FLAG_ID));
        member(out, "partner", cli_flag(cli, FLAG_PARTNER));
        member(out, "ordering_key", cli_flag(cli, FLAG_KEY));
        member(out, "correlation_id", cli_flag(cli, FLAG_CORRELATION_ID));
        member(out, "source", cli_flag(cli, FLAG_SOURCE));
        if (cli_flag(cli, FLAG_EXPIRES_IN) != NULL)
            member(out, "expires_at", text_time(expires, clock_wall_ms() + in_ms));
        buf_adds(out, ",\"data\":");
        buf_add(out, data.data, data.len);
        buf_addc(out, '}');
    }
    buf_fini(&data);
    return rc;
}

/* ---- emit --wait ---- */
struct outcome_now {
    int64_t routed, delivered, open;
    int64_t last_ms; /* when the last of them was over */
};

static void outcome_read(const json_t *event, struct outcome_now *o)
{
    size_t i;
    json_t *d;

    *o = (struct outcome_now){0};
    json_array_foreach(json_object_get(event, "deliveries"), i, d)
    {
        const char *state = out_string(d, "state"), *at = out_string(d, "finished_at");
        int64_t ms = 0;

        o->routed++;
        if (at == NULL)
            o->open++;
        else if (text_parse_time(at, &ms) && ms > o->last_ms)
            o->last_ms = ms;
        o->delivered += state != NULL && strcmp(state, "delivered") == 0;
    }
}

static int outcome_exit(const struct outcome_now *o)
{
    if (o->open > 0)
        return CLI_LATER;
    if (o->delivered == o->routed)
        return CLI_OK;
    return o->delivered > 0 ? CLI_PARTIAL : CLI_NO;
}

static void outcome_say(struct cli *cli, json_t *accepted, const struct outcome_now *o,
                        int64_t took_ms)
{
    const char *id = out_string(accepted, "id");

    if (out_is_json(cli)) {
        json_object_set_new(accepted, "delivered", json_integer(o->delivered));
        json_object_set_new(accepted, "open", json_integer(o->open));
        json_object_set_new(accepted, "elapsed_seconds", json_real((double)took_ms / 1000));
        out_json(accepted, cli->format == OUT_JSONL);
        return;
    }
    if (cli->format == OUT_ID) {
        puts(id ? id : "-");
        return;
    }
    printf("%s  routed to %s, delivered %s", id ? id : "-", TEXT_COUNTED(o->routed),
           TEXT_COUNTED(o->delivered));
    if (o->open == 0)
        printf(" in %.2fs\n", (double)took_ms / 1000);
    else
        printf(", still open %s\n", TEXT_COUNTED(o->open));
    if (o->delivered < o->routed)
        out_note("Next: webhookctl event trace %s%s", id ? id : "-", o->open ? " -f" : "");
}

/* From the commit to the end of the last delivery, or until the time is over. */
static int emit_wait(struct cli *cli, json_t *accepted, int64_t wait_ms)
{
    const char *id = out_string(accepted, "id");
    int64_t until = clock_mono_ms() + wait_ms, began = 0;
    struct outcome_now o = {.open = 1};
    struct follow f;
    struct buf path;
    int rc = 0;

    buf_init(&path, 16384);
    client_path(&path, "events", id ? id : "-", NULL);
    follow_begin(&f, cli);
    do {
        struct answer a;

        rc = follow_get(&f, path.data, NULL, &a);
        if (rc != 0)
            continue;
        outcome_read(a.json, &o);
        (void)text_parse_time(
            out_string(a.json, "accepted_at") ? out_string(a.json, "accepted_at") : "", &began);
        answer_fini(&a);
    } while ((rc == -1 || (rc == 0 && o.open > 0)) && clock_mono_ms() < until && follow_pause(20));
    follow_end(&f);
    buf_fini(&path);
    if (follow_interrupted()) {
        out_note("%s is accepted and goes on. Watch: webhookctl event trace %s -f", id, id);
        return CLI_INTERRUPTED;
    }
    if (rc > 0)
        return rc;
    outcome_say(cli, accepted, &o, o.last_ms > began ? o.last_ms - began : 0);
    return outcome_exit(&o);
}

/* ---- emit ---- */
static int emit_preview(struct cli *cli, const struct answer *a)
{
    static const struct out_column columns[] = {{"SUBSCRIPTION", "name", OUT_TEXT},
                                                {"STATE", "state", OUT_STATE},
                                                {"URL", "url", OUT_LONG},
                                                OUT_COLUMNS_END};
    const json_t *subs = json_object_get(a->json, "subscriptions");
    size_t n = json_array_size(subs);

    if (out_is_json(cli)) {
        out_json_raw(a->raw.data, a->raw.len);
        return CLI_OK;
    }
    int rc = list_array(cli, subs, "id", columns, "No subscription matches: nobody would get it.");

    if (rc == 0 && cli->format == OUT_TABLE && n > 0)
        out_note("Would go to %s subscription%s.", TEXT_COUNTED(n), n == 1 ? "" : "s");
    if (json_is_true(json_object_get(a->json, "id_known")))
        out_note("An event of that id is here already: the same again would be dropped, another "
                 "one refused.");
    out_note("Nothing was changed.");
    return rc;
}

static void emit_say(struct cli *cli, const struct answer *a)
{
    const char *id = out_string(a->json, "id");

    if (out_is_json(cli)) {
        out_json_raw(a->raw.data, a->raw.len);
        return;
    }
    puts(id ? id : "-");
    if (json_is_true(json_object_get(a->json, "duplicate")))
        out_note("accepted before: nothing was stored again");
    else if (out_integer(a->json, "matched") == 0)
        out_note("accepted; no subscription matches, so nobody gets it. Next: webhookctl sub list");
    else
        out_note("accepted; subscriptions that match: %s%s. Next: webhookctl event show %s",
                 TEXT_COUNTED(out_integer(a->json, "matched")),
                 a->in_process ? "; it is sent when webhookd starts" : "", id ? id : "-");
}

int cmd_event_emit(struct cli *cli)
{
    struct client_request r = {.method = "POST", .path = "/api/v1/events"};
    bool dry_run = cli_flag(cli, FLAG_DRY_RUN) != NULL, wait = cli_flag(cli, FLAG_WAIT) != NULL;
    struct answer a;
    struct buf body;
    int64_t wait_ms = 0;
    int rc = filter_duration(cli, FLAG_WAIT, &wait_ms);

    buf_init(&body, EVENT_DATA_MAX_BYTES + 65536);
    if (rc == 0)
        rc = emit_body(cli, &body);
    if (rc == 0) {
        r.body = body.data;
        r.body_bytes = body.len;
        rc = client_send(cli, &r, &a);
    }
    buf_fini(&body);
    if (rc != 0)
        return rc;
    rc = client_judge(cli, &a, CLI_DATA);
    if (rc != 0) {
        answer_fini(&a);
        return rc;
    }
    if (dry_run) {
        rc = emit_preview(cli, &a);
    } else if (!wait || a.in_process ||
               (out_integer(a.json, "matched") == 0 &&
                !json_is_true(json_object_get(a.json, "duplicate")))) {
        emit_say(cli, &a);
        rc = wait && a.in_process && out_integer(a.json, "matched") > 0 ? CLI_LATER : CLI_OK;
    } else {
        rc = emit_wait(cli, a.json, wait_ms);
    }
    answer_fini(&a);
    return rc;
}

int cmd_event_list(struct cli *cli)
{
    static const struct out_column columns[] = {{"EVENT", "id", OUT_TEXT},
                                                {"TYPE", "type", OUT_TEXT},
                                                {"PARTNER", "partner", OUT_TEXT, 2},
                                                {"KEY", "ordering_key", OUT_LONG, 3},
                                                {"ACCEPTED", "accepted_at", OUT_TIME, 1},
                                                {"DELIVERIES", "states", OUT_COUNTS},
                                                OUT_COLUMNS_END};

    return list_command(cli, "/api/v1/events", columns, "No events match.");
}

int cmd_event_types(struct cli *cli)
{
    static const struct out_column columns[] = {{"TYPE", "type", OUT_TEXT},
                                                {"EVENTS", "count", OUT_COUNT},
                                                {"FIRST", "first_at", OUT_TIME},
                                                {"LAST", "last_at", OUT_TIME},
                                                OUT_COLUMNS_END};
    struct answer a;
    int rc = client_call(cli, "GET", "/api/v1/event-types", NULL, NULL, &a);

    if (rc == 0)
        rc = client_readable(cli, &a);
    if (rc != 0)
        return rc;
    rc = list_array(cli, json_object_get(a.json, "items"), "type", columns, "No events yet.");
    answer_fini(&a);
    return rc;
}

int cmd_event_show(struct cli *cli)
{
    return show_event(cli, cli->args->words[0], cli_flag(cli, FLAG_BODY) != NULL);
}
