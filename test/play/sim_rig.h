/* test/play/sim_rig.h - for the tests of src/sim: one simulated node in the simulated world, and clients that ask it.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/slab.h"
#include "base/sys.h"
#include "net/conn.h"
#include "net/http_body.h"
#include "sim/simnode.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct loop *loop;
static struct simnode *node;
static struct addr node_at;
static struct arena kept; /* answers, until finish() */

/* ---- the node ---- */
static inline struct simnode_spec spec_of(const char *const *models, unsigned n)
{
    static struct simnode_model list[8];
    struct simnode_spec s = simnode_spec_usual();
    for (unsigned i = 0; i < n; i++) {
        struct str size = str_of(models[i]);
        list[i] = (struct simnode_model){ .name = str_cut(&size, '=') };
        (void)str_u64(size, &list[i].size);
    }
    s.models = list;
    s.n_models = n;
    s.listen = world_addr("10.0.0.1:11434");
    return s;
}
#define spec_with(...) spec_of((const char *const[]){ __VA_ARGS__ }, ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })))

static inline void begin(void)
{
    arena_pools_init();
    buf_pools_init();
    conn_pools_init();
    simnode_pools_init();
    world_new(1);
    loop = loop_new(0);
    world_attach(loop, NULL, NULL);
    world_elapse(SECOND(10));
}

static inline void open_node(struct simnode_spec spec)
{
    assert_int_equal(simnode_open(loop, &spec, &node, &node_at), OK);
}

static inline void finish(void)
{
    arena_done(&kept);
    simnode_close(&node);
    world_elapse(SECOND(1));
    loop_free(&loop);
    world_free();
    simnode_pools_done();
    conn_pools_done();
    buf_pools_done();
    arena_pools_done();
}

static inline struct simnode_stats stats(void)
{
    struct simnode_stats s;
    simnode_stats(node, &s);
    return s;
}

/* ---- clients ---- */
struct reply {
    int status;
    struct http_head head;
    struct str body; /* without chunks */
    bool whole;
    size_t records; /* chunks */
};
static inline struct peer *connect_peer(void)
{
    return world_connect(&node_at, NULL);
}

/* method and path as in "POST /api/chat"; body NULL: none. */
static inline void send_request(struct peer *p, const char *what, const char *body)
{
    if (body)
        peer_sendf(p, "%s HTTP/1.1\r\nHost: node\r\nContent-Length: %zu\r\n\r\n%s", what, strlen(body), body);
    else
        peer_sendf(p, "%s HTTP/1.1\r\nHost: node\r\n\r\n", what);
}

static inline struct peer *ask(const char *what, const char *body)
{
    struct peer *p = connect_peer();
    send_request(p, what, body);
    return p;
}

/* What has arrived so far, as an answer to `method`. */
static inline struct reply answer_of(struct peer *p, enum http_method method)
{
    struct reply a = { 0 };
    struct str in = str_dup(&kept, peer_received(p)), piece;
    struct http_frame frame;
    struct http_body body;
    enum fail why;
    if (http_parse_response(in, KIB(64), &a.head, &why) != HTTP_DONE)
        return a;
    assert_int_equal(http_response_frame(&a.head, method, &frame), OK);
    a.status = a.head.status;
    char *joined = arena_take(&kept, in.n + 1);
    size_t n = 0;
    in = str_drop(in, a.head.bytes);
    http_body_init(&body, &frame);
    for (;;) {
        enum http_step step = http_body_next(&body, &in, &piece);
        if (step == BODY_DATA) {
            memcpy(joined + n, piece.p, piece.n);
            n += piece.n;
            a.records++;
            continue;
        }
        assert_int_not_equal(step, BODY_BAD);
        a.whole = step == BODY_END;
        break;
    }
    joined[n] = 0;
    a.body = (struct str){ joined, n };
    return a;
}

struct awaited {
    struct peer *p;
    enum http_method method;
};
static inline bool is_unanswered(void *arg)
{
    struct awaited *w = arg;
    return !peer_saw_reset(w->p) && !answer_of(w->p, w->method).whole;
}

static inline struct reply answer_within(struct peer *p, enum http_method method, nsec time)
{
    struct awaited w = { p, method };
    (void)world_run_while(is_unanswered, &w, time);
    return answer_of(p, method);
}

/* Asks, waits for all of it, and closes. */
static inline struct reply get_answer(const char *what, const char *body)
{
    struct peer *p = ask(what, body);
    enum http_method m = strncmp(what, "HEAD", 4) == 0 ? M_HEAD : M_POST;
    struct reply a = answer_within(p, m, SECOND(600));
    assert_true(a.whole);
    assert_true(http_has(&a.head, H_X_OLLAMAMAX_SIMULATED));
    peer_close(p, CLOSE_FIN);
    world_elapse(MSEC(100));
    return a;
}

static inline bool holds(struct str text, const char *part)
{
    return str_find(text, str_of(part)) >= 0;
}
static inline void assert_holds(struct str text, const char *part)
{
    if (!holds(text, part))
        fail_msg("\"%s\" is not in \"%.*s\"", part, STR_ARG(text));
}
static inline void assert_answer(struct reply a, int status, const char *body)
{
    assert_int_equal(a.status, status);
    if (!str_eq(a.body, str_of(body)))
        fail_msg("expected \"%s\", got \"%.*s\"", body, STR_ARG(a.body));
}
static inline int64_t number_in(struct str json, const char *key)
{
    int64_t v = -1;
    (void)json_i64(json_get(json_parse(json, NULL), str_of(key)), &v);
    return v;
}
/* Of the last line. */
static inline struct str last_line(struct str lines)
{
    struct str cut = str_take(lines, lines.n ? lines.n - 1 : 0);
    ssize_t at = str_rchr(cut, '\n');
    return str_drop(cut, at < 0 ? 0 : (size_t)at + 1);
}
