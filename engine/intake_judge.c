/* engine/intake_judge.c: is this an event? Every member of it by itself, without store or clock.
 *
 * Each refusal names the member, what is wrong with it and what to do: it becomes the reason of an
 * outbox reject or the message of a 4xx, and the reader is the producer's developer. */
#include "engine/intake_judge.h"

#include <string.h>

#include "base/id.h"
#include "base/text.h"

#define TEXT_FIELD_MAX 1024
#define ATTRIBUTES_MAX 65536
#define TIME_MIN_MS 100000000000  /* 1973: anything smaller was meant as seconds */
#define TIME_MAX_MS 7258118400000 /* 2200: anything greater was meant as microseconds */

static enum err_code judge_text(const char *name, const char *text, struct err *err)
{
    if (!text)
        return OK;
    size_t n = strnlen(text, TEXT_FIELD_MAX + 1);
    if (n > TEXT_FIELD_MAX)
        return fail(err, ERR_INVALID, "%s: longer than %d bytes: shorten it", name, TEXT_FIELD_MAX);
    if (!text_is_utf8(text, n))
        return fail(err, ERR_INVALID, "%s: not UTF-8: encode it as UTF-8", name);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return fail(err, ERR_INVALID, "%s: control character at byte %zu: remove it", name, i);
    return OK;
}

static enum err_code judge_time(const char *name, int64_t ms, struct err *err)
{
    if (!ms)
        return OK;
    if (ms > 0 && ms < TIME_MIN_MS)
        return fail(err, ERR_INVALID,
                    "%s: %lld looks like seconds where milliseconds belong: multiply by 1000", name,
                    (long long)ms);
    if (ms < 0)
        return fail(err, ERR_INVALID, "%s: %lld is before 1970: give milliseconds since 1970", name,
                    (long long)ms);
    if (ms > TIME_MAX_MS)
        return fail(err, ERR_INVALID,
                    "%s: %lld is after the year 2200: give milliseconds since 1970, not "
                    "microseconds or nanoseconds",
                    name, (long long)ms);
    return OK;
}

static enum err_code judge_attributes(const char *text, struct err *err)
{
    if (!text)
        return OK;
    size_t n = strnlen(text, ATTRIBUTES_MAX + 1), at = 0;
    if (n > ATTRIBUTES_MAX)
        return fail(err, ERR_INVALID, "attributes: longer than %d bytes: shorten them",
                    ATTRIBUTES_MAX);
    const char *problem = text_json_problem(text, n, &at);
    if (problem)
        return fail(err, ERR_INVALID, "attributes: not JSON: %s at byte %zu: give a JSON object",
                    problem, at);
    if (text[strspn(text, " \t\r\n")] != '{')
        return fail(err, ERR_INVALID, "attributes: not a JSON object: give {\"name\": \"value\"}");
    return OK;
}

static enum err_code judge_payload(const struct intake_event *ev,
                                   const struct intake_limits *limits, struct err *err)
{
    if (!ev->payload)
        return fail(err, ERR_INVALID, "payload: missing: give JSON, for instance {}");
    if (limits->max_payload_bytes > 0 && ev->payload_bytes > (uint64_t)limits->max_payload_bytes)
        return fail(
            err, ERR_INVALID,
            "payload: %zu bytes, more than max_payload_bytes (%lld): send less, or raise it",
            ev->payload_bytes, (long long)limits->max_payload_bytes);
    size_t at = 0;
    const char *problem = text_json_problem(ev->payload, ev->payload_bytes, &at);
    if (problem)
        return fail(err, ERR_INVALID, "payload: not JSON: %s at byte %zu: give JSON in UTF-8",
                    problem, at);
    return OK;
}

enum err_code intake_judge(const struct intake_event *ev, const struct intake_limits *limits,
                           struct err *err)
{
    if (!ev->type || !id_is_type(ev->type))
        return fail(err, ERR_INVALID,
                    "type: '%.140s' is not a type: 1 to 128 of A-Z a-z 0-9 _ . -, for instance "
                    "order.executed",
                    ev->type ? ev->type : "");
    if (ev->id && !id_is_event_id(ev->id))
        return fail(err, ERR_INVALID,
                    "event_id: '%.140s' is not an id: 1 to 128 of A-Z a-z 0-9 _ : -, or leave it "
                    "out",
                    ev->id);
    const struct {
        const char *name, *text;
    } texts[] = {{"ordering_key", ev->ordering_key},
                 {"correlation_id", ev->correlation_id},
                 {"source", ev->source},
                 {"version", ev->version}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (judge_text(texts[i].name, texts[i].text, err) != OK)
            return ERR_INVALID;
    if (judge_time("deliver_after", ev->deliver_after_ms, err) != OK ||
        judge_time("expires_at", ev->expires_ms, err) != OK ||
        judge_time("created_at", ev->created_ms, err) != OK ||
        judge_attributes(ev->attributes, err) != OK)
        return ERR_INVALID;
    return judge_payload(ev, limits, err);
}
