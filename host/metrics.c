/* host/metrics.c - a table of metrics that only grows.
 *
 * Loops move the same metrics thousands of times a second, and one cell that
 * two cores write is slower than all else about it. So every cell stands in
 * each of a few stripes; a thread adds to the stripe that is its own (shared
 * only when there are more threads than stripes) and a reader sums them up.
 *
 *            cell 0   1   2 ... YOI_METRICS_MAX - 1
 *   stripe 0   .      .   .
 *   stripe 1   .      .   .      value of a metric: the sum of its column
 *   ...
 *
 * A counter or gauge takes one cell, a histogram one per bucket and one for
 * its sum in nanoseconds.
 *
 * Invariants
 *  1. A metric, once made, never moves and never goes away before the table;
 *     its name, help, labels and cells are constant. Readers need no lock.
 *  2. `lock` serialises making; it is held for a search and an allocation.
 *  3. One name has one type, one help and the same label names, so that the
 *     text is well-formed whatever plugins ask for.
 *  4. A histogram's count is the sum of its buckets as the same text shows
 *     them, so they agree even while it is moved.
 *  5. A name that the host has made is not given to a plugin in a process of its
 *     own: what the host says of itself it says alone. Its parts open first.
 */
#include "metrics.h"

#include <pthread.h>
#include <sdk/mem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELP_MAX 256
#define NAME_MAX_BYTES 128
#define LABELS_BYTES_MAX (YOI_METRIC_LABELS_MAX * (3 * YOI_NAME_MAX + 8))
#define STRIPES 16u
#define FIRST_BUCKET_NS 50000u /* what is faster needs no telling apart */
#define BOUNDS 25u             /* ... and doubled 24 times: 839 s */
#define BUCKETS (BOUNDS + 1u)  /* and +Inf */
#define HISTOGRAM_CELLS (BUCKETS + 1u)
#define HISTOGRAM_LINES (BUCKETS + 2u) /* and _sum, _count */

struct metric {
  uint32_t type, cell; /* cell: its first */
  int of_host;
  yoi_str name, help;
  yoi_str keys;   /* label names: a,b */
  yoi_str labels; /* as shown: a="x",b="y" */
};

struct yoi__metrics {
  pthread_mutex_t lock;
  uint32_t lines, cells; /* under lock: taken */
  _Atomic uint32_t count;
  uint32_t place[YOI_METRICS_MAX]; /* cell << 2 | type, for who moves */
  struct metric *metrics[YOI_METRICS_MAX];
  _Atomic uint64_t stripes[STRIPES][YOI_METRICS_MAX];
};

/* process-wide: threads are numbered as they come to move a first metric. */
static _Atomic uint32_t next_thread;
/* process-wide, per thread: its stripe and 1. */
static _Thread_local uint32_t own_stripe;

struct yoi__metrics *yoi__metrics_new(void) {
  struct yoi__metrics *m = yoi_sdk_calloc(1, sizeof *m);
  if (m != NULL) pthread_mutex_init(&m->lock, NULL);
  return m;
}

static void metric_free(struct metric *c) {
  if (c == NULL) return;
  yoi_sdk_str_free(&c->name);
  yoi_sdk_str_free(&c->help);
  yoi_sdk_str_free(&c->keys);
  yoi_sdk_str_free(&c->labels);
  yoi_sdk_free(c);
}

void yoi__metrics_free(struct yoi__metrics *m) {
  if (m == NULL) return;
  for (uint32_t i = 0; i < atomic_load(&m->count); i++) metric_free(m->metrics[i]);
  pthread_mutex_destroy(&m->lock);
  yoi_sdk_free(m);
}

/* ---- what is well-formed ------------------------------------------------ */

static int all_of(yoi_str s, int digits) {
  for (size_t i = 0; i < s.len; i++) {
    char c = s.ptr[i];
    if (!((c >= 'a' && c <= 'z') || c == '_' || (digits && c >= '0' && c <= '9'))) return 0;
  }
  return 1;
}

