/* observe/histogram.c - one time, two counts.
 *
 *     us = 1,234,567   published bucket: (1.0 s, 2.5 s]         exact, cumulated at scrape
 *                      fine slot: exponent 20, 64 steps of it   1,228,800 .. 1,245,183
 *
 * Buckets made from the fine slots were rejected: the published bounds are decimal and the slots binary, so a time
 * equal to a bound could be counted above it. Both counts together are two stores more than one of them.
 *
 * Which bucket: a table tells how many bounds lie below the fine slot, and one comparison whether there is one within
 * it; bounds lie further apart than slots are wide. The fine slots are 32 bits wide: a difference of two readings is
 * right as long as fewer than 2^32 times fell into one slot in between.
 *
 * Exemplars are four words and the xor of them: a reader that comes in between sees that they do not belong together
 * and takes none, which needs no order between the writer's stores. */
#include "observe/histogram.h"

#include "base/slab.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define STEP_BITS 6 /* 64 slots for each power of two */
#define STEPS     (1u << STEP_BITS)

#define MS(n)     ((int32_t)((n)*1000))
#define S(n)      ((int32_t)((n)*1000000))
#define NO_BOUND3 INT32_MAX, INT32_MAX, INT32_MAX
#define NO_BOUND4 NO_BOUND3, INT32_MAX

/* clang-format off */
static const struct histogram_bounds_list lists[] = {
    [BOUNDS_DURATION] = { 18, {
        MS(0.2), MS(1), MS(5), MS(10), MS(20), MS(40), MS(80), MS(160), MS(320), MS(640), S(1.28), S(2.56), S(5.12), S(10.24), S(20.48),
        S(40.96), S(81.92), S(163.84), NO_BOUND3, NO_BOUND3 } },
    [BOUNDS_FIRST_TOKEN] = { 20, {
        MS(1), MS(5), MS(10), MS(20), MS(40), MS(60), MS(80), MS(100), MS(250), MS(500), MS(750), S(1), S(2.5), S(5), S(7.5), S(10),
        S(20), S(40), S(80), S(160), NO_BOUND4 } },
    [BOUNDS_INTER_TOKEN] = { 21, {
        MS(1), MS(2.5), MS(5), MS(10), MS(25), MS(50), MS(75), MS(100), MS(150), MS(200), MS(300), MS(400), MS(500), MS(750), S(1), S(2.5),
        S(5), S(20), S(40), S(80), S(160), NO_BOUND3 } },
    [BOUNDS_ADDED] = { 20, {
        MS(0.02), MS(0.05), MS(0.1), MS(0.15), MS(0.2), MS(0.3), MS(0.5), MS(0.75), MS(1), MS(2), MS(5), MS(10), MS(20), MS(50), MS(100),
        MS(250), S(1), S(10), S(40), S(160), NO_BOUND4 } },
};
/* clang-format on */

enum { EXEMPLAR_TRACE_0, EXEMPLAR_TRACE_1, EXEMPLAR_WALL, EXEMPLAR_US, EXEMPLAR_CHECK, EXEMPLAR_WORDS };
struct exemplar {
    _Atomic uint64_t word[EXEMPLAR_WORDS];
};
struct histogram {
    const struct histogram_bounds_list *bounds;
    const uint8_t *below;               /* per slot, of these bounds */
    struct exemplar *_Atomic exemplars; /* per bucket; NULL until the first trace */
    _Atomic uint64_t sum_us;
    _Atomic uint64_t bucket[HISTOGRAM_BOUNDS_MAX + 1];
    _Atomic uint32_t slot[HISTOGRAM_SLOTS];
};

const struct histogram_bounds_list *histogram_bounds_of(enum histogram_bounds b)
{
    return &lists[b];
}

struct str histogram_bound_text(int32_t us, char out[16])
{
    int n = snprintf(out, 16, "%d.%06d", us / 1000000, us % 1000000);
    while (out[n - 1] == '0' && out[n - 2] != '.')
        n--;
    return (struct str){ out, (size_t)n };
}

/* --- slots and buckets --- */

static unsigned slot_of(uint32_t us)
{
    if (us < STEPS)
        return us;
    unsigned shift = 31 - STEP_BITS - (unsigned)__builtin_clz(us);
    return (shift + 1) * STEPS + ((us >> shift) & (STEPS - 1));
}

static uint32_t least_of(unsigned slot)
{
    unsigned shift = slot < STEPS ? 0 : slot / STEPS - 1;
    return (slot < STEPS ? slot : STEPS + slot % STEPS) << shift;
}

/* How many bounds lie below a slot's least time. */
static uint8_t below[ARRAY_LEN(lists)][HISTOGRAM_SLOTS];

static void count_bounds_below(void)
{
    for (unsigned b = 0; b < ARRAY_LEN(lists); b++)
        for (unsigned slot = 0; slot < HISTOGRAM_SLOTS; slot++)
            while (below[b][slot] < lists[b].n && (uint32_t)lists[b].us[below[b][slot]] < least_of(slot))
                below[b][slot]++;
}

static unsigned bucket_of(const struct histogram *h, uint32_t us, unsigned slot)
{
    unsigned n = h->below[slot];
    return n + (n < h->bounds->n && (uint32_t)h->bounds->us[n] < us);
}

/* --- life --- */

