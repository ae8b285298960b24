/* A node without a model.
 *
 * `ollamamax simnode` simulates speeds, memory and faults, and spends several times the CPU on a request; here the node
 * shares a core with the load, so what it spends is taken from the rates that can be offered. Hence this one: all
 * answers are constant bytes, a request is found by its head and the first bytes of its body, and the rest of the body
 * is read and forgotten.
 *
 *      accept -> [ head -> body -> answer ]...        paced: a queue in order of due time (all paces are equal)
 *                                                     burst: one record per stream and turn, each in a write of its own
 */
#include "bench/backend.h"

#include "base/list.h"
#include "base/slab.h"
#include "base/sys.h"
#include "net/http_body.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- what it says ------------------------------------------------------------------------------------------------ */

#define MODEL(name)                                                                                                    \
    "{\"name\":\"" name ":latest\",\"model\":\"" name                                                                  \
    ":latest\",\"modified_at\":\"2025-11-01T08:00:00Z\",\"size\":1000000,\"size_vram\":1000000,"                       \
    "\"digest\":\"bed1bb36ab2a31478fa4a34441bdce063a92db41cfbc3fafd0d77bfa18f32575\","                                 \
    "\"expires_at\":\"2099-01-01T00:00:00Z\","                                                                         \
    "\"details\":{\"format\":\"gguf\",\"family\":\"simulated\",\"parameter_size\":\"1B\"}}"
#define MODELS                                                                                                         \
    "{\"models\":[" MODEL(BACKEND_CHAT) "," MODEL(BACKEND_PACED) "," MODEL(BACKEND_BURST) "," MODEL(BACKEND_HELD) "]}"

#define ANSWER                                                                                                         \
    "{\"model\":\"chat\",\"created_at\":\"2025-11-23T06:55:36.148123456Z\",\"message\":{\"role\":\"assistant\","       \
    "\"content\":\"[simulated] The capital of France is Paris.\"},\"done\":true,\"done_reason\":\"stop\","             \
    "\"total_duration\":192761803,\"load_duration\":1603624,\"prompt_eval_count\":160,"                                \
    "\"prompt_eval_duration\":18839609,\"eval_count\":8,\"eval_duration\":123829}"
static const struct page {
    const char *path, *body;
} pages[] = {
    {"/",             "Ollama is running"       },
    { "/livez",       "ok"                      },
    { "/api/version", "{\"version\":\"0.12.3\"}"},
    { "/api/tags",    MODELS                    },
    { "/api/ps",      MODELS                    },
    { "/hit",         ANSWER                    }, /* for caches of what is got */
};

#define RECORD                                                                                                         \
    "{\"model\":\"paced\",\"created_at\":\"2025-11-23T06:55:36.148123456Z\",\"message\":{\"role\":\"assistant\","      \
    "\"content\":\" Paris\"},\"done\":false}\n"
#define LAST_RECORD                                                                                                    \
    "{\"model\":\"paced\",\"created_at\":\"2025-11-23T06:55:37.148123456Z\",\"message\":{\"role\":\"assistant\","      \
    "\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"total_duration\":1192761803,"                          \
    "\"load_duration\":1603624,\"prompt_eval_count\":160,\"prompt_eval_duration\":18839609,\"eval_count\":50,"         \
    "\"eval_duration\":982382929}\n"

/* Whole writes, made once: a head with an answer, a head with a first record, a record, the last one with the end. */
static struct {
    struct str answer, first, record, last;
} writes;

static struct str made(const char *format, size_t n, const char *bytes)
{
    char *out = NULL;
    int length = asprintf(&out, format, n, bytes);
    assume(length > 0);
    return (struct str){ out, (size_t)length };
}

static void make_writes(void)
{
    writes.answer = made("HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\n"
                         "Date: Sun, 23 Nov 2025 06:55:36 GMT\r\nContent-Length: %zu\r\n\r\n%s",
                         sizeof ANSWER - 1, ANSWER);
    writes.first = made("HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
                        "Date: Sun, 23 Nov 2025 06:55:36 GMT\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n",
                        sizeof RECORD - 1, RECORD);
    writes.record = made("%zx\r\n%s\r\n", sizeof RECORD - 1, RECORD);
    writes.last = made("%zx\r\n%s\r\n0\r\n\r\n", sizeof LAST_RECORD - 1, LAST_RECORD);
}

/* ---- its clients ------------------------------------------------------------------------------------------------- */

