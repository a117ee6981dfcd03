/* cli/job_run.h: jobs that change the store and deliver nothing (purge, restore, discard): asked for,
 * followed to their end, with the daemon up or down. */
#ifndef CLI_JOB_RUN_H
#define CLI_JOB_RUN_H

#include <jansson.h>

#include "cli/cli.h"

struct job_run {
    char id[64];
    bool over; /* false: detached, or --wait is over; that was said */
    char state[32];
    int64_t selected, done;
    char recoverable_until[40]; /* "": not */
};
/* What is said of following it, judged before anything is asked or shown: 0, or 64, which was said. */
int job_run_flags(struct cli *cli);
/* POST path body (which is taken), then follows the job until it is over, --wait is, or Ctrl-C. 0, 3
 * or 1 by how many were done of those selected; or why not. */
int job_run_start(struct cli *cli, const char *path, json_t *body, struct job_run *out);
/* The same of one that is there. */
int job_run_follow(struct cli *cli, const char *id, struct job_run *out);

#endif
