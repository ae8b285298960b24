/* Nodes of a play. They answer probes by themselves and perform a stage direction for everything else:
 *
 *     n1  200, record "Hel", wait 40ms, cut          waits here for a request, or a request for it: first come, first
 * served
 *
 * A direction is a row of a table. What goes out is kept in seen->sent, unframed, so that the truth can be told at the
 * end (truth.c). */
#include "net/http_body.h"
#include "stage.h"
#include <stdio.h>
#include <stdlib.h>

struct direction {
    const struct line *line;
    bool (*perform)(struct seen *s, const struct direction *d); /* false: it goes on later, by itself */
    const struct word *arg;
    unsigned args;
};
struct reply {
    struct list link;
    unsigned n;
    struct direction direction[];
};

struct node_actor *node_named(const char *name)
{
    list_each (link, &stage.nodes) {
        struct node_actor *n = CONTAINER(link, struct node_actor, link);
        if (strcmp(n->name, name) == 0)
            return n;
    }
    return NULL;
}

struct seen *node_last(struct node_actor *n)
{
    struct list *l = list_last(&n->seen);
    return l ? CONTAINER(l, struct seen, link) : NULL;
}

/* ---- what goes out ---- */
static void say(struct seen *s, struct str bytes)
{
    if (s->wire)
        wire_send(s->wire, bytes);
}

static void say_line(struct seen *s, const char *format, const char *text)
{
    char *line = NULL;
    int n = asprintf(&line, format, text);
    assume(n >= 0);
    say(s, (struct str){ line, (size_t)n });
    free(line);
}

static const char *type_of(const struct seen *s)
{
    if (!s->streams || s->tongue == OTHER)
        return "application/json; charset=utf-8";
    return tongue_is_sse(s->tongue) ? "text/event-stream" : "application/x-ndjson";
}

static void begin_head(struct seen *s, int status)
{
    char text[16];
    snprintf(text, sizeof text, "%d", status);
    s->status = status;
    s->head_sent = true;
    say_line(s, "HTTP/1.1 %s Said So\r\n", text);
}

static void need_head(struct seen *s)
{
    if (s->head_sent)
        return;
    begin_head(s, 200);
    say_line(s, "Content-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", type_of(s));
    s->chunked = true;
}

static void say_body(struct seen *s, struct str bytes)
{
    char line[24];
    need_head(s);
    if (!bytes.n)
        return; /* an empty chunk would be the last */
    snprintf(line, sizeof line, "%zx", bytes.n);
    if (s->chunked)
        say_line(s, "%s\r\n", line);
    say(s, bytes);
    if (s->chunked)
        say(s, STR("\r\n"));
    if (s->wire)
        pad_put(&s->sent, bytes);
}

static void say_and_free(struct seen *s, char *text)
{
    say_body(s, str_of(text));
    free(text);
}

static const char *tag_of(const struct seen *s)
{
    static char tag[64];
    snprintf(tag, sizeof tag, "%s/%u", s->node->name, s->no);
    return tag;
}

static void over(struct seen *s)
{
    s->ended = true;
    if (s->wire)
        s->wire->asked = NULL;
    s->wire = NULL;
}

/* ---- directions: answers ---- */
static bool do_head(struct seen *s, const struct direction *d)
{
    const char *type = type_of(s), *framing = "Transfer-Encoding: chunked\r\n";
    char length[64];
    begin_head(s, atoi(d->arg[-1].text));
    s->chunked = true;
    for (unsigned i = 0; i < d->args; i++) {
        if (word_is(&d->arg[i], "type") && i + 1 < d->args) {
            type = d->arg[++i].text;
        } else if (word_is(&d->arg[i], "length") && i + 1 < d->args) {
            snprintf(length, sizeof length, "Content-Length: %s\r\n", d->arg[++i].text);
            framing = length;
            s->chunked = false;
            s->counted = s->rough = true; /* it may say more than it promised */
        } else if (word_is(&d->arg[i], "to-eof")) {
            framing = "";
            s->chunked = false;
            s->to_eof = true;
        } else if (word_is(&d->arg[i], "header") && i + 1 < d->args) {
            say_line(s, "%s\r\n", d->arg[++i].text);
        } else {
            line_wrong(d->line, "a head has type T, length N, to-eof, header \"N: V\", not '%s'", d->arg[i].text);
        }
    }
    say_line(s, "Content-Type: %s\r\n", type);
    say_line(s, "%s\r\n", framing);
    return true;
}

static bool do_record(struct seen *s, const struct direction *d)
{
    say_and_free(s, tongue_record(s->tongue, d->args ? d->arg[0].text : "x", tag_of(s)));
    return true;
}

