/* net/conn_test.c - plain connections over loopback. */
#include "net/conn_rig.h"

static bool client_ended(void)
{
    return rig.client.end < 0;
}

static void talks(void **state)
{
    question_and_answer();
}
static void bulk_fleeting(void **state)
{
    bulk_through_a_sleeping_reader(FLEETING);
}
static void bulk_lasting(void **state)
{
    bulk_through_a_sleeping_reader(LASTING);
}
static void early_writes(void **state)
{
    written_before_it_is_open();
}
static void reset(void **state)
{
    a_reset_breaks_the_other_side();
}
static void hang_up(void **state)
{
    a_hang_up_is_heard_while_not_reading();
}
static void closing_in_callbacks(void **state)
{
    each_callback_may_close();
}
static void allocation_failures(void **state)
{
    for (uint64_t nth = 1; nothing_is_lost_when_allocation_fails(nth); nth++)
        ;
}

static void an_idle_connection_is_small(void **state)
{
    assert_true(sizeof(struct conn) < 200);
    rig_connect();
    assert_int_equal(rig.server.opens, 0); /* plain: adopted is open */
    conn_watch(&rig.server.conn, SOCK_READ);
    assert_int_equal(say(&rig.client, "x"), OK);
    assert_int_equal(buf_bytes_live(), 0);
    struct addr peer = conn_peer(&rig.client.conn);
    assert_true(addr_eq(&peer, &rig.at));
    assert_string_equal(conn_tls_trouble(&rig.client.conn), "");
    rig_hang_up();
}

static void a_refused_dial_opens_with_the_failure(void **state)
{
    rig_listen();
    listener_close(&rig.ln);
    enum fail f = rig_dial();
    if (f == OK) {
        rig_until(client_opened);
        f = rig.client.opened;
    }
    assert_int_equal(f, FAIL_connect_refused);
    assert_int_equal(say(&rig.client, "x"), FAIL_client_gone);
    rig_hang_up();
}

static void redial_once(struct side *s)
{
    s->instead = NULL;
    conn_close(&s->conn, true);
    assert_int_equal(rig_dial(), OK);
}
static void a_connection_can_be_reused_inside_its_own_callback(void **state)
{
    rig_listen();
    rig.client.instead = redial_once;
    assert_int_equal(rig_dial(), OK);
    assert_int_equal(say(&rig.client, "lost"), OK);
    for (int i = 0; i < 1000 && rig.client.opens < 2; i++)
        rig_run(MSEC(1));
    assert_int_equal(rig.client.opens, 2);
    assert_int_equal(conn_pending(&rig.client.conn), 0);
    rig_hang_up();
}

/* --- drained --- */

static size_t fill(struct side *s)
{
    static char block[MIB(1)];
    struct iovec v = { block, sizeof block };
    while (conn_pending(&s->conn) == 0)
        assert_int_equal(conn_write(&s->conn, &v, 1, LASTING), OK);
    return conn_pending(&s->conn);
}
static bool client_drained(void)
{
    return rig.client.drains > 0;
}
static bool client_closed(void)
{
    return !conn_is_open(&rig.client.conn);
}

static void close_when_drained(struct side *s)
{
    if (s->drains)
        conn_close(&s->conn, false);
}
static void drained_may_close(void **state)
{
    rig_connect();
    fill(&rig.client);
    rig.client.instead = close_when_drained;
    conn_watch(&rig.server.conn, SOCK_READ);
    rig_until(client_closed);
    rig_until(server_ended);
    assert_int_equal(rig.server.end, -1);
    rig_hang_up();
}

static void drained_and_readable_in_one_event_both_come(void **state)
{
    rig_connect();
    fill(&rig.client);
    conn_watch(&rig.client.conn, SOCK_READ);
    assert_int_equal(say(&rig.server, "meanwhile"), OK);
    usleep(2000);
    conn_watch(&rig.server.conn, SOCK_READ);
    rig_until(client_drained);
    rig_run(MSEC(2));
    assert_got(&rig.client, "meanwhile");
    assert_int_equal(rig.client.drains, 1);
    rig_hang_up();
}

static void close_drops_what_is_pending(void **state)
{
    rig_connect();
    char note[] = "short-lived";
    fill(&rig.client);
    assert_int_equal(say(&rig.client, note), OK);
    assert_true(buf_bytes_live() > 0);
    conn_close(&rig.client.conn, true);
    assert_int_equal(buf_bytes_live(), 0);
    conn_watch(&rig.server.conn, SOCK_READ);
    rig_until(server_ended);
    assert_int_equal(rig.server.end, -2);
    rig_hang_up();
}

