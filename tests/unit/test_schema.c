/* Config schemas: each keyword's effect, what is refused at compile, and the
 * findings' places and words (sdk/schema.h). */
#include <sdk/mem.h>
#include <sdk/schema.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void collect(void *ctx, const char *pointer, int is_key, const char *message) {
  yoi_sdk_buf_addf(ctx, "%s%s: %s\n", pointer, is_key ? "#" : "", message);
}

static yoi_sdk_json *json(const char *text) {
  yoi_sdk_json *v = NULL;
  assert_int_equal(yoi_sdk_json_parse(yoi_sdk_str(text), 0, &v, NULL), YOI_OK);
  return v;
}

/* Compiling `schema` gives exactly these findings. */
static void compiles(const char *schema, const char *findings) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 100000);
  yoi_sdk_buf_addc(&b, '\n');
  yoi_sdk_json *s = json(schema);
  assert_int_equal(yoi_sdk_schema_compile(s, collect, &b),
                   *findings ? YOI_INVALID_ARGUMENT : YOI_OK);
  assert_string_equal(b.data + 1, findings);
  assert_int_equal(yoi_sdk_schema_compile(s, NULL, NULL),
                   *findings ? YOI_INVALID_ARGUMENT : YOI_OK);
  yoi_sdk_json_free(s);
  yoi_sdk_buf_release(&b);
}

/* Checking `value` does. */
static void checks(const char *schema, const char *value, const char *findings) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 100000);
  yoi_sdk_buf_addc(&b, '\n');
  yoi_sdk_json *s = json(schema), *v = json(value);
  assert_int_equal(yoi_sdk_schema_compile(s, NULL, NULL), YOI_OK);
  assert_int_equal(yoi_sdk_schema_check(s, v, "/c", collect, &b),
                   *findings ? YOI_INVALID_ARGUMENT : YOI_OK);
  assert_string_equal(b.data + 1, findings);
  yoi_sdk_json_free(s);
  yoi_sdk_json_free(v);
  yoi_sdk_buf_release(&b);
}

static void unknown_keywords_are_refused(void **state) {
  (void)state;
  compiles("{\"pattern\":\"x\"}", "/pattern#: keyword 'pattern' is not enforced here\n");
  compiles("{\"properties\":{\"a\":{\"oneOf\":[]}}}",
           "/properties/a/oneOf#: keyword 'oneOf' is not enforced here\n");
  compiles("{\"items\":{\"$ref\":\"#\"}}", "/items/$ref#: keyword '$ref' is not enforced here\n");
  compiles("{\"additionalProperties\":{\"not\":{}}}",
           "/additionalProperties/not#: keyword 'not' is not enforced here\n");
}

static void formats_are_enforced_or_refused(void **state) {
  (void)state;
  static const char secret[] = "{\"type\":\"string\",\"format\":\"secret\"}";
  static const char url[] = "{\"type\":\"string\",\"format\":\"http-url\",\"minLength\":8}";
  static const char no_secret[] =
      "/c: expected 'secret:NAME', the name of a secret and never its value\n";
  static const char no_url[] = "/c: expected an address that begins with http:// or https://\n";
  static const char *const urls[] = {"\"http://h\"", "\"https://h/v1\"", "\"http://[::1]:1/\"",
                                     "\"https://\u00e9.example\""};
  static const char *const other[] = {"\"\"",          "\"h/v1\"",       "\"ftp://h\"",
                                      "\"http://\"",   "\"http:///v1\"", "\"https://:1\"",
                                      "\"HTTP://h\"",  "\"http://h x\"", "\"http://h\\n\"",
                                      "\" http://h\"", "\"http://?q\""};
  checks(secret, "\"secret:a.B_9-\"", "");
  checks(secret, "\"\"", no_secret);
  checks(secret, "\"secret:\"", no_secret);
  checks(secret, "\"Secret:a\"", no_secret);
  checks(secret, "\"sk-12345\"", no_secret);
  checks(secret, "\"secret:a b\"", no_secret);
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) checks(url, urls[i], "");
  for (size_t i = 0; i < sizeof other / sizeof *other; i++) checks(url, other[i], no_url);
  checks("{\"format\":\"secret\"}", "1", "");
  checks("{\"format\":\"path\"}", "\"a\"", "");
  checks("{\"format\":\"path\"}", "\"\"", "/c: expected a path\n");
  compiles("{\"format\":\"email\"}",
           "/format: expected the format 'secret', 'http-url' or 'path'\n");
  compiles("{\"format\":1}", "/format: expected the format 'secret', 'http-url' or 'path'\n");
}

