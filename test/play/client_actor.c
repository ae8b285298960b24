/* Clients of a play. They read answers with eyes of their own (not with net/http_*, which is what is on trial): a head
 * up to its empty line, then a counted, chunked or to-the-end body, each answer in the order of its question. */
#include "stage.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

struct caller *client_named(const char *name, bool make)
{
    list_each (link, &stage.clients) {
        struct caller *c = CONTAINER(link, struct caller, link);
        if (strcmp(c->name, name) == 0)
            return c;
    }
    if (!make)
        return NULL;
    struct caller *c = calloc(1, sizeof *c);
    assume(c);
    snprintf(c->name, sizeof c->name, "%s", name);
    list_init(&c->answers);
    list_push(&stage.clients, &c->link);
    return c;
}

struct reading *client_answer(struct caller *c, unsigned no)
{
    struct reading *last = NULL;
    list_each (link, &c->answers) {
        last = CONTAINER(link, struct reading, link);
        if (no && --no == 0)
            return last;
    }
    return no ? NULL : last;
}

struct str answer_field(const struct reading *a, const char *name)
{
    struct str head = pad_str(&a->head), want = str_of(name);
    while (head.n) {
        struct str line = str_cut(&head, '\n');
        if (line.n > want.n && line.p[want.n] == ':' && str_starts_nocase(line, want))
            return str_trim(str_drop(line, want.n + 1));
    }
    return STR_NONE;
}

/* ---- reading answers ---- */
static struct reading *answer_new(struct caller *c)
{
    struct reading *a = calloc(1, sizeof *a);
    assume(a);
    a->asked_at = world_now();
    a->tongue = OTHER;
    list_push(&c->answers, &a->link);
    return a;
}

static struct reading *next_answer(struct caller *c)
{
    list_each (link, &c->answers) {
        struct reading *a = CONTAINER(link, struct reading, link);
        if (a->state < WHOLE)
            return a;
    }
    return NULL;
}

static void answer_ends(struct reading *a, enum reading_state how)
{
    a->state = how;
    a->ended_at = world_now();
}

static void judge_framing(struct reading *a)
{
    struct str length = answer_field(a, "Content-Length");
    a->framing = TO_EOF;
    if (a->head_request || a->status == 204 || a->status == 304)
        a->framing = NO_BODY;
    else if (str_eq_nocase(answer_field(a, "Transfer-Encoding"), STR("chunked")))
        a->framing = CHUNKED;
    else if (length.p && str_u64(length, &a->left))
        a->framing = COUNTED;
    if (length.p && answer_field(a, "Transfer-Encoding").p)
        stage_complain("an answer has a length and chunks");
    if (a->framing == NO_BODY || (a->framing == COUNTED && a->left == 0))
        answer_ends(a, WHOLE);
}

/* Each returns how many bytes it took; 0: it needs more. */
static size_t take_head(struct reading *a, struct str in)
{
    ssize_t end = str_find(in, STR("\r\n\r\n"));
    if (end < 0)
        return 0;
    if (!str_starts(in, STR("HTTP/1.1 ")))
        stage_complain("a client got what is no answer: %.*s", (int)MIN(in.n, (size_t)200), in.p);
    a->status = atoi(in.p + 9);
    if (a->status == 100) {
        a->interims++;
        a->status = 0;
        return (size_t)end + 4;
    }
    a->state = IN_BODY_OF;
    a->began_at = world_now();
    pad_put(&a->head, str_take(in, (size_t)end + 2));
    judge_framing(a);
    return (size_t)end + 4;
}

static size_t take_bytes(struct reading *a, struct str in)
{
    in = str_take(in, a->framing == TO_EOF ? in.n : (size_t)MIN(a->left, (uint64_t)in.n));
    pad_put(&a->body, in);
    a->left -= a->framing == TO_EOF ? 0 : in.n;
    if (a->framing == COUNTED && a->left == 0)
        answer_ends(a, WHOLE);
    return in.n;
}

/* Behind the last chunk, up to an empty line: to the fields of the head. */
static size_t take_trailers(struct reading *a, struct str in, size_t at)
{
    struct str rest = str_drop(in, at);
    ssize_t end = str_starts(rest, STR("\r\n")) ? 0 : str_find(rest, STR("\r\n\r\n"));
    if (end < 0)
        return 0;
    pad_put(&a->head, str_take(rest, end ? (size_t)end + 2 : 0));
    answer_ends(a, WHOLE);
    return at + (size_t)end + (end ? 4 : 2);
}

/* "\r\n" behind a chunk's data comes before the next size. */
static size_t take_chunk_line(struct reading *a, struct str in)
{
    bool first = a->chunks == 0;
    size_t skip = first ? 0 : 2;
    ssize_t end = in.n > skip ? str_find(str_drop(in, skip), STR("\r\n")) : -1;
    if (end < 0)
        return 0;
    char size[24] = { 0 }, *rest;
    memcpy(size, in.p + skip, MIN((size_t)end, sizeof size - 1));
    a->left = strtoull(size, &rest, 16);
    if (*rest || !end || (!first && memcmp(in.p, "\r\n", 2) != 0))
        stage_complain("an answer's chunks are garbled");
    if (a->left == 0)
        return take_trailers(a, in, skip + (size_t)end + 2);
    a->chunks++;
    return skip + (size_t)end + 2;
}

