/* plugin.c - dev.yoi.model-script: generates what a script says.
 *
 * One stream walks the steps of one script. It is started, polled and
 * released on one loop, so only `cancelled` is touched by other threads.
 *
 *            start            run: text to give
 *   (none) ---------> TALKING <----------------+      finish: FINISH event
 *                      |   \___________________|  --> LAST ---> DONE (END)
 *          step: wait  |  step: stall             fail, cancel: DONE (error)
 *                      v
 *                   WAITING --on_timer--> TALKING, one wake
 *
 * Invariants:
 *  1. The book outlives its streams and never changes; a stream points into
 *     it, and owns only what it made itself (echo, calls).
 *  2. While WAITING with a timer, that timer is set on the stream's loop and
 *     is cancelled by release, so that on_timer never sees a released stream.
 *  3. A stall sets no timer: only cancel wakes it.
 */
#include <sdk/plugin.h>

#include <sdk/error.h>
#include <sdk/hard.h>
#include <sdk/mem.h>
#include <sdk/take.h>
#include <stdatomic.h>
#include <yoi/host_clock.h>
#include <yoi/host_loop.h>

#include "script.h"

#define BATCH YOI_SDK_HARD(16u, 2u)

struct model {
  const yoi_host *host;
  const yoi_host_loop *loop;
  const yoi_host_clock *clock;
  struct script_book book;
};

enum state { TALKING, WAITING, LAST, DONE };

struct talk {
  yoi_stream head;
  struct model *model;
  const struct script *script;
  uint64_t token, timer;
  enum state state;
  yoi_status final;                 /* in DONE */
  const struct script_step *failed; /* the step that ended it, or NULL */
  size_t step, offset;              /* where in the script, where in its text */
  uint32_t said;                    /* how often the step's text was given whole */
  uint32_t chunk;
  int called; /* it asked for a tool */
  struct script_request request;
  struct yoi_sdk_buf made; /* the text of one event of the batch */
  _Atomic uint32_t cancelled;
  size_t n;
  yoi_event events[BATCH];
  const yoi_event *batch[BATCH];
};

static void give(struct talk *t, uint32_t kind, yoi_str text) {
  t->events[t->n] = (yoi_event){.size = sizeof(yoi_event), .kind = kind, .text = text};
  t->batch[t->n] = &t->events[t->n];
  t->n++;
}

/* Gives the next piece of `text`; 1 when the step is finished. */
static int give_piece(struct talk *t, uint32_t kind, yoi_str text, uint32_t times) {
  yoi_str rest = {text.ptr + t->offset, text.len - t->offset};
  if (rest.len == 0) return 1;
  size_t n = rest.len;
  if (t->chunk > 0 && n > t->chunk) {
    n = yoi_sdk_utf8_cut(rest, t->chunk);
    while (n == 0 || (n < rest.len && ((unsigned char)rest.ptr[n] & 0xc0) == 0x80)) n++;
  }
  give(t, kind, (yoi_str){rest.ptr, n});
  t->offset += n;
  if (t->offset < text.len) return 0;
  t->offset = 0;
  return ++t->said >= times;
}

static void on_timer(void *ctx) {
  struct talk *t = ctx;
  t->timer = 0;
  t->state = TALKING;
  t->model->host->wake(t->model->host, t->token);
}

static void give_finish(struct talk *t, yoi_str reason) {
  yoi_sdk_buf_clear(&t->made);
  yoi_sdk_buf_addf(&t->made, "{\"finish_reason\":\"%.*s\"}", YOI_ARG(reason));
  give(t, YOI_EVENT_MODEL_FINISH, yoi_sdk_buf_str(&t->made));
  t->state = LAST;
}

static void give_call(struct talk *t, const struct script_step *s) {
  struct yoi_sdk_jsonw w;
  char id[64];
  int len = snprintf(id, sizeof id, "call_%zu_%zu", t->request.assistants, t->step);
  yoi_sdk_buf_clear(&t->made);
  yoi_sdk_jsonw_init(&w, &t->made);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "id", s->id.len ? s->id : (yoi_str){id, (size_t)len});
  yoi_sdk_jsonw_kstr(&w, "name", s->name);
  yoi_sdk_jsonw_kstr(&w, "arguments", s->text);
  yoi_sdk_jsonw_close(&w, '}');
  give(t, YOI_EVENT_MODEL_TOOL_CALL, yoi_sdk_buf_str(&t->made));
  t->called = 1;
}

static void fail(struct talk *t, yoi_status st, const struct script_step *step) {
  t->state = DONE;
  t->final = st;
  t->failed = step;
}

static void wait_for(struct talk *t, uint32_t ms) {
  const struct model *m = t->model;
  uint64_t at = m->clock->monotonic_ns(m->host) + (uint64_t)ms * 1000000u;
  t->state = WAITING;
  if (m->loop->timer(m->host, at, on_timer, t, &t->timer) != YOI_OK) fail(t, YOI_INTERNAL, NULL);
}

/* Fills the batch as far as it goes without waiting. Calls and the finish
 * use `made`, so they are the last of their batch. */
