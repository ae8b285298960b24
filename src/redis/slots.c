/* The map is learnt lazily: a single Redis never says MOVED, so it costs a table and nothing else; a cluster's first
 * redirect names the right node, and then the whole map is asked for once. Nodes are never forgotten within the life of
 * a client (their numbers are in the map); when all numbers are used, what is new stays unknown and its keys are not
 * shared, which is what happens to a Redis that is away. */
#include "redis/slots.h"

/* CRC-16/XMODEM: x^16 + x^12 + x^5 + 1, from 0, a nibble at a time. */
static uint16_t crc16(struct str s)
{
    static const uint16_t of_nibble[16] = { 0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
                                            0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef };
    uint16_t crc = 0;

    for (size_t i = 0; i < s.n; i++) {
        uint8_t byte = (uint8_t)s.p[i];
        crc = (uint16_t)(crc << 4 ^ of_nibble[(crc >> 12 ^ byte >> 4) & 15]);
        crc = (uint16_t)(crc << 4 ^ of_nibble[(crc >> 12 ^ byte) & 15]);
    }
    return crc;
}

unsigned slots_of_key(struct str key)
{
    struct str rest = key, before = str_cut(&rest, '{');
    ssize_t close = before.n < key.n ? str_chr(rest, '}') : -1;

    return crc16(close > 0 ? str_take(rest, (size_t)close) : key) % SLOTS;
}

void slots_init(struct slots *s, struct str host, uint16_t port)
{
    *s = (struct slots){ .nodes = 1 };
    s->node[0].port = port;
    if (host.n < SLOTS_HOST)
        memcpy(s->node[0].host, host.p ? host.p : "", host.n);
}

/* The number of the node there, a new one if need be; SLOTS_NODES: no room, or no such host. */
static unsigned node_at(struct slots *s, struct str host, uint64_t port)
{
    struct slots_node *n;

    if (!host.n || host.n >= SLOTS_HOST || !port || port > UINT16_MAX)
        return SLOTS_NODES;
    for (unsigned i = 0; i < s->nodes; i++)
        if (s->node[i].port == port && str_eq(str_of(s->node[i].host), host))
            return i;
    if (s->nodes == SLOTS_NODES)
        return SLOTS_NODES;
    n = &s->node[s->nodes];
    memcpy(n->host, host.p, host.n);
    n->host[host.n] = 0;
    n->port = (uint16_t)port;
    return s->nodes++;
}

/* As a node calls one that is where itself is. */
static struct str host_or(const struct slots *s, struct str host, unsigned asked)
{
    return host.n ? host : str_of(s->node[asked].host);
}

bool slots_redirect(struct slots *s, struct str error, unsigned asked, bool *out_ask, unsigned *out_node)
{
    struct str rest = error, word = str_cut(&rest, ' '), slot_text = str_cut(&rest, ' ');
    ssize_t colon = str_rchr(rest, ':');
    uint64_t slot, port;

    *out_ask = str_eq(word, STR("ASK"));
    if ((!*out_ask && !str_eq(word, STR("MOVED"))) || !str_u64(slot_text, &slot) || slot >= SLOTS || colon < 0 ||
        !str_u64(str_drop(rest, (size_t)colon + 1), &port))
        return false;
    *out_node = node_at(s, host_or(s, str_take(rest, (size_t)colon), asked), port);
    if (*out_node == SLOTS_NODES)
        return false;
    if (!*out_ask)
        s->of[slot] = (uint8_t)*out_node;
    return true;
}

/* [first, last, [host, port, ...], replicas...] */
static bool is_range(const struct resp *r)
{
    const struct resp *node = r->kind == RESP_ARRAY && r->n >= 3 ? r->item[2] : NULL;

    return node && r->item[0]->kind == RESP_NUMBER && r->item[1]->kind == RESP_NUMBER && r->item[0]->number >= 0 &&
           r->item[0]->number <= r->item[1]->number && r->item[1]->number < SLOTS && node->kind == RESP_ARRAY &&
           node->n >= 2 && (node->item[0]->kind == RESP_STRING || node->item[0]->kind == RESP_NIL) &&
           node->item[1]->kind == RESP_NUMBER;
}

bool slots_take(struct slots *s, const struct resp *reply, unsigned asked)
{
    if (reply->kind != RESP_ARRAY || !reply->n)
        return false;
    for (unsigned i = 0; i < reply->n; i++)
        if (!is_range(reply->item[i]))
            return false;
    for (unsigned i = 0; i < reply->n; i++) {
        const struct resp *r = reply->item[i], *n = r->item[2];
        unsigned node = node_at(s, host_or(s, n->item[0]->text, asked), (uint64_t)n->item[1]->number);
        for (int64_t slot = r->item[0]->number; node < SLOTS_NODES && slot <= r->item[1]->number; slot++)
            s->of[slot] = (uint8_t)node;
    }
    return true;
}
