/* host/bundle_sync.c - a runtime that lacks a bundle gets it.
 *
 *              start                       bundle_not_found
 *   (none) -----------> ASKED ------------------+-------------------+
 *                         | any other answer    | a put is over     | else
 *                         v                     | that began later  v
 *                       (given on)              |     put over    WAITING
 *                         ^                     v       +-----------+ |
 *                         |       ASKED_AGAIN <-- DUE <-+             | it failed
 *                         +------------+                              v
 *                                                              (its error)
 *
 * The host does not keep what each runtime has: it asks for the worker, and a
 * runtime that says bundle_not_found is given the bundle. So one that has lost
 * its bundles, and one that is new, are the same, and nothing can be out of date.
 *
 * A put is a call of the host's own (call.c): polled on a loop, it belongs to
 * nobody who waits for it, so that who gives up takes it from nobody else. It
 * passes no policy: that the runtime may have the bundle is what the config says
 * (bundle.c), and the create that it is for was asked about.
 *
 * Invariants
 *  1. puts.lock guards places, flights, and who waits; it is not held across a
 *     call, a wake or a log line.
 *  2. One put at a time of a bundle to a runtime. A create that was begun before
 *     the end of one that went well causes none: what it was told is out of date.
 *  3. A create is asked again once. What is said then is the answer.
 *  4. A put that fails answers all who waited for it; the next create tries
 *     again.
 *  5. Streams of the runtime live until release, so cancel may touch them.
 *  6. Behind an error it is not polled: the stream around it repeats that.
 *  7. A place is of a runtime's use of its struct (serial): one that came later
 *     in the same struct starts anew. Places are as many as structs of runtimes
 *     times bundles, and stay.
 */
#include "bundle_sync.h"

#include <pthread.h>
#include <sdk/mem.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "call.h"
#include "host.h"
#include "stream.h"

struct create;

/* One put under way. */
struct flight {
  struct yoi__puts *puts;
  struct place *place;
  struct yoi__setup *setup; /* a reference of the call's: the bundle is its */
  const struct yoi__config_bundle *bundle;
  uint32_t refs; /* who waits, and the call; under puts->lock, like the rest */
  int over;
  yoi_status st;
  struct yoi_sdk_error why; /* when it failed */
  struct create *waiting;
};

/* A bundle in a runtime. */
struct place {
  struct place *next;
  struct yoi__instance *in;
  uint64_t serial;
  char digest[YOI_SDK_DIGEST_SIZE]; /* of the bundle */
  struct flight *flight;            /* NULL: none */
  uint64_t put;                     /* the number of the last put that went well; 0: none */
};

struct yoi__puts {
  pthread_mutex_t lock;
  struct place *places;
  _Atomic uint64_t count; /* of puts that went well */
};

enum state { ASKED, WAITING, DUE, ASKED_AGAIN };

struct create {
  yoi_stream head;
  struct yoi__instance *in; /* held by the stream around this one */
  struct yoi__setup *setup; /* held by the stream around this one */
  const struct yoi__config_bundle *bundle;
  yoi_request request; /* its texts lie in `texts` */
  enum state state;
  uint64_t began; /* puts->count when it was asked */
  _Atomic uint32_t cancelled;
  _Atomic(yoi_stream *) first, second;
  struct flight *flight; /* a reference, while WAITING */
  struct create *next_waiter;
  char texts[];
};

struct yoi__puts *yoi__puts_new(void) {
  struct yoi__puts *p = yoi_sdk_calloc(1, sizeof *p);
  if (p != NULL) pthread_mutex_init(&p->lock, NULL);
  return p;
}

void yoi__puts_free(struct yoi__puts *p) {
  if (p == NULL) return;
  while (p->places != NULL) {
    struct place *next = p->places->next;
    yoi_sdk_free(p->places);
    p->places = next;
  }
  pthread_mutex_destroy(&p->lock);
  yoi_sdk_free(p);
}

void yoi__bundle_log(struct yoi__instance *in, const struct yoi__config_bundle *bundle,
                     yoi_str request_id, yoi_status st, const yoi_error *err) {
  int good = st == YOI_OK;
  const yoi_log_field fields[] = {{YOI_LIT("runtime"), in->name},
                                  {YOI_LIT("bundle"), bundle->it->id},
                                  {YOI_LIT("digest"), yoi_sdk_str(bundle->it->digest)},
                                  {YOI_LIT("error"), yoi_sdk_str(good ? "" : err->message)}};
  yoi__log_write(in->top->log, good ? YOI_LOG_INFO : YOI_LOG_WARN, (yoi_str){0},
                 good ? YOI_LIT("bundle synced") : YOI_LIT("bundle not synced"), request_id, fields,
                 good ? 3 : 4);
}

/* ---- puts -------------------------------------------------------------- */

