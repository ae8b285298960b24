#include "base/slab.h"

#include "base/sys.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct slab slab;

static void visit(const struct slab_count *c, void *arg)
{
    if (c->name == slab.name)
        *(struct slab_count *)arg = *c;
}

static struct slab_count counts(void)
{
    struct slab_count c = { 0 };
    slab_each(visit, &c);
    assert_non_null(c.name);
    return c;
}

static int each_begin(void **state)
{
    sys_set_worker_no(0);
    slab_init(&slab, "test objects", 48);
    return 0;
}

static int each_end(void **state)
{
    slab_done(&slab);
    slab_plain(false);
    return 0;
}

static void take_all(void **objects, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        objects[i] = slab_take(&slab);
        assert_non_null(objects[i]);
        assert_int_equal((uintptr_t)objects[i] % 16, 0);
        memset(objects[i], (int)i & 255, 48);
    }
}

static void give_all(void **objects, size_t n)
{
    for (size_t i = 0; i < n; i++)
        slab_give(&slab, &objects[i]);
}

static void giving_clears_the_pointer(void **state)
{
    void *object = slab_take0(&slab);
    for (size_t i = 0; i < 48; i++)
        assert_int_equal(((char *)object)[i], 0);
    assert_int_equal(slab_live(&slab), 1);
    slab_give(&slab, &object);
    assert_null(object);
    slab_give(&slab, &object);
    assert_int_equal(slab_live(&slab), 0);
}

static void counters_tell_what_happened(void **state)
{
    void *objects[1000];
    take_all(objects, 1000);
    assert_int_equal(counts().live, 1000);
    assert_int_equal(counts().misses, 1000);
    give_all(objects, 400);
    assert_int_equal(counts().live, 600);
    assert_int_equal(counts().peak, 1000);
    give_all(objects + 400, 600);
    assert_int_equal(slab_live(&slab), 0);
    assert_int_equal(counts().object_bytes, 48);
}

#ifndef PLAIN_MEMORY
static void objects_come_back(void **state)
{
    void *objects[1000];
    take_all(objects, 1000);
    give_all(objects, 1000);
    assert_int_equal(counts().free, 1000);
    take_all(objects, 1000);
    assert_int_equal(counts().misses, 1000);
    assert_int_equal(counts().hits, 1000);
    assert_int_equal(counts().free, 0);
    give_all(objects, 1000);
}

static void one_worker_gives_what_another_took(void **state)
{
    void *objects[256];
    for (int round = 0; round < 100; round++) {
        sys_set_worker_no(0);
        take_all(objects, 256);
        sys_set_worker_no(1);
        give_all(objects, 256);
    }
    assert_int_equal(counts().live, 0);
    assert_in_range(counts().misses, 256, 256 + 2 * 64); /* what worker 1's magazines hold is out of worker 0's reach */
    sys_set_worker_no(0);
}

static void threads_without_magazines_use_the_depot(void **state)
{
    void *objects[200];
    sys_set_worker_no(SYS_NO_WORKER);
    take_all(objects, 200);
    give_all(objects, 200);
    take_all(objects, 200);
    assert_int_equal(counts().misses, 200);
    give_all(objects, 200);
    sys_set_worker_no(0);
    take_all(objects, 200); /* full magazines first, then the loose ones */
    assert_int_equal(counts().misses, 200);
    give_all(objects, 200);
}

static void trimming_leaves_what_was_asked(void **state)
{
    void *objects[1000];
    sys_set_worker_no(SYS_NO_WORKER);
    take_all(objects, 1000);
    give_all(objects, 1000);
    static const size_t keeps[] = { 2000, 1000, 999, 640, 639, 100, 64, 63, 1, 0 };
    for (size_t i = 0; i < ARRAY_LEN(keeps); i++) {
        slab_trim(&slab, keeps[i]);
        assert_int_equal(counts().free, MIN(keeps[i], 1000));
    }
    take_all(objects, 10);
    assert_int_equal(counts().misses, 1010);
    give_all(objects, 10);
    slab_trim_all(48 * 5);
    assert_int_equal(counts().free, 5);
    sys_set_worker_no(0);
}

static void what_lies_idle_is_reaped(void **state)
{
    static void *objects[1000];
    struct slab_count c;
    sys_set_worker_no(SYS_NO_WORKER); /* straight to the depot */
    slab_reap();
    take_all(objects, 1000);
    give_all(objects, 1000);
    assert_int_equal(slab_reap(), 0); /* none was there all the time */
    take_all(objects, 300);
    give_all(objects, 300);
    assert_int_equal(slab_reap(), 700 * 48);
    c = counts();
    assert_int_equal(c.free, 300);
    take_all(objects, 300);
    assert_int_equal(slab_reap(), 0);
    give_all(objects, 300);
    assert_int_equal(slab_live(&slab), 0);
}

