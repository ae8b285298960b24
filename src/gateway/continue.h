/* gateway/continue.h - going on elsewhere: a stream whose node died in the middle is continued by another one.
 *
 * Opt-in (X-OllamaMax-Continue: 1), for the client sees one stream that two nodes have written. Only where the text so
 * far can be said as the beginning of the answer, and nothing else depends on what is lost: /api/chat and /api/generate
 * with `raw`, streamed, plain text. Whatever is not known to be safe is refused, and the break told truthfully. One per
 * exchange, embedded; on its worker. */
#pragma once
#include "base/buf.h"
#include "base/fail.h"

struct exchange;
struct again {
    bool may;              /* the request allows it, and can be continued */
    bool lost;             /* something came since that no beginning of an answer can say */
    unsigned n;            /* times it went on */
    uint32_t said, before; /* records with text that the client has; those of the nodes before this one */
    int64_t wrote;         /* nanoseconds that the nodes before this one were writing */
    struct buf text;       /* that the client has, as it stands between the quotes of a JSON string */
    struct buf body;       /* what is asked of the next node */
    enum fail why;         /* the first death, */
    struct str words;      /* and what the node said of it; in the arena */
};
/* When the answer begins: may it be continued, should it break? */
void continue_begin(struct exchange *x);
/* These whole records have gone to the client. */
void continue_note(struct exchange *x, struct str records);
/* Would it be tried, should this node fail now? */
bool continue_would(const struct exchange *x, enum fail why);
/* The node has died of `why` in the middle. True: another one is asked to go on, and the exchange may be over by now;
 * false: nothing has happened. */
bool continue_elsewhere(struct exchange *x, enum fail why);
/* The last record with the figures of the whole answer; `room` comes in empty and is the caller's to free. False when
 * memory is out. */
bool continue_join(struct exchange *x, struct str *records, struct text *room);
void continue_done(struct exchange *x);
