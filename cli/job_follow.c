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
#include "cli/job_report.h"
#include "cli/job_words.h"
#include "cli/object.h"
#include "cli/progress.h"

#define POLL_NS 100000000L
enum {
    SAID_MAX = 32,
    STUCK_AFTER_MS = 30000, /* no outcome for so long, nobody before it: it goes on by itself */
};

struct follow {
    struct cli *cli;
    const char *id;
    struct progress progress;
    int64_t start_ms;
    double set_rate;         /* an operator may change it */
    int64_t tried, moved_ms; /* outcomes, and when there was one last */
    char waits[160];         /* what everything that is active waits for; "": it does not */
    bool step;               /* nobody but us gets it on */
    bool live;               /* a webhookd answered, which alone gets it on */
    int64_t away_ms;         /* since when none does; 0: one does */
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

/* ---- while it runs ---- */
static int job_ask(struct follow *f, struct answer *a)
{
    if (f->live)
        return object_get_live(f->cli, "jobs", f->id, a);
    int rc = f->step ? object_change(f->cli, "POST", "jobs", f->id, "step", NULL, a)
                     : object_get(f->cli, "jobs", f->id, NULL, a);

    if (rc == 0)
        f->live = !a->in_process && json_is_true(json_object_get(a->json, "delivers"));
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
    const char *how = out_string(part, "last_failure");

    if (!is(part, "waits_for", "endpoint_down"))
        return is(part, "waits_for", "subscription_disabled") ? "is disabled" : "is paused";
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

/* That moves, if slowly: nobody has to do anything. */
static bool is_backlog(const json_t *job)
{
    return is(job, "waits_for", "live_backlog");
}

/* "acme does not answer (503)", "acme: 888 live deliveries go first (10/s)" */
static void wait_text(const json_t *part, bool alone, char *out, size_t room)
{
    const char *name = out_string(part, "subscription");
    char how[64];
    struct buf words;

    if (is(part, "waits_for", "live_backlog")) {
        buf_init(&words, room);
        job_ahead_words(&words, part);
        snprintf(out, room, "%s%s%s", alone || name == NULL ? "" : name,
                 alone || name == NULL ? "" : ": ", words.data ? words.data : "");
        buf_fini(&words);
    } else {
        snprintf(out, room, "%s %s", is(part, "waits_for", "egress_paused") ? "egress" : name,
                 wait_words(part, how));
    }
}

/* Sets what all that is active waits for. Returns how many letters are on their way right now: those
 * that are queued stand in line with all that goes to their subscription. */
static int64_t look_at_waits(struct follow *f, const json_t *job)
{
    const json_t *parts = json_object_get(job, "subscriptions"), *part;
    int64_t in_flight = 0, tried = count(job, "tried");
    size_t i, active = 0, waiting = 0;

    *f->waits = '\0';
    json_array_foreach(parts, i, part)
    {
        int64_t busy = out_integer(part, "subscription_in_flight");
        int64_t queued = count(part, "waiting");

        if (out_string(part, "waits_for") == NULL)
            in_flight += queued < busy ? queued : busy;
        if (!is(part, "state", "active"))
            continue;
        active++;
        if (out_string(part, "waits_for") != NULL && waiting++ == 0)
            wait_text(part, json_array_size(parts) == 1, f->waits, sizeof f->waits);
    }
    size_t n = strlen(f->waits);

    if (waiting > 1)
        snprintf(f->waits + n, sizeof f->waits - n, " and %s others wait",
                 TEXT_COUNTED(waiting - 1));
    if (waiting == 0 || waiting < active)
        *f->waits = '\0';
    if (tried != f->tried || *f->waits == '\0' || is_backlog(job))
        f->moved_ms = clock_mono_ms();
    f->tried = tried;
    return in_flight;
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
    progress_anew(&f->progress);
    progress_clear(&f->progress);
    out_note("canary  %s/%s delivered at the first attempt", TEXT_COUNTED(delivered),
             TEXT_COUNTED(wanted));
}

static void show(struct follow *f, const json_t *job)
{
    const json_t *parts = json_object_get(job, "subscriptions"), *part;
    bool delivers = json_is_true(json_object_get(job, "delivers"));
    int64_t done = count(job, "done");
    char text[320] = "", pace[200] = "", again[40] = "";
    size_t i;

    if (delivers) {
        double set = json_number_value(out_member(job, "options.rate_per_second"));
        int64_t retrying = count(job, "retrying");

        say_canary(f, job);
        json_array_foreach(parts, i, part) say_waits(f, part);
        int64_t in_flight = look_at_waits(f, job);

        if (set != f->set_rate || *f->waits)
            progress_anew(&f->progress);
        f->set_rate = set;
        double rate = progress_rate(&f->progress, done);

        if (*f->waits)
            snprintf(pace, sizeof pace, "waiting: %s  ", f->waits);
        else if (rate >= 0)
            snprintf(pace, sizeof pace, "%.1f/s  ", rate);
        if (retrying > 0)
            snprintf(again, sizeof again, "  retrying %s", TEXT_COUNTED(retrying));
        snprintf(text, sizeof text, "%sdelivered %s  failed %s%s  in flight %s", pace,
                 TEXT_COUNTED(count(job, "delivered")),
                 TEXT_COUNTED(count(job, "dead_again") + count(job, "discarded")), again,
                 TEXT_COUNTED(in_flight));
    }
    progress_show(&f->progress, done, count(job, "selected"), text);
}

static int report(struct follow *f, const struct answer *a)
{
    if (json_is_true(json_object_get(a->json, "delivers")))
        say_canary(f, a->json);
    return job_report(f->cli, f->id, a);
}

/* ---- the whole ---- */
static int say_later(const struct follow *f, const char *what)
{
    out_note("%s %s.", f->id, what);
    job_say_commands(f->id);
    return CLI_LATER;
}

/* Whoever looks waits for a restart; where nobody looks, not for ever. -1: on. */
static int away(struct follow *f)
{
    int64_t now_ms = clock_mono_ms();

    if (f->away_ms == 0) {
        progress_clear(&f->progress);
        out_note(
            "webhookd does not answer (a restart?); waiting for it. %s goes on when it starts.",
            f->id);
        f->away_ms = now_ms;
    }
    if (f->cli->err_tty || now_ms - f->away_ms < STUCK_AFTER_MS)
        return -1;
    return say_later(f, "goes on when webhookd starts");
}

static void back(struct follow *f)
{
    if (f->away_ms == 0)
        return;
    out_note("webhookd is back");
    f->away_ms = 0;
    f->moved_ms = clock_mono_ms();
    progress_anew(&f->progress);
}

/* Somebody holds it: who, and how it goes on. */
static int say_paused(struct follow *f, const json_t *job)
{
    struct buf words;

    progress_clear(&f->progress);
    buf_init(&words, 8192);
    if (!job_state_by_words(f->cli, &words, job))
        buf_adds(&words, "paused");
    out_note("%s is %s: what it had queued goes on, nothing more of it does.", f->id,
             words.data ? words.data : "paused");
    out_note("Go on: webhookctl job resume %s", f->id);
    out_note("Watch: webhookctl job watch %s", f->id);
    buf_fini(&words);
    return CLI_LATER;
}

/* One look; -1: not over yet, else the exit code. */
static int look(struct follow *f)
{
    struct answer a;
    int rc = job_ask(f, &a);

    if (rc == -1)
        return away(f);
    if (rc != 0)
        return rc;
    back(f);
    rc = -1;
    if (job_over(a.json)) {
        progress_last(&f->progress);
        show(f, a.json);
        progress_clear(&f->progress);
        rc = report(f, &a);
    } else if (is(a.json, "state", "paused")) {
        rc = say_paused(f, a.json);
    } else if (a.in_process && !f->step) {
        progress_clear(&f->progress);
        rc = say_later(f, "goes on when webhookd starts");
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
            out_note("Detached; %s continues.", id);
            job_say_commands(id);
            rc = CLI_INTERRUPTED;
        } else if (rc == -1 && wait_ms >= 0 && clock_mono_ms() - f.start_ms >= wait_ms) {
            progress_clear(&f.progress);
            rc = say_later(&f, "is not done yet and goes on");
        } else if (rc == -1 && wait_ms < 0 && !cli->err_tty && f.away_ms == 0 &&
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
