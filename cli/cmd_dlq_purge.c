/* cli/cmd_dlq_purge.c: dlq purge: look, confirm by the number, export where that was asked for, then a
 * job.
 *
 * The set is fixed by the look (arrived_before): the export holds what of it is still there when its
 * turn comes, and the job purges what is still there after that. So nothing is purged that is not in
 * the file, and what died, came back or was sent again and died again in between is left alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/client.h"
#include "cli/cmd_dlq.h"
#include "cli/job_run.h"
#include "cli/job_words.h"
#include "cli/out.h"

struct purge {
    struct filter_flags f;
    json_t *look; /* what the daemon says of the set */
    int64_t count;
    const char *recoverable_until; /* NULL: it cannot be restored */
    int64_t exported;              /* -1: not asked for */
    struct job_run job;
};

/* --older-than DUR is --until DUR, said as one says it. */
static int older_than(struct cli *cli, struct filter_flags *f)
{
    const char *text = cli_flag(cli, FLAG_OLDER_THAN);
    int64_t ms = 0;

    if (text == NULL)
        return 0;
    if (cli_flag(cli, FLAG_UNTIL) != NULL)
        return out_fail(cli, CLI_USAGE, "usage", "--older-than and --until say the same: give one");
    int rc = filter_duration(cli, FLAG_OLDER_THAN, &ms);

    if (rc == 0) {
        filter_until(f, clock_wall_ms() - ms);
        f->any = true;
    }
    return rc;
}

static bool no_ids(const struct filter_flags *f)
{
    return f->by_ids && f->ids_n == 0;
}

static int purge_look(struct cli *cli, struct purge *p)
{
    struct answer a;

    if (no_ids(&p->f)) { /* --ids-from was empty, or nothing contains the text */
        p->look = json_pack("{s:i,s:i,s:[],s:[]}", "count", 0, "payload_bytes", 0, "subscriptions",
                            "types");
        return 0;
    }
    int rc = client_call_json(cli, "POST", "/api/v1/dead-letters/purge",
                              json_pack("{s:O,s:b,s:s*}", "filter", p->f.json, "dry_run", 1, "note",
                                        cli_flag(cli, FLAG_NOTE)),
                              &a);

    if (rc == 0)
        rc = client_readable(cli, &a);
    if (rc != 0)
        return rc;
    filter_answered(&p->f, a.json);
    p->look = json_incref(a.json);
    p->count = out_integer(p->look, "count");
    p->recoverable_until = out_string(p->look, "recoverable_until");
    filter_arrived(&p->f, out_integer(p->look, "arrived_before"));
    answer_fini(&a);
    return 0;
}

/* ---- the look as a screen ---- */

static void print_more(FILE *to, const json_t *rows, int64_t total)
{
    if (total > (int64_t)json_array_size(rows))
        fprintf(to, "(and %s others)\n", TEXT_COUNTED(total - (int64_t)json_array_size(rows)));
}

static void print_groups(struct cli *cli, FILE *to, const json_t *look, const char *member,
                         const char *total, const struct out_column *columns)
{
    const json_t *rows = json_object_get(look, member);
    struct out_table *t = out_table_new(cli, columns);
    json_t *row;
    size_t i;

    out_table_to(t, to);
    json_array_foreach(rows, i, row) out_table_row(t, row);
    out_table_print(t);
    print_more(to, rows, out_integer(look, total));
}

/* "Would purge 1204 dead letters, 118.2 KiB, died 3d ago (oldest) to 2h ago:", whose and of which
 * types, and what becomes of them. */
static void print_look(struct cli *cli, FILE *to, const struct purge *p)
{
    static const struct out_column subs[] = {{"FROM", "subscription|subscription_id", OUT_TEXT},
                                             {"LETTERS", "count", OUT_COUNT},
                                             {"SIZE", "payload_bytes", OUT_BYTES},
                                             {"OLDEST", "oldest_died_at", OUT_TIME},
                                             {"NEWEST", "newest_died_at", OUT_TIME},
                                             OUT_COLUMNS_END};
    static const struct out_column types[] = {{"TYPE", "type", OUT_TEXT},
                                              {"LETTERS", "count", OUT_COUNT},
                                              {"SIZE", "payload_bytes", OUT_BYTES},
                                              OUT_COLUMNS_END};
    struct buf text;

    buf_init(&text, 4096);
    buf_addf(&text, "Would purge %s dead letter%s, ", TEXT_COUNTED(p->count),
             p->count == 1 ? "" : "s");
    out_value(cli, json_object_get(p->look, "payload_bytes"), OUT_BYTES, &text);
    buf_adds(&text, ", died ");
    out_value(cli, json_object_get(p->look, "oldest_died_at"), OUT_TIME, &text);
    buf_adds(&text, " (oldest) to ");
    out_value(cli, json_object_get(p->look, "newest_died_at"), OUT_TIME, &text);
    fprintf(to, "%s:\n", text.data ? text.data : "");
    buf_fini(&text);
    print_groups(cli, to, p->look, "subscriptions", "subscriptions_total", subs);
    print_groups(cli, to, p->look, "types", "types_total", types);
    if (p->recoverable_until != NULL)
        fprintf(to, "They could be restored until %s, by webhookctl dlq restore.\n",
                p->recoverable_until);
    else
        fputs(
            "They could not be restored (dead_letter.purge_grace is 0): keep a copy with --export "
            "FILE\n",
            to);
}

