/* host/worker/service.c - the host's interfaces, for a plugin that is elsewhere.
 *
 * Clock and loop are this process' own. What the host decides on is asked of it,
 * and waited for: those functions may be called on any thread, and take some ten
 * microseconds where they took one. What it is only told (the log, metrics) goes
 * without a wait.
 *
 * The tables are made of the lists in wire.h: a member that stands there has its
 * function here, by name.
 */
#include <string.h>
#include <unistd.h>

#include <sdk/mem.h>

#include "../clock.h"
#include "worker.h"

#define LINE_TEXT_MAX YOI_LOG_LINE_MAX
#define FIELDS_MAX 32

static struct yoi__worker *of(const yoi_host *h) {
  return h->ctx;
}

/* ---- questions --------------------------------------------------------------------- */

struct question {
  struct yoi__worker *w;
  struct yoi_sdk_buf text, answer;
  struct yoi__reader in;
};

static struct yoi_sdk_buf *begin(struct question *q, const yoi_host *h, uint32_t what) {
  q->w = of(h);
  yoi_sdk_buf_init(&q->text, YOI_ISOLATED_MESSAGE_BYTES);
  yoi__put_u32(&q->text, what);
  return &q->text;
}

static void tell(struct question *q) {
  if (q->text.failed == 0) yoi__worker_send(q->w, YOI__MSG_TELL, 0, yoi_sdk_buf_str(&q->text));
  yoi_sdk_buf_release(&q->text);
}

/* The status of the answer; what is behind it is read from q->in. end() follows. */
static yoi_status ask(struct question *q, int *out_fd, yoi_error *err) {
  struct yoi_sdk_error e;
  (void)yoi_sdk_error_init(&e);
  yoi_sdk_buf_init(&q->answer, 0);
  q->in = yoi__reader_of((yoi_str){"", 0});
  if (q->text.failed != 0)
    return q->text.failed == YOI_OUT_OF_RANGE
               ? yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "an argument is too long")
               : yoi_sdk_fail_memory(err);
  yoi__worker_ask(q->w, yoi_sdk_buf_str(&q->text), &q->answer, out_fd);
  q->in = yoi__reader_of(yoi_sdk_buf_str(&q->answer));
  yoi_status st = (yoi_status)yoi__get_u32(&q->in);
  if (st != YOI_OK) yoi__get_error(&q->in, &e.e);
  if (q->answer.failed != 0 || q->in.bad) return yoi_sdk_fail_memory(err);
  if (st != YOI_OK) yoi_sdk_error_copy(err, &e.e);
  return st;
}

static void end(struct question *q) {
  if (q->answer.data != NULL) yoi_sdk_wipe(q->answer.data, q->answer.len);
  yoi_sdk_buf_release(&q->answer);
  yoi_sdk_buf_release(&q->text);
}

/* ---- clock and loop ------------------------------------------------------------------ */

static uint64_t clock_monotonic_ns(const yoi_host *h) {
  (void)h;
  return yoi__now_ns();
}

static uint64_t clock_wall_ns(const yoi_host *h) {
  (void)h;
  return yoi__wall_ns();
}

static uint32_t loop_count(const yoi_host *h) {
  return yoi__loops_count(of(h)->loops);
}

static uint32_t loop_current(const yoi_host *h) {
  return yoi__loops_current(of(h)->loops);
}

static yoi_status loop_post(const yoi_host *h, uint32_t loop, yoi_loop_fn fn, void *ctx) {
  return yoi__loop_post(of(h)->loops, &of(h)->owner, loop, fn, ctx);
}

static yoi_status loop_watch(const yoi_host *h, int32_t fd, uint32_t interest, yoi_loop_fd_fn fn,
                             void *ctx, uint64_t *out_id) {
  return yoi__loop_watch(of(h)->loops, &of(h)->owner, fd, interest, fn, ctx, out_id);
}

static yoi_status loop_rewatch(const yoi_host *h, uint64_t id, uint32_t interest) {
  return yoi__loop_rewatch(of(h)->loops, &of(h)->owner, id, interest);
}

static void loop_unwatch(const yoi_host *h, uint64_t id) {
  yoi__loop_unwatch(of(h)->loops, &of(h)->owner, id);
}

