/* Files of both formats, plain and packed; what is drawn is drawn by its law. */
#include "bench/key_trace.h"

#include "base/sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/ollamamax-key-trace-XXXXXX";

static const char *file(const char *name, struct str bytes)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(sys_write_file(path, bytes), OK);
    return path;
}

static void lines_are_runs_of_keys(void **state)
{
    struct key_trace t;
    assert_int_equal(key_trace_read(&t, file("a.lis", STR("7 1 0 0\n10 3 0 1\n7 1 0 2\n"))), OK);
    const uint32_t want[] = { 7, 10, 11, 12, 7 };
    assert_int_equal(t.n, 5);
    assert_memory_equal(t.key, want, sizeof want);
    assert_int_equal(t.distinct, 4);
    key_trace_free(&t);
    assert_int_equal(key_trace_read(&t, file("b.lis", STR("7 1\nseven\n"))), FAIL_bad_value);
    assert_null(t.key);
}

static void numbers_begin_with_their_highest_byte(void **state)
{
    struct key_trace t;
    assert_int_equal(key_trace_read(&t, file("a.trace", STR("\0\0\1\2\200\0\0\1\0"))), OK);
    assert_int_equal(t.n, 2);
    assert_int_equal(t.key[0], 258);
    assert_int_equal(t.key[1], 0x80000001);
    key_trace_free(&t);
}

static void packed_files_are_unpacked(void **state)
{
    struct key_trace t;
    char command[160];
    file("p.lis", STR("1 2\n1 2\n"));
    snprintf(command, sizeof command, "gzip -f %s/p.lis", folder);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command, "%s/p.lis.gz", folder);
    assert_int_equal(key_trace_read(&t, command), OK);
    assert_int_equal(t.n, 4);
    assert_int_equal(t.distinct, 2);
    key_trace_free(&t);
    assert_int_equal(key_trace_read(&t, file("broken.lis.gz", STR("no gzip"))), FAIL_io_error);
}

static void what_is_no_trace_is_refused(void **state)
{
    struct key_trace t;
    assert_int_equal(key_trace_read(&t, "/nowhere/a.lis"), FAIL_io_error);
    assert_int_equal(key_trace_read(&t, file("a.csv", STR("1,2\n"))), FAIL_bad_value);
    assert_int_equal(key_trace_read(&t, file("empty.lis", STR_NONE)), FAIL_bad_value);
}

static void the_first_key_is_wanted_twice_as_often_as_the_second(void **state)
{
    struct key_law law = { .population = 1000, .exponent = 1, .seed = 3 };
    struct key_trace t, again;
    double first = 0, second = 0;
    assert_int_equal(key_trace_zipf(&t, 200000, &law), OK);
    assert_int_equal(key_trace_zipf(&again, 200000, &law), OK);
    assert_memory_equal(t.key, again.key, 200000 * sizeof *t.key);
    for (size_t i = 0; i < t.n; i++)
        first += t.key[i] == 0, second += t.key[i] == 1;
    assert_true(first / second > 1.9 && first / second < 2.1);
    assert_true(t.distinct > 990 && t.distinct <= 1000);
    key_trace_free(&t);
    key_trace_free(&again);
}

static void scans_bring_keys_that_come_once(void **state)
{
    struct key_law law = { .population = 10, .exponent = 1, .scan_every = 100, .scan_length = 50, .seed = 3 };
    struct key_trace t;
    assert_int_equal(key_trace_zipf(&t, 1500, &law), OK);
    assert_int_equal(t.distinct, 510);
    assert_true(t.key[99] < 10 && t.key[100] == 10 && t.key[149] == 59 && t.key[150] < 10);
    key_trace_free(&t);
}

static int begin(void **state)
{
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    char command[64];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_runs_of_keys),
        cmocka_unit_test(numbers_begin_with_their_highest_byte),
        cmocka_unit_test(packed_files_are_unpacked),
        cmocka_unit_test(what_is_no_trace_is_refused),
        cmocka_unit_test(the_first_key_is_wanted_twice_as_often_as_the_second),
        cmocka_unit_test(scans_bring_keys_that_come_once),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
