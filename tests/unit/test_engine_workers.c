/* test_engine_workers.c - create, list, get, delete and describe. */
#include <stdlib.h>

#include "support/rig.h"

#define CREATE YOI_OP_WORKER_CREATE
#define GET YOI_OP_WORKER_GET
#define LIST YOI_OP_WORKER_LIST
#define DELETE YOI_OP_WORKER_DELETE
#define STOP YOI_OP_WORKER_STOP
#define EVENTS YOI_OP_WORKER_EVENTS

static const yoi_request keyed = {.idempotency_key = {"k1", 2}};

static void a_worker_has_its_shape(void **state) {
  struct rig *r = *state;
  rig_ok(r, CREATE, "",
         "{\"worker_id\":\"w.1\",\"display_name\":\"Ada\",\"intent\":{\"kind\":\"task\","
         "\"objective\":\"do it\",\"purpose\":\"fun\"},\"profile\":{\"kind\":\"builtin\","
         "\"value\":\"companion\"},\"requested_capabilities\":[]}");
  assert_int_equal(r->flags, YOI_EV_CREATED);
  assert_string_equal(rig_get(r, "worker.worker_id"), "\"w.1\"");
  assert_string_equal(rig_get(r, "worker.state"), "\"idle\"");
  assert_string_equal(rig_get(r, "worker.display_name"), "\"Ada\"");
  assert_string_equal(rig_get(r, "worker.intent"),
                      "{\"kind\":\"task\",\"objective\":\"do it\",\"purpose\":\"fun\"}");
  assert_string_equal(rig_get(r, "worker.profile"),
                      "{\"kind\":\"builtin\",\"value\":\"companion\"}");
  assert_string_equal(rig_get(r, "worker.config_bundle"), "null");
  assert_string_equal(rig_get(r, "worker.capabilities"),
                      "[\"worker.get\",\"worker.input\",\"worker.stop\",\"worker.transcript\","
                      "\"worker.events\",\"worker.approvals\","
                      "\"worker.artefact\"]");
  assert_string_equal(rig_get(r, "worker.created_at"), "\"2026-05-28T20:26:41.000Z\"");
  assert_true(strncmp(rig_get(r, "worker.cursor"), "\"y1-", 4) == 0);
  assert_string_equal(rig_get(r, "worker.turn"), "");
  assert_string_equal(rig_get(r, "worker.spec"), "");
}

static void defaults_are_filled_in(void **state) {
  struct rig *r = *state;
  rig_ok(r, CREATE, "", "");
  char id[64];
  (void)snprintf(id, sizeof id, "%s", rig_get(r, "worker.worker_id"));
  assert_int_equal(strlen(id), 38); /* a UUID, quoted */
  assert_string_equal(rig_get(r, "worker.display_name"), id);
  assert_string_equal(rig_get(r, "worker.intent"), "{\"kind\":\"assistant\"}");
  assert_string_equal(rig_get(r, "worker.profile"), "{\"kind\":\"runtime_default\"}");
}

static void the_detail_shows_the_resolved_spec(void **state) {
  struct rig *r = *state;
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\",\"intent\":{\"kind\":\"role\",\"role\":\"cook\"}}");
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.spec.source"), "\"builtin\"");
  assert_string_equal(rig_get(r, "worker.spec.bundle"), "null");
  assert_string_equal(rig_get(r, "worker.spec.profile"), "\"companion\"");
  assert_string_equal(rig_get(r, "worker.spec.model"), "\"main\"");
  assert_string_equal(rig_get(r, "worker.spec.tools"), "[]");
  assert_string_equal(rig_get(r, "worker.spec.grants"), "[\"model:main\"]");
  assert_string_equal(rig_get(r, "worker.spec.limits"),
                      "{\"steps\":16,\"wall_ms\":600000,\"tokens\":1000000,"
                      "\"tool_output_bytes\":1048576,\"context_tokens\":8192,"
                      "\"tool_result_bytes\":16384,\"approval_ms\":86400000}");
  assert_string_equal(rig_get(r, "worker.spec.intent"), "{\"kind\":\"role\",\"role\":\"cook\"}");
  assert_string_equal(rig_get(r, "worker.spec.resolved_at"), rig_get(r, "worker.created_at"));
  assert_true(strstr(rig_get(r, "worker.spec.prompts"), "companion.system") != NULL);
}

