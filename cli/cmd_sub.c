/* cli/cmd_sub.c: subscriptions. Secrets come from files, never from arguments (G8), and are shown
 * once. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/list.h"
#include "cli/object.h"
#include "cli/sub_input.h"
#include "cli/sub_words.h"
#include "engine/api.h"
#include "policy/sign.h"

static void secret_print(const json_t *json)
{
    const char *secret = out_string(json, "secret");

    if (secret != NULL)
        printf("secret (shown once): %s\n", secret);
}

int cmd_sub_add(struct cli *cli)
{
    const char *secret_file = cli_flag(cli, FLAG_SECRET_FILE);
    json_t *body = json_object();
    struct answer a;
    int rc = 0;

    if (cli_flag(cli, FLAG_URL) == NULL || cli_flag(cli, FLAG_EVENTS) == NULL)
        rc = out_fail(cli, CLI_USAGE, "usage",
                      "subscription add needs --url URL and --events PATTERN[,PATTERN]");
    if (rc == 0)
        rc = sub_input_flags(cli, false, body);
    if (rc == 0 && secret_file != NULL)
        rc = sub_input_secret(cli, secret_file, body, "secret");
    if (rc != 0) {
        json_decref(body);
        return rc;
    }
    rc = client_call_json(cli, "POST", "/api/v1/subscriptions", body, &a);
    if (rc != 0)
        return rc;
    const char *name = out_string(a.json, "name"), *id = out_string(a.json, "id");

    if (!object_plain(cli, &a, "-")) {
        struct buf events;

        buf_init(&events, (size_t)64 << 10);
        out_value(cli, out_member(a.json, "events"), OUT_TEXT, &events);
        printf("%s %s  %s -> %s   events %s\n", out_created(cli), id ? id : "-", name ? name : "-",
               out_string(a.json, "url"), events.data ? events.data : "-");
        secret_print(a.json);
        buf_fini(&events);
        if (!out_dry(cli))
            out_note("Next: webhookctl event emit --type TYPE   webhookctl sub show %s",
                     name ? name : "");
    }
    if (a.raw.data != NULL)
        sign_wipe(a.raw.data, a.raw.len);
    answer_fini(&a);
    return CLI_OK;
}

int cmd_sub_rotate(struct cli *cli)
{
    const char *ref = cli->args->words[0];
    json_t *body = json_object();
    int64_t overlap_ms = 86400000;
    struct answer a;
    struct buf path;
    char overlap[32];
    int rc = filter_duration(cli, FLAG_OVERLAP, &overlap_ms);

    if (rc == 0 && cli_flag(cli, FLAG_SECRET_FILE) != NULL)
        rc = sub_input_secret(cli, cli_flag(cli, FLAG_SECRET_FILE), body, "secret");
    if (rc != 0) {
        json_decref(body);
        return rc;
    }
    json_object_set_new(body, "overlap_seconds",
                        overlap_ms % 1000 == 0 ? json_integer(overlap_ms / 1000)
                                               : json_real((double)overlap_ms / 1000.0));
    buf_init(&path, 16384);
    client_path(&path, "subscriptions", ref, "rotate-secret");
    rc = client_call_json(cli, "POST", path.data, body, &a);
    buf_fini(&path);
    if (rc != 0)
        return rc;
    if (!object_plain(cli, &a, ref))
        secret_print(a.json);
    text_duration(overlap, sizeof overlap, overlap_ms);
    out_done(cli,
             "%s has a new secret; the old one signs too for %s. Next: give the partner the new "
             "one; webhookctl sub show %s tells until when both sign",
             ref, overlap, ref);
    if (a.raw.data != NULL)
        sign_wipe(a.raw.data, a.raw.len);
    answer_fini(&a);
    return CLI_OK;
}

/* "NAME is paused; its deliveries are held" " (now " "5)" ". Next: webhookctl sub resume" " NAME" */
struct verb {
    const char *is, *counted, *next; /* counted: before the number that it has open */
    const char *stopped;             /* instead of next, where no webhookd runs; NULL: the same */
};

