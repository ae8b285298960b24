/* fleet/fleet_test.c - the whole fleet: counts, settings, and what must hold whatever happens. */
#include "fleet/fleet_fixture.h"

static void counts_what_ended(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1");
    world_settle(w);
    struct node *n = node_at(w, "gpu1");
    struct ticket t = ticket_for(KEY("x:1"));
    world_ask(w, &t);
    assert_int_equal(n->inflight, 1);
    world_end(w, &t, OK);
    assert_null(t.lease.node);
    world_ask(w, &t);
    struct attempt_end bad = { .why = FAIL_upstream_error, .status = 500, .error_text = STR("out of memory") };
    orders_init(&w->out);
    fleet_end(w->f, &t.lease, &bad, w->now, &w->out);
    assert_int_equal(n->inflight, 0);
    assert_int_equal(n->requests, 2);
    assert_int_equal(n->errors, 1);
    assert_int_equal(n->last_error, FAIL_upstream_error);
    assert_string_equal(n->last_error_text, "out of memory");
    world_ask(w, &t);
    world_end(w, &t, FAIL_upstream_busy); /* not its fault */
    assert_int_equal(n->errors, 1);
    assert_int_equal(n->state, NODE_UP);
    world_free(w);
}

static void settings_change_while_it_runs(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1"), world_node(w, "gpu2", "x:1");
    world_settle(w);
    w->settings.policy = SCHEDULER_round_robin;
    fleet_configure(w->f, &w->settings);
    for (int i = 0; i < 3; i++) {
        assert_str(world_serve(w, KEY("x:1")), "gpu1");
        assert_str(world_serve(w, KEY("x:1")), "gpu2");
    }
    world_free(w);
}

static void the_lock_is_counted(void **state)
{
    struct world *w = world_new();
    for (int i = 0; i < 1000; i++)
        fleet_knows(w->f);
    struct fleet_lock_count c = fleet_lock_count(w->f);
    assert_int_equal(c.takes, 1001);
    assert_int_equal(c.waits, 0);
    assert_true(c.held > 0 && c.held_max <= c.held && c.waited == 0);
    assert_true(c.held_p50 > 0 && c.held_p50 <= c.held_p99 && c.held_p99 <= c.held_max);
    world_free(w);
}

static void memory_runs_out_at_birth(void **state)
{
    struct fleet_settings s;
    struct fleet *f = NULL;
    fleet_settings_default(&s);
    for (uint64_t nth = 1; !f; nth++) {
        memory_fail_at(nth);
        f = fleet_new(&s, 0);
        memory_fail_at(0);
        assert_true(nth < 10);
    }
    fleet_free(&f);
    assert_null(f);
}

/* ---- whatever happens ------------------------------------------------------------------------------------------- */

#define TICKETS 40
struct chaos {
    struct world *w;
    uint64_t seed;
    struct ticket t[TICKETS];
    nsec waits_since[TICKETS];
};

static unsigned roll(struct chaos *c, unsigned n)
{
    c->seed ^= c->seed << 13;
    c->seed ^= c->seed >> 7;
    c->seed ^= c->seed << 17;
    return (unsigned)(c->seed % n);
}

static const char *models[] = { KEY("x:1"), KEY("y:1"), KEY("z:1"), KEY("nobody:1"), NULL };

static void fill_ticket(struct chaos *c, struct ticket *t)
{
    *t = ticket_for(models[roll(c, ARRAY_LEN(models))]);
    t->retry_counts = roll(c, 5) == 0;
    t->ollama_only = roll(c, 5) == 0;
    if (roll(c, 4) == 0)
        t->deadline = c->w->now + MSEC(roll(c, 3000));
    if (roll(c, 6) == 0)
        t->pin_id = 1 + roll(c, 8);
    if (roll(c, 4) == 0)
        t->tried[t->tried_n++] = 1 + roll(c, (unsigned)MIN(c->w->f->last_id, 8u)); /* nobody has tried one to come */
}

static void ask(struct chaos *c, unsigned i)
{
    fill_ticket(c, &c->t[i]);
    c->waits_since[i] = c->w->now;
    world_ask(c->w, &c->t[i]);
}

