/* cli/port_owner.h - who listens on a port of this machine, as far as /proc tells this user. */
#pragma once
#include "base/types.h"

#define PORT_OWNER_ROOM 64
/* "nginx (pid 812)"; false when nobody does, or when it cannot be seen (another user's process). */
bool port_owner(uint16_t port, char out[PORT_OWNER_ROOM]);
