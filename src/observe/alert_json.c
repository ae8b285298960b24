/* observe/alert_json.c - alerts in words and as JSON: for the dashboard, for webhooks, for Alertmanager.
 *
 * A message is its rule's sentence with the braces filled in, so that what is told everywhere is the same. Bodies for
 * receivers are made from copies: nothing here knows how they are sent. */
#include "base/stamp.h"
#include "observe/alert_state.h"
#include "observe/record_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* --- the sentence --- */

static struct str number_text(enum alert_unit unit, double v, char out[40])
{
    int n;
    if (unit == ALERT_SHARE)
        n = snprintf(out, 40, "%.0f %%", v * 100);
    else if (unit == ALERT_MS)
        n = v < 1000 ? snprintf(out, 40, "%.3g ms", v) : snprintf(out, 40, "%.3g s", v / 1000);
    else
        n = snprintf(out, 40, fabs(v) < 1000 ? "%.3g" : "%.0f", v);
    return (struct str){ out, (size_t)n };
}

static struct str filled(const struct alert_slot *s, struct str name, char number[40])
{
    if (str_eq(name, STR("value")))
        return number_text(s->rule->unit, s->value, number);
    if (str_eq(name, STR("threshold")))
        return number_text(s->rule->unit, s->rule->threshold, number);
    if (str_eq(name, STR("node")))
        return str_of(s->node);
    if (str_eq(name, STR("model")))
        return str_of(s->model);
    return str_eq(name, STR("detail")) ? str_of(s->detail) : STR_NONE;
}

/* Cut off where there is no room. */
static void write_message(const struct alert_slot *s, char *out, size_t room)
{
    struct str rest = str_of(s->rule->message);
    char *at = out, *end = out + room - 1, number[40];
    while (rest.n) {
        struct str plain = str_cut(&rest, '{');
        at = put_str(at, str_take(plain, (size_t)(end - at)));
        if (rest.n)
            at = put_str(at, str_take(filled(s, str_cut(&rest, '}'), number), (size_t)(end - at)));
    }
    *at = 0;
}

/* Users' rules need no message of their own. */
static void say(const struct alert_slot *s, char *out, size_t room)
{
    char value[40], threshold[40];
    if (*s->rule->message) {
        write_message(s, out, room);
        return;
    }
    snprintf(out, room, "%s is %.*s, %s %.*s", s->rule->value, STR_ARG(number_text(s->rule->unit, s->value, value)),
             s->rule->compare == ALERT_ABOVE ? "above" : "below",
             STR_ARG(number_text(s->rule->unit, s->rule->threshold, threshold)));
}

void alert_of_slot(const struct alerts *a, const struct alert_slot *s, struct alert *out)
{
    *out = (struct alert){ .state = s->state == ALERT_INACTIVE ? ALERT_RESOLVED : s->state,
                           .severity = s->rule->severity,
                           .since = s->since + a->ahead,
                           .fired = s->fired ? s->fired + a->ahead : 0,
                           .ended = s->ended ? s->ended + a->ahead : 0,
                           .value = s->value,
                           .threshold = s->rule->threshold,
                           .unit = s->rule->unit,
                           .labels = s->rule->labels };
    memcpy(out->label, s->rule->label, sizeof out->label);
    nsec until = alert_silenced_until(a, s);
    out->silenced_until = until ? until + a->ahead : 0;
    memcpy(out->name, s->rule->name, sizeof out->name);
    memcpy(out->node, s->node, sizeof out->node);
    memcpy(out->model, s->model, sizeof out->model);
    say(s, out->message, sizeof out->message);
}

void alert_for_test(struct alert *out, nsec wall)
{
    *out = (struct alert){ .state = ALERT_FIRING,
                           .since = wall,
                           .fired = wall,
                           .value = 1,
                           .name = "test",
                           .message = "this is a test of the alert receivers; nothing is wrong" };
}

/* --- one alert --- */

static const char *const states[] = {
    [ALERT_INACTIVE] = "resolved",
    [ALERT_PENDING] = "pending",
    [ALERT_FIRING] = "firing",
    [ALERT_RESOLVED] = "resolved",
};
static const char *const severities[] = { [ALERT_WARNING] = "warning", [ALERT_CRITICAL] = "critical" };

