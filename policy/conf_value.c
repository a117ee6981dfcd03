/* policy/conf_value.c: text to a field, one function a type. The way back is conf_show.c.
 *
 * The text of a refusal completes the sentence "'delivery.timeout' …": it says what was expected
 * and, where there is a range, the range. */
#include "policy/conf_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/text.h"
#include "base/url.h"
#include "policy/profile.h"

#define TEXT_MAX 4000
#define SOCKET_PATH_MAX 107 /* sun_path less its NUL */

static void *field(const struct conf_key *k, void *object)
{
    return (char *)object + k->offset;
}

static bool refuse(struct err *err, const char *expected)
{
    fail(err, ERR_CONFIG, "must be %s", expected);
    return false;
}

static bool out_of_range(const struct conf_key *k, struct err *err)
{
    struct buf type;

    buf_init(&type, 256);
    conf_type_text(k, &type);
    fail(err, ERR_CONFIG, "is out of range: must be %s", type.data == NULL ? "" : type.data);
    buf_fini(&type);
    return false;
}

/* Decimal digits with an optional sign, nothing else. */
static bool parse_whole(const char *text, int64_t *out)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    size_t n = strspn(digits, "0123456789");

    if (n == 0 || n > 18 || digits[n] != '\0')
        return false;
    *out = strtoll(text, NULL, 10);
    return true;
}

/* "2", "0.1": digits and at most one point. Not strtod(): it follows the locale. */
static bool parse_number(const char *text, double *out)
{
    size_t whole = strspn(text, "0123456789");
    size_t rest = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
    double value = 0, scale = 1;

    if (whole == 0 || whole + rest > 15)
        return false;
    if (text[whole] == '.' ? rest == 0 || text[whole + 1 + rest] != '\0' : text[whole] != '\0')
        return false;
    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] == '.')
            continue;
        value = value * 10 + (text[i] - '0');
        scale = i > whole ? scale * 10 : scale;
    }
    *out = value / scale;
    return true;
}

static bool parse_bool(const char *text, bool *out)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes",
                                      "YES",  "on",   "On",   "ON"};
    static const char *const no[] = {"false", "False", "FALSE", "no", "No",
                                     "NO",    "off",   "Off",   "OFF"};

    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *out = strcmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool in_range(const struct conf_key *k, int64_t value, struct err *err)
{
    return value >= k->min && value <= k->max ? true : out_of_range(k, err);
}

static bool set_number(const struct conf_key *k, void *object, const char *text, struct err *err)
{
    double value;

    if (!parse_number(text, &value))
        return refuse(err, "a number like 2 or 0.1");
    if (value < (double)k->min || value > (double)k->max)
        return out_of_range(k, err);
    memcpy(field(k, object), &value, sizeof(value));
    return true;
}

static bool set_whole(const struct conf_key *k, void *object, const char *text, struct err *err)
{
    int64_t value;
    int small;

    if (k->type == CONF_DURATION) {
        if (!text_parse_duration(text, &value))
            return refuse(err, "a duration like 500ms, 10s, 5m, 24h or 30d");
    } else if (k->type == CONF_SIZE) {
        if (!text_parse_size(text, &value))
            return refuse(err, "a size like 65536, 64KiB or 1MiB");
    } else if (!parse_whole(text, &value)) {
        return refuse(err, "an integer");
    }
    if (!in_range(k, value, err))
        return false;
    small = (int)value;
    if (k->type == CONF_INT)
        memcpy(field(k, object), &small, sizeof(small));
    else
        memcpy(field(k, object), &value, sizeof(value));
    return true;
}

static bool set_word(const struct conf_key *k, void *object, const char *text, struct err *err)
{
    struct buf expected;

    for (int i = 0; k->words[i] != NULL; i++) {
        if (strcmp(text, k->words[i]) == 0) {
            memcpy(field(k, object), &i, sizeof(i));
            return true;
        }
    }
    buf_init(&expected, 256);
    conf_type_text(k, &expected);
    refuse(err, expected.data == NULL ? "another word" : expected.data);
    buf_fini(&expected);
    return false;
}

static const char *path_problem(const char *text, size_t max)
{
    size_t n = strlen(text);

    if (text[0] != '/')
        return "an absolute path (it begins with /)";
    if (n > max)
        return max == SOCKET_PATH_MAX ? "a path of at most 107 bytes (a unix socket)"
                                      : "a path of at most 4000 bytes";
    return text[n - 1] == '/' ? "the path of a file, not of a folder" : NULL;
}

