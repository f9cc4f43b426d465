/* ingress-http/plugin.c - dev.yoi.ingress-http: both HTTP surfaces.
 *
 * Runtime surface: /v1, one runtime, for other hosts and programs, with a
 * bearer token. It is not for browsers: it sends no CORS header and refuses
 * requests with Origin or Sec-Fetch-Site. Browser surface: /api, all runtimes,
 * for people; browsers reach workers through /api only.
 *
 *   bytes --codec--> request --router, auth--> operation --registry--> stream
 *   bytes <--------- response, frames <------- exchange, sse, wait <------+
 *
 *   codec.c fields.c   bytes to requests; nothing of it knows sockets
 *   router.c auth.c    which operation; who may ask
 *   response.c         answers and event frames to bytes
 *   conn.c write.c     a connection's states; its bytes to the socket
 *   tls.c certificate.c   TLS below it; where its certificate comes from
 *   exchange.c         one request from header to answer
 *   answer.c sse.c wait.c   the three ways to answer
 *   listener.c timers.c slots.c   a loop: accept, deadlines, wakes
 *   measure.c          what /metrics tells of it
 *   callers.c door.c   who asks and what he may; tokens and their change
 *   login.c sessions.c guesses.c pages.c   people: cookies, waits, pages
 *   peers.c access.c   how much one peer has; the access log
 *
 * An instance is one listener. It has no thread of its own: all runs on the
 * host's loops, and a connection stays on the loop that accepted it.
 *
 *       open          start                  stop_accepting      drain
 *   () ------> opened ------> serving on each loop ------> ... ------> drained
 *                 \______________________ close ______________________/
 *
 *  1. The descriptors are ours from start on, also when it fails.
 *  2. close runs when no callback can: it frees what the loops own.
 */
#include "http.h"

#include <sdk/id.h>
#include <sdk/json.h>
#include <sdk/mem.h>
#include <sdk/plugin.h>
#include <sdk/take.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <yoi/ingress.h>

void http_log(struct http_instance *in, uint32_t level, const char *msg, yoi_str request_id,
              const char *key, yoi_str value) {
  const yoi_log_field field = {.key = yoi_sdk_str(key), .value = value};
  if (!in->log->enabled(in->host, level)) return;
  in->log->write(in->host, level, yoi_sdk_str(msg), request_id, &field, key ? 1 : 0);
}

/* ---- open --------------------------------------------------------------------- */

static const void *get(const yoi_host *h, const char *id, size_t size, yoi_status *st,
                       yoi_error *err) {
  const void *table = yoi_sdk_host_get(h, id, size);
  if (!table && *st == YOI_OK)
    *st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the host has no '%s'", id);
  return table;
}

/* The schema has checked types and ranges. */
static uint64_t number(const yoi_sdk_json *config, const char *key, int64_t otherwise) {
  int64_t n = otherwise;
  (void)yoi_sdk_json_int(yoi_sdk_json_get(config, key), &n);
  return (uint64_t)n;
}

static uint8_t access_log(const yoi_sdk_json *config) {
  yoi_str s = {NULL, 0};
  (void)yoi_sdk_json_str(yoi_sdk_json_get(config, "access_log"), &s);
  if (yoi_sdk_str_is(s, "off")) return HTTP_ACCESS_OFF;
  return yoi_sdk_str_is(s, "all") ? HTTP_ACCESS_ALL : HTTP_ACCESS_ERRORS;
}

static yoi_status read_config(struct http_instance *in, yoi_str text, yoi_error *err) {
  yoi_sdk_json *config = NULL;
  int secure = 0;
  if (text.len > 0 && yoi_sdk_json_parse(text, 0, &config, NULL) != YOI_OK)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_JSON, "the config is not JSON");
  in->config = (struct http_config){
      .header_ms = number(config, "header_ms", YOI_HTTP_HEADER_MS),
      .body_ms = number(config, "body_ms", YOI_HTTP_BODY_MS),
      .idle_ms = number(config, "idle_ms", YOI_HTTP_IDLE_MS),
      .write_ms = number(config, "write_ms", YOI_HTTP_WRITE_MS),
      .heartbeat_ms = number(config, "heartbeat_ms", YOI_HTTP_HEARTBEAT_MS),
      .connections = (uint32_t)number(config, "connections", YOI_HTTP_CONNECTIONS_DEFAULT),
      .streams = (uint32_t)number(config, "streams", YOI_HTTP_STREAMS_DEFAULT),
      .peer_connections =
          (uint32_t)number(config, "connections_per_peer", YOI_HTTP_PEER_CONNECTIONS_DEFAULT),
      .peer_streams =
          (uint32_t)number(config, "streams_per_peer", YOI_HTTP_PEER_STREAMS_DEFAULT),
      .local_connections = (uint32_t)number(config, "connections_per_peer", UINT32_MAX),
      .local_streams = (uint32_t)number(config, "streams_per_peer", UINT32_MAX),
      .session_ms = number(config, "session_ms", YOI_HTTP_SESSION_MS),
      .access_log = access_log(config),
  };
  (void)yoi_sdk_json_bool(yoi_sdk_json_get(config, "secure_cookie"), &secure);
  in->config.secure_cookie = secure != 0;
  yoi_status st = http_certificate_open(in, config, err);
  if (st == YOI_OK) st = http_door_read(in, config, err);
  yoi_sdk_json_free(config);
  return st;
}

