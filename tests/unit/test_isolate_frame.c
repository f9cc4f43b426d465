/* test_isolate_frame.c - messages over a pair of sockets: whole, in pieces, with a
 * descriptor, queued, and torn in each way that a hostile worker could.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sdk/mem.h>

#include "host/isolate/frame.h"

#define MAX (4 * YOI_ISOLATED_PIECE_BYTES)

struct pair {
  struct yoi__channel a, b;
  int raw; /* beside a, for packets that no channel would send */
};

static void open_pair(struct pair *p) {
  int fds[2];
  assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
  p->raw = dup(fds[0]);
  assert_int_equal(yoi__channel_init(&p->a, fds[0], 0, MAX), YOI_OK);
  assert_int_equal(yoi__channel_init(&p->b, fds[1], 0, MAX), YOI_OK);
}

static void close_pair(struct pair *p) {
  yoi__channel_release(&p->a);
  yoi__channel_release(&p->b);
  yoi__channel_release(&p->b); /* twice is once */
  if (p->raw >= 0) close(p->raw);
}

/* A text whose bytes say where they are. */
static char *text_of(size_t n) {
  char *t = yoi_sdk_malloc(n + 1);
  assert_non_null(t);
  for (size_t i = 0; i < n; i++) t[i] = (char)('a' + (i * 7 + i / YOI_ISOLATED_PIECE_BYTES) % 26);
  return t;
}

static void sizes_around_a_piece_arrive(void **state) {
  (void)state;
  const size_t sizes[] = {0,
                          1,
                          YOI_ISOLATED_PIECE_BYTES - 1,
                          YOI_ISOLATED_PIECE_BYTES,
                          YOI_ISOLATED_PIECE_BYTES + 1,
                          2 * YOI_ISOLATED_PIECE_BYTES,
                          MAX};
  struct pair p;
  open_pair(&p);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    struct yoi__message m;
    const char *why = NULL;
    char *t = text_of(sizes[i]);
    int got = 0;
    assert_int_equal(yoi__channel_send(&p.a, YOI__MSG_EVENTS, 40 + i, (yoi_str){t, sizes[i]}, -1),
                     YOI_OK);
    for (int tries = 0; tries < 100 && got == 0; tries++) {
      got = yoi__channel_recv(&p.b, &m, &why);
      assert_int_equal(yoi__channel_flush(&p.a), YOI_OK);
    }
    assert_int_equal(got, 1);
    assert_int_equal(m.kind, YOI__MSG_EVENTS);
    assert_int_equal(m.id, 40 + i);
    assert_int_equal(m.body.len, sizes[i]);
    assert_memory_equal(m.body.ptr, t, sizes[i]);
    assert_int_equal(m.fd, -1);
    yoi_sdk_free(t);
  }
  close_pair(&p);
}

static void what_finds_no_room_is_queued_in_order(void **state) {
  (void)state;
  struct pair p;
  struct yoi__message m;
  const char *why = NULL;
  char *t = text_of(YOI_ISOLATED_PIECE_BYTES);
  uint64_t sent = 0, got = 0;
  open_pair(&p);
  while (p.a.first == NULL && sent < 1000)
    assert_int_equal(
        yoi__channel_send(&p.a, YOI__MSG_ASK, ++sent, (yoi_str){t, YOI_ISOLATED_PIECE_BYTES}, -1),
        YOI_OK);
  assert_non_null(p.a.first);
  assert_int_equal(yoi__channel_send(&p.a, YOI__MSG_ASK, ++sent, YOI_LIT("short"), -1), YOI_OK);
  for (uint64_t tries = 0; tries < 2000 && got < sent; tries++) {
    if (yoi__channel_recv(&p.b, &m, &why) == 1) assert_int_equal(m.id, ++got);
    assert_int_equal(yoi__channel_flush(&p.a), YOI_OK);
  }
  assert_int_equal(got, sent);
  assert_int_equal(p.a.queued, 0);
  yoi_sdk_free(t);
  close_pair(&p);
}

