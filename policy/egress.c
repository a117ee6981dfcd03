/* policy/egress.c: the judge of addresses, names, schemes and ports.
 *
 * The two tables are the IANA special-purpose registries (RFC 6890 and what was added since), plus
 * the metadata services that sit on public-looking addresses. Also the registry's rows that are
 * "globally reachable" (AS112, AMT) are in: no partner's endpoint lives there.
 *
 *   deny  ─▶ refused            (wins over everything)
 *   allow ─▶ may be dialled     (although special)
 *   table ─▶ refused
 *   else  ─▶ IPv4: may be dialled; IPv6: only within 2000::/3 */
#include "policy/egress.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct special {
    struct egress_cidr cidr;
    const char *why;
};
#define V4(a, b, c, d, bits, why)                                                                  \
    {                                                                                              \
        {{4, {a, b, c, d}}, bits}, why                                                             \
    }
/* An IPv6 address by its eight groups. */
#define G(g) (uint8_t)((g) >> 8), (uint8_t)((g)&0xff)
#define V6(g0, g1, g2, g3, g4, g5, g6, g7, bits, why)                                              \
    {                                                                                              \
        {{6, {G(g0), G(g1), G(g2), G(g3), G(g4), G(g5), G(g6), G(g7)}}, bits}, why                 \
    }

/* The narrower row stands before the wider one: the first that holds gives the reason. */
static const struct special special_v4[] = {
    V4(169, 254, 169, 254, 32, "cloud metadata"),
    V4(168, 63, 129, 16, 32, "cloud metadata"),
    V4(192, 0, 0, 192, 32, "cloud metadata"),
    V4(100, 100, 100, 200, 32, "cloud metadata"),
    V4(255, 255, 255, 255, 32, "broadcast"),
    V4(0, 0, 0, 0, 8, "this network (RFC 791)"),
    V4(10, 0, 0, 0, 8, "private (RFC 1918)"),
    V4(100, 64, 0, 0, 10, "shared by carriers (CGNAT, RFC 6598)"),
    V4(127, 0, 0, 0, 8, "loopback"),
    V4(169, 254, 0, 0, 16, "link-local"),
    V4(172, 16, 0, 0, 12, "private (RFC 1918)"),
    V4(192, 0, 0, 0, 24, "IETF protocol assignments (RFC 6890)"),
    V4(192, 0, 2, 0, 24, "documentation (RFC 5737)"),
    V4(192, 31, 196, 0, 24, "AS112 (RFC 7535)"),
    V4(192, 52, 193, 0, 24, "AMT (RFC 7450)"),
    V4(192, 88, 99, 0, 24, "6to4 relay anycast (RFC 7526)"),
    V4(192, 168, 0, 0, 16, "private (RFC 1918)"),
    V4(192, 175, 48, 0, 24, "AS112 (RFC 7534)"),
    V4(198, 18, 0, 0, 15, "benchmarking (RFC 2544)"),
    V4(198, 51, 100, 0, 24, "documentation (RFC 5737)"),
    V4(203, 0, 113, 0, 24, "documentation (RFC 5737)"),
    V4(224, 0, 0, 0, 4, "multicast"),
    V4(240, 0, 0, 0, 4, "reserved (RFC 1112)"),
};

static const struct special special_v6[] = {
    V6(0, 0, 0, 0, 0, 0, 0, 0, 128, "unspecified"),
    V6(0, 0, 0, 0, 0, 0, 0, 0x1, 128, "loopback"),
    V6(0, 0, 0, 0, 0, 0, 0, 0, 96, "IPv4-compatible"),
    V6(0, 0, 0, 0, 0, 0xffff, 0, 0, 96, "IPv4-mapped"),
    V6(0, 0, 0, 0, 0xffff, 0, 0, 0, 96, "IPv4-translated (SIIT)"),
    V6(0x64, 0xff9b, 0, 0, 0, 0, 0, 0, 96, "NAT64 (RFC 6052)"),
    V6(0x64, 0xff9b, 0x1, 0, 0, 0, 0, 0, 48, "NAT64 (RFC 8215)"),
    V6(0x100, 0, 0, 0, 0, 0, 0, 0, 64, "discard-only (RFC 6666)"),
    V6(0x100, 0, 0, 0x1, 0, 0, 0, 0, 64, "dummy prefix (RFC 9780)"),
    V6(0x2001, 0, 0, 0, 0, 0, 0, 0, 32, "Teredo"),
    V6(0x2001, 0x10, 0, 0, 0, 0, 0, 0, 28, "ORCHID"),
    V6(0x2001, 0x20, 0, 0, 0, 0, 0, 0, 28, "ORCHIDv2"),
    V6(0x2001, 0, 0, 0, 0, 0, 0, 0, 23, "IETF protocol assignments (RFC 2928)"),
    V6(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0, 32, "documentation (RFC 3849)"),
    V6(0x2002, 0, 0, 0, 0, 0, 0, 0, 16, "6to4"),
    V6(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0, 48, "AS112 (RFC 7534)"),
    V6(0x3fff, 0, 0, 0, 0, 0, 0, 0, 20, "documentation (RFC 9637)"),
    V6(0x5f00, 0, 0, 0, 0, 0, 0, 0, 16, "segment routing (RFC 9602)"),
    V6(0xfc00, 0, 0, 0, 0, 0, 0, 0, 7, "unique local"),
    V6(0xfe80, 0, 0, 0, 0, 0, 0, 0, 10, "link-local"),
    V6(0xfec0, 0, 0, 0, 0, 0, 0, 0, 10, "site-local"),
    V6(0xff00, 0, 0, 0, 0, 0, 0, 0, 8, "multicast"),
    /* All else outside 2000::/3 is not given out: egress_judge_addr() says so. */
};

