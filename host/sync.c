/* host/sync.c - yoi_call_sync: a unary call, waited for.
 *
 * In threaded mode the callback comes on a loop and the caller's thread waits;
 * in step mode the caller's thread steps. Inside a callback neither can work,
 * so it is refused there; in step mode also on a thread that is not the one that
 * steps, whose callbacks would come on a thread where none is expected.
 *
 * Invariant: nobody leaves while the call can still come back to the caller's stack.
 */
#include <sdk/mem.h>
#include <sdk/str.h>

#include "host.h"

/* What an answer may hold: a list over all runtimes is the largest. */
#define ANSWER_MAX (2 * (size_t)YOI_JSON_BYTES_MAX)

struct sync {
  struct yoi_embed *host;
  struct yoi_sdk_buf text;
  int has_result;
  yoi_status st;
  yoi_error *err;
  _Atomic uint32_t done;
};

static void on_event(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *err) {
  struct sync *s = ctx;
  if (ev != NULL) {
    if (ev->kind == YOI_EVENT_RESULT || ev->kind == YOI_EVENT_ACK) {
      s->has_result = 1;
      yoi_sdk_buf_adds(&s->text, ev->text);
    }
    return;
  }
  s->st = st;
  if (st != YOI_END) yoi_sdk_error_copy(s->err, err);
  struct yoi_embed *host = s->host;
  atomic_store(&s->done, 1u); /* s is gone from here on */
  yoi__host_notify(host);
}

static int is_done(void *ctx) {
  struct sync *s = ctx;
  return atomic_load(&s->done) != 0;
}

static yoi_status take_text(struct sync *s, char **out_text, size_t *out_len, yoi_error *err) {
  if (s->st != YOI_END) return s->st;
  if (!s->has_result)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the operation ended without an answer");
  if (s->text.data == NULL) (void)yoi_sdk_buf_reserve(&s->text, 1); /* an empty answer */
  if (s->text.failed == YOI_OUT_OF_RANGE)
    return yoi_sdk_fail(err, YOI_CODE_PAYLOAD_TOO_LARGE, "the answer is too large");
  if (s->text.failed != 0) return yoi_sdk_fail_memory(err);
  size_t len = 0;
  char *text = yoi_sdk_buf_take(&s->text, &len);
  if (text == NULL) return yoi_sdk_fail_memory(err);
  if (out_len != NULL) *out_len = len;
  *out_text = text;
  return YOI_OK;
}

/* Where no start can be undone meanwhile, the loops stay. */
static yoi_status may_wait(struct yoi_embed *host, yoi_error *err) {
  uint32_t phase = atomic_load(&host->phase);
  if (phase != YOI__READY && phase != YOI__DRAINING) return YOI_OK; /* yoi_call refuses it */
  if (yoi__loops_inside(host->loops))
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "a callback may not wait for a call");
  else if (host->step && atomic_load(&host->stepper) != yoi__thread())
    (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                       "only the thread that steps the host may wait for a call; yoi_call is for "
                       "any thread");
  else
    return YOI_OK;
  return YOI_FAILED_PRECONDITION;
}

yoi_status yoi_call_sync(struct yoi_embed *host, yoi_str runtime_id, const yoi_request *req,
                         char **out_text, size_t *out_len, yoi_error *err) {
  yoi_status may = may_wait(host, err);
  if (may != YOI_OK) return may;
  if (req->op == YOI_OP_WORKER_EVENTS || (req->flags & YOI_REQ_FOLLOW) != 0)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "only a unary operation can be waited for");
  struct sync s = {.host = host, .err = err};
  yoi_sdk_buf_init(&s.text, ANSWER_MAX);
  yoi_status st = yoi_call(host, runtime_id, req, on_event, &s, NULL, err);
  if (st == YOI_OK) {
    while (!yoi__host_wait(host, is_done, &s, UINT64_MAX)) continue;
    st = take_text(&s, out_text, out_len, err);
  }
  yoi_sdk_buf_release(&s.text);
  return st;
}

void yoi_free(void *text) {
  yoi_sdk_free(text);
}
