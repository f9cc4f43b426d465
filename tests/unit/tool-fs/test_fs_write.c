/* test_fs_write.c - whole files: new ones, ones in place of others, and what is
 * left when it cannot be done. */
#include "mount_rig.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void write_as(struct mount_rig *g, const char *path, const char *content,
                     const char *revision) {
  char args[512];
  snprintf(args, sizeof args, "'path':'%s','content':'%s','expected_revision':'%s'", path, content,
           revision);
  (void)mr_do(g, "fs_write", args);
}

static void a_new_file_needs_nothing(void **state) {
  struct mount_rig *g = *state;
  umask(027);
  const char *s = mr_do(g, "fs_write", "'path':'a','content':'one\\ntwo\\n'");
  mr_has(s, "made 'a': 2 lines, 8 bytes, revision ");
  char said[17];
  snprintf(said, sizeof said, "%.16s", strstr(s, "revision ") + 9);
  mr_file_is("m/a", "one\ntwo\n");
  assert_string_equal(mr_revision(g, "a"), said);
  struct stat sb;
  assert_int_equal(stat("m/a", &sb), 0);
  assert_int_equal(sb.st_mode & 07777, 0640);
  umask(022);
  (void)mr_do(g, "fs_write", "'path':'empty','content':''");
  mr_file_is("m/empty", "");
  assert_int_equal(mr_count("m"), 2); /* nothing else */
}

static void a_file_that_is_there_wants_its_revision(void **state) {
  struct mount_rig *g = *state;
  char was[17];
  files_text("m/a", "old\n");
  mr_has(mr_fails(g, YOI_FAILED_PRECONDITION, "fs_write", "'path':'a','content':'new'"),
          "'a' is there already: read it with fs_read, and give the revision");
  memcpy(was, mr_revision(g, "a"), sizeof was);
  files_text("m/a", "other\n");
  char args[256], now[17];
  snprintf(args, sizeof args, "'path':'a','content':'new','expected_revision':'%s'", was);
  mr_has(mr_fails(g, YOI_FAILED_PRECONDITION, "fs_write", args), "'a' has changed since");
  char message[YOI_ERROR_MESSAGE_MAX];
  memcpy(message, g->r.error.message, sizeof message);
  memcpy(now, mr_revision(g, "a"), sizeof now);
  mr_has(message, now);
  mr_file_is("m/a", "other\n");
  write_as(g, "a", "new", now);
  mr_file_is("m/a", "new");
  mr_has(mr_fails(g, YOI_FAILED_PRECONDITION, "fs_write",
                    "'path':'b','content':'x','expected_revision':'0123456789abcdef'"),
          "'b' is not there: leave out expected_revision");
  mr_file_is("m/b", NULL);
}

static void the_mode_is_kept(void **state) {
  struct mount_rig *g = *state;
  struct stat sb;
  files_text("m/a", "old\n");
  assert_int_equal(chmod("m/a", 0751), 0);
  write_as(g, "a", "new", mr_revision(g, "a"));
  assert_int_equal(stat("m/a", &sb), 0);
  assert_int_equal(sb.st_mode & 07777, 0751);
  if (geteuid() != 0) return;
  assert_int_equal(chown("m/a", 12345, 23456), 0);
  write_as(g, "a", "newer", mr_revision(g, "a"));
  assert_int_equal(stat("m/a", &sb), 0);
  assert_int_equal(sb.st_uid, 12345);
  assert_int_equal(sb.st_gid, 23456);
}

static void folders_are_made_when_it_is_said(void **state) {
  struct mount_rig *g = *state;
  mr_has(mr_fails(g, YOI_NOT_FOUND, "fs_write", "'path':'d/e/a','content':'x'"),
          "the folder 'd/e' is not there");
  mr_file_is("m/d", NULL);
  (void)mr_do(g, "fs_write", "'path':'d/e/a','content':'x','create_folders':true");
  mr_file_is("m/d/e/a", "x");
  (void)mr_do(g, "fs_write", "'path':'d/e/b','content':'y','create_folders':true");
  (void)mr_do(g, "fs_write", "'path':'d//f/a','content':'z','create_folders':true");
  mr_file_is("m/d/f/a", "z");
  (void)mr_fails(g, YOI_PERMISSION_DENIED, "fs_write",
                  "'path':'../outside/d/a','content':'x','create_folders':true");
  (void)mr_fails(g, YOI_INVALID_ARGUMENT, "fs_write",
                  "'path':'d/e/a/b','content':'x','create_folders':true");
  assert_int_equal(mr_count("outside"), 1);
}

