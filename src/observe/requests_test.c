#include "observe/meter_fixture.h"
#include "observe/requests.h"

#include "base/slab.h"
#include "base/sys.h"

#include <pthread.h>
#include <stdatomic.h>

#define WORKERS 4
static struct requests *kept;

static int each_begin(void **state)
{
    kept = requests_new(WORKERS);
    return kept ? 0 : -1;
}

static int each_end(void **state)
{
    requests_free(&kept);
    return kept ? -1 : 0;
}

/* Ends `n` seconds after the first. */
static void put(unsigned worker, unsigned n, unsigned status)
{
    struct record r = chat_record(n % 2 ? "llama3" : "qwen", n % 3 ? "gpu1" : "gpu2");
    char id[16];
    snprintf(id, sizeof id, "req-%u", n);
    r.wall += SECOND(n);
    r.status = (uint16_t)status;
    record_put(r.request_id, str_of(id));
    requests_put(kept, worker, &r, NULL);
}

static struct text list(struct requests_filter f)
{
    struct text t = { 0 };
    assert_int_equal(requests_render(kept, &t, &f), OK);
    return t;
}

/* Ids in the order of the answer, "3 2 1 ". */
static void assert_ids(struct requests_filter f, const char *expected)
{
    struct text t = list(f), got = { 0 };
    struct json_walk w = json_walk(json_get(json_parse(text_str(&t), NULL), STR("requests")));
    while (json_next(&w)) {
        struct str id = json_get(w.value, STR("id")).raw;
        text_put(&got, str_take(str_drop(id, 5), id.n - 6));
        text_putc(&got, ' ');
    }
    text_putc(&got, 0);
    assert_string_equal(text_str(&got).p, expected);
    text_free(&t);
    text_free(&got);
}

static void newest_first_whoever_wrote_them(void **state)
{
    static const unsigned worker[] = { 0, 1, 1, 2, 0, 3, 2 };
    assert_ids((struct requests_filter){ .limit = 5 }, "");
    for (unsigned n = 1; n <= 7; n++)
        put(worker[n - 1], n, 200);
    assert_ids((struct requests_filter){ .limit = 100 }, "7 6 5 4 3 2 1 ");
    assert_ids((struct requests_filter){ .limit = 3 }, "7 6 5 ");
    assert_ids((struct requests_filter){ .limit = 0 }, "7 ");
}

/* A record keeps the beginning of a long name, and is found by the whole. */
static void a_long_name_is_found(void **state)
{
    struct str name = STR("hf.co/an-organisation/a-model-of-a-name-that-no-record-has-room-for-GGUF:Q4_K_M");
    struct record r = chat_record("llama3", "gpu1");
    record_put(r.model, name);
    record_put(r.request_id, STR("req-1"));
    requests_put(kept, 0, &r, NULL);
    assert_ids((struct requests_filter){ .limit = 9, .model = name }, "1 ");
    assert_ids((struct requests_filter){ .limit = 9, .model = STR("hf.co/an-organisation/another") }, "");
}

static void filters(void **state)
{
    struct requests_filter f = { .limit = 100 };
    static const unsigned status[] = { 200, 404, 503, 200, 502, 499, 200 };
    for (unsigned n = 1; n <= 7; n++)
        put(0, n, status[n - 1]);
    assert_ids((struct requests_filter){ .limit = 100, .model = STR("llama3") }, "7 5 3 1 ");
    assert_ids((struct requests_filter){ .limit = 100, .node = STR("gpu2") }, "6 3 ");
    assert_ids((struct requests_filter){ .limit = 100, .node = STR("gpu2"), .model = STR("qwen") }, "6 ");
    assert_true(requests_filter_status(&f, STR("404")));
    assert_ids(f, "2 ");
    assert_true(requests_filter_status(&f, STR("5xx")));
    assert_ids(f, "5 3 ");
    f = (struct requests_filter){ .limit = 100 };
    assert_true(requests_filter_status(&f, STR("error")));
    assert_ids(f, "6 5 3 2 ");
    assert_false(requests_filter_status(&f, STR("6xx")));
    assert_false(requests_filter_status(&f, STR("99")));
    assert_false(requests_filter_status(&f, STR("x")));
    assert_false(requests_filter_status(&f, STR_NONE));
}

