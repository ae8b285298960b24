/* sim/sim_views.c - what a simulated node says about itself and its models: tags, ps, show, /v1/models and the rest. */
#include "sim/sim.h"
#include <stdio.h>

/* ---- members ----------------------------------------------------------------------------------------------------- */

static void put_size(struct json_out *j, const struct sim_model *m)
{
    char text[32];
    uint32_t millions = sim_model_parameters(m);
    int n = millions >= 1000 ? snprintf(text, sizeof text, "%.1fB", millions / 1000.0)
                             : snprintf(text, sizeof text, "%uM", millions);
    json_key(j, "parameter_size");
    json_put_str(j, (struct str){ text, (size_t)n });
}

static void put_text(struct json_out *j, const char *key, struct str text)
{
    json_key(j, key);
    json_put_str(j, text);
}

static void put_number(struct json_out *j, const char *key, uint64_t v)
{
    json_key(j, key);
    json_put_u64(j, v);
}

static void put_time(struct json_out *j, const char *key, nsec wall)
{
    struct text t = { 0 };
    sim_put_stamp(&t, wall);
    json_key(j, key);
    json_put_raw(j, text_str(&t));
    text_free(&t);
}

static void put_details(struct json_out *j, const struct sim_model *m)
{
    json_key(j, "details");
    json_open(j, '{');
    put_text(j, "parent_model", STR(""));
    put_text(j, "format", STR("gguf"));
    put_text(j, "family", STR("simulated"));
    json_key(j, "families");
    json_put_raw(j, STR("[\"simulated\"]"));
    put_size(j, m);
    put_text(j, "quantization_level", STR("Q4_K_M"));
    json_close(j);
}

static void put_abilities(struct json_out *j, const struct sim_model *m)
{
    static const struct {
        unsigned can;
        struct str word;
    } words[] = {
        {CAN_COMPLETE,   { "completion", 10 }},
        { CAN_USE_TOOLS, { "tools", 5 }      },
        { CAN_INSERT,    { "insert", 6 }     },
        { CAN_THINK,     { "thinking", 8 }   },
        { CAN_EMBED,     { "embedding", 9 }  },
    };
    json_key(j, "capabilities");
    json_open(j, '[');
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (m->can & words[i].can)
            json_put_str(j, words[i].word);
    json_close(j);
}

static void put_identity(struct json_out *j, const struct sim_model *m)
{
    struct str name = name_show(&m->name);
    json_open(j, '{');
    put_text(j, "name", name);
    put_text(j, "model", name);
}

static void reply_record(struct sim_client *c)
{
    sim_reply_json(c, text_str(&c->record));
}

/* ---- liveness and identity --------------------------------------------------------------------------------------- */

void sim_answer_root(struct sim_client *c, struct str body)
{
    sim_reply(c, 200, TYPE_TEXT, STR("Ollama is running"));
}

void sim_answer_version(struct sim_client *c, struct str body)
{
    bool vllm = c->node->kind == SIM_VLLM;
    sim_reply_json(c, vllm ? STR("{\"version\":\"0.11.0\"}") : STR("{\"version\":\"" SIM_VERSION "\"}"));
}

void sim_answer_cloud_status(struct sim_client *c, struct str body)
{
    sim_reply_json(c, STR("{\"cloud\":{\"disabled\":false,\"source\":\"none\"}}"));
}

void sim_answer_not_signed_in(struct sim_client *c, struct str body)
{
    text_printf(&c->record,
                "{\"error\":\"unauthorized\",\"signin_url\":\"https://ollama.com/connect?name=%s&key=simulated\"}",
                c->node->label);
    sim_reply(c, 401, TYPE_JSON, text_str(&c->record));
}

void sim_answer_recommendations(struct sim_client *c, struct str body)
{
    sim_reply_json(c, STR("{\"recommendations\":[]}"));
}

/* ---- tags and ps ------------------------------------------------------------------------------------------------- */

static void put_tag(struct json_out *j, const struct sim_model *m)
{
    put_identity(j, m);
    put_time(j, "modified_at", m->modified);
    put_number(j, "size", m->size);
    put_text(j, "digest", (struct str){ m->digest, 64 });
    put_details(j, m);
    put_abilities(j, m);
    json_close(j);
}

void sim_answer_tags(struct sim_client *c, struct str body)
{
    struct json_out j = { .to = &c->record };
    json_open(&j, '{');
    json_key(&j, "models");
    json_open(&j, '[');
    list_each (l, &c->node->models)
        put_tag(&j, CONTAINER(l, struct sim_model, link));
    json_close(&j);
    json_close(&j);
    reply_record(c);
}

/* While it is in use, Ollama tells when it would go if the work ended now. */
static nsec expiry_of(const struct sim_model *m)
{
    if (m->keep_alive == NEVER)
        return NEVER;
    return sim_is_idle(m) ? m->expires : loop_now(m->node->loop) + m->keep_alive;
}

static void put_expiry(struct json_out *j, const struct sim_model *m)
{
    struct loop *l = m->node->loop;
    if (expiry_of(m) == NEVER)
        put_text(j, "expires_at", STR("2318-01-01T00:00:00Z"));
    else
        put_time(j, "expires_at", loop_wall(l) + expiry_of(m) - loop_now(l));
}

