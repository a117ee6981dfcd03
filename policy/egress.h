/* policy/egress.h: which addresses, schemes and ports may be dialled. Pure: no name is resolved
 * here.
 *
 * IPv4: everything but special-purpose (RFC 6890 and its registry). IPv6: only 2000::/3 minus
 * exceptions, and mapped, compatible, NAT64 (64:ff9b::/96, 64:ff9b:1::/48), 6to4, Teredo forms are
 * refused. `allow` opens CIDRs although special; `deny` closes CIDRs although public, and wins over
 * everything. */
#ifndef POLICY_EGRESS_H
#define POLICY_EGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EGRESS_CIDRS_MAX 256
#define EGRESS_PORTS_MAX 64

struct sockaddr;
struct egress_addr {
    int family; /* 4 or 6 */
    uint8_t bytes[16];
};
struct egress_cidr {
    struct egress_addr addr;
    int bits;
};
struct egress_rules {
    bool allow_http;
    struct egress_cidr allow[EGRESS_CIDRS_MAX];
    size_t allow_n;
    struct egress_cidr deny[EGRESS_CIDRS_MAX];
    size_t deny_n;
    uint16_t ports[EGRESS_PORTS_MAX];
    size_t ports_n; /* 0: all but the Fetch standard's blocked ones */
};

/* False: neither IPv4 nor IPv6, or shorter (n) than it should be. */
bool egress_addr_of(const struct sockaddr *from, size_t n, struct egress_addr *out);
bool egress_addr_parse(const char *text, struct egress_addr *out); /* strict: inet_pton, no zone */
void egress_addr_text(const struct egress_addr *a, char out[46]);
/* "10.0.0.0/8", "::1", "192.0.2.1"; host bits must be zero. NULL: legal, else why not. */
const char *egress_cidr_parse(const char *text, struct egress_cidr *out);

/* NULL: may be dialled; else why not, in words ("loopback", "private (RFC 1918)", …). */
const char *egress_judge_addr(const struct egress_rules *r, const struct egress_addr *a);

/* A URL in parts (base/url.h). literal: the host is an address. NULL or why not; *kind: "syntax"
 * (the scheme), "policy" (port or name) or "address". Special names (.local, .internal, …) are
 * refused, and so is localhost, unless allow opens 127.0.0.1 or ::1. */
const char *egress_judge_url(const struct egress_rules *r, const char *scheme, const char *host,
                             uint16_t port, bool *literal, const char **kind);

#endif
