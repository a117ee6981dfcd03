/* cli/replay_preview.c: see replay_preview.h.
 *
 *   how many, of which types ─▶ where to, and how it is there now ─▶ how fast, and when it stops
 *   ─▶ what is left out ─▶ what stands in the way (replay_obstacles.c) */
#include "cli/replay_preview.h"

#include <ctype.h>
#include <string.h>

#include "base/text.h"
#include "cli/out.h"
#include "cli/shell.h"
#include "cli/sub_words.h"

#define TEXT_MAX_BYTES ((size_t)1 << 16)
#define COMMAND_MAX_BYTES ((size_t)1 << 20)
enum { TYPES_SHOWN = 5, IDS_WRITTEN = 20, WINDOW = 20 };

const struct sending sending_replay = {.command = "dlq replay",
                                       .path = "/api/v1/replays",
                                       .preview = "/api/v1/replays/preview",
                                       .verb = "replay",
                                       .Verb = "Replay",
                                       .one = "dead letter",
                                       .many = "dead letters",
                                       .when = "died",
                                       .oldest = "oldest_died_at",
                                       .newest = "newest_died_at",
                                       .column = "LETTERS",
                                       .exactly = "exactly these"};
const struct sending sending_resend = {.command = "delivery resend",
                                       .path = "/api/v1/deliveries/resend",
                                       .preview = "/api/v1/deliveries/resend/preview",
                                       .verb = "resend",
                                       .Verb = "Resend",
                                       .one = "delivery",
                                       .many = "deliveries",
                                       .when = "created",
                                       .oldest = "oldest_created_at",
                                       .newest = "newest_created_at",
                                       .column = "DELIVERIES",
                                       .exactly = "these"};

const char *sending_noun(const struct sending *s, int64_t n)
{
    return n == 1 ? s->one : s->many;
}

const char *replay_preview_to(const json_t *a)
{
    return out_string(a, "options.to");
}

/* ---- what ---- */
/* "302 trade.settled, 69 trade.cancelled" */
static void put_types(struct buf *out, const json_t *types)
{
    size_t i, n = json_array_size(types);
    json_t *row;

    json_array_foreach(types, i, row)
    {
        if (i == TYPES_SHOWN) {
            buf_addf(out, ", and %s other types", TEXT_COUNTED(n - TYPES_SHOWN));
            break;
        }
        buf_addf(out, "%s%s %s", i > 0 ? ", " : "", TEXT_COUNTED(out_integer(row, "count")),
                 out_string(row, "type"));
    }
}

/* ", died 2h ago (oldest) to 12m ago", as the clock on the wall elsewhere than on a terminal. */
static void put_when(const struct cli *cli, const struct sending *s, struct buf *out,
                     const json_t *a)
{
    json_t *oldest = json_object_get(a, s->oldest);

    if (oldest == NULL || json_is_null(oldest))
        return;
    buf_addf(out, ", %s ", s->when);
    out_value(cli, oldest, OUT_TIME, out);
    buf_adds(out, " (oldest) to ");
    out_value(cli, json_object_get(a, s->newest), OUT_TIME, out);
}

static void put_what(const struct cli *cli, const struct sending *s, struct buf *text,
                     const json_t *a)
{
    char size[32];
    int64_t count = out_integer(a, "count");

    text_size(size, sizeof size, out_integer(a, "payload_bytes"));
    buf_addf(text, "Would %s %s %s", replay_preview_to(a) ? "send copies of" : s->verb,
             TEXT_COUNTED(count), sending_noun(s, count));
    if (json_array_size(json_object_get(a, "types")) > 0) {
        buf_adds(text, " (");
        put_types(text, json_object_get(a, "types"));
        buf_addc(text, ')');
    }
    buf_addf(text, ", %s", size);
    put_when(cli, s, text, a);
    buf_addc(text, count > 0 ? ':' : '.');
}

/* ---- where to ---- */
static bool any_backlog(const json_t *targets)
{
    size_t i;
    json_t *row;

    json_array_foreach(targets, i, row)
    {
        if (out_integer(row, "backlog") > 0)
            return true;
    }
    return false;
}

