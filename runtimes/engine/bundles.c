/* bundles.c - bundle.put, have, get, list, delete.
 *
 * A bundle is named by the sha256 of its bytes, so it never changes: to put one
 * that is here is nothing, whoever does it and how often. Bytes are kept as they
 * came. Workers do not need the bundle that they were made of, they have their
 * spec; so one can be deleted that no worker may still take input by, and what
 * is deleted meanwhile is missed by the next create only. Invariants:
 *
 *  1. What is on the shelf has been read as a whole and found to be right, and
 *     its bytes have its name; also what a store brings back.
 *  2. It is on the shelf once the store has it, and off it once the store has
 *     let it go. The store answers in order, so that of a put and a delete at
 *     once the later one holds.
 *  3. The lock is not held while a bundle is read, nor across the store.
 */
#include "bundles.h"

#include <sdk/bundle.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <sdk/stream.h>

#include "ask.h"
#include "worker.h"

struct eng_shelved {
  char digest[YOI_SDK_DIGEST_SIZE], id[YOI_ID_MAX + 1], workspace[YOI_ID_MAX + 1];
  struct eng_text *bytes, *about; /* about: the bundle as answers show it */
  uint32_t leaving;               /* deletes that the store is at; bundles.mu */
};

/* A put or a delete that the store is at. */
struct change {
  struct eng_ticket ticket;
  struct eng_engine *eng;
  struct yoi_sdk_queue *queue;
  struct eng_shelved *put; /* NULL: it is deleted */
  char digest[YOI_SDK_DIGEST_SIZE];
};

void eng_bundles_init(struct eng_bundles *b) {
  *b = (struct eng_bundles){.n = 0};
  pthread_mutex_init(&b->mu, NULL);
}

static void shelved_free(struct eng_shelved *s) {
  if (!s) return;
  eng_text_unref(s->bytes);
  eng_text_unref(s->about);
  yoi_sdk_free(s);
}

void eng_bundles_release(struct eng_bundles *b) {
  for (uint32_t i = 0; i < b->n; i++) shelved_free(b->list[i]);
  yoi_sdk_free(b->list);
  pthread_mutex_destroy(&b->mu);
}

/* ---- one ---- */

static void write_about(const struct yoi_sdk_bundle *b, struct yoi_sdk_jsonw *w) {
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_bundle_write(b, w);
  yoi_sdk_jsonw_kint(w, "bytes", (int64_t)b->bytes);
  yoi_sdk_jsonw_key(w, "profiles");
  yoi_sdk_jsonw_open(w, '[');
  for (uint32_t i = 0; i < b->n_profiles; i++) yoi_sdk_jsonw_str(w, b->profiles[i].name);
  yoi_sdk_jsonw_close(w, ']');
  yoi_sdk_jsonw_close(w, '}');
}

static yoi_status shelved_new(yoi_str bytes, struct eng_shelved **out, yoi_error *err) {
  struct yoi_sdk_bundle *b = NULL;
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw w;
  yoi_status st = yoi_sdk_bundle_new(bytes, NULL, NULL, &b, err);
  if (st != YOI_OK) return st;
  struct eng_shelved *s = yoi_sdk_calloc(1, sizeof *s);
  if (s) {
    (void)snprintf(s->digest, sizeof s->digest, "%s", b->digest);
    (void)snprintf(s->id, sizeof s->id, "%.*s", YOI_ARG(b->id));
    (void)snprintf(s->workspace, sizeof s->workspace, "%.*s", YOI_ARG(b->workspace_id));
    yoi_sdk_buf_init(&buf, YOI_BODY_BYTES_MAX);
    yoi_sdk_jsonw_init(&w, &buf);
    write_about(b, &w);
    s->bytes = eng_text_new(bytes);
    if (!buf.failed) s->about = eng_text_new(yoi_sdk_buf_str(&buf));
    yoi_sdk_buf_release(&buf);
  }
  yoi_sdk_bundle_free(b);
  *out = s;
  if (s && s->bytes && s->about) return YOI_OK;
  shelved_free(s);
  return yoi_sdk_fail_memory(err);
}

/* ---- the shelf; mu held ---- */

