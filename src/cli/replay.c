/* cli/replay.c - `ollamamax simulate --replay FILE`: a gateway's own decisions, run again.
 *
 * The file is what GET /api/decisions gave: state and inputs, for this build on this machine. Running them again shows
 * whether the scheduler, given the same, orders the same: what it did is then not chance, and can be looked into. */
#include "base/buf.h"
#include "base/json.h"
#include "base/sys.h"
#include "cli/cli.h"
#include "fleet/scheduler_ring.h"
#include <errno.h>
#include <stdio.h>

#define FILE_MOST MIB(256)

static const char *const verbs[] = {
    [ORDER_GRANT] = "grants", [ORDER_REFUSE] = "refusals", [ORDER_LOAD] = "loads", [ORDER_UNLOAD] = "unloads"
};
struct replayed {
    uint64_t call[SCHEDULER_CALLS], ordered[ARRAY_LEN(verbs)], inputs, differ;
    nsec from, to;
};

static void count(const struct scheduler_input *in, const struct scheduler_orders *out, void *arg)
{
    struct replayed *r = arg;
    r->call[in->call]++;
    r->inputs++;
    r->differ += !in->same;
    for (uint32_t i = 0; i < out->n; i++)
        r->ordered[out->order[i].verb]++;
    if (in->now)
        r->to = in->now, r->from = r->from ? r->from : in->now;
}

static int print_json(const struct replayed *r, bool same)
{
    struct text t = { 0 };
    struct json_out j = { .to = &t };
    json_open(&j, '{');
    json_key(&j, "identical"), json_put_bool(&j, same);
    json_key(&j, "inputs"), json_put_u64(&j, r->inputs);
    for (unsigned i = 0; i < ARRAY_LEN(verbs); i++)
        json_key(&j, verbs[i]), json_put_u64(&j, r->ordered[i]);
    json_key(&j, "seconds"), json_put_f64(&j, (double)(r->to - r->from) / 1e9);
    json_close(&j);
    text_putc(&t, '\n');
    return cli_print(&t);
}

static int print_table(const struct replayed *r, bool same)
{
    struct text t = { 0 };
    text_printf(&t, "%llu inputs of %.1f s run again:", (unsigned long long)r->inputs, (double)(r->to - r->from) / 1e9);
    for (unsigned c = 0; c < SCHEDULER_CALLS; c++)
        if (r->call[c])
            text_printf(&t, " %s %llu", scheduler_call_name(c), (unsigned long long)r->call[c]);
    text_put(&t, STR("\nordered:"));
    for (unsigned i = 0; i < ARRAY_LEN(verbs); i++)
        text_printf(&t, " %s %llu", verbs[i], (unsigned long long)r->ordered[i]);
    if (same)
        text_put(&t, STR("\nidentical to the first time\n"));
    else
        text_printf(&t, "\nnot as the first time: before %llu inputs something else had been ordered\n",
                    (unsigned long long)r->differ);
    return cli_print(&t);
}

int cli_replay(const char *file, bool json)
{
    struct buf bytes = { 0 };
    struct replayed r = { 0 };
    bool same = false;
    enum fail f = sys_read_file(file, FILE_MOST, &bytes);
    if (f) {
        fprintf(stderr, "ollamamax: %s: %s\n", file, strerror(errno));
        return CLI_FAILED;
    }
    f = scheduler_replay(buf_str(&bytes).p, buf_len(&bytes), count, &r, &same);
    buf_free(&bytes);
    if (f == FAIL_bad_value)
        fprintf(stderr, "ollamamax: %s: damaged, or made by another build than this one\n", file);
    else if (f)
        fprintf(stderr, "ollamamax: %.*s\n", STR_ARG(fail_sentence(f)));
    if (f)
        return CLI_FAILED;
    same = same && !r.differ;
    int code = json ? print_json(&r, same) : print_table(&r, same);
    return same ? code : CLI_FAILED;
}
