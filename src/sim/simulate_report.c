/* sim/simulate_report.c - figures, as scheduling, section 7, defines them: percentile q = sorted[floor(q (n - 1))]. */
#include "sim/simulate_state.h"
#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, uint32_t n, double q)
{
    return sorted[(uint32_t)(q * (n - 1))];
}

static struct simulate_times times_of(double *v, uint32_t n)
{
    double sum = 0;
    if (!n)
        return (struct simulate_times){ 0 };
    qsort(v, n, sizeof *v, by_value);
    for (uint32_t i = 0; i < n; i++)
        sum += v[i];
    return (struct simulate_times){ sum / n, quantile(v, n, .5), quantile(v, n, .95), quantile(v, n, .99), v[n - 1] };
}

typedef nsec moment_of(const struct sim_request *r);
static nsec first_token(const struct sim_request *r)
{
    return r->first;
}
static nsec last_token(const struct sim_request *r)
{
    return r->ended;
}
static nsec slot_taken(const struct sim_request *r)
{
    return r->started;
}

static struct simulate_times times(const struct simulation *s, uint32_t tenant, moment_of *of, double *scratch)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->requests; i++) {
        const struct sim_request *r = &s->request[i];
        if (r->state == SERVED && (tenant == NONE || r->tenant == tenant))
            scratch[n++] = (double)(of(r) - r->at) / 1e9;
    }
    return times_of(scratch, n);
}

static void count_states(const struct simulation *s, struct simulate_result *out)
{
    for (uint32_t i = 0; i < s->requests; i++) {
        const struct sim_request *r = &s->request[i];
        out->served += r->state == SERVED;
        out->refused += r->state == REFUSED;
        out->failed += r->state == FAILED;
        if (r->tenant < SIMULATE_TENANTS) {
            out->tenant[r->tenant].requests++;
            out->tenant[r->tenant].refused += r->state == REFUSED;
        }
    }
}

/* Of work over weight, over nodes that are up. */
static double variation(const struct simulation *s, const double *work)
{
    double n = 0, sum = 0, squares = 0;
    for (uint32_t i = 0; i < s->spec->nodes; i++) {
        double v = work[i] / s->node[i].speed;
        if (s->node[i].up)
            n++, sum += v, squares += v * v;
    }
    double mean = n > 0 ? sum / n : 0;
    return mean > 0 ? sqrt(fmax(0, squares / n - mean * mean)) / mean : 0;
}

static double variation_of_all(const struct simulation *s, double *scratch)
{
    for (uint32_t i = 0; i < s->spec->nodes; i++)
        scratch[i] = s->node[i].work;
    return variation(s, scratch);
}

static double variation_of_windows(const struct simulation *s, double *scratch)
{
    uint32_t window = SIMULATE_WINDOW * s->spec->nodes;
    double most = 0;
    for (uint32_t from = 0; from + window <= s->requests; from += window) {
        memset(scratch, 0, s->spec->nodes * sizeof *scratch);
        for (uint32_t i = from; i < from + window; i++) {
            const struct sim_request *r = &s->request[i];
            if (r->state == SERVED)
                scratch[r->node] += (double)(r->ended - r->started) / 1e9 * s->node[r->node].speed;
        }
        most = fmax(most, variation(s, scratch));
    }
    return most;
}

static double offered(const struct simulation *s)
{
    double work = 0, speed = 0;
    for (uint32_t i = 0; i < s->requests; i++)
        work += s->request[i].in / s->spec->prefill + s->request[i].out / s->spec->decode;
    for (uint32_t n = 0; n < s->spec->nodes; n++)
        speed += s->node[n].speed;
    double lasts = (double)s->request[s->requests - 1].at / 1e9;
    return lasts > 0 ? work / (speed * s->spec->slots * lasts) : 0;
}

double simulate_full_rate(const struct simulate_spec *s, const struct trace *lengths)
{
    double work = 0, speed = 0;
    for (uint32_t i = 0; i < lengths->n; i++)
        work += lengths->request[i].in / s->prefill + lengths->request[i].out / s->decode;
    for (uint32_t i = 0; i < s->nodes; i++)
        speed += s->speed[i % s->speeds];
    return work > 0 ? speed * s->slots * lengths->n / work : 0;
}

/* From the end of the overload to the last arrival that waited over a second before the first 10 s without one. */
static double recovery(const struct simulation *s)
{
    double ends = s->spec->overload_ends, last = ends;
    for (uint32_t i = 0; i < s->requests && ends > 0; i++) {
        const struct sim_request *r = &s->request[i];
        double at = (double)r->at / 1e9;
        if (at < ends || r->state != SERVED || r->started - r->at <= SECOND(1))
            continue;
        if (at > last + 10)
            break;
        last = at;
    }
    return last - ends;
}

