#include "net/conn.h"
#include "rig.h"
#include <errno.h>
#include <signal.h>

/* ---- time ---- */
static void note_a(void *arg)
{
    strcat(order, "a");
}
static void note_b(void *arg)
{
    strcat(order, "b");
}
static void note_c(void *arg)
{
    strcat(order, "c");
}

static void time_jumps_to_the_next_event(void **state)
{
    begin(1);
    nsec start = world_now();
    order[0] = 0;
    world_after(MSEC(30), note_c, NULL);
    world_after(MSEC(10), note_a, NULL);
    world_after(MSEC(10), note_b, NULL);
    world_run_until(start + MSEC(10));
    assert_string_equal(order, "ab");
    assert_int_equal(sys_now(), start + MSEC(10));
    world_elapse(SECOND(3600));
    assert_string_equal(order, "abc");
    assert_int_equal(sys_now(), start + MSEC(10) + SECOND(3600));
    assert_false(world_step());
    finish();
}

static nsec last_happened;
static unsigned happened;
static void happens_later(struct event *e)
{
    assert_true(e->due >= last_happened && e->due == world_now());
    last_happened = e->due;
    happened++;
}

static void events_happen_in_order_after_any_sets_moves_and_cancels(void **state)
{
    enum { N = 500 };
    static struct event events[N];
    begin(9);
    world_elapse(SECOND(1));
    unsigned pending = 0;
    last_happened = happened = 0;
    memset(events, 0, sizeof events);
    for (int i = 0; i < 5 * N; i++) {
        struct event *e = &events[chance(N)];
        e->happen = happens_later;
        if (one_in(3))
            event_cancel(e);
        else
            event_set(e, world_now() + (nsec)chance(1000));
    }
    for (int i = 0; i < N; i++)
        pending += event_pending(&events[i]);
    assert_in_range(pending, N / 4, N);
    world_elapse(SECOND(1));
    assert_int_equal(happened, pending);
    finish();
}

static void the_wall_clock_can_be_set(void **state)
{
    begin(1);
    nsec offset = sys_wall() - sys_now();
    world_shift_wall(-SECOND(60));
    assert_int_equal(sys_wall() - sys_now(), offset - SECOND(60));
    finish();
}

struct alarm {
    struct timer timer;
    char name;
    nsec fired;
};
static void alarm_fires(struct timer *t)
{
    struct alarm *a = CONTAINER(t, struct alarm, timer);
    strncat(order, &a->name, 1);
    a->fired = loop_now(loops[0]);
}

static void timers_fire_in_order_and_never_early(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        begin(seed);
        struct alarm a = { { .fire = alarm_fires }, 'a', 0 }, b = { { .fire = alarm_fires }, 'b', 0 };
        struct alarm c = { { .fire = alarm_fires }, 'c', 0 };
        nsec start = world_now();
        order[0] = 0;
        loop_timer_set(loops[0], &c.timer, start + SECOND(3));
        loop_timer_set(loops[0], &a.timer, start + SECOND(1));
        loop_timer_set(loops[0], &b.timer, start + SECOND(2));
        world_elapse(MSEC(2500));
        assert_string_equal(order, "ab");
        loop_timer_cancel(loops[0], &c.timer);
        world_elapse(SECOND(5));
        assert_string_equal(order, "ab");
        assert_in_range(a.fired, start + SECOND(1), start + SECOND(1) + MSEC(3));
        assert_in_range(b.fired, start + SECOND(2), start + SECOND(2) + MSEC(3));
        assert_in_range(world_turns(loops[0]), 2, 6); /* and nobody spins meanwhile */
        finish();
    }
}

static unsigned turns_ended, ticks;
static void turn_ended(void *l)
{
    assert_int_equal(++turns_ended, ticks); /* after the turn's timers */
    if (turns_ended == 3)
        loop_stop(l);
}

static struct loop *third;
static void tick(struct timer *t)
{
    ticks++;
    loop_timer_set(third, t, loop_now(third));
}

