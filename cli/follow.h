/* cli/follow.h: asking again and again: one look, a short pause, until there is nothing more to see
 * or somebody types Ctrl-C. While webhookd is away (a restart) it says so once and waits for it. */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include <signal.h>

#include "cli/cli.h"
#include "cli/client.h"

struct follow {
    struct cli *cli;
    struct sigaction before;
    bool seen; /* webhookd has answered once */
    bool away; /* and does not at present */
};
void follow_begin(struct follow *f, struct cli *cli);
void follow_end(struct follow *f);
bool follow_interrupted(void); /* Ctrl-C was typed */
/* false: Ctrl-C was typed. */
bool follow_pause(int64_t ms);

/* GET of the running daemon. 0: *a is filled (answer_fini). -1: webhookd is away: pause and ask
 * again. Else the exit code; the reason has been printed. */
int follow_get(struct follow *f, const char *path, const char *query, struct answer *a);

#endif
