/* host/take.h - taking in a growable struct that came across the ABI. */
#ifndef YOI__TAKE_H
#define YOI__TAKE_H

#include <sdk/error.h>
#include <string.h>

/* Copies *src, which begins with its size, into the zeroed struct dst of
 * dst_size bytes and sets the size of that. A larger one is taken when its
 * unknown tail is all zero; else UNIMPLEMENTED naming the offset, since a byte
 * there is a feature of a newer caller. */
static inline yoi_status yoi__take_in(void *dst, uint32_t dst_size, const void *src,
                                      const char *what, yoi_error *err) {
  uint32_t size;
  memcpy(&size, src, sizeof size);
  if (size < sizeof size)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "%s has no size", what);
  for (uint32_t i = dst_size; i < size; i++)
    if (((const unsigned char *)src)[i] != 0)
      return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION,
                          "%s has a member at offset %u that this host does not know", what, i);
  if (size < dst_size) memset(dst, 0, dst_size);
  memcpy(dst, src, size < dst_size ? size : dst_size);
  memcpy(dst, &dst_size, sizeof dst_size);
  return YOI_OK;
}

#endif
