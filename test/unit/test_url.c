/* test/unit/test_url.c: URLs: the corpus data/ssrf.tsv against parser and egress rules together,
 * then the normal form. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/url.h"
#include "policy/egress.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* The url column is escaped as in C. A NUL ends a C string: there a caller that knows the length
 * must refuse, so such a row cannot be asked of a function that takes a string. */
static bool unescape(char *text)
{
    char *out = text;
    for (const char *p = text; *p; p++) {
        if (*p != '\\') {
            *out++ = *p;
            continue;
        }
        p++;
        if (*p == '0')
            return false;
        *out++ = *p == 't' ? '\t' : *p == 'n' ? '\n' : *p == 'r' ? '\r' : *p;
    }
    *out = '\0';
    return true;
}

enum answer { SYNTAX, ADDRESS, POLICY, ALLOWED };

static enum answer judge(const struct egress_rules *rules, const char *text, char *why, size_t room)
{
    struct url u;
    struct err err;
    const char *kind = "", *reason;
    bool literal = false;
    if (url_parse(text, &u, &err) != OK) {
        snprintf(why, room, "%s", err.text);
        assert_int_equal(err.code, ERR_INVALID);
        return SYNTAX;
    }
    reason = egress_judge_url(rules, u.scheme, u.host, u.port, &literal, &kind);
    snprintf(why, room, "%s %s", kind, reason ? reason : "");
    url_fini(&u);
    return !reason ? ALLOWED : strcmp(kind, "address") == 0 ? ADDRESS : POLICY;
}

static void the_corpus(void **state)
{
    (void)state;
    /* Ports as in the harness of the corpus: the product's default is wider. */
    struct egress_rules rules = {.ports = {443, 8443}, .ports_n = 2};
    char *line = NULL, why[700];
    size_t room = 0;
    int rows = 0, wrong = 0;
    FILE *f = fopen("test/unit/data/ssrf.tsv", "r");
    assert_non_null(f);
    assert_true(getline(&line, &room, f) > 0); /* the head */
    while (getline(&line, &room, f) > 0) {
        char *verdict = strchr(line, '\t');
        assert_non_null(verdict);
        *verdict++ = '\0';
        verdict[strcspn(verdict, "\t\n")] = '\0';
        rows++;
        if (!unescape(line))
            continue;
        enum answer a = judge(&rules, line, why, sizeof why);
        /* What is judged later, on connecting or on the answer, must be legal here. */
        bool right = strcmp(verdict, "DENY_SYNTAX") == 0   ? a == SYNTAX || a == POLICY
                     : strcmp(verdict, "DENY_ADDR") == 0   ? a == ADDRESS
                     : strcmp(verdict, "DENY_POLICY") == 0 ? a == POLICY
                                                           : a == ALLOWED;
        if (right)
            continue;
        wrong++;
        print_error("%s: expected %s, is %d (%s)\n", line, verdict, (int)a, why);
    }
    free(line);
    fclose(f);
    assert_true(rows > 150);
    assert_int_equal(wrong, 0);
}

/* Of DENY_SYNTAX, plain http alone is the egress rules' to refuse. */
static void syntax_is_refused_by_the_parser(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "https://",
        "https:///x",
        "https:/x.example/",
        "https:x.example",
        "//x.example/",
        "x.example",
        "ftp://x.example/",
        "httpss://x.example/",
        " https://x.example/",
        "https://x.example/ ",
        "https://x.example/#",
        "https://x.example#a",
        "https://x.example\\@y.example/",
        "https://u@x.example/",
        "https://u:p@x.example/",
        "https://x.example:00443/",
        "https://x.example:443:443/",
        "https://x.example:4 43/",
        "https://x.example:99999999999999999999/",
        "https://[::1%lo]/",
        "https://[::1%25lo]/",
        "https://[]/",
        "https://[::1]:/",
        "https://[::1]:0/",
        "https://[::1]443/",
        "https://::1/",
        "https://[v1.x]/",
        "https://[::1:2:3:4:5:6:7:8]/",
        "https://x.example../",
        "https://./",
        "https://x-.example/",
        "https://x..example/",
        "https://x,y.example/",
        "https://x.example;y/",
        "https://1.2.3.4.:80/",
        "https://1.2.3.0x4/",
        "https://1.2.3.04/",
        "https://0X7F.0.0.1/",
        "https://x.example.0x1/",
        "https://x.example.12/",
        "https://0x/",
        "https://x.example/\x7f",
        "https://x.example/\xc3\xa4",
        "https://x.example/{a}",
        "https://x.example/a\"b",
    };
    for (size_t i = 0; i < N(bad); i++) {
        struct url u = {0};
        struct err err;
        if (url_parse(bad[i], &u, &err) != ERR_INVALID)
            fail_msg("%s must be refused", bad[i]);
        assert_null(u.whole); /* out is written only on success */
    }
}

