/* cli/out_style.h: colours, by meaning and sparingly: what is bad is red, what waits for somebody is
 * yellow, what went well is green, headings are bold. Nobody else writes escape sequences into
 * lines. */
#ifndef CLI_OUT_STYLE_H
#define CLI_OUT_STYLE_H

#include <stdbool.h>

#include "base/buf.h"

enum out_style { STYLE_PLAIN, STYLE_HEAD, STYLE_BAD, STYLE_WAITS, STYLE_GOOD };

/* What a word of the closed lists (states, causes, checks) means; others are plain. */
enum out_style out_style_of(const char *word);
/* "\033[31m", or "" for plain. */
const char *out_style_sequence(enum out_style style);
/* To the upper left corner of an empty screen. */
const char *out_style_clear(void);
/* Appends text, in its style where color (cli->out_color, or err_color for standard error) says so. */
void out_styled(struct buf *out, bool color, enum out_style style, const char *text);

#endif
