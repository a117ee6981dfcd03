/* policy/verdict.c: what an attempt means: delivered, try again, or dead and why; and what it says
 * about the endpoint.
 *
 *   2xx ─▶ delivered     expired? ─▶ dead     410, refused URL, final 3xx/4xx ─▶ dead
 *   everything else ─▶ retry_next() ─▶ again, or dead
 *
 * The questions are asked in this order: a success counts although the event has expired since. */
#include "policy/verdict.h"

#define STATUS_GONE 410
#define STATUS_TOO_MANY 429
#define STATUS_UNAVAILABLE 503

enum fact_outcome verdict_outcome_of_status(int status)
{
    if (status >= 200 && status <= 299)
        return FACT_SUCCESS;
    if (status >= 300 && status <= 399)
        return FACT_HTTP_3XX;
    if (status == STATUS_TOO_MANY)
        return FACT_HTTP_429;
    if (status >= 400 && status <= 499)
        return FACT_HTTP_4XX;
    /* RFC 9110 15: a status that no class has is a server's fault; so is a final 1xx. */
    return FACT_HTTP_5XX;
}

static bool policy_names(const struct retry_policy *p, int status)
{
    for (int i = 0; i < p->retry_statuses_n; i++)
        if (p->retry_statuses[i] == status)
            return true;
    return false;
}

/* Dead at once, whatever budget is left: the cause, else VERDICT_NONE. */
static enum verdict_cause final_cause(const struct retry_policy *p, const struct verdict_facts *f)
{
    if (f->status == STATUS_GONE)
        return VERDICT_GONE;
    switch (f->outcome) {
    case FACT_HTTP_3XX:
    case FACT_HTTP_4XX:
        return p->retry_non_2xx || policy_names(p, f->status) ? VERDICT_NONE
                                                              : VERDICT_PERMANENT_FAILURE;
    case FACT_BLOCKED:
        return f->literal_refused ? VERDICT_INVALID_ENDPOINT : VERDICT_NONE;
    case FACT_SUCCESS:
    case FACT_HTTP_429:
    case FACT_HTTP_5XX:
    case FACT_TIMEOUT:
    case FACT_DNS:
    case FACT_CONNECT:
    case FACT_TLS:
    case FACT_RESET:
    case FACT_INTERNAL:
        return VERDICT_NONE;
    }
    return VERDICT_NONE;
}

/* BLOCKED and INTERNAL are our own doing and say nothing; 429 says that the endpoint lives but
 * wants less, so it neither breaks nor mends. */
static void judge_endpoint(enum fact_outcome outcome, struct verdict *out)
{
    switch (outcome) {
    case FACT_SUCCESS:
    case FACT_HTTP_3XX:
    case FACT_HTTP_4XX:
        out->endpoint_success = true;
        return;
    case FACT_HTTP_5XX:
    case FACT_TIMEOUT:
    case FACT_DNS:
    case FACT_CONNECT:
    case FACT_TLS:
    case FACT_RESET:
        out->endpoint_failure = true;
        return;
    case FACT_HTTP_429:
    case FACT_BLOCKED:
    case FACT_INTERNAL:
        return;
    }
}

static int64_t lane_wait(const struct retry_policy *p, const struct verdict_facts *f)
{
    if ((f->status != STATUS_TOO_MANY && f->status != STATUS_UNAVAILABLE) || f->retry.hint_ms <= 0)
        return 0;
    int64_t hint =
        f->retry.hint_ms < p->retry_after_max_ms ? f->retry.hint_ms : p->retry_after_max_ms;
    return hint > 0 ? f->retry.now_ms + hint : 0;
}

static void die(struct verdict *out, enum verdict_cause cause)
{
    out->kind = VERDICT_DEAD;
    out->cause = cause;
}

void verdict_judge(const struct retry_policy *p, const struct verdict_facts *f, struct verdict *out)
{
    *out = (struct verdict){.kind = VERDICT_DELIVERED};
    judge_endpoint(f->outcome, out);
    if (f->outcome == FACT_SUCCESS)
        return;
    out->lane_wait_until_ms = lane_wait(p, f);
    out->disable = f->status == STATUS_GONE; /* also where the event itself has just expired */
    if (f->expires_ms && f->expires_ms <= f->retry.now_ms) {
        die(out, VERDICT_EXPIRED);
        return;
    }
    enum verdict_cause cause = final_cause(p, f);
    if (cause != VERDICT_NONE) {
        die(out, cause);
        return;
    }
    int64_t next_ms = f->retry.now_ms;
    if (!f->cut && !retry_next(p, &f->retry, &next_ms)) {
        die(out, f->outcome == FACT_BLOCKED ? VERDICT_INVALID_ENDPOINT : VERDICT_RETRIES_EXHAUSTED);
        return;
    }
    out->kind = VERDICT_RETRY;
    /* Not later than its expiry, so that it is seen dying in time. */
    out->next_ms = f->expires_ms && f->expires_ms < next_ms ? f->expires_ms : next_ms;
}
