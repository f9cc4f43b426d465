/* test_store.c - a store of files: what was appended is there. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sdk/hard.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yoi/ops.h>

#include "fs_rig.h"

static void has(struct fs_rig *r, const char *id, uint64_t records, enum eng_mark mark) {
  uint64_t n;
  int i = fs_rig_found(r, id);
  assert_true(i >= 0);
  assert_int_equal(r->found[i].sequence, records);
  assert_int_equal(r->found[i].mark, mark);
  assert_int_equal(r->found[i].birth.epoch, 0x1122334455667788u);
  assert_int_equal(r->found[i].birth.keyed, id[0] == 'k');
  if (id[0] == 'k') assert_string_equal((const char *)r->found[i].birth.key, "a key");
  assert_int_equal(fs_rig_read(r, id, 1, &n), YOI_OK);
  assert_int_equal(n, records);
  if (records > 2) {
    assert_int_equal(fs_rig_read(r, id, records - 1, &n), YOI_OK);
    assert_int_equal(n, records);
  }
}

static void fill(struct fs_rig *r) {
  assert_int_equal(fs_rig_append(r, "a", 1, ENG_MARK_IDLE), YOI_OK);
  assert_int_equal(fs_rig_append(r, "key", 1, ENG_MARK_IDLE), YOI_OK);
  assert_int_equal(fs_rig_append(r, "a", 2, ENG_MARK_BUSY), YOI_OK);
  assert_int_equal(fs_rig_append(r, "key", 3, ENG_MARK_STOPPED), YOI_OK);
}

static void a_clean_end_keeps_all(void **state) {
  struct fs_rig *r = *state;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  fill(r);
  has(r, "a", 3, 0);
  fs_rig_close(r);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
    assert_int_equal(r->n_found, 2);
    has(r, "a", 3 + (uint64_t)i, i == 0 ? ENG_MARK_BUSY : ENG_MARK_IDLE);
    has(r, "key", 4, ENG_MARK_STOPPED);
    assert_int_equal(fs_rig_append(r, "a", 1, ENG_MARK_IDLE), YOI_OK);
    fs_rig_close(r);
  }
}

static void a_kill_keeps_all(void **state) {
  struct fs_rig *r = *state;
  char root[16], next[16];
  assert_int_equal(fs_rig_open(r, "root0"), YOI_OK);
  fill(r);
  for (int i = 0; i < 6; i++) {
    snprintf(root, sizeof root, "root%d", i);
    snprintf(next, sizeof next, "root%d", i + 1);
    if (i % 3 == 1) fs_rig_checkpoint(r);
    if (i % 3 == 2) assert_int_equal(fs_rig_append(r, "key", 2, ENG_MARK_IDLE), YOI_OK);
    fs_rig_copy(root, next);
    fs_rig_close(r);
    assert_int_equal(fs_rig_open(r, next), YOI_OK);
    assert_int_equal(r->n_found, 2);
    has(r, "a", 3 + (uint64_t)i, i == 0 ? ENG_MARK_BUSY : ENG_MARK_IDLE);
    assert_int_equal(fs_rig_append(r, "a", 1, ENG_MARK_IDLE), YOI_OK);
  }
  has(r, "key", 8, r->found[fs_rig_found(r, "key")].mark);
}

static void many_records_over_many_segments(void **state) {
  struct fs_rig *r = *state;
  uint64_t n;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  for (int i = 0; i < 600; i++) {
    assert_int_equal(fs_rig_append(r, i % 3 == 0 ? "b" : "a", 1 + (size_t)i % 3, ENG_MARK_IDLE),
                     YOI_OK);
    if (i % 250 == 100) fs_rig_checkpoint(r);
  }
  fs_rig_copy("root", "copy");
  for (int round = 0; round < 2; round++) {
    assert_int_equal(fs_rig_read(r, "a", 1, &n), YOI_OK);
    assert_int_equal(n, 1000);
    for (uint64_t from = 1; from <= 1001; from += 37) {
      assert_int_equal(fs_rig_read(r, "a", from, &n), YOI_OK);
      assert_int_equal(n, 1000);
    }
    r->store->ops->log_rest(r->store, fs_rig_log(r, "a"));
    fs_rig_close(r);
    assert_int_equal(fs_rig_open(r, round == 0 ? "copy" : "root"), YOI_OK);
    has(r, "a", 1000, ENG_MARK_IDLE);
    has(r, "b", 200, ENG_MARK_IDLE);
  }
}

struct writer {
  struct fs_rig *r;
  char id[16];
  pthread_t thread;
  _Atomic unsigned *left;
};

static void *write_many(void *ctx) {
  struct writer *w = ctx;
  for (int i = 0; i < YOI_SDK_HARD(300, 60); i++)
    assert_int_equal(fs_rig_append(w->r, w->id, 1 + (size_t)i % 2, ENG_MARK_IDLE), YOI_OK);
  (*w->left)--;
  return NULL;
}

/* Logs become dirty again while the keeper has them in hand. */
static void checkpoints_lose_nothing_that_comes_meanwhile(void **state) {
  struct fs_rig *r = *state;
  struct writer writers[8];
  _Atomic unsigned left = 8;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  for (int i = 0; i < 8; i++) {
    writers[i] = (struct writer){.r = r, .left = &left};
    snprintf(writers[i].id, sizeof writers[i].id, "w%d", i);
    assert_int_equal(fs_rig_append(r, writers[i].id, 1, ENG_MARK_IDLE), YOI_OK);
  }
  for (int i = 0; i < 8; i++)
    assert_int_equal(pthread_create(&writers[i].thread, NULL, write_many, &writers[i]), 0);
  while (left > 0) fs_rig_checkpoint(r);
  for (int i = 0; i < 8; i++) pthread_join(writers[i].thread, NULL);
  fs_rig_checkpoint(r);
  fs_rig_copy("root", "killed");
  fs_rig_close(r);
  assert_int_equal(fs_rig_open(r, "killed"), YOI_OK);
  for (int i = 0; i < 8; i++)
    has(r, writers[i].id, 1 + YOI_SDK_HARD(450u, 90u), ENG_MARK_IDLE);
}

