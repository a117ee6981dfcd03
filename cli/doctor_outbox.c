/* cli/doctor_outbox.c: the producers' databases: fit, and within webhookd's reach? */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "base/url.h"
#include "cli/doctor.h"
#include "cli/out.h"
#include "engine/outbox.h"

/* The worst line of outbox_check's report: "error: … fix: …". */
static void report_read(const struct buf *report, enum doctor_verdict *verdict, char *detail,
                        size_t room, char *fix, size_t fix_room)
{
    const char *at = report->data ? report->data : "";

    *verdict = DOCTOR_OK;
    while (*at) {
        size_t n = strcspn(at, "\n");
        enum doctor_verdict v = strncmp(at, "error: ", 7) == 0     ? DOCTOR_FAIL
                                : strncmp(at, "warning: ", 9) == 0 ? DOCTOR_WARN
                                                                   : DOCTOR_OK;
        const char *text = v == DOCTOR_FAIL ? at + 7 : v == DOCTOR_WARN ? at + 9 : at;

        if (v > *verdict) {
            const char *split = strstr(text, " fix: ");
            size_t len = n - (size_t)(text - at);

            *verdict = v;
            if (split != NULL && split < at + n) {
                snprintf(fix, fix_room, "%.*s", (int)(at + n - split - 6), split + 6);
                len = (size_t)(split - text);
            }
            snprintf(detail, room, "%.*s", (int)len, text);
        }
        at += n + (at[n] == '\n');
    }
}

/* What the running daemon says of it. */
static const json_t *state_of(const struct doctor *d, const char *name)
{
    const json_t *all = json_object_get(d->status, "outboxes"), *one;
    size_t i;

    json_array_foreach(all, i, one)
    {
        const char *its = out_string(one, "name");

        if (its != NULL && strcmp(its, name) == 0)
            return one;
    }
    return NULL;
}

static void reach(struct doctor *d, const char *check, const char *path)
{
    char folder[4096], fix[512];

    text_folder(folder, sizeof folder, path);
    if (d->user == (uid_t)-1 || d->user == 0)
        return;
    snprintf(fix, sizeof fix, "a shared group, setgid: chgrp GROUP %.180s && chmod 2770 %.180s",
             folder, folder);
    if (!doctor_user_may(d->user, folder, true))
        doctor_say(
            d, check, DOCTOR_FAIL, fix,
            "uid %u, whom webhookd runs as, cannot write to the folder %s: a reader of a WAL "
            "must",
            (unsigned)d->user, folder);
    else if (!doctor_user_may(d->user, path, false))
        doctor_say(d, check, DOCTOR_FAIL, "chmod 660, and the shared group",
                   "uid %u, whom webhookd runs as, cannot read and write %s", (unsigned)d->user,
                   path);
}

static void outbox_say(struct doctor *d, const struct conf_outbox *o)
{
    const char *path = url_sqlite_path(o->url);
    const json_t *state = state_of(d, o->name);
    const char *trouble = out_string(state, "error");
    char check[300], detail[512] = "", fix[512] = "";
    enum doctor_verdict verdict;
    struct err err = {OK, ""};
    struct buf report;

    snprintf(check, sizeof check, "outbox %s", o->name);
    if (trouble != NULL) {
        snprintf(fix, sizeof fix, "webhookctl outbox check %.400s tells more", path);
        doctor_say(d, check, DOCTOR_FAIL, fix, "%s", trouble);
        return;
    }
    if (access(path, F_OK) != 0) {
        if (errno == ENOENT)
            doctor_say(d, check, d->status ? DOCTOR_FAIL : DOCTOR_OK,
                       d->status ? "restart webhookd: it makes it" : NULL,
                       "%s is not there; webhookd makes it at its start", path);
        else
            doctor_say(d, check, DOCTOR_UNSEEN, "run this as root or as the producer's user",
                       "%s: %s", path, errno_text(errno));
        return;
    }
    if (access(path, R_OK | W_OK) != 0) {
        doctor_say(d, check, DOCTOR_UNSEEN, "run this as root or as the producer's user", "%s: %s",
                   path, errno_text(errno));
        return;
    }
    buf_init(&report, (size_t)1 << 20);
    enum err_code rc = outbox_check(path, o->table, &report, &err);

    report_read(&report, &verdict, detail, sizeof detail, fix, sizeof fix);
    if (rc != OK && verdict == DOCTOR_OK)
        doctor_say(d, check, DOCTOR_FAIL, NULL, "%s", err.text);
    else
        doctor_say(d, check, verdict, fix[0] ? fix : NULL, "%s%s %s", path, detail[0] ? ":" : "",
                   detail[0] ? detail : "is fit, and its table is there");
    buf_fini(&report);
    reach(d, check, path);
}

void doctor_outboxes(struct doctor *d)
{
    for (size_t i = 0; i < d->cli->conf->outbox_n; i++)
        outbox_say(d, &d->cli->conf->outbox[i]);
}
