/* Bundles as C sees them (sdk/bundle.h): what is handed out, in which order findings
 * come, the edges of the limits, short memory. What is refused is in the black-box
 * tests, by tests/bundles/invalid.json. */
#include <sdk/bundle.h>
#include <sdk/error.h>
#include <sdk/mem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yoi/host_tool.h>
#include <yoi/ops.h>

#include <cmocka.h>

#define TEXT_BYTES_MAX 2097152u

#define HEAD                                                                          \
  "{\"schema\":\"yoi.bundle/1\",\"id\":\"a\",\"revision\":\"1\",\"workspace_id\":\"w\"," \
  "\"created_at\":\"2026-06-26T00:00:00Z\",\"provenance\":{\"source\":\"test\"},"
#define MODEL "\"models\":[{\"name\":\"main\",\"ref\":\"model:m\"}],\"grants\":[\"model:m\"],"
#define PROMPT(text) "\"prompts\":[{\"name\":\"p\",\"text\":\"" text "\"}],"
#define PROFILE "\"profiles\":[{\"name\":\"x\",\"prompt\":\"p\",\"model\":\"main\"}]}"
#define SMALL HEAD MODEL PROMPT("Hello") PROFILE

static char *base(size_t *len) {
  char path[512];
  (void)snprintf(path, sizeof path, "%s/tests/bundles/base.json", getenv("YOI_ROOT"));
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  char *text = malloc(TEXT_BYTES_MAX);
  assert_non_null(text);
  *len = fread(text, 1, TEXT_BYTES_MAX, f);
  (void)fclose(f);
  assert_true(*len > 0 && *len < TEXT_BYTES_MAX);
  return text;
}

static int is(yoi_str s, const char *text) {
  return yoi_sdk_str_is(s, text);
}

static void a_bundle_is_handed_out_whole(void **state) {
  (void)state;
  struct yoi_sdk_bundle *b;
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  char digest[YOI_SDK_DIGEST_SIZE];
  size_t len;
  char *text = base(&len);
  assert_int_equal(yoi_sdk_bundle_new((yoi_str){text, len}, NULL, NULL, &b, NULL), YOI_OK);
  assert_true(yoi_sdk_sha256(text, len, sha));
  yoi_sdk_digest_text(sha, digest);
  memset(text, 'x', len); /* nothing of it is borrowed */
  free(text);
  assert_string_equal(b->digest, digest);
  assert_int_equal(b->bytes, len);
  assert_true(is(b->id, "workspace-default") && is(b->revision, "7"));
  assert_true(is(b->workspace_id, "acme") && is(b->created_at, "2026-06-26T00:00:00Z"));
  assert_true(is(b->source, "git") && is(b->detail, "main@4867ab2") && is(b->language, "en"));
  assert_true(is(b->workspace, "Acme") && is(b->project, "site"));
  assert_int_equal(b->n_prompts, 2);
  assert_true(is(b->prompts[1].name, "review.flow") && is(b->prompts[1].text, "Read it twice."));
  assert_true(is(b->prompts[0].media_type, "text/markdown"));
  assert_int_equal(b->n_models, 1);
  assert_true(is(b->models[0].name, "main") && is(b->models[0].host_model, "main"));
  assert_int_equal(yoi_sdk_json_count(b->models[0].parameters), 2);
  assert_int_equal(b->n_tools, 2);
  assert_true(is(b->tools[0].name, "fs_read") && is(b->tools[0].plugin, "dev.yoi.tool-fs"));
  assert_int_equal(b->tools[0].verdict, YOI_VERDICT_ALLOW);
  assert_int_equal(b->tools[0].optional, 0);
  assert_int_equal(b->tools[1].verdict, YOI_VERDICT_ASK);
  assert_int_equal(b->tools[1].optional, 1);
  assert_int_equal(yoi_sdk_json_count(b->tools[1].grants), 1);
  assert_int_equal(b->n_plugins, 2);
  assert_true(is(b->plugins[0].id, "dev.yoi.tool-fs") && is(b->plugins[0].version, ">=1.0 <2"));
  assert_int_equal(yoi_sdk_json_count(b->plugins[0].digests), 1);
  assert_null(b->plugins[1].digests);
  assert_int_equal(b->n_policies, 1);
  assert_true(is(b->policies[0].name, "careful"));
  assert_int_equal(yoi_sdk_json_count(b->policies[0].rules), 4);
  assert_int_equal(b->n_workflows, 1);
  assert_int_equal(b->workflows[0].prompt, 1);
  assert_int_equal(b->n_profiles, 1);
  const struct yoi_sdk_bundle_profile *p = yoi_sdk_bundle_profile(b, YOI_LIT("companion"));
  assert_ptr_equal(p, b->profiles);
  assert_true(p->prompt == 0 && p->model == 0 && p->n_tools == 2 && p->n_workflows == 1);
  assert_true(p->tools[0] == 0 && p->tools[1] == 1 && p->workflows[0] == 0);
  assert_int_equal(yoi_sdk_json_count(p->limits), 1);
  assert_null(yoi_sdk_bundle_profile(b, YOI_LIT("Companion")));
  yoi_sdk_bundle_free(b);
  yoi_sdk_bundle_free(NULL);
}

