/* A checked value as text again, with its paths put behind a folder, and where
 * a path may be named (abi/sdk/schema/schema_write.c). */
#include <sdk/mem.h>
#include <sdk/schema.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/schemas.h"

/* Written with `dir` as the folder, `value` is `expected`, or these findings. */
static void writes(const char *schema, const char *value, yoi_str dir, const char *expected,
                   const char *findings) {
  struct yoi_sdk_buf b, out;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&b, 100000);
  yoi_sdk_buf_init(&out, 100000);
  yoi_sdk_buf_addc(&b, '\n');
  yoi_sdk_jsonw_init(&w, &out);
  yoi_sdk_json *s = schema_json(schema), *v = schema_json(value);
  assert_int_equal(yoi_sdk_schema_write(s, v, "/c", dir, schema_collect, &b, &w),
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

static void memory_short_while_writing(void **state) {
  (void)state;
  yoi_sdk_json *s = schema_json("{\"items\":" PATH "}"), *v = schema_json("[\"a\",\"b\"]");
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

static void a_path_is_named_only_where_it_is_found(void **state) {
  (void)state;
  static const char no[] =
      ": 'path' is enforced below 'properties', 'additionalProperties' and 'items' only\n";
  static const struct {
    const char *schema, *pointer;
  } rows[] = {
      {"{\"anyOf\":[" PATH "]}", "/anyOf/0/format"},
      {"{\"items\":{\"allOf\":[" PATH "]}}", "/items/allOf/0/format"},
      {"{\"$defs\":{\"p\":" PATH "}}", "/$defs/p/format"},
      {"{\"patternProperties\":{\"a\":" PATH "}}", "/patternProperties/a/format"},
      {"{\"patternProperties\":{\"a\":{}},\"additionalProperties\":" PATH "}",
       "/additionalProperties/format"},
      {"{\"prefixItems\":[true],\"items\":" PATH "}", "/items/format"},
      {"{\"if\":true,\"then\":{\"properties\":{\"a\":" PATH "}}}", "/then/properties/a/format"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char finding[200];
    (void)snprintf(finding, sizeof finding, "%s%s", rows[i].pointer, no);
    compiles(rows[i].schema, finding);
  }
  compiles("{\"properties\":{\"a\":" PATH ",\"b\":{\"items\":{\"additionalProperties\":" PATH
           "}}},\"anyOf\":[{\"required\":[\"a\"]}]}",
           "");
  compiles("{\"properties\":{\"a\":" PATH ",\"b\":{\"$ref\":\"#\"}}}",
           ": a schema with the format 'path' has no '$ref'\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(paths_are_put_behind_a_folder),
      cmocka_unit_test(paths_have_a_maximum_and_are_utf8),
      cmocka_unit_test(a_path_is_named_only_where_it_is_found),
      cmocka_unit_test(memory_short_while_writing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
