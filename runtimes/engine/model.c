/* model.c - one step of a turn: the model's stream, taken in.
 *
 * A model speaks raw text, watchers get JSON; the change is made here, once.
 * Contiguous text of one batch becomes one delta of at most 4 KiB, cut at a
 * character. What is taken in is bounded: the text of an answer, the number
 * and size of its calls. Invariants:
 *
 *  1. The stream is started, polled and released on the turn's loop, never
 *     under the worker's lock.
 *  2. Nothing is taken in once the turn is cut: no late chunk is acted on.
 *  3. The calls of an answer are taken in whole (call.c), and none is acted on
 *     before its FINISH: what becomes of them is decided in turn.c.
 *  4. A provider's words never reach a caller: how a turn fails is said in
 *     words of this file, the rest goes to the log at debug level.
 */
#include <assert.h>
#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>

#include "shapes.h"

static const struct model_error {
  const char *kind, *message;
  bool retryable;
} errors[] = {
#define ROW(name, retry) {name, NULL, (retry) != 0},
    YOI_MODEL_ERRORS(ROW)
#undef ROW
};
#define N_ERRORS (sizeof errors / sizeof errors[0])

static const struct {
  const char *kind, *message;
} words[] = {
    {"connect", "the model could not be reached"},
    {"tls", "no secure connection to the model could be made"},
    {"first_byte_timeout", "the model did not begin to answer in time"},
    {"stalled", "the model stopped in the middle of its answer"},
    {"total_timeout", "the model took too long"},
    {"closed", "the model's connection was closed before its answer was complete"},
    {"malformed", "the model's answer could not be understood"},
    {"too_large", "the model's answer was too large"},
    {"unauthorized", "the model refused the host's credentials"},
    {"not_found", "the model does not exist, or the host cannot open it"},
    {"invalid_request", "the model refused the request"},
    {"rate_limited", "the model is asked too often"},
    {"quota", "the quota for the model is used up"},
    {"overloaded", "the model is overloaded"},
    {"server_error", "the model failed"},
};

static void fail_as(struct eng_turn *t, const char *kind, int retryable) {
  t->failed = true;
  t->end = (struct eng_end_of){
      .ended = ENG_FAILED, .reason = "model_error", .code = YOI_CODE_MODEL_ERROR};
  for (size_t i = 0; i < N_ERRORS; i++)
    if (strcmp(errors[i].kind, kind) == 0) {
      t->end.kind = errors[i].kind;
      t->end.retryable = retryable < 0 ? errors[i].retryable : retryable > 0;
    }
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
    if (strcmp(words[i].kind, kind) == 0) t->end.message = words[i].message;
  assert(t->end.kind && t->end.message);
}

/* The host's policy, not the model, said no; nothing was sent. */
static void fail_denied(struct eng_turn *t) {
  fail_as(t, "quota", 0);
  t->end.message = "policy does not let the model be called: it is denied, or a budget is used up";
}

static const char *kind_of_status(yoi_status st) {
  switch (st) {
    case YOI_NOT_FOUND:
      return "not_found";
    case YOI_UNAUTHENTICATED:
    case YOI_PERMISSION_DENIED:
      return "unauthorized";
    case YOI_INVALID_ARGUMENT:
      return "invalid_request";
    case YOI_DEADLINE_EXCEEDED:
      return "total_timeout";
    case YOI_RESOURCE_EXHAUSTED:
      return "overloaded";
    case YOI_CANCELLED:
      return "closed";
    default:
      return "server_error";
  }
}

