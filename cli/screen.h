/* cli/screen.h: a whole screen to draw on, and the keys that are typed at it. ncurses is used here
 * alone. Whoever begins ends it, on every way out: the terminal is then as it was. */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/out_style.h"

enum screen_key { /* beside characters */
                  SCREEN_NONE = -1,
                  SCREEN_UP = 0x110000,
                  SCREEN_DOWN,
                  SCREEN_PAGE_UP,
                  SCREEN_PAGE_DOWN,
                  SCREEN_HOME,
                  SCREEN_END,
                  SCREEN_ENTER,
                  SCREEN_ESCAPE,
                  SCREEN_BACKSPACE,
                  SCREEN_RESIZED,
};

/* False: this terminal cannot; nothing was written to it. Signals that end a program end the waiting
 * for keys from then on: screen_signal(). */
bool screen_begin(bool color);
void screen_end(void);   /* idempotent */
int screen_signal(void); /* SIGINT, SIGTERM, SIGHUP that came; 0: none */
int screen_rows(void);
int screen_columns(void);
/* The next key, or SCREEN_NONE after that long. */
int screen_key(int64_t wait_ms);

void screen_clear(void);
/* Cut at the edge. text is harmless already, one line of UTF-8. reverse: across the whole row. */
void screen_put(int row, int column, enum out_style style, bool reverse, const char *text);
void screen_cursor(int row, int column); /* shown there; row < 0: hidden */
void screen_show(void);

#endif
