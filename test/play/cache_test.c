/* The cache on the road, played: what is answered without a node, what is not, and what is never kept. */
#include "talk.h"

#define CROWD 1000
static struct peer *client[CROWD];
static struct record records[64];
static unsigned records_n;

static void recorded(const struct record *r, void *arg)
{
    if (r->owner == OWNER_CLIENT && records_n < ARRAY_LEN(records))
        records[records_n++] = *r;
}

static struct gateway_settings *settings(void)
{
    return atomic_load(&gate->settings);
}

static void begin_play(uint64_t seed, unsigned nodes)
{
    want_n = records_n = 0;
    memset(client, 0, sizeof client);
    pools_begin();
    world_new(seed);
    open_gate(3, 0);
    gate->on_record = recorded;
    machines_n = 0;
    for (unsigned i = 0; i < nodes; i++) {
        add_machine(i ? "n2" : "n1");
        machines[i].serves = machines[i].apart = true;
        model_add(&machines[i], "m:latest");
    }
    gateway_start(gate);
    know();
}

static void end_play(void)
{
    memory_fail_at(0);
    for (unsigned i = 0; i < CROWD; i++)
        if (client[i] && peer_is_open(client[i]))
            peer_close(client[i], CLOSE_FIN);
    world_elapse(SECOND(1));
    finish();
}

static struct cache_stats stats(void)
{
    struct cache_stats s;
    cache_stats(gate->cache, &s);
    return s;
}

/* ---- asking and answering ---------------------------------------------------------------------------------------- */

static struct peer *ask_with(const char *path, const char *fields, const char *body)
{
    struct peer *p = world_connect(&gate_at, NULL);
    peer_sendf(p, "POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n%s", path, fields, strlen(body),
               body);
    return p;
}

#define MESSAGES "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define COLD     "{\"model\":\"m\"," MESSAGES ",\"options\":{\"temperature\":0}}"
#define COLD_ONE "{\"model\":\"m\"," MESSAGES ",\"stream\":false,\"options\":{\"temperature\":0}}"
#define ONE_PIECE                                                                                                      \
    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"word 0\"},\"done\":true,"                      \
    "\"done_reason\":\"stop\",\"eval_count\":7}"

static struct peer *cold(void)
{
    return ask_with("/api/chat", "", COLD);
}

static bool has_no_whole(void *m)
{
    return !((struct machine *)m)->whole;
}

static void tells_one_piece(struct machine *m)
{
    assert_true(world_run_while(has_no_whole, m, SECOND(20)));
    respond(m->whole, 200, ONE_PIECE);
    m->whole = NULL;
}

static bool has_nothing(void *m)
{
    return !((struct machine *)m)->whole && !((struct machine *)m)->work;
}

/* The next streamed chat, from its beginning to its end. */
static void tells_all(struct machine *m, unsigned words)
{
    want_n = 0;
    await_work(m);
    opens(m);
    for (unsigned i = 0; i < words; i++)
        tells_word(m, i);
    tells_end(m);
    m->work = NULL;
    world_elapse(MSEC(50));
}

static void assert_said(struct peer *p, const char *status)
{
    char line[200];
    snprintf(line, sizeof line, "Cache-Status: OllamaMax; %s\r\n", status);
    if (!got(p, line))
        fail_msg("`%s` is not in: %.*s", line, (int)MIN(peer_received(p).n, 800u), peer_received(p).p);
}

static void assert_kept(struct peer *p)
{
    assert_got_all(p);
    assert_true(got(p, "Cache-Status: OllamaMax; hit; ttl="));
    assert_true(got(p, "\r\nAge: "));
    assert_true(got(p, "X-OllamaMax-Node: n1\r\n"));
    assert_false(got(p, "X-OllamaMax-Attempts"));
}

/* An answer is in the cache: one chat has been asked for it. */
static void warm_up(uint64_t seed, unsigned nodes)
{
    begin_play(seed, nodes);
    client[0] = cold();
    tells_all(&machines[0], 3);
    assert_got_all(client[0]);
    assert_said(client[0], "fwd=miss");
    assert_int_equal(stats().entries, 1);
}

/* ---- many at once ------------------------------------------------------------------------------------------------ */

static void crowd_asks(unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        client[i] = ask_with("/api/chat", "", i % 4 == 3 ? COLD_ONE : COLD);
        if (i % 50 == 0)
            world_elapse(MSEC(5)); /* the first leads; and the listener's queue would overflow */
    }
}

static void assert_crowd_is_whole(unsigned from)
{
    for (unsigned i = from; i < CROWD; i++)
        if (i % 4 == 3)
            assert_got_one_piece(client[i]);
        else
            assert_got_all(client[i]);
}

static unsigned busy_workers(void)
{
    unsigned busy = 0;
    for (unsigned i = 0; i < 3; i++)
        busy += gate->worker[i]->n_exchanges > 50;
    return busy;
}

/* One request for all of them. In the last half many come; the first to ask leaves if `leaves`. */
static void a_crowd(uint64_t seed, bool leaves)
{
    begin_play(seed, 1);
    crowd_asks(0, CROWD / 2);
    await_work(&machines[0]);
    world_elapse(MSEC(100));
    assert_int_equal(busy_workers(), 3);
    opens(&machines[0]);
    for (unsigned i = 0; i < 20; i++) {
        tells_word(&machines[0], i);
        world_elapse(MSEC(seed % 4));
    }
    if (leaves)
        peer_close(client[0], seed % 2 ? CLOSE_RESET : CLOSE_FIN);
    crowd_asks(CROWD / 2, CROWD);
    world_elapse(MSEC(20));
    assert_false(machines[0].closed_on_us);
    for (unsigned i = 20; i < 40; i++)
        tells_word(&machines[0], i);
    tells_end(&machines[0]);
    machines[0].work = NULL;
    world_elapse(SECOND(1));
    assert_crowd_is_whole(leaves);
    assert_int_equal(machines[0].chats, 1);
    assert_int_equal(stats().entries, 1);
    assert_int_equal(stats().all.misses, 1);
    assert_int_equal(stats().all.joins, CROWD - 1);
    end_play();
}

static void a_thousand_ask_and_a_node_is_asked_once(void **state)
{
    for (uint64_t seed = 0; seed < 3; seed++)
        a_crowd(seed, false);
}

static void the_first_leaves_and_nobody_notices(void **state)
{
    for (uint64_t seed = 0; seed < 2; seed++)
        a_crowd(seed, true);
}

static void a_node_that_dies_is_told_to_all_and_nothing_is_kept(void **state)
{
    begin_play(1, 1);
    crowd_asks(0, 100);
    await_work(&machines[0]);
    world_elapse(MSEC(100));
    opens(&machines[0]);
    for (unsigned i = 0; i < 20; i++)
        tells_word(&machines[0], i);
    world_elapse(MSEC(50));
    goes_away(&machines[0]);
    world_elapse(SECOND(5));
    for (unsigned i = 0; i < 100; i++) {
        assert_true(got_whole(client[i]));
        if (i % 4 == 3) {
            assert_true(status_of(client[i]) >= 502);
            assert_true(str_starts(str_of(got_text), STR("{\"error\":")));
            continue;
        }
        assert_memory_equal(got_text, want, want_n);
        assert_true(str_starts(str_of(got_text + want_n), STR("{\"error\":")));
    }
    assert_int_equal(stats().entries, 0);
    assert_int_equal(stats().flights, 0);
    end_play();
}

