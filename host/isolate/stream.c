/* host/isolate/stream.c - a call in a worker, and the host's stream over it.
 *
 *            START              final          released
 *   (none) --------> RUNNING ----------> OVER ----------> freed
 *                       | released: RELEASE is sent          ^
 *                       +--> ABANDONED ----------------------+
 *                                       final, or the grace is over
 *
 * Invariants:
 *  1. start sends and returns; next looks at what has come. Neither waits.
 *  2. A call has its place, and its id is not used again, until the worker said
 *     its last word about it or is gone.
 *  3. Unread events of a call are fewer than YOI_ISOLATED_WINDOW when the worker
 *     may send more; a batch that comes in spite of that is a breach.
 *  4. At its deadline a call is cancelled, YOI_CANCEL_GRACE_MS later its holder is
 *     answered and the worker is ended, which breaks nobody's promise but its
 *     own. So it goes with one that was cancelled or released.
 *  5. `final` is set once; what comes behind it is a breach.
 *  6. A send may fail and so end the worker, with which all calls that are released
 *     are freed. Who holds a call that is not may go on with it after a send.
 */
#include <stdlib.h>
#include <string.h>

#include <sdk/mem.h>

#include "../clock.h"
#include "isolate.h"
#include "wire.h"

#define CREDIT_BYTES (YOI_ISOLATED_WINDOW / 4) /* read, before it is told so */

struct yoi__batch_far {
  struct yoi__batch_far *next;
  size_t bytes; /* as the worker counts them: of the message */
  uint32_t n;
  yoi_event *events;
  const yoi_event *at[];
};

static const yoi_stream_ops far_ops;

static void batches_free(struct yoi__batch_far *b) {
  while (b != NULL) {
    struct yoi__batch_far *next = b->next;
    yoi_sdk_free(b);
    b = next;
  }
}

static void far_free(struct yoi__far *f) {
  if (f == NULL) return;
  batches_free(f->first);
  yoi_sdk_free(f->given);
  yoi_sdk_free(f->why);
  yoi_sdk_free(f);
}

static struct yoi__far *far_new(struct yoi__isolate *iso, uint64_t token) {
  struct yoi__far *f = yoi_sdk_calloc(1, sizeof *f);
  if (f == NULL) return NULL;
  f->head.ops = &far_ops;
  f->iso = iso;
  f->token = token;
  f->last = &f->first;
  return f;
}

/* ---- what came ------------------------------------------------------------------ */

/* A copy of n events; NULL with *why NULL: memory is short. */
static struct yoi__batch_far *batch_of(uint32_t kind, yoi_str body, uint32_t n,
                                       struct yoi__reader *in, const char **why) {
  size_t head = sizeof(struct yoi__batch_far) + n * (sizeof(yoi_event) + sizeof(yoi_event *));
  struct yoi__batch_far *b = yoi_sdk_malloc(head + in->left);
  *why = NULL;
  if (b == NULL) return NULL;
  *b = (struct yoi__batch_far){.bytes = body.len, .n = n};
  b->events = (yoi_event *)(void *)&b->at[n];
  char *copy = (char *)&b->events[n];
  memcpy(copy, in->at, in->left);
  struct yoi__reader r = yoi__reader_of((yoi_str){copy, in->left});
  for (uint32_t i = 0; i < n && *why == NULL && !r.bad; i++) {
    yoi__get_event(&r, &b->events[i]);
    b->at[i] = &b->events[i];
    if (!r.bad && !yoi__event_fits(kind, &b->events[i])) *why = "an event of another kind";
  }
  if (*why == NULL && !yoi__reader_done(&r)) *why = "events are not as they should be";
  if (*why == NULL) return b;
  yoi_sdk_free(b);
  return NULL;
}

struct said {
  yoi_status st;
  struct yoi_sdk_error why;
  struct yoi__batch_far *batch;
};

static const char *read_said(const struct yoi__isolate *iso, yoi_str body, struct said *s) {
  struct yoi__reader in = yoi__reader_of(body);
  const char *why = NULL;
  uint32_t n = 0;
  s->batch = NULL;
  yoi__get_events(&in, &s->st, yoi_sdk_error_init(&s->why), &n);
  if (in.bad || (n == 0 && (s->st == YOI_OK || in.left > 0))) return "events without a beginning";
  if (n == 0) return NULL;
  s->batch = batch_of(iso->in->plugin->manifest.kind, body, n, &in, &why);
  if (s->batch == NULL && why == NULL) why = "memory is short";
  return why;
}

static struct yoi__far *find(const struct yoi__isolate *iso, uint64_t id) {
  uint64_t i = id % YOI_ISOLATED_CALLS_MAX;
  if (i >= iso->n_places || iso->places[i].generation != id / YOI_ISOLATED_CALLS_MAX) return NULL;
  return iso->places[i].call;
}

