/* cli/cache.c - the response cache of a running gateway, for people: what it has answered and spared; and forgetting,
 * all of it or what is of one model or node. */
#include "base/json.h"
#include "cli/ask.h"
#include "cli/cli.h"
#include "config/nearest.h"
#include <stdio.h>

#define PATIENCE SECOND(3)

/* ---- asking ------------------------------------------------------------------------------------------------------ */

typedef enum fail asker(const struct place *p, const char *path, nsec patience, int *out_status, struct buf *out_body);

/* The parsed answer, whose bytes are in *body; false and said otherwise. */
static bool ask(asker *how, const struct place *p, const char *path, struct buf *body, struct json *out)
{
    int status = 0;
    enum fail f = how(p, path, PATIENCE, &status, body);
    *out = json_parse(buf_str(body), NULL);
    if (f)
        fprintf(stderr, "ollamamax: no gateway answers at %s; where is it? --url http://HOST:PORT\n", p->url);
    else if (status == 401 || status == 403)
        fprintf(stderr, "ollamamax: %s wants its admin key: --key, --admin-key or --admin-key-file\n", p->url);
    else if (status != 200)
        fprintf(stderr, "ollamamax: %s answered with %d: %.*s\n", p->url, status, STR_ARG(buf_str(body)));
    return !f && status == 200 && out->kind == JSON_OBJECT;
}

/* ---- stats ------------------------------------------------------------------------------------------------------- */

enum unit { WORD, COUNT, BYTES, SHARE, SECONDS, MILLISECONDS };
static const struct figure {
    const char *key, *says;
    enum unit unit;
} figures[] = {
    {"enabled",            "switched on",                                     WORD   },
    { "entries",           "answers kept",                                    COUNT  },
    { "bytes",             "memory they take, with the index",                BYTES  },
    { "size",              "memory they may take",                            BYTES  },
    { "flights",           "answers on their way",                            COUNT  },
    { "requests",          "requests that looked",                            COUNT  },
    { "hits",              "  answered from memory",                          COUNT  },
    { "stale",             "  with an old answer, while a new one came",      COUNT  },
    { "joined",            "  followed an answer on its way",                 COUNT  },
    { "shared",            "  answered by another gateway, through Redis",    COUNT  },
    { "misses",            "  asked a node, for all",                         COUNT  },
    { "passed",            "  asked a node alone",                            COUNT  },
    { "hit_ratio",         "share that asked no node",                        SHARE  },
    { "best_possible",     "share that a cache without end could have given", SHARE  },
    { "saved_gpu_s",       "nodes' work spared",                              SECONDS},
    { "saved_tokens",      "tokens that no node had to write",                COUNT  },
    { "evicted",           "answers that went for others",                    COUNT  },
    { "expired",           "answers that grew too old",                       COUNT  },
    { "forgotten",         "answers forgotten because something changed",     COUNT  },
    { "not_worth_keeping", "answers cheaper than those they would push out",  COUNT  },
    { "rescues",           "old answers given because no node could",         COUNT  },
};
static const struct figure of_redis[] = {
    {"url",           "Redis",                    WORD        },
    { "breaker",      "  its breaker",            WORD        },
    { "reply_ms_p50", "  half of its replies in", MILLISECONDS},
    { "reply_ms_p99", "  99 of 100 in",           MILLISECONDS},
};

/* Names and addresses of ours, which need no escapes. */
static struct str bare(struct json name)
{
    return name.kind == JSON_STRING ? str_take(str_drop(name.raw, 1), name.raw.n - 2) : name.raw;
}

static void put_bytes(struct text *t, double n)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    unsigned i = 0;
    for (; n >= 1024 && i + 1 < ARRAY_LEN(units); i++)
        n /= 1024;
    text_printf(t, "%10.*f %s\n", i > 0, n, units[i]);
}

static void put_value(struct text *t, struct json v, enum unit unit)
{
    double n = 0;
    (void)json_f64(v, &n);
    switch (unit) {
    case BYTES: put_bytes(t, n); break;
    case SHARE: text_printf(t, "%10.1f %%\n", n * 100); break;
    case SECONDS: text_printf(t, "%10.1f s\n", n); break;
    case MILLISECONDS: text_printf(t, "%10.1f ms\n", n); break;
    default: text_printf(t, "%10.*s\n", STR_ARG(bare(v)));
    }
}

static void put_figures(struct text *t, struct json all, const struct figure *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        text_printf(t, "%-50s ", f[i].says);
        put_value(t, json_get(all, str_of(f[i].key)), f[i].unit);
    }
}