static yoi_status loop_timer(const yoi_host *h, uint64_t at_ns, yoi_loop_fn fn, void *ctx,
                             uint64_t *out_id) {
  return yoi__loop_timer(of(h)->loops, &of(h)->owner, at_ns, fn, ctx, out_id);
}

static void loop_timer_cancel(const yoi_host *h, uint64_t id) {
  yoi__loop_timer_cancel(of(h)->loops, &of(h)->owner, id);
}

/* ---- log and metrics ------------------------------------------------------------------- */

static uint32_t log_enabled(const yoi_host *h, uint32_t level) {
  return level >= of(h)->log_level;
}

static yoi_str cut(yoi_str s) {
  s.len = yoi_sdk_utf8_cut(s, LINE_TEXT_MAX);
  return s;
}

static void log_write(const yoi_host *h, uint32_t level, yoi_str msg, yoi_str request_id,
                      const yoi_log_field *fields, size_t n) {
  struct question q;
  if (!log_enabled(h, level)) return;
  if (n > FIELDS_MAX) n = FIELDS_MAX;
  struct yoi_sdk_buf *b = begin(&q, h, YOI__ASK_log_write);
  yoi__put_u32(b, level);
  yoi__put_str(b, cut(msg));
  yoi__put_str(b, cut(request_id));
  yoi__put_u32(b, (uint32_t)n);
  for (size_t i = 0; i < n; i++) {
    yoi__put_str(b, cut(fields[i].key));
    yoi__put_str(b, cut(fields[i].value));
  }
  tell(&q);
}

static yoi_status take_metric(struct question *q, uint32_t *out_id) {
  yoi_status st = ask(q, NULL, NULL);
  *out_id = st == YOI_OK ? yoi__get_u32(&q->in) : 0;
  end(q);
  return st;
}

static yoi_status metrics_counter(const yoi_host *h, yoi_str name, yoi_str help, yoi_str label,
                                  yoi_str value, uint32_t *out_id) {
  struct question q;
  struct yoi_sdk_buf *b = begin(&q, h, YOI__ASK_metrics_counter);
  yoi__put_str(b, name);
  yoi__put_str(b, help);
  yoi__put_str(b, label);
  yoi__put_str(b, value);
  return take_metric(&q, out_id);
}

static yoi_status metrics_make(const yoi_host *h, const yoi_metric *metric, uint32_t *out_id) {
  struct question q;
  *out_id = 0;
  if (metric->size < sizeof *metric || metric->n_labels > YOI_METRIC_LABELS_MAX)
    return YOI_INVALID_ARGUMENT;
  struct yoi_sdk_buf *b = begin(&q, h, YOI__ASK_metrics_make);
  yoi__put_u32(b, metric->type);
  yoi__put_str(b, metric->name);
  yoi__put_str(b, metric->help);
  yoi__put_u32(b, (uint32_t)metric->n_labels);
  for (size_t i = 0; i < metric->n_labels; i++) {
    yoi__put_str(b, metric->labels[i].name);
    yoi__put_str(b, metric->labels[i].value);
  }
  return take_metric(&q, out_id);
}

static void move(const yoi_host *h, uint32_t what, uint32_t id, uint64_t n) {
  struct question q;
  if (id == 0) return;
  struct yoi_sdk_buf *b = begin(&q, h, what);
  yoi__put_u32(b, id);
  yoi__put_u64(b, n);
  tell(&q);
}

static void metrics_add(const yoi_host *h, uint32_t id, uint64_t n) {
  move(h, YOI__ASK_metrics_add, id, n);
}

static void metrics_sub(const yoi_host *h, uint32_t id, uint64_t n) {
  move(h, YOI__ASK_metrics_sub, id, n);
}

static void metrics_set(const yoi_host *h, uint32_t id, uint64_t n) {
  move(h, YOI__ASK_metrics_set, id, n);
}

static void metrics_observe(const yoi_host *h, uint32_t id, uint64_t duration_ns) {
  move(h, YOI__ASK_metrics_observe, id, duration_ns);
}

/* ---- secrets and grants -------------------------------------------------------------------- */

