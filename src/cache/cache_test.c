/* Each thing the contract says, one at a time. */
#include "cache/cache_fixture.h"

#include <math.h>

#define NOW SECOND(1000)

static struct cache *open_cache(size_t bytes)
{
    struct cache_plan plan = { .bytes = bytes, .seed = 1 };
    struct cache *c = cache_new(&plan);
    assert_non_null(c);
    return c;
}

/* ---- hits, stale, expiry ----------------------------------------------------------------------------------------- */

static void what_ended_well_is_a_hit_until_its_ttl_is_over(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_keep keep = keep_for(SECOND(30));
    struct cache_look l;
    keep.stale = keep.stale_if_error = 0;
    assert_int_equal(found(c, ask_for(1, NOW), NULL), CACHE_MISS);
    assert_int_equal(fill(c, 1, NOW, 100, &keep), CACHE_KEPT);
    assert_int_equal(found(c, ask_for(1, NOW + SECOND(10)), &l), CACHE_HIT);
    assert_int_equal(l.age, SECOND(10));
    assert_int_equal(l.ttl, SECOND(20));
    assert_false(l.negative);
    assert_int_equal(found(c, ask_for(1, NOW + SECOND(30) - 1), NULL), CACHE_HIT);
    assert_int_equal(found(c, ask_for(1, NOW + SECOND(30)), NULL), CACHE_MISS);
    assert_int_equal(found(c, ask_for(2, NOW), NULL), CACHE_MISS);
    assert_int_equal(stats_of(c).expired, 1);
    cache_free(&c);
}

static void the_value_is_the_tape_itself(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_keep keep = keep_for(SECOND(30));
    struct cache_key key = key_no(1);
    struct cache_ask ask = ask_for(1, NOW);
    struct cache_look l;
    struct tape *t;
    uint64_t flight = lead(c, ask, &t);
    tape_finish(t, 100, OK);
    assert_int_equal(cache_end(c, &key, flight, &keep, NOW), CACHE_KEPT);
    assert_int_equal(cache_look(c, &ask, &l), CACHE_HIT);
    assert_ptr_equal(l.tape, t);
    tape_unref(&t);
    cache_free(&c);
    struct tape_reader r = { 0 };
    bool last;
    assert_true(tape_join(l.tape, &r, NULL));
    assert_true(str_eq(tape_head(&r), STR("head")));
    assert_int_equal(tape_look(&r, &last).n, 100);
    assert_true(last);
    tape_leave(&r);
}

static void the_ttl_loses_a_tenth_at_most_and_by_chance(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_keep keep = keep_for(SECOND(100));
    struct cache_look l;
    nsec least = NEVER, most = 0;
    for (uint64_t i = 0; i < 200; i++) {
        keep.random = i * 0x9e3779b97f4a7c15 >> 20;
        assert_int_equal(fill(c, i, NOW, 100, &keep), CACHE_KEPT);
        assert_int_equal(found(c, ask_for(i, NOW), &l), CACHE_HIT);
        least = MIN(least, l.ttl), most = MAX(most, l.ttl);
    }
    assert_true(least >= SECOND(90) && least < SECOND(91));
    assert_true(most <= SECOND(100) && most > SECOND(99));
    cache_free(&c);
}

static void an_age_from_elsewhere_counts(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_keep keep = keep_for(SECOND(5));
    struct cache_look l;
    keep.age = SECOND(20);
    assert_int_equal(fill(c, 1, NOW, 100, &keep), CACHE_KEPT);
    assert_int_equal(found(c, ask_for(1, NOW + SECOND(1)), &l), CACHE_HIT);
    assert_int_equal(l.age, SECOND(21));
    assert_int_equal(l.ttl, SECOND(4));
    cache_free(&c);
}

