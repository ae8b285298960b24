/* What a simulated node says, dialect by dialect: the shapes that clients' libraries read, and the texts of errors. */
#include "api/record.h"
#include "sim_rig.h"
#include <math.h>
#include <zstd.h>

static void open_usual(void)
{
    begin();
    struct simnode_spec s = spec_with("llama3.2=1000", "qwen3:8b=1000", "nomic-embed-text=100");
    s.load_rate = s.prefill = s.decode = 0;
    open_node(s);
}
#define USER(text) "\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]"
#define WEATHER                                                                                                        \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"parameters\":{\"type\":\"object\","    \
    "\"properties\":{\"town\":{\"type\":\"string\"},\"days\":{\"type\":\"integer\"}}}}}]"

static unsigned count_of(struct str text, const char *part)
{
    unsigned n = 0;
    for (ssize_t at; (at = str_find(text, str_of(part))) >= 0; n++)
        text = str_drop(text, (size_t)at + strlen(part));
    return n;
}

/* Every `part` must come after the one before. */
static void assert_order_of(struct str text, const char *const *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ssize_t at = str_find(text, str_of(parts[i]));
        if (at < 0)
            fail_msg("%s is not in its place in %.*s", parts[i], STR_ARG(text));
        text = str_drop(text, (size_t)at + 1);
    }
}
#define assert_order(text, ...)                                                                                        \
    assert_order_of(text, (const char *const[]){ __VA_ARGS__ }, ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })))

static enum record_mark mark_of(enum dialect d, struct reply a)
{
    struct figures f;
    figures_clear(&f);
    return record_look(d, record_form_of(http_get(&a.head, H_CONTENT_TYPE)), a.body, &f, NULL);
}

static void chat_streams_a_record_for_each_token(void **state)
{
    open_usual();
    struct reply a =
        get_answer("POST /api/chat", "{\"model\":\"llama3.2\"," USER("hi") ",\"options\":{\"num_predict\":5}}");
    assert_true(str_eq(http_get(&a.head, H_CONTENT_TYPE), STR("application/x-ndjson")));
    assert_int_equal(count_of(a.body, "\n"), 6);
    assert_int_equal(a.records, 6);
    assert_int_equal(count_of(a.body, "\"done\":true"), 1);
    assert_int_equal(count_of(a.body, "\"model\":\"llama3.2\""), 6);
    assert_holds(a.body, "\"message\":{\"role\":\"assistant\",\"content\":\"[simulated]\"},\"done\":false}\n");
    assert_holds(last_line(a.body), "\"done_reason\":\"length\"");
    assert_holds(last_line(a.body), "\"eval_count\":5");
    assert_int_equal(mark_of(DIALECT_OLLAMA, a), MARK_DONE);
    finish();
}

/* The text of a native answer, streamed or not, as it stands in JSON. */
static size_t said_in(struct str body, char *out)
{
    size_t n = 0;
    while (body.n) {
        struct json record = json_parse(str_cut(&body, '\n'), NULL), text = json_get(record, STR("response"));
        if (text.kind == JSON_BAD)
            text = json_get(json_get(record, STR("message")), STR("content"));
        if (text.kind != JSON_STRING)
            continue;
        memcpy(out + n, text.raw.p + 1, text.raw.n - 2);
        n += text.raw.n - 2;
    }
    out[n] = 0;
    return n;
}

/* Wherever a token ends. */
static void goes_on(const char *path, const char *asked, const char *before, const char *after)
{
    char whole[2000], rest[2000], body[4000];
    size_t n = said_in(get_answer(path, asked).body, whole);
    for (size_t cut = 1; cut <= n; cut++) {
        if (cut < n && whole[cut] != ' ')
            continue;
        snprintf(body, sizeof body, "%s%.*s%s", before, (int)cut, whole, after);
        said_in(get_answer(path, body).body, rest);
        assert_string_equal(rest, whole + cut);
    }
}

static void an_answer_that_was_begun_goes_on(void **state)
{
    open_usual();
    goes_on("POST /api/chat", "{\"model\":\"llama3.2\"," USER("hi") "}",
            "{\"model\":\"llama3.2\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
            "{\"role\":\"assistant\",\"content\":\"",
            "\"}]}");
    goes_on("POST /api/generate", "{\"model\":\"llama3.2\",\"raw\":true,\"prompt\":\"hi \"}",
            "{\"model\":\"llama3.2\",\"raw\":true,\"prompt\":\"hi ", "\"}");
    finish();
}

