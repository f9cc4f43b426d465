/* The bundles of a config: what is read of their files, every finding with its
 * file, and what an entry of runtimes says of them. */
#include "host/bundle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sdk/id.h>
#include <sdk/mem.h>

#include "support/files.h"

#define SEEN_MAX 65536

#define BUNDLE(id, revision, workspace, created)                                               \
  "{\"schema\":\"yoi.bundle/1\",\"id\":\"" id "\",\"revision\":\"" revision                    \
  "\",\"workspace_id\":\"" workspace "\",\"created_at\":\"" created                            \
  "\",\"provenance\":{\"source\":\"git\"},\"prompts\":[{\"name\":\"p\",\"media_type\":"        \
  "\"text/markdown\",\"text\":\"Hello.\"}],\"models\":[{\"name\":\"main\",\"ref\":"            \
  "\"model:main\"}],\"grants\":[\"model:main\"],\"profiles\":[{\"name\":\"companion\","        \
  "\"prompt\":\"p\",\"model\":\"main\",\"tools\":[]}]}\n"

#define HEAD "{\"plugin_path\":[\"plug\"],\n"
#define RUNTIME(more) "\"runtimes\":[{\"id\":\"r\",\"plugin\":\"dev.yoi.test.ctor\"" more "}]"

static int setup(void **state) {
  (void)state;
  files_directory("plug");
  files_plugin("ctor", "plug/ctor.so");
  files_text("a1.json", BUNDLE("a", "1", "acme", "2026-01-01T00:00:00Z"));
  files_text("a2.json", BUNDLE("a", "2", "acme", "2026-02-01T00:00:00Z"));
  files_text("a3.json", BUNDLE("a", "3", "lab", "2026-03-01T00:00:00Z"));
  files_text("a2b.json", BUNDLE("a", "2b", "acme", "2026-02-01T00:00:00Z"));
  files_text("team.json", BUNDLE("team", "1", "acme", "2026-01-01T00:00:00Z"));
  files_text("b.json", BUNDLE("b", "1", "acme", "2026-01-01T00:00:00Z"));
  return 0;
}

static void note(void *ctx, uint32_t line, uint32_t column, const char *pointer,
                 const char *message) {
  char *seen = ctx;
  size_t n = strlen(seen);
  snprintf(seen + n, SEEN_MAX - n, "%u:%u %s %s\n", line, column, pointer, message);
}

static struct yoi__config *load(const char *json) {
  static char seen[SEEN_MAX]; /* process-wide: a test has one thread */
  struct yoi__config *c = NULL;
  seen[0] = '\0';
  if (yoi__config_load(yoi_sdk_str(json), NULL, note, seen, &c, NULL) != YOI_OK)
    fail_msg("%s", seen);
  return c;
}

/* The only finding begins so, and has the second text in it. */
static void finds(const char *json, const char *begins, const char *has) {
  static char seen[SEEN_MAX]; /* process-wide: a test has one thread */
  struct yoi_sdk_error e;
  seen[0] = '\0';
  yoi_status st =
      yoi__config_load(yoi_sdk_str(json), NULL, note, seen, NULL, yoi_sdk_error_init(&e));
  assert_int_equal(st, YOI_INVALID_ARGUMENT);
  if (strncmp(seen, begins, strlen(begins)) != 0 || strstr(seen, has) == NULL ||
      strchr(seen, '\n') != seen + strlen(seen) - 1)
    fail_msg("expected one '%s', with '%s'; found:\n%s", begins, has, seen);
  assert_null(strstr(e.message, "/tmp")); /* a path is for the owner's eyes only */
}

static void bundles_are_read_and_digested(void **state) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  char digest[YOI_SDK_DIGEST_SIZE], *text;
  size_t n = 0;
  (void)state;
  struct yoi__config *c = load(HEAD "\"bundles\":[\"a1.json\",{\"file\":\"./b.json\"},"
                                    "{\"file\":\"a2.json\",\"runtimes\":[\"r\",\"later\"]}],\n"
                               RUNTIME("") "}");
  assert_int_equal(c->n_bundles, 3);
  text = files_read("a1.json", &n);
  assert_int_equal(c->bundles[0].bytes.len, n);
  assert_memory_equal(c->bundles[0].bytes.ptr, text, n);
  assert_int_equal(yoi_sdk_sha256(text, n, sha), 1);
  yoi_sdk_digest_text(sha, digest);
  assert_string_equal(c->bundles[0].it->digest, digest);
  test_free(text);
  assert_int_equal(c->bundles[0].runtimes.given, 0);
  assert_int_equal(c->bundles[2].runtimes.n, 2);
  assert_ptr_equal(yoi__bundle_find(c, (yoi_str){0}, yoi_sdk_str(digest)), &c->bundles[0]);
  assert_null(yoi__bundle_find(c, (yoi_str){0}, YOI_LIT("sha256:00")));
  assert_null(c->runtimes[0].bundle);
  assert_int_equal(c->runtimes[0].require_bundle, YOI__REQUIRE_NEVER);
  assert_int_equal(c->runtimes[0].workspaces.given, 0);
  yoi__config_free(c);
  c = load(HEAD "\"bundles\":[]}");
  assert_int_equal(c->n_bundles, 0);
  yoi__config_free(c);
}

