/* test_tool.c - calls of tools: what is asked before one runs, that nothing runs
 * before, and in which cells of the whole matrix it does.
 */
#include "host/tool.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <sdk/mem.h>
#include <sdk/stream.h>
#include <yoi/host_grant.h>

#include "host/clock.h"
#include "support/host_fixture.h"

#define TOOLS                                                                              \
  "[{\"name\":\"look\",\"description\":\"d\",\"read_only\":true,\"max_ms\":5000,"          \
  "\"parameters\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":"       \
  "[\"path\"],\"properties\":{\"path\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\"," \
  "\"maximum\":9}}}},"                                                                     \
  "{\"name\":\"change\",\"description\":\"d\",\"grants\":[\"mount\"],"                     \
  "\"parameters\":{\"type\":\"object\"}}]"

/* ---- the tool ------------------------------------------------------------ */

static struct { /* process-wide: tables of plugins have no argument for it */
  int opens, starts, closes;
  const yoi_host *host;
  yoi_tool_request req;
  char arguments[64], key[80];
  struct yoi_sdk_queue *queue;
  uint64_t call;
} tool;

static yoi_status tool_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  (void)config, (void)err;
  tool.host = host;
  tool.opens++;
  *out_self = &tool;
  return YOI_OK;
}

static void tool_close(void *self) {
  (void)self;
  tool.closes++;
}

static yoi_status tool_start(void *self, const yoi_tool_request *req, yoi_stream **out,
                             yoi_error *err) {
  (void)self, (void)err;
  tool.starts++;
  tool.req = *req;
  tool.call = req->call;
  (void)snprintf(tool.arguments, sizeof tool.arguments, "%.*s", YOI_ARG(req->arguments));
  (void)snprintf(tool.key, sizeof tool.key, "%.*s", YOI_ARG(req->idempotency_key));
  tool.queue = yoi_sdk_queue_new(tool.host, req->token, 65536, NULL, NULL, NULL);
  (void)yoi_sdk_queue_push(tool.queue, YOI_EVENT_TOOL_OUTPUT, 0, (yoi_str){0}, YOI_LIT("done"));
  yoi_sdk_queue_finish(tool.queue);
  *out = yoi_sdk_queue_stream(tool.queue);
  yoi_sdk_queue_drop(tool.queue);
  return YOI_OK;
}

static const yoi_tool tool_table = {.size = sizeof tool_table,
                                    .thread_model = YOI_PARALLEL,
                                    .open = tool_open,
                                    .close = tool_close,
                                    .start = tool_start};

/* ---- the runtime and the policy ------------------------------------------- */

static const yoi_host *runtime_host; /* process-wide, as above */
static const char *said;             /* what the policy says; NULL: there is none */

static yoi_status nothing_open(const yoi_host *host, yoi_str config, void **out_self,
                               yoi_error *err) {
  (void)config, (void)err;
  runtime_host = host;
  *out_self = NULL;
  return YOI_OK;
}

static void nothing_close(void *self) {
  (void)self;
}

static yoi_status nothing_start(void *self, const yoi_request *req, yoi_stream **out,
                                yoi_error *err) {
  (void)self, (void)req, (void)out;
  return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "nothing");
}

static const yoi_runtime runtime_table = {.size = sizeof runtime_table,
                                          .thread_model = YOI_PARALLEL,
                                          .open = nothing_open,
                                          .close = nothing_close,
                                          .start = nothing_start};

static yoi_status policy_open(const yoi_host *host, yoi_str config, void **out_self,
                              yoi_error *err) {
  (void)host, (void)config, (void)err;
  *out_self = NULL;
  return YOI_OK;
}

static yoi_status policy_start(void *self, const yoi_policy_request *req, yoi_stream **out,
                               yoi_error *err) {
  char text[64];
  (void)self, (void)err;
  assert_true(yoi_sdk_str_is(req->operation, "tool.start"));
  int n = snprintf(text, sizeof text, "{\"decision\":\"%s\",\"rule\":\"r\"}", said);
  *out = yoi_sdk_stream_one((yoi_str){text, (size_t)n}, 0);
  return *out ? YOI_OK : yoi_sdk_fail_memory(err);
}

