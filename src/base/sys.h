/* base/sys.h - the seam to the machine that is not the network: clocks, chance, files, environment, who am I.
 * Two implementations: base/sys_posix.c, and the one of the plays. Any thread. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/fail.h"
#include "base/str.h"

/* Monotonic clock, and nanoseconds since 1970 UTC. Workers use their loop's cached time instead (net/loop.h). */
nsec sys_now(void);
nsec sys_wall(void);
void sys_random(void *into, size_t n);
uint64_t sys_random_u64(void);

/* Index of the worker this thread is (0..SYS_WORKERS_MAX-1), or SYS_NO_WORKER. The only thread-local of the program. */
#define SYS_WORKERS_MAX 64
#define SYS_NO_WORKER   SYS_WORKERS_MAX
unsigned sys_worker_no(void);
void sys_set_worker_no(unsigned no);

/* NULL if unset. */
const char *sys_env(const char *name);
/* Whole file appended to *out, at most `max` bytes (else FAIL_body_too_large); FAIL_io_error leaves errno. */
enum fail sys_read_file(const char *path, size_t max, struct buf *out);
/* Replaces the file atomically (temporary file, fsync, rename). */
enum fail sys_write_file(const char *path, struct str bytes);
/* Append-only file for logs; `at` 2 writes to stderr. */
int sys_open_append(const char *path);
enum fail sys_append(int fd, struct str bytes);
void sys_close_file(int fd);
/* Bytes in it so far; 0 where that is not known. */
size_t sys_file_bytes(int fd);
enum fail sys_rename(const char *from, const char *to); /* FAIL_io_error leaves errno */
/* Cores this process may use (cgroup v1/v2 quota and affinity), own resident bytes, how much they should be at most
 * when nobody has said so: the cgroup's limit or 45 % of the machine, what is less. */
unsigned sys_cores(void);
size_t sys_rss(void);
size_t sys_memory_limit(void);
/* What the machine could still give to anybody, as a share of all it has; 1 when that cannot be read. */
double sys_memory_available(void);
/* Memory that malloc holds and does not use goes back to the machine. Takes milliseconds when there is much of it. */
void sys_memory_trim(void);
/* Raises the descriptor limit to the hard one; returns it. */
size_t sys_raise_descriptors(void);
