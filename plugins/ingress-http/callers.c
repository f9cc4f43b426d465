/* ingress-http/callers.c - who asks, what he may, and how often; callers.h says
 * how it hangs together.
 *
 * Tokens are compared by their SHA-256, each with all of the ring and none
 * skipped, so that the time tells nothing about how near a guess came, nor which
 * entry it met.
 *
 * A rate is kept as one number, when the next request would be on time (the
 * generic cell rate algorithm, ITU-T I.371): a request that comes before that is
 * ahead by the difference, and may be ahead by so much as `count` allows.
 */
#include "callers.h"

#include <openssl/crypto.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <stdio.h>
#include <string.h>

/* ---- callers ------------------------------------------------------------------ */

struct http_caller *http_caller_new(yoi_str principal, uint64_t ops, yoi_str workspace,
                                    struct http_rate rate) {
  struct http_caller *c = yoi_sdk_calloc(1, sizeof *c);
  if (!c) return NULL;
  atomic_init(&c->refs, 1u);
  c->ops = ops;
  snprintf(c->principal, sizeof c->principal, "%.*s", YOI_ARG(principal));
  snprintf(c->workspace, sizeof c->workspace, "%.*s", YOI_ARG(workspace));
  if (rate.count > 0) {
    c->every_ns = rate.per_ms * 1000000u / rate.count;
    if (c->every_ns == 0) c->every_ns = 1;
    c->ahead_ns = (rate.count - 1) * c->every_ns;
  }
  return c;
}

void http_caller_unref(struct http_caller *c) {
  if (c && atomic_fetch_sub(&c->refs, 1u) == 1) yoi_sdk_free(c);
}

yoi_status http_caller_take(struct http_caller *c, uint64_t now_ns, yoi_error *err) {
  if (c->every_ns == 0) return YOI_OK;
  uint64_t due = atomic_load(&c->due_ns), from;
  do {
    from = due > now_ns ? due : now_ns;
    if (from - now_ns > c->ahead_ns) {
      uint64_t wait_ms = (from - now_ns - c->ahead_ns + 999999u) / 1000000u;
      yoi_status st = yoi_sdk_fail(err, YOI_CODE_RATE_LIMITED, "too many requests of this caller");
      if (err) err->retry_after_ms = wait_ms < UINT32_MAX ? (uint32_t)wait_ms : UINT32_MAX;
      return st;
    }
  } while (!atomic_compare_exchange_weak(&c->due_ns, &due, from + c->every_ns));
  return YOI_OK;
}

yoi_status http_caller_may(const struct http_caller *c, uint32_t op, yoi_error *err) {
  if (c->ops & HTTP_OP_BIT(op)) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "this token has no permission for '%s'",
                      yoi_sdk_op_name(op));
}

/* ---- permissions ----------------------------------------------------------------- */

#define BIT(sym) HTTP_OP_BIT(YOI_OP_##sym)
static const struct {
  const char *name;
  uint64_t ops;
} groups[] = {
    {"observe", BIT(RUNTIME_DESCRIBE) | BIT(WORKER_LIST) | BIT(WORKER_GET) |
                    BIT(WORKER_TRANSCRIPT) | BIT(WORKER_EVENTS) | BIT(WORKER_APPROVALS) |
                    BIT(WORKER_ARTEFACT) | BIT(HOST_RUNTIMES) | BIT(HOST_RUNTIME) |
                    BIT(HOST_WORKERS)},
    {"input", BIT(WORKER_INPUT) | BIT(WORKER_CANCEL)},
    {"approve", BIT(WORKER_APPROVE)},
    {"manage", BIT(WORKER_CREATE) | BIT(WORKER_STOP) | BIT(WORKER_DELETE)},
    {"bundles", BIT(BUNDLE_PUT) | BIT(BUNDLE_HAVE) | BIT(BUNDLE_GET) | BIT(BUNDLE_LIST) |
                    BIT(BUNDLE_DELETE) | BIT(HOST_BUNDLES) | BIT(HOST_BUNDLE_STATUS) |
                    BIT(HOST_BUNDLE_SYNC)},
    {"metrics", BIT(HOST_METRICS)},
};

/* 0: neither a group nor an operation. */
static uint64_t ops_of(yoi_str name) {
  for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
    if (yoi_sdk_str_is(name, groups[i].name)) return groups[i].ops;
  for (uint32_t op = 1; op < YOI_OP__END; op++)
    if (yoi_sdk_str_is(name, yoi_sdk_op_name(op))) return HTTP_OP_BIT(op);
  return 0;
}

