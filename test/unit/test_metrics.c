/* test/unit/test_metrics.c: every series from the start, sums that grow, text that promtool takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/metrics.h"

static char *written(struct metrics *m, const struct metrics_now *now)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    metrics_write(m, now, &out);
    assert_false(out.failed);
    return buf_take(&out);
}

static double value(const char *text, const char *series)
{
    size_t n = strlen(series);
    for (const char *p = text; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
        if (!strncmp(p, series, n) && p[n] == ' ')
            return strtod(p + n, NULL);
    print_error("no series %s\n", series);
    return -1;
}
#define VALUE(series, expected)                                                                    \
    do {                                                                                           \
        double v_ = value(text, series);                                                           \
        if (v_ < (expected)-1e-9 || v_ > (expected) + 1e-9) {                                      \
            print_error("%s: %g, not %g\n", series, v_, (double)(expected));                       \
            _fail(__FILE__, __LINE__);                                                             \
        }                                                                                          \
    } while (0)

static void test_all_there_at_zero(void **state)
{
    struct metrics *m = metrics_new();
    struct metrics_now now = {0};
    char *text = written(m, &now), series[128];
    (void)state;
    VALUE("webhookd_events_ingested_total{source=\"outbox\"}", 0);
    VALUE("webhookd_events_ingested_total{source=\"api\"}", 0);
    VALUE("webhookd_events_unrouted_total", 0);
    for (int o = 0; o < OUTCOMES; o++) {
        (void)snprintf(series, sizeof series,
                       "webhookd_attempts_total{outcome=\"%s\",attempt=\"%s\"}",
                       outcome_name((enum outcome)o), "replay");
        VALUE(series, 0);
    }
    for (int c = CAUSE_NONE + 1; c < CAUSES; c++) {
        (void)snprintf(series, sizeof series, "webhookd_dead_letters_total{cause=\"%s\"}",
                       cause_name((enum cause)c));
        VALUE(series, 0);
    }
    VALUE("webhookd_deliveries{state=\"pending\"}", 0);
    VALUE("webhookd_attempt_duration_seconds_count", 0);
    VALUE("webhookd_request_bytes_total", 0);
    VALUE("webhookd_response_bytes_total", 0);
    VALUE("webhookd_rate_limited_total{cause=\"configured\"}", 0);
    VALUE("webhookd_rate_limited_total{cause=\"http_429\"}", 0);
    VALUE("webhookd_storage_wal_bytes", 0);
    for (int op = 0; op < STORE_OPS; op++) {
        const char *name = store_op_name((enum store_op)op);

        (void)snprintf(series, sizeof series, "webhookd_storage_errors_total{op=\"%s\"}", name);
        VALUE(series, 0);
        (void)snprintf(series, sizeof series,
                       "webhookd_storage_operation_duration_seconds_count{op=\"%s\"}", name);
        VALUE(series, 0);
    }
    free(text);
    metrics_free(m);
}

static void test_they_count(void **state)
{
    struct metrics *m = metrics_new();
    struct metrics_now now = {.deliveries = {[DELIVERY_DEAD] = 7}, .in_flight = 3};
    struct attempt a = {.outcome = OUTCOME_HTTP_5XX,
                        .duration_us = 20000,
                        .dns_us = -1,
                        .connect_us = 1000,
                        .tls_us = -1,
                        .wait_us = 19000,
                        .transfer_us = 0};
    (void)state;
    metrics_ingested(m, METRICS_OUTBOX, 5);
    metrics_unrouted(m, 2);
    metrics_attempt(m, &a, METRICS_FIRST);
    a.duration_us = 90000000; /* beyond the last bound */
    metrics_attempt(m, &a, METRICS_RETRY);
    a.outcome = OUTCOME_HTTP_429;
    metrics_attempt(m, &a, METRICS_REPLAY);
    metrics_rate_held(m);
    metrics_rate_held(m);
    timing_add(&now.store.ops[STORE_OP_COMMIT], 250);
    timing_add(&now.store.ops[STORE_OP_COMMIT], 251);
    timing_add(&now.store.ops[STORE_OP_COMMIT], 20000000); /* beyond the last bound */
    now.store.ops[STORE_OP_COMMIT].errors = 4;
    metrics_completed(m, DELIVERY_DEAD, CAUSE_GONE, -1);
    metrics_completed(m, DELIVERY_DELIVERED, CAUSE_NONE, 250);
    char *text = written(m, &now);
    VALUE("webhookd_events_ingested_total{source=\"outbox\"}", 5);
    VALUE("webhookd_events_unrouted_total", 2);
    VALUE("webhookd_attempts_total{outcome=\"http_5xx\",attempt=\"first\"}", 1);
    VALUE("webhookd_attempts_total{outcome=\"http_5xx\",attempt=\"retry\"}", 1);
    VALUE("webhookd_dead_letters_total{cause=\"gone\"}", 1);
    VALUE("webhookd_deliveries_completed_total{result=\"delivered\"}", 1);
    VALUE("webhookd_deliveries{state=\"dead\"}", 7);
    VALUE("webhookd_attempts_in_flight", 3);
    VALUE("webhookd_attempt_duration_seconds_bucket{le=\"0.025\"}", 1);
    VALUE("webhookd_attempt_duration_seconds_bucket{le=\"60\"}", 1);
    VALUE("webhookd_attempt_duration_seconds_bucket{le=\"+Inf\"}", 3);
    VALUE("webhookd_attempt_duration_seconds_sum", 180.02);
    VALUE("webhookd_rate_limited_total{cause=\"configured\"}", 2);
    VALUE("webhookd_rate_limited_total{cause=\"http_429\"}", 1);
#define COMMITS(what) "webhookd_storage_operation_duration_seconds_" what
    VALUE(COMMITS("bucket{op=\"commit\",le=\"0.0001\"}"), 0);
    VALUE(COMMITS("bucket{op=\"commit\",le=\"0.00025\"}"), 1);
    VALUE(COMMITS("bucket{op=\"commit\",le=\"0.0005\"}"), 2);
    VALUE(COMMITS("bucket{op=\"commit\",le=\"10\"}"), 2);
    VALUE(COMMITS("bucket{op=\"commit\",le=\"+Inf\"}"), 3);
    VALUE(COMMITS("count{op=\"commit\"}"), 3);
    VALUE(COMMITS("sum{op=\"commit\"}"), 20.000501);
    VALUE("webhookd_storage_errors_total{op=\"commit\"}", 4);
    VALUE("webhookd_attempt_phase_duration_seconds_count{phase=\"dns\"}", 0);
    VALUE("webhookd_attempt_phase_duration_seconds_count{phase=\"connect\"}", 3);
    VALUE("webhookd_end_to_end_latency_seconds_sum", 0.25);
    free(text);
    metrics_free(m);
}

static void test_promtool(void **state)
{
    struct metrics *m = metrics_new();
    struct metrics_now now = {.oldest_due_ms = 1700000000123};
    (void)state;
    if (system("command -v promtool >/dev/null") != 0) {
        metrics_free(m);
        skip();
    }
    char *text = written(m, &now);
    FILE *tool = popen("promtool check metrics >&2", "w");
    assert_non_null(tool);
    (void)fwrite(text, 1, strlen(text), tool);
    assert_int_equal(pclose(tool), 0);
    free(text);
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_there_at_zero),
        cmocka_unit_test(test_they_count),
        cmocka_unit_test(test_promtool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
