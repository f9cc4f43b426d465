/* The plugin as its host sees it, on real sockets and a host that is driven
 * step by step: answers and streams through sockets that take a few bytes at a
 * time, wakes, deadlines, drain, and memory that runs out at every allocation.
 *
 * The runtime here is `play`: the worker's id is a list of letters, one per
 * call of next. e: an event, m: three, b: a big one, a: AGAIN (until `wake`),
 * k: the ack, i: the assistant's message, t: the end of the turn, n: the event
 * `end`, x: an error; the end of the letters is END. Unary operations answer
 * with one result.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sdk/error.h>
#include <sdk/mem.h>
#include <sdk/str.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <yoi/host_clock.h>
#include <yoi/host_log.h>
#include <yoi/host_loop.h>
#include <yoi/host_metrics.h>
#include <yoi/host_registry.h>
#include <yoi/ingress.h>
#include <yoi/plugin.h>

#define WATCHES 64
#define POSTS 256
#define TIMERS 64
#define BIG 70000
#define ANSWER_MAX 400000

/* ---- the host ---------------------------------------------------------- */

static struct {
  yoi_host host;
  uint64_t now_ms, next_id, tokens_live, woken_cookie;
  struct { uint64_t id; int32_t fd; uint32_t interest; yoi_loop_fd_fn fn; void *ctx; } w[WATCHES];
  struct { yoi_loop_fn fn; void *ctx; } posts[POSTS];
  struct { uint64_t id, at_ns; yoi_loop_fn fn; void *ctx; } timers[TIMERS];
  size_t n_posts, streams_live;
  uint32_t small_sends;
} H;
static const yoi_ingress *ingress;
static void *self;

static uint32_t one_loop(const yoi_host *h) { return (void)h, 1; }
static uint32_t loop_zero(const yoi_host *h) { return (void)h, 0; }

static yoi_status post(const yoi_host *h, uint32_t loop, yoi_loop_fn fn, void *ctx) {
  (void)h, (void)loop;
  assert_true(H.n_posts < POSTS);
  H.posts[H.n_posts].fn = fn;
  H.posts[H.n_posts++].ctx = ctx;
  return YOI_OK;
}

static yoi_status watch(const yoi_host *h, int32_t fd, uint32_t interest, yoi_loop_fd_fn fn,
                        void *ctx, uint64_t *out) {
  (void)h;
  for (int i = 0; i < WATCHES; i++) {
    if (H.w[i].id) continue;
    H.w[i].id = *out = ++H.next_id;
    H.w[i].fd = fd;
    H.w[i].interest = interest;
    H.w[i].fn = fn;
    H.w[i].ctx = ctx;
    /* The kernel's smallest buffer: writes block in the middle of things. */
    int small = 1;
    if (H.small_sends) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    return YOI_OK;
  }
  return YOI_RESOURCE_EXHAUSTED;
}

static yoi_status rewatch(const yoi_host *h, uint64_t id, uint32_t interest) {
  (void)h;
  for (int i = 0; i < WATCHES; i++)
    if (H.w[i].id == id) H.w[i].interest = interest;
  return YOI_OK;
}

static void unwatch(const yoi_host *h, uint64_t id) {
  (void)h;
  for (int i = 0; i < WATCHES; i++)
    if (H.w[i].id == id) H.w[i].id = 0;
}

static yoi_status timer(const yoi_host *h, uint64_t at, yoi_loop_fn fn, void *ctx, uint64_t *out) {
  (void)h;
  for (int i = 0; i < TIMERS; i++) {
    if (H.timers[i].id) continue;
    H.timers[i].id = *out = ++H.next_id;
    H.timers[i].at_ns = at;
    H.timers[i].fn = fn;
    H.timers[i].ctx = ctx;
    return YOI_OK;
  }
  return YOI_RESOURCE_EXHAUSTED;
}

static void timer_cancel(const yoi_host *h, uint64_t id) {
  (void)h;
  for (int i = 0; i < TIMERS; i++)
    if (H.timers[i].id == id) H.timers[i].id = 0;
}

