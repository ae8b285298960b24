/* cli/top_view.h - what `top` looks like, and what its keys do. Pure: state and view in, lines out; drawn by nobody
 * here. */
#pragma once
#include "cli/top_state.h"
#include "cli/top_table.h"

enum top_page { PAGE_NODES, PAGE_MODELS, PAGE_REQUESTS, PAGE_QUEUE, PAGE_ALERTS, PAGE_COUNT };
enum top_key {
    KEY_NONE,
    KEY_UP = 256,
    KEY_DOWN,
    KEY_PAGE_UP,
    KEY_PAGE_DOWN,
    KEY_HOME,
    KEY_END,
    KEY_ENTER,
    KEY_BACK,
    KEY_ERASE
};
#define TOP_WORD 96
struct top_view {
    struct top_paper paper;
    unsigned rows;
    enum top_page page;
    struct {
        int column; /* -1: as it comes */
        bool falling;
        char chosen[TOP_WORD]; /* id of the row; empty: the first */
    } of[PAGE_COUNT];
    char filter[TOP_WORD];
    bool typing;               /* the filter */
    bool help, held;           /* held: the picture stands still */
    bool inside;               /* one row is shown, drilled into */
    char inside_of[TOP_WORD];  /* whose */
    struct buf record;         /* of a request, which the gateway's list may have left since */
    const char *url, *trouble; /* trouble: why there is nothing new; NULL: there is */
    double stale_s;            /* how old the state is, with trouble */
};
void top_view_init(struct top_view *v);
void top_view_done(struct top_view *v);

/* The rows of a page, sorted and filtered as the view has it, in the arena. */
struct top_table top_page_table(struct arena *a, const struct top_state *s, const struct top_view *v, enum top_page p);
const char *top_page_title(enum top_page p);

/* v->rows lines of at most v->paper.width columns with "\n" between them. */
void top_view_draw(const struct top_view *v, const struct top_state *s, struct text *out);
/* For scripts: everything, each page as a table, no line longer or shorter for the terminal's sake. */
void top_view_print(const struct top_state *s, const struct top_paper *paper, struct text *out);
/* A character or enum top_key. False: leave. */
bool top_view_key(struct top_view *v, const struct top_state *s, int key);

/* One row drilled into (cli/top_inside.c): lines, each with "\n". */
void top_inside_node(const struct top_view *v, const struct top_node *n, struct text *t);
void top_inside_request(const struct top_view *v, struct json record, struct text *t);
void top_inside_model(const struct top_view *v, const struct top_state *s, struct str name, struct text *t);
void top_inside_alert(const struct top_view *v, const struct top_alert *a, struct text *t);

/* Figures as people read them, in the arena; "-" for NAN. */
struct str top_count(struct arena *a, double v);  /* 17, 4.2k, 31.4M */
struct str top_bytes(struct arena *a, double v);  /* 512M, 4.7G */
struct str top_ms(struct arena *a, double v);     /* 0.4ms, 120ms, 3.4s, 2m05s */
struct str top_figure(struct arena *a, double v); /* 0, 0.4, 83 */
enum top_colour top_state_colour(struct str state);
