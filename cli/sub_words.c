/* cli/sub_words.c: see sub_words.h. */
#include "cli/sub_words.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/out.h"

#define WORDS_MAX 256
#define EGRESS_WORDS_MAX 4096

int64_t ago_ms(const json_t *time)
{
    const char *text = json_string_value(time);
    int64_t ms, now = clock_wall_ms();

    if (text == NULL || !text_parse_time(text, &ms))
        return -1;
    return ms < now ? now - ms : 0;
}

static bool is_relative(const struct cli *cli)
{
    return cli->out_tty && cli->times == OUT_TIMES_AUTO;
}

/* From a minute on whole minutes: seconds behind hours tell nobody anything. */
void span_words(struct buf *out, int64_t ms)
{
    char text[32];

    if (ms < 0) {
        buf_addc(out, '-');
        return;
    }
    text_ago(text, sizeof text, ms < 60000 ? ms - ms % 1000 : ms - ms % 60000);
    buf_adds(out, ms < 1000 ? "0s" : text);
}

void ago_words(const struct cli *cli, struct buf *out, const json_t *time)
{
    if (is_relative(cli))
        span_words(out, ago_ms(time));
    else
        out_value(cli, time, OUT_TIME, out);
}

void sub_not_here_words(struct buf *out, const char *name)
{
    buf_addf(out,
             "%s is not here: add it (webhookctl sub add), then import the same file again to "
             "bind its letters",
             name);
}

bool sub_is_failing(const json_t *sub)
{
    const char *state = out_string(sub, "state");

    return json_is_string(json_object_get(sub, "failing_since")) &&
           (state == NULL || strcmp(state, "active") == 0 || strcmp(state, "failing") == 0);
}

static void resume_words(const struct cli *cli, struct buf *out, const json_t *time)
{
    const char *text = json_string_value(time);
    int64_t ms, now = clock_wall_ms();

    if (text == NULL || !text_parse_time(text, &ms))
        return;
    buf_adds(out, is_relative(cli) ? ", " : " until ");
    if (is_relative(cli)) {
        span_words(out, ms > now ? ms - now : 0);
        buf_adds(out, " to go");
    } else {
        out_value(cli, time, OUT_TIME, out);
    }
}

/* " (503)", where that is known. */
static void put_last_failure(struct buf *out, const json_t *sub)
{
    if (out_string(sub, "last_failure_outcome") == NULL)
        return;
    buf_adds(out, " (");
    sub_failure_words(out, sub);
    buf_addc(out, ')');
}

void sub_state_words(const struct cli *cli, struct buf *out, const json_t *sub)
{
    const char *state = out_string(sub, "state"), *cause = out_string(sub, "state_cause");

    if (sub_is_failing(sub)) {
        buf_adds(out, is_relative(cli) ? "failing " : "failing since ");
        ago_words(cli, out, json_object_get(sub, "failing_since"));
        put_last_failure(out, sub);
        return;
    }
    buf_adds(out, state ? state : "-");
    if (state != NULL && strcmp(state, "disabled") == 0 && cause != NULL)
        buf_addf(out, " (%s)", strcmp(cause, "gone") == 0 ? "410" : cause);
    if (state != NULL && strcmp(state, "paused") == 0)
        resume_words(cli, out, json_object_get(sub, "resume_at"));
}

/* "2,711 held (its endpoint is down)", "7: 3 due, 4 later": each is counted once. */
void waiting_words(struct buf *out, const json_t *o)
{
    static const struct {
        const char *by, *words;
    } holders[] = {{"subscription_paused", "it is paused"},
                   {"subscription_disabled", "it is disabled"},
                   {"egress_paused", "egress is paused"},
                   {"endpoint_down", "its endpoint is down"}};
    static const char *const parts[] = {"due", "held", "later"};
    const char *by = out_string(o, "held_by");
    int64_t all = out_integer(o, "backlog");
    char n[32];
    bool any = false;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int64_t some = out_integer(o, parts[i]);

        if (some <= 0)
            continue;
        if (!any && some < all)
            buf_addf(out, "%s: ", text_count(n, sizeof n, all));
        buf_addf(out, "%s%s %s", any ? ", " : "", text_count(n, sizeof n, some), parts[i]);
        any = true;
    }
    if (!any)
        buf_adds(out, text_count(n, sizeof n, all));
    for (size_t i = 0; by != NULL && all > 0 && i < sizeof holders / sizeof *holders; i++)
        if (strcmp(by, holders[i].by) == 0)
            buf_addf(out, " (%s)", holders[i].words);
}

void sub_failure_words(struct buf *out, const json_t *sub)
{
    int64_t status = out_integer(sub, "last_failure_status");
    const char *outcome = out_string(sub, "last_failure_outcome");

    if (status > 0)
        buf_addf(out, "%lld", (long long)status);
    else
        buf_adds(out, outcome ? outcome : "-");
}

void egress_words(const struct cli *cli, struct buf *out, const json_t *egress)
{
    const char *note = out_string(egress, "note"), *actor = out_string(egress, "actor");
    char n[32];

    buf_adds(out, "EGRESS IS PAUSED for ");
    span_words(out, ago_ms(json_object_get(egress, "since")));
    buf_addf(out, " by %s", actor ? actor : "somebody");
    if (note != NULL)
        buf_addf(out, " (%s)", note);
    resume_words(cli, out, json_object_get(egress, "resume_at"));
    buf_addf(out, ": nothing is sent, %s wait",
             text_count(n, sizeof n, out_integer(egress, "waiting")));
}

void egress_note(struct cli *cli)
{
    struct client_request r = {.method = "GET", .path = "/api/v1/egress", .quiet = true};
    struct answer a;
    struct buf words;

    if (cli->format != OUT_TABLE || client_send(cli, &r, &a) != 0)
        return;
    if (a.status == 200 && json_is_true(json_object_get(a.json, "paused"))) {
        buf_init(&words, EGRESS_WORDS_MAX);
        egress_words(cli, &words, a.json);
        out_note("%s. Go on: webhookctl egress resume", words.data ? words.data : "");
        buf_fini(&words);
    }
    answer_fini(&a);
}

json_t *sub_with_words(const struct cli *cli, const json_t *item)
{
    json_t *shown = json_copy((json_t *)(uintptr_t)item);
    struct buf words;

    buf_init(&words, WORDS_MAX);
    sub_state_words(cli, &words, item);
    json_object_set_new(shown, "state_words", json_string(words.data ? words.data : "-"));
    buf_fini(&words);
    return shown;
}
