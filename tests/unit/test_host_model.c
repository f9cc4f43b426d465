/* test_host_model.c - models open at first use: streams that wait for it, in
 * every state, and the one loop that a stream stays on.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sdk/mem.h>
#include <sdk/stream.h>
#include <yoi/host_model.h>

#include "host/clock.h"
#include "support/host_fixture.h"

/* ---- the model --------------------------------------------------------- */

static struct { /* process-wide: tables of plugins have no argument for it */
  _Atomic int opens, closes, starts, fail_open, fail_start, hold_open;
  char messages[256];
  struct yoi_sdk_queue *queue;
  const yoi_host *host;
  uint32_t loop;
  _Atomic int cancels, releases, released_on;
} m;

static const yoi_host *runtime_host; /* process-wide, as above */

static uint32_t current_of(const yoi_host *h) {
  const yoi_host_loop *loop = h->get_interface(h, YOI_LIT(YOI_HOST_LOOP_ID));
  return loop->current(h);
}

static yoi_status model_open(const yoi_host *host, yoi_str config, void **out_self,
                             yoi_error *err) {
  (void)config;
  m.host = host;
  atomic_fetch_add(&m.opens, 1);
  assert_int_equal(current_of(host), YOI_NO_LOOP); /* the control thread */
  uint64_t until = yoi__now_ns() + 10000 * YOI__MS;
  while (atomic_load(&m.hold_open) && yoi__now_ns() < until) continue;
  *out_self = &m;
  if (!atomic_load(&m.fail_open)) return YOI_OK;
  (void)yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "no such thing at /a/path");
  return YOI_INVALID_ARGUMENT;
}

static void model_close(void *self) {
  (void)self;
  atomic_fetch_add(&m.closes, 1);
}

static void on_cancel(void *ctx) {
  (void)ctx;
  atomic_fetch_add(&m.cancels, 1);
  yoi_sdk_queue_fail(m.queue, YOI_CANCELLED, NULL);
}

static void on_release(void *ctx) {
  (void)ctx;
  atomic_store(&m.released_on, (int)current_of(m.host));
  atomic_fetch_add(&m.releases, 1);
}

static yoi_status model_start(void *self, const yoi_model_request *req, yoi_stream **out,
                              yoi_error *err) {
  (void)self;
  m.loop = current_of(m.host);
  assert_int_not_equal(m.loop, YOI_NO_LOOP);
  atomic_fetch_add(&m.starts, 1);
  /* To a model of before 1.4 that is an unknown tail, which it must refuse. */
  for (size_t i = offsetof(yoi_model_request, worker_id); i < req->size; i++)
    assert_int_equal(((const unsigned char *)req)[i], 0);
  size_t at = 0;
  for (size_t i = 0; i < req->n_messages; i++)
    at += (size_t)snprintf(m.messages + at, sizeof m.messages - at, "%.*s;",
                           YOI_ARG(req->messages[i]));
  (void)snprintf(m.messages + at, sizeof m.messages - at, "%.*s|%.*s|%.*s|%.*s|%u",
                 YOI_ARG(req->tools), YOI_ARG(req->parameters), YOI_ARG(req->request_id),
                 YOI_ARG(req->trace), req->max_output_tokens);
  if (atomic_load(&m.fail_start)) {
    yoi_status st = yoi_sdk_fail(err, YOI_CODE_MODEL_ERROR, "refused");
    yoi_sdk_fail_details(err, YOI_LIT("{\"kind\":\"quota\",\"retryable\":false}"));
    return st;
  }
  if (m.queue != NULL) yoi_sdk_queue_drop(m.queue); /* of the generation before */
  m.queue = yoi_sdk_queue_new(m.host, req->token, 65536, on_cancel, on_release, NULL);
  *out = yoi_sdk_queue_stream(m.queue);
  return YOI_OK;
}

static const yoi_model model_table = {.size = sizeof model_table,
                                      .thread_model = YOI_PARALLEL,
                                      .open = model_open,
                                      .close = model_close,
                                      .start = model_start};

