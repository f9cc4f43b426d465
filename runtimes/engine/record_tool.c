/* record_tool.c - the records of calls of tools.
 *
 *   tool.requested -> policy.decided -> tool.started -> tool.completed
 *                                    -> tool.approval_requested -> ..._resolved
 *
 * Invariants:
 *  1. What a model is shown of an output has a bound, the profile's
 *     tool_result_bytes: the beginning, the end, and between them how much is
 *     missing and where it is.
 *  2. The whole of an output that is cut so stands in the record's private part:
 *     there is no other place that it could be lost from, and it lives as long
 *     as the record (artefact.c).
 *  3. An approval says what it is for: the call, the sha256 of its arguments,
 *     and the plugin's bytes.
 */
#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <yoi/ops.h>

#include "pen.h"

struct eng_frame *eng_record_tool_requested(struct eng_stage *s, const struct eng_turn *t,
                                            const struct eng_call *call) {
  struct eng_pos pos = eng_stage_pos(s);
  struct eng_pen p;
  (void)eng_pen_record(&p, s->w, pos, yoi_sdk_str(t->id));
  yoi_sdk_jsonw_kint(&p.w, "step", t->step);
  yoi_sdk_jsonw_key(&p.w, "call");
  eng_pen_call(&p, call);
  return eng_pen_frame(&p, s->w, YOI_EVENT_TOOL_REQUESTED, pos, NULL);
}

static void begin(struct eng_pen *p, struct eng_stage *s, const struct eng_turn *t,
                  const struct eng_call *call) {
  (void)eng_pen_record(p, s->w, eng_stage_pos(s), yoi_sdk_str(t->id));
  if (call) yoi_sdk_jsonw_kstr(&p->w, "call_id", call->id);
}

static void write_why(struct eng_pen *p, const struct eng_call *call) {
  if (call->said.plugin[0])
    yoi_sdk_jsonw_kstr(&p->w, "plugin", yoi_sdk_str(call->said.plugin));
  else
    yoi_sdk_jsonw_kraw(&p->w, "plugin", YOI_LIT("null"));
  yoi_sdk_jsonw_kstr(&p->w, "rule", yoi_sdk_str(call->said.rule));
  yoi_sdk_jsonw_kstr(&p->w, "reason", yoi_sdk_str(call->said.reason));
}

struct eng_frame *eng_record_policy_decided(struct eng_stage *s, const struct eng_turn *t,
                                            const struct eng_call *call) {
  struct eng_pen p;
  begin(&p, s, t, call);
  yoi_sdk_jsonw_kstr(&p.w, "decision", yoi_sdk_str(eng_verdict_name(call->said.verdict)));
  write_why(&p, call);
  return eng_pen_frame(&p, s->w, YOI_EVENT_POLICY_DECIDED, eng_stage_pos(s), NULL);
}

struct eng_frame *eng_record_tool_started(struct eng_stage *s, const struct eng_turn *t,
                                          const struct eng_call *call) {
  struct eng_pen p;
  begin(&p, s, t, call);
  return eng_pen_frame(&p, s->w, YOI_EVENT_TOOL_STARTED, eng_stage_pos(s), NULL);
}

/* ---- approvals ---- */

