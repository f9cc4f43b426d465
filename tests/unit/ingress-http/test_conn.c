/* The plugin as its host sees it: answers and streams through sockets that
 * take a few bytes at a time, wakes, deadlines, limits, and memory that runs
 * out at every allocation. stage.h says what it plays on.
 */
#include "stage.h"

#include <cmocka.h>
#include <poll.h>
#include <sdk/mem.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void a_result_is_one_answer(void **state) {
  (void)state;
  int fd = dial();
  ask(fd, "GET /v1/workers/r", "");
  assert_int_equal(hear(fd, 1000), 1);
  assert_non_null(strstr(answer, "HTTP/1.1 200 OK\r\n"));
  assert_non_null(strstr(answer, "\r\n\r\n{\"worker\":{\"worker_id\":\"w-1\"}}"));
  answer_len = 0;
  ask(fd, "POST /v1/workers", "Content-Type: application/json\r\nContent-Length: 2\r\n");
  say(fd, "{}");
  hear(fd, 1000);
  assert_non_null(strstr(answer, "HTTP/1.1 201 Created\r\n"));
  assert_non_null(strstr(answer, "\r\nLocation: /v1/workers/w-1\r\n"));
  close(fd);
  settle();
}

static void a_large_answer_passes_a_small_socket(void **state) {
  (void)state;
  H.small_sends = 1;
  int fd = dial();
  ask(fd, "GET /v1/workers/big", "Connection: close\r\n");
  assert_int_equal(hear_all(fd, 700), 0);
  char *text = strstr(answer, "\r\n\r\n") + 4;
  assert_int_equal(strlen(text), BIG + 11);
  for (size_t k = 0; k < BIG; k++) assert_int_equal(text[9 + k], 'a' + (int)(k % 26));
  close(fd);
}

/* The same stream through an ample and through a small socket. */
static void a_stream_passes_a_small_socket(void **state) {
  (void)state;
  static char whole[ANSWER_MAX + 1];
  static const char path[] = "GET /v1/workers/memebmbeemn/events";
  int fd = dial();
  ask(fd, path, "Connection: close\r\n");
  assert_int_equal(hear_all(fd, ANSWER_MAX), 0);
  memcpy(whole, answer, answer_len + 1);
  assert_int_equal(occurrences(body(), "event: text.delta\n"), 18);
  close(fd);
  H.small_sends = 1;
  for (size_t step = 311; step < 5000; step += 1500) {
    fd = dial();
    ask(fd, path, "Connection: close\r\n");
    assert_int_equal(hear_all(fd, step), 0);
    assert_string_equal(answer, whole);
    close(fd);
    settle();
  }
}

static void news_arrive_by_wakes_and_the_connection_goes_on(void **state) {
  (void)state;
  int one = dial(), two = dial();
  ask(one, "GET /v1/workers/eaemaan/events", "");
  ask(two, "GET /v1/workers/eaemaan/events", "");
  hear(two, 1000);
  assert_int_equal(H.tokens_live, 1); /* of one worker */
  answer_len = 0;
  hear(one, 1000);
  assert_int_equal(occurrences(answer, "event: "), 1);
  wake_all();
  hear(one, 1000);
  assert_int_equal(occurrences(answer, "event: "), 5);
  wake_all();
  wake_all();
  hear(one, 1000);
  assert_int_equal(occurrences(body(), "event: "), 6);
  assert_int_equal(H.streams_live, 0);
  get(one, "r", "");
  assert_non_null(strstr(answer, "200 OK"));
  close(one);
  close(two);
  settle();
}

static void a_stream_that_fails_says_so_at_the_right_place(void **state) {
  (void)state;
  int fd = dial();
  ask(fd, "GET /v1/workers/x/events", "");
  hear(fd, 1000);
  assert_non_null(strstr(answer, "HTTP/1.1 404 Not Found"));
  get(fd, "eex/events", "");
  assert_non_null(strstr(body(), "event: end\ndata: {\"reason\":\"error\",\"code\":"
                                 "\"worker_not_found\",\"retryable\":false,\"cursor\":\"c-2\"}\n"));
  get(fd, "ax/events", "");
  assert_int_equal(answer_len, 0); /* it may still be an error */
  advance(200);
  hear(fd, 1000);
  assert_non_null(strstr(answer, "HTTP/1.1 200 OK"));
  later(fd, 0);
  assert_non_null(strstr(body(), "\"cursor\":null}"));
  close(fd);
  settle();
}

