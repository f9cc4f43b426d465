/* host/log.c - one line per thing, one write per line, and nobody waits.
 *
 * A line is made on the caller's thread and put into a bounded queue. Whoever
 * finds no writer at work becomes the writer: it takes lines out of the queue
 * and writes them until the queue is empty or the sink would block. A pipe
 * that poll calls writable takes PIPE_BUF bytes without blocking, which is
 * what YOI_LOG_LINE_MAX is for. Lines that a slow sink leaves behind go out
 * with the next call; when the queue is full new lines are dropped, counted.
 *
 * Invariants
 *  1. `lock` guards queue and `writing`; it is not held across poll or write.
 *  2. Only the thread that set `writing` writes, so lines never interleave
 *     and keep their order.
 *  3. Text is escaped, never interpreted: a line has one line feed, at its
 *     end, whatever it is given. No known secret is in it (scrub.h), nor the
 *     begin of one at the end of a text, which somebody else may have cut.
 *  4. What the application takes itself is given to it on the caller's thread,
 *     with no lock held: it has no queue here, and nothing is dropped.
 *  5. Who writes a line is counted before it looks whether the log is silent; who
 *     makes it so waits for a count of 0. So nothing of the application is called
 *     behind that.
 *  6. No signal: SIGPIPE is blocked around the write and taken back if it
 *     came from it. The library leaves dispositions alone.
 */
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sdk/error.h>
#include <sdk/hard.h>
#include <sdk/id.h>
#include <sdk/jsonw.h>
#include <sdk/mem.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"

#define QUEUE_BYTES YOI_SDK_HARD(262144, 65536) /* 64 of the longest lines, 1,000 usual ones */
#define VALUE_MAX 1024
#define FLUSH_MS 100

struct yoi__log {
  int fd;
  uint32_t level, format;
  _Atomic uint64_t *dropped;
  struct yoi__scrub *scrub; /* NULL: nothing is secret */
  yoi_log_fn fn;            /* the application's, in place of queue and descriptor */
  void *ctx;
  pthread_mutex_t lock;
  char *queue; /* a ring of QUEUE_BYTES: whole lines, each ends in LF */
  size_t head, len;
  int writing;
  _Atomic uint32_t inside; /* calls that write a line */
  _Atomic uint32_t silent;
  pthread_cond_t left; /* inside came to 0 */
};

struct yoi__log *yoi__log_new(int fd, uint32_t level, uint32_t format, _Atomic uint64_t *dropped) {
  struct yoi__log *log = yoi_sdk_calloc(1, sizeof *log);
  if (log == NULL) return NULL;
  log->queue = yoi_sdk_malloc(QUEUE_BYTES);
  if (log->queue == NULL) {
    yoi_sdk_free(log);
    return NULL;
  }
  log->fd = fd;
  log->level = level;
  log->format = format;
  log->dropped = dropped;
  pthread_mutex_init(&log->lock, NULL);
  pthread_cond_init(&log->left, NULL);
  return log;
}

void yoi__log_scrub(struct yoi__log *log, struct yoi__scrub *scrub) {
  log->scrub = scrub;
}

void yoi__log_to(struct yoi__log *log, yoi_log_fn fn, void *ctx) {
  log->fn = fn;
  log->ctx = ctx;
}

int yoi__log_enabled(const struct yoi__log *log, uint32_t level) {
  return level >= log->level;
}

/* ---- a line ------------------------------------------------------------ */

static int plain(yoi_str v) {
  for (size_t i = 0; i < v.len; i++) {
    char c = v.ptr[i];
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c > '~') return 0;
  }
  return v.len > 0;
}

/* JSON lets DEL and C1 stand; a terminal that shows the log would obey them. */
static void add_quoted(struct yoi_sdk_buf *b, yoi_str value) {
  size_t run = 0;
  yoi_sdk_buf_addc(b, '"');
  for (size_t i = 0; i < value.len; i++) {
    unsigned char c = (unsigned char)value.ptr[i];
    size_t n = c == 0x7f ? 1 : 0;
    if (c == 0xc2 && i + 1 < value.len) {
      c = (unsigned char)value.ptr[i + 1];
      n = c >= 0x80 && c < 0xa0 ? 2 : 0;
    }
    if (n == 0) continue;
    yoi_sdk_json_escape(b, (yoi_str){value.ptr + run, i - run});
    yoi_sdk_buf_addf(b, "\\u%04x", (unsigned)c);
    i += n - 1;
    run = i + 1;
  }
  yoi_sdk_json_escape(b, (yoi_str){value.ptr + run, value.len - run});
  yoi_sdk_buf_addc(b, '"');
}

