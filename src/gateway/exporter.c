/* The exporter: a ring of copies, and one errand.
 *
 *     requests --read, once a second--> ring --up to 512 spans--> errand --> taken: they leave the ring, the next goes
 *                                                                    \-> later: they stay, until it is time
 *                                                                    \-> refused: they leave the ring
 *
 * Copies rather than bodies ready to be sent, because what is dropped then costs no writing, and a batch that is sent
 * again is the same without having been kept. New ones are dropped, not old ones, so that what is told of a bad time is
 * its beginning. */
#include "gateway/exporter.h"

#include "base/log.h"
#include "base/slab.h"
#include "gateway/errand.h"
#include "gateway/gateway_private.h"
#include "observe/otlp.h"

#include <stdlib.h>

#define PATIENCE   SECOND(10)
#define PAUSE_MOST SECOND(3600) /* that a collector may ask for */
#define USUAL_PATH STR("v1/traces")

struct kept {
    struct record record;
    struct request_detail detail;
};
struct exporter {
    struct worker *worker;
    struct requests *requests;
    char *url; /* NULL: no collector, and none of what follows */
    char *headers;
    struct requests_reader *reader;
    struct kept *ring;
    unsigned first, waiting; /* of the ring; */
    unsigned sending, spans; /* the first `sending` of it are under way, so many spans */
    struct errand errand;
    struct text body;
    unsigned tries;
    nsec next; /* not before */
    bool drops, troubled, stopped;
    void (*finished)(void *arg); /* NULL: nobody waits for the end */
    void *finished_arg;
    _Atomic uint64_t count[EXPORTER_RESULTS], retries;
};

static void count(struct exporter *e, enum exporter_result result, uint64_t n)
{
    atomic_fetch_add_explicit(&e->count[result], n, memory_order_relaxed);
}

/* ---- the ring ---------------------------------------------------------------------------------------------------- */

static struct kept *at(const struct exporter *e, unsigned i)
{
    return &e->ring[(e->first + i) % EXPORTER_QUEUE];
}

static void keep(const struct record *r, const struct request_detail *d, void *arg)
{
    struct exporter *e = arg;
    unsigned spans = otlp_spans(r, d);

    if (spans && e->waiting < EXPORTER_QUEUE)
        *at(e, e->waiting++) = (struct kept){ *r, *d };
    else
        count(e, EXPORTER_DROPPED, spans);
}

static void take_new(struct exporter *e)
{
    uint64_t before = exporter_count(e, EXPORTER_DROPPED);
    bool drops;

    count(e, EXPORTER_DROPPED, requests_read(e->reader, keep, e)); /* unseen ones count as one span */
    drops = exporter_count(e, EXPORTER_DROPPED) > before;
    if (drops && !e->drops)
        log_warn("the collector of traces does not keep up: spans are dropped");
    e->drops = drops;
}

