/* test_policy.c - the layers of policy: what several say together, of an
 * operation and of a call of a tool, and what the audit log has of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above */
#include <cmocka.h>
#include <sdk/mem.h>
#include <sdk/stream.h>
#include <unistd.h>

#include "host/policy.h"
#include "support/host_fixture.h"

#define ABSTAIN YOI_VERDICT_ABSTAIN
#define ALLOW YOI_VERDICT_ALLOW
#define ASK YOI_VERDICT_ASK
#define DENY YOI_VERDICT_DENY

/* ---- a policy that answers its config ------------------------------------------ */

static yoi_policy_request last; /* what it was asked */

static yoi_status said_open(const yoi_host *host, yoi_str config, void **out, yoi_error *err) {
  (void)host;
  *out = yoi_sdk_strndup(config.ptr, config.len);
  return *out != NULL ? YOI_OK : yoi_sdk_fail_memory(err);
}

static void said_close(void *self) {
  yoi_sdk_free(self);
}

static yoi_status stall(yoi_stream *s, const yoi_event *const **evs, size_t *n, yoi_error *err) {
  (void)s, (void)evs, (void)n, (void)err;
  return YOI_AGAIN;
}

static void nothing(yoi_stream *s) {
  (void)s;
}

static yoi_status said_start(void *self, const yoi_policy_request *req, yoi_stream **out,
                             yoi_error *err) {
  static const yoi_stream_ops ops = {sizeof ops, 0, stall, nothing, nothing};
  static yoi_stream stalls = {&ops};
  last = *req;
  *out = strcmp(self, "stalls") == 0 ? &stalls : yoi_sdk_stream_one(yoi_sdk_str(self), 0);
  return *out != NULL ? YOI_OK : yoi_sdk_fail_memory(err);
}

static const yoi_policy said = {
    .size = sizeof said,
    .thread_model = YOI_PARALLEL,
    .open = said_open,
    .close = said_close,
    .start = said_start,
};

#define SAYS(word) "{\"decision\":\"" word "\",\"rule\":\"r\"}"

static const struct side {
  const char *first, *second; /* what the policies say; NULL: there is none */
  uint32_t flags;             /* of the tool */
  uint32_t verdict;           /* of the host's layer */
} sides[] = {
    {NULL, NULL, YOI_TOOL_READ_ONLY, ALLOW},
    {NULL, NULL, YOI_TOOL_READ_ONLY | YOI_TOOL_IDEMPOTENT, ALLOW},
    {NULL, NULL, YOI_TOOL_IDEMPOTENT, ASK},
    {NULL, NULL, 0, ASK},
    {SAYS("abstain"), NULL, YOI_TOOL_READ_ONLY, DENY},
    {SAYS("allow"), NULL, 0, ALLOW},
    {SAYS("ask"), NULL, YOI_TOOL_READ_ONLY, ASK},
    {SAYS("deny"), NULL, YOI_TOOL_READ_ONLY, DENY},
    {SAYS("abstain"), SAYS("abstain"), YOI_TOOL_READ_ONLY, DENY},
    {SAYS("abstain"), SAYS("allow"), 0, ALLOW},
    {SAYS("allow"), SAYS("ask"), 0, ASK},
    {SAYS("ask"), SAYS("allow"), 0, ASK},
    {SAYS("deny"), SAYS("ask"), 0, DENY},
    {SAYS("allow"), SAYS("deny"), 0, DENY},
    {SAYS("allow"), "stalls", 0, DENY},
    {SAYS("allow"), SAYS("Allow"), 0, DENY},
    {"no text", NULL, YOI_TOOL_READ_ONLY, DENY},
};

static void start(struct host_fixture *f, const struct side *s) {
  host_fixture_init(f, 1);
  if (s->first != NULL) host_fixture_policy(f, "dev.yoi.test.a", s->first, &said);
  if (s->second != NULL) host_fixture_policy(f, "dev.yoi.test.b", s->second, &said);
  host_fixture_start(f);
}

static struct yoi__tool_question question(const struct side *s) {
  return (struct yoi__tool_question){.origin = YOI_ORIGIN_BROWSER,
                                     .tool_flags = s->flags,
                                     .principal = YOI_LIT("surface:browser"),
                                     .runtime_id = YOI_LIT("main"),
                                     .worker_id = YOI_LIT("ada"),
                                     .call_id = YOI_LIT("call-1"),
                                     .request_id = YOI_LIT("req-1"),
                                     .tool = YOI_LIT("fs_write"),
                                     .plugin = YOI_LIT("dev.yoi.tool-fs"),
                                     .arguments = YOI_LIT("{\"path\":\"x\"}"),
                                     .grants = YOI_LIT("[\"mount:workspace:rw\"]")};
}

struct heard {
  struct yoi__decision all[5];
  size_t n;
};

static void hear(void *ctx, const struct yoi__decision *d) {
  struct heard *h = ctx;
  assert_true(h->n < 5);
  h->all[h->n++] = *d;
}