/* ---- the runtime that asks it ------------------------------------------ */

static yoi_status asking_open(const yoi_host *host, yoi_str config, void **out_self,
                              yoi_error *err) {
  (void)config;
  (void)err;
  runtime_host = host;
  *out_self = NULL;
  return YOI_OK;
}

static yoi_status asking_open_nothing(const yoi_host *host, yoi_str config, void **out_self,
                                      yoi_error *err) {
  (void)host;
  (void)config;
  (void)err;
  *out_self = NULL;
  return YOI_OK;
}

static void asking_close(void *self) {
  (void)self;
}

static yoi_status asking_start(void *self, const yoi_request *req, yoi_stream **out,
                               yoi_error *err) {
  (void)self;
  (void)req;
  (void)out;
  return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "nothing");
}

static const yoi_runtime asking_table = {.size = sizeof asking_table,
                                         .thread_model = YOI_PARALLEL,
                                         .open = asking_open,
                                         .close = asking_close,
                                         .start = asking_start};

/* ---- the policy that is asked before -------------------------------------- */

static struct {     /* process-wide, as above */
  const char *says; /* NULL: there is none */
  yoi_policy_request asked;
  char principal[32], worker[32];
  int n;
} policy;

static yoi_status policy_start(void *self, const yoi_policy_request *req, yoi_stream **out,
                               yoi_error *err) {
  (void)self;
  policy.asked = *req;
  policy.n++;
  (void)snprintf(policy.principal, sizeof policy.principal, "%.*s", YOI_ARG(req->principal));
  (void)snprintf(policy.worker, sizeof policy.worker, "%.*s", YOI_ARG(req->worker_id));
  *out = yoi_sdk_stream_one(yoi_sdk_str(policy.says), 0);
  return *out != NULL ? YOI_OK : yoi_sdk_fail_memory(err);
}

static const yoi_policy policy_table = {.size = sizeof policy_table,
                                        .thread_model = YOI_PARALLEL,
                                        .open = asking_open_nothing,
                                        .close = asking_close,
                                        .start = policy_start};

struct bench {
  struct host_fixture f;
  struct yoi__holder holder;
  uint64_t token;
  _Atomic uint32_t wakes, done;
  yoi_stream *stream;
  yoi_status st;
  struct yoi_sdk_error e;
  size_t n;
  char said[1024]; /* all events so far */
  void (*task)(struct bench *b);
};

static void on_wake(void *self, uint64_t cookie) {
  (void)cookie;
  atomic_fetch_add(&((struct bench *)self)->wakes, 1u);
}

/* secret: a value that the host has under the name "key", or NULL. */
static void set_up_with(struct bench *b, int step, const char *secret) {
  memset(&m, 0, sizeof m);
  memset(b, 0, sizeof *b);
  host_fixture_init(&b->f, step);
  if (secret != NULL) {
    assert_int_equal(setenv("YOI_TEST_KEY", secret, 1), 0);
    assert_int_equal(yoi__secrets_declare(b->f.config.secrets, YOI_LIT("key"), YOI_LIT(""),
                                          YOI_LIT("YOI_TEST_KEY"), NULL),
                     YOI_OK);
  }
  host_fixture_runtime(&b->f, "a", &asking_table);
  host_fixture_model(&b->f, "main", &model_table);
  if (policy.says != NULL) {
    host_fixture_policy(&b->f, "dev.yoi.test.policy", "{}", &policy_table);
    struct yoi__manifest *manifest = &b->f.policies[0].instance.plugin->manifest;
    manifest->operations[manifest->n_operations++] = YOI_LIT("model.start");
  }
  host_fixture_start(&b->f);
  b->holder.wake = on_wake;
  b->holder.self = b;
  yoi__token_new(b->f.host->tokens, &b->holder, 0, &b->token, NULL);
}

static void set_up(struct bench *b, int step) {
  set_up_with(b, step, NULL);
}

