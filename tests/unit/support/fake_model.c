/* fake_model.c - the models of the fake host: each request takes the next
 * answer that the test has written, and says it event by event.
 *
 * A stream checks what the ABI promises its holder: it is polled and released
 * on the loop that started it (unless the host was closed), never after its
 * release, and cancel comes from anywhere.
 */
#include <assert.h>
#include <sdk/error.h>
#include <sdk/str.h>

#include "fake_host_impl.h"

enum act_kind { ACT_EVENT, ACT_CUT, ACT_GATE, ACT_FAIL, ACT_REFUSE };

struct act {
  enum act_kind kind;
  uint32_t event;
  char *text;
  yoi_status st;
  int32_t code;
};

struct fake_answer {
  struct fake_answer *next;
  struct act *acts;
  size_t n;
};

struct fake_talk {
  yoi_stream head;
  struct fake_host *fh;
  struct fake_talk *next;
  struct fake_answer *answer;
  uint64_t token;
  uint32_t loop;
  size_t at;
  bool gated, cancelled, released;
  bool async; /* its gate opens by itself, after an AGAIN */
  yoi_event events[64];
  const yoi_event *batch[64];
};

static struct act *add(struct fake_answer *a, enum act_kind kind) {
  if ((a->n & (a->n + 1)) == 0) /* 0, 1, 3, 7, ...: to twice as many and one */
    a->acts = fake_grow(a->acts, 2 * a->n + 1, sizeof *a->acts);
  a->acts[a->n] = (struct act){.kind = kind};
  return &a->acts[a->n++];
}

static struct fake_answer *answer_new(void) {
  struct fake_answer *a = fake_grow(NULL, 1, sizeof *a);
  *a = (struct fake_answer){0};
  return a;
}

static void answer_free(struct fake_answer *a) {
  for (size_t i = 0; i < a->n; i++) free(a->acts[i].text);
  free(a->acts);
  free(a);
}

struct fake_answer *fake_model_answer(struct fake_host *fh) {
  struct fake_answer *a = answer_new();
  pthread_mutex_lock(&fh->mu);
  struct fake_answer **tail = &fh->answers;
  while (*tail) tail = &(*tail)->next;
  *tail = a;
  pthread_mutex_unlock(&fh->mu);
  return a;
}

void fake_answer_event(struct fake_answer *a, uint32_t kind, const char *text) {
  struct act *act = add(a, ACT_EVENT);
  act->event = kind;
  act->text = fake_dup(yoi_sdk_str(text));
}

void fake_answer_text(struct fake_answer *a, const char *text) {
  fake_answer_event(a, YOI_EVENT_MODEL_TEXT, text);
}

void fake_answer_call(struct fake_answer *a, const char *id, const char *name,
                      const char *arguments) {
  char text[512];
  int n = snprintf(text, sizeof text, "{\"id\":\"%s\",\"name\":\"%s\",\"arguments\":\"%s\"}", id,
                   name, arguments);
  assert(n > 0 && (size_t)n < sizeof text);
  fake_answer_event(a, YOI_EVENT_MODEL_TOOL_CALL, text);
}

void fake_answer_finish(struct fake_answer *a, const char *reason) {
  char text[64];
  (void)snprintf(text, sizeof text, "{\"finish_reason\":\"%s\"}", reason);
  fake_answer_event(a, YOI_EVENT_MODEL_FINISH, text);
}

void fake_answer_cut(struct fake_answer *a) {
  (void)add(a, ACT_CUT);
}

void fake_answer_gate(struct fake_answer *a) {
  (void)add(a, ACT_GATE);
}

void fake_answer_fail(struct fake_answer *a, yoi_status st, int32_t code, const char *details) {
  struct act *act = add(a, ACT_FAIL);
  act->st = st;
  act->code = code;
  act->text = fake_dup(yoi_sdk_str(details));
}

void fake_answer_refuse(struct fake_answer *a, yoi_status st, int32_t code) {
  struct act *act = add(a, ACT_REFUSE);
  act->st = st;
  act->code = code;
}

