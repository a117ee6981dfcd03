/* base/dice.h: randomness from the kernel (getrandom), of a quality for keys. test/sim links a
 * seeded one. */
#ifndef BASE_DICE_H
#define BASE_DICE_H

#include <stddef.h>
#include <stdint.h>

uint32_t dice_u32(void); /* uniform over 32 bits; thread-safe */
/* Fills out (thread-safe; a child of fork draws its own); dies (abort, with a line on stderr) where
 * the kernel has no randomness: no caller can go on. */
void dice_bytes(void *out, size_t n);

#endif
