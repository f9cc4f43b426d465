/* test_line.c - the lines of a store: what was written is read, and nothing
 * else is. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <yoi/ops.h>

#include "fs_rig.h"
#include "runtimes/fs-store/crc32c.h"

#define UUID "01234567-89ab-7def-8123-456789abcdef"

static void sums_are_castagnolis(void **state) {
  (void)state;
  unsigned char bytes[300];
  assert_int_equal(fs_crc32c(0, "123456789", 9), 0xe3069283u); /* RFC 3720, B.4 */
  memset(bytes, 0, 32);
  assert_int_equal(fs_crc32c(0, bytes, 32), 0x8a9136aau);
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(i * 7 + 3);
  for (size_t from = 0; from < 9; from++)
    for (size_t n = 0; n + from < sizeof bytes; n += 13) {
      uint32_t whole = fs_crc32c(0, bytes + from, n);
      assert_int_equal(whole, fs_crc32c_plain(0, bytes + from, n));
      assert_int_equal(whole, fs_crc32c(fs_crc32c(0, bytes + from, n / 3), bytes + from + n / 3,
                                        n - n / 3));
    }
}

static const struct fs_line full = {
    .n = 17,
    .worker = {"a-worker", 8},
    .seq = 1,
    .event = YOI_EVENT_WORKER_CREATED,
    .mark = ENG_MARK_BUSY,
    .role = ENG_ROLE_USER,
    .content_at = 5,
    .content_len = 6,
    .turn_at = 2,
    .data = {"{\"a\":\"}\\\"[\",\"b\":[{}]}", 21},
    .aux = {"{\"key\":1}", 9},
    .spec = {"{\"s\":{}}", 8},
    .born = true,
    .birth = {.epoch = 0xfedcba9876543210u, .keyed = true, .bundled = true,
              .key = "0123456789abcde", .bundle = "fedcba9876543210fedcba987654321"},
};

static yoi_str line_of(struct yoi_sdk_buf *b) {
  assert_int_equal(b->failed, 0);
  assert_true(b->len > 1 && b->data[b->len - 1] == '\n');
  assert_null(memchr(b->data, '\n', b->len - 1));
  return (yoi_str){b->data, b->len - 1};
}

static void a_record_is_read_as_it_was_written(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  struct fs_line l = full, out;
  yoi_sdk_buf_init(&b, 4096);
  fs_line_record(&b, &l);
  assert_int_equal(fs_line_parse(line_of(&b), &out), 1);
  assert_int_equal(out.kind, FS_LINE_RECORD);
  assert_int_equal(out.n, 17);
  assert_true(yoi_sdk_str_eq(out.worker, l.worker));
  assert_int_equal(out.seq, 1);
  assert_int_equal(out.event, YOI_EVENT_WORKER_CREATED);
  assert_false(out.more);
  assert_int_equal(out.mark, ENG_MARK_BUSY);
  assert_int_equal(out.role, ENG_ROLE_USER);
  assert_int_equal(out.content_at, 5);
  assert_int_equal(out.content_len, 6);
  assert_int_equal(out.turn_at, 2);
  assert_true(yoi_sdk_str_eq(out.data, l.data));
  assert_true(yoi_sdk_str_eq(out.aux, l.aux));
  assert_true(yoi_sdk_str_eq(out.spec, l.spec));
  assert_true(out.born);
  assert_int_equal(out.birth.epoch, l.birth.epoch);
  assert_memory_equal(out.birth.key, l.birth.key, sizeof l.birth.key);
  assert_true(out.birth.keyed && out.birth.bundled);
  assert_memory_equal(out.birth.bundle, l.birth.bundle, sizeof l.birth.bundle);
  l = (struct fs_line){.n = UINT64_MAX, .worker = full.worker, .seq = UINT64_MAX, .more = true,
                       .event = YOI_EVENT_TURN_ENDED, .data = YOI_LIT("{}")};
  yoi_sdk_buf_clear(&b);
  fs_line_record(&b, &l);
  assert_int_equal(fs_line_parse(line_of(&b), &out), 1);
  assert_int_equal(out.n, UINT64_MAX);
  assert_int_equal(out.seq, UINT64_MAX);
  assert_true(out.more && !out.born && out.aux.len == 0 && out.spec.len == 0);
  yoi_sdk_buf_release(&b);
}

