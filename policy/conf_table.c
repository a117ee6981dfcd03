/* policy/conf_table.c: every configuration key is one row here; nothing else knows them.
 *
 * Parsing, defaults, `config show`, the reference in README.md and the lint of the example file
 * all come from these rows, in this order. A new key is a field in struct conf and a row. */
#include "policy/conf_table.h"

#include <stddef.h>
#include <string.h>

#include "base/text.h"

static const char *const trim_words[] = {"engine", "producer", "off", NULL};
static const char *const format_words[] = {"logfmt", "json", NULL};
static const char *const level_words[] = {"debug", "info", "warn", "error", NULL};

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define MS INT64_C(1)
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

#define ROOT(field) .owner = CONF_OF_ROOT, .offset = offsetof(struct conf, field)
#define OUTBOX(field) .owner = CONF_OF_OUTBOX, .offset = offsetof(struct conf_outbox, field)
#define RETRY(field) .owner = CONF_OF_RETRY, .offset = offsetof(struct retry_policy, field)
#define RANGE(low, high) .min = (low), .max = (high)
#define LATER .type = CONF_RESERVED, .none = true, .reloadable = true

/* clang-format off: one row a key is read better in columns of its own */
const struct conf_key conf_keys[] = {
    {"store.url", CONF_SQLITE, ROOT(store_url), .def = "sqlite:///var/lib/webhookd/webhookd.db",
     .help = "where webhookd remembers everything: sqlite:// and an absolute path"},
    {"store.encryption_key_file", CONF_PATH, ROOT(encryption_key_file), .def = "/etc/webhookd/key",
     .help = "seals secrets and dead letters: one key a line, base64 of 32 bytes, the first "
             "encrypts, all decrypt; made where missing"},
    {"store.low_disk", CONF_SIZE, ROOT(low_disk_bytes), .def = "64MiB", RANGE(0, 1024 * GIB),
     .reloadable = true, .help = "below this much free space intake stops; deliveries go on"},

    {"outbox[].url", CONF_SQLITE, OUTBOX(url), .def = "",
     .help = "the producer's database; without any outbox: outbox.db beside the store's file"},
    {"outbox[].name", CONF_TEXT, OUTBOX(name), .def = "",
     .help = "names its marks and rejects; default: the path of its url"},
    {"outbox[].table", CONF_TABLE_NAME, OUTBOX(table), .def = "outbox",
     .help = "the outbox table in that database"},
    {"outbox[].partner", CONF_PARTNER, OUTBOX(partner), .def = "default", .reloadable = true,
     .help = "of rows whose partner is NULL: a name, an id, or * for every partner"},
    {"outbox[].source", CONF_TEXT, OUTBOX(source), .def = "webhookd", .reloadable = true,
     .help = "of rows whose source is NULL (metadata.source in a bondx body)"},
    {"outbox[].version", CONF_TEXT, OUTBOX(version), .def = "1.0", .reloadable = true,
     .help = "of rows whose version is NULL: the version of the payload's schema"},
    {"outbox[].trim", CONF_WORD, OUTBOX(trim), .def = "engine", .words = trim_words,
     .reloadable = true,
     .help = "who deletes the rows that were taken: engine, producer (up to outbox_mark), or off: "
             "nobody"},
    {"outbox[].doorbell", CONF_SOCKET, OUTBOX(doorbell), .none = true,
     .help = "path of a unix datagram socket that webhookd makes; any datagram wakes intake"},
    {"outbox[].max_payload_bytes", CONF_SIZE, OUTBOX(max_payload_bytes), .def = "1MiB",
     RANGE(1, 16 * MIB), .reloadable = true, .help = "rows with larger payloads become rejects"},

    {"listen.socket", CONF_SOCKET, ROOT(listen_socket), .def = "/run/webhookd/webhookd.sock",
     .help = "unix socket for operators and webhookctl; file permissions decide who may"},
    {"listen.http", CONF_LISTEN, ROOT(listen_http), .def = "127.0.0.1:8420", .none = true,
     .help = "TCP address of /healthz, /readyz and /metrics; ~ or \"\": none"},

    {"delivery.timeout", CONF_DURATION, ROOT(timeout_ms), .def = "10s", RANGE(10 * MS, 10 * MINUTE),
     .reloadable = true,
     .help = "of one attempt, from name look-up to last byte, where the profile sets none"},
    {"delivery.connect_timeout", CONF_DURATION, ROOT(connect_timeout_ms), .def = "5s",
     RANGE(10 * MS, 10 * MINUTE), .reloadable = true, .help = "of connecting, TLS included"},
    {"delivery.grace", CONF_DURATION, ROOT(grace_ms), .def = "8s", RANGE(0, 10 * MINUTE),
     .reloadable = true, .help = "how long SIGTERM waits for attempts in flight"},
    {"delivery.max_in_flight", CONF_INT, ROOT(max_in_flight), .def = "512", RANGE(1, 16384),
     .reloadable = true, .help = "attempts at a time, all subscriptions together"},
    {"delivery.max_in_flight_per_subscription", CONF_INT, ROOT(max_in_flight_per_subscription),
     .def = "32", RANGE(1, 4096), .reloadable = true,
     .help = "attempts at a time of one subscription, the ceiling of its window"},
    {"delivery.threads", CONF_INT, ROOT(threads), .def = "1", RANGE(1, 64),
     .help = "delivery loops, each on a thread of its own; a subscription belongs to one of them"},
    {"delivery.max_response_bytes", CONF_SIZE, ROOT(max_response_bytes), .def = "64KiB",
     RANGE(0, 16 * MIB), .reloadable = true, .help = "how much of an answer's body is read"},
    {"delivery.profile", CONF_PROFILE, ROOT(profile), .def = "bondx", .reloadable = true,
     .help = "of subscriptions that name none: bondx, bondbricks, event-platform, standard or raw"},
    {"delivery.ca_file", CONF_PATH, ROOT(ca_file), .none = true, .reloadable = true,
     .help = "PEM file of trusted authorities instead of the system's"},

    {"retry.<policy>.max_retries", CONF_INT, RETRY(max_retries), .def = "5", RANGE(0, 1000),
     .reloadable = true, .help = "attempts after the first; with a schedule: its length"},
    {"retry.<policy>.initial_delay", CONF_DURATION, RETRY(initial_delay_ms), .def = "1s",
     RANGE(1 * MS, 30 * DAY), .reloadable = true, .help = "before the first retry"},
    {"retry.<policy>.multiplier", CONF_NUMBER, RETRY(multiplier), .def = "2", RANGE(1, 100),
     .reloadable = true, .help = "from each delay to the next"},
    {"retry.<policy>.max_delay", CONF_DURATION, RETRY(max_delay_ms), .def = "5m",
     RANGE(1 * MS, 30 * DAY), .reloadable = true, .help = "no delay is longer"},
    {"retry.<policy>.jitter", CONF_NUMBER, RETRY(jitter), .def = "0.1", RANGE(0, 1),
     .reloadable = true, .help = "share by which a delay varies: 0.1 is 10 percent up or down"},
    {"retry.<policy>.schedule", CONF_SCHEDULE, RETRY(schedule_ms), .none = true, RANGE(0, 30 * DAY),
     .reloadable = true, .help = "the delays one by one instead of the formula: [1m, 5m, 15m]"},
    {"retry.<policy>.max_age", CONF_DURATION, RETRY(max_age_ms), .none = true, RANGE(0, 365 * DAY),
     .reloadable = true,
     .help = "give up when so much time has passed since the first attempt; ~: no such limit"},
    {"retry.<policy>.retry_on", CONF_RETRY_ON, RETRY(retry_statuses), .none = true, RANGE(300, 599),
     .reloadable = true, .help = "also retry these statuses: a list like [408, 409], or non_2xx"},
    {"retry.<policy>.retry_after_max", CONF_DURATION, RETRY(retry_after_max_ms), .def = "1h",
     RANGE(0, 30 * DAY), .reloadable = true, .help = "the longest Retry-After that is honoured"},

    {"breaker.min_failures", CONF_INT, ROOT(breaker.min_failures), .def = "100", RANGE(1, 1000000),
     .reloadable = true,
     .help = "endpoint failures in a row before a subscription's breaker opens"},
    {"breaker.min_period", CONF_DURATION, ROOT(breaker.min_period_ms), .def = "30s",
     RANGE(0, 1 * DAY), .reloadable = true,
     .help = "they must span at least this long; meanwhile attempts start a thousand times a "
             "second at most"},
    {"breaker.probe_interval", CONF_DURATION, ROOT(breaker.probe_interval_ms), .def = "10s",
     RANGE(10 * MS, 1 * DAY), .reloadable = true,
     .help = "an open breaker lets one delivery through this often"},
    {"breaker.max_hold", CONF_DURATION, ROOT(breaker_max_hold_ms), .def = "1h",
     RANGE(100 * MS, 365 * DAY), .reloadable = true,
     .help = "what an open breaker held for longer is dead, cause endpoint_down"},

    {"egress.allow_http", CONF_BOOL, ROOT(egress.allow_http), .def = "false", .reloadable = true,
     .help = "true also allows plain http://"},
    {"egress.allow", CONF_CIDRS, ROOT(egress.allow),
     .offset_n = offsetof(struct conf, egress.allow_n), .none = true, .reloadable = true,
     .help = "CIDRs that may be dialled although private or special: [10.1.0.0/16]"},
    {"egress.deny", CONF_CIDRS, ROOT(egress.deny), .offset_n = offsetof(struct conf, egress.deny_n),
     .none = true, .reloadable = true,
     .help = "CIDRs that may not be dialled although public; wins over allow"},
    {"egress.ports", CONF_PORTS, ROOT(egress.ports), .none = true, RANGE(1, 65535),
     .reloadable = true,
     .help = "the only ports that may be dialled; ~: all but those that the Fetch standard blocks"},
    {"egress.source_address", CONF_ADDRESS, ROOT(source_address), .none = true, .reloadable = true,
     .help = "local IP address that connections leave from"},

    {"dead_letter.retention", CONF_DURATION, ROOT(dead_retention_ms), .def = "30d",
     RANGE(1 * SECOND, 3650 * DAY), .reloadable = true,
     .help = "how long dead letters keep their payload"},
    {"dead_letter.purge_grace", CONF_DURATION, ROOT(purge_grace_ms), .def = "7d",
     RANGE(0, 3650 * DAY), .reloadable = true,
     .help = "how long purged letters can be restored; 0s: they are erased at once"},
    {"retention.delivered", CONF_DURATION, ROOT(retain_delivered_ms), .def = "7d",
     RANGE(1 * SECOND, 3650 * DAY), .reloadable = true, .help = "how long delivered events stay"},
    {"retention.attempts", CONF_DURATION, ROOT(retain_attempts_ms), .def = "30d",
     RANGE(1 * SECOND, 3650 * DAY), .reloadable = true, .help = "how long attempts stay"},
    {"retention.audit", CONF_DURATION, ROOT(retain_audit_ms), .def = "400d",
     RANGE(1 * SECOND, 3650 * DAY), .reloadable = true, .help = "how long the audit trail stays"},
    {"retention.dedupe", CONF_DURATION, ROOT(retain_dedupe_ms), .def = "30d",
     RANGE(1 * SECOND, 3650 * DAY), .reloadable = true,
     .help = "how long event ids are remembered against duplicates"},

    {"notify.smtp", LATER, .help = "reserved: mail for operators takes effect in a later version"},
    {"notify.slack", LATER, .help = "reserved: Slack messages take effect in a later version"},
    {"notify.critical", LATER, .help = "reserved: takes effect in a later version"},
    {"notify.digest_at", LATER, .help = "reserved: takes effect in a later version"},

    {"api.max_payload_bytes", CONF_SIZE, ROOT(max_payload_bytes), .def = "1MiB", RANGE(1, 8 * MIB),
     .reloadable = true, .help = "largest payload of an event that comes over HTTP or webhookctl"},
    {"api.tier", LATER, .help = "reserved: rate tiers take effect in a later version"},

    {"log.format", CONF_WORD, ROOT(log_format), .def = "logfmt", .words = format_words,
     .reloadable = true, .help = "of the lines on standard error: logfmt or json"},
    {"log.level", CONF_WORD, ROOT(log_level), .def = "info", .words = level_words,
     .reloadable = true, .help = "debug, info, warn or error"},
};
/* clang-format on */
const size_t conf_keys_n = sizeof(conf_keys) / sizeof(conf_keys[0]);