static void create_refuses_what_it_cannot_do(void **state) {
  struct rig *r = *state;
  static const struct {
    const char *body;
    int32_t code;
  } rows[] = {
      {"{", YOI_CODE_INVALID_JSON},
      {"{\"a\":1,\"a\":2}", YOI_CODE_INVALID_JSON},
      {"[]", YOI_CODE_INVALID_REQUEST},
      {"{\"spec\":{}}", YOI_CODE_INVALID_REQUEST},
      {"{\"worker_id\":\"A\"}", YOI_CODE_INVALID_IDENTIFIER},
      {"{\"worker_id\":\"-a\"}", YOI_CODE_INVALID_IDENTIFIER},
      {"{\"worker_id\":\"a\\n\"}", YOI_CODE_INVALID_IDENTIFIER},
      {"{\"worker_id\":1}", YOI_CODE_INVALID_REQUEST},
      {"{\"worker_id\":\"\"}", YOI_CODE_INVALID_REQUEST},
      {"{\"display_name\":\"\"}", YOI_CODE_INVALID_REQUEST},
      {"{\"display_name\":\"a\\u0001\"}", YOI_CODE_INVALID_REQUEST},
      {"{\"intent\":\"x\"}", YOI_CODE_INVALID_REQUEST},
      {"{\"intent\":{\"kind\":\"king\"}}", YOI_CODE_INVALID_REQUEST},
      {"{\"intent\":{\"kind\":\"task\"}}", YOI_CODE_INVALID_REQUEST},
      {"{\"intent\":{\"kind\":\"role\"}}", YOI_CODE_INVALID_REQUEST},
      {"{\"intent\":{\"kind\":\"assistant\",\"x\":\"y\"}}", YOI_CODE_INVALID_REQUEST},
      {"{\"profile\":\"companion\"}", YOI_CODE_INVALID_REQUEST},
      {"{\"profile\":{}}", YOI_CODE_INVALID_REQUEST},
      {"{\"profile\":{\"kind\":\"builtin\"}}", YOI_CODE_INVALID_REQUEST},
      {"{\"profile\":{\"kind\":\"runtime_default\",\"value\":\"x\"}}", YOI_CODE_INVALID_REQUEST},
      {"{\"profile\":{\"kind\":\"other\",\"value\":\"x\"}}", YOI_CODE_INVALID_REQUEST},
      {"{\"profile\":{\"kind\":\"builtin\",\"value\":\"x\"}}", YOI_CODE_INVALID_PROFILE},
      {"{\"profile\":{\"kind\":\"named\",\"value\":\"companion\"}}", YOI_CODE_INVALID_PROFILE},
      {"{\"config_bundle\":{\"id\":\"a\",\"digest\":\"sha256:00\"}}",
       YOI_CODE_INVALID_IDENTIFIER},
      {"{\"workspace\":\"acme\"}", YOI_CODE_INVALID_REQUEST},
      {"{\"requested_capabilities\":[{\"name\":\"fs_read\"}]}", YOI_CODE_GRANT_MISSING},
      {"{\"requested_capabilities\":[{\"reason\":\"x\"}]}", YOI_CODE_INVALID_REQUEST},
      {"{\"requested_capabilities\":[\"fs_read\"]}", YOI_CODE_INVALID_REQUEST},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    rig_refused(r, CREATE, "", rows[i].body, rows[i].code);
  rig_refused(r, CREATE, "",
              "{\"requested_capabilities\":[{\"name\":\"fs_read\"},{\"name\":\"net:x\"}]}",
              YOI_CODE_GRANT_MISSING);
  assert_string_equal(r->err->details, "{\"missing\":[\"fs_read\",\"net:x\"]}");
  rig_ok(r, LIST, "", "");
  assert_string_equal(r->text, "{\"workers\":[],\"next\":null}");
}

static void create_is_bounded(void **state) {
  struct rig *r = *state;
  char *big = malloc(70000);
  (void)snprintf(big, 70000, "{\"display_name\":\"%066000d\"}", 0);
  rig_refused(r, CREATE, "", big, YOI_CODE_PAYLOAD_TOO_LARGE);
  (void)snprintf(big, 70000, "{\"intent\":{\"kind\":\"assistant\",\"purpose\":\"%05000d\"}}", 0);
  rig_refused(r, CREATE, "", big, YOI_CODE_INVALID_REQUEST);
  (void)snprintf(big, 70000, "{\"display_name\":\"%0257d\"}", 0);
  rig_refused(r, CREATE, "", big, YOI_CODE_INVALID_REQUEST);
  free(big);
}

static void the_model_is_main_or_the_only_one(void **state) {
  struct rig *r = *state;
  fake_model_add(r->fh, "solo");
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.spec.model"), "\"solo\"");
  fake_model_add(r->fh, "other");
  rig_refused(r, CREATE, "", "{\"worker_id\":\"b\"}", YOI_CODE_INVALID_PROFILE);
  assert_string_equal(r->err->details, "{\"models\":[\"solo\",\"other\"]}");
  assert_non_null(strstr(r->err->message, "other"));
  fake_model_add(r->fh, "main");
  rig_ok(r, CREATE, "", "{\"worker_id\":\"b\"}");
  rig_ok(r, GET, "b", "");
  assert_string_equal(rig_get(r, "worker.spec.model"), "\"main\"");
  fake_model_none(r->fh);
  rig_refused(r, CREATE, "", "{\"worker_id\":\"c\"}", YOI_CODE_INVALID_PROFILE);
}

