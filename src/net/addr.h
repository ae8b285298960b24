/* net/addr.h - socket addresses, host:port texts and node URLs. Pure; any thread. */
#pragma once
#include "base/arena.h"
#include "base/fail.h"
#include "base/str.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct addr {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un; /* to be dialled only */
    };
};
bool addr_is_loopback(const struct addr *a); /* 127/8, ::1, ::ffff:127/8 */
bool addr_eq(const struct addr *a, const struct addr *b);
uint16_t addr_port(const struct addr *a);
/* "127.0.0.1:80", "[::1]:80"; returns the length. Without the port: addr_host_text. */
size_t addr_text(const struct addr *a, char out[64]);
size_t addr_host_text(const struct addr *a, char out[64]);
/* A literal IPv4 or IPv6 address (brackets and a %scope allowed for v6) with this port. */
bool addr_literal(struct str host, uint16_t port, struct addr *out);
/* The socket with this path; false if it is too long. */
bool addr_unix(struct str path, struct addr *out);
/* What `listen` takes: "host:port", "host", "[v6]:port", "port" (of this machine only: 127.0.0.1), ":port" and "*:port"
 * (all addresses: [::]); host must be a literal, "localhost" (-> 127.0.0.1) or "*". A number alone is a port. */
bool addr_listen(struct str text, uint16_t default_port, struct addr *out);

/* host [ ":" port ] of RFC 3986 section 3.2, without a name in front of '@': a reg-name (IPv4 among them) or an IPv6
 * address in brackets, which *out_host does not have. Either may come out empty; a port is at most 65535. Strings point
 * into `text`. */
bool addr_authority(struct str text, struct str *out_host, struct str *out_port);

/* Where a node is: "gpu1", "gpu1:11434", "http://[fe80::1]:11434/", "https://h/prefix", as OLLAMA_HOST is read too. */
struct url {
    bool tls;
    struct str host;   /* without brackets; 127.0.0.1 if there is a port alone (":11434") */
    uint16_t port;     /* default: 11434 without scheme, 80 for http://, 443 for https:// (as Ollama's client reads
                          OLLAMA_HOST) */
    struct str prefix; /* path without trailing slash; "" usually */
};
/* False if it is none; strings point into `text`. */
bool url_parse(struct str text, struct url *out);
/* "http://host:port/prefix", the port always printed. In the arena. */
struct str url_text(struct arena *a, const struct url *u);
