/* cli/cmd_audit.c: who changed what. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/list.h"

#define WORDS_MAX ((size_t)64 << 10)
#define LISTED_MAX 3 /* of a list of words: more are counted */

static void word_add(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, "%s%s %s", out->len > 0 ? ", " : "", name, value);
}

static void list_words(struct buf *out, const char *name, const json_t *list)
{
    size_t n = json_array_size(list), i;
    const json_t *item;
    struct buf words;

    buf_init(&words, WORDS_MAX);
    if (n > LISTED_MAX || !json_is_string(json_array_get(list, 0)))
        buf_addf(&words, "(%zu)", n);
    else
        json_array_foreach(list, i, item)
            buf_addf(&words, "%s%s", i > 0 ? "," : "", json_string_value(item));
    if (n > 0)
        word_add(out, name, words.data ? words.data : "");
    buf_fini(&words);
}

/* What a value says that nobody would guess: the standards of a replay, and numbers that are 0, say
 * nothing. */
static bool is_standard(const char *name, const json_t *value)
{
    static const struct {
        const char *name, *value;
    } words[] = {{"attempts", "full"}, {"order", "oldest"}};

    if (json_is_null(value) || json_is_false(value) || strcmp(name, "note") == 0 ||
        strcmp(name, "subscription") == 0 || strcmp(name, "subscriptions") == 0 ||
        strcmp(name, "arrived_before") == 0 || strcmp(name, "sha256") == 0)
        return true;
    if (strcmp(name, "excluded") == 0 || strcmp(name, "skipped") == 0 ||
        strcmp(name, "refused") == 0)
        return json_integer_value(value) == 0;
    if (strcmp(name, "canary") == 0)
        return json_integer_value(value) == 1;
    if (strcmp(name, "stop_at_ratio") == 0)
        return json_number_value(value) == 0.5;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(name, words[i].name) == 0 && json_is_string(value) &&
            strcmp(json_string_value(value), words[i].value) == 0)
            return true;
    return false;
}

static void rate_words(struct buf *out, const json_t *value)
{
    char text[48];

    snprintf(text, sizeof text, "%g/s", json_number_value(value));
    word_add(out, "rate", json_number_value(value) > 0 ? text : "none");
}

/* "selected 20, canary 1, order oldest": what an entry says besides its note and the names, without what
 * is null or standard. The whole of it has -o json. */
static void detail_words(struct buf *out, const json_t *detail)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)detail, name, value)
    {
        if (is_standard(name, value))
            continue;
        if (json_is_object(value)) {
            detail_words(out, value);
        } else if (json_is_array(value)) {
            list_words(out, name, value);
        } else if (json_is_string(value)) {
            word_add(out, name, json_string_value(value));
        } else if (strcmp(name, "rate_per_second") == 0) {
            rate_words(out, value);
        } else if (json_is_true(value)) {
            buf_addf(out, "%s%s", out->len > 0 ? ", " : "", name);
        } else {
            char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));

            word_add(out, name, text ? text : "?");
            free(text);
        }
    }
}

static json_t *entry_row(const struct cli *cli, const json_t *item)
{
    json_t *row = json_copy((json_t *)(uintptr_t)item);
    const json_t *detail = json_object_get(item, "detail");
    const char *note = out_string(detail, "note");
    struct buf words, all;

    (void)cli;
    buf_init(&words, WORDS_MAX);
    buf_init(&all, 2 * WORDS_MAX);
    list_words(&words, "of", json_object_get(item, "subscriptions"));
    detail_words(&words, detail);
    if (note != NULL)
        buf_addf(&all, "\"%s\"%s", note, words.len > 0 ? "; " : "");
    buf_adds(&all, words.data ? words.data : "");
    json_object_set_new(row, "detail_words", all.len > 0 ? json_string(all.data) : json_null());
    buf_fini(&words);
    buf_fini(&all);
    return row;
}

int cmd_audit_list(struct cli *cli)
{
    static const struct out_column columns[] = {{"TIME", "created_at", OUT_TIME},
                                                {"ACTOR", "actor", OUT_TEXT},
                                                {"ACTION", "action", OUT_TEXT},
                                                {"TARGET", "target_name|target", OUT_TEXT},
                                                {"DETAIL", "detail_words", OUT_WRAP},
                                                {"NOTE", "detail.note", OUT_WRAP, OUT_NAMED},
                                                OUT_COLUMNS_END};
    static const enum flag_id own[] = {FLAG_ACTOR, FLAG_ACTION, FLAG_TARGET};
    struct filter_flags f;
    struct list l = {.path = "/api/v1/audit",
                     .filter = &f,
                     .columns = columns,
                     .shape = entry_row,
                     .empty = "No entry of the audit log matches."};
    bool more = false;
    size_t shown = 0;
    int rc = filter_flags_read(cli, &f);

    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (rc == 0 && cli_flag(cli, own[i]) != NULL)
            client_query(&f.query, flags_table[own[i]].name, cli_flag(cli, own[i]));
    }
    if (rc == 0)
        rc = list_limit(cli, &l.limit);
    if (rc == 0)
        rc = list_print(cli, &l, &shown, &more);
    if (rc == 0 && more)
        list_more(cli, shown, -1);
    filter_flags_fini(&f);
    return rc;
}