static size_t take_some(struct reading *a, struct str in)
{
    if (a->state == AWAITED)
        return take_head(a, in);
    if (a->framing == CHUNKED && a->left == 0)
        return take_chunk_line(a, in);
    return take_bytes(a, in);
}

static void client_reads(struct peer *p)
{
    struct wire *w = p->arg;
    struct caller *c = w->owner;
    for (;;) {
        struct str in = peer_received(p);
        struct reading *a = in.n ? next_answer(c) : NULL;
        if (in.n && !a)
            a = answer_new(c); /* to what was sent raw */
        size_t used = a ? take_some(a, in) : 0;
        if (!used)
            return;
        w->bytes[TO_PEER] += used;
        peer_eat(p, used);
    }
}

static void connection_is_over(struct caller *c, bool clean)
{
    list_each (link, &c->answers) {
        struct reading *a = CONTAINER(link, struct reading, link);
        if (a->state < WHOLE)
            answer_ends(a, clean && a->state == IN_BODY_OF && a->framing == TO_EOF ? WHOLE : BROKEN);
    }
}

static void client_hears_end(struct peer *p, bool reset)
{
    struct wire *w = p->arg;
    struct caller *c = w->owner;
    if (c->wire != w)
        return;
    c->saw_end |= !reset;
    c->saw_reset |= reset;
    c->closed_at = world_now();
    connection_is_over(c, !reset);
    wire_close(w, CLOSE_FIN);
    c->wire = NULL;
}

static void client_opens(struct peer *p, enum fail f)
{
    if (f)
        client_hears_end(p, true);
}

static void connect_client(struct caller *c)
{
    if (c->wire || !stage.gateway)
        return;
    struct peer *p = world_connect(&stage.at, c->has_from ? &c->from : NULL);
    c->wire = wire_new(p, c);
    c->saw_end = c->saw_reset = c->confused = c->stalls = false;
    p->on_open = client_opens;
    p->on_data = client_reads;
    p->on_close = client_hears_end;
}

/* ---- sending ---- */
static void send_next_byte(void *client)
{
    struct caller *c = client;
    if (c->slow_at >= c->slow.n || !c->wire)
        return;
    wire_send(c->wire, (struct str){ c->slow.p + c->slow_at++, 1 });
    world_after(c->slow_pace, send_next_byte, c);
}

static void client_sends(struct caller *c, struct str bytes, nsec pace)
{
    connect_client(c);
    if (!c->wire)
        return;
    bool queued = c->slow_at < c->slow.n;
    if (!pace && !queued) {
        wire_send(c->wire, bytes);
        return;
    }
    pad_put(&c->slow, bytes);
    if (queued)
        return;
    c->slow_pace = pace;
    send_next_byte(c);
}

struct question {
    const struct line *line;
    const char *method, *path;
    struct pad body, fields;
    unsigned minor;
    bool chunked, has_body, head_only, no_host;
    nsec pace;
};

static unsigned take_option(struct question *q, unsigned i)
{
    const struct word *w = &q->line->w[i], *next = i + 1 < q->line->n ? &q->line->w[i + 1] : NULL;
    if (w->kind != WORD_PLAIN) {
        pad_put(&q->body, word_str(w));
        q->has_body = true;
        return i;
    }
    if (word_is(w, "http10"))
        q->minor = 0;
    else if (word_is(w, "chunked"))
        q->chunked = true;
    else if (word_is(w, "head-only"))
        q->head_only = true;
    else if (word_is(w, "slowly") && next)
        q->pace = word_time(q->line, next);
    else if (word_is(w, "with") && next) {
        pad_put(&q->fields, word_str(next));
        pad_put(&q->fields, STR("\r\n"));
    } else
        line_wrong(q->line, "ask knows no '%s'", w->text);
    return i + (word_is(w, "slowly") || word_is(w, "with"));
}

static void put_chunked(struct pad *out, struct str body)
{
    char line[32];
    while (body.n) {
        struct str part = str_take(body, 1000);
        snprintf(line, sizeof line, "%zx;a=b\r\n", part.n);
        pad_put(out, str_of(line));
        pad_put(out, part);
        pad_put(out, STR("\r\n"));
        body = str_drop(body, part.n);
    }
    pad_put(out, STR("0\r\n\r\n"));
}

