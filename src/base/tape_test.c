#include "base/tape.h"

#include "base/slab.h"
#include "base/sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- who takes part ---------------------------------------------------------------------------------------------- */

struct desk { /* a worker's */
    struct tape_seat seat;
    unsigned wakes, vacated;
};
struct ear {
    struct tape_reader reader;
    char got[KIB(256)];
    size_t n;
    bool last, has_head, leaves_when_told, stalled;
    unsigned told;
    char head[64];
};
static struct tape_writer writer;
static unsigned writer_wakes;
static struct desk desks[4];
static struct ear ears[6];
static struct tape *tape;

static void writer_woken(struct tape_writer *w)
{
    writer_wakes++;
}
static void seat_woken(struct tape_seat *s)
{
    CONTAINER(s, struct desk, seat)->wakes++;
}
static void seat_vacated(struct tape_seat *s)
{
    CONTAINER(s, struct desk, seat)->vacated++;
}

static void take_head(struct ear *e)
{
    struct str head = e->has_head ? STR_NONE : tape_head(&e->reader);
    if (!head.n)
        return;
    memcpy(e->head, head.p, MIN(head.n, sizeof e->head - 1));
    e->has_head = true;
}

/* One look. */
static size_t hear(struct ear *e)
{
    take_head(e);
    if (!e->has_head)
        return 0;
    struct str s = tape_look(&e->reader, &e->last);
    for (size_t i = 0; i < s.n; i++)
        e->got[(e->n + i) % sizeof e->got] = s.p[i];
    e->n += s.n;
    tape_eat(&e->reader, s.n);
    return s.n;
}
static void hear_all(struct ear *e)
{
    while (hear(e))
        ;
}

static void ear_told(struct tape_reader *r)
{
    struct ear *e = CONTAINER(r, struct ear, reader);
    e->told++;
    if (!e->stalled)
        hear_all(e);
    if (e->leaves_when_told)
        tape_leave(r);
}

static bool join_on(unsigned worker, struct ear *e)
{
    struct desk *d = &desks[worker];
    struct tape_seat *spare = d->seat.tape ? NULL : &d->seat;
    struct tape *ref = tape_ref(tape);
    sys_set_worker_no(worker);
    *e = (struct ear){
        .reader = {.ready = ear_told, .patient = e->reader.patient},
          .stalled = e->stalled
    };
    d->seat.wake = seat_woken;
    d->seat.vacated = seat_vacated;
    bool joined = tape_join(tape, &e->reader, &spare);
    if (!joined)
        tape_unref(&ref);
    return joined;
}

static void turn(unsigned worker)
{
    sys_set_worker_no(worker);
    tape_turn(&desks[worker].seat);
}

static void leave(struct ear *e)
{
    if (e->reader.seat)
        sys_set_worker_no(e->reader.seat->worker);
    tape_leave(&e->reader);
}

static int each_begin(void **state)
{
    memset(desks, 0, sizeof desks);
    memset(ears, 0, sizeof ears);
    writer_wakes = 0;
    writer.wake = writer_woken;
    sys_set_worker_no(0);
    tape_pools_init();
    tape = tape_new(&writer, MIB(64), false);
    assert_non_null(tape);
    return 0;
}
static int each_end(void **state)
{
    memory_fail_at(0);
    tape_unref(&tape);
    assert_int_equal(tape_bytes_live(), 0);
    tape_pools_done();
    return 0;
}

static void say(const char *text)
{
    assert_int_equal(tape_append(tape, str_of(text)), OK);
}
static void say_head(void)
{
    assert_int_equal(tape_begin(tape, STR("200 ndjson")), OK);
}
/* Every byte tells where it is. */
static char byte_at(uint64_t at)
{
    return (char)(at * 31 + at / 251);
}
static uint64_t said;
static void say_bytes(size_t n)
{
    char *p = malloc(n);
    for (size_t i = 0; i < n; i++)
        p[i] = byte_at(said + i);
    assert_int_equal(tape_append(tape, (struct str){ p, n }), OK);
    said += n;
    free(p);
}
static void assert_heard(struct ear *e, const char *text)
{
    assert_int_equal(e->n, strlen(text));
    assert_memory_equal(e->got, text, e->n);
}

/* ---- following --------------------------------------------------------------------------------------------------- */

