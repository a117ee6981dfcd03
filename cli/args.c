/* cli/args.c: see args.h. Hand-written since getopt_long can neither let flags stand before a noun
 * that decides which are legal, nor say which flag was nearly meant. */
#include "cli/args.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"

#define NEAR_MAX 128
#define VERBS_SHOWN 3

bool args_word(const char *words, size_t n, char *out, size_t room)
{
    for (; n > 0; n--) {
        words = strchr(words, ' ');
        if (words == NULL)
            return false;
        words++;
    }
    size_t len = strcspn(words, " ");

    if (len >= room)
        len = room - 1;
    memcpy(out, words, len);
    out[len] = '\0';
    return true;
}

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

static int flag_unknown(const char *name, size_t n, struct buf *why)
{
    const char *names[FLAGS + 1];
    char text[64];

    for (size_t i = 0; i < FLAGS; i++)
        names[i] = flags_table[i].name;
    names[FLAGS] = NULL;
    text_copy(text, n + 1 < sizeof text ? n + 1 : sizeof text, name);
    buf_addf(why, "unknown flag '--%s'", text);
    suggest(why, text_nearest(text, names), "--");
    return CLI_USAGE;
}

static void flag_put(struct args *a, enum flag_id id, const char *value)
{
    a->values[id] = value;
    a->given[a->given_n++] = (struct args_given){id, value};
}

/* --name, --name=value, --name value. *at moves over a value that stands by itself. */
static int flag_long(struct args *a, int argc, char *const *argv, int *at, struct buf *why)
{
    const char *name = argv[*at] + 2;
    const char *equals = strchr(name, '=');
    size_t n = equals ? (size_t)(equals - name) : strlen(name);
    size_t id = 0;

    while (id < FLAGS &&
           (strlen(flags_table[id].name) != n || strncmp(flags_table[id].name, name, n) != 0))
        id++;
    if (id == FLAGS)
        return flag_unknown(name, n, why);
    if (flags_table[id].value == NULL) {
        if (equals != NULL) {
            buf_addf(why, "flag '--%s' takes no value", flags_table[id].name);
            return CLI_USAGE;
        }
        flag_put(a, (enum flag_id)id, "");
        return 0;
    }
    if (equals == NULL && *at + 1 >= argc) {
        buf_addf(why, "flag '--%s' needs a value: --%s %s", flags_table[id].name,
                 flags_table[id].name, flags_table[id].value);
        return CLI_USAGE;
    }
    flag_put(a, (enum flag_id)id, equals ? equals + 1 : argv[++*at]);
    return 0;
}

static const char *alias_of(const char *word)
{
    for (size_t i = 0; commands_aliases[i].alias; i++) {
        if (strcmp(commands_aliases[i].alias, word) == 0)
            return commands_aliases[i].word;
    }
    return word;
}

/* Does the command that the words so far name have that flag of its own? */
static bool named_has(const struct args *a, size_t id)
{
    for (size_t i = 0; i < commands_n; i++) {
        const struct command *c = &commands_table[i];
        char word[32];
        size_t n = 0;

        while (n < a->words_n && args_word(c->words, n, word, sizeof word) &&
               strcmp(n == 0 ? alias_of(a->words[0]) : a->words[n], word) == 0)
            n++;
        if (!args_word(c->words, n, word, sizeof word) && c->flags & FLAG_BIT(id))
            return true;
    }
    return false;
}

/* -f may be --file of one command and --follow of another: the first row where the command is not
 * named yet. FLAGS: there is none. */
static size_t letter_flag(const struct args *a, char letter)
{
    size_t first = FLAGS;

    for (size_t id = 0; id < FLAGS; id++) {
        if (flags_table[id].letter != letter)
            continue;
        if (named_has(a, id))
            return id;
        first = first == FLAGS ? id : first;
    }
    return first;
}

/* -n, -ny, -o json, -ojson. */
static int flag_letters(struct args *a, int argc, char *const *argv, int *at, struct buf *why)
{
    for (const char *p = argv[*at] + 1; *p; p++) {
        size_t id = letter_flag(a, *p);

        if (id == FLAGS) {
            buf_addf(why, "unknown flag '-%c'; see webhookctl --help", *p);
            return CLI_USAGE;
        }
        if (flags_table[id].value == NULL) {
            /* -ny gives two of one argument: given[] has room for that, see args_parse(). */
            flag_put(a, (enum flag_id)id, "");
            continue;
        }
        if (p[1] == '\0' && *at + 1 >= argc) {
            buf_addf(why, "flag '-%c' needs a value: -%c %s", *p, *p, flags_table[id].value);
            return CLI_USAGE;
        }
        flag_put(a, (enum flag_id)id, p[1] ? p + 1 : argv[++*at]);
        return 0;
    }
    return 0;
}

static bool command_has_prefix(const struct command *c, const char *prefix, size_t n)
{
    return n == 0 || (strncmp(c->words, prefix, n) == 0 && (c->words[n] == ' ' || !c->words[n]));
}

