/* base/sys.h in a play: the world's clock, seeded chance, and a disk in memory that forgets at a power loss what was
 * not synced.
 *
 *      file:  [ kept ............ | not yet synced ]      replaced lately: `old` is what it was before
 *
 * The program's chance is a stream of its own, apart from the world's: what the program draws does not move its
 * network. A replaced file is synced itself, but its rename may not be: after a crash it is whole, old or new. Appends
 * are never synced. Outside a world everything answers from a fixed state, so that pools and hash seeds set up before
 * it are the same each time. */
#include "base/sys.h"

#include "base/heap.h"
#include "world_inside.h"
#include <errno.h>
#include <stdlib.h>

#define STDERR     2
#define FIRST_FILE 100
#define START_WALL SECOND(1767225600) /* 2026-01-01 */

struct content {
    char *bytes; /* a NUL behind; NULL: no such file */
    size_t n;
};
struct file {
    struct list link;
    char *path;
    struct content now, old;
    size_t synced;
    bool replaced;
};
struct open_file {
    struct list link;
    int fd;
    struct file *file;
};
struct variable {
    struct list link;
    char *name, *value;
};

static struct {
    bool on;
    uint64_t chance;
    nsec wall_offset;
    struct list files, open, variables;
    int opened;
    size_t disk_room, rss, memory_limit;
    double available;
    unsigned cores, descriptors, limit;
} machine;
static unsigned worker_no = SYS_NO_WORKER;

/* ---- who, when, chance ---- */
nsec sys_now(void)
{
    return world_now();
}
nsec sys_wall(void)
{
    return world_now() + world_wall_offset();
}
nsec world_wall_offset(void)
{
    return START_WALL + machine.wall_offset;
}
unsigned sys_worker_no(void)
{
    return worker_no;
}

void world_shift_wall(nsec by)
{
    trace("wall", (uint64_t)by, 0);
    machine.wall_offset += by;
}

void sys_set_worker_no(unsigned no)
{
    assume(no <= SYS_NO_WORKER);
    worker_no = no;
}

uint64_t sys_random_u64(void)
{
    uint64_t x = machine.chance += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
}

void sys_random(void *into, size_t n)
{
    char *at = into;
    for (size_t part; n; at += part, n -= part) {
        uint64_t v = sys_random_u64();
        part = MIN(n, sizeof v);
        memcpy(at, &v, part);
    }
}

/* ---- environment and machine ---- */
static struct variable *variable(const char *name)
{
    if (!machine.on)
        return NULL;
    list_each (link, &machine.variables) {
        struct variable *v = CONTAINER(link, struct variable, link);
        if (strcmp(v->name, name) == 0)
            return v;
    }
    return NULL;
}

const char *sys_env(const char *name)
{
    struct variable *v = variable(name);
    return v ? v->value : NULL;
}

void world_env(const char *name, const char *value)
{
    struct variable *v = variable(name);
    if (!v) {
        v = world_alloc(sizeof *v);
        v->name = strdup(name);
        list_push(&machine.variables, &v->link);
    }
    free(v->value);
    v->value = value ? strdup(value) : NULL;
    assume(v->name && (v->value || !value));
}

void world_machine(unsigned cores, size_t rss, size_t memory_limit)
{
    machine.cores = cores;
    machine.rss = rss;
    machine.memory_limit = memory_limit;
}

unsigned sys_cores(void)
{
    return machine.cores;
}
size_t sys_rss(void)
{
    return machine.rss;
}
size_t sys_memory_limit(void)
{
    return machine.memory_limit;
}
double sys_memory_available(void)
{
    return machine.available;
}
void sys_memory_trim(void) {}
/* Not the same from one run to the next. */
bool heap_is_counted(void)
{
    return false;
}
struct heap_count heap_count(void)
{
    return (struct heap_count){ 0 };
}
void world_memory_available(double share)
{
    machine.available = share;
}
size_t sys_raise_descriptors(void)
{
    return machine.limit;
}
void world_descriptors(unsigned limit)
{
    machine.limit = limit;
}
unsigned world_descriptors_used(void)
{
    return machine.descriptors;
}

bool descriptor_take(void)
{
    if (machine.descriptors >= machine.limit)
        return false;
    machine.descriptors++;
    return true;
}

void descriptor_give(void)
{
    assume(machine.descriptors > 0);
    machine.descriptors--;
}

/* ---- the disk ---- */
static struct file *file_at(const char *path)
{
    if (!machine.on)
        return NULL;
    list_each (link, &machine.files) {
        struct file *f = CONTAINER(link, struct file, link);
        if (strcmp(f->path, path) == 0)
            return f;
    }
    return NULL;
}

static struct file *file_made(const char *path)
{
    struct file *f = file_at(path);
    if (f)
        return f;
    f = world_alloc(sizeof *f);
    f->path = strdup(path);
    assume(f->path && machine.on);
    list_push(&machine.files, &f->link);
    return f;
}

static void extend(struct content *c, struct str bytes)
{
    c->bytes = realloc(c->bytes, c->n + bytes.n + 1);
    assume(c->bytes);
    if (bytes.n)
        memcpy(c->bytes + c->n, bytes.p, bytes.n);
    c->n += bytes.n;
    c->bytes[c->n] = 0;
}

static void forget(struct content *c)
{
    free(c->bytes);
    *c = (struct content){ 0 };
}

