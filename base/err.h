/* base/err.h: the one way to fail: a code to branch on, a text to print.
 *
 * A fault is made where it is seen, with fail(), and logged where it is handled, never both. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err_code {
    OK = 0,
    ERR_INVALID,   /* input from outside is wrong; the text says where, what and what to do */
    ERR_CONFIG,    /* the configuration is wrong */
    ERR_NOT_FOUND, /* no such id or name */
    ERR_EXISTS,    /* the name or id is taken */
    ERR_STALE,     /* a late answer to a question that is settled already */
    ERR_UNDONE,    /* a dry run: all went well and is to be undone; the answer holds */
    ERR_BUSY,      /* bounded queue is full, or a lock is held: try later */
    ERR_DENIED,    /* permission or rule says no */
    ERR_FULL,      /* disk or quota is full */
    ERR_IO,        /* the database, a file or a socket failed */
    ERR_CORRUPT,   /* stored bytes are not what was stored */
    ERR_NEWER,     /* written by a newer webhookd */
    ERR_NOMEM,
    ERR_INTERNAL, /* our bug */
};

struct err {
    enum err_code code;
    char text[512]; /* one line, no secret in it */
};

/* Writes code and text into e (which may be NULL) and returns code. In parentheses, because cmocka
 * has a macro of that name and tests include both. */
__attribute__((format(printf, 3, 4))) enum err_code(fail)(struct err *e, enum err_code code,
                                                          const char *fmt, ...);

/* "invalid", "not_found", …: for logs and JSON. */
const char *err_code_name(enum err_code code);

/* Thread-safe text of an errno value; the string lives for the life of the process. */
const char *errno_text(int errnum);

#endif
