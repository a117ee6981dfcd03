/* store/patience.h: when a patient request (a slice of a purge or an import, a page of an export) may be
 * taken, so that what is live does not wait for it. Arithmetic: times in us are arguments; who calls holds the lock that it needs.
 *
 * A live event waits for two commits on its way (taken, settled); what stands before it in the writer
 * is one patient slice at most, and that is short while others write. */
#ifndef STORE_PATIENCE_H
#define STORE_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_US INT64_C(50000) /* a patient one has waited long enough */

struct patience {
    /* Both atomic: those who cut slices ask, too. */
    int64_t others_us; /* others wrote last */
    int64_t live_us;   /* an event that somebody waits for was written last */
    int64_t slice_us;  /* while those come: learned from how long slices held the writer */
    int64_t rested_us; /* the next patient one may begin */
};

void patience_init(struct patience *p);
/* When one that was submitted at since_us may be taken: now (0), or in so many us. */
int64_t patience_wait_us(const struct patience *p, int64_t since_us, bool others_queued,
                         int64_t now_us);
/* Others have written; live: an event that somebody waits for among them. */
void patience_others(struct patience *p, bool live, int64_t now_us);
/* A patient one has, since from_us: while others write the next one rests a while. */
void patience_done(struct patience *p, int64_t from_us, int64_t now_us);
/* How long a slice may be. */
int64_t patience_slice_us(const struct patience *p, int64_t now_us);
/* Do events come in? */
bool patience_live(const struct patience *p, int64_t now_us);

#endif