static bool do_records(struct seen *s, const struct direction *d)
{
    if (d->args < 1)
        line_wrong(d->line, "records N [\"text\"]");
    for (uint64_t n = word_number(d->line, &d->arg[0]); n; n--)
        say_and_free(s, tongue_record(s->tongue, d->args > 1 ? d->arg[1].text : "x", tag_of(s)));
    return true;
}

static bool do_hollow(struct seen *s, const struct direction *d)
{
    size_t before = s->sent.n;
    say_and_free(s, tongue_hollow(s->tongue));
    if (s->streams)
        s->sent.n = before; /* nobody is to see it */
    s->rough |= s->marked;  /* behind an error it may come or not */
    return true;
}

static bool do_error(struct seen *s, const struct direction *d)
{
    say_and_free(s, tongue_error(s->tongue, d->args ? d->arg[0].text : "it broke"));
    s->marked = true;
    return true;
}

static bool do_marker(struct seen *s, const struct direction *d)
{
    say_and_free(s, tongue_done(s->tongue, tag_of(s)));
    s->marked = true;
    return true;
}

static bool do_end(struct seen *s, const struct direction *d)
{
    need_head(s);
    if (s->chunked)
        say(s, STR("0\r\n\r\n"));
    if (s->to_eof && s->wire)
        wire_close(s->wire, CLOSE_FIN);
    over(s);
    return true;
}

static bool do_done(struct seen *s, const struct direction *d)
{
    do_marker(s, d);
    return do_end(s, d);
}

static void say_whole(struct seen *s, int status, char *body)
{
    char length[32];
    begin_head(s, status);
    snprintf(length, sizeof length, "%zu", strlen(body));
    say_line(s, "Content-Type: application/json; charset=utf-8\r\nContent-Length: %s\r\n\r\n", length);
    s->counted = true;
    s->marked = true;
    say_and_free(s, body);
    over(s);
}

static bool do_whole(struct seen *s, const struct direction *d)
{
    say_whole(s, 200, tongue_whole(s->tongue, d->args ? d->arg[0].text : "x", tag_of(s)));
    return true;
}

static bool do_answer(struct seen *s, const struct direction *d)
{
    if (!d->args)
        line_wrong(d->line, "answer STATUS [BODY]");
    say_whole(s, atoi(d->arg[0].text), strdup(d->args > 1 ? d->arg[1].text : ""));
    return true;
}

static bool do_body(struct seen *s, const struct direction *d)
{
    say_body(s, d->args ? word_str(&d->arg[0]) : STR_NONE);
    s->rough = true;
    return true;
}

static bool do_raw(struct seen *s, const struct direction *d)
{
    s->head_sent = s->rough = true;
    say(s, d->args ? word_str(&d->arg[0]) : STR_NONE);
    return true;
}

/* What was said raw is all. */
static bool do_over(struct seen *s, const struct direction *d)
{
    over(s);
    return true;
}

/* ---- directions: time and ends ---- */
static void go_on(struct seen *s);
static void waited(void *seen)
{
    go_on(seen);
}

static bool do_wait(struct seen *s, const struct direction *d)
{
    if (!d->args)
        line_wrong(d->line, "wait TIME");
    world_after(word_time(d->line, &d->arg[0]), waited, s);
    return false;
}

static bool do_cut(struct seen *s, const struct direction *d)
{
    if (s->wire)
        wire_close(s->wire, CLOSE_RESET);
    over(s);
    return true;
}

static bool do_close(struct seen *s, const struct direction *d)
{
    if (s->wire)
        wire_close(s->wire, CLOSE_FIN);
    over(s);
    return true;
}

/* After an answer the request is over: these two are for its connection. */
static const struct {
    const char *name;
    bool (*perform)(struct seen *s, const struct direction *d);
} verbs[] = {
    {"record",   do_record },
    { "records", do_records},
    { "hollow",  do_hollow },
    { "error",   do_error  },
    { "marker",  do_marker },
    { "end",     do_end    },
    { "done",    do_done   },
    { "whole",   do_whole  },
    { "answer",  do_answer },
    { "body",    do_body   },
    { "raw",     do_raw    },
    { "wait",    do_wait   },
    { "cut",     do_cut    },
    { "close",   do_close  },
    { "over",    do_over   },
};

/* ---- performing ---- */
static void go_on(struct seen *s)
{
    struct wire *w = s->wire;
    while (s->step < s->reply->n && w && !w->closed) {
        const struct direction *d = &s->reply->direction[s->step++];
        if (!s->wire)
            s->wire = w; /* `done, close`: the connection outlives the answer by a direction */
        if (!d->perform(s, d))
            return;
    }
}