static void malformed_keywords_are_refused(void **state) {
  (void)state;
  compiles("[]", ": expected a schema, which is an object\n");
  compiles("{\"type\":[\"string\"]}", "/type: expected the name of one type\n");
  compiles("{\"type\":\"text\"}", "/type: expected the name of one type\n");
  compiles("{\"properties\":[]}", "/properties: expected an object of schemas\n");
  compiles("{\"properties\":{\"a\":true}}",
           "/properties/a: expected a schema, which is an object\n");
  compiles("{\"required\":\"a\"}", "/required: expected an array of strings\n");
  compiles("{\"required\":[1]}", "/required: expected an array of strings\n");
  compiles("{\"items\":[{}]}", "/items: expected a schema, which is an object\n");
  compiles("{\"additionalProperties\":1}",
           "/additionalProperties: expected a schema, which is an object\n");
  compiles("{\"enum\":[]}", "/enum: expected a non-empty array of strings, numbers or booleans\n");
  compiles("{\"enum\":[null]}",
           "/enum: expected a non-empty array of strings, numbers or booleans\n");
  compiles("{\"minimum\":\"1\",\"maxLength\":-1,\"minLength\":1.5,\"title\":1}",
           "/minimum: expected a number\n/maxLength: expected a length in bytes\n"
           "/minLength: expected a length in bytes\n/title: expected a string\n");
  compiles("{\"$schema\":\"x\",\"title\":\"t\",\"description\":\"d\",\"default\":[{}]}", "");
}

static void depth_is_bounded(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 10000);
  for (int depth = YOI_SCHEMA_DEPTH_MAX; depth <= YOI_SCHEMA_DEPTH_MAX + 1; depth++) {
    yoi_sdk_buf_clear(&b);
    for (int i = 1; i < depth; i++) yoi_sdk_buf_adds(&b, YOI_LIT("{\"items\":"));
    yoi_sdk_buf_adds(&b, YOI_LIT("{}"));
    for (int i = 1; i < depth; i++) yoi_sdk_buf_addc(&b, '}');
    yoi_sdk_json *s = json(b.data);
    assert_int_equal(yoi_sdk_schema_compile(s, NULL, NULL),
                     depth > YOI_SCHEMA_DEPTH_MAX ? YOI_INVALID_ARGUMENT : YOI_OK);
    yoi_sdk_json_free(s);
  }
  yoi_sdk_buf_release(&b);
}

static void types(void **state) {
  (void)state;
  static const char *const values[] = {"{}", "[]", "\"x\"", "1.5", "1", "true", "null"};
  static const char *const names[] = {"object",  "array",   "string", "number",
                                      "integer", "boolean", "null"};
  for (size_t i = 0; i < 7; i++) {
    for (size_t k = 0; k < 7; k++) {
      char schema[64];
      (void)snprintf(schema, sizeof schema, "{\"type\":\"%s\"}", names[i]);
      yoi_sdk_json *s = json(schema), *v = json(values[k]);
      int fits = i == k || (i == 3 && k == 4);
      assert_int_equal(yoi_sdk_schema_check(s, v, "", NULL, NULL),
                       fits ? YOI_OK : YOI_INVALID_ARGUMENT);
      yoi_sdk_json_free(s);
      yoi_sdk_json_free(v);
    }
  }
  checks("{\"type\":\"integer\"}", "1.5", "/c: expected an integer\n");
  checks("{\"type\":\"object\"}", "[]", "/c: expected an object, found an array\n");
  checks("{\"type\":\"null\"}", "\"\"", "/c: expected null, found a string\n");
}

static void enums(void **state) {
  (void)state;
  const char *s = "{\"enum\":[\"a\",1,true]}";
  checks(s, "\"a\"", "");
  checks(s, "1.0", "");
  checks(s, "true", "");
  checks(s, "false", "/c: expected one of [\"a\",1,true]\n");
  checks(s, "\"1\"", "/c: expected one of [\"a\",1,true]\n");
  checks(s, "null", "/c: expected one of [\"a\",1,true]\n");
}

static void bounds(void **state) {
  (void)state;
  const char *s = "{\"minimum\":1,\"maximum\":2.5,\"minLength\":2,\"maxLength\":3}";
  checks(s, "1", "");
  checks(s, "2.5", "");
  checks(s, "0.9", "/c: must be at least 1\n");
  checks(s, "2.6", "/c: must be at most 2.5\n");
  checks(s, "\"\xC3\xA9\"", "");
  checks(s, "\"a\"", "/c: must have at least 2 bytes\n");
  checks(s, "\"abcd\"", "/c: must have at most 3 bytes\n");
  checks("{\"minLength\":1}", "\"\"", "/c: must not be empty\n");
}