void fake_model_open(struct fake_host *fh) {
  uint64_t tokens[256];
  size_t n = 0;
  pthread_mutex_lock(&fh->mu);
  for (struct fake_talk *t = fh->talks; t && n < 256; t = t->next) {
    if (!t->gated) continue;
    t->gated = false;
    tokens[n++] = t->token;
  }
  pthread_mutex_unlock(&fh->mu);
  for (size_t i = 0; i < n; i++) fh->host.wake(&fh->host, tokens[i]);
}

void fake_model_on_next(struct fake_host *fh, void (*fn)(void *ctx), void *ctx) {
  pthread_mutex_lock(&fh->mu);
  fh->on_next = fn;
  fh->on_next_ctx = ctx;
  pthread_mutex_unlock(&fh->mu);
}

void fake_model_on_list(struct fake_host *fh, void (*fn)(void *ctx), void *ctx) {
  pthread_mutex_lock(&fh->mu);
  fh->on_list = fn;
  fh->on_next_ctx = ctx;
  pthread_mutex_unlock(&fh->mu);
}

void fake_model_async(struct fake_host *fh, bool on) {
  pthread_mutex_lock(&fh->mu);
  fh->async = on;
  pthread_mutex_unlock(&fh->mu);
}

/* Opens the gate of an answer that nobody wrote, from a post. */
static void open_all(void *ctx) {
  fake_model_open(ctx);
}

static yoi_status talk_fail(const struct act *act, yoi_error *err) {
  (void)yoi_sdk_fail(err, act->code, "provider words");
  if (act->text) yoi_sdk_fail_details(err, yoi_sdk_str(act->text));
  yoi_sdk_fail_private(err, "private provider words");
  return act->st;
}

static yoi_status talk_next(yoi_stream *s, const yoi_event *const **out_events, size_t *out_n,
                            yoi_error *err) {
  struct fake_talk *t = (struct fake_talk *)s;
  struct fake_host *fh = t->fh;
  assert(fh->host.get_interface && !t->released);
  const yoi_host_loop *loop = fh->host.get_interface(&fh->host, YOI_LIT(YOI_HOST_LOOP_ID));
  assert(loop->current(&fh->host) == t->loop);
  bool opens = false;
  pthread_mutex_lock(&fh->mu);
  yoi_status st = YOI_OK;
  size_t n = 0;
  const struct act *failed = NULL;
  if (t->cancelled) st = YOI_CANCELLED;
  while (st == YOI_OK && n < 64) {
    if (t->gated) {
      if (n == 0) st = YOI_AGAIN;
      break;
    }
    if (t->at == t->answer->n) {
      if (n == 0) st = YOI_END;
      break;
    }
    const struct act *act = &t->answer->acts[t->at];
    if (act->kind != ACT_EVENT && n > 0) break;
    if (act->kind == ACT_FAIL) {
      st = act->st;
      failed = act;
      break;
    }
    t->at++;
    if (act->kind == ACT_GATE) t->gated = true;
    if (act->kind == ACT_GATE && t->async) opens = true;
    if (act->kind != ACT_EVENT) continue;
    t->events[n] =
        (yoi_event){.size = sizeof(yoi_event), .kind = act->event, .text = yoi_sdk_str(act->text)};
    t->batch[n] = &t->events[n];
    n++;
  }
  void (*on_next)(void *) = fh->on_next;
  fh->on_next = NULL;
  pthread_mutex_unlock(&fh->mu);
  if (on_next) on_next(fh->on_next_ctx);
  if (opens) (void)loop->post(&fh->host, t->loop, open_all, fh);
  if (failed) return talk_fail(failed, err);
  if (st != YOI_OK) return st;
  *out_events = t->batch;
  *out_n = n;
  return YOI_OK;
}

static void talk_cancel(yoi_stream *s) {
  struct fake_talk *t = (struct fake_talk *)s;
  struct fake_host *fh = t->fh;
  pthread_mutex_lock(&fh->mu);
  assert(!t->released);
  if (!t->cancelled) fh->n_cancelled++;
  t->cancelled = true;
  uint64_t token = t->token;
  pthread_mutex_unlock(&fh->mu);
  fh->host.wake(&fh->host, token);
}