static void those_that_ended_within_a_second(void **state)
{
    struct text t = { 0 };
    struct json_out j = { .to = &t };
    unsigned more;
    for (unsigned n = 1; n <= 7; n++)
        put(n % 2, n, 200);
    assert_int_equal(requests_put_ended(kept, &j, 0, NEVER, 3, &more), OK);
    assert_int_equal(more, 4);
    assert_true(str_find(text_str(&t), STR("\"req-7\"")) > 0 && str_find(text_str(&t), STR("\"req-4\"")) < 0);
    text_free(&t);
    t = (struct text){ 0 };
    j = (struct json_out){ .to = &t };
    assert_int_equal(requests_put_ended(kept, &j, 0, 1, 3, &more), OK);
    assert_true(more == 0 && str_eq(text_str(&t), STR("[]")));
    text_free(&t);
}

/* One busy worker gets all the room there is; the others' few remain as long as they are among the last. */
static void the_last_ten_thousand(void **state)
{
    put(3, 1, 200);
    for (unsigned n = 2; n <= 30000; n++)
        put(0, n, 200);
    char expected[32];
    struct text t = { 0 };
    assert_ids((struct requests_filter){ .limit = 2 }, "30000 29999 ");
    snprintf(expected, sizeof expected, "req-%u", 30000 - REQUESTS_KEPT + 1);
    assert_int_equal(requests_render_one(kept, &t, str_of(expected)), OK);
    text_free(&t);
    t = (struct text){ 0 };
    assert_int_equal(requests_render_one(kept, &t, STR("req-15000")), FAIL_no_such_object);
    text_free(&t);
    struct text most = list((struct requests_filter){ .limit = 5000 });
    struct json_walk w = json_walk(json_get(json_parse(text_str(&most), NULL), STR("requests")));
    unsigned n = 0;
    while (json_next(&w))
        n++;
    assert_int_equal(n, REQUESTS_MOST);
    text_free(&most);
}

static void assert_member(struct str object, const char *key, const char *raw)
{
    struct json v = json_get(json_parse(object, NULL), str_of(key));
    struct text got = { 0 };
    text_put(&got, v.raw);
    text_putc(&got, 0);
    assert_string_equal(text_str(&got).p, raw);
    text_free(&got);
}

static void one_request_with_its_road(void **state)
{
    struct record r = chat_record("llama3", "gpu2");
    struct request_detail d = {
        .decision = {"eta", 0.71f, 0, 0.0299f, 0.62f, 0.09f, 0, 3, false, { "gpu1", 1.5f, 1.2f, 0.2f, 0.1f, 0 }},
        .cache = "temperature"
    };
    struct text t = { 0 };
    r.connect_us = 900;
    r.first_us = 121000;
    r.added_us = 200;
    r.attempts = 2;
    r.cache = CACHED_BYPASS;
    for (uint8_t i = 0; i < RECORD_TRACE; i++)
        r.trace[i] = (uint8_t)(i * 17);
    request_detail_attempt(
        &d, &(struct request_try){
                .node = STR("gpu1"), .why = FAIL_connect_refused, .start = MSEC(5), .took = USEC(1500) });
    request_detail_attempt(
        &d, &(struct request_try){
                .node = STR("gpu2"), .status = 200, .start = MSEC(10), .took = MSEC(1490), .connect = USEC(900) });
    requests_put(kept, 1, &r, &d);
    assert_int_equal(requests_render_one(kept, &t, STR("req-1")), OK);
    struct str one = text_str(&t);
    assert_member(one, "at", "\"2023-11-14T22:13:20Z\"");
    assert_member(one, "route", "\"/api/chat\"");
    assert_member(one, "code", "\"\"");
    assert_member(one, "trace_id", "\"00112233445566778899aabbccddeeff\"");
    assert_member(one, "decision",
                  "{\"policy\":\"eta\",\"node\":\"gpu2\",\"total_s\":0.71,\"terms\":{\"slot\":0,\"load\":0.0299,"
                  "\"prefill\":0.62,\"decode\":0.09,\"penalty\":0},\"next\":{\"node\":\"gpu1\",\"eta_s\":1.5,\"terms\":"
                  "{\"slot\":1.2,\"prefill\":0.2,\"decode\":0.1,\"penalty\":0}},"
                  "\"n\":3}");
    assert_member(one, "cache", "\"bypass\"");
    assert_member(one, "cache_detail", "\"temperature\"");
    assert_member(one, "tries", "2");
    assert_member(one, "tokens_out", "50");
    assert_member(one, "stages",
                  "{\"total_ms\":1500.000,\"queued_ms\":5.000,\"connect_ms\":0.900,\"node_ms\":114.900,"
                  "\"first_ms\":121.000,\"added_ms\":0.200,\"load_ms\":0.000}");
    assert_member(one, "attempts",
                  "[{\"node\":\"gpu1\",\"start_ms\":5.000,\"end_ms\":6.500,\"connect_ms\":0.000,\"outcome\":"
                  "\"connect_refused\",\"detail\":\"the node refused the connection\",\"status\":null},"
                  "{\"node\":\"gpu2\",\"start_ms\":10.000,\"end_ms\":1500.000,\"connect_ms\":0.900,\"outcome\":"
                  "\"ok\",\"status\":200}]");
    assert_ids((struct requests_filter){ .limit = 9, .node = STR("gpu1") }, "1 ");
    text_free(&t);
}

