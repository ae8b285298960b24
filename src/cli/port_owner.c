/* cli/port_owner.c - "the address is in use" is half a sentence. The other half is in two places of /proc:
 *
 *     /proc/net/tcp{,6}   a line per socket: local address, state 0A (listening), inode
 *     /proc/PID/fd/N      a link "socket:[inode]" of the process that has it open */
#include "cli/port_owner.h"
#include "base/str.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The inode of a listening socket on this port, or 0. Columns: proc(5), proc_net_tcp. */
static unsigned long listening_inode(const char *table, uint16_t port)
{
    char line[512];
    unsigned long inode = 0, found = 0;
    unsigned local, state;
    FILE *f = fopen(table, "re");
    while (f && !found && fgets(line, sizeof line, f))
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*d %*d %lu", &local, &state,
                   &inode) == 3 &&
            local == port && state == 0x0A)
            found = inode;
    if (f)
        fclose(f);
    return found;
}

static bool has_open(const char *pid, const char *link)
{
    char path[64 + 256], target[64];
    snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
    DIR *d = opendir(path);
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        snprintf(path, sizeof path, "/proc/%.20s/fd/%s", pid, e->d_name);
        ssize_t n = readlink(path, target, sizeof target - 1);
        found = n > 0 && str_eq((struct str){ target, (size_t)n }, str_of(link));
    }
    if (d)
        closedir(d);
    return found;
}

static void describe(const char *pid, char out[PORT_OWNER_ROOM])
{
    char path[64], name[32] = "a process";
    snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
    FILE *f = fopen(path, "re");
    if (f && fgets(name, sizeof name, f))
        name[strcspn(name, "\n")] = 0;
    if (f)
        fclose(f);
    snprintf(out, PORT_OWNER_ROOM, "%s (pid %.20s)", name, pid);
}

bool port_owner(uint16_t port, char out[PORT_OWNER_ROOM])
{
    char link[48];
    unsigned long inode = listening_inode("/proc/net/tcp", port);
    inode = inode ? inode : listening_inode("/proc/net/tcp6", port);
    if (!inode)
        return false;
    snprintf(link, sizeof link, "socket:[%lu]", inode);
    DIR *d = opendir("/proc");
    bool found = false;
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        found = e->d_name[0] >= '1' && e->d_name[0] <= '9' && has_open(e->d_name, link);
        if (found)
            describe(e->d_name, out);
    }
    if (d)
        closedir(d);
    return found;
}