struct eng_frame *eng_record_approval_requested(struct eng_stage *s, const struct eng_turn *t,
                                                struct eng_call *call) {
  struct eng_pen p;
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  char hex[2 * YOI_SDK_SHA256_SIZE];
  uint64_t now = eng_wall(s->w->eng);
  if (!yoi_sdk_uuid7(now, call->approval) ||
      !yoi_sdk_sha256(call->arguments.ptr, call->arguments.len, sha))
    return NULL;
  yoi_sdk_hex(sha, sizeof sha, hex);
  call->expires = now + s->w->spec->limits.approval_ms * 1000000u;
  call->expires -= call->expires % 1000000u; /* as it is written */
  begin(&p, s, t, NULL);
  yoi_sdk_jsonw_key(&p.w, "approval");
  yoi_sdk_jsonw_open(&p.w, '{');
  yoi_sdk_jsonw_kstr(&p.w, "approval_id", yoi_sdk_str(call->approval));
  yoi_sdk_jsonw_kstr(&p.w, "turn_id", yoi_sdk_str(t->id));
  yoi_sdk_jsonw_kint(&p.w, "step", t->step);
  yoi_sdk_jsonw_kstr(&p.w, "call_id", call->id);
  yoi_sdk_jsonw_kstr(&p.w, "tool", call->name);
  yoi_sdk_jsonw_kstr(&p.w, "tool_plugin", yoi_sdk_str(call->tool->plugin));
  if (call->digest[0])
    yoi_sdk_jsonw_kstr(&p.w, "tool_digest", yoi_sdk_str(call->digest));
  else
    yoi_sdk_jsonw_kraw(&p.w, "tool_digest", YOI_LIT("null"));
  yoi_sdk_jsonw_kstr(&p.w, "arguments", call->arguments);
  yoi_sdk_jsonw_kstr(&p.w, "arguments_sha256", (yoi_str){hex, sizeof hex});
  write_why(&p, call);
  eng_pen_at(&p, "requested_at", now);
  eng_pen_at(&p, "expires_at", call->expires);
  yoi_sdk_jsonw_close(&p.w, '}');
  return eng_pen_frame(&p, s->w, YOI_EVENT_TOOL_APPROVAL_REQUESTED, eng_stage_pos(s), NULL);
}

struct eng_frame *eng_record_approval_resolved(struct eng_stage *s, const struct eng_turn *t,
                                               const struct eng_call *call, const char *decision,
                                               yoi_str principal, yoi_str reason) {
  struct eng_pen p;
  begin(&p, s, t, NULL);
  yoi_sdk_jsonw_kstr(&p.w, "approval_id", yoi_sdk_str(call->approval));
  yoi_sdk_jsonw_kstr(&p.w, "call_id", call->id);
  yoi_sdk_jsonw_kstr(&p.w, "decision", yoi_sdk_str(decision));
  if (principal.len > 0)
    yoi_sdk_jsonw_kstr(&p.w, "principal", principal);
  else
    yoi_sdk_jsonw_kraw(&p.w, "principal", YOI_LIT("null"));
  yoi_sdk_jsonw_kstr_opt(&p.w, "reason", reason);
  return eng_pen_frame(&p, s->w, YOI_EVENT_TOOL_APPROVAL_RESOLVED, eng_stage_pos(s), NULL);
}

/* ---- results ---- */

static const char *const statuses[] = {
    [ENG_CALL_OK] = "ok",
    [ENG_CALL_ERROR] = "error",
    [ENG_CALL_UNCERTAIN] = "uncertain",
    [ENG_CALL_CANCELLED] = "cancelled",
    [ENG_CALL_DENIED] = "denied",
};

/* The last bytes, at most max, beginning with a character. */
static yoi_str tail_of(yoi_str s, size_t max) {
  size_t from = s.len > max ? s.len - max : 0;
  while (from < s.len && ((unsigned char)s.ptr[from] & 0xC0) == 0x80) from++;
  return (yoi_str){s.ptr + from, s.len - from};
}

/* 1: something of it was left out. */
static int add_output(struct yoi_sdk_buf *out, yoi_str output, size_t max, uint64_t sequence) {
  if (output.len <= max) {
    yoi_sdk_buf_adds(out, output);
    return 0;
  }
  size_t head = yoi_sdk_utf8_cut(output, max / 2);
  yoi_str tail = tail_of(output, max - max / 2);
  yoi_sdk_buf_add(out, output.ptr, head);
  yoi_sdk_buf_addf(
      out,
      "\n[... %zu of %zu bytes are left out here; artefact_read with artefact_id %llu and start "
      "%zu shows them ...]\n",
      output.len - head - tail.len, output.len, (unsigned long long)sequence, head);
  yoi_sdk_buf_adds(out, tail);
  return 1;
}

static void write_aux(struct eng_pen *p, yoi_str output) {
  struct yoi_sdk_jsonw w;
  yoi_sdk_jsonw_init(&w, &p->aux);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "output", output);
  yoi_sdk_jsonw_close(&w, '}');
}

