/* net/conn_rig.h - for conn_test and tls_test: two connections that talk through the kernel on one loop, and
 * conversations that must go the same way in plain and in TLS. */
#pragma once
#include "base/buf.h"
#include "base/slab.h"
#include "base/sys.h"
#include "net/conn.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct side {
    struct conn conn;
    unsigned opens, reads, drains, hangups;
    enum fail opened;
    ssize_t end; /* -1 or -2 once read; 0 before */
    struct buf got;
    size_t room;                    /* bytes per conn_read */
    void (*instead)(struct side *); /* in place of what the rig does in any callback */
};
static struct {
    struct loop *loop;
    struct listener ln;
    struct addr at;
    struct tls_context *server_tls, *client_tls;
    struct str server_name;
    struct side client, server;
    bool accepted;
    unsigned turns;
} rig;

static struct side *side_of(struct conn *c)
{
    return CONTAINER(c, struct side, conn);
}

static bool handled(struct side *s)
{
    if (!s->instead)
        return false;
    s->instead(s);
    return true;
}
static void rig_opened(struct conn *c, enum fail f)
{
    struct side *s = side_of(c);
    s->opens++;
    s->opened = f;
    handled(s);
}
static void rig_readable(struct conn *c)
{
    struct side *s = side_of(c);
    s->reads++;
    if (handled(s))
        return;
    assert_int_equal(buf_reserve(&s->got, s->room), OK);
    ssize_t n = conn_read(c, buf_tail(&s->got), s->room);
    if (n > 0)
        s->got.end += (size_t)n;
    if (n < 0) {
        s->end = n;
        conn_watch(c, 0);
    }
}
static void rig_drained(struct conn *c)
{
    side_of(c)->drains++;
    handled(side_of(c));
}
static void rig_hung_up(struct conn *c)
{
    side_of(c)->hangups++;
    if (!handled(side_of(c)))
        conn_watch(c, 0);
}
static const struct conn_events rig_events = { rig_opened, rig_readable, rig_drained, rig_hung_up };

static void rig_stop(struct timer *t)
{
    loop_stop(rig.loop);
}
static void rig_turn(void *arg)
{
    rig.turns++;
}
static void rig_run(nsec time)
{
    struct timer end = { .fire = rig_stop };
    loop_timer_set(rig.loop, &end, sys_now() + time);
    loop_run(rig.loop, rig_turn, NULL);
}
/* Until `holds`, or a failed test after 10 s. */
static void rig_until(bool (*holds)(void))
{
    for (int i = 0; i < 10000 && !holds(); i++)
        rig_run(MSEC(1));
    assert_true(holds());
}
static bool both_open(void)
{
    return rig.client.opens && rig.accepted && !rig.server.conn.opening && conn_is_open(&rig.server.conn);
}
static bool server_ended(void)
{
    return rig.server.end < 0;
}
static bool client_opened(void)
{
    return rig.client.opens > 0;
}

static void rig_accepted(struct listener *ln, int handle, const struct addr *from)
{
    rig.accepted = true;
    conn_close(&rig.server.conn, true);
    enum fail f = conn_adopt(&rig.server.conn, rig.loop, handle, from, rig.server_tls, &rig_events);
    if (f)
        assert_int_equal(f, FAIL_no_memory);
}

static void rig_listen(void)
{
    struct addr local = {
        .v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}
    };
    rig.ln = (struct listener){ .accepted = rig_accepted };
    rig.client = rig.server = (struct side){ .room = KIB(16) };
    rig.accepted = false;
    assert_int_equal(listener_open(rig.loop, &rig.ln, &local, &rig.at), OK);
}
static enum fail rig_dial(void)
{
    return conn_dial(&rig.client.conn, rig.loop, &rig.at, rig.client_tls, rig.server_name, &rig_events);
}
static void rig_connect(void)
{
    rig_listen();
    assert_int_equal(rig_dial(), OK);
    assert_int_equal(rig.client.opens, 0);
    rig_until(both_open);
    assert_int_equal(rig.client.opened, OK);
}
static void rig_hang_up(void)
{
    conn_close(&rig.client.conn, false);
    conn_close(&rig.server.conn, false);
    buf_free(&rig.client.got);
    buf_free(&rig.server.got);
    listener_close(&rig.ln);
}