/* The first subscription that a replay is at work on: nothing is purged from under it. */
static bool put_blocked(const struct purge *p, struct buf *out)
{
    const json_t *row;
    size_t i;

    json_array_foreach(json_object_get(p->look, "subscriptions"), i, row)
    {
        if (job_in_the_way_words(out, row)) {
            buf_adds(out, " Pausing it does not free them.");
            return true;
        }
    }
    return false;
}

/* Nobody is asked for what is refused after. */
static int purge_blocked(struct cli *cli, const struct purge *p)
{
    struct buf why;
    int rc = 0;

    buf_init(&why, 4096);
    if (put_blocked(p, &why))
        rc = out_fail(cli, CLI_LATER, "job_active", "%s", why.data ? why.data : "");
    buf_fini(&why);
    return rc;
}

/* ---- the question ---- */

static int ask(const struct cli *cli, const struct purge *p, char *answer, size_t room)
{
    const char *file = cli_flag(cli, FLAG_EXPORT);
    struct buf question;

    buf_init(&question, 8192);
    buf_addf(&question, "Purge %s dead letter%s?", TEXT_COUNTED(p->count),
             p->count == 1 ? "" : "s");
    if (file != NULL) {
        buf_adds(&question, " They are exported to ");
        text_escape_terminal(&question, file, strlen(file), false);
        buf_adds(&question, " first.");
    }
    buf_addf(&question, " Type %lld to confirm: ", (long long)p->count);
    int rc = cli_ask(cli, question.data, answer, room);

    buf_fini(&question);
    return rc;
}

/* "1,204", as it is shown, is as good as 1204. */
static void commas_drop(char *out, size_t room, const char *text)
{
    size_t n = 0;

    for (; *text && n + 1 < room; text++) {
        if (*text != ',')
            out[n++] = *text;
    }
    out[n] = '\0';
}

static int confirm_judge(struct cli *cli, const struct purge *p, const char *given)
{
    char plain[32], *end;

    commas_drop(plain, sizeof plain, given);
    long long n = strtoll(plain, &end, 10);

    if (end == plain || *end != '\0')
        return out_fail(
            cli, CLI_USAGE, "usage",
            "'%s' is not a number; give %lld, the number of letters; nothing was changed", given,
            (long long)p->count);
    if (n != p->count)
        return out_fail(cli, CLI_USAGE, "count_differs",
                        "%s dead letters match, not %s; nothing was changed",
                        TEXT_COUNTED(p->count), TEXT_COUNTED(n));
    return 0;
}

/* The number must be known to whoever purges: typed on a terminal, given by --confirm elsewhere. */
static int purge_confirm(struct cli *cli, const struct purge *p)
{
    const char *given = cli_flag(cli, FLAG_CONFIRM);
    char answer[32];

    if (given == NULL && !cli->in_tty)
        return out_fail(cli, CLI_USAGE, "usage", "refusing without --confirm=%lld: %s",
                        (long long)p->count, cli_no_asking(cli));
    if (given == NULL) {
        print_look(cli, stderr, p);
        int rc = ask(cli, p, answer, sizeof answer);

        if (rc != 0)
            return rc;
        given = answer;
    }
    return confirm_judge(cli, p, given);
}

static int purge_export(struct cli *cli, struct purge *p)
{
    const char *file = cli_flag(cli, FLAG_EXPORT);

    if (file == NULL)
        return 0;
    p->exported = 0;
    int rc = dlq_export(cli, &p->f, file, p->count, &p->exported);

    if (rc != 0)
        out_note("Nothing was purged.");
    return rc;
}

/* ---- what was done ---- */