/* Of the slot-seconds that there were between begin and end of the overload. */
static double useful(const struct simulation *s)
{
    double from = s->spec->overload_begins, to = s->spec->overload_ends, used = 0;
    for (uint32_t i = 0; i < s->requests; i++) {
        const struct sim_request *r = &s->request[i];
        double started = (double)r->started / 1e9, ended = (double)r->ended / 1e9;
        if (r->state == SERVED && r->started - r->at <= SECOND(30))
            used += fmax(0, fmin(to, ended) - fmax(from, started));
    }
    return to > from ? used / ((to - from) * s->spec->nodes * s->spec->slots) : 0;
}

enum fail report_make(const struct simulation *s, struct simulate_result *out)
{
    double *scratch = malloc(MAX(s->requests, s->spec->nodes) * sizeof *scratch);
    if (!scratch)
        return FAIL_no_memory;
    *out = (struct simulate_result){
        .requests = s->requests, .loads = s->loads, .evictions = s->evictions, .retried = s->retried
    };
    out->tenants = MIN(s->spec->trace->tenants, SIMULATE_TENANTS);
    out->ttft = times(s, NONE, first_token, scratch);
    out->e2e = times(s, NONE, last_token, scratch);
    out->queue = times(s, NONE, slot_taken, scratch);
    for (uint32_t t = 0; t < out->tenants; t++)
        out->tenant[t].ttft = times(s, t, first_token, scratch);
    count_states(s, out);
    out->prefix_hit = s->blocks ? (double)s->hit_blocks / (double)s->blocks : 0;
    out->prefix_bound = trace_prefix_bound(s->spec->trace);
    out->cv_work = variation_of_all(s, scratch);
    out->cv_window = variation_of_windows(s, scratch);
    out->load = offered(s);
    out->useful = useful(s);
    out->recovery = out->recovery_worst = recovery(s);
    free(scratch);
    return OK;
}

/* ---- means over seeds ------------------------------------------------------------------------------------------- */

static void add_times(struct simulate_times *to, const struct simulate_times *t, double share)
{
    to->mean += t->mean * share, to->p50 += t->p50 * share, to->p95 += t->p95 * share, to->p99 += t->p99 * share;
    to->max += t->max * share;
}

static uint32_t mean_count(const struct simulate_result *r, uint32_t n, size_t field)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += *(const uint32_t *)(const void *)((const char *)&r[i] + field);
    return (uint32_t)(sum / n + 0.5);
}

static void add_tenants(struct simulate_result *to, const struct simulate_result *r, double share)
{
    for (uint32_t t = 0; t < to->tenants; t++)
        add_times(&to->tenant[t].ttft, &r->tenant[t].ttft, share);
}

struct simulate_result simulate_mean(const struct simulate_result *r, uint32_t n)
{
    struct simulate_result m = { .tenants = r->tenants, .prefix_bound = r->prefix_bound };
    static const size_t counts[] = {
        offsetof(struct simulate_result, loads),   offsetof(struct simulate_result, evictions),
        offsetof(struct simulate_result, refused), offsetof(struct simulate_result, requests),
        offsetof(struct simulate_result, served),  offsetof(struct simulate_result, failed),
        offsetof(struct simulate_result, retried)
    };
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        *(uint32_t *)(void *)((char *)&m + counts[i]) = mean_count(r, n, counts[i]);
    for (uint32_t t = 0; t < m.tenants; t++) {
        size_t at = offsetof(struct simulate_result, tenant) + t * sizeof *m.tenant;
        m.tenant[t].requests = mean_count(r, n, at + offsetof(struct simulate_tenant, requests));
        m.tenant[t].refused = mean_count(r, n, at + offsetof(struct simulate_tenant, refused));
    }
    for (uint32_t i = 0; i < n; i++) {
        double share = 1.0 / n;
        add_times(&m.ttft, &r[i].ttft, share), add_times(&m.e2e, &r[i].e2e, share),
            add_times(&m.queue, &r[i].queue, share);
        m.prefix_hit += r[i].prefix_hit * share, m.cv_work += r[i].cv_work * share, m.load += r[i].load * share;
        m.cv_window += r[i].cv_window * share;
        m.useful += r[i].useful * share, m.recovery += r[i].recovery * share;
        m.recovery_worst = fmax(m.recovery_worst, r[i].recovery_worst);
        add_tenants(&m, &r[i], share);
    }
    return m;
}
