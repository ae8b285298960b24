/* bench/key_trace.h - which keys were asked for, in order: from a file, or drawn. One owner. */
#pragma once
#include "base/fail.h"
#include "base/str.h"

struct key_trace {
    uint32_t *key;
    size_t n, cap;
    size_t distinct; /* all others repeat: no cache can answer more */
};
/* By its name: *.lis has lines "start count ...", *.trace 32-bit numbers, the highest byte first; .gz, .xz or .zst
 * behind that is unpacked by the program for it. FAIL_io_error (said on stderr), FAIL_bad_value, FAIL_no_memory. */
enum fail key_trace_read(struct key_trace *t, const char *file);
/* n requests by Zipf's law: the k-th most wanted of `population` keys by 1/k^exponent. With scans: after every
 * `scan_every` of them come `scan_length` for keys that are asked for once. */
struct key_law {
    uint32_t population;
    double exponent;
    size_t scan_every, scan_length; /* 0: no scans */
    uint64_t seed;
};
enum fail key_trace_zipf(struct key_trace *t, size_t n, const struct key_law *law);
void key_trace_free(struct key_trace *t);

/* splitmix64. */
static inline uint64_t key_trace_mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}
/* In place of SHA-256. */
static inline void key_trace_hash(uint32_t key, uint8_t out[32])
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t part = key_trace_mix(key + (uint64_t)i * 0x1000000000);
        memcpy(out + i * 8, &part, 8);
    }
}
