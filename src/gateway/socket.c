/* A WebSocket's messages in, and its life: handshake, pings, subscription, end.
 *
 * All that it says goes straight to the connection, in whole frames, so frames of answers, of the dashboard and of
 * control may follow each other in any order. What may grow is bounded by its cause: answers wait at their calls
 * (socket_call.c), the dashboard's frames are skipped or the reader is let go (feed.h), and nothing more is read from a
 * peer that does not read what it is told.
 *
 * A browser cannot put a header on a WebSocket, so the key may come as a subprotocol, which is never echoed. What was
 * said in the handshake is kept and asked about again with each message: a key that is changed is changed for open
 * sockets too. */
#include "gateway/socket.h"
#include "gateway/ops.h"
#include <openssl/evp.h>

#define MESSAGE_MAX MIB(16)
#define UNREAD_MAX  KIB(256) /* what it has not read of what it was told, before it is listened to again */
#define PING_EVERY  SECOND(30)
#define KEY_MAX     1024
#define PROTOCOL    STR("ollamamax.v1")
#define KEY_PREFIX  STR("ollamamax.bearer.")

static struct slab sockets;
static const struct websocket_events events;
static void timed(struct timer *t);
static void told(struct feed_reader *r, const struct bulletin *b);
static void over(struct feed_reader *r);

/* ---- the handshake ----------------------------------------------------------------------------------------------- */

static bool lists(struct str list, struct str wanted)
{
    while (list.n)
        if (str_eq_nocase(str_trim_blank(str_cut(&list, ',')), wanted))
            return true;
    return false;
}

static bool is_websocket(const struct exchange *x)
{
    const struct offer *o = x->in.offer;
    const struct client *c = x->owner;

    return o && !c->http10 && c->keep_alive && lists(o->upgrade, STR("websocket")) &&
           lists(o->connection, STR("upgrade")) && str_eq(o->version, STR("13"));
}

/* base64url without padding; the bytes of the key, 0: it is none. */
static size_t decode_key(struct str text, char out[KEY_MAX + 3])
{
    char plain[KEY_MAX * 4 / 3 + 4];
    size_t padded = (text.n + 3) / 4 * 4;
    int n;

    if (!text.n || padded > KEY_MAX * 4 / 3)
        return 0;
    for (size_t i = 0; i < padded; i++) {
        char c = i < text.n ? text.p[i] : '=';
        plain[i] = c == '-' ? '+' : c == '_' ? '/' : c;
    }
    n = EVP_DecodeBlock((uint8_t *)out, (const uint8_t *)plain, (int)padded);
    return n < 0 ? 0 : (size_t)n - (padded - text.n);
}

/* The key among the protocols offered, as an Authorization field would have it; in the arena. */
static struct str key_offered(struct exchange *x)
{
    struct str list = x->in.offer->protocols;
    char key[KEY_MAX + 3], *at;
    size_t n;

    while (list.n) {
        struct str one = str_trim_blank(str_cut(&list, ','));
        if (!str_starts(one, KEY_PREFIX))
            continue;
        n = decode_key(str_drop(one, KEY_PREFIX.n), key);
        at = n ? arena_take(&x->arena, n + 7) : NULL;
        return at ? str_span(at, put_str(put_str(at, STR("Bearer ")), (struct str){ key, n })) : STR_NONE;
    }
    return STR_NONE;
}

static enum fail keep_asker(struct socket *s, struct exchange *x)
{
    struct str given = x->in.authorization.n ? x->in.authorization : key_offered(x);
    struct {
        struct str from, *to;
    } strings[] = {
        {x->in.host,        &s->host         },
        { x->in.origin,     &s->origin       },
        { given,            &s->authorization},
        { x->in.user_agent, &s->user_agent   },
    };
    enum fail f = buf_reserve(&s->kept, x->in.host.n + x->in.origin.n + given.n + x->in.user_agent.n + 1);

    for (unsigned i = 0; !f && i < ARRAY_LEN(strings); i++) {
        *strings[i].to = (struct str){ buf_tail(&s->kept), strings[i].from.n };
        f = buf_append(&s->kept, strings[i].from);
    }
    s->loopback = x->in.loopback;
    return f;
}

static struct socket *socket_new(struct exchange *x)
{
    struct socket *s = slab_take0(&sockets);

