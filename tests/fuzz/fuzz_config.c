/* sources: libyoi; libs: -lcjson -lcrypto; flags: '-DYOI_LIBDIR="/none"'
 *
 * Any text as a config: it is accepted or every finding has a place inside it,
 * and nothing else happens.
 */
#include "host/config.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bounds {
  uint32_t lines;
  size_t seen;
};

static void on_finding(void *ctx, uint32_t line, uint32_t column, const char *pointer,
                       const char *message) {
  struct bounds *b = ctx;
  if (line < 1 || line > b->lines || column < 1 || pointer == NULL || message[0] == '\0') abort();
  b->seen++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct bounds b = {1, 0};
  struct yoi__config *c = NULL;
  yoi_status st;
  if (size == 0) return 0; /* the default config, which depends on what is installed */
  for (size_t i = 0; i < size; i++) b.lines += data[i] == '\n';
  st = yoi__config_load((yoi_str){(const char *)data, size}, "/nonexistent", on_finding, &b, &c,
                        NULL);
  if ((st == YOI_OK) != (c != NULL) || (st == YOI_OK) != (b.seen == 0)) abort();
  yoi__config_free(c);
  return 0;
}
