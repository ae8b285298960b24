/* observe/history.c - rings that all have the same second in the same place.
 *
 *     second s    place of the step that holds it in a ring of n steps of k seconds: s / k % n
 *     5 min  [.........^]  300 x 1 s         a sample writes one place in each ring: what has happened
 *     1 h    [....^.....]  360 x 10 s        between the totals at the step's begin, which are kept, and now
 *     24 h   [..^.......] 1440 x 60 s
 *
 * Rates are per second of the rings, not of a clock: a look that is some milliseconds late still says 3 requests, not
 * 2.998. A step that is half over shows what it holds so far, the rings need no pointers of their own, and a gap is
 * places that are passed over. Points of longer steps come from totals and times at their ends, not from shorter
 * points: the percentile of an hour cannot be had from percentiles of seconds.
 *
 * Nodes have their rows in the same shape; a 65th node takes the place of one that has gone, or is not shown. */
#include "observe/history.h"

#include "base/slab.h"
#include "observe/history_state.h"

#include <math.h>
#include <stdlib.h>

const struct history_ring history_rings[RANGES] = {
    [RANGE_5M] = {STR("5m"),   1,  300,  0  },
    [RANGE_1H] = { STR("1h"),  10, 360,  300},
    [RANGE_24H] = { STR("24h"), 60, 1440, 660},
};

/* --- what a point is made of --- */