static void readers_follow_from_the_first_byte(void **state)
{
    assert_true(join_on(0, &ears[0]));
    assert_int_equal(hear(&ears[0]), 0);
    say_head();
    say("one\n");
    turn(0);
    assert_string_equal(ears[0].head, "200 ndjson");
    assert_heard(&ears[0], "one\n");
    assert_true(join_on(1, &ears[1])); /* late */
    hear_all(&ears[1]);
    assert_heard(&ears[1], "one\n");
    say("two\n");
    turn(1);
    turn(0);
    assert_heard(&ears[0], "one\ntwo\n");
    assert_heard(&ears[1], "one\ntwo\n");
    assert_false(ears[0].last);
    tape_end(tape, OK, TAPE_CLEAN);
    turn(0);
    turn(1);
    assert_true(ears[0].last && ears[1].last);
    leave(&ears[0]);
    leave(&ears[1]);
}

static void a_worker_is_woken_once_until_it_looks(void **state)
{
    for (int i = 0; i < 3; i++)
        assert_true(join_on(2, &ears[i]));
    say_head();
    say("a");
    say("b");
    say("c");
    assert_int_equal(desks[2].wakes, 1);
    turn(2);
    assert_int_equal(ears[0].told + ears[1].told + ears[2].told, 3);
    assert_heard(&ears[1], "abc");
    assert_int_equal(desks[2].wakes, 1);
    say("d");
    say("e");
    assert_int_equal(desks[2].wakes, 2);
    tape_end(tape, OK, TAPE_CLEAN);
    assert_int_equal(desks[2].wakes, 2);
    turn(2);
    assert_heard(&ears[2], "abcde");
    for (int i = 0; i < 3; i++)
        leave(&ears[i]);
    assert_int_equal(desks[2].vacated, 1);
    assert_int_equal(writer_wakes, 0);
}

static void what_is_appended_in_one_call_is_read_in_one_piece(void **state)
{
    static const size_t sizes[] = { 100, 3000, 3000, 100, 20000, 70000, 5, 300000, 40000, 40000, 4000 };
    said = 0;
    assert_true(join_on(0, &ears[0]));
    say_head();
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        say_bytes(sizes[i]);
        assert_int_equal(hear(&ears[0]), sizes[i]);
    }
    uint64_t heard = 0;
    assert_true(join_on(1, &ears[1])); /* all of it later: pieces are whole appends still */
    take_head(&ears[1]);
    for (size_t i = 0, n; (n = hear(&ears[1])); heard += n) {
        size_t whole = 0;
        while (whole < n)
            whole += sizes[i++];
        assert_int_equal(whole, n);
    }
    assert_int_equal(heard, said);
    tape_end(tape, OK, TAPE_CLEAN);
    leave(&ears[0]);
    leave(&ears[1]);
}

static void readers_may_leave_and_join_while_they_are_told(void **state)
{
    for (int i = 0; i < 4; i++)
        assert_true(join_on(0, &ears[i]));
    ears[1].leaves_when_told = ears[3].leaves_when_told = true;
    say_head();
    say("x");
    turn(0);
    assert_int_equal(desks[0].vacated, 0);
    assert_heard(&ears[2], "x");
    ears[0].leaves_when_told = ears[2].leaves_when_told = true;
    say("y");
    turn(0);
    assert_heard(&ears[2], "xy");
    assert_int_equal(desks[0].vacated, 1);
    assert_false(tape_wanted(tape));
    tape_end(tape, FAIL_client_gone, TAPE_CLEAN);
}

