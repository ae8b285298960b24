/* What is asked: one chat in three sizes, and single pages. The sentence repeats because no way looks into a prompt any
 * deeper than a JSON scanner does; options name no temperature, so that no cache may keep the answer. */
#include "bench/request.h"

#include "base/buf.h"
#include "bench/backend.h"
#include "net/http_body.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

int request_dial(uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
        close(fd);
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void put_prompt(struct text *t, size_t until_bytes)
{
    static const struct str said =
        STR("What is the capital of France, and which river runs through it? One sentence. ");

    while (buf_len(&t->buf) < until_bytes && !t->failed)
        text_put(t, str_take(said, until_bytes - buf_len(&t->buf)));
}

static void put_body(struct text *t, const char *model, size_t bytes)
{
    char end[64];
    int n = snprintf(end, sizeof end, "\"}],\"stream\":%s,\"options\":{\"num_ctx\":8192}}",
                     strcmp(model, BACKEND_CHAT) == 0 ? "false" : "true");

    text_printf(t, "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"", model);
    put_prompt(t, bytes - (size_t)n);
    text_put(t, (struct str){ end, (size_t)n });
}

struct str request_chat(struct arena *a, const char *model, size_t body_bytes)
{
    struct text body = { 0 }, t = { 0 };

    put_body(&body, model, MAX(body_bytes, 160));
    text_printf(&t,
                "POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: ollamamax-bench\r\n"
                "Accept: application/json\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                buf_len(&body.buf));
    text_put(&t, text_str(&body));
    struct str whole = t.failed || body.failed ? STR_NONE : str_dup(a, text_str(&t));
    text_free(&body);
    text_free(&t);
    return whole;
}

struct str request_post(struct arena *a, const char *path, const char *json)
{
    struct text t = { 0 };

    text_printf(&t,
                "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: ollamamax-bench\r\n"
                "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                path, strlen(json), json);
    struct str whole = t.failed ? STR_NONE : str_dup(a, text_str(&t));
    text_free(&t);
    return whole;
}

static void read_until_end(int fd, struct buf *b)
{
    while (buf_reserve(b, KIB(16)) == OK) {
        ssize_t n = recv(fd, buf_tail(b), buf_room(b), 0);
        if (n <= 0)
            return;
        b->end += (size_t)n;
    }
}

/* The answer of a connection that closes behind it; a chunked one is put together. */
static int read_answer(struct str in, struct http_head *h, struct buf *out)
{
    struct http_frame frame;
    struct http_body body;
    struct str slice;
    enum fail why;

    if (http_parse_response(in, KIB(64), h, &why) != HTTP_DONE || http_response_frame(h, M_GET, &frame))
        return 0;
    http_body_init(&body, &frame);
    in = str_drop(in, h->bytes);
    while (http_body_next(&body, &in, &slice) == BODY_DATA)
        if (buf_append(out, slice))
            return 0;
    return h->status;
}

int request_get(uint16_t port, const char *path, struct buf *out_body)
{
    static struct http_head head;
    char request[256];
    struct buf all = { 0 };
    struct timeval patience = { .tv_sec = 2 };
    int fd = request_dial(port), status = 0;
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", path);

    if (fd < 0)
        return 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (send(fd, request, (size_t)n, MSG_NOSIGNAL) == n) {
        read_until_end(fd, &all);
        status = read_answer(buf_str(&all), &head, out_body);
    }
    close(fd);
    buf_free(&all);
    return status;
}
