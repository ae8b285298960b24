/* test/play/retell_test.c - what lies on a tape, and what one client hears of it.
 *
 * One answer is written down in each of the four ways in which a chat can be told, and each is expected in each of the
 * others. In what is expected @ stands for the time, ~ for the same in seconds, # for the number in the id: those of
 * the tape's head while it runs, of today once it was kept. What becomes of each single member is api/replay_test.c's.
 */
#include "base/stamp.h"
#include "gateway/gateway_private.h"
#include "gateway/retell.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define TODAY  SECOND(1700000000)
#define THEN   SECOND(1600000000) /* when the tape was written */
#define CHANCE 7

static struct worker *worker;

static int set_up(void **state)
{
    arena_pools_init();
    buf_pools_init();
    world_new(1);
    world_shift_wall(TODAY - sys_wall());
    worker = calloc(1, sizeof *worker);
    worker->loop = loop_new(0);
    return worker->loop && loop_wall(worker->loop) == TODAY ? 0 : -1;
}

static int tear_down(void **state)
{
    loop_free(&worker->loop);
    free(worker);
    world_free();
    buf_pools_done();
    arena_pools_done();
    return 0;
}

/* ---- a tape and a client ----------------------------------------------------------------------------------------- */

struct tape_is {
    enum route_id route;
    enum record_form form;
    bool usage_asked, other_asked; /* by the leader: counts; the other shape than came */
    int status;                    /* 0: 200 */
};
struct client_is {
    enum route_id route;
    bool stream, usage, late; /* late: it came when the tape was complete */
};
static struct exchange x;
static struct flight_head head;
static struct retell r;
static struct text heard; /* by the client */
static bool ended;
static uint64_t id;

static enum fail meet(struct tape_is t, struct client_is c)
{
    uint64_t random[2];

    x = (struct exchange){ .worker = worker };
    arena_init(&x.arena);
    x.route.row = route_row(c.route);
    x.route.model = STR("M");
    x.route.peek.stream = c.stream ? TRI_TRUE : TRI_FALSE;
    x.route.peek.wants_usage = c.usage;
    x.ticket.embeds = c.route == ROUTE_embed || c.route == ROUTE_embeddings || c.route == ROUTE_v1_embeddings;
    x.out.content_type = STR("as/it-was");
    x.in.request_id = STR("req_1");
    head = (struct flight_head){ .route = (uint8_t)t.route,
                                 .form = (uint8_t)t.form,
                                 .dialect = (uint8_t)route_row(t.route)->dialect,
                                 .status = (uint16_t)(t.status ? t.status : 200),
                                 .asked_stream = (t.form != FORM_WHOLE) != t.other_asked,
                                 .asked_usage = t.usage_asked,
                                 .wall = THEN,
                                 .chance = CHANCE };
    memcpy(random, worker->random, sizeof random);
    id = c.late ? worker_random(worker) : CHANCE;
    memcpy(worker->random, random, sizeof random);
    text_free(&heard);
    ended = false;
    return retell_init(&r, &x, &head, c.late);
}

static void part(void)
{
    retell_done(&r);
    text_free(&heard);
    arena_done(&x.arena);
}

/* In pieces of at most `most`, as a slow sink takes them. */
static void take_what_is_said(size_t most)
{
    for (;;) {
        struct str piece = retell_next(&r, most, &ended);
        if (!piece.n)
            return;
        assert_true(piece.n <= most);
        text_put(&heard, piece);
        retell_told(&r, piece.n);
        if (ended)
            return;
    }
}

/* All of it, `step` bytes at a time. Nothing may be told before all is heard where retell_wants_all. */
static enum fail hear(struct str bytes, size_t step)
{
    enum fail why = OK;
    bool last = false;

    while (!why && !last) {
        struct str piece = str_take(bytes, step);
        bytes = str_drop(bytes, piece.n);
        last = !bytes.n;
        why = retell_hear(&r, piece, last);
        if (!why && !last) {
            take_what_is_said(5);
            assert_false(ended);
            assert_true(!retell_wants_all(&r) || !text_str(&heard).n);
        }
    }
    return why;
}

static void fill_in(struct text *t, const char *want, bool late)
{
    nsec wall = late ? TODAY : THEN;
    char stamp[36];
    struct str at = { stamp, stamp_rfc3339(wall, stamp) };

    for (; *want; want++)
        if (*want == '@')
            text_put(t, at);
        else if (*want == '~')
            text_i64(t, wall / SECOND(1));
        else if (*want == '#')
            text_u64(t, id % 999);
        else
            text_putc(t, *want);
}

static const size_t steps[] = { SIZE_MAX, 1, 7 };

static void tells(struct tape_is t, struct client_is c, const char *in, const char *want)
{
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
        struct text wanted = { 0 };
        enum fail why = meet(t, c);
        assert_int_equal(why, OK);
        fill_in(&wanted, want, c.late);
        why = hear(str_of(in), steps[i]);
        if (!why)
            take_what_is_said(100);
        if (why || !ended || !str_eq(text_str(&heard), text_str(&wanted)))
            fail_msg("%.*s:\n%.*s\ninstead of\n%.*s", STR_ARG(fail_name(why)), STR_ARG(text_str(&heard)),
                     STR_ARG(text_str(&wanted)));
        text_free(&wanted);
        part();
    }
}

