/* test_retain.c - stopped workers that are kept no longer: who they are, and
 * what stays of them. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs_rig.h"

static int setup(void **state) {
  if (fs_rig_setup(state) != 0) return 1;
  struct fs_rig *r = *state;
  r->config.archive = true;
  return 0;
}

/* A worker of n records that is stopped: n seconds after FS_RIG_BORN_S. */
static void add(struct fs_rig *r, const char *id, size_t n) {
  for (; n > 8; n -= 8) assert_int_equal(fs_rig_append(r, id, 8, ENG_MARK_IDLE), YOI_OK);
  assert_int_equal(fs_rig_append(r, id, n, ENG_MARK_STOPPED), YOI_OK);
}

/* Those stopped after less than n seconds have their age. */
static void older_than(struct fs_rig *r, uint64_t n) {
  struct fs_store *s = fs_of(r->store);
  s->config.max_age_s = s->clock->wall_ns(s->host) / 1000000000u - FS_RIG_BORN_S - n;
}

/* Whom it names now, a letter each. */
static const char *named(struct fs_rig *r) {
  static char all[64];
  struct eng_expired x;
  size_t n = 0;
  fs_retain(fs_of(r->store));
  while (r->store->ops->expired(r->store, &x)) {
    assert_int_equal(x.epoch, 0x1122334455667788u);
    all[n++] = x.worker_id[0];
  }
  all[n] = '\0';
  return all;
}

static const char *archived(const char *root, const char *id) {
  static char path[300];
  const char *file = fs_rig_worker(root, id);
  char name[128];
  snprintf(name, sizeof name, "%s", file + strlen(root) + strlen("/workers/"));
  snprintf(path, sizeof path, "%s/archive/%.2s/%s.1122334455667788.jsonl", root, name, id);
  return path;
}

static bool is_same(const char *a, const char *b) {
  static char x[1 << 16], y[1 << 16];
  size_t n = fs_rig_bytes(a, x, sizeof x);
  return n == fs_rig_bytes(b, y, sizeof y) && memcmp(x, y, n) == 0;
}

static void open_with(struct fs_rig *r, const char *root, uint64_t age, uint64_t bytes) {
  r->config.max_age_s = age;
  r->config.max_bytes = bytes;
  assert_int_equal(fs_rig_open(r, root), YOI_OK);
}

static void without_limits_all_stay(void **state) {
  struct fs_rig *r = *state;
  open_with(r, "root", 0, 0);
  assert_false(r->store->expires);
  add(r, "a", 3);
  fs_rig_checkpoint(r);
  assert_string_equal(named(r), "");
  assert_int_equal(access("root/archive", F_OK), -1);
}

static void those_that_are_old_go_and_their_histories_stay(void **state) {
  struct fs_rig *r = *state;
  char kept[300];
  open_with(r, "root", 1000000000, 0);
  add(r, "b", 20);
  add(r, "a", 10);
  add(r, "c", 30);
  assert_int_equal(fs_rig_append(r, "i", 2, ENG_MARK_IDLE), YOI_OK);
  assert_string_equal(named(r), ""); /* they are in the log only */
  fs_rig_checkpoint(r);
  assert_string_equal(named(r), "");
  older_than(r, 20);
  assert_string_equal(named(r), "ab");
  assert_string_equal(named(r), "ab"); /* as long as they are there */
  assert_true(is_same(archived("root", "a"), fs_rig_worker("root", "a")));
  snprintf(kept, sizeof kept, "%s", archived("root", "a"));
  assert_int_equal(fs_rig_remove(r, "a"), YOI_OK);
  assert_string_equal(named(r), "b");
  fs_rig_checkpoint(r);
  assert_int_equal(access(fs_rig_worker("root", "a"), F_OK), -1);
  assert_int_equal(access(kept, F_OK), 0);
  fs_rig_close(r);
  open_with(r, "root", 0, 0);
  assert_int_equal(r->n_found, 3);
}

static void when_they_were_stopped_is_known_after_any_start(void **state) {
  struct fs_rig *r = *state;
  open_with(r, "root", 1000000000, 0);
  add(r, "a", 10);
  fs_rig_checkpoint(r);
  add(r, "b", 20); /* in the log */
  fs_rig_copy("root", "killed");
  fs_rig_copy("root", "rebuilt");
  assert_int_equal(unlink("rebuilt/index.jsonl"), 0);
  fs_rig_close(r);
  const char *const roots[] = {"root", "killed", "rebuilt"};
  for (size_t i = 0; i < 3; i++) {
    open_with(r, roots[i], 1000000000, 0);
    fs_rig_checkpoint(r);
    older_than(r, 15);
    assert_string_equal(named(r), "a");
    older_than(r, 20);
    assert_string_equal(named(r), "ab");
    fs_rig_close(r);
  }
}

