/* test/sim/house.c: the engine in the simulated world; see house.h. */
#include "test/sim/house.h"

#include <string.h>

#include "base/log.h"

static void nothing(void *arg)
{
    (void)arg;
}

static void changed(void *arg, const struct changes *ch)
{
    struct house *h = arg;

    if (ch->egress.told)
        scheduler_pause(h->scheduler, ch->egress.paused);
    scheduler_changed(h->scheduler, ch);
}

/* "good" answers in 20 ms; "bad" is down between two points in time. */
static struct world_answer answer(void *arg, const char *url, int64_t now_ms)
{
    struct house *h = arg;

    if (strstr(url, "slow") != NULL)
        return (struct world_answer){OUTCOME_SUCCESS, 200, 9000, -1};
    if (strstr(url, "good") != NULL) {
        h->good_attempts++;
        return (struct world_answer){OUTCOME_SUCCESS, 200, 20, -1};
    }
    if (h->attempts < 64)
        h->attempt_ms[h->attempts] = now_ms;
    h->attempts++;
    if (now_ms >= h->down_from_ms && now_ms < h->down_to_ms)
        return (struct world_answer){OUTCOME_HTTP_5XX, 503, 100, -1};
    return (struct world_answer){OUTCOME_SUCCESS, 200, 30, -1};
}

enum err_code add_sub(struct backend *b, void *arg, struct err *err)
{
    struct request *r = arg;
    struct arena a;
    struct partner p;

    arena_init(&a);
    enum err_code rc = b->ops->partner_get(b, "default", &a, &p, err);
    struct subscription s = {.num = id_next(intake_ids(r->h->intake), START),
                             .name = r->name,
                             .partner = p.num,
                             .url = r->url,
                             .patterns = r->patterns != NULL ? r->patterns : "*",
                             .profile = "bondx",
                             .ordered = r->ordered,
                             .state = SUB_ACTIVE,
                             .created_ms = START,
                             .updated_ms = START};
    struct secret secret = {.num = id_next(intake_ids(r->h->intake), START),
                            .value = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
                            .created_ms = START};
    if (rc == OK)
        rc = b->ops->sub_put(b, &s, err);
    if (rc == OK && !r->keyless)
        rc = b->ops->secret_put(b, s.num, &secret, err);
    arena_fini(&a);
    r->sub = s.num;
    intake_forget_routes(r->h->intake);
    changes_sub(&r->changes, s.num);
    return rc;
}

enum err_code add_event(struct backend *b, void *arg, struct err *err)
{
    struct request *r = arg;
    struct intake_limits limits = {1 << 20, (int64_t)30 * DAY};
    struct intake_result result;
    const char *payload = r->payload != NULL ? r->payload : "{\"qty\":1}";
    struct intake_event e = {.partner = "default",
                             .type = r->type,
                             .payload = payload,
                             .payload_bytes = strlen(payload),
                             .ordering_key = r->key,
                             .expires_ms = r->expires_ms,
                             .outbox = "sim"};

    return intake_accept(r->h->intake, b, &e, &limits, &r->changes, &result, err);
}

static void written(void *arg, const struct err *err, int64_t generation)
{
    struct request *r = arg;

    (void)generation;
    if (err->code != OK)
        fail_msg("%s", err->text);
    scheduler_changed(r->h->scheduler, &r->changes);
    sweep_stir(r->h->sweep);
}

int64_t write_now(struct house *h, store_work_fn *work, struct request *r)
{
    r->h = h;
    changes_init(&r->changes);
    assert_int_equal(store_submit(h->store, STORE_WRITE, 0, work, written, r), OK);
    store_drain(h->store);
    changes_fini(&r->changes);
    return r->sub;
}

void post(struct house *h, int n, const char *type)
{
    for (int i = 0; i < n; i++)
        write_now(h, add_event, &(struct request){.type = type});
}

static enum err_code prime(struct backend *b, void *arg, struct err *err)
{
    return intake_prime(((struct request *)arg)->h->intake, b, err);
}

static void look(void *arg, loop_fn *fn, void *fn_arg)
{
    (void)arg;
    fn(fn_arg);
}

static bool quiet(void *arg)
{
    const struct house *h = arg;

    return scheduler_is_quiet(h->scheduler);
}

void house_open(struct house *h, const char *conf_text)
{
    struct buf problems;
    struct err err;
    uint8_t key[32] = {1};

    memset(h, 0, sizeof *h);
    world_reset(42, START);
    log_setup(LOG_FORMAT_LOGFMT, LOG_LEVEL_ERROR);
    buf_init(&problems, 65536);
    if (conf_parse(&h->conf, "sim.conf", conf_text, strlen(conf_text), &problems) != OK)
        fail_msg("%s", problems.data);
    buf_fini(&problems);
    assert_int_equal(keyring_from_bytes(&h->keys, key, &err), OK);
    h->loop = loop_new();
    assert_int_equal(store_open(&h->store, "memory:sim", h->keys, 0, &err), OK);
    h->intake = intake_new(h->keys);
    h->transport = transport_new(h->loop, h->conf, &err);
    h->metrics = metrics_new();
    h->traffic = traffic_new(h->loop, h->store);
    quota_init(&h->quota, h->conf->max_in_flight, 1, NULL, NULL);
    owners_init(&h->owners, 1);
    h->scheduler = scheduler_new(&(struct scheduler_parts){.loop = h->loop,
                                                           .store = h->store,
                                                           .transport = h->transport,
                                                           .metrics = h->metrics,
                                                           .traffic = h->traffic,
                                                           .conf = h->conf,
                                                           .intake = h->intake,
                                                           .quota = &h->quota,
                                                           .owners = &h->owners,
                                                           .ready = nothing,
                                                           .idle = nothing,
                                                           .arg = h});
    struct sweep_hooks hooks = {h, changed, look, quiet};
    h->sweep = sweep_new(h->loop, h->store, h->conf, &hooks);
    write_now(h, prime, &(struct request){0});
    world_endpoint(answer, h);
    scheduler_start(h->scheduler);
    world_run(h->loop, h->store, SECOND);
}

void house_close(struct house *h)
{
    sweep_stop(h->sweep);
    scheduler_drain(h->scheduler);
    world_run(h->loop, h->store, MINUTE);
    store_drain(h->store);
    sweep_free(h->sweep);
    scheduler_free(h->scheduler);
    transport_free(h->transport);
    metrics_free(h->metrics);
    traffic_stop(h->traffic);
    store_close(h->store);
    traffic_free(h->traffic);
    intake_free(h->intake);
    loop_free(h->loop);
    owners_fini(&h->owners);
    keyring_free(h->keys);
    conf_free(h->conf);
}

static enum err_code count(struct backend *b, void *arg, struct err *err)
{
    struct tally *t = arg;

    return b->ops->counts(b, t->states, &t->rejects, err);
}
void counted(void *arg, const struct err *err, int64_t generation)
{
    (void)arg, (void)generation;
    assert_int_equal(err->code, OK);
}
struct tally tally(struct house *h)
{
    struct tally t = {0};

    store_submit(h->store, STORE_LIST, 0, count, counted, &t);
    store_drain(h->store);
    return t;
}
