/* fleet/labels.h - labels of nodes ("zone:a+disk:ssd") as bits, so that a choice compares words and no texts.
 *
 * Only labels that somebody asks for have a bit; those that nodes carry besides do not matter to any choice. A table is
 * made with the rules that ask (fleet/model_rules.h) and immutable from then on. Labels are compared to the letter. */
#pragma once
#include "base/arena.h"
#include "base/fail.h"

#define LABELS_MAX 63 /* the scheduler's last bit is the fleet's own */
struct label_table {
    struct str label[LABELS_MAX];
    unsigned n;
};
/* Of the form key:value+key:value, blanks around each label not counting? */
bool labels_are_good(struct str labels);
/* Those that are new get a bit. FAIL_bad_setting: more than LABELS_MAX; FAIL_no_memory. */
enum fail labels_add(struct label_table *t, struct arena *a, struct str labels);
/* The bits of those that are in the table. */
uint64_t labels_bits(const struct label_table *t, struct str labels);
