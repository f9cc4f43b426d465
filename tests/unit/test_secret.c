/* Secrets: where they may be read from, who gets one, what is refused. */
#include "host/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>
#include <sdk/error.h>
#include <sdk/mem.h>
#include <sdk/str.h>

#include "support/files.h"

static const yoi_str mine[] = {{"key", 3}, {"other", 5}};
static const struct yoi__grants grants = {mine, 1};

static struct yoi__secrets *declare(const char *file, const char *env) {
  struct yoi__secrets *s = yoi__secrets_new(NULL);
  assert_non_null(s);
  assert_int_equal(
      yoi__secrets_declare(s, YOI_LIT("key"), yoi_sdk_str(file), yoi_sdk_str(env), NULL), YOI_OK);
  return s;
}

/* The value of "key" when it is read from a file with these bytes. */
static void reads_as(const char *bytes, size_t n, const char *value) {
  struct yoi__secrets *s = declare("value", "");
  char buf[YOI_SECRET_BYTES_MAX];
  size_t len = 0;
  files_write("value", bytes, n);
  assert_int_equal(yoi__secrets_read(s, NULL), YOI_OK);
  assert_int_equal(yoi__secret_get(s, &grants, YOI_LIT("key"), buf, sizeof buf, &len, NULL),
                   YOI_OK);
  assert_int_equal(len, strlen(value));
  assert_memory_equal(buf, value, len);
  yoi__secrets_free(s);
}

static void expect_refused(const char *file, const char *why) {
  struct yoi__secrets *s = declare(file, "");
  struct yoi_sdk_error e;
  assert_int_equal(yoi__secrets_read(s, yoi_sdk_error_init(&e)), YOI_INVALID_ARGUMENT);
  if (strstr(e.message, why) == NULL) fail_msg("'%s' is not in '%s'", why, e.message);
  assert_non_null(strstr(e.message, "'key'"));
  assert_null(strstr(e.message, file)); /* paths are private */
  assert_non_null(strstr(e.private_detail, file));
  assert_int_equal(yoi__secrets_filled(s, YOI_LIT("key")), 0);
  yoi__secrets_free(s);
}

static void one_line_feed_is_trimmed(void **state) {
  (void)state;
  reads_as("abc", 3, "abc");
  reads_as("abc\n", 4, "abc");
  reads_as("abc\n\n", 5, "abc\n");
  reads_as(" abc ", 5, " abc ");
}

static void bad_files_are_refused(void **state) {
  (void)state;
  static char big[YOI_SECRET_BYTES_MAX + 2];
  memset(big, 'x', sizeof big);
  expect_refused("absent-file", "No such file");
  files_text("empty-file", "\n");
  expect_refused("empty-file", "empty");
  files_write("nul-file", "a\0b", 3);
  expect_refused("nul-file", "NUL");
  files_write("big-file", big, YOI_SECRET_BYTES_MAX + 1);
  expect_refused("big-file", "longer");
  files_write("big-file", big, YOI_SECRET_BYTES_MAX + 2);
  expect_refused("big-file", "longer");
  files_text("open-file", "abc");
  assert_int_equal(chmod("open-file", 0640), 0);
  expect_refused("open-file", "group or others");
  assert_int_equal(chmod("open-file", 0604), 0);
  expect_refused("open-file", "group or others");
  assert_int_equal(symlink("value", "link-file"), 0);
  expect_refused("link-file", "symbolic link");
  files_directory("a-directory");
  assert_int_equal(chmod("a-directory", 0700), 0);
  expect_refused("a-directory", "regular file");
  assert_int_equal(mkfifo("a-fifo", 0600), 0);
  expect_refused("a-fifo", "regular file");
}

/* user::r, then one entry, mask::r, other::-, as the kernel keeps it. 0: this
 * file system has no access lists. */
