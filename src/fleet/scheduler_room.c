/* fleet/scheduler_room.c - the arrays by node and by model: taken with room to spare, touched only as numbers come into
 * use, and swapped for larger ones when they run out.
 *
 *      nodes  0 1 2 3 | 4 . . . | . . . . | ...           stride: what there is room for
 *      used   ---------------->                           width: what choices look at, in whole LANES
 *
 * Memory that nobody has touched costs nothing, so a fleet of three nodes may have room for hundreds. Growing is split
 * in three, because the scheduler lives under a lock: asking for memory before it, copying rows under it, giving the
 * old arrays back after it. Chunks that never move were rejected: choices read rows as one stretch of floats. */
#include "base/slab.h"
#include "fleet/scheduler_state.h"
#include <math.h>
#include <stdlib.h>

static uint32_t whole_lanes(uint32_t nodes)
{
    return (nodes + LANES - 1) & ~(uint32_t)(LANES - 1);
}

/* ---- taking and giving ------------------------------------------------------------------------------------------ */

bool room_take(struct scheduler_room *r, uint32_t nodes, uint32_t models)
{
    *r = (struct scheduler_room){ .nodes_max = nodes, .models_max = models, .stride = whole_lanes(nodes) };
    size_t by_node = r->stride, by_pair = by_node * models, by_model = models;
    bool got = !memory_strikes();
#define TAKE_BY_NODE(type, name)  got = got && (r->name = calloc(by_node, sizeof(type)));
#define TAKE_BY_PAIR(type, name)  got = got && (r->name = calloc(by_pair, sizeof(type)));
#define TAKE_BY_MODEL(type, name) got = got && (r->name = calloc(by_model, sizeof(type)));
    ARRAYS_BY_NODE(TAKE_BY_NODE) ARRAYS_BY_PAIR(TAKE_BY_PAIR) ARRAYS_BY_MODEL(TAKE_BY_MODEL) return got;
}

void room_give(struct scheduler_room *r)
{
#define GIVE(type, name) free(r->name);
    ARRAYS_BY_NODE(GIVE) ARRAYS_BY_PAIR(GIVE) ARRAYS_BY_MODEL(GIVE)
}

struct scheduler_room *scheduler_room_new(uint32_t nodes, uint32_t models)
{
    struct scheduler_room *r = malloc(sizeof *r);
    if (r && !room_take(r, nodes, models))
        scheduler_room_free(&r);
    return r;
}

void scheduler_room_free(struct scheduler_room **r)
{
    if (*r)
        room_give(*r);
    free(*r);
    *r = NULL;
}

/* ---- coming into use -------------------------------------------------------------------------------------------- */

void room_clear_pair(struct scheduler *s, uint32_t node, uint32_t model)
{
    size_t at = at_pair(s, node, model);
    s->pair_at[at] = INFINITY;
    s->penalty[at] = s->machine[node].penalty;
    s->pair[at] = (struct pair){ .inflight = s->pair[at].inflight,
                                 .load_s = (float)(1 / s->settings.load),
                                 .stop_s = STOP_FIRST };
    learn_prior(s, node, model);
}

/* Until scheduler_node says what it is, it can never be asked; what pads the last lanes stays so. */
static void open_node(struct scheduler *s, uint32_t node)
{
    struct machine *m = &s->machine[node];
    s->slot_at[node] = INFINITY;
    s->weight[node] = s->slow[node] = 1;
    m->leases = m->loading = m->residents = NONE;
    for (uint32_t i = 0; i < s->models; i++)
        if (s->model[i].known)
            room_clear_pair(s, node, i);
}

void room_use_node(struct scheduler *s, uint32_t node)
{
    assume(node < s->nodes_max);
    while (s->width <= node)
        for (uint32_t i = 0; i < LANES; i++)
            open_node(s, s->width++);
    s->nodes = MAX(s->nodes, node + 1);
}

void room_use_model(struct scheduler *s, uint32_t model)
{
    struct model *m = &s->model[model];
    assume(model < s->models_max);
    s->models = MAX(s->models, model + 1);
    if (m->known)
        return;
    *m = (struct model){
        .known = true, .pressed_since = INFINITY, .doomed_until = -INFINITY, .lines = {NONE, NONE, NONE}
    };
    m->prefill_s = (float)(1 / s->settings.prefill);
    m->decode_s = (float)(1 / s->settings.decode);
    for (uint32_t n = 0; n < s->width; n++)
        room_clear_pair(s, n, model);
}

/* ---- moving ----------------------------------------------------------------------------------------------------- */

void scheduler_move(struct scheduler *s, struct scheduler_room *to)
{
    struct scheduler_room from = s->room;
    if (to->nodes_max < from.nodes_max || to->models_max < from.models_max)
        return;
    if (ring_records(s, 0))
        ring_move(s, to);
#define MOVE(type, name, n)       memcpy(to->name, from.name, (n) * sizeof(type));
#define MOVE_BY_NODE(type, name)  MOVE(type, name, s->width)
#define MOVE_BY_MODEL(type, name) MOVE(type, name, s->models)
#define MOVE_ROW(type, name)                                                                                           \
    memcpy(to->name + (size_t)m * to->stride, from.name + (size_t)m * from.stride, s->width * sizeof(type));
    ARRAYS_BY_NODE(MOVE_BY_NODE)
    ARRAYS_BY_MODEL(MOVE_BY_MODEL) for (uint32_t m = 0; m < s->models; m++){ ARRAYS_BY_PAIR(MOVE_ROW) } s->room = *to;
    *to = from;
}
