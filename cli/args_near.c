/* cli/args_near.c: what was nearly meant by a word or a flag that is none; see args.h. */
#include <string.h>

#include "base/text.h"
#include "cli/args.h"
#include "cli/cli.h"

#define NEAR_MAX 128
#define VERBS_SHOWN 3
#define OWNERS_SHOWN 3

char *args_near(char out[TEXT_NEAR_MAX], const char *text, const char *words)
{
    char texts[NEAR_MAX][32];
    const char *list[NEAR_MAX + 1];
    size_t n = 0;

    for (; n < NEAR_MAX && args_word(words, n, texts[n], sizeof texts[n]); n++)
        list[n] = texts[n];
    list[n] = NULL;
    return text_did_you_mean(out, text, list);
}

static void suggest(struct buf *why, const char *near, const char *before)
{
    if (near != NULL)
        buf_addf(why, "; did you mean '%s%s'?", before, near);
}

/* Of the words that may follow prefix, the one near to word; false: none is. */
static bool next_near(const char *prefix, size_t depth, const char *word, char out[32])
{
    char texts[NEAR_MAX][32];
    const char *list[NEAR_MAX + 1];
    size_t n = 0;

    for (size_t i = 0; i < commands_n && n < NEAR_MAX; i++) {
        if (args_has_prefix(&commands_table[i], prefix, strlen(prefix)) &&
            args_word(commands_table[i].words, depth, texts[n], sizeof texts[n])) {
            list[n] = texts[n];
            n++;
        }
    }
    for (size_t i = 0; depth == 0 && commands_aliases[i].alias && n < NEAR_MAX; i++)
        list[n++] = commands_aliases[i].alias;
    list[n] = NULL;
    const char *near = text_nearest(word, list);

    if (near != NULL)
        text_copy(out, 32, near);
    return near != NULL;
}

/* What other tools call it: the whole of what was typed first, then its last word alone. */
static const char *synonym_of(const char *group, const char *word)
{
    const char *found = NULL;
    size_t n = strlen(group);

    for (size_t i = 0; commands_synonyms[i].typed; i++) {
        const char *typed = commands_synonyms[i].typed;

        if (n > 0 && strncmp(typed, group, n) == 0 && typed[n] == ' ' &&
            strcmp(typed + n + 1, word) == 0)
            return commands_synonyms[i].meant;
        if (found == NULL && strcmp(typed, word) == 0)
            found = commands_synonyms[i].meant;
    }
    return found;
}

/* The verb without its noun: the first few commands that end with it. */
static bool suggest_verbs(const char *word, struct buf *why)
{
    size_t found = 0, n = strlen(word);

    for (size_t i = 0; i < commands_n && found < VERBS_SHOWN; i++) {
        const char *words = commands_table[i].words;
        size_t all = strlen(words);

        if (all > n && words[all - n - 1] == ' ' && strcmp(words + all - n, word) == 0)
            buf_addf(why, "%s'%s'", found++ == 0 ? "; did you mean " : ", ", words);
    }
    if (found > 0)
        buf_addc(why, '?');
    return found > 0;
}

int args_command_unknown(const char *group, size_t depth, const char *word, struct buf *why)
{
    const char *blank = *group ? " " : "", *meant = synonym_of(group, word);
    char near[32];

    buf_addf(why, "unknown command '%s%s%s'", group, blank, word);
    if (meant != NULL)
        suggest(why, meant, "");
    else if (depth == 0 && suggest_verbs(word, why))
        return CLI_USAGE;
    else if (next_near(group, depth, word, near))
        buf_addf(why, "; did you mean '%s%s%s'?", group, blank, near);
    else
        buf_addf(why, "; see webhookctl %s%s--help", group, blank);
    return CLI_USAGE;
}

/* ---- flags that are not there ---- */