static void objects(void **state) {
  (void)state;
  const char *s =
      "{\"type\":\"object\",\"required\":[\"model\",\"a/b\"],\"additionalProperties\":false,"
      "\"properties\":{\"model\":{\"type\":\"string\"},\"base_url\":{},"
      "\"a/b\":{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":0}}}}";
  checks(s, "{\"model\":\"x\",\"a/b\":[1,-1,\"x\"]}",
         "/c/a~1b/1: must be at least 0\n"
         "/c/a~1b/2: expected an integer, found a string\n");
  checks(s, "{\"modle\":1,\"bose_url\":1,\"zzz\":1}",
         "/c: key 'model' is missing\n/c: key 'a/b' is missing\n"
         "/c/modle#: unknown key 'modle'; the nearest known one is 'model'\n"
         "/c/bose_url#: unknown key 'bose_url'; the nearest known one is 'base_url'\n"
         "/c/zzz#: unknown key 'zzz'\n");
  checks("{\"additionalProperties\":{\"type\":\"string\"}}", "{\"x\":\"\",\"y\":1}",
         "/c/y: expected a string, found a number\n");
  checks("{\"properties\":{\"x\":{}}}", "{\"x\":\"\",\"y\":1}", "");
}

/* Written with `dir` as the folder, `value` is `expected`, or these findings. */
static void writes(const char *schema, const char *value, yoi_str dir, const char *expected,
                   const char *findings) {
  struct yoi_sdk_buf b, out;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&b, 100000);
  yoi_sdk_buf_init(&out, 100000);
  yoi_sdk_buf_addc(&b, '\n');
  yoi_sdk_jsonw_init(&w, &out);
  yoi_sdk_json *s = json(schema), *v = json(value);
  assert_int_equal(yoi_sdk_schema_write(s, v, "/c", dir, collect, &b, &w),
                   *findings ? YOI_INVALID_ARGUMENT : YOI_OK);
  assert_string_equal(b.data + 1, findings);
  if (expected) assert_string_equal(out.data, expected);
  yoi_sdk_json_free(s);
  yoi_sdk_json_free(v);
  yoi_sdk_buf_release(&b);
  yoi_sdk_buf_release(&out);
}

#define PATH "{\"type\":\"string\",\"format\":\"path\"}"

static void paths_are_put_behind_a_folder(void **state) {
  (void)state;
  static const char deep[] = "{\"properties\":{\"a\":" PATH ",\"l\":{\"items\":" PATH
                             "},\"t\":{\"type\":\"string\"},"
                             "\"o\":{\"additionalProperties\":" PATH "}}}";
  yoi_str etc = YOI_LIT("/etc/yoi");
  writes(PATH, "\"state/main\"", etc, "\"/etc/yoi/state/main\"", "");
  writes(PATH, "\"./a/../b\"", etc, "\"/etc/yoi/./a/../b\"", "");
  writes(PATH, "\"a\"", YOI_LIT("/"), "\"/a\"", "");
  writes(PATH, "\"/a\"", etc, "\"/a\"", "");
  writes(PATH, "\"a\\\"\u00e9\"", etc, "\"/etc/yoi/a\\\"\u00e9\"", "");
  writes(PATH, "1", etc, "1", "");
  writes(deep,
         "{\"a\":\"x\",\"l\":[\"y\",\"/z\",null],\"t\":\"x\",\"o\":{\"k\":\"x\"},"
         "\"u\":[{},[1.5,\"x\"]]}",
         etc,
         "{\"a\":\"/etc/yoi/x\",\"l\":[\"/etc/yoi/y\",\"/z\",null],\"t\":\"x\","
         "\"o\":{\"k\":\"/etc/yoi/x\"},\"u\":[{},[1.5,\"x\"]]}",
         "");
}

