/* cli/filter.h: the filter flags and ids of a command, once as queries and once as JSON. */
#ifndef CLI_FILTER_H
#define CLI_FILTER_H

#include <jansson.h>

#include "base/buf.h"
#include "base/id.h"
#include "cli/cli.h"
#include "cli/ids.h"
#include "engine/api_kind.h"
#include "store/model.h"

/* The flags that say which. */
#define FILTER_FLAGS                                                                               \
    (FLAG_BIT(FLAG_SUBSCRIPTION) | FLAG_BIT(FLAG_EVENT) | FLAG_BIT(FLAG_TYPE) |                    \
     FLAG_BIT(FLAG_CAUSE) | FLAG_BIT(FLAG_STATUS) | FLAG_BIT(FLAG_OUTCOME) |                       \
     FLAG_BIT(FLAG_STATE) | FLAG_BIT(FLAG_SINCE) | FLAG_BIT(FLAG_UNTIL) |                          \
     FLAG_BIT(FLAG_MIN_ATTEMPTS) | FLAG_BIT(FLAG_MAX_ATTEMPTS) | FLAG_BIT(FLAG_CONTAINS) |         \
     FLAG_BIT(FLAG_JOB) | FLAG_BIT(FLAG_LIMIT) | FLAG_BIT(FLAG_IDS_FROM) | FLAG_BIT(FLAG_ALL))

enum { FILTER_QUERY_IDS = 200 }; /* in one query: the daemon takes a head of 16 KiB */

struct filter_flags {
    struct cli *cli;  /* whose flags they are */
    json_t *json;     /* the API's "filter" object */
    struct buf query; /* the same without ids */
    const char **ids; /* of the command line, then of --ids-from */
    size_t ids_n, ids_room;
    const char
        *order;     /* which end of a list comes first, "oldest" or "newest"; NULL: as it likes */
    size_t named_n; /* how many of the ids somebody named; others were found */
    struct buf ids_text; /* where those of a file live */
    bool by_ids;         /* ids were given, or a file of them, which may be empty */
    bool contains;       /* --contains is part of it: slow, and a page may be short */
    json_t *unmatched;   /* an object: ids that are nobody's, as the answers said */
    struct arena mem;    /* where ids live that were short, or found */
    char whole[IDS_MAX];
    bool any;                   /* something narrows the set, or --all was given */
    int64_t since_ms, until_ms; /* as they were meant; 0: not given */
};
/* 0, or 64/66 with the reason printed. Free with filter_flags_fini() in both cases. */
int filter_flags_read(struct cli *cli, struct filter_flags *f);
void filter_flags_fini(struct filter_flags *f);
void filter_order(struct filter_flags *f, const char *order);
/* Nothing from ms on; an earlier --until stays. */
void filter_until(struct filter_flags *f, int64_t ms);
/* Dead letters: the set is what a count or a preview gave this number with; see engine/api.h. */
void filter_arrived(struct filter_flags *f, int64_t before);
/* Remembers what an answer said of ids that are nobody's. f may be NULL. */
void filter_answered(const struct filter_flags *f, const json_t *answer);
/* Says them ("no dead letter 'x'"); 4 where none of the named ids is anybody's, else 0. */
int filter_unmatched(const struct filter_flags *f, enum api_kind kind);
/* "2 of 5 ids are no dead letters of this set:", before they are said. */
void filter_unmatched_head(const struct filter_flags *f, enum api_kind kind);
/* Nothing matched: says so (says may be NULL), and what of the filter may be a slip (a type that no
 * event has). 4 where no event is there that --event names, else 0. */
int filter_empty(struct cli *cli, const struct filter_flags *f, const char *says);
/* The first limit letters (or deliveries) that match, in the order of --order, become the filter, by
 * their ids: of payloads, which are sealed, or of a limit nothing else can be kept by a job. More
 * than 10000: 64. */
enum { FILTER_IDS_MAX = 10000 };
int filter_to_ids(struct cli *cli, struct filter_flags *f, size_t limit);
/* One member more of it. */
void filter_text(struct filter_flags *f, const char *member, const char *value);
/* These ids, an array of strings, become the filter. */
int filter_name(struct filter_flags *f, json_t *ids);
/* Appends the filter as it was typed (" --since 3h"), without some flags, for a command to copy. */
void filter_words(const struct cli *cli, flag_mask without, struct buf *out);
/* The filter as queries: one, or as many as the ids need; none where --ids-from was empty. Appends
 * the next one to out; false: that was all. *from: 0 at first. */
bool filter_query(const struct filter_flags *f, size_t *from, struct buf *out);

/* Calls visit for each item of a list (filter_walk.c) until it returns false, limit is reached or the
 * list ends. f may be NULL. cursor: where the rest begins, "" at the end of the list. */
typedef bool filter_visit_fn(void *arg, const json_t *item);
int filter_walk(struct cli *cli, const char *path, const struct filter_flags *f, size_t limit,
                char cursor[128], filter_visit_fn *visit, void *arg);
/* Appends the ids of a list's first limit items to the array ids. */
int filter_ids(struct cli *cli, const char *path, const struct filter_flags *f, size_t limit,
               json_t *ids);

/* --limit: *out as given, else standard; SIZE_MAX with --all and no limit. */
int filter_limit(struct cli *cli, size_t standard, size_t *out);

/* "20/s" or "20": 0 where the flag is not given. */
int filter_rate(struct cli *cli, double *out);
/* typed: the flag or the key with its value, as it was typed. */
int filter_rate_of(struct cli *cli, const char *typed, const char *text, double *out);
int filter_duration(struct cli *cli, enum flag_id flag, int64_t *out_ms);
/* --for: more than nothing; *out_ms stays where it is not given. */
int filter_for(struct cli *cli, int64_t max_ms, int64_t *out_ms);
/* 64: the flag's value is no span of time. what: the legal forms; what was meant is added, if it can
 * be guessed. */
int filter_span_bad(struct cli *cli, enum flag_id flag, const char *what);

#endif