/* A length, and the value when it fits. */
static yoi_status take_value(struct question *q, char *buf, size_t cap, size_t *out_len,
                             yoi_error *err) {
  yoi_status st = ask(q, NULL, err);
  *out_len = (size_t)yoi__get_u64(&q->in);
  if (st == YOI_OK) {
    yoi_str value = yoi__get_bytes(&q->in, cap);
    if (q->in.bad || value.len != *out_len)
      st = yoi_sdk_fail_memory(err);
    else if (value.len > 0)
      memcpy(buf, value.ptr, value.len);
  }
  end(q);
  return st;
}

static yoi_status secret_get(const yoi_host *h, yoi_str name, char *buf, size_t cap,
                             size_t *out_len, yoi_error *err) {
  struct question q;
  struct yoi_sdk_buf *b = begin(&q, h, YOI__ASK_secret_get);
  yoi__put_str(b, name);
  yoi__put_u64(b, cap);
  return take_value(&q, buf, cap, out_len, err);
}

static void secret_refresh(const yoi_host *h) {
  struct question q;
  (void)begin(&q, h, YOI__ASK_secret_refresh);
  tell(&q);
}

static uint64_t secret_generation(const yoi_host *h, yoi_str name) {
  struct question q;
  yoi__put_str(begin(&q, h, YOI__ASK_secret_generation), name);
  uint64_t n = ask(&q, NULL, NULL) == YOI_OK ? yoi__get_u64(&q.in) : 0;
  end(&q);
  return n;
}

static yoi_status grant_check(const yoi_host *h, yoi_str grant, yoi_error *err) {
  struct question q;
  yoi__put_str(begin(&q, h, YOI__ASK_grant_check), grant);
  yoi_status st = ask(&q, NULL, err);
  end(&q);
  return st;
}

static yoi_status grant_list(const yoi_host *h, uint64_t call,
                             void (*each)(void *ctx, yoi_str grant), void *ctx) {
  struct question q;
  yoi__put_u64(begin(&q, h, YOI__ASK_grant_list), call);
  yoi_status st = ask(&q, NULL, NULL);
  yoi_str all = st == YOI_OK ? yoi__get_bytes(&q.in, YOI_JSON_BYTES_MAX) : (yoi_str){"", 0};
  struct yoi__reader in = yoi__reader_of(all);
  while (in.left > 0 && !in.bad) {
    yoi_str grant = yoi__get_text(&in, YOI_GRANT_MAX);
    if (!in.bad) each(ctx, grant);
  }
  end(&q);
  return st;
}

static yoi_status grant_value(const yoi_host *h, uint64_t call, yoi_str grant, char *buf,
                              size_t cap, size_t *out_len, yoi_error *err) {
  struct question q;
  struct yoi_sdk_buf *b = begin(&q, h, YOI__ASK_grant_value);
  yoi__put_u64(b, call);
  yoi__put_str(b, grant);
  yoi__put_u64(b, cap);
  return take_value(&q, buf, cap, out_len, err);
}

/* ---- mounts and hosts --------------------------------------------------------------------------
 */

static yoi_status mount_open(const yoi_host *h, uint64_t call, yoi_str mount, yoi_str path,
                             uint32_t flags, int32_t *out_fd, yoi_error *err) {
  struct question q;
  int fd = -1;
  struct yoi_sdk_buf *b = begin(&q, h, YOI__ASK_mount_open);
  *out_fd = -1;
  if (path.len > YOI_MOUNT_PATH_MAX || mount.len > YOI_PATH_BYTES_MAX) {
    end(&q);
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "cannot open: the path is too long");
  }
  yoi__put_u64(b, call);
  yoi__put_str(b, mount);
  yoi__put_str(b, path);
  yoi__put_u32(b, flags);
  yoi_status st = ask(&q, &fd, err);
  end(&q);
  if (st == YOI_OK && fd < 0) return yoi_sdk_fail_memory(err);
  if (st != YOI_OK && fd >= 0) close(fd);
  if (st == YOI_OK) *out_fd = fd;
  return st;
}

static yoi_status net_check(const yoi_host *h, uint64_t call, yoi_str host, uint32_t port,
                            yoi_error *err) {
  struct question q;
  struct yoi_sdk_buf *b = begin(&q, h, YOI__ASK_net_check);
  yoi__put_u64(b, call);
  yoi__put_str(b, host);
  yoi__put_u32(b, port);
  yoi_status st = ask(&q, NULL, err);
  end(&q);
  return st;
}