static void a_queue_has_an_end(void **state) {
  (void)state;
  struct pair p;
  size_t n = YOI_ISOLATED_MESSAGE_BYTES;
  char *t = yoi_sdk_calloc(1, n + 1);
  assert_non_null(t);
  open_pair(&p);
  assert_int_equal(yoi__channel_send(&p.a, YOI__MSG_ASK, 1, (yoi_str){t, n + 1}, -1),
                   YOI_RESOURCE_EXHAUSTED); /* one message alone */
  yoi_status st = YOI_OK;
  uint64_t taken = 0;
  while (st == YOI_OK && taken < 10) {
    st = yoi__channel_send(&p.a, YOI__MSG_ASK, 1, (yoi_str){t, n}, -1);
    taken += st == YOI_OK;
  }
  assert_int_equal(st, YOI_RESOURCE_EXHAUSTED);
  assert_int_equal(taken, YOI_ISOLATED_QUEUE_BYTES / (n + YOI__UNSENT_BYTES));
  yoi_sdk_free(t);
  close_pair(&p);
}

static void fill(struct pair *p) {
  static const char piece[YOI_ISOLATED_PIECE_BYTES];
  for (int sent = 0; p->a.first == NULL && sent < 1000; sent++)
    assert_int_equal(yoi__channel_send(&p->a, YOI__MSG_ASK, 1, (yoi_str){piece, sizeof piece}, -1),
                     YOI_OK);
  assert_non_null(p->a.first);
}

/* A short message costs what it takes, not what is in it. */
static void short_messages_have_an_end(void **state) {
  (void)state;
  struct pair p;
  yoi_status st = YOI_OK;
  size_t taken = 0;
  open_pair(&p);
  fill(&p);
  const size_t room = (YOI_ISOLATED_QUEUE_BYTES - p.a.queued) / (YOI__UNSENT_BYTES + 4);
  while (st == YOI_OK && taken <= room) {
    st = yoi__channel_send(&p.a, YOI__MSG_CREDIT, 1, YOI_LIT("four"), -1);
    taken += st == YOI_OK;
  }
  assert_int_equal(st, YOI_RESOURCE_EXHAUSTED);
  assert_int_equal(taken, room);
  close_pair(&p);
}

static size_t open_files(int *out_inherited) {
  size_t n = 0;
  *out_inherited = 0;
  for (int fd = 3; fd < 1024; fd++) {
    int flags = fcntl(fd, F_GETFD);
    n += flags >= 0;
    *out_inherited += flags >= 0 && (flags & FD_CLOEXEC) == 0;
  }
  return n;
}

/* Each may hold a descriptor of the host's. */
static void answers_have_an_end(void **state) {
  (void)state;
  struct pair p;
  struct yoi__message m;
  const char *why = NULL;
  yoi_status st = YOI_OK;
  uint32_t taken = 0;
  int inherited, inherited_before, fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  open_pair(&p);
  fill(&p);
  size_t before = open_files(&inherited_before);
  while (st == YOI_OK && taken <= YOI_ISOLATED_ASKS_MAX) {
    st = yoi__channel_send(&p.a, YOI__MSG_ANSWER, taken, YOI_LIT("four"), fd);
    taken += st == YOI_OK;
  }
  assert_int_equal(st, YOI_RESOURCE_EXHAUSTED);
  assert_int_equal(taken, YOI_ISOLATED_ASKS_MAX);
  assert_int_equal(open_files(&inherited) - before, YOI_ISOLATED_ASKS_MAX);
  assert_int_equal(inherited, inherited_before);
  /* What is no answer still goes, and when one is read there is room for another. */
  assert_int_equal(yoi__channel_send(&p.a, YOI__MSG_START, 1, YOI_LIT("four"), -1), YOI_OK);
  for (int tries = 0; tries < 1000 && p.a.answers == YOI_ISOLATED_ASKS_MAX; tries++) {
    if (yoi__channel_recv(&p.b, &m, &why) == 1 && m.fd >= 0) close(m.fd);
    assert_int_equal(yoi__channel_flush(&p.a), YOI_OK);
  }
  assert_in_range(p.a.answers, 0, YOI_ISOLATED_ASKS_MAX - 1);
  assert_int_equal(yoi__channel_send(&p.a, YOI__MSG_ANSWER, 1, YOI_LIT("four"), fd), YOI_OK);
  close(fd);
  close_pair(&p);
}

/* Its memory was short when it was made: what it took over is closed all the same. */
static void one_that_was_not_made_is_closed(void **state) {
  (void)state;
  struct pair p;
  open_pair(&p);
  int fd = p.a.fd;
  yoi_sdk_free(p.a.packet);
  p.a.packet = NULL;
  yoi__channel_release(&p.a);
  assert_int_equal(fcntl(fd, F_GETFD), -1);
  struct yoi__channel none = {.fd = p.raw}; /* of one that never took any, nothing is */
  yoi__channel_release(&none);
  assert_true(fcntl(p.raw, F_GETFD) >= 0);
  close_pair(&p);
}

