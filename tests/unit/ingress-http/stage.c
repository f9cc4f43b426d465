/* stage.c - see stage.h. One thread plays all: a turn goes once through what
 * the loops have to do, in the order of the host's loops (descriptors, timers,
 * posts), and a loop that is busy is passed over.
 */
#include "stage.h"

#include "pair.h"

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sdk/error.h>
#include <sdk/str.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <yoi/host_clock.h>
#include <yoi/host_log.h>
#include <yoi/host_loop.h>
#include <yoi/host_metrics.h>
#include <yoi/host_registry.h>
#include <yoi/host_secret.h>
#include <yoi/plugin.h>

#define WATCHES 64
#define POSTS 256
#define TIMERS 64

/* ---- the host ---------------------------------------------------------- */

struct stage H;
const yoi_ingress *ingress;
void *self;

static yoi_host host;
static uint64_t next_id;
static uint32_t here; /* the loop that runs */
static struct {
  uint64_t id;
  uint32_t loop, interest;
  int32_t fd;
  yoi_loop_fd_fn fn;
  void *ctx;
} watches[WATCHES];
static struct { uint32_t loop; yoi_loop_fn fn; void *ctx; } posts[POSTS];
static struct { uint64_t id, at_ns; uint32_t loop; yoi_loop_fn fn; void *ctx; } timers[TIMERS];
static size_t n_posts;

static uint32_t loops(const yoi_host *h) { return (void)h, H.loops; }
static uint32_t current(const yoi_host *h) { return (void)h, here; }

static yoi_status post(const yoi_host *h, uint32_t loop, yoi_loop_fn fn, void *ctx) {
  (void)h;
  if (H.unreachable & 1u << loop) return YOI_RESOURCE_EXHAUSTED;
  assert_true(n_posts < POSTS);
  posts[n_posts].loop = loop;
  posts[n_posts].fn = fn;
  posts[n_posts++].ctx = ctx;
  return YOI_OK;
}

