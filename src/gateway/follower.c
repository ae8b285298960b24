/* A client's exchange that reads a tape: the source that answers it in place of a node.
 *
 *     tape: more --ready--> read_on --push--> sink --rest--> (a millisecond) --gather--> read_on ...
 *                                              '--- full --> (drained) -----resume--> read_on ...
 *
 * The bytes go from the tape's block to the client's socket without a copy, at the client's pace, as a node's would:
 * the sink's millisecond and its backlog are heeded by leaving the bytes where they are. What a node's connection is to
 * an exchange on the road, the follower is here, so the sink tells both through attempt_rest, attempt_gather and
 * attempt_resume. A client that falls 1 MiB behind for 30 s is ended, and so is one that reads nothing at all of an
 * answer that has ended, after what an idle client is allowed; only a timer can notice, since nothing else happens.
 *
 * One seat for each worker and tape, and one mail in it: 250 followers of a stream on a worker cost its writer one
 * message. */
#include "gateway/flight.h"
#include "gateway/gateway_private.h"
#include "gateway/retell.h"

#define BACKLOG    KIB(64) /* unread by the client: what comes next waits on the tape, where it costs nothing */
#define PIECE      KIB(64) /* of what is retold, at a time */
#define LOOK_AGAIN MSEC(2) /* the sink's millisecond is over by then */

struct follower {
    struct tape_reader reader;
    struct exchange *x;
    struct flight *leads; /* NULL: nothing, or it is over */
    struct flight_head head;
    struct flight_texts texts; /* on the tape, or in the arena when it is retold */
    struct retell retell;
    bool fresh; /* the tape was whole when x came */
    bool headed, answered, resting, gathering;
    bool inside;        /* what was pushed ends in the middle of a record */
    size_t waiting;     /* bytes that the client had not read when last looked at, */
    nsec patient_until; /* and how long they may stay so many; 0: as long as they like */
};
struct seat {
    struct tape_seat seat;
    struct mail mail;
    struct worker *worker;
};
static struct slab seats;

void follower_pools_init(void)
{
    slab_init(&seats, "tape seat", sizeof(struct seat));
}

void follower_pools_done(void)
{
    slab_done(&seats);
}

/* ---- seats ------------------------------------------------------------------------------------------------------- */

/* Under the tape's lock, on the writer's worker. */
static void seat_woken(struct tape_seat *s)
{
    struct seat *seat = CONTAINER(s, struct seat, seat);

    loop_post(seat->worker->loop, &seat->mail, 1);
}

static void seat_vacated(struct tape_seat *s)
{
    struct seat *seat = CONTAINER(s, struct seat, seat);

    if (mail_is_posted(&seat->mail))
        seat->worker->ghosts++;
    else
        slab_give(&seats, &seat);
}

static void delivered(struct mail *m, unsigned bits)
{
    struct seat *seat = CONTAINER(m, struct seat, mail);

    if (seat->seat.tape) {
        tape_turn(&seat->seat);
        return;
    }
    seat->worker->ghosts--;
    slab_give(&seats, &seat);
}

static struct seat *seat_new(struct worker *w)
{
    struct seat *s = slab_take0(&seats);

    if (!s)
        return NULL;
    s->worker = w;
    s->mail.deliver = delivered;
    s->seat.wake = seat_woken;
    s->seat.vacated = seat_vacated;
    return s;
}

/* ---- coming and going -------------------------------------------------------------------------------------------- */

static void quit(struct follower *f)
{
    if (f->leads)
        f->leads->leader = NULL;
    if (f->headed)
        retell_done(&f->retell);
    tape_leave(&f->reader);
}

static void leave(struct follower *f)
{
    struct exchange *x = f->x;

    loop_timer_cancel(x->worker->loop, &x->timer); /* look_again: x may go on, to a node */
    x->follower = NULL;
    x->local_stop = NULL;
    quit(f);
}

static void stop(struct exchange *x, enum fail why)
{
    leave(x->follower);
}

/* A whole tape needs no seat. */
static enum fail sit_down(struct follower *f, struct tape *t)
{
    struct seat *spare = NULL;
    struct tape_seat *offered = NULL;
    bool joined;

    if (!tape_is_whole(t)) {
        spare = seat_new(f->x->worker);
        if (!spare)
            return FAIL_no_memory;
        offered = &spare->seat;
    }
    joined = tape_join(t, &f->reader, &offered);
    if (offered)
        slab_give(&seats, &spare);
    return joined ? OK : FAIL_no_such_object;
}

static void ready(struct tape_reader *r);