static void fail_with(struct eng_turn *t, yoi_status st, const yoi_error *err) {
  yoi_str details = yoi_sdk_str(err->details);
  yoi_str kind = yoi_sdk_json_raw_get(details, "kind");
  yoi_str retry = yoi_sdk_json_raw_get(details, "retryable");
  const char *known = NULL;
  for (size_t i = 0; i < N_ERRORS && kind.len > 2; i++) {
    yoi_str inside = {kind.ptr + 1, kind.len - 2};
    if (yoi_sdk_str_is(inside, errors[i].kind)) known = errors[i].kind;
  }
  int retryable = yoi_sdk_str_is(retry, "true") ? 1 : yoi_sdk_str_is(retry, "false") ? 0 : -1;
  if (err->code == YOI_CODE_POLICY_DENIED)
    fail_denied(t);
  else
    fail_as(t, known ? known : kind_of_status(st), known ? retryable : -1);
  const yoi_log_field fields[] = {
      {YOI_LIT("worker"), t->w->entry.id},
      {YOI_LIT("kind"), yoi_sdk_str(t->end.kind)},
      {YOI_LIT("detail"), yoi_sdk_str(err->private_detail)},
  };
  const struct eng_engine *eng = t->w->eng;
  eng_log(eng, YOI_LOG_WARN, YOI_LIT("model failed"), t->request_id, fields, 2);
  eng_log(eng, YOI_LOG_DEBUG, YOI_LIT("model failed"), t->request_id, fields, 3);
}

/* ---- tokens ---- */

uint64_t eng_turn_tokens(const struct eng_turn *t) {
  if (t->has_usage && !t->incomplete_usage && t->usage.input >= 0 && t->usage.output >= 0) {
    uint64_t running = t->step_has_usage ? 0 : t->step_bytes / YOI_CONTEXT_BYTES_PER_TOKEN;
    return (uint64_t)t->usage.input + (uint64_t)t->usage.output + running;
  }
  return t->spent_bytes / YOI_CONTEXT_BYTES_PER_TOKEN;
}

static void check_tokens(struct eng_turn *t) {
  if (eng_turn_tokens(t) <= t->w->spec->limits.tokens) return;
  t->failed = true;
  t->end = (struct eng_end_of){.ended = ENG_FAILED,
                               .reason = "token_limit",
                               .code = YOI_CODE_LIMIT_REACHED,
                               .message = "the turn used more tokens than its profile allows"};
}

/* ---- starting ---- */

static void spend(struct eng_turn *t, size_t bytes) {
  t->spent_bytes += bytes;
  t->step_bytes += bytes;
}

static yoi_status start_at_host(struct eng_turn *t, const yoi_model_request *req, yoi_error *err) {
  const struct eng_engine *eng = t->w->eng;
  yoi_str model = yoi_sdk_str(t->w->spec->model);
  if (eng->turns)
    return eng->turns->model_start(eng->host, t->host_turn, model, req, &t->model, err);
  return eng->models->start(eng->host, model, req, &t->model, err);
}

yoi_status eng_model_start(struct eng_turn *t) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  yoi_str *messages = eng_context_messages(t->context);
  if (!messages) return YOI_RESOURCE_EXHAUSTED;
  yoi_model_request req = {
      .size = sizeof req,
      .deadline_ns = eng_turn_until(t),
      .token = t->token,
      .request_id = t->request_id,
      .trace = t->trace,
      .messages = messages,
      .n_messages = t->context->n,
      .tools = t->w->spec->offer,
      .parameters = yoi_sdk_str(t->w->spec->parameters),
      .worker_id = t->w->entry.id,
      .principal = t->principal,
      .turn_tokens = t->w->spec->limits.tokens,
      .counted = t->counted,
  };
  t->step_bytes = 0;
  spend(t, t->context->buf.len + t->w->spec->offer.len);
  t->finish = ENG_FINISH_NONE;
  t->model_over = false;
  t->step_has_usage = t->step_spoke = false;
  pthread_mutex_lock(&t->w->mu);
  eng_calls_clear(t);
  pthread_mutex_unlock(&t->w->mu);
  check_tokens(t); /* the input alone may be too much: policy was told of no more */
  yoi_status st = t->failed ? YOI_RESOURCE_EXHAUSTED : start_at_host(t, &req, err);
  yoi_sdk_free(messages);
  if (t->failed) return st;
  if (st == YOI_OK) {
    t->counted = true;
    return YOI_OK;
  }
  t->model = NULL;
  fail_with(t, st, err);
  return st;
}

