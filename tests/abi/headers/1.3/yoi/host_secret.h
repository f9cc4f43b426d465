/* yoi/host_secret.h - "yoi.host.secret/1": values by granted name. A value
 * "secret:NAME" in an instance's config grants NAME to that instance. */
#ifndef YOI_HOST_SECRET_H
#define YOI_HOST_SECRET_H

#include <yoi/host.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_HOST_SECRET_ID "yoi.host.secret/1"

typedef struct yoi_host_secret {
  uint32_t size;
  uint32_t reserved;
  /* [any] Copies the value, no NUL, and sets *out_len; the caller wipes buf.
   * PERMISSION_DENIED: not granted to this instance. NOT_FOUND: it has no
   * value. RESOURCE_EXHAUSTED: cap is too small, *out_len says what is
   * needed; at most YOI_SECRET_BYTES_MAX. */
  yoi_status (*get)(const yoi_host *h, yoi_str name, char *buf, size_t cap,
                    size_t *out_len, yoi_error *err);
  /* [any] Since 1.1. Has the files of all secrets that this instance was
   * granted read again, soon, by the host's control thread. A file that
   * cannot be read leaves its secret as it was; the host logs why. */
  void (*refresh)(const yoi_host *h);
  /* [any] Since 1.1. Grows when the value changes; 0: not granted, or no
   * value. Ask before `get`: what comes in between is then seen next time. */
  uint64_t (*generation)(const yoi_host *h, yoi_str name);
} yoi_host_secret;

#ifdef __cplusplus
}
#endif
#endif