bool follower_leads(struct exchange *x, struct flight *flight)
{
    if (!x->follower || (flight && x->follower->reader.tape != flight->tape))
        return false;
    x->follower->leads = flight;
    return true;
}

static enum fail hear_whole(struct follower *f);

enum fail flight_join(struct exchange *x, struct tape *t, bool patient)
{
    struct follower *f = arena_new(&x->arena, struct follower);
    enum fail why;

    if (!f)
        return FAIL_no_memory;
    f->x = x;
    f->reader.ready = ready;
    f->reader.patient = patient;
    f->fresh = tape_is_whole(t);
    why = sit_down(f, t);
    if (why)
        return why;
    if (f->fresh && (why = hear_whole(f))) {
        (void)tape_ref(t); /* the caller's, which the reader gives back */
        quit(f);
        return why;
    }
    x->follower = f;
    x->local_stop = stop;
    return OK;
}

/* ---- the head ---------------------------------------------------------------------------------------------------- */

/* Whoever followed a running answer has waited for the node, not for us; who is patient, until its end. */
static void wait_was_for_node(struct follower *f)
{
    struct exchange *x = f->x;

    if (!f->reader.seat || (x->up.sent && !f->reader.patient))
        return;
    if (!x->up.sent)
        x->up.sent = x->in.at;
    x->up.first_byte = worker_now(x->worker);
}

static void name_node(struct follower *f)
{
    struct exchange *x = f->x;
    size_t n = MIN(f->texts.node.n, sizeof x->up.node_name - 1);

    memcpy(x->up.node_name, f->texts.node.p, n);
    x->up.node_name[n] = 0;
    if (!x->up.attempts && n) /* else its sink names the node, as for any road */
        answer_header(x, STR("X-OllamaMax-Node"), f->texts.node);
}

static void take_answer(struct follower *f)
{
    struct exchange *x = f->x;
    const struct flight_head *h = &f->head;
    struct str model = f->texts.model;

    x->out.status = x->up.status = h->status;
    x->out.content_type = f->texts.content_type;
    x->out.headers = f->texts.headers;
    x->out.length = h->length;
    x->out.stream = h->stream;
    x->out.from_node = true;
    x->up.form = h->form;
    x->up.dialect = h->dialect;
    x->up.simulated = h->simulated;
    if (f->retell.way == RETELL_AS_IT_IS)
        x->route.asked = str_eq(model, x->route.model) ? x->route.model : str_dup(&x->arena, model);
    else
        retell_head(&f->retell);
}

/* Before the first bytes. Until they have gone out the texts stay where they lie. */
static void answer_once(struct follower *f)
{
    if (f->answered)
        return;
    f->answered = true;
    take_answer(f);
    wait_was_for_node(f);
    name_node(f);
    f->x->sink->head(f->x);
}

/* What lies on the tape may go with what has been heard. */
static enum fail keep_texts(struct follower *f)
{
    struct arena *a = &f->x->arena;

    f->texts.content_type = str_dup(a, f->texts.content_type);
    f->texts.headers = str_dup(a, f->texts.headers);
    f->texts.node = str_dup(a, f->texts.node);
    return a->failed ? FAIL_no_memory : OK;
}

static enum fail take_head(struct follower *f, struct str bytes)
{
    enum fail why;

    f->headed = true;
    flight_head_read(bytes, &f->head, &f->texts);
    if (f->head.why)
        return OK;
    why = retell_init(&f->retell, f->x, &f->head, f->fresh);
    return why || f->retell.way == RETELL_AS_IT_IS ? why : keep_texts(f);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static enum step end(struct follower *f, enum fail why)
{
    f->x->tally.why = why;
    leave(f);
    return STEP_FINISH;
}

/* No node could answer, but somebody did a while ago: x follows that now. */
static bool is_rescued(struct follower *f, enum fail why)
{
    struct exchange *x = f->x;

    if (x->out.head_sent || !lookup_rescue(x, why))
        return false;
    x->out.headers = STR_NONE;
    quit(f);
    return true;
}

static enum step end_as_failed(struct follower *f, enum fail why, struct str message)
{
    struct exchange *x = f->x;
    enum step s;

