/* plugin.c - asking the host for an interface. A table that is too small for
 * what the caller needs is the same as none: the host is older. */
#include <sdk/plugin.h>

#include <string.h>

const void *yoi_sdk_host_get(const yoi_host *h, const char *id, size_t min_size) {
  if (!h || !h->get_interface) return NULL;
  const void *table = h->get_interface(h, yoi_sdk_str(id));
  if (!table) return NULL;
  uint32_t size;
  memcpy(&size, table, sizeof size);
  return size >= min_size ? table : NULL;
}
