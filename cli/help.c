/* cli/help.c: the first screen, and --help of nouns and commands, all from the rows of commands.c. */
#include "cli/help.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"

#define WIDTH 80 /* where there is no terminal to ask */
#define WIDTH_MIN 40
#define WIDTH_MAX 100
#define TEXT_MIN 20 /* columns that are left for a text */
#define FLAG_INDENT 28
#define COMMAND_INDENT 34
#define FILTERS_MIN 7

static size_t width_of(FILE *to)
{
    struct winsize size = {0};

    /* a stream in memory has no descriptor */
    if (fileno(to) < 0 || ioctl(fileno(to), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return WIDTH;
    return size.ws_col < WIDTH_MIN ? WIDTH_MIN : size.ws_col > WIDTH_MAX ? WIDTH_MAX : size.ws_col;
}

/* Words from column on, each line after the first begins at indent. */
static void wrapped(FILE *to, size_t indent, size_t column, const char *text)
{
    size_t width = width_of(to);
    bool first = true;

    while (*text) {
        size_t n = strcspn(text, " ");

        if (!first && column + 1 + n > width) {
            fprintf(to, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!first) {
            fputc(' ', to);
            column++;
        }
        fprintf(to, "%.*s", (int)n, text);
        column += n;
        first = false;
        text += n + (text[n] == ' ');
    }
    fputc('\n', to);
}

void help_entry(FILE *to, size_t indent, const char *left, const char *text)
{
    size_t n = strlen(left);

    if (indent + TEXT_MIN > width_of(to))
        indent = width_of(to) - TEXT_MIN;
    fputs(left, to);
    if (n + 2 > indent)
        fprintf(to, "\n%*s", (int)indent, "");
    else
        fprintf(to, "%*s", (int)(indent - n), "");
    wrapped(to, indent, indent, text);
}

static bool belongs(const char *words, const char *group)
{
    size_t n = strlen(group);

    return n == 0 || (strncmp(words, group, n) == 0 && (words[n] == ' ' || words[n] == '\0'));
}

void help_flags(FILE *to, flag_mask mask)
{
    for (size_t i = 0; i < FLAGS; i++) {
        const struct flag *f = &flags_table[i];
        struct buf left, text;

        if (!(mask & FLAG_BIT(i)))
            continue;
        buf_init(&left, 256);
        buf_init(&text, 4096);
        buf_addf(&left, "  %c%c%s--%s%s%s", f->letter ? '-' : ' ', f->letter ? f->letter : ' ',
                 f->letter ? ", " : "  ", f->name, f->value ? " " : "", f->value ? f->value : "");
        buf_adds(&text, f->help);
        if (f->words != NULL && f->value != NULL && strchr(f->value, '|') == NULL)
            buf_addf(&text, "; one of: %s", f->words);
        help_entry(to, FLAG_INDENT, left.data ? left.data : "", text.data ? text.data : "");
        buf_fini(&left);
        buf_fini(&text);
    }
}

void help_commands(FILE *to, const char *group)
{
    for (size_t i = 0; i < commands_n; i++) {
        const struct command *c = &commands_table[i];
        char left[96];

        if (!belongs(c->words, group))
            continue;
        snprintf(left, sizeof left, "  %s%s%s", c->words, *c->args ? " " : "", c->args);
        help_entry(to, COMMAND_INDENT, left, c->help);
    }
}

static void exits_print(FILE *to, const char *codes)
{
    for (size_t i = 0; cli_exits[i].meaning; i++) {
        char code[8], word[8], left[16];

        snprintf(code, sizeof code, "%d", cli_exits[i].code);
        snprintf(left, sizeof left, "  %s", code);
        for (size_t n = 0; args_word(codes, n, word, sizeof word); n++) {
            if (strcmp(code, word) == 0)
                help_entry(to, 7, left, cli_exits[i].meaning);
        }
    }
}

static void alias_print(FILE *to, const char *words)
{
    for (size_t i = 0; commands_aliases[i].alias; i++) {
        if (*words && belongs(words, commands_aliases[i].word))
            fprintf(to, "'%s' may be written '%s'.\n", commands_aliases[i].word,
                    commands_aliases[i].alias);
    }
}

static void command_print(FILE *to, const struct command *c)
{
    fprintf(to, "usage: webhookctl %s%s%s%s\n\n%s\n", c->words, c->flags ? " [flags]" : "",
            *c->args ? " " : "", c->args, c->help);
    alias_print(to, c->words);
    flag_mask filters = c->flags & HELP_FILTERS;

    /* a few stand among the other flags; as many as choose a set have a paragraph of their own */
    if (__builtin_popcountll((uint64_t)filters) < FILTERS_MIN)
        filters = 0;
    if ((c->flags & ~filters) != 0) {
        fputs("\nflags:\n", to);
        help_flags(to, c->flags & ~filters);
    }
    if (filters != 0) {
        fputs("\nfilters, which choose the set (webhookctl help filters):\n", to);
        help_flags(to, filters);
    }
    fprintf(to, "\nexample:\n  %s\n\nexit status:\n", c->example);
    exits_print(to, c->exits);
    fputs(
        "\nFor every command: -c FILE, -o table|json|jsonl|id, --columns A,B, --utc, -v and more:\n"
        "webhookctl help flags\n",
        to);
}

/* What somebody types who was woken up, in this order. */
static const struct {
    const char *words, *args, *text;
} firsts[] = {
    {"status", "", "is webhookd up, and who is failing"},
    {"doctor", "", "what is wrong on this machine"},
    {"dlq summary", "", "what is dead: whose, why, what next"},
    {"dlq show", " ID", "why one died: attempts and answers"},
    {"subscription show", " NAME", "the endpoint and its state"},
    {"dlq replay", " -s NAME --dry-run", "what a replay would send"},
    {"dlq replay", " -s NAME --rate 5/s", "send again; says what arrived"},
};

static bool is_command(const char *words)
{
    for (size_t i = 0; i < commands_n; i++) {
        if (strcmp(commands_table[i].words, words) == 0)
            return true;
    }
    return false;
}

/* "  dlq   summary list count …": a line a noun. */
static void nouns_print(FILE *to)
{
    char noun[40], other[40];

    for (size_t i = 0; i < commands_n; i++) {
        struct buf left, verbs;
        bool seen = false;

        args_word(commands_table[i].words, 0, noun, sizeof noun);
        for (size_t k = 0; k < i && !seen; k++) {
            args_word(commands_table[k].words, 0, other, sizeof other);
            seen = strcmp(noun, other) == 0;
        }
        if (seen)
            continue;
        buf_init(&left, 128);
        buf_init(&verbs, 4096);
        buf_addf(&left, "  %s", noun);
        for (size_t k = i; k < commands_n; k++) {
            const char *words = commands_table[k].words;

            if (!belongs(words, noun))
                continue;
            words += strlen(noun);
            buf_addf(&verbs, "%s%s", verbs.len ? ", " : "",
                     *words ? words + 1 : commands_table[k].help);
        }
        help_entry(to, 16, left.data ? left.data : "", verbs.data ? verbs.data : "");
        buf_fini(&left);
        buf_fini(&verbs);
    }
}

static void first_screen(FILE *to)
{
    fputs("webhookctl: look at the deliveries of webhookd, and send dead letters again.\n\n"
          "Is something wrong? Type these, in this order; each says what to type next:\n",
          to);
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        char left[96];

        if (!is_command(firsts[i].words))
            continue;
        snprintf(left, sizeof left, "  webhookctl %s%s", firsts[i].words, firsts[i].args);
        help_entry(to, 44, left, firsts[i].text);
    }
    fputs("\nCommands: webhookctl NOUN VERB [flags] [arguments]; flags may stand anywhere.\n", to);
    nouns_print(to);
    fputs(
        "\nMore: webhookctl NOUN --help, webhookctl NOUN VERB --help, and webhookctl help TOPIC:\n",
        to);
    for (size_t i = 0; help_topics[i].name; i++) {
        char left[40];

        snprintf(left, sizeof left, "  %s", help_topics[i].name);
        help_entry(to, 16, left, help_topics[i].about);
    }
}

void help_print(FILE *to, const char *words)
{
    for (size_t i = 0; i < commands_n; i++) {
        if (strcmp(commands_table[i].words, words) == 0) {
            command_print(to, &commands_table[i]);
            return;
        }
    }
    if (!*words) {
        first_screen(to);
        return;
    }
    fprintf(to, "usage: webhookctl %s VERB [flags] [arguments]\n\n", words);
    help_commands(to, words);
    alias_print(to, words);
    fprintf(to,
            "\nwebhookctl %s VERB --help tells more; webhookctl help flags: what every command "
            "takes.\n",
            words);
}
