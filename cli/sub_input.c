/* cli/sub_input.c: see sub_input.h. What a value means is judged by the API; here only what it takes
 * to write it as JSON. */
#include "cli/sub_input.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/text.h"
#include "cli/filter.h"
#include "cli/out.h"
#include "engine/api.h"
#include "policy/sign.h"

#define SECRET_MAX_BYTES 8192
#define HEADERS_MAX_BYTES 65536

int sub_input_secret(struct cli *cli, const char *file, json_t *body, const char *member)
{
    struct err err = {OK, ""};
    struct stat st;
    struct buf text;
    int rc = 0;

    if (strcmp(file, "-") != 0 && stat(file, &st) == 0 && S_ISREG(st.st_mode) &&
        (st.st_mode & S_IROTH) != 0)
        out_note("warning: everybody can read %s; chmod 600 %s", file, file);
    buf_init(&text, SECRET_MAX_BYTES + 1);
    if (cli_read_file(file, SECRET_MAX_BYTES, &text, &err) != OK) {
        rc = out_fail(cli, CLI_NO_INPUT, "not_found", "%s", err.text);
    } else {
        if (text.data != NULL)
            text.data[strcspn(text.data, "\r\n")] = '\0';
        if (text.data == NULL || !*text.data)
            rc = out_fail(cli, CLI_DATA, "invalid", "%s: its first line is empty", file);
        else if (json_object_set_new(body, member, json_string(text.data)) != 0)
            rc = out_fail(cli, CLI_DATA, "invalid", "%s: its first line is not UTF-8", file);
    }
    if (text.data != NULL)
        sign_wipe(text.data, text.room);
    buf_fini(&text);
    return rc;
}

/* Lines "Name: value" into body["headers"]; blank lines and comments are left out. */
static int put_headers(struct cli *cli, const char *file, json_t *body)
{
    struct err err = {OK, ""};
    struct buf text;
    json_t *headers;
    int rc = 0, line = 0;

    buf_init(&text, HEADERS_MAX_BYTES + 1);
    if (cli_read_file(file, HEADERS_MAX_BYTES, &text, &err) != OK) {
        buf_fini(&text);
        return out_fail(cli, CLI_NO_INPUT, "not_found", "%s", err.text);
    }
    headers = json_object();
    for (char *at = text.data, *next; rc == 0 && at != NULL && *at; at = next) {
        size_t n = strcspn(at, "\n");

        next = at + n + (at[n] == '\n');
        at[n] = '\0';
        line++;
        while (n > 0 && isspace((unsigned char)at[n - 1]))
            at[--n] = '\0';
        if (n == 0 || *at == '#')
            continue;
        char *colon = strchr(at, ':');

        if (colon == NULL || colon == at) {
            rc = out_fail(cli, CLI_DATA, "invalid", "%s:%d: not 'Name: value'", file, line);
            break;
        }
        *colon = '\0';
        colon += 1 + strspn(colon + 1, " \t");
        if (json_object_set_new(headers, at, json_string(colon)) != 0)
            rc = out_fail(cli, CLI_DATA, "invalid", "%s:%d: not UTF-8", file, line);
    }
    json_object_set_new(body, "headers", headers);
    sign_wipe(text.data, text.data ? text.room : 0);
    buf_fini(&text);
    return rc;
}

/* May be said repeatedly, and each time for several. */
static void put_events(const char *at, json_t *body)
{
    json_t *events = json_object_get(body, "events");
    char pattern[256];

    if (events == NULL) {
        events = json_array();
        json_object_set_new(body, "events", events);
    }
    while (*at) {
        size_t n, raw = strcspn(at, ",");
        const char *start = at + strspn(at, " ");

        n = start > at + raw ? 0 : raw - (size_t)(start - at);
        while (n > 0 && start[n - 1] == ' ')
            n--;
        text_copy(pattern, n + 1 < sizeof pattern ? n + 1 : sizeof pattern, start);
        json_array_append_new(events, json_string(pattern));
        at += raw + (at[raw] == ',');
    }
}

/* typed: "--concurrency 2000", or "concurrency=2000". */
static int put_number(struct cli *cli, const char *typed, const char *text, json_t *body,
                      const char *member)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end || n < 1 || n > API_CONCURRENCY_MAX)
        return out_fail(cli, CLI_USAGE, "usage", "%s: not a number from 1 to %d", typed,
                        API_CONCURRENCY_MAX);
    json_object_set_new(body, member, json_integer(n));
    return 0;
}

static int put_rate(struct cli *cli, const char *typed, const char *text, json_t *body,
                    const char *member)
{
    double rate = 0;
    int rc = filter_rate_of(cli, typed, text, &rate);

    if (rc == 0)
        json_object_set_new(body, member, json_real(rate));
    return rc;
}

static int put_duration(struct cli *cli, const char *typed, const char *text, json_t *body,
                        const char *member)
{
    int64_t ms = 0;
    char least[32], most[32];

    text_duration(least, sizeof least, API_TIMEOUT_MIN_MS);
    text_duration(most, sizeof most, API_TIMEOUT_MAX_MS);
    if (!text_parse_duration(text, &ms))
        return out_fail(cli, CLI_USAGE, "usage", "%s: not a duration like 500ms, 10s or 2m", typed);
    if (ms < API_TIMEOUT_MIN_MS || ms > API_TIMEOUT_MAX_MS)
        return out_fail(cli, CLI_USAGE, "usage", "%s: %s %s", typed,
                        ms > API_TIMEOUT_MAX_MS ? "at most" : "at least",
                        ms > API_TIMEOUT_MAX_MS ? most : least);
    json_object_set_new(body, member, json_real((double)ms / 1000.0));
    return 0;
}

