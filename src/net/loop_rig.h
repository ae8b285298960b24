/* net/loop_rig.h - for loop_test, sock_test and lane_test: one loop per test, run for a while. */
#pragma once
#include "base/sys.h"
#include "net/loop_uv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct loop *loop;

static int open_loop(void **state)
{
    (void)state;
    alarm(60);
    loop = loop_new(0);
    assert_non_null(loop);
    return 0;
}
static int close_loop(void **state)
{
    (void)state;
    loop_lanes_done();
    loop_free(&loop);
    assert_null(loop);
    return 0;
}

static inline void stop(struct timer *t)
{
    loop_stop(loop);
}
static inline void run_for(nsec time)
{
    struct timer end = { .fire = stop };
    loop_timer_set(loop, &end, sys_now() + time);
    loop_run(loop, NULL, NULL);
    assert_false(timer_pending(&end));
}
