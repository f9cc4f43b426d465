/* sdk/http/client.c - the instance: libcurl's global part once, one multi
 * handle per loop, and the way out.
 *
 * libcurl is initialised at the first open in this plugin and never cleaned
 * up: plugins are not unloaded, others in the process may use libcurl too,
 * and its own reference count covers us. What we need of it: a build that
 * says that it may be used from several threads, and 7.87, which reads the
 * certificate store once per multi handle and not once per connection.
 *
 * Invariants:
 *  1. loops[i] is written and read on loop i only, until close.
 *  2. In close the host has taken away every watch and timer of ours; with
 *     `closing` set, what libcurl calls back while it cleans up touches our
 *     own tables and the descriptors, nothing of the host.
 */
#include "internal.h"

#include <errno.h>
#include <pthread.h>
#include <sdk/error.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <unistd.h>

#define LIBCURL_MIN 0x075700 /* 7.87.0 */

/* process-wide: libcurl's own state is, and so is whether it could be made. */
static pthread_once_t global_once = PTHREAD_ONCE_INIT;
/* process-wide, written once under global_once. */
static CURLcode global_code = CURLE_FAILED_INIT;

static void global_init(void) { global_code = curl_global_init(CURL_GLOBAL_DEFAULT); }

static yoi_status usable(yoi_error *err) {
  const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
  if (v->version_num < LIBCURL_MIN)
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_DECLARATION,
                        "libcurl '%s' is too old: 7.87.0 or later is needed", v->version);
  if (!(v->features & CURL_VERSION_THREADSAFE))
    return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_DECLARATION,
                        "libcurl '%s' was built without thread-safe initialisation", v->version);
  pthread_once(&global_once, global_init);
  if (global_code != CURLE_OK) {
    yoi_status st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot initialise libcurl");
    yoi_sdk_fail_private(err, "curl_global_init: %s", curl_easy_strerror(global_code));
    return st;
  }
  return YOI_OK;
}

yoi_status yoi_sdk_http_open(const yoi_host *host, struct yoi_sdk_http **out, yoi_error *err) {
  yoi_status st = usable(err);
  if (st != YOI_OK) return st;
  const yoi_host_loop *loop = yoi_sdk_host_get(host, YOI_HOST_LOOP_ID, sizeof *loop);
  const yoi_host_clock *clock = yoi_sdk_host_get(host, YOI_HOST_CLOCK_ID, sizeof *clock);
  if (!loop || !clock)
    return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host lacks '%s'",
                        loop ? YOI_HOST_CLOCK_ID : YOI_HOST_LOOP_ID);
  uint32_t n = loop->count(host);
  struct yoi_sdk_http *c = yoi_sdk_calloc(1, sizeof *c + n * sizeof c->loops[0]);
  if (!c) return yoi_sdk_fail_memory(err);
  c->host = host;
  c->loop = loop;
  c->clock = clock;
  c->n_loops = n;
  *out = c;
  return YOI_OK;
}

yoi_status yoi_sdk_http_trust(struct yoi_sdk_http *c, const char *ca_file, yoi_error *err) {
  char *copy = yoi_sdk_strndup(ca_file, strlen(ca_file));
  if (!copy) return yoi_sdk_fail_memory(err);
  yoi_sdk_free(c->ca_file);
  c->ca_file = copy;
  if (access(ca_file, R_OK) == 0) return YOI_OK;
  int error = errno;
  yoi_status st = yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                               "cannot read the file of trusted certificates");
  yoi_sdk_fail_private(err, "'%s': %s", ca_file, strerror(error));
  return st;
}

yoi_status yoi_sdk_http_unix(struct yoi_sdk_http *c, const char *path, yoi_error *err) {
  char *copy = yoi_sdk_strndup(path, strlen(path));
  if (!copy) return yoi_sdk_fail_memory(err);
  yoi_sdk_free(c->socket);
  c->socket = copy;
  return YOI_OK;
}

static void loop_free(struct yoi__sdk_http_loop *l) {
  l->closing = 1;
  while (l->active) {
    struct yoi_sdk_http_exchange *x = l->active;
    l->active = x->next;
    curl_multi_remove_handle(l->multi, x->easy);
    yoi__sdk_http_exchange_free(x);
  }
  while (l->pool) {
    struct yoi_sdk_http_exchange *x = l->pool;
    l->pool = x->next;
    yoi__sdk_http_exchange_free(x);
  }
  if (l->multi) curl_multi_cleanup(l->multi);
  yoi__sdk_http_sockets_free(l);
  yoi_sdk_free(l);
}

void yoi_sdk_http_close(struct yoi_sdk_http *c) {
  if (!c) return;
  for (uint32_t i = 0; i < c->n_loops; i++)
    if (c->loops[i]) loop_free(c->loops[i]);
  yoi_sdk_free(c->ca_file);
  yoi_sdk_free(c->socket);
  yoi_sdk_free(c);
}

struct yoi__sdk_http_loop *yoi__sdk_http_loop_here(struct yoi_sdk_http *c, yoi_error *err) {
  uint32_t i = c->loop->current(c->host);
  if (i >= c->n_loops) {
    yoi_sdk_fail(err, YOI_CODE_INTERNAL, "an HTTP exchange was started off the loops");
    return NULL;
  }
  if (c->loops[i]) return c->loops[i];
  struct yoi__sdk_http_loop *l = yoi_sdk_calloc(1, sizeof *l);
  CURLM *multi = l ? curl_multi_init() : NULL;
  if (!multi) {
    yoi_sdk_free(l);
    yoi_sdk_fail_memory(err);
    return NULL;
  }
  l->client = c;
  l->index = i;
  l->multi = multi;
  l->curl_at = UINT64_MAX;
  curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, yoi__sdk_http_socket_cb);
  curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, l);
  curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, yoi__sdk_http_timer_cb);
  curl_multi_setopt(multi, CURLMOPT_TIMERDATA, l);
  curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)YOI_HTTP_CLIENT_IDLE_MAX);
  return c->loops[i] = l;
}
