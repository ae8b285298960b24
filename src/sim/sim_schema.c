/* sim/sim_schema.c - a value that a JSON schema allows: what constrained sampling would yield, without the sampling.
 *
 * Enough of JSON Schema 2020-12 for what zod, pydantic and hand-written tools make: type, properties, items, enum,
 * const, $ref into $defs, anyOf and its kin (the first that is not null), bounds of numbers and arrays. Whatever is
 * not understood becomes a string. The depth is bounded because references may go in circles, and so is the number of
 * values. */
#include "sim/sim.h"
#include <math.h>

#define DEPTH_MAX  12
#define VALUES_MAX 512

struct sampling {
    struct arena *arena;
    struct json_out out;
    struct json root;
    uint64_t hash;
    int depth, values;
};
static void put_value(struct sampling *s, struct json schema);

static struct json first_of(struct json array)
{
    struct json_walk w = json_walk(array);
    return array.kind == JSON_ARRAY && json_next(&w) ? w.value : (struct json){ .kind = JSON_BAD };
}

static bool is_null_type(struct json v)
{
    return str_eq(v.raw, STR("\"null\"")) || str_eq(json_get(v, STR("type")).raw, STR("\"null\""));
}

static struct json first_not_null(struct json array)
{
    struct json_walk w = json_walk(array);
    while (array.kind == JSON_ARRAY && json_next(&w))
        if (!is_null_type(w.value))
            return w.value;
    return first_of(array);
}

/* "#/$defs/Name" and the older "#/definitions/Name". */
static struct json follow(const struct sampling *s, struct json ref)
{
    struct str path = str_take(str_drop(ref.raw, 1), ref.raw.n - 2);
    struct json at = s->root;
    if (str_eq(str_cut(&path, '/'), STR("#")))
        while (path.n && at.kind == JSON_OBJECT)
            at = json_get(at, str_cut(&path, '/'));
    return at;
}

static struct json resolve(const struct sampling *s, struct json schema)
{
    static const struct str choices[] = {
        {"anyOf",  5},
        { "oneOf", 5},
        { "allOf", 5}
    };
    for (int hops = 0; hops < DEPTH_MAX; hops++) {
        struct json next = json_get(schema, STR("$ref"));
        next = next.kind == JSON_STRING ? follow(s, next) : (struct json){ .kind = JSON_BAD };
        for (size_t i = 0; next.kind == JSON_BAD && i < ARRAY_LEN(choices); i++)
            next = first_not_null(json_get(schema, choices[i]));
        if (next.kind != JSON_OBJECT)
            return schema;
        schema = next;
    }
    return schema;
}

static void put_string(struct sampling *s)
{
    char text[64];
    char *at = put_str(text, STR("[simulated] "));
    at = put_str(at, sim_word(s->hash, 1));
    *at++ = ' ';
    at = put_str(at, sim_word(s->hash, 2));
    json_put_str(&s->out, str_span(text, at));
}

static void put_number(struct sampling *s, struct json schema, bool whole)
{
    double least, most, v = (double)(s->hash % 100) + (whole ? 0 : 0.5);
    if (json_f64(json_get(schema, STR("minimum")), &least) && v < least)
        v = whole ? ceil(least) : least;
    if (json_f64(json_get(schema, STR("maximum")), &most) && v > most)
        v = whole ? floor(most) : most;
    if (whole && fabs(v) < 9e15)
        json_put_i64(&s->out, (int64_t)v);
    else
        json_put_f64(&s->out, v);
}

static void put_object(struct sampling *s, struct json schema)
{
    struct json_walk w = json_walk(json_get(schema, STR("properties")));
    json_open(&s->out, '{');
    while (w.object && json_next(&w)) {
        json_key_str(&s->out, json_text(s->arena, (struct json){ .kind = JSON_STRING, .raw = w.key }));
        s->hash = sim_mix(s->hash);
        put_value(s, w.value);
    }
    json_close(&s->out);
}

static void put_array(struct sampling *s, struct json schema)
{
    int64_t n = 1;
    struct json items = json_get(schema, STR("items"));
    (void)json_i64(json_get(schema, STR("minItems")), &n);
    json_open(&s->out, '[');
    for (int64_t i = 0; i < MIN(MAX(n, 1), 16); i++)
        put_value(s, items);
    json_close(&s->out);
}

static bool put_given(struct sampling *s, struct json schema)
{
    struct json given = json_get(schema, STR("const"));
    if (given.kind == JSON_BAD)
        given = first_of(json_get(schema, STR("enum")));
    if (given.kind == JSON_BAD)
        return false;
    json_put_raw(&s->out, given.raw);
    return true;
}

static struct str type_of(struct json schema)
{
    struct json type = json_get(schema, STR("type"));
    if (type.kind == JSON_ARRAY)
        type = first_not_null(type);
    if (type.kind == JSON_STRING)
        return type.raw;
    return json_get(schema, STR("properties")).kind == JSON_OBJECT ? STR("\"object\"") : STR("\"string\"");
}

static void put_value(struct sampling *s, struct json schema)
{
    schema = resolve(s, schema);
    if (put_given(s, schema))
        return;
    struct str type = type_of(schema);
    if (s->depth >= DEPTH_MAX || s->values++ >= VALUES_MAX || str_eq(type, STR("\"null\""))) {
        json_put_null(&s->out);
        return;
    }
    s->depth++;
    if (str_eq(type, STR("\"object\"")))
        put_object(s, schema);
    else if (str_eq(type, STR("\"array\"")))
        put_array(s, schema);
    else if (str_eq(type, STR("\"integer\"")) || str_eq(type, STR("\"number\"")))
        put_number(s, schema, str_eq(type, STR("\"integer\"")));
    else if (str_eq(type, STR("\"boolean\"")))
        json_put_bool(&s->out, s->hash & 1);
    else
        put_string(s);
    s->depth--;
}

void sim_schema_sample(struct arena *a, struct text *t, struct json schema, uint64_t hash)
{
    struct sampling s = { .arena = a, .out = { .to = t }, .root = schema, .hash = hash };
    put_value(&s, schema);
}
