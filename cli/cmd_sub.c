/* cli/cmd_sub.c: subscriptions. Secrets come from files, never from arguments (G8), and are shown
 * once. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "cli/list.h"
#include "cli/object.h"
#include "policy/sign.h"

#define SECRET_MAX_BYTES 8192
#define HEADERS_MAX_BYTES 65536

static const struct out_column sub_fields[] = {{"Subscription", "id", OUT_TEXT},
                                               {"Name", "name", OUT_TEXT},
                                               {"Partner", "partner", OUT_TEXT},
                                               {"URL", "url", OUT_LONG},
                                               {"Events", "events", OUT_TEXT},
                                               {"Profile", "profile", OUT_TEXT},
                                               {"State", "state", OUT_TEXT},
                                               {"Cause", "state_cause", OUT_TEXT},
                                               {"Since", "state_since", OUT_TIME},
                                               {"Resumes", "resume_at", OUT_TIME},
                                               {"Broken", "broken_since", OUT_TIME},
                                               {"Retry", "retry", OUT_TEXT},
                                               {"Rate", "rate_per_second", OUT_TEXT},
                                               {"Concurrency", "concurrency", OUT_TEXT},
                                               {"Timeout", "timeout_seconds", OUT_SECONDS},
                                               {"Ordering", "ordering", OUT_TEXT},
                                               {"On dead", "on_dead", OUT_TEXT},
                                               {"Pending", "counts.pending", OUT_TEXT},
                                               {"Retrying", "counts.retrying", OUT_TEXT},
                                               {"Held", "counts.held", OUT_TEXT},
                                               {"Dead", "counts.dead", OUT_TEXT},
                                               {"Created", "created_at", OUT_TIME},
                                               {"Updated", "updated_at", OUT_TIME},
                                               OUT_COLUMNS_END};

/* The first line of a file into body[member]; wiped here afterwards. */
static int secret_read(struct cli *cli, enum flag_id flag, json_t *body, const char *member)
{
    const char *file = cli_flag(cli, flag);
    struct err err = {OK, ""};
    struct stat st;
    struct buf text;
    int rc = 0;

    if (file == NULL)
        return 0;
    if (strcmp(file, "-") != 0 && stat(file, &st) == 0 && S_ISREG(st.st_mode) &&
        (st.st_mode & S_IROTH) != 0)
        out_note("warning: everybody can read %s; chmod 600 %s", file, file);
    buf_init(&text, SECRET_MAX_BYTES + 1);
    if (text_read_file(file, SECRET_MAX_BYTES, &text, &err) != OK) {
        rc = out_fail(cli, CLI_NO_INPUT, "not_found", "%s", err.text);
    } else {
        if (text.data != NULL)
            text.data[strcspn(text.data, "\r\n")] = '\0';
        if (text.data == NULL || !*text.data)
            rc = out_fail(cli, CLI_DATA, "invalid", "%s: its first line is empty", file);
        else if (json_object_set_new(body, member, json_string(text.data)) != 0)
            rc = out_fail(cli, CLI_DATA, "invalid", "%s: its first line is not UTF-8", file);
    }
    if (text.data != NULL)
        sign_wipe(text.data, text.room);
    buf_fini(&text);
    return rc;
}

/* Lines "Name: value" into body["headers"]; blank lines and comments are left out. */
static int headers_read(struct cli *cli, json_t *body)
{
    const char *file = cli_flag(cli, FLAG_HEADER_FILE);
    struct err err = {OK, ""};
    struct buf text;
    json_t *headers;
    int rc = 0, line = 0;

    if (file == NULL)
        return 0;
    buf_init(&text, HEADERS_MAX_BYTES + 1);
    if (text_read_file(file, HEADERS_MAX_BYTES, &text, &err) != OK) {
        buf_fini(&text);
        return out_fail(cli, CLI_NO_INPUT, "not_found", "%s", err.text);
    }
    headers = json_object();
    for (char *at = text.data, *next; rc == 0 && at != NULL && *at; at = next) {
        size_t n = strcspn(at, "\n");

        next = at + n + (at[n] == '\n');
        at[n] = '\0';
        line++;
        while (n > 0 && isspace((unsigned char)at[n - 1]))
            at[--n] = '\0';
        if (n == 0 || *at == '#')
            continue;
        char *colon = strchr(at, ':');

        if (colon == NULL || colon == at) {
            rc = out_fail(cli, CLI_DATA, "invalid", "%s:%d: not 'Name: value'", file, line);
            break;
        }
        *colon = '\0';
        colon += 1 + strspn(colon + 1, " \t");
        if (json_object_set_new(headers, at, json_string(colon)) != 0)
            rc = out_fail(cli, CLI_DATA, "invalid", "%s:%d: not UTF-8", file, line);
    }
    json_object_set_new(body, "headers", headers);
    sign_wipe(text.data, text.data ? text.room : 0);
    buf_fini(&text);
    return rc;
}

