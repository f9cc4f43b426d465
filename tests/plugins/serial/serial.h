/* serial.h - a model that blocks, as a library for local inference does: the body
 * of two, which differ in what they say of their cancel. SERIAL_THREADS and
 * SERIAL_NAME are defined by who includes this.
 *
 * It has no mutex around its instance: that the host calls it one call at a
 * time is counted in `inside`, and a second call beside the first ends the
 * process. What a generation does is said by the last message:
 *
 *   hang           next never comes back
 *   hang start     start never comes back
 *   block MS       next takes so long, then answers; cancel ends it
 *   slow N MS      N pieces, each after so long
 *   hold           a piece at once, and none behind it until cancel ends it
 *   asks MS        works until it is cancelled and so long beyond that, then
 *                  asks the host something
 *   fail           start fails
 *   endless        pieces of 4 KiB for ever, whatever cancel says
 *   anything else  is repeated
 *
 * A call that hangs is outside of the count, since it will be written off.
 */
#ifndef SERIAL_SERIAL_H
#define SERIAL_SERIAL_H

#include <pthread.h>
#include <sdk/error.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <yoi/host_log.h>
#include <yoi/host_secret.h>
#include <yoi/model.h>

#define SERIAL_HOLD_MS 600000

struct serial {
  const yoi_host *host;
  const yoi_host_log *log;
  const yoi_host_secret *secret;
  _Atomic int inside;
};

struct talk {
  yoi_stream head;
  struct serial *model;
  struct yoi_sdk_buf order;
  unsigned long pieces, ms;
  unsigned long asks_ms;
  int hang, hold, endless, asks, finished;
  unsigned long said;
  pthread_mutex_t lock; /* cancel runs beside next */
  pthread_cond_t news;
  int cancelled;
  char text[4096];
  yoi_event event;
  const yoi_event *events[1];
};

static void enter(struct serial *m) {
  if (atomic_fetch_add(&m->inside, 1) != 0) abort();
}

static void leave(struct serial *m) {
  atomic_fetch_sub(&m->inside, 1);
}

static void hang(struct serial *m) {
  leave(m);
  m->log->write(m->host, YOI_LOG_INFO, YOI_LIT("hanging"), (yoi_str){NULL, 0}, NULL, 0);
  for (;;) pause();
}

/* 0: it was cancelled. */
static int wait_ms(struct talk *t, unsigned long ms) {
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += (time_t)(ms / 1000);
  until.tv_nsec += (long)(ms % 1000) * 1000000;
  if (until.tv_nsec >= 1000000000) {
    until.tv_nsec -= 1000000000;
    until.tv_sec++;
  }
  pthread_mutex_lock(&t->lock);
  int over = 0;
  while (!t->cancelled && !over) over = pthread_cond_timedwait(&t->news, &t->lock, &until) != 0;
  int cancelled = t->cancelled;
  pthread_mutex_unlock(&t->lock);
  return !cancelled;
}

static yoi_status give(struct talk *t, uint32_t kind, yoi_str text,
                       const yoi_event *const **out_events, size_t *out_n) {
  t->event = (yoi_event){.size = sizeof t->event, .kind = kind, .text = text};
  t->events[0] = &t->event;
  *out_events = t->events;
  *out_n = 1;
  return YOI_OK;
}

static yoi_status say(struct talk *t, const yoi_event *const **out_events, size_t *out_n) {
  if (t->endless) {
    memset(t->text, 'e', sizeof t->text);
    return give(t, YOI_EVENT_MODEL_TEXT, (yoi_str){t->text, sizeof t->text}, out_events, out_n);
  }
  if (t->asks) {
    const struct timespec work = {(time_t)(t->asks_ms / 1000), (long)(t->asks_ms % 1000) * 1000000};
    (void)wait_ms(t, SERIAL_HOLD_MS);
    (void)nanosleep(&work, NULL);
    (void)t->model->secret->generation(t->model->host, YOI_LIT("none"));
    return YOI_CANCELLED;
  }
  if (t->said < t->pieces) {
    if (t->ms > 0 && (!t->hold || t->said > 0) && !wait_ms(t, t->ms)) return YOI_CANCELLED;
    t->said++;
    return give(t, YOI_EVENT_MODEL_TEXT, yoi_sdk_buf_str(&t->order), out_events, out_n);
  }
  if (t->finished) return YOI_END;
  t->finished = 1;
  return give(t, YOI_EVENT_MODEL_FINISH, YOI_LIT("{\"finish_reason\":\"stop\"}"), out_events,
              out_n);
}

static yoi_status talk_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                            yoi_error *err) {
  struct talk *t = (struct talk *)s;
  enter(t->model);
  if (t->hang) hang(t->model);
  yoi_status st = say(t, out_events, out_n);
  if (st == YOI_CANCELLED) yoi_sdk_error_clear(err);
  leave(t->model);
  return st;
}

