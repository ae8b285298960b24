/* Steps in order, undone in reverse order, without flutter. */
#include "base/pressure.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char heard[64];

static void take(struct pressure_measure *m, bool on)
{
    size_t n = strlen(heard);
    snprintf(heard + n, sizeof heard - n, "%s%c", m->name, on ? '+' : '-');
}

static struct pressure pressure;
static struct pressure_measure a, b, c, d;

static int set_up(void **state)
{
    log_configure(LOG_ERROR, false, NULL);
    heard[0] = 0;
    a = (struct pressure_measure){ .name = "a", .at = PRESSURE_FIRST, .take = take };
    b = (struct pressure_measure){ .name = "b", .at = PRESSURE_SECOND, .take = take };
    c = (struct pressure_measure){ .name = "c", .at = PRESSURE_SECOND, .take = take };
    d = (struct pressure_measure){ .name = "d", .at = PRESSURE_THIRD, .take = take };
    pressure_init(&pressure);
    pressure_register(&pressure, &d); /* the order of steps is not that of registration */
    pressure_register(&pressure, &b);
    pressure_register(&pressure, &c);
    pressure_register(&pressure, &a);
    return 0;
}

/* What is heard at a share of the limit. */
static const char *at(unsigned percent)
{
    heard[0] = 0;
    bool changed = pressure_look(&pressure, percent * 10, 1000);
    assert_int_equal(changed, heard[0] != 0);
    return heard;
}

static void steps_come_in_order_and_go_in_reverse(void **state)
{
    static const struct {
        unsigned percent;
        const char *heard, *name;
    } rows[] = {
        {50,   "",         "none"},
        { 74,  "",         "none"},
        { 75,  "a+",       "75"  },
        { 84,  "",         "75"  },
        { 85,  "b+c+",     "85"  },
        { 92,  "d+",       "92"  },
        { 120, "",         "92"  },
        { 82,  "",         "92"  },
        { 81,  "d-",       "85"  },
        { 92,  "d+",       "92"  },
        { 81,  "d-",       "85"  },
        { 74,  "c-b-",     "75"  },
        { 65,  "",         "75"  },
        { 64,  "a-",       "none"},
        { 99,  "a+b+c+d+", "92"  },
        { 10,  "d-c-b-a-", "none"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_string_equal(at(rows[i].percent), rows[i].heard);
        assert_string_equal(pressure_name(pressure_step(&pressure)), rows[i].name);
    }
}

static void who_registers_late_joins_in(void **state)
{
    struct pressure_measure late = { .name = "l", .at = PRESSURE_FIRST, .take = take },
                            early = { .name = "e", .at = PRESSURE_THIRD, .take = take };
    at(86);
    heard[0] = 0;
    pressure_register(&pressure, &late);
    pressure_register(&pressure, &early);
    assert_string_equal(heard, "l+");
    assert_string_equal(at(95), "d+e+");
    assert_string_equal(at(0), "e-d-c-b-l-a-");
}

static void no_limit_is_no_division_by_zero(void **state)
{
    assert_true(pressure_look(&pressure, 1, 0));
    assert_int_equal(pressure_step(&pressure), PRESSURE_THIRD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(steps_come_in_order_and_go_in_reverse, set_up),
        cmocka_unit_test_setup(who_registers_late_joins_in, set_up),
        cmocka_unit_test_setup(no_limit_is_no_division_by_zero, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
