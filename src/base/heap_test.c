/* Each way to malloc counts once, whoever calls it. */
#include "base/heap.h"

#include "base/sys.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct heap_count before;

static void begin(void)
{
    before = heap_count();
}

static void assert_counted(uint64_t takes, uint64_t gives)
{
    struct heap_count now = heap_count();
    assert_int_equal(now.takes - before.takes, heap_is_counted() ? takes : 0);
    assert_int_equal(now.gives - before.gives, heap_is_counted() ? gives : 0);
}

static void *volatile piece; /* or the compiler takes malloc and free away */

static void each_call_counts_once(void **state)
{
    begin();
    piece = malloc(10);
    assert_counted(1, 0);
    piece = realloc(piece, 100000);
    assert_counted(2, 1);
    free(piece);
    assert_counted(2, 2);
    piece = calloc(10, 10);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(((char *)piece)[i], 0);
    assert_counted(3, 2);
    free(piece);
    free(NULL);
    assert_counted(3, 3);
}

static void libraries_are_counted(void **state)
{
    begin();
    piece = strdup("text");
    assert_string_equal(piece, "text");
    free(piece);
    assert_counted(1, 1);
}

static void *work(void *arg)
{
    sys_set_worker_no((unsigned)(uintptr_t)arg);
    for (unsigned i = 0; i < 1000; i++) {
        void *volatile p = malloc(i);
        free(p);
    }
    return NULL;
}

static void threads_are_summed(void **state)
{
    pthread_t t[4];
    begin();
    for (uintptr_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, work, (void *)(i < 2 ? i : SYS_NO_WORKER)), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    struct heap_count now = heap_count();
    if (heap_is_counted()) { /* threads themselves take a little */
        assert_in_range(now.takes - before.takes, 4000, 4100);
        assert_in_range(now.gives - before.gives, 4000, 4100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_counts_once),
        cmocka_unit_test(libraries_are_counted),
        cmocka_unit_test(threads_are_summed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
