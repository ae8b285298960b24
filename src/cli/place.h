/* cli/place.h - which running gateway a command asks: --url and --key, else where the settings say that one listens. */
#pragma once
#include "cli/cli.h"
#include "net/addr.h"

struct place {
    struct addr at;
    char host[264]; /* as the Host header says it */
    char prefix[128];
    char key[512]; /* empty: none */
    char url[400]; /* for people */
};
/* Takes --url and --key out of the words, reads the others as settings, and resolves the name. False, and said on
 * stderr, with the exit code otherwise. Blocks while a name is looked up. */
bool place_find(int *argc, char **argv, struct place *out, int *out_code);

/* Takes a flag out of the words; true: it was there. With a value ("--url X", "--url=X"): *out, NULL when the last word
 * lacks it. */
bool words_take(int *argc, char **argv, const char *flag);
bool words_take_value(int *argc, char **argv, const char *flag, const char **out);
