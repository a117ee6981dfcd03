/* cli/cmd_show.h: the screens of one event, one delivery, one dead letter. */
#ifndef CLI_CMD_SHOW_H
#define CLI_CMD_SHOW_H

#include <jansson.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/client.h"

int show_event(struct cli *cli, const char *ref, bool body);
void show_request(const json_t *letter);   /* its "request", where there is one */
void show_response(const json_t *attempt); /* what was answered, where it was */
bool show_body(const json_t *attempt);     /* the answer's body alone; false: none is stored */

void show_attempts(const struct cli *cli, const json_t *attempts); /* as a table */
int show_payload(struct cli *cli, const char *noun, const char *ref);
/* Of an answer to ?payload=1: the payload as it was accepted. False: it is not kept any more. */
bool show_payload_bytes(const struct answer *a, struct buf *out);

#endif
