/* sim/trace.c - reads traces line by line through zlib, which lets plain files pass.
 *
 *      azure      TIMESTAMP,ContextTokens,GeneratedTokens          with a heading
 *      mooncake   {"timestamp": ms, "input_length", "output_length", "hash_ids": [...]}   a line each
 *      csv        seconds,input,output[,model[,tenant]]            a heading is skipped; numbers from 0
 *
 * Mooncake's clock ticks every three seconds; requests of one tick are spread evenly to the next. */
#include "sim/trace.h"
#include "base/json.h"
#include "base/stamp.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <zlib.h>

#define LINE_MOST (1 << 18)

/* ---- chance ----------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

double trace_chance(uint64_t *state)
{
    return (double)((mix(*state += 0x9e3779b97f4a7c15) >> 11) + 1) / 9007199254740992.0;
}

static double normal(uint64_t *chance)
{
    double r = sqrt(-2 * log(trace_chance(chance)));
    return r * cos(2 * M_PI * trace_chance(chance));
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static bool grow(void **array, uint32_t *cap, uint32_t need, size_t size)
{
    if (need <= *cap)
        return true;
    uint32_t more = MAX(need, MAX(1024, *cap * 2));
    void *new = realloc(*array, (size_t)more * size);
    if (!new)
        return false;
    *array = new, *cap = more;
    return true;
}

static struct trace_request *add(struct trace *t)
{
    if (!grow((void **)&t->request, &t->cap, t->n + 1, sizeof *t->request))
        return NULL;
    t->request[t->n] = (struct trace_request){ .path = t->hashes };
    return &t->request[t->n++];
}

void trace_free(struct trace *t)
{
    free(t->request);
    free(t->hash);
    *t = (struct trace){ 0 };
}

/* ---- lines ------------------------------------------------------------------------------------------------------ */

