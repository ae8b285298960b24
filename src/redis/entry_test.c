#include "redis/entry.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const uint8_t key[32] = "this is the key of this entry..", other_key[32] = "this is the key of another one.";
static struct text bytes;

static struct redis_entry sample(void)
{
    return (struct redis_entry){
        .stamp = {.id = 7, .of = { 1, 2, UINT64_MAX }},
        .made = SECOND(1700000000),
        .ttl = SECOND(30),
        .saved = MSEC(1500),
        .length = 5,
        .status = 200,
        .form = 1,
        .dialect = 2,
        .stream = true,
        .asked_usage = true,
        .wall = SECOND(1699999999),
        .chance = 99,
        .route = STR("/api/chat"),
        .content_type = STR("application/x-ndjson"),
        .headers = STR("X-A: b\r\n"),
        .node = STR("gpu1"),
        .model = STR("llama3.2"),
        .body = STR("hello")
    };
}

static void write(struct redis_entry e)
{
    text_free(&bytes);
    bytes = (struct text){ 0 };
    redis_entry_write(&e, key, &bytes);
    assert_int_equal(bytes.failed, OK);
}

static void what_is_written_is_read(void **state)
{
    struct redis_entry e = sample(), r;

    write(e);
    assert_true(redis_entry_read(text_str(&bytes), key, &r));
    assert_true(generations_same(&e.stamp, &r.stamp));
    assert_true(r.made == e.made && r.ttl == e.ttl && r.saved == e.saved && r.length == 5);
    assert_true(r.status == 200 && r.form == 1 && r.dialect == 2 && r.stream && !r.simulated);
    assert_true(str_eq(r.content_type, e.content_type) && str_eq(r.headers, e.headers) && str_eq(r.node, e.node));
    assert_true(str_eq(r.model, e.model) && str_eq(r.body, e.body));
    assert_true(!r.asked_stream && r.asked_usage && r.wall == e.wall && r.chance == 99 && str_eq(r.route, e.route));
}

static void it_belongs_to_its_key(void **state)
{
    struct redis_entry r;

    write(sample());
    assert_false(redis_entry_read(text_str(&bytes), other_key, &r));
}

static void every_cut_and_every_flipped_bit_is_noticed(void **state)
{
    struct redis_entry r;
    struct str all;

    write(sample());
    all = text_str(&bytes);
    for (size_t n = 0; n < all.n; n++)
        assert_false(redis_entry_read(str_take(all, n), key, &r));
    for (size_t bit = 0; bit < 8 * all.n; bit++) {
        char *at = (char *)(uintptr_t)all.p + bit / 8;
        *at = (char)(*at ^ 1 << bit % 8);
        assert_false(redis_entry_read(all, key, &r));
        *at = (char)(*at ^ 1 << bit % 8);
    }
    assert_true(redis_entry_read(all, key, &r));
    text_putc(&bytes, 'x');
    assert_false(redis_entry_read(text_str(&bytes), key, &r));
}

/* Digest and lengths are right, but nothing may be done with it. */
static void values_that_cannot_be_are_refused(void **state)
{
    struct redis_entry r, e[9];

    for (unsigned i = 0; i < 9; i++)
        e[i] = sample();
    e[0].status = 99;
    e[1].status = 600;
    e[2].form = 9;
    e[3].dialect = 77;
    e[4].length = 4;
    e[5].ttl = 0;
    e[6].ttl = INT64_MAX;
    e[7].made = -1;
    e[8].saved = -1;
    for (unsigned i = 0; i < 9; i++) {
        write(e[i]);
        assert_false(redis_entry_read(text_str(&bytes), key, &r));
    }
}

static void strangers_values_are_none(void **state)
{
    static char zeros[4096];
    struct redis_entry r;

    assert_false(redis_entry_read(STR("hello"), key, &r));
    assert_false(redis_entry_read(STR_NONE, key, &r));
    assert_false(redis_entry_read((struct str){ zeros, sizeof zeros }, key, &r));
    memcpy(zeros, "OMX1", 4);
    assert_false(redis_entry_read((struct str){ zeros, sizeof zeros }, key, &r));
}

static int begin(void **state)
{
    buf_pools_init();
    return 0;
}

static int end(void **state)
{
    text_free(&bytes);
    buf_pools_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(it_belongs_to_its_key),
        cmocka_unit_test(every_cut_and_every_flipped_bit_is_noticed),
        cmocka_unit_test(values_that_cannot_be_are_refused),
        cmocka_unit_test(strangers_values_are_none),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
