/* GET /api/events: the frames of each second as an event stream, or, for those behind a proxy that lets no stream
 * through, those of the last second, asked for again and again.
 *
 * A stream is an exchange that waits in the local stage for as long as its client stays. One whose client reads slowly
 * is given no more figures, which the next second brings anew, but still what is told only once; one that is
 * FEED_BEHIND behind is cut off, and begins again with a look at everything. */
#include "gateway/ops.h"

struct watcher {
    struct feed_reader reader;
    struct exchange *x;
    unsigned topics;
};

/* ---- the stream -------------------------------------------------------------------------------------------------- */

static void push(struct watcher *w, const struct bulletin *b, unsigned topics)
{
    struct str piece[FEED_TOPICS];
    unsigned n = bulletin_look(b, FORM_EVENTS, topics, piece);

    for (unsigned i = 0; i < n; i++) {
        w->x->tally.bytes_out += piece[i].n;
        w->x->sink->push(w->x, piece[i], false);
    }
}

static void told(struct feed_reader *r, const struct bulletin *b)
{
    struct watcher *w = CONTAINER(r, struct watcher, reader);
    size_t waiting = w->x->sink->waiting ? w->x->sink->waiting(w->x) : 0;

    if (waiting > FEED_BEHIND) {
        feed_leave(r);
        w->x->local_stop = NULL;
        w->x->out.broken = BREAK_INSIDE; /* one more event would only be in the way */
        exchange_wake(w->x, answer_fail(w->x, FAIL_slow_reader, STR_NONE));
        return;
    }
    push(w, b, waiting ? w->topics & ~FEED_BIT(FEED_METRICS) : w->topics);
}

static void over(struct feed_reader *r)
{
    struct watcher *w = CONTAINER(r, struct watcher, reader);
    struct exchange *x = w->x;

    feed_leave(r);
    x->local_stop = NULL;
    x->out.complete = true;
    x->sink->push(x, STR_NONE, true);
    exchange_wake(x, STEP_FINISH);
}

static void left(struct exchange *x, enum fail why)
{
    struct watcher *w = x->local;

    x->local_stop = NULL;
    feed_leave(&w->reader);
}

static void send_head(struct exchange *x)
{
    x->out.status = 200;
    x->out.content_type = STR("text/event-stream; charset=utf-8");
    answer_header(x, STR("Cache-Control"), STR("no-store"));
    answer_header(x, STR("X-Accel-Buffering"), STR("no")); /* nginx would hold it back */
    x->out.stream = true;
    x->tally.first = worker_now(x->worker);
    x->sink->head(x);
}

/* What the last second brought is sent at once; it tells the client that the way is open, as a comment would. */
static enum step stream(struct exchange *x, unsigned topics)
{
    struct watcher *w = arena_take(&x->arena, sizeof *w);
    struct bulletin *last;

    if (!w)
        return answer_fail(x, FAIL_no_memory, STR_NONE);
    *w = (struct watcher){
        .reader = {.told = told, .over = over},
          .x = x, .topics = topics
    };
    x->local = w;
    x->local_stop = left;
    send_head(x);
    x->sink->push(x, STR(":\n\n"), false);
    last = feed_join(x->worker, &w->reader);
    if (last)
        push(w, last, topics);
    bulletin_unref(&last);
    return STEP_WAIT;
}

/* ---- the last second --------------------------------------------------------------------------------------------- */

static enum step answer_frames(struct exchange *x, const struct bulletin *b, unsigned topics)
{
    struct str piece[FEED_TOPICS];
    unsigned n = bulletin_look(b, FORM_VALUES, topics, piece);
    struct text t = { 0 };

    text_put(&t, STR("{\"frames\":["));
    for (unsigned i = 0; i < n; i++)
        text_put(&t, i + 1 < n ? piece[i] : str_take(piece[i], piece[i].n - 1)); /* each has a comma behind */
    text_put(&t, STR("]}"));
    answer_header(x, STR("Cache-Control"), STR("no-store"));
    return answer_json(x, 200, &t);
}

static void polled(struct feed_reader *r, const struct bulletin *b)
{
    struct watcher *w = CONTAINER(r, struct watcher, reader);

    feed_leave(r);
    w->x->local_stop = NULL;
    exchange_wake(w->x, answer_frames(w->x, b, w->topics));
}

static void never_came(struct feed_reader *r)
{
    struct watcher *w = CONTAINER(r, struct watcher, reader);

    feed_leave(r);
    w->x->local_stop = NULL;
    exchange_wake(w->x, answer_fail(w->x, FAIL_shutting_down, STR_NONE));
}

/* The first to ask waits for the second to be over: nothing was made of the last one. */
static enum step poll_once(struct exchange *x, unsigned topics)
{
    struct watcher *w = arena_take(&x->arena, sizeof *w);
    struct bulletin *last;
    enum step step;

    if (!w)
        return answer_fail(x, FAIL_no_memory, STR_NONE);
    *w = (struct watcher){
        .reader = {.told = polled, .over = never_came},
          .x = x, .topics = topics
    };
    x->local = w;
    x->local_stop = left;
    feed_will_ask_again(x->worker);
    last = feed_join(x->worker, &w->reader);
    if (!last)
        return STEP_WAIT;
    left(x, OK);
    step = answer_frames(x, last, topics);
    bulletin_unref(&last);
    return step;
}

enum step ops_events(struct exchange *x)
{
    bool polls =
        str_find(x->in.accept, STR("application/json")) >= 0 && str_find(x->in.accept, STR("text/event-stream")) < 0;
    unsigned topics;

    if (!feed_topics(ops_parameter(x, STR("topics")), &topics))
        return answer_fail(x, FAIL_bad_value, STR("topics are metrics, node_update, alert and request"));
    if (!x->settings->observe)
        return answer_fail(x, FAIL_not_implemented, STR("nothing is observed here (observe.enabled)"));
    if (x->worker->draining)
        return answer_fail(x, FAIL_shutting_down, STR_NONE);
    return polls ? poll_once(x, topics) : stream(x, topics);
}