static void tear_down(struct bench *b) {
  if (m.queue != NULL) yoi_sdk_queue_drop(m.queue);
  m.queue = NULL;
  yoi__holder_close(b->f.host->tokens, &b->holder);
  host_fixture_stop(&b->f);
  assert_int_equal(m.closes, m.opens - m.fail_open);
}

/* Runs a function on loop 0 and waits for it. */
static void run_task(void *ctx) {
  struct bench *b = ctx;
  b->task(b);
  atomic_store(&b->done, 1u);
}

static int is_done(void *ctx) {
  return (int)atomic_load(&((struct bench *)ctx)->done);
}

static void on_loop(struct bench *b, void (*task)(struct bench *b)) {
  b->task = task;
  atomic_store(&b->done, 0u);
  assert_int_equal(yoi__loop_post(b->f.host->loops, NULL, 0, run_task, b), YOI_OK);
  host_fixture_until(&b->f, is_done, b);
}

/* What a request says of its turn; zero: nothing. */
static struct {
  const char *worker, *principal;
  uint64_t turn_tokens;
  uint32_t max_output, counted;
} turn;

static void start_of_turn(struct bench *b) {
  const yoi_host_model *model =
      runtime_host->get_interface(runtime_host, YOI_LIT(YOI_HOST_MODEL_ID));
  yoi_str message = YOI_LIT("{\"role\":\"user\",\"content\":\"0123456789\"}"); /* 39 bytes */
  yoi_model_request r = {.size = sizeof r,
                         .max_output_tokens = turn.max_output,
                         .token = b->token,
                         .messages = &message,
                         .n_messages = 1,
                         .tools = YOI_LIT("[{}, {}]  "), /* and 10 */
                         .worker_id = yoi_sdk_str(turn.worker),
                         .principal = yoi_sdk_str(turn.principal),
                         .turn_tokens = turn.turn_tokens,
                         .counted = turn.counted};
  b->stream = NULL;
  b->st = model->start(runtime_host, YOI_LIT("main"), &r, &b->stream, yoi_sdk_error_init(&b->e));
}

static void start_it(struct bench *b) {
  const yoi_host_model *model =
      runtime_host->get_interface(runtime_host, YOI_LIT(YOI_HOST_MODEL_ID));
  char first[] = "{\"role\":\"user\"}", second[] = "two"; /* gone after the start */
  yoi_str messages[] = {yoi_sdk_str(first), yoi_sdk_str(second)};
  yoi_model_request r = {.size = sizeof r,
                         .max_output_tokens = 7,
                         .token = b->token,
                         .request_id = YOI_LIT("rid"),
                         .trace = YOI_LIT("trc"),
                         .messages = messages,
                         .n_messages = 2,
                         .tools = YOI_LIT("[]"),
                         .parameters = YOI_LIT("{}")};
  b->stream = NULL;
  b->st = model->start(runtime_host, YOI_LIT("main"), &r, &b->stream, yoi_sdk_error_init(&b->e));
  memset(first, 'x', sizeof first);
  memset(second, 'x', sizeof second);
}

static void next_it(struct bench *b) {
  const yoi_event *const *events = NULL;
  b->n = 0;
  b->st = b->stream->ops->next(b->stream, &events, &b->n, yoi_sdk_error_init(&b->e));
  size_t at = strlen(b->said);
  for (size_t i = 0; b->st == YOI_OK && i < b->n; i++)
    at += (size_t)snprintf(b->said + at, sizeof b->said - at, "%s:%.*s;",
                           yoi_sdk_event_name(events[i]->kind) + sizeof "model." - 1,
                           YOI_ARG(events[i]->text));
}

static void release_it(struct bench *b) {
  b->stream->ops->release(b->stream);
}

static int woken(void *ctx) {
  return atomic_load(&((struct bench *)ctx)->wakes) > 0;
}

static const char expected[] = "{\"role\":\"user\"};two;[]|{}|rid|trc|7";

