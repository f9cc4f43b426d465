/* ingress-http/tls.h - TLS below a connection. Only tls.c and certificate.c
 * know OpenSSL; a connection without TLS has a NULL pointer of it. */
#ifndef YOI_HTTP_TLS_H
#define YOI_HTTP_TLS_H

#include <sdk/error.h>
#include <sys/types.h>
#include <sys/uio.h>

#define HTTP_TLS_RECORD 16384 /* plaintext of one record, RFC 8446 section 5.1 */

struct ssl_ctx_st;
struct http_conn;

/* What a listener shows: chain and key as PEM text, checked to belong
 * together. The messages name `certificate` and `key`, never what is in them.
 * Free it with http_tls_context_free; connections keep what they began with. */
yoi_status http_tls_context(yoi_str certificate, yoi_str key, struct ssl_ctx_st **out,
                            yoi_error *err);
void http_tls_context_free(struct ssl_ctx_st *ctx);
void http_tls_context_ref(struct ssl_ctx_st *ctx); /* one more to free */
/* Whether the first certificate holds at this time: 0, or -1 not yet, 1 not
 * any more. */
int http_tls_context_expired(struct ssl_ctx_st *ctx, uint64_t wall_ns);

/* 0: no memory. */
int http_tls_begin(struct http_conn *c, struct ssl_ctx_st *ctx);
/* 1: done; 0: it goes on when the socket is ready for *out_interest; -1: it
 * failed, and the client was told why as far as TLS can. */
int http_tls_handshake(struct http_conn *c, uint32_t *out_interest);
/* As recv: 0 after a close_notify, -1 with errno. A record is taken whole when
 * n is HTTP_TLS_RECORD. EAGAIN with c->tls_blocked set: no more is read before
 * the socket takes bytes. */
ssize_t http_tls_recv(struct http_conn *c, char *buf, size_t n);
/* Bytes taken, 0 when the socket is full, -1 when it is broken. After 0, or
 * less than all, the next call must begin with the bytes that were left. */
ssize_t http_tls_send(struct http_conn *c, const struct iovec *iov, size_t n);
/* Sends close_notify: 1 when it is out or cannot be, 0 when the socket is
 * full. */
int http_tls_end(struct http_conn *c);
void http_tls_free(struct http_conn *c);

#endif