    if (is_rescued(f, why))
        return flight_follow(x);
    x->out.from_node = false;
    x->out.broken = f->inside && x->out.head_sent ? BREAK_INSIDE : BREAK_CLEAN;
    if (!x->out.head_sent) {
        x->out.headers = STR_NONE;
        x->out.stream = false;
    }
    if (!x->out.head_sent && f->head.attempts && !x->up.attempts && fail_status(why) >= 500)
        answer_header(x, STR("x-should-retry"), STR("false")); /* as answer_retry_advice has it for the leader */
    s = answer_fail(x, why, message);
    leave(f);
    return s;
}

/* The writer had no longer than its leader has. Who led has no question any more; so it ends. */
static bool may_have_longer(const struct follower *f)
{
    return f->head.why == FAIL_deadline && f->x->in.body.p;
}

/* The writer was refused: its words, in this client's dialect. */
static enum step refused(struct follower *f)
{
    struct exchange *x = f->x;
    struct flight_head h;
    struct flight_texts t;

    if (may_have_longer(f)) {
        leave(f);
        return lookup_enter(x);
    }
    f->x->ticket.retry_after_s = f->head.retry_after_s;
    flight_head_read(tape_head(&f->reader), &h, &t);
    return end_as_failed(f, (enum fail)h.why, t.message);
}

static void push(struct exchange *x, struct str bytes, bool last)
{
    x->tally.last = worker_now(x->worker);
    if (!x->tally.first)
        x->tally.first = worker_clock(x->worker);
    x->tally.bytes_out += bytes.n;
    x->out.complete |= last;
    x->sink->push(x, bytes, last);
}

/* With the client's own name for the model, which may make a body longer than was said. */
static enum fail push_named(struct exchange *x, struct str bytes, bool last)
{
    struct text room = { 0 };
    bool good = names_restore(x, &bytes, &room);

    if (good && x->route.rename && x->out.length >= 0)
        x->out.length = last ? (int64_t)bytes.n : -1;
    if (good)
        push(x, bytes, last);
    text_free(&room);
    return good ? OK : FAIL_no_memory;
}

/* Nothing to read: for now, or is it over? */
static enum step stand(struct follower *f)
{
    enum tape_break where = TAPE_CLEAN;
    enum fail why = tape_failed(&f->reader, &where);

    if (!why)
        return STEP_WAIT;
    if (where == TAPE_TOLD && f->headed) {
        if (f->retell.way != RETELL_AS_IT_IS)
            return STEP_WAIT; /* it has ended since it was looked at, which wakes */
        answer_once(f);
        push(f->x, STR_NONE, true);
        return end(f, why);
    }
    f->inside = where == TAPE_INSIDE && f->x->out.head_sent; /* a patient one has pushed nothing yet */
    return end_as_failed(f, why, STR_NONE);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void look_again(struct exchange *x);

static bool backed_up(const struct exchange *x)
{
    return x->sink->waiting && x->sink->waiting(x) > BACKLOG;
}

/* Reads nothing of what has ended: as long as an idle client may be. */
static bool stalls(struct follower *f, nsec now)
{
    size_t waiting = f->x->sink->waiting(f->x);
    nsec patience = f->x->settings->client_idle_timeout;

    if (!patience || !tape_has_ended(&f->reader))
        return false;
    if (!f->patient_until || waiting < f->waiting)
        f->patient_until = now + patience;
    f->waiting = waiting;
    return now >= f->patient_until;
}

/* The client does not read. The sink tells when it has; unless all that waits does so for its millisecond. */
static enum step wait_for_client(struct follower *f)
{
    nsec now = worker_now(f->x->worker), due;
    enum fail why = tape_slow(&f->reader, now, &due);

    if (why || stalls(f, now))
        return end_as_failed(f, FAIL_slow_reader, STR_NONE);
    if (f->patient_until)
        due = MIN(due, f->patient_until);
    if (f->gathering)
        due = MIN(due, now + LOOK_AGAIN);
    if (due != NEVER)
        exchange_pause(f->x, due, look_again);
    return STEP_WAIT;
}

static void note_passed(struct follower *f, struct str bytes)
{
    if (bytes.n)
        f->inside = bytes.p[bytes.n - 1] != '\n' && bytes.p[bytes.n - 1] != '\r';
    f->patient_until = 0;
}

static enum step pass_on(struct follower *f)
{
    enum fail why;
    bool last;

    while (!f->resting && !backed_up(f->x)) {
        struct str bytes = tape_look(&f->reader, &last);
        if (!bytes.n && !last)
            return stand(f);
        why = push_named(f->x, bytes, last);
        if (why)
            return end_as_failed(f, why, STR_NONE);
        note_passed(f, bytes);
        tape_eat(&f->reader, bytes.n);
        if (last)
            return end(f, OK);
    }
    return f->resting ? STEP_WAIT : wait_for_client(f);
}

/* ---- retelling --------------------------------------------------------------------------------------------------- */

/* Its last bytes are an error, whose reason this is: no more comes. OK: there may, or it ended well. */
static enum fail why_told(const struct follower *f)
{
    enum tape_break where = TAPE_CLEAN;
    enum fail why = tape_failed(&f->reader, &where);

