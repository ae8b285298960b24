/* fleet/view_render.c - unions of what nodes say.
 *
 * All entries of all nodes go into one array, are sorted by model, and each run of equal keys becomes one entry: 20,000
 * entries of 1,000 nodes take a few milliseconds, outside the lock and only when something changed. A node's own JSON
 * object is shown byte for byte; of /api/ps two values may have to be another node's, and they are spliced into the
 * object in their place, so that fields this program does not know survive. */
#include "fleet/view_render.h"
#include "base/json.h"
#include "base/slab.h"
#include <stdlib.h>

struct entry {
    const struct inventory_model *model;             /* shown */
    const struct inventory_model *latest, *shortest; /* ps: whose expires_at, whose context_length */
    uint32_t no;
};
struct entries {
    struct entry *entry;
    uint32_t n;
};

static enum fail collect(struct entries *all, struct listing *const *of, uint32_t n)
{
    size_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        count += of[i]->inventory->n;
    *all = (struct entries){ 0 };
    all->entry = memory_strikes() ? NULL : malloc((count + 1) * sizeof *all->entry);
    if (!all->entry)
        return FAIL_no_memory;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t m = 0; m < of[i]->inventory->n; m++)
            all->entry[all->n++] = (struct entry){ .model = &of[i]->inventory->model[m], .no = i };
    return OK;
}

/* ---- orders ----------------------------------------------------------------------------------------------------- */

static int by_number(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int by_text(struct str a, struct str b)
{
    size_t n = MIN(a.n, b.n);
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? c : by_number((int64_t)a.n, (int64_t)b.n);
}

/* Runs of one model, in it runs of one digest, in these the newest first. */
static int by_model_and_digest(const void *va, const void *vb)
{
    const struct entry *a = va, *b = vb;
    int c = by_text(a->model->key, b->model->key);
    c = c ? c : by_text(a->model->digest, b->model->digest);
    c = c ? c : by_number(b->model->modified, a->model->modified);
    return c ? c : by_number(a->no, b->no);
}

static int by_model(const void *va, const void *vb)
{
    const struct entry *a = va, *b = vb;
    int c = by_text(a->model->key, b->model->key);
    return c ? c : by_number(a->no, b->no);
}

static int newest_first(const void *va, const void *vb)
{
    const struct entry *a = va, *b = vb;
    int c = by_number(b->model->modified, a->model->modified);
    return c ? c : by_text(a->model->key, b->model->key);
}

static int latest_expiry_first(const void *va, const void *vb)
{
    const struct entry *a = va, *b = vb;
    int c = by_number(b->latest->expires, a->latest->expires);
    return c ? c : by_text(a->model->key, b->model->key);
}

/* The end of the run of one model that begins at `from`. */
static uint32_t run_end(const struct entries *all, uint32_t from)
{
    uint32_t to = from + 1;
    while (to < all->n && str_eq(all->entry[to].model->key, all->entry[from].model->key))
        to++;
    return to;
}

/* ---- tags ------------------------------------------------------------------------------------------------------- */

static struct entry most_common_digest(const struct entry *run, uint32_t n)
{
    uint32_t best = 0, best_count = 0;
    for (uint32_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && str_eq(run[to].model->digest, run[from].model->digest);)
            to++;
        bool newer = run[from].model->modified > run[best].model->modified;
        if (to - from > best_count || (to - from == best_count && newer)) {
            best = from;
            best_count = to - from;
        }
    }
    return run[best];
}

static enum fail collect_tags(struct entries *all, struct listing *const *of, uint32_t n)
{
    enum fail bad = collect(all, of, n);
    if (bad)
        return bad;
    qsort(all->entry, all->n, sizeof *all->entry, by_model_and_digest);
    uint32_t kept = 0;
    for (uint32_t from = 0, to; from < all->n; from = to) {
        to = run_end(all, from);
        all->entry[kept++] = most_common_digest(all->entry + from, to - from);
    }
    all->n = kept;
    qsort(all->entry, all->n, sizeof *all->entry, newest_first);
    return OK;
}

enum fail render_tags(struct text *to, struct listing *const *of, uint32_t n)
{
    struct entries all;
    enum fail bad = collect_tags(&all, of, n);
    if (bad)
        return bad;
    text_put(to, STR("{\"models\":["));
    for (uint32_t i = 0; i < all.n; i++) {
        text_put(to, i ? STR(",") : STR(""));
        text_put(to, all.entry[i].model->raw);
    }
    text_put(to, STR("]}"));
    free(all.entry);
    return to->failed;
}

/* "host/namespace/model:tag" -> namespace */
static struct str namespace_of(struct str key)
{
    struct str path = str_take(key, (size_t)MAX(0, str_rchr(key, '/')));
    return str_drop(path, (size_t)(str_rchr(path, '/') + 1));
}

