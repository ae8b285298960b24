#include "base/str.h"
#include "cli/notify.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* What came on a datagram socket bound to this name ('@': abstract); empty: nothing. */
static void expect_datagram(const char *name, const char *state, const char *expected)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    char got[64] = "";
    size_t n = strlen(name);
    memcpy(at.sun_path, name, n);
    if (name[0] == '@')
        at.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    notify(state);
    (void)!recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
    close(fd);
    unsetenv("NOTIFY_SOCKET");
    assert_string_equal(got, expected);
}

static void both_kinds_of_socket_are_told(void **state)
{
    char path[64], name[64];
    snprintf(path, sizeof path, "/tmp/ollamamax_notify_%d", getpid());
    snprintf(name, sizeof name, "@ollamamax_notify_%d", getpid());
    expect_datagram(path, "READY=1", "READY=1");
    expect_datagram(name, "STOPPING=1", "STOPPING=1");
    unlink(path);
}

static void without_a_socket_nothing_happens(void **state)
{
    unsetenv("NOTIFY_SOCKET");
    notify("READY=1");
    setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
    notify("READY=1");
    setenv("NOTIFY_SOCKET", "relative", 1);
    notify("READY=1");
    unsetenv("NOTIFY_SOCKET");
}

static void the_watchdog_is_ours_or_nobodys(void **state)
{
    char pid[16];
    unsetenv("WATCHDOG_PID");
    unsetenv("WATCHDOG_USEC");
    assert_int_equal(notify_watchdog(), 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_int_equal(notify_watchdog(), SECOND(15));
    setenv("WATCHDOG_PID", "1", 1);
    assert_int_equal(notify_watchdog(), 0);
    snprintf(pid, sizeof pid, "%d", getpid());
    setenv("WATCHDOG_PID", pid, 1);
    assert_int_equal(notify_watchdog(), SECOND(15));
    setenv("WATCHDOG_USEC", "x", 1);
    assert_int_equal(notify_watchdog(), 0);
    unsetenv("WATCHDOG_PID");
    unsetenv("WATCHDOG_USEC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_kinds_of_socket_are_told),
        cmocka_unit_test(without_a_socket_nothing_happens),
        cmocka_unit_test(the_watchdog_is_ours_or_nobodys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
