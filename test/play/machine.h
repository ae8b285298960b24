/* test/play/machine.h - the real gateway between scripted Ollama machines and clients, on simulated wires and time:
 * what the tests of fan-outs and blobs share.
 *
 * A machine keeps a list of models, says them in /api/tags, and does what it is asked to; a pull or create it only
 * begins, and the test says how it goes on. What holds at every end, checked by finish(): no exchange, lease, pin,
 * connection or object is left. */
#pragma once
#include "base/tape.h"
#include "gateway/gateway_private.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS  12
#define DIGEST "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* ---- scripted machines ------------------------------------------------------------------------------------------- */

struct machine {
    char name[8], model[8][64];
    struct addr at;
    struct peer *caller[200];
    unsigned met;
    struct peer *work;   /* whose pull, create or held delete is going on */
    struct peer *upload; /* whose blob is coming */
    bool chunked, has_blob, hold_delete, closed_on_us;
    size_t uploaded;
    struct http_body body_in; /* the upload's */
    char first_bytes[16];
    int refuses; /* status of delete and copy; 0: as the models say */
    bool serves; /* its models are loaded: it answers chats */
    bool apart;  /* those that want one piece come to `whole`, not to `work` */
    struct peer *whole;
    unsigned asked_tags, pulls, creates, copies, deletes, heads, chats;
    char body[512];  /* of the last request with one, */
    char via[128];   /* and whom it came through */
    char digest[16]; /* of its models; empty: "d" */
};
static struct machine machines[3];
static unsigned machines_n;
static int machine_slots = -1; /* of those added from now on; -1: no limit */
static struct fleet *fleet;
static struct gateway *gate;
static struct addr gate_at;
static static_file_find *gate_page; /* set before begin */
static const char *gate_key;        /* the admin key, likewise */

static inline char *model_place(struct machine *m, struct str name)
{
    for (unsigned i = 0; i < 8; i++)
        if (str_eq(str_of(m->model[i]), name))
            return m->model[i];
    return NULL;
}

static inline void model_add(struct machine *m, const char *name)
{
    snprintf(model_place(m, STR("")), 64, "%s", name);
}

static inline bool has(struct machine *m, const char *name)
{
    return model_place(m, str_of(name)) != NULL;
}

static inline void respond(struct peer *p, int status, const char *body)
{
    peer_sendf(p, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", status,
               strlen(body), body);
}

static inline void send_models(struct machine *m, struct peer *p)
{
    char text[2048] = "";
    for (unsigned i = 0; i < 8; i++)
        if (m->model[i][0])
            sprintf(text + strlen(text),
                    "%s{\"name\":\"%s\",\"model\":\"%s\",\"modified_at\":\"2026-01-02T03:04:05Z\",\"size\":1,"
                    "\"digest\":\"%s\",\"expires_at\":\"2318-01-01T00:00:00Z\",\"size_vram\":1}",
                    text[0] ? "," : "", m->model[i], m->model[i], m->digest[0] ? m->digest : "d");
    char *all = NULL;
    assert_true(asprintf(&all, "{\"models\":[%s]}", text) > 0);
    respond(p, 200, all);
    free(all);
}

static inline void value_of(const char *body, const char *key, char out[64])
{
    char *at = strstr(body, key);
    out[0] = 0;
    if (at)
        sscanf(at + strlen(key), "\":\"%63[^\"]", out);
}

static inline void remove_model(struct machine *m, struct peer *p)
{
    char name[64], error[128];
    value_of(m->body, "model", name);
    char *place = model_place(m, str_of(name));
    if (place)
        place[0] = 0;
    snprintf(error, sizeof error, "{\"error\":\"model '%s' not found\"}", name);
    respond(p, place ? 200 : 404, place ? "" : error);
}

static inline void copy_model(struct machine *m, struct peer *p)
{
    char from[64], to[64], error[128];
    value_of(m->body, "source", from);
    value_of(m->body, "destination", to);
    snprintf(error, sizeof error, "{\"error\":\"model \\\"%s\\\" not found\"}", from);
    if (has(m, from))
        model_add(m, to);
    respond(p, has(m, from) ? 200 : 404, has(m, from) ? "" : error);
}

static inline void says(struct machine *m, const char *record)
{
    peer_sendf(m->work, "%zx\r\n%s\n\r\n", strlen(record) + 1, record);
}

static inline void begins(struct machine *m, struct peer *p, const char *status)
{
    m->work = p;
    peer_sendf(p, "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n");
    says(m, status);
}

static inline void progresses(struct machine *m, unsigned completed)
{
    char record[160];
    snprintf(record, sizeof record,
             "{\"status\":\"pulling aa\",\"digest\":\"sha256:aa\",\"total\":100,\"completed\":%u}", completed);
    says(m, record);
}

static inline void succeeds(struct machine *m, const char *model)
{
    model_add(m, model);
    says(m, "{\"status\":\"success\"}");
    peer_sendf(m->work, "0\r\n\r\n");
}

