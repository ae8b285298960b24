/* Pictures of a fleet, whole, and what keys make of them. Pictures are compared letter by letter: change one here only
 * after looking at it. */
#include "cli/top_view.h"
#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char *const told[TOP_ANSWERS] = {
    [TOP_HEALTH] =
        "{\"status\":\"degraded\",\"version\":\"1.0.0\",\"uptime_s\":7384.2,\"nodes\":{\"total\":3,\"up\":2},"
        "\"queue\":3,\"inflight\":4,\"totals\":{\"requests\":48211,\"errors\":57,\"tokens_in\":31400211,"
        "\"tokens_out\":8911204}}",
    [TOP_NODES] =
        "{\"nodes\":[{\"id\":\"gpu1\",\"url\":\"http://gpu1:11434\",\"kind\":\"ollama\",\"state\":\"up\",\"weight\":1,"
        "\"inflight\":2,\"slots\":4,\"simulated\":false,\"version\":\"0.12.6\",\"breaker\":\"closed\",\"labels\":\"\","
        "\"requests\":30000,\"errors\":7,\"last_error\":null,\"models\":["
        "{\"name\":\"llama3.2:latest\",\"loaded\":true,\"size\":2019393189,\"size_vram\":2019393189,\"slots\":4,"
        "\"inflight\":2,\"prefill_tps\":2000,\"decode_tps\":85.3,\"breaker\":\"closed\"},"
        "{\"name\":\"qwen3:8b\",\"loaded\":false,\"size\":5225388164,\"size_vram\":0}]},"
        "{\"id\":\"gpu2\",\"url\":\"http://"
        "gpu2:11434\",\"kind\":\"ollama\",\"state\":\"up\",\"weight\":2,\"inflight\":1,"
        "\"slots\":null,\"version\":\"0.12.6\",\"breaker\":\"trial\",\"requests\":18000,\"errors\":0,\"models\":["
        "{\"name\":\"qwen3:8b\",\"loaded\":true,\"size\":5225388164,\"size_vram\":5225388164,\"slots\":1,\"inflight\":"
        "1,"
        "\"decode_tps\":40,\"breaker\":\"closed\"}]},"
        "{\"id\":\"gpu3\",\"url\":\"http://"
        "gpu3:11434\",\"state\":\"down\",\"inflight\":0,\"requests\":211,\"errors\":50,"
        "\"breaker\":\"open\",\"last_error\":{\"code\":\"connect_refused\",\"text\":\"connection "
        "refused\"},\"models\":[]}]}",
    [TOP_HISTORY] =
        "{\"step_s\":1,\"t0\":1,\"series\":{\"requests_per_s\":[null,1,2,4,8,6],\"tokens_out_per_s\":[0,0,90,"
        "180,170,160.5],\"ttft_p95_ms\":[null,null,410,420,null,null],\"inflight\":[0,1,2,3,4,4],"
        "\"node_tokens_per_s:gpu1\":[80,83],\"node_ttft_p95_ms:gpu1\":[412,null]}}",
    [TOP_REQUESTS] =
        "{\"requests\":[{\"id\":\"b2\",\"at\":\"2026-11-23T13:27:46.1Z\",\"method\":\"POST\",\"route\":\"/api/chat\","
        "\"model\":\"qwen3:8b\",\"node\":\"gpu2\",\"status\":502,\"code\":\"upstream_reset\",\"sentence\":\"the node "
        "broke "
        "off\",\"tokens_out\":null,\"cache\":\"miss\",\"stages\":{\"total_ms\":1200,\"queued_ms\":300,\"first_ms\":"
        "null},"
        "\"decision\":{\"policy\":\"eta\",\"terms\":{\"slot\":0.5,\"load\":0},\"next\":{\"node\":\"gpu1\",\"eta_s\":1."
        "5}},\"tries\":2,\"attempts\":[{\"node\":"
        "\"gpu3\","
        "\"start_ms\":0,\"end_ms\":12,\"outcome\":\"connect_refused\"},{\"node\":\"gpu2\",\"start_ms\":12,\"end_ms\":"
        "1200,"
        "\"outcome\":\"upstream_reset\",\"status\":200}]},"
        "{\"id\":\"a1\",\"at\":\"2026-11-23T13:27:45.23Z\",\"method\":\"POST\",\"route\":\"/api/generate\",\"model\":"
        "\"llama3.2\",\"node\":\"gpu1\",\"status\":200,\"code\":\"\",\"tokens_out\":23,\"cache\":\"bypass\",\"stages\":"
        "{"
        "\"total_ms\":270.8,\"queued_ms\":0,\"first_ms\":90},\"tries\":1}]}",
    [TOP_QUEUE] =
        "{\"models\":[{\"model\":\"qwen3:8b\",\"waiting\":[{\"waited_ms\":4100,\"eta_ms\":200},{\"waited_ms\":900,"
        "\"eta_ms\":900},{\"waited_ms\":20,\"eta_ms\":61000}]}]}",
    [TOP_ALERTS] = "{\"alerts\":[{\"name\":\"node_down\",\"state\":\"firing\",\"severity\":\"critical\",\"since\":"
                   "\"2026-11-23T13:20:00Z\",\"value\":1,\"threshold\":0.5,\"message\":\"node gpu3 is down: connection "
                   "refused; see that Ollama runs there and can be reached from here, or remove the node\",\"labels\":{"
                   "\"node\":\"gpu3\"}}],\"silences\":[]}",
    [TOP_CACHE] = "{\"enabled\":true,\"entries\":4213,\"hit_ratio\":0.29,\"saved_gpu_s\":5423}",
    [TOP_MEMORY] = "{\"rss\":39845888,\"limit\":2147483648}",
};