static bool read_count(struct str *rest, uint32_t *out)
{
    uint64_t n;
    if (!str_u64(str_trim(str_cut(rest, ',')), &n) || n > 100000000)
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool read_azure(struct trace *t, struct trace_request *r, struct str line)
{
    char stamp[64];
    struct str when = str_cut(&line, ',');
    if (when.n < 19 || when.n > 40)
        return false;
    memcpy(stamp, when.p, when.n);
    stamp[10] = 'T', stamp[when.n] = 'Z';
    return stamp_parse((struct str){ stamp, when.n + 1 }, &r->at) && read_count(&line, &r->in) &&
           read_count(&line, &r->out);
}

static bool read_seconds(struct str s, nsec *out)
{
    char text[40], *end;
    if (!s.n || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n), text[s.n] = 0;
    double v = strtod(text, &end);
    *out = (nsec)(v * 1e9);
    return !*end && v >= 0 && v < 1e9;
}

static bool read_csv(struct trace *t, struct trace_request *r, struct str line)
{
    if (!read_seconds(str_trim(str_cut(&line, ',')), &r->at) || !read_count(&line, &r->in) ||
        !read_count(&line, &r->out))
        return false;
    return (!line.n || read_count(&line, &r->model)) && (!line.n || read_count(&line, &r->tenant));
}

static bool member(struct json object, struct str name, uint32_t *out)
{
    int64_t n;
    if (!json_i64(json_get(object, name), &n) || n < 0 || n > INT32_MAX)
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool read_mooncake(struct trace *t, struct trace_request *r, struct str line)
{
    struct json object = json_parse(line, NULL);
    uint32_t ms;
    int64_t id;
    if (!member(object, STR("timestamp"), &ms) || !member(object, STR("input_length"), &r->in) ||
        !member(object, STR("output_length"), &r->out))
        return false;
    r->at = MSEC(ms);
    struct json_walk w = json_walk(json_get(object, STR("hash_ids")));
    while (json_next(&w)) {
        if (!json_i64(w.value, &id) || !grow((void **)&t->hash, &t->hash_cap, t->hashes + 1, sizeof *t->hash))
            return false;
        t->hash[t->hashes++] = mix((uint64_t)id + 0x9e3779b97f4a7c15);
        r->blocks++;
    }
    return true;
}

static const struct {
    const char *name;
    bool (*read)(struct trace *t, struct trace_request *r, struct str line);
    bool heading;
} formats[] = {
    [TRACE_AZURE] = {"azure",     read_azure,    true },
    [TRACE_MOONCAKE] = { "mooncake", read_mooncake, false},
    [TRACE_CSV] = { "csv",      read_csv,      true },
};

bool trace_format_named(struct str name, enum trace_format *out)
{
    for (unsigned i = 0; i < TRACE_FORMATS; i++)
        if (str_eq(name, str_of(formats[i].name))) {
            *out = (enum trace_format)i;
            return true;
        }
    return false;
}

static enum fail read_line(struct trace *t, enum trace_format format, struct str line, uint32_t no)
{
    line = str_trim(line);
    if (!line.n)
        return OK;
    struct trace_request *r = add(t);
    if (!r)
        return FAIL_no_memory;
    if (formats[format].read(t, r, line))
        return OK;
    t->n--;
    t->bad_line = no;
    return no == 1 && formats[format].heading ? OK : FAIL_bad_value;
}

static enum fail read_lines(struct trace *t, gzFile f, enum trace_format format, uint32_t limit, char *line)
{
    enum fail failed = OK;
    for (uint32_t no = 1; !failed && (!limit || t->n < limit) && gzgets(f, line, LINE_MOST); no++)
        failed = read_line(t, format, str_of(line), no);
    return failed;
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

static int by_arrival(const void *a, const void *b)
{
    const struct trace_request *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return (x->path > y->path) - (x->path < y->path);
}

void trace_sort(struct trace *t)
{
    if (t->n)
        qsort(t->request, t->n, sizeof *t->request, by_arrival);
    t->tenants = t->models = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        t->tenants = MAX(t->tenants, t->request[i].tenant + 1);
        t->models = MAX(t->models, t->request[i].model + 1);
    }
}

static void spread_ticks(struct trace *t)
{
    nsec gap = SECOND(3);
    for (uint32_t i = 0, end; i < t->n; i = end) {
        nsec tick = t->request[i].at;
        for (end = i; end < t->n && t->request[end].at == tick;)
            end++;
        if (end < t->n)
            gap = t->request[end].at - tick;
        for (uint32_t k = i; k < end; k++)
            t->request[k].at += gap * (k - i) / (end - i);
    }
}

static void count_from_first(struct trace *t)
{
    for (uint32_t i = t->n; i-- > 0;)
        t->request[i].at -= t->request[0].at;
}

enum fail trace_read(struct trace *t, const char *file, enum trace_format format, uint32_t limit)
{
    *t = (struct trace){ 0 };
    gzFile f = gzopen(file, "rb");
    char *line = f ? malloc(LINE_MOST) : NULL;
    enum fail failed = f && line ? read_lines(t, f, format, limit, line) : f ? FAIL_no_memory : FAIL_io_error;
    int was = errno;
    free(line);
    if (f)
        gzclose(f);
    errno = was;
    if (failed)
        return failed;
    trace_sort(t);
    if (format == TRACE_MOONCAKE)
        spread_ticks(t);
    count_from_first(t);
    return t->n ? OK : FAIL_bad_value;
}

double trace_prefix_bound(const struct trace *t)
{
    uint64_t blocks = 0, known = 0;
    uint32_t buckets = 64;
    while (buckets < t->hashes * 2 && buckets < 1u << 31)
        buckets *= 2;
    uint64_t *seen = t->hashes ? calloc(buckets, sizeof *seen) : NULL;
    for (uint32_t i = 0; seen && i < t->n; i++)
        for (uint32_t k = 0; k < t->request[i].blocks; k++) {
            uint64_t hash = t->hash[t->request[i].path + k];
            uint32_t at = (uint32_t)hash & (buckets - 1);
            while (seen[at] && seen[at] != hash)
                at = (at + 1) & (buckets - 1);
            known += seen[at] == hash;
            seen[at] = hash;
            blocks++;
        }
    free(seen);
    return blocks ? (double)known / (double)blocks : 0;
}

/* ---- drawn ------------------------------------------------------------------------------------------------------ */

static uint32_t between(double v, uint32_t least, uint32_t most)
{
    return v < least ? least : v > most ? most : (uint32_t)v;
}

enum fail trace_chat(struct trace *t, uint32_t n, double gap, uint64_t seed)
{
    double at = 0;
    *t = (struct trace){ 0 };
    for (uint32_t i = 0; i < n; i++) {
        struct trace_request *r = add(t);
        if (!r)
            return FAIL_no_memory;
        r->at = (nsec)(at * 1e9);
        r->in = between(exp(6.6 + 0.9 * normal(&seed)), 3, 14000);
        r->out = between(exp(4.9 + 1.0 * normal(&seed)), 7, 1000);
        at -= log(trace_chance(&seed)) * gap;
    }
    trace_sort(t);
    return OK;
}

enum fail trace_poisson(struct trace *t, const struct trace *lengths, const struct trace_phase *phase, uint32_t phases,
                        uint32_t tenant, double per_second_at_one, uint64_t *chance)
{
    double from = 0;
    for (uint32_t i = 0; i < phases; from += phase[i++].lasts) {
        double gap = 1 / (phase[i].load * per_second_at_one);
        for (double at = from - log(trace_chance(chance)) * gap; at < from + phase[i].lasts;) {
            struct trace_request *r = add(t);
            if (!r)
                return FAIL_no_memory;
            const struct trace_request *like =
                &lengths->request[(uint32_t)(trace_chance(chance) * lengths->n) % lengths->n];
            r->at = (nsec)(at * 1e9), r->in = like->in, r->out = like->out, r->tenant = tenant;
            at -= log(trace_chance(chance)) * gap;
        }
    }
    return OK;
}