static int rig_set_up(void **state)
{
    (void)state;
    alarm(110);
    buf_pools_init();
    conn_pools_init();
    rig.loop = loop_new(0);
    assert_non_null(rig.loop);
    return 0;
}
static int rig_tear_down(void **state)
{
    (void)state;
    loop_free(&rig.loop);
    conn_pools_done();
    assert_int_equal(buf_bytes_live(), 0);
    buf_pools_done();
    return 0;
}

static enum fail say(struct side *s, const char *text)
{
    struct iovec v = { (char *)text, strlen(text) };
    return conn_write(&s->conn, &v, 1, FLEETING);
}
static void assert_got(const struct side *s, const char *text)
{
    assert_int_equal(buf_len(&s->got), strlen(text));
    assert_memory_equal(s->got.block + s->got.start, text, strlen(text));
}

/* --- conversations --- */

static unsigned char pattern(size_t at)
{
    return (unsigned char)(at * 31 + (at >> 8) * 7 + (at >> 16));
}
static void assert_pattern(const struct side *s, size_t bytes)
{
    assert_int_equal(buf_len(&s->got), bytes);
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)s->got.block[s->got.start + i] != pattern(i))
            fail_msg("byte %zu of %zu is wrong", i, bytes);
}

static void question_and_answer(void)
{
    rig_connect();
    conn_watch(&rig.client.conn, SOCK_READ);
    conn_watch(&rig.server.conn, SOCK_READ);
    assert_int_equal(say(&rig.client, "question"), OK);
    rig_run(MSEC(10));
    assert_got(&rig.server, "question");
    assert_int_equal(say(&rig.server, "answer"), OK);
    rig_run(MSEC(10));
    assert_got(&rig.client, "answer");
    assert_int_equal(rig.client.conn.bytes_out, 8);
    assert_int_equal(rig.client.conn.bytes_in, 6);
    assert_int_equal(rig.client.drains + rig.server.drains, 0);
    rig_hang_up();
}

#define BULK_BYTES MIB(6)
/* The reader sleeps while much is written in uneven pieces, whose memory is spoiled at once when it is FLEETING. */
static void bulk_through_a_sleeping_reader(enum conn_life life)
{
    rig_connect();
    unsigned char *all = malloc(BULK_BYTES);
    size_t at = 0;
    for (unsigned step = 1; at < BULK_BYTES; step++) {
        size_t part[3] = { step * 7 % 50, step * 4001 % 70000, 1 + step % 3 };
        struct iovec v[3];
        size_t begin = at;
        for (int i = 0; i < 3; i++) {
            part[i] = MIN(part[i], BULK_BYTES - at);
            v[i] = (struct iovec){ all + at, part[i] };
            at += part[i];
        }
        for (size_t i = begin; i < at; i++)
            all[i] = pattern(i);
        assert_int_equal(conn_write(&rig.client.conn, v, 3, life), OK);
        if (life == FLEETING)
            memset(all + begin, 0xee, at - begin);
    }
    assert_true(conn_pending(&rig.client.conn) > 0);
    rig_run(MSEC(5));
    assert_int_equal(rig.client.drains, 0);
    conn_shutdown(&rig.client.conn);
    assert_int_equal(say(&rig.client, "more"), FAIL_client_gone);
    conn_watch(&rig.server.conn, SOCK_READ);
    rig_until(server_ended);
    assert_int_equal(rig.server.end, -1);
    assert_pattern(&rig.server, BULK_BYTES);
    rig_run(MSEC(2));
    assert_int_equal(rig.client.drains, 1);
    assert_int_equal(conn_pending(&rig.client.conn), 0);
    assert_int_equal(rig.client.conn.bytes_out, BULK_BYTES);
    conn_watch(&rig.client.conn, SOCK_READ);
    assert_int_equal(say(&rig.server, "thanks"), OK); /* half-closed, not closed */
    rig_run(MSEC(10));
    assert_got(&rig.client, "thanks");
    free(all);
    rig_hang_up();
}

