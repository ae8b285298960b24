/* Flights, played: one writer and many followers on three workers, with a shelf of one tape in place of the cache. The
 * local stage is replaced by one that looks on the shelf. */
#include "gateway/flight.h"
#include "talk.h"

/* ---- the shelf --------------------------------------------------------------------------------------------------- */

static struct {
    struct tape *tape; /* a flight, or the entry */
    size_t cap;
    unsigned led, landed, hits, joins;
    enum fail why;
    bool whole, oversize, refresh;
    int64_t tokens;
} shelf;
static struct record records[64];
static unsigned records_n;

static void landed(struct flight *f, const struct exchange *x, enum fail why)
{
    shelf.landed++;
    shelf.why = why;
    shelf.whole = tape_is_whole(f->tape);
    shelf.oversize = tape_is_oversize(f->tape);
    shelf.tokens = x ? x->up.figures.output_tokens : -1;
    if (!shelf.whole && shelf.tape == f->tape)
        tape_unref(&shelf.tape);
}

/* The old answer for x, and its question for a new one. */
static enum step refresh(struct exchange *x)
{
    struct flight *f = flight_new(x->worker, shelf.cap, true);
    struct tape *old = shelf.tape;

    shelf.refresh = false;
    shelf.tape = tape_ref(f->tape);
    f->over = landed;
    flight_start(f, x);
    assert_int_equal(flight_join(x, old, false), OK); /* takes the shelf's reference */
    return flight_follow(x);
}

static enum step lead(struct exchange *x, bool patient)
{
    struct flight *f = flight_new(x->worker, shelf.cap, false);
    struct tape *mine = f ? tape_ref(f->tape) : NULL;
    enum fail why = f ? flight_join(x, mine, patient) : FAIL_no_memory;

    if (why && f) {
        tape_unref(&mine);
        flight_drop(&f);
    }
    if (why)
        return answer_fail(x, why, STR_NONE);
    tape_unref(&shelf.tape);
    shelf.tape = tape_ref(f->tape);
    shelf.led++;
    f->over = landed;
    flight_start(f, x);
    return flight_follow(x);
}

enum step local_enter(struct exchange *x)
{
    bool patient = x->route.peek.stream == TRI_FALSE;
    struct tape *t = NULL;
    enum fail why = FAIL_no_such_object;
    bool whole;

    if (x->route.row->kind != KIND_MODEL || x->owner_kind == OWNER_TAPE)
        return STEP_NEXT;
    if (shelf.refresh)
        return refresh(x);
    if (shelf.tape) {
        t = tape_ref(shelf.tape);
        whole = tape_is_whole(t);
        why = flight_join(x, t, patient);
        shelf.hits += !why && whole;
        shelf.joins += !why && !whole;
    }
    if (!why)
        return flight_follow(x);
    tape_unref(&t);
    return why == FAIL_no_memory ? answer_fail(x, why, STR_NONE) : lead(x, patient);
}

bool local_must_wait(struct exchange *x, void (*again)(struct exchange *x))
{
    return false;
}

