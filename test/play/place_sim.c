/* Who answers at an address, and how: the manners of links, and the places where somebody listens.
 *
 * A host and port without a manner of its own has that of its host (port 0), else the usual one. A place at the
 * unspecified address answers for every host that has no place of its own at that port: there is one machine under
 * test, it may have all. */
#include "world_inside.h"
#include <stdlib.h>

struct manner {
    struct list link;
    struct addr at;
    struct link is;
};
static struct list places, manners;
static struct link usual;
static unsigned ports;

/* ---- addresses and manners ---- */
void addr_set_port(struct addr *a, uint16_t port)
{
    if (a->any.sa_family == AF_INET6)
        a->v6.sin6_port = htons(port);
    else
        a->v4.sin_port = htons(port);
}

struct addr world_addr(const char *text)
{
    struct str host = str_of(text);
    ssize_t colon = str_rchr(host, ':');
    struct addr a;
    uint64_t port = 0;
    assume(colon > 0 && str_u64(str_drop(host, (size_t)colon + 1), &port) && port <= UINT16_MAX);
    assume(addr_literal(str_take(host, (size_t)colon), (uint16_t)port, &a));
    return a;
}

uint16_t fresh_port(void)
{
    return (uint16_t)(20000 + ports++ % 40000);
}

static struct addr with_port(struct addr a, uint16_t port)
{
    addr_set_port(&a, port);
    return a;
}

static bool is_every_host(const struct addr *a)
{
    if (a->any.sa_family == AF_INET6)
        return IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr);
    return a->v4.sin_addr.s_addr == htonl(INADDR_ANY);
}

struct link link_usual(void)
{
    return (struct link){ .delay_min = USEC(20),
                          .delay_max = USEC(500),
                          .segment_min = 1,
                          .segment_max = KIB(16),
                          .window_min = KIB(4),
                          .window_max = KIB(256),
                          .partial = 8,
                          .backlog = 128,
                          .cut_up = NO_CUT,
                          .cut_down = NO_CUT };
}

static struct manner *manner_exactly(const struct addr *at)
{
    list_each (link, &manners) {
        struct manner *m = CONTAINER(link, struct manner, link);
        if (addr_eq(&m->at, at))
            return m;
    }
    return NULL;
}

const struct link *manner_of(const struct addr *to)
{
    struct addr host = with_port(*to, 0);
    struct manner *m = manner_exactly(to);
    if (!m)
        m = manner_exactly(&host);
    return m ? &m->is : &usual;
}

void world_link(const struct addr *at, const struct link *k)
{
    assume(k->delay_min >= 0 && k->segment_min > 0 && k->window_min > 0);
    struct manner *m = at ? manner_exactly(at) : NULL;
    if (!at) {
        usual = *k;
        return;
    }
    if (!m) {
        m = world_alloc(sizeof *m);
        m->at = *at;
        list_push(&manners, &m->link);
    }
    m->is = *k;
}

bool is_dark(const struct addr *a)
{
    return manner_of(a)->answer == LINK_BLACK_HOLE;
}

/* ---- places ---- */
struct place *place_exactly(const struct addr *at)
{
    list_each (link, &places) {
        struct place *p = CONTAINER(link, struct place, link);
        if (addr_eq(&p->at, at))
            return p;
    }
    return NULL;
}

struct place *place_that_answers(const struct addr *to)
{
    struct place *exact = place_exactly(to);
    if (exact)
        return exact;
    list_each (link, &places) {
        struct place *p = CONTAINER(link, struct place, link);
        if (is_every_host(&p->at) && addr_port(&p->at) == addr_port(to))
            return p;
    }
    return NULL;
}

struct place *place_open(const struct addr *at, void (*wake)(struct place *), void *owner)
{
    struct addr bound = *at;
    while (addr_port(&bound) == 0 || (addr_port(at) == 0 && place_that_answers(&bound)))
        addr_set_port(&bound, fresh_port());
    if (place_exactly(&bound))
        return NULL;
    struct place *p = world_alloc(sizeof *p);
    *p = (struct place){ .at = bound, .wake = wake, .owner = owner };
    list_init(&p->waiting);
    list_push(&places, &p->link);
    return p;
}

struct end *place_accept(struct place *p)
{
    struct list *first = list_pop(&p->waiting);
    if (!first)
        return NULL;
    p->n_waiting--;
    return CONTAINER(first, struct end, waiting);
}

void place_close(struct place **p)
{
    list_del(&(*p)->link);
    for (struct end *end; (end = place_accept(*p));)
        end_close(end, true);
    free(*p);
    *p = NULL;
}

/* ---- life ---- */
void places_begin(void)
{
    list_init(&places);
    list_init(&manners);
    usual = link_usual();
    ports = 0;
}

void places_end(void)
{
    for (struct list *link; (link = list_pop(&places));)
        free(CONTAINER(link, struct place, link));
    for (struct list *link; (link = list_pop(&manners));)
        free(CONTAINER(link, struct manner, link));
}
