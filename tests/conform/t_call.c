/* t_call.c - what the turns of a runtime ask for beside themselves: tools, people, and
 * models that are in a hurry.
 *
 * The tool is the kit's own (companion.h), given to a worker by a bundle of the
 * kit's; of a runtime behind --url, whose host has not got it, these are skips.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "companion.h"
#include "life.h"

/* A worker with the tool, on which the bundle says `verdict`. */
static struct life with_tool(struct conform *c, const char *verdict, int asks) {
  struct life l = life_begin(c, asks ? "bundle.put worker.get worker.approve worker.approvals"
                                     : "bundle.put");
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  struct call k;
  char *bytes = conform_text(
      "{\"schema\":\"yoi.bundle/1\",\"id\":\"conform-tool\",\"revision\":\"1\","
      "\"workspace_id\":\"conform\",\"created_at\":\"2026-01-01T00:00:00Z\","
      "\"provenance\":{\"source\":\"conform\"},\"grants\":[\"model:main\"],"
      "\"prompts\":[{\"name\":\"main\",\"media_type\":\"text/plain\",\"text\":\"Be brief.\"}],"
      "\"models\":[{\"name\":\"main\",\"ref\":\"model:main\"}],"
      "\"tools\":[{\"name\":\"" COMPANION_TOOL_NAME "\",\"plugin\":\"" COMPANION_TOOL
      "\",\"policy\":\"%s\"}],"
      "\"profiles\":[{\"name\":\"main\",\"prompt\":\"main\",\"model\":\"main\","
      "\"tools\":[\"" COMPANION_TOOL_NAME "\"]}]}",
      verdict);
  if (!yoi_sdk_sha256(bytes, strlen(bytes), sha)) abort();
  yoi_sdk_digest_text(sha, l.bundle);
  call_op_on(c, &l.i, YOI_OP_BUNDLE_PUT, "", l.bundle, bytes, &k);
  if (!call_event(&k, YOI_EVENT_RESULT)) conform_skip(c, "see bundle.put: %s", k.error.message);
  char *body = conform_text("{\"worker_id\":\"%s\",\"config_bundle\":{\"id\":\"conform-tool\","
                            "\"digest\":\"%s\"},\"profile\":{\"kind\":\"named\","
                            "\"value\":\"main\"}}",
                            l.id, l.bundle);
  call_op(c, &l.i, YOI_OP_WORKER_CREATE, "", body, "", 0, &k);
  l.born = life_at(life_result(&k), "worker.cursor");
  if (!l.born) {
    (void)life_op_on(c, &l, YOI_OP_BUNDLE_DELETE, l.bundle, "");
    conform_skip(c, "no worker of it has the kit's tool: %s", k.error.message);
  }
  free(bytes);
  free(body);
  return l;
}

static void ends_as_completed(struct conform *c, struct call *k) {
  if (!call_finish(c, k, LIFE_MS)) conform_fail(c, "the turn ends", "it goes on");
  const struct call_event *e = call_event(k, YOI_EVENT_TURN_ENDED);
  if (!e || !life_is(e->text, "turn.state", "completed"))
    conform_fail(c, "turn.ended as completed", "%.400s", e ? e->text : "none");
  call_release(k);
}

static void tool_call(struct conform *c) {
  struct life l = with_tool(c, "allow", 0);
  struct call k;
  unsigned before = companion_counted();
  const struct call_event *e = life_say_until(c, &l, "count", YOI_EVENT_TOOL_COMPLETED, &k);
  if (!e || !life_is(e->text, "status", "ok"))
    conform_fail(c, "tool.completed with what the tool says", "%.400s",
                 e ? e->text : k.error.message);
  ends_as_completed(c, &k);
  if (companion_counted() != before + 1)
    conform_fail(c, "the tool is called once", "%u times", companion_counted() - before);
  life_end(c, &l);
}

/* ---- people ------------------------------------------------------------------------ */

struct asked {
  struct life l;
  struct call k; /* the turn, followed; it waits for a person */
  char *id;      /* of the approval */
  unsigned before;
};

/* Into the caller's: a call that goes on is woken where it stands. */
static void ask(struct conform *c, struct asked *a) {
  *a = (struct asked){.l = with_tool(c, "ask", 1), .before = companion_counted()};
  const struct call_event *e =
      life_say_until(c, &a->l, "count", YOI_EVENT_TOOL_APPROVAL_REQUESTED, &a->k);
  a->id = e ? life_at(e->text, "approval.approval_id") : NULL;
  if (!a->id)
    conform_fail(c, "tool.approval_requested, since the bundle says ask", "%.300s",
                 e ? e->text : "it has not come");
}

static struct call decide(struct conform *c, struct asked *a, const char *body) {
  return life_op_on(c, &a->l, YOI_OP_WORKER_APPROVE, a->id, body);
}

static void must_decide(struct conform *c, struct asked *a, const char *body) {
  struct call k = decide(c, a, body);
  if (k.status != YOI_END)
    conform_fail(c, "the decision is acknowledged", "%s: status %d: %s", body, k.status,
                 k.error.message);
}

static void end(struct conform *c, struct asked *a) {
  call_release(&a->k);
  free(a->id);
  life_end(c, &a->l);
}