static void a_flight_that_nobody_waits_for_ends(void **state)
{
    EACH_SEED
    {
        begin_play(seed, 1);
        client[0] = cold();
        client[1] = cold();
        await_work(&machines[0]);
        peer_close(client[seed % 2], CLOSE_FIN);
        world_elapse(MSEC(20));
        assert_false(machines[0].closed_on_us);
        peer_close(client[1 - seed % 2], CLOSE_FIN);
        await_true(&machines[0].closed_on_us);
        world_elapse(MSEC(20));
        assert_int_equal(stats().flights, 0);
        assert_int_equal(stats().entries, 0);
        end_play();
    }
}

/* ---- again ------------------------------------------------------------------------------------------------------- */

static void the_second_is_answered_from_memory(void **state)
{
    EACH_SEED
    {
        warm_up(seed, 1);
        world_elapse(SECOND(2));
        goes_away(&machines[0]);
        client[1] = cold();
        client[2] = ask_with("/api/chat", "",
                             "{\"options\": {\"temperature\":0.0}, \"stream\" : true, \"keep_alive\":\"5m\","
                             " \"messages\":[{\"content\":\"h\\u0069\",\"role\":\"user\"}],\"model\":\"M:latest\"}");
        world_elapse(MSEC(200));
        assert_kept(client[1]);
        assert_true(got(client[1], "\r\nAge: 2\r\n"));
        assert_true(got_whole(client[2]));
        assert_true(got(client[2], "; hit; ttl="));
        assert_non_null(strstr(got_text, "\"model\":\"M:latest\""));
        assert_int_equal(machines[0].chats, 1);
        assert_int_equal(records[0].cache, CACHED_MISS);
        assert_int_equal(records[0].attempts, 1);
        assert_int_equal(records[1].cache, CACHED_HIT);
        assert_int_equal(records[1].attempts, 0);
        end_play();
    }
}

static void what_differs_is_asked_anew(void **state)
{
    static const struct {
        const char *path, *fields, *body;
    } others[] = {
        {"/api/chat",             "",                          "{\"model\":\"m\"," MESSAGES ",\"options\":{\"temperature\":0,\"seed\":1}}"         },
        { "/api/chat",            "",                          "{\"model\":\"m\"," MESSAGES ",\"format\":\"json\",\"options\":{\"temperature\":0}}"},
        { "/api/chat",            "X-OllamaMax-Tenant: t\r\n", COLD                                                                                },
        { "/v1/chat/completions", "",                          "{\"model\":\"m\"," MESSAGES ",\"temperature\":0,\"stream\":true}"                  },
    };
    for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
        warm_up(i, 1);
        client[1] = ask_with(others[i].path, others[i].fields, others[i].body);
        await_work(&machines[0]);
        assert_int_equal(machines[0].chats, 2);
        end_play();
    }
}

static void a_strangers_tenant_is_the_common_one(void **state)
{
    warm_up(1, 1);
    client[1] = ask_with("/api/chat", "X-OllamaMax-Tenant: t\r\nX-Forwarded-For: 1.2.3.4\r\n", COLD);
    world_elapse(MSEC(100));
    assert_kept(client[1]);
    settings()->cache_is_shared = true;
    client[2] = ask_with("/api/chat", "X-OllamaMax-Tenant: t\r\n", COLD);
    world_elapse(MSEC(100));
    assert_kept(client[2]);
    end_play();
}

static void chance_is_not_kept(void **state)
{
    static const struct {
        const char *path, *fields, *body, *why;
    } asks[] = {
        {"/api/chat",             "",                            "{\"model\":\"m\"," MESSAGES "}",                           "temperature"},
        { "/v1/chat/completions", "",                            "{\"model\":\"m\"," MESSAGES ",\"stream\":true}",           "temperature"},
        { "/api/chat",            "",                            "{\"model\":\"m\"," MESSAGES ",\"options\":{\"seed\":-1}}", "no-seed"    },
        { "/api/chat",            "Cache-Control: no-store\r\n", COLD,                                                       "no-store"   },
        { "/api/chat",            "X-OllamaMax-Node: n1\r\n",    COLD,                                                       "node"       },
        { "/api/chat",            "",
         "{\"model\":\"m\"," MESSAGES
          ",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"options\":{\"temperature\":0}}",             "tools"      },
    };
    char status[64];
    for (unsigned i = 0; i < ARRAY_LEN(asks); i++) {
        begin_play(i, 1);
        snprintf(status, sizeof status, "fwd=bypass; detail=%s", asks[i].why);
        for (unsigned n = 0; n < 2; n++) {
            client[n] = ask_with(asks[i].path, asks[i].fields, asks[i].body);
            tells_all(&machines[0], 2);
            assert_said(client[n], status);
            assert_int_equal(machines[0].chats, n + 1);
        }
        assert_int_equal(stats().entries, 0);
        assert_int_equal(stats().all.requests, 0);
        assert_int_equal(records[0].cache, CACHED_BYPASS);
        end_play();
    }
}

/* ---- one answer, many shapes ------------------------------------------------------------------------------------- */

#define SAME_NATIVE(more) "{\"model\":\"m\"," MESSAGES more ",\"options\":{\"temperature\":0,\"top_p\":1}}"
#define SAME_OPENAI(more) "{\"model\":\"m\"," MESSAGES ",\"temperature\":0,\"top_p\":1" more "}"
#define USAGE             "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}"
#define CHUNK(rest)                                                                                                    \
    "data: "                                                                                                           \
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[" rest     \
    "}\n\n"
#define OPENAI_STREAM                                                                                                  \
    CHUNK("{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"word 0\"},\"finish_reason\":null}]")           \
    CHUNK("{\"index\":0,\"delta\":{\"content\":\"word 1\"},\"finish_reason\":null}]")                                  \
    CHUNK("{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]")                                                    \
    CHUNK("]," USAGE) "data: [DONE]\n\n"
#define OPENAI_WHOLE                                                                                                   \
    "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"   \
    "\"message\":{\"role\":\"assistant\",\"content\":\"word 0word 1\"},\"finish_reason\":\"stop\"}]," USAGE "}"
#define NATIVE_WHOLE                                                                                                   \
    "{\"model\":\"m\",\"created_at\":\"2020-01-01T00:00:00Z\",\"message\":{\"role\":\"assistant\",\"content\":\"word " \
    "0word 1\"},\"done\":true,\"done_reason\":\"stop\",\"total_duration\":9,\"prompt_eval_count\":3,\"eval_count\":2}"
