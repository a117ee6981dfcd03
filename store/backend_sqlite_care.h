/* store/backend_sqlite_care.h: what the two files of care.h on SQLite share. Not for others. */
#ifndef STORE_BACKEND_SQLITE_CARE_H
#define STORE_BACKEND_SQLITE_CARE_H

#include "store/backend_sqlite.h"
#include "store/care.h"

struct care {
    struct sq q; /* only db, path and keys are in use */
    int64_t schema;
    int64_t deadline_us;
};

enum err_code care_fail(struct care *c, const char *what, struct err *err);
enum err_code care_number(struct care *c, const char *sql, int64_t *out, struct err *err);

#endif
