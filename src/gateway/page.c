/* The pages of the dashboard, out of the program.
 *
 * They say nothing about anybody, so everyone may load them: what they show comes from routes that ask for the key, and
 * a page that could not even be loaded could not ask for it. All addresses in them are relative, hence the redirect to
 * the name with a slash, itself relative: it holds behind whatever prefix a reverse proxy has put in front. */
#include "gateway/ops.h"

/* The weight of `gzip` may be named, and be zero (RFC 9110 section 12.5.3): "gzip;q=0". */
static bool refuses(struct str parameters)
{
    struct str q = str_trim_blank(parameters);

    if (!str_starts_nocase(q, STR("q=")))
        return false;
    for (size_t i = 2; i < q.n; i++)
        if (q.p[i] >= '1' && q.p[i] <= '9')
            return false;
    return true;
}

static bool takes_gzip(struct str accepted)
{
    while (accepted.n) {
        struct str parameters = str_cut(&accepted, ','), coding = str_trim_blank(str_cut(&parameters, ';'));
        if (str_eq_nocase(coding, STR("gzip")) || str_eq(coding, STR("*")))
            return !refuses(parameters);
    }
    return false;
}

/* One of the tags named is the file's, weak or not: a copy is as good as the other. */
static bool has_it_already(struct str named, struct str etag)
{
    while (named.n) {
        struct str tag = str_trim_blank(str_cut(&named, ','));
        if (str_starts(tag, STR("W/")))
            tag = str_drop(tag, 2);
        if (str_eq(tag, etag) || str_eq(tag, STR("*")))
            return true;
    }
    return false;
}

static void put_headers(struct exchange *x, const struct static_file *f)
{
    answer_header(x, STR("ETag"), str_of(f->etag));
    answer_header(x, STR("Cache-Control"), f->immutable ? STR("public, max-age=31536000, immutable") : STR("no-cache"));
    answer_header(x, STR("Vary"), STR("Accept-Encoding"));
    answer_header(x, STR("Content-Security-Policy"), STR(STATIC_FILE_POLICY));
    answer_header(x, STR("X-Content-Type-Options"), STR("nosniff"));
    answer_header(x, STR("Referrer-Policy"), STR("no-referrer"));
}

static enum step send_file(struct exchange *x, const struct static_file *f)
{
    put_headers(x, f);
    if (has_it_already(x->in.if_none_match, str_of(f->etag)))
        return answer(x, 304, STR_NONE, STR_NONE);
    if (!f->gzip.n || !takes_gzip(x->in.accept_encoding))
        return answer(x, 200, str_of(f->type), f->bytes);
    answer_header(x, STR("Content-Encoding"), STR("gzip"));
    return answer(x, 200, str_of(f->type), f->gzip);
}

enum step page_enter(struct exchange *x)
{
    bool is_root = x->route.row->id == ROUTE_dashboard;
    static_file_find *find = x->worker->gateway->page;
    const struct static_file *f = NULL;

    if (is_root && !x->in.slash && find) {
        answer_header(x, STR("Location"), STR("dashboard/"));
        return answer(x, 308, STR_NONE, STR_NONE);
    }
    if (find && (is_root || !x->in.slash))
        f = find(is_root ? STR("/dashboard/") : x->in.path);
    return f ? send_file(x, f) : answer_fail(x, FAIL_not_found, STR("404 page not found"));
}
