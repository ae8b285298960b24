/* net/loop.h in the simulated world: all workers, mailboxes and lanes in one thread.
 *
 * A loop is roused by what it could have been waiting for: a watched end that changed, a mail, a finished job, a due
 * timer, a signal. Rousing draws when its next turn begins: mostly microseconds later, now and then milliseconds (the
 * machine ran somebody else). A turn costs time too, so packets arrive and other workers run in between, in every order
 * the seed finds. Within a turn everything is as net/loop.h tells: events in any order, then mails and jobs, timers,
 * each_turn.
 *
 * What a worker may do only on its own thread is checked here (loop_own_thread): the plays find what TSan would have to
 * meet. */
#include "base/slab.h"
#include "base/sys.h"
#include "world_inside.h"
#include <stdatomic.h>
#include <stdlib.h>

#define SIGNALS_MAX 8

struct signal_watch {
    int signo;
    void (*got)(int signo, void *arg);
    void *arg;
    bool pending;
};
struct loop {
    struct list link;
    unsigned no;
    bool running, stopping, roused;
    nsec now, busy_until, wall_offset, wall_read_at;
    uint64_t turns;
    struct event turn;
    struct timers timers;
    struct watches watches;
    struct list inbox, finished;
    struct signal_watch signals[SIGNALS_MAX];
    unsigned n_signals, n_jobs;
    void (*each_turn)(void *arg);
    void *each_turn_arg;
};
/* A posted mail on its way, and then in the inbox. mail->next points here meanwhile. */
struct envelope {
    struct event event;
    struct list link;
    struct loop *to;
    struct mail *mail;
};
struct errand {
    struct event event;
    struct list link;
    struct job *job;
};
struct name {
    struct list link;
    char *name;
    struct addr found[8];
    unsigned n;
    nsec delay;
};
static const unsigned lane_threads[LANE_COUNT] = { [LANE_DNS] = 2, [LANE_HEAVY] = 1 };

static struct {
    struct list loops, mails, errands, names;
    struct loop *turning;
    /* [sender][receiver]: when the last one arrives, so that none overtakes */
    nsec mail_due[SYS_WORKERS_MAX + 1][SYS_WORKERS_MAX];
    nsec lane_free[LANE_COUNT][2];
} all;

/* ---- when a loop's turn comes ---- */
void loop_own_thread(const struct loop *l)
{
    assume(!all.turning || all.turning == l);
}

static nsec hesitation(void)
{
    return one_in(64) ? chance_between(USEC(50), MSEC(2)) : chance_between(500, USEC(30));
}

static void turn_at(struct loop *l, nsec due)
{
    due = MAX(due, l->busy_until);
    if (!event_pending(&l->turn) || l->turn.due > due)
        event_set(&l->turn, due);
}

void loop_rouse(struct loop *l)
{
    if (!l->running || l->roused)
        return;
    l->roused = true;
    turn_at(l, MAX(l->busy_until, world_now()) + hesitation());
}

static void heed_timers(struct loop *l)
{
    nsec due = timers_next(&l->timers);
    if (!l->running || due == NEVER || all.turning == l)
        return;
    if (!event_pending(&l->turn) || l->turn.due > MAX(due, l->busy_until))
        turn_at(l, MAX(due, world_now()) + hesitation());
}

/* ---- mails ---- */
static void mail_arrives(struct event *e)
{
    struct envelope *v = CONTAINER(e, struct envelope, event);
    trace("mail", v->to->no, 0);
    list_del(&v->link);
    list_push(&v->to->inbox, &v->link);
    loop_rouse(v->to);
}

