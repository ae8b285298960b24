/* The same expectations of the scanner as machines without SSE2 run it: built here a second time, without the leaps. */
#define LEAP_SCALAR
#include "base/scan.c"
#include "base/scan_test.c"