    return where == TAPE_TOLD ? why : OK;
}

/* Until there is something to tell, or no more to hear. */
static enum fail hear(struct follower *f)
{
    struct retell *r = &f->retell;
    enum fail why = OK;
    bool last, told;

    while (!why && !r->heard_all && !retell_next(r, PIECE, &told).n) {
        struct str bytes = tape_look(&f->reader, &last);
        if (!bytes.n && !last && !why_told(f))
            return OK;
        last |= !bytes.n;
        why = retell_hear(r, bytes, last);
        tape_eat(&f->reader, bytes.n);
    }
    return why;
}

/* A kept answer: what may not be sayable is tried before anything is promised. */
static enum fail hear_whole(struct follower *f)
{
    enum fail why = take_head(f, tape_head(&f->reader));

    return why || !retell_wants_all(&f->retell) ? why : hear(f);
}

/* Who led has no question any more, but is told what it asked for, which always can be. */
static enum step cannot_tell(struct follower *f, enum fail why)
{
    struct exchange *x = f->x;

    if (why != FAIL_bad_value)
        return end_as_failed(f, why, f->retell.message);
    if (x->out.head_sent || !x->in.body.p)
        return end_as_failed(f, FAIL_upstream_said, STR("the node's answer cannot be told on this route"));
    leave(f);
    return lookup_alone(x);
}

static enum step tell_on(struct follower *f)
{
    enum fail why;
    bool last;

    while (!f->resting && !backed_up(f->x)) {
        struct str bytes;
        why = hear(f);
        if (why)
            return cannot_tell(f, why);
        bytes = retell_next(&f->retell, PIECE, &last);
        if (!bytes.n && !last)
            return stand(f);
        answer_once(f);
        push(f->x, bytes, last);
        note_passed(f, bytes);
        retell_told(&f->retell, bytes.n);
        if (last)
            return end(f, why_told(f));
    }
    return f->resting ? STEP_WAIT : wait_for_client(f);
}

/* ---- each turn --------------------------------------------------------------------------------------------------- */

/* False: nothing has been written yet, or x follows another tape now, or has failed: *out_step. */
static bool has_head(struct follower *f, enum step *out_step)
{
    struct str head = f->headed ? STR_NONE : tape_head(&f->reader);
    enum fail why;

    if (f->headed)
        return true;
    if (!head.n) {
        *out_step = stand(f);
        return false;
    }
    why = take_head(f, head);
    if (why)
        *out_step = end_as_failed(f, why, STR_NONE);
    else if (f->head.status >= 500 && is_rescued(f, FAIL_upstream_error))
        *out_step = flight_follow(f->x);
    else
        return true;
    return false;
}

/* Patient: nothing before the end, and of a broken answer nothing at all. */
static enum step read_on(struct follower *f)
{
    enum tape_break where;
    enum step s;

    if (f->reader.patient && !tape_has_ended(&f->reader))
        return STEP_WAIT;
    if (!has_head(f, &s))
        return s;
    if (f->head.why)
        return refused(f);
    if (f->reader.patient && tape_failed(&f->reader, &where) && where != TAPE_TOLD)
        return stand(f);
    if (f->retell.way != RETELL_AS_IT_IS)
        return tell_on(f);
    answer_once(f);
    return pass_on(f);
}

enum step flight_follow(struct exchange *x)
{
    return read_on(x->follower);
}

static void ready(struct tape_reader *r)
{
    struct follower *f = CONTAINER(r, struct follower, reader);
    struct exchange *x = f->x;

    if (!f->resting)
        exchange_wake(x, read_on(f));
}

static void look_again(struct exchange *x)
{
    ready(&x->follower->reader);
}

void flight_resume(struct exchange *x)
{
    ready(&x->follower->reader);
}

void flight_rest(struct exchange *x)
{
    x->follower->resting = true;
}

bool flight_gather(struct exchange *x)
{
    struct follower *f = x->follower;
    uint64_t before = x->tally.bytes_out;
    bool passed;
    enum step s;

    if (!f->resting)
        return false;
    f->resting = false;
    f->gathering = true;
    s = read_on(f);
    f->gathering = false;
    passed = x->tally.bytes_out > before;
    if (passed && s == STEP_WAIT)
        f->resting = true;
    exchange_wake(x, s);
    return passed;
}
