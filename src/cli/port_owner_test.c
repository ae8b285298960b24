#include "cli/port_owner.h"
#include "net/addr.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static int bind_to(const char *text, bool listens, uint16_t *out_port)
{
    struct addr a;
    socklen_t n = sizeof a;
    addr_listen(str_of(text), 0, &a);
    int fd = socket(a.any.sa_family, SOCK_STREAM, 0);
    if (fd < 0 || bind(fd, &a.any, a.any.sa_family == AF_INET ? sizeof a.v4 : sizeof a.v6) < 0) {
        close(fd);
        return -1;
    }
    if (listens)
        listen(fd, 1);
    getsockname(fd, &a.any, &n);
    *out_port = addr_port(&a);
    return fd;
}

static void a_listener_is_named(void **state)
{
    static const char *const places[] = { "127.0.0.1:0", "[::1]:0" };
    char owner[PORT_OWNER_ROOM], pid[32];
    uint16_t port;
    snprintf(pid, sizeof pid, "(pid %d)", getpid());
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        int fd = bind_to(places[i], true, &port);
        if (fd < 0)
            continue; /* no IPv6 here */
        assert_true(port_owner(port, owner));
        assert_non_null(strstr(owner, pid));
        assert_int_equal(strncmp(owner, "cli_port_owner_", 15), 0);
        close(fd);
        assert_false(port_owner(port, owner));
    }
}

static void who_only_holds_the_port_does_not_listen(void **state)
{
    char owner[PORT_OWNER_ROOM];
    uint16_t port;
    int fd = bind_to("127.0.0.1:0", false, &port);
    assert_true(fd >= 0);
    assert_false(port_owner(port, owner));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_listener_is_named),
        cmocka_unit_test(who_only_holds_the_port_does_not_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