static void the_whole_is_the_pieces_joined(void **state)
{
    open_usual();
    struct reply whole =
        get_answer("POST /api/generate", "{\"model\":\"llama3.2\",\"prompt\":\"why?\",\"stream\":false}");
    struct reply parts = get_answer("POST /api/generate", "{\"model\":\"llama3.2\",\"prompt\":\"why?\"}");
    char joined[2000];
    struct str rest = parts.body;
    size_t n = 0;
    while (rest.n) {
        struct str piece = json_get(json_parse(str_cut(&rest, '\n'), NULL), STR("response")).raw;
        memcpy(joined + n, piece.p + 1, piece.n - 2);
        n += piece.n - 2;
    }
    struct str said = json_get(json_parse(whole.body, NULL), STR("response")).raw;
    assert_int_equal(said.n - 2, n);
    assert_memory_equal(said.p + 1, joined, n);
    assert_holds(whole.body, "\"context\":[");
    assert_holds(whole.body, "\"done_reason\":\"stop\"");
    int64_t tokens = number_in(whole.body, "eval_count");
    assert_true(tokens >= 16 && tokens <= 32);
    assert_false(holds(
        get_answer("POST /api/generate", "{\"model\":\"llama3.2\",\"prompt\":\"why?\",\"raw\":true,\"stream\":false}")
            .body,
        "context"));
    finish();
}

static void tools_are_called_when_asked_for(void **state)
{
    open_usual();
    struct reply a =
        get_answer("POST /api/chat", "{\"model\":\"llama3.2\"," USER("The weather in Bergen?") "," WEATHER "}");
    assert_holds(a.body, "\"content\":\"\",\"tool_calls\":[{\"id\":\"call_");
    assert_holds(a.body, "\"function\":{\"index\":0,\"name\":\"get_weather\",\"arguments\":{\"town\":\"[simulated] ");
    a = get_answer("POST /api/chat", "{\"model\":\"llama3.2\"," USER("Good morning") "," WEATHER "}");
    assert_false(holds(a.body, "tool_calls"));
    a = get_answer("POST /api/chat",
                   "{\"model\":\"llama3.2\",\"messages\":[{\"role\":\"user\",\"content\":\"weather?\"},"
                   "{\"role\":\"tool\",\"content\":\"weather: rain\"}]," WEATHER "}");
    assert_false(holds(a.body, "tool_calls"));
    a = get_answer("POST /v1/chat/completions",
                   "{\"model\":\"llama3.2\",\"stream\":true," USER("weather?") "," WEATHER "}");
    assert_holds(a.body, "\"arguments\":\"{\\\"town\\\":");
    assert_holds(a.body, "\"finish_reason\":\"tool_calls\"");
    finish();
}

static void formats_are_kept_to(void **state)
{
    open_usual();
    struct reply a =
        get_answer("POST /api/chat", "{\"model\":\"llama3.2\"," USER("x") ",\"stream\":false,\"format\":\"json\"}");
    struct json message = json_get(json_parse(a.body, NULL), STR("message"));
    struct str text = json_text(&kept, json_get(message, STR("content")));
    assert_int_equal(json_parse(text, NULL).kind, JSON_OBJECT);
    a = get_answer(
        "POST /v1/chat/completions",
        "{\"model\":\"llama3.2\"," USER(
            "x") ",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"n\","
                 "\"schema\":{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\",\"minimum\":500}}}}}}");
    assert_holds(a.body, "\"content\":\"{\\\"n\\\":500}\"");
    finish();
}

static struct str said(struct reply a, const char *const *path, size_t n)
{
    struct json v = json_parse(a.body, NULL);
    for (size_t i = 0; i < n; i++)
        v = v.kind == JSON_ARRAY ? json_parse(str_drop(v.raw, 1), NULL) : json_get(v, str_of(path[i]));
    assert_int_equal(v.kind, JSON_STRING);
    return json_text(&kept, v);
}
#define said_at(a, ...) said(a, (const char *const[]){ __VA_ARGS__ }, ARRAY_LEN(((const char *const[]){ __VA_ARGS__ })))