static const yoi_policy policy_table = {.size = sizeof policy_table,
                                        .thread_model = YOI_PARALLEL,
                                        .open = policy_open,
                                        .close = nothing_close,
                                        .start = policy_start};

/* ---- the host --------------------------------------------------------------- */

static struct host_fixture f;
static struct yoi__mount mount;

/* mount_mode: "ro", "rw", or NULL: there is none. */
static void begin(const char *policy, const char *mount_mode) {
  memset(&tool, 0, sizeof tool);
  said = policy;
  host_fixture_init(&f, 1);
  host_fixture_runtime(&f, "r", &runtime_table);
  host_fixture_tool(&f, "dev.yoi.test.hands", TOOLS, "mount:*", &tool_table);
  if (policy) host_fixture_policy(&f, "dev.yoi.test.says", "{}", &policy_table);
  if (mount_mode) {
    mount = (struct yoi__mount){.name = YOI_LIT("work"),
                                .fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC),
                                .writable = mount_mode[1] == 'w'};
    f.config.local.mounts = &mount;
    f.config.local.n_mounts = 1;
  }
  host_fixture_start(&f);
}

static void end(void) {
  host_fixture_stop(&f);
  if (f.config.local.n_mounts > 0) close(mount.fd);
}

static yoi_tool_call call_of(const char *name, const char *arguments, const char *grants) {
  return (yoi_tool_call){.size = sizeof(yoi_tool_call),
                         .plugin = YOI_LIT("dev.yoi.test.hands"),
                         .name = yoi_sdk_str(name),
                         .arguments = yoi_sdk_str(arguments),
                         .worker_id = YOI_LIT("w"),
                         .call_id = YOI_LIT("c1"),
                         .idempotency_key = YOI_LIT("key"),
                         .principal = YOI_LIT("embed"),
                         .grants = yoi_sdk_str(grants)};
}

struct result {
  yoi_status started, ended;
  int32_t code;
  char output[512], message[YOI_ERROR_MESSAGE_MAX];
  int over;
  const yoi_tool_call *call;
  yoi_stream *stream;
};

static void pump(void *ctx) {
  struct result *r = ctx;
  struct yoi_sdk_error e;
  const yoi_event *const *evs;
  size_t n;
  r->ended = r->stream->ops->next(r->stream, &evs, &n, yoi_sdk_error_init(&e));
  for (size_t i = 0; r->ended == YOI_OK && i < n; i++)
    (void)snprintf(r->output, sizeof r->output, "%.*s", YOI_ARG(evs[i]->text));
  if (r->ended == YOI_OK || r->ended == YOI_AGAIN) {
    const yoi_host_loop *loop =
        runtime_host->get_interface(runtime_host, YOI_LIT(YOI_HOST_LOOP_ID));
    assert_int_equal(loop->post(runtime_host, 0, pump, r), YOI_OK); /* polls until it is open */
    return;
  }
  r->stream->ops->release(r->stream);
  r->over = 1;
}

static void start_here(void *ctx) {
  struct result *r = ctx;
  struct yoi_sdk_error e;
  const yoi_host_tool *t = runtime_host->get_interface(runtime_host, YOI_LIT(YOI_HOST_TOOL_ID));
  r->started = t->start(runtime_host, r->call, &r->stream, yoi_sdk_error_init(&e));
  r->code = e.e.code;
  (void)snprintf(r->message, sizeof r->message, "%s", e.message);
  if (r->started == YOI_OK)
    pump(r);
  else
    r->over = 1;
}

static int is_over(void *ctx) {
  return ((struct result *)ctx)->over;
}

static struct result run(const yoi_tool_call *call) {
  struct result r = {.call = call};
  const yoi_host_loop *loop = runtime_host->get_interface(runtime_host, YOI_LIT(YOI_HOST_LOOP_ID));
  assert_int_equal(loop->post(runtime_host, 0, start_here, &r), YOI_OK);
  host_fixture_until(&f, is_over, &r);
  return r;
}

