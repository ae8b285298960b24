/* net/sock_test.c - sockets and listeners of the libuv loop against the real kernel. */
#include "base/slab.h"
#include "net/loop_rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

static struct addr any_port(void)
{
    struct addr a = {
        .v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}
    };
    return a;
}

/* --- sockets --- */

struct end { /* one end of a connection and what happened to it */
    struct sock sock;
    unsigned seen, calls;
    ssize_t last_read;
    size_t bytes;
    bool echo, close_when_ready;
};
static struct {
    struct listener ln;
    struct addr at;
    struct end served; /* what the listener accepted last */
    int accepted, refused, last_handle;
} door;

static void on_end(struct sock *s, unsigned events)
{
    struct end *e = CONTAINER(s, struct end, sock);
    e->seen |= events;
    e->calls++;
    if (e->close_when_ready) {
        sock_close(s, false);
        return;
    }
    if (!(events & SOCK_READ))
        return;
    char b[4096];
    e->last_read = sock_read(s, b, sizeof b);
    if (e->last_read < 0)
        sock_watch(s, 0);
    if (e->last_read <= 0)
        return;
    e->bytes += (size_t)e->last_read;
    struct iovec v[2] = {
        {b,      1                       },
        { b + 1, (size_t)e->last_read - 1}
    };
    if (e->echo)
        assert_int_equal(sock_writev(s, v, 2), e->last_read);
}

static void adopt_one(struct listener *ln, int handle, const struct addr *from)
{
    if (handle < 0) {
        door.refused++;
        return;
    }
    door.accepted++;
    door.last_handle = handle;
    assert_true(addr_is_loopback(from));
    assert_int_equal(sock_adopt(loop, &door.served.sock, handle, from, on_end), OK);
    sock_watch(&door.served.sock, SOCK_READ);
}

static void open_door(void)
{
    memset(&door, 0, sizeof door);
    door.ln.accepted = adopt_one;
    struct addr at = any_port();
    assert_int_equal(listener_open(loop, &door.ln, &at, &door.at), OK);
    assert_true(addr_port(&door.at) > 0);
}
static void shut_door(void)
{
    sock_close(&door.served.sock, false);
    listener_close(&door.ln);
    listener_close(&door.ln);
}

/* A connection through the door, both ends open and silent. */
static struct end dialled;
static void connect_through_door(void)
{
    open_door();
    memset(&dialled, 0, sizeof dialled);
    assert_int_equal(sock_dial(loop, &dialled.sock, &door.at, on_end), OK);
    run_for(MSEC(10));
    assert_true(dialled.seen & SOCK_WRITE);
    assert_int_equal(sock_dialed(&dialled.sock), OK);
    assert_int_equal(door.accepted, 1);
    sock_watch(&dialled.sock, SOCK_READ);
    dialled.seen = dialled.calls = 0;
}

static ssize_t say(struct end *e, const char *text)
{
    struct iovec v = { (char *)text, strlen(text) };
    return sock_writev(&e->sock, &v, 1);
}

static void bytes_go_both_ways(void **state)
{
    connect_through_door();
    door.served.echo = true;
    assert_int_equal(say(&dialled, "hello"), 5);
    run_for(MSEC(10));
    assert_int_equal(door.served.bytes, 5);
    assert_int_equal(dialled.bytes, 5);
    assert_int_equal(door.served.calls, 1);
    struct addr peer = sock_peer(&dialled.sock);
    assert_true(addr_eq(&peer, &door.at));
    sock_close(&dialled.sock, false);
    assert_false(sock_is_open(&dialled.sock));
    sock_close(&dialled.sock, false);
    run_for(MSEC(10));
    assert_int_equal(door.served.last_read, -1);
    shut_door();
}

