/* ingress-http/tls.c - TLS below a connection, by OpenSSL.
 *
 *              first byte                  done                close_notify
 *    (socket) ------------> handshake -----------> recv, send ------------> raw
 *       |                       | header_ms, alert
 *       | a letter: a client    v
 *       | that speaks HTTP    CLOSING
 *       v
 *    an answer in plain HTTP
 *
 * The state machine above does not change: what is recv and sendmsg there is
 * http_tls_recv and http_tls_send here, with the same meaning, non-blocking on
 * the host's loop.
 *
 *  1. The object of a connection is made with its first byte: whoever connects
 *     and says nothing costs no more than without TLS.
 *  2. Buffers are bounded: OpenSSL keeps at most one record each way, and none
 *     while nothing is under way (RELEASE_BUFFERS); a watcher pins what
 *     write.c says. No read-ahead: what is not taken stays in the kernel, so
 *     that the loop's readiness is the truth.
 *  3. Every byte of the socket goes through the BIO below, which sends without
 *     SIGPIPE (the application may not ignore it) by write.c.
 *  4. A write that the socket did not take has been encrypted already. It is
 *     offered again with the same bytes and length (tls_retry).
 *  5. After a fatal error nothing is sent any more, no close_notify either.
 *  6. A read may have to send first: the answer to a client that asks for new
 *     keys (RFC 8446 section 4.6.3). Until the socket takes it nothing is read,
 *     and the loop waits for room (tls_blocked): bytes that wait in the kernel
 *     would wake it again and again. Nothing is queued for such a client.
 *  7. TLS 1.2 and 1.3, ciphers and curves as the library has them by default,
 *     ALPN http/1.1 or none, no renegotiation, no compression, no early data.
 *     Tickets are stateless; there is no session cache, whose memory would be
 *     the callers' to fill. A client with another ALPN speaks another protocol
 *     and is refused (no_application_protocol, RFC 7301).
 */
#include "tls.h"

#include "http.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

/* ---- certificates ----------------------------------------------------------- */

/* What OpenSSL says of its last error: words of a fixed list, no data. */
static yoi_status failed(yoi_error *err, const char *what, const char *otherwise) {
  unsigned long code = ERR_peek_last_error();
  const char *why = code ? ERR_reason_error_string(code) : NULL;
  yoi_status st =
      yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "%s: %s", what, why ? why : otherwise);
  ERR_clear_error();
  return st;
}

/* Nobody is there to type a passphrase; the default asks on the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *asked) {
  (void)buf, (void)size, (void)writing;
  *(int *)asked = 1;
  return -1;
}

static BIO *reader(yoi_str pem) { return BIO_new_mem_buf(pem.ptr, (int)pem.len); }

static yoi_status use_chain(SSL_CTX *ctx, yoi_str pem, yoi_error *err) {
  yoi_status st = YOI_OK;
  X509 *cert = NULL;
  int asked = 0, n = 0;
  BIO *in = reader(pem);
  if (!in) return yoi_sdk_fail_memory(err);
  while (st == YOI_OK && (cert = PEM_read_bio_X509(in, NULL, no_passphrase, &asked))) {
    if (n++ == 0 ? SSL_CTX_use_certificate(ctx, cert) != 1
                 : SSL_CTX_add1_chain_cert(ctx, cert) != 1)
      st = failed(err, n == 1 ? "'certificate' is not usable" : "its chain is not usable",
                  "the library refuses it");
    X509_free(cert);
  }
  BIO_free(in);
  if (st != YOI_OK) return st;
  if (n == 0) {
    ERR_clear_error();
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "'certificate' has no certificate in PEM, 'BEGIN CERTIFICATE'");
  }
  /* Behind the last one stands nothing that begins like one. */
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
    return failed(err, "'certificate' is malformed behind its first certificate", "not PEM");
  ERR_clear_error();
  return YOI_OK;
}