static void what_is_absent_is_empty_and_ask(void **state) {
  (void)state;
  struct yoi_sdk_bundle *b;
  static const char text[] =
      HEAD MODEL PROMPT("Hello") "\"tools\":[{\"name\":\"t\",\"plugin\":\"a.b\"}],"
      "\"profiles\":[{\"name\":\"x\",\"prompt\":\"p\",\"model\":\"main\",\"tools\":[\"t\"]}]}";
  assert_int_equal(yoi_sdk_bundle_new(yoi_sdk_str(text), NULL, NULL, &b, NULL), YOI_OK);
  assert_true(b->detail.len == 0 && b->language.len == 0 && b->workspace.len == 0);
  assert_true(b->n_plugins == 0 && b->n_policies == 0 && b->n_workflows == 0);
  assert_int_equal(b->tools[0].verdict, YOI_VERDICT_ASK);
  assert_null(b->tools[0].grants);
  assert_null(b->models[0].parameters);
  assert_null(b->profiles[0].limits);
  assert_null(b->profiles[0].workflows);
  yoi_sdk_bundle_free(b);
}

/* ---- findings ----------------------------------------------------------------------- */

struct told {
  char text[4096];
  size_t n, of_code[3];
};

static void tell(void *ctx, const struct yoi_sdk_bundle_finding *f) {
  struct told *t = ctx;
  size_t len = strlen(t->text);
  t->n++;
  t->of_code[f->code == YOI_CODE_BUNDLE_FORBIDDEN_CONTENT ? 0
             : f->code == YOI_CODE_BUNDLE_INVALID         ? 1
                                                          : 2]++;
  (void)snprintf(t->text + len, sizeof t->text - len, "%u:%u %s %s\n", f->line, f->column,
                 f->pointer, f->rule);
}

static void all_is_told_in_order_and_the_gravest_is_the_error(void **state) {
  (void)state;
  static const char text[] =
      "{\"schema\":\"yoi.bundle/2\",\n \"ID\":1,\n \"revision\":\"/etc/x\",\n"
      " \"created_at\":\"\",\n \"workspace_id\":\"w\",\"provenance\":{},\n \"profiles\":[]}";
  struct told t = {.n = 0};
  struct yoi_sdk_error e;
  struct yoi_sdk_bundle *b;
  assert_int_equal(yoi_sdk_bundle_new(yoi_sdk_str(text), tell, &t, &b, yoi_sdk_error_init(&e)),
                   YOI_INVALID_ARGUMENT);
  assert_null(b);
  assert_string_equal(t.text, "1:1  required\n"
                              "1:11 /schema schema\n"
                              "2:2 /ID unknown-member\n"
                              "3:13 /revision path.absolute\n"
                              "4:15 /created_at created-at\n"
                              "5:34 /provenance required\n"
                              "6:13 /profiles empty\n");
  assert_int_equal(e.e.code, YOI_CODE_BUNDLE_FORBIDDEN_CONTENT);
  assert_string_equal(e.details, "{\"pointer\":\"/revision\",\"rule\":\"path.absolute\"}");
}

