/* window.c - the part of a text that was asked for.
 *
 * An offset is one that a result named, so it is where a character begins; one
 * that is not (a model may count on its own) loses the rest of a character,
 * as the end does. Both are named as they are, so that pages fit together.
 */
#include "fetch.h"

void fetch_window_init(struct fetch_window *w, uint64_t offset, size_t limit) {
  *w = (struct fetch_window){.offset = offset, .limit = limit};
  yoi_sdk_buf_init(&w->text, limit);
}

void fetch_window_add(struct fetch_window *w, yoi_str text) {
  uint64_t from = w->passed;
  w->passed += text.len;
  if (from < w->offset) {
    uint64_t skip = w->offset - from < text.len ? w->offset - from : text.len;
    text.ptr += skip;
    text.len -= (size_t)skip;
  }
  size_t room = w->limit - w->text.len;
  if (text.len > room) text.len = room;
  if (text.len) yoi_sdk_buf_adds(&w->text, text);
}

int fetch_window_full(const struct fetch_window *w) {
  return w->passed > w->offset && w->passed - w->offset > w->limit;
}

yoi_str fetch_window_text(const struct fetch_window *w, uint64_t *out_from) {
  yoi_str s = yoi_sdk_buf_str(&w->text);
  *out_from = w->offset;
  while (s.len && ((unsigned char)s.ptr[0] & 0xC0) == 0x80) s.ptr++, s.len--, ++*out_from;
  s.len -= yoi_sdk_utf8_tail(s);
  return s;
}

void fetch_window_release(struct fetch_window *w) {
  yoi_sdk_buf_release(&w->text);
}
