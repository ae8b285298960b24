/* From the node's wire to the owner's sink, in whole records.
 *
 *     bytes -> [hold: unfinished tail] -> whole records -> look (proof? error?) -> sink
 *
 * A stream's unfinished tail is held back, so that an error record can start on a clean line; an unstreamed answer is
 * one record and so is held whole, which also leaves it free to be tried elsewhere when it breaks. What grows past 256
 * KiB is let through, and a break inside it closes the connection without a last chunk. An answer that is proven whole
 * ends at once for its client; the node's connection then waits by itself for the end of the wire. */
#include "gateway/gateway_private.h"

#define HOLD_MAX KIB(256)
#define SLOW_MAX MIB(1)

/* ---- to the sink ------------------------------------------------------------------------------------------------- */

/* Once the answer has begun nobody will ask for the request again (unless it may be unsaid): its memory goes back, if
 * the node is not still taking it in. */
static void forget_request(struct exchange *x)
{
    if (!x->up.conn || conn_pending(&x->up.conn->conn) || x->sink->unsay || x->again.may)
        return;
    body_release(x);
    x->up.body = STR_NONE;
    x->in.body.p = NULL;
}

enum step relay_enter(struct exchange *x)
{
    if (x->again.n)
        return STEP_WAIT; /* the head has gone out long ago */
    continue_begin(x);
    x->out.status = x->up.status;
    x->out.from_node = true;
    x->out.stream = x->up.form != FORM_WHOLE;
    hedge_end(x); /* before what it sends is forgotten */
    forget_request(x);
    x->sink->head(x);
    return STEP_WAIT;
}

/* A slot is dearer than memory: a node is read at its own pace until 1 MiB waits for the client. */
static void mind_slow_reader(struct exchange *x)
{
    struct node_conn *nc = x->up.conn;

    if (nc && !nc->ended && !nc->paused && x->sink->waiting && x->sink->waiting(x) > SLOW_MAX) {
        nc->paused = true;
        nc->paused_behind = x->sink->waiting(x);
        conn_watch(&nc->conn, SOCK_HUP);
    }
}

static void push_on(struct exchange *x, struct str bytes, bool last)
{
    if (x->stage == STAGE_ATTEMPT)
        exchange_wake(x, STEP_NEXT);
    x->tally.last = worker_now(x->worker);
    if (!x->tally.first) {
        x->tally.first = worker_clock(x->worker);
        if (x->ticket.lease.learns && x->up.form != FORM_WHOLE)
            fleet_first(x->worker->gateway->fleet, &x->ticket.lease, x->tally.last);
    }
    x->tally.bytes_out += bytes.n;
    if (last)
        x->out.complete = true;
    x->sink->push(x, bytes, last);
    if (!last)
        mind_slow_reader(x);
}

/* False: memory is out, and the exchange over or elsewhere. */
static bool push(struct exchange *x, struct str bytes, bool last)
{
    struct text room = { 0 };
    bool good = names_restore(x, &bytes, &room);

    if (good)
        push_on(x, bytes, last);
    else
        attempt_broken(x, FAIL_no_memory);
    text_free(&room);
    return good;
}

static void done(struct exchange *x, enum fail why)
{
    x->tally.why = why;
    attempt_over(x, why, false);
    exchange_wake(x, STEP_FINISH);
}

/* Does the beginning of a large record already say that it is the last? (generate's `context` makes final records of
 * any size, and stands behind `done`.) Members are read one by one until one is cut off. */
static bool begins_as_last(const struct exchange *x, struct str head)
{
    struct str rest = str_drop(str_trim(head), 1);
    struct json key, value = { 0 };

    if (x->up.form != FORM_NDJSON)
        return false;
    do {
        key = json_parse(rest, &rest);
        rest = str_trim(rest);
        if (key.kind != JSON_STRING || !rest.n || rest.p[0] != ':')
            return false;
        value = json_parse(str_drop(rest, 1), &rest);
        if (value.kind == JSON_TRUE && json_key_is(key.raw, STR("done")))
            return true;
        rest = str_trim(rest);
    } while (value.kind != JSON_BAD && rest.n && rest.p[0] == ',' && (rest = str_drop(rest, 1), true));
    return false;
}

/* The unfinished record has grown too large to be held back. False: the exchange is over. */
static bool let_through(struct exchange *x)
{
    struct buf big = x->up.hold;
    bool good;

    x->up.large_is_last = begins_as_last(x, buf_str(&big));

    x->up.hold = (struct buf){ 0 };
    x->up.let_through = x->again.lost = true;
    good = push(x, buf_str(&big), false);
    buf_free(&big);
    return good;
}