static void many_light_findings_hide_no_grave_one(void **state) {
  (void)state;
  struct yoi_sdk_buf text;
  struct told t = {.n = 0};
  struct yoi_sdk_error e;
  struct yoi_sdk_bundle *b;
  yoi_sdk_buf_init(&text, TEXT_BYTES_MAX);
  yoi_sdk_buf_adds(&text, YOI_LIT("{"));
  for (int i = 0; i < 1000; i++) yoi_sdk_buf_addf(&text, "\"x%d\":1,", i);
  yoi_sdk_buf_adds(&text, YOI_LIT("\"revision\":\"/etc/x\"}"));
  assert_int_equal(yoi_sdk_bundle_new(yoi_sdk_buf_str(&text), tell, &t, &b, yoi_sdk_error_init(&e)),
                   YOI_INVALID_ARGUMENT);
  assert_int_equal(t.of_code[1], YOI_BUNDLE_FINDINGS_MAX);
  assert_int_equal(t.of_code[0], 1);
  assert_int_equal(e.e.code, YOI_CODE_BUNDLE_FORBIDDEN_CONTENT);
  yoi_sdk_buf_release(&text);
}

/* ---- limits --------------------------------------------------------------------------- */

/* The rule that a bundle of `n` breaks, "" for none; each test makes its own. */
static const char *rule_of(struct yoi_sdk_buf *text, char details[YOI_ERROR_DETAILS_MAX]) {
  struct yoi_sdk_bundle *b;
  struct yoi_sdk_error e;
  assert_int_equal(text->failed, 0);
  (void)yoi_sdk_bundle_new(yoi_sdk_buf_str(text), NULL, NULL, &b, yoi_sdk_error_init(&e));
  (void)snprintf(details, YOI_ERROR_DETAILS_MAX, "%s", e.details);
  yoi_sdk_bundle_free(b);
  yoi_sdk_buf_clear(text);
  return details;
}

static void fill(struct yoi_sdk_buf *text, size_t n) {
  for (size_t i = 0; i < n; i++) yoi_sdk_buf_addc(text, 'a');
}