static void write_kind(struct yoi_sdk_buf *b, int kind) {
  size_t start;
  switch (kind) {
    case FS_LINE_RECORD:
      fs_line_record(b, &full);
      break;
    case FS_LINE_REMOVAL:
      fs_line_removal(b, 9, full.worker);
      break;
    case FS_LINE_BATCH:
      fs_line_batch_begin(b, 12, &start);
      fs_line_batch_add(b, YOI_LIT("a"), 3);
      fs_line_batch_add(b, YOI_LIT("b"), 0);
      fs_line_batch_end(b, start, 8);
      break;
    case FS_LINE_SEAL:
      fs_line_seal(b, 13, 12);
      break;
    case FS_LINE_HEAD:
      fs_line_head(b, YOI_LIT(UUID), 14);
      break;
    case FS_LINE_INDEX:
      fs_line_index(b, YOI_LIT(UUID), 13);
      break;
    case FS_LINE_WORKER:
      fs_line_worker(b, &(struct fs_line){.worker = full.worker, .mark = ENG_MARK_CORRUPT,
                                          .seq = 7, .bytes = 1234, .birth = full.birth});
      break;
    case FS_LINE_END:
      fs_line_end(b, 1);
      break;
    default:
      fs_line_store(b, YOI_LIT(UUID));
  }
}

static void the_index_says_when_a_worker_was_stopped(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  struct fs_line l = {.worker = full.worker, .mark = ENG_MARK_STOPPED, .seq = 7, .bytes = 1234,
                      .stopped_ms = 1795880000123u, .birth = full.birth};
  struct fs_line out;
  yoi_sdk_buf_init(&b, 4096);
  fs_line_worker(&b, &l);
  assert_int_equal(fs_line_parse(line_of(&b), &out), 1);
  assert_int_equal(out.stopped_ms, l.stopped_ms);
  l.mark = ENG_MARK_IDLE;
  yoi_sdk_buf_clear(&b);
  fs_line_worker(&b, &l);
  assert_int_equal(fs_line_parse(line_of(&b), &out), 1);
  assert_int_equal(out.stopped_ms, 0);
  yoi_sdk_buf_release(&b);
  assert_int_equal(fs_line_at_ms(YOI_LIT("{\"sequence\":12,\"at\":\"2026-11-28T15:24:56.956Z\"}")),
                   1795879496956u);
  assert_int_equal(fs_line_at_ms(YOI_LIT("{\"sequence\":12,\"at\":\"soon\"}")), 0);
  assert_int_equal(fs_line_at_ms(YOI_LIT("{\"sequence\":12,\"at\":\"2026-11-28T15:24:5")), 0);
  assert_int_equal(fs_line_at_ms(YOI_LIT("{}")), 0);
}

/* Each line of each kind, with any byte changed, cut or added. */
static void a_line_that_was_touched_is_none(void **state) {
  (void)state;
  for (int kind = FS_LINE_RECORD; kind <= FS_LINE_STORE; kind++) {
    struct yoi_sdk_buf b;
    struct fs_line out;
    yoi_sdk_buf_init(&b, 4096);
    write_kind(&b, kind);
    yoi_str line = line_of(&b);
    assert_int_equal(fs_line_parse(line, &out), 1);
    assert_int_equal((int)out.kind, kind);
    for (size_t i = 0; i < line.len; i++) {
      assert_int_equal(fs_line_parse((yoi_str){line.ptr, i}, &out), 0);
      for (int bit = 0; bit < 8; bit++) {
        b.data[i] ^= (char)(1 << bit);
        assert_int_equal(fs_line_parse(line, &out), 0);
        b.data[i] ^= (char)(1 << bit);
      }
    }
    assert_int_equal(fs_line_parse((yoi_str){line.ptr, line.len + 1}, &out), 0);
    yoi_sdk_buf_release(&b);
  }
}

