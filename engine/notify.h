/* engine/notify.h: sd_notify(3) without libsystemd: one datagram to $NOTIFY_SOCKET; a no-op where
 * it is not set. */
#ifndef ENGINE_NOTIFY_H
#define ENGINE_NOTIFY_H

/* state: "READY=1", "STOPPING=1", "RELOADING=1\nMONOTONIC_USEC=…", several joined by \n. Errors are
 * ignored: the manager that asked for it notices the silence itself. */
void notify_state(const char *state);

#endif
