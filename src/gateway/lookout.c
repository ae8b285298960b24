/* One look a second, in the order in which things depend on each other:
 *
 *     snapshot of the fleet, meters, gauges --> pulse --> history --> signals --> alerts --> the log
 *
 * The timer is set to the next full second of the wall clock each time, so points of the history begin with whole
 * seconds however late a turn is. A model without a node is looked for only while some node takes no work: then all
 * models of those that do are put into a map, since comparing each with each would take longer than a second may. */
#include "gateway/lookout.h"
#include "base/log.h"
#include "base/map.h"
#include "gateway/exporter.h"
#include "gateway/frames.h"
#include "gateway/gateway_private.h"
#include "gateway/ops.h"
#include "gateway/receivers.h"
#include "observe/watch.h"
#include <stdlib.h>

#define SAVE_EVERY    SECOND(60) /* what a crash may cost of the history */
#define HISTORY_BYTES MIB(16)    /* more is no file of ours */

struct lookout {
    struct worker *first;
    struct timer timer;
    struct requests *requests;
    struct history *history;
    struct signals *signals;
    struct alerts *alerts;
    struct receivers *receivers;
    struct exporter *exporter;
    struct watch *watch;
    struct text page;    /* of the metrics that users' rules watch */
    uint64_t configured; /* 1 + the serial of the settings that were taken over last */
    struct pulse pulse;
    struct alert_values values;
    struct alert_event event[ALERT_EVENTS];
    struct frames *frames;
    char *history_file; /* NULL: none */
    nsec saved;
    struct { /* the file being written */
        struct job job;
        bool busy;
        struct buf image;
        const char *path;
        enum fail failed;
    } save;
};

/* ---- the history's file ------------------------------------------------------------------------------------------ */

static void restore(struct lookout *l)
{
    struct buf image = { 0 };
    enum fail f = sys_read_file(l->history_file, HISTORY_BYTES, &image);

    if (!f && !history_restore(l->history, buf_str(&image)))
        log_warn("%s is damaged or of another version; the history begins anew", l->history_file);
    buf_free(&image);
}

static void write_file(struct job *j)
{
    struct lookout *l = CONTAINER(j, struct lookout, save.job);

    l->save.failed = sys_write_file(l->save.path, buf_str(&l->save.image));
}

static void written(struct job *j)
{
    struct lookout *l = CONTAINER(j, struct lookout, save.job);

    if (l->save.failed)
        log_warn("the history cannot be written to %s", l->history_file);
    buf_free(&l->save.image);
    l->save.busy = false;
    worker_job_ends(l->first);
}

/* On a lane, as it waits for the disk. */
static void save_if_due(struct lookout *l, nsec now)
{
    if (!l->history_file || l->save.busy || now - l->saved < SAVE_EVERY)
        return;
    l->saved = now;
    if (history_save(l->history, &l->save.image)) {
        buf_free(&l->save.image);
        return;
    }
    l->save.busy = true;
    l->save.path = l->history_file;
    worker_job_begins(l->first);
    loop_job(l->first->loop, LANE_HEAVY, &l->save.job);
}

static void save_at_the_end(struct lookout *l)
{
    struct buf image = { 0 };

    if (l->history_file && !history_save(l->history, &image) && sys_write_file(l->history_file, buf_str(&image)))
        log_warn("the history cannot be written to %s", l->history_file);
    buf_free(&image);
}

/* ---- what is there to see ---------------------------------------------------------------------------------------- */

static bool takes_work(const struct node_view *n)
{
    return n->state == NODE_UP || n->state == NODE_SUSPECT;
}

static void see_nodes(struct lookout *l, const struct fleet_snapshot *s)
{
    double inflight = 0;

    for (uint32_t i = 0; i < s->n; i++) {
        const struct node_view *n = &s->node[i];
        struct pulse_node *p = pulse_add_node(&l->pulse, n->name);

        inflight += n->inflight;
        if (!p)
            continue;
        p->inflight = n->inflight;
        p->down = n->state == NODE_DOWN;
        *put_str(p->detail, str_take(n->last_error_text, sizeof p->detail - 1)) = 0;
    }
    l->pulse.gauge[GAUGE_inflight] = inflight;
    l->pulse.gauge[GAUGE_nodes_up] = s->up;
    l->pulse.gauge[GAUGE_nodes_total] = s->n;
    l->pulse.gauge[GAUGE_queue] = s->waiting;
}

/* Only while somebody waits. */
static void see_queue(struct lookout *l, const struct fleet_snapshot *s)
{
    struct fleet_queue *q = s->waiting ? fleet_queue(l->first->gateway->fleet, s->now) : NULL;
    nsec oldest = 0;

    for (uint32_t i = 0; q && i < q->n; i++)
        oldest = MAX(oldest, q->waiter[i].waited);
    if (q || !s->waiting)
        l->pulse.gauge[GAUGE_queue_oldest_ms] = (double)oldest / 1e6;
    fleet_queue_free(&q);
}