/* Under the lock; NULL: memory is short. */
static struct place *place_of(struct yoi__puts *p, const struct create *c) {
  struct place *at = p->places;
  const char *digest = c->bundle->it->digest;
  while (at != NULL && (at->in != c->in || strcmp(at->digest, digest) != 0)) at = at->next;
  if (at == NULL) {
    at = yoi_sdk_calloc(1, sizeof *at);
    if (at == NULL) return NULL;
    *at = (struct place){.next = p->places, .in = c->in};
    (void)snprintf(at->digest, sizeof at->digest, "%s", digest);
    p->places = at;
  }
  if (at->serial != c->in->serial) at->put = 0;
  at->serial = c->in->serial;
  return at;
}

static void flight_unref(struct yoi__puts *p, struct flight *f) {
  pthread_mutex_lock(&p->lock);
  uint32_t left = --f->refs;
  pthread_mutex_unlock(&p->lock);
  if (left == 0) yoi_sdk_free(f);
}

/* Takes over the call's reference. */
static void flight_over(struct flight *f, yoi_status st, const yoi_error *err) {
  struct yoi__puts *p = f->puts;
  struct yoi_embed *host = f->place->in->top;
  pthread_mutex_lock(&p->lock);
  f->over = 1;
  f->st = st;
  yoi_sdk_error_copy(yoi_sdk_error_init(&f->why), err);
  f->place->flight = NULL;
  if (st == YOI_OK) f->place->put = atomic_fetch_add(&p->count, 1u) + 1;
  for (;;) {
    struct create *c = f->waiting;
    if (c == NULL) break;
    f->waiting = c->next_waiter;
    uint64_t token = c->request.token;
    pthread_mutex_unlock(&p->lock); /* c may be gone from here on */
    yoi__token_wake(host->tokens, token);
    pthread_mutex_lock(&p->lock);
  }
  pthread_mutex_unlock(&p->lock);
  struct yoi__setup *setup = f->setup;
  flight_unref(p, f);
  yoi__setup_give(setup);
}

static void on_put(void *ctx, const yoi_event *event, yoi_status st, const yoi_error *err) {
  struct flight *f = ctx;
  struct yoi_sdk_error e;
  if (event != NULL) return;
  if (st == YOI_END) st = YOI_OK;
  if (st == YOI_CANCELLED) { /* by the end of the host; no create was */
    st = yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_SHUTTING_DOWN, "the host is shutting down");
    err = &e.e;
  }
  yoi__bundle_log(f->place->in, f->bundle, (yoi_str){0}, st, err);
  flight_over(f, st, err);
}

static void flight_start(struct flight *f, yoi_str request_id) {
  struct yoi__instance *in = f->place->in;
  const struct yoi__config_bundle *bundle = f->bundle;
  const yoi_request put = {.size = sizeof put,
                           .op = YOI_OP_BUNDLE_PUT,
                           .origin = YOI_ORIGIN_EMBED,
                           .subject = yoi_sdk_str(bundle->it->digest),
                           .principal = YOI_LIT("host"),
                           .request_id = request_id,
                           .body = bundle->bytes};
  struct yoi_sdk_error e;
  yoi_status st = yoi__call_runtime(in, &put, on_put, f, yoi_sdk_error_init(&e));
  if (st != YOI_OK) flight_over(f, st, &e.e);
}

/* ---- a create ----------------------------------------------------------- */

static yoi_status ask(struct create *c, const yoi_request *req, _Atomic(yoi_stream *) *out,
                      yoi_error *err) {
  yoi_stream *s = NULL;
  yoi_status st = c->in->plugin->table.runtime.start(c->in->self, req, &s, err);
  if (st != YOI_OK) return st;
  if (!yoi__stream_valid(s))
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "runtime '%.*s' gave no stream",
                        YOI_ARG(c->in->name));
  atomic_store(out, s);
  if (atomic_load(&c->cancelled)) s->ops->cancel(s);
  return YOI_OK;
}

static int is_missing(yoi_status st, const yoi_error *err) {
  return st > YOI_OK && err->code == YOI_CODE_BUNDLE_NOT_FOUND;
}

static yoi_status cancelled(yoi_error *err) {
  (void)yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cancelled");
  err->code = 0;
  return YOI_CANCELLED;
}

/* It was told that the bundle is missing: WAITING, or DUE at once. */
static yoi_status wait_for_put(struct create *c, yoi_error *err) {
  struct yoi__puts *p = c->in->top->puts;
  struct flight *mine = NULL;
  pthread_mutex_lock(&p->lock);
  struct place *at = place_of(p, c);
  c->state = DUE;
  if (at != NULL && at->put <= c->began) {
    if (at->flight == NULL && (mine = yoi_sdk_calloc(1, sizeof *mine)) != NULL) {
      *mine = (struct flight){.puts = p, .place = at, .bundle = c->bundle, .refs = 1};
      mine->setup = yoi__setup_ref(c->setup);
      at->flight = mine;
    }
    c->flight = at->flight;
    if (c->flight != NULL) {
      c->state = WAITING;
      c->flight->refs++;
      c->next_waiter = c->flight->waiting;
      c->flight->waiting = c;
    }
  }
  int short_of_memory = at == NULL || (c->flight == NULL && at->put <= c->began);
  pthread_mutex_unlock(&p->lock);
  if (short_of_memory) return yoi_sdk_fail_memory(err);
  if (mine != NULL) flight_start(mine, c->request.request_id);
  return YOI_OK;
}

