/* engine/jobs.h: the runner of durable jobs (what each kind does: engine/job.h). One slice of each a
 * turn, on the store thread. */
#ifndef ENGINE_JOBS_H
#define ENGINE_JOBS_H

#include "engine/changes.h"
#include "engine/loop.h"
#include "policy/conf.h"
#include "store/store.h"

struct jobs;
typedef void jobs_changes_fn(void *arg, const struct changes *ch);
struct jobs *jobs_new(struct loop *l, struct store *store, const struct conf *conf,
                      jobs_changes_fn *changed, void *arg); /* NULL: no memory */
void jobs_configure(struct jobs *j, const struct conf *conf);
void jobs_kick(struct jobs *j); /* something about jobs changed: look soon */
void jobs_stop(struct jobs *j); /* no new slice */
void jobs_free(struct jobs *j); /* after store_close */
int jobs_active(const struct jobs *j);

#endif
