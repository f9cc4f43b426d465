/* How many digests of one plugin a process maps: counted, limited, the edge. */
#include "host/generation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sdk/id.h>
#include <sdk/mem.h>
#include <sdk/str.h>

#include "host/loader.h"
#include "support/files.h"

static const char *digest(int n) {
  static char text[16][YOI_SDK_DIGEST_SIZE]; /* process-wide: a test has one thread */
  snprintf(text[n], sizeof text[n], "sha256:%064d", n);
  return text[n];
}

static yoi_status take(const char *id, int n, const char *path, void **handle, yoi_error *err) {
  return yoi__generation_take(yoi_sdk_str(id), digest(n), yoi_sdk_str(path), handle, err);
}

static void the_ninth_digest_is_refused(void **state) {
  (void)state;
  struct yoi_sdk_error e;
  void *handle = NULL;
  char path[16];
  for (int i = 0; i < YOI_PLUGIN_GENERATIONS_MAX; i++) {
    snprintf(path, sizeof path, "a%d", i);
    assert_int_equal(take("g.limit", i, path, &handle, NULL), YOI_OK);
    yoi__generation_keep(YOI_LIT("g.limit"), digest(i), NULL);
    assert_int_equal(yoi__generation_of(YOI_LIT("g.limit"), digest(i)), i + 1);
  }
  assert_int_equal(yoi__generation_count(), YOI_PLUGIN_GENERATIONS_MAX);
  assert_int_equal(take("g.limit", 8, "a8", &handle, yoi_sdk_error_init(&e)),
                   YOI_RESOURCE_EXHAUSTED);
  assert_int_equal(e.e.code, YOI_CODE_LIMIT_REACHED);
  assert_non_null(strstr(e.message, "at most 8 digests of one plugin"));
  assert_int_equal(yoi__generation_of(YOI_LIT("g.limit"), digest(8)), 0);
  /* What is mapped already may be loaded again; another plugin has its own. */
  assert_int_equal(take("g.limit", 3, "a3", &handle, NULL), YOI_OK);
  yoi__generation_keep(YOI_LIT("g.limit"), digest(3), NULL);
  assert_int_equal(yoi__generation_of(YOI_LIT("g.limit"), digest(3)), 4);
  assert_int_equal(take("g.limit.other", 8, "a8", &handle, NULL), YOI_OK);
  yoi__generation_drop(YOI_LIT("g.limit.other"), digest(8));
  assert_int_equal(yoi__generation_count(), YOI_PLUGIN_GENERATIONS_MAX);
}

static void a_load_that_failed_leaves_its_place(void **state) {
  (void)state;
  void *handle = NULL;
  uint32_t before = yoi__generation_count();
  for (int i = 0; i < 3 * YOI_PLUGIN_GENERATIONS_MAX; i++) {
    assert_int_equal(take("g.fail", i % 12, "f", &handle, NULL), YOI_OK);
    yoi__generation_drop(YOI_LIT("g.fail"), digest(i % 12));
  }
  assert_int_equal(yoi__generation_count(), before);
}

static void two_that_load_the_same_share_one_place(void **state) {
  (void)state;
  void *handle = NULL, *code = &handle;
  assert_int_equal(take("g.two", 0, NULL, &handle, NULL), YOI_OK);
  assert_int_equal(take("g.two", 0, NULL, &handle, NULL), YOI_OK);
  assert_null(handle);
  yoi__generation_keep(YOI_LIT("g.two"), digest(0), code);
  yoi__generation_drop(YOI_LIT("g.two"), digest(0));
  assert_int_equal(yoi__generation_of(YOI_LIT("g.two"), digest(0)), 1);
  assert_int_equal(take("g.two", 0, NULL, &handle, NULL), YOI_OK);
  assert_ptr_equal(handle, code);
  yoi__generation_keep(YOI_LIT("g.two"), digest(0), code);
  /* Who does not pin gets no private copy: it may be older than the file. */
  assert_int_equal(take("g.two", 0, "t", &handle, NULL), YOI_OK);
  assert_null(handle);
  yoi__generation_keep(YOI_LIT("g.two"), digest(0), NULL);
}

