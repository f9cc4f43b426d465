/* bundle.c - from bytes to a bundle, or to what is wrong with them.
 *
 *   bytes --> strict JSON --> credentials --> sections --> references --> bundle
 *             (sdk/json.h)   (credential.c)  (section.c)   (refs.c)
 *                 |               |              |             |
 *                 +-- one         +------ all findings --------+--> sorted, reported
 *
 *  1. What is handed out broke no rule at all: there is no warning.
 *  2. Nothing of the text is trimmed, folded or completed before it is looked at.
 *  3. The tree is the bundle's memory: all its texts lie there.
 *  4. No message and no pointer has a credential in it, wherever one stood.
 */
#include "reader.h"

#include <sdk/error.h>
#include <sdk/mem.h>
#include <string.h>

struct whole {
  struct yoi_sdk_bundle b; /* first: it is what callers have */
  yoi_sdk_json *tree;
  struct bundle_block *blocks;
};

void yoi_sdk_bundle_free(struct yoi_sdk_bundle *b) {
  struct whole *w = (struct whole *)b;
  if (w == NULL) return;
  while (w->blocks != NULL) {
    struct bundle_block *next = w->blocks->next;
    yoi_sdk_free(w->blocks);
    w->blocks = next;
  }
  yoi_sdk_json_free(w->tree);
  yoi_sdk_free(w);
}

void yoi_sdk_bundle_write(const struct yoi_sdk_bundle *b, struct yoi_sdk_jsonw *w) {
  yoi_sdk_jsonw_kstr(w, "id", b->id);
  yoi_sdk_jsonw_kstr(w, "digest", yoi_sdk_str(b->digest));
  yoi_sdk_jsonw_kstr(w, "revision", b->revision);
  yoi_sdk_jsonw_kstr(w, "workspace_id", b->workspace_id);
  yoi_sdk_jsonw_kstr(w, "created_at", b->created_at);
  yoi_sdk_jsonw_key(w, "provenance");
  yoi_sdk_jsonw_open(w, '{');
  yoi_sdk_jsonw_kstr(w, "source", b->source);
  yoi_sdk_jsonw_kstr_opt(w, "detail", b->detail);
  yoi_sdk_jsonw_close(w, '}');
}

const struct yoi_sdk_bundle_profile *yoi_sdk_bundle_profile(const struct yoi_sdk_bundle *b,
                                                            yoi_str name) {
  for (uint32_t i = 0; i < b->n_profiles; i++)
    if (yoi_sdk_str_eq(b->profiles[i].name, name)) return &b->profiles[i];
  return NULL;
}

/* ---- what is told ----------------------------------------------------------------- */

static int gravity(uint32_t code) {
  return code == YOI_CODE_BUNDLE_FORBIDDEN_CONTENT ? 3 : code == YOI_CODE_BUNDLE_INVALID ? 2 : 1;
}

static yoi_status refuse(yoi_error *err, const struct yoi_sdk_bundle_finding *f) {
  struct yoi_sdk_buf details;
  struct yoi_sdk_jsonw w;
  yoi_status st = *f->pointer != '\0'
                      ? yoi_sdk_fail(err, (int32_t)f->code, "bundle, at '%s': %s", f->pointer,
                                     f->message)
                      : yoi_sdk_fail(err, (int32_t)f->code, "bundle: %s", f->message);
  yoi_sdk_buf_init(&details, YOI_ERROR_DETAILS_MAX);
  yoi_sdk_jsonw_init(&w, &details);
  yoi_sdk_jsonw_open(&w, '{');
  yoi_sdk_jsonw_kstr(&w, "pointer", yoi_sdk_str(f->pointer));
  yoi_sdk_jsonw_kstr(&w, "rule", yoi_sdk_str(f->rule));
  yoi_sdk_jsonw_close(&w, '}');
  if (!details.failed) yoi_sdk_fail_details(err, yoi_sdk_buf_str(&details));
  yoi_sdk_buf_release(&details);
  return st;
}

/* 1: a key of this pointer has a credential in it, or may have: of one that is as
 * long as there is room the end is not known. */
