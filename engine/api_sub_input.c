/* engine/api_sub_input.c: what a caller may say about a subscription, judged member by member. Each
 * refusal says what is wrong and what to do; none repeats a secret. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/url.h"
#include "base/text.h"
#include "engine/api_impl.h"
#include "policy/profile.h"
#include "policy/sign.h"
#include "policy/route.h"

enum { EVENTS_TEXT_MAX = 16384 };

static enum err_code no_memory(struct api_call *c)
{
    return fail(c->err, ERR_NOMEM, "no memory for a subscription");
}

/* ---- url ---- */

static enum err_code judge_url(struct api_call *c, const char *member, const struct url *u)
{
    bool literal = false;
    const char *kind = "policy";
    const struct egress_rules *rules = &c->api->conf->egress;
    const char *why = egress_judge_url(rules, u->scheme, u->host, u->port, &literal, &kind);
    if (!why)
        return OK;
    const char *fix = !strcmp(u->scheme, "http") && !rules->allow_http
                          ? "use https, or set egress.allow_http: true in webhookd.conf"
                      : !strcmp(kind, "address")
                          ? "to open it all the same, add its CIDR to egress.allow in webhookd.conf"
                          : "see egress in webhookd.conf (allow, ports)";
    return api_refuse(c, 422, "invalid_url", member, "%s: %.200s:%u may not be dialled: %s; %s",
                      member, u->host, (unsigned)u->port, why, fix);
}

enum err_code api_member_url(struct api_call *c, const char *member, const char **out)
{
    const char *text = NULL;
    struct url u = {0};
    struct err why = {0};
    enum err_code rc = api_member_text(c, member, &text);
    if (rc != OK || !text)
        return rc;
    rc = url_parse(text, &u, &why);
    if (rc == ERR_NOMEM)
        return no_memory(c);
    if (rc != OK)
        return api_refuse(c, 422, "invalid_url", member, "%s: %s", member,
                          why.text + (strncmp(why.text, "url: ", 5) ? 0 : 5));
    rc = judge_url(c, member, &u);
    const char *whole = rc == OK ? arena_copy(c->mem, u.whole) : NULL;
    if (rc == OK && !whole)
        rc = no_memory(c);
    if (rc == OK)
        *out = whole;
    url_fini(&u);
    return rc;
}

/* ---- events ---- */

static enum err_code read_events(struct api_call *c, struct subscription *s)
{
    const json_t *v = json_object_get(c->body, "events");
    struct buf text;
    enum err_code rc = OK;
    if (!v || json_is_null(v))
        return OK;
    buf_init(&text, EVENTS_TEXT_MAX);
    if (json_is_string(v))
        buf_adds(&text, json_string_value(v));
    for (size_t i = 0; json_is_array(v) && rc == OK && i < json_array_size(v); i++) {
        const char *one = json_string_value(json_array_get(v, i));
        if (!one || strchr(one, ','))
            rc = api_refuse(c, 422, "invalid_events", "events",
                            "events: an array of patterns, one in each string");
        else
            buf_addf(&text, "%s%s", i ? "," : "", one);
    }
    const char *problem = text.failed ? "too long" : route_problem(text.data ? text.data : "");
    if (rc == OK && problem)
        rc = api_refuse(c, 422, "invalid_events", "events",
                        "events: %s; patterns are like order.executed, order.* or *", problem);
    if (rc == OK) {
        s->patterns = arena_copy(c->mem, text.data);
        if (!s->patterns)
            rc = no_memory(c);
    }
    buf_fini(&text);
    return rc;
}

/* ---- names ---- */

static enum err_code read_name(struct api_call *c, struct subscription *s)
{
    const char *name = NULL;
    int64_t num;
    enum err_code rc = api_member_text(c, "name", &name);
    if (rc != OK || !name)
        return rc;
    if (!id_is_name(name) || id_parse(name, "sub", &num))
        return api_refuse(c, 422, "invalid_member", "name",
                          "name: 1 to 64 of A-Z a-z 0-9 _ . -, the first a letter or digit, and "
                          "not like an id");
    s->name = name;
    return OK;
}

static enum err_code read_profile(struct api_call *c, struct subscription *s)
{
    const char *profile = NULL, *retry = NULL;
    char near[TEXT_NEAR_MAX];
    enum err_code rc = api_member_text(c, "profile", &profile);
    if (rc == OK)
        rc = api_member_text(c, "retry", &retry);
    if (rc != OK)
        return rc;
    if (profile && !profile_find(profile)) {
        char names[256] = "";
        size_t at = 0;
        for (const char *const *p = profile_names(); *p && at < sizeof names; p++)
            at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", at ? ", " : "", *p);
        return api_refuse(c, 422, "invalid_member", "profile",
                          "profile: '%.64s' is not one of %s%s", profile, names,
                          text_did_you_mean(near, profile, profile_names()));
    }
    if (retry && !conf_retry(c->api->conf, retry)) {
        const char *names[CONF_POLICIES_MAX + 1] = {NULL};
        for (size_t i = 0; i < c->api->conf->retry_n; i++)
            names[i] = c->api->conf->retry[i].name;
        return api_refuse(c, 422, "invalid_member", "retry",
                          "retry: no policy '%.64s' under retry in webhookd.conf%s", retry,
                          text_did_you_mean(near, retry, names));
    }
    if (profile)
        s->profile = profile;
    if (json_object_get(c->body, "retry"))
        s->retry = retry; /* null: the profile's again */
    return OK;
}

/* ---- numbers and words ---- */

