/* arguments.c - what a call asks for.
 *
 * The host has checked them against the manifest's schema: what is looked at
 * here is what a schema cannot say. Which header fields there are stands in
 * the manifest; none of them lets a server know who asks.
 */
#include "fetch.h"

#include <sdk/error.h>
#include <string.h>

static yoi_status read_headers(const yoi_sdk_json *headers, struct fetch_arguments *a,
                               yoi_error *err) {
  for (const yoi_sdk_json *h = yoi_sdk_json_first(headers); h; h = yoi_sdk_json_next(h)) {
    yoi_str name = yoi_sdk_json_key(h), value = {0};
    (void)yoi_sdk_json_str(h, &value);
    for (size_t i = 0; i < value.len; i++)
      if ((unsigned char)value.ptr[i] < ' ' || (unsigned char)value.ptr[i] >= 0x7f)
        return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST,
                            "the value of header '%.*s' has a character that is no printable ASCII",
                            YOI_ARG(name));
    if (value.len > YOI_FETCH_HEADER_MAX || a->n_lines == YOI_FETCH_HEADERS_MAX)
      return yoi_sdk_fail(err, YOI_CODE_LIMIT_TOO_LARGE,
                          "at most %d headers of %d bytes each can be sent", YOI_FETCH_HEADERS_MAX,
                          YOI_FETCH_HEADER_MAX);
    if (value.len == 0) continue;
    yoi_sdk_buf_addf(&a->lines, "%.*s: %.*s", YOI_ARG(name), YOI_ARG(value));
    yoi_sdk_buf_addc(&a->lines, '\0');
    a->n_lines++;
  }
  return a->lines.failed ? yoi_sdk_fail_memory(err) : YOI_OK;
}

yoi_status fetch_arguments_read(yoi_str text, struct fetch_arguments *a, yoi_error *err) {
  yoi_sdk_json *v = NULL;
  yoi_str url = {0}, method = YOI_LIT("GET"), as = YOI_LIT("text");
  int64_t offset = 0, limit = YOI_FETCH_TEXT_DEFAULT;
  *a = (struct fetch_arguments){0};
  yoi_sdk_buf_init(&a->lines, YOI_FETCH_HEADERS_MAX * (YOI_FETCH_HEADER_MAX + 64));
  yoi_status st = yoi_sdk_json_parse(text, 0, &v, NULL);
  if (st != YOI_OK) return yoi_sdk_fail(err, YOI_CODE_INTERNAL, "the arguments are no JSON");
  (void)yoi_sdk_json_str(yoi_sdk_json_get(v, "url"), &url);
  (void)yoi_sdk_json_str(yoi_sdk_json_get(v, "method"), &method);
  (void)yoi_sdk_json_str(yoi_sdk_json_get(v, "as"), &as);
  (void)yoi_sdk_json_int(yoi_sdk_json_get(v, "offset"), &offset);
  (void)yoi_sdk_json_int(yoi_sdk_json_get(v, "limit"), &limit);
  a->head = yoi_sdk_str_is(method, "HEAD");
  a->raw = yoi_sdk_str_is(as, "raw");
  if (limit < 1 || limit > YOI_FETCH_TEXT_MAX || offset < 0)
    st = yoi_sdk_fail(err, YOI_CODE_LIMIT_TOO_LARGE, "'limit' is from 1 to %d, 'offset' from 0",
                      YOI_FETCH_TEXT_MAX);
  a->offset = (uint64_t)offset;
  a->limit = (size_t)limit;
  if (st == YOI_OK) st = yoi_sdk_url_parse(NULL, url, &a->url, err);
  if (st == YOI_OK) st = read_headers(yoi_sdk_json_get(v, "headers"), a, err);
  yoi_sdk_json_free(v);
  return st;
}

void fetch_arguments_release(struct fetch_arguments *a) {
  yoi_sdk_url_release(&a->url);
  yoi_sdk_buf_release(&a->lines);
}
