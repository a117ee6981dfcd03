/* base/url.h: the one URL parser (libcurl's CURLU), for guard, request and CLI alike; and the one
 * reader of our own sqlite:// URLs. */
#ifndef BASE_URL_H
#define BASE_URL_H

#include <stdint.h>

#include "base/err.h"

struct url {
    char *whole;  /* normalised, as it will be requested */
    char *scheme; /* "http" | "https" */
    char *host;   /* lower case, no brackets, no trailing dot */
    char *path;   /* with query: "/hook?x=1" */
    uint16_t port;
};

/* Refuses: other schemes, userinfo, empty host, fragments, non-ASCII, control characters, blanks
 * and backslashes, ports 0; number-like hosts that are not a canonical dotted quad (0x7f.1,
 * 2130706433, 010.0.0.1); zone ids; percent-encoded hosts. ERR_INVALID with the reason. */
enum err_code url_parse(const char *text, struct url *out, struct err *err);
void url_fini(struct url *u);

/* The absolute path in "sqlite:///path" (it lies in url); NULL: another kind of URL. */
const char *url_sqlite_path(const char *url);

#endif
