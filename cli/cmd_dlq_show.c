/* cli/cmd_dlq_show.c: dlq show: one dead letter with all that is known: what it is, each attempt,
 * the request as it was sent, the answers; and the same request as a line of curl. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/cmd_dlq.h"
#include "cli/cmd_show.h"
#include "cli/failure.h"
#include "cli/object.h"
#include "cli/out.h"
#include "cli/shell.h"
#include "cli/sub_words.h"

#define BODY_MAX_BYTES ((size_t)64 << 20)
#define WORD_MAX_BYTES ((size_t)64 << 10) /* of one argument; the system takes 128 KiB */

/* ---- --curl ---- */
/* Can it stand in single quotes, and on a terminal, as it is? */
static bool is_plain(const char *text, size_t n)
{
    struct buf safe;
    bool plain;

    if (n > WORD_MAX_BYTES || memchr(text, 0, n) != NULL || !text_is_utf8(text, n))
        return false;
    buf_init(&safe, n * 8 + 16);
    text_escape_terminal(&safe, text, n, true);
    plain = safe.len == n && (n == 0 || memcmp(safe.data, text, n) == 0);
    buf_fini(&safe);
    return plain;
}

/* What the request's body is; false: it does not decode. */
static bool body_bytes(const json_t *request, struct buf *out)
{
    const json_t *text = json_object_get(request, "body");
    const char *coded = out_string(request, "body_base64");

    if (coded != NULL)
        return text_base64_decode(out, coded, strlen(coded));
    if (json_is_string(text))
        buf_add(out, json_string_value(text), json_string_length(text));
    return true;
}

static bool curl_headers(const json_t *headers, struct buf *out)
{
    bool masked = false;
    size_t i;
    json_t *pair;

    json_array_foreach(headers, i, pair)
    {
        const char *name = json_string_value(json_array_get(pair, 0));
        const char *value = json_string_value(json_array_get(pair, 1));
        struct buf line;

        if (name == NULL || value == NULL)
            continue;
        buf_init(&line, 65536);
        /* to curl "Name:" means: without it */
        buf_addf(&line, *value ? "%s: %s" : "%s;", name, value);
        buf_adds(out, "-H ");
        shell_word(out, line.data);
        buf_adds(out, " \\\n  ");
        masked = masked || strstr(value, "MASKED") != NULL;
        buf_fini(&line);
    }
    return masked;
}

static int curl_print(struct cli *cli, const json_t *letter)
{
    const json_t *request = json_object_get(letter, "request_now");
    const char *url = out_string(request, "url");
    struct buf body, line;
    bool masked = false;

    if (!json_is_object(request) || url == NULL)
        return out_fail(cli, CLI_NO, "not_renderable",
                        "it cannot be sent any more: its subscription or its payload is gone");
    buf_init(&body, BODY_MAX_BYTES);
    buf_init(&line, BODY_MAX_BYTES * 2);
    if (!body_bytes(request, &body)) {
        buf_fini(&body);
        return out_fail(cli, CLI_INTERNAL, "internal", "the request's body does not decode");
    }
    bool plain = is_plain(body.data ? body.data : "", body.len);

    if (!plain) {
        buf_adds(&line, "printf %s ");
        text_base64(&line, body.data ? body.data : "", body.len);
        buf_adds(&line, " | base64 -d | ");
    }
    buf_adds(&line, "curl -sS -i -X POST \\\n  ");
    masked = curl_headers(json_object_get(request, "headers"), &line);
    /* the word of --data-raw is taken as it is, that of --data-binary may begin with an @ */
    buf_adds(&line, plain ? "--data-raw " : "--data-binary @-");
    if (plain)
        shell_word(&line, body.data ? body.data : "");
    buf_adds(&line, " \\\n  ");
    shell_word(&line, url);
    puts(line.data ? line.data : "");
    out_note("It is signed for this moment: receivers refuse it after some minutes. webhookd hears "
             "nothing of what is answered.");
    if (masked)
        out_note("MASKED stands for a secret that webhookd does not give out.");
    buf_fini(&body);
    buf_fini(&line);
    return CLI_OK;
}

