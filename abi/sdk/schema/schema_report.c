/* schema_report.c - where a walk is, and what it says of that place.
 *
 *  1. A place is a chain on the stack; its pointer is written only when there
 *     is a finding, so that a value which fits costs no text.
 *  2. Messages name keys and what was expected, never a value: it may be a
 *     secret in the wrong place. What does not fit is cut at an append.
 */
#include <sdk/mem.h>
#include <sdk/str.h>
#include <string.h>

#include "schema_node.h"

const char *const yoi_sdk__schema_type_names[SCHEMA_TYPES] = {
    NULL, "null", "boolean", "number", "string", "array", "object", "integer"};

void yoi_sdk__schema_report_init(struct schema_report *r, const char *base,
                                 yoi_sdk_schema_report_fn fn, void *ctx) {
  *r = (struct schema_report){.base = base, .fn = fn, .ctx = ctx, .st = YOI_OK};
  yoi_sdk_buf_init(&r->pointer, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_init(&r->message, YOI_ERROR_MESSAGE_MAX - 1);
}

yoi_status yoi_sdk__schema_report_end(struct schema_report *r) {
  yoi_sdk_buf_release(&r->pointer);
  yoi_sdk_buf_release(&r->message);
  return r->st;
}

static void add_token(struct yoi_sdk_buf *b, yoi_str token) {
  for (size_t i = 0; i < token.len; i++) {
    char c = token.ptr[i];
    if (c == '~' || c == '/')
      yoi_sdk_buf_adds(b, c == '~' ? YOI_LIT("~0") : YOI_LIT("~1"));
    else
      yoi_sdk_buf_addc(b, c);
  }
}

/* A chain is as long as a tree is deep. */
static void add_place(struct yoi_sdk_buf *b, const struct schema_place *p) {
  if (!p) return;
  add_place(b, p->up);
  yoi_sdk_buf_addc(b, '/');
  if (p->key.ptr)
    add_token(b, p->key);
  else
    yoi_sdk_buf_addf(b, "%zu", p->index);
}

static const char *pointer(struct schema_report *r) {
  yoi_sdk_buf_clear(&r->pointer);
  yoi_sdk_buf_adds(&r->pointer, yoi_sdk_str(r->base));
  add_place(&r->pointer, r->at);
  if (r->pointer.failed) r->st = YOI_RESOURCE_EXHAUSTED;
  return r->pointer.data ? r->pointer.data : "";
}

size_t yoi_sdk__schema_finding(struct schema_report *r, int is_key) {
  if (r->st == YOI_OK) r->st = YOI_INVALID_ARGUMENT;
  if (r->fn) {
    const char *where = pointer(r);
    if (r->message.failed == YOI_RESOURCE_EXHAUSTED) r->st = YOI_RESOURCE_EXHAUSTED;
    if (!r->pointer.failed)
      r->fn(r->ctx, where, is_key, r->message.len ? r->message.data : "invalid");
  }
  yoi_sdk_buf_clear(&r->message);
  return r->pointer.len;
}

void yoi_sdk__schema_say(struct schema_report *r, const char *message) {
  yoi_sdk_buf_adds(&r->message, yoi_sdk_str(message));
  (void)yoi_sdk__schema_finding(r, 0);
}

char *yoi_sdk__schema_where(struct schema_report *r) {
  const char *where = pointer(r);
  return r->pointer.failed ? NULL : yoi_sdk_strndup(where, strlen(where));
}

yoi_str yoi_sdk__schema_shown(yoi_str name) {
  return (yoi_str){name.ptr, yoi_sdk_utf8_cut(name, YOI_PLUGIN_ID_MAX)};
}

void yoi_sdk__schema_types(struct yoi_sdk_buf *b, uint32_t types) {
  int left = 0;
  if (types & SCHEMA_BIT(YOI_SDK_JSON_NUMBER)) types &= ~SCHEMA_BIT(SCHEMA_INTEGER);
  for (uint32_t t = SCHEMA_TYPES - 1; t > 0; t--) left += (types & SCHEMA_BIT(t)) != 0;
  for (uint32_t t = SCHEMA_TYPES - 1; t > 0; t--) {
    const char *name = yoi_sdk__schema_type_names[t];
    if (!(types & SCHEMA_BIT(t))) continue;
    const char *article = t == YOI_SDK_JSON_NULL ? "" : strchr("aio", name[0]) ? "an " : "a ";
    left--;
    yoi_sdk_buf_addf(b, "%s%s%s", article, name, left > 1 ? ", " : left == 1 ? " or " : "");
  }
}
