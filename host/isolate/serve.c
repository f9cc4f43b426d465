/* host/isolate/serve.c - what a plugin in a worker process asks its host.
 *
 * A question is answered by the same tables, with the same yoi_host, as if the
 * plugin had called here: what it may have is decided there and nowhere else. Only
 * metrics are made with less trust (yoi__metrics_make_shared).
 *
 * Invariants:
 *  1. An interface that the plugin's kind has not is not served: who asks for it
 *     in spite of its own get_interface is ended.
 *  2. Arguments are texts of bounded length and numbers; all that is left over or
 *     missing ends the worker.
 *  3. A metric is moved only by an instance that asked for it: one of its own, or
 *     one that it shares with other plugins by name, never one that the host had
 *     made before. It has YOI_ISOLATED_METRICS_MAX of them at most, over all lives
 *     of its worker.
 *  4. Lines of the log are YOI_ISOLATED_LOG_LINES a second, the rest is counted
 *     and said in one line.
 *  5. A secret is wiped wherever it was written on its way.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sdk/mem.h>

#include "../clock.h"
#include "isolate.h"
#include "wire.h"

#define TEXT_MAX YOI_PATH_BYTES_MAX /* names, grants, hosts, addresses */
#define FIELDS_MAX 32               /* of a line of the log */
#define LINE_TEXT_MAX YOI_LOG_LINE_MAX

struct ask {
  struct yoi__isolate *iso;
  uint64_t id;
  struct yoi__reader in;
  struct yoi_sdk_buf out;
  int later; /* somebody else answers */
};

static const yoi_host *host_of(const struct ask *a) {
  return &a->iso->in->host;
}

static yoi_str text(struct ask *a) {
  return yoi__get_text(&a->in, TEXT_MAX);
}

static const char *malformed(const struct ask *a) {
  return yoi__reader_done(&a->in) ? NULL : "a question that is not as it should be";
}

/* The table behind a question; without one it is none of this plugin's. */
#define TABLE(type, id)                                      \
  const type *table = yoi__service(a->iso->in, YOI_LIT(id)); \
  if (table == NULL) return "an interface that the plugin has not"
#define ARGUMENTS_END                              \
  do {                                             \
    if (malformed(a) != NULL) return malformed(a); \
  } while (0)

void yoi__serve_begin(struct yoi_sdk_buf *out, yoi_status st, const yoi_error *err) {
  yoi__put_u32(out, (uint32_t)st);
  if (st != YOI_OK) yoi__put_error(out, err);
}

/* ---- secrets --------------------------------------------------------------------- */

static const char *serve_secret_get(struct ask *a) {
  TABLE(yoi_host_secret, YOI_HOST_SECRET_ID);
  yoi_str name = text(a);
  uint64_t cap = yoi__get_u64(&a->in);
  ARGUMENTS_END;
  char value[YOI_SECRET_BYTES_MAX];
  struct yoi_sdk_error e;
  size_t len = 0;
  if (cap > sizeof value) cap = sizeof value;
  yoi_status st = table->get(host_of(a), name, value, (size_t)cap, &len, yoi_sdk_error_init(&e));
  yoi__serve_begin(&a->out, st, &e.e);
  yoi__put_u64(&a->out, len);
  if (st == YOI_OK) yoi__put_str(&a->out, (yoi_str){value, len});
  yoi_sdk_wipe(value, sizeof value);
  return NULL;
}

static const char *serve_secret_refresh(struct ask *a) {
  TABLE(yoi_host_secret, YOI_HOST_SECRET_ID);
  ARGUMENTS_END;
  table->refresh(host_of(a));
  return NULL;
}

static const char *serve_secret_generation(struct ask *a) {
  TABLE(yoi_host_secret, YOI_HOST_SECRET_ID);
  yoi_str name = text(a);
  ARGUMENTS_END;
  yoi__serve_begin(&a->out, YOI_OK, NULL);
  yoi__put_u64(&a->out, table->generation(host_of(a), name));
  return NULL;
}

