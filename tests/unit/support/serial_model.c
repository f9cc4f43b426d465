/* serial_model.c - the model of serial_model.h. It counts how many calls of an
 * instance there are at once, with no lock around them.
 */
#include "serial_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sdk/error.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <string.h>
#include <yoi/host_loop.h>

struct serial_model serial = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

struct talk {
  yoi_stream head;
  _Atomic int *inside;
  int mode, step, at_gate, cancelled;
  char text[65536];
  yoi_event event;
  const yoi_event *events[1];
};

static void enter(_Atomic int *inside) {
  if (atomic_fetch_add(inside, 1) != 0) atomic_store(&serial.two, 1);
}

static void leave(_Atomic int *inside) {
  atomic_fetch_sub(inside, 1);
}

static void count(_Atomic int *what) {
  pthread_mutex_lock(&serial.lock);
  serial.thread = pthread_self();
  pthread_mutex_unlock(&serial.lock);
  atomic_fetch_add(what, 1);
}

/* A call at the gate does not count: it may be late. */
static void pass_gate(_Atomic int *inside, struct talk *t) {
  leave(inside);
  pthread_mutex_lock(&serial.lock);
  serial.holding++;
  if (t != NULL) t->at_gate = 1;
  while (!serial.gate && !(t != NULL && t->cancelled && serial.cancel_opens))
    pthread_cond_wait(&serial.moved, &serial.lock);
  if (t != NULL) t->at_gate = 0;
  serial.holding--;
  pthread_mutex_unlock(&serial.lock);
}

static int is_cancelled(struct talk *t) {
  pthread_mutex_lock(&serial.lock);
  int is = t->cancelled;
  pthread_mutex_unlock(&serial.lock);
  return is;
}

static yoi_status give(struct talk *t, uint32_t kind, size_t len,
                       const yoi_event *const **out_events, size_t *out_n) {
  memset(t->text, 'x', sizeof t->text);
  t->event = (yoi_event){.size = sizeof t->event, .kind = kind, .text = {t->text, len}};
  t->events[0] = &t->event;
  *out_events = t->events;
  *out_n = 1;
  return YOI_OK;
}

static yoi_status do_next(struct talk *t, const yoi_event *const **out_events, size_t *out_n,
                          yoi_error *err) {
  count(&serial.nexts);
  if (is_cancelled(t) && t->mode != ENDLESS) return YOI_CANCELLED;
  if (t->mode == FAIL_NEXT) return yoi_sdk_fail(err, YOI_CODE_MODEL_ERROR, "out of words");
  if (t->mode == WAITS && t->step == 0) {
    t->step = 1;
    return YOI_AGAIN;
  }
  if (t->mode == ENDLESS) return give(t, YOI_EVENT_MODEL_TEXT, 4096, out_events, out_n);
  if (t->mode == NOTHING) {
    *out_n = 0;
    return YOI_OK;
  }
  if (t->mode == HUGE_BATCH) {
    static char huge[1]; /* never read: its length alone is too much */
    t->event = (yoi_event){.size = sizeof t->event,
                           .kind = YOI_EVENT_MODEL_TEXT,
                           .text = {huge, YOI_JSON_BYTES_MAX + 1u}};
    t->events[0] = &t->event;
    *out_events = t->events;
    *out_n = 1;
    return YOI_OK;
  }
  if (t->step >= 2) return YOI_END;
  t->step = 2;
  return give(t, YOI_EVENT_MODEL_TEXT, 3, out_events, out_n);
}

static yoi_status talk_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                            yoi_error *err) {
  struct talk *t = (struct talk *)s;
  enter(t->inside);
  if (t->mode == HOLD && t->step == 0) {
    pass_gate(t->inside, t);
    return do_next(t, out_events, out_n, err);
  }
  yoi_status st = do_next(t, out_events, out_n, err);
  leave(t->inside);
  return st;
}

static void talk_cancel(yoi_stream *s) {
  struct talk *t = (struct talk *)s;
  pthread_mutex_lock(&serial.lock);
  serial.cancels++;
  serial.cancel_beside += t->at_gate;
  t->cancelled = 1;
  pthread_cond_broadcast(&serial.moved);
  pthread_mutex_unlock(&serial.lock);
}

static void talk_release(yoi_stream *s) {
  struct talk *t = (struct talk *)s;
  _Atomic int *inside = t->inside;
  enter(inside);
  assert_false(t->at_gate);
  yoi_sdk_free(t);
  leave(inside);
  count(&serial.releases);
}

static const yoi_stream_ops talk_ops = {sizeof talk_ops, 0, talk_next, talk_cancel, talk_release};

static yoi_status model_start(void *self, const yoi_model_request *req, yoi_stream **out,
                              yoi_error *err) {
  _Atomic int *inside = self;
  yoi_status st = YOI_OK;
  enter(inside);
  pthread_mutex_lock(&serial.lock);
  serial.news = req->token;
  pthread_mutex_unlock(&serial.lock);
  count(&serial.starts);
  assert_int_equal(req->n_messages, 1);
  int mode = req->messages[0].ptr[0] - '0';
  if (mode == HOLD_START) {
    pass_gate(inside, NULL);
    enter(inside); /* it is not late in these tests */
  }
  if (mode == START_AGAIN) {
    st = YOI_AGAIN;
  } else if (mode == FAIL_START) {
    st = yoi_sdk_fail(err, YOI_CODE_MODEL_ERROR, "no such weights");
    yoi_sdk_fail_details(err, YOI_LIT("{\"kind\":\"not_found\",\"retryable\":false}"));
    yoi_sdk_fail_private(err, "%s", "/a/path");
  } else {
    struct talk *t = yoi_sdk_calloc(1, sizeof *t);
    t->head.ops = &talk_ops;
    t->inside = inside;
    t->mode = mode;
    *out = &t->head;
  }
  leave(inside);
  return st;
}

static void model_wake(void *self, uint64_t cookie) {
  (void)self;
  (void)cookie;
}

static yoi_status model_open(const yoi_host *host, yoi_str config, void **out_self,
                             yoi_error *err) {
  (void)config;
  (void)err;
  uint64_t token = 0;
  serial.host = host;
  *out_self = &serial.inside[serial.opens++ % 8];
  serial.no_loop = host->get_interface(host, YOI_LIT(YOI_HOST_LOOP_ID)) == NULL;
  serial.no_token = host->token_new(host, 0, &token, NULL) != YOI_OK;
  return YOI_OK;
}

static void model_close(void *self) {
  (void)self;
  serial.closes++;
}

yoi_model serial_table = {.size = sizeof serial_table, /* process-wide: tests set its threads */
                          .thread_model = YOI_SERIAL,
                          .open = model_open,
                          .close = model_close,
                          .start = model_start,
                          .wake = model_wake};
