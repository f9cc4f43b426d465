/* workers.c - the operations on the set of workers: create, list, get, and
 * what the runtime says of itself.
 *
 * Create is idempotent in two ways: by a worker_id of the caller's choice
 * and the request's fingerprint, and by an idempotency key. Invariants:
 *
 *  1. The replay check comes before every other check.
 *  2. A place in the directory is taken, and the record staged, before the
 *     record is written: of two creates of one id, one finds the other and
 *     waits for the same append. Nobody else sees the worker until then.
 *  3. A create that fails leaves nothing: no place, no key, no record.
 */
#include <sdk/hard.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <sdk/stream.h>

#include "load.h"
#include "op.h"
#include "shapes.h"

/* ---- create ---- */

struct creation {
  struct eng_engine *eng;
  const yoi_request *req;
  struct eng_ask_create ask;
  struct eng_print key;
  bool keyed;
};

static uint64_t key_hash(const struct eng_print *key) {
  uint64_t h;
  memcpy(&h, key->b, sizeof h);
  return h;
}

static int same_key(const void *value, const void *key) {
  const struct eng_worker *w = value;
  return eng_print_eq(&w->key, key);
}

/* dir_mu held: the worker of the same key or id, with a reference. */
static struct eng_worker *first_attempt(const struct creation *c, bool *by_key) {
  struct eng_worker *w = NULL;
  *by_key = false;
  if (c->keyed) w = eng_table_find(&c->eng->keys, key_hash(&c->key), same_key, &c->key);
  if (w)
    *by_key = true;
  else if (c->ask.worker_id.len > 0)
    w = (struct eng_worker *)eng_directory_find(&c->eng->directory, c->ask.worker_id);
  return w ? eng_worker_ref(w) : NULL;
}

/* Answers as the first attempt was, or will be; lets the reference go. AGAIN:
 * it has just gone, by a failed append or a delete, and its place is free. */
static yoi_status join(const struct creation *c, struct eng_worker *w, bool by_key,
                       yoi_stream **out, yoi_error *err) {
  struct eng_after after = {0};
  yoi_status st = YOI_OK;
  struct eng_op *op = NULL;
  if (!eng_scope_has(w, c->req)) /* whoever sees only his own is told no more than that */
    st = by_key ? yoi_sdk_fail(err, YOI_CODE_IDEMPOTENCY_CONFLICT,
                               "this idempotency key was used elsewhere")
                : yoi_sdk_fail(err, YOI_CODE_WORKER_CONFLICT, "the worker id '%s' is taken", w->id);
  else if (atomic_load(&w->state) == ENG_CORRUPT)
    st = yoi_sdk_fail(err, YOI_CODE_WORKER_CONFLICT,
                      "worker '%s' exists, and its history is damaged", w->id);
  else if (!eng_print_eq(&w->print, &c->ask.print))
    st = by_key ? yoi_sdk_fail(err, YOI_CODE_IDEMPOTENCY_CONFLICT,
                               "this idempotency key was used with another body")
                : yoi_sdk_fail(err, YOI_CODE_WORKER_CONFLICT,
                               "worker '%s' exists and was created differently", w->id);
  if (st == YOI_OK) op = eng_op_new(w, c->req, (yoi_str){0});
  if (st == YOI_OK && !op) st = yoi_sdk_fail_memory(err);
  if (st == YOI_OK) {
    pthread_mutex_lock(&w->mu);
    if (w->state == ENG_GONE) {
      st = YOI_AGAIN;
    } else if (w->state != ENG_CREATING) {
      eng_op_step(eng_op_ref(op), &after);
    } else if (!eng_worker_wait(w, eng_op_ref(op))) {
      eng_op_unref(op);
      st = yoi_sdk_fail(err, YOI_CODE_QUEUE_FULL, "too many operations wait for this worker");
      if (err) err->retry_after_ms = YOI_RETRY_APPEND_MS;
    }
    eng_worker_leave(w, &after);
  }
  eng_worker_unref(w);
  if (st == YOI_OK) return eng_op_return(op, out, err);
  eng_op_unref(op);
  return st;
}

static yoi_status create_again(struct eng_deferred *d, yoi_stream **out, yoi_error *err) {
  return eng_start_create(d->eng, &d->req, NULL, out, err);
}

