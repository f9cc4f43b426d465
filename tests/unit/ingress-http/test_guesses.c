/* Whoever guesses tokens has to wait, and nobody else has to; browsers that are
 * known wait for themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sdk/str.h>
#include <string.h>
#include <yoi/ops.h>

#include "plugins/ingress-http/guesses.h"

static struct http_guesses g;
static struct yoi_sdk_error err;

static int begin(void **state) {
  (void)state;
  return http_guesses_init(&g) ? 0 : -1;
}

static int end(void **state) {
  (void)state;
  http_guesses_free(&g);
  return 0;
}

static struct http_peer_key peer(uint64_t id) { return (struct http_peer_key){AF_INET, id}; }

/* The wait in milliseconds; 0: he may try. */
static uint32_t wait(struct http_peer_key who, uint64_t now_ms) {
  yoi_sdk_error_init(&err);
  if (http_guess_check(&g, who, now_ms, &err.e) == YOI_OK) return 0;
  assert_int_equal(err.e.code, YOI_CODE_RATE_LIMITED);
  assert_true(err.e.retry_after_ms > 0);
  return err.e.retry_after_ms;
}

static void waits_grow_to_an_end(void **state) {
  (void)state;
  uint64_t now = 1000;
  for (int i = 0; i < YOI_HTTP_GUESSES_FREE; i++) {
    assert_int_equal(wait(peer(1), now), 0);
    http_guess_wrong(&g, peer(1), now);
  }
  static const uint32_t waits[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000};
  for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
    assert_int_equal(wait(peer(1), now), 0);
    http_guess_wrong(&g, peer(1), now);
    assert_int_equal(wait(peer(1), now), waits[i]);
    now += waits[i];
    assert_int_equal(wait(peer(1), now - 1), 1);
  }
  for (int i = 0; i < 100; i++) http_guess_wrong(&g, peer(1), now); /* no shift too far */
  assert_int_equal(wait(peer(1), now), YOI_HTTP_GUESS_MS_MAX);
}

static void nobody_else_waits(void **state) {
  (void)state;
  for (int i = 0; i < 100; i++) http_guess_wrong(&g, peer(1), 1000);
  assert_true(wait(peer(1), 1000) > 0);
  assert_int_equal(wait(peer(2), 1000), 0);
  assert_int_equal(wait((struct http_peer_key){AF_INET6, 1}, 1000), 0);
}

static void it_is_forgotten(void **state) {
  (void)state;
  for (int i = 0; i < 100; i++) http_guess_wrong(&g, peer(1), 1000);
  uint64_t later = 1000 + YOI_HTTP_GUESS_FORGET_MS;
  for (int i = 0; i < YOI_HTTP_GUESSES_FREE; i++) http_guess_wrong(&g, peer(1), later);
  assert_int_equal(wait(peer(1), later), 0);
  http_guess_wrong(&g, peer(1), later);
  assert_int_equal(wait(peer(1), later), 1000);
}

/* As many peers as an attacker likes: the table stays, and works. */
static void the_table_does_not_grow(void **state) {
  (void)state;
  for (uint64_t id = 0; id < 100000; id++) http_guess_wrong(&g, peer(id), 1000 + id);
  for (int i = 0; i < 10; i++) http_guess_wrong(&g, peer(5000000), 200000);
  assert_true(wait(peer(5000000), 200000) > 0);
}

static void a_device_is_itself_wherever_it_comes_from(void **state) {
  (void)state;
  char a[HTTP_DEVICE_TEXT + 1], b[HTTP_DEVICE_TEXT + 1];
  struct http_peer_key who_a, again, who_b;
  assert_int_equal(http_device_new(&g, YOI_LIT("token:ann"), a), 1);
  assert_int_equal(http_device_new(&g, YOI_LIT("token:bob"), b), 1);
  assert_int_equal(http_device_who(&g, yoi_sdk_str(a), &who_a), 1);
  assert_int_equal(http_device_who(&g, yoi_sdk_str(a), &again), 1);
  assert_int_equal(http_device_who(&g, yoi_sdk_str(b), &who_b), 1);
  assert_true(who_a.id == again.id && who_a.id != who_b.id);
  /* Another one of the same caller guesses for him. */
  char second[HTTP_DEVICE_TEXT + 1];
  assert_int_equal(http_device_new(&g, YOI_LIT("token:ann"), second), 1);
  assert_string_not_equal(a, second);
  assert_int_equal(http_device_who(&g, yoi_sdk_str(second), &again), 1);
  assert_true(who_a.id == again.id && who_a.family == again.family);
  for (int i = 0; i < 100; i++) http_guess_wrong(&g, who_a, 1000);
  assert_true(wait(who_a, 1000) > 0);
  assert_int_equal(wait(who_b, 1000), 0);
  /* Nobody makes one himself. */
  for (size_t i = 0; i < HTTP_DEVICE_TEXT; i++) {
    char bad[HTTP_DEVICE_TEXT + 1];
    memcpy(bad, a, sizeof bad);
    bad[i] = bad[i] == '0' ? '1' : '0';
    assert_int_equal(http_device_who(&g, yoi_sdk_str(bad), &again), 0);
  }
  assert_int_equal(http_device_who(&g, YOI_LIT(""), &again), 0);
  assert_int_equal(http_device_who(&g, (yoi_str){a, HTTP_DEVICE_TEXT - 1}, &again), 0);
  struct http_guesses other;
  assert_int_equal(http_guesses_init(&other), 1);
  assert_int_equal(http_device_who(&other, yoi_sdk_str(a), &again), 0);
  http_guesses_free(&other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(waits_grow_to_an_end, begin, end),
      cmocka_unit_test_setup_teardown(nobody_else_waits, begin, end),
      cmocka_unit_test_setup_teardown(it_is_forgotten, begin, end),
      cmocka_unit_test_setup_teardown(the_table_does_not_grow, begin, end),
      cmocka_unit_test_setup_teardown(a_device_is_itself_wherever_it_comes_from, begin, end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
