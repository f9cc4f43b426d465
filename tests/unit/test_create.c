/* What a runtime's entry makes of a create: what it becomes, what is refused
 * before the runtime hears of it, and what is left alone. */
#include "host/create.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sdk/json.h>
#include <yoi/limits.h>

#define D1 "sha256:1111111111111111111111111111111111111111111111111111111111111111"
#define D2 "sha256:2222222222222222222222222222222222222222222222222222222222222222"
#define D3 "sha256:3333333333333333333333333333333333333333333333333333333333333333"
#define REF(id, digest) "\"config_bundle\":{\"id\":\"" id "\",\"digest\":\"" digest "\"}"
#define BUILTIN(name) "\"profile\":{\"kind\":\"builtin\",\"value\":\"" name "\"}"
#define NAMED(name) "\"profile\":{\"kind\":\"named\",\"value\":\"" name "\"}"

/* Bundle `team` of workspace acme for all, and `lab` of workspace lab for the
 * runtime x alone. */
struct rig {
  struct yoi_sdk_bundle made[2];
  struct yoi__config_bundle bundles[2];
  yoi_str only[1], spaces[2];
  struct yoi__config config;
  struct yoi__config_runtime entry;
  const struct yoi__config_bundle *bundle; /* of the last create */
};

static void rig_init(struct rig *r, const char *profile) {
  memset(r, 0, sizeof *r);
  r->made[0] = (struct yoi_sdk_bundle){.id = YOI_LIT("team"), .workspace_id = YOI_LIT("acme")};
  r->made[1] = (struct yoi_sdk_bundle){.id = YOI_LIT("lab"), .workspace_id = YOI_LIT("lab")};
  memcpy(r->made[0].digest, D1, sizeof D1);
  memcpy(r->made[1].digest, D2, sizeof D2);
  r->only[0] = YOI_LIT("x");
  r->bundles[0].it = &r->made[0];
  r->bundles[1].it = &r->made[1];
  r->bundles[1].runtimes = (struct yoi__config_names){1, r->only, 1};
  r->config.bundles = r->bundles;
  r->entry.id = YOI_LIT("r");
  r->entry.default_profile = yoi_sdk_str(profile);
}

static void rig_spaces(struct rig *r, const char *a, const char *b) {
  r->spaces[0] = yoi_sdk_str(a);
  r->spaces[1] = yoi_sdk_str(b);
  r->entry.workspaces = (struct yoi__config_names){1, r->spaces, b != NULL ? 2 : 1};
}

/* expected NULL: the body is passed on as it is. */
static void becomes(struct rig *r, const char *body, const char *expected) {
  struct yoi_sdk_buf out;
  struct yoi_sdk_error e;
  yoi_sdk_buf_init(&out, YOI_BODY_BYTES_MAX);
  const yoi_request req = {.body = yoi_sdk_str(body)};
  yoi_status st = yoi__create_prepare(&r->config, &r->entry, &req, &out, &r->bundle,
                                      yoi_sdk_error_init(&e));
  if (st != YOI_OK) fail_msg("%s: %s", body, e.message);
  assert_string_equal(out.len > 0 ? out.data : "", expected != NULL ? expected : "");
  yoi_sdk_buf_release(&out);
}

static void refused(struct rig *r, const char *body, int32_t code, const char *says) {
  struct yoi_sdk_buf out;
  struct yoi_sdk_error e;
  yoi_sdk_buf_init(&out, YOI_BODY_BYTES_MAX);
  const yoi_request req = {.body = yoi_sdk_str(body)};
  yoi_status st = yoi__create_prepare(&r->config, &r->entry, &req, &out, &r->bundle,
                                      yoi_sdk_error_init(&e));
  if (st == YOI_OK) fail_msg("%s was taken", body);
  assert_string_equal(yoi_sdk_code_name(e.e.code), yoi_sdk_code_name(code));
  if (strstr(e.message, says) == NULL) fail_msg("'%s' does not say '%s'", e.message, says);
  assert_int_equal(out.len, 0);
  assert_null(r->bundle);
  yoi_sdk_buf_release(&out);
}

