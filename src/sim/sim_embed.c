/* sim/sim_embed.c - embeddings: vectors that follow from the text alone, so that whoever compares two answers can.
 *
 * /api/embed and /v1/embeddings give unit vectors, cut to `dimensions` and made unit again; the old /api/embeddings
 * gives one that is not normalised, as Ollama's does. openai-node asks for base64: little-endian 32-bit floats. */
#include "sim/sim.h"
#include <math.h>

#define DIMENSIONS_MAX 1024

static void make_vector(uint64_t hash, uint32_t n, double length, double out[DIMENSIONS_MAX])
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        out[i] = (double)(int64_t)(sim_mix(hash + i) >> 11) / (double)(1ll << 52) - 1;
        sum += out[i] * out[i];
    }
    for (uint32_t i = 0; i < n; i++)
        out[i] *= length / sqrt(sum > 0 ? sum : 1);
}

static void put_floats(struct text *t, const double *v, uint32_t n)
{
    text_putc(t, '[');
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            text_putc(t, ',');
        sim_put_f64(t, v[i]);
    }
    text_putc(t, ']');
}

static void put_base64(struct text *t, const double *v, uint32_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned char bytes[DIMENSIONS_MAX * 4 + 3] = { 0 };
    for (uint32_t i = 0; i < n; i++) {
        float f = (float)v[i];
        memcpy(bytes + (size_t)i * 4, &f, 4); /* little-endian, as all machines are that this is built for */
    }
    text_putc(t, '"');
    for (uint32_t i = 0; i < n * 4; i += 3) {
        uint32_t w = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
        char four[4] = { digits[w >> 18], digits[w >> 12 & 63], digits[w >> 6 & 63], digits[w & 63] };
        if (i + 1 >= n * 4)
            four[2] = '=';
        if (i + 2 >= n * 4)
            four[3] = '=';
        text_put(t, (struct str){ four, 4 });
    }
    text_putc(t, '"');
}

static void put_vector(struct text *t, const struct sim_run *r, uint32_t i, double length)
{
    double v[DIMENSIONS_MAX];
    make_vector(r->inputs[i], r->dimensions, length, v);
    if (r->base64)
        put_base64(t, v, r->dimensions);
    else
        put_floats(t, v, r->dimensions);
}

/* ---- voices ------------------------------------------------------------------------------------------------------ */

static void whole_embed(struct sim_client *c, struct text *t)
{
    struct sim_run *r = &c->run;
    r->base64 = false;
    text_printf(t, "{\"model\":%.*s,\"embeddings\":[", STR_ARG(r->echo));
    for (uint32_t i = 0; i < r->n_inputs; i++) {
        if (i)
            text_putc(t, ',');
        put_vector(t, r, i, 1);
    }
    text_putc(t, ']');
    if (r->ended > r->began)
        text_printf(t, ",\"total_duration\":%lld", (long long)(r->ended - r->began));
    if (r->loaded > r->began)
        text_printf(t, ",\"load_duration\":%lld", (long long)(r->loaded - r->began));
    if (r->n_inputs)
        text_printf(t, ",\"prompt_eval_count\":%u", r->prompt_tokens);
    text_putc(t, '}');
}

static void whole_embeddings(struct sim_client *c, struct text *t)
{
    struct sim_run *r = &c->run;
    r->base64 = false;
    text_put(t, STR("{\"embedding\":"));
    if (r->n_inputs)
        put_vector(t, r, 0, 20 + (double)(r->inputs[0] % 10));
    else
        text_put(t, STR("[]"));
    text_putc(t, '}');
}

static void whole_v1_embeddings(struct sim_client *c, struct text *t)
{
    const struct sim_run *r = &c->run;
    text_put(t, STR("{\"object\":\"list\",\"data\":["));
    for (uint32_t i = 0; i < r->n_inputs; i++) {
        text_put(t, i ? STR(",{\"object\":\"embedding\",\"embedding\":")
                      : STR("{\"object\":\"embedding\",\"embedding\":"));
        put_vector(t, r, i, 1);
        text_printf(t, ",\"index\":%u}", i);
    }
    text_printf(t, "],\"model\":%.*s,\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}}", STR_ARG(r->echo),
                r->prompt_tokens, r->prompt_tokens);
}

static const struct sim_voice embed = { .whole = whole_embed, .embeds = true };
static const struct sim_voice embeddings = { .whole = whole_embeddings, .embeds = true };
static const struct sim_voice v1_embeddings = { .whole = whole_v1_embeddings, .embeds = true };

void sim_answer_embed(struct sim_client *c, struct str body)
{
    sim_work_begin(c, body, &embed);
}

void sim_answer_embeddings(struct sim_client *c, struct str body)
{
    sim_work_begin(c, body, &embeddings);
}

void sim_answer_v1_embeddings(struct sim_client *c, struct str body)
{
    sim_work_begin(c, body, &v1_embeddings);
}