static void each_limit_is_kept_at_its_edge(void **state) {
  (void)state;
  struct yoi_sdk_buf t;
  char d[YOI_ERROR_DETAILS_MAX];
  yoi_sdk_buf_init(&t, TEXT_BYTES_MAX);
  for (int more = 0; more < 2; more++) {
    yoi_sdk_buf_adds(&t, YOI_LIT(HEAD MODEL "\"prompts\":[{\"name\":\"p\",\"text\":\""));
    fill(&t, YOI_BUNDLE_PROMPT_BYTES_MAX + (size_t)more);
    yoi_sdk_buf_adds(&t, YOI_LIT("\"}]," PROFILE));
    assert_string_equal(rule_of(&t, d),
                        more ? "{\"pointer\":\"/prompts/0/text\",\"rule\":\"text\"}" : "");

    yoi_sdk_buf_adds(&t, YOI_LIT(HEAD MODEL PROMPT("x") "\"profiles\":["));
    for (int i = 0; i < YOI_BUNDLE_ENTRIES_MAX + more; i++)
      yoi_sdk_buf_addf(&t, "%s{\"name\":\"n%d\",\"prompt\":\"p\",\"model\":\"main\"}",
                       i ? "," : "", i);
    yoi_sdk_buf_adds(&t, YOI_LIT("]}"));
    assert_string_equal(rule_of(&t, d),
                        more ? "{\"pointer\":\"/profiles\",\"rule\":\"count\"}" : "");

    yoi_sdk_buf_adds(&t, YOI_LIT(HEAD MODEL PROMPT("x") "\"tools\":[{\"name\":\"t\",\"plugin\":"
                                                        "\"a.b\"}],\"plugins\":[{\"id\":\"a.b\","
                                                        "\"digests\":["));
    for (int i = 0; i < YOI_BUNDLE_DIGESTS_MAX + more; i++)
      yoi_sdk_buf_addf(&t, "%s\"sha256:%064x\"", i ? "," : "", (unsigned)i);
    yoi_sdk_buf_adds(&t, YOI_LIT("]}],\"profiles\":[{\"name\":\"x\",\"prompt\":\"p\",\"model\":"
                                 "\"main\",\"tools\":[\"t\"]}]}"));
    assert_string_equal(rule_of(&t, d),
                        more ? "{\"pointer\":\"/plugins/0/digests\",\"rule\":\"count\"}" : "");

    yoi_sdk_buf_adds(&t, YOI_LIT(HEAD MODEL PROMPT("x") "\"policies\":[{\"name\":\"p\",\"plugin\":"
                                 "\"dev.yoi.policy-rules\",\"rules\":["));
    for (int i = 0; i < YOI_BUNDLE_QUOTAS_MAX + more; i++)
      yoi_sdk_buf_addf(&t, "%s{\"name\":\"r%d\",\"decision\":\"ask\",\"rate\":{\"count\":1,"
                           "\"per_ms\":1}}", i ? "," : "", i);
    yoi_sdk_buf_adds(&t, YOI_LIT("]}]," PROFILE));
    (void)rule_of(&t, d);
    if (more)
      assert_non_null(strstr(d, "/rate\",\"rule\":\"count\""));
    else
      assert_string_equal(d, "");

    yoi_sdk_buf_adds(&t, YOI_LIT(HEAD MODEL PROMPT("x") "\"workspace\":{\"name\":\""));
    fill(&t, YOI_BUNDLE_LABEL_MAX + (size_t)more);
    yoi_sdk_buf_adds(&t, YOI_LIT("\"}," PROFILE));
    assert_string_equal(rule_of(&t, d),
                        more ? "{\"pointer\":\"/workspace/name\",\"rule\":\"label\"}" : "");
  }
  yoi_sdk_buf_release(&t);
}

static void a_bundle_has_a_maximum_of_bytes(void **state) {
  (void)state;
  struct yoi_sdk_buf t;
  struct yoi_sdk_bundle *b;
  struct yoi_sdk_error e;
  yoi_sdk_buf_init(&t, TEXT_BYTES_MAX);
  yoi_sdk_buf_adds(&t, YOI_LIT(SMALL));
  while (t.len < YOI_BUNDLE_BYTES_MAX) yoi_sdk_buf_addc(&t, '\n');
  assert_int_equal(yoi_sdk_bundle_new(yoi_sdk_buf_str(&t), NULL, NULL, &b, NULL), YOI_OK);
  assert_int_equal(b->bytes, YOI_BUNDLE_BYTES_MAX);
  yoi_sdk_bundle_free(b);
  yoi_sdk_buf_addc(&t, '\n');
  (void)yoi_sdk_bundle_new(yoi_sdk_buf_str(&t), NULL, NULL, &b, yoi_sdk_error_init(&e));
  assert_int_equal(e.e.code, YOI_CODE_PAYLOAD_TOO_LARGE);
  assert_null(b);
  yoi_sdk_buf_release(&t);
}