static void paths_start_from_the_folder_of_the_config(void **state) {
  struct yoi__config *c = NULL;
  char here[512], json[1024];
  (void)state;
  assert_non_null(getcwd(here, sizeof here));
  files_directory("folder");
  files_text("folder/own.json", BUNDLE("own", "1", "acme", "2026-01-01T00:00:00Z"));
  (void)snprintf(json, sizeof json, "{\"plugin_path\":[],\"bundles\":[\"own.json\",\"%s/b.json\"]}",
                 here);
  assert_int_equal(yoi__config_load(yoi_sdk_str(json), "folder", NULL, NULL, &c, NULL), YOI_OK);
  assert_true(yoi_sdk_str_is(c->bundles[0].it->id, "own"));
  assert_true(yoi_sdk_str_is(c->bundles[1].it->id, "b"));
  yoi__config_free(c);
}

static void files_that_are_no_files(void **state) {
  static char large[YOI_BUNDLE_BYTES_MAX + 1];
  (void)state;
  assert_int_equal(symlink("a1.json", "link.json"), 0);
  assert_int_equal(mkfifo("pipe.json", 0600), 0);
  files_text("empty.json", "");
  files_text("open.json", BUNDLE("a", "1", "acme", "2026-01-01T00:00:00Z"));
  assert_int_equal(chmod("open.json", 0666), 0);
  memset(large, ' ', sizeof large);
  files_write("large.json", large, sizeof large);
#define READS(file, why)                                                        \
  finds(HEAD "\"bundles\":[\"" file "\"]}", "2:12 /bundles/0 cannot read this bundle: " why, \
        "/" file "'");                                                          \
  finds(HEAD "\"bundles\":[{\"file\":\"" file "\"}]}",                          \
        "2:20 /bundles/0/file cannot read this bundle: " why, "/" file "'")
  READS("none.json", "No such file or directory; file '");
  READS("link.json", "a symbolic link; file '");
  READS("pipe.json", "not a regular file; file '");
  READS("plug", "not a regular file; file '");
  READS("open.json", "everybody may write to it, expected mode 0644 or stricter; file '");
  READS("empty.json", "empty; file '");
  READS("large.json", "larger than 1048576 bytes; file '");
#undef READS
  /* One byte less is read, and is no bundle. */
  files_write("large.json", large, sizeof large - 1);
  finds(HEAD "\"bundles\":[\"large.json\"]}", "2:12 /bundles/0 this bundle is refused: ",
        "large.json");
}

/* Each finding of a bundle, at its entry, with its file. */
static void every_finding_of_a_bundle_is_said(void **state) {
  static char seen[SEEN_MAX]; /* process-wide: a test has one thread */
  (void)state;
  files_text("bad.json", "{\"schema\":\"yoi.bundle/1\",\n\"id\":\"A B\",\n\"colour\":1}\n");
  seen[0] = '\0';
  assert_int_equal(
      yoi__config_load(YOI_LIT(HEAD "\"bundles\":[\"a1.json\",\n\"bad.json\"]}"), NULL, note, seen,
                       NULL, NULL),
      YOI_INVALID_ARGUMENT);
  int lines = 0;
  for (char *line = seen, *end; (end = strchr(line, '\n')) != NULL; line = end + 1, lines++) {
    *end = '\0';
    if (strncmp(line, "3:1 /bundles/1 this bundle is refused: line ", 44) != 0 ||
        strstr(line, "/bad.json'") == NULL)
      fail_msg("%s", line);
    *end = ' ';
  }
  assert_true(lines >= 3);
  assert_non_null(strstr(seen, "line 2 column"));
  assert_non_null(strstr(seen, "'/id'"));
  assert_non_null(strstr(seen, "/colour'"));
}

static void a_name_means_one_thing(void **state) {
  (void)state;
  files_text("same.json", BUNDLE("a", "1", "acme", "2026-01-01T00:00:00Z"));
  files_text("other.json", BUNDLE("a", "1", "acme", "2026-01-01T00:00:01Z"));
  finds(HEAD "\"bundles\":[\"a1.json\",\"a1.json\"]}",
        "2:22 /bundles/1 the same bundle as /bundles/0", "");
  finds(HEAD "\"bundles\":[\"a1.json\",\"b.json\",\"same.json\"]}",
        "2:31 /bundles/2 the same bundle as /bundles/0", "");
  finds(HEAD "\"bundles\":[\"a1.json\",{\"file\":\"other.json\"}]}",
        "2:30 /bundles/1/file bundle 'a' revision '1' is /bundles/0 already, with other bytes", "");
}

