/* gateway/finish.h - what is left of an exchange: its record. */
#pragma once
#include "gateway/exchange.h"

/* Makes the record and hands it to the worker's meter, the access log and whoever watches (plays). */
void finish_record(struct exchange *x);
