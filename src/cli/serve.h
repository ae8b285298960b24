/* cli/serve.h - the gateway from its configuration to its end, for `serve` and for what serves beside something else.
 */
#pragma once
#include "config/config.h"

/* Reads the settings from args, serves until a signal ends it, and returns an exit code. `headline` (may be NULL) is
 * said before everything else. Arguments are read again by reloads and must stay. */
int serve_run(const struct config_args *args, const char *headline);
