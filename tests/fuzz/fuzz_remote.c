/* sources: runtimes/http-remote/shape.c runtimes/http-remote/frame.c
 *   runtimes/http-remote/table.c runtimes/http-remote/describe.c
 *   abi/sdk/http/sse.c abi/sdk/core; flags: -I.; libs: -lcjson -lcrypto
 *
 * Anything as what a remote says. The first byte chooses the operation, the
 * second the HTTP status; the rest is each in turn an answer, an error, a
 * description and a stream. What must hold:
 *
 *  1. An answer that passes is JSON, no longer than it came, passes again as it
 *     is then, and has no member beside those of its operation.
 *  2. An error has a code and a message of ours, its details are JSON.
 *  3. A description that can be made is one line of JSON without a control
 *     character, and names no operation that there is not.
 *  4. An event that passes is one line of JSON with a cursor that may stand in a
 *     header; a durable one has a cursor.
 */
#include "runtimes/http-remote/remote.h"

#include <sdk/mem.h>

#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_answer(uint32_t op, yoi_str text) {
  struct yoi_sdk_buf b;
  size_t at = 0, members = 0;
  yoi_str key, value;
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_adds(&b, text);
  if (!b.failed && rem_answer_fits(op, YOI_LIT("a"), &b)) {
    size_t len = b.len;
    MUST(len <= text.len && yoi_sdk_json_check(yoi_sdk_buf_str(&b), 0, NULL) == YOI_OK);
    while (yoi_sdk_json_raw_member(yoi_sdk_buf_str(&b), &at, &key, &value)) members++;
    MUST(members > 0 && members <= 3);
    MUST(rem_answer_fits(op, YOI_LIT("a"), &b) && b.len == len);
  }
  yoi_sdk_buf_release(&b);
}

static void as_error(uint32_t op, uint32_t status, yoi_str text) {
  struct yoi_sdk_error e;
  yoi_str sent = YOI_LIT("{\"content\":\"x\"}");
  yoi_status st = rem_error_map(op, sent, status, text, 7, yoi_sdk_error_init(&e));
  MUST(st != YOI_OK && yoi_sdk_code_name(e.e.code) && yoi_sdk_code_status(e.e.code) == st);
  MUST(e.message[0] && strlen(e.message) < 128);
  MUST(!e.details[0] || yoi_sdk_json_check(yoi_sdk_str(e.details), 0, NULL) == YOI_OK);
}

static void as_description(yoi_str text) {
  static struct rem_instance i;
  struct yoi_sdk_error e;
  struct yoi_sdk_buf out;
  if (yoi_sdk_json_check(text, 0, NULL) != YOI_OK) return; /* as its caller has done */
  yoi_sdk_buf_init(&out, YOI_JSON_BYTES_MAX);
  if (rem_describe(&i, text, &out, yoi_sdk_error_init(&e)) == YOI_OK) {
    MUST(yoi_sdk_json_check(yoi_sdk_buf_str(&out), 0, NULL) == YOI_OK);
    for (size_t n = 0; n < out.len; n++) MUST((unsigned char)out.data[n] >= ' ');
  }
  yoi_sdk_buf_release(&out);
}

static int on_event(void *ctx, const struct yoi_sdk_sse_event *ev) {
  uint32_t kind = rem_frame_kind(ev->type);
  (void)ctx;
  if (kind == 0 || !rem_frame_fits(kind, ev->id, ev->data)) return 0;
  MUST(ev->data.ptr[0] == '{' && !memchr(ev->data.ptr, '\n', ev->data.len));
  MUST(yoi_sdk_utf8_valid(ev->data) && ev->id.len <= YOI_CURSOR_MAX);
  struct rem_frame *f = rem_frame_new(kind, ev->id, ev->data);
  MUST(f && yoi_sdk_str_eq(f->ev.text, ev->data) && yoi_sdk_str_eq(f->ev.cursor, ev->id));
  MUST(!(f->ev.flags & YOI_EV_DURABLE) || f->ev.cursor.len > 0);
  rem_frame_unref(f);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint32_t statuses[] = {400, 401, 403, 404, 409, 410, 413, 422, 429,
                                      500, 501, 502, 503, 504, 200, 0};
  struct yoi_sdk_sse sse;
  if (size < 2) return 0;
  uint32_t op = data[0] % (YOI_OP__END + 1), status = statuses[data[1] % 16];
  yoi_str text = {(const char *)data + 2, size - 2};
  as_answer(op, text);
  as_error(op < YOI_OP__END ? op : YOI_OP_WORKER_GET, status, text);
  as_description(text);
  yoi_sdk_sse_init(&sse, YOI_JSON_BYTES_MAX, YOI_JSON_BYTES_MAX, on_event, NULL);
  (void)yoi_sdk_sse_feed(&sse, text);
  yoi_sdk_sse_release(&sse);
  return 0;
}