static void a_stale_one_is_served_and_one_asker_refreshes(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_keep keep = keep_for(SECOND(30));
    struct cache_key key = key_no(1);
    struct cache_ask ask = ask_for(1, NOW + SECOND(40));
    struct cache_look l;
    assert_int_equal(fill(c, 1, NOW, 100, &keep), CACHE_KEPT);
    assert_int_equal(found(c, ask_for(1, NOW + SECOND(30) - 1), NULL), CACHE_HIT);
    assert_int_equal(found(c, ask_for(1, NOW + SECOND(30)), NULL), CACHE_STALE);
    assert_int_equal(found(c, ask, &l), CACHE_STALE);
    assert_true(l.refresh && !l.flight && l.ttl == -SECOND(10));

    ask.was = CACHE_STALE;
    ask.lead = tape_running(MIB(1));
    assert_int_equal(found(c, ask, &l), CACHE_STALE);
    assert_true(l.flight && !l.refresh);
    uint64_t flight = l.flight;
    struct tape *other = tape_running(MIB(1)), *ours = ask.lead;
    ask.lead = other;
    assert_int_equal(found(c, ask, &l), CACHE_STALE);
    assert_true(!l.flight && !l.refresh);

    tape_finish(ours, 200, OK);
    assert_int_equal(cache_end(c, &key, flight, &keep, ask.now), CACHE_KEPT);
    assert_int_equal(found(c, ask, &l), CACHE_HIT);
    assert_int_equal(l.age, 0);
    assert_int_equal(stats_of(c).refreshed, 1);
    assert_int_equal(stats_of(c).entries, 1);
    assert_int_equal(stats_of(c).all.requests, 4);
    tape_unref(&ours);
    tape_end(other, FAIL_client_gone, false);
    tape_unref(&other);
    cache_free(&c);
}

static void a_refresh_that_fails_leaves_the_old_one(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_keep keep = keep_for(SECOND(30));
    struct cache_key key = key_no(1);
    struct cache_ask ask = ask_for(1, NOW + SECOND(40));
    struct cache_look l;
    assert_int_equal(fill(c, 1, NOW, 100, &keep), CACHE_KEPT);
    ask.lead = tape_running(MIB(1));
    assert_int_equal(found(c, ask, &l), CACHE_STALE);
    tape_end(ask.lead, FAIL_connect_refused, false);
    assert_int_equal(cache_end(c, &key, l.flight, NULL, ask.now), CACHE_UNWANTED);
    tape_unref(&ask.lead);
    assert_int_equal(found(c, ask, &l), CACHE_STALE);
    assert_true(l.refresh);
    cache_free(&c);
}

static void when_all_fails_an_older_answer_stands_in(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_keep keep = keep_for(SECOND(30));
    struct cache_key key = key_no(1);
    struct cache_look l;
    assert_int_equal(fill(c, 1, NOW, 100, &keep), CACHE_KEPT);
    assert_int_equal(found(c, ask_for(1, NOW + SECOND(61)), &l), CACHE_MISS);
    assert_true(l.rescue);
    assert_true(cache_rescue(c, &key, NOW + SECOND(329), &l));
    assert_int_equal(l.age, SECOND(329));
    tape_unref(&l.tape);
    assert_false(cache_rescue(c, &key, NOW + SECOND(330), &l));
    assert_null(l.tape);
    assert_int_equal(found(c, ask_for(1, NOW + SECOND(330)), &l), CACHE_MISS);
    assert_false(l.rescue);
    assert_int_equal(stats_of(c).rescues, 1);
    cache_free(&c);
}

static void negative_answers_are_marked_and_rescue_nobody(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_keep keep = { .ttl = SECOND(2), .negative = true };
    struct cache_key key = key_no(1);
    struct cache_look l;
    assert_int_equal(fill(c, 1, NOW, 100, &keep), CACHE_KEPT);
    assert_int_equal(found(c, ask_for(1, NOW + SECOND(1)), &l), CACHE_HIT);
    assert_true(l.negative);
    assert_false(cache_rescue(c, &key, NOW + SECOND(1), &l));
    assert_int_equal(found(c, ask_for(1, NOW + SECOND(2)), NULL), CACHE_MISS);
    assert_int_equal(stats_of(c).all.negative, 1);
    cache_free(&c);
}

static void a_client_may_refuse_what_is_too_old(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_keep keep = keep_for(SECOND(30));
    struct cache_ask ask = ask_for(1, NOW + SECOND(10));
    assert_int_equal(fill(c, 1, NOW, 100, &keep), CACHE_KEPT);
    ask.max_age = SECOND(10);
    assert_int_equal(found(c, ask, NULL), CACHE_HIT);
    ask.max_age = SECOND(10) - 1;
    assert_int_equal(found(c, ask, NULL), CACHE_MISS);
    ask.max_age = -1;
    ask.now = NOW;
    assert_int_equal(found(c, ask, NULL), CACHE_MISS);
    ask.max_age = SECOND(300);
    ask.now = NOW + SECOND(31);
    assert_int_equal(found(c, ask, NULL), CACHE_MISS);
    cache_free(&c);
}

