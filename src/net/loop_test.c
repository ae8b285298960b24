/* net/loop_test.c - turns, timers, mail between threads and signals of the libuv loop. */
#include "net/loop_rig.h"

#include <signal.h>

/* --- turns and timers --- */

static struct {
    unsigned turns, at_mail, at_timer;
    struct mail mail;
    struct timer timer;
} order;

static void count_turn(void *arg)
{
    order.turns++;
    if (order.at_mail && order.at_timer)
        loop_stop(loop);
}
static void note_mail(struct mail *m, unsigned bits)
{
    order.at_mail = 1 + order.turns;
}
static void note_timer(struct timer *t)
{
    assert_true(order.at_mail > 0);
    order.at_timer = 1 + order.turns;
}
static void each_turn_comes_after_mail_and_timers(void **state)
{
    memset(&order, 0, sizeof order);
    order.mail.deliver = note_mail;
    order.timer.fire = note_timer;
    loop_post(loop, &order.mail, 1);
    loop_timer_set(loop, &order.timer, loop_now(loop));
    loop_run(loop, count_turn, NULL);
    assert_int_equal(order.at_mail, 1);
    assert_int_equal(order.at_timer, 1);
    assert_int_equal(order.turns, 1);
    assert_int_equal(sys_worker_no(), 0);
}

static struct {
    struct timer timer;
    nsec worst, sum;
    int left;
    bool early;
} flush;
static void flushed(struct timer *t)
{
    nsec late = sys_now() - t->due;
    flush.early |= late < 0;
    flush.worst = MAX(flush.worst, late);
    flush.sum += late;
    if (--flush.left > 0)
        loop_timer_set(loop, t, loop_now(loop) + MSEC(1) + USEC(37 * flush.left % 1000));
    else
        loop_stop(loop);
}
static void a_millisecond_timer_is_not_early_and_little_late(void **state)
{
    memset(&flush, 0, sizeof flush);
    flush.timer.fire = flushed;
    flush.left = 100;
    loop_timer_set(loop, &flush.timer, loop_now(loop) + MSEC(1));
    loop_run(loop, NULL, NULL);
    print_message("[          ] lateness: mean %lld us, worst %lld us\n", (long long)flush.sum / 100000,
                  (long long)flush.worst / 1000);
    assert_false(flush.early);
    assert_true(flush.sum / 100 < MSEC(3));
}

static struct {
    struct timer timer;
    unsigned fired, turns, stop_at;
} eager;
static void set_at_once(struct timer *t)
{
    eager.fired++;
    loop_timer_set(loop, t, loop_now(loop));
}
static void count_eager_turn(void *arg)
{
    if (++eager.turns == eager.stop_at)
        loop_stop(loop);
}
static void a_timer_that_sets_itself_for_now_fires_once_a_turn_without_wait(void **state)
{
    memset(&eager, 0, sizeof eager);
    eager.timer.fire = set_at_once;
    eager.stop_at = 1000;
    loop_timer_set(loop, &eager.timer, 0);
    nsec begin = sys_now();
    loop_run(loop, count_eager_turn, NULL);
    loop_timer_cancel(loop, &eager.timer);
    assert_int_equal(eager.fired, eager.turns);
    assert_true(sys_now() - begin < MSEC(900));
}

static void an_earlier_timer_moves_the_alarm_and_a_cancelled_one_is_silent(void **state)
{
    struct timer late = { .fire = stop }, soon = { .fire = stop };
    nsec begin = sys_now();
    loop_timer_set(loop, &late, begin + SECOND(30));
    run_for(MSEC(5));
    loop_timer_set(loop, &soon, begin + MSEC(20));
    loop_run(loop, NULL, NULL);
    assert_true(sys_now() - begin >= MSEC(20));
    assert_true(sys_now() - begin < SECOND(10));
    loop_timer_cancel(loop, &late);
    assert_false(timer_pending(&late));
}

static void the_clocks_agree_with_the_system(void **state)
{
    run_for(MSEC(2));
    assert_true(llabs(loop_now(loop) - sys_now()) < SECOND(5));
    assert_true(llabs(loop_wall(loop) - sys_wall()) < SECOND(5));
}

static void stop_before_run_ends_the_first_turn(void **state)
{
    loop_stop(loop);
    loop_run(loop, NULL, NULL);
    run_for(MSEC(1)); /* and is forgotten afterwards */
}

