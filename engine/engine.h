/* engine/engine.h: owns everything of the daemon: builds it in order, tears it down in reverse.
 *
 *   keys -> store -> intake -> scheduler (loads lanes) -> outbox source, http -> READY
 *   SIGTERM -> drain -> the same in reverse */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/err.h"
#include "policy/conf.h"

/* Runs until SIGTERM or SIGINT. Takes conf over. file: for SIGHUP. Returns the exit status: 0; 75
 * the store or the socket is in use by another process; 78 a path of the configuration cannot be
 * used; 74 the store failed; 71 no memory. */
int engine_run(struct conf *conf, const char *file);

#endif