static void a_loop_runs_turn_by_turn_until_stopped(void **state)
{
    struct timer t = { .fire = tick };
    begin(3);
    third = loop_new(2);
    turns_ended = ticks = 0;
    loop_timer_set(third, &t, world_now());
    loop_run(third, turn_ended, third);
    assert_int_equal(ticks, 3);
    assert_false(world_is_attached(third));
    world_elapse(SECOND(1));
    assert_int_equal(ticks, 3);
    loop_stop(third); /* before the run: it has one turn */
    loop_run(third, turn_ended, third);
    assert_int_equal(ticks, 4);
    loop_timer_cancel(third, &t);
    loop_free(&third);
    finish();
}

/* ---- mails ---- */
struct letter {
    struct mail mail;
    char name;
    unsigned got, times;
    bool posting;
};
static void letter_comes(struct mail *m, unsigned bits)
{
    struct letter *t = CONTAINER(m, struct letter, mail);
    assert_int_equal(sys_worker_no(), 1);
    assert_false(t->posting || mail_is_posted(m));
    strncat(order, &t->name, 1);
    t->got |= bits;
    t->times++;
}

static void mails_keep_their_order_and_gather_bits(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct letter a = { { .deliver = letter_comes }, 'a', 0, 0, false }, b = a, c = a;
        b.name = 'b';
        c.name = 'c';
        begin(seed);
        order[0] = 0;
        a.posting = true;
        loop_post(loops[1], &a.mail, 1);
        loop_post(loops[1], &b.mail, 2);
        loop_post(loops[1], &a.mail, 4);
        loop_post(loops[1], &c.mail, 8);
        a.posting = false;
        assert_true(mail_is_posted(&a.mail));
        assert_int_equal(world_leaks(NULL), 2 + 3);
        world_elapse(SECOND(1));
        assert_string_equal(order, "abc");
        assert_int_equal(a.got, 5);
        assert_int_equal(a.times, 1);
        assert_false(mail_is_posted(&a.mail));
        finish();
    }
}

static void post_again(struct mail *m, unsigned bits)
{
    struct letter *t = CONTAINER(m, struct letter, mail);
    unsigned before = t->times++;
    if (before < 4)
        loop_post(loops[!sys_worker_no()], m, 1);
    assert_int_equal(t->times, before + 1); /* not inside the call */
}

static void a_mail_may_go_to_and_fro(void **state)
{
    begin(5);
    struct letter t = { .mail.deliver = post_again };
    loop_post(loops[0], &t.mail, 1);
    world_elapse(SECOND(1));
    assert_int_equal(t.times, 5);
    finish();
}

/* ---- lanes, names, signals ---- */
struct task {
    struct job job;
    unsigned worked_by, done_by;
    bool done;
};
static void task_works(struct job *j)
{
    CONTAINER(j, struct task, job)->worked_by = sys_worker_no();
}
static void task_done(struct job *j)
{
    struct task *t = CONTAINER(j, struct task, job);
    t->done_by = sys_worker_no();
    t->done = true;
}

static void jobs_are_worked_elsewhere_and_done_at_home(void **state)
{
    begin(1);
    struct task t = {
        .job = {.work = task_works, .done = task_done}
    };
    loop_job(loops[1], LANE_HEAVY, &t.job);
    assert_false(t.done);
    assert_int_equal(world_leaks(NULL), 2 + 1);
    assert_true(world_run_while(is_false, &t.done, SECOND(1)));
    assert_int_equal(t.worked_by, SYS_NO_WORKER);
    assert_int_equal(t.done_by, 1);
    finish();
}

static unsigned resolved_n;
static void resolved(struct resolve *r)
{
    assert_int_equal(sys_worker_no(), 0);
    resolved_n++;
}

static void ask_name(struct resolve *r, const char *name)
{
    *r = (struct resolve){ .port = 11434, .done = resolved };
    strcpy(r->host, name);
    loop_resolve(loops[0], r);
}