static void stop_waiting(struct create *c) {
  struct yoi__puts *p = c->in->top->puts;
  struct flight *f = c->flight;
  if (f == NULL) return;
  pthread_mutex_lock(&p->lock);
  for (struct create **at = &f->waiting; *at != NULL; at = &(*at)->next_waiter)
    if (*at == c) {
      *at = c->next_waiter;
      break;
    }
  pthread_mutex_unlock(&p->lock);
  c->flight = NULL;
  flight_unref(p, f);
}

/* AGAIN: the put goes on. OK: it went well. */
static yoi_status look_at_put(struct create *c, yoi_error *err) {
  struct yoi__puts *p = c->in->top->puts;
  struct flight *f = c->flight;
  pthread_mutex_lock(&p->lock);
  int over = f->over;
  pthread_mutex_unlock(&p->lock);
  if (!over && !atomic_load(&c->cancelled)) return YOI_AGAIN;
  yoi_status st = over ? f->st : cancelled(err);
  if (over && st != YOI_OK) yoi_sdk_error_copy(err, &f->why.e);
  stop_waiting(c);
  return st;
}

static yoi_status ask_again(struct create *c, yoi_error *err) {
  c->state = ASKED_AGAIN;
  if (atomic_load(&c->cancelled)) return cancelled(err);
  if (atomic_load(&c->in->state) != YOI__OPEN)
    return yoi_sdk_fail(err, YOI_CODE_RUNTIME_UNAVAILABLE, "runtime '%.*s' is closing",
                        YOI_ARG(c->in->name));
  return ask(c, &c->request, &c->second, err);
}

static yoi_status create_next(yoi_stream *stream, const yoi_event *const **out_events,
                              size_t *out_n, yoi_error *err) {
  struct create *c = (struct create *)stream;
  yoi_status st = YOI_OK;
  if (c->state == ASKED) {
    yoi_stream *s = atomic_load(&c->first);
    st = s->ops->next(s, out_events, out_n, err);
    if (!is_missing(st, err)) return st;
    yoi_sdk_error_clear(err);
    st = atomic_load(&c->cancelled) ? cancelled(err) : wait_for_put(c, err);
    if (st != YOI_OK) return st;
  }
  if (c->state == WAITING) {
    st = look_at_put(c, err);
    if (st != YOI_OK) return st;
    c->state = DUE;
  }
  if (c->state == DUE) {
    st = ask_again(c, err);
    if (st != YOI_OK) return st;
  }
  yoi_stream *s = atomic_load(&c->second);
  return s->ops->next(s, out_events, out_n, err);
}

static void create_cancel(yoi_stream *stream) {
  struct create *c = (struct create *)stream;
  atomic_store(&c->cancelled, 1u);
  yoi_stream *first = atomic_load(&c->first), *second = atomic_load(&c->second);
  if (first != NULL) first->ops->cancel(first);
  if (second != NULL) second->ops->cancel(second);
  yoi__token_wake(c->in->top->tokens, c->request.token); /* it may wait for a put */
}

static void create_release(yoi_stream *stream) {
  struct create *c = (struct create *)stream;
  if (c == NULL) return;
  stop_waiting(c);
  yoi_stream *first = atomic_load(&c->first), *second = atomic_load(&c->second);
  if (first != NULL) first->ops->release(first);
  if (second != NULL) second->ops->release(second);
  yoi_sdk_free(c);
}

static const yoi_stream_ops create_ops = {sizeof create_ops, 0, create_next, create_cancel,
                                          create_release};

/* NULL: memory is short. */
static struct create *create_new(struct yoi__instance *in, const yoi_request *req,
                                 struct yoi__setup *setup,
                                 const struct yoi__config_bundle *bundle) {
  struct create *c = yoi_sdk_malloc(sizeof *c + yoi__request_bytes(req));
  if (c == NULL) return NULL;
  yoi_request r = *req;
  yoi__request_own(&r, (char *)c + offsetof(struct create, texts));
  *c = (struct create){
      .head = {&create_ops}, .in = in, .setup = setup, .bundle = bundle, .request = r};
  c->began = atomic_load(&in->top->puts->count);
  return c;
}

yoi_status yoi__create_start(struct yoi__instance *in, const yoi_request *req,
                             struct yoi__setup *setup, const struct yoi__config_bundle *bundle,
                             yoi_stream **out, yoi_error *err) {
  struct create *c = create_new(in, req, setup, bundle);
  if (c == NULL) return yoi_sdk_fail_memory(err);
  yoi_status st = ask(c, req, &c->first, err);
  if (is_missing(st, err)) {
    yoi_sdk_error_clear(err);
    st = wait_for_put(c, err);
  }
  if (st == YOI_OK)
    *out = &c->head;
  else
    create_release(&c->head);
  return st;
}
