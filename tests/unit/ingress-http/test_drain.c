/* The end of a listener, and of connections that say nothing: answers go out,
 * no loop is forgotten, and nobody is cut off whose request has come.
 */
#include "stage.h"

#include <cmocka.h>
#include <openssl/ssl.h>
#include <sdk/error.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the drain's stream -------------------------------------------------------------- */

static yoi_stream *drain_from(uint64_t ms) {
  struct yoi_sdk_error err;
  yoi_stream *out = NULL;
  ingress->stop_accepting(self);
  assert_int_equal(ingress->drain(self, (H.now_ms + ms) * 1000000u, 0, &out,
                                  yoi_sdk_error_init(&err)), YOI_OK);
  return out;
}

static yoi_status next(yoi_stream *s) {
  struct yoi_sdk_error err;
  const yoi_event *const *evs;
  size_t n;
  return s->ops->next(s, &evs, &n, yoi_sdk_error_init(&err));
}

/* ---- tests -------------------------------------------------------------------------- */

static void a_drain_lets_answers_end_and_then_ends_all(void **state) {
  (void)state;
  int idle = dial(), busy = dial(), watching = dial();
  ask(busy, "GET /v1/workers/ar", "");
  ask(watching, "GET /v1/workers/ea/events", "");
  settle();
  yoi_stream *out = drain_from(1400);
  assert_int_equal(next(out), YOI_AGAIN);
  settle();
  assert_int_equal(hear(idle, 1000), 1);
  advance(1100);
  assert_int_equal(hear(idle, 1000), 0);
  wake_all();
  answer_len = 0;
  hear(busy, 1000);
  assert_non_null(strstr(answer, "200 OK"));
  assert_non_null(strstr(answer, "Connection: close"));
  close(busy);
  settle();
  assert_int_equal(next(out), YOI_AGAIN);
  advance(300);
  assert_int_equal(next(out), YOI_AGAIN);
  advance(600);
  assert_int_equal(next(out), YOI_END);
  out->ops->release(out);
  close(idle);
  close(watching);
}

/* Loop 1 comes late to its turn, and takes one more connection first. */
static void a_drain_ends_when_every_loop_was_told(void **state) {
  (void)state;
  H.busy = 1u << 1;
  int late = dial_loop(1);
  yoi_stream *out = drain_from(5000);
  settle();
  assert_int_equal(next(out), YOI_AGAIN);
  H.busy = 0;
  settle();
  assert_int_equal(next(out), YOI_AGAIN);
  get(late, "r", "");
  assert_non_null(strstr(answer, "200 OK"));
  assert_non_null(strstr(answer, "Connection: close"));
  assert_int_equal(next(out), YOI_AGAIN);
  close(late);
  settle();
  assert_int_equal(next(out), YOI_END);
  out->ops->release(out);
}

/* Also one that a connection of it comes to before the drain does. */
static void a_loop_that_no_post_reached_is_told_by_what_it_does_next(void **state) {
  (void)state;
  int late = dial_loop(1);
  H.unreachable = 1u << 1;
  yoi_stream *out = drain_from(5000);
  H.unreachable = 0;
  H.busy = 1u << 1;
  settle();
  assert_int_equal(next(out), YOI_AGAIN);
  H.busy = 0;
  settle();
  get(late, "r", "");
  assert_non_null(strstr(answer, "200 OK"));
  close(late);
  settle();
  assert_int_equal(next(out), YOI_END);
  out->ops->release(out);
}

/* What was promised by an answer holds when the drain comes before its end. */
static void a_connection_that_was_told_to_go_on_may_ask_once_more(void **state) {
  (void)state;
  int fd = dial();
  ask(fd, "GET /v1/workers/ean/events", "");
  hear(fd, 1000);
  assert_null(strstr(answer, "Connection: close"));
  yoi_stream *out = drain_from(5000);
  settle();
  wake_all();
  hear(fd, 1000);
  get(fd, "r", "");
  assert_non_null(strstr(answer, "200 OK"));
  assert_non_null(strstr(answer, "Connection: close"));
  close(fd);
  settle();
  assert_int_equal(next(out), YOI_END);
  out->ops->release(out);
}

/* The deadline of an idle connection is over before anybody has looked at the
 * request that came for it. */
static void a_request_that_has_come_is_answered(void **state) {
  (void)state;
  for (int draining = 0; draining < 2; draining++) {
    int fd = dial(), silent = dial();
    settle();
    yoi_stream *out = draining ? drain_from(5000) : NULL;
    settle();
    ask(fd, "GET /v1/workers/r", "");
    H.now_ms += 1100;
    turn_timers();
    assert_int_equal(hear(fd, 1000), !draining);
    assert_non_null(strstr(answer, "200 OK"));
    answer_len = 0;
    assert_int_equal(hear(silent, 1000), 0);
    close(fd);
    close(silent);
    settle();
    if (!out) continue;
    assert_int_equal(next(out), YOI_END);
    out->ops->release(out);
  }
}

