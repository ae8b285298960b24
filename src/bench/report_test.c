/* Verdicts at their limits; the table and the JSON of a small report. */
#include "bench/report.h"

#include "base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct promise ratio = { "cpu", "CPU per request", "us", OF_RATIO_TO_HAPROXY, AT_MOST, 1.0, 0.9 };
static const struct promise itself = { "start", "start", "ms", OF_ITSELF, BELOW, 50, 0 };
static const struct promise at_least = { "gain", "faster by", "x", OF_ITSELF, AT_LEAST, 1.5, 2 };
static const struct promise nothing = { "p90", "added p90", "us", OF_NOTHING, AT_MOST, 0, 0 };

static struct row row_of(const struct promise *p, const double ours[3], const double haproxy[3])
{
    struct row r;

    row_init(&r, p);
    for (unsigned i = 0; i < 3; i++) {
        r.sample[WAY_OURS][i] = ours[i];
        if (haproxy)
            r.sample[WAY_HAPROXY][i] = haproxy[i];
    }
    return r;
}

static enum verdict_word word_of(const struct promise *p, const double ours[3], const double haproxy[3])
{
    struct row r = row_of(p, ours, haproxy);
    return row_verdict(&r, 3).word;
}

static void limits_count_as_kept_unless_below_is_asked(void **state)
{
    const double ten[] = { 10, 10, 10 };

    assert_int_equal(word_of(&ratio, (double[]){ 9, 9, 9 }, ten), VERDICT_AIM);
    assert_int_equal(word_of(&ratio, (double[]){ 9.1, 9.1, 9.1 }, ten), VERDICT_PASS);
    assert_int_equal(word_of(&ratio, ten, ten), VERDICT_PASS);
    assert_int_equal(word_of(&ratio, (double[]){ 10.1, 10.1, 10.1 }, ten), VERDICT_MISS);
    assert_int_equal(word_of(&itself, (double[]){ 49.9, 49.9, 49.9 }, NULL), VERDICT_PASS);
    assert_int_equal(word_of(&itself, (double[]){ 50, 50, 50 }, NULL), VERDICT_MISS);
    assert_int_equal(word_of(&at_least, (double[]){ 1.4, 1.4, 1.4 }, NULL), VERDICT_MISS);
    assert_int_equal(word_of(&at_least, (double[]){ 1.5, 1.5, 1.5 }, NULL), VERDICT_PASS);
    assert_int_equal(word_of(&at_least, (double[]){ 2, 2, 2 }, NULL), VERDICT_AIM);
}

static void without_a_peer_or_a_promise_there_is_no_verdict(void **state)
{
    assert_int_equal(word_of(&ratio, (double[]){ 1, 1, 1 }, NULL), VERDICT_NOT_RUN);
    assert_int_equal(word_of(&itself, (double[]){ NAN, NAN, NAN }, NULL), VERDICT_NOT_RUN);
    assert_int_equal(word_of(&nothing, (double[]){ 1, 1, 1 }, (double[]){ 1, 1, 1 }), VERDICT_NONE);
}

static void a_verdict_is_unsure_when_rounds_disagree(void **state)
{
    const double ten[] = { 10, 10, 10 };
    struct row sure = row_of(&ratio, (double[]){ 8, 9, 9.9 }, ten);
    struct row unsure = row_of(&ratio, (double[]){ 8, 9, 11 }, ten);

    assert_true(row_verdict(&sure, 3).sure);
    assert_false(row_verdict(&unsure, 3).sure);
    assert_int_equal(row_verdict(&unsure, 3).word, VERDICT_AIM);
}

/* Ours and HAProxy ran, nginx did not. */
static struct report small_report(struct row rows[2])
{
    struct report r = { .bench = "overhead", .rounds = 3, .rows = 2, .row = rows };

    rows[0] = row_of(&ratio, (double[]){ 8, 9, 11 }, (double[]){ 10, 10, 10 });
    rows[1] = row_of(&itself, (double[]){ 12.34, NAN, NAN }, NULL);
    strcpy(r.way[WAY_OURS].program, "/x/ollamamax");
    strcpy(r.way[WAY_HAPROXY].program, "/x/haproxy");
    strcpy(r.way[WAY_HAPROXY].version, "2.6.12");
    report_fact(&r, "rate", "%d/s", 42);
    return r;
}

