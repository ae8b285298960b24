/* Whatever a server says, in pieces: no reply is larger than allowed, none is taken for another's map or numbers. */
#include "base/arena.h"
#include "redis/generations.h"
#include "redis/slots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void forgotten(void *arg, struct str tag)
{
    assume(tag.n <= GENERATIONS_TAG_MOST);
}

static void use(const struct resp *reply)
{
    static struct slots slots;
    struct generations *g = generations_new();
    bool ask;
    unsigned node;

    slots_init(&slots, STR("seed"), 1);
    if (slots_take(&slots, reply, 0) || slots_redirect(&slots, reply->text, 0, &ask, &node))
        assume(slots.nodes <= SLOTS_NODES);
    (void)generations_take(g, reply, 0, forgotten, NULL);
    generations_free(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    struct resp_reader *in;
    const struct resp *reply;
    size_t piece = size ? 1 + data[0] % 64 : 1;
    enum fail f = OK;

    if (!begun)
        arena_pools_init();
    begun = true;
    in = resp_reader_new();
    for (size_t at = 1; !f && at < size; at += piece) {
        f = resp_feed(in, (struct str){ (const char *)data + at, MIN(piece, size - at) });
        do {
            reply = NULL;
            f = f ? f : resp_next(in, &reply);
            if (!f && reply)
                use(reply);
        } while (!f && reply);
    }
    resp_reader_free(&in);
    return 0;
}
