/* Regular expressions: what they find, what is refused, and that no pattern
 * takes more than its steps (abi/sdk/schema/schema_pattern.c). */
#include <sdk/mem.h>
#include <sdk/str.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <yoi/limits.h>

#include <cmocka.h>

#include <sdk/pattern.h>

static struct yoi_sdk_pattern *pattern(const char *text) {
  size_t room = YOI_SCHEMA_STATES_MAX;
  const char *why;
  struct yoi_sdk_pattern *p = yoi_sdk_pattern_new(yoi_sdk_str(text), &room, &why);
  if (!p) fail_msg("'%s': %s", text, why ? why : "no memory");
  return p;
}

static int found(const char *text, const char *in) {
  uint64_t steps = 1000000;
  struct yoi_sdk_pattern *p = pattern(text);
  int answer = yoi_sdk_pattern_match(p, yoi_sdk_str(in), &steps);
  yoi_sdk_pattern_free(p);
  return answer;
}

/* The pattern is found in the first n texts and not in the others. */
struct row {
  const char *pattern;
  int n;
  const char *texts[8];
};

static void check_rows(const struct row *rows, size_t n) {
  for (size_t i = 0; i < n; i++) {
    for (int k = 0; k < 8 && rows[i].texts[k]; k++) {
      if (found(rows[i].pattern, rows[i].texts[k]) != (k < rows[i].n))
        fail_msg("'%s' in '%s'", rows[i].pattern, rows[i].texts[k]);
    }
  }
}

static void characters_and_classes(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"", 2, {"", "a"}},
      {"abc", 2, {"abc", "xxabcx", "ab", "a bc", ""}},
      {"a.c",
       3,
       {"abc",
        "a\xC3\xA9"
        "c",
        "a\tc", "a\nc", "a\rc",
        "a\xE2\x80\xA8"
        "c",
        "ac"}},
      {"[a-cx]", 2, {"b", "x", "d", "-", ""}},
      {"[^a-c]", 2, {"d", "\n", "a", "abc", ""}},
      {"^[]$", 0, {"", "a", "]"}},
      {"^[^]$", 2, {"a", "\n", ""}},
      {"^[-a]$", 2, {"-", "a", "b"}},
      {"^[a-]$", 2, {"-", "a", "b"}},
      {"^[\\w-.]$", 3, {"-", ".", "q", ",", " "}},
      {"^[a-\\d]$", 3, {"a", "-", "5", "b"}},
      {"^[\\]\\\\]$", 2, {"]", "\\", "["}},
      {"^[^\\s\\d]+$", 2, {"ab", "\xC3\xA9", "a b", "a1"}},
      {"^[\\D]$", 1, {"a", "1"}},
      {"^[c-ea-d]+$", 1, {"abcde", "f"}},
      {"^\\d\\D\\w\\W\\s\\S$", 1, {"1a_-\tx", "aa_-\tx", "11_-\tx", "1a_a\tx", "1a_-xx"}},
      {"^\\s$", 4, {"\xC2\xA0", "\xE3\x80\x80", "\xEF\xBB\xBF", "\v", "\xE2\x80\x8B", "x"}},
      {"\xF0\x9F\x90\xB2+$",
       2,
       {"\xF0\x9F\x90\xB2\xF0\x9F\x90\xB2", "x\xF0\x9F\x90\xB2", "\xF0\x9F\x90\xB1"}},
      {"^[\xC3\xA0-\xC3\xBF]$", 1, {"\xC3\xA9", "e"}},
      {"]}", 1, {"]}", "}]"}},
  };
  check_rows(rows, sizeof rows / sizeof *rows);
}

static void escapes(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"^\\t\\n\\v\\f\\r$", 1, {"\t\n\v\f\r", "tnvfr"}},
      {"^\\x41\\u0042\\u{43}\\u{1F432}$", 1, {"ABC\xF0\x9F\x90\xB2", "ABC"}},
      {"^\\ud83d\\udc32$", 1, {"\xF0\x9F\x90\xB2"}},
      {"^\\cA\\ca$", 1, {"\x01\x01"}},
      {"^\\.\\*\\/\\-\\^\\$\\|\\(\\)\\[\\]\\{\\}\\?\\+\\\\$", 1, {".*/-^$|()[]{}?+\\"}},
      {"^[\\b]$", 1, {"\b", "b"}},
      {"\\bcat\\b", 3, {"cat", "a cat!", "cat-", "cats", "_cat", "concat"}},
      {"\\Bat\\b", 1, {"cat", "at", "atc"}},
  };
  check_rows(rows, sizeof rows / sizeof *rows);
}

