/* yoi/host_log.h - "yoi.host.log/1": one line per thing worth knowing. */
#ifndef YOI_HOST_LOG_H
#define YOI_HOST_LOG_H

#include <yoi/host.h>

#ifdef __cplusplus
extern "C" {
#endif

#define YOI_HOST_LOG_ID "yoi.host.log/1"

#define YOI_LOG_DEBUG 1u /* may hold private details; off by default */
#define YOI_LOG_INFO 2u
#define YOI_LOG_WARN 3u
#define YOI_LOG_ERROR 4u

/* Frozen. Keys are [a-z_]+. */
typedef struct yoi_log_field {
  yoi_str key;
  yoi_str value;
} yoi_log_field;

typedef struct yoi_host_log {
  uint32_t size;
  uint32_t reserved;
  /* [any] 1 when a line of this level would be written. */
  uint32_t (*enabled)(const yoi_host *h, uint32_t level);
  /* [any] Never blocks: when the sink is slow the line is dropped and
   * counted. Text is escaped, never interpreted; the host adds time and
   * plugin, and of a runtime its id. request_id may be empty. */
  void (*write)(const yoi_host *h, uint32_t level, yoi_str msg,
                yoi_str request_id, const yoi_log_field *fields, size_t n);
} yoi_host_log;

#ifdef __cplusplus
}
#endif
#endif
