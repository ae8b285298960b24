#include "rig.h"

/* ---- bytes ---- */
static void all_bytes_pass_in_order_however_cut(void **state)
{
    enum { N = 100000 };
    char *bytes = filler(N);
    unsigned partial = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct peer *p = meet(seed);
        peer_send(p, (struct str){ bytes, N });
        accepted->out = (struct str){ bytes, N };
        sock_watch(&accepted->sock, SOCK_READ | SOCK_WRITE);
        world_elapse(SECOND(60));
        assert_int_equal(accepted->in_n, N);
        assert_memory_equal(accepted->in, bytes, N);
        assert_int_equal(peer_received(p).n, N);
        assert_memory_equal(peer_received(p).p, bytes, N);
        partial += accepted->partial_writes;
        part();
    }
    assert_true(partial > SEEDS);
    free(bytes);
}

static void tiny_segments_and_windows_are_obeyed(void **state)
{
    struct link tight = link_usual();
    tight.segment_min = tight.segment_max = 3;
    tight.window_min = tight.window_max = 64;
    begin(5);
    world_link(&at_gate, &tight);
    open_gate(gate_accepts);
    struct peer *p = world_connect(&at_gate, NULL);
    world_elapse(SECOND(1));
    char bytes[200];
    memset(bytes, 'x', sizeof bytes);
    peer_stall(p, true);
    struct iovec v = { bytes, sizeof bytes };
    ssize_t first = sock_writev(&accepted->sock, &v, 1), second = sock_writev(&accepted->sock, &v, 1);
    for (ssize_t n; (n = sock_writev(&accepted->sock, &v, 1)) > 0;)
        second += n;
    assert_int_equal(first + second, 64);
    world_elapse(SECOND(10));
    assert_int_equal(sock_writev(&accepted->sock, &v, 1), 0); /* nobody reads there */
    assert_int_equal(peer_received(p).n, 0);
    peer_stall(p, false);
    world_elapse(SECOND(1));
    assert_int_equal(peer_received(p).n, 64);
    assert_true(sock_writev(&accepted->sock, &v, 1) > 0);
    part();
}

static void readiness_is_level_triggered(void **state)
{
    struct peer *p = meet(7);
    peer_send(p, STR("hello"));
    accepted->after = SOCK_HUP;
    sock_watch(&accepted->sock, SOCK_HUP);
    world_elapse(SECOND(1));
    assert_int_equal(accepted->calls, 0); /* not watched: not told */
    accepted->after = SOCK_READ;
    sock_watch(&accepted->sock, SOCK_READ);
    assert_int_equal(accepted->calls, 0); /* nor from inside the call */
    world_elapse(SECOND(1));
    assert_text((struct str){ accepted->in, accepted->in_n }, "hello");
    assert_in_range(accepted->calls, 1, 5); /* as often as it takes, and not once more */
    part();
}

/* ---- how connections end ---- */
static void a_fin_leaves_the_other_direction_open(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct peer *p = meet(seed);
        peer_send(p, STR("question"));
        peer_shutdown(p);
        world_elapse(SECOND(1));
        assert_text((struct str){ accepted->in, accepted->in_n }, "question");
        assert_true(accepted->eof && !accepted->reset);
        struct iovec v = { (char *)"a", 1 };
        assert_int_equal(sock_writev(&accepted->sock, &v, 1), 1);
        sock_shutdown(&accepted->sock);
        assert_int_equal(sock_writev(&accepted->sock, &v, 1), -2);
        world_elapse(SECOND(1));
        assert_text(peer_received(p), "a");
        assert_true(peer_saw_end(p) && !peer_saw_reset(p));
        part();
    }
}

