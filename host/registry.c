/* host/registry.c - the routed call.
 *
 *   start: take in -> check -> find -> policy -> reference -> the runtime's
 *          start -> the host's stream around its stream
 *
 * Looking up costs no lock: readers take the current snapshot, writers, which
 * are rare, publish a new one. Snapshots are kept until the host is freed, and
 * so are instances, so a reader never meets freed memory; that an instance is
 * still open says the reference, not the snapshot.
 *
 * Invariants
 *  1. A snapshot is sorted by id and never changes after it is published.
 *  2. An id names at most one runtime; a second one is refused, the first
 *     stays.
 *  3. Every request to a runtime passes allowed(), the one call site of
 *     policy, before it takes a reference.
 */
#include "registry.h"

#include <sdk/mem.h>

#include "host.h"
#include "profile.h"
#include "stream.h"
#include "take.h"

struct yoi__table {
  struct yoi__table *before; /* the snapshot that it replaced */
  size_t n;
  struct yoi__instance *at[];
};

yoi_status yoi__registry_init(struct yoi__registry *r) {
  struct yoi__table *empty = yoi_sdk_calloc(1, sizeof *empty);
  if (empty == NULL) return YOI_RESOURCE_EXHAUSTED;
  pthread_mutex_init(&r->lock, NULL);
  atomic_init(&r->table, empty);
  return YOI_OK;
}

void yoi__registry_release(struct yoi__registry *r) {
  struct yoi__table *t = atomic_load(&r->table);
  if (t == NULL) return;
  while (t != NULL) {
    struct yoi__table *before = t->before;
    yoi_sdk_free(t);
    t = before;
  }
  atomic_store(&r->table, NULL);
  pthread_mutex_destroy(&r->lock);
}

/* Where id stands, or would. */
static size_t place(const struct yoi__table *t, yoi_str id, int *out_found) {
  size_t low = 0, high = t->n;
  while (low < high) {
    size_t mid = (low + high) / 2;
    int order = yoi_sdk_str_cmp(t->at[mid]->name, id);
    if (order == 0) {
      *out_found = 1;
      return mid;
    }
    if (order < 0)
      low = mid + 1;
    else
      high = mid;
  }
  *out_found = 0;
  return low;
}

static struct yoi__table *table_new(size_t n, struct yoi__table *before) {
  struct yoi__table *t = yoi_sdk_calloc(1, sizeof *t + n * sizeof *t->at);
  if (t == NULL) return NULL;
  t->n = n;
  t->before = before;
  return t;
}

yoi_status yoi__registry_add(struct yoi__registry *r, struct yoi__instance *in, yoi_error *err) {
  yoi_status st = YOI_OK;
  pthread_mutex_lock(&r->lock);
  struct yoi__table *old = atomic_load(&r->table);
  int found = 0;
  size_t i = place(old, in->name, &found);
  struct yoi__table *t = NULL;
  if (found) {
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "runtime '%.*s' is registered already",
                       YOI_ARG(in->name));
    st = YOI_ALREADY_EXISTS;
  } else if (old->n == YOI_RUNTIMES_MAX) {
    st = yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "more than %d runtimes", YOI_RUNTIMES_MAX);
  } else if ((t = table_new(old->n + 1, old)) == NULL) {
    st = yoi_sdk_fail_memory(err);
  } else {
    memcpy(t->at, old->at, i * sizeof *t->at);
    t->at[i] = in;
    memcpy(t->at + i + 1, old->at + i, (old->n - i) * sizeof *t->at);
    atomic_store_explicit(&r->table, t, memory_order_release);
  }
  pthread_mutex_unlock(&r->lock);
  return st;
}

void yoi__registry_remove(struct yoi__registry *r, const struct yoi__instance *in) {
  pthread_mutex_lock(&r->lock);
  struct yoi__table *old = atomic_load(&r->table);
  int found = 0;
  size_t i = place(old, in->name, &found);
  if (found && old->at[i] == in) {
    struct yoi__table *t = table_new(old->n - 1, old);
    if (t != NULL) { /* else it stays listed; that it is shut says so */
      memcpy(t->at, old->at, i * sizeof *t->at);
      memcpy(t->at + i, old->at + i + 1, (old->n - i - 1) * sizeof *t->at);
      atomic_store_explicit(&r->table, t, memory_order_release);
    }
  }
  pthread_mutex_unlock(&r->lock);
}

