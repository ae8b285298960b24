/* Receivers: a queue, one errand, and a moment before which it does not try again.
 *
 *     events --tell--> queue of each receiver --turn, once a second--> errand --> taken: the sent part of the queue
 * goes
 *                                                                       \-> failed: tries + 1, later
 *
 * A webhook wants events, so its queue holds them. An Alertmanager wants the present: all that fires, again and again,
 * and once what is over; so its queue holds only what is over, and what fires is asked from the engine when it is sent.
 * Turns are seconds because alerts are: a timer for each receiver would be exact about nothing.
 *
 * A receiver that is taken out of the settings while a look-up of its name runs cannot be freed yet; it is kept among
 * the leaving ones until the look-up has ended. */
#include "gateway/receivers.h"

#include "base/log.h"
#include "base/slab.h"
#include "gateway/errand.h"
#include "gateway/gateway_private.h"

#include <stdio.h>
#include <stdlib.h>

#define PATIENCE       SECOND(10)
#define TRIAL_PATIENCE SECOND(5)
#define REMIND         (SECOND(60) - MSEC(500)) /* an Alertmanager, well before the five minutes after which it forgets */
#define TOLD_AT_ONCE   32

struct receiver {
    enum receiver_kind kind;
    struct receivers *of;
    char *url;
    struct errand errand;
    struct text body;
    struct alert *queue; /* the first `sending` of `waiting` are under way */
    unsigned waiting, sending;
    bool owes;     /* an Alertmanager: something that fires was not told yet */
    nsec reminded; /* last told all that fires */
    unsigned tries;
    nsec next; /* not before */
    uint64_t count[RECEIVER_RESULTS];
    char last[192];
};
struct leg {
    struct errand errand;
    struct trial *of;
    enum receiver_kind kind;
    char *url;
    struct text body;
};
struct trial {
    struct trial *next;
    _Atomic unsigned refs;
    _Atomic bool over;
    unsigned n, left;
    struct leg leg[RECEIVERS_MOST];
};
struct receivers {
    struct worker *worker;
    pthread_mutex_t lock; /* for those who look: lists, queues' lengths, counts, words; and `asked` */
    struct receiver *receiver[RECEIVERS_MOST], *leaving[4 * RECEIVERS_MOST];
    unsigned n, n_leaving;
    struct trial *asked, *running;
    uint64_t count[RECEIVER_KINDS][RECEIVER_RESULTS];
    bool stopped;
};
static const struct str kinds[] = {
    [RECEIVER_WEBHOOK] = STR("webhook"),
    [RECEIVER_ALERTMANAGER] = STR("alertmanager"),
};

static void count(struct receiver *v, enum receiver_result result, unsigned n)
{
    v->count[result] += n;
    v->of->count[v->kind][result] += n;
}

/* ---- queues ------------------------------------------------------------------------------------------------------ */

static bool is_same(const struct alert *a, const struct alert *b)
{
    return !strcmp(a->name, b->name) && !strcmp(a->node, b->node) && !strcmp(a->model, b->model);
}

static void take_out(struct receiver *v, unsigned at, unsigned n)
{
    memmove(&v->queue[at], &v->queue[at + n], (v->waiting - at - n) * sizeof *v->queue);
    v->waiting -= n;
}

/* What is under way stays; what waits is outdated by what is known now. */
static void forget(struct receiver *v, const struct alert *a)
{
    for (unsigned i = v->sending; i < v->waiting; i++)
        if (is_same(&v->queue[i], a)) {
            take_out(v, i, 1);
            return;
        }
}

static void put(struct receiver *v, const struct alert *a)
{
    if (v->waiting == RECEIVER_QUEUE) {
        take_out(v, v->sending, 1); /* never all of it: at most TOLD_AT_ONCE are under way */
        count(v, RECEIVER_DROPPED, 1);
    }
    v->queue[v->waiting++] = *a;
}

static void tell_one(struct receiver *v, const struct alert_event *e)
{
    forget(v, &e->alert);
    if (v->kind == RECEIVER_WEBHOOK || e->told == ALERT_OVER)
        put(v, &e->alert);
    else
        v->owes = true;
}

