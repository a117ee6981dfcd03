/* store/traffic.c: the arithmetic of traffic.h. */
#include "store/traffic.h"

enum { FAILING_IN_ROW = 3 };

const int64_t traffic_bounds_us[TRAFFIC_BUCKETS - 1] = {
    1000,   2000,    3000,    5000,    7000,    10000,    15000,   20000,
    30000,  50000,   70000,   100000,  150000,  200000,   300000,  500000,
    700000, 1000000, 1500000, 2500000, 5000000, 10000000, 30000000};

int64_t traffic_minute(int64_t ms)
{
    return ms - ms % TRAFFIC_MINUTE_MS;
}

void traffic_add(struct traffic *to, const struct traffic *from)
{
    to->ok += from->ok;
    to->failed += from->failed;
    to->retries += from->retries;
    to->dead += from->dead;
    for (int i = 0; i < TRAFFIC_BUCKETS; i++)
        to->buckets[i] += from->buckets[i];
}

static int bucket_of(int64_t us)
{
    int low = 0, high = TRAFFIC_BUCKETS - 1;

    while (low < high) {
        int mid = (low + high) / 2;

        if (us > traffic_bounds_us[mid])
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void traffic_count(struct traffic *t, const struct attempt *a)
{
    bool ok = a->outcome == OUTCOME_SUCCESS;

    t->ok += ok;
    t->failed += !ok;
    t->retries += a->n > 1;
    t->buckets[bucket_of(a->duration_us)]++;
}

int64_t traffic_percentile(const struct traffic *t, double fraction)
{
    int64_t n = 0, below = 0, from_us = 0;

    for (int i = 0; i < TRAFFIC_BUCKETS; i++)
        n += t->buckets[i];
    if (n <= 0)
        return -1;
    double rank = fraction * (double)n;
    for (int i = 0; i < TRAFFIC_BUCKETS; i++) {
        int64_t here = t->buckets[i];
        int64_t to_us = i < TRAFFIC_BUCKETS - 1 ? traffic_bounds_us[i] : TRAFFIC_LONGEST_US;

        if (here > 0 && (double)(below + here) >= rank)
            return from_us +
                   (int64_t)((double)(to_us - from_us) * (rank - (double)below) / (double)here);
        below += here;
        from_us = to_us;
    }
    return TRAFFIC_LONGEST_US;
}

void health_count(struct health *h, const struct attempt *a, int64_t now_ms)
{
    if (a->outcome == OUTCOME_SUCCESS) {
        h->ok_total++;
        h->last_success_ms = now_ms;
        h->failing_since_ms = h->in_row = 0;
        return;
    }
    h->failed_total++;
    h->last_failure_ms = now_ms;
    h->last_failure_status = a->status;
    h->last_failure_outcome = a->outcome;
    if (h->in_row++ == 0)
        h->failing_since_ms = now_ms;
}

void health_add(struct health *h, const struct health *then)
{
    bool succeeded = then->last_success_ms != 0;

    h->ok_total += then->ok_total;
    h->failed_total += then->failed_total;
    h->in_row = succeeded ? then->in_row : h->in_row + then->in_row;
    if (succeeded) {
        h->last_success_ms = then->last_success_ms;
        h->failing_since_ms = then->failing_since_ms;
    } else if (h->failing_since_ms == 0) {
        h->failing_since_ms = then->failing_since_ms;
    }
    if (then->last_failure_ms != 0) {
        h->last_failure_ms = then->last_failure_ms;
        h->last_failure_status = then->last_failure_status;
        h->last_failure_outcome = then->last_failure_outcome;
    }
}

bool health_failing(const struct health *h)
{
    return h->failing_since_ms != 0 && (h->in_row >= FAILING_IN_ROW || h->ok_total == 0);
}

int64_t sub_failing_since(const struct subscription *s)
{
    if (health_failing(&s->health))
        return s->health.failing_since_ms;
    return s->broken_since_ms;
}