static uint64_t mono(const yoi_host *h) { return (void)h, H.now_ms * 1000000u; }
static uint64_t wall(const yoi_host *h) { return (void)h, 784111777000000000u; }
static uint32_t no_log(const yoi_host *h, uint32_t level) { return (void)h, (void)level, 0; }
static void log_write(const yoi_host *h, uint32_t level, yoi_str msg, yoi_str id,
                      const yoi_log_field *f, size_t n) {
  (void)h, (void)level, (void)msg, (void)id, (void)f, (void)n;
}
static yoi_status counter(const yoi_host *h, yoi_str name, yoi_str help, yoi_str label,
                          yoi_str value, uint32_t *out) {
  (void)h, (void)name, (void)help, (void)label, (void)value;
  *out = 1;
  return YOI_OK;
}
static void count(const yoi_host *h, uint32_t id, uint64_t n) { (void)h, (void)id, (void)n; }

/* ---- the runtime ----------------------------------------------------------- */

struct play {
  yoi_stream s;
  char script[80];
  size_t at;
  uint32_t n; /* events so far */
  uint64_t token;
  uint8_t created;
  yoi_event ev[3];
  const yoi_event *evs[3];
  char *text[3], cursor[3][16];
};

/* The runtime's memory is libc's, so that failing allocations are the
 * ingress' alone. */
static void event(struct play *p, int i, uint32_t kind, const char *text, size_t big) {
  size_t len = big ? big + 11 : strlen(text), n;
  free(p->text[i]);
  p->text[i] = malloc(len + 1);
  assert_non_null(p->text[i]);
  snprintf(p->text[i], len + 1, "%s", big ? "{\"text\":\"" : text);
  for (size_t k = 0; k < big; k++) p->text[i][9 + k] = (char)('a' + k % 26);
  if (big) memcpy(p->text[i] + 9 + big, "\"}", 3);
  n = (size_t)snprintf(p->cursor[i], sizeof p->cursor[i], "c-%u", ++p->n);
  if (kind == YOI_EVENT_ACK || kind == YOI_EVENT_END) n = 0;
  p->ev[i] = (yoi_event){.size = sizeof(yoi_event),
                         .kind = kind,
                         .flags = p->created ? YOI_EV_CREATED : 0,
                         .cursor = {p->cursor[i], n},
                         .text = {p->text[i], len}};
  p->evs[i] = &p->ev[i];
}

static yoi_status play_next(yoi_stream *s, const yoi_event *const **evs, size_t *n,
                            yoi_error *err) {
  struct play *p = (struct play *)s;
  char c = p->script[p->at];
  *evs = p->evs;
  *n = 1;
  if (c) p->at++;
  switch (c) {
  case 0: return YOI_END;
  case 'e': event(p, 0, YOI_EVENT_TEXT_DELTA, "{\"text\":\"x\"}", 0); return YOI_OK;
  case 'b': event(p, 0, YOI_EVENT_TEXT_DELTA, "", BIG); return YOI_OK;
  case 'm':
    for (int i = 0; i < 3; i++) event(p, i, YOI_EVENT_TEXT_DELTA, "{\"text\":\"y\"}", 0);
    *n = 3;
    return YOI_OK;
  case 'k': event(p, 0, YOI_EVENT_ACK, "{\"ack\":{\"turn_id\":\"t\"}}", 0); return YOI_OK;
  case 'i':
    event(p, 0, YOI_EVENT_MESSAGE_COMPLETED, "{\"item\":{\"role\":\"assistant\",\"n\":1}}", 0);
    return YOI_OK;
  case 't': event(p, 0, YOI_EVENT_TURN_ENDED, "{\"turn\":{\"state\":\"completed\"}}", 0);
    return YOI_OK;
  case 'n': event(p, 0, YOI_EVENT_END, "{\"reason\":\"turn_ended\"}", 0); return YOI_OK;
  case 'c': event(p, 0, YOI_EVENT_END, "{\"reason\":\"caught_up\"}", 0); return YOI_OK;
  case 'x': return yoi_sdk_fail(err, YOI_CODE_WORKER_NOT_FOUND, "no such worker");
  case 'r': event(p, 0, YOI_EVENT_RESULT, "{\"worker\":{\"worker_id\":\"w-1\"}}", 0); return YOI_OK;
  case 'R': event(p, 0, YOI_EVENT_RESULT, "", BIG); return YOI_OK;
  default: /* a: until `wake` turns it into an A */
    if (c == 'a') p->at--;
    return c == 'a' ? YOI_AGAIN : play_next(s, evs, n, err);
  }
}

