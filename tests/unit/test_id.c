/* Identifiers by grammar, digests against known vectors, UUIDs, times (sdk/id.h). */
#include <sdk/id.h>
#include <sdk/str.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void sha256_known_vectors(void **state) {
  (void)state;
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  char text[YOI_SDK_DIGEST_SIZE];
  assert_int_equal(yoi_sdk_sha256("abc", 3, sha), 1);
  yoi_sdk_digest_text(sha, text);
  assert_string_equal(text,
                      "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert_int_equal(yoi_sdk_sha256(NULL, 0, sha), 1);
  yoi_sdk_digest_text(sha, text);
  assert_string_equal(text,
                      "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void uuids_increase(void **state) {
  (void)state;
  char last[YOI_SDK_UUID_SIZE] = "", now[YOI_SDK_UUID_SIZE];
  for (int i = 0; i < 10000; i++) {
    assert_int_equal(yoi_sdk_uuid7(1700000000000000000u - (uint64_t)i * 1000000, now), 1);
    assert_int_equal(strlen(now), 36);
    assert_int_equal(now[14], '7');
    assert_true(strchr("89ab", now[19]) != NULL);
    assert_true(strcmp(last, now) < 0);
    memcpy(last, now, sizeof now);
  }
}

static void times(void **state) {
  (void)state;
  char t[YOI_SDK_TIME_SIZE];
  yoi_sdk_time_text(0, t);
  assert_string_equal(t, "1970-01-01T00:00:00.000Z");
  yoi_sdk_time_text(951782399999000000u, t);
  assert_string_equal(t, "2000-02-28T23:59:59.999Z");
  yoi_sdk_time_text(951825600000000000u, t);
  assert_string_equal(t, "2000-02-29T12:00:00.000Z");
  yoi_sdk_time_text(1709164800123456789u, t);
  assert_string_equal(t, "2024-02-29T00:00:00.123Z");
  yoi_sdk_time_text(1735689599999999999u, t);
  assert_string_equal(t, "2024-12-31T23:59:59.999Z");
  yoi_sdk_time_text(UINT64_MAX, t);
  assert_string_equal(t, "2554-07-21T23:34:33.709Z");
}

static void grammars(void **state) {
  (void)state;
  assert_true(yoi_sdk_id_valid(YOI_LIT("a.b_c-9")));
  assert_false(yoi_sdk_id_valid(YOI_LIT(".a")));
  assert_false(yoi_sdk_id_valid(YOI_LIT("A")));
  assert_false(yoi_sdk_id_valid(YOI_LIT("")));
  assert_false(yoi_sdk_id_valid(YOI_LIT("a/b")));
  assert_true(yoi_sdk_plugin_id_valid(YOI_LIT("dev.yoi.null")));
  assert_false(yoi_sdk_plugin_id_valid(YOI_LIT("dev")));
  assert_false(yoi_sdk_plugin_id_valid(YOI_LIT("dev..x")));
  assert_false(yoi_sdk_plugin_id_valid(YOI_LIT("dev.x.")));
  assert_true(yoi_sdk_traceparent_valid(
      YOI_LIT("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")));
  assert_false(yoi_sdk_traceparent_valid(
      YOI_LIT("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")));
  assert_true(yoi_sdk_secret_eq(YOI_LIT("abc"), YOI_LIT("abc")));
  assert_false(yoi_sdk_secret_eq(YOI_LIT("abc"), YOI_LIT("abd")));
  assert_false(yoi_sdk_secret_eq(YOI_LIT("abc"), YOI_LIT("ab")));
  assert_false(yoi_sdk_secret_eq(YOI_LIT(""), YOI_LIT("")));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sha256_known_vectors),
      cmocka_unit_test(uuids_increase),
      cmocka_unit_test(times),
      cmocka_unit_test(grammars),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
