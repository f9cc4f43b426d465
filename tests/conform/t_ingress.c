/* t_ingress.c - an ingress from its listener to the end of its drain. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/loop_impl.h"
#include "rig.h"

#define CALL_MS 10000
#define ACCEPT_MS 2000
#define OVER_MS 2000 /* until what was closed is heard of */

struct door {
  struct rig_instance i;
  struct sockaddr_in at;
  int seen; /* another descriptor of the listening socket */
  char address[64];
};

/* What a newer host's listener has more than today's, and which byte of it is set. */
#define TAIL 64
#define ALL_ZERO TAIL

/* Starts it with a listener that is `more` bytes longer; `odd` below TAIL is set. */
static yoi_status try_start(struct conform *c, struct door *d, size_t more, size_t odd,
                            struct yoi_sdk_error *e) {
  *d = (struct door){.i = rig_open(c), .at = {.sin_family = AF_INET}, .seen = -1};
  socklen_t n = sizeof d->at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  d->at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr *)&d->at, sizeof d->at) != 0 || listen(fd, 16) != 0 ||
      getsockname(fd, (struct sockaddr *)&d->at, &n) != 0)
    conform_skip(c, "cannot listen on 127.0.0.1");
  d->seen = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  (void)snprintf(d->address, sizeof d->address, "127.0.0.1:%u", ntohs(d->at.sin_port));
  const int32_t fds[] = {fd};
  struct {
    yoi_listener known;
    unsigned char tail[TAIL];
  } on = {.known = {.size = (uint32_t)(sizeof on.known + more),
                    .surface = YOI_SURFACE_BROWSER,
                    .n_fds = 1,
                    .fds = fds,
                    .address = yoi_sdk_str(d->address)}};
  if (odd < TAIL) on.tail[odd] = 1;
  yoi__current_loop = NULL; /* [main] */
  yoi_status st = c->rig->plugin->table.ingress.start(d->i.self, &on.known, yoi_sdk_error_init(e));
  yoi__current_loop = c->rig->loop;
  rig_pump(c, 0);
  return st;
}

static struct door start(struct conform *c) {
  struct yoi_sdk_error e;
  struct door d;
  yoi_status st = try_start(c, &d, 0, ALL_ZERO, &e);
  if (st != YOI_OK) conform_fail(c, "it starts", "status %d: %s", st, e.message);
  return d;
}

static int reach(const struct door *d) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (const struct sockaddr *)&d->at, sizeof d->at) == 0) return fd;
  (void)close(fd);
  return -1;
}

/* How many connections wait to be accepted. */
static unsigned waiting(const struct door *d) {
  struct tcp_info info = {0};
  socklen_t n = sizeof info;
  (void)getsockopt(d->seen, IPPROTO_TCP, TCP_INFO, &info, &n);
  return info.tcpi_unacked;
}

static void stop(struct conform *c, struct door *d) {
  yoi__current_loop = NULL;
  c->rig->plugin->table.ingress.stop_accepting(d->i.self);
  yoi__current_loop = c->rig->loop;
  for (int n = 0; n < 5; n++) rig_pump(c, 2);
}

static int drain(struct conform *c, struct door *d, struct call *k) {
  *k = (struct call){.status = YOI_OK};
  if (!rig_token_new(c, &k->token)) return 0;
  yoi__current_loop = NULL;
  k->status = c->rig->plugin->table.ingress.drain(d->i.self, conform_now_ns() + 500000000ull,
                                                  k->token.token, &k->stream,
                                                  yoi_sdk_error_init(&k->error));
  yoi__current_loop = c->rig->loop;
  if (k->status != YOI_OK) k->stream = NULL;
  if (!k->stream) return k->status == YOI_OK;
  return call_finish(c, k, CALL_MS) && k->status == YOI_END;
}

static int accepted(struct conform *c, const struct door *d) {
  uint64_t until = conform_now_ns() + ACCEPT_MS * 1000000ull;
  while (waiting(d) > 0 && conform_now_ns() < until) rig_pump(c, 10);
  return waiting(d) == 0;
}

static void accepts(struct conform *c) {
  struct door d = start(c);
  int fd = reach(&d);
  if (fd < 0) conform_skip(c, "cannot connect to 127.0.0.1");
  if (!accepted(c, &d))
    conform_fail(c, "it accepts a connection", "one waits after %d ms", ACCEPT_MS);
  (void)close(fd);
}

