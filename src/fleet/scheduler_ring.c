/* fleet/scheduler_ring.c - recording is one copy into a cell, replaying is a table of the same calls.
 *
 * The scheduler is pure, so state and inputs are all there is to record: no reasons, and of the orders only a running
 * sum, one byte of it with each input, by which a replay shows that it ordered the same. An image is the struct
 * and the used part of each array, found by the same walk for copying out, copying in and counting. Cells are written
 * whole and never split at the ring's end; what they say is only read by this build, so they have no byte order. */
#include "fleet/scheduler_ring.h"
#include "base/slab.h"
#include "fleet/scheduler_state.h"
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define CELL       64
#define CELLS_MOST 3                  /* of an input */
#define MAGIC      0x676e697264656873 /* "shedring" */

static const char *const names[SCHEDULER_CALLS] = {
#define SCHEDULER_CALL(name) [CALL_##name] = #name,
#include "fleet/scheduler_call.def"
#undef SCHEDULER_CALL
};

const char *scheduler_call_name(enum scheduler_call c)
{
    return c < SCHEDULER_CALLS ? names[c] : "";
}

/* What each call has; the rest of an ask's cells is its hints and what was tried. */
struct entry {
    nsec now;
    uint8_t call : 6, cells : 2;
    bool flag;
    uint8_t had;
    uint8_t ordered; /* of the sum of all that was ordered before it */
    uint32_t model;  /* or the node */
    union {
        struct {
            uint32_t prompt, output, pin;
            uint8_t band, hints, not_on_n;
            uint64_t tenant, owner, key;
            nsec deadline;
            uint64_t labels;
            struct prefix_hint hint[HINTS];
            uint32_t not_on[TRIED_MAX];
        } ask;
        struct scheduler_node node;
        struct {
            uint64_t ticket;
            uint32_t prefill_tokens, output_tokens;
            nsec prefill_took, decode_took, load_took, waited_inside;
        } end;
        struct {
            uint64_t bytes, family;
            uint32_t policy;
        } model_is;
        struct {
            uint32_t node, how, slots;
            nsec took;
        } pair;
        struct {
            uint64_t ticket, labels;
        } require;
        struct {
            uint32_t nodes, models;
        } room;
    };
};
static_assert(sizeof(struct entry) <= CELLS_MOST * CELL, "an input fits its cells");

struct image {
    uint64_t from; /* cell before which it was taken; UINT64_MAX: there is none */
    size_t bytes;
    unsigned char *at;
};
struct scheduler_ring {
    const struct scheduler *of;
    uint32_t cells;
    size_t image_room;
    uint64_t head; /* cells ever written */
    bool outgrown;
    struct image image[2]; /* [0] the older one */
    unsigned char *cell;
};

/* ---- images ------------------------------------------------------------------------------------------------------ */

struct walk {
    unsigned char *image; /* NULL: only counts */
    size_t at;
    bool in; /* into the scheduler */
};

static void pass_over(struct walk *w, void *array, size_t bytes)
{
    if (w->image && w->in)
        memcpy(array, w->image + w->at, bytes);
    else if (w->image)
        memcpy(w->image + w->at, array, bytes);
    w->at += bytes;
}

/* Every array, as far as it is in use; the struct itself is the caller's. */
static void walk(struct scheduler *s, struct walk *w)
{
#define WALK_NODES(type, name)  pass_over(w, s->name, s->width * sizeof(type));
#define WALK_MODELS(type, name) pass_over(w, s->name, s->models * sizeof(type));
#define WALK_ROW(type, name)    pass_over(w, w->image ? s->name + at_pair(s, 0, m) : NULL, s->width * sizeof(type));
    ARRAYS_BY_NODE(WALK_NODES)
    ARRAYS_BY_MODEL(WALK_MODELS)
    for (uint32_t m = 0; m < s->models; m++) {
        ARRAYS_BY_PAIR(WALK_ROW)
    }
    pass_over(w, s->job, s->jobs_used * sizeof *s->job);
    pass_over(w, s->line, s->lines_used * sizeof *s->line);
    pass_over(w, s->tenant, s->tenants_used * sizeof *s->tenant);
    pass_over(w, s->bucket, s->buckets * sizeof *s->bucket);
}

static size_t image_bytes(struct scheduler *s)
{
    struct walk w = { .at = sizeof *s };
    walk(s, &w);
    return w.at;
}

