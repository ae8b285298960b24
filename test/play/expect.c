/* Expectations: `expect SUBJECT WHAT ...`, one row each. They are asked again and again while time passes, so they look
 * and change nothing. */
#include "play.h"
#include <stdio.h>
#include <stdlib.h>

struct ask {
    const struct line *line;
    const struct word *arg; /* after WHAT */
    unsigned args;
    struct reading *a;
    struct caller *c;
    struct node_actor *n;
    struct seen *s;
};
static char instead[4096];

static bool no(const char *format, ...) __attribute__((format(printf, 1, 2)));
#include <stdarg.h>
static bool no(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(instead, sizeof instead, format, args);
    va_end(args);
    return false;
}

static void want(const struct ask *q, unsigned args)
{
    if (q->args < args)
        line_wrong(q->line, "this expectation wants %u words more", args - q->args);
}

/* `= 3`, `< 3`, `> 3`, or just `3`. */
static bool compares(const struct ask *q, uint64_t is)
{
    unsigned i = q->args > 1;
    char how = q->args > 1 ? q->arg[0].text[0] : '=';
    want(q, 1);
    uint64_t than = word_number(q->line, &q->arg[i]);
    if (how == '<' ? is < than : how == '>' ? is > than : is == than)
        return true;
    return no("it is %llu", (unsigned long long)is);
}

/* ---- answers ---- */
static bool describe(const struct reading *a)
{
    static const char *const states[] = { "awaited", "in its body", "whole", "broken" };
    return no("%s is %s, status %d, body of %zu: %.*s\n%.*s", a->id, states[a->state], a->status, a->body.n,
              (int)MIN(a->body.n, (size_t)1500), a->body.p ? a->body.p : "", (int)a->head.n,
              a->head.p ? a->head.p : "");
}

static bool said_status(const struct ask *q)
{
    want(q, 1);
    return q->a->status == atoi(q->arg[0].text) || describe(q->a);
}

static bool is_whole(const struct ask *q)
{
    return q->a->state == WHOLE || describe(q->a);
}

static bool is_broken(const struct ask *q)
{
    return q->a->state == BROKEN || describe(q->a);
}

static bool is_nothing(const struct ask *q)
{
    return (q->a->state == AWAITED && !q->a->interims) || describe(q->a);
}

static bool has_body(const struct ask *q)
{
    want(q, 1);
    return str_eq(pad_str(&q->a->body), word_str(&q->arg[0])) || describe(q->a);
}

static bool size_is(const struct ask *q)
{
    return compares(q, q->a->body.n);
}
static bool chunks_are(const struct ask *q)
{
    return compares(q, q->a->chunks);
}
static bool interims_are(const struct ask *q)
{
    return compares(q, q->a->interims);
}

/* header NAME [VALUE | none] */
static bool has_header(const struct ask *q)
{
    want(q, 1);
    struct str v = answer_field(q->a, q->arg[0].text);
    if (q->args > 1 && word_is(&q->arg[1], "none"))
        return !v.p || describe(q->a);
    return (v.p && (q->args < 2 || str_find(v, word_str(&q->arg[1])) >= 0)) || describe(q->a);
}

static bool find_error(struct str body, enum fail f)
{
    ssize_t at = str_find(body, STR("\"error\""));
    return at >= 0 && str_find(str_drop(body, (size_t)at), fail_sentence(f)) >= 0;
}

static enum fail fail_named(const struct ask *q, const struct word *w)
{
    for (int f = 0; f < FAIL_COUNT; f++)
        if (str_eq(fail_name((enum fail)f), word_str(w)))
            return (enum fail)f;
    line_wrong(q->line, "base/fail.def has no '%s'", w->text);
}

/* "a" then "b" then error NAME, in this order; `no "c"` anywhere. */
static bool finds_in_order(const struct ask *q, struct str text)
{
    struct str whole = text;
    want(q, 1);
    for (unsigned i = 0; i < q->args; i++) {
        const struct word *w = &q->arg[i];
        if (word_is(w, "then"))
            continue;
        if (word_is(w, "no") && i + 1 < q->args) {
            if (str_find(text, word_str(&q->arg[++i])) >= 0)
                return false;
            continue;
        }
        if (word_is(w, "error") && i + 1 < q->args)
            return find_error(whole, fail_named(q, &q->arg[i + 1]));
        ssize_t at = str_find(text, word_str(w));
        if (at < 0)
            return false;
        text = str_drop(text, (size_t)at + w->n);
    }
    return true;
}

