/* test_engine_bundles.c - the bundles of a runtime, and workers that are made of
 * them. */
#include <sdk/id.h>
#include <sdk/json.h>
#include <stdlib.h>

#include "support/builtin.h"
#include "support/fake_tool.h"
#include "support/rig.h"
#include "support/tools.h"

#define CREATE YOI_OP_WORKER_CREATE
#define PUT YOI_OP_BUNDLE_PUT
#define HAVE YOI_OP_BUNDLE_HAVE
#define GET YOI_OP_BUNDLE_GET
#define LIST YOI_OP_BUNDLE_LIST
#define DELETE YOI_OP_BUNDLE_DELETE

#define TOOL(name, more) \
  "{\"name\":\"" name "\",\"plugin\":\"" FAKE_TOOL_PLUGIN "\"" more "}"
#define PROFILE(tools)                                                                         \
  "{\"name\":\"companion\",\"prompt\":\"p.system\",\"model\":\"main\",\"limits\":{\"steps\":9}," \
  "\"tools\":[" tools "]}"

struct made {
  char *text;
  char digest[YOI_SDK_DIGEST_SIZE];
};

static struct made make(const char *profile, const char *id, const char *revision,
                        const char *more) {
  struct made m = {.text = bundle_of(profile, id, revision, "acme", more)};
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  assert_int_equal(yoi_sdk_sha256(m.text, strlen(m.text), sha), 1);
  yoi_sdk_digest_text(sha, m.digest);
  return m;
}

static struct made plain(void) {
  return make(PROFILE(""), "b", "1", "");
}

static yoi_status call(struct rig *r, uint32_t op, const char *digest, const char *body) {
  return rig_call_as(r, op, "", body, &(yoi_request){.subject = yoi_sdk_str(digest)});
}

static void refused(struct rig *r, uint32_t op, const char *digest, const char *body,
                    int32_t code) {
  assert_int_not_equal(call(r, op, digest, body), YOI_OK);
  assert_int_equal(r->err->code, code);
}

static void put(struct rig *r, const struct made *m) {
  assert_int_equal(call(r, PUT, m->digest, m->text), YOI_OK);
}

/* A create with that bundle and more members. */
static const char *with(const struct made *m, const char *id, const char *more) {
  static char body[1024];
  (void)snprintf(body, sizeof body, "{\"config_bundle\":{\"id\":\"%s\",\"digest\":\"%s\"}%s}", id,
                 m->digest, more);
  return body;
}

/* ---- the shelf ---- */

static void what_was_put_is_here(void **state) {
  struct rig *r = *state;
  struct made m = plain();
  refused(r, HAVE, m.digest, "", YOI_CODE_BUNDLE_NOT_FOUND);
  assert_true(strstr(r->err->details, m.digest) != NULL);
  put(r, &m);
  assert_int_equal(r->flags & YOI_EV_CREATED, YOI_EV_CREATED);
  assert_string_equal(rig_get(r, "bundle.id"), "\"b\"");
  assert_string_equal(rig_get(r, "bundle.profiles"), "[\"companion\"]");
  put(r, &m);
  assert_int_equal(r->flags & YOI_EV_CREATED, 0);
  assert_int_equal(call(r, HAVE, m.digest, ""), YOI_OK);
  assert_string_equal(rig_get(r, "bundle.workspace_id"), "\"acme\"");
  assert_int_equal(call(r, GET, m.digest, ""), YOI_OK);
  assert_string_equal(r->text, m.text);
  assert_int_equal(call(r, DELETE, m.digest, ""), YOI_OK);
  refused(r, GET, m.digest, "", YOI_CODE_BUNDLE_NOT_FOUND);
  refused(r, DELETE, m.digest, "", YOI_CODE_BUNDLE_NOT_FOUND);
  put(r, &m);
  assert_int_equal(r->flags & YOI_EV_CREATED, YOI_EV_CREATED);
  free(m.text);
}

