/* net/tls_test.c - connections in TLS, with certificates made on the spot: the conversations of conn_test again, and
 * who may talk to whom. */
#include "net/conn_rig.h"
#include "net/tls.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static char folder[] = "/tmp/tls_test_XXXXXX", cert_file[64], key_file[64];

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(e);
    X509_add_ext(cert, e, -1);
    X509_EXTENSION_free(e);
}

static X509 *self_signed(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_set_version(cert, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME *name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"tls_test", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    add_extension(cert, NID_subject_alt_name, "DNS:localhost,DNS:node.test,IP:127.0.0.1");
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

static int make_certificate(void **state)
{
    assert_non_null(mkdtemp(folder));
    snprintf(cert_file, sizeof cert_file, "%s/cert.pem", folder);
    snprintf(key_file, sizeof key_file, "%s/key.pem", folder);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = self_signed(key);
    FILE *f = fopen(cert_file, "w");
    assert_true(PEM_write_X509(f, cert));
    fclose(f);
    f = fopen(key_file, "w");
    assert_true(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL));
    fclose(f);
    X509_free(cert);
    EVP_PKEY_free(key);
    return 0;
}
static int remove_certificate(void **state)
{
    unlink(cert_file);
    unlink(key_file);
    return rmdir(folder);
}

static int set_up(void **state)
{
    const char *why;
    rig_set_up(state);
    rig.server_tls = tls_server_new(cert_file, key_file, &why);
    assert_null(why);
    rig.client_tls = tls_client_new(cert_file, false, &why);
    assert_null(why);
    rig.server_name = STR("localhost");
    return 0;
}
static int tear_down(void **state)
{
    tls_context_free(&rig.server_tls);
    tls_context_free(&rig.client_tls);
    return rig_tear_down(state);
}

static void talks(void **state)
{
    question_and_answer();
}
static void bulk_fleeting(void **state)
{
    bulk_through_a_sleeping_reader(FLEETING);
}
static void bulk_lasting(void **state)
{
    bulk_through_a_sleeping_reader(LASTING);
}
static void early_writes(void **state)
{
    written_before_it_is_open();
}
static void reset(void **state)
{
    a_reset_breaks_the_other_side();
}
static void hang_up(void **state)
{
    a_hang_up_is_heard_while_not_reading();
}
static void closing_in_callbacks(void **state)
{
    each_callback_may_close();
}
static void allocation_failures(void **state)
{
    for (uint64_t nth = 1; nothing_is_lost_when_allocation_fails(nth); nth++)
        ;
}

/* --- whom the client believes --- */

static const char *trouble_with(struct str name, struct tls_context *client)
{
    static char trouble[128];
    struct tls_context *usual = rig.client_tls;
    rig_listen();
    rig.client_tls = client;
    rig.server_name = name;
    assert_int_equal(rig_dial(), OK);
    rig_until(client_opened);
    rig_run(MSEC(5));
    snprintf(trouble, sizeof trouble, "%s", conn_tls_trouble(&rig.client.conn));
    assert_int_equal(rig.client.opened, *trouble ? FAIL_tls_failed : OK);
    assert_int_equal(rig.client.opens, 1);
    assert_int_equal(rig.server.opens, 1);
    rig_hang_up();
    rig.client_tls = usual;
    return trouble;
}

static void names_and_addresses_of_the_certificate_are_believed(void **state)
{
    assert_string_equal(trouble_with(STR("localhost"), rig.client_tls), "");
    assert_string_equal(trouble_with(STR("node.test"), rig.client_tls), "");
    assert_string_equal(trouble_with(STR("127.0.0.1"), rig.client_tls), "");
}
static void others_are_not(void **state)
{
    assert_string_equal(trouble_with(STR("evil.test"), rig.client_tls), "hostname mismatch");
    assert_string_equal(trouble_with(STR("127.0.0.2"), rig.client_tls), "IP address mismatch");
}
static void a_stranger_to_the_system_store_is_refused_unless_insecure(void **state)
{
    const char *why;
    struct tls_context *strict = tls_client_new(NULL, false, &why), *insecure = tls_client_new(NULL, true, &why);
    assert_non_null(strict);
    assert_string_equal(trouble_with(STR("localhost"), strict), "self-signed certificate");
    rig_listen();
    struct tls_context *usual = rig.client_tls;
    rig.client_tls = insecure;
    rig.server_name = STR("whatever");
    assert_int_equal(rig_dial(), OK);
    rig_until(client_opened);
    assert_int_equal(rig.client.opened, OK);
    rig_hang_up();
    rig.client_tls = usual;
    tls_context_free(&strict);
    tls_context_free(&insecure);
}

static void wrong_files_are_explained(void **state)
{
    const char *why = NULL;
    assert_null(tls_server_new("/nonexistent", key_file, &why));
    assert_string_equal(why, "No such file or directory");
    assert_null(tls_server_new(cert_file, cert_file, &why));
    assert_non_null(why);
    assert_null(tls_client_new("/nonexistent", false, &why));
    assert_non_null(why);
}

/* --- ends --- */

static void close_notify_is_an_end_and_its_absence_a_cut(void **state)
{
    for (int polite = 0; polite < 2; polite++) {
        rig_connect();
        conn_watch(&rig.server.conn, SOCK_READ);
        assert_int_equal(say(&rig.client, "last words"), OK);
        if (polite)
            conn_shutdown(&rig.client.conn);
        else
            sock_shutdown(&rig.client.conn.sock);
        rig_until(server_ended);
        assert_got(&rig.server, "last words");
        assert_int_equal(rig.server.end, polite ? -1 : -2);
        rig_hang_up();
    }
}

static void plain_text_is_no_handshake(void **state)
{
    struct tls_context *client = rig.client_tls;
    rig_listen();
    rig.client_tls = NULL;
    assert_int_equal(rig_dial(), OK);
    assert_int_equal(say(&rig.client, "GET / HTTP/1.1\r\n\r\n"), OK);
    rig_run(MSEC(20));
    assert_int_equal(rig.server.opens, 1);
    assert_int_equal(rig.server.opened, FAIL_tls_failed);
    assert_string_equal(conn_tls_trouble(&rig.server.conn), "http request");
    assert_int_equal(say(&rig.server, "x"), FAIL_client_gone);
    rig_hang_up();
    rig.client_tls = client;
}

static void leaving_in_the_handshake_is_a_failure(void **state)
{
    struct tls_context *client = rig.client_tls;
    rig_listen();
    rig.client_tls = NULL;
    assert_int_equal(rig_dial(), OK);
    rig_until(client_opened);
    conn_close(&rig.client.conn, false);
    rig_run(MSEC(10));
    assert_int_equal(rig.server.opens, 1);
    assert_int_equal(rig.server.opened, FAIL_tls_failed);
    rig_hang_up();
    rig.client_tls = client;
}

/* --- records --- */

static bool all_read(void)
{
    return buf_len(&rig.server.got) == 50000;
}
static void decrypted_leftovers_come_without_an_event(void **state)
{
    rig_connect();
    rig.server.room = 700; /* of records of 16,384 */
    static unsigned char all[50000];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = pattern(i);
    struct iovec v = { all, sizeof all };
    assert_int_equal(conn_write(&rig.client.conn, &v, 1, LASTING), OK);
    usleep(2000);
    conn_watch(&rig.server.conn, SOCK_READ);
    rig_until(all_read);
    assert_pattern(&rig.server, sizeof all);
    unsigned turns = rig.turns;
    rig_run(MSEC(20));
    assert_true(rig.turns - turns < 10); /* and nothing spins afterwards */
    rig_hang_up();
}

static void reading_stopped_and_resumed_goes_on_with_the_leftovers(void **state)
{
    rig_connect();
    rig.server.room = 5;
    assert_int_equal(say(&rig.client, "0123456789"), OK);
    usleep(2000);
    char b[5];
    assert_int_equal(conn_read(&rig.server.conn, b, sizeof b), 5);
    rig_run(MSEC(5));
    assert_int_equal(rig.server.reads, 0); /* not watched: not told */
    conn_watch(&rig.server.conn, SOCK_READ);
    rig_run(MSEC(5));
    assert_got(&rig.server, "56789");
    rig_hang_up();
}

static void many_small_records_are_read_in_one_go(void **state)
{
    rig_connect();
    for (int i = 0; i < 100; i++)
        assert_int_equal(say(&rig.client, "token "), OK);
    usleep(2000);
    conn_watch(&rig.server.conn, SOCK_READ);
    rig_run(MSEC(10));
    assert_int_equal(buf_len(&rig.server.got), 600);
    assert_true(rig.server.reads <= 3);
    rig_hang_up();
}

/* A client that speaks TLS 1.1 at most, on a descriptor of its own. */
static bool old_client_is_served(int version)
{
    rig_listen();
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, &rig.at.any, sizeof rig.at.v4), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_max_proto_version(ctx, version);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    for (int i = 0; i < 20 && SSL_connect(ssl) != 1; i++)
        rig_run(MSEC(1));
    bool served = SSL_is_init_finished(ssl);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    rig_run(MSEC(5));
    assert_int_equal(rig.server.opened, served ? OK : FAIL_tls_failed);
    rig_hang_up();
    return served;
}
static void tls_1_2_is_the_least(void **state)
{
    assert_true(old_client_is_served(TLS1_3_VERSION));
    assert_true(old_client_is_served(TLS1_2_VERSION));
    assert_false(old_client_is_served(TLS1_1_VERSION));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(talks),
        TEST(bulk_fleeting),
        TEST(bulk_lasting),
        TEST(early_writes),
        TEST(reset),
        TEST(hang_up),
        TEST(closing_in_callbacks),
        TEST(allocation_failures),
        TEST(names_and_addresses_of_the_certificate_are_believed),
        TEST(others_are_not),
        TEST(a_stranger_to_the_system_store_is_refused_unless_insecure),
        TEST(wrong_files_are_explained),
        TEST(close_notify_is_an_end_and_its_absence_a_cut),
        TEST(plain_text_is_no_handshake),
        TEST(leaving_in_the_handshake_is_a_failure),
        TEST(decrypted_leftovers_come_without_an_event),
        TEST(reading_stopped_and_resumed_goes_on_with_the_leftovers),
        TEST(many_small_records_are_read_in_one_go),
        TEST(tls_1_2_is_the_least),
    };
    return cmocka_run_group_tests(tests, make_certificate, remove_certificate);
}
