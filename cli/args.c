/* cli/args.c: see args.h. Hand-written since getopt_long can neither let flags stand before a noun
 * that decides which are legal, nor say which flag was nearly meant. */
#include "cli/args.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "cli/cli.h"

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
    if (id == FLAGS) { /* judged once it is known whose flag it should be: args_flag_unknown() */
        a->unknown = a->unknown ? a->unknown : argv[*at];
        return 0;
    }
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
            a->unknown = a->unknown ? a->unknown : argv[*at];
            return 0;
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

bool args_has_prefix(const struct command *c, const char *prefix, size_t n)
{
    return n == 0 || (strncmp(c->words, prefix, n) == 0 && (c->words[n] == ' ' || !c->words[n]));
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
            some = some || args_has_prefix(&commands_table[i], next, strlen(next));
            if (strcmp(commands_table[i].words, next) == 0)
                whole = &commands_table[i];
        }
        if (!some)
            return args_command_unknown(a->group_text, used, word, why);
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

/* Where the ids are found that a command wants. */
static const char *ids_from(const struct command *c)
{
    if (strcmp(c->words, "dlq restore") == 0)
        return "; which: webhookctl job list --kind purge";
    return strncmp(c->words, "job ", 4) == 0 ? "; which: webhookctl job list" : "";
}

static int command_check(const struct args *a, struct buf *why)
{
    const struct command *c = a->command;

    for (size_t i = 0; i < a->given_n; i++) {
        enum flag_id id = a->given[i].flag;

        if ((c->flags | FLAGS_GLOBAL) & FLAG_BIT(id))
            continue;
        return args_flag_of_others(c, flags_table[id].name, why);
    }
    if (a->values[FLAG_HELP] != NULL)
        return 0;
    if (a->words_n < (size_t)c->args_min) {
        buf_addf(why, "'%s' needs %s%s; see webhookctl %s --help", c->words, c->args, ids_from(c),
                 c->words);
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
    if (rc == 0 && a->unknown != NULL) {
        struct buf ignored; /* the flag's value may stand among the words */

        buf_init(&ignored, 4096);
        (void)command_find(a, &ignored);
        buf_fini(&ignored);
        return args_flag_unknown(a, why);
    }
    if (rc == 0 && a->words_n > 0)
        rc = command_find(a, why);
    if (rc == 0 && a->command != NULL) {
        flags_own(a);
        rc = command_check(a, why);
    }
    return rc == 0 ? args_not_text(a, why) : rc;
}

void args_fini(struct args *a)
{
    free(a->given);
    free(a->words);
    a->given = NULL;
    a->words = NULL;
}