static void refuses(struct tape_is t, struct client_is c, const char *in, enum fail want)
{
    for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
        enum fail why = meet(t, c);
        assert_int_equal(why, OK);
        why = hear(str_of(in), steps[i]);
        if (why != want)
            fail_msg("%.*s instead of %.*s: %s", STR_ARG(fail_name(why)), STR_ARG(fail_name(want)), in);
        part();
    }
}

/* ---- one answer in four ways ------------------------------------------------------------------------------------- */

/* Letters of two, three and four bytes, and escapes; a pair of surrogates that two records share. */
#define HEAD_WORDS "\xc3\xa9\\n\xe6\xbc\xa2\\ud83d"
#define TAIL_WORDS "\\ude00\xf0\x9f\x98\x80\\\""
#define WORDS      HEAD_WORDS TAIL_WORDS

#define OLD_LINE      "{\"model\":\"llama3\",\"created_at\":\"2019-01-01T00:00:00.5Z\","
#define LINE          "{\"model\":\"M\",\"created_at\":\"@\","
#define SAID(text)    "\"message\":{\"role\":\"assistant\",\"content\":\"" text "\"}"
#define THOUGHT(text) "\"message\":{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"" text "\"}"
#define BOTH          "\"message\":{\"role\":\"assistant\",\"content\":\"" WORDS "\",\"thinking\":\"h\\u00e9\"}"
#define MORE          ",\"done\":false}\n"
#define TOLD_END                                                                                                       \
    ",\"done\":true,\"done_reason\":\"stop\",\"total_duration\":9,\"prompt_eval_count\":3,\"eval_count\":2}"
#define KNOWN_END ",\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":3,\"eval_count\":2}"
#define LINES(front, end)                                                                                              \
    front THOUGHT("h\\u00e9") MORE front SAID(HEAD_WORDS)                                                              \
    MORE front SAID(TAIL_WORDS)                                                                                        \
    MORE front SAID("") end "\n"
#define TWO_LINES(end) LINE BOTH MORE LINE SAID("") end "\n"

#define OPENAI(object, n, made, name)                                                                                  \
    "{\"id\":\"chatcmpl-" n "\",\"object\":\"chat.completion" object "\",\"created\":" made ",\"model\":\"" name       \
    "\",\"system_fingerprint\":\"fp_ollama\""
#define OLD_CHUNK   "data: " OPENAI(".chunk", "99", "5", "llama3")
#define CHUNK       "data: " OPENAI(".chunk", "#", "~", "M")
#define NAMED_CHUNK "data: " OPENAI(".chunk", "99", "5", "M") /* of a running one, told without its counts */
#define DELTA(d)    ",\"choices\":[{\"index\":0,\"delta\":{" d "},\"finish_reason\":null}]}\n\n"
#define FINISH(why) ",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" why "\"}]}\n\n"
#define COUNTS      "\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}"
#define USAGE       ",\"choices\":[]," COUNTS "\n\n"
#define ROLE        "\"role\":\"assistant\","
#define DONE        "data: [DONE]\n\n"
#define TALK(chunk)                                                                                                    \
    chunk DELTA(ROLE "\"content\":\"\",\"reasoning\":\"h\\u00e9\"") chunk DELTA("\"content\":\"" HEAD_WORDS "\"")      \
        chunk DELTA("\"content\":\"" TAIL_WORDS "\"") chunk FINISH("stop")
#define CHUNKS(chunk) TALK(chunk) chunk USAGE DONE
#define TWO_CHUNKS                                                                                                     \
    CHUNK DELTA(ROLE "\"content\":\"" WORDS "\",\"reasoning\":\"h\\u00e9\"") CHUNK FINISH("stop") CHUNK USAGE DONE
#define MESSAGE(front)                                                                                                 \
    front ",\"choices\":[{\"index\":0,\"message\":{" ROLE "\"content\":\"" WORDS "\",\"reasoning\":\"h\\u00e9\"},"     \
          "\"finish_reason\":\"stop\"}]," COUNTS
#define OLD_MESSAGE MESSAGE(OPENAI("", "99", "5", "llama3"))
#define NEW_MESSAGE MESSAGE(OPENAI("", "#", "~", "M"))