/* The same with one that may be asleep: it is not known how it was made, and
 * once it is, all begins anew. */
static yoi_status meet(const struct creation *c, struct eng_worker *w, bool by_key,
                       yoi_stream **out, yoi_error *err) {
  eng_use(w);
  return atomic_load(&w->awake) ? join(c, w, by_key, out, err)
                                : eng_defer(c->eng, c->req, &w, 1, 0, create_again, out, err);
}

/* A worker with its created record staged, seen by nobody; NULL: memory. */
static struct eng_worker *prepare(const struct creation *c, struct eng_spec *spec,
                                  struct eng_op **out_op, struct eng_after *after) {
  char uuid[YOI_SDK_UUID_SIZE];
  uint64_t now = eng_wall(c->eng);
  yoi_str id = c->ask.worker_id;
  if (id.len == 0) {
    if (!yoi_sdk_uuid7(now, uuid)) return NULL;
    id = yoi_sdk_str(uuid);
  }
  struct eng_worker *w =
      eng_worker_new(c->eng, id, c->keyed ? &c->key : NULL, c->ask.bundle_digest);
  if (!w) return NULL;
  w->spec = eng_spec_ref(&c->eng->specs, spec);
  w->created_ns = now;
  w->print = c->ask.print;
  struct eng_op *op = eng_op_new(w, c->req, (yoi_str){0});
  pthread_mutex_lock(&w->mu);
  struct eng_stage *s =
      op && eng_shape_fixed(w, &c->ask) ? eng_stage_new(w, ENG_DO_CREATE, 1) : NULL;
  if (s) {
    eng_stage_add(s, eng_record_created(s));
    s->op = eng_op_ref(op);
    if (!eng_stage_commit(s, after)) s = NULL;
  }
  pthread_mutex_unlock(&w->mu);
  *out_op = op;
  if (s) return w;
  eng_op_unref(op);
  eng_worker_unref(w);
  return NULL;
}

/* dir_mu held. */
static yoi_status enlist(struct eng_engine *eng, struct eng_worker *w, yoi_error *err) {
  if (eng->directory.n >= eng->limits.workers)
    return yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "the runtime has its %llu workers already",
                        (unsigned long long)eng->limits.workers);
  return eng_enlist(eng, w) == YOI_OK ? YOI_OK : yoi_sdk_fail_memory(err);
}

yoi_status eng_enlist(struct eng_engine *eng, struct eng_worker *w) {
  if (w->keyed && !eng_table_reserve(&eng->keys)) return YOI_RESOURCE_EXHAUSTED;
  yoi_status st = eng_directory_insert(&eng->directory, &w->entry);
  if (st != YOI_OK) return st;
  if (w->keyed) eng_table_put(&eng->keys, key_hash(&w->key), w);
  w->listed = true;
  (void)eng_worker_ref(w);
  yoi_sdk_metric_add(&eng->metrics, eng->metric.workers, 1);
  return YOI_OK;
}

/* It was never written: as if it had not been. */
static void unstage(struct eng_worker *w, struct eng_after *after) {
  pthread_mutex_lock(&w->mu);
  w->stage = NULL;
  pthread_mutex_unlock(&w->mu);
  eng_stage_free(after->write);
  eng_active_done(w->eng);
}

/* A request that sees one workspace makes workers of its bundles, and no others:
 * those are missing, as they are to bundle.have. */
static yoi_status check_scope(const struct creation *c, const struct eng_bundle_of *b,
                              yoi_error *err) {
  yoi_str workspace = c->req->workspace;
  if ((c->req->flags & YOI_REQ_WORKSPACE) == 0) return YOI_OK;
  if (!b->bytes)
    return yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED,
                        "a worker without a bundle is of no workspace, not of '%.*s'",
                        YOI_ARG(workspace));
  if (yoi_sdk_str_is(workspace, b->workspace)) return YOI_OK;
  return eng_bundles_missing(c->ask.bundle_digest, err);
}

