/* Digest pins with real shared objects: each way in which a file is refused,
 * and that the code that runs is the pinned one, whatever is done to the file
 * between the steps of a load and while one runs. */
#include "host/pin.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sdk/mem.h>
#include <sdk/str.h>

#include "support/files.h"

#define NOBODY 65534
#define OTHER "sha256:0000000000000000000000000000000000000000000000000000000000000000"

/* A folder plug/ with a fresh ctor.so, whose digest is new in this process: what
 * stands behind the sections counts for the digest only. */
static void put(void) {
  static int n; /* process-wide: a test has one thread */
  char tail[32];
  size_t len = 0;
  char *bytes;
  files_directory("plug");
  assert_int_equal(chmod("plug", 0700), 0);
  (void)unlink("plug/ctor.so");
  files_plugin("ctor", "plug/ctor.so");
  bytes = files_read("plug/ctor.so", &len);
  bytes = test_realloc(bytes, len + sizeof tail);
  memset(bytes + len, 0, sizeof tail);
  snprintf(bytes + len, sizeof tail, "%d", n++);
  files_write("plug/ctor.so", bytes, len + sizeof tail);
  test_free(bytes);
}

static struct yoi__catalogue *found(struct yoi__plugin **out) {
  struct yoi__catalogue *c = yoi__catalogue_new();
  assert_non_null(c);
  assert_int_equal(yoi__catalogue_scan(c, "plug", 0, NULL), YOI_OK);
  *out = yoi__catalogue_at(c, 0);
  return c;
}

/* The plugin in plug/, pinned to what is there now. */
static struct yoi__catalogue *pinned(struct yoi__plugin **out) {
  struct yoi__catalogue *c = found(out);
  assert_non_null(*out);
  memcpy((*out)->pin, (*out)->digest, sizeof(*out)->pin);
  return c;
}

/* Where copies go: a folder of this test. */
static int setup(void **state) {
  char here[1024];
  (void)state;
  assert_non_null(getcwd(here, sizeof here - 8));
  files_directory("tmp");
  snprintf(here + strlen(here), 8, "/tmp");
  unsetenv("XDG_RUNTIME_DIR");
  setenv("TMPDIR", here, 1);
  setenv("YOI_TEST_CTOR", "ran", 1);
  (void)unlink("ran");
  return 0;
}

/* Both the check and the load refuse, with these words and no path, run no
 * code, and leave nothing behind. */
static void refuses(struct yoi__plugin *p, const char *words, const char *more) {
  struct yoi__pinned in;
  struct yoi_sdk_error e, again;
  assert_int_equal(yoi__pin_open(p, &in, yoi_sdk_error_init(&e)), YOI_INTERNAL);
  if (strstr(e.message, words) == NULL || strstr(e.message, more) == NULL)
    fail_msg("'%s' says neither '%s' nor '%s'", e.message, words, more);
  assert_non_null(strstr(e.message, "pinned plugin 'dev.yoi.test.ctor': "));
  assert_null(strstr(e.message, "plug/"));
  assert_non_null(strstr(e.private_detail, "plug/ctor.so"));
  assert_int_equal(yoi__plugin_load(p, yoi_sdk_error_init(&again)), YOI_INTERNAL);
  assert_string_equal(again.message, e.message);
  assert_false(files_exist("ran"));
  assert_int_equal(files_count("tmp"), 0);
}

static void a_pinned_plugin_runs_from_a_copy_that_is_gone(void **state) {
  (void)state;
  struct yoi__plugin *p;
  put();
  struct yoi__catalogue *c = pinned(&p);
  assert_int_equal(yoi__plugin_load(p, NULL), YOI_OK);
  assert_true(files_exist("ran"));
  assert_non_null(p->table.runtime.start);
  assert_int_equal(files_count("tmp"), 0);
  yoi__catalogue_free(c);
}

static void the_same_bytes_are_mapped_once(void **state) {
  (void)state;
  struct yoi__plugin *p, *q;
  put();
  struct yoi__catalogue *c = pinned(&p), *d = pinned(&q);
  assert_int_equal(yoi__plugin_load(p, NULL), YOI_OK);
  (void)unlink("ran");
  assert_int_equal(yoi__plugin_load(q, NULL), YOI_OK);
  assert_ptr_equal(p->handle, q->handle);
  assert_false(files_exist("ran"));
  yoi__catalogue_free(c);
  yoi__catalogue_free(d);
}

