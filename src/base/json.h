/* base/json.h - JSON without a tree: a forward scanner over bytes that stay where they are, and a writer.
 *
 * The scanner checks syntax as it goes (RFC 8259; one value, what follows is the caller's affair, as Go's decoder has
 * it) and never recurses: nesting deeper than 512 is a failure. Invalid UTF-8 inside strings is let pass, as Go
 * replaces it. Finding the end of a string is glibc memchr for '"' and counting backslashes before it, linear also for
 * `\"\"\"...`. Pure; any thread. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

enum json_kind { JSON_BAD, JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };
struct json {
    enum json_kind kind;
    struct str raw; /* the whole value's bytes: a string with its quotes, an object with its braces; JSON_BAD: up to the
                       fault */
    uint64_t keys;  /* which keys may occur inside, at any depth: see json_may_hold */
};
/* The first value in `text` (white space before it skipped); *out_rest, if not NULL, is what follows. kind JSON_BAD on
 * bad syntax; raw then ends where the fault is, which is the end of `text` if more bytes could have made it good. */
struct json json_parse(struct str text, struct str *out_rest);
/* json_parse, except that what strings hold between their quotes (escapes, control characters) is not looked at: a
 * third of the time, for bodies that a stricter reader gets after us. Accepts whatever json_parse accepts, with the
 * same extent. */
struct json json_skim(struct str text, struct str *out_rest);
/* False if no object inside `container` has this key, in any case, spelled without escapes. True is a hint: walk to be
 * sure. */
bool json_may_hold(struct json container, struct str key);

/* Walk the members of an object, or elements of an array.
 *     struct json_walk w = json_walk(v); while (json_next(&w)) { w.key (raw, with quotes; none in arrays), w.value }
 * Any other kind has no members. */
enum json_at { JSON_AT_FIRST, JSON_AT_NEXT, JSON_AT_END, JSON_AT_FAULT };
struct json_walk {
    struct str rest;
    struct str key;
    struct json value;
    bool object;
    enum json_at at;
};
struct json_walk json_walk(struct json container);
/* Walk the first value of a text not parsed before, in one pass: json_skim's checks are made on the way. When json_next
 * has said false, `at` tells why, and `rest` is what follows the container, or begins with the fault (as does anything
 * but a container). */
struct json_walk json_walk_text(struct str text);
bool json_next(struct json_walk *w);
/* Behind json_key_is and json_i64, where a first look does not settle it. */
bool json_key_folds_to(struct str raw_key, struct str name);
bool json_read_i64(struct str number, int64_t *out);
/* Does a raw key (with quotes, escapes possible) equal the ASCII `name` as Go matches struct fields: in any case,
 * U+017F being an s and U+212A a k? */
static inline bool json_key_is(struct str raw_key, struct str name)
{
    bool same = raw_key.n == name.n + 2 && memcmp(raw_key.p + 1, name.p, name.n) == 0;
    return same || (raw_key.n >= name.n + 2 && json_key_folds_to(raw_key, name));
}
/* The same to the letter, as Go matches the keys of maps. */
bool json_key_is_exactly(struct str raw_key, struct str name);
/* The last member of that name (Go: the last duplicate wins); JSON_BAD kind if there is none or `object` is no object.
 */
struct json json_get(struct json object, struct str name);
/* The text of a JSON string: escapes decoded (\u pairs to UTF-8, lone surrogates to U+FFFD) into the arena only when
 * there are any, else the bytes in place. kind must be JSON_STRING. NULL bytes when memory is out. A wrong escape,
 * which only json_skim lets pass, stands for its second character. */
struct str json_text(struct arena *a, struct json string);
/* Numbers: false if not a number or out of range (json_f64: or longer than 400 bytes). json_i64 takes only integers
 * (also 3e2, 4.0, as a whole number). */
static inline bool json_i64(struct json v, int64_t *out)
{
    return v.kind == JSON_NUMBER && json_read_i64(v.raw, out);
}
bool json_f64(struct json v, double *out);

/* The writer: appends to a text builder. Commas are put by the writer; nesting up to 32.
 *     struct json_out j = { .to = &t }; json_open(&j, '{'); json_key(&j, "n"); json_put_i64(&j, 3); json_close(&j); */
struct json_out {
    struct text *to;
    uint32_t comma; /* bit per depth: a comma is due */
    uint32_t array; /* bit per depth: an array */
    int depth;
    bool keyed;
};
void json_open(struct json_out *j, char bracket); /* '{' or '[' */
void json_close(struct json_out *j);
void json_key_plain(struct json_out *j, struct str key); /* needs no escapes */
static inline void json_key(struct json_out *j, const char *key)
{
    json_key_plain(j, str_of(key));
}
void json_key_str(struct json_out *j, struct str key);
void json_put_str(struct json_out *j, struct str s); /* escapes; invalid UTF-8 becomes U+FFFD */
void json_put_i64(struct json_out *j, int64_t v);
void json_put_u64(struct json_out *j, uint64_t v);
void json_put_f64(struct json_out *j, double v); /* shortest form that reads back; not finite: null */
void json_put_bool(struct json_out *j, bool v);
void json_put_null(struct json_out *j);
void json_put_raw(struct json_out *j, struct str json); /* already JSON */
/* s as a JSON string literal with quotes, appended. */
void json_quote(struct text *t, struct str s);
/* True: s is ASCII without anything to escape, and may stand between quotes as it is. */
bool json_is_plain(struct str s);