static void stops(struct conform *c) {
  struct door d = start(c);
  (void)close(d.seen);
  stop(c, &d);
  uint64_t until = conform_now_ns() + OVER_MS * 1000000ull;
  int fd;
  while ((fd = reach(&d)) >= 0 && conform_now_ns() < until) {
    (void)close(fd);
    rig_pump(c, 5);
  }
  if (fd >= 0) conform_fail(c, "the listener is closed", "a connection can still be made");
}

/* 1: whoever is at the other end hears that it is over. */
static int is_over(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN};
  char said[512];
  ssize_t n = 1;
  while (n > 0 && poll(&p, 1, OVER_MS) > 0) n = recv(fd, said, sizeof said, MSG_DONTWAIT);
  return n <= 0;
}

static void drains(struct conform *c) {
  struct door d = start(c);
  struct call k;
  int fd = reach(&d);
  if (!accepted(c, &d)) conform_skip(c, "see ingress.accepts");
  stop(c, &d);
  if (!drain(c, &d, &k))
    conform_fail(c, "END, once no connection is left or the deadline has come", "status %d: %s",
                 k.status, k.error.message);
  if (!is_over(fd)) conform_fail(c, "no connection is left behind END", "one is still open");
  call_release(&k);
  (void)close(fd);
  rig_close(c, &d.i);
}

static unsigned descriptors_open(void) {
  DIR *dir = opendir("/proc/self/fd");
  unsigned n = 0;
  while (dir && readdir(dir)) n++;
  if (dir) (void)closedir(dir);
  return n;
}

static void life(struct conform *c) {
  struct door d = start(c);
  struct call k;
  int fd = reach(&d);
  rig_pump(c, 20);
  rig_pump(c, 20);
  stop(c, &d);
  (void)drain(c, &d, &k);
  call_release(&k);
  rig_close(c, &d.i);
  (void)close(fd);
  (void)close(d.seen);
}

static void descriptors(struct conform *c) {
  life(c);
  unsigned before = descriptors_open();
  life(c);
  unsigned after = descriptors_open();
  if (after > before)
    conform_fail(c, "listeners and connections are closed", "%u descriptors more", after - before);
}

/* A newer host's listener, which asks for nothing new. */
static void listener_larger(struct conform *c) {
  struct yoi_sdk_error e;
  struct door d;
  struct call k;
  yoi_status st = try_start(c, &d, TAIL, ALL_ZERO, &e);
  if (st != YOI_OK)
    conform_fail(c, "it starts as with a listener of today's size", "status %d: %s", st, e.message);
  stop(c, &d);
  (void)drain(c, &d, &k);
  call_release(&k);
  rig_close(c, &d.i);
}

static void listener_unknown(struct conform *c) {
  static const size_t odd[] = {0, TAIL - 1};
  for (size_t n = 0; n < sizeof odd / sizeof *odd; n++) {
    struct yoi_sdk_error e;
    struct door d;
    yoi_status st = try_start(c, &d, TAIL, odd[n], &e);
    if (st != YOI_UNIMPLEMENTED)
      conform_fail(c, "UNIMPLEMENTED: it does not know what that byte asks for",
                   "status %d with a byte set at offset %zu: %s", st,
                   sizeof(yoi_listener) + odd[n], e.message);
    (void)close(d.seen);
    if (reach(&d) >= 0)
      conform_fail(c, "its descriptors are closed, also when start fails", "one still listens");
    rig_close(c, &d.i);
  }
}

#define INGRESS_OF(name, fn, says, header, promise) \
  {"ingress." name, ON_INGRESS, 0, fn, says, header, promise}
#define INGRESS(name, fn, says, promise) INGRESS_OF(name, fn, says, "yoi/ingress.h", promise)

extern const struct conform_test conform_ingress[];
const struct conform_test conform_ingress[] = {
    INGRESS("accepts", accepts, "It accepts connections on the listener that it is given.",
            "The ingress watches them, accepts, owns the connections"),
    INGRESS("stop-accepting", stops, "Behind stop_accepting nobody gets in.",
            "Closes the listeners; connections go on."),
    INGRESS("drain", drains, "A drain ends.", "END of *out: none is left."),
    INGRESS("descriptors", descriptors, "Nothing that was open is left behind its close.",
            "As of a runtime: closes what is still open."),
    INGRESS_OF("listener-larger", listener_larger,
               "A listener of a newer host, which asks for nothing new, is taken as any.",
               "yoi/base.h", "A reader copies min(sizes) into a zeroed struct of its own."),
    INGRESS_OF("listener-unknown", listener_unknown,
               "A listener that asks for something unknown is refused, and is closed.",
               "yoi/base.h", "a tail that is not all zero there is UNIMPLEMENTED"),
    {NULL, 0, 0, NULL, NULL, NULL, NULL}};