static void large_objects_live_in_the_depot(void **state)
{
    struct slab large;
    slab_init(&large, "large", MIB(1));
    sys_set_worker_no(0);
    void *object = slab_take(&large), *first = object;
    slab_give(&large, &object);
    sys_set_worker_no(1);
    object = slab_take(&large);
    assert_ptr_equal(object, first);
    slab_give(&large, &object);
    slab_done(&large);
    sys_set_worker_no(0);
}

static void plain_mode_hoards_nothing(void **state)
{
    void *objects[100];
    take_all(objects, 50);
    slab_plain(true);
    take_all(objects + 50, 50);
    give_all(objects, 100);
    assert_int_equal(counts().live, 0);
    assert_int_equal(counts().free, 0);
    assert_int_equal(counts().peak, 100);
    slab_plain(false);
}
#endif

static void the_nth_allocation_fails_once(void **state)
{
    void *objects[3] = { 0 };
    memory_fail_at(2);
    objects[0] = slab_take(&slab);
    objects[1] = slab_take(&slab);
    objects[2] = slab_take0(&slab);
    assert_non_null(objects[0]);
    assert_null(objects[1]);
    assert_non_null(objects[2]);
    assert_int_equal(memory_takes(), 3);
    give_all(objects, 3);
    memory_fail_at(0);
    assert_int_equal(memory_takes(), 0);
    assert_int_equal(counts().live, 0);
}

/* What two threads hand each other: a box that holds one object. */
struct box {
    pthread_mutex_t lock;
    void *objects[512];
    size_t n;
};
static struct box box = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void *exchange_or_keep(void *object, unsigned random)
{
    pthread_mutex_lock(&box.lock);
    if (object && box.n < ARRAY_LEN(box.objects) && random % 2) {
        box.objects[box.n++] = object;
        object = NULL;
    } else if (!object && box.n) {
        object = box.objects[--box.n];
    }
    pthread_mutex_unlock(&box.lock);
    return object;
}

static void *trade(void *no)
{
    unsigned worker = (unsigned)(uintptr_t)no, random = worker + 1;
    sys_set_worker_no(worker);
    for (int i = 0; i < 60000; i++) {
        random = random * 1664525 + 1013904223;
        void *object = i % 3 ? slab_take(&slab) : NULL;
        if (object)
            memset(object, (int)worker, 48);
        object = exchange_or_keep(object, random >> 16);
        slab_give(&slab, &object);
        if (i % 5000 == 0)
            slab_trim(&slab, 32);
    }
    return NULL;
}

static void many_threads_lose_nothing(void **state)
{
    static const unsigned workers[] = { 0, 1, 2, SYS_NO_WORKER, SYS_NO_WORKER };
    pthread_t threads[ARRAY_LEN(workers)];
    for (size_t i = 0; i < ARRAY_LEN(workers); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, trade, (void *)(uintptr_t)workers[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(workers); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(slab_live(&slab), (int64_t)box.n);
    give_all(box.objects, box.n);
    box.n = 0;
    assert_int_equal(counts().live, 0);
}

static void a_leak_is_told_by_name(void **state)
{
    int pipe_fds[2];
    char said[400] = "";
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(pipe_fds[1], 2);
        (void)slab_take(&slab);
        slab_done(&slab);
        _exit(0);
    }
    close(pipe_fds[1]);
    assert_true(read(pipe_fds[0], said, sizeof said - 1) > 0);
    close(pipe_fds[0]);
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_non_null(strstr(said, "test objects"));
    assert_non_null(strstr(said, " 1 objects"));
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, each_begin, each_end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(giving_clears_the_pointer),
        ROW(counters_tell_what_happened),
#ifndef PLAIN_MEMORY
        ROW(objects_come_back),
        ROW(one_worker_gives_what_another_took),
        ROW(threads_without_magazines_use_the_depot),
        ROW(trimming_leaves_what_was_asked),
        ROW(what_lies_idle_is_reaped),
        ROW(large_objects_live_in_the_depot),
        ROW(plain_mode_hoards_nothing),
#endif
        ROW(the_nth_allocation_fails_once),
        ROW(many_threads_lose_nothing),
        ROW(a_leak_is_told_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