static void nobody_waits_for_a_seat_that_is_not_there(void **state)
{
    struct tape *ref = tape_ref(tape);
    assert_false(tape_join(tape, &ears[0].reader, NULL));
    tape_unref(&ref);
    tape_end(tape, FAIL_internal, TAPE_CLEAN);
    assert_false(join_on(0, &ears[0]));
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static void a_failure_is_told_after_what_was_read_before_it(void **state)
{
    enum tape_break where = TAPE_INSIDE;
    assert_true(join_on(0, &ears[0]));
    assert_true(join_on(1, &ears[1]));
    say_head();
    say("begun");
    take_head(&ears[0]);
    tape_end(tape, FAIL_upstream_cut, TAPE_CLEAN);
    assert_int_equal(tape_failed(&ears[0].reader, &where), OK); /* there is something to read first */
    hear_all(&ears[0]);
    assert_int_equal(tape_failed(&ears[0].reader, &where), FAIL_upstream_cut);
    assert_true(where == TAPE_CLEAN && !ears[0].last);
    assert_int_equal(tape_failed(&ears[1].reader, &where), FAIL_upstream_cut); /* has nothing: a clean error */
    assert_false(join_on(2, &ears[2]));
    assert_false(tape_is_whole(tape));
    leave(&ears[0]);
    leave(&ears[1]);
}

static void a_break_inside_a_record_is_told_as_such(void **state)
{
    enum tape_break where = TAPE_CLEAN;
    assert_true(join_on(0, &ears[0]));
    say_head();
    say("half a rec");
    hear_all(&ears[0]);
    tape_end(tape, FAIL_inter_chunk_timeout, TAPE_INSIDE);
    assert_int_equal(tape_failed(&ears[0].reader, &where), FAIL_inter_chunk_timeout);
    assert_int_equal(where, TAPE_INSIDE);
    leave(&ears[0]);
}

static void what_tells_its_failure_itself_is_read_first(void **state)
{
    enum tape_break where;
    ears[0].reader.patient = true;
    assert_true(join_on(0, &ears[0]));
    assert_true(join_on(1, &ears[1]));
    ears[2].reader.patient = true;
    assert_true(join_on(2, &ears[2]));
    say_head();
    say("data: {\"error\":\"boom\"}\n\n");
    tape_end(tape, FAIL_upstream_said, TAPE_TOLD);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tape_failed(&ears[i].reader, &where), OK);
        hear_all(&ears[i]);
        assert_false(ears[i].last);
        assert_int_equal(tape_failed(&ears[i].reader, &where), FAIL_upstream_said);
        assert_int_equal(where, TAPE_TOLD);
        leave(&ears[i]);
    }
    leave(&ears[2]);
}

static void a_patient_reader_is_spared_a_broken_beginning(void **state)
{
    enum tape_break where;
    ears[0].reader.patient = true;
    assert_true(join_on(0, &ears[0]));
    say_head();
    say("beginning");
    tape_end(tape, FAIL_upstream_cut, TAPE_CLEAN);
    take_head(&ears[0]);
    assert_int_equal(tape_failed(&ears[0].reader, &where), FAIL_upstream_cut);
    leave(&ears[0]);
}

static void a_whole_tape_is_read_without_a_seat(void **state)
{
    say_head();
    say("kept\n");
    tape_end(tape, OK, TAPE_CLEAN);
    assert_true(tape_is_whole(tape));
    for (int i = 0; i < 3; i++) {
        assert_true(join_on(1, &ears[i]));
        assert_null(ears[i].reader.seat);
        hear_all(&ears[i]);
        assert_heard(&ears[i], "kept\n");
        assert_true(ears[i].last);
        assert_string_equal(ears[i].head, "200 ndjson");
    }
    struct tape *kept = tape; /* a reader outlives the cache's reference */
    tape = NULL;
    tape_unref(&kept);
    for (int i = 0; i < 3; i++)
        leave(&ears[i]);
    assert_int_equal(tape_bytes_live(), 0);
}

static void an_answer_without_bytes_is_whole_too(void **state)
{
    assert_true(join_on(0, &ears[0]));
    say_head();
    assert_int_equal(tape_append(tape, STR_NONE), OK);
    tape_end(tape, OK, TAPE_CLEAN);
    turn(0);
    assert_true(ears[0].has_head && ears[0].last && ears[0].n == 0);
    leave(&ears[0]);
}

static void a_whole_tape_costs_about_its_bytes_and_is_one_piece(void **state)
{
    static const size_t sizes[] = { 1, 300, 1000, 5000, 17000, 40000, 65000 };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        if (!tape)
            tape = tape_new(&writer, MIB(64), false);
        size_t before = tape_bytes(tape);
        say_head();
        for (said = 0; said < sizes[i];)
            say_bytes(MIN(100, sizes[i] - said));
        tape_end(tape, OK, TAPE_CLEAN);
        assert_true(tape_bytes(tape) - before <= MAX(512, (sizes[i] + 42) * 3 / 2));
        assert_int_equal(tape_bytes(tape) - before, tape_bytes_live());
        assert_true(join_on(0, &ears[0]));
        take_head(&ears[0]);
        assert_int_equal(hear(&ears[0]), sizes[i]);
        assert_true(ears[0].last);
        for (size_t b = 0; b < sizes[i]; b++)
            assert_int_equal(ears[0].got[b], byte_at(b));
        leave(&ears[0]);
        tape_unref(&tape);
    }
}

