/* test_gap.c - logs with damaged lines: what is lost is told, whose it was, and
 * no more than that. Each log is written here, line by line. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs_rig.h"

#define LINES 32

static char store[YOI_SDK_UUID_SIZE];

/* A log that is made. */
static struct {
  struct yoi_sdk_buf b;
  size_t at[LINES + 1]; /* where line n begins; 0 is the head */
  uint64_t n, first;
  size_t batch; /* names since the last */
  struct {
    const char *id;
    uint64_t seq;
  } names[LINES];
} made;

static int setup(void **state) {
  if (fs_rig_setup(state) != 0) return 1;
  struct fs_rig *r = *state;
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  memcpy(store, fs_of(r->store)->root.store, sizeof store);
  fs_rig_close(r);
  yoi_sdk_buf_init(&made.b, 1 << 20);
  return 0;
}

static int teardown(void **state) {
  yoi_sdk_buf_release(&made.b);
  return fs_rig_teardown(state);
}

/* ---- making a log ------------------------------------------------------------- */

static void begin(uint64_t first) {
  yoi_sdk_buf_clear(&made.b);
  made.n = made.first = first;
  made.batch = 0;
  made.at[0] = 0;
  fs_line_head(&made.b, yoi_sdk_str(store), first);
}

static void name(const char *id, uint64_t seq) {
  made.names[made.batch].id = id;
  made.names[made.batch++].seq = seq;
}

static void next(void) {
  assert_true(made.n <= LINES);
  made.at[made.n] = made.b.len;
}

static void record_of(const char *id, uint64_t seq, uint64_t epoch) {
  next();
  name(id, seq);
  fs_line_record(&made.b, &(struct fs_line){
                              .n = made.n++,
                              .worker = yoi_sdk_str(id),
                              .seq = seq,
                              .event = seq == 1 ? YOI_EVENT_WORKER_CREATED
                                                : YOI_EVENT_INPUT_ACCEPTED,
                              .data = YOI_LIT("{\"some\":\"data\"}"),
                              .born = seq == 1,
                              .birth = {.epoch = epoch},
                          });
}

static void record(const char *id, uint64_t seq) {
  record_of(id, seq, 1);
}

static void removal(const char *id) {
  next();
  name(id, 0);
  fs_line_removal(&made.b, made.n++, yoi_sdk_str(id));
}

static void batch(uint64_t durable) {
  size_t start;
  next();
  fs_line_batch_begin(&made.b, made.n++, &start);
  for (size_t i = 0; i < made.batch; i++)
    fs_line_batch_add(&made.b, yoi_sdk_str(made.names[i].id), made.names[i].seq);
  fs_line_batch_end(&made.b, start, durable);
  made.batch = 0;
}

static void seal(void) {
  next();
  fs_line_seal(&made.b, made.n, made.n - 1);
  made.n++;
}

/* Line n is not what it was. */
static void spoil(uint64_t n) {
  made.b.data[made.at[n] + 1] ^= 1;
}

static void put(const char *root) {
  char path[300];
  snprintf(path, sizeof path, "%s/log/%020llu.jsonl", root, (unsigned long long)made.first);
  assert_false(made.b.failed);
  fs_rig_put(path, made.b.data, made.b.len);
}

static void is(struct fs_rig *r, const char *id, uint64_t records, enum eng_mark mark) {
  int i = fs_rig_found(r, id);
  if (i < 0) fail_msg("worker %s is gone", id);
  if (r->found[i].mark != mark) fail_msg("worker %s has the mark %d", id, r->found[i].mark);
  assert_int_equal(r->found[i].sequence, records);
}

/* Opens the log that was put, without an index. */
static void open_it(struct fs_rig *r) {
  (void)unlink("root/index.jsonl");
  assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
}

/* ---- heads and seals -------------------------------------------------------------- */

/* Two workers; the last batch was acknowledged, and nothing says so. */
static void put_last_batch(void) {
  begin(1);
  record("a", 1);
  batch(0);
  seal();
  record("b", 1);
  record("b", 2);
  batch(2);
}

/* Every bit of that line, its line feed too. */
static void each_bit_of(struct fs_rig *r, uint64_t n, uint64_t upto, uint64_t a, uint64_t b) {
  for (size_t at = made.at[n]; at < made.at[upto]; at++) {
    for (int bit = 0; bit < 8; bit++) {
      fs_rig_copy("root", "flipped");
      made.b.data[at] ^= (char)(1 << bit);
      put("flipped");
      made.b.data[at] ^= (char)(1 << bit);
      for (int round = 0; round < 2; round++) {
        assert_int_equal(fs_rig_open(r, "flipped"), YOI_OK);
        assert_int_equal(r->n_found, (a > 0) + (b > 0));
        if (a > 0) is(r, "a", a, ENG_MARK_IDLE);
        if (b > 0) is(r, "b", b, ENG_MARK_IDLE);
        fs_rig_close(r);
      }
      fs_rig_delete("flipped");
    }
  }
}

