/* test_metrics.c - metrics by name and labels, what moves them, and the text
 * that a scraper reads.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sdk/mem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <yoi/limits.h>

#include "host/metrics.h"
#include "host/process.h"

static uint32_t counter(struct yoi__metrics *m, const char *name, const char *help,
                        const char *label, const char *value, yoi_status expect) {
  uint32_t id = 77;
  assert_int_equal(
      yoi__metrics_make_one(m, YOI_METRIC_COUNTER, yoi_sdk_str(name), yoi_sdk_str(help),
                            yoi_sdk_str(label), yoi_sdk_str(value), &id),
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

/* ---- gauges and histograms ---- */

#define LABELS(...) ((const yoi_metric_label[]){__VA_ARGS__})

static uint32_t make(struct yoi__metrics *m, uint32_t type, const char *name,
                     const yoi_metric_label *labels, size_t n, yoi_status expect) {
  uint32_t id = 77;
  const yoi_metric metric = {.size = sizeof metric,
                             .type = type,
                             .name = yoi_sdk_str(name),
                             .help = YOI_LIT("Help."),
                             .labels = labels,
                             .n_labels = n};
  assert_int_equal(yoi__metrics_make(m, &metric, &id), expect);
  assert_int_equal(expect == YOI_OK, id != 0);
  return id;
}

static char *text_of(struct yoi__metrics *m) {
  struct yoi_sdk_buf out;
  size_t n;
  yoi_sdk_buf_init(&out, 1u << 20);
  yoi__metrics_text(m, &out);
  char *text = yoi_sdk_buf_take(&out, &n);
  assert_non_null(text);
  return text;
}

static yoi_status make_apart(struct yoi__metrics *m, struct yoi__metrics_own *own, const char *name,
                             const char *value, uint32_t *out_id) {
  return yoi__metrics_make_shared(
      m,
      YOI__METRIC_ONE(YOI_METRIC_COUNTER, yoi_sdk_str(name), YOI_LIT("Help."), YOI_LIT("l"),
                      yoi_sdk_str(value)),
      own, out_id);
}

static void test_a_plugin_apart_gets_its_own_and_what_is_shared(void **state) {
  struct yoi__metrics *m = yoi__metrics_new();
  struct yoi__metrics_own own = {0}, other = {0};
  uint32_t id = 77, shared, a;
  char name[64];
  (void)state;
  uint32_t of_host = counter(m, "yoi_host_total", "Help.", "l", "v", YOI_OK);
  assert_int_equal(make_apart(m, &own, "yoi_host_total", "v", &id), YOI_INVALID_ARGUMENT);
  assert_int_equal(id, 0);
  assert_int_equal(make_apart(m, &own, "yoi_host_total", "new", &id), YOI_INVALID_ARGUMENT);
  assert_false(yoi__metrics_owns(&own, of_host));
  assert_int_equal(make_apart(m, NULL, "yoi_host_total", "v", &id), YOI_OK); /* one that is here */
  assert_int_equal(id, of_host);
  assert_int_equal(make_apart(m, NULL, "yoi_shared_total", "v", &shared), YOI_OK);
  assert_int_equal(make_apart(m, &own, "yoi_shared_total", "v", &id), YOI_OK);
  assert_int_equal(id, shared);
  assert_true(yoi__metrics_owns(&own, shared));
  assert_false(yoi__metrics_owns(&other, shared));
  for (int i = 1; i < YOI_ISOLATED_METRICS_MAX; i++) {
    (void)snprintf(name, sizeof name, "yoi_n%d_total", i);
    assert_int_equal(make_apart(m, &own, name, "v", &a), YOI_OK);
    assert_true(yoi__metrics_owns(&own, a));
  }
  assert_int_equal(make_apart(m, &own, "yoi_more_total", "v", &id), YOI_RESOURCE_EXHAUSTED);
  assert_int_equal(id, 0);
  char *text = text_of(m);
  assert_null(strstr(text, "yoi_more_total"));
  yoi_sdk_free(text);
  assert_int_equal(make_apart(m, &own, name, "v", &id), YOI_OK); /* what it has, it has */
  assert_int_equal(id, a);
  assert_int_equal(make_apart(m, &other, "yoi_more_total", "v", &id), YOI_OK);
  assert_int_equal(make_apart(m, &own, "yoi_more_total", "v", &id), YOI_RESOURCE_EXHAUSTED);
  yoi__metrics_free(m);
}