static void a_path_stands_for_one_digest(void **state) {
  (void)state;
  struct yoi_sdk_error e;
  void *handle = NULL;
  assert_int_equal(take("g.path", 0, "one", &handle, NULL), YOI_OK);
  yoi__generation_keep(YOI_LIT("g.path"), digest(0), NULL);
  assert_int_equal(take("g.path", 0, "two", &handle, NULL), YOI_OK);
  yoi__generation_keep(YOI_LIT("g.path"), digest(0), NULL);
  assert_int_equal(take("g.path", 1, "one", &handle, NULL), YOI_INTERNAL);
  assert_int_equal(take("g.path", 1, "two", &handle, yoi_sdk_error_init(&e)), YOI_INTERNAL);
  assert_non_null(strstr(e.message, "other code was loaded from its file"));
  assert_int_equal(take("g.path", 1, NULL, &handle, NULL), YOI_OK);
  yoi__generation_keep(YOI_LIT("g.path"), digest(1), &handle);
  assert_int_equal(yoi__generation_of(YOI_LIT("g.path"), digest(1)), 2);
}

/* The same through the loader: nine versions of one plugin, one after another
 * and each at a path of its own. */
static void the_loader_counts(void **state) {
  (void)state;
  uint32_t before = yoi__generation_count();
  for (int i = 0; i <= YOI_PLUGIN_GENERATIONS_MAX; i++) {
    struct yoi__catalogue *c = yoi__catalogue_new();
    struct yoi_sdk_error e;
    char dir[16], path[32], version[32];
    yoi_status st;
    snprintf(dir, sizeof dir, "gen%d", i);
    snprintf(path, sizeof path, "%s/null.so", dir);
    snprintf(version, sizeof version, "\"display_name\":\"Nul%d\"", i);
    files_directory(dir);
    files_plugin("null", path);
    files_patch(path, "\"display_name\": \"Null\"", version);
    assert_int_equal(yoi__catalogue_scan(c, dir, 0, NULL), YOI_OK);
    assert_int_equal(yoi__catalogue_count(c), 1);
    st = yoi__plugin_load(yoi__catalogue_at(c, 0), yoi_sdk_error_init(&e));
    if (i < YOI_PLUGIN_GENERATIONS_MAX) {
      assert_int_equal(st, YOI_OK);
      assert_int_equal(yoi__generation_count(), before + (uint32_t)i + 1);
    } else {
      assert_int_equal(st, YOI_RESOURCE_EXHAUSTED);
      assert_int_equal(e.e.code, YOI_CODE_LIMIT_REACHED);
      assert_non_null(
          strstr(e.message, "cannot load plugin 'dev.yoi.test.null': expected at most"));
    }
    yoi__catalogue_free(c);
  }
}

/* After an upgrade in place: the dynamic loader, which goes by name, would give
 * the old code under the new digest. So it is loaded from a copy, and only when
 * it lies as a pinned one has to. */
static void a_file_that_replaced_a_loaded_one_runs_from_a_copy(void **state) {
  (void)state;
  uint32_t mapped = yoi__generation_count();
  for (int i = 0; i < 2; i++) {
    struct yoi__catalogue *c = yoi__catalogue_new();
    struct yoi_sdk_error e;
    files_directory("up");
    (void)unlink("up/ctor.so");
    files_plugin("ctor", "up/ctor.so");
    if (i == 1) files_patch("up/ctor.so", "\"ctor\"", "\"crot\"");
    assert_int_equal(yoi__catalogue_scan(c, "up", 0, NULL), YOI_OK);
    struct yoi__plugin *p = yoi__catalogue_at(c, 0);
    if (yoi__plugin_load(p, yoi_sdk_error_init(&e)) != YOI_OK) fail_msg("%s", e.message);
    assert_int_equal(yoi__generation_stale(p->path, p->digest), i);
    assert_int_equal(yoi__generation_others(p->manifest.id, p->digest) >= (uint32_t)i, 1);
    assert_int_equal(p->pin[0] != '\0', i);
    yoi__catalogue_free(c);
  }
  assert_true(yoi__generation_count() > mapped);
}

static void memory_may_be_short(void **state) {
  (void)state;
  void *handle = NULL;
  for (uint64_t n = 1; n <= 2; n++) {
    (void)yoi_sdk_mem_fail_at(n);
    assert_int_equal(take("g.memory", 0, "m", &handle, NULL), YOI_RESOURCE_EXHAUSTED);
    (void)yoi_sdk_mem_fail_at(0);
  }
  assert_int_equal(take("g.memory", 0, "m", &handle, NULL), YOI_OK);
  yoi__generation_drop(YOI_LIT("g.memory"), digest(0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_ninth_digest_is_refused),
      cmocka_unit_test(a_load_that_failed_leaves_its_place),
      cmocka_unit_test(two_that_load_the_same_share_one_place),
      cmocka_unit_test(a_path_stands_for_one_digest),
      cmocka_unit_test(the_loader_counts),
      cmocka_unit_test(a_file_that_replaced_a_loaded_one_runs_from_a_copy),
      cmocka_unit_test(memory_may_be_short),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
