/* test/play/tongue.h - what nodes say in each dialect: a record with some text, the last record, an error, a hollow
 * chunk, a whole answer. The caller frees. `tag` names the request at its node ("n1/3"), so that bytes of two answers
 * are never alike. */
#pragma once
#include "base/str.h"

enum tongue { CHAT, GENERATE, STATUS, V1_CHAT, V1_COMPLETIONS, V1_RESPONSES, V1_MESSAGES, OTHER, TONGUES };
enum tongue tongue_of(struct str path);
bool tongue_is_sse(enum tongue t);
/* Does a request with this body ask for a stream? */
bool tongue_streams(enum tongue t, struct str body);
char *tongue_record(enum tongue t, const char *text, const char *tag);
char *tongue_done(enum tongue t, const char *tag);
char *tongue_error(enum tongue t, const char *text);
char *tongue_hollow(enum tongue t);
char *tongue_whole(enum tongue t, const char *text, const char *tag);
/* Is there a proof of the end, or an error record, in what a client got? */
bool tongue_is_ended(enum tongue t, struct str body);
/* Is `record` one that the gateway writes when a stream broke? */
bool tongue_is_error(enum tongue t, struct str record);
/* The same for one of which only a part has come. */
bool tongue_may_be_error(enum tongue t, struct str part);
