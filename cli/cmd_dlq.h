/* cli/cmd_dlq.h: what the files of the dlq commands share. */
#ifndef CLI_CMD_DLQ_H
#define CLI_CMD_DLQ_H

#include <stdio.h>

#include "cli/cli.h"
#include "cli/filter.h"

/* How many dead letters match, and the bytes of their payloads; an exit code. */
int dlq_count(struct cli *cli, const struct filter_flags *f, int64_t *count, int64_t *bytes);
/* The same, and the set is fixed now: whatever comes in later does not match f any more. */
int dlq_fix(struct cli *cli, struct filter_flags *f, int64_t *count, int64_t *bytes);
/* Writes them to a file (NULL, "-": standard output), which is whole or not there. whole: how many
 * there are; *n: how many were written. */
int dlq_export(struct cli *cli, const struct filter_flags *f, const char *file, int64_t whole,
               int64_t *n);
/* 64 with a message where nothing was selected: no filter is not "everything". */
int dlq_selected(struct cli *cli, const struct filter_flags *f, const char *command);
/* --limit N: the set is the first N of the list, by their ids. */
int dlq_limit(struct cli *cli, struct filter_flags *f);

#endif