static yoi_status http_open(const yoi_host *host, yoi_str config, void **out_self,
                            yoi_error *err) {
  yoi_status st = YOI_OK;
  struct http_instance *in = yoi_sdk_calloc(1, sizeof *in);
  if (!in) return yoi_sdk_fail_memory(err);
  in->host = host;
  in->loops_of = get(host, YOI_HOST_LOOP_ID, sizeof *in->loops_of, &st, err);
  in->registry = get(host, YOI_HOST_REGISTRY_ID, sizeof *in->registry, &st, err);
  in->clock = get(host, YOI_HOST_CLOCK_ID, sizeof *in->clock, &st, err);
  in->log = get(host, YOI_HOST_LOG_ID, sizeof *in->log, &st, err);
  http_sessions_init(&in->sessions);
  int random = http_peers_init(&in->peers) & http_guesses_init(&in->guesses);
  if (!random && st == YOI_OK)
    st = yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the system gives no random bytes");
  if (st == YOI_OK) st = read_config(in, config, err);
  if (st != YOI_OK) {
    http_certificate_close(in);
    http_door_close(in);
    http_peers_free(&in->peers);
    http_sessions_free(&in->sessions);
    http_guesses_free(&in->guesses);
    yoi_sdk_free(in);
    return st;
  }
  http_measure_open(in);
  *out_self = in;
  return YOI_OK;
}

/* ---- start ---------------------------------------------------------------------- */

static yoi_status make_loops(struct http_instance *in, yoi_error *err) {
  uint32_t n = in->loops_of->count(in->host);
  uint64_t now_ms = in->clock->monotonic_ns(in->host) / 1000000u;
  in->loops = yoi_sdk_calloc(n, sizeof *in->loops);
  if (!in->loops) return yoi_sdk_fail_memory(err);
  for (uint32_t i = 0; i < n; i++) {
    struct http_loop *l = &in->loops[i];
    l->in = in;
    l->index = i;
    l->listen_fd = l->spare_fd = -1;
    l->earliest_ms = UINT64_MAX;
    l->now_ms = now_ms;
    yoi_sdk_buf_init(&l->out, 4 * YOI_JSON_BYTES_MAX + HTTP_HEAD_MAX);
    http_wheel_init(&l->wheel, now_ms);
    http_slots_init(&l->slots, in->host, i);
  }
  in->n_loops = n;
  atomic_store(&in->untold, n);
  for (uint32_t i = 0; i < n; i++) in->loops[i].ring = http_ring_ref(in->door.ring);
  for (uint32_t i = 0; in->tls.ctx && i < n; i++) {
    in->loops[i].record = yoi_sdk_malloc(HTTP_TLS_RECORD);
    if (!in->loops[i].record) return yoi_sdk_fail_memory(err);
    http_tls_context_ref(in->tls.ctx);
    in->loops[i].tls = in->tls.ctx;
  }
  return YOI_OK;
}

/* Says so when the process may not have as many descriptors as the limit. */
static void check_descriptors(struct http_instance *in) {
  struct rlimit limit;
  char text[64];
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
      limit.rlim_cur > in->config.connections)
    return;
  int n = snprintf(text, sizeof text, "%llu", (unsigned long long)limit.rlim_cur);
  http_log(in, YOI_LOG_WARN, "fewer descriptors than connections are allowed", (yoi_str){NULL, 0},
           "descriptors", (yoi_str){text, (size_t)n});
}

