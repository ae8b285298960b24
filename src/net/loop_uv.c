/* net/loop_uv.c - the loop itself over libuv 1.44: turns, clock, timers, mailbox, signals.
 *
 *      .-> uv timers, idle -> turn_ends() = prepare: mails, jobs, timers, each_turn, arm -> wait -> events -.
 *      '----------------------------------------------------------------------------------------------------'
 *
 * All that is not an event on a descriptor happens in the prepare callback, the last thing before libuv waits: so
 * each_turn sees everything of its turn, and the decision to sleep is taken once. uv_run's default mode reads its clock
 * less often than calling UV_RUN_ONCE in a loop of our own would.
 *
 * Clock: the first callback after the wait reads it (loop_wakes), everybody else sees that moment.
 *
 * Timers: our heap, and one uv_timer that is only moved when the earliest due gets earlier, so that lazy stream
 * timeouts cost no libuv call. libuv counts whole milliseconds from a truncated clock; rounding the due down too makes
 * the wait itself as long as the distance to the due, and a wait that ends early is followed by one of 1 ms: never
 * early, at most 1 ms late. A timerfd would be exact for two more system calls per firing; nothing here needs that.
 *
 * Mailbox: senders push onto a stack with one compare-and-swap, the owner takes all of it at once and turns it round. A
 * system call is made only for a receiver that said it is going to sleep. Dekker's pattern: the owner stores `asleep`,
 * then looks into the mailbox; a sender pushes, then looks at `asleep` (loop_stop likewise); all four are sequentially
 * consistent, so one of them sees the other. */
#include "net/loop_uv.h"

#include "base/log.h"
#include "base/sys.h"

#include <stdlib.h>

/* Timers put off to "now + 1 ns" and the like are not worth a wait of a whole millisecond. */
#define TOO_SHORT_TO_WAIT USEC(2)

/* --- clock --- */

static void read_clock(struct loop *l)
{
    l->now = sys_now();
    if (l->now - l->wall_read_at < SECOND(1))
        return;
    l->wall_read_at = l->now;
    l->wall_offset = sys_wall() - l->now;
}

void loop_wakes(struct loop *l)
{
    if (l->awake)
        return;
    l->awake = true;
    atomic_store_explicit(&l->asleep, false, memory_order_relaxed);
    read_clock(l);
}

nsec loop_now(const struct loop *l)
{
    return l->now;
}
nsec loop_wall(const struct loop *l)
{
    return l->now + l->wall_offset;
}
unsigned loop_no(const struct loop *l)
{
    return l->no;
}

/* --- timers --- */

void loop_timer_set(struct loop *l, struct timer *t, nsec due)
{
    timers_set(&l->timers, t, due);
}
void loop_timer_cancel(struct loop *l, struct timer *t)
{
    timers_cancel(&l->timers, t);
}

static void on_alarm(uv_timer_t *h)
{
    struct loop *l = h->data;
    l->alarm_due = NEVER;
}

static void set_alarm(struct loop *l)
{
    nsec due = timers_next(&l->timers);
    if (due >= l->alarm_due)
        return;
    l->alarm_due = due;
    int64_t ms = due / MSEC(1) - (int64_t)uv_now(&l->uv);
    uv_timer_start(&l->alarm, on_alarm, (uint64_t)MAX(ms, 1), 0);
}

/* --- mailbox --- */

static void push_mail(struct loop *to, struct mail *m)
{
    struct mail *top = atomic_load_explicit(&to->mailbox, memory_order_relaxed);
    do
        atomic_store_explicit(&m->next, top, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&to->mailbox, &top, m));
}

static void wake(struct loop *l)
{
    if (atomic_load(&l->asleep) && atomic_exchange(&l->asleep, false))
        uv_async_send(&l->wake);
}

void loop_post(struct loop *to, struct mail *m, unsigned bits)
{
    assume(bits);
    if (atomic_fetch_or_explicit(&m->bits, bits, memory_order_acq_rel))
        return;
    push_mail(to, m);
    wake(to);
}

bool mail_is_posted(const struct mail *m)
{
    return atomic_load_explicit(&m->bits, memory_order_relaxed) != 0;
}

static struct mail *next_mail(struct mail *m)
{
    return atomic_load_explicit(&m->next, memory_order_relaxed);
}

static struct mail *take_mails_oldest_first(struct loop *l)
{
    struct mail *oldest = NULL;
    for (struct mail *m = atomic_exchange_explicit(&l->mailbox, NULL, memory_order_acquire), *below; m; m = below) {
        below = next_mail(m);
        atomic_store_explicit(&m->next, oldest, memory_order_relaxed);
        oldest = m;
    }
    return oldest;
}

