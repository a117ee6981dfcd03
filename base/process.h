/* base/process.h: what a process that holds secrets does first. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

/* No core dump, and nobody of the same user reads this process' memory: both would hold secrets. */
void process_hide_memory(void);

#endif