void loop_post(struct loop *to, struct mail *m, unsigned bits)
{
    assume(bits);
    if (atomic_fetch_or(&m->bits, bits)) {
        assume(((struct envelope *)(void *)atomic_load(&m->next))->to == to);
        return;
    }
    nsec *last = &all.mail_due[sys_worker_no()][to->no];
    struct envelope *v = world_alloc(sizeof *v);
    *v = (struct envelope){ .event.happen = mail_arrives, .to = to, .mail = m };
    atomic_store(&m->next, (struct mail *)(void *)v);
    list_push(&all.mails, &v->link);
    nsec due = world_now() + hesitation();
    *last = MAX(*last, due);
    event_set(&v->event, *last);
}

bool mail_is_posted(const struct mail *m)
{
    return atomic_load(&m->bits) != 0;
}

/* ---- jobs ---- */
static void job_is_worked(struct event *e)
{
    struct errand *r = CONTAINER(e, struct errand, event);
    struct loop *l = r->job->loop;
    trace("job", l->no, 0);
    r->job->work(r->job);
    list_del(&r->link);
    list_push(&l->finished, &r->link);
    loop_rouse(l);
}

static void start_job(struct loop *l, enum lane lane, struct job *j, nsec takes)
{
    nsec *thread = &all.lane_free[lane][0];
    loop_own_thread(l);
    for (unsigned i = 1; i < lane_threads[lane]; i++)
        if (all.lane_free[lane][i] < *thread)
            thread = &all.lane_free[lane][i];
    struct errand *r = world_alloc(sizeof *r);
    *r = (struct errand){ .event.happen = job_is_worked, .job = j };
    *thread = MAX(*thread, world_now()) + takes;
    j->loop = l;
    l->n_jobs++;
    list_push(&all.errands, &r->link);
    event_set(&r->event, *thread);
}

void loop_job(struct loop *l, enum lane lane, struct job *j)
{
    start_job(l, lane, j, chance_between(USEC(20), MSEC(2)));
}
void loop_lanes_done(void)
{
    assume(list_empty(&all.errands));
}

static struct name *name_of(const char *host)
{
    list_each (link, &all.names) {
        struct name *n = CONTAINER(link, struct name, link);
        if (str_eq_nocase(str_of(n->name), str_of(host)))
            return n;
    }
    return NULL;
}

void world_resolve(const char *host, const struct addr *found, unsigned n, nsec delay)
{
    struct name *known = name_of(host);
    assume(n <= ARRAY_LEN(known->found));
    if (!known) {
        known = world_alloc(sizeof *known);
        known->name = strdup(host);
        assume(known->name);
        list_push(&all.names, &known->link);
    }
    if (n)
        memcpy(known->found, found, n * sizeof *found);
    known->n = n;
    known->delay = delay;
}

static void look_up(struct job *j)
{
    struct resolve *r = CONTAINER(j, struct resolve, job);
    const struct name *known = name_of(r->host);
    r->n = 0;
    if (addr_literal(str_of(r->host), r->port, &r->found[0]))
        r->n = 1;
    for (; known && r->n < known->n; r->n++) {
        r->found[r->n] = known->found[r->n];
        addr_set_port(&r->found[r->n], r->port);
    }
    r->failed = r->n ? OK : FAIL_unresolved;
}

static void looked_up(struct job *j)
{
    struct resolve *r = CONTAINER(j, struct resolve, job);
    r->done(r);
}

void loop_resolve(struct loop *l, struct resolve *r)
{
    const struct name *known = name_of(r->host);
    r->job.work = look_up;
    r->job.done = looked_up;
    start_job(l, LANE_DNS, &r->job, known ? known->delay : chance_between(USEC(50), MSEC(5)));
}

/* ---- signals ---- */
void loop_on_signal(struct loop *l, int signo, void (*got)(int signo, void *arg), void *arg)
{
    assume(l->n_signals < SIGNALS_MAX);
    l->signals[l->n_signals++] = (struct signal_watch){ .signo = signo, .got = got, .arg = arg };
}

void world_signal(int signo)
{
    trace("signal", (uint64_t)signo, 0);
    list_each (link, &all.loops) {
        struct loop *l = CONTAINER(link, struct loop, link);
        for (unsigned i = 0; i < l->n_signals; i++)
            l->signals[i].pending |= l->signals[i].signo == signo;
        loop_rouse(l);
    }
}

