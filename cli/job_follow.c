/* cli/job_follow.c: see job_follow.h.
 *
 *   look ─▶ canary, what it waits for (a line each, once) ─▶ bar or line ─▶ … ─▶ report
 *
 * With the daemon stopped a job that delivers nothing gets on by being looked at. */
#include "cli/job_follow.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "cli/object.h"
#include "cli/progress.h"

#define POLL_NS 100000000L
enum {
    ERRORS_SHOWN = 3,
    SAID_MAX = 32,
    LOOKS = 50,             /* the rate is that of some 5 s */
    STUCK_AFTER_MS = 30000, /* no outcome for so long, nobody before it: it goes on by itself */
};

struct follow {
    struct cli *cli;
    const char *id;
    struct progress progress;
    int64_t start_ms;
    struct {
        int64_t at_ms, done;
    } looks[LOOKS]; /* a ring of the last ones */
    size_t looks_n;
    int64_t tried, moved_ms; /* outcomes, and when there was one last */
    char waits[160];         /* what everything that is active waits for; "": it does not */
    bool step;               /* nobody but us gets it on */
    bool canary;             /* said that it is through */
    char said[SAID_MAX][96]; /* subscriptions and what they wait for */
    size_t said_n;
};

static bool is(const json_t *object, const char *path, const char *word)
{
    const char *text = out_string(object, path);

    return text != NULL && strcmp(text, word) == 0;
}

static int64_t count(const json_t *job, const char *name)
{
    return out_integer(json_object_get(job, "counts"), name);
}

static bool job_over(const json_t *job)
{
    return !is(job, "state", "active") && !is(job, "state", "paused");
}

/* Where its copies go; NULL: what it sends are the originals. */
static const char *copies_to(const json_t *job)
{
    return out_string(job, "options.to");
}

/* ---- while it runs ---- */
static int job_ask(struct follow *f, struct answer *a)
{
    int rc = f->step ? object_change(f->cli, "POST", "jobs", f->id, "step", NULL, a)
                     : object_get(f->cli, "jobs", f->id, NULL, a);

    if (rc == 0)
        f->step = a->in_process && !json_is_true(json_object_get(a->json, "delivers")) &&
                  is(a->json, "state", "active");
    return rc;
}

static bool say_once(struct follow *f, const char *what)
{
    for (size_t i = 0; i < f->said_n; i++)
        if (strncmp(f->said[i], what, sizeof f->said[i] - 1) == 0)
            return false;
    if (f->said_n == SAID_MAX)
        return false;
    text_copy(f->said[f->said_n++], sizeof f->said[0], what);
    progress_clear(&f->progress);
    return true;
}

/* "does not answer (503)" */
static const char *wait_words(const json_t *part, char out[64])
{
    const char *word = out_string(part, "waits_for"), *how = out_string(part, "last_failure");

    if (word == NULL || strcmp(word, "endpoint_down") != 0)
        return word != NULL && strstr(word, "disabled") != NULL ? "is disabled" : "is paused";
    snprintf(out, 64, how ? "does not answer (%s)" : "does not answer", how);
    return out;
}

/* What a part waits for, and what ends that. */
static void say_waits(struct follow *f, const json_t *part)
{
    static const struct {
        const char *word, *text;
    } rows[] = {
        {"subscription_paused", "its letters wait. Go on: webhookctl sub resume"},
        {"subscription_disabled", "its letters wait. Go on: webhookctl sub enable"},
        {"endpoint_down", "webhookd tries it now and then. Look: webhookctl sub show"},
    };
    const char *name = out_string(part, "subscription"), *word = out_string(part, "waits_for");
    char key[160], how[64];

    snprintf(key, sizeof key, "%s %s", word ? word : "", name ? name : "");
    if (word != NULL && strcmp(word, "egress_paused") == 0 && say_once(f, word))
        out_note("Egress is paused: nothing is sent to anybody. Go on: webhookctl egress resume");
    for (size_t i = 0; word != NULL && i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(word, rows[i].word) == 0 && say_once(f, key))
            out_note("%s %s; %s %s", name, wait_words(part, how), rows[i].text, name);
}

