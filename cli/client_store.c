/* cli/client_store.c: see client_store.h. */
#include "cli/client_store.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "base/url.h"
#include "engine/api.h"
#include "engine/intake.h"
#include "store/backend.h"
#include "store/seal.h"

static void actor_name(char *out, size_t room)
{
    const struct passwd *pw = getpwuid(geteuid());

    snprintf(out, room, "uid:%u %s", (unsigned)geteuid(), pw ? pw->pw_name : "");
}

/* The handler within one transaction; the answer holds in every case but a lost commit. */
static void handle_in_process(struct cli *cli, struct backend *b, const struct keyring *keys,
                              const struct client_request *r, struct answer *out)
{
    struct intake *intake = intake_new(keys);
    struct api api = {.conf = cli->conf, .intake = intake, .live = NULL};
    struct api_response resp;
    struct err err = {OK, ""};
    char actor[128];
    bool allowed = false;
    const struct api_route *route = api_route_find(r->method, r->path, &allowed);

    actor_name(actor, sizeof actor);
    struct api_request req = {.method = r->method,
                              .path = r->path,
                              .query = r->query,
                              .body = r->body,
                              .body_bytes = r->body_bytes,
                              .actor = actor};

    api_response_init(&resp);
    if (intake == NULL)
        fail(&err, ERR_NOMEM, "out of memory");
    else if (route == NULL)
        api_fail(&resp, allowed ? 405 : 404, allowed ? "method_not_allowed" : "not_found", NULL,
                 "this webhookd does not know the request");
    else if (b->ops->begin(b, &err) == OK) {
        if (api_handle(&api, route, b, &req, &resp) == OK)
            b->ops->commit(b, &err);
        else
            b->ops->rollback(b);
    }
    if (err.code != OK) {
        api_response_fini(&resp);
        api_response_init(&resp);
        api_fail(&resp, err.code == ERR_FULL ? 507 : 500, err_code_name(err.code), NULL, err.text);
    }
    out->status = resp.status;
    out->in_process = true;
    text_copy(out->next_cursor, sizeof out->next_cursor, resp.next_cursor);
    buf_add(&out->raw, resp.body.data ? resp.body.data : "", resp.body.len);
    api_response_fini(&resp);
    intake_free(intake);
}

/* By descriptor, and only what is root's and nobody's link: the folder is not ours. */
static void give_file(const char *path, const char *suffix, const struct stat *owner)
{
    char name[PATH_MAX];
    struct stat st;
    int n = snprintf(name, sizeof name, "%s%s", path, suffix);
    int fd = n > 0 && (size_t)n < sizeof name
                 ? open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
                 : -1;

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == 0)
        (void)!fchown(fd, owner->st_uid, owner->st_gid);
    close(fd);
}

/* Root may be the first to use a store: what it makes belongs to the folder's owner, or webhookd
 * could not open it. Called after the close, since a descriptor of ours would drop SQLite's locks. */
static void give_to_owner(const char *store, const char *key)
{
    char folder[PATH_MAX];
    struct stat owner;

    text_copy(folder, sizeof folder, store);
    if (geteuid() != 0 || stat(dirname(folder), &owner) != 0 || owner.st_uid == 0)
        return;
    give_file(store, "", &owner);
    give_file(store, ".lock", &owner);
    if (key != NULL)
        give_file(key, "", &owner);
}

enum err_code client_ask_store(struct cli *cli, struct keyring **keys,
                               const struct client_request *r, struct answer *out, struct err *err)
{
    const struct backend_ops *ops = backend_find(cli->conf->store_url);
    const char *key = cli->conf->encryption_key_file;
    bool is_new = backend_is_new(cli->conf->store_url), key_is_new = access(key, F_OK) != 0;
    struct backend *b = NULL;

    if (ops == NULL)
        return fail(err, ERR_CONFIG, "store.url %s: no such backend", cli->conf->store_url);
    if (*keys == NULL) {
        enum err_code rc = keyring_load(keys, key, is_new, err);

        if (rc != OK)
            return rc;
    }
    enum err_code rc = ops->open(&b, cli->conf->store_url, BACKEND_WRITER, *keys, err);

    if (rc != OK)
        return rc;
    handle_in_process(cli, b, *keys, r, out);
    ops->close(b);
    if (is_new)
        give_to_owner(url_sqlite_path(cli->conf->store_url), key_is_new ? key : NULL);
    return OK;
}
