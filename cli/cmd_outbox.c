/* cli/cmd_outbox.c: outboxes (no daemon needed) and the rows that intake refused. */
#include "engine/outbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "cli/client.h"
#include "cli/list.h"
#include "cli/object.h"
#include "cli/out.h"

static const char *table_name(const struct cli *cli)
{
    const char *table = cli_flag(cli, FLAG_TABLE);

    return table ? table : "outbox";
}

int cmd_outbox_init(struct cli *cli)
{
    const char *file = cli->args->words[0];
    struct err err = {OK, ""};
    bool created = false, exists = false;

    /* as the configuration has it: another could be made, but not be served */
    if (!id_is_table(table_name(cli)))
        return out_fail(cli, CLI_USAGE, "usage",
                        "--table %s: letters, digits and _, at most 64, no digit first",
                        table_name(cli));
    enum err_code rc =
        cli_flag(cli, FLAG_DRY_RUN) != NULL
            ? outbox_exists(file, table_name(cli), &exists, &err)
            : outbox_init(file, table_name(cli), cli_flag(cli, FLAG_WAL) != NULL, &created, &err);

    if (rc != OK)
        return out_fail_err(cli, &err);
    if (cli_flag(cli, FLAG_DRY_RUN) != NULL)
        created = !exists;
    if (out_is_json(cli)) {
        json_t *json =
            json_pack("{s:s,s:s,s:b,s:b}", "file", file, "table", table_name(cli), "created",
                      created, "dry_run", cli_flag(cli, FLAG_DRY_RUN) != NULL);

        out_json(json, cli->format == OUT_JSONL);
        json_decref(json);
    }
    out_done(
        cli,
        "%s: table %s %s. Next: INSERT INTO %s(type, payload) VALUES ('order.executed', '{}');",
        file, table_name(cli), created ? "created" : "was there already", table_name(cli));
    return CLI_OK;
}

/* The report's lines as an array. */
static void check_json(const struct cli *cli, const char *file, bool fit, const struct buf *report)
{
    json_t *findings = json_array(), *json;

    for (const char *at = report->data; *at;) {
        size_t n = strcspn(at, "\n");

        json_array_append_new(findings, json_stringn(at, n));
        at += n + (at[n] == '\n');
    }
    json = json_pack("{s:s,s:s,s:b,s:o}", "file", file, "table", table_name(cli), "fit", fit,
                     "findings", findings);
    out_json(json, cli->format == OUT_JSONL);
    json_decref(json);
}

int cmd_outbox_check(struct cli *cli)
{
    const char *file = cli->args->words[0];
    struct err err = {OK, ""};
    struct buf report;

    if (access(file, F_OK) != 0 && errno == ENOENT)
        return out_fail(cli, CLI_NO_INPUT, "not_found",
                        "%s: no such file; webhookctl outbox init makes it", file);
    buf_init(&report, (size_t)1 << 20);
    enum err_code rc = outbox_check(file, table_name(cli), &report, &err);

    if (report.len > 0 && out_is_json(cli))
        check_json(cli, file, rc == OK, &report);
    else if (report.len > 0)
        out_escaped(report.data, report.len, "");
    buf_fini(&report);
    if (rc == OK)
        return CLI_OK;
    if (rc == ERR_INVALID)
        return CLI_NO;
    return out_fail_err(cli, &err);
}

int cmd_rejects_list(struct cli *cli)
{
    static const struct out_column columns[] = {
        {"REJECT", "id", OUT_TEXT},       {"OUTBOX", "outbox", OUT_LONG}, {"SEQ", "seq", OUT_TEXT},
        {"WHEN", "created_at", OUT_TIME}, {"REASON", "reason", OUT_LONG}, OUT_COLUMNS_END};

    return list_command(cli, "/api/v1/outbox-rejects", columns, "No rejected rows.");
}

int cmd_rejects_show(struct cli *cli)
{
    static const struct out_column fields[] = {{"Reject", "id", OUT_TEXT},
                                               {"Outbox", "outbox", OUT_TEXT},
                                               {"Seq", "seq", OUT_TEXT},
                                               {"When", "created_at", OUT_TIME},
                                               {"Reason", "reason", OUT_TEXT},
                                               {"Row", "row", OUT_TEXT},
                                               OUT_COLUMNS_END};

    return object_command(cli, "GET", "outbox-rejects", cli->args->words[0], NULL, NULL, fields,
                          NULL);
}

/* The ids that were named, or all that are there now: a retried row that is refused again comes
 * back as another reject, and must not be met twice. */
static int rejects_ids(struct cli *cli, json_t *ids)
{
    for (size_t i = 0; i < cli->args->words_n; i++)
        json_array_append_new(ids, json_string(cli->args->words[i]));
    if (cli->args->words_n > 0)
        return 0;
    if (cli_flag(cli, FLAG_ALL) == NULL)
        return out_fail(cli, CLI_USAGE, "usage", "'%s' needs ids or --all",
                        cli->args->command->words);
    return filter_ids(cli, "/api/v1/outbox-rejects", NULL, SIZE_MAX, ids);
}

static int rejects_each(struct cli *cli, const char *method, const char *verb, const char *done)
{
    json_t *ids = json_array(), *id;
    size_t i, good = 0, n;
    int rc = rejects_ids(cli, ids), last = 0;

    n = json_array_size(ids);
    if (rc == 0 && n > 1 && cli_flag(cli, FLAG_ALL) && strcmp(method, "DELETE") == 0) {
        char question[128];

        snprintf(question, sizeof question, "Forget %s rejected rows for good? [y/N] ",
                 TEXT_COUNTED(n));
        rc = cli_confirm(cli, question);
    }
    json_array_foreach(ids, i, id)
    {
        struct answer a;
        struct buf path;

        if (rc != 0)
            break;
        buf_init(&path, 16384);
        client_path(&path, "outbox-rejects", json_string_value(id), verb);
        int one = client_call_json(cli, method, path.data, NULL, &a);

        buf_fini(&path);
        if (one == 0) {
            good++;
            if (out_is_json(cli))
                out_json_raw(a.raw.data, a.raw.len);
            answer_fini(&a);
        } else {
            last = one;
        }
    }
    json_decref(ids);
    if (rc != 0)
        return rc;
    out_done(cli, "%s of %s rejected rows %s", TEXT_COUNTED(good), TEXT_COUNTED(n), done);
    if (last == 0)
        return CLI_OK;
    if (good > 0)
        return CLI_PARTIAL;
    return last == CLI_USAGE ? CLI_NO : last; /* the row is at fault, not what was typed */
}

int cmd_rejects_retry(struct cli *cli)
{
    return rejects_each(cli, "POST", "retry", "were accepted");
}

int cmd_rejects_purge(struct cli *cli)
{
    return rejects_each(cli, "DELETE", NULL, "were forgotten");
}
