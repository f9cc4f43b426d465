/* host/strand.c - an errand: one call of a SERIAL plugin, from the copy of its
 * request to the release of its stream.
 *
 *             offered          a thread          more to do
 *   (start) ---------> QUEUED ----------> RUNNING ---------> QUEUED
 *                                           |  ^ |
 *               AGAIN, or results are full  |  | | END, an error, released,
 *                                           v  | | written off: release called
 *                                         IDLE-+ +--------> GONE --> freed, when
 *                                 wake, next, cancel, clock          released too
 *
 * The clock. At its deadline a call is cancelled, and YOI_CANCEL_GRACE_MS later
 * the holder is answered `timeout`, whatever the plugin does; a cancelled or
 * released one has the same grace. A call that is inside the plugin then is
 * written off: its thread is left to it, the strand goes on with another, and
 * what the call owns is freed when it comes back, if ever. At
 * YOI_STRAND_LOST_MAX calls that are not back the plugin is refused.
 *
 * Why the strand goes on: the alternative, an instance that waits for a call
 * that may never return, makes one hang the end of a model. So the plugin's
 * side of the bargain (come back in time) is what keeps the host's (one call
 * at a time); plugin.h says to authors what a late one may still touch.
 *
 * Invariants
 *  1. One function of an instance at a time, those that were written off left
 *     aside: only the strand's thread calls start, next, cancel and release,
 *     also the release of a call that came back late. With YOI_SERIAL_CANCEL
 *     cancel may run beside anything but the release of that stream, which
 *     waits until it returned.
 *  2. `final` is set once, by the plugin's END or error or by the clock; what
 *     the plugin says afterwards is dropped.
 *  3. next is not called while YOI_STRAND_BUFFER_BYTES or more wait unread.
 *  4. An errand holds a reference to its instance until it is GONE.
 *  5. A call that was not begun when it is cancelled or released never is.
 */
#include "strand.h"

#include <sdk/mem.h>
#include <string.h>

#include "clock.h"
#include "host.h"
#include "strand_impl.h"
#include "stream.h"

/* ---- results ----------------------------------------------------------- */

struct yoi__batch {
  struct yoi__batch *next;
  size_t bytes; /* with all its parts */
  size_t n;
  yoi_event *events;
  const yoi_event *at[];
};

static yoi_str put(char **at, yoi_str s) {
  yoi_str copy = {*at, s.len};
  if (s.len > 0) memcpy(*at, s.ptr, s.len);
  *at += s.len;
  return copy;
}

/* NULL: memory is short, or it is too much at once. */
static struct yoi__batch *batch_new(const yoi_event *const *events, size_t n, int *out_too_large) {
  size_t bytes = sizeof(struct yoi__batch);
  *out_too_large = n > YOI_JSON_NODES_MAX;
  for (size_t i = 0; i < n && !*out_too_large; i++) {
    size_t text = events[i]->text.len, cursor = events[i]->cursor.len;
    *out_too_large = text > YOI_JSON_BYTES_MAX || cursor > YOI_CURSOR_MAX;
    bytes += sizeof(yoi_event) + sizeof(yoi_event *) + text + cursor;
    if (bytes > YOI_JSON_BYTES_MAX) *out_too_large = 1;
  }
  struct yoi__batch *b = *out_too_large ? NULL : yoi_sdk_malloc(bytes);
  if (b == NULL) return NULL;
  *b = (struct yoi__batch){.bytes = bytes, .n = n};
  b->events = (yoi_event *)(void *)&b->at[n];
  char *at = (char *)&b->events[n];
  for (size_t i = 0; i < n; i++) {
    const yoi_event *from = events[i];
    b->events[i] = (yoi_event){.size = sizeof(yoi_event),
                               .kind = from->kind,
                               .flags = from->flags,
                               .cursor = put(&at, from->cursor),
                               .text = put(&at, from->text)};
    b->at[i] = &b->events[i];
  }
  return b;
}

void yoi__batches_free(struct yoi__batch *b) {
  while (b != NULL) {
    struct yoi__batch *next = b->next;
    yoi_sdk_free(b);
    b = next;
  }
}

void yoi__errand_free(struct yoi__errand *e) {
  yoi__batches_free(e->first);
  yoi_sdk_free(e->given);
  yoi_sdk_free(e->why);
  yoi_sdk_free(e);
}

/* ---- with the lock held ------------------------------------------------ */

