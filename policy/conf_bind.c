/* policy/conf_bind.c: walks the file's nodes and fills struct conf by the table.
 *
 * Knows mappings, lists, defaults and near words; knows neither YAML (conf_yaml.c) nor what a value
 * looks like (conf_value.c). Everything that is not in the table is an error. */
#include "policy/conf_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/id.h"
#include "base/text.h"
#include "base/url.h"

#define PAIRS_MAX 1024
#define WORDS_MAX 128
#define SHOWN_MAX 256

struct bind {
    struct conf *c;
    const struct conf_tree *t;
    struct conf_problems *p;
};
/* A mapping that is being read: its name in the table, its name for people, its struct. */
struct section {
    const char *name;  /* "outbox[]" */
    const char *shown; /* "outbox[0]" */
    void *object;
};

/* Is k "section.leaf"? leaf NULL: any. */
static bool row_of(const struct conf_key *k, const char *section, const char *leaf)
{
    size_t n = strlen(section);

    return strncmp(k->name, section, n) == 0 && k->name[n] == '.' &&
           (leaf == NULL || strcmp(k->name + n + 1, leaf) == 0);
}

static const struct conf_key *row_find(const char *section, const char *leaf)
{
    for (size_t i = 0; i < conf_keys_n; i++) {
        if (row_of(&conf_keys[i], section, leaf))
            return &conf_keys[i];
    }
    return NULL;
}

/* The row whose leaf is nearest to key, of one section or (NULL) of all. */
static const struct conf_key *row_near(const char *section, const char *key)
{
    const char *words[WORDS_MAX + 1];
    const struct conf_key *rows[WORDS_MAX];
    const char *near;
    size_t n = 0;

    for (size_t i = 0; i < conf_keys_n && n < WORDS_MAX; i++) {
        if (section == NULL || row_of(&conf_keys[i], section, NULL)) {
            rows[n] = &conf_keys[i];
            words[n++] = conf_key_leaf(&conf_keys[i]);
        }
    }
    words[n] = NULL;
    near = text_nearest(key, words);
    for (size_t i = 0; near != NULL && i < n; i++) {
        if (strcmp(words[i], near) == 0)
            return rows[i];
    }
    return NULL;
}

static const char *section_near(const char *key)
{
    static const char *const sections[] = {
        "store",       "outbox",    "listen", "delivery", "retry", "breaker", "egress",
        "dead_letter", "retention", "notify", "api",      "log",   NULL};

    return text_nearest(key, sections);
}

/* shown "" is the root. */
static void unknown_key(struct bind *b, const struct section *s, const struct conf_node *key)
{
    const struct conf_key *near = NULL;
    struct buf text;
    const char *dot = s->shown[0] == '\0' ? "" : ".";

    buf_init(&text, 2048);
    buf_addf(&text, "unknown key '%s%s", s->shown, dot);
    text_escape_terminal(&text, key->text, strnlen(key->text, 100), false);
    buf_addc(&text, '\'');
    if (s->name != NULL)
        near = row_near(s->name, key->text);
    if (near != NULL)
        buf_addf(&text, "; did you mean '%s.%s'?", s->shown, conf_key_leaf(near));
    else if (s->name == NULL && section_near(key->text) != NULL)
        buf_addf(&text, "; did you mean '%s'?", section_near(key->text));
    else if ((near = row_near(NULL, key->text)) != NULL)
        buf_addf(&text, "; did you mean '%s'?", near->name);
    conf_problem(b->p, key->line, key->col, "%s", text.data == NULL ? "unknown key" : text.data);
    buf_fini(&text);
}

static bool key_seen_before(struct bind *b, const struct conf_node *map, size_t i,
                            const struct conf_node *key)
{
    struct conf_node other, value;

    for (size_t j = 0; j < i; j++) {
        conf_tree_child(b->t, map, j, &other, &value);
        if (other.kind != CONF_NODE_SCALAR || strcmp(other.text, key->text) != 0)
            continue;
        conf_problem(b->p, key->line, key->col, "duplicate key '%s': it stands in line %d too",
                     id_is_name(key->text) ? key->text : "…", other.line);
        return true;
    }
    return false;
}

/* The i-th pair of a mapping; false (and a problem) where its key cannot be one. */
static bool pair_at(struct bind *b, const struct conf_node *map, size_t i, struct conf_node *key,
                    struct conf_node *value)
{
    conf_tree_child(b->t, map, i, key, value);
    if (key->kind != CONF_NODE_SCALAR) {
        conf_problem(b->p, key->line, key->col, "a key must be a word");
        return false;
    }
    if (i >= PAIRS_MAX) {
        if (i == PAIRS_MAX)
            conf_problem(b->p, key->line, key->col, "more than %d keys", PAIRS_MAX);
        return false;
    }
    return !key_seen_before(b, map, i, key);
}

