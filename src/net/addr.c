/* net/addr.c - reading and printing where something is.
 *
 * Texts come from people (settings, OLLAMA_HOST) and from strangers (Host, absolute targets). All of them go through
 * one reader, addr_authority, so that what the door lets in and what a setting may say is the same grammar. getaddrinfo
 * is not used here: it may ask the network. A scope ("%eth0") is the one thing that is looked up, in the machine's own
 * list of interfaces. */
#include "net/addr.h"

#include "base/buf.h"
#include "net/http_chars.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>

enum { PORT_OLLAMA = 11434, PORT_HTTP = 80, PORT_HTTPS = 443 };

static bool is_v4_mapped_loopback(const struct in6_addr *a)
{
    return IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127;
}

bool addr_is_loopback(const struct addr *a)
{
    if (a->any.sa_family == AF_INET)
        return ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
    const struct in6_addr *six = &a->v6.sin6_addr;
    return a->any.sa_family == AF_INET6 && (IN6_IS_ADDR_LOOPBACK(six) || is_v4_mapped_loopback(six));
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    if (a->any.sa_family != b->any.sa_family || addr_port(a) != addr_port(b))
        return false;
    if (a->any.sa_family == AF_UNIX)
        return strcmp(a->un.sun_path, b->un.sun_path) == 0;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr) && a->v6.sin6_scope_id == b->v6.sin6_scope_id;
}

uint16_t addr_port(const struct addr *a)
{
    if (a->any.sa_family == AF_UNIX)
        return 0;
    return ntohs(a->any.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);
}

/* Printing */

size_t addr_host_text(const struct addr *a, char out[64])
{
    if (a->any.sa_family == AF_UNIX)
        return (size_t)(put_str(out, STR("unix\0")) - out) - 1;
    bool four = a->any.sa_family == AF_INET;
    const void *bytes = four ? (const void *)&a->v4.sin_addr : (const void *)&a->v6.sin6_addr;
    assume(inet_ntop(a->any.sa_family, bytes, out, 64));
    size_t n = strlen(out);
    if (!four && a->v6.sin6_scope_id)
        n += (size_t)snprintf(out + n, 64 - n, "%%%u", a->v6.sin6_scope_id);
    return n;
}

size_t addr_text(const struct addr *a, char out[64])
{
    char host[64];
    addr_host_text(a, host);
    const char *form = a->any.sa_family == AF_INET ? "%.45s:%u" : "[%.54s]:%u";
    return (size_t)snprintf(out, 64, form, host, addr_port(a));
}

/* Reading */

/* A copy with a NUL, as the libc wants it; false if it cannot be an address for its length. */
static bool copy_z(struct str s, char *out, size_t room)
{
    if (!s.n || s.n >= room)
        return false;
    memcpy(out, s.p, s.n);
    out[s.n] = 0;
    return true;
}

static bool read_scope(struct str scope, uint32_t *out)
{
    uint64_t number;
    char name[IF_NAMESIZE];
    if (str_u64(scope, &number)) {
        *out = (uint32_t)number;
        return number <= UINT32_MAX;
    }
    return copy_z(scope, name, sizeof name) && (*out = if_nametoindex(name)) != 0;
}

static bool literal_v4(struct str host, uint16_t port, struct addr *out)
{
    char text[INET_ADDRSTRLEN];
    *out = (struct addr){
        .v4 = {.sin_family = AF_INET, .sin_port = htons(port)}
    };
    return copy_z(host, text, sizeof text) && inet_pton(AF_INET, text, &out->v4.sin_addr) == 1;
}

static bool literal_v6(struct str host, uint16_t port, struct addr *out)
{
    char text[INET6_ADDRSTRLEN];
    struct str scope = host, address = str_cut(&scope, '%');
    *out = (struct addr){
        .v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}
    };
    if (!copy_z(address, text, sizeof text) || inet_pton(AF_INET6, text, &out->v6.sin6_addr) != 1)
        return false;
    return address.n == host.n || read_scope(scope, &out->v6.sin6_scope_id);
}

static struct str without_brackets(struct str host)
{
    bool both = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    return both ? (struct str){ host.p + 1, host.n - 2 } : host;
}

bool addr_literal(struct str host, uint16_t port, struct addr *out)
{
    struct str bare = without_brackets(host);
    return literal_v6(bare, port, out) || (bare.n == host.n && literal_v4(host, port, out));
}

/* As text only: the scope's interface need not be there yet. */
static bool is_v6_text(struct str host)
{
    struct addr ignored;
    struct str scope = host, address = str_cut(&scope, '%');
    for (size_t i = 0; i < scope.n; i++)
        if (!http_is(scope.p[i], CHAR_HOST))
            return false;
    return (address.n == host.n || scope.n) && literal_v6(address, 0, &ignored);
}

static inline bool is_escape(struct str s, size_t at)
{
    return at + 2 < s.n && http_hex(s.p[at + 1]) >= 0 && http_hex(s.p[at + 2]) >= 0;
}