/* What is asked for, resolved on this host; with a reference. */
static yoi_status resolve(const struct creation *c, struct eng_spec **out, yoi_error *err) {
  const struct eng_ask_create *a = &c->ask;
  struct eng_bundle_of b = {.bytes = NULL};
  yoi_status st = YOI_OK;
  if (a->bundle_id.len > 0 && !eng_bundles_find(c->eng, a->bundle_digest, &b))
    return eng_bundles_missing(a->bundle_digest, err);
  st = check_scope(c, &b, err);
  if (st == YOI_OK && b.bytes && !yoi_sdk_str_is(a->bundle_id, b.id))
    st = yoi_sdk_fail(err, YOI_CODE_BUNDLE_DIGEST_MISMATCH,
                      "the bundle of that digest is '%s', not '%.*s'", b.id,
                      YOI_ARG(a->bundle_id));
  else if (st == YOI_OK && b.bytes && a->workspace.len > 0 &&
           !yoi_sdk_str_is(a->workspace, b.workspace))
    st = yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED,
                      "the bundle '%s' is of another workspace than '%.*s'", b.id,
                      YOI_ARG(a->workspace));
  const struct eng_wanted wanted = {eng_ask_profile(a), b.digest, b.bytes};
  if (st == YOI_OK) st = eng_specs_resolve(&c->eng->specs, &wanted, out, err);
  eng_text_unref(b.bytes);
  /* It was deleted meanwhile: then nobody will say so again. */
  if (a->bundle_id.len > 0 && !eng_bundles_has(c->eng, a->bundle_digest))
    eng_specs_forget(&c->eng->specs, b.digest);
  if (st != YOI_OK) return st;
  st = eng_ask_granted(a, *out, err);
  if (st != YOI_OK) eng_spec_unref(&c->eng->specs, *out);
  return st;
}

static yoi_status create(const struct creation *c, yoi_stream **out, yoi_error *err) {
  struct eng_engine *eng = c->eng;
  struct eng_spec *spec = NULL;
  struct eng_after after = {0};
  struct eng_op *op = NULL;
  bool by_key;
  if (atomic_load(&eng->draining))
    return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the runtime is shutting down");
  yoi_status st = resolve(c, &spec, err);
  if (st != YOI_OK) return st;
  struct eng_worker *w = prepare(c, spec, &op, &after);
  eng_spec_unref(&eng->specs, spec);
  if (!w) return yoi_sdk_fail_memory(err);
  pthread_mutex_lock(&eng->dir_mu);
  struct eng_worker *other = first_attempt(c, &by_key);
  st = other ? YOI_OK : enlist(eng, w, err);
  pthread_mutex_unlock(&eng->dir_mu);
  if (other || st != YOI_OK) {
    unstage(w, &after);
    eng_op_unref(op);
    eng_worker_unref(w);
    return other ? meet(c, other, by_key, out, err) : st;
  }
  eng_use_add(w);
  pthread_mutex_lock(&w->mu);
  eng_worker_leave(w, &after);
  st = eng_op_return(op, out, err);
  eng_worker_unref(w);
  eng_sleep_some(eng);
  return st;
}

#define CREATE_ROUNDS 16 /* each meets another worker that has just gone */

yoi_status eng_start_create(struct eng_engine *eng, const yoi_request *req, struct eng_worker *none,
                            yoi_stream **out, yoi_error *err) {
  (void)none;
  struct creation c = {.eng = eng, .req = req};
  yoi_sdk_json *body = NULL;
  bool by_key;
  yoi_status st = eng_ask_key(req, &c.key, &c.keyed, err);
  if (st == YOI_OK) st = eng_ask_parse(req, &body, err);
  if (st == YOI_OK) st = eng_ask_create(&c.ask, body, err);
  for (int round = 0; st == YOI_OK || (st == YOI_AGAIN && round < CREATE_ROUNDS); round++) {
    pthread_mutex_lock(&eng->dir_mu);
    struct eng_worker *w = first_attempt(&c, &by_key);
    pthread_mutex_unlock(&eng->dir_mu);
    st = w ? meet(&c, w, by_key, out, err) : create(&c, out, err);
    if (st == YOI_OK) break;
  }
  if (st == YOI_AGAIN)
    st = yoi_sdk_fail(err, YOI_CODE_WORKER_CONFLICT, "the worker comes and goes all the time");
  yoi_sdk_json_free(body);
  return st;
}

/* ---- the directory ---- */

