/* policy/conf.h: the configuration: a struct that never changes after loading, and the table of its
 * keys.
 *
 * The table (policy/conf_table.c) is the only place that knows a key: name, type, range, default,
 * reloadable, help. Parsing, `config show`, the README's reference, the check of the example file
 * come from it. */
#ifndef POLICY_CONF_H
#define POLICY_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "policy/breaker.h"
#include "policy/egress.h"
#include "policy/retry.h"

enum conf_trim { TRIM_ENGINE, TRIM_PRODUCER, TRIM_OFF };

#define CONF_OUTBOXES_MAX 16
#define CONF_POLICIES_MAX 32

struct conf_outbox {
    char *url;     /* "sqlite:///abs/path" */
    char *name;    /* default: the path; it names marks and rejects */
    char *table;   /* "outbox" */
    char *partner; /* "default" */
    char *source;  /* "webhookd" … the metadata.source default */
    char *version; /* "1.0" */
    enum conf_trim trim;
    char *doorbell; /* NULL: none */
    int64_t max_payload_bytes;
};

struct conf {
    char *store_url, *encryption_key_file;
    struct conf_outbox outbox[CONF_OUTBOXES_MAX];
    size_t outbox_n;
    char *listen_socket, *listen_http; /* http NULL ("~" or ""): off */
    int64_t timeout_ms, connect_timeout_ms,
        grace_ms; /* delivery.timeout, .connect_timeout, .grace (drain, 8s) */
    int max_in_flight, max_in_flight_per_subscription, threads;
    int64_t max_response_bytes;
    char *profile;                                /* delivery.profile */
    struct retry_policy retry[CONF_POLICIES_MAX]; /* "default" and "bondbricks" always there */
    size_t retry_n;
    struct breaker_policy breaker;
    int64_t breaker_max_hold_ms;
    struct egress_rules egress;
    char *source_address;
    int64_t dead_retention_ms, purge_grace_ms;
    int64_t retain_delivered_ms, retain_attempts_ms, retain_audit_ms, retain_dedupe_ms;
    int log_format, log_level;   /* enum log_format, enum log_level */
    int64_t max_payload_bytes;   /* api.max_payload_bytes: events over HTTP and CLI */
    int64_t low_disk_bytes;      /* store.low_disk: intake stops below it */
    char *ca_file;               /* delivery.ca_file: NULL: the system's */
    struct conf_origin *origins; /* of what the file says: conf_origins() */
    size_t origins_n, origins_room;
};

/* text: the whole file (YAML or JSON). Every mistake is appended to problems as one line
 * "FILE:LINE:COL: error: …\n"; ERR_CONFIG where there is any. No I/O. Free with conf_free(). */
enum err_code conf_parse(struct conf **out, const char *file, const char *text, size_t n,
                         struct buf *problems);
/* Reads the file (at most 1 MiB) and parses. */
enum err_code conf_load(struct conf **out, const char *file, struct buf *problems);
void conf_free(struct conf *c);
/* listen.socket of a file that has mistakes: what it says, or the default where nothing in the file may
 * mean another. NULL: it cannot be known. The caller frees. */
char *conf_socket(const char *file);

/* Calls fn for each key that differs, in the order of the table; returns how many. Values as
 * conf_show() writes them; NULL: the outbox or the retry policy is not there at all. reloadable: it
 * takes effect without a restart. */
typedef void conf_diff_fn(void *arg, const char *key, const char *now, const char *next,
                          bool reloadable);
size_t conf_diff(const struct conf *now, const struct conf *next, conf_diff_fn *fn, void *arg);

/* Calls fn for each key there is, in the order of the table, with its value as conf_show() writes it
 * and the line of the file that says so; 0: none does, it is the default. */
typedef void conf_origin_fn(void *arg, const char *key, const char *value, int line);
void conf_origins(const struct conf *c, conf_origin_fn *fn, void *arg);

/* A new configuration may only differ in reloadable keys: each other that changed is a line in
 * problems. */
bool conf_reload_check(const struct conf *now, const struct conf *next, struct buf *problems);

/* Effective values as YAML (or JSON) in the order of the table; nothing secret is in it. */
void conf_show(const struct conf *c, bool json, struct buf *out);
/* One line a key: "name\ttype\tdefault\treloadable\thelp": for the reference and its lint. */
void conf_reference(struct buf *out);

const struct retry_policy *conf_retry(const struct conf *c,
                                      const char *name); /* NULL: none of that name */

#endif