/* Lines with the right sum that we never write. */
static void what_is_not_our_form_is_refused(void **state) {
  (void)state;
  static const char *const texts[] = {
      "{\"n\":01,\"durable\":1",
      "{\"n\":-1,\"durable\":1",
      "{\"n\":1 ,\"durable\":1",
      "{\"n\":18446744073709551616,\"durable\":1",
      "{\"n\":1,\"durable\":1,\"more\":2",
      "{\"n\":1,\"worker\":\"../a\",\"removed\":true",
      "{\"n\":1,\"worker\":\"\",\"removed\":true",
      "{\"n\":1,\"worker\":\"a\\\"\",\"removed\":true",
      "{\"n\":1,\"worker\":\"a\",\"removed\":false",
      "{\"n\":1,\"batch\":[\"a\",1,],\"durable\":0",
      "{\"n\":1,\"batch\":[\"a\"],\"durable\":0",
      "{\"n\":1,\"batch\":[\"a\",1,\"../b\",2],\"durable\":0",
      "{\"n\":1,\"worker\":\"a\",\"seq\":0,\"kind\":\"turn.ended\",\"state\":\"idle\",\"data\":{}",
      "{\"n\":1,\"worker\":\"a\",\"seq\":2,\"kind\":\"turn.ended\",\"state\":\"corrupt\","
      "\"data\":{}",
      "{\"n\":1,\"worker\":\"a\",\"seq\":2,\"kind\":\"turn.ended\",\"state\":\"odd\",\"data\":{}",
      "{\"n\":1,\"worker\":\"a\",\"seq\":2,\"kind\":\"turn.ended\",\"state\":\"idle\",\"data\":[]",
      "{\"n\":1,\"worker\":\"a\",\"seq\":2,\"kind\":\"turn.ended\",\"state\":\"idle\",\"data\":{",
      "{\"n\":1,\"worker\":\"a\",\"seq\":2,\"kind\":\"turn.ended\",\"state\":\"idle\",\"data\":{\"",
      "{\"n\":1,\"worker\":\"a\",\"seq\":1,\"kind\":\"turn.ended\",\"state\":\"idle\",\"data\":{}",
      "{\"n\":1,\"worker\":\"a\",\"seq\":2,\"kind\":\"turn.ended\",\"state\":\"idle\","
      "\"place\":[1,2,9,0],\"data\":{\"a\":1}",
      "{\"n\":1,\"worker\":\"a\",\"seq\":2,\"kind\":\"turn.ended\",\"state\":\"idle\","
      "\"place\":[1,4294967295,2,0],\"data\":{\"a\":1}",
      "{\"n\":1,\"worker\":\"a\",\"seq\":2,\"kind\":\"turn.ended\",\"state\":\"idle\","
      "\"place\":[1,5,1,0],\"data\":{\"a\":1}",
      "{\"n\":1,\"worker\":\"a\",\"seq\":2,\"kind\":\"turn.ended\",\"state\":\"idle\","
      "\"place\":[1,0,0,99],\"data\":{\"a\":1}",
      "{\"worker\":\"a\",\"state\":\"idle\",\"seq\":1,\"bytes\":1,\"epoch\":\"123\"",
      "{\"log\":2,\"store\":\"x\",\"first\":1",
      "{\"yoi_store\":2,\"store\":\"x\"",
      "{}",
      "",
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    char line[512];
    struct fs_line out;
    size_t n = strlen(texts[i]);
    int more = snprintf(line, sizeof line, "%s,\"crc\":\"%08x\"}", texts[i],
                        fs_crc32c(0, texts[i], n));
    if (fs_line_parse((yoi_str){line, (size_t)more}, &out)) fail_msg("'%s' is a line", line);
  }
}

static void a_batch_names_its_records(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  struct fs_line out;
  size_t pos = 0;
  yoi_str worker;
  uint64_t seq;
  yoi_sdk_buf_init(&b, 4096);
  write_kind(&b, FS_LINE_BATCH);
  assert_int_equal(fs_line_parse(line_of(&b), &out), 1);
  assert_int_equal(out.n, 12);
  assert_int_equal(out.durable, 8);
  assert_int_equal(fs_line_batch_next(&out, &pos, &worker, &seq), 1);
  assert_true(yoi_sdk_str_is(worker, "a") && seq == 3);
  assert_int_equal(fs_line_batch_next(&out, &pos, &worker, &seq), 1);
  assert_true(yoi_sdk_str_is(worker, "b") && seq == 0);
  assert_int_equal(fs_line_batch_next(&out, &pos, &worker, &seq), 0);
  yoi_sdk_buf_release(&b);
}

/* ---- files of lines ------------------------------------------------------------- */

