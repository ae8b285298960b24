/* The node is forked before anything is measured, while this process is small and has no other child. */
#include "bench/rig.h"

#include "base/sys.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum fail start_node(struct rig *r, unsigned records)
{
    r->backend = (struct backend){ .listener = backend_listen(&r->place.node), .records = records };
    if (r->backend.listener < 0)
        return FAIL_io_error;
    enum fail f = child_fork(&r->node, r->place.cores.node, backend_run, &r->backend);
    close(r->backend.listener);
    return f;
}

enum fail rig_open(struct rig *r, const char *gateway, unsigned records)
{
    const char *temporary = sys_env("TMPDIR");

    *r = (struct rig){
        .place = {.gateway = gateway, .cores = cores_split()}
    };
    children_init();
    r->descriptors = sys_raise_descriptors();
    snprintf(r->directory, sizeof r->directory, "%.40s/ollamamax-bench-XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(r->directory)) {
        r->directory[0] = 0;
        return FAIL_io_error;
    }
    r->place.directory = r->directory;
    core_take(r->place.cores.load);
    return start_node(r, records);
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *f)
{
    return remove(path);
}

void rig_close(struct rig *r)
{
    child_end_all();
    if (r->directory[0])
        (void)nftw(r->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void rig_show_log(const struct rig *r, const struct way *w)
{
    char path[128];
    struct buf said = { 0 };

    snprintf(path, sizeof path, "%s/%s.log", r->directory, way_name(w->id));
    if (sys_read_file(path, KIB(64), &said) == OK)
        fprintf(stderr, "%.*s", STR_ARG(buf_str(&said)));
    buf_free(&said);
}
