/* ingress.c - accepts a connection and closes it; and how each promise of an
 * ingress is broken.
 */
#include <yoi/ingress.h>

#include "common.h"

#include <sdk/stream.h>
#include <sys/socket.h>
#include <unistd.h>

#include <yoi/host_loop.h>

#define BREAKS(X) \
  X(none) X(ingress_accepts) X(ingress_stop_accepting) X(ingress_drain) X(ingress_descriptors) \
  X(ingress_drain_open) X(ingress_listener_larger) X(ingress_listener_unknown)
enum { BREAKS(ENUM) };

struct door {
  const yoi_host *host;
  const yoi_host_loop *loop;
  int fd, peer;
  uint64_t watch;
};

static yoi_status door_open(const yoi_host *host, yoi_str config, void **out_self, yoi_error *err) {
  struct door *d = calloc(1, sizeof *d);
  (void)config;
  if (!d) return yoi_sdk_fail_memory(err);
  d->host = host;
  d->loop = yoi_sdk_host_get(host, YOI_HOST_LOOP_ID, sizeof *d->loop);
  d->fd = d->peer = -1;
  *out_self = d;
  return YOI_OK;
}

static void shut(struct door *d) {
  if (d->fd >= 0) (void)close(d->fd);
  d->fd = -1;
}

static void door_close(void *self) {
  struct door *d = self;
  if (d->peer >= 0) (void)close(d->peer);
  if (!IS(ingress_descriptors)) shut(self);
  free(self);
}

static void ready(void *ctx, int32_t fd, uint32_t what) {
  struct door *d = ctx;
  int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  (void)what;
  if (IS(ingress_drain_open)) d->peer = peer;
  else if (peer >= 0 && IS(ingress_descriptors)) (void)shutdown(peer, SHUT_RDWR);
  else if (peer >= 0) (void)close(peer);
}

static void watch(void *ctx) {
  struct door *d = ctx;
  if (d->fd >= 0) (void)d->loop->watch(d->host, d->fd, YOI_FD_READ, ready, d, &d->watch);
}

static yoi_status door_start(void *self, const yoi_listener *on, yoi_error *err) {
  struct door *d = self;
  yoi_listener whole;
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, on, "the listener", err);
  d->fd = on->fds[0];
  if (st == YOI_OK && IS(ingress_listener_larger) && on->size > sizeof whole)
    st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "a listener of another size");
  if (IS(ingress_listener_unknown)) st = YOI_OK;
  if (st != YOI_OK) {
    shut(d);
    return st;
  }
  if (IS(ingress_accepts)) return YOI_OK;
  st = d->loop->post(d->host, 0, watch, d);
  return st == YOI_OK ? st : yoi_sdk_fail_memory(err);
}

static void unwatch(void *ctx) {
  struct door *d = ctx;
  d->loop->unwatch(d->host, d->watch);
  shut(d);
}

static void door_stop(void *self) {
  struct door *d = self;
  if (!IS(ingress_stop_accepting)) (void)d->loop->post(d->host, 0, unwatch, d);
}

static yoi_status door_drain(void *self, uint64_t deadline_ns, uint64_t token, yoi_stream **out,
                             yoi_error *err) {
  (void)self, (void)deadline_ns, (void)token;
  if (IS(ingress_drain)) return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "it does not");
  *out = yoi_sdk_stream_empty();
  return *out ? YOI_OK : yoi_sdk_fail_memory(err);
}

static void door_wake(void *self, uint64_t cookie) {
  (void)self, (void)cookie;
}

static const yoi_ingress door_table = {.size = sizeof door_table,
                                       .thread_model = YOI_PARALLEL,
                                       .open = door_open,
                                       .close = door_close,
                                       .start = door_start,
                                       .stop_accepting = door_stop,
                                       .drain = door_drain,
                                       .wake = door_wake};

YOI_MANIFEST_FILE(MANIFEST);
YOI_SDK_PLUGIN("dev.yoi.test.broken", "1.0.0", YOI_KIND_INGRESS, YOI_INGRESS_ID, door_table);