/* ---- --attempt ---- */
/* -1: all. */
static int attempt_read(struct cli *cli, int64_t *n)
{
    const char *text = cli_flag(cli, FLAG_ATTEMPT);
    char *end;

    *n = 0;
    if (text == NULL)
        return 0;
    if (strcmp(text, "all") == 0) {
        *n = -1;
        return 0;
    }
    *n = strtol(text, &end, 10);
    return end != text && !*end && *n > 0
               ? 0
               : out_fail(cli, CLI_USAGE, "usage", "--attempt %s: not a number from 1 on, or all",
                          text);
}

static const json_t *attempt_of(const json_t *attempts, int64_t n)
{
    size_t i;
    json_t *a;

    json_array_foreach(attempts, i, a)
    {
        if (out_integer(a, "n") == n)
            return a;
    }
    return NULL;
}

static void answer_print(const json_t *attempt)
{
    const char *error = out_string(attempt, "error"), *outcome = out_string(attempt, "outcome");
    struct buf line;

    if (out_string(attempt, "response_head") != NULL ||
        out_string(attempt, "response_head_base64") != NULL) {
        show_response(attempt);
        return;
    }
    buf_init(&line, 65536);
    buf_addf(&line, "No answer to attempt %lld: %s%s%s", (long long)out_integer(attempt, "n"),
             outcome ? outcome : "-", error ? ": " : "", error ? error : "");
    putchar('\n');
    out_escaped(line.data ? line.data : "", line.len, "");
    buf_fini(&line);
}

/* The answers that were asked for; else the newest attempt's, and the newest answer where that had
 * none. */
static int answers_print(struct cli *cli, const json_t *attempts, int64_t wanted)
{
    size_t n = json_array_size(attempts), i;
    json_t *a;

    if (wanted > 0) {
        const json_t *one = attempt_of(attempts, wanted);

        if (one == NULL)
            return out_fail(cli, CLI_NOT_FOUND, "not_found",
                            "no attempt %lld is known; there are %zu", (long long)wanted, n);
        answer_print(one);
    } else if (wanted < 0) {
        json_array_foreach(attempts, i, a) answer_print(a);
    } else if (n > 0) {
        for (i = n; i-- > 0;) {
            const json_t *one = json_array_get(attempts, i);
            bool answered = out_string(one, "response_head") != NULL;

            if (answered || i + 1 == n)
                answer_print(one);
            if (answered)
                break;
        }
    }
    return 0;
}

/* ---- --raw ---- */
/* The bytes of the payload, or of the answer to an attempt. */
static int raw_print(struct cli *cli, const struct answer *a, int64_t wanted)
{
    const json_t *one = attempt_of(json_object_get(a->json, "attempt_log"), wanted);
    const json_t *text = json_object_get(one, "response_body");
    const char *coded = out_string(one, "response_body_base64");
    struct buf bytes;
    bool there = false;

    buf_init(&bytes, BODY_MAX_BYTES);
    if (wanted == 0) {
        there = show_payload_bytes(a, &bytes);
    } else if (coded != NULL) {
        there = text_base64_decode(&bytes, coded, strlen(coded));
    } else if (json_is_string(text)) {
        buf_add(&bytes, json_string_value(text), json_string_length(text));
        there = true;
    }
    if (there)
        fwrite(bytes.data ? bytes.data : "", 1, bytes.len, stdout);
    buf_fini(&bytes);
    if (there)
        return 0;
    return out_fail(cli, one == NULL && wanted != 0 ? CLI_NOT_FOUND : CLI_NO, "not_found",
                    wanted == 0 ? "its payload is not kept any more"
                                : "no body of an answer to that attempt is stored");
}

