/* test/unit/test_egress.c: which addresses, names and ports may be dialled: tables, and the list of
 * hostile URLs in test/unit/data/ssrf.tsv. */
#include "policy/egress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/url.h"

#include <cmocka.h> /* last: it has a macro named fail */

static struct egress_cidr cidr(const char *text)
{
    struct egress_cidr c;

    assert_null(egress_cidr_parse(text, &c));
    return c;
}

static bool addr_open(const struct egress_rules *r, const char *text)
{
    struct egress_addr a;

    if (!egress_addr_parse(text, &a))
        fail_msg("%s is no address", text);
    return egress_judge_addr(r, &a) == NULL;
}

static void addresses(void **state)
{
    static const struct {
        const char *text;
        bool open;
    } table[] = {
        {"1.1.1.1", true},
        {"93.184.215.14", true},
        {"9.255.255.255", true},
        {"10.0.0.0", false},
        {"10.255.255.255", false},
        {"11.0.0.0", true},
        {"100.63.255.255", true},
        {"100.64.0.0", false},
        {"100.127.255.255", false},
        {"100.128.0.0", true},
        {"126.255.255.255", true},
        {"127.0.0.1", false},
        {"128.0.0.0", true},
        {"168.63.129.16", false},
        {"169.254.169.254", false},
        {"172.15.255.255", true},
        {"172.16.0.0", false},
        {"172.31.255.255", false},
        {"172.32.0.0", true},
        {"192.0.0.9", false},
        {"192.0.2.1", false},
        {"192.88.99.1", false},
        {"192.168.0.1", false},
        {"192.169.0.0", true},
        {"198.17.255.255", true},
        {"198.19.255.255", false},
        {"198.20.0.0", true},
        {"203.0.113.9", false},
        {"223.255.255.255", true},
        {"224.0.0.1", false},
        {"240.0.0.1", false},
        {"255.255.255.255", false},
        {"0.0.0.0", false},
        {"2606:4700::1111", true},
        {"2001:200::1", true},
        {"2001:1ff::1", false},
        {"2001:db8::1", false},
        {"2001:db9::1", true},
        {"2002:7f00:1::", false},
        {"3fff:fff::1", false},
        {"3fff:1000::1", true},
        {"::", false},
        {"::1", false},
        {"::127.0.0.1", false},
        {"::ffff:1.1.1.1", false},
        {"::ffff:0:1.1.1.1", false},
        {"64:ff9b::1.1.1.1", false},
        {"64:ff9b:1::1", false},
        {"100::1", false},
        {"4000::1", false},
        {"fc00::1", false},
        {"fdff::1", false},
        {"fe80::1", false},
        {"fec0::1", false},
        {"ff02::1", false},
        {"5f00::1", false},
        {"2620:4f:8000::1", false},
    };
    static const struct egress_rules none;

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (addr_open(&none, table[i].text) != table[i].open)
            fail_msg("%s should be %s", table[i].text, table[i].open ? "open" : "refused");
    }
}

static void allow_and_deny(void **state)
{
    struct egress_rules r = {.allow_n = 3, .deny_n = 2};

    (void)state;
    r.allow[0] = cidr("10.1.0.0/16");
    r.allow[1] = cidr("::ffff:0:0/96");
    r.allow[2] = cidr("fd00::/8");
    r.deny[0] = cidr("10.1.2.0/24");
    r.deny[1] = cidr("93.184.215.14");
    assert_true(addr_open(&r, "10.1.3.1"));
    assert_false(addr_open(&r, "10.2.0.1"));
    assert_false(addr_open(&r, "10.1.2.3"));
    assert_false(addr_open(&r, "93.184.215.14"));
    assert_true(addr_open(&r, "93.184.215.15"));
    assert_true(addr_open(&r, "fd12::1"));
    assert_true(addr_open(&r, "::ffff:10.1.3.1"));
    assert_false(addr_open(&r, "::ffff:10.1.2.3")); /* what it stands for is denied */
}

