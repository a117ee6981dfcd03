/* cli/doctor_endpoint.c: endpoint by endpoint: what the store knows of it, and, where asked for, one look
 * at it from here: name, address, connection, certificate. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "base/url.h"
#include "cli/doctor.h"
#include "cli/list.h"
#include "cli/object.h"
#include "cli/sub_words.h"

enum { SUBS_MAX = 10000, DAYS_FEW = 14 };

static bool collect(void *arg, const json_t *item)
{
    json_array_append_new(arg, json_deep_copy(item));
    return true;
}

static int subs_read(struct doctor *d, const char *const *names, size_t n, json_t *subs)
{
    char cursor[128];
    int rc = 0;

    if (n == 0)
        return filter_walk(d->cli, "/api/v1/subscriptions", NULL, SUBS_MAX, cursor, collect, subs);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct answer a;

        rc = object_get(d->cli, "subscriptions", names[i], NULL, &a);
        if (rc != 0)
            break;
        json_array_append(subs, a.json);
        answer_fini(&a);
    }
    return rc;
}

/* What is found out about one, worst first. */
struct finding {
    enum doctor_verdict verdict;
    struct buf detail;
    char fix[256];
};

__attribute__((format(printf, 4, 5))) static void
add(struct finding *f, enum doctor_verdict verdict, const char *fix, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    buf_addf(&f->detail, "%s%s", f->detail.len > 0 ? "; " : "", text);
    if (fix != NULL && (verdict > f->verdict || f->fix[0] == '\0'))
        text_copy(f->fix, sizeof f->fix, fix);
    if (verdict > f->verdict)
        f->verdict = verdict;
}

/* ---- what the store knows ---- */
/* "12m" */
static void ago_of(const json_t *sub, const char *member, char out[40])
{
    int64_t ms = ago_ms(json_object_get(sub, member));
    struct buf words;

    buf_init(&words, 64);
    if (ms >= 0)
        span_words(&words, ms);
    text_copy(out, 40, words.data ? words.data : "");
    buf_fini(&words);
}

static void state_find(const struct cli *cli, struct finding *f, const json_t *sub)
{
    const char *name = out_string(sub, "name"), *state = out_string(sub, "state");
    const char *until = out_string(sub, "resume_at");
    int64_t dead = out_integer(sub, "counts.dead");
    char fix[320], since[40], last[40];
    struct buf words;

    name = name ? name : "-";
    ago_of(sub, "failing_since", since);
    ago_of(sub, "last_success_at", last);
    if (state != NULL && strcmp(state, "disabled") == 0) {
        snprintf(fix, sizeof fix,
                 "webhookctl sub test %s, and where it accepts that: webhookctl sub enable %s",
                 name, name);
        buf_init(&words, 256);
        sub_state_words(cli, &words, sub);
        add(f, DOCTOR_FAIL, fix, "%s", words.data);
        buf_fini(&words);
    } else if (state != NULL && strcmp(state, "paused") == 0) {
        if (since[0] != '\0')
            snprintf(fix, sizeof fix,
                     "webhookctl sub test %s, and where it accepts that: webhookctl sub resume %s",
                     name, name);
        else
            snprintf(fix, sizeof fix, "webhookctl sub resume %s", name);
        add(f, DOCTOR_WARN, fix, "paused%s%s%s%s", until ? " until " : "", until ? until : "",
            since[0] ? ", failing for " : "", since);
    } else if (since[0] != '\0') {
        snprintf(fix, sizeof fix, "webhookctl attempt list -s %s --limit 5", name);
        buf_init(&words, 256);
        sub_state_words(cli, &words, sub);
        add(f, DOCTOR_FAIL, fix, "%s", words.data);
        buf_fini(&words);
    } else {
        add(f, DOCTOR_OK, NULL, last[0] ? "active, 2xx %s ago" : "active%s", last);
    }
    if (dead > 0) {
        snprintf(fix, sizeof fix, "webhookctl dlq summary -s %s", name);
        add(f, DOCTOR_WARN, fix, "%s dead letter%s", TEXT_COUNTED(dead), dead == 1 ? "" : "s");
    }
}

/* ---- what is seen from here ---- */
/* NULL: its URL may be dialled as far as the URL tells. */
static const char *url_refused(const struct conf *conf, const char *text, struct err *err)
{
    const char *kind = "policy", *why;
    bool literal = false;
    struct url u;

    if (url_parse(text, &u, err) != OK)
        return err->text;
    why = egress_judge_url(&conf->egress, u.scheme, u.host, u.port, &literal, &kind);
    url_fini(&u);
    return why;
}

