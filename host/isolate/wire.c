/* host/isolate/wire.c - requests and events, written and read by their lists. */
#include "wire.h"

#include <sdk/mem.h>
#include <yoi/ops.h>
#include <yoi/plugin.h>

#define STRS_MAX (YOI_ISOLATED_MESSAGE_BYTES / 4) /* each has its length in front */
#define EVENT_BYTES_MIN (4 * sizeof(uint32_t))    /* a kind, flags, two empty texts */
#define EVENT_FLAGS (YOI_EV_REPLAYED | YOI_EV_DURABLE | YOI_EV_CREATED)

static void put_strs(struct yoi_sdk_buf *b, const yoi_str *s, size_t n) {
  if (n > STRS_MAX) b->failed = YOI_OUT_OF_RANGE;
  yoi__put_u32(b, (uint32_t)n);
  for (size_t i = 0; i < n && b->failed == 0; i++) yoi__put_str(b, s[i]);
}

static const yoi_str *get_strs(struct yoi__reader *in, size_t *out_n) {
  uint32_t n = yoi__get_u32(in);
  *out_n = 0;
  if (n > in->left / sizeof(uint32_t)) in->bad = 1;
  yoi_str *all = in->bad || n == 0 ? NULL : yoi_sdk_calloc(n, sizeof *all);
  if (all == NULL && n > 0) in->bad = 1;
  for (uint32_t i = 0; i < n && !in->bad; i++)
    all[i] = yoi__get_bytes(in, YOI_ISOLATED_MESSAGE_BYTES);
  if (in->bad) {
    yoi_sdk_free(all);
    return NULL;
  }
  *out_n = n;
  return all;
}

#define PUT(type, member) PUT_##type(member)
#define PUT_u32(member) yoi__put_u32(b, r->member);
#define PUT_u64(member) yoi__put_u64(b, r->member);
#define PUT_str(member) yoi__put_str(b, r->member);
#define PUT_strs(member) put_strs(b, r->member, r->n_##member);
#define PUT_count(member)

#define GET(type, member) GET_##type(member)
#define GET_u32(member) r->member = yoi__get_u32(in);
#define GET_u64(member) r->member = yoi__get_u64(in);
#define GET_str(member) r->member = yoi__get_bytes(in, YOI_ISOLATED_MESSAGE_BYTES);
#define GET_strs(member) r->member = get_strs(in, &r->n_##member);
#define GET_count(member)

#define PUTS(list) \
  do {             \
    list(PUT)      \
  } while (0)
#define GETS(list)                 \
  do {                             \
    list(GET) r->size = sizeof *r; \
    r->token = 0;                  \
  } while (0)

void yoi__put_tool_request(struct yoi_sdk_buf *b, const yoi_tool_request *r) {
  PUTS(YOI__WIRE_TOOL_REQUEST);
}

void yoi__get_tool_request(struct yoi__reader *in, yoi_tool_request *r) {
  GETS(YOI__WIRE_TOOL_REQUEST);
}

void yoi__put_policy_request(struct yoi_sdk_buf *b, const yoi_policy_request *r) {
  PUTS(YOI__WIRE_POLICY_REQUEST);
}

void yoi__get_policy_request(struct yoi__reader *in, yoi_policy_request *r) {
  GETS(YOI__WIRE_POLICY_REQUEST);
}

void yoi__put_model_request(struct yoi_sdk_buf *b, const yoi_model_request *r) {
  PUTS(YOI__WIRE_MODEL_REQUEST);
}

void yoi__get_model_request(struct yoi__reader *in, yoi_model_request *r) {
  GETS(YOI__WIRE_MODEL_REQUEST);
}

void yoi__put_events(struct yoi_sdk_buf *b, yoi_status st, const yoi_error *err,
                     const yoi_event *const *events, size_t n) {
  yoi__put_u32(b, (uint32_t)st);
  yoi__put_u32(b, (uint32_t)n);
  if (st > YOI_OK) yoi__put_error(b, err);
  for (size_t i = 0; i < n && b->failed == 0; i++) {
    if (events[i]->cursor.len > YOI_CURSOR_MAX || events[i]->text.len > YOI_JSON_BYTES_MAX)
      b->failed = YOI_OUT_OF_RANGE;
    yoi__put_u32(b, events[i]->kind);
    yoi__put_u32(b, events[i]->flags);
    yoi__put_str(b, events[i]->cursor);
    yoi__put_str(b, events[i]->text);
    if (b->len > YOI__EVENTS_BYTES) b->failed = YOI_OUT_OF_RANGE;
  }
}

void yoi__get_events(struct yoi__reader *in, yoi_status *st, yoi_error *e, uint32_t *n) {
  *st = (yoi_status)yoi__get_u32(in);
  *n = yoi__get_u32(in);
  if (*st < YOI_END || *st > YOI_UNAUTHENTICATED || *n > in->left / EVENT_BYTES_MIN) in->bad = 1;
  if (!in->bad && *st > YOI_OK) yoi__get_error(in, e);
}

void yoi__get_event(struct yoi__reader *in, yoi_event *ev) {
  *ev = (yoi_event){.size = sizeof *ev};
  ev->kind = yoi__get_u32(in);
  ev->flags = yoi__get_u32(in);
  ev->cursor = yoi__get_text(in, YOI_CURSOR_MAX);
  /* What a tool says is cleaned by who reads it: pieces may be cut anywhere. */
  int raw = ev->kind == YOI_EVENT_TOOL_OUTPUT || ev->kind == YOI_EVENT_TOOL_STATUS;
  ev->text = raw ? yoi__get_bytes(in, YOI_JSON_BYTES_MAX) : yoi__get_text(in, YOI_JSON_BYTES_MAX);
  if ((ev->flags & ~EVENT_FLAGS) != 0) in->bad = 1;
}

int yoi__event_fits(uint32_t plugin_kind, const yoi_event *ev) {
  switch (ev->kind) {
    case YOI_EVENT_RESULT:
      return plugin_kind == YOI_KIND_POLICY;
    case YOI_EVENT_TOOL_OUTPUT:
    case YOI_EVENT_TOOL_STATUS:
      return plugin_kind == YOI_KIND_TOOL;
    case YOI_EVENT_MODEL_TEXT:
    case YOI_EVENT_MODEL_REASONING:
    case YOI_EVENT_MODEL_TOOL_CALL:
    case YOI_EVENT_MODEL_USAGE:
    case YOI_EVENT_MODEL_FINISH:
      return plugin_kind == YOI_KIND_MODEL;
    default:
      return 0;
  }
}
