/* A Redis on the road, played: one that answers, is slow, breaks off, says nonsense, and sends elsewhere. Whatever it
 * does, the client gets its answer. */
#include "gateway/shared.h"
#include "talk.h"

/* ---- the actor --------------------------------------------------------------------------------------------------- */

enum mood { ANSWERS, SILENT, WRONG_TYPE, GARBAGE, LOADING, FULL, MOVES, ASKS };
#define KEPT 8
struct actor {
    struct addr at;
    enum mood mood; /* of GET and SET; the rest is answered */
    nsec delay;
    const char *elsewhere; /* "10.0.0.2:6379" */
    struct kept {
        char key[100], value[KIB(4)];
        size_t n;
    } kept[KEPT];
    unsigned kept_n, gets, sets, pings, asked;
    uint64_t cut; /* the next reply to GET breaks off after so many bytes; NO_CUT: does not */
};
static struct actor redis, other;

struct letter {
    struct peer *to;
    size_t n;
    char bytes[KIB(6)];
};

static void delivered(void *arg)
{
    struct letter *l = arg;
    if (peer_is_open(l->to))
        peer_send(l->to, (struct str){ l->bytes, l->n });
    free(l);
}

static void reply(struct peer *p, struct str bytes)
{
    const struct actor *a = p->arg;
    struct letter *l = calloc(1, sizeof *l);
    assert_true(bytes.n <= sizeof l->bytes);
    l->to = p;
    l->n = bytes.n;
    memcpy(l->bytes, bytes.p, bytes.n);
    if (a->delay)
        world_after(a->delay, delivered, l);
    else
        delivered(l);
}

static void says_redis(struct peer *p, const char *text)
{
    reply(p, str_of(text));
}

static struct kept *kept_under(struct actor *a, struct str key)
{
    for (unsigned i = 0; i < a->kept_n; i++)
        if (str_eq(str_of(a->kept[i].key), key))
            return &a->kept[i];
    return NULL;
}

static bool moody(struct peer *p)
{
    const struct actor *a = p->arg;
    char text[80];
    switch (a->mood) {
    case ANSWERS: return false;
    case SILENT: break;
    case WRONG_TYPE: says_redis(p, "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"); break;
    case GARBAGE: says_redis(p, "HTTP/1.1 400 Bad Request\r\n\r\n"); break;
    case LOADING: says_redis(p, "-LOADING Redis is loading the dataset in memory\r\n"); break;
    case FULL: says_redis(p, "-OOM command not allowed when used memory > 'maxmemory'.\r\n"); break;
    case MOVES:
    case ASKS:
        snprintf(text, sizeof text, "-%s 1 %s\r\n", a->mood == MOVES ? "MOVED" : "ASK", a->elsewhere);
        says_redis(p, text);
    }
    return true;
}

static void gets(struct peer *p, struct str key)
{
    struct actor *a = p->arg;
    struct kept *k = kept_under(a, key);
    char text[KIB(5)];
    int n;
    a->gets++;
    if (moody(p))
        return;
    if (!k) {
        says_redis(p, "$-1\r\n");
        return;
    }
    n = snprintf(text, sizeof text, "$%zu\r\n", k->n);
    memcpy(text + n, k->value, k->n);
    memcpy(text + n + k->n, "\r\n", 2);
    struct str whole = { text, (size_t)n + k->n + 2 };
    reply(p, str_take(whole, a->cut));
    if (a->cut != NO_CUT)
        peer_close(p, CLOSE_FIN);
}

static void sets(struct peer *p, struct str key, struct str value)
{
    struct actor *a = p->arg;
    struct kept *k = kept_under(a, key);
    a->sets++;
    if (moody(p))
        return;
    if (!k) {
        assert_true(a->kept_n < KEPT && value.n <= sizeof k->value);
        k = &a->kept[a->kept_n++];
        *put_str(k->key, key) = 0;
    }
    memcpy(k->value, value.p, value.n);
    k->n = value.n;
    says_redis(p, "+OK\r\n");
}

static void obeys(struct peer *p, const struct str *args)
{
    struct actor *a = p->arg;
    if (str_eq(args[0], STR("GET"))) {
        gets(p, args[1]);
    } else if (str_eq(args[0], STR("SET"))) {
        sets(p, args[1], args[2]);
    } else if (str_eq(args[0], STR("PING"))) {
        a->pings++;
        says_redis(p, "+PONG\r\n");
    } else if (str_eq(args[0], STR("HGETALL"))) {
        says_redis(p, "*2\r\n$2\r\nid\r\n$2\r\n1f\r\n");
    } else if (str_eq(args[0], STR("ASKING"))) {
        a->asked++;
        says_redis(p, "+OK\r\n");
    } else {
        says_redis(p, "-ERR unknown\r\n");
    }
}

