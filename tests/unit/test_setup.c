/* Setups: what is the same is shared, what is held stays, what nobody holds goes;
 * turns keep theirs, and a gate keeps who asks waiting.
 */
#include "host/setup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sdk/mem.h>
#include <sdk/stream.h>
#include <yoi/host_turn.h>

#include "host/gate.h"
#include "host/told.h"
#include "support/host_fixture.h"

/* ---- plugins ----------------------------------------------------------- */

static struct { /* process-wide: tables of plugins have no argument for it */
  const yoi_host *runtime;
  int starts, opens, closes;
  int32_t fails; /* the code that open says; 0: it works */
} seen;

static yoi_status runtime_open(const yoi_host *host, yoi_str config, void **out_self,
                               yoi_error *err) {
  (void)config;
  (void)err;
  seen.runtime = host;
  *out_self = &seen;
  return YOI_OK;
}

static void runtime_close(void *self) {
  (void)self;
}

static yoi_status runtime_start(void *self, const yoi_request *req, yoi_stream **out,
                                yoi_error *err) {
  (void)self;
  (void)err;
  seen.starts++;
  assert_true(yoi_sdk_str_is(req->worker_id, "w"));
  *out = yoi_sdk_stream_one(YOI_LIT("{\"worker\":{}}"), 0);
  return YOI_OK;
}

static const yoi_runtime runtime = {
    .size = sizeof runtime, .open = runtime_open, .close = runtime_close, .start = runtime_start};

static yoi_status policy_open(const yoi_host *host, yoi_str config, void **out_self,
                              yoi_error *err) {
  (void)host;
  (void)config;
  if (seen.fails != 0) return yoi_sdk_fail(err, seen.fails, "said by the fake");
  seen.opens++;
  *out_self = &seen;
  return YOI_OK;
}

static void policy_close(void *self) {
  (void)self;
  seen.closes++;
}

static yoi_status policy_start(void *self, const yoi_policy_request *req, yoi_stream **out,
                               yoi_error *err) {
  (void)self;
  (void)req;
  (void)err;
  *out = yoi_sdk_stream_one(YOI_LIT("{\"decision\":\"allow\"}"), 0);
  return YOI_OK;
}

static const yoi_policy policy = {
    .size = sizeof policy, .open = policy_open, .close = policy_close, .start = policy_start};

static yoi_status model_start(void *self, const yoi_model_request *req, yoi_stream **out,
                              yoi_error *err) {
  (void)self;
  (void)req;
  (void)out;
  return yoi_sdk_fail(err, YOI_CODE_MODEL_ERROR, "never started here");
}

static const yoi_model model = {
    .size = sizeof model, .open = policy_open, .close = policy_close, .start = model_start};

static struct host_fixture f;      /* process-wide: a test at a time */
static struct yoi__config another; /* likewise: the config that comes next */

static void begin(void) {
  memset(&seen, 0, sizeof seen);
  host_fixture_init(&f, 1);
  host_fixture_runtime(&f, "main", &runtime);
  host_fixture_model(&f, "m", &model);
  host_fixture_policy(&f, "dev.yoi.test.one", "{}", &policy);
  host_fixture_start(&f);
  another = f.config;
  atomic_init(&another.refs, 2u); /* one is the test's */
}

static void end(void) {
  host_fixture_stop(&f);
}

/* What is posted to the control thread has run. */
static void settle(void) {
  assert_int_equal(yoi_host_step(f.host, 0, NULL), YOI_OK);
}

static struct yoi__setup *next_setup(void) {
  struct yoi__setup *s = yoi__setup_new(f.host, &another);
  assert_non_null(s);
  assert_int_equal(yoi__setup_fill(s, atomic_load(&f.host->setup), NULL), YOI_OK);
  return s;
}

/* ---- sharing ------------------------------------------------------------ */

static void what_is_the_same_is_in_both(void **state) {
  (void)state;
  begin();
  struct yoi__setup *before = yoi__setup_now(f.host), *after = next_setup();
  assert_ptr_equal(before->models[0], after->models[0]);
  assert_ptr_equal(before->policies[0], after->policies[0]);
  assert_int_equal(after->number, before->number + 1);
  yoi__setup_switch(after);
  yoi__setup_give(before);
  settle();
  assert_int_equal(yoi__setups_count(f.host), 1);
  assert_int_equal(seen.opens, 1);
  assert_int_equal(seen.closes, 0);
  end();
  assert_int_equal(seen.closes, 1);
}

