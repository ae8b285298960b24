/* What the gateway remembers, as its operators ask for it: history, requests, alerts. */
#include "gateway/lookout.h"
#include "gateway/ops.h"
#include "gateway/receivers.h"

#define TRIAL_LOOK MSEC(20)

static struct lookout *lookout_of(const struct exchange *x)
{
    return x->worker->gateway->lookout;
}

/* The rest of the path, decoded. */
static struct str rest_of_path(struct exchange *x)
{
    struct str raw = x->route.rest;
    char *text = raw.n ? arena_take(&x->arena, raw.n) : NULL;
    size_t n = 0;

    return text && http_unescape(raw, text, &n) ? (struct str){ text, n } : STR_NONE;
}

static enum step answer_text(struct exchange *x, struct text *t, enum fail f)
{
    if (!f)
        return answer_json(x, 200, t);
    text_free(t);
    return answer_fail(x, f, STR_NONE);
}

enum step ops_history(struct exchange *x)
{
    struct text t = { 0 };
    struct str unknown = STR_NONE;
    enum history_range range;
    enum fail f;

    if (!history_range_of(ops_parameter(x, STR("range")), &range))
        return answer_fail(x, FAIL_bad_value, STR("range must be 5m, 1h or 24h"));
    f = history_render(lookout_history(lookout_of(x)), &t, ops_parameter(x, STR("series")), range, &unknown);
    if (f == FAIL_bad_value)
        return answer_failf(x, f, "there is no series %.*s; docs/metrics.md lists them", STR_ARG(unknown));
    return answer_text(x, &t, f);
}

enum step ops_requests(struct exchange *x)
{
    struct requests_filter f = { .limit = REQUESTS_USUAL };
    struct str limit = ops_parameter(x, STR("limit")), status = ops_parameter(x, STR("status"));
    struct text t = { 0 };
    uint64_t most;

    if (limit.n && (!str_u64(limit, &most) || most < 1 || most > REQUESTS_MOST))
        return answer_failf(x, FAIL_bad_value, "limit must be between 1 and %d", REQUESTS_MOST);
    if (status.n && !requests_filter_status(&f, status))
        return answer_fail(x, FAIL_bad_value, STR("status must be like 404, 5xx or error"));
    f.limit = limit.n ? (unsigned)most : f.limit;
    f.model = ops_parameter(x, STR("model"));
    f.node = ops_parameter(x, STR("node"));
    return answer_text(x, &t, requests_render(lookout_requests(lookout_of(x)), &t, &f));
}

enum step ops_request(struct exchange *x)
{
    struct text t = { 0 };

    return answer_text(x, &t, requests_render_one(lookout_requests(lookout_of(x)), &t, rest_of_path(x)));
}

enum step ops_alerts(struct exchange *x)
{
    struct text t = { 0 };
    struct json_out j = { .to = &t };

    json_open(&j, '{');
    alerts_json(lookout_alerts(lookout_of(x)), &j);
    json_key(&j, "receivers");
    receivers_json(lookout_receivers(lookout_of(x)), &j);
    json_close(&j);
    return answer_json(x, 200, &t);
}

/* ---- the trial of receivers: begun by worker 0 with its next look, so it is looked at now and then ----------------
 */

static void trial_stops(struct exchange *x, enum fail why)
{
    struct trial *t = x->local;

    trial_drop(&t);
    x->local_stop = NULL;
}

static void look_at_trial(struct exchange *x)
{
    struct trial *trial = x->local;
    struct text t = { 0 };
    struct json_out j = { .to = &t };

    if (!trial_is_over(trial)) {
        exchange_pause(x, worker_now(x->worker) + TRIAL_LOOK, look_at_trial);
        return;
    }
    trial_json(trial, &j);
    trial_stops(x, OK);
    exchange_wake(x, answer_json(x, 200, &t));
}

enum step ops_alerts_test(struct exchange *x)
{
    x->local = trial_new(lookout_receivers(lookout_of(x)));
    if (!x->local)
        return answer_fail(x, FAIL_no_memory, STR_NONE);
    x->local_stop = trial_stops;
    exchange_pause(x, worker_now(x->worker) + TRIAL_LOOK, look_at_trial);
    return STEP_WAIT;
}

struct name_sought {
    struct str name;
    bool found;
};

static void compare_rule(struct str name, unsigned firing, void *arg)
{
    struct name_sought *sought = arg;

    (void)firing;
    sought->found |= str_eq(name, sought->name);
}

/* A slip in a name would silence nothing, and be found out at night. */
static bool names_a_rule(struct exchange *x, const struct alert_silence *s)
{
    struct name_sought sought = { .name = str_of(s->name), .found = !*s->name };

    alerts_each_rule(lookout_alerts(lookout_of(x)), compare_rule, &sought);
    return sought.found;
}

enum step ops_silences(struct exchange *x)
{
    struct alert_silence s;
    struct text t = { 0 };
    struct json_out j = { .to = &t };
    const char *why = NULL;
    enum fail f = alert_silence_read(&s, x->in.body, loop_wall(x->worker->loop), &why);

    if (!f && !names_a_rule(x, &s)) {
        f = FAIL_bad_value;
        why = "there is no alert rule of that name; docs/metrics.md lists those that are built in";
    }
    if (!f && alerts_silence(lookout_alerts(lookout_of(x)), &s)) {
        f = FAIL_bad_value;
        why = "there are too many silences; end some";
    }
    if (f)
        return answer_fail(x, f, str_of(why));
    alert_silence_json(&j, &s);
    return answer_json(x, 201, &t);
}

enum step ops_silence(struct exchange *x)
{
    uint64_t id = 0;

    if (!str_u64(rest_of_path(x), &id) || !alerts_unsilence(lookout_alerts(lookout_of(x)), id))
        return answer_fail(x, FAIL_no_such_object, STR_NONE);
    return answer(x, 204, STR_NONE, STR_NONE);
}
