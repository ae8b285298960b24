/* cli/notify.c - each message has a socket of its own: there are three in a life, and one that is kept would have to be
 * kept over everything. */
#include "cli/notify.h"
#include "base/str.h"
#include "base/sys.h"
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A name that begins with '@' is abstract: its first byte is 0. */
static bool read_address(struct sockaddr_un *to, socklen_t *n)
{
    const char *path = sys_env("NOTIFY_SOCKET");
    size_t length = path ? strlen(path) : 0;
    *to = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (length < 2 || length >= sizeof to->sun_path || !strchr("/@", path[0]))
        return false;
    memcpy(to->sun_path, path, length);
    if (path[0] == '@')
        to->sun_path[0] = 0;
    *n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return true;
}

void notify(const char *state)
{
    struct sockaddr_un to;
    socklen_t n;
    if (!read_address(&to, &n))
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, n); /* nobody else to tell */
    close(fd);
}

nsec notify_watchdog(void)
{
    const char *usec = sys_env("WATCHDOG_USEC"), *pid = sys_env("WATCHDOG_PID");
    uint64_t wait, whom;
    if (!usec || !str_u64(str_of(usec), &wait) || !wait || wait > UINT32_MAX * 1000ull)
        return 0;
    if (pid && (!str_u64(str_of(pid), &whom) || whom != (uint64_t)getpid()))
        return 0;
    return USEC((nsec)wait) / 2;
}
