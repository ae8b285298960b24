/* config/live.h - the configuration of a running gateway: its nodes put into the fleet, and reading it again.
 *
 * Made by whoever serves, before the gateway; outlives it. live_reload may be called on any thread. */
#pragma once
#include "config/config.h"

struct gateway;
struct live;
/* Takes *c over. Arguments are lent and read again by each reload. NULL when memory is out. */
struct live *live_new(struct config **c, const struct config_args *args, struct fleet *f);
void live_free(struct live **l);
/* Adds the configured nodes. What cannot be added (a node that is there twice) is named in *says, with "; " between. */
void live_add_nodes(struct live *l, struct text *says);
/* Whom a reload tells. `terminal`: as for config_log. */
void live_attach(struct live *l, struct gateway *g, bool terminal);
const struct config *live_config(const struct live *l);
/* Reads everything again and applies what can be applied; *says what was and what needs a restart, or, with
 * FAIL_bad_setting, what is wrong: then nothing was changed. gateway_parts.reload with a struct live as argument. */
enum fail live_reload(void *live, struct text *says);