enum way { LINES_OF_CHAT, ONE_OF_CHAT, CHUNKS_OF_V1, ONE_OF_V1, WAYS };
static const struct tape_is tapes[WAYS] = {
    [LINES_OF_CHAT] = {.route = ROUTE_chat,  .form = FORM_NDJSON},
    [ONE_OF_CHAT] = {                       .route = ROUTE_chat,  .form = FORM_WHOLE                  },
    [CHUNKS_OF_V1] = {  .route = ROUTE_v1_chat, .form = FORM_SSE,                   .usage_asked = true },
    [ONE_OF_V1] = { .route = ROUTE_v1_chat, .form = FORM_WHOLE,                   .usage_asked = true },
};
static const struct client_is clients[WAYS] = {
    [LINES_OF_CHAT] = {.route = ROUTE_chat, .stream = true},
    [ONE_OF_CHAT] = {                       .route = ROUTE_chat,    .stream = false             },
    [CHUNKS_OF_V1] = {  .route = ROUTE_v1_chat,      .stream = true,                   .usage = true },
    [ONE_OF_V1] = { .route = ROUTE_v1_chat,      .stream = false,                   .usage = true },
};
static const char *const written[WAYS] = {
    [LINES_OF_CHAT] = LINES(OLD_LINE, TOLD_END),
    [ONE_OF_CHAT] = OLD_LINE BOTH TOLD_END,
    [CHUNKS_OF_V1] = CHUNKS(OLD_CHUNK),
    [ONE_OF_V1] = OLD_MESSAGE,
};
/* [from][to]. What was one piece is told as one record and the end; durations are the native dialect's own. */
static const char *const wanted_of[WAYS][WAYS] = {
    [LINES_OF_CHAT] = {LINES(LINE,   TOLD_END), LINE BOTH TOLD_END,           CHUNKS(CHUNK), NEW_MESSAGE },
    [ONE_OF_CHAT] = { TWO_LINES(TOLD_END),           LINE BOTH TOLD_END, TWO_CHUNKS, NEW_MESSAGE   },
    [CHUNKS_OF_V1] = { LINES(LINE,           KNOWN_END),          LINE BOTH KNOWN_END,                  CHUNKS(CHUNK), NEW_MESSAGE },
    [ONE_OF_V1] = { TWO_LINES(KNOWN_END), LINE BOTH KNOWN_END,         TWO_CHUNKS,                 NEW_MESSAGE          },
};

static void each_way_is_told_in_each(void **state)
{
    for (unsigned from = 0; from < WAYS; from++)
        for (unsigned to = 0; to < WAYS; to++)
            for (unsigned late = 0; late < 2; late++) {
                struct client_is c = clients[to];
                c.late = late;
                if (from != to || late)
                    tells(tapes[from], c, written[from], wanted_of[from][to]);
            }
}

/* ---- which way --------------------------------------------------------------------------------------------------- */

static void goes(struct tape_is t, struct client_is c, int way, bool wants_all)
{
    assert_int_equal(meet(t, c), OK);
    assert_int_equal(r.way, way);
    assert_int_equal(retell_wants_all(&r), wants_all);
    part();
}

static void who_asked_as_the_leader_did_gets_its_bytes(void **state)
{
    for (unsigned i = 0; i < WAYS; i++) {
        struct client_is late = clients[i];
        late.late = true;
        goes(tapes[i], clients[i], RETELL_AS_IT_IS, false);
        goes(tapes[i], late, RETELL_REPLAYED, !clients[i].stream);
    }
}

/* What the node gives in another shape than it was asked for is the answer to whoever asked as the leader did. */
static void shapes_are_those_asked_for(void **state)
{
    struct tape_is t = { .route = ROUTE_chat, .form = FORM_WHOLE, .other_asked = true };

    goes(t, clients[LINES_OF_CHAT], RETELL_AS_IT_IS, false);
    goes(t, clients[ONE_OF_CHAT], RETELL_REPLAYED, true);
    t.form = FORM_NDJSON;
    goes(t, clients[ONE_OF_CHAT], RETELL_AS_IT_IS, false);
    goes(t, clients[LINES_OF_CHAT], RETELL_REPLAYED, false);
}

static void who_asked_otherwise_is_told_otherwise(void **state)
{
    for (unsigned from = 0; from < WAYS; from++)
        for (unsigned to = 0; to < WAYS; to++) {
            struct client_is late = clients[to];
            late.late = true;
            if (from == to)
                continue;
            goes(tapes[from], clients[to], RETELL_REPLAYED, !clients[to].stream);
            goes(tapes[from], late, RETELL_REPLAYED, true);
        }
}

static void only_a_stream_has_counts_to_ask_for(void **state)
{
    struct client_is stream = { .route = ROUTE_v1_chat, .stream = true },
                     whole = { .route = ROUTE_v1_chat, .stream = false };

    goes(tapes[CHUNKS_OF_V1], stream, RETELL_REPLAYED, false);
    goes(tapes[ONE_OF_V1], whole, RETELL_AS_IT_IS, false);
}

static const struct tape_is vectors = { .route = ROUTE_embed, .form = FORM_WHOLE },
                            v1_vectors = { .route = ROUTE_v1_embeddings, .form = FORM_WHOLE };