/* Of what is copied it does not matter how the endpoint is that it was for. */
static void target_columns(const struct sending *s, const json_t *a, struct out_column columns[8])
{
    bool copies = replay_preview_to(a) != NULL;
    size_t n = 0;

    columns[n++] =
        (struct out_column){copies ? "OF" : "TO", "subscription|subscription_id", OUT_TEXT};
    columns[n++] = (struct out_column){copies ? "COPIES" : s->column, "count", OUT_COUNT};
    if (copies) {
        columns[n++] = (struct out_column){"TO", "to", OUT_LONG};
    } else {
        columns[n++] = (struct out_column){"STATE NOW", "state_words", OUT_STATE};
        if (any_backlog(json_object_get(a, "targets")))
            columns[n++] = (struct out_column){"BACKLOG", "backlog", OUT_COUNT};
        columns[n++] = (struct out_column){"URL", "url", OUT_LONG};
        columns[n++] = (struct out_column){"LAST SUCCESS", "last_success_at", OUT_TIME, 1};
    }
    columns[n] = (struct out_column)OUT_COLUMNS_END;
}

static void print_targets(struct cli *cli, const struct sending *s, FILE *to, const json_t *a)
{
    const json_t *targets = json_object_get(a, "targets");
    struct out_column columns[8];
    int64_t total = out_integer(a, "targets_total");
    json_t *row;
    size_t i;

    target_columns(s, a, columns);
    struct out_table *t = out_table_new(cli, columns);

    out_table_to(t, to);
    json_array_foreach(targets, i, row)
    {
        json_t *shown = sub_with_words(cli, row);

        json_object_set(shown, "to", out_member(a, "options.to"));
        out_table_row(t, shown);
        json_decref(shown);
    }
    out_table_print(t);
    if (total > (int64_t)json_array_size(targets))
        fprintf(to, "(and %s others)\n", TEXT_COUNTED(total - (int64_t)json_array_size(targets)));
}

/* ---- how ---- */
/* policy/canary.h in words; help and man say the same. */
void replay_rule(struct buf *out, const json_t *a)
{
    double stop_at = json_number_value(out_member(a, "options.stop_at_ratio"));
    int64_t canary = out_integer(a, "options.canary");

    if (canary == 1)
        buf_addf(out, "if the first %d fail", REPLAY_GIVES_UP);
    else if (canary > 1)
        buf_addf(out, "if %d of the first fail in a row", REPLAY_GIVES_UP);
    if (stop_at < 1)
        buf_addf(out,
                 canary > 0 ? ", or more than %g%% of the last %d"
                            : "if more than %g%% of the last %d fail",
                 stop_at * 100, WINDOW);
    else if (canary == 0)
        buf_adds(out, "for no failures");
}

/* Nobody knows how long something takes that may never begin. */
static bool in_the_way(const json_t *a)
{
    size_t i;
    json_t *row;

    if (replay_preview_to(a) != NULL)
        return json_is_true(json_object_get(a, "egress_paused"));
    json_array_foreach(json_object_get(a, "targets"), i, row)
    {
        if (replay_preview_fails(row) || out_string(row, "blocked_by") != NULL)
            return true;
    }
    return json_is_true(json_object_get(a, "egress_paused"));
}

/* Live ones that go first, over all subscriptions, and the rate of the one that has some. */
static int64_t live_ahead(const json_t *a, double *rate)
{
    int64_t n = 0;
    size_t i;
    json_t *row;

    *rate = 0;
    json_array_foreach(json_object_get(a, "targets"), i, row)
    {
        int64_t here = out_integer(row, "count") > 0 ? out_integer(row, "live_ahead") : 0;

        *rate = here == 0 ? *rate
                : n == 0  ? json_number_value(json_object_get(row, "rate_per_second"))
                          : 0; /* of several it is nobody's */
        n += here;
    }
    return replay_preview_to(a) != NULL ? 0 : n;
}

