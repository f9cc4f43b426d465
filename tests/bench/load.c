/* load.c - clock, connections, answers and samples of the load generators.
 * One answer at a time is read into one buffer per connection; the end of its
 * head is looked for once, so that an answer of many pieces costs its length. */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t load_now_ns(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

double load_cpu_s(void) {
  struct rusage use;
  (void)getrusage(RUSAGE_SELF, &use);
  return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
         (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

long load_number(const char *s, long max) {
  char *end;
  errno = 0;
  long n = strtol(s, &end, 10);
  return *s && !*end && errno == 0 && n >= 0 && n <= max ? n : -1;
}

int load_files(size_t need) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= need;
}

int load_connect(int port, size_t index, int rcvbuf) {
  struct sockaddr_in from = {.sin_family = AF_INET}, to = from;
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  to.sin_port = htons((uint16_t)port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(index / LOAD_PER_SOURCE));
  if (fd < 0) return -1;
  if (rcvbuf > 0) (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  if (bind(fd, (struct sockaddr *)&from, sizeof from) == 0 &&
      connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
    return fd;
  int e = errno;
  (void)close(fd);
  errno = e;
  return -1;
}

int load_send(int fd, const char *p, size_t n) {
  while (n > 0) {
    ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) return 0;
    p += k;
    n -= (size_t)k;
  }
  return 1;
}

/* ---- answers --------------------------------------------------------------- */

void load_answer_init(struct load_answer *a) {
  yoi_sdk_buf_init(&a->in, LOAD_ANSWER_MAX);
  load_answer_clear(a);
}

void load_answer_release(struct load_answer *a) {
  yoi_sdk_buf_release(&a->in);
}

void load_answer_clear(struct load_answer *a) {
  a->in.len = a->body = a->scanned = 0;
  a->length = -1;
}

static void look_for_body(struct load_answer *a) {
  size_t from = a->scanned > 3 ? a->scanned - 3 : 0;
  const char *p = memmem(a->in.data + from, a->in.len - from, "\r\n\r\n", 4);
  a->scanned = a->in.len;
  if (!p) return;
  a->body = (size_t)(p - a->in.data) + 4;
  for (const char *line = a->in.data; line < p;) {
    const char *next = memmem(line, a->body, "\r\n", 2);
    if (strncasecmp(line, "content-length:", 15) == 0) a->length = strtol(line + 15, NULL, 10);
    line = next + 2;
  }
}

long load_answer_read(struct load_answer *a, int fd) {
  char *to = yoi_sdk_buf_reserve(&a->in, LOAD_READ);
  if (!to) return -1;
  ssize_t n = recv(fd, to, LOAD_READ, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (n <= 0) return -1;
  a->in.len += (size_t)n;
  a->in.data[a->in.len] = '\0';
  if (!a->body) look_for_body(a);
  return n;
}

int load_answer_whole(const struct load_answer *a) {
  if (!a->body) return 0;
  if (a->length >= 0) return a->in.len == a->body + (size_t)a->length;
  return a->in.len >= a->body + 5 && memcmp(a->in.data + a->in.len - 5, "0\r\n\r\n", 5) == 0 &&
         a->in.data[a->in.len - 6] == '\n';
}

int load_answer_status(const struct load_answer *a) {
  return a->body ? (int)strtol(a->in.data + 9, NULL, 10) : 0;
}

/* ---- samples ---------------------------------------------------------------- */

void load_sample(struct load_samples *s, uint64_t value) {
  if (s->n == s->cap) {
    size_t cap = s->cap ? 2 * s->cap : 1024;
    uint32_t *grown = realloc(s->at, cap * sizeof *grown);
    if (!grown) abort();
    s->at = grown;
    s->cap = cap;
  }
  s->at[s->n++] = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

uint32_t load_quantile(struct load_samples *s, uint32_t per_mille) {
  if (s->n == 0) return 0;
  qsort(s->at, s->n, sizeof *s->at, by_value);
  return s->at[(s->n - 1) * per_mille / 1000];
}

uint64_t load_stamp(const char **at, const char *end, uint64_t after) {
  const char *p = *at;
  while (p < end && (p = memchr(p, '@', (size_t)(end - p))) != NULL) {
    uint64_t n = 0;
    int digits = 0;
    while (digits < LOAD_STAMP_DIGITS && p + 1 + digits < end && p[1 + digits] >= '0' &&
           p[1 + digits] <= '9')
      n = n * 10 + (uint64_t)(p[1 + digits++] - '0');
    p += 1 + digits;
    if (digits < LOAD_STAMP_DIGITS || n <= after) continue;
    *at = p;
    return n;
  }
  *at = end;
  return 0;
}