static void vectors_have_one_shape(void **state)
{
    for (unsigned i = 0; i < 8; i++) {
        struct client_is own = { .route = ROUTE_embed, .stream = i & 1, .usage = i & 4, .late = i & 2 }, other = own;
        other.route = ROUTE_v1_embeddings;
        goes(vectors, own, RETELL_AS_IT_IS, false);
        goes(v1_vectors, other, RETELL_AS_IT_IS, false);
        goes(vectors, other, RETELL_REPLAYED, true);
        goes(v1_vectors, own, RETELL_REPLAYED, true);
        own.route = ROUTE_embeddings;
        goes((struct tape_is){ .route = ROUTE_embeddings, .form = FORM_WHOLE }, own, RETELL_AS_IT_IS, false);
    }
}

/* ---- when -------------------------------------------------------------------------------------------------------- */

static void a_running_stream_is_told_as_it_comes(void **state)
{
    bool last;

    assert_int_equal(meet(tapes[LINES_OF_CHAT], clients[CHUNKS_OF_V1]), OK);
    assert_int_equal(retell_hear(&r, STR(OLD_LINE SAID("a") MORE), false), OK);
    struct str said = retell_next(&r, SIZE_MAX, &last);
    assert_true(str_find(said, STR("\"content\":\"a\"")) > 0 && str_ends(said, STR("\n\n")));
    assert_false(last);
    assert_int_equal(retell_next(&r, 3, &last).n, 3);
    retell_told(&r, said.n);
    assert_int_equal(retell_next(&r, SIZE_MAX, &last).n, 0);
    assert_int_equal(retell_hear(&r, STR(OLD_LINE SAID("") TOLD_END "\n"), true), OK);
    said = retell_next(&r, SIZE_MAX, &last);
    assert_true(last && str_ends(said, STR(DONE)));
    assert_true(str_eq(retell_next(&r, said.n - 1, &last), str_take(said, said.n - 1)) && !last);
    retell_told(&r, said.n - 1);
    assert_true(retell_next(&r, 1, &last).n == 1 && last);
    part();
}

static void one_stream_has_the_same_ids_for_all(void **state)
{
    char first[4096], *end;
    struct client_is c = { .route = ROUTE_v1_chat, .stream = true, .usage = true };

    assert_int_equal(meet(tapes[LINES_OF_CHAT], c), OK);
    assert_int_equal(hear(str_of(written[LINES_OF_CHAT]), SIZE_MAX), OK);
    take_what_is_said(SIZE_MAX);
    end = put_str(first, text_str(&heard));
    part();
    (void)worker_random(worker);
    assert_int_equal(meet(tapes[LINES_OF_CHAT], c), OK);
    assert_int_equal(hear(str_of(written[LINES_OF_CHAT]), 9), OK);
    take_what_is_said(SIZE_MAX);
    assert_true(str_eq(text_str(&heard), str_span(first, end)));
    part();
}

/* ---- heads ------------------------------------------------------------------------------------------------------- */

static void heads(unsigned from, struct client_is c, const char *type, enum record_form form)
{
    assert_int_equal(meet(tapes[from], c), OK);
    assert_int_equal(hear(str_of(written[from]), SIZE_MAX), OK);
    bool last;
    size_t n = retell_next(&r, SIZE_MAX, &last).n;
    retell_head(&r);
    assert_true(str_eq(x.out.content_type, str_of(type)));
    assert_int_equal(x.out.stream, c.stream);
    assert_int_equal(x.out.length, c.stream ? -1 : (int64_t)n);
    assert_int_equal(x.up.dialect, x.route.row->dialect);
    assert_int_equal(x.up.form, form);
    part();
}

static void heads_say_what_comes(void **state)
{
    struct client_is kept = clients[LINES_OF_CHAT];

    heads(ONE_OF_CHAT, clients[LINES_OF_CHAT], "application/x-ndjson", FORM_NDJSON);
    heads(CHUNKS_OF_V1, clients[LINES_OF_CHAT], "application/x-ndjson", FORM_NDJSON);
    heads(LINES_OF_CHAT, clients[ONE_OF_CHAT], "application/json; charset=utf-8", FORM_WHOLE);
    heads(LINES_OF_CHAT, clients[CHUNKS_OF_V1], "text/event-stream", FORM_SSE);
    heads(CHUNKS_OF_V1, clients[ONE_OF_V1], "application/json", FORM_WHOLE);
    kept.late = true;
    heads(LINES_OF_CHAT, kept, "as/it-was", FORM_NDJSON);
}

static void vectors_are_told_whole_to_whoever_says_stream(void **state)
{
    struct client_is c = { .route = ROUTE_v1_embeddings, .stream = true };

    assert_int_equal(meet(vectors, c), OK);
    assert_int_equal(hear(STR("{\"embeddings\":[[1]]}"), SIZE_MAX), OK);
    take_what_is_said(SIZE_MAX);
    assert_true(ended);
    part();
    assert_int_equal(meet(vectors, c), OK);
    assert_int_equal(hear(STR("{\"embeddings\":[[1]]}"), SIZE_MAX), OK);
    bool last;
    size_t n = retell_next(&r, SIZE_MAX, &last).n;
    retell_head(&r);
    assert_false(x.out.stream);
    assert_int_equal(x.out.length, n);
    assert_int_equal(x.up.form, FORM_WHOLE);
    assert_true(str_eq(x.out.content_type, STR("application/json")));
    part();
}

