/* fleet/decisions.c - the scheduler's inputs of late, for whoever wants to run its decisions again.
 *
 * Always recorded: an input costs some tens of nanoseconds, and a decision that nobody can explain comes unannounced.
 * The ring is of a size that most fleets never fill; one that outgrows it goes on without. */
#include "base/slab.h"
#include "fleet/fleet_state.h"
#include "fleet/scheduler_ring.h"
#include <stdlib.h>

#define INPUTS (1u << 15) /* cells: 2 MiB, some thousands of requests */
#define NODES  256
#define MODELS 64
#define QUEUED 4096

struct scheduler_ring *decisions_record(struct scheduler *s)
{
    struct scheduler_settings most;
    scheduler_settings_default(&most);
    most.nodes = NODES, most.models = MODELS, most.tickets = QUEUED;
    struct scheduler_ring *r = scheduler_ring_new(&most, INPUTS);
    if (r)
        scheduler_record(s, r);
    return r;
}

/* Room is made outside the lock, for a little more than there was. */
void *fleet_decisions(struct fleet *f, size_t *out_n)
{
    void *bytes = NULL;
    size_t room = 0, n = 0;
    *out_n = 0;
    for (;;) {
        fleet_lock(f);
        n = f->ring ? scheduler_ring_bytes(f->ring) : 0;
        if (n && n <= room)
            *out_n = scheduler_ring_copy(f->ring, bytes, room);
        fleet_unlock(f);
        if (!n || *out_n)
            break;
        free(bytes);
        room = n + n / 8;
        bytes = memory_strikes() ? NULL : malloc(room);
        if (!bytes)
            return NULL;
    }
    if (!n)
        free(bytes), bytes = NULL;
    return bytes;
}