/* Pitfall 6: a retried create must not fail against its first attempt. */
static void create_by_id_is_idempotent(void **state) {
  struct rig *r = *state;
  char first[64];
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\",\"display_name\":\"x\"}");
  (void)snprintf(first, sizeof first, "%s", rig_get(r, "worker.cursor"));
  fake_model_none(r->fh); /* what would fail now does not matter to a replay */
  rig_ok(r, CREATE, "",
         "{\"display_name\":\"x\",\"intent\":{\"kind\":\"assistant\"},"
         "\"profile\":{\"kind\":\"runtime_default\"},\"worker_id\":\"a\"}");
  assert_int_equal(r->flags, 0);
  assert_string_equal(rig_get(r, "worker.cursor"), first);
  rig_refused(r, CREATE, "", "{\"worker_id\":\"a\"}", YOI_CODE_WORKER_CONFLICT);
}

static void create_by_key_is_idempotent(void **state) {
  struct rig *r = *state;
  char id[64];
  assert_int_equal(rig_call_as(r, CREATE, "", "{\"display_name\":\"x\"}", &keyed), YOI_OK);
  (void)snprintf(id, sizeof id, "%s", rig_get(r, "worker.worker_id"));
  yoi_request quoted = {.idempotency_key = YOI_LIT("\"k1\"")};
  assert_int_equal(rig_call_as(r, CREATE, "", "{\"display_name\":\"x\"}", &quoted), YOI_OK);
  assert_string_equal(rig_get(r, "worker.worker_id"), id);
  assert_int_equal(r->flags, 0);
  assert_int_equal(rig_call_as(r, CREATE, "", "{\"display_name\":\"y\"}", &keyed),
                   YOI_ALREADY_EXISTS);
  assert_int_equal(r->err->code, YOI_CODE_IDEMPOTENCY_CONFLICT);
  yoi_request other = keyed;
  other.principal = YOI_LIT("token:b");
  assert_int_equal(rig_call_as(r, CREATE, "", "{\"display_name\":\"x\"}", &other), YOI_OK);
  assert_string_not_equal(rig_get(r, "worker.worker_id"), id);
  yoi_request bad = {.idempotency_key = YOI_LIT("a b")};
  assert_int_equal(rig_call_as(r, CREATE, "", "", &bad), YOI_INVALID_ARGUMENT);
}