/* Where it stands, or would. */
static uint32_t place(const struct eng_bundles *b, yoi_str digest, bool *found) {
  uint32_t low = 0, high = b->n;
  *found = false;
  while (low < high) {
    uint32_t mid = low + (high - low) / 2;
    int order = yoi_sdk_str_cmp(yoi_sdk_str(b->list[mid]->digest), digest);
    if (order == 0) {
      *found = true;
      return mid;
    }
    if (order < 0)
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}

/* 0: memory is short. Its bytes are counted already. */
static int shelve(struct eng_bundles *b, struct eng_shelved *s, uint32_t at) {
  if (b->n == b->cap) {
    uint32_t cap = YOI_SDK_MORE(b->cap, 8);
    struct eng_shelved **list = yoi_sdk_reallocarray(b->list, cap, sizeof(struct eng_shelved *));
    if (!list) return 0;
    b->list = list;
    b->cap = cap;
  }
  memmove(&b->list[at + 1], &b->list[at], (b->n - at) * sizeof(struct eng_shelved *));
  b->list[at] = s;
  b->n++;
  return 1;
}

static void take_off(struct eng_bundles *b, uint32_t at) {
  b->bytes -= eng_text_str(b->list[at]->bytes).len;
  shelved_free(b->list[at]);
  memmove(&b->list[at], &b->list[at + 1], (b->n - at - 1) * sizeof(struct eng_shelved *));
  b->n--;
}

/* ---- from the store ---- */

struct opening {
  struct eng_engine *eng;
  bool short_of_memory;
};

static void on_found(void *ctx, yoi_str digest, yoi_str bytes) {
  struct opening *o = ctx;
  struct eng_bundles *b = &o->eng->bundles;
  struct yoi_sdk_error e;
  struct eng_shelved *s = NULL;
  bool found;
  yoi_status st = shelved_new(bytes, &s, yoi_sdk_error_init(&e));
  if (st == YOI_RESOURCE_EXHAUSTED) o->short_of_memory = true;
  if (st != YOI_OK || !yoi_sdk_str_is(digest, s->digest)) {
    const yoi_log_field fields[] = {{YOI_LIT("bundle"), digest}};
    eng_log(o->eng, YOI_LOG_WARN, YOI_LIT("a bundle of the store cannot be used"), (yoi_str){0},
            fields, 1);
    shelved_free(s);
    return;
  }
  uint32_t at = place(b, digest, &found);
  if (found || !shelve(b, s, at)) {
    o->short_of_memory |= !found;
    shelved_free(s);
    return;
  }
  b->bytes += bytes.len;
}

yoi_status eng_bundles_open(struct eng_engine *eng, yoi_error *err) {
  struct opening o = {.eng = eng};
  if (!eng->store->ops->bundles) return YOI_OK;
  yoi_status st = eng->store->ops->bundles(eng->store, on_found, &o, err);
  return st == YOI_OK && o.short_of_memory ? yoi_sdk_fail_memory(err) : st;
}

int eng_bundles_find(struct eng_engine *eng, yoi_str digest, struct eng_bundle_of *out) {
  struct eng_bundles *b = &eng->bundles;
  bool found;
  pthread_mutex_lock(&b->mu);
  uint32_t at = place(b, digest, &found);
  if (found) {
    const struct eng_shelved *s = b->list[at];
    out->bytes = eng_text_ref(s->bytes);
    memcpy(out->digest, s->digest, sizeof out->digest);
    memcpy(out->id, s->id, sizeof out->id);
    memcpy(out->workspace, s->workspace, sizeof out->workspace);
  }
  pthread_mutex_unlock(&b->mu);
  return found;
}

int eng_bundles_has(struct eng_engine *eng, yoi_str digest) {
  bool found;
  pthread_mutex_lock(&eng->bundles.mu);
  (void)place(&eng->bundles, digest, &found);
  pthread_mutex_unlock(&eng->bundles.mu);
  return found;
}

static bool is_of(const struct eng_shelved *s, yoi_str workspace) {
  return workspace.len == 0 || yoi_sdk_str_is(workspace, s->workspace);
}

uint32_t eng_bundles_places(struct eng_engine *eng, yoi_str workspace,
                            struct eng_place out[YOI_BUNDLES_MAX]) {
  struct eng_bundles *b = &eng->bundles;
  uint32_t n = 0;
  pthread_mutex_lock(&b->mu);
  for (; n < b->n && n < YOI_BUNDLES_MAX; n++) {
    (void)yoi_sdk_digest_bytes(yoi_sdk_str(b->list[n]->digest), out[n].sha);
    out[n].ours = is_of(b->list[n], workspace);
  }
  pthread_mutex_unlock(&b->mu);
  return n;
}

uint32_t eng_bundles_count(struct eng_engine *eng) {
  pthread_mutex_lock(&eng->bundles.mu);
  uint32_t n = eng->bundles.n;
  pthread_mutex_unlock(&eng->bundles.mu);
  return n;
}

/* ---- answers ---- */

static yoi_status check_subject(const yoi_request *req, yoi_error *err) {
  if (yoi_sdk_digest_valid(req->subject)) return YOI_OK;
  return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER,
                      "a bundle is named by 'sha256:' and 64 digits of lower-case hex");
}

