/* A second's frames in three forms, and how often they are given back. */
#include "base/slab.h"
#include "gateway/bulletin.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int set_up(void **state)
{
    buf_pools_init();
    return 0;
}

static int tear_down(void **state)
{
    memory_fail_at(0);
    buf_pools_done();
    return 0;
}

/* ---- topics ------------------------------------------------------------------------------------------------------ */

static void topics_are_named_in_a_list(void **state)
{
    static const struct {
        const char *list;
        bool good;
        unsigned bits;
    } rows[] = {
        {"",                                   true,  FEED_ALL                                        },
        { "metrics",                           true,  FEED_BIT(FEED_METRICS)                          },
        { "node_update",                       true,  FEED_BIT(FEED_NODES)                            },
        { "alert",                             true,  FEED_BIT(FEED_ALERTS)                           },
        { "request",                           true,  FEED_BIT(FEED_REQUESTS)                         },
        { "metrics,node_update,alert,request", true,  FEED_ALL                                        },
        { " request , metrics\t",              true,  FEED_BIT(FEED_METRICS) | FEED_BIT(FEED_REQUESTS)},
        { "alert,alert",                       true,  FEED_BIT(FEED_ALERTS)                           },
        { "Metrics",                           false, 0                                               },
        { "metric",                            false, 0                                               },
        { "metrics,nodes",                     false, 0                                               },
        { ",metrics",                          false, 0                                               },
        { " ",                                 false, 0                                               },
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        unsigned bits;
        bool good = feed_topics(str_of(rows[i].list), &bits);
        if (good != rows[i].good || (good && bits != rows[i].bits))
            fail_msg("`%s`: %d %#x", rows[i].list, good, bits);
    }
}

static void one_topic_has_one_name(void **state)
{
    enum feed_topic topic = FEED_METRICS;
    assert_true(feed_topic(STR("request"), &topic));
    assert_int_equal(topic, FEED_REQUESTS);
    assert_false(feed_topic(STR("request,alert"), &topic));
    assert_false(feed_topic(STR(""), &topic));
}

/* ---- forms ------------------------------------------------------------------------------------------------------- */

static struct bulletin *bulletin;

static struct str only(enum feed_form form, unsigned topics)
{
    struct str piece[FEED_TOPICS];
    assert_int_equal(bulletin_look(bulletin, form, topics, piece), 1);
    return piece[0];
}

static void each_form_frames_in_its_way(void **state)
{
    bulletin = bulletin_new(7, SECOND(5));
    assert_int_equal(bulletin_number(bulletin), 7);
    assert_int_equal(bulletin_made(bulletin), SECOND(5));
    assert_true(bulletin_add(bulletin, FEED_METRICS, STR("{\"a\":1}")));
    assert_true(str_eq(only(FORM_SOCKET, FEED_ALL), STR("\x81\x07{\"a\":1}")));
    assert_true(str_eq(only(FORM_EVENTS, FEED_ALL), STR("data:{\"a\":1}\n\n")));
    assert_true(str_eq(only(FORM_VALUES, FEED_ALL), STR("{\"a\":1},")));
    bulletin_unref(&bulletin);
    assert_null(bulletin);
}