static void what_an_entry_says(void **state) {
  (void)state;
  struct yoi__config *c =
      load(HEAD "\"bundles\":[\"a1.json\"],\n" RUNTIME(
          ",\"require_bundle\":\"tools\",\"workspaces\":[\"acme\",\"lab\"],\"bundle\":\"a\","
          "\"default_profile\":\"named:companion\"") "}");
  const struct yoi__config_runtime *r = &c->runtimes[0];
  assert_int_equal(r->require_bundle, YOI__REQUIRE_TOOLS);
  assert_int_equal(r->workspaces.n, 2);
  assert_true(yoi__names_have(&r->workspaces, YOI_LIT("lab")));
  assert_false(yoi__names_have(&r->workspaces, YOI_LIT("la")));
  assert_ptr_equal(r->bundle, &c->bundles[0]);
  assert_int_equal(r->profile_named, 1);
  assert_string_equal(r->default_profile.ptr, "companion");
  yoi__config_free(c);
  c = load(HEAD RUNTIME(",\"require_bundle\":\"always\"") "}");
  assert_int_equal(c->runtimes[0].require_bundle, YOI__REQUIRE_ALWAYS);
  yoi__config_free(c);
}

static void newest(const char *bundles, const char *more, const char *revision) {
  char json[1024];
  (void)snprintf(json, sizeof json, HEAD "\"bundles\":[%s],\n" RUNTIME(",\"bundle\":\"a\"%s") "}",
                 bundles, more);
  struct yoi__config *c = load(json);
  if (!yoi_sdk_str_is(c->runtimes[0].bundle->it->revision, revision))
    fail_msg("%s: expected '%s', found '%.*s'", json, revision,
             YOI_ARG(c->runtimes[0].bundle->it->revision));
  yoi__config_free(c);
}

/* The latest by created_at, then by place, of those that the runtime may have. */
static void the_newest_revision_counts(void **state) {
  (void)state;
  newest("\"a1.json\",\"a2.json\",\"b.json\"", "", "2");
  newest("\"a2.json\",\"b.json\",\"a1.json\"", "", "2");
  newest("\"a2.json\",\"a1.json\",\"a3.json\"", "", "3");
  newest("\"a2.json\",\"a2b.json\"", "", "2b");
  newest("\"a2b.json\",\"a2.json\"", "", "2");
  newest("\"a1.json\",\"a2.json\",\"a3.json\"", ",\"workspaces\":[\"acme\"]", "2");
  newest("\"a1.json\",{\"file\":\"a2.json\",\"runtimes\":[\"other\"]}", "", "1");
  newest("{\"file\":\"a1.json\",\"runtimes\":[\"r\"]},{\"file\":\"a2.json\",\"runtimes\":[]}", "",
         "1");
}

static void entries_that_are_wrong(void **state) {
  (void)state;
  finds(HEAD "\"bundles\":[\"team.json\"],\n" RUNTIME(",\"bundle\":\"teem\"") "}",
        "3:61 /runtimes/0/bundle no bundle has the id 'teem', did you mean 'team'", "");
  finds(HEAD RUNTIME(",\"bundle\":\"a\"") "}",
        "2:61 /runtimes/0/bundle no bundle has the id 'a'", "");
  finds(HEAD "\"bundles\":[\"a1.json\"],\n" RUNTIME(
            ",\"bundle\":\"a\",\"workspaces\":[\"lab\"]") "}",
        "3:61 /runtimes/0/bundle bundle 'a' is not allowed in runtime 'r'", "");
  finds(HEAD "\"bundles\":[{\"file\":\"a1.json\",\"runtimes\":[\"q\"]}],\n" RUNTIME(
            ",\"bundle\":\"a\"") "}",
        "3:61 /runtimes/0/bundle bundle 'a' is not allowed in runtime 'r'", "");
  finds(HEAD "\"bundles\":[\"a1.json\"],\n" RUNTIME(
            ",\"bundle\":\"a\",\"default_profile\":\"builtin:coder\"") "}",
        "3:83 /runtimes/0/default_profile bundle 'a' revision '1' has no profile 'coder'", "");
  finds(HEAD RUNTIME(",\"workspaces\":[\"acme\",\"Acme\"]") "}",
        "2:73 /runtimes/0/workspaces/1 expected 1 to 64 of a-z", "");
  finds(HEAD RUNTIME(",\"workspaces\":[\"acme\",\"acme\"]") "}",
        "2:73 /runtimes/0/workspaces/1 'acme' is there already", "");
  finds(HEAD RUNTIME(",\"workspaces\":[]") "}", "2:65 /runtimes/0/workspaces must not be empty",
        "");
  finds(HEAD RUNTIME(",\"require_bundle\":\"sometimes\"") "}",
        "2:69 /runtimes/0/require_bundle expected one of", "");
  finds(HEAD RUNTIME(",\"default_profile\":\"named:\"") "}",
        "2:70 /runtimes/0/default_profile expected 'builtin:NAME' or 'named:NAME'", "");
  finds(HEAD "\"bundles\":[{\"runtimes\":[]}]}", "2:12 /bundles/0 ", "'file'");
  finds(HEAD "\"bundles\":[{\"file\":\"a1.json\",\"id\":\"a\"}]}", "2:30 /bundles/0/id unknown key",
        "");
  finds(HEAD "\"bundles\":[{\"file\":\"a1.json\",\"runtimes\":[\"R\"]}]}",
        "2:42 /bundles/0/runtimes/0 expected 1 to 64", "");
  finds(HEAD "\"bundles\":[7]}", "2:12 /bundles/0 expected", "");
}

