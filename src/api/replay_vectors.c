/* api/replay_vectors.c - embeddings of /api/embed said on /v1/embeddings, and the reverse. The vectors are copied as
 * they stand; numbers that a dialect does not carry are left out. */
#include "api/replay_private.h"

static void put_model(struct replay *r, struct str name, struct text *out)
{
    text_put(out, name);
    text_put(out, r->to.model);
}

void replay_embed_whole(struct replay *r, struct json body, struct text *out)
{
    struct json all = json_get(body, STR("embeddings"));
    struct json_walk w = json_walk(all);
    unsigned long long tokens = replay_count(r->figures.prompt_tokens);
    text_put(out, STR("{\"object\":\"list\",\"data\":["));
    for (unsigned i = 0; json_next(&w); i++) {
        text_printf(out, "%s{\"object\":\"embedding\",\"embedding\":", i ? "," : "");
        text_put(out, w.value.raw);
        text_printf(out, ",\"index\":%u}", i);
    }
    put_model(r, STR("],\"model\":"), out);
    text_printf(out, ",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}}", tokens, tokens);
    if (all.kind != JSON_ARRAY)
        replay_fail(r, FAIL_bad_value);
}

/* In their order, as numbers: base64 is another thing. */
static bool is_next(struct json item, unsigned i)
{
    int64_t index;
    return json_get(item, STR("embedding")).kind == JSON_ARRAY && json_i64(json_get(item, STR("index")), &index) &&
           index == i;
}

void replay_v1_embeddings_whole(struct replay *r, struct json body, struct text *out)
{
    struct json all = json_get(body, STR("data"));
    struct json_walk w = json_walk(all);
    put_model(r, STR("{\"model\":"), out);
    text_put(out, STR(",\"embeddings\":["));
    for (unsigned i = 0; json_next(&w); i++) {
        if (!is_next(w.value, i))
            replay_fail(r, FAIL_bad_value);
        if (i)
            text_putc(out, ',');
        text_put(out, json_get(w.value, STR("embedding")).raw);
    }
    text_putc(out, ']');
    if (r->figures.prompt_tokens > 0)
        text_printf(out, ",\"prompt_eval_count\":%lld", (long long)r->figures.prompt_tokens);
    text_putc(out, '}');
    if (all.kind != JSON_ARRAY)
        replay_fail(r, FAIL_bad_value);
}
