/* cache/key_varied_test.c - one meaning, one key; two meanings, two keys: every field of every request varied.
 *
 * Requests are made of fields, each with values that mean different things, and each value in spellings that mean the
 * same (key_varied_test.def). A meaning is a choice of values; it is written down in many ways (order, blanks, escapes,
 * case, duplicates, presentation) and must always have one key, and no other meaning may have that. */
#include "base/json.h"
#include "base/slab.h"
#include "cache/cache.h"
#include "cache/key.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIGEST STR("aa11")
static struct arena arena;

static int set_up(void **state)
{
    arena_pools_init();
    buf_pools_init();
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    arena_done(&arena);
    buf_pools_done();
    arena_pools_done();
    return 0;
}

static struct key_ask ask_of(enum route_id id, struct str body)
{
    return (struct key_ask){ .route = route_row(id), .body = body, .digest = DIGEST };
}

static struct cache_key key_in(const struct key_ask *ask)
{
    struct cache_key k;
    enum fail f = key_of(ask, &arena, &k);
    if (f)
        fail_msg("%.*s: %.*s", STR_ARG(ask->body), STR_ARG(fail_name(f)));
    return k;
}

static bool same(struct cache_key a, struct cache_key b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

/* --- what there is --- */

#define VALUES         9
#define FIELDS         32
#define U(text)        "{\"role\":\"user\",\"content\":\"" text "\"}"
#define CONTENT(parts) "[{\"role\":\"user\",\"content\":" parts "}]"
enum { ROUTE_options = ROUTE_COUNT };
static const struct value {
    unsigned request; /* a route, or options */
    const char *field, *spellings[4];
} values[] = {
#define VALUE(request, field, ...) { ROUTE_##request, field, { __VA_ARGS__ } },
#include "cache/key_varied_test.def"
#undef VALUE
};
struct field {
    const char *name;
    const struct value *values;
    unsigned n;
};
struct kind {
    unsigned request;
    struct field fields[FIELDS];
    unsigned n;
    bool options;
};
static struct kind options, kinds[] = {
    {.request = ROUTE_chat,   .options = true },
    { .request = ROUTE_generate,                      .options = true },
    { .request = ROUTE_embed,.options = true },
    { .request = ROUTE_v1_embeddings},
    { .request = ROUTE_v1_chat                     },
    { .request = ROUTE_v1_completions                      },
    { .request = ROUTE_v1_responses },
    { .request = ROUTE_v1_messages},
};

/* The rows of a request, field by field. */
static void gather(struct kind *k)
{
    for (unsigned i = 0; i < ARRAY_LEN(values); i++) {
        const struct value *v = &values[i];
        if (v->request != k->request)
            continue;
        if (k->n == 0 || strcmp(k->fields[k->n - 1].name, v->field) != 0) {
            assert_true(k->n < FIELDS);
            k->fields[k->n++] = (struct field){ v->field, v, 0 };
        }
        assert_true(++k->fields[k->n - 1].n <= VALUES);
    }
    assert_true(k->n > 0);
}

static int set_up_all(void **state)
{
    options.request = ROUTE_options;
    gather(&options);
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++)
        gather(&kinds[i]);
    return set_up(state);
}

static uint64_t random_state = 1;
static unsigned chance(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % n;
}

/* What is meant: a value for each field, and for each option. */
#define CHOICES FIELDS
struct meaning {
    const struct kind *kind;
    unsigned char value[CHOICES];
};

static const char *spelling_of(const struct field *f, unsigned value)
{
    const struct value *v = &f->values[value];
    unsigned n = 0;
    while (n < ARRAY_LEN(v->spellings) && v->spellings[n])
        n++;
    return v->spellings[chance(n)];
}

static void put_blank(struct text *t)
{
    if (chance(4) == 0)
        text_putc(t, " \n\t\r"[chance(4)]);
}

/* The value with other blanks and escapes. */
static void put_respelled(struct text *t, const char *json)
{
    bool in = false;
    for (const char *p = json; *p; p++) {
        if (in && *p == '\\') {
            text_putc(t, *p++);
            text_putc(t, *p);
            for (unsigned i = 0; *p == 'u' && i < 4; i++)
                text_putc(t, p[1 + i]);
            p += *p == 'u' ? 4 : 0;
            continue;
        }
        in ^= *p == '"';
        if (in && *p != '"' && (unsigned char)*p < 0x80 && chance(5) == 0)
            text_printf(t, chance(2) ? "\\u%04x" : "\\u%04X", *p);
        else
            text_putc(t, *p);
        if (!in && (strchr("[]{},:\"", *p)))
            put_blank(t);
    }
}

static void put_name(struct text *t, const char *name, bool any_case)
{
    text_putc(t, '"');
    for (; *name; name++)
        text_putc(t, any_case && chance(8) == 0 && *name >= 'a' && *name <= 'z' ? (char)(*name - 32) : *name);
    text_put(t, STR("\":"));
}

static void put_fields(struct text *t, const struct kind *k, const unsigned char *chosen, bool any_case, bool *comma)
{
    unsigned order[FIELDS], n = k->n;
    for (unsigned i = 0; i < n; i++) {
        unsigned at = chance(i + 1);
        order[i] = order[at];
        order[at] = i;
    }
    for (unsigned i = 0; i < n; i++) {
        const struct field *f = &k->fields[order[i]];
        const char *value = spelling_of(f, chosen[order[i]]);
        bool scalar = *value != '[' && *value != '{' && strcmp(value, "null") != 0;
        bool known = strcmp(f->name, "novelty") && strcmp(f->name, "user") && strcmp(f->name, "tool_choice") &&
                     strcmp(f->name, "previous_response_id");
        if (!*value)
            continue;
        for (unsigned twice = known && scalar && chance(5) == 0;; twice--) {
            if (*comma)
                text_putc(t, ',');
            *comma = true;
            put_name(t, f->name, any_case && known);
            put_respelled(t, twice ? "\"overruled\"" : value);
            if (!twice)
                break;
        }
    }
}