/* One key and value; left out whole when the line has no room for it. */
static void add_clean(const struct yoi__log *log, struct yoi_sdk_buf *b, yoi_str key,
                      yoi_str value) {
  size_t before = b->len;
  if (value.len > VALUE_MAX) value.len = yoi_sdk_utf8_cut(value, VALUE_MAX);
  if (log->format == YOI__LOG_JSON) {
    yoi_sdk_buf_addf(b, "%s\"%.*s\":", before > 1 ? "," : "", YOI_ARG(key));
    add_quoted(b, value);
  } else {
    yoi_sdk_buf_addf(b, "%s%.*s=", before > 0 ? " " : "", YOI_ARG(key));
    if (plain(value)) {
      yoi_sdk_buf_adds(b, value);
    } else {
      add_quoted(b, value);
    }
  }
  if (b->failed != 0 || b->len > YOI_LOG_LINE_MAX - 2) { /* room for "}\n" */
    b->failed = 0;
    b->len = before;
  }
}

/* Scrubbed as it was given, before it is cut or escaped. */
static void add_field(const struct yoi__log *log, struct yoi_sdk_buf *b,
                      const struct yoi_sdk_scrub *secrets, yoi_str key, yoi_str value) {
  struct yoi_sdk_buf clean;
  yoi_sdk_buf_init(&clean, YOI_JSON_BYTES_MAX);
  int changed = yoi_sdk_scrub_text(secrets, value, YOI_SDK_SCRUB_CUT, &clean);
  if (!clean.failed) add_clean(log, b, key, changed ? yoi_sdk_buf_str(&clean) : value);
  yoi_sdk_buf_release(&clean);
}

static int key_valid(yoi_str key) {
  for (size_t i = 0; i < key.len; i++)
    if (!((key.ptr[i] >= 'a' && key.ptr[i] <= 'z') || key.ptr[i] == '_')) return 0;
  return key.len > 0 && key.len <= 32;
}

static const char *level_name(uint32_t level) {
  static const char *const names[] = {"debug", "debug", "info", "warn", "error"};
  return level < 5 ? names[level] : "error";
}

static void make_line(const struct yoi__log *log, struct yoi_sdk_buf *b, uint32_t level,
                      yoi_str plugin, yoi_str msg, yoi_str request_id, const yoi_log_field *fields,
                      size_t n) {
  char time[YOI_SDK_TIME_SIZE];
  struct yoi__scrub_set *set = log->scrub != NULL ? yoi__scrub_take(log->scrub) : NULL;
  const struct yoi_sdk_scrub *secrets = yoi__scrub_of(set);
  yoi_sdk_time_text(yoi__wall_ns(), time);
  if (log->format == YOI__LOG_JSON) yoi_sdk_buf_addc(b, '{');
  add_clean(log, b, YOI_LIT("time"), yoi_sdk_str(time));
  add_clean(log, b, YOI_LIT("level"), yoi_sdk_str(level_name(level)));
  add_field(log, b, secrets, YOI_LIT("msg"), msg);
  if (plugin.len > 0) add_field(log, b, secrets, YOI_LIT("plugin"), plugin);
  if (request_id.len > 0) add_field(log, b, secrets, YOI_LIT("request_id"), request_id);
  for (size_t i = 0; i < n && i < YOI__LOG_FIELDS_MAX; i++)
    if (key_valid(fields[i].key)) add_field(log, b, secrets, fields[i].key, fields[i].value);
  if (log->format == YOI__LOG_JSON) yoi_sdk_buf_addc(b, '}');
  yoi_sdk_buf_addc(b, '\n');
  yoi__scrub_give(set);
}

/* ---- the queue --------------------------------------------------------- */

static void ring_put(struct yoi__log *log, const char *p, size_t n) {
  size_t at = (log->head + log->len) % QUEUE_BYTES;
  size_t first = n < QUEUE_BYTES - at ? n : QUEUE_BYTES - at;
  memcpy(log->queue + at, p, first);
  memcpy(log->queue, p + first, n - first);
  log->len += n;
}

/* Copies the first line out, or what is left of it; it stays until ring_drop. */
static size_t ring_peek(const struct yoi__log *log, char *line) {
  for (size_t n = 0; n < log->len && n < YOI_LOG_LINE_MAX; n++) {
    line[n] = log->queue[(log->head + n) % QUEUE_BYTES];
    if (line[n] == '\n') return n + 1;
  }
  return 0;
}

static void ring_drop(struct yoi__log *log, size_t n) {
  log->head = (log->head + n) % QUEUE_BYTES;
  log->len -= n;
}

/* How many bytes are written, or lost for good; 0: the sink would block. */
static size_t sink(struct yoi__log *log, const char *line, size_t n, int wait_ms) {
  struct pollfd p = {.fd = log->fd, .events = POLLOUT};
  int ready = poll(&p, 1, wait_ms);
  if (ready == 0 || (ready < 0 && errno == EINTR)) return 0;
  sigset_t pipe, before;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &before);
  ssize_t wrote = write(log->fd, line, yoi_sdk_short(n));
  if (wrote < 0 && errno == EPIPE && !sigismember(&before, SIGPIPE)) {
    struct timespec now = {0};
    (void)sigtimedwait(&pipe, NULL, &now);
  }
  int again = wrote < 0 && (errno == EAGAIN || errno == EINTR);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (again) return 0;
  if (wrote > 0) return (size_t)wrote; /* a short one is followed by the rest */
  atomic_fetch_add_explicit(log->dropped, 1u, memory_order_relaxed);
  return n;
}

