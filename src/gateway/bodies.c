/* Request bodies: gathered whole before a node is chosen, because the model's name is in them and a retry needs them
 * again.
 *
 * Bodies above 16 KiB count towards limits.bodies and memory.limit, for all workers together; smaller ones are bounded
 * by the number of connections. zstd bodies of /v1 routes (coding agents send them) are unpacked at once when small,
 * else on a lane, so that no worker stands still. */
#include "gateway/gateway_private.h"
#include <stdlib.h>
#include <zstd.h>

#define COUNTED_FROM  KIB(16)
#define UNPACKED_MAX  MIB(20) /* as Ollama has it */
#define WINDOW_LOG    23      /* 8 MiB */
#define UNPACK_INLINE KIB(16)

static enum fail count_in(struct exchange *x, size_t n)
{
    struct gateway *g = x->worker->gateway;
    size_t before;

    before = atomic_fetch_add_explicit(&g->bodies, n, memory_order_relaxed);
    x->in.counted += n;
    return before + n > memory_bodies_most(x->settings) ? FAIL_bodies_full : OK;
}

/* What has arrived counts, not what was promised: or a few clients that promise much and send nothing would keep all
 * others out. */
enum fail body_arrived(struct exchange *x)
{
    size_t have = buf_len(&x->in.body_buf);

    return have > COUNTED_FROM ? count_in(x, have - x->in.counted) : OK;
}

enum fail body_begin(struct exchange *x, uint64_t length)
{
    if (length > MEMORY_LARGE && !memory_takes_body(x->worker->gateway, (size_t)length))
        return FAIL_memory_short;
    x->in.due = length > MEMORY_LARGE ? (size_t)length : 0;
    return length ? buf_reserve(&x->in.body_buf, (size_t)length) : OK;
}

void body_is_whole(struct exchange *x)
{
    if (x->in.due)
        memory_arrived(x->worker->gateway, x->in.due);
    x->in.due = 0;
}

/* One of unknown length becomes a large one with this piece. */
static bool becomes_large(const struct exchange *x, size_t piece)
{
    size_t have = buf_len(&x->in.body_buf);

    return have <= MEMORY_LARGE && have + piece > MEMORY_LARGE;
}

enum fail body_append(struct exchange *x, struct str piece)
{
    enum fail f = buf_len(&x->in.body_buf) + piece.n > x->settings->body_max ? FAIL_body_too_large : OK;

    if (!f && becomes_large(x, piece.n) && !memory_is_good(x->worker->gateway))
        f = FAIL_memory_short;
    if (!f)
        f = buf_append(&x->in.body_buf, piece);
    return f ? f : body_arrived(x);
}

void body_release(struct exchange *x)
{
    body_is_whole(x);
    if (x->in.counted)
        atomic_fetch_sub_explicit(&x->worker->gateway->bodies, x->in.counted, memory_order_relaxed);
    x->in.counted = 0;
    buf_free(&x->in.body_buf);
}

/* ---- zstd -------------------------------------------------------------------------------------------------------- */

static enum fail unpack(struct str in, size_t most, struct buf *out)
{
    ZSTD_DCtx *z = ZSTD_createDCtx();
    ZSTD_inBuffer src = { in.p, in.n, 0 };
    enum fail f = z && !ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, WINDOW_LOG)) ? OK : FAIL_no_memory;
    size_t left = 1;

    while (!f && (src.pos < src.size || left)) {
        f = buf_reserve(out, KIB(16));
        ZSTD_outBuffer dst = { buf_tail(out), f ? 0 : buf_room(out), 0 };
        size_t pos = src.pos;
        if (f)
            break;
        left = ZSTD_decompressStream(z, &dst, &src);
        out->end += dst.pos;
        if (ZSTD_isError(left) || (dst.pos == 0 && src.pos == pos)) /* garbage, or cut off */
            f = FAIL_bad_value;
        else if (buf_len(out) > most)
            f = FAIL_body_too_large;
    }
    ZSTD_freeDCtx(z);
    return f;
}

struct unpacking {
    struct job job;
    struct worker *worker;
    struct exchange *x; /* NULL: it left meanwhile */
    size_t most;
    struct buf in, out;
    enum fail failed;
};

static void unpack_work(struct job *j)
{
    struct unpacking *u = CONTAINER(j, struct unpacking, job);

    u->failed = unpack(buf_str(&u->in), u->most, &u->out);
}

static size_t unpacked_max(const struct exchange *x)
{
    return MIN(UNPACKED_MAX, x->settings->body_max);
}

/* In place of the packed one, also in the count: a few hundred bytes may have become megabytes. */
static enum step take_unpacked(struct exchange *x, struct buf *out, enum fail f)
{
    if (!f) {
        body_release(x);
        f = count_in(x, out->cap);
    }
    if (f) {
        buf_free(out);
        return answer_fail(x, f, f == FAIL_bad_value ? STR("the request body is not valid zstd") : STR_NONE);
    }
    x->in.body_buf = *out;
    x->in.body = buf_str(out);
    x->in.encoding = STR_NONE;
    return STEP_NEXT;
}

static void unpack_done(struct job *j)
{
    struct unpacking *u = CONTAINER(j, struct unpacking, job);
    struct exchange *x = u->x;

    worker_job_ends(u->worker);
    buf_free(&u->in);
    if (x) {
        x->local = NULL;
        x->local_stop = NULL;
        if (take_unpacked(x, &u->out, u->failed) == STEP_NEXT)
            exchange_start(x, STAGE_ROUTE);
        else
            exchange_wake(x, STEP_FINISH);
    } else {
        buf_free(&u->out);
    }
    free(u);
}

static void unpack_stop(struct exchange *x, enum fail why)
{
    struct unpacking *u = x->local;

    u->x = NULL;
}

/* The packed bytes move to the job, so that a client that leaves meanwhile disturbs nothing. */
static enum step unpack_on_a_lane(struct exchange *x)
{
    struct unpacking *u = memory_strikes() ? NULL : calloc(1, sizeof *u);

    if (!u)
        return answer_fail(x, FAIL_no_memory, STR_NONE);
    u->x = x;
    u->most = unpacked_max(x);
    u->worker = x->worker;
    if (buf_append(&u->in, x->in.body)) {
        free(u);
        return answer_fail(x, FAIL_no_memory, STR_NONE);
    }
    u->job = (struct job){ .work = unpack_work, .done = unpack_done };
    x->local = u;
    x->local_stop = unpack_stop;
    worker_job_begins(x->worker);
    loop_job(x->worker->loop, LANE_HEAVY, &u->job);
    return STEP_WAIT;
}

enum step body_unpack(struct exchange *x)
{
    struct buf out = { 0 };

    if (!(x->route.row->flags & ROUTE_ZSTD) || !str_eq_nocase(x->in.encoding, STR("zstd")))
        return answer_fail(x, FAIL_bad_encoding, STR_NONE);
    if (x->in.body.n > UNPACK_INLINE)
        return unpack_on_a_lane(x);
    enum fail f = unpack(x->in.body, unpacked_max(x), &out);
    return take_unpacked(x, &out, f);
}
