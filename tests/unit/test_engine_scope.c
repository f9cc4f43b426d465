/* test_engine_scope.c - what is of another workspace does not exist. */
#include <sdk/id.h>
#include <sdk/json.h>
#include <stdlib.h>

#include "support/builtin.h"
#include "support/rig.h"

#define CREATE YOI_OP_WORKER_CREATE
#define PROFILE "{\"name\":\"companion\",\"prompt\":\"p.system\",\"model\":\"main\"}"

struct made {
  char *text;
  char digest[YOI_SDK_DIGEST_SIZE];
};

static struct made make(const char *id, const char *workspace) {
  struct made m = {.text = bundle_of(PROFILE, id, "1", workspace, "")};
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  assert_int_equal(yoi_sdk_sha256(m.text, strlen(m.text), sha), 1);
  yoi_sdk_digest_text(sha, m.digest);
  return m;
}

/* As somebody who sees that workspace; NULL: all. */
static yoi_status call(struct rig *r, const char *who, uint32_t op, const char *worker,
                       const char *subject, const char *body) {
  yoi_request more = {.subject = yoi_sdk_str(subject)};
  if (who) more.flags = YOI_REQ_WORKSPACE;
  if (who) more.workspace = yoi_sdk_str(who);
  yoi_status st = rig_call_as(r, op, worker, body, &more);
  if (st == YOI_OK) rig_settle(r);
  return st;
}

static void refused(struct rig *r, const char *who, uint32_t op, const char *worker,
                    const char *subject, const char *body, int32_t code) {
  assert_int_not_equal(call(r, who, op, worker, subject, body), YOI_OK);
  assert_string_equal(yoi_sdk_code_name(r->err->code), yoi_sdk_code_name(code));
}

static const char *with(const struct made *m, const char *id, const char *worker) {
  static char body[512];
  (void)snprintf(body, sizeof body,
                 "{\"config_bundle\":{\"id\":\"%s\",\"digest\":\"%s\"},\"worker_id\":\"%s\"}", id,
                 m->digest, worker);
  return body;
}

/* Two of acme, one of zeta, one of none. */
static void furnish(struct rig *r, struct made *acme, struct made *zeta) {
  *acme = make("a", "acme");
  *zeta = make("z", "zeta");
  assert_int_equal(call(r, NULL, YOI_OP_BUNDLE_PUT, "", acme->digest, acme->text), YOI_OK);
  assert_int_equal(call(r, NULL, YOI_OP_BUNDLE_PUT, "", zeta->digest, zeta->text), YOI_OK);
  assert_int_equal(call(r, NULL, CREATE, "", "", with(acme, "a", "a1")), YOI_OK);
  assert_int_equal(call(r, "acme", CREATE, "", "", with(acme, "a", "a3")), YOI_OK);
  assert_int_equal(call(r, "zeta", CREATE, "", "", with(zeta, "z", "z2")), YOI_OK);
  assert_int_equal(call(r, NULL, CREATE, "", "", "{\"worker_id\":\"n4\"}"), YOI_OK);
}

static void leave(struct made *acme, struct made *zeta) {
  free(acme->text);
  free(zeta->text);
}

static void lists(struct rig *r, const char *who, const char *body, const char *ids,
                  const char *next) {
  char got[256] = "";
  yoi_str one;
  assert_int_equal(call(r, who, YOI_OP_WORKER_LIST, "", "", body), YOI_OK);
  yoi_str list = yoi_sdk_json_raw_get(yoi_sdk_str(r->text), "workers");
  for (size_t at = 0; yoi_sdk_json_raw_each(list, &at, &one);) {
    yoi_str id = yoi_sdk_json_raw_get(one, "worker_id");
    size_t n = strlen(got);
    (void)snprintf(got + n, sizeof got - n, "%.*s ", (int)id.len - 2, id.ptr + 1);
  }
  assert_string_equal(got, ids);
  assert_string_equal(rig_get(r, "next"), next);
}

