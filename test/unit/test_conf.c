/* test/unit/test_conf.c: what a configuration may say, what it means, and how mistakes read. */
#include "policy/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"

#include <cmocka.h> /* last: it has a macro named fail */

#define DAY INT64_C(86400000)

static struct conf *parsed(const char *text)
{
    struct buf problems;
    struct conf *c = NULL;

    buf_init(&problems, 1 << 20);
    if (conf_parse(&c, "t.conf", text, strlen(text), &problems) != OK)
        fail_msg("%s\n%s", text, problems.data);
    assert_int_equal(problems.len, 0);
    buf_fini(&problems);
    return c;
}

/* The problems of a bad text; the caller frees. */
static char *problems_of(const char *text, size_t n)
{
    struct buf problems;
    struct conf *c = NULL;

    buf_init(&problems, 1 << 20);
    if (conf_parse(&c, "t.conf", text, n, &problems) == OK)
        fail_msg("accepted: %s", text);
    assert_null(c);
    return buf_take(&problems);
}

static void nothing_is_all_defaults(void **state)
{
    static const char *const texts[] = {"", "\n", "# only a comment\n", "---\n", "{}", "store:\n"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct conf *c = parsed(texts[i]);

        assert_string_equal(c->store_url, "sqlite:///var/lib/webhookd/webhookd.db");
        assert_string_equal(c->encryption_key_file, "/etc/webhookd/key");
        assert_int_equal(c->low_disk_bytes, 64 << 20);
        assert_int_equal(c->outbox_n, 1);
        assert_string_equal(c->outbox[0].url, "sqlite:///var/lib/webhookd/outbox.db");
        assert_string_equal(c->outbox[0].name, "/var/lib/webhookd/outbox.db");
        assert_string_equal(c->outbox[0].table, "outbox");
        assert_string_equal(c->outbox[0].partner, "default");
        assert_string_equal(c->listen_socket, "/run/webhookd/webhookd.sock");
        assert_string_equal(c->listen_http, "127.0.0.1:8420");
        assert_int_equal(c->timeout_ms, 10000);
        assert_int_equal(c->connect_timeout_ms, 5000);
        assert_int_equal(c->grace_ms, 8000);
        assert_int_equal(c->max_in_flight, 512);
        assert_int_equal(c->max_in_flight_per_subscription, 32);
        assert_int_equal(c->threads, 1);
        assert_int_equal(c->max_response_bytes, 65536);
        assert_string_equal(c->profile, "bondx");
        assert_null(c->ca_file);
        assert_int_equal(c->breaker.min_failures, 100);
        assert_int_equal(c->breaker_max_hold_ms, 3600000);
        assert_false(c->egress.allow_http);
        assert_int_equal(c->egress.ports_n, 0);
        assert_int_equal(c->dead_retention_ms, 30 * DAY);
        assert_int_equal(c->retain_audit_ms, 400 * DAY);
        assert_int_equal(c->max_payload_bytes, 1 << 20);
        assert_int_equal(c->log_format, LOG_FORMAT_LOGFMT);
        assert_int_equal(c->log_level, LOG_LEVEL_INFO);
        conf_free(c);
    }
}

/* The example of the design page, with its reserved keys. */
static const char design[] =
    "store:\n"
    "  url: sqlite:///var/lib/webhookd/webhookd.db     # or postgresql\n"
    "  encryption_key_file: /etc/webhookd/key\n"
    "outbox:\n"
    "  - url: sqlite:///var/lib/trading/trades.db\n"
    "listen:\n"
    "  socket: /run/webhookd/webhookd.sock\n"
    "  http: 127.0.0.1:8420\n"
    "delivery:\n"
    "  timeout: 10s\n"
    "  connect_timeout: 5s\n"
    "  max_in_flight: 512\n"
    "  max_in_flight_per_subscription: 32\n"
    "  threads: 1\n"
    "  max_response_bytes: 65536\n"
    "  profile: bondx\n"
    "retry:\n"
    "  default: {max_retries: 5, initial_delay: 1s, multiplier: 2, max_delay: 5m, jitter: 0.1, "
    "retry_after_max: 1h}\n"
    "  bondbricks: {schedule: [1m, 5m, 15m], jitter: 0.1, retry_on: non_2xx}\n"
    "breaker: {min_failures: 100, min_period: 30s, probe_interval: 10s, max_hold: 1h}\n"
    "egress:\n"
    "  allow_http: false\n"
    "  allow: []\n"
    "  deny: []\n"
    "  ports: ~\n"
    "  source_address: ~\n"
    "dead_letter: {retention: 30d}\n"
    "retention: {delivered: 7d, attempts: 30d, audit: 400d, dedupe: 30d}\n"
    "notify:\n"
    "  smtp: {url: smtp://127.0.0.1:25, from: …, to: [ … ]}\n"
    "  slack: {url_file: …}\n"
    "  critical: [\"order.*\", \"trade.*\"]\n"
    "  digest_at: \"08:00\"\n"
    "api:\n"
    "  tier: {basic: …, standard: …, premium: …, enterprise: …}\n"
    "log: {format: logfmt, level: info}\n";