#define NATIVE_STREAM                                                                                                  \
    "{\"model\":\"m\",\"created_at\":\"2020-01-01T00:00:00Z\",\"message\":{\"role\":\"assistant\",\"content\":\"word " \
    "0\"},\"done\":false}\n"                                                                                           \
    "{\"model\":\"m\",\"created_at\":\"2020-01-01T00:00:01Z\",\"message\":{\"role\":\"assistant\",\"content\":\"word " \
    "1\"},\"done\":false}\n"                                                                                           \
    "{\"model\":\"m\",\"created_at\":\"2020-01-01T00:00:02Z\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},"  \
    "\"done\":true,\"done_reason\":\"stop\",\"total_duration\":9,\"prompt_eval_count\":3,\"eval_count\":2}\n"

static const struct shape {
    const char *path, *ask, *type, *said;
} shapes[] = {
    {"/api/chat",             SAME_NATIVE(""),                                                             "application/x-ndjson", NATIVE_STREAM},
    { "/api/chat",            SAME_NATIVE(",\"stream\":false"),                                            "application/json",     NATIVE_WHOLE },
    { "/v1/chat/completions", SAME_OPENAI(",\"stream\":true,\"stream_options\":{\"include_usage\":true}"),
     "text/event-stream",                                                                                                          OPENAI_STREAM},
    { "/v1/chat/completions", SAME_OPENAI(""),                                                             "application/json",     OPENAI_WHOLE },
    { "/v1/chat/completions", SAME_OPENAI(",\"stream\":true"),                                             "text/event-stream",    OPENAI_STREAM},
};

static void shape_says(const struct shape *s)
{
    struct machine *m = &machines[0];
    if (!m->work)
        assert_true(world_run_while(has_nothing, m, SECOND(20)));
    struct peer *p = m->work ? m->work : m->whole;
    peer_sendf(p, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", s->type, strlen(s->said),
               s->said);
    m->work = m->whole = NULL;
}

/* Words, end, counts, and nothing of what is not asked for. */
static void assert_shape(struct peer *p, const struct shape *s)
{
    bool openai = s->path[1] == 'v', stream = s == &shapes[0] || s == &shapes[2] || s == &shapes[4];
    assert_true(got_whole(p));
    if (status_of(p) != 200 || !got(p, s->type))
        fail_msg("%.*s", STR_ARG(peer_received(p)));
    assert_non_null(strstr(got_text, "word 0"));
    assert_non_null(strstr(got_text, "word 1"));
    if (!openai) {
        assert_non_null(strstr(got_text, "\"done\":true,\"done_reason\":\"stop\""));
        assert_non_null(strstr(got_text, "\"prompt_eval_count\":3,\"eval_count\":2"));
        return;
    }
    assert_non_null(strstr(got_text, stream ? "chat.completion.chunk" : "\"chat.completion\""));
    assert_non_null(strstr(got_text, "\"finish_reason\":\"stop\""));
    assert_true((strstr(got_text, USAGE) != NULL) == (s != &shapes[4]));
    if (stream)
        assert_non_null(strstr(got_text, "data: [DONE]\n\n"));
}

static void an_answer_is_kept_for_all_shapes_and_both_dialects(void **state)
{
    for (unsigned led = 0; led < ARRAY_LEN(shapes); led++) {
        begin_play(led, 1);
        client[0] = ask_with(shapes[led].path, "", shapes[led].ask);
        shape_says(&shapes[led]);
        world_elapse(MSEC(50));
        assert_shape(client[0], &shapes[led]);
        assert_int_equal(stats().entries, 1);
        for (unsigned i = 0; i < ARRAY_LEN(shapes); i++) {
            client[1 + i] = ask_with(shapes[i].path, "", shapes[i].ask);
            world_elapse(MSEC(20));
            assert_shape(client[1 + i], &shapes[i]);
            assert_true(got(client[1 + i], "; hit; ttl="));
            assert_true(got(client[1 + i], "X-OllamaMax-Node: n1\r\n"));
        }
        assert_int_equal(machines[0].chats, 1);
        assert_int_equal(stats().all.hits, ARRAY_LEN(shapes));
        end_play();
    }
}

/* Half of it has been said when the others come. */
static void a_running_answer_is_followed_in_all_shapes_and_both_dialects(void **state)
{
    for (unsigned led = 0; led < ARRAY_LEN(shapes); led += 2) {
        const char *said = shapes[led].said;
        size_t half = (size_t)(strstr(said, "word 1") - said), n = strlen(said);
        begin_play(led, 1);
        client[0] = ask_with(shapes[led].path, "", shapes[led].ask);
        await_work(&machines[0]);
        peer_sendf(machines[0].work, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%.*s",
                   shapes[led].type, n, (int)half, said);
        world_elapse(MSEC(20));
        for (unsigned i = 0; i < 2 * ARRAY_LEN(shapes); i++)
            client[1 + i] = ask_with(shapes[i / 2].path, "", shapes[i / 2].ask);
        world_elapse(MSEC(20));
        for (unsigned i = 0; i < ARRAY_LEN(shapes); i++)
            assert_true(got(client[1 + 2 * i], "word 0") == (i % 2 == 0));
        peer_sendf(machines[0].work, "%s", said + half);
        world_elapse(MSEC(50));
        assert_shape(client[0], &shapes[led]);
        for (unsigned i = 0; i < 2 * ARRAY_LEN(shapes); i++) {
            assert_shape(client[1 + i], &shapes[i / 2]);
            if (i % 2) { /* who asks alike is told alike */
                size_t again = got_n;
                char *first = strndup(got_text, got_n);
                assert_true(got_whole(client[i]));
                assert_int_equal(got_n, again);
                assert_memory_equal(got_text, first, again);
                free(first);
            }
        }
        assert_int_equal(machines[0].chats, 1);
        end_play();
    }
}

static void counts_are_asked_for_on_behalf_of_all(void **state)
{
    begin_play(1, 1);
    client[0] = ask_with("/v1/chat/completions", "", shapes[4].ask);
    await_work(&machines[0]);
    assert_non_null(strstr(machines[0].body, "\"stream_options\":{\"include_usage\":true}"));
    shape_says(&shapes[4]);
    world_elapse(MSEC(50));
    assert_shape(client[0], &shapes[4]);               /* who has not asked does not get them, */
    assert_non_null(strstr(got_text, "chatcmpl-1\"")); /* and all else as the node says it */
    end_play();
}

static void what_is_kept_is_told_with_new_times_and_ids(void **state)
{
    begin_play(1, 1);
    client[0] = ask_with(shapes[3].path, "", shapes[3].ask);
    shape_says(&shapes[3]);
    world_elapse(MSEC(3200));
    client[1] = ask_with(shapes[3].path, "", shapes[3].ask);
    client[2] = ask_with(shapes[1].path, "", shapes[1].ask);
    world_elapse(MSEC(50));
    assert_true(got_whole(client[1]));
    assert_null(strstr(got_text, "\"chatcmpl-1\""));
    assert_null(strstr(got_text, "\"created\":1,"));
    assert_true(got(client[1], "\r\nAge: 3\r\n"));
    assert_true(got_whole(client[2]));
    assert_null(strstr(got_text, "2020-01-01"));
    end_play();
}

