/* bench_turn.c - a load of turns from one thread, over kept connections.
 *
 *   bench_turn PORT yoi|direct CLIENTS TURNS
 *
 * yoi: each client creates a worker on runtime `bench` and sends it inputs,
 * each answered as an event stream to the end of its turn; after
 * TURNS_PER_WORKER a fresh worker is created, which is counted as overhead of
 * the turns, since that is how it is used. direct: the same number of streamed
 * chat completions, asked from the provider itself, with nothing between.
 * Prints one JSON object: turns, seconds, client_cpu_s, bytes, p50_us, p99_us,
 * errors. An answer that is not 2xx or is cut short counts as an error.
 *
 *   CONNECT -> CREATE -> (TURN -> answer complete)* -> CREATE ... -> done
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sdk/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX 1024
#define TURNS_MAX 10000000
#define TURNS_PER_WORKER 16
#define ANSWER_MAX (1u << 20)
#define SECONDS_MAX 120
#define PAGE "{\"content\":\"Say hello to the bench, please.\"}"
#define CHAT                                                                 \
  "{\"model\":\"bench\",\"messages\":[{\"role\":\"system\",\"content\":"     \
  "\"You are a companion.\"},{\"role\":\"user\",\"content\":\"Say hello to " \
  "the bench, please.\"}],\"stream\":true,\"stream_options\":{\"include_usage\":true}}"

struct client {
  int fd;
  int creating;
  int turns; /* with this worker */
  uint64_t begin_ns;
  char worker[YOI_ID_MAX + 1];
  struct yoi_sdk_buf in;
};

struct bench {
  int port, direct;
  long turns, begun, done, errors;
  uint64_t bytes;
  uint32_t *latency_us;
  int epoll;
};

static uint64_t now_ns(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int send_all(int fd, const char *p, size_t n) {
  while (n > 0) {
    ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
    if (k <= 0) return 0;
    p += k;
    n -= (size_t)k;
  }
  return 1;
}

static int request(struct bench *b, struct client *c) {
  char text[1024];
  int n;
  c->in.len = 0;
  c->begin_ns = now_ns();
  if (b->direct) {
    n = snprintf(text, sizeof text,
                 "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                 b->port, sizeof CHAT - 1, CHAT);
  } else if (c->creating) {
    n = snprintf(text, sizeof text,
                 "POST /api/runtimes/bench/workers HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                 "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
                 b->port);
  } else {
    n = snprintf(text, sizeof text,
                 "POST /api/runtimes/bench/workers/%s/input HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                 "Accept: text/event-stream\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n%s",
                 c->worker, b->port, sizeof PAGE - 1, PAGE);
  }
  return n > 0 && (size_t)n < sizeof text && send_all(c->fd, text, (size_t)n);
}

/* The body of a complete answer; 0 while it is not. Chunked bodies are found
 * by their last chunk: no body here contains one. */
static int complete(struct yoi_sdk_buf *in, const char **out_body) {
  if (!in->data) return 0;
  const char *head = strstr(in->data, "\r\n\r\n");
  if (!head) return 0;
  *out_body = head + 4;
  size_t have = in->len - (size_t)(head + 4 - in->data);
  const char *length = strcasestr(in->data, "\r\ncontent-length:");
  if (length && length < head) return have >= strtoul(length + 17, NULL, 10);
  return in->len >= 7 && memcmp(in->data + in->len - 7, "\r\n0\r\n\r\n", 7) == 0;
}

static int open_client(struct bench *b, struct client *c) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)b->port)};
  int one = 1;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0) return 0;
  (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
  if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, c->fd, &ev) != 0) return 0;
  yoi_sdk_buf_init(&c->in, ANSWER_MAX);
  c->creating = !b->direct;
  return 1;
}

