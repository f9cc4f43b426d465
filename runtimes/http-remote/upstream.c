/* upstream.c - of a watched worker: one stream of the remote's, one buffer of
 * frames for all who watch.
 *
 *                 wanted                 head               `end`, cut, refused
 *   CLOSED -----------------> OPENING ---------> OPEN --------------+
 *                                ^                                  v
 *                                +------------ backoff ----------- LOST
 *   any of these: deleted, refused for good, resume_ms passed, drained --> OVER
 *
 * The upstream always begins at the head of the history, with a snapshot or at
 * the cursor that its first watcher had read up to; older parts are read by
 * whoever wants them (reader.c). So one who wants much delays nobody.
 *
 * A remote that goes away is expected to come back: the upstream goes on at its
 * last cursor, the watchers wait. One that does not know the cursor any more is
 * asked without, and its snapshot goes to all who watch. So it is with one that
 * does not take the token of this host any more: the refusal has it read again.
 *
 * A followed input is the same with one watcher: its upstream begins with the
 * input itself. Once that is acknowledged the turn is followed as events from
 * its cursor on, and those of other turns are left out; so it is when a remote
 * answers with the acknowledgement alone.
 *
 * Invariants:
 *  1. Frames stand in the buffer in the order of the upstream, without a gap
 *     but behind a snapshot. The buffer forgets the oldest beyond
 *     YOI_REMOTE_BUFFER_BYTES; it always has the newest.
 *  2. The upstream is not read while all watchers have half a buffer before
 *     them; one that waits to join keeps it going. One that falls out of the
 *     buffer reads on its own.
 *  3. Upstream, timers and readers are touched on its loop only, in `tend` and
 *     in callbacks. `todo` is what other threads leave for it.
 *  4. It is freed on its loop when nobody holds it (the instance's mu) and no
 *     task of it is on its way.
 *  5. A followed input's buffer forgets nothing that its watcher was not given:
 *     the acknowledgement cannot be read again, nor a turn's events alone. By 2 it
 *     is half a buffer, the frame that exceeds that, and what comes in one piece
 *     with its end.
 */
#include "remote.h"

#include <sdk/hard.h>
#include <sdk/mem.h>

#define RING_FIRST 8
#define WAKES 32 /* tokens that are woken at a time */

void rem_watched_advance(struct rem_watched *w, uint64_t at) {
  if (w->front < w->base) w->front = w->base;
  for (; w->front < at; w->front++) w->behind -= w->ring[w->front & (w->cap - 1)]->size;
  if (w->paused && w->behind < YOI_REMOTE_BUFFER_BYTES / 4) w->slack = 1;
}

/* Streams of one holder mostly share a token: it is woken once. */
void rem_watched_wake(struct rem_watched *w) {
  const yoi_host *host = w->i->host;
  uint64_t tokens[WAKES];
  size_t n;
  do {
    n = 0;
    pthread_mutex_lock(&w->mu);
    for (struct rem_watcher *x = w->watchers; x; x = x->next) {
      size_t k = 0;
      if (!x->armed) continue;
      while (k < n && tokens[k] != x->token) k++;
      if (k == WAKES) break; /* the rest in the next round */
      if (k == n) tokens[n++] = x->token;
      x->armed = 0;
    }
    pthread_mutex_unlock(&w->mu);
    for (size_t k = 0; k < n; k++) host->wake(host, tokens[k]);
  } while (n == WAKES);
}

/* ---- the buffer, locked ---------------------------------------------------------- */

static int room(struct rem_watched *w) {
  if (w->end - w->base < w->cap) return 1;
  uint32_t cap = w->cap ? w->cap * 2 : RING_FIRST;
  struct rem_frame **ring = yoi_sdk_reallocarray(NULL, cap, sizeof *ring);
  if (!ring) return 0;
  for (uint64_t at = w->base; at < w->end; at++) ring[at & (cap - 1)] = w->ring[at & (w->cap - 1)];
  yoi_sdk_free(w->ring);
  w->ring = ring;
  w->cap = cap;
  return 1;
}

static void forget_oldest(struct rem_watched *w) {
  struct rem_frame *f = w->ring[w->base & (w->cap - 1)];
  if (w->front <= w->base) {
    w->front = w->base + 1;
    w->behind -= f->size;
  }
  w->bytes -= f->size;
  w->base++;
  rem_frame_unref(f);
}

