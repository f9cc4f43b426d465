/* t_policy.c - decisions: their form, their time, and that they stay the same. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/glob.h>
#include <yoi/limits.h>
#include <yoi/ops.h>

#include "rig.h"

#define ASKERS 4

static const char *const operations[] = {
#define NAME(sym, number, name, scope, method, v1, api, http, idem) name,
    YOI_OPS(NAME) "tool.start", "model.start"};

static int asked_about(const struct conform *c, const char *operation) {
  const struct yoi__manifest *m = &c->rig->plugin->manifest;
  for (size_t i = 0; i < m->n_operations; i++)
    if (yoi_sdk_glob(m->operations[i], yoi_sdk_str(operation))) return 1;
  return 0;
}

struct question {
  const char *operation, *principal, *body;
};

static void change(union rig_request *req, void *ctx) {
  const struct question *q = ctx;
  if (q->operation) req->policy.operation = yoi_sdk_str(q->operation);
  if (q->principal) req->policy.principal = yoi_sdk_str(q->principal);
  if (q->body) req->policy.body = yoi_sdk_str(q->body);
  if (yoi_sdk_str_is(req->policy.operation, "tool.start")) {
    req->policy.tool = YOI_LIT("fs_read");
    req->policy.plugin = YOI_LIT("dev.yoi.tool-fs");
    req->policy.arguments = YOI_LIT("{}");
  }
}

/* The answer, one next after start; skips without one where `why` says so. */
static const char *decide(struct conform *c, struct rig_instance *i, const struct question *q,
                          struct call *k) {
  struct question usual = {NULL, NULL, NULL};
  if (!call_start(c, i, k, change, q ? (void *)(uintptr_t)q : &usual)) return NULL;
  (void)call_finish(c, k, 5000);
  const struct call_event *e = call_event(k, YOI_EVENT_RESULT);
  return e ? e->text : NULL;
}

static int is_decision(yoi_str text) {
  yoi_str d = yoi_sdk_json_raw_get(text, "decision");
  return yoi_sdk_str_is(d, "\"allow\"") || yoi_sdk_str_is(d, "\"deny\"") ||
         yoi_sdk_str_is(d, "\"ask\"") || yoi_sdk_str_is(d, "\"abstain\"");
}

static void decision(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k;
  const char *text = decide(c, &i, NULL, &k);
  if (!text) conform_fail(c, "a decision", "none: %s", k.error.message);
  if (k.n != 1 || k.status != YOI_END)
    conform_fail(c, "one RESULT, then END", "%zu events, then status %d: %s", k.n, k.status,
                 k.error.message);
  if (yoi_sdk_json_check(yoi_sdk_str(text), 0, NULL) != YOI_OK || !is_decision(yoi_sdk_str(text)))
    conform_fail(c, "one JSON object with allow, deny, ask or abstain", "%.300s", text);
  if (yoi_sdk_json_raw_get(yoi_sdk_str(text), "reason").len > YOI_POLICY_REASON_MAX + 2)
    conform_fail(c, "a reason of at most 256 bytes", "%.300s", text);
  call_release(&k);
  rig_close(c, &i);
}

static void ready(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k;
  struct question usual = {NULL, NULL, NULL};
  if (!call_start(c, &i, &k, change, &usual))
    conform_skip(c, "see policy.decision: %s", k.error.message);
  yoi_status st = call_next(c, &k);
  if (st == YOI_AGAIN) conform_fail(c, "the decision is there when start is over", "AGAIN");
  (void)call_finish(c, &k, 5000);
  call_release(&k);
  rig_close(c, &i);
}

/* A policy that counts goes from allow to less, and only then. */
static void same_answer(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct call k;
  char *first = NULL;
  for (int n = 0; n < 20; n++) {
    const char *text = decide(c, &i, NULL, &k);
    if (!text) conform_skip(c, "see policy.decision: %s", k.error.message);
    yoi_str d = yoi_sdk_json_raw_get(yoi_sdk_str(text), "decision");
    if (first && !yoi_sdk_str_is(d, first)) {
      if (strcmp(first, "\"allow\"") == 0 &&
          (yoi_sdk_str_is(d, "\"deny\"") || yoi_sdk_str_is(d, "\"ask\"")))
        conform_skip(c, "it counts: after %d times %s it says %.*s", n, first, YOI_ARG(d));
      conform_fail(c, "the same answer to the same question", "%s, then %.*s", first, YOI_ARG(d));
    }
    if (!first) first = conform_text("%.*s", YOI_ARG(d));
    call_release(&k);
  }
  free(first);
  rig_close(c, &i);
}

