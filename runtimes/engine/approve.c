/* approve.c - worker.approvals and worker.approve: the people's part of a call.
 *
 * An approval is a record (tool.approval_requested) of the turn that waits for
 * it, and open until there is another that resolves it, or the call's result.
 * Several are open at once, and each is resolved by itself. Invariants:
 *
 *  1. What a person says is appended before it is acknowledged; the same said
 *     again is acknowledged again, something else is a conflict (resolved.c).
 *  2. To allow is no start: the call is judged once more, with the approval
 *     (tools.c).
 *  3. An answer behind the expiry counts as none, whoever was first to look.
 */
#include <sdk/id.h>
#include <sdk/mem.h>
#include <sdk/stream.h>
#include <string.h>

#include "op.h"
#include "shapes.h"
#include "turn.h"

yoi_status eng_start_approvals(struct eng_engine *eng, const yoi_request *req, struct eng_worker *w,
                               yoi_stream **out, yoi_error *err) {
  yoi_sdk_json *body = NULL;
  struct yoi_sdk_buf buf;
  struct yoi_sdk_jsonw jw;
  (void)eng;
  yoi_status st = eng_ask_parse(req, &body, err);
  yoi_sdk_json_free(body);
  if (st != YOI_OK) return st;
  if (!w) return eng_ask_no_worker(err);
  yoi_sdk_buf_init(&buf, (size_t)YOI_TOOL_CALLS_MAX * 8 * YOI_TOOL_ARGUMENTS_MAX);
  yoi_sdk_jsonw_init(&jw, &buf);
  yoi_sdk_jsonw_open(&jw, '{');
  yoi_sdk_jsonw_key(&jw, "approvals");
  yoi_sdk_jsonw_open(&jw, '[');
  pthread_mutex_lock(&w->mu);
  bool gone = w->state == ENG_GONE;
  const struct eng_turn *t = w->turn;
  for (uint32_t i = 0; t && i < t->n_calls; i++)
    if (t->calls[i].state == ENG_CALL_WAITS)
      yoi_sdk_jsonw_raw(&jw, yoi_sdk_json_raw_get(t->calls[i].asked->ev.text, "approval"));
  pthread_mutex_unlock(&w->mu);
  yoi_sdk_jsonw_close(&jw, ']');
  yoi_sdk_jsonw_close(&jw, '}');
  size_t len = 0;
  char *text = buf.failed || gone ? NULL : yoi_sdk_buf_take(&buf, &len);
  yoi_sdk_buf_release(&buf);
  if (gone) return eng_ask_no_worker(err);
  *out = text ? yoi_sdk_stream_one_take(text, len, 0) : NULL;
  return *out ? YOI_OK : yoi_sdk_fail_memory(err);
}

yoi_status eng_start_approve(struct eng_engine *eng, const yoi_request *req, struct eng_worker *w,
                             yoi_stream **out, yoi_error *err) {
  yoi_sdk_json *body = NULL;
  (void)eng;
  yoi_status st = eng_ask_parse(req, &body, err);
  if (st != YOI_OK) return st;
  yoi_str decision = eng_ask_str(body, "decision");
  bool allow = yoi_sdk_str_is(decision, "allow");
  struct eng_op *op = NULL;
  if (!allow && !yoi_sdk_str_is(decision, "deny"))
    st = eng_ask_refuse(err, "decision", "is neither 'allow' nor 'deny'");
  else if (!w)
    st = eng_ask_no_worker(err);
  else if (req->subject.len != sizeof op->approval - 1)
    st = yoi_sdk_fail(err, YOI_CODE_APPROVAL_NOT_FOUND, "there is no such approval");
  else if (!(op = eng_op_new(w, req, eng_ask_str(body, "reason"))))
    st = yoi_sdk_fail_memory(err);
  yoi_sdk_json_free(body);
  if (st != YOI_OK || !op) return st;
  memcpy(op->approval, req->subject.ptr, sizeof op->approval - 1);
  op->allow = allow;
  return eng_op_submit(op, out, err);
}

