/* The same expectations of the parser as machines without SSE2 run it: built here a second time, without the leaps. */
#define HTTP_SCALAR
#include "net/http_head.c"
#include "net/http_head_test.c"
