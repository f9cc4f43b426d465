/* test_quota.c - windows: never more than so many in any span, whoever comes.
 * (Rates are tested with the rules.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sdk/str.h>
#include <stdio.h>

#include "abi/sdk/rules/quota.h"

#define MS 1000000u
#define START 7000050000000u /* not at the edge of a part */

static yoi_policy_request by(const char *principal, const char *worker) {
  return (yoi_policy_request){.size = sizeof(yoi_policy_request),
                              .principal = yoi_sdk_str(principal),
                              .worker_id = yoi_sdk_str(worker),
                              .runtime_id = YOI_LIT("main"),
                              .plugin = YOI_LIT("dev.yoi.tool-fs"),
                              .tool = YOI_LIT("fs_write")};
}

/* Whenever it is tried, in no span of a second are there more than three. */
static void no_span_has_more(void **state) {
  enum { TRIES = 4000 };
  static uint64_t taken[TRIES];
  struct quota q = {0};
  yoi_policy_request r = by("p", "w");
  uint64_t now = START;
  uint32_t seed = 1, n = 0;
  (void)state;
  assert_true(yoi__sdk_rules_quota_open(&q, 1, QUOTA_PER_PRINCIPAL, 3, 1000 * MS));
  for (int i = 0; i < TRIES; i++) {
    seed = seed * 1664525u + 1013904223u;
    now += (seed >> 20) * MS / 10;
    if (!yoi__sdk_rules_quota_take(&q, &r, 1, now)) continue;
    taken[n++] = now;
    if (n > 3) assert_true(now - taken[n - 4] >= 1000 * MS);
  }
  assert_true(n > 400); /* about as many as there may be: some 800 s / 1.14 s x 3 */
  yoi__sdk_rules_quota_close(&q);
}

static void it_counts_for_whom_it_says(void **state) {
  static const struct {
    uint32_t per;
    int principals, workers; /* have their own? */
  } rows[] = {{0, 0, 0},
              {QUOTA_PER_PRINCIPAL, 1, 0},
              {QUOTA_PER_WORKER, 0, 1},
              {QUOTA_PER_RUNTIME, 0, 0},
              {QUOTA_PER_PRINCIPAL | QUOTA_PER_WORKER, 1, 1}};
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct quota q = {0};
    yoi_policy_request a = by("p", "w"), b = by("q", "w"), c = by("p", "v");
    assert_true(yoi__sdk_rules_quota_open(&q, 1, rows[i].per, 1, 1000 * MS));
    assert_true(yoi__sdk_rules_quota_take(&q, &a, 1, START));
    assert_false(yoi__sdk_rules_quota_take(&q, &a, 1, START));
    assert_int_equal(yoi__sdk_rules_quota_take(&q, &b, 1, START), rows[i].principals);
    assert_int_equal(yoi__sdk_rules_quota_take(&q, &c, 1, START), rows[i].workers);
    yoi__sdk_rules_quota_close(&q);
  }
}

static void tools_of_one_name_are_told_apart(void **state) {
  struct quota q = {0};
  yoi_policy_request a = by("p", "w"), b = a, c = a;
  (void)state;
  b.plugin = YOI_LIT("org.example.fs");
  c.tool = YOI_LIT("fs_read");
  assert_true(yoi__sdk_rules_quota_open(&q, 1, QUOTA_PER_TOOL, 1, 1000 * MS));
  assert_true(yoi__sdk_rules_quota_take(&q, &a, 1, START) &&
              yoi__sdk_rules_quota_take(&q, &b, 1, START) &&
              yoi__sdk_rules_quota_take(&q, &c, 1, START));
  assert_false(yoi__sdk_rules_quota_take(&q, &a, 1, START));
  /* "ab" "c" is not "a" "bc" */
  a.plugin = YOI_LIT("ab"), a.tool = YOI_LIT("c");
  b.plugin = YOI_LIT("a"), b.tool = YOI_LIT("bc");
  assert_true(yoi__sdk_rules_quota_take(&q, &a, 1, START) &&
              yoi__sdk_rules_quota_take(&q, &b, 1, START));
  yoi__sdk_rules_quota_close(&q);
}