/* Those who wait for this frame have joined; after a snapshot all the others
 * look for their place anew. */
static void settle_joining(struct rem_watched *w, const struct rem_frame *f) {
  int anew = f->ev.kind == YOI_EVENT_SNAPSHOT;
  for (struct rem_watcher *x = w->watchers; x && w->n_joining > 0; x = x->next) {
    if (x->state != REM_JOINING) continue;
    if (yoi_sdk_str_eq(rem_cursor_str(&x->join), f->ev.cursor)) {
      x->state = REM_LIVE;
      x->at = w->end;
      rem_watched_advance(w, x->at);
      w->n_joining--;
    } else if (anew) {
      rem_reader_anew(x);
      rem_watched_todo(w, x);
    }
  }
}

/* Takes over the reference. 0: memory. */
static int put(struct rem_watched *w, struct rem_frame *f) {
  if (!room(w)) {
    rem_frame_unref(f);
    return 0;
  }
  w->ring[w->end++ & (w->cap - 1)] = f;
  w->bytes += f->size;
  w->behind += f->size;
  if (f->ev.cursor.len) rem_cursor_set(&w->cursor, f->ev.cursor);
  while (w->bytes > YOI_REMOTE_BUFFER_BYTES && w->end - w->base > 1 &&
         !(w->follow && w->front <= w->base)) /* 5 above */
    forget_oldest(w);
  if (w->n_joining) settle_joining(w, f);
  return 1;
}

/* ---- the end ---------------------------------------------------------------------- */

void rem_upstream_over(struct rem_watched *w, const char *reason, int32_t code, int retryable,
                       const yoi_error *why) {
  rem_watched_unmap(w);
  pthread_mutex_lock(&w->mu);
  if (w->phase != REM_OVER) {
    w->phase = REM_OVER;
    w->reason = reason;
    w->code = code;
    w->retryable = retryable != 0;
    w->why = why ? yoi_sdk_malloc(sizeof *w->why) : NULL;
    if (w->why) yoi_sdk_error_copy(yoi_sdk_error_init(w->why), why);
    for (struct rem_watcher *x = w->watchers; x; x = x->next) {
      if (x->state != REM_JOINING) continue;
      rem_reader_anew(x); /* what it read has its end here too */
      rem_watcher_end(x, reason, code, retryable, why);
    }
  }
  pthread_mutex_unlock(&w->mu);
  rem_watched_wake(w);
}

static void over_error(struct rem_watched *w, const yoi_error *why) {
  rem_upstream_over(w, "error", why->code, (why->flags & YOI_ERROR_RETRYABLE) != 0, why);
}

/* ---- the upstream ------------------------------------------------------------------- */

static void on_timer(void *ctx) {
  struct rem_watched *w = ctx;
  w->timer = 0;
  rem_upstream_open(w);
}

/* Both: nobody of them needs more now, and nobody waits to join. */
static void pace(struct rem_watched *w) {
  pthread_mutex_lock(&w->mu);
  int stop = w->behind > YOI_REMOTE_BUFFER_BYTES / 2 && w->n_joining == 0 && w->watchers;
  if (stop) w->paused = 1;
  pthread_mutex_unlock(&w->mu);
  if (stop) rem_ask_pause(w->up, 1);
}

static void on_open(void *ctx) {
  struct rem_watched *w = ctx;
  pthread_mutex_lock(&w->mu);
  w->phase = REM_OPEN;
  pthread_mutex_unlock(&w->mu);
  pace(w); /* what the stream before it brought may not be given yet */
}

/* Of a followed input: 1 when the event is none of its turn's. */
static int is_of_others(const struct rem_watched *w, uint32_t kind, yoi_str data) {
  yoi_str turn = yoi_sdk_json_raw_get(data, "turn_id");
  if (!w->turn[0]) return 0; /* the remote gives only its own */
  if (kind == YOI_EVENT_SNAPSHOT) return 1;
  return turn.len < 2 || !yoi_sdk_str_is((yoi_str){turn.ptr + 1, turn.len - 2}, w->turn);
}

