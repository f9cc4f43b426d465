/* The tree and its getters: exact names, types, ranges, writing back. Each
 * hazard of the library behind it that is not refused by the strict pass is
 * handled here, with a test. */
#include <sdk/json.h>
#include <sdk/mem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <math.h>

/* The library's hooks are global and never ours to set; this process is a
 * test of what happens when its allocations fail. */
struct cJSON_Hooks {
  void *(*malloc_fn)(size_t size);
  void (*free_fn)(void *p);
};
extern void cJSON_InitHooks(struct cJSON_Hooks *hooks);

/* As an application would that brings its own copy: the linker takes this one.
 * NULL: what the system's says. */
static const char *other_version;
const char *cJSON_Version(void);
const char *cJSON_Version(void) {
  const char *(*installed)(void) = NULL;
  *(void **)&installed = dlsym(RTLD_NEXT, "cJSON_Version");
  return other_version ? other_version : installed();
}

static void a_copy_of_the_application_is_noticed(void **state) {
  const char *found, *built;
  (void)state;
  assert_int_equal(yoi_sdk_json_library(&found, &built), 1);
  assert_string_equal(found, built);
  other_version = "0.0.1";
  assert_int_equal(yoi_sdk_json_library(&found, &built), 0);
  assert_string_equal(found, "0.0.1");
  assert_string_not_equal(built, "0.0.1");
  other_version = NULL;
}

static yoi_sdk_json *parse(const char *text) {
  yoi_sdk_json *v = NULL;
  assert_int_equal(yoi_sdk_json_parse(yoi_sdk_str(text), 0, &v, NULL), YOI_OK);
  return v;
}

static void getters_want_the_exact_name(void **state) {
  (void)state;
  yoi_sdk_json *v = parse("{\"Role\":1,\"role\":2,\"\":3,\"ro\":4,\"rolex\":5}");
  int64_t n = 0;
  assert_int_equal(yoi_sdk_json_int(yoi_sdk_json_get(v, "role"), &n), 1);
  assert_int_equal(n, 2);
  assert_null(yoi_sdk_json_get(v, "ROLE"));
  assert_int_equal(yoi_sdk_json_int(yoi_sdk_json_get(v, ""), &n), 1);
  assert_int_equal(n, 3);
  assert_int_equal(yoi_sdk_json_int(yoi_sdk_json_getn(v, (yoi_str){"rolexyz", 2}), &n), 1);
  assert_int_equal(n, 4);
  assert_int_equal(yoi_sdk_json_int(yoi_sdk_json_getn(v, (yoi_str){"rolexyz", 5}), &n), 1);
  assert_int_equal(n, 5);
  assert_int_equal(yoi_sdk_json_int(yoi_sdk_json_getn(v, (yoi_str){NULL, 0}), &n), 1);
  assert_int_equal(n, 3);
  assert_null(yoi_sdk_json_getn(v, (yoi_str){"rolexyz", 7}));
  assert_null(yoi_sdk_json_getn(v, (yoi_str){"ro\0le", 5}));
  yoi_sdk_json_free(v);
}