static void every_operation_misses_it(void **state) {
  struct rig *r = *state;
  struct made acme, zeta;
  static const struct {
    uint32_t op;
    const char *subject, *body;
  } rows[] = {
      {YOI_OP_WORKER_GET, "", ""},
      {YOI_OP_WORKER_INPUT, "", "{\"content\":\"hi\"}"},
      {YOI_OP_WORKER_CANCEL, "", ""},
      {YOI_OP_WORKER_STOP, "", ""},
      {YOI_OP_WORKER_DELETE, "", ""},
      {YOI_OP_WORKER_TRANSCRIPT, "", ""},
      {YOI_OP_WORKER_EVENTS, "", ""},
      {YOI_OP_WORKER_APPROVALS, "", ""},
      {YOI_OP_WORKER_APPROVE, "x", "{\"decision\":\"allow\"}"},
      {YOI_OP_WORKER_ARTEFACT, "x", ""},
  };
  furnish(r, &acme, &zeta);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    refused(r, "acme", rows[i].op, "z2", rows[i].subject, rows[i].body, YOI_CODE_WORKER_NOT_FOUND);
    char said[YOI_ERROR_MESSAGE_MAX];
    (void)snprintf(said, sizeof said, "%s", r->err->message);
    refused(r, "acme", rows[i].op, "n4", rows[i].subject, rows[i].body, YOI_CODE_WORKER_NOT_FOUND);
    refused(r, "acme", rows[i].op, "none", rows[i].subject, rows[i].body,
            YOI_CODE_WORKER_NOT_FOUND);
    assert_string_equal(said, r->err->message); /* as of one that never was */
  }
  assert_int_equal(call(r, "acme", YOI_OP_WORKER_GET, "a1", "", ""), YOI_OK);
  assert_int_equal(call(r, "acme", YOI_OP_WORKER_INPUT, "a3", "", "{\"content\":\"hi\"}"), YOI_OK);
  assert_int_equal(call(r, "zeta", YOI_OP_WORKER_STOP, "z2", "", ""), YOI_OK);
  assert_int_equal(call(r, "acme", YOI_OP_WORKER_GET, "a3", "", ""), YOI_OK);
  leave(&acme, &zeta);
}

static void no_list_and_no_count_has_it(void **state) {
  struct rig *r = *state;
  struct made acme, zeta;
  furnish(r, &acme, &zeta);
  lists(r, NULL, "", "a1 a3 n4 z2 ", "null");
  lists(r, "acme", "", "a1 a3 ", "null");
  lists(r, "zeta", "", "z2 ", "null");
  lists(r, "other", "", "", "null");
  lists(r, "acme", "{\"limit\":1}", "a1 ", "\"a1\"");
  lists(r, "acme", "{\"limit\":1,\"after\":\"a1\"}", "a3 ", "null");
  lists(r, "acme", "{\"state\":\"stopped\"}", "", "null");
  assert_int_equal(call(r, "acme", YOI_OP_RUNTIME_DESCRIBE, "", "", ""), YOI_OK);
  assert_string_equal(rig_get(r, "runtime.counts"),
                      "{\"workers\":2,\"running\":0,\"watchers\":0,\"bundles\":1}");
  assert_int_equal(call(r, "other", YOI_OP_RUNTIME_DESCRIBE, "", "", ""), YOI_OK);
  assert_string_equal(rig_get(r, "runtime.counts"),
                      "{\"workers\":0,\"running\":0,\"watchers\":0,\"bundles\":0}");
  leave(&acme, &zeta);
}

/* Of workers whose bundle has been deleted only the history says where they are. */
static void it_is_known_without_the_bundle(void **state) {
  struct rig *r = *state;
  struct made acme, zeta;
  furnish(r, &acme, &zeta);
  for (int i = 0; i < 6; i++) {
    char id[16];
    (void)snprintf(id, sizeof id, "b%d", i);
    assert_int_equal(call(r, NULL, CREATE, "", "", with(&zeta, "z", id)), YOI_OK);
    assert_int_equal(call(r, NULL, YOI_OP_WORKER_STOP, id, "", ""), YOI_OK);
  }
  assert_int_equal(call(r, NULL, YOI_OP_WORKER_STOP, "z2", "", ""), YOI_OK);
  assert_int_equal(call(r, NULL, YOI_OP_BUNDLE_DELETE, "", zeta.digest, ""), YOI_OK);
  lists(r, "zeta", "{\"limit\":2}", "b0 b1 ", "\"b1\"");
  refused(r, "acme", YOI_OP_WORKER_GET, "b0", "", "", YOI_CODE_WORKER_NOT_FOUND);
  assert_int_equal(call(r, "zeta", YOI_OP_WORKER_GET, "z2", "", ""), YOI_OK);
  /* Those between a1 and a3 of the alphabet are passed over in silence. */
  assert_int_equal(call(r, "acme", CREATE, "", "", with(&acme, "a", "c9")), YOI_OK);
  lists(r, "acme", "{\"limit\":2,\"after\":\"a3\"}", "c9 ", "null");
  leave(&acme, &zeta);
}

