/* bench/child.h - processes beside the bench: started on a core of their own, measured from outside, always ended.
 *
 * Children die with the bench, however it ends: by child_end_all, and by the kernel when the bench is killed. The bench
 * is one thread. */
#pragma once
#include "base/fail.h"

struct child {
    pid_t pid; /* 0: none */
};
/* Once, before the first: SIGINT and SIGTERM only set a flag, which whoever waits asks for. */
void children_init(void);
bool children_interrupted(void);

/* Which cores there are for the measured process, for the load and for the node; -1: not pinned, there is one only. */
struct cores {
    int proxy, load, node;
    unsigned all; /* that may be used */
};
struct cores cores_split(void);
void core_take(int core); /* this process, from now on */

/* Runs run(arg) in a copy of this process. */
enum fail child_fork(struct child *c, int core, void (*run)(void *), void *arg);
/* Runs argv[0] with this environment; what it says goes to the file `log`. */
enum fail child_exec(struct child *c, int core, char *const argv[], char *const env[], const char *log);
bool child_alive(struct child *c);
/* Asks it to end, kills it after 0.2 s (nothing here is worth a drain), waits for it. Nothing if there is none. */
void child_end(struct child *c);
void child_end_all(void);

/* CPU time of all its threads so far, in nanoseconds; resident bytes. 0 when it is gone. */
nsec child_cpu(const struct child *c);
size_t child_rss(const struct child *c);