static void listed(struct conform *c) {
  struct asked a;
  ask(c, &a);
  struct call k = life_op(c, &a.l, YOI_OP_WORKER_APPROVALS, "", "");
  yoi_str all = yoi_sdk_json_raw_get(yoi_sdk_str(life_result(&k)), "approvals"), one;
  char *mine = conform_text("\"%s\"", a.id);
  size_t pos = 0, n = 0;
  while (yoi_sdk_json_raw_each(all, &pos, &one)) {
    n++;
    if (!yoi_sdk_str_is(yoi_sdk_json_raw_get(one, "approval_id"), mine))
      conform_fail(c, "the approval that was asked for", "%.*s", YOI_ARG(one));
  }
  if (n != 1)
    conform_fail(c, "one open approval", "%zu: %.300s", n, life_result(&k));
  k = life_op(c, &a.l, YOI_OP_WORKER_GET, "", "");
  if (!life_is(life_result(&k), "worker.state", "awaiting_approval"))
    conform_fail(c, "a worker that awaits approval", "%.300s", life_result(&k));
  if (companion_counted() != a.before) conform_fail(c, "nothing is called meanwhile", "it was");
  free(mine);
  end(c, &a);
}

static void allow(struct conform *c) {
  struct asked a;
  ask(c, &a);
  must_decide(c, &a, "{\"decision\":\"allow\"}");
  ends_as_completed(c, &a.k);
  if (companion_counted() != a.before + 1)
    conform_fail(c, "what was allowed is called once", "%u times",
                 companion_counted() - a.before);
  struct call k = life_op(c, &a.l, YOI_OP_WORKER_APPROVALS, "", "");
  yoi_str all = yoi_sdk_json_raw_get(yoi_sdk_str(life_result(&k)), "approvals"), one;
  size_t pos = 0;
  if (!all.len || yoi_sdk_json_raw_each(all, &pos, &one))
    conform_fail(c, "none is open any more", "%.300s", life_result(&k));
  end(c, &a);
}

static void deny(struct conform *c) {
  struct asked a;
  ask(c, &a);
  must_decide(c, &a, "{\"decision\":\"deny\",\"reason\":\"not today\"}");
  ends_as_completed(c, &a.k);
  if (companion_counted() != a.before)
    conform_fail(c, "what was denied is not called", "it was");
  end(c, &a);
}

/* The same decision once more is acknowledged once more, another is refused. */
static void conflict(struct conform *c) {
  struct asked a;
  ask(c, &a);
  must_decide(c, &a, "{\"decision\":\"allow\"}");
  must_decide(c, &a, "{\"decision\":\"allow\"}");
  struct call k = decide(c, &a, "{\"decision\":\"deny\"}");
  life_must_fail(c, &k, YOI_CODE_APPROVAL_CONFLICT, "another decision");
  (void)call_finish(c, &a.k, LIFE_MS);
  k = decide(c, &a, "{\"decision\":\"deny\"}");
  life_must_fail(c, &k, YOI_CODE_APPROVAL_CONFLICT, "another decision, behind the turn");
  if (companion_counted() != a.before + 1)
    conform_fail(c, "what was allowed twice is called once", "%u times",
                 companion_counted() - a.before);
  end(c, &a);
}

static void unknown(struct conform *c) {
  struct asked a;
  ask(c, &a);
  char *id = a.id;
  a.id = conform_text("00000000-0000-7000-8000-000000000000");
  struct call k = decide(c, &a, "{\"decision\":\"allow\"}");
  life_must_fail(c, &k, YOI_CODE_APPROVAL_NOT_FOUND, "an approval that nobody asked for");
  if (companion_counted() != a.before) conform_fail(c, "nothing is called for it", "it was");
  free(id);
  end(c, &a);
}

/* ---- models ------------------------------------------------------------------------- */

/* host->wake may call the holder's wake before it returns, on the same thread: so a
 * model that wakes in its start or next calls the runtime from inside of its own
 * call. The first turn is for the model to be opened. */
static void wake_inside(struct conform *c) {
  struct life l = life_with_worker(c, "");
  struct call k = life_say(c, &l, "hello", "");
  if (k.status != YOI_END) conform_skip(c, "see worker.follow: %s", k.error.message);
  for (int round = 0; round < 3; round++) {
    k = life_say(c, &l, "eager", "");
    const struct call_event *e = call_event(&k, YOI_EVENT_TURN_ENDED);
    if (!e || !life_is(e->text, "turn.state", "completed"))
      conform_fail(c, "a turn that ends as completed", "status %d: %.300s", k.status,
                   e ? e->text : k.error.message);
  }
  life_end(c, &l);
}

#define ROW(id, fn, says, header, promise) {id, ON_RUNTIME, 0, fn, says, header, promise}
#define APPROVAL(name, fn, says, promise) ROW("approval." name, fn, says, "yoi/ops.h", promise)

extern const struct conform_test conform_call[];
const struct conform_test conform_call[] = {
    ROW("worker.wake-inside", wake_inside, "A model may wake inside of its start and next.",
        "yoi/stream.h", "wake during start or next is kept and causes one more next"),
    ROW("worker.tool-call", tool_call, "A tool that the model asks for is called, once.",
        "yoi/tool.h", "A call runs once."),
    APPROVAL("listed", listed, "What a person is asked about is listed, and waits.",
             "X(WORKER_APPROVALS, 11, \"worker.approvals\""),
    APPROVAL("allow", allow, "What is allowed is called once, and is open no longer.",
             "X(WORKER_APPROVE, 12, \"worker.approve\""),
    APPROVAL("deny", deny, "What is denied is not called, and the turn goes on.",
             "X(WORKER_APPROVE, 12, \"worker.approve\""),
    APPROVAL("conflict", conflict, "A call is decided once: another decision is refused.",
             "\"approval_conflict\", 409"),
    APPROVAL("unknown", unknown, "An approval that nobody asked for is approval_not_found.",
             "\"approval_not_found\", 404"),
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};