static void names_resolve_as_told(void **state)
{
    struct resolve known, unknown, failing, literal, home;
    struct addr two[2] = { world_addr("10.0.0.7:0"), world_addr("[fe80::7]:0") };
    begin(1);
    resolved_n = 0;
    world_resolve("gpu7", two, 2, SECOND(3));
    world_resolve("broken", NULL, 0, MSEC(1));
    ask_name(&known, "GPU7");
    ask_name(&unknown, "nobody");
    ask_name(&failing, "broken");
    ask_name(&literal, "::1");
    ask_name(&home, "localhost");
    assert_int_equal(resolved_n, 0);
    world_elapse(SECOND(2));
    assert_int_equal(resolved_n, 4); /* the slow name holds one of the two threads */
    world_elapse(SECOND(2));
    assert_int_equal(resolved_n, 5);
    assert_int_equal(known.n, 2);
    assert_true(addr_eq(&known.found[0], &at_node) && addr_port(&known.found[1]) == 11434);
    assert_true(unknown.failed == FAIL_unresolved && failing.failed == FAIL_unresolved);
    assert_true(literal.failed == OK && addr_is_loopback(&literal.found[0]));
    assert_true(home.n == 1 && addr_is_loopback(&home.found[0]));
    finish();
}

static unsigned signals_got;
static void got_signal(int signo, void *arg)
{
    assert_int_equal(signo, SIGTERM);
    assert_int_equal(sys_worker_no(), 0);
    signals_got++;
}

static void signals_come_from_the_loop(void **state)
{
    begin(1);
    signals_got = 0;
    loop_on_signal(loops[0], SIGTERM, got_signal, NULL);
    world_signal(SIGTERM);
    world_signal(SIGTERM);
    world_signal(SIGHUP);
    assert_int_equal(signals_got, 0);
    world_elapse(SECOND(1));
    assert_int_equal(signals_got, 1);
    finish();
}

/* ---- a program over net/conn.h: echo server on one worker, its client on the other ---- */
enum { ECHO_N = 60000 };
struct talk {
    struct conn conn;
    char in[ECHO_N + 1];
    size_t in_n;
    enum fail opened;
    bool over;
};
static struct talk *server, *client;

static void echo_readable(struct conn *c)
{
    char some[1000];
    ssize_t n = conn_read(c, some, sizeof some);
    if (n > 0)
        assert_int_equal(conn_write(c, &(struct iovec){ some, (size_t)n }, 1, FLEETING), OK);
    if (n == -1) {
        conn_watch(c, 0);
        conn_shutdown(c);
    }
}

static void client_opened(struct conn *c, enum fail f)
{
    client->opened = f;
}
static void client_readable(struct conn *c)
{
    ssize_t n = conn_read(c, client->in + client->in_n, sizeof client->in - client->in_n);
    if (n > 0)
        client->in_n += (size_t)n;
    else if (n < 0) {
        client->over = true;
        conn_watch(c, 0);
    }
}
static void client_drained(struct conn *c)
{
    conn_shutdown(c);
}
static const struct conn_events server_events = { .readable = echo_readable };
static const struct conn_events client_events = { .opened = client_opened,
                                                  .readable = client_readable,
                                                  .drained = client_drained };

static void echo_accepts(struct listener *ln, int handle, const struct addr *from)
{
    server = calloc(1, sizeof *server);
    assert_int_equal(conn_adopt(&server->conn, loops[0], handle, from, NULL, &server_events), OK);
    conn_watch(&server->conn, SOCK_READ);
}

static uint64_t echo_hash(uint64_t seed, const char *bytes)
{
    begin(seed);
    open_gate(echo_accepts);
    client = calloc(1, sizeof *client);
    assert_int_equal(conn_dial(&client->conn, loops[1], &at_gate, NULL, STR_NONE, &client_events), OK);
    conn_watch(&client->conn, SOCK_READ);
    struct iovec v = { (char *)(uintptr_t)bytes, ECHO_N };
    assert_int_equal(conn_write(&client->conn, &v, 1, LASTING), OK);
    assert_true(world_run_while(is_false, &client->over, SECOND(600)));
    assert_int_equal(client->opened, OK);
    assert_int_equal(client->in_n, ECHO_N);
    assert_memory_equal(client->in, bytes, ECHO_N);
    conn_close(&client->conn, false);
    conn_close(&server->conn, false);
    world_elapse(SECOND(1));
    uint64_t hash = world_hash();
    free(client);
    free(server);
    part();
    return hash;
}

