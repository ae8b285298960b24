/* sim/sim_read.c - a request for model work, refused as Ollama refuses it or made into a run.
 *
 * The order of the checks is Ollama's, since clients see which of two errors wins: body, fields, model name, model,
 * ability, and only then the empty prompt that loads or unloads. Texts are from its server/routes.go and
 * middleware/openai.go (2026-08), api/types.go for the types of options. */
#include "api/options.h"
#include "sim/sim.h"
#include <xxhash.h>
#include <zstd.h>

#define UNPACKED_MAX MIB(20)
#define CONTEXT_MAX  131072

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

static bool unpack(struct text *into, struct str packed)
{
    char piece[KIB(8)];
    ZSTD_inBuffer in = { packed.p, packed.n, 0 };
    ZSTD_DCtx *z = ZSTD_createDCtx();
    size_t left = z ? 1 : 0;
    bool good = z != NULL;
    while (good && left > 0) {
        ZSTD_outBuffer out = { piece, sizeof piece, 0 };
        left = ZSTD_decompressStream(z, &out, &in);
        good = !ZSTD_isError(left) && !(in.pos == in.size && out.pos == 0 && left > 0);
        text_put(into, (struct str){ piece, out.pos });
        good = good && text_str(into).n <= UNPACKED_MAX;
    }
    ZSTD_freeDCtx(z);
    return good && !into->failed;
}

static bool unpack_body(struct sim_client *c, struct str *body)
{
    struct text plain = { 0 };
    if (!str_eq_nocase(c->encoding, STR("zstd")) || !(c->route->flags & ROUTE_ZSTD))
        return true;
    bool good = unpack(&plain, *body);
    if (good)
        *body = str_dup(&c->arena, text_str(&plain));
    text_free(&plain);
    if (!good)
        sim_reply_error(c, 400, "failed to decompress zstd body");
    return good;
}