#define PART_BYTES 4096 /* of a head that has not arrived whole, and of the front of a body */
enum at { AT_HEAD, AT_BODY, AT_ANSWER };
struct caller {
    int fd;
    enum at at;
    struct http_body body;
    bool chat; /* else a page was asked for */
    char part[PART_BYTES];
    size_t part_n;
    struct str unsent; /* what the socket has not taken */
    bool muted;        /* waits for room in the socket */
    unsigned left;     /* records of its stream */
    nsec due;
    struct list streams; /* in paced or bursting */
};
static struct slab callers;
static struct list paced, bursting;
static struct http_head head;
static int events = -1;
static char input[KIB(256)];

static void watch(struct caller *c, int op, uint32_t what)
{
    struct epoll_event e = { .events = what, .data.ptr = c };
    (void)epoll_ctl(events, op, c->fd, &e);
}

static void hang_up(struct caller **c)
{
    list_del_if(&(*c)->streams);
    close((*c)->fd);
    slab_give(&callers, c);
}

/* False: the client is gone. What is not taken follows when the socket has room. */
static bool flush(struct caller *c)
{
    ssize_t n = send(c->fd, c->unsent.p, c->unsent.n, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN)
        return false;
    c->unsent = str_drop(c->unsent, n > 0 ? (size_t)n : 0);
    if (c->muted != (c->unsent.n > 0)) {
        c->muted = !c->muted;
        watch(c, EPOLL_CTL_MOD, EPOLLIN | (c->muted ? EPOLLOUT : 0));
    }
    return true;
}

static bool say(struct caller *c, struct str bytes)
{
    c->unsent = bytes;
    return flush(c);
}

/* ---- streams ----------------------------------------------------------------------------------------------------- */

/* Owes nothing more: the next request may come. */
static void rest(struct caller *c)
{
    list_del_if(&c->streams);
    c->at = AT_HEAD;
    c->part_n = 0;
}

static bool say_next_record(struct caller *c)
{
    if (c->muted)
        return true;
    if (--c->left)
        return say(c, writes.record);
    rest(c);
    return say(c, writes.last);
}

static void say_what_is_due(nsec now)
{
    struct list *first;

    while ((first = list_first(&paced))) {
        struct caller *c = CONTAINER(first, struct caller, streams);
        if (c->due > now)
            return;
        list_del(first);
        c->due += BACKEND_PACE;
        list_push(&paced, first);
        if (!say_next_record(c))
            hang_up(&c);
    }
}

static void say_a_round_of_bursts(void)
{
    list_each_safe (it, &bursting) {
        struct caller *c = CONTAINER(it, struct caller, streams);
        if (!say_next_record(c))
            hang_up(&c);
    }
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static bool say_page(struct caller *c, struct str path)
{
    static char out[KIB(4)];
    const char *body = "{}";

    for (size_t i = 0; i < ARRAY_LEN(pages); i++)
        if (str_eq(path, str_of(pages[i].path)))
            body = pages[i].body;
    int n =
        snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(body), body);
    assume(n > 0 && (size_t)n < sizeof out);
    c->unsent = (struct str){ out, (size_t)n };
    return flush(c) && !c->unsent.n; /* `out` is not kept */
}

static bool model_is(const struct caller *c, const char *model)
{
    char wanted[64];
    int n = snprintf(wanted, sizeof wanted, "\"model\":\"%s\"", model);
    return str_find((struct str){ c->part, c->part_n }, (struct str){ wanted, (size_t)n }) >= 0;
}

static bool begin_stream(struct caller *c, const struct backend *b)
{
    bool held = model_is(c, BACKEND_HELD);

    c->at = AT_ANSWER;
    c->left = b->records - 1;
    c->due = sys_now() + BACKEND_PACE;
    if (!held)
        list_push(model_is(c, BACKEND_PACED) ? &paced : &bursting, &c->streams);
    return say(c, writes.first);
}

static bool answer(struct caller *c, const struct backend *b)
{
    if (!model_is(c, BACKEND_CHAT))
        return begin_stream(c, b);
    rest(c);
    return say(c, writes.answer);
}

static void note_front(struct caller *c, struct str body)
{
    size_t n = MIN(body.n, PART_BYTES - c->part_n);
    if (c->part_n < 128) {
        memcpy(c->part + c->part_n, body.p, n);
        c->part_n += n;
    }
}

static bool take_body(struct caller *c, struct str *in, const struct backend *b)
{
    for (;;) {
        struct str slice;
        switch (http_body_next(&c->body, in, &slice)) {
        case BODY_DATA: note_front(c, slice); continue;
        case BODY_MORE: return true;
        case BODY_END: return answer(c, b);
        case BODY_BAD: return false;
        }
    }
}