static void two_creates_at_once_make_one_worker(void **state) {
  struct rig *r = *state;
  if (!r->late) return;
  yoi_stream *a = rig_start(r, CREATE, "", "{\"worker_id\":\"a\"}", NULL);
  yoi_stream *b = rig_start(r, CREATE, "", "{\"worker_id\":\"a\"}", NULL);
  yoi_stream *k = rig_start(r, CREATE, "", "", &keyed);
  yoi_stream *l = rig_start(r, CREATE, "", "", &keyed);
  rig_refused(r, CREATE, "", "{\"worker_id\":\"a\",\"display_name\":\"z\"}",
              YOI_CODE_WORKER_CONFLICT);
  rig_refused(r, GET, "a", "", YOI_CODE_WORKER_NOT_FOUND);
  rig_ok(r, LIST, "", ""); /* settles: both are written now */
  assert_string_equal(r->text, "{\"workers\":[],\"next\":null}");
  assert_int_equal(rig_finish(r, b), YOI_OK);
  assert_int_equal(r->flags, 0);
  assert_int_equal(rig_finish(r, a), YOI_OK);
  assert_int_equal(r->flags, YOI_EV_CREATED);
  assert_int_equal(rig_finish(r, k), YOI_OK);
  char id[64];
  (void)snprintf(id, sizeof id, "%s", rig_get(r, "worker.worker_id"));
  assert_int_equal(rig_finish(r, l), YOI_OK);
  assert_string_equal(rig_get(r, "worker.worker_id"), id);
  assert_int_equal(eng_store_mem_writes(r->store), 2);
}

/* Pitfall 5: a create that fails leaves nothing. */
static void a_failed_create_leaves_nothing(void **state) {
  struct rig *r = *state;
  eng_store_mem_fail(r->store, 1, 1);
  assert_int_equal(rig_call_as(r, CREATE, "", "{\"worker_id\":\"a\"}", &keyed), YOI_INTERNAL);
  assert_int_equal(r->err->code, YOI_CODE_STORE_ERROR);
  rig_refused(r, GET, "a", "", YOI_CODE_WORKER_NOT_FOUND);
  rig_ok(r, LIST, "", "");
  assert_string_equal(r->text, "{\"workers\":[],\"next\":null}");
  assert_int_equal(rig_call_as(r, CREATE, "", "{\"worker_id\":\"a\"}", &keyed), YOI_OK);
  assert_int_equal(r->flags, YOI_EV_CREATED);
}

static void whoever_waits_for_a_failed_create_is_told(void **state) {
  struct rig *r = *state;
  if (!r->late) return;
  eng_store_mem_fail(r->store, 1, 1);
  yoi_stream *a = rig_start(r, CREATE, "", "{\"worker_id\":\"a\"}", NULL);
  yoi_stream *b = rig_start(r, CREATE, "", "{\"worker_id\":\"a\"}", NULL);
  assert_int_equal(rig_finish(r, b), YOI_INTERNAL);
  assert_int_equal(r->err->code, YOI_CODE_STORE_ERROR);
  assert_int_equal(rig_finish(r, a), YOI_INTERNAL);
}

static void the_number_of_workers_is_limited(void **state) {
  struct rig *r = *state;
  rig_reopen(r, "{\"limits\":{\"workers\":2}}", NULL);
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
  rig_ok(r, CREATE, "", "{\"worker_id\":\"b\"}");
  rig_refused(r, CREATE, "", "{\"worker_id\":\"c\"}", YOI_CODE_LIMIT_REACHED);
  rig_ok(r, CREATE, "", "{\"worker_id\":\"b\"}"); /* a replay is none */
  rig_ok(r, STOP, "a", "");
  rig_ok(r, DELETE, "a", "");
  rig_ok(r, CREATE, "", "{\"worker_id\":\"c\"}");
}