/* Live ones come in about as fast as the endpoint takes them: what is left for this is anybody's guess. */
static bool put_full(const json_t *a, char out[PREVIEW_ABOUT_MAX])
{
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(a, "targets"), i, row)
    {
        double taken = json_number_value(json_object_get(row, "taken_per_second"));

        if (taken <= 0 || out_integer(row, "count") == 0 || replay_preview_to(a) != NULL)
            continue;
        snprintf(out, PREVIEW_ABOUT_MAX,
                 "how long is not known: %s gets about %.2g live ones a second and takes %.2g",
                 out_string(row, "subscription"),
                 json_number_value(json_object_get(row, "live_per_second")), taken);
        return true;
    }
    return false;
}

void replay_preview_about(const json_t *a, char out[PREVIEW_ABOUT_MAX])
{
    double seconds = json_number_value(json_object_get(a, "about_seconds")), rate;
    double first_s = json_number_value(json_object_get(a, "live_ahead_seconds"));
    int64_t first = live_ahead(a, &rate);
    char span[32], wait[32], count[32], own[32] = "";

    *out = '\0';
    text_ago(span, sizeof span, (int64_t)(seconds * 1000) + 999);
    text_ago(wait, sizeof wait, (int64_t)(first_s * 1000) + 999);
    text_count(count, sizeof count, first);
    if (rate > 0)
        snprintf(own, sizeof own, " at its own %g/s", rate);
    if (put_full(a, out) || seconds <= 0)
        return;
    if (in_the_way(a))
        snprintf(out, PREVIEW_ABOUT_MAX, "%s once it gets through", span);
    else if (first > 0 && first_s > 0)
        snprintf(out, PREVIEW_ABOUT_MAX, "about %s once %s live %s through, about %s%s", span,
                 count, first == 1 ? "one is" : "ones are", wait, own);
    else if (first > 0)
        snprintf(out, PREVIEW_ABOUT_MAX, "about %s once %s live %s through", span, count,
                 first == 1 ? "one is" : "ones are");
    else
        snprintf(out, PREVIEW_ABOUT_MAX, "about %s", span);
}

/* "Canary 1, then 20/s; stops if the first 5 fail, or more than 50% of the last 20. About 19s. …" */
static void put_plan(struct buf *out, const json_t *a)
{
    double rate = json_number_value(out_member(a, "options.rate_per_second"));
    int64_t canary = out_integer(a, "options.canary");
    char about[PREVIEW_ABOUT_MAX];

    if (canary > 0)
        buf_addf(out, "Canary %s, then ", TEXT_COUNTED(canary));
    if (rate > 0)
        buf_addf(out, "%g/s", rate);
    else
        buf_adds(out, canary > 0 ? "as fast as it goes" : "As fast as it goes");
    buf_adds(out, "; stops ");
    replay_rule(out, a);
    buf_addc(out, '.');
    replay_preview_about(a, about);
    if (*about)
        buf_addf(out, " %c%s.", toupper((unsigned char)*about), about + 1);
    buf_adds(out, " The receiver sees the same webhook-id as before.");
}

/* The URL was typed by somebody: what is between us and the partner is not for it. */
static void put_copies(const struct sending *s, struct buf *out, const json_t *a)
{
    bool once = strcmp(out_string(a, "options.attempts"), "1") == 0;

    buf_addf(out, "Copies: the %s stay as they are. %s; a copy that fails is discarded. ", s->many,
             once ? "One attempt each" : "Attempts as the retry policy says");
    buf_adds(out, "They are signed with the subscription's secrets; its bearer token and custom "
                  "headers are left out.");
}