struct histogram *histogram_new(enum histogram_bounds b)
{
    static pthread_once_t counted = PTHREAD_ONCE_INIT;
    struct histogram *h = memory_strikes() ? NULL : calloc(1, sizeof *h);
    pthread_once(&counted, count_bounds_below);
    if (h) {
        h->bounds = &lists[b];
        h->below = below[b];
    }
    return h;
}

void histogram_free(struct histogram **h)
{
    if (*h)
        free(atomic_load_explicit(&(*h)->exemplars, memory_order_relaxed));
    free(*h);
    *h = NULL;
}

/* --- writing --- */

/* The bucket it fell into. */
static unsigned record(struct histogram *h, uint32_t us)
{
    us = MIN(us, (uint32_t)INT32_MAX);
    unsigned fine = slot_of(us), number = bucket_of(h, us, fine);
    _Atomic uint64_t *bucket = &h->bucket[number];
    _Atomic uint32_t *slot = &h->slot[fine];
    atomic_store_explicit(bucket, atomic_load_explicit(bucket, memory_order_relaxed) + 1, memory_order_relaxed);
    atomic_store_explicit(slot, atomic_load_explicit(slot, memory_order_relaxed) + 1, memory_order_relaxed);
    atomic_store_explicit(&h->sum_us, atomic_load_explicit(&h->sum_us, memory_order_relaxed) + us,
                          memory_order_relaxed);
    return number;
}

void histogram_record(struct histogram *h, uint32_t us)
{
    record(h, us);
}

/* --- exemplars --- */

static uint64_t word_of(const struct exemplar *e, unsigned i)
{
    return atomic_load_explicit(&e->word[i], memory_order_relaxed);
}

static uint64_t check_of(const uint64_t word[EXEMPLAR_CHECK])
{
    return ~(word[EXEMPLAR_TRACE_0] ^ word[EXEMPLAR_TRACE_1] ^ word[EXEMPLAR_WALL] ^ word[EXEMPLAR_US]);
}

static struct exemplar *exemplars_of(struct histogram *h)
{
    struct exemplar *e = atomic_load_explicit(&h->exemplars, memory_order_relaxed);
    if (unlikely(!e) && !memory_strikes()) {
        e = calloc(HISTOGRAM_BOUNDS_MAX + 1, sizeof *e);
        atomic_store_explicit(&h->exemplars, e, memory_order_release);
    }
    return e;
}

void histogram_record_traced(struct histogram *h, uint32_t us, const uint8_t trace[HISTOGRAM_TRACE], nsec wall)
{
    unsigned bucket = record(h, us);
    struct exemplar *e = exemplars_of(h);
    if (!e || wall - (nsec)word_of(&e[bucket], EXEMPLAR_WALL) < SECOND(1))
        return;
    uint64_t word[EXEMPLAR_WORDS] = { [EXEMPLAR_WALL] = (uint64_t)wall, [EXEMPLAR_US] = us };
    memcpy(&word[EXEMPLAR_TRACE_0], trace, HISTOGRAM_TRACE);
    word[EXEMPLAR_CHECK] = check_of(word);
    for (unsigned i = 0; i < EXEMPLAR_WORDS; i++)
        atomic_store_explicit(&e[bucket].word[i], word[i], memory_order_relaxed);
}

bool histogram_exemplar(const struct histogram *h, unsigned bucket, struct histogram_exemplar *out)
{
    const struct exemplar *e = atomic_load_explicit(&h->exemplars, memory_order_acquire);
    uint64_t word[EXEMPLAR_WORDS];
    if (!e)
        return false;
    for (unsigned i = 0; i < EXEMPLAR_WORDS; i++)
        word[i] = word_of(&e[bucket], i);
    out->us = (uint32_t)word[EXEMPLAR_US];
    out->wall = (nsec)word[EXEMPLAR_WALL];
    memcpy(out->trace, &word[EXEMPLAR_TRACE_0], HISTOGRAM_TRACE);
    return word[EXEMPLAR_CHECK] == check_of(word);
}

/* --- reading --- */

void histogram_sum_up(struct histogram_sum *sum, const struct histogram *h)
{
    for (unsigned i = 0; i <= h->bounds->n; i++) {
        uint64_t n = atomic_load_explicit(&h->bucket[i], memory_order_relaxed);
        sum->bucket[i] += n;
        sum->count += n;
    }
    sum->sum_us += atomic_load_explicit(&h->sum_us, memory_order_relaxed);
}

void histogram_spread_up(struct histogram_spread *spread, const struct histogram *h)
{
    for (unsigned i = 0; i < HISTOGRAM_SLOTS; i++) {
        uint32_t n = atomic_load_explicit(&h->slot[i], memory_order_relaxed);
        spread->slot[i] += n;
        spread->count += n;
    }
}

static uint32_t middle_of(unsigned slot)
{
    if (slot < STEPS)
        return slot;
    unsigned shift = slot / STEPS - 1;
    return ((STEPS + slot % STEPS) << shift) + (1u << shift) / 2;
}

uint32_t histogram_quantile(const struct histogram_spread *spread, double q)
{
    assume(q >= 0 && q <= 1);
    double wanted = MAX(q * (double)spread->count, 1.0);
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_SLOTS; i++) {
        seen += spread->slot[i];
        if (seen && (double)seen >= wanted)
            return middle_of(i);
    }
    return 0;
}