static bool is_visible(uint8_t state) {
  return state != ENG_CREATING && state != ENG_GONE;
}

struct eng_worker *eng_find(struct eng_engine *eng, yoi_str worker_id) {
  pthread_mutex_lock(&eng->dir_mu);
  struct eng_worker *w = (struct eng_worker *)eng_directory_find(&eng->directory, worker_id);
  if (w && !is_visible(atomic_load(&w->state))) w = NULL;
  if (w) (void)eng_worker_ref(w);
  pthread_mutex_unlock(&eng->dir_mu);
  return w;
}

void eng_forget(struct eng_engine *eng, struct eng_worker *w) {
  pthread_mutex_lock(&eng->dir_mu);
  bool listed = w->listed;
  w->listed = false;
  if (listed) {
    eng_directory_remove(&eng->directory, &w->entry);
    if (w->keyed) eng_table_remove(&eng->keys, key_hash(&w->key), w);
  }
  pthread_mutex_unlock(&eng->dir_mu);
  if (!listed) return;
  eng_use_remove(w);
  yoi_sdk_metric_sub(&eng->metrics, eng->metric.workers, 1);
  eng_worker_unref(w);
}

/* A filter may want few of very many: others must get at the directory
 * meanwhile. */
#define LOOKS_PER_LOCK YOI_SDK_HARD(1024, 3)

static bool is_in(uint8_t now, const char *state) {
  return !state || strcmp(eng_state_name((enum eng_state)now), state) == 0;
}

struct wanted {
  const char *state;             /* NULL: any */
  const struct eng_scope *scope; /* NULL: all */
};

/* One that sleeps is what its last record said. When a turn ran, it may be idle
 * once it was read, since the turn has its end then, or wait for a person. */
static int keep_wanted(void *ctx, const struct eng_entry *e) {
  const struct eng_worker *w = (const struct eng_worker *)e;
  const struct wanted *wanted = ctx;
  const char *state = wanted->state;
  bool asleep = !atomic_load(&w->awake);
  uint8_t now = atomic_load(&w->state);
  return is_visible(now) && eng_scope_may(wanted->scope, w) &&
         (is_in(now, state) ||
          (asleep && now == ENG_RUNNING && (is_in(ENG_IDLE, state) || is_in(ENG_AWAITING, state))));
}

size_t eng_page_workers(struct eng_engine *eng, yoi_str after, const char *state,
                        const struct eng_scope *scope, struct eng_worker **out, size_t max,
                        int *out_more) {
  struct wanted wanted = {state, scope};
  struct eng_entry *entries[YOI_LIST_LIMIT_MAX];
  char id[YOI_ID_MAX];
  size_t n = 0;
  const struct eng_entry *seen;
  if (max > YOI_LIST_LIMIT_MAX) max = YOI_LIST_LIMIT_MAX;
  do {
    pthread_mutex_lock(&eng->dir_mu);
    size_t got = eng_directory_page(&eng->directory, after, keep_wanted, &wanted, entries, max - n,
                                    LOOKS_PER_LOCK, &seen, out_more);
    for (size_t i = 0; i < got; i++) out[n++] = eng_worker_ref((struct eng_worker *)entries[i]);
    if (seen) {
      after = (yoi_str){id, seen->id.len};
      memcpy(id, seen->id.ptr, seen->id.len);
    }
    pthread_mutex_unlock(&eng->dir_mu);
  } while (seen);
  return n;
}

/* ---- list and get ---- */

/* 1 and *out when there is such a state; a worker may never be in it. */
static int find_state(yoi_str s, const char **out) {
  static const char *const names[] = {"idle", "running", "awaiting_approval", "stopped", "corrupt"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (yoi_sdk_str_is(s, names[i])) *out = names[i];
  return *out != NULL;
}

/* A page as it is asked for. */
struct page {
  yoi_str after; /* of the body */
  const char *state;
  size_t limit;
};

static yoi_status read_page(const yoi_sdk_json *body, struct page *p, yoi_error *err) {
  yoi_str wanted = eng_ask_str(body, "state");
  p->after = eng_ask_str(body, "after");
  yoi_status st = eng_ask_limit(body, YOI_LIST_LIMIT_DEFAULT, YOI_LIST_LIMIT_MAX, &p->limit, err);
  if (st == YOI_OK && p->after.len > 0 && !yoi_sdk_id_valid(p->after))
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "'after' is not an identifier");
  if (st == YOI_OK && wanted.len > 0 && !find_state(wanted, &p->state))
    st = eng_ask_refuse(err, "state", "is not a state of workers");
  return st;
}

