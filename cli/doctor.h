/* cli/doctor.h: what is wrong here: checks, each of them a row: what was seen, what to type.
 *
 *   cmd_doctor.c ─▶ doctor_files.c (doctor_store.c, doctor_modes.c), doctor_machine.c (daemon, clock),
 *                   doctor_outbox.c, doctor_endpoint.c
 *                                                             └─▶ doctor_probe.c (libcurl) */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/cli.h"
#include "policy/egress.h"
#include "store/care.h"

enum doctor_verdict { DOCTOR_OK, DOCTOR_UNSEEN, DOCTOR_WARN, DOCTOR_FAIL };

struct doctor {
    struct cli *cli;
    json_t *items;  /* of what was said */
    json_t *status; /* the running daemon's; NULL: none answered */
    bool listens;   /* somebody does, at the socket */
    uid_t user;     /* whom webhookd runs as, as far as can be seen; (uid_t)-1: cannot be */
    int failed, warned, unseen;
};
/* fix: what to type or do; NULL: nothing. */
__attribute__((format(printf, 5, 6))) void doctor_say(struct doctor *d, const char *check,
                                                      enum doctor_verdict verdict, const char *fix,
                                                      const char *detail, ...);

#define DOCTOR_AS_WHOM "run this as root or as webhookd's user"

void doctor_files(struct doctor *d);   /* configuration file, key, store, log, disk */
void doctor_modes(struct doctor *d);   /* what stands open to everybody */
void doctor_daemon(struct doctor *d);  /* socket, daemon, descriptors, the kill switch */
void doctor_machine(struct doctor *d); /* clock, name servers, authorities */
void doctor_outboxes(struct doctor *d);
/* The store's file; the caller closes it. NULL: it cannot be read, as was said. */
struct care *doctor_store(struct doctor *d, const char *path);
/* Dials each of the named ones (n 0: all), or with dial false only says how they are. 0, or an exit
 * code with the reason printed. */
int doctor_endpoints(struct doctor *d, const char *const *names, size_t n, bool dial);

/* May this user write (and go into) the folder, or read and write the file? By its mode bits. */
bool doctor_user_may(uid_t user, const char *path, bool folder);

/* ---- doctor_probe.c ---- */
struct probe {
    const char *url;
    struct egress_rules *rules;
    /* filled */
    bool connected;
    char address[64];
    const char *refused; /* why its address may not be dialled; NULL: it may */
    const char *step;    /* "name", "connect", "tls" or "": what failed */
    char error[256];
    char said[256];              /* CURL_ERROR_SIZE: libcurl's own words */
    int64_t took_us, expires_ms; /* of the certificate; 0: none */
};
struct conf;
/* Connects to all, several at a time, each within the time, and closes at once: nothing is sent but
 * what TLS needs. False: no memory. */
bool probe_all(const struct conf *conf, struct probe *probes, size_t n);

#endif
