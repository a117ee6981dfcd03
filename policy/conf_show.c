/* policy/conf_show.c: the effective configuration as text that conf_parse() accepts again.
 *
 * Every key is written, in the order of the table; nothing in it is secret (keys and passwords are
 * in files that it only names). */
#include "policy/conf_table.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

static const void *field_const(const struct conf_key *k, const void *object)
{
    return (const char *)object + k->offset;
}

/* Plain where YAML cannot take it for anything else, else in double quotes, JSON's way. */
static void put_text(const char *text, bool json, struct buf *out)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                               "_./:-";
    size_t n = text == NULL ? 0 : strlen(text);

    if (text == NULL)
        buf_adds(out, json ? "null" : "~");
    else if (json || n == 0 || strspn(text, safe) != n || text[n - 1] == ':' || text[0] == '-' ||
             text[0] == ':' || strcasecmp(text, "null") == 0)
        buf_add_json(out, text);
    else
        buf_adds(out, text);
}

static void put_size(int64_t bytes, bool json, struct buf *out)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB"};
    char text[40];
    size_t unit = 0;

    while (unit < 3 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, sizeof(text), "%lld%s", (long long)bytes, units[unit]);
    put_text(text, json && unit > 0, out);
}

static void put_duration(int64_t ms, bool json, struct buf *out)
{
    char text[32];

    text_duration(text, sizeof(text), ms);
    put_text(text, json, out);
}

static void put_number(double value, struct buf *out)
{
    char text[40];

    snprintf(text, sizeof(text), "%.15g", value);
    for (char *p = text; *p != '\0'; p++) {
        if (*p == ',') /* some locales' decimal point */
            *p = '.';
    }
    buf_adds(out, text);
}

static void put_policy_list(const struct conf_key *k, const struct retry_policy *p, bool json,
                            struct buf *out)
{
    if (k->type == CONF_RETRY_ON && p->retry_non_2xx) {
        put_text("non_2xx", json, out);
        return;
    }
    buf_addc(out, '[');
    if (k->type == CONF_SCHEDULE) {
        for (int i = 0; i < p->schedule_n; i++) {
            buf_adds(out, i == 0 ? "" : ", ");
            put_duration(p->schedule_ms[i], json, out);
        }
    } else {
        for (int i = 0; i < p->retry_statuses_n; i++)
            buf_addf(out, "%s%d", i == 0 ? "" : ", ", p->retry_statuses[i]);
    }
    buf_addc(out, ']');
}

static void put_cidrs(const struct egress_cidr *list, size_t n, struct buf *out)
{
    char address[46];

    buf_addc(out, '[');
    for (size_t i = 0; i < n; i++) {
        egress_addr_text(&list[i].addr, address);
        buf_addf(out, "%s\"%s/%d\"", i == 0 ? "" : ", ", address, list[i].bits);
    }
    buf_addc(out, ']');
}

static void put_ports(const struct conf *c, bool json, struct buf *out)
{
    if (c->egress.ports_n == 0) {
        put_text(NULL, json, out);
        return;
    }
    buf_addc(out, '[');
    for (size_t i = 0; i < c->egress.ports_n; i++)
        buf_addf(out, "%s%u", i == 0 ? "" : ", ", c->egress.ports[i]);
    buf_addc(out, ']');
}

static void put_plain(const struct conf_key *k, const void *at, bool json, struct buf *out)
{
    char *text;
    int small = 0;
    int64_t value = 0;
    double number;
    bool on;

    if (k->type == CONF_INT || k->type == CONF_WORD)
        memcpy(&small, at, sizeof(small));
    if (k->type == CONF_DURATION || k->type == CONF_SIZE)
        memcpy(&value, at, sizeof(value));
    if (k->type == CONF_BOOL) {
        memcpy(&on, at, sizeof(on));
        buf_adds(out, on ? "true" : "false");
    } else if (k->type == CONF_INT) {
        buf_addf(out, "%d", small);
    } else if (k->type == CONF_WORD) {
        put_text(k->words[small], json, out);
    } else if (k->type == CONF_NUMBER) {
        memcpy(&number, at, sizeof(number));
        put_number(number, out);
    } else if (k->type == CONF_SIZE) {
        put_size(value, json, out);
    } else if (k->type == CONF_DURATION && !(k->none && value == 0)) {
        put_duration(value, json, out);
    } else if (k->type == CONF_DURATION || k->type == CONF_RESERVED) {
        put_text(NULL, json, out);
    } else {
        memcpy(&text, at, sizeof(text));
        put_text(text, json, out);
    }
}

