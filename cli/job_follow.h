/* cli/job_follow.h: one job, looked at until it is over, with the daemon up or down. */
#ifndef CLI_JOB_FOLLOW_H
#define CLI_JOB_FOLLOW_H

#include "cli/cli.h"

/* wait_ms -1: for ever. The exit code: 0, 3 or 1 by what was done of what was selected; 75 where it is
 * not over in time or waits for somebody; 130 after Ctrl-C, which ends the looking alone. */
int job_follow(struct cli *cli, const char *id, int64_t wait_ms);

#endif