    if (!s)
        return NULL;
    s->client = x->owner;
    list_init(&s->calls);
    list_init(&s->due);
    s->timer.fire = timed;
    s->reader = (struct feed_reader){ .told = told, .over = over };
    s->heard = worker_now(x->worker);
    s->websocket = websocket_new(MIN(x->settings->body_max, MESSAGE_MAX), &events, s);
    if (!s->websocket || keep_asker(s, x))
        socket_free(&s);
    return s;
}

static enum step refuse(struct exchange *x)
{
    answer_header(x, STR("Upgrade"), STR("websocket"));
    answer_header(x, STR("Sec-WebSocket-Version"), STR("13"));
    return answer_fail(x, FAIL_upgrade_required, STR_NONE);
}

enum step socket_enter(struct exchange *x)
{
    struct client *c = x->owner;
    char accept[29];

    assume(x->sink == &client_sink);
    if (!is_websocket(x) || !websocket_answer(x->in.offer->key, accept))
        return refuse(x);
    if (x->worker->draining)
        return answer_fail(x, FAIL_shutting_down, STR_NONE);
    c->socket = socket_new(x);
    if (!c->socket)
        return answer_fail(x, FAIL_no_memory, STR_NONE);
    answer_header(x, STR("Upgrade"), STR("websocket"));
    answer_header(x, STR("Connection"), STR("Upgrade"));
    answer_header(x, STR("Sec-WebSocket-Accept"), str_of(accept));
    if (lists(x->in.offer->protocols, PROTOCOL))
        answer_header(x, STR("Sec-WebSocket-Protocol"), PROTOCOL);
    return answer(x, 101, STR_NONE, STR_NONE);
}

/* ---- saying ------------------------------------------------------------------------------------------------------ */

static void write_pieces(struct socket *s, struct iovec *v, int n)
{
    if (!s->closing)
        (void)conn_write(&s->client->conn, v, n, FLEETING); /* a broken connection tells its reader */
}

void socket_say(struct socket *s, struct text *t)
{
    char head[WEBSOCKET_HEAD];
    struct str payload = text_str(t);
    struct iovec v[2] = {
        {head,   websocket_head(WEBSOCKET_TEXT, payload.n, head) },
        { (void *)payload.p, payload.n                            }
    };

    if (t->failed)
        client_doom(s->client); /* better broken than with a hole */
    else
        write_pieces(s, v, 2);
    text_free(t);
}

void socket_error(struct socket *s, struct str id, enum fail why, struct str message)
{
    struct text t = { 0 };
    struct json_out j = { .to = &t };

    json_open(&j, '{');
    ops_str(&j, "type", STR("error"));
    if (id.n) {
        json_key(&j, "id");
        json_put_raw(&j, id);
    }
    ops_int(&j, "status", fail_status(why));
    ops_str(&j, "code", fail_name(why));
    ops_str(&j, "error", message.n ? message : fail_sentence(why));
    json_close(&j);
    socket_say(s, &t);
}

static void write_frames(void *arg, struct str frames)
{
    struct iovec v = { (void *)frames.p, frames.n };

    write_pieces(arg, &v, 1);
}

/* ---- the dashboard's frames -------------------------------------------------------------------------------------- */

static void pass_on(struct socket *s, const struct bulletin *b, unsigned topics)
{
    struct str piece[FEED_TOPICS];
    struct iovec v[FEED_TOPICS];
    unsigned n = bulletin_look(b, FORM_SOCKET, topics, piece);

    for (unsigned i = 0; i < n; i++)
        v[i] = (struct iovec){ (void *)piece[i].p, piece[i].n };
    if (n)
        write_pieces(s, v, (int)n);
}

/* As with event streams: figures come anew, what is told once does not. */
static void told(struct feed_reader *r, const struct bulletin *b)
{
    struct socket *s = CONTAINER(r, struct socket, reader);
    size_t waiting = conn_pending(&s->client->conn);

    if (waiting > FEED_BEHIND)
        client_doom(s->client);
    else
        pass_on(s, b, waiting ? s->topics & ~FEED_BIT(FEED_METRICS) : s->topics);
}

static void unsubscribe(struct socket *s)
{
    if (s->topics)
        feed_leave(&s->reader);
    s->topics = 0;
}

static void over(struct feed_reader *r)
{
    unsubscribe(CONTAINER(r, struct socket, reader));
}

static void subscribe(struct socket *s, unsigned topics)
{
    struct worker *w = s->client->worker;
    struct bulletin *last = NULL;

    unsubscribe(s);
    s->topics = topics;
    if (topics)
        last = feed_join(w, &s->reader);
    if (last)
        pass_on(s, last, topics);
    bulletin_unref(&last);
}

