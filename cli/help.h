/* cli/help.h: what the table of commands says to people, programs and shells. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli/commands.h"

/* words: "" (the first screen), "dlq" or "dlq list". */
void help_print(FILE *to, const char *words);
/* Lines of left and text, the text wrapped to the width of to, from the column indent on. */
void help_entry(FILE *to, size_t indent, const char *left, const char *text);
/* Paragraphs, wrapped to the width of to; what is laid out by blanks stays as it is. */
void help_text(FILE *to, const char *text);
void help_flags(FILE *to, flag_mask mask);
/* The flags that choose dead letters, deliveries, events or attempts. */
#define HELP_FILTERS (FLAG_BIT(FLAG_LIMIT + 1) - FLAG_BIT(FLAG_SUBSCRIPTION))
void help_commands(FILE *to, const char *group); /* a line a command */

/* ---- topics (help_topics.c) ---- */
struct help_topic {
    const char *name, *about;
    const char *text;        /* NULL: print makes it */
    void (*print)(FILE *to); /* NULL: text alone; else after the text */
    json_t *(*rows)(void);   /* its items for -o json; NULL: the text is all */
};
extern const struct help_topic help_topics[];               /* ends with name NULL */
const struct help_topic *help_topic_find(const char *name); /* NULL: none */
bool help_topic_print(FILE *to, const char *topic);         /* false: no such topic */
/* {"topic","about","text"}, or the rows of a table as {"items","next_cursor"}. New reference. */
json_t *help_topic_json(const struct help_topic *topic);

/* ---- completion.c ---- */
bool completion_print(FILE *to, const char *shell); /* false: no such shell */
/* What may stand in the place of the last of words, one a line: "WORD<tab>what it is". */
int completion_words(struct cli *cli, const char *const *words, size_t n);

#endif
