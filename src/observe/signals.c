/* observe/signals.c - rules stay thresholds because what is clever about them happens here.
 *
 * Error budget: two windows at once, as in the site reliability workbook (Beyer et al. 2018, chapter 5): the long one
 * says that it matters, the short one that it has not ended already. Of few requests one error is a large share, so
 * five errors are asked for.
 *
 * A median of a day is 1440 points to sort: looked up once a minute, each in a second of its own. */
#include "observe/signals.h"

#include "base/slab.h"

#include <math.h>
#include <stdlib.h>

#define BUDGET       0.001 /* of requests may fail */
#define ERRORS_LEAST 5
#define POINTS_LEAST 30   /* minutes, for a median to mean something */
#define RATIO_LEAST  0.05 /* a cache that hardly ever hits cannot drop */

struct median {
    char name[PULSE_NAME + 1];
    double value; /* NAN: too few points */
};
struct signals {
    struct median cache, node[PULSE_NODES];
};

struct signals *signals_new(void)
{
    struct signals *s = memory_strikes() ? NULL : calloc(1, sizeof *s);
    if (s)
        s->cache.value = NAN;
    return s;
}

void signals_free(struct signals **s)
{
    free(*s);
    *s = NULL;
}

/* --- of the fleet as a whole --- */

static void add(struct alert_values *out, struct str name, double value)
{
    alert_values_add(out, (struct alert_value){ .name = name, .value = value });
}

static struct series_at fleet(enum series s)
{
    return (struct series_at){ s, NULL };
}

static double minute_of(struct history *h, enum series s)
{
    return history_mean(h, fleet(s), SECOND(60));
}

/* Errors in a window, and their share in times of what the budget allows. */
struct burn {
    double errors, times;
};
static struct burn burn_of(struct history *h, nsec window)
{
    double errors = history_sum(h, fleet(SERIES_errors_per_s), window);
    double requests = history_sum(h, fleet(SERIES_requests_per_s), window);
    return (struct burn){ errors, requests > 0 ? errors / requests / BUDGET : 0 };
}

static double burn_of_both(struct history *h, nsec shorter, nsec longer)
{
    struct burn a = burn_of(h, shorter), b = burn_of(h, longer);
    return b.errors > ERRORS_LEAST - 0.5 ? MIN(a.times, b.times) : 0;
}

static double longer_of(double a, double b)
{
    return isnan(a) || b > a ? b : a;
}

/* Each has its own second of a minute. */
static void renew(struct median *m, struct history *h, struct series_at at, int64_t second, unsigned place)
{
    unsigned points;
    if ((second + place) % 60)
        return;
    m->value = history_median(h, at, &points);
    if (points < POINTS_LEAST)
        m->value = NAN;
}

static double cache_drop(struct signals *s, struct history *h, int64_t second)
{
    renew(&s->cache, h, fleet(SERIES_cache_hit_ratio), second, PULSE_NODES);
    double now = history_mean(h, fleet(SERIES_cache_hit_ratio), SECOND(300));
    return s->cache.value >= RATIO_LEAST ? 1 - now / s->cache.value : NAN;
}

static void add_fleet(struct signals *s, struct history *h, int64_t second, struct alert_values *out)
{
    for (int i = 0; i < SERIES_COUNT; i++)
        add(out, series_of((enum series)i)->name, history_last(h, fleet((enum series)i)));
    add(out, STR("api_p95_ms_1m"), minute_of(h, SERIES_api_p95_ms));
    add(out, STR("queue_wait_ms"),
        longer_of(minute_of(h, SERIES_queue_wait_p95_ms), history_last(h, fleet(SERIES_queue_oldest_ms))));
    add(out, STR("error_burn_fast"), burn_of_both(h, SECOND(300), SECOND(3600)));
    add(out, STR("error_burn_slow"), burn_of_both(h, SECOND(1800), SECOND(6 * 3600)));
    add(out, STR("cache_hit_drop"), cache_drop(s, h, second));
}

/* --- of nodes --- */

/* Nodes keep their places in a pulse as long as none goes; one that moves gets its median anew. */
static struct median *median_of(struct signals *s, unsigned place, const char *name)
{
    struct median *m = &s->node[place];
    if (strcmp(m->name, name) != 0) {
        *m = (struct median){ .value = NAN };
        *put_str(m->name, str_take(str_of(name), PULSE_NAME)) = 0;
    }
    return m;
}

static void add_node(struct signals *s, struct history *h, const struct pulse *p, unsigned place,
                     struct alert_values *out)
{
    const struct pulse_node *n = &p->node[place];
    struct str name = str_of(n->name);
    struct series_at first = { SERIES_node_ttft_p95_ms, n->name };
    struct median *m = median_of(s, place, n->name);
    for (int i = 0; i < NODE_SERIES_COUNT; i++)
        alert_values_add(out, (struct alert_value){ .name = series_of_node((enum node_series)i)->name,
                                                    .node = name,
                                                    .value = history_last(h, (struct series_at){ i, n->name }) });
    renew(m, h, first, p->wall / SECOND(1), place);
    alert_values_add(out, (struct alert_value){ .name = STR("node_slowness"),
                                                .node = name,
                                                .value = history_mean(h, first, SECOND(60)) / m->value });
    alert_values_add(out, (struct alert_value){
                              .name = STR("node_down"), .node = name, .value = n->down, .detail = str_of(n->detail) });
}

void signals_add(struct signals *s, struct history *h, const struct pulse *p, struct alert_values *out)
{
    add_fleet(s, h, p->wall / SECOND(1), out);
    for (unsigned i = 0; i < p->nodes; i++)
        add_node(s, h, p, i, out);
}

/* --- names --- */

static const struct str others[] = {
    STR("api_p95_ms_1m"),  STR("queue_wait_ms"), STR("error_burn_fast"), STR("error_burn_slow"), STR("cache_hit_drop"),
    STR("model_nodes_up"), STR("breaker_opens"), STR("node_down"),       STR("node_slowness"),
};

void signals_names(void (*visit)(struct str name, void *arg), void *arg)
{
    for (int i = 0; i < SERIES_COUNT; i++)
        visit(series_of((enum series)i)->name, arg);
    for (int i = 0; i < NODE_SERIES_COUNT; i++)
        visit(series_of_node((enum node_series)i)->name, arg);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        visit(others[i], arg);
}

struct wanted_name {
    struct str name;
    bool found;
};

static void compare_name(struct str name, void *arg)
{
    struct wanted_name *w = arg;
    w->found |= str_eq(name, w->name);
}

bool signals_know(struct str name)
{
    struct wanted_name w = { name, false };
    signals_names(compare_name, &w);
    return w.found;
}