static int list_on(const char *path, uint16_t tag, uint16_t perm, uint32_t id) {
  const uint32_t none = UINT32_MAX;
  struct entry {
    uint16_t tag, perm;
    uint32_t id;
  };
  struct {
    uint32_t version;
    struct entry e[5];
  } list = {2,
            {{0x01, 4, none},
             {tag == 0x02 ? tag : 0x04, tag == 0x08 ? 0 : perm, tag == 0x02 ? id : none},
             {tag == 0x02 ? 0x04 : tag, tag == 0x08 ? perm : 0, tag == 0x08 ? id : none},
             {0x10, 4, none},
             {0x20, 0, none}}};
  if (tag == 0x04) { /* the group of the file alone */
    list.e[2] = list.e[3];
    list.e[3] = list.e[4];
    return setxattr(path, "system.posix_acl_access", &list, sizeof list - sizeof *list.e, 0) == 0;
  }
  return setxattr(path, "system.posix_acl_access", &list, sizeof list, 0) == 0;
}

static void an_access_list_may_name_this_user_and_nobody_else(void **state) {
  (void)state;
  struct stat sb;
  files_text("listed", "abc");
  if (!list_on("listed", 0x02, 4, geteuid())) {
    print_message("skipped: no access lists here\n");
    skip();
  }
  assert_int_equal(stat("listed", &sb), 0);
  assert_int_equal(sb.st_mode & 0777, 0440);
  struct yoi__secrets *s = declare("listed", "");
  assert_int_equal(yoi__secrets_read(s, NULL), YOI_OK);
  yoi__secrets_free(s);
  assert_int_equal(list_on("listed", 0x02, 4, 54321), 1); /* another user */
  expect_refused("listed", "group or others");
  assert_int_equal(list_on("listed", 0x08, 4, 54321), 1); /* another group */
  expect_refused("listed", "group or others");
  assert_int_equal(list_on("listed", 0x04, 4, 0), 1); /* the file's group */
  expect_refused("listed", "group or others");
}

static void the_largest_value_is_read(void **state) {
  (void)state;
  static char big[YOI_SECRET_BYTES_MAX + 1];
  static char value[YOI_SECRET_BYTES_MAX + 1];
  memset(big, 'x', YOI_SECRET_BYTES_MAX);
  big[YOI_SECRET_BYTES_MAX] = '\n';
  memset(value, 'x', YOI_SECRET_BYTES_MAX);
  reads_as(big, sizeof big, value);
}

static void paths_may_name_variables(void **state) {
  (void)state;
  struct yoi__secrets *s;
  char cwd[1000], buf[16];
  size_t len = 0;
  assert_non_null(getcwd(cwd, sizeof cwd));
  setenv("YOI_TEST_CREDENTIALS", cwd, 1);
  files_text("by-variable", "found\n");
  s = declare("${YOI_TEST_CREDENTIALS}/by-variable", "");
  assert_int_equal(yoi__secrets_read(s, NULL), YOI_OK);
  assert_int_equal(yoi__secret_get(s, &grants, YOI_LIT("key"), buf, sizeof buf, &len, NULL),
                   YOI_OK);
  assert_memory_equal(buf, "found", 5);
  yoi__secrets_free(s);
  unsetenv("YOI_TEST_CREDENTIALS");
  expect_refused("${YOI_TEST_CREDENTIALS}/by-variable", "not set");
}

static void an_unset_variable_is_no_value(void **state) {
  (void)state;
  static const char *const values[] = {NULL, "", "v"};
  for (size_t i = 0; i < 3; i++) {
    struct yoi__secrets *s = declare("", "YOI_TEST_SECRET");
    char buf[8];
    size_t len = 0;
    unsetenv("YOI_TEST_SECRET");
    if (values[i] != NULL) setenv("YOI_TEST_SECRET", values[i], 1);
    assert_int_equal(yoi__secrets_read(s, NULL), YOI_OK);
    assert_int_equal(yoi__secrets_filled(s, YOI_LIT("key")), i == 2);
    assert_int_equal(yoi__secret_get(s, &grants, YOI_LIT("key"), buf, sizeof buf, &len, NULL),
                     i == 2 ? YOI_OK : YOI_NOT_FOUND);
    yoi__secrets_free(s);
  }
}

