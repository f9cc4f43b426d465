/* Reading text without a tree: members, elements, escapes, integers, places.
 * And on anything at all, cut anywhere, nothing is read behind the end. */
#include <sdk/json.h>
#include <sdk/mem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void has_raw(const char *text, const char *name, const char *expected) {
  yoi_str v = yoi_sdk_json_raw_get(yoi_sdk_str(text), name);
  if (!expected) {
    assert_null(v.ptr);
    assert_int_equal(v.len, 0);
  } else {
    assert_true(yoi_sdk_str_is(v, expected));
  }
}

static void members(void **state) {
  (void)state;
  const char *t =
      " {\"a\\u0062\" : {\"x\":\"}\\\\\"} ,\"n\":-12,\"s\":\"\\\"\\\\\\\"\",\"l\":[1,[2,\"]\"]],"
      "\"\":true,\"e\":{},\"f\":[]\n}";
  has_raw(t, "ab", "{\"x\":\"}\\\\\"}");
  has_raw(t, "n", "-12");
  has_raw(t, "s", "\"\\\"\\\\\\\"\"");
  has_raw(t, "l", "[1,[2,\"]\"]]");
  has_raw(t, "", "true");
  has_raw(t, "e", "{}");
  has_raw(t, "f", "[]");
  has_raw(t, "x", NULL);
  has_raw(t, "a", NULL);
  has_raw(t, "abc", NULL);
  has_raw("{}", "a", NULL);
  has_raw("[{\"a\":1}]", "a", NULL);
  has_raw("\"a\"", "a", NULL);
  has_raw("", "a", NULL);
  has_raw("{\"\\ud83d\\ude00\":1}", "\xF0\x9F\x98\x80", "1");
}

static void each(const char *text, const char *expected) {
  struct yoi_sdk_buf b;
  yoi_str e;
  size_t pos = 0;
  yoi_sdk_buf_init(&b, 1000);
  yoi_sdk_buf_addc(&b, '|');
  while (yoi_sdk_json_raw_each(yoi_sdk_str(text), &pos, &e)) {
    yoi_sdk_buf_adds(&b, e);
    yoi_sdk_buf_addc(&b, '|');
  }
  assert_string_equal(b.data, expected);
  assert_int_equal(yoi_sdk_json_raw_each(yoi_sdk_str(text), &pos, &e), 0); /* stays at the end */
  yoi_sdk_buf_release(&b);
}

static void each_member(const char *text, const char *expected) {
  struct yoi_sdk_buf b;
  yoi_str key, value;
  size_t pos = 0;
  yoi_sdk_buf_init(&b, 1000);
  yoi_sdk_buf_addc(&b, '|');
  while (yoi_sdk_json_raw_member(yoi_sdk_str(text), &pos, &key, &value)) {
    yoi_sdk_buf_adds(&b, key);
    yoi_sdk_buf_addc(&b, '=');
    yoi_sdk_buf_adds(&b, value);
    yoi_sdk_buf_addc(&b, '|');
  }
  assert_string_equal(b.data, expected);
  assert_int_equal(yoi_sdk_json_raw_member(yoi_sdk_str(text), &pos, &key, &value), 0);
  yoi_sdk_buf_release(&b);
}

static void members_in_order(void **state) {
  (void)state;
  each_member("{}", "|");
  each_member(" { } ", "|");
  each_member("{\"a\":1}", "|a=1|");
  each_member(" { \"a\" : [1,{}] , \"\" : \"}\" ,\"b\":{\"c\":2}\n}",
              "|a=[1,{}]|=\"}\"|b={\"c\":2}|");
  each_member("{\"\\u0061\":1}", "|\\u0061=1|"); /* as it stands */
  each_member("[1]", "|");
  each_member("\"a\"", "|");
  each_member("", "|");
}

static void elements(void **state) {
  (void)state;
  each("[]", "|");
  each(" [ 1 , \"a,]\" , [2,3] , {\"x\":[4]} , null ] ", "|1|\"a,]\"|[2,3]|{\"x\":[4]}|null|");
  each("[[[]]]", "|[[]]|");
  each("{\"a\":1}", "|");
  each("1", "|");
  each("", "|");
}

static void unescapes(const char *raw, const char *expected) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 100);
  yoi_sdk_buf_adds(&b, YOI_LIT("<"));
  assert_int_equal(yoi_sdk_json_raw_unescape(yoi_sdk_str(raw), &b), expected != NULL);
  assert_int_equal(b.data[0], '<');
  assert_string_equal(b.data + 1, expected ? expected : ""); /* a failure leaves the text */
  yoi_sdk_buf_release(&b);
}

