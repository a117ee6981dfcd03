/* base/process.h: what a process that lives long and holds secrets does first. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdbool.h>

struct sockaddr_un;

/* Descriptors 0 to 2 that the caller closed are taken, each so that using it fails as before: a
 * socket or a file that got such a number would be written to by whoever prints. Comes first. */
void process_hold_standard(void);

/* No core dump, and nobody of the same user reads this process' memory: both would hold secrets. */
void process_hide_memory(void);

/* The calling thread's name, at most 15 characters, where ps -L, top -H and perf show it. */
void process_name_thread(const char *name);

/* Was the socket at this address left behind by a process that is gone? Only then may it be
 * replaced: one of another kind, or one that may not be tried, is somebody's. type: SOCK_STREAM or
 * SOCK_DGRAM. */
bool process_left_socket(const struct sockaddr_un *address, int type);

#endif
