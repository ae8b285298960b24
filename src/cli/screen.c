/* cli/screen.c - termios and a dozen escape sequences that every terminal of the last thirty years knows; curses would
 * bring a database of the others and its own idea of what is on the screen. Lines are rewritten in place and the rest
 * of each is cleared behind them, never the whole page before, so nothing flickers. */
#include "cli/screen.h"
#include "cli/top_view.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static struct termios before;
static volatile sig_atomic_t is_open;
static struct text shown;

/* May be called in a signal handler: write and tcsetattr are safe there (POSIX). */
void screen_close(void)
{
    static const char leave[] = "\033[0m\033[?25h\033[?7h\033[?1049l";
    if (!is_open)
        return;
    is_open = 0;
    if (write(1, leave, sizeof leave - 1) < 0) {
        /* the terminal has gone, and with it what was to be restored */
    }
    tcsetattr(0, TCSANOW, &before);
}

static void on_crash(int number)
{
    screen_close();
    signal(number, SIG_DFL);
    raise(number);
}

static void watch_for_crashes(void)
{
    static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT };
    static bool done;
    if (done)
        return;
    done = true;
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
        signal(fatal[i], on_crash);
    atexit(screen_close);
}

static void put(struct str s)
{
    while (s.n) {
        ssize_t n = write(1, s.p, s.n);
        if (n <= 0)
            return;
        s = str_drop(s, (size_t)n);
    }
}

bool screen_open(void)
{
    struct termios raw;
    if (!isatty(0) || !isatty(1) || tcgetattr(0, &before))
        return false;
    watch_for_crashes();
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    is_open = 1;
    tcsetattr(0, TCSANOW, &raw);
    put(STR("\033[?1049h\033[?25l\033[?7l\033[2J"));
    screen_forget();
    return true;
}

void screen_size(unsigned *out_columns, unsigned *out_rows)
{
    struct winsize w = { 0 };
    ioctl(1, TIOCGWINSZ, &w);
    *out_columns = w.ws_col ? w.ws_col : 80;
    *out_rows = w.ws_row ? w.ws_row : 24;
}

void screen_forget(void)
{
    text_free(&shown);
    shown = (struct text){ 0 };
}

void screen_show(struct str lines)
{
    struct str old = text_str(&shown), left = lines;
    struct text out = { 0 };
    for (unsigned row = 1; left.n; row++) {
        bool known = old.n > 0;
        struct str line = str_cut(&left, '\n'), was = str_cut(&old, '\n');
        if (!known || !str_eq(line, was))
            text_printf(&out, "\033[%u;1H%.*s\033[0m\033[K", row, STR_ARG(line));
    }
    if (!text_str(&shown).n)
        text_put(&out, STR("\033[J"));
    put(text_str(&out));
    text_free(&out);
    screen_forget();
    text_put(&shown, lines);
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

static const struct {
    struct str bytes;
    int key;
} sequences[] = {
    {{ "\033[A", 3 },   KEY_UP       },
    { { "\033[B", 3 },  KEY_DOWN     },
    { { "\033OA", 3 },  KEY_UP       },
    { { "\033OB", 3 },  KEY_DOWN     },
    { { "\033[5~", 4 }, KEY_PAGE_UP  },
    { { "\033[6~", 4 }, KEY_PAGE_DOWN},
    { { "\033[H", 3 },  KEY_HOME     },
    { { "\033[F", 3 },  KEY_END      },
    { { "\033[1~", 4 }, KEY_HOME     },
    { { "\033[4~", 4 }, KEY_END      },
    { { "\033OH", 3 },  KEY_HOME     },
    { { "\033OF", 3 },  KEY_END      },
    { { "\r", 1 },      KEY_ENTER    },
    { { "\n", 1 },      KEY_ENTER    },
    { { "\177", 1 },    KEY_ERASE    },
    { { "\b", 1 },      KEY_ERASE    },
};

/* A sequence that nobody here knows: up to its final byte (ECMA-48 section 5.4). 0: its end has not come yet. */
static size_t unknown_sequence(struct str s)
{
    if (s.n < 2 || (s.p[1] != '[' && s.p[1] != 'O'))
        return 1;
    for (size_t i = 2; i < s.n; i++)
        if (s.p[i] >= 0x40 && s.p[i] < 0x7f)
            return i + 1;
    return 0;
}

int screen_key(struct str *bytes, bool over)
{
    struct str s = *bytes;
    if (!s.n)
        return KEY_NONE;
    for (size_t i = 0; i < ARRAY_LEN(sequences); i++)
        if (str_starts(s, sequences[i].bytes)) {
            *bytes = str_drop(s, sequences[i].bytes.n);
            return sequences[i].key;
        }
    if (*s.p != '\033') {
        *bytes = str_drop(s, 1);
        return (unsigned char)*s.p;
    }
    size_t n = s.n == 1 ? 0 : unknown_sequence(s);
    if (!n && !over)
        return KEY_NONE; /* the rest of it is on its way */
    *bytes = str_drop(s, n ? n : s.n);
    return n > 1 ? KEY_NONE : KEY_BACK;
}