/* RFC 6455 section 5.2: one byte of length up to 125, then two, then eight. */
static void frames_of_sockets_have_heads_for_their_length(void **state)
{
    static const struct {
        size_t n, head;
        const char *bytes;
    } rows[] = {
        {125,    2,  "\x81\x7d"                                },
        { 126,   4,  "\x81\x7e\x00\x7e"                        },
        { 65535, 4,  "\x81\x7e\xff\xff"                        },
        { 65536, 10, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"},
    };
    static char payload[65536];
    memset(payload, '1', sizeof payload);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        bulletin = bulletin_new(1, 0);
        assert_true(bulletin_add(bulletin, FEED_NODES, (struct str){ payload, rows[i].n }));
        struct str frame = only(FORM_SOCKET, FEED_ALL);
        assert_int_equal(frame.n, rows[i].head + rows[i].n);
        assert_memory_equal(frame.p, rows[i].bytes, rows[i].head);
        bulletin_unref(&bulletin);
    }
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

/* What is wanted, pieces divided by '|'. */
static void sees(unsigned topics, const char *want)
{
    struct str piece[FEED_TOPICS];
    unsigned n = bulletin_look(bulletin, FORM_VALUES, topics, piece);
    char all[200], *at = all;
    for (unsigned i = 0; i < n; i++) {
        at = put_str(at, i ? STR("|") : STR(""));
        at = put_str(at, piece[i]);
    }
    *at = 0;
    assert_string_equal(all, want);
}

#define M FEED_BIT(FEED_METRICS)
#define N FEED_BIT(FEED_NODES)
#define A FEED_BIT(FEED_ALERTS)
#define R FEED_BIT(FEED_REQUESTS)

static void add(enum feed_topic topic, const char *frame)
{
    assert_true(bulletin_add(bulletin, topic, str_of(frame)));
}

static void neighbours_are_one_piece(void **state)
{
    bulletin = bulletin_new(1, 0);
    add(FEED_METRICS, "m");
    add(FEED_NODES, "n1");
    add(FEED_NODES, "n2");
    add(FEED_ALERTS, "a");
    add(FEED_REQUESTS, "r");
    sees(FEED_ALL, "m,n1,n2,a,r,");
    sees(M, "m,");
    sees(N, "n1,n2,");
    sees(R, "r,");
    sees(M | N, "m,n1,n2,");
    sees(M | A, "m,|a,");
    sees(M | R, "m,|r,");
    sees(N | R, "n1,n2,|r,");
    sees(M | A | R, "m,|a,r,");
    sees(0, "");
    bulletin_unref(&bulletin);
}

static void topics_without_news_are_not_there(void **state)
{
    bulletin = bulletin_new(1, 0);
    sees(FEED_ALL, "");
    add(FEED_NODES, "n");
    sees(FEED_ALL, "n,");
    sees(M | A | R, "");
    add(FEED_REQUESTS, "r");
    sees(FEED_ALL, "n,r,");
    sees(N | R, "n,r,");
    sees(M | A, "");
    sees(M | R, "r,");
    bulletin_unref(&bulletin);
}

/* ---- references -------------------------------------------------------------------------------------------------- */

static void the_last_to_go_frees(void **state)
{
    size_t before = buf_bytes_live();
    bulletin = bulletin_new(1, 0);
    add(FEED_METRICS, "m");
    struct bulletin *second = bulletin_ref(bulletin), *third = bulletin_ref(second);
    assert_ptr_equal(second, bulletin);
    assert_true(buf_bytes_live() > before);
    bulletin_unref(&bulletin);
    bulletin_unref(&third);
    bulletin = second;
    sees(FEED_ALL, "m,");
    assert_true(buf_bytes_live() > before);
    bulletin_unref(&second);
    assert_int_equal(buf_bytes_live(), before);
    bulletin_unref(&second);
    assert_int_equal(buf_bytes_live(), before);
}

static void *look_often(void *arg)
{
    struct bulletin *mine = arg;
    struct str piece[FEED_TOPICS];
    for (unsigned i = 0; i < 1000; i++) {
        struct bulletin *b = bulletin_ref(mine);
        if (bulletin_look(b, FORM_VALUES, M, piece) != 1 || piece[0].n != 2)
            abort();
        bulletin_unref(&b);
    }
    bulletin_unref(&mine);
    return NULL;
}

static void any_thread_may_be_the_last(void **state)
{
    pthread_t thread[4];
    size_t before = buf_bytes_live();
    bulletin = bulletin_new(1, 0);
    add(FEED_METRICS, "m");
    for (unsigned i = 0; i < ARRAY_LEN(thread); i++)
        assert_int_equal(pthread_create(&thread[i], NULL, look_often, bulletin_ref(bulletin)), 0);
    bulletin_unref(&bulletin);
    for (unsigned i = 0; i < ARRAY_LEN(thread); i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(buf_bytes_live(), before);
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static void a_frame_is_there_in_each_form_or_in_none(void **state)
{
    static char large[KIB(40)];
    static const struct str first[FEED_FORMS] = {
        [FORM_SOCKET] = {"\x81\x01m",   3},
        [FORM_EVENTS] = { "data:m\n\n", 8},
        [FORM_VALUES] = { "m,",         2},
    };
    unsigned refused = 0;
    bool added = false;
    memset(large, '1', sizeof large);
    for (unsigned nth = 1; !added; nth++) {
        assert_true(nth < 100);
        bulletin = bulletin_new(1, 0);
        add(FEED_METRICS, "m");
        memory_fail_at(nth);
        added = bulletin_add(bulletin, FEED_NODES, (struct str){ large, sizeof large });
        memory_fail_at(0);
        refused += !added;
        for (unsigned f = 0; f < FEED_FORMS && !added; f++)
            assert_true(str_eq(only((enum feed_form)f, FEED_ALL), first[f]));
        add(FEED_ALERTS, "a");
        if (!added)
            sees(FEED_ALL, "m,a,");
        sees(A, "a,");
        bulletin_unref(&bulletin);
    }
    assert_true(refused >= FEED_FORMS);
}

static void without_memory_there_is_none(void **state)
{
    memory_fail_at(1);
    assert_null(bulletin_new(1, 0));
    memory_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_are_named_in_a_list),
        cmocka_unit_test(one_topic_has_one_name),
        cmocka_unit_test(each_form_frames_in_its_way),
        cmocka_unit_test(frames_of_sockets_have_heads_for_their_length),
        cmocka_unit_test(neighbours_are_one_piece),
        cmocka_unit_test(topics_without_news_are_not_there),
        cmocka_unit_test(the_last_to_go_frees),
        cmocka_unit_test(any_thread_may_be_the_last),
        cmocka_unit_test(a_frame_is_there_in_each_form_or_in_none),
        cmocka_unit_test(without_memory_there_is_none),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
