/* policy/conf_origin.c: where each value of a configuration comes from: a line of its file, or the
 * table's default. */
#include "policy/conf_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_MIN 64

struct conf_origin {
    char key[192]; /* "retry.bondbricks.jitter" */
    int line;
};

bool conf_origin_set(struct conf *c, const char *section, const char *leaf, int line)
{
    if (c->origins_n == c->origins_room) {
        size_t room = c->origins_room == 0 ? ROOM_MIN : 2 * c->origins_room;
        struct conf_origin *more = realloc(c->origins, room * sizeof *more);

        if (more == NULL)
            return false;
        c->origins = more;
        c->origins_room = room;
    }
    struct conf_origin *o = &c->origins[c->origins_n++];

    snprintf(o->key, sizeof o->key, "%s.%s", section, leaf);
    o->line = line;
    return true;
}

static int line_of(const struct conf *c, const char *key)
{
    for (size_t i = 0; i < c->origins_n; i++) {
        if (strcmp(c->origins[i].key, key) == 0)
            return c->origins[i].line;
    }
    return 0;
}

static void object(const struct conf *c, enum conf_owner owner, const char *where, const void *of,
                   conf_origin_fn *fn, void *arg)
{
    for (size_t i = 0; i < conf_keys_n; i++) {
        const struct conf_key *k = &conf_keys[i];
        char key[sizeof(((struct conf_origin *)NULL)->key)];
        struct buf value;

        if (k->owner != owner || k->type == CONF_RESERVED)
            continue;
        if (where == NULL)
            snprintf(key, sizeof key, "%s", k->name);
        else
            snprintf(key, sizeof key, "%s.%s", where, conf_key_leaf(k));
        buf_init(&value, 1 << 16);
        conf_value_text(k, of, false, &value);
        fn(arg, key, value.data != NULL ? value.data : "", line_of(c, key));
        buf_fini(&value);
    }
}

void conf_origins(const struct conf *c, conf_origin_fn *fn, void *arg)
{
    char where[96];

    object(c, CONF_OF_ROOT, NULL, c, fn, arg);
    for (size_t i = 0; i < c->outbox_n; i++) {
        snprintf(where, sizeof where, "outbox[%zu]", i);
        object(c, CONF_OF_OUTBOX, where, &c->outbox[i], fn, arg);
    }
    for (size_t i = 0; i < c->retry_n; i++) {
        snprintf(where, sizeof where, "retry.%s", c->retry[i].name);
        object(c, CONF_OF_RETRY, where, &c->retry[i], fn, arg);
    }
}
