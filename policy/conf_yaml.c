/* policy/conf_yaml.c: the file's text as nodes with their line and column; the only user of
 * libyaml.
 *
 * Three passes: bytes (UTF-8, no NUL), events (syntax, and what we refuse: aliases and anchors,
 * tags, depth, a second document), then libyaml's document, which conf_bind.c walks. Aliases are refused
 * because a few lines of them unfold to gigabytes, and a configuration needs none. */
#include "policy/conf_table.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "base/text.h"

/* libyaml's time grows with the square of the depth: a megabyte of brackets takes it minutes. */
enum { DEPTH_MAX = 32 };

struct conf_tree {
    yaml_document_t document;
};

/* Line and column (in characters) of a byte. */
static void position(const char *text, size_t at, int *line, int *col)
{
    *line = 1;
    *col = 1;
    for (size_t i = 0; i < at; i++) {
        if (text[i] == '\n') {
            ++*line;
            *col = 1;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
            ++*col;
        }
    }
}

/* The first byte that is NUL or no UTF-8; n where there is none. */
static size_t bad_byte(const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)text[i];
        size_t length = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

        if (c == 0 || i + length > n || (c >= 0x80 && !text_is_utf8(text + i, length)))
            return i;
        i += length;
    }
    return n;
}

static bool bytes_check(const char *text, size_t n, struct conf_problems *p)
{
    size_t at = bad_byte(text, n);
    int line, col;

    if (at == n)
        return true;
    position(text, at, &line, &col);
    conf_problem(p, line, col, text[at] == '\0' ? "a NUL byte: this is no text file" : "not UTF-8");
    return false;
}

static bool is_json(const char *text, size_t n)
{
    size_t first = 0;

    while (first < n && strchr(" \t\r\n", text[first]) != NULL)
        first++;
    return first < n && text[first] == '{';
}

/* "\uXXXX" with XXXX in low..high? */
static bool unit_at(const char *text, size_t n, unsigned low, unsigned high, unsigned *out)
{
    char digits[5] = {0};

    if (n < 6 || text[0] != '\\' || text[1] != 'u')
        return false;
    memcpy(digits, text + 2, 4);
    if (strspn(digits, "0123456789abcdefABCDEF") != 4)
        return false;
    *out = (unsigned)strtoul(digits, NULL, 16);
    return *out >= low && *out <= high;
}

#define PAIR_BYTES 12 /* two units of UTF-16, as JSON has them */

static bool pair_escaped(const char *text, size_t n, unsigned *out)
{
    unsigned high, low;

    if (n < PAIR_BYTES || !unit_at(text, n, 0xd800, 0xdbff, &high) ||
        !unit_at(text + 6, n - 6, 0xdc00, 0xdfff, &low))
        return false;
    *out = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

/* What JSON has and YAML 1.1 has not: tabs between its parts become blanks, and a pair of surrogates
 * becomes YAML's "\UXXXXXXXX". That is shorter by two: the string is followed by as many blanks, so
 * that columns stay right. NULL: not JSON, or no memory for it. */
static char *json_as_yaml(const char *text, size_t n)
{
    struct buf out;
    bool quoted = false;
    size_t owed = 0;
    unsigned code;

    if (!is_json(text, n))
        return NULL;
    buf_init(&out, n + 1);
    for (size_t i = 0; i < n; i++) {
        if (quoted && pair_escaped(text + i, n - i, &code)) {
            buf_addf(&out, "\\U%08X", code);
            owed += PAIR_BYTES - strlen("\\UXXXXXXXX");
            i += PAIR_BYTES - 1;
        } else if (quoted && text[i] == '\\' && i + 1 < n) {
            buf_add(&out, text + i++, 2);
        } else {
            buf_addc(&out, (char)(text[i] == '\t' && !quoted ? ' ' : text[i]));
            quoted = quoted != (text[i] == '"');
            for (; !quoted && owed > 0; owed--)
                buf_addc(&out, ' ');
        }
    }
    for (; owed > 0; owed--)
        buf_addc(&out, ' ');
    if (out.failed || out.len != n)
        buf_fini(&out);
    return buf_take(&out);
}

static void parser_open(yaml_parser_t *parser, const char *text, size_t n)
{
    if (!yaml_parser_initialize(parser))
        abort(); /* it only allocates a few buffers, at start or reload */
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(parser, (const unsigned char *)text, n);
}

static void syntax_problem(const yaml_parser_t *parser, const char *text, size_t n,
                           struct conf_problems *p)
{
    const char *problem = parser->problem == NULL ? "unreadable" : parser->problem;
    int line = (int)parser->problem_mark.line + 1, col = (int)parser->problem_mark.column + 1;

    if (parser->error == YAML_READER_ERROR)
        position(text, parser->problem_offset < n ? parser->problem_offset : n, &line, &col);
    if (parser->context == NULL)
        conf_problem(p, line, col, "YAML: %s", problem);
    else
        conf_problem(p, line, col, "YAML: %s %s", parser->context, problem);
}

/* Even YAML's own ones: a value's type is what the table says. */
static bool has_tag(const yaml_event_t *e)
{
    return (e->type == YAML_SCALAR_EVENT && e->data.scalar.tag != NULL) ||
           (e->type == YAML_SEQUENCE_START_EVENT && e->data.sequence_start.tag != NULL) ||
           (e->type == YAML_MAPPING_START_EVENT && e->data.mapping_start.tag != NULL);
}

/* How an event changes the depth of nesting. */
static int deeper(const yaml_event_t *e)
{
    if (e->type == YAML_SEQUENCE_START_EVENT || e->type == YAML_MAPPING_START_EVENT)
        return 1;
    return e->type == YAML_SEQUENCE_END_EVENT || e->type == YAML_MAPPING_END_EVENT ? -1 : 0;
}

static bool has_anchor(const yaml_event_t *e)
{
    return e->type == YAML_ALIAS_EVENT ||
           (e->type == YAML_SCALAR_EVENT && e->data.scalar.anchor != NULL) ||
           (e->type == YAML_SEQUENCE_START_EVENT && e->data.sequence_start.anchor != NULL) ||
           (e->type == YAML_MAPPING_START_EVENT && e->data.mapping_start.anchor != NULL);
}

/* A scalar may hold a NUL that was written as an escape ("\0"): C strings would end there. */
static bool has_nul(const yaml_event_t *e)
{
    return e->type == YAML_SCALAR_EVENT &&
           memchr(e->data.scalar.value, 0, e->data.scalar.length) != NULL;
}

static bool events_check(const char *text, size_t n, struct conf_problems *p)
{
    yaml_parser_t parser;
    yaml_event_t e;
    int documents = 0, depth = 0, before = p->n;
    bool end = false;

    parser_open(&parser, text, n);
    while (!end) {
        if (!yaml_parser_parse(&parser, &e)) {
            syntax_problem(&parser, text, n, p);
            break;
        }
        int line = (int)e.start_mark.line + 1, col = (int)e.start_mark.column + 1;
        end = e.type == YAML_STREAM_END_EVENT;
        if (has_anchor(&e))
            conf_problem(p, line, col, "YAML anchors and aliases are not supported here");
        if (has_tag(&e))
            conf_problem(p, line, col, "YAML tags are not supported here");
        if (has_nul(&e))
            conf_problem(p, line, col, "a NUL character in a value");
        if (e.type == YAML_DOCUMENT_START_EVENT && ++documents == 2) {
            conf_problem(p, line, col, "a second document: the file must be one");
            end = true;
        }
        depth += deeper(&e);
        if (depth > DEPTH_MAX) {
            conf_problem(p, line, col, "nested deeper than %d levels", DEPTH_MAX);
            end = true;
        }
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&parser);
    return p->n == before;
}

static bool is_null(const yaml_node_t *node)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    const char *text = (const char *)node->data.scalar.value;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0)
            return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    }
    return false;
}