static void take_image(struct scheduler *s)
{
    struct scheduler_ring *r = s->ring;
    struct image old = r->image[0];
    r->image[0] = r->image[1];
    old.from = r->head;
    old.bytes = image_bytes(s);
    r->image[1] = old;
    if (old.bytes > r->image_room) {
        r->outgrown = true;
        return;
    }
    struct walk w = { .image = old.at, .at = sizeof *s };
    struct scheduler bare = *s;
    bare.room = (struct scheduler_room){ .nodes_max = s->nodes_max, .models_max = s->models_max, .stride = s->stride };
    bare.ring = NULL, bare.job = NULL, bare.line = NULL, bare.tenant = NULL, bare.bucket = NULL;
    memcpy(old.at, &bare, sizeof bare);
    walk(s, &w);
}

/* A scheduler in the state of the image, which is not aligned. */
static struct scheduler *from_image(const unsigned char *image, size_t bytes)
{
    struct scheduler was;
    memcpy(&was, image, sizeof was);
    struct scheduler_settings set = was.settings;
    set.nodes = was.nodes_max, set.models = was.models_max;
    struct scheduler *s = scheduler_new(&set, 0);
    if (!s)
        return NULL;
    struct scheduler fresh = *s;
    *s = was;
    s->room = fresh.room;
    s->job = fresh.job, s->line = fresh.line, s->tenant = fresh.tenant, s->bucket = fresh.bucket;
    struct walk w = { .image = (unsigned char *)image, .at = sizeof *s, .in = true };
    if (image_bytes(s) == bytes)
        walk(s, &w);
    else
        scheduler_free(&s);
    return s;
}

/* ---- making it -------------------------------------------------------------------------------------------------- */

/* The image of a scheduler of that size with everything in use. */
static size_t largest_image(const struct scheduler_settings *size)
{
    uint32_t buckets = scheduler_buckets(size->tickets);
    struct scheduler full = { .width = size->nodes + LANES,
                              .stride = size->nodes + LANES,
                              .models = size->models,
                              .jobs_used = size->tickets,
                              .lines_used = size->tickets,
                              .tenants_used = size->tickets + 1,
                              .buckets = buckets };
    return image_bytes(&full);
}

struct scheduler_ring *scheduler_ring_new(const struct scheduler_settings *size, uint32_t cells)
{
    struct scheduler_ring *r = memory_strikes() ? NULL : calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->cells = MAX(cells, 64);
    r->image_room = largest_image(size);
    r->cell = calloc(r->cells, CELL);
    r->image[0].at = calloc(1, r->image_room), r->image[1].at = calloc(1, r->image_room);
    r->image[0].from = r->image[1].from = UINT64_MAX;
    if (!r->cell || !r->image[0].at || !r->image[1].at)
        scheduler_ring_free(&r);
    return r;
}

void scheduler_ring_free(struct scheduler_ring **r)
{
    if (*r) {
        free((*r)->cell);
        free((*r)->image[0].at);
        free((*r)->image[1].at);
    }
    free(*r);
    *r = NULL;
}

struct scheduler_ring *scheduler_record(struct scheduler *s, struct scheduler_ring *ring)
{
    struct scheduler_ring *before = s->ring;
    s->ring = ring;
    if (ring) {
        ring->of = s;
        ring->image[1].from = UINT64_MAX; /* of another scheduler, or another time */
        ring->outgrown = false;
        take_image(s);
    }
    return before;
}

/* ---- recording -------------------------------------------------------------------------------------------------- */

static unsigned char *cell_at(const struct scheduler_ring *r, uint64_t n)
{
    return r->cell + n % r->cells * CELL;
}

/* No input is split at the ring's end. */
static void fill_up(struct scheduler_ring *r, uint32_t cells)
{
    uint32_t left = r->cells - (uint32_t)(r->head % r->cells);
    struct entry *e = (struct entry *)(void *)cell_at(r, r->head);
    if (left >= cells)
        return;
    e->call = CALL_nothing, e->cells = left & 3;
    r->head += left;
}

/* A cleared cell for the next input; NULL when the ring is too small for the scheduler. */
static struct entry *put(struct scheduler *s, enum scheduler_call call, uint32_t model, nsec now, uint32_t cells)
{
    struct scheduler_ring *r = s->ring;
    if (r->head - r->image[1].from >= r->cells / 2 - 2 * CELLS_MOST)
        take_image(s);
    if (r->outgrown)
        return NULL;
    fill_up(r, cells);
    struct entry *e = (struct entry *)(void *)cell_at(r, r->head);
    memset(e, 0, CELL);
    e->had = s->had, e->ordered = (uint8_t)s->ordered;
    e->call = call, e->cells = cells & 3, e->model = model, e->now = now;
    r->head += cells;
    return e;
}