static void put_redis(struct text *t, struct json redis)
{
    if (redis.kind != JSON_OBJECT)
        return;
    text_putc(t, '\n');
    put_figures(t, redis, of_redis, ARRAY_LEN(of_redis));
    struct json_walk w = json_walk(json_get(redis, STR("requests")));
    while (json_next(&w))
        text_printf(t, "  %-48.*s %10.*s\n", STR_ARG(bare((struct json){ .kind = JSON_STRING, .raw = w.key })),
                    STR_ARG(w.value.raw));
}

static void put_routes(struct text *t, struct json routes)
{
    struct json_walk w = json_walk(routes);
    for (bool first = true; json_next(&w); first = false) {
        double share = 0;
        (void)json_f64(json_get(w.value, STR("hit_ratio")), &share);
        text_printf(t, "%s%-50.*s %10.*s %7.1f %%\n",
                    first ? "\nroute                                                requests     share\n" : "",
                    STR_ARG(bare(json_get(w.value, STR("route")))), STR_ARG(json_get(w.value, STR("requests")).raw),
                    share * 100);
    }
}

static int stats(const struct place *p, const char *unused)
{
    struct buf body = { 0 };
    struct json all;
    struct text t = { 0 };
    bool told = ask(ask_place, p, "/api/cache", &body, &all);
    if (told) {
        put_figures(&t, all, figures, ARRAY_LEN(figures));
        put_routes(&t, json_get(all, STR("by_route")));
        put_redis(&t, json_get(all, STR("redis")));
    }
    buf_free(&body);
    return told ? cli_print(&t) : CLI_FAILED;
}

/* ---- flush ------------------------------------------------------------------------------------------------------- */

/* A model's name may have what a query may not. */
static void put_escaped(struct text *t, const char *s)
{
    for (; *s; s++)
        if (strchr("&#+% ?", *s))
            text_printf(t, "%%%02X", (unsigned)(unsigned char)*s);
        else
            text_putc(t, *s);
}

static int flush(const struct place *p, const char *tag)
{
    struct text path = { 0 }, t = { 0 };
    struct buf body = { 0 };
    struct json all;
    text_put(&path, STR("/api/cache"));
    if (tag) {
        text_put(&path, STR("?tag="));
        put_escaped(&path, tag);
    }
    text_putc(&path, 0);
    bool told = !path.failed && ask(ask_delete, p, text_str(&path).p, &body, &all);
    struct str n = told ? json_get(all, STR("forgotten")).raw : STR_NONE;
    if (told)
        text_printf(&t, "%.*s answer%s forgotten\n", STR_ARG(n), str_eq(n, STR("1")) ? "" : "s");
    text_free(&path);
    buf_free(&body);
    return told ? cli_print(&t) : CLI_FAILED;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

#define USAGE "ollamamax cache stats | flush [model:NAME | node:ID]"

static const struct verb {
    const char *word;
    int (*run)(const struct place *p, const char *tag);
    bool takes_tag;
} verbs[] = {
    {"stats",  stats, false},
    { "flush", flush, true },
};

/* NULL, and said: it is none. */
static const struct verb *verb_named(const char *word)
{
    struct nearest n = nearest_to(str_of(word));
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (!strcmp(word, verbs[i].word))
            return &verbs[i];
        nearest_offer(&n, str_of(verbs[i].word));
    }
    if (n.best.n)
        fprintf(stderr, "ollamamax cache: there is no %s; did you mean %.*s?\n", word, STR_ARG(n.best));
    return NULL;
}

/* A tag is the one word that begins so, wherever it stands. */
static bool is_tag(const char *word)
{
    struct str s = str_of(word);
    return (str_starts(s, STR("model:")) && s.n > 6) || (str_starts(s, STR("node:")) && s.n > 5);
}

static const char *take_tag(int *argc, char **argv)
{
    for (int i = 0; i < *argc; i++) {
        if (!is_tag(argv[i]) || (i && argv[i - 1][0] == '-' && !strchr(argv[i - 1], '=')))
            continue;
        const char *tag = argv[i];
        (void)words_take(argc, argv, tag);
        return tag;
    }
    return NULL;
}

int cli_cache(int argc, char **argv)
{
    struct place p;
    int code;
    const struct verb *verb = argc ? verb_named(argv[0]) : NULL;
    if (!verb) {
        fprintf(stderr, USAGE "\n");
        return CLI_MISUSED;
    }
    argc--, argv++;
    const char *tag = verb->takes_tag ? take_tag(&argc, argv) : NULL;
    if (verb->takes_tag && !tag && argc && argv[0][0] != '-') {
        fprintf(stderr,
                "ollamamax cache flush: %s is no tag, which is model:NAME or node:ID; without one all is forgotten\n",
                argv[0]);
        return CLI_MISUSED;
    }
    return place_find(&argc, argv, &p, &code) ? verb->run(&p, tag) : code;
}