static const char *kind_text(const struct conf_node *node)
{
    return node->kind == CONF_NODE_LIST  ? "a list"
           : node->kind == CONF_NODE_MAP ? "a mapping"
           : node->null                  ? "nothing"
                                         : "a single value";
}

static void wrong_kind(struct bind *b, const char *shown, const struct conf_node *node,
                       const struct conf_key *k)
{
    struct buf type;

    buf_init(&type, 256);
    conf_type_text(k, &type);
    conf_problem(b->p, node->line, node->col, "'%s.%s' must be %s, not %s", shown, conf_key_leaf(k),
                 type.data == NULL ? "" : type.data, kind_text(node));
    buf_fini(&type);
}

static void set_scalar(struct bind *b, const struct section *s, const struct conf_key *k,
                       const struct conf_node *node)
{
    struct err err;

    if (!conf_value_set(k, s->object, node->text, &err))
        conf_problem(b->p, node->line, node->col, "'%s.%s' %s", s->shown, conf_key_leaf(k),
                     err.text);
}

static void set_list(struct bind *b, const struct section *s, const struct conf_key *k,
                     const struct conf_node *list)
{
    struct conf_node value;

    conf_value_clear(k, s->object);
    if (k->type == CONF_PORTS && list->n == 0)
        conf_problem(b->p, list->line, list->col,
                     "'%s.%s' would allow no port at all; ~ allows all but the blocked ones",
                     s->shown, conf_key_leaf(k));
    for (size_t i = 0; i < list->n; i++) {
        conf_tree_child(b->t, list, i, NULL, &value);
        if (value.kind != CONF_NODE_SCALAR || value.null)
            wrong_kind(b, s->shown, &value, k);
        else
            set_scalar(b, s, k, &value);
    }
}

static void set_value(struct bind *b, const struct section *s, const struct conf_key *k,
                      const struct conf_node *node)
{
    if (k->type == CONF_RESERVED)
        return;
    if (!conf_origin_set(b->c, s->shown, conf_key_leaf(k), node->line))
        conf_problem(b->p, node->line, node->col, "no memory for '%s.%s'", s->shown,
                     conf_key_leaf(k));
    if (node->kind == CONF_NODE_SCALAR && node->null) {
        if (k->none)
            conf_value_clear(k, s->object);
        else
            conf_value_default(k, s->object);
    } else if (conf_type_is_list(k->type) && node->kind == CONF_NODE_LIST) {
        set_list(b, s, k, node);
    } else if (node->kind != CONF_NODE_SCALAR ||
               (conf_type_is_list(k->type) && k->type != CONF_RETRY_ON)) {
        wrong_kind(b, s->shown, node, k);
    } else {
        if (k->type == CONF_RETRY_ON)
            conf_value_clear(k, s->object);
        set_scalar(b, s, k, node);
    }
}

static void bind_section(struct bind *b, const struct section *s, const struct conf_node *map)
{
    struct conf_node key, value;

    if (map->kind == CONF_NODE_SCALAR && map->null)
        return;
    if (map->kind != CONF_NODE_MAP) {
        conf_problem(b->p, map->line, map->col, "'%s' must be a mapping, not %s", s->shown,
                     kind_text(map));
        return;
    }
    for (size_t i = 0; i < map->n; i++) {
        const struct conf_key *k;

        if (!pair_at(b, map, i, &key, &value))
            continue;
        k = row_find(s->name, key.text);
        if (k == NULL)
            unknown_key(b, s, &key);
        else
            set_value(b, s, k, &value);
    }
}

static void defaults(struct bind *b, enum conf_owner owner, void *object)
{
    for (size_t i = 0; i < conf_keys_n; i++) {
        if (conf_keys[i].owner != owner || conf_keys[i].type == CONF_RESERVED)
            continue;
        if (!conf_value_default(&conf_keys[i], object))
            conf_problem(b->p, 1, 1, "'%s': no memory for its default", conf_keys[i].name);
    }
}

/* ---- outboxes ---- */

/* Is the key there with a value, be it right or wrong? */
static bool has_value(struct bind *b, const struct conf_node *map, const char *name)
{
    struct conf_node key, value;

    for (size_t i = 0; map->kind == CONF_NODE_MAP && i < map->n && i < PAIRS_MAX; i++) {
        conf_tree_child(b->t, map, i, &key, &value);
        if (key.kind == CONF_NODE_SCALAR && strcmp(key.text, name) == 0)
            return value.kind != CONF_NODE_SCALAR || !value.null;
    }
    return false;
}

