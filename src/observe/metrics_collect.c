/* observe/metrics_collect.c - the rooms that have rows of their own on the metrics page.
 *
 * One list for the process, as slabs have: the page of a gateway shows what its process has, and whoever scrapes need
 * not know which rooms there are. */
#include "observe/meter.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list collectors = { &collectors, &collectors };

void metrics_collector_add(struct metrics_collector *c)
{
    pthread_mutex_lock(&lock);
    list_push(&collectors, &c->link);
    pthread_mutex_unlock(&lock);
}

void metrics_collector_remove(struct metrics_collector *c)
{
    pthread_mutex_lock(&lock);
    list_del_if(&c->link);
    pthread_mutex_unlock(&lock);
}

void metrics_collect(struct metrics_page *p)
{
    pthread_mutex_lock(&lock);
    list_each (it, &collectors) {
        struct metrics_collector *c = CONTAINER(it, struct metrics_collector, link);
        c->collect(p, c->arg);
    }
    pthread_mutex_unlock(&lock);
}