static void a_create_without_a_profile_gets_it(void **state) {
  struct rig r;
  (void)state;
  rig_init(&r, "tutor");
  becomes(&r, "", "{" BUILTIN("tutor") "}");
  becomes(&r, "{}", "{" BUILTIN("tutor") "}");
  becomes(&r, "{\"worker_id\":\"w\",\"profile\":{\"kind\":\"runtime_default\"},\"intent\":{}}",
          "{\"worker_id\":\"w\",\"intent\":{}," BUILTIN("tutor") "}");
  r.entry.profile_named = 1;
  becomes(&r, "{}", "{" NAMED("tutor") "}");
}

static void every_other_body_is_left_alone(void **state) {
  static const char *const bodies[] = {
      "{" BUILTIN("companion") "}", "{" NAMED("x") "}",
      "{\"profile\":{\"kind\":\"runtime_default\",\"value\":\"x\"}}",
      "{\"profile\":\"runtime_default\"}", "{\"profile\":null}", "[]", "{\"a\":1,\"a\":2}", "{"};
  struct rig r;
  (void)state;
  rig_init(&r, "tutor");
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) becomes(&r, bodies[i], NULL);
}

/* With a bundle the default is one of its profiles: no fallback to a built-in. */
static void with_a_bundle_the_default_is_named(void **state) {
  struct rig r;
  (void)state;
  rig_init(&r, "tutor");
  becomes(&r, "{" REF("team", D3) "}", "{" REF("team", D3) "," NAMED("tutor") "}");
  assert_null(r.bundle);
  r.config.n_bundles = 2;
  becomes(&r, "{" REF("team", D1) "}", "{" REF("team", D1) "," NAMED("tutor") "}");
  assert_ptr_equal(r.bundle, &r.bundles[0]);
  becomes(&r, "{" REF("team", D1) "," NAMED("other") "}", NULL);
  assert_ptr_equal(r.bundle, &r.bundles[0]);
  r.entry.bundle = &r.bundles[0];
  becomes(&r, "{}", "{" REF("team", D1) "," NAMED("tutor") "}");
  assert_ptr_equal(r.bundle, &r.bundles[0]);
}

static void a_create_without_a_bundle_gets_the_entrys(void **state) {
  struct rig r;
  (void)state;
  rig_init(&r, "");
  r.config.n_bundles = 2;
  r.entry.bundle = &r.bundles[0];
  becomes(&r, "{}", "{" REF("team", D1) "}");
  assert_ptr_equal(r.bundle, &r.bundles[0]);
  becomes(&r, "{\"worker_id\":\"w\"," NAMED("x") "}",
          "{\"worker_id\":\"w\"," NAMED("x") "," REF("team", D1) "}");
  becomes(&r, "{" REF("mine", D3) "}", NULL); /* the runtime knows, or not */
  assert_null(r.bundle);
  becomes(&r, "{\"workspace\":\"acme\"}", "{\"workspace\":\"acme\"," REF("team", D1) "}");
  refused(&r, "{\"workspace\":\"lab\"}", YOI_CODE_POLICY_DENIED,
          "of workspace 'acme', not of 'lab'");
}

static void a_bundle_stays_where_it_may_be(void **state) {
  struct rig r;
  (void)state;
  rig_init(&r, "");
  r.config.n_bundles = 2;
  refused(&r, "{" REF("lab", D2) "}", YOI_CODE_POLICY_DENIED,
          "bundle 'lab' of workspace 'lab' is not allowed in runtime 'r'");
  refused(&r, "{" REF("another name", D2) "}", YOI_CODE_POLICY_DENIED, "bundle 'lab'");
  refused(&r, "{\"workspace\":\"lab\"," REF("team", D1) "}", YOI_CODE_POLICY_DENIED,
          "of workspace 'acme', not of 'lab'");
  r.entry.id = YOI_LIT("x");
  becomes(&r, "{" REF("lab", D2) "}", NULL);
  assert_ptr_equal(r.bundle, &r.bundles[1]);
  rig_spaces(&r, "acme", NULL);
  refused(&r, "{" REF("lab", D2) "}", YOI_CODE_POLICY_DENIED, "is not allowed in runtime 'x'");
}