/* What other tools call it. */
static const char *flag_synonym(const char *name)
{
    static const char *const pairs[][2] = {
        {"from", "since"},
        {"after", "since"},
        {"start", "since"},
        {"to", "until"},
        {"before", "until"},
        {"end", "until"},
        {"reason", "note"},
        {"comment", "note"},
        {"message", "note"},
        {"max", "limit"},
        {"number", "limit"},
        {"count", "limit"},
        {"endpoint", "subscription"},
        {"webhook", "subscription"},
        {"code", "status"},
        {"grep", "contains"},
        {"search", "contains"},
        {"event-type", "type"},
        {"topic", "type"},
        {"types", "events"},
        {"speed", "rate"},
        {"throttle", "rate"},
        {"simulate", "dry-run"},
        {"preview", "dry-run"},
        {"background", "detach"},
        {"async", "detach"},
        {"noninteractive", "no-input"},
        {"secret", "secret-file"},
        {"bearer", "bearer-file"},
        {"payload", "data"},
        {"format", "output"},
        {"reverse", "order"},
    };

    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (strcmp(pairs[i][0], name) == 0)
            return pairs[i][1];
    }
    return NULL;
}

/* Of the flags in mask the one that is nearly name, or begins with it, or is another word for it. */
static const char *flag_near(const char *name, flag_mask mask)
{
    const char *names[FLAGS + 1], *synonym = flag_synonym(name), *begins = NULL;
    size_t n = 0, begun = 0;

    for (size_t i = 0; i < FLAGS; i++) {
        if (!(mask & FLAG_BIT(i)))
            continue;
        names[n++] = flags_table[i].name;
        if (synonym != NULL && strcmp(flags_table[i].name, synonym) == 0)
            return synonym;
        if (strlen(name) > 1 && strncmp(flags_table[i].name, name, strlen(name)) == 0) {
            begins = flags_table[i].name;
            begun++;
        }
    }
    names[n] = NULL;
    return begun == 1 ? begins : text_nearest(name, names);
}

/* "dlq replay, delivery resend and 2 more" */
static void flag_owners(const char *name, struct buf *why)
{
    size_t found = 0;

    for (size_t i = 0; i < commands_n; i++) {
        bool has = false;

        for (size_t k = 0; k < FLAGS && !has; k++)
            has = commands_table[i].flags & FLAG_BIT(k) && strcmp(flags_table[k].name, name) == 0;
        if (has && ++found <= OWNERS_SHOWN)
            buf_addf(why, "%s%s", found > 1 ? ", " : "", commands_table[i].words);
    }
    if (found > OWNERS_SHOWN)
        buf_addf(why, " and %zu more", found - OWNERS_SHOWN);
}

static flag_mask flags_of(const struct command *c)
{
    return c != NULL ? c->flags | FLAGS_GLOBAL : ~(flag_mask)0;
}

/* As typed: "--limt=3", "-nx". */
int args_flag_unknown(const struct args *a, struct buf *why)
{
    const struct command *c = a->command;
    const char *typed = a->unknown, *words = c ? c->words : a->group;
    char name[64];
    bool is_long = typed[1] == '-';

    text_copy(name, sizeof name, typed + (is_long ? 2 : 1));
    name[strcspn(name, "=")] = '\0';
    buf_addf(why, "unknown flag '%s%s'", is_long ? "--" : "-", name);
    const char *own = is_long ? flag_near(name, flags_of(c)) : NULL;
    const char *other = is_long && own == NULL ? flag_near(name, ~(flag_mask)0) : NULL;

    suggest(why, own, "--");
    if (other != NULL) {
        buf_addf(why, "; '--%s' is a flag of ", other);
        flag_owners(other, why);
    } else if (own == NULL) {
        buf_addf(why, "; see webhookctl %s%s--help", words, *words ? " " : "");
    }
    return CLI_USAGE;
}

/* One that others have. */
int args_flag_of_others(const struct command *c, const char *name, struct buf *why)
{
    const char *own = flag_near(name, flags_of(c));

    buf_addf(why, "'%s' has no flag '--%s'", c->words, name);
    if (own != NULL) {
        suggest(why, own, "--");
    } else {
        buf_adds(why, ": that is a flag of ");
        flag_owners(name, why);
    }
    return CLI_USAGE;
}
