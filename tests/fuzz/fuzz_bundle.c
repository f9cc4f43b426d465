/* sources: abi/sdk/core abi/sdk/schema abi/sdk/rules abi/sdk/bundle; libs: -lcjson -lcrypto
 *
 * Any text as a bundle. What must hold:
 *
 *  1. It is a bundle, or there is a finding and the error is that of one of them.
 *  2. Findings come in the order of the text, with a place in it.
 *  3. In a bundle every index is one of its section, and every name is valid.
 *  4. No message and no pointer has the key of a provider in it.
 */
#include <ctype.h>
#include <sdk/bundle.h>
#include <sdk/error.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Put behind a text that is an object, as a member of it. */
#define KEY "gh" "p_0123456789abcdefghijABCDEFGHIJ0123456789"

/* In the middle of a word it is none. */
static int shows_key(const char *text) {
  for (const char *at = text; (at = strstr(at, KEY)) != NULL; at++)
    if (at == text || !isalnum((unsigned char)at[-1])) return 1;
  return 0;
}

struct seen {
  size_t n;
  uint32_t line, column;
};

static void look(void *ctx, const struct yoi_sdk_bundle_finding *f) {
  struct seen *s = ctx;
  MUST(f->line > 0 && f->column > 0 && f->message[0] != '\0' && f->rule[0] != '\0');
  MUST(f->line > s->line || (f->line == s->line && f->column >= s->column));
  MUST(f->pointer[0] == '\0' || f->pointer[0] == '/');
  MUST(!shows_key(f->message) && !shows_key(f->pointer));
  *s = (struct seen){s->n + 1, f->line, f->column};
}

static void whole(const struct yoi_sdk_bundle *b) {
  MUST(yoi_sdk_digest_valid(yoi_sdk_str(b->digest)) && yoi_sdk_id_valid(b->id));
  MUST(b->n_profiles > 0);
  for (uint32_t i = 0; i < b->n_profiles; i++) {
    const struct yoi_sdk_bundle_profile *p = &b->profiles[i];
    MUST(yoi_sdk_bundle_profile(b, p->name) == p);
    MUST(p->prompt < b->n_prompts && p->model < b->n_models);
    for (uint32_t k = 0; k < p->n_tools; k++) MUST(p->tools[k] < b->n_tools);
    for (uint32_t k = 0; k < p->n_workflows; k++) MUST(p->workflows[k] < b->n_workflows);
  }
  for (uint32_t i = 0; i < b->n_workflows; i++) MUST(b->workflows[i].prompt < b->n_prompts);
  for (uint32_t i = 0; i < b->n_models; i++) MUST(yoi_sdk_name_valid(b->models[i].host_model));
  for (uint32_t i = 0; i < b->n_tools; i++)
    MUST(b->tools[i].verdict >= 1 && b->tools[i].verdict <= 3 && b->tools[i].plugin.len > 0);
}

/* With a member more, a key of a provider, it is refused and the key not shown. */
static void with_key(const uint8_t *data, size_t size) {
  static const char member[] = "\"" KEY "\":1,";
  struct yoi_sdk_buf text;
  struct yoi_sdk_bundle *b;
  struct seen seen = {0, 0, 0};
  yoi_sdk_buf_init(&text, YOI_BUNDLE_BYTES_MAX);
  yoi_sdk_buf_addc(&text, '{');
  yoi_sdk_buf_add(&text, member, sizeof member - 1);
  yoi_sdk_buf_add(&text, data + 1, size - 1);
  MUST(yoi_sdk_bundle_new(yoi_sdk_buf_str(&text), look, &seen, &b, NULL) != YOI_OK);
  MUST(b == NULL && seen.n > 0);
  yoi_sdk_buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct yoi_sdk_bundle *b;
  struct yoi_sdk_error e;
  struct seen seen = {0, 0, 0};
  yoi_status st = yoi_sdk_bundle_new((yoi_str){(const char *)data, size}, look, &seen, &b,
                                     yoi_sdk_error_init(&e));
  MUST((st == YOI_OK) == (b != NULL) && (st == YOI_OK) == (seen.n == 0));
  if (b != NULL) whole(b);
  else MUST(e.e.code == YOI_CODE_BUNDLE_INVALID || e.e.code == YOI_CODE_UNSUPPORTED_DECLARATION ||
            e.e.code == YOI_CODE_BUNDLE_FORBIDDEN_CONTENT);
  yoi_sdk_bundle_free(b);
  if (size > 0 && data[0] == '{') with_key(data, size);
  return 0;
}