static void test_names_say_the_type(void **state) {
  struct yoi__metrics *m = yoi__metrics_new();
  (void)state;
  static const char *const no_gauge[] = {"yoi_a_total", "yoi_a_bucket", "yoi_a_sum", "yoi_a_count",
                                         "a",           "yoi_"};
  for (size_t i = 0; i < sizeof no_gauge / sizeof *no_gauge; i++)
    make(m, YOI_METRIC_GAUGE, no_gauge[i], NULL, 0, YOI_INVALID_ARGUMENT);
  make(m, YOI_METRIC_HISTOGRAM, "yoi_a_ms", NULL, 0, YOI_INVALID_ARGUMENT);
  make(m, YOI_METRIC_HISTOGRAM, "yoi_seconds", NULL, 0, YOI_INVALID_ARGUMENT);
  make(m, 0, "yoi_a", NULL, 0, YOI_INVALID_ARGUMENT);
  make(m, 4, "yoi_a", NULL, 0, YOI_INVALID_ARGUMENT);
  make(m, YOI_METRIC_GAUGE, "yoi_a_seconds", NULL, 0, YOI_OK);
  make(m, YOI_METRIC_HISTOGRAM, "yoi_a_seconds", NULL, 0, YOI_INVALID_ARGUMENT); /* another type */
  yoi__metrics_free(m);
}

static void test_labels_are_a_fixed_set(void **state) {
  struct yoi__metrics *m = yoi__metrics_new();
  const yoi_metric_label a = {YOI_LIT("a"), YOI_LIT("1")}, b = {YOI_LIT("b"), YOI_LIT("2")};
  const yoi_metric_label le = {YOI_LIT("le"), YOI_LIT("1")}, own = {YOI_LIT("__a"), YOI_LIT("1")};
  char name[YOI_METRIC_LABELS_MAX + 1][2];
  yoi_metric_label many[YOI_METRIC_LABELS_MAX + 1];
  (void)state;
  uint32_t id = make(m, YOI_METRIC_GAUGE, "yoi_a", LABELS(a, b), 2, YOI_OK);
  assert_int_equal(make(m, YOI_METRIC_GAUGE, "yoi_a", LABELS(a, b), 2, YOI_OK), id);
  make(m, YOI_METRIC_GAUGE, "yoi_a", LABELS(b, a), 2, YOI_INVALID_ARGUMENT);
  make(m, YOI_METRIC_GAUGE, "yoi_a", LABELS(a), 1, YOI_INVALID_ARGUMENT);
  make(m, YOI_METRIC_GAUGE, "yoi_b", LABELS(a, a), 2, YOI_INVALID_ARGUMENT);
  make(m, YOI_METRIC_GAUGE, "yoi_b", LABELS(le), 1, YOI_INVALID_ARGUMENT);
  make(m, YOI_METRIC_GAUGE, "yoi_b", LABELS(own), 1, YOI_INVALID_ARGUMENT);
  for (size_t i = 0; i <= YOI_METRIC_LABELS_MAX; i++) {
    name[i][0] = (char)('a' + i), name[i][1] = 0;
    many[i] = (yoi_metric_label){yoi_sdk_str(name[i]), YOI_LIT("v")};
  }
  make(m, YOI_METRIC_GAUGE, "yoi_c", many, YOI_METRIC_LABELS_MAX, YOI_OK);
  make(m, YOI_METRIC_GAUGE, "yoi_d", many, YOI_METRIC_LABELS_MAX + 1, YOI_INVALID_ARGUMENT);
  yoi__metrics_free(m);
}

static void test_gauges_go_both_ways_and_not_below_zero(void **state) {
  struct yoi__metrics *m = yoi__metrics_new();
  const yoi_metric_label a = {YOI_LIT("s"), YOI_LIT("x\"y")};
  (void)state;
  uint32_t moved = make(m, YOI_METRIC_GAUGE, "yoi_moved", NULL, 0, YOI_OK);
  uint32_t is_set = make(m, YOI_METRIC_GAUGE, "yoi_set", LABELS(a), 1, YOI_OK);
  uint32_t counted = counter(m, "yoi_c_total", "Help.", "", "", YOI_OK);
  yoi__metrics_add(m, moved, 3);
  yoi__metrics_sub(m, moved, 2);
  yoi__metrics_set(m, is_set, 7);
  yoi__metrics_set(m, is_set, 5);
  yoi__metrics_sub(m, counted, 1); /* counters only grow */
  yoi__metrics_set(m, counted, 9);
  yoi__metrics_observe(m, counted, 1);
  char *text = text_of(m);
  assert_string_equal(text,
                      "# HELP yoi_c_total Help.\n# TYPE yoi_c_total counter\nyoi_c_total 0\n"
                      "# HELP yoi_moved Help.\n# TYPE yoi_moved gauge\nyoi_moved 1\n"
                      "# HELP yoi_set Help.\n# TYPE yoi_set gauge\nyoi_set{s=\"x\\\"y\"} 5\n");
  yoi_sdk_free(text);
  yoi__metrics_sub(m, moved, 2);
  assert_int_equal(yoi__metrics_value(m, moved), 0);
  yoi__metrics_add(m, moved, 2);
  assert_int_equal(yoi__metrics_value(m, moved), 1);
  yoi__metrics_free(m);
}

