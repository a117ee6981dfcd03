/* cli/cmd_egress.c: who may be sent to (check), and whether anybody is (show, pause, resume). */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/url.h"
#include "cli/client.h"
#include "cli/filter.h"
#include "cli/object.h"
#include "cli/out.h"
#include "engine/api.h"
#include "policy/egress.h"

int cmd_egress_check(struct cli *cli)
{
    const char *kind = "policy", *why;
    struct err err = {OK, ""};
    struct url url;
    bool literal = false;
    int rc = cli_conf(cli);

    if (rc != 0)
        return rc;
    enum err_code parsed = url_parse(cli->args->words[0], &url, &err);

    if (parsed == ERR_INVALID) {
        kind = "syntax";
        why = err.text;
    } else if (parsed != OK) {
        return out_fail_err(cli, &err);
    } else {
        why = egress_judge_url(&cli->conf->egress, url.scheme, url.host, url.port, &literal, &kind);
    }
    if (out_is_json(cli)) {
        json_t *json = json_pack("{s:b,s:s?,s:s?}", "allowed", why == NULL, "kind",
                                 why ? kind : NULL, "reason", why);

        out_json(json, cli->format == OUT_JSONL);
        json_decref(json);
    } else if (why == NULL) {
        puts("allow");
    } else {
        printf("deny %s: ", kind ? kind : "policy");
        out_escaped(why, strlen(why), "");
    }
    rc = why == NULL ? CLI_OK : CLI_NO;
    if (parsed == OK)
        url_fini(&url);
    return rc;
}

/* ---- the kill switch ---- */
static const struct out_column fields[] = {
    {"Since", "since", OUT_TIME}, {"Resumes", "resume_at", OUT_TIME}, {"By", "actor", OUT_TEXT},
    {"Note", "note", OUT_TEXT},   {"Waiting", "waiting", OUT_COUNT},  OUT_COLUMNS_END};

static void switch_print(const struct cli *cli, const struct answer *a)
{
    if (cli->format == OUT_ID)
        puts(json_is_true(json_object_get(a->json, "paused")) ? "paused" : "open");
    if (cli->format != OUT_TABLE) {
        if (cli->format != OUT_ID)
            out_json_raw(a->raw.data, a->raw.len);
        return;
    }
    if (cli_flag(cli, FLAG_DRY_RUN) !=
        NULL) /* of what would be: not for a person to read as what is */
        return;
    puts(json_is_true(json_object_get(a->json, "paused")) ? "egress is paused" : "egress is open");
    out_fields(cli, a->json, fields);
}

static int switch_get(struct cli *cli, struct answer *a)
{
    int rc = client_call(cli, "GET", "/api/v1/egress", NULL, NULL, a);

    return rc == 0 ? client_readable(cli, a) : rc;
}

int cmd_egress_show(struct cli *cli)
{
    struct answer a;
    int rc = switch_get(cli, &a);

    if (rc != 0)
        return rc;
    switch_print(cli, &a);
    if (json_is_true(json_object_get(a.json, "paused")))
        out_note("Next: webhookctl egress resume");
    answer_fini(&a);
    return CLI_OK;
}

/* "It was paused already, since 5m ago by uid:1000 ana (INC-381), until …": who did it first is asked first. */
static void say_already(const struct cli *cli, const json_t *was, bool changes)
{
    const char *actor = out_string(was, "actor"), *note = out_string(was, "note");
    struct buf words;

    buf_init(&words, 8192);
    buf_adds(&words, "It was paused already, since ");
    out_value(cli, json_object_get(was, "since"), OUT_TIME, &words);
    buf_addf(&words, " by %s", actor ? actor : "somebody");
    if (note != NULL)
        buf_addf(&words, " (%s)", note);
    if (out_string(was, "resume_at") != NULL)
        buf_addf(&words, ", until %s", out_string(was, "resume_at"));
    out_note("%s%s.", words.data ? words.data : "", changes ? "" : ": nothing was changed");
    buf_fini(&words);
}

/* What is so already: said. True: and nothing else is to be done. */
static bool switch_is_so(const struct cli *cli, const struct answer *was, bool pause, bool more)
{
    bool paused = json_is_true(json_object_get(was->json, "paused"));
    bool changes = more || out_string(was->json, "resume_at") != NULL;

    if (paused && pause)
        say_already(cli, was->json, changes);
    if (paused ? pause && !changes : !pause)
        switch_print(cli, was);
    if (!paused && !pause)
        out_note("It was not paused: nothing was changed.");
    return paused ? pause && !changes : !pause;
}

static int switch_throw(struct cli *cli, const char *path, json_t *body)
{
    struct answer a;
    bool pause = strstr(path, "pause") != NULL, more = json_object_size(body) > 0;
    int rc = switch_get(cli, &a);

    if (rc == 0 && switch_is_so(cli, &a, pause, more)) {
        answer_fini(&a);
        json_decref(body);
        return CLI_OK;
    }
    if (rc == 0)
        answer_fini(&a);
    rc = client_call_json(cli, "POST", path, body, &a);

    if (rc == 0)
        rc = client_readable(cli, &a);
    if (rc != 0)
        return rc;
    bool paused = json_is_true(json_object_get(a.json, "paused")), waits = a.in_process;

    switch_print(cli, &a);
    answer_fini(&a);
    if (paused)
        out_done(cli,
                 "%s Events are taken in, nothing dies of it but what expires. Next: webhookctl "
                 "egress resume",
                 waits ? "webhookd is not running; it will start paused."
                       : "Nothing is sent any more; what was in flight ends.");
    else
        out_done(cli, waits ? "webhookd is not running; it will send when it starts."
                            : "What waited is sent now. Next: webhookctl status");
    return CLI_OK;
}

static json_t *switch_body(struct cli *cli, int64_t for_ms)
{
    json_t *body = json_object();

    if (cli_flag(cli, FLAG_NOTE) != NULL)
        json_object_set_new(body, "note", json_string(cli_flag(cli, FLAG_NOTE)));
    if (for_ms > 0)
        json_object_set_new(body, "for_seconds", json_real((double)for_ms / 1000.0));
    return body;
}

int cmd_egress_pause(struct cli *cli)
{
    int64_t for_ms = 0;
    char question[200], span[32] = "until egress resume";
    int rc = filter_for(cli, API_FOR_MAX_MS, &for_ms);

    if (rc != 0)
        return rc;
    if (for_ms > 0) {
        text_duration(question, sizeof question, for_ms);
        snprintf(span, sizeof span, "for %.20s", question);
    }
    if (cli_flag(cli, FLAG_DRY_RUN) != NULL) {
        struct answer a;

        rc = client_call_json(cli, "POST", "/api/v1/egress/pause", switch_body(cli, for_ms), &a);
        if (rc != 0)
            return rc;
        if (cli->format != OUT_TABLE)
            switch_print(cli, &a);
        out_note("Would stop all sending, to every subscription, %s. Nothing was changed.", span);
        answer_fini(&a);
        return CLI_OK;
    }
    snprintf(question, sizeof question,
             "Stop all sending, to every subscription, %s? Events are taken in and wait. [y/N] ",
             span);
    rc = cli_confirm(cli, question);
    return rc == 0 ? switch_throw(cli, "/api/v1/egress/pause", switch_body(cli, for_ms)) : rc;
}

int cmd_egress_resume(struct cli *cli)
{
    return switch_throw(cli, "/api/v1/egress/resume", switch_body(cli, 0));
}
