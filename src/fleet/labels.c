/* fleet/labels.c - a list of texts; the place in it is the bit. With 64 of them at most, a search is a glance. */
#include "fleet/labels.h"

static struct str take_label(struct str *rest)
{
    return str_trim(str_cut(rest, '+'));
}

bool labels_are_good(struct str labels)
{
    do {
        struct str label = take_label(&labels);
        ssize_t colon = str_chr(label, ':');
        if (colon <= 0 || (size_t)colon + 1 == label.n)
            return false;
    } while (labels.n);
    return true;
}

static int place_of(const struct label_table *t, struct str label)
{
    for (unsigned i = 0; i < t->n; i++)
        if (str_eq(t->label[i], label))
            return (int)i;
    return -1;
}

enum fail labels_add(struct label_table *t, struct arena *a, struct str labels)
{
    while (labels.n) {
        struct str label = take_label(&labels);
        if (!label.n || place_of(t, label) >= 0)
            continue;
        if (t->n == LABELS_MAX)
            return FAIL_bad_setting;
        t->label[t->n] = str_dup(a, label);
        if (!t->label[t->n++].p)
            return FAIL_no_memory;
    }
    return OK;
}

uint64_t labels_bits(const struct label_table *t, struct str labels)
{
    uint64_t bits = 0;
    while (labels.n) {
        int place = place_of(t, take_label(&labels));
        bits |= place < 0 ? 0 : 1ull << place;
    }
    return bits;
}