/* The line of that bucket, sum or count; its value as text. */
static void assert_line(const char *text, const char *line) {
  const char *at = strstr(text, line);
  if (at == NULL || (at != text && at[-1] != '\n')) fail_msg("no line '%s' in:\n%s", line, text);
}

static void test_histogram_buckets_end_where_they_say(void **state) {
  struct yoi__metrics *m = yoi__metrics_new();
  const yoi_metric_label s = {YOI_LIT("s"), YOI_LIT("x")};
  (void)state;
  uint32_t id = make(m, YOI_METRIC_HISTOGRAM, "yoi_h_seconds", LABELS(s), 1, YOI_OK);
  static const uint64_t seen[] = {0, 50000, 50001, 100000, 100001, 838860800000, 838860800001};
  uint64_t sum = 0;
  for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
    yoi__metrics_observe(m, id, seen[i]);
    sum += seen[i];
  }
  yoi__metrics_add(m, id, 5); /* not for histograms */
  yoi__metrics_set(m, id, 5);
  assert_int_equal(yoi__metrics_value(m, id), 7);
  char *text = text_of(m), line[96];
  assert_line(text, "yoi_h_seconds_bucket{s=\"x\",le=\"0.00005\"} 2\n");
  assert_line(text, "yoi_h_seconds_bucket{s=\"x\",le=\"0.0001\"} 4\n");
  assert_line(text, "yoi_h_seconds_bucket{s=\"x\",le=\"0.0002\"} 5\n");
  assert_line(text, "yoi_h_seconds_bucket{s=\"x\",le=\"419.4304\"} 5\n");
  assert_line(text, "yoi_h_seconds_bucket{s=\"x\",le=\"838.8608\"} 6\n");
  assert_line(text, "yoi_h_seconds_bucket{s=\"x\",le=\"+Inf\"} 7\n");
  (void)snprintf(line, sizeof line, "yoi_h_seconds_sum{s=\"x\"} %llu.%09llu\n",
                 (unsigned long long)(sum / 1000000000u), (unsigned long long)(sum % 1000000000u));
  assert_line(text, line);
  assert_line(text, "yoi_h_seconds_count{s=\"x\"} 7\n");
  yoi_sdk_free(text);
  yoi__metrics_observe(m, id, UINT64_MAX); /* nothing but a broken clock says that */
  assert_int_equal(yoi__metrics_value(m, id), 8);
  yoi__metrics_free(m);
}

static void test_a_histogram_counts_to_the_limit_as_its_lines(void **state) {
  struct yoi__metrics *m = yoi__metrics_new();
  char name[64];
  int n = 0;
  uint32_t id;
  (void)state;
  for (;; n++) {
    (void)snprintf(name, sizeof name, "yoi_h%d_seconds", n);
    const yoi_metric metric = {.size = sizeof metric,
                               .type = YOI_METRIC_HISTOGRAM,
                               .name = yoi_sdk_str(name),
                               .help = YOI_LIT("Help.")};
    if (yoi__metrics_make(m, &metric, &id) != YOI_OK) break;
  }
  int lines = 0;
  char *text = text_of(m);
  for (char *at = text; (at = strchr(at, '\n')) != NULL; at++) lines++;
  lines -= 2 * n; /* HELP and TYPE */
  assert_in_range(lines, YOI_METRICS_MAX - lines / n, YOI_METRICS_MAX);
  for (int i = lines; i < YOI_METRICS_MAX; i++) {
    (void)snprintf(name, sizeof name, "yoi_g%d", i);
    make(m, YOI_METRIC_GAUGE, name, NULL, 0, YOI_OK);
  }
  make(m, YOI_METRIC_GAUGE, "yoi_more", NULL, 0, YOI_RESOURCE_EXHAUSTED);
  yoi_sdk_free(text);
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
    (void)yoi__metrics_make_one(m, YOI_METRIC_COUNTER, YOI_LIT("yoi_x_total"), YOI_LIT("X."),
                                YOI_LIT("l"), yoi_sdk_str(value), &id);
    yoi__metrics_add(m, id, 1);
  }
  return NULL;
}

