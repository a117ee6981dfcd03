/* cli/cmd_partner.c: partners, and the audit trail. */
#include <stdio.h>

#include "cli/list.h"
#include "cli/object.h"

int cmd_partner_add(struct cli *cli)
{
    const char *name = cli->args->words_n > 0 ? cli->args->words[0] : cli_flag(cli, FLAG_NAME);
    struct answer a;

    if (name == NULL)
        return out_fail(cli, CLI_USAGE, "usage", "partner add needs a name");
    json_t *body = json_object();

    if (json_object_set_new(body, "name", json_string(name)) != 0) {
        json_decref(body);
        return out_fail(cli, CLI_USAGE, "usage", "the name is not UTF-8");
    }
    int rc = client_call_json(cli, "POST", "/api/v1/partners", body, &a);

    if (rc != 0)
        return rc;
    const char *id = out_string(a.json, "id");

    if (!object_plain(cli, &a, "-"))
        printf("%s %s  %s\n", out_created(cli), id ? id : "-", name);
    if (!out_dry(cli))
        out_note("Next: webhookctl sub add --partner %s --url URL --events PATTERN", name);
    answer_fini(&a);
    return CLI_OK;
}

int cmd_partner_list(struct cli *cli)
{
    static const struct out_column columns[] = {{"PARTNER", "id", OUT_TEXT},
                                                {"NAME", "name", OUT_TEXT},
                                                {"CREATED", "created_at", OUT_TIME},
                                                OUT_COLUMNS_END};

    return list_command(cli, "/api/v1/partners", columns, "No partners.");
}
