/* net/loop.h - the one seam to the world of sockets, time and threads (design: decision 5).
 *
 * A loop belongs to one worker and one thread; everything here is called on that thread except loop_post and what says
 * so. Two implementations: library net_world (libuv; sockets through uv_poll, so that reads and writes stay ours:
 * loop_uv.c, sock_uv.c, lazy_uv.c, listener_uv.c, lane.c) and test/play/loop_sim.c (simulated network and clock; a seed
 * decides order and delays). No uv_ name appears above net_world. Completions come from the loop, never from inside the
 * call that started them.
 *
 * A turn: wait; socket, listener and signal events in any order; then mails and finished jobs; then timers; then
 * each_turn. What those three post to this loop or set for now happens in the next turn, which does not wait. */
#pragma once
#include "base/fail.h"
#include "base/list.h"
#include "net/addr.h"
#include "net/timer.h"
#include <sys/uio.h>

struct loop;
struct mail;

/* `no`: this worker's index. max(1) per thread. NULL when the system gives no loop. */
struct loop *loop_new(unsigned no);
/* All sockets, listeners, timers, jobs and mails must be over: assumed. */
void loop_free(struct loop **l);
unsigned loop_no(const struct loop *l);
/* Runs until loop_stop; the calling thread becomes worker `no`. `each_turn` (may be NULL) is called once at the end of
 * every turn, after all events, mails and timers of the turn: for what is done once per turn (due writes, wakes of
 * other workers). */
void loop_run(struct loop *l, void (*each_turn)(void *arg), void *arg);
/* From any thread or a callback; also before loop_run, which then returns after one turn. The turn in progress is
 * finished (events that are ready already may come with it) and the loop may be run again. Who calls it, or loop_post,
 * from another thread sees to it that the loop is not freed meanwhile. */
void loop_stop(struct loop *l);

/* The turn's moment: read once per batch of events, on sys_now's clock. Between runs: that of the last turn (or
 * loop_new). */
nsec loop_now(const struct loop *l);
/* Wall clock belonging to loop_now (offset read once a second). */
nsec loop_wall(const struct loop *l);
/* Never early; late by at most about 1 ms. Due now or in the past: fires in this turn, or the next if set by a timer.
 */
void loop_timer_set(struct loop *l, struct timer *t, nsec due);
void loop_timer_cancel(struct loop *l, struct timer *t);

/* ---- sockets ---------------------------------------------------------------------------------------------------- */
enum { SOCK_READ = 1, SOCK_WRITE = 2, SOCK_HUP = 4, SOCK_LAZY = 8 };
/* A non-blocking stream socket, embedded in its owner. Level-triggered: `ready` is called each turn while what is
 * watched holds, at most once per turn with all bits that hold, and never with one that is not watched. On an error of
 * the socket every watched bit is reported: reading, or sock_dialed, then tells. After sock_close the struct is dead at
 * once and its memory may be reused: no callback follows, also from within `ready`. */
struct sock {
    struct loop *loop;
    struct watch *watch; /* the implementation's; NULL = closed */
    void (*ready)(struct sock *s, unsigned events);
};
/* Begins to connect, watching SOCK_WRITE; `ready` reports it when done or failed, sock_dialed then says how (once).
 * Fails at once (the sock stays closed) with FAIL_no_descriptors, FAIL_no_memory, FAIL_connect_refused or
 * FAIL_connect_failed. TCP_NODELAY and keep-alive are set, as on accepted sockets. */
enum fail sock_dial(struct loop *l, struct sock *s, const struct addr *to, void (*ready)(struct sock *, unsigned));
/* OK, FAIL_connect_refused, FAIL_connect_timeout or FAIL_connect_failed. */
enum fail sock_dialed(struct sock *s);
/* What to be told of from now on: bits of SOCK_READ | SOCK_WRITE | SOCK_HUP (peer closed its side or reset, while not
 * reading; unread bytes do not matter). Cheap when nothing changes, and between SOCK_READ, SOCK_HUP and 0 while no
 * bytes come. 0 = nothing. With SOCK_LAZY what is watched may be told a millisecond or two late when many sockets are
 * watched so and busy: several then share one wake-up. Entering and leaving that state costs a few system calls. */
void sock_watch(struct sock *s, unsigned events);
/* > 0 bytes read; 0 = nothing there now; -1 = the peer has closed its side (FIN); -2 = reset or other error. Bytes that
 * came before a FIN or reset are read first. room > 0. */
