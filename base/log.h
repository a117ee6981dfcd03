/* base/log.h: one fact, one line on stderr, with its ids; logfmt or JSON. Thread-safe.
 *
 *   log_info("delivery_dead", "delivery=%s sub=%s cause=%s", id, sub, cause);
 *
 * The first argument is the stable event name. The format holds space-separated key=%x pairs; every
 * value is quoted and escaped as the format (logfmt, JSON) needs, so that hostile text stays one
 * value. Conversions supported: %s (NULL prints as null) %d %u %lld %llu %zu %.3f and
 * PRId64/PRIu64/PRIx64 forms. No payload, no secret, no signature goes here (G8). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

void log_setup(enum log_format format, enum log_level level);
void log_set_level(enum log_level level); /* from any thread */
enum log_level log_level_now(void);
const char *log_level_name(enum log_level level); /* "debug" "info" "warn" "error" */
bool log_wants(enum log_level level);

__attribute__((format(printf, 3, 4))) void log_line(enum log_level level, const char *event,
                                                    const char *fmt, ...);
#define log_debug(...)                                                                             \
    do {                                                                                           \
        if (log_wants(LOG_LEVEL_DEBUG))                                                            \
            log_line(LOG_LEVEL_DEBUG, __VA_ARGS__);                                                \
    } while (0)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
