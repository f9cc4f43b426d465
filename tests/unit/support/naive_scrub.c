/* naive_scrub.c - the reference of naive_scrub.h: forms come from the code that is
 * tested (test_scrub.c has them one by one), looking for them does not. */
#include "naive_scrub.h"

#include <sdk/mem.h>
#include <stdlib.h>
#include <string.h>
#include <yoi/limits.h>

void naive_init(struct naive *r, const struct yoi_sdk_scrub_value *values, size_t n) {
  size_t bytes = 0, more, used = 0;
  memset(r, 0, sizeof *r);
  r->values = values;
  for (size_t i = 0; i < n; i++) {
    (void)yoi_sdk__scrub_forms(yoi_sdk__scrub_trim(values[i].value), 0, NULL, NULL, &more);
    bytes += more;
  }
  r->text = yoi_sdk_malloc(bytes + 1);
  if (r->text == NULL) abort();
  for (size_t i = 0; i < n; i++) {
    yoi_str v = yoi_sdk__scrub_trim(values[i].value);
    if (v.len < YOI_SECRET_SCRUB_MIN) continue;
    if (r->n > NAIVE_FORMS - 16) abort();
    r->n += yoi_sdk__scrub_forms(v, (uint32_t)i, r->text + used, r->forms + r->n, &more);
    used += more;
  }
}

void naive_release(struct naive *r) {
  yoi_sdk_free(r->text);
}

static int stands(yoi_str text, size_t i, const struct yoi_sdk__pattern *p) {
  return p->len <= text.len - i && memcmp(text.ptr + i, p->ptr, p->len) == 0;
}

size_t naive_scrub(const struct naive *r, yoi_str text, int whole, struct yoi_sdk_buf *out) {
  for (size_t i = 0; i < text.len;) {
    const struct yoi_sdk__pattern *longest = NULL;
    for (size_t k = 0; k < r->n; k++) {
      const struct yoi_sdk__pattern *p = &r->forms[k];
      size_t left = text.len - i;
      if (!whole && p->len > left && memcmp(text.ptr + i, p->ptr, left) == 0) return left;
      if (stands(text, i, p) && (longest == NULL || p->len > longest->len)) longest = p;
    }
    if (longest == NULL) {
      yoi_sdk_buf_addc(out, text.ptr[i++]);
      continue;
    }
    yoi_sdk_buf_addf(out, "[secret %.*s]", YOI_ARG(r->values[longest->value].name));
    i += longest->len;
  }
  return 0;
}

int naive_has(const struct naive *r, yoi_str text) {
  for (size_t i = 0; i < text.len; i++)
    for (size_t k = 0; k < r->n; k++)
      if (stands(text, i, &r->forms[k])) return 1;
  return 0;
}
