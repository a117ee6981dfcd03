/* cli/help.c: --help, help topics and the Markdown reference, all from the rows of commands.c. */
#include "cli/help.h"

#include <string.h>

#include "cli/cli.h"

#define WIDTH 100

static bool belongs(const char *words, const char *group)
{
    size_t n = strlen(group);

    return n == 0 || (strncmp(words, group, n) == 0 && (words[n] == ' ' || words[n] == '\0'));
}

/* A closed list below its flag, within WIDTH columns. */
static void words_print(FILE *to, const char *words)
{
    char word[64];
    size_t column = (size_t)fprintf(to, "  %-32s one of:", "");

    for (size_t n = 0; args_word(words, n, word, sizeof word); n++) {
        if (column + 1 + strlen(word) > WIDTH)
            column = (size_t)fprintf(to, "\n  %-32s", "") - 1;
        column += (size_t)fprintf(to, " %s", word);
    }
    fputc('\n', to);
}

static void flag_line(FILE *to, const struct flag *f)
{
    char left[64];

    snprintf(left, sizeof left, "%c%c%s--%s%s%s", f->letter ? '-' : ' ',
             f->letter ? f->letter : ' ', f->letter ? ", " : "  ", f->name, f->value ? " " : "",
             f->value ? f->value : "");
    fprintf(to, "  %-32s %s\n", left, f->help);
    if (f->words != NULL && f->value != NULL && strchr(f->value, '|') == NULL)
        words_print(to, f->words);
}

static void flags_print(FILE *to, flag_mask mask)
{
    for (size_t i = 0; i < FLAGS; i++) {
        if (mask & FLAG_BIT(i))
            flag_line(to, &flags_table[i]);
    }
}

static void exits_print(FILE *to, const char *codes)
{
    for (size_t i = 0; cli_exits[i].meaning; i++) {
        char code[8], word[8];

        snprintf(code, sizeof code, "%d", cli_exits[i].code);
        for (size_t n = 0; args_word(codes, n, word, sizeof word); n++) {
            if (strcmp(code, word) == 0)
                fprintf(to, "  %-4s %s\n", code, cli_exits[i].meaning);
        }
    }
}

static void command_print(FILE *to, const struct command *c)
{
    fprintf(to, "usage: webhookctl %s%s%s%s\n\n%s\n", c->words, c->flags ? " [flags]" : "",
            *c->args ? " " : "", c->args, c->help);
    for (size_t i = 0; commands_aliases[i].alias; i++) {
        if (belongs(c->words, commands_aliases[i].word))
            fprintf(to, "'%s' may be written '%s'.\n", commands_aliases[i].word,
                    commands_aliases[i].alias);
    }
    if (c->flags != 0) {
        fputs("\nflags:\n", to);
        flags_print(to, c->flags);
    }
    fputs("\nfor every command:\n", to);
    flags_print(to, FLAGS_GLOBAL & ~FLAG_BIT(FLAG_VERSION));
    fprintf(to, "\nexample:\n  %s\n\nexit status:\n", c->example);
    exits_print(to, c->exits);
}

void help_print(FILE *to, const char *words)
{
    for (size_t i = 0; i < commands_n; i++) {
        if (strcmp(commands_table[i].words, words) == 0) {
            command_print(to, &commands_table[i]);
            return;
        }
    }
    fprintf(to, "usage: webhookctl [-c FILE] [-o table|json|jsonl|id] %s\n\n",
            *words ? words : "NOUN VERB [flags] [arguments]");
    for (size_t i = 0; i < commands_n; i++) {
        const struct command *c = &commands_table[i];
        char left[80];

        if (!belongs(c->words, words))
            continue;
        snprintf(left, sizeof left, "%s%s%s", c->words, *c->args ? " " : "", c->args);
        fprintf(to, "  %-38s %s\n", left, c->help);
    }
    fputs("\nflags may stand anywhere; -- ends them:\n", to);
    flags_print(to, FLAGS_GLOBAL);
    fputs("\nwebhookctl COMMAND --help tells more; webhookctl help "
          "filters|exit-codes|json|environment "
          "too.\n",
          to);
}

static const char topic_json[] =
    "-o json   one JSON document on standard output; lists are "
    "{\"items\":[...],\"next_cursor\":...}\n"
    "-o jsonl  one item a line; -o id: one id a line, for --ids-from - and xargs\n"
    "Members may be added, never taken away; unknown values are null, never missing. Times are "
    "RFC\n"
    "3339 UTC with milliseconds, durations end in _seconds, sizes in _bytes, enumerations are "
    "lower\n"
    "snake case. Errors go to standard error as {\"error\":{\"code\",\"message\",...}}.\n";
static const char topic_environment[] =
    "WEBHOOKD_CONFIG  configuration file where -c is not given\n"
    "NO_COLOR         honoured: nothing is ever coloured\n"
    "Tables are cut to the terminal's width, times are relative on a terminal and RFC 3339 "
    "elsewhere.\n"
    "Nothing is asked where standard input is not a terminal; the message names the flag "
    "instead.\n";

static void reference_print(FILE *to)
{
    for (size_t i = 0; i < commands_n; i++) {
        const struct command *c = &commands_table[i];

        fprintf(to, "### webhookctl %s%s%s\n\n%s\n\n", c->words, *c->args ? " " : "", c->args,
                c->help);
        for (size_t k = 0; k < FLAGS; k++) {
            const struct flag *f = &flags_table[k];

            if (c->flags & FLAG_BIT(k))
                fprintf(to, "- `--%s%s%s`: %s\n", f->name, f->value ? " " : "",
                        f->value ? f->value : "", f->help);
        }
        fprintf(to, "%s    %s\n\nExit status: %s\n\n", c->flags ? "\n" : "", c->example, c->exits);
    }
}

bool help_topic(FILE *to, const char *topic)
{
    if (strcmp(topic, "exit-codes") == 0) {
        for (size_t i = 0; cli_exits[i].meaning; i++)
            fprintf(to, "%-4d %s\n", cli_exits[i].code, cli_exits[i].meaning);
    } else if (strcmp(topic, "filters") == 0) {
        flag_mask mask = 0;

        for (size_t i = FLAG_SUBSCRIPTION; i <= FLAG_LIMIT; i++)
            mask |= FLAG_BIT(i);
        flags_print(to, mask);
        fputs("\nFlags narrow the set together; ids on the command line are dlv_ or event ids.\n"
              "For dead letters --since and --until look at the time of death, elsewhere of "
              "creation.\n"
              "A command that changes something needs ids, a filter or --all.\n",
              to);
    } else if (strcmp(topic, "json") == 0) {
        fputs(topic_json, to);
    } else if (strcmp(topic, "environment") == 0) {
        fputs(topic_environment, to);
    } else if (strcmp(topic, "reference") == 0) {
        reference_print(to);
    } else {
        return false;
    }
    return true;
}