static void lines_are_read_whatever_their_length(void **state) {
  (void)state;
  static char bytes[600000];
  static const size_t lengths[] = {0, 1, 96, 97, 98, 65534, 65535, 65536, 65537, 200000, 3};
  size_t n = 0;
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    memset(bytes + n, 'a' + (int)i, lengths[i]);
    n += lengths[i];
    bytes[n++] = '\n';
  }
  fs_rig_put("lines", bytes, n);
  int fd = open("lines", O_RDONLY | O_CLOEXEC);
  struct fs_lines l;
  yoi_str text;
  uint64_t at = 0;
  fs_lines_init(&l, fd, 0, n);
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    assert_int_equal(fs_lines_next(&l, &text), YOI_OK);
    assert_int_equal(text.len, lengths[i]);
    assert_int_equal(l.at, at);
    at += lengths[i] + 1;
    assert_int_equal(l.next, at);
    if (text.len > 0) assert_int_equal(text.ptr[text.len - 1], 'a' + (int)i);
  }
  assert_int_equal(fs_lines_next(&l, &text), YOI_END);
  fs_lines_release(&l);
  fs_lines_init(&l, fd, 2, n - 1); /* from within, and without the last feed */
  assert_int_equal(fs_lines_next(&l, &text), YOI_OK);
  assert_int_equal(text.len, 0); /* the feed of the line of one */
  while (fs_lines_next(&l, &text) == YOI_OK) at = l.next;
  assert_int_equal(at, n - 4);
  fs_lines_release(&l);
  fs_lines_init(&l, fd, 0, n + 100); /* shorter than it was said to be */
  while (fs_lines_next(&l, &text) == YOI_OK) at = l.next;
  assert_int_equal(at, n);
  assert_int_equal(l.end, n);
  fs_lines_release(&l);
  close(fd);
}

static void zeros_end_the_lines(void **state) {
  (void)state;
  fs_rig_put("zeros", "one\n\0\0\0two\n", 11);
  int fd = open("zeros", O_RDONLY | O_CLOEXEC);
  struct fs_lines l;
  yoi_str text;
  fs_lines_init(&l, fd, 0, 11);
  assert_int_equal(fs_lines_next(&l, &text), YOI_OK);
  assert_int_equal(fs_lines_next(&l, &text), YOI_END);
  assert_int_equal(l.next, 4);
  fs_lines_release(&l);
  close(fd);
}

static void a_line_longer_than_any_is_refused(void **state) {
  (void)state;
  int fd = open("long", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  struct fs_lines l;
  yoi_str text;
  char x[4096];
  memset(x, 'x', sizeof x);
  for (off_t at = 0; at < YOI_STORE_LINE_MAX + 200000; at += (off_t)sizeof x)
    assert_int_equal(fs_write_all(fd, x, sizeof x, (uint64_t)at), 0);
  fs_lines_init(&l, fd, 0, YOI_STORE_LINE_MAX + 200000);
  assert_int_equal(fs_lines_next(&l, &text), YOI_OUT_OF_RANGE);
  assert_int_equal(l.next, 0);
  fs_lines_release(&l);
  close(fd);
}

static void names_of_segments_have_one_form(void **state) {
  (void)state;
  static const char *const bad[] = {"",
                                    "1.jsonl",
                                    "00000000000000000001.json",
                                    "00000000000000000001.jsonl.damaged",
                                    "0000000000000000000a.jsonl",
                                    "99999999999999999999.jsonl",
                                    "-0000000000000000001.jsonl"};
  char name[FS_NAME_SIZE];
  uint64_t first = 0;
  fs_name_segment(1844674407370955161u, name);
  assert_int_equal(fs_name_is_segment(name, &first), 1);
  assert_int_equal(first, 1844674407370955161u);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    assert_int_equal(fs_name_is_segment(bad[i], &first), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums_are_castagnolis),
      cmocka_unit_test(a_record_is_read_as_it_was_written),
      cmocka_unit_test(the_index_says_when_a_worker_was_stopped),
      cmocka_unit_test(a_line_that_was_touched_is_none),
      cmocka_unit_test(what_is_not_our_form_is_refused),
      cmocka_unit_test(a_batch_names_its_records),
      cmocka_unit_test(lines_are_read_whatever_their_length),
      cmocka_unit_test(zeros_end_the_lines),
      cmocka_unit_test(a_line_longer_than_any_is_refused),
      cmocka_unit_test(names_of_segments_have_one_form),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
