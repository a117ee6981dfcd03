/* engine/reload.c: see reload.h. */
#include "engine/reload.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum { CA_FILE_MAX_BYTES = 16 << 20 };

enum err_code reload_ca_file(const struct conf *conf, struct err *err)
{
    struct buf text;

    if (conf->ca_file == NULL)
        return OK;
    buf_init(&text, CA_FILE_MAX_BYTES);
    enum err_code rc = text_read_file(conf->ca_file, CA_FILE_MAX_BYTES, &text, err);

    if (rc != OK)
        rc = fail(err, ERR_CONFIG, "delivery.ca_file: %s", err->text);
    else if (text.data == NULL || strstr(text.data, "CERTIFICATE-----") == NULL)
        rc = fail(err, ERR_CONFIG, "delivery.ca_file: no certificate in %s: PEM is wanted",
                  conf->ca_file);
    buf_fini(&text);
    return rc;
}

struct reload *reload_read(const struct conf *now, const char *file)
{
    struct reload *r = calloc(1, sizeof *r);
    struct err err;

    if (r == NULL)
        return NULL;
    buf_init(&r->problems, 65536);
    if (conf_load(&r->next, file, &r->problems) != OK) {
        r->next = NULL;
        return r;
    }
    r->restart = !conf_reload_check(now, r->next, &r->problems);
    bool usable = reload_ca_file(r->next, &err) == OK;
    if (!usable) {
        buf_addf(&r->problems, "error: %s\n", err.text);
        r->restart = false; /* a restart would not do either */
    }
    if (r->problems.len > 0) {
        conf_free(r->next);
        r->next = NULL;
    }
    return r;
}

void reload_free(struct reload *r)
{
    if (r == NULL)
        return;
    conf_free(r->next);
    buf_fini(&r->problems);
    free(r);
}
