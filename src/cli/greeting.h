/* cli/greeting.h - what `serve` says when it starts: sentences on a terminal, log lines elsewhere. */
#pragma once
#include "config/config.h"

struct greeting {
    bool terminal;
    struct addr bound[16];
    unsigned n_bound;
    bool has_key; /* an admin key is set */
};
/* One sentence, whichever way. */
void greeting_say(const struct greeting *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Where it listens, what that opens, and what to export. */
void greeting_addresses(const struct greeting *g);
/* Each node with its kind and models, or why it is not there. */
void greeting_nodes(const struct greeting *g, struct fleet *f);