static yoi_status use_key(SSL_CTX *ctx, yoi_str pem, yoi_error *err) {
  yoi_status st = YOI_OK;
  int asked = 0;
  BIO *in = reader(pem);
  if (!in) return yoi_sdk_fail_memory(err);
  EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, &asked);
  BIO_free(in);
  if (!key) {
    ERR_clear_error();
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        asked ? "'key' has a passphrase, which nobody can give"
                              : "'key' has no private key in PEM, 'BEGIN PRIVATE KEY'");
  }
  if (X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) != 1) {
    ERR_clear_error();
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "'key' does not fit 'certificate'");
  } else if (SSL_CTX_use_PrivateKey(ctx, key) != 1) {
    st = failed(err, "'key' is not usable", "the library refuses it");
  }
  EVP_PKEY_free(key);
  return st;
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *ctx) {
  static const unsigned char ours[] = "\x08http/1.1";
  unsigned char *chosen = NULL;
  (void)ssl, (void)ctx;
  if (SSL_select_next_proto(&chosen, out_len, ours, sizeof ours - 1, in, in_len) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

yoi_status http_tls_context(yoi_str certificate, yoi_str key, SSL_CTX **out, yoi_error *err) {
  ERR_clear_error();
  SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
  if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
    SSL_CTX_free(ctx);
    return failed(err, "cannot set up TLS", "memory is short");
  }
  (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  (void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  /* A call ends with each record that has no data: no client holds a loop. */
  (void)SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
  (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  (void)SSL_CTX_set_num_tickets(ctx, 1);
  SSL_CTX_set_alpn_select_cb(ctx, select_alpn, NULL);
  yoi_status st = use_chain(ctx, certificate, err);
  if (st == YOI_OK) st = use_key(ctx, key, err);
  if (st == YOI_OK) *out = ctx;
  else SSL_CTX_free(ctx);
  return st;
}

void http_tls_context_free(SSL_CTX *ctx) { SSL_CTX_free(ctx); }

void http_tls_context_ref(SSL_CTX *ctx) { (void)SSL_CTX_up_ref(ctx); }

int http_tls_context_expired(SSL_CTX *ctx, uint64_t wall_ns) {
  const X509 *cert = SSL_CTX_get0_certificate(ctx);
  time_t now = (time_t)(wall_ns / 1000000000u);
  if (X509_cmp_time(X509_get0_notBefore(cert), &now) > 0) return -1;
  return X509_cmp_time(X509_get0_notAfter(cert), &now) < 0;
}

_Static_assert(HTTP_READ_BYTES >= HTTP_TLS_RECORD, "a record is taken whole");

/* ---- the socket below ---------------------------------------------------------- */

static int bio_write(BIO *b, const char *p, size_t n, size_t *out) {
  struct http_conn *c = BIO_get_data(b);
  struct iovec iov = {(void *)(uintptr_t)p, n};
  ssize_t sent = http_socket_send(c->fd, &iov, 1);
  BIO_clear_retry_flags(b);
  *out = sent > 0 ? (size_t)sent : 0;
  if (sent == 0) BIO_set_retry_write(b);
  return sent > 0;
}

static int bio_read(BIO *b, char *p, size_t n, size_t *out) {
  struct http_conn *c = BIO_get_data(b);
  ssize_t got;
  do got = recv(c->fd, p, n, 0);
  while (got < 0 && errno == EINTR);
  BIO_clear_retry_flags(b);
  *out = got > 0 ? (size_t)got : 0;
  if (got < 0 && errno == EAGAIN) BIO_set_retry_read(b);
  if (got == 0) BIO_set_flags(b, BIO_FLAGS_IN_EOF);
  return got > 0;
}

static long bio_ctrl(BIO *b, int cmd, long n, void *p) {
  (void)n, (void)p;
  if (cmd == BIO_CTRL_FLUSH) return 1; /* nothing is kept back */
  if (cmd == BIO_CTRL_EOF) return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
  return 0;
}

static BIO_METHOD *socket_method; /* process-wide, as OpenSSL's types are */

static void make_method(void) {
  BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "yoi socket");
  if (!m) return;
  BIO_meth_set_write_ex(m, bio_write);
  BIO_meth_set_read_ex(m, bio_read);
  BIO_meth_set_ctrl(m, bio_ctrl);
  socket_method = m;
}

/* ---- a connection ----------------------------------------------------------------- */

int http_tls_begin(struct http_conn *c, SSL_CTX *ctx) {
  static pthread_once_t once = PTHREAD_ONCE_INIT; /* process-wide, likewise */
  pthread_once(&once, make_method);
  ERR_clear_error();
  BIO *b = socket_method ? BIO_new(socket_method) : NULL;
  SSL *ssl = b ? SSL_new(ctx) : NULL;
  if (!ssl) {
    BIO_free(b);
    ERR_clear_error();
    return 0;
  }
  BIO_set_data(b, c);
  BIO_set_init(b, 1);
  SSL_set_bio(ssl, b, b);
  SSL_set_accept_state(ssl);
  c->tls = ssl;
  return 1;
}

int http_tls_handshake(struct http_conn *c, uint32_t *out_interest) {
  ERR_clear_error();
  int n = SSL_do_handshake(c->tls);
  if (n == 1) return 1;
  int why = SSL_get_error(c->tls, n);
  *out_interest = why == SSL_ERROR_WANT_WRITE ? YOI_FD_WRITE : YOI_FD_READ;
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return 0;
  c->tls_broken = 1;
  const char *reason = ERR_reason_error_string(ERR_peek_last_error());
  http_log(c->loop->in, YOI_LOG_DEBUG, "tls handshake failed", (yoi_str){NULL, 0}, "reason",
           yoi_sdk_str(reason ? reason : "closed"));
  ERR_clear_error();
  return -1;
}

ssize_t http_tls_recv(struct http_conn *c, char *buf, size_t n) {
  if (c->tls_broken) return 0;
  ERR_clear_error();
  int got = SSL_read(c->tls, buf, (int)n);
  if (got > 0) return got;
  int why = SSL_get_error(c->tls, got);
  switch (why) {
  case SSL_ERROR_WANT_READ:
  case SSL_ERROR_WANT_WRITE:
    c->tls_blocked = why == SSL_ERROR_WANT_WRITE;
    errno = EAGAIN;
    return -1;
  case SSL_ERROR_ZERO_RETURN: return 0;
  default:
    c->tls_broken = 1;
    ERR_clear_error();
    errno = ECONNRESET;
    return -1;
  }
}

/* The next bytes as one piece: where they stand, or gathered. */
static yoi_str record(struct http_conn *c, const struct iovec *iov, size_t n, size_t skip) {
  char *to = c->loop->record;
  size_t len = 0;
  while (n > 0 && skip >= iov->iov_len) skip -= iov->iov_len, iov++, n--;
  if (n > 0 && (n == 1 || iov->iov_len - skip >= HTTP_TLS_RECORD)) {
    size_t all = iov->iov_len - skip;
    return (yoi_str){(char *)iov->iov_base + skip, all < HTTP_TLS_RECORD ? all : HTTP_TLS_RECORD};
  }
  for (; n > 0 && len < HTTP_TLS_RECORD; iov++, n--, skip = 0) {
    size_t part = iov->iov_len - skip, room = HTTP_TLS_RECORD - len;
    if (part > room) part = room;
    memcpy(to + len, (char *)iov->iov_base + skip, part);
    len += part;
  }
  return (yoi_str){to, len};
}

ssize_t http_tls_send(struct http_conn *c, const struct iovec *iov, size_t n) {
  size_t total = 0, sent = 0;
  for (size_t i = 0; i < n; i++) total += iov[i].iov_len;
  while (sent < total && !c->tls_broken) {
    yoi_str next = record(c, iov, n, sent);
    if (c->tls_retry > 0 && c->tls_retry <= next.len) next.len = c->tls_retry;
    ERR_clear_error();
    int took = SSL_write(c->tls, next.ptr, (int)next.len);
    if (took > 0) {
      c->tls_retry = 0;
      sent += (size_t)took;
      continue;
    }
    if (SSL_get_error(c->tls, took) == SSL_ERROR_WANT_WRITE) {
      c->tls_retry = (uint16_t)next.len;
      return (ssize_t)sent;
    }
    c->tls_broken = 1;
    ERR_clear_error();
  }
  return c->tls_broken ? -1 : (ssize_t)sent;
}

int http_tls_end(struct http_conn *c) {
  if (c->tls_broken || !SSL_is_init_finished(c->tls) || c->tls_retry > 0) return 1;
  ERR_clear_error();
  int st = SSL_shutdown(c->tls);
  int full = st < 0 && SSL_get_error(c->tls, st) == SSL_ERROR_WANT_WRITE;
  ERR_clear_error();
  return !full;
}

void http_tls_free(struct http_conn *c) {
  SSL_free(c->tls);
  c->tls = NULL;
}
