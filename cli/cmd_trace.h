/* cli/cmd_trace.h: the life of one event; what other screens say in its words. */
#ifndef CLI_CMD_TRACE_H
#define CLI_CMD_TRACE_H

#include <jansson.h>

#include "base/buf.h"
#include "cli/cli.h"

/* What a delivery waits for, and what an operator can do about it. entry: an entry of a trace, or the
 * "waiting" of a delivery. */
void trace_waiting(const struct cli *cli, const json_t *entry, const char *subscription,
                   struct buf *out);

#endif
