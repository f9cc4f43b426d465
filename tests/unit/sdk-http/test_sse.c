/* test_sse.c - the event stream reader: each rule of the standard, and that
 * no split of a stream into chunks changes what comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sdk/mem.h>
#include <sdk/sse.h>

/* Events as one text: type|data|id; per event. */
struct seen {
  char text[4096];
  size_t len;
  int stop_after; /* events, 0 = never */
  int count;
};

static void note(struct seen *s, yoi_str t) {
  assert_true(s->len + t.len < sizeof s->text);
  memcpy(s->text + s->len, t.ptr ? t.ptr : "", t.len);
  s->len += t.len;
  s->text[s->len] = '\0';
}

static int on_event(void *ctx, const struct yoi_sdk_sse_event *ev) {
  struct seen *s = ctx;
  note(s, ev->type);
  note(s, YOI_LIT("|"));
  note(s, ev->data);
  note(s, YOI_LIT("|"));
  note(s, ev->id);
  note(s, YOI_LIT(";"));
  return ++s->count == s->stop_after;
}

/* A copy of exactly n bytes, so that a sanitizer sees a read past them. */
static yoi_status feed(struct yoi_sdk_sse *s, const char *p, size_t n) {
  char *copy = yoi_sdk_malloc(n ? n : 1);
  assert_non_null(copy);
  memcpy(copy, p, n);
  yoi_status st = yoi_sdk_sse_feed(s, (yoi_str){copy, n});
  memset(copy, 'x', n);
  yoi_sdk_free(copy);
  return st;
}

/* Feeds the stream whole, then cut in two at every byte, then byte by byte;
 * each must give `want`. */
static void check_n(const char *stream, size_t n, const char *want) {
  for (size_t cut = 0; cut <= n + 1; cut++) {
    struct seen seen = {.len = 0};
    struct yoi_sdk_sse s;
    yoi_sdk_sse_init(&s, 0, 0, on_event, &seen);
    if (cut <= n) {
      assert_int_equal(feed(&s, stream, cut), YOI_OK);
      assert_int_equal(feed(&s, stream + cut, n - cut), YOI_OK);
    } else {
      for (size_t i = 0; i < n; i++) assert_int_equal(feed(&s, stream + i, 1), YOI_OK);
    }
    assert_string_equal(seen.text, want);
    yoi_sdk_sse_release(&s);
  }
}

#define CHECK(stream, want) check_n(stream, sizeof(stream) - 1, want)

static void test_line_ends(void **state) {
  (void)state;
  CHECK("data: a\n\ndata: b\n\n", "message|a|;message|b|;");
  CHECK("data: a\r\n\r\ndata: b\r\n\r\n", "message|a|;message|b|;");
  CHECK("data: a\r\rdata: b\r\r", "message|a|;message|b|;");
  CHECK("data: a\r\n\n\r\ndata: b\n\r", "message|a|;message|b|;");
}

static void test_bom_is_stripped_once(void **state) {
  (void)state;
  CHECK("\xef\xbb\xbf" "data: a\n\n", "message|a|;");
  CHECK("\xef\xbb\xbf\xef\xbb\xbf" "data: a\n\ndata: b\n\n", "message|b|;");
  CHECK("\n\xef\xbb\xbf" "data: a\n\ndata: b\n\n", "message|b|;");
  CHECK("\xef\xbb" "data: a\n\ndata: b\n\n", "message|b|;");
}

static void test_data_lines_join(void **state) {
  (void)state;
  CHECK("data: a\ndata:b\ndata:  c\n\n", "message|a\nb\n c|;");
  CHECK("data\n\ndata\ndata\n\ndata:", "message||;message|\n|;");
  CHECK("data: a\ndata\n\n", "message|a\n|;");
  CHECK("data\ndata: a\n\n", "message|\na|;");
}

