/* fleet/scheduler_property_test.c - random events, and what must hold after each of them, whatever the policy.
 *
 * The test keeps its own books: what it asked, what was granted, refused, ended, left to stop. Beside that: every
 * ticket is granted or refused at most once; grants go to nodes that are up, have the model loaded, and have a slot
 * free by the test's own count; nobody waits while a slot is free that it could use, but for the rule of 0.6. */
#include "base/slab.h"
#include "fleet/scheduler_fixture.h"
#include <math.h>

enum { NODES = 6, MODELS = 4, SLOTS = 2, HELD = 2, TICKETS = 256 };
enum fate { UNKNOWN, WAITS, SERVED, STOPPING, GONE };

static struct book {
    uint64_t ticket;
    enum fate fate;
    uint32_t model, node;
    double until; /* while it stops, in the scheduler's seconds */
} book[TICKETS];
static uint32_t books, on_node[NODES];
static bool up[NODES], has[NODES][MODELS], loading[NODES][MODELS];
static uint32_t happened[ORDER_UNLOAD + 1]; /* so that no run is taken for good in which nothing happens */
static uint64_t chance;
static double now;

static uint32_t below(uint32_t n)
{
    chance += 0x9e3779b97f4a7c15;
    return (uint32_t)(mix(chance) % n);
}

static struct book *entry(uint64_t ticket)
{
    for (uint32_t i = 0; i < books; i++)
        if (book[i].ticket == ticket)
            return &book[i];
    return NULL;
}

/* ---- the books --------------------------------------------------------------------------------------------------- */

static void note_grant(const struct scheduler_order *o)
{
    struct book *b = entry(o->ticket);
    assert_non_null(b);
    assert_int_equal(b->fate, WAITS);
    assert_true(up[o->node]);
    assert_true(has[o->node][o->model]);
    assert_int_equal(b->model, o->model);
    b->fate = SERVED, b->node = o->node;
    assert_true(++on_node[o->node] <= SLOTS);
}

/* 0 and 1 are siblings. */
static bool are_siblings(uint32_t a, uint32_t b)
{
    return a != b && a < 2 && b < 2;
}

static bool is_busy(uint32_t node, uint32_t model)
{
    for (uint32_t i = 0; i < books; i++)
        if ((book[i].fate == SERVED || book[i].fate == STOPPING) && book[i].node == node && book[i].model == model)
            return true;
    return false;
}

static void note_load(const struct scheduler_order *o)
{
    assert_true(up[o->node] && !has[o->node][o->model]);
    for (uint32_t m = 0; m < MODELS; m++) {
        assert_false(loading[o->node][m]);
        if (has[o->node][m] && are_siblings(m, o->model)) {
            assert_false(is_busy(o->node, m));
            has[o->node][m] = false;
        }
    }
    loading[o->node][o->model] = true;
}

static void note(const struct scheduler_order *o)
{
    happened[o->verb]++;
    switch (o->verb) {
    case ORDER_GRANT: note_grant(o); break;
    case ORDER_REFUSE:
        assert_int_equal(entry(o->ticket)->fate, WAITS);
        entry(o->ticket)->fate = GONE;
        break;
    case ORDER_LOAD: note_load(o); break;
    case ORDER_UNLOAD:
        assert_true(has[o->node][o->model]);
        assert_false(is_busy(o->node, o->model));
        has[o->node][o->model] = false;
        break;
    }
}

/* A turn ends those whose time to stop is over, no others. */
static void turn_over(void)
{
    turn(now);
    for (uint32_t i = 0; i < books; i++)
        if (book[i].fate == STOPPING && book[i].until <= seconds(fleet, at(now)))
            book[i].fate = GONE, on_node[book[i].node]--;
}