/* Of the words that may follow prefix, the one near to word; false: none is. */
static bool next_near(const char *prefix, size_t depth, const char *word, char out[32])
{
    char texts[NEAR_MAX][32];
    const char *list[NEAR_MAX + 1];
    size_t n = 0;

    for (size_t i = 0; i < commands_n && n < NEAR_MAX; i++) {
        if (command_has_prefix(&commands_table[i], prefix, strlen(prefix)) &&
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

static int command_unknown(const char *group, size_t depth, const char *word, struct buf *why)
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

/* Follows the words down the tree of commands; what is left are arguments. */
static int command_find(struct args *a, struct buf *why)
{
    size_t used = 0;

    while (used < a->words_n) {
        const char *word = used == 0 ? alias_of(a->words[0]) : a->words[used];
        const struct command *whole = NULL;
        char next[64];
        bool some = false;
        struct buf text;

        buf_init(&text, sizeof next);
        buf_addf(&text, "%s%s%s", a->group_text, used ? " " : "", word);
        text_copy(next, sizeof next, text.data ? text.data : "");
        buf_fini(&text);
        for (size_t i = 0; i < commands_n; i++) {
            some = some || command_has_prefix(&commands_table[i], next, strlen(next));
            if (strcmp(commands_table[i].words, next) == 0)
                whole = &commands_table[i];
        }
        if (!some)
            return command_unknown(a->group_text, used, word, why);
        used++;
        text_copy(a->group_text, sizeof a->group_text, next);
        if (whole != NULL) {
            a->command = whole;
            break;
        }
    }
    a->words_n -= used;
    memmove(a->words, a->words + used, a->words_n * sizeof *a->words);
    return 0;
}

/* A name that a global flag shares with one of the command's own means the latter. */
static void flags_own(struct args *a)
{
    for (size_t i = 0; i < a->given_n; i++) {
        enum flag_id id = a->given[i].flag;

        for (size_t k = 0; k < FLAGS; k++) {
            if (k == id || !(a->command->flags & FLAG_BIT(k)) ||
                strcmp(flags_table[k].name, flags_table[id].name) != 0)
                continue;
            a->given[i].flag = (enum flag_id)k;
            a->values[k] = a->given[i].value;
            a->values[id] = NULL;
        }
    }
}

/* An argument too many: a text without its quotes, or a name that a flag takes, for the most part. */
static int argument_left(const struct args *a, struct buf *why)
{
    const struct command *c = a->command;
    const char *word = a->words[c->args_max];

    buf_addf(why, "unexpected argument '%s'", word);
    if (strstr(c->args, "TEXT") != NULL || a->values[FLAG_NOTE] != NULL)
        buf_adds(why, "; put a text of several words in quotes: 'called them, ticket 4711'");
    else if (c->args_max == 0 && c->flags & FLAG_BIT(FLAG_SUBSCRIPTION))
        buf_addf(why, "; did you mean '%s -s %s'?", c->words, word);
    else
        buf_addf(why, "; see webhookctl %s --help", c->words);
    return CLI_USAGE;
}

static int command_check(const struct args *a, struct buf *why)
{
    const struct command *c = a->command;

    for (size_t i = 0; i < a->given_n; i++) {
        enum flag_id id = a->given[i].flag;

        if ((c->flags | FLAGS_GLOBAL) & FLAG_BIT(id))
            continue;
        buf_addf(why, "'%s' has no flag '--%s'; see webhookctl %s --help", c->words,
                 flags_table[id].name, c->words);
        return CLI_USAGE;
    }
    if (a->values[FLAG_HELP] != NULL)
        return 0;
    if (a->words_n < (size_t)c->args_min) {
        buf_addf(why, "'%s' needs %s; see webhookctl %s --help", c->words, c->args, c->words);
        return CLI_USAGE;
    }
    if (c->args_max != COMMAND_ANY && a->words_n > (size_t)c->args_max)
        return argument_left(a, why);
    return 0;
}

int args_parse(struct args *a, int argc, char *const *argv, struct buf *why)
{
    size_t flags_max = 1; /* grouped letters give more than one flag an argument */
    bool ended = false;
    int rc = 0;

    memset(a, 0, sizeof *a);
    a->group = a->group_text;
    for (int i = 1; i < argc; i++)
        flags_max += strlen(argv[i]) + 1;
    a->given = calloc(flags_max, sizeof *a->given);
    a->words = calloc((size_t)argc + 1, sizeof *a->words);
    if (a->given == NULL || a->words == NULL) {
        buf_adds(why, "out of memory");
        return CLI_INTERNAL;
    }
    for (int i = 1; i < argc && rc == 0; i++) {
        if (ended || argv[i][0] != '-' || argv[i][1] == '\0')
            a->words[a->words_n++] = argv[i];
        else if (strcmp(argv[i], "--") == 0)
            ended = true;
        else if (argv[i][1] == '-')
            rc = flag_long(a, argc, argv, &i, why);
        else
            rc = flag_letters(a, argc, argv, &i, why);
    }
    if (rc == 0 && a->words_n > 0)
        rc = command_find(a, why);
    if (rc == 0 && a->command != NULL) {
        flags_own(a);
        rc = command_check(a, why);
    }
    return rc;
}

void args_fini(struct args *a)
{
    free(a->given);
    free(a->words);
    a->given = NULL;
    a->words = NULL;
}
