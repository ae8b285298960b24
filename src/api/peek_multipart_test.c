/* api/peek_multipart_test.c - forms as client libraries send them, and forms made to be read in two ways. */
#include "api/peek.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define TYPE  "multipart/form-data; boundary=b"
#define NAMED "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n"
#define FILE_PART                                                                                                      \
    "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\nContent-Type: audio/wav\r\n\r\n"      \
    "RIFF\r\n--\r\n--c\0\r\n\r\n"
#define END "\r\n--b--\r\n"

static struct arena arena;
static struct peek p;
static struct str detail;

static enum fail peek(const char *type, struct str body)
{
    return peek_multipart(str_of(type), body, &arena, &p, &detail);
}

static void expect_model(const char *type, struct str body, const char *model)
{
    enum fail f = peek(type, body);
    if (f || !str_eq(p.model, str_of(model)))
        fail_msg("%.*s: %.*s, model \"%.*s\"", STR_ARG(body), STR_ARG(fail_name(f)), STR_ARG(p.model));
}

static void finds_the_model(void **state)
{
    expect_model(TYPE, STR(NAMED "whisper" END), "whisper");
    expect_model(TYPE, STR(FILE_PART NAMED "whisper:q4" END), "whisper:q4");
    expect_model(TYPE, STR(NAMED "a\r\n" NAMED "b" END), "a");
    expect_model(TYPE, STR(NAMED END), "");
    expect_model(TYPE, STR("--b\r\nContent-Disposition: form-data; name=\"Model\"\r\n\r\nx\r\n" NAMED "y" END), "y");
    expect_model(TYPE, STR("--b\r\nX-Other: 1\r\n\r\nx\r\n" NAMED "y" END), "y");
    expect_model(
        TYPE, STR("--b\r\ncontent-disposition:form-data ;name = model\r\nContent-Transfer-Encoding: 8bit\r\n\r\ny" END),
        "y");
    expect_model(TYPE, STR("--b\r\nContent-Disposition: form-data; name=\"model\"; filename=\"\"\r\n\r\ny" END), "y");
    expect_model("Multipart/Form-Data ; charset=utf-8; Boundary=\"--x y\"",
                 STR("----x y\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n----x y--"), "m");
}

static void a_form_without_a_model_is_for_the_caller(void **state)
{
    assert_int_equal(peek(TYPE, STR("--b--\r\n")), OK);
    assert_null(p.model.p);
    assert_int_equal(peek(TYPE, STR("--b\r\nContent-Disposition: form-data; name=\"language\"\r\n\r\nen" END)), OK);
    assert_null(p.model.p);
    assert_int_equal(
        peek(TYPE, STR("--b\r\nContent-Disposition: form-data; name=\"model\"; filename=\"f\"\r\n\r\nen" END)), OK);
    assert_null(p.model.p);
    assert_int_equal(peek(TYPE, STR_NONE), FAIL_missing_body);
}

static void refuses_other_content_types(void **state)
{
    static const char *const types[] = {
        "",
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-dataX; boundary=b",
        "multipart/mixed; boundary=b",
        "multipart/form-data; boundary=b; boundary=c",
        "multipart/form-data; boundary*=utf-8''b",
        "multipart/form-data; boundary=\"b",
        "multipart/form-data; boundary=\"a\\b\"",
        "multipart/form-data, boundary=b",
        "multipart/form-data; boundary=12345678901234567890123456789012345678901234567890123456789012345678901",
    };
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (peek(types[i], STR(NAMED "m" END)) != FAIL_bad_value)
            fail_msg("accepted: %s", types[i]);
        assert_true(str_eq(detail, STR("request Content-Type isn't multipart/form-data")));
    }
}

static void refuses_what_others_might_read_differently(void **state)
{
#define PART(head, value) "--b\r\n" head "\r\n\r\n" value END
    static const char *const bodies[] = {
        "preamble\r\n" NAMED "m" END,
        "--bb\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--bb--",
        "--b\nContent-Disposition: form-data; name=\"model\"\n\nm\n--b--",
        "--b \r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm" END,
        NAMED "m",
        NAMED "m\r\n--b",
        NAMED "m\r\n--b \r\n",
        NAMED "m\r\n--bb\r\n",
        "--b\r\nContent-Disposition: form-data; name=\"model\"",
        PART("Content-Disposition: form-data; name*=utf-8''model", "m"),
        PART("Content-Disposition: form-data; name*0=mo; name*1=del", "m"),
        PART("Content-Disposition: form-data; name=\"model\"; name=\"x\"", "m"),
        PART("Content-Disposition: form-data; name=\"x\"; name=\"model\"", "m"),
        PART("Content-Disposition: form-data; name=\"model\"; filename*=utf-8''", "m"),
        PART("Content-Disposition: form-data; filename=\"a\"; filename=\"\"; name=\"model\"", "m"),
        PART("Content-Disposition: form-data; name=\"model", "m"),
        PART("Content-Disposition: form-data; name=model x", "m"),
        PART("Content-Disposition: form-data", "m"),
        PART("Content-Disposition: attachment; name=\"model\"", "m"),
        PART("Content-Disposition: form-data; name=\"x\"\r\nContent-Disposition: form-data; name=\"model\"", "m"),
        PART("Content-Disposition: form-data;\r\n name=\"model\"", "m"),
        PART("Content-Disposition : form-data; name=\"model\"", "m"),
        PART("Content-Disposition: form-data; name=\"x\"\nContent-Type: a", "m"),
        PART("Content-Disposition", "m"),
        PART("Content-Disposition: form-data; name=\"model\"\r\nContent-Transfer-Encoding: quoted-printable", "=6d"),
        PART("Content-Transfer-Encoding: base64\r\nContent-Disposition: form-data; name=\"model\"", "bQ=="),
    };
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        if (peek(TYPE, str_of(bodies[i])) != FAIL_bad_value)
            fail_msg("accepted: %s", bodies[i]);
        assert_true(str_eq(detail, STR("the multipart form is not understood")));
    }
}

static void another_model_takes_the_place_without_quotes(void **state)
{
    struct str body = STR(NAMED "m" END);
    assert_int_equal(peek(TYPE, body), OK);
    assert_true(str_eq(peek_replace_model(&arena, body, &p, STR("other:1b")), STR(NAMED "other:1b" END)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_model),
        cmocka_unit_test(a_form_without_a_model_is_for_the_caller),
        cmocka_unit_test(refuses_other_content_types),
        cmocka_unit_test(refuses_what_others_might_read_differently),
        cmocka_unit_test(another_model_takes_the_place_without_quotes),
    };
    arena_pools_init();
    arena_init(&arena);
    int failed = cmocka_run_group_tests_name("api/peek_multipart", tests, NULL, NULL);
    arena_done(&arena);
    arena_pools_done();
    return failed;
}