static void an_echo_over_conn_is_the_same_for_the_same_seed(void **state)
{
    char *bytes = filler(ECHO_N);
    uint64_t hashes[10];
    for (uint64_t seed = 0; seed < 10; seed++) {
        hashes[seed] = echo_hash(seed, bytes);
        for (uint64_t earlier = 0; earlier < seed; earlier++)
            assert_int_not_equal(hashes[earlier], hashes[seed]);
    }
    for (uint64_t seed = 0; seed < 10; seed++)
        assert_int_equal(echo_hash(seed, bytes), hashes[seed]);
    free(bytes);
}

static void the_seed_decides_which_worker_is_first(void **state)
{
    unsigned first[2] = { 0 };
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        begin(seed);
        struct alarm a = { { .fire = alarm_fires }, 'a', 0 }, b = { { .fire = alarm_fires }, 'b', 0 };
        order[0] = 0;
        world_elapse(SECOND(1));
        loop_timer_set(loops[0], &a.timer, world_now() + SECOND(1));
        loop_timer_set(loops[1], &b.timer, world_now() + SECOND(1));
        world_elapse(SECOND(2));
        first[order[0] == 'b']++;
        finish();
    }
    assert_true(first[0] >= SEEDS / 8 && first[1] >= SEEDS / 8);
}

static void name_when_ready(struct sock *s, unsigned events)
{
    struct line *t = CONTAINER(s, struct line, sock);
    size_t n = strlen(order);
    order[n] = t->in[0];
    order[n + 1] = 0;
    sock_watch(s, 0);
}

static void the_seed_decides_the_order_of_events_in_a_turn(void **state)
{
    unsigned first[2] = { 0 };
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        begin(seed);
        world_listen(&at_node, NULL, NULL);
        struct line *a = line_dial(0, &at_node), *b = line_dial(0, &at_node);
        a->after = b->after = 0;
        world_elapse(SECOND(1));
        world_signal(
            SIGHUP); /* a turn that finds nothing, so that both become ready in the order of the watches below */
        world_elapse(SECOND(1));
        order[0] = 0;
        a->in[0] = 'a';
        b->in[0] = 'b';
        a->sock.ready = b->sock.ready = name_when_ready;
        sock_watch(&a->sock, SOCK_WRITE);
        sock_watch(&b->sock, SOCK_WRITE);
        world_elapse(SECOND(1));
        assert_int_equal(strlen(order), 2);
        first[order[0] == 'b']++;
        line_free(&a);
        line_free(&b);
        finish();
    }
    assert_true(first[0] >= SEEDS / 8 && first[1] >= SEEDS / 8);
}

/* ---- the machine ---- */
static void the_environment_is_the_worlds(void **state)
{
    begin(1);
    assert_null(sys_env("HOME"));
    world_env("OLLAMA_HOST", "gpu1");
    world_env("OLLAMA_HOST", "gpu2");
    assert_string_equal(sys_env("OLLAMA_HOST"), "gpu2");
    world_env("OLLAMA_HOST", NULL);
    assert_null(sys_env("OLLAMA_HOST"));
    world_machine(6, MIB(10), MIB(100));
    assert_int_equal(sys_cores(), 6);
    assert_int_equal(sys_rss(), MIB(10));
    assert_int_equal(sys_memory_limit(), MIB(100));
    finish();
}

static void chance_is_the_seeds(void **state)
{
    uint64_t first[3];
    for (uint64_t seed = 0; seed < 3; seed++) {
        begin(seed);
        first[seed] = sys_random_u64();
        finish();
    }
    begin(1);
    assert_int_equal(sys_random_u64(), first[1]);
    assert_true(first[0] != first[1] && first[1] != first[2]);
    char bytes[13] = { 0 };
    sys_random(bytes, 12);
    assert_int_equal(bytes[12], 0);
    finish();
}

