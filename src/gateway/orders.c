/* What the fleet ordered under its lock is done here, after it. */
#include "gateway/gateway_private.h"

/* The ticket may belong to another worker: once posted it must not be touched. */
static void tell_decided(struct worker *w, struct list *decided)
{
    struct list *l;

    while ((l = list_pop(decided))) {
        struct exchange *x = CONTAINER(l, struct exchange, ticket.link);
        if (x->worker != w)
            meter_add(w->meter, COUNT_hops, 1);
        loop_post(x->worker->loop, &x->mail, 1);
    }
}

void orders_carry_out(struct worker *w, struct orders *o)
{
    tell_decided(w, &o->decided);
    for (unsigned i = 0; i < o->probes; i++)
        probe_start(w, &o->probe[i]);
    for (unsigned i = 0; i < o->tasks; i++)
        task_start(w, &o->task[i]);
    if (o->more)
        fleet_turn_soon(w, worker_now(w));
    else if (o->next_turn != NEVER)
        fleet_turn_soon(w, o->next_turn);
}