/* --events may be repeated, and each may hold several. */
static void events_read(struct cli *cli, json_t *body)
{
    json_t *events = json_array();
    char pattern[256];

    for (size_t i = 0; i < cli->args->given_n; i++) {
        const char *at = cli->args->given[i].value;

        if (cli->args->given[i].flag != FLAG_EVENTS)
            continue;
        while (*at) {
            size_t n, raw = strcspn(at, ",");
            const char *start = at + strspn(at, " ");

            n = start > at + raw ? 0 : raw - (size_t)(start - at);
            while (n > 0 && start[n - 1] == ' ')
                n--;
            text_copy(pattern, n + 1 < sizeof pattern ? n + 1 : sizeof pattern, start);
            json_array_append_new(events, json_string(pattern));
            at += raw + (at[raw] == ',');
        }
    }
    json_object_set_new(body, "events", events);
}

static int number_read(struct cli *cli, enum flag_id flag, json_t *body, const char *member)
{
    const char *text = cli_flag(cli, flag);
    char *end;

    if (text == NULL)
        return 0;
    long n = strtol(text, &end, 10);

    if (end == text || *end || n < 1 || n > 1000000)
        return out_fail(cli, CLI_USAGE, "usage", "--%s %s: not a number from 1 on",
                        flags_table[flag].name, text);
    json_object_set_new(body, member, json_integer(n));
    return 0;
}

static int add_body(struct cli *cli, json_t *body)
{
    static const struct {
        enum flag_id flag;
        const char *member;
    } plain[] = {
        {FLAG_URL, "url"},         {FLAG_NAME, "name"},       {FLAG_PARTNER, "partner"},
        {FLAG_RETRY, "retry"},     {FLAG_PROFILE, "profile"}, {FLAG_ORDERING, "ordering"},
        {FLAG_ON_DEAD, "on_dead"},
    };
    double rate = 0;
    int64_t timeout_ms = 0;

    if (cli_flag(cli, FLAG_URL) == NULL || cli_flag(cli, FLAG_EVENTS) == NULL)
        return out_fail(cli, CLI_USAGE, "usage",
                        "subscription add needs --url URL and --events PATTERN[,PATTERN]");
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        const char *value = cli_flag(cli, plain[i].flag);

        if (value != NULL && json_object_set_new(body, plain[i].member, json_string(value)) != 0)
            return out_fail(cli, CLI_USAGE, "usage", "--%s: not UTF-8",
                            flags_table[plain[i].flag].name);
    }
    events_read(cli, body);
    int rc = filter_rate(cli, &rate);

    if (rc == 0 && rate > 0)
        json_object_set_new(body, "rate_per_second", json_real(rate));
    if (rc == 0)
        rc = filter_duration(cli, FLAG_TIMEOUT, &timeout_ms);
    if (rc == 0 && timeout_ms > 0)
        json_object_set_new(body, "timeout_seconds", json_real((double)timeout_ms / 1000.0));
    if (rc == 0)
        rc = number_read(cli, FLAG_CONCURRENCY, body, "concurrency");
    if (rc == 0)
        rc = headers_read(cli, body);
    if (rc == 0)
        rc = secret_read(cli, FLAG_SECRET_FILE, body, "secret");
    if (rc == 0)
        rc = secret_read(cli, FLAG_BEARER_FILE, body, "bearer");
    return rc;
}

static void secret_print(const json_t *json)
{
    const char *secret = out_string(json, "secret");

    if (secret != NULL)
        printf("secret (shown once): %s\n", secret);
}

int cmd_sub_add(struct cli *cli)
{
    json_t *body = json_object();
    struct answer a;
    int rc = add_body(cli, body);

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
        printf("created %s  %s -> %s   events %s\n", id ? id : "-", name ? name : "-",
               out_string(a.json, "url"), events.data ? events.data : "-");
        secret_print(a.json);
        buf_fini(&events);
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

    if (rc == 0)
        rc = secret_read(cli, FLAG_SECRET_FILE, body, "secret");
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
    out_note("%s has a new secret; the old one signs too for %s", ref, overlap);
    if (a.raw.data != NULL)
        sign_wipe(a.raw.data, a.raw.len);
    answer_fini(&a);
    return CLI_OK;
}

