/* cli/replay_preview.h: what dlq replay or delivery resend would do, as a screen and as the command
 * that does exactly that. */
#ifndef CLI_REPLAY_PREVIEW_H
#define CLI_REPLAY_PREVIEW_H

#include <jansson.h>
#include <stdio.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "cli/filter.h"

/* What the two commands differ in. */
struct sending {
    const char *command, *path, *preview;
    const char *verb, *Verb, *one, *many; /* "replay", "dead letter" */
    const char *when;                     /* "died": of the oldest and the newest */
    const char *oldest, *newest;          /* members of the preview */
    const char *column;
    const char *exactly; /* what comes to be delivered later can slip into a resend by a filter */
};
extern const struct sending sending_replay, sending_resend;

const char *sending_noun(const struct sending *s, int64_t n);
/* When it stops by itself: "if the first 5 fail, or more than 50% of the last 20". a: a preview or a
 * job. */
void replay_rule(struct buf *out, const json_t *a);
/* a: the preview as answered. Where copies go; NULL: what is sent are the originals. */
const char *replay_preview_to(const json_t *a);
void replay_preview_print(struct cli *cli, const struct sending *s, FILE *to, const json_t *a);
/* "3 subscription paused; 1 expired: …" */
void replay_preview_excluded(struct buf *out, const json_t *a);
/* In a row from the start, and it stops (policy/canary.h). */
enum { REPLAY_GIVES_UP = 5 };
/* A target that fails now, and is to get something. */
bool replay_preview_fails(const json_t *target);
/* What would have to be done first, subscription by subscription. */
void replay_preview_obstacles(const struct cli *cli, FILE *to, const json_t *a);
/* "about 19s", "19s once it gets through" where it may not, "about 19s once 989 live ones are through,
 * about 1m 39s at its own 10/s"; "": nobody can say. */
enum { PREVIEW_ABOUT_MAX = 192 };
void replay_preview_about(const json_t *a, char out[PREVIEW_ABOUT_MAX]);
/* A job that is active there, so that nothing of this can begin, in words; false: none. */
bool replay_preview_blocked(const json_t *a, struct buf *out);
/* The command that replays this set: times are absolute, so that it is the same set later. */
void replay_preview_command(const struct cli *cli, const struct sending *s,
                            const struct filter_flags *f, const json_t *a, struct buf *out);

#endif
