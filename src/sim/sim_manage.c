/* sim/sim_manage.c - pull, push and create as streams of progress; copy and delete at once.
 *
 * A job is a list of steps, each a record that is due some time after the one before; at its end the model is there.
 * Its speed is the node's load rate. Names that begin with "nosuch" are unknown to the registry this node pretends to
 * ask, and fail as Ollama fails: in a stream after the status 200, else with 500. */
#include "sim/sim.h"

#define PULL_STEPS 10

enum step { MANIFEST, LAYER, VERIFY, WRITE, SUCCESS };
enum deed { PULL, PUSH, CREATE };
struct sim_job {
    enum deed deed;
    struct name name;
    uint64_t size, bytes_done;
    char digest[65];
    enum step step;
    unsigned part;
    bool stream, transfers; /* the layer is not here yet */
    const char *error;      /* ends it after the first record */
};

static void go_on(struct sim_client *c);

/* ---- records ----------------------------------------------------------------------------------------------------- */

static const char *const words[][SUCCESS + 1] = {
    [PULL] = {"pulling manifest",            "pulling",              "verifying sha256 digest", "writing manifest", "success"},
    [PUSH] = { "retrieving manifest",        "pushing",              NULL,                      "pushing manifest", "success"},
    [CREATE] = { "gathering model components", "using existing layer", NULL,                      "writing manifest", "success"},
};

static void put_layer(struct text *t, const struct sim_job *j)
{
    if (j->deed == CREATE) {
        text_printf(t, "{\"status\":\"using existing layer sha256:%s\"}\n", j->digest);
        return;
    }
    text_printf(t, "{\"status\":\"%s %.12s\",\"digest\":\"sha256:%s\",\"total\":%llu", words[j->deed][LAYER], j->digest,
                j->digest, (unsigned long long)j->size);
    if (j->bytes_done)
        text_printf(t, ",\"completed\":%llu", (unsigned long long)j->bytes_done);
    text_put(t, STR("}\n"));
}

