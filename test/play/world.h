/* test/play/world.h - the simulated world of the plays: one network, one clock, one disk, and a seed that decides what
 * is open.
 *
 * Link play_world in place of base_world and net_world and the program's own code runs here unchanged, all its workers
 * in the test's one thread. There is one world at a time. Time stands still inside callbacks and jumps from event to
 * event; the same seed gives the same run, byte for byte (world_hash). Gateway code uses net/loop.h and base/sys.h as
 * ever; its peers (clients, nodes) are played by the test with struct peer. The world's own memory never fails;
 * memory_fail_at strikes the program's. */
#pragma once
#include "net/loop.h"
#include <stdio.h>

/* A world that a failed test left behind is dropped. */
void world_new(uint64_t seed);
/* Everything must be over: loops, sockets, handles, listeners, mails, jobs, open files. Assumed; what is left is
 * printed. */
void world_free(void);
/* How many of those are left; prints one line each to `to` (may be NULL). */
unsigned world_leaks(FILE *to);
/* Digest of all that happened so far: events with their times, bytes with their contents. */
uint64_t world_hash(void);
/* Also print each event as a line; NULL = stop. For the eyes of whoever hunts a bug. */
void world_tell(FILE *to);

/* ---- time ------------------------------------------------------------------------------------------------------- */
nsec world_now(void);
/* The next event happens: a packet, a mail, a worker's turn. False: nothing will ever happen by itself. */
bool world_step(void);
/* All events up to `deadline`; then it is `deadline`. */
void world_run_until(nsec deadline);
void world_elapse(nsec span);
/* Until `cond` is false. False: it still holds and nothing is left to happen within `at_most`. */
bool world_run_while(bool (*cond)(void *arg), void *arg, nsec at_most);
/* Call `cue` from the event queue, `span` from now. */
void world_after(nsec span, void (*cue)(void *arg), void *arg);
/* The wall clock is set: sys_wall jumps, sys_now does not. */
void world_shift_wall(nsec by);

/* ---- workers ---------------------------------------------------------------------------------------------------- */
/* In place of loop_run: from now on the world gives this loop its turns, until loop_stop. */
void world_attach(struct loop *l, void (*each_turn)(void *arg), void *arg);
bool world_is_attached(const struct loop *l);
/* Turns so far: whoever spins shows here. */
uint64_t world_turns(const struct loop *l);
/* As from the kernel; pending ones of the same number are one. */
void world_signal(int signo);

/* ---- the network ------------------------------------------------------------------------------------------------ */
/* How an address answers who dials it. A BLACK_HOLE also holds back what is under way on its open connections, both
 * ways, until it is open again: a machine that lost its power or its cable. */
enum answer { LINK_OPEN, LINK_REFUSE, LINK_NO_ROUTE, LINK_BLACK_HOLE };
#define NO_CUT UINT64_MAX
/* Sizes are drawn between their bounds once per connection (small ones as often as large ones); delays for every
 * packet. "Up" is from who dialled to who accepted. */
struct link {
    enum answer answer;
    nsec delay_min, delay_max;       /* one way */
    size_t segment_min, segment_max; /* bytes that arrive at once */
    size_t window_min, window_max;   /* bytes a writer may be ahead of its reader */
    unsigned partial;                /* one in so many reads and writes takes less than it could; 0 = none */
    unsigned backlog;          /* connections that may wait to be accepted; further ones try again after a second */
    uint64_t cut_up, cut_down; /* the connection is reset after so many bytes */
};
struct link link_usual(void);
/* For the host and port that is dialled; port 0 = every port of that host; NULL = every address without a link of its
 * own. Open connections keep all but the black hole. */
void world_link(const struct addr *at, const struct link *k);
/* "10.0.0.1:80", as addr_literal takes it; assumed to be right. */
struct addr world_addr(const char *text);
/* What the name resolver answers after `delay`; n = 0: FAIL_unresolved. Ports are set by who asks. "localhost" is
 * known, other names are not. */
void world_resolve(const char *name, const struct addr *found, unsigned n, nsec delay);
/* Descriptors the program may hold (sockets, handles, listeners, files); 1024 at first. */
void world_descriptors(unsigned limit);
unsigned world_descriptors_used(void);

/* ---- peers: scripted machines on the same network --------------------------------------------------------------- */
/* Callbacks may be NULL; they come from the event queue, as SYS_NO_WORKER. The world owns the peers; they stay readable
 * until world_free. A peer takes what arrives at once, unless stalled, and keeps what the socket does not take. */
struct peer {
    void (*on_open)(struct peer *p, enum fail f); /* world_connect's */
    void (*on_data)(struct peer *p);
    void (*on_close)(struct peer *p, bool reset); /* the other side has shut its direction, or reset */
    void *arg;
    struct peer_state *state;
};
/* Peers listen where loops do not. on_accept sets the new peer's callbacks. */
void world_listen(const struct addr *at, void (*on_accept)(struct peer *p, void *arg), void *arg);
void world_unlisten(const struct addr *at);
/* `from`: NULL for an address of the world's choice, loopback to loopback. */
struct peer *world_connect(const struct addr *to, const struct addr *from);
void peer_send(struct peer *p, struct str bytes);
void peer_sendf(struct peer *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What has arrived and was not eaten, with a NUL behind; valid until more arrives. */
struct str peer_received(const struct peer *p);
void peer_eat(struct peer *p, size_t n);
/* While stalled it takes nothing, and windows fill. */
void peer_stall(struct peer *p, bool stalled);
/* FIN after what is queued; it goes on reading. */
void peer_shutdown(struct peer *p);
/* CLOSE_FIN: after what is queued, as close() does: what arrives later is answered with a reset. No callback follows.
 */
enum peer_close { CLOSE_FIN, CLOSE_RESET };
void peer_close(struct peer *p, enum peer_close how);
bool peer_is_open(const struct peer *p);        /* connected, and neither closed nor reset */
bool peer_saw_end(const struct peer *p);        /* FIN: all the other side wrote has been received */
bool peer_saw_reset(const struct peer *p);      /* or the dial failed */
struct addr peer_address(const struct peer *p); /* its own, as the other side sees it */
/* The network resets the connection, for both sides, once `n` bytes in all have arrived in that direction. */
enum peer_side { FROM_PEER, TO_PEER };
void world_cut_after(struct peer *p, uint64_t n, enum peer_side direction);

/* ---- the machine ------------------------------------------------------------------------------------------------ */
/* NULL value: unset. */
void world_env(const char *name, const char *value);
void world_machine(unsigned cores, size_t rss, size_t memory_limit);
void world_memory_available(double share);
void world_file(const char *path, struct str bytes);
/* STR_NONE if there is none. "stderr" is what went to descriptor 2. */
struct str world_file_text(const char *path);
/* Bytes that may still be written before the disk is full. */
void world_disk_room(size_t bytes);
/* Power loss: of what was appended a part may be missing from the end; a file just replaced may be the old one, never a
 * mixture. */
void world_crash(void);
