/* reader.c - what a watcher reads on its own, and where it joins the others.
 *
 * A cursor is the remote's own text and says nothing here, so that all that is
 * known of two is whether they are the same. A watcher whose cursor is one of the
 * buffer's goes on there and asks for nothing: so do all who come back after their
 * own line was cut. One that is not where the buffer is reads bounded batches from
 * its cursor, until one ends at the head of the history, X; then it goes on behind
 * the frame of the buffer with X:
 *
 *   X is in the buffer           LIVE, behind it
 *   nobody watches               the upstream begins at X: LIVE; not when it is
 *                                wanted already, for a snapshot or by another
 *   X is the upstream's cursor   LIVE, at the end
 *   X is still to come           JOINING, until the upstream brings it
 *   X may have been and gone     it reads on, from X
 *
 * Still to come or gone: let `asked_at` be the end of the buffer when the batch
 * was asked for. The batch ends at or behind all that the buffer had seen then.
 * So when X is none of the frames from asked_at - 1 on, and those are all still
 * there, X comes later. An upstream that begins anew may step over X (a resume
 * leaves out the deltas of messages that are finished): then all who wait read
 * again.
 *
 *  1. One read at a time, and only when what was read before was given.
 *  2. A batch that the remote ends early is as good as none when it has no events:
 *     it is asked for again as long as a lost stream is, or passes its code on.
 *  3. A cursor that has expired is its owner's to know, when it is the one that
 *     the owner came with; for one that was good before, a snapshot follows.
 */
#include "remote.h"

#include <sdk/mem.h>

#define JOIN_MS 1000 /* until one that waits for its place reads again */

static void watcher_again(void *ctx) {
  struct rem_watcher *x = ctx;
  x->timer = 0;
  pthread_mutex_lock(&x->w->mu);
  rem_reader_anew(x);
  pthread_mutex_unlock(&x->w->mu);
  rem_reader_step(x);
}

/* Locked. It has not joined yet: it reads on. */
void rem_reader_anew(struct rem_watcher *x) {
  if (x->state != REM_JOINING) return;
  x->state = REM_READING;
  x->w->n_joining--;
}

static void wake(struct rem_watcher *x) {
  const yoi_host *host = x->w->i->host;
  pthread_mutex_lock(&x->w->mu);
  int armed = x->armed;
  uint64_t token = x->token;
  x->armed = 0;
  pthread_mutex_unlock(&x->w->mu);
  if (armed) host->wake(host, token);
}

void rem_reader_free(struct rem_watcher *x) {
  struct rem_instance *i = x->w->i;
  if (x->timer && !atomic_load(&i->closing)) i->loop->timer_cancel(i->host, x->timer);
  x->timer = 0;
  rem_ask_free(x->read);
  x->read = NULL;
}

/* ---- joining ----------------------------------------------------------------- */

int rem_reader_find(const struct rem_watched *w, yoi_str cursor, uint64_t *out_at) {
  for (uint64_t at = w->end; at > w->base; at--) {
    const struct rem_frame *f = w->ring[(at - 1) & (w->cap - 1)];
    if (f->ev.cursor.len == 0 || !yoi_sdk_str_eq(f->ev.cursor, cursor)) continue;
    *out_at = at;
    return 1;
  }
  return 0;
}

/* Locked. It has all up to there: the upstream may have waited for one who does. */
static void live_at(struct rem_watcher *x, uint64_t at) {
  x->state = REM_LIVE;
  x->at = at;
  rem_watched_advance(x->w, at);
}

/* Locked. Behind the last that it read; 0: it must read on. */
static int join(struct rem_watcher *x) {
  struct rem_watched *w = x->w;
  yoi_str cursor = rem_cursor_str(&x->cursor);
  for (uint32_t n = x->n_got; n > 0; n--)
    if (x->got[n - 1]->ev.cursor.len) {
      cursor = x->got[n - 1]->ev.cursor;
      break;
    }
  uint64_t at = w->end;
  if (cursor.len == 0) return 0;
  if (w->phase == REM_CLOSED && !w->wanted) {
    rem_cursor_set(&w->cursor, cursor);
    w->wanted = 1;
  }
  if (yoi_sdk_str_eq(cursor, rem_cursor_str(&w->cursor)) || rem_reader_find(w, cursor, &at)) {
    live_at(x, at);
    return 1;
  }
  if (w->base >= x->asked_at && x->asked_at > 0) return 0;
  rem_cursor_set(&x->join, cursor);
  x->state = REM_JOINING;
  w->n_joining++;
  w->slack = w->paused; /* it brings X only when it is read */
  return 1;
}