static void what_was_removed_stays_removed(void **state) {
  struct fs_rig *r = *state;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  fill(r);
  fs_rig_checkpoint(r);
  assert_int_equal(fs_rig_remove(r, "key"), YOI_OK);
  fs_rig_copy("root", "killed");
  assert_int_equal(fs_rig_append(r, "key", 2, ENG_MARK_IDLE), YOI_OK); /* another of that id */
  fs_rig_copy("root", "again");
  fs_rig_checkpoint(r);
  fs_rig_copy("root", "kept");
  fs_rig_close(r);
  assert_int_equal(fs_rig_open(r, "killed"), YOI_OK);
  assert_int_equal(r->n_found, 1);
  has(r, "a", 3, ENG_MARK_BUSY);
  fs_rig_close(r);
  assert_int_equal(access(fs_rig_worker("killed", "key"), F_OK), -1);
  const char *const roots[] = {"again", "kept", "root"};
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(fs_rig_open(r, roots[i]), YOI_OK);
    assert_int_equal(r->n_found, 2);
    has(r, "key", 2, ENG_MARK_IDLE);
    fs_rig_close(r);
    assert_int_equal(fs_rig_open(r, roots[i]), YOI_OK);
    has(r, "key", 2, ENG_MARK_IDLE);
    fs_rig_close(r);
  }
}

