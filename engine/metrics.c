/* engine/metrics.c: the rows and their text (Prometheus exposition format 0.0.4). Every series is
 * there from the start, at 0. */
#include "engine/metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"

/* Upper bounds in seconds; +Inf is implied. */
static const double attempt_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                        1,     2.5,  5,     10,   30,  60};
enum { BOUNDS = sizeof attempt_bounds / sizeof *attempt_bounds };

struct histogram {
    int64_t buckets[BOUNDS + 1], n;
    double sum;
};
_Static_assert((int)TIMING_BOUNDS == (int)BOUNDS, "one way to write them");
enum phase { PHASE_DNS, PHASE_CONNECT, PHASE_TLS, PHASE_WAIT, PHASE_TRANSFER, PHASES };

struct metrics {
    int64_t ingested[3], unrouted, rejected, duplicates;
    int64_t attempts[OUTCOMES][3];
    int64_t completed[DELIVERY_STATES], dead[CAUSES];
    int64_t replays[2], rate_held;
    int64_t http_requests;
    struct histogram attempt, phase[PHASES], end_to_end, pickup, http;
    bool reload_ok;
    int64_t reload_ms, started_ms;
};

static const char *const source_names[] = {"outbox", "api", "cli"};
static const char *const trigger_names[] = {"first", "retry", "replay"};
static const char *const phase_names[PHASES] = {"dns", "connect", "tls", "wait", "transfer"};

struct metrics *metrics_new(void)
{
    struct metrics *m = calloc(1, sizeof *m);

    if (m != NULL)
        m->started_ms = clock_wall_ms();
    return m;
}

void metrics_free(struct metrics *m)
{
    free(m);
}

struct metrics *metrics_copy(const struct metrics *m)
{
    struct metrics *copy = malloc(sizeof *copy);

    if (copy != NULL)
        *copy = *m;
    return copy;
}