/* ---- what an answer can hold ------------------------------------------------------------------------------------- */

static void counts_go_to_whoever_asked(void **state)
{
    struct client_is without = { .route = ROUTE_v1_chat, .stream = true },
                     with = { .route = ROUTE_v1_chat, .stream = true, .usage = true };

    tells(tapes[CHUNKS_OF_V1], without, CHUNKS(OLD_CHUNK), TALK(NAMED_CHUNK) DONE);
    without.late = true;
    tells(tapes[CHUNKS_OF_V1], without, CHUNKS(OLD_CHUNK), TALK(CHUNK) DONE);
    tells(tapes[LINES_OF_CHAT], without, written[LINES_OF_CHAT], TALK(CHUNK) DONE);
    struct tape_is untold = tapes[CHUNKS_OF_V1];
    untold.usage_asked = false;
    refuses(untold, with, TALK(OLD_CHUNK) DONE, FAIL_bad_value);
    refuses(untold, clients[ONE_OF_V1], TALK(OLD_CHUNK) DONE, FAIL_bad_value);
    refuses(untold, clients[ONE_OF_CHAT], TALK(OLD_CHUNK) DONE, OK);
}

#define NATIVE_CALLS "{\"function\":{\"name\":\"f\",\"arguments\":{\"b\":1,\"a\":\"\\u00e9\"}}}"
#define V1_CALLS                                                                                                       \
    "{\"id\":\"call_1\",\"index\":0,\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"b\\\":1}"  \
    "\"}}"
#define CALLING(calls) "\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[" calls "]}"

/* Arguments are an object here and text there, and calls have ids here only. */
static void calls_stay_in_their_dialect(void **state)
{
    const char *lines = OLD_LINE CALLING(NATIVE_CALLS) MORE OLD_LINE SAID("") TOLD_END "\n";
    const char *one = OLD_LINE CALLING(NATIVE_CALLS) TOLD_END;
    const char *chunks = OLD_CHUNK DELTA(ROLE "\"content\":\"\",\"tool_calls\":[" V1_CALLS "]")
        OLD_CHUNK FINISH("tool_calls") OLD_CHUNK USAGE DONE;
    const char *message = OPENAI("", "99", "5", "llama3") ",\"choices\":[{\"index\":0,\"message\":{" ROLE
                                                          "\"content\":\"\",\"tool_calls\":[" V1_CALLS
                                                          "]},\"finish_reason\":\"tool_calls\"}]," COUNTS;

    tells(tapes[LINES_OF_CHAT], clients[ONE_OF_CHAT], lines, LINE CALLING(NATIVE_CALLS) TOLD_END);
    tells(tapes[ONE_OF_CHAT], clients[LINES_OF_CHAT], one, LINE CALLING(NATIVE_CALLS) MORE LINE SAID("") TOLD_END "\n");
    tells(tapes[CHUNKS_OF_V1], clients[ONE_OF_V1], chunks,
          OPENAI("", "#", "~", "M") ",\"choices\":[{\"index\":0,\"message\":{" ROLE
                                    "\"content\":\"\",\"tool_calls\":[" V1_CALLS
                                    "]},\"finish_reason\":\"tool_calls\"}]," COUNTS);
    tells(tapes[ONE_OF_V1], clients[CHUNKS_OF_V1], message,
          CHUNK DELTA(ROLE "\"content\":\"\",\"tool_calls\":[" V1_CALLS "]") CHUNK FINISH("tool_calls")
              CHUNK USAGE DONE);
    for (unsigned s = 0; s < 2; s++) {
        refuses(tapes[LINES_OF_CHAT], clients[CHUNKS_OF_V1 + s], lines, FAIL_bad_value);
        refuses(tapes[ONE_OF_CHAT], clients[CHUNKS_OF_V1 + s], one, FAIL_bad_value);
        refuses(tapes[CHUNKS_OF_V1], clients[LINES_OF_CHAT + s], chunks, FAIL_bad_value);
        refuses(tapes[ONE_OF_V1], clients[LINES_OF_CHAT + s], message, FAIL_bad_value);
    }
}

