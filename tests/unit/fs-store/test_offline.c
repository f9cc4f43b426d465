/* The verbs on a store that no host holds: their options, what they say, and
 * that they agree with the store itself, whatever happened to a byte of it. */
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs_rig.h"
#include "runtimes/fs-store/offline.h"

#define SEGMENT_MAX 300000 /* of the rig, with what is written ahead */
#define STRIDE 41 /* of bytes that are hurt; each costs a repair and two starts */

/* ---- a run, and what it said ----------------------------------------------------- */

struct heard {
  yoi_offline_sink sink;
  struct yoi_sdk_error se;
  int outputs, errors, warnings, infos, summaries;
  int stop_after; /* things said; 0: never */
  char first[256], last_output[512];
};

static yoi_status say(void *ctx, uint32_t kind, yoi_str json) {
  struct heard *h = ctx;
  yoi_sdk_json *tree = NULL;
  yoi_str severity = {0}, message = {0};
  assert_int_equal(yoi_sdk_json_parse(json, 0, &tree, NULL), YOI_OK);
  assert_null(memchr(json.ptr, '\n', json.len));
  (void)yoi_sdk_json_str(yoi_sdk_json_get(tree, "severity"), &severity);
  if (kind == YOI_OFFLINE_OUTPUT) {
    h->outputs++;
    snprintf(h->last_output, sizeof h->last_output, "%.*s", YOI_ARG(json));
  } else {
    assert_true(yoi_sdk_json_str(yoi_sdk_json_get(tree, "message"), &message) && message.len > 0);
  }
  if (kind == YOI_OFFLINE_SUMMARY) h->summaries++;
  if (kind == YOI_OFFLINE_FINDING) {
    h->errors += yoi_sdk_str_is(severity, "error");
    h->warnings += yoi_sdk_str_is(severity, "warning");
    h->infos += yoi_sdk_str_is(severity, "info");
    if (h->errors == 1 && yoi_sdk_str_is(severity, "error") && h->first[0] == '\0')
      snprintf(h->first, sizeof h->first, "%.*s", YOI_ARG(json));
  }
  yoi_sdk_json_free(tree);
  return h->stop_after > 0 && --h->stop_after == 0 ? YOI_CANCELLED : YOI_OK;
}

/* Hears without memory of its own. */
static yoi_status count(void *ctx, uint32_t kind, yoi_str json) {
  struct heard *h = ctx;
  assert_true(json.len > 0);
  h->outputs += kind == YOI_OFFLINE_OUTPUT;
  h->errors += kind == YOI_OFFLINE_FINDING && memmem(json.ptr, json.len, "\"error\"", 7) != NULL;
  return YOI_OK;
}

static yoi_status progress(void *ctx, yoi_str what, uint64_t done, uint64_t total) {
  (void)ctx;
  assert_true(what.len > 0 && (total == 0 || done <= total));
  return YOI_OK;
}

static yoi_status run(struct heard *h, const char *verb, const char *options) {
  int stop_after = h->stop_after;
  *h = (struct heard){.stop_after = stop_after};
  h->sink = (yoi_offline_sink){.size = sizeof h->sink, .ctx = h, .say = say, .progress = progress};
  return fs_offline_table.run(YOI_LIT("{\"root\":\"root\"}"), yoi_sdk_str(verb),
                              yoi_sdk_str(options), &h->sink, yoi_sdk_error_init(&h->se));
}

/* a: 1 + 2 in the file, 3 in the log; key: 2 and 2; gone was removed; late is
 * in the log only. The same bytes as `kept`. */
static void make(struct fs_rig *r) {
  assert_int_equal(fs_rig_open(r, "made"), YOI_OK);
  assert_int_equal(fs_rig_append(r, "a", 1, ENG_MARK_IDLE), YOI_OK);
  assert_int_equal(fs_rig_append(r, "key", 2, ENG_MARK_IDLE), YOI_OK);
  assert_int_equal(fs_rig_append(r, "gone", 2, ENG_MARK_IDLE), YOI_OK);
  assert_int_equal(fs_rig_append(r, "a", 2, ENG_MARK_BUSY), YOI_OK);
  fs_rig_checkpoint(r);
  assert_int_equal(fs_rig_append(r, "a", 3, ENG_MARK_IDLE), YOI_OK);
  assert_int_equal(fs_rig_remove(r, "gone"), YOI_OK);
  assert_int_equal(fs_rig_append(r, "key", 2, ENG_MARK_STOPPED), YOI_OK);
  assert_int_equal(fs_rig_append(r, "late", 2, ENG_MARK_IDLE), YOI_OK);
  fs_rig_sealed("made");
  fs_rig_copy("made", "kept");
  fs_rig_close(r);
  fs_rig_copy("kept", "root");
}

