/* sim/sim_kinds.c - what tells the other backends from Ollama: the probes of llama.cpp's server and of vLLM. */
#include "sim/sim.h"

static struct sim_model *first_model(struct simnode *n)
{
    struct list *l = list_first(&n->models);
    return l ? CONTAINER(l, struct sim_model, link) : NULL;
}

void sim_answer_health(struct sim_client *c, struct str body)
{
    if (c->node->kind == SIM_VLLM)
        sim_reply(c, 200, STR_NONE, STR_NONE);
    else
        sim_reply_json(c, STR("{\"status\":\"ok\"}"));
}

void sim_answer_props(struct sim_client *c, struct str body)
{
    struct sim_model *m = first_model(c->node);
    struct str name = m ? name_show(&m->name) : STR("none");
    text_printf(
        &c->record,
        "{\"default_generation_settings\":{\"n_ctx\":%u},\"total_slots\":%u,\"model_path\":\"/models/%.*s.gguf\","
        "\"modalities\":{\"vision\":false,\"audio\":false},\"chat_template\":\"{{ .Prompt }}\","
        "\"build_info\":\"b6700-simulated\",\"is_sleeping\":false}",
        m ? m->context : 0, c->node->slots, STR_ARG(name));
    sim_reply_json(c, text_str(&c->record));
}

void sim_answer_slots(struct sim_client *c, struct str body)
{
    struct sim_model *m = first_model(c->node);
    struct json_out j = { .to = &c->record };
    json_open(&j, '[');
    for (unsigned i = 0; m && i < m->n_slots; i++) {
        json_open(&j, '{');
        json_key(&j, "id");
        json_put_u64(&j, i);
        json_key(&j, "n_ctx");
        json_put_u64(&j, m->context);
        json_key(&j, "is_processing");
        json_put_bool(&j, !list_linked(&m->slots[i].free));
        json_close(&j);
    }
    json_close(&j);
    sim_reply_json(c, text_str(&c->record));
}

static void put_llamacpp(struct text *t, const struct simnode *n)
{
    text_printf(t, "# TYPE llamacpp:requests_processing gauge\nllamacpp:requests_processing %u\n", n->stats.active);
    text_printf(t, "# TYPE llamacpp:requests_deferred gauge\nllamacpp:requests_deferred %u\n", n->stats.queued);
    text_printf(t, "# TYPE llamacpp:prompt_tokens_seconds gauge\nllamacpp:prompt_tokens_seconds %g\n", n->prefill);
    text_printf(t, "# TYPE llamacpp:predicted_tokens_seconds gauge\nllamacpp:predicted_tokens_seconds %g\n", n->decode);
}

static void put_vllm(struct text *t, struct simnode *n)
{
    struct sim_model *m = first_model(n);
    struct str name = m ? name_show(&m->name) : STR("none");
    double full = m ? (double)m->active / m->n_slots : 0;
    static const char label[] = "{engine=\"0\",model_name=\"";
    text_printf(t, "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running%s%.*s\"} %u\n", label,
                STR_ARG(name), n->stats.active);
    text_printf(t, "# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting%s%.*s\"} %u\n", label,
                STR_ARG(name), n->stats.queued);
    text_printf(t, "# TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc%s%.*s\"} %g\n", label,
                STR_ARG(name), full);
    text_printf(t, "# TYPE vllm:generation_tokens_total counter\nvllm:generation_tokens_total%s%.*s\"} %llu\n", label,
                STR_ARG(name), (unsigned long long)n->stats.tokens);
}

void sim_answer_metrics(struct sim_client *c, struct str body)
{
    if (c->node->kind == SIM_VLLM)
        put_vllm(&c->record, c->node);
    else
        put_llamacpp(&c->record, c->node);
    sim_reply(c, 200, STR("text/plain; version=0.0.4"), text_str(&c->record));
}

void sim_answer_server_load(struct sim_client *c, struct str body)
{
    text_printf(&c->record, "{\"server_load\":%u}", c->node->stats.active + c->node->stats.queued);
    sim_reply_json(c, text_str(&c->record));
}