static void add_batch(struct yoi__far *f, struct yoi__batch_far *b) {
  *f->last = b;
  f->last = &b->next;
  f->received += b->bytes;
}

/* Its holder's answer, unless there is one. */
static void end(struct yoi__far *f, yoi_status st, const yoi_error *why) {
  if (f->final != YOI_OK) return;
  f->final = st;
  if (st == YOI_END || why == NULL || f->released) return;
  f->why = yoi_sdk_malloc(sizeof *f->why);
  if (f->why != NULL) yoi_sdk_error_copy(yoi_sdk_error_init(f->why), why);
}

/* Killed: its holder asks of a tool what it did, and nobody knows. */
static int is_lost(const struct yoi__far *f, int killed) {
  return killed && f->iso->in->plugin->manifest.kind == YOI_KIND_TOOL;
}

static void end_timed_out(struct yoi__far *f, int killed) {
  const struct yoi__instance *in = f->iso->in;
  struct yoi_sdk_error e;
  yoi_status st =
      yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_TIMEOUT, "%s '%.*s' did not answer in time",
                   yoi__kind_name(in->plugin->manifest.kind), YOI_ARG(in->name));
  end(f, is_lost(f, killed) ? YOI_UNKNOWN : st, &e.e);
}

static void leave_place(struct yoi__far *f) {
  struct yoi__far_place *p = &f->iso->places[f->id % YOI_ISOLATED_CALLS_MAX];
  p->call = NULL;
  p->generation++;
  f->over = 1;
  f->due_ns = UINT64_MAX;
}

static uint64_t take_wake(struct yoi__far *f) {
  uint64_t token = f->armed && !f->released ? f->token : 0;
  f->armed = 0;
  return token;
}

const char *yoi__far_events(struct yoi__isolate *iso, uint64_t id, yoi_str body,
                            uint64_t *out_wake) {
  struct yoi__far *gone = NULL;
  struct said s;
  const char *why = read_said(iso, body, &s);
  *out_wake = 0;
  if (why == NULL && s.st == YOI_AGAIN) why = "a call that has begun says AGAIN";
  if (why != NULL) {
    batches_free(s.batch);
    return why;
  }
  pthread_mutex_lock(&iso->lock);
  struct yoi__far *f = find(iso, id);
  if (f == NULL) {
    why = "events of no call";
  } else if (s.batch != NULL && f->received - f->credited >= YOI_ISOLATED_WINDOW) {
    why = "more events than it was allowed";
  } else {
    if (s.batch != NULL) {
      add_batch(f, s.batch);
      s.batch = NULL;
    }
    if (f->released || f->final != YOI_OK) {
      batches_free(f->first);
      f->first = NULL;
      f->last = &f->first;
    }
    if (s.st == YOI_CANCELLED && f->timed && !f->cancelled)
      end_timed_out(f, 0);
    else if (s.st != YOI_OK)
      end(f, s.st, &s.why.e);
    if (s.st != YOI_OK) leave_place(f);
    *out_wake = take_wake(f);
    if (f->over && f->released) gone = f;
  }
  pthread_mutex_unlock(&iso->lock);
  batches_free(s.batch);
  far_free(gone);
  return why;
}

/* ---- the clock, and the end of the worker ------------------------------------------ */

uint64_t yoi__far_due(struct yoi__isolate *iso, uint64_t now_ns) {
  uint64_t first = UINT64_MAX;
  for (uint32_t i = 0; i < iso->n_places; i++) {
    struct yoi__far *f = iso->places[i].call;
    if (f == NULL || f->over) continue;
    if (f->due_ns <= now_ns && !f->timed && !f->cancelled && !f->released) {
      f->timed = 1;
      f->due_ns = now_ns + YOI_CANCEL_GRACE_MS * YOI__MS;
      yoi__isolate_say(iso, YOI__MSG_CANCEL, f->id, (yoi_str){0}, -1);
    } else if (f->due_ns <= now_ns) {
      if (f->cancelled && !is_lost(f, 1))
        end(f, YOI_CANCELLED, NULL);
      else
        end_timed_out(f, 1);
      yoi__isolate_fail(iso, "a call did not end in time");
    }
    if (iso->dead) return UINT64_MAX;
    if (f->due_ns < first) first = f->due_ns;
  }
  return first;
}