static void recorded(const struct record *r, void *arg)
{
    if (r->owner == OWNER_CLIENT && records_n < ARRAY_LEN(records))
        records[records_n++] = *r;
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

#define CLIENTS 21
static struct peer *client[CLIENTS];

static void begin_flights(uint64_t seed, unsigned nodes)
{
    memset(&shelf, 0, sizeof shelf);
    shelf.cap = MIB(1);
    want_n = records_n = 0;
    pools_begin();
    world_new(seed);
    open_gate(3, 0);
    gate->on_record = recorded;
    machines_n = 0;
    for (unsigned i = 0; i < nodes; i++) {
        add_machine(i ? "n2" : "n1");
        machines[i].serves = true;
        model_add(&machines[i], "m:latest");
    }
    gateway_start(gate);
    know();
}

static void finish_flights(void)
{
    memory_fail_at(0);
    for (unsigned i = 0; i < CLIENTS; i++)
        if (client[i] && peer_is_open(client[i]))
            peer_close(client[i], CLOSE_FIN);
    memset(client, 0, sizeof client);
    world_elapse(SECOND(1));
    tape_unref(&shelf.tape);
    finish();
}

/* A quarter of them unstreamed, but not the first. */
static void all_ask(unsigned from, unsigned to)
{
    if (from == 0 && to > 1) {
        all_ask(0, 1);
        world_elapse(MSEC(20));
        from = 1;
    }
    for (unsigned i = from; i < to; i++)
        client[i] = chat("/api/chat", "m", i % 4 != 3);
}

static void assert_answered(unsigned i)
{
    if (i % 4 == 3 && !got(client[i], "x-ndjson")) /* whoever leads gets what the node says */
        assert_got_one_piece(client[i]);
    else
        assert_got_all(client[i]);
}

static unsigned spread(void)
{
    unsigned busy = 0;
    for (unsigned i = 0; i < 3; i++)
        busy += gate->worker[i]->n_exchanges > 0;
    return busy;
}

/* ---- following --------------------------------------------------------------------------------------------------- */

static void one_request_answers_all_on_all_workers(void **state)
{
    EACH_SEED
    {
        begin_flights(seed, 1);
        all_ask(0, 12);
        await_work(&machines[0]);
        world_elapse(MSEC(50));
        assert_int_equal(spread(), 3);
        opens(&machines[0]);
        for (unsigned i = 0; i < 40; i++) {
            tells_word(&machines[0], i);
            if (i == 20)
                all_ask(12, CLIENTS); /* late: from the first byte all the same */
            if (i % 3 == seed % 3)
                world_elapse(MSEC(seed % 5));
        }
        world_elapse(MSEC(50));
        for (unsigned i = 0; i < CLIENTS; i++) {
            (void)got_whole(client[i]);
            assert_int_equal(got_n, i % 4 == 3 ? 0 : want_n); /* as they come; those who want one piece wait */
        }
        tells_end(&machines[0]);
        world_elapse(SECOND(1));
        for (unsigned i = 0; i < CLIENTS; i++)
            assert_answered(i);
        assert_int_equal(machines[0].chats, 1);
        assert_int_equal(shelf.led, 1);
        assert_true(shelf.whole && shelf.tokens == 7);
        assert_int_equal(records_n, CLIENTS);
        unsigned told = 0;
        for (unsigned i = 0; i < records_n; i++) {
            assert_int_equal(records[i].why, OK);
            assert_string_equal(records[i].node.text, "n1");
            assert_true(records[i].added_us < 5000); /* waiting for the node is not the gateway's time */
            told += records[i].attempts == 1 && records[i].tokens_out == 7;
        }
        assert_int_equal(told, 1); /* the leader: its record tells of the road */
        for (unsigned i = 0; i < CLIENTS; i++)
            assert_true(got(client[i], "X-OllamaMax-Node: n1\r\n"));
        finish_flights();
    }
}

static void what_has_ended_is_served_without_anybody(void **state)
{
    begin_flights(2, 1);
    all_ask(0, 1);
    await_work(&machines[0]);
    opens(&machines[0]);
    tells_word(&machines[0], 1);
    tells_end(&machines[0]);
    world_elapse(SECOND(1));
    goes_away(&machines[0]);
    all_ask(1, CLIENTS);
    world_elapse(SECOND(1));
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_answered(i);
    assert_int_equal(shelf.hits, CLIENTS - 1);
    assert_false(got(client[5], "X-OllamaMax-Attempts"));
    finish_flights();
}

static void a_refresh_has_no_client(void **state)
{
    for (unsigned too_large = 0; too_large < 2; too_large++) {
        begin_flights(5 + too_large, 1);
        all_ask(0, 1);
        await_work(&machines[0]);
        opens(&machines[0]);
        tells_word(&machines[0], 1);
        tells_end(&machines[0]);
        world_elapse(SECOND(1));
        machines[0].work = NULL;
        shelf.refresh = true;
        shelf.cap = too_large ? 1000 : MIB(1);
        all_ask(1, 2);
        await_work(&machines[0]);
        assert_got_all(client[1]); /* the old one */
        opens(&machines[0]);
        want_n = 0;
        for (unsigned i = 0; i < 20; i++)
            tells_word(&machines[0], i);
        world_elapse(MSEC(50));
        assert_true(machines[0].closed_on_us == too_large); /* for whom? */
        if (!too_large) {
            tells_end(&machines[0]);
            all_ask(2, 4);
            world_elapse(SECOND(1));
            assert_got_all(client[2]);
            assert_answered(3);
        }
        assert_true(shelf.whole == !too_large);
        finish_flights();
    }
}

static void each_client_reads_its_own_name_of_the_model(void **state)
{
    begin_flights(4, 1);
    client[0] = chat("/api/chat", "m", true);
    await_work(&machines[0]);
    client[1] = chat("/api/chat", "m:latest", true);
    world_elapse(MSEC(50));
    opens(&machines[0]);
    tells_word(&machines[0], 1);
    tells_end(&machines[0]);
    world_elapse(SECOND(1));
    assert_got_all(client[0]);
    assert_true(got_whole(client[1]));
    assert_non_null(strstr(got_text, "\"model\":\"m:latest\""));
    assert_null(strstr(got_text, "\"model\":\"m\""));
    client[2] = chat("/api/chat", "library/m", false);
    world_elapse(SECOND(1));
    assert_true(got_whole(client[2]));
    assert_non_null(strstr(got_text, "\"model\":\"library/m\""));
    finish_flights();
}

static void an_answer_in_one_piece_has_its_length(void **state)
{
    static const char body[] =
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"all of it\"},\"done\":"
        "true}";
    begin_flights(3, 1);
    client[0] = chat("/api/chat", "m", false);
    client[1] = chat("/api/chat", "m", false);
    client[2] = chat("/api/chat", "m:latest", false);
    await_work(&machines[0]);
    world_elapse(MSEC(50));
    respond(machines[0].work, 200, body);
    want_n = (size_t)sprintf(want, "%s", body);
    world_elapse(MSEC(100));
    assert_got_all(client[0]);
    assert_got_all(client[1]);
    assert_true(got(client[0], "Content-Length: 86\r\n") == (sizeof body - 1 == 86));
    assert_true(got_whole(client[2]) && got_n == want_n + 7 && got(client[2], "Content-Length: "));
    assert_int_equal(machines[0].chats, 1);
    finish_flights();
}

/* ---- leaving ----------------------------------------------------------------------------------------------------- */

static void the_leader_leaves_and_nobody_notices(void **state)
{
    EACH_SEED
    {
        begin_flights(seed, 1);
        all_ask(0, CLIENTS);
        world_elapse(MSEC(50));
        opens(&machines[0]);
        for (unsigned i = 0; i < 10; i++)
            tells_word(&machines[0], i);
        world_elapse(MSEC(20));
        peer_close(client[0], seed % 2 ? CLOSE_RESET : CLOSE_FIN);
        world_elapse(MSEC(20));
        assert_false(machines[0].closed_on_us);
        for (unsigned i = 10; i < 20; i++)
            tells_word(&machines[0], i);
        tells_end(&machines[0]);
        world_elapse(SECOND(1));
        for (unsigned i = 1; i < CLIENTS; i++)
            assert_answered(i);
        assert_true(shelf.whole);
        finish_flights();
    }
}

static void when_all_have_left_the_node_is_left_too(void **state)
{
    EACH_SEED
    {
        begin_flights(seed, 1);
        all_ask(0, CLIENTS);
        await_work(&machines[0]);
        world_elapse(MSEC(50));
        if (seed % 2) {
            opens(&machines[0]);
            tells_word(&machines[0], 1);
            world_elapse(MSEC(5));
        }
        for (unsigned i = 0; i < CLIENTS; i++) {
            assert_false(machines[0].closed_on_us);
            peer_close(client[i], i % 2 ? CLOSE_RESET : CLOSE_FIN);
            world_elapse(MSEC(seed % 3));
        }
        await_true(&machines[0].closed_on_us);
        assert_int_equal(shelf.landed, 1);
        assert_int_equal(shelf.why, FAIL_client_gone);
        finish_flights();
    }
}

/* ---- failing ----------------------------------------------------------------------------------------------------- */

static void a_node_that_dies_is_told_truthfully_to_all(void **state)
{
    EACH_SEED
    {
        begin_flights(seed, 1);
        all_ask(0, CLIENTS);
        await_work(&machines[0]);
        world_elapse(MSEC(50));
        opens(&machines[0]);
        for (unsigned i = 0; i < 10; i++)
            tells_word(&machines[0], i);
        world_elapse(MSEC(50));
        goes_away(&machines[0]);
        world_elapse(SECOND(1));
        for (unsigned i = 0; i < CLIENTS; i++) {
            assert_true(got_whole(client[i]));
            if (i % 4 == 3) { /* has got nothing yet */
                assert_int_equal(status_of(client[i]), 502);
                assert_true(str_starts((struct str){ got_text, got_n }, STR("{\"error\":")));
            } else {
                assert_memory_equal(got_text, want, want_n);
                assert_true(str_starts((struct str){ got_text + want_n, got_n - want_n }, STR("{\"error\":")));
            }
        }
        assert_int_equal(machines[0].chats, 1);
        assert_int_equal(shelf.why, FAIL_upstream_cut);
        assert_null(shelf.tape);
        finish_flights();
    }
}

static void it_starts_over_once_while_nobody_has_a_byte(void **state)
{
    EACH_SEED
    {
        begin_flights(seed, 2);
        for (unsigned i = 0; i < CLIENTS; i++)
            client[i] = chat("/api/chat", "m", false);
        world_elapse(MSEC(100));
        struct machine *first = machines[0].work ? &machines[0] : &machines[1];
        struct machine *second = first == machines ? &machines[1] : &machines[0];
        assert_non_null(first->work);
        opens(first);
        for (unsigned i = 0; i < 10; i++)
            tells_word(first, i);
        world_elapse(MSEC(50));
        goes_away(first);
        await_work(second);
        want_n = 0;
        opens(second);
        for (unsigned i = 0; i < 5; i++)
            tells_word(second, 100 + i);
        if (seed % 2) {
            tells_end(second);
            world_elapse(SECOND(1));
            for (unsigned i = 0; i < CLIENTS; i++)
                assert_got_all(client[i]);
        } else { /* the second time is the last */
            world_elapse(MSEC(50));
            goes_away(second);
            world_elapse(SECOND(3));
            for (unsigned i = 0; i < CLIENTS; i++)
                assert_int_equal(status_of(client[i]), 502);
        }
        assert_int_equal(first->chats + second->chats, 2);
        assert_int_equal(shelf.led, 1);
        finish_flights();
    }
}

static void a_refusal_is_said_in_each_dialect(void **state)
{
    begin_flights(1, 1);
    machines[0].hold_delete = true;
    client[0] = chat("/api/chat", "m", true);
    client[1] = chat("/v1/chat/completions", "m", true);
    client[2] = chat("/v1/messages", "m", true);
    await_work(&machines[0]);
    world_elapse(MSEC(50));
    goes_away(&machines[0]);
    world_elapse(SECOND(5));
    for (unsigned i = 0; i < 3; i++) {
        assert_true(got_whole(client[i]));
        assert_true(status_of(client[i]) >= 502);
        assert_true(got(client[i], "x-should-retry: false\r\n"));
        assert_non_null(strstr(got_text, "n1")); /* the writer's own words */
    }
    assert_true(got_whole(client[0]) && strstr(got_text, "{\"error\":\"") == got_text);
    assert_true(got_whole(client[1]) && strstr(got_text, "{\"error\":{\"message\":\""));
    assert_true(got_whole(client[2]) && strstr(got_text, "\"type\":\"error\""));
    finish_flights();
}

static void an_error_of_the_nodes_own_reaches_all(void **state)
{
    begin_flights(1, 1);
    all_ask(0, 3);
    await_work(&machines[0]);
    world_elapse(MSEC(50));
    respond(machines[0].work, 400, "{\"error\":\"m does not support thinking\"}");
    world_elapse(MSEC(100));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(status_of(client[i]), 400);
        assert_true(got_whole(client[i]) && strstr(got_text, "does not support thinking"));
    }
    finish_flights();
}