int cmd_sub_list(struct cli *cli)
{
    static const struct out_column columns[] = {{"NAME", "name", OUT_TEXT},
                                                {"STATE", "state", OUT_TEXT},
                                                {"EVENTS", "events", OUT_LONG},
                                                {"PROFILE", "profile", OUT_TEXT},
                                                {"PENDING", "counts.pending", OUT_TEXT},
                                                {"RETRYING", "counts.retrying", OUT_TEXT},
                                                {"DEAD", "counts.dead", OUT_TEXT},
                                                {"URL", "url", OUT_LONG},
                                                {"ID", "id", OUT_TEXT},
                                                OUT_COLUMNS_END};

    return list_command(cli, "/api/v1/subscriptions", columns,
                        "No subscriptions. Next: webhookctl subscription add --url URL --events "
                        "PATTERN");
}

static void secrets_print(const struct cli *cli, const json_t *sub)
{
    static const struct out_column columns[] = {{"SECRET", "key_id", OUT_TEXT},
                                                {"CREATED", "created_at", OUT_TIME},
                                                {"EXPIRES", "expires_at", OUT_TIME},
                                                OUT_COLUMNS_END};
    struct out_table *t = out_table_new(cli, columns);
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(sub, "secrets"), i, item) out_table_row(t, item);
    putchar('\n');
    out_table_print(t);
}

int cmd_sub_show(struct cli *cli)
{
    const char *ref = cli->args->words[0];
    struct answer a;
    int rc = object_get(cli, "subscriptions", ref, NULL, &a);

    if (rc != 0)
        return rc;
    if (!object_plain(cli, &a, ref)) {
        out_fields(cli, a.json, sub_fields);
        secrets_print(cli, a.json);
    }
    answer_fini(&a);
    return CLI_OK;
}

static int sub_verb(struct cli *cli, const char *verb, const char *done)
{
    const char *ref = cli->args->words[0], *note = cli_flag(cli, FLAG_NOTE);
    int64_t for_ms = 0;
    int rc = filter_duration(cli, FLAG_FOR, &for_ms);
    json_t *body;

    if (rc != 0)
        return rc;
    body = json_object();
    if (note != NULL)
        json_object_set_new(body, "note", json_string(note));
    if (for_ms > 0)
        json_object_set_new(body, "for_seconds", json_integer((for_ms + 999) / 1000));
    /* a table of the whole subscription would bury what was done */
    static const struct out_column none[] = {OUT_COLUMNS_END};

    char text[256];

    snprintf(text, sizeof text, "%s %s", done, ref);
    return object_command(cli, "POST", "subscriptions", ref, verb, body, none, text);
}

int cmd_sub_pause(struct cli *cli)
{
    return sub_verb(cli, "pause",
                    "is paused; its deliveries are held. Next: webhookctl sub resume");
}

int cmd_sub_resume(struct cli *cli)
{
    return sub_verb(cli, "resume", "is active again. Next: webhookctl sub show");
}

int cmd_sub_enable(struct cli *cli)
{
    return sub_verb(cli, "enable", "is active again. Next: webhookctl sub show");
}

int cmd_sub_disable(struct cli *cli)
{
    return sub_verb(cli, "disable",
                    "is disabled; its deliveries are held. Next: webhookctl sub enable");
}

int cmd_sub_delete(struct cli *cli)
{
    const char *ref = cli->args->words[0], *typed = cli_flag(cli, FLAG_CONFIRM);
    static const struct out_column none[] = {OUT_COLUMNS_END};
    char question[256];

    if (typed != NULL && strcmp(typed, ref) != 0)
        return out_fail(cli, CLI_USAGE, "usage", "--confirm=%s is not %s; nothing was changed",
                        typed, ref);
    snprintf(question, sizeof question,
             "Delete subscription %s? What it has open becomes dead. [y/N] ", ref);
    /* It was named by hand; a script that got this far means it. */
    int rc = typed != NULL || !cli->in_tty ? 0 : cli_confirm(cli, question);

    if (rc != 0)
        return rc;
    return object_command(
        cli, "DELETE", "subscriptions", ref, NULL, NULL, none,
        "is deleted; what it had open becomes dead. Next: webhookctl dlq summary");
}
