/* cache/key_test.c - one meaning, one key; two meanings, two keys.
 *
 * Requests are made of fields, each with values that mean different things, and each value in spellings that mean the
 * same. A meaning is a choice of values; it is written down in many ways (order, blanks, escapes, case, duplicates,
 * presentation) and must always have one key, and no other meaning may have that. */
#include "base/json.h"
#include "base/slab.h"
#include "cache/cache.h"
#include "cache/key.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIGEST STR("aa11")
static struct arena arena;

static int set_up(void **state)
{
    arena_pools_init();
    buf_pools_init();
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&arena);
    buf_pools_done();
    arena_pools_done();
    return 0;
}

static struct key_ask ask_of(enum route_id id, struct str body)
{
    return (struct key_ask){ .route = route_row(id), .body = body, .digest = DIGEST };
}

static struct cache_key key_in(const struct key_ask *ask)
{
    struct cache_key k;
    enum fail f = key_of(ask, &arena, &k);
    if (f)
        fail_msg("%.*s: %.*s", STR_ARG(ask->body), STR_ARG(fail_name(f)));
    return k;
}

static struct cache_key key(enum route_id id, const char *body)
{
    struct key_ask ask = ask_of(id, str_of(body));
    return key_in(&ask);
}

static bool same(struct cache_key a, struct cache_key b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

/* --- two requests --- */

static void alike(enum route_id ra, const char *a, enum route_id rb, const char *b)
{
    if (!same(key(ra, a), key(rb, b)))
        fail_msg("two keys for\n%s\n%s", a, b);
}
static void unlike(enum route_id ra, const char *a, enum route_id rb, const char *b)
{
    if (same(key(ra, a), key(rb, b)))
        fail_msg("one key for\n%s\n%s", a, b);
}

static void spelling_does_not_matter(void **state)
{
    static const char *const pairs[][2] = {
        {"{\"model\":\"m\",\"prompt\":\"a b\"}",                     "{ \"prompt\" :\n\"a\\u0020b\", \"model\":\"M:latest\" }"           },
        { "{\"prompt\":\"p\",\"options\":{\"seed\":1,\"top_k\":2}}",
         "{\"options\":{\"top_k\":2.0,\"seed\":1e0},\"prompt\":\"p\"}"                                                                   },
        { "{\"prompt\":\"p\"}",                                      "{\"PROMPT\":\"x\",\"prompt\":\"p\"}"                               },
        { "{\"prompt\":\"p\"}",                                      "{\"prompt\":\"p\",\"stream\":false,\"keep_alive\":\"5m\"}"         },
        { "{\"prompt\":\"p\"}",                                      "{\"prompt\":\"p\",\"raw\":false,\"truncate\":true,\"system\":\"\"}"},
        { "{\"prompt\":\"p\"}",                                      "{\"prompt\":\"p\",\"format\":null,\"options\":{\"seed\":null}}"    },
        { "{\"prompt\":\"\\u00e9\\ud83d\\ude00/\"}",                 "{\"prompt\":\"\xC3\xA9\xF0\x9F\x98\x80\\/\"}"                      },
        { "{\"prompt\":\"p\",\"options\":{\"x\":0.001}}",            "{\"prompt\":\"p\",\"options\":{\"x\":1E-3,\"x\":10.0e-4}}"         },
        { "{\"prompt\":\"p\",\"options\":{\"x\":0}}",                "{\"prompt\":\"p\",\"options\":{\"x\":0.00e7}}"                     },
        { "{\"prompt\":\"p\",\"options\":{\"x\":100}}",              "{\"prompt\":\"p\",\"options\":{\"x\":10.00e1}}"                    },
        { "{\"prompt\":\"p\",\"options\":{}}",                       "{\"prompt\":\"p\"} trailing"                                       },
    };
    for (unsigned i = 0; i < ARRAY_LEN(pairs); i++)
        alike(ROUTE_generate, pairs[i][0], ROUTE_generate, pairs[i][1]);
}

static void what_may_differ_for_a_node_differs(void **state)
{
    static const char *const pairs[][2] = {
        {"{\"options\":{\"x\":9007199254740992}}",  "{\"options\":{\"x\":9007199254740993}}"       },
        { "{\"options\":{\"x\":1e400}}",            "{\"options\":{\"x\":1e401}}"                  },
        { "{\"options\":{\"x\":1e9999999999999}}",  "{\"options\":{\"x\":1e9999999999998}}"        },
        { "{\"options\":{\"x\":-1}}",               "{\"options\":{\"x\":1}}"                      },
        { "{\"options\":{\"x\":12}}",               "{\"options\":{\"x\":1.2}}"                    },
        { "{\"options\":{\"x\":1}}",                "{\"options\":{\"x\":\"1\"}}"                  },
        { "{\"options\":{\"X\":1}}",                "{\"options\":{\"x\":1}}"                      },
        { "{\"prompt\":\"\\ud800\"}",               "{\"prompt\":\"\\ufffd\"}"                     },
        { "{\"prompt\":\"\xFF\"}",                  "{\"prompt\":\"\xFE\"}"                        },
        { "{\"prompt\":\"[]\"}",                    "{\"prompt\":[]}"                              },
        { "{\"format\":{\"a\":1,\"b\":2}}",         "{\"format\":{\"b\":2,\"a\":1}}"               },
        { "{\"format\":1}",                         "{\"format\":1.0}"                             },
        { "{\"context\":[1,2]}",                    "{\"context\":[12]}"                           },
        { "{\"context\":[1,2]}",                    "{\"context\":[2,1]}"                          },
        { "{\"context\":[[1],[2]]}",                "{\"context\":[[1,2]]}"                        },
        { "{\"options\":{\"stop\":[\"a\",\"b\"]}}", "{\"options\":{\"stop\":[\"b\",\"a\"]}}"       },
        { "{\"options\":{\"stop\":[\"a,b\"]}}",     "{\"options\":{\"stop\":[\"a\",\"b\"]}}"       },
        { "{\"top_logprobs\":1}",                   "{\"top_logprobs\":1.0}"                       },
        { "{\"images\":[\"QUJD\"]}",                "{\"images\":[\"QUJE\"]}"                      },
        { "{\"images\":[\"QUJD\",\"QUJE\"]}",       "{\"images\":[\"QUJDQUJE\"]}"                  },
 /* duplicates that Go would merge */
        { "{\"format\":{\"a\":1}}",                 "{\"format\":{\"b\":1},\"format\":{\"a\":1}}"  },
        { "{\"options\":{\"a\":1}}",                "{\"options\":{\"b\":1},\"options\":{\"a\":1}}"},
        { "{\"system\":\"s\"}",                     "{\"system\":\"s\",\"system\":null}"           },
        { "{}",                                     "{\"system\":\"s\",\"system\":null}"           },
 /* what a node refuses */
        { "{\"keep_alive\":\"300\"}",               "{}"                                           },
        { "{\"unknown\":1}",                        "{}"                                           },
        { "{\"unknown\":1}",                        "{\"Unknown\":1}"                              },
        { "{\"shift\":false}",                      "{}"                                           },
        { "{\"options\":{\"temperature\":0.8}}",    "{}"                                           },
    };
    for (unsigned i = 0; i < ARRAY_LEN(pairs); i++)
        unlike(ROUTE_generate, pairs[i][0], ROUTE_generate, pairs[i][1]);
}

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"

static void dialects_meet_where_they_say_the_same(void **state)
{
    static const char *const talks[][2] = {
        {"{" HI ",\"temperature\":0,\"stream_options\":{\"include_usage\":true}}",
         "{" HI ",\"options\":{\"temperature\":0,\"top_p\":1}}"                                                                                              },
        { "{" HI ",\"temperature\":0.0,\"seed\":7,\"max_tokens\":9,\"top_p\":0.5}",
         "{" HI ",\"options\":{\"num_predict\":9,\"seed\":7,\"top_p\":0.5,\"temperature\":0}}"                                                               },
        { "{" HI ",\"stop\":\"x\"}",                                                "{" HI ",\"options\":{\"temperature\":1,\"top_p\":1,\"stop\":[\"x\"]}}"  },
        { "{" HI ",\"logprobs\":false}",                                            "{\"stream\":false," HI ",\"options\":{\"temperature\":1.0,\"top_p\":1}}"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(talks); i++)
        alike(ROUTE_v1_chat, talks[i][0], ROUTE_chat, talks[i][1]);
    static const char *const apart[][2] = {
        {"{" HI ",\"temperature\":0}",                           "{" HI ",\"options\":{\"temperature\":0}}"                           },
        { "{" HI ",\"user\":\"u\"}",                             "{" HI ",\"options\":{\"temperature\":1,\"top_p\":1},\"user\":\"u\"}"},
        { "{" HI ",\"seed\":7.0}",                               "{" HI ",\"options\":{\"temperature\":1,\"top_p\":1,\"seed\":7.0}}"  },
        { "{" HI ",\"seed\":99999999999999999999}",
         "{" HI ",\"options\":{\"temperature\":1,\"top_p\":1,\"seed\":99999999999999999999}}"                                         },
        { "{" HI ",\"stop\":[1]}",                               "{" HI ",\"options\":{\"temperature\":1,\"top_p\":1,\"stop\":[1]}}"  },
        { "{" HI ",\"stream_options\":1}",                       "{" HI ",\"options\":{\"temperature\":1,\"top_p\":1}}"               },
        { "{\"messages\":[]}",                                   "{\"messages\":[],\"options\":{\"temperature\":1,\"top_p\":1}}"      },
        { "{\"messages\":[{\"role\":\"user\",\"content\":[]}]}",
         "{\"messages\":[{\"role\":\"user\",\"content\":[]}],\"options\":{\"temperature\":1,\"top_p\":1}}"                            },
        { "{" HI ",\"tools\":[]}",                               "{" HI ",\"tools\":[],\"options\":{\"temperature\":1,\"top_p\":1}}"  },
    };
    for (unsigned i = 0; i < ARRAY_LEN(apart); i++)
        unlike(ROUTE_v1_chat, apart[i][0], ROUTE_chat, apart[i][1]);
    alike(ROUTE_v1_embeddings, "{\"input\":\"x\"}", ROUTE_embed, "{\"input\":[\"x\"]}");
    alike(ROUTE_v1_embeddings, "{\"input\":[\"x\",\"\"],\"dimensions\":8,\"encoding_format\":\"float\"}", ROUTE_embed,
          "{\"input\":[\"x\",\"\"],\"truncate\":true,\"dimensions\":8}");
    unlike(ROUTE_v1_embeddings, "{\"input\":\"x\",\"encoding_format\":\"base64\"}", ROUTE_embed, "{\"input\":\"x\"}");
    unlike(ROUTE_v1_embeddings, "{\"input\":[1,2]}", ROUTE_embed, "{\"input\":[1,2]}");
    unlike(ROUTE_v1_embeddings, "{\"input\":\"\"}", ROUTE_embed, "{\"input\":\"\"}");
    unlike(ROUTE_embed, "{\"prompt\":\"x\"}", ROUTE_embeddings, "{\"prompt\":\"x\"}");
    unlike(ROUTE_v1_completions, "{\"prompt\":\"x\",\"seed\":1}", ROUTE_generate,
           "{\"prompt\":\"x\",\"options\":{\"seed\":1}}");
}

static void surroundings_matter(void **state)
{
    struct key_ask ask = ask_of(ROUTE_chat, STR("{" HI "}")), other[4];
    struct cache_key first = key_in(&ask);
    for (unsigned i = 0; i < ARRAY_LEN(other); i++)
        other[i] = ask;
    other[0].digest = STR("aa12");
    other[1].tenant = STR("alice");
    other[2].variant = STR("alice");
    other[3].reader = KEY_READ_TO_THE_LETTER;
    for (unsigned i = 0; i < ARRAY_LEN(other); i++) {
        assert_false(same(key_in(&other[i]), first));
        for (unsigned k = 0; k < i; k++)
            assert_false(same(key_in(&other[i]), key_in(&other[k])));
    }
    ask.digest = STR("aa1");
    ask.tenant = STR("1");
    assert_false(same(key_in(&ask), first));
}

static void others_read_to_the_letter(void **state)
{
    struct key_ask a = ask_of(ROUTE_v1_chat, STR("{" HI ",\"temperature\":1,\"stream\":true,\"model\":\"a\"}"));
    struct key_ask same_as[] = { a, a }, unlike_to[] = { a, a, a, a };
    same_as[0].body = STR("{\"temperature\":1, \"model\":\"b\"," HI "}");
    same_as[1].body = STR("{\"temperature\":1," HI ",\"stream_options\":{\"include_usage\":true}}");
    unlike_to[0].body = STR("{\"Temperature\":1," HI "}");
    unlike_to[1].body = STR("{" HI "}");
    unlike_to[2].body = STR("{\"temperature\":1.0," HI "}");
    unlike_to[3].body = STR("{\"temperature\":1," HI ",\"stream_options\":{\"continuous_usage_stats\":true}}");
    a.reader = KEY_READ_TO_THE_LETTER;
    for (unsigned i = 0; i < ARRAY_LEN(same_as); i++) {
        same_as[i].reader = a.reader;
        assert_true(same(key_in(&a), key_in(&same_as[i])));
    }
    for (unsigned i = 0; i < ARRAY_LEN(unlike_to); i++) {
        unlike_to[i].reader = a.reader;
        assert_false(same(key_in(&a), key_in(&unlike_to[i])));
    }
    struct cache_key k;
    a.body = STR("{" HI "}x");
    assert_int_equal(key_of(&a, &arena, &k), FAIL_bad_json);
}

static void some_have_no_key(void **state)
{
    struct cache_key k;
    static const char *const bad[] = { "", "[]", "{", "{\"prompt\":\"\\q\"}", "{\"prompt\":\"\n\"}", "{\"a\":tru}" };
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct key_ask ask = ask_of(ROUTE_generate, str_of(bad[i]));
        assert_int_equal(key_of(&ask, &arena, &k), FAIL_bad_json);
    }
    struct key_ask ask = ask_of(ROUTE_generate, STR("{\"_debug_render_only\":true}"));
    assert_int_equal(key_of(&ask, &arena, &k), FAIL_bad_value);
    alike(ROUTE_generate, "{\"_debug_render_only\":false}", ROUTE_generate, "{}");
    struct text many = { 0 };
    for (unsigned i = 0; i < 60; i++)
        text_printf(&many, "%c\"x%u\":1", i ? ',' : '{', i);
    text_putc(&many, '}');
    ask = ask_of(ROUTE_generate, text_str(&many));
    assert_int_equal(key_of(&ask, &arena, &k), FAIL_bad_value);
    text_free(&many);
    ask = ask_of(ROUTE_pull, STR("{}"));
    assert_int_equal(key_of(&ask, &arena, &k), FAIL_bad_json);
}

static void memory_may_be_out(void **state)
{
    struct key_ask ask = ask_of(ROUTE_generate, STR("{\"prompt\":\"a\\u0020b\",\"sys\\u0074em\":\"x\\n\"}"));
    struct cache_key k;
    unsigned n = 1;
    arena_done(&arena);
    arena_init(&arena);
    for (;; n++) {
        memory_fail_at(n);
        enum fail f = key_of(&ask, &arena, &k);
        memory_fail_at(0);
        arena_done(&arena);
        arena_init(&arena);
        if (f == OK)
            break;
        assert_int_equal(f, FAIL_no_memory);
    }
    assert_true(n > 1);
}

static void depth_has_no_price(void **state)
{
    struct text t = { 0 };
    text_put(&t, STR("{\"x\":"));
    for (unsigned i = 0; i < 500; i++)
        text_putc(&t, '[');
    for (unsigned i = 0; i < 500; i++)
        text_putc(&t, ']');
    text_putc(&t, '}');
    struct key_ask ask = ask_of(ROUTE_chat, text_str(&t));
    key_in(&ask);
    text_free(&t);
}

/* --- every field varied --- */

#define VALUES    9
#define SPELLINGS 3
struct field {
    const char *name;
    const char *values[VALUES][SPELLINGS]; /* the first may be "": absent */
};
#define V(...)                                                                                                         \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define U(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
static const struct field options_fields[] = {
    {"temperature", V(V(""),       V("0",                      "0.0","0e5"), V("0.8", "8e-1", "0.80"), V("1"), V("1.5"), V("\"0\"")) },
    { "seed",      V(V(""),             V("0"),                               V("1","1.0","1e0"),V("-1"), V("9007199254740993"), V("9007199254740992")) },
    { "top_k",       V(V(""),   V("40"),V("41"))},
    { "top_p",            V(V(""),                  V("0.9",                               "0.90","9e-1"),                                         V("1"))                                                                                                  },
    { "num_ctx",V(V(""),V("4096"),V("8192"),V("4096.5"))},
    { "num_predict",            V(V(""),                                 V("5"),                                                                             V("-1"),                       V("50","5e1","50.0")) },
    { "stop",       V(V(""),V("[]"),V("[\"a\"]"),V("[\"a\",\"b\"]"),                                                                                                    V("[\"b\",\"a\"]"),V("\"a\"")) },
    { "mirostat",V(V(""),                          V("true"),                                                                                                                    V("false"),                                                                                                                                                                                                         V("{}"),V("{\"a\":1}"))                                                                                             },
};
static const struct field chat_fields[] = {
    {"messages",                                      V(V("[" U("hi") "]", "[{\"content\":\"hi\",\"role\":\"user\"}]",
     "[{\"Role\":\"user\",\"CONTENT\":\"hi\",\"images\":null}]"),
     V("[" U("hi ") "]"),V("[" U("Hi") "]"),                                                                                                                                             V("[" U("hi") "," U("hi") "]"),
     V("[{\"role\":\"system\",\"content\":\"hi\"}]"),
     V("[{\"role\":\"user\",\"content\":\"hi\",\"images\":[\"AAAA\"]}]",
     "[{\"images\":[\"AAAA\"],\"role\":\"user\",\"content\":\"hi\"}]"),
     V("[{\"role\":\"user\",\"content\":\"hi\",\"images\":[\"AAAB\"]}]"),
     V("[{\"role\":\"user\",\"content\":\"hi\",\"thinking\":\"AAAB\"}]"),
     V("[{\"role\":\"user\",\"content\":\"hi\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
                      "\"arguments\":{}}}]}]")) },
    { "tools",
     V(V(""),   V("[]"),
     V("[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]",
     "[{\"function\":{\"name\":\"f\"},\"type\":\"function\"}]"),
     V("[{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]"),
     V("[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{\"a\":{},\"b\":{}}}}}]",
     "[{\"type\":\"function\",\"function\":{\"parameters\":{\"properties\":{\"a\":{},\"b\":{}}},\"name\":\"f\"}}"
          "]"),
     V("[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{\"b\":{},\"a\":{}}}}}"
          "]"),
     V("[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\"}}]")) },
    { "format",                                        V(V("",                                                              "null"),                                                                                               V("\"json\""),                                                                                                            V("{\"type\":\"object\"}"),V("{\"type\":\"object\",\"x\":1}"),
     V("{\"x\":1,\"type\":\"object\"}")) },
    { "think",                                       V(V("",                                                            "null"),                              V("true"),                                                                                 V("false"),V("\"low\""), V("\"high\"")) },
    { "truncate",                                  V(V("",                           "true","null"),                                                                                                                                    V("false"))},
    { "shift",                                        V(V("","null"),V("true"),V("false"))},
    { "logprobs",        V(V("","false"),                                                                                          V("true"))},
    { "top_logprobs",                                        V(V("",                                                            "0"),                                                                                                  V("5"),                                                                                                                                                                                                    V("6"))},
    { "novelty",                                     V(V(""),                                                       V("1"),V("\"1\""),   V("null"),                                                                                                                                       V("1.0"))                                                                                                },
};
static const struct field generate_fields[] = {
    {"prompt",
     V(V(""),                          V("\"p\""),         V("\"P\""),                            V("\"p\\n\""), V("\"\xC3\xA9\"", "\"\\u00E9\"", "\"\\u00e9\""), V("[\"p\"]")) },
    { "suffix",     V(V("", "\"\""),     V("\"p\""))                            },
    { "system",             V(V("",            "\"\"",                       "null"),                                             V("\"p\""), V("\"q\"")) },
    { "template",             V(V("",    "\"\""),     V("\"p\""))            },
    { "context",          V(V("",                  "null"),                          V("[]"),                                             V("[1]"), V("[1,2]"), V("[12]")) },
    { "images",          V(V("",                  "null"),                       V("[\"AAAA\"]"),                                  V("[\"AAAA\",\"AAAA\"]"), V("[\"AAAAAAAA\"]")) },
    { "raw",              V(V("",               "false"),V("true"))},
    { "format",             V(V(""),       V("\"json\""), V("{\"a\":{\"b\":1}}"), V("{\"a\":{},\"b\":1}")) },
    { "think", V(V(""),         V("true"),                      V("false"))                                       },
};
static const struct field embed_fields[] = {
    {"input",     V(V("\"a\"", "[\"a\"]"), V("[\"a\",\"b\"]"),                   V("[\"b\",\"a\"]"), V("[\"ab\"]", "\"ab\""), V("[]"),
     V("\"\""), V("[\"\"]"), V("")) },
    { "truncate",  V(V("",      "true"),                            V("false"))                                                    },
    { "dimensions", V(V("",     "0"),   V("8"), V("16"))                                                                },
};
static const struct field v1_embeddings_fields[] = {
    {"input",             V(V("\"a\"", "[\"a\"]"), V("[\"a\",\"b\"]"), V("[\"b\",\"a\"]"), V("[1,2]"), V("[12]"), V("\"\"")) },
    { "encoding_format", V(V("",  "\"float\"",   "\"\""), V("\"base64\"")) },
    { "dimensions",                  V(V("",            "0"),                V("8"), V("16")) },
    { "user",            V(V(""),       V("\"u\""))             },
};
#define CONTENT(parts) "[{\"role\":\"user\",\"content\":" parts "}]"
static const struct field v1_chat_fields[] = {
    {"messages",
     V(V(CONTENT("\"hi\""),                                                                                 "[{\"content\":\"hi\",\"role\":\"user\"}]"),V(CONTENT("\"ho\"")),
     V(CONTENT("[{\"type\":\"text\",\"text\":\"hi\"}]"), CONTENT("[{\"text\":\"hi\",\"type\":\"text\"}]")),
     V(CONTENT("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA\"}}]")),
     V(CONTENT("[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AB\"}}]")),
     V(CONTENT("null"), "[{\"role\":\"user\"}]"), V("[" U("hi") "," U("ho") "]"), V("[" U("ho") "," U("hi") "]")) },
    { "temperature", V(V("", "1","1.0"), V("0", "0.0"), V("0.8")) },
    { "top_p",                                  V(V("",                                                           "1","null"), V("0.5")) },
    { "seed",                                                 V(V("",                                                                                     "null"),V("0"), V("1"), V("1.0"), V("-1")) },
    { "max_tokens",                                            V(V(""),                                                                                        V("1"),                                                                        V("10")) },
    { "stop",                                                 V(V(""),                                                                                           V("\"a\"","[\"a\"]"), V("[\"a\",\"b\"]"), V("[\"b\",\"a\"]"), V("[]")) },
    { "frequency_penalty",                                           V(V(""),                                                                                   V("1"))                                                     },
    { "presence_penalty",V(V(""),V("1"))},
    { "response_format",                                          V(V(""),                                                                                   V("{\"type\":\"json_object\"}"),
     V("{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{\"a\":1,\"b\":1}}}"),
     V("{\"type\":\"json_schema\",\"json_schema\":{\"schema\":{\"b\":1,\"a\":1}}}")) },
    { "reasoning_effort",V(V(""),V("\"low\""),V("\"high\"")) },
    { "reasoning",                                            V(V(""),                                      V("{\"effort\":\"low\"}"))},
    { "logprobs",                                V(V("",                                                               "false"),V("true")) },
    { "tools",                               V(V(""),                               V("[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"),
     V("[{\"type\":\"function\",\"function\":{\"name\":\"g\"}}]")) },
    { "tool_choice",                                V(V(""),                                                                               V("\"auto\""))},
};
static const struct field v1_completions_fields[] = {
    {"prompt",     V(V("\"p\""), V("\"q\""), V("[\"p\"]")) },
    { "suffix",           V(V("",               "\"\""),         V("\"s\"")) },
    { "temperature", V(V(""),            V("0"), V("1")) },
    { "seed",      V(V(""),V("1"))        },
    { "stop",V(V(""),      V("\"a\"",        "[\"a\"]")) },
    { "logprobs",      V(V(""),    V("1"))},
};
static const struct field v1_responses_fields[] = {
    {"input",              V(V("\"a\""), V("[" U("a") "]",                             "[{\"content\":\"a\",\"role\":\"user\"}]"), V("[" U("b") "]")) },
    { "instructions",  V(V("",             "\"\""),                                           V("\"i\"")) },
    { "temperature",             V(V("",  "1"),   V("0")) },
    { "max_output_tokens",  V(V(""),         V("5"))                                           },
    { "text", V(V(""),     V("{\"format\":{\"type\":\"json_object\"}}"))                                 },
    { "reasoning",              V(V(""),                   V("{\"effort\":\"low\"}"))             },
    { "previous_response_id",         V(V(""), V("\"r\""))},
};
static const struct field v1_messages_fields[] = {
    {"messages",
     V(V(CONTENT("\"hi\"")),
     V(CONTENT("[{\"type\":\"text\",\"text\":\"hi\"}]"),                                              CONTENT("[{\"text\":\"hi\",\"type\":\"text\"}]")),
     V(CONTENT("[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"data\":\"AA\"}}]")),
     V(CONTENT("[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"data\":\"AB\"}}]"))) },
    { "system",                                          V(V(""),                                                                           V("\"s\""),                                  V("[{\"type\":\"text\",\"text\":\"s\"}]"))},
    { "max_tokens",                               V(V("5"),                                  V("6"))},
    { "temperature",                                      V(V(""),                                                                         V("0", "0.0"),                                                    V("1"))},
    { "top_k",                                    V(V(""),                                                                            V("5"))},
    { "top_p",                                          V(V(""),                                                                   V("0.5",                                "5e-1"))},
    { "stop_sequences",                                    V(V(""),                                                  V("[\"a\"]"))                           },
    { "thinking", V(V(""), V("{\"type\":\"enabled\"}"),                                                    V("{\"type\":\"disabled\"}"))    },
    { "tools",                        V(V(""),                                              V("[{\"name\":\"f\",\"input_schema\":{}}]",                               "[{\"input_schema\":{},\"name\":\"f\"}]"),
     V("[{\"name\":\"g\",\"input_schema\":{}}]"))                                                                                                                 },
};
#define FIELDS(list) list, ARRAY_LEN(list)
static const struct kind {
    enum route_id route;
    const struct field *fields;
    unsigned n;
    bool options;
} kinds[] = {
    {ROUTE_chat,            FIELDS(chat_fields),           true },
    { ROUTE_generate,       FIELDS(generate_fields),       true },
    { ROUTE_embed,          FIELDS(embed_fields),          true },
    { ROUTE_v1_embeddings,  FIELDS(v1_embeddings_fields),  false},
    { ROUTE_v1_chat,        FIELDS(v1_chat_fields),        false},
    { ROUTE_v1_completions, FIELDS(v1_completions_fields), false},
    { ROUTE_v1_responses,   FIELDS(v1_responses_fields),   false},
    { ROUTE_v1_messages,    FIELDS(v1_messages_fields),    false},
};

static uint64_t random_state = 1;
static unsigned chance(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % n;
}

/* What is meant: a value for each field, and for each option. */
#define CHOICES 32
struct meaning {
    const struct kind *kind;
    unsigned char value[CHOICES];
};

static unsigned values_of(const struct field *f)
{
    unsigned n = 0;
    while (n < VALUES && f->values[n][0])
        n++;
    return n;
}

static const char *spelling_of(const struct field *f, unsigned value)
{
    unsigned n = 0;
    while (n < SPELLINGS && f->values[value][n])
        n++;
    return f->values[value][chance(n)];
}

static void put_blank(struct text *t)
{
    if (chance(4) == 0)
        text_putc(t, " \n\t\r"[chance(4)]);
}

/* The value with other blanks and escapes. */
static void put_respelled(struct text *t, const char *json)
{
    bool in = false;
    for (const char *p = json; *p; p++) {
        if (in && *p == '\\') {
            text_putc(t, *p++);
            text_putc(t, *p);
            for (unsigned i = 0; *p == 'u' && i < 4; i++)
                text_putc(t, p[1 + i]);
            p += *p == 'u' ? 4 : 0;
            continue;
        }
        in ^= *p == '"';
        if (in && *p != '"' && (unsigned char)*p < 0x80 && chance(5) == 0)
            text_printf(t, chance(2) ? "\\u%04x" : "\\u%04X", *p);
        else
            text_putc(t, *p);
        if (!in && (strchr("[]{},:\"", *p)))
            put_blank(t);
    }
}

static void put_name(struct text *t, const char *name, bool any_case)
{
    text_putc(t, '"');
    for (; *name; name++)
        text_putc(t, any_case && chance(8) == 0 && *name >= 'a' && *name <= 'z' ? (char)(*name - 32) : *name);
    text_put(t, STR("\":"));
}

static void put_fields(struct text *t, const struct field *fields, unsigned n, const unsigned char *values,
                       bool any_case, bool *comma)
{
    unsigned order[CHOICES];
    for (unsigned i = 0; i < n; i++) {
        unsigned at = chance(i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    for (unsigned i = 0; i < n; i++) {
        const struct field *f = &fields[order[i]];
        const char *value = spelling_of(f, values[order[i]]);
        bool scalar = *value != '[' && *value != '{' && strcmp(value, "null") != 0;
        bool known = strcmp(f->name, "novelty") && strcmp(f->name, "user") && strcmp(f->name, "tool_choice") &&
                     strcmp(f->name, "previous_response_id");
        if (!*value)
            continue;
        for (unsigned twice = known && scalar && chance(5) == 0;; twice--) {
            if (*comma)
                text_putc(t, ',');
            *comma = true;
            put_name(t, f->name, any_case && known);
            put_respelled(t, twice ? "\"overruled\"" : value);
            if (!twice)
                break;
        }
    }
}

static void write_down(struct text *t, const struct meaning *m)
{
    static const char *const presentation[] = { "\"stream\":true", "\"stream\" : false", "\"model\":\"x\"",
                                                "\"MODEL\":\"y\"", "\"model\":\"a\",\"model\":\"b\"" };
    bool comma = false, any_option = false;
    text_putc(t, '{');
    put_blank(t);
    put_fields(t, m->kind->fields, m->kind->n, m->value, true, &comma);
    const unsigned char *options = m->value + m->kind->n;
    if (m->kind->options) {
        text_put(t, comma ? STR(",\"options\":{") : STR("\"options\":{"));
        comma = true;
        put_fields(t, options_fields, ARRAY_LEN(options_fields), options, false, &any_option);
        text_putc(t, '}');
        if (chance(3) == 0)
            text_put(t, STR(",\"keep_alive\":\"10m\""));
    }
    if (chance(2))
        text_printf(t, "%s%s", comma ? "," : "", presentation[chance(ARRAY_LEN(presentation))]);
    put_blank(t);
    text_putc(t, '}');
}

static struct cache_key key_of_meaning(const struct meaning *m)
{
    struct text t = { 0 };
    write_down(&t, m);
    struct key_ask ask = ask_of(m->kind->route, text_str(&t));
    struct cache_key k = key_in(&ask);
    text_free(&t);
    arena_done(&arena);
    arena_init(&arena);
    return k;
}

static void differ(const struct meaning *a, const struct meaning *b, struct cache_key ka, struct cache_key kb)
{
    struct text ta = { 0 }, tb = { 0 };
    if (!same(ka, kb))
        return;
    write_down(&ta, a);
    write_down(&tb, b);
    fail_msg("one key for\n%.*s\n%.*s", STR_ARG(text_str(&ta)), STR_ARG(text_str(&tb)));
}

static void vary(struct meaning *m, unsigned at, unsigned values)
{
    struct cache_key keys[VALUES];
    unsigned char before = m->value[at];
    struct meaning of[VALUES];
    for (unsigned v = 0; v < values; v++) {
        m->value[at] = (unsigned char)v;
        of[v] = *m;
        keys[v] = key_of_meaning(m);
        for (unsigned k = 0; k < v; k++)
            differ(&of[k], &of[v], keys[k], keys[v]);
    }
    m->value[at] = before;
}

static const struct field *field_at(const struct kind *k, unsigned at)
{
    return at < k->n ? &k->fields[at] : &options_fields[at - k->n];
}
static unsigned choices_of(const struct kind *k)
{
    return k->n + (k->options ? (unsigned)ARRAY_LEN(options_fields) : 0);
}
static void choose(struct meaning *m)
{
    for (unsigned i = 0; i < choices_of(m->kind); i++)
        m->value[i] = (unsigned char)(chance(3) ? 0 : chance(values_of(field_at(m->kind, i))));
}

static void each_field_alone_makes_another_key(void **state)
{
    for (unsigned k = 0; k < ARRAY_LEN(kinds); k++)
        for (unsigned round = 0; round < 40; round++) {
            struct meaning m = { .kind = &kinds[k] };
            if (round)
                choose(&m);
            for (unsigned i = 0; i < choices_of(m.kind); i++)
                vary(&m, i, values_of(field_at(m.kind, i)));
        }
}

static void one_meaning_has_one_key(void **state)
{
    for (unsigned round = 0; round < 2000; round++) {
        struct meaning m = { .kind = &kinds[chance(ARRAY_LEN(kinds))] };
        choose(&m);
        struct cache_key first = key_of_meaning(&m), again;
        for (unsigned i = 0; i < 6; i++) {
            again = key_of_meaning(&m);
            struct text t = { 0 };
            write_down(&t, &m);
            if (!same(first, again))
                fail_msg("another key for another spelling of\n%.*s", STR_ARG(text_str(&t)));
            text_free(&t);
        }
    }
}

/* All against all; across routes too, where only the pairs of dialects that may meet are excepted. */
static bool may_meet(enum route_id a, enum route_id b)
{
    return a != b && (a == ROUTE_chat || a == ROUTE_v1_chat || a == ROUTE_embed || a == ROUTE_v1_embeddings) &&
           (b == ROUTE_chat || b == ROUTE_v1_chat || b == ROUTE_embed || b == ROUTE_v1_embeddings);
}

static void no_two_meanings_meet(void **state)
{
    enum { N = 2500 };
    struct meaning *m = calloc(N, sizeof *m);
    struct cache_key *keys = calloc(N, sizeof *keys);
    for (unsigned i = 0; i < N; i++) {
        m[i].kind = &kinds[chance(ARRAY_LEN(kinds))];
        choose(&m[i]);
        keys[i] = key_of_meaning(&m[i]);
        for (unsigned k = 0; k < i; k++) {
            if (m[k].kind == m[i].kind && memcmp(m[k].value, m[i].value, CHOICES) == 0)
                assert_true(same(keys[k], keys[i]));
            else if (!may_meet(m[k].kind->route, m[i].kind->route))
                differ(&m[k], &m[i], keys[k], keys[i]);
        }
    }
    free(keys);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spelling_does_not_matter),
        cmocka_unit_test(what_may_differ_for_a_node_differs),
        cmocka_unit_test(dialects_meet_where_they_say_the_same),
        cmocka_unit_test(surroundings_matter),
        cmocka_unit_test(others_read_to_the_letter),
        cmocka_unit_test(some_have_no_key),
        cmocka_unit_test(memory_may_be_out),
        cmocka_unit_test(depth_has_no_price),
        cmocka_unit_test(each_field_alone_makes_another_key),
        cmocka_unit_test(one_meaning_has_one_key),
        cmocka_unit_test(no_two_meanings_meet),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
