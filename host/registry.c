/* host/registry.c - the routed call.
 *
 *   start: take in -> check -> find, with a reference -> policy -> the
 *          runtime's start -> the host's stream around its stream
 *
 * Looking up costs no lock and writes nothing but the reference. Runtimes come
 * and go while others are asked, for the life of the host, so what a look-up
 * reads is neither freed nor allowed to pile up:
 *
 *   - There are two tables. A writer fills the one that is not read and then
 *     makes it the one that is. A reader that was overtaken twice may have read
 *     a table that was being filled; it sees that in `writing` and looks again.
 *     Every such round is one that a writer finished, so nobody ever waits.
 *   - Instances are not freed before the host is; a closed one is used again
 *     under a new serial. A reader that comes late finds the count of
 *     references shut, or another serial, and looks again.
 *
 * Invariants
 *  1. `all` is sorted by id, an id stands there once; a second one is refused,
 *     the first stays. The table that is read is a copy of it.
 *  2. Rows are atomics, since a late reader may meet a writer there. A row's
 *     id is compared as big-endian words, which is byte order; no id has a
 *     zero byte.
 *  3. Whoever got an instance from acquire has the one that the row meant, and
 *     that row still stood when the reference was counted: who waits until nobody has
 *     one, after an exchange, is behind all who had found it.
 *  4. Every request to a runtime passes policy (policy.c) before the runtime
 *     hears of it; but for the puts of bundle_sync.c, of which the config decides.
 */
#include "registry.h"

#include <endian.h>
#include <sdk/mem.h>
#include <sdk/take.h>

#include "bundle.h"
#include "create.h"
#include "host.h"
#include "policy.h"
#include "stream.h"

#define WORDS (YOI_ID_MAX / 8)

struct row {
  _Atomic uint64_t id[WORDS];
  _Atomic uint64_t len, serial;
  _Atomic(struct yoi__instance *) in;
};

struct yoi__table {
  _Atomic uint64_t n;
  struct row rows[YOI_RUNTIMES_MAX];
};

yoi_status yoi__registry_init(struct yoi__registry *r) {
  memset(r, 0, sizeof *r);
  r->tables = yoi_sdk_calloc(2, sizeof *r->tables);
  if (r->tables == NULL) return YOI_RESOURCE_EXHAUSTED;
  pthread_mutex_init(&r->lock, NULL);
  return YOI_OK;
}

void yoi__registry_release(struct yoi__registry *r) {
  if (r->tables == NULL) return;
  yoi_sdk_free(r->tables);
  r->tables = NULL;
  r->n = 0;
  pthread_mutex_destroy(&r->lock);
}

/* ---- writing, with the lock held --------------------------------------- */

static void id_words(yoi_str id, uint64_t out[WORDS]) {
  char padded[YOI_ID_MAX] = {0};
  memcpy(padded, id.ptr, id.len);
  memcpy(out, padded, sizeof padded);
  for (size_t i = 0; i < WORDS; i++) out[i] = be64toh(out[i]);
}

/* Releases and, in acquire, acquires: whoever reads a word of version v + 2
 * sees `writing` of it too. */
static void set(_Atomic uint64_t *to, uint64_t value) {
  atomic_store_explicit(to, value, memory_order_release);
}

static uint64_t get(_Atomic uint64_t *from) {
  return atomic_load_explicit(from, memory_order_acquire);
}

static void publish(struct yoi__registry *r) {
  uint64_t version = get(&r->version) + 1;
  struct yoi__table *t = &r->tables[version & 1];
  set(&r->writing, version);
  for (size_t i = 0; i < r->n; i++) {
    uint64_t id[WORDS];
    struct row *row = &t->rows[i];
    id_words(r->all[i]->name, id);
    for (size_t k = 0; k < WORDS; k++) set(&row->id[k], id[k]);
    set(&row->len, r->all[i]->name.len);
    set(&row->serial, r->all[i]->serial);
    atomic_store_explicit(&row->in, r->all[i], memory_order_release);
  }
  set(&t->n, r->n);
  set(&r->version, version);
}

void yoi__registry_clear(struct yoi__registry *r) {
  pthread_mutex_lock(&r->lock);
  r->n = 0;
  publish(r);
  pthread_mutex_unlock(&r->lock);
}

/* Where id stands, or would. */
static size_t place(const struct yoi__registry *r, yoi_str id, int *out_found) {
  size_t low = 0, high = r->n;
  while (low < high) {
    size_t mid = (low + high) / 2;
    int order = yoi_sdk_str_cmp(r->all[mid]->name, id);
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

yoi_status yoi__registry_add(struct yoi__registry *r, struct yoi__instance *in, yoi_error *err) {
  yoi_status st = YOI_OK;
  int found = 0;
  pthread_mutex_lock(&r->lock);
  size_t i = place(r, in->name, &found);
  if (found) {
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "runtime '%.*s' is registered already",
                       YOI_ARG(in->name));
    st = YOI_ALREADY_EXISTS;
  } else if (r->n == YOI_RUNTIMES_MAX) {
    st = yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "more than %d runtimes", YOI_RUNTIMES_MAX);
  } else {
    memmove(r->all + i + 1, r->all + i, (r->n - i) * sizeof *r->all);
    r->all[i] = in;
    r->n++;
    publish(r);
  }
  pthread_mutex_unlock(&r->lock);
  return st;
}

