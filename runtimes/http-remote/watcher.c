/* watcher.c - one stream on a watched worker, as the ABI has it.
 *
 *            no cursor, and nobody watches yet; or one that the buffer has
 *   (start) ----------------------------------> LIVE <------- joined ------+
 *      |                                         |  fell out of the buffer |
 *      | a cursor, or others watch               v                         |
 *      +-------------------------------------> READING --ahead--> JOINING -+
 *                                                |  ^  (reader.c)    |
 *            over, or its own end                |  +--- moved ------+
 *   any of these -----------------> ENDING --> `end`, or the error; then END
 *
 * Invariants:
 *  1. What it reads on its own (`got`) is given before anything of the buffer.
 *  2. `cursor` is behind what was given; what was taken in but not given yet
 *     does not count.
 *  3. A watcher that was given nothing ends with the error itself, any other
 *     with `end`, which says the code and where to go on.
 *  4. Armed by AGAIN, disarmed by its wake.
 *  5. Only its own consumer touches `batch`; it lives until the next next.
 *  6. While it is READING, a read or a timer of its own is on its way, or `got` is
 *     not empty; whoever takes the last of that lets it read on.
 */
#include "remote.h"

#include <sdk/mem.h>

static void drop_batch(struct rem_watcher *x) {
  for (uint32_t n = 0; n < x->n_batch; n++) rem_frame_unref(x->batch[n]);
  x->n_batch = 0;
}

/* Locked: takes over the reference. */
static void hand(struct rem_watcher *x, struct rem_frame *f) {
  if (f->ev.cursor.len) rem_cursor_set(&x->cursor, f->ev.cursor);
  if (f->ev.kind == 0) { /* nobody here knows what it is */
    rem_frame_unref(f);
    return;
  }
  x->batch[x->n_batch] = f;
  x->events[x->n_batch++] = &f->ev;
  x->given = 1;
}

static void hand_got(struct rem_watcher *x) {
  while (x->at_got < x->n_got && x->n_batch < YOI_EVENT_BATCH_MAX) hand(x, x->got[x->at_got++]);
  if (x->at_got < x->n_got) return;
  yoi_sdk_free(x->got);
  x->got = NULL;
  x->n_got = x->at_got = 0;
}

static void hand_live(struct rem_watcher *x) {
  struct rem_watched *w = x->w;
  while (x->at < w->end && x->n_batch < YOI_EVENT_BATCH_MAX)
    hand(x, rem_frame_ref(w->ring[x->at++ & (w->cap - 1)]));
  rem_watched_advance(w, x->at);
}

void rem_watcher_end(struct rem_watcher *x, const char *reason, int32_t code, int retryable,
                     const yoi_error *why) {
  if (x->state == REM_ENDING) return;
  if (x->state == REM_JOINING) x->w->n_joining--;
  x->state = REM_ENDING;
  if (!x->given && !x->n_got && why) {
    x->why = yoi_sdk_malloc(sizeof *x->why);
    if (x->why) yoi_sdk_error_copy(yoi_sdk_error_init(x->why), why);
    return;
  }
  /* The last that it will have been given. */
  yoi_str cursor = rem_cursor_str(&x->cursor);
  for (uint32_t n = x->n_got; n > x->at_got; n--)
    if (x->got[n - 1]->ev.cursor.len) {
      cursor = x->got[n - 1]->ev.cursor;
      break;
    }
  x->end = rem_frame_end(reason, code, retryable, cursor);
}

/* Its end: the frame, then END; or the error. Without memory for either it is
 * an error too. */
static yoi_status last_words(struct rem_watcher *x, yoi_error *err) {
  if (x->end) {
    hand(x, x->end);
    x->end = NULL;
    x->over = 1;
    return YOI_OK;
  }
  if (x->over) return YOI_END;
  if (!x->why) return yoi_sdk_fail_memory(err);
  yoi_sdk_error_copy(err, &x->why->e);
  return yoi_sdk_code_status(x->why->e.code);
}

/* Locked. OK with an empty batch: nothing is there; *out_kick: the loop has
 * something to do. */
static yoi_status take(struct rem_watcher *x, int *out_kick, yoi_error *err) {
  struct rem_watched *w = x->w;
  if (x->cancelled) {
    yoi_sdk_error_clear(err);
    return YOI_CANCELLED;
  }
  if (x->n_got) {
    hand_got(x);
    if (!x->n_got && x->state == REM_READING) { /* 6 above */
      rem_watched_todo(w, x);
      *out_kick = 1;
    }
    if (x->n_batch) return YOI_OK;
  }
  if (x->state == REM_LIVE && x->at < w->base) {
    x->state = REM_READING; /* it was too slow for the buffer, not for the history */
    rem_watched_todo(w, x);
    *out_kick = 1;
    return YOI_OK;
  }
  if (x->state == REM_LIVE && x->at < w->end) {
    hand_live(x);
    *out_kick |= w->slack;
    if (x->n_batch) return YOI_OK;
  }
  if (x->state == REM_LIVE && w->phase == REM_OVER)
    rem_watcher_end(x, w->reason, w->code, w->retryable, w->why ? &w->why->e : NULL);
  return x->state == REM_ENDING ? last_words(x, err) : YOI_OK;
}

static yoi_status watcher_next(yoi_stream *stream, const yoi_event *const **out_events,
                               size_t *out_n, yoi_error *err) {
  struct rem_watcher *x = (struct rem_watcher *)(void *)stream;
  struct rem_watched *w = x->w;
  int kick = 0;
  drop_batch(x);
  pthread_mutex_lock(&w->mu);
  yoi_status st = take(x, &kick, err);
  if (st == YOI_OK && x->n_batch == 0) {
    x->armed = 1;
    st = YOI_AGAIN;
  }
  pthread_mutex_unlock(&w->mu);
  if (kick) rem_watched_kick(w);
  if (st != YOI_OK) return st;
  *out_events = x->events;
  *out_n = x->n_batch;
  return YOI_OK;
}

static void watcher_cancel(yoi_stream *stream) {
  struct rem_watcher *x = (struct rem_watcher *)(void *)stream;
  struct rem_watched *w = x->w;
  const yoi_host *host = w->i->host;
  pthread_mutex_lock(&w->mu);
  int wake = x->armed && !x->cancelled;
  uint64_t token = x->token;
  x->cancelled = 1;
  if (wake) x->armed = 0;
  pthread_mutex_unlock(&w->mu);
  if (wake) host->wake(host, token);
}

static void watcher_release(yoi_stream *stream) {
  struct rem_watcher *x = (struct rem_watcher *)(void *)stream;
  if (!x) return;
  drop_batch(x);
  rem_watched_leave(x);
}

const yoi_stream_ops rem_watcher_ops = {.size = sizeof rem_watcher_ops,
                                        .next = watcher_next,
                                        .cancel = watcher_cancel,
                                        .release = watcher_release};
