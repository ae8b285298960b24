/* api/inventory.c - a node's list of models, read once.
 *
 *     arena [ struct inventory | copy of the body | model[n] | keys, names ... ]      raw, digest, id point into the
 * copy
 *
 * The inventory lies in its own arena, so that it is one thing to hand over and to free, and entries keep pointing into
 * the body instead of being taken apart: the fleet's views put the nodes' own objects together again, members unknown
 * to us included. Rejected: a tree per entry (jansson: 40 times the time), and refusing a whole answer for one strange
 * entry - a node that has a model with a name we cannot read still has the others. */
#include "api/inventory.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/stamp.h"

#include <openssl/sha.h>

static struct inventory *inventory_new(nsec now)
{
    struct arena a;
    arena_init(&a);
    struct inventory *i = arena_new(&a, struct inventory);
    if (!i) {
        arena_done(&a);
        return NULL;
    }
    i->arena = a;
    i->taken = now;
    return i;
}

void inventory_free(struct inventory **i)
{
    if (!*i)
        return;
    struct arena a = (*i)->arena;
    *i = NULL;
    arena_done(&a);
}

static struct str text_of(struct arena *a, struct json object, struct str member)
{
    struct json v = json_get(object, member);
    return v.kind == JSON_STRING ? json_text(a, v) : STR_NONE;
}

static uint64_t number_of(struct json object, struct str member)
{
    int64_t n;
    return json_i64(json_get(object, member), &n) && n > 0 ? (uint64_t)n : 0;
}

static uint32_t tokens_of(struct json object, struct str member)
{
    return (uint32_t)MIN(number_of(object, member), UINT32_MAX);
}

static nsec moment_of(struct arena *a, struct json object, struct str member)
{
    nsec wall;
    struct str text = text_of(a, object, member);
    return text.n && stamp_parse(text, &wall) ? wall : 0;
}

/* Fills what follows from a name; false if it is none. */
static bool name_model(struct arena *a, struct str text, struct inventory_model *m)
{
    struct name name;
    if (name_parse(text, &name))
        return false;
    m->key = str_dup(a, name_key(&name));
    m->show = str_dup(a, name_show(&name));
    m->hash = str_hash(m->key);
    m->source = name.source;
    return true;
}

static bool read_native(struct arena *a, struct json entry, struct inventory_model *m)
{
    m->id = text_of(a, entry, STR("model"));
    if (!m->id.n)
        m->id = text_of(a, entry, STR("name"));
    if (!name_model(a, m->id, m))
        return false;
    m->digest = text_of(a, entry, STR("digest"));
    m->modified = moment_of(a, entry, STR("modified_at"));
    m->expires = moment_of(a, entry, STR("expires_at"));
    m->size = number_of(entry, STR("size"));
    m->size_vram = number_of(entry, STR("size_vram"));
    m->context_length = tokens_of(entry, STR("context_length"));
    m->raw = entry.raw;
    return true;
}

static struct str last_part(struct str path)
{
    ssize_t slash = MAX(str_rchr(path, '/'), str_rchr(path, '\\'));
    return str_drop(path, (size_t)(slash + 1));
}