/* Letters that are queued for those who wait: they are not in flight. */
static int64_t look_at_waits(struct follow *f, const json_t *job)
{
    const json_t *parts = json_object_get(job, "subscriptions"), *part;
    int64_t held = 0, tried = count(job, "tried");
    char how[64];
    size_t i, active = 0, waiting = 0;

    *f->waits = '\0';
    json_array_foreach(parts, i, part)
    {
        if (!is(part, "state", "active"))
            continue;
        active++;
        if (out_string(part, "waits_for") == NULL)
            continue;
        held += count(part, "waiting");
        if (waiting++ == 0)
            snprintf(f->waits, sizeof f->waits, "%s %s",
                     is(part, "waits_for", "egress_paused") ? "egress"
                                                            : out_string(part, "subscription"),
                     wait_words(part, how));
    }
    size_t n = strlen(f->waits);

    if (waiting > 1)
        snprintf(f->waits + n, sizeof f->waits - n, " and %zu others wait", waiting - 1);
    if (waiting == 0 || waiting < active)
        *f->waits = '\0';
    if (tried != f->tried || *f->waits == '\0')
        f->moved_ms = clock_mono_ms();
    f->tried = tried;
    return held;
}

/* Outcomes a second, of the last seconds. */
static double rate_now(struct follow *f, int64_t done)
{
    int64_t now_ms = clock_mono_ms();
    size_t last = f->looks_n++ % LOOKS, first = f->looks_n > LOOKS ? f->looks_n % LOOKS : 0;

    f->looks[last].at_ms = now_ms;
    f->looks[last].done = done;
    int64_t ms = now_ms - f->looks[first].at_ms;

    return ms > 0 ? (double)(done - f->looks[first].done) * 1000 / (double)ms : 0;
}

/* Said once, when it is through everywhere (or has nothing left to wait for). */
static void say_canary(struct follow *f, const json_t *job)
{
    const json_t *parts = json_object_get(job, "subscriptions"), *part;
    int64_t wanted = 0, delivered = 0;
    size_t i;

    if (f->canary)
        return;
    json_array_foreach(parts, i, part)
    {
        if (count(part, "selected") == 0)
            continue;
        if (!json_is_true(out_member(part, "canary.through")))
            return;
        wanted += out_integer(part, "canary.wanted");
        delivered += out_integer(part, "canary.delivered");
    }
    if (wanted == 0)
        return;
    f->canary = true;
    progress_clear(&f->progress);
    out_note("canary  %lld/%lld delivered at the first attempt", (long long)delivered,
             (long long)wanted);
}

static void show(struct follow *f, const json_t *job)
{
    const json_t *parts = json_object_get(job, "subscriptions"), *part;
    bool delivers = json_is_true(json_object_get(job, "delivers"));
    int64_t done = count(job, "done");
    char text[320] = "", pace[200];
    size_t i;

    if (delivers) {
        say_canary(f, job);
        json_array_foreach(parts, i, part) say_waits(f, part);
        int64_t held = look_at_waits(f, job);
        double rate = rate_now(f, done);

        if (*f->waits)
            snprintf(pace, sizeof pace, "waiting: %s", f->waits);
        else
            snprintf(pace, sizeof pace, "%.1f/s", rate);
        snprintf(text, sizeof text, "%s  delivered %lld  failed %lld  in flight %lld", pace,
                 (long long)count(job, "delivered"),
                 (long long)(count(job, "dead_again") + count(job, "discarded") +
                             count(job, "retrying")),
                 (long long)(count(job, "waiting") - held));
    }
    progress_show(&f->progress, done, count(job, "selected"), text);
}

/* ---- at the end ---- */
static int job_exit(const json_t *job)
{
    int64_t done = json_is_true(json_object_get(job, "delivers")) ? count(job, "delivered")
                                                                  : count(job, "done");

    if (done >= count(job, "selected"))
        return CLI_OK;
    return done > 0 ? CLI_PARTIAL : CLI_NO;
}

static void put_count(struct buf *out, const json_t *job, const char *name, const char *word,
                      bool always)
{
    if (always || count(job, name) > 0)
        buf_addf(out, "%s%lld %s", out->len > 0 ? ", " : "", (long long)count(job, name), word);
}

