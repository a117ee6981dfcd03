/* test/fuzz/fuzz_cidr.c: addresses and CIDRs: what is accepted is written back the same; a rule that allows it allows its first address. */
#include "policy/egress.h"

#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = fuzz_text(data, n), written[46];
    struct egress_rules rules = {.allow_n = 1};
    struct egress_addr a, again;
    struct egress_cidr c;

    if (egress_addr_parse(text, &a)) {
        egress_addr_text(&a, written);
        check(egress_addr_parse(written, &again) && memcmp(&a, &again, sizeof(a)) == 0);
        check(egress_cidr_parse(text, &c) == NULL && c.bits == (a.family == 4 ? 32 : 128));
    }
    if (egress_cidr_parse(text, &c) == NULL) {
        check(c.bits >= 0 && c.bits <= (c.addr.family == 4 ? 32 : 128));
        rules.allow[0] = c;
        check(egress_judge_addr(&rules, &c.addr) == NULL);
        rules.deny[rules.deny_n++] = c;
        check(egress_judge_addr(&rules, &c.addr) != NULL);
    }
    free(text);
    return 0;
}
