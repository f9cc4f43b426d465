/* sources: abi/sdk/core abi/sdk/schema; libs: -lcjson -lcrypto
 *
 * The first byte makes one of the first allocations fail. Behind it any text as
 * a schema, and what stands behind its first NUL as a value; without one the
 * schema itself. What must hold:
 *
 *  1. Compiling and checking end, and answer the same whoever asks: with a
 *     report, without one, and once more.
 *  2. There are findings if and only if the answer is not OK; each is UTF-8,
 *     has a place, and that place is below the base.
 *  3. not(S) takes exactly what S does not, as long as neither is too complex.
 *  4. Short memory is RESOURCE_EXHAUSTED and never another answer.
 */
#include <sdk/mem.h>
#include <sdk/schema.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
  size_t n;
  const char *base;
};

static void on_finding(void *ctx, const char *pointer, int is_key, const char *message) {
  struct seen *s = ctx;
  size_t len = strlen(s->base);
  MUST(strncmp(pointer, s->base, len) == 0 && (pointer[len] == '\0' || pointer[len] == '/'));
  MUST(!is_key || strrchr(pointer, '/') != NULL);
  MUST(message[0] != '\0' && strlen(message) < YOI_ERROR_MESSAGE_MAX);
  MUST(yoi_sdk_utf8_valid(yoi_sdk_str(message)) && yoi_sdk_utf8_valid(yoi_sdk_str(pointer)));
  s->n++;
}

static yoi_status check(const struct yoi_sdk_schema *s, const yoi_sdk_json *v, uint64_t fail_at) {
  struct seen seen = {0, "/c"};
  yoi_status st = yoi_sdk_schema_test(s, v, "/c", on_finding, &seen);
  MUST((st == YOI_OK) == (seen.n == 0));
  MUST(st == YOI_OK || st == YOI_INVALID_ARGUMENT || st == YOI_OUT_OF_RANGE);
  /* One that only tests may end before it takes too long, and not after. */
  yoi_status quick = yoi_sdk_schema_test(s, v, "", NULL, NULL);
  MUST(quick == st || (st == YOI_OUT_OF_RANGE && quick == YOI_INVALID_ARGUMENT));
  seen.n = 0;
  (void)yoi_sdk_mem_fail_at(fail_at);
  yoi_status poor = yoi_sdk_schema_test(s, v, "/c", on_finding, &seen);
  (void)yoi_sdk_mem_fail_at(0);
  MUST(poor == st || (fail_at && poor == YOI_RESOURCE_EXHAUSTED));
  return quick;
}

/* The same inside a "not": a level deeper, and references lead elsewhere, so
 * only where neither matters. */
static void negate(yoi_str schema, const yoi_sdk_json *v, yoi_status plain) {
  struct yoi_sdk_buf text;
  struct yoi_sdk_schema *s;
  yoi_sdk_json *tree;
  yoi_sdk_buf_init(&text, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_adds(&text, YOI_LIT("{\"not\":"));
  yoi_sdk_buf_adds(&text, schema);
  yoi_sdk_buf_addc(&text, '}');
  if (yoi_sdk_json_parse(yoi_sdk_buf_str(&text), 0, &tree, NULL) == YOI_OK) {
    if (yoi_sdk_schema_new(tree, NULL, NULL, &s) == YOI_OK) {
      yoi_status st = yoi_sdk_schema_test(s, v, "", NULL, NULL);
      MUST(st == YOI_OUT_OF_RANGE || plain == YOI_OUT_OF_RANGE ||
           (st == YOI_OK) != (plain == YOI_OK));
      yoi_sdk_schema_free(s);
    }
    yoi_sdk_json_free(tree);
  }
  yoi_sdk_buf_release(&text);
}

static void try(yoi_str schema, yoi_str value, uint64_t fail_at) {
  struct seen seen = {0, ""};
  struct yoi_sdk_schema *s = NULL, *again;
  yoi_sdk_json *tree, *v = NULL;
  if (yoi_sdk_json_parse(schema, 0, &tree, NULL) != YOI_OK) return;
  yoi_status st = yoi_sdk_schema_new(tree, on_finding, &seen, &s);
  MUST((st == YOI_OK) == (seen.n == 0) && (st == YOI_OK) == (s != NULL));
  MUST(st == YOI_OK || st == YOI_INVALID_ARGUMENT);
  (void)yoi_sdk_mem_fail_at(fail_at);
  yoi_status poor = yoi_sdk_schema_new(tree, NULL, NULL, &again);
  (void)yoi_sdk_mem_fail_at(0);
  MUST(poor == st || (fail_at && poor == YOI_RESOURCE_EXHAUSTED));
  MUST((again != NULL) == (poor == YOI_OK));
  yoi_sdk_schema_free(again);
  if (s && yoi_sdk_json_parse(value, 0, &v, NULL) == YOI_OK) {
    yoi_status answer = check(s, v, fail_at);
    if (!memmem(schema.ptr, schema.len, "ref", 3) && !memchr(schema.ptr, '\\', schema.len))
      negate(schema, v, answer);
  }
  yoi_sdk_schema_free(s);
  yoi_sdk_json_free(v);
  yoi_sdk_json_free(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  const char *text = (const char *)data + 1;
  const char *nul = memchr(text, 0, size - 1);
  yoi_str schema = {text, nul ? (size_t)(nul - text) : size - 1}, value = schema;
  if (nul) value = (yoi_str){nul + 1, size - 2 - schema.len};
  try(schema, value, data[0] & 31);
  return 0;
}