static bool disk_takes(size_t n)
{
    errno = ENOSPC;
    if (n > machine.disk_room)
        return false;
    machine.disk_room -= n;
    return true;
}

void world_file(const char *path, struct str bytes)
{
    struct file *f = file_made(path);
    forget(&f->now);
    extend(&f->now, bytes);
    f->synced = bytes.n;
}

struct str world_file_text(const char *path)
{
    struct file *f = file_at(path);
    return f && f->now.bytes ? (struct str){ f->now.bytes, f->now.n } : STR_NONE;
}

void world_disk_room(size_t bytes)
{
    machine.disk_room = bytes;
}

enum fail sys_read_file(const char *path, size_t max, struct buf *out)
{
    struct file *f = file_at(path);
    if (!f || !f->now.bytes) {
        errno = ENOENT;
        return FAIL_io_error;
    }
    if (f->now.n > max)
        return FAIL_body_too_large;
    return buf_append(out, (struct str){ f->now.bytes, f->now.n });
}

enum fail sys_write_file(const char *path, struct str bytes)
{
    if (!disk_takes(bytes.n))
        return FAIL_io_error;
    struct file *f = file_made(path);
    trace("replace_file", bytes.n, digest(0, bytes.p, bytes.n));
    forget(&f->old);
    f->old = f->now;
    f->now = (struct content){ 0 };
    extend(&f->now, bytes);
    f->synced = bytes.n;
    f->replaced = true;
    return OK;
}

static void file_free(struct file *f)
{
    forget(&f->now);
    forget(&f->old);
    free(f->path);
    free(f);
}

enum fail sys_rename(const char *from, const char *to)
{
    struct file *f = file_at(from), *gone = file_at(to);
    if (!f) {
        errno = ENOENT;
        return FAIL_io_error;
    }
    if (gone) {
        list_del(&gone->link);
        file_free(gone);
    }
    free(f->path);
    f->path = strdup(to);
    assume(f->path);
    return OK;
}

int sys_open_append(const char *path)
{
    errno = EMFILE;
    if (!descriptor_take())
        return -1;
    struct open_file *o = world_alloc(sizeof *o);
    *o = (struct open_file){ .fd = FIRST_FILE + machine.opened++, .file = file_made(path) };
    extend(&o->file->now, STR(""));
    list_push(&machine.open, &o->link);
    return o->fd;
}

static struct open_file *open_file(int fd)
{
    struct open_file *open = NULL;
    list_each (link, &machine.open)
        if (CONTAINER(link, struct open_file, link)->fd == fd)
            open = CONTAINER(link, struct open_file, link);
    assume(open);
    return open;
}

enum fail sys_append(int fd, struct str bytes)
{
    if (!machine.on) {
        fwrite(bytes.p, 1, bytes.n, stderr);
        return OK;
    }
    if (!disk_takes(bytes.n))
        return FAIL_io_error;
    trace("append", bytes.n, digest(0, bytes.p, bytes.n));
    extend(&(fd == STDERR ? file_made("stderr") : open_file(fd)->file)->now, bytes);
    return OK;
}

size_t sys_file_bytes(int fd)
{
    return fd == STDERR ? 0 : open_file(fd)->file->now.n;
}

void sys_close_file(int fd)
{
    if (fd <= STDERR)
        return;
    struct open_file *o = open_file(fd);
    list_del(&o->link);
    free(o);
    descriptor_give();
}

static void lose_unsynced(struct file *f)
{
    if (f->replaced && one_in(2)) {
        forget(&f->now);
        f->now = f->old;
        f->old = (struct content){ 0 };
        f->synced = f->now.n;
    }
    if (f->now.n > f->synced) {
        f->now.n = f->synced + (size_t)chance(f->now.n - f->synced + 1);
        f->now.bytes[f->now.n] = 0;
    }
    forget(&f->old);
    f->synced = f->now.n;
    f->replaced = false;
}

void world_crash(void)
{
    trace("crash", 0, 0);
    list_each (link, &machine.files)
        lose_unsynced(CONTAINER(link, struct file, link));
}

/* ---- life ---- */
void sys_begin(uint64_t seed)
{
    memset(&machine, 0, sizeof machine);
    machine.on = true;
    machine.chance = seed * 0x2545f4914f6cdd1du + 1;
    machine.disk_room = SIZE_MAX;
    machine.limit = 1024;
    world_machine(2, MIB(32), MIB(4096));
    world_memory_available(0.5);
    list_init(&machine.files);
    list_init(&machine.open);
    list_init(&machine.variables);
}

unsigned sys_leaks(FILE *to)
{
    unsigned n = 0;
    list_each (link, &machine.open) {
        n++;
        if (to)
            fprintf(to, "left open: %s\n", CONTAINER(link, struct open_file, link)->file->path);
    }
    return n;
}

void sys_end(void)
{
    for (struct list *link; (link = list_pop(&machine.open));)
        free(CONTAINER(link, struct open_file, link));
    for (struct list *link; (link = list_pop(&machine.files));)
        file_free(CONTAINER(link, struct file, link));
    for (struct list *link; (link = list_pop(&machine.variables));) {
        struct variable *v = CONTAINER(link, struct variable, link);
        free(v->name);
        free(v->value);
        free(v);
    }
    memset(&machine, 0, sizeof machine);
}
