/* The rules of the paper, one by one, and that the sums stay right. */
#include "cache/s3fifo.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ITEMS 64
struct room {
    struct s3fifo q;
    struct s3fifo_item item[ITEMS];
};

static void open_room(struct room *r, size_t limit)
{
    memset(r, 0, sizeof *r);
    assert_int_equal(s3fifo_init(&r->q, limit, 100, 1), OK);
    for (uint64_t i = 0; i < ITEMS; i++)
        r->item[i] = (struct s3fifo_item){ .hash = (i + 1) * 0x9e3779b97f4a7c15, .weight = 1 };
}

static void put(struct room *r, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        s3fifo_put(&r->q, &r->item[i]);
}

static int evicted(struct room *r)
{
    struct s3fifo_item *gone = s3fifo_evict(&r->q);
    return gone ? (int)(gone - r->item) : -1;
}

static void newcomers_leave_in_the_order_they_came(void **state)
{
    struct room r;
    open_room(&r, 10);
    put(&r, 0, 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(evicted(&r), i);
    assert_int_equal(evicted(&r), -1);
    s3fifo_done(&r.q);
}

static void two_hits_lead_to_the_main_queue_one_does_not(void **state)
{
    struct room r;
    open_room(&r, 10);
    put(&r, 0, 10);
    s3fifo_hit(&r.item[0]);
    s3fifo_hit(&r.item[0]);
    s3fifo_hit(&r.item[1]);
    assert_int_equal(evicted(&r), 1);
    assert_int_equal(r.item[0].place, S3FIFO_MAIN);
    assert_int_equal(r.q.main_weight, 1);
    assert_int_equal(r.q.small_weight, 8);
    s3fifo_done(&r.q);
}

static void who_comes_back_soon_enters_the_main_queue(void **state)
{
    struct room r;
    open_room(&r, 10);
    put(&r, 0, 10);
    assert_int_equal(evicted(&r), 0);
    assert_true(s3fifo_remembers(&r.q, r.item[0].hash));
    put(&r, 0, 1);
    assert_int_equal(r.item[0].place, S3FIFO_MAIN);
    assert_false(s3fifo_remembers(&r.q, r.item[0].hash));
    s3fifo_done(&r.q);
}

static void in_the_main_queue_a_hit_buys_another_round(void **state)
{
    struct room r;
    open_room(&r, 10);
    for (unsigned i = 0; i < 3; i++)
        s3fifo_pass(&r.q, r.item[i].hash, 1);
    put(&r, 0, 3);
    for (unsigned i = 0; i < 9; i++)
        s3fifo_hit(&r.item[0]);
    assert_int_equal(r.item[0].hits, S3FIFO_HITS_MOST);
    assert_int_equal(evicted(&r), 1);
    assert_int_equal(evicted(&r), 2);
    assert_int_equal(evicted(&r), 0);
    s3fifo_done(&r.q);
}

/* A small queue below its share is spared. */
static void the_main_queue_gives_while_the_small_one_is_small(void **state)
{
    struct room r;
    open_room(&r, 20);
    for (unsigned i = 0; i < 10; i++)
        s3fifo_pass(&r.q, r.item[i].hash, 1);
    put(&r, 0, 11);
    assert_int_equal(r.item[10].place, S3FIFO_SMALL);
    assert_int_equal(evicted(&r), 0);
    put(&r, 11, 12);
    assert_int_equal(evicted(&r), 10);
    s3fifo_done(&r.q);
}

static void sums_follow_taking_and_reweighing(void **state)
{
    struct room r;
    open_room(&r, 100);
    put(&r, 0, 3);
    s3fifo_reweigh(&r.q, &r.item[1], 40);
    assert_int_equal(s3fifo_weight(&r.q), 42);
    s3fifo_reweigh(&r.q, &r.item[1], 5);
    assert_int_equal(s3fifo_weight(&r.q), 7);
    s3fifo_take(&r.q, &r.item[1]);
    assert_int_equal(s3fifo_weight(&r.q), 2);
    assert_false(s3fifo_remembers(&r.q, r.item[1].hash));
    s3fifo_done(&r.q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newcomers_leave_in_the_order_they_came),
        cmocka_unit_test(two_hits_lead_to_the_main_queue_one_does_not),
        cmocka_unit_test(who_comes_back_soon_enters_the_main_queue),
        cmocka_unit_test(in_the_main_queue_a_hit_buys_another_round),
        cmocka_unit_test(the_main_queue_gives_while_the_small_one_is_small),
        cmocka_unit_test(sums_follow_taking_and_reweighing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
