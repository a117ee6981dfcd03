/* cli/args.h: argv by the rows of commands.c: which command, which flags, which words remain. */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <stddef.h>

#include "base/buf.h"
#include "base/text.h"
#include "cli/commands.h"

struct args_given {
    enum flag_id flag;
    const char *value; /* "" for a flag without one */
};
struct args {
    const struct command *command; /* NULL: none was named completely */
    const char *group;             /* the nouns that were named, "dlq", or "" */
    char group_text[64];
    const char *values[FLAGS]; /* the last one; NULL: not given */
    struct args_given *given;  /* all, in order */
    size_t given_n;
    const char *unknown; /* a flag that is none, as it was typed; NULL */
    const char **words;  /* what remains: ids, files */
    size_t words_n;
};

/* 0, or 64 with one line of why (and what to do) in why. Strings stay argv's. */
int args_parse(struct args *a, int argc, char *const *argv, struct buf *why);
void args_fini(struct args *a);

/* The n-th word of "dlq list" into out; false: there are fewer. */
bool args_word(const char *words, size_t n, char *out, size_t room);
/* Is prefix ("dlq") the beginning of the command's words, or all of them? */
bool args_has_prefix(const struct command *c, const char *prefix, size_t n);

/* ---- args_text.c ---- */
/* 64 with why, where a value or an argument that is sent as text is not UTF-8; else 0. */
int args_not_text(const struct args *a, struct buf *why);

/* ---- args_near.c ---- */
/* text_did_you_mean() of such words. */
char *args_near(char out[TEXT_NEAR_MAX], const char *text, const char *words);
/* Why word is no command behind the words group, of which there are depth; 64. */
int args_command_unknown(const char *group, size_t depth, const char *word, struct buf *why);
/* Why a->unknown is no flag; 64. */
int args_flag_unknown(const struct args *a, struct buf *why);
/* Why a flag that others have is none of c's; 64. */
int args_flag_of_others(const struct command *c, const char *name, struct buf *why);

#endif
