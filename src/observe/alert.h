/* observe/alert.h - says what is wrong before users notice, once, and when it is over.
 *
 *     value behind the threshold            for `for`             back behind `clear` for `keep`
 *     inactive ---------------> pending ------------> firing ------------------------------> resolved (shown 15 min)
 *                               (back: gone, silently)   |  every `repeat`: again
 *
 * Evaluated once a second with a vector of named values; time is passed in, nothing is called back: what there is to
 * tell comes out as events, for whoever sends them. Durations are measured on the monotonic clock, so a clock that is
 * set does no harm; what is shown is wall time. One alert per rule, node and model, so nothing is told twice. At
 * most ALERTS_MOST at a time. A lock inside; any thread. */
#pragma once
#include "base/json.h"
#include "base/str.h"

/* ---- values ------------------------------------------------------------------------------------------------------ */
struct alert_value {
    struct str name, node, model; /* empty: of no node, of no model */
    double value;                 /* NAN: not known, which is as good as well */
    struct str detail;            /* for {detail} */
};
#define ALERT_VALUES 2048
/* Strings are borrowed until alerts_evaluate has returned. What finds no room is not watched. */
struct alert_values {
    unsigned n;
    struct alert_value value[ALERT_VALUES];
};
void alert_values_add(struct alert_values *v, struct alert_value value);

/* ---- rules ------------------------------------------------------------------------------------------------------- */
enum alert_compare { ALERT_ABOVE, ALERT_BELOW };
enum alert_severity { ALERT_WARNING, ALERT_CRITICAL };
enum alert_unit { ALERT_NUMBER, ALERT_SHARE, ALERT_MS };
#define ALERT_NAME   56
#define ALERT_LABELS 4
struct alert_label {
    char name[ALERT_NAME], value[ALERT_NAME];
};
struct alert_rule {
    char name[ALERT_NAME], value[ALERT_NAME];
    char node[ALERT_NAME], model[ALERT_NAME]; /* only of these; empty: of all */
    enum alert_compare compare;
    enum alert_severity severity;
    enum alert_unit unit;
    double threshold, clear;
    nsec lasts, keeps, window; /* for_s, keep_s, window_s of observe/alert.def */
    char message[256];
    unsigned labels; /* further ones, for receivers */
    struct alert_label label[ALERT_LABELS];
    /* of users' rules, for observe/watch.h; `value` is then one that nobody else tells */
    char metric[ALERT_NAME]; /* of /metrics, without prefix; empty: `value` is a series or a signal */
    nsec rate;               /* 0: the number itself */
    unsigned wheres;
    struct alert_label where[ALERT_LABELS]; /* labels of samples, beside node and model */
};
/* The rows of observe/alert.def. */
const struct alert_rule *alert_rules_built_in(unsigned *out_n);
/* Reads `queue > 10` or `node_inflight{node="gpu1"} <= 2` into a rule's value, node, model, where, compare and
 * threshold. FAIL_bad_setting; *out_fault is then where it is not understood. */
enum fail alert_rule_read(struct alert_rule *r, struct str text, struct str *out_fault);
/* The part of it before the comparison. */
enum fail alert_rule_read_metric(struct alert_rule *r, struct str text, struct str *out_fault);

/* ---- the engine -------------------------------------------------------------------------------------------------- */
#define ALERTS_MOST      256
#define ALERT_RULES_MOST 96 /* built-in ones, and those that have gone but are not over yet, among them */
#define ALERT_RULES_USER 40
#define ALERT_EVENTS     32
#define ALERT_SILENCES   64
enum alert_state { ALERT_INACTIVE, ALERT_PENDING, ALERT_FIRING, ALERT_RESOLVED };
/* An alert as it is shown and told. */
struct alert {
    enum alert_state state;
    enum alert_severity severity;
    nsec since;        /* wall clock; when it came into this state */
    nsec fired, ended; /* 0: not yet */
    double value, threshold;
    nsec silenced_until; /* 0: it is not */
    char name[ALERT_NAME], node[ALERT_NAME], model[ALERT_NAME];
    char message[512];
    enum alert_unit unit;
    unsigned labels;
    struct alert_label label[ALERT_LABELS];
};
enum alert_told { ALERT_FIRED, ALERT_REPEATED, ALERT_OVER };
struct alert_event {
    enum alert_told told;
    struct alert alert;
};
struct alerts;
/* With the built-in rules. `repeat`: a firing alert is told again that often. NULL when memory is out. */
struct alerts *alerts_new(nsec repeat);
void alerts_free(struct alerts **a);
/* The users' rules from now on, copied, and how often a firing alert is told again. What a rule that stays by its name
 * has seen stays too; what fires by one that has gone is over. FAIL_conflict: a name is there twice; FAIL_bad_setting:
 * too many; then nothing has changed. */