static struct play *playing[WATCHES];

static void play_release(yoi_stream *s) {
  struct play *p = (struct play *)s;
  if (!p) return;
  for (int i = 0; i < WATCHES; i++)
    if (playing[i] == p) playing[i] = NULL;
  for (int i = 0; i < 3; i++) free(p->text[i]);
  free(p);
  H.streams_live--;
}

static void play_cancel(yoi_stream *s) { (void)s; }
static const yoi_stream_ops play_ops = {
    .size = sizeof play_ops, .next = play_next, .cancel = play_cancel, .release = play_release};

static yoi_status start(const yoi_host *h, yoi_str runtime, const yoi_request *req,
                        yoi_stream **out, yoi_error *err) {
  (void)h;
  assert_true(req->token != 0 && req->principal.len > 0 && req->request_id.len > 0);
  if ((req->flags & YOI_REQ_ONCE) != 0 && req->worker_id.ptr[0] == 'o')
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION, "the request has unknown flags");
  assert_true(yoi_sdk_str_is(runtime, "r"));
  struct play *p = calloc(1, sizeof *p);
  assert_non_null(p);
  p->s.ops = &play_ops;
  p->token = req->token;
  p->created = req->op == YOI_OP_WORKER_CREATE;
  int big = req->op == YOI_OP_WORKER_GET && yoi_sdk_str_is(req->worker_id, "big");
  yoi_str script = req->worker_id.len ? req->worker_id : YOI_LIT("r");
  snprintf(p->script, sizeof p->script, "%.*s", YOI_ARG(big ? YOI_LIT("R") : script));
  int at = 0;
  while (playing[at]) assert_true(++at < WATCHES);
  playing[at] = p;
  H.streams_live++;
  *out = &p->s;
  return YOI_OK;
}

static const yoi_host_loop loop_table = {sizeof loop_table, 0, one_loop, loop_zero, post, watch,
                                         rewatch, unwatch, timer, timer_cancel};
static const yoi_host_registry registry_table = {sizeof registry_table, 0, start};
static const yoi_host_clock clock_table = {sizeof clock_table, 0, mono, wall};
static const yoi_host_log log_table = {sizeof log_table, 0, no_log, log_write};
static const yoi_host_metrics metrics_table = {
    .size = offsetof(yoi_host_metrics, make), .counter = counter, .add = count};

static const void *interface(const yoi_host *h, yoi_str id) {
  (void)h;
  if (yoi_sdk_str_is(id, YOI_HOST_LOOP_ID)) return &loop_table;
  if (yoi_sdk_str_is(id, YOI_HOST_REGISTRY_ID)) return &registry_table;
  if (yoi_sdk_str_is(id, YOI_HOST_CLOCK_ID)) return &clock_table;
  if (yoi_sdk_str_is(id, YOI_HOST_LOG_ID)) return &log_table;
  return yoi_sdk_str_is(id, YOI_HOST_METRICS_ID) ? &metrics_table : NULL;
}

static yoi_status token_new(const yoi_host *h, uint64_t cookie, uint64_t *out, yoi_error *err) {
  (void)h, (void)err;
  H.tokens_live++;
  *out = cookie + 1; /* the token is the cookie, never 0 */
  return YOI_OK;
}
static void token_free(const yoi_host *h, uint64_t token) {
  (void)h;
  H.tokens_live -= token != 0;
}
static void wake(const yoi_host *h, uint64_t token) {
  (void)h;
  if (token) ingress->wake(self, token - 1);
}