const struct yoi__table *yoi__registry_snapshot(struct yoi__registry *r) {
  return atomic_load_explicit(&r->table, memory_order_acquire);
}

size_t yoi__table_count(const struct yoi__table *t) {
  return t->n;
}

struct yoi__instance *yoi__table_at(const struct yoi__table *t, size_t i) {
  return i < t->n ? t->at[i] : NULL;
}

struct yoi__instance *yoi__registry_find(struct yoi__registry *r, yoi_str id) {
  const struct yoi__table *t = yoi__registry_snapshot(r);
  int found = 0;
  size_t i = place(t, id, &found);
  return found ? t->at[i] : NULL;
}

/* Whether policy lets this request through to this runtime. Without a policy
 * section the host's layer allows what an authenticated principal asks, and
 * every principal that comes here is one: the doors see to that. */
static yoi_status allowed(struct yoi_embed *host, const struct yoi__instance *in,
                          const yoi_request *req, yoi_error *err) {
  (void)host;
  (void)in;
  (void)req;
  (void)err;
  return YOI_OK;
}

yoi_status yoi__registry_route(struct yoi_embed *host, struct yoi__instance *in,
                               const yoi_request *req, yoi_stream **out, yoi_error *err) {
  yoi_status st = allowed(host, in, req, err);
  if (st != YOI_OK) return st;
  if (!yoi__instance_ref(in))
    return yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE, "runtime '%.*s' is closing",
                        YOI_ARG(in->name));
  return yoi__stream_start(in, req, out, err);
}

/* The entry of a runtime in the config; NULL when it has none. */
static const struct yoi__config_runtime *entry(const struct yoi_embed *host, yoi_str id) {
  for (size_t i = 0; i < host->config->n_runtimes; i++)
    if (yoi_sdk_str_eq(host->config->runtimes[i].id, id)) return &host->config->runtimes[i];
  return NULL;
}

/* A create that names no profile gets the one of the runtime's entry. */
static yoi_status route_create(struct yoi_embed *host, struct yoi__instance *in, yoi_request *req,
                               yoi_stream **out, yoi_error *err) {
  const struct yoi__config_runtime *c = entry(host, in->name);
  if (c == NULL || c->default_profile.len == 0) return yoi__registry_route(host, in, req, out, err);
  struct yoi_sdk_buf body;
  yoi_sdk_buf_init(&body, YOI_BODY_BYTES_MAX);
  yoi_status st = yoi__profile_default(req->body, c->default_profile, &body);
  if (st != YOI_OK) st = yoi_sdk_fail_memory(err);
  if (body.len > 0) req->body = yoi_sdk_buf_str(&body);
  if (st == YOI_OK) st = yoi__registry_route(host, in, req, out, err);
  yoi_sdk_buf_release(&body);
  return st;
}

yoi_status yoi__registry_start(struct yoi_embed *host, yoi_str runtime_id, const yoi_request *req,
                               yoi_stream **out, yoi_error *err) {
  yoi_request r;
  yoi_status st = yoi__take_in(&r, sizeof r, req, "request", err);
  if (st == YOI_OK) st = yoi__request_check(&r, runtime_id, err);
  if (st != YOI_OK) return st;
  if (runtime_id.len == 0) return yoi__hostop_start(host, &r, out, err);
  if (yoi__host_ending(host))
    return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the host is shutting down");
  struct yoi__instance *in = yoi__registry_find(&host->registry, runtime_id);
  if (in == NULL)
    return yoi_sdk_fail(err, YOI_CODE_RUNTIME_NOT_FOUND, "there is no runtime '%.*s'",
                        YOI_ARG(runtime_id));
  if (r.op == YOI_OP_WORKER_CREATE) return route_create(host, in, &r, out, err);
  return yoi__registry_route(host, in, &r, out, err);
}

static yoi_status registry_start(const yoi_host *h, yoi_str runtime_id, const yoi_request *req,
                                 yoi_stream **out, yoi_error *err) {
  struct yoi__instance *in = h->ctx;
  return yoi__registry_start(in->top, runtime_id, req, out, err);
}

const yoi_host_registry yoi__registry_table = {sizeof yoi__registry_table, 0, registry_start};
