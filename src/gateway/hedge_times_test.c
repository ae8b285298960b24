/* When an embedding counts as late. */
#include "gateway/hedge.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void says_nothing_of_few(void **unused)
{
    struct hedge_times t = { 0 };
    for (unsigned i = 0; i < 19; i++)
        hedge_learn(&t, 7, MSEC(1));
    assert_int_equal(hedge_expected(&t, 7), 0);
    hedge_learn(&t, 7, MSEC(1));
    assert_int_equal(hedge_expected(&t, 7), MSEC(1));
    assert_int_equal(hedge_expected(&t, 8), 0);
}

static void five_of_a_hundred_exceed_it(void **unused)
{
    struct hedge_times t = { 0 };
    for (unsigned i = 1; i <= 20; i++)
        hedge_learn(&t, 7, MSEC(i));
    assert_int_equal(hedge_expected(&t, 7), MSEC(19));
}

static void the_last_ones_count(void **unused)
{
    struct hedge_times t = { 0 };
    for (unsigned i = 0; i < HEDGE_TIMES; i++)
        hedge_learn(&t, 7, SECOND(9));
    for (unsigned i = 0; i < HEDGE_TIMES; i++)
        hedge_learn(&t, 7, MSEC(2));
    assert_int_equal(hedge_expected(&t, 7), MSEC(2));
}

static void a_place_goes_to_who_is_asked_now(void **unused)
{
    struct hedge_times t = { 0 };
    for (unsigned i = 0; i < 20; i++)
        hedge_learn(&t, 7, MSEC(1));
    hedge_learn(&t, 7 + HEDGE_MODELS, MSEC(1));
    assert_int_equal(hedge_expected(&t, 7), 0);
    assert_int_equal(hedge_expected(&t, 7 + HEDGE_MODELS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_nothing_of_few),
        cmocka_unit_test(five_of_a_hundred_exceed_it),
        cmocka_unit_test(the_last_ones_count),
        cmocka_unit_test(a_place_goes_to_who_is_asked_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