static void take_ack(struct rem_watched *w, yoi_str data) {
  yoi_str ack = yoi_sdk_json_raw_get(data, "ack");
  yoi_str turn = yoi_sdk_json_raw_get(ack, "turn_id");
  yoi_str cursor = yoi_sdk_json_raw_get(ack, "cursor");
  w->acked = 1;
  if (turn.len > 2 && turn.len - 2 < sizeof w->turn && turn.ptr[0] == '"') {
    memcpy(w->turn, turn.ptr + 1, turn.len - 2);
    w->turn[turn.len - 2] = '\0';
  }
  if (cursor.len < 3 || cursor.ptr[0] != '"') return;
  pthread_mutex_lock(&w->mu);
  rem_cursor_set(&w->cursor, (yoi_str){cursor.ptr + 1, cursor.len - 2});
  pthread_mutex_unlock(&w->mu);
}

/* The remote ends the stream: its connection is read to the end of the answer,
 * and serves the next request. What may go on is taken up again then. */
static void take_end(struct rem_watched *w, yoi_str data) {
  yoi_str reason = yoi_sdk_json_raw_get(data, "reason");
  if (yoi_sdk_str_is(reason, "\"turn_ended\"") && w->follow) {
    rem_upstream_over(w, "turn_ended", 0, 0, NULL);
    return;
  }
  if (yoi_sdk_str_is(reason, "\"worker_deleted\"")) {
    rem_upstream_over(w, "worker_deleted", YOI_CODE_WORKER_NOT_FOUND, 0, NULL);
    return;
  }
  if (!rem_end_retryable(data)) rem_upstream_over(w, "error", rem_end_code(data), 0, NULL);
}

static int on_event(void *ctx, const struct yoi_sdk_sse_event *ev) {
  struct rem_watched *w = ctx;
  uint32_t kind = rem_frame_kind(ev->type);
  int bare = kind == YOI_EVENT_ACK || kind == YOI_EVENT_END;
  yoi_str cursor = bare ? (yoi_str){0} : ev->id;
  if (w->phase == REM_OVER) return 0;
  if (kind == 0 && cursor.len == 0) return 0; /* no place either */
  if (!rem_frame_fits(kind, cursor, ev->data) ||
      !rem_event_is_of(yoi_sdk_str(w->id), kind, ev->data)) {
    w->malformed = 1;
    return 1;
  }
  w->ever = 1;
  if (kind == YOI_EVENT_END) {
    take_end(w, ev->data);
    return 0;
  }
  w->lost_ns = 0; /* it gets on, which an end does not */
  w->attempt = 0;
  if (kind == YOI_EVENT_ACK) {
    if (!w->follow) return 0;
    if (!w->acked) take_ack(w, ev->data);
    if (w->ack_given) return 0;
    w->ack_given = 1;
  } else if (w->follow && (kind == 0 || is_of_others(w, kind, ev->data))) {
    return 0;
  }
  struct rem_frame *f = rem_frame_new(kind, cursor, kind ? ev->data : (yoi_str){0});
  pthread_mutex_lock(&w->mu);
  int fine = f && put(w, f);
  pthread_mutex_unlock(&w->mu);
  if (!fine) return 1; /* memory: taken up again from the cursor */
  rem_watched_wake(w);
  pace(w);
  if (w->follow && kind == YOI_EVENT_TURN_ENDED) rem_upstream_over(w, "turn_ended", 0, 0, NULL);
  return 0;
}

/* Later, while it may. */
static int later(struct rem_watched *w) {
  struct rem_instance *i = w->i;
  uint64_t now = rem_now(i), limit = (uint64_t)i->config.resume_ms * REM_NS_PER_MS;
  if (!w->ever && w->attempt >= i->config.retries) return 0;
  if (w->follow && !w->acked && w->asked.deadline_ns && now >= w->asked.deadline_ns) return 0;
  if (w->lost_ns == 0) w->lost_ns = now;
  if (w->ever && now - w->lost_ns >= limit) return 0;
  yoi_sdk_metric_add(&i->metrics, i->metric.resumes, 1);
  return i->loop->timer(i->host, now + rem_backoff_ns(w->attempt++), on_timer, w, &w->timer) ==
         YOI_OK;
}

