/* Processes and proxies: time and memory of a child are seen from outside, nothing is left behind. */
#include "bench/way.h"

#include "base/buf.h"
#include "base/sys.h"
#include "bench/rig.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static nsec own_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return SECOND(t.tv_sec) + t.tv_nsec;
}

static void work_and_wait(void *arg)
{
    while (own_cpu() < MSEC(50))
        ;
    pause();
}

static void refuse_to_end(void *arg)
{
    signal(SIGTERM, SIG_IGN);
    for (;;)
        pause();
}

static void a_child_is_measured_from_outside(void **state)
{
    struct child c = { 0 };

    assert_int_equal(child_fork(&c, -1, work_and_wait, NULL), OK);
    nsec give_up = sys_now() + SECOND(20);
    while (child_cpu(&c) < MSEC(50) && sys_now() < give_up)
        usleep(1000);
    usleep(20000);
    assert_in_range(child_cpu(&c), MSEC(50), MSEC(500));
    assert_in_range(child_rss(&c), KIB(64), SIZE_MAX);
    assert_true(child_alive(&c));
    child_end(&c);
    assert_false(child_alive(&c));
    assert_int_equal(child_cpu(&c), 0);
    assert_int_equal(child_rss(&c), 0);
}

static void a_child_that_does_not_want_to_end_does(void **state)
{
    struct child c = { 0 };

    assert_int_equal(child_fork(&c, -1, refuse_to_end, NULL), OK);
    pid_t pid = c.pid;
    usleep(20000);
    child_end_all();
    assert_int_equal(kill(pid, 0), -1);
    child_end(&c);
    assert_int_equal(c.pid, 0);
}

static void a_program_that_ends_at_once_is_told(void **state)
{
    struct rig r;
    struct way w;

    assert_int_equal(rig_open(&r, "/bin/false", 3), OK);
    way_find(&w, WAY_OURS, &r.place);
    nsec began = sys_now();
    assert_int_equal(way_start(&w, &r.place), FAIL_total_timeout);
    assert_true(sys_now() - began < SECOND(4));
    assert_int_equal(w.child.pid, 0);
    rig_close(&r);
}

static void a_rig_leaves_nothing_behind(void **state)
{
    struct rig r;
    struct stat s;

    assert_int_equal(rig_open(&r, "/bin/false", 3), OK);
    pid_t node = r.node.pid;
    assert_int_equal(stat(r.directory, &s), 0);
    assert_int_equal(kill(node, 0), 0);
    rig_close(&r);
    assert_int_equal(stat(r.directory, &s), -1);
    assert_int_equal(kill(node, 0), -1);
}

/* Peers that are installed must start with the configurations made here. */
static void installed_peers_pass_requests_on(void **state)
{
    struct rig r;
    struct way w;

    assert_int_equal(rig_open(&r, "/bin/false", 3), OK);
    for (enum way_id id = WAY_HAPROXY; id < WAYS; id++) {
        way_find(&w, id, &r.place);
        if (!w.program[0])
            continue;
        assert_int_equal(way_start(&w, &r.place), OK);
        assert_true(w.answered > 0 && w.version[0] >= '0' && w.version[0] <= '9');
        way_stop(&w);
    }
    rig_close(&r);
}

static int begin(void **state)
{
    buf_pools_init();
    children_init();
    return 0;
}

static int end(void **state)
{
    buf_pools_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_is_measured_from_outside),    cmocka_unit_test(a_child_that_does_not_want_to_end_does),
        cmocka_unit_test(a_program_that_ends_at_once_is_told), cmocka_unit_test(a_rig_leaves_nothing_behind),
        cmocka_unit_test(installed_peers_pass_requests_on),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
