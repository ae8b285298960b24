/* base/sys_posix.c - the machine as POSIX and Linux show it.
 *
 * Chance comes from the kernel in pools of 512 bytes, one per worker, because a request draws three identifiers and a
 * system call each would cost as much as finding its node. Used bytes are wiped; a forked child starts with empty
 * pools, or it would draw what its parent draws. Rejected: a generator of our own (nothing to gain over the kernel's at
 * this rate). */
#include "base/sys.h"

#include "base/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MEMORY_PERCENT 45 /* of the machine, which models share */

/* --- who and when --- */

static _Thread_local unsigned worker_no = SYS_NO_WORKER;

unsigned sys_worker_no(void)
{
    return worker_no;
}

void sys_set_worker_no(unsigned no)
{
    assume(no <= SYS_NO_WORKER);
    worker_no = no;
}

static nsec read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return SECOND(t.tv_sec) + t.tv_nsec;
}

nsec sys_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}
nsec sys_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}
const char *sys_env(const char *name)
{
    return getenv(name);
}

/* --- chance --- */

#define POOL_BYTES 512
static struct pool {
    unsigned left; /* fresh bytes, at the front */
    char bytes[POOL_BYTES];
} pools[SYS_WORKERS_MAX];
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void empty_pools(void)
{
    for (size_t i = 0; i < SYS_WORKERS_MAX; i++)
        pools[i].left = 0;
}

static void empty_pools_on_fork(void)
{
    pthread_atfork(NULL, NULL, empty_pools);
}

static void ask_kernel(char *into, size_t n)
{
    while (n) {
        ssize_t got = getrandom(into, n, 0);
        assume(got > 0 || errno == EINTR);
        if (got > 0) {
            into += got;
            n -= (size_t)got;
        }
    }
}

static void fill(struct pool *p)
{
    pthread_once(&fork_once, empty_pools_on_fork);
    ask_kernel(p->bytes, POOL_BYTES);
    p->left = POOL_BYTES;
}

void sys_random(void *into, size_t n)
{
    if (worker_no == SYS_NO_WORKER || n > POOL_BYTES / 4) {
        ask_kernel(into, n);
        return;
    }
    struct pool *p = &pools[worker_no];
    if (p->left < n)
        fill(p);
    p->left -= (unsigned)n;
    memcpy(into, p->bytes + p->left, n);
    memset(p->bytes + p->left, 0, n);
}

uint64_t sys_random_u64(void)
{
    uint64_t v;
    sys_random(&v, sizeof v);
    return v;
}

/* --- files --- */

/* Closes and keeps the errno of what went wrong before. */
static enum fail close_with(int fd, enum fail f)
{
    int why = errno;
    close(fd);
    errno = why;
    return f;
}

/* Up to one byte more than `max`, to learn whether there is more. */
static enum fail read_all(int fd, size_t max, struct buf *out)
{
    for (size_t total = 0;;) {
        enum fail f = buf_reserve(out, KIB(4));
        if (f)
            return f;
        ssize_t got = read(fd, buf_tail(out), buf_room(out));
        if (got == 0)
            return OK;
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return FAIL_io_error;
        total += (size_t)got;
        out->end += (size_t)got;
        if (total > max)
            return FAIL_body_too_large;
    }
}

enum fail sys_read_file(const char *path, size_t max, struct buf *out)
{
    size_t before = buf_len(out);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return FAIL_io_error;
    enum fail f = close_with(fd, read_all(fd, max, out));
    if (f)
        out->end = out->start + before;
    return f;
}

static enum fail write_all(int fd, struct str bytes)
{
    while (bytes.n) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno != EINTR)
            return FAIL_io_error;
        bytes = str_drop(bytes, n > 0 ? (size_t)n : 0);
    }
    return OK;
}

/* A file that exists keeps its permissions; a new one is its owner's alone. */
static enum fail write_synced(int fd, const char *path, struct str bytes)
{
    struct stat old;
    if (stat(path, &old) == 0 && fchmod(fd, old.st_mode & 07777) < 0)
        return FAIL_io_error;
    enum fail f = write_all(fd, bytes);
    if (f)
        return f;
    return fsync(fd) < 0 ? FAIL_io_error : OK;
}