static void absent_is_an_answer(void **state) {
  (void)state;
  yoi_str s = YOI_LIT("kept");
  int b = 7;
  int64_t n = 7;
  double d = 7;
  assert_int_equal(yoi_sdk_json_type(NULL), YOI_SDK_JSON_NONE);
  assert_null(yoi_sdk_json_get(NULL, "a"));
  assert_null(yoi_sdk_json_getn(NULL, YOI_LIT("a")));
  assert_null(yoi_sdk_json_first(NULL));
  assert_null(yoi_sdk_json_next(NULL));
  assert_int_equal(yoi_sdk_json_count(NULL), 0);
  assert_int_equal(yoi_sdk_json_key(NULL).len, 0);
  assert_int_equal(yoi_sdk_json_str(NULL, &s), 0);
  assert_int_equal(yoi_sdk_json_bool(NULL, &b), 0);
  assert_int_equal(yoi_sdk_json_number(NULL, &d), 0);
  assert_int_equal(yoi_sdk_json_int(NULL, &n), 0);
  yoi_sdk_json_free(NULL);
  yoi_sdk_json *v = parse("[{\"a\":1},\"x\",true,null,1.5]");
  const yoi_sdk_json *c = yoi_sdk_json_first(v);
  assert_null(yoi_sdk_json_get(v, "a")); /* an array has no names */
  assert_int_equal(yoi_sdk_json_key(c).len, 0);
  assert_int_equal(yoi_sdk_json_str(c, &s), 0);
  c = yoi_sdk_json_next(c);
  assert_null(yoi_sdk_json_first(c));
  assert_int_equal(yoi_sdk_json_number(c, &d), 0);
  c = yoi_sdk_json_next(c);
  assert_int_equal(yoi_sdk_json_int(c, &n), 0);
  c = yoi_sdk_json_next(c);
  assert_int_equal(yoi_sdk_json_bool(c, &b), 0);
  c = yoi_sdk_json_next(c);
  assert_int_equal(yoi_sdk_json_int(c, &n), 0);
  assert_null(yoi_sdk_json_next(c));
  assert_true(yoi_sdk_str_is(s, "kept") && b == 7 && n == 7 && d == 7);
  yoi_sdk_json_free(v);
}

static void types_and_their_names(void **state) {
  (void)state;
  static const struct {
    const char *text;
    uint32_t type;
    const char *name;
  } rows[] = {
      {"null", YOI_SDK_JSON_NULL, "null"},       {"false", YOI_SDK_JSON_BOOL, "a boolean"},
      {"true", YOI_SDK_JSON_BOOL, "a boolean"},  {"0", YOI_SDK_JSON_NUMBER, "a number"},
      {"\"\"", YOI_SDK_JSON_STRING, "a string"}, {"[]", YOI_SDK_JSON_ARRAY, "an array"},
      {"{}", YOI_SDK_JSON_OBJECT, "an object"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    yoi_sdk_json *v = parse(rows[i].text);
    assert_int_equal(yoi_sdk_json_type(v), rows[i].type);
    assert_string_equal(yoi_sdk_json_type_name(yoi_sdk_json_type(v)), rows[i].name);
    yoi_sdk_json_free(v);
  }
  assert_string_equal(yoi_sdk_json_type_name(YOI_SDK_JSON_NONE), "nothing");
  assert_string_equal(yoi_sdk_json_type_name(99), "nothing");
}

static void integers_only_where_they_are(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int ok;
    int64_t n;
  } rows[] = {
      {"0", 1, 0},
      {"-0", 1, 0},
      {"1.0", 1, 1},
      {"1e3", 1, 1000},
      {"9007199254740991", 1, 9007199254740991},
      {"-9007199254740991", 1, -9007199254740991},
      {"9007199254740992", 0, 0},
      {"9007199254740993", 0, 0},
      {"-9007199254740992", 0, 0},
      {"18446744073709551616", 0, 0},
      {"1e308", 0, 0},
      {"-1e308", 0, 0},
      {"1.5", 0, 0},
      {"0.1", 0, 0},
      {"1e-400", 1, 0},
      {"\"1\"", 0, 0},
      {"true", 0, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    yoi_sdk_json *v = parse(rows[i].text);
    int64_t n = -77;
    assert_int_equal(yoi_sdk_json_int(v, &n), rows[i].ok);
    assert_int_equal(n, rows[i].ok ? rows[i].n : -77);
    yoi_sdk_json_free(v);
  }
}

static void strings_come_decoded(void **state) {
  (void)state;
  yoi_sdk_json *v = parse("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\"\\u00e9\\ud83d\\ude00\",\"\"]");
  yoi_str s;
  const yoi_sdk_json *c = yoi_sdk_json_first(v);
  assert_int_equal(yoi_sdk_json_str(c, &s), 1);
  assert_true(yoi_sdk_str_is(s, "\"\\/\b\f\n\r\t"));
  c = yoi_sdk_json_next(c);
  assert_int_equal(yoi_sdk_json_str(c, &s), 1);
  assert_true(yoi_sdk_str_is(s, "\xC3\xA9\xF0\x9F\x98\x80"));
  c = yoi_sdk_json_next(c);
  assert_int_equal(yoi_sdk_json_str(c, &s), 1);
  assert_int_equal(s.len, 0);
  yoi_sdk_json_free(v);
}

static void round_trip(const char *text, const char *expected) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&b, 100000);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_json *v = parse(text);
  yoi_sdk_json_write(v, &w);
  yoi_sdk_json_free(v);
  assert_string_equal(b.data, expected);
  yoi_sdk_buf_release(&b);
}

