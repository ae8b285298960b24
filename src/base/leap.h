/* base/leap.h - sixteen bytes looked at in one step: SSE2, part of every x86-64, and a loop for other machines. Each
 * answer has a bit per byte, the lowest for the first. All sixteen must be there to be read. Pure; any thread. */
#pragma once
#include "base/types.h"

#define LEAP 16

#if defined(__SSE2__) && !defined(LEAP_SCALAR)
#include <emmintrin.h>

static inline unsigned leap_equal(const char *p, char c)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_loadu_si128((const void *)p), _mm_set1_epi8(c)));
}
#else
static inline unsigned leap_equal(const char *p, char c)
{
    unsigned bits = 0;
    for (unsigned i = 0; i < LEAP; i++)
        bits |= (unsigned)(p[i] == c) << i;
    return bits;
}
#endif
