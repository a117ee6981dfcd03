/* cli/failure.h: what an endpoint's failure usually means, and what to type: one table for every screen
 * that shows why an endpoint fails. */
#ifndef CLI_FAILURE_H
#define CLI_FAILURE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define FAILURE_HINTS 4

struct failure_hint {
    const char *command; /* of webhookctl; its %s is the subscription's name */
    const char *why;     /* NULL: the command says it */
};
struct failure {
    int status_min, status_max; /* 0: an outcome without an answer */
    const char *outcome;        /* of any status in the range, where NULL */
    bool again_in_vain;         /* until somebody does something, sending it again ends the same */
    const char *means;
    struct failure_hint hints[FAILURE_HINTS];
};

/* status 0: there was no answer. NULL: it was a success, or nothing is known. */
const struct failure *failure_of(int64_t status, const char *outcome);
/* "401: they refuse …", then a line for each command. Nothing where nothing is known. */
void failure_say(FILE *to, int64_t status, const char *outcome, const char *subscription);

#endif
