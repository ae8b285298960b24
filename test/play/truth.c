/* What must hold after every run, whatever happened in it.
 *
 * An answer that came whole is what one node sent for this very question, from its first byte, and ends with that
 * node's proof, with an error the gateway says is one, or is the gateway's own. One that says it is from the cache, or
 * shared, stems from somebody's question. What a client got before a break is a beginning of what one node sent.
 * Everything else is a lie, and found here.
 *
 * The scheduler's inputs, as the fleet keeps them, run again to the very same orders.
 *
 * And nobody waits for ever: when all nodes have died, each client that still waits is told so soon. */
#include "fleet/scheduler_ring.h"
#include "stage.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- answers ---- */
static bool is_beginning(const struct seen *s, struct str body)
{
    return str_starts(pad_str(&s->sent), body);
}

/* Where the last record of a body begins. */
static size_t last_record(enum tongue t, struct str body)
{
    struct str end = tongue_is_sse(t) ? STR("\n\n") : STR("\n");
    size_t from = body.n > end.n ? body.n - end.n : 0;
    while (from > 0 && !str_ends(str_take(body, from), end))
        from--;
    return from;
}

/* Does it stem from this request? `whole`: with its end. */
static bool stems_from(const struct reading *a, const struct seen *s)
{
    struct str body = pad_str(&a->body);
    bool whole = a->state == WHOLE;
    if (s->rough)
        return true;
    if (is_beginning(s, body))
        return !whole || (s->marked ? body.n == s->sent.n || (s->streams && tongue_is_ended(s->tongue, body))
                                    : (!s->streams || s->tongue == OTHER) && s->ended && body.n == s->sent.n);
    size_t from = last_record(s->tongue, body);
    return s->streams && is_beginning(s, str_take(body, from)) &&
           (whole ? tongue_is_error : tongue_may_be_error)(s->tongue, str_drop(body, from));
}

/* By its own account it is what was said to somebody else who asked the same. */
static bool is_shared(const struct reading *a)
{
    struct str status = answer_field(a, "Cache-Status");
    return str_find(status, STR("; hit")) >= 0 || str_find(status, STR("; collapsed")) >= 0;
}

/* ---- answers that went on elsewhere ---- */
static size_t same_records(struct str a, struct str b)
{
    size_t same = 0, n = MIN(a.n, b.n);
    for (size_t i = 0; i < n && a.p[i] == b.p[i]; i++)
        same = a.p[i] == '\n' ? i + 1 : same;
    return same;
}

/* Is this the next record of s, or a beginning of it? The figures of the last one are those of the whole answer. */
static bool is_next_of(const struct seen *s, struct str left, size_t same, bool whole)
{
    struct str proof = STR("\"done\":true"), next = str_drop(pad_str(&s->sent), same);
    ssize_t end = str_find(next, proof), tag = str_find(next, STR(",\"tag\""));
    if (!whole && str_starts(next, left))
        return true;
    if (end < 0 || tag < end || str_chr(str_take(next, (size_t)end), '\n') >= 0)
        return false;
    struct str head = str_take(next, (size_t)end + proof.n);
    bool begins = str_starts(left, head);
    return whole ? begins && str_ends(left, str_drop(next, (size_t)tag)) : begins || str_starts(head, left);
}

/* What is left of an answer behind the records of s: nothing more, an error of the gateway's, or more from elsewhere?
 */
static bool goes_on_from(const struct reading *a, struct str rest, nsec after);
static bool is_end_of(const struct reading *a, const struct seen *s, struct str rest, size_t same)
{
    struct str left = str_drop(rest, same);
    bool whole = a->state == WHOLE;
    if (!left.n)
        return !whole || (s->marked && tongue_is_ended(s->tongue, str_take(rest, same)));
    bool is_error = (whole ? tongue_is_error : tongue_may_be_error)(s->tongue, left);
    return is_error || is_next_of(s, left, same, whole) || goes_on_from(a, left, s->at);
}

/* Whole records of one node, then of nodes that were asked later. */
static bool goes_on_from(const struct reading *a, struct str rest, nsec after)
{
    list_each (link, &stage.nodes) {
        struct node_actor *n = CONTAINER(link, struct node_actor, link);
        list_each (seen, &n->seen) {
            struct seen *s = CONTAINER(seen, struct seen, link);
            if (strcmp(s->id, a->id) != 0 || s->at <= after)
                continue;
            if (s->rough || is_end_of(a, s, rest, same_records(rest, pad_str(&s->sent))))
                return true;
        }
    }
    return false;
}

static bool anybody_said(const struct reading *a)
{
    bool shared = is_shared(a);
    list_each (link, &stage.nodes) {
        struct node_actor *n = CONTAINER(link, struct node_actor, link);
        list_each (seen, &n->seen) {
            struct seen *s = CONTAINER(seen, struct seen, link);
            if ((shared || strcmp(s->id, a->id) == 0) && stems_from(a, s))
                return true;
        }
    }
    return a->may_go_on && goes_on_from(a, pad_str(&a->body), -1);
}

