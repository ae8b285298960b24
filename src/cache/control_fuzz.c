/* cache/control_fuzz.c - any bytes as a header line: a further line never loosens what was said. */
#include "cache/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct control c = control_none(), more;
    control_read(&c, (struct str){ (const char *)data, n });
    assume(c.max_age >= 0);
    more = c;
    control_read(&more, STR("max-age=7, no-cache"));
    assume(more.no_cache && more.no_store == c.no_store && more.max_age == MIN(c.max_age, SECOND(7)));
    return 0;
}