static void lists_are_paged_in_byte_order(void **state) {
  struct rig *r = *state;
  static const char *const ids[] = {"b", "a", "a0", "a.", "a-", "c"};
  for (size_t i = 0; i < 6; i++) {
    char body[64];
    (void)snprintf(body, sizeof body, "{\"worker_id\":\"%s\"}", ids[i]);
    rig_ok(r, CREATE, "", body);
  }
  rig_ok(r, LIST, "", "{\"limit\":4}");
  const char *a = strstr(r->text, "\"worker_id\":\"a\""),
             *b = strstr(r->text, "\"worker_id\":\"a-\""),
             *c = strstr(r->text, "\"worker_id\":\"a.\""),
             *d = strstr(r->text, "\"worker_id\":\"a0\"");
  assert_true(a && b && c && d && a < b && b < c && c < d);
  assert_string_equal(rig_get(r, "next"), "\"a0\"");
  rig_ok(r, LIST, "", "{\"limit\":4,\"after\":\"a0\"}");
  assert_string_equal(rig_get(r, "next"), "null");
  assert_true(strstr(r->text, "\"worker_id\":\"c\"") > strstr(r->text, "\"worker_id\":\"b\""));
  assert_null(strstr(r->text, "spec"));
  rig_ok(r, LIST, "", "{\"limit\":2,\"after\":\"a0\"}");
  assert_string_equal(rig_get(r, "next"), "null");
  rig_ok(r, STOP, "a.", "");
  rig_ok(r, LIST, "", "{\"state\":\"stopped\"}");
  assert_true(rig_has(r, "\"worker_id\":\"a.\""));
  assert_null(strstr(r->text, "\"state\":\"idle\""));
  rig_ok(r, LIST, "", "{\"state\":\"corrupt\"}");
  assert_string_equal(r->text, "{\"workers\":[],\"next\":null}");
  rig_refused(r, LIST, "", "{\"state\":\"gone\"}", YOI_CODE_INVALID_REQUEST);
  rig_refused(r, LIST, "", "{\"limit\":0}", YOI_CODE_INVALID_REQUEST);
  rig_refused(r, LIST, "", "{\"limit\":1.5}", YOI_CODE_INVALID_REQUEST);
  rig_refused(r, LIST, "", "{\"limit\":257}", YOI_CODE_LIMIT_TOO_LARGE);
  rig_refused(r, LIST, "", "{\"after\":\"X\"}", YOI_CODE_INVALID_IDENTIFIER);
}

static void delete_needs_a_stopped_worker(void **state) {
  struct rig *r = *state;
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
  rig_refused(r, DELETE, "a", "", YOI_CODE_WORKER_NOT_STOPPED);
  rig_ok(r, STOP, "a", "{\"reason\":\"done\"}");
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"stopped\"");
  assert_string_equal(rig_get(r, "worker.capabilities"),
                      "[\"worker.get\",\"worker.delete\",\"worker.transcript\",\"worker.events\","
                      "\"worker.approvals\","
                      "\"worker.artefact\"]");
  rig_ok(r, DELETE, "a", "");
  rig_refused(r, DELETE, "a", "", YOI_CODE_WORKER_NOT_FOUND);
  rig_refused(r, GET, "a", "", YOI_CODE_WORKER_NOT_FOUND);
}

static void a_deleted_id_gets_a_new_epoch(void **state) {
  struct rig *r = *state;
  char cursor[64], body[128];
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
  (void)snprintf(cursor, sizeof cursor, "%s", rig_get(r, "worker.cursor"));
  rig_ok(r, STOP, "a", "");
  rig_ok(r, DELETE, "a", "");
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\",\"display_name\":\"another\"}");
  assert_int_equal(r->flags, YOI_EV_CREATED);
  assert_string_not_equal(rig_get(r, "worker.cursor"), cursor);
  (void)snprintf(body, sizeof body, "{\"cursor\":%s}", cursor);
  rig_refused(r, EVENTS, "a", body, YOI_CODE_CURSOR_EXPIRED);
}