static void test_comments_and_unknown_fields(void **state) {
  (void)state;
  CHECK(": hello\n:\n\ndata: a\n: in between\nfoo: x\ndatax: y\ndata : z\n\n", "message|a|;");
  CHECK(":data: a\n\n data: a\n\n", "");
}

static void test_types(void **state) {
  (void)state;
  CHECK("event: add\ndata: 1\n\ndata: 2\n\n", "add|1|;message|2|;");
  CHECK("event: add\nevent\ndata: 1\n\n", "message|1|;");
  /* A type without data is no event, and does not stick. */
  CHECK("event: add\n\ndata: 1\n\n", "message|1|;");
}

static void test_ids(void **state) {
  (void)state;
  CHECK("id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", "message|a|1;message|b|1;message|c|;");
  CHECK("id: 1\ndata: a\n\nid: 2\0x\ndata: b\n\n", "message|a|1;message|b|1;");
  struct seen seen = {.len = 0};
  struct yoi_sdk_sse s;
  yoi_sdk_sse_init(&s, 0, 0, on_event, &seen);
  assert_int_equal(feed(&s, "id: 7\n\nid: 8\ndata: x\n", 21), YOI_OK);
  assert_true(yoi_sdk_str_is(yoi_sdk_sse_last_id(&s), "7"));
  assert_int_equal(feed(&s, "\n", 1), YOI_OK);
  assert_true(yoi_sdk_str_is(yoi_sdk_sse_last_id(&s), "8"));
  yoi_sdk_sse_clear(&s);
  assert_int_equal(yoi_sdk_sse_last_id(&s).len, 0);
  yoi_sdk_sse_release(&s);
}

static void test_retry(void **state) {
  (void)state;
  static const struct {
    const char *line;
    uint64_t want;
  } rows[] = {{"retry: 15\n", 15},        {"retry:0\n", 0},
              {"retry: 1x\n", 3},         {"retry: -1\n", 3},
              {"retry\n", 3},             {"retry: 99999999999999999999\n", 86400000},
              {"retry: +1\n", 3},         {"retry:  1\n", 3}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    struct seen seen = {.len = 0};
    struct yoi_sdk_sse s;
    yoi_sdk_sse_init(&s, 0, 0, on_event, &seen);
    assert_true(s.retry_ms == UINT64_MAX);
    assert_int_equal(feed(&s, "retry: 3\n", 9), YOI_OK);
    assert_int_equal(feed(&s, rows[i].line, strlen(rows[i].line)), YOI_OK);
    assert_int_equal(s.retry_ms, rows[i].want);
    yoi_sdk_sse_release(&s);
  }
}

static void test_rest_is_dropped_but_can_be_seen(void **state) {
  (void)state;
  static const char *const streams[] = {"data: a\n\ndata: b", "data: a\n\ndata: b\n",
                                        "data: a\n\ndata: b\r", "data: a\n\ndata: b\r\n"};
  for (size_t i = 0; i < 4; i++) {
    struct seen seen = {.len = 0};
    struct yoi_sdk_sse s;
    struct yoi_sdk_sse_event ev;
    yoi_sdk_sse_init(&s, 0, 0, on_event, &seen);
    assert_int_equal(feed(&s, streams[i], strlen(streams[i])), YOI_OK);
    assert_string_equal(seen.text, "message|a|;");
    assert_int_equal(yoi_sdk_sse_rest(&s, &ev), 1);
    assert_true(yoi_sdk_str_is(ev.data, "b"));
    assert_int_equal(yoi_sdk_sse_rest(&s, &ev), 0);
    assert_int_not_equal(feed(&s, "\n\n", 2), YOI_OK);
    assert_string_equal(seen.text, "message|a|;");
    yoi_sdk_sse_release(&s);
  }
  struct seen seen = {.len = 0};
  struct yoi_sdk_sse s;
  struct yoi_sdk_sse_event ev;
  yoi_sdk_sse_init(&s, 0, 0, on_event, &seen);
  assert_int_equal(feed(&s, "data: a\n\n: bye\nevent: x", 23), YOI_OK);
  assert_int_equal(yoi_sdk_sse_rest(&s, &ev), 0);
  yoi_sdk_sse_release(&s);
}