static void reasons_that_both_know_cross(void **state)
{
    static const struct {
        const char *why;
        enum fail expected;
    } rows[] = {
        {"stop",            OK            },
        { "length",         OK            },
        { "tool_calls",     FAIL_bad_value},
        { "content_filter", FAIL_bad_value},
        { "load",           FAIL_bad_value},
        { "unload",         FAIL_bad_value},
        { "novelty",        FAIL_bad_value},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        for (unsigned s = 0; s < 2; s++) {
            char lines[1024], chunks[1024];
            snprintf(lines, sizeof lines,
                     OLD_LINE SAID("a") MORE OLD_LINE SAID("") ",\"done\":true,\"done_reason\":\"%s\"}\n", rows[i].why);
            snprintf(chunks, sizeof chunks,
                     OLD_CHUNK DELTA("\"content\":\"a\"") OLD_CHUNK FINISH("%s") OLD_CHUNK USAGE DONE, rows[i].why);
            refuses(tapes[LINES_OF_CHAT], clients[CHUNKS_OF_V1 + s], lines, rows[i].expected);
            refuses(tapes[CHUNKS_OF_V1], clients[LINES_OF_CHAT + s], chunks, rows[i].expected);
            refuses(tapes[LINES_OF_CHAT], clients[ONE_OF_CHAT], lines, OK);
            refuses(tapes[CHUNKS_OF_V1], clients[ONE_OF_V1], chunks, OK);
        }
    tells(tapes[LINES_OF_CHAT], clients[CHUNKS_OF_V1],
          OLD_LINE SAID("a") MORE OLD_LINE SAID("") ",\"done\":true,\"done_reason\":\"length\","
                                                    "\"prompt_eval_count\":3,\"eval_count\":2}\n",
          CHUNK DELTA(ROLE "\"content\":\"a\"") CHUNK FINISH("length") CHUNK USAGE DONE);
    tells(tapes[CHUNKS_OF_V1], clients[ONE_OF_CHAT],
          OLD_CHUNK DELTA("\"content\":\"a\"") OLD_CHUNK FINISH("length") OLD_CHUNK USAGE DONE,
          LINE SAID("a") ",\"done\":true,\"done_reason\":\"length\",\"prompt_eval_count\":3,\"eval_count\":2}");
}

static void what_has_no_end_is_not_told(void **state)
{
    static const char *const cut[WAYS] = {
        [LINES_OF_CHAT] = OLD_LINE SAID("a") MORE,
        [ONE_OF_CHAT] = OLD_LINE SAID("a") ",\"done\":false}",
        [CHUNKS_OF_V1] = TALK(OLD_CHUNK) OLD_CHUNK USAGE,
        [ONE_OF_V1] = "{\"choices\":[",
    };
    for (unsigned from = 0; from < WAYS; from++)
        for (unsigned to = 0; to < WAYS; to++) {
            struct client_is late = clients[to];
            late.late = true;
            if (from != to)
                refuses(tapes[from], clients[to], cut[from], FAIL_bad_value);
            if (from != to || clients[to].stream)
                refuses(tapes[from], late, cut[from], FAIL_bad_value);
        }
}

static void several_choices_are_not_told(void **state)
{
    const char *two = "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"},"
                      "{\"index\":1,\"message\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]," COUNTS;

    refuses(tapes[ONE_OF_V1], clients[CHUNKS_OF_V1], two, FAIL_bad_value);
    refuses(tapes[ONE_OF_V1], clients[ONE_OF_CHAT], two, FAIL_bad_value);
}

static void vectors_cross(void **state)
{
    struct client_is native = { .route = ROUTE_embed }, openai = { .route = ROUTE_v1_embeddings };

    tells(vectors, openai, "{\"model\":\"x\",\"embeddings\":[[0.10,1e-7],[2]],\"prompt_eval_count\":4}",
          "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"embedding\":[0.10,1e-7],\"index\":0},"
          "{\"object\":\"embedding\",\"embedding\":[2],\"index\":1}],\"model\":\"M\","
          "\"usage\":{\"prompt_tokens\":4,\"total_tokens\":4}}");
    tells(v1_vectors, native,
          "{\"data\":[{\"embedding\":[0.10],\"index\":0}],\"model\":\"x\",\"usage\":{\"prompt_tokens\":4,"
          "\"total_tokens\":4}}",
          "{\"model\":\"M\",\"embeddings\":[[0.10]],\"prompt_eval_count\":4}");
    refuses(v1_vectors, native, "{\"data\":[{\"embedding\":\"AACAPw==\",\"index\":0}]}", FAIL_bad_value);
    refuses(vectors, openai, "{\"embeddings\":[[1]", FAIL_bad_value);
}

static void the_name_is_the_clients_own(void **state)
{
    bool last;

    for (unsigned to = 0; to < WAYS; to++) {
        struct client_is c = clients[to];
        c.late = true;
        assert_int_equal(meet(tapes[LINES_OF_CHAT], c), OK);
        part();
        x.route.model = STR("My \"\xc3\xa9\"");
        arena_init(&x.arena);
        assert_int_equal(retell_init(&r, &x, &head, true), OK);
        assert_int_equal(hear(str_of(written[LINES_OF_CHAT]), SIZE_MAX), OK);
        struct str said = text_str(&heard).n ? text_str(&heard) : retell_next(&r, SIZE_MAX, &last);
        assert_true(str_find(said, STR("\"model\":\"My \\\"\xc3\xa9\\\"\"")) > 0);
        assert_true(str_find(said, STR("llama3")) < 0);
        part();
    }
}

/* ---- the other routes -------------------------------------------------------------------------------------------- */