/* The log of a store that was killed, cut at every byte of its last lines. */
static void a_torn_end_costs_only_what_was_being_written(void **state) {
  struct fs_rig *r = *state;
  static char bytes[1 << 20];
  char root[32];
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  fill(r);
  fs_rig_sealed("root");
  fs_rig_copy("root", "killed");
  size_t n = fs_rig_bytes(fs_rig_segment("killed"), bytes, sizeof bytes);
  fs_rig_close(r);
  while (n > 0 && bytes[n - 1] == '\0') n--;
  size_t last = n - 1, lines = 0, end_of_3 = 0;
  for (; last > 0 && lines < 6; last--) { /* seal, batch, three records, batch */
    if (bytes[last - 1] != '\n') continue;
    lines++;
    if (lines == 2) end_of_3 = last;
  }
  for (size_t cut = last; cut <= n; cut++) {
    snprintf(root, sizeof root, "cut%zu", cut);
    fs_rig_copy("killed", root);
    fs_rig_put(fs_rig_segment(root), bytes, cut);
    assert_int_equal(fs_rig_open(r, root), YOI_OK);
    assert_int_equal(r->n_found, 2);
    assert_int_equal(r->found[fs_rig_found(r, "a")].sequence, 3);
    has(r, "key", cut >= end_of_3 ? 4 : 1, cut >= end_of_3 ? ENG_MARK_STOPPED : ENG_MARK_IDLE);
    assert_int_equal(fs_rig_append(r, "key", 1, ENG_MARK_IDLE), YOI_OK);
    fs_rig_close(r);
    assert_int_equal(fs_rig_open(r, root), YOI_OK);
    has(r, "key", cut >= end_of_3 ? 5 : 2, ENG_MARK_IDLE);
    fs_rig_close(r);
  }
}

/* All or damaged, and never another's. */
static void each_is_whole_or_corrupt(struct fs_rig *r, const char *where, size_t at) {
  static const struct {
    const char *id;
    uint64_t records;
  } want[] = {{"a", 3}, {"key", 4}};
  int bad = 0;
  for (size_t i = 0; i < 2; i++) {
    uint64_t n;
    int f = fs_rig_found(r, want[i].id);
    if (f < 0) fail_msg("%s, byte %zu: worker %s is gone", where, at, want[i].id);
    yoi_status st = fs_rig_read(r, want[i].id, 1, &n);
    bool corrupt = r->found[f].mark == ENG_MARK_CORRUPT || st == YOI_DATA_LOSS;
    bad += corrupt;
    if (!corrupt && n != want[i].records)
      fail_msg("%s, byte %zu: %s has %d records", where, at, want[i].id, (int)n);
  }
  if (bad > 1) fail_msg("%s, byte %zu: both are corrupt", where, at);
}

/* Every third byte, or those that YOI_FLIP_STEP says; of these, as
 * tests/e2e/lib/sample.py, a part where the same sources are tested again. */
static size_t number_of(const char *variable, size_t otherwise) {
  const char *text = getenv(variable);
  size_t n = text != NULL ? strtoul(text, NULL, 10) : otherwise;
  assert_true(n > 0);
  return n;
}

static void flip_all(struct fs_rig *r, const char *from, const char *path_in) {
  size_t step = number_of("YOI_FLIP_STEP", 3) * number_of("YOI_SAMPLE", 1);
  static char bytes[1 << 20];
  char root[64], path[256];
  snprintf(path, sizeof path, "%s/%s", from, path_in);
  size_t n = fs_rig_bytes(path, bytes, sizeof bytes);
  while (n > 0 && bytes[n - 1] == '\0') n--;
  for (size_t at = 0; at < n; at += step) {
    snprintf(root, sizeof root, "flip-%zu-%s", at, strrchr(path_in, '/') ? "f" : path_in);
    fs_rig_copy(from, root);
    snprintf(path, sizeof path, "%s/%s", root, path_in);
    bytes[at] ^= (char)(1u << (at % 8));
    fs_rig_put(path, bytes, n);
    bytes[at] ^= (char)(1u << (at % 8));
    for (int round = 0; round < 2; round++) {
      assert_int_equal(fs_rig_open(r, root), YOI_OK);
      each_is_whole_or_corrupt(r, path_in, at);
      fs_rig_close(r);
    }
    fs_rig_delete(root);
  }
}

static void a_flipped_bit_costs_one_worker_at_most(void **state) {
  struct fs_rig *r = *state;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  fill(r);
  fs_rig_sealed("root");
  fs_rig_copy("root", "killed");
  fs_rig_close(r);
  flip_all(r, "killed", fs_rig_segment("killed") + strlen("killed/"));
  flip_all(r, "root", "index.jsonl");
  flip_all(r, "root", fs_rig_worker("root", "key") + strlen("root/"));
  flip_all(r, "root", fs_rig_segment("root") + strlen("root/"));
}