void receivers_tell(struct receivers *r, const struct alert_event *e, unsigned n)
{
    pthread_mutex_lock(&r->lock);
    for (unsigned i = 0; i < r->n; i++)
        for (unsigned k = 0; k < n; k++)
            tell_one(r->receiver[i], &e[k]);
    pthread_mutex_unlock(&r->lock);
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void sent(struct receiver *v)
{
    count(v, RECEIVER_SENT, 1);
    take_out(v, 0, v->sending);
    if (v->tries)
        log_info("alerts reach %.*s again", STR_ARG(errand_place(v->url)));
    v->tries = 0;
}

static void failed(struct receiver *v)
{
    count(v, RECEIVER_FAILED, 1);
    v->owes |= v->kind == RECEIVER_ALERTMANAGER;
    if (!v->tries++)
        log_warn("alerts do not reach %.*s: %s", STR_ARG(errand_place(v->url)), v->last);
    v->next = worker_now(v->of->worker) + errand_pause(v->of->worker, v->tries);
}

static void answered(struct errand *e)
{
    struct receiver *v = CONTAINER(e, struct receiver, errand);

    pthread_mutex_lock(&v->of->lock);
    errand_put_result(e, v->last, sizeof v->last);
    if (errand_went_well(e))
        sent(v);
    else
        failed(v);
    v->sending = 0;
    pthread_mutex_unlock(&v->of->lock);
    text_free(&v->body);
}

static void run(struct errand *e, struct text *body, enum receiver_kind kind, nsec patience)
{
    e->body = text_str(body);
    e->path = kind == RECEIVER_ALERTMANAGER ? STR("/api/v2/alerts") : STR_NONE;
    if (e->path.n && str_ends(e->to.path, e->path))
        e->path = STR_NONE;
    else if (e->path.n && str_ends(e->to.path, STR("/")))
        e->path = str_drop(e->path, 1);
    e->patience = patience;
    errand_run(e);
}

static void send_body(struct receiver *v)
{
    if (!v->body.failed) {
        run(&v->errand, &v->body, v->kind, PATIENCE);
        return;
    }
    text_free(&v->body); /* memory is out: later */
    v->body = (struct text){ 0 };
    v->sending = 0;
    v->owes = true;
}

static void send_events(struct receiver *v)
{
    v->sending = MIN(v->waiting, (unsigned)TOLD_AT_ONCE);
    alert_put_webhook(&v->body, v->queue, v->sending);
    send_body(v);
}

static void send_present(struct receiver *v, struct alerts *a, nsec now)
{
    struct worker *w = v->of->worker;
    struct alert *all = memory_strikes() ? NULL : malloc((ALERTS_MOST + TOLD_AT_ONCE) * sizeof *all);
    unsigned n;

    if (!all)
        return;
    v->sending = MIN(v->waiting, (unsigned)TOLD_AT_ONCE);
    memcpy(all, v->queue, v->sending * sizeof *all);
    n = v->sending + alerts_firing(a, all + v->sending, ALERTS_MOST);
    v->owes = false;
    v->reminded = now;
    if (n) {
        alert_put_alertmanager(&v->body, all, n, loop_wall(w->loop), STR_NONE);
        send_body(v);
    }
    free(all);
}

static void turn(struct receiver *v, struct alerts *a, nsec now)
{
    if (errand_is_busy(&v->errand) || now < v->next)
        return;
    if (v->kind == RECEIVER_WEBHOOK && v->waiting)
        send_events(v);
    else if (v->kind == RECEIVER_ALERTMANAGER && (v->waiting || v->owes || now - v->reminded >= REMIND))
        send_present(v, a, now);
}

/* ---- trials ------------------------------------------------------------------------------------------------------ */

struct trial *trial_new(struct receivers *r)
{
    struct trial *t = memory_strikes() ? NULL : calloc(1, sizeof *t);

    if (!t)
        return NULL;
    atomic_init(&t->refs, 2);
    pthread_mutex_lock(&r->lock);
    t->next = r->asked;
    r->asked = t;
    pthread_mutex_unlock(&r->lock);
    return t;
}

void trial_drop(struct trial **at)
{
    struct trial *t = *at;

    *at = NULL;
    if (atomic_fetch_sub(&t->refs, 1) > 1)
        return;
    for (unsigned i = 0; i < t->n; i++)
        free(t->leg[i].url);
    free(t);
}

bool trial_is_over(const struct trial *t)
{
    return atomic_load(&t->over);
}

static void leg_ends(struct errand *e)
{
    struct leg *leg = CONTAINER(e, struct leg, errand);

    text_free(&leg->body);
    if (--leg->of->left == 0)
        atomic_store(&leg->of->over, true);
}

static void begin_leg(struct trial *t, const struct receiver *v, nsec wall)
{
    struct leg *leg = &t->leg[t->n];
    struct alert alert;

    leg->url = memory_strikes() ? NULL : strdup(v->url);
    if (!leg->url || !errand_to_read(str_of(leg->url), &leg->errand.to))
        return;
    t->n++;
    t->left++;
    leg->of = t;
    leg->kind = v->kind;
    leg->errand.worker = v->of->worker;
    leg->errand.done = leg_ends;
    alert_for_test(&alert, wall);
    if (v->kind == RECEIVER_WEBHOOK)
        alert_put_webhook(&leg->body, &alert, 1);
    else
        alert_put_alertmanager(&leg->body, &alert, 1, wall, STR_NONE);
    run(&leg->errand, &leg->body, leg->kind, TRIAL_PATIENCE);
}

static void begin_trials(struct receivers *r)
{
    struct trial *t;

    pthread_mutex_lock(&r->lock);
    while ((t = r->asked)) {
        r->asked = t->next;
        for (unsigned i = 0; i < r->n && !r->stopped; i++)
            begin_leg(t, r->receiver[i], loop_wall(r->worker->loop));
        atomic_store(&t->over, t->left == 0);
        t->next = r->running;
        r->running = t;
    }
    pthread_mutex_unlock(&r->lock);
}

static void drop_trials(struct receivers *r)
{
    for (struct trial **at = &r->running; *at;) {
        struct trial *t = *at;
        if (trial_is_over(t)) {
            *at = t->next;
            trial_drop(&t);
        } else {
            at = &t->next;
        }
    }
}

static void stop_trial(struct trial *t)
{
    for (unsigned i = 0; i < t->n; i++) {
        errand_cancel(&t->leg[i].errand);
        text_free(&t->leg[i].body);
    }
    t->left = 0;
    atomic_store(&t->over, true);
}

void trial_json(const struct trial *t, struct json_out *j)
{
    bool ok = true;

    for (unsigned i = 0; i < t->n; i++)
        ok &= errand_went_well(&t->leg[i].errand);
    json_open(j, '{');
    json_key(j, "ok");
    json_put_bool(j, ok && t->n);
    if (!t->n) {
        json_key(j, "error");
        json_put_str(j, STR("there is no receiver: set alerts.webhook or alerts.alertmanager"));
    }
    json_key(j, "receivers");
    json_open(j, '[');
    for (unsigned i = 0; i < t->n; i++) {
        const struct errand *e = &t->leg[i].errand;
        json_open(j, '{');
        json_key(j, "kind");
        json_put_str(j, kinds[t->leg[i].kind]);
        json_key(j, "to");
        json_put_str(j, errand_place(t->leg[i].url));
        json_key(j, "ok");
        json_put_bool(j, errand_went_well(e));
        json_key(j, "status");
        json_put_i64(j, e->status);
        json_key(j, "says");
        json_put_str(j, str_of(e->says));
        json_close(j);
    }
    json_close(j);
    json_close(j);
}

/* ---- which there are --------------------------------------------------------------------------------------------- */

static void free_receiver(struct receiver **at)
{
    struct receiver *v = *at;

    *at = NULL;
    text_free(&v->body);
    free(v->queue);
    free(v->url);
    free(v);
}

static struct receiver *new_receiver(struct receivers *r, const struct receiver_spec *spec)
{
    struct receiver *v = memory_strikes() ? NULL : calloc(1, sizeof *v);

    if (!v)
        return NULL;
    v->kind = spec->kind;
    v->of = r;
    v->url = memory_strikes() ? NULL : strndup(spec->url.p, spec->url.n);
    v->queue = memory_strikes() ? NULL : calloc(RECEIVER_QUEUE, sizeof *v->queue);
    v->errand.worker = r->worker;
    v->errand.done = answered;
    v->reminded = worker_now(r->worker);
    if (!v->url || !v->queue || !errand_to_read(str_of(v->url), &v->errand.to))
        free_receiver(&v);
    return v;
}

static struct receiver *take_known(struct receivers *r, const struct receiver_spec *spec)
{
    for (unsigned i = 0; i < RECEIVERS_MOST; i++) {
        struct receiver *v = r->receiver[i];
        if (v && v->kind == spec->kind && str_eq(str_of(v->url), spec->url)) {
            r->receiver[i] = NULL;
            return v;
        }
    }
    return NULL;
}

static void free_left(struct receivers *r)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < r->n_leaving; i++)
        if (errand_is_busy(&r->leaving[i]->errand))
            r->leaving[kept++] = r->leaving[i];
        else
            free_receiver(&r->leaving[i]);
    r->n_leaving = kept;
}