/* Length of the reg-name in front; '%' stops it unless two hex digits follow. */
static inline size_t reg_name_length(struct str s)
{
    size_t n = 0;
    while (n < s.n && http_is(s.p[n], CHAR_HOST) && (s.p[n] != '%' || is_escape(s, n)))
        n++;
    return n;
}

static inline bool read_port(struct str text, uint16_t *out)
{
    unsigned port = 0, digit;
    size_t n = 0;
    for (; n < text.n && port <= UINT16_MAX && (digit = (unsigned)text.p[n] - '0') < 10; n++)
        port = port * 10 + digit;
    if (n < text.n || n == 0 || port > UINT16_MAX)
        return false;
    *out = (uint16_t)port;
    return true;
}

bool addr_authority(struct str text, struct str *out_host, struct str *out_port)
{
    uint16_t ignored;
    size_t used = reg_name_length(text);
    *out_host = str_take(text, used);
    if (text.n && text.p[0] == '[') {
        ssize_t close = str_chr(text, ']');
        used = close < 0 ? text.n : (size_t)close + 1;
        *out_host = without_brackets(str_take(text, used));
        if (close < 0 || !is_v6_text(*out_host))
            return false;
    }
    struct str rest = str_drop(text, used);
    *out_port = str_drop(rest, 1);
    return !rest.n || (rest.p[0] == ':' && (!out_port->n || read_port(*out_port, &ignored)));
}

bool addr_unix(struct str path, struct addr *out)
{
    *out = (struct addr){ .un.sun_family = AF_UNIX };
    return copy_z(path, out->un.sun_path, sizeof out->un.sun_path);
}

/* Listening */

static bool listen_host(struct str host, uint16_t port, struct addr *out)
{
    if (!host.n || str_eq(host, STR("*")))
        return addr_literal(STR("::"), port, out);
    if (str_eq_nocase(host, STR("localhost")))
        return addr_literal(STR("127.0.0.1"), port, out);
    return addr_literal(host, port, out);
}

bool addr_listen(struct str text, uint16_t default_port, struct addr *out)
{
    struct str host, port;
    uint16_t number = default_port;
    if (read_port(text, &number))
        return addr_literal(STR("127.0.0.1"), number, out);
    if (addr_literal(text, default_port, out))
        return true;
    if (!text.n || !addr_authority(text, &host, &port))
        return false;
    if (port.n ? !read_port(port, &number) : text.p[text.n - 1] == ':')
        return false;
    return listen_host(host, number, out);
}

/* Node URLs */

static struct str take_scheme(struct str text, struct url *u)
{
    if (str_starts_nocase(text, STR("http://"))) {
        u->port = PORT_HTTP;
        return str_drop(text, 7);
    }
    if (str_starts_nocase(text, STR("https://"))) {
        u->port = PORT_HTTPS;
        u->tls = true;
        return str_drop(text, 8);
    }
    return text;
}

/* Two slashes at its beginning: a scheme that lacks its colon, "http//gpu1". */
static bool is_path(struct str s)
{
    if (str_starts(s, STR("//")))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (!http_is(s.p[i], CHAR_TARGET) || s.p[i] == '?')
            return false;
    return true;
}

static struct str without_slashes_at_end(struct str path)
{
    while (path.n && path.p[path.n - 1] == '/')
        path.n--;
    return path;
}

/* Names that a resolver may be asked for; addr_authority lets more pass. */
static bool is_host_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool letter = (unsigned)((s.p[i] | 0x20) - 'a') < 26;
        if (!letter && !http_is(s.p[i], CHAR_DIGIT) && !memchr("-._", s.p[i], 3))
            return false;
    }
    return true;
}

/* "fe80::1" without brackets is taken as a host, as OLLAMA_HOST takes it. */
static bool read_place(struct str place, struct url *u)
{
    struct str port;
    if (is_v6_text(place)) {
        u->host = place;
        return true;
    }
    if (!place.n || !addr_authority(place, &u->host, &port))
        return false;
    if (port.n ? !read_port(port, &u->port) : place.p[place.n - 1] == ':')
        return false;
    if (!u->host.n)
        u->host = STR("127.0.0.1");
    return u->port != 0 && (place.p[0] == '[' || is_host_name(u->host));
}

bool url_parse(struct str text, struct url *out)
{
    *out = (struct url){ .port = PORT_OLLAMA };
    struct str rest = take_scheme(text, out);
    ssize_t slash = str_chr(rest, '/');
    struct str place = slash < 0 ? rest : str_take(rest, (size_t)slash);
    out->prefix = without_slashes_at_end(str_drop(rest, place.n));
    return is_path(out->prefix) && read_place(place, out);
}

struct str url_text(struct arena *a, const struct url *u)
{
    bool six = str_chr(u->host, ':') >= 0;
    size_t room = u->host.n + u->prefix.n + sizeof "https://[]:65535";
    char *out = arena_take(a, room);
    if (!out)
        return STR_NONE;
    int n = snprintf(out, room, "%s://%s%.*s%s:%u%.*s", u->tls ? "https" : "http", six ? "[" : "", STR_ARG(u->host),
                     six ? "]" : "", u->port, STR_ARG(u->prefix));
    return (struct str){ out, (size_t)n };
}
