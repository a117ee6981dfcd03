/* cli/cmd_show.h: the screens of one event, one delivery, one dead letter. */
#ifndef CLI_CMD_SHOW_H
#define CLI_CMD_SHOW_H

#include <jansson.h>

#include "cli/cli.h"

int show_event(struct cli *cli, const char *ref, bool body);
void show_request(const json_t *letter);   /* its "request", where there is one */
void show_response(const json_t *attempt); /* what was answered, where it was */
bool show_body(const json_t *attempt);     /* the answer's body alone; false: none is stored */

#endif
