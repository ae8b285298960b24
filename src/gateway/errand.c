/* Errands: resolve, dial, write, read one answer.
 *
 *     errand_run -> resolve -> dial (the next address, while one refuses) -> head and body -> answer -> done
 *                   ^ a timer over all of it
 *
 * Not the road of requests: there a node is named by a lease and answers for a client, and failures teach breakers.
 * What is shared is below: conn, resolver, parser. The answer is read to its end, so that a receiver which says why it
 * refuses is heard, but only its beginning is kept. */
#include "gateway/errand.h"

#include "base/stamp.h"
#include "gateway/gateway_private.h"

#include <stdio.h>

#define ANSWER_HEAD_MAX KIB(16)
#define PAUSE_MOST      SECOND(60)

/* ---- where to ---------------------------------------------------------------------------------------------------- */

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return true;
}

bool errand_to_read(struct str text, struct errand_to *out)
{
    bool web = str_starts_nocase(text, STR("http://")) || str_starts_nocase(text, STR("https://"));
    size_t place = web ? (size_t)str_find(text, STR("://")) + 3 : 0, n = place;

    while (n < text.n && text.p[n] != '/' && text.p[n] != '?' && text.p[n] != '#')
        n++;
    out->path = str_drop(text, n);
    out->path = out->path.n ? out->path : STR("/");
    return web && n > place && is_plain(out->path) && out->path.p[0] == '/' && str_chr(out->path, '#') < 0 &&
           url_parse(str_take(text, n), &out->url);
}

struct str errand_place(const char *url)
{
    struct errand_to to;
    struct str text = str_of(url);

    if (!errand_to_read(text, &to))
        return STR_NONE;
    return str_take(text, str_eq(to.path, STR("/")) ? text.n - str_ends(text, STR("/")) : text.n - to.path.n);
}

nsec errand_pause(struct worker *w, unsigned tries)
{
    nsec pause = MIN(SECOND(1) << MIN(tries - 1, 6u), PAUSE_MOST);

    return pause * 3 / 4 + (nsec)(worker_random(w) % (uint64_t)(pause / 2));
}