enum fail alerts_configure(struct alerts *a, nsec repeat, const struct alert_rule *rule, unsigned n);
/* Returns how many events were written to out[ALERT_EVENTS]. What finds no room there comes out the next time. */
unsigned alerts_evaluate(struct alerts *a, nsec now, nsec wall, const struct alert_values *v, struct alert_event *out);
/* Those that fire and are not silenced, for a receiver that wants to be reminded (Alertmanager); at most `most`. */
unsigned alerts_firing(struct alerts *a, struct alert *out, unsigned most);
/* An alert that nothing has caused, to see whether receivers get it. */
void alert_for_test(struct alert *out, nsec wall);
/* Each that is pending, firing or resolved, in no order; under the lock. */
void alerts_each(struct alerts *a, void (*visit)(const struct alert *alert, void *arg), void *arg);
/* How many alerts of each rule fire. */
void alerts_each_rule(struct alerts *a, void (*visit)(struct str name, unsigned firing, void *arg), void *arg);

/* Nothing is told of what a silence matches, until then; what still fires when it ends is told then. An alert that was
 * told before is also told to be over. Empty strings match all. */
struct alert_silence {
    uint64_t id; /* given by alerts_silence */
    nsec until;  /* wall clock */
    char name[ALERT_NAME], node[ALERT_NAME], model[ALERT_NAME];
    char comment[208];
};
/* FAIL_bad_value: there are ALERT_SILENCES already. */
enum fail alerts_silence(struct alerts *a, struct alert_silence *s);
bool alerts_unsilence(struct alerts *a, uint64_t id);

/* ---- as JSON ----------------------------------------------------------------------------------------------------- */
/* Two members of GET /api/alerts: "alerts":[...],"silences":[...]; firing ones first, then pending, then resolved. */
void alerts_json(struct alerts *a, struct json_out *j);
/* What an alert is known by: "node_down:gpu1:". */
#define ALERT_ID (3 * ALERT_NAME)
struct str alert_id(const struct alert *a, char out[ALERT_ID]);
/* Differs when a silence has come or gone. */
uint64_t alerts_silences_mark(struct alerts *a);
/* All silences, as an array. */
void alerts_put_silences(struct alerts *a, struct json_out *j);
/* One alert:
 * {"id","name","state","severity","since","value","threshold","unit"?,"message","labels":{"node"?,"model"?,...},
 * "fired","ended","silenced_until"} */
void alert_json(struct json_out *j, const struct alert *a);
/* What a webhook is sent: {"version":"1","source":"ollamamax","status":"firing|resolved","alerts":[...]}; status is
 * firing while one of them fires. */
void alert_put_webhook(struct text *t, const struct alert *alerts, unsigned n);
/* The body of Alertmanager's POST /api/v2/alerts (its OpenAPI, postableAlerts). A firing one is said to end in five
 * minutes, so it must be sent again before; `generator` is our address as people open it. */
void alert_put_alertmanager(struct text *t, const struct alert *alerts, unsigned n, nsec wall, struct str generator);
/* Reads {"name"?,"labels"?:{"node"?,"model"?},"duration":"2h" or "duration_s":7200,"comment"?}; FAIL_bad_json,
 * FAIL_bad_value with *why. Labels of other names are let pass: a rule's own say nothing more than its name. */
enum fail alert_silence_read(struct alert_silence *s, struct str body, nsec wall, const char **why);
void alert_silence_json(struct json_out *j, const struct alert_silence *s);
