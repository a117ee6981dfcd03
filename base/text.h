/* base/text.h: how things are written: durations, sizes, times, terminals, near words. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Decimal digits from text on; where they end, or NULL: there are none, or too many for 63 bits. */
const char *text_digits(const char *text, int64_t *out);
/* "500ms" "10s" "5m" "24h" "30d" (a whole number and one unit; "0" alone is 0). */
bool text_parse_duration(const char *text, int64_t *out_ms);
/* The shortest exact form: 90000 -> "90s", 3600000 -> "1h". */
void text_duration(char *out, size_t room, int64_t ms);
/* "65536" "64KiB" "1MiB" "1GiB" (also K, M, G with the same meaning). */
bool text_parse_size(const char *text, int64_t *out_bytes);
void text_size(char *out, size_t room, int64_t bytes); /* "41.2 MiB" */
/* "1,204". Returns out, which has room for 27. */
char *text_count(char *out, size_t room, int64_t n);
/* The same within one statement, for the arguments of a printf. */
#define TEXT_COUNTED(n) text_count((char[32]){0}, 32, (int64_t)(n))

#define TEXT_TIME_MAX 32
/* RFC 3339 UTC with ms: 2026-11-22T05:07:41.120Z. Returns out. */
char *text_time(char out[TEXT_TIME_MAX], int64_t wall_ms);
/* The same moment in the zone of TZ: 2026-11-22T06:07:41.120+01:00. Returns out. */
char *text_time_local(char out[TEXT_TIME_MAX], int64_t wall_ms);
int text_days_in_month(int year, int month); /* month 1..12 */
/* RFC 3339 with any offset or Z. */
bool text_parse_time(const char *text, int64_t *out_ms);
/* A point in time as an operator types it: RFC 3339, "2h"/"3d" (ago), "today",
 * "yesterday" (UTC), "now", "18:55" (the last time it was that, in the zone of TZ), a date (00:00 UTC),
 * a date and a time without a zone (that of TZ). */
bool text_parse_when(const char *text, int64_t now_ms, int64_t *out_ms);
/* "2h 14m", "12s": for people. */
void text_ago(char *out, size_t room, int64_t ms);

/* Appends text so that it is harmless on a terminal: C0, C1, ESC, DEL, bidi controls and broken
 * UTF-8 become \x1b, \u202e forms. keep_newlines leaves \n and \t. */
void text_escape_terminal(struct buf *out, const char *text, size_t n, bool keep_newlines);

/* The word of words[] (NULL-terminated) that is nearest to text, or NULL where none is near. */
const char *text_nearest(const char *text, const char *const *words);
#define TEXT_NEAR_MAX 128
/* "; did you mean 'WORD'?", or "" where none is near. Returns out. */
char *text_did_you_mean(char out[TEXT_NEAR_MAX], const char *text, const char *const *words);

bool text_is_utf8(const void *bytes, size_t n);
/* RFC 8259, nothing else: numbers of any size, any depth up to 1000, valid UTF-8. NULL: legal;
 * else why not, a constant string, and *at is the byte. (jansson refuses 1e400 and \u0000, which
 * are legal, and we pass payloads on verbatim; hence our own check.) */
const char *text_json_problem(const void *bytes, size_t n, size_t *at);

/* Standard base64 with padding. Decode is strict; returns false on any stray character. */
void text_base64(struct buf *out, const void *bytes, size_t n);
bool text_base64_decode(struct buf *out, const char *text, size_t n);
void text_hex(char *out, const void *bytes, size_t n); /* lower case, 2n+1 bytes */

/* Copies with truncation, always terminated; returns out. */
char *text_copy(char *out, size_t room, const char *text);

/* The folder that a file lies in: "/var/lib" of "/var/lib/x", "." of "x". Returns out. */
char *text_folder(char *out, size_t room, const char *path);

/* Appends a whole file, at most cap bytes, to out. "-" reads standard input. ERR_NOT_FOUND,
 * ERR_DENIED, ERR_IO, ERR_INVALID (larger than that), ERR_NOMEM; texts name the path. */
enum err_code text_read_file(const char *path, size_t cap_bytes, struct buf *out, struct err *err);

#endif