/* As a stream and back it is what it was. */
static void there_and_back(enum route_id route, const char *whole)
{
    char stream[8192], *end;
    enum record_form form = route_row(route)->dialect == DIALECT_OLLAMA ? FORM_NDJSON : FORM_SSE;
    struct client_is streams = { .route = route, .stream = true, .usage = true },
                     one = { .route = route, .stream = false, .usage = true };

    assert_int_equal(meet((struct tape_is){ .route = route, .form = FORM_WHOLE, .usage_asked = true }, streams), OK);
    assert_int_equal(hear(str_of(whole), SIZE_MAX), OK);
    take_what_is_said(SIZE_MAX);
    assert_true(ended && text_str(&heard).n < sizeof stream);
    end = put_str(stream, text_str(&heard));
    *end = 0;
    part();
    tells((struct tape_is){ .route = route, .form = form, .usage_asked = true }, one, stream, whole);
}

static void each_route_has_both_shapes(void **state)
{
    there_and_back(ROUTE_generate, "{\"model\":\"M\",\"created_at\":\"2020-09-13T12:26:40Z\",\"response\":\"" WORDS
                                   "\",\"thinking\":\"h\",\"done\":true,\"done_reason\":\"stop\",\"context\":[1,2],"
                                   "\"total_duration\":9,\"eval_count\":2}");
    there_and_back(ROUTE_v1_completions,
                   "{\"id\":\"cmpl-7\",\"object\":\"text_completion\",\"created\":1600000000,\"model\":\"M\","
                   "\"choices\":[{\"index\":0,\"text\":\"" WORDS "\",\"finish_reason\":\"length\"}]," COUNTS);
    there_and_back(ROUTE_v1_messages,
                   "{\"id\":\"msg_5f5e10000000000000000007\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"
                   "\"M\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"h\"},{\"type\":\"text\",\"text\":\"" WORDS
                   "\"},{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{\"a\":\"\\n\"}}],"
                   "\"stop_reason\":\"tool_use\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":3,"
                   "\"output_tokens\":2}}");
    there_and_back(
        ROUTE_v1_responses,
        "{\"id\":\"resp_7\",\"object\":\"response\",\"created_at\":1600000000,\"status\":\"completed\",\"model\":"
        "\"M\",\"output\":[{\"id\":\"msg_1\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\","
        "\"content\":[{\"type\":\"output_text\",\"text\":\"" WORDS "\",\"annotations\":[]}]}],\"usage\":{"
        "\"input_tokens\":3}}");
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

#define SORRY "model \\\"x\\\" is \xc3\xa9\\u00e9"

static void its_own_dialect_keeps_an_error(void **state)
{
    struct tape_is t = { .route = ROUTE_chat, .form = FORM_WHOLE, .status = 404 };

    for (unsigned i = 0; i < 4; i++)
        goes(t, (struct client_is){ .route = ROUTE_chat, .stream = i & 1, .usage = false, .late = i & 2 },
             RETELL_AS_IT_IS, false);
    t.route = ROUTE_v1_chat;
    for (unsigned i = 0; i < 4; i++)
        goes(t, (struct client_is){ .route = ROUTE_v1_chat, .stream = i & 1, .usage = false, .late = i & 2 },
             RETELL_AS_IT_IS, false);
}

static void rewords(struct tape_is t, struct client_is c, const char *in, const char *want)
{
    tells(t, c, in, want);
    assert_int_equal(meet(t, c), OK);
    assert_true(retell_wants_all(&r));
    assert_int_equal(hear(str_of(in), SIZE_MAX), OK);
    retell_head(&r);
    assert_int_equal(x.out.length, strlen(want));
    assert_false(x.out.stream);
    assert_int_equal(x.up.form, FORM_WHOLE);
    assert_true(str_eq(x.out.content_type, dialect_error_type(x.route.row->dialect)));
    part();
}

static void another_dialect_has_its_own_words(void **state)
{
    struct tape_is native = { .route = ROUTE_chat, .form = FORM_WHOLE, .status = 404 };
    struct tape_is openai = { .route = ROUTE_v1_chat, .form = FORM_WHOLE, .status = 400 };
    const char *sorry = "{\"error\":{\"message\":\"model \\\"x\\\" is \xc3\xa9\xc3\xa9\",\"type\":"
                        "\"not_found_error\",\"param\":null,\"code\":null}}";

    rewords(native, clients[CHUNKS_OF_V1], "{\"error\":\"" SORRY "\"}", sorry);
    rewords(native, clients[ONE_OF_V1], "{\"error\":\"" SORRY "\"}\n", sorry);
    rewords(openai, clients[LINES_OF_CHAT],
            "{\"error\":{\"message\":\"" SORRY "\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}",
            "{\"error\":\"model \\\"x\\\" is \xc3\xa9\xc3\xa9\"}");
    native.route = ROUTE_embed;
    native.status = 500;
    rewords(native, (struct client_is){ .route = ROUTE_v1_embeddings }, "{\"error\":\"no\"}",
            "{\"error\":{\"message\":\"no\",\"type\":\"api_error\",\"param\":null,\"code\":null}}");
}

static void an_error_without_words_gets_some(void **state)
{
    struct tape_is t = { .route = ROUTE_v1_chat, .form = FORM_WHOLE, .status = 500 };
    char want[300], *end = put_str(put_str(want, STR("{\"error\":\"")), fail_sentence(FAIL_upstream_said));

    *put_str(end, STR("\"}")) = 0;
    rewords(t, clients[ONE_OF_CHAT], "<html>", want);
    rewords(t, clients[ONE_OF_CHAT], "", want);
}

static void says_error(struct tape_is t, struct client_is c, const char *in, size_t step, const char *message)
{
    assert_int_equal(meet(t, c), OK);
    assert_int_equal(hear(str_of(in), step), FAIL_upstream_said);
    if (!str_eq(r.message, str_of(message)))
        fail_msg("%.*s instead of %s", STR_ARG(r.message), message);
    part();
}

static void an_error_in_an_answer_is_told_apart(void **state)
{
    const char *message = "model \"x\" is \xc3\xa9\xc3\xa9";

    for (unsigned s = 0; s < 2; s++) {
        says_error(tapes[LINES_OF_CHAT], clients[CHUNKS_OF_V1 + s],
                   OLD_LINE SAID("a") MORE "{\"error\":\"" SORRY "\"}\n", SIZE_MAX, message);
        says_error(tapes[CHUNKS_OF_V1], clients[LINES_OF_CHAT + s],
                   OLD_CHUNK DELTA("\"content\":\"a\"") "data: {\"error\":{\"message\":\"" SORRY "\"}}\n\n" DONE,
                   SIZE_MAX, message);
    }
    says_error(tapes[LINES_OF_CHAT], clients[ONE_OF_CHAT], "{\"error\":\"" SORRY "\"}\n", SIZE_MAX, message);
}

static void an_error_that_comes_in_pieces_is_told_whole(void **state)
{
    const char *message = "model \"x\" is \xc3\xa9\xc3\xa9";

    for (unsigned i = 0; i < ARRAY_LEN(steps); i++) {
        says_error(tapes[ONE_OF_CHAT], clients[ONE_OF_V1], "{\"error\":\"" SORRY "\"}", steps[i], message);
        says_error(tapes[ONE_OF_V1], clients[LINES_OF_CHAT], "{\"error\":{\"message\":\"" SORRY "\"}}", steps[i],
                   message);
        says_error(vectors, (struct client_is){ .route = ROUTE_v1_embeddings }, "{\"error\":\"" SORRY "\"}", steps[i],
                   message);
    }
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static enum fail with_memory_until(unsigned nth, struct tape_is t, struct client_is c, const char *in)
{
    enum fail why;

    memory_fail_at(nth);
    why = meet(t, c);
    why = why ? why : hear(str_of(in), SIZE_MAX);
    memory_fail_at(0);
    part();
    return why;
}

static void memory_may_be_out(void **state)
{
    struct tape_is refused = { .route = ROUTE_chat, .form = FORM_WHOLE, .status = 500 };

    for (unsigned from = 0; from <= WAYS; from++)
        for (unsigned to = 0; to < WAYS; to++) {
            bool error = from == WAYS;
            enum fail why = FAIL_no_memory;
            unsigned n = 0;
            if (error ? to < CHUNKS_OF_V1 : from == to)
                continue;
            while (why) {
                if (why != FAIL_no_memory || ++n > 1000)
                    fail_msg("%.*s from %u to %u without piece %u", STR_ARG(fail_name(why)), from, to, n);
                why = with_memory_until(n, error ? refused : tapes[from], clients[to],
                                        error ? "{\"error\":\"x\"}" : written[from]);
            }
            assert_true(n > 1);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way_is_told_in_each),
        cmocka_unit_test(who_asked_as_the_leader_did_gets_its_bytes),
        cmocka_unit_test(shapes_are_those_asked_for),
        cmocka_unit_test(who_asked_otherwise_is_told_otherwise),
        cmocka_unit_test(only_a_stream_has_counts_to_ask_for),
        cmocka_unit_test(vectors_have_one_shape),
        cmocka_unit_test(a_running_stream_is_told_as_it_comes),
        cmocka_unit_test(one_stream_has_the_same_ids_for_all),
        cmocka_unit_test(heads_say_what_comes),
        cmocka_unit_test(vectors_are_told_whole_to_whoever_says_stream),
        cmocka_unit_test(counts_go_to_whoever_asked),
        cmocka_unit_test(calls_stay_in_their_dialect),
        cmocka_unit_test(reasons_that_both_know_cross),
        cmocka_unit_test(what_has_no_end_is_not_told),
        cmocka_unit_test(several_choices_are_not_told),
        cmocka_unit_test(vectors_cross),
        cmocka_unit_test(the_name_is_the_clients_own),
        cmocka_unit_test(each_route_has_both_shapes),
        cmocka_unit_test(its_own_dialect_keeps_an_error),
        cmocka_unit_test(another_dialect_has_its_own_words),
        cmocka_unit_test(an_error_without_words_gets_some),
        cmocka_unit_test(an_error_in_an_answer_is_told_apart),
        cmocka_unit_test(an_error_that_comes_in_pieces_is_told_whole),
        cmocka_unit_test(memory_may_be_out),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