/* One complete answer: count it and ask the next. 0 when nothing is left. */
static int answered(struct bench *b, struct client *c, const char *body) {
  int good = c->in.len > 12 && c->in.data[9] == '2';
  if (c->creating) {
    yoi_str text = yoi_sdk_str(body), id;
    struct yoi_sdk_buf name;
    yoi_sdk_buf_init(&name, YOI_ID_MAX);
    id = yoi_sdk_json_raw_get(yoi_sdk_json_raw_get(text, "worker"), "worker_id");
    good = good && yoi_sdk_json_raw_unescape(id, &name);
    (void)snprintf(c->worker, sizeof c->worker, "%.*s", YOI_ARG(yoi_sdk_buf_str(&name)));
    yoi_sdk_buf_release(&name);
    c->creating = 0;
    c->turns = 0;
    if (!good) {
      b->errors++;
      return 0;
    }
  } else {
    if (!b->direct) good = good && strstr(body, "\"state\":\"completed\"") != NULL;
    b->errors += !good;
    b->latency_us[b->done++] = (uint32_t)((now_ns() - c->begin_ns) / 1000);
    c->creating = !b->direct && ++c->turns == TURNS_PER_WORKER;
    if (b->begun == b->turns) return 0;
  }
  if (!c->creating) {
    if (b->begun == b->turns) return 0;
    b->begun++;
  }
  return request(b, c);
}

static int readable(struct bench *b, struct client *c) {
  const char *body;
  char *to = yoi_sdk_buf_reserve(&c->in, 16384);
  if (!to) return 0;
  ssize_t n = recv(c->fd, to, 16384, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 1;
  if (n <= 0) {
    b->errors++;
    return 0;
  }
  c->in.len += (size_t)n;
  c->in.data[c->in.len] = '\0';
  b->bytes += (uint64_t)n;
  return complete(&c->in, &body) ? answered(b, c, body) : 1;
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static int number(const char *s, long max) {
  char *end;
  long n = strtol(s, &end, 10);
  return *s && !*end && n > 0 && n <= max ? (int)n : 0;
}

int main(int argc, char **argv) {
  static struct client clients[CLIENTS_MAX];
  struct bench b = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
  int n = 0, alive = 0;
  if (argc == 5) {
    b.port = number(argv[1], 65535);
    b.direct = strcmp(argv[2], "direct") == 0;
    n = number(argv[3], CLIENTS_MAX);
    b.turns = number(argv[4], TURNS_MAX);
  }
  if (!b.port || !n || !b.turns || b.epoll < 0) {
    fprintf(stderr, "usage: bench_turn PORT yoi|direct CLIENTS TURNS\n");
    return 2;
  }
  b.latency_us = calloc((size_t)b.turns, sizeof *b.latency_us);
  if (!b.latency_us) return 1;
  for (int i = 0; i < n; i++) {
    struct client *c = &clients[i];
    if (!open_client(&b, c)) {
      perror("bench_turn: connect");
      return 1;
    }
    if (!c->creating) b.begun++;
    alive += request(&b, c);
  }
  uint64_t begin = now_ns(), limit = begin + (uint64_t)SECONDS_MAX * 1000000000u;
  while (alive > 0 && now_ns() < limit) {
    struct epoll_event ready[64];
    int k = epoll_wait(b.epoll, ready, 64, 1000);
    for (int i = 0; i < k; i++) {
      struct client *c = ready[i].data.ptr;
      if (readable(&b, c)) continue;
      (void)close(c->fd);
      yoi_sdk_buf_release(&c->in);
      alive--;
    }
  }
  double seconds = (double)(now_ns() - begin) / 1e9;
  struct rusage use;
  (void)getrusage(RUSAGE_SELF, &use);
  double cpu = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
               (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
  qsort(b.latency_us, (size_t)b.done, sizeof *b.latency_us, by_value);
  uint32_t p50 = b.done ? b.latency_us[b.done / 2] : 0;
  uint32_t p99 = b.done ? b.latency_us[b.done - 1 - b.done / 100] : 0;
  printf("{\"turns\":%ld,\"seconds\":%.4f,\"client_cpu_s\":%.4f,\"bytes\":%llu,"
         "\"p50_us\":%u,\"p99_us\":%u,\"errors\":%ld}\n",
         b.done, seconds, cpu, (unsigned long long)b.bytes, p50, p99, b.errors);
  free(b.latency_us);
  return b.done == b.turns && b.errors == 0 ? 0 : 1;
}