static void say_step(struct sim_client *c)
{
    const struct sim_job *j = c->work;
    if (!j->stream)
        return;
    if (!c->streaming)
        sim_stream_open(c, TYPE_NDJSON, false);
    if (j->step == LAYER)
        put_layer(&c->record, j);
    else
        text_printf(&c->record, "{\"status\":\"%s\"}\n", words[j->deed][j->step]);
    sim_stream_record(c);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static bool install(struct sim_client *c)
{
    struct sim_job *j = c->work;
    struct sim_model *old = map_get(&c->node->by_key, name_key(&j->name));
    if (j->deed == PUSH || (old && j->deed == PULL))
        return true;
    if (old)
        sim_model_delete(&old);
    return sim_model_add(c->node, &j->name, j->size) != NULL;
}

static void fail(struct sim_client *c, const char *error)
{
    const struct sim_job *j = c->work;
    if (!j->stream) {
        sim_reply_error(c, 500, "%s", error);
        return;
    }
    text_printf(&c->record, "{\"error\":\"%s\"}\n", error);
    sim_stream_record(c);
    sim_stream_end(c);
}

static void succeed(struct sim_client *c)
{
    const struct sim_job *j = c->work;
    if (!install(c)) {
        fail(c, "out of memory");
        return;
    }
    say_step(c);
    if (j->stream)
        sim_stream_end(c);
    else
        sim_reply_json(c, STR("{\"status\":\"success\"}"));
}

/* ---- the course -------------------------------------------------------------------------------------------------- */

static void next_step(struct sim_job *j)
{
    if (j->step == LAYER && j->transfers && j->part < PULL_STEPS) {
        j->part++;
        j->bytes_done = j->size / PULL_STEPS * j->part;
        if (j->part == PULL_STEPS)
            j->bytes_done = j->size;
        return;
    }
    do
        j->step++;
    while (!words[j->deed][j->step]);
    if (j->step == LAYER)
        j->bytes_done = j->transfers ? 0 : j->size;
}

static nsec step_time(const struct sim_client *c)
{
    const struct sim_job *j = c->work;
    uint64_t rate = c->node->load_rate;
    if (j->step != LAYER || !j->transfers || rate == 0 || j->part == PULL_STEPS)
        return 0;
    return (nsec)((double)j->size / PULL_STEPS / (double)rate * 1e9);
}

static void go_on(struct sim_client *c)
{
    struct sim_job *j = c->work;
    for (;;) {
        if (j->step == SUCCESS) {
            succeed(c);
            return;
        }
        say_step(c);
        if (j->error) {
            fail(c, j->error);
            return;
        }
        nsec wait = step_time(c);
        next_step(j);
        if (wait > 0) {
            sim_flush(c);
            sim_client_after(c, wait, go_on);
            return;
        }
    }
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

/* The model's name from the body into *out; false: answered. */
static bool read_name(struct sim_client *c, struct str body, struct peek *p, struct name *out)
{
    if (!sim_read_body(c, body, p))
        return false;
    enum fail f = name_parse(p->model, out);
    if (f == FAIL_model_required)
        sim_reply_error(c, 400, "model is required");
    else if (f)
        sim_reply_error(c, 400, "invalid model name");
    return f == OK;
}

static bool is_unknown(const struct name *n)
{
    return str_find(name_key(n), STR("/nosuch")) >= 0;
}

static struct sim_job *job_new(struct sim_client *c, enum deed deed, const struct name *name, const struct peek *p)
{
    struct sim_job *j = arena_new(&c->arena, struct sim_job);
    if (!j) {
        sim_reply_fail(c, FAIL_no_memory, STR_NONE);
        return NULL;
    }
    const struct sim_model *here = map_get(&c->node->by_key, name_key(name));
    j->deed = deed;
    j->name = *name;
    j->size = here ? here->size : sim_model_guess_size(name_show(name));
    j->stream = p->stream != TRI_FALSE;
    for (unsigned i = 0; i < 4; i++)
        text_printf(&c->record, "%016llx", (unsigned long long)sim_mix(j->size + i));
    memcpy(j->digest, here ? here->digest : text_str(&c->record).p ? text_str(&c->record).p : j->digest, 64);
    c->record.buf.start = c->record.buf.end = 0;
    c->work = j;
    return j;
}

void sim_answer_pull(struct sim_client *c, struct str body)
{
    struct peek p;
    struct name name;
    struct sim_job *j = read_name(c, body, &p, &name) ? job_new(c, PULL, &name, &p) : NULL;
    if (!j)
        return;
    j->transfers = !map_get(&c->node->by_key, name_key(&name));
    j->error = is_unknown(&name) ? "pull model manifest: file does not exist" : NULL;
    go_on(c);
}

void sim_answer_push(struct sim_client *c, struct str body)
{
    struct peek p;
    struct name name;
    struct sim_job *j = read_name(c, body, &p, &name) ? job_new(c, PUSH, &name, &p) : NULL;
    if (!j)
        return;
    j->transfers = true;
    j->error = map_get(&c->node->by_key, name_key(&name)) ? NULL : "couldn't retrieve manifest: file does not exist";
    go_on(c);
}

static bool has_blob(struct simnode *n, struct str digest)
{
    list_each (l, &n->blobs)
        if (str_eq(str_of(CONTAINER(l, struct sim_blob, link)->digest), digest))
            return true;
    return false;
}

/* Every file that `create` names must have been sent before. */
static bool files_are_here(struct sim_client *c, struct json files)
{
    struct json_walk w = json_walk(files);
    while (w.object && json_next(&w)) {
        struct str digest = w.value.kind == JSON_STRING ? json_text(&c->arena, w.value) : STR_NONE;
        if (has_blob(c->node, digest))
            continue;
        sim_reply_error(c, 400, "blob \"%.*s\" does not exist", STR_ARG(digest));
        return false;
    }
    return true;
}

void sim_answer_create(struct sim_client *c, struct str body)
{
    struct peek p;
    struct name name, from;
    if (!read_name(c, body, &p, &name))
        return;
    bool has_from = p.from.n > 0 && name_parse(p.from, &from) == OK;
    if (!has_from && p.files.kind != JSON_OBJECT) {
        sim_reply_error(c, 400, "neither 'from' or 'files' was specified");
        return;
    }
    if (!files_are_here(c, p.files) || !files_are_here(c, p.adapters))
        return;
    struct sim_job *j = job_new(c, CREATE, &name, &p);
    if (!j)
        return;
    const struct sim_model *base = has_from ? map_get(&c->node->by_key, name_key(&from)) : NULL;
    if (base) {
        j->size = base->size;
        memcpy(j->digest, base->digest, 64);
    }
    j->error = has_from && !base && is_unknown(&from) ? "pull model manifest: file does not exist" : NULL;
    go_on(c);
}

void sim_answer_copy(struct sim_client *c, struct str body)
{
    struct peek p;
    struct name to, from;
    if (!sim_read_body(c, body, &p))
        return;
    struct sim_model *source = sim_model_find(c->node, p.model);
    if (name_parse(p.model, &from))
        sim_reply_error(c, 400, "source \"%.*s\" is invalid", STR_ARG(p.model));
    else if (name_parse(p.destination, &to))
        sim_reply_error(c, 400, "destination \"%.*s\" is invalid", STR_ARG(p.destination));
    else if (!source)
        sim_reply_error(c, 404, "model \"%.*s\" not found", STR_ARG(p.model));
    else if (!map_get(&c->node->by_key, name_key(&to)) && !sim_model_add(c->node, &to, source->size))
        sim_reply_fail(c, FAIL_no_memory, STR_NONE);
    else
        sim_reply(c, 200, STR_NONE, STR_NONE);
}

void sim_answer_delete(struct sim_client *c, struct str body)
{
    struct peek p;
    struct name name;
    if (!read_name(c, body, &p, &name))
        return;
    struct sim_model *m = map_get(&c->node->by_key, name_key(&name));
    if (!m) {
        sim_reply_error(c, 404, "model '%.*s' not found", STR_ARG(p.model));
        return;
    }
    sim_model_delete(&m);
    sim_reply(c, 200, STR_NONE, STR_NONE);
}
