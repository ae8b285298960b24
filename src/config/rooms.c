/* config/rooms.c - from what people wrote to what each room wants to be told. The rooms do not know the table, and the
 * table does not know the rooms: they meet in the assignments below. */
#include "base/json.h"
#include "base/log.h"
#include "config/config.h"

#define WORKERS_USUAL 8

unsigned config_workers(const struct config *c)
{
    return c->workers ? (unsigned)c->workers : MIN(sys_cores(), WORKERS_USUAL);
}

bool config_logs_json(const struct config *c, bool terminal)
{
    enum { AUTO, TEXT, JSON };
    return c->log_format == JSON || (c->log_format == AUTO && (!terminal || c->log_file.n));
}

void config_log(const struct config *c, bool terminal)
{
    log_configure((enum log_level)c->log_level, config_logs_json(c, terminal), c->log_file.n ? c->log_file.p : NULL);
}

void config_state_dir(const struct config *c, struct text *out)
{
    static const struct {
        const char *variable, *behind;
    } places[] = {
        {"STATE_DIRECTORY", ""                       },
        { "XDG_STATE_HOME", "/ollamamax"             },
        { "HOME",           "/.local/state/ollamamax"},
    };
    text_put(out, c->state_dir);
    for (size_t i = 0; i < ARRAY_LEN(places) && !buf_len(&out->buf); i++) {
        struct str value = str_of(sys_env(places[i].variable));
        value = str_cut(&value, ':'); /* systemd: there may be several */
        if (value.n)
            text_printf(out, "%.*s%s", STR_ARG(value), places[i].behind);
    }
}

void config_fleet(const struct config *c, struct fleet_settings *out)
{
    fleet_settings_default(out);
    scheduler_policy_named(c->policy, &out->policy);
    out->rules = c->rules;
    out->queue_max = (uint32_t)c->queue_max;
    out->shed = c->queue_shed != 0;
    out->load_timeout = c->timeouts_load;
    out->health_interval = c->health_interval;
    out->health_timeout = c->health_timeout;
    out->ps_interval = c->inventory_ps;
    out->tags_interval = c->inventory_tags;
    out->retry_budget_ratio = c->retry_budget.ratio;
    out->retry_budget_rate = c->retry_budget.rate;
}

static void take_times_and_limits(const struct config *c, struct gateway_settings *s)
{
    s->connect_timeout = c->timeouts_connect;
    s->load_timeout = c->timeouts_load;
    s->first_byte_timeout = c->timeouts_first_byte;
    s->inter_chunk_timeout = c->timeouts_inter_chunk;
    s->total_timeout = c->timeouts_total;
    s->body_max = (size_t)c->limits_body;
    s->bodies_max = (size_t)c->limits_bodies;
    s->head_max = (size_t)c->limits_headers;
    if (c->memory_limit)
        s->memory_limit = (size_t)c->memory_limit;
    s->retry_max = (unsigned)c->retry_max;
    s->queue_max_wait = c->queue_max_wait;
    s->hedge_embeddings = c->hedge_embeddings;
    s->pull_replicas = (int)c->pull_replicas;
    s->metrics_public = c->observe_metrics_public;
    s->observe = c->observe_enabled;
}

static void take_cache(const struct config *c, struct gateway_settings *s)
{
    enum { TENANT, ALL };
    s->cache.enabled = c->cache_enabled;
    s->cache.ttl = c->cache_ttl;
    s->cache.stale = c->cache_stale;
    s->cache.stale_if_error = c->cache_stale_if_error;
    for (unsigned i = 0; i < c->cache_routes.n; i++)
        s->cache.route[c->cache_routes.v[i].route] = c->cache_routes.v[i].rule;
    s->cache_size = (size_t)c->cache_size;
    s->cache_is_shared = c->cache_scope == ALL;
    s->coalesce = c->coalesce;
}

static enum fail take_origins(const struct config *c, struct gateway_settings *s)
{
    struct text list = { 0 };
    for (unsigned i = 0; i < c->origins.n; i++)
        text_printf(&list, "%s%.*s", i ? "," : "", STR_ARG(c->origins.v[i]));
    cors_done(&s->cors);
    enum fail f = list.failed ? list.failed : cors_init(&s->cors, text_str(&list));
    text_free(&list);
    return f;
}

