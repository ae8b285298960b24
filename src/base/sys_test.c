#include "base/sys.h"

#include "base/slab.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/ollamamax_sys_XXXXXX";
static char path[64], missing[64];

static int begin(void **state)
{
    buf_pools_init();
    if (!mkdtemp(directory))
        return -1;
    snprintf(path, sizeof path, "%s/file", directory);
    snprintf(missing, sizeof missing, "%s/no/file", directory);
    return 0;
}

/* rmdir fails, and the test with it, if a temporary file was left behind. */
static int end(void **state)
{
    remove(path);
    buf_pools_done();
    return rmdir(directory);
}

static void clocks_advance(void **state)
{
    nsec now = sys_now();
    usleep(1000);
    assert_true(sys_now() - now >= USEC(1000));
    assert_true(sys_wall() > SECOND(1600000000));
}

static void *worker_of_new_thread(void *arg)
{
    *(unsigned *)arg = sys_worker_no();
    return NULL;
}

static void worker_numbers_are_per_thread(void **state)
{
    pthread_t thread;
    unsigned other = 0;
    assert_int_equal(sys_worker_no(), SYS_NO_WORKER);
    sys_set_worker_no(3);
    assert_int_equal(sys_worker_no(), 3);
    pthread_create(&thread, NULL, worker_of_new_thread, &other);
    pthread_join(thread, NULL);
    assert_int_equal(other, SYS_NO_WORKER);
    sys_set_worker_no(SYS_NO_WORKER);
}

/* 4,000 draws of 64 bits: each bit is set in about half of them, and none comes twice in a row. */
static void chance_is_even(void **state)
{
    static const unsigned workers[] = { 0, SYS_NO_WORKER };
    for (size_t w = 0; w < ARRAY_LEN(workers); w++) {
        unsigned set[64] = { 0 };
        uint64_t before = 0;
        sys_set_worker_no(workers[w]);
        for (int i = 0; i < 4000; i++) {
            uint64_t v = sys_random_u64();
            assert_true(v != before);
            before = v;
            for (int bit = 0; bit < 64; bit++)
                set[bit] += v >> bit & 1;
        }
        for (int bit = 0; bit < 64; bit++)
            assert_in_range(set[bit], 1700, 2300); /* 9 standard deviations */
    }
    sys_set_worker_no(SYS_NO_WORKER);
}

static void chance_fills_every_length(void **state)
{
    sys_set_worker_no(0);
    for (size_t n = 0; n < 600; n++) {
        unsigned char bytes[600] = { 0 }, seen[600] = { 0 };
        for (int round = 0; round < 8; round++) {
            sys_random(bytes, n);
            for (size_t i = 0; i < sizeof bytes; i++)
                seen[i] |= bytes[i];
        }
        for (size_t i = 0; i < sizeof seen; i++)
            assert_true(i < n ? seen[i] : !seen[i]);
    }
    sys_set_worker_no(SYS_NO_WORKER);
}

static void a_forked_child_draws_its_own(void **state)
{
    int fds[2];
    uint64_t of_child = 0;
    sys_set_worker_no(0);
    (void)sys_random_u64();
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    if (child == 0) {
        uint64_t mine = sys_random_u64();
        _exit(write(fds[1], &mine, sizeof mine) != sizeof mine);
    }
    assert_int_equal(read(fds[0], &of_child, sizeof of_child), sizeof of_child);
    assert_true(sys_random_u64() != of_child);
    waitpid(child, NULL, 0);
    close(fds[0]);
    close(fds[1]);
    sys_set_worker_no(SYS_NO_WORKER);
}

static void files_are_replaced_whole(void **state)
{
    struct buf b = { 0 };
    struct stat st;
    assert_int_equal(sys_write_file(path, STR("first")), OK);
    stat(path, &st);
    assert_int_equal(st.st_mode & 0777, 0600);
    chmod(path, 0644);
    assert_int_equal(sys_write_file(path, STR("second")), OK);
    stat(path, &st);
    assert_int_equal(st.st_mode & 0777, 0644);
    buf_append(&b, STR("> "));
    assert_int_equal(sys_read_file(path, 6, &b), OK);
    assert_true(str_eq(buf_str(&b), STR("> second")));
    buf_free(&b);
}

