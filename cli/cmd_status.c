/* cli/cmd_status.c: the daemon at a glance. Never takes the store's lock. */
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/out.h"

static const struct out_column fields[] = {{"Version", "version", OUT_TEXT},
                                           {"Pid", "pid", OUT_TEXT},
                                           {"Started", "started_at", OUT_TIME},
                                           {"Configuration", "config_loaded_at", OUT_TIME},
                                           {"Store", "store.url", OUT_TEXT},
                                           {"Store size", "store.file_bytes", OUT_BYTES},
                                           {"Pending", "deliveries.pending", OUT_TEXT},
                                           {"Retrying", "deliveries.retrying", OUT_TEXT},
                                           {"Held", "deliveries.held", OUT_TEXT},
                                           {"Delivered", "deliveries.delivered", OUT_TEXT},
                                           {"Dead", "deliveries.dead", OUT_TEXT},
                                           {"In flight", "in_flight", OUT_TEXT},
                                           {"In flight max", "in_flight_limit", OUT_TEXT},
                                           {"Delivered/s", "delivered_per_second", OUT_TEXT},
                                           {"Broken", "breakers_open", OUT_TEXT},
                                           {"Rejects", "rejects", OUT_TEXT},
                                           {"Jobs", "jobs_active", OUT_TEXT},
                                           OUT_COLUMNS_END};

static void egress_print(const struct cli *cli, const json_t *egress)
{
    static const struct out_column egress_fields[] = {{"Paused", "since", OUT_TIME},
                                                      {"Resumes", "resume_at", OUT_TIME},
                                                      {"By", "actor", OUT_TEXT},
                                                      {"Note", "note", OUT_TEXT},
                                                      OUT_COLUMNS_END};

    if (!json_is_true(json_object_get(egress, "paused")))
        return;
    puts("EGRESS IS PAUSED: nothing is sent to anybody; webhookctl egress resume ends it");
    out_fields(cli, egress, egress_fields);
}

int cmd_status(struct cli *cli)
{
    struct client_request r = {.method = "GET", .path = "/api/v1/status", .daemon_only = true};
    struct answer a;
    int rc = client_send(cli, &r, &a);

    if (rc != 0)
        return rc;
    rc = client_judge(cli, &a, CLI_INTERNAL);
    if (rc == 0) {
        bool ready = json_is_true(json_object_get(a.json, "ready"));

        if (cli->format == OUT_TABLE) {
            printf("webhookd is %s%s\n", ready ? "ready" : "not ready",
                   json_is_true(json_object_get(a.json, "draining")) ? ", draining" : "");
            egress_print(cli, json_object_get(a.json, "egress"));
            out_fields(cli, a.json, fields);
            if (out_integer(a.json, "deliveries.dead") > 0)
                out_note("Next: webhookctl dlq summary");
        } else {
            out_json_raw(a.raw.data, a.raw.len);
        }
        rc = ready ? CLI_OK : CLI_NO;
    }
    answer_fini(&a);
    return rc;
}
