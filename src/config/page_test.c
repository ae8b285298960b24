/* The page in docs/ is made from the table; its path is the test's first argument. */
#include "config/config_fixture.h"

static const char *page_path;

static void the_page_is_of_this_table(void **state)
{
    struct text made = { 0 };
    struct buf kept = { 0 };
    settings_page(&made);
    assert_int_equal(sys_read_file(page_path, MIB(1), &kept), OK);
    if (!str_eq(text_str(&made), buf_str(&kept)))
        fail_msg("docs/settings.md is not of this table; make it anew: build/ollamamax settings >docs/settings.md");
    buf_free(&kept);
    text_free(&made);
}

static void help_names_every_flag_within_the_width(void **state)
{
    struct text t = { 0 };
    char flag[SETTING_NAME_ROOM];
    settings_help(&t);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        setting_flag(&settings[i], flag);
        assert_true(str_find(text_str(&t), str_of(flag)) > 0);
    }
    for (struct str rest = text_str(&t); rest.n;)
        assert_true(str_cut(&rest, '\n').n <= 120);
    text_free(&t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_of_this_table),
        cmocka_unit_test(help_names_every_flag_within_the_width),
    };
    page_path = argv[1];
    return argc == 2 ? cmocka_run_group_tests(tests, fixture_begin, fixture_end) : 2;
}