/* ---- the keys ---- */
enum kind { PLAIN, EVENTS, RATE, NUMBER, DURATION, HEADERS, BEARER };
static const struct input {
    enum flag_id flag;
    const char *member;
    enum kind kind;
    bool may_be_none;
} inputs[] = {
    {FLAG_URL, "url", PLAIN, false},
    {FLAG_EVENTS, "events", EVENTS, false},
    {FLAG_NAME, "name", PLAIN, false},
    {FLAG_PARTNER, "partner", PLAIN, false},
    {FLAG_PROFILE, "profile", PLAIN, false},
    {FLAG_RETRY, "retry", PLAIN, true},
    {FLAG_RATE, "rate_per_second", RATE, true},
    {FLAG_CONCURRENCY, "concurrency", NUMBER, true},
    {FLAG_TIMEOUT, "timeout_seconds", DURATION, true},
    {FLAG_ORDERING, "ordering", PLAIN, false}, /* none is one of its words */
    {FLAG_ON_DEAD, "on_dead", PLAIN, false},
    {FLAG_HEADER_FILE, "headers", HEADERS, true},
    {FLAG_BEARER_FILE, "bearer", BEARER, true},
};
enum { INPUTS = sizeof inputs / sizeof *inputs };

static int put_plain(struct cli *cli, enum flag_id flag, const char *value, json_t *body,
                     const char *member)
{
    if (json_object_set_new(body, member, json_string(value)) != 0)
        return out_fail(cli, CLI_USAGE, "usage", "--%s: not UTF-8", flags_table[flag].name);
    return 0;
}

/* The API's "no limit" is 0; what is sealed or named goes by null. */
static void put_none(const struct input *in, json_t *body)
{
    bool number = in->kind == RATE || in->kind == NUMBER || in->kind == DURATION;

    json_object_set_new(body, in->member, number ? json_integer(0) : json_null());
}

/* typed: as it was said, for errors. */
static int input_put(struct cli *cli, enum flag_id flag, const char *typed, const char *value,
                     bool clear, json_t *body)
{
    size_t i = 0;

    while (i < INPUTS && inputs[i].flag != flag)
        i++;
    if (i == INPUTS)
        return 0;
    const struct input *in = &inputs[i];

    if (clear && in->may_be_none && strcmp(value, "none") == 0) {
        put_none(in, body);
        return 0;
    }
    switch (in->kind) {
    case PLAIN:
        return put_plain(cli, flag, value, body, in->member);
    case EVENTS:
        put_events(value, body);
        return 0;
    case RATE:
        return put_rate(cli, typed, value, body, in->member);
    case NUMBER:
        return put_number(cli, typed, value, body, in->member);
    case DURATION:
        return put_duration(cli, typed, value, body, in->member);
    case HEADERS:
        return put_headers(cli, value, body);
    case BEARER:
        return sub_input_secret(cli, value, body, in->member);
    }
    return 0;
}

int sub_input_flags(struct cli *cli, bool clear, json_t *body)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < cli->args->given_n; i++) {
        const struct args_given *g = &cli->args->given[i];
        struct buf typed;

        buf_init(&typed, 8192);
        buf_addf(&typed, "--%s %s", flags_table[g->flag].name, g->value);
        rc = input_put(cli, g->flag, typed.data ? typed.data : "", g->value, clear, body);
        buf_fini(&typed);
    }
    return rc;
}

static int key_unknown(struct cli *cli, const char *key)
{
    const char *names[INPUTS + 1];
    size_t n = 0;

    if (strcmp(key, "secret") == 0 || strcmp(key, "secret-file") == 0)
        return out_fail(cli, CLI_USAGE, "usage",
                        "a secret is rotated: webhookctl sub rotate-secret NAME "
                        "--secret-file F");
    if (strcmp(key, "bearer") == 0 || strcmp(key, "headers") == 0)
        return out_fail(cli, CLI_USAGE, "usage",
                        "secrets come from files, never from arguments: %s",
                        *key == 'b' ? "bearer-file=FILE" : "header-file=FILE");
    for (size_t i = 0; i < INPUTS; i++) {
        if (inputs[i].flag != FLAG_PARTNER) /* it stays whose it is */
            names[n++] = flags_table[inputs[i].flag].name;
    }
    names[n] = NULL;
    char near[TEXT_NEAR_MAX];

    return out_fail(cli, CLI_USAGE, "usage",
                    "unknown key '%s'%s: url, events, name, profile, retry, rate, concurrency, "
                    "timeout, ordering, on-dead, header-file, bearer-file",
                    key, text_did_you_mean(near, key, names));
}

int sub_input_word(struct cli *cli, const char *word, json_t *body)
{
    const char *equals = strchr(word, '=');
    char key[64];

    if (equals == NULL || equals == word)
        return out_fail(cli, CLI_USAGE, "usage", "'%s' is not KEY=VALUE, as in rate=20/s", word);
    text_copy(key,
              (size_t)(equals - word) + 1 < sizeof key ? (size_t)(equals - word) + 1 : sizeof key,
              word);
    for (size_t i = 0; i < INPUTS; i++) {
        if (inputs[i].flag != FLAG_PARTNER && strcmp(flags_table[inputs[i].flag].name, key) == 0)
            return input_put(cli, inputs[i].flag, word, equals + 1, true, body);
    }
    return key_unknown(cli, key);
}