static void *stop_from_outside(void *arg)
{
    usleep(20000);
    loop_stop(loop);
    return NULL;
}
static void another_thread_can_stop_a_sleeping_loop(void **state)
{
    pthread_t t;
    pthread_create(&t, NULL, stop_from_outside, NULL);
    loop_run(loop, NULL, NULL);
    pthread_join(t, NULL);
}

/* --- mail --- */

#define SENDERS      2
#define LETTERS      256
#define PER_SENDER   500000
#define LETTER_FIRST 1
#define LETTER_AGAIN 2

struct letter {
    struct mail mail;
    struct sender *from;
    unsigned number;
    atomic_bool busy;
};
static struct sender {
    struct letter letters[LETTERS];
    unsigned delivered;
} senders[SENDERS];

static void read_letter(struct mail *m, unsigned bits)
{
    struct letter *l = CONTAINER(m, struct letter, mail);
    assert_false(mail_is_posted(m));
    assert_int_equal(bits, LETTER_FIRST);
    assert_int_equal(l->number, l->from->delivered); /* in the sender's order, none lost, none twice */
    l->from->delivered++;
    atomic_store(&l->busy, false);
    if (senders[0].delivered == PER_SENDER && senders[1].delivered == PER_SENDER)
        loop_stop(loop);
}

static void *send_letters(void *arg)
{
    struct sender *s = arg;
    for (unsigned i = 0; i < PER_SENDER; i++) {
        struct letter *l = &s->letters[i % LETTERS];
        while (atomic_load(&l->busy))
            sched_yield();
        l->number = i;
        l->from = s;
        l->mail.deliver = read_letter;
        atomic_store(&l->busy, true);
        loop_post(loop, &l->mail, LETTER_FIRST);
        if (i % 50000 == 0)
            usleep(2000); /* let the loop fall asleep now and then */
    }
    return NULL;
}

static void a_million_letters_from_two_threads_arrive_in_order(void **state)
{
    memset(senders, 0, sizeof senders);
    pthread_t t[SENDERS];
    nsec begin = sys_now();
    for (int i = 0; i < SENDERS; i++)
        pthread_create(&t[i], NULL, send_letters, &senders[i]);
    loop_run(loop, NULL, NULL);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(t[i], NULL);
    print_message("[          ] %lld ns a letter\n", (long long)(sys_now() - begin) / (SENDERS * PER_SENDER));
    assert_int_equal(senders[0].delivered, PER_SENDER);
    assert_int_equal(senders[1].delivered, PER_SENDER);
}

static struct {
    struct mail mail;
    unsigned got[3], n;
} merged;
static void merge_once_then_again(struct mail *m, unsigned bits)
{
    merged.got[merged.n++] = bits;
    if (merged.n == 1) {
        loop_post(loop, m, LETTER_AGAIN);
        assert_true(mail_is_posted(m));
    } else {
        loop_stop(loop);
    }
}
static void bits_posted_together_come_together_and_again_later(void **state)
{
    memset(&merged, 0, sizeof merged);
    merged.mail.deliver = merge_once_then_again;
    loop_post(loop, &merged.mail, 1);
    loop_post(loop, &merged.mail, 4);
    loop_run(loop, NULL, NULL);
    assert_int_equal(merged.n, 2);
    assert_int_equal(merged.got[0], 5);
    assert_int_equal(merged.got[1], LETTER_AGAIN);
}

/* --- signals --- */

static int signal_got;
static void on_user_signal(int signo, void *arg)
{
    signal_got = signo;
    assert_ptr_equal(arg, &signal_got);
    loop_stop(loop);
}
static void a_signal_arrives_in_the_loop(void **state)
{
    loop_on_signal(loop, SIGUSR1, on_user_signal, &signal_got);
    kill(getpid(), SIGUSR1);
    assert_int_equal(signal_got, 0);
    loop_run(loop, NULL, NULL);
    assert_int_equal(signal_got, SIGUSR1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_loop, close_loop)
    const struct CMUnitTest tests[] = {
        TEST(each_turn_comes_after_mail_and_timers),
        TEST(a_millisecond_timer_is_not_early_and_little_late),
        TEST(a_timer_that_sets_itself_for_now_fires_once_a_turn_without_wait),
        TEST(an_earlier_timer_moves_the_alarm_and_a_cancelled_one_is_silent),
        TEST(the_clocks_agree_with_the_system),
        TEST(stop_before_run_ends_the_first_turn),
        TEST(another_thread_can_stop_a_sleeping_loop),
        TEST(a_million_letters_from_two_threads_arrive_in_order),
        TEST(bits_posted_together_come_together_and_again_later),
        TEST(a_signal_arrives_in_the_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