static void again(void) {
  fs_rig_delete("root");
  fs_rig_copy("kept", "root");
}

/* Opens it as a host does: all that is found can be read, from 1 on, and is
 * what was appended. */
static uint64_t records(struct fs_rig *r, int *out_corrupt) {
  uint64_t sum = 0, n;
  *out_corrupt = 0;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  for (size_t i = 0; i < r->n_found; i++) {
    *out_corrupt += r->found[i].mark == ENG_MARK_CORRUPT;
    if (r->found[i].mark == ENG_MARK_CORRUPT) continue;
    assert_int_equal(fs_rig_read(r, r->found[i].id, 1, &n), YOI_OK);
    assert_int_equal(n, r->found[i].sequence);
    sum += n;
  }
  fs_rig_close(r);
  return sum;
}

static uint64_t counted(struct heard *h) {
  int64_t n = -1;
  assert_int_equal(run(h, "stat", "{}"), YOI_OK);
  assert_int_equal(h->outputs, 1);
  (void)yoi_sdk_json_raw_int(yoi_sdk_json_raw_get(yoi_sdk_str(h->last_output), "records"), &n);
  return (uint64_t)n;
}

/* ---- options ------------------------------------------------------------------------ */

static void an_option_that_a_verb_does_not_have_is_named(void **state) {
  static const struct {
    const char *verb, *options, *said;
  } bad[] = {
      {"check", "{\"worker\":\"a\"}", "'check' has no option 'worker'"},
      {"check", "{\"apply\":true}", "'check' has no option 'apply'"},
      {"repair", "{\"to\":\"x\"}", "'repair' has no option 'to'"},
      {"stat", "{\"private\":true}", "'stat' has no option 'private'"},
      {"export", "{\"fast\":true}", "'export' has no option 'fast'"},
      {"repair", "{\"apply\":1}", "option 'apply': expected true or false"},
      {"export", "{\"to\":\"\"}", "option 'to': expected a text"},
      {"cat", "{\"worker\":7}", "option 'worker': expected a text"},
      {"cat", "{\"worker\":\"../a\"}", "option 'worker': expected the id of a worker"},
      {"cat", "{}", "'cat' needs the option 'worker'"},
  };
  struct heard h = {0};
  make(*state);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(run(&h, bad[i].verb, bad[i].options), YOI_INVALID_ARGUMENT);
    assert_string_equal(h.se.message, bad[i].said);
    assert_int_equal(h.outputs + h.errors + h.summaries, 0);
  }
  assert_int_equal(run(&h, "burn", "{}"), YOI_UNIMPLEMENTED);
  assert_int_equal(run(&h, "repair", "{\"apply\":false}"), YOI_OK);
  assert_int_equal(run(&h, "cat", "{\"worker\":\"gone\"}"), YOI_NOT_FOUND);
  assert_int_equal(run(&h, "cat", "{\"worker\":\"late\",\"private\":true}"), YOI_OK);
  assert_int_equal(h.outputs, 2);
}

/* ---- sound ----------------------------------------------------------------------------- */

static void a_sound_store_is_counted_as_a_start_counts_it(void **state) {
  struct heard h = {0};
  int corrupt;
  make(*state);
  assert_int_equal(run(&h, "check", "{}"), YOI_OK);
  assert_int_equal(h.errors + h.warnings + h.infos, 0);
  assert_int_equal(h.summaries, 1);
  assert_int_equal(counted(&h), 6 + 4 + 2);
  assert_int_equal(run(&h, "export", "{}"), YOI_OK);
  assert_int_equal(h.outputs, 12 + 2);
  assert_string_equal(h.last_output, "{\"end\":{\"workers\":3,\"records\":12}}");
  assert_int_equal(run(&h, "compact", "{\"apply\":true}"), YOI_OK);
  assert_int_equal(counted(&h), 12);
  assert_int_equal(run(&h, "check", "{}"), YOI_OK);
  assert_int_equal(h.errors + h.warnings, 0);
  assert_int_equal(records(*state, &corrupt), 12);
  assert_int_equal(corrupt, 0);
  /* A start after it changed the log; nothing is amiss. */
  assert_int_equal(run(&h, "check", "{}"), YOI_OK);
  assert_int_equal(h.errors + h.warnings, 0);
}