static yoi_status not_found(yoi_str digest, yoi_error *err) {
  char details[YOI_SDK_DIGEST_SIZE + 32];
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_BUNDLE_NOT_FOUND, "this runtime has no bundle '%.*s'",
                               YOI_ARG(digest));
  int n = snprintf(details, sizeof details, "{\"digest\":\"%.*s\"}", YOI_ARG(digest));
  yoi_sdk_fail_details(err, (yoi_str){details, (size_t)n});
  return st;
}

yoi_status eng_bundles_missing(yoi_str digest, yoi_error *err) {
  return not_found(digest, err);
}

/* {"bundle": about}; NULL: memory is short. */
static char *wrapped(const struct eng_text *about, size_t *len) {
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&buf, YOI_BODY_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &buf);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kraw(&w, "bundle", eng_text_str(about));
  yoi_sdk_jsonw_close(&w, '}');
  char *text = buf.failed ? NULL : yoi_sdk_buf_take(&buf, len);
  yoi_sdk_buf_release(&buf);
  return text;
}

static yoi_status answer(const struct eng_text *about, yoi_stream **out, yoi_error *err) {
  size_t len = 0;
  char *text = wrapped(about, &len);
  *out = text ? yoi_sdk_stream_one_take(text, len, 0) : NULL;
  return *out ? YOI_OK : yoi_sdk_fail_memory(err);
}

/* One of the two texts of a bundle that is here, with a reference; NULL. `stays`:
 * one that is being deleted is not here. */
static struct eng_text *text_of(struct eng_engine *eng, const yoi_request *req, bool bytes,
                                bool stays) {
  struct eng_bundles *b = &eng->bundles;
  struct eng_text *text = NULL;
  bool found;
  pthread_mutex_lock(&b->mu);
  uint32_t at = place(b, req->subject, &found);
  if (found && stays && b->list[at]->leaving > 0) found = false;
  if (found && !is_of(b->list[at], req->workspace)) found = false;
  if (found) text = eng_text_ref(bytes ? b->list[at]->bytes : b->list[at]->about);
  pthread_mutex_unlock(&b->mu);
  return text;
}

yoi_status eng_start_bundle_have(struct eng_engine *eng, const yoi_request *req,
                                 struct eng_worker *none, yoi_stream **out, yoi_error *err) {
  (void)none;
  yoi_status st = check_subject(req, err);
  if (st != YOI_OK) return st;
  struct eng_text *about = text_of(eng, req, false, false);
  if (!about) return not_found(req->subject, err);
  st = answer(about, out, err);
  eng_text_unref(about);
  return st;
}

yoi_status eng_start_bundle_get(struct eng_engine *eng, const yoi_request *req,
                                struct eng_worker *none, yoi_stream **out, yoi_error *err) {
  (void)none;
  yoi_status st = check_subject(req, err);
  if (st != YOI_OK) return st;
  struct eng_text *bytes = text_of(eng, req, true, false);
  if (!bytes) return not_found(req->subject, err);
  *out = yoi_sdk_stream_one(eng_text_str(bytes), 0);
  eng_text_unref(bytes);
  return *out ? YOI_OK : yoi_sdk_fail_memory(err);
}

