/* test/play/words.h - the text of plays, cut into lines of words.
 *
 * A word is a run without blanks; "quoted text" with \n \r \t \\ \" \xNN; or {a JSON value}, in which bare words count
 * as quoted: {model: llama3, stream: true}. A comma behind a word ends a direction. `#` in front of a word begins a
 * comment. A word longer than memory wants to write: "x"*300KiB repeats a text. A mistake ends the program and names
 * its line. */
#pragma once
#include "base/str.h"
#include "base/types.h"

enum word_kind { WORD_PLAIN, WORD_TEXT, WORD_JSON };
struct word {
    enum word_kind kind;
    char *text; /* a NUL behind */
    size_t n;
    bool comma; /* one follows */
};
#define LINE_WORDS 64
struct line {
    const char *file;
    unsigned no;
    unsigned n;
    struct word *w;
};
/* One play of a file: from its `play` line to the next. */
struct script {
    char *title;
    unsigned n;
    struct line *line;
};
struct scripts {
    unsigned n;
    struct script *script;
};
struct scripts scripts_read(const char *file, struct str text);
struct scripts scripts_load(const char *file);
void scripts_free(struct scripts *s);

static inline struct str word_str(const struct word *w)
{
    return (struct str){ w->text, w->n };
}
bool word_is(const struct word *w, const char *text);
/* 40ms, 3s, 250us. */
nsec word_time(const struct line *l, const struct word *w);
/* 12, 300KiB, 1MiB. */
uint64_t word_number(const struct line *l, const struct word *w);
_Noreturn void line_wrong(const struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