static void accepted_sockets_inherit_nodelay_and_keepalive(void **state)
{
    connect_through_door();
    int fds[2] = { door.last_handle, dialled.sock.watch->fd };
    for (int i = 0; i < 2; i++) {
        int nodelay = 0, keepalive = 0;
        socklen_t n = sizeof nodelay;
        getsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &nodelay, &n);
        getsockopt(fds[i], SOL_SOCKET, SO_KEEPALIVE, &keepalive, &n);
        assert_true(nodelay);
        assert_true(keepalive);
        assert_true(fcntl(fds[i], F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
    }
    sock_close(&dialled.sock, false);
    shut_door();
}

static void half_closed_still_answers(void **state)
{
    connect_through_door();
    sock_shutdown(&dialled.sock);
    run_for(MSEC(10));
    assert_int_equal(door.served.last_read, -1);
    assert_int_equal(say(&door.served, "late"), 4);
    run_for(MSEC(10));
    assert_int_equal(dialled.bytes, 4);
    sock_close(&dialled.sock, false);
    shut_door();
}

static void a_reset_is_told_from_an_end(void **state)
{
    connect_through_door();
    sock_close(&dialled.sock, true);
    run_for(MSEC(10));
    assert_int_equal(door.served.last_read, -2);
    assert_int_equal(say(&door.served, "x"), -2);
    shut_door();
}

static void hang_up_is_noticed_behind_unread_bytes(void **state)
{
    connect_through_door();
    sock_watch(&door.served.sock, SOCK_HUP);
    assert_int_equal(say(&dialled, "pipelined"), 9);
    run_for(MSEC(10));
    assert_int_equal(door.served.calls, 0);
    sock_close(&dialled.sock, false);
    run_for(MSEC(5));
    assert_int_equal(door.served.seen, SOCK_HUP);
    assert_true(door.served.calls > 1); /* level-triggered */
    sock_watch(&door.served.sock, SOCK_READ);
    run_for(MSEC(5));
    assert_int_equal(door.served.bytes, 9);
    shut_door();
}

static void a_reset_is_noticed_while_not_reading(void **state)
{
    connect_through_door();
    sock_watch(&door.served.sock, SOCK_HUP);
    sock_close(&dialled.sock, true);
    run_for(MSEC(5));
    assert_int_equal(door.served.seen, SOCK_HUP);
    assert_true(door.served.calls > 1);
    shut_door();
}

static void reading_and_not_reading_in_turns_leaves_epoll_alone(void **state)
{
    connect_through_door();
    unsigned registered = door.served.sock.watch->registered;
    for (int i = 0; i < 3; i++) {
        sock_watch(&door.served.sock, SOCK_HUP);
        run_for(MSEC(1));
        sock_watch(&door.served.sock, SOCK_READ);
        say(&dialled, "again");
        run_for(MSEC(5));
        assert_int_equal(door.served.sock.watch->registered, registered);
    }
    assert_int_equal(door.served.bytes, 15);
    sock_watch(&door.served.sock, 0);
    say(&dialled, "unread");
    run_for(MSEC(5));
    assert_int_equal(door.served.sock.watch->registered, 0);
    assert_int_equal(door.served.calls, 3);
    sock_close(&dialled.sock, false);
    shut_door();
}

static void a_writable_socket_says_so_each_turn_while_asked(void **state)
{
    connect_through_door();
    sock_watch(&dialled.sock, SOCK_WRITE);
    run_for(MSEC(3));
    assert_int_equal(dialled.seen, SOCK_WRITE);
    unsigned calls = dialled.calls;
    assert_true(calls > 3);
    sock_watch(&dialled.sock, SOCK_READ);
    run_for(MSEC(3));
    assert_int_equal(dialled.calls, calls);
    sock_close(&dialled.sock, false);
    shut_door();
}

static void a_full_socket_takes_nothing_until_it_is_read(void **state)
{
    connect_through_door();
    sock_watch(&door.served.sock, 0);
    char *block = calloc(1, MIB(1));
    struct iovec v = { block, MIB(1) };
    size_t sent = 0;
    for (ssize_t n; (n = sock_writev(&dialled.sock, &v, 1)) > 0;)
        sent += (size_t)n;
    sock_watch(&dialled.sock, SOCK_WRITE);
    run_for(MSEC(3));
    assert_int_equal(dialled.calls, 0);
    sock_watch(&door.served.sock, SOCK_READ);
    for (int i = 0; i < 1000 && door.served.bytes < sent; i++)
        run_for(MSEC(2));
    assert_true(dialled.seen & SOCK_WRITE);
    assert_int_equal(door.served.bytes, sent);
    free(block);
    sock_close(&dialled.sock, false);
    shut_door();
}

static void closing_inside_ready_is_the_last_call(void **state)
{
    connect_through_door();
    door.served.close_when_ready = true;
    say(&dialled, "bye");
    sock_shutdown(&dialled.sock);
    run_for(MSEC(10));
    assert_int_equal(door.served.calls, 1);
    assert_false(sock_is_open(&door.served.sock));
    sock_close(&dialled.sock, false);
    shut_door();
}

static void count_and_close(struct listener *ln, int handle, const struct addr *from)
{
    door.refused += handle < 0;
    door.accepted += handle >= 0;
    if (handle >= 0)
        handle_close(handle);
}

static struct end pair[2];
static void close_the_other(struct sock *s, unsigned events)
{
    struct end *me = CONTAINER(s, struct end, sock), *other = me == pair ? pair + 1 : pair;
    me->calls++;
    sock_close(&other->sock, true);
    sock_watch(s, 0);
}
static void a_sock_closed_by_another_in_the_same_batch_stays_silent(void **state)
{
    open_door();
    door.ln.accepted = count_and_close;
    for (int i = 0; i < 2; i++) {
        pair[i] = (struct end){ 0 };
        assert_int_equal(sock_dial(loop, &pair[i].sock, &door.at, close_the_other), OK);
    }
    usleep(5000); /* both are ready before the loop looks */
    run_for(MSEC(10));
    assert_int_equal(pair[0].calls + pair[1].calls, 1);
    for (int i = 0; i < 2; i++)
        sock_close(&pair[i].sock, false);
    shut_door();
}

static void a_refused_dial_says_so(void **state)
{
    open_door();
    struct addr nobody = door.at;
    shut_door();
    struct end e = { 0 };
    enum fail f = sock_dial(loop, &e.sock, &nobody, on_end);
    if (f == OK) {
        e.close_when_ready = false;
        while (!(e.seen & SOCK_WRITE))
            run_for(MSEC(2));
        f = sock_dialed(&e.sock);
    }
    assert_int_equal(f, FAIL_connect_refused);
    sock_close(&e.sock, true);
}

static void an_occupied_address_is_reported(void **state)
{
    open_door();
    struct listener second = { .accepted = adopt_one };
    struct addr bound;
    assert_int_equal(listener_open(loop, &second, &door.at, &bound), FAIL_address_in_use);
    assert_null(second.watch);
    shut_door();
}

static void without_memory_dial_and_adopt_fail_cleanly(void **state)
{
    open_door();
    struct end e = { 0 };
    memory_fail_at(1);
    assert_int_equal(sock_dial(loop, &e.sock, &door.at, on_end), FAIL_no_memory);
    assert_false(sock_is_open(&e.sock));
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    memory_fail_at(1);
    assert_int_equal(sock_adopt(loop, &e.sock, fds[0], &door.at, on_end), FAIL_no_memory);
    assert_int_equal(fcntl(fds[0], F_GETFD), -1);
    close(fds[1]);
    memory_fail_at(0);
    run_for(MSEC(5));
    shut_door();
}

static void a_refused_handle_gets_its_answer(void **state)
{
    int fds[2];
    char b[64];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    assert_int_equal(write(fds[1], "GET", 3), 3);
    handle_refuse(fds[0], STR("no room"));
    assert_int_equal(read(fds[1], b, sizeof b), 7);
    assert_memory_equal(b, "no room", 7);
    assert_int_equal(read(fds[1], b, sizeof b), 0);
    close(fds[1]);
}

/* --- descriptors run out --- */

#define CALLERS 12
static int callers[CALLERS];

static int lowest_free_descriptor(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}
static void call_door(void)
{
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(callers[i], &door.at.any, sizeof door.at.v4), 0);
    }
}
static unsigned turns;
static void count_turns(void *arg)
{
    turns++;
}

