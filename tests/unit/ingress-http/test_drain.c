/* The end of a listener: what was asked is answered, up to the deadline. */
#include "stage.h"

#include <cmocka.h>
#include <sdk/error.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the drain's stream -------------------------------------------------------------- */

static yoi_stream *drain_from(uint64_t ms) {
  struct yoi_sdk_error err;
  yoi_stream *out = NULL;
  ingress->stop_accepting(self);
  assert_int_equal(ingress->drain(self, (H.now_ms + ms) * 1000000u, 0, &out,
                                  yoi_sdk_error_init(&err)), YOI_OK);
  return out;
}

static yoi_status next(yoi_stream *s) {
  struct yoi_sdk_error err;
  const yoi_event *const *evs;
  size_t n;
  return s->ops->next(s, &evs, &n, yoi_sdk_error_init(&err));
}

/* ---- tests -------------------------------------------------------------------------- */

static void a_drain_lets_answers_end_and_then_ends_all(void **state) {
  (void)state;
  int idle = dial(), busy = dial(), watching = dial();
  ask(busy, "GET /v1/workers/ar", "");
  ask(watching, "GET /v1/workers/ea/events", "");
  settle();
  yoi_stream *out = drain_from(1400);
  assert_int_equal(next(out), YOI_AGAIN);
  settle();
  assert_int_equal(hear(idle, 1000), 1);
  advance(1100);
  assert_int_equal(hear(idle, 1000), 0);
  wake_all();
  answer_len = 0;
  hear(busy, 1000);
  assert_non_null(strstr(answer, "200 OK"));
  assert_non_null(strstr(answer, "Connection: close"));
  close(busy);
  settle();
  assert_int_equal(next(out), YOI_AGAIN);
  advance(300);
  assert_int_equal(next(out), YOI_AGAIN);
  advance(600);
  assert_int_equal(next(out), YOI_END);
  out->ops->release(out);
  close(idle);
  close(watching);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define T(name, with) cmocka_unit_test_setup_teardown(name, with, tear_down)
      T(a_drain_lets_answers_end_and_then_ends_all, set_up),
#undef T
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
