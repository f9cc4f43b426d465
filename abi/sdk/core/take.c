/* take.c - a growable struct from across the ABI (sdk/take.h).
 *
 * Whatever a struct's version, a reader has today's, whole, and need not ask for
 * members. A tail that it does not know is a wish of a newer caller's: passing
 * over it would be to do something else than was asked for.
 */
#include <sdk/take.h>

#include <string.h>

#include <sdk/error.h>

yoi_status yoi_sdk_take(void *dst, uint32_t dst_size, const void *src, const char *what,
                        yoi_error *err) {
  uint32_t size;
  memcpy(&size, src, sizeof size);
  if (size < sizeof size)
    return yoi_sdk_fail(err, YOI_CODE_INVALID_REQUEST, "%s has no size", what);
  for (uint32_t i = dst_size; i < size; i++)
    if (((const unsigned char *)src)[i] != 0)
      return yoi_sdk_fail(err, YOI_CODE_UNSUPPORTED_OPERATION,
                          "%s has an unknown member at offset %u", what, i);
  if (size < dst_size) memset(dst, 0, dst_size);
  memcpy(dst, src, size < dst_size ? size : dst_size);
  memcpy(dst, &dst_size, sizeof dst_size);
  return YOI_OK;
}