static void talk_release(yoi_stream *s) {
  if (!s) return;
  struct fake_talk *t = (struct fake_talk *)s;
  struct fake_host *fh = t->fh;
  const yoi_host_loop *loop = fh->host.get_interface(&fh->host, YOI_LIT(YOI_HOST_LOOP_ID));
  pthread_mutex_lock(&fh->mu);
  assert(fh->closed || loop->current(&fh->host) == t->loop);
  struct fake_talk **p = &fh->talks;
  while (*p && *p != t) p = &(*p)->next;
  assert(*p == t);
  *p = t->next;
  pthread_mutex_unlock(&fh->mu);
  answer_free(t->answer);
  free(t);
}

static const yoi_stream_ops talk_ops = {
    .size = sizeof(yoi_stream_ops),
    .next = talk_next,
    .cancel = talk_cancel,
    .release = talk_release,
};

static int has_model(struct fake_host *fh, yoi_str name) {
  if (fh->no_models) return 0;
  if (fh->n_names == 0) return yoi_sdk_str_is(name, "main");
  for (size_t i = 0; i < fh->n_names; i++)
    if (yoi_sdk_str_is(name, fh->names[i])) return 1;
  return 0;
}

static void remember(struct fake_host *fh, yoi_str name, const yoi_model_request *req,
                     uint32_t loop) {
  size_t len = 0;
  for (size_t i = 0; i < req->n_messages; i++) len += req->messages[i].len + 1;
  char *all = fake_grow(NULL, len + 1, 1), *p = all;
  for (size_t i = 0; i < req->n_messages; i++) {
    memcpy(p, req->messages[i].ptr, req->messages[i].len);
    p += req->messages[i].len;
    *p++ = '\n';
  }
  *p = 0;
  char origin[512];
  (void)snprintf(origin, sizeof origin, "%.*s %.*s", YOI_ARG(req->request_id), YOI_ARG(req->trace));
  char budget[512];
  (void)snprintf(budget, sizeof budget, "%.*s %.*s %llu %u %u", YOI_ARG(req->worker_id),
                 YOI_ARG(req->principal), (unsigned long long)req->turn_tokens, req->counted,
                 req->max_output_tokens);
  fh->requests = fake_grow(fh->requests, fh->n_requests + 1, sizeof *fh->requests);
  fh->requests[fh->n_requests++] = (struct fake_request){.messages = all,
                                                         .name = fake_dup(name),
                                                         .offer = fake_dup(req->tools),
                                                         .origin = fake_dup(yoi_sdk_str(origin)),
                                                         .budget = fake_dup(yoi_sdk_str(budget)),
                                                         .loop = loop};
}

static yoi_status model_start(const yoi_host *h, yoi_str name, const yoi_model_request *req,
                              yoi_stream **out, yoi_error *err) {
  struct fake_host *fh = fake_of(h);
  const yoi_host_loop *loop = h->get_interface(h, YOI_LIT(YOI_HOST_LOOP_ID));
  uint32_t current = loop->current(h);
  assert(current != YOI_NO_LOOP);
  assert(req->token != 0);
  pthread_mutex_lock(&fh->mu);
  if (!has_model(fh, name)) {
    pthread_mutex_unlock(&fh->mu);
    return yoi_sdk_fail(err, YOI_CODE_NOT_FOUND, "no model of that name");
  }
  remember(fh, name, req, current);
  struct fake_answer *a = fh->answers;
  bool own = a != NULL, async = fh->async;
  if (a) fh->answers = a->next;
  pthread_mutex_unlock(&fh->mu);
  if (!own) {
    a = answer_new();
    if (async) fake_answer_gate(a);
    fake_answer_text(a, "o");
    fake_answer_cut(a);
    fake_answer_text(a, "k");
    fake_answer_finish(a, "stop");
  }
  if (a->n > 0 && a->acts[0].kind == ACT_REFUSE) {
    yoi_status st = talk_fail(&a->acts[0], err);
    answer_free(a);
    return st;
  }
  struct fake_talk *t = fake_grow(NULL, 1, sizeof *t);
  *t = (struct fake_talk){
      .fh = fh, .answer = a, .token = req->token, .loop = current, .async = !own && async};
  t->head.ops = &talk_ops;
  pthread_mutex_lock(&fh->mu);
  t->next = fh->talks;
  fh->talks = t;
  pthread_mutex_unlock(&fh->mu);
  *out = &t->head;
  return YOI_OK;
}