/* Best effort: the rename is in the directory, and some file systems cannot sync one. */
static void sync_directory_of(const char *path)
{
    char directory[PATH_MAX] = ".";
    struct str p = str_of(path);
    ssize_t slash = str_rchr(p, '/');
    if (slash >= 0)
        snprintf(directory, sizeof directory, "%.*s", (int)MAX(slash, 1), path);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

enum fail sys_write_file(const char *path, struct str bytes)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.XXXXXX", path) >= (int)sizeof temporary) {
        errno = ENAMETOOLONG;
        return FAIL_io_error;
    }
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return FAIL_io_error;
    enum fail f = close_with(fd, write_synced(fd, path, bytes));
    if (!f && rename(temporary, path) < 0)
        f = FAIL_io_error;
    if (f) {
        int why = errno;
        unlink(temporary);
        errno = why;
        return f;
    }
    sync_directory_of(path);
    return OK;
}

int sys_open_append(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}
size_t sys_file_bytes(int fd)
{
    struct stat s;
    return fstat(fd, &s) == 0 && S_ISREG(s.st_mode) ? (size_t)s.st_size : 0;
}

enum fail sys_rename(const char *from, const char *to)
{
    return rename(from, to) == 0 ? OK : FAIL_io_error;
}

enum fail sys_append(int fd, struct str bytes)
{
    return write_all(fd, bytes);
}

void sys_close_file(int fd)
{
    if (fd > 2)
        close(fd);
}

/* --- what we may use --- */

static size_t cgroup_limit(size_t (*limit)(struct str, const char *))
{
    char membership[KIB(8)];
    return limit(cgroup_small_file("/proc/self/cgroup", membership, sizeof membership), "/sys/fs/cgroup");
}

static unsigned affinity_cores(void)
{
    cpu_set_t sets[8]; /* 8,192 cores */
    if (sched_getaffinity(0, sizeof sets, sets) == 0)
        return (unsigned)CPU_COUNT_S(sizeof sets, sets);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return (unsigned)MAX(online, 1);
}

/* A quota of 150 % is two cores, half busy each: rounded up. */
unsigned sys_cores(void)
{
    unsigned cores = affinity_cores();
    size_t hundredths = cgroup_limit(cgroup_centicores);
    if (hundredths / 100 >= cores)
        return cores;
    return MAX((unsigned)((hundredths + 99) / 100), 1);
}

size_t sys_rss(void)
{
    char text[128];
    struct str sizes = cgroup_small_file("/proc/self/statm", text, sizeof text);
    uint64_t resident = 0;
    str_cut(&sizes, ' ');
    if (!str_u64(str_cut(&sizes, ' '), &resident))
        return 0;
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

size_t sys_memory_limit(void)
{
    size_t machine = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    size_t granted = cgroup_limit(cgroup_memory);
    return MIN(machine / 100 * MEMORY_PERCENT, granted);
}

/* "MemAvailable:   24105 kB" */
static double meminfo(struct str text, struct str name)
{
    ssize_t at = str_find(text, name);
    struct str rest = at < 0 ? STR_NONE : str_trim(str_drop(text, (size_t)at + name.n));
    uint64_t n;
    return str_u64(str_cut(&rest, ' '), &n) ? (double)n : 0;
}

double sys_memory_available(void)
{
    char bytes[256]; /* its first lines */
    struct str text = cgroup_small_file("/proc/meminfo", bytes, sizeof bytes);
    double all = meminfo(text, STR("MemTotal:")), available = meminfo(text, STR("MemAvailable:"));
    return all > 0 && available > 0 ? available / all : 1;
}

void sys_memory_trim(void)
{
    malloc_trim(0);
}

size_t sys_raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    return (size_t)(setrlimit(RLIMIT_NOFILE, &limit) < 0 ? before : limit.rlim_cur);
}
