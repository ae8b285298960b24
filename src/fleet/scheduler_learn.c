/* fleet/scheduler_learn.c - what ends teach: rates of node and model, lengths of answers, load rates; slots:
 * scheduler_slots.c.
 *
 * Rates are kept as seconds per token (what a choice multiplies with), as averages over the last 16 or so. A pair that
 * has shown nothing yet takes the model's average of a node of weight 1, divided by its weight; a model that has shown
 * nothing takes the settings'. Lengths are averages by model and octave of the prompt; a class with fewer than 8
 * answers leans on the model's. */
#include "fleet/scheduler_state.h"
#include <math.h>

#define REMEMBERED         16
#define REMEMBERED_LENGTHS 256.0f
#define FEW_LENGTHS        8.0f

/* ---- lengths of answers ----------------------------------------------------------------------------------------- */

static uint32_t length_class(uint32_t prompt)
{
    return prompt ? MIN(32u - (uint32_t)__builtin_clz(prompt), LENGTHS - 1) : 0;
}

uint32_t learn_output(const struct scheduler *s, uint32_t model, uint32_t prompt)
{
    const struct model *m = &s->model[model];
    float prior = (float)s->settings.output;
    float all = m->output[LENGTHS].n > 0 ? m->output[LENGTHS].mean : prior;
    float n = fminf(m->output[length_class(prompt)].n, FEW_LENGTHS);
    float mine = m->output[length_class(prompt)].mean;
    return (uint32_t)((mine * n + all * (FEW_LENGTHS - n)) / FEW_LENGTHS);
}

static void length_add(struct model *m, uint32_t class, uint32_t output)
{
    m->output[class].n = fminf(m->output[class].n + 1, REMEMBERED_LENGTHS);
    m->output[class].mean += ((float)output - m->output[class].mean) / m->output[class].n;
}

/* ---- rates ------------------------------------------------------------------------------------------------------ */

static void average(float *mean, double sample, uint32_t seen)
{
    *mean += (float)((sample - (double)*mean) / MIN(seen, REMEMBERED));
}

void learn_prior(struct scheduler *s, uint32_t node, uint32_t model)
{
    size_t at = at_pair(s, node, model);
    if (s->pair[at].seen)
        return;
    s->prefill_s[at] = s->model[model].prefill_s / s->weight[node];
    s->decode_s[at] = s->model[model].decode_s / s->weight[node];
}

static void learn_rates(struct scheduler *s, uint32_t node, uint32_t model, double prefill, double decode)
{
    size_t at = at_pair(s, node, model);
    struct pair *p = &s->pair[at];
    struct model *m = &s->model[model];
    double weight = (double)s->weight[node];
    p->seen++, m->seen++;
    if (prefill > 0) {
        average(&s->prefill_s[at], prefill, p->seen);
        average(&m->prefill_s, prefill * weight, m->seen);
    }
    if (decode > 0) {
        average(&s->decode_s[at], decode, p->seen);
        average(&m->decode_s, decode * weight, m->seen);
    }
}

void learn_load(struct scheduler *s, uint32_t node, uint32_t model, double took)
{
    struct pair *p = &s->pair[at_pair(s, node, model)];
    if (took > 0 && s->model[model].bytes)
        average(&p->load_s, took / (double)s->model[model].bytes, ++p->loads_seen);
}

/* ---- a first token ---------------------------------------------------------------------------------------------- */

static bool sends(const struct job *j)
{
    return j->first > 0 && !j->stopping;
}

void learn_first(struct scheduler *s, struct job *j, double now)
{
    uint32_t beside = 1;
    for (uint32_t l = s->machine[j->node].leases; l != NONE; l = s->job[l].next)
        if (&s->job[l] != j && s->job[l].model == j->model && sends(&s->job[l]))
            beside++;
    j->first = now;
    j->expected_end = now + (double)s->decode_s[at_pair(s, j->node, j->model)] * j->output;
    slots_first(s, j, beside);
}

/* ---- an end ----------------------------------------------------------------------------------------------------- */

void learn_end(struct scheduler *s, const struct job *j, const struct scheduler_figures *f, double now)
{
    struct model *m = &s->model[j->model];
    if (f->failed) {
        fault_add(s, j->node, j->model, now);
        return;
    }
    fault_good(s, j->node, j->model, now);
    double prefill = f->prefill_tokens && f->prefill_took ? (double)f->prefill_took / 1e9 / f->prefill_tokens : 0;
    double decode = f->output_tokens && f->decode_took ? (double)f->decode_took / 1e9 / f->output_tokens : 0;
    learn_rates(s, j->node, j->model, prefill, decode);
    stop_learn(s, j, f);
    slots_learn(s, j, f, now);
    if (f->output_tokens) {
        length_add(m, length_class(j->prompt), f->output_tokens);
        length_add(m, LENGTHS, f->output_tokens);
    }
    ewma_learn(s, j->node, now - j->granted, now);
}
