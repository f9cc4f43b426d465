/* test_metrics.c - counters by name and label, and the text that a scraper
 * reads.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <yoi/limits.h>

#include "host/metrics.h"

static uint32_t counter(struct yoi__metrics *m, const char *name, const char *help,
                        const char *label, const char *value, yoi_status expect) {
  uint32_t id = 77;
  assert_int_equal(yoi__metrics_counter(m, yoi_sdk_str(name), yoi_sdk_str(help), yoi_sdk_str(label),
                                        yoi_sdk_str(value), &id),
                   expect);
  assert_int_equal(expect == YOI_OK, id != 0);
  return id;
}

static void test_one_counter_per_name_and_value(void **state) {
  struct yoi__metrics *m = yoi__metrics_new();
  (void)state;
  uint32_t a = counter(m, "yoi_turns_total", "Turns.", "state", "failed", YOI_OK);
  uint32_t b = counter(m, "yoi_turns_total", "Turns.", "state", "completed", YOI_OK);
  assert_int_not_equal(a, b);
  assert_int_equal(counter(m, "yoi_turns_total", "Turns.", "state", "failed", YOI_OK), a);
  counter(m, "yoi_turns_total", "Others.", "state", "failed", YOI_INVALID_ARGUMENT);
  counter(m, "yoi_turns_total", "Turns.", "kind", "failed", YOI_INVALID_ARGUMENT);
  counter(m, "yoi_turns_total", "Turns.", "", "", YOI_INVALID_ARGUMENT);
  yoi__metrics_free(m);
}

static void test_names_labels_and_help(void **state) {
  struct yoi__metrics *m = yoi__metrics_new();
  (void)state;
  static const char *const bad[] = {"turns_total",   "yoi_turns", "yoi_Turns_total",
                                    "yoi_a-b_total", "",          "yoi_total"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    counter(m, bad[i], "Help.", "", "", YOI_INVALID_ARGUMENT);
  counter(m, "yoi_a_total", "", "", "", YOI_INVALID_ARGUMENT);
  counter(m, "yoi_a_total", "Help.", "l", "", YOI_INVALID_ARGUMENT);
  counter(m, "yoi_a_total", "Help.", "", "v", YOI_INVALID_ARGUMENT);
  counter(m, "yoi_a_total", "Help.", "L", "v", YOI_INVALID_ARGUMENT);
  counter(m, "yoi_a_total", "Help.", "l", "\xff", YOI_INVALID_ARGUMENT);
  counter(m, "yoi_a_total", "\xff", "", "", YOI_INVALID_ARGUMENT);
  counter(m, "yoi_a_total", "Help.", "", "", YOI_OK);
  yoi__metrics_free(m);
}

static void test_text_is_sorted_and_escaped(void **state) {
  struct yoi__metrics *m = yoi__metrics_new();
  struct yoi_sdk_buf out;
  (void)state;
  yoi__metrics_add(m, counter(m, "yoi_z_total", "Last.", "", "", YOI_OK), 3);
  counter(m, "yoi_a_total", "Two\nlines \\ \"quoted\".", "kind", "b", YOI_OK);
  yoi__metrics_add(
      m, counter(m, "yoi_a_total", "Two\nlines \\ \"quoted\".", "kind", "a\"\\\n", YOI_OK),
      UINT64_MAX);
  yoi__metrics_add(m, 0, 5);
  yoi__metrics_add(m, 999, 5);
  yoi_sdk_buf_init(&out, 65536);
  yoi__metrics_text(m, &out);
  assert_string_equal(out.data,
                      "# HELP yoi_a_total Two\\nlines \\\\ \"quoted\".\n"
                      "# TYPE yoi_a_total counter\n"
                      "yoi_a_total{kind=\"a\\\"\\\\\\n\"} 18446744073709551615\n"
                      "yoi_a_total{kind=\"b\"} 0\n"
                      "# HELP yoi_z_total Last.\n"
                      "# TYPE yoi_z_total counter\n"
                      "yoi_z_total 3\n");
  yoi_sdk_buf_release(&out);
  yoi__metrics_free(m);
}

static void test_limit(void **state) {
  struct yoi__metrics *m = yoi__metrics_new();
  char name[64];
  (void)state;
  for (int i = 0; i < YOI_METRICS_MAX; i++) {
    (void)snprintf(name, sizeof name, "yoi_n%d_total", i);
    counter(m, name, "Help.", "", "", YOI_OK);
  }
  counter(m, "yoi_more_total", "Help.", "", "", YOI_RESOURCE_EXHAUSTED);
  yoi__metrics_free(m);
}

#define ADDERS 3
#define ADDS 5000

static void *adds(void *arg) {
  struct yoi__metrics *m = arg;
  for (int i = 0; i < ADDS; i++) {
    char value[8];
    (void)snprintf(value, sizeof value, "v%d", i % 7);
    uint32_t id = 0;
    (void)yoi__metrics_counter(m, YOI_LIT("yoi_x_total"), YOI_LIT("X."), YOI_LIT("l"),
                               yoi_sdk_str(value), &id);
    yoi__metrics_add(m, id, 1);
  }
  return NULL;
}

static void test_threads_share_counters(void **state) {
  struct yoi__metrics *m = yoi__metrics_new();
  pthread_t threads[ADDERS];
  struct yoi_sdk_buf out;
  (void)state;
  for (int i = 0; i < ADDERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, adds, m), 0);
  yoi_sdk_buf_init(&out, 65536);
  yoi__metrics_text(m, &out); /* while they add */
  for (int i = 0; i < ADDERS; i++) pthread_join(threads[i], NULL);
  uint64_t sum = 0;
  for (uint32_t id = 1; yoi__metrics_cell(m, id) != NULL; id++)
    sum += atomic_load(yoi__metrics_cell(m, id));
  assert_int_equal(sum, ADDERS * ADDS);
  yoi_sdk_buf_release(&out);
  yoi__metrics_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_one_counter_per_name_and_value),
      cmocka_unit_test(test_names_labels_and_help),
      cmocka_unit_test(test_text_is_sorted_and_escaped),
      cmocka_unit_test(test_limit),
      cmocka_unit_test(test_threads_share_counters),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
