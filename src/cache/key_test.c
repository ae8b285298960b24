/* cache/key_test.c - one meaning, one key; two meanings, two keys: case by case. */
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
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