void eng_model_release(struct eng_turn *t) {
  yoi_stream *s = t->model;
  if (!s) return;
  t->model = NULL;
  if (!t->model_over) s->ops->cancel(s);
  s->ops->release(s);
}

/* ---- taking in ---- */

struct intake {
  struct eng_turn *t;
  struct eng_after *after;
  uint32_t kind; /* of the pieces */
  yoi_str pieces[64];
  size_t n, bytes;
  bool spoke; /* text, a thought or a call came */
  int64_t input_tokens, output_tokens;
};

static void flush(struct intake *in) {
  if (in->n == 0) return;
  struct eng_frame *f = eng_live_delta(in->t, in->kind, in->pieces, in->n);
  eng_worker_emit(in->t->w, f, in->after);
  eng_frame_unref(f);
  in->n = in->bytes = 0;
}

static size_t answer_bytes(const struct eng_turn *t) {
  return t->text.len + t->reasoning.len + t->call_bytes;
}

static void take_text(struct intake *in, uint32_t kind, yoi_str text) {
  struct eng_turn *t = in->t;
  struct yoi_sdk_buf *buf = kind == YOI_EVENT_TEXT_DELTA ? &t->text : &t->reasoning;
  if (answer_bytes(t) + text.len > YOI_MESSAGE_BYTES_MAX) {
    fail_as(t, "too_large", -1);
    return;
  }
  yoi_sdk_buf_adds(buf, text);
  spend(t, text.len);
  if (in->kind != kind) flush(in);
  in->kind = kind;
  while (text.len > 0) {
    size_t room = YOI_DELTA_BYTES_MAX - in->bytes;
    size_t n = text.len > room ? yoi_sdk_utf8_cut(text, room) : text.len;
    if (n == 0 || in->n == sizeof in->pieces / sizeof in->pieces[0]) {
      assert(in->n > 0);
      flush(in);
      continue;
    }
    in->pieces[in->n++] = (yoi_str){text.ptr, n};
    in->bytes += n;
    text.ptr += n;
    text.len -= n;
  }
}

static int64_t count_of(yoi_str usage, const char *name) {
  int64_t n = -1;
  if (!yoi_sdk_json_raw_int(yoi_sdk_json_raw_get(usage, name), &n) || n < 0) return -1;
  return n;
}

/* A sum is known only when all its parts are. */
static int64_t plus(int64_t a, int64_t b) {
  return a < 0 || b < 0 || a > YOI_JSON_INT_MAX - b ? -1 : a + b;
}

static void take_usage(struct intake *in, yoi_str text) {
  struct eng_turn *t = in->t;
  struct eng_usage u = {
      .input = count_of(text, "input_tokens"),
      .output = count_of(text, "output_tokens"),
      .cached = count_of(text, "cached_tokens"),
      .reasoning = count_of(text, "reasoning_tokens"),
  };
  if (t->step_has_usage) {
    fail_as(t, "malformed", -1);
    return;
  }
  t->step_has_usage = true;
  in->input_tokens = u.input;
  in->output_tokens = u.output;
  if (t->incomplete_usage) return;
  if (!t->has_usage) {
    t->usage = u;
  } else {
    t->usage.input = plus(t->usage.input, u.input);
    t->usage.output = plus(t->usage.output, u.output);
    t->usage.cached = plus(t->usage.cached, u.cached);
    t->usage.reasoning = plus(t->usage.reasoning, u.reasoning);
  }
  t->has_usage = true;
  flush(in);
  struct eng_frame *f = eng_live_usage(t);
  eng_worker_emit(t->w, f, in->after);
  eng_frame_unref(f);
}

static void take_finish(struct eng_turn *t, yoi_str text) {
  static const char *const names[] = {
      [ENG_FINISH_STOP] = "\"stop\"",
      [ENG_FINISH_LENGTH] = "\"length\"",
      [ENG_FINISH_FILTER] = "\"content_filter\"",
      [ENG_FINISH_TOOLS] = "\"tool_calls\"",
  };
  yoi_str reason = yoi_sdk_json_raw_get(text, "finish_reason");
  for (unsigned i = ENG_FINISH_STOP; i <= ENG_FINISH_TOOLS; i++)
    if (t->finish == ENG_FINISH_NONE && yoi_sdk_str_is(reason, names[i])) {
      t->finish = i;
      return;
    }
  fail_as(t, "malformed", -1);
}

