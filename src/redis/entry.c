/* One table says what stands where: numbers first, all as 64 bits, then the lengths of the texts, then the texts. It is
 * a few bytes more than a packed struct would be, and the same on every machine and with every compiler. When its
 * meaning changes the version does, and gateways of both versions share one Redis without believing each other. */
#include "redis/entry.h"
#include "api/record.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define MAGIC   "OMX1" /* its last byte is the version */
#define MAGIC_N 4
#define DIGEST  16
#define NUMBERS (GENERATIONS + 14)
#define TEXTS   6
#define HEAD    (MAGIC_N + DIGEST + 8 * (NUMBERS + TEXTS))

struct fields {
    uint64_t number[NUMBERS];
    struct str text[TEXTS];
};

static struct fields fields_of(const struct redis_entry *e)
{
    struct fields f = {
        .number = {e->stamp.id, (uint64_t)e->made, (uint64_t)e->ttl, (uint64_t)e->saved, (uint64_t)e->length,
                   e->status,         e->form, e->dialect, e->stream, e->simulated, e->asked_stream, e->asked_usage,
                   (uint64_t)e->wall, e->chance },
        .text = { e->content_type, e->headers,         e->node,             e->model,                e->route,                     e->body}
    };

    memcpy(f.number + NUMBERS - GENERATIONS, e->stamp.of, sizeof e->stamp.of);
    return f;
}

static void take_fields(const struct fields *f, struct redis_entry *e)
{
    const uint64_t *n = f->number;

    *e = (struct redis_entry){ .stamp.id = n[0],
                               .made = (nsec)n[1],
                               .ttl = (nsec)n[2],
                               .saved = (nsec)n[3],
                               .length = (int64_t)n[4],
                               .status = (uint16_t)n[5],
                               .form = (uint8_t)n[6],
                               .dialect = (uint8_t)n[7],
                               .stream = n[8],
                               .simulated = n[9],
                               .asked_stream = n[10],
                               .asked_usage = n[11],
                               .wall = (nsec)n[12],
                               .chance = n[13],
                               .content_type = f->text[0],
                               .headers = f->text[1],
                               .node = f->text[2],
                               .model = f->text[3],
                               .route = f->text[4],
                               .body = f->text[5] };
    memcpy(e->stamp.of, n + NUMBERS - GENERATIONS, sizeof e->stamp.of);
}

/* What the rest of the program may count on, whoever wrote it. */
static bool is_sound(const uint64_t *n, size_t body)
{
    bool times = (int64_t)n[1] >= 0 && (int64_t)n[2] > 0 && (int64_t)n[2] <= SECOND(86400 * 365) && (int64_t)n[3] >= 0;
    bool length = (int64_t)n[4] == -1 || n[4] == body;

    return times && length && n[5] >= 200 && n[5] < 600 && n[6] <= FORM_SSE && n[7] <= DIALECT_OWN && n[8] <= 1 &&
           n[9] <= 1 && n[10] <= 1 && n[11] <= 1 && (int64_t)n[12] >= 0;
}

static void put_number(struct text *t, uint64_t n)
{
    char bytes[8];

    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (char)(n >> 8 * i);
    text_put(t, (struct str){ bytes, 8 });
}

static uint64_t number_at(const char *p)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < 8; i++)
        n |= (uint64_t)(uint8_t)p[i] << 8 * i;
    return n;
}

/* Of all behind it, and of the key. */
static void digest_of(struct str rest, const uint8_t key[32], char out[DIGEST])
{
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits_withSeed(rest.p, rest.n, XXH3_64bits(key, 32)));
    memcpy(out, canonical.digest, DIGEST);
}

void redis_entry_write(const struct redis_entry *e, const uint8_t key[32], struct text *out)
{
    struct fields f = fields_of(e);
    size_t from = text_str(out).n;
    static const char blank[DIGEST];
    struct str rest;

    text_put(out, (struct str){ MAGIC, MAGIC_N });
    text_put(out, (struct str){ blank, DIGEST });
    for (unsigned i = 0; i < NUMBERS; i++)
        put_number(out, f.number[i]);
    for (unsigned i = 0; i < TEXTS; i++)
        put_number(out, f.text[i].n);
    for (unsigned i = 0; i < TEXTS; i++)
        text_put(out, f.text[i]);
    if (out->failed)
        return;
    rest = str_drop(text_str(out), from + MAGIC_N + DIGEST);
    digest_of(rest, key, out->buf.block + out->buf.start + from + MAGIC_N);
}

/* The lengths must fill the bytes exactly; none of them may be more than there is. */
static bool cut_texts(struct str head, struct str texts, struct fields *f)
{
    for (unsigned i = 0; i < TEXTS; i++) {
        uint64_t n = number_at(head.p + HEAD - 8 * (TEXTS - i));
        if (n > texts.n)
            return false;
        f->text[i] = str_take(texts, (size_t)n);
        texts = str_drop(texts, (size_t)n);
    }
    return texts.n == 0;
}

bool redis_entry_read(struct str bytes, const uint8_t key[32], struct redis_entry *out)
{
    struct fields f;
    char digest[DIGEST];

    if (bytes.n < HEAD || !str_starts(bytes, (struct str){ MAGIC, MAGIC_N }))
        return false;
    digest_of(str_drop(bytes, MAGIC_N + DIGEST), key, digest);
    if (memcmp(digest, bytes.p + MAGIC_N, DIGEST) != 0)
        return false;
    for (unsigned i = 0; i < NUMBERS; i++)
        f.number[i] = number_at(bytes.p + MAGIC_N + DIGEST + 8 * i);
    if (!cut_texts(bytes, str_drop(bytes, HEAD), &f) || !is_sound(f.number, f.text[TEXTS - 1].n))
        return false;
    take_fields(&f, out);
    return true;
}
