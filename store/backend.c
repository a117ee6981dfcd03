/* store/backend.c: which database a URL names. */
#include "store/backend.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/url.h"

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

bool backend_is_new(const char *url)
{
    const char *path = url_sqlite_path(url);
    return path == NULL || (access(path, F_OK) != 0 && errno == ENOENT);
}