/* Each unlinks what it finds and binds its own: the last one would have it. */
static void doorbell_check(struct bind *b, const struct conf_outbox *o, const char *shown,
                           const struct conf_node *at)
{
    bool taken = o->doorbell != NULL && b->c->listen_socket != NULL &&
                 strcmp(o->doorbell, b->c->listen_socket) == 0;

    for (struct conf_outbox *other = b->c->outbox; other < o && o->doorbell != NULL; other++)
        taken |= other->doorbell != NULL && strcmp(other->doorbell, o->doorbell) == 0;
    if (taken)
        conf_problem(b->p, at->line, at->col,
                     "'%s.doorbell' is another socket's path: give it one of its own", shown);
}

/* What depends on the other ones: its name, and that no two are one. */
static void outbox_check(struct bind *b, struct conf_outbox *o, const char *shown,
                         const struct conf_node *at)
{
    doorbell_check(b, o, shown, at);
    if (o->url == NULL) {
        if ((at->kind == CONF_NODE_MAP || at->null) && !has_value(b, at, "url"))
            conf_problem(b->p, at->line, at->col, "'%s.url' is missing", shown);
        return;
    }
    if (o->name == NULL)
        o->name = strdup(url_sqlite_path(o->url)); /* the table has judged it */
    for (struct conf_outbox *other = b->c->outbox; other < o; other++) {
        if (other->url == NULL || other->name == NULL || o->name == NULL)
            continue;
        if (strcmp(other->url, o->url) == 0 && strcmp(other->table, o->table) == 0)
            conf_problem(b->p, at->line, at->col, "'%s' is the same table as another outbox",
                         shown);
        else if (strcmp(other->name, o->name) == 0)
            conf_problem(b->p, at->line, at->col,
                         "'%s.name' is taken by another outbox: give each a name of its own",
                         shown);
    }
    if (b->c->store_url != NULL && strcmp(b->c->store_url, o->url) == 0)
        conf_problem(b->p, at->line, at->col,
                     "'%s.url' is store.url: an outbox is a database of its own", shown);
}

static void bind_outboxes(struct bind *b, const struct conf_node *list)
{
    char shown[SHOWN_MAX];
    struct conf_node item;

    if (list->kind != CONF_NODE_LIST) {
        conf_problem(b->p, list->line, list->col, "'outbox' must be a list, not %s: - url: …",
                     kind_text(list));
        return;
    }
    for (size_t i = 0; i < list->n; i++) {
        conf_tree_child(b->t, list, i, NULL, &item);
        if (i == CONF_OUTBOXES_MAX) {
            conf_problem(b->p, item.line, item.col, "more than %d outboxes", CONF_OUTBOXES_MAX);
            return;
        }
        snprintf(shown, sizeof(shown), "outbox[%zu]", i);
        struct conf_outbox *o = &b->c->outbox[b->c->outbox_n++];
        const struct section s = {"outbox[]", shown, o};
        defaults(b, CONF_OF_OUTBOX, o);
        bind_section(b, &s, &item);
        outbox_check(b, o, shown, &item);
    }
}

/* For producers without a database of their own. */
static void outbox_default(struct bind *b)
{
    static const struct conf_node at = {.kind = CONF_NODE_SCALAR, .line = 1, .col = 1};
    struct conf_outbox *o = &b->c->outbox[b->c->outbox_n++];
    const char *slash = strrchr(b->c->store_url, '/');
    struct buf url;

    defaults(b, CONF_OF_OUTBOX, o);
    buf_init(&url, 8192);
    buf_add(&url, b->c->store_url, (size_t)(slash - b->c->store_url));
    buf_adds(&url, "/outbox.db");
    o->url = buf_take(&url);
    outbox_check(b, o, "outbox[0]", &at);
}

/* ---- retry policies ---- */

static struct retry_policy *policy_named(struct bind *b, const char *name)
{
    struct retry_policy *p;

    for (size_t i = 0; i < b->c->retry_n; i++) {
        if (strcmp(b->c->retry[i].name, name) == 0)
            return &b->c->retry[i];
    }
    if (b->c->retry_n == CONF_POLICIES_MAX)
        return NULL;
    p = &b->c->retry[b->c->retry_n++];
    retry_policy_default(p);
    text_copy(p->name, sizeof(p->name), name);
    return p;
}

/* A schedule ends with its last delay unless max_retries stands beside it. */
static void policy_length(struct bind *b, struct retry_policy *p, const struct conf_node *map)
{
    if (p->schedule_n > 0 && has_value(b, map, "schedule") && !has_value(b, map, "max_retries"))
        p->max_retries = p->schedule_n;
}