static void match(struct node_actor *n)
{
    list_each (link, &n->seen) {
        struct seen *s = CONTAINER(link, struct seen, link);
        if (s->reply || s->gone)
            continue;
        struct list *l = list_pop(&n->replies);
        if (!l)
            return;
        s->reply = CONTAINER(l, struct reply, link);
        go_on(s);
    }
}

static bool (*verb_of(const struct word *w))(struct seen *, const struct direction *)
{
    if (w->kind == WORD_PLAIN && w->n == 3 && w->text[0] >= '1' && w->text[0] <= '5')
        return do_head;
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (word_is(w, verbs[i].name))
            return verbs[i].perform;
    return NULL;
}

static void take_directions(struct node_actor *n, const struct line *l)
{
    struct reply *r = calloc(1, sizeof *r + l->n * sizeof r->direction[0]);
    assume(r);
    for (unsigned i = 1; i < l->n; i++) {
        struct direction *d = &r->direction[r->n++];
        *d = (struct direction){ .line = l, .perform = verb_of(&l->w[i]), .arg = &l->w[i + 1] };
        if (!d->perform)
            line_wrong(l, "a node knows no '%s'", l->w[i].text);
        for (; i < l->n - 1 && !l->w[i].comma; i++)
            d->args++;
    }
    list_push(&n->replies, &r->link);
    match(n);
}

/* ---- probes ---- */
static void list_models(struct pad *t, char name[][64], unsigned n, bool loaded)
{
    char entry[512];
    pad_put(t, STR("{\"models\":["));
    for (unsigned i = 0; i < n; i++) {
        snprintf(entry, sizeof entry,
                 "%s{\"name\":\"%s\",\"model\":\"%s\",\"modified_at\":\"2026-01-01T00:00:00Z\",\"size\":100,\"digest\":"
                 "\"%064x\",\"details\":{}%s}",
                 i ? "," : "", name[i], name[i], (unsigned)(name[i][0] + 1),
                 loaded ? ",\"expires_at\":\"2318-01-01T00:00:00Z\",\"size_vram\":100" : "");
        pad_put(t, str_of(entry));
    }
    pad_put(t, STR("]}"));
}

static void list_openai(struct pad *t, const struct node_actor *n)
{
    char entry[256];
    pad_put(t, STR("{\"object\":\"list\",\"data\":["));
    for (unsigned i = 0; i < n->models_n; i++) {
        snprintf(entry, sizeof entry, "%s{\"id\":\"%s\",\"object\":\"model\",\"owned_by\":\"llamacpp\"}", i ? "," : "",
                 n->models[i]);
        pad_put(t, str_of(entry));
    }
    pad_put(t, STR("]}"));
}

static void list_props(struct pad *t, const struct node_actor *n)
{
    char body[128];
    snprintf(body, sizeof body, "{\"total_slots\":%u,\"default_generation_settings\":{\"n_ctx\":4096}}", n->tells);
    pad_put(t, str_of(body));
}

static int answer_probe(struct node_actor *n, struct str path, struct pad *t)
{
    if (str_eq(path, STR("/v1/models")))
        list_openai(t, n);
    else if (n->tells && str_eq(path, STR("/props")))
        list_props(t, n);
    else if (!n->is_ollama)
        return 404;
    else if (str_eq(path, STR("/api/version")))
        pad_put(t, STR("{\"version\":\"0.12.3\"}"));
    else
        list_models(t, str_eq(path, STR("/api/ps")) ? n->loaded : n->models,
                    str_eq(path, STR("/api/ps")) ? n->loaded_n : n->models_n, str_eq(path, STR("/api/ps")));
    return 200;
}

static const char *const probe_paths[] = { "/api/version", "/api/tags", "/api/ps", "/v1/models", "/props", "/slots" };

static void probe_comes_back(void *arg)
{
    struct wire *w = arg;
    struct pad t = { 0 };
    char head[160];
    int status = answer_probe(w->owner, str_of(probe_paths[w->probe]), &t);
    snprintf(head, sizeof head, "HTTP/1.1 %d So\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
             status, t.n);
    wire_send(w, str_of(head));
    wire_send(w, pad_str(&t));
    free(t.p);
}

static bool take_probe(struct wire *w, const struct http_head *h)
{
    struct node_actor *n = w->owner;
    if (h->method != M_GET)
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(probe_paths); i++) {
        if (!str_eq(h->path, str_of(probe_paths[i])))
            continue;
        n->probed[i]++;
        if (n->probes_after < 0)
            return true;
        w->probe = i;
        if (n->probes_after)
            world_after(n->probes_after, probe_comes_back, w);
        else
            probe_comes_back(w);
        return true;
    }
    return false;
}

