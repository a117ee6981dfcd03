/* cli/client.h: one way to ask: the daemon over its unix socket, or, where none listens, the same
 * handler in this process over the store itself, as the store's owner.
 *
 * The store's lock is taken for one call and given back: never held while a question is asked, and
 * a daemon that starts in between is used from then on. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <jansson.h>

#include "base/buf.h"
#include "cli/cli.h"

struct client_request {
    const char *method, *path, *query; /* path begins with "/api/v1"; query without '?', or NULL */
    const void *body;                  /* NULL: none */
    size_t body_bytes;
    const char *content_type; /* NULL: application/json */
    bool daemon_only;         /* status: never touch the store */
    bool quiet;               /* an unreachable daemon is no news: nothing is printed */
};
struct answer {
    int status;
    json_t *json; /* NULL: the body is no JSON (or one that jansson refuses) */
    struct buf raw;
    char next_cursor[128]; /* X-Next-Cursor, or "" */
    bool in_process;       /* no daemon runs: what was queued waits for one */
};

/* 0: *out is filled (free with answer_fini), whatever its status. Else nothing was answered, the
 * reason has been printed, and this is the exit code. */
int client_send(struct cli *cli, const struct client_request *request, struct answer *out);
/* 0: the status was 2xx. Else the error was printed, *out is finished, and this is the exit code.
 */
int client_call(struct cli *cli, const char *method, const char *path, const char *query,
                const struct buf *body, struct answer *out);
/* The same with JSON; takes the reference of body. */
int client_call_json(struct cli *cli, const char *method, const char *path, json_t *body,
                     struct answer *out);
/* The same of a running daemon alone: never touches the store; 69 where none listens. body NULL: a
 * GET. Not judged: see client_judge(). */
int client_ask_daemon(struct cli *cli, const char *path, json_t *body, struct answer *out);
/* Prints the error of an answer that is not 2xx; its exit code, 0 for 2xx. */
int client_judge(struct cli *cli, const struct answer *a, int on_invalid);
/* For the audit log, of what is done beside the api; takes the reference of body. That it could not be
 * written is told, and keeps nobody from what he does. */
void client_tell_audit(struct cli *cli, const char *path, json_t *body);
void answer_fini(struct answer *a);
/* 0, or 70 with a message where the answer is no JSON object; then *a is finished.
 */
int client_readable(struct cli *cli, struct answer *a);
int client_unreadable(struct cli *cli, struct answer *a); /* 70, said; *a is finished */

void client_free(struct client *c);
const char *client_library(void); /* "libcurl 7.88.1" */

/* Appends "&key=value" (no & at the start of q), percent-encoded. */
void client_query(struct buf *q, const char *key, const char *value);
/* "/api/v1/NOUN/REF/VERB" with REF percent-encoded; verb may be NULL. */
void client_path(struct buf *path, const char *noun, const char *ref, const char *verb);

#endif
