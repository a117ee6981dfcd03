/* cli/client_audit.c: what webhookctl does beside the api, told to the audit log. */
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/out.h"

void client_tell_audit(struct cli *cli, const char *path, json_t *body)
{
    struct answer a;
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct client_request r = {.method = "POST",
                               .path = path,
                               .body = text ? text : "{}",
                               .body_bytes = text ? strlen(text) : 2};
    int rc = client_send(cli, &r, &a);

    if (rc != 0 || a.status / 100 != 2)
        out_note("It is not in the audit log: %s",
                 rc != 0 ? "nobody answered" : out_string(a.json, "error.message"));
    if (rc == 0)
        answer_fini(&a);
    free(text);
    json_decref(body);
}