static void strings(void **state) {
  (void)state;
  unescapes("\"\"", "");
  unescapes("\"abc\"", "abc");
  unescapes("\"a\\n\\\"b\\\\\"", "a\n\"b\\");
  unescapes("\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"", "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
  unescapes("1", NULL);
  unescapes("", NULL);
  unescapes("\"", NULL);
  unescapes("\"abc", NULL);
  unescapes("null", NULL);
  unescapes("\"ab\\q\"", NULL);
  unescapes("\"ab\\\"", NULL);
  unescapes("\"ab\\u0000\"", NULL);
  unescapes("\"ab\\ud800\"", NULL);
}

static void integers(void **state) {
  (void)state;
  static const char *const bad[] = {"",
                                    "-",
                                    "+1",
                                    "01",
                                    "-01",
                                    "1.0",
                                    "1e3",
                                    " 1",
                                    "1 ",
                                    "true",
                                    "\"1\"",
                                    "9007199254740992",
                                    "-9007199254740992",
                                    "99999999999999999999999"};
  int64_t n = 7;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(yoi_sdk_json_raw_int(yoi_sdk_str(bad[i]), &n), 0);
  assert_int_equal(yoi_sdk_json_raw_int((yoi_str){NULL, 0}, &n), 0);
  assert_int_equal(n, 7);
  assert_int_equal(yoi_sdk_json_raw_int(YOI_LIT("9007199254740991"), &n), 1);
  assert_int_equal(n, 9007199254740991);
  assert_int_equal(yoi_sdk_json_raw_int(YOI_LIT("-9007199254740991"), &n), 1);
  assert_int_equal(n, -9007199254740991);
  assert_int_equal(yoi_sdk_json_raw_int(YOI_LIT("-0"), &n), 1);
  assert_int_equal(n, 0);
}

static const char config[] =
    "// first\n"
    "{ \"a~b/c\": [ 10, /* , */ { \"x\": 1 } ],\r\n"
    "  /* \" */ \"\\u0065\": \"}\",\n"
    "  \"\": { \"deep\": { \"er\": null } }\n"
    "}\n";

static void located(const char *pointer, int key, uint32_t line, uint32_t column) {
  uint32_t l = 0, c = 0;
  int found = yoi_sdk_json_locate((yoi_str){config, sizeof config - 1}, YOI_SDK_JSON_COMMENTS,
                                  yoi_sdk_str(pointer), key, &l, &c);
  assert_int_equal(found, line != 0);
  assert_int_equal(l, line);
  assert_int_equal(c, column);
}

static void places(void **state) {
  (void)state;
  located("", 0, 2, 1);
  located("/a~0b~1c", 0, 2, 12);
  located("/a~0b~1c", 1, 2, 3);
  located("/a~0b~1c/0", 0, 2, 14);
  located("/a~0b~1c/1", 0, 2, 26);
  located("/a~0b~1c/1/x", 0, 2, 33);
  located("/a~0b~1c/1/x", 1, 2, 28);
  located("/e", 0, 3, 21);
  located("/e", 1, 3, 11);
  located("/", 0, 4, 7);
  located("//deep/er", 0, 4, 25);
  located("//deep/er", 1, 4, 19);
  /* What is not there. */
  located("", 1, 0, 0);
  located("a", 0, 0, 0);
  located("/a~b/c", 0, 0, 0);
  located("/a~0b~1c/2", 0, 0, 0);
  located("/a~0b~1c/01", 0, 0, 0);
  located("/a~0b~1c/-1", 0, 0, 0);
  located("/a~0b~1c/0/x", 0, 0, 0);
  located("/a~0b~1c/1", 1, 0, 0); /* an element has no key */
  located("/e/x", 0, 0, 0);
  located("/x", 0, 0, 0);
  located("//deep/", 0, 0, 0);
  uint32_t l, c;
  assert_int_equal(yoi_sdk_json_locate((yoi_str){NULL, 0}, 0, (yoi_str){NULL, 0}, 0, &l, &c), 0);
}

/* Everything is asked of a text in a block of exactly its size. */
static void poke(const char *text, size_t n) {
  char *copy = yoi_sdk_malloc(n);
  if (n) memcpy(copy, text, n);
  yoi_str s = {copy, n}, e, k;
  struct yoi_sdk_buf b;
  size_t pos = 0, rounds = 0;
  uint32_t l, c;
  int64_t i;
  yoi_sdk_buf_init(&b, 10000);
  (void)yoi_sdk_json_raw_get(s, "er");
  while (yoi_sdk_json_raw_each(s, &pos, &e)) assert_true(++rounds <= n);
  pos = rounds = 0;
  while (yoi_sdk_json_raw_member(s, &pos, &k, &e)) assert_true(++rounds <= n);
  (void)yoi_sdk_json_raw_unescape(s, &b);
  (void)yoi_sdk_json_raw_int(s, &i);
  (void)yoi_sdk_json_locate(s, YOI_SDK_JSON_COMMENTS, YOI_LIT("//deep/er"), 1, &l, &c);
  (void)yoi_sdk_json_locate(s, YOI_SDK_JSON_COMMENTS, YOI_LIT("/a~0b~1c/1/x"), 0, &l, &c);
  (void)yoi_sdk_json_check(s, YOI_SDK_JSON_COMMENTS, NULL);
  yoi_sdk_buf_release(&b);
  yoi_sdk_free(copy);
}

static void nothing_is_read_behind_the_end(void **state) {
  (void)state;
  static const char array[] = "[{\"a\":\"\\\"\\u0041\"},[1,[]],\"\\\\\", -1.5e+10, true]";
  static const char string[] = "\"\\ud83d\\ude00\\u0041\\\\\\\"\"";
  for (size_t n = 0; n < sizeof config; n++) poke(config, n);
  for (size_t n = 0; n < sizeof array; n++) poke(array, n);
  for (size_t n = 0; n < sizeof string; n++) poke(string, n);
  /* And with each byte replaced. */
  static const char bytes[] = "\"\\{}[],:/*\n\x80\xff";
  for (size_t n = 0; n < sizeof array - 1; n++) {
    for (size_t i = 0; i < sizeof bytes; i++) {
      char text[sizeof array];
      memcpy(text, array, sizeof array);
      text[n] = bytes[i];
      poke(text, sizeof array - 1);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(members), cmocka_unit_test(members_in_order), cmocka_unit_test(elements),
      cmocka_unit_test(strings), cmocka_unit_test(integers),
      cmocka_unit_test(places),  cmocka_unit_test(nothing_is_read_behind_the_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
