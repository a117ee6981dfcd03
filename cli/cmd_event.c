/* cli/cmd_event.c: events: emit, list, show. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/cmd_show.h"
#include "cli/list.h"

#define DATA_MAX_BYTES ((size_t)8 << 20)

/* The payload's bytes, verbatim: JSON of any size of number, hence no jansson on its way. */
static int data_read(struct cli *cli, struct buf *out)
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
    else if (text_read_file(*data == '@' ? data + 1 : data, DATA_MAX_BYTES, out, &err) != OK)
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

    buf_init(&data, DATA_MAX_BYTES + 1);
    if (rc == 0 && cli_flag(cli, FLAG_TYPE) == NULL)
        rc = out_fail(cli, CLI_USAGE, "usage", "event emit needs --type TYPE");
    if (rc == 0)
        rc = data_read(cli, &data);
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

int cmd_event_emit(struct cli *cli)
{
    struct client_request r = {.method = "POST", .path = "/api/v1/events"};
    struct answer a;
    struct buf body;

    buf_init(&body, DATA_MAX_BYTES + 65536);
    int rc = emit_body(cli, &body);

    if (rc == 0) {
        r.body = body.data;
        r.body_bytes = body.len;
        rc = client_send(cli, &r, &a);
    }
    buf_fini(&body);
    if (rc != 0)
        return rc;
    rc = client_judge(cli, &a, CLI_DATA);
    if (rc == 0 && out_is_json(cli)) {
        out_json_raw(a.raw.data, a.raw.len);
    } else if (rc == 0) {
        const char *id = out_string(a.json, "id");
        bool duplicate = json_is_true(json_object_get(a.json, "duplicate"));

        puts(id ? id : "-");
        if (duplicate)
            out_note("accepted before: nothing was stored again");
        else if (out_integer(a.json, "matched") == 0)
            out_note(
                "accepted; no subscription matches, so nobody gets it. Next: webhookctl sub list");
        else
            out_note("accepted; subscriptions that match: %lld%s. Next: webhookctl event show %s",
                     (long long)out_integer(a.json, "matched"),
                     a.in_process ? "; it is sent when webhookd starts" : "", id ? id : "-");
    }
    answer_fini(&a);
    return rc;
}

int cmd_event_list(struct cli *cli)
{
    static const struct out_column columns[] = {{"EVENT", "id", OUT_LONG},
                                                {"TYPE", "type", OUT_LONG},
                                                {"PARTNER", "partner", OUT_TEXT},
                                                {"KEY", "ordering_key", OUT_LONG},
                                                {"ACCEPTED", "accepted_at", OUT_TIME},
                                                {"DELIVERIES", "states", OUT_COUNTS},
                                                OUT_COLUMNS_END};

    return list_command(cli, "/api/v1/events", columns, "No events match.");
}

int cmd_event_types(struct cli *cli)
{
    static const struct out_column columns[] = {{"TYPE", "type", OUT_TEXT},
                                                {"EVENTS", "count", OUT_TEXT},
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
