/* cli/place.c - flags of a command are taken out before the rest is read as settings, so that --admin-key, --listen and
 * --config mean here what they mean to `serve`. https is refused in words: the gateway itself speaks plain HTTP, and
 * who put a proxy before it can ask behind that, or through ssh -L. */
#include "cli/place.h"
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>

/* ---- words ------------------------------------------------------------------------------------------------------- */

static void drop(int *argc, char **argv, int at, int n)
{
    for (int i = at; i + n < *argc; i++)
        argv[i] = argv[i + n];
    *argc -= n;
}

bool words_take(int *argc, char **argv, const char *flag)
{
    for (int i = 0; i < *argc; i++)
        if (!strcmp(argv[i], flag)) {
            drop(argc, argv, i, 1);
            return true;
        }
    return false;
}

bool words_take_value(int *argc, char **argv, const char *flag, const char **out)
{
    size_t n = strlen(flag);
    for (int i = 0; i < *argc; i++) {
        if (!strncmp(argv[i], flag, n) && argv[i][n] == '=') {
            *out = argv[i] + n + 1;
            drop(argc, argv, i, 1);
            return true;
        }
        if (!strcmp(argv[i], flag)) {
            *out = i + 1 < *argc ? argv[i + 1] : NULL;
            drop(argc, argv, i, *out ? 2 : 1);
            return true;
        }
    }
    return false;
}

/* ---- where ------------------------------------------------------------------------------------------------------- */

/* Who listens everywhere is asked on loopback. */
static struct addr reachable(const struct config *c)
{
    struct addr a;
    assume(addr_listen(c->listen.v[0], DEFAULT_PORT, &a));
    if (a.any.sa_family == AF_INET && a.v4.sin_addr.s_addr == htonl(INADDR_ANY))
        a.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (a.any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a.v6.sin6_addr))
        a.v6.sin6_addr = in6addr_loopback;
    return a;
}

static bool resolve(struct str host, uint16_t port, struct addr *out)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    char name[256], service[8];
    snprintf(name, sizeof name, "%.*s", STR_ARG(host));
    snprintf(service, sizeof service, "%u", port);
    if (addr_literal(host, port, out))
        return true;
    if (getaddrinfo(name, service, &hints, &found) || !found)
        return false;
    memcpy(out, found->ai_addr, MIN((size_t)found->ai_addrlen, sizeof *out));
    freeaddrinfo(found);
    return true;
}

/* As node URLs are read, but for the port that is meant when none is written. */
static bool read_url(const char *text, struct place *out)
{
    struct url u;
    struct str bare = str_of(text), host, port;
    if (!url_parse(bare, &u) || u.host.n >= sizeof out->host - 8 || u.prefix.n >= sizeof out->prefix) {
        fprintf(stderr, "ollamamax: --url %s: must be like http://gateway:13100\n", text);
        return false;
    }
    if (u.tls) {
        fprintf(stderr,
                "ollamamax: --url %s: https is not spoken here; ask the gateway's own port, or through ssh -L "
                "13100:localhost:13100\n",
                text);
        return false;
    }
    if (str_find(bare, STR("://")) < 0 && addr_authority(str_cut(&bare, '/'), &host, &port) && !port.n)
        u.port = DEFAULT_PORT;
    if (!resolve(u.host, u.port, &out->at)) {
        fprintf(stderr, "ollamamax: --url %s: %.*s is a name that nobody knows\n", text, STR_ARG(u.host));
        return false;
    }
    bool v6 = str_chr(u.host, ':') >= 0;
    snprintf(out->host, sizeof out->host, "%s%.*s%s:%u", v6 ? "[" : "", STR_ARG(u.host), v6 ? "]" : "", u.port);
    snprintf(out->prefix, sizeof out->prefix, "%.*s", STR_ARG(u.prefix));
    return true;
}

bool place_find(int *argc, char **argv, struct place *out, int *out_code)
{
    const char *url = NULL, *key = NULL;
    bool says_url = words_take_value(argc, argv, "--url", &url), says_key = words_take_value(argc, argv, "--key", &key);
    *out = (struct place){ 0 };
    *out_code = CLI_MISUSED;
    if ((says_url && !url) || (says_key && !key)) {
        fprintf(stderr, "ollamamax: %s wants a value\n", says_url && !url ? "--url" : "--key");
        return false;
    }
    struct config *c = cli_load(&(struct config_args){ .argc = *argc, .argv = argv }, out_code);
    if (!c)
        return false;
    snprintf(out->key, sizeof out->key, "%.*s", STR_ARG(key ? str_of(key) : c->admin_key));
    if (!url) {
        out->at = reachable(c);
        addr_text(&out->at, out->host);
    }
    config_free(&c);
    *out_code = CLI_MISUSED;
    if (url && !read_url(url, out))
        return false;
    snprintf(out->url, sizeof out->url, "http://%s%s", out->host, out->prefix);
    *out_code = CLI_GOOD;
    return true;
}