/* Everything that waits goes on. */
static void wake_all(void) {
  for (int i = 0; i < WATCHES; i++) {
    struct play *p = playing[i];
    if (!p || p->script[p->at] != 'a') continue;
    p->at++;
    wake(&H.host, p->token);
    wake(&H.host, p->token);
  }
}

/* ---- driving ---------------------------------------------------------------- */

static int listener;
static struct sockaddr_in address;

/* One turn of the loop; how many callbacks ran. */
static int turn(void) {
  int ran = 0;
  size_t n = H.n_posts;
  for (size_t i = 0; i < n; i++, ran++) H.posts[i].fn(H.posts[i].ctx);
  memmove(H.posts, H.posts + n, (H.n_posts - n) * sizeof *H.posts);
  H.n_posts -= n;
  for (int i = 0; i < TIMERS; i++) {
    if (!H.timers[i].id || H.timers[i].at_ns > H.now_ms * 1000000u) continue;
    H.timers[i].id = 0;
    H.timers[i].fn(H.timers[i].ctx);
    ran++;
  }
  for (int i = 0; i < WATCHES; i++) {
    struct pollfd p = {.fd = H.w[i].fd};
    uint64_t id = H.w[i].id;
    if (!id) continue;
    if (H.w[i].interest & YOI_FD_READ) p.events |= POLLIN;
    if (H.w[i].interest & YOI_FD_WRITE) p.events |= POLLOUT;
    if (poll(&p, 1, 0) <= 0 || H.w[i].id != id) continue;
    uint32_t ready = ((p.revents & POLLIN) ? YOI_FD_READ : 0u) |
                     ((p.revents & POLLOUT) ? YOI_FD_WRITE : 0u) |
                     ((p.revents & (POLLERR | POLLHUP)) ? YOI_FD_ERROR : 0u);
    H.w[i].fn(H.w[i].ctx, H.w[i].fd, ready);
    ran++;
  }
  return ran;
}

static void settle(void) {
  for (int i = 0; i < 1000 && turn() > 0; i++) continue;
}

static void advance(uint64_t ms) {
  for (uint64_t i = 0; i < ms; i += 10) {
    H.now_ms += 10;
    settle();
  }
}

static int set_up(void **state) {
  (void)state;
  struct yoi_sdk_error err;
  socklen_t len = sizeof address;
  char text[32];
  memset(&H, 0, sizeof H);
  H.now_ms = 1000000;
  H.host = (yoi_host){.size = sizeof H.host, .get_interface = interface, .token_new = token_new,
                      .token_free = token_free, .wake = wake};
  ingress = yoi_plugin_entry_v1()->get_interface(YOI_LIT(YOI_INGRESS_ID));
  yoi_str config = YOI_LIT("{\"header_ms\":300,\"body_ms\":300,\"idle_ms\":600,\"write_ms\":2000,"
                           "\"heartbeat_ms\":200,\"connections\":8,\"streams\":4}");
  assert_int_equal(ingress->open(&H.host, config, &self, yoi_sdk_error_init(&err)), YOI_OK);
  listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
  assert_int_equal(listen(listener, 64), 0);
  getsockname(listener, (struct sockaddr *)&address, &len);
  int n = snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(address.sin_port));
  const yoi_listener on = {.size = sizeof on,
                           .surface = YOI_SURFACE_RUNTIME,
                           .flags = YOI_LISTEN_INSECURE,
                           .n_fds = 1,
                           .fds = &listener,
                           .address = {text, (size_t)n},
                           .runtime_id = YOI_LIT("r")};
  assert_int_equal(ingress->start(self, &on, &err.e), YOI_OK);
  settle();
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  memset(H.w, 0, sizeof H.w);
  memset(H.timers, 0, sizeof H.timers);
  H.n_posts = 0;
  ingress->close(self);
  assert_int_equal(H.tokens_live, 0);
  assert_int_equal(H.streams_live, 0);
  return 0;
}

/* ---- clients ------------------------------------------------------------------- */

static char answer[ANSWER_MAX + 1];
static size_t answer_len;

