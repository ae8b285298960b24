/* api/replay_fuzz.c - the first two bytes choose the way, the rest is an answer. Cut into other pieces it must be said
 * in the same way; what is said must end as its dialect ends, and can be said once more. */
#include "api/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    arena_pools_init();
    buf_pools_init();
    return 0;
}

static enum fail replay(const struct replay_from *from, const struct replay_to *to, struct str in, size_t step,
                        struct text *out)
{
    struct replay r;
    enum fail f = OK;
    replay_init(&r, from, to);
    for (; in.n && !f; in = str_drop(in, step))
        f = replay_take(&r, str_take(in, step), out);
    if (!f)
        f = replay_end(&r, out);
    replay_done(&r);
    return f;
}

static enum record_form form_of(const struct route *route, bool stream)
{
    return !stream ? FORM_WHOLE : route->dialect == DIALECT_OLLAMA ? FORM_NDJSON : FORM_SSE;
}

/* What was made of records, and not only renamed, is well formed and itself an answer. */
static void say_again(const struct replay_from *from, const struct replay_to *to, struct str said)
{
    enum record_form form = record_form_of(replay_type(to));
    struct replay_from next = { to->route, form };
    struct replay_to whole = *to;
    struct text again = { 0 };
    struct figures figures;
    figures_clear(&figures);
    enum record_mark mark = form == FORM_WHOLE ? record_look_whole(to->route->dialect, said, &figures, NULL)
                                               : record_look(to->route->dialect, form, said, &figures, NULL);
    if (from->form == form && from->route == to->route)
        return;
    assume(mark == MARK_DONE);
    whole.stream = false;
    enum fail f = replay(&next, &whole, said, SIZE_MAX, &again);
    assume(!f || f == FAIL_bad_value);
    if (!f)
        assume(json_parse(text_str(&again), NULL).kind == JSON_OBJECT);
    text_free(&again);
}

static struct str skip_ends(struct str s)
{
    while (s.n && (*s.p == '\n' || *s.p == '\r'))
        s = str_drop(s, 1);
    return s;
}

/* A chunk that is left out may leave empty lines that came behind it, if they were not yet there. */
static bool say_the_same(struct str a, struct str b)
{
    for (a = skip_ends(a), b = skip_ends(b); a.n && b.n; a = skip_ends(str_drop(a, 1)), b = skip_ends(str_drop(b, 1)))
        if (*a.p != *b.p)
            return false;
    return a.n == b.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const enum route_id ways[][2] = {
        {ROUTE_chat,            ROUTE_chat          },
        { ROUTE_generate,       ROUTE_generate      },
        { ROUTE_v1_chat,        ROUTE_v1_chat       },
        { ROUTE_v1_completions, ROUTE_v1_completions},
        { ROUTE_v1_messages,    ROUTE_v1_messages   },
        { ROUTE_v1_responses,   ROUTE_v1_responses  },
        { ROUTE_chat,           ROUTE_v1_chat       },
        { ROUTE_v1_chat,        ROUTE_chat          },
        { ROUTE_embed,          ROUTE_v1_embeddings },
        { ROUTE_v1_embeddings,  ROUTE_embed         },
        { ROUTE_embed,          ROUTE_embed         },
    };
    if (n < 2)
        return 0;
    const enum route_id *way = ways[data[0] % ARRAY_LEN(ways)];
    struct replay_from from = { route_row(way[0]), form_of(route_row(way[0]), data[1] & 1) };
    struct replay_to to = { .route = route_row(way[1]),
                            .stream = data[1] & 2,
                            .wants_usage = data[1] & 4,
                            .model = STR("\"m\""),
                            .wall = SECOND(1700000000),
                            .chance = 5 };
    struct str in = { (const char *)data + 2, n - 2 };
    struct text one = { 0 }, other = { 0 };
    enum fail f = replay(&from, &to, in, SIZE_MAX, &one), g = replay(&from, &to, in, 1 + data[1] / 8, &other);
    assume(f == g);
    if (!f) {
        assume(say_the_same(text_str(&one), text_str(&other)));
        say_again(&from, &to, text_str(&one));
    }
    text_free(&one);
    text_free(&other);
    return 0;
}
