/* cli/cmd_show.h: the screens of one event, one delivery, one dead letter. */
#ifndef CLI_CMD_SHOW_H
#define CLI_CMD_SHOW_H

#include "cli/cli.h"

int show_event(struct cli *cli, const char *ref, bool body);

#endif