static void give_signals(struct loop *l)
{
    for (unsigned i = 0; i < l->n_signals; i++) {
        struct signal_watch *w = &l->signals[i];
        if (!w->pending)
            continue;
        w->pending = false;
        w->got(w->signo, w->arg);
    }
}

/* ---- a turn ---- */
static void read_clock(struct loop *l)
{
    l->now = world_now();
    if (l->now - l->wall_read_at < SECOND(1))
        return;
    l->wall_read_at = l->now;
    l->wall_offset = world_wall_offset();
}

static void move_all(struct list *from, struct list *to)
{
    list_init(to);
    for (struct list *link; (link = list_pop(from));)
        list_push(to, link);
}

static void deliver_mails(struct loop *l)
{
    struct list now;
    move_all(&l->inbox, &now);
    for (struct list *link; (link = list_pop(&now));) {
        struct envelope *v = CONTAINER(link, struct envelope, link);
        struct mail *m = v->mail;
        free(v);
        atomic_store(&m->next, NULL);
        m->deliver(m, atomic_exchange(&m->bits, 0));
    }
}

static void finish_jobs(struct loop *l)
{
    struct list now;
    move_all(&l->finished, &now);
    for (struct list *link; (link = list_pop(&now));) {
        struct errand *r = CONTAINER(link, struct errand, link);
        struct job *j = r->job;
        free(r);
        l->n_jobs--;
        j->done(j);
    }
}

static void plan_next_turn(struct loop *l)
{
    bool ready = !list_empty(&l->inbox) || !list_empty(&l->finished) || watches_any_ready(&l->watches);
    for (unsigned i = 0; i < l->n_signals; i++)
        ready |= l->signals[i].pending;
    if (ready)
        loop_rouse(l);
    heed_timers(l);
}

static void take_turn(struct loop *l)
{
    read_clock(l);
    watches_bury(&l->watches);
    give_signals(l);
    watches_tell(&l->watches);
    deliver_mails(l);
    finish_jobs(l);
    timers_run(&l->timers, l->now);
    if (l->each_turn)
        l->each_turn(l->each_turn_arg);
}

static void turn_comes(struct event *e)
{
    struct loop *l = CONTAINER(e, struct loop, turn);
    unsigned before = sys_worker_no();
    trace("turn", l->no, ++l->turns);
    all.turning = l;
    l->roused = true; /* whatever it does to itself, the end of the turn sees it */
    sys_set_worker_no(l->no);
    take_turn(l);
    sys_set_worker_no(before);
    all.turning = NULL;
    l->roused = false;
    l->busy_until = world_now() + chance_between(500, USEC(20));
    l->running = !l->stopping;
    l->stopping = false;
    plan_next_turn(l);
}

/* ---- life of a loop ---- */
struct loop *loop_new(unsigned no)
{
    assume(no < SYS_WORKERS_MAX);
    if (memory_strikes())
        return NULL;
    struct loop *l = world_alloc(sizeof *l);
    *l = (struct loop){ .no = no, .turn.happen = turn_comes, .wall_read_at = world_now() - SECOND(2) };
    watches_init(&l->watches);
    list_init(&l->inbox);
    list_init(&l->finished);
    list_push(&all.loops, &l->link);
    read_clock(l);
    return l;
}

static void loop_drop(struct loop *l)
{
    watches_done(&l->watches);
    event_cancel(&l->turn);
    timers_free(&l->timers);
    list_del(&l->link);
    free(l);
}

static bool expects_mail(const struct loop *l)
{
    list_each (link, &all.mails)
        if (CONTAINER(link, struct envelope, link)->to == l)
            return true;
    return !list_empty(&l->inbox);
}

