/* chunks.c: a record's chunk is found in few steps, whatever was let go. */
#include <sdk/mem.h>

#include "fs_rig.h"

#define CHUNKS 5000
#define STEPS_MAX (13 * 13) /* the square of the bits of CHUNKS */

static void add(struct fs_store *s, struct eng_log *log, uint32_t records) {
  struct fs_chunk *c = fs_chunk_new("x\n", 2);
  assert_non_null(c);
  c->seq = log->seq + 1;
  c->records = records;
  fs_log_chunk(s, log, c);
}

/* The one that a plain walk finds, and how many steps the search takes. */
static void finds(const struct eng_log *log, uint64_t seq) {
  const struct fs_chunk *want = log->chunks, *c = log->last_chunk;
  while (want != NULL && want->seq + want->records <= seq) want = want->next;
  assert_ptr_equal(fs_log_chunk_at(log, seq), want);
  unsigned steps = 0;
  while (c != NULL && (c = fs_chunk_back(log, c, seq)) != NULL) steps++;
  assert_true(steps <= STEPS_MAX);
}

static void finds_all(const struct eng_log *log) {
  for (uint64_t seq = 0; seq <= log->seq + 2; seq += 1 + seq % 7) finds(log, seq);
}

static void setup_log(struct fs_store *s, struct eng_log *log) {
  *s = (struct fs_store){0};
  s->dirty_tail = &s->dirty;
  *log = (struct eng_log){.refs = 1, .id = "w"};
}

static void a_record_is_found_in_few_steps(void **state) {
  struct fs_store s;
  struct eng_log log;
  (void)state;
  setup_log(&s, &log);
  assert_null(fs_log_chunk_at(&log, 1));
  for (uint32_t i = 0; i < CHUNKS; i++) {
    add(&s, &log, 1 + i % 3);
    finds(&log, 1);
    finds(&log, log.seq / 2);
  }
  finds_all(&log);
  while (log.chunks != NULL) fs_log_chunk_let_go(&log);
  assert_null(log.last_chunk);
}

/* What was let go is freed, so a sanitizer sees who still looks at it. */
static void what_was_let_go_is_not_looked_at(void **state) {
  struct fs_store s;
  struct eng_log log;
  (void)state;
  setup_log(&s, &log);
  for (uint32_t i = 0; i < CHUNKS; i++) {
    add(&s, &log, 1);
    for (uint32_t n = i % 97 == 0 ? 90 : 0; n > 0 && log.chunks->next != NULL; n--)
      fs_log_chunk_let_go(&log);
    if (i % 97 < 3) finds_all(&log);
    finds(&log, log.chunks->seq);
  }
  for (int again = 0; again < 2; again++) {
    while (log.chunks != NULL) fs_log_chunk_let_go(&log);
    assert_null(fs_log_chunk_at(&log, log.seq));
    for (int i = 0; i < 9; i++) add(&s, &log, 2);
    finds_all(&log);
  }
  while (log.chunks != NULL) fs_log_chunk_let_go(&log);
}

/* There may be records missing between two chunks, behind damage. */
static void a_gap_is_passed(void **state) {
  struct fs_store s;
  struct eng_log log;
  (void)state;
  setup_log(&s, &log);
  for (int i = 0; i < 40; i++) {
    if (i == 17) log.seq += 10;
    add(&s, &log, 3);
  }
  finds_all(&log);
  while (log.chunks != NULL) fs_log_chunk_let_go(&log);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_record_is_found_in_few_steps),
      cmocka_unit_test(what_was_let_go_is_not_looked_at),
      cmocka_unit_test(a_gap_is_passed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
