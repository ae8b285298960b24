/* net/lane.c - threads for what must not hold up a worker: name look-ups and heavy computing.
 *
 *     worker: loop_job -> lane's queue -> lane's thread: work -> loop's list of finished jobs + one mail -> worker:
 * done
 *
 * libuv's own pool is not used: there one slow DNS server would hold the threads that compress, and the reverse. A lane
 * starts its threads with its first job. What comes back wakes the worker by mail like everything else, so a batch of
 * finished jobs costs one wake. */
#include "net/loop_uv.h"

#include "base/sys.h"

#include <netdb.h>
#include <signal.h>

#define LANE_THREADS_MAX 8

struct lane_state {
    const char *name;
    unsigned wanted; /* threads; 0: a quarter of the cores, at least one */
    pthread_mutex_t lock;
    pthread_cond_t more;
    bool started, closing;
    struct list waiting;
    unsigned threads;
    pthread_t thread[LANE_THREADS_MAX];
};
#define LANE(name_, wanted_)                                                                                           \
    {                                                                                                                  \
        .name = name_, .wanted = wanted_, .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER          \
    }
static struct lane_state lanes[LANE_COUNT] = {
    [LANE_DNS] = LANE("dns", 2),
    [LANE_HEAVY] = LANE("heavy", 0),
};

/* --- giving back --- */

static void finish(struct job *j)
{
    struct loop *l = j->loop; /* once listed the job may be gone */
    pthread_mutex_lock(&l->finished_lock);
    list_push(&l->finished, &j->link);
    loop_post(l, &l->jobs_done, 1);
    pthread_mutex_unlock(&l->finished_lock);
}

static struct job *next_finished(struct loop *l)
{
    pthread_mutex_lock(&l->finished_lock);
    struct list *link = list_pop(&l->finished);
    pthread_mutex_unlock(&l->finished_lock);
    return link ? CONTAINER(link, struct job, link) : NULL;
}

void loop_jobs_done(struct mail *m, unsigned bits)
{
    struct loop *l = CONTAINER(m, struct loop, jobs_done);
    for (struct job *j; (j = next_finished(l));) {
        l->jobs--;
        j->done(j);
    }
}

/* --- threads --- */

static struct job *next_waiting(struct lane_state *lane)
{
    pthread_mutex_lock(&lane->lock);
    while (list_empty(&lane->waiting) && !lane->closing)
        pthread_cond_wait(&lane->more, &lane->lock);
    struct list *link = list_pop(&lane->waiting);
    pthread_mutex_unlock(&lane->lock);
    return link ? CONTAINER(link, struct job, link) : NULL;
}

static void *lane_main(void *arg)
{
    struct lane_state *lane = arg;
    pthread_setname_np(pthread_self(), lane->name);
    for (struct job *j; (j = next_waiting(lane));) {
        j->work(j);
        finish(j);
    }
    return NULL;
}

/* Signals are for the threads that expect them. */
static void start_threads(struct lane_state *lane, unsigned wanted)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (lane->threads < wanted && pthread_create(&lane->thread[lane->threads], NULL, lane_main, lane) == 0)
        lane->threads++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void start_once(struct lane_state *lane)
{
    if (lane->started)
        return;
    lane->started = true;
    lane->closing = false;
    list_init(&lane->waiting);
    unsigned wanted = lane->wanted ? lane->wanted : MAX(1, sys_cores() / 4);
    start_threads(lane, MIN(wanted, LANE_THREADS_MAX));
}

static bool hand_over(struct lane_state *lane, struct job *j)
{
    pthread_mutex_lock(&lane->lock);
    start_once(lane);
    bool somebody_works = lane->threads > 0;
    if (somebody_works) {
        list_push(&lane->waiting, &j->link);
        pthread_cond_signal(&lane->more);
    }
    pthread_mutex_unlock(&lane->lock);
    return somebody_works;
}

void loop_job(struct loop *l, enum lane lane, struct job *j)
{
    j->loop = l;
    l->jobs++;
    if (hand_over(&lanes[lane], j))
        return;
    j->work(j);
    finish(j);
}

static void close_lane(struct lane_state *lane)
{
    pthread_mutex_lock(&lane->lock);
    assume(!lane->started || list_empty(&lane->waiting));
    lane->closing = true;
    pthread_cond_broadcast(&lane->more);
    pthread_mutex_unlock(&lane->lock);
    while (lane->threads > 0)
        pthread_join(lane->thread[--lane->threads], NULL);
    lane->started = false;
}

void loop_lanes_done(void)
{
    for (size_t i = 0; i < LANE_COUNT; i++)
        close_lane(&lanes[i]);
}

/* --- names --- */

static void keep(struct resolve *r, const struct sockaddr *sa)
{
    if (r->n == ARRAY_LEN(r->found))
        return;
    struct addr *a = &r->found[r->n];
    if (sa->sa_family == AF_INET) {
        a->v4 = *(const struct sockaddr_in *)(const void *)sa;
        a->v4.sin_port = htons(r->port);
    } else if (sa->sa_family == AF_INET6) {
        a->v6 = *(const struct sockaddr_in6 *)(const void *)sa;
        a->v6.sin6_port = htons(r->port);
    } else {
        return;
    }
    r->n++;
}

static void look_up(struct job *j)
{
    struct resolve *r = CONTAINER(j, struct resolve, job);
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *all = NULL;
    if (getaddrinfo(r->host, NULL, &hints, &all) == 0) {
        for (struct addrinfo *a = all; a; a = a->ai_next)
            keep(r, a->ai_addr);
        freeaddrinfo(all);
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
    r->job.work = look_up;
    r->job.done = looked_up;
    r->failed = OK;
    r->n = addr_literal(str_of(r->host), r->port, &r->found[0]);
    if (r->n == 0) {
        loop_job(l, LANE_DNS, &r->job);
        return;
    }
    r->job.loop = l;
    l->jobs++;
    finish(&r->job);
}