static void take_out(struct exporter *e, enum exporter_result result)
{
    count(e, result, e->spans);
    e->first = (e->first + e->sending) % EXPORTER_QUEUE;
    e->waiting -= e->sending;
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

/* False: memory is out. */
static bool write_batch(struct exporter *e)
{
    struct json_out j = { .to = &e->body };

    e->sending = e->spans = 0;
    otlp_begin(&j, str_of(e->worker->gateway->instance));
    while (e->sending < e->waiting) {
        struct kept *k = at(e, e->sending);
        unsigned spans = otlp_spans(&k->record, &k->detail);

        if (e->spans + spans > EXPORTER_BATCH)
            break;
        otlp_put(&j, &k->record, &k->detail);
        e->sending++;
        e->spans += spans;
    }
    otlp_end(&j);
    return !e->body.failed;
}

static void forget_body(struct exporter *e)
{
    text_free(&e->body);
    e->body = (struct text){ 0 };
}

static void send_batch(struct exporter *e)
{
    if (!e->waiting || e->stopped)
        return;
    if (!write_batch(e)) {
        forget_body(e);
        return;
    }
    e->errand.body = text_str(&e->body);
    e->errand.path = str_eq(e->errand.to.path, STR("/")) ? USUAL_PATH : STR_NONE;
    e->errand.headers = str_of(e->headers);
    e->errand.patience = PATIENCE;
    errand_run(&e->errand);
}

/* OTLP 1.x, "Failures" and "OTLP/HTTP Connection": all else is not to be sent again. */
static bool may_come_again(const struct errand *r)
{
    return !r->status || r->status == 429 || r->status == 502 || r->status == 503 || r->status == 504;
}

/* Once, until all is well again. */
static void say_trouble(struct exporter *e)
{
    char what[192];

    if (e->troubled)
        return;
    e->troubled = true;
    errand_put_result(&e->errand, what, sizeof what);
    log_warn("traces do not reach %.*s: %s", STR_ARG(errand_place(e->url)), what);
}

static void say_well(struct exporter *e)
{
    if (e->troubled)
        log_info("traces reach %.*s again", STR_ARG(errand_place(e->url)));
    e->troubled = false;
}

static void taken(struct exporter *e)
{
    uint64_t rejected = MIN(otlp_rejected(str_of(e->errand.says)), (uint64_t)e->spans);

    if (rejected)
        say_trouble(e);
    else
        say_well(e);
    count(e, EXPORTER_FAILED, rejected);
    e->spans -= (unsigned)rejected;
    take_out(e, EXPORTER_EXPORTED);
    e->tries = 0;
}

static void refused(struct exporter *e)
{
    say_trouble(e);
    take_out(e, EXPORTER_FAILED);
    e->tries = 0;
}

static void comes_later(struct exporter *e)
{
    nsec pause = errand_pause(e->worker, ++e->tries);

    say_trouble(e);
    if (e->errand.retry_after >= 0)
        pause = MIN(e->errand.retry_after, PAUSE_MOST);
    e->next = worker_now(e->worker) + pause;
    atomic_fetch_add_explicit(&e->retries, 1, memory_order_relaxed);
}

static void say_finished(struct exporter *e)
{
    void (*finished)(void *arg) = e->finished;

    if (!finished || errand_is_busy(&e->errand))
        return;
    e->finished = NULL;
    finished(e->finished_arg);
}

static void answered(struct errand *errand)
{
    struct exporter *e = CONTAINER(errand, struct exporter, errand);
    bool again = false;

    forget_body(e);
    if (errand->status / 100 == 2) /* even if the rest of the answer was lost: it has the spans */
        taken(e);
    else if ((again = may_come_again(errand)))
        comes_later(e);
    else
        refused(e);
    e->sending = e->spans = 0;
    if (!again)
        send_batch(e);
    say_finished(e);
}

void exporter_turn(struct exporter *e)
{
    if (!e->url)
        return;
    take_new(e);
    if (!errand_is_busy(&e->errand) && worker_now(e->worker) >= e->next)
        send_batch(e);
}

/* ---- which collector --------------------------------------------------------------------------------------------- */

static void leave(struct exporter *e)
{
    errand_cancel(&e->errand);
    forget_body(e);
    for (unsigned i = 0; i < e->waiting; i++)
        count(e, EXPORTER_DROPPED, otlp_spans(&at(e, i)->record, &at(e, i)->detail));
    e->first = e->waiting = e->sending = e->spans = e->tries = 0;
    e->next = 0;
    e->drops = e->troubled = false;
    requests_reader_free(&e->reader);
    free(e->ring);
    free(e->url);
    free(e->headers);
    e->ring = NULL;
    e->url = e->headers = NULL;
}

static bool begin(struct exporter *e, struct str url, struct str headers)
{
    e->url = memory_strikes() ? NULL : strndup(url.p, url.n);
    e->headers = memory_strikes() ? NULL : strndup(headers.n ? headers.p : "", headers.n);
    e->ring = memory_strikes() ? NULL : malloc(EXPORTER_QUEUE * sizeof *e->ring);
    e->reader = requests_reader_new(e->requests);
    return e->url && e->headers && e->ring && e->reader && errand_to_read(str_of(e->url), &e->errand.to);
}

void exporter_configure(struct exporter *e, const struct gateway_settings *s)
{
    if (e->url ? str_eq(str_of(e->url), s->otlp) && str_eq(str_of(e->headers), s->otlp_headers) : !s->otlp.n)
        return;
    leave(e);
    if (s->otlp.n && !begin(e, s->otlp, s->otlp_headers)) {
        leave(e);
        log_error("there is no memory for an exporter of traces");
    }
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct exporter *exporter_new(struct worker *first, struct requests *requests)
{
    struct exporter *e = memory_strikes() ? NULL : calloc(1, sizeof *e);

    if (!e)
        return NULL;
    e->worker = first;
    e->requests = requests;
    e->errand.worker = first;
    e->errand.done = answered;
    return e;
}

void exporter_finish(struct exporter *e, void (*done)(void *arg), void *arg)
{
    if (e->finished)
        return;
    e->finished = done;
    e->finished_arg = arg;
    e->next = 0;
    exporter_turn(e);
    say_finished(e);
}

void exporter_stop(struct exporter *e)
{
    e->stopped = true;
    e->finished = NULL;
    errand_cancel(&e->errand);
}

/* After the loops: no look-up runs any more. */
void exporter_free(struct exporter **exporter)
{
    struct exporter *e = *exporter;

    *exporter = NULL;
    if (!e)
        return;
    leave(e);
    free(e);
}

uint64_t exporter_count(struct exporter *e, enum exporter_result result)
{
    return atomic_load_explicit(&e->count[result], memory_order_relaxed);
}

uint64_t exporter_retries(struct exporter *e)
{
    return atomic_load_explicit(&e->retries, memory_order_relaxed);
}
