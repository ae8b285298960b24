/* Clients that want more than is theirs, and a machine that answers by halves: what they may cost stays bounded. */
#include "machine.h"
#include <zstd.h>

#define MANY 15000

static const char tags[] = "GET /api/tags HTTP/1.1\r\nHost: localhost\r\n\r\n";

static unsigned times(struct str in, struct str what)
{
    unsigned n = 0;
    for (ssize_t at; (at = str_find(in, what)) >= 0; n++)
        in = str_drop(in, (size_t)at + what.n);
    return n;
}

/* Less than a megabyte of requests asks for several of answers. */
static void a_pipeline_that_is_not_read_is_not_answered_on(void **state)
{
    for (uint64_t seed = 0; seed < 2; seed++) {
        begin(seed, 1, 0);
        know();
        struct peer *c = world_connect(&gate_at, NULL);
        peer_stall(c, true);
        for (unsigned i = 0; i < MANY; i++)
            peer_send(c, STR(tags));
        world_elapse(SECOND(10));
        assert_in_range(buf_bytes_live(), 1, MIB(2));
        peer_stall(c, false);
        world_elapse(SECOND(20));
        assert_int_equal(times(peer_received(c), STR("HTTP/1.1 200 OK")), MANY);
        peer_close(c, CLOSE_FIN);
        finish();
    }
}

static void a_client_that_never_reads_is_let_go(void **state)
{
    begin(1, 1, 0);
    know();
    struct peer *c = world_connect(&gate_at, NULL);
    peer_stall(c, true);
    for (unsigned i = 0; i < MANY; i++)
        peer_send(c, STR(tags));
    world_elapse(SECOND(59));
    assert_true(gateway_count(gate).clients == 1);
    world_elapse(SECOND(62));
    assert_int_equal(gateway_count(gate).clients, 0);
    peer_close(c, CLOSE_FIN);
    finish();
}

static void ask_packed(struct peer *c, size_t bytes)
{
    char *plain = malloc(bytes), *packed = malloc(ZSTD_compressBound(bytes));
    memset(plain, ' ', bytes);
    memcpy(plain, "{\"model\":\"m\"}", 13);
    size_t n = ZSTD_compress(packed, ZSTD_compressBound(bytes), plain, bytes, 3);
    assert_false(ZSTD_isError(n));
    peer_sendf(
        c, "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: zstd\r\nContent-Length: %zu\r\n\r\n",
        n);
    peer_send(c, (struct str){ packed, n });
    free(plain);
    free(packed);
}

static void packed_bodies_count_unpacked(void **state)
{
    begin(1, 1, 0);
    know();
    struct gateway_settings *s = atomic_load(&gate->settings);
    struct peer *c = world_connect(&gate_at, NULL);
    s->body_max = MIB(4);
    ask_packed(c, MIB(5));
    await(c, "HTTP/1.1 413 ");
    s->bodies_max = MIB(2);
    ask_packed(c, MIB(3));
    await(c, "HTTP/1.1 503 ");
    world_elapse(SECOND(1));
    assert_int_equal(atomic_load(&gate->bodies), 0);
    peer_close(c, CLOSE_FIN);
    finish();
}

static void metrics_are_public_when_told_so(void **state)
{
    begin(1, 1, 0);
    know();
    struct gateway_settings *s = atomic_load(&gate->settings);
    struct peer *c = world_connect(&gate_at, NULL);
    s->admin_key = STR("k");
    peer_sendf(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await(c, "HTTP/1.1 401 ");
    s->metrics_public = true;
    peer_sendf(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api/nodes HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await(c, "ollamamax_build_info");
    assert_int_equal(times(peer_received(c), STR("HTTP/1.1 200 OK")), 1);
    peer_close(c, CLOSE_FIN);
    finish();
}

/* Nginx and Apache say so in one of these; a stranger behind them is not this machine. */
static void a_proxy_is_not_this_machine(void **state)
{
    static const char *says[] = { "Via: 1.1 front", "X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: https",
                                  "Forwarded: for=9.9.9.9" };
    begin(1, 1, 0);
    know();
    for (unsigned i = 0; i < ARRAY_LEN(says); i++) {
        struct peer *c = world_connect(&gate_at, NULL);
        peer_sendf(c, "GET /api/nodes HTTP/1.1\r\nHost: localhost\r\n%s\r\n\r\n", says[i]);
        await(c, "HTTP/1.1 403 ");
        peer_close(c, CLOSE_FIN);
    }
    finish();
}

static void change_n1(const char *body, const char *expected)
{
    struct peer *c = world_connect(&gate_at, NULL);
    peer_sendf(c,
               "PATCH /api/nodes/n1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
               "application/json\r\nContent-Length: %zu\r\n\r\n%s",
               strlen(body), body);
    await(c, expected);
    peer_close(c, CLOSE_FIN);
}

static void numbers_of_a_node_have_bounds(void **state)
{
    static const char *bodies[] = { "{\"slots\":1e30}",          "{\"slots\":-2}",        "{\"weight\":1e308}",
                                    "{\"weight\":-0.5}",         "{\"weight\":\"much\"}", "{\"vram_bytes\":-1}",
                                    "{\"vram_bytes\":1e30}",     "{\"colour\":1}",        "{\"state\":\"gone\"}",
                                    "{\"labels\":\"nonsense\"}", "{\"labels\":5}" };
    begin(1, 1, 0);
    know();
    for (unsigned i = 0; i < ARRAY_LEN(bodies); i++)
        change_n1(bodies[i], "HTTP/1.1 400 ");
    finish();
}

static void what_is_said_of_a_node_can_be_changed(void **state)
{
    begin(1, 1, 0);
    know();
    change_n1("{\"vram_bytes\":25769803776}", "\"vram_bytes\":25769803776");
    change_n1("{\"labels\":{\"zone\":\"a\",\"disk\":\"ssd\"}}", "\"labels\":\"zone:a+disk:ssd\"");
    change_n1("{\"weight\":2}", "\"labels\":\"zone:a+disk:ssd\"");
    change_n1("{\"labels\":\"\",\"vram_bytes\":0}", "\"labels\":\"\",\"vram_bytes\":null");
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pipeline_that_is_not_read_is_not_answered_on),
        cmocka_unit_test(a_client_that_never_reads_is_let_go),
        cmocka_unit_test(packed_bodies_count_unpacked),
        cmocka_unit_test(metrics_are_public_when_told_so),
        cmocka_unit_test(a_proxy_is_not_this_machine),
        cmocka_unit_test(numbers_of_a_node_have_bounds),
        cmocka_unit_test(what_is_said_of_a_node_can_be_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