/* `next` is the last one that is shown. */
static yoi_status write_page(struct eng_bundles *b, yoi_str workspace, yoi_str after, size_t limit,
                             struct yoi_sdk_buf *buf) {
  const struct eng_shelved *last = NULL;
  struct yoi_sdk_jsonw w;
  bool found;
  size_t n = 0;
  yoi_sdk_jsonw_init(&w, buf);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_key(&w, "bundles");
  yoi_sdk_jsonw_open(&w, '[');
  pthread_mutex_lock(&b->mu);
  uint32_t at = place(b, after, &found);
  if (found) at++;
  for (; at < b->n; at++) {
    if (!is_of(b->list[at], workspace)) continue;
    if (n++ == limit) break;
    last = b->list[at];
    yoi_sdk_jsonw_raw(&w, eng_text_str(last->about));
  }
  yoi_sdk_jsonw_close(&w, ']');
  yoi_sdk_jsonw_key(&w, "next");
  if (n > limit && last)
    yoi_sdk_jsonw_str(&w, yoi_sdk_str(last->digest));
  else
    yoi_sdk_jsonw_null(&w);
  pthread_mutex_unlock(&b->mu);
  yoi_sdk_jsonw_close(&w, '}');
  return buf->failed ? YOI_RESOURCE_EXHAUSTED : YOI_OK;
}

yoi_status eng_start_bundle_list(struct eng_engine *eng, const yoi_request *req,
                                 struct eng_worker *none, yoi_stream **out, yoi_error *err) {
  struct yoi_sdk_buf buf;
  yoi_sdk_json *body = NULL;
  size_t limit = 0, len = 0;
  (void)none;
  yoi_status st = eng_ask_parse(req, &body, err);
  if (st != YOI_OK) return st;
  yoi_str after = eng_ask_str(body, "after");
  st = eng_ask_limit(body, YOI_LIST_LIMIT_DEFAULT, YOI_LIST_LIMIT_MAX, &limit, err);
  if (st == YOI_OK && after.len > 0 && !yoi_sdk_digest_valid(after))
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER, "'after' is not the digest of a bundle");
  if (st == YOI_OK) {
    yoi_sdk_buf_init(&buf, (size_t)16 << 20);
    st = write_page(&eng->bundles, req->workspace, after, limit, &buf);
    char *text = st == YOI_OK ? yoi_sdk_buf_take(&buf, &len) : NULL;
    yoi_sdk_buf_release(&buf);
    *out = text ? yoi_sdk_stream_one_take(text, len, 0) : NULL;
    st = *out ? YOI_OK : yoi_sdk_fail_memory(err);
  }
  yoi_sdk_json_free(body);
  return st;
}

/* ---- changes ---- */

static void change_free(struct change *c) {
  if (!c) return;
  if (c->queue) yoi_sdk_queue_drop(c->queue);
  shelved_free(c->put);
  yoi_sdk_free(c);
}

/* For one answer of a few hundred bytes. */
static struct change *change_new(struct eng_engine *eng, const yoi_request *req,
                                 eng_ticket_fn *done, yoi_stream **out) {
  struct change *c = yoi_sdk_calloc(1, sizeof *c);
  if (!c) return NULL;
  c->eng = eng;
  c->ticket.done = done;
  memcpy(c->digest, req->subject.ptr, req->subject.len);
  c->queue = yoi_sdk_queue_new(eng->host, req->token, YOI_BODY_BYTES_MAX, NULL, NULL, NULL);
  if (c->queue) {
    *out = yoi_sdk_queue_stream(c->queue);
    return c;
  }
  change_free(c);
  return NULL;
}

static void change_failed(struct change *c, yoi_status st) {
  struct yoi_sdk_error e;
  yoi_error *err = yoi_sdk_error_init(&e);
  st = st == YOI_RESOURCE_EXHAUSTED ? yoi_sdk_fail_memory(err)
       : st == YOI_CANCELLED
           ? yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the runtime is shutting down")
           : yoi_sdk_fail(err, YOI_CODE_STORE_ERROR, "the bundle could not be %s",
                          c->put ? "written" : "removed");
  yoi_sdk_queue_fail(c->queue, st, err);
}

