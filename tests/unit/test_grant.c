/* Grants as texts and patterns, and whether a host has one: all four that have
 * a say say yes. */
#include "host/grant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "host/config.h"

#define N64 "a234567890123456789012345678901234567890123456789012345678901234"

static void a_text_is_one_grant_or_none(void **state) {
  (void)state;
  static const struct {
    const char *text;
    uint32_t kind; /* 0: it is none */
    int writable;
    const char *name;
  } cases[] = {
      {"model:main", YOI_SDK_GRANT_MODEL, 0, "main"},
      {"mount:work:ro", YOI_SDK_GRANT_MOUNT, 0, "work"},
      {"mount:work:rw", YOI_SDK_GRANT_MOUNT, 1, "work"},
      {"mount:A.b_9-:rw", YOI_SDK_GRANT_MOUNT, 1, "A.b_9-"},
      {"mount:" N64 ":rw", YOI_SDK_GRANT_MOUNT, 1, N64},
      {"net:docs", YOI_SDK_GRANT_NET, 0, "docs"},
      {"shell:work", YOI_SDK_GRANT_SHELL, 0, "work"},
      {"git:" N64, YOI_SDK_GRANT_GIT, 0, N64},
      {"mount:work", 0, 0, ""},
      {"mount:work:", 0, 0, ""},
      {"mount:work:RO", 0, 0, ""},
      {"mount:work:ro:rw", 0, 0, ""},
      {"mount::ro", 0, 0, ""},
      {"mount:ro", 0, 0, ""},
      {"mount:*:ro", 0, 0, ""},
      {"mount:a/b:ro", 0, 0, ""},
      {"mount:" N64 "5:ro", 0, 0, ""},
      {"net:docs:ro", 0, 0, ""},
      {"net:*", 0, 0, ""},
      {"net:", 0, 0, ""},
      {"net", 0, 0, ""},
      {"Net:docs", 0, 0, ""},
      {" net:docs", 0, 0, ""},
      {"net:docs ", 0, 0, ""},
      {":docs", 0, 0, ""},
      {"secret:k", 0, 0, ""},
      {"", 0, 0, ""},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct yoi_sdk_grant g;
    const char *expected = yoi_sdk_grant_parse(yoi_sdk_str(cases[i].text), &g);
    if ((expected == NULL) != (cases[i].kind != 0)) fail_msg("'%s'", cases[i].text);
    if (expected != NULL) continue;
    assert_int_equal(g.kind, cases[i].kind);
    assert_int_equal(g.writable, cases[i].writable);
    assert_true(yoi_sdk_str_is(g.name, cases[i].name));
    assert_string_equal(yoi_sdk_grant_show(&g).text, cases[i].text);
  }
  struct yoi_sdk_grant g;
  assert_non_null(yoi_sdk_grant_parse((yoi_str){NULL, 0}, &g));
  assert_non_null(yoi_sdk_grant_parse((yoi_str){"net:a\0b", 7}, &g));
}

static void a_grant_has_at_most_its_maximum(void **state) {
  (void)state;
  char text[YOI_GRANT_MAX + 2];
  struct yoi_sdk_grant g;
  memset(text, 'x', sizeof text);
  memcpy(text, "net:", 4);
  /* The name is what is too long up to the maximum, then all of it is. */
  assert_non_null(strstr(yoi_sdk_grant_parse((yoi_str){text, YOI_GRANT_MAX}, &g), "a name of"));
  assert_non_null(
      strstr(yoi_sdk_grant_parse((yoi_str){text, YOI_GRANT_MAX + 1}, &g), "model:NAME"));
}

