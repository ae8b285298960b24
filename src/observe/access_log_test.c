#include "observe/access_log.h"

#include "base/json.h"
#include "base/slab.h"
#include "base/sys.h"
#include "observe/meter_fixture.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/ollamamax_access_XXXXXX";
static char path[64], moved[64], moved_before[64];
static struct record sample;

static int begin(void **state)
{
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/access.log", folder);
    snprintf(moved, sizeof moved, "%s/access.log.1", folder);
    snprintf(moved_before, sizeof moved_before, "%s/access.log.2", folder);
    sample = chat_record("llama3.2", "gpu1");
    buf_pools_init();
    return 0;
}

static int end(void **state)
{
    buf_pools_done();
    return rmdir(folder);
}

static int each_end(void **state)
{
    unlink(path);
    unlink(moved);
    unlink(moved_before);
    return 0;
}

static struct buf content_of(const char *file)
{
    struct buf b = { 0 };
    assert_int_equal(sys_read_file(file, MIB(64), &b), OK);
    return b;
}

/* --- the log --- */

static void closing_writes_what_is_there(void **state)
{
    struct access_log *l = access_log_open(path, 2);
    assert_non_null(l);
    assert_true(access_log_put(l, 0, &sample));
    assert_true(access_log_put(l, 1, &sample));
    access_log_close(&l);
    assert_null(l);
    struct buf b = content_of(path);
    assert_int_equal(count_lines(buf_str(&b), "{\"ts\""), 2);
    buf_free(&b);
}

static void closing_is_prompt(void **state)
{
    nsec best = NEVER;
    for (int round = 0; round < 5; round++) {
        struct access_log *l = access_log_open(path, 1);
        nsec start = sys_now();
        access_log_close(&l);
        best = MIN(best, sys_now() - start);
    }
    assert_true(best < MSEC(50));
}

static void wait_for_bytes(const char *file)
{
    struct stat s;
    for (nsec until = sys_now() + SECOND(20); stat(file, &s) < 0 || s.st_size == 0; sched_yield())
        assert_true(sys_now() < until);
}

static void lines_come_without_being_asked(void **state)
{
    struct access_log *l = access_log_open(path, 1);
    assert_true(access_log_put(l, 0, &sample));
    wait_for_bytes(path);
    access_log_close(&l);
}

static void reopening_follows_the_name(void **state)
{
    struct access_log *l = access_log_open(path, 1);
    struct stat s;
    assert_true(access_log_put(l, 0, &sample));
    wait_for_bytes(path);
    assert_int_equal(rename(path, moved), 0);
    access_log_reopen(l);
    for (nsec until = sys_now() + SECOND(20); stat(path, &s) < 0; sched_yield())
        assert_true(sys_now() < until);
    assert_true(access_log_put(l, 0, &sample));
    access_log_close(&l);
    struct buf before = content_of(moved), after = content_of(path);
    assert_int_equal(count_lines(buf_str(&before), "{"), 1);
    assert_int_equal(count_lines(buf_str(&after), "{"), 1);
    buf_free(&before);
    buf_free(&after);
}

static void wait_for_file(const char *file)
{
    struct stat s;
    for (nsec until = sys_now() + SECOND(20); stat(file, &s) < 0; sched_yield())
        assert_true(sys_now() < until);
}

static void a_file_that_is_full_is_put_aside(void **state)
{
    struct access_log *l = access_log_open(path, 1);
    struct record r = sample;
    access_log_rotate(l, 100, 2);
    for (unsigned i = 0; i < 3; i++) { /* the first is lost in the end */
        r.status = (uint16_t)(200 + i);
        assert_true(access_log_put(l, 0, &r));
        if (i < 2)
            wait_for_file(i ? moved_before : moved);
    }
    access_log_close(&l);
    struct buf newest = content_of(moved), before = content_of(moved_before);
    assert_int_equal(count_lines(buf_str(&newest), "{") + count_lines(buf_str(&before), "{"), 2);
    assert_true(str_find(buf_str(&newest), STR("\"status\":202")) > 0);
    buf_free(&newest);
    buf_free(&before);
}

/* A pipe nobody reads holds the thread up: the ring fills, then records are refused, and what was accepted comes out
 * whole. */
static void a_full_ring_drops(void **state)
{
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    struct access_log *l = access_log_open(path, 1);
    unsigned accepted = 0, idle = 0;
    for (nsec until = sys_now() + SECOND(20); idle < 1000; sched_yield()) {
        bool taken = access_log_put(l, 0, &sample);
        accepted += taken;
        idle = taken ? 0 : idle + 1;
        assert_true(sys_now() < until);
    }
    assert_in_range(accepted, 1024, 3000);
    assert_int_equal(fcntl(reader, F_SETPIPE_SZ, 1 << 20), 1 << 20); /* room for all */
    access_log_close(&l);
    struct text t = { 0 };
    while (!buf_reserve(&t.buf, KIB(64))) {
        ssize_t n = read(reader, buf_tail(&t.buf), KIB(64));
        if (n <= 0)
            break;
        t.buf.end += (size_t)n;
    }
    assert_int_equal(count_lines(text_str(&t), "{\"ts\":\"2023-11-14T22:13:20Z\",\"id\":\"req-1\""), accepted);
    text_free(&t);
    close(reader);
}

#define RECORDS_EACH 5000
struct writer {
    struct access_log *log;
    unsigned no, dropped;
};

static void *write_records(void *arg)
{
    struct writer *w = arg;
    struct record r = sample;
    for (unsigned i = 0; i < RECORDS_EACH; i++) {
        r.id = (uint64_t)w->no << 32 | i;
        r.request_id.len = 0;
        w->dropped += !access_log_put(w->log, w->no, &r);
    }
    return NULL;
}

static void two_writers(void **state)
{
    struct writer w[2] = {
        {access_log_open(path, 2), 0, 0}
    };
    pthread_t threads[2];
    w[1] = (struct writer){ w[0].log, 1, 0 };
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_records, &w[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    access_log_close(&w[0].log);
    struct buf b = content_of(path);
    for (struct str rest = buf_str(&b); rest.n;)
        assert_int_equal(json_parse(str_cut(&rest, '\n'), NULL).kind, JSON_OBJECT);
    assert_int_equal(count_lines(buf_str(&b), "{"), 2 * RECORDS_EACH - w[0].dropped - w[1].dropped);
    assert_true(w[0].dropped + w[1].dropped < 2 * RECORDS_EACH);
    buf_free(&b);
}

static void what_cannot_be_opened(void **state)
{
    assert_null(access_log_open("/nowhere/at/all", 1));
    for (uint64_t nth = 1; nth <= 3; nth++) {
        memory_fail_at(nth);
        assert_null(access_log_open(path, 1));
    }
    memory_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(closing_writes_what_is_there, each_end),
        cmocka_unit_test_teardown(closing_is_prompt, each_end),
        cmocka_unit_test_teardown(lines_come_without_being_asked, each_end),
        cmocka_unit_test_teardown(reopening_follows_the_name, each_end),
        cmocka_unit_test_teardown(a_file_that_is_full_is_put_aside, each_end),
        cmocka_unit_test_teardown(a_full_ring_drops, each_end),
        cmocka_unit_test_teardown(two_writers, each_end),
        cmocka_unit_test_teardown(what_cannot_be_opened, each_end),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