static enum err_code read_numbers(struct api_call *c, struct subscription *s)
{
    double rate = 0, concurrency = 0, timeout_s = 0;
    enum err_code rc = api_member_number(c, "rate_per_second", 0, API_RATE_MAX_PER_S, &rate);
    if (rc == OK)
        rc = api_member_number(c, "concurrency", 0, API_CONCURRENCY_MAX, &concurrency);
    if (rc == OK)
        rc = api_member_number(c, "timeout_seconds", 0, API_TIMEOUT_MAX_MS / 1000.0, &timeout_s);
    if (rc != OK)
        return rc;
    if (concurrency != (double)(int)concurrency)
        return api_refuse(c, 422, "invalid_member", "concurrency", "concurrency: a whole number");
    if (rate > 0 && rate < API_RATE_MIN_PER_S)
        return api_refuse(c, 422, "invalid_member", "rate_per_second",
                          "rate_per_second: at least 0.001, or 0 for no limit");
    if (timeout_s > 0 && timeout_s < API_TIMEOUT_MIN_MS / 1000.0)
        return api_refuse(c, 422, "invalid_member", "timeout_seconds",
                          "timeout_seconds: at least 0.01, or 0 for the profile's");
    if (json_object_get(c->body, "rate_per_second"))
        s->rate_per_s = rate;
    if (json_object_get(c->body, "concurrency"))
        s->concurrency = (int)concurrency;
    if (json_object_get(c->body, "timeout_seconds"))
        s->timeout_ms = (int64_t)(timeout_s * 1000 + 0.5);
    return OK;
}

static enum err_code read_word(struct api_call *c, const char *name, const char *no,
                               const char *yes, bool *out)
{
    const char *word = NULL;
    enum err_code rc = api_member_text(c, name, &word);
    if (rc != OK || !word)
        return rc;
    const char *const both[] = {no, yes, NULL};
    char near[TEXT_NEAR_MAX];
    if (strcmp(word, no) != 0 && strcmp(word, yes) != 0)
        return api_refuse(c, 422, "invalid_member", name, "%s: '%.64s' is not %s or %s%s", name,
                          word, no, yes, text_did_you_mean(near, word, both));
    *out = !strcmp(word, yes);
    return OK;
}

static enum err_code read_ordering(struct api_call *c, struct subscription *s)
{
    enum err_code rc = read_word(c, "ordering", "none", "key", &s->ordered);
    if (rc == OK)
        rc = read_word(c, "on_dead", "skip", "block", &s->on_dead_block);
    if (rc == OK && s->on_dead_block && !s->ordered)
        rc = api_refuse(c, 422, "invalid_member", "on_dead",
                        "on_dead: block holds the deliveries of a key, so it needs ordering: key");
    return rc;
}

/* ---- what is sealed ---- */

static enum err_code read_bearer(struct api_call *c, struct subscription *s)
{
    const char *bearer = NULL;
    enum err_code rc = api_member_text(c, "bearer", &bearer);
    if (rc != OK || !json_object_get(c->body, "bearer"))
        return rc;
    const char *problem = bearer ? profile_bearer_problem(bearer) : NULL;
    if (problem)
        return api_refuse(c, 422, "invalid_member", "bearer", "bearer: %s", problem);
    s->bearer = bearer;
    return OK;
}

static enum err_code read_headers(struct api_call *c, struct subscription *s)
{
    const json_t *v = json_object_get(c->body, "headers");
    if (!v)
        return OK;
    if (json_is_null(v) || (json_is_object(v) && json_object_size(v) == 0)) {
        s->headers = NULL;
        return OK;
    }
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    const char *problem = text ? profile_headers_problem(text) : "out of memory";
    enum err_code rc = OK;
    if (problem)
        rc = api_refuse(c, 422, "invalid_member", "headers", "headers: %s", problem);
    else if (!(s->headers = arena_copy(c->mem, text)))
        rc = no_memory(c);
    if (text)
        sign_wipe(text, strlen(text));
    free(text);
    return rc;
}

enum err_code sub_profile_secrets(struct api_call *c, const struct subscription *s)
{
    const struct profile *p = profile_find(s->profile);
    for (size_t i = 0; p && i < s->secrets_n; i++) {
        const struct secret *k = &s->secrets[i];
        bool valid = !k->expires_ms || k->expires_ms > c->now_ms;
        const char *problem = valid ? profile_secret_problem(p, k->value) : NULL;
        if (problem)
            return api_refuse(c, 422, "invalid_member", "profile",
                              "profile: its secret does not fit %s: %s; rotate it first",
                              s->profile, problem);
    }
    return OK;
}

enum err_code sub_input(struct api_call *c, struct subscription *s, bool create)
{
    enum err_code rc = api_member_url(c, "url", &s->url);
    if (rc == OK)
        rc = read_events(c, s);
    if (rc == OK && create && !s->url)
        rc = api_refuse(c, 422, "invalid_url", "url", "url: missing: give https://…");
    if (rc == OK && create && !s->patterns)
        rc = api_refuse(c, 422, "invalid_events", "events",
                        "events: missing: give patterns, for instance [\"order.*\"]");
    if (rc == OK)
        rc = read_name(c, s);
    if (rc == OK)
        rc = read_profile(c, s);
    if (rc == OK)
        rc = read_numbers(c, s);
    if (rc == OK)
        rc = read_ordering(c, s);
    if (rc == OK)
        rc = read_bearer(c, s);
    return rc == OK ? read_headers(c, s) : rc;
}