static void put_loaded(struct json_out *j, const struct sim_model *m)
{
    put_identity(j, m);
    put_number(j, "size", m->size);
    put_text(j, "digest", (struct str){ m->digest, 64 });
    put_details(j, m);
    put_expiry(j, m);
    put_number(j, "size_vram", sim_model_vram(m));
    put_number(j, "context_length", m->context);
    json_close(j);
}

/* The loaded one that leaves latest of those that leave before `last`, or with it and stand behind it. */
static struct sim_model *next_by_expiry(struct simnode *n, const struct sim_model *last)
{
    struct sim_model *found = NULL;
    bool passed = last == NULL;
    list_each (l, &n->models) {
        struct sim_model *m = CONTAINER(l, struct sim_model, link);
        bool behind = !last || expiry_of(m) < expiry_of(last) || (expiry_of(m) == expiry_of(last) && passed);
        passed = passed || m == last;
        if (m->residency == MODEL_LOADED && m != last && behind && (!found || expiry_of(m) > expiry_of(found)))
            found = m;
    }
    return found;
}

void sim_answer_ps(struct sim_client *c, struct str body)
{
    struct json_out j = { .to = &c->record };
    json_open(&j, '{');
    json_key(&j, "models");
    json_open(&j, '[');
    for (struct sim_model *m = NULL; (m = next_by_expiry(c->node, m));)
        put_loaded(&j, m);
    json_close(&j);
    json_close(&j);
    reply_record(c);
}

/* ---- show -------------------------------------------------------------------------------------------------------- */

static void put_info(struct json_out *j, const struct sim_client *c, const struct sim_model *m, struct str asked)
{
    bool copilot = str_starts(c->user_agent, STR("GitHubCopilotChat/"));
    json_key(j, "model_info");
    json_open(j, '{');
    put_text(j, "general.architecture", STR("simulated"));
    put_text(j, "general.basename", copilot ? asked : name_show(&m->name));
    put_number(j, "general.parameter_count", sim_model_parameters(m) * 1000000ull);
    put_number(j, "simulated.context_length", m->can & CAN_EMBED ? 2048 : 131072);
    put_number(j, "simulated.embedding_length", m->dimensions);
    json_close(j);
}

void sim_answer_show(struct sim_client *c, struct str body)
{
    struct peek p;
    if (!sim_read_body(c, body, &p))
        return;
    struct name name;
    enum fail f = name_parse(p.model, &name);
    if (f) {
        sim_reply_fail(c, f, STR_NONE);
        return;
    }
    struct sim_model *m = map_get(&c->node->by_key, name_key(&name));
    if (!m) {
        sim_reply_error(c, 404, "model '%.*s' not found", STR_ARG(name_show(&name)));
        return;
    }
    struct json_out j = { .to = &c->record };
    json_open(&j, '{');
    put_text(&j, "license", STR("Nobody's: this model is simulated."));
    put_text(&j, "modelfile", STR("FROM simulated\nTEMPLATE {{ .Prompt }}\n"));
    put_text(&j, "parameters", STR("stop                           \"<|end|>\""));
    put_text(&j, "template", STR("{{ .Prompt }}"));
    put_details(&j, m);
    put_info(&j, c, m, p.model);
    put_abilities(&j, m);
    put_time(&j, "modified_at", m->modified);
    json_close(&j);
    reply_record(c);
}

/* ---- /v1/models -------------------------------------------------------------------------------------------------- */

static void put_v1_model(struct json_out *j, const struct sim_client *c, const struct sim_model *m, struct str id)
{
    static const char *const owners[SIM_KINDS] = { "library", "llamacpp", "vllm", "simulated" };
    json_open(j, '{');
    put_text(j, "id", id);
    put_text(j, "object", STR("model"));
    put_number(j, "created", (uint64_t)(m->modified / SECOND(1)));
    put_text(j, "owned_by", str_of(owners[c->node->kind]));
    if (c->node->kind == SIM_VLLM)
        put_number(j, "max_model_len", m->context);
    json_close(j);
}

void sim_answer_v1_models(struct sim_client *c, struct str body)
{
    struct json_out j = { .to = &c->record };
    if (list_empty(&c->node->models) && c->node->kind == SIM_OLLAMA) {
        sim_reply_json(c, STR("{\"object\":\"list\",\"data\":null}"));
        return;
    }
    json_open(&j, '{');
    put_text(&j, "object", STR("list"));
    json_key(&j, "data");
    json_open(&j, '[');
    list_each (l, &c->node->models) {
        struct sim_model *m = CONTAINER(l, struct sim_model, link);
        put_v1_model(&j, c, m, name_show(&m->name));
    }
    json_close(&j);
    json_close(&j);
    reply_record(c);
}

void sim_answer_v1_model(struct sim_client *c, struct str body)
{
    struct json_out j = { .to = &c->record };
    char *id = arena_take(&c->arena, c->rest.n + 1);
    size_t n = 0;
    bool good = id && http_unescape(c->rest, id, &n);
    struct str asked = good ? (struct str){ id, n } : STR_NONE;
    struct sim_model *m = sim_model_find(c->node, asked);
    if (!m) {
        sim_reply_error(c, 404, "model '%.*s' not found", STR_ARG(asked));
        return;
    }
    put_v1_model(&j, c, m, asked);
    reply_record(c);
}