static yoi_status decide(const yoi_tool_call *call, yoi_tool_decision *out,
                         struct yoi_sdk_error *e) {
  const yoi_host_tool *t = runtime_host->get_interface(runtime_host, YOI_LIT(YOI_HOST_TOOL_ID));
  *out = (yoi_tool_decision){.size = sizeof *out};
  return t->decide(runtime_host, call, out, yoi_sdk_error_init(e));
}

/* ---- tests -------------------------------------------------------------------- */

static void what_there_is_is_found_without_any_code(void **state) {
  (void)state;
  struct yoi_sdk_error e;
  begin(NULL, NULL);
  const yoi_host_tool *t = runtime_host->get_interface(runtime_host, YOI_LIT(YOI_HOST_TOOL_ID));
  yoi_tool_info info = {.size = sizeof info};
  assert_int_equal(t->find(runtime_host, YOI_LIT("dev.yoi.test.hands"), YOI_LIT("look"), &info,
                           yoi_sdk_error_init(&e)),
                   YOI_OK);
  assert_int_equal(info.flags, YOI_TOOL_READ_ONLY | YOI_TOOL_IDEMPOTENT);
  assert_int_equal(info.max_ms, 5000);
  assert_true(yoi_sdk_str_is(info.plugin, "dev.yoi.test.hands"));
  info = (yoi_tool_info){.size = sizeof info};
  assert_int_equal(t->find(runtime_host, (yoi_str){0}, YOI_LIT("change"), &info, NULL), YOI_OK);
  assert_true(yoi_sdk_str_is(info.grants, "[\"mount\"]"));
  assert_int_equal(t->find(runtime_host, YOI_LIT("dev.yoi.other"), YOI_LIT("look"), &info,
                           yoi_sdk_error_init(&e)),
                   YOI_NOT_FOUND);
  assert_string_equal(e.message, "tool 'look' is not there");
  assert_int_equal(tool.opens, 0);
  end();
}

static void a_name_of_two_plugins_needs_the_plugin(void **state) {
  (void)state;
  struct yoi_sdk_error e;
  yoi_tool_info info = {.size = sizeof info};
  memset(&tool, 0, sizeof tool);
  host_fixture_init(&f, 1);
  host_fixture_runtime(&f, "r", &runtime_table);
  host_fixture_tool(&f, "dev.yoi.test.a", TOOLS, NULL, &tool_table);
  host_fixture_tool(&f, "dev.yoi.test.b", TOOLS, NULL, &tool_table);
  host_fixture_start(&f);
  const yoi_host_tool *t = runtime_host->get_interface(runtime_host, YOI_LIT(YOI_HOST_TOOL_ID));
  assert_int_equal(
      t->find(runtime_host, (yoi_str){0}, YOI_LIT("look"), &info, yoi_sdk_error_init(&e)),
      YOI_NOT_FOUND);
  assert_string_equal(e.message, "tool 'look' is one of several plugins: name one");
  assert_int_equal(t->find(runtime_host, YOI_LIT("dev.yoi.test.b"), YOI_LIT("look"), &info, NULL),
                   YOI_OK);
  end();
}

