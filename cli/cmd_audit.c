/* cli/cmd_audit.c: who changed what. */
#include "cli/client.h"
#include "cli/list.h"

int cmd_audit_list(struct cli *cli)
{
    static const struct out_column columns[] = {{"TIME", "created_at", OUT_TIME},
                                                {"ACTOR", "actor", OUT_TEXT},
                                                {"ACTION", "action", OUT_TEXT},
                                                {"TARGET", "target_name|target", OUT_TEXT},
                                                {"NOTE", "detail.note", OUT_LONG, 1},
                                                {"DETAIL", "detail", OUT_WRAP},
                                                OUT_COLUMNS_END};
    static const enum flag_id own[] = {FLAG_ACTOR, FLAG_ACTION, FLAG_TARGET};
    struct filter_flags f;
    struct list l = {.path = "/api/v1/audit",
                     .filter = &f,
                     .columns = columns,
                     .empty = "No entry of the audit log matches."};
    bool more = false;
    size_t shown = 0;
    int rc = filter_flags_read(cli, &f);

    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (rc == 0 && cli_flag(cli, own[i]) != NULL)
            client_query(&f.query, flags_table[own[i]].name, cli_flag(cli, own[i]));
    }
    if (rc == 0)
        rc = filter_limit(cli, 50, &l.limit);
    if (rc == 0)
        rc = list_print(cli, &l, &shown, &more);
    if (rc == 0 && more && cli->format == OUT_TABLE)
        out_note("%zu shown, there are more; --limit N or --all for them", shown);
    filter_flags_fini(&f);
    return rc;
}