static uint64_t counted(struct bench *b, uint32_t id) {
  return yoi__metrics_value(b->f.host->metrics, id);
}

/* ---- tests ------------------------------------------------------------- */

static void opens_at_first_use(int step) {
  struct bench b;
  set_up(&b, step);
  assert_int_equal(m.opens, 0);
  on_loop(&b, start_it);
  assert_int_equal(b.st, YOI_OK);
  on_loop(&b, next_it); /* AGAIN, or the model is open by now and has no news */
  assert_int_equal(b.st, YOI_AGAIN);
  host_fixture_until(&b.f, woken, &b);
  on_loop(&b, next_it);
  assert_int_equal(b.st, YOI_AGAIN);
  assert_int_equal(m.starts, 1);
  assert_string_equal(m.messages, expected); /* a copy was kept */
  assert_int_equal(m.loop, 0);
  yoi_sdk_queue_push(m.queue, YOI_EVENT_MODEL_TEXT, 0, YOI_LIT(""), YOI_LIT("hi"));
  on_loop(&b, next_it);
  assert_int_equal(b.st, YOI_OK);
  yoi_sdk_queue_finish(m.queue);
  on_loop(&b, next_it);
  assert_int_equal(b.st, YOI_END);
  on_loop(&b, release_it);
  assert_int_equal(counted(&b, b.f.host->counters.models.ok), 1);
  on_loop(&b, start_it); /* open now: straight through */
  assert_int_equal(b.st, YOI_OK);
  assert_int_equal(m.starts, 2);
  assert_int_equal(m.opens, 1);
  on_loop(&b, release_it);
  assert_int_equal(counted(&b, b.f.host->counters.models.cancelled), 1);
  tear_down(&b);
}

static void test_a_model_opens_at_first_use(void **state) {
  (void)state;
  opens_at_first_use(1);
  opens_at_first_use(0);
}

static void test_failed_open_answers_and_is_tried_again(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, 0);
  atomic_store(&m.fail_open, 1);
  on_loop(&b, start_it);
  assert_int_equal(b.st, YOI_OK);
  host_fixture_until(&b.f, woken, &b);
  on_loop(&b, next_it);
  assert_int_equal(b.st, YOI_UNAVAILABLE);
  assert_int_equal(b.e.e.code, YOI_CODE_MODEL_ERROR);
  assert_string_equal(b.e.message, "model 'main' cannot be opened");
  assert_string_equal(b.e.details, "{\"kind\":\"not_found\",\"retryable\":false}");
  on_loop(&b, release_it);
  assert_int_equal(counted(&b, b.f.host->counters.models.error), 1);
  atomic_store(&m.fail_open, 0);
  atomic_store(&b.wakes, 0u);
  on_loop(&b, start_it);
  host_fixture_until(&b.f, woken, &b);
  on_loop(&b, next_it);
  assert_int_equal(b.st, YOI_AGAIN);
  assert_int_equal(m.starts, 1);
  on_loop(&b, release_it);
  m.opens--; /* the failed one is not closed */
  tear_down(&b);
}

static void test_start_error_is_passed_on(void **state) {
  (void)state;
  for (int open_first = 0; open_first < 2; open_first++) {
    struct bench b;
    set_up(&b, 1);
    if (open_first) {
      on_loop(&b, start_it);
      host_fixture_until(&b.f, woken, &b);
      on_loop(&b, release_it);
    }
    atomic_store(&m.fail_start, 1);
    on_loop(&b, start_it);
    if (!open_first) {
      host_fixture_until(&b.f, woken, &b);
      on_loop(&b, next_it);
      on_loop(&b, next_it); /* sticky */
    }
    assert_int_equal(b.st, YOI_UNAVAILABLE);
    assert_int_equal(b.e.e.code, YOI_CODE_MODEL_ERROR);
    assert_string_equal(b.e.details, "{\"kind\":\"quota\",\"retryable\":false}");
    if (!open_first) on_loop(&b, release_it);
    assert_int_equal(counted(&b, b.f.host->counters.models.error), 1);
    tear_down(&b);
  }
}