static void arguments_that_do_not_fit_are_explained(void **state) {
  (void)state;
  static const char *const wrong[][2] = {
      {"{}", "path"},
      {"{\"path\":1}", "'/path'"},
      {"{\"path\":\"x\",\"n\":10}", "'/n'"},
      {"{\"path\":\"x\",\"pth\":1}", "pth"},
      {"[]", "object"},
      {"{\"path\":\"x\"", "no JSON"},
      {"{\"path\":\"x\",\"path\":\"y\"}", "no JSON"},
      {"", "no JSON"},
  };
  begin(NULL, NULL);
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    struct yoi_sdk_error e;
    yoi_tool_decision d;
    yoi_tool_call c = call_of("look", wrong[i][0], "");
    assert_int_equal(decide(&c, &d, &e), YOI_INVALID_ARGUMENT);
    if (!strstr(e.message, wrong[i][1])) fail_msg("%s: %s", wrong[i][0], e.message);
    struct result r = run(&c);
    assert_int_equal(r.started, YOI_INVALID_ARGUMENT);
  }
  char *big = malloc(YOI_TOOL_ARGUMENTS_MAX + 2);
  memset(big, ' ', YOI_TOOL_ARGUMENTS_MAX + 1);
  memcpy(big, "{\"path\":\"x\"}", 12);
  for (size_t len = YOI_TOOL_ARGUMENTS_MAX; len <= YOI_TOOL_ARGUMENTS_MAX + 1; len++) {
    struct yoi_sdk_error e;
    yoi_tool_decision d;
    yoi_tool_call c = call_of("look", "", "");
    c.arguments = (yoi_str){big, len};
    assert_int_equal(decide(&c, &d, &e),
                     len == YOI_TOOL_ARGUMENTS_MAX ? YOI_OK : YOI_INVALID_ARGUMENT);
  }
  free(big);
  assert_int_equal(tool.opens, 0);
  end();
}

static void without_policies_what_only_reads_may_run(void **state) {
  (void)state;
  struct yoi_sdk_error e;
  yoi_tool_decision d;
  begin(NULL, "rw");
  yoi_tool_call look = call_of("look", "{\"path\":\"x\"}", "");
  yoi_tool_call change = call_of("change", "{}", "[\"mount:work:rw\"]");
  assert_int_equal(decide(&look, &d, &e), YOI_OK);
  assert_int_equal(d.verdict, YOI_VERDICT_ALLOW);
  assert_string_equal(d.rule, "builtin");
  assert_string_equal(d.plugin, "");
  assert_int_equal(decide(&change, &d, &e), YOI_OK);
  assert_int_equal(d.verdict, YOI_VERDICT_ASK);
  assert_int_equal(tool.opens, 0);
  struct result r = run(&look);
  assert_int_equal(r.started, YOI_OK);
  assert_int_equal(r.ended, YOI_END);
  assert_string_equal(r.output, "done");
  assert_string_equal(tool.arguments, "{\"path\":\"x\"}");
  assert_string_equal(tool.key, "key");
  r = run(&change);
  assert_int_equal(r.started, YOI_FAILED_PRECONDITION);
  assert_int_equal(tool.starts, 1);
  change.approval = YOI_LIT("a1");
  change.approved_by = YOI_LIT("token:anna");
  r = run(&change);
  assert_int_equal(r.started, YOI_OK);
  assert_int_equal(tool.starts, 2);
  end();
  assert_int_equal(tool.closes, 1);
}

static void a_deadline_can_only_be_lowered(void **state) {
  (void)state;
  begin(NULL, NULL);
  yoi_tool_call c = call_of("look", "{\"path\":\"x\"}", "");
  uint64_t before = yoi__now_ns();
  assert_int_equal(run(&c).ended, YOI_END);
  assert_in_range(tool.req.deadline_ns, before + 5000 * YOI__MS, yoi__now_ns() + 5000 * YOI__MS);
  c.deadline_ns = before + 1000 * YOI__MS;
  assert_int_equal(run(&c).ended, YOI_END);
  assert_int_equal(tool.req.deadline_ns, c.deadline_ns);
  c.deadline_ns = before + 100000 * YOI__MS;
  assert_int_equal(run(&c).ended, YOI_END);
  assert_true(tool.req.deadline_ns < c.deadline_ns);
  end();
}

static void off_a_loop_nothing_starts(void **state) {
  (void)state;
  struct yoi_sdk_error e;
  yoi_stream *s = NULL;
  begin(NULL, NULL);
  const yoi_host_tool *t = runtime_host->get_interface(runtime_host, YOI_LIT(YOI_HOST_TOOL_ID));
  yoi_tool_call c = call_of("look", "{\"path\":\"x\"}", "");
  assert_int_equal(t->start(runtime_host, &c, &s, yoi_sdk_error_init(&e)), YOI_FAILED_PRECONDITION);
  assert_int_equal(tool.opens, 0);
  end();
}