static void a_large_tape_has_only_its_last_block_fitted(void **state)
{
    said = 0;
    say_head();
    while (said < 200100)
        say_bytes(100);
    size_t before = tape_bytes(tape);
    tape_end(tape, OK, TAPE_CLEAN);
    assert_true(tape_bytes(tape) < before);
    assert_true(tape_bytes(tape) < said * 21 / 20);
    assert_true(join_on(0, &ears[0]));
    hear_all(&ears[0]);
    assert_int_equal(ears[0].n, said);
    for (size_t b = 0; b < said; b++)
        assert_int_equal(ears[0].got[b], byte_at(b));
    leave(&ears[0]);
}

static void who_reads_while_it_is_fitted_reads_on(void **state)
{
    said = 0;
    assert_true(join_on(0, &ears[0]));
    assert_true(join_on(1, &ears[1]));
    say_head();
    for (int i = 0; i < 60; i++)
        say_bytes(200);
    take_head(&ears[0]);
    hear(&ears[0]); /* in the first block; the other has not begun */
    tape_end(tape, OK, TAPE_CLEAN);
    size_t with_old = tape_bytes_live();
    turn(0);
    turn(1);
    assert_true(ears[0].last && ears[1].last && ears[0].n == said && ears[1].n == said);
    for (size_t b = 0; b < said; b++)
        assert_true(ears[0].got[b] == byte_at(b) && ears[1].got[b] == byte_at(b));
    leave(&ears[0]);
    assert_int_equal(tape_bytes_live(), with_old);
    leave(&ears[1]);
    assert_true(tape_bytes_live() < with_old);
}

/* ---- without readers --------------------------------------------------------------------------------------------- */

static void without_readers_the_writer_is_told_and_nobody_joins(void **state)
{
    assert_true(join_on(0, &ears[0]));
    assert_true(join_on(1, &ears[1]));
    say_head();
    leave(&ears[0]);
    assert_int_equal(writer_wakes, 0);
    assert_true(tape_wanted(tape));
    leave(&ears[1]);
    assert_int_equal(writer_wakes, 1);
    assert_true(join_on(2, &ears[2])); /* in time */
    assert_true(tape_wanted(tape));
    leave(&ears[2]);
    assert_int_equal(writer_wakes, 2);
    assert_false(tape_wanted(tape));
    assert_false(join_on(0, &ears[0]));
    tape_end(tape, FAIL_client_gone, TAPE_CLEAN);
    assert_int_equal(writer_wakes, 2);
}

static void a_refresh_goes_on_without_readers(void **state)
{
    tape_end(tape, FAIL_internal, TAPE_CLEAN);
    tape_unref(&tape);
    tape = tape_new(&writer, 1000, true);
    assert_true(tape_wanted(tape));
    say_head();
    assert_true(join_on(0, &ears[0]));
    leave(&ears[0]);
    assert_true(tape_wanted(tape));
    for (int i = 0; i < 11; i++)
        say_bytes(100);
    assert_false(tape_wanted(tape)); /* too large to be kept: for whom? */
    tape_end(tape, FAIL_client_gone, TAPE_CLEAN);
}

/* ---- sizes and slow readers -------------------------------------------------------------------------------------- */

static struct tape *tape_of_cap(size_t cap)
{
    tape_end(tape, FAIL_internal, TAPE_CLEAN);
    tape_unref(&tape);
    said = 0;
    return tape_new(&writer, cap, false);
}