static void an_error_record_is_passed_on_and_not_kept(void **state)
{
    begin_flights(1, 1);
    all_ask(0, 4);
    await_work(&machines[0]);
    world_elapse(MSEC(50));
    opens(&machines[0]);
    tells_word(&machines[0], 1);
    world_elapse(MSEC(50));
    tells(&machines[0], "{\"error\":\"an error was encountered while running the model\"}");
    peer_sendf(machines[0].work, "0\r\n\r\n");
    world_elapse(SECOND(1));
    for (unsigned i = 0; i < 3; i++)
        assert_got_all(client[i]);
    assert_int_equal(status_of(client[3]), 500);
    assert_true(got_whole(client[3]));
    assert_string_equal(got_text, "{\"error\":\"an error was encountered while running the model\"}");
    for (unsigned i = 0; i < records_n; i++)
        assert_int_equal(records[i].why, FAIL_upstream_said);
    assert_int_equal(records_n, 4);
    assert_null(shelf.tape);
    finish_flights();
}

/* ---- slow readers, large answers --------------------------------------------------------------------------------- */

static char big[KIB(20)];
static const char *big_record(void)
{
    memset(big, 'x', sizeof big - 1);
    memcpy(big, "{\"message\":{\"content\":\"", 23);
    memcpy(big + sizeof big - 18, "\"},\"done\":false}", 17);
    return big;
}