static void answers_end_before_a_stop_sequence(void **state)
{
    char body[300];
    open_usual();
    struct reply a = get_answer("POST /api/generate", "{\"model\":\"llama3.2\",\"prompt\":\"x\",\"stream\":false}");
    struct str all = said_at(a, "response"), stop = str_take(str_drop(all, 30), 6);
    struct str want = str_take(all, (size_t)str_find(all, stop));
    snprintf(body, sizeof body,
             "{\"model\":\"llama3.2\",\"prompt\":\"x\",\"stream\":false,\"options\":{\"stop\":[\"never\",\"%.*s\"]}}",
             STR_ARG(stop));
    a = get_answer("POST /api/generate", body);
    assert_true(str_eq(said_at(a, "response"), want));
    assert_holds(a.body, "\"done_reason\":\"stop\"");
    a = get_answer("POST /v1/chat/completions", "{\"model\":\"llama3.2\"," USER("x") ",\"stop\":\"[simul\"}");
    assert_int_equal(said_at(a, "choices", "0", "message", "content").n, 0);
    assert_holds(a.body, "\"finish_reason\":\"stop\"");
    a = get_answer("POST /v1/messages",
                   "{\"model\":\"llama3.2\",\"max_tokens\":9," USER("x") ",\"stop_sequences\":[\"ated\"]}");
    assert_holds(a.body, "\"text\":\"[simul\"");
    finish();
}

static void thoughts_come_apart_from_text(void **state)
{
    open_usual();
    struct reply a = get_answer("POST /api/chat", "{\"model\":\"qwen3:8b\"," USER("x") ",\"think\":true}");
    assert_order(a.body, "\"content\":\"\",\"thinking\":\"[simulated]\"", "\"content\":\"[simulated]\"",
                 "\"done\":true");
    a = get_answer("POST /api/chat", "{\"model\":\"qwen3:8b\"," USER("x") ",\"think\":false}");
    assert_false(holds(a.body, "thinking"));
    assert_answer(get_answer("POST /api/chat", "{\"model\":\"llama3.2\"," USER("x") ",\"think\":true}"), 400,
                  "{\"error\":\"\\\"llama3.2\\\" does not support thinking\"}");
    a = get_answer("POST /v1/messages", "{\"model\":\"qwen3:8b\",\"max_tokens\":99," USER(
                                            "x") ",\"thinking\":{\"type\":\"enabled\"},\"stream\":true}");
    assert_order(a.body, "message_start", "\"index\":0,\"content_block\":{\"type\":\"thinking\"", "thinking_delta",
                 "content_block_stop", "\"index\":1,\"content_block\":{\"type\":\"text\"", "text_delta",
                 "message_delta", "message_stop");
    assert_int_equal(mark_of(DIALECT_ANTHROPIC, a), MARK_DONE);
    finish();
}

static void openai_chat_has_its_chunks(void **state)
{
    open_usual();
    struct reply a = get_answer("POST /v1/chat/completions",
                                "{\"model\":\"llama3.2\"," USER("x") ",\"stream\":true,\"max_tokens\":4,"
                                                                     "\"stream_options\":{\"include_usage\":true}}");
    assert_true(str_eq(http_get(&a.head, H_CONTENT_TYPE), STR("text/event-stream")));
    assert_int_equal(count_of(a.body, "data: "), 7);
    assert_int_equal(count_of(a.body, "\"role\":\"assistant\""), 1);
    assert_order(a.body, "\"delta\":{\"role\":\"assistant\",\"content\":\"[simulated]\"}",
                 "\"delta\":{},\"finish_reason\":\"length\"", "\"choices\":[],\"usage\":{", "data: [DONE]\n\n");
    assert_int_equal(mark_of(DIALECT_OPENAI, a), MARK_DONE);
    a = get_answer("POST /v1/chat/completions", "{\"model\":\"llama3.2\"," USER("x") "}");
    assert_holds(a.body, "\"object\":\"chat.completion\"");
    assert_holds(a.body, "\"finish_reason\":\"stop\"");
    a = get_answer("POST /v1/completions",
                   "{\"model\":\"llama3.2\",\"prompt\":\"x\",\"max_tokens\":2,\"stream\":true}");
    assert_order(a.body, "text_completion", "\"text\":\"[simulated]\"", "\"finish_reason\":\"length\"", "[DONE]");
    finish();
}

