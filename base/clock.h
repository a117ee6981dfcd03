/* base/clock.h: the two clocks. The only file that reads time; test/sim links another one.
 *
 * wall: UTC, ms since 1970, may jump. mono: never jumps, its zero means nothing.
 * store_clock: wall at start plus monotonic since then; due times use it (DESIGN rule 11), so that
 * a clock jump neither stalls nor floods retries. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_wall_ms(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_store_ms(void); /* thread-safe; the anchor is taken at the first call */

#endif
