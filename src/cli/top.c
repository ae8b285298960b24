/* cli/top.c - the fleet at a glance, in a terminal or once for a script.
 *
 *     feed (its thread) --answers--> state --view--> lines --> screen (only what differs)
 *                                      keys ---^
 *
 * Signals come through a descriptor, so all there is to wait for is one poll(). */
#include "cli/screen.h"
#include "cli/top_feed.h"
#include "cli/top_view.h"
#include "config/value.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define ESCAPE_MS 50 /* an Escape that nothing follows is the key */

/* ---- once -------------------------------------------------------------------------------------------------------- */

/* The gateway's own answers, by name. */
static void put_json(const struct top_answers *a, struct text *t)
{
    struct json_out j = { .to = t };
    json_open(&j, '{');
    for (int i = 0; i < TOP_ANSWERS; i++) {
        json_key(&j, top_answer_name((enum top_answer)i));
        if (buf_len(&a->body[i]))
            json_put_raw(&j, str_trim(buf_str(&a->body[i])));
        else
            json_put_null(&j);
    }
    json_close(&j);
    text_putc(t, '\n');
}

static bool speaks_utf8(void)
{
    static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *is = sys_env(names[i]);
        if (is && *is)
            return strcasestr(is, "utf-8") || strcasestr(is, "utf8");
    }
    return false;
}

static int once(const struct place *p, bool as_json)
{
    struct top_answers a = { 0 };
    struct top_state s;
    struct text t = { 0 };
    struct top_paper paper = { .colours = cli_colours(1) };
    top_ask(p, &a);
    if (top_trouble(&a)) {
        fprintf(stderr, "ollamamax: %s: %s\n", p->url, top_trouble(&a));
        top_answers_free(&a);
        return CLI_FAILED;
    }
    top_state_read(&s, &a);
    if (as_json)
        put_json(&a, &t);
    else
        top_view_print(&s, &paper, &t);
    top_state_done(&s);
    top_answers_free(&a);
    return cli_print(&t);
}

/* ---- live -------------------------------------------------------------------------------------------------------- */

struct live {
    struct top_feed *feed;
    struct top_answers answers;
    struct top_state state;
    struct top_view view;
    nsec got; /* when the state was new */
    int signals;
    char typed[64];
    size_t n_typed;
    bool over;
};

static void measure(struct live *l)
{
    screen_size(&l->view.paper.width, &l->view.rows);
    screen_forget();
}

static void draw(struct live *l)
{
    struct text t = { 0 };
    l->view.stale_s = l->state.good ? (double)(sys_now() - l->got) / 1e9 : 0;
    top_view_draw(&l->view, &l->state, &t);
    screen_show(text_str(&t));
    text_free(&t);
}

/* What was seen last stays while nobody answers. */
static void take_news(struct live *l)
{
    struct top_answers fresh = { 0 };
    if (!top_feed_take(l->feed, &fresh))
        return;
    l->view.trouble = top_trouble(&fresh);
    if (l->view.trouble || l->view.held) {
        top_answers_free(&fresh);
        return;
    }
    top_state_done(&l->state);
    top_answers_free(&l->answers);
    l->answers = fresh;
    top_state_read(&l->state, &l->answers);
    l->got = sys_now();
}

static void take_keys(struct live *l, bool over)
{
    struct str bytes = { l->typed, l->n_typed };
    for (size_t before = 0; bytes.n && bytes.n != before && !l->over;) {
        before = bytes.n;
        int key = screen_key(&bytes, over);
        l->over = key && !top_view_key(&l->view, &l->state, key);
    }
    memmove(l->typed, bytes.p, bytes.n);
    l->n_typed = bytes.n;
}

static void read_keys(struct live *l)
{
    ssize_t n = read(0, l->typed + l->n_typed, sizeof l->typed - l->n_typed);
    l->over = n <= 0; /* it said that there is something to read, so this is the end */
    l->n_typed += n > 0 ? (size_t)n : 0;
    take_keys(l, l->n_typed == sizeof l->typed);
}

/* Ctrl-Z: out of the way, and back when the shell says so. */
static void rest_a_while(struct live *l)
{
    screen_close();
    raise(SIGSTOP);
    l->over = !screen_open();
    measure(l);
}

static void take_signal(struct live *l)
{
    struct signalfd_siginfo s;
    if (read(l->signals, &s, sizeof s) != sizeof s)
        return;
    if (s.ssi_signo == SIGWINCH)
        measure(l);
    else if (s.ssi_signo == SIGTSTP)
        rest_a_while(l);
    else
        l->over = true;
}

static void turn(struct live *l)
{
    struct pollfd p[] = {
        {.fd = 0,                     .events = POLLIN},
        { .fd = l->signals,           .events = POLLIN},
        { .fd = top_feed_fd(l->feed), .events = POLLIN},
    };
    int n = poll(p, ARRAY_LEN(p), l->n_typed ? ESCAPE_MS : 1000);
    if (!n && l->n_typed)
        take_keys(l, true);
    if (p[2].revents)
        take_news(l);
    if (p[1].revents)
        take_signal(l);
    if (p[0].revents)
        read_keys(l);
    if (!l->over)
        draw(l);
}

static int watch_signals(void)
{
    static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP };
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(caught); i++)
        sigaddset(&set, caught[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* before the feed's thread, which inherits it */
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static int live(const struct place *p, nsec interval)
{
    struct live l = { .signals = watch_signals() };
    top_view_init(&l.view);
    arena_init(&l.state.arena);
    l.view.url = p->url;
    l.view.trouble = "asking";
    l.view.paper.colours = cli_colours(1);
    l.view.paper.ascii = !speaks_utf8();
    l.feed = l.signals < 0 ? NULL : top_feed_start(p, interval);
    if (!l.feed || !screen_open()) {
        fprintf(stderr, "ollamamax: top wants a terminal; --once prints for scripts\n");
        l.over = true;
    } else {
        measure(&l);
        draw(&l);
    }
    bool shown = !l.over;
    while (!l.over)
        turn(&l);
    screen_close();
    top_feed_stop(&l.feed);
    top_state_done(&l.state);
    top_answers_free(&l.answers);
    top_view_done(&l.view);
    screen_forget();
    close(l.signals);
    return shown ? CLI_GOOD : CLI_FAILED;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

int cli_top(int argc, char **argv)
{
    bool wants_once = words_take(&argc, argv, "--once"), as_json = words_take(&argc, argv, "--json");
    const char *every = NULL;
    nsec interval = SECOND(1);
    struct place p;
    int code;
    if (words_take_value(&argc, argv, "--interval", &every) &&
        (!every || !value_duration(str_of(every), &interval) || interval < MSEC(100))) {
        fprintf(stderr, "ollamamax: --interval must be a time of at least 100ms, like 2s\n");
        return CLI_MISUSED;
    }
    if (!place_find(&argc, argv, &p, &code))
        return code;
    return wants_once || as_json ? once(&p, as_json) : live(&p, interval);
}