static void a_damaged_seal_costs_nothing(void **state) {
  assert_int_equal(unlink("root/index.jsonl"), 0);
  put_last_batch();
  each_bit_of(*state, 3, 4, 1, 2);
}

static void a_damaged_head_costs_nothing(void **state) {
  assert_int_equal(unlink("root/index.jsonl"), 0);
  begin(1);
  record("a", 1);
  batch(0);
  each_bit_of(*state, 0, 1, 1, 0);
}

/* One that is not whole behind the seal was being written. */
static void a_batch_without_its_end_is_cut_off_as_before(void **state) {
  struct fs_rig *r = *state;
  put_last_batch();
  made.b.len = made.at[6];
  spoil(3);
  put("root");
  open_it(r);
  assert_int_equal(r->n_found, 1);
  is(r, "a", 1, ENG_MARK_IDLE);
}

/* Something in the zeros of a segment does not cost the next one. */
static void what_stands_behind_the_last_line_is_passed_over(void **state) {
  struct fs_rig *r = *state;
  begin(1);
  record("a", 1);
  batch(0);
  yoi_sdk_buf_adds(&made.b, (yoi_str){"\0\0\0\0\0\1\0\0", 8});
  put("root");
  begin(3);
  record("b", 1);
  batch(2);
  put("root");
  open_it(r);
  assert_int_equal(r->n_found, 2);
  is(r, "a", 1, ENG_MARK_IDLE);
  is(r, "b", 1, ENG_MARK_IDLE);
}

/* ---- whose it was -------------------------------------------------------------------- */

static void put_three(void) {
  begin(1);
  record("x", 1);
  record("y", 1);
  record("z", 1);
  batch(0);
  record("x", 2);
  record("y", 2);
  record("z", 2);
  batch(4);
  seal();
}

static void two_places_in_a_batch_are_two_losses(void **state) {
  struct fs_rig *r = *state;
  put_three();
  spoil(5);
  spoil(7);
  put("root");
  open_it(r);
  for (int round = 0; round < 2; round++) {
    assert_int_equal(r->n_found, 3);
    is(r, "x", 1, ENG_MARK_CORRUPT);
    is(r, "y", 2, ENG_MARK_IDLE);
    is(r, "z", 1, ENG_MARK_CORRUPT);
    fs_rig_close(r);
    assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  }
}

/* A create, and the line of its batch: what can still be read of it keeps the
 * id. */
static void a_damaged_create_keeps_its_id(void **state) {
  struct fs_rig *r = *state;
  begin(1);
  record("a", 1);
  batch(0);
  record("new", 1);
  batch(2);
  record("a", 2);
  batch(4);
  seal();
  spoil(3);
  spoil(4);
  put("root");
  open_it(r);
  for (int round = 0; round < 2; round++) {
    assert_int_equal(r->n_found, 2);
    is(r, "a", 2, ENG_MARK_IDLE);
    assert_int_equal(r->found[fs_rig_found(r, "new")].mark, ENG_MARK_CORRUPT);
    fs_rig_close(r);
    assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  }
}

/* What was lost of one that is removed in the same batch is nobody's. */
static void what_a_removed_one_lost_is_not_missed(void **state) {
  struct fs_rig *r = *state;
  begin(1);
  record("a", 1);
  record("b", 1);
  batch(0);
  record("a", 2);
  removal("a");
  batch(3);
  seal();
  spoil(4);
  put("root");
  open_it(r);
  assert_int_equal(r->n_found, 1);
  is(r, "b", 1, ENG_MARK_IDLE);
}

/* Its removal is lost, and another of that id was made. */
static void one_made_anew_has_no_past(void **state) {
  struct fs_rig *r = *state;
  begin(1);
  record("a", 1);
  record("a", 2);
  record("b", 1);
  batch(0);
  removal("a");
  batch(4);
  record_of("a", 1, 2);
  batch(6);
  seal();
  spoil(5);
  put("root");
  open_it(r);
  for (int round = 0; round < 2; round++) {
    assert_int_equal(r->n_found, 2);
    is(r, "a", 1, ENG_MARK_IDLE);
    is(r, "b", 1, ENG_MARK_IDLE);
    assert_int_equal(r->found[fs_rig_found(r, "a")].birth.epoch, 2);
    fs_rig_close(r);
    assert_int_equal(fs_rig_open(r, "root"), YOI_OK);
  }
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(a_damaged_seal_costs_nothing),
      T(a_damaged_head_costs_nothing),
      T(a_batch_without_its_end_is_cut_off_as_before),
      T(what_stands_behind_the_last_line_is_passed_over),
      T(two_places_in_a_batch_are_two_losses),
      T(a_damaged_create_keeps_its_id),
      T(what_a_removed_one_lost_is_not_missed),
      T(one_made_anew_has_no_past),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