void ring_ordered(struct scheduler *s, const struct scheduler_order *o)
{
    uint64_t what = (uint64_t)o->verb << 60 ^ (uint64_t)o->node << 32 ^ o->model ^ (uint64_t)o->why << 48;
    s->ordered = mix(s->ordered ^ mix(what) ^ o->ticket);
}

void ring_configure(struct scheduler *s, enum scheduler_policy policy, uint32_t bound, bool shed)
{
    struct entry *e = put(s, CALL_configure, NONE, 0, 1);
    if (e)
        e->flag = shed, e->pair.how = policy, e->pair.slots = bound;
}

void ring_node(struct scheduler *s, uint32_t node, const struct scheduler_node *is, nsec now)
{
    struct entry *e = put(s, CALL_node, node, now, 2);
    if (e)
        e->node = *is;
}

void ring_model(struct scheduler *s, uint32_t model, uint64_t bytes, enum scheduler_policy policy, uint64_t family)
{
    struct entry *e = put(s, CALL_model, model, 0, 1);
    if (e)
        e->model_is.bytes = bytes, e->model_is.policy = policy, e->model_is.family = family;
}

void ring_move(struct scheduler *s, const struct scheduler_room *to)
{
    struct entry *e = put(s, CALL_move, NONE, 0, 1);
    if (e)
        e->room.nodes = to->nodes_max, e->room.models = to->models_max;
}

void ring_pair(struct scheduler *s, enum scheduler_call call, uint32_t node, uint32_t model, bool flag, nsec took,
               nsec now)
{
    struct entry *e = put(s, call, model, now, 1);
    if (e)
        e->flag = flag, e->pair.node = node, e->pair.took = took;
}

void ring_holds(struct scheduler *s, uint32_t node, uint32_t model, bool holds, enum scheduler_slots how,
                uint32_t slots, nsec now)
{
    struct entry *e = put(s, CALL_holds, model, now, 1);
    if (e)
        e->flag = holds, e->pair.node = node, e->pair.how = how, e->pair.slots = slots;
}

void ring_ask(struct scheduler *s, enum scheduler_call call, const struct scheduler_ask *a, nsec now)
{
    struct prefix_hint hint[HINTS];
    uint32_t hints = hints_in_use(s, a, hint), tried = MIN(a->not_on_n, TRIED_MAX);
    uint32_t cells = tried || hints == HINTS ? 3 : hints || a->labels ? 2 : 1;
    struct entry *e = put(s, call, a->model, now, cells);
    if (!e)
        return;
    e->ask.prompt = a->prompt_tokens, e->ask.output = a->output_tokens, e->ask.pin = a->pin;
    e->ask.band = (uint8_t)a->band, e->ask.hints = (uint8_t)hints, e->ask.not_on_n = (uint8_t)tried;
    e->ask.tenant = a->tenant, e->ask.owner = a->owner, e->ask.key = a->key, e->ask.deadline = a->deadline;
    if (cells > 1)
        e->ask.labels = a->labels;
    if (hints)
        memcpy(e->ask.hint, hint, hints * sizeof *hint);
    if (tried)
        memcpy(e->ask.not_on, a->not_on, tried * sizeof *a->not_on);
}

void ring_ticket(struct scheduler *s, enum scheduler_call call, uint64_t ticket, nsec now)
{
    struct entry *e = put(s, call, NONE, now, 1);
    if (e)
        e->end.ticket = ticket;
}

void ring_require(struct scheduler *s, uint64_t ticket, uint64_t labels, nsec now)
{
    struct entry *e = put(s, CALL_require, NONE, now, 1);
    if (e)
        e->require.ticket = ticket, e->require.labels = labels;
}

void ring_end(struct scheduler *s, uint64_t ticket, const struct scheduler_figures *f, nsec now)
{
    struct entry *e = put(s, CALL_end, NONE, now, 1);
    if (!e)
        return;
    e->flag = f->failed, e->end.ticket = ticket;
    e->end.prefill_tokens = f->prefill_tokens, e->end.output_tokens = f->output_tokens;
    e->end.prefill_took = f->prefill_took, e->end.decode_took = f->decode_took;
    e->end.load_took = f->load_took, e->end.waited_inside = f->waited_inside;
}

/* ---- the bytes --------------------------------------------------------------------------------------------------- */

