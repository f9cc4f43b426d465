/* sdk/error.h - filling in yoi_error, and owning one.
 *
 *   return yoi_sdk_fail(err, YOI_CODE_WORKER_BUSY,
 *                       "worker '%.*s' is busy", YOI_ARG(id));
 */
#ifndef YOI_SDK_ERROR_H
#define YOI_SDK_ERROR_H

#include <yoi/base.h>
#include <yoi/limits.h>
#include <yoi/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sets code, message, the flag of the code's table row, clears details and
 * private; returns the status of the code's row. err may be NULL. */
yoi_status yoi_sdk_fail(yoi_error *err, int32_t code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Sets the private detail; call after yoi_sdk_fail. */
void yoi_sdk_fail_private(yoi_error *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Sets details, JSON object text; left out whole when it does not fit. */
void yoi_sdk_fail_details(yoi_error *err, yoi_str json);
/* Memory is short: code internal, status RESOURCE_EXHAUSTED. */
yoi_status yoi_sdk_fail_memory(yoi_error *err);
/* Copies all of src into dst's buffers. Either may be NULL. */
void yoi_sdk_error_copy(yoi_error *dst, const yoi_error *src);
void yoi_sdk_error_clear(yoi_error *err);

/* An error with its buffers. */
struct yoi_sdk_error {
  yoi_error e;
  char message[YOI_ERROR_MESSAGE_MAX];
  char details[YOI_ERROR_DETAILS_MAX];
  char private_detail[YOI_ERROR_PRIVATE_MAX];
};
/* Returns &se->e, empty, pointing at the buffers; se must not move then. */
yoi_error *yoi_sdk_error_init(struct yoi_sdk_error *se);

/* Rows of the tables in ops.h; NULL or 0 for an unknown number. */
const char *yoi_sdk_code_name(int32_t code);
int yoi_sdk_code_http(int32_t code);
yoi_status yoi_sdk_code_status(int32_t code);
int yoi_sdk_code_retryable(int32_t code);
int32_t yoi_sdk_code_find(yoi_str name); /* 0: unknown */
/* The code that stands for a status when a plugin gave none. */
int32_t yoi_sdk_code_of_status(yoi_status st);
const char *yoi_sdk_op_name(uint32_t op);
uint32_t yoi_sdk_op_find(yoi_str name); /* 0: unknown */
const char *yoi_sdk_event_name(uint32_t kind);
uint32_t yoi_sdk_event_find(yoi_str name); /* 0: unknown */

#ifdef __cplusplus
}
#endif
#endif