/* https://fetch.spec.whatwg.org/#port-blocking: ports where other protocols could take a POST for
 * theirs. */
static const uint16_t blocked_ports[] = {
    1,    7,    9,    11,   13,   15,   17,   19,   20,   21,   22,   23,    25,   37,
    42,   43,   53,   69,   77,   79,   87,   95,   101,  102,  103,  104,   109,  110,
    111,  113,  115,  117,  119,  123,  135,  137,  139,  143,  161,  179,   389,  427,
    465,  512,  513,  514,  515,  526,  530,  531,  532,  540,  548,  554,   556,  563,
    587,  601,  636,  989,  990,  993,  995,  1719, 1720, 1723, 2049, 3659,  4045, 4190,
    5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

bool egress_addr_of(const struct sockaddr *from, size_t n, struct egress_addr *out)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    memset(out, 0, sizeof(*out));
    if (from->sa_family == AF_INET && n >= sizeof(v4)) {
        memcpy(&v4, from, sizeof(v4));
        out->family = 4;
        memcpy(out->bytes, &v4.sin_addr, 4);
        return true;
    }
    if (from->sa_family == AF_INET6 && n >= sizeof(v6)) {
        memcpy(&v6, (const void *)from, sizeof(v6)); /* the room behind it is the caller's */
        out->family = 6;
        memcpy(out->bytes, &v6.sin6_addr, 16);
        return true;
    }
    return false;
}

bool egress_addr_parse(const char *text, struct egress_addr *out)
{
    struct egress_addr a;

    memset(&a, 0, sizeof(a));
    if (inet_pton(AF_INET, text, a.bytes) == 1)
        a.family = 4;
    else if (inet_pton(AF_INET6, text, a.bytes) == 1)
        a.family = 6;
    else
        return false;
    *out = a;
    return true;
}

void egress_addr_text(const struct egress_addr *a, char out[46])
{
    if (inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->bytes, out, 46) == NULL)
        out[0] = '\0';
}

static bool host_bits_zero(const struct egress_cidr *c)
{
    int size = c->addr.family == 4 ? 32 : 128;

    for (int bit = c->bits; bit < size; bit++) {
        if ((c->addr.bytes[bit / 8] >> (7 - bit % 8)) & 1)
            return false;
    }
    return true;
}

const char *egress_cidr_parse(const char *text, struct egress_cidr *out)
{
    struct egress_cidr c;
    char address[46];
    const char *slash = strchr(text, '/');
    size_t n = slash == NULL ? strlen(text) : (size_t)(slash - text);

    if (n >= sizeof(address))
        return "is not an address or CIDR";
    memcpy(address, text, n);
    address[n] = '\0';
    if (!egress_addr_parse(address, &c.addr))
        return "is not an address or CIDR";
    c.bits = c.addr.family == 4 ? 32 : 128;
    if (slash != NULL) {
        size_t digits = strspn(slash + 1, "0123456789");

        if (digits == 0 || digits > 3 || slash[1 + digits] != '\0')
            return "has no number of bits behind the slash";
        long bits = strtol(slash + 1, NULL, 10);
        if (bits > c.bits)
            return "has more bits than an address of its family";
        c.bits = (int)bits;
    }
    if (!host_bits_zero(&c))
        return "has bits set behind its prefix";
    *out = c;
    return NULL;
}