struct header {
    uint64_t magic, build, check, image_bytes, cells, ordered;
};

/* What would be read wrong if it had another shape. */
static uint64_t build(void)
{
    const size_t shape[] = { sizeof(struct scheduler),   sizeof(struct job),     sizeof(struct line),
                             sizeof(struct tenant),      sizeof(struct machine), sizeof(struct pair),
                             sizeof(struct model),       sizeof(struct entry),   SCHEDULER_CALLS,
                             offsetof(struct job, hint), SCHEDULER_POLICIES };
    return XXH3_64bits(shape, sizeof shape);
}

static const struct image *oldest(const struct scheduler_ring *r)
{
    bool whole = r->image[0].from != UINT64_MAX && r->head - r->image[0].from <= r->cells;
    return whole ? &r->image[0] : &r->image[1];
}

size_t scheduler_ring_bytes(const struct scheduler_ring *r)
{
    const struct image *i = oldest(r);
    bool none = r->outgrown || i->from == UINT64_MAX;
    return none ? 0 : sizeof(struct header) + i->bytes + (size_t)(r->head - i->from) * CELL;
}

size_t scheduler_ring_copy(const struct scheduler_ring *r, void *into, size_t room)
{
    const struct image *i = oldest(r);
    size_t bytes = scheduler_ring_bytes(r);
    unsigned char *at = (unsigned char *)into + sizeof(struct header);
    if (!bytes || bytes > room)
        return 0;
    memcpy(at, i->at, i->bytes);
    at += i->bytes;
    for (uint64_t n = i->from; n < r->head; n++, at += CELL)
        memcpy(at, cell_at(r, n), CELL);
    struct header h = {
        .magic = MAGIC, .build = build(), .image_bytes = i->bytes, .cells = r->head - i->from, .ordered = r->of->ordered
    };
    h.check = XXH3_64bits((unsigned char *)into + sizeof h, bytes - sizeof h);
    memcpy(into, &h, sizeof h);
    return bytes;
}

/* ---- running it again ------------------------------------------------------------------------------------------- */

static uint64_t ask_again(struct scheduler *s, const struct entry *e, struct scheduler_orders *out)
{
    struct scheduler_ask a = { .model = e->model,
                               .prompt_tokens = e->ask.prompt,
                               .output_tokens = e->ask.output,
                               .band = (enum band)e->ask.band,
                               .tenant = e->ask.tenant,
                               .owner = e->ask.owner,
                               .key = e->ask.key,
                               .deadline = e->ask.deadline,
                               .hint = e->ask.hint,
                               .hints = e->ask.hints,
                               .pin = e->ask.pin,
                               .not_on = e->ask.not_on,
                               .not_on_n = e->ask.not_on_n,
                               .labels = e->ask.labels };
    if (e->call == CALL_ask)
        return scheduler_ask(s, &a, e->now, out);
    scheduler_explain(s, &a, e->now, NULL, 0);
    return 0;
}

static void end_again(struct scheduler *s, const struct entry *e, struct scheduler_orders *out)
{
    struct scheduler_figures f = { .failed = e->flag,
                                   .prefill_tokens = e->end.prefill_tokens,
                                   .output_tokens = e->end.output_tokens,
                                   .prefill_took = e->end.prefill_took,
                                   .decode_took = e->end.decode_took,
                                   .load_took = e->end.load_took,
                                   .waited_inside = e->end.waited_inside };
    scheduler_end(s, e->end.ticket, &f, e->now, out);
}

static bool move_again(struct scheduler *s, const struct entry *e)
{
    struct scheduler_room *room = scheduler_room_new(e->room.nodes, e->room.models);
    if (!room)
        return false;
    scheduler_move(s, room);
    scheduler_room_free(&room);
    return true;
}

