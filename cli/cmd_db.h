/* cli/cmd_db.h: what the db commands share. */
#ifndef CLI_CMD_DB_H
#define CLI_CMD_DB_H

#include "cli/cli.h"
#include "store/care.h"

/* The configuration's store, or (url) another one. 0, or an exit code with the reason printed. */
int db_open(struct cli *cli, const char *url, struct care **out);
/* All checks; *bad of them failed. print: else only those. 0, or an exit code. */
int db_check(struct cli *cli, struct care *c, bool quick, bool print, int *bad);

#endif