static int names_credential(const struct bundle_reader *r, const struct yoi_sdk_json_error *e) {
  char key[sizeof e->pointer];
  size_t n = 0;
  const char *p = e->pointer;
  if (strlen(p) + 1 >= sizeof e->pointer) return 1;
  for (;; p++) {
    if (*p != '/' && *p != '\0') {
      int escaped = p[0] == '~' && (p[1] == '0' || p[1] == '1');
      key[n++] = !escaped ? *p : *++p == '0' ? '~' : '/';
      continue;
    }
    if (yoi_sdk__bundle_credential(&r->forms, (yoi_str){key, n}) != NULL) return 1;
    if (*p == '\0') return 0;
    n = 0;
  }
}

/* The text is no JSON: one finding, and a pointer without a credential in it. */
static yoi_status no_json(const struct bundle_reader *r, struct yoi_sdk_json_error *e,
                          yoi_sdk_bundle_report_fn report, void *ctx, yoi_error *err) {
  if (names_credential(r, e)) e->pointer[0] = '\0';
  struct yoi_sdk_bundle_finding f = {
      .code = YOI_CODE_BUNDLE_INVALID,
      .rule = "json",
      .pointer = e->pointer,
      .message = e->message,
      .line = e->line,
      .column = e->column,
  };
  if (report != NULL) report(ctx, &f);
  return refuse(err, &f);
}

static yoi_status tell(struct bundle_reader *r, yoi_str bytes, yoi_sdk_bundle_report_fn report,
                       void *ctx, yoi_error *err) {
  const struct yoi_sdk_bundle_finding *gravest = NULL;
  yoi_sdk__bundle_sort(r, bytes);
  for (size_t i = 0; i < r->n_found; i++) {
    const struct yoi_sdk_bundle_finding *f = &r->found[i].f;
    if (gravest == NULL || gravity(f->code) > gravity(gravest->code)) gravest = f;
    if (report != NULL) report(ctx, f);
  }
  return gravest == NULL ? YOI_OK : refuse(err, gravest);
}

static yoi_status parse(const struct bundle_reader *r, yoi_str bytes, struct whole *w,
                        yoi_sdk_bundle_report_fn report, void *ctx, yoi_error *err) {
  struct yoi_sdk_json_error e = {.line = 0};
  yoi_status st = yoi_sdk_json_parse(bytes, 0, &w->tree, &e);
  if (st == YOI_OK) return YOI_OK;
  /* Memory or a limit of the reader: only one of them is about the text. */
  if (st == YOI_RESOURCE_EXHAUSTED && strcmp(e.message, "out of memory") == 0)
    return yoi_sdk_fail_memory(err);
  return no_json(r, &e, report, ctx, err);
}

yoi_status yoi_sdk_bundle_new(yoi_str bytes, yoi_sdk_bundle_report_fn report, void *ctx,
                              struct yoi_sdk_bundle **out, yoi_error *err) {
  uint8_t sha[YOI_SDK_SHA256_SIZE];
  *out = NULL;
  if (bytes.len > YOI_BUNDLE_BYTES_MAX)
    return yoi_sdk_fail(err, YOI_CODE_PAYLOAD_TOO_LARGE, "a bundle has at most %d bytes",
                        YOI_BUNDLE_BYTES_MAX);
  struct whole *w = yoi_sdk_calloc(1, sizeof *w);
  struct bundle_reader *r = yoi_sdk_calloc(1, sizeof *r);
  yoi_status st = YOI_OK;
  if (w == NULL || r == NULL || !yoi_sdk_sha256(bytes.ptr, bytes.len, sha)) {
    st = yoi_sdk_fail_memory(err);
    goto out;
  }
  yoi_sdk_digest_text(sha, w->b.digest);
  w->b.bytes = bytes.len;
  yoi_sdk__bundle_forms(&r->forms);
  st = parse(r, bytes, w, report, ctx, err);
  if (st != YOI_OK) goto out;
  yoi_sdk__bundle_scan(r, w->tree);
  yoi_sdk__bundle_sections(r, w->tree, &w->b);
  if (!r->short_of_memory) yoi_sdk__bundle_refs(r, w->tree, &w->b);
  st = r->short_of_memory ? yoi_sdk_fail_memory(err) : tell(r, bytes, report, ctx, err);
out:
  if (w != NULL && r != NULL) w->blocks = r->blocks;
  if (st == YOI_OK) {
    *out = &w->b;
    w = NULL;
  }
  yoi_sdk_bundle_free(w != NULL ? &w->b : NULL);
  yoi_sdk__bundle_found_free(r);
  yoi_sdk_free(r);
  return st;
}