static inline void handle(struct machine *m, struct peer *p, const char *line)
{
    if (!strncmp(line, "GET /api/version", 16)) {
        respond(p, 200, "{\"version\":\"0.12.3\"}");
    } else if (!strncmp(line, "GET /api/tags", 13)) {
        m->asked_tags++;
        send_models(m, p);
    } else if (!strncmp(line, "GET /api/ps", 11)) {
        m->serves ? send_models(m, p) : respond(p, 200, "{\"models\":[]}");
    } else if (!strncmp(line, "GET /v1/models", 14)) { /* asked when memory failed for a better question */
        respond(p, 404, "");
    } else if (m->serves && !strncmp(line, "POST /", 6)) {
        m->chats++;
        *(m->apart && strstr(m->body, "\"stream\":false") ? &m->whole : &m->work) = p;
    } else if (!strncmp(line, "POST /api/pull", 14)) {
        m->pulls++;
        begins(m, p, "{\"status\":\"pulling manifest\"}");
    } else if (!strncmp(line, "POST /api/create", 16)) {
        m->creates++;
        begins(m, p, "{\"status\":\"parsing\"}");
    } else if (!strncmp(line, "POST /api/copy", 14)) {
        m->copies++;
        m->refuses ? respond(p, m->refuses, "{\"error\":\"disk full\"}") : copy_model(m, p);
    } else if (!strncmp(line, "DELETE /api/delete", 18)) {
        m->deletes++;
        if (m->hold_delete)
            m->work = p;
        else
            m->refuses ? respond(p, m->refuses, "{\"error\":\"disk broken\"}") : remove_model(m, p);
    } else if (!strncmp(line, "HEAD /api/blobs/", 16)) {
        m->heads++;
        peer_sendf(p, "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", m->has_blob ? "200 OK" : "404 Not Found");
    } else {
        fail_msg("%s was asked: %s", m->name, line);
    }
}

static inline size_t length_of(struct str head)
{
    ssize_t at = str_find(head, STR("Content-Length: "));
    return at < 0 ? 0 : strtoul(head.p + at + 16, NULL, 10);
}

