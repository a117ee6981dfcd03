/* policy/conf.c: a configuration's life: parsed from a file or text, freed.
 *
 *   text ─▶ conf_yaml.c ─▶ nodes with line and column ─▶ conf_bind.c (by the table) ─▶ struct conf
 *
 * Mistakes are collected, not thrown: somebody who edits a file at night wants them all at once. */
#include "policy/conf_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum err_code conf_parse(struct conf **out, const char *file, const char *text, size_t n,
                         struct buf *problems)
{
    struct conf_problems p = {.file = file, .out = problems};
    struct conf *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        conf_problem(&p, 1, 1, "no memory");
        return ERR_NOMEM;
    }
    struct conf_node root;
    struct conf_tree *tree = conf_tree_read(text, n, &root, &p);
    if (p.n == 0)
        conf_bind(c, tree, tree != NULL ? &root : NULL, &p);
    conf_tree_free(tree);
    if (p.n > 0) {
        conf_problems_sort(&p);
        conf_free(c);
        return ERR_CONFIG;
    }
    *out = c;
    return OK;
}

enum err_code conf_load(struct conf **out, const char *file, struct buf *problems)
{
    struct buf text;
    struct err err;
    enum err_code rc = ERR_CONFIG;

    buf_init(&text, CONF_FILE_MAX);
    if (text_read_file(file, CONF_FILE_MAX, &text, &err) == OK)
        rc = conf_parse(out, file, text.data == NULL ? "" : text.data, text.len, problems);
    else
        conf_problem_line(problems, file, 1, 1, err.text);
    buf_fini(&text);
    return rc;
}

void conf_free(struct conf *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->outbox_n; i++) {
        struct conf_outbox *o = &c->outbox[i];

        free(o->url);
        free(o->name);
        free(o->table);
        free(o->partner);
        free(o->source);
        free(o->version);
        free(o->doorbell);
    }
    free(c->store_url);
    free(c->encryption_key_file);
    free(c->listen_socket);
    free(c->listen_http);
    free(c->profile);
    free(c->source_address);
    free(c->ca_file);
    free(c->origins);
    free(c);
}

const struct retry_policy *conf_retry(const struct conf *c, const char *name)
{
    for (size_t i = 0; name != NULL && i < c->retry_n; i++) {
        if (strcmp(c->retry[i].name, name) == 0)
            return &c->retry[i];
    }
    return NULL;
}
