/* cli/help.h: what the table of commands says to people and shells. */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stdbool.h>
#include <stdio.h>

/* words: "", "dlq" or "dlq list". */
void help_print(FILE *to, const char *words);
bool help_topic(FILE *to, const char *topic); /* false: no such topic */
bool completion_print(FILE *to, const char *shell);

#endif
