/* observe/alert_rule.c - rules: those of observe/alert.def, and those that people write.
 *
 *     node_inflight {node="gpu1"} > 5
 *     ^ value        ^ only of    ^ compare and threshold        all else (for, message, labels) are settings of their
 * own
 *
 * No expressions: what needs arithmetic or a window is a value of its own (observe/signals.c), or is Prometheus' job.
 */
#include "observe/alert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct alert_rule built_in[] = {
#define ALERT(id, the_severity, the_value, the_compare, the_threshold, the_clear, for_s, keep_s, window_s, the_unit,   \
              the_message)                                                                                             \
    { .name = #id,                                                                                                     \
      .value = the_value,                                                                                              \
      .compare = ALERT_##the_compare,                                                                                  \
      .severity = ALERT_##the_severity,                                                                                \
      .unit = ALERT_##the_unit,                                                                                        \
      .threshold = the_threshold,                                                                                      \
      .clear = the_clear,                                                                                              \
      .lasts = SECOND(for_s),                                                                                          \
      .keeps = SECOND(keep_s),                                                                                         \
      .window = SECOND(window_s),                                                                                      \
      .message = the_message },
#include "observe/alert.def"
};

const struct alert_rule *alert_rules_built_in(unsigned *out_n)
{
    *out_n = ARRAY_LEN(built_in);
    return built_in;
}

/* --- reading --- */

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == ':';
}

static bool take(char into[ALERT_NAME], struct str s)
{
    if (!s.n || s.n >= ALERT_NAME)
        return false;
    *put_str(into, s) = 0;
    return true;
}

static bool read_name(struct str *rest, char into[ALERT_NAME])
{
    size_t n = 0;
    while (n < rest->n && is_name_byte(rest->p[n]))
        n++;
    bool good = take(into, str_take(*rest, n));
    if (good)
        *rest = str_trim_blank(str_drop(*rest, n));
    return good;
}

/* node="gpu1" */
static bool read_selector(struct alert_rule *r, struct str text)
{
    struct str value = text, name = str_trim_blank(str_cut(&value, '='));
    value = str_trim_blank(value);
    if (value.n < 2 || value.p[0] != '"' || value.p[value.n - 1] != '"')
        return false;
    value = (struct str){ value.p + 1, value.n - 2 };
    if (str_eq(name, STR("node")))
        return take(r->node, value);
    if (str_eq(name, STR("model")))
        return take(r->model, value);
    return r->wheres < ALERT_LABELS && take(r->where[r->wheres].name, name) && take(r->where[r->wheres++].value, value);
}

static bool read_selectors(struct alert_rule *r, struct str *rest)
{
    if (!str_starts(*rest, STR("{")))
        return true;
    ssize_t end = str_chr(*rest, '}');
    if (end < 0)
        return false;
    struct str inside = { rest->p + 1, (size_t)end - 1 };
    while (inside.n)
        if (!read_selector(r, str_cut(&inside, ',')))
            return false;
    *rest = str_trim_blank(str_drop(*rest, (size_t)end + 1));
    return true;
}

static bool read_compare(struct alert_rule *r, struct str *rest)
{
    if (!rest->n || (rest->p[0] != '>' && rest->p[0] != '<'))
        return false;
    r->compare = rest->p[0] == '>' ? ALERT_ABOVE : ALERT_BELOW;
    *rest = str_drop(*rest, 1);
    return true;
}

/* `>= 5` is above the next smaller number: with that no third and fourth comparison are needed. */
static bool read_threshold(struct alert_rule *r, struct str *rest)
{
    bool or_equal = str_starts(*rest, STR("="));
    struct str number = str_trim_blank(str_drop(*rest, or_equal));
    char z[40], *end = z;
    if (!number.n || number.n >= sizeof z)
        return false;
    *put_str(z, number) = 0;
    r->threshold = strtod(z, &end);
    if (*end || !isfinite(r->threshold))
        return false;
    if (or_equal)
        r->threshold = nextafter(r->threshold, r->compare == ALERT_ABOVE ? -INFINITY : INFINITY);
    return true;
}

enum fail alert_rule_read_metric(struct alert_rule *r, struct str text, struct str *out_fault)
{
    struct str rest = str_trim_blank(text);
    bool good = read_name(&rest, r->value) && read_selectors(r, &rest) && !rest.n;
    *out_fault = good ? STR_NONE : rest;
    return good ? OK : FAIL_bad_setting;
}

enum fail alert_rule_read(struct alert_rule *r, struct str text, struct str *out_fault)
{
    struct str rest = str_trim_blank(text);
    bool good =
        read_name(&rest, r->value) && read_selectors(r, &rest) && read_compare(r, &rest) && read_threshold(r, &rest);
    *out_fault = good ? STR_NONE : rest;
    return good ? OK : FAIL_bad_setting;
}