static uint32_t strictest(uint32_t a, uint32_t b) {
  return a > b ? a : b;
}

/* Every cell of host x bundle x profile. 4 is no verdict: the strictest. */
static void a_call_runs_where_all_layers_allow(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
    struct host_fixture f;
    start(&f, &sides[i]);
    for (uint32_t cell = 0; cell < 25; cell++) {
      uint32_t bundle = cell / 5, profile = cell % 5;
      struct yoi__tool_question q = question(&sides[i]);
      struct yoi__decision d;
      struct heard h = {.n = 0};
      q.bundle_verdict = bundle;
      q.profile_verdict = profile;
      yoi__policy_decide_tool(f.host->setup, &q, hear, &h, &d);
      uint32_t of_request = strictest(bundle, profile) > DENY ? DENY : strictest(bundle, profile);
      assert_int_equal(d.verdict, strictest(sides[i].verdict, of_request));
      assert_int_equal(d.verdict == ALLOW, sides[i].verdict == ALLOW && of_request <= ALLOW);
      if (d.verdict > sides[i].verdict) {
        uint32_t is_bundle = (bundle > DENY ? DENY : bundle) == of_request;
        assert_string_equal(d.rule, is_bundle ? "bundle" : "profile");
        assert_int_equal(d.plugin.len, 0);
      } else if (sides[i].first == NULL) {
        assert_string_equal(d.rule, "builtin");
      }
      size_t host_says = 1 + (sides[i].second != NULL);
      assert_int_equal(h.n, host_says + (bundle != ABSTAIN) + (profile != ABSTAIN));
      for (size_t k = 0; k < h.n; k++) assert_true(h.all[k].verdict <= d.verdict);
    }
    host_fixture_stop(&f);
  }
}

static void a_policy_is_told_of_the_call(void **state) {
  static const struct side allows = {SAYS("allow"), NULL, YOI_TOOL_IDEMPOTENT, ALLOW};
  struct host_fixture f;
  struct yoi__decision d;
  (void)state;
  start(&f, &allows);
  struct yoi__tool_question q = question(&allows);
  q.asked_again = 1;
  yoi__policy_decide_tool(f.host->setup, &q, NULL, NULL, &d);
  assert_int_equal(d.verdict, ALLOW);
  assert_true(yoi_sdk_str_is(d.plugin, "dev.yoi.test.a") && strcmp(d.rule, "r") == 0);
  assert_true(yoi_sdk_str_is(last.operation, "tool.start"));
  assert_true(yoi_sdk_str_is(last.tool, "fs_write") && last.tool_flags == YOI_TOOL_IDEMPOTENT);
  assert_true(yoi_sdk_str_is(last.plugin, "dev.yoi.tool-fs") && last.asked_again == 1);
  assert_true(yoi_sdk_str_is(last.arguments, "{\"path\":\"x\"}"));
  assert_true(yoi_sdk_str_is(last.grants, "[\"mount:workspace:rw\"]"));
  assert_true(yoi_sdk_str_is(last.worker_id, "ada") && last.origin == YOI_ORIGIN_BROWSER);
  assert_true(last.body.len == 0 && last.subject.len == 0 && last.size == sizeof last);
  yoi_request req = fixture_request(YOI_OP_WORKER_GET);
  yoi__policy_decide(f.host->setup, YOI_LIT("main"), &req, NULL, NULL, &d);
  assert_true(d.verdict == ALLOW && last.tool.len == 0 && last.arguments.len == 0);
  host_fixture_stop(&f);
}

/* Of an operation nobody can be asked, and without policies all is allowed. */
static void an_operation_is_allowed_or_it_is_not(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
    struct host_fixture f;
    struct yoi_sdk_error e;
    yoi_request req = fixture_request(YOI_OP_WORKER_GET);
    start(&f, &sides[i]);
    int allowed = sides[i].first == NULL || sides[i].verdict == ALLOW;
    yoi_status st = yoi__policy_allows(f.host, YOI_LIT("main"), &req, yoi_sdk_error_init(&e));
    assert_int_equal(st, allowed ? YOI_OK : YOI_PERMISSION_DENIED);
    if (!allowed) assert_non_null(strstr(e.message, "policy does not allow 'worker.get'"));
    host_fixture_stop(&f);
  }
}

static void know(struct host_fixture *f, size_t i, const char *operation) {
  struct yoi__manifest *m = &f->policies[i].instance.plugin->manifest;
  m->operations[0] = yoi_sdk_str(operation);
  m->n_operations = 1;
}

/* Of a generation silence is allow, nobody can be asked, and what is no answer
 * is deny. */