static int ends_in(yoi_str name, const char *tail) {
  size_t n = strlen(tail);
  return name.len > n && memcmp(name.ptr + name.len - n, tail, n) == 0;
}

static int name_valid(uint32_t type, yoi_str name) {
  static const char *const tails[] = {"_total", "_bucket", "_sum", "_count"};
  static const size_t head = sizeof "yoi_" - 1;
  if (name.len <= head || name.len > NAME_MAX_BYTES || !all_of(name, 1) ||
      !yoi_sdk_str_starts(name, YOI_LIT("yoi_")))
    return 0;
  yoi_str rest = {name.ptr + head, name.len - head};
  if (type == YOI_METRIC_COUNTER) return ends_in(rest, "_total");
  if (type == YOI_METRIC_HISTOGRAM) return ends_in(rest, "_seconds");
  for (size_t i = 0; i < sizeof tails / sizeof *tails; i++)
    if (ends_in(name, tails[i])) return 0;
  return type == YOI_METRIC_GAUGE;
}

static int labels_valid(const yoi_metric *metric) {
  if (metric->n_labels > YOI_METRIC_LABELS_MAX) return 0;
  for (size_t i = 0; i < metric->n_labels; i++) {
    yoi_str name = metric->labels[i].name, value = metric->labels[i].value;
    if (name.len == 0 || name.len > YOI_NAME_MAX || !all_of(name, 0) ||
        yoi_sdk_str_is(name, "le") || yoi_sdk_str_starts(name, YOI_LIT("__")) || value.len == 0 ||
        value.len > YOI_NAME_MAX || !yoi_sdk_utf8_valid(value))
      return 0;
    for (size_t j = 0; j < i; j++)
      if (yoi_sdk_str_eq(metric->labels[j].name, name)) return 0;
  }
  return 1;
}

/* ---- making -------------------------------------------------------------- */

/* Backslash and line feed, and in label values the quote. */
static void add_escaped(struct yoi_sdk_buf *out, yoi_str s, int quote) {
  for (size_t i = 0; i < s.len; i++) {
    if (s.ptr[i] == '\n') {
      yoi_sdk_buf_adds(out, YOI_LIT("\\n"));
      continue;
    }
    if (s.ptr[i] == '\\' || (quote && s.ptr[i] == '"')) yoi_sdk_buf_addc(out, '\\');
    yoi_sdk_buf_addc(out, s.ptr[i]);
  }
}

static void write_labels(const yoi_metric *metric, struct yoi_sdk_buf *keys,
                         struct yoi_sdk_buf *labels) {
  for (size_t i = 0; i < metric->n_labels; i++) {
    const yoi_metric_label *l = &metric->labels[i];
    yoi_sdk_buf_addf(keys, "%s%.*s", i > 0 ? "," : "", YOI_ARG(l->name));
    yoi_sdk_buf_addf(labels, "%s%.*s=\"", i > 0 ? "," : "", YOI_ARG(l->name));
    add_escaped(labels, l->value, 1);
    yoi_sdk_buf_addc(labels, '"');
  }
}

/* The metric that is asked for; without its cells, and not in the table. */
static struct metric *metric_new(const yoi_metric *asked) {
  struct yoi_sdk_buf keys, labels;
  struct metric *c = yoi_sdk_calloc(1, sizeof *c);
  if (c == NULL) return NULL;
  yoi_sdk_buf_init(&keys, LABELS_BYTES_MAX);
  yoi_sdk_buf_init(&labels, LABELS_BYTES_MAX);
  write_labels(asked, &keys, &labels);
  c->type = asked->type;
  c->name = yoi_sdk_str_dup(asked->name);
  c->help = yoi_sdk_str_dup(asked->help);
  if (keys.failed == 0 && labels.failed == 0) {
    c->keys = yoi_sdk_str_dup(yoi_sdk_buf_str(&keys));
    c->labels = yoi_sdk_str_dup(yoi_sdk_buf_str(&labels));
  }
  yoi_sdk_buf_release(&keys);
  yoi_sdk_buf_release(&labels);
  if (c->name.ptr != NULL && c->help.ptr != NULL && c->keys.ptr != NULL && c->labels.ptr != NULL)
    return c;
  metric_free(c);
  return NULL;
}

