/* test_attack.c - somebody changes the tree while the tools work in it.
 *
 * A thread swaps a file, or a folder on the way to it, with links that lead out
 * of the mount, as fast as it can, while calls are made. What is outside is never
 * read and never written, whatever each call says.
 */
#include "mount_rig.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CALLS 4000
#else
#define CALLS 20000 /* of each of five tools */
#endif

struct swapper {
  const char *a, *b;
  atomic_int stop;
  atomic_long swaps;
  pthread_t thread;
};

static void *swap(void *ctx) {
  struct swapper *s = ctx;
  while (!atomic_load(&s->stop))
    if (renameat2(AT_FDCWD, s->a, AT_FDCWD, s->b, RENAME_EXCHANGE) == 0)
      atomic_fetch_add(&s->swaps, 1);
  return NULL;
}

static void begin(struct swapper *s, const char *a, const char *b) {
  s->a = a;
  s->b = b;
  atomic_init(&s->stop, 0);
  atomic_init(&s->swaps, 0);
  assert_int_equal(pthread_create(&s->thread, NULL, swap, s), 0);
}

static void end(struct swapper *s) {
  atomic_store(&s->stop, 1);
  pthread_join(s->thread, NULL);
  assert_true(atomic_load(&s->swaps) > 100);
}

/* Makes calls; what they say never has what is outside. How many went well. */
static int calls(struct mount_rig *g, const char *tool, const char *args, int n) {
  int good = 0;
  char json[512];
  snprintf(json, sizeof json, "%s", mr_json(args));
  for (int i = 0; i < n; i++) {
    struct tool_result r;
    tool_host_call(g->th, tool, json, "mount:workspace:rw", &r);
    good += r.status == YOI_END;
    mr_lacks(r.output, "the secret");
    mr_lacks(r.error.message, "the secret");
    tool_result_release(&r);
  }
  return good;
}

static void outside_is_as_it_was(void) {
  assert_int_equal(mr_count("outside"), 1);
  mr_file_is("outside/secret", "the secret\n");
}

static void a_file_becomes_a_link_meanwhile(void **state) {
  struct mount_rig *g = *state;
  struct swapper s;
  files_directory("m/d");
  files_text("m/d/f", "mine\n");
  assert_int_equal(symlink("../../outside/secret", "m/d/l"), 0);
  begin(&s, "m/d/f", "m/d/l");
  int good = calls(g, "fs_read", "'path':'d/f'", CALLS);
  good += calls(g, "fs_grep", "'pattern':'.'", CALLS);
  good += calls(g, "fs_grep", "'pattern':'.','path':'d/f'", CALLS / 4);
  end(&s);
  assert_true(good > 0);
  outside_is_as_it_was();
}

static void a_file_is_written_where_links_come_and_go(void **state) {
  struct mount_rig *g = *state;
  struct swapper s;
  files_directory("m/d");
  assert_int_equal(symlink("../../outside/secret", "m/d/l"), 0);
  for (int round = 0; round < 200; round++) {
    char args[256];
    (void)unlink("m/d/f");
    files_text("m/d/f", "mine\n");
    snprintf(args, sizeof args, "'path':'d/f','content':'x','expected_revision':'%s'",
             mr_revision(g, "d/f"));
    begin(&s, "m/d/f", "m/d/l");
    while (atomic_load(&s.swaps) <= 100) (void)calls(g, "fs_write", args, 1);
    end(&s);
    struct stat sb; /* whichever of the two it is by now */
    if (lstat("m/d/l", &sb) == 0 && !S_ISLNK(sb.st_mode))
      assert_int_equal(renameat2(AT_FDCWD, "m/d/f", AT_FDCWD, "m/d/l", RENAME_EXCHANGE), 0);
    if (lstat("m/d/l", &sb) != 0 || !S_ISLNK(sb.st_mode)) {
      (void)unlink("m/d/l"); /* the link was replaced: never what it leads to */
      assert_int_equal(symlink("../../outside/secret", "m/d/l"), 0);
    }
    outside_is_as_it_was();
  }
  assert_int_equal(mr_count("m/d"), 2); /* no temporary file */
}

static void a_folder_becomes_a_link_meanwhile(void **state) {
  struct mount_rig *g = *state;
  struct swapper s;
  files_directory("m/d");
  files_text("m/d/secret", "mine\n");
  assert_int_equal(symlink("../outside", "m/l"), 0);
  begin(&s, "m/d", "m/l");
  int good = calls(g, "fs_read", "'path':'d/secret'", CALLS);
  good += calls(g, "fs_list", "'path':'d','depth':3", CALLS / 4);
  good += calls(g, "fs_grep", "'pattern':'secret|mine'", CALLS / 4);
  good += calls(g, "fs_glob", "'pattern':'*','path':'d'", CALLS / 4);
  int made = 0;
  for (int i = 0; i < CALLS / 4; i++) {
    char args[128];
    snprintf(args, sizeof args, "'path':'d/new%d','content':'x'", i);
    made += calls(g, "fs_write", args, 1);
    snprintf(args, sizeof args, "'path':'d/e%d/new','content':'x','create_folders':true", i);
    made += calls(g, "fs_write", args, 1);
  }
  end(&s);
  assert_true(good > 0 && made > 0);
  outside_is_as_it_was();
}