static void report_line(const char *id, const json_t *job)
{
    struct buf text;

    buf_init(&text, 512);
    if (json_is_true(json_object_get(job, "delivers"))) {
        put_count(&text, job, "delivered", "delivered", true);
        put_count(&text, job, "retrying", "retrying", false);
        put_count(&text, job, "waiting", "on their way", false);
        if (copies_to(job) != NULL)
            put_count(&text, job, "discarded", "failed (discarded)", true);
        else
            put_count(&text, job, "dead_again", is(job, "kind", "resend") ? "dead" : "dead again",
                      true);
        put_count(&text, job, "not_sent", "not sent", false);
        put_count(&text, job, "excluded", "left out", false);
    } else {
        put_count(&text, job, "done", "done", true);
    }
    printf("%s %s: ", id, out_string(job, "state"));
    if (copies_to(job) != NULL)
        printf("sent to %s: ", copies_to(job));
    printf("%s, in %.1f s\n", text.data,
           json_number_value(json_object_get(job, "elapsed_seconds")));
    buf_fini(&text);
}

/* Why no more copies of a subscription's were sent. */
static void report_copies(const json_t *part)
{
    const char *name = out_string(part, "subscription"), *reason = out_string(part, "reason");

    if (reason == NULL)
        return;
    if (strcmp(reason, "subscription_deleted") == 0)
        out_note(
            "A subscription that is not known here any more: no copies of its %lld can be signed.",
            (long long)count(part, "excluded"));
    else
        out_note("Copies of %s's stopped: %s; %lld were not sent.", name,
                 strcmp(reason, "canary_failed") == 0 ? "the first ones failed, one after the other"
                                                      : "too many of the last ones failed",
                 (long long)count(part, "not_sent"));
}

/* What was copied is where it was. */
static void report_originals(const char *id, const json_t *job)
{
    const json_t *parts = json_object_get(job, "subscriptions");
    const char *one =
        json_array_size(parts) == 1 ? out_string(json_array_get(parts, 0), "subscription") : NULL;

    if (count(job, "queued") > 0)
        out_note("What the endpoint said to each: webhookctl delivery list --job %s", id);
    if (is(job, "kind", "replay"))
        out_note("The letters themselves are still dead. To send them: the same again without --to "
                 "(webhookctl dlq replay%s%s …)",
                 one ? " -s " : "", one ? one : "");
}

/* Why a subscription's letters were left out, or stopped, and what to do about it. */
static void report_part(const json_t *job, const json_t *part)
{
    static const struct {
        const char *reason, *text, *next;
    } rows[] = {
        {"canary_failed", "stopped: its first letters failed, one after the other",
         "webhookctl sub show %s"},
        {"too_many_failures", "stopped: too many of the last letters failed",
         "webhookctl sub show %s"},
        {"subscription_paused", "is paused: nothing was sent", "webhookctl sub resume %s"},
        {"subscription_disabled", "is disabled: nothing more is sent", "webhookctl sub enable %s"},
        {"subscription_deleted", "is deleted: nothing can be sent", NULL},
    };
    const char *name = out_string(part, "subscription"), *reason = out_string(part, "reason");
    int64_t again = count(part, "dead_again");
    int64_t unsent = count(part, "not_sent") + count(part, "excluded");
    char next[160] = "", dead[64] = "";

    bool resend = is(job, "kind", "resend");

    if (again > 0)
        snprintf(dead, sizeof dead, resend ? ", %lld are dead" : " (%lld died again)",
                 (long long)again);
    for (size_t i = 0; reason != NULL && i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(reason, rows[i].reason) != 0)
            continue;
        if (rows[i].next != NULL && name != NULL) {
            text_copy(next, sizeof next, "   Next: ");
            size_t n = strlen(next), verb = strcspn(rows[i].next, "%");
            snprintf(next + n, sizeof next - n, "%.*s%s", (int)verb, rows[i].next, name);
        }
        if (resend)
            out_note("%s %s; %lld were not sent%s.%s", name ? name : "A deleted subscription",
                     rows[i].text, (long long)unsent, dead, next);
        else
            out_note("%s %s; %lld of its letters are dead%s.%s",
                     name ? name : "A deleted subscription", rows[i].text,
                     (long long)(unsent + again), dead, next);
    }
}

static void report_errors(const json_t *job)
{
    const json_t *errors = json_object_get(job, "errors"), *row;
    size_t i;

    json_array_foreach(errors, i, row)
    {
        char status[24] = "";

        if (i == ERRORS_SHOWN) {
            out_note("  … and others");
            break;
        }
        if (out_integer(row, "status") > 0)
            snprintf(status, sizeof status, " %lld", (long long)out_integer(row, "status"));
        out_note("  %s %s %s%s", out_string(row, "delivery"), out_string(row, "state"),
                 out_string(row, "outcome") ? out_string(row, "outcome") : out_string(row, "cause"),
                 status);
    }
}

