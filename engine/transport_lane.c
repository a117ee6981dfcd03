/* engine/transport_lane.c: lanes: a URL that was judged, its judged addresses, its idle connections.
 *
 * The addresses are pinned: RESOLVE "host:PORT:addresses" is given to each connection's own cache
 * (struct exchange) once, and again when they change; libcurl never looks a name up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "engine/transport_impl.h"

static size_t bucket_of(int64_t lane)
{
    return (size_t)(((uint64_t)lane * UINT64_C(0x9e3779b97f4a7c15)) >> 52) & (LANE_BUCKETS - 1);
}

static struct tlane **table_slot(struct transport *t, int64_t lane)
{
    struct tlane **at = &t->lanes[bucket_of(lane)];

    while (*at != NULL && (*at)->lane != lane)
        at = &(*at)->chain;
    return at;
}

static void lru_remove(struct transport *t, struct tlane *l)
{
    *(l->older != NULL ? &l->older->newer : &t->oldest) = l->newer;
    *(l->newer != NULL ? &l->newer->older : &t->newest) = l->older;
    l->older = l->newer = NULL;
}

static void lru_add(struct transport *t, struct tlane *l)
{
    l->older = t->newest;
    l->newer = NULL;
    *(t->newest != NULL ? &t->newest->newer : &t->oldest) = l;
    t->newest = l;
}

void tlane_unref(struct tlane *l)
{
    if (--l->refs > 0)
        return;
    curl_url_cleanup(l->parsed);
    url_fini(&l->url);
    free(l->url_text);
    free(l);
}

static void table_drop(struct transport *t, struct tlane *l)
{
    *table_slot(t, l->lane) = l->chain;
    lru_remove(t, l);
    t->lanes_n--;
    l->forgotten = true;
    while (l->idle != NULL)
        idle_end(l->idle);
    tlane_unref(l);
}

void tlane_forget(struct transport *t, int64_t lane)
{
    struct tlane *l = *table_slot(t, lane);

    if (l != NULL)
        table_drop(t, l);
}

void tlane_forget_all(struct transport *t)
{
    while (t->oldest != NULL)
        table_drop(t, t->oldest);
}

/* Does the URL's name alone stand in the way? Then it is no literal refusal: scheme and port are
 * fine, and whoever runs the name may mend it. */
static bool only_the_name(const struct egress_rules *rules, const struct url *u)
{
    const char *kind;
    bool literal;

    return egress_judge_url(rules, u->scheme, "example.com", u->port, &literal, &kind) == NULL;
}

static void judge_url(struct transport *t, struct tlane *l)
{
    struct err err = {.text = ""};
    const char *kind;

    if (url_parse(l->url_text, &l->url, &err) != OK) {
        text_copy(l->refused_text, sizeof(l->refused_text), err.text);
        l->refused = l->refused_text;
        l->literal_refused = true;
        return;
    }
    l->refused = egress_judge_url(&t->conf->egress, l->url.scheme, l->url.host, l->url.port,
                                  &l->literal, &kind);
    l->literal_refused =
        l->refused != NULL && (l->literal || !only_the_name(&t->conf->egress, &l->url));
}

/* libcurl's own parse of it, made once: false: no memory. */
static bool parse(struct tlane *l)
{
    l->parsed = curl_url();
    return l->parsed != NULL &&
           (l->url.whole == NULL ||
            curl_url_set(l->parsed, CURLUPART_URL, l->url.whole, 0) == CURLUE_OK);
}

static struct tlane *tlane_new(struct transport *t, int64_t lane, const char *url)
{
    struct tlane *l = calloc(1, sizeof(*l));

    if (l == NULL)
        return NULL;
    l->lane = lane;
    l->refs = 1;
    l->url_text = strdup(url);
    if (l->url_text != NULL) {
        judge_url(t, l);
        if (parse(l))
            return l;
    }
    tlane_unref(l);
    return NULL;
}

struct tlane *tlane_find(const struct transport *t, int64_t lane)
{
    struct tlane *l = t->lanes[bucket_of(lane)];

    while (l != NULL && l->lane != lane)
        l = l->chain;
    return l;
}

struct tlane *tlane_get(struct transport *t, int64_t lane, const char *url)
{
    struct tlane **slot = table_slot(t, lane), *l = *slot;

    if (l != NULL && strcmp(l->url_text, url) != 0) {
        table_drop(t, l);
        l = NULL;
    }
    if (l != NULL) {
        if (l != t->newest) {
            lru_remove(t, l);
            lru_add(t, l);
        }
    } else {
        if (t->lanes_n >= LANES_MAX)
            table_drop(t, t->oldest);
        l = tlane_new(t, lane, url);
        if (l == NULL)
            return NULL;
        slot = &t->lanes[bucket_of(lane)];
        l->chain = *slot;
        *slot = l;
        lru_add(t, l);
        t->lanes_n++;
    }
    return l;
}

static bool same_answer(const struct resolver_answer *a, const struct resolver_answer *b)
{
    return a->n == b->n && memcmp(a->addrs, b->addrs, a->n * sizeof(a->addrs[0])) == 0;
}

const char *tlane_judge(struct transport *t, struct tlane *l, const struct resolver_answer *a,
                        char *why, size_t why_room)
{
    /* We made localhost's two addresses up ourselves: the allowed one of them will do. Any other
     * name with one bad address is refused as a set: who mixes them means harm. */
    bool choose = strcmp(l->url.host, "localhost") == 0;
    struct resolver_answer good = {.n = 0};

    if (l->pin_serial > 0 && !choose && same_answer(&l->pin, a))
        return NULL;
    for (size_t i = 0; i < a->n; i++) {
        const char *refused = egress_judge_addr(&t->conf->egress, &a->addrs[i]);
        char text[46];

        if (refused == NULL) {
            good.addrs[good.n++] = a->addrs[i];
        } else if (!choose || (i + 1 == a->n && good.n == 0)) {
            egress_addr_text(&a->addrs[i], text);
            (void)snprintf(why, why_room, "%s: %s", text, refused);
            return why;
        }
    }
    if (l->pin_serial == 0 || !same_answer(&l->pin, &good)) {
        l->pin = good;
        l->pin_serial++;
    }
    return NULL;
}

/* The name as libcurl looks it up: with its trailing dot, where it has one. */
void tlane_pin(struct exchange *x)
{
    const struct tlane *l = x->lane;
    char *host = NULL;
    size_t n;

    if (l->literal || x->pin_serial == l->pin_serial ||
        curl_url_get(l->parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        return;
    n = (size_t)snprintf(x->resolve_text, sizeof(x->resolve_text), "%s:%u:", host, l->url.port);
    curl_free(host);
    for (size_t i = 0; i < l->pin.n; i++) {
        char text[46];

        egress_addr_text(&l->pin.addrs[i], text);
        n += (size_t)snprintf(x->resolve_text + n, sizeof(x->resolve_text) - n,
                              l->pin.addrs[i].family == 6 ? "%s[%s]" : "%s%s", i > 0 ? "," : "",
                              text);
    }
    x->resolve.data = x->resolve_text;
    x->resolve.next = NULL;
    x->resolve_set = true;
    x->resolve_serial = l->pin_serial;
    (void)curl_easy_setopt(x->easy, CURLOPT_RESOLVE, &x->resolve);
}

/* libcurl has read the list of x: it has the pin of now or, where that changed meanwhile, gets it with the
 * next request. */
void tlane_pin_loaded(struct exchange *x)
{
    if (x->resolve_set)
        x->pin_serial = x->resolve_serial;
}
