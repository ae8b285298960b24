/* test/play/rig.h - what the world's own tests share: two workers, a socket that notes what it meets, a gate. */
#pragma once
#include "base/buf.h"
#include "base/slab.h"
#include "base/sys.h"
#include "world_inside.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS 40

static struct loop *loops[2];
static char order[64]; /* what happened, in letters */
static struct addr at_gate, at_node;

static inline void begin(uint64_t seed)
{
    world_new(seed);
    at_gate = world_addr("127.0.0.1:13100");
    at_node = world_addr("10.0.0.7:11434");
    for (unsigned i = 0; i < 2; i++) {
        loops[i] = loop_new(i);
        world_attach(loops[i], NULL, NULL);
    }
}

static inline void finish(void)
{
    for (unsigned i = 0; i < 2; i++)
        loop_free(&loops[i]);
    world_free();
}

/* ---- a socket of the program that notes what it meets ---- */
struct line {
    struct sock sock;
    enum fail dialled;
    bool open, eof, reset, hung_up;
    char in[KIB(300)];
    size_t in_n;
    struct str out; /* still to be written */
    unsigned calls, partial_writes;
    unsigned after; /* what it watches once connected */
};

static inline void line_write(struct line *t)
{
    while (t->out.n) {
        char *at = (char *)(uintptr_t)t->out.p;
        size_t half = t->out.n / 2;
        struct iovec v[2] = { 0 };
        v[0] = (struct iovec){ at, half };
        v[1] = (struct iovec){ at + half, t->out.n - half };
        ssize_t n = sock_writev(&t->sock, v, 2);
        t->reset |= n == -2;
        t->partial_writes += n >= 0 && (size_t)n < t->out.n;
        if (n <= 0)
            return;
        t->out = str_drop(t->out, (size_t)n);
    }
}

static inline void line_read(struct line *t)
{
    assert_true(t->in_n < sizeof t->in);
    ssize_t n = sock_read(&t->sock, t->in + t->in_n, sizeof t->in - t->in_n);
    t->eof |= n == -1;
    t->reset |= n == -2;
    t->in_n += n > 0 ? (size_t)n : 0;
}

static inline void line_ready(struct sock *s, unsigned events)
{
    struct line *t = CONTAINER(s, struct line, sock);
    assert_int_equal(sys_worker_no(), loop_no(s->loop));
    t->calls++;
    if (!t->open) {
        t->dialled = sock_dialed(s);
        t->open = true;
    }
    if (events & SOCK_READ)
        line_read(t);
    if (events & SOCK_WRITE)
        line_write(t);
    t->hung_up |= (events & SOCK_HUP) != 0;
    if (t->eof || t->reset || (t->dialled && t->dialled != FAIL_COUNT))
        sock_watch(s, 0);
    else
        sock_watch(s, t->after | (t->out.n ? SOCK_WRITE : 0));
}

static inline struct line *line_new(unsigned watches)
{
    struct line *t = calloc(1, sizeof *t);
    t->after = watches;
    t->dialled = FAIL_COUNT;
    return t;
}

static inline struct line *line_dial(unsigned no, const struct addr *to)
{
    struct line *t = line_new(SOCK_READ);
    enum fail f = sock_dial(loops[no], &t->sock, to, line_ready);
    if (f)
        t->dialled = f;
    return t;
}

static inline void line_free(struct line **t)
{
    sock_close(&(*t)->sock, false);
    free(*t);
    *t = NULL;
}

/* ---- a peer and a line on one wire ---- */
static struct listener gate;
static struct line *accepted;
static unsigned refused_n, accepts;

static inline void gate_accepts(struct listener *ln, int handle, const struct addr *from)
{
    accepts++;
    if (handle < 0) {
        refused_n++;
        return;
    }
    accepted = line_new(SOCK_READ);
    accepted->open = true;
    accepted->dialled = OK;
    assert_int_equal(sock_adopt(loops[0], &accepted->sock, handle, from, line_ready), OK);
    sock_watch(&accepted->sock, SOCK_READ);
}

static inline void open_gate(void (*take)(struct listener *, int, const struct addr *))
{
    struct addr bound;
    gate = (struct listener){ .accepted = take };
    accepted = NULL;
    accepts = refused_n = 0;
    assert_int_equal(listener_open(loops[0], &gate, &at_gate, &bound), OK);
    assert_true(addr_eq(&bound, &at_gate));
}

static inline bool is_null(void *pointer)
{
    return *(void **)pointer == NULL;
}
static inline bool is_false(void *flag)
{
    return !*(bool *)flag;
}
static inline bool is_connecting(void *peer)
{
    return !peer_is_open(peer);
}

static inline struct peer *meet(uint64_t seed)
{
    begin(seed);
    open_gate(gate_accepts);
    struct peer *p = world_connect(&at_gate, NULL);
    assert_true(world_run_while(is_null, &accepted, SECOND(1)));
    assert_true(world_run_while(is_connecting, p, SECOND(1)));
    return p;
}

static inline void part(void)
{
    listener_close(&gate);
    if (accepted)
        line_free(&accepted);
    finish();
}

static inline void assert_text(struct str got, const char *expected)
{
    assert_int_equal(got.n, strlen(expected));
    assert_memory_equal(got.p, expected, got.n);
}

static inline char *filler(size_t n)
{
    char *p = malloc(n);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i * 31 + i / 251);
    return p;
}