static void what_is_made_is_of_it(void **state) {
  struct rig *r = *state;
  struct made acme, zeta;
  furnish(r, &acme, &zeta);
  refused(r, "acme", CREATE, "", "", "{\"worker_id\":\"new\"}", YOI_CODE_POLICY_DENIED);
  refused(r, "acme", CREATE, "", "", with(&zeta, "z", "new"), YOI_CODE_BUNDLE_NOT_FOUND);
  /* Another's id is taken, and no more is said; also by the same words. */
  refused(r, "acme", CREATE, "", "", with(&acme, "a", "z2"), YOI_CODE_WORKER_CONFLICT);
  refused(r, "acme", CREATE, "", "", with(&zeta, "z", "z2"), YOI_CODE_WORKER_CONFLICT);
  refused(r, "acme", CREATE, "", "", "{\"worker_id\":\"n4\"}", YOI_CODE_WORKER_CONFLICT);
  assert_string_equal(r->err->message, "the worker id 'n4' is taken");
  assert_int_equal(call(r, "acme", CREATE, "", "", with(&acme, "a", "a1")), YOI_OK);
  assert_int_equal(r->flags & YOI_EV_CREATED, 0);
  leave(&acme, &zeta);
}

/* Keys are of principals, and one may have lost its workspace for another. */
static void a_key_is_no_way_around(void **state) {
  struct rig *r = *state;
  struct made acme, zeta;
  furnish(r, &acme, &zeta);
  char body[512];
  (void)snprintf(body, sizeof body, "{\"config_bundle\":{\"id\":\"z\",\"digest\":\"%s\"}}",
                 zeta.digest);
  yoi_request more = {.idempotency_key = YOI_LIT("k"),
                      .flags = YOI_REQ_WORKSPACE,
                      .workspace = YOI_LIT("zeta")};
  assert_int_equal(rig_call_as(r, CREATE, "", body, &more), YOI_OK);
  rig_settle(r);
  more.workspace = YOI_LIT("acme");
  assert_int_not_equal(rig_call_as(r, CREATE, "", body, &more), YOI_OK);
  assert_int_equal(r->err->code, YOI_CODE_IDEMPOTENCY_CONFLICT);
  leave(&acme, &zeta);
}

static void bundles_are_of_it_too(void **state) {
  struct rig *r = *state;
  struct made acme, zeta, third = make("t", "zeta");
  furnish(r, &acme, &zeta);
  static const uint32_t ops[] = {YOI_OP_BUNDLE_HAVE, YOI_OP_BUNDLE_GET, YOI_OP_BUNDLE_DELETE};
  for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
    refused(r, "acme", ops[i], "", zeta.digest, "", YOI_CODE_BUNDLE_NOT_FOUND);
  refused(r, "acme", YOI_OP_BUNDLE_PUT, "", zeta.digest, zeta.text, YOI_CODE_POLICY_DENIED);
  refused(r, "acme", YOI_OP_BUNDLE_PUT, "", third.digest, third.text, YOI_CODE_POLICY_DENIED);
  assert_int_equal(call(r, "zeta", YOI_OP_BUNDLE_PUT, "", third.digest, third.text), YOI_OK);
  assert_int_equal(call(r, "acme", YOI_OP_BUNDLE_LIST, "", "", "{\"limit\":1}"), YOI_OK);
  assert_true(strstr(r->text, acme.digest) != NULL && strstr(r->text, zeta.digest) == NULL);
  assert_string_equal(rig_get(r, "next"), "null");
  assert_int_equal(call(r, "zeta", YOI_OP_BUNDLE_LIST, "", "", "{\"limit\":1}"), YOI_OK);
  assert_true(strstr(rig_get(r, "next"), "sha256:") != NULL);
  free(third.text);
  leave(&acme, &zeta);
}

static void the_flag_and_the_name_go_together(void **state) {
  struct rig *r = *state;
  assert_int_not_equal(rig_call_as(r, YOI_OP_WORKER_LIST, "", "",
                                   &(yoi_request){.workspace = YOI_LIT("acme")}),
                       YOI_OK);
  assert_int_equal(r->err->code, YOI_CODE_INVALID_REQUEST);
  assert_int_not_equal(
      rig_call_as(r, YOI_OP_WORKER_LIST, "", "", &(yoi_request){.flags = YOI_REQ_WORKSPACE}),
      YOI_OK);
  assert_int_equal(r->err->code, YOI_CODE_INVALID_REQUEST);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      RIG_TESTS(every_operation_misses_it),
      RIG_TESTS(no_list_and_no_count_has_it),
      RIG_TESTS(it_is_known_without_the_bundle),
      RIG_TESTS(what_is_made_is_of_it),
      RIG_TESTS(a_key_is_no_way_around),
      RIG_TESTS(bundles_are_of_it_too),
      RIG_TESTS(the_flag_and_the_name_go_together),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
