/* sources: abi/sdk/http/sse.c abi/sdk/core; libs: -lcjson -lcrypto
 *
 * The event stream reader on anything at all. The first byte chooses how the
 * rest is cut: 0 at every byte, else into pieces of that many. The second one
 * chooses small limits. What must hold:
 *
 *  1. Cut or whole, the same events, the same end, the same rest, the same
 *     last id and retry.
 *  2. Limits are met: no line of data, no event is longer.
 *  3. Every view stays within memory: each piece is freed after its feed.
 */
#include <sdk/mem.h>
#include <sdk/sse.h>
#include <stdlib.h>
#include <string.h>

#define MUST(x)        \
  do {                 \
    if (!(x)) abort(); \
  } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct trace {
  struct yoi_sdk_buf text;
  size_t event_max;
};

static void note(struct trace *t, yoi_str s) {
  yoi_sdk_buf_addf(&t->text, "%zu:", s.len);
  yoi_sdk_buf_adds(&t->text, s);
}

static int on_event(void *ctx, const struct yoi_sdk_sse_event *ev) {
  struct trace *t = ctx;
  MUST(ev->data.len <= t->event_max);
  MUST(ev->type.len > 0);
  MUST(ev->id.len == 0 || !memchr(ev->id.ptr, 0, ev->id.len));
  note(t, ev->type);
  note(t, ev->data);
  note(t, ev->id);
  return 0;
}

static void read_all(struct trace *t, size_t line_max, const uint8_t *data, size_t size,
                     size_t step) {
  struct yoi_sdk_sse s;
  struct yoi_sdk_sse_event rest;
  yoi_status st = YOI_OK;
  yoi_sdk_buf_init(&t->text, SIZE_MAX / 2);
  yoi_sdk_sse_init(&s, line_max, t->event_max, on_event, t);
  for (size_t i = 0; i < size; i += step) {
    size_t n = size - i < step ? size - i : step;
    char *piece = yoi_sdk_malloc(n);
    MUST(piece);
    memcpy(piece, data + i, n);
    yoi_status now = yoi_sdk_sse_feed(&s, (yoi_str){piece, n});
    yoi_sdk_free(piece);
    MUST(st == YOI_OK || now == st);
    st = now;
  }
  yoi_sdk_buf_addf(&t->text, "end %d retry %llu id ", st, (unsigned long long)s.retry_ms);
  note(t, yoi_sdk_sse_last_id(&s));
  if (yoi_sdk_sse_rest(&s, &rest)) {
    MUST(st == YOI_OK);
    note(t, rest.type);
    note(t, rest.data);
  }
  yoi_sdk_sse_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 3) return 0;
  size_t line_max = data[1] ? data[1] : 1048576, event_max = data[1] ? data[1] * 2u : 2097152;
  size_t step = data[0] ? data[0] : 1;
  struct trace whole = {.event_max = event_max}, cut = {.event_max = event_max};
  read_all(&whole, line_max, data + 2, size - 2, size);
  read_all(&cut, line_max, data + 2, size - 2, step);
  MUST(yoi_sdk_str_eq(yoi_sdk_buf_str(&whole.text), yoi_sdk_buf_str(&cut.text)));
  yoi_sdk_buf_release(&whole.text);
  yoi_sdk_buf_release(&cut.text);
  return 0;
}