static void names_and_bytes_are_checked(void **state) {
  struct rig *r = *state;
  struct made m = plain(), other = make(PROFILE(""), "b", "2", "");
  char upper[YOI_SDK_DIGEST_SIZE];
  (void)snprintf(upper, sizeof upper, "SHA256:%064d", 0);
  const char *const names[] = {"", "sha256:", "b", "sha256:00", upper};
  static const uint32_t ops[] = {PUT, HAVE, GET, DELETE};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    for (size_t k = 0; k < sizeof ops / sizeof *ops; k++)
      refused(r, ops[k], names[i], ops[k] == PUT ? m.text : "", YOI_CODE_INVALID_IDENTIFIER);
  refused(r, PUT, other.digest, m.text, YOI_CODE_BUNDLE_DIGEST_MISMATCH);
  assert_true(strstr(r->err->details, m.digest) != NULL);
  refused(r, LIST, "", "{\"after\":\"b\"}", YOI_CODE_INVALID_IDENTIFIER);
  refused(r, LIST, "", "{\"limit\":257}", YOI_CODE_LIMIT_TOO_LARGE);
  /* The right name of what is no bundle. */
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  assert_int_equal(yoi_sdk_sha256("{}", 2, sha), 1);
  yoi_sdk_digest_text(sha, other.digest);
  refused(r, PUT, other.digest, "{}", YOI_CODE_BUNDLE_INVALID);
  assert_true(strstr(r->err->details, "\"pointer\"") != NULL);
  free(m.text);
  free(other.text);
}

static void they_are_listed_in_pages(void **state) {
  struct rig *r = *state;
  char body[256], revision[8], last[80] = "";
  size_t seen = 0;
  for (int i = 0; i < 5; i++) {
    (void)snprintf(revision, sizeof revision, "%d", i);
    struct made m = make(PROFILE(""), "b", revision, "");
    put(r, &m);
    free(m.text);
  }
  for (int page = 0; page < 3; page++) {
    if (page == 0)
      (void)snprintf(body, sizeof body, "{\"limit\":2}");
    else
      (void)snprintf(body, sizeof body, "{\"limit\":2,\"after\":%s}", last);
    assert_int_equal(call(r, LIST, "", body), YOI_OK);
    yoi_str one, list = yoi_sdk_json_raw_get(yoi_sdk_str(r->text), "bundles");
    for (size_t pos = 0; yoi_sdk_json_raw_each(list, &pos, &one); seen++) {
      yoi_str digest = yoi_sdk_json_raw_get(one, "digest");
      assert_true(yoi_sdk_str_cmp(digest, yoi_sdk_str(last)) > 0);
      (void)snprintf(last, sizeof last, "%.*s", YOI_ARG(digest));
    }
    assert_string_equal(rig_get(r, "next"), page < 2 ? last : "null");
  }
  assert_int_equal(seen, 5);
}

static void a_write_that_fails_leaves_nothing(void **state) {
  struct rig *r = *state;
  struct made m = plain();
  if (!r->vault) { /* nothing is written then */
    free(m.text);
    return;
  }
  eng_store_mem_fail(r->store, 1, 1);
  refused(r, PUT, m.digest, m.text, YOI_CODE_STORE_ERROR);
  refused(r, HAVE, m.digest, "", YOI_CODE_BUNDLE_NOT_FOUND);
  put(r, &m);
  eng_store_mem_fail(r->store, 1, 1);
  refused(r, DELETE, m.digest, "", YOI_CODE_STORE_ERROR);
  assert_int_equal(call(r, HAVE, m.digest, ""), YOI_OK);
  free(m.text);
}

/* While the store is at a delete, a put of the same is no news of what is there. */
static void a_put_behind_a_delete_holds(void **state) {
  struct rig *r = *state;
  struct made m = plain();
  const yoi_request of = {.subject = yoi_sdk_str(m.digest)};
  put(r, &m);
  yoi_stream *gone = rig_start(r, DELETE, "", "", &of);
  yoi_stream *back = rig_start(r, PUT, "", m.text, &of);
  assert_int_equal(rig_finish(r, back), YOI_OK);
  assert_int_equal(r->flags & YOI_EV_CREATED, YOI_EV_CREATED);
  assert_int_equal(rig_finish(r, gone), YOI_OK);
  assert_int_equal(call(r, HAVE, m.digest, ""), YOI_OK);
  free(m.text);
}

/* The names that there are, as many as there is room for. */
static void details_are_json_however_many_there_are(void **state) {
  struct rig *r = *state;
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, YOI_BUNDLE_BYTES_MAX);
  yoi_sdk_buf_adds(&b, YOI_LIT("{\"schema\":\"yoi.bundle/1\",\"id\":\"b\",\"revision\":\"1\","
                               "\"workspace_id\":\"acme\",\"created_at\":"
                               "\"2026-06-26T00:00:00Z\",\"provenance\":{\"source\":\"test\"},"
                               "\"prompts\":[{\"name\":\"p\",\"text\":\"x\"}],\"models\":[{"
                               "\"name\":\"m\",\"ref\":\"model:main\"}],\"grants\":["
                               "\"model:main\"],\"profiles\":["));
  for (int i = 0; i < 60; i++)
    yoi_sdk_buf_addf(&b,
                     "%s{\"name\":\"profile-with-a-name-that-is-as-long-as-there-is-room-%02d\","
                     "\"prompt\":\"p\",\"model\":\"m\"}",
                     i > 0 ? "," : "", i);
  yoi_sdk_buf_adds(&b, YOI_LIT("]}"));
  struct made m = {.text = strndup(b.data, b.len)};
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  assert_int_equal(yoi_sdk_sha256(m.text, b.len, sha), 1);
  yoi_sdk_digest_text(sha, m.digest);
  put(r, &m);
  refused(r, CREATE, "", with(&m, "b", ""), YOI_CODE_INVALID_PROFILE);
  assert_int_equal(yoi_sdk_json_check(yoi_sdk_str(r->err->details), 0, NULL), YOI_OK);
  yoi_sdk_buf_release(&b);
  free(m.text);
}