/* ---- flights ----------------------------------------------------------------------------------------------------- */

static void later_askers_join_the_flight(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_ask ask = ask_for(1, NOW);
    struct cache_keep keep = keep_for(SECOND(30));
    struct cache_look l;
    struct tape *t;
    uint64_t flight = lead(c, ask, &t);
    keep.saved_s = 2;
    assert_int_equal(cache_look(c, &ask, &l), CACHE_JOIN);
    assert_ptr_equal(l.tape, t);
    assert_int_equal(l.flight, flight);
    tape_unref(&l.tape);
    ask.join = false;
    assert_int_equal(found(c, ask, &l), CACHE_PASS);
    assert_int_equal(l.why, CACHE_PASS_ALONE);
    tape_finish(t, 10, OK);
    tape_unref(&t);
    assert_int_equal(cache_end(c, &ask.key, flight, &keep, NOW), CACHE_KEPT);
    assert_int_equal(stats_of(c).all.joins, 1);
    assert_true(stats_of(c).all.saved_s == 2);
    cache_free(&c);
}

static void a_flight_that_fails_is_gone(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_ask ask = ask_for(1, NOW);
    struct cache_keep keep = keep_for(SECOND(30));
    struct tape *t;
    uint64_t flight = lead(c, ask, &t);
    tape_finish(t, 10, FAIL_upstream_cut);
    assert_int_equal(cache_end(c, &ask.key, flight, &keep, NOW), CACHE_UNPROVEN);
    tape_unref(&t);
    assert_int_equal(found(c, ask, NULL), CACHE_MISS);
    assert_int_equal(stats_of(c).flights, 0);
    flight = lead(c, ask, &t);
    assert_int_equal(cache_end(c, &ask.key, flight, NULL, NOW), CACHE_UNWANTED);
    assert_int_equal(cache_end(c, &ask.key, flight, NULL, NOW), CACHE_LOST);
    tape_end(t, FAIL_client_gone, false);
    tape_unref(&t);
    cache_free(&c);
}

static void a_flight_that_refused_a_reader_loses_its_place(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_ask ask = ask_for(1, NOW);
    struct cache_keep keep = keep_for(SECOND(30));
    struct cache_look l;
    struct tape *first, *second;
    uint64_t flight = lead(c, ask, &first);
    assert_int_equal(found(c, ask, &l), CACHE_JOIN);
    ask.was = CACHE_JOIN;
    ask.refused = l.flight;
    uint64_t next = lead(c, ask, &second);
    assert_true(next != flight);
    tape_finish(first, 10, OK);
    assert_int_equal(cache_end(c, &ask.key, flight, &keep, NOW), CACHE_LOST);
    tape_finish(second, 10, OK);
    assert_int_equal(cache_end(c, &ask.key, next, &keep, NOW), CACHE_KEPT);
    tape_unref(&first);
    tape_unref(&second);
    assert_int_equal(stats_of(c).all.joins, 0);
    assert_int_equal(stats_of(c).all.misses, 2);
    cache_free(&c);
}

static void past_the_cap_it_takes_nobody_and_is_not_kept(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_ask ask = ask_for(1, NOW);
    struct cache_keep keep = keep_for(SECOND(30));
    struct cache_look l;
    assert_true(cache_item_cap(c) > KIB(500) && cache_item_cap(c) <= KIB(512));
    struct tape *t = ask.lead = tape_running(cache_item_cap(c));
    assert_int_equal(found(c, ask, &l), CACHE_LEAD);
    ask.lead = NULL;
    tape_write(t, cache_item_cap(c) - 4);
    assert_int_equal(found(c, ask, NULL), CACHE_JOIN);
    assert_int_equal(tape_append(t, STR("more")), OK);
    assert_int_equal(found(c, ask, NULL), CACHE_MISS);
    tape_end(t, OK, false);
    tape_unref(&t);
    assert_int_equal(cache_end(c, &ask.key, l.flight, &keep, NOW), CACHE_LOST);
    cache_free(&c);
}

/* ---- forgetting -------------------------------------------------------------------------------------------------- */

