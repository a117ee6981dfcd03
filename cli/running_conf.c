/* cli/running_conf.c: see running_conf.h. */
#include "cli/running_conf.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/out.h"

/* The answer's "config" is what `config show -o json` writes: it is read as such. */
int running_conf(struct cli *cli, const json_t *answer, struct conf **out)
{
    /* 17 digits, as jansson has them, make 0.10000000000000001 of 0.1 */
    char *text =
        json_dumps(json_object_get(answer, "config"), JSON_COMPACT | JSON_REAL_PRECISION(15));
    struct buf problems;

    buf_init(&problems, (size_t)1 << 20);
    enum err_code rc =
        conf_parse(out, "webhookd", text ? text : "", text ? strlen(text) : 0, &problems);

    free(text);
    buf_fini(&problems);
    return rc == OK ? 0
                    : out_fail(cli, CLI_INTERNAL, "internal",
                               "the running webhookd has keys that this webhookctl does not know: "
                               "use the webhookctl of its version");
}