static void responses_are_numbered_events(void **state)
{
    open_usual();
    struct reply a = get_answer("POST /v1/responses",
                                "{\"model\":\"llama3.2\",\"input\":\"hi\",\"stream\":true,\"max_output_tokens\":3}");
    assert_order(a.body, "event: response.created", "\"sequence_number\":0", "event: response.in_progress",
                 "response.output_item.added", "response.content_part.added", "response.output_text.delta",
                 "\"delta\":\"[simulated]\"", "response.output_text.done", "response.content_part.done",
                 "response.output_item.done", "event: response.completed", "\"status\":\"completed\"");
    assert_false(holds(a.body, "[DONE]"));
    assert_true(str_eq(http_get(&a.head, H_CACHE_CONTROL), STR("no-cache")));
    assert_int_equal(mark_of(DIALECT_RESPONSES, a), MARK_DONE);
    a = get_answer(
        "POST /v1/responses",
        "{\"model\":\"qwen3:8b\",\"input\":\"the weather\",\"stream\":true,"
        "\"tools\":[{\"type\":\"function\",\"name\":\"get_weather\",\"parameters\":{\"type\":\"object\"}}]}");
    assert_order(a.body, "reasoning_summary_text.delta", "\"output_index\":0,\"item\":{\"id\":\"rs_",
                 "\"output_index\":1", "function_call_arguments.delta", "function_call_arguments.done",
                 "response.completed");
    finish();
}

static void embeddings_are_unit_vectors_that_follow_from_the_text(void **state)
{
    open_usual();
    struct reply a = get_answer("POST /api/embed",
                                "{\"model\":\"nomic-embed-text\",\"input\":[\"a\",\"b\",\"a\"],\"dimensions\":8}");
    struct json_walk w = json_walk(json_get(json_parse(a.body, NULL), STR("embeddings")));
    struct str first = STR_NONE, last = STR_NONE;
    for (int i = 0; json_next(&w); i++) {
        double sum = 0, v;
        struct json_walk e = json_walk(w.value);
        int n = 0;
        for (; json_next(&e); n++) {
            assert_true(json_f64(e.value, &v));
            sum += v * v;
        }
        assert_int_equal(n, 8);
        assert_true(fabs(sum - 1) < 1e-6);
        last = w.value.raw;
        first = i ? first : last;
    }
    assert_true(str_eq(first, last));
    assert_holds(get_answer("POST /api/embed", "{\"model\":\"nomic-embed-text\",\"input\":[]}").body,
                 "\"embeddings\":[]");
    assert_answer(get_answer("POST /api/embeddings", "{\"model\":\"nomic-embed-text\"}"), 200, "{\"embedding\":[]}");
    a = get_answer("POST /v1/embeddings",
                   "{\"model\":\"nomic-embed-text\",\"input\":\"a\",\"encoding_format\":\"base64\",\"dimensions\":8}");
    assert_holds(a.body, "\"object\":\"list\"");
    assert_holds(a.body, "=\",\"index\":0}]"); /* 32 bytes end with one '=' */
    finish();
}