/* ---- an answer ---------------------------------------------------------------- */

/* One event of a batch. NULL: memory, or it is none. */
static struct rem_frame *frame_of(yoi_str raw, struct yoi_sdk_buf *scratch) {
  yoi_str id = yoi_sdk_json_raw_get(raw, "id"), name = yoi_sdk_json_raw_get(raw, "event");
  yoi_str data = yoi_sdk_json_raw_get(raw, "data");
  yoi_sdk_buf_clear(scratch);
  if (name.len < 2 || (id.len > 0 && !yoi_sdk_json_raw_unescape(id, scratch))) return NULL;
  uint32_t kind = rem_frame_kind((yoi_str){name.ptr + 1, name.len - 2});
  if (kind == YOI_EVENT_END || kind == YOI_EVENT_ACK) kind = 0; /* not in a batch */
  if (kind == 0) data.len = 0;
  if (scratch->failed || !rem_frame_fits(kind, yoi_sdk_buf_str(scratch), data)) return NULL;
  return rem_frame_new(kind, yoi_sdk_buf_str(scratch), data);
}

/* 0: it is no batch, or memory is short. */
static int read_batch(struct rem_watcher *x, yoi_str text) {
  yoi_str list = yoi_sdk_json_raw_get(text, "events"), raw;
  struct yoi_sdk_buf scratch;
  size_t at = 0;
  int fine = 1;
  struct rem_frame **got = yoi_sdk_calloc(YOI_HTTP_BATCH_MAX, sizeof *got);
  uint32_t n = 0;
  if (!got) return 0;
  yoi_sdk_buf_init(&scratch, YOI_CURSOR_MAX);
  while (fine && n < YOI_HTTP_BATCH_MAX && yoi_sdk_json_raw_each(list, &at, &raw)) {
    got[n] = frame_of(raw, &scratch);
    fine = got[n] != NULL;
    n += fine != 0;
  }
  yoi_sdk_buf_release(&scratch);
  x->got = got;
  x->n_got = n;
  if (n > 0 && fine) return 1;
  for (uint32_t k = 0; k < n; k++) rem_frame_unref(got[k]);
  yoi_sdk_free(got);
  x->got = NULL;
  x->n_got = 0;
  return fine;
}

/* How a batch ended, when the stream did. 1: for good. */
static int ended(struct rem_watcher *x, yoi_str text) {
  yoi_str end = yoi_sdk_json_raw_get(text, "end");
  if (end.len == 0 || end.ptr[0] != '{') return 0;
  if (!yoi_sdk_str_is(yoi_sdk_json_raw_get(end, "reason"), "\"worker_deleted\"")) return 0;
  rem_watcher_end(x, "worker_deleted", YOI_CODE_WORKER_NOT_FOUND, 0, NULL);
  return 1;
}

/* A remote that never brings X is asked again. */
static void wait_to_join(struct rem_watcher *x) {
  struct rem_instance *i = x->w->i;
  uint64_t at = rem_now(i) + JOIN_MS * (uint64_t)REM_NS_PER_MS;
  if (!x->timer) (void)i->loop->timer(i->host, at, watcher_again, x, &x->timer);
}

/* Later, as long as it may; 0: it may not any more. */
static int later(struct rem_watcher *x) {
  struct rem_instance *i = x->w->i;
  uint64_t now = rem_now(i);
  if (x->lost_ns == 0) x->lost_ns = now;
  if (now - x->lost_ns >= (uint64_t)i->config.resume_ms * REM_NS_PER_MS) return 0;
  return i->loop->timer(i->host, now + rem_backoff_ns(x->attempt++), watcher_again, x,
                        &x->timer) == YOI_OK;
}

/* Locked. 1: to be read again at once. */
static int failed(struct rem_watcher *x, const struct rem_outcome *o) {
  int32_t code = o->error.e.code;
  if (x->given && code == YOI_CODE_CURSOR_EXPIRED && x->cursor.len) {
    x->cursor.len = 0;
    return 1;
  }
  int passes = o->again || (o->error.e.flags & YOI_ERROR_RETRYABLE);
  if (x->given && passes && later(x)) return 0;
  if (code == YOI_CODE_WORKER_NOT_FOUND)
    rem_watcher_end(x, "worker_deleted", code, 0, &o->error.e);
  else
    rem_watcher_end(x, "error", code, (o->error.e.flags & YOI_ERROR_RETRYABLE) != 0, &o->error.e);
  return 0;
}