/* Two choices cannot be told in the other dialect, nor in the other shape. */
static void what_cannot_be_told_otherwise_is_asked_anew(void **state)
{
    static const struct shape two = {
        "/v1/chat/completions", SAME_OPENAI(""), "application/json",
        "{\"id\":\"x\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"
        "\"message\":{"
        "\"content\":\"word 0\"},\"finish_reason\":\"stop\"},{\"index\":1,\"message\":{\"content\":\"word "
        "1\"},\"finish_reason\":\"stop\"}]}"
    };
    for (unsigned running = 0; running < 2; running++) {
        begin_play(running, 1);
        client[0] = ask_with(two.path, "", two.ask);
        await_work(&machines[0]);
        if (running)
            client[1] = ask_with("/v1/chat/completions", "", shapes[4].ask);
        world_elapse(MSEC(20));
        shape_says(&two);
        world_elapse(MSEC(20));
        if (!running)
            client[1] = ask_with("/v1/chat/completions", "", shapes[4].ask);
        shape_says(&shapes[4]);
        world_elapse(MSEC(50));
        assert_true(got_whole(client[0]));
        assert_string_equal(got_text, two.said);
        assert_true(got_whole(client[1]) && strstr(got_text, "word 1"));
        assert_said(client[1], "fwd=miss; detail=shape");
        client[2] = ask_with(two.path, "", two.ask);
        world_elapse(MSEC(50));
        assert_true(got(client[2], "; hit; ttl="));
        assert_int_equal(machines[0].chats, 2);
        end_play();
    }
}

/* Its follower had waited for the client, which then reads: from now on it waits for a node, for as long as that takes.
 */
static void who_goes_to_a_node_after_all_does_not_follow_any_more(void **state)
{
    static const char two[] =
        "{\"id\":\"x\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{"
        "\"index\":0,\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"},{\"index\":1,"
        "\"message\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}";
    static const char bulky[] = "{\"model\":\"m\"," MESSAGES ",\"stream\":false}";
    size_t n = KIB(600);
    char *long_body = malloc(n + 64);
    begin_play(1, 1);
    settings()->client_idle_timeout = SECOND(3);
    snprintf(long_body, n + 64, "{\"message\":{\"content\":\"%0*d\"},\"done\":true}", (int)n, 0);
    client[1] = ask_with("/api/chat", "", bulky);
    peer_stall(client[1], true);
    assert_true(world_run_while(has_no_whole, &machines[0], SECOND(20)));
    respond(machines[0].whole, 200, long_body);
    world_elapse(MSEC(50));
    client[0] = ask_with("/v1/chat/completions", "", SAME_OPENAI(""));
    await_work(&machines[0]);
    peer_sendf(client[1], "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
               strlen(shapes[4].ask), shapes[4].ask);
    world_elapse(MSEC(50));
    respond(machines[0].work, 200, two);
    machines[0].work = NULL;
    world_elapse(SECOND(1));
    assert_int_equal(machines[0].chats, 2);
    peer_stall(client[1], false);
    await_work(&machines[0]);
    world_elapse(SECOND(10));
    shape_says(&shapes[4]);
    await(client[1], "[DONE]");
    assert_said(client[1], "fwd=miss; detail=shape");
    free(long_body);
    end_play();
}

static void an_error_is_told_in_each_dialect_and_kept_for_a_moment(void **state)
{
    begin_play(1, 1);
    client[0] = ask_with(shapes[0].path, "", shapes[0].ask);
    await_work(&machines[0]);
    client[1] = ask_with(shapes[3].path, "", shapes[3].ask); /* of the running one */
    world_elapse(MSEC(20));
    respond(machines[0].work, 400, "{\"error\":\"m does not support thinking\"}");
    machines[0].work = NULL;
    world_elapse(MSEC(50));
    client[2] = ask_with(shapes[1].path, "", shapes[1].ask);
    client[3] = ask_with(shapes[2].path, "", shapes[2].ask);
    world_elapse(MSEC(50));
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(status_of(client[i]), 400);
        assert_true(got_whole(client[i]));
        assert_true(str_starts(str_of(got_text), i % 2 ? STR("{\"error\":{\"message\":\"m does not support thinking\"")
                                                       : STR("{\"error\":\"m does not support thinking\"}")));
        assert_true(i < 2 || got(client[i], "; hit; ttl="));
    }
    assert_int_equal(machines[0].chats, 1);
    assert_int_equal(stats().all.negative, 2);
    world_elapse(SECOND(3));
    client[4] = ask_with(shapes[0].path, "", shapes[0].ask);
    await_work(&machines[0]);
    assert_int_equal(machines[0].chats, 2);
    shape_says(&shapes[0]);
    world_elapse(MSEC(50));
    assert_shape(client[4], &shapes[0]);
    end_play();
}

/* The last word of all nodes, which is no answer: whoever waits for one hears it, in the shape and dialect it speaks.
 */
