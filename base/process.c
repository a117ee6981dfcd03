/* base/process.c: see process.h. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifdef __has_feature
#define SANITIZED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

void process_hold_standard(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0) /* open() takes the lowest number that is free: this one */
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

void process_hide_memory(void)
{
    const struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &none);
    if (!SANITIZED) /* the search for leaks at exit traces this process */
        (void)prctl(PR_SET_DUMPABLE, 0);
}

/* glibc raises this limit to whatever large block was freed last, and from then on keeps such blocks
 * among the small ones: after a flood of large payloads, whose rows one thread makes and another
 * frees, twice what is in use stayed resident. The price is fresh pages for each: half a
 * millisecond for a payload of 1 MiB. */
void process_return_memory(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
}

/* glibc puts small blocks that are freed aside, and tidies all of them up whenever a block beside the end of
 * the heap is freed: with libcurl's buffers that is several times a delivery, a tenth of the loop's
 * time. Without that place they are joined with their neighbours at once. */
void process_tune_memory(void)
{
    (void)mallopt(M_MXFAST, 0);
}

void process_name_thread(const char *name)
{
    (void)prctl(PR_SET_NAME, name);
}

bool process_left_socket(const struct sockaddr_un *address, int type)
{
    int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool left = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
                errno == ECONNREFUSED;

    if (fd >= 0)
        close(fd);
    return left;
}
