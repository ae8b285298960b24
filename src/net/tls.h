/* net/tls.h - TLS through OpenSSL 3 behind a connection: used by net/conn.c and by whoever configures it.
 * A context is made once per worker and configuration (own OSSL_LIB_CTX per worker: measured -10..17 %), never shared.
 */
#pragma once
#include "base/fail.h"
#include "net/loop.h"

struct tls_context;
struct tls;
void tls_pools_init(void); /* done by conn_pools_init */
void tls_pools_done(void);
/* Towards nodes: verifies chain and name or address of the peer against `ca_file` (NULL: the system's store) unless
 * `insecure`. At least TLS 1.2, no renegotiation. NULL: `*why` says what failed (static text). */
struct tls_context *tls_client_new(const char *ca_file, bool insecure, const char **why);
/* Towards clients. Session tickets of one process are good on all its workers. */
struct tls_context *tls_server_new(const char *cert_file, const char *key_file, const char **why);
/* No connection may use it any more. */
void tls_context_free(struct tls_context **c);

/* One connection's state, over a sock; used by conn.c only. Results as sock_read/sock_writev; *want gets the SOCK_ bit
 * to wait for when the result is 0 (tls_handshake: OK and not done). The sock stays the caller's, at the same place.
 * NULL: no memory. */
struct tls *tls_new(struct tls_context *c, struct sock *s, struct str server_name);
void tls_free(struct tls **t);
enum fail tls_handshake(struct tls *t, bool *done, unsigned *want);
ssize_t tls_read(struct tls *t, void *into, size_t room, unsigned *want);
/* Takes at most one record, 16 KiB, gathered from the pieces. After 0 the next call must begin with the same bytes. */
ssize_t tls_writev(struct tls *t, const struct iovec *v, int n, unsigned *want);
/* More can be read without an event of the socket. */
bool tls_has_pending(const struct tls *t);
/* Sends close_notify, if the socket takes it. */
void tls_shutdown(struct tls *t);
/* Of the failed handshake; static text. */
const char *tls_trouble(const struct tls *t);
