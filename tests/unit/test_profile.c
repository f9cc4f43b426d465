/* The default profile of a runtime entry: what a create becomes, and what is
 * left alone. */
#include "host/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <yoi/limits.h>

static void becomes(const char *body, const char *expected) {
  struct yoi_sdk_buf out;
  yoi_sdk_buf_init(&out, YOI_BODY_BYTES_MAX);
  assert_int_equal(yoi__profile_default(yoi_sdk_str(body), YOI_LIT("tutor"), &out), YOI_OK);
  assert_int_equal(out.len, strlen(expected));
  if (out.len > 0) assert_string_equal(out.data, expected);
  yoi_sdk_buf_release(&out);
}

static void a_create_without_a_profile_gets_it(void **state) {
  (void)state;
  becomes("", "{\"profile\":{\"kind\":\"builtin\",\"value\":\"tutor\"}}");
  becomes("{}", "{\"profile\":{\"kind\":\"builtin\",\"value\":\"tutor\"}}");
  becomes(
      "{\"worker_id\":\"w\",\"profile\":{\"kind\":\"runtime_default\"},\"intent\":{}}",
      "{\"worker_id\":\"w\",\"intent\":{},\"profile\":{\"kind\":\"builtin\",\"value\":\"tutor\"}}");
}

static void every_other_body_is_left_alone(void **state) {
  (void)state;
  becomes("{\"profile\":{\"kind\":\"builtin\",\"value\":\"companion\"}}", "");
  becomes("{\"profile\":{\"kind\":\"named\",\"value\":\"x\"}}", "");
  becomes("{\"profile\":{\"kind\":\"runtime_default\",\"value\":\"x\"}}", "");
  becomes("{\"profile\":\"runtime_default\"}", "");
  becomes("{\"profile\":null}", "");
  becomes("[]", "");
  becomes("{\"a\":1,\"a\":2}", "");
  becomes("{", "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_create_without_a_profile_gets_it),
      cmocka_unit_test(every_other_body_is_left_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
