/* api/record_fuzz.c - first byte: dialect and form; second: how the rest is cut into pushes. Whatever the cuts, the
 * same records end at the same places; looking never reads outside; what is found points into what was given; and an
 * error or an end that is seen record by record is seen in the whole slice too. */
#include "api/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static size_t ends_in_pushes(enum record_form form, struct str stream, size_t step, unsigned *out_records)
{
    size_t given = 0;
    for (size_t at = 0; at < stream.n; at += step) {
        struct str in = str_take(str_drop(stream, at), step), held = str_span(stream.p + given, stream.p + at);
        unsigned found;
        size_t end = record_whole(form, str_drop(held, held.n > 3 ? held.n - 3 : 0), in, &found);
        assume(end <= in.n);
        given = end ? at + end : given;
        *out_records += found;
    }
    return given;
}

static enum record_mark look(enum dialect d, enum record_form form, struct str records)
{
    struct figures f;
    struct json error = { .kind = JSON_BAD };
    figures_clear(&f);
    enum record_mark mark = record_look(d, form, records, &f, &error);
    assume(f.output_tokens >= -1 && f.prompt_tokens >= -1 && f.total >= -1);
    if (mark == MARK_ERROR && error.kind != JSON_BAD)
        assume(error.raw.p >= records.p && error.raw.p + error.raw.n <= records.p + records.n);
    return mark;
}

/* The last record seen by itself says no more than the slice it is in. */
static void look_at_last(enum dialect d, enum record_form form, struct str records)
{
    size_t at = record_last(form, records);
    assume(at <= records.n);
    enum record_mark all = look(d, form, records), last = look(d, form, str_drop(records, at));
    assume(last != MARK_ERROR || all == MARK_ERROR);
    assume(last != MARK_DONE || all == MARK_DONE || all == MARK_ERROR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    enum dialect d = (enum dialect)(data[0] % (DIALECT_OWN + 1));
    enum record_form form = (enum record_form)(data[0] / 8 % (FORM_SSE + 1));
    struct str stream = { (const char *)data + 2, n - 2 };

    unsigned whole, pushed = 0;
    size_t end = record_whole(form, STR_NONE, stream, &whole);
    size_t given = ends_in_pushes(form, stream, 1 + data[1] % 16, &pushed);
    /* A '\n' that belongs to a '\r' before the cut is passed on with the next record. */
    assume(given <= end && end - given <= 1 && pushed == whole);

    look_at_last(d, form, str_take(stream, end));
    look(d, form, stream);
    record_said(data[1] * 4, stream);
    record_form_of(stream);
    return 0;
}