static char *shown(const struct conf *c, bool json)
{
    struct buf out;

    buf_init(&out, 1 << 20);
    conf_show(c, json, &out);
    assert_false(out.failed);
    return buf_take(&out);
}

static void design_example_is_the_defaults(void **state)
{
    struct conf *a = parsed(design),
                *b = parsed("outbox: [{url: sqlite:///var/lib/trading/trades.db}]");
    char *x = shown(a, false), *y = shown(b, false);

    (void)state;
    assert_string_equal(x, y);
    free(x);
    free(y);
    conf_free(a);
    conf_free(b);
}

static const char everything[] =
    "store: {url: 'sqlite:///tmp/with blank/x.db', low_disk: 1000}\n"
    "outbox:\n"
    "  - {url: sqlite:///a.db, name: \"null\", table: my_events, partner: '*', version: \"1.0\",\n"
    "     source: 'it''s \"quoted\": yes', trim: off, doorbell: /run/bell, max_payload_bytes: "
    "1536}\n"
    "  - {url: sqlite:///b.db, trim: producer}\n"
    "listen: {http: ~}\n"
    "delivery: {timeout: \"1500ms\", max_in_flight: '7', profile: standard, ca_file: /etc/ca.pem,\n"
    "           max_response_bytes: 0, grace: 0, threads: 4}\n"
    "retry:\n"
    "  default: {max_retries: 9, jitter: 0.25}\n"
    "  bondbricks: {jitter: 0}\n"
    "  slow.one: {schedule: [0, 10s, 1h], max_age: 3d, retry_on: [408, 409], multiplier: 1.5}\n"
    "  '007': {max_retries: 1}\n"
    "egress: {allow_http: yes, allow: [127.0.0.0/8, \"::1\"], deny: [203.0.113.7], ports: [443, "
    "8443], source_address: 192.0.2.1}\n"
    "log: {format: json, level: debug}\n";

static void values_arrive(void **state)
{
    struct conf *c = parsed(everything);
    const struct retry_policy *p;

    (void)state;
    assert_string_equal(c->store_url, "sqlite:///tmp/with blank/x.db");
    assert_int_equal(c->low_disk_bytes, 1000);
    assert_int_equal(c->outbox_n, 2);
    assert_string_equal(c->outbox[0].name, "null");
    assert_string_equal(c->outbox[0].source, "it's \"quoted\": yes");
    assert_int_equal(c->outbox[0].trim, TRIM_OFF);
    assert_int_equal(c->outbox[0].max_payload_bytes, 1536);
    assert_string_equal(c->outbox[1].name, "/b.db");
    assert_int_equal(c->outbox[1].trim, TRIM_PRODUCER);
    assert_null(c->listen_http);
    assert_int_equal(c->timeout_ms, 1500);
    assert_int_equal(c->max_in_flight, 7);
    assert_int_equal(c->grace_ms, 0);
    p = conf_retry(c, "default");
    assert_int_equal(p->max_retries, 9);
    assert_int_equal(p->initial_delay_ms, 1000); /* the others stay */
    assert_true(p->jitter == 0.25);
    p = conf_retry(c, "bondbricks");
    assert_int_equal(p->schedule_n, 3);
    assert_int_equal(p->schedule_ms[2], 900000);
    assert_true(p->retry_non_2xx);
    assert_true(p->jitter == 0);
    p = conf_retry(c, "slow.one");
    assert_int_equal(p->max_retries, 3); /* the schedule's length */
    assert_int_equal(p->max_age_ms, 3 * DAY);
    assert_int_equal(p->retry_statuses_n, 2);
    assert_int_equal(p->retry_statuses[1], 409);
    assert_false(p->retry_non_2xx);
    assert_true(p->multiplier == 1.5);
    assert_null(conf_retry(c, "other"));
    assert_true(c->egress.allow_http);
    assert_int_equal(c->egress.allow_n, 2);
    assert_int_equal(c->egress.deny_n, 1);
    assert_int_equal(c->egress.ports[1], 8443);
    assert_string_equal(c->source_address, "192.0.2.1");
    assert_int_equal(c->log_format, LOG_FORMAT_JSON);
    assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
    conf_free(c);
}

