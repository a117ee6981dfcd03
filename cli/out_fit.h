/* cli/out_fit.h: how wide text is on a screen, and which columns of a table give way where it is
 * too narrow: arithmetic alone. */
#ifndef CLI_OUT_FIT_H
#define CLI_OUT_FIT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define OUT_FIT_MAX 32 /* columns */

struct out_fit {
    size_t columns_n, gap;
    struct {
        size_t whole; /* as its content wants it */
        size_t least; /* no narrower than that; whole: it stays or is left out */
        bool first;   /* gives way before others do */
        size_t soft;  /* of those: no narrower than that while others can be left out */
        int rank;     /* 0: stays as long as it can; the highest is left out first */
        bool empty;   /* says nothing: left out before all others */
        size_t now;   /* found: its width */
        bool hidden;  /* found: left out */
    } columns[OUT_FIT_MAX];
};
/* Finds now and hidden of each column so that all of them and the gaps take at most room: first the
 * long ones become shorter, then columns with a rank are left out, then the rest is cut, and last
 * of all left out from the right. The first column is never left out: alone it is cut to room. */
void out_fit(struct out_fit *f, size_t room);

size_t out_width(const char *text); /* columns that it takes on the screen */
/* Up to width columns of text, the last of them "…" where there was more. */
void out_cut(struct buf *out, const char *text, size_t width);
/* The text in lines of width columns, broken at the ends of words, each line after the first as far
 * in as its line began. What is longer than a line is broken too where all must fit (a table's
 * cell); else it stays in one piece, and so does a command to copy ("webhookctl …"). */
void out_wrap(struct buf *out, const char *text, size_t width, bool all);
size_t out_columns(int fd); /* of the terminal; 0: it is none, or does not say */

#endif
