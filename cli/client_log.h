/* cli/client_log.h: -v: each request and its answer as lines on standard error, secrets masked. */
#ifndef CLI_CLIENT_LOG_H
#define CLI_CLIENT_LOG_H

#include "cli/client.h"

/* > GET /api/v1/jobs?limit=50 (and the body). Nothing without -v. */
void client_log_request(const struct cli *cli, const struct client_request *r);
/* < 200, 312 bytes in 4 ms (and the body); by whom: the daemon, or the handler in this process. */
void client_log_answer(const struct cli *cli, const struct answer *a, int64_t ms);

#endif
