/* base/log.h - what the program tells its operator, a line each. Any thread; each line is one write.
 * Text on a terminal, JSON lines elsewhere (log.format). Rare events only: requests have the access log (observe/). */
#pragma once
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
/* file NULL: stderr. */
void log_configure(enum log_level least, bool json, const char *file);
/* SIGHUP: open the file again by its name. */
void log_reopen(void);
bool log_wants(enum log_level level);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_debug(...) (log_wants(LOG_DEBUG) ? log_line(LOG_DEBUG, __VA_ARGS__) : (void)0)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
