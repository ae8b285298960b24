/* An answer for one client, out of what was said to another.
 *
 *      asked    the flight's way              another shape or dialect
 *      running  as it is                      replayed as it comes; in one piece at its end
 *      kept     replayed: new times, ids      replayed, and all of it before the head goes out
 *      error    as it is                      its message, in the client's dialect
 *
 * "The flight's way" is what its leader asked for, not what came: a node that answers a stream in one piece is passed
 * on as it is to whoever asked for a stream too. Embeddings carry neither times nor ids, and so always go as they are
 * on their own route: a walk through 300 KB of numbers would find nothing to change. */
#include "gateway/retell.h"
#include "gateway/gateway_private.h"

/* ---- which way --------------------------------------------------------------------------------------------------- */

/* Vectors have one shape, whatever is asked for. */
static bool asks_for_stream(const struct exchange *x)
{
    return !x->ticket.embeds && lookup_streams(x);
}

static bool is_openai_stream(const struct exchange *x)
{
    return x->route.row->dialect == DIALECT_OPENAI && asks_for_stream(x);
}

/* Asked as the leader asked, but for what replay_ask has added. */
static bool asks_alike(const struct exchange *x, const struct flight_head *h)
{
    return x->route.row->id == h->route && (x->ticket.embeds || lookup_streams(x) == h->asked_stream);
}

static bool is_as_asked(const struct exchange *x, const struct flight_head *h)
{
    return asks_alike(x, h) && (!is_openai_stream(x) || x->route.peek.wants_usage == h->asked_usage);
}

static int way_of(const struct exchange *x, const struct flight_head *h, bool fresh)
{
    if (h->status != 200)
        return x->route.row->dialect == h->dialect ? RETELL_AS_IT_IS : RETELL_REWORDED;
    return is_as_asked(x, h) && (!fresh || x->ticket.embeds) ? RETELL_AS_IT_IS : RETELL_REPLAYED;
}

static bool will_stream(const struct exchange *x, const struct flight_head *h)
{
    return asks_alike(x, h) ? h->form != FORM_WHOLE : asks_for_stream(x);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

enum fail retell_init(struct retell *r, struct exchange *x, const struct flight_head *h, bool fresh)
{
    struct replay_from from = { route_row(h->route), h->form };
    struct replay_to to = { .route = x->route.row,
                            .stream = will_stream(x, h),
                            .wants_usage = x->route.peek.wants_usage,
                            .as_it_was = !fresh,
                            .wall = fresh ? loop_wall(x->worker->loop) : h->wall,
                            .chance = fresh ? worker_random(x->worker) : h->chance };

    *r = (struct retell){ .way = way_of(x, h, fresh), .x = x, .head = h };
    if (r->way != RETELL_REPLAYED)
        return OK;
    to.model = names_quoted(x, x->route.model);
    if (!to.model.p)
        return FAIL_no_memory;
    replay_init(&r->replay, &from, &to);
    return OK;
}

void retell_done(struct retell *r)
{
    text_free(&r->said);
    if (r->way == RETELL_REPLAYED)
        replay_done(&r->replay);
}

bool retell_wants_all(const struct retell *r)
{
    const struct replay *p = &r->replay;

    if (r->way != RETELL_REPLAYED)
        return r->way == RETELL_REWORDED;
    return !p->to.stream || !(p->same || p->to.as_it_was);
}

/* ---- hearing ----------------------------------------------------------------------------------------------------- */

/* A body in one piece may have come in several. */
static struct str all_of(struct retell *r, struct str bytes)
{
    return r->head->form == FORM_WHOLE ? text_str(&r->replay.held) : bytes;
}

static struct str message_in(struct retell *r, struct str bytes)
{
    const struct flight_head *h = r->head;
    struct figures unused;
    struct json error = { 0 };
    struct str text;

    if (h->form == FORM_WHOLE)
        (void)record_look_whole(h->dialect, bytes, &unused, &error);
    else
        (void)record_look(h->dialect, h->form, bytes, &unused, &error);
    text = error.kind == JSON_STRING ? json_text(&r->x->arena, error) : error.raw;
    return text.n ? str_dup(&r->x->arena, text) : STR_NONE;
}

static enum fail replay(struct retell *r, struct str bytes, bool last)
{
    enum fail why = replay_take(&r->replay, bytes, &r->said);

    if (!why && last)
        why = replay_end(&r->replay, &r->said);
    if (why == FAIL_upstream_said)
        r->message = message_in(r, all_of(r, bytes));
    return why;
}

static enum fail reword(struct retell *r, struct str bytes, bool last)
{
    text_put(&r->said, bytes);
    if (!last || r->said.failed)
        return r->said.failed;
    r->message = message_in(r, text_str(&r->said));
    text_free(&r->said);
    dialect_error(&r->said, r->x->route.row->dialect, r->head->status, FAIL_upstream_said, r->message,
                  r->x->in.request_id);
    return r->said.failed;
}

enum fail retell_hear(struct retell *r, struct str bytes, bool last)
{
    assume(r->way != RETELL_AS_IT_IS);
    r->heard_all = last;
    return r->way == RETELL_REWORDED ? reword(r, bytes, last) : replay(r, bytes, last);
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

struct str retell_next(const struct retell *r, size_t most, bool *out_last)
{
    struct str all = r->heard_all || !retell_wants_all(r) ? text_str(&r->said) : STR_NONE;

    *out_last = r->heard_all && all.n <= most;
    return str_take(all, most);
}

void retell_told(struct retell *r, size_t n)
{
    buf_eat(&r->said.buf, n);
}

void retell_head(const struct retell *r)
{
    struct exchange *x = r->x;
    bool native = x->route.row->dialect == DIALECT_OLLAMA;
    bool stream = r->way == RETELL_REPLAYED && r->replay.to.stream;

    x->out.length = stream ? -1 : (int64_t)text_str(&r->said).n;
    x->out.stream = stream;
    x->up.dialect = x->route.row->dialect;
    x->up.form = !stream ? FORM_WHOLE : native ? FORM_NDJSON : FORM_SSE;
    if (r->way == RETELL_REWORDED)
        x->out.content_type = dialect_error_type(x->route.row->dialect);
    else if (!r->replay.same)
        x->out.content_type = replay_type(&r->replay.to);
}