static bool got(const struct ask *q)
{
    return finds_in_order(q, pad_str(&q->a->body)) || describe(q->a);
}

/* The first byte after at least / at most so long. */
static bool began_after(const struct ask *q)
{
    want(q, 2);
    nsec took = q->a->began_at - q->a->asked_at, than = word_time(q->line, &q->arg[1]);
    if (!q->a->began_at)
        return describe(q->a);
    return (q->arg[0].text[0] == '<' ? took < than : took > than) || no("it took %.3f ms", (double)took / 1e6);
}

static bool closed(const struct ask *q)
{
    return !q->c->wire || no("%s is connected", q->c->name);
}
static bool is_connected(const struct ask *q)
{
    return (q->c->wire && !q->c->wire->closed) || no("%s has no connection", q->c->name);
}

/* ---- nodes ---- */
static bool seen_count(const struct ask *q)
{
    return compares(q, q->n->seen_n);
}

static bool saw(const struct ask *q)
{
    struct pad all = { 0 };
    if (!q->s)
        return no("%s saw nothing", q->n->name);
    pad_put(&all, pad_str(&q->s->head));
    pad_put(&all, pad_str(&q->s->body));
    bool found = finds_in_order(q, pad_str(&all));
    if (!found)
        no("%s saw: %.*s", q->n->name, (int)MIN(all.n, (size_t)1500), all.p);
    free(all.p);
    return found;
}

/* The gateway has let go of the last request before it was answered. */
static bool was_left(const struct ask *q)
{
    return (q->s && q->s->gone) || no("%s has not been left", q->n->name);
}
static bool is_asked(const struct ask *q)
{
    return (q->s && q->s->wire) || no("%s has no request", q->n->name);
}
static bool was_fully_read(const struct ask *q)
{
    return compares(q, q->s ? q->s->sent.n : 0);
}

static bool connections(const struct ask *q)
{
    uint64_t open = 0;
    list_each (link, &stage.wires) {
        struct wire *w = CONTAINER(link, struct wire, link);
        open += w->owner == q->n && !w->closed;
    }
    return compares(q, open);
}

static bool probed_tags(const struct ask *q)
{
    return compares(q, q->n->probed[1]);
}

static bool look(const struct ask *q, bool (*at)(const struct ask *, const struct node_view *))
{
    struct fleet_snapshot *s = fleet_snapshot(stage.fleet, world_now());
    bool found = false, holds = false, told = s && fleet_snapshot_serves(stage.fleet, s);
    for (uint32_t i = 0; told && i < s->n; i++)
        if (str_eq(s->node[i].name, str_of(q->n->name))) {
            found = true;
            holds = at(q, &s->node[i]);
        }
    fleet_snapshot_free(&s);
    return found ? holds : no("the fleet has no %s", q->n->name);
}

static bool state_is(const struct ask *q, const struct node_view *v)
{
    want(q, 1);
    return str_eq(node_state_name(v->state), word_str(&q->arg[0])) ||
           no("it is %.*s", STR_ARG(node_state_name(v->state)));
}
static bool state(const struct ask *q)
{
    return look(q, state_is);
}
static bool inflight_is(const struct ask *q, const struct node_view *v)
{
    return compares(q, v->inflight);
}
static bool inflight(const struct ask *q)
{
    return look(q, inflight_is);
}
static bool errors_are(const struct ask *q, const struct node_view *v)
{
    return compares(q, v->errors);
}
static bool errors(const struct ask *q)
{
    return look(q, errors_are);
}

static bool breaker_is(const struct ask *q, const struct node_view *v)
{
    want(q, 1);
    return strcmp(breaker_name(v->breaker), q->arg[0].text) == 0 || no("it is %s", breaker_name(v->breaker));
}
static bool breaker(const struct ask *q)
{
    return look(q, breaker_is);
}

