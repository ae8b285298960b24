/* net/lane_test.c - work done on lanes comes back to its loop; names become addresses. */
#include "net/loop_rig.h"

/* --- lanes and names --- */

#define JOBS 200
struct sum {
    struct job job;
    unsigned of, result;
    pthread_t worked_on;
};
static unsigned sums_done;

static void work_sum(struct job *j)
{
    struct sum *s = CONTAINER(j, struct sum, job);
    for (unsigned i = 1; i <= s->of; i++)
        s->result += i;
    s->worked_on = pthread_self();
    assert_int_equal(sys_worker_no(), SYS_NO_WORKER);
}
static void done_sum(struct job *j)
{
    struct sum *s = CONTAINER(j, struct sum, job);
    assert_int_equal(s->result, s->of * (s->of + 1) / 2);
    assert_false(pthread_equal(s->worked_on, pthread_self()));
    free(s);
    if (++sums_done == JOBS)
        loop_stop(loop);
}
static void jobs_work_elsewhere_and_end_here(void **state)
{
    sums_done = 0;
    for (unsigned i = 0; i < JOBS; i++) {
        struct sum *s = calloc(1, sizeof *s);
        s->of = i * 100;
        s->job.work = work_sum;
        s->job.done = done_sum;
        loop_job(loop, i % 2 ? LANE_HEAVY : LANE_DNS, &s->job);
    }
    loop_run(loop, NULL, NULL);
    assert_int_equal(sums_done, JOBS);
}

static unsigned resolved;
static void on_resolved(struct resolve *r)
{
    if (++resolved == 3)
        loop_stop(loop);
}
static void names_and_literals_resolve(void **state)
{
    struct resolve literal = { .host = "::1", .port = 80, .done = on_resolved };
    struct resolve name = { .host = "localhost", .port = 11434, .done = on_resolved };
    struct resolve wrong = { .host = "no..such..name", .port = 1, .done = on_resolved };
    resolved = 0;
    loop_resolve(loop, &literal);
    loop_resolve(loop, &name);
    loop_resolve(loop, &wrong);
    assert_int_equal(resolved, 0);
    loop_run(loop, NULL, NULL);
    assert_int_equal(literal.n, 1);
    assert_int_equal(literal.found[0].any.sa_family, AF_INET6);
    assert_int_equal(addr_port(&literal.found[0]), 80);
    assert_int_equal(name.failed, OK);
    assert_true(name.n >= 1);
    assert_true(addr_is_loopback(&name.found[0]));
    assert_int_equal(addr_port(&name.found[0]), 11434);
    assert_int_equal(wrong.failed, FAIL_unresolved);
    assert_int_equal(wrong.n, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_loop, close_loop)
    const struct CMUnitTest tests[] = {
        TEST(jobs_work_elsewhere_and_end_here),
        TEST(names_and_literals_resolve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
