/* cli/replay_obstacles.c: what stands in the way of a replay, as its preview tells it: failing, down, paused,
 * other jobs, a backlog. See replay_preview.h. */
#include <string.h>

#include "base/text.h"
#include "cli/job_words.h"
#include "cli/out.h"
#include "cli/replay_preview.h"
#include "cli/sub_words.h"

#define TEXT_MAX_BYTES ((size_t)1 << 16)

static bool is(const json_t *object, const char *name, const char *word)
{
    const char *text = out_string(object, name);

    return text != NULL && strcmp(text, word) == 0;
}

bool replay_preview_fails(const json_t *target)
{
    return sub_is_failing(target) && out_integer(target, "count") > 0;
}

/* Nobody knows whether it still fails until something is sent: who tries, and what becomes of it? */
static void put_failing(const struct cli *cli, struct buf *out, const json_t *a, const json_t *row)
{
    bool down = json_is_string(json_object_get(row, "broken_since"));
    bool canary = out_integer(a, "options.canary") > 0;

    if (!replay_preview_fails(row))
        return;
    buf_addf(out, "Warning: %s is ", out_string(row, "subscription"));
    sub_state_words(cli, out, row);
    if (down)
        buf_adds(out, " and taken for down: nothing of this goes out before it answers one of "
                      "webhookd's tries.");
    else if (canary)
        buf_addf(out, ". The canary tries one letter; if it still fails, this stops after %d.",
                 REPLAY_GIVES_UP);
    else
        buf_adds(out, ". Nothing is tried first (--canary 0): what fails now dies again.");
    buf_addf(out, " Why: webhookctl attempt list -s %s --limit 5", out_string(row, "subscription"));
}

static void put_backlog(struct buf *out, const json_t *row)
{
    int64_t n = out_integer(row, "live_ahead");
    double rate = json_number_value(json_object_get(row, "rate_per_second"));
    char count[32];

    if (n == 0 || out_integer(row, "count") == 0)
        return;
    buf_addf(out, "%s: %s live %s there too and %s first, ", out_string(row, "subscription"),
             text_count(count, sizeof count, n), n == 1 ? "delivery waits" : "deliveries wait",
             n == 1 ? "goes" : "go");
    if (rate > 0)
        buf_addf(out, "at the subscription's own %g/s", rate);
    else
        buf_adds(out, "as fast as it takes them");
    buf_adds(out, "; what comes meanwhile goes in turn with this.");
}

/* Where an endpoint said itself that it is gone, enabling it is no matter of course. */
static void put_disabled(const struct cli *cli, struct buf *out, const json_t *row)
{
    const char *name = out_string(row, "subscription");

    buf_addf(out, "%s is ", name);
    sub_state_words(cli, out, row);
    if (is(row, "state_cause", "gone"))
        buf_addf(out,
                 ": it answered that it is gone for good. Does it still? webhookctl sub test %s, "
                 "and where it accepts that: webhookctl sub enable %s",
                 name, name);
    else
        buf_addf(out, ": nothing is sent there until webhookctl sub enable %s", name);
}

bool replay_preview_blocked(const json_t *a, struct buf *out)
{
    json_t *row;
    size_t i;

    if (replay_preview_to(a) != NULL)
        return false;
    json_array_foreach(json_object_get(a, "targets"), i, row)
    {
        bool ends = out_integer(row, "blocked_by_done") >= out_integer(row, "blocked_by_selected");

        if (!ends &&
            job_in_the_way_words(out, row)) /* what is at its end is over before anybody answers */
            return true;
    }
    return false;
}

static void put_state(const struct cli *cli, struct buf *out, const json_t *row)
{
    const char *name = out_string(row, "subscription");

    if (name == NULL)
        return;
    if (out_string(row, "subscription_id") == NULL) {
        sub_not_here_words(out, name);
    } else if (is(row, "state", "disabled")) {
        put_disabled(cli, out, row);
    } else if (is(row, "state", "paused")) {
        buf_addf(out, "%s is ", name);
        sub_state_words(cli, out, row);
        buf_addf(out, ": nothing is sent there until webhookctl sub resume %s", name);
    }
}

void replay_preview_obstacles(const struct cli *cli, FILE *to, const json_t *a)
{
    struct buf text;
    json_t *row;
    size_t i;

    buf_init(&text, TEXT_MAX_BYTES);
    json_array_foreach(json_object_get(a, "targets"), i, row)
    {
        if (replay_preview_to(a) != NULL)
            break; /* nothing of it is in the way of copies */
        put_state(cli, &text, row);
        out_said(to, &text);
        (void)job_in_the_way_words(&text, row);
        out_said(to, &text);
        put_failing(cli, &text, a, row);
        out_said(to, &text);
        put_backlog(&text, row);
        out_said(to, &text);
    }
    if (json_is_true(json_object_get(a, "egress_paused")))
        out_line(to, "Egress is paused: it begins after webhookctl egress resume");
    buf_fini(&text);
}