static void a_file_that_differs_in_one_byte_is_refused(void **state) {
  (void)state;
  struct yoi__plugin *p;
  put();
  struct yoi__catalogue *c = pinned(&p);
  struct yoi_sdk_error e;
  char found[YOI_SDK_DIGEST_SIZE + 16];
  files_patch("plug/ctor.so", "\"1.0.0\"", "\"1.0.1\""); /* since its manifest was read */
  assert_int_equal(yoi__plugin_load(p, yoi_sdk_error_init(&e)), YOI_INTERNAL);
  assert_non_null(strstr(e.message, "field 'digest': expected "));
  assert_non_null(strstr(e.message, p->pin));
  assert_non_null(strstr(e.message, "in its private copy"));
  assert_false(files_exist("ran"));
  assert_int_equal(files_count("tmp"), 0);
  yoi__catalogue_free(c);
  c = pinned(&p); /* the other way round: the pin is of other bytes */
  memcpy(p->pin, OTHER, sizeof p->pin);
  snprintf(found, sizeof found, "found %s", p->digest);
  refuses(p, "expected " OTHER, found);
  yoi__catalogue_free(c);
}

static void a_link_is_refused(void **state) {
  (void)state;
  struct yoi__plugin *p;
  put();
  struct yoi__catalogue *c = pinned(&p);
  assert_int_equal(rename("plug/ctor.so", "plug/real"), 0);
  assert_int_equal(symlink("real", "plug/ctor.so"), 0);
  refuses(p, "field 'type': expected a regular file", "found a symbolic link");
  assert_int_equal(unlink("plug/ctor.so"), 0);
  assert_int_equal(unlink("plug/real"), 0);
  yoi__catalogue_free(c);
}

static void what_is_no_file_is_refused(void **state) {
  (void)state;
  struct yoi__plugin *p;
  put();
  struct yoi__catalogue *c = pinned(&p);
  assert_int_equal(unlink("plug/ctor.so"), 0);
  assert_int_equal(mkfifo("plug/ctor.so", 0600), 0);
  refuses(p, "field 'type': expected a regular file", "found another kind");
  assert_int_equal(unlink("plug/ctor.so"), 0);
  yoi__catalogue_free(c);
}

static void another_users_file_or_folder_is_refused(void **state) {
  (void)state;
  struct yoi__plugin *p;
  put();
  struct yoi__catalogue *c = pinned(&p);
  if (geteuid() != 0) skip(); /* only root gives files away */
  assert_int_equal(chown("plug/ctor.so", NOBODY, NOBODY), 0);
  refuses(p, "field 'owner' of its file: expected root or user 0", "found user 65534");
  yoi__catalogue_free(c);
  put();
  c = pinned(&p);
  assert_int_equal(chown("plug", NOBODY, NOBODY), 0);
  refuses(p, "field 'owner' of its folder: expected root or user 0", "found user 65534");
  assert_int_equal(chown("plug", 0, 0), 0);
  yoi__catalogue_free(c);
}

static void what_others_may_write_is_refused(void **state) {
  (void)state;
  static const struct {
    const char *path, *words, *found;
    mode_t mode;
  } rows[] = {
      {"plug/ctor.so", "field 'mode' of its file: expected no writing", "found 0602", 0602},
      {"plug/ctor.so", "field 'mode' of its file: expected no writing", "found 0620", 0620},
      {"plug", "field 'mode' of its folder: expected no writing", "found 0702", 0702},
      {"plug", "field 'mode' of its folder: expected no writing", "found 1777", 01777},
      {"plug", "field 'mode' of its folder: expected no writing", "found 0770", 0770},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct yoi__plugin *p;
    put();
    struct yoi__catalogue *c = pinned(&p);
    assert_int_equal(chmod(rows[i].path, rows[i].mode), 0);
    refuses(p, rows[i].words, rows[i].found);
    yoi__catalogue_free(c);
  }
}

/* The steps of a load, with an attacker between them. */

