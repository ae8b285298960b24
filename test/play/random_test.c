/* Random plays: a seed writes a play, and whatever happens in it, what must always hold does (truth.c).
 *
 * The play is text, so that a failing one can be read, cut down by hand and kept as a .play. A normal run takes a
 * thousand seeds, OLLAMAMAX_SWEEP=1 twenty thousand.
 *
 *     random_test [--seed N [--show | --tell]] */
#include "base/arena.h"
#include "base/buf.h"
#include "base/tape.h"
#include "net/conn.h"
#include "play.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define SEEDS       1000
#define SEEDS_SWEPT 20000
#define CLIENTS     6
#define TWICE_IN    25 /* so many seeds are played twice, to be the same */

static uint64_t state;
static struct pad text;
static unsigned nodes;

static unsigned any(unsigned n)
{
    state += 0x9e3779b97f4a7c15u;
    uint64_t x = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((x ^ (x >> 31)) % n);
}
#define ANY(list) (list)[any(ARRAY_LEN(list))]

static void write_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void write_text(const char *format, ...)
{
    char *part = NULL;
    va_list args;
    va_start(args, format);
    int n = vasprintf(&part, format, args);
    va_end(args);
    assume(n >= 0);
    pad_put(&text, (struct str){ part, (size_t)n });
    free(part);
}

/* ---- what a play is made of ---- */
static void write_settings(void)
{
    static const char *const timeouts[] = { "first_byte_timeout", "load_timeout", "inter_chunk_timeout",
                                            "client_head_timeout", "client_idle_timeout" };
    static const char *const policies[] = { "round_robin", "least_loaded", "weighted_round_robin",
                                            "p2c",         "p2c_ewma",     "rendezvous",
                                            "late",        "eta" };
    write_text("workers %u\nset policy %s\nset retry_max %u\nset segments %u\n", 1 + any(3), ANY(policies), any(4),
               64 << any(6));
    for (size_t i = 0; i < ARRAY_LEN(timeouts); i++)
        if (any(2))
            write_text("set %s %ums\n", timeouts[i], 200 + any(3000));
    if (any(3) == 0)
        write_text("set body_max %u\n", 20 + any(3000));
    if (any(4) == 0)
        write_text("set queue_max %u\n", 1 + any(4));
    if (any(4) == 0)
        write_text("set queue_max_wait %ums\n", 200 + any(4000));
    if (any(6) == 0)
        write_text("set cold_load_timeout %ums\n", 200 + any(3000));
    if (any(5) == 0)
        write_text("set model_labels a=gpu:big\n");
}

static void write_nodes(void)
{
    static const char *const has[] = { "a", "b", "a, b", "nothing", "a, b, c" }, *const slots[] = { "", "", "slots 1 ",
                                                                                                    "slots 2 ",
                                                                                                    "learns " };
    nodes = 1 + any(4);
    for (unsigned i = 1; i <= nodes; i++) {
        write_text("node n%u %s%s%shas %s%s\n", i, any(6) ? "" : "is llamacpp ", any(3) ? "" : "label gpu:big ",
                   ANY(slots), any(4) ? "" : "cold ", ANY(has));
        if (any(8) == 0)
            write_text("n%u probes after %ums\n", i, any(1500));
        if (any(3) == 0)
            write_text("n%u loaded a\n", i);
    }
    if (any(6) == 0)
        write_text("at once\n");
}

