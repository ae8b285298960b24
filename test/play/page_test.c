/* The dashboard's files, asked for as browsers do, from near and far. */
#include "machine.h"

static const struct static_file index_file = {
    "index.html", "text/html; charset=utf-8", "\"i1\"", {"<p>page</p>", 11},
       { "zipped",     6 },
       false
};
static const struct static_file script_file = {
    "assets/a-1.js", "text/javascript; charset=utf-8", "\"s1\"", {"go()", 4},
       { NULL,  0},
       true
};

static const struct static_file *find(struct str path)
{
    if (str_eq(path, STR("/dashboard/")))
        return &index_file;
    return str_eq(path, STR("/dashboard/assets/a-1.js")) ? &script_file : NULL;
}

static struct peer *get(const char *path, const char *fields)
{
    struct peer *p = world_connect(&gate_at, NULL);
    peer_sendf(p, "GET %s HTTP/1.1\r\nHost: far.example\r\n%s\r\n", path, fields);
    status_of(p);
    world_elapse(MSEC(50));
    return p;
}

static void open_page(void)
{
    gate_page = find;
    begin(1, 1, 0);
}

static void the_page_comes_as_it_is_or_gzipped(void **state)
{
    open_page();
    struct peer *plain = get("/dashboard/", ""), *zipped = get("/dashboard/", "Accept-Encoding: br, gzip;q=0.9\r\n"),
                *refused = get("/dashboard/", "Accept-Encoding: gzip;q=0.0, br\r\n");
    assert_true(got(plain, "200 OK") && got(plain, "<p>page</p>") && got(plain, "Content-Length: 11\r\n"));
    assert_false(got(plain, "Content-Encoding"));
    assert_true(got(zipped, "Content-Encoding: gzip\r\n") && got(zipped, "\r\n\r\nzipped"));
    assert_true(got(refused, "<p>page</p>"));
    assert_true(got(plain, "Vary: Accept-Encoding\r\n"));
    finish();
}

static void it_is_strict_about_what_it_loads_and_keeps_what_never_changes(void **state)
{
    open_page();
    struct peer *page = get("/dashboard/", ""), *script = get("/dashboard/assets/a-1.js", "");
    assert_true(got(page, "Content-Security-Policy: default-src 'none'; script-src 'self';"));
    assert_true(got(page, "X-Content-Type-Options: nosniff\r\n") && got(page, "Referrer-Policy: no-referrer\r\n"));
    assert_true(got(page, "Cache-Control: no-cache\r\n"));
    assert_true(got(script, "Cache-Control: public, max-age=31536000, immutable\r\n"));
    assert_true(got(script, "text/javascript") && got(script, "go()"));
    finish();
}

static void a_copy_that_is_still_good_is_not_sent_again(void **state)
{
    open_page();
    struct peer *same = get("/dashboard/", "If-None-Match: \"x\", W/\"i1\"\r\n"),
                *other = get("/dashboard/", "If-None-Match: \"i2\"\r\n");
    assert_true(got(same, "304 Not Modified") && got(same, "ETag: \"i1\"\r\n"));
    assert_false(got(same, "page") || got(same, "Content-Length"));
    assert_true(got(other, "200 OK"));
    finish();
}

static void without_its_slash_it_leads_to_the_one_with_it_behind_any_prefix(void **state)
{
    open_page();
    struct peer *p = get("/dashboard", "");
    assert_true(got(p, "308 Permanent Redirect") && got(p, "Location: dashboard/\r\n"));
    finish();
}

static void what_is_no_file_is_not_found(void **state)
{
    open_page();
    assert_true(got(get("/dashboard/nothing.js", ""), "404 Not Found"));
    assert_true(got(get("/dashboard/assets/a-1.js/", ""), "404 Not Found"));
    assert_true(got(get("/dashboard/../api/nodes", ""), "404 Not Found"));
    finish();
    gate_page = NULL;
    begin(2, 1, 0);
    assert_true(got(get("/dashboard/", ""), "404 Not Found"));
    finish();
}

static void the_page_is_everyones_and_what_it_shows_is_not(void **state)
{
    gate_key = "secret";
    open_page();
    assert_true(got(get("/dashboard/", ""), "200 OK"));
    assert_true(got(get("/api/health", ""), "401 Unauthorized"));
    assert_true(got(get("/api/health", "Authorization: Bearer secret\r\n"), "\"status\":"));
    finish();
    gate_key = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_comes_as_it_is_or_gzipped),
        cmocka_unit_test(it_is_strict_about_what_it_loads_and_keeps_what_never_changes),
        cmocka_unit_test(a_copy_that_is_still_good_is_not_sent_again),
        cmocka_unit_test(without_its_slash_it_leads_to_the_one_with_it_behind_any_prefix),
        cmocka_unit_test(what_is_no_file_is_not_found),
        cmocka_unit_test(the_page_is_everyones_and_what_it_shows_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