static void cancel_it(struct bench *b) {
  b->stream->ops->cancel(b->stream);
  b->stream->ops->cancel(b->stream);
}

static void test_cancel_and_release_while_it_opens(void **state) {
  (void)state;
  for (int cancel = 0; cancel < 2; cancel++) {
    struct bench b;
    set_up(&b, 0);
    atomic_store(&m.hold_open, 1);
    on_loop(&b, start_it);
    if (cancel) {
      on_loop(&b, cancel_it);
      assert_int_equal(atomic_load(&b.wakes), 1); /* cancel counts as news */
      on_loop(&b, next_it);
      assert_int_equal(b.st, YOI_CANCELLED);
    }
    on_loop(&b, release_it);
    atomic_store(&m.hold_open, 0);
    assert_int_equal(m.starts, 0); /* nobody waits any more */
    tear_down(&b);
  }
}

static void test_cancel_reaches_the_plugin(void **state) {
  struct bench b;
  (void)state;
  set_up(&b, 1);
  on_loop(&b, start_it);
  host_fixture_until(&b.f, woken, &b);
  on_loop(&b, next_it);
  cancel_it(&b); /* [any] */
  assert_int_equal(m.cancels, 1);
  on_loop(&b, next_it);
  assert_int_equal(b.st, YOI_CANCELLED);
  assert_int_equal(b.e.e.code, 0);
  on_loop(&b, release_it);
  assert_int_equal(counted(&b, b.f.host->counters.models.cancelled), 1);
  tear_down(&b);
}

static int is_released(void *ctx) {
  (void)ctx;
  return atomic_load(&m.releases) > 0;
}

/* A runtime that is closed releases its model streams off their loop. */
static void test_release_off_the_loop_happens_on_it(void **state) {
  (void)state;
  for (int step = 0; step < 2; step++) {
    struct bench b;
    set_up(&b, step);
    on_loop(&b, start_it);
    host_fixture_until(&b.f, woken, &b);
    on_loop(&b, next_it);
    release_it(&b);
    host_fixture_until(&b.f, is_released, NULL);
    assert_int_equal(m.released_on, 0);
    tear_down(&b);
  }
}

static void collect(void *ctx, yoi_str name) {
  size_t at = strlen(ctx);
  (void)snprintf((char *)ctx + at, 64 - at, "%.*s,", YOI_ARG(name));
}

static void unknown_it(struct bench *b) {
  const yoi_host_model *model =
      runtime_host->get_interface(runtime_host, YOI_LIT(YOI_HOST_MODEL_ID));
  yoi_model_request r = {.size = sizeof r, .token = b->token};
  b->st = model->start(runtime_host, YOI_LIT("other"), &r, &b->stream, yoi_sdk_error_init(&b->e));
}

static void test_names_and_grants(void **state) {
  struct bench b;
  char names[64] = "";
  (void)state;
  set_up(&b, 1);
  const yoi_host_model *model =
      runtime_host->get_interface(runtime_host, YOI_LIT(YOI_HOST_MODEL_ID));
  model->list(runtime_host, collect, names);
  assert_string_equal(names, "main,");
  on_loop(&b, unknown_it);
  assert_int_equal(b.st, YOI_NOT_FOUND);
  start_it(&b); /* off a loop */
  assert_int_equal(b.st, YOI_FAILED_PRECONDITION);
  /* The operator grants this plugin other models only. */
  static const yoi_str patterns[] = {{"model:big", 9}};
  struct yoi__config_plugin entry = {
      .id = YOI_LIT("dev.yoi.test.fixture"), .has_grants = 1, .grants = patterns, .n_grants = 1};
  b.f.config.entries = &entry;
  b.f.config.n_entries = 1;
  names[0] = '\0';
  model->list(runtime_host, collect, names);
  assert_string_equal(names, "");
  on_loop(&b, start_it);
  assert_int_equal(b.st, YOI_NOT_FOUND);
  tear_down(&b);
}