static void reading_has_a_limit(void **state)
{
    struct buf b = { 0 };
    sys_write_file(path, STR("123456"));
    buf_append(&b, STR("kept"));
    assert_int_equal(sys_read_file(path, 5, &b), FAIL_body_too_large);
    assert_true(str_eq(buf_str(&b), STR("kept")));
    buf_free(&b);
}

static void large_files_come_whole(void **state)
{
    struct buf whole = { 0 }, back = { 0 };
    for (unsigned i = 0; i < 40000; i++)
        buf_append(&whole, (struct str){ (char *)&i, sizeof i });
    assert_int_equal(sys_write_file(path, buf_str(&whole)), OK);
    assert_int_equal(sys_read_file(path, MIB(1), &back), OK);
    assert_true(str_eq(buf_str(&back), buf_str(&whole)));
    buf_free(&whole);
    buf_free(&back);
}

static void trouble_is_told(void **state)
{
    struct buf b = { 0 };
    char long_path[5000];
    memset(long_path, 'x', sizeof long_path);
    long_path[sizeof long_path - 1] = 0;
    assert_int_equal(sys_read_file(missing, 10, &b), FAIL_io_error);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(sys_read_file(directory, 10, &b), FAIL_io_error);
    assert_int_equal(errno, EISDIR);
    assert_int_equal(sys_write_file(missing, STR("x")), FAIL_io_error);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(sys_write_file(directory, STR("x")), FAIL_io_error); /* a file cannot replace a directory */
    assert_int_equal(sys_write_file(long_path, STR("x")), FAIL_io_error);
    assert_int_equal(sys_open_append(missing), -1);
    buf_free(&b);
    sys_write_file(path, STR("x"));
    memory_fail_at(1);
    assert_int_equal(sys_read_file(path, 10, &b), FAIL_no_memory);
    memory_fail_at(0);
    buf_free(&b);
}

static void appending_adds(void **state)
{
    struct buf b = { 0 };
    remove(path);
    for (int i = 0; i < 2; i++) {
        int fd = sys_open_append(path);
        assert_true(fd > 2);
        assert_int_equal(sys_append(fd, STR("line\n")), OK);
        sys_close_file(fd);
        assert_int_equal(sys_append(fd, STR("line\n")), FAIL_io_error);
    }
    sys_read_file(path, 100, &b);
    assert_true(str_eq(buf_str(&b), STR("line\nline\n")));
    buf_free(&b);
}

static void the_machine_is_plausible(void **state)
{
    size_t machine = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    struct rlimit limit;
    assert_in_range(sys_cores(), 1, sysconf(_SC_NPROCESSORS_CONF));
    assert_in_range(sys_memory_limit(), MIB(1), machine);
    assert_true(sys_rss() > KIB(100));
    size_t descriptors = sys_raise_descriptors();
    getrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(limit.rlim_cur, descriptors);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
}

static void resident_bytes_follow_use(void **state)
{
    size_t before = sys_rss();
    volatile char *block = malloc(MIB(32)); /* volatile: or the compiler leaves the writing out */
    for (size_t i = 0; i < MIB(32); i += KIB(4))
        block[i] = 1;
    size_t after = sys_rss();
    free((void *)block);
    assert_true(after >= before + MIB(31));
}

static void the_environment(void **state)
{
    setenv("OLLAMAMAX_TEST_WORD", "yes", 1);
    assert_string_equal(sys_env("OLLAMAMAX_TEST_WORD"), "yes");
    unsetenv("OLLAMAMAX_TEST_WORD");
    assert_null(sys_env("OLLAMAMAX_TEST_WORD"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_advance),
        cmocka_unit_test(worker_numbers_are_per_thread),
        cmocka_unit_test(chance_is_even),
        cmocka_unit_test(chance_fills_every_length),
        cmocka_unit_test(a_forked_child_draws_its_own),
        cmocka_unit_test(files_are_replaced_whole),
        cmocka_unit_test(reading_has_a_limit),
        cmocka_unit_test(large_files_come_whole),
        cmocka_unit_test(trouble_is_told),
        cmocka_unit_test(appending_adds),
        cmocka_unit_test(the_machine_is_plausible),
        cmocka_unit_test(resident_bytes_follow_use),
        cmocka_unit_test(the_environment),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
