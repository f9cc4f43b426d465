/* sources: plugins/model-openai/answer.c plugins/model-openai/calls.c
 *   plugins/model-openai/text.c plugins/model-openai/out.c plugins/model-openai/failure.c
 *   abi/sdk/http/sse.c abi/sdk/http/retry.c abi/sdk/http/classify.c abi/sdk/core;
 * flags: -Wno-unused-parameter; libs: -lcurl -lcjson -lcrypto
 *
 * Anything as a provider's stream. The first byte chooses how it is cut and,
 * by its top bit, that every event is polled as soon as it is there. What must
 * hold:
 *
 *  1. However it is cut, the same texts, calls, usage, finish or failure; also
 *     with the memory of the last chunk's shape taken away before each chunk.
 *  2. Text is UTF-8, calls, usage and finish are JSON objects; finish is last
 *     and comes once; a failure has a kind that the tables know.
 *  3. A call's arguments are a JSON object.
 */
#include "plugins/model-openai/oai.h"

#include <sdk/mem.h>
#include <stdlib.h>
#include <string.h>

#define MUST(x)        \
  do {                 \
    if (!(x)) abort(); \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
  struct oai_answer a;
  struct oai_failure f;
  struct yoi_sdk_sse sse;
  struct yoi_sdk_buf text;
  int eager, shapeless, finished;
  uint32_t last;
};

static int is_kind(const char *kind) {
#define KIND(name, retryable) || strcmp(kind, name) == 0
  return 0 YOI_MODEL_ERRORS(KIND);
#undef KIND
}

static void check_call(yoi_str call) {
  struct yoi_sdk_buf args;
  yoi_sdk_buf_init(&args, YOI_JSON_BYTES_MAX);
  MUST(yoi_sdk_json_raw_unescape(yoi_sdk_json_raw_get(call, "arguments"), &args));
  MUST(yoi_sdk_json_check(yoi_sdk_buf_str(&args), 0, NULL) == YOI_OK);
  MUST(strchr(args.data, '{'));
  yoi_sdk_buf_release(&args);
}

static void drain(struct run *r) {
  const yoi_event *const *evs;
  size_t n;
  while ((n = oai_out_next(&r->a.out, &evs)) > 0) {
    for (size_t i = 0; i < n; i++) {
      yoi_str text = evs[i]->text;
      MUST(!r->finished && text.len > 0);
      if (evs[i]->kind != r->last) yoi_sdk_buf_addf(&r->text, "\n%u ", evs[i]->kind);
      r->last = evs[i]->kind;
      if (evs[i]->kind == YOI_EVENT_MODEL_TEXT || evs[i]->kind == YOI_EVENT_MODEL_REASONING) {
        MUST(yoi_sdk_utf8_valid(text));
      } else {
        MUST(yoi_sdk_json_check(text, 0, NULL) == YOI_OK && text.ptr[0] == '{');
      }
      r->finished = evs[i]->kind == YOI_EVENT_MODEL_FINISH;
      if (evs[i]->kind == YOI_EVENT_MODEL_TOOL_CALL) {
        check_call(text);
        /* An id that was made is another one each time. */
        if (memmem(text.ptr, text.len, "\"id\":\"call_0", 12)) text.ptr += 48, text.len -= 48;
      }
      yoi_sdk_buf_adds(&r->text, text);
    }
  }
}

static int on_event(void *ctx, const struct yoi_sdk_sse_event *ev) {
  struct run *r = ctx;
  if (r->shapeless) r->a.shape_kind = 0;
  const char *kind = oai_answer_event(&r->a, ev->type, ev->data, &r->f);
  MUST((kind != NULL) == (r->f.kind[0] != 0));
  if (r->eager) drain(r);
  return kind != NULL;
}

static void run(struct run *r, const uint8_t *data, size_t size, size_t step) {
  struct yoi_sdk_sse_event rest;
  yoi_status st = YOI_OK;
  oai_answer_init(&r->a);
  oai_failure_clear(&r->f);
  yoi_sdk_sse_init(&r->sse, 0, 0, on_event, r);
  yoi_sdk_buf_init(&r->text, SIZE_MAX / 2);
  for (size_t i = 0; i < size && st == YOI_OK; i += step) {
    size_t n = size - i < step ? size - i : step;
    char *piece = yoi_sdk_malloc(n);
    MUST(piece);
    memcpy(piece, data + i, n);
    st = yoi_sdk_sse_feed(&r->sse, (yoi_str){piece, n});
    yoi_sdk_free(piece);
  }
  if (st == YOI_OK) {
    if (yoi_sdk_sse_rest(&r->sse, &rest)) oai_answer_rest(&r->a, rest.data);
    if (r->a.done || r->a.finish) oai_answer_close(&r->a, 1, &r->f);
  }
  drain(r);
  MUST(!r->f.kind[0] || is_kind(r->f.kind));
  MUST(r->finished == (r->a.closed && !r->f.kind[0]));
  yoi_sdk_buf_addf(&r->text, "\n%s", r->f.kind);
  oai_answer_release(&r->a);
  yoi_sdk_sse_release(&r->sse);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct run whole, cut;
  if (size < 2) return 0;
  memset(&whole, 0, sizeof whole);
  memset(&cut, 0, sizeof cut);
  cut.eager = data[0] >> 7;
  cut.shapeless = data[0] >> 6 & 1;
  run(&whole, data + 1, size - 1, size);
  run(&cut, data + 1, size - 1, (data[0] & 63) + 1u);
  MUST(yoi_sdk_str_eq(yoi_sdk_buf_str(&whole.text), yoi_sdk_buf_str(&cut.text)));
  yoi_sdk_buf_release(&whole.text);
  yoi_sdk_buf_release(&cut.text);
  return 0;
}