/* ---- requests ---- */
static void take_request(struct wire *w, const struct http_head *h, struct str head, struct str body)
{
    struct node_actor *n = w->owner;
    struct seen *s = calloc(1, sizeof *s);
    struct str id = http_get(h, H_X_REQUEST_ID);
    assume(s);
    s->node = n;
    s->wire = w;
    s->no = ++n->seen_n;
    s->at = world_now();
    snprintf(s->id, sizeof s->id, "%.*s", STR_ARG(id));
    snprintf(s->path, sizeof s->path, "%.*s", STR_ARG(h->path));
    pad_put(&s->head, head);
    pad_put(&s->body, body);
    s->tongue = tongue_of(h->path);
    s->streams = tongue_streams(s->tongue, body);
    w->asked = s;
    list_push(&n->seen, &s->link);
    match(n);
}

static enum http_step gather(struct http_body *b, struct str *in, struct pad *out)
{
    struct str slice;
    enum http_step step;
    while ((step = http_body_next(b, in, &slice)) == BODY_DATA)
        pad_put(out, slice);
    return step;
}

/* One whole request, if there is one; how many bytes it had. */
static size_t take_one(struct wire *w, struct str in)
{
    struct http_head h;
    struct http_frame f;
    enum fail why;
    struct pad body = { 0 };
    enum http_parse p = http_parse_request(in, KIB(64), &h, &why);
    if (p == HTTP_MORE)
        return 0;
    if (p == HTTP_BAD || http_request_frame(&h, &f)) {
        stage_complain("a node was sent what is no HTTP: %.*s", (int)MIN(in.n, (size_t)200), in.p);
        return in.n;
    }
    struct http_body b;
    struct str rest = str_drop(in, h.bytes);
    http_body_init(&b, &f);
    size_t used = 0;
    if (gather(&b, &rest, &body) == BODY_END) {
        used = in.n - rest.n;
        if (!take_probe(w, &h))
            take_request(w, &h, str_take(in, h.bytes), pad_str(&body));
    }
    free(body.p);
    return used;
}

static void node_reads(struct peer *p)
{
    struct wire *w = p->arg;
    struct str in = peer_received(p);
    size_t before = w->bytes[TO_PEER], used;
    (void)before;
    while (in.n && !w->closed && !w->asked && (used = take_one(w, in)) > 0) {
        w->bytes[TO_PEER] += used;
        peer_eat(p, used);
        in = peer_received(p);
    }
    if (in.n && w->asked)
        stage_complain("a node was sent a request before it had answered the one before");
}

static void node_hears_end(struct peer *p, bool reset)
{
    struct wire *w = p->arg;
    if (w->asked) {
        w->asked->gone = true;
        over(w->asked);
    }
    wire_close(w, CLOSE_FIN);
}

static void node_accepts(struct peer *p, void *arg)
{
    wire_new(p, arg);
    p->on_data = node_reads;
    p->on_close = node_hears_end;
}

/* ---- commands ---- */
static void set_link(struct node_actor *n, enum answer how)
{
    struct link k = link_usual();
    k.answer = how;
    if (stage.segments) {
        k.segment_min = stage.segments;
        k.segment_max = 4 * stage.segments;
        k.window_min = 8 * stage.segments;
        k.window_max = MAX(k.window_max, 16 * stage.segments);
    }
    world_link(&n->at, &k);
}

static void close_wires(struct node_actor *n, bool kept_only, enum peer_close how)
{
    list_each (link, &stage.wires) {
        struct wire *w = CONTAINER(link, struct wire, link);
        if (w->owner != n || w->closed || (kept_only && w->asked))
            continue;
        if (w->asked)
            over(w->asked);
        wire_close(w, how);
    }
}

static void dies(struct node_actor *n)
{
    set_link(n, LINK_REFUSE);
    close_wires(n, false, CLOSE_RESET);
}

void nodes_die(void)
{
    list_each (link, &stage.nodes)
        dies(CONTAINER(link, struct node_actor, link));
}

static unsigned take_names(char into[][64], const struct line *l, unsigned from)
{
    unsigned n = 0;
    for (unsigned i = from; i < l->n && n < 8; i++)
        if (!word_is(&l->w[i], "nothing"))
            snprintf(into[n++], 64, "%s", l->w[i].text);
    return n;
}

