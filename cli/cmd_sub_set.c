/* cli/cmd_sub_set.c: subscription set: what is to be changed, what would change, what was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/object.h"
#include "cli/sub_input.h"
#include "policy/sign.h"

/* What a change shows, and how it is typed. */
static const struct {
    const char *key, *member;
    enum out_kind kind;
} shown[] = {
    {"name", "name", OUT_TEXT},
    {"url", "url", OUT_TEXT},
    {"events", "events", OUT_TEXT},
    {"profile", "profile", OUT_TEXT},
    {"retry", "retry", OUT_TEXT},
    {"rate", "rate_per_second", OUT_TEXT},
    {"concurrency", "concurrency", OUT_TEXT},
    {"timeout", "timeout_seconds", OUT_SECONDS},
    {"ordering", "ordering", OUT_TEXT},
    {"on-dead", "on_dead", OUT_TEXT},
    {"headers", "headers", OUT_TEXT},
    {"bearer", "bearer", OUT_TEXT},
};

static void put_value(const struct cli *cli, const json_t *value, enum out_kind kind,
                      struct buf *line)
{
    if (value == NULL || json_is_null(value) ||
        (json_is_array(value) && json_array_size(value) == 0))
        buf_adds(line, "none");
    else
        out_value(cli, value, kind, line);
}

/* A line for each that differs; how many. Whether what is sealed became something else nobody can
 * see: it was said anew. */
static size_t changes_print(const struct cli *cli, const json_t *body, const json_t *before,
                            const json_t *after)
{
    size_t n = 0;

    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
        const json_t *old = json_object_get(before, shown[i].member);
        const json_t *new = json_object_get(after, shown[i].member);
        bool sealed = strcmp(shown[i].key, "headers") == 0 || strcmp(shown[i].key, "bearer") == 0;
        const json_t *said = json_object_get(body, shown[i].member);
        bool anew = sealed && said != NULL && !json_is_null(said);
        struct buf line;

        if (json_equal(old, new) && !anew)
            continue;
        n++;
        if (cli->format != OUT_TABLE)
            continue;
        buf_init(&line, (size_t)128 << 10);
        put_value(cli, old, shown[i].kind, &line);
        buf_adds(&line, " -> ");
        put_value(cli, new, shown[i].kind, &line);
        printf("%-12s %s%s\n", shown[i].key, line.data ? line.data : "-",
               anew ? " (its value anew)" : "");
        buf_fini(&line);
    }
    return n;
}

static int set_body(struct cli *cli, json_t *body)
{
    int rc = sub_input_flags(cli, true, body);

    for (size_t i = 1; rc == 0 && i < cli->args->words_n; i++)
        rc = sub_input_word(cli, cli->args->words[i], body);
    if (rc == 0 && json_object_size(body) == 0)
        rc = out_fail(cli, CLI_USAGE, "usage",
                      "nothing to set: name keys and values, as in rate=20/s or rate=none; see "
                      "webhookctl sub set --help");
    return rc;
}

static int patch(struct cli *cli, const char *ref, const json_t *body, struct answer *a)
{
    struct buf path, text;
    char *dump = json_dumps(body, JSON_COMPACT);

    buf_init(&path, 16384);
    client_path(&path, "subscriptions", ref, NULL);
    buf_init(&text, (size_t)1 << 20);
    buf_adds(&text, dump ? dump : "{}");
    int rc = client_call(cli, "PATCH", path.data, NULL, &text, a);

    if (dump != NULL)
        sign_wipe(dump, strlen(dump)); /* a bearer token may be in it */
    free(dump);
    if (text.data != NULL)
        sign_wipe(text.data, text.len);
    buf_fini(&text);
    buf_fini(&path);
    return rc == 0 ? client_readable(cli, a) : rc;
}

static void set_report(struct cli *cli, const json_t *body, const struct answer *before,
                       const struct answer *after, bool dry)
{
    const char *name = out_string(after->json, "name");
    bool moved = json_object_get(body, "url") != NULL;

    object_plain(cli, after, name);
    size_t n = changes_print(cli, body, before->json, after->json);

    if (n == 0)
        out_note("%s is so already", name);
    else if (moved)
        out_note("Its secrets, headers and what waits for it stay; the new endpoint gets them.");
    if (dry)
        out_note("Nothing was changed.");
    else if (n > 0)
        out_note("%s is changed; what starts from now on goes by it. Next: webhookctl sub show %s",
                 name, name);
}

int cmd_sub_set(struct cli *cli)
{
    const char *ref = cli->args->words[0];
    bool dry = cli_flag(cli, FLAG_DRY_RUN) != NULL;
    struct answer before = {0}, after = {0};
    json_t *body = json_object();
    int rc = set_body(cli, body);

    if (rc == 0)
        rc = object_get(cli, "subscriptions", ref, NULL, &before);
    if (rc == 0) {
        rc = patch(cli, ref, body, &after);
        if (rc == 0)
            set_report(cli, body, &before, &after, dry);
        if (rc == 0)
            answer_fini(&after);
        answer_fini(&before);
    }
    json_decref(body);
    return rc;
}
