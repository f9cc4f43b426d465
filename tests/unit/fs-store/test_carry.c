/* test_carry.c - a worker whose file cannot be written costs no other worker,
 * and loses nothing. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs_rig.h"

#define OTHER 0x0807060504030201u /* another epoch */

/* A file lies where the folder of a's file is to be: nothing in it can be
 * opened, made or removed. */
static void block(const char *root) {
  char path[512], aside[512];
  snprintf(path, sizeof path, "%s", fs_rig_worker(root, "a"));
  *strrchr(path, '/') = '\0';
  snprintf(aside, sizeof aside, "%s/aside", root);
  (void)rename(path, aside);
  fs_rig_put(path, "x", 1);
}

static void unblock(const char *root) {
  char path[512], aside[512];
  snprintf(path, sizeof path, "%s", fs_rig_worker(root, "a"));
  *strrchr(path, '/') = '\0';
  snprintf(aside, sizeof aside, "%s/aside", root);
  assert_int_equal(unlink(path), 0);
  (void)rename(aside, path);
}

static uint64_t log_size(const char *root) {
  char path[512];
  struct stat sb;
  uint64_t size = 0;
  snprintf(path, sizeof path, "%s/log", root);
  DIR *d = opendir(path);
  assert_non_null(d);
  for (const struct dirent *e; (e = readdir(d)) != NULL;) {
    snprintf(path, sizeof path, "%s/log/%s", root, e->d_name);
    if (e->d_name[0] != '.' && stat(path, &sb) == 0) size += (uint64_t)sb.st_size;
  }
  closedir(d);
  return size;
}

static void has(struct fs_rig *r, const char *id, uint64_t records) {
  uint64_t n;
  int i = fs_rig_found(r, id);
  assert_true(i >= 0);
  assert_int_equal(r->found[i].sequence, records);
  assert_int_equal(r->found[i].mark, ENG_MARK_IDLE);
  assert_int_equal(fs_rig_read(r, id, 1, &n), YOI_OK);
  assert_int_equal(n, records);
}

static void more(struct fs_rig *r, const char *id, size_t n) {
  assert_int_equal(fs_rig_append(r, id, n, ENG_MARK_IDLE), YOI_OK);
}

static size_t amiss(struct fs_rig *r) {
  struct eng_amiss list[ENG_AMISS_MAX];
  return r->store->ops->amiss(r->store, list);
}

/* As after kill -9 now: with what stands in the way (then what is in a's file
 * cannot be read), without it, and without an index too. */
static void check_copies(const char *name, uint64_t a, uint64_t b, bool a_has_file) {
  struct fs_rig other;
  for (int i = 0; i < 3; i++) {
    char root[64], index[96];
    snprintf(root, sizeof root, "%s-%d", name, i);
    snprintf(index, sizeof index, "%s/index.jsonl", root);
    fs_rig_copy("root", root);
    if (i > 0) unblock(root);
    if (i > 1) assert_int_equal(unlink(index), 0);
    fs_rig_init(&other);
    for (int round = 0; round < 2; round++) {
      assert_int_equal(fs_rig_open(&other, root), YOI_OK);
      assert_int_equal(other.n_found, 2);
      assert_int_equal(other.found[fs_rig_found(&other, "a")].sequence, a);
      if (i > 0 || !a_has_file) has(&other, "a", a);
      has(&other, "b", b);
      fs_rig_close(&other);
    }
    fs_rig_release(&other);
  }
}

static void the_log_is_shortened_nevertheless(void **state) {
  struct fs_rig *r = *state;
  uint64_t a = 3, b = 1;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  more(r, "a", 2);
  more(r, "b", 1);
  fs_rig_checkpoint(r);
  block("root");
  more(r, "a", 1);
  for (int i = 0; i < 400; i++, b += 8) {
    more(r, "b", 8);
    if (i % 40 != 0) continue;
    fs_rig_checkpoint(r);
    assert_int_equal(amiss(r), 1);
    more(r, "a", 3);
    a += 3;
  }
  assert_true(log_size("root") <= 4 * YOI_STORE_SEGMENT_BYTES_MIN); /* of some 16 */
  check_copies("killed", a, b, true);
  fs_rig_checkpoint(r);
  check_copies("carried", a, b, true);
  unblock("root");
  more(r, "b", 1);
  fs_rig_checkpoint(r);
  assert_int_equal(amiss(r), 0);
  assert_int_equal(access(fs_rig_worker("root", "a"), F_OK), 0);
  has(r, "a", a);
  fs_rig_close(r);
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  has(r, "a", a);
  has(r, "b", b + 1);
}