void conf_value_text(const struct conf_key *k, const void *object, bool json, struct buf *out)
{
    if (k->type == CONF_CIDRS)
        put_cidrs(field_const(k, object),
                  *(const size_t *)(const void *)((const char *)object + k->offset_n), out);
    else if (k->type == CONF_PORTS)
        put_ports(object, json, out);
    else if (k->type == CONF_SCHEDULE || k->type == CONF_RETRY_ON)
        put_policy_list(k, object, json, out);
    else
        put_plain(k, field_const(k, object), json, out);
}

/* ---- the whole ---- */

/* One mapping's rows. YAML: "indent leaf: value" lines, the first after `lead`. JSON: members. */
static void put_rows(const char *section, const void *object, const char *lead, const char *indent,
                     bool json, struct buf *out)
{
    size_t n = strlen(section);
    bool first = true;

    for (size_t i = 0; i < conf_keys_n; i++) {
        const struct conf_key *k = &conf_keys[i];

        if (strncmp(k->name, section, n) != 0 || k->name[n] != '.' || k->type == CONF_RESERVED)
            continue;
        if (json)
            buf_addf(out, "%s\"%s\": ", first ? "" : ", ", conf_key_leaf(k));
        else
            buf_addf(out, "%s%s: ", first ? lead : indent, conf_key_leaf(k));
        conf_value_text(k, object, json, out);
        if (!json)
            buf_addc(out, '\n');
        first = false;
    }
}

static void put_outboxes(const struct conf *c, bool json, struct buf *out)
{
    if (c->outbox_n == 0 || json)
        buf_adds(out, json ? "[" : " []\n");
    else
        buf_addc(out, '\n');
    for (size_t i = 0; i < c->outbox_n; i++) {
        buf_adds(out, !json ? "" : i == 0 ? "\n    {" : ",\n    {");
        put_rows("outbox[]", &c->outbox[i], "  - ", "    ", json, out);
        buf_adds(out, json ? "}" : "");
    }
    buf_adds(out, json ? "]" : "");
}

static void put_policies(const struct conf *c, bool json, struct buf *out)
{
    buf_adds(out, json ? "{" : "\n");
    for (size_t i = 0; i < c->retry_n; i++) {
        buf_adds(out, !json ? "  " : i == 0 ? "\n    " : ",\n    ");
        put_text(c->retry[i].name, json || strspn(c->retry[i].name, "0123456789.") > 0, out);
        buf_adds(out, json ? ": {" : ":\n");
        put_rows("retry.<policy>", &c->retry[i], "    ", "    ", json, out);
        buf_adds(out, json ? "}" : "");
    }
    buf_adds(out, json ? "}" : "");
}

static void put_section(const struct conf *c, const char *section, bool json, struct buf *out)
{
    if (json)
        buf_addf(out, "  \"%s\": ", section);
    else
        buf_addf(out, "%s:", section);
    if (strcmp(section, "outbox") == 0) {
        put_outboxes(c, json, out);
    } else if (strcmp(section, "retry") == 0) {
        put_policies(c, json, out);
    } else {
        buf_adds(out, json ? "{" : "\n");
        put_rows(section, c, "  ", "  ", json, out);
        buf_adds(out, json ? "}" : "");
    }
}

void conf_show(const struct conf *c, bool json, struct buf *out)
{
    char before[64] = "", section[64];

    buf_adds(out, json ? "{" : "");
    for (size_t i = 0; i < conf_keys_n; i++) {
        text_copy(section, strcspn(conf_keys[i].name, ".[") + 1, conf_keys[i].name);
        if (strcmp(section, before) == 0 || conf_keys[i].type == CONF_RESERVED)
            continue;
        if (json)
            buf_adds(out, before[0] == '\0' ? "\n" : ",\n");
        put_section(c, section, json, out);
        text_copy(before, sizeof(before), section);
    }
    buf_adds(out, json ? "\n}\n" : "");
}
