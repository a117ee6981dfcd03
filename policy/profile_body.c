/* policy/profile_body.c: the envelopes. The payload stands in `data` byte for byte.
 *
 * It is never parsed: intake has checked that it is JSON, and a parser would change big numbers,
 * the order of members and duplicate ones. Every member but event-platform's signature depends on
 * the event alone, so every attempt sends the same bytes (G4). */
#include "policy/profile_table.h"

#include <string.h>

#include "base/text.h"
#include "policy/sign.h"

static void add_time(const struct profile_event *ev, struct buf *out)
{
    char time[TEXT_TIME_MAX];

    buf_join(out, "\"", text_time(time, ev->created_ms), "\"", NULL);
}

static void add_data(const struct profile_event *ev, struct buf *out)
{
    buf_adds(out, ",\"data\":");
    if (ev->payload_bytes == 0)
        buf_adds(out, "null");
    else
        buf_add(out, ev->payload, ev->payload_bytes);
}

/* What a partner's strict schema needs is always a string; intake fills it from the outbox's
 * configuration, these are that configuration's own defaults. */
static const char *or_default(const char *text, const char *instead)
{
    return text == NULL || text[0] == '\0' ? instead : text;
}

void body_bondx(const struct profile_input *in, struct buf *out)
{
    const struct profile_event *ev = in->event;

    buf_adds(out, "{\"event\":");
    buf_add_json(out, ev->type);
    buf_adds(out, ",\"event_id\":");
    buf_add_json(out, ev->id);
    buf_adds(out, ",\"timestamp\":");
    add_time(ev, out);
    add_data(ev, out);
    buf_adds(out, ",\"metadata\":{\"correlation_id\":");
    buf_add_json(out, ev->correlation_id);
    buf_adds(out, ",\"source\":");
    buf_add_json(out, or_default(ev->source, "webhookd"));
    buf_adds(out, ",\"version\":");
    buf_add_json(out, or_default(ev->version, "1.0"));
    buf_adds(out, "}}");
}

void body_bondbricks(const struct profile_input *in, struct buf *out)
{
    const struct profile_event *ev = in->event;

    buf_adds(out, "{\"event\":");
    buf_add_json(out, ev->type);
    buf_adds(out, ",\"id\":");
    buf_add_json(out, ev->id);
    add_data(ev, out);
    buf_adds(out, ",\"timestamp\":");
    add_time(ev, out);
    buf_adds(out, "}");
}

/* The signature stands inside: HMAC over the bytes with an empty signature.signature, which is then
 * put in. The id is whk_ and the whole event id: a shortened one could make two ids the same. The
 * token only has to be new for each attempt; it is derived, so that it tells nothing of the random
 * bytes that the headers use. */
void body_event_platform(const struct profile_input *in, struct buf *out)
{
    const struct profile_event *ev = in->event;
    uint8_t seed[32 + 5], digest[32];
    char token[65];
    static const char tail[] = "\"}}";

    memcpy(seed, in->random, 32);
    memcpy(seed + 32, "token", 5);
    sign_sha256(seed, sizeof(seed), digest);
    text_hex(token, digest, 32);
    buf_adds(out, "{\"id\":\"whk_");
    buf_adds(out, ev->id); /* [A-Za-z0-9_:-] only: nothing to escape */
    buf_adds(out, "\",\"event\":");
    buf_add_json(out, ev->type);
    buf_adds(out, ",\"timestamp\":");
    add_time(ev, out);
    buf_adds(out, ",\"version\":");
    buf_add_json(out, or_default(ev->version, "1.0"));
    add_data(ev, out);
    buf_addf(out, ",\"signature\":{\"timestamp\":\"%lld\",\"token\":\"%.40s\",\"signature\":\"",
             (long long)(in->now_wall_ms / 1000), token);
    buf_adds(out, tail);
    if (out->failed)
        return;

    struct buf signature;
    buf_init(&signature, 128);
    profile_hex_signature(in, in->keys_n - 1, out->data, out->len, &signature);
    out->len -= strlen(tail);
    if (!in->mask)
        buf_adds(out, "sha256=");
    buf_add(out, signature.data, signature.len);
    buf_adds(out, tail);
    if (signature.failed)
        out->failed = true;
    buf_fini(&signature);
}

void body_standard(const struct profile_input *in, struct buf *out)
{
    buf_adds(out, "{\"type\":");
    buf_add_json(out, in->event->type);
    buf_adds(out, ",\"timestamp\":");
    add_time(in->event, out);
    add_data(in->event, out);
    buf_adds(out, "}");
}

void body_raw(const struct profile_input *in, struct buf *out)
{
    buf_add(out, in->event->payload, in->event->payload_bytes);
}