static void run(struct talk *t) {
  while (t->state == TALKING && t->n < BATCH) {
    if (t->step == t->script->n) {
      if (t->n > 0) return;
      give_finish(t, t->called ? YOI_LIT("tool_calls") : YOI_LIT("stop"));
      return;
    }
    const struct script_step *s = &t->script->steps[t->step];
    int done = 1;
    switch (s->verb) {
      case SCRIPT_SAY:
        done = give_piece(t, YOI_EVENT_MODEL_TEXT, s->text, s->n);
        break;
      case SCRIPT_REASON:
        done = give_piece(t, YOI_EVENT_MODEL_REASONING, s->text, 1);
        break;
      case SCRIPT_ECHO:
        done = give_piece(t, YOI_EVENT_MODEL_TEXT, yoi_sdk_buf_str(&t->request.user), 1);
        break;
      case SCRIPT_CHUNK:
        t->chunk = s->n;
        break;
      case SCRIPT_WAIT:
        if (t->n > 0) return;
        wait_for(t, s->n);
        break;
      case SCRIPT_CALL:
        if (t->n > 0) return;
        give_call(t, s);
        t->step++;
        return;
      case SCRIPT_USAGE:
        give(t, YOI_EVENT_MODEL_USAGE, s->text);
        break;
      case SCRIPT_FINISH:
        if (t->n > 0) return;
        give_finish(t, s->text);
        return;
      case SCRIPT_FAIL:
        if (t->n > 0) return;
        fail(t, YOI_UNAVAILABLE, s);
        return;
      case SCRIPT_STALL:
        if (t->n == 0) t->state = WAITING;
        return;
    }
    if (done) {
      t->step++;
      t->offset = 0;
      t->said = 0;
    }
  }
}

static yoi_status answer_final(const struct talk *t, yoi_error *err) {
  if (t->final == YOI_END) return YOI_END;
  yoi_sdk_error_clear(err);
  if (t->final == YOI_CANCELLED) return YOI_CANCELLED;
  if (t->final == YOI_RESOURCE_EXHAUSTED) return yoi_sdk_fail_memory(err);
  if (!t->failed) return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot set a timer");
  (void)yoi_sdk_fail(err, YOI_CODE_MODEL_ERROR, "the script fails here: '%.*s'",
                     YOI_ARG(t->failed->text));
  char details[128];
  int len = snprintf(details, sizeof details, "{\"kind\":\"%.*s\",\"retryable\":%s}",
                     YOI_ARG(t->failed->text), t->failed->n ? "true" : "false");
  yoi_sdk_fail_details(err, (yoi_str){details, (size_t)len});
  if (err && t->failed->n) err->flags |= YOI_ERROR_RETRYABLE;
  return t->final;
}

static yoi_status talk_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                            yoi_error *err) {
  struct talk *t = (struct talk *)s;
  t->n = 0;
  if (t->state != DONE && atomic_load(&t->cancelled)) fail(t, YOI_CANCELLED, NULL);
  if (t->state == LAST) {
    t->state = DONE;
    t->final = YOI_END;
  }
  run(t);
  if (t->made.failed) {
    t->n = 0;
    fail(t, YOI_RESOURCE_EXHAUSTED, NULL);
  }
  if (t->n > 0) {
    *out_events = t->batch;
    *out_n = t->n;
    return YOI_OK;
  }
  return t->state == DONE ? answer_final(t, err) : YOI_AGAIN;
}

static void talk_cancel(yoi_stream *s) {
  struct talk *t = (struct talk *)s;
  if (!atomic_exchange(&t->cancelled, 1)) t->model->host->wake(t->model->host, t->token);
}

static void talk_release(yoi_stream *s) {
  if (!s) return;
  struct talk *t = (struct talk *)s;
  if (t->timer) t->model->loop->timer_cancel(t->model->host, t->timer);
  yoi_sdk_buf_release(&t->request.user);
  yoi_sdk_buf_release(&t->made);
  yoi_sdk_free(t);
}

static const yoi_stream_ops talk_ops = {
    .size = sizeof(yoi_stream_ops),
    .next = talk_next,
    .cancel = talk_cancel,
    .release = talk_release,
};

static yoi_status model_start(void *self, const yoi_model_request *req, yoi_stream **out,
                              yoi_error *err) {
  struct model *m = self;
  yoi_model_request whole;
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, req, "the request", err);
  if (st != YOI_OK) return st;
  struct talk *t = yoi_sdk_calloc(1, sizeof *t);
  if (!t) return yoi_sdk_fail_memory(err);
  t->head.ops = &talk_ops;
  t->model = m;
  t->token = whole.token;
  t->chunk = m->book.chunk;
  yoi_sdk_buf_init(&t->made, YOI_JSON_BYTES_MAX);
  st = script_request_init(&t->request, &whole, err);
  if (st != YOI_OK) {
    yoi_sdk_free(t);
    return st;
  }
  t->script = script_choose(&m->book, &t->request);
  *out = &t->head;
  return YOI_OK;
}

static void model_close(void *self) {
  struct model *m = self;
  if (!m) return;
  script_book_release(&m->book);
  yoi_sdk_free(m);
}

static yoi_status model_open(const yoi_host *host, yoi_str config, void **out_self,
                             yoi_error *err) {
  struct model *m = yoi_sdk_calloc(1, sizeof *m);
  if (!m) return yoi_sdk_fail_memory(err);
  m->host = host;
  m->loop = yoi_sdk_host_get(host, YOI_HOST_LOOP_ID, sizeof *m->loop);
  m->clock = yoi_sdk_host_get(host, YOI_HOST_CLOCK_ID, sizeof *m->clock);
  yoi_status st = YOI_OK;
  if (!m->loop || !m->clock)
    st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host has no loop or no clock");
  if (st == YOI_OK) st = script_book_init(&m->book, config, err);
  if (st != YOI_OK) {
    yoi_sdk_free(m);
    return st;
  }
  *out_self = m;
  return YOI_OK;
}

static const yoi_model model_table = {
    .size = sizeof(yoi_model),
    .thread_model = YOI_PARALLEL,
    .open = model_open,
    .close = model_close,
    .start = model_start,
};

YOI_SDK_PLUGIN("dev.yoi.model-script", "1.0.0", YOI_KIND_MODEL, YOI_MODEL_ID, model_table);
YOI_MANIFEST_FILE(MANIFEST);
