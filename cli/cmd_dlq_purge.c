/* cli/cmd_dlq_purge.c: dlq purge: count, then confirm by the number, then slice by slice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/cmd_dlq.h"
#include "cli/out.h"

/* The number must be known to whoever purges: typed on a terminal, given by --confirm elsewhere. */
static int purge_confirm(struct cli *cli, int64_t count)
{
    const char *given = cli_flag(cli, FLAG_CONFIRM);
    char answer[32], question[128];

    if (given == NULL && !cli->in_tty)
        return out_fail(cli, CLI_USAGE, "usage",
                        "refusing without --confirm=%lld: standard input is not a terminal",
                        (long long)count);
    if (given == NULL) {
        snprintf(question, sizeof question,
                 "Purge %lld dead letters for good? Type %lld to confirm: ", (long long)count,
                 (long long)count);
        given = cli_ask(question, answer, sizeof answer) ? answer : "";
    }
    char *end;
    long long n = strtoll(given, &end, 10);

    if (end == given || *end != '\0')
        return out_fail(cli, CLI_USAGE, "usage", "'%s' is not a number; nothing was changed",
                        given);
    if (n != count)
        return out_fail(cli, CLI_USAGE, "count_differs",
                        "%lld dead letters match, not %lld; nothing was changed", (long long)count,
                        n);
    return 0;
}

static int purge_slices(struct cli *cli, const struct filter_flags *f, int64_t count,
                        int64_t *purged)
{
    json_t *position = NULL; /* {"cursor","until"} of the slice before */
    bool more = true;
    int rc = 0;

    while (rc == 0 && more) {
        json_t *body = json_object();
        struct answer a;

        json_object_set(body, "filter", f->json);
        if (cli_flag(cli, FLAG_NOTE) != NULL)
            json_object_set_new(body, "note", json_string(cli_flag(cli, FLAG_NOTE)));
        if (position == NULL)
            json_object_set_new(body, "confirm", json_integer(count));
        else
            json_object_update(body, position);
        rc = client_call_json(cli, "POST", "/api/v1/dead-letters/purge", body, &a);
        if (rc != 0)
            break;
        *purged += out_integer(a.json, "purged");
        more = json_is_true(json_object_get(a.json, "more"));
        json_decref(position);
        position = json_object();
        if (json_is_string(json_object_get(a.json, "cursor")))
            json_object_set(position, "cursor", json_object_get(a.json, "cursor"));
        if (json_is_string(json_object_get(a.json, "until")))
            json_object_set(position, "until", json_object_get(a.json, "until"));
        answer_fini(&a);
    }
    json_decref(position);
    return rc;
}

static void purge_report(const struct cli *cli, bool dry, int64_t count, int64_t purged)
{
    if (out_is_json(cli))
        printf("{\"matched\":%lld,\"purged\":%lld,\"dry_run\":%s}\n", (long long)count,
               (long long)purged, dry ? "true" : "false");
    if (dry)
        out_note(
            "Would purge %lld dead letters. Nothing was changed. Keep a copy first: webhookctl "
            "dlq export -f FILE",
            (long long)count);
    else
        out_note("purged %lld dead letters", (long long)purged);
}

int cmd_dlq_purge(struct cli *cli)
{
    struct filter_flags f;
    int64_t count = 0, bytes, purged = 0;
    bool dry = cli_flag(cli, FLAG_DRY_RUN) != NULL;
    int rc = filter_flags_read(cli, &f);

    if (rc == 0)
        rc = dlq_selected(cli, &f, "purge");
    if (rc == 0)
        rc = dlq_count(cli, &f, &count, &bytes);
    if (rc == 0 && count == 0 && cli_flag(cli, FLAG_CONFIRM) == NULL) {
        purge_report(cli, dry, 0, 0);
        out_note("No dead letters match.");
    } else if (rc == 0) {
        if (!dry)
            rc = purge_confirm(cli, count);
        if (rc == 0 && !dry && count > 0)
            rc = purge_slices(cli, &f, count, &purged);
        if (rc == 0)
            purge_report(cli, dry, count, purged);
    }
    filter_flags_fini(&f);
    return rc;
}