static void those_that_are_too_many_go_oldest_first(void **state) {
  struct fs_rig *r = *state;
  struct stat sb;
  uint64_t all = 0;
  static const char *const ids[] = {"d", "a", "c", "b"};
  open_with(r, "root", 0, 1);
  add(r, "d", 40);
  add(r, "a", 10);
  add(r, "c", 30);
  add(r, "b", 20);
  fs_rig_checkpoint(r);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(stat(fs_rig_worker("root", ids[i]), &sb), 0);
    all += (uint64_t)sb.st_size;
  }
  struct fs_config *c = &fs_of(r->store)->config;
  c->max_bytes = all;
  assert_string_equal(named(r), "");
  c->max_bytes = all - 1;
  assert_string_equal(named(r), "a");
  assert_int_equal(stat(fs_rig_worker("root", "a"), &sb), 0);
  c->max_bytes = all - (uint64_t)sb.st_size;
  assert_string_equal(named(r), "a");
  c->max_bytes--;
  assert_string_equal(named(r), "ab");
  c->max_bytes = 1;
  assert_string_equal(named(r), FS_EXPIRED_MAX < 4 ? "ab" : "abcd");
}

static void more_than_are_named_at_a_time(void **state) {
  struct fs_rig *r = *state;
  open_with(r, "root", 1, 0);
  for (char id[2] = "p"; id[0] > 'a'; id[0]--) add(r, id, (size_t)(id[0] - 'a') * 2);
  fs_rig_checkpoint(r);
  const char *all = named(r);
  assert_memory_equal(all, "bcdefghijklmnop", strlen(all));
  assert_int_equal(strlen(all), FS_EXPIRED_MAX < 15 ? FS_EXPIRED_MAX : 15);
}

static void what_cannot_be_archived_stays(void **state) {
  struct fs_rig *r = *state;
  struct eng_amiss amiss[ENG_AMISS_MAX];
  open_with(r, "root", 1, 0);
  add(r, "a", 10);
  add(r, "b", 11);
  fs_rig_checkpoint(r);
  assert_int_equal(mkdir("elsewhere", 0700), 0);
  assert_int_equal(symlink("../elsewhere", "root/archive"), 0);
  assert_string_equal(named(r), "");
  assert_int_equal(r->store->ops->amiss(r->store, amiss), 1);
  assert_string_equal(amiss[0].severity, "warning");
  assert_int_equal(rmdir("elsewhere"), 0); /* nothing was put there */
  assert_int_equal(unlink("root/archive"), 0);
  /* What somebody has put there harms one worker. */
  assert_string_equal(named(r), "ab");
  char there[300];
  snprintf(there, sizeof there, "%s", archived("root", "a"));
  assert_int_equal(unlink(there), 0);
  assert_int_equal(mkdir(there, 0700), 0);
  assert_string_equal(named(r), "b");
  assert_int_equal(r->store->ops->amiss(r->store, amiss), 1);
  assert_int_equal(rmdir(there), 0);
  /* A copy of its history, or of the beginning of it, gives way. */
  fs_rig_put(there, "x", 1);
  assert_string_equal(named(r), "ab");
  assert_true(is_same(there, fs_rig_worker("root", "a")));
  assert_int_equal(r->store->ops->amiss(r->store, amiss), 0);
  /* One that has more does not. */
  char more[1 << 14];
  memset(more, 'x', sizeof more);
  assert_int_equal(unlink(there), 0);
  fs_rig_put(there, more, sizeof more);
  assert_string_equal(named(r), "b");
  r->config.archive = false;
  fs_of(r->store)->config.archive = false;
  assert_string_equal(named(r), "ab");
}

static void a_damaged_one_stays(void **state) {
  struct fs_rig *r = *state;
  open_with(r, "root", 1, 0);
  add(r, "a", 10);
  fs_rig_checkpoint(r);
  fs_of(r->store)->all.next->damaged = true;
  assert_string_equal(named(r), "");
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, fs_rig_teardown)
  const struct CMUnitTest tests[] = {
      T(without_limits_all_stay),
      T(those_that_are_old_go_and_their_histories_stay),
      T(when_they_were_stopped_is_known_after_any_start),
      T(those_that_are_too_many_go_oldest_first),
      T(more_than_are_named_at_a_time),
      T(what_cannot_be_archived_stays),
      T(a_damaged_one_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
