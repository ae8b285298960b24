#include "base/log.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/slab.h"
#include "base/stamp.h"
#include "base/sys.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/ollamamax_log_XXXXXX";
static char path[64], moved[64];

static int begin(void **state)
{
    buf_pools_init();
    arena_pools_init();
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/log", directory);
    snprintf(moved, sizeof moved, "%s/log.1", directory);
    return 0;
}

static int end(void **state)
{
    log_configure(LOG_INFO, false, NULL);
    remove(path);
    remove(moved);
    arena_pools_done();
    buf_pools_done();
    return rmdir(directory);
}

static int each_begin(void **state)
{
    remove(path);
    remove(moved);
    return 0;
}

/* The content of a file; the caller frees. */
static struct buf read_back(const char *file)
{
    struct buf b = { 0 };
    assert_int_equal(sys_read_file(file, MIB(16), &b), OK);
    return b;
}

static void text_lines_begin_with_their_moment(void **state)
{
    nsec before = sys_wall(), wall;
    log_configure(LOG_INFO, false, path);
    log_info("node %s is %d ms away", "n1", 12);
    struct buf b = read_back(path);
    struct str line = buf_str(&b);
    assert_true(stamp_parse(str_cut(&line, ' '), &wall));
    assert_true(wall >= before && wall <= sys_wall());
    assert_true(str_eq(line, STR("INFO  node n1 is 12 ms away\n")));
    buf_free(&b);
}

static void levels_filter(void **state)
{
    log_configure(LOG_WARN, false, path);
    assert_false(log_wants(LOG_INFO));
    log_debug("no");
    log_info("no");
    log_warn("yes");
    log_error("also");
    struct buf b = read_back(path);
    assert_int_equal(str_find(buf_str(&b), STR("no\n")), -1);
    assert_true(str_find(buf_str(&b), STR("WARN  yes\n")) > 0);
    assert_true(str_find(buf_str(&b), STR("ERROR also\n")) > 0);
    buf_free(&b);
}

static void strangers_cannot_write_lines(void **state)
{
    log_configure(LOG_INFO, false, path);
    log_info("header %s", "x\r\n2026-01-01T00:00:00Z ERROR forged\x1b[2J");
    struct buf b = read_back(path);
    assert_int_equal(str_chr(buf_str(&b), '\n'), (ssize_t)buf_len(&b) - 1);
    assert_int_equal(str_chr(buf_str(&b), 0x1b), -1);
    buf_free(&b);
}

static void json_lines_are_json(void **state)
{
    struct arena a;
    nsec wall;
    arena_init(&a);
    log_configure(LOG_INFO, true, path);
    log_error("said \"%s\"", "a\nb\x01\\");
    struct buf b = read_back(path);
    struct json line = json_parse(buf_str(&b), NULL);
    assert_int_equal(line.kind, JSON_OBJECT);
    assert_true(stamp_parse(json_text(&a, json_get(line, STR("time"))), &wall));
    assert_true(str_eq(json_text(&a, json_get(line, STR("level"))), STR("error")));
    assert_true(str_eq(json_text(&a, json_get(line, STR("message"))), STR("said \"a\nb\x01\\\"")));
    assert_int_equal(str_chr(buf_str(&b), '\n'), (ssize_t)buf_len(&b) - 1);
    buf_free(&b);
    arena_done(&a);
}

/* The worst message: every byte needs six, and it is longer than may be. */
static void long_messages_are_cut(void **state)
{
    char message[9000];
    memset(message, 1, sizeof message - 1);
    message[sizeof message - 1] = 0;
    log_configure(LOG_INFO, true, path);
    memory_fail_at(0);
    log_info("%s", message);
    assert_int_equal(memory_takes(), 0);
    struct buf b = read_back(path);
    assert_in_range(buf_len(&b), 6 * 2000, 6 * 2000 + 200);
    assert_true(str_ends(buf_str(&b), STR("\\u0001\"}\n")));
    buf_free(&b);
}

static void reopening_follows_the_name(void **state)
{
    log_configure(LOG_INFO, false, path);
    log_info("before");
    assert_int_equal(rename(path, moved), 0);
    log_info("still there");
    log_reopen();
    log_info("after");
    struct buf old = read_back(moved), new = read_back(path);
    assert_true(str_ends(buf_str(&old), STR("still there\n")));
    assert_true(str_ends(buf_str(&new), STR("after\n")));
    assert_int_equal(str_find(buf_str(&new), STR("before")), -1);
    buf_free(&old);
    buf_free(&new);
}

static void a_file_that_cannot_be_opened_changes_nothing(void **state)
{
    log_configure(LOG_INFO, false, path);
    log_configure(LOG_INFO, false, "/nonexistent/directory/log");
    log_info("goes on");
    struct buf b = read_back(path);
    assert_true(str_find(buf_str(&b), STR("/nonexistent/directory/log cannot be opened")) > 0);
    assert_true(str_ends(buf_str(&b), STR("goes on\n")));
    buf_free(&b);
}

static void *write_many(void *name)
{
    for (int i = 0; i < 500; i++)
        log_info("%s says all of this in one piece", (const char *)name);
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    pthread_t threads[4];
    char *names[] = { "one", "two", "three", "four" };
    log_configure(LOG_INFO, false, path);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, write_many, names[i]);
    for (int i = 0; i < 4; i++) {
        log_reopen();
        pthread_join(threads[i], NULL);
    }
    struct buf b = read_back(path);
    int lines = 0;
    for (struct str rest = buf_str(&b); rest.n; lines++)
        assert_true(str_ends(str_cut(&rest, '\n'), STR(" says all of this in one piece")));
    assert_int_equal(lines, 2000);
    buf_free(&b);
}

#define ROW(test) cmocka_unit_test_setup(test, each_begin)
int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(text_lines_begin_with_their_moment),
        ROW(levels_filter),
        ROW(strangers_cannot_write_lines),
        ROW(json_lines_are_json),
        ROW(long_messages_are_cut),
        ROW(reopening_follows_the_name),
        ROW(a_file_that_cannot_be_opened_changes_nothing),
        ROW(lines_of_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
