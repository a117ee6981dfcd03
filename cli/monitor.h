/* cli/monitor.h: lines about the whole, one each interval; what `top` is where there is no
 * terminal. */
#ifndef CLI_MONITOR_H
#define CLI_MONITOR_H

#include <stdint.h>

#include "cli/cli.h"

/* Until Ctrl-C, or count lines (0: no end). The exit status. */
int monitor_run(struct cli *cli, int64_t interval_ms, int64_t count);

#endif