static void check_counts(struct chaos *c)
{
    struct fleet *f = c->w->f;
    uint64_t out = 0, in = 0, waiting = 0;
    for (unsigned i = 0; i < TICKETS; i++) {
        out += c->t[i].lease.node != NULL;
        waiting += c->t[i].waiting;
        if (c->t[i].waiting) {
            assert_int_equal(c->t[i].verdict, VERDICT_WAITS);
            assert_true(c->w->now - MSEC(20) < c->t[i].deadline);
            assert_true(c->t[i].number || c->w->now <= c->waits_since[i] + SECOND(3) + MSEC(20));
        }
    }
    for (uint32_t i = 0; i < f->places; i++)
        in += f->node[i] ? f->node[i]->inflight : 0;
    assert_int_equal(in, out);
    assert_int_equal(waiting, f->waiting_n + f->queued_n);
}

static void ticket_event(struct chaos *c, unsigned i)
{
    static const enum fail ends[] = {
        OK, OK, OK, FAIL_upstream_busy, FAIL_connect_refused, FAIL_upstream_no_model, FAIL_upstream_cut
    };
    struct ticket *t = &c->t[i];
    if (t->waiting || (t->lease.node && roll(c, 8) == 0)) {
        if (roll(c, 2) == 0) {
            orders_init(&c->w->out);
            fleet_cancel(c->w->f, t, c->w->now, &c->w->out);
            carry_out(c->w);
        }
    } else if (t->lease.node) {
        world_end(c->w, t, ends[roll(c, ARRAY_LEN(ends))]);
    } else {
        ask(c, i);
    }
}

static void machine_event(struct chaos *c)
{
    static const enum fail fails[] = { OK, OK, OK, FAIL_connect_refused, FAIL_first_byte_timeout, FAIL_tls_failed };
    static const char *has[] = { "x:1", "x:1 y:1", "y:1 z:1", "" };
    struct machine *m = &c->w->machine[roll(c, c->w->machines)];
    m->silent = roll(c, 6) == 0;
    m->unresolvable = roll(c, 10) == 0;
    m->fails = fails[roll(c, ARRAY_LEN(fails))];
    models_body(m->tags, sizeof m->tags, has[roll(c, ARRAY_LEN(has))]);
    if (!m->silent)
        world_miss(c->w, OK);
}

static void operator_event(struct chaos *c)
{
    struct machine *m = &c->w->machine[roll(c, c->w->machines)];
    struct node_change change = {
        .weight = roll(c, 3), .slots = -2, .vram = roll(c, 3) - 1, .drain = (int)roll(c, 3) - 1
    };
    struct node_spec spec = { .url = str_of(m->host), .slots = -1 };
    const char *why;
    uint64_t id;
    orders_init(&c->w->out);
    switch (roll(c, 3)) {
    case 0: fleet_change(c->w->f, str_of(m->host), &change, c->w->now, &c->w->out); break;
    case 1: fleet_remove(c->w->f, str_of(m->host), c->w->now, &c->w->out); break;
    default: fleet_add(c->w->f, &spec, true, c->w->now, &id, &why, &c->w->out); break;
    }
    carry_out(c->w);
}

static void step(struct chaos *c)
{
    switch (roll(c, 20)) {
    case 0: machine_event(c); break;
    case 1: operator_event(c); break;
    case 2:
    case 3: world_elapse(c->w, MSEC(10)); break;
    case 4: world_tasks_end(c->w, roll(c, 4) ? OK : FAIL_load_failed, "too large"); break;
    default: ticket_event(c, roll(c, TICKETS)); break;
    }
    check_counts(c);
}

static void begin(struct chaos *c, uint64_t seed)
{
    char host[16];
    *c = (struct chaos){ .w = world_new(), .seed = seed };
    for (unsigned i = 0; i < 6; i++) {
        snprintf(host, sizeof host, i % 2 ? "gpu%u" : "10.0.0.%u", i + 1);
        world_machine(c->w, host, "x:1 y:1")->kind = i == 5 ? NODE_VLLM : NODE_OLLAMA;
        world_add(c->w, host);
    }
}

