/* cli/out.h: what people and programs read: tables (libsmartcols), JSON, messages on stderr.
 *
 * Data goes to stdout, all else to stderr. Text that came from outside is escaped for terminals in
 * tables and screens, and stands as it is in JSON. */
#ifndef CLI_OUT_H
#define CLI_OUT_H

#include <jansson.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/cli.h"

/* A line on standard error, harmless whatever is in it; on a terminal in as many lines as it needs. */
__attribute__((format(printf, 1, 2))) void out_note(const char *fmt, ...);
/* The same after a change: how it is now, and what comes next; of a dry run, how it would be. */
__attribute__((format(printf, 2, 3))) void out_done(const struct cli *cli, const char *fmt, ...);
/* Says of a dry run that nothing was changed. False: it is none. */
bool out_dry(const struct cli *cli);
/* "created"; of a dry run "would create". */
const char *out_created(const struct cli *cli);
/* What was written to standard output goes out now; 0, or why it could not: an errno, or -1
 * where that is not known any more. */
int out_flush(void);
/* Such a line elsewhere: text is made harmless; a newline is added. */
void out_line(FILE *to, const char *text);
/* The same of what was gathered, which is empty then; nothing where it was. */
void out_said(FILE *to, struct buf *text);
/* The error as a line, or with -o json as the API's error object; returns exit_code. */
__attribute__((format(printf, 4, 5))) int out_fail(const struct cli *cli, int exit_code,
                                                   const char *code, const char *fmt, ...);
int out_fail_json(int exit_code, const json_t *answer); /* the API's error object as it came */
int out_fail_err(const struct cli *cli, const struct err *err); /* exit code by err->code */

bool out_is_json(const struct cli *cli); /* -o json or jsonl */

/* How a value of a JSON object is shown. */
enum out_kind {
    OUT_TEXT,  /* strings, numbers, booleans, lists by commas; null and "" are "-" */
    OUT_LONG,  /* the same; a terminal too narrow for the table costs these columns first */
    OUT_WRAP,  /* the same, never cut: it takes more lines */
    OUT_TIME,  /* RFC 3339: as ago on a terminal */
    OUT_CLOCK, /* RFC 3339: 05:07:41.158 on a terminal */
    OUT_WHEN,  /* RFC 3339: in the local zone and as ago on a terminal, for one thing's own time */
    OUT_SECONDS, /* a number: 0.412s, 21ms, 0.4ms */
    OUT_MS,      /* a number of seconds: 19ms */
    OUT_BYTES,   /* 37.1 KiB */
    OUT_COUNTS,  /* an object of numbers by state: 2 delivered, 1 dead */
    OUT_STATE,   /* a word with a colour (out_style.h) */
    OUT_COUNT,   /* 1,204 */
    OUT_RATIO,   /* 0.998: 99.8% */
    OUT_RATE,    /* 47.2; 0 */
    OUT_BRIEF,   /* a number of seconds: 0.31s, 21ms, 0.4ms */
};
struct out_column {
    const char *header;
    const char *path; /* "counts.dead": members of members; "a|b": b where a is null */
    enum out_kind kind;
    int rank; /* on a terminal too narrow: 0 stays, the highest goes first (out_fit.h); OUT_NAMED */
};
#define OUT_NAMED (-1) /* shown only where --columns names it */
#define OUT_COLUMNS_MAX 32
#define OUT_COLUMNS_END                                                                            \
    {                                                                                              \
        NULL, NULL, OUT_TEXT, 0                                                                    \
    }

json_t *out_member(const json_t *object, const char *path);     /* NULL: none; borrowed; no "|" */
const char *out_string(const json_t *object, const char *path); /* NULL: none */
int64_t out_integer(const json_t *object, const char *path);    /* 0: none */
/* A path, which may be any bytes, as a string of JSON: what is no text of it is escaped. */
json_t *out_path(const char *path);
void out_value(const struct cli *cli, const json_t *value, enum out_kind kind, struct buf *out);

struct out_table;
/* Of its columns those that --columns names. NULL: it names one that is not there, which was said;
 * all that follows is nothing then. */
struct out_table *out_table_new(const struct cli *cli, const struct out_column *columns);
void out_table_to(struct out_table *t, FILE *to); /* elsewhere than to stdout */
void out_table_row(struct out_table *t, const json_t *item);
void out_table_print(struct out_table *t); /* and frees; prints nothing where it is empty */

/* "Label   value" lines of one object; absent members are left out. */
void out_fields(const struct cli *cli, const json_t *object, const struct out_column *fields);
void out_escaped(const char *text, size_t n, const char *indent); /* lines, made harmless */
void out_json(const json_t *value, bool lines);                   /* lines: compact, on one line */
/* An answer's JSON as it came, numbers of any size included. What a terminal might obey is written
 * as \\u escapes, which mean the same. */
void out_json_raw(const char *json, size_t n);

#endif