/* Those that are in that state now: a page may have fewer than were found.
 * `next` is the last one that the request may know of. */
static void write_page(const yoi_request *req, struct eng_worker *const *list, size_t n, int more,
                       const char *state, struct yoi_sdk_buf *buf) {
  const struct eng_worker *last = NULL;
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, buf);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "workers");
  yoi_sdk_jsonw_open(&w, '[');
  for (size_t i = 0; i < n; i++) {
    if (!eng_scope_has(list[i], req)) continue;
    last = list[i];
    pthread_mutex_lock(&list[i]->mu);
    if (is_visible(list[i]->state) && is_in(list[i]->state, state))
      eng_shape_worker(&w, list[i], 0);
    pthread_mutex_unlock(&list[i]->mu);
  }
  yoi_sdk_jsonw_close(&w, ']');
  yoi_sdk_jsonw_key(&w, "next");
  if (more && last)
    yoi_sdk_jsonw_str(&w, last->entry.id);
  else
    yoi_sdk_jsonw_null(&w);
  yoi_sdk_jsonw_close(&w, '}');
}

static yoi_status answer(struct yoi_sdk_buf *buf, yoi_stream **out, yoi_error *err) {
  size_t len = 0;
  char *text = buf->failed ? NULL : yoi_sdk_buf_take(buf, &len);
  yoi_sdk_buf_release(buf);
  *out = text ? yoi_sdk_stream_one_take(text, len, 0) : NULL;
  return *out ? YOI_OK : yoi_sdk_fail_memory(err);
}

static yoi_status answer_page(const yoi_request *req, struct eng_worker *const *list, size_t n,
                              int more, const char *state, yoi_stream **out, yoi_error *err) {
  struct yoi_sdk_buf buf;
  yoi_sdk_buf_init(&buf, (size_t)16 << 20);
  write_page(req, list, n, more, state, &buf);
  return answer(&buf, out, err);
}

static yoi_status list_loaded(struct eng_deferred *d, yoi_stream **out, yoi_error *err);

/* Each worker is shown whole, so those that sleep are read first. `round`: how
 * many pages were read in vain, see list_loaded. */
static yoi_status list_from(struct eng_engine *eng, const yoi_request *req, const struct page *p,
                            int round, yoi_stream **out, yoi_error *err) {
  struct eng_worker *list[YOI_LIST_LIMIT_MAX];
  struct eng_scope *scope = NULL;
  int more = 0;
  if (!eng_scope_new(eng, req, &scope)) return yoi_sdk_fail_memory(err);
  size_t n = eng_page_workers(eng, p->after, p->state, scope, list, p->limit, &more);
  eng_scope_free(scope);
  bool all = true;
  for (size_t i = 0; i < n && all; i++) all = atomic_load(&list[i]->awake);
  if (!all) return eng_defer(eng, req, list, n, more | round << 1, list_loaded, out, err);
  yoi_status st = answer_page(req, list, n, more, p->state, out, err);
  for (size_t i = 0; i < n; i++) eng_worker_unref(list[i]);
  return st;
}

/* Pages of which nothing could be shown once they were read: all were made of
 * bundles that have been deleted, in another workspace. Each is a call deeper. */
#define LIST_ROUNDS 16

/* What was asked, and was found to be right when it was. */
static yoi_status list_loaded(struct eng_deferred *d, yoi_stream **out, yoi_error *err) {
  yoi_sdk_json *body = NULL;
  struct page p = {.state = NULL};
  int more = d->more & 1, round = d->more >> 1;
  bool any = false;
  yoi_status st = eng_ask_parse(&d->req, &body, err);
  if (st == YOI_OK) st = read_page(body, &p, err);
  for (uint32_t i = 0; i < d->n && !any; i++) any = eng_scope_has(d->workers[i], &d->req);
  if (st == YOI_OK && (any || !more)) {
    st = answer_page(&d->req, d->workers, d->n, more, p.state, out, err);
  } else if (st == YOI_OK && round < LIST_ROUNDS) {
    p.after = d->workers[d->n - 1]->entry.id; /* held until this has returned */
    st = list_from(d->eng, &d->req, &p, round + 1, out, err);
  } else if (st == YOI_OK) {
    st = yoi_sdk_fail(err, YOI_CODE_TIMEOUT, "too many histories had to be read for this page");
  }
  yoi_sdk_json_free(body);
  return st;
}