/* Locked. The id of what is there under that name and labels; 0: none. apart: it
 * may not be the host's. */
static yoi_status find(const struct yoi__metrics *m, const struct metric *c, int apart,
                       uint32_t *out_id) {
  uint32_t n = atomic_load(&m->count);
  for (uint32_t i = 0; i < n; i++) {
    const struct metric *o = m->metrics[i];
    if (!yoi_sdk_str_eq(o->name, c->name)) continue;
    if (o->type != c->type || !yoi_sdk_str_eq(o->help, c->help) ||
        !yoi_sdk_str_eq(o->keys, c->keys) || (apart && o->of_host))
      return YOI_INVALID_ARGUMENT;
    if (!yoi_sdk_str_eq(o->labels, c->labels)) continue;
    *out_id = i + 1;
    return YOI_OK;
  }
  return YOI_OK;
}

/* Locked. */
static yoi_status enter(struct yoi__metrics *m, struct metric *c, uint32_t *out_id) {
  int wide = c->type == YOI_METRIC_HISTOGRAM;
  uint32_t lines = wide ? HISTOGRAM_LINES : 1u, n = atomic_load(&m->count);
  if (lines > YOI_METRICS_MAX - m->lines) return YOI_RESOURCE_EXHAUSTED;
  c->cell = m->cells;
  m->cells += wide ? HISTOGRAM_CELLS : 1u;
  m->lines += lines;
  m->metrics[n] = c;
  m->place[n] = c->cell << 2 | c->type;
  atomic_store_explicit(&m->count, n + 1, memory_order_release);
  *out_id = n + 1;
  return YOI_OK;
}

int yoi__metrics_owns(const struct yoi__metrics_own *own, uint32_t id) {
  for (uint32_t i = 0; i < own->n; i++)
    if (own->ids[i] == id) return 1;
  return 0;
}

static yoi_status make(struct yoi__metrics *m, const yoi_metric *metric, int of_host,
                       struct yoi__metrics_own *own, uint32_t *out_id) {
  *out_id = 0;
  if (!name_valid(metric->type, metric->name) || !labels_valid(metric) || metric->help.len == 0 ||
      metric->help.len > HELP_MAX || !yoi_sdk_utf8_valid(metric->help))
    return YOI_INVALID_ARGUMENT;
  struct metric *c = metric_new(metric);
  if (c == NULL) return YOI_RESOURCE_EXHAUSTED;
  c->of_host = of_host;
  uint32_t id = 0;
  pthread_mutex_lock(&m->lock);
  yoi_status st = find(m, c, own != NULL, &id);
  int fresh = st == YOI_OK && id == 0;
  int more = st == YOI_OK && own != NULL && !yoi__metrics_owns(own, id);
  if (more && own->n == YOI_ISOLATED_METRICS_MAX) st = YOI_RESOURCE_EXHAUSTED;
  if (fresh && st == YOI_OK) st = enter(m, c, &id);
  pthread_mutex_unlock(&m->lock);
  if (!fresh || st != YOI_OK) metric_free(c);
  if (st != YOI_OK) return st;
  if (more) own->ids[own->n++] = id;
  *out_id = id;
  return YOI_OK;
}

yoi_status yoi__metrics_make(struct yoi__metrics *m, const yoi_metric *metric, uint32_t *out_id) {
  return make(m, metric, 1, NULL, out_id);
}

yoi_status yoi__metrics_make_shared(struct yoi__metrics *m, const yoi_metric *metric,
                                    struct yoi__metrics_own *own, uint32_t *out_id) {
  return make(m, metric, 0, own, out_id);
}

yoi_status yoi__metrics_make_one(struct yoi__metrics *m, uint32_t type, yoi_str name, yoi_str help,
                                 yoi_str label, yoi_str value, uint32_t *out_id) {
  return yoi__metrics_make(m, YOI__METRIC_ONE(type, name, help, label, value), out_id);
}

