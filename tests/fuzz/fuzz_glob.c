/* sources: abi/sdk/core; libs: -lcjson -lcrypto
 *
 * Any text as a pattern for paths, and what stands behind its first NUL as the
 * path. What must hold:
 *
 *  1. Each ends, within a time that is bounded by the lengths.
 *  2. A path fits itself behind any folders, and everything fits `**`.
 *  3. {P,P} fits what P fits.
 */
#include <sdk/glob.h>
#include <sdk/str.h>
#include <stdint.h>
#include <string.h>
#include <yoi/limits.h>

#include "must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -1: it is none. */
static int fits(const char *before, yoi_str p, const char *behind, yoi_str path) {
  struct yoi_sdk_buf b;
  const char *why = NULL;
  int answer = -1;
  yoi_sdk_buf_init(&b, YOI_JSON_BYTES_MAX);
  yoi_sdk_buf_adds(&b, yoi_sdk_str(before));
  yoi_sdk_buf_adds(&b, p);
  yoi_sdk_buf_adds(&b, yoi_sdk_str(behind));
  struct yoi_sdk_globs *g = yoi_sdk_globs_new(yoi_sdk_buf_str(&b), &why);
  MUST(g || why);
  if (g) answer = yoi_sdk_globs_fit(g, path);
  yoi_sdk_globs_free(g);
  yoi_sdk_buf_release(&b);
  return answer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *text = (const char *)data, *nul = size ? memchr(data, 0, size) : NULL;
  if (!nul) return 0;
  yoi_str p = {text, (size_t)(nul - text)}, path = {nul + 1, size - p.len - 1};
  int plain = fits("", p, "", path), any = fits("**/", p, "", path);
  MUST(fits("", YOI_LIT("**"), "", path) == 1);
  MUST(plain < 1 || any != 0);
  if (plain < 0 || memchr(p.ptr, '{', p.len) || memchr(p.ptr, '}', p.len) ||
      memchr(p.ptr, ',', p.len))
    return 0;
  char pair[2 * YOI_GLOB_BYTES_MAX + 2];
  memcpy(pair, p.ptr, p.len);
  pair[p.len] = ',';
  memcpy(pair + p.len + 1, p.ptr, p.len);
  int twice = fits("{", (yoi_str){pair, 2 * p.len + 1}, "}", path);
  MUST(twice < 0 || twice == plain);
  return 0;
}
