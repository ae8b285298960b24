/* base/cgroup.h - what the control group of this process grants it. Reads files under `root`; any thread.
 * `membership` is the text of /proc/self/cgroup, `root` where the hierarchies are mounted ("/sys/fs/cgroup"). Both
 * versions of control groups, all levels up to the root; a level that is not mounted here (a container without a cgroup
 * namespace) sets no limit. Sources: cgroups(7), Linux Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/. */
#pragma once
#include "base/str.h"

/* Hundredths of cores by CPU quota; SIZE_MAX when there is none. */
size_t cgroup_centicores(struct str membership, const char *root);
/* Bytes of memory; SIZE_MAX when there is no limit. */
size_t cgroup_memory(struct str membership, const char *root);
/* The whole of a small file as far as it fits into `into` (a NUL behind it, cap >= 1); empty when it cannot be read. */
struct str cgroup_small_file(const char *path, char *into, size_t cap);