yoi_status http_permissions(const yoi_sdk_json *list, int has_workspace, uint64_t *out_ops,
                            yoi_error *err) {
  *out_ops = list ? BIT(HOST_READY) : HTTP_OPS_ALL;
  if (!list && has_workspace) *out_ops &= ~BIT(HOST_METRICS);
  for (const yoi_sdk_json *v = yoi_sdk_json_first(list); v; v = yoi_sdk_json_next(v)) {
    yoi_str name = {NULL, 0};
    uint64_t ops = yoi_sdk_json_str(v, &name) ? ops_of(name) : 0;
    if (ops == 0)
      return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                          "permission '%.*s' is neither an operation nor one of observe, input, "
                          "approve, manage, bundles, metrics",
                          (int)yoi_sdk_utf8_cut(name, 64), name.ptr ? name.ptr : "");
    *out_ops |= ops;
  }
  if (has_workspace && (*out_ops & BIT(HOST_METRICS)))
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                        "metrics are of all workspaces, so a token with a 'workspace' has no "
                        "permission 'metrics'");
  return YOI_OK;
}

/* ---- passes ---------------------------------------------------------------------- */

struct http_pass *http_pass_new(struct http_caller *caller, struct http_pass *parent,
                                const uint8_t sha[YOI_SDK_SHA256_SIZE], uint64_t until_ms) {
  struct http_pass *p = yoi_sdk_calloc(1, sizeof *p);
  if (!p) return NULL;
  atomic_init(&p->refs, 1u);
  atomic_fetch_add(&caller->refs, 1u);
  p->caller = caller;
  p->parent = parent ? http_pass_ref(parent) : NULL;
  p->until_ms = until_ms;
  if (sha) memcpy(p->sha, sha, sizeof p->sha);
  return p;
}

struct http_pass *http_pass_ref(struct http_pass *p) {
  atomic_fetch_add(&p->refs, 1u);
  return p;
}

void http_pass_unref(struct http_pass *p) {
  if (!p || atomic_fetch_sub(&p->refs, 1u) != 1) return;
  http_pass_unref(p->parent); /* which has none itself */
  http_caller_unref(p->caller);
  yoi_sdk_wipe(p->sha, sizeof p->sha);
  yoi_sdk_free(p);
}

void http_pass_revoke(struct http_pass *p) { atomic_store(&p->revoked, 1u); }

int http_pass_good(const struct http_pass *p, uint64_t now_ms) {
  if (p->parent && atomic_load(&p->parent->revoked)) return 0;
  return !atomic_load(&p->revoked) && (p->until_ms == 0 || now_ms < p->until_ms);
}

/* ---- rings ----------------------------------------------------------------------- */

struct http_ring *http_ring_new(struct http_pass *const *passes, size_t n) {
  struct http_ring *r = yoi_sdk_malloc(sizeof *r + n * sizeof *passes);
  if (!r) {
    for (size_t i = 0; i < n; i++) http_pass_unref(passes[i]);
    return NULL;
  }
  atomic_init(&r->refs, 1u);
  r->n = n;
  if (n > 0) memcpy(r->passes, passes, n * sizeof *passes);
  return r;
}

struct http_ring *http_ring_ref(struct http_ring *r) {
  atomic_fetch_add(&r->refs, 1u);
  return r;
}

void http_ring_unref(struct http_ring *r) {
  if (!r || atomic_fetch_sub(&r->refs, 1u) != 1) return;
  for (size_t i = 0; i < r->n; i++) http_pass_unref(r->passes[i]);
  yoi_sdk_free(r);
}

struct http_pass *http_ring_find(const struct http_ring *r, yoi_str token, uint64_t now_ms) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  size_t found = 0, seen = 0;
  if (token.len == 0 || !yoi_sdk_sha256(token.ptr, token.len, sha)) return NULL;
  for (size_t i = 0; i < r->n; i++) {
    size_t same = CRYPTO_memcmp(r->passes[i]->sha, sha, sizeof sha) == 0;
    found |= i & (0 - same);
    seen |= same;
  }
  yoi_sdk_wipe(sha, sizeof sha);
  struct http_pass *p = seen ? r->passes[found] : NULL;
  return p && http_pass_good(p, now_ms) ? http_pass_ref(p) : NULL;
}