yoi_status eng_start_list(struct eng_engine *eng, const yoi_request *req, struct eng_worker *none,
                          yoi_stream **out, yoi_error *err) {
  yoi_sdk_json *body = NULL;
  struct page p = {.state = NULL};
  (void)none;
  yoi_status st = eng_ask_parse(req, &body, err);
  if (st != YOI_OK) return st;
  st = read_page(body, &p, err);
  if (st == YOI_OK) st = list_from(eng, req, &p, 0, out, err);
  yoi_sdk_json_free(body);
  eng_sleep_some(eng);
  return st;
}

yoi_status eng_start_get(struct eng_engine *eng, const yoi_request *req, struct eng_worker *w,
                         yoi_stream **out, yoi_error *err) {
  (void)eng;
  yoi_sdk_json *body = NULL;
  yoi_status st = eng_ask_parse(req, &body, err);
  yoi_sdk_json_free(body);
  if (st != YOI_OK) return st;
  if (!w) return eng_ask_no_worker(err);
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw jw;
  yoi_sdk_buf_init(&buf, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&jw, &buf);
  yoi_sdk_jsonw_open(&jw, '{');
  yoi_sdk_jsonw_key(&jw, "worker");
  pthread_mutex_lock(&w->mu);
  bool gone = w->state == ENG_GONE;
  if (!gone) eng_shape_worker(&jw, w, 1);
  pthread_mutex_unlock(&w->mu);
  yoi_sdk_jsonw_close(&jw, '}');
  if (gone) {
    yoi_sdk_buf_release(&buf);
    return eng_ask_no_worker(err);
  }
  return answer(&buf, out, err);
}

/* ---- describe ---- */

static void count_all(struct eng_engine *eng, struct eng_scope_counts *out) {
  pthread_mutex_lock(&eng->dir_mu);
  out->workers = eng->directory.n;
  pthread_mutex_unlock(&eng->dir_mu);
  out->running = atomic_load(&eng->running);
  out->watchers = atomic_load(&eng->watchers);
}

/* scope: NULL, all. */
static void write_counts(struct eng_engine *eng, struct eng_scope *scope,
                         struct yoi_sdk_jsonw *w) {
  const struct eng_limits *l = &eng->limits;
  struct eng_scope_counts n = {0};
  if (scope)
    eng_scope_count(eng, scope, &n);
  else
    count_all(eng, &n);
  yoi_sdk_jsonw_key(w, "limits");
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kint(w, "workers", (int64_t)l->workers);
  yoi_sdk_jsonw_kint(w, "input_bytes", (int64_t)l->input_bytes);
  yoi_sdk_jsonw_kint(w, "queued_inputs", (int64_t)l->queued_inputs);
  yoi_sdk_jsonw_kint(w, "history_bytes", (int64_t)l->history_bytes);
  yoi_sdk_jsonw_kint(w, "transcript_items", (int64_t)l->transcript_items);
  yoi_sdk_jsonw_kint(w, "watchers", (int64_t)l->watchers);
  if (eng->sleeps) yoi_sdk_jsonw_kint(w, "loaded_workers", (int64_t)l->loaded_workers);
  yoi_sdk_jsonw_close(w, '}');
  yoi_sdk_jsonw_key(w, "counts");
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kint(w, "workers", (int64_t)n.workers);
  yoi_sdk_jsonw_kint(w, "running", (int64_t)n.running);
  yoi_sdk_jsonw_kint(w, "watchers", (int64_t)n.watchers);
  yoi_sdk_jsonw_kint(w, "bundles",
                     (int64_t)(scope ? eng_scope_bundles(scope) : eng_bundles_count(eng)));
  yoi_sdk_jsonw_close(w, '}');
}