/* What show prints means the same, in YAML and JSON, and is then printed the same. */
static void show_is_accepted_again(void **state)
{
    static const char *const texts[] = {"", design, everything, "outbox: []"};

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct conf *a = parsed(texts[i]);
        char *yaml = shown(a, false), *json = shown(a, true);
        struct conf *b = parsed(yaml), *c = parsed(json);
        char *again = shown(b, false), *from_json = shown(c, false);
        size_t at;

        assert_string_equal(again, yaml);
        assert_string_equal(from_json, yaml);
        assert_null(text_json_problem(json, strlen(json), &at));
        conf_free(a);
        conf_free(b);
        conf_free(c);
        free(yaml);
        free(json);
        free(again);
        free(from_json);
    }
}

static void json_with_tabs(void **state)
{
    struct conf *c = parsed("\n{\n\t\"delivery\":\t{\"timeout\": \"2s\"},\n\t\"outbox\": [{\"url\":"
                            " \"sqlite:\\/\\/\\/a.db\",\t\"source\": \"a \\\" b\"}]\n}\n");

    (void)state;
    assert_int_equal(c->timeout_ms, 2000);
    assert_string_equal(c->outbox[0].url, "sqlite:///a.db");
    assert_string_equal(c->outbox[0].source, "a \" b");
    conf_free(c);
}

/* As JSON writers that keep to ASCII have it. */
static void json_with_surrogates(void **state)
{
    static const char line[] =
        "\xef\xbb\xbf{\"outbox\": [{\"url\": \"sqlite:///\\ud83d\\uDE00.db\", "
        "\"source\": \"\\\\ud83d \\ud83d\\ude80\\ud83d\\ude80\", \"trim\": 1}]}";
    struct conf *c = parsed("{\"outbox\": [{\"url\": \"sqlite:///\\ud83d\\uDE00.db\", \"source\": "
                            "\"\\\\ud83d \\ud83d\\ude80\\ud83d\\ude80\"}]}");
    char *got = problems_of(line, strlen(line)), place[64];

    (void)state;
    assert_string_equal(c->outbox[0].url, "sqlite:///\xf0\x9f\x98\x80.db");
    assert_string_equal(c->outbox[0].source, "\\ud83d \xf0\x9f\x9a\x80\xf0\x9f\x9a\x80");
    conf_free(c);
    /* columns stay what they are in the file; a byte-order mark is none */
    snprintf(place, sizeof(place), "t.conf:1:%d: error: 'outbox[0].trim' must be",
             (int)(strstr(line, "1}]}") - line) - 3 + 1);
    assert_non_null(strstr(got, place));
    free(got);
    got = problems_of("{\"outbox\": [{\"url\": \"\\ud83d\"}]}", 30);
    assert_non_null(strstr(got, "invalid Unicode character"));
    free(got);
}

