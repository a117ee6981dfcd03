/* cli/args_text.c: what is typed and sent as text must be UTF-8; see args.h. The one place where that is
 * judged: JSON has no other text, so that a note in Latin-1 would be lost and two keys would become one.
 * Paths of files are whatever the file system takes. */
#include <string.h>

#include "base/text.h"
#include "base/utf8.h"
#include "cli/args.h"
#include "cli/cli.h"

#define SHOWN_BYTES 80

static bool is_path(enum flag_id id, const char *value)
{
    const char *takes = flags_table[id].value;

    if (takes == NULL)
        return false;
    return strcmp(takes, "FILE") == 0 || strcmp(takes, "F") == 0 ||
           (strstr(takes, "@FILE") != NULL && *value == '@');
}

/* "header-file=F" of sub set, or the FILE of a command. */
static bool is_path_word(const struct command *c, const char *word)
{
    size_t n = strcspn(word, "=");

    if (strcmp(c->args, "FILE") == 0 || strcmp(c->args, "[FILE]") == 0)
        return true;
    for (size_t id = 0; word[n] == '=' && id < FLAGS; id++) {
        if (strlen(flags_table[id].name) == n && strncmp(flags_table[id].name, word, n) == 0 &&
            is_path((enum flag_id)id, word + n + 1))
            return true;
    }
    return false;
}

/* The first byte that is no UTF-8; the length where there is none. */
static size_t broken_at(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t at = 0, step = 1;
    uint32_t code;

    while (at < n && (step = utf8_next(p + at, n - at, &code)) > 0)
        at += step;
    return at;
}

/* what: "--note", or "argument". */
static int judge(const char *dashes, const char *what, const char *text, struct buf *why)
{
    size_t n = strlen(text), at = broken_at(text, n), from = at, to = at;

    if (at == n)
        return 0;
    from -= from < SHOWN_BYTES / 2 ? from : SHOWN_BYTES / 2;
    to += n - to < SHOWN_BYTES / 2 ? n - to : SHOWN_BYTES / 2;
    while (from > 0 && from < at && ((unsigned char)text[from] & 0xc0) == 0x80)
        from++; /* not in the middle of a good one */
    buf_addf(why, "%s%s %s", dashes, what, from > 0 ? "..." : "");
    text_escape_terminal(why, text + from, to - from, false);
    buf_addf(
        why,
        "%s: byte %zu is not UTF-8. What webhookd keeps is UTF-8: type it on a terminal that is "
        "(this one may be Latin-1), or turn it with iconv -f LATIN1 -t UTF-8",
        to < n ? "..." : "", at + 1);
    return CLI_USAGE;
}

int args_not_text(const struct args *a, struct buf *why)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < a->given_n; i++) {
        const struct args_given *g = &a->given[i];

        if (!is_path(g->flag, g->value))
            rc = judge("--", flags_table[g->flag].name, g->value, why);
    }
    for (size_t i = 0; rc == 0 && i < a->words_n; i++) {
        if (a->command == NULL || !is_path_word(a->command, a->words[i]))
            rc = judge("", "argument", a->words[i], why);
    }
    return rc;
}
