/* cli/cmd_retention.c: retention show: what is kept for how long, and what would go now. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/out.h"

static json_t *number(const json_t *item, const char *name, const char *exact)
{
    char text[32];

    snprintf(text, sizeof text, "%s%s", json_is_true(json_object_get(item, exact)) ? "" : "≥ ",
             TEXT_COUNTED(out_integer(item, name)));
    return json_string(text);
}

/* As people read it: durations with their unit, "at least" where counting took too long. */
static void row_print(struct out_table *t, const json_t *item)
{
    const char *key = out_string(item, "key");
    int64_t keep_s = out_integer(item, "keep_seconds");
    char keep[32] = "-";
    json_t *row = json_object();

    if (keep_s > 0)
        text_duration(keep, sizeof keep, keep_s * 1000);
    json_object_set(row, "rule", json_object_get(item, "rule"));
    json_object_set_new(row, "keep", json_string(keep));
    json_object_set_new(row, "rows", number(item, "rows", "rows_exact"));
    json_object_set_new(row, "due", number(item, "due", "due_exact"));
    json_object_set(row, "oldest", json_object_get(item, "oldest"));
    json_object_set_new(row, "key", json_string(key ? key : "(fixed)"));
    out_table_row(t, row);
    json_decref(row);
}

int cmd_retention_show(struct cli *cli)
{
    static const struct out_column columns[] = {{"RULE", "rule", OUT_TEXT},
                                                {"KEEP", "keep", OUT_TEXT},
                                                {"ROWS", "rows", OUT_TEXT},
                                                {"DUE NOW", "due", OUT_TEXT},
                                                {"OLDEST", "oldest", OUT_TIME},
                                                {"KEY", "key", OUT_TEXT},
                                                OUT_COLUMNS_END};
    struct answer a;
    const json_t *item;
    size_t i;
    int rc = client_call(cli, "GET", "/api/v1/retention", NULL, NULL, &a);

    if (rc == 0)
        rc = client_readable(cli, &a);
    if (rc != 0)
        return rc;
    struct out_table *t = cli->format == OUT_TABLE ? out_table_new(cli, columns) : NULL;

    if (cli->format == OUT_JSON)
        out_json(a.json, false);
    json_array_foreach(json_object_get(a.json, "items"), i, item)
    {
        if (t != NULL)
            row_print(t, item);
        else if (cli->format == OUT_JSONL)
            out_json(item, true);
        else if (cli->format == OUT_ID)
            puts(out_string(item, "rule"));
    }
    out_table_print(t);
    if (t != NULL)
        out_note(a.in_process ? "webhookd is not running: what is due goes when it does"
                              : "what is due goes within a minute or so, some hundred rows at a "
                                "time");
    answer_fini(&a);
    return CLI_OK;
}
