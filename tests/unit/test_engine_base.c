/* test_engine_base.c - cursors, tables, the directory, the ring, idempotency
 * records and the memory store, each alone. */
#include <sdk/json.h>
#include <sdk/mem.h>
#include <stdlib.h>

#include "runtimes/engine/context.h"
#include "runtimes/engine/directory.h"
#include "runtimes/engine/idem.h"
#include "runtimes/engine/ring.h"
#include "support/rig.h"

/* ---- cursors ---- */

static void a_cursor_is_read_back(void **state) {
  (void)state;
  static const struct eng_pos positions[] = {{.sequence = 0},
                                             {.sequence = 1, .index = 1},
                                             {.sequence = 987654321, .index = UINT32_MAX},
                                             {.sequence = YOI_JSON_INT_MAX}};
  for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++) {
    struct eng_cursor in = {
        .epoch = 0xfedcba9876543210u ^ i, .worker = 0x89abcdef, .pos = positions[i]};
    struct eng_cursor out;
    char text[ENG_CURSOR_SIZE];
    size_t n = eng_cursor_write(&in, text);
    assert_int_equal(n, strlen(text));
    assert_true(eng_cursor_parse((yoi_str){text, n}, &out));
    assert_true(out.epoch == in.epoch && out.worker == in.worker);
    assert_int_equal(eng_pos_cmp(out.pos, in.pos), 0);
  }
}

static void cursors_are_parsed_strictly(void **state) {
  (void)state;
  static const char *const bad[] = {"",
                                    "y",
                                    "y1",
                                    "y1-",
                                    "y1-0123456789abcdef-01234567-1",
                                    "y1-0123456789abcdef-01234567-1-",
                                    "y1-0123456789abcdef-01234567--0",
                                    "y1-0123456789abcdef-01234567-1-0 ",
                                    " y1-0123456789abcdef-01234567-1-0",
                                    "y1-0123456789ABCDEF-01234567-1-0",
                                    "y1-0123456789abcdef-0123456-1-0",
                                    "y1-0123456789abcdef-01234567-+1-0",
                                    "y1-0123456789abcdef-01234567-01-0",
                                    "y1-0123456789abcdef-01234567-1--0",
                                    "y1-0123456789abcdef-01234567-1-00",
                                    "y1-0123456789abcdef-01234567-9007199254740992-0",
                                    "y1-0123456789abcdef-01234567-1-4294967296",
                                    "y2-0123456789abcdef-01234567-1-0",
                                    "y1_0123456789abcdef-01234567-1-0",
                                    "y1-0123456789abcdef-01234567-1-0-",
                                    "y1-0123456789abcdef-01234567-1-0\n"};
  struct eng_cursor c;
  assert_true(eng_cursor_parse(YOI_LIT("y1-0123456789abcdef-01234567-1-0"), &c));
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_false(eng_cursor_parse(yoi_sdk_str(bad[i]), &c));
  assert_false(eng_cursor_parse(YOI_LIT("y1-0123456789abcdef-01234567-1-0\0"), &c));
}

static void workers_differ_in_their_cursors(void **state) {
  (void)state;
  assert_int_not_equal(eng_cursor_worker(YOI_LIT("a")), eng_cursor_worker(YOI_LIT("b")));
  assert_int_not_equal(eng_cursor_worker(YOI_LIT("ab")), eng_cursor_worker(YOI_LIT("ba")));
}