static void a_slow_client_is_ended_and_hinders_nobody(void **state)
{
    begin_flights(6, 1);
    shelf.cap = MIB(16);
    client[0] = chat("/api/chat", "m", true);
    client[1] = chat("/api/chat", "m", true);
    client[2] = chat("/api/chat", "m", true);
    await_work(&machines[0]);
    world_elapse(MSEC(50));
    opens(&machines[0]);
    tells_word(&machines[0], 0);
    world_elapse(MSEC(50));
    peer_stall(client[1], true);
    for (unsigned i = 0; i < 120; i++) {
        tells(&machines[0], big_record());
        world_elapse(MSEC(10));
    }
    (void)got_whole(client[0]);
    assert_int_equal(got_n, want_n);
    assert_int_equal(records_n, 0);
    world_elapse(SECOND(31));
    assert_int_equal(records_n, 1);
    assert_int_equal(records[0].why, FAIL_slow_reader);
    peer_stall(client[1], false);
    tells_end(&machines[0]);
    world_elapse(SECOND(1));
    assert_got_all(client[0]);
    assert_got_all(client[2]);
    assert_true(got_whole(client[1]));
    assert_true(got_n < want_n);
    assert_non_null(strstr(got_text + got_n - 200, "{\"error\":\"the client read too slowly"));
    finish_flights();
}

