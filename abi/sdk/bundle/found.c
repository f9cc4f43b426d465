/* found.c - findings: where they are, what they say, in which order.
 *
 *  1. Of each code the first YOI_BUNDLE_FINDINGS_MAX are kept, so that many of a
 *     light kind never hide one of a grave kind.
 *  2. A key that has a credential in it ends a pointer: the object around it is
 *     then what is pointed at.
 *  3. Order and line come from the text at the end, once, for what is kept.
 */
#include "reader.h"

#include <sdk/mem.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POINTER_BYTES_MAX 1024 /* with a message within the details of an error */
#define DEPTH_MAX (YOI_JSON_DEPTH_MAX + 1)

void yoi_sdk__bundle_enter(struct bundle_reader *r, struct bundle_place *p, yoi_str key,
                           size_t index) {
  *p = (struct bundle_place){r->at, key, index};
  r->at = p;
}

void yoi_sdk__bundle_leave(struct bundle_reader *r) {
  r->at = r->at->up;
}

void *yoi_sdk__bundle_keep(struct bundle_reader *r, size_t n, size_t size) {
  size_t bytes;
  struct bundle_block *b = NULL;
  if (!__builtin_mul_overflow(n, size, &bytes) && !__builtin_add_overflow(bytes, sizeof *b, &bytes))
    b = yoi_sdk_calloc(1, bytes);
  if (b == NULL) {
    r->short_of_memory = 1;
    return NULL;
  }
  b->next = r->blocks;
  r->blocks = b;
  return b + 1;
}

static void token(struct yoi_sdk_buf *out, const struct bundle_place *p) {
  if (p->index == BUNDLE_POINTER) {
    yoi_sdk_buf_adds(out, p->key);
    return;
  }
  yoi_sdk_buf_addc(out, '/');
  if (p->key.ptr == NULL) {
    yoi_sdk_buf_addf(out, "%zu", p->index);
    return;
  }
  for (size_t i = 0; i < p->key.len; i++) {
    char c = p->key.ptr[i];
    if (c == '~' || c == '/') yoi_sdk_buf_adds(out, c == '~' ? YOI_LIT("~0") : YOI_LIT("~1"));
    else yoi_sdk_buf_addc(out, c);
  }
}

/* The pointer of this place; *out_cut: of one above it. */
static char *pointer(const struct bundle_reader *r, int *out_cut) {
  const struct bundle_place *chain[DEPTH_MAX];
  size_t n = 0;
  struct yoi_sdk_buf out;
  for (const struct bundle_place *p = r->at; p != NULL && n < DEPTH_MAX; p = p->up) chain[n++] = p;
  yoi_sdk_buf_init(&out, POINTER_BYTES_MAX);
  *out_cut = 0;
  while (n > 0 && !*out_cut) {
    const struct bundle_place *p = chain[--n];
    size_t whole = out.len;
    if (p->key.ptr != NULL && yoi_sdk__bundle_credential(&r->forms, p->key) != NULL) {
      *out_cut = 1;
      break;
    }
    token(&out, p);
    if (out.failed != YOI_OUT_OF_RANGE) continue;
    out.failed = 0; /* too long: the part that is whole */
    out.len = whole;
    if (out.data != NULL) out.data[whole] = '\0';
    *out_cut = 1;
  }
  char *text = yoi_sdk_buf_take(&out, NULL);
  yoi_sdk_buf_release(&out);
  return text;
}

static size_t kind(uint32_t code) {
  return code == YOI_CODE_BUNDLE_FORBIDDEN_CONTENT ? 0 : code == YOI_CODE_BUNDLE_INVALID ? 1 : 2;
}

int yoi_sdk__bundle_full(const struct bundle_reader *r, uint32_t code) {
  return r->n_of[kind(code)] == YOI_BUNDLE_FINDINGS_MAX;
}

void yoi_sdk__bundle_say(struct bundle_reader *r, int in_key, uint32_t code, const char *rule,
                         const char *fmt, ...) {
  char message[YOI_ERROR_MESSAGE_MAX];
  va_list ap;
  int cut;
  if (r->short_of_memory || yoi_sdk__bundle_full(r, code)) return;
  if (r->found == NULL)
    r->found = yoi_sdk_calloc(3 * (size_t)YOI_BUNDLE_FINDINGS_MAX, sizeof *r->found);
  if (r->found == NULL) {
    r->short_of_memory = 1;
    return;
  }
  va_start(ap, fmt);
  (void)vsnprintf(message, sizeof message, fmt, ap);
  va_end(ap);
  char *where = pointer(r, &cut), *what = yoi_sdk_strndup(message, strlen(message));
  if (where == NULL || what == NULL) {
    r->short_of_memory = 1;
    yoi_sdk_free(where);
    yoi_sdk_free(what);
    return;
  }
  r->n_of[kind(code)]++;
  r->found[r->n_found++] = (struct bundle_found){
      .f = {.code = code, .rule = rule, .pointer = where, .message = what},
      .in_key = (uint32_t)(in_key && !cut)};
}

static int by_place(const void *a, const void *b) {
  const struct yoi_sdk_bundle_finding *x = &((const struct bundle_found *)a)->f;
  const struct yoi_sdk_bundle_finding *y = &((const struct bundle_found *)b)->f;
  if (x->line != y->line) return x->line < y->line ? -1 : 1;
  if (x->column != y->column) return x->column < y->column ? -1 : 1;
  int c = strcmp(x->pointer, y->pointer);
  return c != 0 ? c : strcmp(x->rule, y->rule);
}

void yoi_sdk__bundle_sort(struct bundle_reader *r, yoi_str text) {
  for (size_t i = 0; i < r->n_found; i++) {
    struct bundle_found *f = &r->found[i];
    (void)yoi_sdk_json_locate(text, 0, yoi_sdk_str(f->f.pointer), (int)f->in_key, &f->f.line,
                              &f->f.column);
  }
  if (r->n_found > 1) qsort(r->found, r->n_found, sizeof *r->found, by_place);
}

void yoi_sdk__bundle_found_free(struct bundle_reader *r) {
  for (size_t i = 0; r != NULL && i < r->n_found; i++) {
    yoi_sdk_free((char *)(uintptr_t)r->found[i].f.pointer);
    yoi_sdk_free((char *)(uintptr_t)r->found[i].f.message);
  }
  if (r != NULL) yoi_sdk_free(r->found);
}
