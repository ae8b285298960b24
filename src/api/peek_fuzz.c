/* api/peek_fuzz.c - the first byte chooses the route; the rest is a body, or a form. */
#include "api/peek.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct arena arena;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    arena_pools_init();
    buf_pools_init();
    return 0;
}

/* A body that was read can be given another model, and then has that model. */
static void replace_and_read(const struct route *r, struct str body, const struct peek *p)
{
    struct peek again;
    struct str detail, name = STR("other/model:1b");
    struct str replaced = peek_replace_model(&arena, body, p, name);
    assume(!peek_body(r, replaced, &arena, &again, &detail));
    assume(str_eq(again.model, name) && again.stream == p->stream && again.text_bytes == p->text_bytes);
}

static void try_body(const struct route *r, struct str body)
{
    struct peek p;
    struct str detail;
    bool set;
    nsec keep_alive;
    if (peek_body(r, body, &arena, &p, &detail))
        return;
    keep_alive_read(p.keep_alive, &set, &keep_alive);
    assume(p.text_bytes <= body.n);
    if (p.model_raw.p)
        replace_and_read(r, body, &p);
}

static void try_form(struct str body)
{
    struct peek p;
    struct str detail;
    ssize_t line = str_chr(body, '\n');
    struct str type = line < 0 ? STR("multipart/form-data; boundary=b") : str_take(body, (size_t)line);
    if (!peek_multipart(type, str_drop(body, (size_t)(line + 1)), &arena, &p, &detail) && p.model.p)
        assume(str_find(p.model, STR("\r\n--b")) < 0 || line >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct str body = { (const char *)data + 1, n - 1 };
    enum route_id id = data[0] % (ROUTE_v1_model + 1);
    if (id == ROUTE_v1_transcribe)
        try_form(body);
    else
        try_body(route_row(id), body);
    arena_done(&arena);
    arena_init(&arena);
    return 0;
}