/* With the lock held; returns with it held. */
static void write_out(struct yoi__log *log, int wait_ms) {
  char line[YOI_LOG_LINE_MAX];
  if (log->writing) return;
  log->writing = 1;
  for (;;) {
    size_t n = ring_peek(log, line);
    if (n == 0) break;
    pthread_mutex_unlock(&log->lock);
    n = sink(log, line, n, wait_ms);
    pthread_mutex_lock(&log->lock);
    if (n == 0) break;
    ring_drop(log, n);
  }
  log->writing = 0;
}

static void put_line(struct yoi__log *log, const struct yoi_sdk_buf *b) {
  pthread_mutex_lock(&log->lock);
  if (b->failed != 0 || log->len + b->len > QUEUE_BYTES)
    atomic_fetch_add_explicit(log->dropped, 1u, memory_order_relaxed);
  else
    ring_put(log, b->data, b->len);
  write_out(log, 0);
  pthread_mutex_unlock(&log->lock);
}

static void write_line(struct yoi__log *log, uint32_t level, yoi_str plugin, yoi_str msg,
                       yoi_str request_id, const yoi_log_field *fields, size_t n) {
  struct yoi_sdk_buf b;
  yoi_sdk_buf_init(&b, YOI_LOG_LINE_MAX);
  make_line(log, &b, level, plugin, msg, request_id, fields, n);
  if (log->fn == NULL || b.failed != 0)
    put_line(log, &b);
  else
    log->fn(log->ctx, level < YOI_LOG_ERROR ? level : YOI_LOG_ERROR,
            (yoi_str){b.data, b.len - 1}); /* without its line feed */
  yoi_sdk_buf_release(&b);
}

void yoi__log_write(struct yoi__log *log, uint32_t level, yoi_str plugin, yoi_str msg,
                    yoi_str request_id, const yoi_log_field *fields, size_t n) {
  if (level < log->level) return;
  atomic_fetch_add(&log->inside, 1u);
  if (!atomic_load(&log->silent)) write_line(log, level, plugin, msg, request_id, fields, n);
  if (atomic_fetch_sub(&log->inside, 1u) != 1 || !atomic_load(&log->silent)) return;
  pthread_mutex_lock(&log->lock);
  pthread_cond_broadcast(&log->left);
  pthread_mutex_unlock(&log->lock);
}

void yoi__log_silence(struct yoi__log *log) {
  atomic_store(&log->silent, 1u);
  pthread_mutex_lock(&log->lock);
  while (atomic_load(&log->inside) != 0) pthread_cond_wait(&log->left, &log->lock);
  pthread_mutex_unlock(&log->lock);
}

void yoi__log_host(struct yoi__log *log, uint32_t level, const char *msg,
                   const yoi_log_field *fields, size_t n) {
  yoi__log_write(log, level, (yoi_str){0}, yoi_sdk_str(msg), (yoi_str){0}, fields, n);
}

void yoi__log_failure(struct yoi__log *log, uint32_t level, const char *msg, yoi_str subject,
                      yoi_str request_id, const yoi_error *err) {
  if (!yoi__log_enabled(log, level)) return;
  yoi_log_field fields[4];
  size_t n = 0;
  if (subject.len > 0) fields[n++] = (yoi_log_field){YOI_LIT("subject"), subject};
  const char *code = err == NULL ? NULL : yoi_sdk_code_name(err->code);
  if (code != NULL) fields[n++] = (yoi_log_field){YOI_LIT("code"), yoi_sdk_str(code)};
  if (err != NULL && err->message_cap > 0)
    fields[n++] = (yoi_log_field){YOI_LIT("error"), yoi_sdk_str(err->message)};
  if (err != NULL && err->private_cap > 0 && err->private_detail[0] != '\0' &&
      yoi__log_enabled(log, YOI_LOG_DEBUG))
    fields[n++] = (yoi_log_field){YOI_LIT("private"), yoi_sdk_str(err->private_detail)};
  yoi__log_write(log, level, (yoi_str){0}, yoi_sdk_str(msg), request_id, fields, n);
}

void yoi__log_free(struct yoi__log *log) {
  if (log == NULL) return;
  uint64_t until = yoi__now_ns() + FLUSH_MS * YOI__MS;
  pthread_mutex_lock(&log->lock);
  while (log->len > 0 && yoi__now_ns() < until) write_out(log, FLUSH_MS / 10);
  pthread_mutex_unlock(&log->lock);
  pthread_cond_destroy(&log->left);
  pthread_mutex_destroy(&log->lock);
  yoi_sdk_free(log->queue);
  yoi_sdk_free(log);
}