void yoi__registry_exchange(struct yoi__registry *r, struct yoi__instance *const *out, size_t n_out,
                            struct yoi__instance *const *in, size_t n_in) {
  int found = 0;
  pthread_mutex_lock(&r->lock);
  for (size_t k = 0; k < n_out; k++) {
    size_t i = place(r, out[k]->name, &found);
    if (!found || r->all[i] != out[k]) continue;
    r->n--;
    memmove(r->all + i, r->all + i + 1, (r->n - i) * sizeof *r->all);
  }
  for (size_t k = 0; k < n_in; k++) {
    size_t i = place(r, in[k]->name, &found);
    memmove(r->all + i + 1, r->all + i, (r->n - i) * sizeof *r->all);
    r->all[i] = in[k];
    r->n++;
  }
  publish(r);
  pthread_mutex_unlock(&r->lock);
}

struct yoi__instance *yoi__registry_find(struct yoi__registry *r, yoi_str id) {
  int found = 0;
  pthread_mutex_lock(&r->lock);
  size_t i = place(r, id, &found);
  struct yoi__instance *in = found ? r->all[i] : NULL;
  pthread_mutex_unlock(&r->lock);
  return in;
}

struct yoi__instance *yoi__registry_at(struct yoi__registry *r, size_t i) {
  pthread_mutex_lock(&r->lock);
  struct yoi__instance *in = i < r->n ? r->all[i] : NULL;
  pthread_mutex_unlock(&r->lock);
  return in;
}

int yoi__registry_uses(struct yoi__registry *r, const struct yoi__plugin *plugin) {
  int uses = 0;
  pthread_mutex_lock(&r->lock);
  for (size_t i = 0; i < r->n && !uses; i++) uses = r->all[i]->plugin == plugin;
  pthread_mutex_unlock(&r->lock);
  return uses;
}

/* ---- reading ----------------------------------------------------------- */

/* Against a row: below 0 when the row comes first. */
static int row_compare(struct row *row, const uint64_t id[WORDS]) {
  for (size_t k = 0; k < WORDS; k++) {
    uint64_t word = get(&row->id[k]);
    if (word != id[k]) return word < id[k] ? -1 : 1;
    if ((word & 0xff) == 0) return 0; /* both end here */
  }
  return 0;
}

static struct row *row_find(struct yoi__table *t, const uint64_t id[WORDS]) {
  size_t low = 0, high = get(&t->n);
  while (low < high) {
    size_t mid = (low + high) / 2;
    int order = row_compare(&t->rows[mid], id);
    if (order == 0) return &t->rows[mid];
    if (order < 0)
      low = mid + 1;
    else
      high = mid;
  }
  return NULL;
}

/* 1: a reference to what had that serial. */
static int ref_as(struct yoi__instance *in, uint64_t serial) {
  if (!yoi__instance_ref(in)) return 0;
  if (in->serial == serial) return 1;
  yoi__instance_unref(in);
  return 0;
}

struct yoi__instance *yoi__registry_acquire(struct yoi__registry *r, yoi_str id, int *out_closing) {
  uint64_t words[WORDS];
  *out_closing = 0;
  if (id.len > YOI_ID_MAX) return NULL;
  id_words(id, words);
  for (;;) {
    uint64_t version = get(&r->version);
    struct row *row = row_find(&r->tables[version & 1], words);
    struct yoi__instance *in =
        row == NULL ? NULL : atomic_load_explicit(&row->in, memory_order_acquire);
    uint64_t serial = row == NULL ? 0 : get(&row->serial);
    if (row != NULL && get(&row->len) != id.len) in = NULL;
    if (get(&r->writing) > version + 1) continue; /* this table was being filled */
    int has = in != NULL && ref_as(in, serial);
    if (in == NULL || (has && get(&r->version) == version)) return in;
    if (has) yoi__instance_unref(in);
    if (get(&r->version) != version) continue; /* it was taken out, or may have been */
    *out_closing = 1;
    return NULL;
  }
}

size_t yoi__registry_acquire_all(struct yoi__registry *r,
                                 struct yoi__instance *out[YOI_RUNTIMES_MAX]) {
  uint64_t serials[YOI_RUNTIMES_MAX];
  size_t n = 0;
  pthread_mutex_lock(&r->lock);
  size_t all = r->n;
  for (size_t i = 0; i < all; i++) {
    out[i] = r->all[i];
    serials[i] = out[i]->serial;
  }
  pthread_mutex_unlock(&r->lock);
  for (size_t i = 0; i < all; i++)
    if (ref_as(out[i], serials[i])) out[n++] = out[i];
  return n;
}

/* ---- routing ----------------------------------------------------------- */

