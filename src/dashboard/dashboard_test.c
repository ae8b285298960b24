/* Holds for the page and for what stands in its place where it was not built. */
#include "dashboard/dashboard.h"
#include "dashboard/files.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

#define BUDGET (150 * 1000) /* bytes over the wire for a first visit */

static bool holds(struct str bytes, const char *needle)
{
    return str_find(bytes, str_of(needle)) >= 0;
}

static void finds_the_page_and_nothing_else(void **state)
{
    const struct static_file *page = dashboard_find(STR("/dashboard/"));

    assert_non_null(page);
    assert_string_equal(page->path, "index.html");
    assert_string_equal(page->type, "text/html; charset=utf-8");
    assert_false(page->immutable);
    assert_ptr_equal(dashboard_find(STR("/dashboard/index.html")), page);
    assert_null(dashboard_find(STR("/dashboard")));
    assert_null(dashboard_find(STR("/dashboar")));
    assert_null(dashboard_find(STR("/")));
    assert_null(dashboard_find(STR_NONE));
    assert_null(dashboard_find(STR("/dashboard/index.htm")));
    assert_null(dashboard_find(STR("/dashboard/index.html/")));
    assert_null(dashboard_find(STR("/dashboard/../api/health")));
    assert_null(dashboard_find(STR("/dashboard//index.html")));
}

/* What the page names is there, by relative addresses, and nothing in it would be stopped by the policy it is sent
 * with. */
static void the_page_obeys_its_policy(void **state)
{
    struct str html = dashboard_find(STR("/dashboard/"))->bytes, rest = html;
    unsigned linked = 0;

    assert_true(holds(html, "<title>"));
    assert_false(holds(html, "style="));
    assert_false(holds(html, "<style"));
    assert_false(holds(html, "<script>"));
    assert_false(holds(html, "=\"/"));
    assert_false(holds(html, "=\"http"));
    for (ssize_t at; (at = str_find(rest, STR("=\"./"))) >= 0; linked++) {
        char path[128] = "/dashboard/";
        struct str name;

        rest = str_drop(rest, (size_t)at + 4);
        name = str_take(rest, (size_t)str_chr(rest, '"'));
        assert_true(name.n < sizeof path - 12);
        memcpy(path + 11, name.p, name.n);
        assert_non_null(dashboard_find((struct str){ path, 11 + name.n }));
    }
    assert_true(linked > 0);
    assert_true(holds(str_of(STATIC_FILE_POLICY), "default-src 'none'"));
    assert_false(holds(str_of(STATIC_FILE_POLICY), "unsafe"));
}

static size_t unpacked(struct str gzip, char *to, size_t room)
{
    z_stream z = { .next_in = (Bytef *)(uintptr_t)gzip.p, .avail_in = (uInt)gzip.n };

    z.next_out = (Bytef *)to;
    z.avail_out = (uInt)room;
    assert_int_equal(inflateInit2(&z, 16 + MAX_WBITS), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    inflateEnd(&z);
    return room - z.avail_out;
}

static void both_forms_are_the_same_file(void **state)
{
    for (unsigned i = 0; i < dashboard_file_count; i++) {
        const struct static_file *f = &dashboard_files[i];
        char *copy;

        if (!f->gzip.n)
            continue;
        assert_true(f->gzip.n < f->bytes.n);
        copy = malloc(f->bytes.n + 1);
        assert_non_null(copy);
        assert_int_equal(unpacked(f->gzip, copy, f->bytes.n + 1), f->bytes.n);
        assert_memory_equal(copy, f->bytes.p, f->bytes.n);
        free(copy);
    }
}

static void rows_are_complete(void **state)
{
    size_t wire = 0;

    for (unsigned i = 0; i < dashboard_file_count; i++) {
        const struct static_file *f = &dashboard_files[i];
        size_t quoted = strlen(f->etag);

        assert_true(f->bytes.n > 0);
        assert_non_null(strchr(f->type, '/'));
        assert_true(quoted == 18 && f->etag[0] == '"' && f->etag[quoted - 1] == '"');
        assert_int_equal(f->immutable, str_starts(str_of(f->path), STR("assets/")));
        wire += f->gzip.n ? f->gzip.n : f->bytes.n;
    }
    assert_true(wire < BUDGET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_page_and_nothing_else),
        cmocka_unit_test(the_page_obeys_its_policy),
        cmocka_unit_test(both_forms_are_the_same_file),
        cmocka_unit_test(rows_are_complete),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