static void writing_back_loses_nothing(void **state) {
  (void)state;
  round_trip(" [ 1 , { \"a\" : [ ] , \"b\" : { } } , null , true , false ] ",
             "[1,{\"a\":[],\"b\":{}},null,true,false]");
  round_trip("9007199254740991", "9007199254740991");
  round_trip("-9007199254740991", "-9007199254740991");
  round_trip("1e2", "100");
  round_trip("-0", "-0");
  round_trip("0.1", "0.1");
  round_trip("1.7976931348623157e308", "1.7976931348623157e+308");
  round_trip("\"\\u0001\\\"\\ud83d\\ude00\\/\"", "\"\\u0001\\\"\xF0\x9F\x98\x80/\"");
  round_trip("{\"\":{\"a\\\"b\":1}}", "{\"\":{\"a\\\"b\":1}}");
  struct yoi_sdk_buf b;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&b, 100);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_json_write(NULL, &w);
  assert_string_equal(b.data, "null");
  yoi_sdk_buf_release(&b);
}

static void comments_are_blank_in_the_tree(void **state) {
  (void)state;
  yoi_sdk_json *v = NULL;
  yoi_str s, text = YOI_LIT("{// {\n\"a\\\"\":/*\"*/\"//x\\\\\"/*\\*/,\"b\":\"/*\"/* */}//");
  assert_int_equal(yoi_sdk_json_parse(text, YOI_SDK_JSON_COMMENTS, &v, NULL), YOI_OK);
  assert_int_equal(yoi_sdk_json_str(yoi_sdk_json_get(v, "a\""), &s), 1);
  assert_true(yoi_sdk_str_is(s, "//x\\"));
  assert_int_equal(yoi_sdk_json_str(yoi_sdk_json_get(v, "b"), &s), 1);
  assert_true(yoi_sdk_str_is(s, "/*"));
  yoi_sdk_json_free(v);
}

static unsigned allowed;

static void *limited(size_t size) {
  if (allowed == 0) return NULL;
  allowed--;
  return malloc(size);
}

static void a_tree_that_cannot_be_built_is_exhausted(void **state) {
  (void)state;
  struct cJSON_Hooks hooks = {limited, free};
  cJSON_InitHooks(&hooks);
  int built = 0;
  for (unsigned n = 0; n < 100 && !built; n++) {
    yoi_sdk_json *v;
    struct yoi_sdk_json_error err;
    allowed = n;
    yoi_status st =
        yoi_sdk_json_parse(YOI_LIT("{\"a\":[1,\"x\",{\"b\":null}],\"c\":1.5}"), 0, &v, &err);
    built = st == YOI_OK;
    assert_int_equal(v != NULL, built);
    if (!built) {
      assert_int_equal(st, YOI_RESOURCE_EXHAUSTED);
      assert_string_equal(err.message, "out of memory");
      assert_string_equal(err.pointer, "");
      assert_int_equal(err.line, 1);
    }
    yoi_sdk_json_free(v);
  }
  cJSON_InitHooks(NULL);
  assert_true(built);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(getters_want_the_exact_name),
      cmocka_unit_test(a_copy_of_the_application_is_noticed),
      cmocka_unit_test(absent_is_an_answer),
      cmocka_unit_test(types_and_their_names),
      cmocka_unit_test(integers_only_where_they_are),
      cmocka_unit_test(strings_come_decoded),
      cmocka_unit_test(writing_back_loses_nothing),
      cmocka_unit_test(comments_are_blank_in_the_tree),
      cmocka_unit_test(a_tree_that_cannot_be_built_is_exhausted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
