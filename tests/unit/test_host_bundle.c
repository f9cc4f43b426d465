/* Bundles of a config: which of two is the newer one, who may have which. */
#include "host/bundle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int older(const char *a, const char *b) {
  const struct yoi_sdk_bundle x = {.created_at = yoi_sdk_str(a)};
  const struct yoi_sdk_bundle y = {.created_at = yoi_sdk_str(b)};
  return yoi__bundle_older(&x, &y);
}

static void times_are_compared_as_times(void **state) {
  static const char *const in_order[] = {
      "0001-01-01T00:00:00Z",           "1969-12-31T23:59:59Z",
      "2026-02-28T23:59:59Z",           "2026-02-28T23:59:59.000000001Z",
      "2026-02-28T23:59:59.09Z",        "2026-03-01T01:59:59.1+02:00",
      "2026-02-28T18:59:59.11-05:00",   "2026-02-28T23:59:59.2Z",
      "2026-03-01T00:00:00Z",           "2026-03-01T00:00:00+00:00",
      "2026-02-28T23:00:01-01:00",      "2026-03-01T05:30:02+05:30",
      "9999-12-31T23:59:59.999999999Z",
  };
  size_t n = sizeof in_order / sizeof *in_order;
  (void)state;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < n; k++) {
      int same = i == k || (i + k == 17 && (i == 8 || i == 9)); /* one moment, said in two ways */
      if (older(in_order[i], in_order[k]) != (!same && i < k))
        fail_msg("%s and %s", in_order[i], in_order[k]);
    }
}

static void both_lists_must_agree(void **state) {
  static const yoi_str runtimes[] = {{"a", 1}, {"b", 1}}, spaces[] = {{"acme", 4}};
  struct yoi_sdk_bundle it = {.id = YOI_LIT("x"), .workspace_id = YOI_LIT("acme")};
  (void)state;
  for (int listed = 0; listed < 3; listed++)    /* none, with it, without it */
    for (int space = 0; space < 3; space++) { /* likewise */
      struct yoi_sdk_error e;
      struct yoi__config_bundle bundle = {.it = &it};
      struct yoi__config_runtime r = {.id = listed == 2 ? YOI_LIT("c") : YOI_LIT("b")};
      if (listed > 0) bundle.runtimes = (struct yoi__config_names){1, runtimes, 2};
      if (space > 0) r.workspaces = (struct yoi__config_names){1, spaces, space == 1};
      int may = listed < 2 && space < 2;
      assert_int_equal(yoi__bundle_allowed(&bundle, &r), may);
      assert_int_equal(yoi__bundle_check(&bundle, &r, yoi_sdk_error_init(&e)),
                       may ? YOI_OK : YOI_PERMISSION_DENIED);
      if (!may) assert_int_equal(e.e.code, YOI_CODE_POLICY_DENIED);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(times_are_compared_as_times),
      cmocka_unit_test(both_lists_must_agree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