static int dial(void) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), small = 1, on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (H.small_sends) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  answer_len = 0;
  answer[0] = 0;
  return fd;
}

static void say(int fd, const char *text) {
  assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void ask(int fd, const char *line, const char *fields) {
  char text[1024];
  snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-Request-Id: q\r\n%s\r\n",
           line, ntohs(address.sin_port), fields);
  say(fd, text);
}

/* Reads what is there, at most `step` bytes at a time; 0 at the end. The
 * kernel may be late by a moment, also between two ends on one machine. */
static int hear(int fd, size_t step) {
  int heard = 0;
  if (answer_len == 0) answer[0] = 0;
  for (int i = 0; i < 100000; i++) {
    settle();
    if (step > ANSWER_MAX - answer_len) step = ANSWER_MAX - answer_len;
    ssize_t n = recv(fd, answer + answer_len, step, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN)) return 0;
    if (n < 0) {
      struct pollfd p = {.fd = fd, .events = POLLIN};
      if (heard++ >= 20) return 1;
      (void)poll(&p, 1, 1);
      continue;
    }
    heard = 20;
    answer_len += (size_t)n;
    answer[answer_len] = 0;
  }
  return 1;
}

static void get(int fd, const char *path, const char *headers) {
  char line[128];
  snprintf(line, sizeof line, "GET /v1/workers/%s", path);
  answer_len = 0;
  ask(fd, line, headers);
  hear(fd, 1000);
}

static void later(int fd, unsigned ms) {
  advance(ms);
  wake_all();
  hear(fd, 1000);
}

/* Until the connection ends; the kernel may take its time to open a small
 * window again, so it is waited for, up to 5 s in all. */
static int hear_all(int fd, size_t step) {
  for (int i = 0; i < 5000; i++) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (hear(fd, step) == 0) return 0;
    (void)poll(&p, 1, 1);
  }
  return 1;
}

/* The payload of the chunked body in `answer`, in place. */
static const char *body(void) {
  static char out[ANSWER_MAX];
  char *p = strstr(answer, "\r\n\r\n");
  size_t n = 0;
  assert_non_null(p);
  for (p += 4; strstr(answer, "chunked");) {
    char *end = NULL;
    unsigned long size = strtoul(p, &end, 16);
    assert_memory_equal(end, "\r\n", 2);
    memcpy(out + n, end + 2, size);
    n += size;
    p = end + 2 + size + 2;
    if (size == 0) break;
  }
  out[n] = 0;
  return n ? out : p;
}

static size_t occurrences(const char *text, const char *what) {
  size_t n = 0;
  for (const char *p = text; (p = strstr(p, what)); p += strlen(what)) n++;
  return n;
}

/* ---- tests ------------------------------------------------------------------------ */

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

static void a_drain_lets_answers_end_and_then_ends_all(void **state) {
  (void)state;
  struct yoi_sdk_error err;
  const yoi_event *const *evs;
  size_t n;
  yoi_stream *out = NULL;
  int idle = dial(), busy = dial(), watching = dial();
  ask(busy, "GET /v1/workers/ar", "");
  ask(watching, "GET /v1/workers/ea/events", "");
  settle();
  ingress->stop_accepting(self);
  assert_int_equal(ingress->drain(self, (H.now_ms + 1400) * 1000000u, 0, &out,
                                  yoi_sdk_error_init(&err)), YOI_OK);
  assert_int_equal(out->ops->next(out, &evs, &n, &err.e), YOI_AGAIN);
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
  assert_int_equal(out->ops->next(out, &evs, &n, &err.e), YOI_AGAIN);
  advance(300);
  assert_int_equal(out->ops->next(out, &evs, &n, &err.e), YOI_AGAIN);
  advance(600);
  assert_int_equal(out->ops->next(out, &evs, &n, &err.e), YOI_END);
  out->ops->release(out);
  close(idle);
  close(watching);
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
      T(a_drain_lets_answers_end_and_then_ends_all),
      T(memory_may_fail_anywhere),
#undef T
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