static const struct {
    const char *text, *expected;
} mistakes[] = {
    {"delivery:\n  timout: 3s\n",
     "t.conf:2:3: error: unknown key 'delivery.timout'; did you mean 'delivery.timeout'?"},
    {"retry:\n  default: {max_atempts: 3, max_retrys: 5}\n",
     "t.conf:2:29: error: unknown key 'retry.default.max_retrys'; did you mean "
     "'retry.default.max_retries'?"},
    {"retry: {max_retrys: 5}\n",
     "1:9: error: unknown key 'retry.max_retrys'; did you mean 'retry.default.max_retries'?"},
    {"retry: {max_atempts: 5}\n",
     "1:9: error: unknown key 'retry.max_atempts'; a policy is a mapping"},
    {"retry: {\"\": 5, \"\\n\": {}, ? {} : 1}\n", "1:9: error: unknown key 'retry.'"},
    {"delivry: {}\n", "1:1: error: unknown key 'delivry'; did you mean 'delivery'?"},
    {"connect_timeout: 5s\n", "1:1: error: unknown key 'connect_timeout'; did you mean "
                              "'delivery.connect_timeout'?"},
    {"delivery.timeout: 5s\n", "1:1: error: unknown key 'delivery.timeout'"},
    {"zzzzzzzzzz: 5s\n", "1:1: error: unknown key 'zzzzzzzzzz'\n"},
    {"\"a\\eb\": 5s\n", "1:1: error: unknown key 'a\\x1bb'"},
    {"delivery: {timeout: 10}\n", "1:21: error: 'delivery.timeout' must be a duration like"},
    {"delivery: {timeout: 11m}\n",
     "1:21: error: 'delivery.timeout' is out of range: must be duration 10ms..10m"},
    {"delivery: {threads: 0}\n", "'delivery.threads' is out of range: must be integer 1..64"},
    {"delivery: {threads: 65}\n", "'delivery.threads' is out of range"},
    {"delivery: {threads: 1.0}\n", "'delivery.threads' must be an integer"},
    {"delivery: {threads: 99999999999999999999}\n", "'delivery.threads' must be an integer"},
    {"delivery: {threads: [1]}\n", "'delivery.threads' must be integer 1..64, not a list"},
    {"delivery: {max_response_bytes: 1TB}\n", "must be a size like"},
    {"delivery: [1]\n", "1:11: error: 'delivery' must be a mapping, not a list"},
    {"delivery: 5\n", "1:11: error: 'delivery' must be a mapping, not a single value"},
    {"delivery: {profile: stripe}\n", "'delivery.profile' names no profile of this version (bondx"},
    {"delivery: {ca_file: ca.pem}\n", "'delivery.ca_file' must be an absolute path"},
    {"egress: {allow_http: maybe}\n", "'egress.allow_http' must be true or false"},
    {"egress: {allow: 10.0.0.0/8}\n", "'egress.allow' must be list of CIDRs, not a single value"},
    {"egress: {allow: [10.0.0.1/8]}\n", "1:18: error: 'egress.allow' must hold CIDRs"},
    {"egress: {ports: [0]}\n", "list of ports from 1 to 65535"},
    {"egress: {ports: []}\n", "'egress.ports' would allow no port at all"},
    {"egress: {source_address: eth0}\n", "'egress.source_address' must be an IP address"},
    {"log: {level: loud}\n", "'log.level' must be debug or info or warn or error"},
    {"listen: {http: 8420}\n", "'listen.http' must be ADDRESS:PORT"},
    {"listen: {http: '127.0.0.1:99999'}\n", "'listen.http' must be ADDRESS:PORT"},
    {"listen: {socket: run.sock}\n", "'listen.socket' must be an absolute path"},
    {"store: {url: 'sqlite://var/x.db'}\n", "'store.url' must be sqlite:// and an absolute path"},
    {"store: {url: 'sqlite:/var/x.db'}\n", "'store.url' must be sqlite:// and an absolute path"},
    {"store: {url: 'memory:'}\n", "'store.url' must be sqlite:// and an absolute path"},
    {"store: {url: 'postgresql://h/db'}\n", "postgresql:// takes effect in a later version"},
    {"store: {url: 'sqlite:///x.db?mode=ro'}\n", "without ? or #"},
    {"outbox: {url: sqlite:///a.db}\n", "'outbox' must be a list, not a mapping"},
    {"outbox:\n  - {name: a}\n", "2:5: error: 'outbox[0].url' is missing"},
    {"outbox: [{url: sqlite:///a.db}, {url: sqlite:///a.db}]\n", "same table as another outbox"},
    {"outbox: [{url: sqlite:///a.db, name: n}, {url: sqlite:///b.db, name: n}]\n",
     "'outbox[1].name' is taken by another outbox"},
    {"outbox: [{url: sqlite:///s.db}]\nstore: {url: sqlite:///s.db}\n", "is store.url"},
    {"outbox: [{url: sqlite:///a.db, table: 'a b'}]\n", "'outbox[0].table' must be a table's name"},
    {"outbox: [{url: sqlite:///a.db, trim: never}]\n", "must be engine or producer or off"},
    {"listen: {socket: /a.sock}\noutbox: [{url: sqlite:///a.db, doorbell: /a.sock}]\n",
     "2:10: error: 'outbox[0].doorbell' is another socket's path"},
    {"outbox: [{url: sqlite:///a.db, doorbell: /b}, {url: sqlite:///b.db, doorbell: /b}]\n",
     "1:47: error: 'outbox[1].doorbell' is another socket's path"},
    {"retry: {default: {jitter: 1.5}}\n", "'retry.default.jitter' is out of range"},
    {"retry: {default: {jitter: x}}\n", "must be a number"},
    {"retry: {default: {retry_on: 5xx}}\n", "must be non_2xx, or a list of statuses"},
    {"retry: {default: {retry_on: [410]}}\n", "without 410"},
    {"retry: {default: {schedule: [1m, soon]}}\n", "1:34: error: 'retry.default.schedule' must be"},
    {"retry: {'a b': {}}\n", "a retry policy's name"},
    {"log: {level: info}\nlog: {level: info}\n", "2:1: error: duplicate key 'log': it stands in "
                                                 "line 1 too"},
    {"log: {level: info, level: warn}\n", "1:20: error: duplicate key 'level'"},
    {"a: &x {}\nb: *x\n", "1:4: error: YAML anchors and aliases"},
    {"log: !foo {}\n", "YAML tags are not supported"},
    {"log: {level: !!str info}\n", "1:14: error: YAML tags are not supported"},
    {"log: {<<: {level: info}}\n", "1:7: error: unknown key 'log.<<'"},
    {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "1:33: error: nested deeper than 32 levels"},
    {"log: {}\n---\nlog: {}\n", "2:1: error: a second document"},
    {"log: {level: info\n", "error: YAML: "},
    {"log:\n\tlevel: info\n", "t.conf:2:1: error: YAML: "},
    {"- a\n", "1:1: error: the file must be a mapping"},
    {"just words\n", "1:1: error: the file must be a mapping"},
    {"? [a]\n: b\n", "a key must be a word"},
    {"log: {level: \"in\\0fo\"}\n", "a NUL character"},
    {"# \xc3\xa9 ok\nlog: \xff\n", "2:6: error: not UTF-8"},
    {"log: \x01\n", "1:6: error: YAML: "},
};

