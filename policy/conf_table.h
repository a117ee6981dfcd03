/* policy/conf_table.h: the table of configuration keys, for the conf_*.c files alone. */
#ifndef POLICY_CONF_TABLE_H
#define POLICY_CONF_TABLE_H

#include "policy/conf.h"

#define CONF_FILE_MAX ((size_t)1 << 20)

enum conf_type {
    CONF_TEXT,       /* free text, no control characters */
    CONF_PATH,       /* absolute */
    CONF_SOCKET,     /* absolute, as long as a unix socket's may be */
    CONF_SQLITE,     /* sqlite:///abs/path */
    CONF_LISTEN,     /* ADDRESS:PORT, [ADDRESS]:PORT, localhost:PORT */
    CONF_ADDRESS,    /* an IP address */
    CONF_TABLE_NAME, /* of SQL */
    CONF_PARTNER,    /* name, id or * */
    CONF_PROFILE,
    CONF_WORD, /* one of words[]; the field is an int-sized enum */
    CONF_BOOL,
    CONF_INT, /* the field is an int */
    CONF_NUMBER,
    CONF_DURATION,
    CONF_SIZE,
    CONF_CIDRS, /* lists from here on */
    CONF_PORTS,
    CONF_SCHEDULE,
    CONF_RETRY_ON,
    CONF_RESERVED, /* a later version's: any value is legal and ignored */
};
/* The object that `offset` counts from. */
enum conf_owner { CONF_OF_ROOT, CONF_OF_OUTBOX, CONF_OF_RETRY };

struct conf_key {
    const char *name; /* "delivery.timeout", "outbox[].url", "retry.<policy>.jitter" */
    enum conf_type type;
    enum conf_owner owner;
    size_t offset;
    size_t offset_n;  /* CIDRS: of the count */
    int64_t min, max; /* of INT, DURATION (ms), SIZE (bytes), NUMBER (whole numbers) */
    const char *def;  /* as a user would write it; NULL: none (null in YAML); "": none, made up by
                         conf_bind.c as help says */
    bool none;        /* null means "none", else null means the default */
    bool reloadable;
    const char *const *words;
    const char *help;
};
extern const struct conf_key conf_keys[];
extern const size_t conf_keys_n;

/* "delivery.timeout" -> "timeout" */
const char *conf_key_leaf(const struct conf_key *k);
bool conf_type_is_list(enum conf_type t);
/* "duration 10ms..10m", for people. */
void conf_type_text(const struct conf_key *k, struct buf *out);

/* conf_value.c (_text: conf_show.c): one key's value in its object (struct conf, conf_outbox or
 * retry_policy).
 * Text in: false, and err->text says what was expected ("must be a duration like 10s"). Lists:
 * _clear, then _set once an element. */
bool conf_value_set(const struct conf_key *k, void *object, const char *text, struct err *err);
void conf_value_clear(const struct conf_key *k, void *object); /* none, or an empty list */
bool conf_value_default(const struct conf_key *k, void *object);
/* Appends the value as YAML that _set accepts again (flow style), or as JSON. */
void conf_value_text(const struct conf_key *k, const void *object, bool json, struct buf *out);

/* A node of the file, whoever parsed it. */
enum conf_node_kind { CONF_NODE_SCALAR, CONF_NODE_LIST, CONF_NODE_MAP };
struct conf_node {
    enum conf_node_kind kind;
    const char *text; /* SCALAR */
    bool null;        /* SCALAR: plain and empty, ~ or null */
    int line, col;    /* from 1 */
    size_t n;         /* LIST: elements, MAP: pairs */
    int id;           /* the tree's own */
};

/* conf_problem.c: mistakes, collected; in the order of the file once they are sorted. */
#define CONF_PROBLEMS_MAX 100
struct conf_problems {
    const char *file;
    struct buf *out;
    int n;
    struct conf_problem_at {
        int line, col;
        size_t start, end; /* of its text in out */
    } at[CONF_PROBLEMS_MAX];
};
/* "FILE:1:1: error: text", harmless on a terminal. */
void conf_problem_line(struct buf *out, const char *file, int line, int col, const char *text);
void conf_problems_sort(struct conf_problems *p);
__attribute__((format(printf, 4, 5))) void conf_problem(struct conf_problems *p, int line, int col,
                                                        const char *fmt, ...);

/* conf_yaml.c: the text's nodes. NULL: the file is empty, or p says what is wrong with it. Free with
 * conf_tree_free(), NULL is fine; nodes and their texts live as long as the tree. */
struct conf_tree;
struct conf_tree *conf_tree_read(const char *text, size_t n, struct conf_node *root,
                                 struct conf_problems *p);
void conf_tree_free(struct conf_tree *t);
/* A child of a list (key NULL) or the i-th pair of a map. */
void conf_tree_child(const struct conf_tree *t, const struct conf_node *parent, size_t i,
                     struct conf_node *key, struct conf_node *value);

/* conf_origin.c: that key's value stands there. False: no memory. */
bool conf_origin_set(struct conf *c, const char *section, const char *leaf, int line);

/* conf_bind.c: fills c by the table. root NULL: an empty file. Problems are counted in p. */
void conf_bind(struct conf *c, const struct conf_tree *t, const struct conf_node *root,
               struct conf_problems *p);

#endif