static void folders_in_each_other_have_a_maximum(void **state) {
  struct mount_rig *g = *state;
  char args[1024] = "'path':'";
  for (int i = 0; i < YOI_FS_DEPTH_MAX; i++) strncat(args, "d/", 3);
  strncat(args, "a','content':'x','create_folders':true", 64);
  (void)mr_do(g, "fs_write", args);
  memcpy(args, "'path':'", 8);
  memmove(args + 10, args + 8, strlen(args + 8) + 1);
  memcpy(args + 8, "d/", 2);
  mr_has(mr_fails(g, YOI_INVALID_ARGUMENT, "fs_write", args), "more than 64 folders");
}

static void what_names_no_file_is_refused(void **state) {
  struct mount_rig *g = *state;
  static const char *const paths[] = {".", "..", "a/", "a/.", "a/..", "/a", "/", "a\\u0000b",
                                      ".yoi-tmp-0123456789abcdef"};
  files_directory("m/a");
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    char args[128];
    snprintf(args, sizeof args, "'path':'%s','content':'x'", paths[i]);
    tool_result_release(&g->r);
    tool_host_call(g->th, "fs_write", mr_json(args), "mount:workspace:rw", &g->r);
    assert_int_not_equal(g->r.status, YOI_END);
  }
  assert_int_equal(mr_count("m"), 1);
  char args[400] = "'content':'x','path':'";
  size_t n = strlen(args);
  memset(args + n, 'n', 256);
  args[n + 256] = '\'';
  mr_has(mr_fails(g, YOI_INVALID_ARGUMENT, "fs_write", args), "longer than files may have");
  args[n + 255] = '\'';
  args[n + 256] = 0;
  (void)mr_do(g, "fs_write", args);
}

static void a_link_is_never_written_through(void **state) {
  struct mount_rig *g = *state;
  struct stat sb;
  files_text("m/a", "one\n");
  assert_int_equal(symlink("a", "m/in"), 0);
  assert_int_equal(symlink("../outside/secret", "m/out"), 0);
  assert_int_equal(symlink("none", "m/dangling"), 0);
  static const char *const links[] = {"in", "out", "dangling"};
  for (size_t i = 0; i < 3; i++) {
    char args[128];
    snprintf(args, sizeof args, "'path':'%s','content':'x'", links[i]);
    mr_has(mr_fails(g, YOI_INVALID_ARGUMENT, "fs_write", args), "is a symbolic link");
  }
  assert_int_equal(link("outside/secret", "m/hard"), 0);
  write_as(g, "hard", "mine", mr_revision(g, "hard"));
  mr_has(g->r.output, "a hard link");
  mr_file_is("m/hard", "mine");
  mr_file_is("outside/secret", "the secret\n");
  assert_int_equal(stat("outside/secret", &sb), 0);
  assert_int_equal(sb.st_nlink, 1);
}

static void what_is_no_file_is_left_alone(void **state) {
  struct mount_rig *g = *state;
  files_directory("m/d");
  assert_int_equal(mkfifo("m/f", 0600), 0);
  mr_has(mr_fails(g, YOI_INVALID_ARGUMENT, "fs_write", "'path':'d','content':'x'"),
          "neither a regular file");
  (void)mr_fails(g, YOI_INVALID_ARGUMENT, "fs_write", "'path':'f','content':'x'");
  if (geteuid() == 0 && mknod("m/null", S_IFCHR | 0666, (1 << 8) | 3) == 0)
    (void)mr_fails(g, YOI_INVALID_ARGUMENT, "fs_write", "'path':'null','content':'x'");
}

static void without_the_grant_or_read_only_nothing_is_written(void **state) {
  struct mount_rig *g = *state;
  const char *args = mr_json("'path':'a','content':'x'");
  struct tool_result r;
  tool_host_call(g->th, "fs_write", args, "mount:workspace:ro", &r);
  assert_int_equal(r.status, YOI_PERMISSION_DENIED);
  tool_result_release(&r);
  tool_host_mount(g->th, "workspace", "m", 0);
  tool_host_call(g->th, "fs_write", args, "mount:workspace:rw", &r);
  assert_int_equal(r.status, YOI_PERMISSION_DENIED);
  tool_result_release(&r);
  assert_int_equal(mr_count("m"), 0);
}

