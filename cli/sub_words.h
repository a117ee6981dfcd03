/* cli/sub_words.h: what a subscription is doing, in words, the same in every table and screen. */
#ifndef CLI_SUB_WORDS_H
#define CLI_SUB_WORDS_H

#include <jansson.h>

#include "base/buf.h"
#include "cli/cli.h"

/* "active", "failing 53m", "paused, 2h to go", "disabled (410)"; with points in time where times are
 * not relative. sub has the members state, state_cause, resume_at, failing_since. */
void sub_state_words(const struct cli *cli, struct buf *out, const json_t *sub);
/* "401", or without an answer "timeout". */
void sub_failure_words(struct buf *out, const json_t *sub);
/* "2,711 held (its endpoint is down)", "7: 3 due, 4 later": what waits, each counted once. Of an object with
 * backlog, due, held, later and perhaps held_by. */
void waiting_words(struct buf *out, const json_t *o);
/* What to do about letters that were imported and whose subscription there is not. */
void sub_not_here_words(struct buf *out, const char *name);
bool sub_is_failing(const json_t *sub);
/* "53m" of an RFC 3339 time; the time itself where times are not relative; "-" where it is null. */
void ago_words(const struct cli *cli, struct buf *out, const json_t *time);
void span_words(struct buf *out, int64_t ms); /* "53m", "3d 4h"; < 0: "-" */
int64_t ago_ms(const json_t *time);           /* -1: none */
/* "EGRESS IS PAUSED for 3m by uid:0 root (INC-381), 27m to go: nothing is sent, 1,068 wait" */
void egress_words(const struct cli *cli, struct buf *out, const json_t *egress);
/* That as a note with what to type, where it is paused: nobody is sent to, however a table looks. */
void egress_note(struct cli *cli);
/* *item with the member "state_words" for tables; a new reference. */
json_t *sub_with_words(const struct cli *cli, const json_t *item);

#endif
