/* api/rename_fuzz.c - first byte: dialect and form; second: how the rest is cut. Whatever the cuts, the same comes out;
 * done twice it is as done once; and an object that has a model has the new one. */
#include "api/rename.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define NEW_NAME "\"a/b:c\""

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    buf_pools_init();
    return 0;
}

static void take_in_pieces(enum dialect d, enum record_form form, struct str in, size_t step, struct text *all)
{
    struct rename r;
    rename_init(&r, d, form, STR(NEW_NAME));
    for (; in.n; in = str_drop(in, step)) {
        struct text piece = { 0 };
        text_put(all, rename_take(&r, str_take(in, step), &piece));
        text_free(&piece);
    }
}

static struct json last_exact(struct json object, struct str key)
{
    struct json found = { .kind = JSON_BAD };
    struct json_walk w = json_walk(object);
    while (json_next(&w))
        if (str_eq(w.key, key))
            found = w.value;
    return found;
}

/* Line feeds inside strings are let pass by nobody else. */
static void check_model(enum record_form form, struct str in, struct str out)
{
    if (form != FORM_WHOLE || !in.n)
        return;
    struct json was = json_parse(in, NULL), is = json_parse(out, NULL);
    if (was.kind != JSON_OBJECT)
        return;
    assume(is.kind == JSON_OBJECT);
    struct json before = last_exact(was, STR("\"model\"")), after = last_exact(is, STR("\"model\""));
    if (before.kind == JSON_STRING && before.raw.n > 2)
        assume(str_eq(after.raw, STR(NEW_NAME)));
    else
        assume(before.kind == after.kind);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    enum dialect d = (enum dialect)(data[0] % (DIALECT_OWN + 1));
    enum record_form form = (enum record_form)(data[0] / 8 % (FORM_SSE + 1));
    struct str in = { (const char *)data + 2, n - 2 };
    struct text once = { 0 }, cut = { 0 }, twice = { 0 };
    take_in_pieces(d, form, in, in.n, &once);
    take_in_pieces(d, form, in, 1 + data[1] % 16, &cut);
    assume(str_eq(text_str(&once), text_str(&cut)));
    take_in_pieces(d, form, text_str(&once), text_str(&once).n, &twice);
    assume(str_eq(text_str(&once), text_str(&twice)));
    check_model(form, in, text_str(&once));
    text_free(&once);
    text_free(&cut);
    text_free(&twice);
    return 0;
}
