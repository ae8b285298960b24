/* Reading is through a pipe from the program that unpacks, which every Debian has or can have, so that the gateway need
 * not be linked with a library for each packer. */
#include "bench/key_trace.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static bool put(struct key_trace *t, uint32_t key)
{
    if (t->n == t->cap) {
        size_t cap = MAX(t->cap * 2, KIB(64));
        uint32_t *more = realloc(t->key, cap * sizeof *more);
        if (!more)
            return false;
        t->key = more, t->cap = cap;
    }
    t->key[t->n++] = key;
    return true;
}

void key_trace_free(struct key_trace *t)
{
    free(t->key);
    *t = (struct key_trace){ 0 };
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static enum fail count_distinct(struct key_trace *t)
{
    uint32_t *sorted = malloc(t->n * sizeof *sorted + 1);
    if (!sorted)
        return FAIL_no_memory;
    if (t->n)
        memcpy(sorted, t->key, t->n * sizeof *sorted);
    qsort(sorted, t->n, sizeof *sorted, by_number);
    for (size_t i = 0; i < t->n; i++)
        t->distinct += i == 0 || sorted[i] != sorted[i - 1];
    free(sorted);
    return OK;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static enum fail read_lines(struct key_trace *t, FILE *from)
{
    char line[256];
    while (fgets(line, sizeof line, from)) {
        unsigned start, count;
        if (sscanf(line, "%u %u", &start, &count) != 2 || count > 1u << 20)
            return FAIL_bad_value;
        for (unsigned i = 0; i < count; i++)
            if (!put(t, start + i))
                return FAIL_no_memory;
    }
    return OK;
}

static enum fail read_numbers(struct key_trace *t, FILE *from)
{
    unsigned char b[4];
    while (fread(b, sizeof b, 1, from) == 1)
        if (!put(t, (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3]))
            return FAIL_no_memory;
    return OK;
}

static const struct {
    struct str suffix;
    enum fail (*read)(struct key_trace *t, FILE *from);
} formats[] = {
    {{ ".lis", 4 },    read_lines  },
    { { ".trace", 6 }, read_numbers},
};
static const struct {
    struct str suffix;
    const char *program;
} packers[] = {
    {{ ".gz", 3 },   "gzip"},
    { { ".xz", 3 },  "xz"  },
    { { ".zst", 4 }, "zstd"},
};

static const char *packer_of(struct str *name)
{
    for (size_t i = 0; i < ARRAY_LEN(packers); i++)
        if (str_ends(*name, packers[i].suffix)) {
            name->n -= packers[i].suffix.n;
            return packers[i].program;
        }
    return NULL;
}

/* The file's bytes, or what the program makes of them. The parent's end is returned, -1 for none. */
static int open_unpacked(int file, const char *program, pid_t *out_child)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    *out_child = fork();
    if (*out_child == 0) {
        dup2(file, STDIN_FILENO);
        dup2(ends[1], STDOUT_FILENO);
        execlp(program, program, "-dcq", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    if (*out_child > 0)
        return ends[0];
    close(ends[0]);
    return -1;
}

static enum fail read_from(struct key_trace *t, int fd, struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (!str_ends(name, formats[i].suffix))
            continue;
        FILE *from = fdopen(fd, "rb");
        if (!from)
            break;
        enum fail f = formats[i].read(t, from);
        fclose(from);
        return f ? f : count_distinct(t);
    }
    close(fd);
    return FAIL_bad_value;
}

enum fail key_trace_read(struct key_trace *t, const char *file)
{
    struct str name = str_of(file);
    const char *program = packer_of(&name);
    pid_t child = 0;
    int status = 0, fd = open(file, O_RDONLY | O_CLOEXEC), plain = fd;
    *t = (struct key_trace){ 0 };
    if (fd >= 0 && program) {
        fd = open_unpacked(plain, program, &child);
        close(plain);
    }
    enum fail f = fd < 0 ? FAIL_io_error : read_from(t, fd, name);
    if (child > 0 && (waitpid(child, &status, 0) < 0 || status) && !f)
        f = FAIL_io_error;
    if (!f && !t->n)
        f = FAIL_bad_value;
    if (f)
        fprintf(stderr, "ollamamax bench: %s: %s%s\n", file,
                f == FAIL_bad_value ? "is not a trace of keys (*.lis, *.trace)" : "cannot be read",
                program && f == FAIL_io_error ? ", or the program that unpacks it is missing" : "");
    if (f)
        key_trace_free(t);
    return f;
}

/* ---- drawn ------------------------------------------------------------------------------------------------------- */

static double chance(uint64_t *seed)
{
    *seed = key_trace_mix(*seed);
    return (double)(*seed >> 11) / 9007199254740992.0;
}

/* sum[k]: the share of all requests that goes to keys 0 to k. */
static double *zipf_sums(uint32_t population, double exponent)
{
    double *sum = malloc(population * sizeof *sum), all = 0;
    if (!sum)
        return NULL;
    for (uint32_t k = 0; k < population; k++)
        sum[k] = all += 1 / pow(k + 1, exponent);
    for (uint32_t k = 0; k < population; k++)
        sum[k] /= all;
    return sum;
}

static uint32_t zipf_draw(const double *sum, uint32_t population, uint64_t *seed)
{
    double at = chance(seed);
    uint32_t low = 0, high = population - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sum[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum fail key_trace_zipf(struct key_trace *t, size_t n, const struct key_law *law)
{
    double *sum = zipf_sums(law->population, law->exponent);
    uint64_t seed = law->seed;
    uint32_t once = law->population;
    bool good = sum != NULL;
    *t = (struct key_trace){ 0 };
    while (good && t->n < n) {
        bool scans = law->scan_every && t->n % (law->scan_every + law->scan_length) >= law->scan_every;
        good = put(t, scans ? once++ : zipf_draw(sum, law->population, &seed));
    }
    free(sum);
    return good ? count_distinct(t) : FAIL_no_memory;
}
