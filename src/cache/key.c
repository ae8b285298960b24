/* cache/key.c - a request is read as the node reads it, and written down again in one way only, into a hash.
 *
 *     {"seed":7, "Messages":[{"content":"h\u0069","role":"user"}], "stream":true, "model":"m"}
 *         |          |  key.def: a list of turns                     `-- dropped --'
 *         v          v
 *     chat <digest> <tenant>  O k messages A O k content s hi  k role s user E E  E  O u seed d 7 E  --> SHA-256
 *
 * Every token begins with its kind and every text with its length, so that no two meanings are written alike. What is
 * known to be read into fields (Go structs and maps) is sorted; everything below that is taken token by token in the
 * order it has, because order means something there: of the properties of a schema the model makes the order of its
 * answer, of a tool's a part of the prompt. Numbers too are only made alike where they are read as numbers; a schema is
 * handed on as text.
 *
 * Of duplicates the last scalar wins. Where one is an object, a list or null, Go merges, overlays or ignores it after
 * rules nobody should rely on, so all of them are written and the request shares its key with none that has one.
 * Rejected: writing the body anew and hashing that (one more copy, and a hit needs only the hash), and XXH3 (strangers
 * share this cache, and it does not resist them). */
#include "cache/key.h"
#include "api/peek.h"
#include "cache/cache.h"
#include "cache/key_write.h"

#define VERSION     "ollamamax key 1"
#define MEMBERS_MAX 48

#define BIT(form) (1u << (form))
enum form {
    GENERATE,
    CHAT,
    EMBED,
    EMBEDDINGS,
    V1_CHAT,
    V1_COMPLETIONS,
    V1_EMBEDDINGS,
    V1_RESPONSES,
    V1_MESSAGES,
    TO_THE_LETTER, /* any of them, for who does not read as Go does */
    TURN,
    V1_TURN,
    TOOL,
    FUNCTION,
    LOOSE, /* a map: no member is known */
    NO_FORM,
};
#define NATIVE      (BIT(GENERATE) | BIT(CHAT) | BIT(EMBED) | BIT(EMBEDDINGS))
#define TALK        (BIT(GENERATE) | BIT(CHAT))
#define OPENAI_TALK (BIT(V1_CHAT) | BIT(V1_COMPLETIONS))
#define PROMPTED    (BIT(GENERATE) | BIT(EMBEDDINGS) | BIT(V1_COMPLETIONS))
#define REQUESTS    (BIT(TURN) - 1)

enum shape {
    DROPPED,
    USAGE,       /* stream_options: dropped if it is what it should be, else opaque: the node refuses it */
    LEASE,       /* keep_alive: likewise */
    REFUSED,     /* unless false: no answer is kept */
    OPAQUE,      /* token by token */
    TEXT,        /* a string, "" being none */
    TRUTH,       /* true or false */
    WHOLE,       /* a number that has to be written without point and exponent */
    FRACTION,    /* a number */
    ANY,         /* of a map: a number, or opaque */
    OPTIONS,     /* a map, null being none */
    MAPPED,      /* an object of the inner form */
    LIST,        /* an array of such */
    PARTS,       /* likewise, or a string */
    ONE_OR_MORE, /* a string counts as the list that holds it alone */
};
static const struct row {
    unsigned where;
    struct str key;
    enum shape shape;
    enum form inner;
    struct str option, fill;
} rows[] = {
#define MEMBER(where, key, shape, inner, option, fill) { where, STR(key), shape, inner, STR(option), STR(fill) },
#include "cache/key.def"
#undef MEMBER
};
_Static_assert(ARRAY_LEN(rows) <= 64, "a bit for each row");

/* The rows of each form, a bit each. Filled once, before main. */
static uint64_t rows_of[NO_FORM];

__attribute__((constructor)) static void sort_rows(void)
{
    for (unsigned form = 0; form < NO_FORM; form++)
        for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
            if (rows[i].where & BIT(form))
                rows_of[form] |= 1ull << i;
}

/* --- the members of an object --- */

struct member {
    const struct row *row; /* NULL: not known */
    struct str name;
    struct json value;
};
struct members {
    unsigned n;
    bool too_many, refused;
    struct member all[MEMBERS_MAX];
};

static bool is_scalar(struct json v)
{
    return v.kind >= JSON_FALSE && v.kind <= JSON_STRING;
}

static void add(struct members *m, struct member one)
{
    if (m->n == MEMBERS_MAX)
        m->too_many = true;
    else
        m->all[m->n++] = one;
}

static struct member *find(struct members *m, const struct row *row)
{
    for (unsigned i = 0; i < m->n; i++)
        if (m->all[i].row == row)
            return &m->all[i];
    return NULL;
}