static void put_v1_model(struct json_out *j, const struct inventory_model *m)
{
    json_open(j, '{');
    json_key(j, "id");
    json_put_str(j, m->show);
    json_key(j, "object");
    json_put_str(j, STR("model"));
    json_key(j, "created");
    json_put_i64(j, m->modified / SECOND(1));
    json_key(j, "owned_by");
    json_put_str(j, namespace_of(m->key));
    json_close(j);
}

enum fail render_v1_models(struct text *to, struct listing *const *of, uint32_t n)
{
    struct entries all;
    enum fail bad = collect_tags(&all, of, n);
    if (bad)
        return bad;
    struct json_out j = { .to = to };
    json_open(&j, '{');
    json_key(&j, "object");
    json_put_str(&j, STR("list"));
    json_key(&j, "data");
    json_open(&j, '[');
    for (uint32_t i = 0; i < all.n; i++)
        put_v1_model(&j, all.entry[i].model);
    json_close(&j);
    json_close(&j);
    free(all.entry);
    return to->failed;
}

/* ---- ps --------------------------------------------------------------------------------------------------------- */

static double share_in_vram(const struct inventory_model *m)
{
    return m->size ? (double)m->size_vram / (double)m->size : 0;
}

static struct entry merge_instances(const struct entry *run, uint32_t n)
{
    struct entry e = run[0];
    e.latest = e.shortest = e.model;
    for (uint32_t i = 1; i < n; i++) {
        const struct inventory_model *m = run[i].model;
        if (share_in_vram(m) > share_in_vram(e.model))
            e.model = m;
        if (m->expires > e.latest->expires)
            e.latest = m;
        if (m->context_length && (!e.shortest->context_length || m->context_length < e.shortest->context_length))
            e.shortest = m;
    }
    return e;
}

/* A value of the shown object, and what stands in its place. */
struct splice {
    struct str out, in;
};

static struct splice splice_of(const struct inventory_model *shown, const struct inventory_model *theirs,
                               struct str field)
{
    struct json old = json_get(json_parse(shown->raw, NULL), field);
    struct json new = json_get(json_parse(theirs->raw, NULL), field);
    if (old.kind == JSON_BAD || new.kind == JSON_BAD)
        return (struct splice){ 0 };
    return (struct splice){ old.raw, new.raw };
}

static void put_spliced(struct text *to, struct str raw, struct splice a, struct splice b)
{
    if (a.out.p && b.out.p && b.out.p < a.out.p) {
        struct splice later = a;
        a = b;
        b = later;
    }
    const char *at = raw.p;
    const struct splice both[] = { a, b };
    for (unsigned i = 0; i < ARRAY_LEN(both); i++)
        if (both[i].out.p) {
            text_put(to, str_span(at, both[i].out.p));
            text_put(to, both[i].in);
            at = both[i].out.p + both[i].out.n;
        }
    text_put(to, str_span(at, raw.p + raw.n));
}

static void put_ps_model(struct text *to, const struct entry *e)
{
    struct splice expires = { 0 }, context = { 0 };
    if (e->latest->expires != e->model->expires)
        expires = splice_of(e->model, e->latest, STR("expires_at"));
    if (e->shortest->context_length != e->model->context_length)
        context = splice_of(e->model, e->shortest, STR("context_length"));
    put_spliced(to, e->model->raw, expires, context);
}

enum fail render_ps(struct text *to, struct listing *const *of, uint32_t n)
{
    struct entries all;
    enum fail bad = collect(&all, of, n);
    if (bad)
        return bad;
    qsort(all.entry, all.n, sizeof *all.entry, by_model);
    uint32_t kept = 0;
    for (uint32_t from = 0, end; from < all.n; from = end) {
        end = run_end(&all, from);
        all.entry[kept++] = merge_instances(all.entry + from, end - from);
    }
    qsort(all.entry, kept, sizeof *all.entry, latest_expiry_first);
    text_put(to, STR("{\"models\":["));
    for (uint32_t i = 0; i < kept; i++) {
        text_put(to, i ? STR(",") : STR(""));
        put_ps_model(to, &all.entry[i]);
    }
    text_put(to, STR("]}"));
    free(all.entry);
    return to->failed;
}

/* ---- version ---------------------------------------------------------------------------------------------------- */

void render_version(struct text *to, struct str version)
{
    text_put(to, STR("{\"version\":"));
    json_quote(to, version);
    text_put(to, STR("}"));
}

static uint64_t number_of(struct str part)
{
    uint64_t n = 0;
    for (size_t i = 0; i < part.n && part.p[i] >= '0' && part.p[i] <= '9' && n < UINT64_MAX / 20; i++)
        n = n * 10 + (uint64_t)(part.p[i] - '0');
    return n;
}

int version_compare(struct str a, struct str b)
{
    struct str na = str_cut(&a, '-'), nb = str_cut(&b, '-');
    while (na.n || nb.n) {
        uint64_t x = number_of(str_cut(&na, '.')), y = number_of(str_cut(&nb, '.'));
        if (x != y)
            return x < y ? -1 : 1;
    }
    if (!a.n || !b.n)
        return (a.n == 0) - (b.n == 0);
    return by_text(a, b);
}
