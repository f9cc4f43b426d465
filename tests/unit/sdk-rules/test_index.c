/* test_index.c - many patterns at once say what each of them says alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sdk/glob.h>
#include <sdk/str.h>
#include <stdio.h>
#include <string.h>

#include "abi/sdk/rules/index.h"
#include "abi/sdk/rules/path.h"

/* A small generator, so that a failure can be seen again. */
static uint32_t next(uint32_t *seed) {
  *seed = *seed * 1664525u + 1013904223u;
  return *seed >> 16;
}

static yoi_str any(uint32_t *seed, const char *letters, char *out, size_t most) {
  size_t n = next(seed) % (most + 1);
  for (size_t i = 0; i < n; i++) out[i] = letters[next(seed) % strlen(letters)];
  out[n] = '\0';
  return (yoi_str){out, n};
}

#define PATTERNS 40

static void compare(uint32_t kind, const char *pattern_letters, const char *text_letters) {
  uint32_t seed = 7, fits = 0;
  for (int round = 0; round < 400; round++) {
    struct index x = {.kind = kind};
    char made[PATTERNS][16], room[16];
    yoi_str patterns[PATTERNS];
    for (uint32_t i = 0; i < PATTERNS; i++) {
      patterns[i] = any(&seed, pattern_letters, room, 7);
      size_t len = patterns[i].len;
      memcpy(made[i], room, sizeof room);
      if (kind == INDEX_PATH &&
          yoi__sdk_rules_path_pattern(patterns[i], made[i], sizeof made[i], &len) != NULL)
        len = 0;
      patterns[i] = (yoi_str){made[i], len};
      assert_true(yoi__sdk_rules_index_add(&x, patterns[i], i * 25));
    }
    assert_true(yoi__sdk_rules_index_build(&x));
    for (int t = 0; t < 20; t++) {
      struct bits found = {{0}};
      yoi_str text = any(&seed, text_letters, room, 7);
      char normal[16];
      size_t len;
      if (kind == INDEX_PATH) {
        if (!yoi__sdk_rules_path_normal(text, normal, sizeof normal, &len)) continue;
        text = (yoi_str){normal, len};
      }
      yoi__sdk_rules_index_find(&x, text, &found);
      for (uint32_t i = 0; i < PATTERNS; i++) {
        int alone = kind == INDEX_PATH ? yoi__sdk_rules_path_glob(patterns[i], text)
                                       : yoi_sdk_glob(patterns[i], text);
        fits += (uint32_t)alone;
        if (bits_has(&found, i * 25) != alone)
          fail_msg("'%.*s' and '%.*s'", YOI_ARG(patterns[i]), YOI_ARG(text));
      }
    }
    yoi__sdk_rules_index_free(&x);
  }
  assert_true(fits > 1000);
}

static void texts(void **state) {
  (void)state;
  compare(INDEX_TEXT, "aab*?", "aab");
  compare(INDEX_HOST, "ab.*", "ab.");
}

static void paths(void **state) {
  (void)state;
  compare(INDEX_PATH, "aab/**?", "aab/");
}

static void the_same_pattern_is_there_once(void **state) {
  struct index x = {.kind = INDEX_TEXT};
  struct bits found = {{0}};
  (void)state;
  for (uint32_t i = 0; i < RULES_MAX; i++)
    assert_true(yoi__sdk_rules_index_add(&x, YOI_LIT("fs_*"), i));
  assert_true(yoi__sdk_rules_index_build(&x));
  assert_int_equal(x.n, 1);
  yoi__sdk_rules_index_find(&x, YOI_LIT("fs_write"), &found);
  for (uint32_t i = 0; i < RULES_MAX; i++) assert_true(bits_has(&found, i));
  yoi__sdk_rules_index_free(&x);
}

static void a_long_beginning_is_cut(void **state) {
  static char long_text[2 * INDEX_LITERAL_MAX];
  struct index x = {.kind = INDEX_TEXT};
  struct bits found = {{0}};
  (void)state;
  memset(long_text, 'a', sizeof long_text);
  for (uint32_t i = 0; i < 3; i++)
    assert_true(yoi__sdk_rules_index_add(&x, (yoi_str){long_text, INDEX_LITERAL_MAX - 1 + i}, i));
  assert_true(yoi__sdk_rules_index_build(&x));
  yoi__sdk_rules_index_find(&x, (yoi_str){long_text, INDEX_LITERAL_MAX + 1}, &found);
  assert_true(!bits_has(&found, 0) && !bits_has(&found, 1) && bits_has(&found, 2));
  yoi__sdk_rules_index_free(&x);
}

static void bits_are_found_in_order(void **state) {
  static const uint32_t set[] = {0, 1, 63, 64, 500, RULES_MAX - 1};
  struct bits b = {{0}}, every;
  uint32_t at = 0;
  (void)state;
  memset(&every, 0xff, sizeof every);
  assert_int_equal(bits_next(&b, &every, 0), RULES_MAX);
  for (size_t i = 0; i < 6; i++) bits_set(&b, set[i]);
  for (size_t i = 0; i < 6; i++, at++) {
    at = bits_next(&b, &every, at);
    assert_int_equal(at, set[i]);
  }
  assert_int_equal(bits_next(&b, &every, at), RULES_MAX);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts),
      cmocka_unit_test(paths),
      cmocka_unit_test(the_same_pattern_is_there_once),
      cmocka_unit_test(a_long_beginning_is_cut),
      cmocka_unit_test(bits_are_found_in_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
