/* api/name.c - a name is cut from the right, because only its end is always there.
 *
 *     https://hf.co:443/bartowski/Llama-3.2:Q4_K_M:cloud
 *             host      namespace model     tag    source
 *
 * First the source suffix goes, then the tag, if its colon comes after the last slash (before it, it is a registry's
 * port), then model, namespace and host at slashes. What a separator promises must not be empty, what is not promised
 * gets its default. The order of these steps is Ollama's, and so are its corners: `x://` in front of an absent host
 * still means the default host, and any scheme is dropped unread. Deciding by a grammar instead would be prettier and
 * would differ in just such corners, and a name that the gateway and the node read differently is a way around access
 * rules. */
#include "api/name.h"
#include "base/buf.h"

#define USUAL_HOST      "registry.ollama.ai"
#define USUAL_NAMESPACE "library"
#define USUAL_TAG       "latest"

enum part { HOST, NAMESPACE, MODEL, TAG, PART_COUNT };
struct rule {
    struct str unless_given;
    size_t longest;
    const char *marks; /* besides letters and digits; all but _ not in front */
    char ends_with;    /* what separates it from the next part */
};
static const struct rule rules[PART_COUNT] = {
    [HOST] = {STR(USUAL_HOST),       350, "_-.:", '/' },
    [NAMESPACE] = { STR(USUAL_NAMESPACE), 80,  "_-",   '/' },
    [MODEL] = { STR(""),              80,  "_-.",  ':' },
    [TAG] = { STR(USUAL_TAG),       80,  "_-.",  '\0'},
};
_Static_assert(350 + 3 * 80 + PART_COUNT <= NAME_MAX_BYTES, "the longest name fits");

/* A name without its source: "path:tag" once the tag is known, else all of it in path. */
struct reference {
    struct str path, tag;
    bool tagged;
};

/* Cuts at the last `sep`: *s keeps what is before it. */
static bool cut_last(struct str *s, char sep, struct str *out_after)
{
    ssize_t at = str_rchr(*s, sep);
    if (at < 0)
        return false;
    *out_after = str_drop(*s, (size_t)at + 1);
    *s = str_take(*s, (size_t)at);
    return true;
}

/* "8b-cloud": a tag as the registry has it for cloud models. */
static bool is_cloud_tag(struct str word)
{
    struct str end = STR("-cloud");
    return word.n >= end.n && str_eq_nocase(str_drop(word, word.n - end.n), end) && str_chr(word, '/') < 0;
}

static enum name_source strip_source(struct reference *r)
{
    struct str path = r->path, word = r->tag;
    if (!r->tagged && !cut_last(&path, ':', &word))
        return SOURCE_NONE;
    word = str_trim(word);
    bool local = str_eq_nocase(word, STR("local"));
    if (local || str_eq_nocase(word, STR("cloud"))) {
        *r = (struct reference){ .path = path };
        return local ? SOURCE_LOCAL : SOURCE_CLOUD;
    }
    if (!is_cloud_tag(word))
        return SOURCE_NONE;
    *r = (struct reference){ .path = path, .tag = str_take(word, word.n - STR("-cloud").n), .tagged = true };
    return SOURCE_CLOUD;
}

static struct str host_of(struct str s)
{
    ssize_t scheme = str_find(s, STR("://"));
    if (scheme < 0)
        return s;
    struct str host = str_drop(s, (size_t)scheme + 3);
    return host.n > 0 ? host : rules[HOST].unless_given;
}

static void cut_parts(const struct reference *r, struct str part[PART_COUNT])
{
    struct str s = r->path;
    for (int i = 0; i < PART_COUNT; i++)
        part[i] = rules[i].unless_given;
    if (r->tagged)
        part[TAG] = r->tag;
    else if (str_rchr(s, ':') > str_rchr(s, '/'))
        cut_last(&s, ':', &part[TAG]);
    if (!cut_last(&s, '/', &part[MODEL]))
        part[MODEL] = s;
    else if (!cut_last(&s, '/', &part[NAMESPACE]))
        part[NAMESPACE] = s;
    else
        part[HOST] = host_of(s);
}