static void take_notes(void)
{
    for (uint32_t i = 0; i < orders.n; i++)
        note(&orders.order[i]);
    while (orders.more) {
        turn_over();
        for (uint32_t i = 0; i < orders.n; i++)
            note(&orders.order[i]);
    }
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static struct book *any_with(enum fate fate)
{
    uint32_t from = books ? below(books) : 0;
    for (uint32_t i = 0; i < books; i++)
        if (book[(from + i) % books].fate == fate)
            return &book[(from + i) % books];
    return NULL;
}

static struct book *new_entry(void)
{
    struct book *b = books < TICKETS ? &book[books++] : any_with(GONE);
    if (b)
        b->fate = UNKNOWN, b->ticket = 0;
    return b;
}

static void do_ask(void)
{
    struct scheduler_ask a = usual_ask(below(MODELS), below(4) ? below(2000) : below(30000));
    struct prefix_hint hint = { below(NODES), below(a.prompt_tokens + 1) };
    uint32_t tried = below(NODES);
    a.tenant = below(3), a.band = (enum band)below(3), a.key = below(1000), a.output_tokens = 1 + below(500);
    a.hint = &hint, a.hints = below(2);
    a.not_on = &tried, a.not_on_n = below(10) == 0;
    a.deadline = below(10) ? NEVER : at(now + below(30));
    struct book *b = new_entry();
    if (!b)
        return;
    *b = (struct book){ .model = a.model, .fate = WAITS };
    b->ticket = ask_with(&a, now);
    if (!b->ticket)
        b->fate = GONE;
}

static void do_end(void)
{
    struct book *b = any_with(SERVED);
    struct scheduler_figures f = { .failed = below(10) == 0,
                                   .output_tokens = 1 + below(800),
                                   .prefill_tokens = 100,
                                   .prefill_took = MSEC(10 + below(100)),
                                   .decode_took = MSEC(100 + below(9000)) };
    if (!b)
        return;
    b->fate = GONE;
    on_node[b->node]--;
    scheduler_orders_init(&orders);
    assert_true(scheduler_end(fleet, b->ticket, &f, at(now), &orders));
}

static void do_end_again(void)
{
    struct book *b = any_with(GONE);
    if (b && b->ticket)
        assert_false(end(b->ticket, now));
}

static void do_first(void)
{
    struct book *b = any_with(SERVED);
    if (b)
        scheduler_first(fleet, b->ticket, at(now));
}

static void do_cancel(void)
{
    struct book *b = any_with(below(4) ? WAITS : SERVED);
    if (!b)
        return;
    on_node[b->node] -= b->fate == SERVED;
    b->fate = GONE;
    scheduler_orders_init(&orders);
    assert_true(scheduler_cancel(fleet, b->ticket, at(now), &orders));
}

static void do_drain_one(struct book *b)
{
    scheduler_orders_init(&orders);
    assert_true(scheduler_drain(fleet, b->ticket, at(now), &orders));
    if (b->fate == WAITS) {
        b->fate = GONE;
        return;
    }
    b->fate = STOPPING, b->until = fleet->job[job_of(fleet, b->ticket)].expected_end;
    assert_true(orders.next_turn <= moment(fleet, b->until));
}

static void do_drain(void)
{
    struct book *b = any_with(below(6) ? SERVED : WAITS);
    if (b)
        do_drain_one(b);
}

static void do_prove(void)
{
    struct book *b = any_with(STOPPING);
    if (!b)
        return;
    scheduler_orders_init(&orders);
    on_node[b->node]--;
    b->fate = GONE;
    assert_true(below(2) ? end(b->ticket, now) : scheduler_cancel(fleet, b->ticket, at(now), &orders));
}

static void do_refuse(void)
{
    uint32_t m = below(MODELS);
    scheduler_orders_init(&orders);
    scheduler_refuse_waiting(fleet, m, FAIL_load_timeout, at(now), &orders);
    take_notes();
    for (uint32_t i = 0; i < books; i++)
        assert_false(book[i].fate == WAITS && book[i].model == m);
    scheduler_orders_init(&orders);
}

static bool is_needed(uint32_t model)
{
    bool needed = false;
    for (uint32_t i = 0; i < books; i++)
        needed |= book[i].model == model && book[i].fate != GONE && book[i].fate != UNKNOWN;
    for (uint32_t n = 0; n < NODES; n++)
        needed |= loading[n][model];
    return needed;
}

/* The number is used for another model then. */
static void do_forget(void)
{
    uint32_t m = below(MODELS);
    assert_int_equal(scheduler_forget_model(fleet, m, at(now)), !is_needed(m));
    if (is_needed(m))
        return;
    scheduler_model(fleet, m, 4000000000, SCHEDULER_POLICIES, m < 2 ? 5 : 0);
    for (uint32_t n = 0; n < NODES; n++) {
        has[n][m] = false;
        scheduler_orders_init(&orders);
        scheduler_holds(fleet, n, m, true, SLOTS_TOLD, 0, at(now), &orders);
        take_notes();
    }
    scheduler_orders_init(&orders);
}

static void do_grow(void)
{
    struct scheduler_room *room = scheduler_room_new(fleet->nodes_max + 1, fleet->models_max + 1);
    assert_non_null(room);
    scheduler_move(fleet, room);
    scheduler_room_free(&room);
}

static void do_load_end(void)
{
    uint32_t n = below(NODES), m = 0;
    bool good = below(5) > 0;
    while (m < MODELS && !loading[n][m])
        m++;
    if (m == MODELS)
        return;
    loading[n][m] = false;
    has[n][m] = good;
    scheduler_orders_init(&orders);
    scheduler_loaded(fleet, n, m, good, SECOND(3), at(now), &orders);
}

static void do_node(void)
{
    uint32_t n = below(NODES);
    struct scheduler_node is = usual_node(n, SLOTS);
    is.held = HELD, is.weight = 0.5 + below(4), is.share = below(3) ? 1 : 0.3;
    is.up = up[n] = below(3) > 0;
    if (!up[n])
        memset(has[n], 0, sizeof has[n]), memset(loading[n], 0, sizeof loading[n]);
    scheduler_orders_init(&orders);
    scheduler_node(fleet, n, &is, at(now), &orders);
}

static void do_bar(void)
{
    uint32_t n = below(NODES), m = below(MODELS);
    scheduler_orders_init(&orders);
    scheduler_bar(fleet, n, m, below(4) == 0, at(now), &orders);
}

static void do_turn(void)
{
    turn_over();
}

static const struct {
    uint32_t share;
    void (*happens)(void);
} events[] = {
    {40,  do_ask      },
    { 30, do_end      },
    { 2,  do_end_again},
    { 10, do_first    },
    { 5,  do_cancel   },
    { 8,  do_load_end },
    { 1,  do_node     },
    { 1,  do_bar      },
    { 5,  do_turn     },
    { 8,  do_drain    },
    { 2,  do_prove    },
    { 1,  do_refuse   },
    { 2,  do_forget   },
    { 1,  do_grow     },
};

/* ---- what must hold ---------------------------------------------------------------------------------------------- */

/* The first waiter of a model could be served, and does not wait for a busy node that is much nearer. */
static bool waits_for_nothing(uint32_t model)
{
    fleet->pass++;
    uint32_t job = queue_next(fleet, model, seconds(fleet, at(now)));
    if (job == NONE)
        return false;
    const struct job *j = &fleet->job[job];
    float free = INFINITY, busy = INFINITY;
    eta_score(fleet, j, seconds(fleet, at(now)));
    for (uint32_t n = 0; n < NODES; n++) {
        bool can = up[n] && has[n][model] && !fleet->pair[at_pair(fleet, n, model)].barred &&
                   !fleet->pair[at_pair(fleet, n, model)].leaving && policy_may(fleet, j, n);
        if (can && on_node[n] < SLOTS)
            free = fminf(free, fleet->t[n]);
        else if (can)
            busy = fminf(busy, fleet->t[n]);
    }
    bool may_wait = fleet->settings.policy == SCHEDULER_eta && busy < 0.6f * free;
    return free < INFINITY && !may_wait;
}

static void check(void)
{
    const char *why = "";
    if (!scheduler_sound(fleet, at(now), &why))
        fail_msg("%s", why);
    for (uint32_t n = 0; n < NODES; n++)
        assert_int_equal(scheduler_inflight(fleet, n, SCHEDULER_NONE), on_node[n]);
    turn_over();
    take_notes();
    for (uint32_t m = 0; m < MODELS; m++)
        assert_false(waits_for_nothing(m));
}

static void happen(void)
{
    uint32_t sum = 0, which = 0;
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        sum += events[i].share;
    for (uint32_t at_share = below(sum); at_share >= events[which].share; which++)
        at_share -= events[which].share;
    scheduler_orders_init(&orders);
    events[which].happens();
    take_notes();
}

/* At the end nothing is in flight: what the test did not end has stopped. */
static void end_all(void)
{
    for (struct book *b; (b = any_with(SERVED)) || any_with(STOPPING); now += b ? 0.01 : 100) {
        scheduler_orders_init(&orders);
        if (!b)
            turn_over();
        else if (below(2))
            on_node[b->node]--, b->fate = GONE, assert_true(end(b->ticket, now));
        else
            do_drain_one(b);
        take_notes();
    }
    for (uint32_t n = 0; n < NODES; n++)
        assert_int_equal(scheduler_inflight(fleet, n, SCHEDULER_NONE), 0);
    assert_int_equal(fleet->first_stopping, NONE);
}

static void run(enum scheduler_policy policy, uint64_t seed, uint32_t n)
{
    fleet_begin(NODES, MODELS, policy);
    fleet->settings.bound = 12;
    chance = seed, now = 1, books = 0;
    memset(on_node, 0, sizeof on_node), memset(has, 0, sizeof has), memset(loading, 0, sizeof loading);
    for (uint32_t m = 0; m < MODELS; m++)
        scheduler_model(fleet, m, 4000000000, SCHEDULER_POLICIES, m < 2 ? 5 : 0);
    for (uint32_t i = 0; i < NODES; i++) {
        struct scheduler_node is = usual_node(i, SLOTS);
        is.held = HELD;
        up[i] = true;
        add_node(i, &is);
    }
    while (n--) {
        now += below(1000) / 2000.0;
        happen();
        check();
    }
    end_all();
    scheduler_free(&fleet);
}

static void eta_holds(void **state)
{
    memset(happened, 0, sizeof happened);
    for (uint64_t seed = 1; seed <= 12; seed++)
        run(SCHEDULER_eta, seed, 2000);
    for (unsigned verb = 0; verb < ARRAY_LEN(happened); verb++)
        assert_true(happened[verb] > 50);
}

static void every_policy_holds(void **state)
{
    for (unsigned p = 0; p < SCHEDULER_POLICIES; p++)
        for (uint64_t seed = 1; seed <= 3; seed++)
            run((enum scheduler_policy)p, 100 + seed, 1500);
}

static void no_memory_is_no_scheduler(void **state)
{
    struct scheduler_settings set;
    scheduler_settings_default(&set);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        memory_fail_at(nth);
        assert_null(scheduler_new(&set, 0));
    }
    memory_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eta_holds),
        cmocka_unit_test(every_policy_holds),
        cmocka_unit_test(no_memory_is_no_scheduler),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