/* It is in no index as long as it has no file. */
static void one_that_never_had_a_file_stays(void **state) {
  struct fs_rig *r = *state;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  block("root");
  for (uint64_t i = 1; i < 4; i++) {
    more(r, "a", 1);
    more(r, "b", 1);
    fs_rig_checkpoint(r);
    has(r, "a", i);
    fs_rig_close(r); /* the last checkpoint carries too */
    assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
    assert_int_equal(r->n_found, 2);
    has(r, "a", i);
    has(r, "b", i);
  }
  unblock("root");
  fs_rig_close(r);
  assert_int_equal(access(fs_rig_worker("root", "a"), F_OK), 0);
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  has(r, "a", 3);
}

/* The file of a worker that was removed cannot be: the removal holds. */
static void a_removal_is_carried(void **state) {
  struct fs_rig *r = *state;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  more(r, "a", 5);
  more(r, "b", 1);
  fs_rig_checkpoint(r);
  block("root");
  assert_int_equal(fs_rig_remove(r, "a"), YOI_OK);
  for (uint64_t i = 2; i < 5; i++) {
    more(r, "b", 1);
    fs_rig_checkpoint(r);
    fs_rig_close(r);
    assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
    assert_int_equal(r->n_found, 1);
    has(r, "b", i);
  }
  unblock("root");
  fs_rig_close(r);
  assert_int_equal(access(fs_rig_worker("root", "a"), F_OK), -1);
}

/* And another of that id is there: it, and not the one before it. */
static void one_made_anew_is_carried(void **state) {
  struct fs_rig *r = *state;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  more(r, "a", 5);
  more(r, "b", 1);
  fs_rig_checkpoint(r);
  block("root");
  assert_int_equal(fs_rig_remove(r, "a"), YOI_OK);
  more(r, "b", 1);
  fs_rig_checkpoint(r); /* a removal that is alone */
  r->epoch = OTHER;
  more(r, "a", 1);
  more(r, "b", 1);
  fs_rig_checkpoint(r);
  more(r, "a", 1);
  check_copies("killed", 2, 3, false);
  for (uint64_t i = 2; i < 5; i++) {
    more(r, "b", 1);
    fs_rig_checkpoint(r);
    check_copies(i == 2 ? "two" : i == 3 ? "three" : "four", i, i + 2, false);
    fs_rig_close(r);
    assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
    assert_int_equal(r->n_found, 2);
    assert_int_equal(r->found[fs_rig_found(r, "a")].birth.epoch, OTHER);
    has(r, "a", i);
    more(r, "a", 1);
  }
  unblock("root");
  fs_rig_close(r);
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  has(r, "a", 5);
  has(r, "b", 6);
}

/* Only its own operations are refused when it has too much in the log. */
static void what_is_carried_is_bounded(void **state) {
  struct fs_rig *r = *state;
  int tries = 0;
  r->config.checkpoint_bytes = 65536;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  block("root");
  more(r, "a", 1);
  while (fs_rig_append(r, "a", 8, ENG_MARK_IDLE) == YOI_OK) {
    more(r, "b", 1);
    fs_rig_checkpoint(r);
    assert_true(++tries < 1000);
  }
  assert_true(tries > 3);
  uint64_t n = r->found[fs_rig_found(r, "a")].sequence;
  for (uint64_t i = 0; i < 20; i++) {
    more(r, "b", 8);
    fs_rig_checkpoint(r);
  }
  has(r, "a", n);
  unblock("root");
  more(r, "b", 1);
  fs_rig_checkpoint(r);
  more(r, "a", 1);
  has(r, "a", n + 1);
  fs_rig_close(r);
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  has(r, "a", n + 1);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, fs_rig_setup, fs_rig_teardown)
  const struct CMUnitTest tests[] = {
      T(the_log_is_shortened_nevertheless), T(one_that_never_had_a_file_stays),
      T(a_removal_is_carried), T(one_made_anew_is_carried), T(what_is_carried_is_bounded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