static void hanging_up_is_noticed_while_not_reading(void **state)
{
    for (int reset = 0; reset < 2; reset++) {
        struct peer *p = meet(11);
        accepted->after = 0;
        sock_watch(&accepted->sock, SOCK_HUP);
        peer_send(p, STR("unread"));
        world_elapse(SECOND(1));
        assert_false(accepted->hung_up);
        peer_close(p, reset ? CLOSE_RESET : CLOSE_FIN);
        world_elapse(SECOND(1));
        assert_true(accepted->hung_up);
        part();
    }
}

static void a_reset_may_lose_what_is_in_flight_and_nothing_that_arrived(void **state)
{
    unsigned whole = 0, cut = 0;
    for (uint64_t seed = 0; seed < 4 * SEEDS; seed++) {
        struct peer *p = meet(seed);
        peer_send(p, STR("first "));
        world_elapse(SECOND(1));
        for (int i = 0; i < 8; i++)
            peer_send(p, STR("x"));
        peer_close(p, CLOSE_RESET);
        world_elapse(SECOND(1));
        assert_true(accepted->reset && !accepted->eof);
        assert_in_range(accepted->in_n, 6, 14);
        whole += accepted->in_n == 14;
        cut += accepted->in_n < 14;
        struct iovec v = { (char *)"late", 4 };
        assert_int_equal(sock_writev(&accepted->sock, &v, 1), -2);
        part();
    }
    assert_true(whole > 0 && cut > 0);
}

static void closing_with_reset_is_seen_by_the_peer(void **state)
{
    struct peer *p = meet(13);
    sock_close(&accepted->sock, true);
    world_elapse(SECOND(1));
    assert_true(peer_saw_reset(p) && !peer_saw_end(p));
    assert_false(peer_is_open(p));
    part();
}

static void closing_with_unread_bytes_resets(void **state)
{
    struct peer *p = meet(17);
    accepted->after = 0;
    sock_watch(&accepted->sock, 0);
    peer_send(p, STR("nobody reads this"));
    world_elapse(SECOND(1));
    sock_close(&accepted->sock, false);
    world_elapse(SECOND(1));
    assert_true(peer_saw_reset(p));
    part();
}

static void writing_to_somebody_who_left_is_answered_with_a_reset(void **state)
{
    struct peer *p = meet(19);
    peer_close(p, CLOSE_FIN);
    world_elapse(SECOND(1));
    assert_true(accepted->eof && !accepted->reset);
    struct iovec v = { (char *)"to nobody", 9 };
    assert_true(sock_writev(&accepted->sock, &v, 1) > 0);
    world_elapse(SECOND(1));
    assert_int_equal(sock_writev(&accepted->sock, &v, 1), -2);
    char c;
    assert_int_equal(sock_read(&accepted->sock, &c, 1), -2);
    part();
}

static void the_network_cuts_after_each_byte(void **state)
{
    for (uint64_t at = 0; at <= 12; at++) {
        struct peer *p = meet(at);
        world_cut_after(p, at, FROM_PEER);
        peer_send(p, STR("twelve bytes"));
        world_elapse(SECOND(1));
        assert_true(accepted->reset && !accepted->eof && peer_saw_reset(p));
        assert_int_equal(accepted->in_n, at);
        assert_memory_equal(accepted->in, "twelve bytes", at);
        part();
    }
}

static void a_link_cuts_all_its_connections(void **state)
{
    struct link k = link_usual();
    k.cut_down = 5;
    begin(3);
    world_link(&at_gate, &k);
    open_gate(gate_accepts);
    struct peer *p = world_connect(&at_gate, NULL);
    peer_send(p, STR("a longer question"));
    world_elapse(SECOND(1));
    assert_int_equal(accepted->in_n, 17);
    assert_false(accepted->reset);
    accepted->out = STR("answer");
    sock_watch(&accepted->sock, SOCK_READ | SOCK_WRITE);
    world_elapse(SECOND(1));
    assert_text(peer_received(p), "answe");
    assert_true(accepted->reset && peer_saw_reset(p));
    part();
}

