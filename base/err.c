/* base/err.c: faults: a code and a line of text in the caller's struct err. Nothing is printed
 * here. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum err_code fail(struct err *e, enum err_code code, const char *fmt, ...)
{
    if (!e)
        return code;
    /* Formatted aside first: wrapping passes e->text itself as an argument. */
    char text[sizeof e->text];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0)
        text[0] = '\0';
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' '; /* one line, whatever a library put into its message */
    e->code = code;
    memcpy(e->text, text, sizeof text);
    return code;
}

const char *err_code_name(enum err_code code)
{
    switch (code) {
    case OK:
        return "ok";
    case ERR_INVALID:
        return "invalid";
    case ERR_CONFIG:
        return "config";
    case ERR_NOT_FOUND:
        return "not_found";
    case ERR_EXISTS:
        return "exists";
    case ERR_STALE:
        return "stale";
    case ERR_UNDONE:
        return "undone";
    case ERR_BUSY:
        return "busy";
    case ERR_DENIED:
        return "denied";
    case ERR_FULL:
        return "full";
    case ERR_IO:
        return "io";
    case ERR_CORRUPT:
        return "corrupt";
    case ERR_NEWER:
        return "newer";
    case ERR_NOMEM:
        return "nomem";
    case ERR_INTERNAL:
        return "internal";
    }
    return "unknown";
}

const char *errno_text(int errnum)
{
    const char *text = strerrordesc_np(errnum); /* constant strings, no locale, no buffer */
    return text ? text : "Unknown error";
}