static void report_notes(const char *id, const json_t *job)
{
    const json_t *parts = json_object_get(job, "subscriptions"), *part;
    bool sent = count(job, "delivered") + count(job, "dead_again") + count(job, "retrying") > 0;
    size_t i;

    if (copies_to(job) != NULL)
        json_array_foreach(parts, i, part) report_copies(part);
    else
        json_array_foreach(parts, i, part) report_part(job, part);
    report_errors(job);
    if (count(job, "gone") > 0)
        out_note("%lld were gone when it was their turn: purged, replayed by somebody else, or "
                 "expired.",
                 (long long)count(job, "gone"));
    if (count(job, "retrying") + count(job, "waiting") > 0)
        out_note("What is retrying or on its way goes on by itself. Look: webhookctl delivery list "
                 "--job %s --state retrying",
                 id);
    if (copies_to(job) != NULL)
        report_originals(id, job);
    if (is(job, "state", "stopped") && count(job, "not_sent") > 0)
        out_note("When it is mended, the %lld that were not sent: webhookctl job resume %s",
                 (long long)count(job, "not_sent"), id);
    if (copies_to(job) != NULL)
        return;
    if (count(job, "dead_again") > 0)
        out_note("The %lld that died again: webhookctl dlq replay --job %s",
                 (long long)count(job, "dead_again"), id);
    if (sent)
        out_note("Each of them: webhookctl delivery list --job %s%s", id,
                 count(job, "dead_again") > 0 ? "   What is dead now: webhookctl dlq summary" : "");
}

static int report(struct follow *f, const struct answer *a)
{
    if (json_is_true(json_object_get(a->json, "delivers")))
        say_canary(f, a->json);
    if (!object_plain(f->cli, a, f->id))
        report_line(f->id, a->json);
    if (json_is_true(json_object_get(a->json, "delivers")))
        report_notes(f->id, a->json);
    return job_exit(a->json);
}

/* ---- the whole ---- */
static int say_later(const struct follow *f, const char *what)
{
    out_note("%s %s. Watch: webhookctl job watch %s   Stop: webhookctl job cancel %s", f->id, what,
             f->id, f->id);
    return CLI_LATER;
}

/* One look; -1: not over yet, else the exit code. */
static int look(struct follow *f)
{
    struct answer a;
    int rc = job_ask(f, &a);

    if (rc != 0)
        return rc;
    rc = -1;
    if (job_over(a.json)) {
        progress_clear(&f->progress);
        rc = report(f, &a);
    } else if (is(a.json, "state", "paused")) {
        progress_clear(&f->progress);
        out_note("%s is paused. Go on: webhookctl job resume %s", f->id, f->id);
        rc = CLI_LATER;
    } else if (a.in_process && !f->step) {
        progress_clear(&f->progress);
        out_note("%s is %s; it goes on when webhookd starts.", f->id, out_string(a.json, "state"));
        rc = CLI_LATER;
    } else {
        show(f, a.json);
    }
    answer_fini(&a);
    return rc;
}

int job_follow(struct cli *cli, const char *id, int64_t wait_ms)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = POLL_NS};
    struct follow f = {.cli = cli, .id = id, .start_ms = clock_mono_ms()};
    int rc = -1;

    f.moved_ms = f.start_ms;

    progress_begin(&f.progress, cli);
    while (rc == -1) {
        rc = look(&f);
        if (rc == -1 && progress_interrupted()) {
            progress_clear(&f.progress);
            out_note("Detached; %s continues. Watch: webhookctl job watch %s   Stop: webhookctl "
                     "job cancel %s",
                     id, id, id);
            rc = CLI_INTERRUPTED;
        } else if (rc == -1 && wait_ms >= 0 && clock_mono_ms() - f.start_ms >= wait_ms) {
            progress_clear(&f.progress);
            rc = say_later(&f, "is not done yet and goes on");
        } else if (rc == -1 && wait_ms < 0 && !cli->err_tty &&
                   clock_mono_ms() - f.moved_ms >= STUCK_AFTER_MS) {
            out_note("Nothing came back for 30 s: %s.", f.waits);
            rc = say_later(&f, "goes on by itself when that is over");
        } else if (rc == -1 && !f.step) {
            nanosleep(&pause, NULL); /* a signal cuts it short */
        }
    }
    progress_end(&f.progress);
    return rc;
}