/* Takes over the reference. bundle: see stream.h. */
static yoi_status route(struct yoi_embed *host, struct yoi__instance *in, const yoi_request *req,
                        struct yoi__setup *setup, const struct yoi__config_bundle *bundle,
                        yoi_stream **out, yoi_error *err) {
  yoi_status st = yoi__policy_allows(host, in->name, req, err);
  if (st == YOI_OK) return yoi__stream_start(in, req, setup, bundle, out, err);
  yoi__instance_unref(in);
  return st;
}

yoi_status yoi__registry_route(struct yoi_embed *host, struct yoi__instance *in,
                               const yoi_request *req, yoi_stream **out, yoi_error *err) {
  if (!yoi__instance_ref(in))
    return yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE, "runtime '%.*s' is closing",
                        YOI_ARG(in->name));
  return route(host, in, req, NULL, NULL, out, err);
}

/* What the runtime's entry says of creates, before anybody is asked. Takes over
 * the reference. */
static yoi_status route_create(struct yoi_embed *host, struct yoi__instance *in, yoi_request *req,
                               yoi_stream **out, yoi_error *err) {
  const struct yoi__config_bundle *bundle = NULL;
  struct yoi_sdk_buf body;
  yoi_sdk_buf_init(&body, YOI_BODY_BYTES_MAX);
  struct yoi__setup *s = yoi__setup_now(host);
  yoi_status st = yoi__create_prepare(s->config, yoi__setup_entry(s, in), req, &body, &bundle, err);
  if (st != YOI_OK) {
    yoi__instance_unref(in);
  } else {
    if (body.len > 0) req->body = yoi_sdk_buf_str(&body);
    st = route(host, in, req, s, bundle, out, err);
  }
  yoi__setup_give(s);
  yoi_sdk_buf_release(&body);
  return st;
}

/* Of a bundle that the config does not have: one of the workspaces of the entry. */
static yoi_status check_workspace(const struct yoi__config_runtime *entry, yoi_str bytes,
                                  yoi_error *err) {
  if (!entry->workspaces.given) return YOI_OK;
  yoi_str id = yoi_sdk_json_check(bytes, 0, NULL) == YOI_OK
                   ? yoi_sdk_json_raw_get(bytes, "workspace_id")
                   : (yoi_str){NULL, 0};
  if (id.len > 2 && id.ptr[0] == '"' &&
      yoi__names_have(&entry->workspaces, (yoi_str){id.ptr + 1, id.len - 2}))
    return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED,
                      "the bundle is of no workspace that is allowed in runtime '%.*s'",
                      YOI_ARG(entry->id));
}

/* A bundle goes only where the config lets it. Takes over the reference. */
static yoi_status route_put(struct yoi_embed *host, struct yoi__instance *in,
                            const yoi_request *req, yoi_stream **out, yoi_error *err) {
  struct yoi__setup *s = yoi__setup_now(host);
  const struct yoi__config_runtime *entry = yoi__setup_entry(s, in);
  const struct yoi__config_bundle *bundle = yoi__bundle_find(s->config, (yoi_str){0}, req->subject);
  yoi_status st = bundle != NULL ? yoi__bundle_check(bundle, entry, err)
                                 : check_workspace(entry, req->body, err);
  yoi__setup_give(s);
  if (st == YOI_OK) return route(host, in, req, NULL, NULL, out, err);
  yoi__instance_unref(in);
  return st;
}

yoi_status yoi__registry_start(struct yoi_embed *host, yoi_str runtime_id, const yoi_request *req,
                               yoi_stream **out, yoi_error *err) {
  yoi_request r;
  int closing = 0;
  yoi_status st = yoi_sdk_take(&r, sizeof r, req, "request", err);
  if (st == YOI_OK) st = yoi__request_check(&r, runtime_id, err);
  if (st != YOI_OK) return st;
  if (runtime_id.len == 0) {
    st = yoi__policy_is_asked(r.op) ? yoi__policy_allows(host, runtime_id, &r, err) : YOI_OK;
    return st == YOI_OK ? yoi__hostop_start(host, &r, out, err) : st;
  }
  if (yoi__host_ending(host))
    return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the host is shutting down");
  struct yoi__instance *in = yoi__registry_acquire(&host->registry, runtime_id, &closing);
  if (in == NULL)
    return closing ? yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE, "runtime '%.*s' is closing",
                                  YOI_ARG(runtime_id))
                   : yoi_sdk_fail(err, YOI_CODE_RUNTIME_NOT_FOUND, "there is no runtime '%.*s'",
                                  YOI_ARG(runtime_id));
  if (r.op == YOI_OP_WORKER_CREATE) return route_create(host, in, &r, out, err);
  if (r.op == YOI_OP_BUNDLE_PUT) return route_put(host, in, &r, out, err);
  return route(host, in, &r, NULL, NULL, out, err);
}

static yoi_status registry_start(const yoi_host *h, yoi_str runtime_id, const yoi_request *req,
                                 yoi_stream **out, yoi_error *err) {
  struct yoi__instance *in = h->ctx;
  return yoi__registry_start(in->top, runtime_id, req, out, err);
}

const yoi_host_registry yoi__registry_table = {sizeof yoi__registry_table, 0, registry_start};