/* Is it presentation, and nothing a node would refuse? */
static bool is_dropped(const struct row *row, struct json v)
{
    bool set;
    nsec keep_alive;
    if (row->shape == LEASE)
        return keep_alive_read(v, &set, &keep_alive) == OK;
    if (row->shape != USAGE || v.kind != JSON_OBJECT)
        return row->shape == DROPPED || (row->shape == USAGE && v.kind == JSON_NULL);
    struct json_walk w = json_walk(v);
    while (json_next(&w))
        if (!json_key_is_exactly(w.key, STR("include_usage")) || w.value.kind < JSON_NULL || w.value.kind > JSON_TRUE)
            return false;
    return true;
}

static void add_known(struct members *m, const struct row *row, struct json value)
{
    struct member *before = find(m, row);
    if (is_dropped(row, value))
        return;
    if (row->shape == REFUSED)
        m->refused |= value.kind != JSON_NULL && value.kind != JSON_FALSE;
    else if (before && is_scalar(before->value) && is_scalar(value))
        before->value = value;
    else
        add(m, (struct member){ row, row->key, value });
}

/* Only such a key can be another's name at another length: escapes, and the two letters from outside ASCII. */
static bool is_odd(struct str raw_key)
{
    for (size_t i = 0; i < raw_key.n; i++)
        if (raw_key.p[i] == '\\' || (unsigned char)raw_key.p[i] >= 0x80)
            return true;
    return false;
}

/* Names of fields match in any case, unless nobody is known to read them so. */
static const struct row *row_of(enum form form, struct str raw_key)
{
    bool (*matches)(struct str, struct str) = form == TO_THE_LETTER ? json_key_is_exactly : json_key_is;
    bool odd = is_odd(raw_key);
    for (uint64_t left = rows_of[form]; left; left &= left - 1) {
        const struct row *row = &rows[__builtin_ctzll(left)];
        if ((odd || row->key.n + 2 == raw_key.n) && matches(raw_key, row->key))
            return row;
    }
    return NULL;
}

static void add_unknown(struct key_writer *w, struct members *m, struct json_walk *at)
{
    bool odd;
    struct str name = key_read_text(w, (struct json){ .kind = JSON_STRING, .raw = at->key }, &odd);
    add(m, (struct member){ NULL, name, at->value });
}

static void read_members(struct key_writer *w, struct json object, enum form form, struct members *out)
{
    out->n = 0;
    out->too_many = out->refused = false;
    struct json_walk at = json_walk(object);
    while (json_next(&at)) {
        const struct row *row = row_of(form, at.key);
        if (row)
            add_known(out, row, at.value);
        else
            add_unknown(w, out, &at);
    }
}

static int compare(struct str a, struct str b)
{
    int order = memcmp(a.p, b.p, MIN(a.n, b.n));
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

/* By insertion: few, mostly in the order their writer always has, and equal names must stay as they came. */
static void sort(struct members *m)
{
    for (unsigned i = 1; i < m->n; i++) {
        struct member one = m->all[i];
        unsigned at = i;
        for (; at > 0 && compare(m->all[at - 1].name, one.name) > 0; at--)
            m->all[at] = m->all[at - 1];
        m->all[at] = one;
    }
}

static bool is_empty_text(struct json v)
{
    return v.kind == JSON_STRING && v.raw.n == 2;
}
static bool is_filled_text(struct json v)
{
    return v.kind == JSON_STRING && v.raw.n > 2;
}

/* The documented default, which for texts stands in the table without quotes. */
static bool is_filling(struct json v, const struct row *row)
{
    if (row->fill.n == 0 || row->option.n || !is_scalar(v))
        return false;
    return row->shape == TEXT ? v.kind == JSON_STRING && json_key_is_exactly(v.raw, row->fill)
                              : str_eq(v.raw, row->fill);
}

/* As good as not there; never when it is there twice. */
static bool is_absent(const struct member *m)
{
    if (!m->row)
        return false;
    return m->value.kind == JSON_NULL || (m->row->shape == TEXT && is_empty_text(m->value)) ||
           is_filling(m->value, m->row);
}

static void leave_out_absent(struct members *m)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < m->n; i++) {
        bool alone =
            (i == 0 || m->all[i - 1].row != m->all[i].row) && (i + 1 == m->n || m->all[i + 1].row != m->all[i].row);
        if (!alone || !is_absent(&m->all[i]))
            m->all[kept++] = m->all[i];
    }
    m->n = kept;
}

/* --- values --- */

static void put_object(struct key_writer *w, struct json object, enum form form);

static void put_list(struct key_writer *w, struct json list, enum form inner)
{
    struct json_walk at = json_walk(list);
    key_put_mark(w, 'A');
    while (json_next(&at) && !w->failed)
        if (at.value.kind == JSON_OBJECT)
            put_object(w, at.value, inner);
        else
            key_put_opaque(w, at.value);
    key_put_mark(w, 'E');
}