static void a_handle_is_dead_behind_the_call(void **state) {
  (void)state;
  struct yoi_sdk_error e;
  begin("allow", "ro");
  yoi_tool_call c = call_of("look", "{\"path\":\"x\"}", "[\"mount:work:ro\"]");
  assert_int_equal(run(&c).ended, YOI_END);
  const yoi_host_grant *g = tool.host->get_interface(tool.host, YOI_LIT(YOI_HOST_GRANT_ID));
  assert_non_null(g);
  char buf[16];
  size_t len;
  assert_int_equal(g->value(tool.host, tool.call, YOI_LIT("shell:x"), buf, sizeof buf, &len,
                            yoi_sdk_error_init(&e)),
                   YOI_NOT_FOUND);
  assert_null(tool.host->get_interface(tool.host, YOI_LIT(YOI_HOST_TOOL_ID)));
  end();
}

/* The whole matrix: it runs without being asked for in exactly the cells where
 * all allow; and with an approval in those where nobody denies. */
static void it_runs_where_all_allow_and_nowhere_else(void **state) {
  (void)state;
  static const char *const host_says[] = {NULL, "abstain", "allow", "ask", "deny"};
  static const char *const modes[] = {NULL, "ro", "rw"};
  static const char *const given[] = {"", "[]", "[\"mount:work:ro\"]", "[\"mount:work:rw\"]"};
  static const char *const names[] = {"look", "change"};
  int cells = 0, ran = 0;
  for (size_t h = 0; h < 5; h++)
    for (size_t m = 0; m < 3; m++) {
      begin(host_says[h], modes[m]);
      for (size_t g = 0; g < 4; g++)
        for (size_t n = 0; n < 2; n++)
          for (uint32_t bundle = YOI_VERDICT_ABSTAIN; bundle <= YOI_VERDICT_DENY; bundle++)
            for (uint32_t profile = YOI_VERDICT_ABSTAIN; profile <= YOI_VERDICT_DENY; profile++)
              for (int approved = 0; approved < 2; approved++) {
                uint32_t host = h == 0   ? (n == 0 ? YOI_VERDICT_ALLOW : YOI_VERDICT_ASK)
                                : h == 1 ? YOI_VERDICT_DENY
                                         : (uint32_t)h - 1;
                uint32_t most = host > bundle ? host : bundle;
                if (profile > most) most = profile;
                bool rw = g == 3, has = g >= 2;
                bool there = !has || (m > 0 && (!rw || m == 2)); /* what is given is in force */
                bool enough = n == 0 || has;                     /* 'change' needs a mount */
                bool runs = there && enough &&
                            (most == YOI_VERDICT_ALLOW || (most == YOI_VERDICT_ASK && approved));
                yoi_tool_call c = call_of(names[n], "{\"path\":\"x\"}", given[g]);
                c.bundle_verdict = bundle;
                c.profile_verdict = profile;
                if (approved) c.approval = c.approved_by = YOI_LIT("anna");
                int before = tool.starts;
                struct result r = run(&c);
                cells++;
                ran += tool.starts - before;
                if ((tool.starts > before) != runs)
                  fail_msg(
                      "host %zu mount %zu given %zu tool %zu bundle %u profile %u approved %d: "
                      "%s, status %d, %s",
                      h, m, g, n, bundle, profile, approved, runs ? "should run" : "ran",
                      (int)r.started, r.message);
              }
      end();
    }
  assert_int_equal(cells, 5 * 3 * 4 * 2 * 16 * 2);
  assert_in_range(ran, 100, cells / 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_there_is_is_found_without_any_code),
      cmocka_unit_test(a_name_of_two_plugins_needs_the_plugin),
      cmocka_unit_test(arguments_that_do_not_fit_are_explained),
      cmocka_unit_test(without_policies_what_only_reads_may_run),
      cmocka_unit_test(a_deadline_can_only_be_lowered),
      cmocka_unit_test(off_a_loop_nothing_starts),
      cmocka_unit_test(a_handle_is_dead_behind_the_call),
      cmocka_unit_test(it_runs_where_all_allow_and_nowhere_else),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
