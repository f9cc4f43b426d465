/* Answers and frames to bytes: heads, the one error body, dates, event frames
 * whose chunk sizes are right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugins/ingress-http/response.h"

#include <sdk/json.h>
#include <yoi/limits.h>
#include <yoi/ops.h>

static struct yoi_sdk_buf out;

static const char *head(struct http_reply r) {
  yoi_sdk_buf_clear(&out);
  yoi_sdk_buf_init(&out, 16384);
  r.date = "DATE";
  http_reply_head(&out, &r);
  assert_int_equal(out.failed, 0);
  return out.data;
}

static void heads(void **state) {
  (void)state;
  head((struct http_reply){.status = 200, .type = HTTP_TYPE_JSON, .length = 12});
  assert_string_equal(out.data,
                      "HTTP/1.1 200 OK\r\nDate: DATE\r\nContent-Type: application/json\r\n"
                      "Content-Length: 12\r\nCache-Control: no-store\r\n"
                      "X-Content-Type-Options: nosniff\r\n\r\n");
  yoi_sdk_buf_release(&out);
  head((struct http_reply){.status = 204, .request_id = YOI_LIT("r"), .close = 1});
  assert_string_equal(out.data,
                      "HTTP/1.1 204 No Content\r\nDate: DATE\r\nCache-Control: no-store\r\n"
                      "X-Content-Type-Options: nosniff\r\nX-Request-Id: r\r\n"
                      "Connection: close\r\n\r\n");
  yoi_sdk_buf_release(&out);
  head((struct http_reply){.status = 304, .etag = YOI_LIT("sha256:00")});
  assert_string_equal(out.data,
                      "HTTP/1.1 304 Not Modified\r\nDate: DATE\r\nETag: \"sha256:00\"\r\n"
                      "Cache-Control: private, no-cache\r\n"
                      "X-Content-Type-Options: nosniff\r\n\r\n");
  yoi_sdk_buf_release(&out);
  head((struct http_reply){.status = 200, .type = HTTP_TYPE_SSE, .chunked = 1});
  assert_non_null(strstr(out.data, "Content-Type: text/event-stream\r\n"));
  assert_non_null(strstr(out.data, "Transfer-Encoding: chunked\r\n"));
  assert_non_null(strstr(out.data, "X-Accel-Buffering: no\r\n"));
  assert_null(strstr(out.data, "Content-Length"));
  yoi_sdk_buf_release(&out);
  head((struct http_reply){.status = 201, .type = HTTP_TYPE_JSON, .location = YOI_LIT("/v1/x")});
  assert_non_null(strstr(out.data, "HTTP/1.1 201 Created\r\n"));
  assert_non_null(strstr(out.data, "Location: /v1/x\r\n"));
  assert_non_null(strstr(out.data, "Content-Length: 0\r\n"));
  yoi_sdk_buf_release(&out);
}

static void every_code_has_its_answer(void **state) {
  (void)state;
  static const int32_t codes[] = {
#define CODE(sym, num, name, http, status, retry) num,
      YOI_CODES(CODE)
#undef CODE
  };
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    struct yoi_sdk_error e;
    struct http_reply r = {.date = "D", .request_id = YOI_LIT("id-1")};
    char line[64];
    yoi_sdk_fail(yoi_sdk_error_init(&e), codes[i], "it \"failed\"");
    yoi_sdk_fail_details(&e.e, YOI_LIT("{\"a\":1}"));
    yoi_sdk_fail_private(&e.e, "hidden");
    yoi_sdk_buf_init(&out, 16384);
    http_reply_error(&out, &r, &e.e);
    int status = yoi_sdk_code_http(codes[i]);
    snprintf(line, sizeof line, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
    assert_memory_equal(out.data, line, strlen(line));
    assert_string_not_equal(http_reason(status), "Unknown");
    snprintf(line, sizeof line, "{\"error\":{\"code\":\"%s\",", yoi_sdk_code_name(codes[i]));
    const char *body = strstr(out.data, "\r\n\r\n") + 4;
    assert_memory_equal(body, line, strlen(line));
    assert_non_null(strstr(body, "\"message\":\"it \\\"failed\\\"\",\"request_id\":\"id-1\","
                                 "\"details\":{\"a\":1}}}"));
    assert_null(strstr(out.data, "hidden"));
    snprintf(line, sizeof line, "Content-Length: %zu\r\n", strlen(body));
    assert_non_null(strstr(out.data, line));
    assert_int_equal(!strstr(out.data, "\r\nRetry-After: 1\r\n"), status != 429 && status != 503);
    assert_int_equal(!strstr(out.data, "\r\nWWW-Authenticate: Bearer\r\n"), status != 401);
    assert_int_equal(yoi_sdk_json_check(yoi_sdk_str(body), 0, NULL), YOI_OK);
    yoi_sdk_buf_release(&out);
  }
}

static void errors_of_head_requests_have_no_body(void **state) {
  (void)state;
  struct yoi_sdk_error e;
  struct http_reply r = {.date = "D", .head = 1, .allow = "GET, HEAD"};
  yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_METHOD_NOT_ALLOWED, "no");
  e.e.retry_after_ms = 2500;
  yoi_sdk_buf_init(&out, 16384);
  http_reply_error(&out, &r, &e.e);
  assert_string_equal(strstr(out.data, "\r\n\r\n"), "\r\n\r\n");
  assert_non_null(strstr(out.data, "Allow: GET, HEAD\r\n"));
  assert_null(strstr(out.data, "Retry-After"));
  yoi_sdk_buf_release(&out);
  yoi_sdk_fail(&e.e, YOI_CODE_QUEUE_FULL, "full");
  e.e.retry_after_ms = 2500;
  yoi_sdk_buf_init(&out, 16384);
  http_reply_error(&out, &r, &e.e);
  assert_non_null(strstr(out.data, "Retry-After: 3\r\n"));
  yoi_sdk_buf_release(&out);
}

static void dates(void **state) {
  (void)state;
  char d[HTTP_DATE_SIZE];
  http_date(784111777000000000u, d); /* the example of RFC 9110 */
  assert_string_equal(d, "Sun, 06 Nov 1994 08:49:37 GMT");
  http_date(951827696999999999u, d);
  assert_string_equal(d, "Tue, 29 Feb 2000 12:34:56 GMT");
  http_date(0, d);
  assert_string_equal(d, "Thu, 01 Jan 1970 00:00:00 GMT");
  http_date(1709251199000000000u, d);
  assert_string_equal(d, "Thu, 29 Feb 2024 23:59:59 GMT");
}