static void write_ask(void)
{
    static const char *const routes[] = { "/api/chat",      "/api/generate", "/v1/chat/completions", "/v1/completions",
                                          "/v1/responses",  "/v1/messages",  "/api/embed",           "/api/show",
                                          "/v1/embeddings", "/api/push" };
    static const char *const views[] = { "GET /api/tags",  "HEAD /api/tags",      "GET /api/ps",      "GET /v1/models",
                                         "GET /",          "GET /nope",           "GET /api/version", "GET /readyz",
                                         "GET /api/nodes", "POST /api/tags {a:1}" };
    static const char *const streams[] = { "", ", stream: true", ", stream: false" };
    static const char *const odd[] = { " chunked",
                                       " http10",
                                       " head-only",
                                       " slowly 1ms",
                                       " with \"Expect: 100-continue\"",
                                       " with \"Connection: close\"",
                                       " with \"Origin: http://localhost\"",
                                       " with \"X-OllamaMax-Node: n1\"",
                                       " with \"X-OllamaMax-Node: n2\"",
                                       " with \"X-OllamaMax-Deadline-Ms: 300\"",
                                       " with \"X-OllamaMax-Priority: batch\"",
                                       " with \"X-OllamaMax-Priority: high\" with \"X-OllamaMax-Tenant: t\"",
                                       " with \"X-OllamaMax-Continue: 1\"",
                                       " with \"X-OllamaMax-Continue: 1\"" };
    if (any(5) == 0) {
        write_text("ask c%u %s\n", 1 + any(CLIENTS), ANY(views));
        return;
    }
    write_text("ask c%u POST %s {model: %c%s, max_tokens: 5, prompt: hi, input: hi, messages: []}", 1 + any(CLIENTS),
               ANY(routes), "aaabbczz"[any(8)], ANY(streams));
    if (any(3) == 0)
        write_text("%s", ANY(odd));
    write_text("\n");
}

static void write_middle(void)
{
    static const char *const parts[] = { "record \"x\"",
                                         "records 20 \"yy\"",
                                         "error \"runner process has terminated\"",
                                         "body \"half a rec\"",
                                         "body \"0123456789abcdef\"*20000",
                                         "body \"\\n\\n\"" };
    for (unsigned n = any(4); n; n--) {
        write_text("%s, ", any(4) ? parts[0] : ANY(parts));
        if (any(3) == 0)
            write_text("wait %ums, ", any(40) ? any(30) : any(4000));
    }
}

static void write_reply(void)
{
    static const char *const whole[] = {
        "whole \"w\"",
        "answer 404 {error: \"model 'a' not found\"}",
        "answer 503 {error: \"server busy, please try again\"}",
        "answer 500 {error: \"out of memory\"}",
        "answer 400 {error: no}",
        "200 length 50, record \"q\", cut",
        "raw \"SSH-2.0\\r\\n\\r\\n\", close",
        "wait 5ms, cut",
        "wait 5ms, close",
        "whole \"w\", close",
        "answer 500 {error: \"must be of type\"}",
        "200 to-eof, record \"z\", done",
    };
    static const char *const ends[] = { "done",
                                        "done",
                                        "done",
                                        "done, close",
                                        "end",
                                        "cut",
                                        "close",
                                        "marker",
                                        "marker, wait 50ms, end",
                                        "record \"last\"",
                                        "error \"oh\", end",
                                        "hollow, end" };
    write_text("n%u ", 1 + any(nodes));
    if (any(3) == 0) {
        write_text("%s\n", ANY(whole));
        return;
    }
    if (any(4) == 0)
        write_text("wait %ums, ", any(100));
    write_middle();
    write_text("%s\n", ANY(ends));
}

/* Enough of the same to open a breaker. */
static void write_failures(void)
{
    static const char *const failures[] = { "answer 500 {error: \"out of memory\"}", "wait 2ms, cut",
                                            "record \"x\", wait 9ms, cut" };
    unsigned node = 1 + any(nodes), n = 5 + any(4);
    const char *failure = ANY(failures);
    while (n--)
        write_text("n%u %s\n", node, failure);
}

static void write_order(void)
{
    static const char *const does[] = { "drain", "undrain", "undrain" };
    if (any(3))
        write_text("ask op POST /api/nodes/n%u/%s {} with \"Content-Type: application/json\"\n", 1 + any(nodes),
                   ANY(does));
    else
        write_text("ask c%u POST /api/generate {model: %c, keep_alive: %s}\n", 1 + any(CLIENTS), "abc"[any(3)],
                   any(3) ? "0" : "60");
}

static void write_blow(void)
{
    static const char *const blows[] = { "dies",        "recovers",     "recovers",         "recovers",
                                         "dark",        "refuses",      "unreachable",      "closes kept",
                                         "resets kept", "probes never", "probes after 1ms", "has a",
                                         "has b",       "has nothing" };
    write_text("n%u %s\n", 1 + any(nodes), ANY(blows));
}