static void past_its_cap_it_frees_what_all_have_read(void **state)
{
    tape = tape_of_cap(KIB(100));
    assert_true(join_on(0, &ears[0]));
    assert_true(join_on(1, &ears[1]));
    assert_true(join_on(1, &ears[2]));
    say_head();
    while (said < KIB(80))
        say_bytes(500);
    turn(0);
    turn(1);
    assert_false(tape_is_oversize(tape));
    assert_true(tape_bytes_live() > KIB(80));
    ears[2].stalled = true;
    while (said < KIB(500)) {
        say_bytes(500);
        turn(0);
        turn(1);
    }
    assert_true(tape_is_oversize(tape));
    assert_false(join_on(2, &ears[3]));
    assert_true(tape_bytes_live() > KIB(400)); /* one has read 80 KiB */
    assert_int_equal(ears[0].n, said);
    sys_set_worker_no(1);
    hear_all(&ears[2]); /* all is there still */
    assert_int_equal(ears[2].n, said);
    assert_true(tape_bytes_live() <= KIB(128));
    for (size_t i = 0; i < sizeof ears[2].got; i++)
        assert_int_equal(ears[2].got[i], ears[0].got[i]);
    tape_end(tape, OK, TAPE_CLEAN);
    assert_false(tape_is_whole(tape));
    assert_false(join_on(2, &ears[3]));
    turn(0);
    turn(1);
    assert_true(ears[0].last && ears[1].last);
    assert_true(ears[2].stalled && !ears[2].last);
    for (int i = 0; i < 3; i++)
        leave(&ears[i]);
}

static void the_writer_pauses_only_when_all_are_far_behind(void **state)
{
    assert_true(join_on(0, &ears[0]));
    assert_true(join_on(1, &ears[1]));
    said = 0;
    say_head();
    while (said < MIB(1) - 2000)
        say_bytes(1000);
    assert_true(tape_credit(tape));
    sys_set_worker_no(1);
    for (int i = 0; i < 5; i++)
        hear(&ears[1]);
    while (said < MIB(1) + 2000)
        say_bytes(1000);
    assert_true(tape_credit(tape)); /* one has read some */
    while (said < MIB(2))
        say_bytes(1000);
    assert_false(tape_credit(tape));
    assert_int_equal(writer_wakes, 0);
    sys_set_worker_no(0);
    for (int i = 0; i < 3; i++)
        hear(&ears[0]);
    assert_int_equal(writer_wakes, 0);
    hear_all(&ears[0]);
    assert_int_equal(writer_wakes, 1);
    assert_true(tape_credit(tape));
    while (said < MIB(4))
        say_bytes(1000);
    assert_false(tape_credit(tape));
    leave(&ears[0]);
    leave(&ears[1]);
    assert_int_equal(writer_wakes, 2);
    assert_true(tape_credit(tape));
    assert_false(tape_wanted(tape));
    tape_end(tape, FAIL_client_gone, TAPE_CLEAN);
}

static void a_slow_reader_is_ended_after_its_patience(void **state)
{
    nsec due;
    assert_true(join_on(0, &ears[0]));
    said = 0;
    say_head();
    while (said < MIB(1) - 2000)
        say_bytes(1000);
    assert_int_equal(tape_slow(&ears[0].reader, 0, &due), OK);
    assert_int_equal(due, NEVER);
    while (said < MIB(2))
        say_bytes(1000);
    assert_int_equal(tape_slow(&ears[0].reader, SECOND(5), &due), OK);
    assert_int_equal(due, SECOND(35));
    assert_int_equal(hear(&ears[0]) > 0, true); /* still far behind */
    assert_int_equal(tape_slow(&ears[0].reader, SECOND(20), &due), OK);
    assert_int_equal(due, SECOND(35));
    assert_int_equal(tape_slow(&ears[0].reader, SECOND(35), &due), FAIL_slow_reader);
    hear_all(&ears[0]);
    assert_int_equal(tape_slow(&ears[0].reader, SECOND(36), &due), OK);
    assert_int_equal(due, NEVER);
    tape_end(tape, OK, TAPE_CLEAN);
    leave(&ears[0]);
    assert_true(join_on(0, &ears[1])); /* of a whole one: slow, but it goes on */
    take_head(&ears[1]);
    assert_int_equal(tape_slow(&ears[1].reader, SECOND(100), &due), OK);
    assert_int_equal(due, SECOND(130));
    hear(&ears[1]);
    assert_int_equal(tape_slow(&ears[1].reader, SECOND(129), &due), OK);
    assert_int_equal(due, SECOND(159));
    assert_int_equal(tape_slow(&ears[1].reader, SECOND(159), &due), FAIL_slow_reader);
    leave(&ears[1]);
}

/* ---- patience, and starting over --------------------------------------------------------------------------------- */