/* "retry: {max_retries: 3}": a member where a policy's name belongs. */
static void policy_misplaced(struct bind *b, const struct conf_node *key)
{
    const struct conf_key *near = row_near("retry.<policy>", key->text);
    struct buf name;

    buf_init(&name, 1024);
    text_escape_terminal(&name, key->text, strnlen(key->text, 100), false);
    if (near != NULL)
        conf_problem(b->p, key->line, key->col,
                     "unknown key 'retry.%s'; did you mean 'retry.default.%s'?",
                     name.data == NULL ? "" : name.data, conf_key_leaf(near));
    else
        conf_problem(
            b->p, key->line, key->col,
            "unknown key 'retry.%s'; a policy is a mapping, like default: {max_retries: 5}",
            name.data == NULL ? "" : name.data);
    buf_fini(&name);
}

static void bind_policy(struct bind *b, const struct conf_node *key, const struct conf_node *value)
{
    char shown[SHOWN_MAX];
    struct retry_policy *p;

    if (value->kind == CONF_NODE_SCALAR && !value->null) {
        policy_misplaced(b, key);
        return;
    }
    if (!id_is_name(key->text)) {
        conf_problem(b->p, key->line, key->col,
                     "a retry policy's name is 1 to 64 letters, digits, _ . or -");
        return;
    }
    p = policy_named(b, key->text);
    if (p == NULL) {
        conf_problem(b->p, key->line, key->col, "more than %d retry policies", CONF_POLICIES_MAX);
        return;
    }
    snprintf(shown, sizeof(shown), "retry.%s", p->name);
    const struct section s = {"retry.<policy>", shown, p};
    bind_section(b, &s, value);
    policy_length(b, p, value);
}

static void bind_policies(struct bind *b, const struct conf_node *map)
{
    struct conf_node key, value;

    if (map->kind != CONF_NODE_MAP) {
        conf_problem(b->p, map->line, map->col, "'retry' must be a mapping of policies, not %s",
                     kind_text(map));
        return;
    }
    for (size_t i = 0; i < map->n; i++) {
        if (pair_at(b, map, i, &key, &value))
            bind_policy(b, &key, &value);
    }
}

/* ---- the whole ---- */

static void policies_builtin(struct conf *c)
{
    retry_policy_default(&c->retry[0]);
    retry_policy_bondbricks(&c->retry[1]);
    c->retry_n = 2;
}

/* Each loop has room for one at least. at: the section. */
static void threads_check(const struct bind *b, const struct conf_node *at)
{
    if (b->c->threads > b->c->max_in_flight)
        conf_problem(b->p, at->line, at->col,
                     "'delivery.threads' is %d, more than 'delivery.max_in_flight', %d",
                     b->c->threads, b->c->max_in_flight);
}

static void bind_root(struct bind *b, const struct conf_node *root)
{
    const struct section top = {NULL, "", b->c};
    struct conf_node key, value, outboxes = {.null = true};

    for (size_t i = 0; i < root->n; i++) {
        if (!pair_at(b, root, i, &key, &value))
            continue;
        bool null = value.kind == CONF_NODE_SCALAR && value.null;
        if (strcmp(key.text, "outbox") == 0) {
            outboxes = value; /* last: it is compared with store.url */
        } else if (strcmp(key.text, "retry") == 0) {
            if (!null)
                bind_policies(b, &value);
        } else if (strchr(key.text, '[') == NULL && row_find(key.text, NULL) != NULL &&
                   strchr(key.text, '.') == NULL) {
            const struct section s = {key.text, key.text, b->c};
            bind_section(b, &s, &value);
            if (strcmp(key.text, "delivery") == 0)
                threads_check(b, &key);
        } else {
            unknown_key(b, &top, &key);
        }
    }
    if (outboxes.kind == CONF_NODE_SCALAR && outboxes.null)
        outbox_default(b);
    else
        bind_outboxes(b, &outboxes);
}

void conf_bind(struct conf *c, const struct conf_tree *t, const struct conf_node *root,
               struct conf_problems *p)
{
    struct bind b = {.c = c, .t = t, .p = p};
    static const struct conf_node nothing = {.kind = CONF_NODE_MAP, .n = 0};

    defaults(&b, CONF_OF_ROOT, c);
    policies_builtin(c);
    if (p->n > 0) /* no memory for the defaults */
        return;
    if (root == NULL || (root->kind == CONF_NODE_SCALAR && root->null))
        root = &nothing;
    if (root->kind != CONF_NODE_MAP) {
        conf_problem(p, root->line, root->col,
                     "the file must be a mapping of sections (store:, outbox:, …), not %s",
                     kind_text(root));
        return;
    }
    bind_root(&b, root);
}