static void put_question(struct pad *out, const struct question *q, const char *id)
{
    char line[512];
    snprintf(line, sizeof line, "%s %s HTTP/1.%u\r\nHost: localhost:13100\r\nX-Request-Id: %s\r\n", q->method, q->path,
             q->minor, id);
    pad_put(out, str_of(line));
    pad_put(out, pad_str(&q->fields));
    if (q->chunked)
        pad_put(out, STR("Transfer-Encoding: chunked\r\n"));
    else if (q->has_body) {
        snprintf(line, sizeof line, "Content-Length: %zu\r\n", q->body.n);
        pad_put(out, str_of(line));
    }
    pad_put(out, STR("\r\n"));
    if (q->chunked && !q->head_only)
        put_chunked(out, pad_str(&q->body));
    else if (!q->head_only)
        pad_put(out, pad_str(&q->body));
}

static void expect_answer(struct caller *c, const struct question *q)
{
    struct reading *a = answer_new(c);
    c->asked++;
    if (!c->confused)
        snprintf(a->id, sizeof a->id, "%s-%u", c->name, c->asked);
    c->confused |= q->head_only;
    snprintf(a->path, sizeof a->path, "%s", q->path);
    a->tongue = tongue_of(str_of(q->path));
    a->streams = tongue_streams(a->tongue, pad_str(&q->body));
    a->head_request = strcmp(q->method, "HEAD") == 0;
    a->may_go_on = str_find(pad_str(&q->fields), STR("X-OllamaMax-Continue: 1")) >= 0;
    if (!c->wire)
        answer_ends(a, BROKEN);
}

void client_asks(struct caller *c, const struct line *l)
{
    struct question q = { .line = l, .minor = 1 };
    struct pad out = { 0 };
    char id[64];
    if (l->n < 4)
        line_wrong(l, "ask CLIENT METHOD PATH [BODY] [with \"N: V\"] [chunked] [http10] [slowly TIME] [head-only]");
    q.method = l->w[2].text;
    q.path = l->w[3].text;
    for (unsigned i = 4; i < l->n; i++)
        i = take_option(&q, i);
    connect_client(c);
    expect_answer(c, &q);
    snprintf(id, sizeof id, "%s-%u", c->name, c->asked);
    put_question(&out, &q, id);
    client_sends(c, pad_str(&out), q.pace);
    free(out.p);
    free(q.fields.p);
    free(q.body.p);
}

/* ---- commands ---- */
static void leave(struct caller *c, enum peer_close how)
{
    if (!c->wire)
        return;
    wire_close(c->wire, how);
    c->wire = NULL;
    c->slow_at = c->slow.n;
    connection_is_over(c, false);
}

static bool obey_wire(struct caller *c, const struct word *verb)
{
    if (word_is(verb, "leaves"))
        leave(c, CLOSE_FIN);
    else if (word_is(verb, "resets"))
        leave(c, CLOSE_RESET);
    else if (word_is(verb, "half-closes") && c->wire && !c->wire->closed) {
        c->wire->shut = true;
        peer_shutdown(c->wire->peer);
    } else if ((word_is(verb, "stalls") || word_is(verb, "reads")) && c->wire)
        peer_stall(c->wire->peer, c->stalls = word_is(verb, "stalls"));
    else
        return !c->wire; /* in a sweep it may have lost its connection */
    return true;
}

bool client_is_owed(const struct caller *c)
{
    bool asked_all = c->slow_at >= c->slow.n && !c->confused;
    if (!c->wire || c->wire->closed || c->wire->shut || c->stalls || !asked_all)
        return false;
    list_each (link, &c->answers)
        if (CONTAINER(link, struct reading, link)->state < WHOLE)
            return true;
    return false;
}

void client_does(struct caller *c, const struct line *l)
{
    if (l->n < 2)
        line_wrong(l, "what does %s do?", l->w[0].text);
    if (word_is(&l->w[1], "connects")) {
        connect_client(c);
    } else if (word_is(&l->w[1], "comes") && l->n == 4) { /* comes from A:P */
        c->from = world_addr(l->w[3].text);
        c->has_from = true;
    } else if (word_is(&l->w[1], "sends") && l->n == 3) {
        c->confused = true;
        client_sends(c, word_str(&l->w[2]), 0);
    } else if (word_is(&l->w[1], "sends") && l->n == 5 && word_is(&l->w[2], "slowly")) {
        client_sends(c, word_str(&l->w[4]), word_time(l, &l->w[3]));
    } else if (!obey_wire(c, &l->w[1])) {
        line_wrong(l, "a client does not '%s'", l->w[1].text);
    }
}

/* Idempotent; memory goes with the second call, when the gateway is gone. */
void clients_leave(void)
{
    list_each (link, &stage.clients) {
        struct caller *c = CONTAINER(link, struct caller, link);
        leave(c, CLOSE_FIN);
    }
    if (stage.gateway)
        return;
    for (struct list *l; (l = list_pop(&stage.clients));) {
        struct caller *c = CONTAINER(l, struct caller, link);
        for (struct list *k; (k = list_pop(&c->answers));) {
            struct reading *a = CONTAINER(k, struct reading, link);
            free(a->head.p);
            free(a->body.p);
            free(a);
        }
        free(c->slow.p);
        free(c);
    }
}
