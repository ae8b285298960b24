/* sim/sim_run.c - one piece of model work through time.
 *
 *     start -> (PENDING, LOADING) -> loaded -> (WAITING) -> slotted: PREFILL -> DECODE -> finish
 *       |  load_duration            |  counted nowhere   |  prompt_eval  |   eval   |
 *
 * as Ollama counts it: the wait for a slot shows only in total_duration. Token i of n is due (i + 1) / rate after the
 * decoding began; whatever is due when the timer fires is said with one write. A rate of zero is a burst: all of it in
 * the call in which it was asked for, unless the reader is slower than that. */
#include "sim/sim.h"
#include <math.h>

#define BURST_BYTES   KIB(32)
#define PENDING_BYTES KIB(256) /* unsent: the reader is slow, and the model waits for it */

static void say_due(struct sim_client *c);

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void open_stream(struct sim_client *c)
{
    struct sim_run *r = &c->run;
    if (r->opened)
        return;
    r->opened = true;
    sim_stream_open(c, r->voice->type, r->voice->event_stream_headers);
    if (r->voice->open)
        r->voice->open(c);
}

/* The answer is made before the model is left, and sent after: then the slot is free when the client can know it. */
static void finish(struct sim_client *c)
{
    struct sim_run *r = &c->run;
    r->ended = sim_now(c);
    c->node->stats.tokens += r->tokens;
    if (r->stream) {
        open_stream(c);
        r->voice->close(c);
        sim_model_leave(r);
        sim_stream_end(c);
    } else {
        r->voice->whole(c, &c->record);
        sim_model_leave(r);
        sim_reply_json(c, text_str(&c->record));
    }
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

static nsec token_due(const struct sim_client *c, uint32_t i)
{
    double rate = c->node->decode;
    return rate > 0 ? c->run.decoded_from + (nsec)ceil((i + 1) * (1e9 / rate)) : c->run.decoded_from;
}

static void say_some(struct sim_client *c)
{
    struct sim_run *r = &c->run;
    while (r->said < r->tokens && token_due(c, r->said) <= sim_now(c) && text_str(&c->out).n < BURST_BYTES) {
        open_stream(c);
        r->voice->say(c, r->said++);
    }
}

static void say_due(struct sim_client *c)
{
    struct sim_run *r = &c->run;
    do {
        say_some(c);
        if (r->said == r->tokens) {
            finish(c);
            return;
        }
        sim_flush(c);
        r->blocked = conn_pending(&c->conn) > PENDING_BYTES;
    } while (!r->blocked && !c->doomed && token_due(c, r->said) <= sim_now(c));
    if (!r->blocked)
        sim_client_at(c, token_due(c, r->said), say_due);
}

void sim_run_resume(struct sim_client *c)
{
    if (c->run.stage == RUN_DECODE && c->run.blocked)
        say_due(c);
}

static void decode(struct sim_client *c)
{
    struct sim_run *r = &c->run;
    r->stage = RUN_DECODE;
    r->decoded_from = sim_now(c);
    if (r->tokens == 0)
        finish(c);
    else if (r->stream)
        say_due(c);
    else if (token_due(c, r->tokens - 1) <= sim_now(c))
        finish(c);
    else
        sim_client_at(c, token_due(c, r->tokens - 1), finish);
}

/* ---- the way there ----------------------------------------------------------------------------------------------- */

void sim_run_slotted(struct sim_run *r)
{
    struct sim_client *c = sim_client_of(r);
    double rate = c->node->prefill;
    r->stage = RUN_PREFILL;
    r->prefilled_from = sim_now(c);
    nsec time = rate > 0 ? (nsec)ceil((r->prompt_tokens - r->reused_tokens) * (1e9 / rate)) : 0;
    if (time > 0)
        sim_client_after(c, time, decode);
    else
        decode(c);
}

void sim_run_loaded(struct sim_run *r)
{
    struct sim_client *c = sim_client_of(r);
    r->stage = RUN_PREFILL;
    r->loaded = r->prefilled_from = r->decoded_from = sim_now(c);
    if (r->keep_set)
        r->model->keep_alive = r->keep;
    if (r->only_load)
        finish(c);
    else
        sim_model_want_slot(r);
}

bool sim_run_may_begin(const struct sim_run *r)
{
    const struct sim_model *m = r->model;
    return sim_model_suits(r) && list_empty(&m->waiting) && !list_empty(&m->free_slots);
}

void sim_run_start(struct sim_client *c)
{
    struct sim_run *r = &c->run;
    r->began = sim_now(c);
    r->id = sim_random(c->node);
    c->node->stats.works++;
    if (c->node->prefill > 0 && !sim_run_may_begin(r))
        r->prompt = str_dup(&c->arena, r->prompt);
    enum fail f = sim_model_want(r);
    if (f)
        sim_reply_fail(c, f, STR_NONE);
}

void sim_run_cancel(struct sim_client *c)
{
    if (c->run.stage == RUN_NONE)
        return;
    c->node->stats.aborted++;
    sim_model_leave(&c->run);
}