/* One command: its arguments, and how many bytes it takes; 0: not whole yet. */
static size_t parse(struct str in, struct str args[8])
{
    struct str rest = in;
    uint64_t n, bytes;
    struct str line = str_cut(&rest, '\n');
    if (rest.n == 0 && (!in.n || in.p[in.n - 1] != '\n'))
        return 0;
    assert_true(str_u64(str_drop(str_take(line, line.n - 1), 1), &n) && n <= 8);
    for (unsigned i = 0; i < n; i++) {
        line = str_cut(&rest, '\n');
        if (!rest.n)
            return 0;
        assert_true(str_u64(str_drop(str_take(line, line.n - 1), 1), &bytes));
        if (rest.n < bytes + 2)
            return 0;
        args[i] = str_take(rest, bytes);
        rest = str_drop(rest, bytes + 2);
    }
    return in.n - rest.n;
}

static void on_data(struct peer *p)
{
    struct str args[8];
    size_t n;
    while (peer_is_open(p) && (n = parse(peer_received(p), args))) {
        obeys(p, args);
        peer_eat(p, n);
    }
}

static void on_accept(struct peer *p, void *arg)
{
    p->arg = arg;
    p->on_data = on_data;
}

static void enters(struct actor *a, const char *at)
{
    struct link quick = link_usual();
    *a = (struct actor){ .at = world_addr(at), .cut = NO_CUT };
    quick.delay_min = USEC(20);
    quick.delay_max = USEC(60);
    quick.segment_min = quick.segment_max = KIB(16);
    world_link(&a->at, &quick);
    world_listen(&a->at, on_accept, a);
}

/* ---- the play ---------------------------------------------------------------------------------------------------- */

static struct peer *client;

static void begin_play(uint64_t seed)
{
    want_n = 0;
    client = NULL;
    pools_begin();
    world_new(seed);
    enters(&redis, "10.0.0.50:6379");
    enters(&other, "10.0.0.51:6379");
    open_gate(2, 0);
    atomic_load(&gate->settings)->redis = STR("redis://10.0.0.50:6379");
    for (unsigned i = 0; i < gate->workers; i++)
        shared_configure(gate->worker[i]);
    machines_n = 0;
    add_machine("n1");
    machines[0].serves = machines[0].apart = true;
    model_add(&machines[0], "m:latest");
    gateway_start(gate);
    know();
    world_elapse(SECOND(1));
}

static void end_play(void)
{
    world_elapse(SECOND(1));
    finish();
}

static struct redis_board_look look(void)
{
    struct redis_board_look l;
    assert_true(shared_look(gate, &l));
    return l;
}

static uint64_t counted(enum redis_count c)
{
    return look().count[c];
}

#define ONE_PIECE                                                                                                      \
    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"word 0\"},\"done\":true,"                      \
    "\"done_reason\":\"stop\",\"eval_count\":7}"

static void asks(void)
{
    static const char body[] =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"stream\":false,"
        "\"options\":{\"temperature\":0}}";
    client = world_connect(&gate_at, NULL);
    peer_sendf(client, "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", strlen(body),
               body);
}

static bool has_nothing_to_do(void *arg)
{
    return !machines[0].whole && !machines[0].work && !got_whole(client);
}

/* The answer, from the node if it is asked. */
static bool node_was_asked(void)
{
    assert_true(world_run_while(has_nothing_to_do, NULL, SECOND(20)));
    struct peer **work = machines[0].whole ? &machines[0].whole : &machines[0].work;
    bool asked = *work != NULL;
    if (asked) {
        respond(*work, 200, ONE_PIECE);
        *work = NULL;
        world_elapse(MSEC(100));
    }
    assert_true(got_whole(client));
    assert_int_equal(status_of(client), 200);
    assert_non_null(strstr(got_text, "word 0"));
    return asked;
}

static bool node_answers(void)
{
    asks();
    bool asked = node_was_asked();
    peer_close(client, CLOSE_FIN);
    world_elapse(MSEC(20));
    return asked;
}

/* What lies in memory here goes; Redis is not told. */
static void forgets(void)
{
    cache_forget(gate->cache, CACHE_EVERYTHING);
}

/* An answer lies in Redis, and only there. */
static void warm_up(uint64_t seed)
{
    begin_play(seed);
    assert_true(node_answers());
    assert_int_equal(redis.kept_n, 1);
    assert_int_equal(counted(REDIS_stored), 1);
    forgets();
}

static void an_answer_that_lies_in_redis_needs_no_node(void **state)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        warm_up(seed);
        asks();
        assert_false(node_was_asked());
        assert_true(got(client, "Cache-Status: OllamaMax; hit; ttl="));
        assert_true(got(client, "; detail=shared\r\n"));
        assert_true(got(client, "X-OllamaMax-Node: n1\r\n"));
        peer_close(client, CLOSE_FIN);
        assert_int_equal(redis.gets, 2);
        assert_false(node_answers()); /* kept here now */
        assert_int_equal(redis.gets, 2);
        struct cache_stats s;
        cache_stats(gate->cache, &s);
        assert_int_equal(s.all.shared, 1);
        assert_int_equal(s.all.misses, 1); /* the one that stored it */
        assert_int_equal(s.all.hits, 1);
        assert_int_equal(s.all.requests, 3);
        end_play();
    }
}

