/* net/tls.c - OpenSSL 3 over our own socks.
 *
 * SSL reads and writes through a BIO that calls sock_read and sock_writev: so the simulated network carries TLS too, no
 * signal comes from a broken socket, and no bytes are copied once more through a memory BIO.
 *
 * Settings that matter: read_ahead (a record costs one recv, not two), RELEASE_BUFFERS (an idle connection gives its 34
 * KB back), PARTIAL_WRITE with MOVING_WRITE_BUFFER (what was refused is retried from wherever conn keeps it). Small
 * pieces are gathered in a scratch of the context, since each SSL_write makes a record: 1.06 us and 22 bytes or more.
 * One context per worker with its own OSSL_LIB_CTX: sharing one costs 10-17 % on contended locks inside.
 *
 * Tickets instead of a session cache, with one key for the process, since each worker has a context of its own. */
#include "net/tls.h"

#include "base/slab.h"
#include "base/sys.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>

#define RECORD_BYTES     KIB(16)
#define TICKET_KEY_BYTES 80                            /* SSL_CTX_set_tlsext_ticket_keys: name, HMAC key, AES key */
#define STRONG_CIPHERS   "ECDHE+AESGCM:ECDHE+CHACHA20" /* for TLS 1.2; those of 1.3 are all strong */

struct tls_context {
    OSSL_LIB_CTX *lib;
    SSL_CTX *ctx;
    BIO_METHOD *bio;
    bool is_server;
    char scratch[RECORD_BYTES];
};
struct tls {
    struct tls_context *context;
    struct sock *sock;
    SSL *ssl;
    bool more;       /* the last read left something that needs no event */
    bool peer_ended; /* FIN was read */
    unsigned long error;
};

static struct slab tlses;
void tls_pools_init(void)
{
    slab_init(&tlses, "tls", sizeof(struct tls));
}
void tls_pools_done(void)
{
    slab_done(&tlses);
}

/* --- the BIO --- */

static int sock_bio_read(BIO *b, char *into, int room)
{
    struct tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    ssize_t n = room > 0 ? sock_read(t->sock, into, (size_t)room) : 0;
    if (n > 0)
        return (int)n;
    if (n == 0)
        BIO_set_retry_read(b);
    t->peer_ended |= n == -1;
    return n == -1 ? 0 : -1;
}

static int sock_bio_write(BIO *b, const char *bytes, int n)
{
    struct tls *t = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    struct iovec v = { (char *)bytes, (size_t)n };
    ssize_t taken = n > 0 ? sock_writev(t->sock, &v, 1) : 0;
    if (taken > 0)
        return (int)taken;
    if (taken == 0)
        BIO_set_retry_write(b);
    return -1;
}

static long sock_bio_ctrl(BIO *b, int command, long number, void *pointer)
{
    const struct tls *t = BIO_get_data(b);
    switch (command) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_EOF: return t->peer_ended;
    default: return 0;
    }
}

static BIO_METHOD *sock_bio(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "sock");
    if (!m)
        return NULL;
    BIO_meth_set_read(m, sock_bio_read);
    BIO_meth_set_write(m, sock_bio_write);
    BIO_meth_set_ctrl(m, sock_bio_ctrl);
    return m;
}

/* --- contexts --- */

static const char *last_reason(void)
{
    unsigned long error = ERR_peek_error();
    const char *reason =
        ERR_SYSTEM_ERROR(error) ? strerrordesc_np(ERR_GET_REASON(error)) : ERR_reason_error_string(error);
    ERR_clear_error();
    return reason ? reason : "OpenSSL gives no reason";
}

static void share_tickets(SSL_CTX *ctx)
{
    static unsigned char keys[TICKET_KEY_BYTES];
    static bool made;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    if (!made)
        sys_random(keys, sizeof keys);
    made = true;
    pthread_mutex_unlock(&lock);
    SSL_CTX_set_tlsext_ticket_keys(ctx, keys, sizeof keys);
}

static void apply_settings(SSL_CTX *ctx)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
}

static struct tls_context *context_new(bool is_server)
{
    struct tls_context *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->is_server = is_server;
    c->lib = OSSL_LIB_CTX_new();
    c->bio = sock_bio();
    if (c->lib)
        c->ctx = SSL_CTX_new_ex(c->lib, NULL, is_server ? TLS_server_method() : TLS_client_method());
    if (c->ctx && c->bio)
        apply_settings(c->ctx);
    else
        tls_context_free(&c);
    return c;
}

static struct tls_context *context_ready(struct tls_context *c, bool good, const char **why)
{
    *why = NULL;
    if (c && good)
        return c;
    *why = c ? last_reason() : "out of memory";
    tls_context_free(&c);
    return NULL;
}

struct tls_context *tls_client_new(const char *ca_file, bool insecure, const char **why)
{
    ERR_clear_error();
    struct tls_context *c = context_new(false);
    bool good = c != NULL;
    if (good && !insecure) {
        SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
        good = ca_file ? SSL_CTX_load_verify_file(c->ctx, ca_file) : SSL_CTX_set_default_verify_paths(c->ctx);
    }
    return context_ready(c, good, why);
}