static void a_failed_delete_changes_nothing(void **state) {
  struct rig *r = *state;
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
  rig_ok(r, STOP, "a", "");
  eng_store_mem_fail(r->store, 1, 1);
  rig_refused(r, DELETE, "a", "", YOI_CODE_STORE_ERROR);
  rig_ok(r, GET, "a", "");
  assert_string_equal(rig_get(r, "worker.state"), "\"stopped\"");
  rig_ok(r, DELETE, "a", "");
}

static void two_deletes_at_once_both_succeed(void **state) {
  struct rig *r = *state;
  rig_ok(r, CREATE, "", "{\"worker_id\":\"a\"}");
  rig_ok(r, STOP, "a", "");
  if (!r->late) return;
  yoi_stream *a = rig_start(r, DELETE, "a", "", NULL);
  yoi_stream *b = rig_start(r, DELETE, "a", "", NULL);
  yoi_stream *c = rig_start(r, STOP, "a", "", NULL);
  assert_int_equal(rig_finish(r, c), YOI_NOT_FOUND);
  assert_int_equal(rig_finish(r, b), YOI_OK);
  assert_int_equal(rig_finish(r, a), YOI_OK);
}

static void describe_says_what_it_is(void **state) {
  struct rig *r = *state;
  rig_reopen(r, "{\"limits\":{\"workers\":5,\"watchers\":7}}", NULL);
  rig_ok(r, CREATE, "", "");
  rig_ok(r, YOI_OP_RUNTIME_DESCRIBE, "", "");
  assert_string_equal(rig_get(r, "runtime.display_name"), "\"Test\"");
  assert_string_equal(rig_get(r, "runtime.kind"), "\"test\"");
  assert_string_equal(rig_get(r, "runtime.version"), "\"1.0.0\"");
  assert_string_equal(rig_get(r, "runtime.state_kind"), "\"memory\"");
  assert_string_equal(rig_get(r, "runtime.status"), "\"ready\"");
  char limits[256];
  (void)snprintf(limits, sizeof limits,
                 "{\"workers\":5,\"input_bytes\":262144,\"queued_inputs\":64,"
                 "\"history_bytes\":67108864,\"transcript_items\":256,\"watchers\":7%s}",
                 r->vault ? ",\"loaded_workers\":4096" : "");
  assert_string_equal(rig_get(r, "runtime.limits"), limits);
  assert_string_equal(rig_get(r, "runtime.counts"),
                      "{\"workers\":1,\"running\":0,\"watchers\":0,\"bundles\":0}");
  assert_true(rig_has(r, "\"worker.events\""));
  assert_true(rig_has(r, "\"worker.approve\""));
  assert_int_equal(strlen(rig_get(r, "runtime.instance_id")), 38);
}

static void unknown_operations_are_typed(void **state) {
  struct rig *r = *state;
  static const uint32_t ops[] = {0, YOI_OP_HOST_READY, YOI_OP_HOST_BUNDLES, 999};
  for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
    rig_refused(r, ops[i], "a", "", YOI_CODE_UNSUPPORTED_OPERATION);
  rig_refused(r, GET, "A", "", YOI_CODE_INVALID_IDENTIFIER);
  rig_refused(r, GET, "", "", YOI_CODE_INVALID_IDENTIFIER);
  rig_refused(r, GET, "nobody", "", YOI_CODE_WORKER_NOT_FOUND);
  rig_refused(r, GET, "nobody", "{\"x\":1}", YOI_CODE_INVALID_REQUEST);
  yoi_request follow = {.flags = YOI_REQ_FOLLOW};
  assert_int_equal(rig_call_as(r, GET, "a", "", &follow), YOI_INVALID_ARGUMENT);
  follow.flags = 8;
  assert_int_equal(rig_call_as(r, YOI_OP_WORKER_INPUT, "a", "", &follow), YOI_UNIMPLEMENTED);
}

