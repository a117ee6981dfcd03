/* policy/canary.c: see canary.h. */
#include "policy/canary.h"

static bool all_failed(uint64_t recent, int n)
{
    uint64_t mask = (UINT64_C(1) << n) - 1;

    return (recent & mask) == mask;
}

static int failed_of(uint64_t recent, int n)
{
    return __builtin_popcountll(recent & ((UINT64_C(1) << n) - 1));
}

enum canary_verdict canary_judge(const struct canary_facts *f)
{
    if (f->since < 0) {
        if (f->tried - f->failed >= f->wanted)
            return CANARY_THROUGH;
        if (f->tried >= CANARY_GIVE_UP && all_failed(f->recent, CANARY_GIVE_UP))
            return CANARY_FAILED;
        return CANARY_ONE;
    }
    if (f->since >= CANARY_WINDOW &&
        failed_of(f->recent, CANARY_WINDOW) > f->stop_at * CANARY_WINDOW)
        return CANARY_STOP;
    return CANARY_THROUGH;
}
