/* base/stamp.h - moments as people and protocols write them. Pure; any thread. */
#pragma once
#include "base/str.h"

/* RFC 3339 with nanoseconds and Z, as Ollama's created_at; not NUL-terminated; returns the length (<= 36). */
size_t stamp_rfc3339(nsec wall, char out[36]);
/* RFC 9110 section 5.6.7 IMF-fixdate, always 29 characters. */
size_t stamp_http(nsec wall, char out[32]);
/* Reads an IMF-fixdate; false if it is none (the two obsolete forms of RFC 9110 are none here). The weekday is not
 * looked at. */
bool stamp_parse_http(struct str s, nsec *out_wall);
/* Reads RFC 3339 with any fraction and offset: nanoseconds since 1970 UTC, saturated to the type; false if it is none.
 */
bool stamp_parse(struct str s, nsec *out_wall);
/* Go's duration text ("1h30m", "1.5s", "-1m", "300ms"; units ns us ms s m h) in nanoseconds, saturated; false if it is
 * none. A bare number has no unit and is none, except "0". */
bool stamp_go_duration(struct str s, nsec *out);
