/* error.c - filling in a yoi_error that somebody else owns.
 *
 *  1. The three texts are NUL-terminated whenever their capacity is not 0.
 *  2. message and private_detail are cut at a character, details is whole or
 *     empty: half a JSON object helps nobody.
 *  3. Every function accepts NULL, so that callers need not look.
 *  4. A failure never becomes OK: an unknown code counts as internal.
 */
#include <sdk/error.h>

#include <sdk/str.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void put(char *to, size_t cap, yoi_str s) {
  if (!to || cap == 0) return;
  size_t n = yoi_sdk_utf8_cut(s, cap - 1);
  if (n) memcpy(to, s.ptr, n);
  to[n] = '\0';
}

static void put_whole(char *to, size_t cap, yoi_str s) {
  put(to, cap, s.len < cap ? s : (yoi_str){NULL, 0});
}

static void format(char *to, size_t cap, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
static void format(char *to, size_t cap, const char *fmt, va_list ap) {
  if (!to || cap == 0) return;
  int n = vsnprintf(to, cap, fmt, ap);
  if (n < 0) {
    to[0] = '\0';
  } else if ((size_t)n >= cap) {
    yoi_str kept = {to, cap - 1};
    to[kept.len - yoi_sdk_utf8_tail(kept)] = '\0';
  }
}

void yoi_sdk_error_clear(yoi_error *err) {
  if (!err) return;
  err->code = 0;
  err->flags = 0;
  err->retry_after_ms = 0;
  put(err->message, err->message_cap, YOI_LIT(""));
  put(err->details, err->details_cap, YOI_LIT(""));
  put(err->private_detail, err->private_cap, YOI_LIT(""));
}

yoi_status yoi_sdk_fail(yoi_error *err, int32_t code, const char *fmt, ...) {
  if (!yoi_sdk_code_name(code)) code = YOI_CODE_INTERNAL;
  if (err) {
    yoi_sdk_error_clear(err);
    err->code = code;
    if (yoi_sdk_code_retryable(code)) err->flags = YOI_ERROR_RETRYABLE;
    va_list ap;
    va_start(ap, fmt);
    format(err->message, err->message_cap, fmt, ap);
    va_end(ap);
  }
  return yoi_sdk_code_status(code);
}

void yoi_sdk_fail_private(yoi_error *err, const char *fmt, ...) {
  if (!err) return;
  va_list ap;
  va_start(ap, fmt);
  format(err->private_detail, err->private_cap, fmt, ap);
  va_end(ap);
}

void yoi_sdk_fail_details(yoi_error *err, yoi_str json) {
  if (err) put_whole(err->details, err->details_cap, json);
}

yoi_status yoi_sdk_fail_memory(yoi_error *err) {
  (void)yoi_sdk_fail(err, YOI_CODE_INTERNAL, "out of memory");
  return YOI_RESOURCE_EXHAUSTED;
}

static yoi_str text_of(const char *p, size_t cap) {
  return p && cap ? (yoi_str){p, strnlen(p, cap)} : (yoi_str){NULL, 0};
}

void yoi_sdk_error_copy(yoi_error *dst, const yoi_error *src) {
  if (!dst || dst == src) return;
  yoi_sdk_error_clear(dst);
  if (!src) return;
  dst->code = src->code;
  dst->flags = src->flags;
  dst->retry_after_ms = src->retry_after_ms;
  put(dst->message, dst->message_cap, text_of(src->message, src->message_cap));
  put_whole(dst->details, dst->details_cap, text_of(src->details, src->details_cap));
  put(dst->private_detail, dst->private_cap, text_of(src->private_detail, src->private_cap));
}

yoi_error *yoi_sdk_error_init(struct yoi_sdk_error *se) {
  se->e = (yoi_error){
      .size = sizeof se->e,
      .message = se->message,
      .message_cap = sizeof se->message,
      .details = se->details,
      .details_cap = sizeof se->details,
      .private_detail = se->private_detail,
      .private_cap = sizeof se->private_detail,
  };
  yoi_sdk_error_clear(&se->e);
  return &se->e;
}
