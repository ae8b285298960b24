/* fleet/breaker.c - a breaker is ten buckets of a second and a state.
 *
 * Buckets instead of a decayed rate, because a promise in samples and seconds can be checked by hand. Runs of failures
 * are counted apart: five at once must not wait for a tenth sample. Open turns to trial without being told: the state
 * that is kept may lag, the state that is shown never does. The pause doubles with each time it opens without having
 * closed between, and jitters, so that many gateways do not probe together. */
#include "fleet/breaker.h"

#define SAMPLES    10
#define IN_A_ROW   5
#define GOOD_ENDS  2
#define PAUSE      SECOND(5)
#define PAUSE_MOST SECOND(300)
#define JITTER     0.2
#define SLOW_START SECOND(30)
#define SLOW_FIRST 0.1

#define BIT(state) (1u << (state))
static const struct {
    const char *name, *says;
    unsigned may; /* go to */
} states[BREAKER_STATES] = {
    [BREAKER_CLOSED] = {"closed", "answers normally",          BIT(BREAKER_OPEN)                      },
    [BREAKER_OPEN] = { "open",  "rests after failures",      BIT(BREAKER_TRIAL)                     },
    [BREAKER_TRIAL] = { "trial", "one request is testing it", BIT(BREAKER_OPEN) | BIT(BREAKER_CLOSED)},
};

const char *breaker_name(enum breaker_state s)
{
    return s < BREAKER_STATES ? states[s].name : "";
}

const char *breaker_says(enum breaker_state s)
{
    return s < BREAKER_STATES ? states[s].says : "";
}

/* ---- the window ------------------------------------------------------------------------------------------------- */

struct sum {
    uint32_t good, bad;
};

/* Buckets that are older than the window are empty. */
static void roll(struct breaker *b, nsec now)
{
    nsec second = now / SECOND(1), passed = second - b->second;
    for (nsec i = 0; i < passed && i < BREAKER_SECONDS; i++)
        b->bucket[(second - i) % BREAKER_SECONDS].good = b->bucket[(second - i) % BREAKER_SECONDS].bad = 0;
    b->second = MAX(b->second, second);
}

static struct sum sum(const struct breaker *b, nsec now)
{
    struct sum all = { 0 };
    nsec second = now / SECOND(1);
    for (nsec s = MAX(0, second - BREAKER_SECONDS + 1); s <= b->second; s++)
        if (s > b->second - BREAKER_SECONDS)
            all.good += b->bucket[s % BREAKER_SECONDS].good, all.bad += b->bucket[s % BREAKER_SECONDS].bad;
    return all;
}

static void count(struct breaker *b, bool good, nsec now)
{
    roll(b, now);
    uint16_t *n = good ? &b->bucket[b->second % BREAKER_SECONDS].good : &b->bucket[b->second % BREAKER_SECONDS].bad;
    *n += *n < UINT16_MAX;
    b->bad_row = good ? 0 : MIN(b->bad_row + 1, UINT8_MAX);
}

static bool is_bad(const struct breaker *b, nsec now)
{
    struct sum s = sum(b, now);
    return b->bad_row >= IN_A_ROW || (s.good + s.bad >= SAMPLES && s.bad >= s.good);
}

/* ---- states ----------------------------------------------------------------------------------------------------- */

static void move(struct breaker *b, enum breaker_state to, nsec now)
{
    assume(states[b->state].may & BIT(to));
    b->state = to, b->since = now;
    b->probing = false, b->good_row = 0;
}

static void open(struct breaker *b, nsec now, uint64_t chance)
{
    nsec pause = PAUSE;
    for (uint32_t i = 0; i < b->opened && pause < PAUSE_MOST; i++)
        pause *= 2;
    double part = (double)(chance >> 11) / 9007199254740992.0; /* 0 to 1 */
    pause = (nsec)((double)MIN(pause, PAUSE_MOST) * (1 - JITTER + 2 * JITTER * part));
    move(b, BREAKER_OPEN, now);
    b->opened++;
    b->opens++;
    b->until = now + pause;
}

static void close_it(struct breaker *b, nsec now)
{
    move(b, BREAKER_CLOSED, now);
    b->opened = 0, b->bad_row = 0;
    for (unsigned i = 0; i < BREAKER_SECONDS; i++)
        b->bucket[i].good = b->bucket[i].bad = 0;
}

enum breaker_state breaker_state(const struct breaker *b, nsec now)
{
    return b->state == BREAKER_OPEN && now >= b->until ? BREAKER_TRIAL : b->state;
}

static void catch_up(struct breaker *b, nsec now)
{
    if (b->state != breaker_state(b, now))
        move(b, BREAKER_TRIAL, now);
}

bool breaker_allows(const struct breaker *b, nsec now)
{
    enum breaker_state s = breaker_state(b, now);
    return s == BREAKER_CLOSED || (s == BREAKER_TRIAL && !b->probing);
}

bool breaker_take_probe(struct breaker *b, nsec now)
{
    catch_up(b, now);
    bool probe = b->state == BREAKER_TRIAL && !b->probing;
    b->probing |= probe;
    return probe;
}

/* In trial nobody is sent but the probe, so that what was begun since is it. */
static bool is_probe(const struct breaker *b, nsec began)
{
    return b->state == BREAKER_TRIAL && b->probing && began >= b->since;
}

/* Answers that were under way when it opened are counted, and change nothing. */
bool breaker_learn(struct breaker *b, bool good, nsec began, nsec now, uint64_t chance)
{
    enum breaker_state was = b->state;
    catch_up(b, now);
    count(b, good, now);
    switch (b->state) {
    case BREAKER_CLOSED:
        if (!good && is_bad(b, now))
            open(b, now, chance);
        break;
    case BREAKER_TRIAL:
        if (!is_probe(b, began))
            break;
        b->probing = false;
        if (!good)
            open(b, now, chance);
        else if (++b->good_row >= GOOD_ENDS)
            close_it(b, now);
        break;
    case BREAKER_OPEN:
    case BREAKER_STATES: break;
    }
    return b->state != was;
}

void breaker_drop(struct breaker *b, nsec began)
{
    if (is_probe(b, began))
        b->probing = false;
}

nsec breaker_next_change(const struct breaker *b, nsec now)
{
    return breaker_state(b, now) == BREAKER_OPEN ? b->until : NEVER;
}

double breaker_bad_share(const struct breaker *b, nsec now)
{
    struct sum s = sum(b, now);
    return s.good + s.bad ? (double)s.bad / (s.good + s.bad) : 0;
}

/* ---- slow start ------------------------------------------------------------------------------------------------- */

double breaker_slow_start(nsec since, nsec now)
{
    if (since == NEVER || now >= since + SLOW_START)
        return 1;
    double part = now <= since ? 0 : (double)(now - since) / (double)SLOW_START;
    return SLOW_FIRST + (1 - SLOW_FIRST) * part;
}