/* Whatever came of it is no answer, and the next one is asked on a new connection. */
static void a_reply_that_breaks_off_anywhere_is_a_miss(void **state)
{
    warm_up(1);
    size_t whole = redis.kept[0].n + 8;
    end_play();
    for (size_t cut = 0; cut < whole; cut += 1 + whole / 90) {
        warm_up(cut);
        redis.cut = cut;
        assert_true(node_answers());
        redis.cut = NO_CUT;
        world_elapse(SECOND(2));
        forgets();
        assert_false(node_answers());
        end_play();
    }
}

static void one_that_is_slow_is_not_waited_for(void **state)
{
    warm_up(3);
    redis.delay = MSEC(20);
    asks();
    nsec began = world_now();
    assert_true(world_run_while(has_nothing_to_do, NULL, SECOND(1)));
    assert_true(world_now() - began < MSEC(20));
    assert_true(node_was_asked());
    peer_close(client, CLOSE_FIN);
    assert_int_equal(counted(REDIS_late), 1);
    for (unsigned i = 0; i < 20 && look().breaker != REDIS_OPEN; i++) {
        forgets();
        assert_true(node_answers());
    }
    assert_int_equal(look().breaker, REDIS_OPEN);
    unsigned asked = redis.gets;
    world_elapse(SECOND(3)); /* trials fail, and no request is one */
    assert_int_equal(redis.gets, asked);
    redis.delay = 0;
    world_elapse(SECOND(12));
    assert_int_equal(look().breaker, REDIS_CLOSED);
    forgets();
    assert_false(node_answers());
    end_play();
}

static void one_that_says_nothing_is_given_up(void **state)
{
    warm_up(4);
    redis.mood = SILENT;
    assert_true(node_answers());
    world_elapse(MSEC(1100));
    assert_int_not_equal(look().breaker, REDIS_CLOSED);
    redis.mood = ANSWERS;
    world_elapse(SECOND(3));
    forgets();
    assert_false(node_answers());
    end_play();
}

static void strange_replies_are_misses(void **state)
{
    static const enum mood moods[] = { WRONG_TYPE, GARBAGE, LOADING, FULL };
    for (unsigned i = 0; i < ARRAY_LEN(moods); i++) {
        warm_up(i);
        redis.mood = moods[i];
        assert_true(node_answers());
        redis.mood = ANSWERS;
        world_elapse(SECOND(2));
        forgets();
        assert_false(node_answers());
        end_play();
    }
}

static void what_is_damaged_there_is_replaced(void **state)
{
    warm_up(5);
    redis.kept[0].value[redis.kept[0].n / 2] ^= 1;
    assert_true(node_answers());
    assert_int_equal(counted(REDIS_damaged), 1);
    forgets();
    assert_false(node_answers());
    end_play();
}

static void a_key_that_has_moved_is_asked_for_there(void **state)
{
    static const enum mood moods[] = { MOVES, ASKS };
    for (unsigned i = 0; i < ARRAY_LEN(moods); i++) {
        warm_up(i);
        memcpy(other.kept, redis.kept, sizeof other.kept);
        other.kept_n = redis.kept_n;
        redis.mood = moods[i];
        redis.elsewhere = "10.0.0.51:6379";
        assert_true(node_answers()); /* there is no connection yet to the other */
        world_elapse(SECOND(1));
        forgets();
        assert_false(node_answers());
        assert_int_equal(other.asked > 0, moods[i] == ASKS);
        end_play();
    }
}

static void a_client_that_leaves_meanwhile_leaves_nothing_behind(void **state)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        warm_up(seed);
        redis.delay = MSEC(2);
        asks();
        world_elapse(USEC(200 * seed));
        peer_close(client, CLOSE_RESET);
        world_elapse(SECOND(1));
        assert_null(machines[0].work);
        assert_null(machines[0].whole);
        end_play();
    }
}

static void settings_without_a_redis_let_it_go(void **state)
{
    warm_up(6);
    asks();
    atomic_load(&gate->settings)->redis = STR_NONE;
    for (unsigned i = 0; i < gate->workers; i++)
        shared_configure(gate->worker[i]);
    assert_true(node_was_asked());
    peer_close(client, CLOSE_FIN);
    end_play();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_that_lies_in_redis_needs_no_node),
        cmocka_unit_test(a_reply_that_breaks_off_anywhere_is_a_miss),
        cmocka_unit_test(one_that_is_slow_is_not_waited_for),
        cmocka_unit_test(one_that_says_nothing_is_given_up),
        cmocka_unit_test(strange_replies_are_misses),
        cmocka_unit_test(what_is_damaged_there_is_replaced),
        cmocka_unit_test(a_key_that_has_moved_is_asked_for_there),
        cmocka_unit_test(a_client_that_leaves_meanwhile_leaves_nothing_behind),
        cmocka_unit_test(settings_without_a_redis_let_it_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
