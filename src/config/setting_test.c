#include "config/config_fixture.h"

static void a_key_has_three_spellings(void **state)
{
    char flag[SETTING_NAME_ROOM], variable[SETTING_NAME_ROOM];
    const struct setting *s = setting_named(STR("timeouts.first_byte"));
    assert_int_equal(s->id, SETTING_timeouts_first_byte);
    setting_flag(s, flag);
    assert_true(setting_variable(s, 0, variable));
    assert_string_equal(flag, "--timeouts-first-byte");
    assert_string_equal(variable, "OLLAMAMAX_TIMEOUTS_FIRST_BYTE");
    assert_false(setting_variable(s, 1, variable));
    assert_ptr_equal(setting_of_flag(STR("timeouts-first-byte")), s);
    assert_null(setting_of_flag(STR("timeouts.first_byte")));
    assert_null(setting_of_flag(STR("timeouts-first-byt")));
    assert_null(setting_of_flag(STR("timeouts-first-bytes")));
}

static void some_have_other_names(void **state)
{
    char name[SETTING_NAME_ROOM];
    assert_ptr_equal(setting_named(STR("balance.policy")), setting_named(STR("policy")));
    assert_ptr_equal(setting_of_flag(STR("node")), setting_named(STR("nodes")));
    setting_flag(setting_named(STR("nodes")), name);
    assert_string_equal(name, "--node");
    assert_true(setting_variable(setting_named(STR("nodes")), 1, name));
    assert_string_equal(name, "OLLAMAMAX_NODE");
    setting_flag(setting_named(STR("policy")), name);
    assert_string_equal(name, "--policy");
}

static void groups_are_known(void **state)
{
    assert_true(setting_is_group(STR("timeouts")));
    assert_true(setting_is_group(STR("balance")));
    assert_false(setting_is_group(STR("timeout")));
    assert_false(setting_is_group(STR("policy")));
    assert_null(setting_named(STR("timeouts")));
}

/* A row with a default that its own type refuses, or two rows of one name, is a mistake in the table. */
static void every_row_is_sound(void **state)
{
    struct config *c = fixture_load_words((char *[]){ NULL }, false);
    expect_good(c);
    config_free(&c);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        assert_int_equal(settings[i].id, i);
        assert_true(strlen(settings[i].help) > 5);
        assert_ptr_equal(setting_named(str_of(settings[i].key)), &settings[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_has_three_spellings),
        cmocka_unit_test(some_have_other_names),
        cmocka_unit_test(groups_are_known),
        cmocka_unit_test(every_row_is_sound),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