static void who_reads_nothing_of_what_has_ended_is_ended(void **state)
{
    begin_flights(9, 1);
    shelf.cap = MIB(16);
    client[0] = chat("/api/chat", "m", true);
    await_work(&machines[0]);
    opens(&machines[0]);
    for (unsigned i = 0; i < 40; i++)
        tells(&machines[0], big_record());
    tells_end(&machines[0]);
    world_elapse(SECOND(1));
    assert_got_all(client[0]);
    for (unsigned i = 1; i < 4; i++) {
        client[i] = chat("/api/chat", "m", true);
        peer_stall(client[i], true);
    }
    world_elapse(SECOND(20));
    assert_int_equal(records_n, 1);
    peer_stall(client[1], false); /* in time */
    nsec idle = worker_settings(gate->worker[0])->client_idle_timeout;
    world_elapse(idle);
    assert_int_equal(records_n, 4);
    for (unsigned i = 1; i < 4; i++)
        assert_int_equal(records[i].why, i == 1 ? OK : FAIL_slow_reader);
    assert_got_all(client[1]);
    finish_flights();
}

/* Parts of a record over 256 KiB are let through, and a break there is a break; but who has nothing of it is told. */
static void break_inside_a_large_record(uint64_t seed)
{
    begin_flights(seed, 1);
    all_ask(0, 4);
    await_work(&machines[0]);
    world_elapse(MSEC(50));
    opens(&machines[0]);
    tells_word(&machines[0], 1);
    world_elapse(MSEC(50));
    char *part = malloc(KIB(400));
    memset(part, 'y', KIB(400));
    peer_sendf(machines[0].work, "%x\r\n", (unsigned)KIB(400));
    peer_send(machines[0].work, (struct str){ part, KIB(400) });
    free(part);
    world_elapse(SECOND(1));
    (void)got_whole(client[0]);
    assert_true(got_n > KIB(256));
    goes_away(&machines[0]);
    world_elapse(SECOND(1));
    for (unsigned i = 0; i < 3; i++) {
        assert_false(got_whole(client[i]));
        assert_true(peer_saw_reset(client[i]) || peer_saw_end(client[i]));
    }
    assert_int_equal(status_of(client[3]), 502); /* has seen nothing of it */
    finish_flights();
}