static void one_that_never_got_so_far(void **state)
{
    struct record r = {
        .id = 0x1234, .status = 404, .why = FAIL_not_found, .route = ROUTE_NONE, .first_us = UINT32_MAX
    };
    struct text t = { 0 };
    requests_put(kept, 0, &r, NULL);
    assert_int_equal(requests_render_one(kept, &t, STR("1234")), OK); /* the exchange's id in hex */
    assert_member(text_str(&t), "route", "\"none\"");
    assert_member(text_str(&t), "code", "\"not_found\"");
    assert_member(text_str(&t), "cache", "\"none\"");
    assert_member(text_str(&t), "decision", "null");
    assert_member(text_str(&t), "attempts", "[]");
    assert_member(text_str(&t), "trace_id", "");
    text_free(&t);
}

static void more_attempts_than_there_is_room_for(void **state)
{
    struct request_detail d = { 0 };
    char name[128];
    for (int i = 1; i <= 6; i++) {
        snprintf(name, sizeof name, "gpu%d-with-a-name-that-is-longer-than-records-have-room-for", i);
        request_detail_attempt(&d, &(struct request_try){ .node = str_of(name), .start = -5, .took = NEVER });
    }
    assert_int_equal(d.attempts, REQUEST_ATTEMPTS);
    assert_memory_equal(d.attempt[2].node, "gpu3-", 5);
    assert_memory_equal(d.attempt[3].node, "gpu6-", 5);
    assert_int_equal(strlen(d.attempt[3].node), RECORD_NODE - 1);
    assert_int_equal(d.attempt[3].start_us, 0);
    assert_int_equal(d.attempt[3].took_us, UINT32_MAX);
}

static void memory_that_is_out(void **state)
{
    struct text t = { 0 };
    for (uint64_t nth = 1; nth <= 3; nth++) {
        memory_fail_at(nth);
        assert_null(requests_new(WORKERS));
    }
    put(0, 1, 200);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        memory_fail_at(nth);
        assert_int_equal(requests_render(kept, &t, &(struct requests_filter){ .limit = 5 }), FAIL_no_memory);
        text_free(&t);
        t = (struct text){ 0 };
    }
    memory_fail_at(0);
}

static void count_seen(const struct record *r, const struct request_detail *d, void *arg)
{
    ++*(uint64_t *)arg;
}

static void a_reader_sees_each_once(void **state)
{
    uint64_t seen = 0;
    put(0, 1, 200); /* before it came */
    struct requests_reader *reader = requests_reader_new(kept);
    assert_true(requests_read(reader, count_seen, &seen) == 0 && seen == 0);
    for (unsigned n = 0; n < 200; n++)
        put(n % 3, n, 200);
    assert_true(requests_read(reader, count_seen, &seen) == 0 && seen == 200);
    assert_true(requests_read(reader, count_seen, &seen) == 0 && seen == 200);
    put(3, 1, 200);
    assert_true(requests_read(reader, count_seen, &seen) == 0 && seen == 201);
    requests_reader_free(&reader);
    memory_fail_at(1);
    assert_null(requests_reader_new(kept));
    memory_fail_at(0);
}

static void a_reader_that_is_late_knows_what_it_missed(void **state)
{
    uint64_t seen = 0, missed;
    struct requests_reader *reader = requests_reader_new(kept);
    for (unsigned n = 0; n < 5 * REQUESTS_KEPT + 7; n++)
        put(n % 2, n, 200);
    missed = requests_read(reader, count_seen, &seen);
    assert_in_range(seen, REQUESTS_KEPT, REQUESTS_KEPT + 2 * (WORKERS + 1) * 64);
    assert_true(seen + missed == 5 * REQUESTS_KEPT + 7);
    requests_reader_free(&reader);
}