static void test_limits_do_not_depend_on_the_split(void **state) {
  (void)state;
  static const struct {
    const char *stream, *want;
    yoi_status st;
  } rows[] = {
      {"data: abcd\n\n", "message|abcd|;", YOI_OK},              /* 10 bytes of line */
      {"data: abcde\n\n", "", YOI_OUT_OF_RANGE},                 /* 11 */
      {"data: a\n\n: 90123456789\n", "message|a|;", YOI_OUT_OF_RANGE},
      {"data:123\ndata:456\n\n", "message|123\n456|;", YOI_OK},  /* 7 bytes of event */
      {"data:123\ndata:456\ndata\n\n", "message|123\n456\n|;", YOI_OK}, /* 8 */
      {"data:123\ndata:45678\n\n", "", YOI_OUT_OF_RANGE},        /* 9 */
      {"data:123\ndata:4567\ndata\n\n", "", YOI_OUT_OF_RANGE},   /* 9 */
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    size_t n = strlen(rows[i].stream);
    for (size_t cut = 0; cut <= n; cut++) {
      struct seen seen = {.len = 0};
      struct yoi_sdk_sse s;
      yoi_sdk_sse_init(&s, 10, 8, on_event, &seen);
      yoi_status a = feed(&s, rows[i].stream, cut);
      yoi_status b = feed(&s, rows[i].stream + cut, n - cut);
      assert_int_equal(b, rows[i].st);
      if (a != YOI_OK) assert_int_equal(a, b); /* sticky */
      assert_string_equal(seen.text, rows[i].want);
      yoi_sdk_sse_release(&s);
    }
  }
}

static void test_callback_stops_it(void **state) {
  (void)state;
  struct seen seen = {.stop_after = 1};
  struct yoi_sdk_sse s;
  struct yoi_sdk_sse_event ev;
  yoi_sdk_sse_init(&s, 0, 0, on_event, &seen);
  assert_int_equal(feed(&s, "data: a\n\ndata: b\n\n", 18), YOI_ABORTED);
  assert_int_equal(feed(&s, "data: c\n\n", 9), YOI_ABORTED);
  assert_string_equal(seen.text, "message|a|;");
  assert_int_equal(yoi_sdk_sse_rest(&s, &ev), 0);
  yoi_sdk_sse_release(&s);
}

static void test_failing_memory_is_an_error(void **state) {
  (void)state;
  for (uint64_t n = 1; n < 32; n++) {
    struct seen seen = {.len = 0};
    struct yoi_sdk_sse s;
    yoi_sdk_sse_init(&s, 0, 0, on_event, &seen);
    static const char text[] = "event: t\nid: 1\ndata: a\ndata: b\n\nevent: u\nda";
    yoi_sdk_mem_fail_at(n);
    yoi_status st = yoi_sdk_sse_feed(&s, (yoi_str){text, sizeof text - 1});
    yoi_sdk_mem_fail_at(0);
    assert_true(st == YOI_OK || st == YOI_RESOURCE_EXHAUSTED);
    yoi_sdk_sse_release(&s);
    if (st == YOI_OK) return;
  }
  fail();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_line_ends),
      cmocka_unit_test(test_bom_is_stripped_once),
      cmocka_unit_test(test_data_lines_join),
      cmocka_unit_test(test_comments_and_unknown_fields),
      cmocka_unit_test(test_types),
      cmocka_unit_test(test_ids),
      cmocka_unit_test(test_retry),
      cmocka_unit_test(test_rest_is_dropped_but_can_be_seen),
      cmocka_unit_test(test_limits_do_not_depend_on_the_split),
      cmocka_unit_test(test_callback_stops_it),
      cmocka_unit_test(test_failing_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