/* An answer that is no stream: the acknowledgement alone. It is as if the stream
 * had been lost behind it. */
static void take_answer(struct rem_watched *w, struct rem_outcome *o) {
  struct yoi_sdk_sse_event ack = {.type = YOI_LIT("ack"), .data = o->text};
  while (ack.data.len && strchr(" \t", ack.data.ptr[ack.data.len - 1])) ack.data.len--;
  (void)on_event(w, &ack);
  o->opened = 1;
}

static void on_done(void *ctx, struct rem_outcome *o) {
  struct rem_watched *w = ctx;
  struct rem_instance *i = w->i;
  int32_t code = o->error.e.code;
  if (o->st == YOI_OK) take_answer(w, o);
  rem_ask_free(w->up);
  w->up = NULL;
  yoi_sdk_metric_sub(&i->metrics, i->metric.upstreams, 1);
  pthread_mutex_lock(&w->mu);
  int is_over = w->phase == REM_OVER;
  int stale = code == YOI_CODE_CURSOR_EXPIRED && w->cursor.len > 0 && !w->follow;
  w->paused = w->slack = 0;
  w->bad = w->malformed ? w->bad + 1 : 0;
  w->malformed = 0;
  if (!is_over) w->phase = REM_LOST;
  if (stale) w->cursor.len = 0;
  pthread_mutex_unlock(&w->mu);
  if (is_over) return;
  if (stale)
    rem_upstream_open(w);
  else if (w->follow && w->acked && !w->turn[0])
    rem_upstream_over(w, "turn_ended", 0, 0, NULL); /* there is none to wait for */
  else if (o->opened || o->again || (w->ever && (o->error.e.flags & YOI_ERROR_RETRYABLE))) {
    if (o->opened)
      (void)yoi_sdk_fail(&o->error.e,
                         w->bad ? YOI_CODE_REMOTE_MALFORMED : YOI_CODE_RUNTIME_UNAVAILABLE,
                         w->bad ? "the remote's stream has what is no event"
                                : "the remote's stream was lost");
    if (w->bad > i->config.retries || !later(w)) over_error(w, &o->error.e);
  } else if (code == YOI_CODE_WORKER_NOT_FOUND && w->ever)
    rem_upstream_over(w, "worker_deleted", code, 0, &o->error.e);
  else
    over_error(w, &o->error.e);
}

static const struct rem_ask_handler handler = {
    .open = on_open, .event = on_event, .done = on_done};

void rem_upstream_open(struct rem_watched *w) {
  struct rem_instance *i = w->i;
  struct rem_outcome o = {.st = YOI_OK};
  struct yoi_sdk_buf body;
  struct yoi_sdk_jsonw j;
  yoi_request req = w->asked;
  if (w->up || w->timer) return;
  yoi_sdk_buf_init(&body, YOI_CURSOR_MAX + 32);
  pthread_mutex_lock(&w->mu);
  w->phase = REM_OPENING;
  w->wanted = 0;
  for (struct rem_watcher *x = w->watchers; x && w->n_joining > 0; x = x->next)
    if (x->state == REM_JOINING) {
      rem_reader_anew(x);
      rem_watched_todo(w, x);
    }
  if (!w->follow || w->acked) {
    req.op = YOI_OP_WORKER_EVENTS;
    req.flags &= YOI_REQ_WORKSPACE;
    req.deadline_ns = 0;
    if (w->cursor.len) {
      yoi_sdk_jsonw_init(&j, &body);
      yoi_sdk_jsonw_open(&j, '{');
      yoi_sdk_jsonw_kstr(&j, "cursor", rem_cursor_str(&w->cursor));
      yoi_sdk_jsonw_close(&j, '}');
    }
    req.body = yoi_sdk_buf_str(&body);
  }
  pthread_mutex_unlock(&w->mu);
  yoi_sdk_metric_add(&i->metrics, i->metric.upstreams, 1);
  o.st = rem_ask_new(i, &req, REM_STREAM, 0, &handler, w, &w->up, yoi_sdk_error_init(&o.error));
  if (o.st == YOI_OK)
    rem_ask_send(w->up);
  else
    on_done(w, &o);
  yoi_sdk_buf_release(&body);
}