static void input_waits_for_its_turn_or_gives_its_ack(void **state) {
  (void)state;
  static const char json[] = "Content-Type: application/json\r\nContent-Length: 2\r\n";
  int fd = dial();
  ask(fd, "POST /v1/workers/keait/input?wait=2", json);
  say(fd, "{}");
  hear(fd, 1000);
  assert_int_equal(answer_len, 0);
  later(fd, 0);
  assert_non_null(strstr(answer, "HTTP/1.1 200 OK"));
  assert_non_null(strstr(answer, "{\"turn\":{\"state\":\"completed\"},"
                                 "\"message\":{\"role\":\"assistant\",\"n\":1}}"));
  answer_len = 0;
  ask(fd, "POST /v1/workers/kea/input?wait=0.5", json);
  say(fd, "{}");
  hear(fd, 1000);
  advance(400);
  hear(fd, 1000);
  assert_int_equal(answer_len, 0);
  advance(200);
  hear(fd, 1000);
  assert_non_null(strstr(answer, "HTTP/1.1 202 Accepted"));
  assert_non_null(strstr(answer, "{\"ack\":{\"turn_id\":\"t\"}}"));
  answer_len = 0;
  ask(fd, "POST /v1/workers/kex/input?wait=5", json); /* accepted all the same */
  say(fd, "{}");
  hear(fd, 1000);
  assert_non_null(strstr(answer, "HTTP/1.1 202 Accepted"));
  close(fd);
  settle();
}

static void a_batch_is_what_there_is(void **state) {
  static const char batch[] = "Accept: application/json\r\n";
  static const char none[] = "{\"events\":[],\"cursor\":\"c-9\",\"end\":null}";
  (void)state;
  int fd = dial();
  get(fd, "ema/events?limit=3", batch);
  assert_int_equal(occurrences(answer, "\"event\":\"text.delta\""), 3);
  assert_non_null(strstr(answer, "],\"cursor\":\"c-3\",\"end\":null}"));
  get(fd, "ac/events?cursor=c-9", batch);
  assert_int_equal(answer_len, 0); /* however long it takes, nothing is left out */
  later(fd, 150);
  assert_non_null(strstr(answer, none));
  get(fd, "oa/events?cursor=c-9", batch); /* knows no such thing */
  advance(150);
  hear(fd, 1000);
  assert_non_null(strstr(answer, none));
  get(fd, "aen/events?wait=9", batch);
  later(fd, 500);
  assert_non_null(strstr(answer, "\"end\":{\"reason\":\"turn_ended\"}}"));
  close(fd);
  settle();
}

static void deadlines_hold_in_every_state(void **state) {
  (void)state;
  int idle = dial(), header = dial(), body_ = dial(), quiet = dial();
  say(header, "GET / HT");
  ask(body_, "POST /v1/workers", "Content-Type: application/json\r\nContent-Length: 9\r\n");
  ask(quiet, "GET /v1/workers/ea/events", "");
  settle();
  advance(380);
  hear(header, 1000);
  assert_non_null(strstr(answer, "HTTP/1.1 408 Request Timeout"));
  answer_len = 0;
  hear(body_, 1000);
  assert_non_null(strstr(answer, "HTTP/1.1 408 Request Timeout"));
  assert_int_equal(hear(idle, 1000), 1);
  advance(300);
  assert_int_equal(hear(idle, 1000), 0);
  answer_len = 0;
  assert_int_equal(hear(quiet, 1000), 1);
  assert_in_range(occurrences(answer, "3\r\n:\n\n\r\n"), 2, 3);
  close(idle);
  close(header);
  close(body_);
  close(quiet);
  settle();
  assert_int_equal(H.streams_live, 0);
}

static void a_reader_that_stalls_is_closed(void **state) {
  (void)state;
  H.small_sends = 1;
  int stream = dial(), large = dial();
  ask(stream, "GET /v1/workers/bbbbbbbba/events", "");
  ask(large, "GET /v1/workers/big", "");
  settle();
  assert_int_equal(H.streams_live, 2);
  advance(1900);
  assert_int_equal(H.streams_live, 2);
  advance(200);
  assert_int_equal(H.streams_live, 0);
  close(stream);
  close(large);
}

/* 2 s, and 17 s for 70,000 bytes. On a busy machine the kernel may open the
 * window so late that it has stalled before: that is no failure. */
static void a_reader_that_trickles_is_closed(void **state) {
  (void)state;
  H.small_sends = 1;
  int large = dial(), ms = 0;
  char bytes[2000];
  ask(large, "GET /v1/workers/big", "");
  for (settle(); H.streams_live > 0 && ms < 30000; ms += 700) {
    (void)recv(large, bytes, sizeof bytes, 0);
    for (int i = 0; i < 5; i++, settle()) (void)poll(NULL, 0, 1); /* the kernel's part */
    advance(700);
  }
  assert_in_range(ms, 2000, 20500);
  close(large);
}

static void streams_and_connections_have_limits(void **state) {
  (void)state;
  int fds[8];
  for (int i = 0; i < 8; i++) {
    fds[i] = dial();
    ask(fds[i], "GET /v1/workers/ea/events", "");
    hear(fds[i], 1000);
    assert_non_null(strstr(answer, i < 4 ? "200 OK" : "429 Too Many Requests"));
  }
  int ninth = dial();
  assert_int_equal(hear(ninth, 1000), 0);
  assert_non_null(strstr(answer, "\"code\":\"limit_reached\""));
  close(ninth);
  for (int i = 0; i < 8; i++) close(fds[i]);
  settle();
  int fd = dial();
  ask(fd, "GET /v1/workers/ea/events", "");
  hear(fd, 1000);
  assert_non_null(strstr(answer, "200 OK"));
  close(fd);
  settle();
}