static void errors_have_ollamas_words(void **state)
{
    static const struct {
        const char *what, *body;
        int status;
        const char *answer;
    } cases[] = {
        {"POST /api/chat",             "{\"model\":\"none\"," USER("x") "}",                                           404, "{\"error\":\"model 'none' not found\"}"       },
        { "POST /api/generate",        "{\"prompt\":\"x\"}",                                                           404, "{\"error\":\"model '' not found\"}"           },
        { "POST /api/chat",            "{\"model\":\"\"," USER("x") "}",                                               400, "{\"error\":\"model is required\"}"            },
        { "POST /api/show",            "{\"model\":\"\"}",                                                             400, "{\"error\":\"model is required\"}"            },
        { "POST /api/show",            "{\"model\":\"None\"}",                                                         404, "{\"error\":\"model 'None:latest' not found\"}"},
        { "POST /api/embed",           "{\"model\":\"none\",\"input\":\"x\"}",                                         404,
         "{\"error\":\"model \\\"none\\\" not found, try pulling it first\"}"                                                                                              },
        { "POST /api/copy",            "{\"source\":\"none\",\"destination\":\"b\"}",                                  404,
         "{\"error\":\"model \\\"none\\\" not found\"}"                                                                                                                    },
        { "POST /api/chat",            "",                                                                             400, "{\"error\":\"missing request body\"}"         },
        { "POST /api/chat",            "{\"model\":\"a b\"," USER("x") "}",                                            400, "{\"error\":\"invalid model name\"}"           },
        { "POST /api/chat",            "{\"model\":\"nomic-embed-text\"," USER("x") "}",                               400,
         "{\"error\":\"\\\"nomic-embed-text\\\" does not support chat\"}"                                                                                                  },
        { "POST /api/chat",            "{\"model\":\"llama3.2\"," USER("x") ",\"options\":{\"temperature\":\"hot\"}}", 500,
         "{\"error\":\"option \\\"temperature\\\" must be of type float32\"}"                                                                                              },
        { "POST /api/chat",            "{\"model\":\"llama3.2\"," USER("x") ",\"keep_alive\":\"300\"}",                400,
         "{\"error\":\"time: missing unit in duration \\\"300\\\"\"}"                                                                                                      },
        { "POST /v1/chat/completions", "{\"model\":\"none\"," USER("x") "}",                                           404,
         "{\"error\":{\"message\":\"model 'none' not "
          "found\",\"type\":\"not_found_error\",\"param\":null,\"code\":null}}"                                                                                            },
        { "POST /v1/chat/completions", "{\"model\":\"llama3.2\",\"messages\":[]}",                                     400,
         "{\"error\":{\"message\":\"[] is too short - "
          "'messages'\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}"                                                                                 },
        { "GET /nothing",              NULL,                                                                           404, "404 page not found"                           },
        { "GET /metrics",              NULL,                                                                           404, "404 page not found"                           },
        { "GET /api/chat",             NULL,                                                                           405, "405 method not allowed"                       },
        { "POST /api/me",              "",                                                                             401,
         "{\"error\":\"unauthorized\",\"signin_url\":\"https://ollama.com/connect?name=simulated&key=simulated\"}"                                                         },
    };
    open_usual();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_answer(get_answer(cases[i].what, cases[i].body), cases[i].status, cases[i].answer);
    struct reply a = get_answer("POST /v1/messages", "{\"model\":\"llama3.2\"," USER("x") "}");
    assert_int_equal(a.status, 400);
    assert_holds(
        a.body,
        "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"max_tokens is required");
    finish();
}

static void plain_routes_answer(void **state)
{
    open_usual();
    assert_answer(get_answer("GET /", NULL), 200, "Ollama is running");
    struct reply a = get_answer("HEAD /api/tags", NULL);
    assert_int_equal(a.body.n, 0);
    assert_true(http_has(&a.head, H_CONTENT_LENGTH));
    assert_answer(get_answer("GET /api/version", NULL), 200, "{\"version\":\"0.12.6\"}");
    a = get_answer("GET /api/tags", NULL);
    assert_holds(a.body, "\"family\":\"simulated\"");
    assert_order(a.body, "llama3.2:latest", "qwen3:8b", "nomic-embed-text:latest");
    assert_holds(get_answer("POST /api/show", "{\"name\":\"LLAMA3.2\"}").body, "\"model_info\":{");
    assert_holds(get_answer("GET /v1/models", NULL).body, "\"owned_by\":\"library\"");
    assert_holds(get_answer("GET /v1/models/qwen3:8b", NULL).body, "{\"id\":\"qwen3:8b\"");
    assert_holds(get_answer("GET /api/status", NULL).body, "\"cloud\"");
    struct peer *p = ask("POST /api/tags/", "{}");
    assert_int_equal(answer_within(p, M_POST, SECOND(5)).status, 307);
    assert_holds(peer_received(p), "Location: /api/tags\r\n");
    assert_holds(peer_received(p), "X-OllamaMax-Simulated: 1\r\n");
    peer_eat(p, peer_received(p).n);
    send_request(p, "POST /api/tags", "{}");
    assert_int_equal(answer_within(p, M_POST, SECOND(5)).status, 405);
    assert_holds(peer_received(p), "Allow: GET, HEAD\r\n");
    peer_close(p, CLOSE_FIN);
    world_elapse(MSEC(50));
    finish();
}

static int status_with(const char *what, const char *headers)
{
    struct peer *p = connect_peer();
    peer_sendf(p, "%s HTTP/1.1\r\n%s\r\n", what, headers);
    int status = answer_within(p, M_GET, SECOND(5)).status;
    peer_close(p, CLOSE_FIN);
    world_elapse(MSEC(50));
    return status;
}

static void foreign_pages_and_names_are_refused(void **state)
{
    begin();
    struct simnode_spec s = spec_with("m=1000");
    s.listen = world_addr("127.0.0.1:11434");
    open_node(s);
    assert_int_equal(status_with("GET /api/tags", "Host: localhost:11434\r\n"), 200);
    assert_int_equal(status_with("GET /api/tags", "Host: gpu.internal\r\n"), 200);
    assert_int_equal(status_with("GET /api/tags", "Host: evil.example\r\n"), 403);
    assert_int_equal(status_with("GET /api/tags", "Host: localhost\r\nOrigin: http://evil.example\r\n"), 403);
    assert_int_equal(status_with("GET /api/tags", "Host: localhost\r\nOrigin: http://localhost:3000\r\n"), 200);
    assert_int_equal(status_with("OPTIONS /api/chat", "Host: localhost\r\nOrigin: http://localhost:3000\r\n"), 204);
    finish();
}

static void zstd_bodies_are_read_on_v1(void **state)
{
    static const char plain[] = "{\"model\":\"llama3.2\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    char packed[512];
    open_usual();
    size_t n = ZSTD_compress(packed, sizeof packed, plain, strlen(plain), 3);
    struct peer *p = connect_peer();
    peer_sendf(
        p, "POST /v1/chat/completions HTTP/1.1\r\nHost: node\r\nContent-Encoding: zstd\r\nContent-Length: %zu\r\n\r\n",
        n);
    peer_send(p, (struct str){ packed, n });
    assert_int_equal(answer_within(p, M_POST, SECOND(5)).status, 200);
    peer_eat(p, peer_received(p).n);
    peer_sendf(
        p,
        "POST /v1/chat/completions HTTP/1.1\r\nHost: node\r\nContent-Encoding: zstd\r\nContent-Length: 5\r\n\r\nxxxxx");
    assert_int_equal(answer_within(p, M_POST, SECOND(5)).status, 400);
    peer_close(p, CLOSE_FIN);
    world_elapse(MSEC(50));
    finish();
}

static void the_other_kinds_answer_their_probes(void **state)
{
    static const struct {
        enum sim_kind kind;
        const char *what;
        int status;
        const char *holds;
    } cases[] = {
        {SIM_LLAMACPP,  "GET /health",      200, "{\"status\":\"ok\"}"           },
        { SIM_LLAMACPP, "GET /props",       200, "\"total_slots\":1"             },
        { SIM_LLAMACPP, "GET /slots",       200, "\"is_processing\":false"       },
        { SIM_LLAMACPP, "GET /metrics",     200, "llamacpp:requests_processing 0"},
        { SIM_LLAMACPP, "GET /v1/models",   200, "\"owned_by\":\"llamacpp\""     },
        { SIM_LLAMACPP, "GET /api/version", 404, "File Not Found"                },
        { SIM_LLAMACPP, "GET /",            404, "File Not Found"                },
        { SIM_VLLM,     "GET /health",      200, ""                              },
        { SIM_VLLM,     "GET /version",     200, "\"version\""                   },
        { SIM_VLLM,     "GET /metrics",     200, "vllm:num_requests_running{"    },
        { SIM_VLLM,     "GET /v1/models",   200, "\"max_model_len\":8192"        },
        { SIM_VLLM,     "GET /load",        200, "{\"server_load\":0}"           },
        { SIM_OPENAI,   "GET /v1/models",   200, "\"object\":\"list\""           },
        { SIM_OPENAI,   "GET /health",      404, "Not Found"                     },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        begin();
        struct simnode_spec s = spec_with("m=1000");
        s.kind = cases[i].kind;
        open_node(s);
        struct reply a = get_answer(cases[i].what, NULL);
        assert_int_equal(a.status, cases[i].status);
        assert_holds(a.body, cases[i].holds);
        assert_int_equal(
            get_answer("POST /v1/chat/completions", "{\"model\":\"m:latest\"," USER("x") ",\"max_tokens\":1}").status,
            200);
        finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_streams_a_record_for_each_token),
        cmocka_unit_test(an_answer_that_was_begun_goes_on),
        cmocka_unit_test(the_whole_is_the_pieces_joined),
        cmocka_unit_test(tools_are_called_when_asked_for),
        cmocka_unit_test(formats_are_kept_to),
        cmocka_unit_test(answers_end_before_a_stop_sequence),
        cmocka_unit_test(thoughts_come_apart_from_text),
        cmocka_unit_test(openai_chat_has_its_chunks),
        cmocka_unit_test(responses_are_numbered_events),
        cmocka_unit_test(embeddings_are_unit_vectors_that_follow_from_the_text),
        cmocka_unit_test(errors_have_ollamas_words),
        cmocka_unit_test(plain_routes_answer),
        cmocka_unit_test(foreign_pages_and_names_are_refused),
        cmocka_unit_test(zstd_bodies_are_read_on_v1),
        cmocka_unit_test(the_other_kinds_answer_their_probes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
