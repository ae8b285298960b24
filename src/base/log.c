/* base/log.c - a line is made on the stack and leaves in one write, so lines of several threads do not mix and a log
 * line can be written when memory is out, before the pools exist and from a worker that must not wait for anything but
 * the file.
 *
 * The message is cut at MESSAGE_MAX bytes, which bounds the line even if every byte of it needs six in JSON: the text
 * builder writes into a block of the stack and never asks for another. In plain text control bytes become spaces,
 * because messages quote strangers and a stranger must not be able to write a line of his own.
 *
 * Lines are rare: one mutex keeps the file from being swapped under a writer. */
#include "base/log.h"

#include "base/json.h"
#include "base/stamp.h"
#include "base/sys.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#define MESSAGE_MAX 2000
#define LINE_BYTES  (256 + 6 * MESSAGE_MAX + 4096)
#define PATH_BYTES  4096
#define STDERR      2

static const struct {
    struct str text, json;
} levels[] = {
    [LOG_DEBUG] = {STR("DEBUG "),  STR("debug")},
    [LOG_INFO] = { STR("INFO  "), STR("info") },
    [LOG_WARN] = { STR("WARN  "), STR("warn") },
    [LOG_ERROR] = { STR("ERROR "), STR("error")},
};

static _Atomic int least_level = LOG_INFO;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the rest */
static bool as_json;
static int fd = STDERR;
static char path[PATH_BYTES]; /* empty: stderr */

bool log_wants(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&least_level, memory_order_relaxed);
}

/* Keeps the open file if its successor cannot be opened. True unless that happened. Under the lock. */
static bool open_file(void)
{
    int next = path[0] ? sys_open_append(path) : STDERR;
    if (next < 0)
        return false;
    if (fd != STDERR)
        sys_close_file(fd);
    fd = next;
    return true;
}

static void tell_if_not(bool opened)
{
    if (!opened)
        log_error("log file %s cannot be opened; logging goes on where it went", path);
}

void log_configure(enum log_level least, bool json, const char *file)
{
    pthread_mutex_lock(&lock);
    as_json = json;
    snprintf(path, sizeof path, "%s", file ? file : "");
    bool opened = open_file();
    pthread_mutex_unlock(&lock);
    atomic_store(&least_level, (int)least);
    tell_if_not(opened);
}

void log_reopen(void)
{
    pthread_mutex_lock(&lock);
    bool opened = open_file();
    pthread_mutex_unlock(&lock);
    tell_if_not(opened);
}

static void put_json_line(struct text *t, struct str time, enum log_level level, struct str message)
{
    text_put(t, STR("{\"time\":\""));
    text_put(t, time);
    text_put(t, STR("\",\"level\":\""));
    text_put(t, levels[level].json);
    text_put(t, STR("\",\"message\":"));
    json_quote(t, message);
    text_put(t, STR("}\n"));
}

static void put_text_line(struct text *t, struct str time, enum log_level level, struct str message)
{
    text_put(t, time);
    text_putc(t, ' ');
    text_put(t, levels[level].text);
    for (size_t i = 0; i < message.n; i++)
        text_putc(t, (unsigned char)message.p[i] < 0x20 || message.p[i] == 0x7f ? ' ' : message.p[i]);
    text_putc(t, '\n');
}

static void write_line(enum log_level level, struct str message)
{
    char block[LINE_BYTES], stamp[36];
    struct text line = {
        .buf = {.block = block, .cap = sizeof block}
    };
    struct str time = { stamp, stamp_rfc3339(sys_wall(), stamp) };
    pthread_mutex_lock(&lock);
    if (as_json)
        put_json_line(&line, time, level, message);
    else
        put_text_line(&line, time, level, message);
    assume(!line.failed && line.buf.block == block);
    (void)sys_append(fd, text_str(&line)); /* nobody is left to tell */
    pthread_mutex_unlock(&lock);
}

void log_line(enum log_level level, const char *format, ...)
{
    char message[MESSAGE_MAX + 1];
    va_list args;
    if (!log_wants(level))
        return;
    va_start(args, format);
    int n = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    assume(n >= 0);
    write_line(level, (struct str){ message, MIN((size_t)n, (size_t)MESSAGE_MAX) });
}