static void put_done(struct eng_ticket *t, yoi_status st, struct eng_frame *const *none, size_t n) {
  struct change *c = (struct change *)t;
  struct eng_bundles *b = &c->eng->bundles;
  struct eng_text *about = NULL;
  uint32_t flags = 0;
  bool found = false;
  (void)none;
  (void)n;
  pthread_mutex_lock(&b->mu);
  b->coming--;
  uint32_t at = place(b, yoi_sdk_str(c->digest), &found);
  if (st == YOI_OK) about = eng_text_ref(c->put->about);
  if (st == YOI_OK && !found) {
    if (shelve(b, c->put, at)) {
      c->put = NULL;
      flags = YOI_EV_CREATED;
    } else {
      st = YOI_RESOURCE_EXHAUSTED; /* the store has it: it is here after a restart */
    }
  }
  if (c->put) b->bytes -= eng_text_str(c->put->bytes).len;
  pthread_mutex_unlock(&b->mu);
  size_t len = 0;
  char *text = st == YOI_OK ? wrapped(about, &len) : NULL;
  if (st == YOI_OK && !text) st = YOI_RESOURCE_EXHAUSTED;
  if (text && yoi_sdk_queue_push(c->queue, YOI_EVENT_RESULT, flags, (yoi_str){0},
                                 (yoi_str){text, len}) == YOI_OK)
    yoi_sdk_queue_finish(c->queue);
  else if (!text)
    change_failed(c, st);
  yoi_sdk_free(text);
  eng_text_unref(about);
  change_free(c);
}

/* The bytes have the name that they are put under. */
static yoi_status check_bytes(const yoi_request *req, yoi_error *err) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  char digest[YOI_SDK_DIGEST_SIZE], details[YOI_SDK_DIGEST_SIZE + 32];
  if (req->body.len > YOI_BUNDLE_BYTES_MAX)
    return yoi_sdk_fail(err, YOI_CODE_PAYLOAD_TOO_LARGE, "a bundle has at most %d bytes",
                        YOI_BUNDLE_BYTES_MAX);
  if (!yoi_sdk_sha256(req->body.ptr, req->body.len, sha)) return yoi_sdk_fail_memory(err);
  yoi_sdk_digest_text(sha, digest);
  if (yoi_sdk_str_is(req->subject, digest)) return YOI_OK;
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_BUNDLE_DIGEST_MISMATCH,
                               "the bytes are not those of '%.*s'", YOI_ARG(req->subject));
  int n = snprintf(details, sizeof details, "{\"digest\":\"%s\"}", digest);
  yoi_sdk_fail_details(err, (yoi_str){details, (size_t)n});
  return st;
}

/* Sets a place and its bytes aside. */
static yoi_status reserve(struct eng_bundles *b, size_t bytes, yoi_error *err) {
  yoi_status st = YOI_OK;
  pthread_mutex_lock(&b->mu);
  if (b->n + b->coming >= YOI_BUNDLES_MAX)
    st = yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "the runtime has its %d bundles already",
                      YOI_BUNDLES_MAX);
  else if (b->bytes + bytes > YOI_BUNDLES_BYTES_MAX)
    st = yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "the runtime has bundles of %d bytes already",
                      YOI_BUNDLES_BYTES_MAX);
  if (st == YOI_OK) {
    b->bytes += bytes;
    b->coming++;
  }
  pthread_mutex_unlock(&b->mu);
  return st;
}

static void give_back(struct eng_bundles *b, size_t bytes) {
  pthread_mutex_lock(&b->mu);
  b->bytes -= bytes;
  b->coming--;
  pthread_mutex_unlock(&b->mu);
}

yoi_status eng_start_bundle_put(struct eng_engine *eng, const yoi_request *req,
                                struct eng_worker *none, yoi_stream **out, yoi_error *err) {
  struct eng_shelved *s = NULL;
  (void)none;
  yoi_status st = check_subject(req, err);
  if (st == YOI_OK) st = check_bytes(req, err);
  if (st != YOI_OK) return st;
  struct eng_text *about = text_of(eng, req, false, true);
  if (about) {
    st = answer(about, out, err);
    eng_text_unref(about);
    return st;
  }
  if (atomic_load(&eng->draining))
    return yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the runtime is shutting down");
  st = shelved_new(req->body, &s, err);
  if (st == YOI_OK && !is_of(s, req->workspace))
    st = yoi_sdk_fail(err, YOI_CODE_POLICY_DENIED, "the bundle is of another workspace than '%.*s'",
                      YOI_ARG(req->workspace));
  if (st == YOI_OK) st = reserve(&eng->bundles, req->body.len, err);
  if (st != YOI_OK) {
    shelved_free(s);
    return st;
  }
  struct change *c = change_new(eng, req, put_done, out);
  if (!c) {
    give_back(&eng->bundles, req->body.len);
    shelved_free(s);
    return yoi_sdk_fail_memory(err);
  }
  c->put = s;
  if (eng->store->ops->bundle_put)
    eng->store->ops->bundle_put(eng->store, c->digest, s->bytes, &c->ticket);
  else
    put_done(&c->ticket, YOI_OK, NULL, 0);
  return YOI_OK;
}