static void workspaces_are_those_of_the_entry(void **state) {
  struct rig r;
  (void)state;
  rig_init(&r, "");
  rig_spaces(&r, "acme", "shared");
  becomes(&r, "{\"workspace\":\"acme\"}", NULL);
  becomes(&r, "{\"workspace\":\"shared\"}", NULL);
  becomes(&r, "{}", NULL);
  refused(&r, "{\"workspace\":\"lab\"}", YOI_CODE_POLICY_DENIED,
          "workspace 'lab' is not allowed in runtime 'r'");
  refused(&r, "{\"workspace\":\"ACME\"}", YOI_CODE_INVALID_IDENTIFIER, "'workspace'");
  refused(&r, "{\"workspace\":\"a\\nb\"}", YOI_CODE_INVALID_IDENTIFIER, "'workspace'");
  refused(&r, "{\"workspace\":\"\"}", YOI_CODE_INVALID_REQUEST, "'workspace'");
  refused(&r, "{\"workspace\":[\"acme\"]}", YOI_CODE_INVALID_REQUEST, "'workspace'");
}

/* The host cannot say of which workspace it is; the runtime is made to. */
static void a_bundle_that_is_not_known_is_of_a_workspace_of_the_entry(void **state) {
  struct rig r;
  (void)state;
  rig_init(&r, "");
  becomes(&r, "{" REF("mine", D3) "}", NULL);
  rig_spaces(&r, "acme", NULL);
  becomes(&r, "{" REF("mine", D3) "}", "{" REF("mine", D3) ",\"workspace\":\"acme\"}");
  becomes(&r, "{\"workspace\":\"acme\"," REF("mine", D3) "}", NULL);
  rig_spaces(&r, "acme", "shared");
  becomes(&r, "{\"workspace\":\"shared\"," REF("mine", D3) "}", NULL);
  refused(&r, "{" REF("mine", D3) "}", YOI_CODE_POLICY_DENIED, "'workspace'");
}

/* What is read in two ways would be a way around. */
static void what_is_not_understood_is_refused_where_it_matters(void **state) {
  static char large[YOI_CREATE_BYTES_MAX + 2];
  struct rig r;
  (void)state;
  memset(large, ' ', sizeof large - 1);
  for (int why = 0; why < 3; why++) {
    rig_init(&r, "");
    if (why == 0) r.config.n_bundles = 2;
    if (why == 1) r.entry.require_bundle = YOI__REQUIRE_TOOLS;
    if (why == 2) rig_spaces(&r, "acme", NULL);
    refused(&r, "{", YOI_CODE_INVALID_JSON, "not valid JSON");
    refused(&r, "{\"a\":1,\"a\":2}", YOI_CODE_INVALID_JSON, "not valid JSON");
    refused(&r, "[]", YOI_CODE_INVALID_REQUEST, "not an object");
    refused(&r, large, YOI_CODE_PAYLOAD_TOO_LARGE, "more than 65536 bytes");
    refused(&r, "{\"config_bundle\":null}", YOI_CODE_INVALID_REQUEST, "'config_bundle'");
    refused(&r, "{\"config_bundle\":{}}", YOI_CODE_INVALID_REQUEST, "'config_bundle'");
    refused(&r, "{\"config_bundle\":\"" D1 "\"}", YOI_CODE_INVALID_REQUEST, "'config_bundle'");
    refused(&r, "{\"config_bundle\":{\"id\":\"team\",\"digest\":7}}", YOI_CODE_INVALID_REQUEST,
            "'config_bundle'");
  }
  rig_init(&r, "");
  becomes(&r, large, NULL);
  becomes(&r, "{\"config_bundle\":null}", NULL);
}