static yoi_event event(uint32_t kind, yoi_str cursor, yoi_str text) {
  return (yoi_event){.size = sizeof(yoi_event), .kind = kind, .cursor = cursor, .text = text};
}

static void frames(void **state) {
  (void)state;
  char h[HTTP_FRAME_HEAD_MAX];
  yoi_event ev = event(YOI_EVENT_TEXT_DELTA, YOI_LIT("c1"), YOI_LIT("{\"text\":\"hi\"}"));
  size_t n = http_frame_head(h, &ev, 0);
  assert_int_equal(n, 31);
  assert_memory_equal(h, "id: c1\nevent: text.delta\ndata: ", n);
  ev.cursor.len = 0;
  n = http_frame_head(h, &ev, 0);
  assert_memory_equal(h, "event: text.delta\ndata: ", n);
  assert_true(yoi_sdk_str_is(http_frame_tail(0), "\n\n"));
}

static void chunk_sizes_are_right(void **state) {
  (void)state;
  static char text[70000];
  char h[HTTP_FRAME_HEAD_MAX], cursor[YOI_CURSOR_MAX];
  memset(text, 'x', sizeof text);
  memset(cursor, 'c', sizeof cursor);
  static const size_t lengths[] = {0, 1, 200, 255, 256, 4096, 65535, 65536, 70000};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    yoi_event ev = event(YOI_EVENT_TOOL_APPROVAL_REQUESTED, (yoi_str){cursor, sizeof cursor},
                         (yoi_str){text, lengths[i]});
    size_t n = http_frame_head(h, &ev, 1);
    assert_in_range(n, 1, HTTP_FRAME_HEAD_MAX);
    char *end = NULL;
    unsigned long size = strtoul(h, &end, 16);
    assert_memory_equal(end, "\r\nid: ", 6);
    size_t payload = n - (size_t)(end + 2 - h) + lengths[i] + http_frame_tail(1).len - 2;
    assert_int_equal(size, payload);
  }
  assert_true(yoi_sdk_str_is(http_frame_retry(1), "d\r\nretry: 1000\n\n\r\n"));
  assert_true(yoi_sdk_str_is(http_frame_heartbeat(1), "3\r\n:\n\n\r\n"));
}

static void what_would_break_a_frame_is_refused(void **state) {
  (void)state;
  char h[HTTP_FRAME_HEAD_MAX], longest[YOI_CURSOR_MAX + 1];
  memset(longest, 'c', sizeof longest);
  const yoi_event bad[] = {
      event(YOI_EVENT_TEXT_DELTA, YOI_LIT("c"), YOI_LIT("{\n}")),
      event(YOI_EVENT_TEXT_DELTA, YOI_LIT("c"), YOI_LIT("{\r}")),
      event(YOI_EVENT_TEXT_DELTA, YOI_LIT("c\nid: x"), YOI_LIT("{}")),
      event(YOI_EVENT_TEXT_DELTA, YOI_LIT("c\0"), YOI_LIT("{}")),
      event(YOI_EVENT_TEXT_DELTA, (yoi_str){longest, sizeof longest}, YOI_LIT("{}")),
      event(9999, YOI_LIT("c"), YOI_LIT("{}")),
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(http_frame_head(h, &bad[i], 1), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(heads),
      cmocka_unit_test(every_code_has_its_answer),
      cmocka_unit_test(errors_of_head_requests_have_no_body),
      cmocka_unit_test(dates),
      cmocka_unit_test(frames),
      cmocka_unit_test(chunk_sizes_are_right),
      cmocka_unit_test(what_would_break_a_frame_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
