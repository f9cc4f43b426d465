/* The ready-made streams of sdk/stream.h: what next, wake, push and the ends do. */
#include <sdk/mem.h>
#include <sdk/str.h>
#include <sdk/stream.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int wakes;
static void count_wake(const yoi_host *h, uint64_t token) {
  (void)h;
  assert_int_equal(token, 42);
  wakes++;
}
static const yoi_host host = {.size = sizeof host, .wake = count_wake};

static void one_event_then_end(void **state) {
  (void)state;
  yoi_stream *s = yoi_sdk_stream_one(YOI_LIT("{}"), YOI_EV_CREATED);
  const yoi_event *const *evs;
  size_t n;
  assert_int_equal(s->ops->next(s, &evs, &n, NULL), YOI_OK);
  assert_int_equal(n, 1);
  assert_int_equal(evs[0]->kind, YOI_EVENT_RESULT);
  assert_int_equal(evs[0]->flags, YOI_EV_CREATED);
  assert_true(yoi_sdk_str_is(evs[0]->text, "{}"));
  assert_int_equal(s->ops->next(s, &evs, &n, NULL), YOI_END);
  assert_int_equal(s->ops->next(s, &evs, &n, NULL), YOI_END);
  s->ops->cancel(s);
  const yoi_stream_ops *ops = s->ops;
  ops->release(s);
  ops->release(NULL);
}

static void queue_wakes_once_per_again(void **state) {
  (void)state;
  wakes = 0;
  struct yoi_sdk_queue *q = yoi_sdk_queue_new(&host, 42, 10, NULL, NULL, NULL);
  yoi_stream *s = yoi_sdk_queue_stream(q);
  const yoi_event *const *evs;
  size_t n;
  assert_int_equal(yoi_sdk_queue_push(q, YOI_EVENT_ACK, 0, YOI_LIT("c1"), YOI_LIT("abc")), YOI_OK);
  assert_int_equal(wakes, 0);
  assert_int_equal(yoi_sdk_queue_bytes(q), 5);
  assert_int_equal(yoi_sdk_queue_push(q, YOI_EVENT_ACK, 0, YOI_LIT(""), YOI_LIT("abcdef")),
                   YOI_RESOURCE_EXHAUSTED);
  assert_int_equal(s->ops->next(s, &evs, &n, NULL), YOI_OK);
  assert_int_equal(n, 1);
  assert_true(yoi_sdk_str_is(evs[0]->cursor, "c1"));
  assert_int_equal(yoi_sdk_queue_bytes(q), 0);
  assert_int_equal(s->ops->next(s, &evs, &n, NULL), YOI_AGAIN);
  assert_int_equal(yoi_sdk_queue_push(q, YOI_EVENT_ACK, 0, YOI_LIT(""), YOI_LIT("a")), YOI_OK);
  assert_int_equal(yoi_sdk_queue_push(q, YOI_EVENT_ACK, 0, YOI_LIT(""), YOI_LIT("b")), YOI_OK);
  assert_int_equal(wakes, 1);
  assert_int_equal(s->ops->next(s, &evs, &n, NULL), YOI_OK);
  assert_int_equal(n, 2);
  yoi_sdk_queue_finish(q);
  assert_int_equal(yoi_sdk_queue_push(q, YOI_EVENT_ACK, 0, YOI_LIT(""), YOI_LIT("b")),
                   YOI_FAILED_PRECONDITION);
  assert_int_equal(s->ops->next(s, &evs, &n, NULL), YOI_END);
  yoi_sdk_queue_drop(q);
  s->ops->release(s);
}

static void dropped_producer_is_internal(void **state) {
  (void)state;
  struct yoi_sdk_queue *q = yoi_sdk_queue_new(&host, 42, 10, NULL, NULL, NULL);
  yoi_stream *s = yoi_sdk_queue_stream(q);
  const yoi_event *const *evs;
  size_t n;
  struct yoi_sdk_error err;
  yoi_sdk_queue_drop(q);
  assert_int_equal(s->ops->next(s, &evs, &n, yoi_sdk_error_init(&err)), YOI_INTERNAL);
  assert_int_equal(err.e.code, YOI_CODE_INTERNAL);
  s->ops->release(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_event_then_end),
      cmocka_unit_test(queue_wakes_once_per_again),
      cmocka_unit_test(dropped_producer_is_internal),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
