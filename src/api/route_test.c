#include "api/route.h"
#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct route_found find(enum http_method m, const char *path)
{
    return route_find(m, str_of(path));
}

#define assert_str(s, literal)                                                                                         \
    do {                                                                                                               \
        struct str got_ = (s);                                                                                         \
        assert_int_equal(got_.n, strlen(literal));                                                                     \
        assert_memory_equal(got_.p, literal, got_.n);                                                                  \
    } while (0)

static void every_row_is_found_by_its_own_path(void **state)
{
    for (unsigned i = 0; i < ROUTE_COUNT; i++) {
        const struct route *r = route_row((enum route_id)i);
        char path[128];
        assert_int_equal(r->id, i);
        memcpy(path, r->path.p, r->path.n + 1);
        if (r->rest)
            path[r->path.n - 1] = 'x';
        for (unsigned m = M_GET; m <= M_OTHER; m++) {
            struct route_found f = find((enum http_method)m, path);
            assert_ptr_equal(f.route, r);
            assert_int_equal(f.wrong_method, !(r->methods & (1u << m)));
            assert_int_equal(f.rest.n, r->rest ? 1 : 0);
        }
    }
}

static void rows_say_what_the_contract_says(void **state)
{
    struct {
        const char *path;
        enum http_method method;
        enum route_id id;
        enum dialect dialect;
        enum route_kind kind;
        enum model_in model_in;
        unsigned flags;
    } want[] = {
        {"/api/chat",                 M_POST, ROUTE_chat,          DIALECT_OLLAMA,    KIND_MODEL,  IN_BODY,         ROUTE_STREAMS },
        { "/api/pull",                M_POST, ROUTE_pull,          DIALECT_OLLAMA,    KIND_FANOUT, IN_BODY_OR_NAME,
         ROUTE_STREAMS | ROUTE_NO_RETRY                                                                                           },
        { "/api/copy",                M_POST, ROUTE_copy,          DIALECT_OLLAMA,    KIND_FANOUT, IN_SOURCE,       ROUTE_NO_RETRY},
        { "/v1/responses",            M_POST, ROUTE_v1_responses,  DIALECT_RESPONSES, KIND_MODEL,  IN_BODY,         ROUTE_ZSTD    },
        { "/v1/messages",             M_POST, ROUTE_v1_messages,   DIALECT_ANTHROPIC, KIND_MODEL,  IN_BODY,         ROUTE_ZSTD    },
        { "/v1/audio/transcriptions", M_POST, ROUTE_v1_transcribe, DIALECT_OPENAI,    KIND_MODEL,  IN_MULTIPART,    0             },
        { "/api/status",              M_GET,  ROUTE_cloud_status,  DIALECT_OLLAMA,    KIND_LOCAL,  IN_NOWHERE,      0             },
        { "/livez",                   M_HEAD, ROUTE_livez,         DIALECT_OWN,       KIND_OPS,    IN_NOWHERE,      ROUTE_PROBE   },
        { "/metrics",                 M_GET,  ROUTE_metrics,       DIALECT_OWN,       KIND_OPS,    IN_NOWHERE,      ROUTE_OWN     },
    };
    for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
        struct route_found f = find(want[i].method, want[i].path);
        assert_non_null(f.route);
        assert_false(f.wrong_method);
        assert_int_equal(f.route->id, want[i].id);
        assert_int_equal(f.route->dialect, want[i].dialect);
        assert_int_equal(f.route->kind, want[i].kind);
        assert_int_equal(f.route->model_in, want[i].model_in);
        assert_int_equal(f.route->flags, want[i].flags);
    }
    assert_str(route_row(ROUTE_v1_chat)->name, "v1_chat");
}

static void tails_are_kept_and_not_empty(void **state)
{
    struct route_found f = find(M_HEAD, "/api/blobs/sha256:ab");
    assert_int_equal(f.route->id, ROUTE_blob);
    assert_str(f.rest, "sha256:ab");
    f = find(M_GET, "/v1/models/ns%2Fm/x:7b");
    assert_int_equal(f.route->id, ROUTE_v1_model);
    assert_str(f.rest, "ns%2Fm/x:7b");
    f = find(M_POST, "/api/nodes/gpu1/drain");
    assert_int_equal(f.route->id, ROUTE_node);
    assert_str(f.rest, "gpu1/drain");
    assert_int_equal(find(M_GET, "/api/nodes/detailed").route->id, ROUTE_nodes_detailed);
    assert_int_equal(find(M_GET, "/api/nodes").route->id, ROUTE_nodes);
    assert_null(find(M_GET, "/api/blobs/").route);
    assert_null(find(M_GET, "/api/blobs").route);
}