void loop_free(struct loop **l)
{
    struct loop *gone = *l;
    if (!gone)
        return;
    assume(all.turning != gone);
    assume(list_empty(&gone->watches.open) && gone->n_jobs == 0);
    assume(timers_next(&gone->timers) == NEVER && !expects_mail(gone));
    loop_drop(gone);
    *l = NULL;
}

struct watches *loop_watches(struct loop *l)
{
    return &l->watches;
}
unsigned loop_no(const struct loop *l)
{
    return l->no;
}

void world_attach(struct loop *l, void (*each_turn)(void *arg), void *arg)
{
    assume(!l->running);
    l->each_turn = each_turn;
    l->each_turn_arg = arg;
    l->running = true;
    loop_rouse(l);
}

bool world_is_attached(const struct loop *l)
{
    return l->running;
}
uint64_t world_turns(const struct loop *l)
{
    return l->turns;
}

void loop_run(struct loop *l, void (*each_turn)(void *arg), void *arg)
{
    world_attach(l, each_turn, arg);
    while (l->running) {
        bool something_happened = world_step();
        assume(something_happened);
    }
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
    loop_rouse(l);
}

nsec loop_now(const struct loop *l)
{
    return all.turning == l ? l->now : world_now();
}
nsec loop_wall(const struct loop *l)
{
    return loop_now(l) + l->wall_offset;
}

void loop_timer_set(struct loop *l, struct timer *t, nsec due)
{
    loop_own_thread(l);
    timers_set(&l->timers, t, due);
    heed_timers(l);
}

void loop_timer_cancel(struct loop *l, struct timer *t)
{
    loop_own_thread(l);
    timers_cancel(&l->timers, t);
}

/* ---- life of all ---- */
void loops_begin(void)
{
    memset(&all, 0, sizeof all);
    handles_begin();
    list_init(&all.loops);
    list_init(&all.mails);
    list_init(&all.errands);
    list_init(&all.names);
    struct addr home = world_addr("127.0.0.1:0");
    world_resolve("localhost", &home, 1, USEC(100));
}

static void free_envelopes(struct list *mails)
{
    for (struct list *link; (link = list_pop(mails));)
        free(CONTAINER(link, struct envelope, link));
}

static void free_errands(struct list *errands)
{
    for (struct list *link; (link = list_pop(errands));)
        free(CONTAINER(link, struct errand, link));
}

void loops_end(void)
{
    for (struct list *link; (link = list_first(&all.loops));) {
        struct loop *l = CONTAINER(link, struct loop, link);
        free_envelopes(&l->inbox);
        free_errands(&l->finished);
        loop_drop(l);
    }
    free_envelopes(&all.mails);
    free_errands(&all.errands);
    handles_end();
    for (struct list *link; (link = list_pop(&all.names));) {
        struct name *n = CONTAINER(link, struct name, link);
        free(n->name);
        free(n);
    }
    all.turning = NULL;
    sys_set_worker_no(SYS_NO_WORKER);
}

unsigned tell_leaks(FILE *to, const char *what, const struct list *some)
{
    unsigned n = 0;
    list_each (link, some)
        n++;
    if (n && to)
        fprintf(to, "left over: %u %s\n", n, what);
    return n;
}

static unsigned loop_leaks(FILE *to, struct loop *l)
{
    bool timed = timers_next(&l->timers) != NEVER;
    if (timed && to)
        fprintf(to, "left over: timers of loop %u\n", l->no);
    return timed + tell_leaks(to, "sockets or listeners", &l->watches.open) +
           tell_leaks(to, "mails to be delivered", &l->inbox) + tell_leaks(to, "jobs to be finished", &l->finished);
}

unsigned loops_leaks(FILE *to)
{
    unsigned n = tell_leaks(to, "loops", &all.loops) + tell_leaks(to, "mails on their way", &all.mails) +
                 tell_leaks(to, "jobs", &all.errands) + handles_leaks(to);
    list_each (link, &all.loops)
        n += loop_leaks(to, CONTAINER(link, struct loop, link));
    return n;
}
