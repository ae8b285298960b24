/* api/options.h - the options of a request that make a node load its model anew, as one text whatever their spelling.
 *
 * An Ollama node compares them with those the model was loaded with; where they differ it waits for what runs, unloads
 * and loads again (server/sched.go needsReload; ollama-api section 3). So models that are loaded count as the same only
 * if this text is the same, and the fleet's own load of a model carries it. Numbers are read as the node reads them
 * (api/types.go FromMap: cut to whole ones), a wrong type is left out, since the node refuses the request before it
 * loads anything. Pure; any thread. */
#pragma once
#include "api/peek.h"

#define OPTIONS_TEXT 256 /* all of them at their longest fit */
struct options {
    uint64_t hash;           /* of all that follows, seeded per process; 0: none is given */
    enum tri shift;          /* not one of `options`, but a member beside them */
    unsigned n;              /* of text */
    char text[OPTIONS_TEXT]; /* {"num_ctx":8192,"use_mmap":true}: always in the same order; empty: none */
};
static inline struct str options_text(const struct options *o)
{
    return (struct str){ o->text, o->n };
}
/* What a body says that was read into `p`; routes of /v1 cannot say any. */
void options_read(struct options *out, const struct peek *p, struct str body);
/* The members `options` and `shift` of a request that shall load the model in the same way; none where none is given.
 */
void options_put(const struct options *o, struct json_out *j);