static inline char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool is_letter_or_digit(char c)
{
    char low = lower(c);
    return (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9');
}

static bool is_valid(struct str s, const struct rule *rule)
{
    if (s.n == 0 || s.n > rule->longest || (*s.p != '_' && !is_letter_or_digit(*s.p)))
        return false;
    for (size_t i = 1; i < s.n; i++)
        if (!is_letter_or_digit(s.p[i]) && (s.p[i] == '\0' || !strchr(rule->marks, s.p[i])))
            return false;
    return true;
}

static size_t join(const struct str part[PART_COUNT], enum part from, char *out)
{
    char *at = out;
    for (int i = (int)from; i < PART_COUNT; i++) {
        at = put_str(at, part[i]);
        if (rules[i].ends_with)
            *at++ = rules[i].ends_with;
    }
    return (size_t)(at - out);
}

static enum part first_shown(const struct str part[PART_COUNT])
{
    if (!str_eq_nocase(part[HOST], rules[HOST].unless_given))
        return HOST;
    return str_eq_nocase(part[NAMESPACE], rules[NAMESPACE].unless_given) ? MODEL : NAMESPACE;
}

/* "model" or "model:tag" into show, and lower-cased into key; false if it is anything else, or too long to be sure. */
static inline bool copy_plain(struct str text, char *show, char *key, bool *out_tagged)
{
    bool begins = true;
    *out_tagged = false;
    if (text.n > rules[MODEL].longest)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i], low = (char)(c | 0x20);
        bool letter = (unsigned char)(low - 'a') < 26, colon = c == ':' && !*out_tagged;
        if (!letter && (unsigned char)(c - '0') > 9 && c != '_' && (begins || (c != '.' && c != '-' && !colon)))
            return false;
        show[i] = c;
        key[i] = letter ? low : c;
        begins = colon;
        *out_tagged |= colon;
    }
    return !begins;
}

/* Nearly every name is a model of the library, which needs no cutting. A tag that ends as "local" or "cloud" does may
 * be a source. */
static bool parse_plain(struct str text, struct name *out)
{
    static const char path[] = USUAL_HOST "/" USUAL_NAMESPACE "/", tag[] = ":" USUAL_TAG;
    bool tagged;
    char *key = out->key + sizeof path - 1;
    if (!copy_plain(text, out->show, key, &tagged))
        return false;
    char last = key[text.n - 1];
    if (tagged && (last == 'd' || last == 'l'))
        return false;
    memcpy(out->key, path, sizeof path - 1);
    memcpy(out->show + text.n, tag, sizeof tag - 1);
    memcpy(key + text.n, tag, sizeof tag - 1);
    out->show_n = text.n + (tagged ? 0 : sizeof tag - 1);
    out->key_n = sizeof path - 1 + out->show_n;
    out->source = SOURCE_NONE;
    return true;
}

enum fail name_parse(struct str text, struct name *out)
{
    if (parse_plain(text, out))
        return OK;
    struct str part[PART_COUNT];
    struct reference r = { .path = str_trim(text) };
    if (r.path.n == 0)
        return FAIL_model_required;
    out->source = strip_source(&r);
    struct reference again = r;
    if (out->source && strip_source(&again))
        return FAIL_source_twice;
    cut_parts(&r, part);
    for (int i = 0; i < PART_COUNT; i++)
        if (!is_valid(part[i], &rules[i]))
            return FAIL_bad_model_name;
    out->show_n = join(part, first_shown(part), out->show);
    out->key_n = join(part, HOST, out->key);
    for (size_t i = 0; i < out->key_n; i++)
        out->key[i] = lower(out->key[i]);
    return OK;
}
