/* fleet/node.c - a node by itself: made from what the operator said, its name, its addresses, its last error.
 * What it means for the fleet is in health.c, probes.c and roster.c. */
#include "fleet/node.h"
#include "base/buf.h"
#include "base/slab.h"
#include <stdlib.h>

#define DEFAULT_PORT   11434
#define NAME_MAX_CHARS 128

static const struct str state_names[NODE_STATES] = {
    [NODE_STARTING] = STR("starting"), [NODE_UP] = STR("up"),
    [NODE_SUSPECT] = STR("suspect"),   [NODE_DOWN] = STR("down"),
    [NODE_DRAINING] = STR("draining"), [NODE_REMOVED] = STR("removed"),
};
struct str node_state_name(enum node_state s)
{
    return state_names[s];
}

/* Names stand in headers, routes and labels. */
static bool good_name(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] <= ' ' || name.p[i] >= 0x7f || strchr("/?#%\"\\,", name.p[i]))
            return false;
    return name.n <= NAME_MAX_CHARS;
}

static const char *wrong_with(const struct node_spec *spec, struct url *out)
{
    if (!url_parse(spec->url, out))
        return "the URL of the node is not valid";
    if (!good_name(spec->name))
        return "a node's name is at most 128 visible characters without / ? # % \" \\ and comma";
    if (!(spec->weight >= 0 && spec->weight <= 1e6))
        return "a node's weight must be between 0 and 1000000";
    if (spec->slots < -1 || spec->max_inflight < 0)
        return "a node's slots and max_inflight must not be negative";
    return NULL;
}

static struct str text_in(struct arena *a, size_t max, char **out_at)
{
    *out_at = arena_take(a, max);
    return (struct str){ *out_at, 0 };
}

/* "host:port", an IPv6 host in brackets and without its scope. */
static struct str host_and_port(struct arena *a, const struct url *u)
{
    bool v6 = str_chr(u->host, ':') >= 0;
    struct str host = u->host;
    if (v6)
        host = str_cut(&(struct str){ host.p, host.n }, '%');
    char *at;
    struct str s = text_in(a, host.n + 16, &at);
    if (!at)
        return s;
    if (v6)
        *at++ = '[';
    at = put_str(at, host);
    if (v6)
        *at++ = ']';
    *at++ = ':';
    at = put_u64(at, u->port);
    return str_span(s.p, at);
}

static void copy_texts(struct node *n, const struct node_spec *spec, const struct url *u)
{
    struct arena *a = &n->arena;
    n->url = *u;
    n->url.host = str_dup(a, u->host);
    n->url.prefix = str_dup(a, u->prefix);
    n->name = spec->name.n ? str_dup(a, spec->name) : STR_NONE;
    n->labels = str_dup(a, spec->labels);
    n->url_text = url_text(a, u);
    n->host_header = host_and_port(a, u);
}

static void copy_numbers(struct node *n, const struct node_spec *spec)
{
    n->no = NO_PLACE;
    n->warm_since = NEVER;
    n->weight = spec->weight > 0 ? spec->weight : 1;
    n->slots = spec->slots;
    n->max_inflight = spec->max_inflight;
    n->vram = spec->vram;
    n->kind = spec->kind;
    n->kind_told = spec->kind != NODE_UNKNOWN;
    n->due_fade = n->due_version = n->due_tags = n->due_ps = n->due_resolve = NEVER;
}

struct node *node_new(const struct node_spec *spec, const char **why)
{
    struct url u;
    *why = wrong_with(spec, &u);
    if (*why)
        return NULL;
    struct node *n = memory_strikes() ? NULL : calloc(1, sizeof *n);
    if (!n)
        return NULL;
    arena_init(&n->arena);
    copy_texts(n, spec, &u);
    copy_numbers(n, spec);
    struct addr literal;
    if (addr_literal(u.host, u.port, &literal))
        node_set_addresses(n, &literal, 1);
    if (n->arena.failed)
        node_free(&n);
    return n;
}

void node_free(struct node **n)
{
    if (!*n)
        return;
    listing_unref(&(*n)->tags);
    listing_unref(&(*n)->ps);
    arena_done(&(*n)->arena);
    free(*n);
    *n = NULL;
}

struct str node_default_name(const struct node *n, unsigned nth)
{
    if (nth == 0)
        return n->url.port == DEFAULT_PORT ? n->url.host : n->host_header;
    return nth == 1 && n->url.port == DEFAULT_PORT ? n->host_header : STR_NONE;
}

bool node_same_place(const struct node *a, const struct node *b)
{
    return str_eq_nocase(a->url.host, b->url.host) && a->url.port == b->url.port &&
           str_eq(a->url.prefix, b->url.prefix);
}

bool node_set_addresses(struct node *n, const struct addr *found, unsigned founds)
{
    struct addr used = n->addrs ? n->addr[n->addr_next] : (struct addr){ 0 };
    bool had = n->addrs > 0;
    n->addrs = MIN(founds, NODE_ADDRS);
    n->addr_next = 0;
    memcpy(n->addr, found, n->addrs * sizeof *found);
    for (uint32_t i = 0; had && i < n->addrs; i++)
        if (addr_eq(&n->addr[i], &used)) {
            n->addr_next = i;
            return false;
        }
    return true;
}

void node_next_address(struct node *n)
{
    if (n->addrs)
        n->addr_next = (n->addr_next + 1) % n->addrs;
}

void node_note_error(struct node *n, enum fail why, struct str text, nsec now)
{
    if (!text.n)
        text = fail_sentence(why);
    text = str_take(text, sizeof n->last_error_text - 1);
    memcpy(n->last_error_text, text.p, text.n);
    n->last_error_text[text.n] = 0;
    n->last_error = why;
    n->last_error_at = now;
}