static void deliver_mails(struct loop *l)
{
    if (!atomic_load_explicit(&l->mailbox, memory_order_relaxed))
        return;
    for (struct mail *m = take_mails_oldest_first(l), *next; m; m = next) {
        next = next_mail(m); /* from the exchange on, m may be posted again, or freed by deliver */
        m->deliver(m, atomic_exchange_explicit(&m->bits, 0, memory_order_acq_rel));
    }
}

/* --- turns --- */

static void just_go_on(uv_idle_t *h)
{
    (void)h;
}

static void wait_if_nothing_is_due(struct loop *l)
{
    atomic_store(&l->asleep, true);
    if (atomic_load(&l->stopping))
        uv_stop(&l->uv);
    bool due = atomic_load(&l->mailbox) || timers_next(&l->timers) <= l->now + TOO_SHORT_TO_WAIT;
    l->awake = false;
    if (!due) {
        uv_idle_stop(&l->no_wait);
        set_alarm(l);
        return;
    }
    atomic_store_explicit(&l->asleep, false, memory_order_relaxed);
    uv_idle_start(&l->no_wait, just_go_on);
}

static void turn_ends(uv_prepare_t *h)
{
    struct loop *l = h->data;
    loop_wakes(l);
    deliver_mails(l);
    timers_run(&l->timers, l->now);
    if (l->each_turn)
        l->each_turn(l->each_turn_arg);
    wait_if_nothing_is_due(l);
}

void loop_run(struct loop *l, void (*each_turn)(void *arg), void *arg)
{
    sys_set_worker_no(l->no);
    l->each_turn = each_turn;
    l->each_turn_arg = arg;
    l->awake = false;
    uv_run(&l->uv, UV_RUN_DEFAULT);
    atomic_store_explicit(&l->stopping, false, memory_order_relaxed);
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stopping, true);
    wake(l);
}

/* --- signals --- */

static void on_signal(uv_signal_t *h, int signo)
{
    struct signal_watch *w = h->data;
    loop_wakes(w->loop);
    w->got(signo, w->arg);
}

static struct signal_watch *free_signal_watch(struct loop *l)
{
    for (size_t i = 0; i < SIGNALS_MAX; i++)
        if (!l->signals[i].loop)
            return &l->signals[i];
    return NULL;
}

void loop_on_signal(struct loop *l, int signo, void (*got)(int signo, void *arg), void *arg)
{
    struct signal_watch *w = free_signal_watch(l);
    assume(w);
    *w = (struct signal_watch){ .loop = l, .got = got, .arg = arg };
    uv_signal_init(&l->uv, &w->uv);
    w->uv.data = w;
    int error = uv_signal_start(&w->uv, on_signal, signo);
    if (error)
        log_warn("signal %d cannot be received: %s", signo, uv_strerror(error));
}

/* --- life --- */

static bool open_handles(struct loop *l)
{
    if (uv_async_init(&l->uv, &l->wake, NULL))
        return false;
    uv_prepare_init(&l->uv, &l->turn_end);
    uv_idle_init(&l->uv, &l->no_wait);
    uv_timer_init(&l->uv, &l->alarm);
    l->turn_end.data = l;
    l->alarm.data = l;
    uv_prepare_start(&l->turn_end, turn_ends);
    return true;
}

static bool fill(struct loop *l)
{
    if (uv_loop_init(&l->uv))
        return false;
    if (open_handles(l))
        return true;
    uv_loop_close(&l->uv);
    return false;
}

struct loop *loop_new(unsigned no)
{
    assume(no < SYS_WORKERS_MAX);
    struct loop *l = aligned_alloc(_Alignof(struct loop), sizeof *l);
    if (!l)
        return NULL;
    *l = (struct loop){ .no = no, .alarm_due = NEVER, .wall_read_at = -SECOND(2), .jobs_done.deliver = loop_jobs_done };
    lazy_init(l);
    if (!fill(l)) {
        free(l);
        return NULL;
    }
    pthread_mutex_init(&l->finished_lock, NULL);
    list_init(&l->finished);
    read_clock(l);
    watch_pool_ref();
    return l;
}

static void close_handle(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

/* A lane may announce a job that was fetched together with an earlier one. */
static bool only_our_own_mail_is_left(struct loop *l)
{
    struct mail *left = atomic_load(&l->mailbox);
    return !left || (left == &l->jobs_done && !next_mail(left));
}

void loop_free(struct loop **l)
{
    struct loop *gone = *l;
    if (!gone)
        return;
    assume(gone->watches == 0 && gone->jobs == 0);
    lazy_close(gone);
    assume(timers_next(&gone->timers) == NEVER && only_our_own_mail_is_left(gone));
    uv_prepare_stop(&gone->turn_end);
    uv_walk(&gone->uv, close_handle, NULL);
    uv_run(&gone->uv, UV_RUN_DEFAULT);
    assume(uv_loop_close(&gone->uv) == 0);
    pthread_mutex_destroy(&gone->finished_lock);
    timers_free(&gone->timers);
    watch_pool_unref();
    free(gone);
    *l = NULL;
}