/* ---- peers ---- */
static void tell_open(struct peer *p, enum fail f)
{
    strcat(order, f ? "refused " : "open ");
}
static void tell_data(struct peer *p)
{
    struct str got = peer_received(p);
    while (got.n >= 2) { /* messages of two bytes */
        strncat(order, got.p, 2);
        peer_eat(p, 2);
        got = peer_received(p);
    }
}
static void tell_close(struct peer *p, bool reset)
{
    strcat(order, reset ? " reset" : " end");
}

static struct peer *told_peer(uint64_t seed)
{
    begin(seed);
    open_gate(gate_accepts);
    order[0] = 0;
    struct peer *p = world_connect(&at_gate, NULL);
    p->on_open = tell_open;
    p->on_data = tell_data;
    p->on_close = tell_close;
    assert_string_equal(order, "");
    return p;
}

static void answer_and_end(const char *bytes, bool reset)
{
    accepted->out = str_of(bytes);
    sock_watch(&accepted->sock, SOCK_WRITE);
    world_elapse(SECOND(1));
    sock_close(&accepted->sock, reset);
    world_elapse(SECOND(1));
}

static void a_peer_is_told_of_opening_bytes_and_end(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct peer *p = told_peer(seed);
        world_elapse(SECOND(1));
        answer_and_end("abcde", seed & 1);
        assert_string_equal(order, seed & 1 ? "open abcd reset" : "open abcd end");
        assert_text(peer_received(p), "e");
        part();
    }
}

static void a_peer_that_closed_hears_nothing_more(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct peer *p = told_peer(seed);
        peer_send(p, STR("bye"));
        peer_close(p, CLOSE_FIN);
        world_elapse(SECOND(1));
        assert_text((struct str){ accepted->in, accepted->in_n }, "bye");
        assert_true(accepted->eof);
        answer_and_end("abcde", false);
        assert_string_equal(order, "");
        part();
    }
}

static void a_peer_that_is_closing_hears_nothing_while_it_flushes(void **state)
{
    char long_goodbye[500];
    struct link tight = link_usual();
    tight.window_min = tight.window_max = 64;
    memset(long_goodbye, 'g', sizeof long_goodbye);
    begin(1);
    world_link(&at_gate, &tight);
    open_gate(gate_accepts);
    order[0] = 0;
    struct peer *p = world_connect(&at_gate, NULL);
    world_elapse(SECOND(1));
    p->on_data = tell_data;
    p->on_close = tell_close;
    sock_watch(&accepted->sock, 0);
    peer_send(p, (struct str){ long_goodbye, sizeof long_goodbye });
    peer_close(p, CLOSE_FIN);
    assert_true(sock_writev(&accepted->sock, &(struct iovec){ (char *)"ab", 2 }, 1) > 0);
    world_elapse(SECOND(1));
    sock_watch(&accepted->sock, SOCK_READ);
    world_elapse(SECOND(1));
    assert_int_equal(accepted->in_n, sizeof long_goodbye);
    assert_true(accepted->eof);
    assert_string_equal(order, "");
    part();
}

static void a_refused_peer_is_told(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct peer *p = told_peer(seed);
        listener_close(&gate);
        world_elapse(SECOND(1));
        assert_true(strcmp(order, "refused ") == 0 || strcmp(order, "open  reset") == 0);
        struct peer *late = world_connect(&at_gate, NULL);
        world_elapse(SECOND(1));
        assert_true(peer_saw_reset(late) && !peer_is_open(late) && !peer_is_open(p));
        finish();
    }
}

static void nobody_answers_after_unlisten(void **state)
{
    begin(1);
    world_listen(&at_node, NULL, NULL);
    struct line *t = line_dial(0, &at_node);
    world_elapse(SECOND(1));
    world_unlisten(&at_node);
    struct line *late = line_dial(0, &at_node);
    world_elapse(SECOND(1));
    assert_int_equal(t->dialled, OK);
    assert_int_equal(late->dialled, FAIL_connect_refused);
    line_free(&t);
    line_free(&late);
    finish();
}