static void files_are_kept_in_memory(void **state)
{
    struct buf b = { 0 };
    begin(1);
    errno = 0;
    assert_int_equal(sys_read_file("/etc/passwd", KIB(64), &b), FAIL_io_error);
    assert_int_equal(errno, ENOENT);
    world_file("/etc/omx.yaml", STR("listen: 80"));
    assert_int_equal(sys_read_file("/etc/omx.yaml", 9, &b), FAIL_body_too_large);
    assert_int_equal(sys_read_file("/etc/omx.yaml", 10, &b), OK);
    assert_text(buf_str(&b), "listen: 80");
    buf_free(&b);
    int fd = sys_open_append("/var/log/omx");
    assert_true(fd > 2);
    assert_int_equal(world_leaks(NULL), 2 + 1);
    assert_int_equal(sys_append(fd, STR("one\n")), OK);
    assert_int_equal(sys_append(2, STR("to stderr\n")), OK);
    assert_text(world_file_text("/var/log/omx"), "one\n");
    assert_text(world_file_text("stderr"), "to stderr\n");
    world_disk_room(3);
    assert_int_equal(sys_append(fd, STR("two\n")), FAIL_io_error);
    assert_int_equal(sys_write_file("/x", STR("four")), FAIL_io_error);
    assert_int_equal(errno, ENOSPC);
    assert_null(world_file_text("/x").p);
    sys_close_file(fd);
    world_descriptors(0);
    assert_int_equal(sys_open_append("/var/log/omx"), -1);
    finish();
}

static void a_crash_loses_what_was_not_synced(void **state)
{
    unsigned old = 0, lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        begin(seed);
        world_file("/keys", STR("old keys"));
        int fd = sys_open_append("/log");
        assert_int_equal(sys_append(fd, STR("0123456789")), OK);
        assert_int_equal(sys_write_file("/keys", STR("new")), OK);
        sys_close_file(fd);
        world_crash();
        struct str keys = world_file_text("/keys"), log = world_file_text("/log");
        assert_true(str_eq(keys, STR("old keys")) || str_eq(keys, STR("new")));
        assert_true(str_starts(STR("0123456789"), log));
        old += str_eq(keys, STR("old keys"));
        lost += log.n < 10;
        finish();
    }
    assert_in_range(old, 1, SEEDS - 1);
    assert_in_range(lost, 1, SEEDS);
}

static void what_is_left_over_is_counted(void **state)
{
    struct peer *p = meet(1);
    assert_true(peer_is_open(p));
    assert_int_equal(world_leaks(NULL), 2 + 2); /* the loops, the listener, the accepted socket */
    world_new(2);                               /* a test that failed leaves everything: it is dropped */
    assert_int_equal(world_leaks(NULL), 0);
    free(accepted);
    world_free();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_jumps_to_the_next_event),
        cmocka_unit_test(events_happen_in_order_after_any_sets_moves_and_cancels),
        cmocka_unit_test(the_wall_clock_can_be_set),
        cmocka_unit_test(timers_fire_in_order_and_never_early),
        cmocka_unit_test(a_loop_runs_turn_by_turn_until_stopped),
        cmocka_unit_test(mails_keep_their_order_and_gather_bits),
        cmocka_unit_test(a_mail_may_go_to_and_fro),
        cmocka_unit_test(jobs_are_worked_elsewhere_and_done_at_home),
        cmocka_unit_test(names_resolve_as_told),
        cmocka_unit_test(signals_come_from_the_loop),
        cmocka_unit_test(an_echo_over_conn_is_the_same_for_the_same_seed),
        cmocka_unit_test(the_seed_decides_which_worker_is_first),
        cmocka_unit_test(the_seed_decides_the_order_of_events_in_a_turn),
        cmocka_unit_test(the_environment_is_the_worlds),
        cmocka_unit_test(chance_is_the_seeds),
        cmocka_unit_test(files_are_kept_in_memory),
        cmocka_unit_test(a_crash_loses_what_was_not_synced),
        cmocka_unit_test(what_is_left_over_is_counted),
    };
    arena_pools_init();
    buf_pools_init();
    conn_pools_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    conn_pools_done();
    buf_pools_done();
    arena_pools_done();
    return failed;
}
