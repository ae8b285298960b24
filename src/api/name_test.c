/* api/name_test.c - spellings and the one key they stand for. */
#include "api/name.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define HOME "registry.ollama.ai/"
#define A80  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define H350 A80 A80 A80 A80 "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhh"

static const struct {
    const char *text, *key, *show;
    enum name_source source;
} good[] = {
    {"llama3.2",                          HOME "library/llama3.2:latest",       "llama3.2:latest",            SOURCE_NONE },
    { "Llama3.2",                         HOME "library/llama3.2:latest",       "Llama3.2:latest",            SOURCE_NONE },
    { " \tllama3.2\n",                    HOME "library/llama3.2:latest",       "llama3.2:latest",            SOURCE_NONE },
    { "llama3.2:latest",                  HOME "library/llama3.2:latest",       "llama3.2:latest",            SOURCE_NONE },
    { "llama3.2:LATEST",                  HOME "library/llama3.2:latest",       "llama3.2:LATEST",            SOURCE_NONE },
    { "library/llama3.2",                 HOME "library/llama3.2:latest",       "llama3.2:latest",            SOURCE_NONE },
    { "Library/llama3.2:1b",              HOME "library/llama3.2:1b",           "llama3.2:1b",                SOURCE_NONE },
    { HOME "library/llama3.2",            HOME "library/llama3.2:latest",       "llama3.2:latest",            SOURCE_NONE },
    { "Registry.Ollama.AI/library/m:t",   HOME "library/m:t",                   "m:t",                        SOURCE_NONE },
    { "https://" HOME "library/llama3.2", HOME "library/llama3.2:latest",       "llama3.2:latest",            SOURCE_NONE },
    { "anything://" HOME "me/m",          HOME "me/m:latest",                   "me/m:latest",                SOURCE_NONE },
    { "a/b://" HOME "me/m",               HOME "me/m:latest",                   "me/m:latest",                SOURCE_NONE },
    { "x:///me/m",                        HOME "me/m:latest",                   "me/m:latest",                SOURCE_NONE },
    { "Me/Model",                         HOME "me/model:latest",               "Me/Model:latest",            SOURCE_NONE },
    { "hf.co/Ns/M:Q4",                    "hf.co/ns/m:q4",                      "hf.co/Ns/M:Q4",              SOURCE_NONE },
    { "hf.co/library/m",                  "hf.co/library/m:latest",             "hf.co/library/m:latest",     SOURCE_NONE },
    { "localhost:5000/ns/m",              "localhost:5000/ns/m:latest",         "localhost:5000/ns/m:latest", SOURCE_NONE },
    { "http://localhost:5000/ns/m:t",     "localhost:5000/ns/m:t",              "localhost:5000/ns/m:t",      SOURCE_NONE },
    { "_m-1.0_x:_t.-",                    HOME "library/_m-1.0_x:_t.-",         "_m-1.0_x:_t.-",              SOURCE_NONE },
    { "m..:1",                            HOME "library/m..:1",                 "m..:1",                      SOURCE_NONE },
    { "cloud",                            HOME "library/cloud:latest",          "cloud:latest",               SOURCE_NONE },
    { "my-cloud-model",                   HOME "library/my-cloud-model:latest", "my-cloud-model:latest",      SOURCE_NONE },
    { "m-cloud",                          HOME "library/m-cloud:latest",        "m-cloud:latest",             SOURCE_NONE },
    { "h:1/ns/m-cloud",                   "h:1/ns/m-cloud:latest",              "h:1/ns/m-cloud:latest",      SOURCE_NONE },
    { "m:cloud",                          HOME "library/m:latest",              "m:latest",                   SOURCE_CLOUD},
    { "m:Cloud ",                         HOME "library/m:latest",              "m:latest",                   SOURCE_CLOUD},
    { "m: cloud",                         HOME "library/m:latest",              "m:latest",                   SOURCE_CLOUD},
    { "m:local",                          HOME "library/m:latest",              "m:latest",                   SOURCE_LOCAL},
    { "qwen3:8b:LOCAL",                   HOME "library/qwen3:8b",              "qwen3:8b",                   SOURCE_LOCAL},
    { "gpt-oss:20b:cloud",                HOME "library/gpt-oss:20b",           "gpt-oss:20b",                SOURCE_CLOUD},
    { "gpt-oss:20b-cloud",                HOME "library/gpt-oss:20b",           "gpt-oss:20b",                SOURCE_CLOUD},
    { "gpt-oss:20B-CLOUD",                HOME "library/gpt-oss:20b",           "gpt-oss:20B",                SOURCE_CLOUD},
    { "gpt-oss: 20b-cloud",               HOME "library/gpt-oss:20b",           "gpt-oss:20b",                SOURCE_CLOUD},
    { "hf.co:443/a/b:c-cloud",            "hf.co:443/a/b:c",                    "hf.co:443/a/b:c",            SOURCE_CLOUD},
    { A80 "/" A80 ":" A80,                HOME A80 "/" A80 ":" A80,             A80 "/" A80 ":" A80,          SOURCE_NONE },
    { H350 "/" A80 "/" A80 ":" A80,       H350 "/" A80 "/" A80 ":" A80,         H350 "/" A80 "/" A80 ":" A80, SOURCE_NONE },
};

