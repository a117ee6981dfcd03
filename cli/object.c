/* cli/object.c: one thing by its name or id; see object.h. */
#include "cli/object.h"

#include <stdio.h>
#include <string.h>

int object_get(struct cli *cli, const char *noun, const char *ref, const char *query,
               struct answer *a)
{
    struct buf path;

    buf_init(&path, 16384);
    client_path(&path, noun, ref, NULL);
    int rc = client_call(cli, "GET", path.data, query, NULL, a);

    buf_fini(&path);
    return rc == 0 ? client_readable(cli, a) : rc;
}

int object_change(struct cli *cli, const char *method, const char *noun, const char *ref,
                  const char *verb, json_t *body, struct answer *a)
{
    struct buf path;

    buf_init(&path, 16384);
    client_path(&path, noun, ref, verb);
    int rc = client_call_json(cli, method, path.data, body, a);

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
    if (!object_plain(cli, &a, ref))
        out_fields(cli, a.json, fields);
    if (done != NULL)
        out_note("%s %s", ref, done);
    answer_fini(&a);
    return CLI_OK;
}