/* ---- secrets ----------------------------------------------------------- */

static void push(uint32_t kind, const char *text) {
  assert_int_equal(yoi_sdk_queue_push(m.queue, kind, 0, YOI_LIT(""), yoi_sdk_str(text)), YOI_OK);
}

static void open_it(struct bench *b, const char *secret) {
  set_up_with(b, 1, secret);
  on_loop(b, start_it);
  host_fixture_until(&b->f, woken, b);
  on_loop(b, next_it);
  assert_int_equal(b->st, YOI_AGAIN);
}

static void test_a_secret_that_a_model_says_is_not_passed_on(void **state) {
  struct bench b;
  (void)state;
  open_it(&b, "sesame-opens");
  for (const char *c = "ok: sesame-opens!"; *c != '\0'; c++) {
    push(YOI_EVENT_MODEL_TEXT, (char[]){*c, '\0'});
    on_loop(&b, next_it); /* AGAIN where all is held */
  }
  assert_string_equal(b.said, "text:o;text:k;text::;text: ;text:[secret key];text:!;");
  b.said[0] = '\0';
  push(YOI_EVENT_MODEL_TEXT, "a sesame-");
  push(YOI_EVENT_MODEL_REASONING, "hm, sesame");
  push(YOI_EVENT_MODEL_TEXT, "opens");
  push(YOI_EVENT_MODEL_TOOL_CALL, "{\"arguments\":\"{\\\"k\\\":\\\"sesame-opens\\\"}\"}");
  push(YOI_EVENT_MODEL_FINISH, "{\"finish_reason\":\"stop\"}");
  yoi_sdk_queue_finish(m.queue);
  for (int i = 0; i < 10 && b.st != YOI_END; i++) on_loop(&b, next_it); /* HARD: small ones */
  assert_string_equal(b.said,
                      "text:a ;reasoning:hm, ;text:[secret key];reasoning:sesame;"
                      "tool_call:{\"arguments\":\"{\\\"k\\\":\\\"[secret key]\\\"}\"};"
                      "finish:{\"finish_reason\":\"stop\"};");
  assert_int_equal(b.st, YOI_END);
  on_loop(&b, release_it);
  assert_int_equal(counted(&b, b.f.host->counters.models.ok), 1);
  tear_down(&b);
}

static void test_what_is_held_comes_before_the_end(void **state) {
  (void)state;
  for (int how = 0; how < 3; how++) {
    struct bench b;
    open_it(&b, "sesame-opens");
    push(YOI_EVENT_MODEL_TEXT, "say sesame");
    on_loop(&b, next_it);
    assert_string_equal(b.said, "text:say ;");
    if (how == 0) yoi_sdk_queue_finish(m.queue);
    if (how == 1) cancel_it(&b);
    if (how == 2) {
      struct yoi_sdk_error e;
      (void)yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_MODEL_ERROR, "key sesame-opens is bad");
      yoi_sdk_fail_details(&e.e, YOI_LIT("{\"kind\":\"quota\",\"retryable\":false,"
                                         "\"key\":\"\\u0073esame-opens\"}"));
      yoi_sdk_queue_fail(m.queue, YOI_UNAVAILABLE, &e.e);
    }
    on_loop(&b, next_it);
    assert_int_equal(b.st, YOI_OK);
    assert_string_equal(b.said, "text:say ;text:sesame;");
    for (int again = 0; again < 2; again++) {
      on_loop(&b, next_it);
      assert_int_equal(b.st, how == 0 ? YOI_END : how == 1 ? YOI_CANCELLED : YOI_UNAVAILABLE);
    }
    if (how == 2) {
      assert_string_equal(b.e.message, "key [secret key] is bad");
      assert_string_equal(b.e.details,
                          "{\"kind\":\"quota\",\"retryable\":false,"
                          "\"key\":\"[secret key]\"}");
    }
    on_loop(&b, release_it);
    tear_down(&b);
  }
}