static void amounts_and_what_is_given_back(void **state) {
  struct quota q = {0};
  yoi_policy_request r = by("p", "w"), other = by("q", "w");
  (void)state;
  assert_true(yoi__sdk_rules_quota_open(&q, 1, QUOTA_PER_PRINCIPAL, 100, 1000 * MS));
  assert_false(yoi__sdk_rules_quota_take(&q, &r, 101, START));
  assert_true(yoi__sdk_rules_quota_take(&q, &r, 100, START));
  assert_false(yoi__sdk_rules_quota_take(&q, &r, 1, START + MS));
  yoi__sdk_rules_quota_give(&q, &r, 40, START);
  assert_false(yoi__sdk_rules_quota_take(&q, &r, 41, START + MS));
  assert_true(yoi__sdk_rules_quota_take(&q, &r, 40, START + MS));
  yoi__sdk_rules_quota_give(&q, &other, 40, START);                 /* of whom nothing is known */
  yoi__sdk_rules_quota_give(&q, &r, 1000, START + 3600000ull * MS); /* not there yet */
  assert_false(yoi__sdk_rules_quota_take(&q, &r, 1, START + 2 * MS));
  yoi__sdk_rules_quota_give(&q, &r, 1000, START); /* no more than there was */
  assert_true(yoi__sdk_rules_quota_take(&q, &r, 100, START + 3 * MS));
  assert_false(yoi__sdk_rules_quota_take(&q, &r, 1, START + 3 * MS));
  /* Long ago: it does not count any more, and cannot be given back. */
  assert_true(yoi__sdk_rules_quota_take(&q, &r, 100, START + 3600000ull * MS));
  yoi__sdk_rules_quota_give(&q, &r, 100, START);
  assert_false(yoi__sdk_rules_quota_take(&q, &r, 1, START + 3600000ull * MS));
  assert_false(
      yoi__sdk_rules_quota_take(&q, &r, 1, START)); /* a clock that goes back gives nothing */
  yoi__sdk_rules_quota_close(&q);
}

/* Who makes names has no more than others: the table is full, and then nobody
 * new has room until what is in it has passed. */
static void many_names_do_not_help(void **state) {
  struct quota q = {0};
  char name[32];
  (void)state;
  assert_true(yoi__sdk_rules_quota_open(&q, 1, QUOTA_PER_WORKER, 1, 1000 * MS));
  for (int i = 0; i <= QUOTA_WINDOWS_MAX; i++) {
    (void)snprintf(name, sizeof name, "w%d", i);
    yoi_policy_request r = by("p", name);
    assert_int_equal(yoi__sdk_rules_quota_take(&q, &r, 1, START), i < QUOTA_WINDOWS_MAX);
  }
  for (int i = 0; i < QUOTA_WINDOWS_MAX; i++) {
    (void)snprintf(name, sizeof name, "w%d", i);
    yoi_policy_request r = by("p", name);
    assert_false(yoi__sdk_rules_quota_take(&q, &r, 1, START + MS));
  }
  yoi_policy_request r = by("p", "another");
  assert_false(yoi__sdk_rules_quota_take(&q, &r, 1, START + MS));
  assert_true(yoi__sdk_rules_quota_take(&q, &r, 1, START + 2000 * MS));
  assert_int_equal(q.used, 1);
  yoi__sdk_rules_quota_close(&q);
}

static void *take_all(void *ctx) {
  struct quota *q = ctx;
  uint64_t taken = 0;
  char name[32];
  for (int i = 0; i < 4000; i++) {
    (void)snprintf(name, sizeof name, "w%d", i % 100);
    yoi_policy_request r = by("p", name);
    taken += (uint64_t)yoi__sdk_rules_quota_take(q, &r, 1, START);
  }
  return (void *)(uintptr_t)taken;
}

static void threads_take_no_more_together(void **state) {
  pthread_t threads[4];
  struct quota q = {0};
  uint64_t all = 0;
  (void)state;
  assert_true(yoi__sdk_rules_quota_open(&q, 1, QUOTA_PER_WORKER, 7, 1000 * MS));
  for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, take_all, &q), 0);
  for (int i = 0; i < 4; i++) {
    void *taken = NULL;
    assert_int_equal(pthread_join(threads[i], &taken), 0);
    all += (uintptr_t)taken;
  }
  assert_int_equal(all, 7 * 100);
  yoi__sdk_rules_quota_close(&q);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(no_span_has_more),
      cmocka_unit_test(it_counts_for_whom_it_says),
      cmocka_unit_test(tools_of_one_name_are_told_apart),
      cmocka_unit_test(amounts_and_what_is_given_back),
      cmocka_unit_test(many_names_do_not_help),
      cmocka_unit_test(threads_take_no_more_together),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