static bool so_already(const json_t *before, const json_t *after)
{
    const char *was = out_string(before, "state"), *is = out_string(after, "state");

    return was != NULL && is != NULL && strcmp(was, is) == 0;
}

/* "acme was paused already, since 5m ago by uid:1000 ana (they reboot)." */
static void say_already(const struct cli *cli, const char *ref, const json_t *before)
{
    const char *actor = out_string(before, "state_by.actor");
    const char *note = out_string(before, "state_by.note");
    struct buf words;

    buf_init(&words, 8192);
    buf_addf(&words, "%s was %s already, since ", ref, out_string(before, "state"));
    out_value(cli, json_object_get(before, "state_since"), OUT_TIME, &words);
    if (actor != NULL)
        buf_addf(&words, " by %s", actor);
    if (note != NULL)
        buf_addf(&words, " (%s)", note);
    out_note("%s.", words.data ? words.data : "");
    buf_fini(&words);
}

/* It sends again. Was it refused when it last did, and does webhookd send at all? */
static void say_hindrance(struct cli *cli, const char *ref, const json_t *before,
                          const json_t *after)
{
    const char *state = out_string(after, "state");
    struct buf words;

    if (state == NULL || strcmp(state, "active") != 0)
        return;
    if (out_string(before, "failing_since") != NULL) {
        buf_init(&words, 4096);
        sub_failure_words(&words, before);
        out_note("Its last answer was %s. Is it mended? webhookctl sub test %s", words.data, ref);
        buf_fini(&words);
    }
    egress_note(cli);
}

static void verb_report(struct cli *cli, const char *ref, const json_t *before,
                        const struct answer *after, const struct verb *v)
{
    const char *was = out_string(before, "updated_at"), *is = out_string(after->json, "updated_at");
    const char *next = after->in_process && v->stopped != NULL ? v->stopped : v->next;
    int64_t open = out_integer(before, "backlog");
    char n[32], counted[64] = "";

    if (open > 0)
        snprintf(counted, sizeof counted, "%s%s)", v->counted, text_count(n, sizeof n, open));
    if (was != NULL && is != NULL && strcmp(was, is) == 0)
        out_note("%s is %s already: nothing was changed", ref, out_string(after->json, "state"));
    else if (so_already(before, after->json))
        say_already(cli, ref, before);
    if (was == NULL || is == NULL || strcmp(was, is) != 0) {
        out_done(cli, "%s %s%s%s %s", ref, v->is, counted, next, ref);
        say_hindrance(cli, ref, before, after->json);
    }
}

static int sub_verb(struct cli *cli, const char *verb, const struct verb *v)
{
    const char *ref = cli->args->words[0], *note = cli_flag(cli, FLAG_NOTE);
    struct answer before, after;
    int64_t for_ms = 0;
    int rc = filter_for(cli, API_FOR_MAX_MS, &for_ms);

    if (rc == 0)
        rc = object_get(cli, "subscriptions", ref, NULL, &before);
    if (rc != 0)
        return rc;
    json_t *body = json_object();

    if (note != NULL)
        json_object_set_new(body, "note", json_string(note));
    if (for_ms > 0)
        json_object_set_new(body, "for_seconds", json_integer((for_ms + 999) / 1000));
    rc = object_change(cli, "POST", "subscriptions", ref, verb, body, &after);
    if (rc == 0) {
        (void)object_plain(cli, &after, ref);
        verb_report(cli, ref, before.json, &after, v);
        answer_fini(&after);
    }
    answer_fini(&before);
    return rc;
}

int cmd_sub_pause(struct cli *cli)
{
    struct verb v = {"is paused; its deliveries are held", " (now ",
                     ". Next: webhookctl sub resume"};
    char next[128], span[32];
    int64_t for_ms = 0;
    int rc = filter_for(cli, API_FOR_MAX_MS, &for_ms);

    if (rc != 0)
        return rc;
    text_duration(span, sizeof span, for_ms);
    snprintf(next, sizeof next, ", and go by themselves in %s. Sooner: webhookctl sub resume",
             span);
    if (for_ms > 0)
        v.next = next;
    return sub_verb(cli, "pause", &v);
}