static void groups_and_repetition(void **state) {
  (void)state;
  static const struct row rows[] = {
      {"^a*$", 3, {"", "a", "aaa", "ab"}},
      {"^a+$", 2, {"a", "aaa", "", "b"}},
      {"^a?$", 2, {"", "a", "aa"}},
      {"^a{2}$", 1, {"aa", "a", "aaa", ""}},
      {"^a{2,}$", 2, {"aa", "aaaa", "a", ""}},
      {"^a{1,3}$", 3, {"a", "aa", "aaa", "", "aaaa"}},
      {"^a{0,2}b$", 3, {"b", "ab", "aab", "aaab", "a"}},
      {"^a{0}b$", 1, {"b", "ab"}},
      {"^(?:ab){2,3}$", 2, {"abab", "ababab", "ab", "abababab", "aba"}},
      {"^(?<year>\\d{4})-(\\d\\d)$", 1, {"2026-06", "226-06"}},
      {"^(a|b|cd)+$", 3, {"a", "bcd", "cdab", "c", "", "dc"}},
      {"^a|b$", 2, {"ax", "xb", "xa", "bx"}},
      {"^(|a)b$", 2, {"b", "ab", "aab"}},
      {"^(a*)*$", 2, {"", "aaa", "b"}},
      {"^(a|(b|c)+|)*$", 2, {"", "abcabc", "d"}},
      {"^(^a$)$", 1, {"a", "aa"}},
      {"^(){5}$", 1, {"", "a"}},
      {"^a*?b+?c??d{1,2}?$", 2, {"aabbcd", "bdd", "ab"}},
      {"a$b", 0, {"ab", "a\nb"}},
      {"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\\.[a-z]{2,})+$",
       2,
       {"a-b.example.org", "x.yz", "-a.example", "a..b", "A.bc"}},
  };
  check_rows(rows, sizeof rows / sizeof *rows);
}