static void values_are_forgotten_by_tag(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_keep keep = keep_for(SECOND(30));
    for (uint64_t i = 0; i < 600; i++) {
        keep.tags[0] = cache_tag_model(i % 2 ? STR("llama3:latest") : STR("phi3:latest"));
        keep.tags[1] = cache_tag_node(i % 3);
        assert_int_equal(fill(c, i, NOW, 100, &keep), CACHE_KEPT);
    }
    assert_int_equal(cache_forget(c, cache_tag_model(STR("gemma:latest"))), 0);
    assert_int_equal(cache_forget(c, cache_tag_model(STR("phi3:latest"))), 300);
    assert_int_equal(found(c, ask_for(2, NOW), NULL), CACHE_MISS);
    assert_int_equal(found(c, ask_for(3, NOW), NULL), CACHE_HIT);
    assert_int_equal(cache_forget(c, cache_tag_node(0)), 100);
    assert_int_equal(found(c, ask_for(3, NOW), NULL), CACHE_MISS);
    assert_int_equal(cache_forget(c, CACHE_EVERYTHING), 200);
    assert_int_equal(stats_of(c).entries, 0);
    assert_int_equal(stats_of(c).forgotten, 600);
    assert_int_equal(stats_of(c).bytes, stats_of(c).index_bytes);
    cache_free(&c);
}