/* ---- grants ---------------------------------------------------------------------- */

static const char *serve_grant_check(struct ask *a) {
  TABLE(yoi_host_grant, YOI_HOST_GRANT_ID);
  struct yoi_sdk_error e;
  yoi_str grant = text(a);
  ARGUMENTS_END;
  yoi_status st = table->check(host_of(a), grant, yoi_sdk_error_init(&e));
  yoi__serve_begin(&a->out, st, &e.e);
  return NULL;
}

static void add_grant(void *ctx, yoi_str grant) {
  yoi__put_str(ctx, grant);
}

static const char *serve_grant_list(struct ask *a) {
  TABLE(yoi_host_grant, YOI_HOST_GRANT_ID);
  struct yoi_sdk_buf all;
  struct yoi_sdk_error e;
  uint64_t call = yoi__get_u64(&a->in);
  ARGUMENTS_END;
  yoi_sdk_buf_init(&all, YOI_JSON_BYTES_MAX);
  yoi_status st = table->list(host_of(a), call, add_grant, &all);
  yoi__serve_begin(&a->out, st, yoi_sdk_error_init(&e));
  yoi__put_str(&a->out, yoi_sdk_buf_str(&all));
  yoi_sdk_buf_release(&all);
  return NULL;
}

static const char *serve_grant_value(struct ask *a) {
  TABLE(yoi_host_grant, YOI_HOST_GRANT_ID);
  struct yoi_sdk_error e;
  uint64_t call = yoi__get_u64(&a->in);
  yoi_str grant = text(a);
  uint64_t cap = yoi__get_u64(&a->in);
  ARGUMENTS_END;
  if (cap > YOI_GRANT_VALUE_MAX) cap = YOI_GRANT_VALUE_MAX;
  char *value = yoi_sdk_malloc((size_t)cap + 1);
  size_t len = 0;
  (void)yoi_sdk_error_init(&e);
  yoi_status st = value == NULL
                      ? yoi_sdk_fail_memory(&e.e)
                      : table->value(host_of(a), call, grant, value, (size_t)cap, &len, &e.e);
  yoi__serve_begin(&a->out, st, &e.e);
  yoi__put_u64(&a->out, len);
  if (st == YOI_OK) yoi__put_str(&a->out, (yoi_str){value, len});
  yoi_sdk_free(value);
  return NULL;
}

/* ---- mounts and hosts --------------------------------------------------------------- */

static const char *serve_mount_open(struct ask *a) {
  TABLE(yoi_host_mount, YOI_HOST_MOUNT_ID);
  struct yoi_sdk_error e;
  uint64_t call = yoi__get_u64(&a->in);
  yoi_str mount = text(a);
  yoi_str path = yoi__get_bytes(&a->in, TEXT_MAX); /* of a file system: any bytes */
  uint32_t flags = yoi__get_u32(&a->in);
  ARGUMENTS_END;
  a->later = yoi__disk_open(a->iso, a->id, call, mount, path, flags);
  if (a->later) return NULL;
  yoi_status st = yoi_sdk_fail(yoi_sdk_error_init(&e), YOI_CODE_LIMIT_REACHED,
                               "too much is asked of the host at once");
  yoi__serve_begin(&a->out, st, &e.e);
  return NULL;
}

static const char *serve_net_check(struct ask *a) {
  TABLE(yoi_host_net, YOI_HOST_NET_ID);
  struct yoi_sdk_error e;
  uint64_t call = yoi__get_u64(&a->in);
  yoi_str host = text(a);
  uint32_t port = yoi__get_u32(&a->in);
  ARGUMENTS_END;
  yoi_status st = table->check(host_of(a), call, host, port, yoi_sdk_error_init(&e));
  yoi__serve_begin(&a->out, st, &e.e);
  return NULL;
}