int cmd_sub_resume(struct cli *cli)
{
    static const struct verb v = {
        "is active again; what waited", " (", " is sent now. Next: webhookctl sub show",
        " is sent when webhookd starts: it is not running. Next: webhookctl "
        "sub show"};

    return sub_verb(cli, "resume", &v);
}

int cmd_sub_enable(struct cli *cli)
{
    static const struct verb v = {
        "is active again: what it held", " (",
        " is sent now, and it is disabled again where its endpoint "
        "answers 410. Next: webhookctl sub show",
        " is sent when webhookd starts: it is not running. It is disabled "
        "again where its endpoint answers 410. Next: webhookctl sub show"};

    return sub_verb(cli, "enable", &v);
}

int cmd_sub_disable(struct cli *cli)
{
    static const struct verb v = {"is disabled; its deliveries are held", " (now ",
                                  ". Next: webhookctl sub enable"};

    return sub_verb(cli, "disable", &v);
}

/* By an id its name may be said as well. */
static bool is_name_of(struct cli *cli, const char *typed, const char *ref)
{
    struct answer a;

    if (strcmp(typed, ref) == 0)
        return true;
    if (object_get(cli, "subscriptions", ref, NULL, &a) != 0)
        return false;
    const char *name = out_string(a.json, "name"), *id = out_string(a.json, "id");
    bool is = (name != NULL && strcmp(typed, name) == 0) || (id != NULL && strcmp(typed, id) == 0);

    answer_fini(&a);
    return is;
}

/* Severe: on a terminal its name is typed. --yes or --confirm=NAME say it before. */
static int delete_confirm(struct cli *cli, const char *ref, const char *name, const char *open)
{
    char typed[256];
    struct buf question;

    if (cli_flag(cli, FLAG_CONFIRM_NAME) != NULL || cli_flag(cli, FLAG_YES) != NULL ||
        cli_flag(cli, FLAG_DRY_RUN) != NULL)
        return 0;
    if (!cli->in_tty)
        return out_fail(cli, CLI_USAGE, "usage", "refusing without --confirm=%s or --yes: %s", name,
                        cli_no_asking(cli));
    buf_init(&question, 1024);
    buf_addf(&question,
             "Delete subscription %s? What it has open (%s) becomes dead. Type %s to confirm: ",
             name, open, name);
    int rc = cli_ask(cli, question.data ? question.data : "", typed, sizeof typed);

    buf_fini(&question);
    if (rc == 0 && !is_name_of(cli, typed, ref))
        rc = out_fail(cli, CLI_USAGE, "usage", "that is not %s; nothing was changed", name);
    return rc;
}

int cmd_sub_delete(struct cli *cli)
{
    const char *ref = cli->args->words[0], *typed = cli_flag(cli, FLAG_CONFIRM_NAME);
    struct answer a;
    char open[32];

    if (typed != NULL && !is_name_of(cli, typed, ref))
        return out_fail(cli, CLI_USAGE, "usage", "--confirm=%s is not %s; nothing was changed",
                        typed, ref);
    int rc = object_get(cli, "subscriptions", ref, NULL, &a);

    if (rc != 0)
        return rc;
    const char *name = out_string(a.json, "name");

    text_count(open, sizeof open,
               out_integer(a.json, "backlog") + out_integer(a.json, "in_flight"));
    rc = delete_confirm(cli, ref, name ? name : ref, open);
    answer_fini(&a);
    if (rc == 0)
        rc = object_change(cli, "DELETE", "subscriptions", ref, NULL, NULL, &a);
    if (rc != 0)
        return rc;
    (void)object_plain(cli, &a, ref);
    out_done(cli, "%s is deleted; what it had open (%s) becomes dead. Next: webhookctl dlq summary",
             ref, open);
    answer_fini(&a);
    return CLI_OK;
}