static void refused(struct fs_rig *r, const char *root, const char *words) {
  assert_int_not_equal(fs_rig_open(r, root), YOI_OK);
  if (strstr(r->se.message, words) == NULL) fail_msg("'%s' has no '%s'", r->se.message, words);
  assert_null(strstr(r->se.message, root));
  assert_non_null(strstr(r->se.private_detail, root));
}

static void a_store_is_held_by_one(void **state) {
  struct fs_rig *r = *state, other;
  char words[64];
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  fs_rig_init(&other);
  snprintf(words, sizeof words, "held by process %ld", (long)getpid());
  refused(&other, "root", words);
  fs_rig_close(r);
  assert_int_equal(fs_rig_open(&other, "root"), YOI_OK);
  fs_rig_release(&other);
}

static void a_folder_must_be_ours(void **state) {
  struct fs_rig *r = *state;
  assert_int_equal(fs_rig_open(r, "rea1"), YOI_OK);
  fs_rig_close(r);
  assert_int_equal(symlink("rea1", "l1nk"), 0);
  refused(r, "l1nk", "is a symbolic link or no folder");
  refused(r, "l1nk/", "is a symbolic link or no folder");
  fs_rig_put("f1le", "x", 1);
  refused(r, "f1le", "is a symbolic link or no folder");
  assert_int_equal(mkdir("fu11", 0700), 0);
  fs_rig_put("fu11/thing", "x", 1);
  refused(r, "fu11", "has files, but no store.json");
  assert_int_equal(mkdir("0pen", 0700), 0);
  assert_int_equal(chmod("0pen", 0777), 0);
  refused(r, "0pen", "may be written by others");
  fs_rig_put("rea1/store.json", "{\"yoi_store\":2,\"new\":true}\n", 27);
  refused(r, "rea1", "the store has format 2, this version knows 1");
  fs_rig_put("rea1/store.json", "{\"yoi_store\":1,\"st", 18);
  refused(r, "rea1", "has a damaged store.json");
}

static void an_index_that_cannot_be_trusted_is_made_anew(void **state) {
  struct fs_rig *r = *state;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  fill(r);
  fs_rig_close(r);
  fs_rig_copy("root", "old");
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  assert_int_equal(fs_rig_append(r, "a", 3, ENG_MARK_IDLE), YOI_OK);
  fs_rig_close(r);
  fs_rig_copy("root", "lost");
  fs_rig_copy("root", "stale");
  fs_rig_copy("root", "logless");
  assert_int_equal(unlink("lost/index.jsonl"), 0);
  assert_int_equal(rename("old/index.jsonl", "stale/index.jsonl"), 0);
  assert_int_equal(unlink(fs_rig_segment("logless")), 0);
  const char *const roots[] = {"lost", "stale", "logless"};
  for (size_t i = 0; i < 3; i++)
    for (int round = 0; round < 2; round++) {
      assert_int_equal(fs_rig_open(r, roots[i]), YOI_OK);
      assert_int_equal(r->n_found, 2);
      has(r, "a", 6, ENG_MARK_IDLE);
      has(r, "key", 4, ENG_MARK_STOPPED);
      fs_rig_close(r);
    }
}

static void a_file_in_the_place_of_a_new_workers_is_kept(void **state) {
  struct fs_rig *r = *state;
  char path[300];
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  fill(r);
  fs_rig_close(r);
  snprintf(path, sizeof path, "%s", fs_rig_worker("root", "new"));
  *strrchr(path, '/') = '\0';
  (void)mkdir(path, 0700);
  fs_rig_put(fs_rig_worker("root", "new"), "mine\n", 5);
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  assert_int_equal(fs_rig_append(r, "new", 1, ENG_MARK_IDLE), YOI_OK);
  fs_rig_close(r);
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  has(r, "new", 1, ENG_MARK_IDLE);
  snprintf(path, sizeof path, "%s.foreign-0", fs_rig_worker("root", "new"));
  assert_int_equal(access(path, F_OK), 0);
}

