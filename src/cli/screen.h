/* cli/screen.h - the terminal: its own page, no echo, and back as it was on every way out, crashes among them.
 * One per process. */
#pragma once
#include "base/buf.h"

/* False: no terminal on stdin and stdout. */
bool screen_open(void);
void screen_close(void); /* also when it is not open */
void screen_size(unsigned *out_columns, unsigned *out_rows);
/* Lines with "\n" between them; sends those that differ from what stands there. */
void screen_show(struct str lines);
/* What stands there is no longer known (another size, another program in between). */
void screen_forget(void);
/* One key out of the bytes read, which are eaten: a character or enum top_key; KEY_NONE when there is none. `over`: no
 * more bytes of a started sequence will come. */
int screen_key(struct str *bytes, bool over);
