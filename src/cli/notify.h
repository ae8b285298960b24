/* cli/notify.h - tells systemd how we are (sd_notify(3)): a datagram to the socket in NOTIFY_SOCKET; nothing without
 * one. Forty lines instead of libsystemd. */
#pragma once
#include "base/types.h"

/* "READY=1" and the like. */
void notify(const char *state);
/* How often "WATCHDOG=1" is wanted: half of what systemd waits; 0 = not at all. */
nsec notify_watchdog(void);
