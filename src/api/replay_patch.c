/* api/replay_patch.c - the answer as it was, but for the model's name, the times and the id.
 *
 * One walk over the members of each record; between what changes the bytes are copied as they are. An OpenAI stream was
 * asked for its counts (replay_ask) on behalf of all; who has not asked for them gets the stream without: the last
 * chunk that has nothing else goes, and the member in all others. What is no JSON, and comments, pass. */
#include "api/replay_private.h"

enum change { KEEP, MODEL, ID, STAMP, SECONDS, USAGE, WITHIN };
static const struct {
    struct str key;
    unsigned dialects;
    enum change change;
} changes[] = {
#define BIT(d) (1u << DIALECT_##d)
    {{ "model", 5 },        BIT(OLLAMA) | BIT(OPENAI) | BIT(RESPONSES) | BIT(ANTHROPIC), MODEL  },
    { { "created_at", 10 }, BIT(OLLAMA),                                                 STAMP  },
    { { "created_at", 10 }, BIT(RESPONSES),                                              SECONDS},
    { { "created", 7 },     BIT(OPENAI),                                                 SECONDS},
    { { "id", 2 },          BIT(OPENAI) | BIT(RESPONSES) | BIT(ANTHROPIC),               ID     },
    { { "usage", 5 },       BIT(OPENAI),                                                 USAGE  },
    { { "response", 8 },    BIT(RESPONSES),                                              WITHIN },
    { { "message", 7 },     BIT(ANTHROPIC),                                              WITHIN },
#undef BIT
};

static enum change change_of(enum dialect d, struct str raw_key)
{
    for (unsigned i = 0; i < ARRAY_LEN(changes); i++)
        if ((changes[i].dialects >> d & 1) && raw_key.n == changes[i].key.n + 2 &&
            json_key_is_exactly(raw_key, changes[i].key))
            return changes[i].change;
    return KEEP;
}

struct patch {
    struct replay *r;
    struct text *out;
    const char *from; /* bytes before it are out */
};

static void put_until(struct patch *p, const char *to)
{
    text_put(p->out, str_span(p->from, to));
    p->from = to;
}

/* The member with its comma: the one before, or of the first the one behind. */
static void drop_member(struct patch *p, const char *before, bool first, struct str behind)
{
    put_until(p, before);
    while (first && behind.n && (unsigned char)*behind.p <= ' ')
        behind = str_drop(behind, 1);
    p->from = behind.p + (first && str_starts(behind, STR(",")));
}

static void put_value(struct patch *p, enum change change, struct str value)
{
    put_until(p, value.p);
    p->from = value.p + value.n;
    switch (change) {
    case MODEL: text_put(p->out, p->r->to.model); break;
    case ID: replay_put_id(p->r, p->out); break;
    case STAMP: replay_put_stamp(p->r, p->out); break;
    default: replay_put_seconds(p->r, p->out);
    }
}

/* Not what would be an insertion, nor of a type that is not ours. */
static bool is_to_change(const struct replay *r, enum change change, struct json v)
{
    if (change == KEEP || change == USAGE || change == WITHIN || (change != MODEL && r->to.as_it_was && r->same))
        return false;
    return change == SECONDS ? v.kind == JSON_NUMBER : v.kind == JSON_STRING && v.raw.n > 2;
}

static void patch_object(struct patch *p, struct str object, bool inner)
{
    struct json_walk w = json_walk_text(object);
    const char *before = w.rest.p;
    for (bool first = true; json_next(&w); first = false) {
        enum change change = change_of(p->r->from.route->dialect, w.key);
        bool hide = change == USAGE && p->r->to.stream && !p->r->to.wants_usage;
        p->r->usage |= change == USAGE && w.value.kind == JSON_OBJECT;
        if (hide)
            drop_member(p, before, first, w.rest);
        else if (change == WITHIN && !inner && w.value.kind == JSON_OBJECT)
            patch_object(p, w.value.raw, true);
        else if (is_to_change(p->r, change, w.value))
            put_value(p, change, w.value.raw);
        before = w.value.raw.p + w.value.raw.n;
    }
}

static bool is_only_usage(struct json chunk)
{
    struct json choices = json_get(chunk, STR("choices"));
    return choices.kind == JSON_ARRAY && !replay_is_filled(choices) &&
           json_get(chunk, STR("usage")).kind == JSON_OBJECT;
}

static bool is_hidden(struct replay *r, struct str data)
{
    bool asked = r->to.route->dialect != DIALECT_OPENAI || !r->to.stream || r->to.wants_usage;
    return !asked && str_find(data, STR("\"usage\"")) >= 0 && is_only_usage(json_skim(data, NULL));
}

void replay_patch(struct replay *r, struct str record, struct str data, struct text *out)
{
    struct patch p = { r, out, record.p };
    if (record.n == 0)
        return;
    if (is_hidden(r, data)) {
        r->usage = true;
        return;
    }
    if (data.n)
        patch_object(&p, data, false);
    put_until(&p, record.p + record.n);
}

void replay_patch_answer(struct replay *r, struct str object, struct text *out)
{
    struct patch p = { r, out, object.p };
    patch_object(&p, object, true);
    put_until(&p, object.p + object.n);
}