static struct yoi__pool *pool_of(const struct yoi__errand *e) {
  return e->strand->pool;
}

static int is_full(const struct yoi__errand *e) {
  return e->bytes >= YOI_STRAND_BUFFER_BYTES;
}

/* The plugin is to be told that nobody wants more. */
static int is_asked(const struct yoi__errand *e) {
  return e->cancelled || e->timed;
}

static int is_over(const struct yoi__errand *e) {
  return e->released || e->final != YOI_OK;
}

static int has_work(const struct yoi__errand *e) {
  if (is_over(e) || !e->begun || (is_asked(e) && !e->told)) return 1;
  return !is_full(e) && (!e->waiting || e->woken);
}

static void queue(struct yoi__errand *e) {
  struct yoi__strand *s = e->strand;
  if (e->where != YOI__IDLE || !has_work(e)) return;
  e->where = YOI__QUEUED;
  e->next = NULL;
  *s->last = e;
  s->last = &e->next;
  if (!s->running) yoi__pool_offer(s->pool, s);
}

static void unqueue(struct yoi__errand *e) {
  struct yoi__strand *s = e->strand;
  struct yoi__errand **at = &s->first;
  while (*at != e) at = &(*at)->next;
  *at = e->next;
  if (*at == NULL) s->last = at;
  if (s->first == NULL) yoi__pool_unlist(s->pool, s);
  e->where = YOI__IDLE;
}

static void due_in_grace(struct yoi__errand *e, struct yoi__after *after) {
  uint64_t at = yoi__now_ns() + YOI_CANCEL_GRACE_MS * YOI__MS;
  if (e->due_ns != 0 && (e->timed || e->due_ns <= at)) return; /* its grace runs, or ends sooner */
  e->due_ns = at;
  yoi__pool_due(pool_of(e), at, after);
}

static void wake_holder(struct yoi__errand *e, struct yoi__after *after) {
  if (e->armed && !e->released) after->wake = e->token;
  e->armed = 0;
}

static void end(struct yoi__errand *e, yoi_status st, const yoi_error *why,
                struct yoi__after *after) {
  if (e->final != YOI_OK) return;
  e->final = st;
  if (why != NULL && !e->released) {
    e->why = yoi_sdk_malloc(sizeof *e->why);
    if (e->why != NULL) yoi_sdk_error_copy(yoi_sdk_error_init(e->why), why);
  }
  wake_holder(e, after);
}

static void end_timed_out(struct yoi__errand *e, struct yoi__after *after) {
  const struct yoi__instance *in = e->strand->in;
  struct yoi_sdk_error why;
  yoi_status st =
      yoi_sdk_fail(yoi_sdk_error_init(&why), YOI_CODE_TIMEOUT, "%s '%.*s' did not answer in time",
                   yoi__kind_name(in->plugin->manifest.kind), YOI_ARG(in->name));
  end(e, st, &why.e, after);
}

static void end_cancelled(struct yoi__errand *e, struct yoi__after *after) {
  end(e, YOI_CANCELLED, NULL, after);
}

/* It is inside the plugin, and nobody waits for it any more. */
static void write_off(struct yoi__errand *e, struct yoi__after *after) {
  struct yoi__strand *s = e->strand;
  struct yoi__pool *p = s->pool;
  if (e->inside == NULL) return; /* it was already */
  e->inside->strand = NULL;
  e->inside = NULL;
  e->stuck = 1;
  p->stuck++;
  s->running = 0;
  yoi__pool_offer(p, s);
  after->name = s->in->name;
  after->notify = after->said_lost = 1;
  after->said_refusing = p->stuck == YOI_STRAND_LOST_MAX;
}

/* The plugin's side of it is over. */
static void gone(struct yoi__errand *e, struct yoi__after *after) {
  struct yoi__strand *s = e->strand;
  struct yoi__pool *p = s->pool;
  e->where = YOI__GONE;
  e->due_ns = 0;
  p->places[e->slot].errand = NULL;
  p->places[e->slot].generation++;
  after->token_free = e->news;
  after->unref = s->in;
  after->work = e->work;
  e->work = NULL;
  if (e->released) after->errand = e;
}

static void drop_unbegun(struct yoi__errand *e, struct yoi__after *after) {
  if (e->where == YOI__QUEUED) unqueue(e);
  gone(e, after);
}