/* Rows: creates; columns: never, tools, always. 1: taken. */
static void what_needs_a_bundle(void **state) {
  static const struct {
    const char *body;
    int taken[3];
    const char *judged; /* `tools`: what was judged is written down */
  } rows[] = {
      {"{}", {1, 1, 0}, "{" BUILTIN("companion") "}"},
      {"{\"requested_capabilities\":[]}", {1, 1, 0},
       "{\"requested_capabilities\":[]," BUILTIN("companion") "}"},
      {"{\"requested_capabilities\":[{\"name\":\"fs_read\"}]}", {1, 0, 0}, NULL},
      {"{\"requested_capabilities\":{}}", {1, 0, 0}, NULL},
      {"{\"profile\":{\"kind\":\"runtime_default\"}}", {1, 1, 0}, "{" BUILTIN("companion") "}"},
      {"{" BUILTIN("companion") "}", {1, 1, 0}, NULL},
      {"{" BUILTIN("coder") "}", {1, 0, 0}, NULL},
      {"{" BUILTIN("nobody") "}", {1, 0, 0}, NULL},
      {"{" BUILTIN("compan") "}", {1, 0, 0}, NULL},
      {"{" BUILTIN("") "}", {1, 0, 0}, NULL},
      {"{" NAMED("companion") "}", {1, 0, 0}, NULL},
      {"{\"profile\":{\"kind\":\"builtin\"}}", {1, 0, 0}, NULL},
      {"{\"profile\":[]}", {1, 0, 0}, NULL},
      {"{" REF("mine", D3) "}", {1, 1, 1}, NULL},
      {"{" REF("mine", D3) "," NAMED("x") "}", {1, 1, 1}, NULL},
      {"{" REF("team", D1) "," NAMED("x") "}", {1, 1, 1}, NULL},
  };
  struct rig r;
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (uint32_t require = YOI__REQUIRE_NEVER; require <= YOI__REQUIRE_ALWAYS; require++) {
      rig_init(&r, "");
      r.config.n_bundles = 2;
      r.entry.require_bundle = require;
      if (rows[i].taken[require])
        becomes(&r, rows[i].body, require == YOI__REQUIRE_TOOLS ? rows[i].judged : NULL);
      else
        refused(&r, rows[i].body, YOI_CODE_BUNDLE_REQUIRED, "from a bundle only");
    }
}

static void the_entrys_own_defaults_count(void **state) {
  static const struct {
    const char *profile;
    int named, taken;
  } rows[] = {{"companion", 0, 1}, {"companion", 1, 0}, {"coder", 0, 0}, {"nobody", 0, 0}};
  struct rig r;
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    rig_init(&r, rows[i].profile);
    r.entry.profile_named = rows[i].named;
    r.entry.require_bundle = YOI__REQUIRE_TOOLS;
    if (rows[i].taken)
      becomes(&r, "{}", "{" BUILTIN("companion") "}");
    else
      refused(&r, "{}", YOI_CODE_BUNDLE_REQUIRED, "workers with tools");
  }
  for (uint32_t require = YOI__REQUIRE_TOOLS; require <= YOI__REQUIRE_ALWAYS; require++) {
    rig_init(&r, "");
    r.config.n_bundles = 2;
    r.entry.bundle = &r.bundles[0];
    r.entry.require_bundle = require;
    becomes(&r, "{}", "{" REF("team", D1) "}");
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_create_without_a_profile_gets_it),
      cmocka_unit_test(every_other_body_is_left_alone),
      cmocka_unit_test(with_a_bundle_the_default_is_named),
      cmocka_unit_test(a_create_without_a_bundle_gets_the_entrys),
      cmocka_unit_test(a_bundle_stays_where_it_may_be),
      cmocka_unit_test(workspaces_are_those_of_the_entry),
      cmocka_unit_test(a_bundle_that_is_not_known_is_of_a_workspace_of_the_entry),
      cmocka_unit_test(what_is_not_understood_is_refused_where_it_matters),
      cmocka_unit_test(what_needs_a_bundle),
      cmocka_unit_test(the_entrys_own_defaults_count),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