static void cidrs(void **state)
{
    static const char *const bad[] = {
        "",
        "10.0.0.0/33",
        "10.0.0.1/8",
        "10.0.0.0/",
        "10.0.0.0/8x",
        "10/8",
        "::1/129",
        "fe80::1%eth0",
        "::1/64",
        "10.0.0.0/-1",
        "host",
        "010.0.0.0/8",
        "10.0.0.0/ 8",
        "[::1]",
        "1.2.3.4/0",
        "10.0.0.0/8/8",
    };
    struct egress_cidr c;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (egress_cidr_parse(bad[i], &c) == NULL)
            fail_msg("accepted %s", bad[i]);
    }
    assert_int_equal(cidr("0.0.0.0/0").bits, 0);
    assert_int_equal(cidr("192.0.2.1").bits, 32);
    assert_int_equal(cidr("::1").bits, 128);
    assert_int_equal(cidr("192.0.2.128/25").bits, 25);
}

static void ports_and_schemes(void **state)
{
    struct egress_rules r = {0};
    const char *kind;
    bool literal;

    (void)state;
    assert_null(egress_judge_url(&r, "https", "example.com", 443, &literal, &kind));
    assert_false(literal);
    assert_null(egress_judge_url(&r, "https", "example.com", 8080, &literal, &kind));
    assert_non_null(egress_judge_url(&r, "https", "example.com", 22, &literal, &kind));
    assert_string_equal(kind, "policy");
    assert_non_null(egress_judge_url(&r, "https", "example.com", 10080, &literal, &kind));
    assert_non_null(egress_judge_url(&r, "http", "example.com", 80, &literal, &kind));
    assert_string_equal(kind, "syntax");
    assert_non_null(egress_judge_url(&r, "https", "127.0.0.1", 443, &literal, &kind));
    assert_string_equal(kind, "address");
    assert_true(literal);
    r.allow_http = true;
    assert_null(egress_judge_url(&r, "http", "example.com", 80, &literal, &kind));
    assert_non_null(egress_judge_url(&r, "ftp", "example.com", 80, &literal, &kind));
    assert_non_null(egress_judge_url(&r, "http", "localhost", 80, &literal, &kind));
    r.allow[r.allow_n++] = cidr("127.0.0.0/8");
    assert_null(egress_judge_url(&r, "http", "localhost", 80, &literal, &kind));
    assert_non_null(egress_judge_url(&r, "http", "x.localhost", 80, &literal, &kind));
    r.ports[r.ports_n++] = 22;
    assert_null(egress_judge_url(&r, "http", "example.com", 22, &literal, &kind));
    assert_non_null(egress_judge_url(&r, "http", "example.com", 80, &literal, &kind));
}

/* ALLOW, DENY_SYNTAX, DENY_ADDR or DENY_POLICY, as the file says it. */
static const char *judge(const struct egress_rules *r, const char *text)
{
    struct url u;
    const char *why, *kind;
    bool literal;

    if (url_parse(text, &u, NULL) != OK)
        return "DENY_SYNTAX";
    why = egress_judge_url(r, u.scheme, u.host, u.port, &literal, &kind);
    url_fini(&u);
    if (why == NULL)
        return "ALLOW";
    return strcmp(kind, "address") == 0  ? "DENY_ADDR"
           : strcmp(kind, "policy") == 0 ? "DENY_POLICY"
                                         : "DENY_SYNTAX";
}

static void hostile_urls(void **state)
{
    const struct egress_rules r = {.ports = {443, 8443}, .ports_n = 2};
    FILE *f = fopen("test/unit/data/ssrf.tsv", "r");
    char *line = NULL;
    size_t room = 0, rows = 0, wrong = 0;

    (void)state;
    assert_non_null(f);
    while (getline(&line, &room, f) > 0) {
        char *save = line, *url = strsep(&save, "\t"), *verdict = strsep(&save, "\t");

        /* The other verdicts need a resolver or an answer: they are the transport's tests. */
        if (verdict == NULL ||
            (strcmp(verdict, "ALLOW") != 0 && strcmp(verdict, "DENY_ADDR") != 0 &&
             strcmp(verdict, "DENY_POLICY") != 0))
            continue;
        rows++;
        if (strcmp(judge(&r, url), verdict) != 0) {
            print_error("%s: %s, not %s\n", url, judge(&r, url), verdict);
            wrong++;
        }
    }
    free(line);
    fclose(f);
    assert_true(rows > 70);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),    cmocka_unit_test(allow_and_deny),
        cmocka_unit_test(cidrs),        cmocka_unit_test(ports_and_schemes),
        cmocka_unit_test(hostile_urls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