/* ---- dialling ---- */
static struct peer *node_peer;
static void node_accepts(struct peer *p, void *arg)
{
    node_peer = p;
}

static void dialling_a_peer(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        begin(seed);
        world_listen(&at_node, node_accepts, NULL);
        struct line *t = line_dial(1, &at_node);
        assert_int_equal(t->calls, 0);
        world_elapse(SECOND(1));
        assert_int_equal(t->dialled, OK);
        struct addr peer = sock_peer(&t->sock);
        assert_true(addr_eq(&peer, &at_node));
        peer_sendf(node_peer, "%d tokens", 3);
        world_elapse(SECOND(1));
        assert_text((struct str){ t->in, t->in_n }, "3 tokens");
        line_free(&t);
        world_elapse(SECOND(1));
        assert_true(peer_saw_end(node_peer));
        finish();
    }
}

static void nobody_listening_refuses(void **state)
{
    unsigned at_once = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        begin(seed);
        struct line *t = line_dial(0, &at_gate);
        at_once += t->dialled == FAIL_connect_refused;
        world_elapse(SECOND(1));
        assert_int_equal(t->dialled, FAIL_connect_refused);
        line_free(&t);
        finish();
    }
    assert_in_range(at_once, 1, SEEDS - 1);
}

static void an_address_may_have_no_route(void **state)
{
    struct link k = link_usual();
    k.answer = LINK_NO_ROUTE;
    begin(2);
    world_listen(&at_node, node_accepts, NULL);
    world_link(&at_node, &k);
    struct line *t = line_dial(0, &at_node);
    world_elapse(SECOND(1));
    assert_int_equal(t->dialled, FAIL_connect_failed);
    line_free(&t);
    finish();
}

static void a_black_hole_answers_nothing_until_it_is_open_again(void **state)
{
    struct link hole = link_usual(), usual = link_usual();
    struct addr host = world_addr("10.0.0.7:0");
    hole.answer = LINK_BLACK_HOLE;
    begin(3);
    world_link(&host, &hole);
    world_listen(&at_node, node_accepts, NULL);
    struct line *t = line_dial(0, &at_node), *hopeless = line_dial(0, &at_node);
    world_elapse(SECOND(20));
    assert_int_equal(t->calls, 0);
    sock_close(&hopeless->sock, true);
    world_link(&host, &usual);
    world_elapse(SECOND(60));
    assert_int_equal(t->dialled, OK);
    world_link(&host, &hole); /* now with a connection open */
    peer_send(node_peer, STR("held back"));
    world_elapse(SECOND(60));
    assert_int_equal(t->in_n, 0);
    world_link(&host, &usual);
    world_elapse(SECOND(1));
    assert_text((struct str){ t->in, t->in_n }, "held back");
    line_free(&t);
    line_free(&hopeless);
    finish();
}

static void the_system_gives_up_dialling_a_black_hole(void **state)
{
    struct link hole = link_usual();
    hole.answer = LINK_BLACK_HOLE;
    begin(4);
    world_link(NULL, &hole);
    struct line *t = line_dial(0, &at_node);
    world_elapse(SECOND(60));
    assert_false(t->open);
    world_elapse(SECOND(90));
    assert_int_equal(t->dialled, FAIL_connect_timeout);
    line_free(&t);
    finish();
}

/* Leaves it to the test. */
static int waiting_handle;
static struct addr waiting_from;
static void keep_handle(struct listener *ln, int handle, const struct addr *from)
{
    accepts++;
    waiting_handle = handle;
    waiting_from = *from;
}

