/* The program itself, started as people start it: exit codes, messages, readiness, reload, the end. Its path is the
 * test's first argument. */
#include "base/slab.h"
#include "cli/ask.h"
#include "config/config.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PATIENCE_MS 15000 /* for machines under sanitizers and load */

static char *program;
static char file[] = "/tmp/ollamamax_program_XXXXXX";

/* ---- a child ----------------------------------------------------------------------------------------------------- */

struct child {
    pid_t pid;
    int out; /* its stdout and stderr */
    char said[65536];
    size_t n;
};

static void start(struct child *c, char **words)
{
    int ends[2];
    *c = (struct child){ 0 };
    assert_int_equal(pipe(ends), 0);
    c->pid = fork();
    assert_true(c->pid >= 0);
    if (!c->pid) {
        dup2(ends[1], 1);
        dup2(ends[1], 2);
        close(ends[0]);
        close(ends[1]);
        execv(program, words);
        _exit(99);
    }
    close(ends[1]);
    c->out = ends[0];
}

/* More of what it says; false at its end, or when patience is. */
static bool hear(struct child *c)
{
    struct pollfd p = { .fd = c->out, .events = POLLIN };
    if (c->n == sizeof c->said - 1 || poll(&p, 1, PATIENCE_MS) <= 0)
        return false;
    ssize_t n = read(c->out, c->said + c->n, sizeof c->said - 1 - c->n);
    if (n <= 0)
        return false;
    c->n += (size_t)n;
    c->said[c->n] = 0;
    return true;
}

static void hear_until(struct child *c, const char *part)
{
    while (!strstr(c->said, part))
        if (!hear(c))
            fail_msg("\"%s\" was never said, but: %s", part, c->said);
}