static void a_folder_in_the_place_of_a_file_harms_one_worker(void **state) {
  struct fs_rig *r = *state;
  char path[300];
  uint64_t n;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  fill(r);
  fs_rig_checkpoint(r);
  assert_int_equal(unlink(fs_rig_worker("root", "a")), 0);
  assert_int_equal(mkdir(fs_rig_worker("root", "a"), 0700), 0);
  assert_int_equal(fs_rig_append(r, "a", 1, ENG_MARK_IDLE), YOI_OK);
  assert_int_equal(fs_rig_append(r, "key", 1, ENG_MARK_IDLE), YOI_OK);
  fs_rig_checkpoint(r);
  snprintf(path, sizeof path, "%s.foreign-0", fs_rig_worker("root", "a"));
  assert_int_equal(access(path, F_OK), 0);
  for (int round = 0; round < 2; round++) {
    assert_int_equal(fs_rig_read(r, "a", 1, &n), YOI_DATA_LOSS);
    assert_int_equal(n, 0);
    has(r, "key", 5, r->found[fs_rig_found(r, "key")].mark);
    fs_rig_close(r);
    assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
    assert_int_equal(r->found[fs_rig_found(r, "a")].mark, ENG_MARK_CORRUPT);
  }
}

/* A folder in the place of the index: no checkpoint can be whole. */
static void a_log_that_no_checkpoint_takes_is_bounded(void **state) {
  struct fs_rig *r = *state;
  uint64_t n;
  int tries = 0;
  r->config.checkpoint_bytes = 4096;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  assert_int_equal(mkdir("root/index.jsonl", 0700), 0);
  assert_int_equal(fs_rig_append(r, "a", 1, ENG_MARK_IDLE), YOI_OK);
  while (fs_rig_append(r, "b", 8, ENG_MARK_IDLE) == YOI_OK) assert_true(++tries < 1000);
  assert_true(tries > 50);
  assert_int_equal(fs_rig_read(r, "b", 1, &n), YOI_OK);
  assert_int_equal(n, r->found[fs_rig_found(r, "b")].sequence);
  assert_int_equal(rmdir("root/index.jsonl"), 0);
  for (tries = 0; fs_rig_append(r, "b", 1, ENG_MARK_IDLE) != YOI_OK; tries++) {
    assert_true(tries < 10000);
    usleep(1000); /* until the keeper tries again */
  }
  fs_rig_close(r);
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  has(r, "a", 1, ENG_MARK_IDLE);
  has(r, "b", n + 1, ENG_MARK_IDLE);
}

/* An engine that could not open lets its workers go, and that is all. */
static void what_the_engine_lets_go_stays(void **state) {
  struct fs_rig *r = *state;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  fill(r);
  for (int round = 0; round < 2; round++) {
    while (r->n_found > 0)
      r->store->ops->log_free(r->store, r->found[--r->n_found].log);
    fs_rig_close(r);
    assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
    assert_int_equal(r->n_found, 2);
  }
  has(r, "a", 3, ENG_MARK_BUSY);
  has(r, "key", 4, ENG_MARK_STOPPED);
}

/* The index is lost, and a record in the middle of a file is damaged: what is
 * behind it is not written over by what the log has for that worker. */
static void what_is_behind_damage_is_kept(void **state) {
  struct fs_rig *r = *state;
  static char bytes[1 << 16];
  uint64_t n;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  for (int i = 0; i < 6; i++) assert_int_equal(fs_rig_append(r, "a", 1, ENG_MARK_IDLE), YOI_OK);
  fs_rig_close(r); /* the log begins anew */
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  assert_int_equal(fs_rig_append(r, "a", 1, ENG_MARK_IDLE), YOI_OK);
  fs_rig_sealed("root");
  fs_rig_copy("root", "killed");
  fs_rig_close(r);
  assert_int_equal(unlink("killed/index.jsonl"), 0);
  size_t size = fs_rig_bytes(fs_rig_worker("killed", "a"), bytes, sizeof bytes);
  char *third = strstr(bytes, "\"seq\":3");
  assert_non_null(third);
  third[7] = '4';
  fs_rig_put(fs_rig_worker("killed", "a"), bytes, size);
  for (int round = 0; round < 2; round++) {
    assert_int_equal(fs_rig_open(r, "killed"), YOI_OK);
    assert_int_equal(r->found[fs_rig_found(r, "a")].mark, ENG_MARK_CORRUPT);
    assert_int_equal(fs_rig_read(r, "a", 1, &n), YOI_DATA_LOSS);
    assert_int_equal(n, 2);
    fs_rig_close(r);
    assert_true(fs_rig_bytes(fs_rig_worker("killed", "a"), bytes, sizeof bytes) >= size);
    for (int seq = 4; seq <= 6; seq++) {
      char word[24];
      snprintf(word, sizeof word, "\"seq\":%d", seq);
      assert_non_null(strstr(bytes, word));
    }
  }
}