static int raw_check(struct cli *cli, int64_t wanted)
{
    if (cli_flag(cli, FLAG_RAW) == NULL)
        return 0;
    if (cli_flag(cli, FLAG_CURL) != NULL)
        return out_fail(cli, CLI_USAGE, "usage", "--raw and --curl exclude each other");
    if (wanted < 0)
        return out_fail(cli, CLI_USAGE, "usage", "--raw: of one attempt; give its number");
    if (cli->out_tty && cli_flag(cli, FLAG_FORCE_RAW) == NULL)
        return out_fail(cli, CLI_USAGE, "usage",
                        "--raw: such bytes could do anything to a terminal: send them to a file or "
                        "a pipe, or give --force");
    return 0;
}

/* ---- the screen ---- */

/* member: "dlv_…, dead: retries_exhausted" and the like; text is taken over and freed. */
static void head_put(json_t *head, const char *member, struct buf *text)
{
    if (text->len > 0)
        json_object_set_new(head, member, json_stringn(text->data, text->len));
    buf_fini(text);
}

static const char *word_of(const json_t *letter, const char *member)
{
    const char *word = out_string(letter, member);

    return word != NULL ? word : "-";
}

/* Numbers, words and dates stand as they are: a partner's text is escaped when it is printed. */
static void head_identity(json_t *head, const json_t *letter)
{
    const char *key = out_string(letter, "ordering_key");
    const char *correlation = out_string(letter, "event.correlation_id");
    const char *outcome = out_string(letter, "last_outcome");
    int64_t status = out_integer(letter, "last_status");
    struct buf text;

    buf_init(&text, 4096);
    buf_addf(&text, "%s  dead (%s)", word_of(letter, "id"), word_of(letter, "cause"));
    if (status > 0)
        buf_addf(&text, ", last answer %lld", (long long)status);
    else if (outcome != NULL)
        buf_addf(&text, ", last attempt %s", outcome);
    head_put(head, "delivery", &text);
    buf_init(&text, 4096);
    buf_addf(&text, "%s  %s", word_of(letter, "event_id"), word_of(letter, "type"));
    if (key != NULL)
        buf_addf(&text, "  key %s", key);
    if (correlation != NULL)
        buf_addf(&text, "  correlation %s", correlation);
    head_put(head, "event", &text);
    buf_init(&text, 16384);
    buf_adds(&text, word_of(letter, "subscription"));
    if (out_string(letter, "url") != NULL)
        buf_addf(&text, "  POST %s", out_string(letter, "url"));
    head_put(head, "subscription", &text);
}

/* From one time to another, in seconds; negative: one of them is not known. */
static double seconds_between(const char *from, const char *to)
{
    int64_t a, b;

    return from != NULL && to != NULL && text_parse_time(from, &a) && text_parse_time(to, &b)
               ? (double)(b - a) / 1000
               : -1;
}

static void head_times(struct cli *cli, json_t *head, const json_t *letter)
{
    const json_t *first = json_array_get(json_object_get(letter, "attempt_log"), 0);
    const char *committed = out_string(letter, "created_at");
    double wait = seconds_between(committed, out_string(first, "started_at"));
    double life = seconds_between(out_string(first, "started_at"), out_string(letter, "died_at"));
    int64_t n = out_integer(letter, "attempts");
    struct buf text;

    buf_init(&text, 256);
    out_value(cli, json_object_get(letter, "created_at"), OUT_TIME, &text);
    if (wait >= 0 && out_integer(first, "n") == 1)
        buf_addf(&text, ", first attempt +%.3fs", wait);
    head_put(head, "committed", &text);
    buf_init(&text, 256);
    out_value(cli, json_object_get(letter, "died_at"), OUT_TIME, &text);
    buf_addf(&text, ", after %lld attempt%s", (long long)n, n == 1 ? "" : "s");
    if (life >= 0 && n > 1)
        buf_addf(&text, " in %.1fs", life);
    head_put(head, "died", &text);
}

