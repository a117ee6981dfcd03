/* cli/screen.c: see screen.h. */
#include "cli/screen.h"

#include <ncurses.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/out_fit.h"

#define TEXT_MAX_BYTES 4096

enum { PAIR_BAD = 1, PAIR_WAITS, PAIR_GOOD, ESCAPE_WAIT_MS = 50 };

static SCREEN *terminal;
static volatile sig_atomic_t signalled;
static struct sigaction before[3];
static bool handling; /* our handlers are in force */
static const int signals[3] = {SIGINT, SIGTERM, SIGHUP};

static void on_signal(int signum)
{
    signalled = signum;
}

/* Terminals that do not care for the mode that keypad() asks for send these. */
static void keys_define(void)
{
    static const struct {
        const char *sequence;
        int key;
    } more[] = {{"\033[A", KEY_UP},     {"\033[B", KEY_DOWN},  {"\033[H", KEY_HOME},
                {"\033[F", KEY_END},    {"\033OA", KEY_UP},    {"\033OB", KEY_DOWN},
                {"\033[5~", KEY_PPAGE}, {"\033[6~", KEY_NPAGE}};

    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        define_key(more[i].sequence, more[i].key);
}

bool screen_begin(bool color)
{
    struct sigaction act = {.sa_handler = on_signal}; /* no SA_RESTART: waiting ends */

    for (int i = 0; i < 3; i++)
        sigaction(signals[i], NULL, &before[i]);
    terminal = newterm(NULL, stdout, stdin);
    if (terminal == NULL)
        return false;
    handling = true;
    if (tigetstr("cup") == NULL || tigetstr("cup") == (char *)-1) { /* it cannot place its cursor */
        screen_end();
        return false;
    }
    sigemptyset(&act.sa_mask);
    signalled = 0;
    for (int i = 0; i < 3; i++)
        sigaction(signals[i], &act, NULL); /* after ncurses' own, which would end us at once */
    set_escdelay(ESCAPE_WAIT_MS);
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    keys_define();
    curs_set(0);
    if (color && has_colors() && start_color() == OK) {
        use_default_colors();
        init_pair(PAIR_BAD, COLOR_RED, -1);
        init_pair(PAIR_WAITS, COLOR_YELLOW, -1);
        init_pair(PAIR_GOOD, COLOR_GREEN, -1);
    }
    return true;
}

void screen_end(void)
{
    if (terminal == NULL)
        return;
    endwin();
    delscreen(terminal);
    terminal = NULL;
    for (int i = 0; i < 3 && handling; i++)
        sigaction(signals[i], &before[i], NULL);
    handling = false;
    fflush(stdout);
}

int screen_signal(void)
{
    return signalled;
}

int screen_rows(void)
{
    return LINES;
}

int screen_columns(void)
{
    return COLS;
}

static int key_of(int code)
{
    switch (code) {
    case ERR:
        return SCREEN_NONE;
    case KEY_UP:
        return SCREEN_UP;
    case KEY_DOWN:
        return SCREEN_DOWN;
    case KEY_PPAGE:
        return SCREEN_PAGE_UP;
    case KEY_NPAGE:
        return SCREEN_PAGE_DOWN;
    case KEY_HOME:
        return SCREEN_HOME;
    case KEY_END:
        return SCREEN_END;
    case KEY_ENTER:
    case '\r':
    case '\n':
        return SCREEN_ENTER;
    case 27:
        return SCREEN_ESCAPE;
    case KEY_BACKSPACE:
    case 127:
    case '\b':
        return SCREEN_BACKSPACE;
    case KEY_RESIZE:
        return SCREEN_RESIZED;
    default:
        return code < 256 ? code : SCREEN_NONE;
    }
}

int screen_key(int64_t wait_ms)
{
    if (signalled)
        return SCREEN_NONE;
    timeout(wait_ms < 0 ? 0 : wait_ms > 60000 ? 60000 : (int)wait_ms);
    return key_of(getch());
}

void screen_clear(void)
{
    erase();
}

static chtype attributes(enum out_style style)
{
    switch (style) {
    case STYLE_HEAD:
        return A_BOLD;
    case STYLE_BAD:
        return (chtype)COLOR_PAIR(PAIR_BAD);
    case STYLE_WAITS:
        return (chtype)COLOR_PAIR(PAIR_WAITS);
    case STYLE_GOOD:
        return (chtype)COLOR_PAIR(PAIR_GOOD);
    case STYLE_PLAIN:
        break;
    }
    return A_NORMAL;
}

void screen_put(int row, int column, enum out_style style, bool reverse, const char *text)
{
    chtype how = attributes(style) | (reverse ? A_REVERSE : A_NORMAL);

    if (row < 0 || row >= LINES || column < 0 || column >= COLS)
        return;
    struct buf cut;

    buf_init(&cut, TEXT_MAX_BYTES);
    if (out_width(text) > (size_t)(COLS - column)) { /* else it would go on in the next row */
        out_cut(&cut, text, (size_t)(COLS - column));
        text = cut.data ? cut.data : "";
    }
    attrset((int)how);
    if (reverse && column == 0)
        mvhline(row, 0, ' ' | how, COLS);
    mvaddnstr(row, column, text, -1);
    attrset(A_NORMAL);
    buf_fini(&cut);
}

void screen_cursor(int row, int column)
{
    curs_set(row >= 0 ? 1 : 0);
    if (row >= 0)
        move(row, column);
}

void screen_show(void)
{
    refresh();
}
