/* config/alert_text.h - how people write alert rules: `name=busy,when=queue > 10,for=30s`, or the same as a mapping. */
#pragma once
#include "base/buf.h"
#include "observe/alert.h"

struct alert_rule alert_text_none(void);
/* One of name, metric, above, below, when, clear, for, keep, rate, severity, unit, message, labels. */
bool alert_text_set(struct alert_rule *r, struct str key, struct str value, struct text *why);
/* All has been set: is it a rule? Completes it. */
bool alert_text_whole(struct alert_rule *r, struct text *why);
/* The whole of the form with commas. */
bool alert_text_read(struct alert_rule *r, struct str text, struct text *why);
