#include "observe/meter_fixture.h"
#include "observe/pace.h"

static struct meter *meters[2];
static struct pace *pace;
static double rate;
static unsigned pairs;

static int each_begin(void **state)
{
    for (int i = 0; i < 2; i++)
        meters[i] = meter_new();
    pace = pace_new();
    return meters[0] && meters[1] && pace ? 0 : -1;
}

static int each_end(void **state)
{
    for (int i = 0; i < 2; i++)
        meter_free(&meters[i]);
    pace_free(&pace);
    return 0;
}

static void wrote(int meter, const char *model, const char *node, int tokens)
{
    struct record r = chat_record(model, node);
    r.tokens_out = tokens;
    meter_record(meters[meter], &r);
}

static void visit(struct str model, struct str node, double tokens_per_s, void *arg)
{
    pairs++;
    if (str_eq(model, STR("m")) && str_eq(node, STR("n1")))
        rate = tokens_per_s;
}

static double rate_of_m_on_n1(void)
{
    rate = pairs = 0;
    pace_each(pace, visit, NULL);
    return rate;
}

static void sample(int64_t second)
{
    pace_sample(pace, second, meters, 2);
}

static void what_was_before_the_first_look_counts_for_nothing(void **state)
{
    wrote(0, "m", "n1", 5000);
    assert_true(rate_of_m_on_n1() == 0);
    sample(1);
    assert_true(rate_of_m_on_n1() == 0 && pairs == 0);
    sample(2);
    assert_true(rate_of_m_on_n1() == 0 && pairs == 0);
}

static void all_workers_count_and_each_pair_for_itself(void **state)
{
    sample(1);
    wrote(0, "m", "n1", 30);
    wrote(1, "m", "n1", 10);
    wrote(1, "m", "n2", 500);
    sample(2);
    assert_true(rate_of_m_on_n1() == 40 && pairs == 2);
    sample(3);
    assert_true(rate_of_m_on_n1() == 20);
}

static void after_ten_seconds_it_is_over(void **state)
{
    sample(1);
    wrote(0, "m", "n1", 100);
    for (int i = 2; i <= 11; i++)
        sample(i);
    assert_true(rate_of_m_on_n1() == 10);
    sample(12);
    assert_true(rate_of_m_on_n1() == 0 && pairs == 0);
}

static void after_a_gap_it_begins_anew(void **state)
{
    sample(1);
    wrote(0, "m", "n1", 100);
    sample(7);
    assert_true(rate_of_m_on_n1() == 0);
    wrote(0, "m", "n1", 7);
    sample(8);
    assert_true(rate_of_m_on_n1() == 7);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, each_begin, each_end)
    const struct CMUnitTest tests[] = {
        CASE(what_was_before_the_first_look_counts_for_nothing),
        CASE(all_workers_count_and_each_pair_for_itself),
        CASE(after_ten_seconds_it_is_over),
        CASE(after_a_gap_it_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
