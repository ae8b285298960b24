/* cache/key_fuzz.c - the first byte chooses the route and the reader; the rest is a body. What has a key has it again
 * with blanks between its tokens and other presentation, and another one with another tenant. */
#include "base/json.h"
#include "cache/cache.h"
#include "cache/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct arena arena;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    arena_pools_init();
    buf_pools_init();
    return 0;
}

/* The object with another member in front, and blanks about its members. */
static struct str respell(struct text *t, struct str body, struct str first)
{
    struct json_walk w = json_walk_text(body);
    text_put(t, STR("{ "));
    text_put(t, first);
    while (json_next(&w)) {
        text_put(t, STR(" ,\n"));
        text_put(t, w.key);
        text_put(t, STR("\t:\r"));
        text_put(t, w.value.raw);
    }
    text_put(t, STR(" }"));
    return text_str(t);
}

static void try_again(struct key_ask ask, const struct cache_key *key)
{
    struct cache_key again;
    struct text t = { 0 };
    ask.body = respell(&t, ask.body, STR("\"stream\":true"));
    enum fail f = key_of(&ask, &arena, &again);
    assume(!f && memcmp(key, &again, sizeof again) == 0);
    ask.tenant = STR("other");
    f = key_of(&ask, &arena, &again);
    assume(!f && memcmp(key, &again, sizeof again) != 0);
    text_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const enum route_id routes[] = { ROUTE_generate,      ROUTE_chat,         ROUTE_embed,
                                            ROUTE_embeddings,    ROUTE_v1_chat,      ROUTE_v1_completions,
                                            ROUTE_v1_embeddings, ROUTE_v1_responses, ROUTE_v1_messages };
    struct cache_key key;
    if (n == 0)
        return 0;
    struct key_ask ask = {
        .route = route_row(routes[(data[0] >> 1) % ARRAY_LEN(routes)]),
        .body = {(const char *)data + 1, n - 1},
        .digest = STR("d"),
        .reader = data[0] & 1 ? KEY_READ_TO_THE_LETTER : KEY_READ_AS_GO
    };
    if (key_of(&ask, &arena, &key) == OK)
        try_again(ask, &key);
    arena_done(&arena);
    arena_init(&arena);
    return 0;
}
