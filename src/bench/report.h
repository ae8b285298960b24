/* bench/report.h - what was measured against what was promised: as a table for people, as JSON for programs.
 *
 * A row has a sample per way and round, NAN where nothing was measured. Pure, but for the clock in the JSON. */
#pragma once
#include "base/buf.h"
#include "bench/statistics.h"
#include "bench/way.h"

#define REPORT_ROUNDS_MAX 50
/* What `limit` and `aim` are compared with. */
enum promise_of { OF_NOTHING, OF_ITSELF, OF_RATIO_TO_HAPROXY };
enum promise_bound { AT_MOST, BELOW, AT_LEAST };
struct promise {
    const char *key;  /* in JSON */
    const char *name; /* for people */
    const char *unit;
    enum promise_of of;
    enum promise_bound bound;
    double limit, aim; /* aim: 0 = none */
};
struct row {
    const struct promise *promise;
    double sample[WAYS][REPORT_ROUNDS_MAX];
};
/* Nothing measured yet. */
void row_init(struct row *r, const struct promise *p);

enum verdict_word { VERDICT_NONE, VERDICT_AIM, VERDICT_PASS, VERDICT_MISS, VERDICT_NOT_RUN };
struct verdict_of_row {
    enum verdict_word word; /* by the median */
    bool sure;              /* all rounds agree on it, an aim counting as a pass */
    struct spread of;       /* what was compared */
};
struct verdict_of_row row_verdict(const struct row *r, unsigned rounds);
const char *verdict_word_text(enum verdict_word v);

/* How the figures came about; name and value, in order. */
struct report_fact {
    const char *name;
    char value[96];
};
#define REPORT_FACTS 16
struct report {
    const char *bench;
    struct way way[WAYS]; /* program empty: not measured, except the direct one */
    unsigned rounds, rows, facts;
    struct row *row;
    bool alone;       /* nothing is measured beside us */
    const char *note; /* below the table, instead of what is said about ways; NULL: that */
    struct report_fact fact[REPORT_FACTS];
};
void report_fact(struct report *r, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool report_has(const struct report *r, enum way_id way);
void report_table(const struct report *r, struct text *out);
void report_json(const struct report *r, struct text *out);