/* ---- messages ---------------------------------------------------------------------------------------------------- */

struct message {
    struct json o;
    struct str id; /* as it was spelled; empty: none */
    struct buf *text;
    struct arena arena;
};

static struct str string_of(struct message *m, const char *key)
{
    struct json v = json_get(m->o, str_of(key));

    return v.kind == JSON_STRING ? json_text(&m->arena, v) : STR_NONE;
}

static void wrong(struct socket *s, const struct message *m, const char *what)
{
    socket_error(s, m->id, FAIL_bad_value, str_of(what));
}

static bool runs_a_model(struct str path)
{
    const struct route *r = route_find(M_POST, str_cut(&path, '?')).route;

    return r && r->kind == KIND_MODEL && r->model_in == IN_BODY;
}

static void take_inference(struct socket *s, struct message *m)
{
    struct json body = json_get(m->o, STR("body"));
    struct call_wish wish = {
        .id = m->id, .path = string_of(m, "path"), .method = M_POST, .body = body.raw, .text = m->text
    };

    if (!m->id.n)
        wrong(s, m, "an inference needs an id, which its answers will carry");
    else if (!runs_a_model(wish.path))
        wrong(s, m, "path must be one that runs a model, like /api/chat");
    else if (body.kind != JSON_OBJECT)
        wrong(s, m, "body must be a JSON object");
    else
        call_begin(s, &wish);
}

static void take_get_nodes(struct socket *s, struct message *m)
{
    call_begin(s, &(struct call_wish){ .id = m->id, .path = STR("/api/nodes/detailed"), .method = M_GET });
}

static void take_add_node(struct socket *s, struct message *m)
{
    struct json node = json_get(m->o, STR("node"));
    struct call_wish wish = {
        .id = m->id, .path = STR("/api/nodes"), .method = M_POST, .body = node.raw, .text = m->text
    };

    if (node.kind == JSON_OBJECT)
        call_begin(s, &wish);
    else
        wrong(s, m, "node must be an object like {\"url\":\"http://gpu1:11434\"}");
}

/* "/api/nodes/" and the name, escaped; in the message's arena. */
static struct str path_of_node(struct message *m, struct str name)
{
    static const char digits[] = "0123456789ABCDEF";
    struct str root = STR("/api/nodes/");
    char *at = arena_take(&m->arena, root.n + 3 * name.n), *p = at;

    if (!at)
        return STR_NONE;
    p = put_str(p, root);
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        *p++ = '%';
        *p++ = digits[c >> 4];
        *p++ = digits[c & 15];
    }
    return str_span(at, p);
}

static void take_remove_node(struct socket *s, struct message *m)
{
    struct str name = string_of(m, "node");

    if (name.n)
        call_begin(s, &(struct call_wish){ .id = m->id, .path = path_of_node(m, name), .method = M_DELETE });
    else
        wrong(s, m, "node must be the id of a node");
}

static bool topics_of(struct message *m, unsigned *out)
{
    struct json list = json_get(m->o, STR("topics"));
    struct json_walk w = json_walk(list);
    enum feed_topic topic;

    *out = 0;
    if (list.kind != JSON_ARRAY)
        return false;
    while (json_next(&w)) {
        if (w.value.kind != JSON_STRING || !feed_topic(json_text(&m->arena, w.value), &topic))
            return false;
        *out |= FEED_BIT(topic);
    }
    return true;
}

static void take_subscribe(struct socket *s, struct message *m)
{
    const struct gateway_settings *settings = worker_settings(s->client->worker);
    struct asker by = { s->loopback, s->host, s->origin, s->authorization };
    unsigned topics;

    if (!topics_of(m, &topics))
        wrong(s, m, "topics must be a list of metrics, node_update, alert and request");
    else if (!ops_may(settings, &by))
        socket_error(s, m->id, settings->admin_key.n ? FAIL_unauthorized : FAIL_forbidden, STR_NONE);
    else if (!settings->observe)
        socket_error(s, m->id, FAIL_not_implemented, STR("nothing is observed here (observe.enabled)"));
    else if (s->ending)
        socket_error(s, m->id, FAIL_shutting_down, STR_NONE);
    else
        subscribe(s, topics);
}

static void take_cancel(struct socket *s, struct message *m)
{
    if (!m->id.n || !call_cancel(s, m->id))
        socket_error(s, m->id, FAIL_no_such_object, STR("nothing with this id is under way"));
}

