/* Nodes on the real loop, over loopback: several on one loop, and what a request costs in memory once warm: nothing. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/slab.h"
#include "net/conn.h"
#include "sim/simnode.h"
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define NODES 3
#define ASKED                                                                                                          \
    "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 108\r\n\r\n"                                        \
    "{\"model\":\"llama3.2\",\"messages\":[{\"role\":\"user\",\"content\":\"Hello "                                    \
    "there\"}],\"options\":{\"num_predict\":16}      }"

static struct loop *loop;
static struct simnode *node[NODES];
static struct addr at[NODES];

static struct simnode_spec quick(enum sim_kind kind)
{
    static const struct simnode_model models[] = {
        {{ "llama3.2", 8 }, 1000}
    };
    struct simnode_spec s = simnode_spec_usual();
    s.kind = kind;
    s.models = models;
    s.n_models = 1;
    s.load_rate = 0;
    s.prefill = s.decode = 0;
    (void)addr_listen(STR("127.0.0.1:0"), 0, &s.listen);
    return s;
}

static int begin(void **state)
{
    alarm(100);
    arena_pools_init();
    buf_pools_init();
    conn_pools_init();
    simnode_pools_init();
    loop = loop_new(0);
    assert_non_null(loop);
    for (unsigned i = 0; i < NODES; i++) {
        struct simnode_spec s = quick(i < 2 ? SIM_OLLAMA : SIM_VLLM);
        assert_int_equal(simnode_open(loop, &s, &node[i], &at[i]), OK);
        assert_int_not_equal(addr_port(&at[i]), 0);
    }
    return 0;
}

static int finish(void **state)
{
    for (unsigned i = 0; i < NODES; i++)
        simnode_close(&node[i]);
    loop_free(&loop);
    simnode_pools_done();
    conn_pools_done();
    buf_pools_done();
    arena_pools_done();
    return 0;
}

/* ---- a client that asks the same again and again ---- */
struct asker {
    struct conn conn;
    const char *request, *end;         /* the answer's last bytes */
    unsigned left, answers, misses_at; /* misses_at: answers after which memory is looked at */
    uint64_t misses_before;
    size_t heap_before;
    char got[KIB(64)];
    size_t n;
};

static void add_misses(const struct slab_count *c, void *sum)
{
    *(uint64_t *)sum += c->misses;
}
static uint64_t misses(void)
{
    uint64_t sum = 0;
    slab_each(add_misses, &sum);
    return sum;
}

static void send_one(struct asker *a)
{
    struct iovec v = { (void *)a->request, strlen(a->request) };
    a->n = 0;
    assert_int_equal(conn_write(&a->conn, &v, 1, LASTING), OK);
}

static void opened(struct conn *c, enum fail f)
{
    assert_int_equal(f, OK);
    conn_watch(c, SOCK_READ);
    send_one(CONTAINER(c, struct asker, conn));
}

static void readable(struct conn *c)
{
    struct asker *a = CONTAINER(c, struct asker, conn);
    size_t end = strlen(a->end);
    ssize_t n = conn_read(c, a->got + a->n, sizeof a->got - a->n - 1);
    assert_true(n > 0);
    a->n += (size_t)n;
    a->got[a->n] = 0;
    if (a->n < end || memcmp(a->got + a->n - end, a->end, end))
        return;
    if (++a->answers == a->misses_at) {
        a->misses_before = misses();
        a->heap_before = mallinfo2().uordblks;
    }
    if (--a->left)
        send_one(a);
    else
        loop_stop(loop);
}

static void ask(struct asker *a, unsigned of)
{
    static const struct conn_events events = { .opened = opened, .readable = readable };
    assert_int_equal(conn_dial(&a->conn, loop, &at[of], NULL, STR_NONE, &events), OK);
    loop_run(loop, NULL, NULL);
}

static void hang_up(struct asker *a)
{
    conn_close(&a->conn, false);
}

static void nodes_share_a_loop(void **state)
{
    for (unsigned i = 0; i < NODES; i++) {
        struct asker a = { .request = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n", .end = "]}", .left = 2 };
        ask(&a, i);
        assert_non_null(strstr(a.got, "llama3.2:latest"));
        assert_non_null(strstr(a.got, i < 2 ? "\"owned_by\":\"library\"" : "\"owned_by\":\"vllm\""));
        hang_up(&a);
        struct simnode_stats s;
        simnode_stats(node[i], &s);
        assert_int_equal(s.requests, 2);
    }
}

static void a_request_costs_no_allocation_once_warm(void **state)
{
#ifdef PLAIN_MEMORY
    skip();
#else
    struct asker a = { .request = ASKED, .end = "0\r\n\r\n", .left = 3000, .misses_at = 1000 };
    ask(&a, 0);
    assert_int_equal(a.answers, 3000);
    assert_non_null(strstr(a.got, "\"done_reason\":\"length\""));
    assert_int_equal(misses(), a.misses_before);
    assert_int_equal(mallinfo2().uordblks, a.heap_before);
    hang_up(&a);
#endif
}

static void a_taken_address_is_said(void **state)
{
    struct simnode_spec s = quick(SIM_OLLAMA);
    struct simnode *second;
    struct addr bound;
    s.listen = at[0];
    assert_int_equal(simnode_open(loop, &s, &second, &bound), FAIL_address_in_use);
    assert_null(second);
}

static void a_wrong_name_is_said(void **state)
{
    static const struct simnode_model wrong = {
        {"a b", 3},
        0
    };
    struct simnode_spec s = quick(SIM_OLLAMA);
    struct simnode *none;
    struct addr bound;
    s.models = &wrong;
    assert_int_equal(simnode_open(loop, &s, &none, &bound), FAIL_bad_model_name);
    assert_null(none);
}

static void kinds_have_names(void **state)
{
    enum sim_kind k;
    for (unsigned i = 0; i < SIM_KINDS; i++) {
        assert_true(sim_kind_of(sim_kind_name((enum sim_kind)i), &k));
        assert_int_equal(k, i);
    }
    assert_true(sim_kind_of(STR("vLLM"), &k));
    assert_int_equal(k, SIM_VLLM);
    assert_false(sim_kind_of(STR("gpt"), &k));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nodes_share_a_loop, begin, finish),
        cmocka_unit_test_setup_teardown(a_request_costs_no_allocation_once_warm, begin, finish),
        cmocka_unit_test_setup_teardown(a_taken_address_is_said, begin, finish),
        cmocka_unit_test_setup_teardown(a_wrong_name_is_said, begin, finish),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
