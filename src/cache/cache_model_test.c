/* Chance against a model small enough to be right: what each key may answer at each moment, in three arrays.
 *
 * A cache with room must do exactly what the model does. One without may answer less, since things are evicted, but
 * never anything else, and never holds more than it was given. */
#include "cache/cache_fixture.h"

#define KEYS    48
#define STEPS   60000
#define MODELS  3
#define NODES   2
#define FLIGHTS 8

struct value { /* NULL tape: none */
    struct tape *tape;
    nsec made, fresh, stale, rescue;
    uint64_t model, node;
    bool negative;
};
struct flight {
    struct tape *tape; /* NULL: none */
    uint64_t no, key, model, node;
    bool listed;  /* is the key's flight still */
    bool tainted; /* something it may depend on was forgotten: its node counts at its end only */
    bool node_tainted;
};
struct world {
    struct cache *c;
    struct value value[KEYS];
    struct flight flight[FLIGHTS];
    nsec now;
    uint64_t chance;
    size_t size;
    bool roomy, refusing;
};

static uint64_t draw(struct world *w, uint64_t below)
{
    w->chance = w->chance * 6364136223846793005 + 1442695040888963407;
    return (w->chance >> 33) % below;
}

static struct flight *flight_of(struct world *w, uint64_t key)
{
    for (unsigned i = 0; i < FLIGHTS; i++)
        if (w->flight[i].tape && w->flight[i].listed && w->flight[i].key == key)
            return &w->flight[i];
    return NULL;
}

static struct flight *free_flight(struct world *w)
{
    for (unsigned i = 0; i < FLIGHTS; i++)
        if (!w->flight[i].tape)
            return &w->flight[i];
    return NULL;
}

static void forget_value(struct value *v)
{
    tape_unref(&v->tape);
    *v = (struct value){ 0 };
}

