/* cli/shell.h: words for a shell, in commands that somebody is to copy. */
#ifndef CLI_SHELL_H
#define CLI_SHELL_H

#include "base/buf.h"

/* Appends text as one word of a POSIX shell: as it stands where nothing in it means anything there,
 * else in single quotes. */
void shell_word(struct buf *out, const char *text);

#endif
