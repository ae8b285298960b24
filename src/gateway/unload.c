/* Unloading a model: an empty prompt with keep_alive 0 (`ollama stop`; ollama-api section 6, item 17).
 *
 * It goes to every node that has the model loaded, by tasks of the fleet's own, and loads nothing anywhere. A node that
 * is busy with the model drops it when it is idle, as Ollama does. The answer waits, for a moment at most, until the
 * nodes have done it and told so, so that an /api/ps behind it shows it. */
#include "base/stamp.h"
#include "gateway/gateway_private.h"

#define PATIENCE   SECOND(5)
#define LOOK_AGAIN MSEC(5)

static enum step say_unloaded(struct exchange *x)
{
    struct text t = { 0 };
    struct json_out j = { .to = &t };
    char stamp[36];

    json_open(&j, '{');
    json_key(&j, "model");
    json_put_str(&j, x->route.model);
    json_key(&j, "created_at");
    json_put_str(&j, (struct str){ stamp, stamp_rfc3339(loop_wall(x->worker->loop), stamp) });
    if (x->route.row->id == ROUTE_chat) {
        json_key(&j, "message");
        json_put_raw(&j, STR("{\"role\":\"assistant\",\"content\":\"\"}"));
    } else {
        json_key(&j, "response");
        json_put_str(&j, STR(""));
    }
    json_key(&j, "done");
    json_put_bool(&j, true);
    json_key(&j, "done_reason");
    json_put_str(&j, STR("unload"));
    json_close(&j);
    return answer_json(x, 200, &t);
}

static void look_again(struct exchange *x)
{
    nsec now = worker_now(x->worker);

    if (fleet_unloaded(x->worker->gateway->fleet, x->ticket.model_hash) || now >= x->in.at + PATIENCE)
        exchange_wake(x, say_unloaded(x));
    else
        exchange_pause(x, now + LOOK_AGAIN, look_again);
}

bool unload_asked(const struct exchange *x)
{
    return x->route.unloads && x->route.peek.empty_prompt;
}

/* The node that was chosen to answer only shows that the model is known; nothing is asked of it. */
enum step unload_enter(struct exchange *x)
{
    struct orders o;
    unsigned had;

    orders_init(&o);
    had = fleet_unload(x->worker->gateway->fleet, &x->ticket, worker_now(x->worker), &o);
    orders_carry_out(x->worker, &o);
    if (!had)
        return say_unloaded(x);
    exchange_pause(x, worker_now(x->worker) + LOOK_AGAIN, look_again);
    return STEP_WAIT;
}