static void written_before_it_is_open(void)
{
    rig_listen();
    assert_int_equal(rig_dial(), OK);
    conn_watch(&rig.client.conn, SOCK_READ);
    assert_int_equal(say(&rig.client, "early "), OK);
    assert_int_equal(say(&rig.client, "bird"), OK);
    assert_int_equal(conn_pending(&rig.client.conn), 10);
    rig_until(both_open);
    conn_watch(&rig.server.conn, SOCK_READ);
    rig_run(MSEC(10));
    assert_got(&rig.server, "early bird");
    assert_int_equal(rig.client.drains, 1);
    rig_hang_up();
}

static void a_reset_breaks_the_other_side(void)
{
    rig_connect();
    conn_watch(&rig.server.conn, SOCK_READ);
    assert_int_equal(say(&rig.client, "half of it"), OK);
    rig_run(MSEC(5));
    conn_close(&rig.client.conn, true);
    assert_false(conn_is_open(&rig.client.conn));
    rig_until(server_ended);
    assert_int_equal(rig.server.end, -2);
    assert_got(&rig.server, "half of it");
    assert_int_equal(say(&rig.server, "x"), FAIL_client_gone);
    rig_hang_up();
}

static void a_hang_up_is_heard_while_not_reading(void)
{
    rig_connect();
    conn_watch(&rig.server.conn, SOCK_HUP);
    assert_int_equal(say(&rig.client, "unread"), OK);
    rig_run(MSEC(5));
    assert_int_equal(rig.server.hangups, 0);
    conn_close(&rig.client.conn, false);
    rig_run(MSEC(10));
    assert_int_equal(rig.server.hangups, 1);
    assert_int_equal(rig.server.reads, 0);
    conn_watch(&rig.server.conn, SOCK_READ);
    rig_until(server_ended);
    assert_got(&rig.server, "unread");
    rig_hang_up();
}

static void close_yourself(struct side *s)
{
    conn_close(&s->conn, false);
}
static void each_callback_may_close(void)
{
    rig_listen();
    rig.client.instead = close_yourself; /* in opened */
    assert_int_equal(rig_dial(), OK);
    conn_watch(&rig.client.conn, SOCK_READ);
    assert_int_equal(say(&rig.client, "and pending bytes"), OK);
    rig_until(client_opened);
    assert_false(conn_is_open(&rig.client.conn));
    rig_run(MSEC(5));
    assert_int_equal(rig.client.opens + rig.client.drains + rig.client.reads, 1);
    rig_hang_up();

    rig_connect();
    rig.server.instead = close_yourself; /* in readable */
    conn_watch(&rig.server.conn, SOCK_READ);
    assert_int_equal(say(&rig.client, "bytes"), OK);
    conn_shutdown(&rig.client.conn);
    rig_run(MSEC(10));
    assert_int_equal(rig.server.reads, 1);
    assert_false(conn_is_open(&rig.server.conn));
    rig_hang_up();
}

/* One conversation with the nth allocation failing: whatever happens, everything is given back. */
static bool nothing_is_lost_when_allocation_fails(uint64_t nth)
{
    rig_listen();
    char *block = calloc(1, MIB(4));
    struct iovec v = { block, MIB(4) };
    uint64_t before = memory_takes();
    memory_fail_at(nth);
    if (rig_dial() == OK) {
        say(&rig.client, "early");
        rig_run(MSEC(8));
        if (rig.client.opens && rig.client.opened == OK && conn_is_open(&rig.server.conn))
            conn_write(&rig.server.conn, &v, 1, FLEETING);
        rig_run(MSEC(1));
    }
    memory_fail_at(0);
    free(block);
    rig_hang_up();
    rig_run(0);
    return memory_takes() - before >= nth;
}
