/* base/fail.h - what can go wrong, as one enum. 0 is good: `if (f) return f;`.
 * Each value is a row of base/fail.def; the functions read that table. Pure; any thread. */
#pragma once
#include "base/str.h"

enum fail {
#define FAIL(name, status, flags, sentence) FAIL_##name,
#include "base/fail.def"
#undef FAIL
    FAIL_COUNT
};
#define OK FAIL_none

/* The row's name, as in logs, metrics and the `code` of our own errors: "connect_refused". */
struct str fail_name(enum fail f);
struct str fail_sentence(enum fail f);
int fail_status(enum fail f);
bool fail_may_go_elsewhere(enum fail f);
bool fail_is_free_retry(enum fail f);
bool fail_counts_against_node(enum fail f);
bool fail_waiting_helps(enum fail f);