/* Calls the plugin's cancel beside what its strand does; leaves the lock. */
static void tell_beside(struct yoi__errand *e) {
  struct yoi__pool *p = pool_of(e);
  if (!p->cancel_any || e->where != YOI__RUNNING || e->told || e->inner == NULL) return;
  yoi_stream *inner = e->inner;
  e->told = 1;
  e->woken = 1;
  e->telling = 1;
  pthread_mutex_unlock(&p->lock);
  inner->ops->cancel(inner);
  pthread_mutex_lock(&p->lock);
  e->telling = 0;
  pthread_cond_broadcast(&p->told);
}

/* ---- on the strand ----------------------------------------------------- */

static void come_out(struct yoi__errand *e, struct yoi__worker *w, struct yoi__after *after) {
  struct yoi__pool *p = pool_of(e);
  pthread_mutex_lock(&p->lock);
  e->inside = NULL;
  w->inside = 0;
  if (!e->stuck) return;
  e->stuck = 0;
  after->name = e->strand->in->name;
  after->said_again = p->stuck-- == YOI_STRAND_LOST_MAX;
}

static void go_in(struct yoi__errand *e, struct yoi__worker *w) {
  struct yoi__pool *p = pool_of(e);
  e->inside = w;
  w->inside = 1;
  if (p->stopping) pthread_cond_broadcast(&p->told); /* who stops it is not to wait for this one */
  pthread_mutex_unlock(&p->lock);
}

static void begin(struct yoi__errand *e, struct yoi__worker *w, struct yoi__after *after) {
  struct yoi__work *work = e->work;
  struct yoi_sdk_error why;
  yoi_stream *inner = NULL;
  e->begun = 1;
  e->work = NULL;
  go_in(e, w);
  yoi_status st = work->start(work, e->strand->in, e->news, &inner, yoi_sdk_error_init(&why));
  work->free(work);
  /* A start gives a stream or an error; AGAIN and END are of streams. */
  if (st < YOI_OK || (st == YOI_OK && !yoi__stream_valid(inner))) st = YOI_UNKNOWN;
  come_out(e, w, after);
  if (st == YOI_OK)
    e->inner = inner;
  else
    end(e, st, &why.e, after);
}

static void tell(struct yoi__errand *e, struct yoi__worker *w, struct yoi__after *after) {
  yoi_stream *inner = e->inner;
  e->told = 1;
  e->woken = 1;
  go_in(e, w);
  inner->ops->cancel(inner);
  come_out(e, w, after);
}

static void take(struct yoi__errand *e, struct yoi__batch *b, struct yoi__after *after) {
  if (is_over(e)) {
    after->batches = b;
    return;
  }
  *e->last = b;
  e->last = &b->next;
  e->bytes += b->bytes;
  wake_holder(e, after);
}

static void advance(struct yoi__errand *e, struct yoi__worker *w, struct yoi__after *after) {
  yoi_stream *inner = e->inner;
  const yoi_event *const *events = NULL;
  struct yoi_sdk_error why;
  struct yoi__batch *b = NULL;
  size_t n = 0;
  e->woken = 0;
  go_in(e, w);
  yoi_status st = inner->ops->next(inner, &events, &n, yoi_sdk_error_init(&why));
  if (st == YOI_OK) {
    int too_large = 0;
    b = n > 0 && events != NULL ? batch_new(events, n, &too_large) : NULL;
    if (b == NULL)
      st = too_large ? yoi_sdk_fail(&why.e, YOI_CODE_INTERNAL, "it gave more than %d bytes at once",
                                    YOI_JSON_BYTES_MAX)
           : n > 0 && events != NULL ? yoi_sdk_fail_memory(&why.e)
                                     : YOI_UNKNOWN;
  }
  come_out(e, w, after);
  e->waiting = st == YOI_AGAIN;
  if (b != NULL)
    take(e, b, after);
  else if (st == YOI_CANCELLED && e->timed && !e->cancelled)
    end_timed_out(e, after);
  else if (st != YOI_AGAIN)
    end(e, st, &why.e, after);
}

static void finish(struct yoi__errand *e, struct yoi__worker *w, struct yoi__after *after) {
  struct yoi__pool *p = pool_of(e);
  while (e->telling) pthread_cond_wait(&p->told, &p->lock);
  yoi_stream *inner = e->inner;
  e->inner = NULL; /* from here on nobody tells it anything */
  if (inner != NULL) {
    due_in_grace(e, after);
    int tick = after->tick;
    after->tick = 0;
    go_in(e, w);
    if (tick) yoi__loop_post_node(p->host->loops, 0, &p->node);
    inner->ops->release(inner);
    come_out(e, w, after);
  }
  gone(e, after);
}

