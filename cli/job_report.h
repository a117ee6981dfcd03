/* cli/job_report.h: what became of a job that is over, and what to do next. */
#ifndef CLI_JOB_REPORT_H
#define CLI_JOB_REPORT_H

#include <jansson.h>

#include "cli/cli.h"
#include "cli/client.h"

/* a: the job as answered. The exit code: 0, 3 or 1 by what was done of what was selected. */
int job_report(struct cli *cli, const char *id, const struct answer *a);

/* A line for each job that stopped by itself with something left to send. */
/* rows: only of those that send to a subscription of them; NULL: of all. */
void job_report_stopped(struct cli *cli, const json_t *rows);

#endif