/* Rule 6 of the ABI: an unknown tail is accepted only when it is zero. */
static void a_newer_request_is_read_or_refused(void **state) {
  struct rig *r = *state;
  struct {
    yoi_request req;
    uint64_t tail;
  } newer = {.req = {.size = sizeof newer,
                     .op = YOI_OP_RUNTIME_DESCRIBE,
                     .origin = YOI_ORIGIN_EMBED,
                     .principal = YOI_LIT("embed")}};
  yoi_stream *s = NULL;
  assert_int_equal(eng_start(r->self, &newer.req, &s, r->err), YOI_OK);
  s->ops->release(s);
  newer.tail = 1;
  assert_int_equal(eng_start(r->self, &newer.req, &s, r->err), YOI_UNIMPLEMENTED);
  newer.tail = 0;
  newer.req.principal.len = 0;
  assert_int_equal(eng_start(r->self, &newer.req, &s, r->err), YOI_INVALID_ARGUMENT);
}

static void limits_are_checked_at_open(void **state) {
  struct rig *r = *state;
  const struct eng_options o = {.store = eng_store_mem_new()};
  void *self = NULL;
  assert_int_equal(eng_open(fake_host_instance(r->fh), YOI_LIT("{\"limits\":{\"workers\":0}}"), &o,
                            &self, r->err),
                   YOI_INVALID_ARGUMENT);
  assert_null(self);
}

static void many_workers_are_paged(void **state) {
  struct rig *r = *state;
  if (r->late) return;
  for (int i = 0; i < 2000; i++) {
    char body[64];
    (void)snprintf(body, sizeof body, "{\"worker_id\":\"w%06d\"}", i);
    assert_int_equal(rig_call(r, CREATE, "", body), YOI_OK);
  }
  rig_ok(r, LIST, "", "{\"limit\":256,\"after\":\"w001899\"}");
  assert_string_equal(rig_get(r, "next"), "null");
  rig_ok(r, LIST, "", "{\"limit\":100}");
  assert_string_equal(rig_get(r, "next"), "\"w000099\"");
  rig_ok(r, STOP, "w001950", "");
  rig_ok(r, LIST, "", "{\"state\":\"stopped\"}");
  assert_true(rig_has(r, "\"worker_id\":\"w001950\""));
  assert_string_equal(rig_get(r, "next"), "null");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TESTS(a_worker_has_its_shape),
      RIG_TESTS(defaults_are_filled_in),
      RIG_TESTS(the_detail_shows_the_resolved_spec),
      RIG_TESTS(create_refuses_what_it_cannot_do),
      RIG_TESTS(create_is_bounded),
      RIG_TESTS(the_model_is_main_or_the_only_one),
      RIG_TESTS(create_by_id_is_idempotent),
      RIG_TESTS(create_by_key_is_idempotent),
      RIG_TESTS(two_creates_at_once_make_one_worker),
      RIG_TESTS(a_failed_create_leaves_nothing),
      RIG_TESTS(whoever_waits_for_a_failed_create_is_told),
      RIG_TESTS(the_number_of_workers_is_limited),
      RIG_TESTS(lists_are_paged_in_byte_order),
      RIG_TESTS(delete_needs_a_stopped_worker),
      RIG_TESTS(a_deleted_id_gets_a_new_epoch),
      RIG_TESTS(a_failed_delete_changes_nothing),
      RIG_TESTS(two_deletes_at_once_both_succeed),
      RIG_TESTS(describe_says_what_it_is),
      RIG_TESTS(unknown_operations_are_typed),
      RIG_TESTS(a_newer_request_is_read_or_refused),
      RIG_TESTS(limits_are_checked_at_open),
      RIG_TESTS(many_workers_are_paged),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
