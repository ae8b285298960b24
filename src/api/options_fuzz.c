/* api/options_fuzz.c - whatever the body, the text is empty or an object that stands for itself. */
#include "api/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct arena arena;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    arena_pools_init();
    buf_pools_init();
    return 0;
}

static bool read_body(struct str body, struct options *out)
{
    const struct route *r = route_row(ROUTE_chat);
    struct peek p;
    struct str detail;
    bool good = !peek_body(r, body, &arena, &p, &detail);
    if (good)
        options_read(out, &p, body);
    return good;
}

static void read_again(const struct options *o)
{
    struct text t = { 0 };
    struct json_out j = { .to = &t };
    struct options again;
    json_open(&j, '{');
    options_put(o, &j);
    json_close(&j);
    assume(read_body(text_str(&t), &again));
    assume(again.hash == o->hash && str_eq(options_text(&again), options_text(o)) && again.shift == o->shift);
    text_free(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct options o;
    if (read_body((struct str){ (const char *)data, n }, &o)) {
        assume(o.n <= OPTIONS_TEXT && (o.n == 0 || json_parse(options_text(&o), NULL).kind == JSON_OBJECT));
        read_again(&o);
    }
    arena_done(&arena);
    arena_init(&arena);
    return 0;
}