/* ---- moving -------------------------------------------------------------- */

static uint32_t stripe(void) {
  if (own_stripe == 0)
    own_stripe = atomic_fetch_add_explicit(&next_thread, 1u, memory_order_relaxed) % STRIPES + 1u;
  return own_stripe - 1u;
}

/* 1 and its first cell: the id is of one of these types, as bits. */
static int place_of(const struct yoi__metrics *m, uint32_t id, uint32_t types, uint32_t *out_cell) {
  if (id == 0 || id > atomic_load_explicit(&m->count, memory_order_acquire)) return 0;
  *out_cell = m->place[id - 1] >> 2;
  return (types >> (m->place[id - 1] & 3u) & 1u) != 0;
}

#define COUNTS (1u << YOI_METRIC_COUNTER)
#define GAUGES (1u << YOI_METRIC_GAUGE)
#define HISTOGRAMS (1u << YOI_METRIC_HISTOGRAM)

static void bump(struct yoi__metrics *m, uint32_t cell, uint64_t n) {
  atomic_fetch_add_explicit(&m->stripes[stripe()][cell], n, memory_order_relaxed);
}

void yoi__metrics_add(struct yoi__metrics *m, uint32_t id, uint64_t n) {
  uint32_t cell;
  if (place_of(m, id, COUNTS | GAUGES, &cell)) bump(m, cell, n);
}

void yoi__metrics_sub(struct yoi__metrics *m, uint32_t id, uint64_t n) {
  uint32_t cell;
  if (place_of(m, id, GAUGES, &cell)) bump(m, cell, 0u - n);
}

void yoi__metrics_set(struct yoi__metrics *m, uint32_t id, uint64_t n) {
  uint32_t cell;
  if (place_of(m, id, GAUGES, &cell))
    atomic_store_explicit(&m->stripes[0][cell], n, memory_order_relaxed);
}

/* The first bucket whose bound is not below: bounds double. */
static uint32_t bucket_of(uint64_t ns) {
  if (ns <= FIRST_BUCKET_NS) return 0;
  uint32_t bits = 64u - (uint32_t)__builtin_clzll((ns - 1u) / FIRST_BUCKET_NS);
  return bits < BOUNDS ? bits : BOUNDS;
}

void yoi__metrics_observe(struct yoi__metrics *m, uint32_t id, uint64_t ns) {
  uint32_t cell;
  if (!place_of(m, id, HISTOGRAMS, &cell)) return;
  bump(m, cell + bucket_of(ns), 1);
  bump(m, cell + BUCKETS, ns);
}

_Atomic uint64_t *yoi__metrics_cell(struct yoi__metrics *m, uint32_t id) {
  uint32_t cell;
  return place_of(m, id, COUNTS | GAUGES, &cell) ? &m->stripes[0][cell] : NULL;
}

/* ---- reading ------------------------------------------------------------- */

static uint64_t sum(const struct yoi__metrics *m, uint32_t cell) {
  uint64_t n = 0;
  for (uint32_t i = 0; i < STRIPES; i++)
    n += atomic_load_explicit(&m->stripes[i][cell], memory_order_relaxed);
  return n;
}

/* Between two stripes a gauge's sub may be seen and the add before it not. */
static uint64_t gauge(const struct yoi__metrics *m, uint32_t cell) {
  uint64_t n = sum(m, cell);
  return n > INT64_MAX ? 0 : n;
}

uint64_t yoi__metrics_value(const struct yoi__metrics *m, uint32_t id) {
  uint32_t cell;
  uint64_t n = 0;
  if (place_of(m, id, COUNTS, &cell)) return sum(m, cell);
  if (place_of(m, id, GAUGES, &cell)) return gauge(m, cell);
  if (place_of(m, id, HISTOGRAMS, &cell))
    for (uint32_t i = 0; i < BUCKETS; i++) n += sum(m, cell + i);
  return n;
}

