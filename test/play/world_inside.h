/* test/play/world_inside.h - what the files of the world share. Tests include world.h.
 *
 * Everything that happens is an event; whatever one party does to another goes through one, never straight. */
#pragma once
#include "world.h"

/* ---- world.c: the queue, chance, the trace ---- */
struct event {
    nsec due;
    uint64_t order; /* equal dues happen in the order they were set */
    uint32_t at;    /* 1 + place in the heap; 0 = not pending */
    void (*happen)(struct event *e);
};
void event_set(struct event *e, nsec due);
void event_cancel(struct event *e);
static inline bool event_pending(const struct event *e)
{
    return e->at != 0;
}

/* 0..n-1. Never inside MIN or MAX: they would draw twice. */
uint64_t chance(uint64_t n);
bool one_in(unsigned n);
nsec chance_between(nsec least, nsec most);
/* Between the bounds, small magnitudes as often as large ones. */
size_t chance_scaled(size_t least, size_t most);
void *world_alloc(size_t n);
void trace(const char *what, uint64_t a, uint64_t b);
uint64_t digest(uint64_t h, const void *bytes, size_t n);

/* ---- wire_sim.c: connections ("wires") between two ends ---- */
struct end {
    struct wire *wire;
    unsigned side; /* 0 dialled, 1 accepted */
    struct addr own, peer;
    bool opening, broken, shut;
    bool gone; /* its owner has closed it */
    enum fail failed;
    struct list waiting;           /* in a place, to be accepted */
    void (*wake)(struct end *end); /* what holds may have changed; NULL while nobody owns it */
    void *owner;
};
void wires_begin(void);
void wires_end(void);
void wires_sweep(void);
/* NULL: *f says why. `from` NULL: the machine's own address. */
struct end *end_dial(const struct addr *to, const struct addr *from, enum fail *f);
unsigned end_ready(const struct end *e); /* SOCK_ bits that hold */
/* These as sock_read, sock_writev, sock_shutdown, sock_close. */
ssize_t end_read(struct end *e, void *into, size_t room);
ssize_t end_write(struct end *e, const struct iovec *v, int n);
void end_shut(struct end *e);
void end_close(struct end *e, bool reset);
void end_cut_after(struct end *e, uint64_t n, bool inbound);

/* ---- place_sim.c: who answers where, and how ---- */
struct place {
    struct list link;
    struct addr at;
    struct list waiting;
    unsigned n_waiting;
    void (*wake)(struct place *p);
    void *owner;
};
void places_begin(void);
void places_end(void);
/* NULL: the address is taken. Port 0 asks for one. */
struct place *place_open(const struct addr *at, void (*wake)(struct place *), void *owner);
void place_close(struct place **p);
struct place *place_exactly(const struct addr *at);
struct place *place_that_answers(const struct addr *to);
struct end *place_accept(struct place *p);
const struct link *manner_of(const struct addr *to);
bool is_dark(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
uint16_t fresh_port(void);

/* ---- peer.c ---- */
void peers_begin(void);
void peers_end(void);

/* ---- sock_sim.c: what a loop watches ---- */
struct watches {
    struct list open, hot, dead;
    struct watch **batch;
    size_t batch_cap;
};
void watches_init(struct watches *ws);
void watches_done(struct watches *ws);
bool watches_any_ready(const struct watches *ws);
/* Frees those that died in earlier turns. */
void watches_bury(struct watches *ws);
/* Calls `ready` and `accepted` for what holds, in an order the seed picks. */
void watches_tell(struct watches *ws);
void handles_begin(void);
void handles_end(void);
unsigned handles_leaks(FILE *to);

/* ---- loop_sim.c ---- */
struct watches *loop_watches(struct loop *l);
/* It has something to do: its next turn is drawn. */
void loop_rouse(struct loop *l);
/* The call must come from the loop's own turn, or from no turn at all. */
void loop_own_thread(const struct loop *l);
unsigned tell_leaks(FILE *to, const char *what, const struct list *some);
void loops_begin(void);
void loops_end(void);
unsigned loops_leaks(FILE *to);

/* ---- sys_sim.c ---- */
void sys_begin(uint64_t seed);
void sys_end(void);
unsigned sys_leaks(FILE *to);
bool descriptor_take(void);
void descriptor_give(void);
nsec world_wall_offset(void);
