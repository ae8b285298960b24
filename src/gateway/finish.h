/* gateway/finish.h - what is left of an exchange: its record. */
#pragma once
#include "gateway/exchange.h"

/* Makes the record and hands it to the worker's meter, the access log and whoever watches (plays). */
/* An attempt on x->up.node_name has ended: kept for the record. */
void finish_attempt(struct exchange *x, enum fail why);
void finish_record(struct exchange *x);
