/* What the gateway answers by itself, by kind of route: a table, so that the road stays one road. */
#include "gateway/gateway_private.h"

static enum step go_on(struct exchange *x)
{
    return STEP_NEXT;
}

static enum step (*const by_kind[])(struct exchange *x) = {
    [KIND_LOCAL] = views_enter, [KIND_MODEL] = go_on, [KIND_ASK] = go_on,     [KIND_FANOUT] = fanout_enter,
    [KIND_BLOB] = blob_enter,   [KIND_FIXED] = go_on, [KIND_OPS] = ops_enter,
};

#define FIRST_ROUND SECOND(1)
#define LOOK_AGAIN  MSEC(10)

bool local_must_wait(struct exchange *x, void (*again)(struct exchange *x))
{
    nsec now = worker_now(x->worker);

    if (fleet_knows(x->worker->gateway->fleet) || now >= x->in.at + FIRST_ROUND)
        return false;
    exchange_pause(x, now + LOOK_AGAIN, again);
    return true;
}

enum step local_enter(struct exchange *x)
{
    return by_kind[x->route.row->kind](x);
}