static void a_file_that_is_replaced_after_it_was_opened_does_not_run(void **state) {
  (void)state;
  struct yoi__plugin *p;
  struct yoi__pinned in;
  size_t n = 0, m = 0;
  put();
  struct yoi__catalogue *c = pinned(&p);
  char *good = files_read("plug/ctor.so", &n), *copy;
  assert_int_equal(yoi__pin_open(p, &in, NULL), YOI_OK);
  files_text("plug/evil", "these bytes are not the pinned ones");
  assert_int_equal(rename("plug/evil", "plug/ctor.so"), 0);
  assert_int_equal(yoi__pin_copy(p, &in, NULL), YOI_OK);
  copy = files_read(in.path, &m);
  assert_int_equal(m, n);
  assert_memory_equal(copy, good, n);
  assert_int_equal(files_count("tmp"), 1);
  yoi__pin_release(&in);
  assert_int_equal(files_count("tmp"), 0);
  test_free(good);
  test_free(copy);
  yoi__catalogue_free(c);
}

static void a_file_that_is_overwritten_after_it_was_opened_is_refused(void **state) {
  (void)state;
  struct yoi__plugin *p;
  struct yoi__pinned in;
  struct yoi_sdk_error e;
  put();
  struct yoi__catalogue *c = pinned(&p);
  assert_int_equal(yoi__pin_open(p, &in, NULL), YOI_OK);
  files_patch("plug/ctor.so", "\"1.0.0\"", "\"1.0.1\""); /* the same inode */
  assert_int_equal(yoi__pin_copy(p, &in, yoi_sdk_error_init(&e)), YOI_INTERNAL);
  assert_non_null(strstr(e.message, "in its private copy"));
  assert_non_null(strstr(e.message, p->pin));
  yoi__pin_release(&in);
  assert_int_equal(files_count("tmp"), 0);
  yoi__catalogue_free(c);
  put();
  c = pinned(&p);
  assert_int_equal(yoi__pin_open(p, &in, NULL), YOI_OK);
  assert_int_equal(truncate("plug/ctor.so", 4096), 0);
  assert_int_equal(yoi__pin_copy(p, &in, yoi_sdk_error_init(&e)), YOI_INTERNAL);
  assert_non_null(strstr(e.message, "it became shorter"));
  yoi__pin_release(&in);
  assert_int_equal(files_count("tmp"), 0);
  yoi__catalogue_free(c);
}

/* The folder of the copy, as an attacker of this machine would find it. */
static void the_copy_lies_where_nobody_else_gets(void **state) {
  (void)state;
  struct yoi__plugin *p;
  struct yoi__pinned in;
  struct stat sb;
  put();
  struct yoi__catalogue *c = pinned(&p);
  assert_int_equal(yoi__pin_open(p, &in, NULL), YOI_OK);
  assert_int_equal(yoi__pin_copy(p, &in, NULL), YOI_OK);
  assert_int_equal(stat(in.dir, &sb), 0);
  assert_int_equal(sb.st_mode & 07777, 0700);
  assert_int_equal(stat(in.path, &sb), 0);
  assert_int_equal(sb.st_mode & 07777, 0500);
  assert_non_null(strstr(in.path, p->pin + strlen("sha256:")));
  yoi__pin_release(&in);
  yoi__catalogue_free(c);
}

/* The first place that is fit; the others say why they were not. */
static void unsafe_places_are_left_aside(void **state) {
  (void)state;
  struct yoi__plugin *p;
  struct yoi__pinned in;
  char here[1024], open[1100];
  put();
  struct yoi__catalogue *c = pinned(&p);
  assert_non_null(getcwd(here, sizeof here));
  files_directory("loose");
  files_directory("loose/inner");
  assert_int_equal(chmod("loose", 0777), 0); /* others may rename inner */
  snprintf(open, sizeof open, "%s/loose/inner", here);
  const char *const bad[] = {"relative", "/nonexistent", "/proc/self", open};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    setenv("XDG_RUNTIME_DIR", bad[i], 1);
    assert_int_equal(yoi__pin_open(p, &in, NULL), YOI_OK);
    assert_int_equal(yoi__pin_copy(p, &in, NULL), YOI_OK);
    assert_int_equal(strncmp(in.dir, here, strlen(here)), 0);
    assert_null(strstr(in.dir, "loose"));
    yoi__pin_release(&in);
  }
  assert_int_equal(files_count("loose/inner"), 0);
  unsetenv("XDG_RUNTIME_DIR");
  yoi__catalogue_free(c);
}

/* A child that puts good and other bytes at the path as fast as it can; the
 * code that runs is the pinned one in each of many loads. */
