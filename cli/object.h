/* cli/object.h: one thing by its name or id: asked for, changed, and shown in every format. */
#ifndef CLI_OBJECT_H
#define CLI_OBJECT_H

#include <jansson.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/out.h"

/* GET /api/v1/NOUN/REF. query may be NULL. 0: free *a with answer_fini(). */
int object_get(struct cli *cli, const char *noun, const char *ref, const char *query,
               struct answer *a);
/* The same of a running webhookd alone, for whoever looks again and again. -1: none answers, or one that
 * is about to stop or has only just started; nothing is said. */
int object_get_live(struct cli *cli, const char *noun, const char *ref, struct answer *a);
/* METHOD /api/v1/NOUN/REF/VERB with a body, which is taken; verb and body may be NULL. As above. */
int object_change(struct cli *cli, const char *method, const char *noun, const char *ref,
                  const char *verb, json_t *body, struct answer *a);
/* Prints what -o json, jsonl and id want: the answer as it came, or its id (ref where it has none).
 * False, and nothing printed, for a table: that is the caller's. */
bool object_plain(const struct cli *cli, const struct answer *a, const char *ref);

/* One request about an object and its answer in every format; fields of a table, NULL: none. body (may
 * be NULL) is taken. done: what is said on stderr after a change; NULL: nothing. */
int object_command(struct cli *cli, const char *method, const char *noun, const char *ref,
                   const char *verb, json_t *body, const struct out_column *fields,
                   const char *done);

#endif