static int by_name(const void *a, const void *b) {
  const struct metric *x = *(struct metric *const *)a, *y = *(struct metric *const *)b;
  int order = yoi_sdk_str_cmp(x->name, y->name);
  return order != 0 ? order : yoi_sdk_str_cmp(x->labels, y->labels);
}

static void add_seconds(struct yoi_sdk_buf *out, uint64_t ns) {
  char text[40];
  int n = snprintf(text, sizeof text, "%llu.%09llu", (unsigned long long)(ns / 1000000000u),
                   (unsigned long long)(ns % 1000000000u));
  while (text[n - 1] == '0') n--;
  if (text[n - 1] == '.') n--;
  yoi_sdk_buf_add(out, text, (size_t)n);
}

/* Up to the value: NAME TAIL {labels, le="..."}; le_ns 0: no such label. */
static void begin_line(struct yoi_sdk_buf *out, const struct metric *c, const char *tail,
                       uint64_t le_ns) {
  yoi_sdk_buf_addf(out, "%.*s%s", YOI_ARG(c->name), tail);
  if (c->labels.len > 0 || le_ns > 0) yoi_sdk_buf_addc(out, '{');
  yoi_sdk_buf_adds(out, c->labels);
  if (le_ns > 0) {
    yoi_sdk_buf_adds(out, c->labels.len > 0 ? YOI_LIT(",le=\"") : YOI_LIT("le=\""));
    if (le_ns == UINT64_MAX)
      yoi_sdk_buf_adds(out, YOI_LIT("+Inf"));
    else
      add_seconds(out, le_ns);
    yoi_sdk_buf_addc(out, '"');
  }
  if (c->labels.len > 0 || le_ns > 0) yoi_sdk_buf_addc(out, '}');
  yoi_sdk_buf_addc(out, ' ');
}

static void add_histogram(const struct yoi__metrics *m, const struct metric *c,
                          struct yoi_sdk_buf *out) {
  uint64_t n = 0;
  for (uint32_t i = 0; i < BUCKETS; i++) {
    n += sum(m, c->cell + i);
    begin_line(out, c, "_bucket", i < BOUNDS ? (uint64_t)FIRST_BUCKET_NS << i : UINT64_MAX);
    yoi_sdk_buf_addf(out, "%llu\n", (unsigned long long)n);
  }
  begin_line(out, c, "_sum", 0);
  add_seconds(out, sum(m, c->cell + BUCKETS));
  yoi_sdk_buf_addc(out, '\n');
  begin_line(out, c, "_count", 0);
  yoi_sdk_buf_addf(out, "%llu\n", (unsigned long long)n);
}

void yoi__metrics_text(const struct yoi__metrics *m, struct yoi_sdk_buf *out) {
  static const char *const types[] = {[YOI_METRIC_COUNTER] = "counter",
                                      [YOI_METRIC_GAUGE] = "gauge",
                                      [YOI_METRIC_HISTOGRAM] = "histogram"};
  uint32_t n = atomic_load_explicit(&m->count, memory_order_acquire);
  struct metric *sorted[YOI_METRICS_MAX];
  memcpy(sorted, m->metrics, n * sizeof *sorted);
  qsort(sorted, n, sizeof *sorted, by_name);
  for (uint32_t i = 0; i < n; i++) {
    const struct metric *c = sorted[i];
    if (i == 0 || !yoi_sdk_str_eq(sorted[i - 1]->name, c->name)) {
      yoi_sdk_buf_addf(out, "# HELP %.*s ", YOI_ARG(c->name));
      add_escaped(out, c->help, 0);
      yoi_sdk_buf_addf(out, "\n# TYPE %.*s %s\n", YOI_ARG(c->name), types[c->type]);
    }
    if (c->type == YOI_METRIC_HISTOGRAM) {
      add_histogram(m, c, out);
      continue;
    }
    begin_line(out, c, "", 0);
    yoi_sdk_buf_addf(
        out, "%llu\n",
        (unsigned long long)(c->type == YOI_METRIC_GAUGE ? gauge(m, c->cell) : sum(m, c->cell)));
  }
}