static void what_is_said_otherwise_is_another_and_goes_with_its_holders(void **state) {
  (void)state;
  struct yoi__config_policy changed;
  begin();
  changed = f.policies[0];
  changed.instance.config = YOI_LIT("{\"other\":1}");
  another.policies = &changed;
  struct yoi__setup *before = yoi__setup_now(f.host), *after = next_setup();
  assert_ptr_not_equal(before->policies[0], after->policies[0]);
  assert_int_equal(seen.opens, 2);
  yoi__setup_switch(after);
  settle();
  assert_int_equal(seen.closes, 0); /* somebody has the one before */
  assert_int_equal(yoi__setups_count(f.host), 2);
  yoi__setup_give(yoi__setup_ref(before));
  settle();
  assert_int_equal(seen.closes, 0);
  yoi__setup_give(before);
  settle();
  assert_int_equal(seen.closes, 1);
  assert_int_equal(yoi__setups_count(f.host), 1);
  end();
}

/* The same bytes, but a file beside them gives them less than before. */
static void a_plugin_that_was_narrowed_is_another(void **state) {
  (void)state;
  struct yoi__config_model changed;
  begin();
  struct yoi__plugin narrowed = *f.models[0].instance.plugin;
  struct yoi__plugin *plugin = f.models[0].instance.plugin;
  (void)snprintf(plugin->digest, sizeof plugin->digest, "sha256:1");
  (void)snprintf(narrowed.digest, sizeof narrowed.digest, "sha256:1");
  changed = f.models[0];
  changed.instance.plugin = &narrowed;
  assert_true(yoi__instance_same(&f.config, &f.models[0].instance, &another, &changed.instance));
  narrowed.manifest.grants[narrowed.manifest.n_grants++] = YOI_LIT("net:*");
  assert_false(yoi__instance_same(&f.config, &f.models[0].instance, &another, &changed.instance));
  end();
}

static void one_that_is_given_up_leaves_nothing(void **state) {
  (void)state;
  struct yoi__config_policy changed;
  struct yoi_sdk_error e;
  begin();
  changed = f.policies[0];
  changed.instance.config = YOI_LIT("{\"other\":1}");
  another.policies = &changed;
  seen.fails = YOI_CODE_INVALID_REQUEST;
  struct yoi__setup *s = yoi__setup_new(f.host, &another);
  assert_int_equal(yoi__setup_fill(s, atomic_load(&f.host->setup), yoi_sdk_error_init(&e)),
                   YOI_INVALID_ARGUMENT);
  assert_non_null(strstr(e.message, "cannot open policy"));
  yoi__setup_give(s);
  settle();
  assert_int_equal(yoi__setups_count(f.host), 1);
  assert_int_equal(atomic_load(&another.refs), 2);
  seen.fails = 0;
  for (int i = 0; i < 100; i++) { /* and its struct is used again */
    yoi__setup_switch(next_setup());
    settle();
    assert_int_equal(yoi__setups_count(f.host), 1);
  }
  end();
}

/* ---- turns --------------------------------------------------------------- */

static const yoi_host_turn *turns(void) {
  const yoi_host_turn *t = seen.runtime->get_interface(seen.runtime, YOI_LIT(YOI_HOST_TURN_ID));
  assert_non_null(t);
  return t;
}

static yoi_status start_model(uint64_t turn, const char *name) {
  const yoi_model_request req = {.size = sizeof req};
  struct yoi_sdk_error e;
  yoi_stream *s = NULL;
  yoi_status st =
      turns()->model_start(seen.runtime, turn, yoi_sdk_str(name), &req, &s, yoi_sdk_error_init(&e));
  assert_null(s);
  return st;
}

static void a_turn_keeps_what_it_began_with(void **state) {
  (void)state;
  uint64_t turn = 0, other = 0;
  begin();
  assert_int_equal(turns()->begin(seen.runtime, &turn, NULL), YOI_OK);
  assert_int_not_equal(turn, 0);
  another.n_models = 0;
  yoi__setup_switch(next_setup());
  settle();
  assert_int_equal(yoi__setups_count(f.host), 2);
  /* off the loops a model is found and not started; one that is not there is not found */
  assert_int_equal(start_model(turn, "m"), YOI_FAILED_PRECONDITION);
  assert_int_equal(start_model(0, "m"), YOI_NOT_FOUND);
  assert_int_equal(turns()->begin(seen.runtime, &other, NULL), YOI_OK);
  assert_int_equal(start_model(other, "m"), YOI_NOT_FOUND);
  turns()->end(seen.runtime, turn);
  turns()->end(seen.runtime, turn);
  turns()->end(seen.runtime, 0);
  settle();
  assert_int_equal(yoi__setups_count(f.host), 1);
  assert_int_equal(start_model(turn, "m"), YOI_NOT_FOUND); /* it has ended */
  assert_int_equal(start_model(turn + 1, "m"), YOI_NOT_FOUND);
  end(); /* with the other one, which nobody ended */
}