/* --- breaking --- */

static void out_of_memory_breaks_and_is_told_twice(void **state)
{
    rig_connect();
    conn_watch(&rig.client.conn, SOCK_READ);
    fill(&rig.client);
    memory_fail_at(1);
    assert_int_equal(say(&rig.client, "x"), FAIL_no_memory);
    memory_fail_at(0);
    assert_int_equal(conn_pending(&rig.client.conn), 0);
    assert_int_equal(rig.client.reads, 0);
    rig_until(client_ended);
    assert_int_equal(rig.client.end, -2);
    assert_int_equal(say(&rig.client, "y"), FAIL_client_gone);
    rig_hang_up();
}

static void a_write_that_finds_it_broken_is_told_by_hang_up_too(void **state)
{
    rig_connect();
    conn_close(&rig.server.conn, true);
    usleep(2000);
    assert_int_equal(say(&rig.client, "x"), FAIL_client_gone);
    conn_watch(&rig.client.conn, SOCK_HUP);
    assert_int_equal(rig.client.hangups, 0);
    rig_run(MSEC(5));
    assert_int_equal(rig.client.hangups, 1);
    rig_hang_up();
}

static void an_answer_before_the_break_can_still_be_read(void **state)
{
    rig_connect();
    conn_watch(&rig.client.conn, SOCK_READ);
    assert_int_equal(say(&rig.server, "413"), OK);
    conn_close(&rig.server.conn, false); /* FIN; the client's next bytes meet a closed socket */
    usleep(1000);
    assert_int_equal(say(&rig.client, "body"), OK);
    usleep(1000);
    assert_int_equal(say(&rig.client, "more body"), FAIL_client_gone);
    rig_until(client_ended);
    assert_int_equal(rig.client.end, -2);
    assert_got(&rig.client, "413");
    rig_hang_up();
}

static void watching_nothing_notices_nothing(void **state)
{
    rig_connect();
    assert_int_equal(say(&rig.client, "x"), OK);
    conn_close(&rig.client.conn, false);
    unsigned turns = rig.turns;
    rig_run(MSEC(20));
    assert_int_equal(rig.server.reads + rig.server.hangups, 0);
    assert_true(rig.turns - turns < 10); /* and does not spin */
    rig_hang_up();
}

/* --- timers in callbacks --- */

static struct timer deadline, other;
static unsigned deadlines;
static void on_deadline(struct timer *t)
{
    deadlines++;
    loop_timer_cancel(rig.loop, &other);
    conn_close(&rig.server.conn, true);
}
static void set_deadline(struct side *s)
{
    char b[64];
    assert_true(conn_read(&s->conn, b, sizeof b) > 0);
    loop_timer_set(rig.loop, &other, loop_now(rig.loop));
    loop_timer_cancel(rig.loop, &other);
    loop_timer_set(rig.loop, &other, loop_now(rig.loop) + MSEC(1));
    loop_timer_set(rig.loop, &deadline, loop_now(rig.loop));
}
static void timers_set_and_cancelled_in_callbacks(void **state)
{
    deadline.fire = other.fire = on_deadline;
    deadlines = 0;
    rig_connect();
    rig.server.instead = set_deadline;
    conn_watch(&rig.server.conn, SOCK_READ);
    conn_watch(&rig.client.conn, SOCK_READ);
    assert_int_equal(say(&rig.client, "x"), OK);
    rig_until(client_ended);
    assert_int_equal(rig.client.end, -2);
    rig_run(MSEC(5));
    assert_int_equal(deadlines, 1);
    assert_false(timer_pending(&other));
    rig_hang_up();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_set_up, rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(talks),
        TEST(bulk_fleeting),
        TEST(bulk_lasting),
        TEST(early_writes),
        TEST(reset),
        TEST(hang_up),
        TEST(closing_in_callbacks),
        TEST(allocation_failures),
        TEST(an_idle_connection_is_small),
        TEST(a_refused_dial_opens_with_the_failure),
        TEST(a_connection_can_be_reused_inside_its_own_callback),
        TEST(drained_may_close),
        TEST(drained_and_readable_in_one_event_both_come),
        TEST(close_drops_what_is_pending),
        TEST(out_of_memory_breaks_and_is_told_twice),
        TEST(a_write_that_finds_it_broken_is_told_by_hang_up_too),
        TEST(an_answer_before_the_break_can_still_be_read),
        TEST(watching_nothing_notices_nothing),
        TEST(timers_set_and_cancelled_in_callbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