/* No "?…" or "#…" behind the path: nothing would read it, and it would look as if it did something.
 */
static const char *sqlite_problem(const char *text)
{
    if (strncmp(text, "postgresql://", 13) == 0 || strncmp(text, "postgres://", 11) == 0)
        return "sqlite:///absolute/path: postgresql:// takes effect in a later version";
    if (strncmp(text, "sqlite://", 9) != 0)
        return "sqlite:// and an absolute path, like sqlite:///var/lib/webhookd/webhookd.db";
    if (url_sqlite_path(text) == NULL)
        return "sqlite:// and an absolute path (three slashes: sqlite:///var/lib/…)";
    const char *path = url_sqlite_path(text);
    if (strpbrk(path, "?#") != NULL)
        return "sqlite:// and a plain path, without ? or #";
    return path_problem(path, TEXT_MAX);
}

static const char *listen_problem(const char *text)
{
    static const char expected[] = "ADDRESS:PORT like 127.0.0.1:8420 or [::1]:8420";
    const char *colon = strrchr(text, ':');
    struct egress_addr address;
    char host[64];
    size_t n = colon == NULL ? 0 : (size_t)(colon - text);
    int64_t port;

    if (n == 0 || n >= sizeof(host) || !parse_whole(colon + 1, &port) || port < 0 || port > 65535)
        return expected;
    text_copy(host, n + 1, text);
    if (strcmp(host, "localhost") == 0)
        return NULL;
    if (host[0] != '[')
        return egress_addr_parse(host, &address) && address.family == 4 ? NULL : expected;
    if (host[n - 1] != ']')
        return expected;
    host[n - 1] = '\0';
    return egress_addr_parse(host + 1, &address) && address.family == 6 ? NULL : expected;
}

static const char *table_problem(const char *text)
{
    return id_is_table(text) ? NULL
                             : "a table's name: letters, digits and _, at most 64, no digit first";
}

static const char *text_problem(const char *text)
{
    return text[0] == '\0' || strlen(text) > 256 ? "text of 1 to 256 bytes" : NULL;
}

static const char *string_problem(enum conf_type type, const char *text)
{
    struct egress_addr address;

    if (type == CONF_PATH)
        return path_problem(text, TEXT_MAX);
    if (type == CONF_SOCKET)
        return path_problem(text, SOCKET_PATH_MAX);
    if (type == CONF_SQLITE)
        return sqlite_problem(text);
    if (type == CONF_LISTEN)
        return listen_problem(text);
    if (type == CONF_ADDRESS)
        return egress_addr_parse(text, &address) ? NULL : "an IP address";
    if (type == CONF_TABLE_NAME)
        return table_problem(text);
    if (type == CONF_PARTNER)
        return id_is_name(text) || strcmp(text, "*") == 0 ? NULL : "a partner's name, its id, or *";
    return text_problem(text);
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    }
    return false;
}

static bool profile_known(const char *text, struct err *err)
{
    struct buf names;

    if (profile_find(text) != NULL)
        return true;
    buf_init(&names, 512);
    for (size_t i = 0; profile_names()[i] != NULL; i++)
        buf_addf(&names, "%s%s", i == 0 ? "" : ", ", profile_names()[i]);
    fail(err, ERR_CONFIG, "names no profile of this version (%s)", names.data);
    buf_fini(&names);
    return false;
}

static bool set_string(const struct conf_key *k, void *object, const char *text, struct err *err)
{
    char **at = field(k, object);
    const char *expected;
    char *copy;

    if (k->type == CONF_LISTEN && text[0] == '\0') {
        conf_value_clear(k, object);
        return true;
    }
    if (has_control(text))
        return refuse(err, "text without control characters");
    if (k->type == CONF_PROFILE && !profile_known(text, err))
        return false;
    expected = string_problem(k->type, text);
    if (expected != NULL)
        return refuse(err, expected);
    copy = strdup(text);
    if (copy == NULL) {
        fail(err, ERR_NOMEM, "could not be kept: no memory");
        return false;
    }
    free(*at);
    *at = copy;
    return true;
}

static size_t *cidrs_n(const struct conf_key *k, void *object)
{
    return (size_t *)(void *)((char *)object + k->offset_n);
}

static bool add_cidr(const struct conf_key *k, void *object, const char *text, struct err *err)
{
    struct egress_cidr *list = field(k, object), cidr;
    size_t *n = cidrs_n(k, object);
    const char *why = egress_cidr_parse(text, &cidr);

    if (why != NULL) {
        fail(err, ERR_CONFIG, "must hold CIDRs like 10.1.0.0/16 or addresses: '%.64s' %s", text,
             why);
        return false;
    }
    if (*n == EGRESS_CIDRS_MAX)
        return refuse(err, "a list of at most 256 CIDRs");
    list[(*n)++] = cidr;
    return true;
}

