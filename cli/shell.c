/* cli/shell.c: see shell.h. */
#include "cli/shell.h"

#include <string.h>

static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                            "_@%+=:,./-";

void shell_word(struct buf *out, const char *text)
{
    if (*text != '\0' && text[strspn(text, plain)] == '\0') {
        buf_adds(out, text);
        return;
    }
    buf_addc(out, '\'');
    for (; *text; text++) {
        if (*text == '\'')
            buf_adds(out, "'\\''");
        else
            buf_addc(out, *text);
    }
    buf_addc(out, '\'');
}