static void test_without_a_long_secret_nothing_is_held(void **state) {
  (void)state;
  for (int i = 0; i < 2; i++) {
    struct bench b;
    open_it(&b, i == 0 ? NULL : "sesame");
    push(YOI_EVENT_MODEL_TEXT, "se");
    push(YOI_EVENT_MODEL_TEXT, "same");
    on_loop(&b, next_it);
    assert_string_equal(b.said, "text:se;text:same;");
    on_loop(&b, release_it);
    tear_down(&b);
  }
}

#define LEAST (49 / YOI_CONTEXT_BYTES_PER_TOKEN) /* of what start_of_turn sends */

static void test_policy_is_asked_for_the_tokens_of_a_turn(void **state) {
  static const struct {
    uint64_t turn_tokens;
    uint32_t max_output, counted;
    uint64_t tokens;
  } rows[] = {{1000, 0, 0, 1000},
              {LEAST + 1, 0, 0, LEAST + 1},
              {1, 0, 0, LEAST}, /* whatever is said, this is sent */
              {1, 30, 0, LEAST + 30},
              {0, 0, 0, YOI_TOKENS_MAX_PER_TURN}, /* what nobody bounds */
              {0, 30, 0, YOI_TOKENS_MAX_PER_TURN},
              {1000, 30, 1, 0}};
  struct bench b;
  (void)state;
  memset(&policy, 0, sizeof policy);
  policy.says = "{\"decision\":\"abstain\"}";
  set_up(&b, 0);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    turn.worker = "ada";
    turn.principal = i % 2 == 0 ? "token:ci" : "";
    turn.turn_tokens = rows[i].turn_tokens;
    turn.max_output = rows[i].max_output;
    turn.counted = rows[i].counted;
    on_loop(&b, start_of_turn);
    assert_int_equal(b.st, YOI_OK);
    assert_int_equal(policy.n, i + 1);
    assert_true(policy.asked.tokens == rows[i].tokens);
    assert_string_equal(policy.principal, i % 2 == 0 ? "token:ci" : "a"); /* else the runtime */
    assert_string_equal(policy.worker, "ada");
    on_loop(&b, release_it);
  }
  policy.says = NULL;
  tear_down(&b);
}

static void test_a_model_that_policy_denies_is_not_called(void **state) {
  struct bench b;
  (void)state;
  memset(&policy, 0, sizeof policy);
  policy.says = "{\"decision\":\"deny\",\"reason\":\"enough for today\"}";
  set_up(&b, 0);
  turn.worker = turn.principal = "x";
  on_loop(&b, start_of_turn);
  assert_int_equal(b.st, YOI_PERMISSION_DENIED);
  assert_null(b.stream);
  assert_int_equal(b.e.e.code, YOI_CODE_POLICY_DENIED);
  assert_string_equal(b.e.message, "policy does not allow the model 'main': enough for today");
  assert_string_equal(b.e.details, "{\"kind\":\"quota\",\"retryable\":false}");
  assert_int_equal(m.opens, 0); /* not even opened */
  policy.says = NULL;
  tear_down(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_a_model_opens_at_first_use),
      cmocka_unit_test(test_failed_open_answers_and_is_tried_again),
      cmocka_unit_test(test_start_error_is_passed_on),
      cmocka_unit_test(test_cancel_and_release_while_it_opens),
      cmocka_unit_test(test_cancel_reaches_the_plugin),
      cmocka_unit_test(test_release_off_the_loop_happens_on_it),
      cmocka_unit_test(test_names_and_grants),
      cmocka_unit_test(test_a_secret_that_a_model_says_is_not_passed_on),
      cmocka_unit_test(test_what_is_held_comes_before_the_end),
      cmocka_unit_test(test_without_a_long_secret_nothing_is_held),
      cmocka_unit_test(test_policy_is_asked_for_the_tokens_of_a_turn),
      cmocka_unit_test(test_a_model_that_policy_denies_is_not_called),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