static void many_turns_have_places_of_their_own(void **state) {
  (void)state;
  uint64_t all[100];
  begin();
  for (size_t i = 0; i < 100; i++) {
    assert_int_equal(turns()->begin(seen.runtime, &all[i], NULL), YOI_OK);
    for (size_t k = 0; k < i; k++) assert_int_not_equal(all[i], all[k]);
  }
  struct yoi__setup *s = atomic_load(&f.host->setup);
  assert_int_equal(atomic_load(&s->refs), 101);
  for (size_t i = 0; i < 100; i++) turns()->end(seen.runtime, all[99 - i]);
  assert_int_equal(atomic_load(&s->refs), 1);
  end();
}

/* ---- gates --------------------------------------------------------------- */

static struct yoi__instance *gated(void) {
  struct yoi__instance *in =
      yoi__instance_new(f.host, &f.config, &f.runtimes[0].instance, YOI_LIT("main"));
  assert_non_null(in);
  in->gate = yoi__gate_new();
  assert_non_null(in->gate);
  return in;
}

static yoi_stream *ask(struct yoi__instance *in) {
  char worker[] = "w";
  yoi_request req = fixture_request(YOI_OP_WORKER_GET);
  yoi_stream *s = NULL;
  req.worker_id = (yoi_str){worker, 1};
  assert_int_equal(yoi__gate_start(in, &req, NULL, NULL, &s, NULL), YOI_OK);
  memset(worker, 'x', sizeof worker); /* it has a copy */
  return s;
}

static yoi_status poll_it(yoi_stream *s, struct yoi_sdk_error *e) {
  const yoi_event *const *events = NULL;
  size_t n = 0;
  return s->ops->next(s, &events, &n, yoi_sdk_error_init(e));
}

static void who_asks_waits_and_starts_behind_the_gate(void **state) {
  (void)state;
  struct yoi_sdk_error e;
  begin();
  struct yoi__instance *in = gated(), *to = host_fixture_instance(&f, "main");
  yoi_stream *first = ask(in), *gone = ask(in), *cancelled = ask(in);
  assert_int_equal(poll_it(first, &e), YOI_AGAIN);
  gone->ops->release(gone);
  cancelled->ops->cancel(cancelled);
  assert_int_equal(poll_it(cancelled, &e), YOI_CANCELLED);
  assert_int_equal(seen.starts, 0);
  yoi__gate_open(in, to);
  yoi_stream *late = ask(in);
  assert_int_equal(poll_it(first, &e), YOI_OK);
  assert_int_equal(poll_it(first, &e), YOI_END);
  assert_int_equal(poll_it(late, &e), YOI_OK);
  assert_int_equal(seen.starts, 2);
  yoi_stream *const all[] = {first, cancelled, late};
  for (size_t i = 0; i < 3; i++) all[i]->ops->release(all[i]);
  yoi__instance_shut(to);
  yoi_stream *closing = ask(in);
  assert_int_equal(poll_it(closing, &e), YOI_UNAVAILABLE);
  closing->ops->release(closing);
  assert_true(yoi__instance_unreferenced(to));
  yoi__instance_reopen(to);
  yoi__instance_forget(in);
  end();
}

static void a_gate_may_lead_nowhere(void **state) {
  (void)state;
  struct yoi_sdk_error e;
  begin();
  struct yoi__instance *in = gated();
  yoi_stream *s = ask(in);
  yoi__gate_open(in, NULL);
  assert_int_equal(poll_it(s, &e), YOI_UNAVAILABLE);
  assert_int_equal(e.e.code, YOI_CODE_RUNTIME_UNAVAILABLE);
  s->ops->release(s);
  yoi__instance_forget(in);
  end();
}

/* ---- what was told -------------------------------------------------------- */

static void a_wording_is_kept_once(void **state) {
  (void)state;
  char name[] = "look";
  struct yoi__told *t = yoi__told_new();
  assert_non_null(t);
  yoi_tool_info a = {.size = sizeof a, .name = {name, 4}, .description = YOI_LIT("looks")};
  yoi_tool_info b = a, c = a;
  c.description = YOI_LIT("looks twice");
  assert_true(yoi__told_keep(t, &a) && yoi__told_keep(t, &b) && yoi__told_keep(t, &c));
  memset(name, 'x', 4);
  assert_string_equal(a.name.ptr, "look");
  assert_ptr_equal(a.name.ptr, b.name.ptr);
  assert_ptr_not_equal(a.name.ptr, c.name.ptr);
  assert_string_equal(c.description.ptr, "looks twice");
  assert_int_equal(a.grants.len, 0);
  yoi__told_free(t);
  yoi__told_free(NULL);
}