static void a_race_never_runs_other_bytes(void **state) {
  (void)state;
  const struct timespec pause = {0, 300000}; /* the swapper leaves room for whole loads */
  struct yoi__plugin *p;
  size_t good_n = 0, evil_n = 0;
  int loaded = 0, refused = 0;
  char *good, *evil;
  pid_t swapper;
  put();
  files_patch("plug/ctor.so", "YOI_TEST_CTOR", "YOI_TEST_EVIL");
  evil = files_read("plug/ctor.so", &evil_n);
  put();
  good = files_read("plug/ctor.so", &good_n);
  struct yoi__catalogue *c = pinned(&p);
  setenv("YOI_TEST_EVIL", "evil", 1);
  swapper = fork();
  assert_true(swapper >= 0);
  if (swapper == 0) {
    pid_t parent = getppid();
    for (unsigned i = 0; getppid() == parent; i++) {
      int fd = open("plug/next", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
      ssize_t n = i % 2 ? write(fd, good, good_n) : write(fd, evil, evil_n);
      close(fd);
      if (n > 0) (void)rename("plug/next", "plug/ctor.so");
      (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
    }
    _exit(0);
  }
  for (int i = 0; i < 200 && (loaded < 5 || refused < 5); i++) {
    int status = 0;
    pid_t child = fork(); /* a process maps the same bytes only once */
    assert_true(child >= 0);
    if (child == 0) _exit(yoi__plugin_load(p, NULL) == YOI_OK ? 0 : 7);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 0) loaded++;
    if (WEXITSTATUS(status) == 7) refused++;
    assert_int_equal(files_exist("ran"), loaded > 0);
    assert_false(files_exist("evil"));
  }
  assert_int_equal(kill(swapper, SIGKILL), 0);
  assert_int_equal(waitpid(swapper, NULL, 0), swapper);
  assert_true(loaded > 0 && refused > 0);
  assert_int_equal(files_count("tmp"), 0);
  test_free(good);
  test_free(evil);
  yoi__catalogue_free(c);
}

static void digests_have_one_form(void **state) {
  (void)state;
  assert_true(yoi__pin_valid(YOI_LIT(OTHER)));
  assert_false(yoi__pin_valid(YOI_LIT("")));
  assert_false(yoi__pin_valid(YOI_LIT("sha256:")));
  assert_false(yoi__pin_valid((yoi_str){OTHER, strlen(OTHER) - 1}));
  assert_false(yoi__pin_valid(YOI_LIT(OTHER "0")));
  assert_false(yoi__pin_valid(
      YOI_LIT("SHA256:0000000000000000000000000000000000000000000000000000000000000000")));
  assert_false(yoi__pin_valid(
      YOI_LIT("sha256:000000000000000000000000000000000000000000000000000000000000000A")));
}

static void memory_may_be_short_anywhere(void **state) {
  (void)state;
  put();
  for (uint64_t n = 1; n < 400; n++) {
    struct yoi__plugin *p;
    struct yoi__catalogue *c = pinned(&p);
    (void)yoi_sdk_mem_fail_at(n);
    yoi_status st = yoi__plugin_load(p, NULL);
    int done = yoi_sdk_mem_fail_at(0) < n;
    yoi__catalogue_free(c);
    assert_int_equal(files_count("tmp"), 0);
    if (!done) continue;
    assert_int_equal(st, YOI_OK);
    return;
  }
  fail_msg("more allocations than expected");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(a_file_that_differs_in_one_byte_is_refused, setup),
      cmocka_unit_test_setup(a_link_is_refused, setup),
      cmocka_unit_test_setup(what_is_no_file_is_refused, setup),
      cmocka_unit_test_setup(another_users_file_or_folder_is_refused, setup),
      cmocka_unit_test_setup(what_others_may_write_is_refused, setup),
      cmocka_unit_test_setup(a_file_that_is_replaced_after_it_was_opened_does_not_run, setup),
      cmocka_unit_test_setup(a_file_that_is_overwritten_after_it_was_opened_is_refused, setup),
      cmocka_unit_test_setup(the_copy_lies_where_nobody_else_gets, setup),
      cmocka_unit_test_setup(unsafe_places_are_left_aside, setup),
      cmocka_unit_test_setup(a_race_never_runs_other_bytes, setup),
      cmocka_unit_test_setup(a_pinned_plugin_runs_from_a_copy_that_is_gone, setup),
      cmocka_unit_test_setup(the_same_bytes_are_mapped_once, setup),
      cmocka_unit_test_setup(digests_have_one_form, setup),
      cmocka_unit_test_setup(memory_may_be_short_anywhere, setup),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