static void see_cache(struct lookout *l, struct gateway *g)
{
    struct cache_stats c;

    cache_stats(g->cache, &c);
    l->pulse.gauge[GAUGE_cache_bytes] = (double)c.bytes;
    l->pulse.total[TOTAL_SAVED_SECONDS] = c.all.saved_s;
}

static void see_process(struct lookout *l, struct gateway *g)
{
    double rss = (double)sys_rss();
    unsigned clients = 0;

    for (unsigned i = 0; i < g->workers; i++)
        clients += atomic_load_explicit(&g->worker[i]->n_clients, memory_order_relaxed);
    l->pulse.gauge[GAUGE_clients] = clients;
    l->pulse.gauge[GAUGE_rss_bytes] = rss;
    l->pulse.gauge[GAUGE_memory_share] = rss / (double)MAX(memory_limit(g), (size_t)1);
}

static void see_meters(struct lookout *l, struct gateway *g)
{
    struct meter *meters[SYS_WORKERS_MAX];
    struct cache_stats cache;

    for (unsigned i = 0; i < g->workers; i++)
        meters[i] = g->worker[i]->meter;
    pulse_meters(&l->pulse, meters, g->workers);
    cache_stats(g->cache, &cache);
    l->pulse.total[TOTAL_SAVED_SECONDS] = cache.all.saved_s;
}

/* ---- models that nobody serves ----------------------------------------------------------------------------------- */

static enum fail gather_served(struct map *served, const struct fleet_snapshot *s)
{
    enum fail f = OK;

    for (uint32_t i = 0; i < s->n; i++)
        for (uint32_t m = 0; takes_work(&s->node[i]) && m < s->node[i].models && !f; m++)
            f = map_put(served, s->node[i].model[m].key, (void *)&s->node[i].model[m]);
    return f;
}

static void say_lost(struct lookout *l, struct map *served, const struct node_view *n)
{
    for (uint32_t m = 0; m < n->models; m++)
        if (!map_get(served, n->model[m].key))
            alert_values_add(&l->values, (struct alert_value){
                                             .name = STR("model_nodes_up"), .model = n->model[m].show, .value = 0 });
}

static void see_lost_models(struct lookout *l, const struct fleet_snapshot *s)
{
    struct map served = { 0 };
    bool all = true;

    for (uint32_t i = 0; i < s->n; i++)
        all &= takes_work(&s->node[i]);
    if (!all && !gather_served(&served, s))
        for (uint32_t i = 0; i < s->n; i++)
            if (!takes_work(&s->node[i]))
                say_lost(l, &served, &s->node[i]);
    map_free(&served);
}

/* ---- breakers ---------------------------------------------------------------------------------------------------- */

static void say_opens(struct lookout *l, const struct node_view *n, struct str model, struct str detail, uint32_t opens)
{
    if (opens)
        alert_values_add(
            &l->values,
            (struct alert_value){
                .name = STR("breaker_opens"), .node = n->name, .model = model, .value = opens, .detail = detail });
}

/* The node's own breaker only where that of no model says the same. */
static void see_breakers_of(struct lookout *l, const struct node_view *n)
{
    uint32_t most = 0;

    for (uint32_t m = 0; m < n->models; m++) {
        const struct node_serves *serves = node_view_serves(n, n->model[m].hash);
        if (!serves)
            continue;
        say_opens(l, n, n->model[m].show, n->model[m].show, serves->breaker_opens);
        most = MAX(most, serves->breaker_opens);
    }
    if (n->breaker_opens > most)
        say_opens(l, n, STR_NONE, STR("all models"), n->breaker_opens);
}

static void see_breakers(struct lookout *l, const struct fleet_snapshot *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        see_breakers_of(l, &s->node[i]);
}

/* ---- metrics that users' rules watch ------------------------------------------------------------------------------
 */

static void see_metrics(struct lookout *l, const struct fleet_snapshot *s, nsec now)
{
    struct metrics_page p = { .to = &l->page, .wants = watch_wants, .wants_arg = l->watch };

    text_free(&l->page);
    l->page = (struct text){ 0 };
    if (watch_is_idle(l->watch))
        return;
    ops_write_metrics(&p, l->first->gateway, s);
    if (!l->page.failed)
        watch_page(l->watch, text_str(&l->page), now, &l->values);
}

/* ---- the look ---------------------------------------------------------------------------------------------------- */

static void tell(const struct alert_event *e)
{
    if (e->told == ALERT_OVER)
        log_info("alert %s is over: %s", e->alert.name, e->alert.message);
    else
        log_warn("alert %s: %s", e->alert.name, e->alert.message);
}

/* What dashboards are told is made only while somebody looks at one. */
static void publish(struct lookout *l, const struct fleet_snapshot *s, nsec now, nsec wall)
{
    struct gateway *g = l->first->gateway;
    struct sight sight = { g, s, &l->pulse, l->history, l->alerts, l->requests, memory_limit(g), now, wall };
    struct bulletin *b;

    if (!feed_wanted(g->feed, now))
        return;
    b = bulletin_new(feed_next_number(g->feed), now);
    if (!b)
        return;
    frames_write(l->frames, b, &sight);
    feed_publish(g->feed, b);
}