static void an_error_that_is_final_reaches_whoever_follows(void **state)
{
    static const struct {
        int status;
        const char *type, *body;
    } errors[] = {
        {500,  "application/json", "{\"error\":\"no such option\"}"                             },
        { 500, "text/plain",       "no such option"                                             },
        { 200, "application/json", "{\"error\":\"no such option\"}"                             },
        { 200, "application/json", "{\"error\":{\"message\":\"no such option\",\"type\":\"x\"}}"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(errors) * ARRAY_LEN(shapes); i++) {
        unsigned led = i % ARRAY_LEN(shapes), e = i / ARRAY_LEN(shapes);
        begin_play(i, 1);
        client[0] = ask_with(shapes[led].path, "", shapes[led].ask);
        world_elapse(MSEC(20));
        for (unsigned k = 0; k < ARRAY_LEN(shapes); k++)
            client[1 + k] = ask_with(shapes[k].path, "", shapes[k].ask);
        for (unsigned tries = 0; tries < 20; tries++) {
            world_elapse(MSEC(500));
            struct peer *p = machines[0].work ? machines[0].work : machines[0].whole;
            if (p)
                peer_sendf(p, "HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", errors[e].status,
                           errors[e].type, strlen(errors[e].body), errors[e].body);
            machines[0].work = machines[0].whole = NULL;
        }
        for (unsigned k = 0; k <= ARRAY_LEN(shapes); k++) {
            if (!got_whole(client[k]))
                fail_msg("error %u, led by %u, client %u: %.*s", e, led, k, STR_ARG(peer_received(client[k])));
            bool told = strstr(got_text, "no such option") || strstr(got_text, "\"error\":");
            if (!told || strstr(got_text, "[DONE]"))
                fail_msg("error %u, led by %u, client %u: %.*s", e, led, k, STR_ARG(peer_received(client[k])));
        }
        assert_int_equal(stats().entries, 0);
        end_play();
    }
}

/* The leader gives up in the queue, as it said it would; the others never said so. */
static void nobody_else_is_held_to_the_leaders_deadline(void **state)
{
    machine_slots = 1;
    begin_play(1, 1);
    machine_slots = -1;
    client[0] = ask_with("/api/chat", "", COLD_ONE);
    assert_true(world_run_while(has_no_whole, &machines[0], SECOND(20)));
    client[1] = ask_with(shapes[0].path, "X-OllamaMax-Deadline-Ms: 300\r\n", shapes[0].ask);
    world_elapse(MSEC(20));
    client[2] = ask_with(shapes[1].path, "", shapes[1].ask);
    client[3] = ask_with(shapes[1].path, "", shapes[1].ask);
    client[4] = ask_with(shapes[1].path, "X-OllamaMax-Deadline-Ms: 60000\r\n", shapes[1].ask);
    world_elapse(SECOND(1));
    assert_int_equal(status_of(client[1]), 503);
    assert_int_equal(stats().flights, 2);
    shape_says(&shapes[1]);
    world_elapse(MSEC(50));
    assert_int_equal(status_of(client[0]), 200);
    shape_says(&shapes[1]);
    world_elapse(MSEC(50));
    for (unsigned i = 2; i < 5; i++)
        assert_shape(client[i], &shapes[1]);
    assert_int_equal(machines[0].chats, 2);
    assert_int_equal(stats().all.requests, 5);
    assert_int_equal(stats().all.joins, 2);
    end_play();
}

static void vectors_are_kept_for_both_dialects(void **state)
{
    static const struct shape ways[] = {
        {"/api/embed",      "{\"model\":\"m\",\"input\":\"a\"}", "application/json",
         "{\"model\":\"m\",\"embeddings\":[[0.5,1]],\"total_duration\":5,\"prompt_eval_count\":2}"},
        { "/v1/embeddings", "{\"model\":\"m\",\"input\":\"a\"}", "application/json",
         "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"embedding\":[0.5,1],\"index\":0}],\"model\":"
          "\"m\",\"usage\":{"
          "\"prompt_tokens\":2,\"total_tokens\":2}}"                                              },
    };
    for (unsigned led = 0; led < 2; led++) {
        begin_play(led, 1);
        client[0] = ask_with(ways[led].path, "", ways[led].ask);
        shape_says(&ways[led]);
        world_elapse(MSEC(50));
        for (unsigned i = 0; i < 2; i++) {
            client[1 + i] = ask_with(ways[i].path, "", ways[i].ask);
            world_elapse(MSEC(50));
            assert_true(got_whole(client[1 + i]));
            assert_true(got(client[1 + i], "; hit; ttl="));
            assert_non_null(strstr(got_text, i ? "\"embedding\":[0.5,1]" : "\"embeddings\":[[0.5,1]]"));
        }
        end_play();
    }
}

/* ---- what clients want of it ------------------------------------------------------------------------------------- */

static void only_if_cached_asks_no_node(void **state)
{
    static const char *bodies[] = { COLD, "{\"model\":\"m\"," MESSAGES "}" };
    for (unsigned i = 0; i < 2; i++) {
        begin_play(i, 1);
        client[0] = ask_with("/api/chat", "Cache-Control: only-if-cached\r\n", bodies[i]);
        assert_int_equal(status_of(client[0]), 504);
        assert_true(got(client[0], "x-should-retry: false\r\n"));
        assert_int_equal(machines[0].chats, 0);
        end_play();
    }
    warm_up(7, 1);
    client[1] = ask_with("/api/chat", "Cache-Control: only-if-cached\r\n", COLD);
    world_elapse(MSEC(50));
    assert_kept(client[1]);
    end_play();
}

static void a_running_answer_is_not_in_the_cache_yet(void **state)
{
    begin_play(3, 1);
    client[0] = cold();
    await_work(&machines[0]);
    client[1] = ask_with("/api/chat", "Cache-Control: only-if-cached\r\n", COLD);
    assert_int_equal(status_of(client[1]), 504);
    tells_all(&machines[0], 2);
    assert_got_all(client[0]);
    end_play();
}

static void no_cache_renews_what_is_kept(void **state)
{
    warm_up(4, 1);
    client[1] = ask_with("/api/chat", "Cache-Control: max-age=5\r\nCache-Control: no-cache\r\n", COLD);
    tells_all(&machines[0], 9);
    assert_got_all(client[1]);
    assert_said(client[1], "fwd=request");
    client[2] = cold();
    world_elapse(MSEC(50));
    assert_kept(client[2]); /* with nine words */
    assert_int_equal(machines[0].chats, 2);
    end_play();
}

static void max_age_takes_nothing_older(void **state)
{
    warm_up(5, 1);
    world_elapse(SECOND(5));
    client[1] = ask_with("/api/chat", "Cache-Control: max-age=10\r\n", COLD);
    world_elapse(MSEC(50));
    assert_kept(client[1]);
    client[2] = ask_with("/api/chat", "Cache-Control: max-age=3\r\n", COLD);
    tells_all(&machines[0], 2);
    assert_got_all(client[2]);
    assert_said(client[2], "fwd=request");
    end_play();
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static void an_old_answer_is_given_while_a_new_one_comes(void **state)
{
    warm_up(6, 1);
    world_elapse(SECOND(40));
    client[1] = cold();
    client[2] = cold();
    world_elapse(MSEC(50));
    assert_kept(client[1]);
    assert_kept(client[2]);
    assert_true(got(client[1], "; hit; ttl=-"));
    assert_int_equal(machines[0].chats, 2); /* for nobody */
    tells_all(&machines[0], 8);
    client[3] = cold();
    world_elapse(MSEC(50));
    assert_kept(client[3]); /* with eight words */
    assert_false(got(client[3], "ttl=-"));
    assert_int_equal(machines[0].chats, 2);
    assert_int_equal(stats().refreshed, 1);
    end_play();
}

static void an_old_answer_stands_in_when_no_node_can(void **state)
{
    for (unsigned stream = 0; stream < 2; stream++) {
        const char *body = stream ? COLD : COLD_ONE;
        begin_play(7 + stream, 1);
        client[0] = ask_with("/api/chat", "", body);
        if (stream)
            tells_all(&machines[0], 3);
        else
            tells_one_piece(&machines[0]);
        world_elapse(SECOND(100));
        goes_away(&machines[0]);
        world_elapse(SECOND(10));
        client[1] = ask_with("/api/chat", "", body);
        world_elapse(SECOND(5));
        assert_int_equal(status_of(client[1]), 200);
        assert_true(got(client[1], "; hit; ttl=-"));
        assert_true(got(client[1], "; detail=stale-if-error\r\n"));
        client[3] = ask_with("/api/chat", "Cache-Control: no-cache\r\n", body);
        client[4] = ask_with("/api/chat", "Cache-Control: max-age=60\r\n", body);
        client[5] = ask_with("/api/chat", "Cache-Control: max-age=600\r\n", body);
        world_elapse(SECOND(5));
        assert_int_equal(status_of(client[3]), 503);
        assert_int_equal(status_of(client[4]), 503);
        assert_int_equal(status_of(client[5]), 200);
        assert_true(got_whole(client[1]));
        if (stream)
            assert_got_all(client[1]);
        else
            assert_string_equal(got_text, ONE_PIECE);
        world_elapse(SECOND(400));
        client[2] = ask_with("/api/chat", "", body); /* now it is too old for that */
        world_elapse(SECOND(5));
        assert_int_equal(status_of(client[2]), 503);
        end_play();
    }
}

/* ---- what is not kept -------------------------------------------------------------------------------------------- */

static void ends_so(struct machine *m, const char *last)
{
    await_work(m);
    opens(m);
    tells_word(m, 0);
    if (last)
        tells(m, last);
    if (last)
        peer_sendf(m->work, "0\r\n\r\n");
    else
        goes_away(m);
    m->work = NULL;
    world_elapse(SECOND(2));
}

static void what_did_not_end_well_is_not_kept(void **state)
{
    static const char *const ends[] = {
        NULL,
        "{\"error\":\"an error was encountered while running the model\"}",
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":"
        "\"load\"}",
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true}",
        "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"x\"},\"done\":false}",
    };
    for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
        begin_play(i, 1);
        client[0] = cold();
        ends_so(&machines[0], ends[i]);
        assert_int_equal(stats().entries, 0);
        assert_int_equal(stats().flights, 0);
        end_play();
    }
}

