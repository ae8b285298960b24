#include "gateway/blob_places.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define HEX "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static void digests_are_read_as_ollama_reads_them(void **state)
{
    uint8_t digest[32];
    assert_true(blob_digest_read(STR("sha256:" HEX), digest));
    assert_int_equal(digest[1], 0x11);
    assert_int_equal(digest[31], 0xff);
    assert_true(blob_digest_read(STR("sha256-" HEX), digest));
    assert_false(blob_digest_read(STR("sha256_" HEX), digest));
    assert_false(blob_digest_read(STR("sha512:" HEX), digest));
    assert_false(blob_digest_read(STR("sha256:" HEX "0"), digest));
    assert_false(
        blob_digest_read(STR("sha256:0g112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"), digest));
    assert_false(blob_digest_read(STR_NONE, digest));
}

static struct blob_places *places_new(void)
{
    struct blob_places *b = calloc(1, sizeof *b);
    blob_places_init(b);
    return b;
}

static void places_free(struct blob_places *b)
{
    blob_places_done(b);
    free(b);
}

static const uint8_t *digest_of(unsigned i)
{
    static uint8_t digest[32];
    memcpy(digest, &i, sizeof i);
    return digest;
}

static void each_blob_remembers_its_last_nodes(void **state)
{
    struct blob_places *b = places_new();
    assert_int_equal(blob_places_latest(b), 0);
    for (uint64_t node = 1; node <= BLOB_NODES + 1; node++)
        blob_places_note(b, digest_of(7), node);
    blob_places_note(b, digest_of(7), 2); /* again: it moves to the front, and nobody falls out */
    assert_false(blob_places_has(b, digest_of(7), 1));
    for (uint64_t node = 2; node <= BLOB_NODES + 1; node++)
        assert_true(blob_places_has(b, digest_of(7), node));
    assert_false(blob_places_has(b, digest_of(8), 2));
    assert_int_equal(blob_places_latest(b), 2);
    places_free(b);
}

static void the_oldest_blob_makes_room(void **state)
{
    struct blob_places *b = places_new();
    for (unsigned i = 0; i < BLOB_PLACES; i++)
        blob_places_note(b, digest_of(i), 1);
    blob_places_note(b, digest_of(0), 1);
    blob_places_note(b, digest_of(BLOB_PLACES), 3);
    assert_true(blob_places_has(b, digest_of(0), 1));
    assert_false(blob_places_has(b, digest_of(1), 1));
    assert_true(blob_places_has(b, digest_of(2), 1) && blob_places_has(b, digest_of(BLOB_PLACES), 3));
    places_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_read_as_ollama_reads_them),
        cmocka_unit_test(each_blob_remembers_its_last_nodes),
        cmocka_unit_test(the_oldest_blob_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