static void a_pattern_covers_what_it_names(void **state) {
  (void)state;
  static const struct {
    const char *pattern, *grant;
    int covers;
  } cases[] = {
      {"mount:*", "mount:a:ro", 1},    {"mount:*", "mount:a:rw", 1},
      {"mount:*", "net:a", 0},         {"mount:a", "mount:a:rw", 1},
      {"mount:a", "mount:ab:ro", 0},   {"mount:ab", "mount:a:ro", 0},
      {"mount:a:ro", "mount:a:ro", 1}, {"mount:a:ro", "mount:a:rw", 0},
      {"mount:a:rw", "mount:a:ro", 1}, {"mount:*:ro", "mount:a:ro", 1},
      {"mount:*:ro", "mount:a:rw", 0}, {"mount:*:rw", "mount:a:rw", 1},
      {"net:*", "net:a", 1},           {"net:a", "net:a", 1},
      {"net:a", "net:b", 0},           {"shell:*", "git:a", 0},
      {"model:*", "model:main", 1},    {"model:*", "model:*", 1},
      {"model:main", "model:*", 0},    {"mount:*:ro", "mount:*", 0},
      {"git:a", "git:A", 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct yoi_sdk_grant p, g;
    assert_null(yoi_sdk_grant_pattern(yoi_sdk_str(cases[i].pattern), &p));
    assert_null(yoi_sdk_grant_pattern(yoi_sdk_str(cases[i].grant), &g));
    if (yoi_sdk_grant_covers(&p, &g) != cases[i].covers)
      fail_msg("'%s' and '%s'", cases[i].pattern, cases[i].grant);
  }
  static const char *const none[] = {"mount",    "mount:",     "mount:**", "mount:a*",
                                     "mount:*:", "mount:*:rx", "*",        "*:*",
                                     "tool:*",   "net:*:ro",   ""};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    struct yoi_sdk_grant p;
    if (yoi_sdk_grant_pattern(yoi_sdk_str(none[i]), &p) == NULL) fail_msg("'%s'", none[i]);
  }
}

/* ---- what a host has -------------------------------------------------------- */

static struct yoi__mount mounts[] = {{{"ro", 2}, -1, 0}, {{"rw", 2}, -1, 1}};
static struct yoi__network networks[] = {{{"docs", 4}, NULL, 0}};
static struct yoi__commands shell[] = {{{"sh", 2}, {"{}", 2}}};
static struct yoi__commands git[] = {{{"gi", 2}, {"{}", 2}}};
static struct yoi__config_model models[] = {{.name = {"main", 4}}};

static struct yoi__config config_of(struct yoi__config_plugin *entries, size_t n) {
  return (struct yoi__config){
      .local = {mounts, networks, shell, git, 2, 1, 1, 1},
      .models = models,
      .n_models = 1,
      .entries = entries,
      .n_entries = n,
  };
}

static void check_says(const char *grant, yoi_status st, const char *part) {
  struct yoi__config c = config_of(NULL, 0);
  struct yoi_sdk_error e;
  assert_int_equal(yoi__grant_check(&c, yoi_sdk_str(grant), yoi_sdk_error_init(&e)), st);
  assert_int_equal(yoi__grant_check(&c, yoi_sdk_str(grant), NULL), st);
  if (st == YOI_OK) return;
  if (st == YOI_PERMISSION_DENIED) assert_int_equal(e.e.code, YOI_CODE_GRANT_MISSING);
  if (strstr(e.message, part) == NULL) fail_msg("'%s': %s", grant, e.message);
}

static void a_host_has_what_stands_in_local(void **state) {
  (void)state;
  check_says("mount:ro:ro", YOI_OK, "");
  check_says("mount:ro:rw", YOI_PERMISSION_DENIED, "'ro' for reading only");
  check_says("mount:rw:ro", YOI_OK, "");
  check_says("mount:rw:rw", YOI_OK, "");
  check_says("mount:none:ro", YOI_PERMISSION_DENIED, "no grant 'mount:none:ro'");
  check_says("net:docs", YOI_OK, "");
  check_says("net:ro", YOI_PERMISSION_DENIED, "no grant 'net:ro'");
  check_says("shell:sh", YOI_OK, "");
  check_says("shell:gi", YOI_PERMISSION_DENIED, "no grant 'shell:gi'");
  check_says("git:gi", YOI_OK, "");
  check_says("git:sh", YOI_PERMISSION_DENIED, "no grant 'git:sh'");
  check_says("model:main", YOI_OK, "");
  check_says("model:other", YOI_PERMISSION_DENIED, "no grant 'model:other'");
  check_says("mount:*", YOI_INVALID_ARGUMENT, "'mount:*' is no grant");
  check_says("", YOI_INVALID_ARGUMENT, "is no grant: expected 'model:NAME'");
}