static void put_one_or_more(struct key_writer *w, struct json v)
{
    bool one = is_filled_text(v);
    if (one)
        key_put_mark(w, '[');
    key_put_opaque(w, v);
    if (one)
        key_put_mark(w, ']');
}

static void put_value(struct key_writer *w, struct json v, enum shape shape, enum form inner)
{
    int64_t whole;
    bool plain = v.kind == JSON_NUMBER && str_chr(v.raw, '.') < 0 && str_chr(v.raw, 'e') < 0 && str_chr(v.raw, 'E') < 0;
    if (v.kind == JSON_NUMBER && (shape == FRACTION || shape == ANY))
        key_put_number(w, v.raw);
    else if (shape == WHOLE && plain && json_i64(v, &whole))
        key_put_number(w, v.raw);
    else if (v.kind == JSON_ARRAY && (shape == LIST || shape == PARTS))
        put_list(w, v, inner);
    else if (v.kind == JSON_OBJECT && shape == MAPPED)
        put_object(w, v, inner);
    else if (shape == ONE_OR_MORE)
        put_one_or_more(w, v);
    else
        key_put_opaque(w, v);
}

static void put_members(struct key_writer *w, const struct members *m)
{
    key_put_mark(w, 'O');
    for (unsigned i = 0; i < m->n && !w->failed; i++) {
        const struct member *one = &m->all[i];
        key_put_sized(w, one->row ? 'k' : 'u', one->name);
        put_value(w, one->value, one->row ? one->row->shape : OPAQUE, one->row ? one->row->inner : NO_FORM);
    }
    key_put_mark(w, 'E');
}

static void put_object(struct key_writer *w, struct json object, enum form form)
{
    struct members m;
    read_members(w, object, form, &m);
    if (m.too_many) {
        key_put_opaque(w, object);
        return;
    }
    sort(&m);
    leave_out_absent(&m);
    put_members(w, &m);
}

/* --- options --- */

/* Maps are merged to the letter, and null takes an option away. */
static void add_option(struct members *to, struct member one)
{
    for (unsigned i = 0; i < to->n; i++)
        if (str_eq(to->all[i].name, one.name)) {
            to->all[i] = one;
            return;
        }
    add(to, one);
}

static void read_options(struct key_writer *w, struct json options, struct members *to)
{
    static const struct row any = { .shape = ANY, .inner = NO_FORM };
    struct json_walk at = json_walk(options);
    while (json_next(&at)) {
        bool odd;
        struct str name = key_read_text(w, (struct json){ .kind = JSON_STRING, .raw = at.key }, &odd);
        add_option(to, (struct member){ &any, name, at.value });
    }
    unsigned kept = 0;
    for (unsigned i = 0; i < to->n; i++)
        if (to->all[i].value.kind != JSON_NULL)
            to->all[kept++] = to->all[i];
    to->n = kept;
}

/* A /v1 route hands some members on as options; what it fills in it always says, which outdoes the model's own. */
static void move_options(struct members *m, enum form form, struct members *to)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < m->n; i++)
        if (m->all[i].row && m->all[i].row->option.n)
            add(to, (struct member){ m->all[i].row, m->all[i].row->option, m->all[i].value });
        else
            m->all[kept++] = m->all[i];
    m->n = kept;
    for (uint64_t left = rows_of[form]; left; left &= left - 1) {
        const struct row *row = &rows[__builtin_ctzll(left)];
        if (row->option.n && row->fill.n && !find(to, row))
            add(to, (struct member){
                        row, row->option, {.kind = JSON_NUMBER, .raw = row->fill}
            });
    }
}

/* The one `options` of a native request; several are left among the members, as they are. */
static void take_options(struct key_writer *w, struct members *m, struct members *to)
{
    struct member *options = NULL;
    for (unsigned i = 0; i < m->n; i++)
        if (m->all[i].row && m->all[i].row->shape == OPTIONS) {
            if (options || m->all[i].value.kind != JSON_OBJECT)
                return;
            options = &m->all[i];
        }
    if (!options)
        return;
    read_options(w, options->value, to);
    memmove(options, options + 1, sizeof *options * (size_t)(&m->all[--m->n] - options));
}

/* --- across dialects --- */

static bool is_list_of_texts(struct json v)
{
    struct json_walk w = json_walk(v);
    unsigned n = 0;
    while (v.kind == JSON_ARRAY && json_next(&w)) {
        n++;
        if (w.value.kind != JSON_STRING)
            return false;
    }
    return n > 0;
}

/* {"role":"...","content":"..."}, which both dialects read alike. */
static bool is_plain_turn(struct key_writer *w, struct json turn)
{
    struct members m;
    if (turn.kind != JSON_OBJECT)
        return false;
    read_members(w, turn, V1_TURN, &m);
    return m.n == 2 && m.all[0].row && m.all[1].row && m.all[0].row != m.all[1].row && is_filled_text(m.all[0].value) &&
           is_filled_text(m.all[1].value);
}

