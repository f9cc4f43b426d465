/* test_tool_time.c - time_now through its table, as a host calls it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sdk/id.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yoi/plugin.h>

#include "tests/unit/support/tool_host.h"

static struct tool_host *opened(const char *now) {
  const yoi_plugin *plugin = yoi_plugin_entry_v1();
  struct tool_host *th = tool_host_new(plugin->get_interface(YOI_LIT(YOI_TOOL_ID)));
  uint64_t ns = 0;
  assert_true(yoi_sdk_time_parse(yoi_sdk_str(now), &ns));
  tool_host_wall(th, ns);
  tool_host_open(th, "{}");
  return th;
}

static void says(const char *now, const char *arguments, const char *want) {
  struct tool_host *th = opened(now);
  struct tool_result r;
  tool_host_call(th, "time_now", arguments, "", &r);
  if (r.status != YOI_END) fail_msg("%s: %s", arguments, r.error.message);
  assert_string_equal(r.output, want);
  assert_int_equal(r.n_output, 1);
  tool_result_release(&r);
  tool_host_free(th);
}

#define NOW "2026-06-26T22:30:01.250Z"

static void without_a_zone_it_is_utc(void **state) {
  (void)state;
  says(NOW, "{}", NOW);
  says(NOW, "{\"zone\":\"UTC\"}", NOW);
  says(NOW, "{\"zone\":\"+00:00\"}", NOW);
}

static void an_offset_moves_the_date_too(void **state) {
  (void)state;
  says(NOW, "{\"zone\":\"+02:00\"}", "2026-06-27T00:30:01.250+02:00");
  says(NOW, "{\"zone\":\"-23:59\"}", "2026-06-25T22:31:01.250-23:59");
  says(NOW, "{\"zone\":\"-00:30\"}", "2026-06-26T22:00:01.250-00:30");
}

static void a_zone_has_summer_and_winter(void **state) {
  (void)state;
  if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0) skip();
  says(NOW, "{\"zone\":\"Europe/Berlin\"}", "2026-06-27T00:30:01.250+02:00");
  says(NOW, "{\"zone\":\"Europe\\/B\\u0065rlin\"}", "2026-06-27T00:30:01.250+02:00");
  says("2026-01-26T22:30:01.250Z", "{\"zone\":\"Europe/Berlin\"}", "2026-01-26T23:30:01.250+01:00");
  says(NOW, "{\"zone\":\"Asia/Kathmandu\"}", "2026-06-27T04:15:01.250+05:45");
}

static void what_is_no_zone_is_refused_with_what_is(void **state) {
  static const char *const none[] = {"",        "Mars/Base", "../../../etc/passwd", "/etc/passwd",
                                     "+24:00",  "+02:60",    "+2",                  "Europe",
                                     "\\u00e4", "tzdata.zi", "+0a:00"};
  struct tool_host *th = opened(NOW);
  (void)state;
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    char arguments[128];
    struct tool_result r;
    snprintf(arguments, sizeof arguments, "{\"zone\":\"%s\"}", none[i]);
    tool_host_call(th, "time_now", arguments, "", &r);
    if (r.status != YOI_INVALID_ARGUMENT) fail_msg("%s: %d", none[i], r.status);
    assert_non_null(strstr(r.error.message, "'+02:00'"));
    tool_result_release(&r);
  }
  tool_host_free(th);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_a_zone_it_is_utc),
      cmocka_unit_test(an_offset_moves_the_date_too),
      cmocka_unit_test(a_zone_has_summer_and_winter),
      cmocka_unit_test(what_is_no_zone_is_refused_with_what_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
