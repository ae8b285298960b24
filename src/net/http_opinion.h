/* net/http_opinion.h - a second opinion on HTTP: what Debian's llhttp makes of the same bytes. For tests and fuzzers
 * only.
 *
 * We may be stricter than llhttp, never laxer: a message that we take must be taken there too, with the same method,
 * target, fields, body and end. */
#pragma once
#include "net/http_head.h"

/* A whole message at the front of `in`, or the start of one. NULL when we refuse it or both agree, else a sentence that
 * says where they part; it stays valid until the next call. One thread only. */
const char *http_opinion_on_request(struct str in);
const char *http_opinion_on_response(struct str in);
