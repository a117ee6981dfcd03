/* cli/cmd_db.c: the store's file: what it is, its tables, whether it is sound. It is read here and now,
 * with webhookd running or not; who may not read it is told who may. Backups: cmd_db_backup.c. */
#include "cli/cmd_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/text.h"
#include "base/url.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "store/seal.h"

enum { COUNT_BUDGET_MS = 1500 };

int db_open(struct cli *cli, const char *url, struct care **out)
{
    struct err err = {OK, ""};
    int rc = cli_conf(cli);

    if (rc != 0)
        return rc;
    enum err_code code = care_open(out, url != NULL ? url : cli->conf->store_url, &err);

    return code == OK ? 0 : out_fail_err(cli, &err);
}

/* ---- info ---- */
static json_t *tables_json(const struct care_info *info)
{
    json_t *tables = json_array();

    for (size_t i = 0; i < info->tables_n; i++)
        json_array_append_new(tables, json_pack("{s:s,s:I,s:b}", "name", info->tables[i].name,
                                                "rows", (json_int_t)info->tables[i].rows,
                                                "rows_exact", !info->tables[i].more));
    return tables;
}

static json_t *info_json(struct cli *cli, const struct care_info *info)
{
    const char *path = url_sqlite_path(cli->conf->store_url);
    struct keyring *keys = NULL;
    struct statvfs fs;
    bool seen = path != NULL && statvfs(path, &fs) == 0;
    json_t *json = json_object();

    json_object_set_new(json, "path", json_string(path));
    json_object_set_new(json, "file_bytes", json_integer(info->file_bytes));
    json_object_set_new(json, "log_bytes", json_integer(info->log_bytes));
    json_object_set_new(json, "filesystem_free_bytes",
                        seen ? json_integer((json_int_t)fs.f_bavail * (json_int_t)fs.f_frsize)
                             : json_null());
    json_object_set_new(json, "schema_version", json_integer(info->schema));
    json_object_set_new(json, "schema_known", json_integer(info->schema_known));
    json_object_set_new(json, "library", json_string(info->library));
    json_object_set_new(json, "journal_mode", json_string(info->journal));
    json_object_set_new(json, "page_bytes", json_integer(info->page_bytes));
    json_object_set_new(json, "pages", json_integer(info->pages));
    json_object_set_new(json, "free_pages", json_integer(info->free_pages));
    json_object_set_new(json, "key_file", json_string(cli->conf->encryption_key_file));
    bool loaded = keyring_load(&keys, cli->conf->encryption_key_file, false, NULL) == OK;
    json_object_set_new(json, "keys",
                        loaded ? json_integer((json_int_t)keyring_size(keys)) : json_null());
    if (loaded)
        keyring_free(keys);
    json_object_set_new(json, "tables", tables_json(info));
    return json;
}

static void info_print(struct cli *cli, const json_t *json, const struct care_info *info)
{
    static const struct out_column fields[] = {{"File", "path", OUT_TEXT},
                                               {"Size", "file_bytes", OUT_BYTES},
                                               {"Log (WAL)", "log_bytes", OUT_BYTES},
                                               {"Disk free", "filesystem_free_bytes", OUT_BYTES},
                                               {"Schema", "schema_version", OUT_TEXT},
                                               {"Library", "library", OUT_TEXT},
                                               {"Journal", "journal_mode", OUT_TEXT},
                                               {"Pages", "pages", OUT_COUNT},
                                               {"Free pages", "free_pages", OUT_COUNT},
                                               {"Key file", "key_file", OUT_TEXT},
                                               {"Keys", "keys", OUT_TEXT},
                                               OUT_COLUMNS_END};
    static const struct out_column columns[] = {
        {"TABLE", "name", OUT_TEXT}, {"ROWS", "rows", OUT_TEXT}, OUT_COLUMNS_END};
    struct out_table *t = out_table_new(cli, columns);
    char rows[32];

    out_fields(cli, json, fields);
    for (size_t i = 0; i < info->tables_n; i++) {
        snprintf(rows, sizeof rows, "%s%s", info->tables[i].more ? "≥ " : "",
                 TEXT_COUNTED(info->tables[i].rows));
        json_t *row = json_pack("{s:s,s:s}", "name", info->tables[i].name, "rows", rows);

        out_table_row(t, row);
        json_decref(row);
    }
    putchar('\n');
    out_table_print(t);
    if (info->schema < info->schema_known)
        out_note("this webhookd wants schema %lld: it migrates the store at its next start",
                 (long long)info->schema_known);
    else if (info->schema > info->schema_known)
        out_note("the store is a newer webhookd's: install that version again");
}

