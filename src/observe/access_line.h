/* observe/access_line.h - a record as a line of the access log: one JSON object and a newline. Pure; any thread. */
#pragma once
#include "observe/record.h"

#define ACCESS_LINE_MOST KIB(4) /* every byte of a record's texts escaped in full is below half of it */

/* The line's length. The same keys whatever is known; what is not known is null. */
size_t access_line(char line[ACCESS_LINE_MOST], const struct record *r);