static void what_is_refused_says_why(void **state) {
  (void)state;
  static const struct {
    const char *pattern, *why;
  } rows[] = {
      {"(a)\\1", "back references are not supported"},
      {"(?<n>a)\\k<n>", "back references are not supported"},
      {"(?=a)", "look-around is not supported"},
      {"(?!a)", "look-around is not supported"},
      {"(?<=a)", "look-around is not supported"},
      {"(?<!a)", "look-around is not supported"},
      {"(?i)a", "unknown form of group"},
      {"(?", "unknown form of group"},
      {"\\p{L}", "'\\p' is not supported"},
      {"\\a", "unknown escape behind '\\'"},
      {"a\\", "nothing behind the last '\\'"},
      {"\\x4", "hexadecimal digits are missing behind '\\x' or '\\u'"},
      {"\\u12", "hexadecimal digits are missing behind '\\x' or '\\u'"},
      {"\\u{110000}", "'\\u{' wants a character and '}'"},
      {"\\ud83d", "half of a character behind '\\u'"},
      {"\\udc32", "half of a character behind '\\u'"},
      {"\\c1", "'\\c' wants a letter"},
      {"\\01", "octal escapes are not supported"},
      {"*a", "nothing to repeat before '*', '+' or '?'"},
      {"a|+", "nothing to repeat before '*', '+' or '?'"},
      {"^*", "'^', '$', '\\b' and '\\B' cannot be repeated"},
      {"a{2}{3}", "a '{' that is meant as such needs a '\\' before it"},
      {"{", "a '{' that is meant as such needs a '\\' before it"},
      {"a{x}", "expected {n}, {n,} or {n,m}"},
      {"a{3,2}", "expected {n}, {n,} or {n,m}"},
      {"a{2", "expected {n}, {n,} or {n,m}"},
      {"[a", "']' is missing"},
      {"[z-a]", "a range of characters is the wrong way round"},
      {"(a", "')' is missing"},
      {"a)", "')' without '('"},
      {"(?<a!>b)", "the name of a group wants '>'"},
      {"a{99999999999999999999}", "the pattern is too large"},
      {"((a{100}){100}){100}", "the pattern is too large"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t room = YOI_SCHEMA_STATES_MAX;
    const char *why = NULL;
    assert_null(yoi_sdk_pattern_new(yoi_sdk_str(rows[i].pattern), &room, &why));
    assert_string_equal(why, rows[i].why);
  }
}

static void sizes_are_bounded(void **state) {
  (void)state;
  char text[256];
  const char *why;
  struct yoi_sdk_pattern *p;
  size_t room;
  for (int over = 0; over <= 1; over++) {
    room = YOI_SCHEMA_STATES_MAX; /* one state is the match itself */
    (void)snprintf(text, sizeof text, "a{%d}", YOI_PATTERN_STATES_MAX - 1 + over);
    p = yoi_sdk_pattern_new(yoi_sdk_str(text), &room, &why);
    assert_int_equal(p == NULL, over);
    yoi_sdk_pattern_free(p);
    memset(text, 0, sizeof text);
    memset(text, '(', (size_t)YOI_PATTERN_DEPTH_MAX + (size_t)over);
    memset(text + strlen(text), ')', strlen(text));
    room = YOI_SCHEMA_STATES_MAX;
    p = yoi_sdk_pattern_new(yoi_sdk_str(text), &room, &why);
    assert_int_equal(p == NULL, over);
    if (over) assert_string_equal(why, "groups are nested too deeply");
    yoi_sdk_pattern_free(p);
    room = 4 - (size_t)over;
    p = yoi_sdk_pattern_new(YOI_LIT("abc"), &room, &why);
    assert_int_equal(p == NULL, over);
    assert_int_equal(room, 0);
    yoi_sdk_pattern_free(p);
  }
  room = 1000; /* what is dropped again was paid for */
  assert_null(yoi_sdk_pattern_new(YOI_LIT("(a{900}){0}(a{900}){0}"), &room, &why));
}

/* What takes other matchers for ever. */
static void time_is_linear_and_counted(void **state) {
  (void)state;
  static const char *const patterns[] = {"^(a+)+$", "^(a|a)*$",        "^(a|aa)+$",
                                         "(.*)*x",  "^(a?){30}a{30}$", "(a*)*(a*)*(a*)*b"};
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 100000);
  for (int i = 0; i < 20000; i++) yoi_sdk_buf_addc(&b, 'a');
  yoi_sdk_buf_addc(&b, '!');
  for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
    struct yoi_sdk_pattern *p = pattern(patterns[i]);
    uint64_t all = 1000000, steps = all;
    assert_int_equal(yoi_sdk_pattern_match(p, yoi_sdk_buf_str(&b), &steps), 0);
    uint64_t used = all - steps;
    assert_true(used < b.len * 40);
    steps = used; /* just enough, and one too few */
    assert_int_equal(yoi_sdk_pattern_match(p, yoi_sdk_buf_str(&b), &steps), 0);
    assert_int_equal(steps, 0);
    steps = used - 1;
    assert_int_equal(yoi_sdk_pattern_match(p, yoi_sdk_buf_str(&b), &steps), -1);
    yoi_sdk_pattern_free(p);
  }
  yoi_sdk_buf_release(&b);
}

static void memory_short(void **state) {
  (void)state;
  static const char text[] = "^([a-z]|[\\d\\s]){200}$";
  uint64_t n = 1, steps = 1000000;
  for (uint64_t i = 0; i <= n; i++) {
    size_t room = YOI_SCHEMA_STATES_MAX;
    const char *why;
    (void)yoi_sdk_mem_fail_at(i);
    struct yoi_sdk_pattern *p = yoi_sdk_pattern_new(yoi_sdk_str(text), &room, &why);
    uint64_t made = yoi_sdk_mem_fail_at(0);
    if (i == 0) n = made;
    assert_int_equal(p == NULL, i > 0);
    assert_null(why);
    yoi_sdk_pattern_free(p);
  }
  struct yoi_sdk_pattern *p = pattern(text);
  (void)yoi_sdk_mem_fail_at(1);
  assert_int_equal(yoi_sdk_pattern_match(p, YOI_LIT("a"), &steps), -2);
  assert_int_equal(yoi_sdk_pattern_match(p, YOI_LIT("a"), &steps), 0);
  yoi_sdk_pattern_free(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(characters_and_classes), cmocka_unit_test(escapes),
      cmocka_unit_test(groups_and_repetition),  cmocka_unit_test(what_is_refused_says_why),
      cmocka_unit_test(sizes_are_bounded),      cmocka_unit_test(time_is_linear_and_counted),
      cmocka_unit_test(memory_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
