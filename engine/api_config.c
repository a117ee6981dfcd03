/* engine/api_config.c: what a running daemon can be told about itself: its configuration, read anew;
 * how much it logs. There is no such thing where none runs. */
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "engine/api_impl.h"
#include "engine/reload.h"

static enum err_code running(struct api_call *c)
{
    return c->api->live ? OK
                        : api_refuse(c, 409, "no_daemon", NULL,
                                     "this asks a running webhookd about itself: start it");
}

/* ---- configuration ---- */
enum err_code h_config_get(struct api_call *c)
{
    struct buf *b = &c->resp->body;
    enum err_code rc = running(c);
    if (rc != OK)
        return rc;
    put_open(b, NULL, '{');
    put_str(b, "file", c->api->live->config_file);
    put_time(b, "loaded_at", c->api->live->config_loaded_ms);
    put_name(b, "config");
    conf_show(c->api->conf, true, b);
    buf_addc(b, '}');
    c->resp->status = 200;
    return OK;
}

static void put_change(void *arg, const char *key, const char *now, const char *next,
                       bool reloadable)
{
    struct buf *b = arg;

    put_open(b, NULL, '{');
    put_str(b, "key", key);
    put_str(b, "running", now);
    put_str(b, "file", next);
    put_bool(b, "reloadable", reloadable);
    buf_addc(b, '}');
}

static enum err_code audit_reload(struct api_call *c, const struct reload *r)
{
    struct buf detail;

    buf_init(&detail, (size_t)1 << 20);
    put_open(&detail, NULL, '{');
    put_bool(&detail, "applied", r->next != NULL);
    put_open(&detail, "changed", '[');
    if (r->next)
        conf_diff(c->api->conf, r->next, put_change, &detail);
    buf_adds(&detail, "]}");
    enum err_code rc = detail.failed
                           ? fail(c->err, ERR_NOMEM, "no memory for the audit log")
                           : api_audit(c, "config.reload", c->api->live->config_file, detail.data);
    buf_fini(&detail);
    return rc;
}

/* A refusal is committed too: the loop counts and logs it, and the audit log tells who tried. */
enum err_code h_config_reload(struct api_call *c)
{
    static const char *const names[] = {NULL};
    struct buf *b = &c->resp->body;
    enum err_code rc = running(c);
    if (rc == OK)
        rc = api_members(c, c->body, names);
    if (rc == OK && !c->api->live->may_reload)
        rc = api_refuse(c, 409, "restart_needed", NULL,
                        "it was reloaded too often to keep all of them: restart webhookd");
    if (rc != OK)
        return rc;
    struct reload *r = reload_read(c->api->conf, c->api->live->config_file);
    if (!r)
        return fail(c->err, ERR_NOMEM, "no memory for a configuration");
    rc = audit_reload(c, r);
    if (rc == OK && r->next) {
        put_open(b, NULL, '{');
        put_bool(b, "applied", true);
        put_str(b, "path", c->api->live->config_file);
        put_open(b, "changed", '[');
        conf_diff(c->api->conf, r->next, put_change, b);
        buf_adds(b, "]}");
        c->resp->status = 200;
    } else if (rc == OK) {
        api_fail_lines(c->resp, r->restart ? 409 : 422,
                       r->restart ? "restart_needed" : "config_invalid",
                       r->restart ? "what changed needs a restart of webhookd; nothing was applied"
                                  : "the configuration is invalid; nothing was applied",
                       &r->problems);
    }
    if (rc == OK)
        c->resp->changes.reload = r;
    else
        reload_free(r);
    return rc;
}

/* ---- log ---- */
static void put_level(struct api_call *c, enum log_level level, int64_t until_ms)
{
    struct buf *b = &c->resp->body;

    put_open(b, NULL, '{');
    put_str(b, "level", log_level_name(level));
    put_str(b, "configured", log_level_name((enum log_level)c->api->conf->log_level));
    put_time(b, "until", until_ms);
    buf_addc(b, '}');
    c->resp->status = 200;
}

enum err_code h_log_get(struct api_call *c)
{
    enum err_code rc = running(c);
    if (rc == OK)
        put_level(c, log_level_now(), c->api->live->log_until_ms);
    return rc;
}

static enum err_code read_level(struct api_call *c, enum log_level *out)
{
    const char *level = NULL;
    enum err_code rc = api_member_text(c, "level", &level);
    if (rc != OK)
        return rc;
    for (int i = LOG_LEVEL_DEBUG; level && i <= LOG_LEVEL_ERROR; i++) {
        if (!strcmp(level, log_level_name((enum log_level)i))) {
            *out = (enum log_level)i;
            return OK;
        }
    }
    static const char *const words[] = {"debug", "info", "warn", "error", NULL};
    char near[TEXT_NEAR_MAX];
    return api_refuse(c, 422, "invalid_member", "level",
                      "level: '%.32s' is not debug, info, warn or error%s", level ? level : "",
                      level ? text_did_you_mean(near, level, words) : "");
}

enum err_code h_log_set(struct api_call *c)
{
    static const char *const names[] = {"level", "for_seconds", NULL};
    enum log_level level = LOG_LEVEL_INFO;
    struct buf detail;
    double for_s = 0;
    enum err_code rc = running(c);
    if (rc == OK)
        rc = api_members(c, c->body, names);
    if (rc == OK)
        rc = read_level(c, &level);
    if (rc == OK)
        rc = api_member_number(c, "for_seconds", API_FOR_MIN_MS / 1000.0,
                               (double)API_LOG_FOR_MAX_MS / 1000.0, &for_s);
    if (rc != OK)
        return rc;
    int64_t until_ms = for_s > 0 ? c->now_ms + (int64_t)(for_s * 1000) : 0;
    buf_init(&detail, 1024);
    put_open(&detail, NULL, '{');
    put_str(&detail, "level", log_level_name(level));
    put_time(&detail, "until", until_ms);
    buf_addc(&detail, '}');
    rc = detail.failed ? fail(c->err, ERR_NOMEM, "no memory for the audit log")
                       : api_audit(c, "log.level", "log", detail.data);
    buf_fini(&detail);
    c->resp->changes.log =
        (struct change_log){.told = true, .level = (int)level, .until_ms = until_ms};
    if (rc == OK)
        put_level(c, level, until_ms);
    return rc;
}