/* Bare hex, as Ollama's; equal on every node that serves the same id, and in every run. */
static struct str digest_of_id(struct arena *a, struct str id)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];
    char *hex = arena_take(a, 2 * sizeof hash);
    if (!hex || !SHA256((const unsigned char *)id.p, id.n, hash))
        return STR_NONE;
    for (unsigned i = 0; i < sizeof hash; i++) {
        hex[2 * i] = "0123456789abcdef"[hash[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[hash[i] & 15];
    }
    return (struct str){ hex, 2 * sizeof hash };
}

static void put_member(struct json_out *j, const char *key, struct str value)
{
    json_key(j, key);
    json_put_str(j, value);
}

static void put_details(struct json_out *j)
{
    json_key(j, "details");
    json_open(j, '{');
    put_member(j, "parent_model", STR(""));
    put_member(j, "format", STR(""));
    put_member(j, "family", STR("unknown"));
    json_key(j, "families");
    json_open(j, '[');
    json_put_str(j, STR("unknown"));
    json_close(j);
    put_member(j, "parameter_size", STR(""));
    put_member(j, "quantization_level", STR(""));
    json_close(j);
}

static struct str synthesise(struct arena *a, const struct inventory_model *m)
{
    char stamp[36];
    struct text t = { 0 };
    struct json_out j = { .to = &t };
    json_open(&j, '{');
    put_member(&j, "name", m->show);
    put_member(&j, "model", m->show);
    put_member(&j, "modified_at", (struct str){ stamp, stamp_rfc3339(m->modified, stamp) });
    json_key(&j, "size");
    json_put_u64(&j, m->size);
    put_member(&j, "digest", m->digest);
    put_details(&j);
    json_close(&j);
    struct str raw = str_dup(a, text_str(&t));
    if (t.failed)
        a->failed = true;
    text_free(&t);
    return raw;
}

static uint32_t most_tokens(struct json entry)
{
    uint32_t said[] = {
        tokens_of(entry, STR("max_model_len")),                      /* vLLM */
        tokens_of(entry, STR("max_context_length")),                 /* LM Studio */
        tokens_of(json_get(entry, STR("meta")), STR("n_ctx_train")), /* llama-server */
    };
    for (unsigned i = 0; i < ARRAY_LEN(said); i++)
        if (said[i])
            return said[i];
    return 0;
}

static bool read_openai(struct arena *a, struct json entry, struct inventory_model *m)
{
    m->id = text_of(a, entry, STR("id"));
    if (!name_model(a, m->id, m) && !name_model(a, last_part(m->id), m))
        return false;
    m->modified = (nsec)MIN(number_of(entry, STR("created")), INT64_MAX / 1000000000) * 1000000000;
    m->size = number_of(json_get(entry, STR("meta")), STR("size"));
    m->context_length = most_tokens(entry);
    m->digest = digest_of_id(a, m->id);
    m->raw = synthesise(a, m);
    return true;
}

static uint32_t least_context(struct json slots)
{
    uint32_t least = 0, tokens;
    struct json_walk w = json_walk(slots);
    while (json_next(&w))
        if ((tokens = tokens_of(w.value, STR("n_ctx"))) && (!least || tokens < least))
            least = tokens;
    return least;
}

static uint32_t count_of(struct json list)
{
    uint32_t n = 0;
    struct json_walk w = json_walk(list);
    while (json_next(&w))
        n++;
    return n;
}

/* `null` stands for an empty list: Go writes it so. */
static enum fail fill(struct inventory *i, struct str body, struct str member,
                      bool (*read)(struct arena *, struct json, struct inventory_model *))
{
    struct arena *a = &i->arena;
    if (body.n == 0)
        return FAIL_bad_json;
    struct str kept = str_dup(a, body);
    if (!kept.p)
        return FAIL_no_memory;
    struct json list = json_get(json_parse(kept, NULL), member);
    if (list.kind != JSON_ARRAY)
        return list.kind == JSON_NULL ? OK : FAIL_bad_json;
    i->model = arena_array(a, struct inventory_model, count_of(list) + 1);
    if (!i->model)
        return FAIL_no_memory;
    struct json_walk w = json_walk(list);
    while (json_next(&w)) {
        struct inventory_model m = { 0 };
        if (read(a, w.value, &m))
            i->model[i->n++] = m;
    }
    return a->failed ? FAIL_no_memory : OK;
}

static struct inventory *read_body(struct str body, nsec now, enum fail *why, struct str member,
                                   bool (*read)(struct arena *, struct json, struct inventory_model *))
{
    struct inventory *i = inventory_new(now);
    *why = i ? fill(i, body, member, read) : FAIL_no_memory;
    if (*why && i)
        inventory_free(&i);
    return i;
}

struct inventory *inventory_read(struct str body, nsec now, enum fail *why)
{
    return read_body(body, now, why, STR("models"), read_native);
}

struct inventory *inventory_read_openai(struct str body, nsec now, enum fail *why)
{
    return read_body(body, now, why, STR("data"), read_openai);
}

bool props_read(struct str body, uint32_t *out_slots, uint32_t *out_context)
{
    struct json said = json_parse(body, NULL);
    if (said.kind == JSON_ARRAY) {
        *out_slots = count_of(said);
        *out_context = least_context(said);
    } else {
        *out_slots = tokens_of(said, STR("total_slots"));
        *out_context = tokens_of(json_get(said, STR("default_generation_settings")), STR("n_ctx"));
    }
    return *out_slots > 0;
}

struct str version_read(struct arena *a, struct str body)
{
    struct str version = body.n ? text_of(a, json_parse(body, NULL), STR("version")) : STR_NONE;
    return version.n ? str_dup(a, version) : STR_NONE;
}

static const struct str kind_names[] = {
    [NODE_UNKNOWN] = {"unknown",   7},
      [NODE_OLLAMA] = { "ollama",   6},
      [NODE_LLAMACPP] = { "llamacpp", 8},
    [NODE_VLLM] = { "vllm",     4},
      [NODE_LMSTUDIO] = { "lmstudio", 8},
      [NODE_OPENAI] = { "openai",   6},
};

struct str node_kind_name(enum node_kind k)
{
    assume((unsigned)k < ARRAY_LEN(kind_names));
    return kind_names[k];
}

bool node_kind_of(struct str name, enum node_kind *out)
{
    for (unsigned k = NODE_UNKNOWN + 1; k < ARRAY_LEN(kind_names); k++)
        if (str_eq_nocase(name, kind_names[k])) {
            *out = (enum node_kind)k;
            return true;
        }
    return false;
}