static void put_time(struct json_out *j, const char *key, nsec wall)
{
    char stamp[36];
    record_json_text(j, key, wall ? (struct str){ stamp, stamp_rfc3339(wall, stamp) } : STR_NONE);
}

static void put_number(struct json_out *j, const char *key, double v)
{
    json_key(j, key);
    json_put_f64(j, v);
}

static void put_label(struct json_out *j, const char *name, const char *value)
{
    if (*value)
        record_json_text(j, name, str_of(value));
}

static void put_labels(struct json_out *j, const struct alert *a)
{
    put_label(j, "node", a->node);
    put_label(j, "model", a->model);
    for (unsigned i = 0; i < a->labels; i++)
        put_label(j, a->label[i].name, a->label[i].value);
}

struct str alert_id(const struct alert *a, char out[ALERT_ID])
{
    int n = snprintf(out, ALERT_ID, "%s:%s:%s", a->name, a->node, a->model);
    return (struct str){ out, (size_t)n };
}

void alert_json(struct json_out *j, const struct alert *a)
{
    json_open(j, '{');
    char id[ALERT_ID];
    record_json_text(j, "id", alert_id(a, id));
    record_json_text(j, "name", str_of(a->name));
    record_json_text(j, "state", str_of(states[a->state]));
    record_json_text(j, "severity", str_of(severities[a->severity]));
    put_time(j, "since", a->since);
    put_number(j, "value", a->value);
    put_number(j, "threshold", a->threshold);
    if (a->unit == ALERT_MS)
        record_json_text(j, "unit", STR("ms"));
    record_json_text(j, "message", str_of(a->message));
    json_key(j, "labels");
    json_open(j, '{');
    put_labels(j, a);
    json_close(j);
    put_time(j, "fired", a->fired);
    put_time(j, "ended", a->ended);
    put_time(j, "silenced_until", a->silenced_until);
    json_close(j);
}

/* --- all of them --- */

static void put_state(struct alerts *a, struct json_out *j, enum alert_state state)
{
    struct alert alert;
    for (unsigned i = 0; i < ALERTS_MOST; i++)
        if (a->slot[i].key && a->slot[i].state == state) {
            alert_of_slot(a, &a->slot[i], &alert);
            alert_json(j, &alert);
        }
}

static void put_silences(struct alerts *a, struct json_out *j)
{
    json_open(j, '[');
    for (unsigned i = 0; i < a->silences; i++) {
        struct alert_silence s = a->silence[i];
        s.until += a->ahead;
        alert_silence_json(j, &s);
    }
    json_close(j);
}

uint64_t alerts_silences_mark(struct alerts *a)
{
    pthread_mutex_lock(&a->lock);
    uint64_t mark = a->next_silence << 8 | a->silences;
    pthread_mutex_unlock(&a->lock);
    return mark;
}

void alerts_put_silences(struct alerts *a, struct json_out *j)
{
    pthread_mutex_lock(&a->lock);
    put_silences(a, j);
    pthread_mutex_unlock(&a->lock);
}

void alerts_json(struct alerts *a, struct json_out *j)
{
    json_key(j, "alerts");
    json_open(j, '[');
    pthread_mutex_lock(&a->lock);
    put_state(a, j, ALERT_FIRING);
    put_state(a, j, ALERT_PENDING);
    put_state(a, j, ALERT_RESOLVED);
    json_close(j);
    json_key(j, "silences");
    put_silences(a, j);
    pthread_mutex_unlock(&a->lock);
}

/* --- receivers --- */

void alert_put_webhook(struct text *t, const struct alert *alerts, unsigned n)
{
    struct json_out j = { .to = t };
    bool any = false;
    for (unsigned i = 0; i < n; i++)
        any |= alerts[i].state == ALERT_FIRING;
    json_open(&j, '{');
    record_json_text(&j, "version", STR("1"));
    record_json_text(&j, "source", STR("ollamamax"));
    record_json_text(&j, "status", any ? STR("firing") : STR("resolved"));
    json_key(&j, "alerts");
    json_open(&j, '[');
    for (unsigned i = 0; i < n; i++)
        alert_json(&j, &alerts[i]);
    json_close(&j);
    json_close(&j);
}

#define ALERTMANAGER_ENDS SECOND(5 * 60)