/* Locked. 1: to be read again at once. */
static int took(struct rem_watcher *x, const struct rem_outcome *o, int full) {
  struct rem_watched *w = x->w;
  yoi_str end = yoi_sdk_json_raw_get(o->text, "end");
  int cut = end.len > 0 && end.ptr[0] == '{', none = x->n_got == 0;
  if (!cut || !none) { /* it gets on */
    x->lost_ns = 0;
    x->attempt = 0;
  }
  if (ended(x, o->text)) return 0;
  if (cut && (x->once || (none && !rem_end_retryable(end)))) {
    rem_watcher_end(x, "error", rem_end_code(end), rem_end_retryable(end), NULL);
    return 0;
  }
  if (cut) {
    /* Not for good: it goes on where it stands, later when there was nothing. */
    if (none && !later(x)) rem_watcher_end(x, "error", YOI_CODE_RUNTIME_UNAVAILABLE, 1, NULL);
    return 0;
  }
  if (x->once && !full) {
    rem_watcher_end(x, "caught_up", 0, 1, NULL);
    return 0;
  }
  uint64_t at = 0;
  if (!x->once && w->phase == REM_OVER) {
    rem_watcher_end(x, w->reason, w->code, w->retryable, w->why ? &w->why->e : NULL);
    return 0;
  }
  if (full) {
    yoi_str last = x->got[x->n_got - 1]->ev.cursor;
    if (!x->once && last.len && rem_reader_find(w, last, &at)) live_at(x, at);
    return 0;
  }
  if (join(x)) {
    if (x->state == REM_JOINING) wait_to_join(x);
    return 0;
  }
  x->state = REM_READING;
  return x->n_got == 0;
}

static void on_done(void *ctx, struct rem_outcome *o) {
  struct rem_watcher *x = ctx;
  struct rem_watched *w = x->w;
  int again = 0;
  pthread_mutex_lock(&w->mu);
  int fine = o->st == YOI_OK && read_batch(x, o->text) && (x->n_got > 0 || x->cursor.len > 0);
  if (o->st == YOI_OK && !fine) {
    o->st = yoi_sdk_fail(&o->error.e, YOI_CODE_REMOTE_MALFORMED,
                         "the remote answered with something that is no answer");
    o->again = 1;
  }
  if (fine)
    again = took(x, o, x->n_got == YOI_HTTP_BATCH_MAX ||
                           (x->n_got > 0 && o->text.len > YOI_BODY_BYTES_MAX));
  else
    again = failed(x, o);
  pthread_mutex_unlock(&w->mu);
  rem_ask_free(x->read);
  x->read = NULL;
  if (again) {
    rem_reader_step(x);
    return;
  }
  wake(x);
  rem_watched_kick(w); /* an upstream may be wanted; x and w may be gone then */
}

static const struct rem_ask_handler handler = {.done = on_done};

/* Locked: the body of worker.events. */
static void write_body(const struct rem_watcher *x, struct yoi_sdk_buf *out) {
  struct yoi_sdk_jsonw w;
  if (x->cursor.len == 0) return;
  yoi_sdk_jsonw_init(&w, out);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "cursor", rem_cursor_str(&x->cursor));
  yoi_sdk_jsonw_close(&w, '}');
}

void rem_reader_step(struct rem_watcher *x) {
  struct rem_watched *w = x->w;
  struct rem_outcome o = {.st = YOI_OK};
  struct yoi_sdk_buf body;
  if (x->read || x->timer) return;
  yoi_sdk_buf_init(&body, YOI_CURSOR_MAX + 32);
  pthread_mutex_lock(&w->mu);
  int wanted = x->state == REM_READING && x->n_got == 0 && !x->released && !x->cancelled;
  if (wanted) write_body(x, &body);
  x->asked_at = w->end;
  pthread_mutex_unlock(&w->mu);
  if (wanted) {
    yoi_request req = w->asked;
    req.op = YOI_OP_WORKER_EVENTS;
    req.flags &= YOI_REQ_WORKSPACE;
    req.deadline_ns = x->deadline_ns;
    req.body = yoi_sdk_buf_str(&body);
    o.st = rem_ask_new(w->i, &req, REM_BATCH, w->i->config.retries, &handler, x, &x->read,
                       yoi_sdk_error_init(&o.error));
    if (o.st == YOI_OK)
      rem_ask_send(x->read);
    else
      on_done(x, &o);
  }
  yoi_sdk_buf_release(&body);
}
