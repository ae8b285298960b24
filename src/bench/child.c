/* Processes of the bench.
 *
 * CPU time is read from the process's CPU clock (clock_getcpuclockid), which counts nanoseconds of all threads, also of
 * a thread that runs at this moment; /proc/PID/stat counts ticks of 10 ms and was rejected. Resident bytes are those of
 * /proc/PID/statm, shared pages included, as `ps` shows them. */
#include "bench/child.h"

#include "base/buf.h"
#include "base/sys.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN_MAX 16
static pid_t running[CHILDREN_MAX];
static volatile sig_atomic_t interrupted;

static void note_signal(int no)
{
    interrupted = no;
}

void children_init(void)
{
    struct sigaction noted = { .sa_handler = note_signal }, ignored = { .sa_handler = SIG_IGN };

    sigaction(SIGINT, &noted, NULL);
    sigaction(SIGTERM, &noted, NULL);
    sigaction(SIGPIPE, &ignored, NULL);
}

bool children_interrupted(void)
{
    return interrupted != 0;
}

/* ---- cores ------------------------------------------------------------------------------------------------------- */

struct cores cores_split(void)
{
    struct cores c = { -1, -1, -1, 0 };
    int found[3] = { -1, -1, -1 };
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return c;
    c.all = (unsigned)CPU_COUNT(&set);
    unsigned n = 0;
    for (int i = 0; i < CPU_SETSIZE && n < ARRAY_LEN(found); i++)
        if (CPU_ISSET(i, &set))
            found[n++] = i;
    if (n < 2)
        return c;
    c.load = found[0];
    c.proxy = found[1];
    c.node = n > 2 ? found[2] : found[0];
    return c;
}

void core_take(int core)
{
    cpu_set_t set;

    if (core < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

static bool remember(pid_t pid)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (running[i] == 0) {
            running[i] = pid;
            return true;
        }
    return false;
}

static void forget(pid_t pid)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        if (running[i] == pid)
            running[i] = 0;
}

/* In the child: nothing of the bench but its core and its end. */
static void settle(int core, pid_t parent)
{
    struct sigaction normal = { .sa_handler = SIG_DFL };

    sigaction(SIGINT, &normal, NULL);
    sigaction(SIGTERM, &normal, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    core_take(core);
}

static enum fail started(struct child *c, pid_t pid)
{
    if (pid < 0)
        return FAIL_io_error;
    c->pid = pid;
    if (remember(pid))
        return OK;
    child_end(c);
    return FAIL_no_memory;
}

enum fail child_fork(struct child *c, int core, void (*run)(void *), void *arg)
{
    pid_t parent = getpid(), pid = fork();

    if (pid == 0) {
        settle(core, parent);
        run(arg);
        _exit(0);
    }
    return started(c, pid);
}

/* The bench wakes to the nanosecond; what it measures keeps the 50 us of every other process. */
#define USUAL_TIMER_SLACK_NS 50000UL

static _Noreturn void become(char *const argv[], char *const env[], const char *log)
{
    int said = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int none = open("/dev/null", O_RDONLY | O_CLOEXEC);

    prctl(PR_SET_TIMERSLACK, USUAL_TIMER_SLACK_NS);
    if (said >= 0 && none >= 0 && dup2(none, 0) >= 0 && dup2(said, 1) >= 0 && dup2(said, 2) >= 0)
        execve(argv[0], argv, env);
    _exit(127);
}

enum fail child_exec(struct child *c, int core, char *const argv[], char *const env[], const char *log)
{
    pid_t parent = getpid(), pid = fork();

    if (pid == 0) {
        settle(core, parent);
        become(argv, env, log);
    }
    return started(c, pid);
}

/* ---- ending ------------------------------------------------------------------------------------------------------ */

bool child_alive(struct child *c)
{
    if (c->pid == 0)
        return false;
    if (waitpid(c->pid, NULL, WNOHANG) == 0)
        return true;
    forget(c->pid);
    c->pid = 0;
    return false;
}

void child_end(struct child *c)
{
    nsec patience = sys_now() + MSEC(200);

    if (!child_alive(c))
        return;
    kill(c->pid, SIGTERM);
    while (child_alive(c) && sys_now() < patience)
        usleep(1000);
    if (!c->pid)
        return;
    kill(c->pid, SIGKILL);
    while (child_alive(c))
        usleep(1000);
}

void child_end_all(void)
{
    for (unsigned i = 0; i < CHILDREN_MAX; i++)
        child_end(&(struct child){ running[i] });
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

nsec child_cpu(const struct child *c)
{
    clockid_t clock;
    struct timespec t;

    if (!c->pid || clock_getcpuclockid(c->pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
        return 0;
    return SECOND(t.tv_sec) + t.tv_nsec;
}

size_t child_rss(const struct child *c)
{
    char path[64];
    struct buf b = { 0 };
    uint64_t pages = 0;

    snprintf(path, sizeof path, "/proc/%d/statm", (int)c->pid);
    if (c->pid && sys_read_file(path, KIB(4), &b) == OK) {
        struct str sizes = buf_str(&b);
        str_cut(&sizes, ' ');
        if (!str_u64(str_cut(&sizes, ' '), &pages))
            pages = 0;
    }
    buf_free(&b);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}