/* ---- delete ---- */

struct users {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  uint64_t n;
};

#define LOOKS_PER_LOCK YOI_SDK_HARD(1024, 3)

/* Those that may still take input. */
static int count_user(void *ctx, const struct eng_entry *e) {
  struct users *u = ctx;
  const struct eng_worker *w = (const struct eng_worker *)e;
  uint8_t state = atomic_load(&w->state);
  bool over = state == ENG_STOPPED || state == ENG_CORRUPT || state == ENG_GONE;
  u->n += !over && w->bundled && memcmp(w->bundle, u->sha, sizeof u->sha) == 0;
  return 0;
}

static uint64_t count_users(struct eng_engine *eng, yoi_str digest) {
  struct users u = {.n = 0};
  struct eng_entry *none[1];
  char id[YOI_ID_MAX];
  yoi_str after = {0};
  const struct eng_entry *seen;
  int more;
  (void)yoi_sdk_digest_bytes(digest, u.sha);
  do {
    pthread_mutex_lock(&eng->dir_mu);
    (void)eng_directory_page(&eng->directory, after, count_user, &u, none, 1, LOOKS_PER_LOCK, &seen,
                             &more);
    if (seen) {
      after = (yoi_str){id, seen->id.len};
      memcpy(id, seen->id.ptr, seen->id.len);
    }
    pthread_mutex_unlock(&eng->dir_mu);
  } while (seen);
  return u.n;
}

/* From when the store is asked until it has answered: a put meanwhile goes to the
 * store too, behind the delete. */
static void mark_leaving(struct eng_bundles *b, yoi_str digest, int by) {
  bool found;
  pthread_mutex_lock(&b->mu);
  uint32_t at = place(b, digest, &found);
  if (found) b->list[at]->leaving += (uint32_t)by;
  pthread_mutex_unlock(&b->mu);
}

static void delete_done(struct eng_ticket *t, yoi_status st, struct eng_frame *const *none,
                        size_t n) {
  struct change *c = (struct change *)t;
  struct eng_bundles *b = &c->eng->bundles;
  (void)none;
  (void)n;
  mark_leaving(b, yoi_sdk_str(c->digest), -1);
  if (st == YOI_OK) {
    bool found;
    pthread_mutex_lock(&b->mu);
    uint32_t at = place(b, yoi_sdk_str(c->digest), &found);
    if (found) take_off(b, at);
    pthread_mutex_unlock(&b->mu);
    eng_specs_forget(&c->eng->specs, c->digest);
    if (yoi_sdk_queue_push(c->queue, YOI_EVENT_RESULT, 0, (yoi_str){0}, YOI_LIT("{}")) == YOI_OK)
      yoi_sdk_queue_finish(c->queue);
  } else {
    change_failed(c, st);
  }
  change_free(c);
}

yoi_status eng_start_bundle_delete(struct eng_engine *eng, const yoi_request *req,
                                   struct eng_worker *none, yoi_stream **out, yoi_error *err) {
  (void)none;
  yoi_status st = check_subject(req, err);
  if (st != YOI_OK) return st;
  struct eng_text *about = text_of(eng, req, false, false);
  if (!about) return not_found(req->subject, err);
  eng_text_unref(about);
  uint64_t users = count_users(eng, req->subject);
  if (users > 0) {
    char details[48];
    st = yoi_sdk_fail(err, YOI_CODE_BUNDLE_IN_USE,
                      "%llu workers that are not stopped were made of this bundle",
                      (unsigned long long)users);
    int n = snprintf(details, sizeof details, "{\"workers\":%llu}", (unsigned long long)users);
    yoi_sdk_fail_details(err, (yoi_str){details, (size_t)n});
    return st;
  }
  struct change *c = change_new(eng, req, delete_done, out);
  if (!c) return yoi_sdk_fail_memory(err);
  mark_leaving(&eng->bundles, req->subject, 1);
  if (eng->store->ops->bundle_remove)
    eng->store->ops->bundle_remove(eng->store, c->digest, &c->ticket);
  else
    delete_done(&c->ticket, YOI_OK, NULL, 0);
  return YOI_OK;
}