static void a_descriptor_comes_along_and_once(void **state) {
  (void)state;
  struct pair p;
  struct yoi__message m;
  const char *why = NULL;
  char *t = text_of(2 * YOI_ISOLATED_PIECE_BYTES);
  int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), got = 0;
  open_pair(&p);
  assert_int_equal(
      yoi__channel_send(&p.a, YOI__MSG_ANSWER, 9, (yoi_str){t, 2 * YOI_ISOLATED_PIECE_BYTES}, fd),
      YOI_OK);
  for (int i = 0; i < 100 && got == 0; i++) {
    got = yoi__channel_recv(&p.b, &m, &why);
    assert_int_equal(yoi__channel_flush(&p.a), YOI_OK);
  }
  assert_int_equal(got, 1);
  assert_true(m.fd >= 0 && m.fd != fd);
  assert_int_equal(fcntl(m.fd, F_GETFD), FD_CLOEXEC);
  close(m.fd);
  close(fd);
  yoi_sdk_free(t);
  close_pair(&p);
}

static void the_end_is_seen(void **state) {
  (void)state;
  struct pair p;
  struct yoi__message m;
  const char *why = "";
  open_pair(&p);
  assert_int_equal(yoi__channel_recv(&p.b, &m, &why), 0);
  close(p.raw);
  p.raw = -1;
  yoi__channel_release(&p.a);
  assert_int_equal(yoi__channel_recv(&p.b, &m, &why), -1);
  assert_null(why);
  assert_int_equal(yoi__channel_send(&p.b, YOI__MSG_ASK, 1, YOI_LIT("x"), -1), YOI_UNAVAILABLE);
  close_pair(&p);
}

/* ---- what a hostile worker could send --------------------------------------- */

struct torn {
  struct yoi__frame_head head;
  size_t body;
};

static void send_raw(int fd, struct torn t) {
  char *packet = yoi_sdk_calloc(1, sizeof t.head + t.body);
  assert_non_null(packet);
  memcpy(packet, &t.head, sizeof t.head);
  assert_int_equal(send(fd, packet, sizeof t.head + t.body, MSG_NOSIGNAL),
                   (ssize_t)(sizeof t.head + t.body));
  yoi_sdk_free(packet);
}

static void a_breach_ends_it(void **state) {
  (void)state;
  const uint32_t full = YOI_ISOLATED_PIECE_BYTES;
  const struct torn first[] = {
      {{YOI__MSG_MORE, 0, 1}, 0},              /* goes on with nothing */
      {{YOI__MSG_LAST + 1, 0, 1}, 0},          /* of no kind */
      {{YOI__MSG_ASK, MAX + 1, 1}, full},      /* larger than is taken */
      {{YOI__MSG_ASK, UINT32_MAX, 1}, full},   /* the largest that can be said */
      {{YOI__MSG_ASK, 5, 1}, 4},               /* less than it says */
      {{YOI__MSG_ASK, 3, 1}, 4},               /* more than it says */
      {{YOI__MSG_ASK, full + 1, 1}, full - 1}, /* a piece that is not full */
      {{YOI__MSG_ASK, 10, 1}, full + 1},       /* a packet that is too large */
  };
  for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
    struct pair p;
    struct yoi__message m;
    const char *why = NULL;
    open_pair(&p);
    send_raw(p.raw, first[i]);
    assert_int_equal(yoi__channel_recv(&p.b, &m, &why), -1);
    assert_non_null(why);
    close_pair(&p);
  }
}

static void a_piece_that_does_not_follow_ends_it(void **state) {
  (void)state;
  const uint32_t full = YOI_ISOLATED_PIECE_BYTES;
  const struct torn next[] = {
      {{YOI__MSG_MORE, full, 2}, 1},     /* of another message */
      {{YOI__MSG_MORE, full - 1, 1}, 1}, /* from elsewhere */
      {{YOI__MSG_MORE, full, 1}, 0},     /* with nothing */
      {{YOI__MSG_MORE, full, 1}, 2},     /* with too much */
      {{YOI__MSG_ASK, 1, 1}, 1},         /* a new one in between */
  };
  for (size_t i = 0; i < sizeof next / sizeof *next; i++) {
    struct pair p;
    struct yoi__message m;
    const char *why = NULL;
    open_pair(&p);
    send_raw(p.raw, (struct torn){{YOI__MSG_ASK, full + 1, 1}, full});
    send_raw(p.raw, next[i]);
    assert_int_equal(yoi__channel_recv(&p.b, &m, &why), -1);
    assert_non_null(why);
    close_pair(&p);
  }
}