static void write_error(struct eng_pen *p, const struct eng_outcome *o) {
  static const int32_t codes[] = {
      [ENG_CALL_OK] = YOI_CODE_INTERNAL,
      [ENG_CALL_ERROR] = YOI_CODE_INTERNAL,
      [ENG_CALL_UNCERTAIN] = YOI_CODE_RUNTIME_UNAVAILABLE,
      [ENG_CALL_CANCELLED] = YOI_CODE_SHUTTING_DOWN,
      [ENG_CALL_DENIED] = YOI_CODE_POLICY_DENIED,
  };
  yoi_sdk_jsonw_key(&p->w, "error");
  yoi_sdk_jsonw_open(&p->w, '{');
  yoi_sdk_jsonw_kstr(&p->w, "code",
                     yoi_sdk_str(yoi_sdk_code_name(o->code ? o->code : codes[o->status])));
  yoi_sdk_jsonw_kstr(&p->w, "message", yoi_sdk_str(o->message));
  yoi_sdk_jsonw_close(&p->w, '}');
}

/* tool.completed of a call id: what was said, and the error if it is one. */
static struct eng_frame *completed(struct eng_stage *s, const struct eng_turn *t, yoi_str call_id,
                                   const struct eng_outcome *o, yoi_str content,
                                   yoi_str whole_output) {
  struct eng_pos pos = eng_stage_pos(s);
  struct eng_pen p;
  uint64_t now = eng_pen_record(&p, s->w, pos, yoi_sdk_str(t->id));
  yoi_sdk_jsonw_kstr(&p.w, "call_id", call_id);
  yoi_sdk_jsonw_kstr(&p.w, "status", yoi_sdk_str(statuses[o->status]));
  if (whole_output.len > 0) {
    char id[24];
    int n = snprintf(id, sizeof id, "%llu", (unsigned long long)pos.sequence);
    yoi_sdk_jsonw_kstr(&p.w, "artefact_id", (yoi_str){id, (size_t)n});
    yoi_sdk_jsonw_kint(&p.w, "artefact_bytes", (int64_t)whole_output.len);
    write_aux(&p, whole_output);
  }
  eng_pen_item(&p, pos, t, "tool");
  eng_pen_content(&p, content, 0);
  yoi_sdk_jsonw_kstr(&p.w, "tool_call_id", call_id);
  if (o->status != ENG_CALL_OK) write_error(&p, o);
  eng_pen_at(&p, "created_at", now);
  yoi_sdk_jsonw_close(&p.w, '}');
  return eng_pen_frame(&p, s->w, YOI_EVENT_TOOL_COMPLETED, pos, NULL);
}

struct eng_frame *eng_record_tool_completed(struct eng_stage *s, const struct eng_turn *t,
                                            const struct eng_call *call,
                                            const struct eng_outcome *outcome, bool output) {
  struct yoi_sdk_buf content;
  yoi_str said = output ? yoi_sdk_buf_str(&call->output) : (yoi_str){0};
  yoi_sdk_buf_init(&content, YOI_TOOL_RESULT_BYTES_MAX + 2 * YOI_ERROR_MESSAGE_MAX);
  int cut =
      add_output(&content, said, s->w->spec->limits.tool_result_bytes, eng_stage_pos(s).sequence);
  const char *feed = content.len > 0 && content.data[content.len - 1] != '\n' ? "\n" : "";
  if (outcome->status != ENG_CALL_OK)
    yoi_sdk_buf_addf(&content, "%serror: %s", feed, outcome->message);
  else if (outcome->message[0])
    yoi_sdk_buf_addf(&content, "%s[%s]", feed, outcome->message);
  struct eng_frame *f = content.failed
                            ? NULL
                            : completed(s, t, call->id, outcome, yoi_sdk_buf_str(&content),
                                        cut ? said : (yoi_str){0});
  yoi_sdk_buf_release(&content);
  return f;
}

/* ---- live ---- */

struct eng_frame *eng_live_progress(const struct eng_turn *t, yoi_str call_id, yoi_str text) {
  struct eng_pen p;
  eng_pen_live(&p, t);
  yoi_sdk_jsonw_kstr(&p.w, "call_id", call_id);
  yoi_sdk_jsonw_kstr(&p.w, "text", text);
  return eng_pen_frame(&p, t->w, YOI_EVENT_TOOL_PROGRESS, eng_worker_next_pos(t->w), NULL);
}