static void there_is_room_for_so_many(void **state) {
  struct rig *r = *state;
  char revision[8];
  yoi_stream *last = NULL;
  for (int i = 0; i <= YOI_BUNDLES_MAX; i++) {
    (void)snprintf(revision, sizeof revision, "%d", i);
    struct made m = make(PROFILE(""), "b", revision, "");
    const yoi_request of = {.subject = yoi_sdk_str(m.digest)};
    if (i < YOI_BUNDLES_MAX - 1)
      put(r, &m);
    else if (i < YOI_BUNDLES_MAX)
      last = rig_start(r, PUT, "", m.text, &of); /* its place is taken from now on */
    else
      refused(r, PUT, m.digest, m.text, YOI_CODE_LIMIT_REACHED);
    free(m.text);
  }
  assert_int_equal(rig_finish(r, last), YOI_OK);
}

/* ---- workers ---- */

#define PLACE                                                                              \
  ",\"language\":\"de\",\"workspace\":{\"name\":\"Acme\",\"project\":\"site\"}"

static void a_worker_is_made_of_one(void **state) {
  struct rig *r = *state;
  struct made m = make(PROFILE(""), "b", "1", PLACE);
  refused(r, CREATE, "", with(&m, "b", ""), YOI_CODE_BUNDLE_NOT_FOUND);
  put(r, &m);
  rig_ok(r, CREATE, "", with(&m, "b", ",\"worker_id\":\"a\",\"workspace\":\"acme\""));
  assert_true(strstr(rig_get(r, "worker.config_bundle"), m.digest) != NULL);
  rig_ok(r, YOI_OP_WORKER_GET, "a", "");
  assert_string_equal(rig_get(r, "worker.spec.source"), "\"bundle\"");
  assert_true(strstr(rig_get(r, "worker.spec.bundle"), m.digest) != NULL);
  assert_string_equal(rig_get(r, "worker.spec.language"), "\"de\"");
  assert_string_equal(rig_get(r, "worker.spec.workspace"),
                      "{\"id\":\"acme\",\"name\":\"Acme\",\"project\":\"site\"}");
  assert_string_equal(rig_get(r, "worker.spec.limits.steps"), "9");
  rig_ok(r, YOI_OP_WORKER_INPUT, "a", "{\"content\":\"hi\"}");
  const char *said = fake_model_messages(r->fh, 0);
  assert_true(strstr(said, "You are a companion of tests.\\n\\nLanguage: de\\n\\n"
                           "Workspace: Acme\\n\\nProject: site") != NULL);
  rig_ended(r, "completed", "stop");
  free(m.text);
}

