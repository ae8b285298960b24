/* The load: epoll, kept connections, a schedule.
 *
 *      schedule --due--> [ idle connections, first in first out ] --send--> busy --answer--> idle
 *
 * A request whose connection is not free waits in the schedule and keeps its moment. epoll_pwait2 with a timer slack of
 * one nanosecond wakes at the moment itself; spinning until then was rejected, because the node lives on the same core.
 * A connection that fails counts one failure and is opened again. */
#include "bench/load.h"

#include "base/list.h"
#include "base/sys.h"
#include "bench/request.h"
#include "bench/statistics.h"
#include "net/http_body.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define PART_BYTES 1024 /* of an answer's head that has not arrived whole */
struct line {
    int fd; /* -1: not open */
    struct list idle;
    nsec meant, first; /* to leave; the first byte of the body came */
    size_t sent;
    bool in_body, waits_for_room;
    int status;
    bool keep;
    struct http_body body;
    uint64_t records;
    uint16_t part_n;
    char part[PART_BYTES];
};
struct load {
    struct load_plan plan;
    struct line *line;
    struct list idle;
    int events;
    /* of the running pass */
    struct str request;
    uint64_t to_send, sent, over;
    bool closed, counts;
    struct arrival arrival;
    nsec begin, due;
    struct load_result *out;
    struct http_head head;
    char input[KIB(64)];
};

/* ---- connections ------------------------------------------------------------------------------------------------- */

static void watch(struct load *l, struct line *c, int op)
{
    struct epoll_event e = { .events = EPOLLIN | (c->waits_for_room ? EPOLLOUT : 0), .data.ptr = c };
    (void)epoll_ctl(l->events, op, c->fd, &e);
}

static bool line_open(struct load *l, struct line *c)
{
    if (c->fd >= 0)
        return true;
    c->fd = request_dial(l->plan.port);
    if (c->fd < 0)
        return false;
    c->waits_for_room = false;
    watch(l, c, EPOLL_CTL_ADD);
    return true;
}

