/* base/process.c: see process.h. */
#include "base/process.h"

#include <sys/prctl.h>
#include <sys/resource.h>

#ifdef __has_feature
#define SANITIZED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

void process_hide_memory(void)
{
    const struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &none);
    if (!SANITIZED) /* the search for leaks at exit traces this process */
        (void)prctl(PR_SET_DUMPABLE, 0);
}