static struct top_answers answers;
static struct top_state state;
static struct top_view view;
static struct text picture;

static void tell(enum top_answer which, const char *json)
{
    buf_free(&answers.body[which]);
    assert_int_equal(buf_append(&answers.body[which], str_of(json)), OK);
}

static int begin(void **unused)
{
    for (int i = 0; i < TOP_ANSWERS; i++)
        tell((enum top_answer)i, told[i]);
    top_state_read(&state, &answers);
    top_view_init(&view);
    view.url = "http://gate:13100";
    return 0;
}

static int end(void **unused)
{
    top_view_done(&view);
    top_state_done(&state);
    top_answers_free(&answers);
    text_free(&picture);
    picture = (struct text){ 0 };
    return 0;
}

static void draw(unsigned columns, unsigned rows)
{
    view.paper.width = columns;
    view.rows = rows;
    text_free(&picture);
    picture = (struct text){ 0 };
    top_view_draw(&view, &state, &picture);
    assert_int_equal(picture.failed, OK);
}

static bool says(const char *part)
{
    return str_find(text_str(&picture), str_of(part)) >= 0;
}

static void expect_picture(const char *want)
{
    struct str got = text_str(&picture);
    if (!str_eq(got, str_of(want))) {
        printf("wanted:\n%s\ngot:\n%.*s\nend\n", want, STR_ARG(got));
        fail();
    }
}

static void press(const char *keys)
{
    for (; *keys; keys++)
        assert_true(top_view_key(&view, &state, *keys));
}

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

#include "cli/top_pictures.h"

static void draws_the_fleet(void **unused)
{
    draw(100, 30);
    expect_picture(picture_wide);
}

static void draws_in_forty_columns_of_ascii(void **unused)
{
    view.paper.ascii = true;
    draw(40, 16);
    expect_picture(picture_narrow);
}

static void draws_the_road_of_a_request(void **unused)
{
    press("3");
    assert_true(top_view_key(&view, &state, KEY_ENTER));
    draw(80, 30);
    expect_picture(picture_road);
}

static void draws_a_node_with_its_models(void **unused)
{
    assert_true(top_view_key(&view, &state, KEY_ENTER));
    draw(80, 30);
    expect_picture(picture_node);
}