void errand_put_result(const struct errand *e, char *out, size_t room)
{
    if (e->status)
        snprintf(out, room, "%d %s", e->status, e->says);
    else
        snprintf(out, room, "%s", e->says);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void put_away(struct errand *e)
{
    loop_timer_cancel(e->worker->loop, &e->timer);
    conn_close(&e->conn, false);
    buf_free(&e->in);
    e->runs = false;
}

static void end(struct errand *e, enum fail f)
{
    e->failed = f;
    if (f && !e->says[0])
        snprintf(e->says, sizeof e->says, "%s", fail_sentence(f).p);
    put_away(e);
    e->done(e);
}

void errand_cancel(struct errand *e)
{
    if (!e->runs)
        return;
    e->cancelled = e->resolving;
    put_away(e);
}

static void is_late(struct timer *t)
{
    struct errand *e = CONTAINER(t, struct errand, timer);

    snprintf(e->says, sizeof e->says, "no answer within %lld s", (long long)(e->patience / SECOND(1)));
    if (!e->resolving) {
        end(e, FAIL_first_byte_timeout);
        return;
    }
    e->late = worker_now(e->worker); /* the look-up has to be waited for, as it cannot be called back */
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static void keep_beginning(struct errand *e, struct str piece)
{
    size_t had = strlen(e->says), n = MIN(piece.n, sizeof e->says - 1 - had);

    for (size_t i = 0; i < n; i++)
        e->says[had + i] = piece.p[i] >= ' ' && piece.p[i] != 0x7f ? piece.p[i] : ' ';
    e->says[had + n] = 0;
}

static nsec retry_after(const struct errand *e, const struct http_head *h)
{
    struct str told = http_get(h, H_RETRY_AFTER);
    uint64_t seconds;
    nsec moment;

    if (str_u64(told, &seconds))
        return SECOND((nsec)MIN(seconds, (uint64_t)1 << 30));
    return stamp_parse_http(told, &moment) ? MAX(moment - loop_wall(e->worker->loop), 0) : -1;
}

static bool take_head(struct errand *e, enum fail *out_f)
{
    struct http_head *h = &e->worker->head;
    struct http_frame frame;
    enum http_parse p = http_parse_response(buf_str(&e->in), ANSWER_HEAD_MAX, h, out_f);

    if (p == HTTP_BAD)
        *out_f = FAIL_upstream_garbage;
    if (p != HTTP_DONE)
        return false;
    *out_f = http_response_frame(h, M_POST, &frame);
    if (*out_f)
        return false;
    buf_eat(&e->in, h->bytes);
    if (h->status < 200) /* an interim one */
        return take_head(e, out_f);
    e->status = h->status;
    e->retry_after = retry_after(e, h);
    e->has_head = true;
    http_body_init(&e->answer, &frame);
    return true;
}

/* True: the answer is over. */
static bool take_body(struct errand *e, enum fail *out_f)
{
    struct str in = buf_str(&e->in), piece;
    size_t had = in.n;
    enum http_step step;

    while ((step = http_body_next(&e->answer, &in, &piece)) == BODY_DATA)
        keep_beginning(e, piece);
    buf_eat(&e->in, had - in.n);
    if (step == BODY_BAD)
        *out_f = FAIL_upstream_garbage;
    return step == BODY_END;
}

static void closed(struct errand *e)
{
    bool whole = e->has_head && http_body_eof_is_end(&e->answer);

    end(e, whole ? OK : FAIL_upstream_cut);
}

static void readable(struct conn *c)
{
    struct errand *e = CONTAINER(c, struct errand, conn);
    ssize_t n = conn_read(c, e->worker->scratch, SCRATCH_BYTES);
    enum fail f = n > 0 ? buf_append(&e->in, (struct str){ e->worker->scratch, (size_t)n }) : OK;
    bool over = false;

    if (n > 0 && !f && (e->has_head || take_head(e, &f)))
        over = take_body(e, &f);
    if (f || over)
        end(e, f);
    else if (n < 0)
        closed(e);
}

/* ---- the way there ----------------------------------------------------------------------------------------------- */

static void put_host(struct text *t, const struct url *u)
{
    bool six = str_chr(u->host, ':') >= 0, usual = u->port == (u->tls ? 443 : 80);

    text_printf(t, six ? "[%.*s]" : "%.*s", STR_ARG(u->host));
    if (!usual)
        text_printf(t, ":%u", u->port);
}

static void write_request(struct errand *e)
{
    struct text t = { 0 };
    struct iovec v[2];

    text_printf(&t, "POST %.*s%.*s HTTP/1.1\r\nHost: ", STR_ARG(e->to.path), STR_ARG(e->path));
    put_host(&t, &e->to.url);
    text_printf(&t,
                "\r\nUser-Agent: OllamaMax/" OLLAMAMAX_VERSION "\r\nContent-Type: application/json\r\nContent-Length: "
                "%zu\r\nConnection: close\r\n%.*s\r\n",
                e->body.n, STR_ARG(e->headers));
    v[0] = (struct iovec){ (void *)(uintptr_t)text_str(&t).p, text_str(&t).n };
    v[1] = (struct iovec){ (void *)(uintptr_t)e->body.p, e->body.n };
    if (t.failed)
        end(e, t.failed);
    else
        (void)conn_write(&e->conn, v, 2, FLEETING); /* broken: `readable` tells */
    text_free(&t);
}

static void dial_next(struct errand *e, enum fail why);

static void opened(struct conn *c, enum fail f)
{
    struct errand *e = CONTAINER(c, struct errand, conn);

    if (!f) {
        write_request(e);
        return;
    }
    if (f == FAIL_tls_failed)
        snprintf(e->says, sizeof e->says, "TLS: %s", conn_tls_trouble(c));
    conn_close(c, false);
    dial_next(e, f);
}

static const struct conn_events events = { .opened = opened, .readable = readable, .hung_up = readable };

static enum fail dial(struct errand *e, const struct addr *at)
{
    struct tls_context *tls;
    enum fail f = worker_tls(e->worker, e->to.url.tls, &tls);

    return f ? f : conn_dial(&e->conn, e->worker->loop, at, tls, e->to.url.host, &events);
}

static void dial_next(struct errand *e, enum fail why)
{
    while (e->tried < e->resolve.n) {
        why = dial(e, &e->resolve.found[e->tried++]);
        if (!why) {
            conn_watch(&e->conn, SOCK_READ);
            return;
        }
    }
    end(e, why);
}

static void resolved(struct resolve *r)
{
    struct errand *e = CONTAINER(r, struct errand, resolve);
    struct worker *w = e->worker;

    e->resolving = false;
    if (e->cancelled)
        e->cancelled = false;
    else if (e->late)
        end(e, FAIL_unresolved);
    else if (w->stopping)
        end(e, FAIL_shutting_down);
    else
        dial_next(e, r->failed ? r->failed : FAIL_unresolved);
    worker_job_ends(w);
}

void errand_run(struct errand *e)
{
    struct str host = str_take(e->to.url.host, sizeof e->resolve.host - 1);

    assume(!e->runs && !e->resolving);
    e->failed = OK;
    e->status = 0;
    e->retry_after = -1;
    e->says[0] = 0;
    e->late = 0;
    e->tried = 0;
    e->has_head = false;
    e->runs = e->resolving = true;
    e->timer.fire = is_late;
    loop_timer_set(e->worker->loop, &e->timer, worker_now(e->worker) + e->patience);
    *put_str(e->resolve.host, host) = 0;
    e->resolve.port = e->to.url.port;
    e->resolve.done = resolved;
    worker_job_begins(e->worker);
    loop_resolve(e->worker->loop, &e->resolve);
}
