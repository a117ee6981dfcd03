/* cli/object.c: one thing by its name or id; see object.h. */
#include "cli/object.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli/ids.h"

/* ref, or what it is short for. */
static int whole_ref(struct cli *cli, const char *noun, const char **ref, char whole[IDS_MAX])
{
    static const struct {
        const char *noun, *prefix;
    } kinds[] = {{"dead-letters", "dlv"}, {"deliveries", "dlv"},    {"events", "dlv"},
                 {"jobs", "job"},         {"subscriptions", "sub"}, {"outbox-rejects", "rej"}};
    int rc = 0;

    *whole = '\0';
    for (size_t i = 0; rc == 0 && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].noun, noun) == 0)
            rc = ids_whole(cli, kinds[i].prefix, *ref, whole);
    }
    if (*whole)
        *ref = whole;
    return rc;
}

int object_get(struct cli *cli, const char *noun, const char *ref, const char *query,
               struct answer *a)
{
    struct buf path;
    char whole[IDS_MAX];
    int rc = whole_ref(cli, noun, &ref, whole);

    if (rc != 0)
        return rc;
    buf_init(&path, 16384);
    client_path(&path, noun, ref, NULL);
    rc = client_call(cli, "GET", path.data, query, NULL, a);

    buf_fini(&path);
    return rc == 0 ? client_readable(cli, a) : rc;
}

int object_get_live(struct cli *cli, const char *noun, const char *ref, struct answer *a)
{
    struct client_request r = {.method = "GET", .daemon_only = true, .quiet = true};
    struct buf path;

    buf_init(&path, 16384);
    client_path(&path, noun, ref, NULL);
    r.path = path.data;
    int rc = client_send(cli, &r, a);

    buf_fini(&path);
    if (rc == CLI_UNREACHABLE)
        return -1;
    if (rc == 0 && a->status == 503) {
        answer_fini(a);
        return -1;
    }
    if (rc != 0)
        return rc;
    rc = client_judge(cli, a, CLI_USAGE);
    if (rc != 0) {
        answer_fini(a);
        return rc;
    }
    return client_readable(cli, a);
}

int object_change(struct cli *cli, const char *method, const char *noun, const char *ref,
                  const char *verb, json_t *body, struct answer *a)
{
    struct buf path;
    char whole[IDS_MAX];
    int rc = whole_ref(cli, noun, &ref, whole);

    if (rc != 0) {
        json_decref(body);
        return rc;
    }
    buf_init(&path, 16384);
    client_path(&path, noun, ref, verb);
    rc = client_call_json(cli, method, path.data, body, a);

    buf_fini(&path);
    return rc == 0 ? client_readable(cli, a) : rc;
}

bool object_plain(const struct cli *cli, const struct answer *a, const char *ref)
{
    const char *id = out_string(a->json, "id");

    if (cli->format == OUT_TABLE)
        return false;
    if (cli->format == OUT_ID)
        puts(id ? id : ref);
    else if (a->raw.len > 0)
        out_json_raw(a->raw.data, a->raw.len);
    return true;
}

int object_command(struct cli *cli, const char *method, const char *noun, const char *ref,
                   const char *verb, json_t *body, const struct out_column *fields,
                   const char *done)
{
    struct answer a;
    int rc = strcmp(method, "GET") == 0 ? object_get(cli, noun, ref, NULL, &a)
                                        : object_change(cli, method, noun, ref, verb, body, &a);

    if (rc != 0)
        return rc;
    if (!object_plain(cli, &a, ref) && fields != NULL)
        out_fields(cli, a.json, fields);
    const char *id = out_string(a.json, "id");
    bool is_short = id != NULL && strncasecmp(id, ref, strlen(ref)) == 0;

    if (done != NULL)
        out_done(cli, "%s %s", is_short ? id : ref, done);
    answer_fini(&a);
    return CLI_OK;
}
