/* cli/simnode.h - the words in which simulated nodes are described, for the commands that have such nodes. */
#pragma once
#include "sim/simnode.h"

/* "llama3.2" or "llama3.2:latest=2GiB", as `--model` takes it; false if it is neither. Strings point into `text`. */
bool simnode_model_read(struct str text, struct simnode_model *out);