void yoi__far_fail_all(struct yoi__isolate *iso) {
  struct yoi_sdk_error e;
  yoi_status st = yoi__isolate_lost(iso, yoi_sdk_error_init(&e));
  for (uint32_t i = 0; i < iso->n_places; i++) {
    struct yoi__far *f = iso->places[i].call;
    if (f == NULL || f->over) continue;
    if (f->cancelled && !is_lost(f, 1)) /* it was over for its holder */
      end(f, YOI_CANCELLED, NULL);
    else
      end(f, st, &e.e);
    leave_place(f);
    /* What is armed still owes a wake: it stands in the list until it is woken. */
    if (f->released)
      far_free(f);
    else if (f->armed)
      iso->places[i].call = f;
  }
}

void yoi__isolate_told(struct yoi__isolate *iso) {
  for (;;) {
    uint64_t token = 0;
    pthread_mutex_lock(&iso->lock);
    for (uint32_t i = 0; i < iso->n_places && token == 0; i++) {
      struct yoi__far *f = iso->places[i].call;
      if (f == NULL || !f->over) continue;
      iso->places[i].call = NULL;
      token = take_wake(f);
    }
    pthread_mutex_unlock(&iso->lock);
    if (token == 0) return;
    yoi__token_wake(iso->in->top->tokens, token);
  }
}

/* ---- the holder's stream -------------------------------------------------------------- */

/* What was read is given back in large pieces, or when the worker may be stuck
 * without it. */
static void give_credit(struct yoi__far *f, size_t bytes) {
  f->read += bytes;
  uint64_t owed = f->read - f->credited;
  if (f->over || owed < CREDIT_BYTES) return;
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, sizeof owed);
  yoi__put_u64(&b, owed);
  f->credited = f->read;
  if (b.failed == 0) yoi__isolate_say(f->iso, YOI__MSG_CREDIT, f->id, yoi_sdk_buf_str(&b), -1);
  yoi_sdk_buf_release(&b);
}

static yoi_status far_next(yoi_stream *stream, const yoi_event *const **out_events, size_t *out_n,
                           yoi_error *err) {
  struct yoi__far *f = (struct yoi__far *)stream;
  yoi_status st = YOI_OK;
  pthread_mutex_lock(&f->iso->lock);
  struct yoi__batch_far *old = f->given;
  f->given = f->first;
  if (f->first != NULL) {
    f->first = f->first->next;
    if (f->first == NULL) f->last = &f->first;
    f->given->next = NULL;
    *out_events = f->given->at;
    *out_n = f->given->n;
    give_credit(f, f->given->bytes);
  } else if (f->final != YOI_OK) {
    st = f->final;
    if (f->why != NULL) yoi_sdk_error_copy(err, &f->why->e);
  } else {
    f->armed = 1;
    st = YOI_AGAIN;
  }
  int dead = f->iso->dead;
  pthread_mutex_unlock(&f->iso->lock);
  batches_free(old);
  if (dead) yoi__isolate_told(f->iso);
  return st;
}

static void ask_to_end(struct yoi__far *f, uint32_t kind) {
  uint64_t at = yoi__now_ns() + YOI_CANCEL_GRACE_MS * YOI__MS;
  yoi__isolate_say(f->iso, kind, f->id, (yoi_str){0}, -1);
  if (f->iso->dead || f->over || f->due_ns <= at) return;
  f->due_ns = at;
  yoi__isolate_tend(f->iso);
}

static void far_cancel(yoi_stream *stream) {
  struct yoi__far *f = (struct yoi__far *)stream;
  struct yoi__isolate *iso = f->iso;
  pthread_mutex_lock(&iso->lock);
  if (!f->cancelled && !f->over) {
    f->cancelled = 1;
    ask_to_end(f, YOI__MSG_CANCEL);
  }
  int dead = iso->dead;
  pthread_mutex_unlock(&iso->lock);
  if (dead) yoi__isolate_told(iso);
}

static void far_release(yoi_stream *stream) {
  struct yoi__far *f = (struct yoi__far *)stream;
  if (f == NULL) return;
  struct yoi__isolate *iso = f->iso;
  pthread_mutex_lock(&iso->lock);
  if (!f->over) ask_to_end(f, YOI__MSG_RELEASE);
  f->released = 1; /* from here on it is freed by who ends it: no send may follow */
  int over = f->over, dead = iso->dead;
  if (over && f->id != 0) { /* it may stand there to be woken */
    struct yoi__far_place *p = &iso->places[f->id % YOI_ISOLATED_CALLS_MAX];
    if (p->call == f) p->call = NULL;
  }
  pthread_mutex_unlock(&iso->lock);
  if (over) far_free(f);
  if (dead) yoi__isolate_told(iso);
}

static const yoi_stream_ops far_ops = {sizeof far_ops, 0, far_next, far_cancel, far_release};

/* ---- starting ---------------------------------------------------------------------------- */

