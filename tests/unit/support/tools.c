/* tools.c - opens workers with tools, and looks their histories through. */
#include "tools.h"

#include <sdk/json.h>
#include <stdio.h>
#include <stdlib.h>

#define TOOL(name, policy) \
  "{\"name\":\"" name "\",\"plugin\":\"" FAKE_TOOL_PLUGIN "\",\"policy\":\"" policy "\"}"

static void open_as(struct rig *r, unsigned mode, const char *limits, const char *kind) {
  char profile[1024];
  (void)snprintf(profile, sizeof profile,
                 "{\"name\":\"p\",\"prompt\":\"p.system\",\"model\":\"main\",\"limits\":{%s},"
                 "\"tools\":[" TOOL("look", "allow") "," TOOL("again", "allow") "," TOOL(
                     "act", "allow") "," TOOL("ask", "ask") "]}",
                 limits);
  rig_close(r);
  rig_open_as(r, mode, NULL, profile, kind);
  fake_tool_add(r->fh, "look", YOI_TOOL_READ_ONLY | YOI_TOOL_IDEMPOTENT);
  fake_tool_add(r->fh, "again", YOI_TOOL_IDEMPOTENT);
  fake_tool_add(r->fh, "act", 0);
  fake_tool_add(r->fh, "ask", 0);
  queue_make(r);
}

void tools_open(struct rig *r, const char *limits) {
  open_as(r, r->mode, limits, NULL);
}

void tools_open_durable(struct rig *r, const char *limits) {
  open_as(r, r->mode, limits, "durable");
}

void tools_answer(struct rig *r, const char *first, ...) {
  struct fake_answer *a = fake_model_answer(r->fh);
  va_list ap;
  va_start(ap, first);
  for (const char *call = first; call; call = va_arg(ap, const char *)) {
    char name[64], id[64];
    int at = 0;
    assert_int_equal(sscanf(call, "%63s %63s %n", name, id, &at), 2);
    fake_answer_call(a, id, name, call[at] ? call + at : "{}");
  }
  va_end(ap);
  fake_answer_finish(a, "tool_calls");
}

void tools_go(struct rig *r) {
  rig_ok(r, YOI_OP_WORKER_INPUT, "a", "{\"content\":\"go\"}");
}

/* ---- approvals ---- */

static yoi_str approval_at(struct rig *r, size_t i) {
  yoi_str one = {0}, list;
  size_t pos = 0;
  if (rig_call(r, YOI_OP_WORKER_APPROVALS, "a", "") != YOI_OK) /* short of memory, once */
    rig_ok(r, YOI_OP_WORKER_APPROVALS, "a", "");
  list = yoi_sdk_json_raw_get(yoi_sdk_str(r->text), "approvals");
  for (size_t k = 0; k <= i; k++)
    if (!yoi_sdk_json_raw_each(list, &pos, &one)) return (yoi_str){0};
  return one;
}

const char *tools_approval(struct rig *r, size_t i, char id[37]) {
  yoi_str raw = yoi_sdk_json_raw_get(approval_at(r, i), "approval_id");
  assert_int_equal(raw.len, 38);
  memcpy(id, raw.ptr + 1, 36);
  id[36] = 0;
  return id;
}

size_t tools_open_approvals(struct rig *r) {
  size_t n = 0;
  while (approval_at(r, n).len > 0) n++;
  return n;
}

yoi_stream *tools_resolve_start(struct rig *r, const char *approval, const char *decision) {
  char body[256];
  (void)snprintf(body, sizeof body, decision[0] == '{' ? "%s" : "{\"decision\":\"%s\"}", decision);
  return rig_start(
      r, YOI_OP_WORKER_APPROVE, "a", body,
      &(yoi_request){.subject = yoi_sdk_str(approval), .principal = YOI_LIT("token:eve")});
}

yoi_status tools_resolve(struct rig *r, const char *approval, const char *decision) {
  yoi_stream *s = tools_resolve_start(r, approval, decision);
  yoi_status st = s ? rig_finish(r, s) : yoi_sdk_code_status(r->err->code);
  rig_settle(r);
  return st;
}

/* ---- the history ---- */

struct seen_call {
  char id[96], approval[64];
  bool started, waits, allowed;
};

struct seen {
  struct seen_call calls[YOI_TOOL_CALLS_MAX];
  size_t n;
  bool cut;
};

static void raw_text(yoi_str data, const char *name, char *out, size_t cap) {
  yoi_str v = yoi_sdk_json_raw_get(data, name);
  assert_true(v.len < cap);
  (void)snprintf(out, cap, "%.*s", YOI_ARG(v));
}

static struct seen_call *seen_call(struct seen *s, yoi_str data, const char *line) {
  char id[96];
  raw_text(data, "call_id", id, sizeof id);
  for (size_t i = 0; i < s->n; i++)
    if (strcmp(s->calls[i].id, id) == 0) return &s->calls[i];
  fail_msg("no such call is open: %s", line);
  return NULL;
}

/* An answer: those before it have results, and its calls are open now. */
static void see_message(struct seen *s, yoi_str data) {
  yoi_str call;
  size_t pos = 0;
  assert_int_equal(s->n, 0);
  yoi_str list = yoi_sdk_json_raw_get(yoi_sdk_json_raw_get(data, "item"), "tool_calls");
  while (yoi_sdk_json_raw_each(list, &pos, &call)) {
    struct seen_call *c = &s->calls[s->n++];
    *c = (struct seen_call){0};
    raw_text(call, "id", c->id, sizeof c->id);
  }
}

