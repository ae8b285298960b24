/* What is recorded is repeated: each take and give once, nothing left. */
#include "bench/pool_trace.h"

#include "base/arena.h"
#include "base/slab.h"
#include "base/sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void a_sequence_runs_whole(void **state)
{
    static const struct pool_event events[] = {
        {0x10,  0,     100,  1},
        { 0x20, 0,     4096, 1},
        { 0x10, 0,     100,  0},
        { 0x10, 0,     200,  1}, /* the address again, for another size */
        { 0x50, 0xa00, 70,   1}, /* two pieces of an arena, which goes whole */
        { 0x60, 0xa00, 90,   1},
        { 0x30, 0,     512,  0}, /* was there before */
        { 0x60, 0xa00, 90,   0},
        { 0x50, 0xa00, 70,   0},
        { 0x70, 0xa00, 10,   1}, /* left over */
        { 0x20, 0,     4096, 0},
    };
    struct pool_sequence *s = pool_sequence_of(events, ARRAY_LEN(events));
    assert_non_null(s);
    assert_int_equal(pool_sequence_takes(s), 6);
    sys_set_worker_no(0);
    arena_pools_init();
    assert_true(pool_sequence_ns(s, POOL_POOLS, 10) > 0); /* slab_done assumes that nothing is left */
    assert_true(pool_sequence_ns(s, POOL_MALLOC, 10) > 0);
    arena_pools_done();
    pool_sequence_free(&s);
    assert_null(s);
}

static void what_is_taken_is_written(void **state)
{
    char file[] = "/tmp/ollamamax-pool-trace-XXXXXX";
    struct slab slab;
    void *a, *b;
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    struct pool_trace *t = pool_trace_open(file);
    assert_non_null(t);
    pool_trace_write(file);
    slab_plain(true);
    slab_init(&slab, "traced", 300);
    a = slab_take(&slab), b = slab_take(&slab);
    slab_give(&slab, &b);
    slab_give(&slab, &a);
    slab_done(&slab);
    slab_watch(NULL);
    slab_plain(false);
    assert_int_equal(pool_trace_events(t), 4);
    struct pool_sequence *s = pool_sequence_new(t, 1, 4); /* a was there before */
    assert_int_equal(pool_sequence_takes(s), 1);
    assert_true(pool_sequence_ns(s, POOL_POOLS, 3) > 0);
    pool_sequence_free(&s);
    pool_trace_close(&t);
    unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sequence_runs_whole),
        cmocka_unit_test(what_is_taken_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