/* ---- the verb --------------------------------------------------------------- */

static void a_host_that_is_not_started_has_nothing_to_reload(void **state) {
  (void)state;
  struct yoi_sdk_error e;
  host_fixture_init(&f, 1);
  host_fixture_runtime(&f, "main", &runtime);
  assert_int_equal(yoi__host_of(&f.config, &f.host, NULL), YOI_OK);
  assert_int_equal(yoi_host_reload(f.host, "{}", 2, NULL, NULL, NULL, yoi_sdk_error_init(&e)),
                   YOI_FAILED_PRECONDITION);
  host_fixture_start(&f);
  assert_int_equal(yoi_host_drain(f.host, 0, NULL), YOI_OK);
  assert_int_equal(yoi_host_reload(f.host, "{}", 2, NULL, NULL, NULL, yoi_sdk_error_init(&e)),
                   YOI_UNAVAILABLE);
  assert_int_equal(e.e.code, YOI_CODE_SHUTTING_DOWN);
  end();
}

static size_t found;

static void on_finding(void *ctx, uint32_t line, uint32_t column, const char *pointer,
                       const char *message) {
  (void)ctx;
  (void)pointer;
  assert_true(line > 0 && column > 0 && message[0] != '\0');
  found++;
}

static void all_that_cannot_be_is_found_at_once_and_changes_nothing(void **state) {
  (void)state;
  static const char text[] =
      "{ \"loops\": 7,\n \"log\": { \"level\": \"debug\" },\n \"step\": false }";
  struct yoi_sdk_error e;
  begin();
  found = 0;
  assert_int_equal(yoi_host_reload(f.host, text, sizeof text - 1, NULL, on_finding, NULL,
                                   yoi_sdk_error_init(&e)),
                   YOI_INVALID_ARGUMENT);
  assert_int_equal(found, 3);
  assert_non_null(strstr(e.message, "needs a restart"));
  settle();
  assert_int_equal(yoi__setups_count(f.host), 1);
  assert_ptr_equal(f.host->config, &f.config);
  assert_non_null(host_fixture_instance(&f, "main"));
  end();
}

/* The level of the fixture is none that a config can say, so that is found as well. */
static size_t findings_of_a_reload(void) {
  static const char text[] = "{\"step\":true}";
  found = 0;
  assert_int_equal(yoi_host_reload(f.host, text, sizeof text - 1, NULL, on_finding, NULL, NULL),
                   YOI_INVALID_ARGUMENT);
  settle();
  return found;
}

static void a_reload_waits_when_turns_keep_too_many_configs(void **state) {
  (void)state;
  struct yoi__setup *held[YOI_SETUPS_MAX + 1];
  begin();
  for (size_t i = 0; i <= YOI_SETUPS_MAX; i++) {
    assert_int_equal(findings_of_a_reload(), 1);
    held[i] = yoi__setup_now(f.host);
    yoi__setup_switch(next_setup());
    settle();
  }
  assert_int_equal(yoi__setups_count(f.host), YOI_SETUPS_MAX + 2);
  assert_int_equal(findings_of_a_reload(), 2);
  yoi__setup_give(held[5]);
  settle();
  assert_int_equal(findings_of_a_reload(), 1);
  for (size_t i = 0; i <= YOI_SETUPS_MAX; i++)
    if (i != 5) yoi__setup_give(held[i]);
  settle();
  assert_int_equal(yoi__setups_count(f.host), 1);
  end();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_the_same_is_in_both),
      cmocka_unit_test(what_is_said_otherwise_is_another_and_goes_with_its_holders),
      cmocka_unit_test(a_plugin_that_was_narrowed_is_another),
      cmocka_unit_test(one_that_is_given_up_leaves_nothing),
      cmocka_unit_test(a_turn_keeps_what_it_began_with),
      cmocka_unit_test(many_turns_have_places_of_their_own),
      cmocka_unit_test(who_asks_waits_and_starts_behind_the_gate),
      cmocka_unit_test(a_gate_may_lead_nowhere),
      cmocka_unit_test(a_wording_is_kept_once),
      cmocka_unit_test(a_host_that_is_not_started_has_nothing_to_reload),
      cmocka_unit_test(all_that_cannot_be_is_found_at_once_and_changes_nothing),
      cmocka_unit_test(a_reload_waits_when_turns_keep_too_many_configs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
