/* observe/access_log.h - one JSON line per finished request, without prompts, written by a thread of its own.
 * Each worker hands over records through a ring of its own (one writer, one reader, no lock); when a ring is full the
 * record is dropped and counted. The thread sleeps between sweeps of 100 ms; it never delays a worker. */
#pragma once
#include "observe/record.h"

struct access_log;
/* path NULL or "-": stderr. `workers` rings of 1,024 records. NULL when memory or the file is not to be had. */
struct access_log *access_log_open(const char *path, unsigned workers);
void access_log_close(struct access_log **l); /* writes what is there first */
/* From worker `no` only. False: dropped (count it). */
bool access_log_put(struct access_log *l, unsigned no, const struct record *r);
/* Once a file has so many bytes it becomes path.1, that one path.2 ... path.`keep`, and a new one is begun; other
 * writers of it are told by log_reopen. Before the first record; not for stderr. */
void access_log_rotate(struct access_log *l, size_t bytes, unsigned keep);
void access_log_reopen(struct access_log *l); /* SIGHUP; any thread */