static const char *serve_net_check_address(struct ask *a) {
  TABLE(yoi_host_net, YOI_HOST_NET_ID);
  struct yoi_sdk_error e;
  uint64_t call = yoi__get_u64(&a->in);
  yoi_str host = text(a);
  uint32_t port = yoi__get_u32(&a->in);
  yoi_str address = text(a);
  ARGUMENTS_END;
  yoi_status st =
      table->check_address(host_of(a), call, host, port, address, yoi_sdk_error_init(&e));
  yoi__serve_begin(&a->out, st, &e.e);
  return NULL;
}

/* ---- metrics -------------------------------------------------------------------------- */

static const char *make(struct ask *a, const yoi_metric *m) {
  struct yoi__isolate *iso = a->iso;
  struct yoi_sdk_error e;
  uint32_t id = 0;
  ARGUMENTS_END;
  yoi_status st = yoi__metrics_make_shared(iso->in->top->metrics, m, &iso->metrics, &id);
  yoi__serve_begin(&a->out, st, yoi_sdk_error_init(&e));
  yoi__put_u32(&a->out, id);
  return NULL;
}

static const char *serve_metrics_counter(struct ask *a) {
  yoi_str name = text(a), help = text(a), label = text(a), value = text(a);
  return make(a, YOI__METRIC_ONE(YOI_METRIC_COUNTER, name, help, label, value));
}

static const char *serve_metrics_make(struct ask *a) {
  yoi_metric_label labels[YOI_METRIC_LABELS_MAX];
  yoi_metric m = {.size = sizeof m, .labels = labels};
  m.type = yoi__get_u32(&a->in);
  m.name = text(a);
  m.help = text(a);
  m.n_labels = yoi__get_u32(&a->in);
  if (m.n_labels > YOI_METRIC_LABELS_MAX) return "a metric with too many labels";
  for (size_t i = 0; i < m.n_labels; i++) {
    labels[i].name = text(a);
    labels[i].value = text(a);
  }
  return make(a, &m);
}

static const char *move(struct ask *a, void (*fn)(const yoi_host *, uint32_t, uint64_t)) {
  uint32_t id = yoi__get_u32(&a->in);
  uint64_t n = yoi__get_u64(&a->in);
  ARGUMENTS_END;
  if (!yoi__metrics_owns(&a->iso->metrics, id)) return "a metric that it did not make";
  fn(host_of(a), id, n);
  return NULL;
}

static const char *serve_metrics_add(struct ask *a) {
  TABLE(yoi_host_metrics, YOI_HOST_METRICS_ID);
  return move(a, table->add);
}

static const char *serve_metrics_sub(struct ask *a) {
  TABLE(yoi_host_metrics, YOI_HOST_METRICS_ID);
  return move(a, table->sub);
}

static const char *serve_metrics_set(struct ask *a) {
  TABLE(yoi_host_metrics, YOI_HOST_METRICS_ID);
  return move(a, table->set);
}

static const char *serve_metrics_observe(struct ask *a) {
  TABLE(yoi_host_metrics, YOI_HOST_METRICS_ID);
  return move(a, table->observe);
}

/* ---- the log ----------------------------------------------------------------------------- */

/* 1: there is room for a line. */
static int take_line(struct yoi__isolate *iso) {
  uint64_t now = yoi__now_ns();
  if (now - iso->log_ns >= 1000 * YOI__MS) {
    iso->log_ns = now;
    iso->log_left = YOI_ISOLATED_LOG_LINES;
    char n[24];
    (void)snprintf(n, sizeof n, "%llu", (unsigned long long)iso->log_lost);
    if (iso->log_lost > 0)
      yoi__log_host(iso->in->top->log, YOI_LOG_WARN, "lines of a worker process were dropped",
                    (yoi_log_field[]){{YOI_LIT("plugin"), iso->in->plugin->manifest.id},
                                      {YOI_LIT("lines"), yoi_sdk_str(n)}},
                    2);
    iso->log_lost = 0;
  }
  if (iso->log_left > 0) return (int)iso->log_left--;
  iso->log_lost++;
  return 0;
}

