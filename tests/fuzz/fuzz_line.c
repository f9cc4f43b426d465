/* sources: runtimes/fs-store/line.c runtimes/fs-store/crc32c.c abi/sdk/core;
 * libs: -lcjson -lcrypto -ldl
 *
 * Any text as a line of a store, with a sum that is made right: what is
 * accepted is exactly what is written for what it says. As it stands, without
 * such a sum, it is a line only when the sum is in it already.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtimes/fs-store/crc32c.h"
#include "runtimes/fs-store/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_batch(struct yoi_sdk_buf *b, const struct fs_line *l) {
  size_t start, pos = 0;
  yoi_str worker;
  uint64_t seq;
  fs_line_batch_begin(b, l->n, &start);
  while (fs_line_batch_next(l, &pos, &worker, &seq)) fs_line_batch_add(b, worker, seq);
  fs_line_batch_end(b, start, l->durable);
}

static void write_again(struct yoi_sdk_buf *b, const struct fs_line *l) {
  switch (l->kind) {
    case FS_LINE_RECORD:
      fs_line_record(b, l);
      break;
    case FS_LINE_REMOVAL:
      fs_line_removal(b, l->n, l->worker);
      break;
    case FS_LINE_BATCH:
      write_batch(b, l);
      break;
    case FS_LINE_SEAL:
      fs_line_seal(b, l->n, l->durable);
      break;
    case FS_LINE_HEAD:
      fs_line_head(b, l->store, l->first);
      break;
    case FS_LINE_INDEX:
      fs_line_index(b, l->store, l->upto);
      break;
    case FS_LINE_WORKER:
      fs_line_worker(b, l);
      break;
    case FS_LINE_END:
      fs_line_end(b, l->workers);
      break;
    case FS_LINE_STORE:
      fs_line_store(b, l->store);
      break;
  }
}

static void check(yoi_str text) {
  struct fs_line l;
  struct yoi_sdk_buf b;
  if (!fs_line_parse(text, &l)) return;
  /* The kind of a newer version has no name here; a place of zeros is not
   * written. */
  if (l.kind == FS_LINE_RECORD &&
      (l.event == 0 || (l.role | l.content_len | l.turn_at) == 0))
    return;
  yoi_sdk_buf_init(&b, SIZE_MAX / 2);
  write_again(&b, &l);
  if (b.failed || b.len != text.len + 1 || memcmp(b.data, text.ptr, text.len) != 0) abort();
  yoi_sdk_buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct yoi_sdk_buf b;
  if (size > 0 && data[size - 1] == '\n') size--;
  check((yoi_str){(const char *)data, size});
  yoi_sdk_buf_init(&b, SIZE_MAX / 2);
  yoi_sdk_buf_add(&b, data, size);
  yoi_sdk_buf_addf(&b, ",\"crc\":\"%08x\"}", fs_crc32c(0, data, size));
  check(yoi_sdk_buf_str(&b));
  yoi_sdk_buf_release(&b);
  return 0;
}