static void model_list(const yoi_host *h, void (*each)(void *ctx, yoi_str name), void *ctx) {
  struct fake_host *fh = fake_of(h);
  pthread_mutex_lock(&fh->mu);
  void (*on_list)(void *) = fh->on_list;
  void *on_list_ctx = fh->on_next_ctx;
  fh->on_list = NULL;
  pthread_mutex_unlock(&fh->mu);
  if (on_list) on_list(on_list_ctx);
  if (fh->no_models) return;
  if (fh->n_names == 0) each(ctx, YOI_LIT("main"));
  for (size_t i = 0; i < fh->n_names; i++) each(ctx, yoi_sdk_str(fh->names[i]));
}

const yoi_host_model fake_model_table = {
    .size = sizeof(yoi_host_model),
    .list = model_list,
    .start = model_start,
};

void fake_model_add(struct fake_host *fh, const char *name) {
  fh->names = fake_grow(fh->names, fh->n_names + 1, sizeof *fh->names);
  fh->names[fh->n_names++] = fake_dup(yoi_sdk_str(name));
}

void fake_model_none(struct fake_host *fh) {
  fh->no_models = true;
}

size_t fake_model_requests(struct fake_host *fh) {
  pthread_mutex_lock(&fh->mu);
  size_t n = fh->n_requests;
  pthread_mutex_unlock(&fh->mu);
  return n;
}

const char *fake_model_messages(struct fake_host *fh, size_t i) {
  assert(i < fh->n_requests);
  return fh->requests[i].messages;
}

const char *fake_model_name(struct fake_host *fh, size_t i) {
  assert(i < fh->n_requests);
  return fh->requests[i].name;
}

const char *fake_model_origin(struct fake_host *fh, size_t i) {
  assert(i < fh->n_requests);
  return fh->requests[i].origin;
}

const char *fake_model_offer(struct fake_host *fh, size_t i) {
  assert(i < fh->n_requests);
  return fh->requests[i].offer;
}

const char *fake_model_budget(struct fake_host *fh, size_t i) {
  assert(i < fh->n_requests);
  return fh->requests[i].budget;
}

uint32_t fake_model_loop(struct fake_host *fh, size_t i) {
  assert(i < fh->n_requests);
  return fh->requests[i].loop;
}

size_t fake_model_live(struct fake_host *fh) {
  size_t n = 0;
  pthread_mutex_lock(&fh->mu);
  for (struct fake_talk *t = fh->talks; t; t = t->next) n++;
  pthread_mutex_unlock(&fh->mu);
  return n;
}

size_t fake_model_cancelled(struct fake_host *fh) {
  pthread_mutex_lock(&fh->mu);
  size_t n = fh->n_cancelled;
  pthread_mutex_unlock(&fh->mu);
  return n;
}

void fake_model_forget(struct fake_host *fh) {
  pthread_mutex_lock(&fh->mu);
  while (fh->answers) {
    struct fake_answer *a = fh->answers;
    fh->answers = a->next;
    answer_free(a);
  }
  pthread_mutex_unlock(&fh->mu);
}

void fake_model_clear(struct fake_host *fh) {
  fake_model_forget(fh);
  for (size_t i = 0; i < fh->n_requests; i++) {
    free(fh->requests[i].messages);
    free(fh->requests[i].name);
    free(fh->requests[i].offer);
    free(fh->requests[i].budget);
    free(fh->requests[i].origin);
  }
  for (size_t i = 0; i < fh->n_names; i++) free(fh->names[i]);
  free(fh->requests);
  free(fh->names);
}