/* Three write while two look and one reads all: what is shown is always whole and in order, and none is lost. */
#define EACH 20000
static _Atomic int writing;

static void *write_requests(void *arg)
{
    unsigned worker = (unsigned)(uintptr_t)arg;
    for (unsigned n = 0; n < EACH; n++)
        put(worker, n, 200);
    atomic_fetch_sub(&writing, 1);
    return NULL;
}

static void *look(void *arg)
{
    while (atomic_load(&writing)) {
        struct text t = list((struct requests_filter){ .limit = 20, .model = STR("qwen") });
        struct json_walk w = json_walk(json_get(json_parse(text_str(&t), NULL), STR("requests")));
        struct str before = STR_NONE;
        while (json_next(&w)) {
            struct str ts = json_get(w.value, STR("at")).raw;
            assert_true(str_eq(json_get(w.value, STR("model")).raw, STR("\"qwen\"")));
            assert_true(!before.n || memcmp(before.p, ts.p, MIN(before.n, ts.n)) >= 0);
            before = ts;
        }
        text_free(&t);
    }
    return NULL;
}

static void *read_all(void *arg)
{
    uint64_t seen = 0, missed = 0;
    while (atomic_load(&writing))
        missed += requests_read(arg, count_seen, &seen);
    missed += requests_read(arg, count_seen, &seen);
    assert_true(seen + missed == 3 * EACH);
    return NULL;
}

static void writers_and_readers(void **state)
{
    struct requests_reader *reader = requests_reader_new(kept);
    pthread_t thread[6];
    atomic_store(&writing, 3);
    for (uintptr_t i = 0; i < 5; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, i < 3 ? write_requests : look, (void *)i), 0);
    assert_int_equal(pthread_create(&thread[5], NULL, read_all, reader), 0);
    for (int i = 0; i < 6; i++)
        pthread_join(thread[i], NULL);
    requests_reader_free(&reader);
    assert_ids((struct requests_filter){ .limit = 3 }, "19999 19999 19999 ");
}

static void what_it_costs(void **state)
{
    struct record r = chat_record("llama3", "gpu1");
    struct request_detail d = { .attempts = 1 };
    struct text t;
    nsec best = NEVER, start;
    for (int round = 0; round < 20; round++) {
        start = sys_now();
        for (int i = 0; i < 1000; i++)
            requests_put(kept, 0, &r, &d);
        best = MIN(best, (sys_now() - start) / 1000);
    }
    start = sys_now();
    t = list((struct requests_filter){ .limit = REQUESTS_USUAL });
    print_message("keeping a request: %d ns; showing %d of %d: %d us\n", (int)best, REQUESTS_USUAL, REQUESTS_KEPT,
                  (int)((sys_now() - start) / 1000));
    text_free(&t);
    assert_true(best < 5000);
}

int main(void)
{
    buf_pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(newest_first_whoever_wrote_them, each_begin, each_end),
        cmocka_unit_test_setup_teardown(filters, each_begin, each_end),
        cmocka_unit_test_setup_teardown(a_long_name_is_found, each_begin, each_end),
        cmocka_unit_test_setup_teardown(those_that_ended_within_a_second, each_begin, each_end),
        cmocka_unit_test_setup_teardown(the_last_ten_thousand, each_begin, each_end),
        cmocka_unit_test_setup_teardown(one_request_with_its_road, each_begin, each_end),
        cmocka_unit_test_setup_teardown(one_that_never_got_so_far, each_begin, each_end),
        cmocka_unit_test_setup_teardown(more_attempts_than_there_is_room_for, each_begin, each_end),
        cmocka_unit_test_setup_teardown(memory_that_is_out, each_begin, each_end),
        cmocka_unit_test_setup_teardown(a_reader_sees_each_once, each_begin, each_end),
        cmocka_unit_test_setup_teardown(a_reader_that_is_late_knows_what_it_missed, each_begin, each_end),
        cmocka_unit_test_setup_teardown(writers_and_readers, each_begin, each_end),
        cmocka_unit_test_setup_teardown(what_it_costs, each_begin, each_end),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_pools_done();
    return failed;
}
