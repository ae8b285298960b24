/* Whatever lies in Redis: read as it is, and again with a right digest, so that what is behind it is reached. */
#include "redis/entry.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[32];

static void look(struct str bytes)
{
    struct redis_entry e;
    struct text again = { 0 };

    if (!redis_entry_read(bytes, key, &e))
        return;
    assume(e.body.n <= bytes.n && e.body.p >= bytes.p && (e.length < 0 || (size_t)e.length == e.body.n));
    redis_entry_write(&e, key, &again);
    assume(str_eq(text_str(&again), bytes));
    text_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    char room[KIB(4)];
    XXH128_canonical_t digest;

    if (!begun)
        buf_pools_init();
    begun = true;
    look((struct str){ (const char *)data, size });
    if (size < 20 || size > sizeof room)
        return 0;
    memcpy(room, data, size);
    XXH128_canonicalFromHash(&digest, XXH3_128bits_withSeed(room + 20, size - 20, XXH3_64bits(key, 32)));
    memcpy(room, "OMX1", 4);
    memcpy(room + 4, digest.digest, 16);
    look((struct str){ room, size });
    return 0;
}
