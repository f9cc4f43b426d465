/* sources: abi/sdk/core; libs: -lcjson -lcrypto
 *
 * The JSON reader and writer on anything at all. The first byte chooses: bit 0
 * takes comments, the bits above make one of the first allocations fail. What
 * must hold:
 *
 *  1. check and parse agree, and an error says where it stands.
 *  2. What passed, written and read again, is written the same.
 *  3. The raw readers see the members that the tree has, with the same values,
 *     and locate finds the place of each.
 *  4. A tree's text and any bytes as a string, once written, pass the check.
 *  5. Short memory is RESOURCE_EXHAUSTED and never a wrong answer.
 */
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_to(struct yoi_sdk_buf *b, const yoi_sdk_json *v) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(b, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, b);
  yoi_sdk_json_write(v, &w);
  MUST(!b->failed);
}

static int same_text(const struct yoi_sdk_buf *a, const struct yoi_sdk_buf *b) {
  return yoi_sdk_str_eq(yoi_sdk_buf_str(a), yoi_sdk_buf_str(b));
}

/* The raw text of a value means what the tree's value means. */
static void same_value(yoi_str raw, const yoi_sdk_json *v) {
  struct yoi_sdk_buf a, b;
  yoi_sdk_json *t;
  yoi_str s;
  int64_t n, m;
  MUST(raw.len > 0);
  MUST(yoi_sdk_json_parse(raw, 0, &t, NULL) == YOI_OK);
  write_to(&a, v);
  write_to(&b, t);
  MUST(same_text(&a, &b));
  yoi_sdk_json_free(t);
  yoi_sdk_buf_release(&b);
  if (yoi_sdk_json_raw_int(raw, &n)) MUST(yoi_sdk_json_int(v, &m) && m == n);
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  MUST(yoi_sdk_json_raw_unescape(raw, &b) == yoi_sdk_json_str(v, &s));
  if (yoi_sdk_json_str(v, &s)) MUST(yoi_sdk_str_eq(s, yoi_sdk_buf_str(&b)));
  yoi_sdk_buf_release(&a);
  yoi_sdk_buf_release(&b);
}

static void walk(yoi_str text, const yoi_sdk_json *v) {
  size_t pos = 0, n = 0;
  yoi_str raw;
  const yoi_sdk_json *c = yoi_sdk_json_first(v);
  if (yoi_sdk_json_type(v) == YOI_SDK_JSON_ARRAY) {
    for (; n < 50 && yoi_sdk_json_raw_each(text, &pos, &raw); c = yoi_sdk_json_next(c), n++)
      same_value(raw, c);
    MUST(n == 50 || c == NULL);
  }
  if (yoi_sdk_json_type(v) == YOI_SDK_JSON_OBJECT) {
    for (; c && n < 50; c = yoi_sdk_json_next(c), n++)
      same_value(yoi_sdk_json_raw_get(text, yoi_sdk_json_key(c).ptr), c);
  }
}

/* The pointer of the last member of the last member and so on is there. */
static void find(yoi_str text, uint32_t flags, const yoi_sdk_json *v) {
  struct yoi_sdk_buf p;
  uint32_t line, column;
  yoi_sdk_buf_init(&p, YOI_JSON_BYTES_MAX);
  while (yoi_sdk_json_first(v)) {
    int object = yoi_sdk_json_type(v) == YOI_SDK_JSON_OBJECT;
    size_t index = yoi_sdk_json_count(v) - 1;
    for (v = yoi_sdk_json_first(v); yoi_sdk_json_next(v);) v = yoi_sdk_json_next(v);
    yoi_sdk_buf_addc(&p, '/');
    if (!object) yoi_sdk_buf_addf(&p, "%zu", index);
    yoi_str key = yoi_sdk_json_key(v);
    for (size_t i = 0; i < key.len; i++) {
      char ch = key.ptr[i];
      if (ch == '~' || ch == '/') yoi_sdk_buf_addc(&p, '~');
      yoi_sdk_buf_addc(&p, ch == '~' ? '0' : ch == '/' ? '1' : ch);
    }
    yoi_str pointer = yoi_sdk_buf_str(&p);
    MUST(yoi_sdk_json_locate(text, flags, pointer, 0, &line, &column) && line && column);
    MUST(yoi_sdk_json_locate(text, flags, pointer, 1, &line, &column) == object);
  }
  yoi_sdk_buf_release(&p);
}

