/* host/metrics.c - a table of counters that only grows.
 *
 * Invariants
 *  1. A counter, once made, never moves and never goes away before the table;
 *     its name, help, label and value are constant. Readers need no lock.
 *  2. `lock` serialises making; it is held for a search and an allocation.
 *  3. One name has one help and one label, so that the text is well-formed
 *     whatever plugins ask for.
 */
#include "metrics.h"

#include <pthread.h>
#include <sdk/mem.h>
#include <stdlib.h>
#include <string.h>
#include <yoi/limits.h>

#define HELP_MAX 256

struct counter {
  yoi_str name, help, label, value;
  _Atomic uint64_t n;
};

struct yoi__metrics {
  pthread_mutex_t lock;
  _Atomic uint32_t count;
  struct counter *counters[YOI_METRICS_MAX];
};

struct yoi__metrics *yoi__metrics_new(void) {
  struct yoi__metrics *m = yoi_sdk_calloc(1, sizeof *m);
  if (m != NULL) pthread_mutex_init(&m->lock, NULL);
  return m;
}

static void counter_free(struct counter *c) {
  if (c == NULL) return;
  yoi_sdk_str_free(&c->name);
  yoi_sdk_str_free(&c->help);
  yoi_sdk_str_free(&c->label);
  yoi_sdk_str_free(&c->value);
  yoi_sdk_free(c);
}

void yoi__metrics_free(struct yoi__metrics *m) {
  if (m == NULL) return;
  for (uint32_t i = 0; i < atomic_load(&m->count); i++) counter_free(m->counters[i]);
  pthread_mutex_destroy(&m->lock);
  yoi_sdk_free(m);
}

static int all_of(yoi_str s, int digits) {
  for (size_t i = 0; i < s.len; i++) {
    char c = s.ptr[i];
    if (!((c >= 'a' && c <= 'z') || c == '_' || (digits && c >= '0' && c <= '9'))) return 0;
  }
  return 1;
}

static int name_valid(yoi_str name) {
  static const size_t head = sizeof "yoi_" - 1, tail = sizeof "_total" - 1;
  return name.len > head + tail && name.len <= 128 && yoi_sdk_str_starts(name, YOI_LIT("yoi_")) &&
         memcmp(name.ptr + name.len - tail, "_total", tail) == 0 && all_of(name, 1);
}

static int value_valid(yoi_str label, yoi_str value) {
  return (label.len == 0) == (value.len == 0) && label.len <= YOI_NAME_MAX &&
         value.len <= YOI_NAME_MAX && all_of(label, 0) && yoi_sdk_utf8_valid(value);
}

static struct counter *counter_new(yoi_str name, yoi_str help, yoi_str label, yoi_str value) {
  struct counter *c = yoi_sdk_calloc(1, sizeof *c);
  if (c == NULL) return NULL;
  c->name = yoi_sdk_str_dup(name);
  c->help = yoi_sdk_str_dup(help);
  c->label = yoi_sdk_str_dup(label);
  c->value = yoi_sdk_str_dup(value);
  if (c->name.ptr != NULL && c->help.ptr != NULL && c->label.ptr != NULL && c->value.ptr != NULL)
    return c;
  counter_free(c);
  return NULL;
}

yoi_status yoi__metrics_counter(struct yoi__metrics *m, yoi_str name, yoi_str help, yoi_str label,
                                yoi_str value, uint32_t *out_id) {
  *out_id = 0;
  if (!name_valid(name) || !value_valid(label, value) || help.len == 0 || help.len > HELP_MAX ||
      !yoi_sdk_utf8_valid(help))
    return YOI_INVALID_ARGUMENT;
  yoi_status st = YOI_OK;
  pthread_mutex_lock(&m->lock);
  uint32_t n = atomic_load(&m->count);
  for (uint32_t i = 0; i < n && st == YOI_OK && *out_id == 0; i++) {
    const struct counter *c = m->counters[i];
    if (!yoi_sdk_str_eq(c->name, name)) continue;
    if (!yoi_sdk_str_eq(c->help, help) || !yoi_sdk_str_eq(c->label, label))
      st = YOI_INVALID_ARGUMENT;
    else if (yoi_sdk_str_eq(c->value, value))
      *out_id = i + 1;
  }
  if (st == YOI_OK && *out_id == 0) {
    struct counter *c = n < YOI_METRICS_MAX ? counter_new(name, help, label, value) : NULL;
    if (c == NULL) {
      st = YOI_RESOURCE_EXHAUSTED;
    } else {
      m->counters[n] = c;
      atomic_store_explicit(&m->count, n + 1, memory_order_release);
      *out_id = n + 1;
    }
  }
  pthread_mutex_unlock(&m->lock);
  return st;
}

_Atomic uint64_t *yoi__metrics_cell(struct yoi__metrics *m, uint32_t id) {
  if (id == 0 || id > atomic_load_explicit(&m->count, memory_order_acquire)) return NULL;
  return &m->counters[id - 1]->n;
}

void yoi__metrics_add(struct yoi__metrics *m, uint32_t id, uint64_t n) {
  _Atomic uint64_t *cell = yoi__metrics_cell(m, id);
  if (cell != NULL) atomic_fetch_add_explicit(cell, n, memory_order_relaxed);
}

static int by_name(const void *a, const void *b) {
  const struct counter *x = *(struct counter *const *)a, *y = *(struct counter *const *)b;
  int order = yoi_sdk_str_cmp(x->name, y->name);
  return order != 0 ? order : yoi_sdk_str_cmp(x->value, y->value);
}

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

void yoi__metrics_text(struct yoi__metrics *m, struct yoi_sdk_buf *out) {
  uint32_t n = atomic_load_explicit(&m->count, memory_order_acquire);
  struct counter *sorted[YOI_METRICS_MAX];
  memcpy(sorted, m->counters, n * sizeof *sorted);
  qsort(sorted, n, sizeof *sorted, by_name);
  for (uint32_t i = 0; i < n; i++) {
    const struct counter *c = sorted[i];
    if (i == 0 || !yoi_sdk_str_eq(sorted[i - 1]->name, c->name)) {
      yoi_sdk_buf_addf(out, "# HELP %.*s ", YOI_ARG(c->name));
      add_escaped(out, c->help, 0);
      yoi_sdk_buf_addf(out, "\n# TYPE %.*s counter\n", YOI_ARG(c->name));
    }
    yoi_sdk_buf_adds(out, c->name);
    if (c->label.len > 0) {
      yoi_sdk_buf_addf(out, "{%.*s=\"", YOI_ARG(c->label));
      add_escaped(out, c->value, 1);
      yoi_sdk_buf_adds(out, YOI_LIT("\"}"));
    }
    yoi_sdk_buf_addf(out, " %llu\n",
                     (unsigned long long)atomic_load_explicit(&c->n, memory_order_relaxed));
  }
}