static void take_call(struct eng_turn *t, yoi_str text) {
  yoi_str arguments = yoi_sdk_json_raw_get(text, "arguments");
  const char *kind = "too_large";
  if (arguments.len <= YOI_TOOL_ARGUMENTS_MAX &&
      answer_bytes(t) + arguments.len <= YOI_MESSAGE_BYTES_MAX) {
    spend(t, text.len);
    kind = eng_call_take(t, text);
  }
  if (kind) fail_as(t, kind, -1);
}

static void take(struct intake *in, const yoi_event *ev) {
  struct eng_turn *t = in->t;
  if (t->finish != ENG_FINISH_NONE) {
    fail_as(t, "malformed", -1);
    return;
  }
  in->spoke |= ev->kind >= YOI_EVENT_MODEL_TEXT && ev->kind <= YOI_EVENT_MODEL_TOOL_CALL;
  switch (ev->kind) {
    case YOI_EVENT_MODEL_TEXT:
      take_text(in, YOI_EVENT_TEXT_DELTA, ev->text);
      break;
    case YOI_EVENT_MODEL_REASONING:
      take_text(in, YOI_EVENT_REASONING_DELTA, ev->text);
      break;
    case YOI_EVENT_MODEL_TOOL_CALL:
      take_call(t, ev->text);
      break;
    case YOI_EVENT_MODEL_USAGE:
      take_usage(in, ev->text);
      break;
    case YOI_EVENT_MODEL_FINISH:
      take_finish(t, ev->text);
      break;
    default:
      fail_as(t, "malformed", -1);
      break;
  }
  if (t->text.failed || t->reasoning.failed) fail_as(t, "too_large", 1);
}

static void measure(struct eng_turn *t, const struct intake *in) {
  const struct eng_engine *eng = t->w->eng;
  if (in->input_tokens > 0) eng_count(eng, eng->metric.tokens_in, (uint64_t)in->input_tokens);
  if (in->output_tokens > 0) eng_count(eng, eng->metric.tokens_out, (uint64_t)in->output_tokens);
  if (!in->spoke || t->step_spoke) return;
  t->step_spoke = true;
  yoi_sdk_metric_observe(&eng->metrics, eng->metric.first_delta, eng_mono(eng) - t->step_mono);
}

yoi_status eng_model_poll(struct eng_turn *t) {
  struct yoi_sdk_error se;
  yoi_error *err = yoi_sdk_error_init(&se);
  const yoi_event *const *evs = NULL;
  size_t n = 0;
  yoi_status st = t->model->ops->next(t->model, &evs, &n, err);
  if (st == YOI_AGAIN) return st;
  t->model_over = st != YOI_OK;
  if (st == YOI_END) {
    pthread_mutex_lock(&t->w->mu);
    if (!t->step_has_usage) {
      t->incomplete_usage = true;
      t->has_usage = false;
    }
    pthread_mutex_unlock(&t->w->mu);
    if (t->finish != ENG_FINISH_NONE) return st;
    fail_as(t, "malformed", -1);
    return YOI_INTERNAL;
  }
  if (st != YOI_OK) {
    fail_with(t, st, err);
    return st;
  }
  struct eng_after after = {0};
  struct intake in = {.t = t, .after = &after};
  pthread_mutex_lock(&t->w->mu);
  bool taken = t->state == ENG_TURN_MODEL && t->cut == ENG_CUT_NONE;
  for (size_t i = 0; i < n && taken && !t->failed; i++) take(&in, evs[i]);
  flush(&in);
  eng_worker_leave(t->w, &after);
  measure(t, &in);
  if (!t->failed) check_tokens(t);
  return t->failed ? YOI_INTERNAL : YOI_OK;
}
