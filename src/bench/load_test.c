/* The load against the node itself, over loopback: what is counted, and that times count from the intended moment. */
#include "bench/load.h"

#include "base/buf.h"
#include "base/sys.h"
#include "bench/request.h"
#include "bench/rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define RECORDS 11
static struct rig rig;
static struct arena arena;

static struct load_plan plan_of(const char *model, unsigned connections, uint64_t requests, double rate)
{
    return (struct load_plan){ .port = rig.place.node,
                               .connections = connections,
                               .request = request_chat(&arena, model, 1024),
                               .requests = requests,
                               .rate = rate,
                               .patience = SECOND(10),
                               .charge = &rig.node };
}

static void requests_have_the_size_asked_for(void **state)
{
    struct str small = request_chat(&arena, BACKEND_CHAT, 1024), large = request_chat(&arena, BACKEND_BURST, KIB(96));

    assert_true(str_find(small, STR("\r\nContent-Length: 1024\r\n\r\n{\"model\":\"chat\"")) > 0);
    assert_true(str_find(small, STR("\"stream\":false")) > 0);
    assert_int_equal(small.n - (size_t)str_find(small, STR("\r\n\r\n")) - 4, 1024);
    assert_true(str_find(large, STR("Content-Length: 98304\r\n")) > 0);
    assert_true(str_find(large, STR("\"stream\":true")) > 0);
}

static void the_node_answers_probes(void **state)
{
    struct buf body = { 0 };

    assert_int_equal(request_get(rig.place.node, "/api/version", &body), 200);
    assert_true(str_eq(buf_str(&body), STR("{\"version\":\"0.12.3\"}")));
    assert_int_equal(request_get(rig.place.node, "/api/tags", &body), 200);
    assert_true(str_find(buf_str(&body), STR("\"paced:latest\"")) > 0);
    buf_free(&body);
    assert_int_equal(request_get(1, "/", &body), 0);
}

static void a_closed_loop_counts_every_answer_once(void **state)
{
    struct load_plan p = plan_of(BACKEND_CHAT, 4, 500, 0);
    struct load_result r;

    p.warm = p.request;
    assert_int_equal(load_once(&p, &r), OK);
    assert_int_equal(r.done, 500);
    assert_int_equal(r.failed, 0);
    assert_true(r.cpu > 0 && r.took > 0);
    for (size_t i = 1; i < r.done; i++)
        assert_true(r.whole_us[i - 1] <= r.whole_us[i] && r.first_us[i] <= r.whole_us[r.done - 1]);
    load_result_free(&r);
}

static void large_prompts_arrive_whole(void **state)
{
    struct load_plan p = plan_of(BACKEND_CHAT, 4, 50, 0);
    struct load_result r;

    p.request = request_chat(&arena, BACKEND_CHAT, MIB(4));
    assert_int_equal(load_once(&p, &r), OK);
    assert_int_equal(r.done, 50);
    assert_int_equal(r.failed, 0);
    load_result_free(&r);
}

static void an_open_loop_keeps_its_schedule(void **state)
{
    struct load_plan p = plan_of(BACKEND_CHAT, 8, 200, 1000);
    struct load_result r;

    assert_int_equal(load_once(&p, &r), OK);
    assert_int_equal(r.done, 200);
    assert_true(r.took > MSEC(198));
    load_result_free(&r);
}

/* One connection, paced streams of 200 ms, one meant to start each 10 ms: the last of four waits for three whole
 * streams, less 30 ms. A load that counted from the actual send would see 200 ms each. */
static void waiting_for_a_connection_counts(void **state)
{
    struct load_plan p = plan_of(BACKEND_PACED, 1, 4, 100);
    struct load_result r;

    assert_int_equal(load_once(&p, &r), OK);
    assert_int_equal(r.done, 4);
    assert_true(r.first_us[0] < 150e3);
    assert_true(r.first_us[3] > 560e3);
    assert_true(r.whole_us[3] > 760e3);
    load_result_free(&r);
}

static void streams_have_all_records_and_their_pace(void **state)
{
    struct load_plan paced = plan_of(BACKEND_PACED, 8, 8, 1000), burst = plan_of(BACKEND_BURST, 8, 80, 0);
    struct load_result r;

    assert_int_equal(load_once(&paced, &r), OK);
    assert_int_equal(r.records, 8 * RECORDS);
    assert_true(r.whole_us[0] - r.first_us[0] > 190e3);
    load_result_free(&r);
    assert_int_equal(load_once(&burst, &r), OK);
    assert_int_equal(r.records, 80 * RECORDS);
    load_result_free(&r);
}

static void held_streams_stay_open(void **state)
{
    struct load_plan p = plan_of(BACKEND_HELD, 50, 50, 2000);
    struct load_result r;
    p.hold = true;
    struct load *l = load_new(&p);

    assert_non_null(l);
    assert_int_equal(load_run(l, &r), OK);
    assert_int_equal(r.done, 50);
    load_result_free(&r);
    load_free(&l);
    assert_null(l);
}

static void nobody_there_is_a_failure(void **state)
{
    struct load_plan p = plan_of(BACKEND_CHAT, 2, 100, 0);
    struct load_result r;

    p.port = 1;
    assert_int_equal(load_once(&p, &r), FAIL_connect_failed);
    assert_int_equal(r.done, 0);
    load_result_free(&r);
}

static int begin(void **state)
{
    arena_pools_init();
    buf_pools_init();
    arena_init(&arena);
    return rig_open(&rig, "/nowhere", RECORDS);
}

static int end(void **state)
{
    rig_close(&rig);
    arena_done(&arena);
    buf_pools_done();
    arena_pools_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_have_the_size_asked_for),
        cmocka_unit_test(the_node_answers_probes),
        cmocka_unit_test(a_closed_loop_counts_every_answer_once),
        cmocka_unit_test(large_prompts_arrive_whole),
        cmocka_unit_test(an_open_loop_keeps_its_schedule),
        cmocka_unit_test(waiting_for_a_connection_counts),
        cmocka_unit_test(streams_have_all_records_and_their_pace),
        cmocka_unit_test(held_streams_stay_open),
        cmocka_unit_test(nobody_there_is_a_failure),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