static void only_granted_names_are_given(void **state) {
  (void)state;
  static const struct yoi__grants both = {mine, 2}, none = {NULL, 0};
  struct yoi__secrets *s = declare("", "YOI_TEST_SECRET");
  char buf[8];
  size_t len = 0;
  setenv("YOI_TEST_SECRET", "value", 1);
  assert_int_equal(yoi__secrets_read(s, NULL), YOI_OK);
  assert_int_equal(yoi__secret_get(s, &none, YOI_LIT("key"), buf, sizeof buf, &len, NULL),
                   YOI_PERMISSION_DENIED);
  assert_int_equal(yoi__secret_get(s, &grants, YOI_LIT("other"), buf, sizeof buf, &len, NULL),
                   YOI_PERMISSION_DENIED);
  assert_int_equal(yoi__secret_get(s, &both, YOI_LIT("other"), buf, sizeof buf, &len, NULL),
                   YOI_PERMISSION_DENIED);
  assert_int_equal(yoi__secret_get(s, &both, YOI_LIT("key"), buf, 4, &len, NULL),
                   YOI_RESOURCE_EXHAUSTED);
  assert_int_equal(len, 5);
  assert_int_equal(yoi__secret_get(s, &both, YOI_LIT("key"), buf, 5, &len, NULL), YOI_OK);
  assert_memory_equal(buf, "value", 5);
  yoi__secrets_free(s);
}

static int failures;
static char last_failure[YOI_ERROR_MESSAGE_MAX];

static void on_failure(void *ctx, const yoi_error *err) {
  assert_ptr_equal(ctx, &failures);
  failures++;
  snprintf(last_failure, sizeof last_failure, "%s", err->message);
}

static void holds(struct yoi__secrets *s, const char *value, uint64_t generation) {
  char buf[64];
  size_t len = 0;
  assert_int_equal(yoi__secret_get(s, &grants, YOI_LIT("key"), buf, sizeof buf, &len, NULL),
                   YOI_OK);
  assert_int_equal(len, strlen(value));
  assert_memory_equal(buf, value, len);
  assert_int_equal(yoi__secret_generation(s, &grants, YOI_LIT("key")), generation);
}

static void refresh(struct yoi__secrets *s, const struct yoi__grants *g) {
  yoi__secrets_refresh(s, g, on_failure, &failures);
}

static void a_file_that_changed_is_read_again(void **state) {
  (void)state;
  static const struct yoi__grants none = {NULL, 0};
  struct yoi__secrets *s = declare("changing", "");
  failures = 0;
  assert_int_equal(yoi__secret_generation(s, &grants, YOI_LIT("key")), 0); /* not read yet */
  files_text("changing", "one");
  assert_int_equal(yoi__secrets_read(s, NULL), YOI_OK);
  holds(s, "one", 1);
  refresh(s, &grants);
  holds(s, "one", 1); /* the same value is no change */
  files_text("changing", "two\n");
  refresh(s, &none); /* only what is granted */
  holds(s, "one", 1);
  refresh(s, &grants);
  holds(s, "two", 2);
  assert_int_equal(yoi__secret_generation(s, &none, YOI_LIT("key")), 0);
  assert_int_equal(yoi__secret_generation(s, &grants, YOI_LIT("other")), 0);
  assert_int_equal(failures, 0);
  yoi__secrets_free(s);
}

static void what_cannot_be_read_again_stays_and_is_said_once(void **state) {
  (void)state;
  struct yoi__secrets *s = declare("fragile", "");
  failures = 0;
  files_text("fragile", "good");
  assert_int_equal(yoi__secrets_read(s, NULL), YOI_OK);
  assert_int_equal(chmod("fragile", 0644), 0);
  refresh(s, &grants);
  refresh(s, &grants);
  assert_int_equal(failures, 1);
  assert_non_null(strstr(last_failure, "'key'"));
  assert_null(strstr(last_failure, "fragile"));
  holds(s, "good", 1);
  assert_int_equal(chmod("fragile", 0600), 0);
  refresh(s, &grants);
  assert_int_equal(unlink("fragile"), 0);
  refresh(s, &grants); /* another failure, since it was well in between */
  assert_int_equal(failures, 2);
  holds(s, "good", 1);
  yoi__secrets_free(s);
}

