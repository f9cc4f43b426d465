/* sources: runtimes/engine/cursor.c abi/sdk/core; libs: -lcjson -lcrypto -ldl
 *
 * Any text as a cursor (without the line feed that a file ends with): what is
 * accepted is exactly what is written for it, so one position has one text.
 * Whatever cursor there is, its text is accepted and means the same.
 */
#include "runtimes/engine/cursor.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const struct eng_cursor *a, const struct eng_cursor *b) {
  if (a->epoch != b->epoch || a->worker != b->worker || eng_pos_cmp(a->pos, b->pos) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct eng_cursor c, again;
  char text[ENG_CURSOR_SIZE];
  size_t n;
  if (size > 0 && data[size - 1] == '\n') size--;
  if (eng_cursor_parse((yoi_str){(const char *)data, size}, &c)) {
    n = eng_cursor_write(&c, text);
    if (n != size || memcmp(text, data, n) != 0) abort();
  }
  memset(&c, 0, sizeof c);
  memcpy(&c, data, size < sizeof c ? size : sizeof c);
  c.pos.sequence &= YOI_JSON_INT_MAX; /* 2^53-1: all lower bits */
  n = eng_cursor_write(&c, text);
  if (strlen(text) != n || !eng_cursor_parse((yoi_str){text, n}, &again)) abort();
  same(&c, &again);
  /* One byte more or less is another text, or none. */
  if (n > 0 && eng_cursor_parse((yoi_str){text, n - 1}, &again) &&
      eng_cursor_write(&again, text) != n - 1)
    abort();
  return 0;
}
