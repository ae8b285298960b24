/* Nodes that fail, one after another, under load.
 *
 *      load at 80 % ---> gateway ---> 8 simulated nodes
 *                                     kill -9 | SIGSTOP | 500 at once       for a while, then started again, and
 * watched
 *
 * Each failure has a load of its own, which begins before it and ends when the node has been back for half a minute.
 * Answers are not streamed: an answer is there whole or was not given yet, so that every request may be saved, and one
 * that fails counts. (What a stream says when its node dies in the middle is for tests, not for a bench.) How work
 * comes back is told by the tokens that the node wrote, beside the mean of the others. */
#include "bench/failover.h"

#include "base/sys.h"
#include "bench/bench.h"
#include "bench/request.h"
#include "bench/simfleet.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define SLOTS   4
#define DECODE  200.0
#define TOKENS  40
#define SHARE   0.8
#define OPEN_IS 2 /* of ollamamax_breaker_state */

enum row_no {
    FAILED_KILL,
    FAILED_STOP,
    FAILED_500,
    LONGEST_KILL,
    LONGEST_STOP,
    LONGEST_500,
    ELSEWHERE_KILL,
    ELSEWHERE_STOP,
    ELSEWHERE_500,
    ATTEMPTS,
    BREAKERS,
    BACK_FIRST,
    BACK_LAST,
    ROWS
};
static const struct promise promises[ROWS] = {
    [FAILED_KILL] = {"failed_kill",      "failed, kill -9",        "of 10k", OF_ITSELF,  AT_MOST, 1,   0},
    [FAILED_STOP] = { "failed_stop",     "failed, SIGSTOP",        "of 10k", OF_ITSELF,  AT_MOST, 1,   0},
    [FAILED_500] = { "failed_500",      "failed, 500 at once",    "of 10k", OF_ITSELF,  AT_MOST, 1,   0},
    [LONGEST_KILL] = { "longest_kill_ms", "longest, kill -9",       "ms",     OF_NOTHING, AT_MOST, 0,   0},
    [LONGEST_STOP] = { "longest_stop_ms", "longest, SIGSTOP",       "ms",     OF_NOTHING, AT_MOST, 0,   0},
    [LONGEST_500] = { "longest_500_ms",  "longest, 500 at once",   "ms",     OF_NOTHING, AT_MOST, 0,   0},
    [ELSEWHERE_KILL] = { "elsewhere_kill",  "elsewhere, kill -9",     "1",      OF_NOTHING, AT_MOST, 0,   0},
    [ELSEWHERE_STOP] = { "elsewhere_stop",  "elsewhere, SIGSTOP",     "1",      OF_NOTHING, AT_MOST, 0,   0},
    [ELSEWHERE_500] = { "elsewhere_500",   "elsewhere, 500 at once", "1",      OF_NOTHING, AT_MOST, 0,   0},
    [ATTEMPTS] = { "attempts",        "attempts per request",   "1",      OF_ITSELF,  AT_MOST, 1.2, 0},
    [BREAKERS] = { "breakers",        "breakers open, most",    "1",      OF_NOTHING, AT_MOST, 0,   0},
    [BACK_FIRST] = { "back_first",      "share when just back",   "1",      OF_NOTHING, AT_MOST, 0,   0},
    [BACK_LAST] = { "back_last",       "share after that",       "1",      OF_NOTHING, AT_MOST, 0,   0},
};
static struct row rows[ROWS];

struct size {
    nsec before, outage, after, look; /* look: how long the first and the last moments of `after` are */
};
static const struct size whole = { SECOND(2), SECOND(15), SECOND(33), SECOND(5) };
static const struct size quick = { SECOND(1), SECOND(3), SECOND(4), SECOND(2) };

struct failover {
    const struct size *size;
    struct simfleet fleet;
    double first, last; /* shares of the nodes that came back, added up */
    double requests, breakers;
    bool tell;
};

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static enum fail kill_it(struct failover *o, unsigned node)
{
    return kill(o->fleet.node[node].child.pid, SIGKILL) ? FAIL_io_error : OK;
}

static enum fail stop_it(struct failover *o, unsigned node)
{
    return kill(o->fleet.node[node].child.pid, SIGSTOP) ? FAIL_io_error : OK;
}

static enum fail make_it_fail(struct failover *o, unsigned node)
{
    return simfleet_fault(&o->fleet, node, "{\"status\":500,\"count\":1000000}");
}

static const struct failure {
    const char *name;
    enum fail (*begin)(struct failover *o, unsigned node);
    enum row_no failed, longest, elsewhere;
} failures[] = {
    {"kill -9",      kill_it,      FAILED_KILL, LONGEST_KILL, ELSEWHERE_KILL},
    { "SIGSTOP",     stop_it,      FAILED_STOP, LONGEST_STOP, ELSEWHERE_STOP},
    { "500 at once", make_it_fail, FAILED_500,  LONGEST_500,  ELSEWHERE_500 },
};

/* ---- watching ---------------------------------------------------------------------------------------------------- */

static void watch_breakers(struct failover *o)
{
    o->breakers = fmax(o->breakers, simfleet_metric(&o->fleet, "ollamamax_breaker_state", ""));
}

static enum fail wait_and_watch(struct failover *o, nsec t)
{
    for (nsec end = sys_now() + t; sys_now() < end;) {
        if (children_interrupted())
            return FAIL_client_gone;
        watch_breakers(o);
        usleep(200000);
    }
    return OK;
}

