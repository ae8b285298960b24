/* base/pressure.c - one number goes up and down, and measures follow it.
 *
 * A jump from 60 to 95 % takes all three steps in one look, in order: what is cheap for people is done first even when
 * there is no time, and whoever reads the log sees the same sequence as ever. Rejected: a switch in the place that
 * reads the memory, which would have to know every room; and one mark per measure, which nobody could reason about. */
#include "base/pressure.h"

#include "base/log.h"

#include <stdio.h>

#define UNDONE_BELOW 10 /* points under the mark */

static const struct {
    unsigned mark;
    const char *name;
} steps[PRESSURE_STEPS] = {
    [PRESSURE_NONE] = {0,   "none"},
    [PRESSURE_FIRST] = { 75, "75"  },
    [PRESSURE_SECOND] = { 85, "85"  },
    [PRESSURE_THIRD] = { 92, "92"  },
};

unsigned pressure_mark(enum pressure_step s)
{
    return steps[s].mark;
}

const char *pressure_name(enum pressure_step s)
{
    return steps[s].name;
}

enum pressure_step pressure_step(const struct pressure *p)
{
    return (enum pressure_step)atomic_load_explicit(&p->step, memory_order_relaxed);
}

void pressure_init(struct pressure *p)
{
    list_init(&p->measures);
    atomic_init(&p->step, PRESSURE_NONE);
}

static void set(struct pressure_measure *m, bool on)
{
    if (m->on == on)
        return;
    m->on = on;
    m->take(m, on);
}

void pressure_register(struct pressure *p, struct pressure_measure *m)
{
    assume(m->at > PRESSURE_NONE && m->at < PRESSURE_STEPS);
    m->on = false;
    list_push(&p->measures, &m->link);
    if (m->at <= pressure_step(p))
        set(m, true);
}

static void say(const struct pressure *p, enum pressure_step s, double share, bool on)
{
    char names[256] = "";
    size_t n = 0;

    list_each (link, &p->measures) {
        const struct pressure_measure *m = CONTAINER(link, struct pressure_measure, link);
        if (m->at == s && n < sizeof names)
            n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", m->name);
    }
    if (on)
        log_warn("memory is at %.0f %% of memory.limit, above %u %%: %s", 100 * share, steps[s].mark, names);
    else
        log_info("memory is at %.0f %% of memory.limit, no longer short by the step of %u %%: no more %s", 100 * share,
                 steps[s].mark, names);
}

static void step_up(struct pressure *p, double share)
{
    enum pressure_step s = pressure_step(p) + 1;

    atomic_store(&p->step, s);
    say(p, s, share, true);
    list_each (link, &p->measures) {
        struct pressure_measure *m = CONTAINER(link, struct pressure_measure, link);
        if (m->at == s)
            set(m, true);
    }
}

static void step_down(struct pressure *p, double share)
{
    enum pressure_step s = pressure_step(p);

    for (struct list *link = p->measures.prev; link != &p->measures; link = link->prev) {
        struct pressure_measure *m = CONTAINER(link, struct pressure_measure, link);
        if (m->at == s)
            set(m, false);
    }
    atomic_store(&p->step, s - 1);
    say(p, s, share, false);
}

bool pressure_look(struct pressure *p, size_t used, size_t limit)
{
    double share = (double)used / (double)MAX(limit, (size_t)1);
    enum pressure_step before = pressure_step(p);

    while (pressure_step(p) + 1 < PRESSURE_STEPS && 100 * share >= steps[pressure_step(p) + 1].mark)
        step_up(p, share);
    while (pressure_step(p) > PRESSURE_NONE && 100 * share < steps[pressure_step(p)].mark - UNDONE_BELOW)
        step_down(p, share);
    return pressure_step(p) != before;
}
