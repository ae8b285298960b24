/* cli/ask.c - HTTP/1.0, so that the end of the answer is the end of the connection and nothing has to be framed. A loop
 * of net/ would be more than these two questions need. */
#include "cli/ask.h"
#include <errno.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_MAX MIB(16)

static enum fail dial(const struct addr *to, nsec patience, int *out_fd)
{
    struct timeval wait = { patience / SECOND(1), patience % SECOND(1) / 1000 };
    socklen_t n = to->any.sa_family == AF_INET ? sizeof to->v4 : sizeof to->v6;
    int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return FAIL_connect_failed;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (connect(fd, &to->any, n) == 0) {
        *out_fd = fd;
        return OK;
    }
    enum fail f = errno == ECONNREFUSED ? FAIL_connect_refused : FAIL_connect_failed;
    close(fd);
    return f;
}

static enum fail put_request(int fd, const char *method, const struct place *p, const char *path)
{
    struct text t = { 0 };
    text_printf(&t, "%s %s%s HTTP/1.0\r\nHost: %s\r\n", method, p->prefix, path, p->host);
    if (*p->key)
        text_printf(&t, "Authorization: Bearer %s\r\n", p->key);
    text_put(&t, STR("\r\n"));
    struct str all = text_str(&t);
    enum fail f = t.failed                                                 ? t.failed
                  : send(fd, all.p, all.n, MSG_NOSIGNAL) == (ssize_t)all.n ? OK
                                                                           : FAIL_connect_failed;
    text_free(&t);
    return f;
}

static enum fail take_all(int fd, struct buf *into)
{
    for (;;) {
        if (buf_reserve(into, KIB(4)))
            return FAIL_no_memory;
        ssize_t n = recv(fd, buf_tail(into), buf_room(into), 0);
        if (n <= 0)
            return n < 0 ? FAIL_connect_failed : OK;
        into->end += (size_t)n;
        if (buf_len(into) > ANSWER_MAX)
            return FAIL_body_too_large;
    }
}

/* Leaves the body in *answer. */
static enum fail drop_head(struct buf *answer, int *out_status)
{
    struct str all = buf_str(answer);
    uint64_t status;
    ssize_t end = str_find(all, STR("\r\n\r\n"));
    if (end < 0 || !str_starts(all, STR("HTTP/1.")) || !str_u64(str_take(str_drop(all, 9), 3), &status))
        return FAIL_upstream_garbage;
    *out_status = (int)status;
    buf_eat(answer, (size_t)end + 4);
    return OK;
}

static enum fail ask(const char *method, const struct place *p, const char *path, nsec patience, int *out_status,
                     struct buf *out_body)
{
    int fd;
    enum fail f = dial(&p->at, patience, &fd);
    if (f)
        return f;
    f = put_request(fd, method, p, path);
    f = f ? f : take_all(fd, out_body);
    f = f ? f : drop_head(out_body, out_status);
    close(fd);
    return f;
}

enum fail ask_place(const struct place *p, const char *path, nsec patience, int *out_status, struct buf *out_body)
{
    return ask("GET", p, path, patience, out_status, out_body);
}

enum fail ask_delete(const struct place *p, const char *path, nsec patience, int *out_status, struct buf *out_body)
{
    return ask("DELETE", p, path, patience, out_status, out_body);
}

enum fail ask_get(const struct addr *to, const char *path, struct str key, nsec patience, int *out_status,
                  struct buf *out_body)
{
    struct place p = { .at = *to };
    addr_text(to, p.host);
    snprintf(p.key, sizeof p.key, "%.*s", STR_ARG(key));
    return ask_place(&p, path, patience, out_status, out_body);
}
