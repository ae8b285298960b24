/* net/lazy_uv_test.c - lazy sockets against the real kernel: none waits in vain, and the busy ones share wake-ups. */
#include "net/loop_rig.h"

#include <sys/socket.h>

#define STREAMS 10

struct stream {
    struct sock sock;
    int peer; /* the other end */
    unsigned calls, seen, bytes;
    nsec told;
    struct stream *next; /* who is written to when this one is read */
    struct sock *closes;
};
static struct stream streams[STREAMS];
static unsigned left_to_say, by_the_clock;

static bool the_clock_serves(void)
{
    return !uv_is_active((uv_handle_t *)&loop->lazy.poll);
}

static void say(struct stream *s)
{
    assert_int_equal(send(s->peer, "token", 5, 0), 5);
}

static void on_stream(struct sock *sock, unsigned events)
{
    struct stream *s = CONTAINER(sock, struct stream, sock);
    char b[64];

    s->seen |= events;
    s->calls++;
    s->told = loop_now(loop);
    by_the_clock += the_clock_serves();
    if (s->closes)
        sock_close(s->closes, false);
    if (!(events & SOCK_READ))
        return;
    ssize_t n = sock_read(sock, b, sizeof b);
    if (n < 0)
        sock_watch(sock, 0);
    s->bytes += n > 0 ? (unsigned)n : 0;
    if (s->next && left_to_say) {
        left_to_say--;
        say(s->next);
    }
}

static int open_streams(void **state)
{
    struct addr nobody = { .v4 = { .sin_family = AF_INET } };

    open_loop(state);
    left_to_say = by_the_clock = 0;
    for (int i = 0; i < STREAMS; i++) {
        int ends[2];
        streams[i] = (struct stream){ 0 };
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
        streams[i].peer = ends[1];
        assert_int_equal(sock_adopt(loop, &streams[i].sock, ends[0], &nobody, on_stream), OK);
        sock_watch(&streams[i].sock, SOCK_READ | SOCK_LAZY);
        assert_true(streams[i].sock.watch->lazy);
    }
    return 0;
}

static int close_streams(void **state)
{
    for (int i = 0; i < STREAMS; i++) {
        sock_close(&streams[i].sock, false);
        close(streams[i].peer);
    }
    return close_loop(state);
}

static void a_lone_event_is_told_at_once(void **state)
{
    say(&streams[0]);
    run_for(MSEC(10));
    assert_int_equal(streams[0].calls, 1);
    assert_int_equal(streams[0].bytes, 5);
    assert_int_equal(by_the_clock, 0);
    assert_false(the_clock_serves());
}

static void pass_it_round(unsigned times)
{
    for (int i = 0; i < STREAMS; i++)
        streams[i].next = &streams[(i + 1) % STREAMS];
    left_to_say = times;
    say(&streams[0]);
    for (int i = 0; left_to_say && i < 500; i++)
        run_for(MSEC(10));
    assert_int_equal(left_to_say, 0);
}

static void when_they_follow_each_other_the_clock_serves_them(void **state)
{
    pass_it_round(200);
    assert_true(by_the_clock > 100);
    for (int i = 0; the_clock_serves() && i < 500; i++)
        run_for(MSEC(10));
    unsigned bytes = 0;
    for (int i = 0; i < STREAMS; i++)
        bytes += streams[i].bytes;
    assert_int_equal(bytes, 201 * 5);
    assert_false(the_clock_serves()); /* and gives it back when nobody says anything */
}

static void those_that_are_ready_together_are_told_in_one_turn(void **state)
{
    for (int i = 0; i < STREAMS; i++)
        say(&streams[i]);
    run_for(MSEC(20));
    for (int i = 0; i < STREAMS; i++) {
        assert_true(streams[i].told > 0);
        assert_int_equal(streams[i].told, streams[0].told);
    }
}

static void one_goes_in_and_out_of_laziness(void **state)
{
    struct stream *s = &streams[0];

    for (unsigned i = 1; i <= 3; i++) {
        sock_watch(&s->sock, SOCK_READ);
        assert_false(s->sock.watch->lazy);
        say(s);
        run_for(MSEC(10));
        assert_int_equal(s->calls, 2 * i - 1);
        sock_watch(&s->sock, SOCK_READ | SOCK_LAZY);
        say(s);
        run_for(MSEC(10));
        assert_int_equal(s->calls, 2 * i);
    }
    assert_int_equal(s->bytes, 30);
}

static void who_rests_stays_where_it_is(void **state)
{
    struct stream *s = &streams[0];

    sock_watch(&s->sock, 0);
    say(s);
    run_for(MSEC(10));
    assert_int_equal(s->calls, 0);
    assert_int_equal(s->sock.watch->registered, 0); /* it does not spin either */
    sock_watch(&s->sock, SOCK_READ | SOCK_LAZY);
    run_for(MSEC(10));
    assert_int_equal(s->bytes, 5);
}

static void writing_is_never_lazy(void **state)
{
    struct stream *s = &streams[0];

    sock_watch(&s->sock, SOCK_READ | SOCK_WRITE);
    assert_false(s->sock.watch->lazy);
    run_for(MSEC(5));
    assert_true(s->seen & SOCK_WRITE);
}

static void the_end_is_told_too(void **state)
{
    close(streams[0].peer);
    streams[0].peer = -1;
    run_for(MSEC(10));
    assert_true(streams[0].calls >= 1);
    assert_true(streams[0].seen & SOCK_READ);
    assert_int_equal(streams[0].sock.watch->wanted, 0); /* it read the end, and wants no more */
}

static void one_closed_by_another_in_the_same_batch_stays_silent(void **state)
{
    streams[0].closes = &streams[1].sock;
    streams[1].closes = &streams[0].sock;
    say(&streams[0]);
    say(&streams[1]);
    run_for(MSEC(10));
    assert_int_equal(streams[0].calls + streams[1].calls, 1);
}

#define WITH_STREAMS(test) cmocka_unit_test_setup_teardown(test, open_streams, close_streams)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        WITH_STREAMS(a_lone_event_is_told_at_once),
        WITH_STREAMS(when_they_follow_each_other_the_clock_serves_them),
        WITH_STREAMS(those_that_are_ready_together_are_told_in_one_turn),
        WITH_STREAMS(one_goes_in_and_out_of_laziness),
        WITH_STREAMS(who_rests_stays_where_it_is),
        WITH_STREAMS(writing_is_never_lazy),
        WITH_STREAMS(the_end_is_told_too),
        WITH_STREAMS(one_closed_by_another_in_the_same_batch_stays_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