static void prints_for_scripts(void **unused)
{
    struct top_paper paper = { 0 };
    top_view_print(&state, &paper, &picture);
    expect_picture(picture_once);
}

/* ---- any size ---------------------------------------------------------------------------------------------------- */

static unsigned columns_of(struct str line)
{
    unsigned n = 0;
    for (size_t i = 0; i < line.n; i++)
        n += ((unsigned char)line.p[i] & 0xc0) != 0x80;
    return n;
}

static void fits_into_every_size(void **unused)
{
    static const char keys[] = "12345h";
    for (const char *k = keys; *k; k++)
        for (unsigned inside = 0; inside < 2; inside++) {
            press((char[]){ *k, 0 });
            if (inside)
                top_view_key(&view, &state, KEY_ENTER);
            for (unsigned rows = 1; rows < 40; rows += 3)
                for (unsigned columns = 30; columns < 160; columns += 7) {
                    draw(columns, rows);
                    struct str left = text_str(&picture);
                    unsigned lines = 1;
                    for (size_t i = 0; i < left.n; i++)
                        lines += left.p[i] == '\n';
                    assert_int_equal(lines, rows);
                    while (left.n && *k != 'h')
                        assert_true(columns_of(str_cut(&left, '\n')) <= columns);
                }
        }
}