const char *conf_key_leaf(const struct conf_key *k)
{
    const char *dot = strrchr(k->name, '.');

    return dot == NULL ? k->name : dot + 1;
}

bool conf_type_is_list(enum conf_type t)
{
    return t == CONF_CIDRS || t == CONF_PORTS || t == CONF_SCHEDULE || t == CONF_RETRY_ON;
}

static void add_range(const struct conf_key *k, bool duration, struct buf *out)
{
    char low[32], high[32];

    if (!duration) {
        buf_addf(out, " %lld..%lld", (long long)k->min, (long long)k->max);
        return;
    }
    text_duration(low, sizeof(low), k->min);
    text_duration(high, sizeof(high), k->max);
    buf_addf(out, " %s..%s", low, high);
}

static void add_words(const struct conf_key *k, struct buf *out)
{
    for (size_t i = 0; k->words[i] != NULL; i++)
        buf_addf(out, "%s%s", i == 0 ? "" : " or ", k->words[i]);
}

void conf_type_text(const struct conf_key *k, struct buf *out)
{
    static const char *const names[] = {
        [CONF_TEXT] = "text",
        [CONF_PATH] = "absolute path",
        [CONF_SOCKET] = "absolute path",
        [CONF_SQLITE] = "sqlite:// and an absolute path",
        [CONF_LISTEN] = "address:port",
        [CONF_ADDRESS] = "IP address",
        [CONF_TABLE_NAME] = "table name",
        [CONF_PARTNER] = "partner",
        [CONF_PROFILE] = "profile",
        [CONF_WORD] = "",
        [CONF_BOOL] = "true or false",
        [CONF_INT] = "integer",
        [CONF_NUMBER] = "number",
        [CONF_DURATION] = "duration",
        [CONF_SIZE] = "size",
        [CONF_CIDRS] = "list of CIDRs",
        [CONF_PORTS] = "list of ports",
        [CONF_SCHEDULE] = "list of durations",
        [CONF_RETRY_ON] = "list of statuses, or non_2xx",
        [CONF_RESERVED] = "reserved",
    };

    buf_adds(out, names[k->type]);
    if (k->type == CONF_WORD)
        add_words(k, out);
    else if (k->type == CONF_DURATION)
        add_range(k, true, out);
    else if (k->type == CONF_INT || k->type == CONF_NUMBER)
        add_range(k, false, out);
    else if (k->type == CONF_SIZE)
        buf_addf(out, " %lld..%lld%s", (long long)k->min,
                 (long long)(k->max / (k->max >= GIB ? GIB : MIB)), k->max >= GIB ? "GiB" : "MiB");
}

void conf_reference(struct buf *out)
{
    for (size_t i = 0; i < conf_keys_n; i++) {
        const struct conf_key *k = &conf_keys[i];

        buf_addf(out, "%s\t", k->name);
        conf_type_text(k, out);
        buf_addf(out, "\t%s\t%s\t%s\n",
                 k->def == NULL      ? "none"
                 : k->def[0] == '\0' ? "see help"
                                     : k->def,
                 k->reloadable ? "yes" : "no", k->help);
    }
}
