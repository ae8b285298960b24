/* The interpreter: a table of what a line may begin with; anything else is an actor's name. */
#include "play.h"
#include "base/slab.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATIENCE SECOND(10) /* for an expectation without `within` */
/* How often it is looked at; less often where it is looked at only for its time. */
#define GLANCE (strict_now ? MSEC(5) : MSEC(100))

static struct played counts;
static bool strict_now, failed_now;

/* ---- settings ---- */
enum setting_kind { A_TIME, A_NUMBER, A_SIZE };
static const struct {
    const char *name;
    enum setting_kind kind;
    size_t at;
} gateway_rows[] = {
#define ROW(field, kind)                                                                                               \
    {                                                                                                                  \
#field, kind, offsetof(struct gateway_settings, field)                                                         \
    }
    ROW(connect_timeout, A_TIME),     ROW(load_timeout, A_TIME),        ROW(first_byte_timeout, A_TIME),
    ROW(inter_chunk_timeout, A_TIME), ROW(client_head_timeout, A_TIME), ROW(client_idle_timeout, A_TIME),
    ROW(total_timeout, A_TIME),       ROW(drain_grace, A_TIME),         ROW(queue_max_wait, A_TIME),
    ROW(retry_max, A_NUMBER),
    ROW(body_max, A_SIZE),            ROW(bodies_max, A_SIZE),          ROW(head_max, A_SIZE),
    ROW(hedge_after, A_TIME),
#undef ROW
}, fleet_rows[] = {
#define ROW(field)                                                                                                     \
    {                                                                                                                  \
#field, A_TIME, offsetof(struct fleet_settings, field)                                                         \
    }
    ROW(health_interval), ROW(health_timeout), ROW(ps_interval), ROW(tags_interval), ROW(first_round), ROW(refresh_wait),
#undef ROW
};

static void put_value(void *at, enum setting_kind kind, const struct line *l)
{
    if (kind == A_TIME)
        *(nsec *)at = word_time(l, &l->w[2]);
    else if (kind == A_NUMBER)
        *(unsigned *)at = (unsigned)word_number(l, &l->w[2]);
    else
        *(size_t *)at = (size_t)word_number(l, &l->w[2]);
}

/* Large bodies in bytes one by one are slow to play and show nothing that small ones do not. */
static void coarse_network(size_t least)
{
    struct link k = link_usual();
    k.segment_min = least;
    k.segment_max = MAX(k.segment_max, 4 * least);
    k.window_min = 8 * least;
    k.window_max = MAX(k.window_max, 16 * least);
    world_link(NULL, &k);
    stage.segments = least;
}

/* NAME=MODEL, NAME=KEY:VALUE; one of each is enough for a play. */
static void set_alias(struct str pair)
{
    struct gateway_settings *s = stage.settings;
    struct alias alias = { .model = pair };
    alias.name = str_cut(&alias.model, '=');
    s->aliases = aliases_new(&s->arena, &alias, 1);
    stage.out_of_memory |= !s->aliases;
}

/* What is said of one model: a second such line replaces the first. */
static void set_rule(struct str pair, const struct word *what, const struct line *l)
{
    struct str value = pair, name = str_cut(&value, '=');
    struct model_rule rule = model_rule_none(name);
    model_rules_unref(&stage.settings->rules);
    if (word_is(what, "fallback"))
        rule.fallback = &value, rule.fallbacks = 1;
    else if (word_is(what, "model_labels"))
        rule.labels = value;
    else if (word_is(what, "model_max_wait"))
        rule.max_wait = word_time(l, &(struct word){ .text = (char *)value.p, .n = value.n });
    else
        rule.ttl = word_time(l, &(struct word){ .text = (char *)value.p, .n = value.n });
    stage.out_of_memory |= model_rules_new(&rule, 1, &stage.settings->rules) != OK;
    stage.fleet_settings.rules = stage.settings->rules;
}

static bool is_of_model(const struct word *w)
{
    return word_is(w, "fallback") || word_is(w, "model_labels") || word_is(w, "model_max_wait") ||
           word_is(w, "model_ttl");
}

static void set(const struct line *l)
{
    if (l->n != 3 || stage.opened)
        line_wrong(l, "set NAME VALUE, before anything happens");
    for (size_t i = 0; i < ARRAY_LEN(gateway_rows); i++)
        if (stage.settings && word_is(&l->w[1], gateway_rows[i].name)) {
            put_value((char *)stage.settings + gateway_rows[i].at, gateway_rows[i].kind, l);
            return;
        }
    for (size_t i = 0; i < ARRAY_LEN(fleet_rows); i++)
        if (word_is(&l->w[1], fleet_rows[i].name)) {
            put_value((char *)&stage.fleet_settings + fleet_rows[i].at, fleet_rows[i].kind, l);
            return;
        }
    if (stage.settings && word_is(&l->w[1], "alias"))
        set_alias(word_str(&l->w[2]));
    else if (stage.settings && is_of_model(&l->w[1]))
        set_rule(word_str(&l->w[2]), &l->w[1], l);
    else if (word_is(&l->w[1], "segments"))
        coarse_network((size_t)word_number(l, &l->w[2]));
    else if (word_is(&l->w[1], "policy") && scheduler_policy_named(word_str(&l->w[2]), &stage.fleet_settings.policy))
        return;
    else if (word_is(&l->w[1], "queue_max"))
        stage.fleet_settings.queue_max = (uint32_t)word_number(l, &l->w[2]);
    else if (word_is(&l->w[1], "cold_load_timeout"))
        stage.fleet_settings.load_timeout = word_time(l, &l->w[2]);
    else if (word_is(&l->w[1], "retry_budget"))
        stage.fleet_settings.retry_budget_ratio = stage.fleet_settings.retry_budget_rate =
            (double)word_number(l, &l->w[2]);
    else if (stage.settings)
        line_wrong(l, "there is no setting '%s'", l->w[1].text);
}