static void a_full_backlog_makes_dialling_slow(void **state)
{
    struct link k = link_usual();
    k.backlog = 1;
    begin(6);
    world_link(&at_gate, &k);
    loop_stop(loops[0]); /* it does not accept */
    world_elapse(MSEC(10));
    open_gate(gate_accepts);
    struct peer *first = world_connect(&at_gate, NULL), *second = world_connect(&at_gate, NULL);
    world_elapse(MSEC(500));
    assert_int_equal(peer_is_open(first) + peer_is_open(second), 1);
    world_attach(loops[0], NULL, NULL);
    world_elapse(MSEC(100));
    struct line *earlier = accepted;
    assert_int_equal(accepts, 1);
    world_elapse(SECOND(2));
    assert_int_equal(accepts, 2);
    assert_true(peer_is_open(first) && peer_is_open(second));
    line_free(&earlier);
    part();
}

static void an_address_is_taken_once(void **state)
{
    struct listener again = { .accepted = keep_handle };
    struct addr bound, any = world_addr("127.0.0.1:0"), low = world_addr("127.0.0.1:80");
    begin(1);
    open_gate(keep_handle);
    assert_int_equal(listener_open(loops[1], &again, &at_gate, &bound), FAIL_address_in_use);
    assert_int_equal(listener_open(loops[1], &again, &low, &bound), FAIL_port_denied);
    assert_int_equal(listener_open(loops[1], &again, &any, &bound), OK);
    assert_true(addr_port(&bound) >= 1024);
    assert_int_equal(world_descriptors_used(), 2);
    listener_close(&again);
    part();
    assert_null(accepted);
}

static void closing_a_listener_resets_who_waits(void **state)
{
    begin(8);
    open_gate(keep_handle);
    loop_stop(loops[0]);
    world_elapse(MSEC(10));
    struct peer *p = world_connect(&at_gate, NULL);
    world_elapse(SECOND(1));
    assert_true(peer_is_open(p));
    listener_close(&gate);
    world_elapse(SECOND(1));
    assert_true(peer_saw_reset(p));
    finish();
}

/* ---- handles and descriptors ---- */
struct handover {
    struct mail mail;
    int handle;
    struct addr from;
};
static struct handover handover;

static void adopt_there(struct mail *m, unsigned bits)
{
    assert_int_equal(sys_worker_no(), 1);
    accepted = line_new(SOCK_READ);
    accepted->open = true;
    accepted->dialled = OK;
    assert_int_equal(sock_adopt(loops[1], &accepted->sock, handover.handle, &handover.from, line_ready), OK);
    sock_watch(&accepted->sock, SOCK_READ);
}

static void hand_over(struct listener *ln, int handle, const struct addr *from)
{
    handover = (struct handover){ .mail.deliver = adopt_there, .handle = handle, .from = *from };
    loop_post(loops[1], &handover.mail, 1);
}

static void a_handle_is_adopted_by_another_worker(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        begin(seed);
        open_gate(hand_over);
        struct peer *p = world_connect(&at_gate, NULL);
        peer_send(p, STR("early bytes"));
        world_elapse(SECOND(1));
        assert_text((struct str){ accepted->in, accepted->in_n }, "early bytes");
        struct addr from = sock_peer(&accepted->sock), own = peer_address(p);
        assert_true(addr_eq(&from, &own) && addr_is_loopback(&from));
        part();
    }
}

static void a_refused_handle_says_why(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        begin(seed);
        open_gate(keep_handle);
        struct peer *p = world_connect(&at_gate, NULL);
        peer_send(p, STR("GET / HTTP/1.1\r\n\r\n"));
        world_elapse(SECOND(1));
        handle_refuse(waiting_handle, STR("503"));
        world_elapse(SECOND(1));
        assert_true(peer_saw_end(p) && !peer_saw_reset(p));
        assert_text(peer_received(p), "503");
        assert_int_equal(world_descriptors_used(), 1);
        part();
    }
}

