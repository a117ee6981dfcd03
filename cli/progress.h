/* cli/progress.h: how far a long command has come, on standard error: a bar that is written over on a
 * terminal that can, else a line now and then; and the Ctrl-C that ends the looking, not the work. */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <signal.h>
#include <stdint.h>

#include "cli/cli.h"

enum { PROGRESS_LOOKS = 64 };

struct progress {
    const struct cli *cli;
    int64_t start_ms, line_ms;
    struct {
        int64_t at_ms, done;
    } looks[PROGRESS_LOOKS]; /* a ring of the last ones, some 6 s */
    size_t looks_n;
    int64_t anew_ms; /* when it began to go at another pace */
    bool begun;
    int64_t shown; /* and when a line was written last */
    bool drawn;    /* something stands on the terminal's line */
    bool share; /* how much is done is no number that anybody wants: only the percentage is told */
    bool seen;  /* something was shown */
    bool last;  /* what is shown now is the end of it */
    struct sigaction interrupt, terminate;
};
/* From here to progress_end() SIGINT and SIGTERM are only noted. */
void progress_begin(struct progress *p, const struct cli *cli);
void progress_end(struct progress *p); /* what is said next stands on a line of its own */
bool progress_interrupted(void);
/* How much is done a second, by the last seconds; below 0: not known yet. */
double progress_rate(struct progress *p, int64_t done);
/* From now on it goes at another pace: what was before says nothing, nor does the burst of its start. */
void progress_anew(struct progress *p);
/* [=====>    ] 221/371  59%  TEXT  ETA 7s. whole 0: how much there is is not known. */
void progress_show(struct progress *p, int64_t done, int64_t whole, const char *text);
/* It is over: what is shown next is how it ended, at once, if anything was shown before. */
void progress_last(struct progress *p);
void progress_clear(struct progress *p); /* the bar is away: a message can be said */

#endif