static yoi_status too_many(const struct yoi__isolate *iso, yoi_error *err) {
  return yoi_sdk_fail(err, YOI_CODE_LIMIT_REACHED, "more than %d calls of plugin '%.*s'",
                      YOI_ISOLATED_CALLS_MAX, YOI_ARG(iso->in->plugin->manifest.id));
}

/* With the lock held. */
static int take_place(struct yoi__far *f) {
  struct yoi__isolate *iso = f->iso;
  uint32_t i = 0;
  while (i < iso->n_places && iso->places[i].call != NULL) i++;
  if (i == YOI_ISOLATED_CALLS_MAX) return 0;
  if (i == iso->n_places) iso->n_places = i + 1;
  if (iso->places[i].generation == 0) iso->places[i].generation = 1;
  iso->places[i].call = f;
  f->id = iso->places[i].generation * YOI_ISOLATED_CALLS_MAX + i;
  return 1;
}

static void send_start(struct yoi__far *f, yoi_str request, uint64_t deadline_ns) {
  uint64_t at = deadline_ns != 0 ? deadline_ns : yoi__now_ns() + YOI_DEADLINE_MS_MAX * YOI__MS;
  struct yoi__isolate *iso = f->iso;
  f->due_ns = at;
  yoi__isolate_say(iso, YOI__MSG_START, f->id, request, -1);
  if (!iso->dead && (iso->armed_ns == 0 || iso->armed_ns > at)) yoi__isolate_tend(iso);
}

yoi_status yoi__far_start(struct yoi__isolate *iso, yoi_str request, uint64_t token,
                          uint64_t deadline_ns, yoi_stream **out, yoi_error *err) {
  yoi_status st = YOI_OK;
  if (request.len > YOI_ISOLATED_MESSAGE_BYTES)
    return yoi_sdk_fail(err, YOI_CODE_PAYLOAD_TOO_LARGE,
                        "a request of more than %d bytes cannot be passed to its process",
                        YOI_ISOLATED_MESSAGE_BYTES);
  struct yoi__far *f = far_new(iso, token);
  if (f == NULL) return yoi_sdk_fail_memory(err);
  pthread_mutex_lock(&iso->lock);
  if (!yoi__isolate_ready(iso))
    st = yoi__isolate_down(iso, err);
  else if (!take_place(f))
    st = too_many(iso, err);
  else
    send_start(f, request, deadline_ns);
  int dead = iso->dead;
  pthread_mutex_unlock(&iso->lock);
  if (dead) yoi__isolate_told(iso);
  if (st == YOI_OK)
    *out = &f->head;
  else
    far_free(f);
  return st;
}

/* ---- decisions ------------------------------------------------------------------------------ */

static yoi_status take_decision(void *ctx, yoi_str body) {
  struct yoi__far *f = ctx;
  struct said s;
  const char *why = read_said(f->iso, body, &s);
  if (why != NULL) {
    batches_free(s.batch);
    pthread_mutex_lock(&f->iso->lock);
    yoi__isolate_fail(f->iso, why);
    pthread_mutex_unlock(&f->iso->lock);
    return YOI_UNAVAILABLE;
  }
  if (s.batch != NULL) add_batch(f, s.batch);
  /* What it would have said later nobody asks for: next is asked once. */
  f->final = s.st == YOI_OK ? YOI_END : s.st;
  if (s.st > YOI_OK) {
    f->why = yoi_sdk_malloc(sizeof *f->why);
    if (f->why != NULL) yoi_sdk_error_copy(yoi_sdk_error_init(f->why), &s.why.e);
  }
  return YOI_OK;
}

yoi_status yoi__far_decide(struct yoi__isolate *iso, yoi_str request, uint64_t deadline_ns,
                           yoi_stream **out, yoi_error *err) {
  struct yoi__far *f = far_new(iso, 0);
  if (f == NULL) return yoi_sdk_fail_memory(err);
  f->over = 1;
  pthread_mutex_lock(&iso->lock);
  int ready = yoi__isolate_ready(iso);
  pthread_mutex_unlock(&iso->lock);
  yoi_status st = ready ? yoi__isolate_ask(iso, YOI__MSG_START, YOI__MSG_EVENTS, request, -1,
                                           deadline_ns, take_decision, f)
                        : YOI_UNAVAILABLE;
  if (st == YOI_OK) {
    *out = &f->head;
    return st;
  }
  far_free(f);
  pthread_mutex_lock(&iso->lock);
  if (st == YOI_DEADLINE_EXCEEDED)
    st = yoi_sdk_fail(err, YOI_CODE_TIMEOUT, "plugin '%.*s' did not answer in time",
                      YOI_ARG(iso->in->plugin->manifest.id));
  else
    st = yoi__isolate_down(iso, err);
  pthread_mutex_unlock(&iso->lock);
  yoi__isolate_told(iso);
  return st;
}