/* ---- lines ---- */
static void workers(const struct line *l)
{
    if (l->n != 2 || stage.opened)
        line_wrong(l, "workers N, before anything happens");
    stage.workers = (unsigned)word_number(l, &l->w[1]);
}

static void ask(const struct line *l)
{
    if (l->n < 2)
        line_wrong(l, "ask CLIENT ...");
    client_asks(client_named(l->w[1].text, true), l);
}

static void client_line(const struct line *l)
{
    struct line rest = *l;
    rest.w++;
    rest.n--;
    if (l->n < 3)
        line_wrong(l, "client NAME ...");
    client_does(client_named(l->w[1].text, true), &rest);
}

static void elapse(const struct line *l)
{
    if (l->n != 2)
        line_wrong(l, "elapse TIME");
    world_elapse(word_time(l, &l->w[1]));
}

static void drain(const struct line *l)
{
    gateway_drain(stage.gateway);
}

static void expect(const struct line *l)
{
    unsigned words = l->n;
    nsec until = world_now() + PATIENCE;
    const char *instead;
    if (l->n > 3 && word_is(&l->w[l->n - 2], "within")) {
        words -= 2;
        until = world_now() + word_time(l, &l->w[l->n - 1]);
    }
    while ((instead = expectation_fails(l, words)) && world_now() < until)
        world_elapse(MIN(GLANCE, until - world_now()));
    if (!instead || !strict_now)
        return;
    fprintf(stderr, "%s:%u: not as expected, but %s\n", l->file, l->no, instead);
    failed_now = true;
}

static const struct {
    const char *name;
    void (*take)(const struct line *l);
    bool before; /* the gateway has started */
} lines[] = {
    {"set",      set,         true },
    { "workers", workers,     true },
    { "node",    node_enters, true },
    { "ask",     ask,         false},
    { "client",  client_line, false},
    { "elapse",  elapse,      false},
    { "drain",   drain,       false},
    { "expect",  expect,      false},
};

/* Unless a play says `at once`, it begins when the first probes are over. */
static bool open_for(const struct line *l)
{
    if (stage.opened)
        return !stage.out_of_memory;
    if (!stage_open())
        return false;
    if (!(word_is(&l->w[0], "at") && l->n == 2))
        world_elapse(SECOND(1) + MSEC(200));
    return true;
}

static bool play_line(const struct line *l)
{
    struct node_actor *n = node_named(l->w[0].text);
    struct caller *c;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (!word_is(&l->w[0], lines[i].name))
            continue;
        if (!lines[i].before && !open_for(l))
            return false;
        lines[i].take(l);
        return true;
    }
    if (n && !stage.opened) {
        node_does(n, l);
        return true;
    }
    if (!open_for(l))
        return false;
    if (n)
        node_does(n, l);
    else if ((c = client_named(l->w[0].text, false)))
        client_does(c, l);
    else if (!word_is(&l->w[0], "at"))
        line_wrong(l, "nobody is called '%s'", l->w[0].text);
    return true;
}

/* ---- whole plays ---- */
static char running[512];
/* Also for who ends a run that takes too long. */
static void told_on_end(int signo)
{
    fprintf(stderr, "it was: %s\n", running);
    if (signo != SIGABRT)
        _exit(1);
}

static void remember(const struct script *s, uint64_t seed, const struct harm *h)
{
    const char *file = s->n ? s->line[0].file : "?";
    char what[128] = "";
    if (h && h->memory)
        snprintf(what, sizeof what, ", --memory %llu", (unsigned long long)h->memory);
    else if (h && h->wire)
        snprintf(what, sizeof what, ", --cut %u.%s.%llu", h->wire, h->side == FROM_PEER ? "up" : "down",
                 (unsigned long long)h->at);
    snprintf(running, sizeof running, "%s '%s', --seed %llu%s", file, s->title, (unsigned long long)seed, what);
    signal(SIGABRT, told_on_end);
    signal(SIGTERM, told_on_end);
}

static void count_answers(void)
{
    list_each (link, &stage.clients) {
        struct caller *c = CONTAINER(link, struct caller, link);
        list_each (answer, &c->answers)
            counts.answers[CONTAINER(answer, struct reading, link)->state]++;
    }
    for (unsigned i = 0; i < stage.records; i++)
        counts.retried += stage.record[i].retried;
}

static void count(void)
{
    counts = (struct played){ .allocations = memory_takes(), .wires = stage.wires_n, .hash = world_hash() };
    counts.bytes = calloc(stage.wires_n + 1, sizeof *counts.bytes);
    assume(counts.bytes);
    unsigned i = 0;
    list_each (link, &stage.wires) {
        memcpy(counts.bytes[i++], CONTAINER(link, struct wire, link)->bytes, sizeof *counts.bytes);
    }
    count_answers();
}

struct played play_counts(void)
{
    struct played p = counts;
    counts = (struct played){ 0 };
    return p;
}

bool play(const struct script *s, uint64_t seed, bool strict, const struct harm *harm)
{
    strict_now = strict;
    failed_now = false;
    remember(s, seed, harm);
    stage_begin(seed, harm);
    for (unsigned i = 0; i < s->n && !failed_now; i++)
        if (!play_line(&s->line[i]))
            break;
    free(counts.bytes);
    count();
    if (!stage_end()) {
        fprintf(stderr, "it must never be: %s\n", stage.complaint);
        failed_now = true;
    }
    free(stage.complaint);
    stage.complaint = NULL;
    if (failed_now)
        fprintf(stderr, "in %s\n", running);
    return !failed_now;
}