struct tls_context *tls_server_new(const char *cert_file, const char *key_file, const char **why)
{
    ERR_clear_error();
    struct tls_context *c = context_new(true);
    bool good = c && SSL_CTX_use_certificate_chain_file(c->ctx, cert_file) == 1 &&
                SSL_CTX_use_PrivateKey_file(c->ctx, key_file, SSL_FILETYPE_PEM) == 1 &&
                SSL_CTX_check_private_key(c->ctx) == 1 && SSL_CTX_set_cipher_list(c->ctx, STRONG_CIPHERS) == 1;
    if (good) {
        SSL_CTX_set_num_tickets(c->ctx, 1);
        share_tickets(c->ctx);
    }
    return context_ready(c, good, why);
}

void tls_context_free(struct tls_context **c)
{
    if (!*c)
        return;
    SSL_CTX_free((*c)->ctx);
    BIO_meth_free((*c)->bio);
    OSSL_LIB_CTX_free((*c)->lib);
    free(*c);
    *c = NULL;
}

/* --- one connection --- */

static bool expect_name(SSL *ssl, struct str name)
{
    char z[256];
    if (name.n == 0 || name.n >= sizeof z)
        return name.n == 0;
    memcpy(z, name.p, name.n);
    z[name.n] = 0;
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), z))
        return true; /* an address is not for SNI (RFC 6066 section 3) */
    ERR_clear_error();
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, z) && SSL_set_tlsext_host_name(ssl, z);
}

static bool set_up(struct tls *t, struct str server_name)
{
    t->ssl = SSL_new(t->context->ctx);
    BIO *bio = t->ssl ? BIO_new(t->context->bio) : NULL;
    if (!bio)
        return false;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    if (t->context->is_server) {
        SSL_set_accept_state(t->ssl);
        return true;
    }
    SSL_set_connect_state(t->ssl);
    return expect_name(t->ssl, server_name);
}

struct tls *tls_new(struct tls_context *c, struct sock *s, struct str server_name)
{
    struct tls *t = slab_take0(&tlses);
    if (!t)
        return NULL;
    t->context = c;
    t->sock = s;
    ERR_clear_error();
    if (!set_up(t, server_name))
        tls_free(&t);
    return t;
}

void tls_free(struct tls **t)
{
    if (!*t)
        return;
    SSL_free((*t)->ssl);
    slab_give(&tlses, t);
}

static ssize_t outcome(struct tls *t, int result, unsigned *want)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ: *want = SOCK_READ; return 0;
    case SSL_ERROR_WANT_WRITE: *want = SOCK_WRITE; return 0;
    case SSL_ERROR_ZERO_RETURN: return -1;
    default: t->error = ERR_peek_error(); return -2;
    }
}

enum fail tls_handshake(struct tls *t, bool *done, unsigned *want)
{
    ERR_clear_error();
    int result = SSL_do_handshake(t->ssl);
    *done = result == 1;
    t->more = *done && SSL_has_pending(t->ssl);
    return *done || outcome(t, result, want) == 0 ? OK : FAIL_tls_failed;
}

const char *tls_trouble(const struct tls *t)
{
    long verdict = SSL_get_verify_result(t->ssl);
    if (verdict != X509_V_OK)
        return X509_verify_cert_error_string(verdict);
    const char *reason = t->error ? ERR_reason_error_string(t->error) : NULL;
    return reason ? reason : t->peer_ended ? "the peer closed the connection" : "";
}

/* Fills the room from all records at hand: peers that send a record per token would cost a turn each otherwise. */
ssize_t tls_read(struct tls *t, void *into, size_t room, unsigned *want)
{
    size_t got = 0, n;
    ERR_clear_error();
    do {
        int result = SSL_read_ex(t->ssl, (char *)into + got, room - got, &n);
        if (result != 1) {
            ssize_t end = outcome(t, result, want);
            t->more = got > 0 && end < 0;
            return got > 0 ? (ssize_t)got : end;
        }
        got += n;
        t->more = SSL_has_pending(t->ssl);
    } while (t->more && got < room);
    return (ssize_t)got;
}

bool tls_has_pending(const struct tls *t)
{
    return t->more;
}

static struct str next_record(struct tls_context *c, const struct iovec *v, int n)
{
    if (n == 1 || v[0].iov_len >= RECORD_BYTES)
        return (struct str){ v[0].iov_base, MIN(v[0].iov_len, RECORD_BYTES) };
    size_t filled = 0;
    for (int i = 0; i < n && filled < RECORD_BYTES; i++) {
        size_t part = MIN(v[i].iov_len, RECORD_BYTES - filled);
        memcpy(c->scratch + filled, v[i].iov_base, part);
        filled += part;
    }
    return (struct str){ c->scratch, filled };
}

ssize_t tls_writev(struct tls *t, const struct iovec *v, int n, unsigned *want)
{
    struct str record = next_record(t->context, v, n);
    size_t taken = 0;
    assume(record.n > 0);
    ERR_clear_error();
    int result = SSL_write_ex(t->ssl, record.p, record.n, &taken);
    if (result == 1)
        return (ssize_t)taken;
    ssize_t end = outcome(t, result, want);
    return end < 0 ? -2 : 0;
}

void tls_shutdown(struct tls *t)
{
    ERR_clear_error();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}
