/* cli/sub_input.h: what an operator says about a subscription, by flags or as KEY=VALUE, as members
 * of the API's body. A key is its flag's name. Secrets come from files, never from arguments (G8). */
#ifndef CLI_SUB_INPUT_H
#define CLI_SUB_INPUT_H

#include <jansson.h>

#include "cli/cli.h"

/* All flags that were given, in their order; those that are not a subscription's are left alone. clear:
 * the word "none" takes away what is there. 0, or 64, 65, 66 with the reason printed. */
int sub_input_flags(struct cli *cli, bool clear, json_t *body);
/* A word "rate=20/s". */
int sub_input_word(struct cli *cli, const char *word, json_t *body);

/* The first line of a file into body[member]; wiped here afterwards. */
int sub_input_secret(struct cli *cli, const char *file, json_t *body, const char *member);

#endif