/* ---- TLS ------------------------------------------------------------------------------ */

struct client {
  SSL_CTX *ctx;
  SSL *ssl;
  int fd;
};

/* What the client has to send, from one buffer of bytes on the wire. */
static int wire(struct client *k, char *buf, size_t n) {
  int got = BIO_read(SSL_get_wbio(k->ssl), buf, (int)n);
  return got > 0 ? got : 0;
}

static void send_all(struct client *k, const char *p, int n) {
  assert_int_equal(send(k->fd, p, (size_t)n, MSG_NOSIGNAL), n);
}

static void hand_over(struct client *k) {
  char buf[16384];
  int n = wire(k, buf, sizeof buf);
  if (n > 0) send_all(k, buf, n);
  answer_len = 0;
  hear(k->fd, 1000);
  if (answer_len > 0)
    assert_int_equal(BIO_write(SSL_get_rbio(k->ssl), answer, (int)answer_len), answer_len);
}

static struct client dial_tls(void) {
  struct client k = {.ctx = SSL_CTX_new(TLS_client_method()), .fd = dial()};
  assert_non_null(k.ctx);
  k.ssl = SSL_new(k.ctx);
  assert_non_null(k.ssl);
  SSL_set_bio(k.ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_connect_state(k.ssl);
  return k;
}

static void shake_hands(struct client *k) {
  for (int i = 0; i < 50 && SSL_do_handshake(k->ssl) != 1; i++) hand_over(k);
  assert_true(SSL_is_init_finished(k->ssl));
}

/* One request as a record; how many bytes it has. */
static int sealed(struct client *k, char *buf, size_t cap) {
  static const char text[] = "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
  assert_int_equal(SSL_write(k->ssl, text, sizeof text - 1), sizeof text - 1);
  return wire(k, buf, cap);
}

static void assert_answered(struct client *k) {
  char text[1024] = "";
  hand_over(k);
  assert_true(SSL_read(k->ssl, text, sizeof text - 1) > 0);
  assert_non_null(strstr(text, "HTTP/1.1 200 OK"));
}

static void hang_up(struct client *k) {
  SSL_free(k->ssl);
  SSL_CTX_free(k->ctx);
  close(k->fd);
  settle();
}

static void a_request_that_has_come_through_tls_is_answered(void **state) {
  (void)state;
  char buf[1024];
  struct client k = dial_tls();
  shake_hands(&k);
  hand_over(&k);
  int n = sealed(&k, buf, sizeof buf);
  send_all(&k, buf, n);
  H.now_ms += 700;
  turn_timers();
  assert_answered(&k);
  hang_up(&k);
}

/* Half a record holds a connection for header_ms, and not again. */
static void half_a_record_has_a_deadline(void **state) {
  (void)state;
  char buf[1024];
  for (int whole = 0; whole < 2; whole++) {
    struct client k = dial_tls();
    shake_hands(&k);
    hand_over(&k);
    int n = sealed(&k, buf, sizeof buf);
    send_all(&k, buf, n / 2);
    H.now_ms += 700;
    turn_timers();
    advance(200);
    answer_len = 0;
    assert_int_equal(hear(k.fd, 1000), 1);
    if (whole) {
      send_all(&k, buf + n / 2, n - n / 2);
      assert_answered(&k);
    } else {
      send_all(&k, buf + n / 2, 1);
      H.now_ms += 200;
      turn_timers();
      (void)hear_all(k.fd, 1000);
      assert_int_equal(hear(k.fd, 1000), 0);
    }
    hang_up(&k);
  }
}

/* The last word of the handshake has come, and the deadline has passed. */
static void a_handshake_that_goes_on_is_not_cut(void **state) {
  (void)state;
  char buf[1024];
  struct client k = dial_tls();
  for (int i = 0; i < 50 && SSL_do_handshake(k.ssl) != 1; i++) hand_over(&k);
  int n = wire(&k, buf, sizeof buf); /* its last flight, not sent so far */
  assert_true(n > 0);
  send_all(&k, buf, n);
  H.now_ms += 400;
  turn_timers();
  n = sealed(&k, buf, sizeof buf);
  send_all(&k, buf, n);
  assert_answered(&k);
  hang_up(&k);
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define T(name, with) cmocka_unit_test_setup_teardown(name, with, tear_down)
      T(a_drain_lets_answers_end_and_then_ends_all, set_up),
      T(a_drain_ends_when_every_loop_was_told, set_up_two),
      T(a_loop_that_no_post_reached_is_told_by_what_it_does_next, set_up_two),
      T(a_connection_that_was_told_to_go_on_may_ask_once_more, set_up),
      T(a_request_that_has_come_is_answered, set_up),
      T(a_request_that_has_come_through_tls_is_answered, set_up_tls),
      T(half_a_record_has_a_deadline, set_up_tls),
      T(a_handshake_that_goes_on_is_not_cut, set_up_tls),
#undef T
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
