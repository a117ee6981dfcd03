/* cli/cmd_sub_test.c: subscription test: one signed synthetic delivery, and what the endpoint said. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/cmd_event.h"
#include "cli/cmd_show.h"
#include "cli/failure.h"
#include "cli/filter.h"
#include "cli/object.h"
#include "cli/out.h"
#include "cli/progress.h"

#define POLL_NS 50000000L
#define TEST_TYPE "webhookd.test"
#define WAIT_MS 60000 /* a timeout, and somebody before it */

static const struct out_column fields[] = {{"Outcome", "outcome", OUT_STATE},
                                           {"Status", "status", OUT_TEXT},
                                           {"Took", "duration_seconds", OUT_SECONDS},
                                           {"DNS", "dns_seconds", OUT_MS},
                                           {"TCP", "connect_seconds", OUT_MS},
                                           {"TLS", "tls_seconds", OUT_MS},
                                           {"Wait", "wait_seconds", OUT_MS},
                                           {"Address", "address", OUT_TEXT},
                                           {"Error", "error", OUT_TEXT},
                                           OUT_COLUMNS_END};

/* POST /subscriptions/{ref}/test; where no daemon runs it is queued for the next one. */
static int test_send(struct cli *cli, const char *ref, const struct buf *body, struct answer *a)
{
    struct buf path;

    buf_init(&path, 16384);
    client_path(&path, "subscriptions", ref, "test");
    struct client_request r = {
        .method = "POST", .path = path.data, .body = body->data, .body_bytes = body->len};
    int rc = client_send(cli, &r, a);

    buf_fini(&path);
    if (rc != 0)
        return rc;
    rc = client_judge(cli, a, CLI_USAGE);
    if (rc != 0)
        answer_fini(a);
    return rc == 0 ? client_readable(cli, a) : rc;
}

/* {"type","data"}, of what is given. */
static int test_body(struct cli *cli, struct buf *out)
{
    const char *type = cli_flag(cli, FLAG_TYPE);
    struct buf data;
    int rc = 0;

    buf_adds(out, "{\"type\":");
    buf_add_json(out, type ? type : TEST_TYPE);
    if (cli_flag(cli, FLAG_DATA) != NULL) {
        buf_init(&data, EVENT_DATA_MAX_BYTES);
        rc = event_data_read(cli, &data);
        buf_adds(out, ",\"data\":");
        buf_add(out, data.data ? data.data : "", data.len);
        buf_fini(&data);
    }
    buf_addc(out, '}');
    return rc;
}

static bool over(const json_t *delivery)
{
    const char *state = out_string(delivery, "state");

    return state != NULL && (strcmp(state, "delivered") == 0 || strcmp(state, "discarded") == 0);
}

/* The delivery as it is now, when it is over. */
static int test_follow(struct cli *cli, const char *id, int64_t wait_ms, struct answer *a)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = POLL_NS};
    int64_t until_ms = clock_mono_ms() + wait_ms;
    struct progress p;
    int rc = 0;

    progress_begin(&p, cli);
    while ((rc = object_get(cli, "deliveries", id, NULL, a)) == 0 && !over(a->json)) {
        bool late = clock_mono_ms() >= until_ms;

        answer_fini(a);
        if (late || progress_interrupted()) {
            rc = progress_interrupted() ? CLI_INTERRUPTED : CLI_LATER;
            out_note("It is not sent yet, or not answered. Look again: webhookctl delivery show %s",
                     id);
            break;
        }
        nanosleep(&pause, NULL);
    }
    progress_end(&p);
    return rc;
}

/* What holds its deliveries held nothing but the test: what to do about that. */
static void held_note(struct cli *cli, const char *ref, const char *name, bool delivered)
{
    struct answer sub;

    if (object_get(cli, "subscriptions", ref, NULL, &sub) != 0)
        return;
    const char *state = out_string(sub.json, "state");
    bool paused = state != NULL && strcmp(state, "paused") == 0;

    if (paused || (state != NULL && strcmp(state, "disabled") == 0)) {
        out_note("It is %s, and nothing but the test was sent. %s: webhookctl sub %s %s", state,
                 delivered ? "Next" : "Once it is mended", paused ? "resume" : "enable", name);
    }
    answer_fini(&sub);
}

static int test_report(struct cli *cli, const char *ref, const struct answer *a)
{
    const json_t *log = json_object_get(a->json, "attempt_log");
    const json_t *attempt = json_array_get(log, 0);
    const char *state = out_string(a->json, "state");
    bool delivered = state != NULL && strcmp(state, "delivered") == 0;
    struct buf name;

    if (!object_plain(cli, a, ref) && attempt != NULL) {
        out_fields(cli, attempt, fields);
        show_response(attempt);
    }
    buf_init(&name, 4096);
    text_escape_terminal(&name, ref, strlen(ref), false);
    if (attempt == NULL)
        out_note("%s was not asked: %s", name.data,
                 out_string(a->json, "cause") ? out_string(a->json, "cause") : "it is over");
    else
        out_note(delivered
                     ? "%s accepts deliveries."
                     : "%s does not accept it. Nothing is retried, and no dead letter is left.",
                 name.data);
    failure_say(stderr, out_integer(attempt, "status"), out_string(attempt, "outcome"), ref);
    if (attempt != NULL)
        held_note(cli, ref, name.data, delivered);
    buf_fini(&name);
    return delivered ? CLI_OK : CLI_NO;
}

/* Nobody waits for it: its id, and where its end is seen. */
static int test_queued(struct cli *cli, const struct answer *a, const char *id)
{
    bool detach = cli_flag(cli, FLAG_DETACH) != NULL;

    if (!object_plain(cli, a, id))
        puts(id);
    out_note("%s Look%s: webhookctl delivery show %s",
             a->in_process ? "webhookd is not running: the test is queued, and sent when it starts."
                           : "The test is on its way.",
             a->in_process ? " then" : "", id);
    return detach || !a->in_process ? CLI_OK : CLI_LATER;
}

int cmd_sub_test(struct cli *cli)
{
    const char *ref = cli->args->words[0];
    struct answer a;
    struct buf body;
    char id[64];
    int64_t wait_ms = WAIT_MS;
    int rc = filter_duration(cli, FLAG_WAIT, &wait_ms);

    if (rc == 0 && cli_flag(cli, FLAG_WAIT) && cli_flag(cli, FLAG_DETACH))
        rc = out_fail(cli, CLI_USAGE, "usage", "--wait and --detach exclude each other");
    buf_init(&body, EVENT_DATA_MAX_BYTES + 16384);
    if (rc == 0)
        rc = test_body(cli, &body);
    if (rc == 0)
        rc = test_send(cli, ref, &body, &a);
    buf_fini(&body);
    if (rc != 0)
        return rc;
    text_copy(id, sizeof id, out_string(a.json, "id") ? out_string(a.json, "id") : "");
    if (cli_flag(cli, FLAG_DRY_RUN) != NULL) {
        (void)object_plain(cli, &a, ref);
        out_done(cli, "%s is sent one signed %s event", ref, out_string(a.json, "type"));
        answer_fini(&a);
        return CLI_OK;
    }
    if (a.in_process || cli_flag(cli, FLAG_DETACH) != NULL) {
        rc = test_queued(cli, &a, id);
        answer_fini(&a);
        return rc;
    }
    answer_fini(&a);
    rc = test_follow(cli, id, wait_ms, &a);
    if (rc != 0)
        return rc;
    rc = test_report(cli, ref, &a);
    answer_fini(&a);
    return rc;
}