static void fleet_again(struct scheduler *s, const struct entry *e, struct scheduler_orders *out)
{
    uint32_t node = e->pair.node, model = e->model;
    switch ((enum scheduler_call)e->call) {
    case CALL_configure: scheduler_configure(s, (enum scheduler_policy)e->pair.how, e->pair.slots, e->flag); break;
    case CALL_node: scheduler_node(s, model, &e->node, e->now, out); break;
    case CALL_model:
        scheduler_model(s, model, e->model_is.bytes, (enum scheduler_policy)e->model_is.policy, e->model_is.family);
        break;
    case CALL_forget_model: scheduler_forget_model(s, model, e->now); break;
    case CALL_holds:
        scheduler_holds(s, node, model, e->flag, (enum scheduler_slots)e->pair.how, e->pair.slots, e->now, out);
        break;
    case CALL_note: scheduler_note(s, node, model, e->flag, e->now, out); break;
    case CALL_bar: scheduler_bar(s, node, model, e->flag, e->now, out); break;
    case CALL_loaded: scheduler_loaded(s, node, model, e->flag, e->pair.took, e->now, out); break;
    case CALL_load: scheduler_load(s, node, model, e->now, out); break;
    case CALL_unload: scheduler_unload(s, model, e->now, out); break;
    case CALL_refuse_waiting: scheduler_refuse_waiting(s, model, (enum fail)e->pair.took, e->now, out); break;
    default: break;
    }
}

/* The ticket's number, if it has one. False: memory is out. */
static bool again(struct scheduler *s, const struct entry *e, uint64_t *out_ticket, struct scheduler_orders *out)
{
    *out_ticket = 0;
    switch ((enum scheduler_call)e->call) {
    case CALL_nothing: return true;
    case CALL_move: return move_again(s, e);
    case CALL_ask:
    case CALL_explain: *out_ticket = ask_again(s, e, out); return true;
    case CALL_turn: scheduler_turn(s, e->now, out); return true;
    case CALL_require: scheduler_require(s, *out_ticket = e->require.ticket, e->require.labels, e->now); return true;
    case CALL_cancel: scheduler_cancel(s, *out_ticket = e->end.ticket, e->now, out); return true;
    case CALL_drain: scheduler_drain(s, *out_ticket = e->end.ticket, e->now, out); return true;
    case CALL_first: scheduler_first(s, *out_ticket = e->end.ticket, e->now); return true;
    case CALL_end:
        *out_ticket = e->end.ticket;
        end_again(s, e, out);
        return true;
    default: fleet_again(s, e, out); return true;
    }
}

static struct scheduler_input as_input(const struct entry *e, uint64_t ticket, bool same)
{
    bool of_pair = e->call >= CALL_holds && e->call <= CALL_load,
         of_ask = e->call == CALL_ask || e->call == CALL_explain;
    return (struct scheduler_input){ .call = (enum scheduler_call)e->call,
                                     .now = e->now,
                                     .node = e->call == CALL_node ? e->model
                                             : of_pair            ? e->pair.node
                                                                  : NONE,
                                     .model = e->call == CALL_node ? NONE : e->model,
                                     .ticket = ticket,
                                     .same = same,
                                     .owner = of_ask ? e->ask.owner : 0 };
}

static enum fail run_again(struct scheduler *s, const unsigned char *cell, uint64_t cells, scheduler_replayed *visit,
                           void *arg)
{
    struct scheduler_orders out;
    uint64_t ticket, step;
    for (uint64_t n = 0; n < cells; n += step) {
        struct entry e = { 0 };
        memcpy(&e, cell + n * CELL, CELL);
        step = e.cells;
        memcpy(&e, cell + n * CELL, MIN(step * CELL, sizeof e));
        scheduler_orders_init(&out);
        bool same = e.call == CALL_nothing || e.ordered == (uint8_t)s->ordered;
        out.n = e.had;
        if (!again(s, &e, &ticket, &out))
            return FAIL_no_memory;
        out.n -= e.had;
        memmove(out.order, out.order + e.had, out.n * sizeof *out.order);
        struct scheduler_input in = as_input(&e, ticket, same);
        if (e.call != CALL_nothing)
            visit(&in, &out, arg);
    }
    return OK;
}

enum fail scheduler_replay(const void *bytes, size_t n, scheduler_replayed *visit, void *arg, bool *out_same)
{
    struct header h = { 0 };
    const unsigned char *body = (const unsigned char *)bytes + sizeof h;
    if (n < sizeof h)
        return FAIL_bad_value;
    memcpy(&h, bytes, sizeof h);
    bool fits = h.magic == MAGIC && h.build == build() && n - sizeof h == h.image_bytes + h.cells * CELL;
    if (!fits || h.image_bytes < sizeof(struct scheduler) || h.check != XXH3_64bits(body, n - sizeof h))
        return FAIL_bad_value;
    struct scheduler *s = from_image(body, h.image_bytes);
    if (!s)
        return FAIL_no_memory;
    enum fail failed = run_again(s, body + h.image_bytes, h.cells, visit, arg);
    *out_same = s->ordered == h.ordered;
    scheduler_free(&s);
    return failed;
}
