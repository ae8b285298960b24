/* base/cgroup.c - limits are set at any level of the tree and the tightest one counts, so every level is read.
 *
 *     /proc/self/cgroup          file read at each level
 *     0::/a/b                    <root>/a/b/cpu.max, <root>/a/cpu.max, <root>/cpu.max
 *     4:cpu,cpuacct:/a           <root>/cpu,cpuacct/a/cpu.cfs_quota_us and _period_us, ...; also <root>/cpu/...
 *
 * Version 1 controllers are mounted under their joint name with links for each single one; both are tried. Read at
 * start, with buffers on the stack: the pools may not exist yet. */
#include "base/cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* One resource: its v1 controller, and how to read the limit in one directory (SIZE_MAX: none). */
struct resource {
    struct str controller;
    size_t (*read_v1)(const char *directory);
    size_t (*read_v2)(const char *directory);
};

struct str cgroup_small_file(const char *path, char *into, size_t cap)
{
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t got;
        while (n < cap - 1 && (got = read(fd, into + n, cap - 1 - n)) > 0)
            n += (size_t)got;
        close(fd);
    }
    into[n] = 0;
    return (struct str){ into, n };
}

static struct str read_in(const char *directory, const char *file, char into[64])
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", directory, file) >= (int)sizeof path)
        return STR_NONE;
    return str_trim(cgroup_small_file(path, into, 64));
}

/* "max", "-1" and what does not parse set no limit. */
static size_t number_or_none(struct str s)
{
    uint64_t v;
    return str_u64(s, &v) ? (size_t)v : SIZE_MAX;
}

static size_t centicores(struct str quota, struct str period)
{
    size_t q = number_or_none(quota), p = number_or_none(period);
    return q == SIZE_MAX || p == SIZE_MAX || p == 0 ? SIZE_MAX : q * 100 / p;
}

static size_t cpu_v1(const char *directory)
{
    char quota[64], period[64];
    return centicores(read_in(directory, "cpu.cfs_quota_us", quota), read_in(directory, "cpu.cfs_period_us", period));
}

static size_t cpu_v2(const char *directory)
{
    char text[64];
    struct str period = read_in(directory, "cpu.max", text);
    struct str quota = str_cut(&period, ' ');
    return centicores(quota, period);
}

static size_t memory_v1(const char *directory)
{
    char text[64];
    return number_or_none(read_in(directory, "memory.limit_in_bytes", text));
}

static size_t memory_v2(const char *directory)
{
    char text[64];
    return number_or_none(read_in(directory, "memory.max", text));
}

/* The tightest limit from root/mount/group up to root/mount. */
static size_t tightest(size_t (*read_level)(const char *), const char *root, struct str mount, struct str group)
{
    size_t limit = SIZE_MAX;
    for (;;) {
        char directory[PATH_MAX];
        int n = snprintf(directory, sizeof directory, "%s/%.*s%.*s", root, STR_ARG(mount), STR_ARG(group));
        size_t here = n < (int)sizeof directory ? read_level(directory) : SIZE_MAX;
        limit = MIN(limit, here);
        ssize_t slash = str_rchr(group, '/');
        if (slash < 0)
            return limit;
        group = str_take(group, (size_t)slash);
    }
}

/* One line of /proc/self/cgroup: hierarchy-id:controllers:path. */
static size_t limit_of_line(const struct resource *r, struct str line, const char *root)
{
    struct str id = str_cut(&line, ':');
    struct str controllers = str_cut(&line, ':');
    if (str_eq(id, STR("0")) && controllers.n == 0)
        return tightest(r->read_v2, root, STR_NONE, line);
    if (!str_list_has(controllers, r->controller))
        return SIZE_MAX;
    size_t joint = tightest(r->read_v1, root, controllers, line);
    size_t single = tightest(r->read_v1, root, r->controller, line);
    return MIN(joint, single);
}

static size_t limit_of(const struct resource *r, struct str membership, const char *root)
{
    size_t limit = SIZE_MAX;
    while (membership.n) {
        size_t of_line = limit_of_line(r, str_cut(&membership, '\n'), root);
        limit = MIN(limit, of_line);
    }
    return limit;
}

size_t cgroup_centicores(struct str membership, const char *root)
{
    static const struct resource cpu = { STR("cpu"), cpu_v1, cpu_v2 };
    return limit_of(&cpu, membership, root);
}

size_t cgroup_memory(struct str membership, const char *root)
{
    static const struct resource memory = { STR("memory"), memory_v1, memory_v2 };
    return limit_of(&memory, membership, root);
}
