/* cli/top_feed.c - connections are made anew for each question (HTTP/1.0, cli/ask.h), so there is nothing to reconnect:
 * a gateway that comes back is simply answered by again. */
#include "cli/top_feed.h"
#include "cli/ask.h"
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PATIENCE SECOND(2)

void top_ask(const struct place *p, struct top_answers *a)
{
    top_answers_free(a);
    for (int i = 0; i < TOP_ANSWERS && !a->failed && !a->refused; i++) {
        int status = 0;
        a->failed = ask_place(p, top_answer_path((enum top_answer)i), PATIENCE, &status, &a->body[i]);
        if (status == 401 || status == 403)
            a->refused = status;
        else if (!a->failed && i == TOP_HEALTH && json_parse(buf_str(&a->body[i]), NULL).kind != JSON_OBJECT)
            a->failed = FAIL_upstream_garbage;
        if (status != 200 && !(i == TOP_HEALTH && status == 503))
            buf_free(&a->body[i]);
    }
}

const char *top_trouble(const struct top_answers *a)
{
    if (a->refused)
        return "it wants its admin key: --key";
    switch (a->failed) {
    case OK: return NULL;
    case FAIL_connect_refused: return "no gateway answers: connection refused";
    case FAIL_upstream_garbage: return "something answers, but it is no OllamaMax";
    case FAIL_no_memory: return "memory is out";
    default: return "no gateway answers";
    }
}

/* ---- again and again --------------------------------------------------------------------------------------------- */

struct top_feed {
    const struct place *place;
    nsec interval;
    pthread_t thread;
    pthread_mutex_t lock;
    struct top_answers fresh; /* under the lock */
    bool has;                 /* likewise */
    int news, end;            /* eventfds: for the reader; for the thread */
};

static void raise_flag(int fd)
{
    uint64_t one = 1;
    if (write(fd, &one, sizeof one) < 0) {
        /* it is raised already */
    }
}

static bool ended_within(const struct top_feed *f, nsec wait)
{
    struct pollfd p = { .fd = f->end, .events = POLLIN };
    return poll(&p, 1, (int)(wait / MSEC(1))) > 0;
}

static void *run(void *arg)
{
    struct top_feed *f = arg;
    do {
        struct top_answers got = { 0 };
        top_ask(f->place, &got);
        pthread_mutex_lock(&f->lock);
        top_answers_free(&f->fresh);
        f->fresh = got;
        f->has = true;
        pthread_mutex_unlock(&f->lock);
        raise_flag(f->news);
    } while (!ended_within(f, f->interval));
    return NULL;
}

static void drop(struct top_feed **f)
{
    top_answers_free(&(*f)->fresh);
    pthread_mutex_destroy(&(*f)->lock);
    close((*f)->news);
    close((*f)->end);
    free(*f);
    *f = NULL;
}

struct top_feed *top_feed_start(const struct place *p, nsec interval)
{
    struct top_feed *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->place = p;
    f->interval = interval;
    f->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    f->end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&f->lock, NULL);
    if (f->news < 0 || f->end < 0 || pthread_create(&f->thread, NULL, run, f))
        drop(&f);
    return f;
}

int top_feed_fd(const struct top_feed *f)
{
    return f->news;
}

bool top_feed_take(struct top_feed *f, struct top_answers *a)
{
    uint64_t n;
    pthread_mutex_lock(&f->lock);
    bool has = f->has && read(f->news, &n, sizeof n) >= 0;
    if (has) {
        top_answers_free(a);
        *a = f->fresh;
        f->fresh = (struct top_answers){ 0 };
        f->has = false;
    }
    pthread_mutex_unlock(&f->lock);
    return has;
}

void top_feed_stop(struct top_feed **f)
{
    if (!*f)
        return;
    raise_flag((*f)->end);
    pthread_join((*f)->thread, NULL);
    drop(f);
}
