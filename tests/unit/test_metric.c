/* test_metric.c - making metrics on hosts of 1.1, of 1.0, and on none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sdk/metric.h>
#include <sdk/str.h>
#include <stdio.h>
#include <yoi/limits.h>

static char made[256]; /* process-wide: the last metric that was asked for */
static int64_t value;  /* process-wide: of the only metric */

static yoi_status counter(const yoi_host *h, yoi_str name, yoi_str help, yoi_str label, yoi_str val,
                          uint32_t *out_id) {
  (void)h;
  (void)snprintf(made, sizeof made, "old %.*s|%.*s|%.*s=%.*s", YOI_ARG(name), YOI_ARG(help),
                 YOI_ARG(label), YOI_ARG(val));
  *out_id = 1;
  return YOI_OK;
}

static yoi_status make(const yoi_host *h, const yoi_metric *m, uint32_t *out_id) {
  (void)h;
  assert_int_equal(m->size, sizeof *m);
  int n = snprintf(made, sizeof made, "%u %.*s|%.*s", m->type, YOI_ARG(m->name), YOI_ARG(m->help));
  for (size_t i = 0; i < m->n_labels; i++)
    n += snprintf(made + n, sizeof made - (size_t)n, "|%.*s=%.*s", YOI_ARG(m->labels[i].name),
                  YOI_ARG(m->labels[i].value));
  *out_id = 2;
  return YOI_OK;
}

static void add(const yoi_host *h, uint32_t id, uint64_t n) {
  (void)h;
  value += (int64_t)n * (id == 2 ? 100 : 1);
}
static void sub(const yoi_host *h, uint32_t id, uint64_t n) {
  (void)h, (void)id;
  value -= (int64_t)n;
}
static void observe(const yoi_host *h, uint32_t id, uint64_t n) {
  (void)h, (void)id;
  value = (int64_t)n;
}

static const yoi_host_metrics today = {.size = sizeof today,
                                       .counter = counter,
                                       .add = add,
                                       .make = make,
                                       .sub = sub,
                                       .observe = observe};
static const yoi_host_metrics of_1_0 = {
    .size = offsetof(yoi_host_metrics, make), .counter = counter, .add = add};
static const void *given; /* process-wide: the table that the host has */

static const void *interface(const yoi_host *h, yoi_str id) {
  (void)h;
  return yoi_sdk_str_is(id, YOI_HOST_METRICS_ID) ? given : NULL;
}

static struct yoi_sdk_metrics with(const void *table) {
  static const yoi_host host = {.size = sizeof host, .get_interface = interface};
  given = table;
  value = 0;
  made[0] = 0;
  return yoi_sdk_metrics_of(&host);
}

static void test_all_of_it_on_a_host_of_today(void **state) {
  struct yoi_sdk_metrics m = with(&today);
  (void)state;
  uint32_t id = yoi_sdk_metric(&m, YOI_METRIC_HISTOGRAM, "yoi_a_seconds", "Help.",
                               YOI_SDK_LABELS("s", "x", "t", "y"));
  assert_string_equal(made, "3 yoi_a_seconds|Help.|s=x|t=y");
  yoi_sdk_metric_observe(&m, id, 7);
  assert_int_equal(value, 7);
  yoi_sdk_metric_sub(&m, id, 3);
  assert_int_equal(value, 4);
  yoi_sdk_metric_add(&m, id, 1);
  assert_int_equal(value, 104);
  assert_int_equal(yoi_sdk_metric(&m, YOI_METRIC_COUNTER, "yoi_c_total", "Help.", NULL), 2);
  assert_string_equal(made, "1 yoi_c_total|Help.");
  made[0] = 0;
  assert_int_equal(yoi_sdk_metric(&m, YOI_METRIC_GAUGE, "yoi_g", "Help.",
                                  YOI_SDK_LABELS("a", "1", "b", "1", "c", "1", "d", "1", "e", "1")),
                   0);
  assert_string_equal(made, "");
}

static void test_counters_alone_on_a_host_of_1_0(void **state) {
  struct yoi_sdk_metrics m = with(&of_1_0);
  (void)state;
  uint32_t id =
      yoi_sdk_metric(&m, YOI_METRIC_COUNTER, "yoi_c_total", "Help.", YOI_SDK_LABELS("s", "x"));
  assert_string_equal(made, "old yoi_c_total|Help.|s=x");
  yoi_sdk_metric_add(&m, id, 3);
  assert_int_equal(value, 3);
  assert_int_equal(yoi_sdk_metric(&m, YOI_METRIC_COUNTER, "yoi_c_total", "Help.", NULL), 1);
  assert_string_equal(made, "old yoi_c_total|Help.|=");
  assert_int_equal(yoi_sdk_metric(&m, YOI_METRIC_COUNTER, "yoi_c_total", "Help.",
                                  YOI_SDK_LABELS("s", "x", "t", "y")),
                   0);
  id = yoi_sdk_metric(&m, YOI_METRIC_GAUGE, "yoi_g", "Help.", NULL);
  assert_int_equal(id, 0);
  yoi_sdk_metric_sub(&m, id, 3); /* members that are not there are not called */
  yoi_sdk_metric_observe(&m, id, 3);
  assert_int_equal(value, 3);
}

static void test_nothing_on_a_host_without(void **state) {
  struct yoi_sdk_metrics m = with(NULL);
  (void)state;
  uint32_t id = yoi_sdk_metric(&m, YOI_METRIC_COUNTER, "yoi_c_total", "Help.", NULL);
  assert_int_equal(id, 0);
  yoi_sdk_metric_add(&m, id, 3);
  assert_int_equal(value, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_all_of_it_on_a_host_of_today),
      cmocka_unit_test(test_counters_alone_on_a_host_of_1_0),
      cmocka_unit_test(test_nothing_on_a_host_without),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
