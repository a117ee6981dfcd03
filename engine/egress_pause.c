/* engine/egress_pause.c: the kill switch as a value of the store's meta:
 *
 *   "1 SINCE_MS RESUME_AT_MS\nACTOR\nNOTE"          the note comes last: it may hold line breaks */
#include "engine/egress_pause.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"

enum { VALUE_MAX = 64 + sizeof(((struct egress_pause *)0)->actor) + EGRESS_NOTE_MAX + 2 };
static const char KEY[] = "egress_pause";

/* A number and the byte behind it; NULL: it is not there. */
static const char *number(const char *at, char end, int64_t *out)
{
    at = at != NULL ? text_digits(at, out) : NULL;
    return at != NULL && *at == end ? at + 1 : NULL;
}

enum err_code egress_pause_read(struct backend *b, struct egress_pause *out, struct err *err)
{
    char value[VALUE_MAX];
    int64_t paused = 0;

    memset(out, 0, sizeof *out);
    enum err_code rc = b->ops->meta_get(b, KEY, value, sizeof value, err);
    if (rc == ERR_NOT_FOUND)
        return OK;
    if (rc != OK)
        return rc;
    const char *at = number(value, ' ', &paused);
    at = number(at, ' ', &out->since_ms);
    at = number(at, '\n', &out->resume_at_ms);
    const char *note = at != NULL ? strchr(at, '\n') : NULL;
    if (note == NULL)
        return fail(err, ERR_CORRUPT, "store: meta %s is not readable", KEY);
    out->paused = paused != 0;
    (void)snprintf(out->actor, sizeof out->actor, "%.*s", (int)(note - at), at);
    text_copy(out->note, sizeof out->note, note + 1);
    return OK;
}

enum err_code egress_pause_write(struct backend *b, const struct egress_pause *p, struct err *err)
{
    char value[VALUE_MAX];

    (void)snprintf(value, sizeof value, "%d %lld %lld\n%.*s\n%s", p->paused, (long long)p->since_ms,
                   (long long)p->resume_at_ms, (int)strcspn(p->actor, "\n"), p->actor, p->note);
    return b->ops->meta_set(b, KEY, value, err);
}