static void certificate_fix(const char *url, char *out, size_t room)
{
    struct err err;
    struct url u;

    snprintf(out, room, "look at the partner's certificate");
    if (url_parse(url, &u, &err) != OK)
        return;
    snprintf(
        out, room,
        "look at the partner's certificate: openssl s_client -connect %.150s:%d -servername %.150s",
        u.host, (int)u.port, u.host);
    url_fini(&u);
}

static void probe_find(struct finding *f, const struct probe *p)
{
    int64_t days = (p->expires_ms - clock_wall_ms()) / 86400000;

    if (p->refused != NULL) {
        add(f, DOCTOR_FAIL, "a CIDR of egress.allow opens it, where that is meant",
            "%s may not be dialled: %s", p->address, p->refused);
        return;
    }
    if (!p->connected) {
        bool name = strcmp(p->step, "name") == 0, tls = strcmp(p->step, "tls") == 0;
        char shows[400];

        certificate_fix(p->url, shows, sizeof shows);
        add(f, DOCTOR_FAIL,
            name  ? "ask the partner, or look at the name server (/etc/resolv.conf)"
            : tls ? shows
                  : "the partner, or a firewall on the way",
            "%s%s%s: %s",
            name  ? "name"
            : tls ? "TLS with "
                  : "connection to ",
            name ? "" : p->address, "", p->error);
        return;
    }
    add(f, DOCTOR_OK, NULL, "%s connects in %lld ms", p->address, (long long)(p->took_us / 1000));
    if (p->expires_ms > 0)
        add(f, days < DAYS_FEW ? DOCTOR_WARN : DOCTOR_OK,
            days < DAYS_FEW ? "tell the partner to renew the certificate" : NULL,
            "certificate %s day%s left", TEXT_COUNTED(days), days == 1 ? "" : "s");
}

static void endpoint_say(struct doctor *d, const json_t *sub, const char *refused,
                         const struct probe *p)
{
    struct finding f = {.verdict = DOCTOR_OK};
    char check[128];

    buf_init(&f.detail, 8192);
    if (refused != NULL)
        add(&f, DOCTOR_FAIL, "see egress in webhookd.conf, or webhookctl sub set NAME url=URL",
            "its URL may not be dialled: %s", refused);
    else if (p != NULL)
        probe_find(&f, p);
    state_find(d->cli, &f, sub);
    snprintf(check, sizeof check, "endpoint %s", out_string(sub, "name"));
    if (p != NULL || refused != NULL || f.verdict != DOCTOR_OK)
        doctor_say(d, check, f.verdict, f.fix[0] ? f.fix : NULL, "%s",
                   f.detail.data ? f.detail.data : "");
    buf_fini(&f.detail);
}

/* Those whose URL may be dialled at all are dialled. */
static bool dial_all(struct doctor *d, const json_t *subs, const char **refused, struct err *errs,
                     struct probe *probes, size_t n)
{
    struct conf *conf = d->cli->conf;
    struct probe *dialled = calloc(n + 1, sizeof *dialled);
    size_t k = 0;

    for (size_t i = 0; dialled != NULL && i < n; i++) {
        const char *url = out_string(json_array_get(subs, i), "url");

        refused[i] = url_refused(conf, url ? url : "", &errs[i]);
        probes[i] = (struct probe){.url = url, .rules = &conf->egress, .step = ""};
        if (refused[i] == NULL)
            dialled[k++] = probes[i];
    }
    bool whole = dialled != NULL && probe_all(conf, dialled, k);

    for (size_t i = 0, at = 0; whole && i < n; i++)
        if (refused[i] == NULL)
            probes[i] = dialled[at++];
    free(dialled);
    return whole;
}

int doctor_endpoints(struct doctor *d, const char *const *names, size_t n, bool dial)
{
    json_t *subs = json_array();
    int rc = subs_read(d, names, n, subs);
    size_t all = rc == 0 ? json_array_size(subs) : 0;
    const char **refused = calloc(all + 1, sizeof(char *));
    struct err *errs = calloc(all + 1, sizeof *errs);
    struct probe *probes = calloc(all + 1, sizeof *probes);

    if (refused == NULL || errs == NULL || probes == NULL ||
        (rc == 0 && dial && !dial_all(d, subs, refused, errs, probes, all)))
        rc = out_fail(d->cli, CLI_INTERNAL, "internal", "out of memory");
    for (size_t i = 0; rc == 0 && i < all; i++)
        endpoint_say(d, json_array_get(subs, i), refused[i], dial ? &probes[i] : NULL);
    free(probes);
    free(errs);
    free(refused);
    json_decref(subs);
    return rc;
}
