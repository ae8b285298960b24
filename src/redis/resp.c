/* Why hiredis' reader and not its connection: it parses what it is given, wherever that came from, so TLS, timeouts and
 * the loop stay ours. Its own reply objects are not used: each is a malloc, and an array of a claimed length is one
 * before a single element has come. Ours lie in an arena that is emptied with the next reply.
 *
 * A reply's bytes are gathered in the reader's buffer before it is handed out, so the bound on what is buffered is the
 * bound on a reply. */
#include "redis/resp.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/slab.h"
#include <hiredis/read.h>
#include <stdlib.h>

#define BUFFER_KEPT KIB(64) /* of the reader's own, between replies */

struct resp_reader {
    redisReader *in;
    struct arena arena;
    bool handed_out;
};

/* ---- objects, as the reader wants them made ---------------------------------------------------------------------- */

static struct resp *object_new(const redisReadTask *task, enum resp_kind kind)
{
    struct resp_reader *r = task->privdata;
    struct resp *o = arena_new(&r->arena, struct resp), *parent = task->parent ? task->parent->obj : NULL;

    if (!o)
        return NULL;
    o->kind = kind;
    if (parent)
        parent->item[task->idx] = o;
    return o;
}

static void *make_string(const redisReadTask *task, char *bytes, size_t n)
{
    struct resp_reader *r = task->privdata;
    struct resp *o = object_new(task, task->type == REDIS_REPLY_ERROR    ? RESP_ERROR
                                      : task->type == REDIS_REPLY_STATUS ? RESP_STATUS
                                                                         : RESP_STRING);
    const char *kept = o ? str_z(&r->arena, (struct str){ bytes, n }) : NULL;

    if (!kept)
        return NULL;
    o->text = (struct str){ kept, n };
    return o;
}

static void *make_array(const redisReadTask *task, int n)
{
    struct resp_reader *r = task->privdata;
    struct resp *o = n >= 0 && n <= RESP_ARRAY_MOST ? object_new(task, RESP_ARRAY) : NULL;

    if (!o)
        return NULL;
    o->n = (unsigned)n;
    o->item = arena_array(&r->arena, struct resp *, MAX(n, 1));
    return o->item ? o : NULL;
}

static void *make_number(const redisReadTask *task, long long number)
{
    struct resp *o = object_new(task, RESP_NUMBER);

    if (o)
        o->number = number;
    return o;
}

static void *make_nil(const redisReadTask *task)
{
    return object_new(task, RESP_NIL);
}

static void leave_to_arena(void *object) {}

static redisReplyObjectFunctions makers = { .createString = make_string,
                                            .createArray = make_array,
                                            .createInteger = make_number,
                                            .createNil = make_nil,
                                            .freeObject = leave_to_arena };

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct resp_reader *resp_reader_new(void)
{
    struct resp_reader *r = memory_strikes() ? NULL : calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->in = memory_strikes() ? NULL : redisReaderCreateWithFunctions(&makers);
    if (!r->in) {
        free(r);
        return NULL;
    }
    r->in->privdata = r;
    r->in->maxbuf = BUFFER_KEPT;
    return r;
}

void resp_reader_free(struct resp_reader **at)
{
    struct resp_reader *r = *at;

    *at = NULL;
    if (!r)
        return;
    redisReaderFree(r->in);
    arena_done(&r->arena);
    free(r);
}

static enum fail failure_of(const struct resp_reader *r)
{
    return r->in->err == REDIS_ERR_OOM ? FAIL_no_memory : FAIL_upstream_garbage;
}

static void forget_last(struct resp_reader *r)
{
    if (r->handed_out)
        arena_done(&r->arena);
    r->handed_out = false;
}

enum fail resp_feed(struct resp_reader *r, struct str bytes)
{
    forget_last(r);
    if (r->in->len - r->in->pos + bytes.n > RESP_REPLY_MOST)
        return FAIL_upstream_garbage;
    if (!bytes.n)
        return OK;
    return redisReaderFeed(r->in, bytes.p, bytes.n) == REDIS_OK ? OK : failure_of(r);
}

enum fail resp_next(struct resp_reader *r, const struct resp **out)
{
    void *reply = NULL;

    *out = NULL;
    forget_last(r);
    if (redisReaderGetReply(r->in, &reply) != REDIS_OK)
        return failure_of(r);
    *out = reply;
    r->handed_out = reply != NULL;
    return OK;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static char *put_count(char *at, char kind, size_t n)
{
    *at++ = kind;
    at = put_u64(at, n);
    return put_str(at, STR("\r\n"));
}

static void put_piece(struct resp_command *c, const char *from, size_t n)
{
    c->piece[c->n++] = (struct iovec){ (char *)(uintptr_t)from, n };
}

/* Frame and argument by turns: the end of an argument and the length of the next are one piece. */
void resp_command(struct resp_command *c, const struct str *args, unsigned n)
{
    char *at = c->frame, *from = at;

    assume(n > 0 && n <= RESP_ARGS_MOST);
    c->n = 0;
    at = put_count(at, '*', n);
    for (unsigned i = 0; i < n; i++) {
        at = put_count(at, '$', args[i].n);
        put_piece(c, from, (size_t)(at - from));
        from = at;
        if (args[i].n)
            put_piece(c, args[i].p, args[i].n);
        at = put_str(at, STR("\r\n"));
    }
    put_piece(c, from, (size_t)(at - from));
}