static void *observes(void *arg) {
  struct yoi__metrics *m = arg;
  for (uint64_t i = 0; i < ADDS; i++) {
    yoi__metrics_observe(m, 1, i * 1000u);
    yoi__metrics_add(m, 2, 1);
    yoi__metrics_sub(m, 2, 1);
  }
  return NULL;
}

/* What one text shows agrees with itself, whenever it is made. */
static void check_text(struct yoi__metrics *m) {
  char *text = text_of(m);
  unsigned long long before = 0, n = 0, count = 0;
  for (char *at = text; (at = strstr(at, "_bucket{")) != NULL; at++) {
    n = strtoull(strchr(at, '}') + 1, NULL, 10);
    assert_true(n >= before);
    before = n;
  }
  count = strtoull(strstr(text, "yoi_h_seconds_count ") + sizeof "yoi_h_seconds_count", NULL, 10);
  assert_int_equal(count, n);
  yoi_sdk_free(text);
}

static void test_a_text_agrees_with_itself_while_threads_move_it(void **state) {
  struct yoi__metrics *m = yoi__metrics_new();
  pthread_t threads[ADDERS];
  (void)state;
  uint32_t id = make(m, YOI_METRIC_HISTOGRAM, "yoi_h_seconds", NULL, 0, YOI_OK);
  assert_int_equal(id, 1);
  assert_int_equal(make(m, YOI_METRIC_GAUGE, "yoi_g", NULL, 0, YOI_OK), 2);
  for (int i = 0; i < ADDERS; i++)
    assert_int_equal(pthread_create(&threads[i], NULL, observes, m), 0);
  for (int i = 0; i < 50; i++) check_text(m);
  for (int i = 0; i < ADDERS; i++) pthread_join(threads[i], NULL);
  assert_int_equal(yoi__metrics_value(m, id), ADDERS * ADDS);
  assert_int_equal(yoi__metrics_value(m, 2), 0);
  yoi__metrics_free(m);
}

/* ---- of the process ---- */

static double number_of(const char *text, const char *name) {
  const char *at = strstr(text, name);
  while (at != NULL && (at[strlen(name)] != ' ' || at[-1] != '\n')) at = strstr(at + 1, name);
  assert_non_null(at);
  return strtod(at + strlen(name), NULL);
}

static void test_the_process_says_what_is_so(void **state) {
  struct yoi_sdk_buf out;
  struct rusage usage;
  uint64_t began = yoi__process_began_ns();
  (void)state;
  int more = dup(0);
  yoi_sdk_buf_init(&out, 4096);
  yoi__process_text(&out, began);
  double fds = number_of(out.data, "process_open_fds");
  double bytes = number_of(out.data, "process_resident_memory_bytes");
  double start = number_of(out.data, "process_start_time_seconds");
  assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
  assert_true(bytes > 65536 && bytes <= (double)usage.ru_maxrss * 1024 + 1048576);
  assert_true(number_of(out.data, "process_cpu_seconds_total") >= 0);
  double now = (double)time(NULL);
  assert_true(start > now - 600 && start <= now + 1);
  close(more);
  yoi_sdk_buf_clear(&out);
  yoi__process_text(&out, began);
  assert_true(number_of(out.data, "process_open_fds") == fds - 1);
  yoi_sdk_buf_release(&out);
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
  for (uint32_t id = 1; yoi__metrics_cell(m, id) != NULL; id++) sum += yoi__metrics_value(m, id);
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
      cmocka_unit_test(test_a_plugin_apart_gets_its_own_and_what_is_shared),
      cmocka_unit_test(test_names_say_the_type),
      cmocka_unit_test(test_labels_are_a_fixed_set),
      cmocka_unit_test(test_gauges_go_both_ways_and_not_below_zero),
      cmocka_unit_test(test_histogram_buckets_end_where_they_say),
      cmocka_unit_test(test_a_histogram_counts_to_the_limit_as_its_lines),
      cmocka_unit_test(test_a_text_agrees_with_itself_while_threads_move_it),
      cmocka_unit_test(test_the_process_says_what_is_so),
      cmocka_unit_test(test_threads_share_counters),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