static void the_normal_form(void **state)
{
    (void)state;
    static const struct {
        const char *text, *whole, *scheme, *host, *path;
        uint16_t port;
    } rows[] = {
        {"https://x.example", "https://x.example/", "https", "x.example", "/", 443},
        {"HTTPS://X.Example:443/Hook?A=b", "https://x.example/Hook?A=b", "https", "x.example",
         "/Hook?A=b", 443},
        {"http://x.example", "http://x.example/", "http", "x.example", "/", 80},
        {"http://x.example:443/", "http://x.example:443/", "http", "x.example", "/", 443},
        {"https://x.example:8443/a", "https://x.example:8443/a", "https", "x.example", "/a", 8443},
        {"https://x.example?a=1", "https://x.example/?a=1", "https", "x.example", "/?a=1", 443},
        {"https://x.example./a", "https://x.example/a", "https", "x.example", "/a", 443},
        {"https://x.example/%7e%2F/b%20c", "https://x.example/%7e%2F/b%20c", "https", "x.example",
         "/%7e%2F/b%20c", 443},
        {"https://x.example/a//b;c=d,e", "https://x.example/a//b;c=d,e", "https", "x.example",
         "/a//b;c=d,e", 443},
        {"https://x.example/?u=http://y@z:1/", "https://x.example/?u=http://y@z:1/", "https",
         "x.example", "/?u=http://y@z:1/", 443},
        {"https://10.0.0.1:65535/", "https://10.0.0.1:65535/", "https", "10.0.0.1", "/", 65535},
        {"https://[2001:DB8:0::1]:1/", "https://[2001:db8::1]:1/", "https", "2001:db8::1", "/", 1},
        {"https://[::1]", "https://[::1]/", "https", "::1", "/", 443},
        {"https://a_b.example/", "https://a_b.example/", "https", "a_b.example", "/", 443},
        {"https://localhost/", "https://localhost/", "https", "localhost", "/", 443},
        {"https://1.2.3.4.example/", "https://1.2.3.4.example/", "https", "1.2.3.4.example", "/",
         443},
    };
    for (size_t i = 0; i < N(rows); i++) {
        struct url u, again;
        struct err err = {OK, ""};
        if (url_parse(rows[i].text, &u, &err) != OK)
            fail_msg("%s: %s", rows[i].text, err.text);
        assert_string_equal(u.whole, rows[i].whole);
        assert_string_equal(u.scheme, rows[i].scheme);
        assert_string_equal(u.host, rows[i].host);
        assert_string_equal(u.path, rows[i].path);
        assert_int_equal(u.port, rows[i].port);
        assert_int_equal(url_parse(u.whole, &again, &err), OK); /* it is its own normal form */
        assert_string_equal(again.whole, u.whole);
        url_fini(&again);
        url_fini(&u);
        url_fini(&u); /* twice is fine */
    }
}

static void reasons_hold_no_secret(void **state)
{
    (void)state;
    struct url u;
    struct err err;
    assert_int_equal(url_parse("https://user:hunter2@x.example/", &u, &err), ERR_INVALID);
    assert_null(strstr(err.text, "hunter2"));
    assert_int_equal(url_parse("https://x..example/?token=hunter2", &u, &err), ERR_INVALID);
    assert_null(strstr(err.text, "hunter2"));
}

static void sqlite_urls(void **state)
{
    (void)state;
    assert_string_equal(url_sqlite_path("sqlite:///var/lib/w.db"), "/var/lib/w.db");
    assert_null(url_sqlite_path("sqlite://w.db"));
    assert_null(url_sqlite_path("sqlite:/w.db"));
    assert_null(url_sqlite_path("postgresql:///w"));
    assert_null(url_sqlite_path(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus),      cmocka_unit_test(syntax_is_refused_by_the_parser),
        cmocka_unit_test(the_normal_form), cmocka_unit_test(reasons_hold_no_secret),
        cmocka_unit_test(sqlite_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
