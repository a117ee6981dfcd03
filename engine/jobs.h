/* engine/jobs.h: the runner of durable jobs (what each kind does: engine/job.h). One slice of each a
 * turn, on the store thread. */
#ifndef ENGINE_JOBS_H
#define ENGINE_JOBS_H

#include "base/id.h"
#include "engine/changes.h"
#include "engine/loop.h"
#include "policy/conf.h"
#include "store/store.h"

struct jobs;
/* heard runs once all that it is about has heard it, at once or later. */
typedef void jobs_changes_fn(void *arg, const struct changes *ch, loop_fn *heard, void *heard_arg);
/* ids: the writer's thread's own. NULL: no memory. */
struct jobs *jobs_new(struct loop *l, struct store *store, const struct conf *conf,
                      struct id_source *ids, jobs_changes_fn *changed, void *arg);
void jobs_configure(struct jobs *j, const struct conf *conf);
void jobs_kick(struct jobs *j); /* something about jobs changed: look soon */
void jobs_stop(struct jobs *j); /* no new slice */
void jobs_free(struct jobs *j); /* after store_close */
int jobs_active(const struct jobs *j);

#endif