/* ---- tables ---- */
struct row {
    const char *name;
    bool (*holds)(const struct ask *q);
};
static const struct row of_client[] = {
    {"status",     said_status },
    { "whole",     is_whole    },
    { "broken",    is_broken   },
    { "nothing",   is_nothing  },
    { "body",      has_body    },
    { "size",      size_is     },
    { "chunks",    chunks_are  },
    { "interims",  interims_are},
    { "header",    has_header  },
    { "got",       got         },
    { "began",     began_after },
    { "closed",    closed      },
    { "connected", is_connected},
};
static const struct row of_node[] = {
    {"seen",         seen_count    },
    { "saw",         saw           },
    { "left",        was_left      },
    { "asked",       is_asked      },
    { "said",        was_fully_read},
    { "state",       state         },
    { "inflight",    inflight      },
    { "errors",      errors        },
    { "breaker",     breaker       },
    { "connections", connections   },
    { "tags-probes", probed_tags   },
};

static bool by_row(const struct row *rows, size_t n, const struct ask *q, const struct word *what)
{
    for (size_t i = 0; i < n; i++)
        if (word_is(what, rows[i].name))
            return rows[i].holds(q);
    line_wrong(q->line, "nothing is known of '%s'", what->text);
}

/* ---- records: expect record tries=1 why=upstream_cut status=200 ---- */
static bool record_has(const struct ask *q, const struct record *r, const char *pair)
{
    char have[128];
    snprintf(have, sizeof have, "tries=%u why=%.*s status=%u node=%.*s records=%u", r->attempts,
             STR_ARG(fail_name(r->why)), r->status, STR_ARG(record_text(r->node)), r->records);
    char padded[160], wanted[160];
    snprintf(padded, sizeof padded, " %s ", have);
    snprintf(wanted, sizeof wanted, " %s ", pair);
    return strstr(padded, wanted) || no("the record has %s", have);
}

static bool last_record(const struct ask *q)
{
    if (!stage.records)
        return no("there is no record");
    for (unsigned i = 0; i < q->args; i++)
        if (!record_has(q, &stage.record[stage.records - 1], q->arg[i].text))
            return false;
    return true;
}

/* ---- the subject: c1, c1.2 (its second answer), n1, record, records, drained ---- */
static bool of_actor(struct ask *q, const struct word *subject)
{
    char name[32];
    unsigned which = 0;
    snprintf(name, sizeof name, "%s", subject->text);
    char *dot = strchr(name, '.');
    if (dot) {
        *dot = 0;
        which = (unsigned)atoi(dot + 1);
    }
    if (q->line->n < 3)
        line_wrong(q->line, "expect %s what?", name);
    q->n = node_named(name);
    q->c = q->n ? NULL : client_named(name, false);
    if (q->n) {
        q->s = node_last(q->n);
        return by_row(of_node, ARRAY_LEN(of_node), q, &q->line->w[2]);
    }
    if (!q->c)
        line_wrong(q->line, "nobody is called '%s'", name);
    q->a = client_answer(q->c, which);
    if (!q->a && !word_is(&q->line->w[2], "closed") && !word_is(&q->line->w[2], "connected"))
        return no("%s has no such answer", name);
    return by_row(of_client, ARRAY_LEN(of_client), q, &q->line->w[2]);
}

static bool holds(const struct line *l, unsigned words)
{
    struct ask q = { .line = l, .arg = &l->w[2], .args = words - 2 };
    if (words < 2)
        line_wrong(l, "expect what?");
    if (word_is(&l->w[1], "record"))
        return last_record(&q);
    if (word_is(&l->w[1], "records"))
        return compares(&q, stage.records);
    if (word_is(&l->w[1], "drained"))
        return !stage_runs() || no("it runs");
    q.arg++;
    q.args = words > 3 ? words - 3 : 0;
    return of_actor(&q, &l->w[1]);
}

const char *expectation_fails(const struct line *l, unsigned words)
{
    return holds(l, words) ? NULL : instead;
}