void yoi__strand_step(struct yoi__strand *s, struct yoi__worker *w) {
  struct yoi__errand *e = s->first;
  struct yoi__pool *p = s->pool;
  struct yoi__after after = {0};
  s->first = e->next;
  if (s->first == NULL) s->last = &s->first;
  e->where = YOI__RUNNING;
  w->strand = s;
  if (is_over(e))
    finish(e, w, &after);
  else if (!e->begun)
    begin(e, w, &after);
  else if (is_asked(e) && !e->told)
    tell(e, w, &after);
  else
    advance(e, w, &after);
  if (e->where == YOI__RUNNING) {
    e->where = YOI__IDLE;
    queue(e);
  }
  if (w->strand != NULL) { /* else another thread is on it */
    w->strand = NULL;
    s->running = 0;
    yoi__pool_list(p, s); /* this thread looks there next */
  }
  yoi__pool_leave(p, &after); /* e and s may be gone from here on */
  pthread_mutex_lock(&p->lock);
}

/* ---- the clock and the plugin's wakes ---------------------------------- */

void yoi__errand_due(struct yoi__errand *e, uint64_t now_ns, struct yoi__after *after) {
  if (!e->timed && !e->cancelled && !is_over(e)) {
    e->timed = 1;
    if (e->begun) {
      e->due_ns = now_ns + YOI_CANCEL_GRACE_MS * YOI__MS;
      queue(e);
      tell_beside(e);
      return;
    }
  }
  e->due_ns = 0;
  if (e->cancelled)
    end_cancelled(e, after);
  else
    end_timed_out(e, after);
  if (!e->begun)
    drop_unbegun(e, after);
  else if (e->where == YOI__RUNNING)
    write_off(e, after);
  else
    queue(e);
}

void yoi__errand_news(struct yoi__errand *e, struct yoi__after *after) {
  (void)after;
  e->woken = 1;
  queue(e);
}

/* ---- the holder's stream ----------------------------------------------- */

static yoi_status errand_next(yoi_stream *stream, const yoi_event *const **out_events,
                              size_t *out_n, yoi_error *err) {
  struct yoi__errand *e = (struct yoi__errand *)stream;
  struct yoi__pool *p = pool_of(e);
  struct yoi__after after = {0};
  yoi_status st = YOI_OK;
  pthread_mutex_lock(&p->lock);
  after.batches = e->given;
  e->given = e->first;
  if (e->first != NULL) {
    e->first = e->first->next;
    if (e->first == NULL) e->last = &e->first;
    e->given->next = NULL;
    e->bytes -= e->given->bytes;
    *out_events = e->given->at;
    *out_n = e->given->n;
    queue(e);
  } else if (e->final != YOI_OK) {
    st = e->final;
    if (e->why != NULL) yoi_sdk_error_copy(err, &e->why->e);
  } else {
    e->armed = 1;
    st = YOI_AGAIN;
  }
  yoi__pool_leave(p, &after);
  return st;
}

static void errand_cancel(yoi_stream *stream) {
  struct yoi__errand *e = (struct yoi__errand *)stream;
  struct yoi__pool *p = pool_of(e);
  struct yoi__after after = {0};
  pthread_mutex_lock(&p->lock);
  if (!e->cancelled && e->final == YOI_OK) {
    e->cancelled = 1;
    if (e->begun) {
      due_in_grace(e, &after);
      queue(e);
      tell_beside(e);
    } else {
      end_cancelled(e, &after);
      drop_unbegun(e, &after);
    }
  }
  yoi__pool_leave(p, &after);
}

static void errand_release(yoi_stream *stream) {
  struct yoi__errand *e = (struct yoi__errand *)stream;
  if (e == NULL) return;
  struct yoi__pool *p = pool_of(e);
  struct yoi__after after = {0};
  pthread_mutex_lock(&p->lock);
  e->released = 1;
  after.batches = e->first;
  e->first = NULL;
  e->last = &e->first;
  e->bytes = 0;
  if (e->where == YOI__GONE) {
    after.errand = e;
  } else if (!e->begun) {
    drop_unbegun(e, &after);
  } else {
    due_in_grace(e, &after);
    queue(e);
    tell_beside(e);
  }
  yoi__pool_leave(p, &after);
}

