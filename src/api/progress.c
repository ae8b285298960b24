/* api/progress.c - many nodes' progress as one honest stream.
 *
 *     gpu1  manifest  a:50  a:100  b:100  verifying  success         one row per digest, one column per node;
 *     gpu2  manifest        a:20          a:100 b:0     b:100 ...    shown is the least of the columns that still count
 *     client manifest       a:20          a:100         b:100 verifying  success
 *
 * A column counts until its node has ended: what a node has not yet mentioned is 0, what one that succeeded never
 * mentioned it had already, and a failed one holds nobody up. What was shown is never taken back. Statuses without a
 * digest are shown once, when the first node says them, but not while a digest is still on its way: "verifying" beside
 * a half-filled bar would be a lie. A sum over nodes was rejected: clients draw `completed` over the `total` of one
 * blob. */
#include "api/progress.h"
#include "base/json.h"

#define DIGESTS_MAX  1024 /* what a node says beyond is not shown; no model has as many */
#define STATUSES_MAX 16384

struct status {
    struct status *next;
    struct str text;
    uint64_t hash;
    bool shown;
};
struct digest {
    struct digest *next;
    struct str name, status;
    uint64_t total, shown;
    bool announced;
    uint64_t completed[]; /* by node */
};
enum fate { RUNNING, SUCCEEDED, FAILED };
struct member {
    struct str name, error;
    bool erred; /* it sent an error record, or ended with one */
    enum fate fate;
};
struct progress {
    struct arena *arena;
    struct digest *digests, **last_digest;
    struct status *statuses, **last_status;
    unsigned digest_n, status_n, node_n;
    struct member node[];
};

struct progress *progress_new(struct arena *a, unsigned nodes, const struct str *node_names)
{
    struct progress *p = arena_take0(a, sizeof *p + nodes * sizeof *p->node);
    if (!p)
        return NULL;
    p->arena = a;
    p->node_n = nodes;
    p->last_digest = &p->digests;
    p->last_status = &p->statuses;
    for (unsigned i = 0; i < nodes; i++)
        p->node[i].name = str_dup(a, node_names[i]);
    return a->failed ? NULL : p;
}

static void fail_out(struct text *out)
{
    if (!out->failed)
        out->failed = FAIL_no_memory;
}

static struct digest *digest_of(struct progress *p, struct str name, struct str status)
{
    for (struct digest *d = p->digests; d; d = d->next)
        if (str_eq(d->name, name))
            return d;
    if (p->digest_n == DIGESTS_MAX)
        return NULL;
    struct digest *d = arena_take0(p->arena, sizeof *d + p->node_n * sizeof *d->completed);
    if (!d)
        return NULL;
    d->name = str_dup(p->arena, name);
    d->status = str_dup(p->arena, status);
    if (p->arena->failed)
        return NULL;
    p->digest_n++;
    *p->last_digest = d;
    p->last_digest = &d->next;
    return d;
}

static void status_add(struct progress *p, struct str text)
{
    uint64_t hash = str_hash(text);
    for (struct status *s = p->statuses; s; s = s->next)
        if (s->hash == hash && str_eq(s->text, text))
            return;
    if (p->status_n == STATUSES_MAX)
        return;
    struct status *s = arena_new(p->arena, struct status);
    if (!s)
        return;
    s->text = str_dup(p->arena, text);
    s->hash = hash;
    p->status_n++;
    *p->last_status = s;
    p->last_status = &s->next;
}

static uint64_t slowest(const struct progress *p, const struct digest *d)
{
    uint64_t least = d->total;
    for (unsigned i = 0; i < p->node_n; i++)
        if (p->node[i].fate == RUNNING)
            least = MIN(least, d->completed[i]);
    return least;
}

static void put_digest(const struct digest *d, struct text *out)
{
    struct json_out j = { .to = out };
    json_open(&j, '{');
    json_key(&j, "status");
    json_put_str(&j, d->status);
    json_key(&j, "digest");
    json_put_str(&j, d->name);
    if (d->total) {
        json_key(&j, "total");
        json_put_u64(&j, d->total);
    }
    if (d->shown) {
        json_key(&j, "completed");
        json_put_u64(&j, d->shown);
    }
    json_close(&j);
    text_putc(out, '\n');
}

static void put_one(struct text *out, const char *key, struct str value)
{
    struct json_out j = { .to = out };
    json_open(&j, '{');
    json_key(&j, key);
    json_put_str(&j, value);
    json_close(&j);
    text_putc(out, '\n');
}

static bool anyone(const struct progress *p, enum fate fate)
{
    for (unsigned i = 0; i < p->node_n; i++)
        if (p->node[i].fate == fate)
            return true;
    return false;
}