static bool is_plain_talk(struct key_writer *w, struct json messages)
{
    struct json_walk at = json_walk(messages);
    unsigned n = 0;
    while (messages.kind == JSON_ARRAY && json_next(&at)) {
        n++;
        if (!is_plain_turn(w, at.value))
            return false;
    }
    return n > 0;
}

/* Would /api/chat take these for the same? Its `options` say whole numbers and texts in the same way only if they are
 * such. */
static bool is_native_option(const struct member *m)
{
    int64_t whole;
    switch (m->row->shape) {
    case WHOLE: return json_i64(m->value, &whole) && !memchr(m->value.raw.p, '.', m->value.raw.n);
    case FRACTION: return m->value.kind == JSON_NUMBER;
    default: return is_filled_text(m->value) || is_list_of_texts(m->value);
    }
}

static bool is_native_chat(struct key_writer *w, const struct members *m, const struct members *options)
{
    for (unsigned i = 0; i < options->n; i++)
        if (!is_native_option(&options->all[i]))
            return false;
    return m->n == 1 && m->all[0].row && m->all[0].row->shape == LIST && is_plain_talk(w, m->all[0].value);
}

static bool is_native_embed(const struct members *m)
{
    bool input = false;
    for (unsigned i = 0; i < m->n; i++) {
        const struct member *one = &m->all[i];
        if (!one->row || (one->row->shape != ONE_OR_MORE && one->row->shape != WHOLE))
            return false;
        if (one->row->shape == ONE_OR_MORE)
            input = is_filled_text(one->value) || is_list_of_texts(one->value);
    }
    return input;
}

/* --- requests --- */

static const struct {
    enum route_id route;
    enum form form;
} forms[] = {
    {ROUTE_generate,        GENERATE      },
    { ROUTE_chat,           CHAT          },
    { ROUTE_embed,          EMBED         },
    { ROUTE_embeddings,     EMBEDDINGS    },
    { ROUTE_v1_chat,        V1_CHAT       },
    { ROUTE_v1_completions, V1_COMPLETIONS},
    { ROUTE_v1_embeddings,  V1_EMBEDDINGS },
    { ROUTE_v1_responses,   V1_RESPONSES  },
    { ROUTE_v1_messages,    V1_MESSAGES   },
};

static enum form form_of(const struct key_ask *ask)
{
    for (unsigned i = 0; i < ARRAY_LEN(forms); i++)
        if (forms[i].route == ask->route->id)
            return ask->reader == KEY_READ_AS_GO ? forms[i].form : TO_THE_LETTER;
    return NO_FORM;
}

/* Whose key it is: the route's own, or that of the native route it is the same as. */
static enum route_id family_of(struct key_writer *w, const struct key_ask *ask, enum form form, const struct members *m,
                               const struct members *options)
{
    if (form == V1_CHAT && is_native_chat(w, m, options))
        return ROUTE_chat;
    if (form == V1_EMBEDDINGS && is_native_embed(m))
        return ROUTE_embed;
    return ask->route->id;
}

static void begin(struct key_writer *w, const struct key_ask *ask, enum route_id family)
{
    key_put_sized(w, 's', STR(VERSION));
    key_put_mark(w, ask->reader == KEY_READ_AS_GO ? 'g' : 'l');
    key_put_sized(w, 's', route_row(family)->name);
    key_put_sized(w, 's', ask->digest);
    key_put_sized(w, 's', ask->tenant);
    key_put_sized(w, 's', ask->variant);
}

static enum fail put_request(struct key_writer *w, const struct key_ask *ask, enum form form, struct json body)
{
    struct members m, options = { .n = 0 };
    read_members(w, body, form, &m);
    sort(&m);
    leave_out_absent(&m);
    take_options(w, &m, &options);
    move_options(&m, form, &options);
    sort(&options);
    if (m.refused || m.too_many || options.too_many)
        return FAIL_bad_value;
    begin(w, ask, family_of(w, ask, form, &m, &options));
    put_members(w, &m);
    put_members(w, &options);
    return w->failed;
}

enum fail key_of(const struct key_ask *ask, struct arena *a, struct cache_key *out)
{
    struct key_writer w;
    struct str rest;
    enum form form = form_of(ask);
    struct json body = json_parse(ask->body, &rest);
    if (form == NO_FORM || body.kind != JSON_OBJECT || (form == TO_THE_LETTER && str_trim(rest).n))
        return FAIL_bad_json;
    key_writer_init(&w, a);
    enum fail f = put_request(&w, ask, form, body);
    key_writer_end(&w, out);
    return f ? f : w.failed;
}