static void stable(const yoi_sdk_json *v) {
  struct yoi_sdk_buf a, b;
  yoi_sdk_json *again;
  write_to(&a, v);
  MUST(yoi_sdk_json_parse(yoi_sdk_buf_str(&a), 0, &again, NULL) == YOI_OK);
  write_to(&b, again);
  MUST(same_text(&a, &b));
  yoi_sdk_json_free(again);
  yoi_sdk_buf_release(&a);
  yoi_sdk_buf_release(&b);
}

/* Readers of checked text on text that was not: nothing but answers. */
static void poke(yoi_str text) {
  struct yoi_sdk_buf b;
  size_t pos = 0, last = 0;
  uint32_t line, column;
  int64_t n;
  yoi_str e;
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  for (; yoi_sdk_json_raw_each(text, &pos, &e); last = pos) {
    MUST(pos > last && pos <= text.len);
    MUST(e.len && e.ptr >= text.ptr && e.ptr + e.len <= text.ptr + text.len);
  }
  (void)yoi_sdk_json_raw_get(text, "a");
  (void)yoi_sdk_json_raw_unescape(text, &b);
  (void)yoi_sdk_json_raw_int(text, &n);
  (void)yoi_sdk_json_locate(text, YOI_SDK_JSON_COMMENTS, YOI_LIT("/a/0/b"), 1, &line, &column);
  yoi_sdk_buf_release(&b);
}

static void write_any_bytes(yoi_str bytes) {
  struct yoi_sdk_buf b, back;
  struct yoi_sdk_jsonw w;
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_init(&back, YOI_JSON_BYTES_MAX);
  yoi_sdk_jsonw_init(&w, &b);
  yoi_sdk_jsonw_str(&w, bytes);
  MUST(yoi_sdk_json_check(yoi_sdk_buf_str(&b), 0, NULL) == YOI_OK);
  MUST(yoi_sdk_json_raw_unescape(yoi_sdk_buf_str(&b), &back));
  if (yoi_sdk_utf8_valid(bytes) && !memchr(bytes.len ? bytes.ptr : "x", 0, bytes.len))
    MUST(yoi_sdk_str_eq(yoi_sdk_buf_str(&back), bytes));
  yoi_sdk_buf_release(&b);
  yoi_sdk_buf_release(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct yoi_sdk_json_error err;
  yoi_sdk_json *v;
  if (size == 0) return 0;
  uint32_t flags = data[0] & 1 ? YOI_SDK_JSON_COMMENTS : 0;
  uint64_t fail_at = data[0] >> 1 & 15;
  yoi_str text = {(const char *)data + 1, size - 1};

  yoi_status st = yoi_sdk_json_check(text, flags, &err);
  if (st != YOI_OK) {
    MUST(err.offset <= text.len && err.line && err.column && err.message[0]);
    MUST(strnlen(err.pointer, sizeof err.pointer) < sizeof err.pointer);
  }
  (void)yoi_sdk_mem_fail_at(fail_at);
  yoi_status parsed = yoi_sdk_json_parse(text, flags, &v, NULL);
  (void)yoi_sdk_mem_fail_at(0);
  MUST(parsed == st || (fail_at && parsed == YOI_RESOURCE_EXHAUSTED));
  MUST((v != NULL) == (parsed == YOI_OK));
  if (v) {
    stable(v);
    find(text, flags, v);
    if (!flags) walk(text, v);
  }
  yoi_sdk_json_free(v);
  poke(text);
  write_any_bytes(text);
  return 0;
}