/* What is not in plain sight. */
static void hidden_things_are_found(void **state) {
  (void)state;
  struct yoi_sdk_buf t;
  struct yoi_sdk_bundle *b;
  struct yoi_sdk_error e;
  yoi_sdk_buf_init(&t, TEXT_BYTES_MAX);
  /* A token whose first part is long. */
  yoi_sdk_buf_adds(&t, YOI_LIT("{\"x\":\"eyJ"));
  for (int i = 0; i < 400; i++) yoi_sdk_buf_adds(&t, YOI_LIT("a1"));
  yoi_sdk_buf_adds(&t, YOI_LIT(".eyJ"));
  for (int i = 0; i < 20000; i++) yoi_sdk_buf_adds(&t, YOI_LIT("b2"));
  yoi_sdk_buf_adds(&t, YOI_LIT(".c3c3c3c3c3c3c3c3c3c3c3\"}"));
  (void)yoi_sdk_bundle_new(yoi_sdk_buf_str(&t), NULL, NULL, &b, yoi_sdk_error_init(&e));
  assert_int_equal(e.e.code, YOI_CODE_BUNDLE_FORBIDDEN_CONTENT);
  yoi_sdk_buf_clear(&t);
  /* A key on the way to where the JSON breaks, with slashes in its value. */
  yoi_sdk_buf_adds(&t, YOI_LIT("{\"aws_secret_access_key=wJal"));
  yoi_sdk_buf_adds(&t, YOI_LIT("rXUtnF7MI/K7MDENG/bPxRfiCY7X4MPL3K3Y\":{\"x\":[1,}"));
  (void)yoi_sdk_bundle_new(yoi_sdk_buf_str(&t), NULL, NULL, &b, yoi_sdk_error_init(&e));
  assert_int_equal(e.e.code, YOI_CODE_BUNDLE_INVALID);
  assert_null(strstr(e.message, "wJal"));
  assert_null(strstr(e.details, "wJal"));
  yoi_sdk_buf_release(&t);
}

/* A text of nothing but heads of credentials, and an object of nothing but unknown
 * members, cost their length: their square would be hours. */
static void no_text_costs_its_square(void **state) {
  (void)state;
  static const char *const heads[] = {"sk-", "-eyJ", "a://b:", "xoxb-", "SG.", ".eyJaaaaaaaa"};
  for (size_t i = 0; i <= sizeof heads / sizeof *heads; i++) {
    struct yoi_sdk_buf t;
    struct yoi_sdk_bundle *b;
    struct yoi_sdk_error e;
    int keys = i == sizeof heads / sizeof *heads;
    yoi_sdk_buf_init(&t, TEXT_BYTES_MAX);
    yoi_sdk_buf_adds(&t, keys ? YOI_LIT("{") : YOI_LIT("{\"x\":\""));
    for (unsigned n = 0; t.len < YOI_BUNDLE_BYTES_MAX - 64; n++)
      if (keys) yoi_sdk_buf_addf(&t, "%s\"k%u\":0", n > 0 ? "," : "", n);
      else yoi_sdk_buf_adds(&t, yoi_sdk_str(heads[i]));
    yoi_sdk_buf_adds(&t, keys ? YOI_LIT("}") : YOI_LIT("\"}"));
    (void)yoi_sdk_bundle_new(yoi_sdk_buf_str(&t), NULL, NULL, &b, yoi_sdk_error_init(&e));
    assert_int_equal(e.e.code, YOI_CODE_BUNDLE_INVALID);
    assert_null(b);
    yoi_sdk_buf_release(&t);
  }
}

/* ---- memory ------------------------------------------------------------------------------ */

/* Each allocation fails once: what comes is the bundle or the findings, whole, or
 * that memory is short. */
