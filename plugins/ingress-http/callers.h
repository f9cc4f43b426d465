/* ingress-http/callers.h - who asks, what he may, and how often.
 *
 *   config `tokens`            secrets of the host
 *       |                            | read anew every token_reload_ms
 *       v                            v
 *   caller  <------ pass ------- SHA-256 of a token        ring: all passes
 *   (principal,      ^  \
 *    operations,     |   revoked: the value has changed
 *    workspace,      |
 *    rate)        session: a pass that a login made, until it expires
 *
 * A caller is one entry of the config, or whoever comes where no token is asked
 * for. A pass is what lets him in. Whoever answers a request or holds a stream
 * has a reference to its pass and asks http_pass_good before anything goes out.
 *
 *  1. A ring never changes: another value makes another ring, which loops take
 *     when their next request comes; until then an old ring lets nobody in by a
 *     pass that is revoked.
 *  2. No token is kept, only its hash.
 *  3. Everything here is [any]; what changes is atomic.
 */
#ifndef YOI_HTTP_CALLERS_H
#define YOI_HTTP_CALLERS_H

#include <sdk/error.h>
#include <sdk/id.h>
#include <sdk/json.h>
#include <stdatomic.h>
#include <yoi/ops.h>

#define HTTP_OPS_ALL (~0ull)
#define HTTP_OP_BIT(op) (1ull << (op))
_Static_assert(YOI_OP__END <= 64, "an operation is a bit");

/* So many at once, and again so many in each per_ms, evenly; count 0: no end. */
struct http_rate {
  uint64_t count, per_ms;
};

struct http_caller {
  _Atomic uint32_t refs;
  uint64_t ops;               /* HTTP_OP_BIT of what he may */
  uint64_t every_ns, ahead_ns; /* of his rate; 0: none */
  _Atomic uint64_t due_ns;    /* when the next one would be on time */
  char principal[YOI_PRINCIPAL_MAX + 1];
  char workspace[YOI_ID_MAX + 1]; /* that he sees; empty: all */
};

struct http_pass {
  _Atomic uint32_t refs, revoked;
  struct http_caller *caller; /* a reference */
  struct http_pass *parent;   /* of a session: by which it was made; a reference */
  uint64_t until_ms;          /* CLOCK_MONOTONIC; 0: no end */
  uint8_t sha[YOI_SDK_SHA256_SIZE];
};

struct http_ring {
  _Atomic uint32_t refs;
  size_t n;
  struct http_pass *passes[]; /* references */
};

/* NULL: memory is short. */
struct http_caller *http_caller_new(yoi_str principal, uint64_t ops, yoi_str workspace,
                                    struct http_rate rate);
void http_caller_unref(struct http_caller *c); /* NULL is accepted */
/* One more request: OK, or rate_limited with the time to wait. */
yoi_status http_caller_take(struct http_caller *c, uint64_t now_ns, yoi_error *err);
/* OK, or policy_denied. */
yoi_status http_caller_may(const struct http_caller *c, uint32_t op, yoi_error *err);

/* What the member `permissions` says: groups and operations. NULL: all, but for
 * what is of no workspace alone, when he has one. */
yoi_status http_permissions(const yoi_sdk_json *list, int has_workspace, uint64_t *out_ops,
                            yoi_error *err);

/* Takes references of caller and parent for itself. NULL: memory is short. */
struct http_pass *http_pass_new(struct http_caller *caller, struct http_pass *parent,
                                const uint8_t sha[YOI_SDK_SHA256_SIZE], uint64_t until_ms);
struct http_pass *http_pass_ref(struct http_pass *p);
void http_pass_unref(struct http_pass *p); /* NULL is accepted */
void http_pass_revoke(struct http_pass *p);
int http_pass_good(const struct http_pass *p, uint64_t now_ms);

/* Takes over the references; NULL: memory is short, and they are let go. */
struct http_ring *http_ring_new(struct http_pass *const *passes, size_t n);
struct http_ring *http_ring_ref(struct http_ring *r);
void http_ring_unref(struct http_ring *r); /* NULL is accepted */
/* The pass of a token, with a reference; NULL: none. Takes as long whichever it
 * is, and whether it is one. */
struct http_pass *http_ring_find(const struct http_ring *r, yoi_str token, uint64_t now_ms);

#endif
