/* observe/alert_state.h - what is inside the engine, for alert.c, which decides, and alert_json.c, which shows. */
#pragma once
#include "observe/alert.h"

#include <pthread.h>

#define ALERT_GROWTHS 8 /* of a count within its window that are told apart */
struct alert_slot {
    uint64_t key; /* of rule, node and model; 0: free */
    const struct alert_rule *rule;
    enum alert_state state;
    bool seen;         /* in this evaluation */
    bool told;         /* receivers know that it fires */
    nsec since;        /* of this state */
    nsec fired, ended; /* 0: not yet */
    nsec bad, sent;    /* last behind the threshold; last told */
    double value;      /* as compared */
    double count;      /* of a rule with a window: the value itself, the last time */
    nsec growth[ALERT_GROWTHS];
    char node[ALERT_NAME], model[ALERT_NAME];
    char detail[96];
};
struct alerts {
    pthread_mutex_t lock;
    nsec repeat;
    nsec ahead; /* of the wall clock over the monotonic one, at the last evaluation; moments below are monotonic */
    unsigned rules, built_in, silences; /* the last ones of the rules may be free places */
    uint64_t next_silence;
    struct alert_rule rule[ALERT_RULES_MOST]; /* without a name: free */
    bool gone[ALERT_RULES_MOST];              /* watched no more; free when no slot is left */
    struct alert_silence silence[ALERT_SILENCES];
    struct alert_slot slot[ALERTS_MOST];
};
/* Under the lock. */
void alert_of_slot(const struct alerts *a, const struct alert_slot *s, struct alert *out);
nsec alert_silenced_until(const struct alerts *a, const struct alert_slot *s); /* 0: it is not */
