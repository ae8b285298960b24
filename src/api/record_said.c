/* api/record_said.c - reading a node's refusal (contract: api/record.h).
 *
 * A status alone does not tell whether another node would do better: Ollama answers 500 to a wrong option type, to a
 * template that does not parse and to a crashed runner, and embed answers 400 to the last one too. So the text is
 * looked at, with one table, in the order of its rows. A text that nobody knows is judged by its status: 5xx is the
 * node's failure, 4xx the client's. Needles have no quotes in them, because the bodies are read as they are, with `\"`
 * and `'` as the writer liked. */
#include "api/record.h"

enum { ON_4XX = 1, ON_5XX = 2, ON_404 = 4, ON_503 = 8, ON_ANY = ON_4XX | ON_5XX };

static const struct {
    unsigned on;
    enum said said;
    struct str text; /* lower case */
} table[] = {
#define ROW(on, said, text)                                                                                            \
    {                                                                                                                  \
        on, said,                                                                                                      \
        {                                                                                                              \
            text, sizeof(text) - 1                                                                                     \
        }                                                                                                              \
    }
    /* waiting helps: Ollama's queue, llama-server while it loads, others under load */
    ROW(ON_5XX, SAID_BUSY, "server busy"),
    ROW(ON_5XX, SAID_BUSY, "maximum pending requests"),
    ROW(ON_503, SAID_BUSY, "loading model"),
    ROW(ON_503, SAID_BUSY, "no slot available"),
    ROW(ON_503, SAID_BUSY, "overloaded"),
    /* the model is not there; a bare "404 page not found" is a route the node does not have */
    ROW(ON_404, SAID_NO_MODEL, "try pulling it first"),
    ROW(ON_404, SAID_NO_MODEL, "model_not_found"),
    ROW(ON_404, SAID_NO_MODEL, "model does not exist"),
    /* the node's own trouble, also where embed calls it 400; before the request's, since a crash may quote the request
     */
    ROW(ON_ANY, SAID_FAILURE, "runner process"),
    ROW(ON_ANY, SAID_FAILURE, "runner has unexpectedly stopped"),
    ROW(ON_ANY, SAID_FAILURE, "process has terminated"),
    ROW(ON_ANY, SAID_FAILURE, "process no longer running"),
    ROW(ON_ANY, SAID_FAILURE, "out of memory"),
    ROW(ON_ANY, SAID_FAILURE, "cudamalloc failed"),
    ROW(ON_ANY, SAID_FAILURE, "requires more system memory"),
    ROW(ON_ANY, SAID_FAILURE, "timed out waiting"),
    ROW(ON_ANY, SAID_FAILURE, "do embedding request"),
    ROW(ON_ANY, SAID_FAILURE, "connection refused"),
    ROW(ON_ANY, SAID_FAILURE, "connection reset"),
    ROW(ON_ANY, SAID_FAILURE, "unexpected eof"),
    /* the request's own fault, whichever node it goes to */
    ROW(ON_5XX, SAID_OWN_FAULT, "must be of type"),
    ROW(ON_5XX, SAID_OWN_FAULT, "template:"),
    ROW(ON_5XX, SAID_OWN_FAULT, "chat template"),
    ROW(ON_5XX, SAID_OWN_FAULT, "json schema"),
    ROW(ON_5XX, SAID_OWN_FAULT, "invalid format"),
    ROW(ON_5XX, SAID_OWN_FAULT, "grammar"),
    ROW(ON_5XX, SAID_OWN_FAULT, "parsing tool call"),
    ROW(ON_5XX, SAID_OWN_FAULT, "parse tool call"),
    ROW(ON_5XX, SAID_OWN_FAULT, "failed to decode image"),
    ROW(ON_5XX, SAID_OWN_FAULT, "failed to process image"),
    ROW(ON_5XX, SAID_OWN_FAULT, "unknown format"),
    ROW(ON_5XX, SAID_OWN_FAULT, "exceeds the context length"),
    ROW(ON_5XX, SAID_OWN_FAULT, "exceeds context length"),
    ROW(ON_5XX, SAID_OWN_FAULT, "exceeds the available context size"),
    /* LM Studio answers 200 to a path it does not know */
    ROW(ON_5XX, SAID_CLIENT_ERROR, "unexpected endpoint or method"),
#undef ROW
};

static unsigned group_of(int status)
{
    if (status < 400 || status == 500)
        return ON_5XX;
    if (status == 404)
        return ON_4XX | ON_404;
    if (status == 503)
        return ON_5XX | ON_503;
    return status < 500 ? ON_4XX : ON_5XX;
}

#define LOOKED_AT 2048
static struct str lower(struct str s, char out[LOOKED_AT])
{
    s = str_take(s, LOOKED_AT);
    for (size_t i = 0; i < s.n; i++)
        out[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
    return (struct str){ out, s.n };
}

/* model 'x' not found; The model `x` does not exist. - the name stands between. */
static bool names_a_missing_model(struct str text)
{
    ssize_t at = str_find(text, STR("model"));
    if (at < 0)
        return false;
    struct str behind = str_drop(text, (size_t)at);
    return str_find(behind, STR("not found")) >= 0 || str_find(behind, STR("does not exist")) >= 0;
}

enum said record_said(int status, struct str body)
{
    char room[LOOKED_AT];
    struct str text = lower(body, room);
    unsigned group = group_of(status);
    /* What these say is meant for the client: its key, its rights, its rate. */
    if (status == 401 || status == 403 || status == 429)
        return SAID_CLIENT_ERROR;
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if ((table[i].on & group) && str_find(text, table[i].text) >= 0)
            return table[i].said;
    if (status == 404 && names_a_missing_model(text))
        return SAID_NO_MODEL;
    return group & ON_4XX ? SAID_CLIENT_ERROR : SAID_FAILURE;
}
