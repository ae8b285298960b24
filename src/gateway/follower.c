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

#define BACKLOG    KIB(64) /* unread by the client: what comes next waits on the tape, where it costs nothing */
#define LOOK_AGAIN MSEC(2) /* the sink's millisecond is over by then */

struct follower {
    struct tape_reader reader;
    struct exchange *x;
    struct flight *leads; /* NULL: nothing, or it is over */
    struct flight_head head;
    bool headed, resting, gathering;
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

static void leave(struct follower *f)
{
    struct exchange *x = f->x;

    if (f->leads)
        f->leads->leader = NULL;
    x->follower = NULL;
    x->local_stop = NULL;
    tape_leave(&f->reader);
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

enum fail flight_join(struct exchange *x, struct tape *t, bool patient)
{
    struct follower *f = arena_new(&x->arena, struct follower);
    enum fail why;

    if (!f)
        return FAIL_no_memory;
    f->x = x;
    f->reader.ready = ready;
    f->reader.patient = patient;
    why = sit_down(f, t);
    if (why)
        return why;
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

/* The texts lie on the tape until the answer's first bytes have gone out, with the head. */
static void take_answer(struct follower *f, const struct flight_head *h, const struct flight_texts *t)
{
    struct exchange *x = f->x;

    x->out.status = x->up.status = h->status;
    x->out.content_type = t->content_type;
    x->out.headers = t->headers;
    x->out.length = h->length;
    x->out.stream = h->stream;
    x->out.from_node = true;
    x->up.form = h->form;
    x->up.dialect = h->dialect;
    x->up.simulated = h->simulated;
    x->route.asked = str_eq(t->model, x->route.model) ? x->route.model : t->model;
    wait_was_for_node(f);
    if (!x->up.attempts && t->node.n) /* else its sink names the node, as for any road */
        answer_header(x, STR("X-OllamaMax-Node"), t->node);
    x->sink->head(x);
}

static void take_head(struct follower *f, struct str bytes)
{
    struct exchange *x = f->x;
    struct flight_texts t;
    size_t n;

    f->headed = true;
    flight_head_read(bytes, &f->head, &t);
    n = MIN(t.node.n, sizeof x->up.node_name - 1);
    memcpy(x->up.node_name, t.node.p, n);
    x->up.node_name[n] = 0;
    if (!f->head.why)
        take_answer(f, &f->head, &t);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static enum step end(struct follower *f, enum fail why)
{
    f->x->tally.why = why;
    leave(f);
    return STEP_FINISH;
}

/* No node could answer, but somebody did a while ago. */
static enum step follow_instead(struct follower *f, struct tape *old)
{
    struct exchange *x = f->x;
    bool patient = f->reader.patient;
    enum fail why;

    leave(f);
    x->out.headers = STR_NONE;
    why = flight_join(x, old, patient);
    if (!why)
        return flight_follow(x);
    tape_unref(&old);
    return answer_fail(x, why, STR_NONE);
}

static enum step end_as_failed(struct follower *f, enum fail why, struct str message)
{
    struct exchange *x = f->x;
    struct tape *old = x->out.head_sent ? NULL : lookup_rescue(x, why);
    enum step s;

    if (old)
        return follow_instead(f, old);
    x->out.from_node = false;
    x->out.broken = f->inside ? BREAK_INSIDE : BREAK_CLEAN;
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

/* The writer was refused: its words, in this client's dialect. */
static enum step refused(struct follower *f)
{
    struct flight_head h;
    struct flight_texts t;

    f->x->ticket.retry_after_s = f->head.retry_after_s;
    flight_head_read(tape_head(&f->reader), &h, &t);
    return end_as_failed(f, (enum fail)h.why, t.message);
}

static void push(struct exchange *x, struct str bytes, bool last)
{
    x->tally.last = worker_now(x->worker);
    if (!x->tally.first)
        x->tally.first = x->tally.last;
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
        push(f->x, STR_NONE, true);
        return end(f, why);
    }
    f->inside = where == TAPE_INSIDE;
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
        if (bytes.n)
            f->inside = bytes.p[bytes.n - 1] != '\n' && bytes.p[bytes.n - 1] != '\r';
        f->patient_until = 0;
        tape_eat(&f->reader, bytes.n);
        if (last)
            return end(f, OK);
    }
    return f->resting ? STEP_WAIT : wait_for_client(f);
}

/* Patient: nothing before the end, and of a broken answer nothing at all. */
static enum step read_on(struct follower *f)
{
    enum tape_break where;
    struct tape *old;
    struct str head;

    if (f->reader.patient && !tape_has_ended(&f->reader))
        return STEP_WAIT;
    if (!f->headed) {
        head = tape_head(&f->reader);
        if (!head.n)
            return stand(f);
        take_head(f, head);
        old = f->head.status >= 500 ? lookup_rescue(f->x, FAIL_upstream_error) : NULL;
        if (old)
            return follow_instead(f, old);
    }
    if (f->head.why)
        return refused(f);
    return f->reader.patient && tape_failed(&f->reader, &where) ? stand(f) : pass_on(f);
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