/* The manifest wants these, the entry gives those (NULL: it has no list). */
static void in_force(const char *wanted, const char *const *given, const char *grant,
                     const char *missing) {
  struct yoi__plugin p = {.manifest = {.id = YOI_LIT("a.b"), .kind = YOI_KIND_TOOL}};
  yoi_str patterns[4];
  struct yoi__config_plugin e = {
      .id = YOI_LIT("a.b"), .has_grants = given != NULL, .grants = patterns};
  struct yoi__config c = config_of(&e, 1);
  struct yoi_sdk_grant g;
  struct yoi_sdk_error err;
  for (; given != NULL && given[e.n_grants] != NULL; e.n_grants++)
    patterns[e.n_grants] = yoi_sdk_str(given[e.n_grants]);
  if (wanted != NULL) p.manifest.grants[p.manifest.n_grants++] = yoi_sdk_str(wanted);
  assert_null(yoi_sdk_grant_parse(yoi_sdk_str(grant), &g));
  yoi_status st = yoi__grant_for(&c, &p, &g, yoi_sdk_error_init(&err));
  assert_int_equal(st, missing == NULL ? YOI_OK : YOI_PERMISSION_DENIED);
  if (missing != NULL && strstr(err.message, missing) == NULL) fail_msg("%s", err.message);
}

#define GIVEN(...) ((const char *const[]){__VA_ARGS__, NULL})

static void a_grant_is_in_force_where_all_say_so(void **state) {
  (void)state;
  in_force("mount:*", NULL, "mount:rw:rw", NULL);
  in_force("mount:*", GIVEN("mount:*"), "mount:rw:rw", NULL);
  in_force("mount:*", GIVEN("net:*", "mount:rw:ro"), "mount:rw:ro", NULL);
  in_force("net:docs", NULL, "net:docs", NULL);
  in_force("shell:*", NULL, "shell:sh", NULL);
  in_force("git:*", GIVEN("git:gi"), "git:gi", NULL);
  /* the manifest */
  in_force(NULL, NULL, "mount:rw:ro", "manifest of plugin 'a.b' does not want");
  in_force("mount:*:ro", NULL, "mount:rw:rw", "manifest of plugin 'a.b' does not want");
  in_force("mount:ro", NULL, "mount:rw:ro", "manifest of plugin 'a.b' does not want");
  /* the entry in the config */
  in_force("mount:*", (const char *const[]){NULL}, "mount:rw:ro", "does not give plugin 'a.b'");
  in_force("mount:*", GIVEN("net:*"), "mount:rw:ro", "does not give plugin 'a.b'");
  in_force("mount:*", GIVEN("mount:*:ro"), "mount:rw:rw", "does not give plugin 'a.b'");
  /* what there is */
  in_force("mount:*", NULL, "mount:ro:rw", "for reading only");
  in_force("net:*", NULL, "net:none", "no grant 'net:none'");
}

static void without_a_list_a_kind_has_what_it_cannot_do_without(void **state) {
  (void)state;
  static const char *const texts[] = {"model:m", "mount:m:rw", "net:m", "shell:m", "git:m"};
  static const uint32_t kinds[] = {YOI_KIND_RUNTIME, YOI_KIND_TOOL, YOI_KIND_MODEL,
                                   YOI_KIND_INGRESS, YOI_KIND_POLICY};
  struct yoi__config_plugin other = {.id = YOI_LIT("c.d"), .has_grants = 1};
  struct yoi__config c = config_of(&other, 1);
  for (size_t k = 0; k < 5; k++) {
    struct yoi__plugin p = {.manifest = {.id = YOI_LIT("a.b"), .kind = kinds[k]}};
    for (size_t i = 0; i < 5; i++) {
      int expected =
          (i == 0 && kinds[k] == YOI_KIND_RUNTIME) || (i > 0 && kinds[k] == YOI_KIND_TOOL);
      assert_int_equal(yoi__config_granted(&c, &p, yoi_sdk_str(texts[i])), expected);
    }
    assert_false(yoi__config_granted(&c, &p, YOI_LIT("anything")));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_text_is_one_grant_or_none),
      cmocka_unit_test(a_grant_has_at_most_its_maximum),
      cmocka_unit_test(a_pattern_covers_what_it_names),
      cmocka_unit_test(a_host_has_what_stands_in_local),
      cmocka_unit_test(a_grant_is_in_force_where_all_say_so),
      cmocka_unit_test(without_a_list_a_kind_has_what_it_cannot_do_without),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