/* ---- under the lock ---- */

static struct eng_call *find(const struct eng_worker *w, const char *approval) {
  for (uint32_t i = 0; w->turn && i < w->turn->n_calls; i++)
    if (strcmp(w->turn->calls[i].approval, approval) == 0) return &w->turn->calls[i];
  return NULL;
}

/* 0: memory is short. */
static int stage(struct eng_op *op, struct eng_call *c, struct eng_after *after) {
  struct eng_worker *w = op->w;
  struct eng_turn *t = w->turn;
  struct eng_stage *s = eng_stage_new(w, ENG_DO_APPROVE, 2);
  char *approver = yoi_sdk_strndup(op->principal.ptr, op->principal.len);
  if (!s || !approver) {
    eng_stage_free(s);
    yoi_sdk_free(approver);
    return 0;
  }
  yoi_sdk_free(c->approver);
  c->approver = approver;
  c->allowed = op->allow;
  c->resolved = eng_stage_pos(s).sequence;
  c->next = op->allow ? ENG_CALL_APPROVED : ENG_CALL_OVER;
  c->status = ENG_CALL_DENIED;
  s->turn = eng_turn_ref(t);
  s->op = eng_op_ref(op);
  eng_stage_add(s, eng_record_approval_resolved(s, t, c, op->allow ? "allow" : "deny",
                                                op->principal, op->reason));
  if (!op->allow) {
    struct eng_outcome o = {.status = ENG_CALL_DENIED, .code = YOI_CODE_POLICY_DENIED};
    (void)snprintf(o.message, sizeof o.message, "a person has denied the call%s%.*s",
                   op->reason.len > 0 ? ": " : "",
                   (int)yoi_sdk_utf8_cut(op->reason, YOI_ERROR_MESSAGE_MAX - 64), op->reason.ptr);
    eng_stage_add(s, eng_record_tool_completed(s, t, c, &o, false));
  }
  if (eng_stage_commit(s, after)) return 1;
  eng_calls_unstage(t);
  return 0;
}

/* It was answered before. */
static void again(struct eng_op *op, const struct eng_resolved_one *one, struct eng_after *after) {
  bool same = one->decision == (op->allow ? ENG_DECIDED_ALLOW : ENG_DECIDED_DENY);
  if (same)
    eng_op_ack(op, yoi_sdk_str(one->turn), one->sequence, eng_state_name(op->w->state), after);
  else
    eng_op_fail(op, YOI_CODE_APPROVAL_CONFLICT,
                one->decision == ENG_DECIDED_EXPIRED ? "the approval has expired"
                                                     : "the approval was resolved otherwise",
                after);
}

void eng_approve_step(struct eng_op *op, struct eng_after *after) {
  struct eng_worker *w = op->w;
  struct eng_call *c = find(w, op->approval);
  const struct eng_resolved_one *one = eng_resolved_find(&w->resolved, op->approval);
  if (w->state == ENG_CORRUPT) {
    eng_op_fail(op, YOI_CODE_STORE_CORRUPT, "the worker's history is damaged", after);
  } else if (one) {
    again(op, one, after);
  } else if (!c) {
    eng_op_fail(op, YOI_CODE_APPROVAL_NOT_FOUND, "there is no such approval", after);
  } else if (c->state != ENG_CALL_WAITS) {
    eng_op_fail(op, YOI_CODE_APPROVAL_CONFLICT, "the call is over", after);
  } else if (w->turn->cut == ENG_CUT_CANCEL) {
    eng_op_fail(op, YOI_CODE_APPROVAL_CONFLICT, "the turn is being cancelled", after);
  } else if (eng_wall(w->eng) >= c->expires) {
    eng_op_fail(op, YOI_CODE_APPROVAL_CONFLICT, "the approval has expired", after);
  } else if (!stage(op, c, after)) {
    eng_op_fail(op, YOI_CODE_INTERNAL, "memory is short", after);
  } else {
    eng_op_unref(op);
  }
}