/* ---- unstreamed answers, and error answers ----------------------------------------------------------------------- */

/* The message of an error, whatever its JSON; in the arena. */
static struct str said(struct exchange *x, struct json error)
{
    struct str text = error.kind == JSON_STRING ? json_text(&x->arena, error) : error.raw;

    return text.n ? str_dup(&x->arena, str_take(text, 256)) : STR_NONE;
}

static void keep_error(struct exchange *x, struct str body, struct str message)
{
    if (body.n > KIB(64))
        return;
    x->up.said_status = x->up.status;
    x->up.said = str_dup(&x->arena, body);
    x->up.said_type = x->out.content_type;
    x->up.said_text = message;
}

/* An error answer, or the text of an error record: is it this node's failure, so that somebody else may do better? */
static enum fail judge_said(const struct exchange *x, struct str text)
{
    switch (record_said(x->up.status, text)) {
    case SAID_BUSY: return FAIL_upstream_busy;
    case SAID_NO_MODEL: return x->ticket.model_hash ? FAIL_upstream_no_model : OK;
    case SAID_FAILURE: return FAIL_upstream_error;
    default: return OK; /* the request's own fault: the client's to read */
    }
}

static enum fail judge_whole(struct exchange *x, struct str body)
{
    struct json error = { 0 };
    enum record_mark mark = MARK_NONE;

    if (!exchange_is_question(x))
        return OK; /* whoever asked judges for himself */
    if (x->route.row && x->route.row->flags & ROUTE_NO_RETRY)
        return OK; /* nobody else will be asked: the node's own words are the best there are */
    if (x->route.row && x->route.row->kind == KIND_MODEL && x->route.row->id != ROUTE_v1_transcribe)
        mark = record_look_whole(x->up.dialect, body, &x->up.figures, &error);
    x->up.proven = mark == MARK_DONE && x->up.status < 400;
    if (x->up.status >= 400)
        keep_error(x, body, said(x, error));
    return x->up.status >= 400 || mark == MARK_ERROR ? judge_said(x, body) : OK; /* LM Studio says 200 and an error */
}

static void whole_answer(struct exchange *x, struct str body)
{
    enum fail why = judge_whole(x, body);
    struct text room = { 0 };

    if (!why && !names_restore(x, &body, &room))
        why = FAIL_no_memory;
    if (why && !x->out.head_sent) {
        attempt_broken(x, why);
    } else {
        x->out.length = (int64_t)body.n;
        x->tally.records = 1;
        push_on(x, body, true);
        done(x, OK);
    }
    text_free(&room);
}

