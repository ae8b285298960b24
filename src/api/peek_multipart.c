/* api/peek_multipart.c - the model of a form, read so narrowly that nobody can read it otherwise.
 *
 *     --boundary CRLF  header lines CRLF  CRLF  value  CRLF--boundary CRLF ... CRLF--boundary--
 *
 * Go's reader, and so the node, is generous: preambles, bare LF, folded headers, RFC 2231 parameters (name*0="mo";
 * name*1="del"), quoted-printable values. Each is a way to show two programs two different models, and no client
 * library for transcription sends any of them. So instead of imitating all that, what we do not know in front of the
 * model is refused. Behind it nothing is read: the first value wins. Files are jumped over by memmem for CRLF and the
 * boundary, two to four bytes a cycle. */
#include "api/peek.h"

#define BOUNDARY_MAX 70

struct param {
    struct str name, value; /* value without quotes, escapes left in */
};
/* What a part's header lines say. `doubtful`: a file by a parameter that not everyone reads; `odd`: we do not know. */
struct part {
    struct str name;
    bool named, file, doubtful, odd;
};

static const char *const not_a_form = "request Content-Type isn't multipart/form-data";
static const char *const not_understood = "the multipart form is not understood";

static enum fail refuse(struct str *detail, const char *why)
{
    *detail = str_of(why);
    return FAIL_bad_value;
}

/* --- parameters --- */

static bool is_token_char(char c)
{
    return c > ' ' && c < 0x7F && !strchr("()<>@,;:\\\"/[]?=", c);
}

static struct str take_token(struct str *s)
{
    size_t n = 0;
    while (n < s->n && is_token_char(s->p[n]))
        n++;
    struct str token = str_take(*s, n);
    *s = str_drop(*s, n);
    return token;
}

/* At the opening quote; leaves behind the closing one. */
static bool take_quoted(struct str *s, struct str *out)
{
    for (size_t i = 1; i < s->n; i++) {
        if (s->p[i] == '\\')
            i++;
        else if (s->p[i] == '"') {
            *out = (struct str){ s->p + 1, i - 1 };
            *s = str_drop(*s, i + 1);
            return true;
        }
    }
    return false;
}

static void skip_blank(struct str *s)
{
    while (s->n > 0 && (*s->p == ' ' || *s->p == '\t'))
        *s = str_drop(*s, 1);
}

static bool take_char(struct str *s, char c)
{
    skip_blank(s);
    bool is = s->n > 0 && *s->p == c;
    *s = str_drop(*s, is);
    skip_blank(s);
    return is;
}

/* `; name=value` at the front of s. */
static bool take_param(struct str *s, struct param *out)
{
    if (!take_char(s, ';'))
        return false;
    out->name = take_token(s);
    if (out->name.n == 0 || !take_char(s, '='))
        return false;
    bool good = s->n > 0 && *s->p == '"' ? take_quoted(s, &out->value) : (out->value = take_token(s)).n > 0;
    skip_blank(s);
    return good;
}

static bool read_boundary(struct str content_type, struct str *out)
{
    struct param p;
    size_t seen = 0;
    struct str s = content_type, form = STR("multipart/form-data");
    if (!str_starts_nocase(s, form))
        return false;
    s = str_drop(s, form.n);
    skip_blank(&s);
    while (s.n > 0) {
        if (!take_param(&s, &p) || str_chr(p.name, '*') >= 0)
            return false;
        if (str_eq_nocase(p.name, STR("boundary"))) {
            *out = p.value;
            seen++;
        }
    }
    return seen == 1 && out->n > 0 && out->n <= BOUNDARY_MAX && str_chr(*out, '\\') < 0;
}

/* --- header lines of a part --- */

static void read_disposition(struct str s, struct part *p)
{
    struct param param;
    p->odd |= p->named || !str_eq_nocase(take_token(&s), STR("form-data"));
    skip_blank(&s);
    for (unsigned files = 0; s.n > 0 && !p->odd;) {
        if (!take_param(&s, &param)) {
            p->odd = true;
        } else if (str_eq_nocase(param.name, STR("name"))) {
            p->odd |= p->named;
            p->named = true;
            p->name = param.value;
        } else if (str_eq_nocase(param.name, STR("filename"))) {
            p->odd |= files++ > 0;
            p->file |= param.value.n > 0;
        } else {
            p->odd |= p->doubtful || !str_eq_nocase(param.name, STR("filename*"));
            p->doubtful = true;
        }
    }
    p->odd |= !p->named;
}

static bool is_plain_encoding(struct str s)
{
    return str_eq_nocase(s, STR("7bit")) || str_eq_nocase(s, STR("8bit")) || str_eq_nocase(s, STR("binary"));
}

static void read_header_line(struct str line, struct part *p)
{
    struct str value = line, name = str_cut(&value, ':');
    value = str_trim_blank(value);
    p->odd |= str_chr(line, '\n') >= 0 || str_chr(line, '\r') >= 0 || str_chr(line, '\0') >= 0 ||
              take_token(&name).n == 0 || name.n > 0;
    name = str_take(line, (size_t)(name.p - line.p));
    if (str_eq_nocase(name, STR("content-disposition")))
        read_disposition(value, p);
    if (str_eq_nocase(name, STR("content-transfer-encoding")))
        p->odd |= !is_plain_encoding(value);
}

/* Header lines and the empty line after them; *s is then the value and what follows it. */
static bool take_part_head(struct str *s, struct part *out)
{
    *out = (struct part){ 0 };
    while (!out->odd) {
        ssize_t end = str_find(*s, STR("\r\n"));
        if (end < 0)
            return false;
        struct str line = str_take(*s, (size_t)end);
        *s = str_drop(*s, (size_t)end + 2);
        if (line.n == 0)
            return true;
        read_header_line(line, out);
    }
    return false;
}

/* --- parts --- */

/* Cuts *s at the next delimiter; *out is what stands before it. False if it is the last one, or something we do not
 * know. */
static bool take_value(struct str *s, struct str delimiter, struct str *out)
{
    ssize_t at = str_find(*s, delimiter);
    if (at < 0)
        return false;
    *out = str_take(*s, (size_t)at);
    *s = str_drop(*s, (size_t)at + delimiter.n);
    return str_starts(*s, STR("\r\n")) || str_starts(*s, STR("--"));
}

enum fail peek_multipart(struct str content_type, struct str body, struct arena *a, struct peek *out,
                         struct str *detail)
{
    char buffer[BOUNDARY_MAX + 4] = "\r\n--";
    struct str boundary, value;
    struct part part;
    *out = (struct peek){ 0 };
    *detail = STR_NONE;
    if (!read_boundary(content_type, &boundary))
        return refuse(detail, not_a_form);
    if (body.n == 0)
        return FAIL_missing_body;
    memcpy(buffer + 4, boundary.p, boundary.n);
    struct str delimiter = { buffer, boundary.n + 4 }, rest = str_drop(body, delimiter.n - 2);
    if (!str_starts(body, str_drop(delimiter, 2)))
        return refuse(detail, not_understood);
    while (str_starts(rest, STR("\r\n"))) {
        rest = str_drop(rest, 2);
        if (!take_part_head(&rest, &part) || !take_value(&rest, delimiter, &value))
            return refuse(detail, not_understood);
        bool model = part.named && str_eq(part.name, STR("model"));
        if (model && part.doubtful)
            return refuse(detail, not_understood);
        if (model && !part.file) {
            out->model = out->model_raw = value;
            return OK;
        }
    }
    return str_starts(rest, STR("--")) ? OK : refuse(detail, not_understood);
}
