/* observe/history_image.c - the history as bytes, for a file in the state folder.
 *
 *     header: magic and version, newest second, points per row, rows
 *     row:    name ("queue", "node_inflight:gpu1"), points as they lie in memory        x rows
 *     XXH3 of all that
 *
 * Rows bear names, so that a version with more or fewer series still reads the others. Points lie where their second
 * puts them (history.c), so they need no moving; the next sample clears what has passed meanwhile. The file is read by
 * the machine that wrote it: byte order is the machine's, and the magic is wrong on another. */
#include "observe/history_state.h"

#include <xxhash.h>

#define MAGIC 0x3154534948584D4Fu /* "OMXHIST1" */
struct image_header {
    uint64_t magic;
    int64_t second;
    uint32_t points, rows;
};
struct image_row {
    char name[128];
    struct history_row row;
};

/* --- out --- */

static void put_row(struct buf *to, struct str series, struct str node, const struct history_row *row)
{
    struct image_row *image = (void *)buf_tail(to);
    memset(image->name, 0, sizeof image->name);
    char *at = put_str(image->name, series);
    if (node.n)
        put_str(put_str(at, STR(":")), node);
    image->row = *row;
    to->end += sizeof *image;
}

static unsigned count_rows(const struct history *h)
{
    unsigned n = SERIES_COUNT;
    for (unsigned i = 0; i < PULSE_NODES; i++)
        n += h->node[i].name[0] ? NODE_SERIES_COUNT : 0;
    return n;
}

static void put_rows(const struct history *h, struct buf *to)
{
    for (unsigned s = 0; s < SERIES_COUNT; s++)
        put_row(to, series_of((enum series)s)->name, STR_NONE, &h->fleet_row[s]);
    for (unsigned i = 0; i < PULSE_NODES; i++)
        for (unsigned s = 0; h->node[i].name[0] && s < NODE_SERIES_COUNT; s++)
            put_row(to, series_of_node((enum node_series)s)->name, str_of(h->node[i].name), &h->node_row[i][s]);
}

enum fail history_save(struct history *h, struct buf *to)
{
    pthread_mutex_lock(&h->lock);
    struct image_header header = { MAGIC, h->second, HISTORY_POINTS, count_rows(h) };
    enum fail f = buf_reserve(to, sizeof header + header.rows * sizeof(struct image_row) + sizeof(XXH64_hash_t));
    if (!f) {
        buf_append(to, (struct str){ (const char *)&header, sizeof header });
        put_rows(h, to);
    }
    pthread_mutex_unlock(&h->lock);
    if (f)
        return f;
    XXH64_hash_t hash = XXH3_64bits(buf_str(to).p, buf_len(to));
    return buf_append(to, (struct str){ (const char *)&hash, sizeof hash });
}

/* --- in --- */

static bool is_ours(struct str image, struct image_header *out)
{
    XXH64_hash_t hash;
    if (image.n < sizeof *out + sizeof hash)
        return false;
    memcpy(out, image.p, sizeof *out);
    memcpy(&hash, image.p + image.n - sizeof hash, sizeof hash);
    return out->magic == MAGIC && out->points == HISTORY_POINTS && out->second > 0 &&
           image.n == sizeof *out + (uint64_t)out->rows * sizeof(struct image_row) + sizeof hash &&
           XXH3_64bits(image.p, image.n - sizeof hash) == hash;
}

static struct history_row *fleet_row_named(struct history *h, struct str name)
{
    for (unsigned s = 0; s < SERIES_COUNT; s++)
        if (str_eq(series_of((enum series)s)->name, name))
            return &h->fleet_row[s];
    return NULL;
}

static struct history_row *node_row_named(struct history *h, struct str name, struct str node)
{
    for (unsigned s = 0; s < NODE_SERIES_COUNT; s++)
        if (node.n && node.n <= PULSE_NAME && str_eq(series_of_node((enum node_series)s)->name, name)) {
            struct subject *subject = history_node_or_new(h, node, h->second);
            if (subject)
                subject->seen = h->second;
            return subject ? &subject->row[s] : NULL;
        }
    return NULL;
}

static void take_row(struct history *h, const char *bytes)
{
    const size_t name_bytes = sizeof((struct image_row){ 0 }.name);
    struct str node = { bytes, strnlen(bytes, name_bytes) };
    struct str name = str_cut(&node, ':');
    struct history_row *row = node.n ? node_row_named(h, name, node) : fleet_row_named(h, name);
    if (row)
        memcpy(row, bytes + name_bytes, sizeof *row);
}

bool history_restore(struct history *h, struct str image)
{
    struct image_header header;
    if (!is_ours(image, &header))
        return false;
    pthread_mutex_lock(&h->lock);
    assume(h->second == 0);
    h->second = header.second;
    for (uint32_t i = 0; i < header.rows; i++)
        take_row(h, image.p + sizeof header + i * sizeof(struct image_row));
    pthread_mutex_unlock(&h->lock);
    return true;
}