static yoi_status net_check_address(const yoi_host *h, uint64_t call, yoi_str host, uint32_t port,
                                    yoi_str address, yoi_error *err) {
  struct question q;
  struct yoi_sdk_buf *b = begin(&q, h, YOI__ASK_net_check_address);
  yoi__put_u64(b, call);
  yoi__put_str(b, host);
  yoi__put_u32(b, port);
  yoi__put_str(b, address);
  yoi_status st = ask(&q, NULL, err);
  end(&q);
  return st;
}

/* ---- by id -------------------------------------------------------------------------------------
 */

#define ROW(interface, member, where) .member = interface##_##member,
static const yoi_host_clock clock_table = {.size = sizeof clock_table, YOI__WIRE_CLOCK(ROW)};
static const yoi_host_loop loop_table = {.size = sizeof loop_table, YOI__WIRE_LOOP(ROW)};
static const yoi_host_log log_table = {.size = sizeof log_table, YOI__WIRE_LOG(ROW)};
static const yoi_host_metrics metrics_table = {.size = sizeof metrics_table,
                                               YOI__WIRE_METRICS(ROW)};
static const yoi_host_secret secret_table = {.size = sizeof secret_table, YOI__WIRE_SECRET(ROW)};
static const yoi_host_grant grant_table = {.size = sizeof grant_table, YOI__WIRE_GRANT(ROW)};
static const yoi_host_mount mount_table = {.size = sizeof mount_table, YOI__WIRE_MOUNT(ROW)};
static const yoi_host_net net_table = {.size = sizeof net_table, YOI__WIRE_NET(ROW)};

static const void *get_interface(const yoi_host *h, yoi_str id) {
  static const struct {
    const char *id;
    int tools; /* only */
    const void *table;
  } all[] = {{YOI_HOST_CLOCK_ID, 0, &clock_table},     {YOI_HOST_LOG_ID, 0, &log_table},
             {YOI_HOST_METRICS_ID, 0, &metrics_table}, {YOI_HOST_SECRET_ID, 0, &secret_table},
             {YOI_HOST_GRANT_ID, 1, &grant_table},     {YOI_HOST_MOUNT_ID, 1, &mount_table},
             {YOI_HOST_NET_ID, 1, &net_table}};
  int tool = of(h)->plugin.manifest.kind == YOI_KIND_TOOL;
  if (yoi_sdk_str_is(id, YOI_HOST_LOOP_ID)) return of(h)->serial ? NULL : &loop_table;
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (yoi_sdk_str_is(id, all[i].id)) return !all[i].tools || tool ? all[i].table : NULL;
  return NULL;
}

/* ---- tokens
 * -------------------------------------------------------------------------------------- */

static yoi_status token_new(const yoi_host *h, uint64_t cookie, uint64_t *out_token,
                            yoi_error *err) {
  return yoi__token_new(of(h)->tokens, &of(h)->plugin_holder, cookie, out_token, err);
}

static void token_free(const yoi_host *h, uint64_t token) {
  yoi__token_free(of(h)->tokens, &of(h)->plugin_holder, token);
}

static void wake(const yoi_host *h, uint64_t token) {
  yoi__token_wake(of(h)->tokens, token);
}

void yoi__worker_plugin_woken(void *arg, uint64_t cookie) {
  struct yoi__worker *w = arg;
  const struct yoi__plugin *p = &w->plugin;
  void (*fn)(void *, uint64_t) = p->manifest.kind == YOI_KIND_TOOL    ? p->table.tool.wake
                                 : p->manifest.kind == YOI_KIND_MODEL ? p->table.model.wake
                                                                      : p->table.policy.wake;
  if (fn != NULL && w->self != NULL) fn(w->self, cookie);
}

void yoi__worker_host_init(struct yoi__worker *w) {
  w->host = (yoi_host){.size = sizeof w->host,
                       .ctx = w,
                       .get_interface = get_interface,
                       .token_new = token_new,
                       .token_free = token_free,
                       .wake = wake};
}