static void a_break_inside_a_large_record_breaks_the_connections(void **state)
{
    for (uint64_t seed = 10; seed < 15; seed++)
        break_inside_a_large_record(seed);
}

static void the_node_waits_only_when_all_clients_do(void **state)
{
    begin_flights(7, 1);
    shelf.cap = MIB(1) / 4;
    client[0] = chat("/api/chat", "m", true);
    client[1] = chat("/api/chat", "m", true);
    await_work(&machines[0]);
    world_elapse(MSEC(50));
    opens(&machines[0]);
    tells_word(&machines[0], 0);
    world_elapse(MSEC(50));
    peer_stall(client[0], true);
    peer_stall(client[1], true);
    for (unsigned i = 0; i < 300; i++) {
        tells(&machines[0], big_record());
        if (i % 10 == 0)
            world_elapse(MSEC(5));
    }
    world_elapse(SECOND(5));
    assert_true(tape_bytes_live() > KIB(900) && tape_bytes_live() < KIB(1600)); /* the rest is on the wire */
    peer_stall(client[0], false);
    peer_stall(client[1], false);
    tells_end(&machines[0]);
    world_elapse(SECOND(5));
    assert_got_all(client[0]);
    assert_got_all(client[1]);
    assert_true(shelf.oversize && !shelf.whole);
    client[2] = chat("/api/chat", "m", true); /* was not kept */
    world_elapse(MSEC(50));
    assert_int_equal(machines[0].chats, 2);
    peer_close(client[2], CLOSE_FIN);
    world_elapse(MSEC(50));
    finish_flights();
}

/* Few bytes for each reader besides the socket's: they lie on the tape. */
static void followers_cost_no_copies(void **state)
{
    begin_flights(8, 1);
    shelf.cap = MIB(16);
    all_ask(0, CLIENTS);
    await_work(&machines[0]);
    world_elapse(MSEC(50));
    opens(&machines[0]);
    for (unsigned i = 0; i < CLIENTS; i++)
        peer_stall(client[i], i % 4 != 3 && i > 0);
    for (unsigned i = 0; i < 45; i++) {
        tells(&machines[0], big_record());
        world_elapse(MSEC(10));
    }
    assert_true(buf_bytes_live() < CLIENTS * KIB(200));
    for (unsigned i = 0; i < CLIENTS; i++)
        peer_stall(client[i], false);
    tells_end(&machines[0]);
    world_elapse(SECOND(3));
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_answered(i);
    finish_flights();
}