static void as_many_as_there_may_be(void **state) {
  char name[32], text[1024];
  struct yoi_sdk_buf json;
  (void)state;
  for (int more = 0; more < 2; more++) {
    yoi_sdk_buf_init(&json, YOI_CONFIG_BYTES_MAX);
    yoi_sdk_buf_adds(&json, YOI_LIT(HEAD "\"bundles\":["));
    for (int i = 0; i < YOI_HOST_BUNDLES_MAX + more; i++) {
      (void)snprintf(name, sizeof name, "many-%d.json", i);
      (void)snprintf(text, sizeof text, BUNDLE("many", "%d", "acme", "2026-01-01T00:00:00Z"), i);
      files_text(name, text);
      yoi_sdk_buf_addf(&json, "%s\"%s\"", i > 0 ? "," : "", name);
    }
    yoi_sdk_buf_adds(&json, YOI_LIT("]}"));
    if (more) {
      finds(json.data, "2:11 /bundles more than 64 entries", "");
    } else {
      struct yoi__config *c = load(json.data);
      assert_int_equal(c->n_bundles, YOI_HOST_BUNDLES_MAX);
      yoi__config_free(c);
    }
    yoi_sdk_buf_release(&json);
  }
}

/* An entry that comes later is held to the same bundles. */
static void a_runtime_that_is_added_has_them_too(void **state) {
  const struct yoi__config_runtime *added = NULL;
  void *memory = NULL;
  struct yoi_sdk_error e;
  (void)state;
  struct yoi__config *c = load(HEAD "\"bundles\":[\"a1.json\",\"a2.json\"]}");
  assert_int_equal(
      yoi__config_runtime_load(
          c, YOI_LIT("{\"id\":\"n\",\"plugin\":\"dev.yoi.test.ctor\",\"bundle\":\"a\"}"), &added,
          &memory, NULL),
      YOI_OK);
  assert_ptr_equal(added->bundle, &c->bundles[1]);
  yoi__config_memory_free(memory);
  assert_int_equal(
      yoi__config_runtime_load(
          c, YOI_LIT("{\"id\":\"n\",\"plugin\":\"dev.yoi.test.ctor\",\"bundle\":\"b\"}"), &added,
          &memory, yoi_sdk_error_init(&e)),
      YOI_INVALID_ARGUMENT);
  assert_non_null(strstr(e.message, "no bundle has the id 'b'"));
  yoi__config_free(c);
}

static void memory_is_short(void **state) {
  int more = 1;
  (void)state;
  for (uint64_t n = 1; more; n++) {
    struct yoi__config *c = NULL;
    (void)yoi_sdk_mem_fail_at(n);
    yoi_status st = yoi__config_load(
        YOI_LIT("{\"plugin_path\":[],\"bundles\":[\"a1.json\",{\"file\":\"b.json\","
                "\"runtimes\":[\"r\"]}]}"),
        NULL, NULL, NULL, &c, NULL);
    more = yoi_sdk_mem_fail_at(0) >= n;
    assert_true(st == YOI_OK || st == YOI_RESOURCE_EXHAUSTED);
    yoi__config_free(c);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bundles_are_read_and_digested),
      cmocka_unit_test(paths_start_from_the_folder_of_the_config),
      cmocka_unit_test(files_that_are_no_files),
      cmocka_unit_test(every_finding_of_a_bundle_is_said),
      cmocka_unit_test(a_name_means_one_thing),
      cmocka_unit_test(what_an_entry_says),
      cmocka_unit_test(the_newest_revision_counts),
      cmocka_unit_test(entries_that_are_wrong),
      cmocka_unit_test(as_many_as_there_may_be),
      cmocka_unit_test(a_runtime_that_is_added_has_them_too),
      cmocka_unit_test(memory_is_short),
  };
  return cmocka_run_group_tests(tests, setup, NULL);
}
