/* api/options.c - the few options that count are picked out of the object, in the order of the table.
 *
 *     {"temperature":0, "num_gpu":-1, "num_ctx":8.192e3}   ->   {"num_ctx":8192}
 *
 * Only what is said counts, not what is effective: a default depends on the node's memory and on the model's own
 * parameters, and nobody but the node knows both. So a request that spells the default out seems to want another load;
 * at worst it gets a node where it was spelled out before.
 *
 * peek keeps the last of several `options` objects, the node merges them. Clients that write two are rare enough to be
 * read a second time. */
#include "api/options.h"
#include <math.h>

enum option { NUM_CTX, NUM_BATCH, NUM_GPU, MAIN_GPU, NUM_THREAD, DRAFT_NUM_PREDICT, USE_MMAP, OPTION_COUNT };
static const struct {
    struct str key;
    bool truth;           /* true or false; else a whole number */
    bool negative_is_any; /* fits every load (sched.go: num_gpu below 0) */
} rows[OPTION_COUNT] = {
    [NUM_CTX] = {STR("num_ctx"),            false, false},
    [NUM_BATCH] = { STR("num_batch"),         false, false},
    [NUM_GPU] = { STR("num_gpu"),           false, true },
    [MAIN_GPU] = { STR("main_gpu"),          false, false},
    [NUM_THREAD] = { STR("num_thread"),        false, false},
    [DRAFT_NUM_PREDICT] = { STR("draft_num_predict"), false, false},
    [USE_MMAP] = { STR("use_mmap"),          true,  false},
};
/* Braces; for each a name with quotes, colon, comma and 20 digits. The names have 66 letters. */
_Static_assert(2 + 66 + OPTION_COUNT * (4 + 20) <= OPTIONS_TEXT, "the longest text fits");

struct picked {
    bool given[OPTION_COUNT];
    int64_t value[OPTION_COUNT];
};

/* ---- picking ----------------------------------------------------------------------------------------------------- */

#define LARGEST 1e18 /* far beyond what any node takes */

/* 4096, 4096.0 and 4.0969e3 are the same context. */
static bool whole_number(struct json v, int64_t *out)
{
    double d;
    if (json_i64(v, out) && *out >= (int64_t)-LARGEST && *out <= (int64_t)LARGEST)
        return true;
    if (!json_f64(v, &d))
        return false;
    *out = (int64_t)trunc(MAX(-LARGEST, MIN(d, LARGEST)));
    return true;
}

static bool value_of(enum option i, struct json v, int64_t *out)
{
    if (!rows[i].truth)
        return whole_number(v, out) && !(rows[i].negative_is_any && *out < 0);
    *out = v.kind == JSON_TRUE;
    return v.kind == JSON_TRUE || v.kind == JSON_FALSE;
}

/* A later one replaces an earlier one, also by null. */
static void pick(struct picked *p, struct json options)
{
    struct json_walk w = json_walk(options);
    while (json_next(&w))
        for (int i = 0; i < OPTION_COUNT; i++)
            if (json_key_is_exactly(w.key, rows[i].key))
                p->given[i] = value_of((enum option)i, w.value, &p->value[i]);
}

static void pick_from_all(struct picked *p, struct str body)
{
    struct json_walk w = json_walk_text(body);
    while (json_next(&w))
        if (json_key_is(w.key, STR("options"))) {
            if (w.value.kind == JSON_NULL)
                *p = (struct picked){ 0 };
            pick(p, w.value);
        }
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static char *put_value(char *at, enum option i, int64_t v)
{
    if (rows[i].truth)
        return put_str(at, v ? STR("true") : STR("false"));
    if (v < 0)
        *at++ = '-';
    return put_u64(at, (uint64_t)(v < 0 ? -v : v));
}

static char *put_member(char *at, enum option i, int64_t v)
{
    *at++ = '"';
    at = put_str(at, rows[i].key);
    at = put_str(at, STR("\":"));
    return put_value(at, i, v);
}

static unsigned write_text(char *text, const struct picked *p)
{
    char *at = text;
    for (int i = 0; i < OPTION_COUNT; i++)
        if (p->given[i]) {
            *at = at == text ? '{' : ',';
            at = put_member(at + 1, (enum option)i, p->value[i]);
        }
    if (at > text)
        *at++ = '}';
    return (unsigned)(at - text);
}

static uint64_t hash_of(const struct options *o)
{
    if (!o->n && o->shift == TRI_UNSET)
        return 0;
    uint64_t hash = str_hash(options_text(o)) + (uint64_t)o->shift * 0x9E3779B97F4A7C15u;
    return hash ? hash : 1;
}

void options_read(struct options *out, const struct peek *p, struct str body)
{
    struct picked picked = { 0 };
    if (p->options_again)
        pick_from_all(&picked, body);
    else
        pick(&picked, p->options);
    out->shift = p->shift;
    out->n = write_text(out->text, &picked);
    out->hash = hash_of(out);
}

void options_put(const struct options *o, struct json_out *j)
{
    if (o->n) {
        json_key(j, "options");
        json_put_raw(j, options_text(o));
    }
    if (o->shift != TRI_UNSET) {
        json_key(j, "shift");
        json_put_bool(j, o->shift == TRI_TRUE);
    }
}
