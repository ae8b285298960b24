/* base/fail.c - the failure table, and the end of the road for bugs.
 *
 * Every row of base/fail.def becomes one row here; all questions are a look into it. A value outside the table is a bug
 * of the caller. assume_failed lives here too because it must need nothing else: no log, no memory, one line on
 * descriptor 2. */
#include "base/fail.h"

#include <stdio.h>
#include <stdlib.h>

enum { E = 1, F = 2, B = 4, W = 8 };

static const struct {
    struct str name;
    struct str sentence;
    int status;
    unsigned flags;
} rows[FAIL_COUNT] = {
#define FAIL(name, status, flags, sentence) { STR(#name), STR(sentence), status, flags },
#include "base/fail.def"
#undef FAIL
};

static bool has(enum fail f, unsigned flag)
{
    assume((unsigned)f < FAIL_COUNT);
    return rows[f].flags & flag;
}

struct str fail_name(enum fail f)
{
    assume((unsigned)f < FAIL_COUNT);
    return rows[f].name;
}

struct str fail_sentence(enum fail f)
{
    assume((unsigned)f < FAIL_COUNT);
    return rows[f].sentence;
}

int fail_status(enum fail f)
{
    assume((unsigned)f < FAIL_COUNT);
    return rows[f].status;
}

bool fail_may_go_elsewhere(enum fail f)
{
    return has(f, E);
}
bool fail_is_free_retry(enum fail f)
{
    return has(f, F);
}
bool fail_counts_against_node(enum fail f)
{
    return has(f, B);
}
bool fail_waiting_helps(enum fail f)
{
    return has(f, W);
}

_Noreturn void assume_failed(const char *file, int line, const char *cond)
{
    dprintf(2, "%s:%d: assumption failed: %s\n", file, line, cond);
    abort();
}
