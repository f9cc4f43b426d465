/* host/findings.c - a list of findings, in the order of the text.
 *
 * Checks run in the order in which they depend on each other; a person reads
 * a file from top to bottom. So findings are gathered with their positions
 * and sorted once. Invariants:
 *  1. A position is that of the value, of the key for findings about a name,
 *     and of the nearest parent for what is missing.
 *  2. The number is bounded; what is beyond is counted and said.
 *  3. The message is fit for anybody; paths stand in the detail, which a
 *     report (for whoever owns the config) shows and err keeps private.
 */
#include "findings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/error.h>
#include <sdk/mem.h>

#define REPORT_BYTES_MAX 16384 /* message and detail of one finding */

void yoi__findings_init(struct yoi__findings *f, yoi_str text) {
  memset(f, 0, sizeof *f);
  f->text = text;
}

void yoi__findings_release(struct yoi__findings *f) {
  for (size_t i = 0; i < f->n; i++) {
    yoi_sdk_free(f->all[i].pointer);
    yoi_sdk_free(f->all[i].message);
    yoi_sdk_free(f->all[i].detail);
  }
  yoi_sdk_free(f->all);
  memset(f, 0, sizeof *f);
}

void yoi__findings_add_at(struct yoi__findings *f, uint32_t line, uint32_t column,
                          const char *pointer, const char *message) {
  struct yoi__finding *all, *e;
  if (f->n == YOI_CONFIG_FINDINGS_MAX) {
    f->dropped++;
    return;
  }
  all = yoi_sdk_reallocarray(f->all, f->n + 1, sizeof *all);
  if (all == NULL) {
    f->failed = 1;
    return;
  }
  f->all = all;
  e = &all[f->n];
  memset(e, 0, sizeof *e);
  e->line = line;
  e->column = column;
  e->order = f->n;
  e->pointer = yoi_sdk_strndup(pointer, strlen(pointer));
  e->message = yoi_sdk_strndup(message, strlen(message));
  f->n++;
  if (e->pointer == NULL || e->message == NULL) f->failed = 1;
}

void yoi__findings_add(struct yoi__findings *f, const char *pointer, int is_key, const char *fmt,
                       ...) {
  char message[YOI_ERROR_MESSAGE_MAX];
  yoi_str at = yoi_sdk_str(pointer);
  uint32_t line = 1, column = 1;
  va_list ap;
  if (f->n == YOI_CONFIG_FINDINGS_MAX) { /* looking up its place walks the whole text */
    f->dropped++;
    return;
  }
  va_start(ap, fmt);
  vsnprintf(message, sizeof message, fmt, ap);
  va_end(ap);
  while (!yoi_sdk_json_locate(f->text, YOI_SDK_JSON_COMMENTS, at, is_key, &line, &column) &&
         at.len > 0) {
    is_key = 0;
    while (at.len > 0 && at.ptr[--at.len] != '/') continue;
  }
  yoi__findings_add_at(f, line, column, pointer, message);
}

void yoi__findings_detail(struct yoi__findings *f, yoi_str detail) {
  struct yoi__finding *e = f->n > 0 ? &f->all[f->n - 1] : NULL;
  if (e == NULL || f->dropped > 0 || e->detail != NULL) return;
  e->detail = yoi_sdk_strndup(detail.ptr, detail.len);
  if (e->detail == NULL) f->failed = 1;
}

static int by_position(const void *a, const void *b) {
  const struct yoi__finding *x = a, *y = b;
  if (x->line != y->line) return x->line < y->line ? -1 : 1;
  if (x->column != y->column) return x->column < y->column ? -1 : 1;
  return x->order < y->order ? -1 : x->order > y->order;
}

static void report_one(const struct yoi__finding *e, yoi_report_fn report, void *ctx) {
  struct yoi_sdk_buf text;
  yoi_sdk_buf_init(&text, REPORT_BYTES_MAX);
  yoi_sdk_buf_adds(&text, yoi_sdk_str(e->message));
  if (e->detail != NULL) yoi_sdk_buf_adds(&text, yoi_sdk_str(e->detail));
  report(ctx, e->line, e->column, e->pointer, text.data != NULL ? text.data : e->message);
  yoi_sdk_buf_release(&text);
}

yoi_status yoi__findings_end(struct yoi__findings *f, yoi_report_fn report, void *ctx,
                             yoi_error *err) {
  const struct yoi__finding *first = f->all;
  if (f->failed != 0) return yoi_sdk_fail_memory(err);
  if (f->n == 0) return YOI_OK;
  qsort(f->all, f->n, sizeof *f->all, by_position);
  for (size_t i = 0; report != NULL && i < f->n; i++) report_one(&f->all[i], report, ctx);
  if (report != NULL && f->dropped > 0) {
    char more[64];
    const struct yoi__finding *last = &f->all[f->n - 1];
    snprintf(more, sizeof more, "and %zu more findings", f->dropped);
    report(ctx, last->line, last->column, "", more);
  }
  yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "config line %u column %u: %s", (unsigned)first->line,
               (unsigned)first->column, first->message);
  if (first->detail != NULL) yoi_sdk_fail_private(err, "%s", first->detail);
  return YOI_INVALID_ARGUMENT;
}