static void see_approval(struct seen *s, yoi_str data, const char *line) {
  yoi_str approval = yoi_sdk_json_raw_get(data, "approval");
  struct seen_call *c = seen_call(s, approval, line);
  assert_false(c->started || c->waits);
  c->waits = true;
  raw_text(approval, "approval_id", c->approval, sizeof c->approval);
}

static void see_resolved(struct seen *s, yoi_str data, const char *line) {
  struct seen_call *c = seen_call(s, data, line);
  char id[64];
  raw_text(data, "approval_id", id, sizeof id);
  assert_true(c->waits);
  assert_string_equal(id, c->approval);
  c->waits = false;
  c->allowed = yoi_sdk_str_eq(yoi_sdk_json_raw_get(data, "decision"), YOI_LIT("\"allow\""));
}

static void see(struct seen *s, const char *line) {
  size_t kind = strcspn(line, " ");
  yoi_str data = {line + kind + 1, strcspn(line + kind + 1, "\n")};
  yoi_str what = {line, kind};
  if (yoi_sdk_str_is(what, "policy.decided")) (void)seen_call(s, data, line);
  if (yoi_sdk_str_is(what, "tool.approval_requested")) see_approval(s, data, line);
  if (yoi_sdk_str_is(what, "tool.approval_resolved")) see_resolved(s, data, line);
  if (yoi_sdk_str_is(what, "turn.cancel_requested")) s->cut = true;
  if (yoi_sdk_str_is(what, "turn.started")) s->cut = false;
  if (yoi_sdk_str_is(what, "tool.started")) {
    struct seen_call *c = seen_call(s, data, line);
    if (c->started || c->waits || s->cut || (c->approval[0] && !c->allowed))
      fail_msg("it must not be started: %s", line);
    c->started = true;
  }
  if (yoi_sdk_str_is(what, "tool.completed")) {
    struct seen_call *c = seen_call(s, data, line);
    *c = s->calls[--s->n];
  }
  if (yoi_sdk_str_is(what, "message.completed")) see_message(s, data);
}

/* In the lines of one request. */
static void check_paired(const char *messages) {
  char want[YOI_TOOL_CALLS_MAX][96];
  size_t n = 0, next = 0;
  for (const char *p = messages; *p; p = strchr(p, '\n') + 1) {
    yoi_str line = {p, strcspn(p, "\n")}, call;
    yoi_str id = yoi_sdk_json_raw_get(line, "tool_call_id");
    size_t pos = 0;
    if (id.len > 0) {
      if (next == n || strncmp(want[next], id.ptr, id.len) != 0)
        fail_msg("a result is out of order: %.*s\n%s", YOI_ARG(line), messages);
      next++;
      continue;
    }
    if (next != n) fail_msg("a call has no result: %s", messages);
    n = next = 0;
    while (yoi_sdk_json_raw_each(yoi_sdk_json_raw_get(line, "tool_calls"), &pos, &call))
      raw_text(call, "id", want[n++], sizeof want[0]);
  }
  if (next != n) fail_msg("a call has no result: %s", messages);
}

void tools_history(struct rig *r, struct ear *e, int all_ended) {
  struct seen s = {0};
  queue_history(r, e, all_ended);
  for (const char *p = e->heard.data; *p; p = strchr(p, '\n') + 1) {
    see(&s, p);
    if (strncmp(p, "turn.ended ", 11) == 0 && !strstr(p, "\"started_at\":null"))
      assert_int_equal(s.n, 0);
  }
  if (all_ended) assert_int_equal(s.n, 0);
  for (size_t i = 0; i < fake_model_requests(r->fh); i++)
    check_paired(fake_model_messages(r->fh, i));
}

void tools_heard(struct rig *r, const char *part, size_t n) {
  struct ear e;
  tools_history(r, &e, 0);
  if (ear_count(&e, part) != n)
    fail_msg("'%s' was heard %zu times, not %zu, in\n%s", part, ear_count(&e, part), n,
             e.heard.data);
  ear_close(&e);
}

void tools_ended(struct rig *r, const char *want_state, const char *want_reason) {
  struct ear e;
  rig_ended(r, want_state, want_reason);
  assert_int_equal(fake_tool_live(r->fh), 0);
  tools_history(r, &e, 1);
  ear_close(&e);
}

const char *tools_kinds(struct rig *r) {
  static char out[8192];
  struct ear e;
  tools_history(r, &e, 0);
  const char *from = strstr(ear_kinds(&e), "turn.started");
  (void)snprintf(out, sizeof out, "%s", from ? from : "");
  ear_close(&e);
  return out;
}

const char *tools_result(struct rig *r, const char *call_id) {
  static char out[4096];
  char mark[160];
  struct ear e;
  tools_history(r, &e, 0);
  (void)snprintf(mark, sizeof mark, "\"call_id\":\"%s\",\"status\":", call_id);
  const char *at = strstr(e.heard.data, mark);
  if (!at) fail_msg("there is no result of '%s' in %s", call_id, e.heard.data);
  const char *line = at;
  while (line > e.heard.data && line[-1] != '\n') line--;
  line += strcspn(line, " ") + 1;
  yoi_str data = {line, strcspn(line, "\n")}, part = {0};
  size_t pos = 0;
  yoi_str status = yoi_sdk_json_raw_get(data, "status");
  (void)yoi_sdk_json_raw_each(yoi_sdk_json_raw_get(yoi_sdk_json_raw_get(data, "item"), "content"),
                              &pos, &part);
  yoi_str text = yoi_sdk_json_raw_get(part, "text");
  int n = text.len > 2 ? (int)text.len - 2 : 0;
  (void)snprintf(out, sizeof out, "%.*s: %.*s", (int)status.len - 2, status.ptr + 1, n,
                 n ? text.ptr + 1 : "");
  ear_close(&e);
  return out;
}
