/* cli/running_conf.h: the configuration that a running webhookd has, whatever its file says by now. */
#ifndef CLI_RUNNING_CONF_H
#define CLI_RUNNING_CONF_H

#include <jansson.h>

#include "cli/cli.h"

/* Of an answer to GET /api/v1/config. 0, or an exit code with the reason printed. Free with
 * conf_free(). */
int running_conf(struct cli *cli, const json_t *answer, struct conf **out);

#endif
