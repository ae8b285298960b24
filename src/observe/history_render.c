/* observe/history_render.c - what is asked of a history: points for a page, and means and medians for alerts.
 *
 * Points are copied under the lock and written out after it: writing all series of a day takes a millisecond or two,
 * for which the sampler, on worker 0, must not wait. Numbers are written with as many digits as a chart can show, in
 * integers: printf would take five times as long. */
#include "observe/history_state.h"

#include "base/json.h"

#include <math.h>
#include <stdlib.h>

/* --- which rows --- */

/* What is wanted: a row, known by its series and node. `row` NULL: a node that has gone, nothing but gaps. */
struct pick {
    struct str series, node;
    const struct history_row *row;
};
#define PICKS_MOST (SERIES_COUNT + NODE_SERIES_COUNT * PULSE_NODES)
struct picks {
    unsigned n;
    struct pick pick[PICKS_MOST];
};

static bool add(struct picks *p, struct str series, struct str node, const struct history_row *row)
{
    if (p->n == PICKS_MOST)
        return false;
    p->pick[p->n++] = (struct pick){ series, node, row };
    return true;
}

static bool add_all(struct picks *p, const struct history *h)
{
    bool room = true;
    for (unsigned s = 0; s < SERIES_COUNT; s++)
        room = add(p, series_of((enum series)s)->name, STR_NONE, &h->fleet_row[s]);
    return room;
}

static bool add_fleet_series(struct picks *p, const struct history *h, struct str name)
{
    for (unsigned s = 0; s < SERIES_COUNT; s++)
        if (str_eq(series_of((enum series)s)->name, name))
            return add(p, series_of((enum series)s)->name, STR_NONE, &h->fleet_row[s]);
    return false;
}

static bool add_each_node(struct picks *p, const struct history *h, struct str series, unsigned s)
{
    for (unsigned i = 0; i < PULSE_NODES; i++)
        if (h->node[i].name[0] && !add(p, series, str_of(h->node[i].name), &h->node_row[i][s]))
            return false;
    return true;
}

static bool add_node_series(struct picks *p, struct history *h, struct str name, struct str node)
{
    for (unsigned s = 0; s < NODE_SERIES_COUNT; s++) {
        struct str series = series_of_node((enum node_series)s)->name;
        if (!str_eq(series, name))
            continue;
        if (str_eq(node, STR("*")))
            return add_each_node(p, h, series, s);
        const struct subject *subject = history_node(h, node);
        return add(p, series, node, subject ? &subject->row[s] : NULL);
    }
    return false;
}

static enum fail pick_rows(struct history *h, struct picks *p, struct str wanted, struct str *out_unknown)
{
    if (!wanted.n)
        add_all(p, h);
    while (wanted.n) {
        struct str one = str_cut(&wanted, ','), node = one, name = str_cut(&node, ':');
        bool known = name.n < one.n ? add_node_series(p, h, name, node) : add_fleet_series(p, h, name);
        if (!known) {
            *out_unknown = one;
            return FAIL_bad_value;
        }
    }
    return OK;
}

/* --- points --- */

/* Oldest first. */
static void copy_points(const struct history *h, const struct history_row *row, enum history_range r, float *to)
{
    unsigned n = history_rings[r].n;
    for (unsigned i = 0; i < n; i++)
        to[i] = row ? row->point[history_place(h, r, n - 1 - i)] : NAN;
}

static void put_fraction(struct text *t, uint64_t scaled, unsigned digits)
{
    char z[8];
    for (unsigned i = digits; i-- > 0; scaled /= 10)
        z[i] = (char)('0' + scaled % 10);
    while (digits && z[digits - 1] == '0')
        digits--;
    if (digits)
        text_putc(t, '.');
    text_put(t, (struct str){ z, digits });
}

static void put_point(struct text *t, float point)
{
    unsigned digits = fabsf(point) < 100 ? 4 : fabsf(point) < 100000 ? 2 : 0;
    unsigned scale = digits == 4 ? 10000 : digits == 2 ? 100 : 1;
    if (!isfinite(point) || fabsf(point) > 1e18f) {
        text_put(t, STR("null"));
        return;
    }
    uint64_t scaled = (uint64_t)llround((double)fabsf(point) * scale);
    if (point < 0 && scaled)
        text_putc(t, '-');
    text_u64(t, scaled / scale);
    put_fraction(t, scaled % scale, digits);
}

static void put_points(struct json_out *j, const float *point, unsigned n)
{
    json_open(j, '[');
    for (unsigned i = 0; i < n; i++) {
        json_put_raw(j, STR_NONE); /* the comma */
        put_point(j->to, point[i]);
    }
    json_close(j);
}

static void put_key(struct json_out *j, const struct pick *p)
{
    char name[128];
    char *end = put_str(name, str_take(p->series, 60));
    if (p->node.n) {
        *end++ = ':';
        end = put_str(end, str_take(p->node, PULSE_NAME));
    }
    json_key_str(j, str_span(name, end));
}

