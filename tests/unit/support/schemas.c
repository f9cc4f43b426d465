/* schemas.c - schemas, values and findings as texts (schemas.h). */
#include "schemas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

void schema_collect(void *ctx, const char *pointer, int is_key, const char *message) {
  assert_true(yoi_sdk_utf8_valid(yoi_sdk_str(message)));
  yoi_sdk_buf_addf(ctx, "%s%s: %s\n", pointer, is_key ? "#" : "", message);
}

yoi_sdk_json *schema_json(const char *text) {
  struct yoi_sdk_json_error err;
  yoi_sdk_json *v = NULL;
  if (yoi_sdk_json_parse(yoi_sdk_str(text), 0, &v, &err) != YOI_OK)
    fail_msg("%.100s: %s", text, err.message);
  return v;
}

void compiles(const char *schema, const char *findings) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 100000);
  yoi_sdk_buf_addc(&b, '\n');
  yoi_sdk_json *s = schema_json(schema);
  yoi_status st = yoi_sdk_schema_compile(s, schema_collect, &b);
  assert_string_equal(b.data + 1, findings);
  assert_int_equal(st, *findings ? YOI_INVALID_ARGUMENT : YOI_OK);
  assert_int_equal(yoi_sdk_schema_compile(s, NULL, NULL), st);
  yoi_sdk_json_free(s);
  yoi_sdk_buf_release(&b);
}

void checks(const char *schema, const char *value, const char *findings) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_schema *s;
  yoi_sdk_buf_init(&b, 100000);
  yoi_sdk_json *tree = schema_json(schema), *v = schema_json(value);
  yoi_sdk_buf_addc(&b, '\n');
  if (yoi_sdk_schema_new(tree, schema_collect, &b, &s) != YOI_OK) fail_msg("%s%s", schema, b.data);
  yoi_status st = yoi_sdk_schema_test(s, v, "/c", schema_collect, &b);
  assert_string_equal(b.data + 1, findings);
  assert_int_equal(st, *findings ? YOI_INVALID_ARGUMENT : YOI_OK);
  assert_int_equal(yoi_sdk_schema_test(s, v, "", NULL, NULL), st);
  assert_int_equal(yoi_sdk_schema_check(tree, v, "", NULL, NULL), st);
  yoi_sdk_schema_free(s);
  yoi_sdk_json_free(tree);
  yoi_sdk_json_free(v);
  yoi_sdk_buf_release(&b);
}

yoi_status verdict(const char *schema, const char *value) {
  struct yoi_sdk_buf b;
  struct yoi_sdk_schema *s;
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi_sdk_json *tree = schema_json(schema), *v = schema_json(value);
  assert_int_equal(yoi_sdk_schema_new(tree, NULL, NULL, &s), YOI_OK);
  yoi_status st = yoi_sdk_schema_test(s, v, "", schema_collect, &b);
  yoi_sdk_schema_free(s);
  yoi_sdk_json_free(tree);
  yoi_sdk_json_free(v);
  yoi_sdk_buf_release(&b);
  return st;
}
