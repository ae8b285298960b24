/* sim/trace_test.c */
#include "sim/trace.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

static char file[64];
static struct trace t;

static void write_file(const char *text, bool zipped)
{
    snprintf(file, sizeof file, "/tmp/trace_test.%d", (int)getpid());
    gzFile f = gzopen(file, zipped ? "wb" : "wbT");
    assert_non_null(f);
    assert_true(gzputs(f, text) > 0);
    gzclose(f);
}

static int done(void **state)
{
    unlink(file);
    trace_free(&t);
    return 0;
}

static void azure_is_read(void **state)
{
    write_file("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 23:59:59.5000000,374,44\r\n"
               "2023-11-17 00:00:01.2500000,396,109\n",
               false);
    assert_int_equal(trace_read(&t, file, TRACE_AZURE, 0), OK);
    assert_int_equal(t.n, 2);
    assert_int_equal(t.request[0].at, 0);
    assert_int_equal(t.request[1].at, MSEC(1750));
    assert_int_equal(t.request[1].in, 396);
    assert_int_equal(t.request[1].out, 109);
}

static void mooncake_is_read_zipped_and_spread_over_its_ticks(void **state)
{
    write_file("{\"timestamp\": 3000, \"input_length\": 1100, \"output_length\": 5, \"hash_ids\": [0, 1, 2]}\n"
               "{\"timestamp\": 3000, \"input_length\": 600, \"output_length\": 6, \"hash_ids\": [0, 9]}\n"
               "{\"timestamp\": 6000, \"input_length\": 10, \"output_length\": 7, \"hash_ids\": [0]}\n",
               true);
    assert_int_equal(trace_read(&t, file, TRACE_MOONCAKE, 0), OK);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.request[1].at, MSEC(1500));
    assert_int_equal(t.request[2].at, SECOND(3));
    assert_int_equal(t.request[1].blocks, 2);
    assert_true(t.hash[t.request[1].path] == t.hash[t.request[0].path]);
    assert_float_equal(trace_prefix_bound(&t), 2.0 / 6, 1e-9);
}

static void csv_has_models_and_tenants(void **state)
{
    write_file("seconds,input,output,model,tenant\n1.5,10,20\n0.5,30,40,2,1\n", false);
    assert_int_equal(trace_read(&t, file, TRACE_CSV, 0), OK);
    assert_int_equal(t.n, 2);
    assert_int_equal(t.request[0].in, 30); /* in order of arrival */
    assert_int_equal(t.request[1].at, SECOND(1));
    assert_int_equal(t.models, 3);
    assert_int_equal(t.tenants, 2);
}

static void what_is_no_trace_is_said_with_its_line(void **state)
{
    write_file("1,10,20\n2,ten,20\n", false);
    assert_int_equal(trace_read(&t, file, TRACE_CSV, 0), FAIL_bad_value);
    assert_int_equal(t.bad_line, 2);
    trace_free(&t);
    assert_int_equal(trace_read(&t, file, TRACE_CSV, 1), OK); /* the limit ends before it */
    trace_free(&t);
    assert_int_equal(trace_read(&t, "/nowhere/at/all", TRACE_CSV, 0), FAIL_io_error);
}

static void drawn_requests_come_out_the_same_and_about_as_asked(void **state)
{
    struct trace again;
    assert_int_equal(trace_chat(&t, 2000, 0.5, 7), OK);
    assert_int_equal(trace_chat(&again, 2000, 0.5, 7), OK);
    assert_memory_equal(t.request, again.request, 2000 * sizeof *t.request);
    trace_free(&again);
    assert_in_range(t.request[1999].at, SECOND(900), SECOND(1100));
    uint64_t chance = 1, in_phase = 0;
    struct trace_phase phases[] = {
        {0.5, 100},
        { 2,  100}
    };
    struct trace drawn = { 0 };
    assert_int_equal(trace_poisson(&drawn, &t, phases, 2, 3, 10, &chance), OK);
    trace_sort(&drawn);
    for (uint32_t i = 0; i < drawn.n; i++)
        in_phase += drawn.request[i].at < SECOND(100);
    assert_in_range(in_phase, 430, 570);
    assert_in_range(drawn.n - in_phase, 1850, 2150);
    assert_int_equal(drawn.tenants, 4);
    trace_free(&drawn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(azure_is_read, done),
        cmocka_unit_test_teardown(mooncake_is_read_zipped_and_spread_over_its_ticks, done),
        cmocka_unit_test_teardown(csv_has_models_and_tenants, done),
        cmocka_unit_test_teardown(what_is_no_trace_is_said_with_its_line, done),
        cmocka_unit_test_teardown(drawn_requests_come_out_the_same_and_about_as_asked, done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