static void add(int64_t *to, const int64_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

static void add_histogram(struct histogram *to, const struct histogram *from)
{
    add(to->buckets, from->buckets, BOUNDS + 1);
    to->n += from->n;
    to->sum += from->sum;
}

void metrics_add(struct metrics *to, const struct metrics *m)
{
    add(to->ingested, m->ingested, 3);
    to->unrouted += m->unrouted;
    to->rejected += m->rejected;
    to->duplicates += m->duplicates;
    for (int o = 0; o < OUTCOMES; o++)
        add(to->attempts[o], m->attempts[o], 3);
    add(to->completed, m->completed, DELIVERY_STATES);
    add(to->dead, m->dead, CAUSES);
    add(to->replays, m->replays, 2);
    to->rate_held += m->rate_held;
    to->http_requests += m->http_requests;
    add_histogram(&to->attempt, &m->attempt);
    for (int p = 0; p < PHASES; p++)
        add_histogram(&to->phase[p], &m->phase[p]);
    add_histogram(&to->end_to_end, &m->end_to_end);
    add_histogram(&to->pickup, &m->pickup);
    add_histogram(&to->http, &m->http);
}

static void observe(struct histogram *h, double seconds)
{
    size_t i = 0;

    while (i < BOUNDS && seconds > attempt_bounds[i])
        i++;
    h->buckets[i]++;
    h->n++;
    h->sum += seconds;
}

void metrics_ingested(struct metrics *m, enum metrics_source source, int64_t n)
{
    m->ingested[source] += n;
}

void metrics_unrouted(struct metrics *m, int64_t n)
{
    m->unrouted += n;
}

void metrics_rejected(struct metrics *m, int64_t n)
{
    m->rejected += n;
}

void metrics_duplicates(struct metrics *m, int64_t n)
{
    m->duplicates += n;
}

void metrics_attempt(struct metrics *m, const struct attempt *a, enum metrics_trigger t)
{
    const int32_t us[PHASES] = {a->dns_us, a->connect_us, a->tls_us, a->wait_us, a->transfer_us};

    m->attempts[a->outcome][t]++;
    observe(&m->attempt, (double)a->duration_us / 1e6);
    for (int p = 0; p < PHASES; p++)
        if (us[p] >= 0)
            observe(&m->phase[p], (double)us[p] / 1e6);
    if (t == METRICS_REPLAY)
        m->replays[a->outcome == OUTCOME_SUCCESS ? 0 : 1]++;
}

void metrics_completed(struct metrics *m, enum delivery_state result, enum cause cause,
                       int64_t e2e_ms)
{
    m->completed[result]++;
    if (result == DELIVERY_DEAD)
        m->dead[cause]++;
    if (e2e_ms >= 0)
        observe(&m->end_to_end, (double)e2e_ms / 1e3);
}

void metrics_pickup(struct metrics *m, int64_t ms)
{
    observe(&m->pickup, (double)(ms > 0 ? ms : 0) / 1e3);
}

void metrics_rate_held(struct metrics *m)
{
    m->rate_held++;
}

void metrics_http_request(struct metrics *m, int64_t us)
{
    m->http_requests++;
    observe(&m->http, (double)us / 1e6);
}

void metrics_reload(struct metrics *m, bool ok, int64_t wall_ms)
{
    m->reload_ok = ok;
    if (ok)
        m->reload_ms = wall_ms;
}

/* ---- text ---- */
static void head(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void plain(struct buf *out, const char *name, const char *type, const char *help,
                  double value)
{
    head(out, name, type, help);
    buf_addf(out, "%s %.15g\n", name, value); /* 17 would show 0.633 as 0.6329999 */
}

static void series(struct buf *out, const char *name, const char *label, const char *value,
                   int64_t n)
{
    buf_addf(out, "%s{%s=\"%s\"} %lld\n", name, label, value, (long long)n);
}

static void histogram_body(struct buf *out, const char *name, const char *label,
                           const double bounds[BOUNDS], const struct histogram *h)
{
    const char *comma = label[0] != '\0' ? "," : "";
    int64_t below = 0;

    for (size_t i = 0; i < BOUNDS; i++) {
        below += h->buckets[i];
        buf_addf(out, "%s_bucket{%s%sle=\"%g\"} %lld\n", name, label, comma, bounds[i],
                 (long long)below);
    }
    buf_addf(out, "%s_bucket{%s%sle=\"+Inf\"} %lld\n", name, label, comma, (long long)h->n);
    const char *open = label[0] != '\0' ? "{" : "", *close = label[0] != '\0' ? "}" : "";
    buf_addf(out, "%s_sum%s%s%s %.9g\n", name, open, label, close, h->sum);
    buf_addf(out, "%s_count%s%s%s %lld\n", name, open, label, close, (long long)h->n);
}

static void histogram(struct buf *out, const char *name, const char *help,
                      const struct histogram *h)
{
    head(out, name, "histogram", help);
    histogram_body(out, name, "", attempt_bounds, h);
}

static void write_counters(const struct metrics *m, struct buf *out)
{
    head(out, "webhookd_events_ingested_total", "counter", "Events accepted.");
    for (int i = 0; i < 3; i++)
        series(out, "webhookd_events_ingested_total", "source", source_names[i], m->ingested[i]);
    plain(out, "webhookd_events_unrouted_total", "counter",
          "Accepted events that no subscription matched.", (double)m->unrouted);
    plain(out, "webhookd_events_rejected_total", "counter", "Outbox rows that became rejects.",
          (double)m->rejected);
    plain(out, "webhookd_events_duplicate_total", "counter",
          "Events that had been accepted before.", (double)m->duplicates);
    head(out, "webhookd_attempts_total", "counter",
         "HTTP exchanges by outcome and by what started them.");
    for (int o = 0; o < OUTCOMES; o++)
        for (int t = 0; t < 3; t++)
            buf_addf(out, "webhookd_attempts_total{outcome=\"%s\",attempt=\"%s\"} %lld\n",
                     outcome_name((enum outcome)o), trigger_names[t], (long long)m->attempts[o][t]);
    head(out, "webhookd_deliveries_completed_total", "counter",
         "Deliveries that reached a final state.");
    for (int s = DELIVERY_DELIVERED; s < DELIVERY_STATES; s++)
        series(out, "webhookd_deliveries_completed_total", "result",
               delivery_state_name((enum delivery_state)s), m->completed[s]);
    head(out, "webhookd_dead_letters_total", "counter", "Deliveries that died, by cause.");
    for (int c = CAUSE_NONE + 1; c < CAUSES; c++)
        series(out, "webhookd_dead_letters_total", "cause", cause_name((enum cause)c), m->dead[c]);
    head(out, "webhookd_replays_total", "counter",
         "First attempts of replayed dead letters, by result.");
    series(out, "webhookd_replays_total", "result", "delivered", m->replays[0]);
    series(out, "webhookd_replays_total", "result", "failed", m->replays[1]);
    head(out, "webhookd_rate_limited_total", "counter",
         "Deliveries held up by their subscription's rate; attempts answered 429.");
    series(out, "webhookd_rate_limited_total", "cause", "configured", m->rate_held);
    series(out, "webhookd_rate_limited_total", "cause", "http_429",
           m->attempts[OUTCOME_HTTP_429][METRICS_FIRST] +
               m->attempts[OUTCOME_HTTP_429][METRICS_RETRY] +
               m->attempts[OUTCOME_HTTP_429][METRICS_REPLAY]);
    plain(out, "webhookd_http_requests_total", "counter", "Requests to the api.",
          (double)m->http_requests);
}

static void write_histograms(const struct metrics *m, struct buf *out)
{
    const char *phases = "webhookd_attempt_phase_duration_seconds";

    histogram(out, "webhookd_attempt_duration_seconds", "Duration of one HTTP exchange.",
              &m->attempt);
    head(out, phases, "histogram", "Duration of each phase of an exchange.");
    for (int p = 0; p < PHASES; p++) {
        char label[32];

        (void)snprintf(label, sizeof label, "phase=\"%s\"", phase_names[p]);
        histogram_body(out, phases, label, attempt_bounds, &m->phase[p]);
    }
    histogram(out, "webhookd_end_to_end_latency_seconds", "From the event's creation to its 2xx.",
              &m->end_to_end);
    histogram(out, "webhookd_pickup_latency_seconds",
              "From the event's creation to the start of its first attempt.", &m->pickup);
    histogram(out, "webhookd_http_request_duration_seconds", "Duration of requests to the api.",
              &m->http);
}

/* What others know: gauges, and counters that they keep. */
static void write_now(const struct metrics *m, const struct metrics_now *now, struct buf *out)
{
    int64_t deliveries[DELIVERY_STATES];

    memcpy(deliveries, now->deliveries, sizeof deliveries);
    deliveries_in_flight(deliveries, now->in_flight, now->in_flight_retrying);
    head(out, "webhookd_deliveries", "gauge", "Deliveries by state, now.");
    for (int s = 0; s < DELIVERY_STATES; s++)
        series(out, "webhookd_deliveries", "state", delivery_state_name((enum delivery_state)s),
               deliveries[s]);
    plain(out, "webhookd_oldest_due_timestamp_seconds", "gauge",
          "Due time of the oldest ready delivery; 0: none.", (double)now->oldest_due_ms / 1e3);
    plain(out, "webhookd_attempts_in_flight", "gauge", "Exchanges under way.",
          (double)now->in_flight);
    plain(out, "webhookd_attempts_in_flight_limit", "gauge", "delivery.max_in_flight.",
          (double)now->in_flight_limit);
    head(out, "webhookd_subscriptions", "gauge", "Subscriptions by state.");
    for (int s = SUB_ACTIVE; s < SUB_DELETED; s++)
        series(out, "webhookd_subscriptions", "state", sub_state_name((enum sub_state)s),
               now->subscriptions[s]);
    plain(out, "webhookd_circuits_open", "gauge", "Subscriptions whose breaker is not closed.",
          (double)now->breakers_open);
    plain(out, "webhookd_egress_paused", "gauge",
          "1: the kill switch is on, nothing is sent to anybody.", now->egress_paused ? 1 : 0);
    plain(out, "webhookd_jobs", "gauge", "Active jobs.", (double)now->jobs_active);
    plain(out, "webhookd_rejects", "gauge", "Outbox rejects that wait for an operator.",
          (double)now->rejects);
    plain(out, "webhookd_connections_opened_total", "counter", "Connections opened to endpoints.",
          (double)now->connections_opened);
    plain(out, "webhookd_connections_reused_total", "counter",
          "Exchanges on a connection that was open.", (double)now->connections_reused);
    plain(out, "webhookd_request_bytes_total", "counter", "Bytes of bodies sent to endpoints.",
          (double)now->request_bytes);
    plain(out, "webhookd_response_bytes_total", "counter",
          "Bytes of their answers that were read, heads included.", (double)now->response_bytes);
    plain(out, "webhookd_filesystem_free_bytes", "gauge", "Free space where the store is.",
          (double)now->free_bytes);
    plain(out, "webhookd_config_last_reload_successful", "gauge",
          "1: the last reload was taken over.", m->reload_ok ? 1 : 0);
    plain(out, "webhookd_config_last_reload_success_timestamp_seconds", "gauge",
          "When one last was.", (double)m->reload_ms / 1e3);
}

static void write_timing(const char *name, enum store_op op, const struct timing *t,
                         struct buf *out)
{
    struct histogram h = {.n = t->n, .sum = (double)t->us / 1e6};
    double bounds[BOUNDS];
    char label[32];

    for (size_t i = 0; i < BOUNDS; i++)
        bounds[i] = (double)timing_bounds_us[i] / 1e6;
    memcpy(h.buckets, t->buckets, sizeof h.buckets);
    (void)snprintf(label, sizeof label, "op=\"%s\"", store_op_name(op));
    histogram_body(out, name, label, bounds, &h);
}

static void write_store(const struct store_stats *s, struct buf *out)
{
    const char *durations = "webhookd_storage_operation_duration_seconds";

    plain(out, "webhookd_storage_commits_total", "counter", "Transactions committed.",
          (double)s->commits);
    plain(out, "webhookd_storage_requests_total", "counter", "Requests to the store.",
          (double)s->requests);
    plain(out, "webhookd_storage_database_bytes", "gauge", "Database and its log.",
          (double)s->file_bytes);
    plain(out, "webhookd_storage_wal_bytes", "gauge", "What is in the database's log.",
          (double)s->log_bytes);
    head(out, "webhookd_storage_errors_total", "counter", "Operations that the store failed at.");
    for (int op = 0; op < STORE_OPS; op++)
        series(out, "webhookd_storage_errors_total", "op", store_op_name((enum store_op)op),
               s->ops[op].errors);
    head(out, durations, "histogram", "Duration of the store's operations.");
    for (int op = 0; op < STORE_OPS; op++)
        write_timing(durations, (enum store_op)op, &s->ops[op], out);
}

static int64_t resident_bytes(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f != NULL && fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f != NULL)
        fclose(f);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static int open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = -3; /* ".", ".." and the folder's own */

    if (d == NULL)
        return 0;
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static void write_process(const struct metrics *m, struct buf *out)
{
    struct rusage used;
    struct rlimit files;

    if (getrusage(RUSAGE_SELF, &used) == 0)
        plain(out, "process_cpu_seconds_total", "counter", "CPU time of this process.",
              (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                  (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    plain(out, "process_resident_memory_bytes", "gauge", "Memory in use.",
          (double)resident_bytes());
    plain(out, "process_open_fds", "gauge", "Descriptors in use.", open_fds());
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        plain(out, "process_max_fds", "gauge", "Descriptors that may be used.",
              (double)files.rlim_cur);
    plain(out, "process_start_time_seconds", "gauge", "When this process started.",
          (double)m->started_ms / 1e3);
}

void metrics_write(const struct metrics *m, const struct metrics_now *now, struct buf *out)
{
    head(out, "webhookd_build_info", "gauge", "The version.");
    buf_addf(out, "webhookd_build_info{version=\"%s\",revision=\"%s\"} 1\n", WEBHOOKD_VERSION,
             WEBHOOKD_GIT);
    write_counters(m, out);
    write_now(m, now, out);
    write_store(&now->store, out);
    write_histograms(m, out);
    write_process(m, out);
}