static bool has(struct str text, const char *what)
{
    return str_find(text, str_of(what)) >= 0;
}

static void the_table_shows_medians_ratios_promises_and_verdicts(void **state)
{
    struct row rows[2];
    struct report r = small_report(rows);
    struct text t = { 0 };

    report_table(&r, &t);
    assert_int_equal(t.failed, OK);
    assert_true(has(text_str(&t), "bench overhead: rate 42/s"));
    assert_true(has(text_str(&t), "haproxy 2.6.12"));
    assert_false(has(text_str(&t), "nginx"));
    assert_true(has(text_str(&t), "9.00 (8.00..11.0)"));
    assert_true(has(text_str(&t), "0.90 (0.80..1.10)"));
    assert_true(has(text_str(&t), "<= 1.00, aim 0.90"));
    assert_true(has(text_str(&t), "aim ~\n"));
    assert_true(has(text_str(&t), "12.3 "));
    assert_true(has(text_str(&t), "< 50.0            pass\n"));
    text_free(&t);
}

static void what_is_measured_alone_has_one_column_and_its_own_note(void **state)
{
    struct row row = row_of(&at_least, (double[]){ 2, 3, 4 }, NULL);
    struct report r = { .bench = "cache", .rounds = 3, .rows = 1, .row = &row, .alone = true, .note = "All alone." };
    struct text t = { 0 };

    report_table(&r, &t);
    assert_true(has(text_str(&t), "3.00 (2.00..4.00)"));
    assert_true(has(text_str(&t), ">= 1.50, aim 2.00 aim\n"));
    assert_true(has(text_str(&t), "All alone."));
    assert_false(has(text_str(&t), "direct"));
    text_free(&t);
}

static double number_at(struct json object, struct str key, struct str inner)
{
    double v = NAN;
    assert_true(json_f64(json_get(json_get(object, key), inner), &v));
    return v;
}

static void the_json_says_the_same(void **state)
{
    struct row rows[2];
    struct report r = small_report(rows);
    struct text t = { 0 };

    report_json(&r, &t);
    struct json whole = json_parse(text_str(&t), NULL);
    assert_int_equal(whole.kind, JSON_OBJECT);
    assert_true(str_eq(json_get(json_get(whole, STR("facts")), STR("rate")).raw, STR("\"42/s\"")));
    struct json_walk w = json_walk(json_get(whole, STR("rows")));
    assert_true(json_next(&w));
    assert_float_equal(number_at(w.value, STR("ollamamax"), STR("median")), 9, 1e-9);
    assert_float_equal(number_at(w.value, STR("haproxy"), STR("high")), 10, 1e-9);
    assert_float_equal(number_at(w.value, STR("ratio_to_haproxy"), STR("low")), 0.8, 1e-9);
    assert_true(str_eq(json_get(w.value, STR("verdict")).raw, STR("\"aim\"")));
    assert_int_equal(json_get(w.value, STR("sure")).kind, JSON_FALSE);
    assert_int_equal(json_get(w.value, STR("nginx")).kind, JSON_BAD);
    assert_true(json_next(&w));
    assert_true(has(json_get(w.value, STR("ollamamax")).raw, "\"rounds\":[12.34,null,null]"));
    assert_false(json_next(&w));
    text_free(&t);
}

static int begin(void **state)
{
    buf_pools_init();
    return 0;
}

static int end(void **state)
{
    buf_pools_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_count_as_kept_unless_below_is_asked),
        cmocka_unit_test(without_a_peer_or_a_promise_there_is_no_verdict),
        cmocka_unit_test(a_verdict_is_unsure_when_rounds_disagree),
        cmocka_unit_test(the_table_shows_medians_ratios_promises_and_verdicts),
        cmocka_unit_test(what_is_measured_alone_has_one_column_and_its_own_note),
        cmocka_unit_test(the_json_says_the_same),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
