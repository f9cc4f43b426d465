/* sources: plugins/tool-http/content.c plugins/tool-http/charset.c
 * plugins/tool-http/page.c plugins/tool-http/window.c abi/sdk/http/url.c
 * abi/sdk/core; libs: -lxml2 -lcurl -lcjson -lcrypto -ldl;
 * flags: -isystem /usr/include/libxml2
 *
 * Any bytes as a page: the first says of what type and how it is cut. What
 * comes out is UTF-8 without control characters, and no longer than asked for.
 */
#include <stdint.h>
#include <stdlib.h>

#include "must.h"
#include "plugins/tool-http/fetch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const types[] = {"text/html", "", "text/html; charset=utf-8",
                                      "text/html; charset=iso-2022-jp", "text/plain",
                                      "text/html; charset=gb18030", "application/xml",
                                      "text/html; charset=utf-16be"};
  struct yoi_sdk_url base;
  struct fetch_window w;
  struct fetch_content c;
  uint64_t from;
  if (size == 0) return 0;
  size_t piece = (size_t)(data[0] >> 3) * 7 + 1;
  yoi_str body = {(const char *)data + 1, size - 1};
  MUST(yoi_sdk_url_parse(NULL, YOI_LIT("https://a.example/b/"), &base, NULL) == YOI_OK);
  fetch_window_init(&w, data[0] & 1 ? 100 : 0, 4096);
  fetch_content_init(&c, yoi_sdk_str(types[data[0] & 7]), 0, &base, &w);
  for (size_t at = 0; at < body.len; at += piece) {
    size_t n = body.len - at < piece ? body.len - at : piece;
    if (fetch_content_feed(&c, (yoi_str){body.ptr + at, n})) break;
  }
  fetch_content_end(&c);
  yoi_str text = fetch_window_text(&w, &from);
  MUST(text.len <= 4096 && yoi_sdk_utf8_valid(text));
  for (size_t i = 0; i < text.len; i++)
    MUST((unsigned char)text.ptr[i] >= ' ' || (text.ptr[i] >= '\t' && text.ptr[i] <= '\r'));
  fetch_content_release(&c);
  fetch_window_release(&w);
  yoi_sdk_url_release(&base);
  return 0;
}