static void a_store_that_was_never_used_is_sound(void **state) {
  struct heard h = {0};
  assert_int_equal(fs_rig_open(*state, "root"), YOI_OK);
  fs_rig_copy("root", "early");
  fs_rig_close(*state);
  assert_int_equal(run(&h, "check", "{}"), YOI_OK);
  assert_int_equal(h.errors + h.warnings, 0);
  fs_rig_delete("root");
  fs_rig_copy("early", "root");
  assert_int_equal(run(&h, "check", "{}"), YOI_OK);
  assert_int_equal(h.errors + h.warnings, 0);
  assert_int_equal(run(&h, "compact", "{\"apply\":true}"), YOI_OK);
  assert_int_equal(run(&h, "check", "{}"), YOI_OK);
}

/* ---- a byte that is another -------------------------------------------------------------- */

/* What check says is what a start sees, and a repair leaves nothing to say. */
static void agree(struct fs_rig *r, size_t at) {
  struct heard h = {0};
  int corrupt;
  yoi_status st = run(&h, "check", "{}");
  if (st != YOI_OK && st != YOI_DATA_LOSS)
    fail_msg("byte %zu: check answers %d: %s", at, (int)st, h.se.message);
  assert_int_equal(st == YOI_OK, h.errors == 0);
  uint64_t before = counted(&h);
  if (st == YOI_OK) {
    uint64_t n = records(r, &corrupt);
    if (n != before || corrupt > 0)
      fail_msg("byte %zu: sound, and a start finds %llu records of %llu, %d corrupt", at,
               (unsigned long long)n, (unsigned long long)before, corrupt);
    return;
  }
  if (run(&h, "repair", "{\"apply\":true}") != YOI_OK)
    fail_msg("byte %zu: repair: %s %s", at, h.se.message, h.first);
  assert_true(h.infos > 0);
  if (run(&h, "check", "{}") != YOI_OK) fail_msg("byte %zu: after a repair: %s", at, h.first);
  if (counted(&h) != before) fail_msg("byte %zu: a repair lost what could be read", at);
  uint64_t n = records(r, &corrupt);
  if (n != before || corrupt > 0)
    fail_msg("byte %zu: repaired, and a start finds %llu records of %llu, %d corrupt", at,
             (unsigned long long)n, (unsigned long long)before, corrupt);
}

static void hurt_each_byte(struct fs_rig *r, const char *path, size_t offset) {
  static char bytes[SEGMENT_MAX];
  char file[256];
  snprintf(file, sizeof file, "%s", path);
  size_t n = fs_rig_bytes(file, bytes, sizeof bytes);
  while (n > 0 && bytes[n - 1] == '\0') n--; /* written ahead */
  assert_true(n > 0);
  size_t whole = fs_rig_bytes(file, bytes, sizeof bytes);
  for (size_t at = offset; at < n; at += STRIDE) {
    again();
    bytes[at] ^= 1;
    fs_rig_put(file, bytes, whole);
    bytes[at] ^= 1;
    agree(r, at);
  }
}

static void a_byte_of_the_log(void **state) {
  make(*state);
  hurt_each_byte(*state, fs_rig_segment("root"), 0);
}

static void a_byte_of_a_workers_file(void **state) {
  make(*state);
  hurt_each_byte(*state, fs_rig_worker("root", "a"), 1);
}

static void a_byte_of_the_index(void **state) {
  make(*state);
  hurt_each_byte(*state, "root/index.jsonl", 2);
}

static void a_byte_of_the_format(void **state) {
  struct heard h = {0};
  static char bytes[256];
  make(*state);
  size_t n = fs_rig_bytes("root/store.json", bytes, sizeof bytes);
  for (size_t at = 0; at < n; at += 5) {
    int corrupt;
    again();
    bytes[at] ^= 1;
    fs_rig_put("root/store.json", bytes, n);
    bytes[at] ^= 1;
    yoi_status st = run(&h, "check", "{}");
    if (st == YOI_FAILED_PRECONDITION) continue; /* a newer version, by this byte */
    assert_int_equal(st, YOI_DATA_LOSS);
    assert_int_equal(run(&h, "repair", "{\"apply\":true}"), YOI_OK);
    assert_int_equal(run(&h, "check", "{}"), YOI_OK);
    assert_int_equal(records(*state, &corrupt), 12);
  }
}

