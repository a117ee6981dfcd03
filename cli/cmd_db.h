/* cli/cmd_db.h: what the db commands share. */
#ifndef CLI_CMD_DB_H
#define CLI_CMD_DB_H

#include "cli/cli.h"
#include "store/care.h"

/* The configuration's store, or (url) another one. 0, or an exit code with the reason printed. */
int db_open(struct cli *cli, const char *url, struct care **out);
/* All checks; *bad of them failed. print: else only those. 0, or an exit code. */
int db_check(struct cli *cli, struct care *c, bool quick, bool print, int *bad);

/* How far something is: one line that is written over, on a terminal; elsewhere a line now and then. */
struct db_progress {
    struct cli *cli;
    int64_t shown_ms; /* mono */
    bool drawn;
};
void db_progress(struct db_progress *p, const char *what, int64_t done, int64_t total);
void db_progress_end(struct db_progress *p);

#endif