static int is_key(yoi_str s) {
  for (size_t i = 0; i < s.len; i++)
    if ((s.ptr[i] < 'a' || s.ptr[i] > 'z') && s.ptr[i] != '_') return 0;
  return s.len > 0;
}

static const char *serve_log_write(struct ask *a) {
  TABLE(yoi_host_log, YOI_HOST_LOG_ID);
  yoi_log_field fields[FIELDS_MAX];
  uint32_t level = yoi__get_u32(&a->in);
  yoi_str msg = yoi__get_bytes(&a->in, LINE_TEXT_MAX);
  yoi_str request_id = yoi__get_bytes(&a->in, LINE_TEXT_MAX);
  uint32_t n = yoi__get_u32(&a->in);
  if (n > FIELDS_MAX) return "a line with too many fields";
  for (uint32_t i = 0; i < n; i++) {
    fields[i].key = yoi__get_text(&a->in, LINE_TEXT_MAX);
    fields[i].value = yoi__get_bytes(&a->in, LINE_TEXT_MAX);
    if (!a->in.bad && !is_key(fields[i].key)) return "a key that is none";
  }
  ARGUMENTS_END;
  if (level < YOI_LOG_DEBUG || level > YOI_LOG_ERROR) return "a line of no level";
  if (take_line(a->iso)) table->write(host_of(a), level, msg, request_id, fields, n);
  return NULL;
}

/* ---- by number ------------------------------------------------------------------------------ */

#define ROW(interface, member, where) ROW_##where(interface, member)
#define ROW_ASK(interface, member) \
  [YOI__ASK_##interface##_##member] = {serve_##interface##_##member, 1},
#define ROW_TELL(interface, member) \
  [YOI__ASK_##interface##_##member] = {serve_##interface##_##member, 0},
#define ROW_HERE(interface, member)

static const struct {
  const char *(*serve)(struct ask *a);
  int answered;
} rows[YOI__ASK_COUNT] = {YOI__WIRE_HOST(ROW)};

static const char *serve(struct ask *a, yoi_str body, int answered) {
  a->in = yoi__reader_of(body);
  uint32_t what = yoi__get_u32(&a->in);
  if (a->in.bad || what >= YOI__ASK_COUNT || rows[what].serve == NULL ||
      rows[what].answered != answered)
    return "a question that nobody knows";
  return rows[what].serve(a);
}

void yoi__serve_answer(struct yoi__isolate *iso, uint64_t life, uint64_t id, yoi_str body, int fd) {
  pthread_mutex_lock(&iso->lock);
  if (iso->life == life) yoi__isolate_say(iso, YOI__MSG_ANSWER, id, body, fd);
  int dead = iso->dead;
  pthread_mutex_unlock(&iso->lock);
  if (fd >= 0) close(fd);
  if (dead) yoi__isolate_told(iso);
}

const char *yoi__serve_ask(struct yoi__isolate *iso, uint64_t id, yoi_str body) {
  struct ask a = {.iso = iso, .id = id};
  yoi_sdk_buf_init(&a.out, YOI_ISOLATED_MESSAGE_BYTES);
  const char *why = serve(&a, body, 1);
  if (why == NULL && a.out.failed != 0) why = "memory is short";
  if (why == NULL && !a.later) yoi__serve_answer(iso, iso->life, id, yoi_sdk_buf_str(&a.out), -1);
  if (a.out.data != NULL) yoi_sdk_wipe(a.out.data, a.out.len);
  yoi_sdk_buf_release(&a.out);
  return why;
}

const char *yoi__serve_tell(struct yoi__isolate *iso, yoi_str body) {
  struct ask a = {.iso = iso};
  return serve(&a, body, 0);
}
