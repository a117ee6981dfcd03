/* test/fuzz/fuzz_conf.c: any bytes as a configuration: accepted, or every mistake has FILE:LINE:COL. What is accepted is shown,
 * and what is shown is accepted. */
#include "policy/conf.h"

#include "test/fuzz/fuzz.h"

static void lines_are_placed(char *text)
{
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        int row = 0, col = 0;

        check(sscanf(line, "f.conf:%d:%d: ", &row, &col) == 2 && row > 0 && col > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = fuzz_text(data, n);
    struct conf *c = NULL, *again = NULL;
    struct buf problems, shown;

    buf_init(&problems, (size_t)1 << 20);
    buf_init(&shown, (size_t)1 << 20);
    if (conf_parse(&c, "f.conf", text, n, &problems) == OK) {
        conf_show(c, false, &shown);
        check(!shown.failed);
        buf_clear(&problems);
        if (conf_parse(&again, "shown", shown.data, shown.len, &problems) != OK) {
            fprintf(stderr, "%s\n%s", problems.data, shown.data);
            abort();
        }
    } else {
        check(problems.len > 0);
        buf_addc(&problems, '\0');
        lines_are_placed(problems.data);
    }
    conf_free(c);
    conf_free(again);
    buf_fini(&problems);
    buf_fini(&shown);
    free(text);
    return 0;
}