static bool cidr_holds(const struct egress_cidr *c, const struct egress_addr *a)
{
    int whole = c->bits / 8, rest = c->bits % 8;

    if (c->addr.family != a->family || memcmp(c->addr.bytes, a->bytes, (size_t)whole) != 0)
        return false;
    if (rest == 0)
        return true;
    return ((c->addr.bytes[whole] ^ a->bytes[whole]) >> (8 - rest)) == 0;
}

static bool list_holds(const struct egress_cidr *list, size_t n, const struct egress_addr *a)
{
    for (size_t i = 0; i < n; i++) {
        if (cidr_holds(&list[i], a))
            return true;
    }
    return false;
}

static const char *special_why(const struct special *rows, size_t n, const struct egress_addr *a)
{
    for (size_t i = 0; i < n; i++) {
        if (cidr_holds(&rows[i].cidr, a))
            return rows[i].why;
    }
    return NULL;
}

/* The IPv4 address that a mapped or NAT64 form leads to: where somebody opened those forms, `deny`
 * still closes what they stand for. */
static bool embedded_v4(const struct egress_addr *a, struct egress_addr *out)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};

    if (a->family != 6 || (memcmp(a->bytes, mapped, 12) != 0 && memcmp(a->bytes, nat64, 12) != 0))
        return false;
    memset(out, 0, sizeof(*out));
    out->family = 4;
    memcpy(out->bytes, a->bytes + 12, 4);
    return true;
}

const char *egress_judge_addr(const struct egress_rules *r, const struct egress_addr *a)
{
    struct egress_addr inner;
    const char *why;

    if (a->family != 4 && a->family != 6)
        return "not an IP address";
    if (list_holds(r->deny, r->deny_n, a) ||
        (embedded_v4(a, &inner) && list_holds(r->deny, r->deny_n, &inner)))
        return "closed by egress.deny";
    if (list_holds(r->allow, r->allow_n, a))
        return NULL;
    if (a->family == 4)
        return special_why(special_v4, COUNT(special_v4), a);
    why = special_why(special_v6, COUNT(special_v6), a);
    if (why == NULL && (a->bytes[0] & 0xe0) != 0x20)
        return "outside the global unicast range 2000::/3";
    return why;
}

static const char *judge_port(const struct egress_rules *r, uint16_t port)
{
    if (port == 0)
        return "port 0";
    if (r->ports_n > 0) {
        for (size_t i = 0; i < r->ports_n; i++) {
            if (r->ports[i] == port)
                return NULL;
        }
        return "port is not in egress.ports";
    }
    for (size_t i = 0; i < COUNT(blocked_ports); i++) {
        if (blocked_ports[i] == port)
            return "port belongs to another protocol (blocked by the Fetch standard)";
    }
    return NULL;
}

static bool ends_with(const char *host, const char *suffix)
{
    size_t n = strlen(host), m = strlen(suffix);

    return n >= m && strcmp(host + n - m, suffix) == 0;
}

/* Names that a resolver may answer from the local machine or network (RFC 6761, 6762, 7686, 8375):
 * whatever they resolve to, it is no partner. */
static const char *judge_name(const struct egress_rules *r, const char *host)
{
    static const char *const suffixes[] = {".localhost", ".local", ".internal", ".onion",
                                           ".lan",       ".test",  ".arpa"};
    static const struct egress_addr v4 = {.family = 4, .bytes = {127, 0, 0, 1}};
    static const struct egress_addr v6 = {.family = 6, .bytes = {[15] = 1}};

    if (strcmp(host, "localhost") == 0) {
        bool open = egress_judge_addr(r, &v4) == NULL || egress_judge_addr(r, &v6) == NULL;

        return open ? NULL : "special name: localhost";
    }
    for (size_t i = 0; i < COUNT(suffixes); i++) {
        if (ends_with(host, suffixes[i]) || strcmp(host, suffixes[i] + 1) == 0)
            return "special name: never a partner's";
    }
    return NULL;
}

const char *egress_judge_url(const struct egress_rules *r, const char *scheme, const char *host,
                             uint16_t port, bool *literal, const char **kind)
{
    struct egress_addr a;
    const char *why;

    *literal = egress_addr_parse(host, &a);
    *kind = "syntax"; /* another scheme is another language, whatever it leads to */
    if (strcmp(scheme, "http") == 0 && !r->allow_http)
        return "plain http (egress.allow_http is off)";
    if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        return "scheme is not https";
    *kind = "policy";
    why = judge_port(r, port);
    if (why != NULL)
        return why;
    if (!*literal)
        return judge_name(r, host);
    *kind = "address";
    return egress_judge_addr(r, &a);
}
