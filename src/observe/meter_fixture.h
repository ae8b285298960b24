/* observe/meter_fixture.h - for tests: records that look like a chat, and pages to look things up in. */
#pragma once
#include "observe/meter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* A stream of 50 records: 5 ms queued, first byte after 120 ms, all after 1.5 s. */
static inline struct record chat_record(const char *model, const char *node)
{
    struct record r = {
        .wall = SECOND(1700000000),
        .id = 0x1234,
        .bytes_in = 300,
        .bytes_out = 9000,
        .total_us = 1500000,
        .queued_us = 5000,
        .node_us = 114900,
        .first_us = 120000,
        .added_us = 100,
        .gap_us = 28000,
        .records = 50,
        .tokens_in = 11,
        .tokens_out = 50,
        .status = 200,
        .route = ROUTE_chat,
        .method = M_POST,
        .attempts = 1,
        .owner = OWNER_CLIENT,
        .stream = true,
    };
    record_put(r.model, str_of(model));
    record_put(r.node, str_of(node));
    record_put(r.request_id, STR("req-1"));
    memcpy(r.client, "192.0.2.7", sizeof "192.0.2.7");
    return r;
}

static inline struct text page_of(struct meter *const *meters, unsigned n, bool open_metrics)
{
    struct text t = { 0 };
    struct metrics_page p = { .to = &t, .open_metrics = open_metrics };
    metrics_meters(&p, meters, n);
    metrics_end(&p);
    assert_int_equal(t.failed, OK);
    return t;
}

static inline bool has_line(struct str page, const char *line)
{
    while (page.n)
        if (str_eq(str_cut(&page, '\n'), str_of(line)))
            return true;
    return false;
}

/* Lines that begin so. */
static inline unsigned count_lines(struct str page, const char *start)
{
    unsigned n = 0;
    while (page.n)
        n += str_starts(str_cut(&page, '\n'), str_of(start));
    return n;
}

/* The page of one meter, Prometheus text, holds this line. */
static inline bool meter_shows(struct meter *m, const char *line)
{
    struct text t = page_of(&m, 1, false);
    bool found = has_line(text_str(&t), line);
    text_free(&t);
    return found;
}
