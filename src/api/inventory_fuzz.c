/* api/inventory_fuzz.c - any body, read in all four ways, once with an allocation failing. What is kept lies in the
 * inventory and its objects are JSON. */
#include "api/inventory.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/slab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static volatile unsigned char sum;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    arena_pools_init();
    buf_pools_init();
    return 0;
}

static void touch(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        sum += (unsigned char)s.p[i];
}

static void check(struct inventory *i, enum fail why)
{
    assume((i == NULL) == (why != OK));
    for (uint32_t k = 0; i && k < i->n; k++) {
        const struct inventory_model *m = &i->model[k];
        assume(m->key.n && m->show.n && m->id.n && m->hash == str_hash(m->key));
        assume(json_parse(m->raw, NULL).kind == JSON_OBJECT);
        touch(m->key);
        touch(m->show);
        touch(m->id);
        touch(m->digest);
        touch(m->raw);
    }
    inventory_free(&i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n == 0)
        return 0;
    struct str body = { (const char *)data + 1, n - 1 };
    enum fail why;
    for (int failing = 0; failing <= 1; failing++) {
        memory_fail_at(failing ? data[0] : 0);
        struct inventory *native = inventory_read(body, 1, &why);
        check(native, why);
        struct inventory *openai = inventory_read_openai(body, 1, &why);
        check(openai, why);
    }
    memory_fail_at(0);
    uint32_t slots, context;
    assume(props_read(body, &slots, &context) == (slots > 0));

    struct arena a;
    arena_init(&a);
    touch(version_read(&a, body));
    arena_done(&a);
    return 0;
}