/* A file system without room, as one that may have no larger files is. */
static void a_full_disk_leaves_the_old_file(void **state) {
  struct mount_rig *g = *state;
  struct rlimit was, small;
  char *args = test_calloc(1, 20000);
  files_text("m/a", "old\n");
  int n = snprintf(args, 200, "'path':'a','expected_revision':'%s','content':'",
                   mr_revision(g, "a"));
  memset(args + n, 'x', 10000);
  args[n + 10000] = '\'';
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
  small = (struct rlimit){4096, was.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  const char *s = mr_fails(g, YOI_RESOURCE_EXHAUSTED, "fs_write", args);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
  signal(SIGXFSZ, SIG_DFL);
  mr_has(s, "the disk has no room for it, so nothing was changed");
  mr_file_is("m/a", "old\n");
  assert_int_equal(mr_count("m"), 1);
  test_free(args);
}

/* The same with a real one, in a mount of a child's own; exit code 77: it may
 * not have one. */
static int on_a_small_disk(struct mount_rig *g) {
  char *args = test_calloc(1, 200000);
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("none", "m", "tmpfs", 0, "size=64k") != 0)
    return 77;
  tool_host_mount(g->th, "workspace", "m", 1);
  files_text("m/a", "old\n");
  int n = snprintf(args, 200, "'path':'a','expected_revision':'%s','content':'",
                   mr_revision(g, "a"));
  memset(args + n, 'x', 150000);
  args[n + 150000] = '\'';
  mr_has(mr_fails(g, YOI_RESOURCE_EXHAUSTED, "fs_write", args), "no room");
  mr_file_is("m/a", "old\n");
  assert_int_equal(mr_count("m"), 1);
  assert_int_equal(mount("none", "m", NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
  mr_has(mr_fails(g, YOI_PERMISSION_DENIED, "fs_write", "'path':'b','content':'x'"), "'b'");
  return 0;
}

static void a_small_disk_and_a_read_only_one(void **state) {
  struct mount_rig *g = *state;
  int status;
  pid_t child = fork();
  if (child == 0) _exit(on_a_small_disk(g));
  assert_int_equal(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) skip();
  assert_int_equal(status, 0);
}

static void a_file_that_may_not_be_written_is_not_replaced(void **state) {
  struct mount_rig *g = *state;
  int status;
  files_text("m/a", "old\n");
  assert_int_equal(chmod("m/a", 0444), 0);
  assert_int_equal(chmod("m", 0777), 0);
  assert_int_equal(chmod(".", 0755), 0);
  char args[256];
  snprintf(args, sizeof args, "'path':'a','content':'x','expected_revision':'%s'",
           mr_revision(g, "a"));
  pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0) _exit(77);
    mr_has(mr_fails(g, YOI_PERMISSION_DENIED, "fs_write", args), "cannot write 'a'");
    _exit(0);
  }
  assert_int_equal(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) skip();
  assert_int_equal(status, 0);
  mr_file_is("m/a", "old\n");
}

static void a_call_that_is_cancelled_changes_nothing(void **state) {
  struct mount_rig *g = *state;
  struct tool_result r;
  struct tool_call *c = tool_call_start(g->th, "fs_write", mr_json("'path':'a','content':'x'"),
                                        "mount:workspace:rw", 0, &r);
  tool_call_cancel(c);
  tool_call_finish(c, &r);
  assert_int_equal(r.status, YOI_CANCELLED);
  tool_result_release(&r);
  assert_int_equal(mr_count("m"), 0);
}

/* Whoever is killed in the middle leaves a file that is told apart. */
static void what_a_kill_leaves_behind_is_not_listed(void **state) {
  struct mount_rig *g = *state;
  files_text("m/.yoi-tmp-0123456789abcdef", "half");
  files_text("m/.yoi-tmp-mine", "a name that only looks like it");
  const char *s = mr_do(g, "fs_list", "");
  mr_lacks(s, "0123456789abcdef");
  mr_has(s, ".yoi-tmp-mine");
  mr_lacks(mr_do(g, "fs_grep", "'pattern':'half'"), ":half");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      MR_TEST(a_new_file_needs_nothing),
      MR_TEST(a_file_that_is_there_wants_its_revision),
      MR_TEST(the_mode_is_kept),
      MR_TEST(folders_are_made_when_it_is_said),
      MR_TEST(folders_in_each_other_have_a_maximum),
      MR_TEST(what_names_no_file_is_refused),
      MR_TEST(a_link_is_never_written_through),
      MR_TEST(what_is_no_file_is_left_alone),
      MR_TEST(without_the_grant_or_read_only_nothing_is_written),
      MR_TEST(a_full_disk_leaves_the_old_file),
      MR_TEST(a_small_disk_and_a_read_only_one),
      MR_TEST(a_file_that_may_not_be_written_is_not_replaced),
      MR_TEST(a_call_that_is_cancelled_changes_nothing),
      MR_TEST(what_a_kill_leaves_behind_is_not_listed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