static const yoi_stream_ops errand_ops = {sizeof errand_ops, 0, errand_next, errand_cancel,
                                          errand_release};

/* ---- starting ---------------------------------------------------------- */

/* A place and, with it, the cookie of the plugin's token. */
static yoi_status place(struct yoi__errand *e, uint64_t *out_cookie, yoi_error *err) {
  struct yoi__pool *p = pool_of(e);
  yoi_str id = yoi_sdk_str(p->id);
  yoi_status st = YOI_OK;
  uint32_t i = 0;
  pthread_mutex_lock(&p->lock);
  while (i < YOI_STRAND_CALLS_MAX && p->places[i].errand != NULL) i++;
  if (p->stuck >= YOI_STRAND_LOST_MAX) {
    st = yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED,
                      "plugin '%.*s' is not called: %u of its calls did not come back", YOI_ARG(id),
                      (unsigned)p->stuck);
  } else if (i == YOI_STRAND_CALLS_MAX) {
    st = yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "more than %d calls of plugin '%.*s'",
                      YOI_STRAND_CALLS_MAX, YOI_ARG(id));
  } else {
    p->places[i].errand = e;
    if (i >= p->n_places) p->n_places = i + 1;
    e->slot = i;
    *out_cookie = p->places[i].generation * YOI_STRAND_CALLS_MAX + i;
  }
  pthread_mutex_unlock(&p->lock);
  return st;
}

yoi_status yoi__strand_start(struct yoi__strand *s, struct yoi__work *w, uint64_t token,
                             uint64_t deadline_ns, yoi_stream **out, yoi_error *err) {
  struct yoi_embed *host = s->pool->host;
  uint64_t longest = yoi__now_ns() + YOI_DEADLINE_MS_MAX * YOI__MS, cookie = 0;
  struct yoi__errand *e = yoi_sdk_calloc(1, sizeof *e);
  yoi_status st = e == NULL ? yoi_sdk_fail_memory(err) : YOI_OK;
  if (st == YOI_OK && !yoi__instance_ref(s->in))
    st = yoi_sdk_fail(err, YOI_CODE_SHUTTING_DOWN, "the host is shutting down");
  if (st != YOI_OK) {
    yoi_sdk_free(e);
    w->free(w);
    return st;
  }
  e->head.ops = &errand_ops;
  e->strand = s;
  e->work = w;
  e->token = token;
  e->last = &e->first;
  struct yoi__after after = {0};
  st = place(e, &cookie, err);
  if (st != YOI_OK) {
    yoi_sdk_free(e);
    w->free(w);
    yoi__instance_unref(s->in);
    return st;
  }
  st = yoi__token_new(host->tokens, &s->pool->holder, cookie, &e->news, err);
  pthread_mutex_lock(&s->pool->lock);
  if (st == YOI_OK) {
    e->due_ns = deadline_ns != 0 && deadline_ns < longest ? deadline_ns : longest;
    yoi__pool_due(s->pool, e->due_ns, &after);
    queue(e);
    *out = &e->head;
  } else {
    e->released = 1;
    gone(e, &after);
  }
  yoi__pool_leave(s->pool, &after);
  return st;
}

/* ---- strands ----------------------------------------------------------- */

struct yoi__strand *yoi__strand_new(struct yoi__instance *in) {
  struct yoi__strand *s = yoi_sdk_calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  s->in = in;
  s->last = &s->first;
  s->pool = yoi__pool_of(in->top, in->plugin);
  if (s->pool != NULL) return s;
  yoi_sdk_free(s);
  return NULL;
}

void yoi__strand_free(struct yoi__strand *s) {
  if (s == NULL) return;
  yoi__pool_give(s->pool);
  yoi_sdk_free(s);
}

uint32_t yoi__strand_lost(struct yoi__strand *s) {
  if (s == NULL) return 0;
  struct yoi__pool *p = s->pool;
  uint32_t lost = 0;
  pthread_mutex_lock(&p->lock);
  int dead = p->n == YOI_STRAND_WORKERS && p->stuck == p->n; /* nobody runs what waits */
  for (uint32_t i = 0; i < p->n_places; i++) {
    const struct yoi__errand *e = p->places[i].errand;
    lost += e != NULL && e->strand == s && (e->stuck || (dead && e->where == YOI__QUEUED));
  }
  pthread_mutex_unlock(&p->lock);
  return lost;
}
