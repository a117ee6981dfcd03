/* base/sanitized.h: is this a build under AddressSanitizer? As gcc or as clang says it. */
#ifndef BASE_SANITIZED_H
#define BASE_SANITIZED_H

#ifdef __SANITIZE_ADDRESS__
enum { SANITIZED = 1 };
#elif defined(__has_feature)
enum { SANITIZED = __has_feature(address_sanitizer) };
#else
enum { SANITIZED = 0 };
#endif

#endif
