/* test/fuzz/fuzz_api_events.c: any bytes as the body of POST /events, of POST /subscriptions, as a query and as an import: an answer that
 * is JSON with a status, and a store that goes on. The first byte chooses the route. */
#include <jansson.h>

#include "base/log.h"
#include "engine/api.h"
#include "store/seal.h"

#include "test/fuzz/fuzz.h"

static const struct {
    const char *method, *path;
    bool query;
} ROUTES[] = {{"POST", "/api/v1/events", false},
              {"POST", "/api/v1/subscriptions", false},
              {"GET", "/api/v1/events", true},
              {"GET", "/api/v1/dead-letters", true},
              {"POST", "/api/v1/dead-letters/import", false},
              {"POST", "/api/v1/replays", false},
              {"GET", "/api/v1/deliveries", true}};
static struct {
    struct backend *b;
    struct conf *conf;
    struct keyring *keys;
    struct api api;
} world;

static void world_open(void)
{
    static const uint8_t key[32] = {1};
    struct err err = {0};
    struct buf problems;

    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR);
    buf_init(&problems, 4096);
    check(conf_parse(&world.conf, "fuzz", "{}", 2, &problems) == OK);
    buf_fini(&problems);
    check(keyring_from_bytes(&world.keys, key, &err) == OK);
    check(backend_find("memory:fuzz")
              ->open(&world.b, "memory:fuzz", BACKEND_WRITER, world.keys, &err) == OK);
    world.api = (struct api){.conf = world.conf, .intake = intake_new(world.keys)};
}

/* Undone each time: memory stays small and every input meets the same store. */
static void ask(const struct api_request *req)
{
    bool allowed;
    struct err err = {0};
    struct api_response resp;
    const struct api_route *route = api_route_find(req->method, req->path, &allowed);

    check(route != NULL);
    api_response_init(&resp);
    check(world.b->ops->begin(world.b, &err) == OK);
    (void)api_handle(&world.api, route, world.b, req, &resp);
    world.b->ops->rollback(world.b);
    intake_forget_routes(world.api.intake);
    check(resp.status >= 200 && resp.status < 600);
    if (resp.body.len > 0 && strcmp(resp.content_type, "application/json") == 0) {
        json_t *answer = json_loadb(resp.body.data, resp.body.len, JSON_ALLOW_NUL, NULL);

        check(answer != NULL);
        check(resp.status < 400 || json_is_object(json_object_get(answer, "error")));
        json_decref(answer);
    }
    api_response_fini(&resp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    if (world.b == NULL)
        world_open();
    size_t at = data[0] % (sizeof ROUTES / sizeof ROUTES[0]);
    char *text = fuzz_text(data + 1, n - 1);

    ask(&(struct api_request){.method = ROUTES[at].method,
                              .path = ROUTES[at].path,
                              .query = ROUTES[at].query ? text : NULL,
                              .body = ROUTES[at].query ? "" : text,
                              .body_bytes = ROUTES[at].query ? 0 : n - 1,
                              .actor = "uid:1 fuzz"});
    free(text);
    return 0;
}
