/* bench/rig.h - what every measurement stands on: a directory, a node, cores dealt out. Ended with all its children. */
#pragma once
#include "bench/backend.h"
#include "bench/way.h"

struct rig {
    char directory[64];
    struct backend backend;
    struct child node;
    struct way_place place;
    size_t descriptors; /* that each process may have */
};
/* Takes the load's core for this process. FAIL_io_error: no directory, no port or no process to be had. */
enum fail rig_open(struct rig *r, const char *gateway, unsigned records);
/* Also after a failed rig_open. */
void rig_close(struct rig *r);
/* What a proxy said, copied to stderr. */
void rig_show_log(const struct rig *r, const struct way *w);