static const struct {
    const char *type;
    void (*take)(struct socket *s, struct message *m);
} kinds[] = {
    {"inference",    take_inference  },
    { "subscribe",   take_subscribe  },
    { "cancel",      take_cancel     },
    { "get_nodes",   take_get_nodes  },
    { "add_node",    take_add_node   },
    { "remove_node", take_remove_node},
};

static void take(struct socket *s, struct message *m)
{
    struct str type = string_of(m, "type");

    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(type, str_of(kinds[i].type))) {
            kinds[i].take(s, m);
            return;
        }
    wrong(s, m, "type must be inference, cancel, subscribe, get_nodes, add_node or remove_node");
}

/* False: there is one, and it is none. */
static bool read_id(struct message *m)
{
    struct json id = json_get(m->o, STR("id"));

    if (id.kind == JSON_BAD || id.kind == JSON_NULL)
        return true;
    if ((id.kind != JSON_STRING && id.kind != JSON_NUMBER) || id.raw.n > SOCKET_ID)
        return false;
    m->id = id.raw;
    return true;
}

static void count(struct socket *s, size_t bytes)
{
    struct gateway *g = s->client->worker->gateway;

    atomic_fetch_add_explicit(&g->bodies, bytes - s->counted, memory_order_relaxed); /* wraps around to less */
    s->counted = bytes;
}

static bool may_hold(void *arg, size_t bytes)
{
    struct socket *s = arg;
    struct worker *w = s->client->worker;

    count(s, bytes);
    return atomic_load_explicit(&w->gateway->bodies, memory_order_relaxed) <= memory_bodies_most(worker_settings(w));
}

static void message(void *arg, struct buf *text)
{
    struct socket *s = arg;
    struct message m = { .o = json_parse(buf_str(text), NULL), .text = text };

    count(s, 0);
    arena_init(&m.arena);
    if (m.o.kind != JSON_OBJECT)
        socket_error(s, STR_NONE, FAIL_bad_json, STR("a message must be a JSON object"));
    else if (!read_id(&m))
        wrong(s, &m, "id must be a short string or a number");
    else
        take(s, &m);
    arena_done(&m.arena);
}

static const struct websocket_events events = { .message = message, .write = write_frames, .may_hold = may_hold };

/* ---- life -------------------------------------------------------------------------------------------------------- */

void socket_pools_init(void)
{
    slab_init(&sockets, "websocket", sizeof(struct socket));
}

void socket_pools_done(void)
{
    slab_done(&sockets);
}

static struct loop *loop_of(const struct socket *s)
{
    return s->client->worker->loop;
}

void socket_open(struct socket *s)
{
    loop_timer_set(loop_of(s), &s->timer, loop_now(loop_of(s)) + PING_EVERY);
}

bool socket_take(struct socket *s, struct str in)
{
    s->heard = loop_now(loop_of(s));
    s->pinged = 0;
    if (!websocket_take(s->websocket, in))
        return false;
    if (conn_pending(&s->client->conn) > UNREAD_MAX)
        conn_watch(&s->client->conn, SOCK_HUP);
    return true;
}

void socket_drained(struct socket *s)
{
    conn_watch(&s->client->conn, SOCK_READ);
    calls_pump(s);
}

static void say_goodbye(struct socket *s)
{
    websocket_close(s->websocket, WEBSOCKET_GOING_AWAY, fail_sentence(FAIL_shutting_down));
    client_bow_out(s->client);
}

static void ping(struct socket *s)
{
    char head[WEBSOCKET_HEAD];

    write_frames(s, (struct str){ head, websocket_head(WEBSOCKET_PING, 0, head) });
    s->pinged = loop_now(loop_of(s));
    loop_timer_set(loop_of(s), &s->timer, s->pinged + PING_EVERY);
}

static void timed(struct timer *t)
{
    struct socket *s = CONTAINER(t, struct socket, timer);

    if (s->ending && list_empty(&s->calls))
        say_goodbye(s);
    else if (s->pinged)
        client_doom(s->client); /* nobody is there, or nobody reads */
    else
        ping(s);
}

void socket_drain(struct socket *s)
{
    s->ending = true;
    if (list_empty(&s->calls))
        loop_timer_set(loop_of(s), &s->timer, loop_now(loop_of(s)));
}

void socket_free(struct socket **at)
{
    struct socket *s = *at;

    *at = NULL;
    s->closing = true;
    calls_cancel_all(s);
    unsubscribe(s);
    count(s, 0);
    loop_timer_cancel(loop_of(s), &s->timer);
    websocket_free(&s->websocket);
    buf_free(&s->kept);
    slab_give(&sockets, &s);
}
