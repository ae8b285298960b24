/* gateway/settings.h - what the gateway may be told. Filled by config/, immutable once published, pinned by the
 * exchanges that use it (they outlive loop turns by minutes): one plain counter per worker, written by that worker
 * alone; a replaced snapshot is freed when its counters are all zero. */
#pragma once
#include "api/aliases.h"
#include "api/cors.h"
#include "base/sys.h"
#include "cache/rule.h"
#include "fleet/model_rules.h"
#include "observe/alert.h"

#define RECEIVERS_MOST 8
enum receiver_kind { RECEIVER_WEBHOOK, RECEIVER_ALERTMANAGER, RECEIVER_KINDS };
struct receiver_spec {
    enum receiver_kind kind;
    struct str url; /* of an Alertmanager without /api/v2/alerts */
};
struct gateway_settings {
    struct arena arena; /* of the strings below */
    struct cors cors;
    nsec connect_timeout, load_timeout, first_byte_timeout, inter_chunk_timeout, total_timeout; /* 0 = none for total */
    nsec client_head_timeout, client_idle_timeout; /* a head from its first byte; between pieces of a body. 0 = none */
    nsec node_idle_timeout;
    size_t body_max, bodies_max, head_max;
    size_t memory_limit; /* of all this process has in memory */
    unsigned retry_max;
    nsec drain_grace;
    int pull_replicas; /* 0 = all */
    nsec queue_max_wait;
    struct aliases *aliases;   /* in the arena; NULL: none */
    struct model_rules *rules; /* a reference; NULL: none */
    bool hedge_embeddings;
    nsec hedge_after; /* when an embedding is late; 0, as it always is but in plays: what is learnt */
    struct rules cache;
    size_t cache_size;    /* memory of the cache in all; 0: the smaller of 256 MiB and 5 % of what there is */
    struct str redis;     /* through which answers are shared, as redis/target.h reads it; empty: none */
    bool cache_is_shared; /* all tenants have one */
    bool coalesce;        /* follow a running answer to the same question */
    struct str admin_key; /* empty: loopback only */
    struct str hosts;     /* comma list of further Host names that count as ours */
    bool metrics_public, observe;
    struct str otlp;         /* the collector of traces, as errand_to_read reads it; empty: none */
    struct str otlp_headers; /* header lines for it, each with its end */
    struct receiver_spec receiver[RECEIVERS_MOST]; /* of alerts */
    unsigned receivers;
    nsec alerts_repeat;             /* a firing alert is told again that often */
    struct alert_rule *alert_rules; /* the users', in the arena */
    unsigned n_alert_rules;
    uint64_t serial;    /* given when published: no two are the same */
    struct str summary; /* JSON object of the settings that are not default, for /api/status */

    _Atomic int pins[SYS_WORKERS_MAX];
};
/* Every default of interface.md section 1. The caller owns it until gateway_new or gateway_configure takes it over. */
struct gateway_settings *gateway_settings_new(void);
void gateway_settings_free(struct gateway_settings **s);
