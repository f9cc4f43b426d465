/* sdk/take.h - taking in a struct that begins with its size, as base.h says.
 *
 *   yoi_policy_request r;
 *   yoi_status st = yoi_sdk_take(&r, sizeof r, req, "the request", err);
 */
#ifndef YOI_SDK_TAKE_H
#define YOI_SDK_TAKE_H

#include <yoi/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Copies *src, a growable struct of whoever calls, into *dst, which has dst_size
 * bytes and need not be set: what an older caller's lacks is zero, and its size
 * is dst_size. What a newer caller's has more is passed over when it is all
 * zero; else UNIMPLEMENTED, with the offset. INVALID_ARGUMENT: it has no size.
 * `what` stands in the message: "the request". [any] */
yoi_status yoi_sdk_take(void *dst, uint32_t dst_size, const void *src, const char *what,
                        yoi_error *err);

#ifdef __cplusplus
}
#endif
#endif
