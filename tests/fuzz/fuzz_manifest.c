/* sources: libyoi; libs: -lcjson -lcrypto; flags: '-DYOI_LIBDIR="/none"'
 *
 * Any text as a manifest, and what stands behind its first NUL as the file
 * beside it. What is accepted is complete, and both readers agree: the one
 * that stops at the first fault and the one that names them all. What narrows
 * a manifest never widens it.
 */
#include "host/manifest.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <sdk/str.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(void *ctx, const char *message) {
  if (message[0] == '\0' || strlen(message) >= YOI_ERROR_MESSAGE_MAX) abort();
  if (!yoi_sdk_utf8_valid(yoi_sdk_str(message))) abort();
  ++*(size_t *)ctx;
}

static int has_grant(const struct yoi__manifest *m, yoi_str grant) {
  for (size_t i = 0; i < m->n_grants; i++) {
    if (yoi_sdk_str_eq(m->grants[i], grant)) return 1;
  }
  return 0;
}

static void narrow(yoi_str text, yoi_str beside) {
  struct yoi__manifest whole, m;
  if (yoi__manifest_parse(text, &whole, NULL) != YOI_OK) abort();
  if (yoi__manifest_parse(text, &m, NULL) != YOI_OK) abort();
  yoi_status st = yoi__manifest_narrow(&m, beside, NULL);
  if (!yoi_sdk_str_eq(whole.id, m.id) || whole.kind != m.kind || m.n_grants > whole.n_grants)
    abort();
  for (size_t i = 0; i < m.n_grants; i++) {
    if (!has_grant(&whole, m.grants[i])) abort();
  }
  if (st != YOI_OK && m.n_grants != whole.n_grants) abort();
  yoi__manifest_release(&whole);
  yoi__manifest_release(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *all = (const char *)data;
  const char *nul = size > 0 ? memchr(data, 0, size) : NULL;
  yoi_str text = {all, nul != NULL ? (size_t)(nul - all) : size};
  yoi_str beside = {"{}", 2};
  struct yoi__manifest m;
  size_t faults = 0;
  if (nul != NULL) beside = (yoi_str){nul + 1, size - text.len - 1};
  yoi_status st = yoi__manifest_parse(text, &m, NULL);
  if ((yoi__manifest_check(text, count, &faults) == YOI_OK) != (st == YOI_OK)) abort();
  if ((faults == 0) != (st == YOI_OK)) abort();
  if (st != YOI_OK) return 0;
  if (m.id.len == 0 || m.version.len == 0 || m.display_name.len == 0 || m.kind == 0 ||
      m.threads == 0 || m.n_interfaces == 0 || m.n_interfaces > YOI__MANIFEST_LIST_MAX ||
      m.n_grants > YOI__MANIFEST_LIST_MAX || m.config == NULL)
    abort();
  yoi__manifest_release(&m);
  narrow(text, beside);
  return 0;
}