static double tokens_of(const struct failover *o, const char *node)
{
    char labels[64];
    snprintf(labels, sizeof labels, "%s%s%stype=\"output\"", *node ? "node=\"" : "", node, *node ? "\"," : "");
    return simfleet_metric(&o->fleet, "ollamamax_tokens_total", labels);
}

/* What the node gets of the work, where 1 is as much as each other one. */
static enum fail measure_share(struct failover *o, unsigned node, double *sum)
{
    char name[16];
    snprintf(name, sizeof name, "n%u", node);
    double own = tokens_of(o, name), all = tokens_of(o, "");
    enum fail f = wait_and_watch(o, o->size->look);
    own = tokens_of(o, name) - own, all = tokens_of(o, "") - all;
    *sum += all > own ? own * (SIMFLEET_NODES - 1) / (all - own) : 0;
    return f;
}

/* ---- one failure ------------------------------------------------------------------------------------------------- */

static double capacity(void)
{
    return SIMFLEET_NODES * SLOTS * DECODE / TOKENS; /* requests per second */
}

static enum fail start_load(struct failover *o, struct simfleet_load *l, uint64_t seed)
{
    const struct size *s = o->size;
    struct load_plan p = { .connections = 512, .rate = SHARE * capacity(), .shape = ARRIVAL_POISSON, .seed = seed };
    char body[256];

    snprintf(body, sizeof body,
             "{\"model\":\"" SIMFLEET_MODEL
             "\",\"stream\":false,\"options\":{\"num_predict\":%d},\"messages\":[{\"role\":\"user\","
             "\"content\":\"What is the capital of France?\"}]}",
             TOKENS);
    p.request = request_post(&o->fleet.arena, "/api/chat", body);
    p.requests = (uint64_t)(p.rate * (double)(s->before + s->outage + s->after) / 1e9);
    p.patience = SECOND(30);
    return p.request.n ? simfleet_load_start(&o->fleet, l, &p) : FAIL_no_memory;
}

static enum fail fail_and_return(struct failover *o, const struct failure *it, unsigned node)
{
    const struct size *s = o->size;
    enum fail f = wait_and_watch(o, s->before);

    f = f ? f : it->begin(o, node);
    f = f ? f : wait_and_watch(o, s->outage);
    f = f ? f : simfleet_restart(&o->fleet, node);
    f = f ? f : measure_share(o, node, &o->first);
    f = f ? f : wait_and_watch(o, s->after - 2 * s->look);
    return f ? f : measure_share(o, node, &o->last);
}

static double retries(const struct failover *o)
{
    return simfleet_metric(&o->fleet, "ollamamax_retries_total", "");
}

static enum fail walk(struct failover *o, unsigned no)
{
    const struct failure *it = &failures[no];
    struct simfleet_load l = { 0 };

    if (o->tell)
        fprintf(stderr, "node n%u: %s\n", no, it->name);
    double before = retries(o);
    enum fail f = start_load(o, &l, no + 1);
    f = f ? f : fail_and_return(o, it, no);
    struct load_sum sum = simfleet_load_end(&l);
    if (f || sum.failed == FAIL_client_gone || sum.failed == FAIL_no_memory)
        return f ? f : sum.failed; /* else: who was not answered counts as failed */
    rows[it->failed].sample[WAY_OURS][0] = (double)sum.wrong * 1e4 / (double)(sum.done + sum.wrong);
    rows[it->longest].sample[WAY_OURS][0] = sum.whole_max;
    rows[it->elsewhere].sample[WAY_OURS][0] = retries(o) - before;
    o->requests += (double)(sum.done + sum.wrong);
    return OK;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void note_all(const struct failover *o)
{
    rows[ATTEMPTS].sample[WAY_OURS][0] = 1 + retries(o) / o->requests;
    rows[BREAKERS].sample[WAY_OURS][0] = o->breakers / OPEN_IS;
    rows[BACK_FIRST].sample[WAY_OURS][0] = o->first / ARRAY_LEN(failures);
    rows[BACK_LAST].sample[WAY_OURS][0] = o->last / ARRAY_LEN(failures);
}

static void state_facts(struct report *r, const struct size *s)
{
    report_fact(r, "nodes", "%d of %d slots", SIMFLEET_NODES, SLOTS);
    report_fact(r, "load", "%.0f %%, %.0f/s of %d tokens", 100 * SHARE, SHARE * capacity(), TOKENS);
    report_fact(r, "outage", "%d s each", (int)(s->outage / SECOND(1)));
    report_fact(r, "back", "the first %d s, and the last of %d s", (int)(s->look / SECOND(1)),
                (int)(s->after / SECOND(1)));
}

enum fail failover_run(const struct bench_options *options, struct report *out)
{
    static struct failover o;
    o = (struct failover){ .size = options->quick ? &quick : &whole, .tell = isatty(STDERR_FILENO) };
    o.fleet = (struct simfleet){ .program = options->gateway, .slots = SLOTS, .decode = DECODE, .policy = "eta" };
    for (unsigned i = 0; i < SIMFLEET_NODES; i++)
        o.fleet.speed[i] = 1;
    *out = (struct report){ .bench = "failover", .rounds = 1, .rows = ROWS, .row = rows, .alone = true };
    out->note = "Shares: what a node that is back gets of the work, 1 being as much as each other one.";
    for (unsigned i = 0; i < ROWS; i++)
        row_init(&rows[i], &promises[i]);
    state_facts(out, o.size);
    enum fail f = simfleet_open(&o.fleet);
    for (unsigned i = 0; i < ARRAY_LEN(failures) && !f; i++)
        f = walk(&o, i);
    if (!f)
        note_all(&o);
    simfleet_close(&o.fleet);
    return f;
}
