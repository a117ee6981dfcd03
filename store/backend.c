/* store/backend.c: which database a URL names. */
#include "store/backend.h"

#include <string.h>

const struct backend_ops *backend_find(const char *url)
{
    static const struct backend_ops *const all[] = {&backend_sqlite, &backend_memory};
    for (size_t i = 0; url != NULL && i < sizeof(all) / sizeof(all[0]); i++) {
        size_t n = strlen(all[i]->scheme);
        if (strncmp(url, all[i]->scheme, n) == 0 && url[n] == ':')
            return all[i];
    }
    return NULL;
}
