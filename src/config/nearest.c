/* config/nearest.c - Damerau's distance in its restricted form (optimal string alignment): letters put in, left out,
 * taken for another, or two neighbours swapped, each counts one. Swaps are what fingers do, and plain Levenshtein
 * counts them twice. */
#include "config/nearest.h"

#define LONGEST 64

struct nearest nearest_to(struct str meant)
{
    return (struct nearest){ .meant = meant, .distance = (unsigned)MAX(meant.n / 3, (size_t)2) + 1 };
}

static unsigned lesser(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static bool swapped(struct str a, struct str b, size_t i, size_t j)
{
    return i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1];
}

static unsigned distance(struct str a, struct str b)
{
    unsigned row[3][LONGEST + 1];
    for (size_t j = 0; j <= b.n; j++)
        row[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a.n; i++) {
        unsigned *now = row[i % 3], *before = row[(i + 2) % 3], *before2 = row[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            now[j] = lesser(lesser(before[j], now[j - 1]) + 1, before[j - 1] + (a.p[i - 1] != b.p[j - 1]));
            if (swapped(a, b, i, j))
                now[j] = lesser(now[j], before2[j - 2] + 1);
        }
    }
    return row[a.n % 3][b.n];
}

void nearest_offer(struct nearest *n, struct str word)
{
    if (n->meant.n > LONGEST || word.n > LONGEST)
        return;
    unsigned d = distance(n->meant, word);
    if (d < n->distance) {
        n->distance = d;
        n->best = word;
    }
}