static void the_hash_is_siphash_1_3(void **state) {
  (void)state;
  /* Of 0..14 under the key 0..15, as computed by an independent program. */
  uint64_t key[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
  char text[15];
  for (int i = 0; i < 15; i++) text[i] = (char)i;
  assert_true(eng_hash(key, (yoi_str){text, 15}) == 0xd320d86d2a519956u);
}

/* ---- the directory ---- */

struct named {
  struct eng_entry entry;
  char id[16];
};

static uint32_t rnd_state = 12345;
static uint32_t rnd(void) {
  rnd_state = rnd_state * 1664525u + 1013904223u;
  return rnd_state >> 8;
}

static void check_order(const struct eng_directory *d, const struct named *all, const bool *in,
                        size_t n) {
  struct eng_entry *page[7];
  char after[16] = "";
  size_t seen = 0, want = 0;
  const struct eng_entry *last = NULL;
  int more = 1;
  for (size_t i = 0; i < n; i++) {
    want += in[i];
    assert_true((eng_directory_find(d, all[i].entry.id) == &all[i].entry) == in[i]);
  }
  while (more) {
    size_t got =
        eng_directory_page(d, yoi_sdk_str(after), NULL, NULL, page, 7, SIZE_MAX, &last, &more);
    for (size_t i = 0; i < got; i++) {
      assert_true(strcmp(after, page[i]->id.ptr) < 0);
      (void)snprintf(after, sizeof after, "%s", page[i]->id.ptr);
    }
    seen += got;
    assert_true(got == 7 || !more);
  }
  assert_int_equal(seen, want);
  assert_int_equal(d->n, want);
}

static void the_directory_keeps_order_and_finds(void **state) {
  (void)state;
  enum { N = 3000 };
  struct eng_directory d;
  struct named *all = calloc(N, sizeof *all);
  bool *in = calloc(N, sizeof *in);
  assert_true(eng_directory_init(&d));
  for (size_t i = 0; i < N; i++) {
    (void)snprintf(all[i].id, sizeof all[i].id, "w%zx", i * 7919 % 65536);
    all[i].entry.id = yoi_sdk_str(all[i].id);
  }
  for (size_t round = 0; round < 20000; round++) {
    size_t i = rnd() % N;
    if (!in[i]) {
      assert_int_equal(eng_directory_insert(&d, &all[i].entry), YOI_OK);
      assert_int_equal(eng_directory_insert(&d, &all[i].entry), YOI_ALREADY_EXISTS);
    } else {
      eng_directory_remove(&d, &all[i].entry);
    }
    in[i] = !in[i];
    if (round % 2000 == 0) check_order(&d, all, in, N);
  }
  check_order(&d, all, in, N);
  for (size_t i = 0; i < N; i++)
    if (in[i]) eng_directory_remove(&d, &all[i].entry);
  assert_int_equal(d.n, 0);
  assert_int_equal(d.n_blocks, 0);
  assert_int_equal(d.table.n, 0);
  eng_directory_release(&d);
  free(all);
  free(in);
}

static int keep_even(void *ctx, const struct eng_entry *e) {
  (void)ctx;
  return (e->id.ptr[e->id.len - 1] - '0') % 2 == 0;
}

static void pages_are_filtered_and_exact(void **state) {
  (void)state;
  struct eng_directory d;
  struct named all[10];
  struct eng_entry *page[10];
  const struct eng_entry *last = NULL;
  int more = 1;
  assert_true(eng_directory_init(&d));
  assert_int_equal(
      eng_directory_page(&d, (yoi_str){0}, NULL, NULL, page, 10, SIZE_MAX, &last, &more), 0);
  assert_false(more);
  for (size_t i = 0; i < 10; i++) {
    (void)snprintf(all[i].id, sizeof all[i].id, "%zu", i);
    all[i].entry.id = yoi_sdk_str(all[i].id);
    assert_int_equal(eng_directory_insert(&d, &all[i].entry), YOI_OK);
  }
  assert_int_equal(
      eng_directory_page(&d, YOI_LIT("1"), keep_even, NULL, page, 3, SIZE_MAX, &last, &more), 3);
  assert_true(more);
  assert_string_equal(page[2]->id.ptr, "6");
  assert_int_equal(
      eng_directory_page(&d, YOI_LIT("6"), keep_even, NULL, page, 3, SIZE_MAX, &last, &more), 1);
  assert_false(more);
  assert_int_equal(
      eng_directory_page(&d, YOI_LIT("10"), NULL, NULL, page, 10, SIZE_MAX, &last, &more), 8);
  assert_string_equal(page[0]->id.ptr, "2");
  /* it does not look for ever */
  assert_int_equal(eng_directory_page(&d, YOI_LIT("0"), keep_even, NULL, page, 3, 4, &last, &more),
                   2);
  assert_string_equal(last->id.ptr, "4");
  assert_int_equal(eng_directory_page(&d, last->id, keep_even, NULL, page, 3, 4, &last, &more), 2);
  assert_string_equal(page[1]->id.ptr, "8");
  assert_int_equal(eng_directory_page(&d, last->id, keep_even, NULL, page, 3, 4, &last, &more), 0);
  assert_null(last);
  eng_directory_release(&d);
}

static void an_insertion_that_fails_changes_nothing(void **state) {
  (void)state;
  struct eng_directory d;
  struct named *all = calloc(600, sizeof *all);
  bool in[600];
  assert_true(eng_directory_init(&d));
  for (size_t i = 0; i < 600; i++) {
    (void)snprintf(all[i].id, sizeof all[i].id, "%04zu", i * 37 % 600);
    all[i].entry.id = yoi_sdk_str(all[i].id);
    in[i] = true;
    for (uint64_t n = 1;; n++) {
      (void)yoi_sdk_mem_fail_at(n);
      yoi_status st = eng_directory_insert(&d, &all[i].entry);
      (void)yoi_sdk_mem_fail_at(0);
      if (st == YOI_OK) break;
      assert_int_equal(st, YOI_RESOURCE_EXHAUSTED);
      assert_null(eng_directory_find(&d, all[i].entry.id));
    }
  }
  check_order(&d, all, in, 600);
  eng_directory_release(&d);
  free(all);
}

/* ---- the ring ---- */

static struct eng_frame *frame_at(uint64_t sequence, uint32_t index, const char *text) {
  struct eng_frame_parts parts = {
      .kind = index ? YOI_EVENT_TEXT_DELTA : YOI_EVENT_TURN_STARTED,
      .pos = {.sequence = sequence, .index = index},
      .cursor = YOI_LIT("c"),
      .text = yoi_sdk_str(text),
      .aux = YOI_LIT("aux"),
  };
  return eng_frame_new(&parts);
}

static void push(struct eng_ring *r, uint64_t sequence, uint32_t index, size_t max) {
  struct eng_frame *f = frame_at(sequence, index, "{}");
  eng_ring_push(r, f, max);
  eng_frame_unref(f);
}

static void a_frame_carries_its_texts(void **state) {
  (void)state;
  struct eng_frame *f = frame_at(3, 0, "{\"a\":1}");
  assert_true(yoi_sdk_str_is(f->ev.text, "{\"a\":1}"));
  assert_true(yoi_sdk_str_is(f->ev.cursor, "c"));
  assert_true(yoi_sdk_str_is(eng_frame_aux(f), "aux"));
  assert_int_equal(f->ev.flags, YOI_EV_DURABLE);
  eng_frame_unref(f);
  f = frame_at(3, 1, "{}");
  assert_int_equal(f->ev.flags, 0);
  eng_frame_unref(f);
}

static void the_ring_gives_what_is_behind_a_position(void **state) {
  (void)state;
  struct eng_ring r;
  struct eng_frame *out[8];
  eng_ring_init(&r, (struct eng_pos){.sequence = 4, .index = 2});
  for (uint32_t i = 0; i < 40; i++) push(&r, 5 + i / 4, i % 4, SIZE_MAX);
  assert_int_equal(eng_ring_take(&r, r.base, out, 8), 8);
  assert_int_equal(out[0]->pos.sequence, 5);
  struct eng_pos pos = {.sequence = 13, .index = 1};
  assert_int_equal(eng_ring_take(&r, pos, out, 8), 6);
  assert_true(out[0]->pos.sequence == 13 && out[0]->pos.index == 2);
  pos.sequence = 99;
  assert_int_equal(eng_ring_take(&r, pos, out, 8), 0);
  eng_ring_release(&r);
}

static void the_ring_drops_the_oldest_and_says_so(void **state) {
  (void)state;
  struct eng_ring r;
  struct eng_frame *out[8];
  struct eng_frame *f = frame_at(1, 0, "{}");
  size_t one = eng_frame_cost(f);
  eng_frame_unref(f);
  eng_ring_init(&r, (struct eng_pos){0});
  for (uint32_t i = 1; i <= 100; i++) {
    push(&r, 1, i, 10 * one);
    assert_true(r.bytes <= 10 * one);
  }
  assert_int_equal(r.n, 10);
  assert_int_equal(r.base.index, 90);
  assert_int_equal(eng_ring_take(&r, r.base, out, 8), 8);
  assert_int_equal(out[0]->pos.index, 91);
  push(&r, 1, 101, 1); /* one that is too large alone stays alone */
  assert_int_equal(r.n, 1);
  (void)yoi_sdk_mem_fail_at(0);
  eng_ring_release(&r);
}

static void a_ring_without_memory_has_no_hole(void **state) {
  (void)state;
  struct eng_ring r;
  eng_ring_init(&r, (struct eng_pos){0});
  for (uint32_t i = 1; i <= 100; i++) {
    struct eng_frame *f = frame_at(1, i, "{}");
    (void)yoi_sdk_mem_fail_at(1);
    eng_ring_push(&r, f, SIZE_MAX);
    (void)yoi_sdk_mem_fail_at(0);
    eng_frame_unref(f);
    struct eng_frame *out[2];
    size_t n = eng_ring_take(&r, r.base, out, 2);
    assert_true(n == 0 ? r.base.index == i : out[0]->pos.index == r.base.index + 1);
  }
  eng_ring_release(&r);
}

/* ---- idempotency records ---- */

static struct eng_idem_entry entry_of(uint32_t i, uint64_t wall_ms) {
  struct eng_idem_entry e = {.sequence = i, .wall_ms = wall_ms};
  memcpy(e.key.b, &i, sizeof i);
  return e;
}

static void idempotency_is_kept_for_64_inputs_and_a_day(void **state) {
  (void)state;
  struct eng_idem x = {0};
  for (uint32_t i = 0; i < 1000; i++) {
    struct eng_idem_entry e = entry_of(i, i < 500 ? 1000 : 1000 + YOI_IDEMPOTENCY_KEEP_MS + i);
    assert_true(eng_idem_reserve(&x));
    eng_idem_add(&x, &e);
    const struct eng_idem_entry *found = eng_idem_find(&x, &e.key);
    assert_non_null(found);
    assert_int_equal(found->sequence, i);
    if (i == 499) assert_int_equal(x.n, 500);
    if (i == 520) assert_int_equal(x.n, 64);
  }
  struct eng_idem_entry gone = entry_of(499, 0);
  assert_null(eng_idem_find(&x, &gone.key));
  assert_int_equal(x.n, 500);
  eng_idem_release(&x);
}

static void without_memory_the_oldest_beyond_64_go(void **state) {
  (void)state;
  struct eng_idem x = {0};
  for (uint32_t i = 0; i < 128; i++) {
    struct eng_idem_entry e = entry_of(i, 1000);
    assert_true(eng_idem_reserve(&x));
    eng_idem_add(&x, &e);
  }
  assert_int_equal(x.n, x.cap);
  (void)yoi_sdk_mem_fail_at(1);
  assert_true(eng_idem_reserve(&x));
  (void)yoi_sdk_mem_fail_at(0);
  assert_int_equal(x.n, 64);
  struct eng_idem_entry newest = entry_of(127, 0), oldest = entry_of(63, 0);
  assert_non_null(eng_idem_find(&x, &newest.key));
  assert_null(eng_idem_find(&x, &oldest.key));
  eng_idem_release(&x);
  (void)yoi_sdk_mem_fail_at(1);
  assert_false(eng_idem_reserve(&x));
  (void)yoi_sdk_mem_fail_at(0);
  eng_idem_release(&x);
}

/* ---- a context is paired, whatever the history says ---- */

static void add_record(struct eng_context *c, uint32_t kind, const char *text) {
  struct eng_frame_parts parts = {.kind = kind, .text = yoi_sdk_str(text)};
  struct eng_frame *f = eng_frame_new(&parts);
  eng_context_add(c, f);
  eng_frame_unref(f);
}

static void add_result(struct eng_context *c, const char *id) {
  char text[256];
  (void)snprintf(text, sizeof text,
                 "{\"item\":{\"role\":\"tool\",\"content\":[{\"type\":\"text\",\"text\":\"r\"}],"
                 "\"tool_call_id\":\"%s\"}}",
                 id);
  add_record(c, YOI_EVENT_TOOL_COMPLETED, text);
}

#define CALLS                                                         \
  "{\"item\":{\"role\":\"assistant\",\"content\":[],\"tool_calls\":[" \
  "{\"id\":\"a\",\"name\":\"f\",\"arguments\":\"{}\"},"               \
  "{\"id\":\"b\",\"name\":\"g\",\"arguments\":\"{}\"}]}}"
#define SAYS "{\"kind\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"u\"}]}"

/* Pitfall 62: in both directions, and in the order of the calls. */
static void a_context_pairs_calls_and_results(void **state) {
  (void)state;
  static const char want[] =
      "{\"role\":\"user\",\"content\":\"u\"}"
      "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":["
      "{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},"
      "{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":\"{}\"}}]}"
      "{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":\"error: no result was recorded\"}"
      "{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":\"r\"}"
      "{\"role\":\"user\",\"content\":\"u\"}";
  for (int end = 0; end < 2; end++) {
    struct eng_context *c = yoi_sdk_calloc(1, sizeof *c);
    yoi_sdk_buf_init(&c->buf, 1 << 20);
    add_result(c, "z"); /* of no call */
    add_record(c, YOI_EVENT_INPUT_ACCEPTED, SAYS);
    add_record(c, YOI_EVENT_MESSAGE_COMPLETED, CALLS);
    add_result(c, "b");
    add_result(c, "b"); /* twice */
    add_result(c, "y");
    if (end == 0) add_record(c, YOI_EVENT_INPUT_ACCEPTED, SAYS);
    add_record(c, YOI_EVENT_TURN_STARTED, "{}");
    assert_true(eng_context_finish(c));
    size_t len =
        end ? strlen(want) - strlen("{\"role\":\"user\",\"content\":\"u\"}") : strlen(want);
    assert_int_equal(c->buf.len, len);
    assert_memory_equal(c->buf.data, want, len);
    assert_int_equal(c->mended, 4);
    yoi_str *messages = eng_context_messages(c);
    assert_int_equal(c->n, end ? 4 : 5);
    for (size_t i = 0; i < c->n; i++)
      assert_int_equal(yoi_sdk_json_check(messages[i], 0, NULL), YOI_OK);
    yoi_sdk_free(messages);
    eng_context_free(c);
  }
}

/* ---- the memory store ---- */

struct told {
  struct eng_ticket ticket;
  int times;
  yoi_status st;
  size_t n;
  uint64_t first;
};

static void told_done(struct eng_ticket *t, yoi_status st, struct eng_frame *const *frames,
                      size_t n) {
  struct told *told = (struct told *)t;
  told->times++;
  told->st = st;
  told->n = n;
  told->first = n ? frames[0]->pos.sequence : 0;
  for (size_t i = 0; i < n; i++) eng_frame_unref(frames[i]);
}

static void append(struct eng_store *s, struct eng_log *log, uint64_t from, size_t n,
                   struct told *t) {
  struct eng_frame *frames[8] = {0};
  *t = (struct told){.ticket.done = told_done};
  for (size_t i = 0; i < n; i++) frames[i] = frame_at(from + i, 0, "{}");
  s->ops->append(s, log, frames, n, ENG_MARK_IDLE, &t->ticket);
  for (size_t i = 0; i < n; i++) eng_frame_unref(frames[i]);
}

static void read_from(struct eng_store *s, struct eng_log *log, uint64_t from, size_t limit,
                      struct told *t) {
  *t = (struct told){.ticket.done = told_done};
  s->ops->read(s, log, from, limit, 0, &t->ticket);
}

static void the_store_at_once(void **state) {
  (void)state;
  struct eng_store *s = eng_store_mem_new();
  struct eng_log *log = s->ops->log_new(s, YOI_LIT("a"), &(struct eng_birth){0});
  struct told t;
  append(s, log, 1, 3, &t);
  assert_true(t.times == 1 && t.st == YOI_OK);
  append(s, log, 4, 1, &t);
  read_from(s, log, 2, 2, &t);
  assert_true(t.times == 1 && t.n == 2 && t.first == 2);
  read_from(s, log, 5, 8, &t);
  assert_true(t.times == 1 && t.n == 0 && t.st == YOI_OK);
  t = (struct told){.ticket.done = told_done};
  s->ops->read(s, log, 1, 8, 1, &t.ticket); /* no message is among them */
  assert_true(t.times == 1 && t.n == 0 && t.st == YOI_OK);
  eng_store_mem_fail(s, 1, 1);
  append(s, log, 5, 2, &t);
  assert_int_equal(t.st, YOI_INTERNAL);
  append(s, log, 5, 1, &t);
  assert_int_equal(t.st, YOI_OK);
  read_from(s, log, 1, 8, &t);
  assert_int_equal(t.n, YOI_REPLAY_BATCH_MAX < 5 ? YOI_REPLAY_BATCH_MAX : 5);
  t = (struct told){.ticket.done = told_done};
  s->ops->remove(s, log, &t.ticket);
  assert_int_equal(t.st, YOI_OK);
  read_from(s, log, 1, 8, &t);
  assert_int_equal(t.n, 0);
  s->ops->stop(s);
  s->ops->log_free(s, log);
  s->ops->close(s);
}

static void the_store_late_and_in_order(void **state) {
  (void)state;
  struct eng_store *s = eng_store_mem_new_late(NULL, NULL);
  struct eng_log *log = s->ops->log_new(s, YOI_LIT("a"), &(struct eng_birth){0});
  struct told a, b, c, d;
  append(s, log, 1, 2, &a);
  read_from(s, log, 1, 8, &b);
  eng_store_mem_fail(s, 2, 1);
  append(s, log, 3, 1, &c);
  read_from(s, log, 1, 8, &d);
  assert_int_equal(a.times + b.times + c.times + d.times, 0);
  assert_int_equal(eng_store_mem_waiting(s), 4);
  assert_true(eng_store_mem_step(s));
  assert_true(a.times == 1 && b.times == 0);
  assert_true(eng_store_mem_step(s) && eng_store_mem_step(s));
  assert_true(b.n == 2 && c.times == 1 && c.st == YOI_INTERNAL);
  s->ops->stop(s);
  assert_true(d.times == 1 && d.st == YOI_CANCELLED);
  assert_false(eng_store_mem_step(s));
  s->ops->log_free(s, log);
  s->ops->close(s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_cursor_is_read_back),
      cmocka_unit_test(cursors_are_parsed_strictly),
      cmocka_unit_test(workers_differ_in_their_cursors),
      cmocka_unit_test(the_hash_is_siphash_1_3),
      cmocka_unit_test(the_directory_keeps_order_and_finds),
      cmocka_unit_test(pages_are_filtered_and_exact),
      cmocka_unit_test(an_insertion_that_fails_changes_nothing),
      cmocka_unit_test(a_frame_carries_its_texts),
      cmocka_unit_test(the_ring_gives_what_is_behind_a_position),
      cmocka_unit_test(the_ring_drops_the_oldest_and_says_so),
      cmocka_unit_test(a_ring_without_memory_has_no_hole),
      cmocka_unit_test(idempotency_is_kept_for_64_inputs_and_a_day),
      cmocka_unit_test(without_memory_the_oldest_beyond_64_go),
      cmocka_unit_test(a_context_pairs_calls_and_results),
      cmocka_unit_test(the_store_at_once),
      cmocka_unit_test(the_store_late_and_in_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