static void a_missing_file_makes_its_worker_corrupt(void **state) {
  struct fs_rig *r = *state;
  uint64_t n;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  fill(r);
  fs_rig_close(r);
  assert_int_equal(unlink(fs_rig_worker("root", "a")), 0);
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  assert_int_equal(fs_rig_read(r, "a", 1, &n), YOI_DATA_LOSS);
  assert_int_equal(n, 0);
  has(r, "key", 4, ENG_MARK_STOPPED);
  struct eng_amiss amiss[ENG_AMISS_MAX];
  assert_int_equal(r->store->ops->amiss(r->store, amiss), 1);
  assert_string_equal(amiss[0].code, "store_corrupt");
  fs_rig_close(r);
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  assert_int_equal(r->found[fs_rig_found(r, "a")].mark, ENG_MARK_CORRUPT);
}

static ino_t index_of(const char *root) {
  char path[300];
  struct stat sb;
  snprintf(path, sizeof path, "%s/index.jsonl", root);
  assert_int_equal(stat(path, &sb), 0);
  return sb.st_ino;
}

static void an_end_costs_nothing_when_nothing_has_changed(void **state) {
  struct fs_rig *r = *state;
  uint64_t n;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  fill(r);
  fs_rig_checkpoint(r);
  ino_t was = index_of("root");
  int kept = open("root/index.jsonl", O_RDONLY | O_CLOEXEC); /* its number is not used again */
  assert_true(kept >= 0);
  fs_rig_close(r);
  assert_int_equal(index_of("root"), was);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
    has(r, "a", 3, ENG_MARK_BUSY);
    has(r, "key", 4, ENG_MARK_STOPPED);
    fs_rig_close(r);
    assert_int_equal(index_of("root"), was);
  }
  assert_int_equal(truncate(fs_rig_worker("root", "a"), 5), 0);
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  assert_int_equal(fs_rig_read(r, "a", 1, &n), YOI_DATA_LOSS);
  fs_rig_close(r);
  assert_int_not_equal(index_of("root"), was);
  close(kept);
}

/* Folders, with something in them, where files are begun. */
static void what_lies_in_the_way_of_new_files_is_moved(void **state) {
  struct fs_rig *r = *state;
  static const char *const ways[] = {"root/index.jsonl.tmp", "root/log/next.tmp"};
  char path[300];
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(mkdir(ways[i], 0700), 0);
    snprintf(path, sizeof path, "%s/theirs", ways[i]);
    fs_rig_put(path, "x", 1);
  }
  fill(r);
  fs_rig_checkpoint(r);
  for (size_t i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s.foreign-0/theirs", ways[i]);
    assert_int_equal(access(path, F_OK), 0);
  }
  fs_rig_close(r);
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  has(r, "a", 3, ENG_MARK_BUSY);
}

/* A sandbox that does not know openat2: a link on the way is not followed. */
static int open_in_a_sandbox(const struct fs_root *root) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {.len = sizeof code / sizeof *code, .filter = code};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    return 10;
  if (fs_open_worker(root, YOI_LIT("key"), O_RDONLY) < 0) return 11;
  if (fs_open_worker(root, YOI_LIT("a"), O_RDWR | O_CREAT) >= 0) return 12;
  return errno == ENOTDIR || errno == ELOOP ? 0 : 13;
}