static void a_log_that_ends_anywhere(void **state) {
  static char bytes[SEGMENT_MAX];
  char file[256];
  make(*state);
  snprintf(file, sizeof file, "%s", fs_rig_segment("root"));
  size_t n = fs_rig_bytes(file, bytes, sizeof bytes);
  while (n > 0 && bytes[n - 1] == '\0') n--;
  for (size_t at = 0; at < n; at += STRIDE) {
    again();
    fs_rig_put(file, bytes, at);
    agree(*state, at);
  }
}

/* In the place of a file that is lost, and of one that is to be made. */
static void folders_in_the_way_are_moved(void **state) {
  static const char *const ids[] = {"key", "late"};
  struct heard h = {0};
  char path[300];
  make(*state);
  for (size_t i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s", fs_rig_worker("root", ids[i]));
    if (i == 0) assert_int_equal(unlink(path), 0);
    *strrchr(path, '/') = '\0';
    (void)mkdir(path, 0700);
    assert_int_equal(mkdir(fs_rig_worker("root", ids[i]), 0700), 0);
  }
  assert_int_equal(mkdir("root/index.jsonl.tmp", 0700), 0);
  assert_int_equal(run(&h, "check", "{}"), YOI_DATA_LOSS);
  assert_int_equal(run(&h, "repair", "{\"apply\":true}"), YOI_OK);
  assert_int_equal(run(&h, "check", "{}"), YOI_OK);
  for (size_t i = 0; i < 2; i++) {
    snprintf(path, sizeof path, "%s.foreign-0", fs_rig_worker("root", ids[i]));
    assert_int_equal(access(path, F_OK), 0);
  }
}

/* ---- stopping, and memory ------------------------------------------------------------------ */

static void a_run_stops_when_it_is_told_to(void **state) {
  struct heard h = {0};
  make(*state);
  h.stop_after = 3;
  assert_int_equal(run(&h, "export", "{}"), YOI_CANCELLED);
  assert_int_equal(h.outputs, 3);
  h.stop_after = 1;
  assert_int_equal(run(&h, "compact", "{\"apply\":true}"), YOI_CANCELLED);
  h.stop_after = 0;
  assert_int_equal(run(&h, "check", "{}"), YOI_OK);
  assert_int_equal(counted(&h), 12);
}

static void no_allocation_that_fails_is_a_lie(void **state) {
  static const char *const verbs[] = {"check", "export", "stat", "compact"};
  struct heard h = {0};
  make(*state);
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
    const char *options = i == 3 ? "{\"apply\":true}" : "{}";
    uint64_t n = 0, made;
    yoi_status st;
    do {
      if (i == 3) again();
      yoi_sdk_mem_fail_at(++n);
      h = (struct heard){
          .sink = {.size = sizeof h.sink, .ctx = &h, .say = count, .progress = progress}};
      st = fs_offline_table.run(YOI_LIT("{\"root\":\"root\"}"), yoi_sdk_str(verbs[i]),
                                yoi_sdk_str(options), &h.sink, yoi_sdk_error_init(&h.se));
      made = yoi_sdk_mem_fail_at(0);
      assert_true(st == YOI_OK || st == YOI_RESOURCE_EXHAUSTED);
      assert_int_equal(h.errors, 0);
    } while (made >= n && n < 5000);
    assert_int_equal(st, YOI_OK);
    assert_int_equal(run(&h, "check", "{}"), YOI_OK);
    assert_int_equal(counted(&h), 12);
  }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fs_rig_setup, fs_rig_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(an_option_that_a_verb_does_not_have_is_named),
      TEST(a_sound_store_is_counted_as_a_start_counts_it),
      TEST(a_store_that_was_never_used_is_sound),
      TEST(a_byte_of_the_log),
      TEST(a_byte_of_a_workers_file),
      TEST(a_byte_of_the_index),
      TEST(a_byte_of_the_format),
      TEST(a_log_that_ends_anywhere),
      TEST(folders_in_the_way_are_moved),
      TEST(a_run_stops_when_it_is_told_to),
      TEST(no_allocation_that_fails_is_a_lie),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