static void known_ways_out_lead_nowhere(void **state) {
  struct mount_rig *g = *state;
  static const char *const paths[] = {
      "../outside/secret", "./../outside/secret", "d/../../outside/secret",
      "d/../../../../../../../../etc/passwd", "/etc/passwd", "//etc/passwd", "abs", "rel",
      "root/etc/passwd", "self/root/etc/passwd", "self/cwd/outside/secret", "fd/0", "chain"};
  char here[4096], secret[4200];
  assert_non_null(getcwd(here, sizeof here));
  snprintf(secret, sizeof secret, "%s/outside/secret", here);
  files_directory("m/d");
  assert_int_equal(symlink(secret, "m/abs"), 0);
  assert_int_equal(symlink("../outside/secret", "m/rel"), 0);
  assert_int_equal(symlink("rel", "m/chain"), 0);
  assert_int_equal(symlink("/proc/self/root", "m/root"), 0);
  assert_int_equal(symlink("/proc/self", "m/self"), 0);
  assert_int_equal(symlink("/proc/self/fd", "m/fd"), 0);
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    char args[256];
    snprintf(args, sizeof args, "'path':'%s'", paths[i]);
    assert_int_equal(calls(g, "fs_read", args, 1), 0);
    assert_int_equal(calls(g, "fs_list", args, 1), 0);
    snprintf(args, sizeof args, "'path':'%s','pattern':'.'", paths[i]);
    assert_int_equal(calls(g, "fs_grep", args, 1), 0);
    snprintf(args, sizeof args, "'path':'%s','content':'x','create_folders':true", paths[i]);
    assert_int_equal(calls(g, "fs_write", args, 1), 0);
    snprintf(args, sizeof args, "'path':'%s/new','content':'x','create_folders':true", paths[i]);
    assert_int_equal(calls(g, "fs_write", args, 1), 0);
  }
  outside_is_as_it_was();
}

/* A mount of /proc: its links are magic and lead anywhere. */
static void magic_links_are_not_followed(void **state) {
  struct mount_rig *g = *state;
  tool_host_mount(g->th, "workspace", "/proc/self", 0);
  assert_int_equal(calls(g, "fs_read", "'path':'root/etc/passwd'", 1), 0);
  assert_int_equal(calls(g, "fs_read", "'path':'cwd/outside/secret'", 1), 0);
  assert_int_equal(calls(g, "fs_read", "'path':'exe'", 1), 0);
  assert_int_equal(calls(g, "fs_read", "'path':'status'", 1), 1); /* of 0 bytes, it says */
}

static void *grow(void *ctx) {
  struct swapper *s = ctx;
  int fd = open("m/f", O_WRONLY | O_CLOEXEC);
  for (long i = 0; !atomic_load(&s->stop); i++) {
    if (i % 64 == 0)
      (void)!ftruncate(fd, i % 128 ? 0 : 70000);
    else
      (void)!pwrite(fd, "line\n", 5, (i % 64) * 5);
    atomic_fetch_add(&s->swaps, 1);
  }
  close(fd);
  return NULL;
}

/* It is one content or another, or binary where there is a hole: never more
 * than was read, never something else. */
static void a_file_grows_and_shrinks_while_it_is_read(void **state) {
  struct mount_rig *g = *state;
  struct swapper s;
  files_text("m/f", "line\n");
  atomic_init(&s.stop, 0);
  atomic_init(&s.swaps, 0);
  assert_int_equal(pthread_create(&s.thread, NULL, grow, &s), 0);
  for (int i = 0; i < CALLS / 4; i++) {
    struct tool_result r;
    tool_host_call(g->th, "fs_read", "{\"path\":\"f\"}", "mount:workspace:rw", &r);
    if (r.status != YOI_END) mr_has(r.error.message, "is binary");
    tool_result_release(&r);
  }
  end(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      MR_TEST(a_file_becomes_a_link_meanwhile),
      MR_TEST(a_file_is_written_where_links_come_and_go),
      MR_TEST(a_folder_becomes_a_link_meanwhile),
      MR_TEST(known_ways_out_lead_nowhere),
      MR_TEST(magic_links_are_not_followed),
      MR_TEST(a_file_grows_and_shrinks_while_it_is_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