static void finish(struct chaos *c)
{
    for (unsigned i = 0; i < TICKETS; i++)
        if (c->t[i].lease.node || c->t[i].waiting) {
            orders_init(&c->w->out);
            fleet_cancel(c->w->f, &c->t[i], c->w->now, &c->w->out);
            carry_out(c->w);
        }
    for (uint32_t i = 0; i < c->w->f->places; i++)
        assert_true(!c->w->f->node[i] || c->w->f->node[i]->inflight == 0);
    world_free(c->w); /* assumes that nothing is left */
}

static void nothing_is_lost_or_doubled(void **state)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct chaos c;
        begin(&c, seed * 0x9E3779B97F4A7C15u);
        for (unsigned i = 0; i < 1500; i++)
            step(&c);
        finish(&c);
    }
}

/* The same seed is the same run. */
static uint64_t trace(uint64_t seed)
{
    struct chaos c;
    uint64_t sum = 0;
    begin(&c, seed);
    for (unsigned i = 0; i < 1500; i++) {
        step(&c);
        for (unsigned k = 0; k < TICKETS; k++)
            sum = sum * 31 + (c.t[k].lease.node ? c.t[k].lease.node->id : 0) + (uint64_t)c.t[k].refused;
    }
    finish(&c);
    return sum;
}
static void the_same_seed_is_the_same_run(void **state)
{
    assert_int_equal(trace(42), trace(42));
}

/* ---- threads ---------------------------------------------------------------------------------------------------- */

struct busy {
    struct world *w;
    uint64_t granted;
};

static void *ask_and_end(void *arg)
{
    struct busy *b = arg;
    for (unsigned i = 0; i < 20000; i++) {
        struct ticket t = ticket_for(KEY("x:1"));
        struct orders o;
        orders_init(&o);
        struct attempt_end end = { .why = OK, .status = 200 };
        if (fleet_ask(b->w->f, &t, b->w->now, &o) != VERDICT_GRANTED)
            continue;
        b->granted++;
        fleet_end(b->w->f, &t.lease, &end, b->w->now, &o);
    }
    return NULL;
}

static void *look_and_tell(void *arg)
{
    struct world *w = arg;
    for (unsigned i = 0; i < 300; i++) {
        struct view *v = fleet_view(w->f, i % VIEWS, 0);
        view_unref(&v);
        struct fleet_snapshot *s = fleet_snapshot(w->f, w->now);
        fleet_snapshot_free(&s);
        models_body(w->machine[0].tags, sizeof w->machine[0].tags, i % 2 ? "x:1" : "x:1 y:1");
        orders_init(&w->out);
        fleet_refresh(w->f, 0, w->now, &w->out);
        carry_out(w);
    }
    return NULL;
}

static void any_thread_may_call(void **state)
{
    struct world *w = world_new();
    world_node(w, "gpu1", "x:1"), world_node(w, "gpu2", "x:1");
    world_settle(w);
    struct busy busy[2] = { { .w = w }, { .w = w } };
    pthread_t thread[3];
    pthread_create(&thread[0], NULL, ask_and_end, &busy[0]);
    pthread_create(&thread[1], NULL, ask_and_end, &busy[1]);
    pthread_create(&thread[2], NULL, look_and_tell, w);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    uint64_t requests = 0;
    for (uint32_t i = 0; i < w->f->places; i++) {
        assert_int_equal(w->f->node[i]->inflight, 0);
        requests += w->f->node[i]->requests;
    }
    assert_int_equal(requests, 40000);
    assert_int_equal(busy[0].granted + busy[1].granted, 40000);
    world_free(w);
}

int main(void)
{
    pools_init();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_what_ended),          cmocka_unit_test(settings_change_while_it_runs),
        cmocka_unit_test(the_lock_is_counted),        cmocka_unit_test(memory_runs_out_at_birth),
        cmocka_unit_test(nothing_is_lost_or_doubled), cmocka_unit_test(the_same_seed_is_the_same_run),
        cmocka_unit_test(any_thread_may_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