static void errors_of_the_nodes_are_not_kept(void **state)
{
    begin_play(2, 1);
    settings()->cache.negative = 0;
    for (unsigned i = 0; i < 2; i++) {
        client[i] = ask_with("/api/chat", "", COLD_ONE);
        assert_true(world_run_while(has_no_whole, &machines[0], SECOND(20)));
        respond(machines[0].whole, 400, "{\"error\":\"m does not support thinking\"}");
        machines[0].whole = NULL;
        assert_int_equal(status_of(client[i]), 400);
    }
    assert_int_equal(stats().entries, 0);
    settings()->cache.negative = SECOND(2);
    client[2] = ask_with("/api/chat", "", COLD_ONE);
    assert_true(world_run_while(has_no_whole, &machines[0], SECOND(20)));
    respond(machines[0].whole, 500, "{\"error\":\"model runner has unexpectedly stopped\"}");
    machines[0].whole = NULL;
    assert_true(status_of(client[2]) >= 500);
    world_elapse(SECOND(1));
    assert_int_equal(stats().entries, 0);
    end_play();
}

static void what_is_larger_than_an_entry_may_be_goes_through(void **state)
{
    begin_play(3, 1);
    client[0] = cold();
    await_work(&machines[0]);
    opens(&machines[0]);
    for (unsigned i = 0; i < 40000; i++) {
        tells_word(&machines[0], i);
        if (i % 500 == 0)
            world_elapse(MSEC(5));
    }
    tells_end(&machines[0]);
    world_elapse(SECOND(2));
    assert_got_all(client[0]);
    assert_true(want_n > cache_item_cap(gate->cache));
    assert_int_equal(stats().entries, 0);
    end_play();
}

/* ---- whatever breaks ----------------------------------------------------------------------------------------------
 */