static void put_history(struct text *t, const struct picks *p, const float *points, int64_t second,
                        enum history_range r)
{
    const struct history_ring *ring = &history_rings[r];
    struct json_out j = { .to = t };
    json_open(&j, '{');
    json_key(&j, "step_s");
    json_put_i64(&j, ring->step);
    json_key(&j, "t0");
    json_put_i64(&j, second ? (second / ring->step - ring->n + 1) * ring->step : 0);
    json_key(&j, "series");
    json_open(&j, '{');
    for (unsigned i = 0; i < p->n; i++) {
        put_key(&j, &p->pick[i]);
        put_points(&j, points + (size_t)i * ring->n, ring->n);
    }
    json_close(&j);
    json_close(&j);
}

/* A node's name points into the history, and may be another's after the lock. */
static enum fail take_points(struct history *h, const struct picks *p, enum history_range r, struct buf *points,
                             struct buf *names)
{
    unsigned n = history_rings[r].n;
    enum fail f = buf_reserve(points, p->n * n * sizeof(float));
    if (!f)
        f = buf_reserve(names, p->n * (PULSE_NAME + 1));
    for (unsigned i = 0; !f && i < p->n; i++) {
        copy_points(h, p->pick[i].row, r, (float *)(void *)points->block + (size_t)i * n);
        put_str(names->block + i * (PULSE_NAME + 1), str_take(p->pick[i].node, PULSE_NAME));
    }
    return f;
}

static void keep_names(struct picks *p, const struct buf *names)
{
    for (unsigned i = 0; i < p->n; i++)
        p->pick[i].node = (struct str){ names->block + i * (PULSE_NAME + 1), MIN(p->pick[i].node.n, PULSE_NAME) };
}

enum fail history_render(struct history *h, struct text *t, struct str wanted, enum history_range r,
                         struct str *out_unknown)
{
    struct picks p = { 0 };
    struct buf points = { 0 }, names = { 0 };
    pthread_mutex_lock(&h->lock);
    int64_t second = h->second;
    enum fail f = pick_rows(h, &p, wanted, out_unknown);
    if (!f)
        f = take_points(h, &p, r, &points, &names);
    pthread_mutex_unlock(&h->lock);
    if (!f) {
        keep_names(&p, &names);
        put_history(t, &p, (const float *)(const void *)points.block, second, r);
        f = t->failed;
    }
    buf_free(&points);
    buf_free(&names);
    return f;
}

bool history_range_of(struct str text, enum history_range *out)
{
    *out = RANGE_5M;
    for (int r = 0; r < RANGES; r++)
        if (str_eq(text, history_rings[r].name)) {
            *out = (enum history_range)r;
            return true;
        }
    return !text.n;
}

/* --- for alerts --- */

static const struct history_row *row_at(struct history *h, struct series_at at)
{
    if (!at.node)
        return &h->fleet_row[at.series];
    const struct subject *s = history_node(h, str_of(at.node));
    return s ? &s->row[at.series] : NULL;
}

/* The newest `n` points that are there, without gaps; returns how many. */
static unsigned known_points(struct history *h, struct series_at at, enum history_range r, unsigned n, float *to)
{
    unsigned known = 0;
    pthread_mutex_lock(&h->lock);
    const struct history_row *row = h->second ? row_at(h, at) : NULL;
    unsigned place = history_place(h, r, 0);
    for (unsigned back = 0; row && back < n; back++, place = history_place_before(r, place)) {
        float point = row->point[place];
        if (!isnan(point))
            to[known++] = point;
    }
    pthread_mutex_unlock(&h->lock);
    return known;
}

double history_last(struct history *h, struct series_at at)
{
    float point;
    return known_points(h, at, RANGE_5M, 1, &point) ? point : NAN;
}

/* The finest ring that reaches back so far, and how many of its points that is. */
static enum history_range ring_for(nsec window, unsigned *out_points)
{
    int r = 0;
    while (r < RANGE_24H && history_rings[r].step * history_rings[r].n < window / SECOND(1))
        r++;
    *out_points = MIN((unsigned)(window / SECOND(1) / history_rings[r].step), history_rings[r].n);
    return (enum history_range)r;
}

double history_mean(struct history *h, struct series_at at, nsec window)
{
    float point[1440];
    unsigned n;
    enum history_range r = ring_for(window, &n);
    unsigned known = known_points(h, at, r, n, point);
    double sum = 0;
    for (unsigned i = 0; i < known; i++)
        sum += (double)point[i];
    return known ? sum / known : NAN;
}

/* The newest point stands for what has passed of its step. */
double history_sum(struct history *h, struct series_at at, nsec window)
{
    unsigned n;
    enum history_range r = ring_for(window, &n);
    double sum = 0;
    pthread_mutex_lock(&h->lock);
    const struct history_row *row = h->second ? row_at(h, at) : NULL;
    int64_t step = history_rings[r].step;
    unsigned place = history_place(h, r, 0);
    for (unsigned back = 0; row && back < n; back++, place = history_place_before(r, place)) {
        float point = row->point[place];
        sum += isnan(point) ? 0 : (double)point * (double)(back ? step : h->second % step + 1);
    }
    pthread_mutex_unlock(&h->lock);
    return sum;
}

static int by_size(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

double history_median(struct history *h, struct series_at at, unsigned *out_points)
{
    float point[1440];
    *out_points = known_points(h, at, RANGE_24H, ARRAY_LEN(point), point);
    if (!*out_points)
        return NAN;
    qsort(point, *out_points, sizeof *point, by_size);
    return (double)point[*out_points / 2];
}