/* What has changed for the client since the last record. When all have failed, nothing gets finished by that. */
static void show(struct progress *p, struct text *out)
{
    bool complete = true;
    if (!anyone(p, RUNNING) && !anyone(p, SUCCEEDED))
        return;
    for (struct digest *d = p->digests; d; d = d->next) {
        uint64_t least = slowest(p, d);
        if (!d->announced || least > d->shown) {
            d->announced = true;
            d->shown = MAX(d->shown, least);
            put_digest(d, out);
        }
        complete &= d->shown >= d->total;
    }
    for (struct status *s = p->statuses; s && complete; s = s->next) {
        if (!s->shown)
            put_one(out, "status", s->text);
        s->shown = true;
    }
}

static uint64_t amount(struct json record, struct str name)
{
    int64_t n;
    return json_i64(json_get(record, name), &n) && n > 0 ? (uint64_t)n : 0;
}

static struct str text_member(struct progress *p, struct json record, struct str name)
{
    struct json v = json_get(record, name);
    return v.kind == JSON_STRING ? json_text(p->arena, v) : STR_NONE;
}

static void take_digest(struct progress *p, unsigned i, struct json record, struct str name)
{
    struct digest *d = digest_of(p, name, text_member(p, record, STR("status")));
    if (!d)
        return;
    d->total = MAX(d->total, amount(record, STR("total")));
    d->completed[i] = MAX(d->completed[i], amount(record, STR("completed")));
}

static void member_erred(struct progress *p, struct member *m, struct str error)
{
    if (!m->erred)
        m->error = str_dup(p->arena, error.n ? error : STR("no reason was given"));
    m->erred = true;
}

void progress_take(struct progress *p, unsigned i, struct str record, struct text *out)
{
    assume(i < p->node_n);
    struct json r = { .kind = JSON_BAD };
    if (record.n)
        r = json_parse(record, NULL);
    if (r.kind != JSON_OBJECT || p->node[i].fate != RUNNING)
        return;
    struct str error = text_member(p, r, STR("error"));
    struct str digest = text_member(p, r, STR("digest"));
    struct str status = text_member(p, r, STR("status"));
    if (error.n)
        member_erred(p, &p->node[i], error);
    else if (digest.n)
        take_digest(p, i, r, digest);
    else if (status.n && !str_eq(status, STR("success")))
        status_add(p, status);
    show(p, out);
    if (p->arena->failed)
        fail_out(out);
}

void progress_end(struct progress *p, unsigned i, struct str error, struct text *out)
{
    assume(i < p->node_n);
    struct member *m = &p->node[i];
    if (m->fate != RUNNING)
        return;
    if (error.p)
        member_erred(p, m, error);
    m->fate = m->erred ? FAILED : SUCCEEDED;
    show(p, out);
    if (p->arena->failed)
        fail_out(out);
}

/* The names of those who share a fate (and an error, where one is given), with commas. */
static void put_names(struct text *t, const struct progress *p, enum fate fate, const struct str *error)
{
    unsigned n = 0;
    for (unsigned i = 0; i < p->node_n; i++) {
        if (p->node[i].fate != fate || (error && !str_eq(p->node[i].error, *error)))
            continue;
        text_put(t, n++ ? STR(", ") : STR(""));
        text_put(t, p->node[i].name);
    }
}

static bool is_first_with_error(const struct progress *p, unsigned i)
{
    for (unsigned k = 0; k < i; k++)
        if (p->node[k].fate == FAILED && str_eq(p->node[k].error, p->node[i].error))
            return false;
    return p->node[i].fate == FAILED;
}

/* The first node's own words come first, as clients look for them there; then who said so, and what became of the
 * others. */
static void put_error(struct text *t, const struct progress *p)
{
    unsigned said = 0;
    for (unsigned i = 0; i < p->node_n; i++) {
        if (!is_first_with_error(p, i))
            continue;
        text_put(t, said++ ? STR("; ") : STR(""));
        text_put(t, p->node[i].error);
        text_put(t, STR(" (on "));
        put_names(t, p, FAILED, &p->node[i].error);
        text_putc(t, ')');
    }
    static const struct {
        enum fate fate;
        const char *words;
    } others[] = {
        {SUCCEEDED, "succeeded on "   },
        { RUNNING,  "not finished on "}
    };
    for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
        if (!anyone(p, others[i].fate))
            continue;
        text_put(t, said++ ? STR("; ") : STR(""));
        text_put(t, str_of(others[i].words));
        put_names(t, p, others[i].fate, NULL);
    }
}

static bool all_succeeded(const struct progress *p)
{
    return !anyone(p, RUNNING) && !anyone(p, FAILED);
}

struct str progress_error(struct progress *p)
{
    if (all_succeeded(p))
        return STR_NONE;
    struct text t = { 0 };
    put_error(&t, p);
    struct str message = t.failed ? STR_NONE : str_dup(p->arena, text_str(&t));
    text_free(&t);
    return message.p ? message : fail_sentence(FAIL_no_memory);
}

bool progress_finish(struct progress *p, struct text *out)
{
    bool good = all_succeeded(p);
    if (good)
        put_one(out, "status", STR("success"));
    else
        put_one(out, "error", progress_error(p));
    return good;
}