static void finds_the_key(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct name n;
        enum fail f = name_parse(str_of(good[i].text), &n);
        if (f || !str_eq(name_key(&n), str_of(good[i].key)) || !str_eq(name_show(&n), str_of(good[i].show)) ||
            n.source != good[i].source)
            fail_msg("%s: fail %d, key %.*s, show %.*s, source %d", good[i].text, (int)f, STR_ARG(name_key(&n)),
                     STR_ARG(name_show(&n)), (int)n.source);
    }
}

static const struct {
    const char *text;
    enum fail f;
} bad[] = {
    {"",                    FAIL_model_required},
    { " \n\t",              FAIL_model_required},
    { "foo:cloud:local",    FAIL_source_twice  },
    { "foo:local:cloud",    FAIL_source_twice  },
    { "foo:cloud:cloud",    FAIL_source_twice  },
    { "foo:8b-cloud:local", FAIL_source_twice  },
    { "foo:cloud-cloud",    FAIL_source_twice  },
    { "foo:8b-cloud-cloud", FAIL_source_twice  },
    { ":cloud",             FAIL_bad_model_name},
    { "m:",                 FAIL_bad_model_name},
    { ":t",                 FAIL_bad_model_name},
    { "m:-cloud",           FAIL_bad_model_name},
    { "/m",                 FAIL_bad_model_name},
    { "ns/",                FAIL_bad_model_name},
    { "ns//m",              FAIL_bad_model_name},
    { "//m",                FAIL_bad_model_name},
    { "/ns/m",              FAIL_bad_model_name},
    { "http://m",           FAIL_bad_model_name},
    { "http://ns/m",        FAIL_bad_model_name},
    { "a/b/c/d",            FAIL_bad_model_name},
    { "m: 8b",              FAIL_bad_model_name},
    { "m :8b",              FAIL_bad_model_name},
    { "m:a:b",              FAIL_bad_model_name},
    { "-m",                 FAIL_bad_model_name},
    { ".m",                 FAIL_bad_model_name},
    { "..",                 FAIL_bad_model_name},
    { "../../etc",          FAIL_bad_model_name},
    { "n.s/m",              FAIL_bad_model_name},
    { "n:s/m",              FAIL_bad_model_name},
    { "m@sha256",           FAIL_bad_model_name},
    { "m+1",                FAIL_bad_model_name},
    { "m\xc3\xa4",          FAIL_bad_model_name},
    { "h\xc3\xa4/n/m",      FAIL_bad_model_name},
    { "foo:bar-cloud/baz",  FAIL_bad_model_name},
    { "a" A80,              FAIL_bad_model_name},
    { "m:a" A80,            FAIL_bad_model_name},
    { "a" A80 "/m",         FAIL_bad_model_name},
    { "h" H350 "/n/m",      FAIL_bad_model_name},
};

static void refuses(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct name n;
        enum fail f = name_parse(str_of(bad[i].text), &n);
        if (f != bad[i].f)
            fail_msg("\"%s\": %.*s", bad[i].text, STR_ARG(fail_name(f)));
    }
    struct name n;
    assert_int_equal(name_parse(STR_NONE, &n), FAIL_model_required);
    assert_int_equal(name_parse(STR("m\0m"), &n), FAIL_bad_model_name);
}

static void key_and_display_form_name_the_same_model(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct name n, again;
        assert_int_equal(name_parse(str_of(good[i].text), &n), OK);
        assert_int_equal(name_parse(name_key(&n), &again), OK);
        assert_true(str_eq(name_key(&n), name_key(&again)) && again.source == SOURCE_NONE);
        assert_int_equal(name_parse(name_show(&n), &again), OK);
        assert_true(str_eq(name_key(&n), name_key(&again)) && str_eq(name_show(&n), name_show(&again)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_key),
        cmocka_unit_test(refuses),
        cmocka_unit_test(key_and_display_form_name_the_same_model),
    };
    return cmocka_run_group_tests_name("api/name", tests, NULL, NULL);
}