static unsigned records_of(const char *id)
{
    unsigned n = 0;
    for (unsigned i = 0; i < stage.records; i++)
        n += str_eq(record_text(stage.record[i].request_id), str_of(id));
    return n;
}

static void check_answer(const struct reading *a)
{
    bool from_node = answer_field(a, "X-OllamaMax-Node").p && a->status < 400;
    unsigned records = records_of(a->id);
    struct str id = answer_field(a, "X-Request-Id");
    if (records > 1 || (records == 0 && id.p))
        stage_complain("request %s has %u records", a->id, records);
    if (id.p && !str_eq(id, str_of(a->id)))
        stage_complain("request %s got the answer of %.*s", a->id, STR_ARG(id));
    if (from_node && !a->head_request && !anybody_said(a))
        stage_complain("request %s (%s) was told what no node said: status %d, %zu bytes: %.*s", a->id,
                       a->state == WHOLE ? "whole" : "broken", a->status, a->body.n, (int)MIN(a->body.n, (size_t)1500),
                       a->body.p ? a->body.p : "");
}

void truth_of_answers(void)
{
    list_each (link, &stage.clients) {
        struct caller *c = CONTAINER(link, struct caller, link);
        list_each (answer, &c->answers) {
            struct reading *a = CONTAINER(answer, struct reading, link);
            if (a->id[0] && a->status)
                check_answer(a);
        }
    }
}

/* ---- patience ---- */
#define SOON SECOND(20) /* two missed probes, and a retry's pause */

static struct caller *owed_one(void)
{
    list_each (link, &stage.clients)
        if (client_is_owed(CONTAINER(link, struct caller, link)))
            return CONTAINER(link, struct caller, link);
    return NULL;
}

static bool somebody_is_owed(void *unused)
{
    return owed_one() != NULL;
}

void truth_of_patience(void)
{
    if (!stage_runs() || stage.mirrored || !owed_one())
        return;
    nodes_die();
    if (world_run_while(somebody_is_owed, NULL, SOON) || !stage_runs())
        return; /* or it has drained meanwhile: who was not accepted yet is told when the process ends */
    const struct reading *a = client_answer(owed_one(), 0);
    stage_complain("no node lives, and %s is told nothing; it has status %d, %zu bytes: %.*s%.*s", a->id, a->status,
                   a->body.n, (int)a->head.n, a->head.p ? a->head.p : "", (int)MIN(a->body.n, (size_t)1500),
                   a->body.p ? a->body.p : "");
}

/* ---- the gateway ---- */
#define TURNS_A_SECOND 1500 /* a gateway that polls for its first round makes 100 */
#define TURNS_AT_FIRST 4000

static void check_turns(void)
{
    uint64_t bytes = 0, may;
    list_each (link, &stage.wires) {
        struct wire *w = CONTAINER(link, struct wire, link);
        bytes += w->bytes[FROM_PEER] + w->bytes[TO_PEER];
    }
    may = TURNS_AT_FIRST + 4 * bytes + (uint64_t)((world_now() - stage.opened_at) / SECOND(1)) * TURNS_A_SECOND;
    for (unsigned i = 0; i < stage.workers; i++)
        if (world_turns(gateway_loop(stage.gateway, i)) > may)
            stage_complain("worker %u made %llu turns, where %llu are plenty", i,
                           (unsigned long long)world_turns(gateway_loop(stage.gateway, i)), (unsigned long long)may);
}

static void looked_at(const struct scheduler_input *in, const struct scheduler_orders *out, void *arg)
{
    *(unsigned *)arg += !in->same;
}

static void check_decisions(void)
{
    unsigned differ = 0;
    bool same = false;
    size_t n;
    void *bytes = fleet_decisions(stage.fleet, &n);
    enum fail f = bytes ? scheduler_replay(bytes, n, looked_at, &differ, &same) : OK;
    if (bytes && (f || !same || differ))
        stage_complain("the scheduler's inputs, run again, order something else (%.*s, %u)", STR_ARG(fail_name(f)),
                       differ);
    free(bytes);
}

void truth_of_gateway(void)
{
    if (!stage_runs())
        return; /* it has drained; that no lease is out is assumed when the fleet goes */
    struct fleet_snapshot *s = fleet_snapshot(stage.fleet, world_now());
    assume(s);
    for (uint32_t i = 0; i < s->n; i++)
        if (s->node[i].inflight)
            stage_complain("%u leases on %.*s are out", s->node[i].inflight, STR_ARG(s->node[i].name));
    if (s->waiting)
        stage_complain("%u tickets wait", s->waiting);
    fleet_snapshot_free(&s);
    world_elapse(SECOND(2)); /* one whose request was refused is listened to for as long */
    unsigned clients = gateway_count(stage.gateway).clients;
    if (clients)
        world_elapse(SECOND(62)); /* one that said no more may read on for client_idle_timeout */
    clients = gateway_count(stage.gateway).clients;
    if (clients && !stage.mirrored)
        stage_complain("%u clients are left", clients);
    check_turns();
    check_decisions();
}
