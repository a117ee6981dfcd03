/* engine/job_copies.h: the subscriptions of a job that sends copies to a URL of its own (a replay or
 * a resend --to): one for each subscription whose letters it walks.
 *
 *   acme ──letters──▶ the job's part ──copies──▶ acme.to-1N8D… ──lane──▶ the URL
 *
 * It has acme's profile, secrets, time-out and concurrency, but not its bearer token and headers: those
 * are between us and the partner. It gets no live event (engine/routes.c), is in no list, and nobody
 * but its job changes it. Deleted while the job is over, there again when the job is resumed. */
#ifndef ENGINE_JOB_COPIES_H
#define ENGINE_JOB_COPIES_H

#include "engine/job.h"

enum { JOB_COPIES_MAX = 256 }; /* of one job */

/* source: as the store has it; may be paused, disabled or deleted. *sub: the new one. */
enum err_code job_copies_begin(struct job_slice *s, const struct job *job,
                               const struct subscription *source, int64_t *sub, struct err *err);
/* They go; what is still on its way to them is discarded. */
enum err_code job_copies_end(struct job_slice *s, const struct job *job, struct err *err);
/* Those of its active parts are back. */
enum err_code job_copies_again(struct job_slice *s, const struct job *job, struct err *err);

#endif