static yoi_status take_listener(struct http_instance *in, const yoi_listener *on, yoi_error *err) {
  yoi_status st = http_door_serve(in, on, err);
  if (st == YOI_OK) st = http_guard_set(&in->guard, on, in->door.closed, err);
  if (st != YOI_OK) return st;
  in->guard.tls = in->tls.ctx != NULL;
  if (in->door.closed && !in->guard.local && !in->guard.tls)
    http_log(in, YOI_LOG_WARN, "tokens cross the network without tls", (yoi_str){NULL, 0}, NULL,
             (yoi_str){NULL, 0});
  if (on->surface == YOI_SURFACE_RUNTIME) {
    if (!yoi_sdk_id_valid(on->runtime_id))
      return yoi_sdk_fail(err, YOI_CODE_INVALID_IDENTIFIER,
                          "a runtime surface needs the id of its runtime");
    memcpy(in->runtime_id, on->runtime_id.ptr, on->runtime_id.len);
  }
  http_measure_surface(in);
  http_login_names(in);
  if ((st = http_pages_make(in, err)) != YOI_OK) return st;
  return make_loops(in, err);
}

static yoi_status http_start(void *self, const yoi_listener *on, yoi_error *err) {
  struct http_instance *in = self;
  yoi_listener whole;
  yoi_status st = yoi_sdk_take(&whole, sizeof whole, on, "the listener", err);
  if (st == YOI_OK) st = take_listener(in, &whole, err);
  for (uint32_t i = 0; i < on->n_fds; i++) {
    if (st == YOI_OK && i < in->n_loops) in->loops[i].listen_fd = on->fds[i];
    else close(on->fds[i]);
  }
  if (st != YOI_OK) return st;
  check_descriptors(in);
  for (uint32_t i = 0; i < in->n_loops; i++) {
    st = in->loops_of->post(in->host, i, http_loop_listen, &in->loops[i]);
    if (st != YOI_OK) return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "cannot reach loop %u", i);
  }
  return YOI_OK;
}

/* ---- the end ---------------------------------------------------------------------- */

static void http_stop_accepting(void *self) {
  struct http_instance *in = self;
  for (uint32_t i = 0; i < in->n_loops; i++)
    (void)in->loops_of->post(in->host, i, http_loop_stop, &in->loops[i]);
}

static yoi_status http_drain(void *self, uint64_t deadline_ns, uint64_t token, yoi_stream **out,
                             yoi_error *err) {
  struct http_instance *in = self;
  if (in->n_loops == 0 || in->drained) {
    *out = yoi_sdk_stream_empty();
    return *out ? YOI_OK : yoi_sdk_fail_memory(err);
  }
  in->drained = yoi_sdk_queue_new(in->host, token, 1, NULL, NULL, NULL);
  if (!in->drained) return yoi_sdk_fail_memory(err);
  *out = yoi_sdk_queue_stream(in->drained);
  in->drain_until_ms = deadline_ns / 1000000u;
  atomic_store(&in->draining, 1u);
  /* A loop that this does not reach finds out with its next callback, or has
   * the host's deadline. */
  for (uint32_t i = 0; i < in->n_loops; i++)
    (void)in->loops_of->post(in->host, i, http_loop_drain, &in->loops[i]);
  return YOI_OK;
}

static void http_close(void *self) {
  struct http_instance *in = self;
  if (!in) return;
  for (uint32_t i = 0; i < in->n_loops; i++) http_loop_free(&in->loops[i]);
  if (in->drained) {
    yoi_sdk_queue_finish(in->drained);
    yoi_sdk_queue_drop(in->drained);
  }
  http_guard_close(&in->guard);
  http_door_close(in);
  http_certificate_close(in);
  http_peers_free(&in->peers);
  http_sessions_free(&in->sessions);
  http_guesses_free(&in->guesses);
  http_pages_free(in);
  yoi_sdk_free(in->loops);
  yoi_sdk_free(in);
}

static void http_wake(void *self, uint64_t cookie) {
  struct http_instance *in = self;
  uint32_t loop = http_slot_cookie_loop(cookie);
  if (loop < in->n_loops && http_slots_wake(&in->loops[loop].slots, cookie))
    (void)in->loops_of->post(in->host, loop, http_loop_woken, &in->loops[loop]);
}

static const yoi_ingress ingress = {
    .size = sizeof ingress,
    .thread_model = YOI_PARALLEL,
    .open = http_open,
    .close = http_close,
    .start = http_start,
    .stop_accepting = http_stop_accepting,
    .drain = http_drain,
    .wake = http_wake,
};

YOI_SDK_PLUGIN("dev.yoi.ingress-http", "1.0.0", YOI_KIND_INGRESS, YOI_INGRESS_ID, ingress);
YOI_MANIFEST_FILE(MANIFEST);