static void a_batch_has_the_time_that_it_needs(void **state) {
  (void)state;
  int fd = dial();
  settle();
  advance(500); /* of the 600 that an idle connection has */
  ask(fd, "GET /v1/workers/eac/events", "Accept: application/json\r\n");
  hear(fd, 1000);
  advance(400);
  hear(fd, 1000);
  assert_int_equal(answer_len, 0);
  wake_all();
  hear(fd, 1000);
  assert_non_null(strstr(answer, "\"events\":[{\"id\":\"c-1\""));
  close(fd);
  settle();
}

static void a_batch_that_is_not_whole_says_so(void **state) {
  static const char batch[] = "Accept: application/json\r\n";
  static const char brief[] = "Accept: application/json\r\nYoi-Timeout-Ms: 200\r\n";
  (void)state;
  int fd = dial();
  for (int waits = 0; waits < 2; waits++) {
    get(fd, waits ? "ex/events?wait=9" : "ex/events", batch);
    if (waits) later(fd, 0);
    assert_non_null(strstr(answer, "200 OK"));
    assert_non_null(strstr(answer, "\"events\":[{\"id\":\"c-1\""));
    assert_non_null(strstr(answer, "\"end\":{\"reason\":\"error\",\"code\":\"worker_not_found\","
                                   "\"retryable\":false,\"cursor\":\"c-1\"}}"));
  }
  get(fd, "ea/events", brief);
  assert_int_equal(answer_len, 0);
  advance(800);
  hear(fd, 1000);
  assert_non_null(strstr(answer, "200 OK"));
  assert_non_null(strstr(answer, "\"end\":{\"reason\":\"error\",\"code\":\"timeout\","
                                 "\"retryable\":true,\"cursor\":\"c-1\"}}"));
  get(fd, "a/events?cursor=c-9", brief);
  advance(800);
  hear(fd, 1000);
  assert_non_null(strstr(answer, "504"));
  assert_non_null(strstr(answer, "\"code\":\"timeout\""));
  close(fd);
  settle();
}

/* What a request came to when the n-th allocation failed. */
static void memory_may_fail_anywhere(void **state) {
  (void)state;
  static const struct { const char *line, *fields, *text; } requests[] = {
      {"GET /v1/workers/ar?timeout=5", "", ""},
      {"GET /v1/workers/eambbemn/events?cursor=c", "", ""},
      {"GET /v1/workers/emaa/events?limit=4", "Accept: application/json\r\n", ""},
      {"POST /v1/workers/keait/input?wait=2", "Content-Type: application/json\r\n"
                                             "Transfer-Encoding: chunked\r\n",
       "1\r\n{\r\n1\r\n}\r\n0\r\n\r\nGET / HTTP/1.1\r\nX-Request-Id: p\r\n"},
      {"GET /v1/workers/big", "Connection: close\r\n", ""},
  };
  H.small_sends = 1;
  for (size_t r = 0; r < sizeof requests / sizeof *requests; r++) {
    uint64_t made = 1;
    for (uint64_t nth = 1; nth <= made + 1 && nth < 200; nth++) {
      int fd = dial();
      settle();
      yoi_sdk_mem_fail_at(nth);
      ask(fd, requests[r].line, requests[r].fields);
      settle();
      /* It may have ended already. */
      (void)send(fd, requests[r].text, strlen(requests[r].text), MSG_NOSIGNAL);
      for (int i = 0; i < 4; i++) {
        hear(fd, 5000);
        wake_all();
        settle();
      }
      made = yoi_sdk_mem_fail_at(0);
      close(fd);
      settle();
      assert_int_equal(H.streams_live, 0);
      fd = dial();
      ask(fd, "GET /v1/workers/r", "Connection: close\r\n");
      assert_int_equal(hear_all(fd, 5000), 0);
      assert_non_null(strstr(answer, "HTTP/1.1 200 OK"));
      close(fd);
      settle();
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
      T(a_result_is_one_answer),
      T(a_large_answer_passes_a_small_socket),
      T(a_stream_passes_a_small_socket),
      T(news_arrive_by_wakes_and_the_connection_goes_on),
      T(a_stream_that_fails_says_so_at_the_right_place),
      T(input_waits_for_its_turn_or_gives_its_ack),
      T(a_batch_is_what_there_is),
      T(deadlines_hold_in_every_state),
      T(a_reader_that_stalls_is_closed),
      T(a_reader_that_trickles_is_closed),
      T(streams_and_connections_have_limits),
      T(a_batch_has_the_time_that_it_needs),
      T(a_batch_that_is_not_whole_says_so),
      T(memory_may_fail_anywhere),
#undef T
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
