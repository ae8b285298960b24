/* Settings are a snapshot: whoever uses one pins it with a plain counter of its own worker, so no cache line is shared
 * on the hot path. A replaced snapshot is retired, and freed when every worker has moved on and no exchange pins it. */
#include "gateway/gateway_private.h"
#include "gateway/shared.h"
#include <stdlib.h>

struct retired {
    struct retired *next;
    struct gateway_settings *settings;
};

struct gateway_settings *gateway_settings_new(void)
{
    struct gateway_settings *s = memory_strikes() ? NULL : calloc(1, sizeof *s);

    if (!s)
        return NULL;
    if (cors_init(&s->cors, STR_NONE)) {
        gateway_settings_free(&s);
        return NULL;
    }
    s->connect_timeout = SECOND(2);
    s->load_timeout = SECOND(300);
    s->first_byte_timeout = SECOND(120);
    s->inter_chunk_timeout = SECOND(300);
    s->client_head_timeout = SECOND(30);
    s->client_idle_timeout = SECOND(60);
    s->node_idle_timeout = SECOND(90);
    s->body_max = MIB(64);
    s->bodies_max = MIB(1024);
    s->head_max = KIB(64);
    s->memory_limit = sys_memory_limit();
    s->retry_max = 2;
    s->drain_grace = SECOND(5);
    s->queue_max_wait = SECOND(600);
    s->observe = true;
    s->alerts_repeat = SECOND(4 * 3600);
    s->cache = rules_usual();
    s->coalesce = true;
    return s;
}

void gateway_settings_free(struct gateway_settings **s)
{
    if (!*s)
        return;
    cors_done(&(*s)->cors);
    model_rules_unref(&(*s)->rules);
    arena_done(&(*s)->arena);
    free(*s);
    *s = NULL;
}

const struct gateway_settings *worker_settings(const struct worker *w)
{
    return atomic_load_explicit(&w->settings, memory_order_relaxed);
}

/* Every worker takes the published snapshot over by itself, in a turn of its own (CONTROL_SETTINGS). */
void settings_take(struct worker *w)
{
    atomic_store_explicit(&w->settings, atomic_load_explicit(&w->gateway->settings, memory_order_acquire),
                          memory_order_release);
    shared_configure(w);
}

static void add_pin(struct worker *w, const struct gateway_settings *s, int n)
{
    _Atomic int *pin = &((struct gateway_settings *)(uintptr_t)s)->pins[w->no];

    atomic_store_explicit(pin, atomic_load_explicit(pin, memory_order_relaxed) + n, memory_order_release);
}

const struct gateway_settings *settings_pin(struct worker *w)
{
    const struct gateway_settings *s = worker_settings(w);

    add_pin(w, s, 1);
    return s;
}

void settings_unpin(struct worker *w, const struct gateway_settings *s)
{
    add_pin(w, s, -1);
}

/* Pins are only taken from a worker's own pointer, and by that worker: once the pointer has moved on and the count is
 * zero, it stays zero. */
static bool in_use(const struct gateway *g, const struct gateway_settings *s)
{
    for (unsigned i = 0; i < g->workers; i++)
        if (atomic_load_explicit(&g->worker[i]->settings, memory_order_acquire) == s ||
            atomic_load_explicit(&s->pins[i], memory_order_acquire))
            return true;
    return false;
}

void settings_sweep(struct gateway *g)
{
    struct retired **at = &g->retired;

    pthread_mutex_lock(&g->settings_lock);
    while (*at) {
        struct retired *r = *at;
        if (in_use(g, r->settings)) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        gateway_settings_free(&r->settings);
        free(r);
    }
    pthread_mutex_unlock(&g->settings_lock);
}

void settings_free_all(struct gateway *g)
{
    struct gateway_settings *s = atomic_load(&g->settings);

    while (g->retired) {
        struct retired *r = g->retired;
        g->retired = r->next;
        gateway_settings_free(&r->settings);
        free(r);
    }
    gateway_settings_free(&s);
}

enum fail settings_publish(struct gateway *g, struct gateway_settings *s)
{
    struct retired *r = memory_strikes() ? NULL : calloc(1, sizeof *r);

    if (!r)
        return FAIL_no_memory;
    pthread_mutex_lock(&g->settings_lock);
    s->serial = ++g->settings_serial;
    r->settings = atomic_exchange(&g->settings, s);
    r->next = g->retired;
    g->retired = r;
    pthread_mutex_unlock(&g->settings_lock);
    return OK;
}