/* The head is whole, at the front of *in. */
static bool take_request(struct caller *c, struct str *in, const struct backend *b)
{
    struct http_frame frame;

    if (http_request_frame(&head, &frame))
        return false;
    *in = str_drop(*in, head.bytes);
    c->part_n = 0;
    if (!str_eq(head.path, STR("/api/chat"))) {
        c->at = AT_HEAD;
        return say_page(c, head.path);
    }
    c->at = AT_BODY;
    http_body_init(&c->body, &frame);
    return take_body(c, in, b);
}

static bool keep_part(struct caller *c, struct str in)
{
    if (in.n > PART_BYTES)
        return false;
    memcpy(c->part, in.p, in.n);
    c->part_n = in.n;
    return true;
}

/* All of `in` is used: requests whole, or kept as a part. */
static bool take(struct caller *c, struct str in, const struct backend *b)
{
    enum fail why;

    while (in.n) {
        if (c->at == AT_ANSWER)
            return false; /* nobody pipelines here */
        if (c->at == AT_BODY) {
            if (!take_body(c, &in, b))
                return false;
            continue;
        }
        enum http_parse p = http_parse_request(in, KIB(64), &head, &why);
        if (p != HTTP_DONE)
            return p == HTTP_MORE && keep_part(c, in);
        if (!take_request(c, &in, b))
            return false;
    }
    return true;
}

static bool read_some(struct caller *c, const struct backend *b)
{
    size_t before = c->at == AT_HEAD ? c->part_n : 0;

    memcpy(input, c->part, before);
    ssize_t n = recv(c->fd, input + before, sizeof input - before, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    if (c->at == AT_HEAD)
        c->part_n = 0;
    return take(c, (struct str){ input, before + (size_t)n }, b);
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

int backend_listen(uint16_t *out_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (bind(fd, (struct sockaddr *)&at, n) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &n) < 0) {
        close(fd);
        return -1;
    }
    *out_port = ntohs(at.sin_port);
    return fd;
}

uint16_t backend_free_port(void)
{
    uint16_t port = 0;
    int fd = backend_listen(&port);

    if (fd >= 0)
        close(fd);
    return port;
}

/* Closing resets: a proxy that has closed thousands of streams keeps no port in TIME_WAIT, or the next one finds none.
 */
static const struct linger reset_on_close = { .l_onoff = 1, .l_linger = 0 };

static void accept_all(const struct backend *b)
{
    int fd, one = 1;

    while ((fd = accept4(b->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct caller *c = slab_take0(&callers);
        if (!c) {
            close(fd);
            return;
        }
        c->fd = fd;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset_on_close, sizeof reset_on_close);
        watch(c, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void serve(struct caller *c, uint32_t what, const struct backend *b)
{
    bool good = true;

    if (what & EPOLLOUT)
        good = flush(c);
    if (good && (what & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        good = read_some(c, b);
    if (!good)
        hang_up(&c);
}

/* Nanoseconds until something is due; -1: nothing. */
static nsec patience(nsec now)
{
    struct list *first = list_first(&paced);

    if (!list_empty(&bursting))
        return 0;
    return first ? MAX(CONTAINER(first, struct caller, streams)->due - now, 0) : -1;
}

static void turn(const struct backend *b)
{
    struct epoll_event ready[256];
    nsec wait = patience(sys_now());
    struct timespec t = { wait / SECOND(1), wait % SECOND(1) };
    int n = epoll_pwait2(events, ready, ARRAY_LEN(ready), wait < 0 ? NULL : &t, NULL);

    for (int i = 0; i < n; i++)
        if (ready[i].data.ptr)
            serve(ready[i].data.ptr, ready[i].events, b);
        else
            accept_all(b);
    say_what_is_due(sys_now());
    say_a_round_of_bursts();
}

void backend_run(void *arg)
{
    const struct backend *b = arg;
    struct epoll_event listener = { .events = EPOLLIN };

    events = epoll_create1(EPOLL_CLOEXEC);
    assume(events >= 0 && b->records > 1);
    slab_init(&callers, "bench caller", sizeof(struct caller));
    list_init(&paced);
    list_init(&bursting);
    make_writes();
    prctl(PR_SET_TIMERSLACK, 1UL);
    assume(epoll_ctl(events, EPOLL_CTL_ADD, b->listener, &listener) == 0);
    for (;;)
        turn(b);
}