/* A question with members of 1.4, which a policy of before has to refuse; it named the
 * operation as `*`, before there was one. Its error is deny. */
static int is_unseen(const struct conform *c, const char *operation, const struct call *k) {
  const struct yoi__manifest *m = &c->rig->plugin->manifest;
  int named = strcmp(operation, "tool.start") != 0;
  for (size_t i = 0; i < m->n_operations; i++)
    named |= yoi_sdk_str_is(m->operations[i], operation);
  return !named && k->status == YOI_UNIMPLEMENTED;
}

static void all_operations(struct conform *c) {
  struct rig_instance i = rig_open(c);
  for (size_t n = 0; n < sizeof operations / sizeof *operations; n++) {
    struct question q = {operations[n], NULL, NULL};
    struct call k;
    if (!asked_about(c, operations[n])) continue;
    const char *text = decide(c, &i, &q, &k);
    if (!text && !is_unseen(c, operations[n], &k))
      conform_fail(c, "a decision on each operation that its manifest names", "none on '%s': %s",
                   operations[n], k.error.message);
    call_release(&k);
  }
  rig_close(c, &i);
}

/* What the caller sent is not validated. */
static void hostile(struct conform *c) {
  static char large[262144];
  memset(large, '[', sizeof large - 1);
  const struct question all[] = {
      {NULL, NULL, "{\"a\":"},         {NULL, NULL, large},
      {NULL, "surface:browser", "[]"}, {NULL, NULL, "null"},
      {NULL, "\"};deny", "{\"a\":1,\"a\":2}"}};
  struct rig_instance i = rig_open(c);
  for (size_t n = 0; n < sizeof all / sizeof *all; n++) {
    struct call k;
    const char *text = decide(c, &i, &all[n], &k);
    if (!text)
      conform_fail(c, "a decision, whatever the caller sent", "none on question %zu: %s", n,
                   k.error.message);
    call_release(&k);
  }
  rig_close(c, &i);
}

/* ---- several at a time -------------------------------------------------------------- */

struct asker {
  struct conform *c;
  struct rig_instance *i;
  union rig_request *req;
  pthread_t thread;
  int answers;
};

static void *ask(void *arg) {
  struct asker *a = arg;
  for (int n = 0; n < 200; n++) {
    const yoi_event *const *events = NULL;
    size_t count = 0;
    yoi_stream *s = NULL;
    if (rig_ask(a->c, a->i, a->req, &s, NULL) != YOI_OK || !s) continue;
    a->answers += s->ops->next(s, &events, &count, NULL) == YOI_OK;
    s->ops->release(s);
  }
  return NULL;
}

static void threads(struct conform *c) {
  struct rig_instance i = rig_open(c);
  struct asker all[ASKERS];
  struct paper p = {.how = PAPER_PLAIN};
  struct call k;
  if (!decide(c, &i, NULL, &k)) conform_skip(c, "see policy.decision: %s", k.error.message);
  call_release(&k);
  for (int n = 0; n < ASKERS; n++) {
    all[n] = (struct asker){.c = c, .i = &i, .req = rig_request(c, &i, &p, 0)};
    if (pthread_create(&all[n].thread, NULL, ask, &all[n]) != 0) abort();
  }
  int answers = 0;
  for (int n = 0; n < ASKERS; n++) {
    (void)pthread_join(all[n].thread, NULL);
    answers += all[n].answers;
  }
  if (answers == 0) conform_skip(c, "see policy.ready: nothing is there when start is over");
  if (answers != ASKERS * 200)
    conform_fail(c, "800 answers to 800 questions of four threads", "%d", answers);
  rig_close(c, &i);
}

#define POLICY(name, fn, says, promise) \
  {"policy." name, ON_POLICY, 0, fn, says, "yoi/policy.h", promise}

extern const struct conform_test conform_policy[];
const struct conform_test conform_policy[] = {
    POLICY("decision", decision, "A decision has its form.",
           "One stream is one decision: a RESULT with one JSON object, then END:"),
    POLICY("ready", ready, "A decision is there when start is over.",
           "A decision is ready inside start: next is asked once."),
    POLICY("same-answer", same_answer, "The same question has the same answer.",
           "The same question has the same answer, unless the policy counts (rates, budgets)"),
    POLICY("operations", all_operations, "It decides on every operation that it names.",
           "The manifest names the operations that the policy knows"),
    POLICY("hostile", hostile, "It decides also on what is no JSON.",
           "what the caller sent, not validated"),
    {"policy.threads", ON_POLICY, NEEDS_NEAR, threads, "It answers several threads at once.",
     "yoi/plugin.h", "callable from any thread, never blocks"},
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};