static void talk_cancel(yoi_stream *s) {
  struct talk *t = (struct talk *)s;
  if (SERIAL_THREADS == YOI_SERIAL) enter(t->model);
  pthread_mutex_lock(&t->lock);
  t->cancelled = 1;
  pthread_cond_signal(&t->news);
  pthread_mutex_unlock(&t->lock);
  if (SERIAL_THREADS == YOI_SERIAL) leave(t->model);
}

static void talk_free(struct talk *t) {
  yoi_sdk_buf_release(&t->order);
  pthread_cond_destroy(&t->news);
  pthread_mutex_destroy(&t->lock);
  yoi_sdk_free(t);
}

static void talk_release(yoi_stream *s) {
  struct talk *t = (struct talk *)s;
  if (!t) return;
  struct serial *m = t->model;
  enter(m);
  talk_free(t);
  leave(m);
}

static const yoi_stream_ops talk_ops = {
    .size = sizeof(yoi_stream_ops),
    .next = talk_next,
    .cancel = talk_cancel,
    .release = talk_release,
};

static struct talk *talk_new(struct serial *m, const yoi_model_request *req) {
  struct talk *t = yoi_sdk_calloc(1, sizeof *t);
  if (!t) return NULL;
  pthread_condattr_t monotonic;
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&t->news, &monotonic);
  pthread_condattr_destroy(&monotonic);
  pthread_mutex_init(&t->lock, NULL);
  t->head.ops = &talk_ops;
  t->model = m;
  t->pieces = 1;
  yoi_sdk_buf_init(&t->order, YOI_MESSAGE_BYTES_MAX);
  yoi_str last = req->n_messages > 0 ? req->messages[req->n_messages - 1] : (yoi_str){NULL, 0};
  (void)yoi_sdk_json_raw_unescape(yoi_sdk_json_raw_get(last, "content"), &t->order);
  yoi_sdk_buf_addc(&t->order, '\0');
  t->order.len--;
  if (!t->order.failed) return t;
  talk_free(t);
  return NULL;
}

static yoi_status begin(struct serial *m, const yoi_model_request *req, yoi_stream **out,
                        yoi_error *err) {
  struct talk *t = talk_new(m, req);
  if (!t) return yoi_sdk_fail_memory(err);
  yoi_str order = yoi_sdk_buf_str(&t->order);
  char *rest = NULL;
  if (yoi_sdk_str_is(order, "fail")) {
    talk_free(t);
    yoi_status st = yoi_sdk_fail(err, YOI_CODE_MODEL_ERROR, "it failed as asked");
    yoi_sdk_fail_details(err, YOI_LIT("{\"kind\":\"quota\",\"retryable\":false}"));
    return st;
  }
  if (yoi_sdk_str_is(order, "hang start")) {
    talk_free(t);
    hang(m);
  }
  t->hang = yoi_sdk_str_is(order, "hang");
  t->endless = yoi_sdk_str_is(order, "endless");
  t->hold = yoi_sdk_str_is(order, "hold");
  if (t->hold) {
    t->pieces = 2;
    t->ms = SERIAL_HOLD_MS;
  }
  t->asks = yoi_sdk_str_starts(order, YOI_LIT("asks "));
  if (t->asks) t->asks_ms = strtoul(t->order.data + 5, NULL, 10);
  if (yoi_sdk_str_starts(order, YOI_LIT("block "))) t->ms = strtoul(t->order.data + 6, NULL, 10);
  if (yoi_sdk_str_starts(order, YOI_LIT("slow "))) {
    t->pieces = strtoul(t->order.data + 5, &rest, 10);
    t->ms = strtoul(rest, NULL, 10);
  }
  *out = &t->head;
  return YOI_OK;
}

static yoi_status serial_start(void *self, const yoi_model_request *req, yoi_stream **out,
                               yoi_error *err) {
  struct serial *m = self;
  enter(m);
  yoi_status st = begin(m, req, out, err);
  leave(m);
  return st;
}

static yoi_status serial_open(const yoi_host *host, yoi_str config, void **out_self,
                              yoi_error *err) {
  struct serial *m = yoi_sdk_calloc(1, sizeof *m);
  (void)config;
  if (!m) return yoi_sdk_fail_memory(err);
  m->host = host;
  m->log = yoi_sdk_host_get(host, YOI_HOST_LOG_ID, sizeof *m->log);
  m->secret = yoi_sdk_host_get(host, YOI_HOST_SECRET_ID, sizeof *m->secret);
  if (m->log == NULL || m->secret == NULL ||
      host->get_interface(host, YOI_LIT("yoi.host.loop/1")) != NULL) {
    yoi_sdk_free(m);
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "no log, no secrets, or loops for a serial plugin");
  }
  *out_self = m;
  return YOI_OK;
}

static void serial_close(void *self) {
  yoi_sdk_free(self);
}

static const yoi_model serial_model = {
    .size = sizeof(yoi_model),
    .thread_model = SERIAL_THREADS,
    .open = serial_open,
    .close = serial_close,
    .start = serial_start,
};

YOI_SDK_PLUGIN(SERIAL_NAME, "1.0.0", YOI_KIND_MODEL, YOI_MODEL_ID, serial_model);
YOI_MANIFEST_FILE(MANIFEST);

#endif