static void without_descriptors_the_listener_turns_away_and_pauses(void **state)
{
    begin(9);
    open_gate(gate_accepts);
    struct peer *first = world_connect(&at_gate, NULL);
    world_elapse(SECOND(1));
    world_descriptors(world_descriptors_used());
    struct line *earlier = accepted;
    struct peer *some[5];
    for (int i = 0; i < 5; i++)
        some[i] = world_connect(&at_gate, NULL);
    uint64_t turns = world_turns(loops[0]);
    world_elapse(MSEC(50));
    assert_int_equal(refused_n, 1);
    world_elapse(MSEC(250));
    assert_in_range(refused_n, 2, 4);
    assert_true(world_turns(loops[0]) - turns < 10);
    struct sock dialled;
    assert_int_equal(sock_dial(loops[1], &dialled, &at_node, line_ready), FAIL_no_descriptors);
    assert_false(sock_is_open(&dialled));
    world_elapse(SECOND(1));
    assert_int_equal(refused_n, 5);
    for (int i = 0; i < 5; i++)
        assert_true(peer_saw_end(some[i]));
    assert_true(peer_is_open(first) && accepted == earlier);
    part();
}

static void allocations_fail_where_the_program_allocates(void **state)
{
    begin(10);
    open_gate(keep_handle);
    struct peer *p = world_connect(&at_gate, NULL);
    world_elapse(SECOND(1));
    struct sock s;
    memory_fail_at(1);
    assert_int_equal(sock_adopt(loops[1], &s, waiting_handle, &waiting_from, line_ready), FAIL_no_memory);
    memory_fail_at(1);
    assert_int_equal(sock_dial(loops[1], &s, &at_node, line_ready), FAIL_no_memory);
    assert_int_equal(world_descriptors_used(), 1);
    memory_fail_at(1);
    assert_null(loop_new(2));
    world_elapse(SECOND(1));
    assert_true(peer_saw_end(p));
    part();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_bytes_pass_in_order_however_cut),
        cmocka_unit_test(tiny_segments_and_windows_are_obeyed),
        cmocka_unit_test(readiness_is_level_triggered),
        cmocka_unit_test(a_fin_leaves_the_other_direction_open),
        cmocka_unit_test(hanging_up_is_noticed_while_not_reading),
        cmocka_unit_test(a_reset_may_lose_what_is_in_flight_and_nothing_that_arrived),
        cmocka_unit_test(closing_with_reset_is_seen_by_the_peer),
        cmocka_unit_test(closing_with_unread_bytes_resets),
        cmocka_unit_test(writing_to_somebody_who_left_is_answered_with_a_reset),
        cmocka_unit_test(the_network_cuts_after_each_byte),
        cmocka_unit_test(a_link_cuts_all_its_connections),
        cmocka_unit_test(a_peer_is_told_of_opening_bytes_and_end),
        cmocka_unit_test(a_peer_that_closed_hears_nothing_more),
        cmocka_unit_test(a_peer_that_is_closing_hears_nothing_while_it_flushes),
        cmocka_unit_test(a_refused_peer_is_told),
        cmocka_unit_test(nobody_answers_after_unlisten),
        cmocka_unit_test(dialling_a_peer),
        cmocka_unit_test(nobody_listening_refuses),
        cmocka_unit_test(an_address_may_have_no_route),
        cmocka_unit_test(a_black_hole_answers_nothing_until_it_is_open_again),
        cmocka_unit_test(the_system_gives_up_dialling_a_black_hole),
        cmocka_unit_test(a_full_backlog_makes_dialling_slow),
        cmocka_unit_test(an_address_is_taken_once),
        cmocka_unit_test(closing_a_listener_resets_who_waits),
        cmocka_unit_test(a_handle_is_adopted_by_another_worker),
        cmocka_unit_test(a_refused_handle_says_why),
        cmocka_unit_test(without_descriptors_the_listener_turns_away_and_pauses),
        cmocka_unit_test(allocations_fail_where_the_program_allocates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