static void node_view(const yaml_node_t *node, int id, struct conf_node *out)
{
    memset(out, 0, sizeof(*out));
    out->line = (int)node->start_mark.line + 1;
    out->col = (int)node->start_mark.column + 1;
    out->id = id;
    if (node->type == YAML_SEQUENCE_NODE) {
        out->kind = CONF_NODE_LIST;
        out->n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    } else if (node->type == YAML_MAPPING_NODE) {
        out->kind = CONF_NODE_MAP;
        out->n = (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    } else {
        out->kind = CONF_NODE_SCALAR;
        out->text = (const char *)node->data.scalar.value;
        out->null = is_null(node);
    }
}

/* libyaml's getter takes a document that it could change; it does not. */
static const yaml_node_t *node_get(const struct conf_tree *t, int id)
{
    return t->document.nodes.start + id - 1;
}

void conf_tree_child(const struct conf_tree *t, const struct conf_node *parent, size_t i,
                     struct conf_node *key, struct conf_node *value)
{
    const yaml_node_t *node = node_get(t, parent->id);

    if (parent->kind == CONF_NODE_LIST) {
        int id = node->data.sequence.items.start[i];

        node_view(node_get(t, id), id, value);
        return;
    }
    const yaml_node_pair_t *pair = &node->data.mapping.pairs.start[i];
    if (key != NULL)
        node_view(node_get(t, pair->key), pair->key, key);
    node_view(node_get(t, pair->value), pair->value, value);
}

static struct conf_tree *document_read(const char *text, size_t n, struct conf_node *root,
                                       struct conf_problems *p)
{
    struct conf_tree *tree = calloc(1, sizeof(*tree));
    yaml_parser_t parser;

    if (tree == NULL) {
        conf_problem(p, 1, 1, "no memory");
        return NULL;
    }
    parser_open(&parser, text, n);
    bool loaded = yaml_parser_load(&parser, &tree->document) != 0;
    if (!loaded)
        syntax_problem(&parser, text, n, p);
    yaml_parser_delete(&parser);
    if (loaded && yaml_document_get_root_node(&tree->document) != NULL) {
        node_view(node_get(tree, 1), 1, root);
        return tree;
    }
    if (loaded)
        yaml_document_delete(&tree->document);
    free(tree);
    return NULL;
}

struct conf_tree *conf_tree_read(const char *text, size_t n, struct conf_node *root,
                                 struct conf_problems *p)
{
    static const char mark[] = "\xef\xbb\xbf"; /* byte order: no column of the file */
    struct conf_tree *tree = NULL;

    if (n >= strlen(mark) && memcmp(text, mark, strlen(mark)) == 0) {
        text += strlen(mark);
        n -= strlen(mark);
    }
    if (!bytes_check(text, n, p))
        return NULL;
    char *json = json_as_yaml(text, n);
    if (events_check(json == NULL ? text : json, n, p))
        tree = document_read(json == NULL ? text : json, n, root, p);
    free(json);
    return tree;
}

void conf_tree_free(struct conf_tree *t)
{
    if (t != NULL)
        yaml_document_delete(&t->document);
    free(t);
}
