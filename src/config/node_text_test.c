#include "base/slab.h"
#include "config/node_text.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena arena;
static struct text why;

static int begin(void **state)
{
    arena_pools_init();
    buf_pools_init();
    return 0;
}

static int end(void **state)
{
    buf_pools_done();
    arena_pools_done();
    return 0;
}

static int each_end(void **state)
{
    arena_done(&arena);
    arena_init(&arena);
    text_free(&why);
    why = (struct text){ 0 };
    return 0;
}

static void an_address_alone_is_a_node(void **state)
{
    struct node_spec n = node_text_none();
    assert_true(node_text_read(&n, &arena, STR("gpu1:11434"), &why));
    assert_true(str_eq(n.url, STR("gpu1:11434")));
    assert_int_equal(n.slots, -1);
    assert_int_equal(n.kind, NODE_UNKNOWN);
    assert_true(n.weight == 0 && n.name.n == 0 && n.labels.n == 0);
}

static void everything_can_be_said(void **state)
{
    struct node_spec n = node_text_none();
    assert_true(node_text_read(
        &n, &arena, STR("https://h/p,name=a,weight=2.5,slots=4,max_inflight=8,vram=24GiB,labels=k:v+k2:v2,kind=vllm"),
        &why));
    assert_true(str_eq(n.url, STR("https://h/p")));
    assert_true(str_eq(n.name, STR("a")));
    assert_true(n.weight == 2.5);
    assert_int_equal(n.slots, 4);
    assert_int_equal(n.max_inflight, 8);
    assert_int_equal(n.vram, 24ull << 30);
    assert_true(str_eq(n.labels, STR("k:v+k2:v2")));
    assert_int_equal(n.kind, NODE_VLLM);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"",                 "is not where a node can be"},
        { "http://",         "is not where a node can be"},
        { "gpu 1",           "is not where a node can be"},
        { "gpu1,weight=0",   "weight \"0\" is not"       },
        { "gpu1,weight=-1",  "weight \"-1\" is not"      },
        { "gpu1,weight",     "has no \"=\""              },
        { "gpu1,wieght=2",   "nothing that can be said"  },
        { "gpu1,slots=many", "slots \"many\""            },
        { "gpu1,vram=big",   "vram \"big\" is not a size"},
        { "gpu1,kind=olama", "kind \"olama\" is none of" },
        { "gpu1,labels=x",   "key:value"                 },
        { "gpu1,name=a/b",   "cannot be a node's name"   },
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct node_spec n = node_text_none();
        if (node_text_read(&n, &arena, str_of(bad[i].text), &why))
            fail_msg("\"%s\" was taken", bad[i].text);
        if (str_find(text_str(&why), str_of(bad[i].why)) < 0)
            fail_msg("\"%s\": %.*s", bad[i].text, STR_ARG(text_str(&why)));
        text_free(&why);
        why = (struct text){ 0 };
    }
}

static void kinds_are_all_known(void **state)
{
    for (enum node_kind k = NODE_OLLAMA; k <= NODE_OPENAI; k++) {
        struct node_spec n = node_text_none();
        assert_true(node_text_set(&n, &arena, STR("kind"), node_kind_name(k), &why));
        assert_int_equal(n.kind, k);
    }
}

static void ollama_host_is_read_as_its_client_reads_it(void **state)
{
    static const struct {
        const char *value, *url;
    } cases[] = {
        {NULL,                      "http://localhost:11434"},
        { "",                       "http://localhost:11434"},
        { "  ",                     "http://localhost:11434"},
        { "1.2.3.4",                "http://1.2.3.4:11434"  },
        { "\"1.2.3.4:80\"",         "http://1.2.3.4:80"     },
        { "'gpu1'",                 "http://gpu1:11434"     },
        { "0.0.0.0",                "http://127.0.0.1:11434"},
        { "0.0.0.0:1234",           "http://127.0.0.1:1234" },
        { "http://0.0.0.0:1234",    "http://127.0.0.1:1234" },
        { ":1234",                  "http://127.0.0.1:1234" },
        { "[::]:1234",              "http://[::1]:1234"     },
        { "[::]",                   "http://[::1]:11434"    },
        { "::1",                    "http://[::1]:11434"    },
        { "[::1]:99",               "http://[::1]:99"       },
        { "http://gpu1",            "http://gpu1:80"        },
        { "https://gpu1",           "https://gpu1:443"      },
        { "https://gpu1/",          "https://gpu1:443"      },
        { "https://gpu1:8443/a/b/", "https://gpu1:8443/a/b" },
        { "gpu1:66000",             "http://gpu1:11434"     },
        { "gpu1:x",                 "http://gpu1:11434"     },
        { "http://gpu1:-1",         "http://gpu1:80"        },
        { "ftp://gpu1",             ""                      },
        { "gpu 1",                  ""                      },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str got = node_text_of_ollama_host(&arena, cases[i].value);
        if (!str_eq(got, str_of(cases[i].url)))
            fail_msg("%s gave %.*s", cases[i].value, STR_ARG(got));
    }
}

static void without_memory_it_says_so(void **state)
{
    struct node_spec n = node_text_none();
    memory_fail_at(1);
    assert_false(node_text_read(&n, &arena, STR("gpu1,name=a"), &why));
    memory_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(an_address_alone_is_a_node, each_end),
        cmocka_unit_test_teardown(everything_can_be_said, each_end),
        cmocka_unit_test_teardown(mistakes_are_named, each_end),
        cmocka_unit_test_teardown(kinds_are_all_known, each_end),
        cmocka_unit_test_teardown(ollama_host_is_read_as_its_client_reads_it, each_end),
        cmocka_unit_test_teardown(without_memory_it_says_so, each_end),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