static void put_postable(struct json_out *j, const struct alert *a, nsec wall, struct str generator)
{
    json_open(j, '{');
    json_key(j, "labels");
    json_open(j, '{');
    record_json_text(j, "alertname", str_of(a->name));
    record_json_text(j, "severity", str_of(severities[a->severity]));
    record_json_text(j, "source", STR("ollamamax"));
    put_labels(j, a);
    json_close(j);
    json_key(j, "annotations");
    json_open(j, '{');
    record_json_text(j, "summary", str_of(a->message));
    json_close(j);
    put_time(j, "startsAt", a->fired ? a->fired : a->since);
    put_time(j, "endsAt", a->state == ALERT_FIRING ? wall + ALERTMANAGER_ENDS : a->ended ? a->ended : a->since);
    if (generator.n)
        record_json_text(j, "generatorURL", generator);
    json_close(j);
}

void alert_put_alertmanager(struct text *t, const struct alert *alerts, unsigned n, nsec wall, struct str generator)
{
    struct json_out j = { .to = t };
    json_open(&j, '[');
    for (unsigned i = 0; i < n; i++)
        put_postable(&j, &alerts[i], wall, generator);
    json_close(&j);
}

/* --- silences --- */

#define SILENCE_LONGEST SECOND(366 * 86400)

static const char *take_text(struct arena *arena, struct json o, struct str key, char *out, size_t room)
{
    struct json v = json_get(o, key);
    if (v.kind == JSON_BAD || v.kind == JSON_NULL)
        return NULL;
    struct str s = v.kind == JSON_STRING ? json_text(arena, v) : STR_NONE;
    if (!s.p || s.n >= room)
        return "name, node, model and comment must be strings of moderate length";
    *put_str(out, s) = 0;
    return NULL;
}

static const char *take_texts(struct arena *arena, struct json o, struct alert_silence *s)
{
    struct json labels = json_get(o, STR("labels"));
    const char *why = take_text(arena, o, STR("name"), s->name, sizeof s->name);
    why = why ? why : take_text(arena, labels, STR("node"), s->node, sizeof s->node);
    why = why ? why : take_text(arena, labels, STR("model"), s->model, sizeof s->model);
    return why ? why : take_text(arena, o, STR("comment"), s->comment, sizeof s->comment);
}

static nsec duration_of(struct arena *arena, struct json o)
{
    struct json text = json_get(o, STR("duration"));
    int64_t seconds = 0;
    nsec lasts = 0;
    if (text.kind == JSON_STRING)
        return stamp_go_duration(json_text(arena, text), &lasts) ? lasts : 0;
    return json_i64(json_get(o, STR("duration_s")), &seconds) && seconds < SILENCE_LONGEST / SECOND(1) ? SECOND(seconds)
                                                                                                       : 0;
}

static const char *take_duration(struct arena *arena, struct json o, nsec wall, nsec *out_until)
{
    nsec lasts = duration_of(arena, o);
    if (lasts <= 0 || lasts > SILENCE_LONGEST)
        return "duration (\"2h\") or duration_s (7200) must say how long, a year at most";
    *out_until = wall + lasts;
    return NULL;
}

enum fail alert_silence_read(struct alert_silence *s, struct str body, nsec wall, const char **why)
{
    struct json o = json_parse(body, NULL);
    struct arena arena;
    *s = (struct alert_silence){ 0 };
    *why = "the body must be a JSON object";
    if (o.kind != JSON_OBJECT)
        return FAIL_bad_json;
    arena_init(&arena);
    *why = take_texts(&arena, o, s);
    *why = *why ? *why : take_duration(&arena, o, wall, &s->until);
    bool out_of_memory = arena.failed;
    arena_done(&arena);
    return out_of_memory ? FAIL_no_memory : *why ? FAIL_bad_value : OK;
}

void alert_silence_json(struct json_out *j, const struct alert_silence *s)
{
    json_open(j, '{');
    char id[24];
    record_json_text(j, "id", str_span(id, put_u64(id, s->id)));
    json_key(j, "name");
    json_put_str(j, str_of(s->name));
    json_key(j, "labels");
    json_open(j, '{');
    put_label(j, "node", s->node);
    put_label(j, "model", s->model);
    json_close(j);
    put_time(j, "until", s->until);
    record_json_text(j, "comment", str_of(s->comment));
    json_close(j);
}