/* ---- what is left out ---- */
static const char *reason_text(const char *reason)
{
    static const struct {
        const char *reason, *text;
    } rows[] = {{"expired", "expired: --ignore-expiry sends them"},
                {"payload_gone", "payload gone: retention deleted it"},
                {"subscription_paused", "subscription paused"},
                {"subscription_disabled", "subscription disabled"},
                {"subscription_deleted", "subscription deleted, or not here"}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (reason != NULL && strcmp(reason, rows[i].reason) == 0)
            return rows[i].text;
    return reason;
}

void replay_preview_excluded(struct buf *out, const json_t *a)
{
    json_t *row;
    size_t i;

    json_array_foreach(json_object_get(a, "excluded_by"), i, row)
        buf_addf(out, "%s%s %s", i > 0 ? "; " : "", TEXT_COUNTED(out_integer(row, "count")),
                 reason_text(out_string(row, "reason")));
}

void replay_preview_print(struct cli *cli, const struct sending *s, FILE *to, const json_t *a)
{
    struct buf text;

    buf_init(&text, TEXT_MAX_BYTES);
    put_what(cli, s, &text, a);
    out_said(to, &text);
    if (json_array_size(json_object_get(a, "targets")) > 0)
        print_targets(cli, s, to, a);
    if (out_integer(a, "count") > 0)
        put_plan(&text, a);
    out_said(to, &text);
    if (out_integer(a, "count") > 0 && replay_preview_to(a) != NULL)
        put_copies(s, &text, a);
    out_said(to, &text);
    if (out_integer(a, "excluded") > 0) {
        buf_addf(&text, "Left out: %s (", TEXT_COUNTED(out_integer(a, "excluded")));
        replay_preview_excluded(&text, a);
        buf_addc(&text, ')');
    }
    out_said(to, &text);
    replay_preview_obstacles(cli, to, a);
    buf_fini(&text);
}

/* ---- the same, for good ---- */
/* How it is looked at; times are written anew. */
#define NOT_OF_THE_SET                                                                             \
    ((FLAGS_GLOBAL & ~FLAG_BIT(FLAG_CONFIG)) | FLAG_BIT(FLAG_DRY_RUN) | FLAG_BIT(FLAG_YES) |       \
     FLAG_BIT(FLAG_WAIT) | FLAG_BIT(FLAG_DETACH) | FLAG_BIT(FLAG_SINCE) | FLAG_BIT(FLAG_UNTIL))

static void put_flags(const struct cli *cli, flag_mask without, struct buf *out)
{
    const struct args *a = cli->args;

    for (size_t i = 0; i < a->given_n; i++) {
        const struct flag *flag = &flags_table[a->given[i].flag];

        if ((without & FLAG_BIT(a->given[i].flag)) != 0)
            continue;
        if (flag->letter)
            buf_addf(out, " -%c", flag->letter);
        else
            buf_addf(out, " --%s", flag->name);
        if (flag->value != NULL) {
            buf_addc(out, ' ');
            shell_word(out, a->given[i].value);
        }
    }
}

static void put_time(struct buf *out, const char *flag, int64_t ms)
{
    char text[TEXT_TIME_MAX];

    if (ms != 0)
        buf_addf(out, " --%s %s", flag, text_time(text, ms));
}

/* A few ids are written down: whatever else happens meanwhile, these are meant. */
void replay_preview_command(const struct cli *cli, const struct sending *s,
                            const struct filter_flags *f, const json_t *a, struct buf *out)
{
    bool few = f->by_ids && f->ids_n <= IDS_WRITTEN;
    bool found = cli_flag(cli, FLAG_LIMIT) != NULL || cli_flag(cli, FLAG_CONTAINS) != NULL;
    flag_mask without = NOT_OF_THE_SET;
    int64_t until = f->until_ms;

    if (few)
        without |= FLAG_BIT(FLAG_IDS_FROM);
    if (few && found)
        without |= FILTER_FLAGS;
    if (until == 0)
        (void)text_parse_time(out_string(a, "until") ? out_string(a, "until") : "", &until);
    buf_addf(out, "webhookctl %s", s->command);
    for (size_t i = 0; i < (few ? f->ids_n : cli->args->words_n); i++) {
        buf_addc(out, ' ');
        shell_word(out, few ? f->ids[i] : cli->args->words[i]);
    }
    put_flags(cli, without, out);
    if (few && found)
        return;
    put_time(out, "since", f->since_ms);
    put_time(out, "until", until);
}
