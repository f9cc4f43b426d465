/* test_shelf.c - the files of bundles: whole or not there, and what is done with
 * those that somebody has changed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs_rig.h"

struct seen {
  char digests[8][YOI_SDK_DIGEST_SIZE];
  char bytes[8][64];
  size_t n;
};

static void found(void *ctx, yoi_str digest, yoi_str bytes) {
  struct seen *s = ctx;
  assert_true(s->n < 8);
  snprintf(s->digests[s->n], sizeof *s->digests, "%.*s", YOI_ARG(digest));
  snprintf(s->bytes[s->n++], sizeof *s->bytes, "%.*s", YOI_ARG(bytes));
}

static size_t look(struct fs_rig *r, struct seen *s) {
  *s = (struct seen){.n = 0};
  assert_int_equal(r->store->ops->bundles(r->store, found, s, yoi_sdk_error_init(&r->se)), YOI_OK);
  return s->n;
}

static const char *digest_of(const char *bytes) {
  static char digest[YOI_SDK_DIGEST_SIZE];
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  assert_int_equal(yoi_sdk_sha256(bytes, strlen(bytes), sha), 1);
  yoi_sdk_digest_text(sha, digest);
  return digest;
}

static const char *file_of(const char *bytes, const char *end) {
  static char path[160];
  snprintf(path, sizeof path, "root/bundles/%s.json%s", digest_of(bytes) + 7, end);
  return path;
}

static void a_file_has_the_bytes_and_their_name(void **state) {
  struct fs_rig *r = *state;
  struct seen s;
  char text[64];
  struct stat sb;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  assert_int_equal(look(r, &s), 0);
  assert_int_equal(access("root/bundles", F_OK), -1); /* made when it is needed */
  assert_int_equal(fs_rig_bundle(r, digest_of("one"), "one"), YOI_OK);
  assert_int_equal(fs_rig_bundle(r, digest_of("one"), "one"), YOI_OK);
  assert_int_equal(fs_rig_bundle(r, digest_of("two"), "two"), YOI_OK);
  assert_int_equal(fs_rig_bytes(file_of("one", ""), text, sizeof text), 3);
  assert_memory_equal(text, "one", 3);
  assert_int_equal(stat(file_of("one", ""), &sb), 0);
  assert_int_equal(sb.st_mode & 0777, 0600);
  fs_rig_copy("root", "copy");
  fs_rig_close(r);
  assert_int_equal(fs_rig_open(r, "copy"), YOI_OK); /* as after a kill */
  assert_int_equal(look(r, &s), 2);
  for (size_t i = 0; i < s.n; i++) assert_string_equal(s.digests[i], digest_of(s.bytes[i]));
  assert_int_equal(fs_rig_bundle(r, digest_of("one"), NULL), YOI_OK);
  assert_int_equal(fs_rig_bundle(r, digest_of("one"), NULL), YOI_OK);
  fs_rig_close(r);
  assert_int_equal(fs_rig_open(r, "copy"), YOI_OK);
  assert_int_equal(look(r, &s), 1);
  assert_string_equal(s.bytes[0], "two");
}

static size_t amiss(struct fs_rig *r, const char *part) {
  struct eng_amiss list[ENG_AMISS_MAX];
  size_t n = r->store->ops->amiss(r->store, list), hits = 0;
  for (size_t i = 0; i < n; i++) hits += strstr(list[i].message, part) != NULL;
  return hits;
}

static void what_is_damaged_is_put_aside(void **state) {
  struct fs_rig *r = *state;
  struct seen s;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  assert_int_equal(fs_rig_bundle(r, digest_of("whole"), "whole"), YOI_OK);
  assert_int_equal(fs_rig_bundle(r, digest_of("torn"), "torn"), YOI_OK);
  assert_int_equal(fs_rig_bundle(r, digest_of("link"), "link"), YOI_OK);
  fs_rig_close(r);
  fs_rig_put(file_of("torn", ""), "tor", 3);
  assert_int_equal(unlink(file_of("link", "")), 0);
  assert_int_equal(symlink("/etc/hostname", file_of("link", "")), 0);
  assert_int_equal(mkfifo(file_of("pipe", ""), 0600), 0);
  fs_rig_put(file_of("left over", ".tmp"), "left", 4);
  fs_rig_put("root/bundles/readme", "x", 1);
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  assert_int_equal(look(r, &s), 1);
  assert_string_equal(s.bytes[0], "whole");
  assert_int_equal(amiss(r, "bundle"), 1);
  assert_int_equal(access(file_of("left over", ".tmp"), F_OK), -1);
  assert_int_equal(access(file_of("torn", ""), F_OK), -1);
  assert_int_equal(access("root/bundles/readme", F_OK), 0);
  assert_int_equal(fs_rig_bundle(r, digest_of("torn"), "torn"), YOI_OK); /* put again */
  fs_rig_close(r);
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  assert_int_equal(look(r, &s), 2);
}

static void a_folder_of_another_kind_is_an_error(void **state) {
  struct fs_rig *r = *state;
  struct seen s = {.n = 0};
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  fs_rig_put("root/bundles", "x", 1);
  assert_int_not_equal(fs_rig_bundle(r, digest_of("one"), "one"), YOI_OK);
  assert_int_not_equal(
      r->store->ops->bundles(r->store, found, &s, yoi_sdk_error_init(&r->se)), YOI_OK);
}

static void a_name_is_64_digits(void **state) {
  (void)state;
  char digest[YOI_SDK_DIGEST_SIZE], name[80];
  snprintf(name, sizeof name, "%s.json", digest_of("x") + 7);
  assert_int_equal(fs_shelf_name(name, digest), 1);
  assert_string_equal(digest, digest_of("x"));
  name[3] = 'X';
  assert_int_equal(fs_shelf_name(name, digest), 0);
  assert_int_equal(fs_shelf_name("x.json", digest), 0);
  snprintf(name, sizeof name, "%s.jsom", digest_of("x") + 7);
  assert_int_equal(fs_shelf_name(name, digest), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(a_file_has_the_bytes_and_their_name, fs_rig_setup,
                                      fs_rig_teardown),
      cmocka_unit_test_setup_teardown(what_is_damaged_is_put_aside, fs_rig_setup, fs_rig_teardown),
      cmocka_unit_test_setup_teardown(a_folder_of_another_kind_is_an_error, fs_rig_setup,
                                      fs_rig_teardown),
      cmocka_unit_test(a_name_is_64_digits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