static void a_generation_is_allowed_unless_it_is_denied(void **state) {
  const struct yoi__model_question q = {.model = YOI_LIT("main"),
                                        .principal = YOI_LIT("token:ci"),
                                        .runtime_id = YOI_LIT("main"),
                                        .worker_id = YOI_LIT("ada"),
                                        .request_id = YOI_LIT("req-1"),
                                        .tokens = 77};
  (void)state;
  for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
    struct host_fixture f;
    struct yoi_sdk_error e;
    start(&f, &sides[i]);
    for (size_t k = 0; k < f.config.n_policies; k++) know(&f, k, k == 0 ? "*" : "model.start");
    int silent = sides[i].first != NULL && strcmp(sides[i].first, SAYS("abstain")) == 0 &&
                 (sides[i].second == NULL || strcmp(sides[i].second, SAYS("abstain")) == 0);
    int allowed = sides[i].first == NULL || silent || sides[i].verdict == ALLOW;
    yoi_status st = yoi__policy_allows_model(f.host->setup, &q, yoi_sdk_error_init(&e));
    assert_int_equal(st, allowed ? YOI_OK : YOI_PERMISSION_DENIED);
    if (!allowed) {
      assert_int_equal(e.e.code, YOI_CODE_POLICY_DENIED);
      assert_non_null(strstr(e.message, "policy does not allow the model 'main'"));
    }
    if (sides[i].first != NULL) {
      assert_true(yoi_sdk_str_is(last.operation, "model.start") && last.tokens == 77);
      assert_true(yoi_sdk_str_is(last.subject, "main") && yoi_sdk_str_is(last.worker_id, "ada"));
      assert_true(yoi_sdk_str_is(last.principal, "token:ci") && last.size == sizeof last);
    }
    for (size_t k = 0; k < f.config.n_policies; k++) know(&f, k, "worker.*");
    memset(&last, 0, sizeof last);
    assert_int_equal(yoi__policy_allows_model(f.host->setup, &q, yoi_sdk_error_init(&e)), YOI_OK);
    assert_int_equal(last.size, 0); /* who does not know of it is not asked */
    host_fixture_stop(&f);
  }
}

static void verdicts_have_names(void **state) {
  (void)state;
  assert_string_equal(yoi__verdict_name(ABSTAIN), "abstain");
  assert_string_equal(yoi__verdict_name(ASK), "ask");
  assert_string_equal(yoi__verdict_name(DENY), "deny");
  assert_string_equal(yoi__verdict_name(UINT32_MAX), "deny");
}

/* ---- the audit log ---------------------------------------------------------------- */

/* What a decision and an approval write. */
static void logged(uint32_t audit, uint32_t verdict, char *out, size_t cap) {
  static const struct side none = {NULL, NULL, 0, ASK};
  struct host_fixture f;
  _Atomic uint64_t dropped = 0;
  int fds[2];
  assert_int_equal(pipe(fds), 0);
  start(&f, &none);
  struct yoi__tool_question q = question(&none);
  struct yoi__decision d = {.verdict = verdict, .rule = "builtin"};
  struct yoi__log *own = f.host->log;
  f.host->log = yoi__log_new(fds[1], YOI_LOG_INFO, YOI__LOG_LOGFMT, &dropped);
  f.config.audit = audit;
  yoi__policy_audit_tool(f.host->setup, &q, &d);
  yoi__policy_audit_approval(f.host->setup, &q, YOI_LIT("apr-1"), YOI_LIT("token:boss"));
  yoi__log_free(f.host->log);
  f.host->log = own;
  host_fixture_stop(&f);
  (void)close(fds[1]);
  ssize_t n = read(fds[0], out, cap - 1);
  out[n > 0 ? n : 0] = '\0';
  (void)close(fds[0]);
}

static void what_is_logged_is_what_the_config_says(void **state) {
  char text[4096];
  (void)state;
  logged(YOI__AUDIT_DENIED, DENY, text, sizeof text);
  assert_non_null(strstr(text,
                         "msg=policy request_id=req-1 decision=deny operation=tool.start "
                         "principal=surface:browser origin=browser runtime=main worker=ada "
                         "tool=fs_write tool_plugin=dev.yoi.tool-fs call=call-1 "
                         "rule=builtin"));
  assert_non_null(strstr(text, "decision=approved operation=tool.start principal=surface:browser"));
  assert_non_null(strstr(text, "call=call-1 approval=apr-1 approved_by=token:boss"));
  logged(YOI__AUDIT_DENIED, ASK, text, sizeof text);
  assert_non_null(strstr(text, "decision=ask"));
  logged(YOI__AUDIT_DENIED, ALLOW, text, sizeof text);
  assert_null(strstr(text, "decision=allow"));
  assert_non_null(strstr(text, "decision=approved"));
  logged(YOI__AUDIT_ALL, ALLOW, text, sizeof text);
  assert_non_null(strstr(text, "decision=allow"));
  logged(YOI__AUDIT_NONE, DENY, text, sizeof text);
  assert_string_equal(text, "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_call_runs_where_all_layers_allow),
      cmocka_unit_test(a_policy_is_told_of_the_call),
      cmocka_unit_test(an_operation_is_allowed_or_it_is_not),
      cmocka_unit_test(a_generation_is_allowed_unless_it_is_denied),
      cmocka_unit_test(verdicts_have_names),
      cmocka_unit_test(what_is_logged_is_what_the_config_says),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
