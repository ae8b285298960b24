/* Answers that the gateway gives itself: whole ones, and the truth about failures in the client's dialect. */
#include "gateway/gateway_private.h"
#include <stdarg.h>
#include <stdio.h>

enum step answer(struct exchange *x, int status, struct str content_type, struct str body)
{
    x->out.status = status;
    x->out.content_type = content_type;
    x->out.length = (int64_t)body.n;
    x->out.complete = true;
    x->tally.first = x->tally.last = worker_clock(x->worker);
    x->tally.bytes_out += body.n;
    x->sink->head(x);
    x->sink->push(x, body, true);
    return STEP_FINISH;
}

enum step answer_json(struct exchange *x, int status, struct text *body)
{
    enum step s;

    if (body->failed)
        s = answer_fail(x, body->failed, STR_NONE);
    else
        s = answer(x, status, STR("application/json; charset=utf-8"), text_str(body));
    text_free(body);
    return s;
}

void answer_header(struct exchange *x, struct str name, struct str value)
{
    size_t n = x->out.headers.n + name.n + value.n + 4;
    char *at = arena_take(&x->arena, n), *p = at;

    if (!at)
        return; /* the answer goes out without it; the arena remembers its failure */
    p = put_str(p, x->out.headers);
    p = put_str(p, name);
    p = put_str(p, STR(": "));
    p = put_str(p, value);
    put_str(p, HTTP_CRLF);
    x->out.headers = (struct str){ at, n };
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static enum dialect dialect_of(const struct exchange *x)
{
    return x->route.row ? x->route.row->dialect : route_dialect_of(x->in.path);
}

/* Both official SDKs retry 5xx twice by themselves; after we have tried every node that would only triple the load. */
void answer_retry_advice(struct exchange *x, enum fail why)
{
    char text[24];
    unsigned wait = x->ticket.retry_after_s ? x->ticket.retry_after_s : 1;

    if (fail_waiting_helps(why))
        answer_header(x, STR("Retry-After"), str_span(text, put_u64(text, wait)));
    if ((x->up.attempts && fail_status(why) >= 500) || why == FAIL_not_cached)
        answer_header(x, STR("x-should-retry"), STR("false"));
}

static enum step fail_before_head(struct exchange *x, enum fail why, struct str message)
{
    struct text t = { 0 };
    enum dialect d = dialect_of(x);
    enum step s;

    answer_retry_advice(x, why);
    if (why == FAIL_not_found || why == FAIL_method_not_allowed) {
        s = answer(x, fail_status(why), STR("text/plain"), message);
    } else {
        dialect_error(&t, d, fail_status(why), why, message, x->in.request_id);
        s = answer(x, fail_status(why), dialect_error_type(d), text_str(&t));
    }
    text_free(&t);
    return s;
}

/* The head is out: an error record on a clean line, or, inside a record, a connection that breaks. */
static enum step fail_after_head(struct exchange *x, enum fail why, struct str message)
{
    struct text t = { 0 };

    if (x->out.broken == BREAK_INSIDE || !x->out.stream)
        return STEP_FINISH; /* the sink is told by `ended` and closes without a last chunk */
    dialect_error_record(&t, x->up.dialect, x->up.form == FORM_SSE, why, message, x->in.request_id);
    if (!t.failed) {
        x->out.complete = true;
        x->tally.bytes_out += text_str(&t).n;
        x->sink->push(x, text_str(&t), true);
    }
    text_free(&t);
    return STEP_FINISH;
}

enum step answer_fail(struct exchange *x, enum fail why, struct str message)
{
    x->tally.why = why;
    if (!message.n)
        message = fail_sentence(why);
    if (why == FAIL_client_gone)
        return STEP_FINISH;
    if (x->sink->refuse) {
        x->sink->refuse(x, why, message);
        return STEP_FINISH;
    }
    return x->out.head_sent ? fail_after_head(x, why, message) : fail_before_head(x, why, message);
}

enum step answer_failf(struct exchange *x, enum fail why, const char *format, ...)
{
    char text[768];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return answer_fail(x, why, (struct str){ text, (size_t)MIN(MAX(n, 0), (int)sizeof text - 1) });
}