ssize_t sock_read(struct sock *s, void *into, size_t room);
/* Bytes taken (0 = socket full); -2 = broken. No SIGPIPE. */
ssize_t sock_writev(struct sock *s, const struct iovec *v, int n);
/* No more bytes will be written (FIN); reading goes on. */
void sock_shutdown(struct sock *s);
/* Nothing happens on a closed one. `reset`: abort with RST rather than FIN (a client must not take a broken answer for
 * a whole one). */
void sock_close(struct sock *s, bool reset);
static inline bool sock_is_open(const struct sock *s)
{
    return s->watch != NULL;
}
/* The peer's address (as dialled, or as accepted), for log, tenant and "is it loopback". */
struct addr sock_peer(const struct sock *s);

/* A listening socket, owned by one loop; `accepted` is called with a handle to be adopted by any worker's loop. */
struct listener {
    struct loop *loop;
    struct watch *watch;
    void (*accepted)(struct listener *ln, int handle, const struct addr *from);
    void *arg;
    struct str refusal; /* for those who come when descriptors are out; lent for as long as it listens; may be empty */
};
/* FAIL_address_in_use, FAIL_port_denied (port), FAIL_no_descriptors, FAIL_no_memory, FAIL_io_error. The caller has set
 * `accepted` (and `arg`) and may close the listener inside it. *bound is filled in (port 0 asks the system for one).
 * When descriptors are out, or nearly (one in 32 is left for other uses), who comes gets `refusal` and is closed
 * (`accepted` with handle -1 lets the owner count it); where not even that works the listener pauses for 100 ms: it
 * never spins. */
enum fail listener_open(struct loop *l, struct listener *ln, const struct addr *at, struct addr *bound);
void listener_close(struct listener *ln);
/* Take an accepted handle into this loop (the one of the calling worker), watching nothing. FAIL_no_memory closes the
 * handle. */
enum fail sock_adopt(struct loop *l, struct sock *s, int handle, const struct addr *from,
                     void (*ready)(struct sock *, unsigned));
void handle_close(int handle); /* an accepted handle that nobody adopts */
/* Last resort of a worker without memory or descriptors: write a few bytes to a handle and close it. */
void handle_refuse(int handle, struct str bytes);

/* ---- between workers -------------------------------------------------------------------------------------------- */
/* A message is a link inside its owner: posting ORs bits into it and queues it once; the owner's worker gets all bits
 * posted since in one `deliver`. While posted (mail_is_posted) its memory must stay. loop_post is for any thread; the
 * bits and everything written before the post are visible in deliver. Mails queued by one sender are delivered in that
 * order. Bits posted from within deliver come in the next turn. No system call while the receiver is awake. All zero
 * but for `deliver` at first. */
struct mail {
    struct mail *_Atomic next;
    _Atomic unsigned bits;
    void (*deliver)(struct mail *m, unsigned bits);
};
/* bits != 0 */
void loop_post(struct loop *to, struct mail *m, unsigned bits);
/* False from the moment deliver is entered (unless posted anew). */
bool mail_is_posted(const struct mail *m);

/* ---- lanes: work off the workers -------------------------------------------------------------------------------- */
enum lane { LANE_DNS, LANE_HEAVY, LANE_COUNT }; /* two threads for DNS, one or more for heavy CPU; they share none */
struct job {
    void (*work)(struct job *j); /* on a lane's thread; touches only the job */
    void (*done)(struct job *j); /* on the worker that started it */
    struct loop *loop;           /* these two are the loop's own */
    struct list link;
};
/* Cannot fail: a lane whose threads cannot be started works at once, on the caller's. The job stays until `done`, which
 * may free it. Jobs of one lane begin in order. */
void loop_job(struct loop *l, enum lane lane, struct job *j);
/* Ends the lanes' threads, which the first job of each starts. Main thread, at exit, when no job is on its way. */
void loop_lanes_done(void);
/* Name to addresses, on LANE_DNS (a literal address is answered the same way, without a look-up). The caller fills in
 * host (NUL-terminated), port and done. OK with n > 0, or FAIL_unresolved with n = 0. Addresses come in the system's
 * order. */
struct resolve {
    struct job job;
    char host[256];
    uint16_t port;
    struct addr found[8];
    unsigned n;
    enum fail failed; /* FAIL_unresolved */
    void (*done)(struct resolve *r);
};
void loop_resolve(struct loop *l, struct resolve *r);

/* ---- signals: worker 0 only ------------------------------------------------------------------------------------- */
/* `got` is called from the loop, until loop_free. At most 8 signals. */
void loop_on_signal(struct loop *l, int signo, void (*got)(int signo, void *arg), void *arg);
