/* The three forms lie beside each other rather than being made for each who reads: two copies of some kilobytes a
 * second cost less than one frame put together for each of two hundred tabs.
 *
 *     FORM_SOCKET  [head {"type":"metrics",...} | head {...} head {...} |  | head {...} ]
 *                  ^start[0]                    ^start[1]               ^start[2], [3]   ^end
 */
#include "gateway/bulletin.h"
#include "base/slab.h"
#include "net/websocket.h"
#include <stdlib.h>

struct bulletin {
    _Atomic unsigned refs;
    uint64_t number;
    nsec made;
    enum feed_topic at; /* the last topic that was added to */
    struct text form[FEED_FORMS];
    size_t start[FEED_FORMS][FEED_TOPICS];
};

/* ---- topics ------------------------------------------------------------------------------------------------------ */

static const struct str names[FEED_TOPICS] = {
    [FEED_METRICS] = {"metrics",      7 },
    [FEED_NODES] = { "node_update", 11},
    [FEED_ALERTS] = { "alert",       5 },
    [FEED_REQUESTS] = { "request",     7 },
};

bool feed_topic(struct str name, enum feed_topic *out)
{
    for (unsigned i = 0; i < FEED_TOPICS; i++)
        if (str_eq(name, names[i])) {
            *out = (enum feed_topic)i;
            return true;
        }
    return false;
}

bool feed_topics(struct str list, unsigned *out)
{
    enum feed_topic topic;

    *out = list.n ? 0 : FEED_ALL;
    while (list.n) {
        if (!feed_topic(str_trim_blank(str_cut(&list, ',')), &topic))
            return false;
        *out |= FEED_BIT(topic);
    }
    return true;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct bulletin *bulletin_new(uint64_t number, nsec made)
{
    struct bulletin *b = memory_strikes() ? NULL : calloc(1, sizeof *b);

    if (!b)
        return NULL;
    atomic_store(&b->refs, 1);
    b->number = number;
    b->made = made;
    return b;
}

struct bulletin *bulletin_ref(struct bulletin *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void bulletin_unref(struct bulletin **at)
{
    struct bulletin *b = *at;

    *at = NULL;
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (unsigned i = 0; i < FEED_FORMS; i++)
        text_free(&b->form[i]);
    free(b);
}

uint64_t bulletin_number(const struct bulletin *b)
{
    return b->number;
}

nsec bulletin_made(const struct bulletin *b)
{
    return b->made;
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

static void begin_topic(struct bulletin *b, enum feed_topic topic)
{
    assume(topic >= b->at);
    while (b->at < topic) {
        b->at++;
        for (unsigned i = 0; i < FEED_FORMS; i++)
            b->start[i][b->at] = text_str(&b->form[i]).n;
    }
}

static void put_forms(struct text form[FEED_FORMS], struct str frame)
{
    char head[WEBSOCKET_HEAD];

    text_put(&form[FORM_SOCKET], (struct str){ head, websocket_head(WEBSOCKET_TEXT, frame.n, head) });
    text_put(&form[FORM_SOCKET], frame);
    text_put(&form[FORM_EVENTS], STR("data:"));
    text_put(&form[FORM_EVENTS], frame);
    text_put(&form[FORM_EVENTS], STR("\n\n"));
    text_put(&form[FORM_VALUES], frame);
    text_putc(&form[FORM_VALUES], ',');
}

bool bulletin_add(struct bulletin *b, enum feed_topic topic, struct str frame)
{
    size_t before[FEED_FORMS];
    bool whole = true;

    begin_topic(b, topic);
    for (unsigned i = 0; i < FEED_FORMS; i++)
        before[i] = buf_len(&b->form[i].buf);
    put_forms(b->form, frame);
    for (unsigned i = 0; i < FEED_FORMS; i++)
        whole &= !b->form[i].failed;
    for (unsigned i = 0; i < FEED_FORMS && !whole; i++) {
        b->form[i].buf.end = b->form[i].buf.start + before[i];
        b->form[i].failed = OK;
    }
    return whole;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static struct str frames_of(const struct bulletin *b, enum feed_form form, unsigned topic)
{
    struct str all = text_str(&b->form[form]);
    size_t from = topic <= b->at ? b->start[form][topic] : all.n;
    size_t to = topic < b->at ? b->start[form][topic + 1] : all.n;

    return str_take(str_drop(all, from), to - from);
}

unsigned bulletin_look(const struct bulletin *b, enum feed_form form, unsigned topics, struct str out[FEED_TOPICS])
{
    unsigned n = 0;

    for (unsigned i = 0; i < FEED_TOPICS; i++) {
        struct str frames = topics & FEED_BIT(i) ? frames_of(b, form, i) : STR_NONE;
        if (!frames.n)
            continue;
        if (n && out[n - 1].p + out[n - 1].n == frames.p)
            out[n - 1].n += frames.n;
        else
            out[n++] = frames;
    }
    return n;
}
