/* `top` in a terminal of its own (a pseudo-terminal), before a gateway that comes and goes; its program's path is the
 * test's first argument. */
#include "base/slab.h"
#include "cli/ask.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PATIENCE_MS 15000 /* for machines under sanitizers and load */
#define LEAVES      "\033[?25h\033[?7h\033[?1049l"

static char *program;

/* ---- a terminal and what runs in it ------------------------------------------------------------------------------ */

struct terminal {
    pid_t pid;
    int master, slave;
    struct termios before;
    char said[1 << 17];
    size_t n;
};
static struct terminal top;

static void open_terminal(struct terminal *t, unsigned short columns, unsigned short rows)
{
    struct winsize size = { .ws_row = rows, .ws_col = columns };
    memset(t, 0, sizeof *t);
    t->master = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(t->master >= 0 && !grantpt(t->master) && !unlockpt(t->master));
    t->slave = open(ptsname(t->master), O_RDWR | O_NOCTTY);
    assert_true(t->slave >= 0);
    assert_int_equal(tcgetattr(t->slave, &t->before), 0);
    assert_int_equal(ioctl(t->slave, TIOCSWINSZ, &size), 0);
}

static void start_top(struct terminal *t, const char *url)
{
    open_terminal(t, 100, 30);
    t->pid = fork();
    assert_true(t->pid >= 0);
    if (!t->pid) {
        setsid();
        ioctl(t->slave, TIOCSCTTY, 0);
        for (int fd = 0; fd < 3; fd++)
            dup2(t->slave, fd);
        setenv("NO_COLOR", "1", 1);
        setenv("LC_ALL", "C.UTF-8", 1);
        execl(program, program, "top", "--interval", "100ms", "--url", url, NULL);
        _exit(99);
    }
}

static void see(struct terminal *t, const char *part)
{
    struct pollfd p = { .fd = t->master, .events = POLLIN };
    while (!strstr(t->said, part)) {
        ssize_t n = t->n < sizeof t->said - 1 && poll(&p, 1, PATIENCE_MS) > 0
                        ? read(t->master, t->said + t->n, sizeof t->said - 1 - t->n)
                        : 0;
        if (n <= 0)
            fail_msg("\"%s\" was never shown, but: %s", part, t->said + (t->n > 900 ? t->n - 900 : 0));
        t->n += (size_t)n;
        t->said[t->n] = 0;
    }
}

/* From here on. */
static void see_anew(struct terminal *t, const char *part)
{
    t->n = 0;
    t->said[0] = 0;
    see(t, part);
}

static void type(struct terminal *t, const char *keys)
{
    assert_int_equal(write(t->master, keys, strlen(keys)), (ssize_t)strlen(keys));
}

/* It has ended, and the terminal is as it was. */
static int ended(struct terminal *t)
{
    struct termios after;
    int status;
    see(t, LEAVES);
    assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
    assert_int_equal(tcgetattr(t->slave, &after), 0);
    assert_int_equal(after.c_lflag, t->before.c_lflag);
    assert_int_equal(after.c_iflag, t->before.c_iflag);
    close(t->master);
    close(t->slave);
    return status;
}

/* ---- a gateway --------------------------------------------------------------------------------------------------- */

struct gateway {
    pid_t pid;
    int out; /* read until it listens; what it says later fits into the pipe */
    char url[64];
};

static struct gateway start_gateway(const char *listen)
{
    struct gateway g;
    char said[4096] = "";
    size_t n = 0;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    g.out = ends[0];
    g.pid = fork();
    assert_true(g.pid >= 0);
    if (!g.pid) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        execl(program, program, "serve", "--listen", listen, "--node", "127.0.0.1:9,name=nobody", NULL);
        _exit(99);
    }
    close(ends[1]);
    while (!strstr(said, "listening on http://") || !strchr(strstr(said, "listening on http://"), '"')) {
        ssize_t got = read(g.out, said + n, sizeof said - 1 - n);
        if (got <= 0)
            fail_msg("the gateway ended: %s", said);
        n += (size_t)got;
    }
    assert_int_equal(sscanf(strstr(said, "listening on http://"), "listening on %63[^\" ,\n]", g.url), 1);
    return g;
}

static void stop_gateway(struct gateway *g)
{
    int status;
    kill(g->pid, SIGTERM);
    assert_int_equal(waitpid(g->pid, &status, 0), g->pid);
    close(g->out);
    assert_true(WIFEXITED(status));
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void shows_follows_keys_and_leaves(void **unused)
{
    struct gateway gateway = start_gateway("127.0.0.1:0");
    start_top(&top, gateway.url);
    see(&top, ">nobody");
    type(&top, "h");
    see_anew(&top, "hold the picture still");
    type(&top, "\033");
    see_anew(&top, ">nobody");
    type(&top, "\r");
    see_anew(&top, "http://127.0.0.1:9");
    struct winsize small = { .ws_row = 12, .ws_col = 40 };
    assert_int_equal(ioctl(top.master, TIOCSWINSZ, &small), 0);
    see_anew(&top, "\033[12;1H");
    type(&top, "q");
    int status = ended(&top);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    stop_gateway(&gateway);
}

static void says_that_the_gateway_has_gone_and_finds_it_again(void **unused)
{
    char url[64];
    struct gateway gateway = start_gateway("127.0.0.1:0");
    strcpy(url, gateway.url);
    start_top(&top, url);
    see(&top, ">nobody");
    stop_gateway(&gateway);
    see_anew(&top, "no gateway answers: connection refused; this is");
    gateway = start_gateway(url + strlen("http://"));
    assert_string_equal(url, gateway.url);
    see_anew(&top, "q leave");
    kill(top.pid, SIGTERM);
    assert_true(WIFEXITED(ended(&top)));
    stop_gateway(&gateway);
}

static void restores_the_terminal_on_every_way_out(void **unused)
{
    static const int ways[] = { SIGINT, SIGHUP, SIGSEGV, SIGABRT };
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        start_top(&top, "http://127.0.0.1:9");
        see(&top, "no gateway answers: connection refused; trying again");
        kill(top.pid, ways[i]);
        ended(&top);
    }
    start_top(&top, "http://127.0.0.1:9");
    see(&top, "trying again");
    type(&top, "\003"); /* Ctrl-C */
    assert_true(WIFEXITED(ended(&top)));
}

static void rests_and_comes_back(void **unused)
{
    int status;
    start_top(&top, "http://127.0.0.1:9");
    see(&top, "trying again");
    kill(top.pid, SIGTSTP);
    see_anew(&top, LEAVES);
    assert_int_equal(waitpid(top.pid, &status, WUNTRACED), top.pid);
    assert_true(WIFSTOPPED(status));
    kill(top.pid, SIGCONT);
    see_anew(&top, "trying again");
    type(&top, "q");
    assert_true(WIFEXITED(ended(&top)));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_follows_keys_and_leaves),
        cmocka_unit_test(says_that_the_gateway_has_gone_and_finds_it_again),
        cmocka_unit_test(restores_the_terminal_on_every_way_out),
        cmocka_unit_test(rests_and_comes_back),
    };
    unsetenv("OLLAMA_HOST");
    unsetenv("OLLAMAMAX_CONFIG");
    program = argc == 2 ? argv[1] : NULL;
    return program ? cmocka_run_group_tests(tests, NULL, NULL) : 2;
}