/* What was looked at, and what became of it. */
static void purge_json(const struct purge *p, bool dry)
{
    static const char *const looked[] = {"oldest_died_at", "newest_died_at", "subscriptions",
                                         "types", "recoverable_until"};
    json_t *o =
        json_pack("{s:I,s:O,s:I,s:o,s:o,s:b}", "matched", (json_int_t)p->count, "payload_bytes",
                  json_object_get(p->look, "payload_bytes"), "purged", (json_int_t)p->job.done,
                  "exported", p->exported < 0 ? json_null() : json_integer(p->exported), "job",
                  p->job.id[0] ? json_string(p->job.id) : json_null(), "dry_run", dry);

    for (size_t i = 0; i < sizeof looked / sizeof *looked; i++) {
        json_t *v = json_object_get(p->look, looked[i]);

        json_object_set(o, looked[i], v ? v : json_null());
    }
    out_json(o, true);
    json_decref(o);
}

static void purge_report(const struct cli *cli, const struct purge *p)
{
    int64_t left = p->count - p->job.done;

    if (out_is_json(cli))
        purge_json(p, false);
    else if (cli->format == OUT_ID)
        puts(p->job.id);
    if (!p->job.over)
        return;
    if (p->exported >= 0)
        out_note("exported %s to %s", TEXT_COUNTED(p->exported), cli_flag(cli, FLAG_EXPORT));
    out_note("purged %s dead letter%s", TEXT_COUNTED(p->job.done), p->job.done == 1 ? "" : "s");
    if (left > 0)
        out_note("%s of them %s not purged: sent again, gone or back anew before %s turn came, or "
                 "the job was cancelled: webhookctl job show %s",
                 TEXT_COUNTED(left), left == 1 ? "was" : "were", left == 1 ? "its" : "their",
                 p->job.id);
    if (p->job.recoverable_until[0] && p->job.done > 0)
        out_note("recoverable until %s with: webhookctl dlq restore %s", p->job.recoverable_until,
                 p->job.id);
}

static int purge_do(struct cli *cli, struct purge *p)
{
    const char *note = cli_flag(cli, FLAG_NOTE);
    int rc = purge_blocked(cli, p);

    if (rc == 0)
        rc = purge_confirm(cli, p);
    if (rc == 0)
        rc = purge_export(cli, p);
    if (rc != 0)
        return rc;
    json_t *body = json_pack("{s:O,s:I}", "filter", p->f.json, "confirm", (json_int_t)p->count);

    if (note != NULL)
        json_object_set_new(body, "note", json_string(note));
    rc = job_run_start(cli, "/api/v1/dead-letters/purge", body, &p->job);
    if (p->job.id[0])
        purge_report(cli, p);
    return rc;
}

static int nothing_matches(struct cli *cli, const struct purge *p)
{
    if (out_is_json(cli))
        purge_json(p, cli_flag(cli, FLAG_DRY_RUN) != NULL);
    return filter_empty(cli, &p->f, "No dead letters match.");
}

static int purge_dry(struct cli *cli, const struct purge *p)
{
    const char *given = cli_flag(cli, FLAG_CONFIRM);
    struct buf why;
    int rc = given != NULL ? confirm_judge(cli, p, given) : 0;

    if (rc != 0)
        return rc;
    if (out_is_json(cli))
        purge_json(p, true);
    else if (cli->format == OUT_TABLE)
        print_look(cli, stdout, p);
    buf_init(&why, 4096);
    if (put_blocked(p, &why))
        out_note("Not now: %s", why.data);
    buf_fini(&why);
    out_note("Nothing was changed.");
    return CLI_OK;
}

/* What can be judged before anything is looked at: so that a dry run refuses it too. */
static int flags_judge(struct cli *cli)
{
    const char *file = cli_flag(cli, FLAG_EXPORT);
    int rc = job_run_flags(cli);

    if (rc == 0 && file != NULL && strcmp(file, "-") == 0 && cli->format != OUT_TABLE)
        rc = out_fail(cli, CLI_USAGE, "usage",
                      "--export - and -o both want standard output: name a file");
    return rc;
}

int cmd_dlq_purge(struct cli *cli)
{
    struct purge p = {.exported = -1};
    int rc = flags_judge(cli);

    if (rc == 0)
        rc = filter_flags_read(cli, &p.f);

    if (rc == 0)
        rc = older_than(cli, &p.f);
    if (rc == 0)
        rc = dlq_selected(cli, &p.f, "dlq purge");
    if (rc == 0)
        rc = dlq_limit(cli, &p.f);
    if (rc == 0)
        rc = purge_look(cli, &p);
    if (rc == 0)
        rc = filter_unmatched(&p.f, API_KIND_LETTERS);
    if (rc == 0 && p.count == 0 && cli_flag(cli, FLAG_CONFIRM) == NULL)
        rc = nothing_matches(cli, &p);
    else if (rc == 0)
        rc = cli_flag(cli, FLAG_DRY_RUN) != NULL ? purge_dry(cli, &p) : purge_do(cli, &p);
    json_decref(p.look);
    filter_flags_fini(&p.f);
    return rc;
}