static void flights_that_run_meanwhile_are_not_kept(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_ask ask = ask_for(1, NOW);
    struct cache_keep keep = keep_for(SECOND(30));
    struct tape *t, *next;
    ask.model = keep.tags[0] = cache_tag_model(STR("llama3:latest"));
    keep.tags[1] = cache_tag_node(3);

    uint64_t flight = lead(c, ask, &t);
    cache_forget(c, keep.tags[1]);
    assert_int_equal(found(c, ask, NULL), CACHE_JOIN);
    tape_finish(t, 10, OK);
    assert_int_equal(cache_end(c, &ask.key, flight, &keep, NOW), CACHE_LOST);
    tape_unref(&t);

    flight = lead(c, ask, &t);
    cache_forget(c, ask.model);
    uint64_t after = lead(c, ask, &next);
    tape_finish(t, 10, OK);
    assert_int_equal(cache_end(c, &ask.key, flight, &keep, NOW), CACHE_LOST);
    tape_finish(next, 10, OK);
    assert_int_equal(cache_end(c, &ask.key, after, &keep, NOW), CACHE_KEPT);
    tape_unref(&t);
    tape_unref(&next);

    cache_forget(c, CACHE_EVERYTHING);
    assert_int_equal(found(c, ask, NULL), CACHE_MISS);
    cache_free(&c);
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

static void it_never_takes_more_than_it_was_given(void **state)
{
    struct cache *c = open_cache(MIB(4));
    struct cache_keep keep = keep_for(SECOND(30));
    for (uint64_t i = 0; i < 3000; i++) {
        assert_int_equal(fill(c, i, NOW, 1 + i * 7919 % 16384, &keep), CACHE_KEPT);
        assert_true(stats_of(c).bytes <= MIB(4));
    }
    assert_true(stats_of(c).bytes > MIB(4) - KIB(64));
    assert_true(tape_bytes_live() < MIB(4));
    assert_true(stats_of(c).evicted > 1000);
    cache_free(&c);
}

static void expired_values_go_before_live_ones(void **state)
{
    struct cache *c = open_cache(MIB(4));
    struct cache_keep brief = keep_for(SECOND(1)), lasting = keep_for(SECOND(1000));
    brief.stale = SECOND(1);
    for (uint64_t i = 0; i < 50; i++)
        fill(c, i, NOW, KIB(16), &lasting);
    for (uint64_t i = 50; i < 150; i++)
        fill(c, i, NOW, KIB(16), &brief);
    for (uint64_t i = 200; stats_of(c).expired < 100; i++)
        fill(c, i, NOW + SECOND(5), KIB(16), &lasting);
    assert_int_equal(stats_of(c).evicted, 0);
    for (uint64_t i = 0; i < 50; i++)
        assert_int_equal(found(c, ask_for(i, NOW + SECOND(5)), NULL), CACHE_HIT);
    cache_free(&c);
}

static void sweeping_frees_what_nothing_can_use(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_keep keep = keep_for(SECOND(10));
    for (uint64_t i = 0; i < 1000; i++)
        fill(c, i, NOW, 100, &keep);
    cache_sweep(c, NOW + SECOND(300));
    assert_int_equal(stats_of(c).entries, 1000);
    cache_sweep(c, NOW + SECOND(311));
    assert_int_equal(stats_of(c).entries, 0);
    assert_int_equal(tape_bytes_live(), 0);
    cache_free(&c);
}

static void it_shrinks_at_once_and_grows_again(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_keep keep = keep_for(SECOND(100));
    for (uint64_t i = 0; i < 1000; i++)
        fill(c, i, NOW, KIB(6), &keep);
    cache_resize(c, MIB(2));
    struct cache_stats s = stats_of(c);
    assert_true(s.bytes <= MIB(2) && s.bytes > MIB(2) - KIB(32));
    assert_int_equal(s.size, MIB(2));
    assert_true(cache_item_cap(c) < KIB(128));
    cache_resize(c, KIB(4));
    assert_int_equal(stats_of(c).entries, 0);
    assert_int_equal(fill(c, 1, NOW, 10, &keep), CACHE_NO_ROOM);
    cache_resize(c, MIB(8));
    for (uint64_t i = 0; i < 500; i++)
        fill(c, i, NOW, KIB(6), &keep);
    assert_int_equal(stats_of(c).entries, 500);
    cache_free(&c);
}

static void under_pressure_nothing_new_is_kept(void **state)
{
    struct cache *c = open_cache(MIB(8));
    struct cache_keep keep = keep_for(SECOND(30));
    struct cache_look l;
    struct tape *t;
    struct cache_ask ask = ask_for(2, NOW);
    assert_int_equal(fill(c, 1, NOW, 100, &keep), CACHE_KEPT);
    uint64_t flight = lead(c, ask, &t);
    cache_refuse_fills(c, true);
    assert_int_equal(found(c, ask_for(1, NOW), NULL), CACHE_HIT);
    assert_int_equal(found(c, ask_for(1, NOW + SECOND(40)), &l), CACHE_STALE);
    assert_false(l.refresh);
    assert_int_equal(found(c, ask, NULL), CACHE_JOIN);
    assert_int_equal(found(c, ask_for(3, NOW), &l), CACHE_PASS);
    assert_int_equal(l.why, CACHE_PASS_REFUSED);
    tape_finish(t, 10, OK);
    tape_unref(&t);
    assert_int_equal(cache_end(c, &ask.key, flight, &keep, NOW), CACHE_REFUSED);
    cache_refuse_fills(c, false);
    assert_int_equal(fill(c, 2, NOW, 100, &keep), CACHE_KEPT);
    cache_free(&c);
}

static void a_cheap_newcomer_must_come_twice(void **state)
{
    struct cache_plan plan = { .bytes = MIB(4), .seed = 1, .admission = true };
    struct cache *c = cache_new(&plan);
    struct cache_keep dear = keep_for(SECOND(100)), cheap = dear, unknown = dear;
    dear.saved_s = 5, cheap.saved_s = 0.2;
    for (uint64_t i = 0; i < 2000; i++)
        fill(c, i, NOW, KIB(3), &dear);
    assert_true(stats_of(c).evicted > 0);
    assert_int_equal(fill(c, 5000, NOW, KIB(3), &cheap), CACHE_POOR);
    assert_int_equal(fill(c, 5000, NOW, KIB(3), &cheap), CACHE_KEPT);
    assert_int_equal(fill(c, 5001, NOW, KIB(3), &unknown), CACHE_KEPT);
    assert_int_equal(fill(c, 5002, NOW, KIB(3), &dear), CACHE_KEPT);
    assert_int_equal(stats_of(c).poor, 1);
    cache_resize(c, MIB(5));
    assert_int_equal(fill(c, 5003, NOW, KIB(3), &cheap), CACHE_KEPT);
    cache_free(&c);
}

/* ---- counting, failing ------------------------------------------------------------------------------------------- */

static void the_best_possible_is_near(void **state)
{
    struct cache *c = open_cache(MIB(4));
    struct cache_keep keep = keep_for(SECOND(30));
    keep.saved_s = 0.5;
    for (uint64_t i = 0; i < 30000; i++) {
        struct cache_ask ask = ask_for(i % 20000, NOW);
        ask.class = (uint8_t)(i % 2);
        if (found(c, ask, NULL) == CACHE_MISS && i % 4 == 0)
            ask.was = CACHE_MISS, ask.lead = NULL, found(c, ask, NULL);
    }
    fill(c, 1, NOW, 10, &keep);
    found(c, ask_for(1, NOW), NULL);
    struct cache_stats s = stats_of(c);
    assert_int_equal(s.all.requests, 30002);
    assert_int_equal(s.by_class[1].requests, 15000);
    assert_int_equal(s.all.misses, 30001);
    assert_true(s.all.saved_s == 0.5);
    assert_true(fabs(s.distinct - 20000) < 4 * s.distinct_error * 20000);
    assert_true(fabs(s.best_possible - 10002) < 4 * s.distinct_error * 20000);
    cache_free(&c);
}

static void shards_are_as_many_as_have_sixteen_mebibytes(void **state)
{
    const struct {
        size_t bytes, cap;
    } sizes[] = {
        {KIB(64),   KIB(4)  },
        { MIB(8),   KIB(512)},
        { MIB(16),  MIB(1)  },
        { MIB(256), MIB(1)  },
        { MIB(512), MIB(2)  }
    };
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct cache *c = open_cache(sizes[i].bytes);
        assert_true(cache_item_cap(c) <= sizes[i].cap);
        assert_true(sizes[i].bytes < MIB(1) || cache_item_cap(c) > sizes[i].cap / 100 * 95);
        assert_true(sizes[i].bytes < MIB(1) || stats_of(c).index_bytes < sizes[i].bytes / 50);
        cache_free(&c);
    }
}