static void a_variable_is_read_once(void **state) {
  (void)state;
  struct yoi__secrets *s = declare("", "YOI_TEST_SECRET");
  failures = 0;
  setenv("YOI_TEST_SECRET", "one", 1);
  assert_int_equal(yoi__secrets_read(s, NULL), YOI_OK);
  setenv("YOI_TEST_SECRET", "two", 1);
  refresh(s, &grants);
  holds(s, "one", 1);
  assert_int_equal(failures, 0);
  yoi__secrets_free(s);
}

/* 1: the scrubber knows the value now. */
static int is_known(const struct yoi__secrets *s, const char *value) {
  struct yoi__scrub_set *set = yoi__scrub_take(yoi__secrets_scrub(s));
  struct yoi_sdk_buf out;
  yoi_sdk_buf_init(&out, 1024);
  int known = yoi_sdk_scrub_text(yoi__scrub_of(set), yoi_sdk_str(value), 0, &out);
  if (known) assert_string_equal(out.data, "[secret key]");
  yoi_sdk_buf_release(&out);
  yoi__scrub_give(set);
  return known;
}

static void the_scrubber_knows_this_value_and_the_last_ones(void **state) {
  (void)state;
  enum { MORE = YOI_SECRET_PAST_MAX + 3 };
  struct yoi__secrets *s = declare("rotating", "");
  char value[32];
  failures = 0;
  files_text("rotating", "value-number-0");
  assert_null(yoi__scrub_take(yoi__secrets_scrub(s))); /* nothing is, before */
  assert_int_equal(yoi__secrets_read(s, NULL), YOI_OK);
  assert_int_equal(is_known(s, "value-number-0"), 1);
  for (int i = 1; i < MORE; i++) {
    snprintf(value, sizeof value, "value-number-%d", i);
    files_text("rotating", value);
    refresh(s, &grants);
    holds(s, value, (uint64_t)i + 1);
    for (int k = 0; k <= i; k++) {
      snprintf(value, sizeof value, "value-number-%d", k);
      assert_int_equal(is_known(s, value), k >= i - YOI_SECRET_PAST_MAX);
    }
  }
  assert_int_equal(failures, 0);
  yoi__secrets_free(s);
}

/* Or a plugin would have one that the scrubber does not know. */
static void a_value_that_cannot_be_made_known_is_not_taken(void **state) {
  (void)state;
  struct yoi__secrets *s = declare("tight", "");
  files_text("tight", "first-value");
  assert_int_equal(yoi__secrets_read(s, NULL), YOI_OK);
  files_text("tight", "second-value");
  for (uint64_t n = 1;; n++) {
    failures = 0;
    (void)yoi_sdk_mem_fail_at(n);
    refresh(s, &grants);
    (void)yoi_sdk_mem_fail_at(0);
    assert_true(n < 100);
    if (yoi__secret_generation(s, &grants, YOI_LIT("key")) == 2) break;
    holds(s, "first-value", 1);
    assert_int_equal(is_known(s, "first-value"), 1);
  }
  holds(s, "second-value", 2);
  assert_int_equal(is_known(s, "second-value"), 1);
  assert_int_equal(is_known(s, "first-value"), 1);
  yoi__secrets_free(s);
}

