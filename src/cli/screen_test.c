/* Keys out of what terminals send, in whatever pieces it comes. The terminal itself: cli/program_test.c. */
#include "cli/screen.h"
#include "cli/top_view.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void expect_keys(const char *bytes, bool over, const int *want, size_t left)
{
    struct str s = str_of(bytes);
    for (size_t before = 0; s.n && s.n != before;) {
        before = s.n;
        int key = screen_key(&s, over);
        if (key)
            assert_int_equal(key, *want++);
    }
    assert_int_equal(*want, 0);
    assert_int_equal(s.n, left);
}
#define keys(...) ((const int[]){ __VA_ARGS__, 0 })

static void knows_keys(void **unused)
{
    expect_keys("q\r\t", false, keys('q', KEY_ENTER, '\t'), 0);
    expect_keys("\033[A\033OB\033[5~\033[6~\033[H\033[4~", false,
                keys(KEY_UP, KEY_DOWN, KEY_PAGE_UP, KEY_PAGE_DOWN, KEY_HOME, KEY_END), 0);
    expect_keys("\177\b", false, keys(KEY_ERASE, KEY_ERASE), 0);
}

static void an_escape_alone_is_a_key_when_nothing_follows(void **unused)
{
    expect_keys("\033", false, keys(0), 1);
    expect_keys("\033", true, keys(KEY_BACK), 0);
    expect_keys("\033[", false, keys(0), 2);
    expect_keys("\033q", false, keys(KEY_BACK, 'q'), 0);
}

static void sequences_that_nobody_knows_are_let_pass(void **unused)
{
    expect_keys("\033[15;2~x\033[<0;3;4Mq", false, keys('x', 'q'), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_keys),
        cmocka_unit_test(an_escape_alone_is_a_key_when_nothing_follows),
        cmocka_unit_test(sequences_that_nobody_knows_are_let_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