static void no_memory_is_an_answer(void **state)
{
    struct cache_plan plan = { .bytes = MIB(32), .seed = 1 };
    struct cache *c = NULL;
    struct cache_look l;
    for (uint64_t nth = 1; !c && nth < 100; nth++) {
        memory_fail_at(nth);
        c = cache_new(&plan);
        assert_true(c || nth < 20);
    }
    memory_fail_at(0);
    assert_non_null(c);
    struct cache_ask ask = ask_for(1, NOW);
    ask.lead = tape_running(MIB(1));
    memory_fail_at(1);
    assert_int_equal(cache_look(c, &ask, &l), CACHE_PASS);
    memory_fail_at(0);
    assert_int_equal(l.why, CACHE_PASS_NO_MEMORY);
    assert_null(l.tape);
    tape_end(ask.lead, FAIL_no_memory, false);
    tape_unref(&ask.lead);
    cache_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_ended_well_is_a_hit_until_its_ttl_is_over),
        cmocka_unit_test(the_value_is_the_tape_itself),
        cmocka_unit_test(the_ttl_loses_a_tenth_at_most_and_by_chance),
        cmocka_unit_test(an_age_from_elsewhere_counts),
        cmocka_unit_test(a_stale_one_is_served_and_one_asker_refreshes),
        cmocka_unit_test(a_refresh_that_fails_leaves_the_old_one),
        cmocka_unit_test(when_all_fails_an_older_answer_stands_in),
        cmocka_unit_test(negative_answers_are_marked_and_rescue_nobody),
        cmocka_unit_test(a_client_may_refuse_what_is_too_old),
        cmocka_unit_test(later_askers_join_the_flight),
        cmocka_unit_test(a_flight_that_fails_is_gone),
        cmocka_unit_test(a_flight_that_refused_a_reader_loses_its_place),
        cmocka_unit_test(past_the_cap_it_takes_nobody_and_is_not_kept),
        cmocka_unit_test(values_are_forgotten_by_tag),
        cmocka_unit_test(flights_that_run_meanwhile_are_not_kept),
        cmocka_unit_test(it_never_takes_more_than_it_was_given),
        cmocka_unit_test(expired_values_go_before_live_ones),
        cmocka_unit_test(sweeping_frees_what_nothing_can_use),
        cmocka_unit_test(it_shrinks_at_once_and_grows_again),
        cmocka_unit_test(under_pressure_nothing_new_is_kept),
        cmocka_unit_test(a_cheap_newcomer_must_come_twice),
        cmocka_unit_test(the_best_possible_is_near),
        cmocka_unit_test(shards_are_as_many_as_have_sixteen_mebibytes),
        cmocka_unit_test(no_memory_is_an_answer),
    };
    return cmocka_run_group_tests(tests, pools_begin, pools_end);
}