static bool usable(const struct world *w, const struct value *v, const struct cache_ask *ask)
{
    if (!v->tape)
        return false;
    return ask->max_age == NEVER ? w->now < v->stale : w->now < v->fresh && w->now - v->made <= ask->max_age;
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static enum cache_found expected(struct world *w, const struct cache_ask *ask, uint64_t key)
{
    const struct value *v = &w->value[key];
    if (usable(w, v, ask))
        return w->now < v->fresh ? CACHE_HIT : CACHE_STALE;
    if (flight_of(w, key))
        return ask->join ? CACHE_JOIN : CACHE_PASS;
    if (w->refusing)
        return CACHE_PASS;
    return ask->lead ? CACHE_LEAD : CACHE_MISS;
}

static void note_flight(struct world *w, const struct cache_ask *ask, uint64_t key, uint64_t no)
{
    struct flight *f = free_flight(w);
    assert_null(flight_of(w, key));
    assert_false(w->refusing);
    *f = (struct flight){ .tape = tape_ref(ask->lead), .no = no, .key = key, .model = ask->model, .listed = true };
    f->node = draw(w, NODES);
}

static void check_value(struct world *w, const struct cache_look *l, uint64_t key)
{
    const struct value *v = &w->value[key];
    struct flight *f = flight_of(w, key);
    assert_ptr_equal(l->tape, v->tape);
    assert_int_equal(l->ttl, v->fresh - w->now);
    assert_int_equal(l->age, w->now - v->made);
    assert_int_equal(l->negative, v->negative);
    assert_true(l->found == CACHE_HIT ? w->now < v->fresh : w->now >= v->fresh && w->now < v->stale);
    assert_int_equal(l->refresh, l->found == CACHE_STALE && !f && !w->refusing && !l->flight);
}

/* What was evicted the model learns from a miss. */
static void check_look(struct world *w, const struct cache_ask *ask, const struct cache_look *l, uint64_t key)
{
    enum cache_found want = expected(w, ask, key);
    if (l->found != want) {
        assert_false(w->roomy);
        assert_true(want == CACHE_HIT || want == CACHE_STALE);
        forget_value(&w->value[key]);
        want = expected(w, ask, key);
    }
    assert_int_equal(l->found, want);
    if (want == CACHE_HIT || want == CACHE_STALE)
        check_value(w, l, key);
    if (want == CACHE_JOIN) {
        assert_ptr_equal(l->tape, flight_of(w, key)->tape);
        assert_int_equal(l->flight, flight_of(w, key)->no);
    } else if (l->flight)
        note_flight(w, ask, key, l->flight);
    assert_true(want != CACHE_LEAD || (l->flight && l->tape == ask->lead));
}

static struct cache_ask drawn_ask(struct world *w, uint64_t key)
{
    struct cache_ask ask = ask_for(key, w->now);
    ask.model = cache_tag_model((struct str){ "abc", 1 + key % MODELS });
    ask.class = (uint8_t)draw(w, CACHE_CLASSES);
    ask.join = draw(w, 8) != 0;
    if (draw(w, 6) == 0)
        ask.max_age = (nsec)draw(w, 20) * SECOND(1) - 1;
    if (draw(w, 2) && free_flight(w))
        ask.lead = tape_running(MIB(1));
    return ask;
}

static void end_unused(struct tape **t)
{
    if (*t)
        tape_end(*t, FAIL_client_gone, false);
    tape_unref(t);
}

static void step_look(struct world *w)
{
    uint64_t key = draw(w, KEYS);
    struct cache_ask ask = drawn_ask(w, key);
    struct cache_look l;
    cache_look(w->c, &ask, &l);
    check_look(w, &ask, &l, key);
    if (l.flight && l.found != CACHE_JOIN)
        tape_unref(&ask.lead); /* the model's flight has its own */
    else
        end_unused(&ask.lead);
    tape_unref(&l.tape);
}

static void step_rescue(struct world *w)
{
    uint64_t key = draw(w, KEYS);
    struct value *v = &w->value[key];
    struct cache_key k = key_no(key);
    struct cache_look l;
    bool got = cache_rescue(w->c, &k, w->now, &l), may = v->tape && !v->negative && w->now < v->rescue;
    assert_true(got ? may && l.tape == v->tape : !may || !w->roomy);
    tape_unref(&l.tape);
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

static struct cache_keep drawn_keep(struct world *w, const struct flight *f)
{
    static const double worth[] = { 0, 0.01, 1, 2 };
    struct cache_keep keep = { .ttl = SECOND(1 + draw(w, 40)), .saved_s = worth[draw(w, 4)] };
    keep.negative = draw(w, 8) == 0;
    if (!keep.negative) {
        keep.stale = SECOND(draw(w, 30));
        keep.stale_if_error = SECOND(draw(w, 90));
    }
    keep.age = SECOND(draw(w, 3));
    keep.tags[0] = f->model;
    keep.tags[1] = cache_tag_node(f->node);
    return keep;
}

/* Of two reasons against it either may be given. */
static bool is_expected_end(const struct world *w, const struct flight *f, enum cache_kept kept, bool wanted, bool good)
{
    bool lost = !f->listed || f->tainted || f->node_tainted;
    switch (kept) {
    case CACHE_KEPT: return wanted && good && !lost && !w->refusing;
    case CACHE_UNWANTED: return !wanted;
    case CACHE_UNPROVEN: return !good;
    case CACHE_LOST: return lost;
    case CACHE_REFUSED: return w->refusing;
    case CACHE_POOR:
    case CACHE_NO_ROOM: break;
    }
    return !w->roomy;
}

static void note_value(struct world *w, struct flight *f, const struct cache_keep *keep)
{
    struct value *v = &w->value[f->key];
    forget_value(v);
    *v = (struct value){ .tape = tape_ref(f->tape), .made = w->now - keep->age, .fresh = w->now + keep->ttl };
    v->stale = v->fresh + keep->stale;
    v->rescue = v->fresh + MAX(keep->stale, keep->stale_if_error);
    v->model = f->model, v->node = f->node, v->negative = keep->negative;
}

static void step_end(struct world *w)
{
    struct flight *f = &w->flight[draw(w, FLIGHTS)];
    if (!f->tape)
        return;
    struct cache_key key = key_no(f->key);
    struct cache_keep keep = drawn_keep(w, f), *wanted = draw(w, 8) ? &keep : NULL;
    bool good = draw(w, 6) != 0;
    tape_finish(f->tape, 1 + draw(w, KIB(12)), good ? OK : FAIL_upstream_cut);
    enum cache_kept kept = cache_end(w->c, &key, f->no, wanted, w->now);
    assert_true(is_expected_end(w, f, kept, wanted, good));
    if (kept == CACHE_KEPT)
        note_value(w, f, wanted);
    tape_unref(&f->tape);
}

/* ---- what happens to the whole ----------------------------------------------------------------------------------- */

static void step_forget_model(struct world *w)
{
    uint64_t tag = cache_tag_model((struct str){ "abc", 1 + draw(w, MODELS) }), n = 0, gone;
    if (draw(w, 5))
        return;
    for (unsigned i = 0; i < FLIGHTS; i++)
        if (w->flight[i].tape && w->flight[i].model == tag)
            w->flight[i].listed = false, w->flight[i].tainted = true;
    gone = cache_forget(w->c, tag);
    for (unsigned k = 0; k < KEYS; k++)
        if (w->value[k].tape && w->value[k].model == tag) {
            n += w->now < w->value[k].rescue;
            forget_value(&w->value[k]);
        }
    assert_true(!w->roomy || gone >= n);
}

static void step_forget_node(struct world *w)
{
    uint64_t node = draw(w, NODES);
    if (draw(w, 5))
        return;
    for (unsigned i = 0; i < FLIGHTS; i++)
        w->flight[i].node_tainted |= w->flight[i].tape && w->flight[i].node == node;
    cache_forget(w->c, cache_tag_node(node));
    for (unsigned k = 0; k < KEYS; k++)
        if (w->value[k].tape && w->value[k].node == node)
            forget_value(&w->value[k]);
}

static void step_forget_all(struct world *w)
{
    if (draw(w, 50))
        return;
    for (unsigned i = 0; i < FLIGHTS; i++)
        if (w->flight[i].tape)
            w->flight[i].listed = false, w->flight[i].tainted = true;
    cache_forget(w->c, CACHE_EVERYTHING);
    for (unsigned k = 0; k < KEYS; k++)
        forget_value(&w->value[k]);
}

static void step_time(struct world *w)
{
    w->now += (nsec)draw(w, (uint64_t)SECOND(1));
    if (draw(w, 4) == 0)
        cache_sweep(w->c, w->now);
}

static void step_pressure(struct world *w)
{
    if (draw(w, w->refusing ? 4 : 40) == 0)
        cache_refuse_fills(w->c, w->refusing = !w->refusing);
    if (!w->roomy && draw(w, 20) == 0)
        cache_resize(w->c, w->size = KIB(60) + draw(w, KIB(60)));
}

static const struct {
    void (*step)(struct world *w);
    unsigned share;
} steps[] = {
    {step_look,          60},
    { step_end,          20},
    { step_rescue,       6 },
    { step_time,         6 },
    { step_forget_model, 1 },
    { step_forget_node,  1 },
    { step_forget_all,   1 },
    { step_pressure,     5 },
};

static void step(struct world *w)
{
    unsigned at = (unsigned)draw(w, 100), i = 0;
    while (at >= steps[i].share)
        at -= steps[i++].share;
    steps[i].step(w);
}

static void close_world(struct world *w)
{
    for (unsigned i = 0; i < FLIGHTS; i++)
        end_unused(&w->flight[i].tape);
    for (unsigned k = 0; k < KEYS; k++)
        forget_value(&w->value[k]);
    cache_free(&w->c);
}

static void run(bool roomy, size_t size, unsigned shards, uint64_t seed)
{
    struct world w = { .roomy = roomy, .size = size, .chance = seed, .now = SECOND(100) };
    struct cache_plan plan = { .bytes = size, .shards = shards, .seed = seed, .admission = !roomy };
    w.c = cache_new(&plan);
    assert_non_null(w.c);
    for (unsigned i = 0; i < STEPS; i++) {
        step(&w);
        assert_true(stats_of(w.c).bytes <= w.size);
    }
    struct cache_stats s = stats_of(w.c);
    assert_true(s.all.hits > STEPS / 20);
    assert_true(roomy || (s.evicted > STEPS / 100 && s.poor > STEPS / 1000));
    close_world(&w);
}

static void with_room_it_does_what_the_model_does(void **state)
{
    run(true, MIB(16), 1, 1);
    run(true, MIB(64), 4, 2);
}

static void without_room_it_does_less_but_nothing_else(void **state)
{
    run(false, KIB(256), 1, 3);
    run(false, KIB(300), 1, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_room_it_does_what_the_model_does),
        cmocka_unit_test(without_room_it_does_less_but_nothing_else),
    };
    return cmocka_run_group_tests(tests, pools_begin, pools_end);
}