static void without_descriptors_who_comes_is_turned_away_and_the_listener_recovers(void **state)
{
    open_door();
    door.ln.accepted = count_and_close;
    door.ln.refusal = STR("full");
    call_door();
    struct rlimit before, tight;
    getrlimit(RLIMIT_NOFILE, &before);
    tight = before;
    tight.rlim_cur = (rlim_t)lowest_free_descriptor();
    setrlimit(RLIMIT_NOFILE, &tight);

    struct timer end = { .fire = stop };
    turns = 0;
    loop_timer_set(loop, &end, sys_now() + MSEC(250));
    loop_run(loop, count_turns, NULL);
    assert_int_equal(door.accepted, 0);
    assert_int_equal(door.refused, CALLERS);
    assert_true(turns < 30);
    for (int i = 0; i < CALLERS; i++) {
        char got[8];
        assert_int_equal(recv(callers[i], got, sizeof got, 0), 4);
        close(callers[i]);
    }

    setrlimit(RLIMIT_NOFILE, &before);
    call_door();
    run_for(MSEC(200));
    assert_int_equal(door.accepted, CALLERS);
    for (int i = 0; i < CALLERS; i++)
        close(callers[i]);
    shut_door();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_loop, close_loop)
    const struct CMUnitTest tests[] = {
        TEST(bytes_go_both_ways),
        TEST(accepted_sockets_inherit_nodelay_and_keepalive),
        TEST(half_closed_still_answers),
        TEST(a_reset_is_told_from_an_end),
        TEST(hang_up_is_noticed_behind_unread_bytes),
        TEST(a_reset_is_noticed_while_not_reading),
        TEST(reading_and_not_reading_in_turns_leaves_epoll_alone),
        TEST(a_writable_socket_says_so_each_turn_while_asked),
        TEST(a_full_socket_takes_nothing_until_it_is_read),
        TEST(closing_inside_ready_is_the_last_call),
        TEST(a_sock_closed_by_another_in_the_same_batch_stays_silent),
        TEST(a_refused_dial_says_so),
        TEST(an_occupied_address_is_reported),
        TEST(without_memory_dial_and_adopt_fail_cleanly),
        TEST(a_refused_handle_gets_its_answer),
        TEST(without_descriptors_who_comes_is_turned_away_and_the_listener_recovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