static void mistakes_are_named(void **state)
{
    size_t wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        char *got = problems_of(mistakes[i].text, strlen(mistakes[i].text));

        if (strstr(got, mistakes[i].expected) == NULL) {
            print_error("%s---> %s     not %s\n", mistakes[i].text, got, mistakes[i].expected);
            wrong++;
        }
        free(got);
    }
    assert_int_equal(wrong, 0);
}

/* Whatever one writes: an answer, soon. */
static void hostile_files(void **state)
{
    static const char *const again[] = {"[",    "{a: ", "- ",  "? ",   "a: [",  "&a [",
                                        "!!x ", "\"",   "|\n", "%A\n", "---\n", "a:\n "};
    static char text[1 << 19];

    (void)state;
    for (size_t i = 0; i < sizeof(again) / sizeof(again[0]); i++) {
        size_t n = strlen(again[i]);

        for (size_t at = 0; at < sizeof(text); at++)
            text[at] = again[i][at % n];
        char *got = problems_of(text, sizeof(text));
        assert_non_null(strstr(got, ": error: "));
        free(got);
    }
}

static void all_mistakes_at_once(void **state)
{
    static const char text[] = "delivery:\n  timeout: x\n  threads: 0\n  nonsense: 1\n"
                               "outbox:\n  - table: t\nlog: {level: loud, format: xml}\n";
    static const char nul[] = "log: {}\n\0";
    static const char no_map[] = "outbox: [/a.db]";
    static const char list[] =
        "outbox: [{url: /a.db}]\negress: {ports: [0, 443, x, ~]}\nlog: {level: x}\n";
    char *got = problems_of(text, strlen(text));
    int lines = 0;

    (void)state;
    for (const char *at = got; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    assert_int_equal(lines, 6);
    free(got);
    /* each mistake of a list, each once, in the order of the file */
    got = problems_of(list, strlen(list));
    assert_string_equal(
        got, "t.conf:1:16: error: 'outbox[0].url' must be sqlite:// and an absolute path, "
             "like sqlite:///var/lib/webhookd/webhookd.db\n"
             "t.conf:2:18: error: 'egress.ports' must be a list of ports from 1 to 65535\n"
             "t.conf:2:26: error: 'egress.ports' must be a list of ports like [443, "
             "8443]\n"
             "t.conf:2:29: error: 'egress.ports' must be list of ports, not nothing\n"
             "t.conf:3:14: error: 'log.level' must be debug or info or warn or error\n");
    free(got);
    got = problems_of(no_map, strlen(no_map));
    assert_string_equal(got,
                        "t.conf:1:10: error: 'outbox[0]' must be a mapping, not a single value\n");
    free(got);
    got = problems_of(nul, sizeof(nul) - 1);
    assert_non_null(strstr(got, "2:1: error: a NUL byte"));
    free(got);
}

static void thousands_of_mistakes_stay_bounded(void **state)
{
    struct buf text;
    char *got;

    (void)state;
    buf_init(&text, 1 << 20);
    buf_adds(&text, "log:\n");
    for (int i = 0; i < 5000; i++)
        buf_addf(&text, "  k%d: 1\n", i);
    got = problems_of(text.data, text.len);
    assert_true(strlen(got) < 16384);
    assert_non_null(strstr(got, "stopped listing here"));
    free(got);
    buf_clear(&text);
    for (int i = 0; i < 50000; i++)
        buf_adds(&text, "[");
    free(problems_of(text.data, text.len));
    buf_fini(&text);
}

static void reload(void **state)
{
    struct conf *a = parsed("outbox: [{url: sqlite:///a.db}]"),
                *b = parsed("outbox: [{url: sqlite:///a.db, source: s}]\nlog: {level: debug}\n"
                            "retry: {default: {max_retries: 1}}\ndelivery: {timeout: 1s}"),
                *c = parsed("outbox: [{url: sqlite:///b.db}]\nlisten: {http: ~}\n"
                            "delivery: {threads: 2}"),
                *d = parsed("outbox: []");
    struct buf problems;

    (void)state;
    buf_init(&problems, 1 << 16);
    assert_true(conf_reload_check(a, b, &problems));
    assert_int_equal(problems.len, 0);
    assert_false(conf_reload_check(a, c, &problems));
    assert_non_null(strstr(problems.data, "listen.http cannot change while running (it is "
                                          "127.0.0.1:8420, the file says ~)"));
    assert_non_null(strstr(problems.data, "delivery.threads cannot change"));
    assert_non_null(strstr(problems.data, "outbox[0].url cannot change"));
    buf_clear(&problems);
    assert_false(conf_reload_check(a, d, &problems));
    assert_non_null(strstr(problems.data, "outboxes cannot be added or removed"));
    buf_fini(&problems);
    conf_free(a);
    conf_free(b);
    conf_free(c);
    conf_free(d);
}

/* The defaults that the table tells for retry policies are policy/retry.c's. */
static void reference_tells_the_truth(void **state)
{
    struct conf *a = parsed(""),
                *b = parsed("retry: {default: {max_retries: ~, initial_delay: ~, multiplier: ~, "
                            "max_delay: ~, jitter: ~, schedule: ~, max_age: ~, retry_on: ~, "
                            "retry_after_max: ~}}");
    char *x = shown(a, false), *y = shown(b, false);
    struct buf out;
    int tabs = 0, lines = 0;

    (void)state;
    assert_string_equal(x, y);
    buf_init(&out, 1 << 20);
    conf_reference(&out);
    for (size_t i = 0; i < out.len; i++) {
        tabs += out.data[i] == '\t';
        lines += out.data[i] == '\n';
    }
    assert_true(lines > 50);
    assert_int_equal(tabs, 4 * lines);
    assert_non_null(strstr(out.data, "delivery.timeout\tduration 10ms..10m\t10s\tyes\t"));
    buf_fini(&out);
    free(x);
    free(y);
    conf_free(a);
    conf_free(b);
}

static void files(void **state)
{
    struct buf problems;
    struct conf *c = NULL;

    (void)state;
    buf_init(&problems, 1 << 16);
    assert_int_equal(conf_load(&c, "/nonexistent/x.conf", &problems), ERR_CONFIG);
    assert_non_null(strstr(problems.data, "/nonexistent/x.conf:1:1: error: "));
    buf_clear(&problems);
    assert_int_equal(conf_load(&c, "webhookd.conf.example", &problems), OK);
    assert_string_equal(c->outbox[0].url, "sqlite:///var/lib/trading/trades.db");
    conf_free(c);
    buf_fini(&problems);
}

/* What a file with mistakes still says of the socket; NULL: nothing that is certain. */
static void the_socket_past_mistakes(void **state)
{
    static const char standard[] = "/run/webhookd/webhookd.sock";
    static const struct {
        const char *text, *path;
    } rows[] = {
        {"rety: {}\nlisten: {socket: /a/s}\n", "/a/s"},
        {"listen: {socket: /a/s, http: nonsense, foo: 1}\n", "/a/s"},
        {"rety: {}\n", standard},
        {"rety: {}\nlisten: {http: nonsense}\n", standard},
        {"rety: {}\nlisten: {socket: ~}\n", standard},
        {"rety: {}\nlisten:\n", standard},
        {"{\"rety\": 1, \"listen\": {\"socket\": \"/a/s\"}}", "/a/s"},
        /* another path may be meant */
        {"listen: {socket: relative}\n", NULL},
        {"listen: {soket: /a/s}\n", NULL},
        {"lisen: {socket: /a/s}\n", NULL},
        {"listen: [/a/s]\n", NULL},
        {"listen: /a/s\n", NULL},
        {"listen: {socket: /a/s, socket: /b/s}\n", NULL},
        {"listen: {socket: /a/s}\nlisten: {socket: /b/s}\n", NULL},
        {"- a list\n", NULL},
        /* no YAML: the section alone */
        {"store: {url: \"x}\nlisten:\n  # ours\n\n  socket: /a/s\nlog: {}\n", "/a/s"},
        {"listen:\n  socket: /a/s\nlog: {level: info\n", "/a/s"},
        {"log: {level: info\n", standard},
        {"log: {level: info\nlisten:\n socket: /a/s\nlisten:\n socket: /b/s\n", NULL},
        {"{log: {level: info, listen: {socket: /a/s}\n", NULL},
        {"log: [\nlisten:\n\tsocket: /a/s\n", NULL},
    };
    char file[] = "/tmp/webhookd-test-XXXXXX";
    int fd = mkstemp(file);

    (void)state;
    assert_true(fd >= 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n = strlen(rows[i].text);

        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, rows[i].text, n, 0), n);
        char *path = conf_socket(file);

        if ((path == NULL) != (rows[i].path == NULL) ||
            (path != NULL && strcmp(path, rows[i].path) != 0))
            fail_msg("%s: %s", rows[i].text, path ? path : "NULL");
        free(path);
    }
    close(fd);
    unlink(file);
    assert_null(conf_socket(file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_all_defaults),
        cmocka_unit_test(design_example_is_the_defaults),
        cmocka_unit_test(values_arrive),
        cmocka_unit_test(show_is_accepted_again),
        cmocka_unit_test(json_with_tabs),
        cmocka_unit_test(json_with_surrogates),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(hostile_files),
        cmocka_unit_test(all_mistakes_at_once),
        cmocka_unit_test(thousands_of_mistakes_stay_bounded),
        cmocka_unit_test(reload),
        cmocka_unit_test(reference_tells_the_truth),
        cmocka_unit_test(files),
        cmocka_unit_test(the_socket_past_mistakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