static void head_print(struct cli *cli, const json_t *letter)
{
    static const struct out_column fields[] = {{"Delivery", "delivery", OUT_TEXT},
                                               {"Event", "event", OUT_TEXT},
                                               {"Subscription", "subscription", OUT_TEXT},
                                               {"Committed", "committed", OUT_TEXT},
                                               {"Died", "died", OUT_TEXT},
                                               {"Kept until", "expires_at", OUT_TIME},
                                               {"Data", "payload_bytes", OUT_BYTES},
                                               {"Data SHA-256", "payload_sha256", OUT_TEXT},
                                               {"Note", "note", OUT_TEXT},
                                               OUT_COLUMNS_END};
    static const char *const same[] = {"expires_at", "payload_bytes", "payload_sha256", "note"};
    json_t *head = json_object();

    head_identity(head, letter);
    head_times(cli, head, letter);
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        json_object_set(head, same[i], json_object_get(letter, same[i]));
    out_fields(cli, head, fields);
    json_decref(head);
}

static int screen_print(struct cli *cli, const struct answer *a, int64_t wanted)
{
    const json_t *attempts = json_object_get(a->json, "attempt_log");
    const char *id = out_string(a->json, "id"), *event = out_string(a->json, "event_id");
    const char *outcome = out_string(a->json, "last_outcome");
    int64_t status = out_integer(a->json, "last_status");
    const struct failure *vain = failure_of(status, outcome);
    bool body = cli_flag(cli, FLAG_BODY) != NULL;
    struct buf word;

    head_print(cli, a->json);
    putchar('\n');
    show_attempts(cli, attempts);
    show_request(a->json);
    int rc = answers_print(cli, attempts, wanted);

    if (rc == 0 && body)
        rc = show_payload(cli, "dead-letters", id ? id : "");
    if (rc != 0)
        return rc;
    putchar('\n');
    buf_init(&word, 4096);
    const char *state = out_string(a->json, "subscription_now.state");

    if (state != NULL && strcmp(state, "deleted") == 0) {
        puts("Its subscription is deleted: nothing is sent there any more. To another endpoint: "
             "--to URL.");
    } else if (state != NULL) {
        failure_say(stdout, status, outcome, out_string(a->json, "subscription"));
    } else {
        sub_not_here_words(&word, out_string(a->json, "subscription"));
        out_escaped(word.data, word.len, "");
        buf_clear(&word);
    }
    shell_word(&word, event ? event : "");
    printf("Next: webhookctl dlq replay %s --dry-run%s\n      webhookctl event trace %s\n",
           id ? id : "", vain != NULL && vain->again_in_vain ? "  (once that is mended)" : "",
           word.data ? word.data : "");
    if (!body)
        printf("      webhookctl dlq show %s --body\n", id ? id : "");
    buf_fini(&word);
    return CLI_OK;
}

int cmd_dlq_show(struct cli *cli)
{
    const char *ref = cli->args->words[0];
    bool raw = cli_flag(cli, FLAG_RAW) != NULL, curl = cli_flag(cli, FLAG_CURL) != NULL;
    struct answer a;
    struct buf query;
    int64_t wanted;
    int rc = attempt_read(cli, &wanted);

    if (rc == 0)
        rc = raw_check(cli, wanted);
    if (rc != 0)
        return rc;
    buf_init(&query, 4096);
    if (cli_flag(cli, FLAG_SUBSCRIPTION) != NULL)
        client_query(&query, "subscription", cli_flag(cli, FLAG_SUBSCRIPTION));
    if (raw || (cli_flag(cli, FLAG_BODY) != NULL && cli->format != OUT_TABLE))
        client_query(&query, "payload", "1");
    if (curl)
        client_query(&query, "curl", "1");
    rc = object_get(cli, "dead-letters", ref, query.len ? query.data : NULL, &a);
    buf_fini(&query);
    if (rc != 0)
        return rc;
    if (raw)
        rc = raw_print(cli, &a, wanted);
    else if (curl && cli->format == OUT_TABLE)
        rc = curl_print(cli, a.json);
    else if (!object_plain(cli, &a, ref))
        rc = screen_print(cli, &a, wanted);
    answer_fini(&a);
    return rc;
}
