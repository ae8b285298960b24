/* bench/memory_churn.h - what is left resident when most of a great number of objects have gone, in any order. */
#pragma once
#include <stdbool.h>

/* Resident growth over the bytes that live, after churn; in a process of its own. NAN: no process to be had. */
double memory_churn(bool pools, unsigned streams, unsigned seed);