static bool is_command(const struct line *l, const char *one, const char *two)
{
    return l->n >= 2 && word_is(&l->w[1], one) && (!two || (l->n >= 3 && word_is(&l->w[2], two)));
}

static bool obey_network(struct node_actor *n, const struct line *l)
{
    if (is_command(l, "refuses", NULL))
        set_link(n, LINK_REFUSE);
    else if (is_command(l, "unreachable", NULL))
        set_link(n, LINK_NO_ROUTE);
    else if (is_command(l, "dark", NULL))
        set_link(n, LINK_BLACK_HOLE);
    else if (is_command(l, "recovers", NULL))
        set_link(n, LINK_OPEN);
    else
        return false;
    return true;
}

/* Everything it has is loaded, unless the names begin with `cold`. */
static void has(struct node_actor *n, const struct line *l, unsigned from)
{
    bool cold = from < l->n && word_is(&l->w[from], "cold");
    n->models_n = take_names(n->models, l, from + cold);
    n->loaded_n = cold ? 0 : n->models_n;
    memcpy(n->loaded, n->models, sizeof n->loaded);
}

static bool obey(struct node_actor *n, const struct line *l)
{
    if (obey_network(n, l))
        return true;
    if (is_command(l, "dies", NULL)) {
        dies(n);
    } else if (is_command(l, "closes", "kept")) {
        close_wires(n, true, CLOSE_FIN);
    } else if (is_command(l, "resets", "kept")) {
        close_wires(n, true, CLOSE_RESET);
    } else if (is_command(l, "has", NULL)) {
        has(n, l, 2);
    } else if (is_command(l, "loaded", NULL)) {
        n->loaded_n = take_names(n->loaded, l, 2);
    } else if (is_command(l, "probes", "after") && l->n > 3) {
        n->probes_after = word_time(l, &l->w[3]);
    } else if (is_command(l, "probes", "never")) {
        n->probes_after = -1;
    } else {
        return false;
    }
    return true;
}

void node_does(struct node_actor *n, const struct line *l)
{
    if (!obey(n, l))
        take_directions(n, l);
}

#define NODE_LINE                                                                                                      \
    "node NAME [is llamacpp | is gateway] [label KEY:VALUE] [slots N | tells N | learns] has [cold] MODEL, ..."

void node_enters(const struct line *l)
{
    struct node_actor *n = calloc(1, sizeof *n);
    char at[32];
    unsigned no = 1, i = 2;
    assume(n);
    if (l->n < 3)
        line_wrong(l, NODE_LINE);
    list_each (link, &stage.nodes)
        no++;
    snprintf(at, sizeof at, "10.0.0.%u:11434", no);
    snprintf(n->name, sizeof n->name, "%s", l->w[1].text);
    n->at = world_addr(at);
    bool is_gateway = word_is(&l->w[2], "is") && l->n > 3 && word_is(&l->w[3], "gateway");
    n->is_ollama = !word_is(&l->w[2], "is");
    i += n->is_ollama ? 0 : 2;
    if (i + 1 < l->n && word_is(&l->w[i], "label")) {
        snprintf(n->labels, sizeof n->labels, "%s", l->w[i + 1].text);
        i += 2;
    }
    if (i + 1 < l->n && word_is(&l->w[i], "tells")) {
        n->slots = -1;
        n->tells = word_number(l, &l->w[i + 1]);
        i += 2;
    } else if (i + 1 < l->n && (word_is(&l->w[i], "slots") || word_is(&l->w[i], "learns"))) {
        n->slots = word_is(&l->w[i], "slots") ? (int)word_number(l, &l->w[i + 1]) : -1;
        i += n->slots < 0 ? 1 : 2;
    }
    if (i >= l->n || !word_is(&l->w[i], "has"))
        line_wrong(l, NODE_LINE);
    has(n, l, i + 1);
    list_init(&n->seen);
    list_init(&n->replies);
    list_push(&stage.nodes, &n->link);
    stage.mirrored |= is_gateway;
    if (is_gateway)
        n->at = stage.at;
    else
        world_listen(&n->at, node_accepts, n);
}

static void seen_free(struct seen *s)
{
    free(s->head.p);
    free(s->body.p);
    free(s->sent.p);
    free(s->reply);
    free(s);
}

void nodes_leave(void)
{
    for (struct list *l; (l = list_pop(&stage.nodes));) {
        struct node_actor *n = CONTAINER(l, struct node_actor, link);
        for (struct list *k; (k = list_pop(&n->seen));)
            seen_free(CONTAINER(k, struct seen, link));
        for (struct list *k; (k = list_pop(&n->replies));)
            free(CONTAINER(k, struct reply, link));
        free(n);
    }
}