/* ---- no memory, and the end -------------------------------------------------------------------------------------- */

static bool is_asked(const struct machine *m)
{
    return m->work && !m->closed_on_us && peer_is_open(m->work);
}

static void each_allocation_may_fail(void **state)
{
    uint64_t takes = 1;
    for (uint64_t nth = 0; nth <= takes; nth++) {
        begin_flights(nth, 1);
        memory_fail_at(nth);
        all_ask(0, 8);
        world_elapse(MSEC(100));
        for (unsigned i = 0; i < 7 && is_asked(&machines[0]); i++) {
            if (i == 0)
                opens(&machines[0]);
            else if (i < 6)
                tells_word(&machines[0], i);
            else
                tells_end(&machines[0]);
            world_elapse(MSEC(2));
        }
        world_elapse(SECOND(5));
        takes = nth ? takes : memory_takes();
        memory_fail_at(0);
        for (unsigned i = 0; i < 8; i++)
            if (got_whole(client[i]) && status_of(client[i]) == 200 && !strstr(got_text, "{\"error\":"))
                assert_answered(i);
        finish_flights();
    }
    assert_true(takes > 40);
}

static bool still_runs(void *unused)
{
    for (unsigned i = 0; i < 3; i++)
        if (world_is_attached(gateway_loop(gate, i)))
            return true;
    return false;
}

static void a_gateway_that_stops_leaves_nothing_behind(void **state)
{
    EACH_SEED
    {
        begin_flights(seed, 1);
        all_ask(0, CLIENTS);
        await_work(&machines[0]);
        world_elapse(MSEC(50));
        opens(&machines[0]);
        for (unsigned i = 0; i < 5; i++)
            tells_word(&machines[0], i);
        if (seed % 2)
            world_elapse(MSEC(seed));
        tape_unref(&shelf.tape);
        gateway_stop(gate); /* with all of it under way */
        assert_true(world_run_while(still_runs, NULL, SECOND(5)));
        gateway_free(&gate);
        fleet_free(&fleet);
        assert_int_equal(shelf.landed, 1);
        assert_int_equal(tape_bytes_live(), 0);
        world_elapse(SECOND(1));
        memset(client, 0, sizeof client);
        world_free();
        pools_end();
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request_answers_all_on_all_workers),
        cmocka_unit_test(what_has_ended_is_served_without_anybody),
        cmocka_unit_test(a_refresh_has_no_client),
        cmocka_unit_test(each_client_reads_its_own_name_of_the_model),
        cmocka_unit_test(an_answer_in_one_piece_has_its_length),
        cmocka_unit_test(the_leader_leaves_and_nobody_notices),
        cmocka_unit_test(when_all_have_left_the_node_is_left_too),
        cmocka_unit_test(a_node_that_dies_is_told_truthfully_to_all),
        cmocka_unit_test(it_starts_over_once_while_nobody_has_a_byte),
        cmocka_unit_test(a_refusal_is_said_in_each_dialect),
        cmocka_unit_test(an_error_of_the_nodes_own_reaches_all),
        cmocka_unit_test(an_error_record_is_passed_on_and_not_kept),
        cmocka_unit_test(a_slow_client_is_ended_and_hinders_nobody),
        cmocka_unit_test(who_reads_nothing_of_what_has_ended_is_ended),
        cmocka_unit_test(a_break_inside_a_large_record_breaks_the_connections),
        cmocka_unit_test(the_node_waits_only_when_all_clients_do),
        cmocka_unit_test(followers_cost_no_copies),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(a_gateway_that_stops_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
