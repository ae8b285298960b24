/* Blobs and what is created from them, played. */
#include "machine.h"

/* ---- blobs and create -------------------------------------------------------------------------------------------- */

static void create_runs_where_its_blobs_went(void **state)
{
    EACH_SEED
    {
        begin(seed, 2, 0);
        know();
        goes_away(&machines[0]); /* while the blob comes */
        world_elapse(SECOND(15));
        struct peer *h = ask("HEAD", "/api/blobs/" DIGEST, "");
        assert_int_equal(status_of(h), 404);
        struct peer *c = upload("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n");
        await(c, "100 Continue\r\n\r\n");
        peer_eat(c, peer_received(c).n);
        peer_sendf(c, "5\r\nhello\r\n");
        world_elapse(MSEC(50));
        peer_sendf(c, "7\r\n, world\r\n0\r\n\r\n");
        assert_int_equal(status_of(c), 201);
        assert_true(machines[1].chunked && machines[1].has_blob);
        assert_memory_equal(machines[1].first_bytes, "hello, world", 12);
        world_listen(&machines[0].at, machine_met, &machines[0]);
        world_elapse(SECOND(15));
        struct peer *again = ask("HEAD", "/api/blobs/" DIGEST, "");
        assert_int_equal(status_of(again), 200);
        struct peer *d = ask("POST", "/api/create", "{\"model\":\"made\",\"files\":{\"a.gguf\":\"" DIGEST "\"}}");
        await_work(&machines[1]);
        await(d, "parsing");
        succeeds(&machines[1], "made:latest");
        await(d, "success");
        assert_int_equal(machines[0].creates + machines[0].heads, 0);
        assert_true(tags_say("made:latest"));
        peer_close(c, CLOSE_FIN);
        peer_close(d, CLOSE_FIN);
        finish();
    }
}

static void create_runs_where_from_is_and_outlives_its_client(void **state)
{
    EACH_SEED
    {
        begin(seed, 2, 0);
        model_add(&machines[1], "base:latest");
        know();
        struct peer *c = ask("POST", "/api/create", "{\"model\":\"made\",\"from\":\"base\"}");
        await_work(&machines[1]);
        await(c, "parsing");
        peer_close(c, CLOSE_FIN);
        world_elapse(SECOND(1));
        assert_false(machines[1].closed_on_us);
        succeeds(&machines[1], "made:latest");
        world_elapse(SECOND(1));
        assert_true(tags_say("made:latest"));
        assert_int_equal(machines[0].creates, 0);
        finish();
    }
}

static void an_upload_of_a_known_blob_is_answered_early(void **state)
{
    EACH_SEED
    {
        begin(seed, 1, 0);
        machines[0].has_blob = true;
        know();
        struct peer *c = upload("Content-Length: 8000000000\r\n");
        char piece[5000] = "GGUF";
        peer_send(c, (struct str){ piece, sizeof piece });
        assert_int_equal(status_of(c), 200);
        for (int i = 0; i < 20; i++) { /* still writing: nothing breaks */
            peer_send(c, (struct str){ piece, sizeof piece });
            world_elapse(MSEC(10));
        }
        assert_false(peer_saw_reset(c));
        peer_close(c, CLOSE_FIN);
        finish();
    }
}

static bool is_short(void *arg)
{
    return ((struct machine *)arg)->uploaded < MIB(9);
}

/* A node that reads slowly holds the client back; what lies in between stays small. */
static void an_upload_goes_at_the_nodes_pace(void **state)
{
    static char piece[KIB(64)];
    for (uint64_t seed = 0; seed < 3; seed++) {
        begin(seed, 1, 0);
        know();
        struct peer *c = upload("Content-Length: 9437184\r\n");
        await_true((bool[]){ true });
        world_elapse(MSEC(100));
        assert_ptr_not_equal(machines[0].upload, NULL);
        peer_stall(machines[0].upload, true);
        size_t most = 0;
        for (int i = 0; i < 144; i++) {
            peer_send(c, (struct str){ piece, sizeof piece });
            world_elapse(MSEC(20));
            most = MAX(most, buf_bytes_live());
        }
        assert_in_range(most, MIB(1), MIB(3));
        world_elapse(SECOND(100)); /* longer than a client may idle: it is not its fault */
        peer_stall(machines[0].upload, false);
        assert_true(world_run_while(is_short, &machines[0], SECOND(60)));
        assert_int_equal(status_of(c), 201);
        peer_close(c, CLOSE_FIN);
        finish();
    }
}

static void a_node_that_dies_in_an_upload_is_an_error_in_words(void **state)
{
    EACH_SEED
    {
        begin(seed, 1, 0);
        know();
        struct peer *c = upload("Content-Length: 1000000\r\n");
        peer_sendf(c, "some bytes");
        world_elapse(MSEC(200));
        peer_close(machines[0].upload, CLOSE_RESET);
        assert_int_equal(status_of(c), 502);
        await(c, "{\"error\":\"the node closed the connection");
        world_elapse(SECOND(3));
        assert_true(peer_saw_end(c));
        peer_close(c, CLOSE_FIN);
        finish();
    }
}

static void an_upload_ends_with_its_client(void **state)
{
    EACH_SEED
    {
        begin(seed, 1, 0);
        know();
        struct peer *c = upload("Transfer-Encoding: chunked\r\n");
        peer_sendf(c, "5\r\nhello\r\n");
        world_elapse(MSEC(200));
        peer_close(c, seed % 2 ? CLOSE_RESET : CLOSE_FIN);
        await_true(&machines[0].closed_on_us);
        assert_false(machines[0].has_blob);

        struct peer *bad = upload("Transfer-Encoding: chunked\r\n");
        peer_sendf(bad, "5\r\nhelloXX");
        assert_int_equal(status_of(bad), 400);
        peer_close(bad, CLOSE_FIN);
        finish();
    }
}

static void a_wrong_digest_is_refused_by_the_gate(void **state)
{
    begin(1, 1, 0);
    know();
    struct peer *c = ask("POST", "/api/blobs/sha256:12", "abc");
    assert_int_equal(status_of(c), 400);
    await(c, "{\"error\":\"invalid digest format\"}");
    peer_close(c, CLOSE_FIN);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(create_runs_where_its_blobs_went),
        cmocka_unit_test(create_runs_where_from_is_and_outlives_its_client),
        cmocka_unit_test(an_upload_of_a_known_blob_is_answered_early),
        cmocka_unit_test(an_upload_goes_at_the_nodes_pace),
        cmocka_unit_test(a_node_that_dies_in_an_upload_is_an_error_in_words),
        cmocka_unit_test(an_upload_ends_with_its_client),
        cmocka_unit_test(a_wrong_digest_is_refused_by_the_gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
