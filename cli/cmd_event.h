/* cli/cmd_event.h: what others need of the commands that bring events. */
#ifndef CLI_CMD_EVENT_H
#define CLI_CMD_EVENT_H

#include "base/buf.h"
#include "cli/cli.h"

#define EVENT_DATA_MAX_BYTES ((size_t)8 << 20)
/* --data (JSON, @FILE or -) into out, {} where it is not given: legal JSON. 0, or 65/66 with a message.
 */
int event_data_read(struct cli *cli, struct buf *out);

#endif
