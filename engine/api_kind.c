/* engine/api_kind.c: see api_kind.h. */
#include "engine/api_kind.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/text.h"

#define REF_SHOWN 140

static const char *const nouns[] = {
    [API_KIND_LETTER] = "dead letter",
    [API_KIND_LETTERS] = "dead letter",
    [API_KIND_DELIVERY] = "delivery",
    [API_KIND_DELIVERIES] = "delivery or event",
    [API_KIND_EVENT] = "event",
    [API_KIND_SUBSCRIPTION] = "subscription",
    [API_KIND_JOB] = "job",
    [API_KIND_PARTNER] = "partner",
    [API_KIND_REJECT] = "row of an outbox that was refused",
};

#define OF_DELIVERIES                                                                              \
    (1u << API_KIND_LETTER | 1u << API_KIND_LETTERS | 1u << API_KIND_DELIVERY |                    \
     1u << API_KIND_DELIVERIES | 1u << API_KIND_EVENT)

/* What each prefix is, and who takes it. '@' stands for the id. */
static const struct {
    const char *prefix, *is, *command;
    const char *chosen; /* the flag that chooses what belongs to it; NULL: none does */
    unsigned wanted;    /* the kinds for which it is right */
} prefixes[] = {
    {"dlv", "a delivery", "webhookctl delivery show @", NULL, OF_DELIVERIES},
    {"evt", "an event", "webhookctl event show @", NULL, OF_DELIVERIES},
    {"sub", "a subscription", "webhookctl sub show @", "-s @", 1u << API_KIND_SUBSCRIPTION},
    {"job", "a job", "webhookctl job show @", "--job @", 1u << API_KIND_JOB},
    {"par", "a partner", "webhookctl sub list --partner @", NULL, 1u << API_KIND_PARTNER},
    {"rej", "a refused row of an outbox", "webhookctl outbox rejects show @", NULL,
     1u << API_KIND_REJECT},
};
#define PREFIXES (sizeof prefixes / sizeof *prefixes)

static void put(struct buf *out, const char *text, const char *ref)
{
    for (; *text; text++) {
        if (*text == '@')
            buf_addf(out, "%.*s", REF_SHOWN, ref);
        else
            buf_addc(out, *text);
    }
}

static void says(char out[API_KIND_TEXT_MAX], enum api_kind wanted, size_t i, const char *ref)
{
    bool set = wanted == API_KIND_LETTERS || wanted == API_KIND_DELIVERIES;
    bool letters = wanted == API_KIND_LETTERS || wanted == API_KIND_LETTER;
    struct buf text;

    buf_init(&text, API_KIND_TEXT_MAX);
    buf_addf(&text, "'%.*s' is %s, not a%s %s: ", REF_SHOWN, ref, prefixes[i].is,
             wanted == API_KIND_EVENT ? "n" : "", nouns[wanted]);
    put(&text, prefixes[i].command, ref);
    if (prefixes[i].chosen != NULL && (set || letters || wanted == API_KIND_DELIVERY)) {
        buf_addf(&text, "; its %s", letters ? "dead letters" : "deliveries");
        buf_adds(&text, set       ? " are chosen with "
                        : letters ? ": webhookctl dlq list "
                                  : ": webhookctl delivery list ");
        put(&text, prefixes[i].chosen, ref);
    }
    text_copy(out, API_KIND_TEXT_MAX, text.data ? text.data : "");
    buf_fini(&text);
}

/* "job_" and letters and digits behind it: an id's form, if perhaps not the whole of one. */
static bool has_form(const char *ref, const char *prefix)
{
    size_t n = strlen(prefix);

    if (strncmp(ref, prefix, n) != 0 || ref[n] != '_' || ref[n + 1] == '\0')
        return false;
    for (ref += n + 1; *ref; ref++) {
        if (!isalnum((unsigned char)*ref))
            return false;
    }
    return true;
}

bool api_kind_text(char out[API_KIND_TEXT_MAX], enum api_kind wanted, const char *ref)
{
    for (size_t i = 0; i < PREFIXES; i++) {
        if (!has_form(ref, prefixes[i].prefix))
            continue;
        if (prefixes[i].wanted & 1u << wanted)
            return false;
        says(out, wanted, i, ref);
        return true;
    }
    return false;
}

void api_kind_says(char out[API_KIND_TEXT_MAX], enum api_kind wanted, const char *prefix,
                   const char *ref)
{
    size_t i = 0;

    while (i + 1 < PREFIXES && strcmp(prefixes[i].prefix, prefix) != 0)
        i++;
    says(out, wanted, i, ref);
}

const char *api_kind_noun(enum api_kind kind)
{
    return nouns[kind];
}
