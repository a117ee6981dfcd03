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
#define FLAG_INDENT_MAX 30
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

/* A line that lays something out itself: it begins with a blank, or has columns. */
static bool is_laid_out(const char *line, size_t n)
{
    return n == 0 || line[0] == ' ' || memmem(line, n, "  ", 2) != NULL;
}

/* As it is where it fits; else the text of its last column goes on below itself. */
static void laid_out_print(FILE *to, const char *line, size_t n)
{
    size_t gap = n;
    struct buf left;

    while (gap > 2 && !(line[gap - 1] == ' ' && line[gap - 2] == ' '))
        gap--;
    if (n <= width_of(to) || gap <= 2) {
        fprintf(to, "%.*s\n", (int)n, line);
        return;
    }
    buf_init(&left, 1024);
    buf_add(&left, line, gap);
    while (left.len > 0 && left.data[left.len - 1] == ' ')
        left.data[--left.len] = '\0';
    char *text = strndup(line + gap, n - gap);

    help_entry(to, gap, left.data ? left.data : "", text ? text : "");
    free(text);
    buf_fini(&left);
}

void help_text(FILE *to, const char *text)
{
    struct buf words;

    buf_init(&words, (size_t)64 << 10);
    while (*text) {
        size_t n = strcspn(text, "\n");
        bool laid_out = is_laid_out(text, n);

        if (laid_out)
            laid_out_print(to, text, n);
        else
            buf_addf(&words, "%s%.*s", words.len > 0 ? " " : "", (int)n, text);
        text += n + (text[n] == '\n');
        if (words.len > 0 && (*text == '\0' || is_laid_out(text, strcspn(text, "\n")))) {
            wrapped(to, 0, 0, words.data);
            buf_clear(&words);
        }
    }
    buf_fini(&words);
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

static void flag_left(const struct flag *f, struct buf *out)
{
    buf_addf(out, "  %c%c%s--%s%s%s", f->letter ? '-' : ' ', f->letter ? f->letter : ' ',
             f->letter ? ", " : "  ", f->name, f->value ? " " : "", f->value ? f->value : "");
}

/* Where their texts begin: behind the longest, but for what is longer than most. */
static size_t flags_indent(flag_mask mask)
{
    size_t indent = 0;

    for (size_t i = 0; i < FLAGS; i++) {
        struct buf left;

        buf_init(&left, 256);
        flag_left(&flags_table[i], &left);
        if (mask & FLAG_BIT(i) && left.len + 2 > indent && left.len + 2 <= FLAG_INDENT_MAX)
            indent = left.len + 2;
        buf_fini(&left);
    }
    return indent;
}

void help_flags(FILE *to, flag_mask mask)
{
    size_t indent = flags_indent(mask);

    for (size_t i = 0; i < FLAGS; i++) {
        const struct flag *f = &flags_table[i];
        struct buf left, text;

        if (!(mask & FLAG_BIT(i)))
            continue;
        buf_init(&left, 256);
        buf_init(&text, 4096);
        flag_left(f, &left);
        buf_adds(&text, f->help);
        if (f->words != NULL && f->value != NULL && strchr(f->value, '|') == NULL &&
            strstr(f->help, f->words) == NULL)
            buf_addf(&text, ": %s", f->words);
        help_entry(to, indent, left.data ? left.data : "", text.data ? text.data : "");
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

static void exit_print(FILE *to, int code, const char *meaning)
{
    char left[16];

    snprintf(left, sizeof left, "  %d", code);
    help_entry(to, 7, left, meaning);
}

/* Those that mean something of their own here; the others by their numbers. */
static void exits_print(FILE *to, const struct command *c)
{
    bool changes = strstr(c->exits, "73") != NULL; /* it may find a full disk */
    struct buf others;
    char word[8];

    buf_init(&others, 256);
    for (size_t n = 0; args_word(c->exits, n, word, sizeof word); n++) {
        int code = (int)strtol(word, NULL, 10);
        const char *meaning = cli_exit_of(c->words, code);

        if (meaning != NULL || code == CLI_OK)
            exit_print(to, code,
                       meaning   ? meaning
                       : changes ? "done"
                                 : "it was shown, if there is any");
        else
            buf_addf(&others, " %d", code);
    }
    if (others.len > 0) {
        buf_adds(&others, ": webhookctl help exit-codes");
        fputs("  and", to);
        wrapped(to, 2, strlen("  and"), others.data);
    }
    buf_fini(&others);
}

/* "-s/--subscription, --event, …" */
static void filters_print(FILE *to, flag_mask mask)
{
    struct buf names;

    buf_init(&names, 4096);
    for (size_t i = 0; i < FLAGS; i++) {
        const struct flag *f = &flags_table[i];

        if (!(mask & FLAG_BIT(i)))
            continue;
        buf_adds(&names, names.len > 0 ? ", " : "");
        if (f->letter)
            buf_addf(&names, "-%c/", f->letter);
        buf_addf(&names, "--%s", f->name);
    }
    fputs("\nfilters, which choose the set; webhookctl help filters explains them:\n  ", to);
    wrapped(to, 2, 2, names.data ? names.data : "");
    buf_fini(&names);
}

static void alias_print(FILE *to, const char *words)
{
    for (size_t i = 0; commands_aliases[i].alias; i++) {
        if (*words && belongs(words, commands_aliases[i].word))
            fprintf(to, "'%s' may be written '%s'.\n", commands_aliases[i].word,
                    commands_aliases[i].alias);
    }
}

/* Before a flag that would not fit it goes on in the next line, as a shell wants it. */
static void example_print(FILE *to, const char *example)
{
    size_t width = width_of(to), column = 2;

    fputs("  ", to);
    while (*example) {
        const char *next = strstr(example + 1, " --");
        size_t n = next != NULL ? (size_t)(next - example) : strlen(example);

        if (column > 2 && column + n + 2 > width) {
            fputs(" \\\n     ", to);
            column = 5;
        }
        fprintf(to, "%.*s", (int)n, example);
        column += n;
        example += n;
    }
    fputc('\n', to);
}

static void command_print(FILE *to, const struct command *c)
{
    fprintf(to, "usage: webhookctl %s%s%s%s\n\n", c->words, c->flags ? " [flags]" : "",
            *c->args ? " " : "", c->args);
    wrapped(to, 0, 0, c->help);
    alias_print(to, c->words);
    if (c->more != NULL) {
        fputc('\n', to);
        wrapped(to, 0, 0, c->more);
    }
    flag_mask filters = c->flags & HELP_FILTERS;

    /* a few stand among the other flags; as many as choose a set have a paragraph of their own */
    if (__builtin_popcountll((uint64_t)filters) < FILTERS_MIN)
        filters = 0;
    if ((c->flags & ~filters) != 0) {
        fputs("\nflags:\n", to);
        help_flags(to, c->flags & ~filters);
    }
    if (filters != 0)
        filters_print(to, filters);
    fputs("\nexample:\n", to);
    example_print(to, c->example);
    fputs("\nexit status:\n", to);
    exits_print(to, c);
    fputs("\nmore: webhookctl help flags (-c, -o, --columns, -v …: for every command)\n", to);
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

/* The commands that begin with the noun, without it: "summary, list"; *n: how many. */
static void verbs_of(const char *noun, struct buf *out, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < commands_n; i++) {
        const char *words = commands_table[i].words;

        if (!belongs(words, noun))
            continue;
        words += strlen(noun);
        if (*words)
            buf_addf(out, "%s%s", out->len ? ", " : "", words + 1);
        ++*n;
    }
}

static bool is_first_of_noun(size_t i, char noun[40])
{
    char other[40];

    args_word(commands_table[i].words, 0, noun, 40);
    for (size_t k = 0; k < i; k++) {
        args_word(commands_table[k].words, 0, other, sizeof other);
        if (strcmp(noun, other) == 0)
            return false;
    }
    return true;
}

/* "  dlq   summary, list, count …": a line a noun; what stands alone shares the last one. */
static void nouns_print(FILE *to)
{
    char noun[40], left[48];
    struct buf alone, verbs;
    size_t n;

    buf_init(&alone, 4096);
    for (size_t i = 0; i < commands_n; i++) {
        if (!is_first_of_noun(i, noun))
            continue;
        buf_init(&verbs, 4096);
        verbs_of(noun, &verbs, &n);
        (void)snprintf(left, sizeof left, "  %s", noun);
        if (n > 1)
            help_entry(to, 16, left, verbs.data ? verbs.data : "");
        else
            buf_addf(&alone, "%s%s", alone.len ? ", " : "", commands_table[i].words);
        buf_fini(&verbs);
    }
    help_entry(to, 16, "  and", alone.data ? alone.data : "");
    buf_fini(&alone);
}

/* "replay, filters, …" */
static void topics_print(FILE *to)
{
    struct buf names;

    buf_init(&names, 1024);
    for (size_t i = 0; help_topics[i].name; i++)
        buf_addf(&names, "%s%s", i > 0 ? ", " : "", help_topics[i].name);
    help_entry(to, 16, "  help TOPIC", names.data ? names.data : "");
    buf_fini(&names);
}

static void first_screen(FILE *to)
{
    help_text(to, "webhookctl: look at the deliveries of webhookd, and send dead letters again.\n\n"
                  "Is something wrong? Type these, in this order; each says what to type next:\n");
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        char left[96];

        if (!is_command(firsts[i].words))
            continue;
        snprintf(left, sizeof left, "  webhookctl %s%s", firsts[i].words, firsts[i].args);
        help_entry(to, 44, left, firsts[i].text);
    }
    help_text(to, "\nCommands: webhookctl NOUN VERB [flags] [arguments]; --help explains each\n");
    nouns_print(to);
    topics_print(to);
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
    fprintf(to, "\nmore: webhookctl %s VERB --help, webhookctl help flags\n", words);
}