/* What is amiss: what the engine counted, then what the store says. */
static void write_amiss(struct eng_engine *eng, struct yoi_sdk_jsonw *w,
                        const struct eng_amiss *amiss, size_t n) {
  yoi_sdk_jsonw_key(w, "diagnostics");
  yoi_sdk_jsonw_open(w, '[');
  eng_shape_store_errors(w, atomic_load(&eng->store_errors), atomic_load(&eng->store_error_ns));
  for (size_t i = 0; i < n; i++) eng_shape_diagnostic(w, &amiss[i]);
  yoi_sdk_jsonw_close(w, ']');
}

static bool is_degraded(struct eng_engine *eng, const struct eng_amiss *amiss, size_t n) {
  bool bad = atomic_load(&eng->store_failing);
  for (size_t i = 0; i < n; i++) bad = bad || strcmp(amiss[i].severity, "error") == 0;
  return bad;
}

yoi_status eng_start_describe(struct eng_engine *eng, const yoi_request *req,
                              struct eng_worker *none, yoi_stream **out, yoi_error *err) {
  (void)none;
  static const uint32_t ops[] = {
      YOI_OP_RUNTIME_DESCRIBE, YOI_OP_WORKER_CREATE,    YOI_OP_WORKER_LIST,
      YOI_OP_WORKER_GET,       YOI_OP_WORKER_INPUT,     YOI_OP_WORKER_CANCEL,
      YOI_OP_WORKER_STOP,      YOI_OP_WORKER_DELETE,    YOI_OP_WORKER_TRANSCRIPT,
      YOI_OP_WORKER_EVENTS,    YOI_OP_WORKER_APPROVALS, YOI_OP_WORKER_APPROVE,
      YOI_OP_WORKER_ARTEFACT,  YOI_OP_BUNDLE_PUT,       YOI_OP_BUNDLE_HAVE,
      YOI_OP_BUNDLE_GET,       YOI_OP_BUNDLE_LIST,      YOI_OP_BUNDLE_DELETE};
  yoi_sdk_json *body = NULL;
  yoi_status st = eng_ask_parse(req, &body, err);
  yoi_sdk_json_free(body);
  if (st != YOI_OK) return st;
  struct eng_scope *scope = NULL;
  if (!eng_scope_new(eng, req, &scope)) return yoi_sdk_fail_memory(err);
  bool draining = atomic_load(&eng->draining);
  struct eng_amiss amiss[ENG_AMISS_MAX];
  size_t n = eng->store->ops->amiss ? eng->store->ops->amiss(eng->store, amiss) : 0;
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&buf, 8192);
  yoi_sdk_jsonw_init(&w, &buf);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "runtime");
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "display_name", eng->options.display_name);
  yoi_sdk_jsonw_kstr(&w, "kind", eng->options.kind);
  yoi_sdk_jsonw_kstr(&w, "version", eng->options.version);
  yoi_sdk_jsonw_kstr(&w, "api_version", YOI_LIT("1"));
  yoi_sdk_jsonw_kstr(&w, "instance_id",
                     yoi_sdk_str(eng->store->id ? eng->store->id : eng->instance_id));
  yoi_sdk_jsonw_kstr(&w, "state_kind", eng->options.state_kind);
  yoi_sdk_jsonw_kstr(&w, "status",
                     draining                     ? YOI_LIT("draining")
                     : is_degraded(eng, amiss, n) ? YOI_LIT("degraded")
                                                  : YOI_LIT("ready"));
  yoi_sdk_jsonw_key(&w, "capabilities");
  yoi_sdk_jsonw_open(&w, '[');
  for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
    if (!draining || (ops[i] != YOI_OP_WORKER_CREATE && ops[i] != YOI_OP_WORKER_INPUT &&
                      ops[i] != YOI_OP_BUNDLE_PUT))
      yoi_sdk_jsonw_str(&w, yoi_sdk_str(yoi_sdk_op_name(ops[i])));
  yoi_sdk_jsonw_close(&w, ']');
  write_counts(eng, scope, &w);
  eng_scope_free(scope);
  write_amiss(eng, &w, amiss, n);
  yoi_sdk_jsonw_close(&w, '}');
  yoi_sdk_jsonw_close(&w, '}');
  return answer(&buf, out, err);
}
