/* cli/job_words.h: what a job is doing, in words, the same in every table and screen. */
#ifndef CLI_JOB_WORDS_H
#define CLI_JOB_WORDS_H

#include <jansson.h>

#include "base/buf.h"
#include "cli/cli.h"

/* "active", "waiting: endpoint down", "done, none delivered". */
void job_state_words(struct buf *out, const json_t *job);
/* The same of what it does about one subscription. */
void job_part_words(struct buf *out, const json_t *job, const json_t *part);
const char *job_reason_words(const char *reason); /* NULL: NULL */
/* "888 live deliveries go first (10/s)" of a part or a job that waits for them. */
void job_ahead_words(struct buf *out, const json_t *what);
/* "job_… stopped: 579 not sent, 8 died again". False: nothing of it is left
 * to send, or others have sent it since. */
bool job_stopped_words(struct buf *out, const json_t *job);
/* The two commands for who does not look on any more, a line each. */
void job_say_commands(const char *id);
/* "paused by uid:1000 ana 5m ago (lunch)". False: nobody held it or let it go. */
bool job_state_by_words(const struct cli *cli, struct buf *out, const json_t *job);
/* "130: purged, expired or sent by another job". False: none was gone when its turn came. */
bool job_gone_words(struct buf *out, const json_t *job);
/* "job_… (a purge by uid:1000 ana, 12 of 80) is active on acme, …: wait for it (…), or cancel it (…)."
 * of a row with "blocked_by"; false: nothing is in the way. */
bool job_in_the_way_words(struct buf *out, const json_t *row);
/* "5/s", "no limit" */
void job_rate_words(struct buf *out, const json_t *job);
/* *job with the member "state_words" for tables; a new reference. */
json_t *job_with_words(const struct cli *cli, const json_t *job);

#endif