static int end_of(struct child *c)
{
    int status;
    while (hear(c))
        ;
    close(c->out);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void expect_run(char **words, int code, const char *part)
{
    struct child c;
    start(&c, words);
    int got = end_of(&c);
    if (got != code || !strstr(c.said, part))
        fail_msg("%s ended with %d and said: %s", words[1], got, c.said);
}
#define expect(code, part, ...) expect_run((char *[]){ program, __VA_ARGS__, NULL }, code, part)

/* ---- a gateway --------------------------------------------------------------------------------------------------- */

static struct addr begin_serving(struct child *c, const char *more, const char *value)
{
    struct addr at;
    char *words[] = { program,      "serve",       "--listen", "127.0.0.1:0", "--node", "127.0.0.1:9,name=nobody",
                      (char *)more, (char *)value, NULL };
    start(c, words);
    hear_until(c, "listening on http://127.0.0.1:");
    hear_until(c, "\"}");
    const char *port = strstr(c->said, "127.0.0.1:") + strlen("127.0.0.1:");
    assert_true(addr_listen((struct str){ port, strspn(port, "0123456789") }, 0, &at));
    return at;
}

static void expect_answer(const struct addr *at, const char *path, int status, const char *part)
{
    struct buf body = { 0 };
    int got = 0;
    assert_int_equal(ask_get(at, path, STR_NONE, SECOND(15), &got, &body), OK);
    assert_int_equal(got, status);
    assert_true(str_find(buf_str(&body), str_of(part)) >= 0);
    buf_free(&body);
}

static void write_file(const char *text)
{
    assert_int_equal(sys_write_file(file, str_of(text)), OK);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void help_and_versions(void **state)
{
    expect_run((char *[]){ program, NULL }, 0, "ollamamax serve [FLAGS]");
    expect(0, "ollamamax " OLLAMAMAX_VERSION "\n", "--version");
    expect(0, "libraries: libuv ", "version");
    expect(0, "--timeouts-connect", "check", "--help");
    expect(0, "| `timeouts.connect` | `--timeouts-connect` `OLLAMAMAX_TIMEOUTS_CONNECT` |", "settings");
}

static void misuse_ends_with_two(void **state)
{
    expect(2, "did you mean serve?", "serv");
    expect(2, "did you mean --workers?", "serve", "--wrokers", "2");
    expect(2, "--workers: workers: \"0\" is not within 1 and 64", "serve", "--workers", "0");
    expect(2, "this is no flag", "status", "word");
    expect(2, "cache stats | flush", "cache");
    expect(2, "cache stats | flush", "cache", "empty");
    expect(2, "there is no stat; did you mean stats?", "cache", "stat");
    expect(2, "this is no flag", "cache", "stats", "word");
    expect(2, "llama3.2 is no tag, which is model:NAME or node:ID", "cache", "flush", "llama3.2");
}

static void check_tells_values_and_mistakes(void **state)
{
    write_file("timeouts:\n  conect: 2s\n");
    expect(1, ":2: there is no setting timeouts.conect; did you mean timeouts.connect?", "check", file);
    expect(1, "did you mean timeouts.connect?", "serve", "--config", file);
    write_file("timeouts:\n  connect: 7s\n");
    expect(0, "timeouts.connect       = 7s", "check", file);
    expect(1, "cannot be read: No such file", "check", "/nonexistent/file");
}

static void nobody_to_ask_is_one(void **state)
{
    expect(1, "no gateway answers at 127.0.0.1:9 (connection refused)", "status", "--listen", "127.0.0.1:9");
    expect(1, "no gateway answers at http://127.0.0.1:9;", "cache", "flush", "--listen", "127.0.0.1:9");
    expect(1, "http://127.0.0.1:9: no gateway answers: connection refused", "top", "--once", "--url", "127.0.0.1:9");
}

static size_t resident_bytes(pid_t pid)
{
    char path[64], text[128] = "";
    unsigned long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    int fd = open(path, O_RDONLY);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    assert_int_equal(sscanf(text, "%*u %lu", &pages), 1);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void a_gateway_serves_and_ends(void **state)
{
    struct child c;
    char listen[32], owner[64];
    struct addr at = begin_serving(&c, NULL, NULL);
    expect_answer(&at, "/livez", 200, "alive");
    hear_until(&c, "node nobody (http://127.0.0.1:9) is down");
    expect_answer(&at, "/readyz", 503, "");
    snprintf(listen, sizeof listen, "127.0.0.1:%u", addr_port(&at));
    snprintf(owner, sizeof owner, "%s is in use by ollamamax (pid %d)", listen, c.pid);
    expect(1, "\nnobody               down", "status", "--listen", listen);
    expect(0, "status           down\n", "top", "--once", "--listen", listen);
    expect(0, "\nnobody  down", "top", "--once", "--url", listen);
    expect(0, "{\"health\":{\"status\":\"down\"", "top", "--json", "--listen", listen);
    expect(1, "top wants a terminal", "top", "--listen", listen);
    expect(0, "answers kept                                                0\n", "cache", "stats", "--url", listen);
    expect(0, "share that asked no node                                  0.0 %\n", "cache", "stats", "--url", listen);
    expect(0, "0 answers forgotten\n", "cache", "flush", "model:nobody:7b", "--url", listen);
    expect(0, "0 answers forgotten\n", "cache", "flush", "--listen", listen);
    expect(0, "0 answers forgotten\n", "cache", "flush", "--url", listen, "node:nobody");
    expect(1, "answered with 400: {\"error\":\"tag must be model:NAME or node:ID", "cache", "flush", "model:x&y",
           "--url", listen);
    expect(1, owner, "serve", "--listen", listen);
#if !defined(PLAIN_MEMORY) && !defined(__SANITIZE_THREAD__)
    assert_in_range(resident_bytes(c.pid), 1, MIB(12));
#else
    assert_true(resident_bytes(c.pid) > 0);
#endif
    kill(c.pid, SIGTERM);
    assert_int_equal(end_of(&c), 0);
    assert_non_null(strstr(c.said, "\"message\":\"ended\""));
}

static void repeated_nodes_are_named_and_left_out(void **state)
{
    struct child c;
    begin_serving(&c, "--node", "127.0.0.1:9");
    assert_non_null(strstr(c.said, "node 127.0.0.1:9 is left out: a node with this URL exists already"));
    kill(c.pid, SIGINT);
    assert_int_equal(end_of(&c), 0);
}

static void a_hangup_reloads(void **state)
{
    struct child c;
    write_file("policy: round_robin\n");
    struct addr at = begin_serving(&c, "--config", file);
    write_file("policy: least_loaded\nretry: {max: 1}\nworkers: 3\n");
    kill(c.pid, SIGHUP);
    hear_until(&c,
               "reload: 1 nodes (0 added, 0 removed, 0 changed); changed: policy, retry.max; needs a restart: workers");
    write_file("polcy: x\n");
    kill(c.pid, SIGHUP);
    hear_until(&c, "nothing was changed: ");
    hear_until(&c, "did you mean policy?");
    expect_answer(&at, "/api/status", 200, "\"retry.max\":\"1\"");
    kill(c.pid, SIGTERM);
    assert_int_equal(end_of(&c), 0);
}

/* A client with an unfinished request holds the drain up; the second signal ends it at once. */
static void the_second_interrupt_ends_at_once(void **state)
{
    struct child c;
    struct addr at = begin_serving(&c, NULL, NULL);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, &at.any, sizeof at.v4), 0);
    static const char head[] = "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{";
    assert_int_equal(send(fd, head, sizeof head - 1, 0), sizeof head - 1);
    usleep(100000);
    kill(c.pid, SIGINT);
    hear_until(&c, "again to end at once");
    nsec before = sys_now();
    kill(c.pid, SIGINT);
    assert_int_equal(end_of(&c), 0);
    assert_true(sys_now() - before < SECOND(4));
    close(fd);
}

static void systemd_is_told(void **state)
{
    struct child c;
    struct sockaddr_un me = { .sun_family = AF_UNIX };
    struct timeval wait = { PATIENCE_MS / 1000, 0 };
    char got[32] = "";
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    snprintf(me.sun_path, sizeof me.sun_path, "%s.notify", file);
    assert_int_equal(bind(fd, (struct sockaddr *)&me, sizeof me), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setenv("NOTIFY_SOCKET", me.sun_path, 1);
    begin_serving(&c, NULL, NULL);
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(recv(fd, got, sizeof got, 0), 7);
    assert_memory_equal(got, "READY=1", 7);
    kill(c.pid, SIGTERM);
    assert_int_equal(recv(fd, got, sizeof got, 0), 10);
    assert_memory_equal(got, "STOPPING=1", 10);
    assert_int_equal(end_of(&c), 0);
    close(fd);
    unlink(me.sun_path);
}

static int begin(void **state)
{
    arena_pools_init();
    buf_pools_init();
    setenv("STATE_DIRECTORY", "/dev/null/none", 1); /* nothing is kept */
    unsetenv("OLLAMA_HOST");
    unsetenv("OLLAMAMAX_CONFIG");
    int fd = mkstemp(file);
    return fd < 0 ? -1 : close(fd);
}

static int end(void **state)
{
    unlink(file);
    buf_pools_done();
    arena_pools_done();
    return 0;
}

int main(int argc, char **argv)
{
    unsetenv("MALLOC_PERTURB_"); /* test runners set it: then what is only kept ready is touched, and counts as used */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_and_versions),
        cmocka_unit_test(misuse_ends_with_two),
        cmocka_unit_test(check_tells_values_and_mistakes),
        cmocka_unit_test(nobody_to_ask_is_one),
        cmocka_unit_test(a_gateway_serves_and_ends),
        cmocka_unit_test(repeated_nodes_are_named_and_left_out),
        cmocka_unit_test(a_hangup_reloads),
        cmocka_unit_test(the_second_interrupt_ends_at_once),
        cmocka_unit_test(systemd_is_told),
    };
    program = argc == 2 ? argv[1] : NULL;
    return program ? cmocka_run_group_tests(tests, begin, end) : 2;
}