static inline void take_upload(struct machine *m, struct peer *p)
{
    struct str in = peer_received(p), piece;
    size_t all = in.n;
    enum http_step step;
    while ((step = http_body_next(&m->body_in, &in, &piece)) == BODY_DATA) {
        size_t had = MIN(m->uploaded, sizeof m->first_bytes);
        memcpy(m->first_bytes + had, piece.p, MIN(sizeof m->first_bytes - had, piece.n));
        m->uploaded += piece.n;
    }
    assert_true(step != BODY_BAD && in.n == 0);
    peer_eat(p, all);
    if (step == BODY_END) {
        m->upload = NULL;
        m->has_blob = true;
        peer_sendf(p, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    }
}

static inline void begin_upload(struct machine *m, struct peer *p, struct str head)
{
    m->chunked = str_find(head, STR("Transfer-Encoding: chunked")) >= 0;
    m->uploaded = 0;
    http_body_init(&m->body_in, &(struct http_frame){ .framing = m->chunked ? BODY_CHUNKED : BODY_LENGTH,
                                                      .length = length_of(head) });
    assert_true(str_find(head, STR("Expect")) < 0);
    peer_eat(p, head.n);
    if (m->has_blob) {
        peer_sendf(p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        peer_shutdown(p);
        m->upload = NULL;
        return;
    }
    m->upload = p;
    take_upload(m, p);
}

static inline void machine_hears(struct peer *p)
{
    struct machine *m = p->arg;
    for (;;) {
        struct str in = peer_received(p);
        ssize_t end = str_find(in, STR("\r\n\r\n"));
        if (m->upload == p) {
            take_upload(m, p);
            return;
        }
        if (end < 0)
            return;
        struct str head = str_take(in, (size_t)end + 4);
        if (str_starts(in, STR("POST /api/blobs/"))) {
            begin_upload(m, p, head);
            return;
        }
        size_t n = length_of(head);
        if (in.n < head.n + n)
            return;
        if (n) {
            struct str via = str_drop(head, (size_t)MAX(str_find(head, STR("\r\nVia: ")), 0) + 7);
            snprintf(m->body, sizeof m->body, "%.*s", (int)n, in.p + head.n);
            snprintf(m->via, sizeof m->via, "%.*s", (int)MAX(str_find(via, STR("\r\n")), 0), via.p);
        }
        char line[128];
        snprintf(line, sizeof line, "%.*s", (int)MIN(in.n, 100u), in.p);
        peer_eat(p, head.n + n);
        handle(m, p, line);
    }
}

static inline void machine_left(struct peer *p, bool reset)
{
    struct machine *m = p->arg;
    m->closed_on_us |= m->work == p || m->upload == p;
    peer_close(p, CLOSE_FIN);
}

static inline void machine_met(struct peer *p, void *arg)
{
    struct machine *m = arg;
    assert_true(m->met < ARRAY_LEN(m->caller));
    m->caller[m->met++] = p;
    p->arg = arg;
    p->on_data = machine_hears;
    p->on_close = machine_left;
}

static inline void goes_away(struct machine *m)
{
    world_unlisten(&m->at);
    while (m->met)
        if (peer_is_open(m->caller[--m->met]))
            peer_close(m->caller[m->met], CLOSE_RESET);
}

/* ---- the play ---------------------------------------------------------------------------------------------------- */

static inline void add_machine(const char *name)
{
    struct machine *m = &machines[machines_n++];
    char text[64];
    memset(m, 0, sizeof *m);
    snprintf(m->name, sizeof m->name, "%s", name);
    snprintf(text, sizeof text, "10.0.0.%u:11434", machines_n);
    m->at = world_addr(text);
    world_listen(&m->at, machine_met, m);
    struct node_spec spec = { .name = str_of(m->name), .url = str_of(text), .slots = machine_slots };
    struct orders o;
    const char *why = NULL;
    uint64_t id;
    orders_init(&o);
    assert_int_equal(fleet_add(fleet, &spec, false, world_now(), &id, &why, &o), OK);
    orders_carry_out(gate->worker[0], &o);
}

static inline void pools_begin(void)
{
    arena_pools_init();
    buf_pools_init();
    tape_pools_init();
    conn_pools_init();
}

static inline void pools_end(void)
{
    conn_pools_done();
    tape_pools_done();
    buf_pools_done();
    arena_pools_done();
}

static inline void open_gate(unsigned workers, int replicas)
{
    struct fleet_settings fs;
    struct addr bound;
    fleet_settings_default(&fs);
    fleet = fleet_new(&fs, world_now());
    struct gateway_parts parts = { .fleet = fleet, .settings = gateway_settings_new(), .workers = workers };
    parts.page = gate_page;
    parts.settings->pull_replicas = replicas;
    parts.settings->admin_key = str_of(gate_key);
    gate = gateway_new(&parts);
    assert_non_null(gate);
    for (unsigned i = 0; i < workers; i++)
        world_attach(gateway_loop(gate, i), NULL, NULL);
    gate_at = world_addr("127.0.0.1:13100");
    assert_int_equal(gateway_listen(gate, &gate_at, &bound), OK);
}

static inline void begin(uint64_t seed, unsigned nodes, int replicas)
{
    static const char *names[] = { "n1", "n2", "n3" };
    pools_begin();
    world_new(seed);
    open_gate(1 + seed % 2, replicas);
    machines_n = 0;
    for (unsigned i = 0; i < nodes; i++)
        add_machine(names[i]);
    gateway_start(gate);
}

static inline bool still_works(void *arg)
{
    struct gateway_count c = gateway_count(gate);
    return c.exchanges > 0;
}

static inline void finish(void)
{
    memory_fail_at(0);
    assert_true(world_run_while(still_works, NULL, SECOND(30)));
    gateway_free(&gate);
    fleet_free(&fleet);
    world_elapse(SECOND(1));
    world_free();
    pools_end();
}

static inline void know(void)
{
    world_elapse(SECOND(1)); /* all tags are told */
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

static inline struct peer *ask(const char *method, const char *path, const char *body)
{
    struct peer *p = world_connect(&gate_at, NULL);
    peer_sendf(p, "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s", method, path, strlen(body),
               body);
    return p;
}

static inline struct peer *upload(const char *fields)
{
    struct peer *p = world_connect(&gate_at, NULL);
    peer_sendf(p, "POST /api/blobs/" DIGEST " HTTP/1.1\r\nHost: localhost\r\n%s\r\n", fields);
    return p;
}

struct wish {
    struct peer *client;
    const char *text;
    bool *until;
};
static inline bool is_unfulfilled(void *arg)
{
    struct wish *w = arg;
    return w->until ? !*w->until : !strstr(peer_received(w->client).p, w->text);
}

static inline void await(struct peer *p, const char *text)
{
    struct wish w = { p, text, NULL };
    if (!world_run_while(is_unfulfilled, &w, SECOND(20)))
        fail_msg("`%s` is not in: %s", text, peer_received(p).p);
}

static inline void await_true(bool *flag)
{
    struct wish w = { NULL, NULL, flag };
    assert_true(world_run_while(is_unfulfilled, &w, SECOND(20)));
}

static inline bool no_work(void *arg)
{
    return !((struct machine *)arg)->work;
}
static inline void await_work(struct machine *m)
{
    assert_true(world_run_while(no_work, m, SECOND(20)));
}

static inline bool no_end(void *p)
{
    return !strstr(peer_received(p).p, "\r\n\r\n");
}
static inline int status_of(struct peer *p)
{
    assert_true(world_run_while(no_end, p, SECOND(20)));
    return atoi(peer_received(p).p + 9);
}

static inline bool got(struct peer *p, const char *text)
{
    return strstr(peer_received(p).p, text) != NULL;
}

static inline bool tags_say(const char *model)
{
    struct peer *p = ask("GET", "/api/tags", "");
    await(p, "]}");
    bool says_so = got(p, model);
    peer_close(p, CLOSE_FIN);
    return says_so;
}

#define EACH_SEED for (uint64_t seed = 0; seed < SEEDS; seed++)