static void let_go(struct receivers *r, struct receiver **at)
{
    errand_cancel(&(*at)->errand);
    if (errand_is_busy(&(*at)->errand))
        r->leaving[r->n_leaving++] = *at;
    else
        free_receiver(at);
    *at = NULL;
}

void receivers_configure(struct receivers *r, const struct gateway_settings *s)
{
    struct receiver *next[RECEIVERS_MOST] = { NULL };
    unsigned n = 0;

    free_left(r);
    if (r->n_leaving > ARRAY_LEN(r->leaving) - RECEIVERS_MOST)
        return; /* a reload each moment, and a resolver that is silent: the next one will do */
    pthread_mutex_lock(&r->lock);
    for (unsigned i = 0; i < s->receivers; i++) {
        struct receiver *v = take_known(r, &s->receiver[i]);
        v = v ? v : new_receiver(r, &s->receiver[i]);
        if (v)
            next[n++] = v;
        else
            log_error("there is no memory for a receiver of alerts");
    }
    for (unsigned i = 0; i < RECEIVERS_MOST; i++)
        if (r->receiver[i])
            let_go(r, &r->receiver[i]);
    memcpy(r->receiver, next, sizeof next);
    r->n = n;
    pthread_mutex_unlock(&r->lock);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct receivers *receivers_new(struct worker *first)
{
    struct receivers *r = memory_strikes() ? NULL : calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->worker = first;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void receivers_turn(struct receivers *r, struct alerts *a)
{
    nsec now = worker_now(r->worker);

    free_left(r);
    drop_trials(r);
    begin_trials(r);
    pthread_mutex_lock(&r->lock);
    for (unsigned i = 0; i < r->n; i++)
        turn(r->receiver[i], a, now);
    pthread_mutex_unlock(&r->lock);
}

void receivers_stop(struct receivers *r)
{
    r->stopped = true;
    begin_trials(r); /* none of their errands: who waits for them is told so */
    for (struct trial *t = r->running; t; t = t->next)
        stop_trial(t);
    for (unsigned i = 0; i < r->n; i++)
        errand_cancel(&r->receiver[i]->errand);
}

/* After the loops: no look-up runs any more. */
void receivers_free(struct receivers **at)
{
    struct receivers *r = *at;

    *at = NULL;
    if (!r)
        return;
    drop_trials(r);
    for (unsigned i = 0; i < r->n; i++)
        free_receiver(&r->receiver[i]);
    for (unsigned i = 0; i < r->n_leaving; i++)
        free_receiver(&r->leaving[i]);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static void put_receiver(struct json_out *j, const struct receiver *v)
{
    static const char *const names[] = { "sent", "failed", "dropped" };

    json_open(j, '{');
    json_key(j, "kind");
    json_put_str(j, kinds[v->kind]);
    json_key(j, "to");
    json_put_str(j, errand_place(v->url));
    json_key(j, "waiting");
    json_put_i64(j, v->waiting);
    for (unsigned i = 0; i < RECEIVER_RESULTS; i++) {
        json_key(j, names[i]);
        json_put_i64(j, (int64_t)v->count[i]);
    }
    json_key(j, "last");
    json_put_str(j, str_of(v->last));
    json_close(j);
}

void receivers_json(struct receivers *r, struct json_out *j)
{
    json_open(j, '[');
    pthread_mutex_lock(&r->lock);
    for (unsigned i = 0; i < r->n; i++)
        put_receiver(j, r->receiver[i]);
    pthread_mutex_unlock(&r->lock);
    json_close(j);
}

uint64_t receivers_count(struct receivers *r, enum receiver_kind kind, enum receiver_result result)
{
    uint64_t n;

    pthread_mutex_lock(&r->lock);
    n = r->count[kind][result];
    pthread_mutex_unlock(&r->lock);
    return n;
}