/* Settings that somebody has set, for /api/status; never a secret. */
static enum fail take_summary(const struct config *c, struct gateway_settings *s)
{
    struct text t = { 0 };
    struct json_out j = { .to = &t };
    json_open(&j, '{');
    for (size_t i = 0; i < SETTING_COUNT; i++)
        if (c->source[i].kind != FROM_DEFAULT) {
            json_key(&j, settings[i].key);
            json_put_str(&j, settings[i].type->is_secret ? STR("(set)") : c->text[i]);
        }
    json_close(&j);
    s->summary = str_dup(&s->arena, text_str(&t));
    enum fail f = t.failed ? t.failed : s->summary.p ? OK : FAIL_no_memory;
    text_free(&t);
    return f;
}

static enum fail take_admin_key(const struct config *c, struct gateway_settings *s)
{
    s->admin_key = c->admin_key.n ? str_dup(&s->arena, c->admin_key) : STR_NONE;
    return c->admin_key.n && !s->admin_key.p ? FAIL_no_memory : OK;
}

static void add_receivers(struct gateway_settings *s, enum receiver_kind kind, const struct str_list *urls)
{
    for (unsigned i = 0; i < urls->n && s->receivers < RECEIVERS_MOST; i++)
        s->receiver[s->receivers++] = (struct receiver_spec){ kind, str_dup(&s->arena, urls->v[i]) };
}

static enum fail take_alerts(const struct config *c, struct gateway_settings *s)
{
    s->alerts_repeat = c->alerts_repeat;
    add_receivers(s, RECEIVER_WEBHOOK, &c->alerts_webhook);
    add_receivers(s, RECEIVER_ALERTMANAGER, &c->alerts_alertmanager);
    if (c->alerts_rules.n)
        s->alert_rules = arena_array(&s->arena, struct alert_rule, c->alerts_rules.n);
    if (s->alert_rules) {
        s->n_alert_rules = c->alerts_rules.n;
        memcpy(s->alert_rules, c->alerts_rules.v, c->alerts_rules.n * sizeof *s->alert_rules);
    }
    return s->arena.failed ? FAIL_no_memory : OK;
}

static enum fail take_redis(const struct config *c, struct gateway_settings *s)
{
    s->redis = c->cache_redis.n ? str_dup(&s->arena, c->cache_redis) : STR_NONE;
    return c->cache_redis.n && !s->redis.p ? FAIL_no_memory : OK;
}

static enum fail take_collector(const struct config *c, struct gateway_settings *s)
{
    struct text headers = { 0 };
    for (unsigned i = 0; i < c->observe_otlp_headers.n; i++) {
        struct str value = c->observe_otlp_headers.v[i], name = str_trim(str_cut(&value, '='));
        text_printf(&headers, "%.*s: %.*s\r\n", STR_ARG(name), STR_ARG(str_trim(value)));
    }
    s->otlp = c->observe_otlp.n ? str_dup(&s->arena, c->observe_otlp) : STR_NONE;
    s->otlp_headers = str_dup(&s->arena, text_str(&headers));
    enum fail f = headers.failed || s->arena.failed ? FAIL_no_memory : OK;
    text_free(&headers);
    return f;
}

static enum fail take_models(const struct config *c, struct gateway_settings *s)
{
    s->rules = model_rules_ref(c->rules);
    s->aliases = c->aliases.n ? aliases_new(&s->arena, c->aliases.v, c->aliases.n) : NULL;
    return c->aliases.n && !s->aliases ? FAIL_no_memory : OK;
}

enum fail config_gateway(const struct config *c, struct gateway_settings **out)
{
    struct gateway_settings *s = *out = gateway_settings_new();
    if (!s)
        return FAIL_no_memory;
    take_times_and_limits(c, s);
    take_cache(c, s);
    enum fail f = take_origins(c, s);
    f = f ? f : take_admin_key(c, s);
    f = f ? f : take_redis(c, s);
    f = f ? f : take_collector(c, s);
    f = f ? f : take_models(c, s);
    f = f ? f : take_alerts(c, s);
    f = f ? f : take_summary(c, s);
    if (f)
        gateway_settings_free(out);
    return f;
}
