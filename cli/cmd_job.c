/* cli/cmd_job.c: jobs: list, show, hold, cancel, hurry; following one is job_follow.c. */
#include <string.h>

#include "cli/filter.h"
#include "cli/job_follow.h"
#include "cli/list.h"
#include "cli/object.h"

/* Few jobs send copies: where to is said with the note. */
static json_t *with_url(const struct cli *cli, const json_t *job)
{
    json_t *row = json_copy((json_t *)(uintptr_t)job);
    const char *to = out_string(job, "options.to"), *note = out_string(job, "note");

    (void)cli;
    if (to != NULL)
        json_object_set_new(
            row, "note", json_sprintf("copies to %s%s%s", to, note ? ": " : "", note ? note : ""));
    return row;
}

int cmd_job_list(struct cli *cli)
{
    static const struct out_column columns[] = {{"JOB", "id", OUT_TEXT},
                                                {"KIND", "kind", OUT_TEXT},
                                                {"STATE", "state", OUT_STATE},
                                                {"SELECTED", "counts.selected", OUT_TEXT},
                                                {"DELIVERED", "counts.delivered", OUT_TEXT},
                                                {"DEAD AGAIN", "counts.dead_again", OUT_TEXT, 1},
                                                {"CREATED", "created_at", OUT_TIME, 2},
                                                {"BY", "actor", OUT_LONG, 3},
                                                {"NOTE", "note", OUT_LONG},
                                                OUT_COLUMNS_END};

    return list_shaped(cli, "/api/v1/jobs", columns, with_url, "No jobs.");
}

static const struct out_column job_fields[] = {{"Job", "id", OUT_TEXT},
                                               {"Kind", "kind", OUT_TEXT},
                                               {"State", "state", OUT_STATE},
                                               {"Why", "reason", OUT_TEXT},
                                               {"Filter", "filter", OUT_TEXT},
                                               {"Copies to", "options.to", OUT_LONG},
                                               {"Rate", "options.rate_per_second", OUT_TEXT},
                                               {"Canary", "options.canary", OUT_TEXT},
                                               {"Stop at", "options.stop_at_ratio", OUT_TEXT},
                                               {"Attempts", "options.attempts", OUT_TEXT},
                                               {"Order", "options.order", OUT_TEXT},
                                               {"By", "actor", OUT_TEXT},
                                               {"Note", "note", OUT_TEXT},
                                               {"Selected", "counts.selected", OUT_TEXT},
                                               {"Left out", "counts.excluded", OUT_TEXT},
                                               {"Queued", "counts.queued", OUT_TEXT},
                                               {"On their way", "counts.waiting", OUT_TEXT},
                                               {"Retrying", "counts.retrying", OUT_TEXT},
                                               {"Delivered", "counts.delivered", OUT_TEXT},
                                               {"Dead again", "counts.dead_again", OUT_TEXT},
                                               {"Not sent", "counts.not_sent", OUT_TEXT},
                                               {"Done", "counts.done", OUT_TEXT},
                                               {"Created", "created_at", OUT_TIME},
                                               {"Started", "started_at", OUT_TIME},
                                               {"Finished", "finished_at", OUT_TIME},
                                               OUT_COLUMNS_END};

/* The same, with what becomes of copies in the place of what becomes of letters. */
static void of_copies(struct out_column *to, const struct out_column *from, const char *header)
{
    do {
        *to = *from;
        if (from->header != NULL && strcmp(from->path, "counts.dead_again") == 0)
            *to = (struct out_column){header, "counts.discarded", OUT_TEXT};
        to++;
    } while (from++->header != NULL);
}

/* The job, and where its letters go. */
static void job_print(const struct cli *cli, const json_t *job)
{
    static const struct out_column columns[] = {
        {"SUBSCRIPTION", "subscription|subscription_id", OUT_TEXT},
        {"STATE", "state", OUT_STATE},
        {"WHY", "reason|waits_for", OUT_TEXT},
        {"SELECTED", "counts.selected", OUT_TEXT},
        {"DELIVERED", "counts.delivered", OUT_TEXT},
        {"RETRYING", "counts.retrying", OUT_TEXT},
        {"DEAD AGAIN", "counts.dead_again", OUT_TEXT},
        {"NOT SENT", "counts.not_sent", OUT_TEXT},
        OUT_COLUMNS_END};
    const json_t *parts = json_object_get(job, "subscriptions");
    struct out_column fields_of[sizeof job_fields / sizeof job_fields[0]];
    struct out_column columns_of[sizeof columns / sizeof columns[0]];
    bool copies = out_string(job, "options.to") != NULL;
    json_t *part;
    size_t i;

    of_copies(fields_of, job_fields, "Failed");
    of_copies(columns_of, columns, "FAILED");
    struct out_table *t =
        json_array_size(parts) > 0 ? out_table_new(cli, copies ? columns_of : columns) : NULL;

    out_fields(cli, job, copies ? fields_of : job_fields);
    if (t == NULL)
        return;
    puts("");
    json_array_foreach(parts, i, part) out_table_row(t, part);
    out_table_print(t);
}

int cmd_job_show(struct cli *cli)
{
    struct answer a;
    int rc = object_get(cli, "jobs", cli->args->words[0], NULL, &a);

    if (rc != 0)
        return rc;
    if (!object_plain(cli, &a, cli->args->words[0]))
        job_print(cli, a.json);
    answer_fini(&a);
    return CLI_OK;
}

/* What matters to whoever just turned the tap; job show has the rest. */
static const struct out_column job_brief[] = {{"State", "state", OUT_STATE},
                                              {"Rate", "options.rate_per_second", OUT_TEXT},
                                              {"Delivered", "counts.delivered", OUT_TEXT},
                                              {"Dead again", "counts.dead_again", OUT_TEXT},
                                              {"On their way", "counts.waiting", OUT_TEXT},
                                              {"Not sent", "counts.not_sent", OUT_TEXT},
                                              OUT_COLUMNS_END};

int cmd_job_cancel(struct cli *cli)
{
    return object_command(cli, "POST", "jobs", cli->args->words[0], "cancel", NULL, job_brief,
                          "is cancelled; what was not sent stays dead, the few on their way go on. "
                          "Next: webhookctl dlq "
                          "summary");
}

int cmd_job_pause(struct cli *cli)
{
    return object_command(cli, "POST", "jobs", cli->args->words[0], "pause", NULL, job_brief,
                          "is paused; webhookctl job resume lets it go on");
}

int cmd_job_resume(struct cli *cli)
{
    return object_command(cli, "POST", "jobs", cli->args->words[0], "resume", NULL, job_brief,
                          "goes on; webhookctl job watch follows it");
}

int cmd_job_watch(struct cli *cli)
{
    int64_t wait_ms = -1;
    int rc = filter_duration(cli, FLAG_WAIT, &wait_ms);

    return rc == 0 ? job_follow(cli, cli->args->words[0], wait_ms) : rc;
}

/* "20/s", "20"; "none": no limit. */
int cmd_job_set_rate(struct cli *cli)
{
    const char *id = cli->args->words[0], *text = cli->args->words[1];
    double rate = 0;
    int rc =
        strcmp(text, "none") == 0 || strcmp(text, "0") == 0 ? 0 : filter_rate_of(cli, text, &rate);

    if (rc != 0)
        return rc;
    json_t *body = json_object();

    json_object_set_new(body, "rate_per_second", json_real(rate));
    return object_command(cli, "POST", "jobs", id, "rate", body, job_brief,
                          "goes on at that rate; webhookctl job watch follows it");
}