static void a_head_that_is_cut_ends_it(void **state) {
  (void)state;
  struct pair p;
  struct yoi__message m;
  const char *why = NULL;
  open_pair(&p);
  assert_int_equal(send(p.raw, "1234567", 7, MSG_NOSIGNAL), 7);
  assert_int_equal(yoi__channel_recv(&p.b, &m, &why), -1);
  assert_non_null(why);
  close_pair(&p);
}

/* ---- bodies -------------------------------------------------------------------- */

static void bodies_are_read_as_they_were_written(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  struct yoi_sdk_error e, back;
  yoi_sdk_buf_init(&b, 100000);
  (void)yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_TIMEOUT, "late");
  yoi_sdk_fail_details(&e.e, YOI_LIT("{\"a\":1}"));
  yoi_sdk_fail_private(&e.e, "where");
  yoi__put_u32(&b, 7);
  yoi__put_u64(&b, UINT64_MAX);
  yoi__put_str(&b, YOI_LIT("text"));
  yoi__put_str(&b, (yoi_str){NULL, 0});
  yoi__put_error(&b, &e.e);
  struct yoi__reader r = yoi__reader_of(yoi_sdk_buf_str(&b));
  assert_int_equal(yoi__get_u32(&r), 7);
  assert_true(yoi__get_u64(&r) == UINT64_MAX);
  assert_true(yoi_sdk_str_is(yoi__get_text(&r, 4), "text"));
  assert_int_equal(yoi__get_text(&r, 0).len, 0);
  yoi__get_error(&r, yoi_sdk_error_init(&back));
  assert_true(yoi__reader_done(&r));
  assert_int_equal(back.e.code, YOI_CODE_TIMEOUT);
  assert_int_equal(back.e.flags, YOI_ERROR_RETRYABLE);
  assert_string_equal(back.message, "late");
  assert_string_equal(back.details, "{\"a\":1}");
  assert_string_equal(back.private_detail, "where");
  /* Each shorter one is none. */
  for (size_t n = 0; n < b.len; n++) {
    struct yoi__reader cut = yoi__reader_of((yoi_str){b.data, n});
    (void)yoi__get_u32(&cut);
    (void)yoi__get_u64(&cut);
    (void)yoi__get_text(&cut, 4);
    (void)yoi__get_text(&cut, 0);
    yoi__get_error(&cut, yoi_sdk_error_init(&back));
    assert_false(yoi__reader_done(&cut));
  }
  yoi_sdk_buf_release(&b);
}

static void texts_are_short_enough_and_utf8(void **state) {
  (void)state;
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, 1000);
  yoi__put_str(&b, YOI_LIT("four\xff"));
  struct yoi__reader r = yoi__reader_of(yoi_sdk_buf_str(&b));
  assert_int_equal(yoi__get_bytes(&r, 5).len, 5);
  assert_true(yoi__reader_done(&r));
  r = yoi__reader_of(yoi_sdk_buf_str(&b));
  assert_int_equal(yoi__get_bytes(&r, 4).len, 0);
  assert_true(r.bad);
  r = yoi__reader_of(yoi_sdk_buf_str(&b));
  assert_int_equal(yoi__get_text(&r, 5).len, 0);
  assert_true(r.bad);
  assert_int_equal(yoi__get_u32(&r), 0); /* what is bad stays bad */
  yoi_sdk_buf_release(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes_around_a_piece_arrive),
      cmocka_unit_test(what_finds_no_room_is_queued_in_order),
      cmocka_unit_test(a_queue_has_an_end),
      cmocka_unit_test(short_messages_have_an_end),
      cmocka_unit_test(answers_have_an_end),
      cmocka_unit_test(one_that_was_not_made_is_closed),
      cmocka_unit_test(a_descriptor_comes_along_and_once),
      cmocka_unit_test(the_end_is_seen),
      cmocka_unit_test(a_breach_ends_it),
      cmocka_unit_test(a_piece_that_does_not_follow_ends_it),
      cmocka_unit_test(a_head_that_is_cut_ends_it),
      cmocka_unit_test(bodies_are_read_as_they_were_written),
      cmocka_unit_test(texts_are_short_enough_and_utf8),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
