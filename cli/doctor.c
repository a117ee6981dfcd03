/* cli/doctor.c: what a check has seen becomes a row. */
#include "cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>

void doctor_say(struct doctor *d, const char *check, enum doctor_verdict verdict, const char *fix,
                const char *detail, ...)
{
    static const char *const words[] = {"ok", "unseen", "warn", "fail"};
    char text[8192];
    va_list ap;

    va_start(ap, detail);
    vsnprintf(text, sizeof text, detail, ap);
    va_end(ap);
    d->failed += verdict == DOCTOR_FAIL;
    d->warned += verdict == DOCTOR_WARN;
    d->unseen += verdict == DOCTOR_UNSEEN;
    json_t *item = json_pack("{s:s,s:s,s:s,s:s?}", "check", check, "result", words[verdict],
                             "detail", text, "fix", fix);

    if (item != NULL) /* else it was no UTF-8 */
        json_array_append_new(d->items, item);
}