static void line_close(struct line *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static void count_failure(struct load *l, struct line *c)
{
    l->over++;
    l->out->failed += l->counts;
    line_close(c);
    list_push(&l->idle, &c->idle);
}

static void send_rest(struct load *l, struct line *c)
{
    struct str rest = str_drop(l->request, c->sent);
    ssize_t n = send(c->fd, rest.p, rest.n, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (n < 0 && errno != EAGAIN) {
        count_failure(l, c);
        return;
    }
    c->sent += n > 0 ? (size_t)n : 0;
    if (c->waits_for_room != (c->sent < l->request.n)) {
        c->waits_for_room = !c->waits_for_room;
        watch(l, c, EPOLL_CTL_MOD);
    }
}

static void ask(struct load *l, struct line *c, nsec meant)
{
    c->meant = meant;
    c->first = 0;
    c->sent = c->records = c->part_n = 0;
    c->in_body = false;
    l->sent++;
    if (line_open(l, c))
        send_rest(l, c);
    else
        count_failure(l, c);
}

static void plan_next(struct load *l)
{
    if (!l->closed)
        l->due = l->begin + arrival_next(&l->arrival);
}

static void ask_what_is_due(struct load *l)
{
    while (l->sent < l->to_send && !list_empty(&l->idle)) {
        nsec now = sys_now();
        if (!l->closed && l->due > now)
            return;
        ask(l, CONTAINER(list_pop(&l->idle), struct line, idle), l->closed ? now : l->due);
        plan_next(l);
    }
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static void count_answer(struct load *l, struct line *c, nsec now)
{
    struct load_result *r = l->out;

    l->over++;
    if (!l->counts)
        return;
    if (c->status != 200) {
        r->failed++;
        return;
    }
    r->whole_us[r->done] = (double)(now - c->meant) / 1e3;
    r->first_us[r->done] = (double)((c->first ? c->first : now) - c->meant) / 1e3;
    r->records += c->records;
    r->done++;
}

static void finish(struct load *l, struct line *c, nsec now)
{
    count_answer(l, c, now);
    if (l->plan.hold && l->counts)
        return;
    if (!c->keep)
        line_close(c);
    list_push(&l->idle, &c->idle);
}

static uint64_t lines_in(struct str s)
{
    uint64_t n = 0;

    for (const char *at = s.p, *end = s.p + s.n; (at = memchr(at, '\n', (size_t)(end - at))); at++)
        n++;
    return n;
}

/* False when the connection cannot go on. */
static bool take_body(struct load *l, struct line *c, struct str in, nsec now)
{
    for (struct str slice;;) {
        switch (http_body_next(&c->body, &in, &slice)) {
        case BODY_DATA:
            if (!c->first)
                c->first = now;
            c->records += lines_in(slice);
            continue;
        case BODY_MORE:
            if (l->plan.hold && l->counts && c->records == 1) {
                finish(l, c, now);
                c->records++;
            }
            return true;
        case BODY_END: finish(l, c, now); return in.n == 0;
        case BODY_BAD: return false;
        }
    }
}

static bool take_head(struct load *l, struct line *c, struct str in, nsec now)
{
    struct http_frame frame;
    enum fail why;
    enum http_parse p = http_parse_response(in, PART_BYTES, &l->head, &why);

    if (p == HTTP_MORE && in.n < PART_BYTES) {
        memcpy(c->part, in.p, in.n);
        c->part_n = (uint16_t)in.n;
        return true;
    }
    if (p != HTTP_DONE || http_response_frame(&l->head, M_POST, &frame))
        return false;
    c->part_n = 0;
    c->in_body = true;
    c->status = l->head.status;
    c->keep = frame.keep_alive;
    http_body_init(&c->body, &frame);
    return take_body(l, c, str_drop(in, l->head.bytes), now);
}

static bool read_some(struct load *l, struct line *c)
{
    memcpy(l->input, c->part, c->part_n);
    ssize_t n = recv(c->fd, l->input + c->part_n, sizeof l->input - c->part_n, MSG_DONTWAIT);
    nsec now = sys_now();

    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    struct str in = { l->input, c->part_n + (size_t)n };
    return c->in_body ? take_body(l, c, in, now) : take_head(l, c, in, now);
}

static void serve(struct load *l, struct line *c, uint32_t what)
{
    if (what & EPOLLOUT)
        send_rest(l, c);
    if (c->fd < 0 || !(what & (EPOLLIN | EPOLLHUP | EPOLLERR)) || read_some(l, c))
        return;
    if (list_linked(&c->idle))
        line_close(c); /* an idle one was closed by its peer: opened again when needed */
    else if (l->plan.hold && c->records > 1)
        line_close(c); /* a held one: counted already */
    else
        count_failure(l, c);
}

/* ---- a pass ------------------------------------------------------------------------------------------------------ */

#define LOOK_UP MSEC(50) /* for an interrupt, and for the end of patience */

static nsec until_next(const struct load *l)
{
    if (l->closed || l->sent == l->to_send || list_empty(&l->idle))
        return LOOK_UP;
    return MIN(MAX(l->due - sys_now(), 0), LOOK_UP);
}

static void turn(struct load *l)
{
    struct epoll_event ready[256];
    nsec wait = until_next(l);
    struct timespec t = { 0, wait };
    int n = epoll_pwait2(l->events, ready, ARRAY_LEN(ready), &t, NULL);

    for (int i = 0; i < n; i++)
        serve(l, ready[i].data.ptr, ready[i].events);
    ask_what_is_due(l);
}

static enum fail trouble(const struct load *l, nsec give_up)
{
    if (children_interrupted())
        return FAIL_client_gone;
    if (l->out->failed > l->to_send / 10 + 10)
        return FAIL_connect_failed;
    return l->over < l->to_send && sys_now() > give_up ? FAIL_total_timeout : OK;
}

static enum fail pass(struct load *l, nsec give_up)
{
    enum fail f;

    l->sent = l->over = 0;
    l->due = l->begin = sys_now();
    plan_next(l);
    ask_what_is_due(l);
    while (!(f = trouble(l, give_up)) && l->over < l->to_send)
        turn(l);
    return f;
}

static enum fail warm_up(struct load *l)
{
    l->request = l->plan.warm;
    l->to_send = l->plan.connections;
    l->closed = true;
    l->counts = false;
    return l->request.n ? pass(l, sys_now() + l->plan.patience) : OK;
}

static enum fail measure(struct load *l)
{
    const struct load_plan *p = &l->plan;
    nsec schedule = p->rate > 0 ? (nsec)((double)p->requests / p->rate * 1e9) : 0;

    l->request = p->request;
    l->to_send = p->requests;
    l->closed = p->rate <= 0;
    l->counts = true;
    if (!l->closed)
        arrival_init(&l->arrival, p->shape, p->rate, p->seed);
    nsec before = p->charge ? child_cpu(p->charge) : 0;
    enum fail f = pass(l, sys_now() + schedule + p->patience);
    l->out->cpu = p->charge ? child_cpu(p->charge) - before : 0;
    l->out->took = sys_now() - l->begin;
    statistics_sort(l->out->whole_us, l->out->done);
    statistics_sort(l->out->first_us, l->out->done);
    return f;
}

enum fail load_run(struct load *l, struct load_result *out)
{
    *out = (struct load_result){ 0 };
    out->whole_us = calloc(l->plan.requests, sizeof *out->whole_us);
    out->first_us = calloc(l->plan.requests, sizeof *out->first_us);
    if (!out->whole_us || !out->first_us)
        return FAIL_no_memory;
    l->out = out;
    prctl(PR_SET_TIMERSLACK, 1UL);
    enum fail f = warm_up(l);
    return f ? f : measure(l);
}

struct load *load_new(const struct load_plan *p)
{
    struct load *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->plan = *p;
    list_init(&l->idle);
    l->events = epoll_create1(EPOLL_CLOEXEC);
    l->line = calloc(p->connections, sizeof *l->line);
    for (unsigned i = 0; l->line && i < p->connections; i++) {
        l->line[i].fd = -1;
        list_push(&l->idle, &l->line[i].idle);
    }
    if (!l->line || l->events < 0)
        load_free(&l);
    return l;
}

void load_free(struct load **l)
{
    if (!*l)
        return;
    for (unsigned i = 0; (*l)->line && i < (*l)->plan.connections; i++)
        line_close(&(*l)->line[i]);
    if ((*l)->events >= 0)
        close((*l)->events);
    free((*l)->line);
    free(*l);
    *l = NULL;
}

void load_result_free(struct load_result *r)
{
    free(r->whole_us);
    free(r->first_us);
    *r = (struct load_result){ 0 };
}

enum fail load_once(const struct load_plan *p, struct load_result *out)
{
    struct load *l = load_new(p);
    *out = (struct load_result){ 0 };
    enum fail f = l ? load_run(l, out) : FAIL_no_memory;

    load_free(&l);
    return f;
}