static void paths_have_a_maximum_and_are_utf8(void **state) {
  (void)state;
  static const char behind[] =
      "/c: must have at most 4095 bytes behind the folder that it is relative to\n";
  char value[YOI_PATH_BYTES_MAX + 3];
  for (size_t n = YOI_PATH_BYTES_MAX - 1; n <= YOI_PATH_BYTES_MAX; n++) {
    int over = n == YOI_PATH_BYTES_MAX;
    (void)snprintf(value, sizeof value, "\"%0*d\"", (int)n - 3, 0); /* "/d" and a slash more */
    writes(PATH, value, YOI_LIT("/d"), NULL, over ? behind : "");
    (void)snprintf(value, sizeof value, "\"/%0*d\"", (int)n - 1, 0);
    writes(PATH, value, YOI_LIT("/d"), NULL, over ? "/c: must have at most 4095 bytes\n" : "");
  }
  writes("{\"properties\":{\"a\":" PATH "}}", "{\"a\":\"x\"}", YOI_LIT("/d\xff"), NULL,
         "/c/a: expected an absolute path: the folder that it is relative to is not UTF-8\n");
  writes(PATH, "\"/x\"", YOI_LIT("/d\xff"), "\"/x\"", "");
}

static void nearest_names(void **state) {
  (void)state;
  const yoi_str names[] = {YOI_LIT("listen"), YOI_LIT("token"), YOI_LIT("id"),
                           YOI_LIT("first_byte_ms")};
  assert_true(yoi_sdk_str_is(yoi_sdk_nearest(YOI_LIT("lisen"), names, 4), "listen"));
  assert_true(yoi_sdk_str_is(yoi_sdk_nearest(YOI_LIT("tkn"), names, 4), "token"));
  assert_true(yoi_sdk_str_is(yoi_sdk_nearest(YOI_LIT("firstbytems_"), names, 4), "first_byte_ms"));
  assert_int_equal(yoi_sdk_nearest(YOI_LIT("toe"), names, 0).len, 0);
  assert_int_equal(yoi_sdk_nearest(YOI_LIT("xy"), names, 4).len, 0);
  assert_int_equal(yoi_sdk_nearest(YOI_LIT("tok123"), names, 4).len, 0);
}

static void memory_short(void **state) {
  (void)state;
  yoi_sdk_json *s = json(
      "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":"
      "{\"a\":{\"enum\":[\"x\"]}}}");
  yoi_sdk_json *v = json("{\"a\":\"y\",\"b\":1}");
  (void)yoi_sdk_mem_fail_at(0);
  (void)yoi_sdk_schema_check(s, v, "", NULL, NULL);
  uint64_t n = yoi_sdk_mem_fail_at(0);
  assert_true(n > 0);
  for (uint64_t i = 1; i <= n; i++) {
    (void)yoi_sdk_mem_fail_at(i);
    yoi_status st = yoi_sdk_schema_check(s, v, "", NULL, NULL);
    (void)yoi_sdk_mem_fail_at(0);
    assert_true(st == YOI_INVALID_ARGUMENT || st == YOI_RESOURCE_EXHAUSTED);
  }
  yoi_sdk_json_free(s);
  yoi_sdk_json_free(v);
}

static void memory_short_while_writing(void **state) {
  (void)state;
  yoi_sdk_json *s = json("{\"items\":" PATH "}"), *v = json("[\"a\",\"b\"]");
  uint64_t n = 1, i = 0;
  for (; i <= n; i++) {
    struct yoi_sdk_buf out;
    struct yoi_sdk_jsonw w;
    yoi_sdk_buf_init(&out, 1000);
    yoi_sdk_jsonw_init(&w, &out);
    (void)yoi_sdk_mem_fail_at(i);
    yoi_status st = yoi_sdk_schema_write(s, v, "", YOI_LIT("/d"), NULL, NULL, &w);
    uint64_t count = yoi_sdk_mem_fail_at(0);
    if (i == 0) n = count;
    assert_true(i == 0 ? st == YOI_OK : st == YOI_RESOURCE_EXHAUSTED || out.failed);
    if (i == 0) assert_string_equal(out.data, "[\"/d/a\",\"/d/b\"]");
    yoi_sdk_buf_release(&out);
  }
  assert_true(n > 2);
  yoi_sdk_json_free(s);
  yoi_sdk_json_free(v);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unknown_keywords_are_refused),
      cmocka_unit_test(formats_are_enforced_or_refused),
      cmocka_unit_test(malformed_keywords_are_refused),
      cmocka_unit_test(depth_is_bounded),
      cmocka_unit_test(types),
      cmocka_unit_test(enums),
      cmocka_unit_test(bounds),
      cmocka_unit_test(objects),
      cmocka_unit_test(paths_are_put_behind_a_folder),
      cmocka_unit_test(paths_have_a_maximum_and_are_utf8),
      cmocka_unit_test(nearest_names),
      cmocka_unit_test(memory_short),
      cmocka_unit_test(memory_short_while_writing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