static void look(struct lookout *l)
{
    struct gateway *g = l->first->gateway;
    nsec now = worker_now(l->first), wall = loop_wall(l->first->loop);
    struct fleet_snapshot *s = fleet_snapshot(g->fleet, now);
    unsigned events;
    bool whole;

    if (!s)
        return;
    pulse_clear(&l->pulse, wall);
    see_nodes(l, s);
    see_queue(l, s);
    see_cache(l, g);
    see_process(l, g);
    see_meters(l, g);
    history_sample(l->history, &l->pulse);
    l->values.n = 0;
    signals_add(l->signals, l->history, &l->pulse, &l->values);
    see_lost_models(l, s);
    whole = fleet_snapshot_serves(g->fleet, s);
    if (whole) {
        see_breakers(l, s);
        see_metrics(l, s, now);
    }
    events = alerts_evaluate(l->alerts, now, wall, &l->values, l->event);
    if (whole)
        publish(l, s, now, wall);
    fleet_snapshot_free(&s);
    for (unsigned i = 0; i < events; i++)
        tell(&l->event[i]);
    receivers_tell(l->receivers, l->event, events);
    save_if_due(l, now);
}

static void take_settings(struct lookout *l, const struct gateway_settings *s)
{
    enum fail f;

    if (l->configured == s->serial + 1)
        return;
    l->configured = s->serial + 1;
    receivers_configure(l->receivers, s);
    exporter_configure(l->exporter, s);
    f = watch_configure(l->watch, s->alert_rules, s->n_alert_rules);
    if (!f)
        f = alerts_configure(l->alerts, s->alerts_repeat, s->alert_rules, s->n_alert_rules);
    if (f)
        log_error("alerts.rules are not taken over: %s", fail_sentence(f).p);
}

static void set_timer(struct lookout *l)
{
    nsec wall = loop_wall(l->first->loop);

    loop_timer_set(l->first->loop, &l->timer, worker_now(l->first) + SECOND(1) - wall % SECOND(1));
}

static void second_is_over(struct timer *t)
{
    struct lookout *l = CONTAINER(t, struct lookout, timer);

    take_settings(l, worker_settings(l->first));
    if (worker_settings(l->first)->observe)
        look(l);
    receivers_turn(l->receivers, l->alerts);
    exporter_turn(l->exporter);
    set_timer(l);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static bool make_parts(struct lookout *l, unsigned workers, const char *history_file)
{
    l->requests = requests_new(workers);
    l->history = history_new();
    l->signals = signals_new();
    l->alerts = alerts_new(worker_settings(l->first)->alerts_repeat);
    l->frames = frames_new();
    l->receivers = receivers_new(l->first);
    l->exporter = l->requests ? exporter_new(l->first, l->requests) : NULL;
    l->watch = watch_new();
    l->history_file = history_file && !memory_strikes() ? strdup(history_file) : NULL;
    return l->requests && l->history && l->signals && l->alerts && l->frames && l->receivers && l->exporter &&
           l->watch && (l->history_file || !history_file);
}

struct lookout *lookout_new(struct worker *first, unsigned workers, const char *history_file)
{
    struct lookout *l = memory_strikes() ? NULL : calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->first = first;
    l->timer.fire = second_is_over;
    l->save.job = (struct job){ .work = write_file, .done = written };
    l->saved = worker_now(first);
    if (!make_parts(l, workers, history_file)) {
        l->history_file = NULL;
        lookout_free(&l);
        return NULL;
    }
    exporter_configure(l->exporter, worker_settings(first)); /* from the first request on */
    if (l->history_file)
        restore(l);
    set_timer(l);
    return l;
}

void lookout_stop(struct lookout *l)
{
    loop_timer_cancel(l->first->loop, &l->timer);
    receivers_stop(l->receivers);
    exporter_stop(l->exporter);
    save_at_the_end(l);
}

void lookout_free(struct lookout **at)
{
    struct lookout *l = *at;

    *at = NULL;
    if (!l)
        return;
    exporter_free(&l->exporter);
    requests_free(&l->requests);
    history_free(&l->history);
    signals_free(&l->signals);
    alerts_free(&l->alerts);
    receivers_free(&l->receivers);
    watch_free(&l->watch);
    text_free(&l->page);
    frames_free(&l->frames);
    free(l->history_file);
    free(l);
}

struct requests *lookout_requests(struct lookout *l)
{
    return l->requests;
}

struct history *lookout_history(struct lookout *l)
{
    return l->history;
}

struct alerts *lookout_alerts(struct lookout *l)
{
    return l->alerts;
}

struct receivers *lookout_receivers(struct lookout *l)
{
    return l->receivers;
}

struct exporter *lookout_exporter(struct lookout *l)
{
    return l->exporter;
}
