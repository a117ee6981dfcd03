/* cli/ids.c: short ids; see ids.h. An id is a number that grows with time, written in an alphabet
 * that sorts as it counts: what begins alike stands together, so that a list which is begun just
 * before it answers, without an operation of its own in the store. */
#include "cli/ids.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "cli/client.h"
#include "cli/out.h"

#define SHORT_MIN 6
#define SHOWN 3

static const struct {
    const char *prefix; /* of the id */
    const char *noun, *path;
    bool down; /* its list begins with the newest */
} kinds[] = {
    {"dlv", "delivery", "/api/v1/deliveries", false},
    {"job", "job", "/api/v1/jobs", true},
    {"sub", "subscription", "/api/v1/subscriptions", false},
    {"rej", "refused row", "/api/v1/outbox-rejects", false},
};
#define KINDS (sizeof kinds / sizeof *kinds)

/* The first (or last) number whose text begins like ref. */
static bool bound(const char *ref, const char *prefix, char fill, int64_t *out)
{
    char text[ID_TEXT_MAX], whole[ID_TEXT_MAX];
    size_t room = strlen(id_text(whole, prefix, 1)), n = strlen(ref);

    memset(text, fill, sizeof text);
    memcpy(text, ref, n);
    text[room] = '\0';
    return id_parse(text, prefix, out);
}

/* Of a short id's kind; KINDS: it is none. */
static size_t kind_of(const char *ref, const char *prefix)
{
    char whole[ID_TEXT_MAX];
    int64_t num;
    size_t n = strlen(ref), prefix_n = strlen(prefix), i = 0;

    while (i < KINDS && strcmp(kinds[i].prefix, prefix) != 0)
        i++;
    if (i < KINDS && strncmp(ref, prefix, prefix_n) == 0 && ref[prefix_n] == '_' &&
        n < strlen(id_text(whole, prefix, 1)) &&
        (n == prefix_n + 1 || bound(ref, prefix, '0', &num)))
        return i;
    return KINDS;
}

static int range_ask(struct cli *cli, size_t kind, int64_t low, int64_t high, struct answer *a)
{
    char cursor[64];
    struct buf query;

    snprintf(cursor, sizeof cursor, "0.%lld",
             (long long)(kinds[kind].down ? high + 1
                         : low > 0        ? low - 1
                                          : 0));
    buf_init(&query, 1024);
    client_query(&query, "limit", "4");
    client_query(&query, "cursor", cursor);
    if (strcmp(kinds[kind].prefix, "dlv") == 0)
        client_query(&query, "order", "oldest");
    int rc = client_call(cli, "GET", kinds[kind].path, query.data, NULL, a);

    buf_fini(&query);
    return rc;
}

/* Of these the one that begins like ref. */
static int only_one(struct cli *cli, const char *noun, const char *ref, const json_t *items,
                    char out[IDS_MAX])
{
    char some[SHOWN * IDS_MAX + 16] = "";
    size_t i, n = 0, used = 0;
    json_t *item;

    json_array_foreach(items, i, item)
    {
        const char *id = out_string(item, "id");

        if (id == NULL || strncasecmp(id, ref, strlen(ref)) != 0)
            continue;
        if (n == 0)
            text_copy(out, IDS_MAX, id);
        if (n < SHOWN)
            used += (size_t)snprintf(some + used, sizeof some - used, "%s%s", n ? ", " : "", id);
        n++;
    }
    if (n == 0 && strcmp(noun, "subscription") == 0) /* it may be a name */
        return 0;
    if (n == 0)
        return out_fail(cli, CLI_NOT_FOUND, "not_found", "no %s whose id begins with '%s'", noun,
                        ref);
    return n == 1
               ? 0
               : out_fail(cli, CLI_USAGE, "ambiguous", "'%s' is the beginning of several ids: %s%s",
                          ref, some, n > SHOWN ? ", …" : "");
}

/* An event's id is the producer's own: any beginning of one that is long enough, and none where it is
 * whole. */
static int event_whole(struct cli *cli, const char *ref, char out[IDS_MAX])
{
    struct buf query;
    struct answer a;
    int64_t num;
    bool here = cli->out_tty || cli->in_tty;

    if (!here || strlen(ref) < SHORT_MIN || !id_is_event_id(ref) || id_parse(ref, "dlv", &num))
        return 0;
    buf_init(&query, 1024);
    client_query(&query, "begin", ref);
    int rc = client_call(cli, "GET", "/api/v1/event-ids", query.data, NULL, &a);

    buf_fini(&query);
    if (rc != 0)
        return rc;
    const json_t *ids = json_object_get(a.json, "items");
    const char *first = out_string(json_array_get(ids, 0), "id");

    if (first != NULL && strcmp(first, ref) != 0)
        rc = only_one(cli, "event", ref, ids, out);
    answer_fini(&a);
    return rc;
}

bool ids_of_attempt(const char *ref, char out[IDS_MAX])
{
    const char *slash = strchr(ref, '/'), *end = NULL;
    int64_t n;

    if (strncmp(ref, "dlv_", 4) == 0 && slash != NULL && (size_t)(slash - ref) < IDS_MAX)
        end = text_digits(slash + 1, &n);
    if (end == NULL || *end || n < 1)
        return false;
    text_copy(out, (size_t)(slash - ref) + 1, ref);
    return true;
}

static int whole(struct cli *cli, const char *prefix, const char *ref, char out[IDS_MAX])
{
    size_t kind = kind_of(ref, prefix);
    bool named = strcmp(prefix, "sub") == 0; /* may be a name as well: that is not judged here */
    int64_t low, high;
    struct answer a;

    *out = '\0';
    if (kind == KINDS && strcmp(prefix, "dlv") == 0)
        return event_whole(cli, ref, out);
    if (kind == KINDS || (named && !cli->out_tty && !cli->in_tty))
        return 0;
    if (!cli->out_tty && !cli->in_tty)
        return out_fail(cli, CLI_USAGE, "usage",
                        "'%s' is not a whole id: ids may be shortened at a terminal only", ref);
    if (named && strlen(ref) < strlen("sub_") + SHORT_MIN)
        return 0;
    if (strlen(ref) < strlen(kinds[kind].prefix) + 1 + SHORT_MIN)
        return out_fail(cli, CLI_USAGE, "usage",
                        "'%s' is too short for an id: give %d characters behind the '_' or more",
                        ref, SHORT_MIN);
    if (!bound(ref, kinds[kind].prefix, '0', &low))
        return 0;
    if (!bound(ref, kinds[kind].prefix, 'Z', &high))
        high = INT64_MAX - 1;
    int rc = range_ask(cli, kind, low, high, &a);

    if (rc != 0)
        return rc;
    rc = only_one(cli, kinds[kind].noun, ref, json_object_get(a.json, "items"), out);
    answer_fini(&a);
    return rc;
}

int ids_whole(struct cli *cli, const char *prefix, const char *ref, char out[IDS_MAX])
{
    char delivery[IDS_MAX];

    if (strcmp(prefix, "dlv") != 0 || !ids_of_attempt(ref, delivery))
        return whole(cli, prefix, ref, out);
    int rc = whole(cli, prefix, delivery, out);

    if (rc == 0 && !*out)
        text_copy(out, IDS_MAX, delivery);
    return rc;
}