/* The answer ends behind `n` bytes: its length was promised, or else the end of the connection is the end. */
static void shape_breaks(const struct shape *s, size_t n, unsigned how)
{
    struct machine *m = &machines[0];
    assert_true(world_run_while(has_nothing, m, SECOND(20)));
    struct peer *p = m->work ? m->work : m->whole;
    peer_sendf(p, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n", s->type);
    if (how & 1)
        peer_sendf(p, "Content-Length: %zu\r\n", strlen(s->said));
    peer_sendf(p, "\r\n%.*s", (int)n, s->said);
    world_elapse(MSEC(2));
    peer_close(p, how & 2 ? CLOSE_RESET : CLOSE_FIN);
    m->work = m->whole = NULL;
    m->closed_on_us = false;
}

/* What says itself that it is whole may be kept: then all of it was there. */
static void assert_nothing_broken_is_kept(const struct shape *s)
{
    bool kept = stats().entries > 0;
    struct peer *p = client[9] = ask_with(s->path, "", s->ask);
    if (!kept)
        shape_says(s);
    world_elapse(MSEC(500));
    assert_shape(p, s);
    assert_true(got(p, "; hit; ttl=") == kept);
}

static void an_answer_cut_anywhere_is_not_kept(void **state)
{
    unsigned stride = sys_env("OLLAMAMAX_SWEEP") ? 1 : 13;
    for (unsigned i = 0; i < ARRAY_LEN(shapes); i++)
        for (size_t n = i; n < strlen(shapes[i].said); n += stride) {
            begin_play(n, 1);
            settings()->retry_max = 0;
            client[0] = ask_with(shapes[i].path, "", shapes[i].ask);
            shape_breaks(&shapes[i], n, (unsigned)n % 4);
            world_elapse(SECOND(1));
            assert_nothing_broken_is_kept(&shapes[i]);
            end_play();
        }
}

static void without_memory_nothing_broken_is_kept(void **state)
{
    unsigned stride = sys_env("OLLAMAMAX_SWEEP") ? 1 : 5;
    for (unsigned i = 0; i < ARRAY_LEN(shapes); i++) {
        uint64_t takes = 1;
        for (uint64_t nth = 0; nth <= takes; nth += nth ? stride : i + 1) {
            begin_play(nth, 1);
            memory_fail_at(nth);
            client[0] = ask_with(shapes[i].path, "", shapes[i].ask);
            client[1] = ask_with(shapes[(i + 1) % ARRAY_LEN(shapes)].path, "", shapes[(i + 1) % ARRAY_LEN(shapes)].ask);
            for (unsigned turn = 0; turn < 4; turn++) {
                world_elapse(MSEC(300));
                if (!has_nothing(&machines[0]))
                    shape_says(&shapes[i]);
            }
            world_elapse(SECOND(2));
            takes = nth ? takes : memory_takes();
            memory_fail_at(0);
            for (unsigned c = 0; c < 2; c++)
                if (peer_is_open(client[c]))
                    peer_close(client[c], CLOSE_FIN);
            world_elapse(SECOND(1));
            machines[0].work = machines[0].whole = NULL; /* what was asked twice */
            assert_nothing_broken_is_kept(&shapes[i]);
            end_play();
        }
        assert_true(takes > 20);
    }
}

/* ---- no false hits ----------------------------------------------------------------------------------------------- */

/* Each differs from all others in what it asks for, mostly in one thing. */
#define SAY(text)      "\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]"
#define CHAT(more)     "{\"model\":\"m\",\"stream\":false," more "}"
#define COOL(more)     CHAT(SAY("a") ",\"options\":{\"temperature\":0" more "}")
#define WITH(more)     CHAT(SAY("a") ",\"options\":{\"temperature\":0}," more)
#define FUNCTION(name) "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}]"
#define OPENAI(more)   "{\"model\":\"m\"," SAY("a") ",\"temperature\":0" more "}"
static const struct request {
    const char *path, *fields, *body;
} requests[] = {
    {"/api/chat",             "",                          COOL("")                                                                                      },
    { "/api/chat",            "X-OllamaMax-Tenant: a\r\n", COOL("")                                                                                      },
    { "/api/chat",            "X-OllamaMax-Tenant: b\r\n", COOL("")                                                                                      },
    { "/api/chat",            "",                          COOL(",\"seed\":1")                                                                           },
    { "/api/chat",            "",                          COOL(",\"seed\":2")                                                                           },
    { "/api/chat",            "",                          COOL(",\"num_predict\":9")                                                                    },
    { "/api/chat",            "",                          COOL(",\"top_p\":0.5")                                                                        },
    { "/api/chat",            "",                          COOL(",\"top_k\":5")                                                                          },
    { "/api/chat",            "",                          COOL(",\"presence_penalty\":1")                                                               },
    { "/api/chat",            "",                          COOL(",\"repeat_penalty\":1.5")                                                               },
    { "/api/chat",            "",                          COOL(",\"stop\":[\"x\"]")                                                                     },
    { "/api/chat",            "",                          COOL(",\"stop\":[\"x\",\"y\"]")                                                               },
    { "/api/chat",            "",                          CHAT(SAY("b") ",\"options\":{\"temperature\":0}")                                             },
    { "/api/chat",            "",                          CHAT(SAY("a ") ",\"options\":{\"temperature\":0}")                                            },
    { "/api/chat",            "",                          CHAT(SAY("a") ",\"options\":{\"temperature\":1,\"seed\":1}")                                  },
    { "/api/chat",            "",                          CHAT("\"messages\":[{\"role\":\"system\",\"content\":\"a\"}],\"options\":{\"temperature\":0}")},
    { "/api/chat",            "",
     CHAT("\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"images\":[\"AAAA\"]}],\"options\":{\"temperature\":"
           "0}")                                                                                                                                         },
    { "/api/chat",            "",
     CHAT("\"messages\":[{\"role\":\"user\",\"content\":\"a\",\"images\":[\"AAAB\"]}],\"options\":{\"temperature\":"
           "0}")                                                                                                                                         },
    { "/api/chat",            "",
     CHAT("\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}],"
           "\"options\":{"
           "\"temperature\":0}")                                                                                                                         },
    { "/api/chat",            "",                          WITH("\"format\":\"json\"")                                                                   },
    { "/api/chat",            "",                          WITH("\"format\":{\"type\":\"object\"}")                                                      },
    { "/api/chat",            "",                          WITH("\"format\":{\"type\":\"array\"}")                                                       },
    { "/api/chat",            "",                          WITH("\"think\":true")                                                                        },
    { "/api/chat",            "",                          WITH("\"think\":\"high\"")                                                                    },
    { "/api/chat",            "",                          WITH(FUNCTION("f"))                                                                           },
    { "/api/chat",            "",                          WITH(FUNCTION("g"))                                                                           },
    { "/api/chat",            "",                          WITH("\"truncate\":false")                                                                    },
    { "/api/chat",            "",                          WITH("\"logprobs\":true")                                                                     },
    { "/api/chat",            "",                          WITH("\"unheard_of\":1")                                                                      },
    { "/v1/chat/completions", "",                          OPENAI("")                                                                                    },
    { "/v1/chat/completions", "",                          OPENAI(",\"top_p\":0.5,\"seed\":7")                                                           },
    { "/v1/chat/completions", "",                          OPENAI(",\"max_tokens\":9")                                                                   },
    { "/v1/chat/completions", "",                          OPENAI(",\"frequency_penalty\":1")                                                            },
    { "/v1/chat/completions", "",                          OPENAI(",\"response_format\":{\"type\":\"json_object\"}")                                     },
    { "/v1/chat/completions", "",                          OPENAI(",\"reasoning_effort\":\"high\"")                                                      },
    { "/v1/chat/completions", "",                          OPENAI(",\"n\":2")                                                                            },
    { "/v1/chat/completions", "X-OllamaMax-Tenant: a\r\n", OPENAI("")                                                                                    },
};

static void answers_with(unsigned i)
{
    bool native = requests[i].path[1] == 'a';
    struct machine *m = &machines[0];
    char body[400];
    assert_true(world_run_while(has_nothing, m, SECOND(20)));
    snprintf(
        body, sizeof body,
        native ? "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"answer %u.\"},\"done\":true,"
                 "\"done_reason\":\"stop\",\"eval_count\":2}"
               : "{\"id\":\"x\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"
                 "\"message\":{\"role\":\"assistant\",\"content\":\"answer "
                 "%u.\"},\"finish_reason\":\"stop\"}],\"usage\":{}}",
        i);
    respond(m->work ? m->work : m->whole, 200, body);
    m->work = m->whole = NULL;
}

static void nobody_gets_the_answer_to_another_question(void **state)
{
    char want_answer[32];
    begin_play(1, 1);
    settings()->cache.ttl = SECOND(300);
    settings()->cache.route[ROUTE_chat].tools = true;
    for (unsigned again = 0; again < 2; again++)
        for (unsigned i = 0; i < ARRAY_LEN(requests); i++) {
            struct peer *p = ask_with(requests[i].path, requests[i].fields, requests[i].body);
            if (!again)
                answers_with(i);
            world_elapse(MSEC(30));
            snprintf(want_answer, sizeof want_answer, "\"answer %u.\"", i);
            if (!got_whole(p) || status_of(p) != 200 || !strstr(got_text, want_answer))
                fail_msg("%u: %.*s", i, STR_ARG(peer_received(p)));
            peer_close(p, CLOSE_FIN);
        }
    assert_int_equal(machines[0].chats, ARRAY_LEN(requests));
    assert_int_equal(stats().all.hits, ARRAY_LEN(requests));
    end_play();
}

/* ---- forgetting -------------------------------------------------------------------------------------------------- */

static void changes_of_the_model_forget_it(void **state)
{
    static const struct {
        const char *method, *path, *body;
    } changes[] = {
        {"POST",    "/api/pull",                "{\"model\":\"m\",\"stream\":false}"             },
        { "POST",   "/api/copy",                "{\"source\":\"x:latest\",\"destination\":\"m\"}"},
        { "DELETE", "/api/delete",              "{\"model\":\"m:latest\"}"                       },
        { "DELETE", "/api/cache",               ""                                               },
        { "DELETE", "/api/cache?tag=model%3AM", ""                                               },
        { "DELETE", "/api/cache?tag=node:n1",   ""                                               },
        { "DELETE", "/api/nodes/n1",            ""                                               },
    };
    for (unsigned i = 0; i < ARRAY_LEN(changes); i++) {
        warm_up(i, 1);
        machines[0].serves = false;
        model_add(&machines[0], "x:latest");
        client[1] = ask(changes[i].method, changes[i].path, changes[i].body);
        world_elapse(MSEC(500));
        if (i == 0)
            succeeds(&machines[0], "m:latest");
        world_elapse(SECOND(3));
        assert_true(status_of(client[1]) < 300);
        assert_int_equal(stats().entries, 0);
        end_play();
    }
}

static void another_digest_is_another_model(void **state)
{
    EACH_SEED
    {
        begin_play(seed, 1);
        settings()->cache.ttl = SECOND(300);
        client[0] = cold();
        tells_all(&machines[0], 3);
        strcpy(machines[0].digest, "e");
        world_elapse(SECOND(32)); /* the tags are asked for every 30 s */
        assert_int_equal(stats().entries, 1);
        client[1] = cold();
        await_work(&machines[0]);
        assert_int_equal(stats().entries, 0);
        strcpy(machines[0].digest, "f"); /* while it answers */
        world_elapse(SECOND(32));
        tells_all(&machines[0], 3);
        assert_got_all(client[1]);
        assert_int_equal(stats().entries, 0);
        end_play();
    }
}

static void nodes_must_agree_on_what_the_name_means(void **state)
{
    begin_play(2, 2);
    strcpy(machines[1].digest, "e");
    world_elapse(SECOND(31));
    client[0] = cold();
    world_elapse(MSEC(100));
    struct machine *m = machines[0].work ? &machines[0] : &machines[1];
    tells_all(m, 2);
    assert_got_all(client[0]);
    assert_said(client[0], "fwd=bypass; detail=digest");
    end_play();
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static void switches(void **state)
{
    begin_play(1, 1);
    settings()->cache.enabled = false;
    client[0] = cold();
    tells_all(&machines[0], 2);
    assert_said(client[0], "fwd=bypass; detail=disabled");
    settings()->cache.enabled = true;
    settings()->coalesce = false;
    client[1] = cold();
    await_work(&machines[0]);
    struct peer *first = machines[0].work;
    machines[0].work = NULL;
    client[2] = cold();
    await_work(&machines[0]);
    assert_ptr_not_equal(first, machines[0].work);
    tells_all(&machines[0], 2);
    assert_got_all(client[2]);
    assert_said(client[2], "fwd=miss; detail=alone");
    machines[0].work = first;
    tells_all(&machines[0], 2);
    assert_got_all(client[1]);
    client[3] = cold();
    world_elapse(MSEC(50));
    assert_kept(client[3]);
    end_play();
}

/* ---- no memory, and the end -------------------------------------------------------------------------------------- */

static void each_allocation_may_fail(void **state)
{
    uint64_t takes = 1;
    for (uint64_t nth = 0; nth <= takes; nth++) {
        warm_up(nth, 1);
        memory_fail_at(nth);
        client[1] = cold();
        client[2] = ask_with("/api/chat", "", "{\"model\":\"m\"," MESSAGES ",\"options\":{\"seed\":3}}");
        client[3] = ask_with("/api/chat", "", "{\"model\":\"m\"," MESSAGES ",\"options\":{\"seed\":3}}");
        world_elapse(MSEC(100));
        if (machines[0].work && peer_is_open(machines[0].work) && !machines[0].closed_on_us)
            tells_all(&machines[0], 3);
        world_elapse(SECOND(5));
        takes = nth ? takes : memory_takes();
        memory_fail_at(0);
        for (unsigned i = 1; i < 4; i++)
            if (got_whole(client[i]) && status_of(client[i]) == 200 && !strstr(got_text, "{\"error\":"))
                assert_got_all(client[i]);
        end_play();
    }
    assert_true(takes > 30);
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
        warm_up(seed, 1);
        for (unsigned i = 1; i < 20; i++)
            client[i] = ask_with("/api/chat", "", "{\"model\":\"m\"," MESSAGES ",\"options\":{\"seed\":3}}");
        await_work(&machines[0]);
        if (seed % 2)
            world_elapse(MSEC(seed));
        gateway_stop(gate);
        assert_true(world_run_while(still_runs, NULL, SECOND(5)));
        gateway_free(&gate);
        fleet_free(&fleet);
        assert_int_equal(tape_bytes_live(), 0);
        world_elapse(SECOND(1));
        world_free();
        pools_end();
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thousand_ask_and_a_node_is_asked_once),
        cmocka_unit_test(the_first_leaves_and_nobody_notices),
        cmocka_unit_test(a_node_that_dies_is_told_to_all_and_nothing_is_kept),
        cmocka_unit_test(a_flight_that_nobody_waits_for_ends),
        cmocka_unit_test(the_second_is_answered_from_memory),
        cmocka_unit_test(what_differs_is_asked_anew),
        cmocka_unit_test(a_strangers_tenant_is_the_common_one),
        cmocka_unit_test(chance_is_not_kept),
        cmocka_unit_test(an_answer_is_kept_for_all_shapes_and_both_dialects),
        cmocka_unit_test(a_running_answer_is_followed_in_all_shapes_and_both_dialects),
        cmocka_unit_test(counts_are_asked_for_on_behalf_of_all),
        cmocka_unit_test(what_is_kept_is_told_with_new_times_and_ids),
        cmocka_unit_test(what_cannot_be_told_otherwise_is_asked_anew),
        cmocka_unit_test(who_goes_to_a_node_after_all_does_not_follow_any_more),
        cmocka_unit_test(an_error_is_told_in_each_dialect_and_kept_for_a_moment),
        cmocka_unit_test(an_error_that_is_final_reaches_whoever_follows),
        cmocka_unit_test(nobody_else_is_held_to_the_leaders_deadline),
        cmocka_unit_test(vectors_are_kept_for_both_dialects),
        cmocka_unit_test(only_if_cached_asks_no_node),
        cmocka_unit_test(a_running_answer_is_not_in_the_cache_yet),
        cmocka_unit_test(no_cache_renews_what_is_kept),
        cmocka_unit_test(max_age_takes_nothing_older),
        cmocka_unit_test(an_old_answer_is_given_while_a_new_one_comes),
        cmocka_unit_test(an_old_answer_stands_in_when_no_node_can),
        cmocka_unit_test(what_did_not_end_well_is_not_kept),
        cmocka_unit_test(errors_of_the_nodes_are_not_kept),
        cmocka_unit_test(what_is_larger_than_an_entry_may_be_goes_through),
        cmocka_unit_test(an_answer_cut_anywhere_is_not_kept),
        cmocka_unit_test(without_memory_nothing_broken_is_kept),
        cmocka_unit_test(nobody_gets_the_answer_to_another_question),
        cmocka_unit_test(changes_of_the_model_forget_it),
        cmocka_unit_test(another_digest_is_another_model),
        cmocka_unit_test(nodes_must_agree_on_what_the_name_means),
        cmocka_unit_test(switches),
        cmocka_unit_test(each_allocation_may_fail),
        cmocka_unit_test(a_gateway_that_stops_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
