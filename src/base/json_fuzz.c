/* base/json_fuzz.c - whatever the bytes: no overrun, both scanners agree, and what was read can be written and read
 * again. */
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct arena arena;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    arena_pools_init();
    buf_pools_init();
    return 0;
}

/* Not for text that is no UTF-8: there the writer puts other bytes. */
static bool is_replaced(struct str written)
{
    return str_find(written, STR("\xef\xbf\xbd")) >= 0;
}

static void write_and_read(struct json string)
{
    struct str text = json_text(&arena, string);
    struct text t = { 0 };
    json_quote(&t, text);
    struct json again = json_parse(text_str(&t), NULL);
    assume(again.kind == JSON_STRING && again.raw.n == text_str(&t).n);
    assume(is_replaced(text_str(&t)) || str_eq(json_text(&arena, again), text));
    text_free(&t);
}

static void look_at(struct json v, int depth)
{
    int64_t whole;
    double number;
    if (v.kind == JSON_STRING)
        write_and_read(v);
    if (json_i64(v, &whole))
        assume(json_f64(v, &number) || v.raw.n > 400);
    struct json_walk w = json_walk(v);
    while (depth > 0 && json_next(&w)) {
        assume(!w.object || json_key_is(w.key, STR("model")) || !json_key_is_exactly(w.key, STR("model")));
        look_at(w.value, depth - 1);
    }
    assume(depth == 0 || w.at == JSON_AT_END);
    json_get(v, STR("model"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str text = { (const char *)data, n }, rest;
    struct json v = json_parse(text, NULL), skimmed = json_skim(text, &rest);
    assume(v.kind == JSON_BAD || (v.kind == skimmed.kind && str_eq(v.raw, skimmed.raw)));
    assume(rest.p + rest.n == text.p + n);

    struct json_walk w = json_walk_text(text);
    while (json_next(&w)) {}
    bool container = skimmed.kind == JSON_OBJECT || skimmed.kind == JSON_ARRAY;
    assume(!container || (w.at == JSON_AT_END && w.rest.p == rest.p));

    look_at(skimmed, 4);
    arena_done(&arena);
    arena_init(&arena);
    return 0;
}