static yoi_status watch(const yoi_host *h, int32_t fd, uint32_t interest, yoi_loop_fd_fn fn,
                        void *ctx, uint64_t *out) {
  (void)h;
  for (int i = 0; i < WATCHES; i++) {
    if (watches[i].id) continue;
    watches[i].id = *out = ++next_id;
    watches[i].loop = here;
    watches[i].fd = fd;
    watches[i].interest = interest;
    watches[i].fn = fn;
    watches[i].ctx = ctx;
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
    if (watches[i].id == id) watches[i].interest = interest;
  return YOI_OK;
}

static void unwatch(const yoi_host *h, uint64_t id) {
  (void)h;
  for (int i = 0; i < WATCHES; i++)
    if (watches[i].id == id) watches[i].id = 0;
}

static yoi_status timer(const yoi_host *h, uint64_t at, yoi_loop_fn fn, void *ctx, uint64_t *out) {
  (void)h;
  for (int i = 0; i < TIMERS; i++) {
    if (timers[i].id) continue;
    timers[i].id = *out = ++next_id;
    timers[i].loop = here;
    timers[i].at_ns = at;
    timers[i].fn = fn;
    timers[i].ctx = ctx;
    return YOI_OK;
  }
  return YOI_RESOURCE_EXHAUSTED;
}

static void timer_cancel(const yoi_host *h, uint64_t id) {
  (void)h;
  for (int i = 0; i < TIMERS; i++)
    if (timers[i].id == id) timers[i].id = 0;
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

static struct pair pair;

static yoi_status secret(const yoi_host *h, yoi_str name, char *buf, size_t cap, size_t *n,
                         yoi_error *err) {
  const char *text = yoi_sdk_str_is(name, "cert") ? pair.certificate : pair.key;
  (void)h, (void)err;
  *n = strlen(text);
  assert_true(*n <= cap);
  memcpy(buf, text, *n);
  return YOI_OK;
}

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

static const yoi_host_loop loop_table = {sizeof loop_table, 0, loops, current, post, watch,
                                         rewatch, unwatch, timer, timer_cancel};
static const yoi_host_registry registry_table = {sizeof registry_table, 0, start};
static const yoi_host_secret secret_table = {.size = offsetof(yoi_host_secret, refresh),
                                             .get = secret};
static const yoi_host_clock clock_table = {sizeof clock_table, 0, mono, wall};
static const yoi_host_log log_table = {sizeof log_table, 0, no_log, log_write};
static const yoi_host_metrics metrics_table = {
    .size = offsetof(yoi_host_metrics, make), .counter = counter, .add = count};

static const void *interface(const yoi_host *h, yoi_str id) {
  (void)h;
  if (yoi_sdk_str_is(id, YOI_HOST_LOOP_ID)) return &loop_table;
  if (yoi_sdk_str_is(id, YOI_HOST_REGISTRY_ID)) return &registry_table;
  if (yoi_sdk_str_is(id, YOI_HOST_SECRET_ID)) return &secret_table;
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
void wake_all(void) {
  for (int i = 0; i < WATCHES; i++) {
    struct play *p = playing[i];
    if (!p || p->script[p->at] != 'a') continue;
    p->at++;
    wake(&host, p->token);
    wake(&host, p->token);
  }
}

/* ---- driving ---------------------------------------------------------------- */

static struct sockaddr_in address[STAGE_LOOPS];

static int held(uint32_t loop) { return (H.busy & 1u << loop) != 0; }

static int turn_descriptors(void) {
  int ran = 0;
  for (int i = 0; i < WATCHES; i++) {
    struct pollfd p = {.fd = watches[i].fd};
    uint64_t id = watches[i].id;
    if (!id || held(watches[i].loop)) continue;
    if (watches[i].interest & YOI_FD_READ) p.events |= POLLIN;
    if (watches[i].interest & YOI_FD_WRITE) p.events |= POLLOUT;
    if (poll(&p, 1, 0) <= 0 || watches[i].id != id) continue;
    uint32_t ready = ((p.revents & POLLIN) ? YOI_FD_READ : 0u) |
                     ((p.revents & POLLOUT) ? YOI_FD_WRITE : 0u) |
                     ((p.revents & (POLLERR | POLLHUP)) ? YOI_FD_ERROR : 0u);
    here = watches[i].loop;
    watches[i].fn(watches[i].ctx, watches[i].fd, ready);
    ran++;
  }
  return ran;
}

int turn_timers(void) {
  int ran = 0;
  for (int i = 0; i < TIMERS; i++) {
    if (!timers[i].id || held(timers[i].loop) || timers[i].at_ns > H.now_ms * 1000000u) continue;
    timers[i].id = 0;
    here = timers[i].loop;
    timers[i].fn(timers[i].ctx);
    ran++;
  }
  return ran;
}

static int turn_posts(void) {
  int ran = 0;
  size_t n = n_posts, left = 0;
  for (size_t i = 0; i < n; i++) {
    if (held(posts[i].loop)) {
      posts[left++] = posts[i];
      continue;
    }
    here = posts[i].loop;
    posts[i].fn(posts[i].ctx);
    ran++;
  }
  memmove(posts + left, posts + n, (n_posts - n) * sizeof *posts);
  n_posts -= n - left;
  return ran;
}

/* As the host's loops do it. */
static int turn(void) {
  int ran = turn_descriptors();
  ran += turn_timers();
  return ran + turn_posts();
}

void settle(void) {
  for (int i = 0; i < 1000 && turn() > 0; i++) continue;
}

void advance(uint64_t ms) {
  for (uint64_t i = 0; i < ms; i += 10) {
    H.now_ms += 10;
    settle();
  }
}

static int listener(uint32_t loop) {
  socklen_t len = sizeof *address;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  address[loop] =
      (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  assert_int_equal(bind(fd, (struct sockaddr *)&address[loop], sizeof *address), 0);
  assert_int_equal(listen(fd, 64), 0);
  getsockname(fd, (struct sockaddr *)&address[loop], &len);
  return fd;
}

#define CONFIG                                                                    \
  "\"header_ms\":300,\"body_ms\":300,\"idle_ms\":600,\"write_ms\":2000,"              \
  "\"heartbeat_ms\":200,\"connections\":8,\"streams\":4"

static void open_with(uint32_t n_loops, const char *config) {
  struct yoi_sdk_error err;
  char text[32];
  int32_t fds[STAGE_LOOPS];
  memset(&H, 0, sizeof H);
  H.now_ms = 1000000;
  H.loops = n_loops;
  host = (yoi_host){.size = sizeof host, .get_interface = interface, .token_new = token_new,
                    .token_free = token_free, .wake = wake};
  ingress = yoi_plugin_entry_v1()->get_interface(YOI_LIT(YOI_INGRESS_ID));
  assert_int_equal(ingress->open(&host, yoi_sdk_str(config), &self, yoi_sdk_error_init(&err)),
                   YOI_OK);
  for (uint32_t i = 0; i < n_loops; i++) fds[i] = listener(i);
  int n = snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(address[0].sin_port));
  const yoi_listener on = {.size = sizeof on,
                           .surface = YOI_SURFACE_RUNTIME,
                           .flags = YOI_LISTEN_INSECURE,
                           .n_fds = n_loops,
                           .fds = fds,
                           .address = {text, (size_t)n},
                           .runtime_id = YOI_LIT("r")};
  assert_int_equal(ingress->start(self, &on, &err.e), YOI_OK);
  settle();
}

int set_up(void **state) {
  (void)state;
  open_with(1, "{" CONFIG "}");
  return 0;
}

int set_up_two(void **state) {
  (void)state;
  open_with(2, "{" CONFIG "}");
  return 0;
}

int set_up_tls(void **state) {
  (void)state;
  pair_issue(&pair);
  open_with(1, "{" CONFIG ",\"tls\":{\"certificate\":\"secret:cert\","
               "\"key\":\"secret:key\"}}");
  return 0;
}

int tear_down(void **state) {
  (void)state;
  memset(watches, 0, sizeof watches);
  memset(timers, 0, sizeof timers);
  n_posts = 0;
  ingress->close(self);
  assert_int_equal(H.tokens_live, 0);
  assert_int_equal(H.streams_live, 0);
  return 0;
}

/* ---- clients ------------------------------------------------------------------- */

char answer[ANSWER_MAX + 1];
size_t answer_len;

int dial_loop(uint32_t loop) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), small = 1, on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (H.small_sends) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  assert_int_equal(connect(fd, (struct sockaddr *)&address[loop], sizeof *address), 0);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  answer_len = 0;
  answer[0] = 0;
  return fd;
}

int dial(void) { return dial_loop(0); }

void say(int fd, const char *text) {
  assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

void ask(int fd, const char *line, const char *fields) {
  char text[1024];
  snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nX-Request-Id: q\r\n%s\r\n",
           line, ntohs(address[0].sin_port), fields);
  say(fd, text);
}

/* Reads what is there, at most `step` bytes at a time; 0 at the end. The
 * kernel may be late by a moment, also between two ends on one machine. */
int hear(int fd, size_t step) {
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

void get(int fd, const char *path, const char *headers) {
  char line[128];
  snprintf(line, sizeof line, "GET /v1/workers/%s", path);
  answer_len = 0;
  ask(fd, line, headers);
  hear(fd, 1000);
}

void later(int fd, unsigned ms) {
  advance(ms);
  wake_all();
  hear(fd, 1000);
}

/* Until the connection ends; the kernel may take its time to open a small
 * window again, so it is waited for, up to 5 s in all. */
int hear_all(int fd, size_t step) {
  for (int i = 0; i < 5000; i++) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (hear(fd, step) == 0) return 0;
    (void)poll(&p, 1, 1);
  }
  return 1;
}

/* The payload of the chunked body in `answer`, in place. */
const char *body(void) {
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

size_t occurrences(const char *text, const char *what) {
  size_t n = 0;
  for (const char *p = text; (p = strstr(p, what)); p += strlen(what)) n++;
  return n;
}