static void write_whim(void)
{
    static const char *const whims[] = { "leaves",
                                         "leaves",
                                         "resets",
                                         "half-closes",
                                         "stalls",
                                         "reads",
                                         "reads",
                                         "connects",
                                         "sends \"GET / HTTP/1.1\\r\\n\"",
                                         "sends \"\\r\\n\"",
                                         "sends \"x\\r\\n\\r\\n\"" };
    write_text("client c%u %s\n", 1 + any(CLIENTS), ANY(whims));
}

static void write_step(void)
{
    unsigned which = any(100);
    if (which < 30)
        write_ask();
    else if (which < 56)
        write_reply();
    else if (which < 59)
        write_failures();
    else if (which < 63)
        write_order();
    else if (which < 70)
        write_blow();
    else if (which < 80)
        write_whim();
    else if (which < 99)
        write_text("elapse %ums\n", any(8) ? any(50) : any(4000));
    else if (any(3) == 0)
        write_text("drain\n");
}

static void write_play(uint64_t seed)
{
    text.n = 0;
    state = seed * 0x2545f4914f6cdd1du;
    write_text("play random %llu\n", (unsigned long long)seed);
    write_settings();
    write_nodes();
    for (unsigned n = 10 + any(60); n; n--)
        write_step();
}

static struct harm any_harm(void)
{
    struct harm h = { 0 };
    if (any(3) == 0)
        h.memory = 1 + any(600);
    else if (any(2))
        h = (struct harm){ .wire = 1 + any(20), .side = any(2) ? TO_PEER : FROM_PEER, .at = 1 + any(600) };
    return h;
}

/* ---- seeds ---- */
static unsigned answers[4], retried;

static uint64_t hash_of_last(void)
{
    struct played p = play_counts();
    for (unsigned i = 0; i < 4; i++)
        answers[i] += p.answers[i];
    retried += p.retried;
    free(p.bytes);
    return p.hash;
}

static bool play_seed(uint64_t seed)
{
    write_play(seed);
    struct harm h = any_harm();
    struct scripts s = scripts_read("random", pad_str(&text));
    bool good = play(&s.script[0], seed, false, &h);
    uint64_t hash = hash_of_last();
    if (good && seed % TWICE_IN == 0) {
        good = play(&s.script[0], seed, false, &h) && hash_of_last() == hash;
        if (!good)
            fprintf(stderr, "seed %llu is not the same the second time\n", (unsigned long long)seed);
    }
    if (!good)
        fprintf(stderr, "to see it alone: random_test --seed %llu --show\n", (unsigned long long)seed);
    scripts_free(&s);
    return good;
}

static bool play_alone(int argc, char **argv)
{
    uint64_t seed = strtoull(argv[2], NULL, 10);
    write_play(seed);
    if (argc > 3 && strcmp(argv[3], "--show") == 0)
        fputs(text.p, stdout);
    if (argc > 3 && strcmp(argv[3], "--tell") == 0)
        world_tell(stderr);
    return play_seed(seed);
}

int main(int argc, char **argv)
{
    const char *sweep = getenv("OLLAMAMAX_SWEEP");
    unsigned seeds = sweep && *sweep == '1' ? SEEDS_SWEPT : SEEDS, passed = 0, failed = 0;
    arena_pools_init();
    buf_pools_init();
    tape_pools_init();
    conn_pools_init();
    if (argc > 2 && strcmp(argv[1], "--seed") == 0)
        *(play_alone(argc, argv) ? &passed : &failed) += 1;
    else
        for (uint64_t seed = 1; seed <= seeds; seed++)
            *(play_seed(seed) ? &passed : &failed) += 1;
    free(text.p);
    free(play_counts().bytes);
    conn_pools_done();
    tape_pools_done();
    buf_pools_done();
    arena_pools_done();
    printf("random plays: %u passed, %u failed (%u answers whole, %u broken, %u under way at the end, %u requests "
           "retried)\n",
           passed, failed, answers[WHOLE], answers[BROKEN], answers[AWAITED] + answers[IN_BODY_OF], retried);
    return failed > 0;
}