static bool add_port(const struct conf_key *k, struct conf *c, const char *text, struct err *err)
{
    int64_t port;

    if (!parse_whole(text, &port))
        return refuse(err, "a list of ports like [443, 8443]");
    if (port < k->min || port > k->max)
        return refuse(err, "a list of ports from 1 to 65535");
    if (c->egress.ports_n == EGRESS_PORTS_MAX)
        return refuse(err, "a list of at most 64 ports");
    c->egress.ports[c->egress.ports_n++] = (uint16_t)port;
    return true;
}

static bool add_delay(const struct conf_key *k, struct retry_policy *p, const char *text,
                      struct err *err)
{
    int64_t ms;

    if (!text_parse_duration(text, &ms))
        return refuse(err, "a list of durations like [1m, 5m, 15m]");
    if (ms < k->min || ms > k->max)
        return refuse(err, "a list of durations of at most 30d");
    if (p->schedule_n == RETRY_SCHEDULE_MAX)
        return refuse(err, "a list of at most 64 durations");
    p->schedule_ms[p->schedule_n++] = ms;
    return true;
}

static bool add_status(const struct conf_key *k, struct retry_policy *p, const char *text,
                       struct err *err)
{
    int64_t status;

    if (strcmp(text, "non_2xx") == 0) {
        p->retry_non_2xx = true;
        return true;
    }
    if (!parse_whole(text, &status))
        return refuse(err, "non_2xx, or a list of statuses like [408, 409]");
    if (status == 410)
        return refuse(err, "without 410: it means gone under every policy");
    if (status < k->min || status > k->max)
        return refuse(err, "a list of statuses from 300 to 599");
    if (p->retry_statuses_n == RETRY_STATUSES_MAX)
        return refuse(err, "a list of at most 64 statuses");
    p->retry_statuses[p->retry_statuses_n++] = (int16_t)status;
    return true;
}

bool conf_value_set(const struct conf_key *k, void *object, const char *text, struct err *err)
{
    bool on;

    switch (k->type) {
    case CONF_BOOL:
        if (!parse_bool(text, &on))
            return refuse(err, "true or false");
        memcpy(field(k, object), &on, sizeof(on));
        return true;
    case CONF_INT:
    case CONF_DURATION:
    case CONF_SIZE:
        return set_whole(k, object, text, err);
    case CONF_NUMBER:
        return set_number(k, object, text, err);
    case CONF_WORD:
        return set_word(k, object, text, err);
    case CONF_CIDRS:
        return add_cidr(k, object, text, err);
    case CONF_PORTS:
        return add_port(k, object, text, err);
    case CONF_SCHEDULE:
        return add_delay(k, object, text, err);
    case CONF_RETRY_ON:
        return add_status(k, object, text, err);
    case CONF_RESERVED:
        return true;
    case CONF_TEXT:
    case CONF_PATH:
    case CONF_SOCKET:
    case CONF_SQLITE:
    case CONF_LISTEN:
    case CONF_ADDRESS:
    case CONF_TABLE_NAME:
    case CONF_PARTNER:
    case CONF_PROFILE:
        break;
    }
    return set_string(k, object, text, err);
}

void conf_value_clear(const struct conf_key *k, void *object)
{
    struct retry_policy *p = object;
    struct conf *c = object;
    char **text;
    const int64_t zero = 0;

    if (k->type == CONF_RESERVED)
        return;
    if (k->type == CONF_CIDRS) {
        *cidrs_n(k, object) = 0;
    } else if (k->type == CONF_PORTS) {
        c->egress.ports_n = 0;
    } else if (k->type == CONF_SCHEDULE) {
        p->schedule_n = 0;
    } else if (k->type == CONF_RETRY_ON) {
        p->retry_statuses_n = 0;
        p->retry_non_2xx = false;
    } else if (k->type == CONF_DURATION) {
        memcpy(field(k, object), &zero, sizeof(zero));
    } else {
        text = field(k, object);
        free(*text);
        *text = NULL;
    }
}

bool conf_value_default(const struct conf_key *k, void *object)
{
    if (k->def != NULL && k->def[0] != '\0')
        return conf_value_set(k, object, k->def, NULL);
    conf_value_clear(k, object);
    return true;
}