enum made { MADE_RATE, MADE_SHARE, MADE_GAUGE, MADE_TIME };
struct recipe {
    struct series_row row;
    enum made made;
    int of, whole; /* a total and the total it is a share of; a gauge; a time. A node has one of each */
    double q, divisor;
};
static const struct recipe recipes[SERIES_COUNT] = {
#define ROW(name, unit, help)                                                                                          \
    {                                                                                                                  \
        STR(#name), STR(unit), STR(help)                                                                               \
    }
#define SERIES_RATE(name, unit, total, help) { ROW(name, unit, help), MADE_RATE, TOTAL_##total, 0, 0, 0 },
#define SERIES_SHARE(name, unit, part, whole, help)                                                                    \
    { ROW(name, unit, help), MADE_SHARE, TOTAL_##part, TOTAL_##whole, 0, 0 },
#define SERIES_GAUGE(name, unit, help) { ROW(name, unit, help), MADE_GAUGE, GAUGE_##name, 0, 0, 0 },
#define SERIES_TIME(name, unit, time, q, divisor, help)                                                                \
    { ROW(name, unit, help), MADE_TIME, TIME_##time, 0, q, divisor },
#include "observe/series.def"
};
static const struct recipe node_recipes[NODE_SERIES_COUNT] = {
#define NODE_RATE(name, unit, total, help)      { ROW(name, unit, help), MADE_RATE, 0, 0, 0, 0 },
#define NODE_GAUGE(name, unit, help)            { ROW(name, unit, help), MADE_GAUGE, 0, 0, 0, 0 },
#define NODE_TIME(name, unit, q, divisor, help) { ROW(name, unit, help), MADE_TIME, 0, 0, q, divisor },
#include "observe/series.def"
};

const struct series_row *series_of(enum series s)
{
    return &recipes[s].row;
}

const struct series_row *series_of_node(enum node_series s)
{
    return &node_recipes[s].row;
}

static double rate(double before, double now, double seconds)
{
    return now >= before && seconds > 0 ? (now - before) / seconds : NAN;
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : NAN;
}

/* Between two looks, `begin` with the gauges added up since. */
static double point_of(const struct recipe *r, const struct look *begin, const struct look *now)
{
    switch (r->made) {
    case MADE_RATE: return rate(begin->total[r->of], now->total[r->of], (double)(now->second - begin->second));
    case MADE_SHARE:
        return share(now->total[r->of] - begin->total[r->of], now->total[r->whole] - begin->total[r->whole]);
    case MADE_GAUGE: return begin->gauges[r->of] ? begin->gauge[r->of] / begin->gauges[r->of] : NAN;
    case MADE_TIME: return gist_quantile(&begin->time[r->of], &now->time[r->of], r->q) / r->divisor;
    }
    return NAN;
}

/* --- places --- */

unsigned history_place(const struct history *h, enum history_range r, unsigned back)
{
    const struct history_ring *ring = &history_rings[r];
    return ring->at + (unsigned)((h->second / ring->step + ring->n - back) % ring->n);
}

static void clear_rows(struct history_row *row, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        for (unsigned p = 0; p < HISTORY_POINTS; p++)
            row[i].point[p] = NAN;
}

static void clear_place(struct history *h, unsigned place)
{
    for (unsigned i = 0; i < SERIES_COUNT; i++)
        h->fleet_row[i].point[place] = NAN;
    for (unsigned n = 0; n < PULSE_NODES; n++)
        for (unsigned i = 0; h->node[n].name[0] && i < NODE_SERIES_COUNT; i++)
            h->node_row[n][i].point[place] = NAN;
}

/* The steps that begin after `before`, up to today's, hold nothing yet. */
static void clear_new_steps(struct history *h, int64_t before)
{
    for (int r = 0; r < RANGES; r++) {
        const struct history_ring *ring = &history_rings[r];
        int64_t steps = MIN(h->second / ring->step - before / ring->step, (int64_t)ring->n);
        for (unsigned back = 0; back < steps; back++)
            clear_place(h, history_place(h, (enum history_range)r, back));
    }
}

/* --- nodes --- */

struct subject *history_node(struct history *h, struct str name)
{
    for (unsigned i = 0; i < PULSE_NODES; i++)
        if (h->node[i].name[0] && str_eq(str_of(h->node[i].name), name))
            return &h->node[i];
    return NULL;
}

static struct subject *longest_unseen(struct history *h)
{
    struct subject *best = &h->node[0];
    for (unsigned i = 0; i < PULSE_NODES; i++) {
        struct subject *s = &h->node[i];
        if (!s->name[0])
            return s;
        best = s->seen < best->seen ? s : best;
    }
    return best;
}

struct subject *history_node_or_new(struct history *h, struct str name, int64_t now)
{
    struct subject *s = history_node(h, name);
    if (s)
        return s;
    s = longest_unseen(h);
    if (s->name[0] && s->seen == now)
        return NULL;
    *put_str(s->name, str_take(name, PULSE_NAME)) = 0;
    s->continues = false;
    clear_rows(s->row, NODE_SERIES_COUNT);
    return s;
}

/* --- sampling --- */

static void copy_look(struct look *to, const struct look *from, unsigned times)
{
    to->second = from->second;
    memcpy(to->total, from->total, sizeof to->total);
    memcpy(to->time, from->time, times * sizeof *to->time);
}

static void begin_step(struct look *begin, const struct look *from, unsigned times)
{
    copy_look(begin, from, times);
    memset(begin->gauge, 0, sizeof begin->gauge);
    memset(begin->gauges, 0, sizeof begin->gauges);
}

static void add_gauges(struct look *begin, const struct look *now)
{
    for (int i = 0; i < GAUGE_COUNT; i++)
        if (!isnan(now->gauge[i])) {
            begin->gauge[i] += now->gauge[i];
            begin->gauges[i]++;
        }
}

/* What the recipes of a subject are, and how many times it has. */
struct kind {
    const struct recipe *recipe;
    unsigned recipes, times;
};
static const struct kind the_fleet = { recipes, SERIES_COUNT, TIME_COUNT };
static const struct kind a_node = { node_recipes, NODE_SERIES_COUNT, 1 };

static void sample_subject(struct history *h, struct subject *s, const struct kind *kind, const struct look *now)
{
    for (int r = 0; r < RANGES; r++) {
        const struct history_ring *ring = &history_rings[r];
        struct look *begin = &s->begin[r];
        if (!s->continues)
            begin_step(begin, now, kind->times);
        else if (s->seen / ring->step != h->second / ring->step)
            begin_step(begin, &s->last, kind->times);
        add_gauges(begin, now);
        unsigned place = history_place(h, (enum history_range)r, 0);
        for (unsigned i = 0; i < kind->recipes; i++)
            s->row[i].point[place] = (float)point_of(&kind->recipe[i], begin, now);
    }
    copy_look(&s->last, now, kind->times);
    s->seen = h->second;
    s->continues = true;
}

static void sample_fleet(struct history *h, const struct pulse *p)
{
    struct look now = { .second = h->second, .time = (struct gist_copy *)p->time };
    memcpy(now.total, p->total, sizeof now.total);
    memcpy(now.gauge, p->gauge, sizeof now.gauge);
    sample_subject(h, &h->fleet, &the_fleet, &now);
}

static void sample_node(struct history *h, const struct pulse_node *n, int64_t before)
{
    struct look now = { .second = h->second, .total = { n->tokens }, .time = (struct gist_copy *)&n->first };
    for (int i = 0; i < GAUGE_COUNT; i++)
        now.gauge[i] = i ? NAN : n->inflight;
    struct subject *s = history_node_or_new(h, str_of(n->name), h->second);
    if (!s)
        return;
    s->continues = s->continues && s->seen == before; /* one that was away begins anew */
    sample_subject(h, s, &a_node, &now);
}

static void start_anew(struct history *h)
{
    h->second = 0;
    h->fleet.continues = false;
    clear_rows(h->fleet_row, SERIES_COUNT);
    for (unsigned i = 0; i < PULSE_NODES; i++)
        h->node[i].name[0] = 0;
}

#define CLOCK_SLIP 60 /* seconds a clock may be set back before the past is given up */

void history_sample(struct history *h, const struct pulse *p)
{
    int64_t second = (p->wall + MSEC(500)) / SECOND(1) - 1;
    pthread_mutex_lock(&h->lock);
    if (second + CLOCK_SLIP < h->second)
        start_anew(h);
    if (second > h->second) {
        int64_t before = h->second;
        h->second = second;
        clear_new_steps(h, before);
        sample_fleet(h, p);
        for (unsigned i = 0; i < p->nodes; i++)
            sample_node(h, &p->node[i], before);
    }
    pthread_mutex_unlock(&h->lock);
}

/* --- life --- */

static void give_times(struct subject *s, struct gist_copy *time, unsigned times)
{
    s->last.time = time;
    for (unsigned r = 0; r < RANGES; r++)
        s->begin[r].time = time + (r + 1) * times;
}

struct history *history_new(void)
{
    struct history *h = memory_strikes() ? NULL : calloc(1, sizeof *h);
    if (!h)
        return NULL;
    pthread_mutex_init(&h->lock, NULL);
    h->fleet.row = h->fleet_row;
    give_times(&h->fleet, h->fleet_time[0], TIME_COUNT);
    for (unsigned i = 0; i < PULSE_NODES; i++) {
        h->node[i].row = h->node_row[i];
        give_times(&h->node[i], h->node_time[i], 1);
    }
    start_anew(h);
    return h;
}

void history_free(struct history **h)
{
    if (*h)
        pthread_mutex_destroy(&(*h)->lock);
    free(*h);
    *h = NULL;
}