static void take_whole(struct exchange *x, struct str in, bool end)
{
    struct buf *hold = &x->up.hold;

    if (end && !buf_len(hold) && !x->up.let_through) {
        whole_answer(x, in);
        return;
    }
    if (!x->up.let_through && buf_append(hold, in)) {
        attempt_broken(x, FAIL_no_memory);
        return;
    }
    if (x->up.let_through) {
        x->up.proven = end && x->up.conn && !http_body_eof_is_end(&x->up.conn->body);
        if (push(x, in, end) && end)
            done(x, OK);
    } else if (end) {
        whole_answer(x, buf_str(hold));
    } else if (buf_len(hold) > HOLD_MAX) {
        let_through(x);
    }
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

/* The wire has ended (or nothing more is wanted): was the answer whole? */
static void stream_ended(struct exchange *x)
{
    x->again.may = false; /* a clean end is no death */
    if (x->up.failed_in_band) {
        push_on(x, STR_NONE, true);
        done(x, FAIL_upstream_said);
        return;
    }
    attempt_broken(x, FAIL_upstream_cut);
}

/* Before the first record has gone out, an error record is as good as an error answer: somebody else may do better,
 * unless it is the request's own fault. */
static enum fail judge_first(struct exchange *x)
{
    bool first = x->stage == STAGE_ATTEMPT && x->route.row && x->route.row->kind == KIND_MODEL;

    return first ? judge_said(x, x->up.said_text) : OK;
}

/* Somebody else may go on where this node says that it cannot: all but its error goes out. */
static bool break_at_error(struct exchange *x, struct str records, unsigned n)
{
    struct str good = str_take(records, record_last(x->up.form, records));

    x->tally.records += n - 1;
    if (good.n && !push(x, good, false))
        return false;
    continue_note(x, good);
    attempt_broken(x, FAIL_upstream_error);
    return false;
}

static bool may_break_at_error(const struct exchange *x)
{
    return x->stage == STAGE_RELAY && judge_said(x, x->up.said_text) == FAIL_upstream_error &&
           continue_would(x, FAIL_upstream_error);
}

static bool push_records(struct exchange *x, struct str records)
{
    struct text room = { 0 };
    bool good = !x->up.proven || continue_join(x, &records, &room);

    if (!good)
        attempt_broken(x, FAIL_no_memory);
    else
        good = push(x, records, x->up.proven);
    text_free(&room);
    return good;
}

/* Whole records, ready to go. False: the exchange is over, or elsewhere. */
static bool take_records(struct exchange *x, struct str records, unsigned n)
{
    struct json error = { 0 };
    enum record_mark mark = record_look(x->up.dialect, x->up.form, records, &x->up.figures, &error);

    if (mark == MARK_HOLLOW) { /* dropped: the stream will end without proof, and its client be told so truthfully */
        records.n = record_last(x->up.form, records);
        if (!records.n)
            return true;
    }
    if (mark == MARK_ERROR) {
        x->up.said_text = said(x, error);
        enum fail why = judge_first(x);
        if (why) {
            attempt_broken(x, why);
            return false;
        }
        if (may_break_at_error(x))
            return break_at_error(x, records, n);
        x->up.failed_in_band = true;
    }
    x->tally.records += n;
    x->up.proven = mark == MARK_DONE && !x->up.failed_in_band;
    if (!push_records(x, records))
        return false;
    if (!x->up.proven) {
        continue_note(x, records);
        return true;
    }
    done(x, OK);
    return false;
}

static bool take_first_part(struct exchange *x, struct str in, size_t whole, unsigned n)
{
    struct buf *hold = &x->up.hold, ready = *hold;
    bool goes_on;

    if (!buf_len(hold))
        return take_records(x, str_take(in, whole), n);
    *hold = (struct buf){ 0 };
    if (buf_append(&ready, str_take(in, whole))) {
        buf_free(&ready);
        attempt_broken(x, FAIL_no_memory);
        return false;
    }
    goes_on = take_records(x, buf_str(&ready), n);
    buf_free(&ready);
    return goes_on;
}

static bool take_rest(struct exchange *x, struct str rest)
{
    if (x->up.let_through)
        return push(x, rest, false);
    if (rest.n && buf_append(&x->up.hold, rest)) {
        attempt_broken(x, FAIL_no_memory);
        return false;
    }
    return buf_len(&x->up.hold) <= HOLD_MAX || let_through(x);
}

/* The end of the large record, and perhaps more: what follows is clean again. */
static bool take_large_end(struct exchange *x, struct str in, unsigned n)
{
    x->up.let_through = false;
    if (!x->up.large_is_last)
        return take_records(x, in, n);
    x->tally.records += n;
    x->up.proven = true;
    if (push(x, in, true))
        done(x, OK);
    return false;
}

static struct str last_bytes(const struct buf *b)
{
    struct str s = buf_str(b);

    return str_drop(s, s.n > 3 ? s.n - 3 : 0);
}

static void take_stream(struct exchange *x, struct str in, bool end)
{
    unsigned n = 0;
    size_t whole = in.n ? record_whole(x->up.form, last_bytes(&x->up.hold), in, &n) : 0;

    if (whole && x->up.let_through) {
        if (!take_large_end(x, str_take(in, whole), n))
            return;
    } else if (whole && !take_first_part(x, in, whole, n)) {
        return;
    }
    if (whole < in.n && !take_rest(x, str_drop(in, whole)))
        return;
    if (end)
        stream_ended(x);
}

void relay_take(struct exchange *x, struct str bytes, bool end)
{
    if (x->up.form == FORM_WHOLE)
        take_whole(x, bytes, end);
    else
        take_stream(x, bytes, end);
}

void relay_broken(struct exchange *x, enum fail why)
{
    if (why == FAIL_upstream_reset || why == FAIL_upstream_garbage)
        why = FAIL_upstream_cut;
    attempt_over(x, why, false);
    x->out.broken = x->up.let_through || x->up.form == FORM_WHOLE ? BREAK_INSIDE : BREAK_CLEAN;
    exchange_wake(x, answer_fail(x, why, why == FAIL_upstream_error ? x->up.said_text : STR_NONE));
}