static void short_memory_is_told_as_that(const char *text, size_t len, yoi_status usual) {
  uint64_t n = 1;
  for (int ended = 0; !ended; n++) {
    struct yoi_sdk_bundle *b;
    struct yoi_sdk_error e;
    (void)yoi_sdk_mem_fail_at(n);
    yoi_status st =
        yoi_sdk_bundle_new((yoi_str){text, len}, NULL, NULL, &b, yoi_sdk_error_init(&e));
    ended = yoi_sdk_mem_fail_at(0) < n;
    if (st != usual) {
      assert_int_equal(st, YOI_RESOURCE_EXHAUSTED);
      assert_int_equal(e.e.code, YOI_CODE_INTERNAL);
    }
    assert_true((b != NULL) == (st == YOI_OK));
    yoi_sdk_bundle_free(b);
  }
  assert_true(n > 20);
}

static void memory_that_is_short(void **state) {
  (void)state;
  size_t len;
  char *text = base(&len);
  short_memory_is_told_as_that(text, len, YOI_OK);
  memcpy(strstr(text, "\"review.flow\""), "\"/eview.flow\"", 13);
  short_memory_is_told_as_that(text, len, YOI_INVALID_ARGUMENT);
  free(text);
}

/* ---- versions and digests -------------------------------------------------------------- */

static void versions_in_ranges(void **state) {
  (void)state;
  static const struct {
    const char *version, *range;
    int in;
  } cases[] = {
      {"1.4", ">=1.0 <2", 1},   {"2.0.0", ">=1.0 <2", 0}, {"1.0.0", ">=1.0", 1},
      {"0.9.9", ">=1.0", 0},    {"1.4.2", "=1.4", 1},     {"1.5.0", "=1.4", 0},
      {"1.4.2", ">1.4", 0},     {"1.5.0", ">1.4", 1},     {"1.4.9", "<=1.4", 1},
      {"1.5.0", "<=1.4", 0},    {"10.0.0", ">9", 1},      {"1.10.0", ">1.9", 1},
      {"1.4.2", "=1.4.2", 1},   {"1.4", "=1.4.0", 1},     {"3.1.4", "<2 >3", 0},
      {"1", ">=1", 0},          {"1.0.0.0", ">=1", 0},    {"v1.0", ">=1", 0},
      {"1.0.0-rc1", ">=1", 0},  {"", ">=1", 0},           {"1.0", "", 0},
      {"1.0", ">=1 ", 0},       {"1.0", " >=1", 0},       {"1.0", ">=1  <2", 0},
      {"1.0", "1.0", 0},        {"1.0", "=01.0", 0},      {"01.0", ">=1", 0},
      {"999999999.0", ">1", 1}, {"1.0", ">=9999999999", 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    if (yoi_sdk_version_in(yoi_sdk_str(cases[i].version), yoi_sdk_str(cases[i].range)) !=
        cases[i].in)
      fail_msg("'%s' in '%s'", cases[i].version, cases[i].range);
}

static void digests(void **state) {
  (void)state;
  char d[] = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  assert_true(yoi_sdk_digest_valid(yoi_sdk_str(d)));
  assert_false(yoi_sdk_digest_valid((yoi_str){d, sizeof d - 2}));
  assert_false(yoi_sdk_digest_valid((yoi_str){d, sizeof d}));
  assert_false(yoi_sdk_digest_valid((yoi_str){d + 7, 64}));
  assert_false(yoi_sdk_digest_valid((yoi_str){NULL, 0}));
  d[20] = 'A';
  assert_false(yoi_sdk_digest_valid(yoi_sdk_str(d)));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_bundle_is_handed_out_whole),
      cmocka_unit_test(what_is_absent_is_empty_and_ask),
      cmocka_unit_test(all_is_told_in_order_and_the_gravest_is_the_error),
      cmocka_unit_test(many_light_findings_hide_no_grave_one),
      cmocka_unit_test(each_limit_is_kept_at_its_edge),
      cmocka_unit_test(a_bundle_has_a_maximum_of_bytes),
      cmocka_unit_test(hidden_things_are_found),
      cmocka_unit_test(no_text_costs_its_square),
      cmocka_unit_test(memory_that_is_short),
      cmocka_unit_test(versions_in_ranges),
      cmocka_unit_test(digests),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