static void a_short_value_is_told_once(void **state) {
  (void)state;
  struct yoi__secrets *s = declare("brief-file", "");
  files_text("brief-file", "1234567\n");
  assert_int_equal(yoi__secrets_next_short(s).len, 0); /* it has no value yet */
  assert_int_equal(yoi__secrets_read(s, NULL), YOI_OK);
  assert_int_equal(is_known(s, "1234567"), 0);
  assert_int_equal(yoi_sdk_str_is(yoi__secrets_next_short(s), "key"), 1);
  assert_int_equal(yoi__secrets_next_short(s).len, 0);
  files_text("brief-file", "12345678\n");
  refresh(s, &grants);
  assert_int_equal(yoi__secrets_next_short(s).len, 0);
  assert_int_equal(is_known(s, "12345678"), 1);
  yoi__secrets_free(s);
}

/* ---- one config after another ---------------------------------------------- */

static void has_value(struct yoi__secrets *s, const char *value, uint64_t generation) {
  char buf[64];
  size_t len = 0;
  assert_int_equal(yoi__secret_get(s, &grants, YOI_LIT("key"), buf, sizeof buf, &len, NULL),
                   YOI_OK);
  assert_true(yoi_sdk_str_is((yoi_str){buf, len}, value));
  assert_int_equal(yoi__secret_generation(s, &grants, YOI_LIT("key")), generation);
}

static void what_is_declared_alike_is_one_secret(void **state) {
  (void)state;
  files_text("alike", "first value");
  struct yoi__secrets *before = declare("alike", "");
  assert_int_equal(yoi__secrets_read(before, NULL), YOI_OK);
  files_text("alike", "second value");
  struct yoi__secrets *after = declare("alike", "");
  assert_true(yoi__secrets_same(before, after, YOI_LIT("key")));
  yoi__secrets_join(after, before);
  assert_ptr_equal(yoi__secrets_scrub(before), yoi__secrets_scrub(after));
  assert_int_equal(yoi__secrets_read(after, NULL), YOI_OK);
  has_value(before, "first value", 1); /* nothing has changed so far */
  has_value(after, "first value", 1);
  yoi__secrets_commit(after);
  has_value(before, "second value", 2);
  has_value(after, "second value", 2);
  yoi__secrets_free(before);
  has_value(after, "second value", 2);
  yoi__secrets_free(after);
}

static void one_that_is_refused_leaves_nothing_behind(void **state) {
  (void)state;
  files_text("alike", "first value");
  struct yoi__secrets *before = declare("alike", "");
  assert_int_equal(yoi__secrets_read(before, NULL), YOI_OK);
  files_text("alike", "second value");
  struct yoi__secrets *after = declare("alike", "");
  yoi__secrets_join(after, before);
  assert_int_equal(yoi__secrets_read(after, NULL), YOI_OK);
  yoi__secrets_free(after);
  has_value(before, "first value", 1);
  struct yoi__secrets *other = declare("elsewhere", "");
  assert_false(yoi__secrets_same(before, other, YOI_LIT("key")));
  files_text("elsewhere", "third value");
  yoi__secrets_join(other, before);
  assert_int_equal(yoi__secrets_read(other, NULL), YOI_OK);
  has_value(other, "third value", 1); /* by itself from the begin */
  has_value(before, "first value", 1);
  yoi__secrets_free(before);
  yoi__secrets_free(other);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_line_feed_is_trimmed),
      cmocka_unit_test(bad_files_are_refused),
      cmocka_unit_test(an_access_list_may_name_this_user_and_nobody_else),
      cmocka_unit_test(the_largest_value_is_read),
      cmocka_unit_test(paths_may_name_variables),
      cmocka_unit_test(an_unset_variable_is_no_value),
      cmocka_unit_test(only_granted_names_are_given),
      cmocka_unit_test(a_file_that_changed_is_read_again),
      cmocka_unit_test(what_cannot_be_read_again_stays_and_is_said_once),
      cmocka_unit_test(a_variable_is_read_once),
      cmocka_unit_test(the_scrubber_knows_this_value_and_the_last_ones),
      cmocka_unit_test(a_value_that_cannot_be_made_known_is_not_taken),
      cmocka_unit_test(a_short_value_is_told_once),
      cmocka_unit_test(what_is_declared_alike_is_one_secret),
      cmocka_unit_test(one_that_is_refused_leaves_nothing_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
