/* api/name_fuzz.c - a name that is accepted is complete, in lower case, and stands for itself. */
#include "api/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_key(struct str key)
{
    int slashes = 0;
    for (size_t i = 0; i < key.n; i++) {
        slashes += key.p[i] == '/';
        assume(key.p[i] > ' ' && key.p[i] < 127 && !(key.p[i] >= 'A' && key.p[i] <= 'Z'));
    }
    assume(slashes == 2 && str_rchr(key, ':') > str_rchr(key, '/'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct name name, again;
    if (name_parse((struct str){ (const char *)data, n }, &name))
        return 0;
    check_key(name_key(&name));
    assume(!name_parse(name_key(&name), &again) && again.source == SOURCE_NONE);
    assume(str_eq(name_key(&again), name_key(&name)));
    assume(!name_parse(name_show(&name), &again) && again.source == SOURCE_NONE);
    assume(str_eq(name_key(&again), name_key(&name)) && str_eq(name_show(&again), name_show(&name)));
    return 0;
}