static void patient_readers_are_told_at_the_end_and_pause_nobody(void **state)
{
    nsec due;
    ears[0].reader.patient = ears[1].reader.patient = true;
    assert_true(join_on(0, &ears[0]));
    assert_true(join_on(1, &ears[1]));
    assert_true(join_on(1, &ears[2]));
    said = 0;
    say_head();
    while (said < MIB(2))
        say_bytes(1000);
    assert_true(tape_credit(tape));
    turn(0);
    turn(1);
    assert_int_equal(ears[0].told + ears[1].told, 0);
    assert_int_equal(ears[2].n, said);
    assert_int_equal(tape_slow(&ears[0].reader, SECOND(1), &due), OK);
    assert_int_equal(due, NEVER);
    tape_end(tape, OK, TAPE_CLEAN);
    turn(0);
    turn(1);
    assert_true(ears[0].last && ears[1].last && ears[0].n == said);
    for (int i = 0; i < 3; i++)
        leave(&ears[i]);
}

static void it_starts_over_while_no_reader_has_begun(void **state)
{
    assert_true(join_on(0, &ears[0]));
    say_head();
    say("first try, which breaks");
    assert_true(tape_restart(tape));
    assert_int_equal(tape_bytes_live(), 0);
    turn(0);
    assert_int_equal(ears[0].n, 0);
    assert_int_equal(tape_begin(tape, STR("500")), OK);
    say("second");
    turn(0);
    assert_heard(&ears[0], "second");
    assert_string_equal(ears[0].head, "500");
    assert_false(tape_restart(tape));
    say(" goes on");
    tape_end(tape, OK, TAPE_CLEAN);
    turn(0);
    assert_heard(&ears[0], "second goes on");
    leave(&ears[0]);
}

/* ---- no memory --------------------------------------------------------------------------------------------------- */

static void each_allocation_may_fail(void **state)
{
    uint64_t takes = 1;
    tape_end(tape, FAIL_internal, TAPE_CLEAN);
    tape_unref(&tape);
    for (uint64_t nth = 0; nth <= takes; nth++) {
        memset(desks, 0, sizeof desks);
        memory_fail_at(nth);
        tape = tape_new(&writer, MIB(1), false);
        if (!tape)
            continue;
        assert_true(join_on(0, &ears[0]));
        enum fail f = tape_begin(tape, STR("head"));
        char bytes[3000] = { 0 };
        for (int i = 0; i < 50 && !f; i++)
            f = tape_append(tape, (struct str){ bytes, i == 25 ? 1 : sizeof bytes });
        char *large = calloc(1, 100000);
        f = f ? f : tape_append(tape, (struct str){ large, 100000 });
        free(large);
        uint64_t before_end = memory_takes();
        tape_end(tape, f, TAPE_CLEAN);
        takes = MAX(takes, memory_takes());
        assert_int_equal(f != OK, nth && nth <= before_end);
        turn(0);
        assert_int_equal(ears[0].last, f == OK);
        if (!f)
            assert_int_equal(ears[0].n, 49 * 3000 + 1 + 100000);
        leave(&ears[0]);
        tape_unref(&tape);
        assert_int_equal(tape_bytes_live(), 0);
    }
    assert_true(takes > 6);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, each_begin, each_end)
        TEST(readers_follow_from_the_first_byte),
        TEST(a_worker_is_woken_once_until_it_looks),
        TEST(what_is_appended_in_one_call_is_read_in_one_piece),
        TEST(readers_may_leave_and_join_while_they_are_told),
        TEST(nobody_waits_for_a_seat_that_is_not_there),
        TEST(a_failure_is_told_after_what_was_read_before_it),
        TEST(a_break_inside_a_record_is_told_as_such),
        TEST(what_tells_its_failure_itself_is_read_first),
        TEST(a_patient_reader_is_spared_a_broken_beginning),
        TEST(a_whole_tape_is_read_without_a_seat),
        TEST(an_answer_without_bytes_is_whole_too),
        TEST(a_whole_tape_costs_about_its_bytes_and_is_one_piece),
        TEST(a_large_tape_has_only_its_last_block_fitted),
        TEST(who_reads_while_it_is_fitted_reads_on),
        TEST(without_readers_the_writer_is_told_and_nobody_joins),
        TEST(a_refresh_goes_on_without_readers),
        TEST(past_its_cap_it_frees_what_all_have_read),
        TEST(the_writer_pauses_only_when_all_are_far_behind),
        TEST(a_slow_reader_is_ended_after_its_patience),
        TEST(patient_readers_are_told_at_the_end_and_pause_nobody),
        TEST(it_starts_over_while_no_reader_has_begun),
        TEST(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
