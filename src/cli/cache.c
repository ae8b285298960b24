/* cli/cache.c - the response cache of a running gateway, for people: what it has answered and spared; and forgetting,
 * all of it or what is of one model or node. */
#include "base/json.h"
#include "cli/ask.h"
#include "cli/cli.h"
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

static const struct {
    const char *key, *says;
} figures[] = {
    {"enabled",            "switched on"                                    },
    { "entries",           "answers kept"                                   },
    { "bytes",             "bytes they take, with the index"                },
    { "size",              "bytes they may take"                            },
    { "flights",           "answers on their way"                           },
    { "requests",          "requests that looked"                           },
    { "hits",              "  answered from memory"                         },
    { "stale",             "  with an old answer, while a new one came"     },
    { "joined",            "  followed an answer on its way"                },
    { "misses",            "  asked a node, for all"                        },
    { "passed",            "  asked a node alone"                           },
    { "hit_ratio",         "share that asked no node"                       },
    { "best_possible",     "share that a cache without end could have given"},
    { "saved_gpu_s",       "seconds of nodes' work spared"                  },
    { "saved_tokens",      "tokens that no node had to write"               },
    { "evicted",           "answers that went for others"                   },
    { "expired",           "answers that grew too old"                      },
    { "forgotten",         "answers forgotten because something changed"    },
    { "not_worth_keeping", "answers cheaper than those they would push out" },
    { "rescues",           "old answers given because no node could"        },
};

/* Names of ours, which need no escapes. */
static struct str bare(struct json name)
{
    return name.kind == JSON_STRING ? str_take(str_drop(name.raw, 1), name.raw.n - 2) : name.raw;
}

static void put_routes(struct text *t, struct json routes)
{
    struct json_walk w = json_walk(routes);
    for (bool first = true; json_next(&w); first = false)
        text_printf(t, "%s%-28.*s %12.*s %9.*s\n",
                    first ? "\nroute                            requests     share\n" : "",
                    STR_ARG(bare(json_get(w.value, STR("route")))), STR_ARG(json_get(w.value, STR("requests")).raw),
                    STR_ARG(json_get(w.value, STR("hit_ratio")).raw));
}

static int stats(const struct place *p, const char *unused)
{
    struct buf body = { 0 };
    struct json all;
    struct text t = { 0 };
    bool told = ask(ask_place, p, "/api/cache", &body, &all);
    for (size_t i = 0; told && i < ARRAY_LEN(figures); i++)
        text_printf(&t, "%-50s %12.*s\n", figures[i].says, STR_ARG(json_get(all, str_of(figures[i].key)).raw));
    if (told)
        put_routes(&t, json_get(all, STR("by_route")));
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
    if (told)
        text_printf(&t, "%.*s answers forgotten\n", STR_ARG(json_get(all, STR("forgotten")).raw));
    text_free(&path);
    buf_free(&body);
    return told ? cli_print(&t) : CLI_FAILED;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *word;
    int (*run)(const struct place *p, const char *tag);
    bool takes_tag;
} verbs[] = {
    {"stats",  stats, false},
    { "flush", flush, true },
};

int cli_cache(int argc, char **argv)
{
    struct place p;
    int code;
    for (size_t i = 0; argc && i < ARRAY_LEN(verbs); i++) {
        const char *tag = NULL;
        if (strcmp(argv[0], verbs[i].word) != 0)
            continue;
        argc--, argv++;
        if (verbs[i].takes_tag && argc && argv[0][0] != '-') {
            tag = argv[0];
            argc--, argv++;
        }
        return place_find(&argc, argv, &p, &code) ? verbs[i].run(&p, tag) : code;
    }
    fprintf(stderr, "ollamamax cache stats | flush [model:NAME | node:ID]\n");
    return CLI_MISUSED;
}