static void a_create_is_refused_as_a_whole(void **state) {
  struct rig *r = *state;
  struct made m = plain(), strange = make("{\"name\":\"companion\",\"prompt\":\"p.system\","
                                          "\"model\":\"other\"}",
                                          "s", "1", "");
  put(r, &m);
  put(r, &strange);
  fake_model_add(r->fh, "main");
  static const struct {
    const char *id, *more;
    int32_t code;
  } rows[] = {
      {"c", "", YOI_CODE_BUNDLE_DIGEST_MISMATCH},
      {"b", ",\"workspace\":\"other\"", YOI_CODE_POLICY_DENIED},
      {"b", ",\"workspace\":\"No\"", YOI_CODE_INVALID_IDENTIFIER},
      {"b", ",\"profile\":{\"kind\":\"named\",\"value\":\"x\"}", YOI_CODE_INVALID_PROFILE},
      {"b", ",\"profile\":{\"kind\":\"builtin\",\"value\":\"companion\"}",
       YOI_CODE_INVALID_PROFILE},
      {"b", ",\"requested_capabilities\":[{\"name\":\"net:x\"}]", YOI_CODE_GRANT_MISSING},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    refused(r, CREATE, "", with(&m, rows[i].id, rows[i].more), rows[i].code);
  refused(r, CREATE, "", with(&strange, "s", ""), YOI_CODE_UNSUPPORTED_DECLARATION);
  refused(r, CREATE, "", "{\"workspace\":\"acme\"}", YOI_CODE_INVALID_REQUEST);
  static const char *const bodies[] = {
      "{\"config_bundle\":{}}", "{\"config_bundle\":{\"id\":\"b\"}}",
      "{\"config_bundle\":{\"id\":\"b\",\"digest\":\"x\",\"more\":\"y\"}}"};
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
    refused(r, CREATE, "", bodies[i], YOI_CODE_INVALID_REQUEST);
  refused(r, CREATE, "", "{\"config_bundle\":{\"id\":\"b\",\"digest\":\"x\"}}",
          YOI_CODE_INVALID_IDENTIFIER);
  rig_ok(r, YOI_OP_WORKER_LIST, "", "");
  assert_string_equal(rig_get(r, "workers"), "[]");
  free(m.text);
  free(strange.text);
}

/* The same create is answered again, also when the bundle has gone since. */
static void a_create_is_repeated(void **state) {
  struct rig *r = *state;
  struct made m = plain(), other = make(PROFILE(""), "b", "2", "");
  put(r, &m);
  put(r, &other);
  rig_ok(r, CREATE, "", with(&m, "b", ",\"worker_id\":\"a\""));
  rig_refused(r, CREATE, "", with(&other, "b", ",\"worker_id\":\"a\""), YOI_CODE_WORKER_CONFLICT);
  rig_ok(r, YOI_OP_WORKER_STOP, "a", "");
  assert_int_equal(call(r, DELETE, m.digest, ""), YOI_OK);
  rig_ok(r, CREATE, "", with(&m, "b", ",\"worker_id\":\"a\""));
  assert_string_equal(rig_get(r, "worker.state"), "\"stopped\"");
  refused(r, CREATE, "", with(&m, "b", ",\"worker_id\":\"c\""), YOI_CODE_BUNDLE_NOT_FOUND);
  free(m.text);
  free(other.text);
}

static void one_in_use_stays(void **state) {
  struct rig *r = *state;
  struct made m = plain();
  put(r, &m);
  rig_ok(r, CREATE, "", with(&m, "b", ",\"worker_id\":\"a\""));
  rig_ok(r, CREATE, "", with(&m, "b", ",\"worker_id\":\"c\""));
  rig_ok(r, CREATE, "", "{\"worker_id\":\"d\"}");
  refused(r, DELETE, m.digest, "", YOI_CODE_BUNDLE_IN_USE);
  assert_string_equal(r->err->details, "{\"workers\":2}");
  rig_ok(r, YOI_OP_WORKER_STOP, "a", "");
  refused(r, DELETE, m.digest, "", YOI_CODE_BUNDLE_IN_USE);
  assert_string_equal(r->err->details, "{\"workers\":1}");
  rig_ok(r, YOI_OP_WORKER_STOP, "c", "");
  assert_int_equal(call(r, DELETE, m.digest, ""), YOI_OK);
  rig_ok(r, YOI_OP_WORKER_GET, "a", "");
  assert_string_equal(rig_get(r, "worker.spec.source"), "\"bundle\"");
  free(m.text);
}

/* ---- tools and rules ---- */

static void what_the_host_lacks_is_said(void **state) {
  struct rig *r = *state;
  fake_tool_add(r->fh, "look", YOI_TOOL_READ_ONLY);
  struct made none = make(PROFILE(TOOL("gone", "")), "b", "1", "");
  struct made grants =
      make(PROFILE(TOOL("look", ",\"grants\":[\"net:a\",\"net:b\"]")), "b", "2", "");
  struct made optional = make(
      PROFILE(TOOL("gone", ",\"optional\":true") "," TOOL("look", ",\"policy\":\"allow\"")), "b",
      "3", "");
  put(r, &none);
  put(r, &grants);
  put(r, &optional);
  refused(r, CREATE, "", with(&none, "b", ""), YOI_CODE_UNSUPPORTED_DECLARATION);
  fake_grant_missing(r->fh, "net:b");
  refused(r, CREATE, "", with(&grants, "b", ""), YOI_CODE_GRANT_MISSING);
  assert_string_equal(r->err->details, "{\"missing\":[\"net:b\"]}");
  rig_ok(r, CREATE, "", with(&optional, "b", ",\"worker_id\":\"a\""));
  rig_ok(r, YOI_OP_WORKER_GET, "a", "");
  const char *tools = rig_get(r, "worker.spec.tools");
  assert_true(strstr(tools, "\"look\"") != NULL && strstr(tools, "\"gone\"") == NULL);
  free(none.text);
  free(grants.text);
  free(optional.text);
}

static void its_rules_restrict(void **state) {
  struct rig *r = *state;
  struct ear e;
  fake_tool_add(r->fh, "look", YOI_TOOL_READ_ONLY);
  struct made m = make(PROFILE(TOOL("look", ",\"policy\":\"allow\"")), "b", "1",
                       ",\"policies\":[{\"name\":\"p\",\"plugin\":\"dev.yoi.policy-rules\","
                       "\"rules\":[{\"name\":\"not-there\",\"decision\":\"deny\",\"tools\":["
                       "\"look\"],\"arguments\":{\"at\":\"there*\"},\"reason\":\"it is ours\"}]}]");
  put(r, &m);
  rig_ok(r, CREATE, "", with(&m, "b", ",\"worker_id\":\"a\""));
  ear_open(&e, r, "a", NULL);
  tools_answer(r, "look c1 {\\\"at\\\":\\\"here\\\"}", "look c2 {\\\"at\\\":\\\"there it is\\\"}",
               NULL);
  tools_go(r);
  ear_settle(&e);
  assert_int_equal(fake_tool_starts(r->fh), 1);
  assert_true(ear_has(&e, "\"call_id\":\"c2\",\"decision\":\"deny\""));
  assert_true(ear_has(&e, "\"rule\":\"bundle/not-there\",\"reason\":\"it is ours\""));
  ear_close(&e);
  rig_ended(r, "completed", "stop");
  free(m.text);
}

static void what_one_policy_denies_counts_for_no_other(void **state) {
  struct rig *r = *state;
  struct ear e;
  fake_tool_add(r->fh, "look", YOI_TOOL_READ_ONLY);
  struct made m =
      make(PROFILE(TOOL("look", ",\"policy\":\"allow\"")), "b", "1",
           ",\"policies\":[{\"name\":\"p\",\"plugin\":\"dev.yoi.policy-rules\",\"rules\":[{"
           "\"name\":\"once\",\"decision\":\"allow\",\"tools\":[\"look\"],\"rate\":{"
           "\"count\":1,\"per_ms\":3600000}}]},{\"name\":\"q\",\"plugin\":"
           "\"dev.yoi.policy-rules\",\"rules\":[{\"name\":\"not-there\",\"decision\":\"deny\","
           "\"tools\":[\"look\"],\"arguments\":{\"at\":\"there*\"}}]}]");
  put(r, &m);
  rig_ok(r, CREATE, "", with(&m, "b", ",\"worker_id\":\"a\""));
  ear_open(&e, r, "a", NULL);
  tools_answer(r, "look c1 {\\\"at\\\":\\\"there it is\\\"}", "look c2 {\\\"at\\\":\\\"here\\\"}",
               "look c3 {\\\"at\\\":\\\"where\\\"}", NULL);
  tools_go(r);
  ear_settle(&e);
  assert_int_equal(fake_tool_starts(r->fh), 1);
  assert_true(ear_has(&e, "\"call_id\":\"c1\",\"decision\":\"deny\""));
  assert_true(ear_has(&e, "\"rule\":\"bundle/not-there\""));
  assert_true(ear_has(&e, "\"call_id\":\"c2\",\"decision\":\"allow\""));
  assert_true(ear_has(&e, "\"call_id\":\"c3\",\"decision\":\"deny\""));
  assert_true(ear_has(&e, "\"rule\":\"bundle/once\""));
  ear_close(&e);
  rig_ended(r, "completed", "stop");
  free(m.text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TESTS(what_was_put_is_here),
      RIG_TESTS(names_and_bytes_are_checked),
      RIG_TESTS(they_are_listed_in_pages),
      RIG_TESTS(a_write_that_fails_leaves_nothing),
      RIG_TESTS(a_put_behind_a_delete_holds),
      RIG_TESTS(details_are_json_however_many_there_are),
      RIG_TESTS(there_is_room_for_so_many),
      RIG_TESTS(a_worker_is_made_of_one),
      RIG_TESTS(a_create_is_refused_as_a_whole),
      RIG_TESTS(a_create_is_repeated),
      RIG_TESTS(one_in_use_stays),
      RIG_TESTS(what_the_host_lacks_is_said),
      RIG_TESTS(its_rules_restrict),
      RIG_TESTS(what_one_policy_denies_counts_for_no_other),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