static void no_link_is_followed_without_openat2(void **state) {
  struct fs_rig *r = *state;
  char path[300];
  int status;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  fill(r);
  fs_rig_checkpoint(r);
  snprintf(path, sizeof path, "%s", fs_rig_worker("root", "a"));
  *strrchr(path, '/') = '\0';
  assert_int_equal(rename(path, "elsewhere"), 0);
  assert_int_equal(symlink("../../elsewhere", path), 0);
  pid_t child = fork();
  if (child == 0) _exit(open_in_a_sandbox(&fs_of(r->store)->root));
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
  fs_rig_close(r);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(rename("elsewhere", path), 0);
}

/* What made it corrupt is put right: it goes on, from the next start on. */
static void a_corrupt_one_may_be_sound_again(void **state) {
  struct fs_rig *r = *state;
  static char bytes[1 << 16];
  char path[300];
  uint64_t n;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  fill(r);
  fs_rig_close(r);
  snprintf(path, sizeof path, "%s", fs_rig_worker("root", "a"));
  for (int how = 0; how < 2; how++) {
    size_t size = fs_rig_bytes(path, bytes, sizeof bytes);
    if (how == 0) { /* bytes that a copy had right */
      bytes[size - 9] ^= 1;
      fs_rig_put(path, bytes, size);
    } else { /* a file that cannot be read, and no index */
      assert_int_equal(rename(path, "aside"), 0);
      assert_int_equal(mkdir(path, 0700), 0);
      assert_int_equal(unlink("root/index.jsonl"), 0);
    }
    for (int round = 0; round < 2; round++) {
      assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
      assert_int_equal(fs_rig_read(r, "a", 1, &n), YOI_DATA_LOSS);
      if (round == 1) assert_int_equal(r->found[fs_rig_found(r, "a")].mark, ENG_MARK_CORRUPT);
      assert_int_not_equal(fs_rig_append(r, "a", 1, ENG_MARK_IDLE), YOI_OK);
      fs_rig_close(r);
    }
    if (how == 0) {
      bytes[size - 9] ^= 1;
      fs_rig_put(path, bytes, size);
    } else {
      assert_int_equal(rmdir(path), 0);
      assert_int_equal(rename("aside", path), 0);
    }
    assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
    has(r, "a", 3 + (uint64_t)how, how == 0 ? ENG_MARK_BUSY : ENG_MARK_IDLE);
    assert_int_equal(fs_rig_append(r, "a", 1, ENG_MARK_IDLE), YOI_OK);
    fs_rig_close(r);
    assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
    has(r, "a", 4 + (uint64_t)how, ENG_MARK_IDLE);
    fs_rig_close(r);
  }
}

static void relaxed_is_written_at_once(void **state) {
  struct fs_rig *r = *state;
  r->config.relaxed = true;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  fill(r);
  fs_rig_copy("root", "killed");
  fs_rig_close(r);
  assert_int_equal(fs_rig_open(r, "killed"), YOI_OK);
  has(r, "key", 4, ENG_MARK_STOPPED);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, fs_rig_setup, fs_rig_teardown)
  const struct CMUnitTest tests[] = {
      T(a_clean_end_keeps_all),
      T(a_kill_keeps_all),
      T(many_records_over_many_segments),
      T(checkpoints_lose_nothing_that_comes_meanwhile),
      T(what_was_removed_stays_removed),
      T(a_torn_end_costs_only_what_was_being_written),
      T(a_flipped_bit_costs_one_worker_at_most),
      T(a_store_is_held_by_one),
      T(a_folder_must_be_ours),
      T(an_index_that_cannot_be_trusted_is_made_anew),
      T(a_file_in_the_place_of_a_new_workers_is_kept),
      T(a_folder_in_the_place_of_a_file_harms_one_worker),
      T(a_log_that_no_checkpoint_takes_is_bounded),
      T(what_the_engine_lets_go_stays),
      T(what_is_behind_damage_is_kept),
      T(a_missing_file_makes_its_worker_corrupt),
      T(an_end_costs_nothing_when_nothing_has_changed),
      T(what_lies_in_the_way_of_new_files_is_moved),
      T(no_link_is_followed_without_openat2),
      T(a_corrupt_one_may_be_sound_again),
      T(relaxed_is_written_at_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