static void strangers_are_not_found(void **state)
{
    static const char *const unknown[] = {
        "",           "*",        "/api",       "/API/chat",   "/api/chat/", "/api/chat2",    "/v1",
        "/api/chats", "/v1/chat", "/api//chat", "/x/api/chat", "/v1/Models", "/api/nodess/x", "/v1/chat/completion"
    };
    for (unsigned i = 0; i < ARRAY_LEN(unknown); i++)
        assert_null(find(M_GET, unknown[i]).route);
}

static void known_paths_refuse_other_methods(void **state)
{
    struct route_found f = find(M_GET, "/api/chat");
    assert_non_null(f.route);
    assert_true(f.wrong_method);
    assert_true(find(M_HEAD, "/api/ps").wrong_method);
    assert_false(find(M_HEAD, "/api/tags").wrong_method);
    assert_true(find(M_OTHER, "/").wrong_method);
}

static void allow_lists_the_methods(void **state)
{
    char out[64];
    assert_str(((struct str){ out, route_allow(route_row(ROUTE_chat), out) }), "POST");
    assert_str(((struct str){ out, route_allow(route_row(ROUTE_tags), out) }), "GET, HEAD");
    assert_str(((struct str){ out, route_allow(route_row(ROUTE_node), out) }), "GET, POST, PATCH, DELETE");
    for (unsigned i = 0; i < ROUTE_COUNT; i++)
        assert_in_range(route_allow(route_row((enum route_id)i), out), 3, 64);
}

static void tidy_collapses_slashes(void **state)
{
    struct arena a;
    arena_init(&a);
    static const char *const cases[][2] = {
        {"//api//chat",             "/api/chat"     },
        { "/api/tags/",             "/api/tags"     },
        { "/api/tags///",           "/api/tags"     },
        { "//",                     "/"             },
        { "",                       "/"             },
        { "///v1////models//a//b/", "/v1/models/a/b"},
        { "api//x",                 "api/x"         }
    };
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
        assert_str(route_tidy(&a, str_of(cases[i][0])), cases[i][1]);
    arena_done(&a);
}

static void tidy_paths_stay_in_place(void **state)
{
    struct arena a;
    arena_init(&a);
    static const char *const tidy[] = { "/", "/api/chat", "*", "/v1/models/a:b", "/a/b/c" };
    for (unsigned i = 0; i < ARRAY_LEN(tidy); i++)
        assert_ptr_equal(route_tidy(&a, str_of(tidy[i])).p, tidy[i]);
    assert_int_equal(a.bytes, 0);
    arena_done(&a);
}

static void tidying_without_memory_gives_nothing(void **state)
{
    struct arena a;
    arena_init(&a);
    memory_fail_at(1);
    assert_null(route_tidy(&a, STR("//x")).p);
    memory_fail_at(0);
    arena_done(&a);
}

static void unknown_paths_have_a_dialect(void **state)
{
    assert_int_equal(route_dialect_of(STR("/v1/messages/count_tokens")), DIALECT_ANTHROPIC);
    assert_int_equal(route_dialect_of(STR("/v1/rerank")), DIALECT_OPENAI);
    assert_int_equal(route_dialect_of(STR("/api/nothing")), DIALECT_OLLAMA);
    assert_int_equal(route_dialect_of(STR("/v2")), DIALECT_OLLAMA);
}

static void a_missing_v1_is_noticed(void **state)
{
    static const char *const lacking[] = { "/chat/completions", "/messages", "/models", "/models/llama3",
                                           "/embeddings" };
    static const char *const others[] = { "/", "/api/chat", "/v1/chat/completions", "/models/", "/chat", "" };
    for (unsigned i = 0; i < ARRAY_LEN(lacking); i++)
        assert_true(route_lacks_v1(str_of(lacking[i])));
    for (unsigned i = 0; i < ARRAY_LEN(others); i++)
        assert_false(route_lacks_v1(str_of(others[i])));
}

static int begin(void **state)
{
    arena_pools_init();
    return 0;
}

static int end(void **state)
{
    arena_pools_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_found_by_its_own_path),
        cmocka_unit_test(rows_say_what_the_contract_says),
        cmocka_unit_test(tails_are_kept_and_not_empty),
        cmocka_unit_test(strangers_are_not_found),
        cmocka_unit_test(known_paths_refuse_other_methods),
        cmocka_unit_test(allow_lists_the_methods),
        cmocka_unit_test(tidy_collapses_slashes),
        cmocka_unit_test(tidy_paths_stay_in_place),
        cmocka_unit_test(tidying_without_memory_gives_nothing),
        cmocka_unit_test(unknown_paths_have_a_dialect),
        cmocka_unit_test(a_missing_v1_is_noticed),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
