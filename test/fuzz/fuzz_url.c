/* test/fuzz/fuzz_url.c: what is accepted as a URL is stable (parsed again it is the same), holds no control character, and its host is
 * judged the same both times. */
#include "base/url.h"
#include "policy/egress.h"

#include "test/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct egress_rules rules = {.allow_http = true};
    char *text = fuzz_text(data, n);
    struct url u = {0}, again = {0};
    const char *kind, *why;
    bool literal, literal_again;

    if (url_parse(text, &u, NULL) == OK) {
        check(strcmp(u.scheme, "https") == 0 || strcmp(u.scheme, "http") == 0);
        check(u.host[0] != '\0' && u.path[0] == '/' && u.port > 0);
        for (const char *p = u.whole; *p != '\0'; p++)
            check(*p > ' ' && *p < 0x7f);
        check(strpbrk(u.host, "@/\\?#%[] ") == NULL);
        check(url_parse(u.whole, &again, NULL) == OK);
        check(strcmp(u.whole, again.whole) == 0 && strcmp(u.host, again.host) == 0 &&
              u.port == again.port && strcmp(u.path, again.path) == 0);
        why = egress_judge_url(&rules, u.scheme, u.host, u.port, &literal, &kind);
        check((why == NULL) == (egress_judge_url(&rules, again.scheme, again.host, again.port,
                                                 &literal_again, &kind) == NULL));
        check(literal == literal_again);
        url_fini(&again);
        url_fini(&u);
    }
    free(text);
    return 0;
}