bool sim_read_body(struct sim_client *c, struct str body, struct peek *out)
{
    struct str detail;
    enum fail f = c->route->model_in == IN_MULTIPART ? peek_multipart(c->content_type, body, &c->arena, out, &detail)
                                                     : peek_body(c->route, body, &c->arena, out, &detail);
    if (f)
        sim_reply_fail(c, f, detail);
    return f == OK;
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

enum option_type { OF_FLOAT, OF_INTEGER, OF_BOOLEAN, OF_ARRAY };
static const struct {
    struct str key;
    enum option_type type;
} options[] = {
    {{ "temperature", 11 },        OF_FLOAT  },
    { { "top_p", 5 },              OF_FLOAT  },
    { { "min_p", 5 },              OF_FLOAT  },
    { { "typical_p", 9 },          OF_FLOAT  },
    { { "repeat_penalty", 14 },    OF_FLOAT  },
    { { "presence_penalty", 16 },  OF_FLOAT  },
    { { "frequency_penalty", 17 }, OF_FLOAT  },
    { { "num_ctx", 7 },            OF_INTEGER},
    { { "num_predict", 11 },       OF_INTEGER},
    { { "num_keep", 8 },           OF_INTEGER},
    { { "num_batch", 9 },          OF_INTEGER},
    { { "num_gpu", 7 },            OF_INTEGER},
    { { "num_thread", 10 },        OF_INTEGER},
    { { "seed", 4 },               OF_INTEGER},
    { { "top_k", 5 },              OF_INTEGER},
    { { "repeat_last_n", 13 },     OF_INTEGER},
    { { "use_mmap", 8 },           OF_BOOLEAN},
    { { "stop", 4 },               OF_ARRAY  },
};
static const char *const type_names[] = { "float32", "integer", "boolean", "array" };

static bool has_type(struct json v, enum option_type type)
{
    switch (type) {
    case OF_FLOAT:
    case OF_INTEGER: return v.kind == JSON_NUMBER;
    case OF_BOOLEAN: return v.kind == JSON_TRUE || v.kind == JSON_FALSE;
    case OF_ARRAY: return v.kind == JSON_ARRAY;
    }
    return false;
}

/* Unknown ones are ignored. */
static bool options_are_good(struct sim_client *c, struct json given)
{
    struct json_walk w = json_walk(given);
    while (json_next(&w))
        for (size_t i = 0; i < ARRAY_LEN(options); i++)
            if (json_key_is_exactly(w.key, options[i].key) && w.value.kind != JSON_NULL &&
                !has_type(w.value, options[i].type)) {
                sim_reply_error(c, 500, "option \"%.*s\" must be of type %s", STR_ARG(options[i].key),
                                type_names[options[i].type]);
                return false;
            }
    return true;
}

static bool is_empty_array(struct json v)
{
    struct json_walk w = json_walk(v);
    return v.kind != JSON_ARRAY || !json_next(&w);
}

/* What a dialect insists on before it looks for the model. */
static const char *missing_field(const struct sim_client *c, const struct peek *p)
{
    switch (c->route->id) {
    case ROUTE_v1_messages:
        if (p->model.n == 0)
            return "model is required";
        if (p->max_tokens == 0)
            return "max_tokens is required and must be positive";
        return is_empty_array(p->messages) ? "messages is required" : NULL;
    case ROUTE_v1_chat: return is_empty_array(p->messages) ? "[] is too short - 'messages'" : NULL;
    case ROUTE_v1_embeddings: return p->inputs == 0 ? "invalid input" : NULL;
    case ROUTE_chat:
    case ROUTE_embeddings: return p->model.n == 0 ? "model is required" : NULL;
    default: return NULL;
    }
}

static bool fields_are_good(struct sim_client *c, const struct peek *p)
{
    struct sim_run *r = &c->run;
    const char *missing = missing_field(c, p);
    if (missing) {
        sim_reply_error(c, 400, "%s", missing);
        return false;
    }
    if (keep_alive_read(p->keep_alive, &r->keep_set, &r->keep)) {
        sim_reply_error(c, 400, "time: missing unit in duration %.*s", STR_ARG(p->keep_alive.raw));
        return false;
    }
    return options_are_good(c, p->options);
}

/* ---- the model --------------------------------------------------------------------------------------------------- */

static bool is_for_vectors(enum route_id id)
{
    return id == ROUTE_embed || id == ROUTE_embeddings || id == ROUTE_v1_embeddings;
}

static void no_model(struct sim_client *c, struct str name)
{
    struct name parsed;
    if (c->node->kind != SIM_OLLAMA)
        sim_reply_error(c, 404, "The model `%.*s` does not exist.", STR_ARG(name));
    else if (name.n && name_parse(name, &parsed))
        sim_reply_error(c, 400, "invalid model name");
    else if (is_for_vectors(c->route->id))
        sim_reply_error(c, 404, "model \"%.*s\" not found, try pulling it first", STR_ARG(name));
    else
        sim_reply_error(c, 404, "model '%.*s' not found", STR_ARG(name));
}

static bool find_model(struct sim_client *c, const struct peek *p)
{
    struct sim_run *r = &c->run;
    r->model = sim_model_find(c->node, p->model);
    if (!r->model) {
        no_model(c, p->model);
        return false;
    }
    if (is_for_vectors(c->route->id) || r->model->can & CAN_COMPLETE)
        return true;
    sim_reply_error(c, 400, "\"%.*s\" does not support %s", STR_ARG(p->model),
                    c->route->id == ROUTE_generate ? "generate" : "chat");
    r->model = NULL;
    return false;
}

/* The usual context follows from the card, and the model has the last word. */
static uint32_t context_of(const struct sim_client *c, const struct peek *p)
{
    const struct sim_run *r = &c->run;
    uint64_t vram = c->node->vram;
    int64_t wanted = vram < 23ull << 30 ? 4096 : vram < 47ull << 30 ? 32768 : 262144;
    if (c->node->kind != SIM_OLLAMA)
        return r->model->context;
    (void)json_i64(p->num_ctx, &wanted);
    return (uint32_t)MIN(MAX(wanted, 4), r->model->can & CAN_EMBED ? 2048 : CONTEXT_MAX);
}

/* The context has been seen to: it counts as what it comes to, the others as what they say. */
static uint64_t manner_of(const struct sim_client *c, const struct peek *p, struct str body)
{
    struct options o;
    options_read(&o, p, body);
    struct str others = str_drop(options_text(&o), 1);
    if (str_starts(others, STR("\"num_ctx\":")))
        str_cut(&others, ',');
    bool none = c->node->kind != SIM_OLLAMA || (!others.n && o.shift == TRI_UNSET);
    return none ? 0 : XXH3_64bits_withSeed(others.p, others.n, (uint64_t)o.shift + 1);
}

/* ---- the run ----------------------------------------------------------------------------------------------------- */

static struct json prompt_of(const struct peek *p)
{
    if (p->messages.kind == JSON_ARRAY)
        return p->messages;
    return p->prompt.kind != JSON_BAD ? p->prompt : p->input;
}

static uint64_t hash_of(const struct sim_run *r, struct str text)
{
    struct str key = name_key(&r->model->name);
    return XXH3_64bits_withSeed(text.p, text.n, XXH3_64bits(key.p, key.n));
}

static enum fail take_inputs(struct sim_client *c, const struct peek *p)
{
    struct sim_run *r = &c->run;
    struct json in = c->route->id == ROUTE_embeddings ? p->prompt : p->input;
    r->one_input = in.kind == JSON_STRING;
    r->n_inputs = p->inputs;
    r->inputs = arena_array(&c->arena, uint64_t, MAX(p->inputs, 1u));
    if (!r->inputs)
        return FAIL_no_memory;
    if (r->one_input)
        r->inputs[0] = hash_of(r, in.raw);
    struct json_walk w = json_walk(in);
    for (uint32_t i = 0; !r->one_input && i < p->inputs && json_next(&w); i++)
        r->inputs[i] = hash_of(r, w.value.raw);
    return OK;
}

static void take_vector_fields(struct sim_client *c, struct str body)
{
    struct sim_run *r = &c->run;
    struct json whole = json_parse(body, NULL);
    int64_t n = 0;
    r->dimensions = r->model->dimensions;
    if (json_i64(json_get(whole, STR("dimensions")), &n) && n > 0 && n < (int64_t)r->dimensions)
        r->dimensions = (uint32_t)n;
    r->base64 = str_eq(json_get(whole, STR("encoding_format")).raw, STR("\"base64\""));
}

static bool is_too_long(const struct sim_run *r, struct str body)
{
    return r->prompt_tokens > r->context && json_get(json_parse(body, NULL), STR("truncate")).kind == JSON_FALSE;
}

static void fill_run(struct sim_client *c, const struct peek *p, struct str body)
{
    struct sim_run *r = &c->run;
    struct str prompt = prompt_of(p).raw;
    r->echo = p->model_raw.n && *p->model_raw.p == '"' ? str_dup(&c->arena, p->model_raw) : STR("\"\"");
    r->stream = p->stream == TRI_TRUE || (p->stream == TRI_UNSET && c->route->flags & ROUTE_STREAMS);
    r->wants_usage = p->wants_usage;
    r->raw = p->raw;
    r->prompt = prompt;
    r->hash = hash_of(r, sim_words_asked(&c->arena, prompt, &r->begun));
    r->prompt_tokens = (uint32_t)MAX(MIN(p->text_bytes / 4, UINT32_MAX), 1);
    r->context = context_of(c, p);
    r->manner = manner_of(c, p, body);
    r->only_load = p->empty_prompt || (c->route->id == ROUTE_v1_completions && str_eq(prompt, STR("\"\"")));
    r->stream = r->stream && !r->only_load; /* one object, whatever was asked for */
}

static enum fail plan(struct sim_client *c, const struct peek *p, struct str body)
{
    struct sim_run *r = &c->run;
    if (!r->voice->embeds)
        return r->only_load ? OK : sim_words_plan(c, p, body);
    r->stream = false;
    r->only_load = p->inputs == 0;
    take_vector_fields(c, body);
    return take_inputs(c, p);
}

/* keep_alive 0 and nothing to say: the model is sent away, and never loaded for it. */
static bool is_unload(const struct sim_run *r)
{
    return r->only_load && r->keep_set && r->keep == 0 && !r->voice->embeds;
}

static void answer_unload(struct sim_client *c)
{
    struct sim_run *r = &c->run;
    struct sim_model *m = r->model;
    r->stage = RUN_NONE;
    r->stream = false;
    r->began = r->loaded = r->prefilled_from = r->decoded_from = r->ended = sim_now(c);
    r->voice->whole(c, &c->record);
    r->model = NULL;
    if (m->residency == MODEL_LOADED)
        sim_model_keep(m, 0);
    sim_reply_json(c, text_str(&c->record));
}

void sim_work_begin(struct sim_client *c, struct str body, const struct sim_voice *v)
{
    struct sim_run *r = &c->run;
    struct peek p;
    *r = (struct sim_run){ .voice = v };
    if (!unpack_body(c, &body) || !sim_read_body(c, body, &p) || !fields_are_good(c, &p) || !find_model(c, &p))
        return;
    fill_run(c, &p, body);
    enum fail f = plan(c, &p, body);
    if (f == FAIL_bad_value)
        sim_reply_error(c, 400, "\"%.*s\" does not support thinking", STR_ARG(p.model));
    else if (f || !r->echo.p)
        sim_reply_fail(c, FAIL_no_memory, STR_NONE);
    else if (v->embeds && is_too_long(r, body))
        sim_reply_error(c, 400, "the input length exceeds the context length");
    else if (is_unload(r))
        answer_unload(c);
    else
        sim_run_start(c);
}