static void write_down(struct text *t, const struct meaning *m)
{
    static const char *const presentation[] = { "\"stream\":true", "\"stream\" : false", "\"model\":\"x\"",
                                                "\"MODEL\":\"y\"", "\"model\":\"a\",\"model\":\"b\"" };
    bool comma = false, any_option = false;
    text_putc(t, '{');
    put_blank(t);
    put_fields(t, m->kind, m->value, true, &comma);
    if (m->kind->options) {
        text_put(t, comma ? STR(",\"options\":{") : STR("\"options\":{"));
        comma = true;
        put_fields(t, &options, m->value + m->kind->n, false, &any_option);
        text_putc(t, '}');
        if (chance(3) == 0)
            text_put(t, STR(",\"keep_alive\":\"10m\""));
    }
    if (chance(2))
        text_printf(t, "%s%s", comma ? "," : "", presentation[chance(ARRAY_LEN(presentation))]);
    put_blank(t);
    text_putc(t, '}');
}

static struct cache_key key_of_meaning(const struct meaning *m)
{
    struct text t = { 0 };
    write_down(&t, m);
    struct key_ask ask = ask_of((enum route_id)m->kind->request, text_str(&t));
    struct cache_key k = key_in(&ask);
    text_free(&t);
    arena_done(&arena);
    arena_init(&arena);
    return k;
}

static void differ(const struct meaning *a, const struct meaning *b, struct cache_key ka, struct cache_key kb)
{
    struct text ta = { 0 }, tb = { 0 };
    if (!same(ka, kb))
        return;
    write_down(&ta, a);
    write_down(&tb, b);
    fail_msg("one key for\n%.*s\n%.*s", STR_ARG(text_str(&ta)), STR_ARG(text_str(&tb)));
}

static void vary(struct meaning *m, unsigned at, unsigned n)
{
    struct cache_key keys[VALUES];
    unsigned char before = m->value[at];
    struct meaning of[VALUES];
    for (unsigned v = 0; v < n; v++) {
        m->value[at] = (unsigned char)v;
        of[v] = *m;
        keys[v] = key_of_meaning(m);
        for (unsigned k = 0; k < v; k++)
            differ(&of[k], &of[v], keys[k], keys[v]);
    }
    m->value[at] = before;
}

static const struct field *field_at(const struct kind *k, unsigned at)
{
    return at < k->n ? &k->fields[at] : &options.fields[at - k->n];
}
static unsigned choices_of(const struct kind *k)
{
    return k->n + (k->options ? options.n : 0);
}
static void choose(struct meaning *m)
{
    for (unsigned i = 0; i < choices_of(m->kind); i++)
        m->value[i] = (unsigned char)(chance(3) ? 0 : chance(field_at(m->kind, i)->n));
}

static void each_field_alone_makes_another_key(void **state)
{
    for (unsigned k = 0; k < ARRAY_LEN(kinds); k++)
        for (unsigned round = 0; round < 40; round++) {
            struct meaning m = { .kind = &kinds[k] };
            if (round)
                choose(&m);
            for (unsigned i = 0; i < choices_of(m.kind); i++)
                vary(&m, i, field_at(m.kind, i)->n);
        }
}

static void one_meaning_has_one_key(void **state)
{
    for (unsigned round = 0; round < 2000; round++) {
        struct meaning m = { .kind = &kinds[chance(ARRAY_LEN(kinds))] };
        choose(&m);
        struct cache_key first = key_of_meaning(&m), again;
        for (unsigned i = 0; i < 6; i++) {
            again = key_of_meaning(&m);
            struct text t = { 0 };
            write_down(&t, &m);
            if (!same(first, again))
                fail_msg("another key for another spelling of\n%.*s", STR_ARG(text_str(&t)));
            text_free(&t);
        }
    }
}

/* All against all; across routes too, where only the pairs of dialects that may meet are excepted. */
static bool may_meet(unsigned a, unsigned b)
{
    return a != b && (a == ROUTE_chat || a == ROUTE_v1_chat || a == ROUTE_embed || a == ROUTE_v1_embeddings) &&
           (b == ROUTE_chat || b == ROUTE_v1_chat || b == ROUTE_embed || b == ROUTE_v1_embeddings);
}

static void no_two_meanings_meet(void **state)
{
    enum { N = 2500 };
    struct meaning *m = calloc(N, sizeof *m);
    struct cache_key *keys = calloc(N, sizeof *keys);
    for (unsigned i = 0; i < N; i++) {
        m[i].kind = &kinds[chance(ARRAY_LEN(kinds))];
        choose(&m[i]);
        keys[i] = key_of_meaning(&m[i]);
        for (unsigned k = 0; k < i; k++) {
            if (m[k].kind == m[i].kind && memcmp(m[k].value, m[i].value, CHOICES) == 0)
                assert_true(same(keys[k], keys[i]));
            else if (!may_meet(m[k].kind->request, m[i].kind->request))
                differ(&m[k], &m[i], keys[k], keys[i]);
        }
    }
    free(keys);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_field_alone_makes_another_key),
        cmocka_unit_test(one_meaning_has_one_key),
        cmocka_unit_test(no_two_meanings_meet),
    };
    return cmocka_run_group_tests(tests, set_up_all, tear_down);
}
