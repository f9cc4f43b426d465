/* mount_rig.c - a folder of its own for each test, a mount in it, and the tools
 * of files on that mount. */
#include "mount_rig.h"

#include <dirent.h>
#include <ftw.h>
#include <yoi/plugin.h>

static int removed(const char *path, const struct stat *sb, int type, struct FTW *at) {
  (void)sb, (void)type, (void)at;
  (void)remove(path);
  return 0;
}

int mr_setup(void **state) {
  struct mount_rig *g = test_calloc(1, sizeof *g);
  memcpy(g->home, "rig-XXXXXX", sizeof "rig-XXXXXX");
  assert_non_null(mkdtemp(g->home));
  assert_int_equal(chdir(g->home), 0);
  files_directory("m");
  files_directory("outside");
  files_text("outside/secret", "the secret\n");
  mr_config(g, "{}");
  *state = g;
  return 0;
}

void mr_config(struct mount_rig *g, const char *config) {
  const yoi_plugin *plugin = yoi_plugin_entry_v1();
  if (g->th) tool_host_free(g->th);
  g->th = tool_host_new(plugin->get_interface(YOI_LIT(YOI_TOOL_ID)));
  tool_host_mount(g->th, "workspace", "m", 1);
  tool_host_open(g->th, config);
}

int mr_teardown(void **state) {
  struct mount_rig *g = *state;
  tool_result_release(&g->r);
  tool_host_free(g->th);
  assert_int_equal(chdir(".."), 0);
  (void)nftw(g->home, removed, 64, FTW_DEPTH | FTW_PHYS);
  test_free(g);
  return 0;
}

const char *mr_json(const char *args) {
  static char json[YOI_TOOL_ARGUMENTS_MAX]; /* process-wide: a test has one thread */
  size_t n = (size_t)snprintf(json, sizeof json, "{%s}", args);
  assert_true(n < sizeof json);
  for (char *p = json; *p; p++)
    if (*p == '\'') *p = '"';
  return json;
}

static void call(struct mount_rig *g, const char *tool, const char *args) {
  tool_result_release(&g->r);
  tool_host_call(g->th, tool, mr_json(args), "mount:workspace:ro mount:workspace:rw", &g->r);
}

const char *mr_do(struct mount_rig *g, const char *tool, const char *args) {
  call(g, tool, args);
  if (g->r.status != YOI_END) fail_msg("%s {%s}: %s", tool, args, g->r.error.message);
  return g->r.output;
}

const char *mr_fails(struct mount_rig *g, yoi_status st, const char *tool, const char *args) {
  call(g, tool, args);
  if (g->r.status == YOI_END) fail_msg("%s {%s}: %s", tool, args, g->r.output);
  if (g->r.status != st) fail_msg("%s {%s}: %d %s", tool, args, g->r.status, g->r.error.message);
  assert_int_equal(g->r.output_len, 0);
  return g->r.error.message;
}

void mr_has(const char *text, const char *part) {
  if (!strstr(text, part)) fail_msg("'%s' is not in:\n%s", part, text);
}

void mr_lacks(const char *text, const char *part) {
  if (strstr(text, part)) fail_msg("'%s' is in:\n%s", part, text);
}

const char *mr_revision(struct mount_rig *g, const char *path) {
  static char revision[17]; /* process-wide: a test has one thread */
  char args[256];
  snprintf(args, sizeof args, "'path':'%s','limit':1", path);
  const char *at = strstr(mr_do(g, "fs_read", args), "revision ");
  assert_non_null(at);
  snprintf(revision, sizeof revision, "%.16s", at + 9);
  return revision;
}

void mr_file_is(const char *path, const char *content) {
  size_t n;
  if (!content) {
    assert_false(files_exist(path));
    return;
  }
  char *is = files_read(path, &n);
  assert_string_equal(is, content);
  test_free(is);
}

size_t mr_count(const char *path) {
  size_t n = 0;
  DIR *dir = opendir(path);
  assert_non_null(dir);
  while (readdir(dir)) n++;
  closedir(dir);
  return n - 2;
}
