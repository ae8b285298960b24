/* base/list.h - intrusive doubly linked list. The head is a link that points to itself when empty.
 * A link belongs to at most one list; an unlinked one has next == NULL (list_del leaves it so). */
#pragma once
#include "base/types.h"

struct list {
    struct list *next, *prev;
};
static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}
static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}
static inline bool list_linked(const struct list *link)
{
    return link->next != NULL;
}
static inline void list_insert(struct list *link, struct list *prev, struct list *next)
{
    link->next = next;
    link->prev = prev;
    prev->next = link;
    next->prev = link;
}
static inline void list_push(struct list *head, struct list *link)
{
    list_insert(link, head->prev, head);
}
static inline void list_push_front(struct list *head, struct list *link)
{
    list_insert(link, head, head->next);
}
static inline void list_del(struct list *link)
{
    link->next->prev = link->prev;
    link->prev->next = link->next;
    link->next = link->prev = NULL;
}
static inline void list_del_if(struct list *link)
{
    if (list_linked(link))
        list_del(link);
}
static inline struct list *list_first(struct list *head)
{
    return list_empty(head) ? NULL : head->next;
}
static inline struct list *list_last(struct list *head)
{
    return list_empty(head) ? NULL : head->prev;
}
static inline struct list *list_pop(struct list *head)
{
    struct list *l = list_first(head);
    if (l)
        list_del(l);
    return l;
}

/* All links of `from`, in order; `to` is made anew, `from` is left empty. */
static inline void list_move(struct list *to, struct list *from)
{
    list_init(to);
    for (struct list *link; (link = list_pop(from)) != NULL;)
        list_push(to, link);
}
/* Walk; the safe form allows removing the current link. */
#define list_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
#define list_each_safe(it, head)                                                                                       \
    for (struct list *it = (head)->next, *it##_next = it->next; it != (head); it = it##_next, it##_next = it->next)