int cmd_db_info(struct cli *cli)
{
    struct care *c;
    struct care_info info;
    struct err err = {OK, ""};
    int rc = db_open(cli, NULL, &c);

    if (rc != 0)
        return rc;
    if (care_info(c, COUNT_BUDGET_MS, &info, &err) == OK) {
        json_t *json = info_json(cli, &info);

        if (cli->format == OUT_TABLE)
            info_print(cli, json, &info);
        else if (cli->format == OUT_ID)
            puts(url_sqlite_path(cli->conf->store_url));
        else
            out_json(json, cli->format == OUT_JSONL);
        json_decref(json);
    } else {
        rc = out_fail_err(cli, &err);
    }
    care_close(c);
    return rc;
}

int cmd_db_schema(struct cli *cli)
{
    struct care *c;
    struct err err = {OK, ""};
    struct buf sql;
    int rc = db_open(cli, NULL, &c);

    if (rc != 0)
        return rc;
    buf_init(&sql, (size_t)4 << 20);
    if (care_schema(c, &sql, &err) != OK) {
        rc = out_fail_err(cli, &err);
    } else if (out_is_json(cli)) {
        json_t *json = json_pack("{s:s}", "sql", sql.data ? sql.data : "");

        out_json(json, cli->format == OUT_JSONL);
        json_decref(json);
    } else {
        fputs(sql.data ? sql.data : "", stdout);
    }
    buf_fini(&sql);
    care_close(c);
    return rc;
}

/* ---- check ---- */
struct checking {
    struct cli *cli;
    struct progress progress;
    int64_t done;
    json_t *items;
};

static void check_found(void *arg, const struct care_finding *f)
{
    static const char *const verdicts[] = {"ok", "bad", "unseen"};
    struct checking *k = arg;

    json_array_append_new(k->items,
                          json_pack("{s:s,s:s,s:s,s:s?}", "check", f->check, "result",
                                    verdicts[f->verdict], "detail", f->detail, "fix", f->fix));
}

static bool check_progress(void *arg, int64_t done, int64_t total)
{
    struct checking *k = arg;

    if (done != k->done) /* asked far more often than there is something new */
        progress_show(&k->progress, k->done = done, total, "checks");
    return !progress_interrupted();
}

static void check_print(struct checking *k)
{
    static const struct out_column columns[] = {{"CHECK", "check", OUT_TEXT},
                                                {"RESULT", "result", OUT_TEXT},
                                                {"DETAIL", "detail", OUT_LONG},
                                                OUT_COLUMNS_END};
    struct cli *cli = k->cli;
    json_t *item;
    size_t i;

    if (cli->format == OUT_JSON) {
        json_t *whole = json_pack("{s:O,s:n}", "items", k->items, "next_cursor");

        out_json(whole, false);
        json_decref(whole);
    }
    struct out_table *t = cli->format == OUT_TABLE ? out_table_new(cli, columns) : NULL;

    json_array_foreach(k->items, i, item)
    {
        const char *fix = out_string(item, "fix");

        if (cli->format == OUT_JSONL)
            out_json(item, true);
        else if (cli->format == OUT_ID && strcmp(out_string(item, "result"), "bad") == 0)
            puts(out_string(item, "check"));
        else if (t != NULL)
            out_table_row(t, item);
        if (t != NULL && fix != NULL)
            out_note("%s: %s", out_string(item, "check"), fix);
    }
    out_table_print(t);
}

int db_check(struct cli *cli, struct care *c, bool quick, bool print, int *bad)
{
    struct checking k = {.cli = cli, .done = -1, .items = json_array()};
    struct care_check how = {
        .quick = quick, .found = check_found, .progress = check_progress, .arg = &k};
    struct keyring *keys = NULL;
    struct err err = {OK, ""};
    int rc = 0;

    if (keyring_load(&keys, cli->conf->encryption_key_file, false, NULL) == OK)
        how.keys = keys;
    progress_begin(&k.progress, cli);
    enum err_code code = care_check(c, &how, bad, &err);

    progress_end(&k.progress);
    if (progress_interrupted())
        rc = CLI_INTERRUPTED;
    else if (code != OK)
        rc = out_fail_err(cli, &err);
    else if (print || *bad > 0)
        check_print(&k);
    keyring_free(keys);
    json_decref(k.items);
    return rc;
}

int cmd_db_check(struct cli *cli)
{
    struct care *c;
    int bad = 0, rc = db_open(cli, NULL, &c);

    if (rc != 0)
        return rc;
    rc = db_check(cli, c, cli_flag(cli, FLAG_QUICK) != NULL, true, &bad);
    care_close(c);
    if (rc != 0)
        return rc;
    if (bad == 0)
        out_note("%s is sound", url_sqlite_path(cli->conf->store_url));
    else
        out_note("%d check%s failed", bad, bad == 1 ? "" : "s");
    return bad == 0 ? CLI_OK : CLI_NO;
}