static void colours_only_when_wanted(void **unused)
{
    draw(100, 30);
    assert_false(says("\033"));
    view.paper.colours = true;
    draw(100, 30);
    assert_true(says("\033[31m") && says("\033[7m"));
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static void sorts(void **unused)
{
    press("ssssss"); /* by REQS */
    struct arena a;
    arena_init(&a);
    struct top_table t = top_page_table(&a, &state, &view, PAGE_NODES);
    assert_true(str_eq(t.row[0].id, STR("gpu1")) && str_eq(t.row[2].id, STR("gpu3")));
    press("r");
    t = top_page_table(&a, &state, &view, PAGE_NODES);
    assert_true(str_eq(t.row[0].id, STR("gpu3")));
    arena_done(&a);
}

static void what_is_not_known_comes_last(void **unused)
{
    press("ssssr"); /* by TOK/S, rising, then falling again */
    press("r");
    struct arena a;
    arena_init(&a);
    struct top_table t = top_page_table(&a, &state, &view, PAGE_NODES);
    assert_true(str_eq(t.row[0].id, STR("gpu1")));
    arena_done(&a);
}

static void filters(void **unused)
{
    press("/GPU3");
    top_view_key(&view, &state, KEY_ENTER);
    draw(100, 30);
    assert_true(says("Nodes (1) with \"GPU3\"") && says(">gpu3"));
    press("/x");
    top_view_key(&view, &state, KEY_ERASE);
    top_view_key(&view, &state, KEY_ERASE);
    draw(100, 30);
    assert_true(says("/GPU_"));
    top_view_key(&view, &state, KEY_BACK);
    draw(100, 30);
    assert_true(says("Nodes (3)"));
}

static void q_types_in_a_filter_and_leaves_elsewhere(void **unused)
{
    press("/q");
    assert_string_equal(view.filter, "q");
    top_view_key(&view, &state, KEY_BACK);
    assert_false(top_view_key(&view, &state, 'q'));
}

static void the_chosen_row_stays_chosen_when_others_come(void **unused)
{
    top_view_key(&view, &state, KEY_DOWN);
    assert_string_equal(view.of[PAGE_NODES].chosen, "gpu2");
    press("s"); /* by name, then the other way round */
    press("r");
    draw(100, 30);
    assert_true(says(">gpu2"));
    top_view_key(&view, &state, KEY_END);
    assert_string_equal(view.of[PAGE_NODES].chosen, "gpu1");
    top_view_key(&view, &state, KEY_DOWN);
    assert_string_equal(view.of[PAGE_NODES].chosen, "gpu1");
}

static void a_request_that_has_gone_is_still_shown(void **unused)
{
    press("3");
    top_view_key(&view, &state, KEY_ENTER);
    top_state_done(&state);
    tell(TOP_REQUESTS, "{\"requests\":[]}");
    top_state_read(&state, &answers);
    draw(80, 24);
    assert_true(says("upstream_reset"));
}

static void an_alert_says_all_it_has_to_say(void **unused)
{
    press("5");
    top_view_key(&view, &state, KEY_ENTER);
    draw(60, 30);
    assert_true(says("  node gpu3 is down: connection refused; see that Ollama\n  runs there and can be reached from "
                     "here, or remove the\n"
                     "  node\n"));
    top_view_key(&view, &state, KEY_BACK);
    draw(60, 30);
    assert_true(says("Alerts (1)"));
}

/* ---- trouble ----------------------------------------------------------------------------------------------------- */

static void says_that_it_is_stale(void **unused)
{
    view.trouble = "no gateway answers: connection refused";
    view.stale_s = 7.2;
    draw(100, 24);
    assert_true(says("no gateway answers: connection refused; this is 7 s old, trying again"));
    assert_true(says("gpu1")); /* what was seen last */
}

static void nothing_known_yet(void **unused)
{
    struct top_answers none = { 0 };
    top_state_done(&state);
    top_state_read(&state, &none);
    view.trouble = "asking";
    draw(80, 10);
    assert_true(says("http://gate:13100") && says("asking; trying again") == true);
    for (const char *k = "12345sjr/"; *k; k++)
        top_view_key(&view, &state, *k);
    draw(80, 10);
}

static void answers_that_are_nonsense_do_no_harm(void **unused)
{
    static const char *const nonsense[] = { "",
                                            "null",
                                            "[]",
                                            "{\"nodes\":7,\"models\":{}}",
                                            "{\"nodes\":[1,null,{}]}",
                                            "{\"series\":{\"requests_per_s\":\"x\",\"node_tokens_per_s:\":[1]}}",
                                            "{\"requests\":[{}],\"alerts\":[{}],\"models\":[{\"waiting\":[{}]}]" };
    for (size_t n = 0; n < ARRAY_LEN(nonsense); n++) {
        top_state_done(&state);
        for (int i = 0; i < TOP_ANSWERS; i++)
            tell((enum top_answer)i, nonsense[n]);
        top_state_read(&state, &answers);
        for (const char *k = "12345"; *k; k++) {
            top_view_key(&view, &state, *k);
            top_view_key(&view, &state, KEY_ENTER);
            draw(80, 24);
            top_view_key(&view, &state, KEY_BACK);
            draw(80, 24);
        }
    }
}

static void a_name_cannot_steer_the_terminal(void **unused)
{
    top_state_done(&state);
    tell(TOP_NODES, "{\"nodes\":[{\"id\":\"\\u001b]0;owned\\u0007\",\"state\":\"up\",\"models\":[]}]}");
    top_state_read(&state, &answers);
    draw(100, 24);
    assert_true(says("?]0;owned?"));
    assert_false(says("\033") || says("\007"));
}

#define test(f) cmocka_unit_test_setup_teardown(f, begin, end)
int main(void)
{
    const struct CMUnitTest tests[] = {
        test(draws_the_fleet),
        test(draws_in_forty_columns_of_ascii),
        test(draws_the_road_of_a_request),
        test(draws_a_node_with_its_models),
        test(prints_for_scripts),
        test(fits_into_every_size),
        test(colours_only_when_wanted),
        test(sorts),
        test(what_is_not_known_comes_last),
        test(filters),
        test(q_types_in_a_filter_and_leaves_elsewhere),
        test(the_chosen_row_stays_chosen_when_others_come),
        test(a_request_that_has_gone_is_still_shown),
        test(an_alert_says_all_it_has_to_say),
        test(says_that_it_is_stale),
        test(nothing_known_yet),
        test(answers_that_are_nonsense_do_no_harm),
        test(a_name_cannot_steer_the_terminal),
    };
    arena_pools_init();
    buf_pools_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_pools_done();
    arena_pools_done();
    return failed;
}
