/* policy/conf_socket.c: where webhookd listens, as far as a file with mistakes still says so: a webhookd
 * that runs well is not out of reach because somebody has mistyped a key meanwhile.
 *
 * Never a guess: another webhookd may listen at another path. The default holds only where nothing in
 * the file may have meant something else. */
#include "policy/conf_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const char section[] = "listen", key_name[] = "listen.socket";

static const struct conf_key *row_of(const char *name)
{
    for (size_t i = 0; i < conf_keys_n; i++) {
        if (strcmp(conf_keys[i].name, name) == 0)
            return &conf_keys[i];
    }
    return NULL;
}

/* The value of a key. False: it stands there twice, or is not there and another may be meant for it. */
static bool value_of(const struct conf_tree *t, const struct conf_node *map, const char *name,
                     struct conf_node *out)
{
    const char *const words[] = {name, NULL};
    struct conf_node key, value;
    bool found = false, twice = false, near = false;

    for (size_t i = 0; i < map->n; i++) {
        conf_tree_child(t, map, i, &key, &value);
        bool is_it = key.kind == CONF_NODE_SCALAR && strcmp(key.text, name) == 0;

        twice |= is_it && found;
        near |= key.kind != CONF_NODE_SCALAR || text_nearest(key.text, words) != NULL;
        if (is_it) {
            *out = value;
            found = true;
        }
    }
    return found ? !twice : !near;
}

/* NULL: it cannot be known. */
static char *socket_in(const struct conf_tree *t, const struct conf_node *root)
{
    const struct conf_key *row = row_of(key_name);
    struct conf_node listen = {.kind = CONF_NODE_SCALAR, .null = true}, value = listen;
    struct conf *c = calloc(1, sizeof *c);
    char *path = NULL;
    struct err err;

    if (c == NULL || row == NULL || root->kind != CONF_NODE_MAP ||
        !value_of(t, root, section, &listen))
        goto out;
    if (listen.kind == CONF_NODE_MAP && !value_of(t, &listen, conf_key_leaf(row), &value))
        goto out;
    if (listen.kind != CONF_NODE_MAP && !listen.null)
        goto out;
    if (value.kind != CONF_NODE_SCALAR ||
        !(value.null ? conf_value_default(row, c) : conf_value_set(row, c, value.text, &err)))
        goto out;
    path = c->listen_socket;
    c->listen_socket = NULL;
out:
    conf_free(c);
    return path;
}

/* The lines of the section alone, where the whole is no YAML: from "listen:" to the next line that is
 * not indented. False: there is no such one, or more than one. */
static bool section_find(const char *text, size_t n, size_t *start, size_t *end)
{
    size_t len = strlen(section), found = 0;
    bool inside = false;

    for (size_t at = 0; at < n;) {
        const char *newline = memchr(text + at, '\n', n - at);
        size_t next = newline ? (size_t)(newline - text) + 1 : n;
        bool begins = n - at > len && memcmp(text + at, section, len) == 0 && text[at + len] == ':';

        if (begins && found++ == 0) {
            *start = at;
            inside = true;
        } else if (inside && strchr(" \t\r\n#", text[at]) == NULL) {
            inside = false;
        }
        if (inside)
            *end = next;
        at = next;
    }
    return found == 1;
}

static struct conf_tree *tree_of(const char *text, size_t n, struct conf_node *root)
{
    struct buf problems;
    struct conf_problems p = {.file = "", .out = &problems};

    buf_init(&problems, (size_t)1 << 20);
    struct conf_tree *tree = conf_tree_read(text, n, root, &p);

    buf_fini(&problems);
    return tree;
}

char *conf_socket(const char *file)
{
    struct buf text;
    struct conf_node root = {.kind = CONF_NODE_MAP};
    struct conf_tree *tree = NULL;
    size_t start = 0, end = 0;
    char *path = NULL;
    struct err err;

    buf_init(&text, CONF_FILE_MAX);
    if (text_read_file(file, CONF_FILE_MAX, &text, &err) == OK && text.len > 0) {
        tree = tree_of(text.data, text.len, &root);
        if (tree == NULL && section_find(text.data, text.len, &start, &end))
            tree = tree_of(text.data + start, end - start, &root);
        bool silent = strstr(text.data, section) == NULL &&
                      strstr(text.data, conf_key_leaf(row_of(key_name))) == NULL;

        if (tree != NULL || silent)
            path = socket_in(tree, &root);
    }
    conf_tree_free(tree);
    buf_fini(&text);
    return path;
}
